//! Nodes, shows and waits for the tests.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use tokio::sync::{mpsc, watch};

use crate::live::track::{Event, GroupProducer, Producer, Reader, Start};
use crate::live::{self, Store, broadcast};
use crate::media::broadcast::{Info, Kind as Holds, Profile};
use crate::media::frame::{Flags, Stamps};
use crate::media::group::{Head, Id};
use crate::media::track::{Info as TrackInfo, Kind};
use crate::media::{Frame, RoomName};
use crate::net::tls::Authority;
use crate::relay::{Config, Local, Puller, Server};
use crate::runtime::{Shutdown, TaskScope};
use crate::telemetry::Metrics;

/// No test waits longer for anything.
pub(super) const PATIENCE: Duration = Duration::from_secs(20);

/// What the rest of a node would hold.
pub(super) struct Fleet {
    pub(super) report: watch::Sender<Bytes>,
    pub(super) policy: watch::Sender<Bytes>,
    pub(super) policies: mpsc::Receiver<Bytes>,
}

/// A node: a store with one or both ends of the relay.
pub(in crate::relay) struct Node {
    pub(super) local: Local,
    pub(super) fleet: Fleet,
    pub(super) scope: TaskScope,
    pub(super) server: Option<Server>,
    pub(in crate::relay) puller: Option<Puller>,
}

pub(super) fn config(parents: &[SocketAddr]) -> Config {
    Config {
        listen: Some(([127, 0, 0, 1], 0).into()),
        parents: parents.iter().map(ToString::to_string).collect(),
        server_name: Some("localhost".into()),
        linger_seconds: 1,
        orphan_seconds: 10,
        ..Config::default()
    }
}

impl Node {
    pub(in crate::relay) fn new(name: &str, authority: &Authority) -> Self {
        let (report, reported) = watch::channel(Bytes::new());
        let (policy, told) = watch::channel(Bytes::new());
        let (policy_in, policies) = mpsc::channel(16);
        Self {
            fleet: Fleet {
                report,
                policy,
                policies,
            },
            local: Local {
                node: name.into(),
                identity: authority.issue(&["localhost"]).unwrap(),
                authorities: vec![authority.certificate()],
                store: Store::new(live::Config::default()),
                exchange: live::Exchange::default(),
                report: reported,
                policy: told,
                policy_in,
                metrics: Metrics::default(),
            },
            scope: TaskScope::under(&Shutdown::new()),
            server: None,
            puller: None,
        }
    }

    pub(in crate::relay) fn serve(mut self) -> Self {
        self.serve_with(&config(&[]));
        self
    }

    pub(super) fn serve_with(&mut self, config: &Config) {
        let puller = Puller::new(config, &self.local).unwrap();
        let server = Server::bind(config, &self.local, &puller).unwrap();
        self.puller = Some(puller);
        server.run(&self.scope);
        self.server = Some(server);
    }

    pub(super) fn pull(mut self, parents: &[SocketAddr]) -> Self {
        self.pull_with(&config(parents));
        self
    }

    pub(super) fn pull_with(&mut self, config: &Config) {
        let new = || Puller::new(config, &self.local).unwrap();
        let puller = self.puller.take().unwrap_or_else(new);
        puller.set_parents(config.parents.clone());
        puller.install(&self.local.exchange);
        puller.run(&self.scope);
        self.puller = Some(puller);
    }

    /// Follows the peers of `config` from now on, beside what it serves.
    pub(super) fn follow(&mut self, config: &Config) {
        let puller = Puller::new(config, &self.local).unwrap();
        puller.run(&self.scope);
        self.puller = Some(puller);
    }

    /// Ends the parent end, as a node that goes down.
    pub(super) async fn stop(&mut self) {
        self.scope.finish(PATIENCE).await;
        self.local.metrics = Metrics::default();
    }

    /// Serves again at the address of old.
    pub(super) async fn start_again(&mut self) {
        let mut config = config(&[]);
        config.listen = self.server.take().map(|server| server.local_addr());
        self.scope = TaskScope::under(&Shutdown::new());
        let puller = Puller::new(&config, &self.local).unwrap();
        let server = tokio::time::timeout(PATIENCE, async {
            // The old socket closes when the last of its connections has drained.
            loop {
                match Server::bind(&config, &self.local, &puller) {
                    Ok(server) => break server,
                    Err(_) => tokio::time::sleep(Duration::from_millis(5)).await,
                }
            }
        });
        let server = server.await.expect("the address becomes free");
        server.run(&self.scope);
        self.server = Some(server);
    }

    pub(super) fn address(&self) -> SocketAddr {
        self.server.as_ref().unwrap().local_addr()
    }

    pub(in crate::relay) fn store(&self) -> &Store {
        &self.local.store
    }

    /// A figure of the node, by the start of its line in the metrics.
    pub(super) fn figure(&self, line: &str) -> f64 {
        let text = self.local.metrics.encode();
        let found = text.lines().find_map(|of| of.strip_prefix(line));
        found.map_or(0.0, |value| value.trim().parse().unwrap())
    }

    /// A reader of a track, once the room is here.
    pub(super) async fn reader(&self, room: &str, track: &str, start: Start) -> Reader {
        let found = || self.store().room(room)?.track(track);
        eventually("the room is announced", || found().is_some()).await;
        found().unwrap().read_from(start)
    }
}

/// A broadcast with one video track.
pub(in crate::relay) struct Show {
    pub(in crate::relay) broadcast: broadcast::Producer,
    video: Option<Producer>,
}

impl Show {
    pub(in crate::relay) fn new(store: &Store, room: &str, epoch: &str) -> Self {
        let info = Info {
            room: RoomName::parse(room).unwrap(),
            kind: Holds::Show,
            epoch: epoch.into(),
            started_us: 1_763_800_000_000_000,
            timing: Profile::Low.timing(),
        };
        let broadcast = store.publish(info).unwrap();
        let video = broadcast.create_track(video()).unwrap();
        let video = Some(video);
        Self { broadcast, video }
    }

    /// The writer of the track, for those who write it themselves.
    pub(in crate::relay) fn take_video(&mut self) -> Producer {
        self.video.take().unwrap()
    }

    /// Opens a group and writes `frames` frames of `bytes` bytes.
    pub(super) fn open(&self, id: u64, frames: usize, bytes: usize) -> GroupProducer {
        let group = self.video.as_ref().unwrap().group(head(id)).unwrap();
        for index in 0..frames {
            group.append(frame(id, index, bytes));
        }
        group
    }

    /// As [`Self::open`], and completes it.
    pub(super) fn whole(&self, id: u64, frames: usize, bytes: usize) {
        self.open(id, frames, bytes).finish();
    }
}

pub(super) fn video() -> TrackInfo {
    TrackInfo {
        name: "video".into(),
        kind: Kind::Video,
        timescale: 90_000,
    }
}

pub(in crate::relay) fn head(id: u64) -> Head {
    Head {
        id: Id(id),
        discontinuities: 1,
        init_id: 2,
        init: Bytes::from_static(b"an initialization"),
        wall_us: 1_763_800_000_000_000 + id.cast_signed() * 2_000_000,
        dts: id.cast_signed() * 180_000,
        independent: true,
    }
}

pub(in crate::relay) fn frame(group: u64, index: usize, bytes: usize) -> Frame {
    let filling = (group as usize * 31 + index) as u8;
    Frame {
        dts: group.cast_signed() * 180_000 + index as i64 * 3000,
        composition: 6000,
        duration: 3000,
        flags: if index == 0 {
            Flags::KEY
        } else {
            Flags::PART_END
        },
        stamps: Stamps {
            capture_us: 5,
            ingest_us: 7,
            ..Stamps::default()
        },
        payload: vec![filling; bytes].into(),
    }
}

/// Events as a short text: `g3` group, `3.0` frame, `.` group end, `!` skipped, `$` ended.
pub(super) fn text(events: &[Event]) -> String {
    let one = |event: &Event| match event {
        Event::Group(head) => format!("g{}", head.id),
        Event::Frame(frame) => {
            format!("{}.{}", frame.dts / 180_000, frame.dts % 180_000 / 3000)
        }
        Event::GroupEnd => ".".into(),
        Event::Skipped => "!".into(),
        Event::Ended => "$".into(),
    };
    events.iter().map(one).collect::<Vec<_>>().join(" ")
}

/// Reads until `count` events have come.
pub(super) async fn read(reader: &mut Reader, count: usize) -> Vec<Event> {
    let mut events = Vec::new();
    let done = tokio::time::timeout(PATIENCE, async {
        while events.len() < count {
            if reader.read(&mut events, count) == 0 {
                reader.changed().await;
            }
        }
    });
    if done.await.is_err() {
        panic!(
            "only {} of {count} events came: {}",
            events.len(),
            text(&events)
        );
    }
    events
}

/// Waits for a condition.
pub(super) async fn eventually(what: &str, condition: impl Fn() -> bool) {
    let holds = async {
        while !condition() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    assert!(
        tokio::time::timeout(PATIENCE, holds).await.is_ok(),
        "in vain: {what}"
    );
}

pub(super) fn frames(events: &[Event]) -> Vec<Arc<Frame>> {
    let frame = |event: &Event| match event {
        Event::Frame(frame) => Some(frame.clone()),
        _ => None,
    };
    events.iter().filter_map(frame).collect()
}
