//! A publisher's side: what tests, benches and the demo host push with.

use std::collections::VecDeque;
use std::time::Duration;

use bytes::{Buf, BufMut, Bytes, BytesMut};

use crate::coding::amf0::{self, Value};
use crate::protocol::rtmp::chunk::{Error, Reader};
use crate::protocol::rtmp::command::{self, Command};
use crate::protocol::rtmp::handshake::{PACKET_BYTES, VERSION};
use crate::protocol::rtmp::kind;
use crate::protocol::rtmp::message::{Message, Writer};
use crate::protocol::rtmp::{Media, MediaKind};

/// Our chunk size; frames go out in few chunks.
const SEND_CHUNK_BYTES: usize = 60_000;
/// The message stream we publish on; servers answer `createStream` with it.
const STREAM: u32 = 1;

// Transactions, in the order they are sent.
const CONNECT: f64 = 1.0;
const RELEASE_STREAM: f64 = 2.0;
const FC_PUBLISH: f64 = 3.0;
const CREATE_STREAM: f64 = 4.0;
const PUBLISH: f64 = 5.0;

/// What a client wants done next.
#[derive(Debug, PartialEq, Eq)]
pub enum ClientOutput {
    /// Write these bytes.
    Send(Bytes),
    /// Something happened.
    Event(ClientEvent),
    /// Nothing more before bytes arrive or media is pushed.
    Idle,
}

/// What the server said.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ClientEvent {
    /// The room is ours: push media.
    Published,
    /// It refuses, or ends what it had accepted; the text is for the host.
    Refused(String),
}

/// One publisher.
#[derive(Debug)]
pub struct Client {
    app: String,
    name: String,
    handshake_done: bool,
    reader: Reader,
    writer: Writer,
    send: BytesMut,
    events: VecDeque<ClientEvent>,
}

impl Client {
    /// A client that publishes to `rtmp://HOST/app/name`; `name` may carry parameters.
    #[must_use]
    pub fn new(app: &str, name: &str) -> Self {
        let mut send = BytesMut::new();
        send.put_u8(VERSION);
        send.put_bytes(0, PACKET_BYTES);
        Self {
            app: app.to_owned(),
            name: name.to_owned(),
            handshake_done: false,
            reader: Reader::new(),
            writer: Writer::new(),
            send,
            events: VecDeque::new(),
        }
    }

    /// Takes bytes from the server. Errors: it speaks no RTMP; close.
    pub fn handle_bytes(&mut self, input: &mut BytesMut) -> Result<(), Error> {
        if !self.handshake_done {
            if input.len() < 1 + 2 * PACKET_BYTES {
                return Ok(());
            }
            // 5.2.4: C2 echoes S1.
            self.send.put_slice(&input[1..=PACKET_BYTES]);
            input.advance(1 + 2 * PACKET_BYTES);
            self.handshake_done = true;
            self.connect();
        }
        while let Some(message) = self.reader.read(Duration::ZERO, input)? {
            match message.kind {
                kind::SET_CHUNK_SIZE => {
                    let bytes = (&message.payload[..]).try_get_u32().unwrap_or(0);
                    self.reader.set_chunk_bytes(bytes)?;
                }
                kind::COMMAND_AMF0 => {
                    if let Ok(Some(command)) = Command::read(&message) {
                        self.take_command(&command);
                    }
                }
                _ => {}
            }
        }
        Ok(())
    }

    /// Pushes the body of an FLV tag; after [`ClientEvent::Published`].
    pub fn push(&mut self, media: &Media) {
        let (kind, chunk_stream) = match media.kind {
            MediaKind::Audio => (kind::AUDIO, 4),
            MediaKind::Video => (kind::VIDEO, 6),
        };
        let message = Message {
            kind,
            stream_id: STREAM,
            timestamp_ms: media.timestamp_ms,
            payload: media.body.clone(),
        };
        self.writer.write(&mut self.send, chunk_stream, &message);
    }

    /// Pushes the body of an `onMetaData` script tag.
    pub fn push_metadata(&mut self, script: &[u8]) {
        let mut payload = BytesMut::new();
        amf0::encode(&mut payload, &"@setDataFrame".into());
        payload.put_slice(script);
        let message = Message {
            kind: kind::DATA_AMF0,
            stream_id: STREAM,
            timestamp_ms: 0,
            payload: payload.freeze(),
        };
        self.writer.write(&mut self.send, 4, &message);
    }

    /// Says that nothing more comes.
    pub fn finish(&mut self) {
        let name = self.name.as_str().into();
        self.command(&["FCUnpublish".into(), 6.0.into(), Value::Null, name]);
        let stream = f64::from(STREAM).into();
        self.command(&["deleteStream".into(), 7.0.into(), Value::Null, stream]);
    }

    /// What to do next; call until it says [`ClientOutput::Idle`].
    pub fn poll_output(&mut self) -> ClientOutput {
        if !self.send.is_empty() {
            return ClientOutput::Send(self.send.split().freeze());
        }
        let event = self.events.pop_front().map(ClientOutput::Event);
        event.unwrap_or(ClientOutput::Idle)
    }

    fn connect(&mut self) {
        let size = (SEND_CHUNK_BYTES as u32).to_be_bytes();
        let message = command::control(kind::SET_CHUNK_SIZE, &size);
        self.writer.write(&mut self.send, 2, &message);
        self.writer.set_chunk_bytes(SEND_CHUNK_BYTES);
        let mut properties = vec![
            ("app", self.app.as_str().into()),
            ("type", "nonprivate".into()),
            ("flashVer", "FMLE/3.0 (compatible; Rushlane)".into()),
            (
                "tcUrl",
                format!("rtmp://localhost/{}", self.app).as_str().into(),
            ),
        ];
        properties.extend(command::codec_properties());
        let object = command::object(&properties);
        self.command(&["connect".into(), CONNECT.into(), object]);
    }

    fn take_command(&mut self, command: &Command) {
        let refused = |information: &Value| {
            let text = information.get("description").and_then(Value::as_str);
            ClientEvent::Refused(text.unwrap_or("no reason given").to_owned())
        };
        let information = command.arguments.first().unwrap_or(&Value::Null);
        let level = information.get("level").and_then(Value::as_str);
        match command.name.as_str() {
            "_result" if command.transaction == CONNECT => {
                let name = || Value::from(self.name.as_str());
                let commands = [
                    ("releaseStream", RELEASE_STREAM, Some(name())),
                    ("FCPublish", FC_PUBLISH, Some(name())),
                    ("createStream", CREATE_STREAM, None),
                ];
                for (verb, transaction, name) in commands {
                    let mut values = vec![verb.into(), transaction.into(), Value::Null];
                    values.extend(name);
                    self.command(&values);
                }
            }
            "_result" if command.transaction == CREATE_STREAM => {
                let name = self.name.as_str().into();
                let kind = "live".into();
                let values = ["publish".into(), PUBLISH.into(), Value::Null, name, kind];
                let message = command::message(STREAM, &values);
                self.writer.write(&mut self.send, 3, &message);
            }
            "_error" => self.events.push_back(refused(information)),
            "onStatus" if level == Some("error") => self.events.push_back(refused(information)),
            "onStatus" => {
                let code = information.get("code").and_then(Value::as_str);
                if code == Some("NetStream.Publish.Start") {
                    self.events.push_back(ClientEvent::Published);
                }
            }
            _ => {}
        }
    }

    fn command(&mut self, values: &[Value]) {
        let message = command::message(0, values);
        self.writer.write(&mut self.send, 3, &message);
    }
}
