//! The server's side of one connection.

use std::collections::VecDeque;
use std::time::Duration;

use bytes::{Buf, BytesMut};

use crate::protocol::rtmp::chunk::Reader;
use crate::protocol::rtmp::command::{self, Command};
use crate::protocol::rtmp::handshake::Handshake;
use crate::protocol::rtmp::kind;
use crate::protocol::rtmp::message::{Message, Writer};
use crate::protocol::rtmp::meter::{Acknowledgement, Allowance};
use crate::protocol::rtmp::{CloseReason, Event, Limits, Media, MediaKind, Output};

/// The smallest acknowledgement window we follow, so that nobody makes us talk more than listen.
const RECEIVE_WINDOW_BYTES_MIN: u32 = 4096;

/// The chunk stream of protocol control messages (5.4).
pub(super) const CONTROL: u8 = 2;
/// The chunk stream that `onStatus` goes by.
const STATUS: u8 = 5;

// User control events (7.1.7).
const STREAM_BEGIN: u16 = 0;
const PING_REQUEST: u16 = 6;
const PING_RESPONSE: u16 = 7;

#[derive(Debug)]
pub(super) enum State {
    AwaitConnect,
    Connected,
    /// The driver has been asked.
    Requested {
        stream_id: u32,
    },
    Publishing {
        stream_id: u32,
    },
}

/// One publisher's connection, seen from the server.
#[derive(Debug)]
pub struct Session {
    limits: Limits,
    handshake: Handshake,
    reader: Reader,
    pub(super) writer: Writer,
    pub(super) state: State,
    pub(super) app: String,
    outputs: VecDeque<Output>,
    send: BytesMut,
    closed: Option<CloseReason>,
    acknowledgement: Acknowledgement,
    allowance: Allowance,
    /// When the last byte came.
    heard_at: Duration,
    /// Since when the session owes a `publish`; starts at the end of the handshake.
    pub(super) opening_since: Duration,
}

impl Session {
    /// A session on a connection that opens now, at time 0.
    #[must_use]
    pub fn new(limits: Limits) -> Self {
        Self {
            limits,
            handshake: Handshake::default(),
            reader: Reader::new(),
            writer: Writer::new(),
            state: State::AwaitConnect,
            app: String::new(),
            outputs: VecDeque::new(),
            send: BytesMut::new(),
            closed: None,
            acknowledgement: Acknowledgement::default(),
            allowance: Allowance::default(),
            heard_at: Duration::ZERO,
            opening_since: Duration::ZERO,
        }
    }

    /// Takes bytes from the peer; `input` keeps at most the 18 bytes of a header (or a handshake
    /// packet) that has not arrived whole.
    pub fn handle_bytes(&mut self, now: Duration, input: &mut BytesMut) {
        let before = input.len();
        self.heard_at = now;
        if self.closed.is_none()
            && let Err(reason) = self.read(now, input)
        {
            self.close(reason);
        }
        if self.closed.is_some() {
            input.clear();
        }
        self.acknowledge(before - input.len());
    }

    /// Tells the session what time it is.
    pub fn handle_timeout(&mut self, now: Duration) {
        let (deadline, reason) = self.next_deadline();
        if now >= deadline {
            self.close(reason);
        }
    }

    /// The publisher has the room.
    pub fn accept_publish(&mut self) {
        let State::Requested { stream_id } = self.state else {
            return;
        };
        self.state = State::Publishing { stream_id };
        self.write(CONTROL, &command::user_control(STREAM_BEGIN, stream_id));
        let code = "NetStream.Publish.Start";
        self.status(stream_id, "status", code, "the room is yours");
    }

    /// The publisher may not have the room: it is shown `reason`, and the session closes.
    pub fn refuse_publish(&mut self, reason: &str) {
        if let State::Requested { stream_id } = self.state {
            self.bad_name(stream_id, reason);
            self.close(CloseReason::Refused(reason.to_owned()));
        }
    }

    /// Ends the session from our side; the encoder is shown `reason`.
    pub fn end(&mut self, reason: &str) {
        if let State::Publishing { stream_id } = self.state {
            self.status(stream_id, "error", "NetStream.Publish.Rejected", reason);
        }
        self.close(CloseReason::Ended(reason.to_owned()));
    }

    /// What to do next; call until it says [`Output::Timeout`] or [`Output::Closed`].
    pub fn poll_output(&mut self) -> Output {
        if let Some(output) = self.outputs.pop_front() {
            return output;
        }
        if !self.send.is_empty() {
            return Output::Send(self.send.split().freeze());
        }
        if let Some(reason) = &self.closed {
            return Output::Closed(reason.clone());
        }
        Output::Timeout(self.next_deadline().0)
    }

    /// Memory held by unfinished messages; at most [`super::HELD_BYTES_MAX`].
    #[must_use]
    pub fn held_bytes(&self) -> usize {
        self.reader.held_bytes()
    }

    fn close(&mut self, reason: CloseReason) {
        if self.closed.is_none() {
            // What the peer did before its fault no longer matters.
            self.outputs.clear();
            self.reader = Reader::new();
            self.closed = Some(reason);
        }
    }

    /// The deadline that comes first, and what it means.
    fn next_deadline(&self) -> (Duration, CloseReason) {
        let Limits {
            handshake,
            opening,
            idle,
            message,
        } = self.limits;
        if !self.handshake.is_done() {
            return (handshake, CloseReason::HandshakeTimeout(handshake));
        }
        let mut first = (self.heard_at + idle, CloseReason::Idle(idle));
        if let Some(since) = self.reader.oldest()
            && since + message < first.0
        {
            first = (since + message, CloseReason::MessageTimeout(message));
        }
        if let State::AwaitConnect | State::Connected = self.state
            && self.opening_since + opening < first.0
        {
            let reason = CloseReason::OpeningTimeout(opening);
            first = (self.opening_since + opening, reason);
        }
        first
    }

    fn read(&mut self, now: Duration, input: &mut BytesMut) -> Result<(), CloseReason> {
        if !self.handshake.is_done() {
            let version = self.handshake.read(input, &mut self.send);
            version.map_err(|version| CloseReason::Version { version })?;
            self.opening_since = now;
            if !self.handshake.is_done() {
                return Ok(());
            }
        }
        while let Some(message) = self.reader.read(now, input)? {
            self.take_message(now, message)?;
        }
        Ok(())
    }

    fn take_message(&mut self, now: Duration, message: Message) -> Result<(), CloseReason> {
        match message.kind {
            kind::AUDIO => self.take_media(MediaKind::Audio, message),
            kind::VIDEO => self.take_media(MediaKind::Video, message),
            kind::DATA_AMF0 => self.take_data(message),
            kind::DATA_AMF3 => {
                let payload = message.payload.slice(message.payload.len().min(1)..);
                self.take_data(Message { payload, ..message });
            }
            kind::COMMAND_AMF0 | kind::COMMAND_AMF3 => {
                self.allowance.take(now)?;
                if let Some(command) = Command::read(&message)? {
                    self.take_command(now, message.stream_id, &command)?;
                }
            }
            kind::SET_CHUNK_SIZE..=kind::SET_PEER_BANDWIDTH => {
                self.take_control(now, &message)?;
            }
            // Shared objects and aggregates: no publisher of today sends them.
            _ => {}
        }
        Ok(())
    }

    fn take_media(&mut self, kind: MediaKind, message: Message) {
        // Media around a publication is what an encoder had on the way: no fault.
        if let State::Requested { .. } | State::Publishing { .. } = self.state {
            self.event(Event::Media(Media {
                kind,
                timestamp_ms: message.timestamp_ms,
                body: message.payload,
            }));
        }
    }

    fn take_data(&mut self, message: Message) {
        if let State::Requested { .. } | State::Publishing { .. } = self.state {
            self.event(Event::Data(message.payload));
        }
    }

    fn take_control(&mut self, now: Duration, message: &Message) -> Result<(), CloseReason> {
        let mut fields = &message.payload[..];
        let short = CloseReason::Control {
            kind: message.kind,
            bytes: fields.len(),
        };
        if message.kind == kind::USER_CONTROL {
            let event = fields.try_get_u16().map_err(|_| short)?;
            if event == PING_REQUEST
                && let Ok(timestamp) = fields.try_get_u32()
            {
                self.allowance.take(now)?;
                self.write(CONTROL, &command::user_control(PING_RESPONSE, timestamp));
            }
            return Ok(());
        }
        let number = fields.try_get_u32().map_err(|_| short)?;
        match message.kind {
            kind::SET_CHUNK_SIZE => self.reader.set_chunk_bytes(number)?,
            kind::ABORT => self.reader.abort(number),
            kind::WINDOW_ACKNOWLEDGEMENT_SIZE if number > 0 => {
                let window = number.max(RECEIVE_WINDOW_BYTES_MIN);
                self.acknowledgement.window_bytes = Some(window);
            }
            // Acknowledgements and bandwidth: our answers are too few to need a window.
            _ => {}
        }
        Ok(())
    }

    fn acknowledge(&mut self, bytes: usize) {
        if let Some(sequence) = self.acknowledgement.received(bytes)
            && self.closed.is_none()
        {
            let kind = kind::ACKNOWLEDGEMENT;
            self.write(CONTROL, &command::control(kind, &sequence.to_be_bytes()));
        }
    }

    /// What encoders show as the reason of a refused `publish`.
    pub(super) fn bad_name(&mut self, stream_id: u32, description: &str) {
        let code = "NetStream.Publish.BadName";
        self.status(stream_id, "error", code, description);
    }

    pub(super) fn status(&mut self, stream_id: u32, level: &str, code: &str, description: &str) {
        let message = command::on_status(stream_id, level, code, description);
        self.write(STATUS, &message);
    }

    pub(super) fn write(&mut self, chunk_stream: u8, message: &Message) {
        self.writer.write(&mut self.send, chunk_stream, message);
    }

    pub(super) fn event(&mut self, event: Event) {
        self.outputs.push_back(Output::Event(event));
    }
}

#[cfg(test)]
#[path = "session_test.rs"]
mod tests;
