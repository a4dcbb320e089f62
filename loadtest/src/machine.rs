//! This machine: what it must have before the load begins, and when it is the limit itself.

use std::fs;

use rushlane::runtime::process;
use serde::{Deserialize, Serialize};

use crate::scenario::Scenario;
use crate::share::Share;

/// Descriptors beside the load: the runtime, logs, the admin ports.
const FILES_BESIDE: u64 = 64;

/// When this machine counts as the limit: then there is no verdict.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// How late actions may begin, 99th percentile, in milliseconds. 25: half of the wake-up that
    /// is to be measured.
    pub lag_p99_ms: f64,
    /// How busy all its processors may be, in percent, as a mean of five seconds, where the fleet
    /// is elsewhere.
    pub cpu_percent: f64,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            lag_p99_ms: 25.0,
            cpu_percent: 85.0,
        }
    }
}

/// Fails when its share of the scenario needs more than this machine gives, with the command that
/// helps.
pub fn check(scenario: &Scenario, share: Share) -> Result<(), String> {
    let edges = match (&scenario.local, &scenario.fleet) {
        (Some(local), _) => u64::from(local.edges),
        (None, Some(fleet)) => fleet.edges.len() as u64,
        (None, None) => 1,
    };
    let read = |path| fs::read_to_string(path).unwrap_or_default();
    let files = files_max(&read("/proc/self/limits")).unwrap_or(u64::MAX);
    let ports = ports(&read("/proc/sys/net/ipv4/ip_local_port_range")).unwrap_or(u64::MAX);
    let sockets = scenario.sockets().div_ceil(share.machines().into());
    fits(sockets, edges, files, ports)
}

fn fits(sockets: u64, edges: u64, files: u64, ports: u64) -> Result<(), String> {
    let mut faults = Vec::new();
    let wanted = sockets + FILES_BESIDE;
    if wanted > files {
        faults.push(format!(
            "the scenario needs {wanted} file descriptors and {files} are allowed: \
             ulimit -n {wanted}"
        ));
    }
    let of_one_edge = sockets.div_ceil(edges.max(1));
    if of_one_edge > ports {
        faults.push(format!(
            "the scenario needs {of_one_edge} ports to one edge and there are {ports}: \
             sysctl -w net.ipv4.ip_local_port_range=\"1024 65535\", or more edges"
        ));
    }
    if faults.is_empty() {
        return Ok(());
    }
    Err(faults.join("\n"))
}

fn files_max(limits: &str) -> Option<u64> {
    let line = limits
        .lines()
        .find_map(|line| line.strip_prefix("Max open files"))?;
    line.split_whitespace().next()?.parse().ok()
}

fn ports(range: &str) -> Option<u64> {
    let (first, last) = range.trim().split_once(char::is_whitespace)?;
    let (first, last): (u64, u64) = (first.trim().parse().ok()?, last.trim().parse().ok()?);
    (last + 1).checked_sub(first)
}

/// Counts the processors' work between two looks.
#[derive(Debug, Default)]
pub struct Meter {
    last: Option<(u64, u64)>,
    own: f64,
}

/// What one look found.
#[derive(Debug, Clone, Copy, Default, Serialize, Deserialize)]
pub struct Look {
    /// How busy all processors were, in percent.
    pub cpu_percent: f64,
    /// Cores that this program used.
    pub own_cores: f64,
}

impl Meter {
    /// What was used since the last look, `seconds` ago.
    pub fn look(&mut self, seconds: f64) -> Look {
        let stat = fs::read_to_string("/proc/stat").unwrap_or_default();
        let own = process::usage().cpu.as_secs_f64();
        let own_cores = (own - std::mem::replace(&mut self.own, own)) / seconds.max(0.1);
        let now = busy(&stat);
        let (Some(now), Some(last)) = (now, std::mem::replace(&mut self.last, now)) else {
            return Look::default();
        };
        let all = now.1.saturating_sub(last.1).max(1);
        let cpu_percent = now.0.saturating_sub(last.0) as f64 * 100.0 / all as f64;
        Look {
            cpu_percent,
            own_cores,
        }
    }
}

/// Ticks that all processors worked, and all ticks (proc(5)).
fn busy(stat: &str) -> Option<(u64, u64)> {
    let line = stat.lines().next()?.strip_prefix("cpu ")?;
    let ticks: Vec<u64> = line.split_whitespace().flat_map(str::parse).collect();
    // user nice system idle iowait irq softirq steal; what follows is in the first two.
    let all: u64 = ticks.iter().take(8).sum();
    let idle = ticks.get(3)? + ticks.get(4)?;
    Some((all - idle, all))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_missing_is_named_with_what_helps() {
        assert_eq!(fits(900, 1, 1024, 28_000), Ok(()));
        let fault = fits(60_000, 2, 1024, 28_000).unwrap_err();
        assert!(fault.contains("ulimit -n 60064"), "{fault}");
        assert!(fault.contains("30000 ports to one edge"), "{fault}");
    }

    #[test]
    fn kernel_texts_are_read() {
        let limits =
            "Limit  Soft Limit\nMax open files            20000                20000     files\n";
        assert_eq!(files_max(limits), Some(20_000));
        assert_eq!(ports("32768\t60999\n"), Some(28_232));
        assert_eq!(busy("cpu  10 0 5 80 5 0 0 0 0 0\n"), Some((15, 100)));
    }
}
