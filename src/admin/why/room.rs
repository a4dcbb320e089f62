//! One room as its monitor follows it.

use std::sync::Arc;

use crate::admin::why::course::Course;
use crate::admin::why::ingest::Punctual;
use crate::live::{broadcast, track};
use crate::media::frame::{HOPS_MAX, Stamps};
use crate::media::group::Id;
use crate::media::track::Kind;
use crate::media::{Frame, rescale};
use crate::telemetry::Spread;

use crate::delivery::Pulse;

/// Frames looked at in one step: two seconds at 240 per second.
const FRAMES_MAX: usize = 512;

/// The courses of one room.
#[derive(Debug, Default)]
pub(super) struct Room {
    pub(super) epoch: Arc<str>,
    position: Option<(Id, usize)>,
    punctual: Punctual,
    /// When the newest frame with media came to this node, by its own clock.
    pub(super) heard_us: Option<i64>,
    /// Frames without media since then.
    pub(super) gaps: u64,
    /// Lateness at the origin.
    pub(super) late: Course,
    /// At each node that sent the frames on: from arrival to sending.
    pub(super) waits: Vec<Course>,
    /// On each link.
    pub(super) links: Vec<Course>,
    /// Legs that seemed to take less than no time, of the last step: the clocks are that wrong.
    pub(super) negative_us: Vec<i64>,
    /// From arrival here to viewers.
    pub(super) edge: Course,
    /// How far FLV viewers lag.
    pub(super) queue: Course,
    /// How long HLS objects take to leave.
    pub(super) delivery: Course,
    seen: Seen,
    /// Reports of players, and those of empty buffers, at each of the last steps.
    pub(super) players: std::collections::VecDeque<(u64, u64)>,
}

/// What of the pulse was counted already.
#[derive(Debug, Default)]
struct Seen {
    edge: Spread,
    queue: Spread,
    delivery: Spread,
}

impl Room {
    /// Takes what has come since the last step.
    pub(super) fn step(&mut self, broadcast: &broadcast::Consumer, pulse: Option<&Pulse>) {
        if self.epoch != broadcast.info().epoch {
            *self = Self {
                epoch: broadcast.info().epoch.clone(),
                ..Self::default()
            };
        }
        if let Some(track) = lead(broadcast) {
            let frames = track.peek(&mut self.position, FRAMES_MAX);
            self.frames(&frames, track.info().timescale);
        }
        self.punctual.step();
        if let Some(pulse) = pulse {
            self.edge.step(pulse.edge.since(&mut self.seen.edge));
            self.queue.step(pulse.queue.since(&mut self.seen.queue));
            let delivery = pulse.hls.delivery.since(&mut self.seen.delivery);
            self.delivery.step(delivery);
        }
    }

    /// Looks whether anything has come since the last step, up to a second ago.
    pub(super) fn hear(&mut self, broadcast: &broadcast::Consumer) {
        let mut position = self.position;
        let frames = lead(broadcast).map(|track| track.peek(&mut position, FRAMES_MAX));
        let mut newest = frames.iter().flatten().rev();
        if let Some(frame) = newest.find(|frame| !frame.is_gap()) {
            self.heard(frame);
        }
    }

    fn heard(&mut self, frame: &Frame) {
        let stamps = &frame.stamps;
        let hop = stamps.hops.last();
        self.heard_us = Some(hop.map_or(stamps.ingest_us, |at| at.received_us));
        self.gaps = 0;
    }

    fn frames(&mut self, frames: &[Arc<Frame>], timescale: u32) {
        let mut late = Spread::default();
        let media = frames.iter().filter(|frame| !frame.is_gap());
        let hops = media.clone().next_back().map_or(self.links.len(), |frame| {
            frame.stamps.hops.len().min(HOPS_MAX)
        });
        let mut waits = vec![Spread::default(); hops];
        let mut links = vec![Spread::default(); hops];
        self.negative_us = vec![0; hops];
        for frame in media {
            let stamps = &frame.stamps;
            let media_us = rescale(frame.dts, timescale, 1_000_000);
            late.add(self.punctual.lateness_us(media_us, stamps.ingest_us));
            if stamps.hops.len() != hops {
                continue;
            }
            for (hop, at) in stamps.hops.iter().enumerate() {
                waits[hop].add(at.sent_us - arrival_us(stamps, hop));
                let link_us = at.received_us - i64::from(at.offset_us) - at.sent_us;
                links[hop].add(link_us);
                self.negative_us[hop] = self.negative_us[hop].max(-link_us);
            }
            self.heard(frame);
        }
        self.gaps += frames
            .iter()
            .rev()
            .take_while(|frame| frame.is_gap())
            .count() as u64;
        self.late.step(late);
        step_all(&mut self.waits, waits);
        step_all(&mut self.links, links);
    }
}

/// The track that tells of all: the first picture, else the sound.
fn lead(broadcast: &broadcast::Consumer) -> Option<track::Consumer> {
    let tracks = broadcast.tracks();
    let of = |kind: fn(Kind) -> bool| {
        let wanted = |track: &&track::Consumer| kind(track.info().kind);
        // Of several renditions one that somebody watches.
        let watched = tracks
            .iter()
            .filter(wanted)
            .find(|track| track.status().readers > 0);
        watched.or_else(|| tracks.iter().find(wanted)).cloned()
    };
    of(|kind| kind == Kind::Video).or_else(|| of(|kind| kind == Kind::Audio))
}

/// A path that got shorter or longer begins anew from where it differs.
fn step_all(courses: &mut Vec<Course>, seconds: Vec<Spread>) {
    courses.resize_with(seconds.len(), Course::default);
    for (course, second) in courses.iter_mut().zip(seconds) {
        course.step(second);
    }
}

/// When the frame came to the node that sent it over `hop`, by that node's clock.
fn arrival_us(stamps: &Stamps, hop: usize) -> i64 {
    match hop.checked_sub(1) {
        Some(before) => stamps.hops[before].received_us,
        None => stamps.ingest_us,
    }
}
