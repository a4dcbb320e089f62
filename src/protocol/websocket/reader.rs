//! From bytes to messages.

use std::io::Cursor;

use tungstenite::protocol::frame::FrameHeader;
use tungstenite::protocol::frame::coding::{Control, Data, OpCode};

use super::{CONTROL_BYTES_MAX, CloseCode, MESSAGE_BYTES_MAX};

/// What a peer says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// A whole text message.
    Text(String),
    /// A whole binary message.
    Binary(Vec<u8>),
    /// Answer it with a pong of the same bytes.
    Ping(Vec<u8>),
    /// A sign of life.
    Pong,
    /// The peer is done, with this code if it gives one. Nothing follows.
    Close(Option<u16>),
}

/// How a peer breaks the rules. The connection is of no more use.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Fault {
    /// Section 5.1: clients mask every frame.
    #[error("a frame is not masked")]
    Unmasked,
    /// Section 5.2: no extension gives them a meaning.
    #[error("a reserved bit is set")]
    ReservedBits,
    /// Section 5.2.
    #[error("a frame has an opcode without a meaning")]
    Opcode,
    /// Section 5.5: control frames are whole and short.
    #[error("a control frame is fragmented or has {0} bytes: at most {CONTROL_BYTES_MAX}")]
    Control(u64),
    /// Section 5.4: fragments of one message follow each other.
    #[error("a fragment belongs to no message, or a message begins inside another")]
    Fragment,
    /// A message above [`MESSAGE_BYTES_MAX`].
    #[error("a message has {0} bytes or more: at most {MESSAGE_BYTES_MAX}")]
    TooLong(u64),
    /// Section 8.1.
    #[error("a text is not UTF-8")]
    NotUtf8,
}

impl Fault {
    /// The code to close with.
    #[must_use]
    pub fn close_code(&self) -> CloseCode {
        match self {
            Self::TooLong(_) => CloseCode::TooLong,
            Self::NotUtf8 => CloseCode::NotUtf8,
            _ => CloseCode::Protocol,
        }
    }
}

/// Reads one peer. Holds no memory of its own between messages.
#[derive(Debug, Default)]
pub struct Reader {
    /// The start of a frame that is not whole yet.
    partial: Vec<u8>,
    /// The start of a message that is not whole yet.
    message: Option<Box<Message>>,
}

#[derive(Debug)]
struct Message {
    is_text: bool,
    bytes: Vec<u8>,
}

impl Reader {
    /// Takes what was read from the peer and appends what it says to `events`. Those before a fault
    /// are there too.
    pub fn read(&mut self, bytes: &[u8], events: &mut Vec<Event>) -> Result<(), Fault> {
        if self.partial.is_empty() {
            let taken = self.frames(bytes, events)?;
            self.partial.extend_from_slice(&bytes[taken..]);
            return Ok(());
        }
        let mut partial = std::mem::take(&mut self.partial);
        partial.extend_from_slice(bytes);
        let taken = self.frames(&partial, events)?;
        if taken < partial.len() {
            partial.drain(..taken);
            self.partial = partial;
        }
        Ok(())
    }

    /// True when nothing is held.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.partial.is_empty() && self.message.is_none()
    }

    /// Reads all whole frames; returns how many bytes they have.
    fn frames(&mut self, bytes: &[u8], events: &mut Vec<Event>) -> Result<usize, Fault> {
        let mut taken = 0;
        loop {
            let rest = &bytes[taken..];
            let mut cursor = Cursor::new(rest);
            let head = FrameHeader::parse(&mut cursor).map_err(|_| Fault::Opcode)?;
            let Some((head, length)) = head else {
                return Ok(taken);
            };
            let length = self.check(&head, length)?;
            // A head has at most 14 bytes.
            let start = cursor.position() as usize;
            let Some(payload) = rest.get(start..start + length) else {
                return Ok(taken);
            };
            taken += start + length;
            let payload = unmask(payload, head.mask.unwrap_or_default());
            events.extend(self.take(&head, payload)?);
        }
    }

    /// Checks a head before its payload is waited for; returns the payload's length.
    fn check(&self, head: &FrameHeader, length: u64) -> Result<usize, Fault> {
        if head.rsv1 || head.rsv2 || head.rsv3 {
            return Err(Fault::ReservedBits);
        }
        if head.mask.is_none() {
            return Err(Fault::Unmasked);
        }
        let held = self.message.as_ref().map_or(0, |part| part.bytes.len());
        match head.opcode {
            OpCode::Control(_) if !head.is_final || length > CONTROL_BYTES_MAX as u64 => {
                Err(Fault::Control(length))
            }
            OpCode::Control(_) => Ok(length as usize),
            OpCode::Data(_) => {
                let total = length.saturating_add(held as u64);
                if total > MESSAGE_BYTES_MAX as u64 {
                    return Err(Fault::TooLong(total));
                }
                Ok(length as usize)
            }
        }
    }

    /// Takes a whole frame; returns what it completes.
    fn take(&mut self, head: &FrameHeader, payload: Vec<u8>) -> Result<Option<Event>, Fault> {
        let is_text = match head.opcode {
            OpCode::Control(Control::Ping) => return Ok(Some(Event::Ping(payload))),
            OpCode::Control(Control::Pong) => return Ok(Some(Event::Pong)),
            OpCode::Control(Control::Close) => {
                let code = payload.first_chunk().map(|code| u16::from_be_bytes(*code));
                return Ok(Some(Event::Close(code)));
            }
            OpCode::Control(Control::Reserved(_)) | OpCode::Data(Data::Reserved(_)) => {
                return Err(Fault::Opcode);
            }
            OpCode::Data(Data::Continue) => {
                let mut message = self.message.take().ok_or(Fault::Fragment)?;
                message.bytes.extend_from_slice(&payload);
                if !head.is_final {
                    self.message = Some(message);
                    return Ok(None);
                }
                return whole(message.is_text, message.bytes).map(Some);
            }
            OpCode::Data(Data::Text) => true,
            OpCode::Data(Data::Binary) => false,
        };
        if self.message.is_some() {
            return Err(Fault::Fragment);
        }
        if head.is_final {
            return whole(is_text, payload).map(Some);
        }
        self.message = Some(Box::new(Message {
            is_text,
            bytes: payload,
        }));
        Ok(None)
    }
}

fn whole(is_text: bool, bytes: Vec<u8>) -> Result<Event, Fault> {
    if !is_text {
        return Ok(Event::Binary(bytes));
    }
    String::from_utf8(bytes)
        .map(Event::Text)
        .map_err(|_| Fault::NotUtf8)
}

fn unmask(payload: &[u8], mask: [u8; 4]) -> Vec<u8> {
    let mask = mask.iter().cycle();
    payload
        .iter()
        .zip(mask)
        .map(|(byte, key)| byte ^ key)
        .collect()
}

#[cfg(test)]
#[path = "reader_test.rs"]
mod tests;
