//! What one child was told of the store.

use std::collections::HashMap;

use std::sync::Arc;

use crate::live::broadcast;
use crate::media::RoomName;
use crate::media::broadcast::Kind;
use crate::relay::pull::Came;
use crate::relay::serve::Source;
use crate::relay::wire::control::{Announce, Message, PATH_MAX, Purpose};

/// What of the store is announced.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::relay) enum View {
    /// All of it: to children.
    Everything,
    /// Shows that were published here, or pushed here by children: to parents and to origins beside
    /// this one.
    OwnShows,
}

/// Compares the store with what was said.
#[derive(Debug)]
pub(super) struct Announcer {
    view: View,
    rooms: HashMap<Key, Said>,
    /// Broadcasts by the number said.
    numbers: HashMap<u64, Key>,
    last: u64,
}

/// What a room has at most one of at a time.
type Key = (RoomName, Kind);

#[derive(Debug)]
struct Said {
    number: u64,
    broadcast: broadcast::Consumer,
    /// What was said of it last.
    announce: Option<Announce>,
    /// The round in which it was last seen in the store.
    round: u64,
}

impl Announcer {
    pub(super) fn new(view: View) -> Self {
        Self {
            view,
            rooms: HashMap::new(),
            numbers: HashMap::new(),
            last: 0,
        }
    }

    /// What the child has to be told now.
    pub(super) fn update(&mut self, source: &Source) -> Vec<Message> {
        let mut messages = Vec::new();
        let round = self
            .rooms
            .values()
            .map(|said| said.round)
            .max()
            .unwrap_or(0)
            + 1;
        for broadcast in source.store.broadcasts() {
            let info = broadcast.info();
            let key = (info.room.clone(), info.kind);
            let came = source.rooms.came(&key);
            let Some(path) = self.view.path(&source.node, &broadcast, came) else {
                continue;
            };
            if let Some(said) = self.rooms.get_mut(&key)
                && said.broadcast.is(&broadcast)
            {
                said.round = round;
                messages.extend(said.changed(path));
                continue;
            }
            self.last += 1;
            let mut said = Said {
                number: self.last,
                broadcast,
                announce: None,
                round,
            };
            messages.extend(said.changed(path));
            self.numbers.insert(self.last, key.clone());
            if let Some(before) = self.rooms.insert(key, said) {
                self.numbers.remove(&before.number);
                let gone = Message::Gone {
                    broadcast: before.number,
                };
                messages.insert(messages.len() - 1, gone);
            }
        }
        self.rooms.retain(|_, said| {
            let stays = said.round == round;
            if !stays {
                self.numbers.remove(&said.number);
                messages.push(Message::Gone {
                    broadcast: said.number,
                });
            }
            stays
        });
        messages
    }

    /// The broadcast that was announced by this number.
    pub(super) fn broadcast(&self, number: u64) -> Option<&broadcast::Consumer> {
        let key = self.numbers.get(&number)?;
        self.rooms.get(key).map(|said| &said.broadcast)
    }
}

impl View {
    /// The path that a broadcast is announced with; `None` when it is not announced.
    fn path(
        self,
        node: &Arc<str>,
        broadcast: &broadcast::Consumer,
        came: Option<Came>,
    ) -> Option<Vec<Arc<str>>> {
        let is_own = came.as_ref().is_none_or(|came| came.way == Purpose::Push);
        let is_show = broadcast.info().kind == Kind::Show;
        if self == Self::OwnShows && !(is_own && is_show && !broadcast.is_followed()) {
            return None;
        }
        let mut path = came.map_or_else(Vec::new, |came| came.path);
        path.push(node.clone());
        (path.len() <= PATH_MAX).then_some(path)
    }
}

impl Said {
    /// The announcement, when it differs from the last one.
    fn changed(&mut self, path: Vec<Arc<str>>) -> Option<Message> {
        let tracks = self.broadcast.tracks();
        let announce = Announce {
            broadcast: self.number,
            info: self.broadcast.info().clone(),
            ended: self.broadcast.is_ended(),
            tracks: tracks.iter().map(|track| track.info().clone()).collect(),
            term: self.broadcast.term(),
            path,
        };
        if self.announce.as_ref() == Some(&announce) {
            return None;
        }
        self.announce = Some(announce.clone());
        Some(Message::Announce(announce))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::media::broadcast::{Info, Kind as Holds, Profile};
    use crate::media::track::{self, Kind};
    use crate::net::tls::Authority;
    use crate::relay::tests::peers::Node;

    fn info(room: &str, epoch: &str) -> Info {
        Info {
            room: RoomName::parse(room).unwrap(),
            kind: Holds::Show,
            epoch: epoch.into(),
            started_us: 0,
            timing: Profile::Low.timing(),
        }
    }

    /// `+1 a:0` announced as 1 with no track, `-1` gone.
    fn update(announcer: &mut Announcer, source: &Source) -> String {
        let text = |message: &Message| match message {
            Message::Announce(Announce {
                broadcast,
                info,
                ended,
                tracks,
                ..
            }) => {
                let ended = if *ended { "!" } else { "" };
                format!("+{broadcast} {}:{}{ended}", info.room, tracks.len())
            }
            Message::Gone { broadcast } => format!("-{broadcast}"),
            other => format!("{other:?}"),
        };
        let messages = announcer.update(source);
        messages.iter().map(text).collect::<Vec<_>>().join(", ")
    }

    #[tokio::test]
    async fn changes_are_said_once() {
        let authority = Authority::create("test");
        let node = Node::new("node", &authority).serve();
        let (store, source) = (node.store(), node.puller.as_ref().unwrap().source());
        let mut announcer = Announcer::new(View::Everything);
        let a = store.publish(info("a", "1")).unwrap();
        let b = store.publish(info("b", "1")).unwrap();
        assert_eq!(update(&mut announcer, &source), "+1 a:0, +2 b:0");
        assert_eq!(update(&mut announcer, &source), "");
        let track = track::Info {
            name: "video".into(),
            kind: Kind::Video,
            timescale: 90_000,
        };
        let _track = a.create_track(track).unwrap();
        b.end();
        assert_eq!(update(&mut announcer, &source), "+1 a:1, +2 b:0!");
        drop((a, b));
        let _again = store.publish(info("a", "2")).unwrap();
        assert_eq!(update(&mut announcer, &source), "-1, +3 a:0, -2");
        assert!(announcer.broadcast(1).is_none());
        assert!(announcer.broadcast(3).is_some());
    }
}
