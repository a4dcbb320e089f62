//! What a probe found: one line per rule.

use std::fmt;

/// How a rule ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// Observed and kept.
    Pass,
    /// Observed and broken.
    Fail,
    /// Not observable on this stream; the detail says why.
    Skip,
}

/// One rule and what was seen of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rule {
    /// Requirement and theme, such as `R1.3-msn-hold`. Stable: scripts may match it.
    pub id: &'static str,
    /// How it ended.
    pub outcome: Outcome,
    /// What was seen, with its numbers.
    pub detail: String,
    /// How many observations broke it.
    pub faults: usize,
}

/// All rules in the order in which they were first looked at.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Report {
    rules: Vec<Rule>,
}

impl Report {
    /// Every rule that was looked at.
    #[must_use]
    pub fn rules(&self) -> &[Rule] {
        &self.rules
    }

    /// How many rules are broken; 0 means conformance.
    #[must_use]
    pub fn failed(&self) -> usize {
        let failed = |rule: &&Rule| rule.outcome == Outcome::Fail;
        self.rules.iter().filter(failed).count()
    }

    /// Adds one observation. The first fault of a rule stays its detail; a pass replaces a skip.
    pub(super) fn record(&mut self, id: &'static str, observed: Result<String, String>) {
        let (outcome, detail) = match observed {
            Ok(detail) => (Outcome::Pass, detail),
            Err(fault) => (Outcome::Fail, fault),
        };
        let rule = self.rule(id);
        rule.faults += usize::from(outcome == Outcome::Fail);
        if rule.outcome != Outcome::Fail {
            rule.outcome = outcome;
            rule.detail = detail;
        }
    }

    /// Says why a rule could not be observed, unless it was observed elsewhere.
    pub(super) fn skip(&mut self, id: &'static str, why: impl Into<String>) {
        let rule = self.rule(id);
        if rule.detail.is_empty() {
            rule.detail = why.into();
        }
    }

    fn rule(&mut self, id: &'static str) -> &mut Rule {
        let known = self.rules.iter().position(|rule| rule.id == id);
        let index = known.unwrap_or_else(|| {
            self.rules.push(Rule {
                id,
                outcome: Outcome::Skip,
                detail: String::new(),
                faults: 0,
            });
            self.rules.len() - 1
        });
        &mut self.rules[index]
    }
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Pass => "pass",
            Self::Fail => "FAIL",
            Self::Skip => "skip",
        })
    }
}

impl fmt::Display for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}  {:<26} {}", self.outcome, self.id, self.detail)?;
        if self.faults > 1 {
            write!(f, " ({} times)", self.faults)?;
        }
        Ok(())
    }
}

/// One line per rule; the caller adds the sum.
impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for rule in &self.rules {
            writeln!(f, "{rule}")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn first_fault_stays_and_faults_are_counted() {
        let mut report = Report::default();
        report.skip("R0-a", "nothing to see");
        report.record("R0-a", Ok("fine".into()));
        report.record("R0-a", Err("first".into()));
        report.record("R0-a", Ok("fine again".into()));
        report.record("R0-a", Err("second".into()));
        report.skip("R0-b", "not offered");
        assert_eq!(report.failed(), 1);
        assert_eq!(report.rules()[0].detail, "first");
        assert!(report.to_string().contains("first (2 times)"));
        assert_eq!(report.rules()[1].outcome, Outcome::Skip);
    }
}
