//! Answers of one worker to requests for HLS objects.

use std::cell::Cell;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use http::StatusCode;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};

use super::shelf::Shelf;
use super::shelves::Shelves;
use super::steps::{START, Step, missing, segment_reply};
use super::waiting::{Reload, Waiting, Woken};
use super::{index, steps};
use crate::cache::{Key, Miss, Segments};
use crate::delivery::reply::{self, Conditions};
use crate::delivery::route::Object;
use crate::live::{FetchError, Store, broadcast, track};
use crate::media::group::Id;
use crate::media::track::Kind;
use crate::net::http::{Direct, Reply, Response};
use crate::packaging::cmaf;
use crate::packaging::hls::{Directives, Lifetime, Offer};
use crate::runtime::{TaskScope, clock};
use crate::shed::{self, Level};
use crate::telemetry::Metrics;
use crate::telemetry::access::Slip;

/// How long a first request waits for a track that has shown nothing yet.
const COLD: Duration = Duration::from_secs(8);
/// How long it waits for further tracks when one is known.
const COLD_MORE: Duration = Duration::from_secs(1);
/// How long the absence of a room or rendition may be cached: it may appear at any moment.
const ABSENT: Lifetime = Lifetime::Seconds(1);
/// How long the end of a show may be cached: six target durations of the default profile.
const GONE: Lifetime = Lifetime::Seconds(12);

/// What all workers' answers share.
#[derive(Clone)]
pub(in crate::delivery) struct Source {
    store: Store,
    shelves: Shelves,
    segments: Segments,
    parked_max: usize,
    shedding: shed::Gauge,
    figures: Figures,
}

#[derive(Debug, Clone)]
struct Figures {
    parked: Gauge,
    held_too_long: Counter,
    refused: Counter,
    wake: Histogram,
}

/// The answers of one worker.
pub(in crate::delivery) struct Answers {
    source: Source,
    waiting: Rc<Waiting>,
}

/// A request for an object of a rendition.
pub(in crate::delivery) struct Ask<'a> {
    pub(in crate::delivery) room: &'a str,
    pub(in crate::delivery) epoch: &'a str,
    pub(in crate::delivery) rendition: &'a str,
    pub(in crate::delivery) object: Object,
    pub(in crate::delivery) query: &'a str,
    pub(in crate::delivery) conditions: Conditions,
    /// Where the reply may be written without waking the connection.
    pub(in crate::delivery) direct: Option<Direct>,
    /// What the access record says.
    pub(in crate::delivery) slip: &'a Slip,
}

impl Source {
    pub(in crate::delivery) fn new(
        store: Store,
        shelves: Shelves,
        segments: Segments,
        parked_max: usize,
        shedding: shed::Gauge,
        metrics: &Metrics,
    ) -> Self {
        let figures = Figures {
            parked: Gauge::default(),
            held_too_long: Counter::default(),
            refused: Counter::default(),
            // 0.1 ms to 0.2 s: the goal is 50 ms for 10,000 requests (R1.3).
            wake: Histogram::new(exponential_buckets(0.0001, 2.0, 12)),
        };
        let register = |name, help, counter: &Counter| {
            metrics.register("delivery", name, help, counter.clone());
        };
        register(
            "hls_held_too_long",
            "Requests held to the limit",
            &figures.held_too_long,
        );
        register(
            "hls_refused",
            "Requests refused as too many wait",
            &figures.refused,
        );
        let help = "Requests that wait for a part, now";
        metrics.register("delivery", "hls_parked", help, figures.parked.clone());
        let help = "From a part being there to the reply of a request that waited";
        metrics.register("delivery", "hls_wake_seconds", help, figures.wake.clone());
        Self {
            store,
            shelves,
            segments,
            parked_max,
            shedding,
            figures,
        }
    }

    /// What sessions that begin now are offered.
    fn offer(&self) -> Offer {
        let level = self.shedding.level();
        Offer {
            plain: level >= Level::PlainHls,
            without_top: level >= Level::DropTopRung,
        }
    }

    pub(in crate::delivery) fn answers(&self, scope: TaskScope) -> Rc<Answers> {
        let gauge = self.figures.parked.clone();
        Rc::new(Answers {
            source: self.clone(),
            waiting: Waiting::new(self.parked_max, gauge, scope),
        })
    }
}

impl Answers {
    /// The multivariant playlist of a room.
    pub(in crate::delivery) fn index(self: &Rc<Self>, room: &str, gzip: bool) -> Reply {
        let Some(broadcast) = self.source.store.room(room) else {
            return Reply::Ready(no_room());
        };
        let shelves = self.shelves(&broadcast);
        let offer = self.source.offer();
        if shelves.iter().all(|shelf| shelf.known().is_some()) {
            return Reply::Ready(index::reply(&broadcast, &shelves, offer, gzip));
        }
        let Some(ticket) = self.waiting.ticket() else {
            return Reply::Ready(self.too_many());
        };
        Reply::Later(Box::pin(async move {
            for shelf in shelves.iter().filter(|shelf| shelf.known().is_none()) {
                let any = shelves.iter().any(|shelf| shelf.known().is_some());
                let patience = if any { COLD_MORE } else { COLD };
                let deadline = clock::now() + patience;
                ticket.wait(shelf, START, deadline, None).await;
            }
            index::reply(&broadcast, &shelves, offer, gzip)
        }))
    }

    /// An object of a rendition.
    pub(in crate::delivery) fn object(self: &Rc<Self>, ask: Ask<'_>) -> Reply {
        let directives = match (ask.object, Directives::parse(ask.query)) {
            (Object::Playlist | Object::PlainPlaylist, Err(malformed)) => {
                let bad = StatusCode::BAD_REQUEST;
                return Reply::Ready(reply::problem(bad, Lifetime::NoStore, malformed));
            }
            (_, parsed) => parsed.unwrap_or_default(),
        };
        let broadcast = self.source.store.room(ask.room);
        let Some(broadcast) = broadcast.filter(|found| &*found.info().epoch == ask.epoch) else {
            let ended = self.source.store.has_ended(ask.room, ask.epoch);
            return Reply::Ready(if ended { gone(ask.room) } else { no_room() });
        };
        let track = broadcast.track(ask.rendition);
        let Some(track) = track.filter(|track| !matches!(track.info().kind, Kind::Data(_))) else {
            let text = "the show has no such rendition: index.m3u8 names those it has";
            return Reply::Ready(reply::problem(StatusCode::NOT_FOUND, ABSENT, text));
        };
        let shelf = self.source.shelves.open(&broadcast, &track);
        ask.slip.measure(&shelf.pulse().hls);
        ask.slip.cache("hit");
        let conditions = ask.conditions;
        match ask.object {
            Object::Playlist => {
                let gzip = conditions.gzip;
                let reload = ask
                    .direct
                    .map(|direct| Reload::new(directives, gzip, direct));
                self.hold(shelf, None, reload, move |shelf| {
                    steps::playlist(shelf, &directives, gzip)
                })
            }
            Object::PlainPlaylist => {
                let gzip = conditions.gzip;
                self.hold(shelf, None, None, move |shelf| {
                    steps::plain_playlist(shelf, &directives, gzip)
                })
            }
            Object::Init(id) => self.hold(shelf, None, None, move |shelf| {
                steps::init(shelf, id, &conditions)
            }),
            Object::Part(msn, index) => self.hold(shelf, None, None, move |shelf| {
                steps::part(shelf, msn.0, index, &conditions)
            }),
            Object::Segment(msn) => {
                let kept = Some((conditions.clone(), ask.slip.clone()));
                self.hold(shelf, kept, None, move |shelf| {
                    steps::segment(shelf, msn.0, &conditions)
                })
            }
        }
    }

    /// Answers by `step`, again each time the shelf is past what it waits for; a `reload` may be
    /// answered as soon as that is so.
    fn hold(
        self: &Rc<Self>,
        shelf: Arc<Shelf>,
        older: Option<(Conditions, Slip)>,
        reload: Option<Reload>,
        step: impl Fn(&Shelf) -> Step + 'static,
    ) -> Reply {
        let mut next = step(&shelf);
        if let Step::Done(response) = next {
            return Reply::Ready(response);
        }
        let Some(ticket) = self.waiting.ticket() else {
            return Reply::Ready(self.too_many());
        };
        let answers = self.clone();
        let hold = Duration::from_millis(shelf.terms().hold_ms_max().into());
        let deadline = clock::now() + hold;
        Reply::Later(Box::pin(async move {
            loop {
                next = match next {
                    Step::Done(response) => {
                        answers
                            .source
                            .figures
                            .wake
                            .observe(shelf.age().as_secs_f64());
                        return response;
                    }
                    Step::Fetch(msn) => {
                        let (conditions, slip) = older.unwrap_or_default();
                        // Boxed: a fetch is large and rare, and this future is kept per viewer.
                        return Box::pin(answers.fetch(&shelf, msn, &conditions, &slip)).await;
                    }
                    Step::Wait(position) => {
                        match ticket
                            .wait(&shelf, position, deadline, reload.as_ref())
                            .await
                        {
                            Woken::Open => step(&shelf),
                            Woken::Late => return answers.too_long(hold),
                            Woken::Begun(begun, age) => {
                                answers.source.figures.wake.observe(age.as_secs_f64());
                                return begun.into();
                            }
                        }
                    }
                };
            }
        }))
    }

    /// A segment that the playlist has forgotten.
    async fn fetch(
        &self,
        shelf: &Shelf,
        msn: u64,
        conditions: &Conditions,
        slip: &Slip,
    ) -> Response {
        let info = shelf.broadcast().info();
        let track = shelf.track().info();
        let key = Key {
            room: info.room.clone(),
            epoch: info.epoch.clone(),
            track: track.name.clone(),
            group: Id(msn),
        };
        let store = &self.source.store;
        let (since, asked) = (clock::now(), Cell::new(false));
        let is_kept = self.source.segments.holds(&key);
        let fetched = self.source.segments.get(key, async {
            asked.set(true);
            let group = store.fetch(shelf.broadcast(), &track.name, Id(msn)).await;
            let group = group.map_err(|error| match error {
                FetchError::NotFound(_) => Miss::NotFound,
                FetchError::Unreachable(why) => Miss::Unreachable(why.into()),
            })?;
            let packaged = cmaf::segment(track, &group).map(|segment| segment.bytes);
            packaged
                .filter(|bytes| !bytes.is_empty())
                .ok_or(Miss::NotFound)
        });
        let fetched = fetched.await;
        slip.cache(match (&fetched, asked.get()) {
            (Err(_), _) => "miss",
            (Ok(_), true) => "parent",
            (Ok(_), false) if is_kept => "hit",
            (Ok(_), false) => "coalesced",
        });
        if !is_kept {
            slip.upstream(u32::try_from(since.elapsed().as_micros()).unwrap_or(u32::MAX));
        }
        match fetched {
            Ok(bytes) => segment_reply(shelf, (&bytes, None), &msn.to_string(), conditions),
            Err(Miss::NotFound) => missing(shelf),
            Err(miss) => reply::busy(1, format_args!("{miss}: ask again")),
        }
    }

    /// The shelves of all renditions; those of which nothing is known begin to read.
    fn shelves(&self, broadcast: &broadcast::Consumer) -> Vec<Arc<Shelf>> {
        let shelves = &self.source.shelves;
        let tracks = broadcast.tracks();
        let media = tracks
            .iter()
            .filter(|track| !matches!(track.info().kind, Kind::Data(_)));
        let open = |track: &track::Consumer| {
            let shelf = shelves.get(broadcast, track);
            if shelf.known().is_none() {
                return shelves.open(broadcast, track);
            }
            shelf
        };
        media.map(open).collect()
    }

    fn too_many(&self) -> Response {
        self.source.figures.refused.inc();
        reply::busy(
            1,
            "as many requests wait on this node as it may hold: try another node",
        )
    }

    fn too_long(&self, hold: Duration) -> Response {
        self.source.figures.held_too_long.inc();
        let seconds = hold.as_secs();
        reply::busy(
            1,
            format_args!("nothing new came within {seconds} s: ask again"),
        )
    }
}

// === replies ===

pub(in crate::delivery) fn no_room() -> Response {
    let text = "no show of this name is live here: GET /rooms lists those that are";
    reply::problem(StatusCode::NOT_FOUND, ABSENT, text)
}

fn gone(room: &str) -> Response {
    let text = format!("this show is over: /live/{room}/index.m3u8 is the room's next one");
    reply::problem(StatusCode::GONE, GONE, text)
}
