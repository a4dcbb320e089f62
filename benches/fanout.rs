//! HTTP-FLV fan-out: delay, CPU and memory of an edge, against nginx-rtmp and bare `writev`.

use std::time::Duration;

use crate::Bench;
use crate::host::Host;
use crate::outcome::{Goal, Outcome, median};
use crate::process::Process;
use crate::servers::{self, Network, ROOM};
use crate::viewers::{Audience, Measured, Source};

const ROUNDS: usize = 3;
const ROUND: Duration = Duration::from_secs(6);
const SETTLE: Duration = Duration::from_secs(2);
const MANY: usize = 1000;

/// Medians of some rounds.
struct Figures {
    viewers_per_core: f64,
    delay_p50_ms: f64,
    delay_p99_ms: f64,
    complete: f64,
    lost: f64,
}

/// Runs everything.
pub async fn run(bench: &Bench) -> anyhow::Result<Outcome> {
    let mut outcome = Outcome::new("fanout");
    let ours = ours(bench, &mut outcome).await?;
    let (nginx, rtmp) = servers::nginx_rtmp(&bench.folder).await?;
    let host = Host::start(&bench.clip, &rtmp, "live", ROOM)?;
    let rival = alone(&nginx, &Source::Rtmp(rtmp)).await?;
    drop((host, nginx));
    let (program, address) = servers::bare(&bench.folder, &bench.clip_file).await?;
    let limit = alone(&program, &Source::Flv(address, "/".into())).await?;
    tell(&mut outcome, "nginx-rtmp, RTMP", &rival, None);
    tell(&mut outcome, "bare writev", &limit, None);
    outcome.judge(
        "viewers per core, against nginx-rtmp",
        ours.viewers_per_core / rival.viewers_per_core,
        "x",
        Goal::AtLeast(1.5),
    );
    outcome.tell(
        "CPU, against bare writev",
        limit.viewers_per_core / ours.viewers_per_core,
        "x",
    );
    Ok(outcome)
}

async fn ours(bench: &Bench, outcome: &mut Outcome) -> anyhow::Result<Figures> {
    let network = Network::start(&bench.folder).await?;
    let mut host = Host::start(&bench.clip, &network.rtmp, "live", ROOM)?;
    network.wait_for_room().await?;
    let source = Source::Flv(network.http.clone(), format!("/live/{ROOM}.flv"));

    let one = Audience::join(&source, 1).await?;
    outcome.judge(
        "upstream copies of a frame at 1 viewer",
        copies(&network, &host).await?,
        "",
        Goal::AtMost(1.05),
    );
    one.leave().await;

    let some = Audience::join(&source, 100).await?;
    tokio::time::sleep(SETTLE).await;
    let hundred = rounds(&some, &network.edge).await?;
    some.leave().await;
    let name = |what| format!("Rushlane, HTTP-FLV, 100 viewers: {what}");
    let p50 = Goal::AtMost(2.0);
    outcome.judge(name("delay p50"), hundred.delay_p50_ms, "ms", p50);
    let p99 = Goal::AtMost(10.0);
    outcome.judge(name("delay p99"), hundred.delay_p99_ms, "ms", p99);

    let before = network.edge.resident_bytes()?;
    let many = Audience::join(&source, MANY).await?;
    tokio::time::sleep(SETTLE).await;
    let thousand = rounds(&many, &network.edge).await?;
    let resident = network.edge.resident_bytes()? - before;
    outcome.judge(
        format!("upstream copies of a frame at {MANY} viewers"),
        copies(&network, &host).await?,
        "",
        Goal::AtMost(1.05),
    );
    many.leave().await;
    host.check()?;
    tell(
        outcome,
        "Rushlane, HTTP-FLV",
        &thousand,
        Some(Goal::AtLeast(2000.0)),
    );
    outcome.judge(
        format!("Rushlane, HTTP-FLV, {MANY} viewers: memory per viewer"),
        resident / MANY as f64 / 1024.0,
        "KB RSS",
        Goal::AtMost(40.0),
    );
    Ok(thousand)
}

/// A server that has nothing else to do, with [`MANY`] viewers.
async fn alone(server: &Process, source: &Source) -> anyhow::Result<Figures> {
    let audience = Audience::join(source, MANY).await?;
    tokio::time::sleep(SETTLE).await;
    let figures = rounds(&audience, server).await?;
    audience.leave().await;
    Ok(figures)
}

async fn rounds(audience: &Audience, server: &Process) -> anyhow::Result<Figures> {
    let mut all: Vec<Measured> = Vec::new();
    for _ in 0..ROUNDS {
        all.push(audience.measure(server, ROUND).await?);
    }
    let of = |figure: fn(&Measured) -> f64| median(all.iter().map(figure).collect());
    Ok(Figures {
        // At the full rate: a server that falls behind serves fewer viewers.
        viewers_per_core: of(|m| m.complete.min(1.0) / m.cpu) * audience.viewers() as f64,
        delay_p50_ms: of(|m| m.delay_p50_ms),
        delay_p99_ms: of(|m| m.delay_p99_ms),
        complete: of(|m| m.complete),
        lost: of(|m| m.lost as f64),
    })
}

/// Frames that the edge pulled for each frame that the host sent, over two seconds.
async fn copies(network: &Network, host: &Host) -> anyhow::Result<f64> {
    let (sent, pulled) = (host.sent(), network.frames_pulled().await?);
    tokio::time::sleep(Duration::from_secs(2)).await;
    let pulled = network.frames_pulled().await? - pulled;
    Ok(pulled / f64::from(host.sent() - sent))
}

fn tell(outcome: &mut Outcome, name: &str, figures: &Figures, goal: Option<Goal>) {
    let name = |what| format!("{name}, {MANY} viewers: {what}");
    let per_core = figures.viewers_per_core;
    match goal {
        Some(goal) => outcome.judge(name("viewers per core"), per_core, "", goal),
        None => outcome.tell(name("viewers per core"), per_core, ""),
    }
    outcome.tell(name("delay p50"), figures.delay_p50_ms, "ms");
    outcome.tell(name("delay p99"), figures.delay_p99_ms, "ms");
    outcome.tell(name("pictures that came"), figures.complete * 100.0, "%");
    outcome.tell(name("pictures lost in between"), figures.lost, "");
}
