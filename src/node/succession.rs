//! An upgrade in place: another process takes the listening sockets over, and this one drains.
//!
//! The process that serves starts the new one with the same words, gives it the sockets, and waits
//! until it can serve; only then does it stop to accept. If the new one fails, nothing has changed.
//! An edge and its successor serve side by side. An origin's books have one owner, so its successor
//! begins when it has ended; whoever connects in between waits.
//!
//! See docs/decisions/0009-upgrade-in-place.md.

use std::collections::HashSet;
use std::ffi::OsString;
use std::io;
use std::process::Stdio;
use std::time::Duration;

use tokio::process::Command;
use tokio::task::spawn_blocking;
use tokio::time::{sleep, timeout};

use crate::delivery::Delivery;
use crate::live::broadcast;
use crate::net::heritage::{self, Duties, Elder, Successor};
use crate::node::running::Node;
use crate::node::{Error, Role, notify};

/// The word that the successor is started with.
pub const TAKE_OVER: &str = "--take-over";

/// How long a successor may take until it can serve.
const READY_WAIT: Duration = Duration::from_secs(60);

/// How long it waits for what the process before it serves: parents may have lost it.
const DUTIES_WAIT: Duration = Duration::from_secs(15);

/// How long the window of a track may take to come from the parent once it has begun to.
const SETTLE: Duration = Duration::from_millis(500);

/// How often is looked whether they are there.
const LOOK: Duration = Duration::from_millis(20);

/// The process before this one, if there is one.
pub(super) struct Inheritance(Option<Elder>);

impl Inheritance {
    /// Takes what the process before gives, when `take_over` says that there is one. Blocks; an
    /// origin waits here for the other's end.
    ///
    /// Errors: there is no such process, or it has ended early.
    pub(super) fn take(take_over: bool, role: Role) -> Result<Self, Error> {
        heritage::begin();
        if !take_over {
            return Ok(Self(None));
        }
        let fault = |error| Error::System("the sockets cannot be taken over", error);
        let stream = heritage::inherited_stream().map_err(fault)?;
        let elder = Elder::take(stream).map_err(fault)?;
        if role != Role::Origin {
            return Ok(Self(Some(elder)));
        }
        elder.go().and_then(|()| elder.gone()).map_err(fault)?;
        tracing::info!("the process before has ended");
        Ok(Self(None))
    }

    /// Waits until `node` can serve what the process before serves, and takes its place.
    ///
    /// Errors: that has ended meanwhile.
    pub(super) async fn claim(self, node: &Node) -> Result<(), Error> {
        let Some(elder) = self.0 else {
            heritage::settle();
            return Ok(());
        };
        if timeout(DUTIES_WAIT, node.can_do(&elder.duties))
            .await
            .is_err()
        {
            tracing::warn!("something that the process before serves is not here");
        }
        let claimed = spawn_blocking(move || elder.go()).await;
        let claimed = claimed.map_err(io::Error::other).flatten();
        claimed.map_err(|error| Error::System("the process before does not let go", error))?;
        heritage::settle();
        tracing::info!("took the place of the process before");
        Ok(())
    }
}

impl Node {
    /// What it serves now.
    fn duties(&self) -> Duties {
        let tracks = self.delivery().map(Delivery::warm).unwrap_or_default();
        Duties {
            broadcasts: self.broadcasts(),
            tracks: tracks.into_iter().collect(),
        }
    }

    /// Waits until it can serve what `duties` says.
    async fn can_do(&self, duties: &Duties) {
        while !duties.broadcasts.is_subset(&self.broadcasts()) {
            sleep(LOOK).await;
        }
        let Some(delivery) = self.delivery() else {
            return;
        };
        while !delivery.warm_up(&duties.tracks) {
            sleep(LOOK).await;
        }
        // What has begun to come is here as far as it lies in the past.
        sleep(SETTLE).await;
    }

    /// The names of all broadcasts, the same on all nodes that have them.
    fn broadcasts(&self) -> HashSet<String> {
        let name = |broadcast: &broadcast::Consumer| {
            let info = broadcast.info();
            format!("{}/{:?}/{}", info.room, info.kind, info.epoch)
        };
        self.store().broadcasts().iter().map(name).collect()
    }
}

/// Starts the successor of this process and waits until it can serve.
///
/// Errors: it cannot. This process serves on.
pub(super) async fn summon(node: &Node) -> io::Result<Successor> {
    let (ours, theirs) = heritage::stream()?;
    let mut words = std::env::args_os();
    let program = words.next().ok_or(io::ErrorKind::NotFound)?;
    let words: Vec<OsString> = words.filter(|word| word != TAKE_OVER).collect();
    let child = Command::new(program)
        .args(words)
        .arg(TAKE_OVER)
        .stdin(Stdio::from(theirs))
        .kill_on_drop(true)
        .spawn()?;
    let pid = child.id().unwrap_or_default();
    tracing::info!(pid, "a successor was started");
    let duties = node.duties();
    let ready = spawn_blocking(move || {
        let successor = Successor::give(ours, duties)?;
        successor.ready().map(|()| successor)
    });
    let ended = match timeout(READY_WAIT, ready).await {
        Ok(Ok(Ok(successor))) => {
            // It lives on without us, and the service manager follows it from now on.
            std::mem::forget(child);
            notify::say(&format!("MAINPID={pid}"));
            return Ok(successor);
        }
        Ok(Ok(Err(error))) => error,
        Ok(Err(panicked)) => io::Error::other(panicked),
        Err(_) => io::ErrorKind::TimedOut.into(),
    };
    Err(ended)
}
