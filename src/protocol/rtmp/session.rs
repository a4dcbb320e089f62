//! The server's side of one connection.

use std::collections::VecDeque;
use std::time::Duration;

use bytes::{Buf, BytesMut};

use super::chunk::{self, Message, Reader, Writer};
use super::command::{self, Command};
use super::handshake::Handshake;
use super::stream_key::{self, StreamKey, StreamKeyError};
use super::{Event, Limits, Media, MediaKind, Output, message_type};
use crate::coding::amf0::{self, Value};

/// Our chunk size towards the publisher.
const SEND_CHUNK_BYTES: usize = 4096;
/// What we ask the publisher to acknowledge, and the bandwidth we name: never reached by answers.
const SEND_WINDOW_BYTES: u32 = 2_500_000;
/// The smallest acknowledgement window we follow, so that nobody makes us talk more than listen.
const RECEIVE_WINDOW_BYTES_MIN: u32 = 4096;
/// Commands and pings at once. Encoders send up to 10 to get going.
const COMMANDS_BURST: u32 = 64;
/// Commands and pings per second after that.
const COMMANDS_PER_SECOND: u64 = 8;
/// The message stream that every `createStream` is answered with: a connection publishes once.
const STREAM: f64 = 1.0;
/// The longest name of an encoder that is kept, in characters.
const ENCODER_CHARACTERS_MAX: usize = 64;

// Chunk streams we send on.
const CONTROL: u8 = 2;
const COMMAND: u8 = 3;
const STATUS: u8 = 5;

// User control events (7.1.7).
const STREAM_BEGIN: u16 = 0;
const PING_REQUEST: u16 = 6;
const PING_RESPONSE: u16 = 7;

/// Why a session is over; for logs, and for the driver that closes.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum CloseReason {
    /// The first byte is not that of RTMP.
    #[error("the first byte is {version:#04x}, and not that of RTMP (3)")]
    Version {
        /// That byte: 0x16 is TLS on the plain port, 6 is RTMPE.
        version: u8,
    },
    /// [`Limits::handshake`] has passed.
    #[error("no handshake within {} s", .0.as_secs())]
    HandshakeTimeout(Duration),
    /// [`Limits::opening`] has passed.
    #[error("nothing published within {} s", .0.as_secs())]
    OpeningTimeout(Duration),
    /// [`Limits::idle`] has passed.
    #[error("not a byte for {} s", .0.as_secs())]
    Idle(Duration),
    /// [`Limits::message`] has passed.
    #[error("a message took longer than {} s", .0.as_secs())]
    MessageTimeout(Duration),
    /// The chunk stream is damaged, or beyond its bounds.
    #[error(transparent)]
    Chunk(#[from] chunk::Error),
    /// A command is damaged.
    #[error("a command: {0}")]
    Command(#[from] amf0::Error),
    /// A control message is shorter than its fields.
    #[error("a control message of type {kind} has {bytes} bytes")]
    Control {
        /// Message type.
        kind: u8,
        /// Its length.
        bytes: usize,
    },
    /// More commands than the allowance.
    #[error("more than {COMMANDS_BURST} commands and {COMMANDS_PER_SECOND} per second")]
    TooManyCommands,
    /// The stream key cannot be used.
    #[error("refused: {0}")]
    StreamKey(#[from] StreamKeyError),
    /// The driver refused the publisher.
    #[error("refused: {0}")]
    Refused(String),
    /// It wanted to play.
    #[error("refused: it wants to play, and this port only takes publishers")]
    Play,
    /// A command out of its order.
    #[error("{0} comes out of order")]
    OutOfOrder(&'static str),
    /// The driver ended the session.
    #[error("ended: {0}")]
    Ended(String),
}

#[derive(Debug)]
enum State {
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
    writer: Writer,
    state: State,
    app: String,
    outputs: VecDeque<Output>,
    send: BytesMut,
    closed: Option<CloseReason>,
    acknowledgement: Acknowledgement,
    allowance: Allowance,
    /// When the last byte came.
    heard_at: Duration,
    /// Since when the session owes a `publish`; starts at the end of the handshake.
    opening_since: Duration,
}

/// What the peer wants acknowledged (5.4.3).
#[derive(Debug, Default)]
struct Acknowledgement {
    window_bytes: Option<u32>,
    received_bytes: u64,
    acknowledged_bytes: u64,
}

/// A token bucket for everything that makes us work without carrying media.
#[derive(Debug)]
struct Allowance {
    left: u32,
    refilled_at: Duration,
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
            allowance: Allowance {
                left: COMMANDS_BURST,
                refilled_at: Duration::ZERO,
            },
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
        if let Some((deadline, reason)) = self.next_deadline()
            && now >= deadline
        {
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
            self.status(stream_id, "error", "NetStream.Publish.BadName", reason);
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
        let deadline = self.next_deadline();
        Output::Timeout(deadline.map_or(Duration::MAX, |(at, _)| at))
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
    fn next_deadline(&self) -> Option<(Duration, CloseReason)> {
        let Limits {
            handshake,
            opening,
            idle,
            message,
        } = self.limits;
        if !self.handshake.is_done() {
            return Some((handshake, CloseReason::HandshakeTimeout(handshake)));
        }
        let idle = (self.heard_at + idle, CloseReason::Idle(idle));
        let opening = match self.state {
            State::AwaitConnect | State::Connected => {
                let reason = CloseReason::OpeningTimeout(opening);
                Some((self.opening_since + opening, reason))
            }
            State::Requested { .. } | State::Publishing { .. } => None,
        };
        let oldest = self.reader.oldest();
        let message = oldest.map(|since| (since + message, CloseReason::MessageTimeout(message)));
        let all = [Some(idle), opening, message].into_iter().flatten();
        all.min_by_key(|(deadline, _)| *deadline)
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
            message_type::AUDIO => self.take_media(MediaKind::Audio, message),
            message_type::VIDEO => self.take_media(MediaKind::Video, message),
            message_type::DATA_AMF0 => self.take_data(message),
            message_type::DATA_AMF3 => {
                let payload = message.payload.slice(message.payload.len().min(1)..);
                self.take_data(Message { payload, ..message });
            }
            message_type::COMMAND_AMF0 | message_type::COMMAND_AMF3 => {
                self.allowance.take(now)?;
                if let Some(command) = Command::read(&message)? {
                    self.take_command(now, message.stream_id, &command)?;
                }
            }
            message_type::SET_CHUNK_SIZE..=message_type::SET_PEER_BANDWIDTH => {
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
        if message.kind == message_type::USER_CONTROL {
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
            message_type::SET_CHUNK_SIZE => self.reader.set_chunk_bytes(number)?,
            message_type::ABORT => self.reader.abort(number),
            message_type::WINDOW_ACKNOWLEDGEMENT_SIZE if number > 0 => {
                let window = number.max(RECEIVE_WINDOW_BYTES_MIN);
                self.acknowledgement.window_bytes = Some(window);
            }
            // Acknowledgements and bandwidth: our answers are too few to need a window.
            _ => {}
        }
        Ok(())
    }

    fn take_command(
        &mut self,
        now: Duration,
        stream_id: u32,
        command: &Command,
    ) -> Result<(), CloseReason> {
        match command.name.as_str() {
            "connect" => self.connect(command),
            "createStream" => self.create_stream(command),
            "publish" => self.publish(stream_id, command),
            "FCPublish" => {
                let info = command::info("status", "NetStream.Publish.Start", "go on");
                let values = ["onFCPublish".into(), 0.0.into(), Value::Null, info];
                self.write(COMMAND, &command::message(0, &values));
                self.acknowledge_command(command);
                Ok(())
            }
            "FCUnpublish" | "deleteStream" | "closeStream" => {
                self.unpublish(now);
                if command.name == "FCUnpublish" {
                    self.acknowledge_command(command);
                }
                Ok(())
            }
            "releaseStream" | "_checkbw" => {
                self.acknowledge_command(command);
                Ok(())
            }
            "play" | "play2" => {
                let description = "this port takes publishers; play over HTTP";
                self.status(stream_id, "error", "NetStream.Play.Failed", description);
                Err(CloseReason::Play)
            }
            // 7.2: peers ignore what they do not know.
            _ => Ok(()),
        }
    }

    /// Source: 7.2.1.1, and Enhanced RTMP v2, "Enhancing NetConnection connect Command".
    fn connect(&mut self, command: &Command) -> Result<(), CloseReason> {
        let State::AwaitConnect = self.state else {
            return Err(CloseReason::OutOfOrder("connect"));
        };
        command.property("app").clone_into(&mut self.app);
        if let Err(error) = stream_key::check_application(&self.app) {
            let code = "NetConnection.Connect.Rejected";
            let info = command::info("error", code, &error.to_string());
            let answer = command::answer("_error", command.transaction, Value::Null, info);
            self.write(COMMAND, &answer);
            return Err(error.into());
        }
        self.state = State::Connected;
        let window = SEND_WINDOW_BYTES.to_be_bytes();
        let kind = message_type::WINDOW_ACKNOWLEDGEMENT_SIZE;
        self.write(CONTROL, &command::control(kind, &window));
        const DYNAMIC: u8 = 2;
        let [a, b, c, d] = window;
        let kind = message_type::SET_PEER_BANDWIDTH;
        self.write(CONTROL, &command::control(kind, &[a, b, c, d, DYNAMIC]));
        let chunk = (SEND_CHUNK_BYTES as u32).to_be_bytes();
        self.write(
            CONTROL,
            &command::control(message_type::SET_CHUNK_SIZE, &chunk),
        );
        self.writer.set_chunk_bytes(SEND_CHUNK_BYTES);

        let encoding = command
            .object
            .get("objectEncoding")
            .and_then(Value::as_number);
        let info = command::object(&[
            ("level", "status".into()),
            ("code", "NetConnection.Connect.Success".into()),
            ("description", "connected".into()),
            ("objectEncoding", encoding.unwrap_or(0.0).into()),
        ]);
        let properties = command::server_properties();
        let answer = command::answer("_result", command.transaction, properties, info);
        self.write(COMMAND, &answer);
        let enhanced = ["fourCcList", "videoFourCcInfoMap", "capsEx"];
        self.event(Event::Connected {
            encoder: encoder_name(command.property("flashVer")),
            enhanced: enhanced
                .iter()
                .any(|name| command.object.get(name).is_some()),
        });
        Ok(())
    }

    /// Source: 7.2.1.3.
    fn create_stream(&mut self, command: &Command) -> Result<(), CloseReason> {
        if let State::AwaitConnect = self.state {
            return Err(CloseReason::OutOfOrder("createStream"));
        }
        let transaction = command.transaction;
        let answer = command::answer("_result", transaction, Value::Null, STREAM.into());
        self.write(COMMAND, &answer);
        Ok(())
    }

    /// Source: 7.2.2.6. Its second argument (live, record, append) changes nothing here.
    fn publish(&mut self, stream_id: u32, command: &Command) -> Result<(), CloseReason> {
        let State::Connected = self.state else {
            return Err(CloseReason::OutOfOrder("publish"));
        };
        match StreamKey::parse(&self.app, command.text(0)) {
            Ok(key) => {
                self.state = State::Requested { stream_id };
                self.event(Event::PublishRequested(key));
                Ok(())
            }
            Err(error) => {
                let code = "NetStream.Publish.BadName";
                self.status(stream_id, "error", code, &error.to_string());
                Err(error.into())
            }
        }
    }

    fn unpublish(&mut self, now: Duration) {
        let (State::Requested { stream_id } | State::Publishing { stream_id }) = self.state else {
            return;
        };
        self.state = State::Connected;
        self.opening_since = now;
        let code = "NetStream.Unpublish.Success";
        self.status(stream_id, "status", code, "the room is closed");
        self.event(Event::Unpublished);
    }

    /// An empty `_result`, for encoders that wait for one.
    fn acknowledge_command(&mut self, command: &Command) {
        if command.transaction > 0.0 {
            let transaction = command.transaction;
            let answer = command::answer("_result", transaction, Value::Null, Value::Null);
            self.write(COMMAND, &answer);
        }
    }

    fn acknowledge(&mut self, bytes: usize) {
        if let Some(sequence) = self.acknowledgement.received(bytes)
            && self.closed.is_none()
        {
            let kind = message_type::ACKNOWLEDGEMENT;
            self.write(CONTROL, &command::control(kind, &sequence.to_be_bytes()));
        }
    }

    fn status(&mut self, stream_id: u32, level: &str, code: &str, description: &str) {
        let message = command::on_status(stream_id, level, code, description);
        self.write(STATUS, &message);
    }

    fn write(&mut self, chunk_stream: u8, message: &Message) {
        self.writer.write(&mut self.send, chunk_stream, message);
    }

    fn event(&mut self, event: Event) {
        self.outputs.push_back(Output::Event(event));
    }
}

// === impl Acknowledgement ===

impl Acknowledgement {
    /// Counts bytes; returns the sequence number when one is due.
    fn received(&mut self, bytes: usize) -> Option<u32> {
        self.received_bytes += bytes as u64;
        let window = u64::from(self.window_bytes?);
        if self.received_bytes - self.acknowledged_bytes < window {
            return None;
        }
        self.acknowledged_bytes = self.received_bytes;
        Some(self.received_bytes as u32) // 5.4.3 lets the number wrap
    }
}

// === impl Allowance ===

impl Allowance {
    fn take(&mut self, now: Duration) -> Result<(), CloseReason> {
        let passed = now.saturating_sub(self.refilled_at).as_secs();
        if passed > 0 {
            let earned = u32::try_from(passed * COMMANDS_PER_SECOND).unwrap_or(COMMANDS_BURST);
            self.left = self.left.saturating_add(earned).min(COMMANDS_BURST);
            self.refilled_at += Duration::from_secs(passed);
        }
        self.left = self
            .left
            .checked_sub(1)
            .ok_or(CloseReason::TooManyCommands)?;
        Ok(())
    }
}

fn encoder_name(text: &str) -> String {
    let visible = text.chars().filter(|c| !c.is_control());
    visible.take(ENCODER_CHARACTERS_MAX).collect()
}

#[cfg(test)]
#[path = "session_test.rs"]
mod tests;
