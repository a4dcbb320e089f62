//! A room of many members: what a delivery costs, what a member costs, how long a comment takes
//! through two hops, and what likes cost at any rate.

use std::time::Duration;

use anyhow::bail;
use rushlane::runtime::clock;

use crate::Bench;
use crate::host::Host;
use crate::members::{Crowd, Speaker};
use crate::outcome::{Goal, Outcome, median};
use crate::process::{CpuMeter, Steering};
use crate::servers::{Network, ROOM};

/// The comparison point of R5.10.
const MEMBERS: usize = 20_000;
/// Those of them who share HTTP/2 connections: a process of a common machine may have 20,000 files.
const MULTIPLEXED: usize = 1000;
/// Speakers, a comment a second each: a little more than is shown.
const SPEAKERS: usize = 33;
const ROUNDS: usize = 3;
const ROUND: Duration = Duration::from_secs(8);
const SETTLE: Duration = Duration::from_secs(3);
/// Comments of which the delay is measured.
const WORDS: usize = 150;
/// Those who like, ten batches a second each at most.
const LIKERS: usize = 110;

/// Runs everything.
pub async fn run(bench: &Bench) -> anyhow::Result<Outcome> {
    let mut outcome = Outcome::new("chat");
    for (batch_ms, goal_ms) in [(200, 250.0), (0, 40.0)] {
        let p95_ms = delay(bench, batch_ms, &mut outcome).await?;
        let name = format!("a comment through two hops, batches of {batch_ms} ms: p95");
        outcome.judge(name, p95_ms, "ms", Goal::AtMost(goal_ms));
    }
    crowd(bench, &mut outcome).await?;
    Ok(outcome)
}

/// From one socket to another on an edge two hops below the origin.
async fn delay(bench: &Bench, batch_ms: u32, outcome: &mut Outcome) -> anyhow::Result<f64> {
    let more = format!("[rooms]\nbatch_ms = {batch_ms}\n");
    let network = Network::start_deep(&bench.folder, 2, &more).await?;
    let host = Host::start(&bench.clip, &network.rtmp, "live", ROOM)?;
    wait_for_events(&network).await?;
    let crowd = Crowd::new();
    crowd.join(&network.http, 10, true).await?;
    let mut speakers = speakers(&crowd, &network, 10).await?;
    for index in 0..WORDS {
        let speaker = index % speakers.len();
        speakers[speaker].say(&words(index)).await?;
        tokio::time::sleep(Duration::from_millis(103)).await;
    }
    tokio::time::sleep(Duration::from_secs(1)).await;
    let delay_us = crowd.heard()?.delay_us.clone();
    if delay_us.len() < (WORDS * 9) as u64 {
        bail!("{} of {} comments came", delay_us.len(), WORDS * 10);
    }
    let quantile = |q| delay_us.value_at_quantile(q) as f64 / 1000.0;
    let (p50, p95) = (quantile(0.5), quantile(0.95));
    let name = format!("a comment through two hops, batches of {batch_ms} ms: p50");
    outcome.tell(name, p50, "ms");
    crowd.leave().await;
    drop(host);
    Ok(p95)
}

async fn crowd(bench: &Bench, outcome: &mut Outcome) -> anyhow::Result<()> {
    let network = Network::start(&bench.folder).await?;
    let host = Host::start(&bench.clip, &network.rtmp, "live", ROOM)?;
    wait_for_events(&network).await?;
    let crowd = Crowd::new();
    let mut speakers = speakers(&crowd, &network, SPEAKERS).await?;
    tokio::time::sleep(SETTLE).await;
    let before = network.edge.resident_bytes()?;
    let alone = MEMBERS - MULTIPLEXED;
    crowd.join(&network.http, alone, false).await?;
    crowd.join_multiplexed(&network.http, MULTIPLEXED).await?;
    tokio::time::sleep(SETTLE).await;
    let resident = network.edge.resident_bytes()? - before;
    let name = format!("{alone} WebSockets and {MULTIPLEXED} over HTTP/2: memory of each");
    let each_kb = resident / MEMBERS as f64 / 1024.0;
    outcome.judge(name, each_kb, "KB RSS", Goal::AtMost(20.0));

    let unsteered = deliveries(&network, &crowd, &mut speakers, outcome, "").await?;
    let steering = Steering::start()?;
    let more = " with the members' TCP on their own core";
    let steered = deliveries(&network, &crowd, &mut speakers, outcome, more).await?;
    drop(steering);
    let name = |more| format!("{MEMBERS} members: deliveries per CPU second{more}");
    outcome.tell(name(""), unsteered, "");
    outcome.judge(name(more), steered, "", Goal::AtLeast(1_500_000.0));

    likes(&network, &crowd, outcome).await?;
    crowd.leave().await;
    drop(host);
    Ok(())
}

/// Events given to members, for each CPU second of the edge: the median of some rounds.
async fn deliveries(
    network: &Network,
    crowd: &Crowd,
    speakers: &mut [Speaker],
    outcome: &mut Outcome,
    more: &str,
) -> anyhow::Result<f64> {
    let mut rates = Vec::new();
    let mut shares = Vec::new();
    let mut heard_per_second = Vec::new();
    let mut count = 0;
    for round in 0..=ROUNDS {
        crowd.reset();
        let meter = CpuMeter::start(&network.edge)?;
        let started = clock::now();
        while started.elapsed() < ROUND {
            for speaker in &mut *speakers {
                count += 1;
                speaker.say(&words(count)).await?;
                tokio::time::sleep(Duration::from_secs(1) / SPEAKERS as u32).await;
            }
        }
        let (cpu, share) = (meter.seconds(&network.edge)?, meter.share(&network.edge)?);
        let events = crowd.heard()?.events as f64;
        // The first one warms up.
        if round > 0 {
            rates.push(events / cpu);
            shares.push(share * 100.0);
            heard_per_second.push(events / MEMBERS as f64 / started.elapsed().as_secs_f64());
        }
    }
    let name = |what: &str| format!("{MEMBERS} members: {what}{more}");
    outcome.tell(name("CPU of the edge"), median(shares), "% of a core");
    outcome.tell(
        name("events a member and second"),
        median(heard_per_second),
        "",
    );
    Ok(median(rates))
}

/// What a member is sent while likes are offered at 1, 1,000 and 1,000,000 a second.
async fn likes(network: &Network, crowd: &Crowd, outcome: &mut Outcome) -> anyhow::Result<()> {
    let mut likers = speakers(crowd, network, LIKERS).await?;
    let mut bytes_at = Vec::new();
    let mut n = 0;
    let rates = [(1, 1, "1"), (10, 100, "1,000"), (1000, 1000, "1,000,000")];
    // First two storms that are not measured, so that the total has as many digits ever after.
    for (batches, count, rate) in [rates[2]; 2].into_iter().chain(rates) {
        tokio::time::sleep(SETTLE).await;
        crowd.reset();
        let started = clock::now();
        for index in 0..batches * ROUND.as_secs() {
            // Every liker in turn, so that none is too fast.
            let liker = usize::try_from(index)? % LIKERS;
            n += 1;
            let session = format!("liker-{liker}");
            likers[liker].like(&session, n, count).await?;
            let due = Duration::from_secs(1).mul_f64((index + 1) as f64 / batches as f64);
            tokio::time::sleep_until(started + due).await;
        }
        let seconds = started.elapsed().as_secs_f64();
        let bytes = crowd.heard()?.bytes as f64 / MEMBERS as f64 / seconds;
        bytes_at.push((rate, bytes));
    }
    for (rate, bytes) in &bytes_at[2..] {
        let name = format!("a member's bytes at {rate} likes/s");
        outcome.tell(name, *bytes, "bytes/s");
    }
    // A tick more or less in a round is 2 %.
    let name = "bytes at 1,000,000 likes/s against 1/s";
    let ratio = bytes_at[4].1 / bytes_at[2].1;
    outcome.judge(name, ratio, "x", Goal::AtMost(1.05));
    Ok(())
}

async fn speakers(crowd: &Crowd, network: &Network, count: usize) -> anyhow::Result<Vec<Speaker>> {
    let mut speakers = Vec::new();
    for index in 0..count {
        let user = format!("speaker-{index}-{count}");
        speakers.push(crowd.speaker(&network.http, &user).await?);
    }
    Ok(speakers)
}

/// Words that were not said before, about as many as people write.
fn words(count: usize) -> String {
    let word = |salt: usize| {
        let mut number = count
            .wrapping_mul(2_654_435_761)
            .wrapping_add(salt * 97_003);
        let mut word = String::new();
        for _ in 0..6 {
            word.push(char::from(b'a' + u8::try_from(number % 26).unwrap_or(0)));
            number /= 26;
        }
        word
    };
    format!(
        "{} {} {}",
        word(count),
        word(count * 7 + 1),
        word(count * 13 + 5)
    )
}

/// Waits until the room's events are on the edge.
async fn wait_for_events(network: &Network) -> anyhow::Result<()> {
    let url = format!("http://{}/rooms/{ROOM}/snapshot", network.http);
    let started = clock::now();
    loop {
        let status = reqwest::get(&url).await?.status();
        if status.is_success() {
            return Ok(());
        }
        if started.elapsed() > Duration::from_secs(20) {
            bail!("the room is not open on the edge: {status}");
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}
