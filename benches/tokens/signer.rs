//! Issuers of every scheme that the gate knows, good and bad.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use aws_lc_rs::hmac;
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair, KeyPair as _,
};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jiff::Timestamp;
use jiff::tz::{Offset, TimeZone};
use md5::{Digest as _, Md5};
use rushlane::auth::{Config, Gate, KeyConfig, Mode, SchemeName, TenantConfig};
use rushlane::telemetry;
use serde_json::json;

/// What the gate takes for now, in seconds since 1970.
pub const NOW_S: i64 = 1_763_800_000;
/// How long good credentials are good for.
const HOUR_S: i64 = 3600;
/// How many bytes too long ones have.
const OVERSIZED_BYTES: usize = 8000;
/// The secret of all that have one: in hex, as one vendor wants it.
const SECRET: &str = "00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff";

/// A request with its credential.
pub struct Carried {
    pub path: String,
    pub query: String,
}

/// All issuers.
pub struct Signers {
    all: Vec<Signer>,
    jwks: PathBuf,
}

/// One of them.
pub struct Signer {
    pub name: &'static str,
    /// True when a signature costs a point multiplication.
    pub is_public_key: bool,
    /// How long its signature is, in the units that [`Self::forged`] counts.
    pub tag_bytes: usize,
    scheme: Scheme,
}

enum Scheme {
    Native,
    EdDsa(Ed25519KeyPair),
    Es256(EcdsaKeyPair),
    Hs256,
    AliyunA,
    AliyunB,
    AliyunC,
    Tencent,
    Akamai,
}

/// What is signed, and what is spoilt.
struct Said {
    exp_s: i64,
    room: &'static str,
    address: Option<&'static str>,
    /// The unit of the signature that is wrong.
    wrong: Option<usize>,
}

impl Signers {
    /// Makes keys; the file of public ones goes into `folder`.
    pub fn new(folder: &Path) -> anyhow::Result<Self> {
        let random = SystemRandom::new();
        let made = Ed25519KeyPair::generate_pkcs8(&random)?;
        let ed = Ed25519KeyPair::from_pkcs8(made.as_ref())?;
        let algorithm = &ECDSA_P256_SHA256_FIXED_SIGNING;
        let made = EcdsaKeyPair::generate_pkcs8(algorithm, &random)?;
        let ec = EcdsaKeyPair::from_pkcs8(algorithm, made.as_ref())?;
        let text = |bytes: &[u8]| URL_SAFE_NO_PAD.encode(bytes);
        let point = ec.public_key().as_ref();
        let set = json!({ "keys": [
            { "kid": "ed", "kty": "OKP", "crv": "Ed25519", "x": text(ed.public_key().as_ref()) },
            { "kid": "ec", "kty": "EC", "crv": "P-256",
              "x": text(&point[1..33]), "y": text(&point[33..]) },
            { "kid": "hs", "kty": "oct", "k": text(SECRET.as_bytes()) },
        ] });
        let jwks = folder.join("jwks.json");
        fs::write(&jwks, set.to_string())?;
        let signer = |name, tag_bytes, scheme| Signer {
            name,
            is_public_key: matches!(scheme, Scheme::EdDsa(_) | Scheme::Es256(_)),
            tag_bytes,
            scheme,
        };
        let all = vec![
            signer("native", 32, Scheme::Native),
            signer("JWT, HS256", 32, Scheme::Hs256),
            signer("JWT, EdDSA", 64, Scheme::EdDsa(ed)),
            signer("JWT, ES256", 64, Scheme::Es256(ec)),
            signer("Aliyun A", 32, Scheme::AliyunA),
            signer("Aliyun B", 32, Scheme::AliyunB),
            signer("Aliyun C", 32, Scheme::AliyunC),
            signer("Tencent", 32, Scheme::Tencent),
            signer("Akamai", 64, Scheme::Akamai),
        ];
        Ok(Self { all, jwks })
    }

    pub fn all(&self) -> &[Signer] {
        &self.all
    }

    /// A gate that knows them, each as the tenant of a room of its own.
    pub fn gate(&self) -> anyhow::Result<Gate> {
        let key = || KeyConfig {
            id: "k1".into(),
            secret: SECRET.into(),
            file: None,
        };
        let tenant = |name: &str, scheme| TenantConfig {
            name: name.into(),
            rooms: vec![name.into()],
            scheme,
            keys: vec![key()],
            ..TenantConfig::default()
        };
        let jwt = TenantConfig {
            keys: Vec::new(),
            jwks: Some(self.jwks.clone()),
            ..tenant("jwt", SchemeName::Jwt)
        };
        let config = Config {
            mode: Mode::Token,
            keys: vec![key()],
            tenants: vec![
                jwt,
                tenant("aliyun-a", SchemeName::AliyunA),
                tenant("aliyun-b", SchemeName::AliyunB),
                tenant("aliyun-c", SchemeName::AliyunC),
                tenant("tencent", SchemeName::Tencent),
                tenant("akamai", SchemeName::Akamai),
            ],
            ..Config::default()
        };
        Gate::new(&config, &telemetry::Metrics::default()).context("the gate")
    }
}

impl Signer {
    pub fn good(&self) -> Carried {
        self.carried(&self.said())
    }

    /// Right but for one unit of the signature, from 0.
    pub fn forged(&self, wrong: usize) -> Option<Carried> {
        let wrong = Some(wrong);
        let said = Said {
            wrong,
            ..self.said()
        };
        Some(self.carried(&said))
    }

    pub fn expired(&self) -> Option<Carried> {
        let exp_s = NOW_S - 24 * HOUR_S;
        let said = Said {
            exp_s,
            ..self.said()
        };
        Some(self.carried(&said))
    }

    pub fn of_another_room(&self) -> Option<Carried> {
        let room = "other";
        let said = Said {
            room,
            ..self.said()
        };
        Some(self.carried(&said))
    }

    /// Bound to the address of its holder, where the scheme can say so.
    pub fn bound(&self) -> Option<Carried> {
        let can = match self.scheme {
            Scheme::Native | Scheme::Hs256 | Scheme::EdDsa(_) | Scheme::Es256(_) => true,
            Scheme::Akamai => true,
            Scheme::AliyunA | Scheme::AliyunB | Scheme::AliyunC | Scheme::Tencent => false,
        };
        let address = Some("192.0.2.1");
        let said = Said {
            address,
            ..self.said()
        };
        can.then(|| self.carried(&said))
    }

    /// Of the right shape and far too long, in the credential or in the path that is signed.
    pub fn oversized(&self) -> Option<Carried> {
        let long = "A".repeat(OVERSIZED_BYTES);
        let path = self.path(self.room());
        let query = match &self.scheme {
            Scheme::Native => format!("token={long}.{long}"),
            Scheme::Hs256 | Scheme::EdDsa(_) | Scheme::Es256(_) => {
                format!("token={long}.{long}.{long}")
            }
            Scheme::AliyunA => format!("auth_key={NOW_S}-{long}-0-{}", md5(&long)),
            Scheme::Tencent => format!("txSecret={long}&txTime={NOW_S:X}"),
            Scheme::Akamai => format!("hdnts=exp={NOW_S}~acl=/{long}*~hmac={long}"),
            Scheme::AliyunB | Scheme::AliyunC => {
                let good = self.good();
                let path = format!("{}/{long}", good.path);
                return Some(Carried { path, ..good });
            }
        };
        Some(Carried { path, query })
    }

    fn said(&self) -> Said {
        Said {
            exp_s: NOW_S + HOUR_S,
            room: self.room(),
            address: None,
            wrong: None,
        }
    }

    /// The room that is its own.
    fn room(&self) -> &'static str {
        match self.scheme {
            Scheme::Native => "native",
            Scheme::Hs256 | Scheme::EdDsa(_) | Scheme::Es256(_) => "jwt",
            Scheme::AliyunA => "aliyun-a",
            Scheme::AliyunB => "aliyun-b",
            Scheme::AliyunC => "aliyun-c",
            Scheme::Tencent => "tencent",
            Scheme::Akamai => "akamai",
        }
    }

    fn path(&self, room: &str) -> String {
        format!("/live/{room}/index.m3u8")
    }

    /// A request for its own room with a credential that says `said`.
    fn carried(&self, said: &Said) -> Carried {
        let path = self.path(self.room());
        let signed = self.path(said.room);
        let time = said.exp_s;
        let hex_time = format!("{time:X}");
        let hash = |text: String| spoilt(md5(&text), said.wrong);
        let in_query = |query: String| Carried {
            path: path.clone(),
            query,
        };
        match &self.scheme {
            Scheme::Native => {
                let body = part(&said.claims(Some("k1")));
                let tag = hmac(body.as_bytes());
                in_query(format!("token={body}.{}", said.tag(tag.as_ref())))
            }
            Scheme::Hs256 => {
                let message = said.message("HS256", "hs");
                let tag = hmac(message.as_bytes());
                in_query(format!("token={message}.{}", said.tag(tag.as_ref())))
            }
            Scheme::EdDsa(pair) => {
                let message = said.message("EdDSA", "ed");
                let tag = pair.sign(message.as_bytes());
                in_query(format!("token={message}.{}", said.tag(tag.as_ref())))
            }
            Scheme::Es256(pair) => {
                let message = said.message("ES256", "ec");
                let tag = pair.sign(&SystemRandom::new(), message.as_bytes());
                let tag = tag.expect("the system gives random bytes");
                in_query(format!("token={message}.{}", said.tag(tag.as_ref())))
            }
            Scheme::AliyunA => {
                let hash = hash(format!("{signed}-{time}-0-0-{SECRET}"));
                in_query(format!("auth_key={time}-0-0-{hash}"))
            }
            Scheme::AliyunB => {
                let beijing = TimeZone::fixed(Offset::constant(8));
                let at = Timestamp::from_second(time).expect("a time of this century");
                let minute = at.to_zoned(beijing).strftime("%Y%m%d%H%M").to_string();
                let hash = hash(format!("{SECRET}{minute}{signed}"));
                Carried {
                    path: format!("/{minute}/{hash}{path}"),
                    query: String::new(),
                }
            }
            Scheme::AliyunC => {
                let hash = hash(format!("{SECRET}{signed}{hex_time}"));
                Carried {
                    path: format!("/{hash}/{hex_time}{path}"),
                    query: String::new(),
                }
            }
            Scheme::Tencent => {
                let hash = hash(format!("{SECRET}{}{hex_time}", said.room));
                in_query(format!("txSecret={hash}&txTime={hex_time}"))
            }
            Scheme::Akamai => {
                let address = said
                    .address
                    .map(|ip| format!("ip={ip}~"))
                    .unwrap_or_default();
                let body = format!("{address}exp={time}~acl=/live/{}/*", said.room);
                let key = hmac::Key::new(hmac::HMAC_SHA256, &unhex(SECRET));
                let tag = hex(hmac::sign(&key, body.as_bytes()).as_ref());
                in_query(format!("hdnts={body}~hmac={}", spoilt(tag, said.wrong)))
            }
        }
    }
}

impl Said {
    fn claims(&self, kid: Option<&str>) -> serde_json::Value {
        let mut claims = json!({
            "scope": "play", "room": self.room, "sub": "u_1", "exp": self.exp_s, "jti": "01JD",
        });
        if let Some(kid) = kid {
            claims["kid"] = kid.into();
        }
        if let Some(address) = self.address {
            claims["ip"] = address.into();
        }
        claims
    }

    /// Header and payload of a JWT.
    fn message(&self, algorithm: &str, kid: &str) -> String {
        let header = part(&json!({ "alg": algorithm, "kid": kid, "typ": "JWT" }));
        format!("{header}.{}", part(&self.claims(None)))
    }

    /// The signature `tag` as text.
    fn tag(&self, tag: &[u8]) -> String {
        let mut tag = tag.to_vec();
        if let Some(wrong) = self.wrong {
            tag[wrong] ^= 1;
        }
        URL_SAFE_NO_PAD.encode(tag)
    }
}

fn part(value: &serde_json::Value) -> String {
    URL_SAFE_NO_PAD.encode(value.to_string())
}

fn hmac(message: &[u8]) -> hmac::Tag {
    hmac::sign(
        &hmac::Key::new(hmac::HMAC_SHA256, SECRET.as_bytes()),
        message,
    )
}

fn md5(text: &str) -> String {
    hex(&Md5::digest(text))
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn unhex(text: &str) -> Vec<u8> {
    let digit = |byte: &u8| char::from(*byte).to_digit(16).expect("hex");
    let pairs = text.as_bytes().chunks(2);
    pairs
        .map(|pair| {
            pair.iter()
                .fold(0, |byte, next| byte << 4 | digit(next) as u8)
        })
        .collect()
}

/// `digits` with another one at `wrong`.
fn spoilt(digits: String, wrong: Option<usize>) -> String {
    let change = |(at, digit): (usize, char)| match (Some(at) == wrong, digit) {
        (false, digit) => digit,
        (true, '0') => '1',
        (true, _) => '0',
    };
    digits.chars().enumerate().map(change).collect()
}
