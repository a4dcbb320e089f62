//! Whether a part is one: boxes that fill it, with media in them (ISO/IEC 14496-12, section 4.2).
//! Knows nothing of what the boxes hold.

/// Length and type of a box.
const HEAD_BYTES: usize = 8;

/// True for a row of whole boxes with a `moof` and an `mdat` among them. Boxes of 64 bit lengths do
/// not occur in parts.
#[must_use]
pub fn is_whole(mut part: &[u8]) -> bool {
    let (mut has_head, mut has_media) = (false, false);
    while let Some((head, _)) = part.split_at_checked(HEAD_BYTES) {
        let length = u32::from_be_bytes([head[0], head[1], head[2], head[3]]);
        let length = usize::try_from(length).unwrap_or(0);
        let Some(rest) = part.get(length..).filter(|_| length >= HEAD_BYTES) else {
            return false;
        };
        has_head |= &head[4..] == b"moof";
        has_media |= &head[4..] == b"mdat";
        part = rest;
    }
    has_head && has_media && part.is_empty()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pieces_zeroes_and_texts_are_no_parts() {
        let part = b"\0\0\0\x0amoof..\0\0\0\x09mdat.";
        assert!(is_whole(part));
        for broken in [&part[..18], &part[..10], &[0; 64], b"not found", b""] {
            assert!(!is_whole(broken), "{broken:?}");
        }
    }
}
