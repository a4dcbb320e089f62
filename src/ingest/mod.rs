//! Ingest: encoders come in here; what they push becomes a broadcast in `live`.

pub mod publisher;
pub mod rtmp;
