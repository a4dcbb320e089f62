//! The join storm: ten thousand newcomers in ten seconds at one edge worker, orders beside them.

use std::time::Duration;

use rushlane::runtime::clock;

use crate::Bench;
use crate::crowd::{Crowd, Wish};
use crate::host::Host;
use crate::orders::{self, Load};
use crate::outcome::{Goal, Outcome};
use crate::overload::{self, Watch};
use crate::servers::ROOM;

const NEWCOMERS: u64 = 10_000;
const PER_SECOND: u64 = 1000;
/// From the first newcomer on: after it nobody waits any more.
const PATIENCE: Duration = Duration::from_secs(60);
/// Offered beside the storm, and before it.
const ORDERS: Load = Load {
    per_second: 200,
    seconds: 8,
};

/// Runs the bench.
pub async fn run(bench: &Bench) -> anyhow::Result<Outcome> {
    let folder = bench.folder.join("storm");
    let (network, _shop) = overload::network(&folder).await?;
    let host = Host::start(&bench.clip, &network.rtmp, "live", ROOM)?;
    network.wait_for_room().await?;
    let quiet = orders::order(&network, "quiet", ORDERS).await?;

    let watch = Watch::start(&network);
    let started = clock::now();
    let crowd = Crowd::start(
        &folder,
        &network.http,
        Wish::FirstPart,
        (NEWCOMERS, PER_SECOND),
    )?;
    let beside = orders::order(&network, "beside", ORDERS).await?;
    let mut figures = crowd.figures();
    while figures.served + figures.failed < NEWCOMERS && started.elapsed() < PATIENCE {
        tokio::time::sleep(Duration::from_millis(500)).await;
        figures = crowd.figures();
    }
    let all_ms = started.elapsed().as_secs_f64() * 1000.0;
    drop(crowd);
    let calm = watch.calm(&network).await?;

    let mut outcome = Outcome::new("storm");
    let served = figures.served as f64;
    outcome.judge(
        "newcomers served",
        served,
        "",
        Goal::AtLeast(NEWCOMERS as f64),
    );
    outcome.judge(
        "newcomers who got an error",
        figures.failed as f64,
        "",
        Goal::AtMost(0.0),
    );
    let [p50, p95, longest] = figures.first_ms;
    outcome.tell("from coming to the first part, p50", p50, "ms");
    outcome.judge("the same, p95", p95, "ms", Goal::AtMost(1000.0));
    outcome.tell("the same, the longest", longest, "ms");
    outcome.tell("newcomers told to wait", figures.waited as f64, "");
    outcome.tell("until the last one was served", all_ms / 1000.0, "s");
    watch.tell(&network, &mut outcome).await?;
    outcome.judge(
        "level normal after the storm",
        calm.as_secs_f64(),
        "s",
        Goal::AtMost(10.0),
    );
    overload::tell_orders(
        &mut outcome,
        &[("before", &quiet), ("beside the load", &beside)],
    );
    drop(host);
    Ok(outcome)
}
