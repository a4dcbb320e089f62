//! Files that others change under a running node: certificates and keys.

use std::os::unix::fs::MetadataExt as _;
use std::path::PathBuf;
use std::time::Duration;

use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::time::{MissedTickBehavior, interval};

/// How often files are looked at. What has changed is read once it looks the same twice, since
/// somebody may still be writing.
const LOOK: Duration = Duration::from_secs(2);

/// What tells one version of a file from the next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Look {
    inode: u64,
    bytes: u64,
    modified: (i64, i64),
}

/// Calls `read_again` whenever one of `files` has changed, and on SIGHUP, for ever.
pub(super) async fn follow(files: impl Fn() -> Vec<PathBuf>, read_again: impl Fn()) {
    let mut looks = interval(LOOK);
    looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut hangups = signal(SignalKind::hangup()).ok();
    let mut read = look(&files());
    let mut seen = read.clone();
    loop {
        let asked = tokio::select! {
            _ = looks.tick() => false,
            () = next(&mut hangups) => true,
        };
        let now = look(&files());
        if asked || (now == seen && now != read) {
            read.clone_from(&now);
            read_again();
        }
        seen = now;
    }
}

/// How `files` look now; `None` for those that cannot be seen.
fn look(files: &[PathBuf]) -> Vec<Option<Look>> {
    let look = |path: &PathBuf| {
        let metadata = std::fs::metadata(path).ok()?;
        Some(Look {
            inode: metadata.ino(),
            bytes: metadata.len(),
            modified: (metadata.mtime(), metadata.mtime_nsec()),
        })
    };
    files.iter().map(look).collect()
}

/// Waits for a SIGHUP.
async fn next(hangups: &mut Option<Signal>) {
    match hangups {
        Some(hangups) => drop(hangups.recv().await),
        None => std::future::pending().await,
    }
}
