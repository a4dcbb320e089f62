//! What the authority fetches from this node to see that a name leads here (RFC 8555, section 8.3).

use std::collections::HashMap;
use std::sync::Arc;

use bytes::Bytes;
use http::{HeaderValue, header};
use parking_lot::RwLock;

use crate::net::http::{Body, Response};

/// Where the authority looks.
const FOLDER: &str = "/.well-known/acme-challenge/";

/// Open challenges: one for each name of a certificate.
const CHALLENGES_MAX: usize = 128;

/// The open challenges of a node. Clones share them.
#[derive(Debug, Clone, Default)]
pub struct Challenges(Arc<RwLock<HashMap<String, String>>>);

/// A challenge, open while this lives.
#[derive(Debug)]
pub(super) struct Open {
    challenges: Challenges,
    token: String,
}

impl Challenges {
    /// The answer to a request for `path`, if it is for an open challenge.
    #[must_use]
    pub fn answer(&self, path: &str) -> Option<Response> {
        let token = path.strip_prefix(FOLDER)?;
        let text = self.0.read().get(token)?.clone();
        let mut response = Response::new(Body::from(Bytes::from(text)));
        let kind = HeaderValue::from_static("application/octet-stream");
        response.headers_mut().insert(header::CONTENT_TYPE, kind);
        Some(response)
    }

    /// Answers for `token` with `text`; `None` when too many are open.
    pub(super) fn open(&self, token: &str, text: &str) -> Option<Open> {
        let mut open = self.0.write();
        if open.len() >= CHALLENGES_MAX {
            return None;
        }
        open.insert(token.to_owned(), text.to_owned());
        let (challenges, token) = (self.clone(), token.to_owned());
        Some(Open { challenges, token })
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        self.challenges.0.write().remove(&self.token);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn open_challenges_are_answered_and_nothing_else() {
        let challenges = Challenges::default();
        let open = challenges.open("token-1", "token-1.thumb").unwrap();
        let path = format!("{FOLDER}token-1");
        assert!(challenges.answer(&path).is_some());
        for other in [
            "/token-1",
            "/.well-known/acme-challenge/",
            "/.well-known/acme-challenge/x",
        ] {
            assert!(challenges.answer(other).is_none(), "{other}");
        }
        drop(open);
        assert!(challenges.answer(&path).is_none());
    }
}
