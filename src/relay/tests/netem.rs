//! A UDP proxy that loses, delays and holds packets, for links worse than loopback.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::time::Duration;

use tokio::net::UdpSocket;
use tokio::sync::watch;

use crate::runtime::{TaskScope, clock};

/// The largest datagram on loopback.
const DATAGRAM_BYTES_MAX: usize = 65_536;

/// One impaired way to a parent. Ends with its scope.
pub(super) struct Proxy {
    pub(super) address: SocketAddr,
    link: Arc<Impairment>,
}

#[derive(Default)]
struct Impairment {
    /// Of 1000 packets, how many are lost.
    loss_permille: u32,
    delay: Duration,
    is_cut: AtomicBool,
    is_held: watch::Sender<bool>,
    /// A random sequence that is the same in each run.
    random: AtomicU32,
}

impl Impairment {
    fn drops(&self) -> bool {
        let step = |state: u32| state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        let before = self
            .random
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |state| {
                Some(step(state))
            })
            .unwrap_or_default();
        self.is_cut.load(Ordering::Relaxed) || (before >> 16) % 1000 < self.loss_permille
    }
}

impl Proxy {
    pub(super) async fn start(
        to: SocketAddr,
        loss_permille: u32,
        delay: Duration,
        scope: &TaskScope,
    ) -> Self {
        let front = Arc::new(UdpSocket::bind("127.0.0.1:0").await.unwrap());
        let address = front.local_addr().unwrap();
        let link = Arc::new(Impairment {
            loss_permille,
            delay,
            ..Impairment::default()
        });
        let (tasks, impairment) = (scope.clone(), link.clone());
        scope.spawn("test.proxy", async move {
            let mut backs: HashMap<SocketAddr, Arc<UdpSocket>> = HashMap::new();
            let mut buffer = vec![0; DATAGRAM_BYTES_MAX];
            while let Ok((length, from)) = front.recv_from(&mut buffer).await {
                if let Entry::Vacant(place) = backs.entry(from) {
                    let back = Arc::new(UdpSocket::bind("127.0.0.1:0").await.unwrap());
                    back.connect(to).await.unwrap();
                    place.insert(back.clone());
                    let way = (back, front.clone(), from);
                    let answers = give_back(way, impairment.clone(), tasks.clone());
                    tasks.spawn("test.proxy.back", answers);
                }
                let (data, back) = (buffer[..length].to_vec(), backs[&from].clone());
                impairment.pass(&tasks, async move { back.send(&data).await.map(|_| ()) });
            }
        });
        Self { address, link }
    }

    /// Lets nothing pass from now on, until [`Self::release`].
    pub(super) fn hold(&self) {
        self.link.is_held.send_replace(true);
    }

    /// Lets everything pass that was held.
    pub(super) fn release(&self) {
        self.link.is_held.send_replace(false);
    }

    /// Loses everything from now on.
    pub(super) fn cut(&self) {
        self.link.is_cut.store(true, Ordering::Relaxed);
    }
}

/// Carries what comes from the parent to the child at `from`.
async fn give_back(
    (back, front, from): (Arc<UdpSocket>, Arc<UdpSocket>, SocketAddr),
    impairment: Arc<Impairment>,
    scope: TaskScope,
) {
    let mut buffer = vec![0; DATAGRAM_BYTES_MAX];
    while let Ok(length) = back.recv(&mut buffer).await {
        let (data, front) = (buffer[..length].to_vec(), front.clone());
        impairment.pass(&scope, async move {
            front.send_to(&data, from).await.map(|_| ())
        });
    }
}

impl Impairment {
    fn pass(
        &self,
        scope: &TaskScope,
        send: impl Future<Output = std::io::Result<()>> + Send + 'static,
    ) {
        if self.drops() {
            return;
        }
        let at = clock::now() + self.delay;
        let mut is_held = self.is_held.subscribe();
        scope.spawn("test.proxy.packet", async move {
            tokio::time::sleep_until(at).await;
            let _proxy_ended = is_held.wait_for(|held| !held).await.is_err();
            let _lost_like_any_other = send.await.is_err();
        });
    }
}
