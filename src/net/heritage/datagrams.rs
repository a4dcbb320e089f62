//! One UDP port, two processes: the newer one reads it, and passes on what belongs to connections
//! of the older one, which answers from its own copy of the socket.

use std::fmt;
use std::hash::{DefaultHasher, Hasher as _};
use std::io::{self, IoSliceMut};
use std::net::{IpAddr, SocketAddr};
use std::os::unix::net::UnixDatagram;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use aws_lc_rs::rand;
use quinn::udp::{EcnCodepoint, RecvMeta, Transmit};
use quinn::{AsyncUdpSocket, ConnectionId, ConnectionIdGenerator, UdpPoller};
use rustix::net::{RecvAncillaryBuffer, RecvFlags, recvmsg};
use serde::{Deserialize, Serialize};
use tokio::io::Interest;

use crate::net::heritage::Latch;

/// Bytes of a connection id: chance, then a signature of it.
const CHANCE_BYTES: usize = 5;
const SIGNED_BYTES: usize = 3;
const CID_BYTES: usize = CHANCE_BYTES + SIGNED_BYTES;

/// The first bit of a long header, and where its connection id's length stands (RFC 9000, section
/// 17.2).
const LONG_HEADER: u8 = 0x80;
const LONG_CID_LENGTH_AT: usize = 5;

/// How a process tells the connection ids that it gave from all others. A stranger hits it once in
/// sixteen million.
#[derive(Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub(in crate::net) struct Mark(u64);

impl Mark {
    /// One that no other process has.
    pub(super) fn new() -> Self {
        let mut key = [0; 8];
        rand::fill(&mut key).expect("the system has randomness");
        Self(u64::from_be_bytes(key))
    }

    /// True when the first packet of `datagram` is for a connection of this process.
    fn is_on(self, datagram: &[u8]) -> bool {
        let cid = match datagram.first() {
            Some(first) if first & LONG_HEADER == 0 => datagram.get(1..=CID_BYTES),
            Some(_) if datagram.get(LONG_CID_LENGTH_AT) == Some(&(CID_BYTES as u8)) => {
                let at = LONG_CID_LENGTH_AT + 1;
                datagram.get(at..at + CID_BYTES)
            }
            _ => None,
        };
        cid.is_some_and(|cid| self.sign(&cid[..CHANCE_BYTES]) == cid[CHANCE_BYTES..])
    }

    fn sign(self, chance: &[u8]) -> [u8; SIGNED_BYTES] {
        let mut hasher = DefaultHasher::new();
        hasher.write_u64(self.0);
        hasher.write(chance);
        let [a, b, c, ..] = hasher.finish().to_be_bytes();
        [a, b, c]
    }
}

impl ConnectionIdGenerator for Mark {
    fn generate_cid(&mut self) -> ConnectionId {
        let mut cid = [0; CID_BYTES];
        let (chance, signed) = cid.split_at_mut(CHANCE_BYTES);
        rand::fill(chance).expect("the system has randomness");
        signed.copy_from_slice(&self.sign(chance));
        ConnectionId::new(&cid)
    }

    fn cid_len(&self) -> usize {
        CID_BYTES
    }

    fn cid_lifetime(&self) -> Option<Duration> {
        None
    }
}

impl fmt::Debug for Mark {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Mark")
    }
}

/// The socket of the newer process.
#[derive(Debug)]
pub(in crate::net) struct Steered {
    inner: Arc<dyn AsyncUdpSocket>,
    elder: Mark,
    to_elder: UnixDatagram,
    latch: Latch,
}

impl Steered {
    /// Reads `inner` once `latch` opens, and passes on what is `elder`'s.
    pub(in crate::net) fn new(
        inner: Arc<dyn AsyncUdpSocket>,
        (elder, to_elder): (Mark, UnixDatagram),
        latch: Latch,
    ) -> io::Result<Self> {
        to_elder.set_nonblocking(true)?;
        Ok(Self {
            inner,
            elder,
            to_elder,
            latch,
        })
    }

    /// Passes `bytes` on. What the elder does not take in time is lost, as datagrams are.
    fn pass_on(&self, meta: &RecvMeta, bytes: &[u8]) {
        let mut message = Vec::with_capacity(HEAD_BYTES + bytes.len());
        write_head(&mut message, meta);
        message.extend_from_slice(bytes);
        if let Err(error) = self.to_elder.send(&message) {
            tracing::trace!(%error, "the process before takes no datagram");
        }
    }
}

impl AsyncUdpSocket for Steered {
    fn create_io_poller(self: Arc<Self>) -> Pin<Box<dyn UdpPoller>> {
        self.inner.clone().create_io_poller()
    }

    fn try_send(&self, transmit: &Transmit<'_>) -> io::Result<()> {
        self.inner.try_send(transmit)
    }

    fn poll_recv(
        &self,
        cx: &mut Context<'_>,
        buffers: &mut [IoSliceMut<'_>],
        metas: &mut [RecvMeta],
    ) -> Poll<io::Result<usize>> {
        ready!(self.latch.poll_opened(cx));
        loop {
            let count = ready!(self.inner.poll_recv(cx, buffers, metas))?;
            let mut kept = 0;
            for index in 0..count {
                let meta = metas[index];
                // Datagrams that came together came from one peer's one connection.
                if self.elder.is_on(&buffers[index][..meta.len]) {
                    self.pass_on(&meta, &buffers[index][..meta.len]);
                    continue;
                }
                if kept != index {
                    let (before, from) = buffers.split_at_mut(index);
                    before[kept][..meta.len].copy_from_slice(&from[0][..meta.len]);
                    metas[kept] = meta;
                }
                kept += 1;
            }
            if kept > 0 {
                return Poll::Ready(Ok(kept));
            }
        }
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        self.inner.local_addr()
    }

    fn max_transmit_segments(&self) -> usize {
        self.inner.max_transmit_segments()
    }

    fn max_receive_segments(&self) -> usize {
        self.inner.max_receive_segments()
    }

    fn may_fragment(&self) -> bool {
        self.inner.may_fragment()
    }
}

/// The socket of the older process: it is written as ever, and read through the newer one.
#[derive(Debug)]
pub(in crate::net) struct Fed {
    inner: Arc<dyn AsyncUdpSocket>,
    feed: tokio::net::UnixDatagram,
}

impl Fed {
    /// Writes to `inner` and reads from `feed`.
    pub(in crate::net) fn new(
        inner: Arc<dyn AsyncUdpSocket>,
        feed: UnixDatagram,
    ) -> io::Result<Self> {
        feed.set_nonblocking(true)?;
        let feed = tokio::net::UnixDatagram::from_std(feed)?;
        Ok(Self { inner, feed })
    }
}

impl AsyncUdpSocket for Fed {
    fn create_io_poller(self: Arc<Self>) -> Pin<Box<dyn UdpPoller>> {
        self.inner.clone().create_io_poller()
    }

    fn try_send(&self, transmit: &Transmit<'_>) -> io::Result<()> {
        self.inner.try_send(transmit)
    }

    fn poll_recv(
        &self,
        cx: &mut Context<'_>,
        buffers: &mut [IoSliceMut<'_>],
        metas: &mut [RecvMeta],
    ) -> Poll<io::Result<usize>> {
        let (Some(buffer), Some(meta)) = (buffers.first_mut(), metas.first_mut()) else {
            return Poll::Ready(Ok(0));
        };
        loop {
            ready!(self.feed.poll_recv_ready(cx))?;
            let mut head = [0; HEAD_BYTES];
            let mut slices = [IoSliceMut::new(&mut head), IoSliceMut::new(buffer)];
            let read = self.feed.try_io(Interest::READABLE, || {
                let mut no_sockets = RecvAncillaryBuffer::default();
                let read = recvmsg(
                    &self.feed,
                    &mut slices,
                    &mut no_sockets,
                    RecvFlags::DONTWAIT,
                );
                Ok(read?.bytes)
            });
            match read {
                // The newer process has ended: nothing comes any more.
                Ok(0) => return Poll::Pending,
                Ok(bytes) => {
                    if let Some(found) = read_head(&head, bytes) {
                        *meta = found;
                        return Poll::Ready(Ok(1));
                    }
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(error) => return Poll::Ready(Err(error)),
            }
        }
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        self.inner.local_addr()
    }

    fn max_transmit_segments(&self) -> usize {
        self.inner.max_transmit_segments()
    }

    fn max_receive_segments(&self) -> usize {
        self.inner.max_receive_segments()
    }

    fn may_fragment(&self) -> bool {
        self.inner.may_fragment()
    }
}

/// Peer and its port, destination, ECN, stride.
const HEAD_BYTES: usize = IP_BYTES + 2 + IP_BYTES + 1 + 2;

/// The version (4, 6, or 0 for none), then the address with zeros behind it. IPv4 in IPv6 stays
/// what it is: a peer is known by the very form of its address.
const IP_BYTES: usize = 17;

fn write_head(out: &mut Vec<u8>, meta: &RecvMeta) {
    out.extend_from_slice(&ip_bytes(Some(meta.addr.ip())));
    out.extend_from_slice(&meta.addr.port().to_be_bytes());
    out.extend_from_slice(&ip_bytes(meta.dst_ip));
    out.push(meta.ecn.map_or(0, |ecn| ecn as u8));
    let stride = u16::try_from(meta.stride).unwrap_or(u16::MAX);
    out.extend_from_slice(&stride.to_be_bytes());
}

/// What `head` says of a message of `bytes` bytes in all.
fn read_head(head: &[u8; HEAD_BYTES], bytes: usize) -> Option<RecvMeta> {
    let len = bytes.checked_sub(HEAD_BYTES)?;
    let (peer, rest) = head.split_first_chunk::<IP_BYTES>()?;
    let (port, rest) = rest.split_first_chunk::<2>()?;
    let (to, rest) = rest.split_first_chunk::<IP_BYTES>()?;
    let (ecn, rest) = rest.split_first()?;
    let stride = rest.first_chunk::<2>()?;
    Some(RecvMeta {
        addr: SocketAddr::new(ip_of(peer)?, u16::from_be_bytes(*port)),
        len,
        stride: u16::from_be_bytes(*stride).into(),
        ecn: EcnCodepoint::from_bits(*ecn),
        dst_ip: ip_of(to),
    })
}

fn ip_bytes(ip: Option<IpAddr>) -> [u8; IP_BYTES] {
    let mut bytes = [0; IP_BYTES];
    match ip {
        None => {}
        Some(IpAddr::V4(ip)) => {
            bytes[0] = 4;
            bytes[1..5].copy_from_slice(&ip.octets());
        }
        Some(IpAddr::V6(ip)) => {
            bytes[0] = 6;
            bytes[1..].copy_from_slice(&ip.octets());
        }
    }
    bytes
}

fn ip_of(bytes: &[u8; IP_BYTES]) -> Option<IpAddr> {
    let (version, address) = bytes.split_first()?;
    match version {
        4 => address
            .first_chunk::<4>()
            .map(|octets| IpAddr::from(*octets)),
        6 => address
            .first_chunk::<16>()
            .map(|octets| IpAddr::from(*octets)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_knows_its_own_connection_ids() {
        let (mut own, other) = (Mark::new(), Mark::new());
        for _ in 0..100 {
            let cid = own.generate_cid();
            let short = [&[0x40], &cid[..], &[7; 30]].concat();
            let long = [&[0xE0, 0, 0, 0, 1, 8], &cid[..], &[8; 30]].concat();
            assert!(own.is_on(&short) && own.is_on(&long));
            assert!(!other.is_on(&short) && !other.is_on(&long));
            for end in 0..9 {
                assert!(!own.is_on(&short[..end]));
            }
        }
        let initial = [&[0xC0, 0, 0, 0, 1, 20][..], &[9; 40]].concat();
        assert!(!own.is_on(&initial) && !own.is_on(&[]));
    }

    #[test]
    fn what_is_known_of_a_datagram_goes_with_it() {
        for (peer, to) in [
            ("192.0.2.1:443", Some("10.0.0.1")),
            ("[::ffff:192.0.2.1]:443", Some("::ffff:10.0.0.1")),
            ("[2001:db8::1]:9", None),
        ] {
            let meta = RecvMeta {
                addr: peer.parse().unwrap(),
                len: 2400,
                stride: 1200,
                ecn: EcnCodepoint::from_bits(2),
                dst_ip: to.map(|to| to.parse().unwrap()),
            };
            let mut message = Vec::new();
            write_head(&mut message, &meta);
            let head: &[u8; HEAD_BYTES] = message.first_chunk().unwrap();
            let read = read_head(head, HEAD_BYTES + 2400).unwrap();
            assert_eq!((read.addr, read.len, read.stride), (meta.addr, 2400, 1200));
            assert_eq!((read.ecn, read.dst_ip), (meta.ecn, meta.dst_ip));
            assert!(read_head(head, 3).is_none());
        }
    }
}
