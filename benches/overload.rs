//! Three times as many viewers as one edge worker can take: what it gives up and in which order,
//! what becomes of orders meanwhile, and how soon all is as before.
//!
//! Edge and origin share core 0; newcomers come to HTTP-FLV at a fixed rate. Orders are posted by
//! this process, which has the client core whenever it wants. They are held against orders on an
//! edge with nobody else, on cores that are as busy: a host that takes time from a guest whose
//! cores are all in use takes it from both.

use std::cell::RefCell;
use std::fs;
use std::path::Path;
use std::rc::Rc;
use std::time::Duration;

use anyhow::bail;
use hdrhistogram::Histogram;
use rushlane::runtime::{Shutdown, TaskScope, clock};
use rushlane::shed::Level;
use tokio::task::JoinSet;

use crate::Bench;
use crate::crowd::{Crowd, Wish};
use crate::host::Host;
use crate::orders::{self, Load};
use crate::outcome::{Goal, Outcome};
use crate::process::{Busy, CpuMeter};
use crate::servers::{Network, ROOM};

/// Three times what a worker takes with the viewers' TCP on its own core.
const NEWCOMERS: u64 = 9000;
const PER_SECOND: u64 = 300;
const ORDERS: Load = Load {
    per_second: 200,
    seconds: 20,
};
/// How often the level is looked at.
const LOOK: Duration = Duration::from_millis(100);
/// How long the queue may be away once newcomers come.
const SHED_WITHIN: Duration = Duration::from_secs(60);

/// Runs the bench.
pub async fn run(bench: &Bench) -> anyhow::Result<Outcome> {
    let folder = bench.folder.join("overload");
    let (network, _shop) = network(&folder).await?;
    let host = Host::start(&bench.clip, &network.rtmp, "live", ROOM)?;
    network.wait_for_room().await?;
    let idle = orders::order(&network, "idle", ORDERS).await?;
    let busy = Busy::start()?;
    let quiet = orders::order(&network, "quiet", ORDERS).await?;
    drop(busy);

    let watch = Watch::start(&network);
    let crowd = Crowd::start(&folder, &network.http, Wish::Flv, (NEWCOMERS, PER_SECOND))?;
    watch.reaches(Level::JoinQueue).await?;
    let meter = CpuMeter::start(&network.edge)?;
    let beside = orders::order(&network, "beside", ORDERS).await?;
    let share = meter.share(&network.edge)?;
    let figures = crowd.figures();
    drop(crowd);
    let calm = watch.calm(&network).await?;

    let mut outcome = Outcome::new("overload");
    outcome.tell("newcomers", figures.came as f64, "");
    outcome.tell("of them playing", figures.served as f64, "");
    outcome.tell("of them told to wait", figures.waited as f64, "");
    outcome.judge(
        "of them cut off or failed",
        figures.failed as f64,
        "",
        Goal::AtMost(0.0),
    );
    outcome.tell("CPU of the edge meanwhile", share * 100.0, "% of a core");
    watch.tell(&network, &mut outcome).await?;
    outcome.judge(
        "level normal after the load",
        calm.as_secs_f64(),
        "s",
        Goal::AtMost(10.0),
    );
    let phases = [
        ("on idle cores", &idle),
        ("before", &quiet),
        ("beside the load", &beside),
    ];
    tell_orders(&mut outcome, &phases);
    let slower = (p99(&beside) / p99(&quiet) - 1.0) * 100.0;
    outcome.judge("p99 slower beside it by", slower, "%", Goal::AtMost(10.0));
    drop(host);
    Ok(outcome)
}

/// An origin with a merchant and an edge that sheds.
pub async fn network(folder: &Path) -> anyhow::Result<(Network, JoinSet<()>)> {
    fs::create_dir_all(folder)?;
    let _last_run = fs::remove_file(folder.join("ledger.redb"));
    let (merchant, shop) = orders::merchant().await?;
    let origin = format!(
        "[orders]\nbuyer_per_second = 1000\n[orders.webhook]\nurl = {merchant:?}\n\
         secret = \"secret\"\n"
    );
    let edge = format!("{}\n[shed]\nenabled = true\n", orders::EDGE);
    let network = Network::start_with(folder, &origin, &edge).await?;
    network.open_room().await?;
    Ok((network, shop))
}

/// Tells what orders took in each phase.
pub fn tell_orders(outcome: &mut Outcome, phases: &[(&str, &Histogram<u64>)]) {
    for (name, times) in phases {
        let p50 = times.value_at_quantile(0.5) as f64 / 1000.0;
        outcome.tell(format!("ack {name}, p50"), p50, "ms");
        outcome.tell(format!("ack {name}, p99"), p99(times), "ms");
    }
}

/// In milliseconds.
fn p99(times: &Histogram<u64>) -> f64 {
    times.value_at_quantile(0.99) as f64 / 1000.0
}

/// Looks at the level of an edge until it is dropped.
pub struct Watch {
    path: Rc<RefCell<Vec<Level>>>,
    _scope: TaskScope,
}

impl Watch {
    /// Begins to look.
    pub fn start(network: &Network) -> Self {
        let scope = TaskScope::under(&Shutdown::new());
        let path = Rc::new(RefCell::new(vec![Level::Normal]));
        let (seen, url) = (path.clone(), network.shed_url());
        scope.spawn_local("watch", async move {
            loop {
                if let Ok(level) = level(&url).await
                    && seen.borrow().last() != Some(&level)
                {
                    seen.borrow_mut().push(level);
                }
                tokio::time::sleep(LOOK).await;
            }
        });
        Self {
            path,
            _scope: scope,
        }
    }

    /// Waits until the edge has given up as much as `level`.
    pub async fn reaches(&self, level: Level) -> anyhow::Result<()> {
        let started = clock::now();
        while self.path.borrow().iter().all(|seen| *seen < level) {
            if started.elapsed() > SHED_WITHIN {
                bail!("the edge does not shed: {:?}", self.path.borrow());
            }
            tokio::time::sleep(LOOK).await;
        }
        Ok(())
    }

    /// Waits until the level is normal, from now on; how long that took.
    pub async fn calm(&self, network: &Network) -> anyhow::Result<Duration> {
        let started = clock::now();
        while level(&network.shed_url()).await? > Level::Normal {
            if started.elapsed() > Duration::from_secs(60) {
                bail!("the edge goes on shedding: {:?}", self.path.borrow());
            }
            tokio::time::sleep(LOOK).await;
        }
        Ok(started.elapsed())
    }

    /// Tells the highest level, and judges that all below it were taken on the way.
    pub async fn tell(&self, network: &Network, outcome: &mut Outcome) -> anyhow::Result<()> {
        let highest = self.path.borrow().iter().max().copied().unwrap_or_default();
        let name = format!("highest level: {}", highest.as_str());
        outcome.tell(name, f64::from(highest as u8), "");
        let metrics = network.edge_metrics().await?;
        let is_counted = |level: &&Level| {
            let step = format!("level=\"{}\",direction=\"up\"", level.as_str());
            metrics.contains(&step)
        };
        let below = Level::ALL
            .iter()
            .filter(|level| (Level::StretchLikes..=highest).contains(level));
        let taken = below.filter(is_counted).count();
        let goal = Goal::AtLeast(f64::from(highest as u8));
        outcome.judge("steps taken on the way, as counted", taken as f64, "", goal);
        Ok(())
    }
}

async fn level(url: &str) -> anyhow::Result<Level> {
    let status: serde_json::Value = reqwest::get(url).await?.json().await?;
    Ok(serde_json::from_value(status["level"].clone())?)
}
