//! Ten thousand viewers parked on one worker by blocking reloads: how fast a part wakes them, and
//! what each costs in memory.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::time::Duration;

use anyhow::{Context as _, bail};
use hdrhistogram::Histogram;
use rushlane::runtime::{Shutdown, TaskScope, clock};
use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpStream;
use tokio::sync::watch;

use crate::Bench;
use crate::host::Host;
use crate::objects::response_bytes;
use crate::outcome::{self, Goal, Outcome, median};
use crate::process::CpuMeter;
use crate::servers::{self, Network, ROOM};
use crate::stamp::Stamp;

const VIEWERS: usize = 10_000;
const WAVES: usize = 10;

/// Where a stamped answer has its stamp.
const STAMPED_BYTES: usize = 160;

/// What all viewers are asked to do, and what came of it.
struct Wave {
    /// The request, sent by every viewer when it changes.
    request: watch::Sender<Rc<str>>,
    /// When requests left and answers were whole, in microseconds since 1970.
    sent_us: RefCell<Vec<i64>>,
    done_us: RefCell<Vec<i64>>,
    /// What a bare server stamps its answers with.
    stamp: Cell<Option<Stamp>>,
    failure: RefCell<Option<anyhow::Error>>,
}

/// Viewers that do what their wave says, until this is dropped.
struct Hall {
    wave: Rc<Wave>,
    scope: TaskScope,
}

/// Runs everything.
pub async fn run(bench: &Bench) -> anyhow::Result<Outcome> {
    let mut outcome = Outcome::new("parked");
    let (program, address) = servers::bare_wakes(&bench.folder, VIEWERS).await?;
    let limit = limit(&address).await?;
    drop(program);
    let network = Network::start(&bench.folder).await?;
    let _host = Host::start(&bench.clip, &network.rtmp, "live", ROOM)?;
    network.wait_for_room().await?;
    // Long enough for a window of segments, so that playlists have their full length.
    tokio::time::sleep(Duration::from_secs(14)).await;
    let media = media_path(&network).await?;
    let before = network.edge.resident_bytes()?;
    let hall = Hall::open(&network.http).await?;
    let (mut wakes_us, mut p99s_ms) = (outcome::microseconds(), Vec::new());
    let mut resident = Vec::new();
    let meter = CpuMeter::start(&network.edge)?;
    for _ in 0..WAVES {
        let (one_us, parked_bytes) = one_wave(&network, &media, &hall.wave).await?;
        p99s_ms.push(one_us.value_at_quantile(0.99) as f64 / 1000.0);
        wakes_us.add(&one_us)?;
        resident.push((parked_bytes - before) / VIEWERS as f64 / 1024.0);
    }
    let cpu_us = meter.seconds(&network.edge)? * 1e6 / (WAVES * VIEWERS) as f64;
    hall.scope.finish(Duration::ZERO).await;
    let name = |what| format!("{VIEWERS} parked reloads, plain HTTP/1.1: {what}");
    let ms = |q| wakes_us.value_at_quantile(q) as f64 / 1000.0;
    outcome.tell(name("woken, p50"), ms(0.5), "ms");
    outcome.tell(name("woken, p99 of all waves"), ms(0.99), "ms");
    let (goal, p99) = (Goal::AtMost(50.0), median(p99s_ms));
    outcome.judge(name("woken, p99, median wave"), p99, "ms", goal);
    outcome.tell(name("bare writes, p99, median wave"), limit, "ms");
    outcome.tell(name("woken, against bare writes"), p99 / limit, "x");
    outcome.tell(name("CPU of each, asked, parked and woken"), cpu_us, "us");
    let memory = median(resident);
    let goal = Goal::AtMost(12.0);
    outcome.judge(name("memory of each"), memory, "KB RSS", goal);
    Ok(outcome)
}

/// The physical limit: a thread that writes as many bytes to as many sockets, and nothing else.
/// The 99th percentile of a median wave, in milliseconds.
async fn limit(address: &str) -> anyhow::Result<f64> {
    let hall = Hall::open(address).await?;
    let mut p99s_ms = Vec::new();
    for wave in 0..WAVES {
        hall.wave.ask(&format!("/{wave}"));
        hall.wave.answered().await?;
        let sent_us = hall.wave.stamp.get().context("no stamp came")?.sent_us;
        let wakes_us = hall.wave.wakes_us(sent_us)?;
        p99s_ms.push(wakes_us.value_at_quantile(0.99) as f64 / 1000.0);
    }
    hall.scope.finish(Duration::ZERO).await;
    Ok(median(p99s_ms))
}

impl Hall {
    /// Connects [`VIEWERS`] viewers to `address`.
    async fn open(address: &str) -> anyhow::Result<Self> {
        let scope = TaskScope::under(&Shutdown::new());
        let wave = Rc::new(Wave {
            request: watch::Sender::new("".into()),
            sent_us: RefCell::default(),
            done_us: RefCell::default(),
            stamp: Cell::new(None),
            failure: RefCell::default(),
        });
        for index in 0..VIEWERS {
            let socket = TcpStream::connect(address).await?;
            let (wave, orders) = (Rc::clone(&wave), wave.request.subscribe());
            scope.spawn_local("viewer", async move {
                if let Err(error) = park(socket, orders, &wave).await {
                    wave.failure.replace(Some(error));
                }
            });
            if index % 50 == 49 {
                tokio::time::sleep(Duration::from_millis(2)).await;
            }
        }
        Ok(Self { wave, scope })
    }
}

impl Wave {
    /// Lets every viewer ask for `path`.
    fn ask(&self, path: &str) {
        self.done_us.borrow_mut().clear();
        self.sent_us.borrow_mut().clear();
        // As every browser asks.
        let coding = "Accept-Encoding: gzip, deflate, br";
        let request = format!("GET {path} HTTP/1.1\r\nHost: localhost\r\n{coding}\r\n\r\n");
        self.request.send_replace(request.into());
    }

    /// Waits until every viewer has its answer.
    async fn answered(&self) -> anyhow::Result<()> {
        let started = clock::now();
        while self.done_us.borrow().len() < VIEWERS {
            if let Some(error) = self.failure.take() {
                return Err(error.context("a viewer failed"));
            }
            if started.elapsed() > Duration::from_secs(12) {
                bail!("{} of {VIEWERS} were woken", self.done_us.borrow().len());
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        Ok(())
    }

    /// How long after `complete_us` each answer was whole.
    fn wakes_us(&self, complete_us: i64) -> anyhow::Result<Histogram<u64>> {
        let late = |sent: &&i64| **sent > complete_us;
        let late = self.sent_us.borrow().iter().filter(late).count();
        if late > 0 {
            bail!("{late} of {VIEWERS} requests left after the part was there: park earlier");
        }
        let mut wakes_us = outcome::microseconds();
        for done in self.done_us.borrow().iter() {
            wakes_us.saturating_record(u64::try_from(done - complete_us)?);
        }
        Ok(wakes_us)
    }
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

/// Parks everybody for one part, and measures from the sending of its last picture by the host to
/// the last byte at each viewer. Also the edge's memory while all are parked.
async fn one_wave(
    network: &Network,
    media: &str,
    wave: &Wave,
) -> anyhow::Result<(Histogram<u64>, f64)> {
    let (msn, part) = loop {
        let playlist = String::from_utf8(get(network, media).await?)?;
        if let Some(position) = ahead(&playlist) {
            break position;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    };
    wave.ask(&format!("{media}?_HLS_msn={msn}&_HLS_part={part}"));
    let mut parked_bytes = 0.0;
    while wave.done_us.borrow().is_empty() && parked_bytes == 0.0 {
        tokio::time::sleep(Duration::from_millis(20)).await;
        if wave.sent_us.borrow().len() == VIEWERS {
            // The last requests are on their way into the edge.
            tokio::time::sleep(Duration::from_millis(100)).await;
            parked_bytes = network.edge.resident_bytes()?;
        }
    }
    wave.answered().await?;
    let folder = media.trim_end_matches("media.m3u8");
    let object = get(network, &format!("{folder}{msn}.{part}.m4s")).await?;
    let stamps = Stamp::all(&object);
    let complete = stamps.last().context("a part without stamps")?;
    Ok((wave.wakes_us(complete.sent_us)?, parked_bytes))
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

async fn park(
    mut socket: TcpStream,
    mut orders: watch::Receiver<Rc<str>>,
    wave: &Wave,
) -> anyhow::Result<()> {
    thread_local! {
        // Answers are measured and forgotten, so all viewers share one buffer.
        static BUFFER: RefCell<Vec<u8>> = RefCell::new(vec![0; 64 << 10]);
    }
    socket.set_nodelay(true)?;
    loop {
        orders.changed().await?;
        let request = Rc::clone(&orders.borrow_and_update());
        socket.write_all(request.as_bytes()).await?;
        wave.sent_us.borrow_mut().push(clock::unix_us());
        let (mut have, mut total) = (0, None);
        while total.is_none_or(|total| have < total) {
            socket.readable().await?;
            BUFFER.with_borrow_mut(|buffer| match socket.try_read(buffer) {
                Ok(0) => bail!("the edge closed a parked viewer"),
                Ok(length) => {
                    // Heads are short and come in the first read.
                    if total.is_none() {
                        total = response_bytes(&buffer[..length])?;
                        wave.stamp
                            .set(Stamp::find(&buffer[..length.min(STAMPED_BYTES)]));
                    }
                    have += length;
                    Ok(())
                }
                Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => Ok(()),
                Err(error) => Err(error.into()),
            })?;
        }
        wave.done_us.borrow_mut().push(clock::unix_us());
    }
}
