//! One fault, and what is said of it.

use std::fs;
use std::time::Duration;

use anyhow::bail;
use rushlane::runtime::clock;
use serde_json::Value;

use crate::why::fault::{Fault, Place};
use crate::why::scene::Scene;

/// How soon a hop has to be named (R11.3).
const NAMED_WITHIN: Duration = Duration::from_secs(10);

/// How long a network may take to be fine again.
const FINE_WITHIN: Duration = Duration::from_secs(60);

/// What is needed of a baseline before the first fault, in seconds.
const BASELINE_SECONDS: u64 = 12;

const ASK_EVERY: Duration = Duration::from_millis(250);

/// What became of one fault.
pub struct Trial {
    pub place: Place,
    fault: String,
    /// The hop that was named, and in which words.
    named: Option<(String, String)>,
    /// How long that took.
    pub seconds: f64,
}

/// What is said first after `fault` has begun.
pub async fn first_word(scene: &Scene, place: Place, fault: Fault) -> anyhow::Result<Trial> {
    let started = clock::now();
    let mut trial = Trial {
        place,
        fault: fault.words.clone(),
        named: None,
        seconds: 0.0,
    };
    while started.elapsed() < NAMED_WITHIN {
        let said = scene.why().await?;
        trial.seconds = started.elapsed().as_secs_f64();
        let verdict = &said["verdict"];
        let text = |key: &str| verdict[key].as_str().unwrap_or_default().to_owned();
        if verdict["state"] != "fine" {
            trial.named = Some((text("hop"), text("words")));
            if !trial.is_right() {
                let file = scene.folder.join(format!("{place}.json"));
                fs::write(file, said.to_string())?;
            }
            break;
        }
        tokio::time::sleep(ASK_EVERY).await;
    }
    Ok(trial)
}

/// Waits until the network is as it should be.
pub async fn wait_until_fine(scene: &Scene) -> anyhow::Result<()> {
    let started = clock::now();
    loop {
        let said = scene.why().await.unwrap_or(Value::Null);
        let baseline = said["baseline_seconds"].as_u64().unwrap_or(0);
        if said["verdict"]["state"] == "fine" && baseline >= BASELINE_SECONDS {
            return Ok(());
        }
        if started.elapsed() > FINE_WITHIN {
            bail!("the network is not fine: {said}");
        }
        tokio::time::sleep(ASK_EVERY).await;
    }
}

impl Trial {
    /// The first word was the right one.
    pub fn is_right(&self) -> bool {
        let named = self.named.as_ref();
        named.is_some_and(|(hop, _)| hop == self.place.as_str())
    }

    /// For the table.
    pub fn line(&self) -> String {
        let mark = if self.is_right() { ' ' } else { '!' };
        let words = self.named.as_ref().map_or("nothing", |(_, words)| words);
        let (place, fault, seconds) = (self.place, &self.fault, self.seconds);
        format!("{mark} {place:<9}  {fault:<52}  {seconds:>4.1} s: {words}")
    }
}
