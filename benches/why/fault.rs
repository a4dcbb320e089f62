//! Faults of each hop, of a kind and size that dice say; mended when dropped.

use std::cell::RefCell;
use std::fmt;
use std::rc::Rc;
use std::time::Duration;

use tokio::task::JoinHandle;

use crate::process::Process;
use crate::why::dice::Dice;
use crate::why::scene::Scene;

/// The clip in bytes a second.
const CLIP_RATE: f64 = 250_000.0;

/// A picture of it in segments of TCP: 2 Mbit/s at 30 a second.
const PICTURE_SEGMENTS: f64 = 6.0;

/// Where something goes wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Place {
    Host,
    Uplink,
    Origin,
    Relay,
    Edge,
    LastMile,
}

impl Place {
    pub const ALL: [Self; 6] = [
        Self::Host,
        Self::Uplink,
        Self::Origin,
        Self::Relay,
        Self::Edge,
        Self::LastMile,
    ];

    /// As a verdict calls it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Host => "host",
            Self::Uplink => "uplink",
            Self::Origin => "origin",
            Self::Relay => "relay",
            Self::Edge => "edge",
            Self::LastMile => "last_mile",
        }
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// A fault, until dropped.
pub struct Fault {
    /// What is wrong, in words.
    pub words: String,
    task: Option<JoinHandle<()>>,
    mend: Box<dyn Fn()>,
}

impl Fault {
    /// Does something to `place`.
    pub fn inject(scene: &Scene, place: Place, dice: &mut Dice) -> Self {
        let first_kind = dice.share() < 0.5;
        match (place, first_kind) {
            (Place::Host, _) => {
                let host = scene.host.clone();
                stutter(scene, "the encoder", dice, move |is_stopped| {
                    host.hold(is_stopped)
                })
            }
            (Place::Uplink, true) => {
                let share = dice.between(0.3, 0.8);
                let uplink = scene.uplink.clone();
                uplink.rate.set(CLIP_RATE * share);
                let words = format!("carries {:.0} % of the rate", share * 100.0);
                Self::steady(words, move || uplink.rate.set(f64::INFINITY))
            }
            (Place::Uplink, false) => {
                let uplink = scene.uplink.clone();
                // Any of a picture's segments, one as likely as the other.
                let which = RefCell::new(dice.clone());
                stutter(scene, "a lost segment", dice, move |is_lost| {
                    let which = which.borrow_mut().share() * PICTURE_SEGMENTS;
                    uplink.passing.set(is_lost.then_some(which as u32));
                })
            }
            (Place::Origin, _) => processor(scene, &scene.origin, dice),
            (Place::Edge, _) => processor(scene, &scene.edge, dice),
            (Place::Relay, true) => {
                let loss = dice.between(0.1, 0.3);
                let link = scene.link.clone();
                link.loss.set(loss);
                let words = format!("loses {:.0} % of the packets", loss * 100.0);
                Self::steady(words, move || link.loss.set(0.0))
            }
            (Place::Relay, false) => {
                let delay_ms = dice.between(80.0, 250.0);
                let link = scene.link.clone();
                link.delay.set(Duration::from_secs_f64(delay_ms / 1000.0));
                let words = format!("takes {delay_ms:.0} ms longer");
                Self::steady(words, move || link.delay.set(Duration::ZERO))
            }
            (Place::LastMile, _) => {
                let share = dice.between(0.1, 0.7);
                let reading = scene.reading.clone();
                reading.set(CLIP_RATE * share);
                let words = format!("viewers take {:.0} % of the rate", share * 100.0);
                Self::steady(words, move || reading.set(f64::INFINITY))
            }
        }
    }

    fn steady(words: String, mend: impl Fn() + 'static) -> Self {
        Self {
            words,
            task: None,
            mend: Box::new(mend),
        }
    }
}

impl Drop for Fault {
    fn drop(&mut self) {
        if let Some(task) = &self.task {
            task.abort();
        }
        (self.mend)();
    }
}

/// A node that gets the processor for a part of the time only.
fn processor(scene: &Scene, node: &Rc<Process>, dice: &mut Dice) -> Fault {
    let node = node.clone();
    stutter(scene, "the process", dice, move |is_stopped| {
        node.signal(if is_stopped { "-STOP" } else { "-CONT" });
    })
}

/// Something stands still for a part of each second.
fn stutter(scene: &Scene, what: &str, dice: &mut Dice, stop: impl Fn(bool) + 'static) -> Fault {
    let stopped_ms = dice.between(300.0, 600.0);
    let stop = Rc::new(stop);
    let toggle = stop.clone();
    let task = scene.scope.spawn_local("fault", async move {
        let stopped = Duration::from_secs_f64(stopped_ms / 1000.0);
        loop {
            toggle(true);
            tokio::time::sleep(stopped).await;
            toggle(false);
            tokio::time::sleep(Duration::from_secs(1).saturating_sub(stopped)).await;
        }
    });
    Fault {
        words: format!("{what} stands still for {stopped_ms:.0} ms a second"),
        task: Some(task),
        mend: Box::new(move || stop(false)),
    }
}
