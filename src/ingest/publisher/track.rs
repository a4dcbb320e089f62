//! One track of a show: its pace, its parts, its groups, its initialization.

use std::collections::VecDeque;

use bytes::Bytes;

use crate::ingest::publisher::Now;
use crate::ingest::publisher::access::{Loss, Outcome};
use crate::ingest::publisher::cutter::{Parts, group_max};
use crate::ingest::publisher::pace::{AudioPace, Times, VideoPace};
use crate::live::track::{Consumer, GroupProducer, Producer};
use crate::media::broadcast::Timing;
use crate::media::frame::{Flags, Stamps};
use crate::media::group::{Head, Id};
use crate::media::track::Info;
use crate::media::{Frame, VIDEO_TIMESCALE, rescale};

/// Groups of the leading track that a following one may be behind. One that is further behind gets
/// them without media, so that every group number exists in every track.
const BEHIND_MAX: usize = 4;

/// How long an encoder that comes back may send what it kept while its time has passed, before its
/// clock counts as one that stood still.
const CATCH_UP_US: i64 = 1_000_000;

/// A group of the show, which every track opens when it gets there.
#[derive(Debug, Clone, Copy)]
pub(super) struct Cut {
    pub(super) id: Id,
    /// When it is shown first, in ticks of [`VIDEO_TIMESCALE`].
    pub(super) start: i64,
    pub(super) discontinuities: u32,
    /// Capture time of broadcast time zero, in microseconds since 1970.
    pub(super) anchor_us: i64,
}

/// The time base of a track.
#[derive(Debug)]
pub(super) enum Pace {
    Video(VideoPace),
    Audio(AudioPace),
}

/// The writer of one track.
#[derive(Debug)]
pub(super) struct Track {
    producer: Producer,
    pub(super) pace: Pace,
    pub(super) parts: Parts,
    /// It has had a group.
    started: bool,
    group: Option<GroupProducer>,
    pub(super) group_start: i64,
    /// The longest that a group may be, in ticks.
    group_max: i64,
    /// The initialization in force and its number.
    init: Option<(u32, Bytes)>,
    /// The initialization that the next group brings.
    next_init: Option<Bytes>,
    /// Groups of the show that this track has not reached.
    ahead: VecDeque<Cut>,
    /// When the newest frame was appended, and its decode time in video ticks.
    fed: Option<(i64, i64)>,
    /// When the newest access unit arrived, appended or not.
    arrived_us: i64,
    /// Stretches without media are being appended.
    gapping: bool,
    /// When the encoder was heard again in a gap.
    resumed_us: Option<i64>,
}

impl Track {
    pub(super) fn new(producer: Producer, pace: Pace, timing: &Timing) -> Self {
        let timescale = producer.info().timescale;
        let parts = Parts::new(timing, timescale);
        Self {
            producer,
            pace,
            parts,
            started: false,
            group: None,
            group_start: 0,
            group_max: group_max(timing, timescale),
            init: None,
            next_init: None,
            ahead: VecDeque::new(),
            fed: None,
            arrived_us: 0,
            gapping: false,
            resumed_us: None,
        }
    }

    /// Goes on with a track that another node has written so far, as it was when `last` was the
    /// newest frame of its newest group. `heard_us`: when media last came.
    pub(super) fn resume(&mut self, head: &Head, last: Times, heard_us: i64) {
        self.started = true;
        self.group_start = head.dts;
        self.init = Some((head.init_id, head.init.clone()));
        match &mut self.pace {
            Pace::Video(pace) => pace.resume(last),
            Pace::Audio(pace) => pace.resume(last),
        }
        let dts = rescale(last.dts, self.timescale(), VIDEO_TIMESCALE);
        self.fed = Some((heard_us, dts));
    }

    /// What the track is.
    pub(super) fn info(&self) -> &Info {
        self.producer.info()
    }

    /// What readers of the track see.
    pub(super) fn consumer(&self) -> Consumer {
        self.producer.consumer()
    }

    /// Sets the initialization. False when it is the one in force, or due, already.
    pub(super) fn configure(&mut self, init: Bytes) -> bool {
        let in_force = match (&self.next_init, &self.init) {
            (Some(due), _) => Some(due),
            (None, in_force) => in_force.as_ref().map(|(_, init)| init),
        };
        if in_force == Some(&init) {
            return false;
        }
        self.next_init = Some(init);
        true
    }

    /// Another encoder goes on with this track: the next group brings a new initialization, be it
    /// equal to the one before.
    pub(super) fn renew(&mut self) {
        if let Some((_, init)) = &self.init {
            self.next_init.get_or_insert_with(|| init.clone());
        }
    }

    pub(super) fn is_configured(&self) -> bool {
        self.init.is_some() || self.next_init.is_some()
    }

    /// True once it has a group.
    pub(super) fn is_started(&self) -> bool {
        self.started
    }

    /// True when nothing can go on before a new group: at the start, with a new initialization.
    pub(super) fn needs_group(&self) -> bool {
        !self.is_started() || self.next_init.is_some()
    }

    /// True when only a key frame can go on: there, and after a gap.
    pub(super) fn needs_key(&self) -> bool {
        self.needs_group() || self.gapping
    }

    /// True when the next group cannot join the one before.
    pub(super) fn is_interrupted(&self) -> bool {
        self.is_started() && self.needs_key()
    }

    pub(super) fn is_gapping(&self) -> bool {
        self.gapping
    }

    pub(super) fn timescale(&self) -> u32 {
        self.producer.info().timescale
    }

    /// When the track is over so far, in its own ticks.
    pub(super) fn end(&self) -> Option<i64> {
        match &self.pace {
            Pace::Video(pace) => pace.end(),
            Pace::Audio(pace) => pace.end(),
        }
    }

    /// When the track is over so far, in video ticks.
    pub(super) fn end_in_video_ticks(&self) -> Option<i64> {
        Some(rescale(self.end()?, self.timescale(), VIDEO_TIMESCALE))
    }

    /// Where the wall clock says that the track should be at `now_us`, in video ticks.
    pub(super) fn position(&self, now_us: i64) -> Option<i64> {
        let (fed_us, dts) = self.fed?;
        Some(dts + (now_us - fed_us).max(0) * 9 / 100)
    }

    /// When the newest frame was appended.
    pub(super) fn fed_us(&self) -> Option<i64> {
        self.fed.map(|(fed_us, _)| fed_us)
    }

    /// An access unit has arrived.
    pub(super) fn arrive(&mut self, now_us: i64) {
        self.arrived_us = now_us;
        self.resumed_us.get_or_insert(now_us);
    }

    /// What to do with an access unit of `dts` whose time has passed in a gap: nothing while the
    /// encoder may be sending what it kept, else move its clock. A picture that the decoder can
    /// start with is not lost for less than a part, which is the network's jitter.
    pub(super) fn late(&self, dts: i64, starts: bool, now_us: i64) -> Option<Outcome> {
        let behind = self.end()? - dts;
        if !self.gapping || behind <= 0 {
            return None;
        }
        let kept = !starts || behind > self.parts.target();
        if kept && now_us - self.resumed_us? < CATCH_UP_US {
            return Some(Outcome::Dropped(Loss::Late));
        }
        // To where the wall clock is, for the gap goes on until a key frame ends it.
        let by = self.position(now_us)? - rescale(dts, self.timescale(), VIDEO_TIMESCALE);
        Some(Outcome::Behind {
            by_ms: by.div_euclid(90) + 1,
        })
    }

    /// Since when nothing was heard.
    pub(super) fn silent_since_us(&self) -> i64 {
        self.arrived_us.max(self.fed_us().unwrap_or(0))
    }

    // === groups ===

    /// Opens `cut` with a frame of `dts`, shown at `pts`; both in ticks of the track.
    pub(super) fn open(&mut self, cut: &Cut, dts: i64, pts: i64, independent: bool) {
        if let Some(group) = self.group.take() {
            group.finish();
        }
        self.parts.restart();
        self.started = true;
        self.group_start = dts;
        if let Some(init) = self.next_init.take() {
            let number = self.init.as_ref().map_or(0, |(number, _)| number + 1);
            self.init = Some((number, init));
        }
        let (init_id, init) = self.init.clone().unwrap_or_default();
        self.group = self.producer.group(Head {
            id: cut.id,
            discontinuities: cut.discontinuities,
            init_id,
            init,
            wall_us: cut.anchor_us + rescale(pts, self.timescale(), 1_000_000),
            dts,
            independent,
        });
    }

    /// Tells of a group of the show that this track has to open in time.
    pub(super) fn queue(&mut self, cut: Cut) {
        self.ahead.push_back(cut);
        if self.ahead.len() > BEHIND_MAX {
            self.skip_group();
        }
    }

    /// The group that a frame shown at `pts` begins, in ticks of the track. Groups that lie wholly
    /// before it get no media.
    pub(super) fn reach(&mut self, pts: i64) -> Option<Cut> {
        let pts = rescale(pts, self.timescale(), VIDEO_TIMESCALE);
        while self.ahead.get(1).is_some_and(|cut| cut.start <= pts) {
            self.skip_group();
        }
        self.ahead.pop_front_if(|cut| cut.start <= pts)
    }

    /// The next group of the show that another track has opened already.
    pub(super) fn next_ahead(&mut self) -> Option<Cut> {
        self.ahead.pop_front()
    }

    /// Lets the groups that others have opened pass without media.
    pub(super) fn skip_ahead(&mut self) {
        while !self.ahead.is_empty() {
            self.skip_group();
        }
    }

    /// True when the open group would be longer than any may be with a frame that ends at `end`.
    pub(super) fn is_overdue(&self, end: i64) -> bool {
        self.is_started() && end - self.group_start > self.group_max
    }

    /// Whether [`Self::reach`] would find a group.
    pub(super) fn reaches(&self, pts: i64) -> bool {
        let pts = rescale(pts, self.timescale(), VIDEO_TIMESCALE);
        self.ahead.front().is_some_and(|cut| cut.start <= pts)
    }

    /// Opens the oldest group ahead without media.
    fn skip_group(&mut self) {
        if self.ahead.pop_front_if(|_| !self.started).is_some() {
            return;
        }
        if let Some(cut) = self.ahead.pop_front() {
            self.gap_group(&cut);
            self.gap();
        }
    }

    // === frames ===

    /// Appends a frame to the open group.
    pub(super) fn append(&mut self, times: Times, key: bool, payload: Bytes, now: Now) {
        let mut flags = if key { Flags::KEY } else { Flags::default() };
        if self.parts.add(times.dts, times.duration) {
            flags = flags.with(Flags::PART_END);
        }
        let dts = rescale(times.dts, self.timescale(), VIDEO_TIMESCALE);
        self.fed = Some((now.us, dts));
        self.gapping = false;
        self.resumed_us = None;
        let stamps = Stamps {
            capture_us: now.unix_us,
            ingest_us: now.unix_us,
            ..Stamps::default()
        };
        self.write(times, flags, stamps, payload);
    }

    /// Opens `cut` where the track is over so far, for stretches without media.
    pub(super) fn gap_group(&mut self, cut: &Cut) {
        if let Some(end) = self.end() {
            // Nothing in it needs a frame from before.
            self.open(cut, end, end, true);
        }
    }

    /// Appends one part without media, or less of it up to the next group.
    pub(super) fn gap(&mut self) {
        let Some(end) = self.end() else { return };
        let target = self.parts.target();
        let until_next = self
            .ahead
            .front()
            .map(|cut| rescale(cut.start, VIDEO_TIMESCALE, self.timescale()) - end)
            .filter(|ticks| *ticks > 0);
        let duration = until_next.unwrap_or(target).min(target);
        let dts = match &mut self.pace {
            Pace::Video(pace) => pace.gap(duration),
            Pace::Audio(pace) => pace.gap(duration),
        };
        let Some(dts) = dts else { return };
        if !std::mem::replace(&mut self.gapping, true) {
            self.resumed_us = None;
        }
        self.parts.restart();
        let times = Times {
            dts,
            composition: 0,
            duration,
        };
        let flags = Flags::GAP.with(Flags::PART_END);
        self.write(times, flags, Stamps::default(), Bytes::new());
    }

    /// Appends stretches without media up to `until`, in video ticks.
    pub(super) fn fill(&mut self, until: i64) {
        let part = rescale(self.parts.target(), self.timescale(), VIDEO_TIMESCALE);
        while let Some(end) = self.end()
            && let start = rescale(end, self.timescale(), VIDEO_TIMESCALE)
            && start + part <= until
        {
            let overdue = self.is_overdue(end + self.parts.target());
            let due = |cut: &mut Cut| overdue || cut.start <= start;
            if let Some(cut) = self.ahead.pop_front_if(due) {
                self.gap_group(&cut);
            } else if overdue {
                return;
            }
            self.gap();
        }
    }

    fn write(&mut self, times: Times, flags: Flags, stamps: Stamps, payload: Bytes) {
        let frame = Frame {
            dts: times.dts,
            composition: times.composition,
            duration: u32::try_from(times.duration).unwrap_or(u32::MAX),
            flags,
            stamps,
            payload,
        };
        if let Some(group) = &self.group {
            // The store keeps the newest group of the one writer of a track.
            let _kept = group.append(frame);
        }
    }

    /// The show is over: what is open is complete.
    pub(super) fn finish(mut self) {
        if let Some(group) = self.group.take() {
            group.finish();
        }
    }
}
