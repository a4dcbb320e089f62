//! What replies to HLS players tell of the object and of this node (CTA-5006). What only the
//! connection knows is added by the front as the reply leaves.

use std::fmt;

use http::{HeaderValue, Response};

use crate::delivery::reply::Shared;
use crate::media::ticks_to_ms;
use crate::media::track::{Info, Kind};
use crate::net::http::Body;
use crate::protocol::cmsd::{self, Object, Server};
use crate::shed::{self, Level};

/// Says it, unless the operator wants silence. Clones share the level of the node.
#[derive(Debug, Clone)]
pub(super) struct Teller {
    /// This node at ease and under duress.
    entries: Option<[HeaderValue; 2]>,
    shedding: shed::Gauge,
}

impl Teller {
    pub(super) fn new(enabled: bool, node_name: &str, shedding: shed::Gauge) -> Self {
        let entry = |duress| {
            let server = Server {
                name: node_name,
                duress,
            };
            header(server)
        };
        Self {
            entries: enabled.then(|| [false, true].map(entry)),
            shedding,
        }
    }

    /// Of a playlist.
    pub(super) fn playlist(&self, reply: Shared, low_latency: bool) -> Shared {
        let object = Object {
            kind: cmsd::Kind::Manifest,
            low_latency,
            media: None,
        };
        self.told(reply, object)
    }

    /// Of an initialization segment.
    pub(super) fn init(&self, reply: Response<Body>) -> Response<Body> {
        let object = Object {
            kind: cmsd::Kind::Init,
            low_latency: true,
            media: None,
        };
        self.told(reply, object)
    }

    /// Of a part or a segment of `track`, with its duration in ticks where that is known.
    pub(super) fn media(
        &self,
        reply: Response<Body>,
        track: &Info,
        ticks: Option<u64>,
        bytes: usize,
    ) -> Response<Body> {
        let milliseconds = ticks.and_then(|ticks| {
            let ms = ticks_to_ms(i64::try_from(ticks).ok()?, track.timescale);
            u64::try_from(ms).ok()
        });
        let object = Object {
            kind: match track.kind {
                Kind::Audio => cmsd::Kind::Audio,
                Kind::Video | Kind::Data(_) => cmsd::Kind::Video,
            },
            low_latency: true,
            media: milliseconds.map(|milliseconds| (milliseconds, bytes as u64)),
        };
        self.told(reply, object)
    }

    /// True while the node gives up some of its service.
    pub(super) fn is_under_duress(&self) -> bool {
        self.shedding.level() > Level::Normal
    }

    fn told<B>(&self, mut reply: Response<B>, object: Object) -> Response<B> {
        if let Some(entries) = &self.entries
            && reply.status().is_success()
        {
            let duress = usize::from(self.is_under_duress());
            let headers = reply.headers_mut();
            headers.insert(cmsd::STATIC, header(object));
            headers.insert(cmsd::DYNAMIC, entries[duress].clone());
        }
        reply
    }
}

fn header(value: impl fmt::Display) -> HeaderValue {
    HeaderValue::try_from(value.to_string()).expect("structured fields are printable ASCII")
}
