//! What control messages say.

use std::sync::Arc;

use bytes::Bytes;

use crate::media::broadcast::Info;
use crate::media::group::Id;
use crate::media::track::Info as TrackInfo;
use crate::media::{Class, RoomName};

/// One control message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Message {
    /// The first message in either direction.
    Hello(Hello),
    /// Parent: a live broadcast, or its changed state; replaces what was said of this number.
    Announce(Announce),
    /// Parent: the broadcast is no longer in its store.
    Gone {
        /// The number of the broadcast.
        broadcast: u64,
    },
    /// Child: frames of this track, please.
    Subscribe(Subscribe),
    /// Child: no more frames.
    Unsubscribe {
        /// The number of the subscription.
        subscription: u64,
    },
    /// Parent: group streams will come.
    SubscribeOk {
        /// The number of the subscription.
        subscription: u64,
        /// The first group that will come (or be missed).
        start: Id,
        /// The newest group the parent has.
        latest: Id,
    },
    /// Parent: the track is not there (any more), or the child asks for too much.
    SubscribeError {
        /// The number of the subscription.
        subscription: u64,
    },
    /// Parent: the rest of this group will not come.
    Missing {
        /// The number of the subscription.
        subscription: u64,
        /// The group.
        group: Id,
    },
    /// Parent: the track has ended; streams up to `last` were opened or missed.
    TrackEnd {
        /// The number of the subscription.
        subscription: u64,
        /// The last group; `None` when there was none.
        last: Option<Id>,
    },
    /// Child, once a second: its clock, and what it thinks of the link.
    Ping(Ping),
    /// Parent: the answer.
    Pong {
        /// The ping's time, by the child's clock, in microseconds since 1970.
        sent_us: i64,
        /// Arrival of the ping by the parent's clock.
        received_us: i64,
        /// Departure of the answer by the parent's clock.
        answered_us: i64,
    },
    /// Child, first on a stream of its own: one older group, please.
    Fetch(Fetch),
    /// Child, first on a stream of its own: questions of this class follow, until the link ends.
    Questions {
        /// The class.
        class: Class,
    },
    /// Parent: it goes down. Take another parent now.
    Goaway {
        /// Why, for people: text of at most [`super::REASON_BYTES_MAX`] bytes.
        reason: Arc<str>,
        /// When the link is closed, in milliseconds from now.
        deadline_ms: u64,
    },
    /// Child: how it fares; opaque here, at most [`super::REPORT_BYTES_MAX`].
    Report(Bytes),
    /// Parent: what holds in the fleet; opaque here, at most [`super::POLICY_BYTES_MAX`].
    Policy(Bytes),
    /// Child: how far is this track at the parent? Asks for no frames.
    Probe {
        /// The announced broadcast.
        broadcast: u64,
        /// The name of the track.
        track: Arc<str>,
    },
    /// Parent: the answer to a probe.
    Progress {
        /// The broadcast of the probe.
        broadcast: u64,
        /// How far its newest group is; `None` when the parent has no frames of the track, as when
        /// nobody reads it there.
        newest: Option<Position>,
    },
}

/// Who speaks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hello {
    /// The lowest protocol version spoken.
    pub lowest: u64,
    /// The highest one. Both ends use the lower of theirs.
    pub version: u64,
    /// The node's name in logs and in the admin API, at most [`super::NODE_NAME_BYTES_MAX`] bytes.
    pub node: Arc<str>,
    /// What the dialling node wants; the other one says [`Purpose::Pull`].
    pub purpose: Purpose,
}

/// What a node dials another one for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Purpose {
    /// It is a child: frames come down to it.
    Pull,
    /// It has shows of its own: the other node pulls them over this connection, with the ends
    /// swapped.
    Push,
    /// It is an origin beside the other one, and follows the shows that are published there.
    Peer,
}

/// A broadcast of the parent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Announce {
    /// The number that stands for it on this connection; never used for another one.
    pub broadcast: u64,
    /// What it is.
    pub info: Info,
    /// True once the show is over.
    pub ended: bool,
    /// Its tracks so far.
    pub tracks: Vec<TrackInfo>,
    /// How often another node has gone on with the show.
    pub term: u32,
    /// The nodes it came through: where it is published first, the one that says this last. At
    /// most [`super::PATH_MAX`]; empty from a parent of version 1.
    pub path: Vec<Arc<str>>,
}

/// How far a track is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Position {
    /// The group.
    pub group: Id,
    /// Frames of it.
    pub frames: u64,
}

/// A wish for the frames of one track.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Subscribe {
    /// The number that stands for it on this connection, chosen by the child, never used twice.
    pub subscription: u64,
    /// The announced broadcast.
    pub broadcast: u64,
    /// The name of the track.
    pub track: Arc<str>,
    /// Where to begin.
    pub start: Start,
}

/// Where a subscription begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Start {
    /// At the oldest group of the parent's window.
    Window,
    /// At this frame of this group; what the child has of later groups it throws away again.
    At(Id, u64),
}

/// The child's side of a ping.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ping {
    /// By the child's clock, in microseconds since 1970.
    pub sent_us: i64,
    /// The child's estimate so far, for the parent's status page.
    pub estimate: Option<Estimate>,
}

/// How two clocks stand.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Estimate {
    /// Round trip of the sample used, in microseconds.
    pub rtt_us: u64,
    /// Child's clock minus parent's, in microseconds.
    pub offset_us: i64,
    /// How far the offset may be wrong, in microseconds.
    pub error_us: u64,
}

/// A wish for one complete group.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fetch {
    /// The room.
    pub room: RoomName,
    /// The show.
    pub epoch: Arc<str>,
    /// The track.
    pub track: Arc<str>,
    /// The group.
    pub group: Id,
}
