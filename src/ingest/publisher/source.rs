//! One connected encoder, as its room sees it.

use std::net::SocketAddr;

use bytes::Bytes;
use tokio::sync::watch;

use crate::ingest::publisher::access::{Access, Loss, Outcome, Unit};
use crate::ingest::publisher::meter::Meter;
use crate::ingest::publisher::metrics::Instruments;
use crate::ingest::publisher::show::Show;
use crate::ingest::publisher::timeline::{Medium, Repair, Repairs, Timeline};
use crate::ingest::publisher::{Now, PublisherStatus, Revoked, Role};
use crate::media::RoomName;
use crate::media::codec::{AudioConfig, VideoCodec, VideoConfig, avc, opus};

/// The clock, the configurations and the figures of one encoder.
#[derive(Debug)]
pub(super) struct Source {
    /// Tells it from those who had its place before.
    pub(super) ticket: u64,
    pub(super) peer: SocketAddr,
    since_us: i64,
    /// When it came, by the monotonic clock.
    pub(super) joined_us: i64,
    pub(super) revoke: watch::Sender<Option<Revoked>>,
    pub(super) timeline: Timeline,
    pub(super) video: Option<VideoConfig>,
    pub(super) audio: Option<AudioConfig>,
    pub(super) encoder: Option<String>,
    pub(super) frame_rate: Option<f64>,
    pub(super) expects_video: Option<bool>,
    pub(super) meter: Meter,
    repairs: Repairs,
    dropped_frames: u64,
    instruments: Instruments,
}

impl Source {
    /// An encoder that is not on air yet.
    pub(super) fn new(
        ticket: u64,
        peer: SocketAddr,
        revoke: watch::Sender<Option<Revoked>>,
        instruments: Instruments,
        now: Now,
    ) -> Self {
        Self {
            ticket,
            peer,
            since_us: now.unix_us,
            joined_us: now.us,
            revoke,
            timeline: Timeline::new(),
            video: None,
            audio: None,
            encoder: None,
            frame_rate: None,
            expects_video: None,
            meter: Meter::default(),
            repairs: Repairs::default(),
            dropped_frames: 0,
            instruments,
        }
    }

    /// It comes on air, with a clock that goes on where the show stands.
    pub(super) fn begin(&mut self, role: Role, timeline: Timeline, room: &RoomName) {
        self.timeline = timeline;
        self.instruments.begun(role);
        tracing::info!(%room, peer = %self.peer, seat = role.name(), "on air");
    }

    /// The configuration that a key frame brings with itself, when it is another one.
    pub(super) fn config_in_band(&self, key: bool, payload: &Bytes) -> Option<VideoConfig> {
        let config = self.video.as_ref()?;
        if !key || config.codec != VideoCodec::H264 {
            return None;
        }
        let record = avc::updated_record(&config.record, payload)?;
        match VideoConfig::parse(VideoCodec::H264, record) {
            Ok(config) => Some(config),
            Err(error) => {
                tracing::debug!(%error, "parameter sets inside a frame are left out");
                None
            }
        }
    }

    /// Output samples of an audio frame.
    fn samples(&self, payload: &[u8]) -> u32 {
        let fixed = self.audio.as_ref().and_then(AudioConfig::frame_samples);
        // 20 ms: what every encoder sends when it does not say otherwise.
        fixed
            .or_else(|| opus::packet_samples(payload))
            .unwrap_or(opus::SAMPLE_RATE / 50)
    }

    /// Puts one access unit into track `index` of `show`.
    pub(super) fn feed(
        &mut self,
        show: &mut Show,
        index: usize,
        medium: Medium,
        unit: Unit,
        now: Now,
    ) {
        let Unit {
            stamp,
            composition_ms,
            key,
            payload,
        } = unit;
        let bytes = payload.len();
        let (ms, repair) = self.timeline.place(medium, stamp, now.us);
        if let Some(repair) = repair {
            self.note(repair, &show.info().room);
        }
        let samples = match medium {
            Medium::Video => 0,
            Medium::Audio => self.samples(&payload),
        };
        let mut access = Access {
            ms,
            composition_ms,
            key,
            payload,
        };
        let mut put = |access: Access| match medium {
            Medium::Video => show.video(index, access, now),
            Medium::Audio => show.audio(index, access, samples, now),
        };
        let mut outcome = put(access.clone());
        if let Outcome::Behind { by_ms } = outcome {
            self.timeline.shift(by_ms);
            access.ms += by_ms;
            outcome = put(access);
            self.note(Repair::Stall, &show.info().room);
        }
        let is_video = medium == Medium::Video;
        self.meter.frame(bytes, is_video, now.us);
        if is_video && key {
            self.meter.key(ms);
        }
        match outcome {
            Outcome::Appended => self.instruments.frame(medium, bytes),
            Outcome::Resynced => {
                self.instruments.frame(medium, bytes);
                self.note(Repair::AudioResync, &show.info().room);
            }
            Outcome::Dropped(reason) => self.drop_frame(reason),
            Outcome::Behind { .. } => self.drop_frame(Loss::Late),
        }
    }

    /// Measures an access unit while another encoder is on air.
    pub(super) fn stand_by(&mut self, medium: Medium, unit: &Unit, now: Now) {
        let is_video = medium == Medium::Video;
        self.meter.frame(unit.payload.len(), is_video, now.us);
        if is_video && unit.key {
            self.meter.key(i64::from(unit.stamp));
        }
    }

    /// Counts a frame that is left out.
    pub(super) fn drop_frame(&mut self, reason: Loss) {
        self.dropped_frames += 1;
        self.instruments.dropped(reason);
    }

    /// Counts a repair and logs it, ever more rarely: a broken clock needs one on every frame.
    fn note(&mut self, repair: Repair, room: &RoomName) {
        self.instruments.repaired(repair);
        let count = self.repairs.count(repair);
        if count.is_power_of_two() {
            let kind = repair.name();
            tracing::warn!(%room, peer = %self.peer, kind, count, "timestamps repaired");
        }
    }

    /// What the admin API shows; what its seat knows is left open.
    pub(super) fn status(&mut self, now: Now) -> PublisherStatus {
        let (bitrate_kbps, frames_per_second) = self.meter.rates(now.us);
        PublisherStatus {
            rendition: None,
            seat: Role::Primary,
            on_air: false,
            peer: self.peer,
            encoder: self.encoder.clone(),
            connected_us: self.since_us,
            stalled: false,
            learnt_frames_per_second: None,
            bitrate_kbps,
            frames_per_second,
            gop_ms: self.meter.gop_ms(),
            drift_ppm: self.timeline.drift_ppm(),
            repairs: self.repairs,
            dropped_frames: self.dropped_frames,
        }
    }
}
