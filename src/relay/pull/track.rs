//! One pulled track: asleep while nobody reads it, subscribed while somebody does.

use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;

use crate::live::track::Producer;
use crate::media::track::Kind;
use crate::relay::pull::intake::{Figures, Intake};
use crate::relay::pull::link::{Answer, Link, Subscription};

/// How long a refused track waits before it is asked for again: its announcement may be on its way.
const RETRY: Duration = Duration::from_secs(1);

/// Where a broadcast comes from just now.
#[derive(Debug, Clone)]
pub(super) struct Route {
    /// The link to the parent.
    pub(super) link: Arc<Link>,
    /// The broadcast's number on it.
    pub(super) broadcast: u64,
    /// How often another node has gone on with the show.
    pub(super) term: u32,
}

impl Route {
    pub(super) fn is(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.link, &other.link)
            && (self.broadcast, self.term) == (other.broadcast, other.term)
    }
}

/// A track that comes from a parent.
#[derive(Debug)]
pub(super) struct Track {
    pub(super) producer: Arc<Producer>,
    /// When its show began, in microseconds since 1970.
    pub(super) began_us: i64,
    pub(super) linger: Duration,
    pub(super) figures: Figures,
}

/// Why a track is no longer pulled.
enum End {
    /// Nobody reads it.
    Unwanted,
    /// It is over.
    Over,
}

impl Track {
    /// Pulls the track whenever somebody reads it, until it or its broadcast is over.
    pub(super) async fn run(self, mut route: watch::Receiver<Option<Route>>) {
        let mut demand = self.producer.demand();
        loop {
            tokio::select! {
                _ = demand.wait_for(|readers| *readers > 0) => {}
                () = closed(&mut route) => return,
            }
            let figures = self.figures.clone();
            let is_media = !matches!(self.producer.info().kind, Kind::Data(_));
            let _expecting = is_media.then(|| figures.flow.expect());
            let intake = Arc::new(Intake::new(self.producer.clone(), self.began_us, figures));
            let unwanted = unwanted(demand.clone(), self.linger);
            match self.pull(&intake, &mut route, unwanted).await {
                End::Unwanted => {
                    intake.close();
                    self.producer.clear();
                }
                End::Over => return,
            }
        }
    }

    /// Keeps one subscription, over as many links as it takes.
    async fn pull(
        &self,
        intake: &Arc<Intake>,
        route: &mut watch::Receiver<Option<Route>>,
        unwanted: impl Future<Output = ()>,
    ) -> End {
        let mut unwanted = pin!(unwanted);
        let mut before: Option<Subscription> = None;
        loop {
            let found = tokio::select! {
                found = found(route) => found,
                () = &mut unwanted => return End::Unwanted,
            };
            let Some(Route {
                link,
                broadcast,
                term,
            }) = found
            else {
                return End::Over;
            };
            let name = self.producer.info().name.clone();
            let mut subscription = link.subscribe((broadcast, term), name, intake);
            let answer = async {
                subscription.ask().await;
                // The link before brings frames until this one does.
                before = None;
                subscription.over().await
            };
            let answer = tokio::select! {
                changed = route.changed() => match changed {
                    Ok(()) => None,
                    Err(_) => {
                        subscription.drained().await;
                        return End::Over;
                    }
                },
                () = &mut unwanted => return End::Unwanted,
                answer = answer => Some(answer),
            };
            match answer {
                None => before = Some(subscription),
                Some(Answer::Ended(_)) => {
                    subscription.drained().await;
                    return End::Over;
                }
                Some(_) => tokio::select! {
                    () = tokio::time::sleep(RETRY) => {}
                    _ = route.changed() => {}
                    () = &mut unwanted => return End::Unwanted,
                },
            }
        }
    }
}

/// Waits for a parent; `None` when the broadcast is over.
async fn found(route: &mut watch::Receiver<Option<Route>>) -> Option<Route> {
    let route = route.wait_for(Option::is_some).await.ok()?;
    route.clone()
}

async fn closed(route: &mut watch::Receiver<Option<Route>>) {
    while route.changed().await.is_ok() {}
}

/// Waits until nobody has read for as long as `linger`.
async fn unwanted(mut demand: watch::Receiver<usize>, linger: Duration) {
    loop {
        let _held_by_the_track = demand.wait_for(|readers| *readers == 0).await.is_err();
        let wanted = demand.wait_for(|readers| *readers > 0);
        if tokio::time::timeout(linger, wanted).await.is_err() {
            return;
        }
    }
}
