//! Log output: key-value lines or JSON on stderr.

use std::io::{self, IsTerminal as _};

use clap::ValueEnum;
use tracing_appender::non_blocking::{NonBlockingBuilder, WorkerGuard};
use tracing_subscriber::EnvFilter;

/// These warn of each oddity that a stranger sends, which would let strangers fill the log. A
/// filter that names one overrules this.
const QUIET: &str = "rustls=error,h2=error";

/// Lines that wait for a stderr that stands still; further ones are lost. 8,192: some seconds of a
/// busy node, about 2 MB.
const LINES_MAX: usize = 8192;

/// How log lines look.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum)]
pub enum LogFormat {
    /// One readable line an event.
    #[default]
    Text,
    /// One JSON object an event.
    Json,
}

/// Writes the lines that still wait when it is dropped: hold it until the process ends.
#[must_use]
pub struct Flush(#[expect(dead_code, reason = "held for its drop")] WorkerGuard);

/// Starts logging to stderr; `filter` is in the grammar of `RUST_LOG` (a fault in it falls back to
/// `info`). A full disk, a closed pipe or a pipe that nobody reads behind stderr loses lines and
/// nothing else: a thread of its own writes them.
pub fn init_logs(format: LogFormat, filter: &str) -> Flush {
    let filter = EnvFilter::try_new(format!("{QUIET},{filter}"))
        .unwrap_or_else(|_| EnvFilter::new(format!("{QUIET},info")));
    let queue = NonBlockingBuilder::default()
        .lossy(true)
        .buffered_lines_limit(LINES_MAX);
    let (writer, guard) = queue.finish(io::stderr());
    let builder = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_ansi(io::stderr().is_terminal())
        // It would tell stderr that stderr cannot be written, and panic over that.
        .log_internal_errors(false)
        .with_writer(writer);
    let started = match format {
        LogFormat::Text => builder.with_target(true).try_init(),
        LogFormat::Json => builder.json().flatten_event(true).try_init(),
    };
    if let Err(error) = started {
        tracing::debug!(%error, "logging was started before");
    }
    Flush(guard)
}
