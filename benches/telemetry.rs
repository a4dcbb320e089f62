//! What telemetry costs: two networks side by side with the same audience, one silent, one with an
//! access log, spans to a collector, a scrape each second and players that tell of themselves.
//!
//! Side by side, so that both see the same drift of the machine; in the second half each has the
//! part of the other.

use std::fs;
use std::time::Duration;

use rushlane::runtime::{Shutdown, TaskScope, clock};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

use crate::Bench;
use crate::host::Host;
use crate::outcome::{Goal, Outcome};
use crate::process::CpuMeter;
use crate::servers::{Network, ROOM};
use crate::soak;

/// As in the soak.
const FLV: usize = 300;
const LL_HLS: usize = 150;

/// What players tell with each request, as hls.js does.
const CMCD: &str = "CMCD=bl%3D2100%2Cbr%3D1900%2Ccid%3D%22bench%22%2Cd%3D333%2Cmtp%3D48100%2Cot\
    %3Dv%2Csf%3Dh%2Csid%3D%226e2fb550-c457-11e9-bb97-0800200c9a66%22%2Cst%3Dll%2Ctb%3D1900";

/// All are in, first bursts are over.
const SETTLE: Duration = Duration::from_secs(10);

const HALF: Duration = Duration::from_secs(40);

/// Runs both halves.
pub async fn run(bench: &Bench) -> anyhow::Result<Outcome> {
    let mut outcome = Outcome::new("telemetry");
    let (mut silent, mut told) = (0.0, 0.0);
    for half in 0..2 {
        let [first, second] = side_by_side(bench, half == 0).await?;
        let (off, on) = if half == 0 {
            (second, first)
        } else {
            (first, second)
        };
        outcome.tell(format!("half {}: CPU without", half + 1), off, "s");
        outcome.tell(format!("half {}: CPU with all of it", half + 1), on, "s");
        silent += off;
        told += on;
    }
    outcome.tell("viewers of each edge: HTTP-FLV", FLV as f64, "");
    outcome.tell("viewers of each edge: LL-HLS", LL_HLS as f64, "");
    let seconds = 2.0 * HALF.as_secs_f64();
    let share = (told - silent) / seconds * 100.0;
    let goal = Goal::AtMost(2.0);
    outcome.judge("CPU of telemetry", share, "% of a core", goal);
    let more = (told / silent - 1.0) * 100.0;
    outcome.tell("CPU of telemetry, of what else the edge needs", more, "%");
    Ok(outcome)
}

/// CPU seconds of two edges under the same load; the first one tells if `first_tells`, else the
/// second.
async fn side_by_side(bench: &Bench, first_tells: bool) -> anyhow::Result<[f64; 2]> {
    let scope = TaskScope::under(&Shutdown::new());
    let collector = collect(&scope).await?;
    let mut networks = Vec::new();
    for (name, tells) in [("first", first_tells), ("second", !first_tells)] {
        let folder = bench.folder.join(format!("telemetry-{name}"));
        let _last_run = fs::remove_dir_all(&folder);
        fs::create_dir_all(&folder)?;
        let log = folder.join("access.log");
        let more =
            format!("[access_log]\npath = {log:?}\n[telemetry]\notlp = \"http://{collector}\"\n");
        let more = if tells { more } else { String::new() };
        let network = Network::start_with(&folder, "", &more).await?;
        let host = Host::start(&bench.clip, &network.rtmp, "live", ROOM)?;
        network.wait_for_room().await?;
        networks.push((network, host, tells));
    }
    let until = clock::now() + SETTLE + HALF;
    for index in 0..FLV + LL_HLS {
        for (network, _, tells) in &networks {
            let (address, query) = (network.http.clone(), if *tells { CMCD } else { "" });
            scope.spawn_local("viewer", async move {
                let watched = match index < FLV {
                    true => soak::watch_flv(&address, until).await,
                    false => soak::follow(&address, until, query).await,
                };
                if let Err(error) = watched {
                    tracing::warn!(%error, "a viewer ended");
                }
            });
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    tokio::time::sleep_until(until - HALF).await;
    let meters = [
        CpuMeter::start(&networks[0].0.edge)?,
        CpuMeter::start(&networks[1].0.edge)?,
    ];
    while clock::now() < until {
        tokio::time::sleep(Duration::from_secs(1)).await;
        for (network, _, _) in networks.iter().filter(|(_, _, tells)| *tells) {
            network.edge_metrics().await?;
        }
    }
    let [first, second] = &meters;
    let spent = [
        first.seconds(&networks[0].0.edge)?,
        second.seconds(&networks[1].0.edge)?,
    ];
    scope.finish(Duration::ZERO).await;
    for (_, host, _) in &mut networks {
        host.check()?;
    }
    Ok(spent)
}

/// A collector that takes everything; its address.
async fn collect(scope: &TaskScope) -> anyhow::Result<String> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let address = listener.local_addr()?.to_string();
    let all = scope.clone();
    scope.spawn_local("collector", async move {
        while let Ok((socket, _)) = listener.accept().await {
            all.spawn_local("collector.connection", async move {
                let _ended = take(socket).await;
            });
        }
    });
    Ok(address)
}

async fn take(mut socket: TcpStream) -> std::io::Result<()> {
    let mut bytes = Vec::new();
    loop {
        let end = bytes.windows(4).position(|four| four == b"\r\n\r\n");
        let Some(end) = end else {
            if socket.read_buf(&mut bytes).await? == 0 {
                return Ok(());
            }
            continue;
        };
        let head = String::from_utf8_lossy(&bytes[..end]).to_ascii_lowercase();
        let length = head.split("content-length: ").nth(1);
        let length = length.and_then(|rest| rest.lines().next()?.trim().parse().ok());
        let whole = end + 4 + length.unwrap_or(0);
        while bytes.len() < whole {
            if socket.read_buf(&mut bytes).await? == 0 {
                return Ok(());
            }
        }
        bytes.drain(..whole);
        let answer = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\n\
            content-length: 2\r\n\r\n{}";
        socket.write_all(answer).await?;
    }
}
