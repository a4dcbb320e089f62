//! What is known of the fleet, and for how long. Pure: time is handed in.
//!
//! While the cluster is there, an entry lives for a lease after it was last renewed. While it is
//! away, no lease runs out, since nobody could renew: what was known when it went counts on, for
//! [`Config::memory_seconds`](crate::registry::Config). When it is back, everybody has one more
//! lease of time to renew.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use crate::media::RoomName;
use crate::registry::record::Node;
use crate::registry::{NODES_MAX, ROOMS_MAX};
use crate::runtime::clock::Instant;

/// The state of a fleet as one node has heard it.
#[derive(Debug)]
pub(super) struct Book {
    lease: Duration,
    memory: Duration,
    contact: Contact,
    rooms: HashMap<RoomName, Entry<Arc<str>>>,
    nodes: HashMap<Arc<str>, Entry<Node>>,
}

/// The way to the cluster.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Contact {
    Since(Instant),
    Lost(Instant),
}

#[derive(Debug, Clone)]
struct Entry<T> {
    value: T,
    renewed: Instant,
}

impl Book {
    pub(super) fn new(lease: Duration, memory: Duration, now: Instant) -> Self {
        Self {
            lease,
            memory,
            contact: Contact::Lost(now),
            rooms: HashMap::new(),
            nodes: HashMap::new(),
        }
    }

    /// Notes whether the cluster can be reached; true when that is news.
    pub(super) fn set_connected(&mut self, connected: bool, now: Instant) -> bool {
        let contact = match (self.contact, connected) {
            (Contact::Lost(_), true) => Contact::Since(now),
            (Contact::Since(_), false) => {
                // Whose lease had run out by now does not come back with the silence.
                self.sweep(now);
                Contact::Lost(now)
            }
            _ => return false,
        };
        self.contact = contact;
        true
    }

    #[cfg(test)]
    pub(super) fn is_connected(&self) -> bool {
        matches!(self.contact, Contact::Since(_))
    }

    /// A lease was taken or renewed. `None`: it was let go.
    pub(super) fn hear_room(&mut self, room: &RoomName, owner: Option<Arc<str>>, now: Instant) {
        match owner {
            Some(value) if self.rooms.len() < ROOMS_MAX || self.rooms.contains_key(room) => {
                let renewed = now;
                self.rooms.insert(room.clone(), Entry { value, renewed });
            }
            Some(_) => {}
            None => {
                self.rooms.remove(room);
            }
        }
    }

    /// A node has introduced itself again. `None`: it has left. True when it says something else
    /// than before.
    pub(super) fn hear_node(&mut self, name: &Arc<str>, node: Option<Node>, now: Instant) -> bool {
        let Some(value) = node else {
            return self.nodes.remove(name).is_some();
        };
        let known = self.nodes.get(name);
        let is_news = known.is_none_or(|known| known.value != value || !self.counts(known, now));
        if self.nodes.len() < NODES_MAX || known.is_some() {
            let renewed = now;
            self.nodes.insert(name.clone(), Entry { value, renewed });
        }
        is_news
    }

    /// Who has a room.
    pub(super) fn owner(&self, room: &RoomName, now: Instant) -> Option<Arc<str>> {
        let entry = self.rooms.get(room)?;
        self.counts(entry, now).then(|| entry.value.clone())
    }

    /// The nodes that are there, sorted by name.
    pub(super) fn nodes(&self, now: Instant) -> Vec<Node> {
        let there = self.nodes.values().filter(|entry| self.counts(entry, now));
        let mut nodes: Vec<Node> = there.map(|entry| entry.value.clone()).collect();
        nodes.sort_by(|a, b| a.name.cmp(&b.name));
        nodes
    }

    /// Forgets what no longer counts; true when a node was among it.
    pub(super) fn sweep(&mut self, now: Instant) -> bool {
        let (mut rooms, mut nodes) = (
            std::mem::take(&mut self.rooms),
            std::mem::take(&mut self.nodes),
        );
        let before = nodes.len();
        rooms.retain(|_, entry| self.counts(entry, now));
        nodes.retain(|_, entry| self.counts(entry, now));
        (self.rooms, self.nodes) = (rooms, nodes);
        self.nodes.len() < before
    }

    /// How many rooms and nodes are known.
    pub(super) fn counts_of(&self) -> (usize, usize) {
        (self.rooms.len(), self.nodes.len())
    }

    fn counts<T>(&self, entry: &Entry<T>, now: Instant) -> bool {
        match self.contact {
            Contact::Since(since) => {
                let renewed = entry.renewed.max(since);
                now.saturating_duration_since(renewed) < self.lease
            }
            Contact::Lost(at) => now.saturating_duration_since(at) < self.memory,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::registry::record::Role;
    use crate::runtime::clock;

    const LEASE: Duration = Duration::from_secs(10);
    const HOUR: Duration = Duration::from_secs(3600);
    const SECOND: Duration = Duration::from_secs(1);

    fn node(name: &str) -> Node {
        Node {
            name: name.into(),
            role: Role::Origin,
            relay: Some("origin:4430".into()),
            http: std::collections::BTreeMap::new(),
            level: 0,
        }
    }

    /// A book that has heard of one room and one node at its beginning.
    fn book() -> (Book, RoomName, Instant) {
        let (room, now) = (RoomName::parse("r").unwrap(), clock::now());
        let mut book = Book::new(LEASE, HOUR, now);
        book.set_connected(true, now);
        book.hear_room(&room, Some("origin-1".into()), now);
        assert!(book.hear_node(&"origin-1".into(), Some(node("origin-1")), now));
        (book, room, now)
    }

    #[test]
    fn lease_lives_as_long_as_it_is_renewed() {
        let (mut book, room, start) = book();
        for second in 1..30 {
            let now = start + second * SECOND;
            book.hear_room(&room, Some("origin-1".into()), now);
            assert_eq!(book.owner(&room, now).as_deref(), Some("origin-1"));
        }
        assert!(book.owner(&room, start + 38 * SECOND).is_some());
        assert!(book.owner(&room, start + 39 * SECOND).is_none());
        assert!(book.nodes(start + LEASE).is_empty());
        book.hear_room(&room, None, start);
        assert!(book.owner(&room, start).is_none());
    }

    #[test]
    fn last_known_state_counts_for_an_hour_without_the_cluster() {
        let (mut book, room, start) = book();
        let lost = start + 5 * SECOND;
        assert!(book.set_connected(false, lost));
        assert!(!book.set_connected(false, lost + SECOND), "no news");
        for minute in 0..60 {
            let now = lost + minute * 60 * SECOND;
            book.sweep(now);
            assert_eq!(
                book.owner(&room, now).as_deref(),
                Some("origin-1"),
                "{minute} min"
            );
            assert_eq!(book.nodes(now).len(), 1, "{minute} min");
        }
        assert!(!book.is_connected());
        assert!(book.owner(&room, lost + HOUR).is_none());
        assert!(book.sweep(lost + HOUR));
        assert_eq!(book.counts_of(), (0, 0));
    }

    #[test]
    fn everybody_may_renew_when_the_cluster_is_back() {
        let (mut book, room, start) = book();
        book.set_connected(false, start + SECOND);
        let back = start + HOUR / 2;
        assert!(book.set_connected(true, back));
        assert!(book.owner(&room, back + 9 * SECOND).is_some());
        assert!(book.owner(&room, back + 10 * SECOND).is_none());
    }

    #[test]
    fn lease_that_had_run_out_does_not_come_back_with_the_silence() {
        let (mut book, room, start) = book();
        let late = start + 2 * LEASE;
        book.set_connected(false, late);
        assert!(book.owner(&room, late).is_none());
    }

    #[test]
    fn only_news_of_a_node_are_news() {
        let (mut book, _, start) = book();
        let name: Arc<str> = "origin-1".into();
        assert!(!book.hear_node(&name, Some(node("origin-1")), start + SECOND));
        let busy = Node {
            level: 2,
            ..node("origin-1")
        };
        assert!(book.hear_node(&name, Some(busy.clone()), start + SECOND));
        assert!(
            book.hear_node(&name, Some(busy), start + 30 * SECOND),
            "it was gone"
        );
        assert!(book.hear_node(&name, None, start));
        assert!(!book.hear_node(&name, None, start));
    }
}
