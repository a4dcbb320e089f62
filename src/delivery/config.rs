//! What an operator can say about viewers.

use serde::{Deserialize, Serialize};

use crate::cache;
use crate::delivery::FlvConfig;

/// What viewers get and what they may cost.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// How much media a playlist lists, in seconds, at least six segments. 30: what a player needs
    /// to ride out a tunnel, within the live window.
    pub playlist_window_seconds: u32,
    /// How long a track is read after the last request for it, in seconds, at least 10.
    pub idle_seconds: u32,
    /// The most requests that wait on one worker; further ones get 503. 50,000: at about 1 KB each
    /// below what their connections cost.
    pub waiters_max: usize,
    /// Replies to HLS players tell of the object and of this node (CTA-5006, CMSD).
    pub cmsd: bool,
    /// Players may report events of their own accord (CMCD version 2, event mode); without it they
    /// are told to stop.
    pub player_reports: bool,
    /// HTTP-FLV.
    pub flv: FlvConfig,
    /// Segments older than the playlist.
    pub cache: cache::Config,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            playlist_window_seconds: 30,
            idle_seconds: 30,
            waiters_max: 50_000,
            cmsd: true,
            player_reports: true,
            flv: FlvConfig::default(),
            cache: cache::Config::default(),
        }
    }
}
