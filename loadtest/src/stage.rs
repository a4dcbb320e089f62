//! What all actors of one machine stand on, and who of them it sends.
//!
//! Knows nothing of verdicts, nor whether other machines carry parts of the same load.

use std::sync::Arc;
use std::time::Duration;

use anyhow::ensure;
use rushlane::auth::Scope;
use rushlane::runtime::{Shutdown, TaskScope, clock};

use crate::actors::{self, Ground, Orders};
use crate::clip::Clip;
use crate::fleet::Targets;
use crate::mark::Signer;
use crate::pace::Pace;
use crate::scenario::Scenario;
use crate::share::Share;
use crate::tally::Tally;
use crate::web::{Http, Web};

/// How long a room may take to play on an edge before the load begins.
const ROOM_SECONDS_MAX: u64 = 30;
/// What actors may take to go when the load is over.
pub const GRACE: Duration = Duration::from_secs(2);
/// For how long hosts may publish before the load begins.
const HOSTS_BEFORE: Duration = Duration::from_secs(120);

/// What all actors stand on.
pub struct Stage {
    /// What they speak to.
    pub targets: Targets,
    /// What lets them in.
    pub signer: Signer,
    /// Their tasks.
    pub scope: TaskScope,
    web: Web,
}

/// Where and when the groups act.
pub struct Scene<'a> {
    /// What they do.
    pub scenario: &'a Scenario,
    /// The clock.
    pub pace: &'a Pace,
    /// Which of them are this machine's.
    pub share: Share,
    /// How far this machine's clock is ahead of the run's, in microseconds.
    pub ahead_us: i64,
}

impl Stage {
    /// In front of `targets`.
    pub fn new(targets: Targets, signer: Signer) -> anyhow::Result<Self> {
        let scope = TaskScope::under(&Shutdown::new());
        let web = Web::new(TaskScope::under(scope.shutdown()), targets.insecure)?;
        Ok(Self {
            targets,
            signer,
            scope,
            web,
        })
    }

    fn ground(&self, name: &str, pace: &Pace) -> Ground {
        Ground {
            name: name.into(),
            pace: pace.clone(),
            share: Share::default(),
            tally: Tally::default(),
            web: self.web.clone(),
            link: None,
            edges: self.targets.edges.clone().into(),
            signer: self.signer.clone(),
            scope: self.scope.clone(),
        }
    }

    /// Hosts begin before the load, and go on to its end.
    pub fn publish(&self, scenario: &Scenario, clips: Vec<Arc<Clip>>) -> anyhow::Result<Ground> {
        let length = Duration::from_secs(scenario.seconds.into()) + HOSTS_BEFORE;
        let hosts = self.ground("hosts", &Pace::starting(Duration::ZERO, length, 1000.0));
        let origins: Arc<[_]> = self.targets.origins.clone().into();
        let fits = clips.is_empty() || !origins.is_empty();
        ensure!(fits, "hosts publish, but the fleet has no origins");
        for (host, clip) in scenario.hosts.values().zip(clips) {
            actors::publish(&hosts, host, clip, origins.clone());
        }
        Ok(hosts)
    }

    /// Sends everybody who is this machine's; what they do begins with the load. The grounds are
    /// in the order of [`groups`].
    pub fn send(&self, scene: &Scene<'_>, orders: &Orders) -> anyhow::Result<Vec<Ground>> {
        let mut grounds = Vec::new();
        let ground = |name: &String, link: Option<&str>| Ground {
            share: scene.share,
            tally: Tally::ahead(scene.ahead_us),
            link: scene.scenario.link(link),
            ..self.ground(name, scene.pace)
        };
        for (name, group) in &scene.scenario.viewers {
            let mut ground = ground(name, group.link.as_deref());
            if group.http == Http::Three {
                ground.edges = self.targets.https_edges.clone().into();
            }
            grounds.push(ground);
            actors::watch(&grounds[grounds.len() - 1], group);
        }
        for (name, group) in &scene.scenario.members {
            grounds.push(ground(name, group.link.as_deref()));
            actors::take_part(&grounds[grounds.len() - 1], group);
        }
        for (name, group) in &scene.scenario.buyers {
            grounds.push(ground(name, None));
            actors::buy(&grounds[grounds.len() - 1], group, orders)?;
        }
        Ok(grounds)
    }

    /// The load is over: who is there goes, and orders under way get their answers. `beside`: how
    /// many tasks go on.
    pub async fn settle(&self, scenario: &Scenario, beside: usize) {
        let patience = scenario.buyers.values().map(|group| group.patience_seconds);
        let deadline = clock::now() + GRACE + Duration::from_secs_f64(patience.fold(0.0, f64::max));
        while self.scope.running() > beside && clock::now() < deadline {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }
}

/// What the groups of a scenario are called, in their order.
#[must_use]
pub fn groups(scenario: &Scenario) -> Vec<String> {
    let viewers = scenario.viewers.keys();
    let names = viewers
        .chain(scenario.members.keys())
        .chain(scenario.buyers.keys());
    names.cloned().collect()
}

/// How many renditions of `room` there are when all hosts publish.
fn ladder(scenario: &Scenario, room: &str) -> usize {
    let hosts = scenario.hosts.values();
    hosts.filter(|host| host.room == room).count()
}

/// Waits until each room can be watched, or entered, on each edge of `ground`: with all its
/// renditions.
pub async fn wait_for_rooms(scenario: &Scenario, ground: &Ground) -> anyhow::Result<()> {
    let http = ground.web.client(Duration::from_secs(5))?;
    let watched = scenario.viewers.values().map(|group| (&group.room, false));
    let entered = scenario.members.values().map(|group| &group.room);
    let entered = entered.chain(scenario.buyers.values().map(|group| &group.room));
    let mut rooms: Vec<(&String, bool)> = watched.chain(entered.map(|room| (room, true))).collect();
    rooms.sort();
    rooms.dedup();
    let deadline = clock::now() + Duration::from_secs(ROOM_SECONDS_MAX);
    for (room, is_entered) in rooms {
        for edge in ground.edges.iter() {
            let path = match is_entered {
                false => {
                    let prefix = ground.signer.prefix(Scope::Play, room);
                    format!("{prefix}/live/{room}/index.m3u8")
                }
                true => {
                    let query = ground.signer.member(room, "load-first");
                    format!("/rooms/{room}/snapshot{query}")
                }
            };
            let url = edge.join(&path)?;
            loop {
                let answer = http.get(url.clone()).send().await;
                let said = match answer {
                    Ok(answer) if answer.status().is_success() => {
                        let rungs = answer.text().await?.matches("#EXT-X-STREAM-INF").count();
                        if is_entered || rungs >= ladder(scenario, room) {
                            break;
                        }
                        format!("{rungs} renditions")
                    }
                    Ok(answer) => answer.status().to_string(),
                    Err(error) => error.without_url().to_string(),
                };
                ensure!(
                    clock::now() < deadline,
                    "room {room} is not there on {edge} after {ROOM_SECONDS_MAX} s: {said}"
                );
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        }
    }
    Ok(())
}
