//! Why somebody is not let in.

use crate::protocol::interact::MemberFault;

/// Why somebody is not let in. The text may be shown to him; it repeats nothing of the token.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// No token, and one is needed.
    #[error("a token is needed")]
    Missing,
    /// The text is no token.
    #[error("this is no token of ours")]
    Malformed,
    /// Signed by a key that is not, or no longer, ours.
    #[error("the token is signed by an unknown key")]
    UnknownKey,
    /// The claims are not those that were signed.
    #[error("the token's signature does not match")]
    Signature,
    /// Too early.
    #[error("the token is not valid yet")]
    NotYet,
    /// Too old.
    #[error("the token has expired")]
    Expired,
    /// Good elsewhere.
    #[error("the token is for another room")]
    OtherRoom,
    /// Good for something else.
    #[error("the token is for another purpose")]
    Scope,
    /// Bound to another address: a token that was passed on.
    #[error("the token is for another address")]
    OtherAddress,
    /// On the deny list.
    #[error("access has been withdrawn")]
    Withdrawn,
    /// Who he says he is cannot be shown to others.
    #[error(transparent)]
    Member(#[from] MemberFault),
}

impl Refusal {
    /// The HTTP status: 401 without a token, 403 with one that is not good, 400 for a bad name.
    #[must_use]
    pub fn status(&self) -> u16 {
        match self {
            Self::Missing => 401,
            Self::Member(_) => 400,
            _ => 403,
        }
    }

    /// A short word for programs.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::Missing => "no_token",
            Self::Malformed | Self::UnknownKey | Self::Signature => "bad_token",
            Self::NotYet | Self::Expired => "expired_token",
            Self::OtherRoom | Self::Scope | Self::OtherAddress => "other_token",
            Self::Withdrawn => "withdrawn",
            Self::Member(_) => "bad_name",
        }
    }
}
