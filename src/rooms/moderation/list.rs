//! The list of words in its file: read at the start, and again whenever the file changes.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use arc_swap::ArcSwap;
use parking_lot::Mutex;

use crate::rooms::moderation::Error;
use crate::rooms::moderation::metrics::Metrics;
use crate::rooms::moderation::words::{LIST_BYTES_MAX, ListError, Words};
use crate::runtime::Shutdown;

/// How often the file is looked at; a change is in force within twice that.
const LOOK: Duration = Duration::from_secs(1);

/// What tells one version of a file from another.
type Version = Option<(SystemTime, u64)>;

/// The words in force.
#[derive(Debug)]
pub(super) struct List {
    path: Mutex<Option<PathBuf>>,
    words: ArcSwap<Words>,
    metrics: Metrics,
}

impl List {
    /// Reads the list. Without a `path` it is empty, and stays so.
    pub(super) fn open(path: Option<&Path>, metrics: Metrics) -> Result<Self, Error> {
        let words = path.map(read).transpose()?.unwrap_or_default();
        metrics
            .words
            .set(words.len().try_into().unwrap_or(i64::MAX));
        Ok(Self {
            path: Mutex::new(path.map(Path::to_owned)),
            words: ArcSwap::from_pointee(words),
            metrics,
        })
    }

    /// The line of a word in `folded`.
    pub(super) fn find(&self, folded: &str) -> Option<usize> {
        self.words.load().find(folded)
    }

    /// Reads the list again. On an error the old one stays.
    pub(super) fn reload(&self) -> Result<(), Error> {
        let Some(path) = self.path.lock().clone() else {
            return Ok(());
        };
        match read(&path) {
            Ok(words) => {
                let count = words.len();
                self.words.store(Arc::new(words));
                self.metrics.words.set(count.try_into().unwrap_or(i64::MAX));
                tracing::info!(path = %path.display(), words = count, "list of words in force");
                Ok(())
            }
            Err(error) => {
                self.metrics.list_faults.inc();
                Err(error)
            }
        }
    }

    /// Takes its words from `path` from now on; from none, it is empty. On an error all stays.
    pub(super) fn follow(&self, path: Option<&Path>) -> Result<(), Error> {
        if self.path.lock().as_deref() == path {
            return Ok(());
        }
        let words = path.map(read).transpose()?.unwrap_or_default();
        *self.path.lock() = path.map(Path::to_owned);
        self.metrics
            .words
            .set(words.len().try_into().unwrap_or(i64::MAX));
        self.words.store(Arc::new(words));
        Ok(())
    }

    /// Reloads whenever the file changes, until shutdown.
    pub(super) async fn watch(self: Arc<Self>, shutdown: Shutdown) {
        // What changed between the first reading and now is read once more.
        let mut known = None;
        loop {
            let path = self.path.lock().clone();
            let found = match &path {
                Some(path) => version(path).await,
                None => None,
            };
            if found != known {
                known = found;
                let list = self.clone();
                let reloaded = tokio::task::spawn_blocking(move || list.reload()).await;
                if let Ok(Err(error)) = reloaded {
                    tracing::warn!(%error, "the old list of words stays in force");
                }
            }
            tokio::select! {
                () = shutdown.requested() => return,
                () = tokio::time::sleep(LOOK) => {}
            }
        }
    }
}

/// Whether the list in `path` could be used.
pub(super) fn check(path: &Path) -> Result<(), Error> {
    read(path).map(drop)
}

fn read(path: &Path) -> Result<Words, Error> {
    let unreadable = |error: std::io::Error| Error::Unreadable {
        path: path.to_owned(),
        error,
    };
    let bytes = std::fs::metadata(path).map_err(unreadable)?.len();
    let fault = |error| Error::List {
        path: path.to_owned(),
        error,
    };
    if bytes > LIST_BYTES_MAX as u64 {
        let bytes = usize::try_from(bytes).unwrap_or(usize::MAX);
        return Err(fault(ListError::TooLong(bytes)));
    }
    let text = std::fs::read_to_string(path).map_err(unreadable)?;
    Words::parse(&text).map_err(fault)
}

async fn version(path: &Path) -> Version {
    let found = tokio::fs::metadata(path).await.ok()?;
    Some((found.modified().ok()?, found.len()))
}
