//! The bench's host: sends the clip over RTMP in real time, with a stamp in each picture.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use anyhow::Context as _;
use rushlane::runtime::clock;

use crate::clip::{Clip, LOOP_MS};
use crate::rtmp::{Session, with_body};
use crate::stamp::Stamp;

/// How often a host that is held back looks whether it may go on.
const LOOK: Duration = Duration::from_millis(2);

/// A running host; ends when dropped.
pub struct Host {
    stop: Arc<AtomicBool>,
    held: Arc<AtomicBool>,
    sent: Arc<AtomicU32>,
    thread: Option<JoinHandle<anyhow::Result<()>>>,
}

impl Host {
    /// Starts to publish `clip` to rtmp://`address`/`app`/`name`; returns once frames flow.
    pub fn start(clip: &Clip, address: &str, app: &str, name: &str) -> anyhow::Result<Self> {
        let (stop, held) = (Arc::<AtomicBool>::default(), Arc::<AtomicBool>::default());
        let sent = Arc::<AtomicU32>::default();
        let task = {
            let signs = Signs {
                stop: stop.clone(),
                held: held.clone(),
                sent: sent.clone(),
            };
            let clip = clip.clone();
            let (address, app, name) = (address.to_owned(), app.to_owned(), name.to_owned());
            move || {
                let runtime = tokio::runtime::Builder::new_current_thread()
                    .enable_all()
                    .build()?;
                runtime.block_on(async {
                    let session = Session::publish(&address, &app, &name).await?;
                    publish(session, &clip, &signs).await
                })
            }
        };
        let thread = std::thread::Builder::new()
            .name("host".into())
            .spawn(task)?;
        Ok(Self {
            stop,
            held,
            sent,
            thread: Some(thread),
        })
    }

    /// Sends nothing while `held`, and all that is due by then when it goes on.
    pub fn hold(&self, held: bool) {
        self.held.store(held, Ordering::Relaxed);
    }

    /// Pictures sent so far.
    pub fn sent(&self) -> u32 {
        self.sent.load(Ordering::Relaxed)
    }

    /// Fails when the host had to stop.
    pub fn check(&mut self) -> anyhow::Result<()> {
        if self
            .thread
            .as_ref()
            .is_none_or(|thread| !thread.is_finished())
        {
            return Ok(());
        }
        let thread = self.thread.take().context("a finished thread")?;
        match thread.join() {
            Ok(result) => result.context("the host stopped"),
            Err(_) => anyhow::bail!("the host broke"),
        }
    }
}

impl Drop for Host {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            thread.join().ok();
        }
    }
}

/// What the host's thread and its owner tell each other.
struct Signs {
    stop: Arc<AtomicBool>,
    held: Arc<AtomicBool>,
    sent: Arc<AtomicU32>,
}

async fn publish(mut session: Session, clip: &Clip, signs: &Signs) -> anyhow::Result<()> {
    for message in &clip.head {
        session.send(message, 0).await?;
    }
    let started = clock::now();
    for round in 0_u32.. {
        for message in &clip.frames {
            let at_ms = round * LOOP_MS + message.at_ms;
            tokio::time::sleep_until(started + Duration::from_millis(at_ms.into())).await;
            while signs.held.load(Ordering::Relaxed) && !signs.stop.load(Ordering::Relaxed) {
                tokio::time::sleep(LOOK).await;
            }
            if signs.stop.load(Ordering::Relaxed) {
                return Ok(());
            }
            if message.is_frame() {
                let stamp = Stamp::now(signs.sent.fetch_add(1, Ordering::Relaxed));
                let stamped = with_body(message, stamp.put_into(&message.body));
                session.send(&stamped, at_ms).await?;
            } else {
                session.send(message, at_ms).await?;
            }
        }
        session.drain()?;
    }
    Ok(())
}
