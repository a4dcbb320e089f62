//! The report in words.

use crate::capacity::Cost;
use crate::report::{Machine, Report, Verdict};

impl Verdict {
    /// As people say it.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Go => "GO",
            Self::NoGo => "NO-GO",
            Self::None => "NO VERDICT",
        }
    }
}

impl Report {
    /// A few lines for a terminal.
    #[must_use]
    pub fn text(&self) -> String {
        let mut text = String::new();
        for gate in &self.gates {
            let Some(value) = gate.value else {
                continue;
            };
            let sign = if gate.holds() { "ok " } else { "NO " };
            let value = number(value);
            let limit = number(gate.limit);
            let whose = &gate.whose;
            text += &format!(
                "{sign} {:<22} {value:>10} <= {limit:<8} {whose}\n",
                gate.name
            );
        }
        for line in self.clocks() {
            text += &format!("{line}\n");
        }
        text += &format!("binds first: {}\n", self.binds_first);
        for line in self.costs() {
            text += &format!("{line}\n");
        }
        for reason in &self.reasons {
            text += &format!("{reason}\n");
        }
        text + self.verdict.word()
    }
}

impl Report {
    /// What is known of the workers' clocks, a line each.
    pub(super) fn clocks(&self) -> Vec<String> {
        let line = |machine: &Machine| {
            let clock = machine.clock?;
            let ms = |us: i64| number(us as f64 / 1e3);
            let (ahead, within) = (ms(clock.ahead_us), ms(clock.within_us));
            Some(format!(
                "{}: its clock is {ahead} ms ahead, ± {within} ms; delays are corrected by that",
                machine.name
            ))
        };
        self.workers.iter().filter_map(line).collect()
    }

    /// What viewers cost and how many edges the forecast needs, a line each.
    pub(super) fn costs(&self) -> Vec<String> {
        let Some(capacity) = &self.capacity else {
            let why = "what the forecast needs is not known: the run was too short (10 s for each \
                       kind of people, and 10 more), or no edge told its processors";
            let asked = self.scenario.forecast.as_ref();
            return asked.map(|_| why.to_owned()).into_iter().collect();
        };
        let line = |cost: &Cost| {
            let cores = |cost: &Cost| {
                let cores = cost.cores_per_thousand.map(number);
                cores.unwrap_or_else(|| "not known".to_owned())
            };
            let mut line = format!("1,000 x {}: {} cores", cost.kind.title(), cores(cost));
            if let Some(mbits) = cost.mbits {
                line += &format!(", {} Mbit/s each", number(mbits));
            }
            let before = self
                .before
                .as_ref()
                .and_then(|before| before.cost(cost.kind));
            if let Some(before) = before {
                line += &format!(" (before: {} cores)", cores(before));
            }
            line
        };
        let mut lines: Vec<String> = capacity.costs.iter().map(line).collect();
        lines.push(format!(
            "an edge with nobody there: {} cores; this explains {:.0} % of what the edges used",
            number(capacity.idle_cores),
            capacity.explained * 100.0
        ));
        match &capacity.need {
            Some(Ok(need)) => lines.push(format!("the forecast needs {need}")),
            Some(Err(why)) => lines.push(format!("what the forecast needs is not known: {why}")),
            None => {}
        }
        lines
    }
}

/// A figure with as many digits as say something.
pub(super) fn number(value: f64) -> String {
    let digits = match value.abs() {
        large if large >= 100.0 => 0,
        middle if middle >= 10.0 => 1,
        _ => 3,
    };
    let text = format!("{value:.digits$}");
    match text.contains('.') {
        true => text.trim_end_matches('0').trim_end_matches('.').to_owned(),
        false => text,
    }
}
