//! Percent-decoding of a query value.

use std::borrow::Cow;

/// Undoes percent-encoding, and `+` for a space. A broken escape stands for itself; `None` when the
/// result is no UTF-8.
#[must_use]
pub fn percent_decode(value: &str) -> Option<Cow<'_, str>> {
    if !value.bytes().any(|byte| byte == b'%' || byte == b'+') {
        return Some(Cow::Borrowed(value));
    }
    let mut decoded = Vec::with_capacity(value.len());
    let mut rest = value.as_bytes();
    while let Some((&byte, after)) = rest.split_first() {
        rest = after;
        let digits = (byte == b'%').then(|| Some((hex(*after.first()?)?, hex(*after.get(1)?)?)));
        match digits.flatten() {
            Some((high, low)) => {
                decoded.push(high << 4 | low);
                rest = after.get(2..).unwrap_or_default();
            }
            None if byte == b'+' => decoded.push(b' '),
            None => decoded.push(byte),
        }
    }
    String::from_utf8(decoded).ok().map(Cow::Owned)
}

fn hex(digit: u8) -> Option<u8> {
    char::from(digit)
        .to_digit(16)
        .and_then(|value| u8::try_from(value).ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn escapes_are_undone_and_broken_ones_stand() {
        let table = [
            ("bl%3D2100%2Csid%3D%22a%22", Some("bl=2100,sid=\"a\"")),
            ("plain", Some("plain")),
            ("a+b%2", Some("a b%2")),
            ("%zz%", Some("%zz%")),
            ("%ff", None),
        ];
        for (encoded, decoded) in table {
            assert_eq!(percent_decode(encoded).as_deref(), decoded, "{encoded}");
        }
    }
}
