//! The wish that all peers go elsewhere, and where that is.
//!
//! From its beginning on no session begins here: connections finish what they are at, are told to
//! go (`connection: close`, GOAWAY), and newcomers are sent on where there is a place to name.

use std::fmt;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};

use http::Uri;

use crate::runtime::Shutdown;
use crate::runtime::clock::Instant;

/// Other nodes that peers can be sent to, in all.
pub const ALTERNATES_MAX: usize = 64;

/// A drain that has begun, or will. Clones share it.
#[derive(Clone, Default)]
pub struct Drain(Arc<Inner>);

#[derive(Default)]
struct Inner {
    terms: OnceLock<Terms>,
    begun: Shutdown,
    turn: AtomicUsize,
}

/// Where peers go.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Onward {
    /// Wherever they find another node: listeners close at once, so that balancers see it.
    Nowhere,
    /// To these nodes, in turn. The listeners stay, to say so. Not empty.
    Alternates(Vec<Alternate>),
    /// To the process that has taken the listeners over: the same address.
    Successor,
}

/// Another node, as viewers reach it: `http://HOST[:PORT]` or `https://HOST[:PORT]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Alternate(String);

/// How a drain goes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Terms {
    /// Where peers go.
    pub onward: Onward,
    /// When whoever is left is cut off.
    pub deadline: Instant,
}

impl Drain {
    /// Begins the drain. False when it has begun before: the first terms hold.
    pub fn begin(&self, terms: Terms) -> bool {
        let first = self.0.terms.set(terms).is_ok();
        self.0.begun.request();
        first
    }

    /// True once it has begun.
    #[must_use]
    pub fn is_begun(&self) -> bool {
        self.0.begun.is_requested()
    }

    /// Waits until it begins. Cancel-safe.
    pub async fn begun(&self) {
        self.0.begun.requested().await;
    }

    /// How it goes, once it has begun.
    #[must_use]
    pub fn terms(&self) -> Option<&Terms> {
        self.0.terms.get()
    }

    /// The node that the next newcomer is sent to: each in its turn.
    #[must_use]
    pub fn alternate(&self) -> Option<&str> {
        let alternates = self.alternates();
        if alternates.is_empty() {
            return None;
        }
        let turn = self.0.turn.fetch_add(1, Ordering::Relaxed);
        Some(alternates[turn % alternates.len()].as_str())
    }

    /// All nodes that newcomers are sent to.
    #[must_use]
    pub fn alternates(&self) -> &[Alternate] {
        match self.terms().map(|terms| &terms.onward) {
            Some(Onward::Alternates(alternates)) => alternates,
            _ => &[],
        }
    }

    /// True when another process has the listeners.
    #[must_use]
    pub fn has_successor(&self) -> bool {
        self.terms()
            .is_some_and(|terms| terms.onward == Onward::Successor)
    }

    /// True when newcomers have to look for another node themselves.
    #[must_use]
    pub fn turns_away(&self) -> bool {
        self.terms()
            .is_some_and(|terms| terms.onward == Onward::Nowhere)
    }

    /// True while newcomers are let in, to be told where to go.
    pub(super) fn receives(&self) -> bool {
        !self.alternates().is_empty()
    }

    /// True when an idle connection may ask once more: closing it now could cross its next request.
    pub(super) fn is_patient(&self) -> bool {
        self.is_begun() && !self.turns_away()
    }
}

impl fmt::Debug for Drain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Drain").field(&self.terms()).finish()
    }
}

impl Alternate {
    /// Reads the URL of another node.
    ///
    /// Errors: what is wrong with it, for the user.
    pub fn parse(text: &str) -> Result<Self, String> {
        let fault =
            || format!("{text:?} is no other node: write it as https://HOST:PORT, without a path");
        let uri: Uri = text.parse().map_err(|_| fault())?;
        let is_http = matches!(uri.scheme_str(), Some("http" | "https"));
        let is_bare = uri.query().is_none() && matches!(uri.path(), "" | "/");
        let authority = uri.authority().filter(|_| is_http && is_bare);
        let authority = authority.filter(|authority| !authority.as_str().contains('@'));
        let authority = authority.ok_or_else(fault)?;
        let scheme = uri.scheme_str().unwrap_or_default();
        Ok(Self(format!("{scheme}://{authority}")))
    }

    /// The URL, without a slash at its end.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl Onward {
    /// To `alternates` if there are any.
    #[must_use]
    pub fn to(mut alternates: Vec<Alternate>) -> Self {
        alternates.truncate(ALTERNATES_MAX);
        match alternates.is_empty() {
            true => Self::Nowhere,
            false => Self::Alternates(alternates),
        }
    }

    /// Its name in logs and answers.
    #[must_use]
    pub fn as_str(&self) -> &'static str {
        match self {
            Self::Nowhere => "nowhere",
            Self::Alternates(_) => "alternates",
            Self::Successor => "successor",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::runtime::clock;

    fn alternate(text: &str) -> Alternate {
        Alternate::parse(text).unwrap()
    }

    #[test]
    fn newcomers_take_turns_and_the_first_terms_hold() {
        let drain = Drain::default();
        assert!(!drain.is_begun() && drain.alternate().is_none());
        let deadline = clock::now();
        let both = vec![alternate("https://a:8443/"), alternate("http://b")];
        let onward = Onward::to(both);
        assert!(drain.begin(Terms { onward, deadline }));
        let onward = Onward::Successor;
        assert!(!drain.begin(Terms { onward, deadline }));
        let sent: Vec<_> = (0..3).filter_map(|_| drain.alternate()).collect();
        assert_eq!(sent, ["https://a:8443", "http://b", "https://a:8443"]);
        assert!(drain.receives() && drain.is_patient());
    }

    #[test]
    fn an_alternate_is_scheme_and_authority() {
        assert_eq!(
            alternate("https://[::1]:8443").as_str(),
            "https://[::1]:8443"
        );
        for text in [
            "",
            "edge-2",
            "edge-2:8443",
            "ftp://edge-2",
            "https://edge-2/live",
            "https://edge-2?x",
            "https://u:p@edge-2",
            "https://",
        ] {
            assert!(Alternate::parse(text).is_err(), "{text:?}");
        }
    }
}
