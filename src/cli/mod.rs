//! The command line: words in, a running node or a report out.
//!
//! Results go to stdout, logs and faults to stderr. Exit codes: 0 fine, 1 failed, 2 bad usage or
//! configuration (INTERFACE, "The command").

mod check;
mod probe;
mod run;
mod token;
mod why;
mod words;

use std::process::ExitCode;

use clap::Parser as _;

use crate::cli::words::{Cli, Command};
use crate::node::{DevOptions, Role};

/// The exit code for bad usage and bad configuration.
const USAGE: u8 = 2;

/// Runs the command that the process was started with.
pub fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => {
            let help = !error.use_stderr();
            // A closed stdout or stderr leaves nobody to tell.
            let _unheard = error.print().is_err();
            return if help {
                ExitCode::SUCCESS
            } else {
                ExitCode::from(USAGE)
            };
        }
    };
    let filter = std::env::var("RUST_LOG").unwrap_or_else(|_| "info".into());
    let _flushed_at_the_end = crate::telemetry::init_logs(cli.log_format, &filter);
    match cli.command {
        Command::Dev(dev) => {
            let options = DevOptions {
                data: dev.data,
                host: !dev.no_host,
                open: dev.open,
            };
            run::dev(&options, &dev.overrides.all())
        }
        Command::Origin(file) => run::node(
            &file.config,
            Role::Origin,
            &file.overrides.all(),
            file.take_over,
        ),
        Command::Edge(file) => run::node(
            &file.config,
            Role::Edge,
            &file.overrides.all(),
            file.take_over,
        ),
        Command::Check(file) => check::run(&file.config, file.role),
        Command::Token(token) => token.run(),
        Command::Probe(probe) => probe.run(),
        Command::Why(why) => why.run(),
    }
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
