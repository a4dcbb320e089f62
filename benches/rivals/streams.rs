//! HTTP-FLV, and RTMP where a server has nothing else, frame by frame.

use crate::Bench;
use crate::host::Host;
use crate::outcome::{Goal, Outcome};
use crate::process::Process;
use crate::rivals::servers;
use crate::scale::cost;
use crate::servers::{Network, ROOM, nginx_rtmp};
use crate::viewers::Source;

/// xiu loses pictures beyond.
const VIEWERS: usize = 500;

/// Runs each server in turn.
pub(super) async fn run(bench: &Bench, outcome: &mut Outcome) -> anyhow::Result<()> {
    let network = Network::start(&bench.folder).await?;
    let host = Host::start(&bench.clip, &network.rtmp, "live", ROOM)?;
    network.wait_for_room().await?;
    let source = Source::Flv(network.http.clone(), format!("/live/{ROOM}.flv"));
    let ours = watch(outcome, "Rushlane, HTTP-FLV", &source, &network.edge).await?;
    drop((host, network));
    let (process, address) = nginx_rtmp(&bench.folder).await?;
    let host = Host::start(&bench.clip, &address, "live", ROOM)?;
    let rtmp = watch(
        outcome,
        "nginx-rtmp, RTMP",
        &Source::Rtmp(address),
        &process,
    )
    .await?;
    drop((host, process));
    let (process, rtmp_address, flv) = servers::xiu(&bench.folder).await?;
    let _host = Host::start(&bench.clip, &rtmp_address, "live", ROOM)?;
    let source = Source::Flv(flv, format!("/live/{ROOM}.flv"));
    let xiu = watch(outcome, "xiu, HTTP-FLV", &source, &process).await?;
    for (rival, per_core) in [("nginx-rtmp", rtmp), ("xiu", xiu)] {
        let name = format!("{VIEWERS} viewers: against {rival}");
        outcome.judge(name, ours / per_core, "x", Goal::AtLeast(2.0));
    }
    Ok(())
}

async fn watch(
    outcome: &mut Outcome,
    name: &str,
    source: &Source,
    server: &Process,
) -> anyhow::Result<f64> {
    let cost = cost(source, VIEWERS, server).await?;
    let per_core = 1.0 / cost.cores;
    let name = |what| format!("{VIEWERS} viewers, {name}: {what}");
    outcome.tell(name("viewers per core"), per_core, "");
    outcome.tell(name("delay p50"), cost.delay_p50_ms, "ms");
    outcome.tell(name("delay p99"), cost.delay_p99_ms, "ms");
    outcome.tell(name("pictures missed"), cost.lost as f64, "");
    Ok(per_core)
}
