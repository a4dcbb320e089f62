//! JSON Web Tokens: EdDSA (Ed25519), ES256 and HS256, by the keys of a JWKS file.
//!
//! The key decides which algorithm a token may name, never the token (RFC 8725, section 3.1). What
//! costs little is looked at first, so that a token that is expired or for another room costs no
//! signature; a token that was proven once is remembered, since a player sends it with each part.

use std::collections::HashMap;
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use jsonwebtoken::jwk::{AlgorithmParameters, EllipticCurve, Jwk, JwkSet};
use jsonwebtoken::{Algorithm, DecodingKey, crypto, dangerous, decode_header};
use parking_lot::Mutex;
use serde::Deserialize;

use crate::auth::Refusal;
use crate::auth::key::SECRET_BYTES_MIN;
use crate::auth::token::{Claims, TOKEN_BYTES_MAX};

/// The largest JWKS file.
const FILE_BYTES_MAX: u64 = 64 << 10;
/// Keys of one file: two are needed to change one.
const KEYS_MAX: usize = 8;
/// Proven tokens of one generation; two are kept: 8 MB of the longest ones.
const PROVEN_MAX: usize = 4096;

/// Verifies the tokens of one issuer.
pub(in crate::auth) struct Jwt {
    keys: Vec<(Arc<str>, Algorithm, DecodingKey)>,
    audience: Option<String>,
    proven: Mutex<Proven>,
}

/// Why a JWKS file cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// It cannot be read.
    #[error("{path}: cannot be read: {error}")]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// Why.
        error: std::io::Error,
    },
    /// Another text, or too long.
    #[error("{path}: this is no JWKS of at most {FILE_BYTES_MAX} bytes: {why}")]
    NoSet {
        /// The file.
        path: PathBuf,
        /// Why.
        why: String,
    },
    /// None, or too many.
    #[error("{path}: {keys} keys: use 1 to {KEYS_MAX}")]
    Keys {
        /// The file.
        path: PathBuf,
        /// How many.
        keys: usize,
    },
    /// A key that no token can name or that is of another kind.
    #[error("{path}: key {kid:?}: {why}")]
    Key {
        /// The file.
        path: PathBuf,
        /// Its id.
        kid: String,
        /// Why.
        why: &'static str,
    },
}

/// A token taken apart; nothing of it is proven yet.
pub(in crate::auth) struct Unproven<'a> {
    issuer: &'a Jwt,
    token: &'a str,
    key: usize,
    proven: bool,
    claims: Claims,
}

/// The payload.
#[derive(Deserialize)]
struct Payload {
    #[serde(flatten)]
    claims: Claims,
    #[serde(default)]
    aud: Audience,
}

/// One audience or several (RFC 7519, section 4.1.3).
#[derive(Deserialize)]
#[serde(untagged)]
enum Audience {
    One(String),
    Several(Vec<String>),
}

impl Default for Audience {
    fn default() -> Self {
        Self::Several(Vec::new())
    }
}

impl Audience {
    fn names(&self, wanted: &str) -> bool {
        match self {
            Self::One(name) => name == wanted,
            Self::Several(names) => names.iter().any(|name| name == wanted),
        }
    }
}

impl Jwt {
    /// Reads the keys of `path`; with an `audience`, tokens must name it.
    pub(in crate::auth) fn load(path: &Path, audience: Option<String>) -> Result<Self, Error> {
        let unreadable = |error| Error::Unreadable {
            path: path.to_owned(),
            error,
        };
        let no_set = |why: String| Error::NoSet {
            path: path.to_owned(),
            why,
        };
        let bytes = std::fs::metadata(path).map_err(unreadable)?.len();
        if bytes > FILE_BYTES_MAX {
            return Err(no_set(format!("it has {bytes} bytes")));
        }
        let text = std::fs::read(path).map_err(unreadable)?;
        let set: JwkSet =
            serde_json::from_slice(&text).map_err(|error| no_set(error.to_string()))?;
        if set.keys.is_empty() || set.keys.len() > KEYS_MAX {
            return Err(Error::Keys {
                path: path.to_owned(),
                keys: set.keys.len(),
            });
        }
        let read = |jwk: &Jwk| {
            let kid = jwk.common.key_id.clone().unwrap_or_default();
            read_key(jwk).map_err(|why| Error::Key {
                path: path.to_owned(),
                kid,
                why,
            })
        };
        Ok(Self {
            keys: set.keys.iter().map(read).collect::<Result<_, _>>()?,
            audience,
            proven: Mutex::default(),
        })
    }

    /// Takes `token` apart. Errors: it is none, names no key of ours or another audience.
    pub(in crate::auth) fn read<'a>(&'a self, token: &'a str) -> Result<Unproven<'a>, Refusal> {
        if token.len() > TOKEN_BYTES_MAX {
            return Err(Refusal::Malformed);
        }
        if let Some(claims) = self.proven.lock().get(token) {
            return Ok(Unproven {
                issuer: self,
                token,
                key: 0,
                proven: true,
                claims,
            });
        }
        let header = decode_header(token).map_err(|_| Refusal::Malformed)?;
        // RFC 7515, section 4.1.11: extensions that must be understood, and are not.
        if header.crit.is_some() {
            return Err(Refusal::Malformed);
        }
        let kid = header.kid.as_deref().ok_or(Refusal::UnknownKey)?;
        let named =
            |key: &(Arc<str>, Algorithm, DecodingKey)| *key.0 == *kid && key.1 == header.alg;
        let key = self
            .keys
            .iter()
            .position(named)
            .ok_or(Refusal::UnknownKey)?;
        let payload: Payload =
            dangerous::insecure_decode_claims(token).map_err(|_| Refusal::Malformed)?;
        let wanted = self.audience.as_deref();
        if wanted.is_some_and(|wanted| !payload.aud.names(wanted)) {
            return Err(Refusal::Scope);
        }
        let kid = self.keys[key].0.clone();
        Ok(Unproven {
            issuer: self,
            token,
            key,
            proven: false,
            claims: Claims {
                kid,
                ..payload.claims
            },
        })
    }
}

impl Unproven<'_> {
    /// What it claims.
    pub(in crate::auth) fn claims(&self) -> &Claims {
        &self.claims
    }

    /// The claims, when the key that the token names has signed them.
    pub(in crate::auth) fn prove(self) -> Option<Claims> {
        if self.proven {
            return Some(self.claims);
        }
        let (message, tag) = self.token.rsplit_once('.')?;
        let (_, algorithm, key) = &self.issuer.keys[self.key];
        if !crypto::verify(tag, message.as_bytes(), key, *algorithm).ok()? {
            return None;
        }
        let claims = self.claims;
        self.issuer.proven.lock().put(self.token, &claims);
        Some(claims)
    }
}

impl fmt::Debug for Jwt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ids = self.keys.iter().map(|key| &key.0);
        f.debug_list().entries(ids).finish()
    }
}

/// A key with its id and the one algorithm it is for.
fn read_key(jwk: &Jwk) -> Result<(Arc<str>, Algorithm, DecodingKey), &'static str> {
    let kid = jwk.common.key_id.as_deref().filter(|kid| !kid.is_empty());
    let kid = kid.ok_or("it has no kid, so no token can name it")?;
    let key = DecodingKey::from_jwk(jwk).map_err(|_| "its members cannot be read")?;
    let bytes = key.try_get_as_bytes().map_or(0, <[u8]>::len);
    let algorithm = match &jwk.algorithm {
        AlgorithmParameters::OctetKeyPair(pair) if pair.curve == EllipticCurve::Ed25519 => {
            (bytes == 32).then_some(Algorithm::EdDSA)
        }
        AlgorithmParameters::EllipticCurve(point) if point.curve == EllipticCurve::P256 => {
            (bytes == 65).then_some(Algorithm::ES256)
        }
        AlgorithmParameters::OctetKey(_) => (bytes >= SECRET_BYTES_MIN).then_some(Algorithm::HS256),
        _ => return Err("use Ed25519 (EdDSA), P-256 (ES256) or oct (HS256)"),
    };
    let algorithm = algorithm.ok_or("it is too short, or no point of its curve")?;
    Ok((kid.into(), algorithm, key))
}

/// Tokens that were proven. When the young are many, the old are forgotten.
#[derive(Default)]
struct Proven {
    young: HashMap<Box<str>, Claims>,
    old: HashMap<Box<str>, Claims>,
}

impl Proven {
    fn get(&mut self, token: &str) -> Option<Claims> {
        if let Some(claims) = self.young.get(token) {
            return Some(claims.clone());
        }
        let claims = self.old.remove(token)?;
        self.put(token, &claims);
        Some(claims)
    }

    fn put(&mut self, token: &str, claims: &Claims) {
        if self.young.len() >= PROVEN_MAX {
            self.old = std::mem::take(&mut self.young);
        }
        self.young.insert(token.into(), claims.clone());
    }
}

#[cfg(test)]
#[path = "jwt_test.rs"]
mod tests;
