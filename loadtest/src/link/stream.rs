//! TCP over a link: a connection whose bytes a task carries at the link's pace.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use rushlane::runtime::TaskScope;
use socket2::SockRef;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _, DuplexStream};
use tokio::net::TcpSocket;
use tokio::time::sleep_until;

use crate::link::{Flow, Link, SEGMENT_BYTES, Way};

/// What the viewer's own machine holds of a connection, in bytes. Full: the task waits.
const NEAR_BYTES_MAX: usize = 65_536;
/// What the kernel holds on this side before the emulated queue, in bytes: as little as keeps a
/// fast link busy.
const KERNEL_BYTES: u32 = 16_384;
/// The first wait for the answer to a SYN; twice as long each time (RFC 6298).
const KNOCK_WAIT: Duration = Duration::from_secs(1);
/// SYNs that are sent: Linux's tcp_syn_retries.
const KNOCKS_MAX: u32 = 7;

impl Link {
    /// Connects to `address`, a round trip from here. Errors: those of the connection.
    ///
    /// The bytes are carried by a task of `scope`, which ends when either side does. A connection
    /// that breaks looks like one that ends.
    pub async fn connect(
        &self,
        address: SocketAddr,
        scope: &TaskScope,
    ) -> io::Result<DuplexStream> {
        sleep_until(self.instant(self.answered_at())).await;
        let socket = match address {
            SocketAddr::V4(_) => TcpSocket::new_v4()?,
            SocketAddr::V6(_) => TcpSocket::new_v6()?,
        };
        socket.set_recv_buffer_size(KERNEL_BYTES)?;
        // Loopback has segments of 64 kB, and the server's buffer would be as many of these.
        SockRef::from(&socket).set_tcp_mss(SEGMENT_BYTES as u32)?;
        let socket = socket.connect(address).await?;
        socket.set_nodelay(true)?;
        Ok(self.carry(socket, scope))
    }

    /// The viewer's end of a connection whose bytes go over this link to `fleet`, and back.
    pub fn carry<S>(&self, fleet: S, scope: &TaskScope) -> DuplexStream
    where
        S: AsyncRead + AsyncWrite + Send + 'static,
    {
        let (near, viewer) = tokio::io::duplex(NEAR_BYTES_MAX);
        let (link, shutdown) = (self.clone(), scope.shutdown().clone());
        scope.spawn("link", async move {
            let (viewer_reads, viewer_writes) = tokio::io::split(viewer);
            let (fleet_reads, fleet_writes) = tokio::io::split(fleet);
            // Either side's end ends the connection: no viewer closes only half of one.
            tokio::select! {
                _ended = link.pump(Way::Up, viewer_reads, fleet_writes) => {}
                _ended = link.pump(Way::Down, fleet_reads, viewer_writes) => {}
                () = shutdown.requested() => {}
            }
        });
        near
    }

    /// When the fleet's answer to a SYN of now is here.
    fn answered_at(&self) -> Duration {
        let (now, mut dice) = (self.now(), self.dice());
        let queues = [Way::Up, Way::Down].map(|way| self.road(way).lock().wait(now));
        let (mut at, mut wait) = (now + queues[0] + queues[1], KNOCK_WAIT);
        for _ in 1..KNOCKS_MAX {
            let lost = [Way::Up, Way::Down].map(|way| self.road(way).lock().loses(at, &mut dice));
            if lost == [false, false] {
                break;
            }
            at += wait;
            wait *= 2;
        }
        let crossing = |way| self.road(way).lock().crossing(&mut dice);
        at + [Way::Up, Way::Down].map(crossing).iter().sum::<Duration>()
    }

    async fn pump<R, W>(&self, way: Way, mut from: R, mut to: W) -> io::Result<()>
    where
        R: AsyncRead + Unpin,
        W: AsyncWrite + Unpin,
    {
        let mut flow = Flow::new(self.dice());
        let mut has_ended = false;
        loop {
            let now = self.now();
            while let Some(bytes) = flow.arrived(now) {
                if bytes.is_empty() {
                    return to.shutdown().await;
                }
                to.write_all(&bytes).await?;
            }
            to.flush().await?;
            let goes_at = flow.goes_at(&mut self.road(way).lock(), now);
            let goes = !has_ended && goes_at <= now;
            let wakes = [
                flow.next_arrival(),
                (!has_ended && !goes).then_some(goes_at),
            ];
            let wake = wakes.into_iter().flatten().min();
            let mut bytes = BytesMut::with_capacity(if goes { SEGMENT_BYTES } else { 0 });
            tokio::select! {
                read = from.read_buf(&mut bytes), if goes => {
                    // A reset is an end here; nothing that was under way comes after it.
                    has_ended = !matches!(read, Ok(1..));
                    let now = self.now();
                    let bytes = if has_ended { Bytes::new() } else { bytes.freeze() };
                    flow.send(&mut self.road(way).lock(), now, bytes);
                }
                () = sleep_until(self.instant(wake.unwrap_or(now))), if wake.is_some() => {}
            }
        }
    }
}

#[cfg(test)]
#[path = "stream_test.rs"]
mod tests;
