//! The timeline of a run: every second, what groups measured, what nodes say, how this machine is.

use std::collections::BTreeSet;
use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};

use crate::crew::Crew;
use crate::machine::{self, Meter};
use crate::pace::Pace;
use crate::report::{Group, Node, Own, Second};
use crate::scrape::{Look, Scraper};
use crate::tally::{Book, Count, Measure, Tally};

/// Seconds of which a mean is taken before something counts as spent.
pub const MEAN_SECONDS: usize = 5;

/// One group's part of the timeline.
struct Track {
    name: String,
    tally: Tally,
    total: Book,
    seconds: Vec<Second>,
    present: i64,
}

/// What is collected.
pub struct Timeline {
    tracks: Vec<Track>,
    scraper: Scraper,
    nodes: Vec<Vec<Option<Look>>>,
    meter: Meter,
    machine: Vec<Own>,
    bar: ProgressBar,
}

/// All of it, after the run.
pub struct Collected {
    /// Groups over time.
    pub groups: Vec<Group>,
    /// The same, whole.
    pub totals: Vec<(String, Book)>,
    /// All groups together.
    pub all: Book,
    /// Nodes over time.
    pub nodes: Vec<Node>,
    /// This machine over time.
    pub machine: Vec<Own>,
}

impl Timeline {
    /// For these groups and nodes.
    pub fn new(
        tallies: Vec<(String, Tally)>,
        scraper: Scraper,
        seconds: u32,
    ) -> anyhow::Result<Self> {
        let bar = ProgressBar::new(seconds.into());
        let style = "{elapsed_precise} {bar:30.cyan/dim} {pos}/{len} s  {msg}";
        bar.set_style(ProgressStyle::with_template(style)?);
        let track = |(name, tally)| Track {
            name,
            tally,
            total: Book::default(),
            seconds: Vec::new(),
            present: 0,
        };
        Ok(Self {
            tracks: tallies.into_iter().map(track).collect(),
            nodes: scraper.nodes.iter().map(|_| Vec::new()).collect(),
            scraper,
            meter: Meter::default(),
            machine: Vec::new(),
            bar,
        })
    }

    /// Collects until the load is over, what the workers of `crew` tell too; may be dropped at any
    /// second.
    pub async fn follow(&mut self, pace: &Pace, crew: Option<&Crew>) {
        // What was used before the load is not the load's.
        self.meter.look(1.0);
        self.scraper.look().await;
        for second in 1_u32.. {
            let goes_on = pace.until(Duration::from_secs(second.into())).await;
            if !goes_on {
                pace.end().await;
            }
            self.second(pace, crew.map(|crew| (crew, second))).await;
            if !goes_on {
                return;
            }
        }
    }

    async fn second(&mut self, pace: &Pace, told: Option<(&Crew, u32)>) {
        let looks = match told {
            None => {
                self.take();
                self.scraper.look().await
            }
            Some((crew, second)) => {
                let looks = self.scraper.look();
                let looks = tokio::join!(looks, crew.told(second)).0;
                self.take();
                looks
            }
        };
        for (seconds, look) in self.nodes.iter_mut().zip(looks) {
            seconds.push(look);
        }
        self.machine.push(Own {
            look: self.meter.look(1.0),
            lag_p99_ms: pace.take_lag_p99_ms(),
        });
        self.bar.set_position(pace.now().as_secs());
        self.bar.set_message(self.line());
    }

    fn take(&mut self) {
        for track in &mut self.tracks {
            let book = track.tally.take();
            track.total.add(&book);
            track.present = track.present.saturating_add(book.count(Count::Present));
            let pair = |measure| Some([book.ms(measure, 0.5)?, book.ms(measure, 0.95)?]);
            track.seconds.push(Second {
                present: track.present,
                live_ms: pair(Measure::Live),
                wake_p99_ms: book.ms(Measure::Wake, 0.99),
                comment_p95_ms: book.ms(Measure::Comment, 0.95),
                ack_p99_ms: book.ms(Measure::Ack, 0.99),
                stalls: book.count(Count::Stalls),
                errors: book.count(Count::Errors),
                orders: book.count(Count::OrdersAcked),
                bytes: book.count(Count::Bytes),
            });
        }
    }

    /// The state in a line.
    fn line(&self) -> String {
        let now = |of: fn(&Second) -> i64| -> i64 {
            self.tracks
                .iter()
                .filter_map(|track| track.seconds.last())
                .map(of)
                .sum()
        };
        let total = |count| -> i64 { self.tracks.iter().map(|t| t.total.count(count)).sum() };
        let live = self.tracks.iter().filter_map(|t| t.seconds.last()?.live_ms);
        let live = live.map(|ms| ms[1]).fold(0.0, f64::max);
        format!(
            "{} here, live p95 {live:.0} ms, {} stalls, {} orders, {} errors",
            now(|second| second.present),
            total(Count::Stalls),
            total(Count::OrdersAcked),
            total(Count::Errors),
        )
    }

    /// The newest look at a node's shadow sink, summed over all nodes.
    #[must_use]
    pub fn shadow_orders(&self) -> f64 {
        let last = self
            .nodes
            .iter()
            .filter_map(|seconds| seconds.iter().flatten().next_back());
        last.map(|look| look.load_orders).sum()
    }

    /// Looks at the nodes once more, then gives everything away.
    pub async fn finish(mut self) -> (Collected, f64) {
        self.take();
        let looks = self.scraper.look().await;
        for (seconds, look) in self.nodes.iter_mut().zip(looks) {
            seconds.push(look);
        }
        self.bar.finish_and_clear();
        let shadow = self.shadow_orders();
        let mut all = Book::default();
        let (mut groups, mut totals) = (Vec::new(), Vec::new());
        for track in self.tracks {
            all.add(&track.total);
            groups.push(group(&track.name, &track.total, track.seconds));
            totals.push((track.name, track.total));
        }
        let nodes = self.scraper.nodes.into_iter().zip(self.nodes);
        let node = |(node, seconds): (crate::scrape::Node, _)| Node {
            name: node.name,
            seconds,
        };
        let collected = Collected {
            groups,
            totals,
            all,
            nodes: nodes.map(node).collect(),
            machine: self.machine,
        };
        (collected, shadow)
    }
}

fn group(name: &str, book: &Book, seconds: Vec<Second>) -> Group {
    let times = |measure: &Measure| {
        let quantile = |q| book.ms(*measure, q);
        let four = [
            quantile(0.5)?,
            quantile(0.95)?,
            quantile(0.99)?,
            quantile(1.0)?,
        ];
        Some((measure.title(), book.times(*measure).len(), four))
    };
    Group {
        name: name.to_owned(),
        seconds,
        times: Measure::ALL.iter().filter_map(times).collect(),
        counts: book.told(),
    }
}

/// What nodes said is wrong with them, `NAME of NODE`; `None` when none of them said anything.
#[must_use]
pub fn conditions(nodes: &[Node]) -> Option<BTreeSet<String>> {
    let mut looks = nodes
        .iter()
        .flat_map(|node| node.seconds.iter().flatten().map(move |look| (node, look)))
        .peekable();
    looks.peek()?;
    let told = looks.flat_map(|(node, look)| {
        let names = look.conditions.iter();
        names.map(move |name| format!("{name} of {}", node.name))
    });
    Some(told.collect())
}

/// The budget of a node that was spent furthest: whose, how far, and in which second.
#[must_use]
pub fn spent(nodes: &[Node]) -> Option<(String, f64, usize)> {
    let mut most: Option<(String, f64, usize)> = None;
    for node in nodes {
        for (index, window) in node.seconds.windows(MEAN_SECONDS).enumerate() {
            let looks: Vec<&Look> = window.iter().flatten().collect();
            let Some(first) = looks.first().filter(|_| looks.len() == MEAN_SECONDS) else {
                continue;
            };
            for budget in first.budgets.keys() {
                let sum: f64 = looks
                    .iter()
                    .filter_map(|look| look.budgets.get(budget))
                    .sum();
                let mean = sum / MEAN_SECONDS as f64;
                if most.as_ref().is_none_or(|(_, value, _)| mean > *value) {
                    let whose = format!("{budget} of {}", node.name);
                    most = Some((whose, mean, index + MEAN_SECONDS));
                }
            }
        }
    }
    most
}

/// How busy this machine's processors were at most, as a mean of some seconds, in percent.
#[must_use]
pub fn busiest(machine: &[Own]) -> f64 {
    let mean = |window: &[Own]| {
        let looks = window.iter().map(|own| own.look);
        looks
            .map(|look: machine::Look| look.cpu_percent)
            .sum::<f64>()
            / window.len() as f64
    };
    machine.windows(MEAN_SECONDS).map(mean).fold(0.0, f64::max)
}
