//! How a connection in both directions is read: WebSocket frames, or lines of JSON.

use crate::protocol::interact::command::{self, COMMAND_BYTES_MAX, Command, Fault};
use crate::protocol::websocket::{self, CloseCode};
use crate::rooms::doors::batch::Format;

/// What a peer says.
#[derive(Debug)]
pub(super) enum Said {
    /// A command, or what should be one.
    Command(Result<Command, Fault>),
    /// Answer with these bytes.
    Ping(Vec<u8>),
    /// A sign of life.
    Life,
    /// The peer is done.
    Close,
    /// The peer breaks the grammar.
    Fault(CloseCode, String),
}

/// Reads one peer.
#[derive(Debug)]
pub(super) enum Grammar {
    /// WebSocket; text is JSON, binary is CBOR.
    WebSocket(websocket::Reader),
    /// JSON, one message a line; holds the start of a line.
    Lines(Vec<u8>),
}

impl Grammar {
    /// The grammar of a connection that is written in `format`.
    pub(super) fn of(format: Format) -> Self {
        match format {
            Format::Json | Format::Cbor => Self::WebSocket(websocket::Reader::default()),
            Format::Lines | Format::Sse => Self::Lines(Vec::new()),
        }
    }

    /// Takes what was read and appends what it says to `said`.
    pub(super) fn read(&mut self, bytes: &[u8], said: &mut Vec<Said>) {
        match self {
            Self::WebSocket(reader) => read_frames(reader, bytes, said),
            Self::Lines(partial) => read_lines(partial, bytes, said),
        }
    }
}

fn read_frames(reader: &mut websocket::Reader, bytes: &[u8], said: &mut Vec<Said>) {
    let mut events = Vec::new();
    let result = reader.read(bytes, &mut events);
    said.extend(events.into_iter().map(|event| match event {
        websocket::Event::Text(text) => Said::Command(command::parse(text.as_bytes())),
        websocket::Event::Binary(cbor) => Said::Command(command::parse_cbor(&cbor)),
        websocket::Event::Ping(payload) => Said::Ping(websocket::pong(&payload)),
        websocket::Event::Pong => Said::Life,
        websocket::Event::Close(_) => Said::Close,
    }));
    if let Err(fault) = result {
        said.push(Said::Fault(fault.close_code(), fault.to_string()));
    }
}

fn read_lines(partial: &mut Vec<u8>, bytes: &[u8], said: &mut Vec<Said>) {
    for piece in bytes.split_inclusive(|byte| *byte == b'\n') {
        if partial.len() + piece.len() > COMMAND_BYTES_MAX + 1 {
            let detail = format!("a line is longer than {COMMAND_BYTES_MAX} bytes");
            said.push(Said::Fault(CloseCode::TooLong, detail));
            return;
        }
        partial.extend_from_slice(piece);
        let Some(line) = partial.strip_suffix(b"\n") else {
            continue;
        };
        said.push(if line.trim_ascii().is_empty() {
            Said::Life
        } else {
            Said::Command(command::parse(line))
        });
        *partial = Vec::new();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_read_whole_wherever_reads_cut_them() {
        let line = br#"{"type":"comment","ref":"a","body":{"text":"x"}}"#;
        let bytes = [line, &b"\n\r\n"[..], line, b"\n"].concat();
        for step in [1, 7, bytes.len()] {
            let mut grammar = Grammar::of(Format::Lines);
            let mut said = Vec::new();
            for piece in bytes.chunks(step) {
                grammar.read(piece, &mut said);
            }
            let [Said::Command(Ok(_)), Said::Life, Said::Command(Ok(_))] = &*said else {
                panic!("{said:?}");
            };
        }
    }

    #[test]
    fn a_line_without_end_is_a_fault() {
        let mut grammar = Grammar::of(Format::Lines);
        let mut said = Vec::new();
        for _ in 0..9 {
            grammar.read(&[b'x'; 4096], &mut said);
        }
        assert!(matches!(
            said.last(),
            Some(Said::Fault(CloseCode::TooLong, _))
        ));
    }
}
