//! `rushlane-load`: see the library.

use std::process::ExitCode;

fn main() -> ExitCode {
    rushlane_load::words::main()
}
