//! A flood of QUIC clients that greet and never say more, each from an address that is not theirs.

use std::collections::HashSet;
use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use tokio::net::UdpSocket;
use tokio::time::{sleep, timeout};

/// How long the first packet of a client may take.
const WAIT: Duration = Duration::from_secs(10);

/// Packets in one go: fewer than a small socket buffer takes.
const BURST: usize = 16;

const ANY: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::LOCALHOST), 0);

/// The first packets of clients.
pub(crate) struct Flood(Vec<Vec<u8>>);

impl Flood {
    /// Of `count` clients that use `config`.
    pub(crate) async fn of(count: usize, config: &quinn::ClientConfig) -> Self {
        let trap = UdpSocket::bind(ANY).await.unwrap();
        let to = trap.local_addr().unwrap();
        let endpoint = quinn::Endpoint::client(ANY).unwrap();
        let (mut packets, mut seen, mut open) = (Vec::new(), HashSet::new(), Vec::new());
        for _ in 0..count {
            let connecting = endpoint.connect_with(config.clone(), to, "localhost");
            open.push(connecting.unwrap());
            while packets.len() < open.len() {
                let mut packet = vec![0; 2048];
                let read = timeout(WAIT, trap.recv_from(&mut packet)).await;
                packet.truncate(read.expect("in time").unwrap().0);
                // The destination's connection id, after its length (RFC 9000, section 17.2).
                let id = packet[6..6 + usize::from(packet[5])].to_vec();
                if seen.insert(id) {
                    packets.push(packet);
                }
            }
        }
        Self(packets)
    }

    /// Sends them to `server`, again and again. Cancel-safe.
    pub(crate) async fn run(&self, server: SocketAddr) {
        let mut sender = 0_u32;
        loop {
            for burst in self.0.chunks(BURST) {
                for packet in burst {
                    // 127.1.0.1 and on: as many networks as a sender of forged addresses likes.
                    sender = (sender + 1) % (1 << 20);
                    let from = Ipv4Addr::from_bits(0x7f01_0000 + sender);
                    let socket = UdpSocket::bind((from, 0)).await.unwrap();
                    socket.send_to(packet, server).await.ok();
                }
                sleep(Duration::from_millis(1)).await;
            }
        }
    }
}
