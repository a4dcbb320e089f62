//! What strangers cost the gate, and what its refusals tell them.
//!
//! Each scheme meets forged, expired, passed-on and oversized credentials and those of other rooms,
//! one call of [`Gate::play`] at a time: a refusal takes at most 5 µs at the 99th percentile. Then
//! two forgeries that differ from the right signature in its first byte and in its last are thrown
//! at it in random order, and Welch's t-test must not tell their times apart (the method and the
//! bound of dudect: Reparaz, Balasch, Verbauwhede 2017), as it does for a check that stops early.

mod signer;
mod welch;

use std::net::{IpAddr, Ipv4Addr};

use anyhow::ensure;
use aws_lc_rs::rand;
use rushlane::auth::{Gate, Visit};
use rushlane::runtime::clock;

use crate::Bench;
use crate::outcome::{Goal, Outcome};
use signer::{Carried, NOW_S, Signers};

/// The longest a refusal may take, in microseconds.
const REFUSAL_US_MAX: f64 = 5.0;
/// Refusals of one kind.
const REFUSALS: usize = 50_000;
/// Forgeries of the comparison, of both kinds together.
const FORGERIES: usize = 400_000;
/// Above it, dudect calls two means different.
const T_MAX: f64 = 4.5;

/// Where the viewers sit.
const HOME: IpAddr = IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1));
/// Where what was passed on is used.
const ELSEWHERE: IpAddr = IpAddr::V4(Ipv4Addr::new(198, 51, 100, 7));

/// Runs the bench.
pub fn run(bench: &Bench) -> anyhow::Result<Outcome> {
    let mut outcome = Outcome::new("tokens");
    let signers = Signers::new(&bench.folder)?;
    let gate = signers.gate()?;
    for signer in signers.all() {
        let good = signer.good();
        ensure!(
            refuses(&gate, &good, HOME).is_none(),
            "{}: not let in",
            signer.name
        );
        for (kind, credential, address, word) in [
            ("forged", signer.forged(0), HOME, "bad_token"),
            ("expired", signer.expired(), HOME, "expired_token"),
            ("of another room", signer.of_another_room(), HOME, ""),
            ("passed on", signer.bound(), ELSEWHERE, "other_token"),
            ("oversized", signer.oversized(), HOME, "bad_token"),
        ] {
            let Some(credential) = credential else {
                continue;
            };
            let told = refuses(&gate, &credential, address);
            let fits = told.is_some_and(|told| word.is_empty() || told == word);
            ensure!(fits, "{}, {kind}: {told:?}", signer.name);
            let p99 = p99_us(&gate, &credential, address);
            let name = format!("{}: {kind}, p99", signer.name);
            match kind == "forged" && signer.is_public_key {
                true => outcome.tell(name, p99, "us"),
                false => outcome.judge(name, p99, "us", Goal::AtMost(REFUSAL_US_MAX)),
            }
        }
    }
    for signer in signers.all().iter().filter(|signer| !signer.is_public_key) {
        let last = signer.tag_bytes - 1;
        let pair = [signer.forged(0), signer.forged(last)].map(|forged| forged.expect("all forge"));
        let t = distance(|which| nanoseconds(&gate, &pair[which], HOME))?;
        let name = format!("{}: first byte wrong or last, |t|", signer.name);
        outcome.judge(name, t.abs(), "", Goal::AtMost(T_MAX));
    }
    let name = "for comparison: a check that stops at the first wrong byte, |t|";
    let t = distance(early_exit_nanoseconds)?;
    outcome.judge(name, t.abs(), "", Goal::AtLeast(T_MAX));
    Ok(outcome)
}

/// Why the gate refuses `carried`; `None`: it does not.
fn refuses(gate: &Gate, carried: &Carried, address: IpAddr) -> Option<&'static str> {
    let visit = Visit {
        path: &carried.path,
        query: &carried.query,
        authorization: None,
        address,
        now_s: NOW_S,
    };
    gate.play(&visit).err().map(|refusal| refusal.code())
}

fn nanoseconds(gate: &Gate, carried: &Carried, address: IpAddr) -> f64 {
    let started = clock::now();
    std::hint::black_box(refuses(gate, carried, address));
    started.elapsed().as_nanos() as f64
}

fn p99_us(gate: &Gate, carried: &Carried, address: IpAddr) -> f64 {
    for _ in 0..REFUSALS / 10 {
        nanoseconds(gate, carried, address);
    }
    let mut times: Vec<f64> = (0..REFUSALS)
        .map(|_| nanoseconds(gate, carried, address))
        .collect();
    times.sort_by(f64::total_cmp);
    times[REFUSALS * 99 / 100] / 1000.0
}

/// Welch's t of what `measure` says of two kinds, asked for in random order.
fn distance(measure: impl Fn(usize) -> f64) -> anyhow::Result<f64> {
    let mut order = vec![0_u8; FORGERIES];
    rand::fill(&mut order).map_err(|_| anyhow::anyhow!("no random bytes"))?;
    let times: Vec<(usize, f64)> = order
        .iter()
        .map(|byte| usize::from(byte & 1))
        .map(|which| (which, measure(which)))
        .collect();
    Ok(welch::t(&times))
}

/// What the test would find: 32 bytes of which the first or the last is wrong, compared one by one.
fn early_exit_nanoseconds(which: usize) -> f64 {
    let right = [7_u8; 32];
    let mut guess = right;
    guess[[0, 31][which]] ^= 1;
    let started = clock::now();
    let pairs = right.iter().zip(&guess);
    let mut pairs = pairs.map(std::hint::black_box);
    std::hint::black_box(pairs.all(|(right, guess)| right == guess));
    started.elapsed().as_nanos() as f64
}
