use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair, KeyPair as _,
};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::{EncodingKey, Header, encode};
use serde_json::{Value, json};

use super::*;

const SECRET: &[u8] = b"a secret of thirty-two bytes or more";

/// An issuer with a key of each kind, and its JWKS.
struct Issuer {
    keys: Vec<(&'static str, Algorithm, EncodingKey)>,
    set: Value,
}

impl Issuer {
    fn new() -> Self {
        let random = SystemRandom::new();
        let ed = Ed25519KeyPair::generate_pkcs8(&random).unwrap();
        let ec = EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &random).unwrap();
        let ed_pair = Ed25519KeyPair::from_pkcs8(ed.as_ref()).unwrap();
        let ec_pair =
            EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, ec.as_ref()).unwrap();
        let text = |bytes: &[u8]| URL_SAFE_NO_PAD.encode(bytes);
        let point = ec_pair.public_key().as_ref();
        let set = json!({ "keys": [
            { "kid": "ed", "kty": "OKP", "crv": "Ed25519",
              "x": text(ed_pair.public_key().as_ref()) },
            { "kid": "ec", "kty": "EC", "crv": "P-256",
              "x": text(&point[1..33]), "y": text(&point[33..]) },
            { "kid": "hs", "kty": "oct", "k": text(SECRET) },
        ] });
        let keys = vec![
            (
                "ed",
                Algorithm::EdDSA,
                EncodingKey::from_ed_der(ed.as_ref()),
            ),
            (
                "ec",
                Algorithm::ES256,
                EncodingKey::from_ec_der(ec.as_ref()),
            ),
            ("hs", Algorithm::HS256, EncodingKey::from_secret(SECRET)),
        ];
        Self { keys, set }
    }

    fn sign(&self, index: usize, kid: &str, payload: &Value) -> String {
        let (_, algorithm, key) = &self.keys[index];
        let header = Header {
            kid: Some(kid.into()),
            ..Header::new(*algorithm)
        };
        encode(&header, payload, key).unwrap()
    }
}

fn load(set: &str, audience: Option<&str>) -> Result<Jwt, String> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("jwks.json");
    std::fs::write(&path, set).unwrap();
    Jwt::load(&path, audience.map(Into::into)).map_err(|error| error.to_string())
}

fn payload() -> Value {
    json!({ "iss": "platform", "aud": ["cdn", "other"], "sub": "u_1", "scope": "play",
            "room": "demo", "exp": 2_000_000_000, "jti": "t-1", "later": { "x": 1 } })
}

fn prove(jwt: &Jwt, token: &str) -> Result<Claims, Refusal> {
    jwt.read(token)?.prove().ok_or(Refusal::Signature)
}

#[test]
fn each_algorithm_is_verified_once_and_remembered() {
    let issuer = Issuer::new();
    let jwt = load(&issuer.set.to_string(), Some("cdn")).unwrap();
    for (index, (kid, _, _)) in issuer.keys.iter().enumerate() {
        let token = issuer.sign(index, kid, &payload());
        for _ in 0..2 {
            let claims = prove(&jwt, &token).unwrap();
            assert_eq!(
                (&*claims.kid, &*claims.sub, &*claims.jti),
                (*kid, "u_1", "t-1")
            );
        }
        // Any change of the signature is another token.
        let (message, tag) = token.rsplit_once('.').unwrap();
        let changed = match tag.strip_prefix('A') {
            Some(rest) => format!("{message}.B{rest}"),
            None => format!("{message}.A{}", tag.get(1..).unwrap()),
        };
        assert_eq!(prove(&jwt, &changed), Err(Refusal::Signature), "{kid}");
        assert_eq!(prove(&jwt, &format!("{message}.")), Err(Refusal::Signature));
    }
    assert_eq!(jwt.proven.lock().young.len(), 3);
}

#[test]
fn token_does_not_choose_the_algorithm() {
    let issuer = Issuer::new();
    let jwt = load(&issuer.set.to_string(), None).unwrap();
    // A public key is no secret: as one it must not verify.
    for (index, kid) in [(2, "ed"), (2, "ec"), (0, "hs"), (0, "none")] {
        let token = issuer.sign(index, kid, &payload());
        assert_eq!(prove(&jwt, &token), Err(Refusal::UnknownKey), "{kid}");
    }
    let part = |value: Value| URL_SAFE_NO_PAD.encode(value.to_string());
    let none = part(json!({ "alg": "none", "kid": "ed" }));
    let token = format!("{none}.{}.", part(payload()));
    assert_eq!(prove(&jwt, &token), Err(Refusal::Malformed));
    let critical = part(json!({ "alg": "EdDSA", "kid": "ed", "crit": ["b64"] }));
    let token = format!("{critical}.{}.AA", part(payload()));
    assert_eq!(prove(&jwt, &token), Err(Refusal::Malformed));
}

#[test]
fn other_audiences_and_other_texts_are_refused() {
    let issuer = Issuer::new();
    let jwt = load(&issuer.set.to_string(), Some("shop")).unwrap();
    let token = issuer.sign(0, "ed", &payload());
    assert_eq!(prove(&jwt, &token), Err(Refusal::Scope));
    let mut said = payload();
    said["aud"] = "shop".into();
    assert!(prove(&jwt, &issuer.sign(0, "ed", &said)).is_ok());
    said["scope"] = "everything".into();
    let token = issuer.sign(0, "ed", &said);
    assert_eq!(prove(&jwt, &token), Err(Refusal::Malformed));
    for text in ["..", "a.b.c", &"x".repeat(TOKEN_BYTES_MAX + 1)] {
        assert_eq!(prove(&jwt, text), Err(Refusal::Malformed));
    }
}

#[test]
fn what_was_proven_is_forgotten_some_day() {
    let issuer = Issuer::new();
    let jwt = load(&issuer.set.to_string(), None).unwrap();
    let claims = prove(&jwt, &issuer.sign(2, "hs", &payload())).unwrap();
    let mut proven = Proven::default();
    for number in 0..3 * PROVEN_MAX {
        proven.put(&number.to_string(), &claims);
        assert!(proven.young.len() + proven.old.len() <= 2 * PROVEN_MAX);
    }
    assert!(proven.get("0").is_none());
    assert!(proven.get(&(3 * PROVEN_MAX - 1).to_string()).is_some());
}

#[test]
fn files_that_cannot_be_used_are_refused() {
    let fault = |set: Value| load(&set.to_string(), None).err().unwrap_or_default();
    assert!(load("{", None).unwrap_err().contains("no JWKS"));
    assert!(fault(json!({ "keys": [] })).contains("0 keys"));
    let hs = |kid: Value, k: &str| json!({ "keys": [{ "kid": kid, "kty": "oct", "k": k }] });
    assert!(fault(hs("a".into(), "c2hvcnQ")).contains("too short"));
    assert!(fault(hs(Value::Null, &"A".repeat(44))).contains("no kid"));
    let rsa = json!({ "keys": [{ "kid": "a", "kty": "RSA", "n": "AQAB", "e": "AQAB" }] });
    assert!(fault(rsa).contains("use Ed25519"));
    let gone = Jwt::load(Path::new("/nowhere/jwks.json"), None).unwrap_err();
    assert!(gone.to_string().contains("cannot be read"));
}
