//! The `rushlane` command.

fn main() {}
