//! A long show: 500 viewers who come and go, and what it does to memory and descriptors.
//!
//! Not part of `make bench`, for it takes an hour: `make soak`, or `make soak MINUTES=10`. The show
//! is thin and files have a folder of their own, so that it may run beside other work: what that
//! costs its viewers is counted and allowed for, what it costs memory is not.

use std::cell::RefCell;
use std::fmt::Write as _;
use std::fs;
use std::io::Write as _;
use std::rc::Rc;
use std::time::Duration;

use anyhow::{Context as _, bail};
use rushlane::runtime::clock::{self, Instant};
use rushlane::runtime::{Shutdown, TaskScope};
use tokio::io::AsyncReadExt as _;

use crate::Bench;
use crate::host::Host;
use crate::members::Crowd;
use crate::outcome::{Goal, Outcome, median};
use crate::process::{CpuMeter, Process};
use crate::servers::{Network, ROOM};
use crate::viewers::{FlvReader, request_flv};

const FLV: usize = 300;
const LL_HLS: usize = 150;
const MEMBERS: usize = 50;

/// Without another word, in minutes.
const MINUTES: u64 = 60;

/// The share of the run that is not judged, as a divisor: rings and histories fill, the allocator
/// finds its size.
const WARM: usize = 4;

const SAMPLE: Duration = Duration::from_secs(10);

/// Samples of one point of a trend: the median of a minute does not see a crowd that leaves and
/// comes back within it.
const POINT: usize = 6;

/// Points below which a trend says nothing.
const POINTS_MIN: usize = 4;

/// Visits that may be cut short, in percent: the machine has other work to do.
const FAILED_PERCENT: f64 = 0.5;

/// How long the members may take to leave; viewers leave at once.
const LEAVE: Duration = Duration::from_secs(5);

/// How long descriptors may take to be closed after everybody has left.
const PARTING: Duration = Duration::from_secs(60);

/// Descriptors that a node may have opened for itself meanwhile.
const OWN_FILES: f64 = 2.0;

/// How long a viewer stays, in seconds: from the first to the sum of both.
const STAY: (u64, u64) = (20, 100);

/// What all viewers together have seen.
#[derive(Default)]
struct Seen {
    visits: u64,
    failures: u64,
    first_failure: Option<String>,
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
    let folder = bench.folder.join("soak");
    let _first_run = fs::remove_dir_all(&folder);
    fs::create_dir_all(&folder)?;
    let clip = bench.thin_clip()?;
    let network = Network::start(&folder).await?;
    let mut host = Host::start(&clip, &network.rtmp, "live", ROOM)?;
    network.wait_for_room().await?;
    let processes = [("edge", &network.edge), ("origin", network.origin())];
    let alone = [processes[0].1.open_files()?, processes[1].1.open_files()?];
    let seen = Shared::default();
    let scope = audience(&network, &seen);

    let (started, total) = (clock::now(), Duration::from_secs(60 * minutes));
    let meters = [
        CpuMeter::start(processes[0].1)?,
        CpuMeter::start(processes[1].1)?,
    ];
    let mut samples = [Vec::new(), Vec::new()];
    let mut log = String::from("seconds,edge_bytes,edge_files,origin_bytes,origin_files\n");
    while started.elapsed() < total {
        tokio::time::sleep(SAMPLE).await;
        if let Err(error) = host.check() {
            seen.borrow_mut().failed(&error);
            host = Host::start(&clip, &network.rtmp, "live", ROOM)?;
        }
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
    for (((name, process), meter), samples) in processes.iter().zip(meters).zip(&samples) {
        let cpu = meter.share(process)? * 100.0;
        outcome.tell(format!("{name}: CPU"), cpu, "% of a core");
        judge(&mut outcome, name, &samples[samples.len() / WARM..])?;
    }
    scope.finish(LEAVE).await;
    for ((name, process), alone) in processes.iter().zip(alone) {
        let left = left_open(process, alone).await?;
        let row = format!("{name}: descriptors left when all have gone");
        outcome.judge(row, left, "", Goal::AtMost(OWN_FILES));
    }
    let seen = seen.borrow();
    outcome.tell("visits", seen.visits as f64, "");
    let failed = seen.failures as f64 / seen.visits.max(1) as f64 * 100.0;
    let goal = Goal::AtMost(FAILED_PERCENT);
    outcome.judge("visits cut short", failed, "%", goal);
    if let Some(first) = &seen.first_failure {
        writeln!(std::io::stderr(), "the first visit cut short: {first}")?;
    }
    Ok(outcome)
}

/// Everybody, until the scope ends.
fn audience(network: &Network, seen: &Shared) -> TaskScope {
    let scope = TaskScope::under(&Shutdown::new());
    for index in 0..FLV + LL_HLS {
        let (seen, address) = (seen.clone(), network.http.clone());
        scope.spawn_local("viewer", come_and_go(index, address, seen));
    }
    let members = members(network.http.clone(), seen.clone(), scope.shutdown().clone());
    scope.spawn_local("members", members);
    scope
}

impl Seen {
    fn failed(&mut self, error: &anyhow::Error) {
        self.failures += 1;
        self.first_failure
            .get_or_insert_with(|| format!("{error:#}"));
    }
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

/// Descriptors beyond those that the process had while it was `alone`, once they no longer fall.
async fn left_open(process: &Process, alone: f64) -> anyhow::Result<f64> {
    let started = clock::now();
    loop {
        let left = process.open_files()? - alone;
        if left <= OWN_FILES || started.elapsed() > PARTING {
            return Ok(left.max(0.0));
        }
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
}

fn judge(outcome: &mut Outcome, name: &str, samples: &[Sample]) -> anyhow::Result<()> {
    let memory = Trend::of(samples, |sample| sample.resident_bytes)?;
    outcome.tell(format!("{name}: memory"), memory.level / 1e6, "MB RSS");
    let goal = Goal::AtMost(1.0);
    let row = format!("{name}: memory grows by");
    outcome.judge(row, memory.growth, "%/h", goal);
    let [low, high] = memory.bounds;
    outcome.tell(format!("{name}: by at least (95 of 100)"), low, "%/h");
    outcome.tell(format!("{name}: by at most (95 of 100)"), high, "%/h");
    let files = Trend::of(samples, |sample| sample.files)?;
    outcome.tell(format!("{name}: descriptors"), files.level, "");
    let row = format!("{name}: descriptors grow by");
    outcome.judge(row, files.growth, "%/h", goal);
    Ok(())
}

/// How a figure goes, in percent of its level an hour (Sen 1968: the median of the slopes between
/// all pairs of points, which a step of the allocator does not sway, and its interval after
/// Kendall).
struct Trend {
    level: f64,
    growth: f64,
    bounds: [f64; 2],
}

impl Trend {
    fn of(samples: &[Sample], of: impl Fn(&Sample) -> f64) -> anyhow::Result<Self> {
        let hours = |sample: &Sample| sample.at.as_secs_f64() / 3600.0;
        let points: Vec<(f64, f64)> = samples
            .chunks_exact(POINT)
            .map(|minute| (hours(&minute[0]), median(minute.iter().map(&of).collect())))
            .collect();
        if points.len() < POINTS_MIN {
            bail!("too short to say anything: MINUTES=6 at least");
        }
        let level = median(points.iter().map(|point| point.1).collect());
        let pairs = points.iter().enumerate().flat_map(|(index, from)| {
            let later = points.iter().skip(index + 1);
            later.map(|to| (to.1 - from.1) / (to.0 - from.0))
        });
        let mut slopes: Vec<f64> = pairs.map(|slope| slope / level * 100.0).collect();
        slopes.sort_by(f64::total_cmp);
        let (count, pairs) = (points.len() as f64, slopes.len() as f64);
        let spread = 1.96 * (count * (count - 1.0) * (2.0 * count + 5.0) / 18.0).sqrt();
        let at = |rank: f64| slopes[(rank.max(0.0) as usize).min(slopes.len() - 1)];
        Ok(Self {
            level,
            growth: at(pairs / 2.0),
            bounds: [at((pairs - spread) / 2.0), at((pairs + spread) / 2.0)],
        })
    }
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
            false => follow(&address, until, "").await,
        };
        let mut seen = seen.borrow_mut();
        seen.visits += 1;
        if let Err(error) = visited {
            seen.failed(&error);
        }
    }
}

/// Watches by HTTP-FLV until then.
pub async fn watch_flv(address: &str, until: Instant) -> anyhow::Result<()> {
    let mut socket = request_flv(address, &format!("/live/{ROOM}.flv")).await?;
    let (mut reader, mut buffer) = (FlvReader::default(), vec![0; 16 << 10]);
    while clock::now() < until {
        let length = socket.read(&mut buffer).await?;
        anyhow::ensure!(length > 0, "the edge closed a viewer");
        reader.feed(&buffer[..length], |_| {})?;
    }
    Ok(())
}

/// Blocking reloads until then, and each part that they name as hinted; `query` goes along with all
/// of them.
pub async fn follow(address: &str, until: Instant, query: &str) -> anyhow::Result<()> {
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
        text = get(format!("{media}?_HLS_msn={msn}&_HLS_part={part}&{query}")).await?;
        // A hint may be abandoned when a segment ends early: 404 (draft, 6.2.6).
        client
            .get(format!("{folder}{hint}?{query}"))
            .send()
            .await?
            .bytes()
            .await?;
    }
    Ok(())
}

/// Members who come together, say something each second and go together.
async fn members(address: String, seen: Shared, leaving: Shutdown) {
    for visit in (0_u64..).take_while(|_| !leaving.is_requested()) {
        let until = clock::now() + Duration::from_secs(STAY.0 + visit * 31 % STAY.1);
        let talked = async {
            let crowd = Crowd::new();
            crowd.join(&address, MEMBERS, false).await?;
            let mut speaker = crowd.speaker(&address, "speaker").await?;
            let mut said = 0_u64;
            while clock::now() < until && !leaving.is_requested() {
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
            seen.failed(&error.context("members"));
        }
    }
}
