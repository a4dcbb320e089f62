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
use crate::outcome::{Goal, Outcome, median};
use crate::servers::{Network, ROOM};
use crate::stamp::Stamp;

const VIEWERS: usize = 10_000;
const WAVES: usize = 10;

/// Parts between the newest one and the one that is waited for: time to park everybody.
const AHEAD: usize = 6;

/// What all viewers are asked to do, and what came of it.
struct Wave {
    /// The request, sent by every viewer when it changes.
    request: watch::Sender<Rc<str>>,
    /// When requests left and answers were whole, in microseconds since 1970.
    sent_us: RefCell<Vec<i64>>,
    done_us: RefCell<Vec<i64>>,
    failed: Cell<usize>,
}

/// Runs everything.
pub async fn run(bench: &Bench) -> anyhow::Result<Outcome> {
    let mut outcome = Outcome::new("parked");
    let network = Network::start(&bench.folder).await?;
    let _host = Host::start(&bench.clip, &network.rtmp, "live", ROOM)?;
    network.wait_for_room().await?;
    // Long enough for a window of segments, so that playlists have their full length.
    tokio::time::sleep(Duration::from_secs(14)).await;
    let media = media_path(&network).await?;
    let before = network.edge.resident_bytes()?;
    let scope = TaskScope::under(&Shutdown::new());
    let wave = Rc::new(Wave {
        request: watch::Sender::new("".into()),
        sent_us: RefCell::default(),
        done_us: RefCell::default(),
        failed: Cell::new(0),
    });
    for index in 0..VIEWERS {
        let socket = TcpStream::connect(&*network.http).await?;
        let (wave, orders) = (Rc::clone(&wave), wave.request.subscribe());
        scope.spawn_local("viewer", async move {
            if let Err(error) = park(socket, orders, &wave).await {
                tracing::warn!(%error, "a viewer stopped");
                wave.failed.set(wave.failed.get() + 1);
            }
        });
        if index % 50 == 49 {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    }
    let (mut wakes_us, mut p99s_ms) = (Histogram::<u64>::new(3)?, Vec::new());
    let mut resident = Vec::new();
    for _ in 0..WAVES {
        let (one_us, parked_bytes) = one_wave(&network, &media, &wave).await?;
        p99s_ms.push(one_us.value_at_quantile(0.99) as f64 / 1000.0);
        wakes_us.add(&one_us)?;
        resident.push((parked_bytes - before) / VIEWERS as f64 / 1024.0);
    }
    scope.finish(Duration::ZERO).await;
    let name = |what| format!("{VIEWERS} parked reloads, plain HTTP/1.1: {what}");
    let ms = |q| wakes_us.value_at_quantile(q) as f64 / 1000.0;
    outcome.tell(name("woken, p50"), ms(0.5), "ms");
    outcome.tell(name("woken, p99 of all waves"), ms(0.99), "ms");
    let goal = Goal::AtMost(50.0);
    outcome.judge(name("woken, p99, median wave"), median(p99s_ms), "ms", goal);
    let memory = median(resident);
    let goal = Goal::AtMost(12.0);
    outcome.judge(name("memory of each"), memory, "KB RSS", goal);
    Ok(outcome)
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
    let playlist = String::from_utf8(get(network, media).await?)?;
    let (msn, part) = ahead(&playlist).context("the playlist has no hint")?;
    wave.done_us.borrow_mut().clear();
    wave.sent_us.borrow_mut().clear();
    let request =
        format!("GET {media}?_HLS_msn={msn}&_HLS_part={part} HTTP/1.1\r\nHost: localhost\r\n\r\n");
    wave.request.send_replace(request.into());
    let started = clock::now();
    let mut parked_bytes = 0.0;
    while wave.done_us.borrow().len() < VIEWERS {
        if wave.failed.get() > 0 || started.elapsed() > Duration::from_secs(12) {
            let (done, failed) = (wave.done_us.borrow().len(), wave.failed.get());
            bail!("{done} of {VIEWERS} were woken, {failed} failed");
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
        if wave.done_us.borrow().is_empty() && wave.sent_us.borrow().len() == VIEWERS {
            parked_bytes = network.edge.resident_bytes()?;
        }
    }
    let folder = media.trim_end_matches("media.m3u8");
    let object = get(network, &format!("{folder}{msn}.{part}.m4s")).await?;
    let complete = Stamp::all(&object)
        .last()
        .context("a part without stamps")?
        .sent_us;
    let late = wave
        .sent_us
        .borrow()
        .iter()
        .filter(|sent| **sent > complete)
        .count();
    if late > 0 {
        bail!("{late} of {VIEWERS} requests left after the part was there: park earlier");
    }
    let mut wakes_us = Histogram::<u64>::new(3)?;
    for done in wave.done_us.borrow().iter() {
        wakes_us.saturating_record(u64::try_from(done - complete)?);
    }
    Ok((wakes_us, parked_bytes))
}

/// The position [`AHEAD`] parts after the newest one.
fn ahead(playlist: &str) -> Option<(usize, usize)> {
    let hint = playlist
        .lines()
        .find(|line| line.starts_with("#EXT-X-PRELOAD-HINT"))?;
    let (_, rest) = hint.split_once("URI=\"")?;
    let (msn, part) = rest.split_once('"')?.0.split_once('.')?;
    let (msn, part): (usize, usize) = (
        msn.parse().ok()?,
        part.trim_end_matches(".m4s").parse().ok()?,
    );
    let last = format!("URI=\"{}.", msn.checked_sub(1)?);
    let a_segment = playlist.lines().filter(|line| line.contains(&last)).count();
    let index = part + AHEAD - 1;
    Some((msn + index / a_segment.max(1), index % a_segment.max(1)))
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
