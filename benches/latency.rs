//! From the host's socket to the player: LL-HLS parts for a client that follows the
//! specification, and the first picture of HTTP-FLV.

use std::time::Duration;

use anyhow::Context as _;
use hdrhistogram::Histogram;
use rushlane::runtime::clock;
use tokio::io::AsyncReadExt as _;

use crate::Bench;
use crate::host::Host;
use crate::outcome::{self, Goal, Outcome};
use crate::servers::{Network, ROOM};
use crate::stamp::Stamp;
use crate::viewers::{FlvReader, request_flv};

const FOLLOW: Duration = Duration::from_secs(30);
const JOINS: usize = 40;

/// Runs everything.
pub async fn run(bench: &Bench) -> anyhow::Result<Outcome> {
    let mut outcome = Outcome::new("latency");
    let network = Network::start(&bench.folder).await?;
    let _host = Host::start(&bench.clip, &network.rtmp, "live", ROOM)?;
    network.wait_for_room().await?;
    follow(&network, &mut outcome).await?;
    join(&network, &mut outcome).await?;
    Ok(outcome)
}

/// Follows by blocking reloads, with the hinted part asked for at the same time, as the draft has
/// it (6.3).
async fn follow(network: &Network, outcome: &mut Outcome) -> anyhow::Result<()> {
    let base = format!("http://{}/live/{ROOM}/", network.http);
    let client = reqwest::Client::new();
    let get = |url: String| {
        let client = client.clone();
        async move {
            let answer = client.get(url).send().await?.error_for_status()?;
            anyhow::Ok(answer.bytes().await?)
        }
    };
    // A hint may be abandoned when a segment ends early (6.2.6): its request gets 404.
    let hinted_part = |url: String| {
        let client = client.clone();
        async move {
            let answer = client.get(url).send().await?;
            if answer.status() == reqwest::StatusCode::NOT_FOUND {
                return anyhow::Ok(None);
            }
            Ok(Some(answer.error_for_status()?.bytes().await?))
        }
    };
    let index = get(format!("{base}index.m3u8")).await?;
    let index = String::from_utf8_lossy(&index).into_owned();
    let media = index
        .lines()
        .find(|line| line.ends_with("video/media.m3u8"));
    let media = format!("{base}{}", media.context("no video rendition")?);
    let folder = media.trim_end_matches("media.m3u8").to_owned();
    let mut text = get(media.clone()).await?;
    let (mut oldest_us, mut every_us) = (outcome::microseconds(), outcome::microseconds());
    let (started, mut abandoned) = (clock::now(), 0.0);
    while started.elapsed() < FOLLOW {
        let hint = hinted(&String::from_utf8_lossy(&text)).context("no preload hint")?;
        let (msn, part) = hint.split_once('.').context("MSN.PART.m4s")?;
        let part = part.trim_end_matches(".m4s");
        let reload = get(format!("{media}?_HLS_msn={msn}&_HLS_part={part}"));
        let object = async {
            let body = hinted_part(format!("{folder}{hint}")).await?;
            anyhow::Ok((body.map(|body| Stamp::all(&body)), clock::unix_us()))
        };
        let (reloaded, (stamps, now_us)) = tokio::try_join!(reload, object)?;
        let age = |stamp: &Stamp| u64::try_from(now_us - stamp.sent_us).unwrap_or(0);
        let stamps = stamps.unwrap_or_else(|| {
            abandoned += 1.0;
            Vec::new()
        });
        if let Some(first) = stamps.first() {
            oldest_us.saturating_record(age(first));
        }
        stamps
            .iter()
            .for_each(|s| every_us.saturating_record(age(s)));
        text = reloaded;
    }
    tell_parts(outcome, &oldest_us, &every_us);
    let name = |what| format!("LL-HLS, profile low: {what}");
    outcome.tell(name("hinted parts"), oldest_us.len() as f64, "");
    outcome.tell(name("hints abandoned"), abandoned, "");
    Ok(())
}

fn tell_parts(outcome: &mut Outcome, oldest_us: &Histogram<u64>, every_us: &Histogram<u64>) {
    let ms = |histogram: &Histogram<u64>, q| histogram.value_at_quantile(q) as f64 / 1000.0;
    let name = |what| format!("LL-HLS, profile low: {what}");
    outcome.judge(
        name("age of a part's first picture, p50"),
        ms(oldest_us, 0.5),
        "ms",
        Goal::AtMost(500.0),
    );
    outcome.judge(
        name("age of a part's first picture, p95"),
        ms(oldest_us, 0.95),
        "ms",
        Goal::AtMost(700.0),
    );
    outcome.tell(name("age of any picture, p50"), ms(every_us, 0.5), "ms");
    outcome.tell(name("age of any picture, p95"), ms(every_us, 0.95), "ms");
}

/// The URI of the hinted part.
pub fn hinted(playlist: &str) -> Option<String> {
    let line = playlist
        .lines()
        .find(|line| line.starts_with("#EXT-X-PRELOAD-HINT"))?;
    let (_, rest) = line.split_once("URI=\"")?;
    Some(rest.split_once('"')?.0.to_owned())
}

/// New HTTP-FLV viewers, one after the other, at any point of a GOP.
async fn join(network: &Network, outcome: &mut Outcome) -> anyhow::Result<()> {
    let (mut first_us, mut live_us) = (outcome::microseconds(), outcome::microseconds());
    let mut span_ms = outcome::microseconds();
    let path = format!("/live/{ROOM}.flv");
    for index in 0..JOINS {
        let started = clock::now();
        let mut socket = request_flv(&network.http, &path).await?;
        let (mut reader, mut buffer) = (FlvReader::default(), vec![0; 256 << 10]);
        let (mut first, mut live) = (None, None);
        while live.is_none() {
            let length = socket.read(&mut buffer).await?;
            anyhow::ensure!(length > 0, "the edge closed a new viewer");
            reader.feed(&buffer[..length], |tag| {
                let Some(stamp) = tag.stamp else { return };
                let now_us = u64::try_from(started.elapsed().as_micros()).unwrap_or(u64::MAX);
                if tag.key {
                    first.get_or_insert((now_us, tag.at_ms));
                }
                // Live: not older than a frame and a half.
                if stamp.age_us() < 50_000 {
                    live.get_or_insert((now_us, tag.at_ms));
                }
            })?;
            anyhow::ensure!(started.elapsed() < Duration::from_secs(5), "never live");
        }
        if let (Some(first), Some(live)) = (first, live) {
            first_us.saturating_record(first.0);
            live_us.saturating_record(live.0);
            span_ms.saturating_record(u64::from(live.1.saturating_sub(first.1)));
        }
        // Not in step with the GOP.
        tokio::time::sleep(Duration::from_millis(70 + 37 * (index as u64 % 7))).await;
    }
    let ms = |histogram: &Histogram<u64>, q| histogram.value_at_quantile(q) as f64 / 1000.0;
    let name = |what| format!("HTTP-FLV, a new viewer: {what}");
    outcome.judge(
        name("first key frame, p50"),
        ms(&first_us, 0.5),
        "ms",
        Goal::AtMost(10.0),
    );
    outcome.tell(name("first key frame, p95"), ms(&first_us, 0.95), "ms");
    outcome.judge(
        name("live (a picture younger than 50 ms), p95"),
        ms(&live_us, 0.95),
        "ms",
        Goal::AtMost(1000.0),
    );
    outcome.tell(
        name("media time from the first to the live picture, p95"),
        span_ms.value_at_quantile(0.95) as f64,
        "ms",
    );
    Ok(())
}
