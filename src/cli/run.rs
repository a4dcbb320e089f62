//! `rushlane origin`, `edge` and `dev`: load, start, wait for the signal, drain.

use std::path::Path;
use std::process::ExitCode;

use crate::cli::USAGE;
use crate::node::config::{Config, Override};
use crate::node::{self, ConfigOrigin, DevOptions, Role};
use crate::runtime::process;

/// Runs one node from its file until a signal.
#[expect(clippy::print_stderr, reason = "the faults of the file")]
pub fn node(path: &Path, role: Role, overrides: &[Override], take_over: bool) -> ExitCode {
    match Config::load(path, role, overrides) {
        Ok(config) => {
            let origin = ConfigOrigin {
                path: path.to_owned(),
                overrides: overrides.to_vec(),
            };
            process::use_small_pages();
            code(node::run(config, role, origin, take_over))
        }
        Err(error) => {
            eprintln!("{error}");
            ExitCode::from(USAGE)
        }
    }
}

/// Runs the embedded default until a signal.
pub fn dev(options: &DevOptions, overrides: &[Override]) -> ExitCode {
    process::use_small_pages();
    code(node::run_dev(options, overrides))
}

/// Faults that the user can mend (a taken port, a missing file, a bad key) are 2, the rest 1.
#[expect(clippy::print_stderr, reason = "the reason of the failure")]
fn code(result: Result<(), node::Error>) -> ExitCode {
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::from(if error.is_configuration() { USAGE } else { 1 })
        }
    }
}
