//! From messages to bytes: unmasked frames, as servers send them.

use tungstenite::protocol::frame::FrameHeader;
use tungstenite::protocol::frame::coding::{Control, Data, OpCode};

use super::CloseCode;

/// The longest payload of a control frame, in bytes (section 5.5).
pub const CONTROL_BYTES_MAX: usize = 125;

/// Appends a whole message to `out`; `is_text`: it is UTF-8.
pub fn frame(out: &mut Vec<u8>, is_text: bool, payload: &[u8]) {
    let data = if is_text { Data::Text } else { Data::Binary };
    write(out, OpCode::Data(data), payload);
}

/// Appends the head of a binary message of `payload_bytes` to `out`; the payload follows it.
pub fn head(out: &mut Vec<u8>, payload_bytes: u64) {
    write_head(out, OpCode::Data(Data::Binary), payload_bytes);
}

/// A ping; peers answer it with the same payload.
#[must_use]
pub fn ping() -> Vec<u8> {
    control(Control::Ping, &[])
}

/// The answer to a ping of `payload`, of which at most [`CONTROL_BYTES_MAX`] bytes are sent.
#[must_use]
pub fn pong(payload: &[u8]) -> Vec<u8> {
    control(Control::Pong, payload)
}

/// The end, and why; `reason` is cut to what a control frame holds.
#[must_use]
pub fn close(code: CloseCode, reason: &str) -> Vec<u8> {
    let mut payload = (code as u16).to_be_bytes().to_vec();
    let end = reason.floor_char_boundary(CONTROL_BYTES_MAX - payload.len());
    payload.extend_from_slice(&reason.as_bytes()[..end]);
    control(Control::Close, &payload)
}

fn control(kind: Control, payload: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    let payload = &payload[..payload.len().min(CONTROL_BYTES_MAX)];
    write(&mut out, OpCode::Control(kind), payload);
    out
}

fn write(out: &mut Vec<u8>, opcode: OpCode, payload: &[u8]) {
    write_head(out, opcode, payload.len() as u64);
    out.extend_from_slice(payload);
}

fn write_head(out: &mut Vec<u8>, opcode: OpCode, payload_bytes: u64) {
    let head = FrameHeader {
        opcode,
        ..FrameHeader::default()
    };
    head.format(payload_bytes, out)
        .expect("writing into a Vec cannot fail");
}
