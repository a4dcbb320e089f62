//! The feed of a hall: reads the tracks once and makes the batches that all its viewers get.
//!
//! Sound rides along with pictures ([`Departure`]), which halves the writes for each viewer.

use std::rc::Rc;
use std::sync::Arc;

use tokio::sync::watch;

use super::batch::{Batch, Builder};
use super::departure::Departure;
use super::lane::{Lane, arrived_us, changed};
use super::query::Selection;
use super::settling::Settling;
use crate::delivery::pulse::received_us;
use crate::live::broadcast;
use crate::live::track::Event;
use crate::media::codec::Config;
use crate::media::group::Head;
use crate::media::track::Kind;
use crate::media::{Frame, ticks_to_ms};
use crate::packaging::flv::{self, Tag};
use crate::runtime::clock::Instant;

/// Events read from a track at once.
const EVENTS_MAX: usize = 1024;
/// The most pictures since a key frame that a fast start sends: 20 s at 60 per second. After that
/// new viewers wait for the next key frame.
const BURST_FRAMES_MAX: usize = 1200;
/// The most bytes of them: 10 s at 12 Mbit/s.
const BURST_BYTES_MAX: usize = 16 << 20;

/// How much sound is kept for a fast start, in frames: well over [`flv::BURST_SPAN_MS`] of Opus at
/// 5 ms a frame, twice.
const SOUNDS_MAX: usize = 128;
/// How many frames of sound an audio-only viewer starts with: about [`flv::BURST_SPAN_MS`] of AAC.
const SOUNDS_ALONE: usize = 8;

pub(super) struct Feed {
    broadcast: broadcast::Consumer,
    state: watch::Receiver<broadcast::State>,
    tracks_seen: usize,
    video: Option<Lane>,
    audio: Option<Lane>,
    wants_audio: bool,
    /// Tags that wait for the next batch, by media time.
    pending: Vec<Pending>,
    departure: Departure,
    /// Pictures since the newest key frame, the last `pictures_pending` of them pending; empty
    /// while there is nothing to start with.
    pictures: Vec<Arc<Frame>>,
    pictures_pending: usize,
    pictures_bytes: usize,
    /// The newest sound, so that a fast start begins with both; the last `sounds_pending` of them
    /// are pending.
    sounds: Vec<Arc<Frame>>,
    sounds_pending: usize,
    /// Counts changes of either configuration.
    configs: u32,
    edge_ms: i64,
    /// The opening with a fast start, until the next picture.
    opening: Option<Rc<Batch>>,
    events: Vec<Event>,
    settling: Settling,
}

struct Pending {
    at_ms: i64,
    tag: Tag,
    entry: bool,
    /// When it arrived at the origin, and here; 0 = not known.
    arrived_us: (i64, i64),
}

impl Feed {
    pub(super) fn new(broadcast: broadcast::Consumer, selection: &Selection) -> Self {
        let state = broadcast.state();
        let video = selection.video.as_ref().map(Lane::new);
        let mut feed = Self {
            broadcast,
            state,
            tracks_seen: 0,
            video,
            audio: None,
            wants_audio: selection.audio,
            pending: Vec::new(),
            departure: Departure::new(selection.merge),
            pictures: Vec::new(),
            pictures_pending: 0,
            pictures_bytes: 0,
            sounds: Vec::new(),
            sounds_pending: 0,
            configs: 0,
            edge_ms: 0,
            opening: None,
            events: Vec::new(),
            settling: Settling::Unknown,
        };
        feed.find_audio();
        feed
    }

    /// Waits until [`Self::read`] may bring something. Cancel-safe.
    pub(super) async fn changed(&mut self) {
        let (merges, rides) = (
            self.departure.holds_pictures(),
            self.departure.holds_sound(),
        );
        let deadlines = [self.settling.deadline(), self.departure.deadline()];
        let deadline = deadlines.into_iter().flatten().min();
        tokio::select! {
            biased;
            // Once some of it waits, more of it is no reason to wake up.
            () = changed(&mut self.video), if !merges => {}
            () = changed(&mut self.audio), if !rides => {}
            _ = self.state.changed() => {}
            () = until(deadline) => {}
        }
    }

    /// Reads what is there into batches, oldest first. Empty: nothing is due yet.
    pub(super) fn read(&mut self, now: Instant) -> Vec<Rc<Batch>> {
        self.find_audio();
        if self.read_video() {
            self.departure.picture(now);
        }
        if self.read_audio() {
            self.departure.sound(now);
        }
        let was_settled = self.settling.is_done();
        let lead = self.video.as_ref().or(self.audio.as_ref());
        self.settling
            .look(lead.and_then(|lane| lane.arrived_us), now);
        // The first who come get what is there, and nothing shall wait behind that.
        if !was_settled || self.video.is_none() || self.is_over() {
            self.departure.at_once();
        }
        if self.departure.leaves(now) {
            self.take_batches()
        } else {
            Vec::new()
        }
    }

    /// True once the broadcast, or the track that leads, is over and read.
    pub(super) fn is_over(&self) -> bool {
        let lead = self.video.as_ref().or(self.audio.as_ref());
        lead.is_some_and(|lane| lane.ended) || self.broadcast.is_ended()
    }

    /// Counts changes of the configurations; a viewer that missed one needs [`Self::preface`].
    pub(super) fn configs(&self) -> u32 {
        self.configs
    }

    /// True once a viewer can be told what comes and is live with it.
    pub(super) fn is_ready(&self) -> bool {
        self.settling.is_done()
    }

    /// File header, metadata, configurations, and what has come since the newest key frame, at the
    /// compressed times of [`flv::opening`]. `None`: there is no picture to start with.
    pub(super) fn opening(&mut self) -> Option<Rc<Batch>> {
        let pictures = self.pictures.len() - self.pictures_pending;
        if self.opening.is_none() && (self.video.is_none() || pictures > 0) {
            let end = self.sounds.len() - self.sounds_pending;
            // Beside pictures the span of the burst chooses; alone, a few frames fill a decoder.
            let start = match self.video {
                Some(_) => 0,
                None => end.saturating_sub(SOUNDS_ALONE),
            };
            self.opening =
                Some(self.start_of_file(&self.pictures[..pictures], &self.sounds[start..end]));
        }
        self.opening.clone()
    }

    /// File header, metadata and configurations, for a viewer that waits for the next entry.
    pub(super) fn preface(&self) -> Rc<Batch> {
        self.start_of_file(&[], &[])
    }

    /// The configurations in force, for a viewer that missed a change of them.
    pub(super) fn configurations(&self) -> Rc<Batch> {
        let mut builder = Builder::default();
        for lane in [&self.video, &self.audio].into_iter().flatten() {
            if let Some((_, config)) = &lane.config {
                builder.tag(&flv::config_tag(lane.reader.info(), config, lane.dts));
            }
        }
        builder.finish(true, self.edge_ms)
    }

    fn start_of_file(&self, pictures: &[Arc<Frame>], sounds: &[Arc<Frame>]) -> Rc<Batch> {
        let video = self.video.as_ref().and_then(|lane| lane.source(pictures));
        let audio = self.audio.as_ref().and_then(|lane| lane.source(sounds));
        let mut builder = Builder::default();
        builder.bytes(&flv::file_header(video.is_some(), audio.is_some()));
        for tag in flv::opening(video, audio) {
            builder.tag(&tag);
        }
        builder.finish(true, self.edge_ms)
    }

    /// Sound may join a broadcast after its pictures.
    fn find_audio(&mut self) {
        let tracks = self.state.borrow_and_update().tracks;
        let more = std::mem::replace(&mut self.tracks_seen, tracks) != tracks;
        if more && self.wants_audio && self.audio.is_none() {
            let tracks = self.broadcast.tracks();
            let audio = tracks.iter().find(|track| track.info().kind == Kind::Audio);
            self.audio = audio.map(Lane::new);
        }
    }

    /// True when a picture (or the end of pictures) came.
    fn read_video(&mut self) -> bool {
        let Some(mut lane) = self.video.take() else {
            return false;
        };
        let mut came = false;
        lane.reader.read(&mut self.events, EVENTS_MAX);
        for event in std::mem::take(&mut self.events) {
            match event {
                Event::Group(head) => {
                    if self.configure(&mut lane, &head) {
                        lane.until_key = true;
                        self.forget_pictures();
                    }
                }
                Event::Frame(frame) if !frame.is_gap() => {
                    came |= self.add_picture(&mut lane, frame);
                }
                Event::Frame(_) | Event::GroupEnd => {}
                Event::Skipped => {
                    lane.until_key = true;
                    self.forget_pictures();
                }
                Event::Ended => lane.ended = true,
            }
        }
        came |= lane.ended;
        self.video = Some(lane);
        came
    }

    /// True when sound came.
    fn read_audio(&mut self) -> bool {
        let Some(mut lane) = self.audio.take() else {
            return false;
        };
        let mut came = false;
        let entry = self.video.is_none();
        lane.reader.read(&mut self.events, EVENTS_MAX);
        for event in std::mem::take(&mut self.events) {
            match event {
                Event::Group(head) => {
                    if self.configure(&mut lane, &head) {
                        self.sounds.clear();
                        self.sounds_pending = 0;
                        came = true;
                    }
                }
                Event::Frame(frame) if !frame.is_gap() => {
                    came |= self.add(&mut lane, &frame, entry);
                    self.keep_sound(frame);
                }
                Event::Frame(_) | Event::GroupEnd | Event::Skipped => {}
                Event::Ended => lane.ended = true,
            }
        }
        self.audio = Some(lane);
        came
    }

    /// Takes the configuration of a group that begins; true when it is a new one. It goes in line,
    /// for those who watch already.
    fn configure(&mut self, lane: &mut Lane, head: &Head) -> bool {
        if lane
            .config
            .as_ref()
            .is_some_and(|(id, _)| *id == head.init_id)
        {
            return false;
        }
        let config = match Config::decode(head.init.clone()) {
            Ok(config) => config,
            Err(error) => {
                tracing::warn!(%error, group = %head.id, "initialization cannot be read");
                return false;
            }
        };
        let at_ms = ticks_to_ms(head.dts, lane.reader.info().timescale);
        let tag = flv::config_tag(lane.reader.info(), &config, head.dts);
        self.pending.push(Pending {
            at_ms,
            tag,
            entry: false,
            arrived_us: (0, 0),
        });
        lane.config = Some((head.init_id, config));
        lane.dts = head.dts;
        self.configs += 1;
        self.opening = None;
        // Who enters now must not get what was before it.
        self.departure.at_once();
        true
    }

    fn add_picture(&mut self, lane: &mut Lane, frame: Arc<Frame>) -> bool {
        if frame.is_key() {
            lane.until_key = false;
            self.forget_pictures();
        } else if lane.until_key {
            return false;
        }
        let starts = frame.is_key() || !self.pictures.is_empty();
        self.pictures_bytes += frame.payload.len();
        let fits = self.pictures.len() < BURST_FRAMES_MAX && self.pictures_bytes <= BURST_BYTES_MAX;
        if starts && fits {
            self.pictures.push(frame.clone());
            self.pictures_pending += 1;
        } else {
            self.forget_pictures();
        }
        self.add(lane, &frame, frame.is_key())
    }

    fn forget_pictures(&mut self) {
        self.pictures.clear();
        self.pictures_pending = 0;
        self.pictures_bytes = 0;
        self.opening = None;
    }

    fn keep_sound(&mut self, frame: Arc<Frame>) {
        self.sounds.push(frame);
        self.sounds_pending += 1;
        if self.sounds.len() > SOUNDS_MAX {
            self.sounds.drain(..SOUNDS_MAX / 2);
            self.sounds_pending = self.sounds_pending.min(self.sounds.len());
        }
    }

    /// True when the frame makes a tag.
    fn add(&mut self, lane: &mut Lane, frame: &Frame, entry: bool) -> bool {
        lane.dts = frame.dts;
        let info = lane.reader.info();
        let config = lane.config.as_ref().map(|(_, config)| config);
        let Some(tag) = config.and_then(|config| flv::tag(info, config, frame)) else {
            return false;
        };
        let at_ms = ticks_to_ms(frame.dts, info.timescale);
        let ingest_us = arrived_us(&frame.stamps);
        lane.arrived_us = Some(ingest_us);
        self.pending.push(Pending {
            at_ms,
            tag,
            entry,
            arrived_us: (ingest_us, received_us(&frame.stamps)),
        });
        true
    }

    /// All pending tags, by media time; a new batch begins at each entry.
    fn take_batches(&mut self) -> Vec<Rc<Batch>> {
        self.pictures_pending = 0;
        self.sounds_pending = 0;
        self.opening = None;
        let mut pending = std::mem::take(&mut self.pending);
        pending.sort_by_key(|pending| pending.at_ms);
        let mut batches = Vec::new();
        let mut builder = Builder::default();
        let mut entry = false;
        for next in &pending {
            if next.entry && !builder.is_empty() {
                batches.push(std::mem::take(&mut builder).finish(entry, self.edge_ms));
                entry = false;
            }
            entry |= next.entry;
            self.edge_ms = self.edge_ms.max(next.at_ms);
            builder.tag(&next.tag);
            builder.stamp(next.arrived_us);
        }
        if !builder.is_empty() {
            batches.push(builder.finish(entry, self.edge_ms));
        }
        pending.clear();
        self.pending = pending;
        batches
    }
}

async fn until(deadline: Option<Instant>) {
    match deadline {
        Some(deadline) => tokio::time::sleep_until(deadline).await,
        None => std::future::pending().await,
    }
}
