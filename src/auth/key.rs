//! Keys that sign tokens, from the configuration or from files of their own.

use std::fmt;
use std::path::{Path, PathBuf};

use aws_lc_rs::hmac;
use serde::{Deserialize, Serialize};

/// The shortest secret, in bytes: what HMAC-SHA256 yields (RFC 2104, section 3).
pub const SECRET_BYTES_MIN: usize = 32;
/// The longest id of a key, in bytes.
pub const ID_BYTES_MAX: usize = 32;

/// A key as an operator writes it down: `id` and `secret`, or a `file` with the line `ID:SECRET`.
#[derive(Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct KeyConfig {
    /// What tokens call the key: 1 to 32 of `a-z A-Z 0-9 _ -`.
    pub id: String,
    /// At least 32 bytes that nobody can guess.
    #[serde(skip_serializing)]
    pub secret: String,
    /// A file with one line, `ID:SECRET`, instead of the two.
    pub file: Option<PathBuf>,
}

/// A key that is ready to sign and to verify.
#[derive(Clone)]
pub struct Key {
    pub(super) id: String,
    pub(super) hmac: hmac::Key,
}

/// Why a key cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum KeyError {
    /// The file cannot be read.
    #[error("{path}: cannot be read: {error}")]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// Why.
        error: std::io::Error,
    },
    /// The file says something else.
    #[error("{path}: a key file holds one line, ID:SECRET")]
    Line {
        /// The file.
        path: PathBuf,
    },
    /// The id has another length or other characters.
    #[error("the key id {0:?}: use 1 to {ID_BYTES_MAX} of a-z A-Z 0-9 _ -")]
    Id(String),
    /// Too easy to guess.
    #[error("the secret of key {id} has {bytes} bytes: use at least {SECRET_BYTES_MIN}")]
    Short {
        /// Whose.
        id: String,
        /// How many it has.
        bytes: usize,
    },
    /// Both forms at once.
    #[error("a key is either id and secret, or a file")]
    Both,
    /// Two keys of one name.
    #[error("two keys are called {0}")]
    Twice(String),
    /// More than anybody changes between.
    #[error("{0} keys are above the limit of {max}", max = super::verifier::KEYS_MAX)]
    TooMany(usize),
    /// Tokens are asked for, and none could be verified.
    #[error("mode = \"token\" needs at least one key")]
    None,
}

impl Key {
    /// A key from its parts.
    pub fn new(id: &str, secret: &str) -> Result<Self, KeyError> {
        let allowed = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '-';
        if id.is_empty() || id.len() > ID_BYTES_MAX || !id.chars().all(allowed) {
            return Err(KeyError::Id(id.chars().take(ID_BYTES_MAX).collect()));
        }
        let bytes = secret.len();
        if bytes < SECRET_BYTES_MIN {
            let id = id.to_owned();
            return Err(KeyError::Short { id, bytes });
        }
        Ok(Self {
            id: id.to_owned(),
            hmac: hmac::Key::new(hmac::HMAC_SHA256, secret.as_bytes()),
        })
    }

    /// Reads a file with the line `ID:SECRET`.
    pub fn load(path: &Path) -> Result<Self, KeyError> {
        let text = std::fs::read_to_string(path).map_err(|error| KeyError::Unreadable {
            path: path.to_owned(),
            error,
        })?;
        match text.trim().split_once(':') {
            Some((id, secret)) if !secret.contains('\n') => Self::new(id, secret),
            _ => Err(KeyError::Line {
                path: path.to_owned(),
            }),
        }
    }

    /// The key that an operator wrote down.
    pub fn open(config: &KeyConfig) -> Result<Self, KeyError> {
        match &config.file {
            None => Self::new(&config.id, &config.secret),
            Some(path) if config.id.is_empty() && config.secret.is_empty() => Self::load(path),
            Some(_) => Err(KeyError::Both),
        }
    }

    /// What tokens call it.
    #[must_use]
    pub fn id(&self) -> &str {
        &self.id
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Key({})", self.id)
    }
}

impl fmt::Debug for KeyConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KeyConfig")
            .field("id", &self.id)
            .field("file", &self.file)
            .finish_non_exhaustive()
    }
}
