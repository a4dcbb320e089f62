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
use crate::media::broadcast::{Info, Timing};
use crate::media::codec::{AudioConfig, VideoConfig};
use crate::media::group::Id;
use crate::media::track::{Info as TrackInfo, Kind};
use crate::media::{VIDEO_TIMESCALE, codec, rescale};

/// How long audio waits to learn whether video will come, in microseconds.
const VIDEO_UNKNOWN_US: i64 = 1_000_000;

/// How long audio waits for video that was announced.
const VIDEO_EXPECTED_US: i64 = 5_000_000;

/// The tracks of one broadcast.
#[derive(Debug)]
pub(super) struct Show {
    broadcast: broadcast::Producer,
    tracks: Vec<Track>,
    leader: Option<usize>,
    cutter: Cutter,
    cut: Option<Cut>,
    discontinuities: u32,
    /// The next group of the leader begins with a discontinuity.
    interrupted: bool,
    expects_video: Option<bool>,
    first_audio_us: Option<i64>,
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

    // === groups and silence ===

    /// The group that a frame of a following track begins, if any. One that would grow too long
    /// because the leader is late does not wait for it: EXTINF must not exceed the target.
    fn follow(&mut self, index: usize, pts: i64, end: i64, now: Now) -> Option<Cut> {
        let track = &mut self.tracks[index];
        if let Some(cut) = track.reach(pts) {
            return Some(cut);
        }
        if !track.is_overdue(end) {
            return None;
        }
        let start = rescale(pts, track.timescale(), VIDEO_TIMESCALE);
        Some(match track.next_ahead() {
            Some(cut) => cut,
            None => self.begin_group(index, start, false, now),
        })
    }

    /// The next group of the leader: one that a follower has opened, else a new one. A
    /// discontinuity needs a new one in every track.
    fn next_group(&mut self, leader: usize, start: i64, interrupted: bool, now: Now) -> Cut {
        let track = &mut self.tracks[leader];
        if interrupted || !track.is_started() {
            track.skip_ahead();
        } else if let Some(cut) = track.next_ahead() {
            return cut;
        }
        self.begin_group(leader, start, interrupted, now)
    }

    /// Numbers a group and tells the other tracks of it.
    fn begin_group(&mut self, opener: usize, start: i64, interrupted: bool, now: Now) -> Cut {
        let capture_us = now.unix_us - rescale(start, VIDEO_TIMESCALE, 1_000_000);
        if interrupted {
            self.interrupted = false;
            self.discontinuities += 1;
        }
        let anchor_us = match self.cut {
            Some(cut) if !interrupted => cut.anchor_us,
            _ => capture_us,
        };
        let cut = Cut {
            id: self.cut.map_or(Id(0), |cut| cut.id.next()),
            start,
            discontinuities: self.discontinuities,
            anchor_us,
        };
        self.cut = Some(cut);
        for (index, track) in self.tracks.iter_mut().enumerate() {
            if index != opener {
                track.queue(cut);
            }
        }
        cut
    }

    /// How long a track may be silent before it goes on without media: the first part without media
    /// comes within one target duration (R1.14).
    fn silence_us(&self) -> i64 {
        let Timing {
            part_ms,
            segment_ms,
            ..
        } = self.info().timing;
        i64::from(segment_ms - part_ms) * 1000
    }

    /// Goes on without media where nothing is heard. Returns when to look again.
    pub(super) fn poll(&mut self, now: Now) -> Option<i64> {
        let leader = self.leader?;
        let silence_us = self.silence_us();
        let part_us = i64::from(self.info().timing.part_ms) * 1000;
        self.fill_leader(leader, now);
        let end = self.tracks[leader].end_in_video_ticks()?;
        let stalled = self.tracks[leader].is_gapping();
        // While the leader lives, what a follower sends a little late still finds its place.
        let until = if stalled {
            end
        } else {
            end - part_us * 9 / 100
        };
        let mut look_us = now.us + silence_us;
        for (index, track) in self.tracks.iter_mut().enumerate() {
            // A follower that is heard and yet gets no frame in waits for its key frame; filling
            // would take the group from it. The leader must not wait.
            let since_us = match track.fed_us() {
                Some(fed_us) if index == leader => fed_us,
                Some(_) => track.silent_since_us(),
                None => continue,
            };
            if index != leader && now.us - since_us >= silence_us {
                track.fill(until);
            }
            look_us = look_us.min(match track.is_gapping() {
                true => now.us + part_us,
                false => since_us + silence_us,
            });
        }
        // Whatever is overdue has waited for data, not for us.
        Some(look_us.max(now.us + part_us / 4))
    }

    /// Lets the leader go on by the wall clock when it has been silent for long enough.
    fn fill_leader(&mut self, leader: usize, now: Now) {
        let silence_us = self.silence_us();
        let track = &self.tracks[leader];
        let Some(fed_us) = track
            .fed_us()
            .filter(|fed_us| now.us - fed_us >= silence_us)
        else {
            return;
        };
        let part = rescale(track.parts.target(), track.timescale(), VIDEO_TIMESCALE);
        let position = track.position(now.us).unwrap_or(0);
        if !track.is_gapping() {
            let silent_ms = (now.us - fed_us) / 1000;
            tracing::warn!(room = %self.info().room, silent_ms, "the encoder is silent");
        }
        while self.gap_fits(leader, part, position) {
            let track = &self.tracks[leader];
            let Some(end) = track.end() else { return };
            if !track.is_gapping() || self.cutter.is_full(end, track.parts.target()) {
                let start = rescale(end, track.timescale(), VIDEO_TIMESCALE);
                self.cutter.begin(end);
                let cut = self.next_group(leader, start, false, now);
                self.tracks[leader].gap_group(&cut);
            }
            self.tracks[leader].gap();
        }
    }

    /// Whether one more part without media ends by `position`, in video ticks.
    fn gap_fits(&self, leader: usize, part: i64, position: i64) -> bool {
        self.tracks[leader]
            .end_in_video_ticks()
            .is_some_and(|end| end + part <= position)
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
