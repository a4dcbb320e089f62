//! The words of the command line.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};

use crate::cli::probe::Probe;
use crate::cli::token::Token;
use crate::cli::why::Why;
use crate::node::Role;
use crate::node::config::{self, Override};
use crate::telemetry::LogFormat;

/// Rushlane: live-commerce streaming. Hosts push to an origin, edges serve the viewers.
#[derive(Debug, Parser)]
#[command(
    name = "rushlane",
    version,
    propagate_version = true,
    max_term_width = 100
)]
pub struct Cli {
    /// How log lines on stderr look. RUST_LOG sets what is logged (default: info)
    #[arg(
        long,
        value_enum,
        default_value = "text",
        global = true,
        value_name = "FORMAT"
    )]
    pub log_format: LogFormat,
    #[command(subcommand)]
    pub command: Command,
}

#[derive(Debug, Subcommand)]
pub enum Command {
    /// Try it out: an origin and an edge in one process, with a demo host in room `demo`
    Dev(Dev),
    /// Run an origin: hosts push to it, edges pull from it
    Origin(NodeFile),
    /// Run an edge: it pulls from its parents and serves viewers; it may be a parent itself
    Edge(NodeFile),
    /// Validate a configuration file and name every fault in it
    Check(CheckFile),
    /// Print a signed token, and for play and publish the URL that it opens
    Token(Token),
    /// Check any live LL-HLS URL, ours or not, against the rules; one line per rule
    Probe(Probe),
    /// Say why a room is late: every hop now and as it usually is, the first bad one named
    Why(Why),
}

#[derive(Debug, Args)]
pub struct Dev {
    /// Write the relay's CA and certificates of this run into DIR/tls, to join other nodes with
    #[arg(long, value_name = "DIR")]
    pub data: Option<PathBuf>,
    /// Leave the demo host out
    #[arg(long)]
    pub no_host: bool,
    /// Open the player page in the browser
    #[arg(long)]
    pub open: bool,
    #[command(flatten)]
    pub overrides: Overrides,
}

#[derive(Debug, Args)]
pub struct NodeFile {
    /// The configuration file (TOML); config/ in the source tree holds annotated ones
    #[arg(short, long, value_name = "FILE")]
    pub config: PathBuf,
    /// Takes the place of the process that started this one; see docs/OPERATIONS.md
    #[arg(long, hide = true)]
    pub take_over: bool,
    #[command(flatten)]
    pub overrides: Overrides,
}

#[derive(Debug, Args)]
pub struct CheckFile {
    /// The configuration file (TOML)
    #[arg(short, long, value_name = "FILE")]
    pub config: PathBuf,
    /// Which node the file is for; without it, a file with relay.parents is an edge's
    #[arg(long, value_enum)]
    pub role: Option<Role>,
}

#[derive(Debug, Args)]
pub struct Overrides {
    /// Set a configuration key over the file and the environment; may be given more than once
    #[arg(
        long = "set",
        value_name = "SECTION.KEY=VALUE",
        value_parser = config::override_from_flag
    )]
    pub set: Vec<Override>,
}

impl Overrides {
    /// Environment first, flags on top.
    pub fn all(self) -> Vec<Override> {
        let mut all = config::overrides_from_environment(std::env::vars());
        all.extend(self.set);
        all
    }
}
