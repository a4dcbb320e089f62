//! Child processes: pinned to a core, watched through /proc, ended when dropped.

use std::fs;
use std::net::TcpListener;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use anyhow::{Context as _, bail};
use rushlane::runtime::clock::{self, Instant};

/// The core of everything that serves.
pub const SERVER_CORE: u32 = 0;

/// The core of everything that loads.
pub const CLIENT_CORE: u32 = 1;

/// Kernel ticks per second in /proc/PID/stat; USER_HZ is 100 on every Linux that Rust runs on.
const TICKS_PER_SECOND: f64 = 100.0;

/// The server under test.
pub fn binary() -> anyhow::Result<&'static Path> {
    let binary = Path::new("target/release/rushlane");
    if !binary.exists() {
        bail!("target/release/rushlane is missing: make build");
    }
    Ok(binary)
}

/// A running server.
pub struct Process {
    child: Child,
    name: &'static str,
}

impl Process {
    /// Starts `program` on [`SERVER_CORE`] with room for as many sockets as the system
    /// allows; output goes to `log`.
    pub fn start(
        name: &'static str,
        program: &Path,
        arguments: &[&str],
        log: &Path,
    ) -> anyhow::Result<Self> {
        let log = fs::File::create(log)?;
        let script =
            format!("ulimit -n $(ulimit -Hn); exec taskset -c {SERVER_CORE} \"$0\" \"$@\"");
        let child = Command::new("sh")
            .args(["-c", &script])
            .arg(program)
            .args(arguments)
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log)
            .spawn()
            .with_context(|| format!("{name} cannot be started"))?;
        Ok(Self { child, name })
    }

    /// Waits until the server accepts connections on `port`.
    pub async fn wait_for_port(&mut self, port: u16) -> anyhow::Result<()> {
        let started = clock::now();
        while started.elapsed() < Duration::from_secs(15) {
            if let Some(status) = self.child.try_wait()? {
                bail!("{} ended at once: {status}", self.name);
            }
            if tokio::net::TcpStream::connect(("127.0.0.1", port))
                .await
                .is_ok()
            {
                return Ok(());
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        bail!("{} does not listen on port {port}", self.name)
    }

    /// Ends it at once, as a failure would.
    pub fn kill(mut self) -> anyhow::Result<()> {
        self.child.kill()?;
        self.child.wait()?;
        Ok(())
    }

    /// Sends it a signal, as `-STOP`.
    pub fn signal(&self, signal: &str) {
        let pid = self.child.id().to_string();
        Command::new("kill").args([signal, &pid]).status().ok();
    }

    /// CPU seconds used so far, by the process and by children like nginx's workers.
    pub fn cpu_seconds(&self) -> anyhow::Result<f64> {
        self.sum(|pid| {
            let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
            // Fields after the name, which may hold spaces: utime and stime are the 12th and 13th.
            let mut fields = stat.rsplit_once(')')?.1.split_whitespace().skip(11);
            let user: f64 = fields.next()?.parse().ok()?;
            let system: f64 = fields.next()?.parse().ok()?;
            Some((user + system) / TICKS_PER_SECOND)
        })
    }

    /// Resident memory in bytes, of the process and its children.
    pub fn resident_bytes(&self) -> anyhow::Result<f64> {
        self.sum(|pid| {
            let status = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
            let line = status.lines().find(|line| line.starts_with("VmRSS:"))?;
            let kilobytes: f64 = line.split_whitespace().nth(1)?.parse().ok()?;
            Some(kilobytes * 1024.0)
        })
    }

    /// Open descriptors, of the process and its children.
    pub fn open_files(&self) -> anyhow::Result<f64> {
        self.sum(|pid| Some(fs::read_dir(format!("/proc/{pid}/fd")).ok()?.count() as f64))
    }

    /// Lets `perf` write down for `how_long` what it does, with the callers of each function.
    pub async fn record(&self, file: &Path, how_long: Duration) -> anyhow::Result<()> {
        let mut perf = Command::new("perf")
            .args([
                "record",
                "--quiet",
                "-F",
                "499",
                "--call-graph",
                "dwarf,16384",
            ])
            .args(["-p", &self.child.id().to_string(), "-o"])
            .arg(file)
            .spawn()
            .context("perf cannot be started (Debian: linux-perf)")?;
        tokio::time::sleep(how_long).await;
        let pid = perf.id().to_string();
        Command::new("kill").args(["-INT", &pid]).status()?;
        perf.wait()?;
        Ok(())
    }

    fn sum(&self, of: impl Fn(u32) -> Option<f64>) -> anyhow::Result<f64> {
        let pid = self.child.id();
        let own = of(pid).with_context(|| format!("{} is gone", self.name))?;
        let children = fs::read_to_string(format!("/proc/{pid}/task/{pid}/children"));
        let children = children.unwrap_or_default();
        let pids = children.split_whitespace().flat_map(str::parse);
        Ok(own + pids.filter_map(of).sum::<f64>())
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        if matches!(self.child.try_wait(), Ok(Some(_))) {
            return;
        }
        // A polite end first, then a certain one.
        let pid = self.child.id().to_string();
        Command::new("kill").args(["-TERM", &pid]).status().ok();
        for _ in 0..40 {
            if matches!(self.child.try_wait(), Ok(Some(_))) {
                return;
            }
            wait_ms("50");
        }
        self.child.kill().ok();
        self.child.wait().ok();
    }
}

/// Blocks for some milliseconds, outside any runtime's worker.
fn wait_ms(milliseconds: &str) {
    let seconds = format!("0.{milliseconds:0>3}");
    Command::new("sleep").arg(seconds).status().ok();
}

/// CPU share over a while: 1.0 is a whole core.
pub struct CpuMeter {
    started: Instant,
    before: f64,
}

impl CpuMeter {
    /// Starts to count.
    pub fn start(process: &Process) -> anyhow::Result<Self> {
        Ok(Self {
            before: process.cpu_seconds()?,
            started: clock::now(),
        })
    }

    /// The share since the start.
    pub fn share(&self, process: &Process) -> anyhow::Result<f64> {
        Ok(self.seconds(process)? / self.started.elapsed().as_secs_f64())
    }

    /// CPU seconds since the start.
    pub fn seconds(&self, process: &Process) -> anyhow::Result<f64> {
        Ok(process.cpu_seconds()? - self.before)
    }
}

/// While it lives, both cores are never idle and whoever wants them has them at once: one endless
/// loop each, of the class `SCHED_IDLE`. A host may take its cores from a guest that uses all of
/// them; what is measured beside it then is to be held against what is measured beside these.
pub struct Busy(Vec<Child>);

impl Busy {
    /// Starts the loops.
    pub fn start() -> anyhow::Result<Self> {
        let mut busy = Self(Vec::new());
        for core in [SERVER_CORE, CLIENT_CORE] {
            let script =
                format!("exec chrt --idle 0 taskset -c {core} sh -c 'while :; do :; done'");
            let child = Command::new("sh").args(["-c", &script]).spawn()?;
            busy.0.push(child);
        }
        Ok(busy)
    }
}

impl Drop for Busy {
    fn drop(&mut self) {
        for child in &mut self.0 {
            child.kill().ok();
            child.wait().ok();
        }
    }
}

/// Pins this process, and every thread it will start, to [`CLIENT_CORE`].
pub fn pin_client() -> anyhow::Result<()> {
    let pid = std::process::id().to_string();
    let core = CLIENT_CORE.to_string();
    let pinned = Command::new("taskset")
        .args(["-cp", &core, &pid])
        .stdout(Stdio::null())
        .status()?;
    if pinned.success() {
        Ok(())
    } else {
        bail!("taskset failed: the bench needs two cores")
    }
}

/// While it lives, what comes in over loopback is handled on [`CLIENT_CORE`] instead of in the
/// sender's system call, as if the receivers were other machines (receive packet steering; Linux,
/// Documentation/networking/scaling.rst). For the whole machine: put back when dropped.
pub struct Steering {
    before: Vec<(&'static str, String)>,
}

impl Steering {
    const CORES: &str = "/sys/class/net/lo/queues/rx-0/rps_cpus";

    /// Packets that may wait for the receiving core. The 1,000 of a default kernel are less than a
    /// fan-out, and those beyond it would be lost.
    const BACKLOG: &str = "/proc/sys/net/core/netdev_max_backlog";

    /// Starts to steer; needs root.
    pub fn start() -> anyhow::Result<Self> {
        let mask = format!("{:x}", 1 << CLIENT_CORE);
        let mut steering = Self { before: Vec::new() };
        for (file, value) in [(Self::BACKLOG, "100000"), (Self::CORES, &mask)] {
            let before = fs::read_to_string(file).with_context(|| file)?;
            fs::write(file, value).with_context(|| format!("{file} (are you root?)"))?;
            steering.before.push((file, before));
        }
        Ok(steering)
    }
}

impl Drop for Steering {
    fn drop(&mut self) {
        for (file, before) in self.before.iter().rev() {
            fs::write(file, before).ok();
        }
    }
}

/// A TCP and UDP port that is free now.
pub fn free_port() -> anyhow::Result<u16> {
    Ok(TcpListener::bind("127.0.0.1:0")?.local_addr()?.port())
}
