//! The coordinator's end of one worker: asks for its clock, hands on what is ordered, and keeps
//! what the worker says, until one of them has gone. Knows nothing of the other workers.

use std::sync::Arc;

use anyhow::{Context as _, ensure};
use rushlane::runtime::clock::{self, Instant};
use tokio::sync::{mpsc, watch};

use super::clock::{Clock, Trip};
use super::message::{Done, ToCoordinator, ToWorker};
use super::wire::{self, Receiver, Sender};
use super::{PING, SILENCE, Secret, short};
use crate::report::Own;
use crate::scenario::SECONDS_MAX;
use crate::tally::{Book, Tally};

/// Questions about the clock before the load: the shortest is believed.
const TRIPS: u32 = 16;

/// What is known of a worker.
#[derive(Debug, Default)]
pub(super) struct Seat {
    /// Its address, as it was named.
    pub(super) name: String,
    pub(super) clock: Clock,
    /// It can do its task.
    pub(super) ready: bool,
    /// The machine, second by second.
    pub(super) seconds: Vec<Own>,
    /// The last second of which all is there.
    pub(super) reported: u32,
    /// It has ended as it should.
    pub(super) done: Option<Done>,
    /// It has not, and why.
    pub(super) lost: Option<String>,
}

/// Where links write.
#[derive(Clone)]
pub(super) struct Desk {
    pub(super) seats: Arc<watch::Sender<Vec<Seat>>>,
    /// A tally for each group.
    pub(super) tallies: Arc<[Tally]>,
}

/// A worker that is there.
pub(super) struct Link {
    sender: Sender,
    receiver: Receiver,
    trip: Option<(u32, i64)>,
    pub(super) clock: Clock,
}

impl Link {
    /// Connects, and compares the clocks. Errors: it is no worker of ours, or its clock is no use.
    pub(super) async fn dial(address: &str, secret: &Secret) -> anyhow::Result<Self> {
        let (sender, receiver) = wire::dial(address, secret).await?;
        let mut this = Self {
            sender,
            receiver,
            trip: None,
            clock: Clock::default(),
        };
        let mut trips = Vec::new();
        for number in 0..TRIPS {
            this.ping(number).await?;
            let answer = tokio::time::timeout(SILENCE, this.receiver.receive()).await;
            match answer.context("no answer")?? {
                ToCoordinator::Pong(number, at_us) => trips.extend(this.pong(number, at_us)),
                ToCoordinator::Refused(why) => anyhow::bail!("refused: {}", short(&why)),
                _ => anyhow::bail!("it speaks out of turn"),
            }
        }
        this.clock = Clock::of(&trips).context("no answer to our question")?;
        match this.clock.fault() {
            Some(fault) => Err(anyhow::Error::msg(fault)),
            None => Ok(this),
        }
    }

    async fn ping(&mut self, number: u32) -> anyhow::Result<()> {
        self.trip = Some((number, clock::unix_us()));
        self.sender.send(&ToWorker::Ping(number)).await
    }

    /// The trip that ended with this answer; `None`: it is not the last question's.
    fn pong(&mut self, number: u32, at_us: i64) -> Option<Trip> {
        let (_, sent_us) = self.trip.take_if(|(asked, _)| *asked == number)?;
        Some(Trip {
            sent_us,
            at_us,
            back_us: clock::unix_us(),
        })
    }

    /// Hands on `orders` and keeps what comes in seat `number`, until the worker is done or gone,
    /// or nobody orders any more.
    pub(super) async fn attend(
        mut self,
        number: usize,
        orders: mpsc::Receiver<ToWorker>,
        desk: Desk,
    ) {
        if let Err(error) = self.follow(number, orders, &desk).await {
            let why = format!("{error:#}");
            desk.seats.send_modify(|seats| {
                let seat = &mut seats[number];
                if seat.done.is_none() {
                    seat.lost = Some(why);
                }
            });
        }
    }

    async fn follow(
        &mut self,
        seat: usize,
        mut orders: mpsc::Receiver<ToWorker>,
        desk: &Desk,
    ) -> anyhow::Result<()> {
        let mut heard = clock::now();
        let (mut number, mut due) = (TRIPS, clock::now());
        loop {
            tokio::select! {
                message = self.receiver.receive() => {
                    heard = clock::now();
                    if self.keep(seat, message?, desk)? {
                        return Ok(());
                    }
                }
                order = orders.recv() => match order {
                    Some(order) => self.sender.send(&order).await?,
                    None => return Ok(()),
                },
                () = tokio::time::sleep_until(due.min(heard + SILENCE)) => {
                    ensure!(heard.elapsed() < SILENCE, "silent for {} s", SILENCE.as_secs());
                    (number, due) = (number.wrapping_add(1), next(due));
                    self.ping(number).await?;
                }
            }
        }
    }

    /// Keeps what the worker said. True: it was the last.
    fn keep(&mut self, seat: usize, said: ToCoordinator, desk: &Desk) -> anyhow::Result<bool> {
        let (mut fault, mut last) = (None, false);
        match said {
            ToCoordinator::Book(group, book) => {
                let tally = desk.tallies.get(group as usize);
                let tally = tally.context("a book of no group")?;
                tally.put(&Book::unpacked(&book).context("a book of another version")?);
            }
            ToCoordinator::Pong(number, at_us) => {
                if let Some(trip) = self.pong(number, at_us) {
                    let look = |seats: &mut Vec<Seat>| seats[seat].clock.look_again(trip);
                    desk.seats.send_modify(look);
                }
            }
            ToCoordinator::Ready => desk.seats.send_modify(|seats| seats[seat].ready = true),
            ToCoordinator::Second(second, own) => {
                ensure!(second <= SECONDS_MAX, "a second after the longest run");
                desk.seats.send_modify(|seats| {
                    let seat = &mut seats[seat];
                    if second > seat.reported {
                        seat.reported = second;
                        seat.seconds.push(own);
                    }
                });
            }
            ToCoordinator::Refused(why) => fault = Some(format!("refused: {}", short(&why))),
            ToCoordinator::Leaving(why) => fault = Some(format!("it ended: {}", short(&why))),
            ToCoordinator::Done(done) => {
                desk.seats
                    .send_modify(|seats| seats[seat].done = Some(done));
                last = true;
            }
        }
        match fault {
            Some(fault) => Err(anyhow::Error::msg(fault)),
            None => Ok(last),
        }
    }
}

/// When the question after the one of `due` is asked: none is made up for.
fn next(due: Instant) -> Instant {
    (due + PING).max(clock::now())
}
