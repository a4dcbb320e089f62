//! The load test: players, members and buyers as they come over the wire, and a verdict.
//!
//! Knows the fleet from outside only: what a viewer can see, and what nodes say of themselves at
//! `/metrics`. It never asks a node how a viewer fares.
//!
//! Invariants: every action has a planned time, from which its sample is taken, so that a slow
//! server cannot slow down the load that measures it; a rate ceiling and a time limit are always in
//! force; when this machine is the limit, there is no verdict.

mod abr;
pub mod actors;
pub mod capacity;
mod check;
pub mod clip;
pub mod collect;
pub mod crew;
pub mod events;
pub mod fleet;
pub mod flv;
mod fragment;
pub mod gates;
mod http3;
pub mod link;
pub mod machine;
pub mod mark;
pub mod pace;
pub mod playback;
pub mod report;
pub mod run;
pub mod scenario;
pub mod scrape;
pub mod share;
pub mod stage;
#[path = "../../benches/stamp.rs"]
pub mod stamp;
pub mod tally;
pub mod verdict;
pub mod web;
pub mod words;
