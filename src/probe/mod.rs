//! The LL-HLS conformance check behind `rushlane probe URL` (R1.10): a strict player that tells
//! which rule a server breaks, ours or anyone's.
//!
//! Knows playlists, HTTP and MP4 from the outside only, and deliberately shares no code with
//! `packaging` or `delivery`: what both got wrong together would pass. Rule names start with the
//! requirement that they check (docs/PROTOCOLS.md).
//!
//! Invariants: every request, body and series is bounded; a broken server yields failed rules, not
//! an error, once its first playlist could be read; queries, which may hold tokens, are not shown.
//!
//! Spec: draft-pantos-hls-rfc8216bis-22; Apple's HLS authoring specification (AAS).

mod client;
mod follow;
mod http_rules;
mod media_rules;
pub mod multivariant;
pub mod playlist;
mod playlist_rules;
mod reader;
mod reload_rules;
mod report;
#[cfg(test)]
mod rules_test;
mod series_rules;
mod visit;

use reqwest::Url;

pub use report::{Outcome, Report, Rule};

/// The longest that a stream is followed, in seconds: what is remembered of it is bounded.
pub const DURATION_SECONDS_MAX: u32 = 60;

/// How to probe.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Options {
    /// How long to follow the stream, in seconds, 1 to [`DURATION_SECONDS_MAX`]. 10: several
    /// segments of every usual length.
    pub duration_seconds: u32,
    /// Accept certificates of unknown authorities, such as those of `rushlane dev`.
    pub insecure: bool,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            duration_seconds: 10,
            insecure: false,
        }
    }
}

/// Why a probe could not be made.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Not a URL.
    #[error("{url:?} is no URL: {source}")]
    Url {
        /// What was given.
        url: String,
        /// Why not.
        source: <Url as std::str::FromStr>::Err,
    },
    /// TLS could not be set up.
    #[error("no HTTP client: {0}")]
    Client(#[source] reqwest::Error),
    /// The server did not answer, or stopped in the middle.
    #[error("{url}: no answer")]
    Request {
        /// What was asked for, without its query.
        url: String,
        /// What happened.
        source: reqwest::Error,
    },
    /// There is no playlist to look at.
    #[error("{url}: no playlist (status {status})")]
    NoPlaylist {
        /// What was asked for, without its query.
        url: String,
        /// The status of the answer.
        status: u16,
    },
    /// A body above 64 MB.
    #[error("{url}: the body is above 64 MB")]
    BodyTooLarge {
        /// What was asked for, without its query.
        url: String,
    },
    /// `content-encoding: gzip` without gzip.
    #[error("{url}: the body is not the gzip that its header promises")]
    BadGzip {
        /// What was asked for, without its query.
        url: String,
    },
}

/// Probes `url`, a multivariant or a media playlist, for about `options.duration_seconds` and a
/// few seconds more. Must run inside a tokio runtime.
///
/// Errors when there is no playlist at all or the server stops answering; everything else is a
/// rule of the report.
pub async fn run(url: &str, options: Options) -> Result<Report, Error> {
    let url = Url::parse(url).map_err(|source| Error::Url {
        url: url.to_owned(),
        source,
    })?;
    visit::visit(&url, &options).await
}
