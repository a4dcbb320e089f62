//! Aliyun CDN, URL authentication of types A, B and C.

use jiff::civil;
use jiff::tz::{Offset, TimeZone};

use super::{Asked, Signed, decimal_time, hex_time, is_md5_of};
use crate::auth::Refusal;
use crate::auth::carried::Credential;
use crate::auth::key::Secret;

/// Which of the three types.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::auth) enum Form {
    /// `?auth_key=TIME-RANDOM-UID-MD5("PATH-TIME-RANDOM-UID-KEY")`.
    A,
    /// `/YYYYMMDDHHMM/MD5(KEY TIME PATH)/PATH`, in UTC+8.
    B,
    /// `/MD5(KEY PATH HEXTIME)/HEXTIME/PATH`.
    C,
}

/// Verifies one type with all live keys of a tenant.
#[derive(Debug)]
pub(in crate::auth) struct Aliyun {
    pub(in crate::auth) form: Form,
    pub(in crate::auth) keys: Vec<Secret>,
    /// How long a URL is good after its time, in seconds. 0: the time is the expiry itself, as the
    /// pages on type A have it.
    pub(in crate::auth) validity_s: i64,
}

impl Aliyun {
    /// What `credential` proves; `None`: it is of another kind.
    pub(in crate::auth) fn verify(
        &self,
        credential: &Credential<'_>,
        asked: &Asked<'_>,
    ) -> Option<Result<Signed, Refusal>> {
        match (self.form, credential) {
            (Form::A, Credential::AliyunA(text)) => Some(self.verify_a(text, asked.path)),
            (Form::B, Credential::AliyunB { minute, hash }) => {
                let at_s = parse_minute(minute);
                Some(self.proven(at_s, "", |key| is_md5_of(hash, &[key, minute, asked.path])))
            }
            (Form::C, Credential::AliyunC { hash, time }) => {
                let at_s = hex_time(time);
                Some(self.proven(at_s, "", |key| is_md5_of(hash, &[key, asked.path, time])))
            }
            _ => None,
        }
    }

    fn verify_a(&self, text: &str, path: &str) -> Result<Signed, Refusal> {
        let mut fields = text.splitn(4, '-');
        let mut field = || fields.next().ok_or(Refusal::Malformed);
        let (time, random, uid, hash) = (field()?, field()?, field()?, field()?);
        let sub = if uid == "0" { "" } else { uid };
        self.proven(decimal_time(time), sub, |key| {
            let pieces = [path, "-", time, "-", random, "-", uid, "-", key];
            is_md5_of(hash, &pieces)
        })
    }

    fn proven(
        &self,
        at_s: Option<i64>,
        sub: &str,
        signs: impl Fn(&str) -> bool,
    ) -> Result<Signed, Refusal> {
        let at_s = at_s.ok_or(Refusal::Malformed)?;
        let key = self.keys.iter().find(|key| signs(&key.text));
        Ok(Signed {
            kid: key.ok_or(Refusal::Signature)?.id.clone(),
            sub: sub.into(),
            nbf_s: 0,
            exp_s: at_s.saturating_add(self.validity_s),
        })
    }
}

/// `YYYYMMDDHHMM` in UTC+8, in seconds since 1970.
fn parse_minute(text: &str) -> Option<i64> {
    let number = |range: std::ops::Range<usize>| text.get(range)?.parse::<i16>().ok();
    let small = |range| i8::try_from(number(range)?).ok();
    let at = civil::DateTime::new(
        number(0..4)?,
        small(4..6)?,
        small(6..8)?,
        small(8..10)?,
        small(10..12)?,
        0,
        0,
    );
    let beijing = TimeZone::fixed(Offset::constant(8));
    let at = at.ok()?.to_zoned(beijing).ok()?;
    Some(at.timestamp().as_second())
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: &str = "aliyuncdnexp1234";

    fn verify(form: Form, credential: &Credential<'_>, path: &str) -> Result<Signed, Refusal> {
        let keys = ["an older key of it", KEY].map(|text| Secret {
            id: text.split(' ').next().unwrap().into(),
            text: text.into(),
        });
        let aliyun = Aliyun {
            form,
            keys: keys.into(),
            validity_s: if form == Form::A { 0 } else { 1800 },
        };
        let asked = Asked {
            path,
            stream: "",
            address: [127, 0, 0, 1].into(),
        };
        aliyun.verify(credential, &asked).expect("of this kind")
    }

    fn until(exp_s: i64, sub: &str) -> Result<Signed, Refusal> {
        Ok(Signed {
            kid: KEY.into(),
            sub: sub.into(),
            nbf_s: 0,
            exp_s,
        })
    }

    /// DOMAIN 4.2.
    #[test]
    fn vectors_of_the_vendor_pass() {
        let a = Credential::AliyunA("1444435200-0-0-80cd3862d699b7118eed99103f2a3a4f".into());
        let path = "/video/standard/1K.html";
        assert_eq!(verify(Form::A, &a, path), until(1_444_435_200, ""));
        let b = Credential::AliyunB {
            minute: "201508150800",
            hash: "9044548ef1527deadafa49a890a377f0",
        };
        let path = "/4/44/44c0909bcfc20a01afaf256ca99a8b8b.mp3";
        // 2015-08-15T00:00:00Z
        assert_eq!(verify(Form::B, &b, path), until(1_439_596_800 + 1800, ""));
        let c = Credential::AliyunC {
            hash: "a37fa50a5fb8f71214b1e7c95ec7a1bd".into(),
            time: "55CE8100".into(),
        };
        assert_eq!(
            verify(Form::C, &c, "/test.flv"),
            until(0x55CE_8100 + 1800, "")
        );
    }

    #[test]
    fn anything_else_is_refused() {
        let a = |text: &str| verify(Form::A, &Credential::AliyunA(text.into()), "/live/r.flv");
        for text in [
            "",
            "1-2-3",
            "x-0-0-80cd3862d699b7118eed99103f2a3a4f",
            "-1-0-0-a",
        ] {
            assert_eq!(a(text), Err(Refusal::Malformed), "{text}");
        }
        let hash = "80cd3862d699b7118eed99103f2a3a4f";
        assert_eq!(
            a(&format!("1444435200-0-0-{hash}")),
            Err(Refusal::Signature)
        );
        assert_eq!(a("1444435200-0-0-80cd"), Err(Refusal::Signature));
        for minute in ["201513150800", "201502300800", "201508152500"] {
            let b = Credential::AliyunB { minute, hash };
            assert_eq!(
                verify(Form::B, &b, "/x"),
                Err(Refusal::Malformed),
                "{minute}"
            );
        }
    }
}
