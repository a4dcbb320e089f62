//! Rushlane: a live-commerce streaming network in one binary.
//!
//! docs/ARCHITECTURE.md draws the house, floor by floor.

pub mod admin;
pub mod auth;
pub mod cache;
pub mod cli;
pub mod coding;
pub mod container;
pub mod delivery;
pub mod hooks;
pub mod ingest;
pub mod ledger;
pub mod live;
pub mod media;
pub mod nats;
pub mod net;
pub mod node;
pub mod packaging;
pub mod probe;
pub mod protocol;
pub mod registry;
pub mod relay;
pub mod rooms;
pub mod runtime;
pub mod shed;
pub mod telemetry;
#[cfg(test)]
mod tidy;
