//! What of a request is its credential, and what is left of it without.
//!
//! Tells the forms apart by their shape alone; nothing is verified here.

use std::borrow::Cow;

use crate::auth::token::TOKEN_BYTES_MAX;
use crate::coding::form;

/// The longest value of a query that is looked at, in bytes: a token with every byte escaped.
/// Longer ones cost their refusal nothing.
const VALUE_BYTES_MAX: usize = 3 * TOKEN_BYTES_MAX;

/// How a request or a stream key proves that it may pass.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Credential<'a> {
    /// Not at all.
    None,
    /// A native token or a JWT.
    Token(Cow<'a, str>),
    /// `auth_key=TIME-RANDOM-UID-HASH`.
    AliyunA(Cow<'a, str>),
    /// `/YYYYMMDDHHMM/HASH/PATH`.
    AliyunB { minute: &'a str, hash: &'a str },
    /// `/HASH/HEXTIME/PATH`, or `KEY1=HASH&KEY2=HEXTIME`.
    AliyunC {
        hash: Cow<'a, str>,
        time: Cow<'a, str>,
    },
    /// `txSecret=HASH&txTime=HEXTIME`.
    Tencent {
        hash: Cow<'a, str>,
        time: Cow<'a, str>,
    },
    /// `hdnts=st=..~exp=..~acl=..~hmac=..`, as it stands in the query.
    Akamai(&'a str),
}

/// A request, taken apart.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Carried<'a> {
    pub(super) credential: Credential<'a>,
    /// True when what follows carries it too: relative URLs keep a prefix, and players repeat a
    /// field. A query is lost on them.
    pub(super) lasts: bool,
    /// The path without a token or signature before it.
    pub(super) path: &'a str,
    /// The query without credentials; borrowed when there were none.
    pub(super) query: Cow<'a, str>,
}

impl Credential<'_> {
    /// How much of it there is to hash, in bytes.
    pub(super) fn bytes(&self) -> usize {
        match self {
            Self::None => 0,
            Self::Token(text) | Self::AliyunA(text) => text.len(),
            Self::AliyunB { minute, hash } => minute.len() + hash.len(),
            Self::AliyunC { hash, time } | Self::Tencent { hash, time } => hash.len() + time.len(),
            Self::Akamai(text) => text.len(),
        }
    }
}

impl<'a> Carried<'a> {
    /// Takes `path`, `query` and the `authorization` field apart. What the path carries goes before
    /// the field, and that before the query.
    pub(super) fn of(path: &'a str, query: &'a str, authorization: Option<&'a str>) -> Self {
        let (in_path, path) = split_path(path);
        let (in_query, query) = split_query(query);
        let bearer = authorization.and_then(|text| text.strip_prefix("Bearer "));
        let bearer = bearer.map(|token| Credential::Token(token.trim().into()));
        let before = in_path.or(bearer);
        Self {
            lasts: matches!(before, Some(Credential::Token(_))),
            credential: before.unwrap_or(in_query),
            path,
            query,
        }
    }
}

/// The credential before a path, and the path after it.
fn split_path(path: &str) -> (Option<Credential<'_>>, &str) {
    let Some((first, rest)) = step(path) else {
        return (None, path);
    };
    let Some((second, after)) = step(rest) else {
        return (None, path);
    };
    if first == "t" {
        return (Some(Credential::Token(second.into())), after);
    }
    let found = if is_digits(first, 12) && is_hex(second, 32) {
        let (minute, hash) = (first, second);
        Credential::AliyunB { minute, hash }
    } else if is_hex(first, 32) && is_hex(second, 8) {
        let (hash, time) = (first.into(), second.into());
        Credential::AliyunC { hash, time }
    } else {
        return (None, path);
    };
    (Some(found), after)
}

/// The first segment of a path, and the rest of it from its `/` on.
fn step(path: &str) -> Option<(&str, &str)> {
    let path = path.strip_prefix('/')?;
    path.find('/').map(|slash| path.split_at(slash))
}

fn is_digits(text: &str, length: usize) -> bool {
    text.len() == length && text.bytes().all(|byte| byte.is_ascii_digit())
}

fn is_hex(text: &str, length: usize) -> bool {
    text.len() == length && text.bytes().all(|byte| byte.is_ascii_hexdigit())
}

/// The credential in a query, and the query without it.
fn split_query(query: &str) -> (Credential<'_>, Cow<'_, str>) {
    let mut said = Said::default();
    let mut carries = false;
    for pair in query.split('&') {
        carries |= said.take(pair);
    }
    if !carries {
        return (Credential::None, query.into());
    }
    let mut nothing = Said::default();
    let rest = query.split('&').filter(|pair| !nothing.take(pair));
    (said.credential(), rest.collect::<Vec<_>>().join("&").into())
}

/// The parameters that credentials are made of.
#[derive(Default)]
struct Said<'a> {
    token: Option<Cow<'a, str>>,
    auth_key: Option<Cow<'a, str>>,
    aliyun_c: [Option<Cow<'a, str>>; 2],
    tencent: [Option<Cow<'a, str>>; 2],
    akamai: Option<&'a str>,
}

impl<'a> Said<'a> {
    /// Notes `pair` if it belongs to a credential.
    fn take(&mut self, pair: &'a str) -> bool {
        let Some((name, value)) = pair.split_once('=') else {
            return false;
        };
        let [hash_c, time_c] = &mut self.aliyun_c;
        let [hash_t, time_t] = &mut self.tencent;
        let slot = match name {
            "token" => &mut self.token,
            "auth_key" => &mut self.auth_key,
            "KEY1" => hash_c,
            "KEY2" => time_c,
            "txSecret" => hash_t,
            "txTime" => time_t,
            // The signature covers the escapes.
            "hdnts" | "hdnea" => {
                self.akamai = Some(value);
                return true;
            }
            _ => return false,
        };
        // What cannot be read is no credential, but still none of the services' business.
        let bounded = Some(value).filter(|value| value.len() <= VALUE_BYTES_MAX);
        *slot = Some(bounded.and_then(form::unescape).unwrap_or_default());
        true
    }

    fn credential(self) -> Credential<'a> {
        match self {
            Self {
                token: Some(token), ..
            } => Credential::Token(token),
            Self {
                auth_key: Some(key),
                ..
            } => Credential::AliyunA(key),
            Self {
                aliyun_c: [Some(hash), Some(time)],
                ..
            } => Credential::AliyunC { hash, time },
            Self {
                tencent: [Some(hash), Some(time)],
                ..
            } => Credential::Tencent { hash, time },
            Self {
                akamai: Some(text), ..
            } => Credential::Akamai(text),
            _ => Credential::None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MD5: &str = "9044548ef1527deadafa49a890a377f0";

    fn of<'a>(path: &'a str, query: &'a str) -> Carried<'a> {
        Carried::of(path, query, None)
    }

    #[test]
    fn each_form_is_told_by_its_shape() {
        let path = format!("/201508150800/{MD5}/live/r.flv");
        let b = of(&path, "");
        let (minute, hash) = ("201508150800", MD5);
        assert_eq!(b.credential, Credential::AliyunB { minute, hash });
        assert_eq!(b.path, "/live/r.flv");
        let path = format!("/{MD5}/55CE8100/live/r.flv");
        let c = of(&path, "");
        let expected = Credential::AliyunC {
            hash: MD5.into(),
            time: "55CE8100".into(),
        };
        assert_eq!((c.credential, c.path), (expected.clone(), "/live/r.flv"));
        let query = format!("a=1&KEY1={MD5}&KEY2=55CE8100");
        let c = of("/live/r.flv", &query);
        assert_eq!((c.credential, &*c.query), (expected, "a=1"));
        let a = of("/live/r.flv", "auth_key=1-2-3-4&rendition=720p");
        assert_eq!(a.credential, Credential::AliyunA("1-2-3-4".into()));
        assert_eq!(a.query, "rendition=720p");
        let akamai = of("/live/r.flv", "hdnts=exp=1~acl=%2f*~hmac=0");
        assert_eq!(
            akamai.credential,
            Credential::Akamai("exp=1~acl=%2f*~hmac=0")
        );
        let tencent = of("/live/r.flv", "txSecret=a&txTime=b").credential;
        assert!(matches!(tencent, Credential::Tencent { .. }));
    }

    #[test]
    fn prefix_goes_before_header_and_header_before_query() {
        let token = |carried: Carried<'_>| match carried.credential {
            Credential::Token(token) => token.into_owned(),
            other => format!("{other:?}"),
        };
        let (path, query) = ("/t/p/live/r/index.m3u8", "token=q&x=1");
        let all = Carried::of(path, query, Some("Bearer h"));
        assert_eq!((all.path, &*all.query), ("/live/r/index.m3u8", "x=1"));
        assert_eq!(token(all), "p");
        assert_eq!(token(Carried::of("/live/r", query, Some("Bearer h"))), "h");
        assert_eq!(token(Carried::of("/live/r", query, Some("Basic h"))), "q");
        assert_eq!(token(of("/live/r", "token=%71")), "q");
    }

    #[test]
    fn other_requests_are_left_as_they_are() {
        for path in [
            "",
            "/",
            "/t/x",
            "/t",
            "/live/r/index.m3u8",
            "/123/456/x",
            "t/a/b",
        ] {
            let carried = of(path, "_HLS_msn=3");
            assert_eq!(
                (carried.path, &carried.credential),
                (path, &Credential::None)
            );
            assert!(matches!(carried.query, Cow::Borrowed("_HLS_msn=3")));
        }
        assert_eq!(
            of("/x", "token=%FF").credential,
            Credential::Token("".into())
        );
    }
}
