//! From `connect` to `deleteStream`: the commands of a publisher (7.2).

use std::time::Duration;

use crate::coding::amf0::Value;
use crate::protocol::rtmp::command::{self, Command};
use crate::protocol::rtmp::kind;
use crate::protocol::rtmp::session::{CONTROL, Session, State};
use crate::protocol::rtmp::stream_key::{self, StreamKey};
use crate::protocol::rtmp::{CloseReason, Event};

/// The chunk stream that answers to commands go by.
const COMMAND: u8 = 3;
/// Our chunk size towards the publisher.
const SEND_CHUNK_BYTES: usize = 4096;
/// What we ask the publisher to acknowledge, and the bandwidth we name: never reached by answers.
const SEND_WINDOW_BYTES: u32 = 2_500_000;
/// Limit type "dynamic" of Set Peer Bandwidth (5.4.5).
const DYNAMIC: u8 = 2;
/// The message stream that every `createStream` is answered with: a connection publishes once.
const STREAM: f64 = 1.0;
/// The longest name of an encoder that is kept, in characters.
const ENCODER_CHARACTERS_MAX: usize = 64;

impl Session {
    pub(super) fn take_command(
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
        let kind = kind::WINDOW_ACKNOWLEDGEMENT_SIZE;
        self.write(CONTROL, &command::control(kind, &window));
        let [a, b, c, d] = window;
        let kind = kind::SET_PEER_BANDWIDTH;
        self.write(CONTROL, &command::control(kind, &[a, b, c, d, DYNAMIC]));
        let chunk = (SEND_CHUNK_BYTES as u32).to_be_bytes();
        self.write(CONTROL, &command::control(kind::SET_CHUNK_SIZE, &chunk));
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
            let description = "connect first, and publish one room on each connection";
            self.bad_name(stream_id, description);
            return Err(CloseReason::OutOfOrder("publish"));
        };
        match StreamKey::parse(&self.app, command.text(0)) {
            Ok(key) => {
                self.state = State::Requested { stream_id };
                self.event(Event::PublishRequested(key));
                Ok(())
            }
            Err(error) => {
                self.bad_name(stream_id, &error.to_string());
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
}

fn encoder_name(text: &str) -> String {
    let visible = text.chars().filter(|c| !c.is_control());
    visible.take(ENCODER_CHARACTERS_MAX).collect()
}
