//! A broadcast: one show of one room, from its first frame to its end.

use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

/// The longest room name, in bytes.
pub const ROOM_NAME_BYTES_MAX: usize = 64;

/// The name of a room: 1 to 64 of `a-z A-Z 0-9 _ -` (INTERFACE, "Publish").
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct RoomName(Arc<str>);

/// Why a text is no room name; the text is shown to the encoder.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RoomNameError {
    /// Nothing was given.
    #[error("the room name is empty: use 1 to {ROOM_NAME_BYTES_MAX} of a-z A-Z 0-9 _ -")]
    Empty,
    /// More than [`ROOM_NAME_BYTES_MAX`] bytes.
    #[error("the room name has {bytes} bytes: use at most {ROOM_NAME_BYTES_MAX}")]
    TooLong {
        /// How many bytes were given.
        bytes: usize,
    },
    /// A character outside the alphabet.
    #[error("the room name has the character {character:?}: use only a-z A-Z 0-9 _ -")]
    Character {
        /// The first character that is not allowed.
        character: char,
    },
}

impl RoomName {
    /// Checks `name` against the alphabet and the length.
    pub fn parse(name: &str) -> Result<Self, RoomNameError> {
        if name.is_empty() {
            return Err(RoomNameError::Empty);
        }
        if name.len() > ROOM_NAME_BYTES_MAX {
            return Err(RoomNameError::TooLong { bytes: name.len() });
        }
        let allowed = |c: &char| c.is_ascii_alphanumeric() || *c == '_' || *c == '-';
        if let Some(character) = name.chars().find(|c| !allowed(c)) {
            return Err(RoomNameError::Character { character });
        }
        Ok(Self(name.into()))
    }

    /// The name as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for RoomName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for RoomName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", &*self.0)
    }
}

impl std::borrow::Borrow<str> for RoomName {
    fn borrow(&self) -> &str {
        &self.0
    }
}

impl TryFrom<String> for RoomName {
    type Error = RoomNameError;
    fn try_from(name: String) -> Result<Self, Self::Error> {
        Self::parse(&name)
    }
}

impl From<RoomName> for String {
    fn from(name: RoomName) -> Self {
        name.0.as_ref().to_owned()
    }
}

/// Part timing, frozen for the life of a broadcast (D5, R1.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Timing {
    /// PART-TARGET: the ceiling that no part exceeds, in milliseconds.
    pub part_ms: u32,
    /// PART-HOLD-BACK, at least three parts, in milliseconds.
    pub hold_back_ms: u32,
    /// The segment that the cutter aims at, and TARGETDURATION, in milliseconds (a whole number of
    /// seconds).
    pub segment_ms: u32,
}

/// The named timings of D5.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Profile {
    /// 0.2 / 0.6 / 1 s.
    Ultra,
    /// 0.334 / 1.002 / 2 s: 8 frames at 24 per second, 10 at 30, 20 at 60.
    #[default]
    Low,
    /// 0.5 / 1.5 / 2 s.
    Balanced,
    /// 1 / 3 / 4 s.
    Economy,
}

impl Profile {
    /// The figures behind the name.
    #[must_use]
    pub fn timing(self) -> Timing {
        let (part_ms, segment_ms) = match self {
            Self::Ultra => (200, 1000),
            Self::Low => (334, 2000),
            Self::Balanced => (500, 2000),
            Self::Economy => (1000, 4000),
        };
        Timing {
            part_ms,
            hold_back_ms: part_ms * 3,
            segment_ms,
        }
    }
}

/// The longest epoch, in bytes.
pub const EPOCH_BYTES_MAX: usize = 16;

/// What a broadcast of a room holds. A room has at most one of each at a time.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize,
)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// The show: pictures and sound, from the host's first frame to the last.
    #[default]
    Show,
    /// The room's events: one data track for each class. Opens before the show and outlives it.
    Events,
}

/// What every node knows of a broadcast. It never changes while the broadcast lives.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Info {
    /// The room.
    pub room: RoomName,
    /// What it holds.
    pub kind: Kind,
    /// Names this show in every media URL, so that no URL is used twice (D8): 1 to 16 of `a-z 0-9`.
    pub epoch: Arc<str>,
    /// When the origin opened the broadcast, in microseconds since 1970.
    pub started_us: i64,
    /// Part timing.
    pub timing: Timing,
}

/// The epoch of a broadcast that starts at `unix_us`: milliseconds in base 36, so that later shows
/// sort later.
#[must_use]
pub fn epoch_at(unix_us: i64) -> Arc<str> {
    let mut rest = u64::try_from(unix_us / 1000).unwrap_or(0);
    let mut digits = Vec::with_capacity(EPOCH_BYTES_MAX);
    loop {
        let digit = u8::try_from(rest % 36).expect("a remainder of 36 fits a byte");
        digits.push(if digit < 10 {
            b'0' + digit
        } else {
            b'a' + digit - 10
        });
        rest /= 36;
        if rest == 0 {
            break;
        }
    }
    digits
        .iter()
        .rev()
        .map(|&digit| char::from(digit))
        .collect::<String>()
        .into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn room_names_are_checked() {
        assert!(RoomName::parse("Room_1-a").is_ok());
        assert_eq!(RoomName::parse(""), Err(RoomNameError::Empty));
        assert_eq!(
            RoomName::parse(&"a".repeat(65)),
            Err(RoomNameError::TooLong { bytes: 65 })
        );
        assert_eq!(
            RoomName::parse("a/b"),
            Err(RoomNameError::Character { character: '/' })
        );
        assert_eq!(
            RoomName::parse("直播"),
            Err(RoomNameError::Character { character: '直' })
        );
    }

    #[test]
    fn epochs_sort_by_time() {
        assert_eq!(&*epoch_at(0), "0");
        assert!(epoch_at(1_763_800_000_000_000) < epoch_at(1_763_800_000_001_000));
    }
}
