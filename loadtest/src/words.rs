//! The command line. Exit codes: 0 GO, 1 NO-GO, 2 no verdict: it could not run, was cut short, or
//! this machine was the limit.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, Subcommand};
use rushlane::telemetry;

use crate::crew::{self, Secret};
use crate::report::{self, Verdict};
use crate::run::{self, Options};
use crate::scenario::Scenario;
use crate::share::MACHINES_MAX;

/// No verdict.
const NOTHING: u8 = 2;

/// Puts a fleet under the load of a sale and says GO or NO-GO.
///
/// Viewers, members and buyers come over the wire as players and shops do. What a scenario may hold
/// is in docs/LOAD_TEST.md; `rushlane-load run loadtest/scenarios/smoke.toml` starts a small fleet
/// here and needs nothing else.
#[derive(Debug, Parser)]
#[command(name = "rushlane-load", version)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Runs a scenario and writes the report; exit 0: GO, 1: NO-GO, 2: no verdict
    Run(Run),
    /// Reads a scenario and says what it would do; exit 2 with every fault
    Check(Check),
    /// Waits for a coordinator (`run --workers`) and carries its share of a load, until Ctrl-C
    Worker(Worker),
}

#[derive(Debug, clap::Args)]
struct Check {
    /// What to do: docs/LOAD_TEST.md
    scenario: PathBuf,
    /// A file with the fleet (`origins`, `edges`, `admins`) in place of the scenario's own
    #[arg(long, value_name = "FILE")]
    fleet: Option<PathBuf>,
    /// The key that signs tokens and the load mark: a file with the line ID:SECRET
    #[arg(long, value_name = "FILE")]
    key_file: Option<PathBuf>,
    /// The machines that share the load: where each `rushlane-load worker` listens
    #[arg(long, value_name = "HOST:PORT,...", value_delimiter = ',')]
    workers: Vec<String>,
}

#[derive(Debug, clap::Args)]
struct Worker {
    /// Where coordinators find it; give it a private address, or a tunnel
    #[arg(long, value_name = "IP:PORT")]
    listen: SocketAddr,
    /// What coordinators must know: a file with one line of at least 16 bytes
    #[arg(long, value_name = "FILE")]
    secret_file: PathBuf,
    /// The key that signs tokens and the load mark, the same as the coordinator's: it is never sent
    #[arg(long, value_name = "FILE")]
    key_file: Option<PathBuf>,
    /// A host that may be loaded, once for each; without it, the edges of any scenario
    #[arg(long, value_name = "HOST")]
    allow: Vec<String>,
}

#[derive(Debug, clap::Args)]
struct Run {
    #[command(flatten)]
    what: Check,
    /// Where report.html, report.json and the logs of a local fleet go
    #[arg(long, value_name = "DIR", default_value = "target/load")]
    report: PathBuf,
    /// The server of a local fleet; without it, the `rushlane` beside this program
    #[arg(long, value_name = "FILE")]
    rushlane: Option<PathBuf>,
    /// What proves that the workers are ours: the same file as theirs
    #[arg(long, value_name = "FILE", requires = "workers")]
    secret_file: Option<PathBuf>,
    /// The report.json of an earlier run, whose costs stand beside this one's
    #[arg(long, value_name = "FILE")]
    before: Option<PathBuf>,
}

impl Check {
    fn read(&self) -> Result<Scenario, String> {
        let machines = u32::try_from(self.workers.len()).unwrap_or(u32::MAX);
        if machines > MACHINES_MAX {
            return Err(format!("{machines} workers: use {MACHINES_MAX} at most"));
        }
        let twice = (1..).zip(&self.workers);
        let twice = twice.filter(|(rest, name)| self.workers[*rest..].contains(name));
        if let Some((_, name)) = twice.last() {
            return Err(format!("worker {name} is named twice"));
        }
        let scenario = Scenario::load(&self.scenario, self.fleet.as_deref(), machines.max(1))?;
        if machines > 0 && scenario.local.is_some() && self.key_file.is_none() {
            return Err(
                "workers sign like the coordinator: name the same --key-file here and there"
                    .to_owned(),
            );
        }
        let is_real = scenario.local.is_none();
        if is_real && !scenario.buyers.is_empty() && self.key_file.is_none() {
            return Err(
                "buyers order from a real fleet: name the --key-file that signs the load \
                 mark, or their orders would reach the merchant"
                    .to_owned(),
            );
        }
        Ok(scenario)
    }
}

/// Runs the command that the process was started with.
#[expect(clippy::print_stderr, reason = "why there is no verdict")]
#[expect(clippy::print_stdout, reason = "the result of the command")]
pub fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => {
            let code = if error.use_stderr() { NOTHING } else { 0 };
            // A closed stdout or stderr leaves nobody to tell.
            let _unheard = error.print().is_err();
            return ExitCode::from(code);
        }
    };
    let filter = std::env::var("RUST_LOG").unwrap_or_else(|_| "warn,rushlane_load=info".into());
    let _flushed_at_the_end = telemetry::init_logs(telemetry::LogFormat::Text, &filter);
    let done = match &cli.command {
        Command::Check(check) => check.read().map(|scenario| {
            println!("{}", scenario.summary());
            ExitCode::SUCCESS
        }),
        Command::Worker(words) => words.start().map(|()| ExitCode::SUCCESS),
        Command::Run(words) => words.what.read().and_then(|scenario| words.start(scenario)),
    };
    done.unwrap_or_else(|fault| {
        eprintln!("{fault}");
        ExitCode::from(NOTHING)
    })
}

impl Worker {
    fn start(&self) -> Result<(), String> {
        let work = || {
            crew::blocking(crew::Options {
                listen: self.listen,
                secret: Secret::load(&self.secret_file)?,
                key_file: self.key_file.clone(),
                allow: self.allow.clone(),
            })
        };
        work().map_err(|error| format!("{error:#}"))
    }
}

impl Run {
    /// Who carries the load; `None`: this machine.
    fn crew(&self) -> Result<Option<crew::Config>, String> {
        let workers = self.what.workers.clone();
        if workers.is_empty() {
            return Ok(None);
        }
        let missing = "workers ask for a secret: name the --secret-file that they have";
        let file = self.secret_file.as_deref().ok_or(missing)?;
        let secret = Secret::load(file).map_err(|error| format!("{error:#}"))?;
        Ok(Some(crew::Config { workers, secret }))
    }

    #[expect(clippy::print_stdout, reason = "the result of the command")]
    fn start(&self, scenario: Scenario) -> Result<ExitCode, String> {
        let before = self.before.as_deref().map(report::earlier).transpose();
        let before = before.map_err(|error| format!("{error:#}"))?.flatten();
        let options = Options {
            before,
            crew: self.crew()?,
            folder: self.report.clone(),
            key_file: self.what.key_file.clone(),
            rushlane: self.rushlane.clone().unwrap_or_else(beside),
        };
        let report = run::blocking(scenario, &options).map_err(|error| format!("{error:#}"))?;
        println!("{}", report.text());
        println!("{}", options.folder.join("report.html").display());
        Ok(ExitCode::from(match report.verdict {
            Verdict::Go => 0,
            Verdict::NoGo => 1,
            Verdict::None => NOTHING,
        }))
    }
}

/// `rushlane` in the folder of this program.
fn beside() -> PathBuf {
    let own = std::env::current_exe().unwrap_or_default();
    own.with_file_name("rushlane")
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;

    #[test]
    fn command_line_is_consistent() {
        Cli::command().debug_assert();
    }
}
