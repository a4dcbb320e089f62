//! First body: groups at key frames, parts by the nominal frame.

use bytes::Bytes;

use crate::ingest::publisher::{Config, Error, Metadata, Refusal};
use crate::live;
use crate::media::broadcast::{Info, epoch_at};
use crate::media::codec::Config as CodecConfig;
use crate::media::frame::{Flags, Stamps};
use crate::media::group::{Head, Id};
use crate::media::track::{Info as TrackInfo, Kind};
use crate::media::{Frame, RoomName, VIDEO_TIMESCALE, rescale};
use crate::runtime::clock;

#[derive(Debug)]
pub(super) struct Show {
    broadcast: live::broadcast::Producer,
    video: Option<Track>,
    audio: Option<Track>,
    group: u64,
}

#[derive(Debug)]
struct Track {
    producer: live::track::Producer,
    config: CodecConfig,
    group: Option<live::track::GroupProducer>,
    part_start: i64,
    group_start: i64,
    next_dts: i64,
}

impl Show {
    pub(super) fn open(
        store: &live::Store,
        room: &RoomName,
        config: &Config,
    ) -> Result<Self, Refusal> {
        let started_us = clock::unix_us();
        let broadcast = store.publish(Info {
            room: room.clone(),
            epoch: epoch_at(started_us),
            started_us,
            timing: config.profile.timing(),
        })?;
        Ok(Self {
            broadcast,
            video: None,
            audio: None,
            group: 0,
        })
    }

    pub(super) fn metadata(&mut self, _metadata: Metadata) {}

    pub(super) fn configure(&mut self, config: CodecConfig) -> Result<(), Error> {
        let (slot, name, kind, timescale) = match &config {
            CodecConfig::Video(_) => (&mut self.video, "video", Kind::Video, VIDEO_TIMESCALE),
            CodecConfig::Audio(audio) => (&mut self.audio, "audio", Kind::Audio, audio.sample_rate),
        };
        if slot.is_some() {
            return Ok(());
        }
        let producer = self.broadcast.create_track(TrackInfo {
            name: name.into(),
            kind,
            timescale,
        })?;
        *slot = Some(Track {
            producer,
            config,
            group: None,
            part_start: 0,
            group_start: 0,
            next_dts: 0,
        });
        Ok(())
    }

    pub(super) fn video(
        &mut self,
        timestamp_ms: u32,
        composition_ms: i32,
        key: bool,
        payload: Bytes,
        now_us: i64,
    ) {
        let part_ticks = i64::from(self.broadcast.info().timing.part_ms) * 90;
        let Some(track) = &mut self.video else { return };
        let dts = (i64::from(timestamp_ms) * 90).max(track.next_dts);
        if track.group.is_none() && !key {
            return;
        }
        if key {
            if track.group.is_some() {
                self.group += 1;
            }
            track.open(Id(self.group), dts, now_us);
        }
        let frame = Frame {
            dts,
            composition: composition_ms.saturating_mul(90),
            duration: 3000,
            flags: if key { Flags::KEY } else { Flags::default() },
            stamps: stamps(now_us),
            payload,
        };
        track.append(frame, part_ticks);
    }

    pub(super) fn audio(&mut self, timestamp_ms: u32, payload: Bytes, now_us: i64) {
        let part_ms = i64::from(self.broadcast.info().timing.part_ms);
        let waits = self
            .video
            .as_ref()
            .is_some_and(|video| video.group.is_none());
        let Some(track) = &mut self.audio else { return };
        if waits {
            return;
        }
        let rate = track.producer.info().timescale;
        let stamp = rescale(timestamp_ms.into(), 1000, rate);
        let dts = if track.group.is_none() || stamp > track.next_dts + i64::from(rate) / 25 {
            stamp
        } else {
            track.next_dts
        };
        if self.video.is_none() && dts - track.group_start >= i64::from(rate) * 2 {
            self.group += 1;
        }
        if track
            .group
            .as_ref()
            .is_none_or(|group| group.id().0 != self.group)
        {
            track.open(Id(self.group), dts, now_us);
        }
        let samples = match &track.config {
            CodecConfig::Audio(audio) => audio.frame_samples().unwrap_or(960),
            CodecConfig::Video(_) => 1,
        };
        let frame = Frame {
            dts,
            composition: 0,
            duration: samples,
            flags: Flags::KEY,
            stamps: stamps(now_us),
            payload,
        };
        let part_ticks = rescale(part_ms, 1000, rate);
        track.append(frame, part_ticks);
    }
}

impl Track {
    fn open(&mut self, id: Id, dts: i64, now_us: i64) {
        if let Some(group) = self.group.take() {
            group.finish();
        }
        self.part_start = dts;
        self.group_start = dts;
        self.group = self.producer.group(Head {
            id,
            discontinuities: 0,
            init_id: 0,
            init: self.config.encode(),
            wall_us: now_us,
            dts,
            independent: true,
        });
    }

    fn append(&mut self, mut frame: Frame, part_ticks: i64) {
        let end = frame.end_dts();
        self.next_dts = frame.dts + 1;
        if end + i64::from(frame.duration) - self.part_start > part_ticks {
            frame.flags = frame.flags.with(Flags::PART_END);
            self.part_start = end;
        }
        if matches!(self.config, CodecConfig::Audio(_)) {
            self.next_dts = end;
        }
        if let Some(group) = &self.group {
            group.append(frame);
        }
    }
}

fn stamps(now_us: i64) -> Stamps {
    Stamps {
        capture_us: now_us,
        ingest_us: now_us,
        ..Stamps::default()
    }
}
