//! `rushlane check`: every fault of a configuration file, one a line.

use std::path::Path;
use std::process::ExitCode;

use crate::cli::USAGE;
use crate::node::Role;
use crate::node::config::Config;

/// Validates `path` for `role`; without a role, a file that names parents is an edge's.
#[expect(clippy::print_stdout, reason = "the result of the command")]
#[expect(clippy::print_stderr, reason = "the faults of the file")]
pub fn run(path: &Path, role: Option<Role>) -> ExitCode {
    let role = role.unwrap_or_else(|| guess(path));
    match Config::load(path, role, &[]) {
        Ok(_) => {
            println!("{}: fine for an {role}", path.display());
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("{error}");
            ExitCode::from(USAGE)
        }
    }
}

fn guess(path: &Path) -> Role {
    let text = std::fs::read_to_string(path).unwrap_or_default();
    let table = text.parse::<toml::Table>().unwrap_or_default();
    let parents = table.get("relay").and_then(|relay| relay.get("parents"));
    if parents.is_some() {
        Role::Edge
    } else {
        Role::Origin
    }
}
