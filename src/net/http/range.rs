//! Range requests (RFC 9110, section 14): which bytes of a body a peer wants.

use std::ops::Range;

/// What a `range` header asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Wanted {
    /// The whole body: there is no range, or one we need not honour (another unit, several ranges,
    /// bad syntax), which RFC 9110 section 14.2 lets a server ignore.
    All,
    /// These bytes; never empty and never past the end. Answer 206 with `content-range`.
    Part(Range<u64>),
    /// No byte of the body is in the range. Answer 416.
    Nothing,
}

/// Reads `header`, the value of a `range` field, against a body of `length` bytes: a single range,
/// from-to, from on, or the last so many.
#[must_use]
pub fn parse(header: &str, length: u64) -> Wanted {
    let Some((unit, range)) = header.split_once('=') else {
        return Wanted::All;
    };
    let Some((first, last)) = range.trim().split_once('-') else {
        return Wanted::All;
    };
    if !unit.trim().eq_ignore_ascii_case("bytes") {
        return Wanted::All;
    }
    match (position(first), position(last)) {
        (Some(first), Some(last)) if first > last => Wanted::All,
        (Some(first), Some(last)) => part(first..last.saturating_add(1).min(length)),
        (Some(first), None) if last.is_empty() => part(first..length),
        (None, Some(last)) if first.is_empty() => part(length.saturating_sub(last)..length),
        _ => Wanted::All,
    }
}

fn part(range: Range<u64>) -> Wanted {
    if range.is_empty() {
        Wanted::Nothing
    } else {
        Wanted::Part(range)
    }
}

/// Digits only: `u64::from_str` would also take a plus sign. A number past 64 bits is past the end.
fn position(digits: &str) -> Option<u64> {
    let all_digits = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
    all_digits.then(|| digits.parse().unwrap_or(u64::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_are_cut_to_the_body() {
        for (header, wanted) in [
            ("bytes=0-99", Wanted::Part(0..100)),
            ("bytes=0-", Wanted::Part(0..1000)),
            ("bytes=999-", Wanted::Part(999..1000)),
            ("bytes=1000-", Wanted::Nothing),
            ("bytes=900-4000", Wanted::Part(900..1000)),
            ("bytes=-100", Wanted::Part(900..1000)),
            ("bytes=-4000", Wanted::Part(0..1000)),
            ("bytes=-0", Wanted::Nothing),
            ("Bytes=5-5", Wanted::Part(5..6)),
            ("bytes=0-18446744073709551615", Wanted::Part(0..1000)),
            ("bytes=99999999999999999999999-", Wanted::Nothing),
            ("bytes=5-4", Wanted::All),
            ("bytes=0-1,5-6", Wanted::All),
            ("bytes=+0-1", Wanted::All),
            ("bytes=-", Wanted::All),
            ("bytes=", Wanted::All),
            ("lines=0-1", Wanted::All),
            ("0-1", Wanted::All),
            ("", Wanted::All),
        ] {
            assert_eq!(parse(header, 1000), wanted, "{header}");
        }
        assert_eq!(parse("bytes=0-", 0), Wanted::Nothing);
    }
}
