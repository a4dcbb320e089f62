//! How cost grows: HTTP-FLV with pictures merged, from 500 viewers to 4,000, two thousand who come
//! within two seconds, and a thousand rooms with one viewer each.

use std::cell::RefCell;
use std::rc::Rc;
use std::time::Duration;

use anyhow::ensure;
use hdrhistogram::Histogram;
use rushlane::runtime::{Shutdown, TaskScope, clock};
use tokio::io::AsyncReadExt as _;

use crate::Bench;
use crate::clip::Clip;
use crate::host::Host;
use crate::outcome::{self, Goal, Outcome, median};
use crate::process::{CpuMeter, Process};
use crate::servers::{self, Network, ROOM};
use crate::viewers::{Audience, FlvReader, Measured, Source, request_flv};

const ROUNDS: usize = 3;
const ROUND: Duration = Duration::from_secs(6);
const SETTLE: Duration = Duration::from_secs(3);

/// Viewers of the merged modes, and of the bare program beside them.
const MERGED: usize = 2000;
const FEW: usize = 500;
const MANY: usize = 4000;

const STORM: u64 = 2000;
const STORM_MS: u64 = 2000;

const ROOMS: usize = 1000;
/// How long a room may take to be there.
const OPENS: Duration = Duration::from_secs(60);

/// Runs everything.
pub async fn run(bench: &Bench) -> anyhow::Result<Outcome> {
    let mut outcome = Outcome::new("scale");
    let network = Network::start(&bench.folder).await?;
    let host = Host::start(&bench.clip, &network.rtmp, "live", ROOM)?;
    network.wait_for_room().await?;
    merged(bench, &network, &mut outcome).await?;
    storm(&network, &mut outcome).await?;
    drop((host, network));
    growth(bench, &mut outcome).await?;
    rooms(bench, &mut outcome).await?;
    Ok(outcome)
}

/// What viewers cost and get.
pub struct Cost {
    /// CPU for each, in cores.
    pub cores: f64,
    /// From the host's socket to the viewer's.
    pub delay_p50_ms: f64,
    /// The same, 99th percentile.
    pub delay_p99_ms: f64,
    /// Pictures that viewers missed between two that they got.
    pub lost: u64,
}

/// What `viewers` of `source` cost `server`: medians of some rounds.
pub async fn cost(source: &Source, viewers: usize, server: &Process) -> anyhow::Result<Cost> {
    let audience = Audience::join(source, viewers).await?;
    tokio::time::sleep(SETTLE).await;
    let mut all: Vec<Measured> = Vec::new();
    for _ in 0..ROUNDS {
        all.push(audience.measure(server, ROUND).await?);
    }
    audience.leave().await;
    let of = |figure: fn(&Measured) -> f64| median(all.iter().map(figure).collect());
    Ok(Cost {
        // A server that falls behind serves fewer viewers.
        cores: of(|m| m.cpu / m.complete.min(1.0)) / viewers as f64,
        delay_p50_ms: of(|m| m.delay_p50_ms),
        delay_p99_ms: of(|m| m.delay_p99_ms),
        lost: all.iter().map(|m| m.lost).sum(),
    })
}

/// Frame by frame and merged, beside the bare program.
async fn merged(bench: &Bench, network: &Network, outcome: &mut Outcome) -> anyhow::Result<()> {
    let mut single = 0.0;
    for (merge_ms, least) in [(0, 2700.0), (100, 5500.0), (350, 8000.0)] {
        let path = format!("/live/{ROOM}.flv?merge={merge_ms}");
        let source = Source::Flv(network.http.clone(), path);
        let found = cost(&source, MERGED, &network.edge).await?;
        let name = |what| format!("{MERGED} viewers, merged {merge_ms} ms: {what}");
        let per_core = 1.0 / found.cores;
        outcome.judge(name("viewers per core"), per_core, "", Goal::AtLeast(least));
        outcome.tell(name("delay p50"), found.delay_p50_ms, "ms");
        outcome.tell(name("delay p99"), found.delay_p99_ms, "ms");
        if merge_ms == 0 {
            single = found.cores;
        }
    }
    let (program, address) = servers::bare(&bench.folder, &bench.clip_file).await?;
    let bare = cost(&Source::Flv(address, "/".into()), MERGED, &program).await?;
    outcome.judge(
        format!("{MERGED} viewers: CPU, against bare writev"),
        single / bare.cores,
        "x",
        Goal::AtMost(1.4),
    );
    Ok(())
}

/// Everybody comes within two seconds.
async fn storm(network: &Network, outcome: &mut Outcome) -> anyhow::Result<()> {
    let first_us = Rc::new(RefCell::new(outcome::microseconds()));
    let scope = TaskScope::under(&Shutdown::new());
    let started = clock::now() + Duration::from_millis(100);
    for number in 0..STORM {
        let due = started + Duration::from_micros(number * STORM_MS * 1000 / STORM);
        let (address, first_us) = (network.http.clone(), first_us.clone());
        scope.spawn_local("newcomer", async move {
            tokio::time::sleep_until(due).await;
            let path = format!("/live/{ROOM}.flv");
            let seen = watch(&address, &path, |tag_key| {
                if tag_key {
                    let took = u64::try_from(due.elapsed().as_micros()).unwrap_or(u64::MAX);
                    first_us.borrow_mut().saturating_record(took);
                }
                !tag_key
            });
            seen.await.ok();
        });
    }
    let patience = started + Duration::from_secs(30);
    while first_us.borrow().len() < STORM && clock::now() < patience {
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    scope.finish(Duration::ZERO).await;
    let first_us = first_us.borrow();
    ensure!(first_us.len() == STORM, "{} got a picture", first_us.len());
    let name = |what| format!("{STORM} viewers within {STORM_MS} ms: first key frame, {what}");
    outcome.tell(name("p50"), ms(&first_us, 0.5), "ms");
    let p99 = ms(&first_us, 0.99);
    outcome.judge(name("p99"), p99, "ms", Goal::AtMost(500.0));
    Ok(())
}

fn ms(times: &Histogram<u64>, quantile: f64) -> f64 {
    times.value_at_quantile(quantile) as f64 / 1000.0
}

/// Plays from `address` for ever; `seen` hears of each picture, whether it is a key frame, until it
/// says that it has heard enough.
async fn watch(
    address: &str,
    path: &str,
    mut seen: impl FnMut(bool) -> bool,
) -> anyhow::Result<()> {
    let mut socket = request_flv(address, path).await?;
    let (mut reader, mut buffer, mut listens) = (FlvReader::default(), vec![0; 4 << 10], true);
    loop {
        let length = socket.read(&mut buffer).await?;
        ensure!(length > 0, "the edge closed a viewer");
        reader.feed(&buffer[..length], |tag| {
            if listens && tag.stamp.is_some() {
                listens = seen(tag.key);
            }
        })?;
    }
}

/// The cost of a viewer among few and among many, of a show at an eighth of the rate: that the
/// receiving core can take it.
async fn growth(bench: &Bench, outcome: &mut Outcome) -> anyhow::Result<()> {
    let clip = bench.thin_clip()?;
    let network = Network::start(&bench.folder).await?;
    let _host = Host::start(&clip, &network.rtmp, "live", ROOM)?;
    network.wait_for_room().await?;
    let source = Source::Flv(network.http.clone(), format!("/live/{ROOM}.flv"));
    let few = cost(&source, FEW, &network.edge).await?;
    let many = cost(&source, MANY, &network.edge).await?;
    let us = |cost: &Cost| cost.cores * 1e6;
    outcome.tell(format!("CPU of a viewer among {FEW}"), us(&few), "us/s");
    outcome.tell(format!("CPU of a viewer among {MANY}"), us(&many), "us/s");
    outcome.judge(
        format!("the one among {MANY} costs more by"),
        (many.cores / few.cores - 1.0) * 100.0,
        "%",
        Goal::AtMost(15.0),
    );
    Ok(())
}

/// Many rooms, one picture a second and one viewer each.
async fn rooms(bench: &Bench, outcome: &mut Outcome) -> anyhow::Result<()> {
    let still = still(bench.thin_clip()?);
    let network = Network::start_with(&bench.folder, "", "").await?;
    let nodes = [("origin", network.origin()), ("edge", &network.edge)];
    let mut before = Vec::new();
    for (_, node) in nodes {
        before.push(node.resident_bytes()?);
    }
    let hosts: Result<Vec<Host>, _> = (0..ROOMS)
        .map(|number| Host::start(&still, &network.rtmp, "live", &format!("room-{number}")))
        .collect();
    let _hosts = hosts?;
    let playing = Rc::new(RefCell::new(0));
    let scope = TaskScope::under(&Shutdown::new());
    for number in 0..ROOMS {
        let (address, playing) = (network.http.clone(), playing.clone());
        scope.spawn_local("viewer", async move {
            let path = format!("/live/room-{number}.flv");
            // A room that is not there yet is asked for again.
            loop {
                let seen = watch(&address, &path, |_| {
                    *playing.borrow_mut() += 1;
                    false
                });
                seen.await.ok();
                tokio::time::sleep(Duration::from_millis(500)).await;
            }
        });
    }
    let patience = clock::now() + OPENS;
    while *playing.borrow() < ROOMS && clock::now() < patience {
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    let found = *playing.borrow();
    ensure!(found >= ROOMS, "{found} of {ROOMS} rooms play");
    tokio::time::sleep(SETTLE).await;
    for ((name, node), before) in nodes.into_iter().zip(before) {
        let meter = CpuMeter::start(node)?;
        tokio::time::sleep(ROUND).await;
        let us = meter.share(node)? * 1e6 / ROOMS as f64;
        let bytes = (node.resident_bytes()? - before) / ROOMS as f64;
        let name = |what| format!("{ROOMS} rooms of one picture a second: {name}, {what}");
        outcome.judge(name("CPU of a room"), us, "us/s", Goal::AtMost(500.0));
        let kb = bytes / 1024.0;
        outcome.judge(name("memory of a room"), kb, "KB RSS", Goal::AtMost(1024.0));
    }
    scope.finish(Duration::ZERO).await;
    Ok(())
}

/// The key frames of a clip alone.
fn still(mut clip: Clip) -> Clip {
    clip.frames.retain(|message| {
        let first = message.body.first().copied().unwrap_or_default();
        message.is_frame() && first >> 4 & 7 == 1
    });
    clip
}
