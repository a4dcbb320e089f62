//! What a moderator may decide. Pure.

use crate::protocol::interact::command::Moderation;
use crate::protocol::interact::question::Refusal;
use crate::rooms::authority::refusal::malformed;

/// The longest sanction, in seconds: a year.
const SANCTION_SECONDS_MAX: u32 = 31_536_000;

/// The slowest slow mode, in seconds (R5.6).
const SLOW_SECONDS_MAX: u32 = 120;

/// The longest name of a user or a comment, in bytes.
const ID_BYTES_MAX: usize = 64;

/// The action's word and whom or what it concerns.
pub(super) fn check(moderation: &Moderation) -> Result<(&'static str, &str), Refusal> {
    let (action, subject, seconds, seconds_max) = match moderation {
        Moderation::Mute { user, seconds } => ("mute", user, *seconds, SANCTION_SECONDS_MAX),
        Moderation::Ban { user, seconds } => ("ban", user, *seconds, SANCTION_SECONDS_MAX),
        Moderation::Unmute { user } => ("unmute", user, 0, 0),
        Moderation::Unban { user } => ("unban", user, 0, 0),
        Moderation::Retract { id } => ("retract", id, 0, 0),
        Moderation::Slow { seconds } if *seconds <= SLOW_SECONDS_MAX => return Ok(("slow", "")),
        Moderation::Slow { .. } => {
            let detail = format!("`seconds` has to be at most {SLOW_SECONDS_MAX}");
            return Err(malformed(&detail));
        }
    };
    if seconds > seconds_max {
        let detail = format!("`seconds` has to be at most {seconds_max}");
        return Err(malformed(&detail));
    }
    if !(1..=ID_BYTES_MAX).contains(&subject.len()) || subject.chars().any(char::is_control) {
        let detail = format!("the name has to be 1 to {ID_BYTES_MAX} bytes");
        return Err(malformed(&detail));
    }
    Ok((action, subject))
}
