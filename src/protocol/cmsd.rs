//! CMSD: what servers tell players along with a reply (CTA-5006).
//!
//! One header names the object, the same whoever serves it; the other is a list with an entry for
//! each server on the way. Both are structured fields (RFC 8941). Only what is known is said.

use std::fmt;

/// The header of what an object is: a dictionary.
pub const STATIC: &str = "cmsd-static";

/// The header of how it is served: a list.
pub const DYNAMIC: &str = "cmsd-dynamic";

/// What an object of HLS is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Object {
    /// What it holds.
    pub kind: Kind,
    /// The stream has parts (`st=ll`).
    pub low_latency: bool,
    /// How long it plays and how large it is, in milliseconds and bytes.
    pub media: Option<(u64, u64)>,
}

/// What an object holds (`ot`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A playlist.
    Manifest,
    /// An initialization segment.
    Init,
    /// Pictures.
    Video,
    /// Sound.
    Audio,
}

/// The entry of one server, with what all its replies share.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Server<'a> {
    /// Its name.
    pub name: &'a str,
    /// It gives up some of its service.
    pub duress: bool,
}

/// What is added to an entry when the reply leaves.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Leaving {
    /// What the server took, without what it held the request for, in milliseconds.
    pub delay_ms: u64,
    /// The connection to the client.
    pub path: Option<Path>,
}

/// A connection, as its sender sees it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Path {
    /// Round trip time, in microseconds.
    pub rtt_us: u64,
    /// Bytes that may be in flight.
    pub window_bytes: u64,
}

impl fmt::Display for Object {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some((milliseconds, bytes)) = self.media {
            if let Some(kbps) = (bytes * 8).checked_div(milliseconds) {
                write!(f, "br={kbps},")?;
            }
            write!(f, "d={milliseconds},")?;
        }
        let kind = match self.kind {
            Kind::Manifest => "m",
            Kind::Init => "i",
            Kind::Video => "v",
            Kind::Audio => "a",
        };
        let stream = if self.low_latency { "ll" } else { "l" };
        write!(f, "ot={kind},sf=h,st={stream}")
    }
}

impl fmt::Display for Server<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("\"")?;
        // What a string of RFC 8941 cannot hold is left out.
        for character in self.name.chars().filter(|c| matches!(c, ' '..='~')) {
            if matches!(character, '"' | '\\') {
                f.write_str("\\")?;
            }
            write!(f, "{character}")?;
        }
        f.write_str(if self.duress { "\";du" } else { "\"" })
    }
}

impl fmt::Display for Leaving {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, ";rd={}", self.delay_ms)?;
        let Some(path) = self.path else {
            return Ok(());
        };
        // A window each round trip (DOMAIN 4.1): bits in a millisecond are kilobits in a second.
        if let Some(kbps) = (path.window_bytes * 8000).checked_div(path.rtt_us) {
            write!(f, ";etp={kbps}")?;
        }
        write!(f, ";rtt={}", path.rtt_us.div_ceil(1000))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_object_says_what_is_known_of_it() {
        let of = |kind, low_latency, media| {
            let object = Object {
                kind,
                low_latency,
                media,
            };
            object.to_string()
        };
        let part = of(Kind::Video, true, Some((200, 50_000)));
        assert_eq!(part, "br=2000,d=200,ot=v,sf=h,st=ll");
        assert_eq!(of(Kind::Manifest, false, None), "ot=m,sf=h,st=l");
        assert_eq!(of(Kind::Audio, true, Some((0, 0))), "d=0,ot=a,sf=h,st=ll");
    }

    #[test]
    fn a_server_names_itself_in_any_characters() {
        let of = |name, duress| Server { name, duress }.to_string();
        assert_eq!(of("edge-1", false), "\"edge-1\"");
        assert_eq!(of("a\"b\\c\n\u{e9}", true), "\"a\\\"b\\\\c\";du");
    }

    #[test]
    fn a_connection_is_told_where_it_is_known() {
        let mut leaving = Leaving {
            delay_ms: 3,
            path: None,
        };
        assert_eq!(leaving.to_string(), ";rd=3");
        leaving.path = Some(Path {
            rtt_us: 40_000,
            window_bytes: 100_000,
        });
        assert_eq!(leaving.to_string(), ";rd=3;etp=20000;rtt=40");
        leaving.path = Some(Path {
            rtt_us: 0,
            window_bytes: 1,
        });
        assert_eq!(leaving.to_string(), ";rd=3;rtt=0");
    }
}
