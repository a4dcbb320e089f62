//! A run from end to end: fleet, hosts, load, books, verdict, report.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use tokio::signal::unix::{SignalKind, signal};

use crate::actors::{Ground, Orders};
use crate::capacity::Capacity;
use crate::clip::Clip;
use crate::collect::{self, Collected, Timeline};
use crate::crew::{self, Crew, Work};
use crate::events::{self, Happened};
use crate::fleet::{Running, Targets};
use crate::gates::Evidence;
use crate::machine;
use crate::mark::Signer;
use crate::pace::Pace;
use crate::report::{Machine, Report};
use crate::scenario::Scenario;
use crate::scrape::Scraper;
use crate::share::Share;
use crate::stage::{self, GRACE, Scene, Stage};
use crate::tally::{Count, Tally};
use crate::verdict::Course;

/// Between the readiness of everything and the first action.
const BREATH: Duration = Duration::from_secs(1);
/// The same where workers must hear of it before.
const BREATH_OF_ALL: Duration = Duration::from_secs(3);

/// How to run.
#[derive(Debug, Clone)]
pub struct Options {
    /// Where the report goes.
    pub folder: PathBuf,
    /// What signs tokens and the mark, for a given fleet.
    pub key_file: Option<PathBuf>,
    /// The server of a local fleet.
    pub rushlane: PathBuf,
    /// The workers, where others carry the load.
    pub crew: Option<crew::Config>,
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

/// Who carries the load.
enum Load {
    /// This program.
    Here(Vec<Ground>, Orders),
    /// Workers.
    There(Crew),
}

impl Load {
    /// Sends everybody, `after` from now.
    async fn begin(
        crew: Option<Crew>,
        scenario: &Scenario,
        stage: &Stage,
        pace: &Pace,
    ) -> anyhow::Result<Self> {
        if let Some(crew) = crew {
            crew.start(pace.unix_us(Duration::ZERO)).await;
            return Ok(Self::There(crew));
        }
        let (share, orders) = (Share::default(), Orders::default());
        let scene = Scene {
            scenario,
            pace,
            share,
            ahead_us: 0,
        };
        Ok(Self::Here(stage.send(&scene, &orders)?, orders))
    }

    fn tallies(&self) -> Vec<(String, Tally)> {
        let of = |ground: &Ground| (ground.name.to_string(), ground.tally.clone());
        match self {
            Self::Here(grounds, _) => grounds.iter().map(of).collect(),
            Self::There(crew) => crew.tallies(),
        }
    }

    fn crew(&self) -> Option<&Crew> {
        match self {
            Self::Here(..) => None,
            Self::There(crew) => Some(crew),
        }
    }

    /// Measures until the end how late this machine is; its actors do so anyhow.
    async fn watch_lateness(&self, pace: &Pace) {
        if let Self::There(crew) = self {
            crew.watch_lateness(pace).await;
        }
    }

    /// Waits until one of those who carry it is gone.
    async fn lost(&self) {
        match self {
            Self::Here(..) => std::future::pending().await,
            Self::There(crew) => crew.lost().await,
        }
    }

    /// The load is over: orders under way are answered and the books compared, unless it was `cut`
    /// short.
    async fn end(self, cut: bool, scenario: &Scenario, stage: &Stage) -> Work {
        let (grounds, orders) = match self {
            Self::There(crew) => return crew.end(cut, scenario).await,
            Self::Here(grounds, orders) => (grounds, orders),
        };
        let mut work = Work::default();
        if cut {
            return work;
        }
        stage.settle(scenario, scenario.hosts.len()).await;
        if !scenario.buyers.is_empty() {
            let note = |error| work.faults.push(format!("the books: {error:#}"));
            work.books = orders.compare(&grounds[0]).await.map_err(note).ok();
        }
        work
    }
}

async fn run(scenario: Scenario, options: &Options) -> anyhow::Result<Report> {
    if options.crew.is_none() {
        machine::check(&scenario, Share::default()).map_err(anyhow::Error::msg)?;
    }
    let clips = scenario
        .hosts
        .values()
        .map(|host| Clip::read(&host.clip).map(Arc::new));
    let clips: Vec<Arc<Clip>> = clips.collect::<Result<_, _>>()?;
    let prepare = async {
        let mut crew = match &options.crew {
            Some(config) => Some(Crew::find(config, &scenario).await?),
            None => None,
        };
        let (fleet, stage) = begin(&scenario, options).await?;
        if let Some(crew) = &mut crew {
            crew.prepare(&scenario, &stage.targets, &stage.signer)
                .await?;
        }
        let hosts = stage.publish(&scenario, clips)?;
        stage::wait_for_rooms(&scenario, &hosts).await?;
        anyhow::Ok((fleet, stage, hosts, crew))
    };
    let (mut fleet, stage, hosts, crew) = tokio::select! {
        prepared = prepare => prepared?,
        _ = stop() => anyhow::bail!("stopped before the load began"),
    };

    let length = Duration::from_secs(scenario.seconds.into());
    let breath = crew.as_ref().map_or(BREATH, |_| BREATH_OF_ALL);
    let pace = Pace::starting(breath, length, scenario.rate_max);
    let load = Load::begin(crew, &scenario, &stage, &pace).await?;
    let mut tallies = load.tallies();
    tallies.push((hosts.name.to_string(), hosts.tally.clone()));
    let Targets {
        admins, insecure, ..
    } = &stage.targets;
    let scraper = Scraper::new(admins, &stage.signer, *insecure)?;
    let mut timeline = Timeline::new(tallies, scraper, scenario.seconds)?;
    tracing::info!(scenario = scenario.summary(), "the load begins");
    let course = async {
        let follow = timeline.follow(&pace, load.crew());
        let happen = events::happen(&scenario.events, &pace, &mut fleet);
        tokio::join!(follow, happen, load.watch_lateness(&pace)).1
    };
    let (cut_after, happened) = tokio::select! {
        happened = course => (None, happened),
        () = load.lost() => (Some(pace.now().as_secs_f64()), Ok(Vec::new())),
        _ = stop() => (Some(pace.now().as_secs_f64()), Ok(Vec::new())),
    };
    let mut work = load.end(cut_after.is_some(), &scenario, &stage).await;
    let events = happened.unwrap_or_else(|error| {
        work.faults.push(format!("{error:#}"));
        Vec::new()
    });
    let (collected, shadow) = timeline.finish().await;
    stage.scope.finish(GRACE).await;
    let ending = Ending {
        cut_after,
        work,
        shadow,
    };
    let mut report = judge(scenario, &pace, collected, events, ending);
    report.before.clone_from(&options.before);
    report.write(&options.folder)?;
    Ok(report)
}

/// Waits until somebody wants it to stop: Ctrl-C, or a polite end.
pub(crate) async fn stop() -> std::io::Result<()> {
    let mut end = signal(SignalKind::terminate())?;
    tokio::select! {
        interrupted = tokio::signal::ctrl_c() => interrupted,
        _ = end.recv() => Ok(()),
    }
}

/// How a run ended.
struct Ending {
    cut_after: Option<f64>,
    work: Work,
    shadow: f64,
}

/// The fleet, started or given, and what reaches it.
async fn begin(scenario: &Scenario, options: &Options) -> anyhow::Result<(Option<Running>, Stage)> {
    let fleet = match &scenario.local {
        Some(local) => Some(Running::start(local, options).await?),
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
    Ok((fleet, Stage::new(targets, signer)?))
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
    let counts_shadow = ending.work.books.is_some() && ending.shadow > 0.0;
    let evidence = Evidence {
        groups: &collected.totals,
        viewers: &scenario.viewers,
        all: &collected.all,
        books: ending.work.books,
        doubled: counts_shadow.then(|| (ending.shadow - placed).max(0.0)),
        spent: spent.clone().map(|(whose, share, _)| (whose, share)),
        conditions: collect::conditions(&collected.nodes),
    };
    let gates = scenario.gates.judge(&evidence);
    let own = Machine {
        name: "this machine".to_owned(),
        clock: None,
        lag_p99_ms: pace.lag_p99_ms(),
        held_back: pace.held_back(),
        rate_max: pace.rate_max(),
        seconds: collected.machine.clone(),
    };
    let machines: Vec<&Machine> = [&own].into_iter().chain(&ending.work.machines).collect();
    let course = Course {
        scenario: &scenario,
        collected: &collected,
        machines: &machines,
        cut_after: ending.cut_after,
        faults: &ending.work.faults,
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
        books: ending.work.books,
        workers: ending.work.machines,
        scenario,
    }
}
