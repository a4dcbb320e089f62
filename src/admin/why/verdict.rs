//! The first bad hop.

use serde::Serialize;

use crate::admin::why::hops::{Evidence, Hop, Place};
use crate::admin::why::words;

/// Without a frame for so long a room is silent, in microseconds: longer than any frame interval
/// and than what a link needs to send a frame again.
const SILENT_US: i64 = 1_200_000;

/// A hop that explains this share of the worst one's excess is not its consequence.
const SHARE: f64 = 0.4;

/// The share of the time in the middle of a message that any network takes.
const CUT_SHORT_MIN: f64 = 0.05;

/// What is wrong, if anything.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(super) struct Verdict {
    pub(super) state: State,
    pub(super) hop: Option<Place>,
    pub(super) at: Option<String>,
    pub(super) excess_ms: f64,
    /// One sentence.
    pub(super) words: String,
    /// What it is likely due to.
    pub(super) cause: Option<&'static str>,
    pub(super) affected_viewers: u64,
}

/// How a room is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum State {
    /// Nothing stands out.
    Fine,
    /// Frames come late.
    Slow,
    /// No frames come.
    Silent,
    /// Nobody watches here, or nothing was seen yet.
    Unknown,
}

/// Judges `hops` at `now_us`.
pub(super) fn judge(evidence: &Evidence<'_>, hops: &[Hop], now_us: i64) -> Verdict {
    let room = evidence.room;
    let viewers = evidence.viewers.hls + evidence.viewers.flv;
    let Some(heard_us) = room.heard_us else {
        return Verdict {
            state: State::Unknown,
            hop: None,
            at: None,
            excess_ms: 0.0,
            words: words::unknown(),
            cause: None,
            affected_viewers: 0,
        };
    };
    let silent_us = now_us - heard_us;
    if silent_us > SILENT_US {
        let hop = silent_at(evidence, hops, silent_us);
        return Verdict {
            state: State::Silent,
            hop: Some(hop.0),
            at: Some(hop.1.clone()),
            excess_ms: silent_us as f64 / 1000.0,
            words: words::silent(hop.0, &hop.1, silent_us),
            cause: words::cause(hop.0, true),
            affected_viewers: viewers,
        };
    }
    let worst_ms = hops
        .iter()
        .filter(|hop| is_late(hop))
        .map(|hop| hop.excess_ms);
    let worst_ms = worst_ms.fold(0.0, f64::max);
    let first = hops
        .iter()
        .find(|hop| is_late(hop) && hop.excess_ms >= worst_ms * SHARE);
    let Some(bad) = first else {
        return Verdict {
            state: State::Fine,
            hop: None,
            at: None,
            excess_ms: 0.0,
            words: words::fine(viewers),
            cause: None,
            affected_viewers: 0,
        };
    };
    let place = match bad.hop {
        Place::Host => host_or_uplink(evidence),
        place => place,
    };
    let slow = bad.signals.get("slow_viewers").copied().unwrap_or(0.0) as u64;
    Verdict {
        state: State::Slow,
        hop: Some(place),
        at: Some(bad.at.clone()),
        excess_ms: bad.excess_ms,
        words: words::slow(place, bad),
        cause: words::cause(place, false),
        affected_viewers: match place {
            Place::LastMile => slow.max(1).min(viewers),
            _ => viewers,
        },
    }
}

/// Marks the hop that `verdict` names.
pub(super) fn marked(mut hops: Vec<Hop>, verdict: &Verdict) -> Vec<Hop> {
    for hop in &mut hops {
        let named = match verdict.hop {
            Some(Place::Uplink) => hop.hop == Place::Host,
            Some(place) => hop.hop == place && verdict.at.as_ref() == Some(&hop.at),
            None => false,
        };
        hop.bad = named;
    }
    hops
}

/// True for an excess that viewers may notice.
fn is_late(hop: &Hop) -> bool {
    let floor_ms = match hop.hop {
        Place::Host | Place::Uplink => 100.0,
        Place::Origin | Place::Node | Place::Edge => 50.0,
        Place::Relay => 40.0,
        Place::LastMile => 250.0,
    };
    hop.excess_ms >= floor_ms
}

/// What a host adds and what its network adds look the same in the stamps. The origin's socket
/// tells them apart: a network brings messages in pieces, an encoder that pauses sends none.
fn host_or_uplink(evidence: &Evidence<'_>) -> Place {
    let origin = evidence.node(0);
    match origin.and_then(|origin| origin.ingest) {
        Some(ingest) if ingest.cut_short > ingest.silent.max(CUT_SHORT_MIN) => Place::Uplink,
        _ => Place::Host,
    }
}

/// Where frames stop.
fn silent_at(evidence: &Evidence<'_>, hops: &[Hop], silent_us: i64) -> (Place, String) {
    // This node could not hear while it stood still.
    let share_ms = silent_us as f64 / 1000.0 * SHARE;
    let stood = |hop: &&Hop| hop.hop == Place::Edge && hop.excess_ms >= share_ms;
    if let Some(edge) = hops.iter().find(stood) {
        return (Place::Edge, edge.at.clone());
    }
    let origin = evidence.node(0);
    let ingest = origin.and_then(|origin| origin.ingest);
    // A stretch without media is the origin's word that it hears nothing.
    let host_is_silent = evidence.room.gaps > 0
        || ingest.is_some_and(|ingest| ingest.stalled || ingest.silent + ingest.cut_short > 0.3);
    let named = |place: Place| {
        let at = hops.iter().filter(|hop| hop.hop == place);
        at.map(|hop| hop.at.clone()).next_back().unwrap_or_default()
    };
    if host_is_silent {
        return (host_or_uplink(evidence), named(Place::Host));
    }
    if evidence.links() == 0 {
        return (Place::Host, named(Place::Host));
    }
    (Place::Relay, named(Place::Relay))
}

#[cfg(test)]
#[path = "verdict_test.rs"]
mod tests;
