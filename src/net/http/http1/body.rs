//! Bytes into a request's body, sans-IO (RFC 9112, sections 6 and 7.1).

use bytes::{Buf as _, Bytes, BytesMut};

use crate::net::http::BODY_BYTES_MAX;
use crate::net::http::http1::decoder::Fault;

/// Longest line of a chunk's size with its extensions, which mean nothing here.
const SIZE_LINE_BYTES_MAX: usize = 256;

/// All fields after the last chunk, which are dropped.
const TRAILER_BYTES_MAX: usize = 4096;

/// How the end of a body is found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Framing {
    /// It has so many bytes.
    Length(u64),
    /// It says so itself.
    Chunked,
}

/// A body of which a part has arrived.
#[derive(Debug)]
pub struct Incoming {
    bytes: BytesMut,
    next: Next,
}

#[derive(Debug, Clone, Copy)]
enum Next {
    /// So many bytes, and nothing else.
    Rest(usize),
    /// The line with a chunk's size.
    Size,
    /// So many bytes of a chunk.
    Chunk(usize),
    /// The line break after a chunk.
    Break,
    /// Fields after the last chunk, of which so many bytes were dropped.
    Trailer(usize),
}

impl Incoming {
    /// Expects a body. Errors when it is too large.
    pub fn new(framing: Framing) -> Result<Self, Fault> {
        let next = match framing {
            Framing::Chunked => Next::Size,
            Framing::Length(length) => usize::try_from(length)
                .ok()
                .filter(|length| *length <= BODY_BYTES_MAX)
                .map(Next::Rest)
                .ok_or(Fault::BodyTooLarge)?,
        };
        let bytes = BytesMut::new();
        Ok(Self { bytes, next })
    }

    /// Takes what belongs to the body off the front of `pending`; the body, once it is whole.
    pub(super) fn advance(&mut self, pending: &mut BytesMut) -> Result<Option<Bytes>, Fault> {
        loop {
            self.next = match self.next {
                Next::Rest(0) => return Ok(Some(self.finish())),
                Next::Chunk(0) => Next::Break,
                _ if pending.is_empty() => return Ok(None),
                Next::Rest(left) => Next::Rest(left - self.take(left, pending)),
                Next::Chunk(left) => Next::Chunk(left - self.take(left, pending)),
                Next::Size => match self.size(pending)? {
                    None => return Ok(None),
                    Some(0) => Next::Trailer(0),
                    Some(length) => Next::Chunk(length),
                },
                Next::Break => match &pending[..] {
                    [b'\r', b'\n', ..] => {
                        pending.advance(2);
                        Next::Size
                    }
                    [b'\r'] => return Ok(None),
                    _ => return Err(Fault::Syntax("a chunk does not end where it says")),
                },
                Next::Trailer(dropped) => {
                    let Some(line) = line_length(pending, TRAILER_BYTES_MAX - dropped)? else {
                        return Ok(None);
                    };
                    let last = line == 2;
                    pending.advance(line);
                    if last {
                        return Ok(Some(self.finish()));
                    }
                    Next::Trailer(dropped + line)
                }
            };
        }
    }

    /// Takes up to `length` bytes of content.
    fn take(&mut self, length: usize, pending: &mut BytesMut) -> usize {
        let taken = pending.split_to(length.min(pending.len()));
        let bytes = taken.len();
        self.bytes.unsplit(taken);
        bytes
    }

    /// Takes a chunk's size; `None` when its line is not whole.
    fn size(&self, pending: &mut BytesMut) -> Result<Option<usize>, Fault> {
        let Some(line) = line_length(pending, SIZE_LINE_BYTES_MAX)? else {
            return Ok(None);
        };
        let size = chunk_size(&pending[..line - 2])?;
        pending.advance(line);
        if size > BODY_BYTES_MAX - self.bytes.len() {
            return Err(Fault::BodyTooLarge);
        }
        Ok(Some(size))
    }

    fn finish(&mut self) -> Bytes {
        std::mem::take(&mut self.bytes).freeze()
    }
}

/// The number that a line begins with; only extensions may follow.
fn chunk_size(line: &[u8]) -> Result<usize, Fault> {
    let is_digit = |byte: &&u8| byte.is_ascii_hexdigit();
    let (digits, rest) = line.split_at(line.iter().take_while(is_digit).count());
    let size = str::from_utf8(digits)
        .ok()
        .filter(|_| matches!(rest.first(), None | Some(b';' | b' ' | b'\t')))
        .and_then(|digits| usize::from_str_radix(digits, 16).ok());
    size.ok_or(Fault::Syntax("a chunk's size is not a number"))
}

/// Bytes of the first line with its break, of at most `max`; `None` when it is not whole.
fn line_length(bytes: &[u8], max: usize) -> Result<Option<usize>, Fault> {
    let found = bytes.iter().take(max).position(|byte| *byte == b'\n');
    match found {
        Some(at) if at > 0 && bytes[at - 1] == b'\r' => Ok(Some(at + 1)),
        Some(_) => Err(Fault::Syntax("a line does not end in CRLF")),
        None if bytes.len() >= max => Err(Fault::Syntax("a line between chunks is too long")),
        None => Ok(None),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Feeds `text` in pieces of `step` bytes; the body and what is left behind it.
    fn read(framing: Framing, text: &[u8], step: usize) -> Result<Option<(Bytes, Bytes)>, Fault> {
        let mut body = Incoming::new(framing)?;
        let mut pending = BytesMut::new();
        for (index, piece) in text.chunks(step).enumerate() {
            pending.extend_from_slice(piece);
            if let Some(bytes) = body.advance(&mut pending)? {
                pending.extend_from_slice(&text[((index + 1) * step).min(text.len())..]);
                return Ok(Some((bytes, pending.freeze())));
            }
        }
        Ok(None)
    }

    #[test]
    fn bodies_end_where_they_say_in_pieces_of_any_size() {
        let chunked =
            b"5;name=\"value\"\r\nhello\r\n1\r\n \r\n0A\r\n0123456789\r\n0\r\nx: y\r\n\r\nGET";
        for step in 1..=chunked.len() {
            let (body, rest) = read(Framing::Chunked, chunked, step).unwrap().unwrap();
            assert_eq!(body, "hello 0123456789");
            assert_eq!(rest, "GET");
            let (body, rest) = read(Framing::Length(3), b"abcGET", step).unwrap().unwrap();
            assert_eq!((&body[..], &rest[..]), (&b"abc"[..], &b"GET"[..]));
        }
    }

    #[test]
    fn chunks_out_of_their_grammar_are_refused() {
        for text in [
            "x\r\n",
            "-1\r\n",
            "\r\n",
            "5\nhello\r\n",
            "5\r\nhello\n0\r\n\r\n",
            "5\r\nhelloX",
            "5 \n",
            "5x\r\n",
            ";x\r\n",
            "10000000000000000\r\n",
        ] {
            let fault = read(Framing::Chunked, text.as_bytes(), 1).unwrap_err();
            assert!(matches!(fault, Fault::Syntax(_)), "{text:?}: {fault}");
        }
    }

    #[test]
    fn nothing_that_a_chunked_body_says_is_without_a_bound() {
        let long = format!("1;{}\r\n", "x".repeat(SIZE_LINE_BYTES_MAX));
        assert!(read(Framing::Chunked, long.as_bytes(), 64).is_err());
        let trailer = format!("0\r\n{}", "x: y\r\n".repeat(TRAILER_BYTES_MAX));
        assert!(read(Framing::Chunked, trailer.as_bytes(), 64).is_err());
        let endless = "400\r\n".to_owned() + &"x".repeat(1024) + "\r\n";
        let endless = endless.repeat(65);
        let fault = read(Framing::Chunked, endless.as_bytes(), 1000).unwrap_err();
        assert_eq!(fault, Fault::BodyTooLarge);
        let fault = Incoming::new(Framing::Length(65_537)).unwrap_err();
        assert_eq!(fault, Fault::BodyTooLarge);
    }
}
