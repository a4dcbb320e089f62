//! The verdict in words.

use crate::admin::why::hops::{Hop, Place};

pub(super) fn unknown() -> String {
    "nothing is known yet: no frame of the room has come to this node".into()
}

pub(super) fn fine(viewers: u64) -> String {
    format!("fine: no hop takes longer than it usually does ({viewers} viewers here)")
}

pub(super) fn silent(place: Place, at: &str, silent_us: i64) -> String {
    let seconds = silent_us as f64 / 1e6;
    let named = name(place);
    format!("{named} ({at}): no picture has come for {seconds:.1} s")
}

pub(super) fn slow(place: Place, hop: &Hop) -> String {
    let now_ms = hop.now.map_or(0.0, |now| now.p95_ms);
    let usual = match hop.baseline {
        Some(usual) => format!("usually {:.0} ms", usual.p95_ms),
        None => "there is no baseline yet".to_owned(),
    };
    let (named, at, what) = (name(place), &hop.at, hop.what);
    let lag = hop.signals.get("lag_ms").copied().unwrap_or(0.0);
    if lag > now_ms {
        return format!("{named} ({at}): its tasks run {lag:.0} ms late");
    }
    format!("{named} ({at}): {what} is {now_ms:.0} ms for 95 of 100 ({usual})")
}

/// What it is likely due to.
pub(super) fn cause(place: Place, is_silent: bool) -> Option<&'static str> {
    Some(match (place, is_silent) {
        (Place::Host, true) => "the host's encoder has stopped, or its network is gone",
        (Place::Host, false) => {
            "the host's machine or encoder pauses: frames come whole, but late and in bursts"
        }
        (Place::Uplink, _) => "the host's uplink is thin or loses packets: frames come in pieces",
        (Place::Origin, _) => "the origin's CPU or machine is short of time",
        (Place::Node, _) => "this relay's CPU or machine is short of time",
        (Place::Relay, true) => {
            "the link or the node behind it is gone: neither frames nor media gaps come"
        }
        (Place::Relay, false) => "the link is slow, congested or loses packets",
        (Place::Edge, _) => "this edge's CPU or machine is short of time",
        (Place::LastMile, _) => {
            "these viewers' networks or players take less than the stream's rate"
        }
    })
}

fn name(place: Place) -> &'static str {
    match place {
        Place::Host => "host",
        Place::Uplink => "uplink",
        Place::Origin => "origin",
        Place::Relay => "relay link",
        Place::Node => "relay node",
        Place::Edge => "edge",
        Place::LastMile => "last mile",
    }
}
