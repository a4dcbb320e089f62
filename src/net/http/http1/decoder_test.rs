use proptest::prelude::*;

use super::*;

fn decode(text: &str) -> Result<Option<Head>, Fault> {
    let mut decoder = Decoder::default();
    decoder.push(text.as_bytes());
    decoder.next()
}

#[test]
fn heads_that_no_server_should_guess_at_are_refused() {
    for (text, status) in [
        ("GET / HTTP/1.1\r\n\r\n", 400),
        ("GET / HTTP/1.1\r\nhost: a\r\nhost: b\r\n\r\n", 400),
        ("GET / HTTP/1.1\r\nhost : a\r\n\r\n", 400),
        ("GET / HTTP/1.1\r\nhost: a\r\n folded\r\n\r\n", 400),
        ("GET / HTTP/1.1\r\nhost: a\r\nx: a\0b\r\n\r\n", 400),
        ("GET  / HTTP/1.1\r\nhost: a\r\n\r\n", 400),
        ("GET /a b HTTP/1.1\r\nhost: a\r\n\r\n", 505),
        ("GET a HTTP/1.1\r\nhost: a\r\n\r\n", 400),
        ("GET a:80 HTTP/1.1\r\nhost: a\r\n\r\n", 400),
        ("CONNECT a:80 HTTP/1.1\r\nhost: a\r\n\r\n", 501),
        ("GET / HTTP/1.2\r\nhost: a\r\n\r\n", 505),
        ("GET / HTTP/2.0\r\nhost: a\r\n\r\n", 505),
        ("GET /\r\n\r\n", 400),
        (
            "GET / HTTP/1.1\r\nhost: a\r\ncontent-length: -1\r\n\r\n",
            400,
        ),
        (
            "GET / HTTP/1.1\r\nhost: a\r\ncontent-length: +1\r\n\r\n",
            400,
        ),
        ("GET / HTTP/1.1\r\nhost: a\r\ncontent-length: \r\n\r\n", 400),
        (
            "GET / HTTP/1.1\r\nhost: a\r\ncontent-length: 1, 1\r\n\r\n",
            400,
        ),
        (
            "GET / HTTP/1.1\r\nhost: a\r\ncontent-length: 1\r\ncontent-length: 2\r\n\r\n",
            400,
        ),
        (
            "GET / HTTP/1.1\r\nhost: a\r\ncontent-length: 99999999999999999999\r\n\r\n",
            400,
        ),
        (
            "GET / HTTP/1.1\r\nhost: a\r\ncontent-length: 1\r\ntransfer-encoding: chunked\r\n\r\n",
            400,
        ),
        (
            "POST / HTTP/1.1\r\nhost: a\r\ntransfer-encoding: gzip, chunked\r\n\r\n",
            501,
        ),
        ("POST / HTTP/1.0\r\ntransfer-encoding: chunked\r\n\r\n", 400),
        (
            "GET / HTTP/1.1\r\nhost: a\r\ntransfer-encoding: gzip\r\n\r\n",
            501,
        ),
        (
            "GET / HTTP/1.1\r\nhost: a\r\nexpect: a miracle\r\n\r\n",
            417,
        ),
        ("\x16\x03\x01\x02\0\x01\0", 400),
    ] {
        let fault = decode(text).expect_err(text);
        assert_eq!(fault.status(), status, "{text:?}: {fault}");
    }
}

#[test]
fn connection_stays_by_version_and_option() {
    for (text, keep_alive) in [
        ("GET / HTTP/1.1\r\nhost: a\r\n\r\n", true),
        (
            "GET / HTTP/1.1\r\nhost: a\r\nconnection: TE, Close\r\n\r\n",
            false,
        ),
        ("GET / HTTP/1.0\r\n\r\n", false),
        ("GET / HTTP/1.0\r\nconnection: Keep-Alive\r\n\r\n", true),
    ] {
        assert_eq!(
            decode(text).unwrap().unwrap().keep_alive,
            keep_alive,
            "{text:?}"
        );
    }
}

#[test]
fn targets_become_path_and_query() {
    for (target, path) in [
        ("/a/b?c=d#e", "/a/b?c=d"),
        ("/%2e%2e/a", "/%2e%2e/a"),
        ("http://host:80/a?b", "/a?b"),
        ("http://host", "/"),
        ("*", "*"),
        ("//host/a", "//host/a"),
    ] {
        let head = decode(&format!("GET {target} HTTP/1.1\r\nhost: a\r\n\r\n"));
        let uri = head.unwrap().unwrap().uri;
        assert_eq!(uri.path_and_query().unwrap().as_str(), path, "{target}");
        assert!(uri.authority().is_none());
    }
}

#[test]
fn pipelined_heads_come_one_by_one_however_they_are_split() {
    let text = "\r\n\r\nGET /1 HTTP/1.1\r\nhost: a\r\n\r\nGET /2 HTTP/1.1\nhost: a\n\n";
    let mut decoder = Decoder::default();
    let mut paths = Vec::new();
    for byte in text.bytes() {
        decoder.push(&[byte]);
        while let Some(head) = decoder.next().unwrap() {
            paths.push(head.uri.path().to_owned());
        }
    }
    assert_eq!(paths, ["/1", "/2"]);
    assert!(decoder.is_empty());
    assert_eq!(decoder.pending.capacity(), 0);
}

#[test]
fn head_without_end_is_refused_at_the_bound() {
    let mut decoder = Decoder::default();
    decoder.push(b"GET / HTTP/1.1\r\nhost: a\r\nx: ");
    while decoder.room() > 0 {
        assert!(decoder.next().unwrap().is_none());
        decoder.push(&b"x".repeat(decoder.room().min(1000)));
    }
    assert_eq!(decoder.next().unwrap_err(), Fault::TooLarge);
    let many = format!(
        "GET / HTTP/1.1\r\nhost: a\r\n{}\r\n",
        "x: y\r\n".repeat(FIELDS_MAX)
    );
    assert_eq!(decode(&many).unwrap_err(), Fault::TooLarge);
}

#[test]
fn preface_of_http2_is_seen() {
    let mut decoder = Decoder::default();
    decoder.push(b"PRI * HTTP/2.0\r\n");
    assert!(!decoder.at_preface() && decoder.next().unwrap().is_none());
    decoder.push(b"\r\nSM\r\n\r\n");
    assert!(decoder.at_preface());
}

proptest! {
    /// Whatever arrives in whatever pieces: no panic, and never more than the bound in memory.
    #[test]
    fn any_bytes_are_decoded_or_refused(
        pieces in prop::collection::vec(
            prop_oneof![
                prop::collection::vec(any::<u8>(), 0..200),
                Just(b"GET /live/room.flv?token=x HTTP/1.1\r\nhost: a\r\n".to_vec()),
                Just(b"\r\n".to_vec()),
                Just(b"content-length: 5\r\n".to_vec()),
                Just(b"x: \xff\r\n\r\n".to_vec()),
            ],
            0..60,
        )
    ) {
        let mut decoder = Decoder::default();
        'pieces: for piece in &pieces {
            for part in piece.chunks(decoder.room().max(1)) {
                if decoder.room() < part.len() {
                    break 'pieces;
                }
                decoder.push(part);
                loop {
                    prop_assert!(decoder.pending.len() <= HEAD_BYTES_MAX);
                    match decoder.next() {
                        Ok(Some(_)) => {}
                        Ok(None) => break,
                        Err(fault) => {
                            prop_assert!(fault.status().is_client_error()
                                || fault.status().is_server_error());
                            break 'pieces;
                        }
                    }
                }
            }
        }
    }
}
