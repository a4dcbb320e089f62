//! The lists of all authors, and how they travel.

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use crate::auth::deny::{Entry, Fault};

/// What one author's list may take as JSON, in bytes: some 600 entries.
pub(super) const LIST_BYTES_MAX: usize = 60 << 10;
/// Authors that one node hears of: all their lists fit one message of the relay (256 KiB).
const AUTHORS_MAX: usize = 4;

#[derive(Debug, Default)]
pub(super) struct Lists {
    /// The name of this node, when it is an author.
    author: Option<Arc<str>>,
    by_author: BTreeMap<Arc<str>, List>,
}

/// What one author denies.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(super) struct List {
    /// Grows with each change, over restarts too: milliseconds since 1970.
    version: i64,
    entries: Vec<Entry>,
}

/// What the relay carries.
#[derive(Serialize)]
struct Policy<'a> {
    denied: &'a BTreeMap<Arc<str>, List>,
}

/// The same as it comes in; what later versions add is skipped.
#[derive(Deserialize)]
struct Learnt {
    #[serde(default)]
    denied: BTreeMap<Arc<str>, List>,
}

impl Lists {
    pub(super) fn become_author(&mut self, name: &str, entries: Vec<Entry>, now_ms: i64) {
        let name: Arc<str> = name.into();
        let list = self.by_author.entry(name.clone()).or_default();
        list.entries = entries;
        list.touch(now_ms);
        self.author = Some(name);
    }

    pub(super) fn add(&mut self, entry: Entry, now_ms: i64) -> Result<(), Fault> {
        let list = self.own_mut()?;
        let kept = list.entries.iter().filter(|other| !other.is_like(&entry));
        let mut entries: Vec<Entry> = kept.cloned().collect();
        entries.retain(|other| other.holds(now_ms));
        entries.push(entry);
        if encoded(&entries).len() > LIST_BYTES_MAX {
            let bytes_max = LIST_BYTES_MAX;
            return Err(Fault::Full { bytes_max });
        }
        list.entries = entries;
        list.touch(now_ms);
        Ok(())
    }

    pub(super) fn remove(&mut self, id: &str, now_ms: i64) -> Result<bool, Fault> {
        let list = self.own_mut()?;
        let before = list.entries.len();
        list.entries.retain(|entry| entry.id != id);
        list.touch(now_ms);
        Ok(list.entries.len() < before)
    }

    fn own_mut(&mut self) -> Result<&mut List, Fault> {
        let author = self.author.as_ref().ok_or(Fault::NoAuthor)?;
        self.by_author.get_mut(author).ok_or(Fault::NoAuthor)
    }

    /// This author's own entries.
    pub(super) fn own(&self) -> Vec<Entry> {
        let list = self
            .author
            .as_ref()
            .and_then(|author| self.by_author.get(author));
        list.map(|list| list.entries.clone()).unwrap_or_default()
    }

    pub(super) fn all(&self) -> impl Iterator<Item = &Entry> {
        self.by_author.values().flat_map(|list| &list.entries)
    }

    pub(super) fn entries(&self, now_ms: i64) -> Vec<(Arc<str>, Entry)> {
        let mut found = Vec::new();
        for (author, list) in &self.by_author {
            let holding = list.entries.iter().filter(|entry| entry.holds(now_ms));
            found.extend(holding.map(|entry| (author.clone(), entry.clone())));
        }
        found
    }

    pub(super) fn encode(&self) -> Bytes {
        if self.by_author.is_empty() {
            return Bytes::new();
        }
        let denied = &self.by_author;
        encoded(&Policy { denied }).into()
    }

    /// True when something was new.
    pub(super) fn learn(&mut self, policy: &[u8]) -> Result<bool, String> {
        let learnt: Learnt = serde_json::from_slice(policy).map_err(|error| error.to_string())?;
        let mut new = false;
        for (author, list) in learnt.denied {
            if self.author.as_ref() == Some(&author) {
                continue;
            }
            let bytes = encoded(&list.entries).len();
            if bytes > LIST_BYTES_MAX {
                return Err(format!("the list of {author} has {bytes} bytes"));
            }
            match self.by_author.get(&author) {
                Some(known) if known.version >= list.version => continue,
                None if self.by_author.len() >= AUTHORS_MAX => {
                    return Err(format!("more than {AUTHORS_MAX} authors"));
                }
                _ => {}
            }
            self.by_author.insert(author, list);
            new = true;
        }
        Ok(new)
    }
}

impl List {
    fn touch(&mut self, now_ms: i64) {
        self.version = now_ms.max(self.version.saturating_add(1));
    }
}

fn encoded(value: &impl Serialize) -> Vec<u8> {
    serde_json::to_vec(value).expect("lists have text keys only")
}
