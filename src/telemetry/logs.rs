//! Log output: key-value lines or JSON on stderr.

use std::io::{self, IsTerminal as _};
use std::sync::OnceLock;

use clap::ValueEnum;
use tracing_appender::non_blocking::{NonBlockingBuilder, WorkerGuard};
use tracing_subscriber::filter::ParseError;
use tracing_subscriber::{EnvFilter, reload};

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

/// Puts another filter in the place of the one in force.
type Replace = Box<dyn Fn(EnvFilter) -> Result<(), reload::Error> + Send + Sync>;

/// Logging is the process's, and so is its filter.
static REPLACE: OnceLock<Replace> = OnceLock::new();

/// Starts logging to stderr; `filter` is in the grammar of `RUST_LOG` (a fault in it falls back to
/// `info`). A full disk, a closed pipe or a pipe that nobody reads behind stderr loses lines and
/// nothing else: a thread of its own writes them.
pub fn init_logs(format: LogFormat, filter: &str) -> Flush {
    let filter = parse(filter).unwrap_or_else(|_| EnvFilter::new(format!("{QUIET},info")));
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
    let (started, replace): (_, Replace) = match format {
        LogFormat::Text => {
            let builder = builder.with_target(true).with_filter_reloading();
            let handle = builder.reload_handle();
            let replace = Box::new(move |filter| handle.reload(filter));
            (builder.try_init(), replace)
        }
        LogFormat::Json => {
            let builder = builder.json().flatten_event(true).with_filter_reloading();
            let handle = builder.reload_handle();
            let replace = Box::new(move |filter| handle.reload(filter));
            (builder.try_init(), replace)
        }
    };
    match started {
        Ok(()) => {
            let _was_empty = REPLACE.set(replace).is_ok();
        }
        Err(error) => tracing::debug!(%error, "logging was started before"),
    }
    Flush(guard)
}

/// Logs by `filter`, in the grammar of `RUST_LOG`, from now on.
///
/// Errors: what is wrong with the filter; the old one stays in force.
pub fn set_log_filter(filter: &str) -> Result<(), String> {
    let filter = parse(filter).map_err(|error| error.to_string())?;
    match REPLACE.get() {
        Some(replace) => replace(filter).map_err(|error| error.to_string()),
        None => Ok(()),
    }
}

/// Whether `filter` could be set; else what is wrong with it.
pub fn check_log_filter(filter: &str) -> Result<(), String> {
    parse(filter).map(drop).map_err(|error| error.to_string())
}

fn parse(filter: &str) -> Result<EnvFilter, ParseError> {
    EnvFilter::try_new(format!("{QUIET},{filter}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn filters_are_checked_before_they_are_set() {
        assert_eq!(check_log_filter("info,rushlane::relay=debug"), Ok(()));
        assert!(check_log_filter("rushlane=loud").is_err());
        assert!(set_log_filter("a=b=c").is_err());
    }
}
