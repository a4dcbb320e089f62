//! W3C Trace Context: the id that a request carries from hop to hop.

use std::fmt;

use ulid::Ulid;

/// A `traceparent` (W3C Trace Context, section 3.2).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Trace {
    /// The trace.
    pub id: u128,
    /// The span that asks.
    pub parent: u64,
    /// The caller keeps this trace.
    pub sampled: bool,
}

impl Trace {
    /// Reads the header; `None` when it is malformed or names no trace.
    #[must_use]
    pub fn parse(header: &str) -> Option<Self> {
        let mut fields = header.trim().split('-');
        let version = hex(fields.next()?, 2)?;
        let id = hex(fields.next()?, 32)?;
        let parent = hex(fields.next()?, 16)?;
        let flags = hex(fields.next()?, 2)?;
        // Version 255 is forbidden; version 0 has four fields, later ones may have more.
        let fits = version != 0xff && (version != 0 || fields.next().is_none());
        (fits && id != 0 && parent != 0).then_some(Self {
            id,
            parent: u64::try_from(parent).ok()?,
            sampled: flags & 1 == 1,
        })
    }
}

impl Trace {
    /// A trace that begins here.
    #[must_use]
    pub fn begin() -> Self {
        let id = Ulid::new();
        Self {
            id: id.0,
            parent: span(),
            sampled: false,
        }
    }

    /// The trace of something that has a name of its own: the same in every attempt.
    #[must_use]
    pub fn named(name: &str) -> Self {
        Self {
            id: mixed(name.as_bytes()) | 1,
            parent: span(),
            sampled: false,
        }
    }

    /// The same trace for those who are called, with a span of ours as the one that asks.
    #[must_use]
    pub fn onward(self) -> Self {
        let parent = span();
        Self { parent, ..self }
    }
}

/// The id of a span.
fn span() -> u64 {
    // The lower 64 of 80 random bits.
    Ulid::new().random() as u64 | 1
}

/// FNV-1a of 128 bits.
fn mixed(bytes: &[u8]) -> u128 {
    bytes
        .iter()
        .fold(0x6c62_272e_07bb_0142_62b8_2175_6295_c58d, |hash, byte| {
            (hash ^ u128::from(*byte)).wrapping_mul(0x0100_0000_0000_0000_0000_013b)
        })
}

impl fmt::Display for Trace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let flags = u8::from(self.sampled);
        write!(f, "00-{:032x}-{:016x}-{flags:02x}", self.id, self.parent)
    }
}

/// Exactly `digits` lower-case hexadecimal digits.
fn hex(text: &str, digits: usize) -> Option<u128> {
    let is_digit = |byte: u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte);
    let fits = text.len() == digits && text.bytes().all(is_digit);
    fits.then(|| u128::from_str_radix(text, 16).ok()).flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_traceparent_is_read_and_written_back() {
        let text = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
        let trace = Trace::parse(text).unwrap();
        assert!(trace.sampled);
        assert_eq!(trace.to_string(), text);
    }

    #[test]
    fn those_who_are_called_are_in_the_same_trace() {
        let text = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
        let trace = Trace::parse(text).unwrap();
        let onward = trace.onward();
        assert_eq!((onward.id, onward.sampled), (trace.id, true));
        assert_ne!(onward.parent, trace.parent);
        let attempts = [Trace::named("order-1"), Trace::named("order-1")];
        assert_eq!(attempts[0].id, attempts[1].id);
        assert_ne!(attempts[0].parent, attempts[1].parent);
        for begun in [Trace::begin(), attempts[0], Trace::named("")] {
            assert_eq!(Trace::parse(&begun.to_string()), Some(begun));
        }
    }

    #[test]
    fn what_is_none_is_not_taken() {
        for text in [
            "",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7",
            "ff-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
            "00-00000000000000000000000000000000-00f067aa0ba902b7-01",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-0000000000000000-01",
            "00-4BF92F3577B34DA6A3CE929D0E0E4736-00f067aa0ba902b7-01",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-more",
        ] {
            assert_eq!(Trace::parse(text), None, "{text}");
        }
    }
}
