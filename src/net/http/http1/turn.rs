//! One turn of a connection: what a request says about its reply, and what comes after it.

use std::io;

use http::{HeaderValue, Method};

use crate::net::http::access::Filing;
use crate::net::http::http1::decoder::{Fault, Head};
use crate::net::http::http1::encoder::Persistence;
use crate::net::http::{Duplex, Sink};

/// Why a request is not answered.
pub(super) enum Stop {
    /// The peer hung up, idled too long or the node drains: nothing to say.
    Quiet,
    /// HTTP/2 begins.
    Preface,
    /// Say this and close.
    Fault(Fault),
    /// The connection is of no more use.
    Broken(io::Error),
}

impl From<Fault> for Stop {
    fn from(fault: Fault) -> Self {
        Self::Fault(fault)
    }
}

impl From<io::Error> for Stop {
    fn from(error: io::Error) -> Self {
        Self::Broken(error)
    }
}

/// What comes after a reply.
pub(super) enum Next {
    /// The next request.
    Request,
    /// The peer is there and must see the reply first.
    Close,
    /// Nobody waits for anything.
    Gone,
    Live(Box<dyn FnOnce(Sink)>, Option<Box<Filing>>),
    Duplex(Box<dyn FnOnce(Duplex)>, Option<Box<Filing>>),
}

/// What a request says about its reply.
pub(super) struct Terms {
    pub(super) head_only: bool,
    pub(super) persistence: Persistence,
    /// The answer to the key of a WebSocket, if it asks for one.
    pub(super) accept: Option<HeaderValue>,
    /// What becomes of it, unless it was no request.
    pub(super) filing: Option<Box<Filing>>,
}

impl Terms {
    /// Of the reply to a request; `accept` answers its WebSocket key.
    pub(super) fn of(head: &Head, accept: Option<HeaderValue>) -> Self {
        let persistence = match (head.keep_alive, head.http10) {
            (true, false) => Persistence::Stays,
            (true, true) => Persistence::StaysAnnounced,
            (false, _) => Persistence::Close,
        };
        Self {
            head_only: head.method == Method::HEAD,
            persistence,
            accept,
            filing: None,
        }
    }

    /// Of the last reply on a connection.
    pub(super) const LAST: Self = Self {
        head_only: false,
        persistence: Persistence::Close,
        accept: None,
        filing: None,
    };
}
