//! Where requests come in: whose connection it is, and how that fares. Knows nothing of HTTP.

use std::net::SocketAddr;
use std::os::fd::BorrowedFd;
use std::time::Duration;

use nix::libc;
use nix::sys::socket::getsockopt;
use nix::{getsockopt_impl, sockopt_impl};

use crate::net::http::direct::Shared;
use crate::telemetry::access;

sockopt_impl!(
    /// What the kernel knows of a TCP connection (tcp(7)).
    TcpInfo,
    GetOnly,
    libc::IPPROTO_TCP,
    libc::TCP_INFO,
    libc::tcp_info
);

/// A connection. Clones are handles of the same one, which stays open as long as any of them.
#[derive(Debug, Clone)]
pub(in crate::net) struct Link {
    pub(in crate::net) peer: SocketAddr,
    pub(in crate::net) secure: bool,
    pub(in crate::net) carrier: Carrier,
}

/// What carries the bytes.
#[derive(Debug, Clone)]
pub(in crate::net) enum Carrier {
    /// A socket, below TLS if there is any.
    Tcp(Shared),
    /// A QUIC connection.
    Quic(quinn::Connection),
    /// A pipe within the process.
    #[cfg(test)]
    Pipe,
}

impl Link {
    /// How the connection fares; `None` where nobody can tell.
    pub(super) fn state(&self) -> Option<access::Link> {
        match &self.carrier {
            Carrier::Tcp(socket) => socket.state(of_tcp),
            Carrier::Quic(connection) => {
                let path = connection.stats().path;
                Some(access::Link {
                    rtt_us: microseconds(path.rtt),
                    lost_packets: path.lost_packets,
                    window_bytes: path.cwnd,
                })
            }
            #[cfg(test)]
            Carrier::Pipe => None,
        }
    }
}

/// Some 1 us.
fn of_tcp(socket: BorrowedFd<'_>) -> Option<access::Link> {
    let info = getsockopt(&socket, TcpInfo).ok()?;
    Some(access::Link {
        rtt_us: info.tcpi_rtt.into(),
        // TCP does not know what was lost, but what it has sent again.
        lost_packets: info.tcpi_total_retrans.into(),
        window_bytes: u64::from(info.tcpi_snd_cwnd) * u64::from(info.tcpi_snd_mss),
    })
}

fn microseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_micros()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use tokio::net::{TcpListener, TcpStream};

    use super::*;

    #[tokio::test]
    async fn a_tcp_connection_tells_how_it_fares() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let stream = TcpStream::connect(listener.local_addr().unwrap()).await;
        let link = Link {
            peer: listener.local_addr().unwrap(),
            secure: false,
            carrier: Carrier::Tcp(Shared::new(stream.unwrap())),
        };
        let state = link.state().unwrap();
        assert!((1..1_000_000).contains(&state.rtt_us), "{state:?}");
        assert!(state.window_bytes > 1000, "{state:?}");
        assert_eq!(state.lost_packets, 0);
    }
}
