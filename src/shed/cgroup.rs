//! The limits of the control group that the process runs in (cgroup v2), its parents' included.

use std::fs;
use std::path::{Path, PathBuf};

const ROOT: &str = "/sys/fs/cgroup";

/// CPUs that the group may use; `None`: no quota.
pub(super) fn cpus() -> Option<f64> {
    least("cpu.max", quota)
}

/// Bytes of memory that the group may use; `None`: no limit.
pub(super) fn memory_bytes() -> Option<u64> {
    least("memory.max", |text| text.trim().parse().ok())
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
    fn a_quota_is_a_number_of_cpus() {
        assert_eq!(quota("150000 100000\n"), Some(1.5));
        assert_eq!(quota("max 100000\n"), None);
        assert_eq!(quota(""), None);
    }
}
