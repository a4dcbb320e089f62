//! The command line. Exit codes: 0 GO, 1 NO-GO, 2 no verdict: it could not run, was cut short, or
//! this machine was the limit.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, Subcommand};
use rushlane::telemetry;

use crate::report::{self, Verdict};
use crate::run::{self, Options};
use crate::scenario::Scenario;

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
    /// The report.json of an earlier run, whose costs stand beside this one's
    #[arg(long, value_name = "FILE")]
    before: Option<PathBuf>,
}

impl Check {
    fn read(&self) -> Result<Scenario, String> {
        let scenario = Scenario::load(&self.scenario, self.fleet.as_deref())?;
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
        Command::Run(words) => words.what.read().and_then(|scenario| words.start(scenario)),
    };
    done.unwrap_or_else(|fault| {
        eprintln!("{fault}");
        ExitCode::from(NOTHING)
    })
}

impl Run {
    #[expect(clippy::print_stdout, reason = "the result of the command")]
    fn start(&self, scenario: Scenario) -> Result<ExitCode, String> {
        let before = self.before.as_deref().map(report::earlier).transpose();
        let before = before.map_err(|error| format!("{error:#}"))?.flatten();
        let options = Options {
            before,
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
