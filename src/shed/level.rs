//! The steps of the ladder, in their declared order, and what each makes of a rhythm or a number.

use std::time::Duration;

use serde::{Deserialize, Serialize};

/// How much of its service a node gives up. Each level includes those before it.
///
/// Orders and their answers are not among them, at any level.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize,
)]
#[serde(rename_all = "snake_case")]
#[repr(u8)]
pub enum Level {
    /// Nothing.
    #[default]
    Normal,
    /// Totals of likes are told each second instead of five times a second.
    StretchLikes,
    /// Members see a third of the comments, and totals every five seconds.
    SampleComments,
    /// New LL-HLS and HLS sessions are not offered the best rendition.
    DropTopRung,
    /// New sessions are given plain HLS: a quarter of the requests, some seconds more delay.
    PlainHls,
    /// New viewers wait for their turn.
    JoinQueue,
    /// New viewers are sent to another edge.
    Redirect,
}

impl Level {
    /// All levels, the mildest first.
    pub const ALL: [Self; 7] = [
        Self::Normal,
        Self::StretchLikes,
        Self::SampleComments,
        Self::DropTopRung,
        Self::PlainHls,
        Self::JoinQueue,
        Self::Redirect,
    ];

    /// The level's name in metrics, logs and the admin API.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Normal => "normal",
            Self::StretchLikes => "stretch_likes",
            Self::SampleComments => "sample_comments",
            Self::DropTopRung => "drop_top_rung",
            Self::PlainHls => "plain_hls",
            Self::JoinQueue => "join_queue",
            Self::Redirect => "redirect",
        }
    }

    /// How often totals are told that are told every `usual`.
    #[must_use]
    pub fn like_tick(self, usual: Duration) -> Duration {
        match self {
            Self::Normal => usual,
            Self::StretchLikes => usual.max(Duration::from_secs(1)),
            _ => usual.max(Duration::from_secs(5)),
        }
    }

    /// How many of `usual` comments a second are shown; never none.
    #[must_use]
    pub fn visible_per_second(self, usual: u32) -> u32 {
        match self {
            Self::Normal | Self::StretchLikes => usual,
            _ => usual.div_ceil(3),
        }
    }

    /// The next level up; itself at the top.
    pub(super) fn above(self) -> Self {
        Self::from_index(self as u8 + 1)
    }

    /// The next level down; itself at the bottom.
    pub(super) fn below(self) -> Self {
        Self::from_index((self as u8).saturating_sub(1))
    }

    /// The level of that number; the last one for numbers beyond it.
    pub(super) fn from_index(index: u8) -> Self {
        let index = usize::from(index).min(Self::ALL.len() - 1);
        Self::ALL[index]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn levels_are_numbered_in_their_order() {
        for (index, level) in (0..).zip(Level::ALL) {
            assert_eq!(level as u8, index);
            assert_eq!(Level::from_index(index), level);
            let json = serde_json::to_string(&level).unwrap();
            assert_eq!(json, format!("\"{}\"", level.as_str()));
        }
        assert_eq!(Level::Redirect.above(), Level::Redirect);
        assert_eq!(Level::Normal.below(), Level::Normal);
    }

    #[test]
    fn ticks_only_grow_and_comments_only_shrink() {
        let usual = Duration::from_millis(200);
        let ticks = Level::ALL.map(|level| level.like_tick(usual).as_millis());
        assert_eq!(ticks, [200, 1000, 5000, 5000, 5000, 5000, 5000]);
        let shown = Level::ALL.map(|level| level.visible_per_second(30));
        assert_eq!(shown, [30, 30, 10, 10, 10, 10, 10]);
        assert_eq!(Level::Redirect.visible_per_second(1), 1);
    }
}
