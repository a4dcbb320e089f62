//! A run from end to end: fleet, hosts, load, books, verdict, report.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use anyhow::ensure;
use rushlane::auth::Scope;
use rushlane::runtime::{Shutdown, TaskScope, clock};
use tokio::signal::unix::{SignalKind, signal};

use crate::actors::{self, Books, Ground, Orders};
use crate::capacity::Capacity;
use crate::clip::Clip;
use crate::collect::{self, Collected, Timeline};
use crate::events::{self, Happened};
use crate::fleet::{Running, Targets};
use crate::gates::Evidence;
use crate::machine;
use crate::mark::Signer;
use crate::pace::Pace;
use crate::report::Report;
use crate::scenario::Scenario;
use crate::scrape::Scraper;
use crate::tally::{Count, Tally};
use crate::verdict::Course;
use crate::web::Web;

/// How long a room may take to play on an edge before the load begins.
const ROOM_SECONDS_MAX: u64 = 30;
/// Between the readiness of everything and the first action.
const BREATH: Duration = Duration::from_secs(1);
/// What actors may take to go when the load is over.
const GRACE: Duration = Duration::from_secs(2);
/// For how long hosts may publish before the load begins.
const HOSTS_BEFORE: Duration = Duration::from_secs(120);

/// How to run.
#[derive(Debug, Clone)]
pub struct Options {
    /// Where the report goes.
    pub folder: PathBuf,
    /// What signs tokens and the mark, for a given fleet.
    pub key_file: Option<PathBuf>,
    /// The server of a local fleet.
    pub rushlane: PathBuf,
    /// What an earlier run said of capacity.
    pub before: Option<Capacity>,
}

/// Runs `scenario` and writes its report. Errors: it could not begin.
pub fn blocking(scenario: Scenario, options: &Options) -> anyhow::Result<Report> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()?;
    runtime.block_on(run(scenario, options))
}

/// What all actors stand on.
struct Stage {
    targets: Targets,
    signer: Signer,
    web: Web,
    scope: TaskScope,
}

impl Stage {
    fn ground(&self, name: &str, pace: &Pace) -> Ground {
        Ground {
            name: name.into(),
            pace: pace.clone(),
            tally: Tally::default(),
            web: self.web.clone(),
            edges: self.targets.edges.clone().into(),
            signer: self.signer.clone(),
            scope: self.scope.clone(),
        }
    }

    /// Hosts begin before the load, and go on to its end.
    fn publish(&self, scenario: &Scenario, clips: Vec<Arc<Clip>>) -> anyhow::Result<Ground> {
        let length = Duration::from_secs(scenario.seconds.into()) + HOSTS_BEFORE;
        let hosts = self.ground("hosts", &Pace::starting(Duration::ZERO, length, 1000.0));
        let origins: Arc<[_]> = self.targets.origins.clone().into();
        let fits = clips.is_empty() || !origins.is_empty();
        ensure!(fits, "hosts publish, but the fleet has no origins");
        for (host, clip) in scenario.hosts.values().zip(clips) {
            actors::publish(&hosts, &host.room, clip, origins.clone());
        }
        Ok(hosts)
    }

    /// Sends everybody; what they do begins with the load.
    fn send(
        &self,
        scenario: &Scenario,
        pace: &Pace,
        orders: &Orders,
    ) -> anyhow::Result<Vec<Ground>> {
        let mut grounds = Vec::new();
        for (name, group) in &scenario.viewers {
            grounds.push(self.ground(name, pace));
            actors::watch(&grounds[grounds.len() - 1], group);
        }
        for (name, group) in &scenario.members {
            grounds.push(self.ground(name, pace));
            actors::take_part(&grounds[grounds.len() - 1], group);
        }
        for (name, group) in &scenario.buyers {
            grounds.push(self.ground(name, pace));
            actors::buy(&grounds[grounds.len() - 1], group, orders)?;
        }
        Ok(grounds)
    }
}

async fn run(scenario: Scenario, options: &Options) -> anyhow::Result<Report> {
    machine::check(&scenario).map_err(anyhow::Error::msg)?;
    let clips = scenario
        .hosts
        .values()
        .map(|host| Clip::read(&host.clip).map(Arc::new));
    let clips: Vec<Arc<Clip>> = clips.collect::<Result<_, _>>()?;
    let prepare = async {
        let (fleet, stage) = begin(&scenario, options).await?;
        let hosts = stage.publish(&scenario, clips)?;
        wait_for_rooms(&scenario, &hosts).await?;
        anyhow::Ok((fleet, stage, hosts))
    };
    let (mut fleet, stage, hosts) = tokio::select! {
        prepared = prepare => prepared?,
        _ = stop() => anyhow::bail!("stopped before the load began"),
    };

    let length = Duration::from_secs(scenario.seconds.into());
    let pace = Pace::starting(BREATH, length, scenario.rate_max);
    let orders = Orders::default();
    let mut grounds = stage.send(&scenario, &pace, &orders)?;
    grounds.push(hosts);
    let Targets {
        admins, insecure, ..
    } = &stage.targets;
    let scraper = Scraper::new(admins, &stage.signer, *insecure)?;
    let mut timeline = Timeline::new(&grounds, scraper, scenario.seconds)?;
    tracing::info!(scenario = scenario.summary(), "the load begins");
    let load = async {
        let follow = timeline.follow(&pace);
        tokio::join!(follow, events::happen(&scenario.events, &pace, &mut fleet)).1
    };
    let (cut_after, happened) = tokio::select! {
        happened = load => (None, happened),
        _ = stop() => (Some(pace.now().as_secs_f64()), Ok(Vec::new())),
    };
    let mut ending = Ending {
        cut_after,
        faults: Vec::new(),
        books: None,
        shadow: 0.0,
    };
    let events = happened.unwrap_or_else(|error| {
        ending.faults.push(format!("{error:#}"));
        Vec::new()
    });
    if cut_after.is_none() {
        settle(&scenario, &stage.scope).await;
        if !scenario.buyers.is_empty() {
            let compared = orders.compare(&grounds[0]).await;
            let note = |error| ending.faults.push(format!("the books: {error:#}"));
            ending.books = compared.map_err(note).ok();
        }
    }
    let (collected, shadow) = timeline.finish().await;
    ending.shadow = shadow;
    stage.scope.finish(GRACE).await;
    let mut report = judge(scenario, &pace, collected, events, ending);
    report.before.clone_from(&options.before);
    report.write(&options.folder)?;
    Ok(report)
}

/// Waits until somebody wants it to stop: Ctrl-C, or a polite end.
async fn stop() -> std::io::Result<()> {
    let mut end = signal(SignalKind::terminate())?;
    tokio::select! {
        interrupted = tokio::signal::ctrl_c() => interrupted,
        _ = end.recv() => Ok(()),
    }
}

/// How a run ended.
struct Ending {
    cut_after: Option<f64>,
    faults: Vec<String>,
    books: Option<Books>,
    shadow: f64,
}

/// The fleet, started or given, and what reaches it.
async fn begin(scenario: &Scenario, options: &Options) -> anyhow::Result<(Option<Running>, Stage)> {
    let fleet = match &scenario.local {
        Some(local) => Some(Running::start(local, &options.rushlane, &options.folder).await?),
        None => None,
    };
    let (targets, signer) = match (&fleet, &scenario.fleet) {
        (Some(fleet), _) => (fleet.targets.clone(), fleet.signer.clone()),
        (None, Some(given)) => {
            let signer = Signer::open(options.key_file.as_deref())?;
            (Targets::given(given)?, signer)
        }
        (None, None) => anyhow::bail!("there is no fleet"),
    };
    let scope = TaskScope::under(&Shutdown::new());
    let web = Web::new(TaskScope::under(scope.shutdown()), targets.insecure)?;
    let stage = Stage {
        targets,
        signer,
        web,
        scope,
    };
    Ok((fleet, stage))
}

fn judge(
    scenario: Scenario,
    pace: &Pace,
    collected: Collected,
    events: Vec<Happened>,
    ending: Ending,
) -> Report {
    let placed = collected.all.count(Count::Orders) as f64;
    let spent = collect::spent(&collected.nodes);
    let counts_shadow = ending.books.is_some() && ending.shadow > 0.0;
    let evidence = Evidence {
        groups: &collected.totals,
        all: &collected.all,
        books: ending.books,
        doubled: counts_shadow.then(|| (ending.shadow - placed).max(0.0)),
        spent: spent.clone().map(|(whose, share, _)| (whose, share)),
    };
    let gates = scenario.gates.judge(&evidence);
    let course = Course {
        scenario: &scenario,
        collected: &collected,
        pace,
        cut_after: ending.cut_after,
        faults: &ending.faults,
        spent,
    };
    let (verdict, reasons) = course.verdict(&gates);
    let binds_first = course.binds_first(&gates);
    let capacity = Capacity::of(&scenario, &collected.groups, &collected.nodes);
    Report {
        verdict,
        reasons,
        binds_first,
        started_us: pace.unix_us(Duration::ZERO),
        seconds: ending
            .cut_after
            .unwrap_or_else(|| pace.length().as_secs_f64()),
        gates,
        groups: collected.groups,
        nodes: collected.nodes,
        machine: collected.machine,
        events,
        capacity,
        before: None,
        books: ending.books,
        scenario,
    }
}

/// Waits until each room can be watched, or entered, on each edge.
async fn wait_for_rooms(scenario: &Scenario, ground: &Ground) -> anyhow::Result<()> {
    let http = reqwest::Client::builder().timeout(Duration::from_secs(5));
    let http = http.build()?;
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
                    Ok(answer) if answer.status().is_success() => break,
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

/// The load is over: who is there goes, and orders under way get their answers.
async fn settle(scenario: &Scenario, scope: &TaskScope) {
    let patience = scenario.buyers.values().map(|group| group.patience_seconds);
    let deadline = clock::now() + GRACE + Duration::from_secs_f64(patience.fold(0.0, f64::max));
    while scope.running() > scenario.hosts.len() && clock::now() < deadline {
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}
