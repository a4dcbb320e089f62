//! How long a cache may keep an answer (DOMAIN table 1.4, R1.7; HLS-22 Appendix B.1).

use crate::packaging::hls::Terms;

/// What is answered, as far as caches care.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Answer {
    /// The multivariant playlist.
    Multivariant,
    /// A media playlist to a request without `_HLS_msn`.
    Playlist,
    /// A media playlist to a request with `_HLS_msn`: its URL names what it must hold.
    BlockingPlaylist,
    /// The last playlist of a broadcast that has ended.
    EndedPlaylist,
    /// Part, segment or initialization: the URL never names other bytes (D8).
    Media,
    /// 404 for a playlist or a media object.
    Missing,
    /// 410: the broadcast has ended and is gone.
    Gone,
    /// 400, 401, 403, 5xx.
    Refused,
}

/// What `Cache-Control` says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Lifetime {
    /// `no-store`.
    NoStore,
    /// `max-age` in seconds.
    Seconds(u32),
    /// A day, and `immutable`.
    Immutable,
}

/// A day: longer than a broadcast, short enough that caches turn over.
const IMMUTABLE_SECONDS: u32 = 86_400;
/// The last playlist of a show: it does not change, but a room may start its next show.
const ENDED_SECONDS: u32 = 60;

impl Lifetime {
    /// The lifetime of `answer` under `terms`.
    #[must_use]
    pub fn of(answer: Answer, terms: &Terms) -> Self {
        let target = terms.target_seconds();
        match answer {
            Answer::Multivariant | Answer::Playlist => Self::Seconds(target.div_ceil(2)),
            Answer::BlockingPlaylist | Answer::Gone => Self::Seconds(6 * target),
            Answer::EndedPlaylist => Self::Seconds(ENDED_SECONDS),
            Answer::Media => Self::Immutable,
            Answer::Missing => Self::Seconds(target),
            Answer::Refused => Self::NoStore,
        }
    }
}

impl std::fmt::Display for Lifetime {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::NoStore => f.write_str("no-store"),
            Self::Seconds(seconds) => write!(f, "max-age={seconds}"),
            Self::Immutable => write!(f, "max-age={IMMUTABLE_SECONDS}, immutable"),
        }
    }
}
