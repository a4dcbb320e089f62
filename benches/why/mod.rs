//! Does `rushlane why` name the hop that is bad? Some networks side by side, and in each a fault of
//! every hop, in any order: what is said first, and how soon.

mod dice;
mod fault;
mod scene;
mod trial;
mod wires;

use std::io::Write as _;
use std::time::Duration;

use anyhow::Context as _;
use futures_util::future::try_join_all;

use crate::Bench;
use crate::outcome::{Goal, Outcome, median};

use dice::Dice;
use fault::{Fault, Place};
use scene::Scene;
use trial::{Trial, first_word, wait_until_fine};

/// The same faults in each run, unless `SEED` of the environment says otherwise.
const SEED: u64 = 20_261_123;

const SCENES: u64 = 5;

/// Runs everything.
pub async fn run(bench: &Bench) -> anyhow::Result<Outcome> {
    let seed = match std::env::var("SEED") {
        Ok(text) => text.parse().context("SEED")?,
        Err(_) => SEED,
    };
    let scenes = try_join_all((0..SCENES).map(|number| play(bench, number, seed + number)));
    // Ended together, for the end of processes blocks the faults of others.
    let (scenes, trials): (Vec<_>, Vec<_>) = scenes.await?.into_iter().unzip();
    for scene in scenes {
        scene.end().await;
    }
    let trials: Vec<Trial> = trials.into_iter().flatten().collect();
    let mut out = std::io::stdout().lock();
    for trial in &trials {
        writeln!(out, "{}", trial.line())?;
    }
    let mut outcome = Outcome::new("why");
    for place in Place::ALL {
        let of_place = trials.iter().filter(|trial| trial.place == place);
        let right = of_place.clone().filter(|trial| trial.is_right()).count();
        let of = of_place.count();
        let row = format!("{place}: named, of {of}");
        outcome.tell(row, right as f64, "");
    }
    let right = trials.iter().filter(|trial| trial.is_right());
    let seconds: Vec<f64> = right.map(|trial| trial.seconds).collect();
    let share = seconds.len() as f64 / trials.len() as f64 * 100.0;
    outcome.tell("faults", trials.len() as f64, "");
    let row = "first word is the bad hop, within 10 s";
    outcome.judge(row, share, "%", Goal::AtLeast(90.0));
    let longest = seconds.iter().copied().fold(0.0, f64::max);
    outcome.tell("named after, p50", median(seconds), "s");
    outcome.tell("named after, at most", longest, "s");
    Ok(outcome)
}

/// A fault of every hop in one network.
async fn play(bench: &Bench, number: u64, seed: u64) -> anyhow::Result<(Scene, Vec<Trial>)> {
    let scene = Scene::start(bench, number, seed).await?;
    let mut dice = Dice::of(seed);
    let mut places = Place::ALL;
    dice.shuffle(&mut places);
    let mut trials = Vec::new();
    for place in places {
        wait_until_fine(&scene).await?;
        // Not in step with the seconds that are summed.
        tokio::time::sleep(Duration::from_secs_f64(dice.between(1.0, 3.0))).await;
        let fault = Fault::inject(&scene, place, &mut dice);
        trials.push(first_word(&scene, place, fault).await?);
    }
    Ok((scene, trials))
}
