//! What a viewer costs, and how many machines a sale needs.
//!
//! The cores that the edges use over time are explained by who was there: so much for each viewer
//! of a kind, each member and each order a second, and a rest for being there at all (least
//! squares). Kinds that only ever come and go together cannot be told apart, and then nothing is
//! said of them: arrivals that are staggered make the difference.

use std::fmt;

use nalgebra::{DMatrix, DVector};
use serde::{Deserialize, Serialize};

use crate::collect::MEAN_SECONDS;
use crate::report::{Group, Node, Second};
use crate::scenario::{Protocol, Scenario};

/// The least windows for each figure that is sought.
const WINDOWS_PER_FIGURE: usize = 2;
/// How far a kind may follow from the others, as R2, and still have a cost of its own: an error
/// grows to three times of what it would be alone.
const SHARED_MAX: f64 = 0.9;
/// Below this R2 the cores are not explained by who was there.
const EXPLAINED_MIN: f64 = 0.5;
/// Singular values below this share of the largest are none.
const EPSILON: f64 = 1e-9;

/// What somebody comes for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// A viewer by HTTP-FLV.
    Flv,
    /// A viewer by LL-HLS.
    Hls,
    /// A member with a WebSocket, with what he hears.
    Member,
    /// An order a second.
    Order,
}

/// What is expected, and of what machines.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Forecast {
    /// Viewers by HTTP-FLV at the peak.
    pub flv_viewers: f64,
    /// Viewers by LL-HLS at the peak.
    pub hls_viewers: f64,
    /// Members at the peak.
    pub members: f64,
    /// Orders a second at the peak.
    pub orders_per_second: f64,
    /// Processors of one edge.
    pub cores: f64,
    /// What its network carries, in Gbit/s.
    pub gbits_per_second: f64,
    /// What of both stays free, in percent.
    pub headroom_percent: f64,
    /// Edges that may be lost at the peak.
    pub spare: f64,
}

impl Default for Forecast {
    fn default() -> Self {
        Self {
            flv_viewers: 0.0,
            hls_viewers: 0.0,
            members: 0.0,
            orders_per_second: 0.0,
            cores: 8.0,
            gbits_per_second: 10.0,
            headroom_percent: 30.0,
            spare: 1.0,
        }
    }
}

/// What one of a kind costs.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Cost {
    /// Of what.
    pub kind: Kind,
    /// Cores for a thousand; `None`: it cannot be told apart from others.
    pub cores_per_thousand: Option<f64>,
    /// Mbit/s of one, as received.
    pub mbits: Option<f64>,
}

/// What a forecast comes to.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Need {
    /// Edges, with those that may be lost.
    pub edges: f64,
    /// Processors that the forecast uses.
    pub cores: f64,
    /// Gbit/s that it takes.
    pub gbits: f64,
    /// What gives out first: `processors` or `network`.
    pub bound_by: String,
}

/// What was learned from a run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Capacity {
    /// By kind.
    pub costs: Vec<Cost>,
    /// Cores that an edge uses with nobody there.
    pub idle_cores: f64,
    /// The share of the cores' course that this explains, 0 to 1 (R2).
    pub explained: f64,
    /// What the forecast comes to; `Err`: why that is not known.
    pub need: Option<Result<Need, String>>,
}

impl Kind {
    const ALL: [Self; 4] = [Self::Flv, Self::Hls, Self::Member, Self::Order];

    /// One of them, in words.
    #[must_use]
    pub fn title(self) -> &'static str {
        match self {
            Self::Flv => "viewer by HTTP-FLV",
            Self::Hls => "viewer by LL-HLS",
            Self::Member => "member",
            Self::Order => "order a second",
        }
    }

    /// What the group of this name brings, if it brings any.
    fn of(scenario: &Scenario, name: &str) -> Option<Self> {
        if let Some(viewers) = scenario.viewers.get(name) {
            return Some(match viewers.protocol {
                Protocol::Flv => Self::Flv,
                Protocol::Hls => Self::Hls,
            });
        }
        let member = scenario.members.contains_key(name).then_some(Self::Member);
        member.or_else(|| scenario.buyers.contains_key(name).then_some(Self::Order))
    }

    fn count(self, second: &Second) -> f64 {
        match self {
            Self::Order => second.orders as f64,
            _ => second.present as f64,
        }
    }
}

impl Forecast {
    fn of(&self, kind: Kind) -> f64 {
        match kind {
            Kind::Flv => self.flv_viewers,
            Kind::Hls => self.hls_viewers,
            Kind::Member => self.members,
            Kind::Order => self.orders_per_second,
        }
    }
}

impl Capacity {
    /// What a run says; `None`: nothing, for it was too short, or no edge was looked at.
    #[must_use]
    pub fn of(scenario: &Scenario, groups: &[Group], nodes: &[Node]) -> Option<Self> {
        let edges = edges(nodes);
        let cores = cores(&edges);
        let series = Kind::ALL.map(|kind| (kind, counts(scenario, groups, kind)));
        let present: Vec<_> = series
            .into_iter()
            .filter(|(_, counts)| counts.iter().any(|count| *count > 0.0))
            .collect();
        let mut windows = Vec::new();
        for (index, cores) in cores.iter().enumerate() {
            if let Some(cores) = cores {
                let at = present.iter().map(|(_, counts)| counts.get(index).copied());
                windows.push((at.collect::<Option<Vec<f64>>>()?, *cores));
            }
        }
        if present.is_empty() || windows.len() < WINDOWS_PER_FIGURE * (present.len() + 1) {
            return None;
        }
        let fit = Fit::of(&windows, present.len())?;
        let kinds: Vec<Kind> = present.iter().map(|(kind, _)| *kind).collect();
        let costs = kinds.iter().enumerate().map(|(index, kind)| Cost {
            kind: *kind,
            cores_per_thousand: fit.slope(index).map(|cores| cores * 1000.0),
            mbits: mbits(scenario, groups, *kind),
        });
        let mut capacity = Self {
            costs: costs.collect(),
            idle_cores: fit.rest.max(0.0) / edges.len() as f64,
            explained: fit.explained,
            need: None,
        };
        let forecast = scenario.forecast.as_ref();
        capacity.need = forecast.map(|forecast| capacity.need(forecast));
        Some(capacity)
    }

    /// The cost of one of `kind`.
    #[must_use]
    pub fn cost(&self, kind: Kind) -> Option<&Cost> {
        self.costs.iter().find(|cost| cost.kind == kind)
    }

    fn need(&self, forecast: &Forecast) -> Result<Need, String> {
        if self.explained < EXPLAINED_MIN {
            let percent = self.explained * 100.0;
            return Err(format!(
                "who was there explains {percent:.0} % of the cores only: run longer, or with \
                 more people"
            ));
        }
        let (mut cores, mut gbits) = (0.0, 0.0);
        for kind in Kind::ALL {
            let count = forecast.of(kind);
            if count == 0.0 {
                continue;
            }
            let cost = self.cost(kind);
            let Some(each) = cost.and_then(|cost| cost.cores_per_thousand) else {
                return Err(format!(
                    "what a {} costs is not known: let some come, and at another time than \
                     the others",
                    kind.title()
                ));
            };
            cores += count * each / 1000.0;
            gbits += count * cost.and_then(|cost| cost.mbits).unwrap_or(0.0) / 1000.0;
        }
        let free = 1.0 - forecast.headroom_percent / 100.0;
        let by_cores = cores / (forecast.cores * free - self.idle_cores).max(0.01);
        let by_bits = gbits / (forecast.gbits_per_second * free);
        let bound_by = match by_cores >= by_bits {
            true => "processors",
            false => "network",
        };
        Ok(Need {
            edges: by_cores.max(by_bits).max(1.0).ceil() + forecast.spare,
            cores,
            gbits,
            bound_by: bound_by.to_owned(),
        })
    }
}

impl fmt::Display for Need {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            edges,
            cores,
            gbits,
            bound_by,
        } = self;
        write!(
            f,
            "{edges:.0} edges ({cores:.1} cores and {gbits:.2} Gbit/s at the peak; bound by \
             {bound_by})"
        )
    }
}

/// The nodes that viewers come to: those called `edge`, or all if none is.
fn edges(nodes: &[Node]) -> Vec<&Node> {
    let called: Vec<&Node> = nodes
        .iter()
        .filter(|n| n.name.starts_with("edge"))
        .collect();
    match called.is_empty() {
        true => nodes.iter().collect(),
        false => called,
    }
}

/// Windows of cores over all `edges`; `None` where one of them did not answer.
fn cores(edges: &[&Node]) -> Vec<Option<f64>> {
    let seconds = edges.iter().map(|node| node.seconds.len()).min();
    let of = |second: usize| -> Option<f64> {
        let looks = edges.iter().map(|node| node.seconds[second].as_ref());
        looks.map(|look| look.map(|look| look.cores)).sum()
    };
    let all: Vec<Option<f64>> = (0..seconds.unwrap_or(0)).map(of).collect();
    let mean = |window: &[Option<f64>]| {
        let sum: Option<f64> = window.iter().copied().sum();
        sum.map(|sum| sum / MEAN_SECONDS as f64)
    };
    all.chunks_exact(MEAN_SECONDS).map(mean).collect()
}

/// Windows of how many of `kind` were there.
fn counts(scenario: &Scenario, groups: &[Group], kind: Kind) -> Vec<f64> {
    let mut sums: Vec<f64> = Vec::new();
    for group in groups
        .iter()
        .filter(|g| Kind::of(scenario, &g.name) == Some(kind))
    {
        let windows = group.seconds.chunks_exact(MEAN_SECONDS);
        sums.resize(sums.len().max(windows.len()), 0.0);
        for (sum, window) in sums.iter_mut().zip(windows) {
            let all: f64 = window.iter().map(|second| kind.count(second)).sum();
            *sum += all / MEAN_SECONDS as f64;
        }
    }
    sums
}

/// What one of `kind` received, while there.
fn mbits(scenario: &Scenario, groups: &[Group], kind: Kind) -> Option<f64> {
    let (mut bytes, mut count) = (0.0, 0.0);
    for group in groups
        .iter()
        .filter(|g| Kind::of(scenario, &g.name) == Some(kind))
    {
        for second in &group.seconds {
            bytes += second.bytes as f64;
            count += kind.count(second);
        }
    }
    (bytes > 0.0 && count > 0.0).then(|| bytes * 8e-6 / count)
}

/// Cores as a sum of costs.
struct Fit {
    /// With nobody there.
    rest: f64,
    /// One for each kind; `None`: it cannot be told apart.
    slopes: Vec<Option<f64>>,
    explained: f64,
}

impl Fit {
    fn of(windows: &[(Vec<f64>, f64)], kinds: usize) -> Option<Self> {
        let y: Vec<f64> = windows.iter().map(|(_, cores)| *cores).collect();
        let column = |kind: usize| -> Vec<f64> { windows.iter().map(|(at, _)| at[kind]).collect() };
        let columns: Vec<Vec<f64>> = (0..kinds).map(column).collect();
        let all: Vec<usize> = (0..kinds).collect();
        let (mut solution, mut explained) = solve(&columns, &all, &y)?;
        // Nobody gives cores back.
        let costly: Vec<usize> = all
            .iter()
            .copied()
            .filter(|k| solution[k + 1] > 0.0)
            .collect();
        if costly.len() < kinds {
            let (some, explains) = solve(&columns, &costly, &y)?;
            solution = vec![0.0; kinds + 1];
            solution[0] = some[0];
            for (kind, slope) in costly.iter().zip(&some[1..]) {
                solution[kind + 1] = *slope;
            }
            explained = explains;
        }
        let slope = |kind: usize| {
            let others: Vec<usize> = all.iter().copied().filter(|other| *other != kind).collect();
            let (_, shared) = solve(&columns, &others, &columns[kind])?;
            (shared <= SHARED_MAX).then(|| solution[kind + 1].max(0.0))
        };
        Some(Self {
            rest: solution[0],
            slopes: (0..kinds).map(slope).collect(),
            explained,
        })
    }

    fn slope(&self, kind: usize) -> Option<f64> {
        self.slopes[kind]
    }
}

/// The rest and the slopes of `kinds` that come closest to `y`, and the share of its course that
/// they explain. A `y` that does not move is explained by its rest.
fn solve(columns: &[Vec<f64>], kinds: &[usize], y: &[f64]) -> Option<(Vec<f64>, f64)> {
    let of = |row: usize, column: usize| match column {
        0 => 1.0,
        kind => columns[kinds[kind - 1]][row],
    };
    let matrix = DMatrix::from_fn(y.len(), kinds.len() + 1, of);
    let vector = DVector::from_column_slice(y);
    let svd = matrix.clone().svd(true, true);
    let largest = svd.singular_values.max();
    let solution = svd.solve(&vector, largest * EPSILON).ok()?;
    let left = (&vector - &matrix * &solution).norm_squared();
    let mean = vector.mean();
    let course: f64 = y.iter().map(|value| (value - mean).powi(2)).sum();
    let explained = match course > f64::EPSILON {
        true => 1.0 - left / course,
        false => 1.0,
    };
    Some((solution.iter().copied().collect(), explained))
}

#[cfg(test)]
#[path = "capacity_test.rs"]
mod tests;
