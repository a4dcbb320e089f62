//! `make bench`: measures Rushlane against its goals, with the rivals and the physical limit in the
//! same run (docs/PERFORMANCE.md).
//!
//! Servers run on core 0, everything that loads them on core 1. Absolute figures drift between
//! machines and runs: the goals are ratios wherever a rival exists.

mod asking;
mod bare;
mod chat;
mod clip;
mod crowd;
mod failover;
mod fanout;
mod flames;
mod host;
mod latency;
mod members;
mod multiplexed;
mod objects;
mod orders;
mod outcome;
mod overload;
mod parked;
mod process;
mod rivals;
mod rtmp;
mod scale;
mod servers;
mod soak;
mod stamp;
mod storm;
mod telemetry;
mod tokens;
mod viewers;
mod why;

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context as _, bail};
use clip::Clip;
use tokio::task::LocalSet;

/// What every bench needs.
struct Bench {
    /// Where logs, configurations and results go.
    folder: PathBuf,
    /// The clip's file.
    clip_file: PathBuf,
    /// The clip.
    clip: Clip,
}

impl Bench {
    /// The same show at an eighth of the rate, for benches of many viewers that are not about
    /// bytes.
    fn thin_clip(&self) -> anyhow::Result<Clip> {
        Clip::open_thin(&self.folder.join("thin.flv"))
    }
}

fn main() -> ExitCode {
    match benches() {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            writeln!(std::io::stderr(), "{error:#}").ok();
            ExitCode::FAILURE
        }
    }
}

/// Runs the benches that the command line names; true when every goal holds.
fn benches() -> anyhow::Result<bool> {
    let words: Vec<String> = std::env::args()
        .skip(1)
        .filter(|word| !word.starts_with("--"))
        .collect();
    match words.as_slice() {
        [mode, port, clip] if mode == "bare" => {
            bare::serve(port.parse()?, Path::new(clip))?;
            return Ok(true);
        }
        [mode, port, viewers, answer_bytes] if mode == "wake" => {
            bare::wake(port.parse()?, viewers.parse()?, answer_bytes.parse()?)?;
            return Ok(true);
        }
        [mode, words @ ..] if mode == "crowd" => {
            let crowd = LocalSet::new().block_on(&current_thread()?, crowd::run(words));
            return crowd.map(|()| true);
        }
        _ => {}
    }
    process::pin_client()?;
    let folder = PathBuf::from("target/bench");
    std::fs::create_dir_all(&folder)?;
    let clip_file = folder.join("clip.flv");
    let bench = Bench {
        clip: Clip::open(&clip_file)?,
        clip_file,
        folder,
    };
    let runtime = current_thread()?;
    let all = [
        "latency", "fanout", "objects", "parked", "orders", "chat", "scale", "storm", "overload",
        "tokens",
    ]
    .map(str::to_owned);
    let chosen = if words.is_empty() { &all[..] } else { &words };
    let mut passed = true;
    for name in chosen {
        passed &= LocalSet::new()
            .block_on(&runtime, run(name, &bench))
            .with_context(|| format!("bench {name}"))?;
    }
    Ok(passed)
}

fn current_thread() -> std::io::Result<tokio::runtime::Runtime> {
    let mut builder = tokio::runtime::Builder::new_current_thread();
    builder.enable_all().build()
}

async fn run(name: &str, bench: &Bench) -> anyhow::Result<bool> {
    let outcome = match name {
        "chat" => chat::run(bench).await?,
        "failover" => failover::run(bench).await?,
        "fanout" => fanout::run(bench).await?,
        "flames" => flames::run(bench).await?,
        "latency" => latency::run(bench).await?,
        "objects" => objects::run(bench).await?,
        "orders" => orders::run(bench).await?,
        "overload" => overload::run(bench).await?,
        "parked" => parked::run(bench).await?,
        "rivals" => rivals::run(bench).await?,
        "scale" => scale::run(bench).await?,
        "soak" => soak::run(bench).await?,
        "storm" => storm::run(bench).await?,
        "telemetry" => telemetry::run(bench).await?,
        "why" => why::run(bench).await?,
        "tokens" => tokens::run(bench)?,
        other => bail!("no bench {other}: see benches/bench.mk"),
    };
    outcome.finish(&bench.folder)
}
