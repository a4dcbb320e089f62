//! What happens to the fleet while it is under load.

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::{Context as _, ensure};
use tokio::process::Command;

use crate::fleet::Running;
use crate::pace::Pace;
use crate::scenario::Event;

/// How long a command may take.
const COMMAND_SECONDS_MAX: u64 = 60;

/// Something that happened.
#[derive(Debug, Clone, serde::Serialize)]
pub struct Happened {
    /// When, in seconds from the start of the load.
    pub at_seconds: f64,
    /// What.
    pub what: String,
}

/// Lets all events happen, in their order. Errors: one of them could not.
pub async fn happen(
    events: &BTreeMap<String, Event>,
    pace: &Pace,
    fleet: &mut Option<Running>,
) -> anyhow::Result<Vec<Happened>> {
    let mut events: Vec<(&String, &Event)> = events.iter().collect();
    events.sort_by(|a, b| a.1.at_seconds.total_cmp(&b.1.at_seconds));
    let mut happened = Vec::new();
    for (name, event) in events {
        if !pace.until(Duration::from_secs_f64(event.at_seconds)).await {
            break;
        }
        let what = match (&*event.command, fleet.as_mut()) {
            ([program, arguments @ ..], _) => {
                let run = Command::new(program)
                    .args(arguments)
                    .kill_on_drop(true)
                    .status();
                let limit = Duration::from_secs(COMMAND_SECONDS_MAX);
                let status = tokio::time::timeout(limit, run).await;
                let status = status.with_context(|| format!("events.{name} took too long"))??;
                ensure!(
                    status.success(),
                    "events.{name}: {program} failed: {status}"
                );
                event.command.join(" ")
            }
            ([], Some(fleet)) => {
                fleet.kill(&event.kill)?;
                format!("{} killed", event.kill)
            }
            ([], None) => continue,
        };
        happened.push(Happened {
            at_seconds: pace.now().as_secs_f64(),
            what: format!("{name}: {what}"),
        });
    }
    Ok(happened)
}
