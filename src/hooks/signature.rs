//! What the posts to an operator's own services are signed with.

use std::fmt::Write as _;

use aws_lc_rs::hmac;
use http::header;
use reqwest::RequestBuilder;

use crate::runtime::clock;
use crate::telemetry::access::Trace;

/// The header that says when a post was signed, in seconds since 1970.
pub const TIMESTAMP_HEADER: &str = "rushlane-timestamp";
/// The header with the signature.
pub const SIGNATURE_HEADER: &str = "rushlane-signature";

/// `post` with `body` as JSON, signed by `key` now, as a call of `trace` (W3C Trace Context).
pub fn signed(post: RequestBuilder, key: &hmac::Key, body: String, trace: Trace) -> RequestBuilder {
    let timestamp = (clock::unix_us() / 1_000_000).to_string();
    post.header(header::CONTENT_TYPE, "application/json")
        .header(SIGNATURE_HEADER, sign(key, &timestamp, &body))
        .header(TIMESTAMP_HEADER, timestamp)
        .header("traceparent", trace.onward().to_string())
        .body(body)
}

/// `v1=` and the HMAC-SHA256 over timestamp, a full stop and the body, in hex
/// (docs/CALLBACKS.md, "Signature").
fn sign(key: &hmac::Key, timestamp: &str, body: &str) -> String {
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
