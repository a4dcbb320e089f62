//! Budgets and how far each is spent. Pure but for [`Budget::new`], which asks the machine.

use std::collections::VecDeque;

use serde::Serialize;

use crate::shed::{Config, limits};

/// Over how much of the past CPU, turns and egress are averaged, in milliseconds.
const WINDOW_MS: i64 = 1000;

/// What the node may use.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Budget {
    /// CPUs.
    cpus: f64,
    turn_ms: f64,
    /// Bit/s; 0: no budget.
    egress_bps: f64,
    sockets: f64,
    memory_bytes: f64,
}

/// What the process has used so far, or uses now.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Reading {
    /// Milliseconds of a clock that never goes back.
    pub(super) at_ms: i64,
    /// So far.
    pub(super) cpu_seconds: f64,
    /// So far.
    pub(super) egress_bytes: u64,
    /// Waits of workers' tasks for their turn so far: their sum, in microseconds, and their number.
    pub(super) turns: (u64, u64),
    /// Now.
    pub(super) sockets: u64,
    /// Now.
    pub(super) memory_bytes: u64,
}

/// How far each budget is spent; 1.0: all of it.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize)]
pub struct Pressure {
    /// Of the process.
    pub cpu: f64,
    /// How late workers' tasks get theirs.
    pub turns: f64,
    /// Bits to viewers.
    pub egress: f64,
    /// Open files and sockets.
    pub sockets: f64,
    /// Resident.
    pub memory: f64,
}

/// The readings of the last second.
#[derive(Debug, Default)]
pub(super) struct Window(VecDeque<Reading>);

impl Budget {
    /// The budgets that `config` sets, with what the machine and its control group allow for the
    /// others.
    pub(super) fn new(config: &Config) -> Self {
        let sockets = match config.sockets_max {
            0 => limits::open_files().map_or(0.0, |most| most as f64 * 0.9),
            given => given.into(),
        };
        let memory_bytes = match config.memory_mb {
            0 => limits::memory_bytes().map_or(0.0, |most| most as f64 * 0.9),
            given => f64::from(given) * 1024.0 * 1024.0,
        };
        Self {
            cpus: limits::cpus() * f64::from(config.cpu_percent) / 100.0,
            turn_ms: config.turn_ms.into(),
            egress_bps: f64::from(config.egress_mbps) * 1e6,
            sockets,
            memory_bytes,
        }
    }

    /// How far it is spent by what changed from `before` to `now`.
    fn pressure(&self, before: &Reading, now: &Reading) -> Pressure {
        let seconds = (now.at_ms - before.at_ms) as f64 / 1000.0;
        let per_second = |used: f64| if seconds > 0.0 { used / seconds } else { 0.0 };
        let turns = now.turns.1.saturating_sub(before.turns.1);
        let waited_us = now.turns.0.saturating_sub(before.turns.0);
        let turn_ms = match turns {
            0 => 0.0,
            turns => waited_us as f64 / 1000.0 / turns as f64,
        };
        let sent = now.egress_bytes.saturating_sub(before.egress_bytes) as f64;
        Pressure {
            cpu: share(per_second(now.cpu_seconds - before.cpu_seconds), self.cpus),
            turns: share(turn_ms, self.turn_ms),
            egress: share(per_second(sent * 8.0), self.egress_bps),
            sockets: share(now.sockets as f64, self.sockets),
            memory: share(now.memory_bytes as f64, self.memory_bytes),
        }
    }
}

/// A budget of 0 is none.
fn share(used: f64, budget: f64) -> f64 {
    if budget > 0.0 { used / budget } else { 0.0 }
}

impl Pressure {
    /// By budget.
    pub(super) fn all(&self) -> [(&'static str, f64); 5] {
        [
            ("cpu", self.cpu),
            ("turns", self.turns),
            ("egress", self.egress),
            ("sockets", self.sockets),
            ("memory", self.memory),
        ]
    }

    /// The budget that is spent furthest, and how far.
    pub(super) fn worst(&self) -> (&'static str, f64) {
        let worst = self.all().into_iter().max_by(|a, b| a.1.total_cmp(&b.1));
        worst.expect("there are budgets")
    }
}

impl Window {
    /// Takes a reading; how far `budget` is spent over the last second.
    pub(super) fn take(&mut self, budget: &Budget, now: Reading) -> Pressure {
        let is_old = |window: &VecDeque<Reading>| {
            let second = window.get(1);
            second.is_some_and(|second| now.at_ms - second.at_ms >= WINDOW_MS)
        };
        while is_old(&self.0) {
            self.0.pop_front();
        }
        let before = self.0.front().copied().unwrap_or(now);
        self.0.push_back(now);
        budget.pressure(&before, &now)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn budget() -> Budget {
        Budget {
            cpus: 1.7,
            turn_ms: 100.0,
            egress_bps: 8e6,
            sockets: 1000.0,
            memory_bytes: 1e9,
        }
    }

    fn reading(at_ms: i64) -> Reading {
        let seconds = at_ms as f64 / 1000.0;
        Reading {
            at_ms,
            cpu_seconds: seconds * 0.85,
            egress_bytes: (seconds * 2e6) as u64,
            turns: ((seconds * 1e6) as u64, (seconds * 50.0) as u64),
            sockets: 900,
            memory_bytes: 250_000_000,
        }
    }

    #[test]
    fn each_budget_is_measured_over_the_last_second() {
        let mut window = Window::default();
        let mut pressure = Pressure::default();
        for at_ms in (0..5000).step_by(250) {
            pressure = window.take(&budget(), reading(at_ms));
        }
        let near = |found: f64, wanted: f64| (found - wanted).abs() < 0.01;
        assert!(near(pressure.cpu, 0.5), "{pressure:?}");
        assert!(near(pressure.turns, 0.2), "{pressure:?}");
        assert!(near(pressure.egress, 2.0), "{pressure:?}");
        assert!(near(pressure.sockets, 0.9), "{pressure:?}");
        assert!(near(pressure.memory, 0.25), "{pressure:?}");
        assert_eq!(pressure.worst().0, "egress");
        assert!(window.0.len() <= 6, "the past is forgotten");
    }

    #[test]
    fn no_budget_is_never_spent() {
        let none = Budget {
            egress_bps: 0.0,
            ..budget()
        };
        let mut window = Window::default();
        window.take(&none, reading(0));
        assert_eq!(window.take(&none, reading(1000)).egress, 0.0);
    }
}
