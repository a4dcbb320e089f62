//! What the process may use: by its own limits, by its control group (cgroup v2, the parents'
//! limits included), and by the machine.

use std::fs;
use std::path::{Path, PathBuf};

const ROOT: &str = "/sys/fs/cgroup";

/// CPUs, as a number that affinity and quota leave.
pub(super) fn cpus() -> f64 {
    let cores = std::thread::available_parallelism().map_or(1, usize::from) as f64;
    least("cpu.max", quota).map_or(cores, |quota| quota.min(cores))
}

/// Bytes of memory; `None`: nobody says.
pub(super) fn memory_bytes() -> Option<u64> {
    let group = least("memory.max", |text| text.trim().parse().ok());
    [group, machine_bytes()].into_iter().flatten().min()
}

/// Files and sockets that may be open; `None`: no limit is known.
pub(super) fn open_files() -> Option<u64> {
    number_after("/proc/self/limits", "Max open files")
}

fn machine_bytes() -> Option<u64> {
    Some(number_after("/proc/meminfo", "MemTotal:")? * 1024)
}

/// The first number of the line that begins with `name`.
fn number_after(file: &str, name: &str) -> Option<u64> {
    let text = fs::read_to_string(file).ok()?;
    let line = text.lines().find_map(|line| line.strip_prefix(name))?;
    line.split_whitespace().next()?.parse().ok()
}

/// "QUOTA PERIOD" or "max PERIOD", in microseconds.
fn quota(text: &str) -> Option<f64> {
    let (quota, period) = text.trim().split_once(' ')?;
    let (quota, period): (f64, f64) = (quota.parse().ok()?, period.parse().ok()?);
    (period > 0.0).then_some(quota / period)
}

/// The least value of `file` from the process's own group up to the root.
fn least<T: PartialOrd>(file: &str, read: impl Fn(&str) -> Option<T>) -> Option<T> {
    let groups = fs::read_to_string("/proc/self/cgroup").ok()?;
    let own = groups.lines().find_map(|line| line.strip_prefix("0::/"))?;
    let own: PathBuf = Path::new(ROOT).join(own);
    let up = own.ancestors().take_while(|path| path.starts_with(ROOT));
    let values = up.filter_map(|path| read(&fs::read_to_string(path.join(file)).ok()?));
    values.reduce(|least, value| if value < least { value } else { least })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_machine_has_limits() {
        assert!(cpus() > 0.0);
        assert!(memory_bytes().is_some_and(|bytes| bytes > 1 << 20));
        assert!(open_files().is_some_and(|files| files > 3));
    }

    #[test]
    fn a_quota_is_a_number_of_cpus() {
        assert_eq!(quota("150000 100000\n"), Some(1.5));
        assert_eq!(quota("max 100000\n"), None);
        assert_eq!(quota(""), None);
    }
}
