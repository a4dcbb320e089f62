//! Ten thousand viewers parked on one worker by blocking reloads: how fast a part wakes them, and
//! what each costs in memory.
//!
//! In the world these viewers are ten thousand machines; here they share two cores with the edge.
//! Two things keep their part of the work from being measured, for the bare writer too:
//!
//! - One thread is all viewers. It sleeps from the first answer until all are there, and takes from
//!   the kernel when the last byte of each came to its socket (`SO_TIMESTAMPNS`).
//! - Loopback does the receiver's TCP work in the writer's system call. [`Steering`] gives it to
//!   the viewers' core. The figure without that is told beside.

use std::io::{self, IoSliceMut, Write as _};
use std::net::TcpStream;
use std::os::fd::AsRawFd as _;
use std::time::Duration;

use anyhow::{Context as _, bail};
use hdrhistogram::Histogram;
use nix::sys::socket::{self, ControlMessageOwned, MsgFlags, sockopt};
use nix::sys::time::TimeSpec;
use rushlane::runtime::clock;

use crate::Bench;
use crate::asking::response_bytes;
use crate::host::Host;
use crate::outcome::{self, Goal, Outcome, median};
use crate::process::{CpuMeter, Steering};
use crate::servers::{self, Network, ROOM};
use crate::stamp::Stamp;

const VIEWERS: usize = 10_000;
const WAVES: usize = 10;

/// Where a stamped answer has its stamp.
const STAMPED_BYTES: usize = 160;

/// From the first answer to the reading of all: longer than any wave takes.
const SETTLE: Duration = Duration::from_millis(400);

/// Longer than a viewer is parked.
const ANSWERED_WITHIN: Duration = Duration::from_secs(12);

/// The connections of all viewers.
struct Hall(Vec<TcpStream>);

/// An answer to a viewer.
struct Answer {
    /// When its last byte came to the viewer's socket, in microseconds since 1970.
    arrived_us: i64,
    length: usize,
    /// What a bare server stamps its answers with.
    stamp: Option<Stamp>,
}

/// What some parts did to all parked viewers.
struct Waves {
    wakes_us: Histogram<u64>,
    p99s_ms: Vec<f64>,
    /// The edge's memory while all were parked.
    parked_bytes: Vec<f64>,
    /// Of the longest answer.
    answer_bytes: usize,
}

/// Runs everything.
pub async fn run(bench: &Bench) -> anyhow::Result<Outcome> {
    let network = Network::start(&bench.folder).await?;
    let host = Host::start(&bench.clip, &network.rtmp, "live", ROOM)?;
    network.wait_for_room().await?;
    // Long enough for a window of segments, so that playlists have their full length.
    tokio::time::sleep(Duration::from_secs(14)).await;
    let media = media_path(&network).await?;
    let before = network.edge.resident_bytes()?;
    let mut hall = Hall::open(&network.http).await?;
    let meter = CpuMeter::start(&network.edge)?;
    let unsteered = waves(&network, &media, &mut hall).await?;
    let cpu_us = meter.seconds(&network.edge)? * 1e6 / (WAVES * VIEWERS) as f64;
    let steering = Steering::start()?;
    let steered = waves(&network, &media, &mut hall).await?;
    drop(steering);
    // Who closes first keeps the ports: the server's one, not ten thousand of viewers.
    drop((host, network, hall));
    let answer_bytes = unsteered.answer_bytes.max(steered.answer_bytes);
    let (bare_unsteered, bare) = limits(bench, answer_bytes).await?;

    let mut outcome = Outcome::new("parked");
    let name = |what| format!("{VIEWERS} parked reloads, plain HTTP/1.1: {what}");
    let p50 = steered.wakes_us.value_at_quantile(0.5) as f64 / 1000.0;
    outcome.tell(name("woken, p50"), p50, "ms");
    let p99_of_all = p99_ms(&steered.wakes_us);
    outcome.tell(name("woken, p99 of all waves"), p99_of_all, "ms");
    let (goal, p99) = (Goal::AtMost(50.0), median(steered.p99s_ms));
    outcome.judge(name("woken, p99, median wave"), p99, "ms", goal);
    outcome.tell(name("bare writes, p99, median wave"), bare, "ms");
    outcome.tell(name("woken, against bare writes"), p99 / bare, "x");
    let name = |what| format!("the same with the viewers' TCP on the edge's core: {what}");
    let p99 = median(unsteered.p99s_ms);
    outcome.tell(name("p99"), p99, "ms");
    outcome.tell(name("bare"), bare_unsteered, "ms");
    outcome.tell(name("ratio"), p99 / bare_unsteered, "x");
    outcome.tell(name("CPU"), cpu_us, "us");
    outcome.tell("an answer", answer_bytes as f64, "bytes");
    let memory = (median(unsteered.parked_bytes) - before) / VIEWERS as f64 / 1024.0;
    let goal = Goal::AtMost(12.0);
    outcome.judge("memory of each parked reload", memory, "KB RSS", goal);
    Ok(outcome)
}

/// The physical limit: a thread that writes as many bytes to as many sockets, and nothing else.
/// The 99th percentile of a median wave in milliseconds, unsteered and steered.
async fn limits(bench: &Bench, answer_bytes: usize) -> anyhow::Result<(f64, f64)> {
    let server = servers::bare_wakes(&bench.folder, VIEWERS, answer_bytes).await?;
    let (program, address) = server;
    let mut hall = Hall::open(&address).await?;
    let unsteered = bare_p99_ms(&mut hall)?;
    let steering = Steering::start()?;
    let steered = bare_p99_ms(&mut hall)?;
    drop((steering, program, hall));
    Ok((unsteered, steered))
}

fn bare_p99_ms(hall: &mut Hall) -> anyhow::Result<f64> {
    let mut p99s_ms = Vec::new();
    for wave in 0..WAVES {
        hall.ask(&format!("/{wave}"))?;
        let answers = hall.answers()?;
        let stamp = answers[0].stamp.context("no stamp came")?;
        p99s_ms.push(p99_ms(&wakes_us(&answers, stamp.sent_us)?));
    }
    Ok(median(p99s_ms))
}

impl Hall {
    /// Connects [`VIEWERS`] viewers to `address`.
    async fn open(address: &str) -> anyhow::Result<Self> {
        let mut viewers = Vec::with_capacity(VIEWERS);
        for index in 0..VIEWERS {
            let socket = TcpStream::connect(address)?;
            socket.set_nodelay(true)?;
            socket.set_read_timeout(Some(ANSWERED_WITHIN))?;
            socket::setsockopt(&socket, sockopt::ReceiveTimestampns, &true)?;
            viewers.push(socket);
            if index % 50 == 49 {
                tokio::time::sleep(Duration::from_millis(2)).await;
            }
        }
        Ok(Self(viewers))
    }

    /// Lets every viewer ask for `path`; when the last request left.
    fn ask(&mut self, path: &str) -> io::Result<i64> {
        // As every browser asks.
        let coding = "Accept-Encoding: gzip, deflate, br";
        let request = format!("GET {path} HTTP/1.1\r\nHost: localhost\r\n{coding}\r\n\r\n");
        for viewer in &mut self.0 {
            viewer.write_all(request.as_bytes())?;
        }
        Ok(clock::unix_us())
    }

    /// Everybody's answer.
    fn answers(&self) -> anyhow::Result<Vec<Answer>> {
        self.0[0].peek(&mut [0])?;
        sleep(SETTLE);
        let mut buffer = vec![0; 64 << 10];
        let answers = self.0.iter().map(|viewer| answer(viewer, &mut buffer));
        answers.collect()
    }
}

/// Blocks: nothing else runs on this thread while a wave does.
#[expect(
    clippy::disallowed_methods,
    reason = "a thread that polls for answers would take part in what is measured"
)]
fn sleep(duration: Duration) {
    std::thread::sleep(duration);
}

/// Reads one answer; `buffer` holds no more than it afterwards.
fn answer(viewer: &TcpStream, buffer: &mut [u8]) -> anyhow::Result<Answer> {
    let (mut length, mut total, mut arrived) = (0, None, None);
    while total.is_none_or(|total| length < total) {
        let (received, time) = receive(viewer, &mut buffer[length..])?;
        if received == 0 {
            bail!("a parked viewer's connection is closed, or its answer too long");
        }
        length += received;
        total = response_bytes(&buffer[..length])?;
        arrived = time;
    }
    let arrived = arrived.context("the kernel gave no time of arrival")?;
    Ok(Answer {
        arrived_us: arrived.tv_sec() * 1_000_000 + arrived.tv_nsec() / 1000,
        length,
        stamp: Stamp::find(&buffer[..length.min(STAMPED_BYTES)]),
    })
}

/// Reads what is there, and when the last of it came.
fn receive(viewer: &TcpStream, buffer: &mut [u8]) -> nix::Result<(usize, Option<TimeSpec>)> {
    let mut control = nix::cmsg_space!(TimeSpec);
    let mut slices = [IoSliceMut::new(buffer)];
    let descriptor = viewer.as_raw_fd();
    let flags = MsgFlags::empty();
    let message = socket::recvmsg::<()>(descriptor, &mut slices, Some(&mut control), flags)?;
    let time = message.cmsgs()?.find_map(|control| match control {
        ControlMessageOwned::ScmTimestampns(time) => Some(time),
        _ => None,
    });
    Ok((message.bytes, time))
}

/// How long after `complete_us` each answer was whole.
fn wakes_us(answers: &[Answer], complete_us: i64) -> anyhow::Result<Histogram<u64>> {
    let mut wakes_us = outcome::microseconds();
    for answer in answers {
        wakes_us.saturating_record(u64::try_from(answer.arrived_us - complete_us)?);
    }
    Ok(wakes_us)
}

fn p99_ms(wakes_us: &Histogram<u64>) -> f64 {
    wakes_us.value_at_quantile(0.99) as f64 / 1000.0
}

async fn get(network: &Network, path: &str) -> anyhow::Result<Vec<u8>> {
    let answer = reqwest::get(format!("http://{}{path}", network.http)).await?;
    Ok(answer.error_for_status()?.bytes().await?.into())
}

async fn media_path(network: &Network) -> anyhow::Result<String> {
    let index = get(network, &format!("/live/{ROOM}/index.m3u8")).await?;
    let index = String::from_utf8(index)?;
    let media = index
        .lines()
        .find(|line| line.ends_with("video/media.m3u8"));
    Ok(format!(
        "/live/{ROOM}/{}",
        media.context("no video rendition")?
    ))
}

async fn waves(network: &Network, media: &str, hall: &mut Hall) -> anyhow::Result<Waves> {
    let mut waves = Waves {
        wakes_us: outcome::microseconds(),
        p99s_ms: Vec::new(),
        parked_bytes: Vec::new(),
        answer_bytes: 0,
    };
    for _ in 0..WAVES {
        waves.add_one(network, media, hall).await?;
    }
    Ok(waves)
}

impl Waves {
    /// Parks everybody for one part, and measures from the sending of its last picture by the host
    /// to the last byte at each viewer.
    async fn add_one(
        &mut self,
        network: &Network,
        media: &str,
        hall: &mut Hall,
    ) -> anyhow::Result<()> {
        let (msn, part) = loop {
            let playlist = String::from_utf8(get(network, media).await?)?;
            if let Some(position) = ahead(&playlist) {
                break position;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        };
        let asked_us = hall.ask(&format!("{media}?_HLS_msn={msn}&_HLS_part={part}"))?;
        // The last requests are on their way into the edge.
        tokio::time::sleep(Duration::from_millis(100)).await;
        self.parked_bytes.push(network.edge.resident_bytes()?);
        let answers = hall.answers()?;
        let folder = media.trim_end_matches("media.m3u8");
        let object = get(network, &format!("{folder}{msn}.{part}.m4s")).await?;
        let stamps = Stamp::all(&object);
        let complete = stamps.last().context("a part without stamps")?;
        if asked_us > complete.sent_us {
            bail!("requests left after the part was there: park earlier");
        }
        let wakes_us = wakes_us(&answers, complete.sent_us)?;
        self.p99s_ms.push(p99_ms(&wakes_us));
        self.wakes_us.add(&wakes_us)?;
        let longest = answers.iter().map(|answer| answer.length).max();
        self.answer_bytes = self.answer_bytes.max(longest.unwrap_or(0));
        Ok(())
    }
}

/// When a segment has just begun, the last part of the next one: as far ahead as a reload may ask
/// (the draft refuses more than two segments), and so with the most time to park everybody.
fn ahead(playlist: &str) -> Option<(u64, usize)> {
    let hint = playlist
        .lines()
        .find(|line| line.starts_with("#EXT-X-PRELOAD-HINT"))?;
    let (_, rest) = hint.split_once("URI=\"")?;
    let (msn, part) = rest.split_once('"')?.0.split_once('.')?;
    let msn: u64 = msn.parse().ok()?;
    let last = format!("URI=\"{}.", msn.checked_sub(1)?);
    let parts = playlist.lines().filter(|line| line.contains(&last)).count();
    (part == "1.m4s").then_some((msn + 1, parts.checked_sub(1)?))
}
