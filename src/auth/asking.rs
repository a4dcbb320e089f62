//! What is asked of the gate, and leave as it gives it.

use std::borrow::Cow;
use std::net::IpAddr;

use crate::auth::Pass;
use crate::auth::carried::{Carried, Credential};

/// What of a request decides who may see something.
#[derive(Debug, Clone, Copy)]
pub struct Visit<'a> {
    /// The path, with whatever stands before the service's own.
    pub path: &'a str,
    /// The query, without `?`.
    pub query: &'a str,
    /// The `authorization` field.
    pub authorization: Option<&'a str>,
    /// Who sent it.
    pub address: IpAddr,
    /// Seconds since 1970.
    pub now_s: i64,
}

/// A request without its credentials, for services that ask the gate themselves.
#[derive(Debug)]
pub struct Bare<'a> {
    /// The token, wherever it stood; `None` also for signed URLs.
    pub token: Option<Cow<'a, str>>,
    /// The path as services know it.
    pub path: &'a str,
    /// The query without credentials.
    pub query: Cow<'a, str>,
}

impl<'a> Visit<'a> {
    /// The request without its credentials. Nothing is verified.
    #[must_use]
    pub fn bare(&self) -> Bare<'a> {
        let carried = Carried::of(self.path, self.query, self.authorization);
        let token = match carried.credential {
            Credential::Token(token) => Some(token),
            _ => None,
        };
        Bare {
            token,
            path: carried.path,
            query: carried.query,
        }
    }
}

/// What of a stream key decides who may push.
#[derive(Debug, Clone, Copy)]
pub struct Push<'a> {
    /// The room.
    pub room: &'a str,
    /// The name that is pushed to, with rendition and camera: what vendors' schemes sign.
    pub name: &'a str,
    /// What follows the name, without `?`.
    pub query: &'a str,
    /// The encoder's address.
    pub address: IpAddr,
    /// Seconds since 1970.
    pub now_s: i64,
}

/// Who wants to be in a room.
#[derive(Debug, Clone, Copy)]
pub struct Arrival<'a> {
    /// His token.
    pub token: Option<&'a str>,
    /// The id that he gives himself, in open mode.
    pub user: Option<&'a str>,
    /// The name that he gives himself, in open mode.
    pub name: Option<&'a str>,
    /// The room.
    pub room: &'a str,
    /// His address.
    pub address: IpAddr,
    /// Seconds since 1970.
    pub now_s: i64,
}

/// Leave to see something.
#[derive(Debug)]
pub struct Grant<'a> {
    /// The path as services know it.
    pub path: &'a str,
    /// The query without credentials.
    pub query: Cow<'a, str>,
    /// Who has it.
    pub pass: Pass,
    /// Where a player should go instead, so that what it asks for next is covered too: the same
    /// playlist behind `/t/TOKEN/`.
    pub elsewhere: Option<String>,
}
