//! UDP over a link: a door on loopback whose datagrams go to the fleet, and back, at the link's
//! pace.
//!
//! It knows nothing of QUIC. A QUIC client connects to the door's address with the server name of
//! the fleet.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use bytes::Bytes;
use rushlane::runtime::{Shutdown, TaskScope};
use tokio::net::UdpSocket;
use tokio::time::sleep_until;

use crate::link::{DATAGRAM_HEAD_BYTES, Dice, Link, Way};

/// The largest datagram there is, in bytes.
const DATAGRAM_BYTES_MAX: usize = 65_536;
/// What is on its way beyond the queue, in bytes, in each direction. Full: datagrams are dropped.
const UNDER_WAY_BYTES_MAX: usize = 8 << 20;

/// A way into a link for datagrams. Dropping it closes it.
#[derive(Debug)]
pub struct Door {
    /// Where a client sends what is for the fleet.
    pub address: SocketAddr,
    shutdown: Shutdown,
}

impl Drop for Door {
    fn drop(&mut self) {
        self.shutdown.request();
    }
}

impl Link {
    /// Opens a door to `fleet`. Who sent last to it gets what comes back: it is one client's.
    ///
    /// Errors: no socket.
    pub async fn door(&self, fleet: SocketAddr, scope: &TaskScope) -> io::Result<Door> {
        let (loopback, any): (IpAddr, IpAddr) = match fleet {
            SocketAddr::V4(_) => (Ipv4Addr::LOCALHOST.into(), Ipv4Addr::UNSPECIFIED.into()),
            SocketAddr::V6(_) => (Ipv6Addr::LOCALHOST.into(), Ipv6Addr::UNSPECIFIED.into()),
        };
        let front = UdpSocket::bind((loopback, 0)).await?;
        let back = UdpSocket::bind((any, 0)).await?;
        back.connect(fleet).await?;
        let shutdown = scope.shutdown().child();
        let door = Door {
            address: front.local_addr()?,
            shutdown: shutdown.clone(),
        };
        let link = self.clone();
        scope.spawn("link.datagrams", async move {
            tokio::select! {
                () = link.exchange(&front, &back) => {}
                () = shutdown.requested() => {}
            }
        });
        Ok(door)
    }

    async fn exchange(&self, front: &UdpSocket, back: &UdpSocket) {
        let mut up = Crowd::new(self.dice());
        let mut down = Crowd::new(self.dice());
        let (mut from_viewer, mut from_fleet) = (buffer(), buffer());
        let mut viewer: Option<SocketAddr> = None;
        loop {
            let now = self.now();
            // What a socket refuses is lost, as on any network.
            while let Some(bytes) = up.arrived(now) {
                back.send(&bytes).await.ok();
            }
            while let Some(bytes) = down.arrived(now) {
                if let Some(viewer) = viewer {
                    front.send_to(&bytes, viewer).await.ok();
                }
            }
            let wake = [up.next(), down.next()].into_iter().flatten().min();
            tokio::select! {
                read = front.recv_from(&mut from_viewer) => {
                    if let Ok((bytes, from)) = read {
                        viewer = Some(from);
                        up.send(self, Way::Up, &from_viewer[..bytes]);
                    }
                }
                // An edge that is gone makes errors, one for each datagram to it.
                read = back.recv(&mut from_fleet) => {
                    if let Ok(bytes) = read {
                        down.send(self, Way::Down, &from_fleet[..bytes]);
                    }
                }
                () = sleep_until(self.instant(wake.unwrap_or(now))), if wake.is_some() => {}
            }
        }
    }
}

fn buffer() -> Box<[u8]> {
    vec![0; DATAGRAM_BYTES_MAX].into()
}

/// Datagrams under way in one direction, by their arrival.
struct Crowd {
    dice: Dice,
    heap: BinaryHeap<Reverse<(Duration, u64, Bytes)>>,
    bytes: usize,
    sent: u64,
}

impl Crowd {
    fn new(dice: Dice) -> Self {
        Self {
            dice,
            heap: BinaryHeap::new(),
            bytes: 0,
            sent: 0,
        }
    }

    fn send(&mut self, link: &Link, way: Way, datagram: &[u8]) {
        let on_wire = datagram.len() + DATAGRAM_HEAD_BYTES;
        let mut road = link.road(way).lock();
        let at = road.datagram(link.now(), on_wire, &mut self.dice);
        let Some(at) = at.filter(|_| self.bytes + on_wire <= UNDER_WAY_BYTES_MAX) else {
            return;
        };
        self.sent += 1;
        self.bytes += on_wire;
        let datagram = Bytes::copy_from_slice(datagram);
        self.heap.push(Reverse((at, self.sent, datagram)));
    }

    fn next(&self) -> Option<Duration> {
        self.heap.peek().map(|Reverse((at, ..))| *at)
    }

    fn arrived(&mut self, now: Duration) -> Option<Bytes> {
        self.next().filter(|at| *at <= now)?;
        let Reverse((_, _, bytes)) = self.heap.pop()?;
        self.bytes -= bytes.len() + DATAGRAM_HEAD_BYTES;
        Some(bytes)
    }
}

#[cfg(test)]
mod tests {
    use rushlane::runtime::clock;

    use super::*;
    use crate::link::Profile;

    #[tokio::test]
    async fn datagrams_go_through_the_door_and_back() {
        let scope = TaskScope::under(&Shutdown::new());
        let fleet = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        let link = Link::new(&Profile::default(), clock::now(), 1);
        let door = link
            .door(fleet.local_addr().unwrap(), &scope)
            .await
            .unwrap();
        let viewer = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        viewer.send_to(b"who?", door.address).await.unwrap();
        let mut buffer = [0; 64];
        let (bytes, from) = fleet.recv_from(&mut buffer).await.unwrap();
        assert_eq!(&buffer[..bytes], b"who?");
        fleet.send_to(b"me!", from).await.unwrap();
        let (bytes, from) = viewer.recv_from(&mut buffer).await.unwrap();
        assert_eq!((&buffer[..bytes], from), (&b"me!"[..], door.address));
        drop(door);
        assert_eq!(scope.finish(Duration::from_secs(9)).await, 0);
    }

    #[test]
    fn late_datagrams_are_handed_over_behind_those_that_overtook_them() {
        let link = Link::new(
            &Profile {
                reorder_percent: 20.0,
                ..Profile::default()
            },
            clock::now(),
            1,
        );
        let mut crowd = Crowd::new(Dice::new(5));
        (0..50_u8).for_each(|number| crowd.send(&link, Way::Down, &[number]));
        let order: Vec<u8> = std::iter::from_fn(|| crowd.arrived(Duration::MAX))
            .map(|bytes| bytes[0])
            .collect();
        assert_eq!(order.len(), 50);
        let late = order.windows(2).filter(|pair| pair[0] > pair[1]).count();
        assert!(late > 0 && crowd.bytes == 0, "{order:?}");
    }
}
