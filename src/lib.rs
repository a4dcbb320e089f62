//! Rushlane: a live-commerce streaming network in one binary. docs/ARCHITECTURE.md draws the house; `tidy.rs` guards its floors.

pub mod coding;
pub mod live;
pub mod media;
pub mod net;
pub mod runtime;
pub mod telemetry;
