//! One entry of the deny list.

use std::fmt;
use std::net::IpAddr;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ipnet::IpNet;
use serde::{Deserialize, Serialize};
use ulid::Ulid;

use crate::auth::deny::Suspect;
use crate::media::RoomName;

/// The longest id of a token, in bytes.
const TOKEN_BYTES_MAX: usize = 64;
/// The longest user, in bytes.
const SUB_BYTES_MAX: usize = 64;
/// The longest reason, in characters.
const REASON_CHARACTERS_MAX: usize = 80;
/// The longest time that an entry holds for, in seconds: ten years.
const SECONDS_MAX: i64 = 10 * 366 * 24 * 3600;

/// What an operator wants denied. All that is given must fit for the entry to apply.
#[derive(Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Wanted {
    /// A token, by its id (`jti`), or as a whole.
    pub token: Option<String>,
    /// A user (`sub`).
    pub sub: Option<String>,
    /// In this room only.
    pub room: Option<String>,
    /// An address or a network, such as `192.0.2.7` or `2001:db8::/48`.
    pub address: Option<String>,
    /// For how long; without it, until it is removed.
    pub seconds: Option<i64>,
    /// For those who read the list.
    pub reason: Option<String>,
}

impl fmt::Debug for Wanted {
    /// Without the token, which may be a whole one.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Wanted")
            .field("sub", &self.sub)
            .field("room", &self.room)
            .field("address", &self.address)
            .field("seconds", &self.seconds)
            .field("reason", &self.reason)
            .finish_non_exhaustive()
    }
}

/// An entry in force.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    /// Its name, by which it is removed.
    pub id: String,
    /// A token, by its id.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub token: Option<String>,
    /// A user.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sub: Option<String>,
    /// In this room only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub room: Option<String>,
    /// An address or a network.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub address: Option<IpNet>,
    /// When it was made, in milliseconds since 1970.
    pub at_ms: i64,
    /// Until when it holds, in milliseconds since 1970.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until_ms: Option<i64>,
    /// Why.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

/// Why a command is not carried out.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Fault {
    /// The list belongs to origins.
    #[error("this node keeps no deny list: ask an origin above it")]
    NoAuthor,
    /// It names nobody.
    #[error("name a token, a sub or an address; a room alone is closed by its cut")]
    Nobody,
    /// A field is not what it should be.
    #[error("{field}: {why}")]
    Field {
        /// Which.
        field: &'static str,
        /// Why.
        why: String,
    },
    /// There is no place for it.
    #[error("the list is full ({bytes_max} bytes): remove entries, or change the key instead")]
    Full {
        /// The limit.
        bytes_max: usize,
    },
}

impl Wanted {
    /// The entry that it means.
    pub(super) fn entry(self, now_ms: i64) -> Result<Entry, Fault> {
        let fault = |field, why: &str| Fault::Field {
            field,
            why: why.to_owned(),
        };
        if self.token.is_none() && self.sub.is_none() && self.address.is_none() {
            return Err(Fault::Nobody);
        }
        let fits = |text: &str, bytes_max| {
            (1..=bytes_max).contains(&text.len()) && !text.chars().any(char::is_control)
        };
        let token = match self.token.map(token_id) {
            Some(None) => return Err(fault("token", "it has no id (jti): deny its sub instead")),
            Some(id) => id,
            None => None,
        };
        if !token.as_deref().is_none_or(|id| fits(id, TOKEN_BYTES_MAX)) {
            return Err(fault(
                "token",
                "give the token's id (jti), of 1 to 64 bytes",
            ));
        }
        if !self
            .sub
            .as_deref()
            .is_none_or(|sub| fits(sub, SUB_BYTES_MAX))
        {
            return Err(fault("sub", "give a user of 1 to 64 bytes"));
        }
        if let Some(Err(error)) = self.room.as_deref().map(RoomName::parse) {
            return Err(fault("room", &error.to_string()));
        }
        let address = self.address.as_deref().map(network).transpose();
        let address = address.map_err(|()| fault("address", "give an IP address or a network"))?;
        if !self
            .seconds
            .is_none_or(|seconds| (1..=SECONDS_MAX).contains(&seconds))
        {
            return Err(fault("seconds", "give 1 second to ten years"));
        }
        let visible = |text: String| -> String {
            let visible = text.chars().filter(|c| !c.is_control());
            visible.take(REASON_CHARACTERS_MAX).collect()
        };
        Ok(Entry {
            id: Ulid::new().to_string(),
            token,
            sub: self.sub,
            room: self.room,
            address,
            at_ms: now_ms,
            until_ms: self.seconds.map(|seconds| now_ms + seconds * 1000),
            reason: self.reason.map(visible),
        })
    }
}

impl Entry {
    /// True when it denies what `other` denies, whatever their times and reasons.
    pub(super) fn is_like(&self, other: &Self) -> bool {
        let named = |entry: &Self| {
            let (token, sub) = (entry.token.clone(), entry.sub.clone());
            (token, sub, entry.room.clone(), entry.address)
        };
        named(self) == named(other)
    }

    /// True while it holds.
    pub(super) fn holds(&self, now_ms: i64) -> bool {
        self.until_ms.is_none_or(|until_ms| until_ms > now_ms)
    }

    /// True when all that it names is so of `suspect`.
    pub(super) fn names(&self, suspect: &Suspect<'_>) -> bool {
        let same = |wanted: &Option<String>, found| wanted.as_deref().is_none_or(|w| w == found);
        same(&self.token, suspect.token)
            && same(&self.sub, suspect.sub)
            && same(&self.room, suspect.room)
            && self
                .address
                .is_none_or(|network| network.contains(&suspect.address))
    }
}

/// The id of a token: `text` itself, or what stands in it when it is a whole token. `None`: it is
/// one without an id. Nothing is verified: who denies too much takes it back.
fn token_id(text: String) -> Option<String> {
    #[derive(Deserialize)]
    struct Named {
        #[serde(default)]
        jti: String,
    }
    let parts: Vec<&str> = text.split('.').collect();
    let payload = match parts.as_slice() {
        [payload, _] | [_, payload, _] => URL_SAFE_NO_PAD.decode(payload).ok(),
        _ => None,
    };
    let named = payload.and_then(|json| serde_json::from_slice::<Named>(&json).ok());
    match named {
        Some(Named { jti }) => Some(jti).filter(|id| !id.is_empty()),
        None => Some(text),
    }
}

/// Reads a network, or an address as the network of itself alone.
fn network(text: &str) -> Result<IpNet, ()> {
    if let Ok(address) = text.parse::<IpAddr>() {
        return Ok(address.to_canonical().into());
    }
    let network: IpNet = text.parse().map_err(|_| ())?;
    Ok(network.trunc())
}
