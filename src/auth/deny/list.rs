//! The deny list of a node, as the others see it.

use std::path::PathBuf;
use std::sync::Arc;

use arc_swap::ArcSwap;
use bytes::Bytes;
use parking_lot::Mutex;
use prometheus_client::metrics::gauge::Gauge;
use tokio::sync::watch;

use crate::auth::deny::index::Index;
use crate::auth::deny::lists::Lists;
use crate::auth::deny::{Done, Entry, Fault, Suspect, Wanted, file};
use crate::runtime::clock;

/// Entries of all authors. Clones share them.
#[derive(Debug, Clone)]
pub struct DenyList(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    index: ArcSwap<Index>,
    lists: Mutex<Lists>,
    /// All lists as the relay carries them; changes whenever they do.
    policy: watch::Sender<Bytes>,
    /// Where an author keeps his list. Locked while it is written, which may take a while.
    file: Mutex<Option<PathBuf>>,
    gauge: Gauge,
}

impl Default for DenyList {
    fn default() -> Self {
        Self(Arc::new(Shared {
            index: ArcSwap::default(),
            lists: Mutex::default(),
            policy: watch::Sender::new(Bytes::new()),
            file: Mutex::default(),
            gauge: Gauge::default(),
        }))
    }
}

impl DenyList {
    /// Makes this node the author `name` of what `file` holds and of what is posted to it. Without
    /// a file, entries end with the process.
    ///
    /// Errors: the file is there and cannot be read. It is never replaced then.
    pub fn keep(&self, name: &str, file: Option<PathBuf>) -> Result<(), String> {
        let entries = file.as_deref().map(file::read).transpose()?;
        let entries = entries.unwrap_or_default();
        *self.0.file.lock() = file;
        let mut lists = self.0.lists.lock();
        lists.become_author(name, entries, now_ms());
        self.publish(&lists);
        Ok(())
    }

    /// Adds an entry, in place of one that names the same. It holds here at once, and on all nodes
    /// below within seconds.
    ///
    /// Errors: this node is no author, the entry names nobody, or the list is full.
    pub fn add(&self, wanted: Wanted) -> Result<Done<Entry>, Fault> {
        let now_ms = now_ms();
        let value = wanted.entry(now_ms)?;
        let mut lists = self.0.lists.lock();
        lists.add(value.clone(), now_ms)?;
        self.publish(&lists);
        drop(lists);
        let unsaved = self.save();
        Ok(Done { value, unsaved })
    }

    /// Takes the entry `id` away. `value`: whether it was there.
    ///
    /// Errors: this node is no author.
    pub fn remove(&self, id: &str) -> Result<Done<bool>, Fault> {
        let mut lists = self.0.lists.lock();
        let value = lists.remove(id, now_ms())?;
        self.publish(&lists);
        drop(lists);
        let unsaved = self.save();
        Ok(Done { value, unsaved })
    }

    /// All entries in force, with their authors.
    #[must_use]
    pub fn entries(&self) -> Vec<(Arc<str>, Entry)> {
        self.0.lists.lock().entries(now_ms())
    }

    /// All lists as the relay carries them, and their changes; empty while nobody has an author.
    #[must_use]
    pub fn policy(&self) -> watch::Receiver<Bytes> {
        self.0.policy.subscribe()
    }

    /// Takes over what a parent says where it is newer.
    ///
    /// Errors: it says what no parent of ours would.
    pub fn learn(&self, policy: &[u8]) -> Result<(), String> {
        let mut lists = self.0.lists.lock();
        if lists.learn(policy)? {
            self.publish(&lists);
        }
        Ok(())
    }

    /// How many entries there are.
    pub(in crate::auth) fn gauge(&self) -> Gauge {
        self.0.gauge.clone()
    }

    /// True when an entry in force names `suspect`.
    pub(in crate::auth) fn denies(&self, suspect: &Suspect<'_>) -> bool {
        let index = self.0.index.load();
        !index.is_empty() && index.denies(suspect, now_ms())
    }

    fn publish(&self, lists: &Lists) {
        let entries = i64::try_from(lists.all().count()).unwrap_or(i64::MAX);
        self.0.gauge.set(entries);
        self.0.index.store(Arc::new(Index::new(lists.all())));
        self.0.policy.send_replace(lists.encode());
    }

    /// Writes the author's own list; why not, if so.
    fn save(&self) -> Option<String> {
        let file = self.0.file.lock();
        let path = file.as_deref()?;
        let own = self.0.lists.lock().own();
        let fault = file::write(path, &own).err();
        if let Some(error) = &fault {
            tracing::error!(path = %path.display(), error, "the deny list is not saved");
        }
        fault
    }
}

fn now_ms() -> i64 {
    clock::unix_us() / 1000
}
