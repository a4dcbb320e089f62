//! A long show: 500 viewers who come and go, and what it does to memory and descriptors.
//!
//! Not part of `make bench`, for it takes an hour: `make soak`, or `make soak MINUTES=10`.

use std::cell::RefCell;
use std::fmt::Write as _;
use std::fs;
use std::rc::Rc;
use std::time::Duration;

use anyhow::{Context as _, bail};
use rushlane::runtime::clock::{self, Instant};
use rushlane::runtime::{Shutdown, TaskScope};
use tokio::io::AsyncReadExt as _;

use crate::Bench;
use crate::host::Host;
use crate::members::Crowd;
use crate::outcome::{Goal, Outcome};
use crate::process::{CpuMeter, Process};
use crate::servers::{Network, ROOM};
use crate::viewers::{FlvReader, request_flv};

const FLV: usize = 300;
const LL_HLS: usize = 150;
const MEMBERS: usize = 50;

/// Without another word, in minutes.
const MINUTES: u64 = 60;

/// The share of the run that is not judged: rings fill, allocators find their size.
const WARM: u64 = 4;

const SAMPLE: Duration = Duration::from_secs(10);

/// How long a viewer stays, in seconds: from the first to the sum of both.
const STAY: (u64, u64) = (20, 100);

/// What all viewers together have seen.
#[derive(Default)]
struct Seen {
    visits: u64,
    faults: Vec<String>,
}

type Shared = Rc<RefCell<Seen>>;

/// One look at a process.
struct Sample {
    at: Duration,
    resident_bytes: f64,
    files: f64,
}

/// Runs the bench; `MINUTES` of the environment say how long.
pub async fn run(bench: &Bench) -> anyhow::Result<Outcome> {
    let minutes = match std::env::var("MINUTES") {
        Ok(text) => text.parse().context("MINUTES")?,
        Err(_) => MINUTES,
    };
    let network = Network::start(&bench.folder).await?;
    let mut host = Host::start(&bench.clip, &network.rtmp, "live", ROOM)?;
    network.wait_for_room().await?;
    let seen = Shared::default();
    let scope = TaskScope::under(&Shutdown::new());
    for index in 0..FLV + LL_HLS {
        let (seen, address) = (seen.clone(), network.http.clone());
        scope.spawn_local("viewer", come_and_go(index, address, seen));
    }
    scope.spawn_local("members", members(network.http.clone(), seen.clone()));

    let (started, total) = (clock::now(), Duration::from_secs(60 * minutes));
    let processes = [("edge", &network.edge), ("origin", network.origin())];
    let meters = [
        CpuMeter::start(processes[0].1)?,
        CpuMeter::start(processes[1].1)?,
    ];
    let mut samples = [Vec::new(), Vec::new()];
    let mut log = String::from("seconds,edge_bytes,edge_files,origin_bytes,origin_files\n");
    while started.elapsed() < total {
        tokio::time::sleep(SAMPLE).await;
        host.check()?;
        write!(log, "{}", started.elapsed().as_secs())?;
        for ((_, process), samples) in processes.iter().zip(&mut samples) {
            let sample = Sample::take(process, started)?;
            write!(log, ",{},{}", sample.resident_bytes, sample.files)?;
            samples.push(sample);
        }
        log.push('\n');
        fs::write(bench.folder.join("soak.csv"), &log)?;
    }
    let mut outcome = Outcome::new("soak");
    outcome.tell("minutes", minutes as f64, "");
    outcome.tell("visits", seen.borrow().visits as f64, "");
    for (((name, process), meter), samples) in processes.iter().zip(meters).zip(&samples) {
        let cpu = meter.share(process)? * 100.0;
        outcome.tell(format!("{name}: CPU"), cpu, "% of a core");
        judge(
            &mut outcome,
            name,
            &samples[samples.len() / WARM as usize..],
        )?;
    }
    let seen = seen.borrow();
    let faults = seen.faults.len() as f64;
    outcome.judge("visits that failed", faults, "", Goal::AtMost(0.0));
    if let Some(first) = seen.faults.first() {
        tracing::warn!(first, "a visit failed");
    }
    Ok(outcome)
}

impl Sample {
    fn take(process: &Process, started: Instant) -> anyhow::Result<Self> {
        Ok(Self {
            at: started.elapsed(),
            resident_bytes: process.resident_bytes()?,
            files: process.open_files()?,
        })
    }
}

fn judge(outcome: &mut Outcome, name: &str, samples: &[Sample]) -> anyhow::Result<()> {
    if samples.len() < 4 {
        bail!("too short to say anything: MINUTES=5 at least");
    }
    let (bytes, growth) = trend(samples, |sample| sample.resident_bytes);
    let (files, files_growth) = trend(samples, |sample| sample.files);
    outcome.tell(format!("{name}: memory"), bytes / 1e6, "MB RSS");
    outcome.judge(
        format!("{name}: memory grows by"),
        growth / bytes * 100.0,
        "%/h",
        Goal::AtMost(1.0),
    );
    outcome.tell(format!("{name}: descriptors"), files, "");
    // Of 450 visits under way at any time, the count swings by some.
    outcome.judge(
        format!("{name}: descriptors grow by"),
        files_growth / files * 100.0,
        "%/h",
        Goal::AtMost(2.0),
    );
    Ok(())
}

/// The mean, and by how much it grows in an hour (least squares).
fn trend(samples: &[Sample], of: impl Fn(&Sample) -> f64) -> (f64, f64) {
    let count = samples.len() as f64;
    let hours = |sample: &Sample| sample.at.as_secs_f64() / 3600.0;
    let mean_x = samples.iter().map(hours).sum::<f64>() / count;
    let mean_y = samples.iter().map(&of).sum::<f64>() / count;
    let (mut above, mut below) = (0.0, 0.0);
    for sample in samples {
        let x = hours(sample) - mean_x;
        above += x * (of(sample) - mean_y);
        below += x * x;
    }
    (mean_y, above / below)
}

/// A place in the audience: one visit after the other, each of another length.
async fn come_and_go(index: usize, address: String, seen: Shared) {
    // All come within the shortest stay, not at once.
    let spread = STAY.0 * 1000 / (FLV + LL_HLS) as u64;
    tokio::time::sleep(Duration::from_millis(spread * index as u64)).await;
    for visit in 0_u64.. {
        let seconds = STAY.0 + (index as u64 * 7919 + visit * 104_729) % STAY.1;
        let until = clock::now() + Duration::from_secs(seconds);
        let visited = match index < FLV {
            true => watch_flv(&address, until).await,
            false => follow(&address, until).await,
        };
        let mut seen = seen.borrow_mut();
        seen.visits += 1;
        if let Err(error) = visited {
            seen.faults.push(format!("{error:#}"));
        }
    }
}

async fn watch_flv(address: &str, until: Instant) -> anyhow::Result<()> {
    let mut socket = request_flv(address, &format!("/live/{ROOM}.flv")).await?;
    let (mut reader, mut buffer) = (FlvReader::default(), vec![0; 16 << 10]);
    while clock::now() < until {
        let length = socket.read(&mut buffer).await?;
        anyhow::ensure!(length > 0, "the edge closed a viewer");
        reader.feed(&buffer[..length], |_| {})?;
    }
    Ok(())
}

/// Blocking reloads, and each part that they name as hinted.
async fn follow(address: &str, until: Instant) -> anyhow::Result<()> {
    let base = format!("http://{address}/live/{ROOM}/");
    let client = reqwest::Client::builder().http1_only().build()?;
    let get = async |url: String| {
        let answer = client.get(url).send().await?.error_for_status()?;
        anyhow::Ok(answer.text().await?)
    };
    let index = get(format!("{base}index.m3u8")).await?;
    let media = index
        .lines()
        .find(|line| line.ends_with("video/media.m3u8"));
    let media = format!("{base}{}", media.context("no video rendition")?);
    let folder = media.trim_end_matches("media.m3u8");
    let mut text = get(media.clone()).await?;
    while clock::now() < until {
        let hint = crate::latency::hinted(&text).context("no preload hint")?;
        let (msn, part) = hint.split_once('.').context("MSN.PART.m4s")?;
        let part = part.trim_end_matches(".m4s");
        text = get(format!("{media}?_HLS_msn={msn}&_HLS_part={part}")).await?;
        // A hint may be abandoned when a segment ends early: 404 (draft, 6.2.6).
        client
            .get(format!("{folder}{hint}"))
            .send()
            .await?
            .bytes()
            .await?;
    }
    Ok(())
}

/// Members who come together, say something each second and go together.
async fn members(address: String, seen: Shared) {
    for visit in 0_u64.. {
        let until = clock::now() + Duration::from_secs(STAY.0 + visit * 31 % STAY.1);
        let talked = async {
            let crowd = Crowd::new();
            crowd.join(&address, MEMBERS, false).await?;
            let mut speaker = crowd.speaker(&address, "speaker").await?;
            let mut said = 0_u64;
            while clock::now() < until {
                tokio::time::sleep(Duration::from_secs(1)).await;
                said += 1;
                speaker
                    .say(&format!("comment {said} of visit {visit}"))
                    .await?;
                speaker.like(&format!("v{visit}"), said, 7).await?;
            }
            crowd.heard()?;
            crowd.leave().await;
            anyhow::Ok(())
        };
        let talked = talked.await;
        let mut seen = seen.borrow_mut();
        seen.visits += MEMBERS as u64;
        if let Err(error) = talked {
            seen.faults.push(format!("members: {error:#}"));
        }
    }
}
