//! The active parent of an edge dies, or falls silent, under a thousand viewers of HTTP-FLV and a
//! thousand of LL-HLS: who loses the connection, which frames are missing or come twice, and for
//! how long frames are late.

mod players;
mod scene;

use std::rc::Rc;
use std::time::Duration;

use rushlane::runtime::{Shutdown, TaskScope};

use crate::Bench;
use crate::host::Host;
use crate::outcome::{Goal, Outcome};
use crate::servers::ROOM;

use players::{Audience, Faults, Way};
use scene::Scene;

/// Viewers of each protocol.
const VIEWERS: usize = 1000;

/// Of each kind of failure, on nodes of its own: the edge stays away from a parent for longer each
/// time that it fails.
const ROUNDS: usize = 3;

/// What is measured of a round: before the failure, and from it on.
const BEFORE: Duration = Duration::from_secs(3);
const AFTER: Duration = Duration::from_secs(4);

/// How a parent fails.
#[derive(Clone, Copy)]
enum Failure {
    /// Killed by signal 9.
    Killed,
    /// Its packets are lost from now on.
    Partitioned,
}

/// Runs everything.
pub async fn run(bench: &Bench) -> anyhow::Result<Outcome> {
    let mut outcome = Outcome::new("failover");
    let mut all = Faults::default();
    for (failure, word, limit_ms) in [
        (Failure::Killed, "killed", 300.0),
        (Failure::Partitioned, "partitioned", 1500.0),
    ] {
        let (stalls_ms, faults) = fail(bench, failure).await?;
        all.add(faults);
        for way in [Way::Flv, Way::Hls] {
            let of_way = stalls_ms.iter().filter(|(of, _)| *of == way);
            let mut sorted: Vec<f64> = of_way.map(|(_, stall_ms)| *stall_ms).collect();
            sorted.sort_by(f64::total_cmp);
            let at = |permille: usize| sorted[(sorted.len() - 1) * permille / 1000];
            let name = |what: &str| format!("parent {word}, {VIEWERS} x {way}: {what}");
            outcome.tell(name("added stall, p50"), at(500), "ms");
            let goal = Goal::AtMost(limit_ms);
            outcome.judge(name("added stall, p99"), at(990), "ms", goal);
        }
    }
    let none = Goal::AtMost(0.0);
    outcome.judge("connections lost", all.ended as f64, "", none);
    outcome.judge("frames missing", all.missing as f64, "", none);
    outcome.judge("frames that came twice", all.twice as f64, "", none);
    outcome.tell("frames delivered", all.frames as f64, "");
    Ok(outcome)
}

/// The rounds of one kind of failure: what each viewer waited in each, and what went wrong.
async fn fail(bench: &Bench, failure: Failure) -> anyhow::Result<(Vec<(Way, f64)>, Faults)> {
    let clip = bench.thin_clip()?;
    let mut scene = Scene::start(&bench.folder).await?;
    let mut host = Host::start(&clip, &scene.rtmp, "live", ROOM)?;
    scene.wait_for_room().await?;
    let scope = TaskScope::under(&Shutdown::new());
    let audience = Rc::new(Audience::default());
    for way in [Way::Flv, Way::Hls] {
        audience.join(&scene.http, way, VIEWERS, &scope).await?;
    }
    let mut stalls_ms = Vec::new();
    for _ in 0..ROUNDS {
        scene.wait_for_active(scene::FIRST).await?;
        audience.measure();
        tokio::time::sleep(BEFORE).await;
        audience.fail();
        match failure {
            Failure::Killed => scene.kill()?,
            Failure::Partitioned => scene.partition(true),
        }
        tokio::time::sleep(AFTER).await;
        stalls_ms.extend(audience.stalls_ms());
        match failure {
            Failure::Killed => scene.revive()?,
            Failure::Partitioned => scene.partition(false),
        }
    }
    host.check()?;
    let faults = audience.faults();
    scope.finish(Duration::ZERO).await;
    Ok((stalls_ms, faults))
}
