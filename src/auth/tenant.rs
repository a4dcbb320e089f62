//! A tenant: some rooms, a scheme, and its live keys.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::auth::KeyConfig;
use crate::auth::key::{Key, Secret, VENDOR_SECRET_BYTES_MIN, is_id};
use crate::auth::keyring::TenantFault;
use crate::auth::scheme::{Akamai, Aliyun, Form, Jwt, Tencent};
use crate::auth::token::Scope;
use crate::media::RoomName;

/// Live keys of one tenant: the one in use and the next.
const KEYS_MAX: usize = 2;
/// Patterns of one tenant.
const ROOMS_MAX: usize = 20;
/// The longest validity of a signed URL, in seconds: a year.
const VALIDITY_SECONDS_MAX: u32 = 366 * 24 * 3600;

/// How a tenant's platform signs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum SchemeName {
    /// Our own tokens.
    #[default]
    Native,
    /// JSON Web Tokens: EdDSA, ES256, HS256.
    Jwt,
    /// Aliyun CDN, type A: `?auth_key=`.
    AliyunA,
    /// Aliyun CDN, type B: `/YYYYMMDDHHMM/MD5/...`.
    AliyunB,
    /// Aliyun CDN, type C: `/MD5/HEXTIME/...`.
    AliyunC,
    /// Tencent Cloud live: `?txSecret=&txTime=`.
    Tencent,
    /// Akamai EdgeAuth: `?hdnts=`.
    Akamai,
}

/// What the time in a URL of Aliyun's type A says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Timestamp {
    /// Until when the URL is good.
    #[default]
    Expiry,
    /// When it was signed: it is good for `validity_seconds` from then on.
    Issued,
}

/// Rooms whose hosts and viewers bring tokens of a platform of their own.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct TenantConfig {
    /// Its name, for faults and logs: 1 to 32 of `a-z A-Z 0-9 _ -`.
    pub name: String,
    /// Its rooms: names, or beginnings of names such as `shop-*`; `*` is all of them.
    pub rooms: Vec<String>,
    /// How its tokens are signed.
    pub scheme: SchemeName,
    /// Its live keys: one, and the next while they are changed. Akamai's secrets are in hex. For
    /// `jwt` they stand in `jwks`.
    pub keys: Vec<KeyConfig>,
    /// The file with the public keys of a `jwt` tenant (RFC 7517).
    pub jwks: Option<PathBuf>,
    /// The audience that tokens of a `jwt` tenant must name (`aud`).
    pub audience: Option<String>,
    /// What its tokens may be good for. A tenant can never operate a node.
    pub scopes: Vec<Scope>,
    /// How long a URL of Aliyun is good after the time in it, in seconds. 1800: the vendor's own.
    pub validity_seconds: u32,
    /// What the time in Aliyun's type A says.
    pub timestamp: Timestamp,
}

impl Default for TenantConfig {
    fn default() -> Self {
        Self {
            name: String::new(),
            rooms: Vec::new(),
            scheme: SchemeName::default(),
            keys: Vec::new(),
            jwks: None,
            audience: None,
            scopes: vec![Scope::Play, Scope::Publish, Scope::Interact],
            validity_seconds: 1800,
            timestamp: Timestamp::default(),
        }
    }
}

/// A tenant that is ready to verify.
#[derive(Debug)]
pub(super) struct Tenant {
    rooms: Vec<Pattern>,
    scopes: Vec<Scope>,
    pub(super) scheme: Scheme,
}

/// All ways to sign, with the keys.
#[derive(Debug)]
pub(super) enum Scheme {
    Native(Vec<Key>),
    Jwt(Box<Jwt>),
    Aliyun(Aliyun),
    Tencent(Tencent),
    Akamai(Akamai),
}

/// A room's name, or how it begins.
#[derive(Debug)]
enum Pattern {
    Name(String),
    Beginning(String),
}

impl Tenant {
    pub(super) fn open(config: &TenantConfig) -> Result<Self, TenantFault> {
        let other = |why| Err(TenantFault::Other(why));
        if !is_id(&config.name) {
            return other("name: use 1 to 32 of a-z A-Z 0-9 _ -");
        }
        if config.rooms.is_empty() || config.rooms.len() > ROOMS_MAX {
            return other("rooms: name 1 to 20 rooms, such as \"shop-1\" or \"shop-*\"");
        }
        let rooms: Option<Vec<Pattern>> = config
            .rooms
            .iter()
            .map(|text| Pattern::parse(text))
            .collect();
        let Some(rooms) = rooms else {
            return other("rooms: use room names, with a * at the end only");
        };
        let unfit = |scope: &Scope| matches!(scope, Scope::Admin | Scope::Load);
        if config.scopes.is_empty() || config.scopes.iter().any(unfit) {
            return other("scopes: use play, publish and interact");
        }
        if !(1..=VALIDITY_SECONDS_MAX).contains(&config.validity_seconds) {
            return other("validity_seconds: use 1 to 31622400");
        }
        let is_jwt = config.scheme == SchemeName::Jwt;
        if !is_jwt && (config.jwks.is_some() || config.audience.is_some()) {
            return other("jwks and audience are for scheme = \"jwt\" only");
        }
        if config.timestamp == Timestamp::Issued && config.scheme != SchemeName::AliyunA {
            return other("timestamp is for scheme = \"aliyun-a\" only");
        }
        if !is_jwt && !(1..=KEYS_MAX).contains(&config.keys.len()) {
            return other("keys: give one, or two while they are changed");
        }
        Ok(Self {
            rooms,
            scopes: config.scopes.clone(),
            scheme: Scheme::open(config)?,
        })
    }

    /// True when its keys may say something about `scope` in `room`.
    pub(super) fn serves(&self, room: &str, scope: Scope) -> bool {
        self.scopes.iter().any(|own| own.covers(scope))
            && self.rooms.iter().any(|pattern| pattern.fits(room))
    }

    /// True when what it signs is one URL rather than a token.
    pub(super) fn signs_urls(&self) -> bool {
        !matches!(self.scheme, Scheme::Native(_) | Scheme::Jwt(_))
    }

    /// Its keys for native tokens.
    pub(super) fn native_keys(&self) -> &[Key] {
        match &self.scheme {
            Scheme::Native(keys) => keys,
            _ => &[],
        }
    }
}

impl Scheme {
    fn open(config: &TenantConfig) -> Result<Self, TenantFault> {
        let read = |key: &KeyConfig| key.read(VENDOR_SECRET_BYTES_MIN);
        let secrets = || {
            config
                .keys
                .iter()
                .map(read)
                .collect::<Result<Vec<Secret>, _>>()
        };
        let validity_s = match (config.scheme, config.timestamp) {
            (SchemeName::AliyunA, Timestamp::Expiry) => 0,
            _ => config.validity_seconds.into(),
        };
        let aliyun = |form| -> Result<Self, TenantFault> {
            let keys = secrets()?;
            Ok(Self::Aliyun(Aliyun {
                form,
                keys,
                validity_s,
            }))
        };
        match config.scheme {
            SchemeName::Native => {
                let keys = config
                    .keys
                    .iter()
                    .map(Key::open)
                    .collect::<Result<_, _>>()?;
                Ok(Self::Native(keys))
            }
            SchemeName::Jwt if !config.keys.is_empty() => Err(TenantFault::Other(
                "keys: those of jwt stand in its jwks file",
            )),
            SchemeName::Jwt => {
                let missing = TenantFault::Other("jwks is missing: the file with the public keys");
                let path = config.jwks.as_deref().ok_or(missing)?;
                Ok(Self::Jwt(Box::new(Jwt::load(
                    path,
                    config.audience.clone(),
                )?)))
            }
            SchemeName::AliyunA => aliyun(Form::A),
            SchemeName::AliyunB => aliyun(Form::B),
            SchemeName::AliyunC => aliyun(Form::C),
            SchemeName::Tencent => Ok(Self::Tencent(Tencent { keys: secrets()? })),
            SchemeName::Akamai => {
                let hexless = TenantFault::Other("keys: secrets of akamai are written in hex");
                Akamai::new(&secrets()?).map(Self::Akamai).ok_or(hexless)
            }
        }
    }
}

impl Pattern {
    fn parse(text: &str) -> Option<Self> {
        match text.strip_suffix('*') {
            Some("") => Some(Self::Beginning(String::new())),
            Some(start) => {
                RoomName::parse(start).ok()?;
                Some(Self::Beginning(start.to_owned()))
            }
            None => {
                RoomName::parse(text).ok()?;
                Some(Self::Name(text.to_owned()))
            }
        }
    }

    fn fits(&self, room: &str) -> bool {
        match self {
            Self::Name(name) => name == room,
            Self::Beginning(start) => room.starts_with(start.as_str()),
        }
    }
}
