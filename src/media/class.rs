//! The classes of interaction, from "never lost" to "only the sum counts" (INTERFACE, "Interact").

use serde::{Deserialize, Serialize};

/// What is promised of an event; smaller goes first on every link and is shed last.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "u8", into = "u8")]
#[repr(u8)]
pub enum Class {
    /// 0: orders and their answers, stock and sale events, bans. Stored before the ack, never
    /// dropped.
    Order = 0,
    /// 1: what the host says and shows: cards, pins, notices. In order, refilled after a gap.
    Program = 1,
    /// 2: meant for one member: own echo, replies. Best effort, in order, sampled last.
    Personal = 2,
    /// 3: comments. Best effort, sampled to what a viewer can read.
    Comment = 3,
    /// 4: likes, presence, counts. Totals only; the newest replaces the others.
    Total = 4,
}

/// A number that is no class.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("there is no class {0}: use 0 to 4")]
pub struct UnknownClass(pub u8);

impl TryFrom<u8> for Class {
    type Error = UnknownClass;
    fn try_from(number: u8) -> Result<Self, UnknownClass> {
        Ok(match number {
            0 => Self::Order,
            1 => Self::Program,
            2 => Self::Personal,
            3 => Self::Comment,
            4 => Self::Total,
            other => return Err(UnknownClass(other)),
        })
    }
}

impl From<Class> for u8 {
    fn from(class: Class) -> Self {
        class as Self
    }
}
