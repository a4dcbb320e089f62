//! Commands (7.2): what they say, and our answers.

use bytes::{BufMut, BytesMut};

use crate::coding::amf0::{self, Value};
use crate::protocol::rtmp::kind;
use crate::protocol::rtmp::message::Message;

/// The FourCCs a publisher may send.
const VIDEO_FOUR_CCS: [&str; 3] = ["avc1", "hvc1", "av01"];
const AUDIO_FOUR_CCS: [&str; 2] = ["mp4a", "Opus"];
/// FourCcInfoMask CanDecode and CanForward.
const DECODE_AND_FORWARD: f64 = 5.0;
/// CapsExMask ModEx. Multitrack is not claimed: only the default track is used.
const CAPABILITIES: f64 = 4.0;

/// A command message (7.2): name, transaction, command object, arguments.
#[derive(Debug)]
pub(super) struct Command {
    pub(super) name: String,
    pub(super) transaction: f64,
    pub(super) object: Value,
    pub(super) arguments: Vec<Value>,
}

impl Command {
    /// Reads the payload of a command message; `None` when it does not begin with a name.
    pub(super) fn read(message: &Message) -> Result<Option<Self>, amf0::Error> {
        let payload = match message.kind {
            // An AMF3 command is AMF0 behind a zero byte, unless a value switches inside.
            kind::COMMAND_AMF3 => message.payload.get(1..).unwrap_or_default(),
            _ => &message.payload[..],
        };
        let mut values = amf0::decode_all(payload)?.into_iter();
        let Some(Value::String(name)) = values.next() else {
            return Ok(None);
        };
        Ok(Some(Self {
            name,
            transaction: values.next().and_then(|v| v.as_number()).unwrap_or(0.0),
            object: values.next().unwrap_or(Value::Null),
            arguments: values.collect(),
        }))
    }

    /// An argument that is a text.
    pub(super) fn text(&self, index: usize) -> &str {
        let argument = self.arguments.get(index);
        argument.and_then(Value::as_str).unwrap_or_default()
    }

    /// A text of the command object.
    pub(super) fn property(&self, name: &str) -> &str {
        let property = self.object.get(name);
        property.and_then(Value::as_str).unwrap_or_default()
    }
}

/// A command message of `values` on message stream `stream_id`.
pub(super) fn message(stream_id: u32, values: &[Value]) -> Message {
    let mut payload = BytesMut::new();
    for value in values {
        amf0::encode(&mut payload, value);
    }
    Message {
        kind: kind::COMMAND_AMF0,
        stream_id,
        timestamp_ms: 0,
        payload: payload.freeze(),
    }
}

/// `_result` or `_error` with one argument.
pub(super) fn answer(name: &str, transaction: f64, object: Value, argument: Value) -> Message {
    message(0, &[name.into(), transaction.into(), object, argument])
}

/// `onStatus` (7.2.2): `level` is `status` or `error`; encoders show the description of errors.
pub(super) fn on_status(stream_id: u32, level: &str, code: &str, description: &str) -> Message {
    let values = [
        "onStatus".into(),
        0.0.into(),
        Value::Null,
        info(level, code, description),
    ];
    message(stream_id, &values)
}

/// The information object of `onStatus`, `_result` and `_error`.
pub(super) fn info(level: &str, code: &str, description: &str) -> Value {
    object(&[
        ("level", level.into()),
        ("code", code.into()),
        ("description", description.into()),
    ])
}

pub(super) fn object(properties: &[(&str, Value)]) -> Value {
    let properties = properties.iter();
    Value::Object(
        properties
            .map(|(name, value)| ((*name).to_owned(), value.clone()))
            .collect(),
    )
}

/// The properties of a successful `connect`, with what Enhanced RTMP v2 adds ("Enhancing
/// NetConnection connect Command").
pub(super) fn server_properties() -> Value {
    let mut properties = vec![
        ("fmsVer", "FMS/3,5,7,7009".into()),
        ("capabilities", 31.0.into()),
        ("mode", 1.0.into()),
    ];
    properties.extend(codec_properties());
    object(&properties)
}

/// What either side says of its codecs in Enhanced RTMP.
pub(super) fn codec_properties() -> [(&'static str, Value); 4] {
    let map = |names: &[&str]| {
        let masks: Vec<_> = names
            .iter()
            .map(|&n| (n, DECODE_AND_FORWARD.into()))
            .collect();
        object(&masks)
    };
    let list = VIDEO_FOUR_CCS.iter().chain(&AUDIO_FOUR_CCS);
    [
        (
            "fourCcList",
            Value::StrictArray(list.map(|&name| name.into()).collect()),
        ),
        ("videoFourCcInfoMap", map(&VIDEO_FOUR_CCS)),
        ("audioFourCcInfoMap", map(&AUDIO_FOUR_CCS)),
        ("capsEx", CAPABILITIES.into()),
    ]
}

/// A protocol control message (5.4): big-endian numbers on message stream 0.
pub(super) fn control(kind: u8, fields: &[u8]) -> Message {
    Message {
        kind,
        stream_id: 0,
        timestamp_ms: 0,
        payload: bytes::Bytes::copy_from_slice(fields),
    }
}

/// User Control (7.1.7) with one number.
pub(super) fn user_control(event: u16, number: u32) -> Message {
    let mut fields = Vec::with_capacity(6);
    fields.put_u16(event);
    fields.put_u32(number);
    control(kind::USER_CONTROL, &fields)
}
