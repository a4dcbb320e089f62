//! What the answer to a request for an object of a shelf is now: one function for each kind.

use http::StatusCode;

use super::editions::{Edition, Form};
use super::shelf::Shelf;
use crate::coding::Chunks;
use crate::delivery::reply::{self, Conditions};
use crate::net::http::Response;
use crate::packaging::hls::{Answer, Availability, Decision, Directives, Lifetime, Position};

/// What a request waits for while a shelf is cold: any part at all.
pub(super) const START: Position = Position { msn: 0, part: 0 };

/// How far an answer is.
pub(super) enum Step {
    Done(Response),
    /// Look again when the shelf is past this.
    Wait(Position),
    /// The playlist has forgotten this segment.
    Fetch(u64),
}

pub(super) fn playlist(shelf: &Shelf, directives: &Directives, gzip: bool) -> Step {
    let step = shared_playlist(shelf, directives, gzip);
    if let Step::Done(response) = &step {
        watched(shelf, directives, response.status());
    }
    step
}

/// Notes that one viewer got the playlist, if that is what the answer was.
pub(super) fn watched(shelf: &Shelf, directives: &Directives, status: StatusCode) {
    if status == StatusCode::OK {
        let terms = shelf.terms();
        shelf.watched(match directives.part {
            Some(_) => terms.part_ms(),
            None => terms.target_seconds() * 1000,
        });
    }
}

/// The answer for any number of viewers, each of whom is to be noted by [`watched`].
pub(super) fn shared_playlist(shelf: &Shelf, directives: &Directives, gzip: bool) -> Step {
    if !shelf.is_warm() {
        return Step::Wait(START);
    }
    let (decision, ended) = {
        let timeline = shelf.timeline();
        (timeline.request(directives), timeline.is_ended())
    };
    match decision {
        Decision::Wait(position) => Step::Wait(position),
        Decision::Bad(refusal) => {
            let lifetime = Lifetime::of(Answer::Refused, shelf.terms());
            Step::Done(reply::problem(StatusCode::BAD_REQUEST, lifetime, refusal))
        }
        Decision::Now => {
            let answer = match (ended, directives.is_blocking()) {
                (true, _) => Answer::EndedPlaylist,
                (false, true) => Answer::BlockingPlaylist,
                (false, false) => Answer::Playlist,
            };
            Step::Done(shelf.playlist(Edition {
                form: Form::LowLatency,
                skip: directives.skip,
                answer,
                gzip,
            }))
        }
    }
}

/// The playlist without parts. It promises no blocking reload, so of `directives` only the wish for
/// a delta counts.
pub(super) fn plain_playlist(shelf: &Shelf, directives: &Directives, gzip: bool) -> Step {
    if !shelf.is_warm() {
        return Step::Wait(START);
    }
    let (decision, ended) = {
        let timeline = shelf.timeline();
        (timeline.request_plain(), timeline.is_ended())
    };
    if let Decision::Wait(position) = decision {
        return Step::Wait(position);
    }
    let answer = if ended {
        Answer::EndedPlaylist
    } else {
        Answer::Playlist
    };
    shelf.watched(shelf.terms().target_seconds() * 1000);
    Step::Done(shelf.playlist(Edition {
        form: Form::Plain,
        skip: directives.skip,
        answer,
        gzip,
    }))
}

pub(super) fn init(shelf: &Shelf, id: u32, conditions: &Conditions) -> Step {
    let found = shelf.timeline().init(id);
    match found {
        Some(bytes) => {
            let lifetime = Lifetime::of(Answer::Media, shelf.terms());
            let etag = format!("init-{id}");
            let bytes = Chunks::from(bytes);
            let reply = reply::object(&bytes, reply::MP4, lifetime, &etag, conditions);
            Step::Done(shelf.teller().init(reply))
        }
        None if shelf.is_warm() => Step::Done(missing(shelf)),
        None => Step::Wait(START),
    }
}

pub(super) fn part(shelf: &Shelf, msn: u64, index: u32, conditions: &Conditions) -> Step {
    let timeline = shelf.timeline();
    match timeline.part_request(msn, index) {
        Availability::Ready(part) => {
            let name = format!("{msn}.{index}");
            let media = (&part.bytes, Some(part.duration_ticks));
            Step::Done(segment_reply(shelf, media, &name, conditions))
        }
        Availability::Held => Step::Wait(Position { msn, part: index }),
        Availability::Missing if shelf.is_warm() => Step::Done(missing(shelf)),
        Availability::Missing => Step::Wait(START),
    }
}

pub(super) fn segment(shelf: &Shelf, msn: u64, conditions: &Conditions) -> Step {
    let timeline = shelf.timeline();
    if let Some(segment) = timeline.segment(msn) {
        let name = msn.to_string();
        let media = (&segment.bytes, Some(segment.duration_ticks));
        return Step::Done(segment_reply(shelf, media, &name, conditions));
    }
    match timeline.progress() {
        Some(next) if shelf.is_warm() => {
            if msn < next.msn {
                Step::Fetch(msn)
            } else if msn == next.msn && !timeline.is_ended() {
                // A viewer that comes from a node a little ahead of this one.
                let part = u32::MAX;
                Step::Wait(Position { msn, part })
            } else {
                Step::Done(missing(shelf))
            }
        }
        _ => Step::Wait(START),
    }
}

/// A part or a segment, with its duration where that is known.
pub(super) fn segment_reply(
    shelf: &Shelf,
    (bytes, ticks): (&Chunks, Option<u64>),
    name: &str,
    conditions: &Conditions,
) -> Response {
    let lifetime = Lifetime::of(Answer::Media, shelf.terms());
    let reply = reply::object(bytes, reply::SEGMENT, lifetime, name, conditions);
    shelf
        .teller()
        .media(reply, shelf.track().info(), ticks, bytes.len())
}

/// 404 for an object.
pub(super) fn missing(shelf: &Shelf) -> Response {
    let lifetime = Lifetime::of(Answer::Missing, shelf.terms());
    let text = "this object is not there: the playlist names those that are";
    reply::problem(StatusCode::NOT_FOUND, lifetime, text)
}
