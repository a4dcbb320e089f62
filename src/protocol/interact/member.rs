//! Who is in a room, as the others see him.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::protocol::interact::text;

/// The longest id, in bytes.
pub const ID_BYTES_MAX: usize = 64;
/// The longest name, in characters.
pub const NAME_CHARACTERS_MAX: usize = 32;
/// The longest name, in bytes: [`NAME_CHARACTERS_MAX`] of the longest characters.
pub const NAME_BYTES_MAX: usize = 4 * NAME_CHARACTERS_MAX;

/// What somebody may do in a room. Later ones may all that earlier ones may.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize,
)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// Watches, likes, comments, orders.
    #[default]
    Viewer,
    /// A viewer who has bought in this room; said by the platform's token.
    Buyer,
    /// Mutes, bans and retracts.
    Moderator,
    /// Shows cards, pins, opens sales.
    Host,
    /// The operator.
    Admin,
}

/// Somebody in a room.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Member {
    /// Pseudonymous; 1 to 64 bytes of printable characters without spaces.
    pub id: Arc<str>,
    /// Shown beside what he says; at most 32 characters.
    pub name: Arc<str>,
    /// What he may do.
    pub role: Role,
}

/// Why somebody cannot be called so.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum MemberFault {
    /// No id, or too long.
    #[error("a user id of {0} bytes: use 1 to {ID_BYTES_MAX}")]
    IdLength(usize),
    /// A character that cannot be seen or that reorders others.
    #[error("a user id with the character {0:?}: use visible characters without spaces")]
    IdCharacter(char),
    /// Too long.
    #[error("a name of {0} characters: use at most {NAME_CHARACTERS_MAX}")]
    NameLength(usize),
    /// A character that cannot be seen or that reorders others.
    #[error("a name with the character {0:?}: use visible characters and single spaces")]
    NameCharacter(char),
}

impl Member {
    /// Checks `id` and `name`; without a name the id is shown, as far as it fits.
    pub fn new(id: &str, name: &str, role: Role) -> Result<Self, MemberFault> {
        check_id(id)?;
        let name = name.trim();
        check_name(name)?;
        let name: Arc<str> = match name {
            "" => id
                .chars()
                .take(NAME_CHARACTERS_MAX)
                .collect::<String>()
                .into(),
            name => name.into(),
        };
        Ok(Self {
            id: id.into(),
            name,
            role,
        })
    }
}

fn check_id(id: &str) -> Result<(), MemberFault> {
    if id.is_empty() || id.len() > ID_BYTES_MAX {
        return Err(MemberFault::IdLength(id.len()));
    }
    match id
        .chars()
        .find(|&c| c.is_whitespace() || text::is_hidden(c))
    {
        Some(character) => Err(MemberFault::IdCharacter(character)),
        None => Ok(()),
    }
}

fn check_name(name: &str) -> Result<(), MemberFault> {
    let characters = name.chars().count();
    if characters > NAME_CHARACTERS_MAX {
        return Err(MemberFault::NameLength(characters));
    }
    let mut marks = 0;
    for character in name.chars() {
        let space = character.is_whitespace() && character != ' ';
        marks = if text::is_mark(character) {
            marks + 1
        } else {
            0
        };
        if space || text::is_hidden(character) || marks > text::MARKS_MAX {
            return Err(MemberFault::NameCharacter(character));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_deceive_are_refused() {
        let check = |id: &str, name: &str, fault: Option<MemberFault>| {
            assert_eq!(
                Member::new(id, name, Role::Viewer).err(),
                fault,
                "{id:?} {name:?}"
            );
        };
        check("u_1", "李 Li", None);
        check("用户", "", None);
        check("", "Li", Some(MemberFault::IdLength(0)));
        check(&"u".repeat(65), "Li", Some(MemberFault::IdLength(65)));
        check("a b", "Li", Some(MemberFault::IdCharacter(' ')));
        check(
            "a\u{200b}",
            "Li",
            Some(MemberFault::IdCharacter('\u{200b}')),
        );
        check("u", &"名".repeat(33), Some(MemberFault::NameLength(33)));
        check(
            "u",
            "a\u{202e}b",
            Some(MemberFault::NameCharacter('\u{202e}')),
        );
        check("u", "a\nb", Some(MemberFault::NameCharacter('\n')));
        check(
            "u",
            "a\u{300}\u{300}\u{300}\u{300}",
            Some(MemberFault::NameCharacter('\u{300}')),
        );
    }

    #[test]
    fn member_without_a_name_is_called_by_his_id() {
        let member = Member::new(&"x".repeat(40), " ", Role::Viewer).unwrap();
        assert_eq!(&*member.name, "x".repeat(32));
    }
}
