//! What one child was told of the store.

use std::collections::HashMap;

use crate::live::{Store, broadcast};
use crate::media::RoomName;
use crate::media::broadcast::Kind;
use crate::relay::wire::control::{Announce, Message};

/// Compares the store with what was said.
#[derive(Debug, Default)]
pub(super) struct Announcer {
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
    tracks: usize,
    ended: bool,
    /// The round in which it was last seen in the store.
    round: u64,
}

impl Announcer {
    /// What the child has to be told now.
    pub(super) fn update(&mut self, store: &Store) -> Vec<Message> {
        let mut messages = Vec::new();
        let round = self
            .rooms
            .values()
            .map(|said| said.round)
            .max()
            .unwrap_or(0)
            + 1;
        for broadcast in store.broadcasts() {
            let info = broadcast.info();
            let key = (info.room.clone(), info.kind);
            if let Some(said) = self.rooms.get_mut(&key)
                && said.broadcast.is(&broadcast)
            {
                said.round = round;
                messages.extend(said.changed());
                continue;
            }
            self.last += 1;
            let mut said = Said {
                number: self.last,
                broadcast,
                tracks: usize::MAX,
                ended: false,
                round,
            };
            messages.extend(said.changed());
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

impl Said {
    /// The announcement, when it differs from the last one.
    fn changed(&mut self) -> Option<Message> {
        let ended = self.broadcast.is_ended();
        let tracks = self.broadcast.tracks();
        if (self.tracks, self.ended) == (tracks.len(), ended) {
            return None;
        }
        (self.tracks, self.ended) = (tracks.len(), ended);
        Some(Message::Announce(Announce {
            broadcast: self.number,
            info: self.broadcast.info().clone(),
            ended,
            tracks: tracks.iter().map(|track| track.info().clone()).collect(),
        }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::live::Config;
    use crate::media::broadcast::{Info, Kind as Holds, Profile};
    use crate::media::track::{self, Kind};

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
    fn update(announcer: &mut Announcer, store: &Store) -> String {
        let text = |message: &Message| match message {
            Message::Announce(Announce {
                broadcast,
                info,
                ended,
                tracks,
            }) => {
                let ended = if *ended { "!" } else { "" };
                format!("+{broadcast} {}:{}{ended}", info.room, tracks.len())
            }
            Message::Gone { broadcast } => format!("-{broadcast}"),
            other => format!("{other:?}"),
        };
        let messages = announcer.update(store);
        messages.iter().map(text).collect::<Vec<_>>().join(", ")
    }

    #[test]
    fn changes_are_said_once() {
        let store = Store::new(Config::default());
        let mut announcer = Announcer::default();
        let a = store.publish(info("a", "1")).unwrap();
        let b = store.publish(info("b", "1")).unwrap();
        assert_eq!(update(&mut announcer, &store), "+1 a:0, +2 b:0");
        assert_eq!(update(&mut announcer, &store), "");
        let track = track::Info {
            name: "video".into(),
            kind: Kind::Video,
            timescale: 90_000,
        };
        let _track = a.create_track(track).unwrap();
        b.end();
        assert_eq!(update(&mut announcer, &store), "+1 a:1, +2 b:0!");
        drop((a, b));
        let _again = store.publish(info("a", "2")).unwrap();
        assert_eq!(update(&mut announcer, &store), "-1, +3 a:0, -2");
        assert!(announcer.broadcast(1).is_none());
        assert!(announcer.broadcast(3).is_some());
    }
}
