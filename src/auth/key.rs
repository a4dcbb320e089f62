//! Keys that sign tokens, from the configuration or from files of their own.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use aws_lc_rs::hmac;
use serde::{Deserialize, Serialize};

/// The shortest secret, in bytes: what HMAC-SHA256 yields (RFC 2104, section 3).
pub const SECRET_BYTES_MIN: usize = 32;
/// The shortest secret of a vendor's scheme, in bytes: what their consoles hand out.
pub(super) const VENDOR_SECRET_BYTES_MIN: usize = 16;
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

/// A key of native tokens, ready to sign and to verify.
#[derive(Clone)]
pub struct Key {
    pub(super) id: Arc<str>,
    pub(super) hmac: hmac::Key,
}

/// A secret as it is written, for schemes that hash it themselves.
#[derive(Clone)]
pub(super) struct Secret {
    pub(super) id: Arc<str>,
    pub(super) text: String,
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
    #[error("the secret of key {id} has {bytes} bytes: use at least {bytes_min}")]
    Short {
        /// Whose.
        id: String,
        /// How many it has.
        bytes: usize,
        /// How many it needs.
        bytes_min: usize,
    },
    /// Both forms at once.
    #[error("a key is either id and secret, or a file")]
    Both,
}

impl KeyConfig {
    /// Id and secret, from wherever they stand; the secret has at least `bytes_min` bytes.
    pub(super) fn read(&self, bytes_min: usize) -> Result<Secret, KeyError> {
        let secret = match &self.file {
            None => Secret {
                id: self.id.as_str().into(),
                text: self.secret.clone(),
            },
            Some(path) if self.id.is_empty() && self.secret.is_empty() => read_file(path)?,
            Some(_) => return Err(KeyError::Both),
        };
        if !is_id(&secret.id) {
            return Err(KeyError::Id(secret.id.chars().take(ID_BYTES_MAX).collect()));
        }
        let bytes = secret.text.len();
        if bytes < bytes_min {
            let id = secret.id.to_string();
            return Err(KeyError::Short {
                id,
                bytes,
                bytes_min,
            });
        }
        Ok(secret)
    }
}

/// True for what a key or a tenant may be called.
pub(super) fn is_id(id: &str) -> bool {
    let allowed = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '-';
    !id.is_empty() && id.len() <= ID_BYTES_MAX && id.chars().all(allowed)
}

/// Reads a file with the line `ID:SECRET`.
fn read_file(path: &Path) -> Result<Secret, KeyError> {
    let text = std::fs::read_to_string(path).map_err(|error| KeyError::Unreadable {
        path: path.to_owned(),
        error,
    })?;
    match text.trim().split_once(':') {
        Some((id, secret)) if !secret.contains('\n') => Ok(Secret {
            id: id.into(),
            text: secret.to_owned(),
        }),
        _ => Err(KeyError::Line {
            path: path.to_owned(),
        }),
    }
}

impl Key {
    /// The key in a file with the line `ID:SECRET`.
    pub fn load(path: &Path) -> Result<Self, KeyError> {
        Self::open(&KeyConfig {
            file: Some(path.to_owned()),
            ..KeyConfig::default()
        })
    }

    /// The key that an operator wrote down.
    pub fn open(config: &KeyConfig) -> Result<Self, KeyError> {
        let Secret { id, text } = config.read(SECRET_BYTES_MIN)?;
        let hmac = hmac::Key::new(hmac::HMAC_SHA256, text.as_bytes());
        Ok(Self { id, hmac })
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

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Secret({})", self.id)
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
