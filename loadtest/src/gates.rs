//! What must hold for GO. Formulas stand beside each figure, Chinese and Western (R6.6).

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use crate::actors::Books;
use crate::scenario::Viewers;
use crate::tally::{Book, Count, Measure};

/// The limits; defaults from the target sheet and the gate list of the requirements (R12.4b).
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Gates {
    /// First picture, 95th percentile, in milliseconds: 95 % of plays start within a second.
    pub start_p95_ms: f64,
    /// Plays without a picture in ten seconds, in percent of plays.
    pub start_failure_percent: f64,
    /// Stalls of 200 ms and more in 100 s of watching.
    pub stalls_per_100_s: f64,
    /// Stalled time, in percent of the time since the first picture.
    pub stall_percent: f64,
    /// From the host's socket to the screen, 95th percentile, in milliseconds.
    pub live_p95_ms: f64,
    /// From the last picture of a part to its playlist, 99th percentile, in milliseconds.
    pub wake_p99_ms: f64,
    /// Parts that were promised and did not come, or not whole.
    pub part_gaps: f64,
    /// Pictures that were left out between others of one connection, in percent.
    pub pictures_lost_percent: f64,
    /// From a planned comment to another member, 95th percentile, in milliseconds.
    pub comment_p95_ms: f64,
    /// From a planned order to its answer, 99th percentile, in milliseconds.
    pub ack_p99_ms: f64,
    /// Orders with a receipt that are not in the fleet's book, or another one's.
    pub orders_lost: f64,
    /// Orders that went on more often than they were placed.
    pub orders_doubled: f64,
    /// Orders without an answer when the buyer's patience ended.
    pub orders_given_up: f64,
    /// Failed requests and broken connections, in percent of requests.
    pub error_percent: f64,
    /// How far a node may spend any of its budgets, as a mean of five seconds. 0.87 of 75 % of the
    /// processors is 65 % of them.
    pub budget_spent: f64,
    /// Things that nodes said are wrong with them: a merchant who is not there, a full disk.
    pub conditions: f64,
}

impl Default for Gates {
    fn default() -> Self {
        Self {
            start_p95_ms: 1000.0,
            start_failure_percent: 0.5,
            stalls_per_100_s: 1.0,
            stall_percent: 1.0,
            live_p95_ms: 3000.0,
            wake_p99_ms: 50.0,
            part_gaps: 0.0,
            pictures_lost_percent: 0.1,
            comment_p95_ms: 500.0,
            ack_p99_ms: 200.0,
            orders_lost: 0.0,
            orders_doubled: 0.0,
            orders_given_up: 0.0,
            error_percent: 1.0,
            budget_spent: 0.87,
            conditions: 0.0,
        }
    }
}

/// Limits of one group of viewers in place of the common ones, each at most.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Own {
    /// As [`Gates::start_p95_ms`].
    pub start_p95_ms: Option<f64>,
    /// As [`Gates::start_failure_percent`].
    pub start_failure_percent: Option<f64>,
    /// As [`Gates::stalls_per_100_s`].
    pub stalls_per_100_s: Option<f64>,
    /// As [`Gates::stall_percent`].
    pub stall_percent: Option<f64>,
    /// As [`Gates::live_p95_ms`].
    pub live_p95_ms: Option<f64>,
    /// As [`Gates::wake_p99_ms`].
    pub wake_p99_ms: Option<f64>,
    /// As [`Gates::part_gaps`].
    pub part_gaps: Option<f64>,
    /// As [`Gates::pictures_lost_percent`].
    pub pictures_lost_percent: Option<f64>,
    /// As [`Gates::error_percent`].
    pub error_percent: Option<f64>,
}

impl Own {
    /// Names and limits of what is set.
    pub fn set(&self) -> impl Iterator<Item = (&'static str, f64)> {
        let all = [
            ("start_p95_ms", self.start_p95_ms),
            ("start_failure_percent", self.start_failure_percent),
            ("stalls_per_100_s", self.stalls_per_100_s),
            ("stall_percent", self.stall_percent),
            ("live_p95_ms", self.live_p95_ms),
            ("wake_p99_ms", self.wake_p99_ms),
            ("part_gaps", self.part_gaps),
            ("pictures_lost_percent", self.pictures_lost_percent),
            ("error_percent", self.error_percent),
        ];
        all.into_iter()
            .filter_map(|(name, limit)| Some((name, limit?)))
    }
}

/// One gate after the run.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Gate {
    /// The key in the scenario.
    pub name: &'static str,
    /// What is measured.
    pub formula: &'static str,
    /// What was measured; `None`: there was nothing to measure.
    pub value: Option<f64>,
    /// At most this.
    pub limit: f64,
    /// Whose figure it is, where groups or nodes differ: the worst.
    pub whose: String,
}

impl Gate {
    /// True, too, when there was nothing to measure.
    #[must_use]
    pub fn holds(&self) -> bool {
        self.value.is_none_or(|value| value <= self.limit)
    }
}

/// What the gates are judged by.
pub struct Evidence<'a> {
    /// Groups and what they measured over the whole run.
    pub groups: &'a [(String, Book)],
    /// Who watched: groups with limits of their own are judged apart.
    pub viewers: &'a BTreeMap<String, Viewers>,
    /// All groups together.
    pub all: &'a Book,
    /// The books, where there were buyers.
    pub books: Option<Books>,
    /// Orders at the shadow sink beyond those that were placed.
    pub doubled: Option<f64>,
    /// The node and budget that was spent furthest, and how far.
    pub spent: Option<(String, f64)>,
    /// What nodes said is wrong, `NAME of NODE`; `None`: no node was asked.
    pub conditions: Option<BTreeSet<String>>,
}

impl Gates {
    /// All gates with what was found.
    #[must_use]
    pub fn judge(&self, evidence: &Evidence<'_>) -> Vec<Gate> {
        let (mut common, mut together, mut apart) = (Vec::new(), Book::default(), Vec::new());
        for group in evidence.groups {
            match evidence
                .viewers
                .get(&group.0)
                .and_then(|viewers| viewers.gates)
            {
                Some(own) => apart.extend(self.judge_apart(group, own)),
                None => {
                    together.add(&group.1);
                    common.push(group);
                }
            }
        }
        let mut gates = self.times(&common);
        gates.extend(self.plays(&together));
        gates.extend(self.sales(evidence));
        let (whose, value) = evidence.spent.clone().unzip();
        gates.push(Gate {
            name: "budget_spent",
            formula: "used / budget of the node ([shed]), mean of 5 s",
            value,
            limit: self.budget_spent,
            whose: whose.unwrap_or_default(),
        });
        let wrong = evidence.conditions.as_ref();
        let names = wrong.map(|wrong| wrong.iter().cloned().collect::<Vec<_>>().join(", "));
        gates.push(Gate {
            name: "conditions",
            formula: "what nodes said is wrong with them (rushlane_node_condition)",
            value: wrong.map(|wrong| wrong.len() as f64),
            limit: self.conditions,
            whose: names.unwrap_or_default(),
        });
        gates.extend(apart);
        gates
    }

    /// What a group measured that has limits of its own; the others are the common ones.
    fn judge_apart(&self, group: &(String, Book), own: Own) -> Vec<Gate> {
        let mut gates = self.times(&[group]);
        gates.extend(self.plays(&group.1));
        gates.retain(|gate| gate.value.is_some());
        for gate in &mut gates {
            let limit = own.set().find(|(name, _)| *name == gate.name);
            gate.limit = limit.map_or(gate.limit, |(_, limit)| limit);
            gate.whose.clone_from(&group.0);
        }
        gates
    }

    fn times(&self, groups: &[&(String, Book)]) -> Vec<Gate> {
        let worst = |measure, quantile| {
            let of = groups.iter().filter_map(|group| {
                let (name, book) = *group;
                Some((name, book.ms(measure, quantile)?))
            });
            of.max_by(|a, b| a.1.total_cmp(&b.1))
                .map(|(name, ms)| (name.clone(), ms))
                .unzip()
        };
        let gate = |name, formula, measure, quantile, limit| {
            let (whose, value): (Option<String>, _) = worst(measure, quantile);
            Gate {
                name,
                formula,
                value,
                limit,
                whose: whose.unwrap_or_default(),
            }
        };
        let start = "p95 of first picture − planned arrival, ms (首帧; 秒开率 ≥ 95 %)";
        let live = "p95 of on screen − host's socket, ms (glass to glass without the codecs)";
        let wake = "p99 of playlist − last picture of its part at the host's socket, ms";
        let comment = "p95 of heard − planned, ms";
        let ack = "p99 of answer − planned, ms";
        vec![
            gate(
                "start_p95_ms",
                start,
                Measure::Start,
                0.95,
                self.start_p95_ms,
            ),
            gate("live_p95_ms", live, Measure::Live, 0.95, self.live_p95_ms),
            gate("wake_p99_ms", wake, Measure::Wake, 0.99, self.wake_p99_ms),
            gate(
                "comment_p95_ms",
                comment,
                Measure::Comment,
                0.95,
                self.comment_p95_ms,
            ),
            gate("ack_p99_ms", ack, Measure::Ack, 0.99, self.ack_p99_ms),
        ]
    }

    fn plays(&self, all: &Book) -> Vec<Gate> {
        let count = |count| all.count(count) as f64;
        let share = |part: f64, whole: f64, times: f64| (whole > 0.0).then(|| part / whole * times);
        let watched = count(Count::WatchedUs);
        let gate = |name, formula, value, limit| Gate {
            name,
            formula,
            value,
            limit,
            whose: String::new(),
        };
        let stalls = share(count(Count::Stalls), watched / 1e6, 100.0);
        let stalled = share(count(Count::StalledUs), watched, 100.0);
        let failed = share(count(Count::StartsFailed), count(Count::Plays), 100.0);
        let gaps = (watched > 0.0).then(|| count(Count::PartGaps));
        let left_out = count(Count::PicturesLost);
        let lost = share(left_out, count(Count::Pictures) + left_out, 100.0);
        let errors = share(count(Count::Errors), count(Count::Requests), 100.0);
        vec![
            gate(
                "start_failure_percent",
                "plays without a picture in 10 s / plays × 100 (起播失败率)",
                failed,
                self.start_failure_percent,
            ),
            gate(
                "stalls_per_100_s",
                "stalls of ≥ 200 ms / seconds watched × 100 (百秒卡顿次数)",
                stalls,
                self.stalls_per_100_s,
            ),
            gate(
                "stall_percent",
                "stalled s / watched s × 100 (百秒卡顿时长; rebuffer ratio, %)",
                stalled,
                self.stall_percent,
            ),
            gate(
                "part_gaps",
                "parts promised that did not come, or not whole",
                gaps,
                self.part_gaps,
            ),
            gate(
                "pictures_lost_percent",
                "pictures left out / (pictures + left out) × 100, within connections",
                lost,
                self.pictures_lost_percent,
            ),
            gate(
                "error_percent",
                "failed requests and broken connections / requests × 100",
                errors,
                self.error_percent,
            ),
        ]
    }

    fn sales(&self, evidence: &Evidence<'_>) -> Vec<Gate> {
        let gate = |name, formula, value, limit| Gate {
            name,
            formula,
            value,
            limit,
            whose: String::new(),
        };
        let lost = evidence
            .books
            .map(|books| books.lost.saturating_add(books.changed) as f64);
        let all = evidence.all;
        let acked = all.count(Count::OrdersAcked);
        let given_up = all.count(Count::Orders).saturating_sub(acked) as f64;
        vec![
            gate(
                "orders_lost",
                "receipts without their order in the fleet's book",
                lost,
                self.orders_lost,
            ),
            gate(
                "orders_doubled",
                "orders at the shadow sink beyond orders placed",
                evidence.doubled,
                self.orders_doubled,
            ),
            gate(
                "orders_given_up",
                "orders without an answer in the buyer's patience",
                evidence.books.map(|_| given_up),
                self.orders_given_up,
            ),
        ]
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tally::Tally;

    #[test]
    fn a_lost_order_and_a_slow_group_are_no_go() {
        let (quick, slow) = (Tally::default(), Tally::default());
        for _ in 0..100 {
            quick.time(Measure::Start, 90_000);
            slow.time(Measure::Start, 2_000_000);
        }
        let groups = [
            ("quick".to_owned(), quick.take()),
            ("slow".to_owned(), slow.take()),
        ];
        let books = Books {
            acknowledged: 9,
            lost: 1,
            changed: 0,
        };
        let evidence = Evidence {
            groups: &groups,
            viewers: &BTreeMap::new(),
            all: &Book::default(),
            books: Some(books),
            doubled: None,
            spent: None,
            conditions: Some(BTreeSet::from(["merchant of origin".to_owned()])),
        };
        let gates = Gates::default().judge(&evidence);
        let failed: Vec<(&str, &str)> = gates
            .iter()
            .filter(|g| !g.holds())
            .map(|g| (g.name, &*g.whose))
            .collect();
        let wanted = [
            ("start_p95_ms", "slow"),
            ("orders_lost", ""),
            ("conditions", "merchant of origin"),
        ];
        assert_eq!(failed, wanted);
        let lenient = Viewers {
            gates: Some(Own {
                start_p95_ms: Some(3000.0),
                ..Own::default()
            }),
            ..Viewers::default()
        };
        let evidence = Evidence {
            viewers: &[("slow".to_owned(), lenient)].into(),
            ..evidence
        };
        let apart = Gates::default().judge(&evidence);
        let starts: Vec<(&str, f64)> = apart
            .iter()
            .filter(|gate| gate.name == "start_p95_ms" && gate.holds())
            .map(|gate| (&*gate.whose, gate.limit))
            .collect();
        assert_eq!(starts, [("quick", 1000.0), ("slow", 3000.0)]);
        let unmeasured = gates
            .iter()
            .find(|gate| gate.name == "live_p95_ms")
            .unwrap();
        assert_eq!(unmeasured.value, None);
    }
}
