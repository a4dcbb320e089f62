//! What the posts to an operator's own services are signed with.

use std::fmt::Write as _;

use aws_lc_rs::hmac;

/// The header that says when a post was signed, in seconds since 1970.
pub(super) const TIMESTAMP_HEADER: &str = "rushlane-timestamp";
/// The header with the signature.
pub(super) const SIGNATURE_HEADER: &str = "rushlane-signature";

/// `v1=` and the HMAC-SHA256 over timestamp, a full stop and the body, in hex
/// (docs/MERCHANTS.md, "Signature").
pub(super) fn sign(key: &hmac::Key, timestamp: &str, body: &str) -> String {
    let tag = hmac::sign(key, format!("{timestamp}.{body}").as_bytes());
    let mut signature = String::from("v1=");
    for byte in tag.as_ref() {
        write!(signature, "{byte:02x}").expect("writing into a String cannot fail");
    }
    signature
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn signature_is_the_hmac_of_time_and_body() {
        // printf '%s' '1700000000.{"key":"k"}' | openssl dgst -sha256 -hmac secret
        let key = hmac::Key::new(hmac::HMAC_SHA256, b"secret");
        let expected = "v1=1fd88741e4f9f3e65b81f5781eac66099e3d562c473c3f72a5ede54157677aa4";
        assert_eq!(sign(&key, "1700000000", "{\"key\":\"k\"}"), expected);
    }
}
