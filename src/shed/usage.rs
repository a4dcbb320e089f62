//! What the process uses, from /proc. Where a figure cannot be read it is 0: a budget that cannot
//! be measured sheds nothing.

use std::fs;

/// Kernel ticks a second in /proc/self/stat: USER_HZ is 100 on every Linux that Rust runs on.
const TICKS_PER_SECOND: f64 = 100.0;
/// /proc/self/statm counts pages; Linux on x86-64 and on servers' ARM has 4 KiB.
const PAGE_BYTES: u64 = 4096;

/// CPU seconds of all threads so far.
pub(super) fn cpu_seconds() -> f64 {
    let text = fs::read_to_string("/proc/self/stat").unwrap_or_default();
    cpu_seconds_in(&text).unwrap_or(0.0)
}

fn cpu_seconds_in(stat: &str) -> Option<f64> {
    // Fields after the name, which may hold spaces: utime and stime are the 12th and 13th.
    let mut fields = stat.rsplit_once(')')?.1.split_whitespace().skip(11);
    let user: f64 = fields.next()?.parse().ok()?;
    let system: f64 = fields.next()?.parse().ok()?;
    Some((user + system) / TICKS_PER_SECOND)
}

/// Resident memory.
pub(super) fn resident_bytes() -> u64 {
    let text = fs::read_to_string("/proc/self/statm").unwrap_or_default();
    let pages = text
        .split_whitespace()
        .nth(1)
        .and_then(|n| n.parse::<u64>().ok());
    pages.unwrap_or(0) * PAGE_BYTES
}

/// Open files and sockets.
pub(super) fn descriptors() -> u64 {
    // Since Linux 6.2 the folder's size is their number; before, it is 0 and they are counted.
    let size = fs::metadata("/proc/self/fd").map_or(0, |folder| folder.len());
    if size > 0 {
        return size;
    }
    fs::read_dir("/proc/self/fd").map_or(0, |entries| entries.count() as u64)
}

/// How many files and sockets the process may open.
pub(super) fn descriptors_max() -> Option<u64> {
    let text = fs::read_to_string("/proc/self/limits").ok()?;
    let line = text
        .lines()
        .find_map(|line| line.strip_prefix("Max open files"))?;
    line.split_whitespace().next()?.parse().ok()
}

/// The machine's memory.
pub(super) fn machine_bytes() -> Option<u64> {
    let text = fs::read_to_string("/proc/meminfo").ok()?;
    let line = text
        .lines()
        .find_map(|line| line.strip_prefix("MemTotal:"))?;
    let kibibytes: u64 = line.split_whitespace().next()?.parse().ok()?;
    Some(kibibytes * 1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_process_can_be_measured() {
        assert!(resident_bytes() > 1 << 20);
        assert!(descriptors() >= 3);
        assert!(descriptors_max().is_some_and(|most| most >= descriptors()));
        assert!(machine_bytes().is_some_and(|all| all > resident_bytes()));
    }

    #[test]
    fn cpu_time_is_read_behind_any_name() {
        let stat = "7 (a (b) c) S 1 7 7 0 -1 0 0 0 0 0 150 50 0 0 20 0 9 0 1 1 1";
        assert_eq!(cpu_seconds_in(stat), Some(2.0));
        assert_eq!(cpu_seconds_in("nonsense"), None);
    }
}
