//! The handshake of a WebSocket on HTTP/1.1 (RFC 6455, section 4.2).

use aws_lc_rs::digest;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::{HeaderMap, HeaderValue, Method, header};

use crate::net::http::http1::decoder::{Fault, Head, says};

/// The version that everybody speaks.
pub(super) const VERSION: &str = "13";

/// What is hashed behind the peer's key.
const GUID: &[u8] = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11";

/// The answer to the peer's key, when it asks for a WebSocket. Errors when it does not know how.
pub(super) fn accept(head: &Head) -> Result<Option<HeaderValue>, Fault> {
    let asks = head.method == Method::GET
        && !head.http10
        && says(&head.headers, &header::CONNECTION, "upgrade")
        && says(&head.headers, &header::UPGRADE, "websocket");
    if !asks {
        return Ok(None);
    }
    let version = head.headers.get(header::SEC_WEBSOCKET_VERSION);
    if version.is_none_or(|version| version != VERSION) {
        return Err(Fault::WebSocketVersion);
    }
    let key =
        key(&head.headers).ok_or(Fault::Syntax("sec-websocket-key is not 16 bytes in base64"))?;
    let mut hash = digest::Context::new(&digest::SHA1_FOR_LEGACY_USE_ONLY);
    hash.update(key);
    hash.update(GUID);
    let text = STANDARD.encode(hash.finish());
    Ok(Some(HeaderValue::try_from(text).expect("base64 is ASCII")))
}

fn key(headers: &HeaderMap) -> Option<&[u8]> {
    let mut keys = headers.get_all(header::SEC_WEBSOCKET_KEY).iter();
    let key = keys.next()?.as_bytes();
    let is_one = keys.next().is_none() && STANDARD.decode(key).is_ok_and(|key| key.len() == 16);
    is_one.then_some(key)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::net::http::http1::Decoder;

    fn head(fields: &str) -> Head {
        let mut decoder = Decoder::default();
        decoder.push(format!("GET /ws HTTP/1.1\r\nhost: a\r\n{fields}\r\n").as_bytes());
        decoder.next().unwrap().unwrap()
    }

    #[test]
    fn key_of_the_specification_has_its_answer() {
        let head = head(
            "upgrade: WebSocket\r\nconnection: keep-alive, Upgrade\r\n\
             sec-websocket-version: 13\r\nsec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n",
        );
        let answer = accept(&head).unwrap().unwrap();
        assert_eq!(answer, "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
    }

    #[test]
    fn handshakes_with_a_fault_are_refused_and_others_are_none() {
        let asks = "upgrade: websocket\r\nconnection: upgrade\r\n";
        let key = "sec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n";
        let version = "sec-websocket-version: 13\r\n";
        for fields in [
            format!("{asks}{version}"),
            format!("{asks}{version}sec-websocket-key: short\r\n"),
            format!("{asks}{version}sec-websocket-key: c2hvcnQ=\r\n"),
            format!("{asks}{version}{key}{key}"),
        ] {
            let fault = accept(&head(&fields)).unwrap_err();
            assert!(matches!(fault, Fault::Syntax(_)), "{fields}");
        }
        for version in ["", "sec-websocket-version: 8\r\n"] {
            let fault = accept(&head(&format!("{asks}{key}{version}"))).unwrap_err();
            assert_eq!(fault, Fault::WebSocketVersion);
        }
        for fields in [
            "",
            "upgrade: websocket\r\n",
            "upgrade: h2c\r\nconnection: upgrade\r\n",
        ] {
            assert!(accept(&head(fields)).unwrap().is_none(), "{fields}");
        }
    }
}
