//! The coordinator: finds its workers, gives each a share of the scenario, the same start on the
//! clock and, when somebody stops the run, the same end. Knows nothing of gates and reports.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, bail, ensure};
use futures_util::future::try_join_all;
use rushlane::runtime::{Shutdown, TaskScope};
use tokio::net::lookup_host;
use tokio::sync::{mpsc, watch};

use super::link::{Desk, Link, Seat};
use super::message::{Start, Task, ToWorker};
use super::{Config, short};
use crate::actors::Books;
use crate::fleet::Targets;
use crate::mark::Signer;
use crate::pace::Pace;
use crate::report::Machine;
use crate::run;
use crate::scenario::{Fleet, Scenario};
use crate::share::Share;
use crate::stage::{self, GRACE};
use crate::tally::Tally;

/// How long workers may take to get ready.
const READY: Duration = Duration::from_secs(30);
/// How long a second of a worker may be under way before the timeline goes on without it.
const SECOND_LATE: Duration = Duration::from_millis(800);
/// How long workers may take to say what they had when a run is cut short.
const STOP: Duration = Duration::from_secs(5);
/// How long workers may compare their books, beyond the patience of buyers.
const COMPARE: Duration = Duration::from_secs(600);
/// Between two looks at the lateness of this machine.
const LOOK: Duration = Duration::from_millis(20);
/// Orders to one worker that wait to be sent.
const ORDERS_MAX: usize = 8;

/// The workers of one run; they end their load when it is dropped.
pub struct Crew {
    desk: Desk,
    seats: watch::Receiver<Vec<Seat>>,
    orders: Vec<mpsc::Sender<ToWorker>>,
    groups: Vec<String>,
    scope: TaskScope,
}

/// What the workers' load came to.
#[derive(Debug, Default)]
pub struct Work {
    /// What could not be done as planned.
    pub faults: Vec<String>,
    /// The books of all of them; `None`: not all of them have compared theirs.
    pub books: Option<Books>,
    /// The machines.
    pub machines: Vec<Machine>,
}

impl Crew {
    /// Finds the workers, proves and compares. Errors: one of them cannot be led, with its name.
    pub async fn find(config: &Config, scenario: &Scenario) -> anyhow::Result<Self> {
        if scenario.local.is_some() {
            let far = "a local fleet is reached on this machine only: give workers elsewhere a \
                       --fleet";
            for address in &config.workers {
                let found = lookup_host(address)
                    .await
                    .with_context(|| address.clone())?;
                let found: Vec<SocketAddr> = found.collect();
                ensure!(found.iter().all(|at| at.ip().is_loopback()), far);
            }
        }
        let dialled = config.workers.iter().map(|address| async move {
            let link = Link::dial(address, &config.secret).await;
            link.with_context(|| format!("worker {address}"))
        });
        let links = try_join_all(dialled).await?;
        let groups = stage::groups(scenario);
        let seat = |(name, link): (&String, &Link)| Seat {
            name: name.clone(),
            clock: link.clock,
            ..Seat::default()
        };
        let (seats, heard) = watch::channel(config.workers.iter().zip(&links).map(seat).collect());
        let desk = Desk {
            seats: Arc::new(seats),
            tallies: groups.iter().map(|_| Tally::default()).collect(),
        };
        let scope = TaskScope::under(&Shutdown::new());
        let mut orders = Vec::new();
        for (number, link) in links.into_iter().enumerate() {
            let (order, ordered) = mpsc::channel(ORDERS_MAX);
            orders.push(order);
            scope.spawn("worker", link.attend(number, ordered, desk.clone()));
        }
        Ok(Self {
            desk,
            seats: heard,
            orders,
            groups,
            scope,
        })
    }

    /// Gives everybody a share. Errors: one of them cannot do it, with its name.
    pub async fn prepare(
        &mut self,
        scenario: &Scenario,
        targets: &Targets,
        signer: &Signer,
    ) -> anyhow::Result<()> {
        let theirs = theirs(scenario, targets);
        let theirs = toml::to_string(&theirs)?;
        let of = u32::try_from(self.orders.len())?;
        for (number, orders) in (0..of).zip(&self.orders) {
            let task = Task {
                scenario: theirs.clone(),
                share: Share::new(number, of, targets.edges.len()),
                key: signer.fingerprint(),
            };
            // Whoever has gone is found in its seat.
            let _gone = orders.send(ToWorker::Task(Box::new(task))).await.is_err();
        }
        let settled = |seats: &Vec<Seat>| {
            seats.iter().any(|seat| seat.lost.is_some()) || seats.iter().all(|seat| seat.ready)
        };
        let found = tokio::time::timeout(READY, self.seats.wait_for(settled)).await;
        let late = found.is_err();
        drop(found);
        let seats = self.seats.borrow();
        for seat in seats.iter() {
            let name = &seat.name;
            if let Some(why) = &seat.lost {
                bail!("worker {name}: {why}");
            }
            let ready = seat.ready || !late;
            ensure!(
                ready,
                "worker {name} is not ready after {} s",
                READY.as_secs()
            );
        }
        Ok(())
    }

    /// The load begins at `at_us`, microseconds since 1970 by the clock of this machine.
    pub async fn start(&self, at_us: i64) {
        let clocks: Vec<i64> = self
            .seats
            .borrow()
            .iter()
            .map(|s| s.clock.ahead_us)
            .collect();
        for (orders, ahead_us) in self.orders.iter().zip(clocks) {
            let _gone = orders
                .send(ToWorker::Start(Start { at_us, ahead_us }))
                .await
                .is_err();
        }
    }

    /// The groups with what all workers measure in them.
    #[must_use]
    pub fn tallies(&self) -> Vec<(String, Tally)> {
        let tallies = self.desk.tallies.iter().cloned();
        self.groups.iter().cloned().zip(tallies).collect()
    }

    /// Waits until everybody has told that second, or for as long as the timeline can wait.
    pub async fn told(&self, second: u32) {
        let mut seats = self.seats.clone();
        let told = seats.wait_for(|seats| {
            let told = |seat: &Seat| seat.reported >= second || seat.done.is_some();
            seats.iter().all(|seat| told(seat) || seat.lost.is_some())
        });
        // What comes later is counted in the next second.
        let _late = tokio::time::timeout(SECOND_LATE, told).await.is_err();
    }

    /// Measures until the end how late this machine is: with all actors elsewhere, it has nothing
    /// else to be late with, and its hosts are what delays begin at.
    pub async fn watch_lateness(&self, pace: &Pace) {
        for number in 1.. {
            if !pace.until(LOOK * number).await {
                return;
            }
        }
    }

    /// Waits until a worker is lost.
    pub async fn lost(&self) {
        let mut seats = self.seats.clone();
        let lost = |seats: &Vec<Seat>| seats.iter().any(|seat| seat.lost.is_some());
        if seats.wait_for(lost).await.is_err() {
            // Nobody writes any more, so nobody can be lost.
            std::future::pending::<()>().await;
        }
    }

    /// The load is over. `cut`: at once; else everybody sees its orders through, unless somebody
    /// stops that too.
    pub async fn end(self, cut: bool, scenario: &Scenario) -> Work {
        let patience = scenario.buyers.values().map(|group| group.patience_seconds);
        let patience = Duration::from_secs_f64(patience.fold(0.0, f64::max));
        let mut faults = Vec::new();
        let mut is_cut = cut;
        if !is_cut {
            tokio::select! {
                () = self.ended(COMPARE + patience) => {}
                _ = run::stop() => {
                    is_cut = true;
                    faults.push("stopped before the books were compared".to_owned());
                }
            }
        }
        if is_cut {
            for orders in &self.orders {
                let _gone = orders.send(ToWorker::Stop).await.is_err();
            }
            self.ended(STOP).await;
        }
        drop(self.orders);
        self.scope.finish(GRACE).await;
        let mut work = Work {
            faults,
            books: Some(Books::default()),
            machines: Vec::new(),
        };
        self.desk.seats.send_modify(|seats| {
            let of = u32::try_from(seats.len()).unwrap_or(u32::MAX);
            for (number, seat) in (0..).zip(seats.drain(..)) {
                let share = Share::new(number, of, 1);
                work.take(seat, share.ceiling(scenario.rate_max));
            }
        });
        work
    }

    /// Waits until everybody is done or lost, or for `limit`.
    async fn ended(&self, limit: Duration) {
        let mut seats = self.seats.clone();
        let ended = seats.wait_for(|seats| {
            let ended = |seat: &Seat| seat.done.is_some() || seat.lost.is_some();
            seats.iter().all(ended)
        });
        // Who is late is named when the seats are read.
        let _late = tokio::time::timeout(limit, ended).await.is_err();
    }
}

impl Work {
    /// Takes what a worker left.
    fn take(&mut self, seat: Seat, rate_max: f64) {
        let name = format!("worker {}", seat.name);
        if let Some(why) = &seat.lost {
            self.faults.push(format!("{name} is lost: {why}"));
        } else if seat.done.is_none() {
            self.faults.push(format!("{name} is not done in time"));
        }
        self.faults
            .extend(seat.clock.fault().map(|fault| format!("{name}: {fault}")));
        let done = seat.done.unwrap_or_default();
        let told = done
            .faults
            .iter()
            .map(|fault| format!("{name}: {}", short(fault)));
        self.faults.extend(told);
        self.books = self
            .books
            .zip(done.books)
            .map(|(sum, books)| sum.and(books));
        self.machines.push(Machine {
            name,
            clock: Some(seat.clock),
            lag_p99_ms: done.lag_p99_ms,
            held_back: done.held_back,
            rate_max,
            seconds: seat.seconds,
        });
    }
}

/// What of `scenario` is the workers': people and limits, and edges to speak to.
fn theirs(scenario: &Scenario, targets: &Targets) -> Scenario {
    let https_edges = targets.https_edges.iter();
    let fleet = Fleet {
        edges: targets.edges.iter().map(ToString::to_string).collect(),
        https_edges: https_edges.map(ToString::to_string).collect(),
        insecure: targets.insecure,
        ..Fleet::default()
    };
    let mut theirs = scenario.clone();
    theirs.fleet = Some(fleet);
    theirs.local = None;
    theirs.forecast = None;
    theirs.hosts.clear();
    theirs.events.clear();
    theirs
}
