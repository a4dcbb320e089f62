//! What this process has used, as Linux counts it (proc(5)), which of its threads go first, and the
//! size of its pages.

use std::fs;
use std::time::Duration;

/// Kernel ticks of `/proc/PID/stat` in a second: `USER_HZ`, 100 on every Linux.
const TICKS_PER_SECOND: u64 = 100;
/// Bytes of a page on the machines that we build for.
const PAGE_BYTES: u64 = 4096;

/// What the process has used until now; zeroes where the kernel does not tell.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Usage {
    /// Time on processors, in user and kernel mode, since it started.
    pub cpu: Duration,
    /// Memory that it holds in RAM.
    pub rss_bytes: u64,
    /// Open file descriptors: connections, mostly.
    pub open_files: u64,
}

/// Reads what the process has used. Some 20 us.
#[must_use]
pub fn usage() -> Usage {
    let read = |name: &str| fs::read_to_string(format!("/proc/self/{name}")).unwrap_or_default();
    Usage {
        cpu: cpu(&read("stat")).unwrap_or_default(),
        rss_bytes: resident_pages(&read("statm")).unwrap_or_default() * PAGE_BYTES,
        open_files: open_files(),
    }
}

/// Lets the calling thread stand `steps` of niceness behind the others of the process: on a busy
/// core they have their turn when they want it, and not when this thread is done with its own. On
/// an idle core nothing changes.
pub fn stand_back(steps: i32) {
    if let Err(error) = rustix::process::nice(steps) {
        tracing::warn!(%error, "a thread keeps its rank");
    }
}

/// Keeps the process to small pages. The allocator asks for huge ones; the kernel then fills holes
/// of what it holds, 2 MB at a time, for as long as the process runs: twice the memory at once, and
/// more each hour although no more is in use.
pub fn use_small_pages() {
    if let Err(error) = rustix::thread::disable_transparent_huge_pages(true) {
        tracing::warn!(%error, "huge pages stay allowed: memory will grow for hours");
    }
}

/// The size of the folder is their number since Linux 6.2; before, it is 0 and they are counted.
fn open_files() -> u64 {
    let size = fs::metadata("/proc/self/fd").map_or(0, |folder| folder.len());
    if size > 0 {
        return size;
    }
    fs::read_dir("/proc/self/fd").map_or(0, |files| files.count() as u64)
}

/// `utime` and `stime`, fields 14 and 15; the name before them, in brackets, may hold anything.
fn cpu(stat: &str) -> Option<Duration> {
    let (_, after_name) = stat.rsplit_once(')')?;
    let mut ticks = after_name.split_ascii_whitespace().skip(11);
    let user: u64 = ticks.next()?.parse().ok()?;
    let system: u64 = ticks.next()?.parse().ok()?;
    let milliseconds = (user + system) * 1000 / TICKS_PER_SECOND;
    Some(Duration::from_millis(milliseconds))
}

/// The second field of `statm`.
fn resident_pages(statm: &str) -> Option<u64> {
    statm.split_ascii_whitespace().nth(1)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_with_brackets_does_not_shift_the_fields() {
        let stat = "7 (a) b) (c) S 1 7 7 0 -1 4194304 9 0 0 0 250 150 0 0 20 0 4 0 100 0 0";
        assert_eq!(cpu(stat), Some(Duration::from_secs(4)));
        assert_eq!(cpu("7 (a"), None);
    }

    #[test]
    fn this_process_has_memory_and_files() {
        let usage = usage();
        assert!(usage.rss_bytes > 1 << 20, "{usage:?}");
        assert!(usage.open_files >= 3, "{usage:?}");
    }
}
