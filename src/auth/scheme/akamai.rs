//! Akamai EdgeAuth 2.0: `ip=..~st=..~exp=..~acl=..~id=..~data=..~hmac=HEX`, each field but `exp`
//! and `hmac` optional, HMAC-SHA256 over everything before `~hmac=`.
//!
//! A token without an `acl` is for one URL, whose path is signed but not carried.

use std::borrow::Cow;
use std::net::IpAddr;
use std::sync::Arc;

use aws_lc_rs::hmac;

use super::{Asked, Signed, decimal_time, unhex};
use crate::auth::Refusal;
use crate::auth::carried::Credential;
use crate::auth::key::Secret;
use crate::auth::token::TOKEN_BYTES_MAX;
use crate::coding::form;

/// Patterns of one token.
const PATTERNS_MAX: usize = 16;

/// Verifies with all live keys of a tenant.
#[derive(Debug)]
pub(in crate::auth) struct Akamai {
    keys: Vec<(Arc<str>, hmac::Key)>,
}

/// The fields of a token.
#[derive(Default)]
struct Fields<'a> {
    ip: Option<&'a str>,
    begin: Option<&'a str>,
    end: Option<&'a str>,
    acl: Option<&'a str>,
    id: Option<&'a str>,
}

impl Akamai {
    /// `None`: a secret is not in hex, as this vendor writes them.
    pub(in crate::auth) fn new(secrets: &[Secret]) -> Option<Self> {
        let key = |secret: &Secret| {
            let key = hmac::Key::new(hmac::HMAC_SHA256, &unhex(&secret.text)?);
            Some((secret.id.clone(), key))
        };
        let keys = secrets.iter().map(key).collect::<Option<_>>()?;
        Some(Self { keys })
    }

    /// What `credential` proves; `None`: it is of another kind.
    pub(in crate::auth) fn verify(
        &self,
        credential: &Credential<'_>,
        asked: &Asked<'_>,
    ) -> Option<Result<Signed, Refusal>> {
        let Credential::Akamai(text) = credential else {
            return None;
        };
        Some(self.verify_text(text, asked))
    }

    fn verify_text(&self, text: &str, asked: &Asked<'_>) -> Result<Signed, Refusal> {
        if text.len() > TOKEN_BYTES_MAX {
            return Err(Refusal::Malformed);
        }
        // Some clients escape the delimiters too; what is signed has none of those escapes.
        let text = match text.contains("~hmac=") {
            true => Cow::Borrowed(text),
            false => form::unescape(text).ok_or(Refusal::Malformed)?,
        };
        let (signed, tag) = text.split_once("~hmac=").ok_or(Refusal::Malformed)?;
        let tag = unhex(tag).ok_or(Refusal::Malformed)?;
        let fields = Fields::of(signed);
        let time = |text: &str| decimal_time(text).ok_or(Refusal::Malformed);
        let exp_s = time(fields.end.ok_or(Refusal::Malformed)?)?;
        let nbf_s = fields.begin.map_or(Ok(0), time)?;
        let kid = self.signer(signed, &tag, &fields, asked.path);
        let kid = kid.ok_or(Refusal::Signature)?;
        if let Some(acl) = fields.acl {
            let acl = form::unescape(acl).ok_or(Refusal::Malformed)?;
            let mut patterns = acl.split('!').take(PATTERNS_MAX);
            if !patterns.any(|pattern| matches(pattern, asked.path)) {
                return Err(Refusal::OtherRoom);
            }
        }
        if let Some(ip) = fields.ip
            && ip.parse::<IpAddr>().ok() != Some(asked.address.to_canonical())
        {
            return Err(Refusal::OtherAddress);
        }
        Ok(Signed {
            kid: kid.clone(),
            sub: fields.id.unwrap_or_default().into(),
            nbf_s,
            exp_s,
        })
    }

    /// The id of the key that signed.
    fn signer(
        &self,
        signed: &str,
        tag: &[u8],
        fields: &Fields<'_>,
        path: &str,
    ) -> Option<&Arc<str>> {
        let source = match fields.acl {
            Some(_) => Cow::Borrowed(signed),
            None => format!("{signed}~url={path}").into(),
        };
        let signs = |key: &hmac::Key| hmac::verify(key, source.as_bytes(), tag).is_ok();
        let found = self.keys.iter().find(|(_, key)| signs(key));
        found.map(|(id, _)| id)
    }
}

impl<'a> Fields<'a> {
    fn of(signed: &'a str) -> Self {
        let mut fields = Self::default();
        for field in signed.split('~') {
            match field.split_once('=') {
                Some(("ip", value)) => fields.ip = Some(value),
                Some(("st", value)) => fields.begin = Some(value),
                Some(("exp", value)) => fields.end = Some(value),
                Some(("acl", value)) => fields.acl = Some(value),
                Some(("id", value)) => fields.id = Some(value),
                _ => {}
            }
        }
        fields
    }
}

/// True when `path` fits `pattern`, in which `*` stands for any characters and `?` for one. Takes
/// at most `pattern` times `path` steps.
fn matches(pattern: &str, path: &str) -> bool {
    let (pattern, path) = (pattern.as_bytes(), path.as_bytes());
    let (mut p, mut t, mut again) = (0, 0, None);
    while t < path.len() {
        match pattern.get(p) {
            Some(b'*') => {
                again = Some((p + 1, t));
                p += 1;
            }
            Some(&byte) if byte == b'?' || byte == path[t] => {
                (p, t) = (p + 1, t + 1);
            }
            // The last star takes one character more.
            _ => match again {
                Some((after, from)) => {
                    again = Some((after, from + 1));
                    (p, t) = (after, from + 1);
                }
                None => return false,
            },
        }
    }
    pattern.iter().skip(p).all(|byte| *byte == b'*')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn verify(text: &str, path: &str, address: &str) -> Result<Signed, Refusal> {
        let secret = Secret {
            id: "k1".into(),
            text: "52a152a152a152a152a152a152a1".into(),
        };
        let asked = Asked {
            path,
            stream: "demo",
            address: address.parse().unwrap(),
        };
        let akamai = Akamai::new(&[secret]).expect("hex");
        akamai
            .verify(&Credential::Akamai(text), &asked)
            .expect("of this kind")
    }

    // Made with the rules of the vendor's own EdgeAuth-Token-Python.
    const LIST: &str = "st=1763799990~exp=1763803600~acl=%2flive%2fdemo*!%2fvod%2f*~hmac=\
        4087e547311b093c37bdaa8de21fc19fd207a24dc7f3947a27db6fcf768be173";
    const URL: &str = "exp=1763803600~hmac=\
        d215c2cc071212b874fa3b838bc9a27e1200fdf34f732687af28f3807183cef1";
    const BOUND: &str = "ip=192.0.2.7~exp=1763803600~acl=/*~id=u_1~hmac=\
        2edbd8a02b4d0b4b381cddbcf7f6f035b5c9ad538b12f373b3996dd8cb824333";

    #[test]
    fn tokens_are_verified_as_the_vendor_signs_them() {
        let signed = verify(LIST, "/live/demo/index.m3u8", "192.0.2.1").expect("signed");
        assert_eq!((signed.nbf_s, signed.exp_s), (1_763_799_990, 1_763_803_600));
        assert!(verify(LIST, "/vod/x", "192.0.2.1").is_ok());
        let other = verify(LIST, "/live/other.flv", "192.0.2.1");
        assert_eq!(other, Err(Refusal::OtherRoom));
        assert!(verify(URL, "/live/demo.flv", "192.0.2.1").is_ok());
        let other = verify(URL, "/live/other.flv", "192.0.2.1");
        assert_eq!(other, Err(Refusal::Signature));
        let bound = verify(BOUND, "/live/x.flv", "::ffff:192.0.2.7").expect("signed");
        assert_eq!(&*bound.sub, "u_1");
        let passed_on = verify(BOUND, "/live/x.flv", "192.0.2.8");
        assert_eq!(passed_on, Err(Refusal::OtherAddress));
        let escaped = URL.replace('~', "%7E").replace('=', "%3D");
        assert!(verify(&escaped, "/live/demo.flv", "192.0.2.1").is_ok());
    }

    #[test]
    fn anything_else_is_refused() {
        for text in [
            "",
            "exp=1",
            "acl=/*~hmac=00",
            "exp=x~acl=/*~hmac=00",
            "exp=1~hmac=0",
        ] {
            assert_eq!(
                verify(text, "/", "192.0.2.1"),
                Err(Refusal::Malformed),
                "{text}"
            );
        }
        let later = LIST.replace("exp=1763803600", "exp=1763803601");
        assert_eq!(
            verify(&later, "/live/demo.flv", "192.0.2.1"),
            Err(Refusal::Signature)
        );
        let hexless = Secret {
            id: "k1".into(),
            text: "not in hex at all".into(),
        };
        assert!(Akamai::new(&[hexless]).is_none());
    }

    #[test]
    fn patterns_match_whole_paths() {
        let check =
            |pattern, path, expect| assert_eq!(matches(pattern, path), expect, "{pattern} {path}");
        check("/*", "/live/r", true);
        check("/live/*", "/live/", true);
        check("/live/*", "/liv", false);
        check("/live/*/index.m3u8", "/live/a/b/index.m3u8", true);
        check("/live/?.flv", "/live/a.flv", true);
        check("/live/?.flv", "/live/ab.flv", false);
        check("*a*b*c", "/xaybzc", true);
        check("*a*b*c", "/xaybz", false);
        check("", "", true);
        check("", "/", false);
    }
}
