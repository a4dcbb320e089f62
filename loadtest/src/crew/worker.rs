//! A worker: waits for a coordinator that knows the secret, carries its share of a load, and tells
//! what it measured, each second. One run at a time.
//!
//! It believes the coordinator no more than it must: the scenario is checked as if it were a file,
//! its ceiling and length are kept here, and it speaks to the edges named in it only.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, bail, ensure};
use rushlane::runtime::{Shutdown, TaskScope, clock};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, mpsc};

use super::message::{Done, Start, Task, ToCoordinator, ToWorker};
use super::wire::{self, Receiver, Sender};
use super::{SILENCE, Secret};
use crate::actors::{Ground, Orders};
use crate::fleet::Targets;
use crate::machine::{self, Meter};
use crate::mark::Signer;
use crate::pace::Pace;
use crate::report::Own;
use crate::run;
use crate::scenario::Scenario;
use crate::share::Share;
use crate::stage::{Scene, Stage};

/// Connections that have proven nothing yet, at most; more are closed at once.
const STRANGERS_MAX: usize = 16;
/// How long a coordinator may take from its first word to the start: a fleet may have to start.
const PREPARE: Duration = Duration::from_secs(300);
/// How far ahead a start may be.
const START_AHEAD: Duration = Duration::from_secs(60);
/// How long a coordinator may take to close after the last word.
const PARTING: Duration = Duration::from_secs(1);
/// Messages that wait to be sent.
const OUTBOX_MAX: usize = 64;

/// How to work.
#[derive(Debug, Clone)]
pub struct Options {
    /// Where coordinators find it.
    pub listen: SocketAddr,
    /// What they must know.
    pub secret: Secret,
    /// What signs tokens and the load mark.
    pub key_file: Option<PathBuf>,
    /// The hosts that may be loaded; empty: those of any scenario.
    pub allow: Vec<String>,
}

/// Works until somebody stops it. Errors: it could not begin.
pub fn blocking(options: Options) -> anyhow::Result<()> {
    let signer = Signer::open(options.key_file.as_deref())?;
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()?;
    runtime.block_on(serve(options, signer))
}

async fn serve(options: Options, signer: Signer) -> anyhow::Result<()> {
    let listener = TcpListener::bind(options.listen).await;
    let listener = listener.with_context(|| options.listen.to_string())?;
    let listen = listener.local_addr()?;
    tracing::info!(%listen, "waits for a coordinator");
    let scope = TaskScope::under(&Shutdown::new());
    let bench = Arc::new(Bench {
        options,
        signer,
        strangers: Semaphore::new(STRANGERS_MAX),
        free: Semaphore::new(1),
        shutdown: scope.shutdown().clone(),
    });
    loop {
        let (stream, from) = tokio::select! {
            accepted = listener.accept() => match accepted {
                Ok(accepted) => accepted,
                Err(error) => {
                    tracing::warn!(%error, "no connection can be accepted");
                    tokio::time::sleep(Duration::from_millis(100)).await;
                    continue;
                }
            },
            _ = run::stop() => break,
        };
        let bench = Arc::clone(&bench);
        scope.spawn("coordinator", async move {
            if let Err(error) = bench.meet(stream).await {
                let error = format!("{error:#}");
                tracing::warn!(error, %from, "a coordinator is gone");
            }
        });
    }
    // Whoever leads us is told.
    scope.finish(SILENCE).await;
    Ok(())
}

/// What all runs of a worker have in common.
struct Bench {
    options: Options,
    signer: Signer,
    strangers: Semaphore,
    free: Semaphore,
    shutdown: Shutdown,
}

/// A coordinator who knows the secret.
struct Leader {
    sender: Sender,
    receiver: Receiver,
}

/// What is to be done, and everything that it needs.
struct Ride {
    stage: Stage,
    scenario: Scenario,
    share: Share,
}

impl Bench {
    async fn meet(&self, stream: TcpStream) -> anyhow::Result<()> {
        let Ok(stranger) = self.strangers.try_acquire() else {
            bail!("too many connections at once");
        };
        let (sender, receiver) = wire::accept(stream, &self.options.secret).await?;
        drop(stranger);
        let mut leader = Leader { sender, receiver };
        let Ok(_free_at_the_end) = self.free.try_acquire() else {
            let why = "busy with the run of another coordinator".to_owned();
            return leader.part(ToCoordinator::Refused(why)).await;
        };
        let prepared = tokio::time::timeout(PREPARE, self.prepare(&mut leader)).await;
        let (ride, start) = prepared.context("the load does not begin")??;
        tracing::info!(scenario = ride.scenario.summary(), share = ?ride.share, "the load begins");
        let ended = self.ride(&mut leader, &ride, start).await;
        // However it ended: nobody acts any more.
        ride.stage.scope.finish(Duration::ZERO).await;
        tracing::info!("the load is over");
        ended
    }

    async fn prepare(&self, leader: &mut Leader) -> anyhow::Result<(Ride, Start)> {
        let ToWorker::Task(task) = leader.hear(&self.shutdown).await? else {
            bail!("it has no task");
        };
        let ride = match self.take(&task) {
            Ok(ride) => ride,
            Err(error) => return Err(leader.refuse(error).await),
        };
        leader.sender.send(&ToCoordinator::Ready).await?;
        let ToWorker::Start(start) = leader.hear(&self.shutdown).await? else {
            bail!("it called the load off");
        };
        Ok((ride, start))
    }

    /// Errors: what it asks for must not, or cannot, be done here.
    fn take(&self, task: &Task) -> anyhow::Result<Ride> {
        let share = task.share;
        ensure!(share.is_possible(), "there is no such share");
        let name = "the coordinator's scenario";
        let scenario = Scenario::read_for(name, &task.scenario, false, share.machines());
        let scenario = scenario.map_err(anyhow::Error::msg)?;
        let own = scenario.hosts.is_empty() && scenario.events.is_empty();
        let fleet = scenario.fleet.as_ref().filter(|_| own);
        let fleet = fleet.context("hosts, events and local fleets are the coordinator's")?;
        let targets = Targets::given(fleet)?;
        for edge in &targets.edges {
            let host = edge.host_str().unwrap_or_default();
            let allow = &self.options.allow;
            let allowed = allow.is_empty() || allow.iter().any(|allowed| allowed == host);
            ensure!(
                allowed,
                "{host} is none of the hosts that it may load (--allow)"
            );
        }
        ensure!(
            task.key == self.signer.fingerprint(),
            "its --key-file is not the coordinator's"
        );
        ensure!(
            scenario.buyers.is_empty() || task.key.is_some(),
            "buyers need the --key-file that signs the load mark"
        );
        machine::check(&scenario, share).map_err(anyhow::Error::msg)?;
        let stage = Stage::new(targets, self.signer.clone())?;
        Ok(Ride {
            stage,
            scenario,
            share,
        })
    }

    async fn ride(&self, leader: &mut Leader, ride: &Ride, start: Start) -> anyhow::Result<()> {
        let orders = Orders::default();
        let (pace, grounds) = match ride.begin(start, &orders) {
            Ok(begun) => begun,
            Err(error) => return Err(leader.refuse(error).await),
        };
        let Leader { sender, receiver } = leader;
        let (out, mut outbox) = mpsc::channel(OUTBOX_MAX);
        let mut load = Box::pin(ride.perform(&pace, &grounds, &orders, out));
        let mut silent_at = clock::now() + SILENCE;
        let done = loop {
            tokio::select! {
                done = &mut load => break done,
                Some(said) = outbox.recv() => sender.send(&said).await?,
                said = receiver.receive() => {
                    silent_at = clock::now() + SILENCE;
                    match said.context("the coordinator is gone")? {
                        ToWorker::Ping(number) => pong(sender, number).await?,
                        ToWorker::Stop => break Done::default(),
                        ToWorker::Task(_) | ToWorker::Start(_) => bail!("it speaks out of turn"),
                    }
                }
                () = tokio::time::sleep_until(silent_at) => bail!("the coordinator is silent"),
                () = self.shutdown.requested() => return leader.part(stopped()).await,
            }
        };
        drop(load);
        ride.stage.scope.finish(Duration::ZERO).await;
        while let Ok(said) = outbox.try_recv() {
            sender.send(&said).await?;
        }
        for book in books(&grounds) {
            sender.send(&book).await?;
        }
        let done = Done {
            lag_p99_ms: pace.lag_p99_ms(),
            held_back: pace.held_back(),
            ..done
        };
        leader.part(ToCoordinator::Done(done)).await
    }
}

impl Leader {
    /// The next thing that it wants. Errors: it is gone, or somebody stopped us.
    async fn hear(&mut self, shutdown: &Shutdown) -> anyhow::Result<ToWorker> {
        loop {
            let said = tokio::select! {
                said = tokio::time::timeout(SILENCE, self.receiver.receive()) => said,
                () = shutdown.requested() => {
                    self.part(stopped()).await?;
                    bail!("stopped here");
                }
            };
            match said.context("it is silent")?? {
                ToWorker::Ping(number) => pong(&mut self.sender, number).await?,
                other => return Ok(other),
            }
        }
    }

    /// Says why not; answers the same.
    async fn refuse(&mut self, error: anyhow::Error) -> anyhow::Error {
        let why = ToCoordinator::Refused(format!("{error:#}"));
        self.part(why).await.err().unwrap_or(error)
    }

    /// Says the last word. The coordinator closes: were it us, a question under way would meet a
    /// closed door, and the word might be lost.
    async fn part(&mut self, last: ToCoordinator) -> anyhow::Result<()> {
        self.sender.send(&last).await?;
        let closes = async { while self.receiver.receive::<ToWorker>().await.is_ok() {} };
        let _late = tokio::time::timeout(PARTING, closes).await.is_err();
        Ok(())
    }
}

async fn pong(sender: &mut Sender, number: u32) -> anyhow::Result<()> {
    let pong = ToCoordinator::Pong(number, clock::unix_us());
    sender.send(&pong).await
}

fn stopped() -> ToCoordinator {
    ToCoordinator::Leaving("it was stopped there".to_owned())
}

impl Ride {
    /// Sends everybody; what they do begins with the load.
    fn begin(&self, start: Start, orders: &Orders) -> anyhow::Result<(Pace, Vec<Ground>)> {
        let pace = self.pace(start)?;
        let scene = Scene {
            scenario: &self.scenario,
            pace: &pace,
            share: self.share,
            ahead_us: start.ahead_us,
        };
        let grounds = self.stage.send(&scene, orders)?;
        Ok((pace, grounds))
    }

    /// The clock of the load. Errors: it should have begun already, or does not begin soon.
    fn pace(&self, start: Start) -> anyhow::Result<Pace> {
        let here_us = start.at_us.saturating_add(start.ahead_us);
        let after_us = here_us.saturating_sub(clock::unix_us());
        let after = Duration::from_micros(u64::try_from(after_us).context("the start is past")?);
        ensure!(after <= START_AHEAD, "the start is {after:?} ahead");
        let length = Duration::from_secs(self.scenario.seconds.into());
        let rate_max = self.share.ceiling(self.scenario.rate_max);
        Ok(Pace::agreed(after, start.at_us, length, rate_max))
    }

    /// Tells every second until the load is over and its orders are answered and compared.
    async fn perform(
        &self,
        pace: &Pace,
        grounds: &[Ground],
        orders: &Orders,
        out: mpsc::Sender<ToCoordinator>,
    ) -> Done {
        let mut meter = Meter::default();
        // What was used before the load is not the load's.
        meter.look(1.0);
        for second in 1_u32.. {
            let goes_on = pace.until(Duration::from_secs(second.into())).await;
            if !goes_on {
                pace.end().await;
            }
            let own = Own {
                look: meter.look(1.0),
                lag_p99_ms: pace.take_lag_p99_ms(),
            };
            let told = books(grounds).chain([ToCoordinator::Second(second, own)]);
            for message in told {
                // Nobody takes it any more only when the load is dropped too.
                let _dropped = out.send(message).await.is_err();
            }
            if !goes_on {
                break;
            }
        }
        self.stage.settle(&self.scenario, 0).await;
        let mut done = Done::default();
        if let Some(ground) = grounds.first().filter(|_| !self.scenario.buyers.is_empty()) {
            match orders.compare(ground).await {
                Ok(books) => done.books = Some(books),
                Err(error) => done.faults.push(format!("the books: {error:#}")),
            }
        }
        done
    }
}

/// What the groups measured since the last time.
fn books(grounds: &[Ground]) -> impl Iterator<Item = ToCoordinator> {
    (0..).zip(grounds).filter_map(|(group, ground)| {
        let packed = ground.tally.take().packed();
        (!packed.is_empty()).then_some(ToCoordinator::Book(group, packed))
    })
}

#[cfg(test)]
#[path = "worker_test.rs"]
mod tests;
