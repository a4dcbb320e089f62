//! What a process has from the one before it, and has for the one after it.

use std::collections::HashMap;
use std::io;
use std::net::{SocketAddr, TcpListener, UdpSocket};
use std::os::fd::AsFd as _;
use std::os::unix::net::{UnixDatagram, UnixStream};

use crate::net::heritage::datagrams::Mark;
use crate::net::heritage::passing::{self, Message, Passed};
use crate::net::heritage::port::Feed;
use crate::net::heritage::{Duties, Elder, Latch, Successor};

/// Sockets of one process: its ports, times its workers.
pub(super) const SOCKETS_MAX: usize = 1024;

/// What the process has from the one before, and has for the one after.
#[derive(Debug)]
pub(super) struct Heritage {
    /// From the process before, not yet taken.
    pub(super) tcp: HashMap<SocketAddr, Vec<TcpListener>>,
    pub(super) udp: HashMap<SocketAddr, Vec<(UdpSocket, UnixDatagram)>>,
    pub(super) elder: Option<Mark>,
    /// For the process after.
    pub(super) kept: Vec<Kept>,
    pub(super) own: Mark,
    /// Opened when the process before has let go.
    pub(super) latch: Latch,
    /// Sockets are kept: there may be a process after this one.
    pub(super) is_handed_on: bool,
}

#[derive(Debug)]
pub(super) enum Kept {
    Tcp(TcpListener),
    Udp(UdpSocket, Feed),
}

impl Heritage {
    /// Of a process that follows none.
    pub(super) fn new() -> Self {
        let latch = Latch::default();
        latch.open();
        Self {
            tcp: HashMap::new(),
            udp: HashMap::new(),
            elder: None,
            kept: Vec::new(),
            own: Mark::new(),
            latch,
            is_handed_on: false,
        }
    }

    /// Gives everything that is kept to the process at the other end of `stream`.
    pub(super) fn give(&self, stream: UnixStream, duties: Duties) -> io::Result<Successor> {
        let mut feeds = Vec::new();
        for kept in &self.kept {
            match kept {
                Kept::Tcp(listener) => {
                    let address = listener.local_addr()?;
                    passing::send(&stream, &Message::Tcp { address }, &[listener.as_fd()])?;
                }
                Kept::Udp(socket, feed) => {
                    let (ours, theirs) = UnixDatagram::pair()?;
                    let address = socket.local_addr()?;
                    let sockets = [socket.as_fd(), theirs.as_fd()];
                    passing::send(&stream, &Message::Udp { address }, &sockets)?;
                    feeds.push((feed.clone(), ours));
                }
            }
        }
        let mark = self.own;
        passing::send(&stream, &Message::End { mark, duties }, &[])?;
        Ok(Successor { stream, feeds })
    }

    /// Takes what the process at the other end of `stream` gives. Nothing is accepted before
    /// [`Elder::go`].
    pub(super) fn take(&mut self, stream: UnixStream) -> io::Result<Elder> {
        for _ in 0..=SOCKETS_MAX {
            let Passed { message, sockets } = passing::receive(&stream)?;
            let mut sockets = sockets.into_iter();
            let mut next = || sockets.next().ok_or(io::ErrorKind::InvalidData);
            match message {
                Message::Tcp { address } => {
                    let listener = TcpListener::from(next()?);
                    self.tcp.entry(address).or_default().push(listener);
                }
                Message::Udp { address } => {
                    let (socket, datagrams) = (UdpSocket::from(next()?), next()?);
                    let pair = (socket, UnixDatagram::from(datagrams));
                    self.udp.entry(address).or_default().push(pair);
                }
                Message::End { mark, duties } => {
                    self.elder = Some(mark);
                    self.latch = Latch::default();
                    let latch = self.latch.clone();
                    return Ok(Elder {
                        stream,
                        latch,
                        duties,
                    });
                }
                Message::Ready | Message::Go => return Err(io::ErrorKind::InvalidData.into()),
            }
        }
        Err(io::ErrorKind::InvalidData.into())
    }
}
