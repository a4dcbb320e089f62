//! GO, NO-GO, or nothing: which of them, why, and what gives out first.

use crate::collect::{Collected, busiest};
use crate::gates::Gate;
use crate::report::{Machine, Verdict};
use crate::scenario::Scenario;
use crate::tally::Count;

/// What a run came to, beside its figures.
pub struct Course<'a> {
    /// What was to be done.
    pub scenario: &'a Scenario,
    /// What was measured.
    pub collected: &'a Collected,
    /// The load machines: this one, then the workers.
    pub machines: &'a [&'a Machine],
    /// The second in which somebody stopped it.
    pub cut_after: Option<f64>,
    /// What could not be done as planned.
    pub faults: &'a [String],
    /// The furthest spent budget: whose, how far, in which second.
    pub spent: Option<(String, f64, usize)>,
}

impl Course<'_> {
    /// The verdict with its reasons.
    #[must_use]
    pub fn verdict(&self, gates: &[Gate]) -> (Verdict, Vec<String>) {
        let mut nothing = self.limits();
        if let Some(seconds) = self.cut_after {
            nothing.insert(0, format!("cut short after {seconds:.0} s"));
        }
        nothing.extend(self.faults.iter().cloned());
        let failed = gates.iter().filter(|gate| !gate.holds()).map(|gate| {
            let value = gate.value.unwrap_or_default();
            let whose = match gate.whose.as_str() {
                "" => String::new(),
                whose => format!(" ({whose})"),
            };
            format!("{}{whose}: {value:.1}, at most {}", gate.name, gate.limit)
        });
        let mut failed: Vec<String> = failed.collect();
        failed.extend(self.silences());
        let verdict = match (nothing.is_empty(), failed.is_empty()) {
            (false, _) => Verdict::None,
            (true, false) => Verdict::NoGo,
            (true, true) => Verdict::Go,
        };
        nothing.extend(failed);
        (verdict, nothing)
    }

    /// Where a load machine, or its ceiling, was the limit.
    fn limits(&self) -> Vec<String> {
        let limits = self.scenario.machine;
        let mut reasons = Vec::new();
        for machine in self.machines {
            let (name, lag_ms) = (&machine.name, machine.lag_p99_ms);
            if lag_ms > limits.lag_p99_ms {
                reasons.push(format!(
                    "{name} is the limit: it began actions {lag_ms:.0} ms late (p99, at most \
                     {}); use a larger one, or fewer actors",
                    limits.lag_p99_ms
                ));
            }
            let busiest = busiest(&machine.seconds);
            if self.scenario.local.is_none() && busiest > limits.cpu_percent {
                reasons.push(format!(
                    "{name} is the limit: its processors were {busiest:.0} % busy (at most {})",
                    limits.cpu_percent
                ));
            }
            let (held_back, rate_max) = (machine.held_back, machine.rate_max);
            if held_back > 0 {
                reasons.push(format!(
                    "the ceiling of {rate_max} actions/s of {name} held {held_back} of them back: \
                     raise rate_max, or plan less"
                ));
            }
        }
        reasons
    }

    /// What should have been measured and was not: silence is no proof of health.
    fn silences(&self) -> Vec<String> {
        let all = &self.collected.all;
        let mut reasons = Vec::new();
        if !self.scenario.viewers.is_empty() && all.count(Count::WatchedUs) == 0 {
            reasons.push("nobody saw a picture".to_owned());
        }
        let (said, heard) = (
            all.count(Count::CommentsSaid),
            all.count(Count::CommentsHeard),
        );
        let listeners: u32 = self
            .scenario
            .members
            .values()
            .map(|group| group.count)
            .sum();
        if said > 0 && heard == 0 && listeners > 1 {
            reasons.push(format!("{said} comments were said and none was heard"));
        }
        if !self.scenario.buyers.is_empty() && all.count(Count::OrdersAcked) == 0 {
            reasons.push("no order was acknowledged".to_owned());
        }
        reasons
    }

    /// What gives out first, with its evidence.
    #[must_use]
    pub fn binds_first(&self, gates: &[Gate]) -> String {
        let latest = self.machines.iter();
        let latest = latest.max_by(|a, b| a.lag_p99_ms.total_cmp(&b.lag_p99_ms));
        let lag_limit_ms = self.scenario.machine.lag_p99_ms;
        if let Some(machine) = latest.filter(|machine| machine.lag_p99_ms > lag_limit_ms) {
            let (name, lag_ms) = (&machine.name, machine.lag_p99_ms);
            return format!("{name}, the load's: {lag_ms:.0} ms late (p99)");
        }
        let failed: Vec<&str> = gates
            .iter()
            .filter(|g| !g.holds())
            .map(|g| g.name)
            .collect();
        let but = match failed.as_slice() {
            [] => String::new(),
            failed => format!("; failed: {}", failed.join(", ")),
        };
        match &self.spent {
            Some((whose, share, second)) => format!(
                "{whose}, {:.0} % of its budget spent by second {second}{but}",
                share * 100.0
            ),
            None => format!("not known: no node told its budgets (name admins){but}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tally::Book;

    fn machine(name: &str, lag_p99_ms: f64, held_back: u64) -> Machine {
        Machine {
            name: name.to_owned(),
            clock: None,
            lag_p99_ms,
            held_back,
            rate_max: 9.0,
            seconds: Vec::new(),
        }
    }

    #[test]
    fn the_machine_that_was_the_limit_is_named() {
        let machines = [
            machine("this machine", 3.0, 0),
            machine("worker a:1", 80.0, 0),
            machine("worker b:1", 3.0, 4),
        ];
        let collected = Collected {
            groups: Vec::new(),
            totals: Vec::new(),
            all: Book::default(),
            nodes: Vec::new(),
            machine: Vec::new(),
        };
        let course = Course {
            scenario: &Scenario::default(),
            collected: &collected,
            machines: &machines.each_ref(),
            cut_after: None,
            faults: &[],
            spent: None,
        };
        let (verdict, reasons) = course.verdict(&[]);
        assert_eq!((verdict, reasons.len()), (Verdict::None, 2), "{reasons:?}");
        assert!(reasons[0].starts_with("worker a:1 is the limit: it began actions 80 ms late"));
        assert!(reasons[1].starts_with("the ceiling of 9 actions/s of worker b:1 held 4"));
        assert!(
            course
                .binds_first(&[])
                .starts_with("worker a:1, the load's: 80 ms late")
        );
    }
}
