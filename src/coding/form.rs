//! Values of queries and forms (WHATWG URL, section 5).

use std::borrow::Cow;

/// Percent-decoding, with `+` for spaces. `None` when the escapes are broken or the result is no
/// UTF-8; borrows when there is nothing to decode.
#[must_use]
pub fn unescape(text: &str) -> Option<Cow<'_, str>> {
    if !text.contains(['%', '+']) {
        return Some(text.into());
    }
    let mut bytes = text.bytes();
    let mut out = Vec::with_capacity(text.len());
    while let Some(byte) = bytes.next() {
        out.push(match byte {
            b'+' => b' ',
            b'%' => {
                let mut digit = || char::from(bytes.next()?).to_digit(16);
                let (high, low) = (digit()?, digit()?);
                (high * 16 + low) as u8
            }
            byte => byte,
        });
    }
    String::from_utf8(out).ok().map(Cow::from)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn escapes_are_read_and_broken_ones_refused() {
        assert_eq!(unescape("plain"), Some("plain".into()));
        assert_eq!(unescape("u%5F1+%E6%9D%8E"), Some("u_1 李".into()));
        for broken in ["%", "%4", "%zz", "%FF"] {
            assert_eq!(unescape(broken), None, "{broken}");
        }
    }
}
