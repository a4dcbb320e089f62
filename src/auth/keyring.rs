//! All keys of one configuration: from a credential to claims.

use std::net::IpAddr;

use crate::auth::carried::Credential;
use crate::auth::key::{Key, KeyError};
use crate::auth::scheme::{Asked, JwksError, Signed};
use crate::auth::tenant::{Scheme, Tenant};
use crate::auth::token::{Claims, ROOM_ANY, Scope, TOKEN_BYTES_MAX, Unproven, sign};
use crate::auth::{AtExpiry, Config, Mode, Refusal};
use crate::protocol::interact::Role;

/// How far the signer's clock may be from ours, in seconds (R4.5).
pub const CLOCK_SKEW_SECONDS: i64 = 30;

/// Live keys of the platform; two are needed to change one.
const KEYS_MAX: usize = 8;
/// Tenants of one node: they are looked through one by one.
const TENANTS_MAX: usize = 100;

/// The longest path that is hashed for a signed URL, in bytes: our own have a third of it.
const PATH_BYTES_MAX: usize = 1024;

/// Why keys or tenants cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// One of `auth.keys`.
    #[error(transparent)]
    Key(#[from] KeyError),
    /// Two keys of one name.
    #[error("two keys are called {0}")]
    Twice(String),
    /// More than anybody changes between.
    #[error("{0} keys are above the limit of {KEYS_MAX}")]
    TooManyKeys(usize),
    /// More than a list is fit for.
    #[error("{0} tenants are above the limit of {TENANTS_MAX}")]
    TooManyTenants(usize),
    /// Tokens are asked for, and none could be verified.
    #[error("mode = \"token\" needs at least one key")]
    NoKey,
    /// A tenant's players get a token for what follows their signed URL, and nothing can sign it.
    #[error(
        "tenant {0:?} signs URLs: auth.keys needs a key, which signs what its players go on with"
    )]
    NoSessionKey(String),
    /// One of `auth.tenants`.
    #[error("tenant {name:?}: {fault}")]
    Tenant {
        /// Its name.
        name: String,
        /// What is wrong with it.
        fault: TenantFault,
    },
}

/// What is wrong with a tenant.
#[derive(Debug, thiserror::Error)]
pub enum TenantFault {
    /// A key.
    #[error(transparent)]
    Key(#[from] KeyError),
    /// Its JWKS file.
    #[error(transparent)]
    Jwks(#[from] JwksError),
    /// Anything else.
    #[error("{0}")]
    Other(&'static str),
}

impl Error {
    /// The configuration key that it is about.
    #[must_use]
    pub fn key(&self) -> &'static str {
        match self {
            Self::TooManyTenants(_) | Self::Tenant { .. } | Self::NoSessionKey(_) => "tenants",
            _ => "keys",
        }
    }
}

/// All that can be verified.
#[derive(Debug)]
pub(super) struct Keyring {
    pub(super) mode: Mode,
    keys: Vec<Key>,
    tenants: Vec<Tenant>,
    session_s: i64,
    pub(super) at_expiry: AtExpiry,
}

/// What somebody wants.
#[derive(Debug, Clone, Copy)]
pub(super) struct Wish<'a> {
    pub(super) scope: Scope,
    /// A room, or [`ROOM_ANY`] for what concerns all.
    pub(super) room: &'a str,
    pub(super) asked: Asked<'a>,
    pub(super) now_s: i64,
}

impl Keyring {
    /// Reads all keys. Errors: every fault, not only the first.
    pub(super) fn new(config: &Config) -> Result<Self, Vec<Error>> {
        let mut faults = Vec::new();
        if config.keys.len() > KEYS_MAX {
            faults.push(Error::TooManyKeys(config.keys.len()));
        }
        if config.tenants.len() > TENANTS_MAX {
            faults.push(Error::TooManyTenants(config.tenants.len()));
        }
        let mut keys: Vec<Key> = Vec::new();
        for written in config.keys.iter().take(KEYS_MAX) {
            match Key::open(written) {
                Ok(key) if keys.iter().any(|other| other.id == key.id) => {
                    faults.push(Error::Twice(key.id.to_string()));
                }
                Ok(key) => keys.push(key),
                Err(error) => faults.push(error.into()),
            }
        }
        if config.keys.is_empty() && config.tenants.is_empty() && config.mode == Mode::Token {
            faults.push(Error::NoKey);
        }
        let mut tenants = Vec::new();
        for written in config.tenants.iter().take(TENANTS_MAX) {
            let name = || written.name.clone();
            match Tenant::open(written) {
                Ok(tenant) if tenant.signs_urls() && config.keys.is_empty() => {
                    faults.push(Error::NoSessionKey(name()));
                }
                Ok(tenant) => tenants.push(tenant),
                Err(fault) => faults.push(Error::Tenant {
                    name: name(),
                    fault,
                }),
            }
        }
        if !faults.is_empty() {
            return Err(faults);
        }
        Ok(Self {
            mode: config.mode,
            keys,
            tenants,
            session_s: config.session_seconds.into(),
            at_expiry: config.at_expiry,
        })
    }

    /// What `credential` proves, when it is good for `wish`. What is too long is refused before it
    /// is looked at, so that no refusal costs more than a hash of a bounded text.
    pub(super) fn verify(
        &self,
        credential: &Credential<'_>,
        wish: &Wish<'_>,
    ) -> Result<Claims, Refusal> {
        if credential.bytes() > TOKEN_BYTES_MAX {
            return Err(Refusal::Malformed);
        }
        match credential {
            Credential::None => Err(Refusal::Missing),
            Credential::Token(token) if token.bytes().filter(|byte| *byte == b'.').count() == 2 => {
                self.verify_jwt(token, wish)
            }
            Credential::Token(token) => self.verify_native(token, wish),
            signed_url => self.verify_url(signed_url, wish),
        }
    }

    fn verify_native(&self, token: &str, wish: &Wish<'_>) -> Result<Claims, Refusal> {
        let token = Unproven::read(token).ok_or(Refusal::Malformed)?;
        let of_tenants = self.tenants_for(wish).flat_map(Tenant::native_keys);
        let mut keys = self.keys.iter().chain(of_tenants);
        let key = keys.find(|key| *key.id == *token.claims().kid);
        let claims = token.proven_by(key.ok_or(Refusal::UnknownKey)?);
        let claims = claims.ok_or(Refusal::Signature)?;
        wish.is_granted_by(&claims)?;
        Ok(claims)
    }

    fn verify_jwt(&self, token: &str, wish: &Wish<'_>) -> Result<Claims, Refusal> {
        for tenant in self.tenants_for(wish) {
            let Scheme::Jwt(issuer) = &tenant.scheme else {
                continue;
            };
            let unproven = match issuer.read(token) {
                Err(Refusal::UnknownKey) => continue,
                read => read?,
            };
            wish.is_granted_by(unproven.claims())?;
            return unproven.prove().ok_or(Refusal::Signature);
        }
        Err(Refusal::UnknownKey)
    }

    fn verify_url(&self, signed: &Credential<'_>, wish: &Wish<'_>) -> Result<Claims, Refusal> {
        if wish.asked.path.len() > PATH_BYTES_MAX {
            return Err(Refusal::Malformed);
        }
        let mut refusal = Refusal::UnknownKey;
        for tenant in self.tenants_for(wish) {
            let found = match &tenant.scheme {
                Scheme::Aliyun(scheme) => scheme.verify(signed, &wish.asked),
                Scheme::Tencent(scheme) => scheme.verify(signed, &wish.asked),
                Scheme::Akamai(scheme) => scheme.verify(signed, &wish.asked),
                Scheme::Native(_) | Scheme::Jwt(_) => None,
            };
            match found {
                Some(Ok(signed)) => {
                    let claims = wish.claims(signed);
                    wish.is_granted_by(&claims)?;
                    return Ok(claims);
                }
                Some(Err(reason)) => refusal = reason,
                None => {}
            }
        }
        Err(refusal)
    }

    fn tenants_for<'a>(&'a self, wish: &'a Wish<'_>) -> impl Iterator<Item = &'a Tenant> {
        let serves = |tenant: &&Tenant| tenant.serves(wish.room, wish.scope);
        self.tenants.iter().filter(serves)
    }

    /// A native token for the rest of a session that began with a signed URL. Which key signs it is
    /// the same on all nodes of one configuration: the first.
    pub(super) fn session_token(&self, claims: &Claims, now_s: i64) -> Option<String> {
        let key = self.keys.first()?;
        let claims = Claims {
            nbf_s: 0,
            exp_s: now_s.saturating_add(self.session_s),
            ..claims.clone()
        };
        Some(sign(key, &claims))
    }

    /// Until when somebody may stay who came with `credential` at `now_s`, in seconds since 1970,
    /// where that is bounded. The time in a signed URL is about its first request alone.
    pub(super) fn until_s(
        &self,
        credential: &Credential<'_>,
        claims: &Claims,
        now_s: i64,
    ) -> Option<i64> {
        match (self.at_expiry, credential) {
            (AtExpiry::Finish, _) => None,
            (AtExpiry::End, Credential::Token(_)) => {
                Some(claims.exp_s.saturating_add(CLOCK_SKEW_SECONDS))
            }
            (AtExpiry::End, _) => Some(now_s.saturating_add(self.session_s)),
        }
    }
}

impl Wish<'_> {
    /// Whether `claims` are good for it.
    fn is_granted_by(&self, claims: &Claims) -> Result<(), Refusal> {
        if claims.exp_s.saturating_add(CLOCK_SKEW_SECONDS) < self.now_s {
            return Err(Refusal::Expired);
        }
        if claims.nbf_s.saturating_sub(CLOCK_SKEW_SECONDS) > self.now_s {
            return Err(Refusal::NotYet);
        }
        if *claims.room != *ROOM_ANY && *claims.room != *self.room {
            return Err(Refusal::OtherRoom);
        }
        if !claims.scope.covers(self.scope) {
            return Err(Refusal::Scope);
        }
        let same = |ip: IpAddr| ip.to_canonical() == self.asked.address.to_canonical();
        if !claims.ip.is_none_or(same) {
            return Err(Refusal::OtherAddress);
        }
        Ok(())
    }

    /// A signed URL says no more than where and until when.
    fn claims(&self, signed: Signed) -> Claims {
        Claims {
            kid: signed.kid,
            scope: self.scope,
            room: self.room.into(),
            sub: signed.sub,
            name: "".into(),
            role: Role::default(),
            nbf_s: signed.nbf_s,
            exp_s: signed.exp_s,
            jti: "".into(),
            ip: None,
        }
    }
}
