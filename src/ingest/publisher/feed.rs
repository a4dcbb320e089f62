//! A show that comes from another node, and whether it still comes.

use crate::ingest::publisher::Now;
use crate::live::broadcast;
use crate::live::track::{self, Reader, Start};
use crate::media::track::Kind;

/// How long a feed may bring no media until it counts as lost. With the look-outs between, it is
/// decided within two seconds.
const LOST_US: i64 = 1_750_000;

/// How often to look out.
pub(super) const LOOK_US: i64 = 250_000;

/// How long to look before a feed that brings media counts as alive: a window that was asked for
/// just now is old media.
const SURE_US: i64 = 1_000_000;

/// Follows a show so that all of it is here when its source is lost.
#[derive(Debug)]
pub(super) struct Feed {
    broadcast: broadcast::Consumer,
    /// They want frames, which is why there are any.
    readers: Vec<Reader>,
    since_us: i64,
    /// The newest decode times of media, and when that was seen to change.
    newest: Vec<Option<i64>>,
    heard_us: i64,
}

/// What is known of a feed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Pulse {
    /// It is too early to say.
    Unsure,
    /// Media comes.
    Alive,
    /// None comes.
    Lost,
}

impl Feed {
    pub(super) fn new(broadcast: broadcast::Consumer, now: Now) -> Self {
        let mut feed = Self {
            broadcast,
            readers: Vec::new(),
            since_us: now.us,
            newest: Vec::new(),
            heard_us: now.us,
        };
        feed.look(now);
        feed
    }

    pub(super) fn broadcast(&self) -> &broadcast::Consumer {
        &self.broadcast
    }

    /// Notes what has come since the last look.
    pub(super) fn look(&mut self, now: Now) {
        let tracks = self.broadcast.tracks();
        for track in tracks.iter().skip(self.readers.len()) {
            self.readers.push(track.read_from(Start::Live));
        }
        let newest: Vec<_> = leading(&tracks)
            .map(|track| track.newest_media().map(|frame| frame.dts))
            .collect();
        if newest != self.newest {
            self.newest = newest;
            self.heard_us = now.us;
        }
    }

    /// When media was last seen to come.
    pub(super) fn heard_us(&self) -> i64 {
        self.heard_us
    }

    pub(super) fn pulse(&self, now: Now) -> Pulse {
        if now.us - self.heard_us >= LOST_US {
            Pulse::Lost
        } else if self.heard_us - self.since_us >= SURE_US {
            Pulse::Alive
        } else {
            Pulse::Unsure
        }
    }

    /// True when it is lost, and what is here suffices to go on with it.
    pub(super) fn can_be_succeeded(&self, now: Now) -> bool {
        self.pulse(now) == Pulse::Lost && self.newest.iter().any(Option::is_some)
    }
}

/// The tracks whose media shows that the source lives: pictures, or sound where there are none.
fn leading(tracks: &[track::Consumer]) -> impl Iterator<Item = &track::Consumer> {
    let has_video = tracks.iter().any(|track| track.info().kind == Kind::Video);
    let kind = if has_video { Kind::Video } else { Kind::Audio };
    tracks.iter().filter(move |track| track.info().kind == kind)
}
