//! Networks to make worse: the uplink of a host, and the link between two nodes.

use std::cell::{Cell, RefCell};
use std::net::SocketAddr;
use std::rc::Rc;
use std::time::Duration;

use rushlane::runtime::{TaskScope, clock};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream, UdpSocket};

use crate::why::dice::Dice;

/// What a segment of TCP carries.
const SEGMENT_BYTES: usize = 1448;

/// How often a wire that is held back is looked at.
const LOOK: Duration = Duration::from_millis(2);

/// The path of the link while nothing is wrong, each way.
const LINK_DELAY: Duration = Duration::from_millis(10);

/// The way from a host to its origin, segment by segment.
pub struct Uplink {
    /// Where the host connects.
    pub address: String,
    /// Bytes a second that it carries.
    pub rate: Cell<f64>,
    /// How many more segments pass before one is lost, and all behind it wait for it.
    pub passing: Cell<Option<u32>>,
}

impl Uplink {
    /// A fast way to `target`.
    pub async fn start(target: String, scope: &TaskScope) -> anyhow::Result<Rc<Self>> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let uplink = Rc::new(Self {
            address: listener.local_addr()?.to_string(),
            rate: Cell::new(f64::INFINITY),
            passing: Cell::new(None),
        });
        let (this, all) = (uplink.clone(), scope.clone());
        scope.spawn_local("uplink", async move {
            while let Ok((near, _)) = listener.accept().await {
                let (this, target) = (this.clone(), target.clone());
                all.spawn_local("uplink.connection", async move {
                    if let Err(error) = this.carry(near, &target).await {
                        tracing::debug!(%error, "an uplink ended");
                    }
                });
            }
        });
        Ok(uplink)
    }

    async fn carry(&self, near: TcpStream, target: &str) -> std::io::Result<()> {
        let far = TcpStream::connect(target).await?;
        far.set_nodelay(true)?;
        let (mut near_reads, mut near_writes) = near.into_split();
        let (mut far_reads, mut far_writes) = far.into_split();
        let up = async {
            let mut segment = [0; SEGMENT_BYTES];
            let mut free = clock::now();
            loop {
                let length = near_reads.read(&mut segment).await?;
                if length == 0 {
                    return far_writes.shutdown().await;
                }
                while self.passing.get() == Some(0) {
                    tokio::time::sleep(LOOK).await;
                }
                let left = self.passing.get().map(|left| left.saturating_sub(1));
                self.passing.set(left);
                let rate = self.rate.get();
                if rate.is_finite() {
                    free = free.max(clock::now()) + Duration::from_secs_f64(length as f64 / rate);
                    tokio::time::sleep_until(free).await;
                }
                far_writes.write_all(&segment[..length]).await?;
            }
        };
        let down = tokio::io::copy(&mut far_reads, &mut near_writes);
        tokio::try_join!(up, async { down.await.map(drop) })?;
        Ok(())
    }
}

/// The way between a child and its parent, datagram by datagram.
pub struct Link {
    /// Where the child connects.
    pub address: String,
    /// On top of what it always takes, each way.
    pub delay: Cell<Duration>,
    /// The share of datagrams that get lost.
    pub loss: Cell<f64>,
    dice: RefCell<Dice>,
}

impl Link {
    /// A good way to `target`.
    pub async fn start(
        target: SocketAddr,
        dice: Dice,
        scope: &TaskScope,
    ) -> anyhow::Result<Rc<Self>> {
        let front = Rc::new(UdpSocket::bind("127.0.0.1:0").await?);
        let back = Rc::new(UdpSocket::bind("127.0.0.1:0").await?);
        let link = Rc::new(Self {
            address: front.local_addr()?.to_string(),
            delay: Cell::default(),
            loss: Cell::default(),
            dice: RefCell::new(dice),
        });
        let child = Rc::new(Cell::new(None));
        let (this, all, known) = (link.clone(), scope.clone(), child.clone());
        let (from, to) = (front.clone(), back.clone());
        scope.spawn_local("link.up", async move {
            let mut bytes = vec![0; 64 << 10];
            while let Ok((length, sender)) = from.recv_from(&mut bytes).await {
                known.set(Some(sender));
                this.pass(&bytes[..length], &to, target, &all);
            }
        });
        let (this, all) = (link.clone(), scope.clone());
        scope.spawn_local("link.down", async move {
            let mut bytes = vec![0; 64 << 10];
            while let Ok((length, _)) = back.recv_from(&mut bytes).await {
                if let Some(child) = child.get() {
                    this.pass(&bytes[..length], &front, child, &all);
                }
            }
        });
        Ok(link)
    }

    fn pass(&self, bytes: &[u8], over: &Rc<UdpSocket>, to: SocketAddr, scope: &TaskScope) {
        if self.dice.borrow_mut().share() < self.loss.get() {
            return;
        }
        let due = clock::now() + LINK_DELAY + self.delay.get();
        let (bytes, over) = (bytes.to_vec(), over.clone());
        scope.spawn_local("link.datagram", async move {
            tokio::time::sleep_until(due).await;
            over.send_to(&bytes, to).await.ok();
        });
    }
}
