//! One track of a feed.

use std::sync::Arc;

use crate::live::track::{Consumer, Reader, Start};
use crate::media::Frame;
use crate::media::codec::Config;
use crate::media::frame::Stamps;
use crate::packaging::flv::Source;

/// One track and its configuration in force.
pub(super) struct Lane {
    pub(super) reader: Reader,
    pub(super) config: Option<(u32, Config)>,
    /// Decode time of the newest frame, in ticks.
    pub(super) dts: i64,
    /// When the newest frame arrived at the origin, by this node's clock; 0 = not known.
    pub(super) arrived_us: Option<i64>,
    /// Pictures before the next key frame cannot be decoded.
    pub(super) until_key: bool,
    pub(super) ended: bool,
}

impl Lane {
    /// The track with `frames` of it, once its configuration is known.
    pub(super) fn source<'a>(&'a self, frames: &'a [Arc<Frame>]) -> Option<Source<'a>> {
        let (_, config) = self.config.as_ref()?;
        let info = self.reader.info();
        Some(Source {
            info,
            config,
            frames,
        })
    }

    pub(super) fn new(track: &Consumer) -> Self {
        Self {
            reader: track.read_from(Start::NewestKey),
            config: None,
            dts: 0,
            arrived_us: None,
            until_key: true,
            ended: false,
        }
    }
}

/// Waits until the track may have something new.
pub(super) async fn changed(lane: &mut Option<Lane>) {
    match lane {
        Some(lane) if !lane.ended => lane.reader.changed().await,
        _ => std::future::pending().await,
    }
}

/// When a frame arrived at the origin, by this node's clock.
pub(super) fn arrived_us(stamps: &Stamps) -> i64 {
    match stamps.ingest_us {
        0 => 0,
        by_origin => stamps.hops.iter().fold(by_origin, |time, hop| {
            time.saturating_add(hop.offset_us.into())
        }),
    }
}
