//! Log output: key-value lines or JSON on stderr.

use std::io::{self, IsTerminal as _};

use clap::ValueEnum;
use tracing_subscriber::EnvFilter;

/// These warn of each oddity that a stranger sends, which would let strangers fill the log. A
/// filter that names one overrules this.
const QUIET: &str = "rustls=error,h2=error";

/// How log lines look.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum)]
pub enum LogFormat {
    /// One readable line an event.
    #[default]
    Text,
    /// One JSON object an event.
    Json,
}

/// Starts logging to stderr; `filter` is in the grammar of `RUST_LOG` (a fault in it falls back to
/// `info`). A full disk or a closed pipe behind stderr loses lines and nothing else.
pub fn init_logs(format: LogFormat, filter: &str) {
    let filter = EnvFilter::try_new(format!("{QUIET},{filter}"))
        .unwrap_or_else(|_| EnvFilter::new(format!("{QUIET},info")));
    let builder = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_ansi(io::stderr().is_terminal())
        // It would tell stderr that stderr cannot be written, and panic over that.
        .log_internal_errors(false)
        .with_writer(io::stderr);
    let started = match format {
        LogFormat::Text => builder.with_target(true).try_init(),
        LogFormat::Json => builder.json().flatten_event(true).try_init(),
    };
    if let Err(error) = started {
        tracing::debug!(%error, "logging was started before");
    }
}
