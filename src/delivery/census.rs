//! Viewers and bytes by room and protocol, for Prometheus: counted when somebody scrapes.

use std::collections::HashMap;
use std::fmt;
use std::sync::Weak;

use parking_lot::Mutex;
use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric as _};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::counter::ConstCounter;
use prometheus_client::metrics::gauge::ConstGauge;

use crate::delivery::viewers::Audience;

/// Rooms with series of their own, in the order of their coming; later ones are summed as `other`.
/// Each costs four series.
const ROOMS_MAX: usize = 100;

/// The audiences that are counted.
#[derive(Debug, Default)]
pub(super) struct Census(Mutex<Vec<(String, Weak<Audience>)>>);

/// Of one label.
#[derive(Debug, Default, Clone, Copy)]
struct Figures {
    hls: u64,
    flv: u64,
    hls_bytes: u64,
    flv_bytes: u64,
}

impl Census {
    /// Counts the viewers of `room` from now on, for as long as it has any.
    pub(super) fn enter(&self, room: &str, audience: Weak<Audience>) {
        let mut rooms = self.0.lock();
        rooms.retain(|(_, audience)| audience.strong_count() > 0);
        rooms.push((room.to_owned(), audience));
    }

    fn figures(&self) -> Vec<(String, Figures)> {
        let rooms = self.0.lock();
        let mut own: Vec<(String, Figures)> = Vec::new();
        let mut index = HashMap::new();
        for (room, audience) in rooms.iter() {
            let Some(audience) = audience.upgrade() else {
                continue;
            };
            let label = if own.len() < ROOMS_MAX { room } else { "other" };
            let at = *index.entry(label.to_owned()).or_insert_with(|| {
                own.push((label.to_owned(), Figures::default()));
                own.len() - 1
            });
            own[at].1.add(&audience);
        }
        own
    }
}

impl Figures {
    fn add(&mut self, audience: &Audience) {
        let viewers = audience.viewers();
        self.hls += viewers.hls;
        self.flv += viewers.flv;
        self.hls_bytes += audience.pulse().hls.bytes();
        self.flv_bytes += audience.pulse().flv_bytes();
    }
}

/// What Prometheus is told; shared with [`Census`].
#[derive(Debug)]
pub(super) struct Told(pub(super) std::sync::Arc<Census>);

impl Collector for Told {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), fmt::Error> {
        let figures = self.0.figures();
        let labels = |room: &String, protocol: &'static str| {
            [("room", room.clone()), ("protocol", protocol.to_owned())]
        };
        let name = "delivery_viewers";
        let help = "Viewers now, by room and protocol";
        let mut metric = encoder.encode_descriptor(name, help, None, MetricType::Gauge)?;
        for (room, own) in &figures {
            for (protocol, value) in [("hls", own.hls), ("flv", own.flv)] {
                let value = i64::try_from(value).unwrap_or(i64::MAX);
                ConstGauge::new(value).encode(metric.encode_family(&labels(room, protocol))?)?;
            }
        }
        let name = "delivery_sent_bytes";
        let help = "Bytes that viewers took, by room and protocol";
        let mut metric = encoder.encode_descriptor(name, help, None, MetricType::Counter)?;
        for (room, own) in &figures {
            for (protocol, value) in [("hls", own.hls_bytes), ("flv", own.flv_bytes)] {
                ConstCounter::new(value).encode(metric.encode_family(&labels(room, protocol))?)?;
            }
        }
        Ok(())
    }
}
