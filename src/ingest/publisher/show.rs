//! A show: the tracks of one broadcast and the decisions that they share. Groups, discontinuities
//! and the wall-clock anchor are the show's; one track leads and the others follow.
//!
//! The first video rendition leads; without video, audio does. When the leader falls silent,
//! another video rendition takes the lead at its next key frame.

use crate::ingest::publisher::Now;
use crate::ingest::publisher::access::{Access, Loss, Outcome};
use crate::ingest::publisher::cutter::{Cutter, Reason};
use crate::ingest::publisher::pace::{AudioPace, Times, VideoPace};
use crate::ingest::publisher::track::{Cut, Pace, Track};
use crate::live::{self, broadcast};
use crate::media::broadcast::Info;
use crate::media::codec::{AudioConfig, VideoConfig};
use crate::media::track::{Info as TrackInfo, Kind};
use crate::media::{VIDEO_TIMESCALE, codec, rescale};

/// How long audio waits to learn whether video will come, in microseconds.
const VIDEO_UNKNOWN_US: i64 = 1_000_000;

/// How long audio waits for video that was announced.
const VIDEO_EXPECTED_US: i64 = 5_000_000;

/// The tracks of one broadcast.
#[derive(Debug)]
pub(super) struct Show {
    pub(super) broadcast: broadcast::Producer,
    pub(super) tracks: Vec<Track>,
    pub(super) leader: Option<usize>,
    pub(super) cutter: Cutter,
    pub(super) cut: Option<Cut>,
    pub(super) discontinuities: u32,
    /// The next group of the leader begins with a discontinuity.
    pub(super) interrupted: bool,
    pub(super) expects_video: Option<bool>,
    pub(super) first_audio_us: Option<i64>,
}

impl Show {
    pub(super) fn new(broadcast: broadcast::Producer) -> Self {
        let cutter = Cutter::new(&broadcast.info().timing, VIDEO_TIMESCALE, 0);
        Self {
            broadcast,
            tracks: Vec::new(),
            leader: None,
            cutter,
            cut: None,
            discontinuities: 0,
            interrupted: false,
            expects_video: None,
            first_audio_us: None,
        }
    }

    pub(super) fn info(&self) -> &Info {
        self.broadcast.info()
    }

    /// An encoder says whether it will send video.
    pub(super) fn expect_video(&mut self, expects: bool) {
        let known = self.expects_video.unwrap_or(false);
        self.expects_video = Some(known || expects);
    }

    /// Adds a video track; the tracks of a show are numbered from 0.
    pub(super) fn add_video(&mut self, name: &str) -> Result<usize, live::Error> {
        self.add(
            name,
            Kind::Video,
            VIDEO_TIMESCALE,
            Pace::Video(VideoPace::default()),
        )
    }

    /// Adds the audio track.
    pub(super) fn add_audio(&mut self, config: &AudioConfig) -> Result<usize, live::Error> {
        let rate = config.sample_rate;
        self.add(
            "audio",
            Kind::Audio,
            rate,
            Pace::Audio(AudioPace::new(rate, rate)),
        )
    }

    fn add(
        &mut self,
        name: &str,
        kind: Kind,
        timescale: u32,
        pace: Pace,
    ) -> Result<usize, live::Error> {
        let producer = self.broadcast.create_track(TrackInfo {
            name: name.into(),
            kind,
            timescale,
        })?;
        let mut track = Track::new(producer, pace, &self.info().timing);
        if let Some(cut) = self.cut {
            track.queue(cut);
        }
        self.tracks.push(track);
        Ok(self.tracks.len() - 1)
    }

    /// Sets a track's video configuration.
    pub(super) fn configure_video(&mut self, index: usize, config: VideoConfig) {
        if let Pace::Video(pace) = &mut self.tracks[index].pace
            && config.frame_rate_milli > 0
        {
            pace.announce(f64::from(config.frame_rate_milli) / 1000.0);
        }
        self.expect_video(true);
        let init = codec::Config::Video(config).encode();
        self.tracks[index].configure(init);
    }

    /// Sets the audio track's configuration.
    pub(super) fn configure_audio(&mut self, index: usize, config: AudioConfig) {
        let track = &mut self.tracks[index];
        if let Pace::Audio(pace) = &mut track.pace {
            pace.set_sample_rate(config.sample_rate);
        }
        let init = codec::Config::Audio(config).encode();
        if track.configure(init) && track.is_started() {
            self.interrupted = true;
        }
    }

    /// The encoder's metadata names a frame rate.
    pub(super) fn announce_rate(&mut self, index: usize, frames_per_second: f64) {
        if let Pace::Video(pace) = &mut self.tracks[index].pace {
            pace.announce(frames_per_second);
        }
    }

    /// Frames per second of a video track, as learnt.
    pub(super) fn frames_per_second(&self, index: usize) -> f64 {
        match &self.tracks[index].pace {
            Pace::Video(pace) => pace.frames_per_second(),
            Pace::Audio(_) => 0.0,
        }
    }

    /// Another encoder goes on with this track.
    pub(super) fn renew(&mut self, index: usize) {
        self.tracks[index].renew();
        self.interrupted |= self.tracks[index].is_started();
    }

    /// Where the wall clock says that the show should be, in milliseconds of broadcast time.
    pub(super) fn position_ms(&self, now: Now) -> i64 {
        let Some(leader) = self.leader.map(|leader| &self.tracks[leader]) else {
            return 0;
        };
        let position = leader.position(now.us).unwrap_or(0);
        let end = leader.end_in_video_ticks().unwrap_or(0);
        // Rounded up, so that what comes next is not late.
        position.max(end).div_euclid(90) + 1
    }

    /// True while nothing is heard from the leader and the show goes on without media.
    pub(super) fn is_stalled(&self) -> bool {
        self.leader
            .is_some_and(|leader| self.tracks[leader].is_gapping())
    }

    /// When the newest frame of any track was appended.
    pub(super) fn fed_us(&self) -> Option<i64> {
        self.tracks.iter().filter_map(Track::fed_us).max()
    }

    // === video ===

    /// Takes an access unit of a video track.
    pub(super) fn video(&mut self, index: usize, access: Access, now: Now) -> Outcome {
        self.tracks[index].arrive(now.us);
        if !self.tracks[index].is_configured() {
            return Outcome::Dropped(Loss::Unconfigured);
        }
        let leads = self.leader == Some(index) || access.key && self.may_lead(now);
        let track = &mut self.tracks[index];
        let Pace::Video(pace) = &mut track.pace else {
            return Outcome::Dropped(Loss::Unconfigured);
        };
        let mut ideal = pace.ideal(access.ms, access.composition_ms);
        // A still picture may last longer than a part, but no part may.
        ideal.duration = ideal.duration.min(track.parts.target());
        if let Some(late) = track.late(ideal.dts, access.key, now.us) {
            return late;
        }
        let track = &self.tracks[index];
        if track.needs_key() && !access.key || access.ms < 0 {
            return Outcome::Dropped(Loss::Waiting);
        }
        let cut = if leads {
            self.lead_video(index, ideal, access.key, now)
        } else {
            let track = &mut self.tracks[index];
            if track.needs_group() && !track.reaches(ideal.pts()) {
                return Outcome::Dropped(Loss::Waiting);
            }
            self.follow(index, ideal.pts(), ideal.end(), now)
        };
        let track = &mut self.tracks[index];
        let end_max = track.parts.end_max().filter(|_| cut.is_none());
        let Pace::Video(pace) = &mut track.pace else {
            return Outcome::Dropped(Loss::Unconfigured);
        };
        let times = pace.settle(ideal, end_max);
        if let Some(cut) = cut {
            track.open(&cut, times.dts, times.pts(), access.key);
        }
        track.append(times, access.key, access.payload, now);
        Outcome::Appended
    }

    /// Whether a video track may take the lead: nobody has it, or audio, or a silent one.
    fn may_lead(&self, now: Now) -> bool {
        let Some(leader) = self.leader.map(|leader| &self.tracks[leader]) else {
            return true;
        };
        matches!(leader.pace, Pace::Audio(_))
            || now.us - leader.silent_since_us() >= self.silence_us()
    }

    /// The group that a frame of the leading video track begins.
    fn lead_video(&mut self, index: usize, ideal: Times, key: bool, now: Now) -> Option<Cut> {
        let takes_over = self.leader != Some(index);
        let interrupted = self.interrupted || self.tracks[index].is_interrupted();
        if takes_over {
            self.leader = Some(index);
            let start = ideal.dts;
            self.cutter = Cutter::new(&self.info().timing, VIDEO_TIMESCALE, start);
        }
        let reason = self.cutter.video(key, ideal.dts, ideal.duration);
        let begins = self.tracks[index].reaches(ideal.pts());
        let begins = begins || takes_over || key && interrupted || !self.tracks[index].is_started();
        if !begins && reason.is_none() {
            return None;
        }
        if !begins && reason == Some(Reason::TooLong { first: true }) {
            tracing::warn!(
                room = %self.info().room,
                segment_ms = self.info().timing.segment_ms,
                "key-frame interval too long: set 2 s",
            );
        }
        self.cutter.begin(ideal.dts);
        Some(self.next_group(index, ideal.pts(), key && interrupted, now))
    }

    // === audio ===

    /// Takes an access unit of the audio track.
    pub(super) fn audio(
        &mut self,
        index: usize,
        access: Access,
        samples: u32,
        now: Now,
    ) -> Outcome {
        self.tracks[index].arrive(now.us);
        if self.leader.is_none() && !self.may_lead_audio(now) {
            return Outcome::Dropped(Loss::Waiting);
        }
        let leads = self.leader.is_none_or(|leader| leader == index);
        let track = &mut self.tracks[index];
        let stamp = rescale(access.ms, 1000, track.timescale());
        if leads && let Some(late) = track.late(stamp, false, now.us) {
            return late;
        }
        let Pace::Audio(pace) = &track.pace else {
            return Outcome::Dropped(Loss::Unconfigured);
        };
        let Some(ideal) = pace.ideal(access.ms) else {
            return Outcome::Dropped(Loss::Late);
        };
        let cut = if leads {
            self.lead_audio(index, ideal, now)
        } else {
            if track.needs_group() && !track.reaches(ideal) {
                return Outcome::Dropped(Loss::Waiting);
            }
            self.follow(index, ideal, ideal + i64::from(samples), now)
        };
        let track = &mut self.tracks[index];
        let part_start = cut.is_some() || track.parts.at_start();
        let Pace::Audio(pace) = &mut track.pace else {
            return Outcome::Dropped(Loss::Unconfigured);
        };
        let (times, resynced) = pace.settle(ideal, samples, part_start);
        if let Some(cut) = cut {
            track.open(&cut, times.dts, times.pts(), true);
        }
        track.append(times, true, access.payload, now);
        if resynced {
            Outcome::Resynced
        } else {
            Outcome::Appended
        }
    }

    /// Whether audio may lead: no video will come, or it has been waited for long enough.
    fn may_lead_audio(&mut self, now: Now) -> bool {
        let waited_us = now.us - *self.first_audio_us.get_or_insert(now.us);
        match self.expects_video {
            Some(false) => true,
            None => waited_us >= VIDEO_UNKNOWN_US,
            Some(true) => waited_us >= VIDEO_EXPECTED_US,
        }
    }

    /// The group that a frame of the leading audio track begins.
    fn lead_audio(&mut self, index: usize, dts: i64, now: Now) -> Option<Cut> {
        let takes_over = self.leader.is_none();
        let track = &self.tracks[index];
        let interrupted = self.interrupted || track.is_interrupted();
        let timescale = track.timescale();
        if takes_over {
            self.leader = Some(index);
            self.cutter = Cutter::new(&self.info().timing, timescale, dts);
        } else if !interrupted && !self.cutter.audio(dts, &track.parts) && !track.reaches(dts) {
            return None;
        }
        self.cutter.begin(dts);
        let start = rescale(dts, timescale, VIDEO_TIMESCALE);
        Some(self.next_group(index, start, interrupted, now))
    }

    /// The show is over: readers drain what is there, then see the end. The room stays findable
    /// until the producer that is returned is dropped.
    pub(super) fn end(self) -> broadcast::Producer {
        for track in self.tracks {
            track.finish();
        }
        self.broadcast.end();
        self.broadcast
    }
}

#[cfg(test)]
#[path = "show_test.rs"]
mod tests;
