//! Who is here, by the word of the edges. Pure.

use std::collections::HashMap;
use std::sync::Arc;

use crate::protocol::interact::question::Presence as Report;
use crate::rooms::{Sketch, SketchError};

/// How long an edge's word holds, in milliseconds: edges report every second.
const HOLDS_MS: i64 = 5000;

/// The most edge processes that are heard of at once; the words of others are not taken. A room of
/// millions has some hundred edges.
const EDGES_MAX: usize = 4096;

/// The members of one room.
#[derive(Debug, Default)]
pub(super) struct Presence {
    /// Connections now, and when they were told.
    edges: HashMap<Arc<str>, (u64, i64)>,
    users: Sketch,
    unique: u64,
}

impl Presence {
    /// Takes in what an edge says.
    pub(super) fn report(&mut self, report: &Report, now_ms: i64) -> Result<(), SketchError> {
        let users = Sketch::from_base64(&report.sketch)?;
        self.users.merge(&users);
        self.unique = self.unique.max(self.users.estimate());
        if self.edges.len() < EDGES_MAX || self.edges.contains_key(&report.edge) {
            let word = (report.online, now_ms);
            self.edges.insert(report.edge.clone(), word);
        }
        Ok(())
    }

    /// Forgets what edges said too long ago.
    pub(super) fn expire(&mut self, now_ms: i64) {
        self.edges
            .retain(|_, (_, told_ms)| *told_ms + HOLDS_MS > now_ms);
    }

    /// True while some edge's word holds.
    pub(super) fn is_known(&self) -> bool {
        !self.edges.is_empty()
    }

    /// Connections now.
    pub(super) fn online(&self) -> u64 {
        let online = self.edges.values().map(|(online, _)| *online);
        online.fold(0, u64::saturating_add)
    }

    /// Different users so far; approximate, and never less than it was.
    pub(super) fn unique(&self) -> u64 {
        self.unique
    }

    /// The sketch of all users so far, as text.
    pub(super) fn save(&self) -> String {
        self.users.to_base64()
    }

    /// Adds the users of an earlier life of the room.
    pub(super) fn restore(&mut self, saved: &str) -> Result<(), SketchError> {
        self.users.merge(&Sketch::from_base64(saved)?);
        self.unique = self.unique.max(self.users.estimate());
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn report(edge: &str, online: u64, users: &[&str]) -> Report {
        let mut sketch = Sketch::new();
        users.iter().for_each(|user| sketch.insert(user));
        Report {
            edge: edge.into(),
            online,
            sketch: sketch.to_base64(),
        }
    }

    #[test]
    fn edges_add_up_and_their_common_users_count_once() {
        let mut presence = Presence::default();
        presence.report(&report("a", 3, &["u", "v"]), 0).unwrap();
        presence.report(&report("b", 2, &["v", "w"]), 1000).unwrap();
        assert_eq!((presence.online(), presence.unique()), (5, 3));
        presence.expire(5000);
        assert_eq!((presence.online(), presence.unique()), (2, 3));
        let mut again = Presence::default();
        again.restore(&presence.save()).unwrap();
        again.report(&report("a", 1, &["u"]), 0).unwrap();
        assert_eq!((again.online(), again.unique()), (1, 3));
    }
}
