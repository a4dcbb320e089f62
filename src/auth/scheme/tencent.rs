//! Tencent Cloud live: `txSecret=MD5(KEY STREAM HEXTIME)&txTime=HEXTIME`; the time is the expiry.

use super::{Asked, Signed, hex_time, is_md5_of};
use crate::auth::Refusal;
use crate::auth::carried::Credential;
use crate::auth::key::Secret;

/// Verifies with all live keys of a tenant.
#[derive(Debug)]
pub(in crate::auth) struct Tencent {
    pub(in crate::auth) keys: Vec<Secret>,
}

impl Tencent {
    /// What `credential` proves; `None`: it is of another kind.
    pub(in crate::auth) fn verify(
        &self,
        credential: &Credential<'_>,
        asked: &Asked<'_>,
    ) -> Option<Result<Signed, Refusal>> {
        let Credential::Tencent { hash, time } = credential else {
            return None;
        };
        let Some(exp_s) = hex_time(time) else {
            return Some(Err(Refusal::Malformed));
        };
        let signs = |key: &&Secret| is_md5_of(hash, &[&key.text, asked.stream, time]);
        let key = self.keys.iter().find(signs).ok_or(Refusal::Signature);
        Some(key.map(|key| Signed {
            kid: key.id.clone(),
            sub: "".into(),
            nbf_s: 0,
            exp_s,
        }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secret_is_the_hash_of_key_stream_and_time() {
        // printf '%s' '0123456789abcdefdemo5B7F8A00' | md5sum
        const TX_SECRET: &str = "918d2429f27a993d0e3f0ba8af8c9b85";
        let key = Secret {
            id: "k1".into(),
            text: "0123456789abcdef".into(),
        };
        let tencent = Tencent { keys: vec![key] };
        let verify = |stream: &str, time: &str| {
            let credential = Credential::Tencent {
                hash: TX_SECRET.into(),
                time: time.into(),
            };
            let asked = Asked {
                path: "/live/demo.flv",
                stream,
                address: [127, 0, 0, 1].into(),
            };
            tencent.verify(&credential, &asked).expect("of this kind")
        };
        let signed = verify("demo", "5B7F8A00").expect("signed");
        assert_eq!((&*signed.kid, signed.exp_s), ("k1", 0x5B7F_8A00));
        assert_eq!(verify("other", "5B7F8A00"), Err(Refusal::Signature));
        assert_eq!(verify("demo", "5B7F8A01"), Err(Refusal::Signature));
        assert_eq!(verify("demo", "5B7F8A000"), Err(Refusal::Malformed));
    }
}
