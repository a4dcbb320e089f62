//! A shelf: the playlist state of one track, for all viewers of the node.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use parking_lot::{Mutex, RwLock, RwLockReadGuard};
use tokio::runtime::Handle;
use tokio::sync::watch;

use super::editions::{Edition, Form, Printed};
use super::index::Index;
use super::program::Program;
use crate::delivery::cmsd::Teller;
use crate::delivery::pulse::{Pulse, received_us};
use crate::delivery::reply;
use crate::delivery::viewers::Audience;
use crate::live::track::{Event, Reader, Start};
use crate::live::{broadcast, track};
use crate::media::codec::Config;
use crate::media::track::Kind;
use crate::net::http::Response;
use crate::packaging::hls::{Bandwidth, Position, Report, Skip, Terms, Timeline};
use crate::runtime::clock::{self, Instant};
use crate::runtime::{Shutdown, TaskScope};

/// Events read from the track at once.
const EVENTS_MAX: usize = 256;
/// How often a shelf looks whether anybody still asks.
const IDLE_CHECK: Duration = Duration::from_secs(1);

/// The playlist state of one track. It reads the track while somebody asks.
#[derive(Debug)]
pub(super) struct Shelf {
    broadcast: broadcast::Consumer,
    track: track::Consumer,
    terms: Terms,
    audience: Arc<Audience>,
    program: Arc<Program>,
    teller: Teller,
    demand: Mutex<Demand>,
    timeline: RwLock<Timeline>,
    progress: watch::Sender<Progress>,
    printed: Mutex<Printed>,
    /// What the track turned out to be; outlives the reading.
    known: RwLock<Option<Known>>,
    /// The multivariant playlists, kept on the shelf of the broadcast's first track.
    index: Mutex<Vec<Index>>,
}

/// How far a shelf is.
#[derive(Debug, Clone, Copy)]
pub(super) struct Progress {
    /// [`Timeline::progress`]; none while the shelf is cold.
    pub(super) next: Option<Position>,
    /// No more will come.
    pub(super) ended: bool,
    /// When that came to be.
    pub(super) since: Instant,
}

/// What a track turned out to be.
#[derive(Debug, Clone)]
pub(super) struct Known {
    pub(super) config: Config,
    pub(super) independent: bool,
    pub(super) bandwidth: Option<Bandwidth>,
}

#[derive(Debug)]
struct Demand {
    asked: Instant,
    reading: bool,
}

impl Progress {
    /// True when a request that waits for `position` should look again.
    pub(super) fn is_past(&self, position: Position) -> bool {
        self.ended || self.next.is_some_and(|next| next > position)
    }
}

impl Shelf {
    pub(super) fn new(
        broadcast: broadcast::Consumer,
        track: track::Consumer,
        window_seconds: u32,
        audience: Arc<Audience>,
        program: Arc<Program>,
        teller: Teller,
    ) -> Self {
        let terms = Terms::new(broadcast.info().timing, window_seconds);
        let cold = Progress {
            next: None,
            ended: false,
            since: clock::now(),
        };
        Self {
            timeline: RwLock::new(Timeline::new(track.info(), &terms)),
            broadcast,
            track,
            terms,
            audience,
            program,
            teller,
            demand: Mutex::new(Demand {
                asked: clock::now(),
                reading: false,
            }),
            progress: watch::Sender::new(cold),
            printed: Mutex::default(),
            known: RwLock::default(),
            index: Mutex::default(),
        }
    }

    pub(super) fn pulse(&self) -> &Pulse {
        self.audience.pulse()
    }

    /// Says what replies tell players of themselves.
    pub(super) fn teller(&self) -> &Teller {
        &self.teller
    }

    pub(super) fn broadcast(&self) -> &broadcast::Consumer {
        &self.broadcast
    }

    pub(super) fn track(&self) -> &track::Consumer {
        &self.track
    }

    pub(super) fn terms(&self) -> &Terms {
        &self.terms
    }

    pub(super) fn timeline(&self) -> RwLockReadGuard<'_, Timeline> {
        self.timeline.read()
    }

    pub(super) fn progress(&self) -> watch::Receiver<Progress> {
        self.progress.subscribe()
    }

    pub(super) fn is_past(&self, position: Position) -> bool {
        self.progress.borrow().is_past(position)
    }

    /// True when the playlist has caught up with the live edge (or with the end).
    pub(super) fn is_warm(&self) -> bool {
        let progress = self.progress.borrow();
        progress.ended || progress.next.is_some()
    }

    /// How long ago the playlist last changed.
    pub(super) fn age(&self) -> Duration {
        clock::now().saturating_duration_since(self.progress.borrow().since)
    }

    pub(super) fn known(&self) -> Option<Known> {
        self.known.read().clone()
    }

    pub(super) fn index(&self) -> &Mutex<Vec<Index>> {
        &self.index
    }

    /// True when it holds nothing and nobody wants it to.
    pub(super) fn is_cold(&self) -> bool {
        !self.demand.lock().reading
    }

    /// Notes a playlist handed out to one viewer, who comes back after `milliseconds`. Of the
    /// playlists that a viewer reads side by side only the picture's counts.
    pub(super) fn watched(&self, milliseconds: u32) {
        let video = |track: &track::Consumer| track.info().kind == Kind::Video;
        if video(&self.track) || !self.broadcast.tracks().iter().any(video) {
            self.audience.watched(milliseconds);
        }
    }

    /// Notes that somebody asks, and starts reading in `runtime` when nobody did lately.
    pub(super) fn ask(self: &Arc<Self>, media: &TaskScope, runtime: &Handle, idle: Duration) {
        let mut demand = self.demand.lock();
        demand.asked = clock::now();
        if !std::mem::replace(&mut demand.reading, true) {
            let _guard = runtime.enter();
            let shutdown = media.shutdown().clone();
            media.spawn("delivery.shelf", self.clone().run(idle, shutdown));
        }
    }

    /// The reply with the current playlist, made once for all who ask between two changes.
    pub(super) fn playlist(&self, edition: Edition) -> Response {
        let timeline = self.timeline.read();
        let mut printed = self.printed.lock();
        printed.renew((timeline.revision(), self.program.version()));
        let reply = printed.reply(edition, &self.terms, &self.teller, || match edition.form {
            Form::LowLatency => self.render(&timeline, edition.skip),
            Form::Plain => timeline.render_plain(edition.skip, &self.program.ranges()),
        });
        reply::aged(reply, self.age())
    }

    /// Siblings are reported at this track's own position: all renditions have the same groups and
    /// parts of the same length, so it is theirs to within a part, and unlike their state on this
    /// node it is the same on every node (D1). A player that asks for the part after it waits for
    /// it, or is taken to the next segment.
    fn render(&self, timeline: &Timeline, skip: Skip) -> Bytes {
        let own = &self.track.info().name;
        let tracks = self.broadcast.tracks();
        let siblings = tracks.iter().map(track::Consumer::info);
        let siblings =
            siblings.filter(|info| info.name != *own && !matches!(info.kind, Kind::Data(_)));
        let uris: Vec<_> = siblings
            .map(|info| format!("../{}/media.m3u8", info.name))
            .collect();
        let report = |uri| {
            let position = timeline.position()?;
            Some(Report { uri, position })
        };
        let reports: Vec<_> = uris.iter().filter_map(|uri| report(uri.as_str())).collect();
        timeline.render(skip, &reports, &self.program.ranges())
    }

    /// Reads the track until nobody asks any more.
    async fn run(self: Arc<Self>, idle: Duration, shutdown: Shutdown) {
        let mut reader = Some(self.track.read_from(Start::Oldest));
        let mut state = self.broadcast.state();
        let mut check = tokio::time::interval(IDLE_CHECK);
        let mut events = Vec::new();
        loop {
            tokio::select! {
                biased;
                () = shutdown.requested() => break,
                () = changed(&mut reader) => {}
                Ok(_) = state.changed() => {}
                _ = check.tick() => {
                    if self.stop_if_idle(idle) {
                        break;
                    }
                    continue;
                }
            }
            let Some(source) = &mut reader else { continue };
            if self.feed(source, &mut events) {
                // The end is read: nothing is asked of the track any more.
                reader = None;
            }
        }
    }

    /// Takes what the track has; true when it has ended.
    fn feed(&self, reader: &mut Reader, events: &mut Vec<Event>) -> bool {
        loop {
            // Before the reading: what is there when the broadcast ends is read before its end.
            let over = self.broadcast.is_ended();
            let count = reader.read(events, EVENTS_MAX);
            let mut timeline = self.timeline.write();
            let mut ended = over && count == 0;
            let is_warm = self.is_warm();
            for event in events.drain(..) {
                ended |= event == Event::Ended;
                self.apply(&mut timeline, &event);
                if is_warm && let Event::Frame(frame) = &event {
                    self.pulse().leaves(received_us(&frame.stamps));
                }
            }
            if ended {
                timeline.end();
            }
            if count < EVENTS_MAX {
                self.publish(&timeline, reader);
            }
            if ended || (count == 0 && !over) {
                return ended;
            }
        }
    }

    fn apply(&self, timeline: &mut Timeline, event: &Event) {
        match event {
            Event::Group(head) => {
                if let Err(error) = timeline.open_group(head) {
                    let track = &*self.track.info().name;
                    tracing::warn!(%error, track, group = %head.id, "group cannot be packaged");
                }
            }
            Event::Frame(frame) => timeline.push(frame),
            Event::GroupEnd => timeline.close_group(),
            Event::Skipped => timeline.skipped(),
            Event::Ended => timeline.end(),
        }
    }

    /// Tells the workers how far the playlist is. Not before it has caught up with the newest group
    /// in the store: a playlist that ends in the past would make players start there.
    fn publish(&self, timeline: &Timeline, reader: &Reader) {
        let newest = self.track.range().map(|(_, newest)| newest);
        let caught_up = newest.is_some() && reader.position().map(|(group, _)| group) >= newest;
        let before = *self.progress.borrow();
        let next = timeline.progress();
        let ended = timeline.is_ended();
        let warm = caught_up || before.next.is_some() || ended;
        if !warm || (before.next, before.ended) == (next, ended) {
            return;
        }
        if let Some(config) = timeline.config() {
            *self.known.write() = Some(Known {
                config: config.clone(),
                independent: timeline.is_independent(),
                bandwidth: timeline.bandwidth(),
            });
        }
        let since = clock::now();
        self.progress.send_replace(Progress { next, ended, since });
    }

    /// Stops reading and forgets all media when nobody has asked for `idle`.
    fn stop_if_idle(&self, idle: Duration) -> bool {
        let mut demand = self.demand.lock();
        if clock::now().saturating_duration_since(demand.asked) < idle {
            return false;
        }
        demand.reading = false;
        *self.timeline.write() = Timeline::new(self.track.info(), &self.terms);
        *self.printed.lock() = Printed::default();
        self.progress.send_modify(|progress| {
            progress.next = None;
            progress.ended = false;
        });
        true
    }
}

async fn changed(reader: &mut Option<Reader>) {
    match reader {
        Some(reader) => reader.changed().await,
        None => std::future::pending().await,
    }
}
