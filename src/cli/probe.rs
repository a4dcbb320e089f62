//! `rushlane probe`: the conformance report, one line a rule.

use std::process::ExitCode;

use clap::Args;

use crate::cli::USAGE;
use crate::probe::{self, DURATION_SECONDS_MAX, Error, Options, Outcome};

/// The words of `rushlane probe`.
#[derive(Debug, Args)]
pub struct Probe {
    /// A multivariant or media playlist (http or https)
    url: String,
    /// How long the playlists are followed
    #[arg(
        long,
        default_value_t = Options::default().duration_seconds,
        value_name = "SECONDS",
        value_parser = clap::value_parser!(u32).range(1..=i64::from(DURATION_SECONDS_MAX))
    )]
    seconds: u32,
    /// Accept certificates of unknown authorities
    #[arg(long)]
    insecure: bool,
}

impl Probe {
    /// Probes and prints: 0 when every rule holds, 1 when one fails or nothing answers, 2 for a
    /// text that is no URL.
    #[expect(clippy::print_stdout, reason = "the report")]
    #[expect(clippy::print_stderr, reason = "why there is no report")]
    pub fn run(self) -> ExitCode {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build();
        let options = Options {
            duration_seconds: self.seconds,
            insecure: self.insecure,
        };
        let report = match runtime {
            Ok(runtime) => runtime.block_on(probe::run(&self.url, options)),
            Err(error) => {
                eprintln!("no runtime: {error}");
                return ExitCode::FAILURE;
            }
        };
        match report {
            Ok(report) => {
                let count = |outcome| {
                    report
                        .rules()
                        .iter()
                        .filter(|rule| rule.outcome == outcome)
                        .count()
                };
                let (passed, skipped) = (count(Outcome::Pass), count(Outcome::Skip));
                println!(
                    "{report}{passed} passed, {} failed, {skipped} skipped",
                    report.failed()
                );
                ExitCode::from(u8::from(report.failed() > 0))
            }
            Err(error @ Error::Url { .. }) => {
                eprintln!("{error}");
                ExitCode::from(USAGE)
            }
            Err(error) => {
                let chain =
                    std::iter::successors(Some(&error as &dyn std::error::Error), |error| {
                        error.source()
                    });
                let text: Vec<String> = chain.map(ToString::to_string).collect();
                eprintln!("{}", text.join(": "));
                ExitCode::FAILURE
            }
        }
    }
}
