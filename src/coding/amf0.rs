//! AMF0, the value encoding that RTMP commands and FLV metadata share.
//!
//! Invariant: decoding costs memory in proportion to the bytes at hand. No length field is trusted
//! with an allocation, nesting ends at [`DEPTH_MAX`] and one message at [`VALUES_MAX`] values.
//! Source: Adobe, "Action Message Format -- AMF 0" (2007); sections are cited below.

use bytes::{BufMut, BytesMut};

/// The deepest nesting of objects and arrays; real commands use 3.
pub const DEPTH_MAX: usize = 16;
/// The most values in one message; `connect` and `onMetaData` of real encoders stay below 100.
pub const VALUES_MAX: usize = 1024;

/// One AMF0 value. Properties keep their order.
#[derive(Debug, Clone, PartialEq)]
pub enum Value {
    /// A double (2.2); dates (2.13) are read as their milliseconds since 1970.
    Number(f64),
    /// 2.3.
    Boolean(bool),
    /// A short or long string or an XML document (2.4, 2.14, 2.17). Bytes that are no UTF-8 are
    /// replaced: encoders write metadata in local character sets.
    String(String),
    /// Anonymous and typed objects (2.5, 2.18).
    Object(Vec<(String, Self)>),
    /// An associative array (2.10), as `onMetaData` uses it.
    EcmaArray(Vec<(String, Self)>),
    /// 2.12.
    StrictArray(Vec<Self>),
    /// Null, undefined, unsupported, and references (2.7 to 2.9, 2.15).
    Null,
}

/// Why bytes are no AMF0.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// The bytes end inside a value.
    #[error("an AMF0 value ends after {bytes} bytes")]
    Truncated {
        /// How many bytes there were in all.
        bytes: usize,
    },
    /// A type this reader does not take: movie clip, record set, AMF3.
    #[error("AMF0 marker {marker:#04x} is not supported")]
    Marker {
        /// The type byte.
        marker: u8,
    },
    /// Nesting beyond [`DEPTH_MAX`].
    #[error("AMF0 values are nested deeper than {DEPTH_MAX}")]
    TooDeep,
    /// More values than [`VALUES_MAX`].
    #[error("an AMF0 message has more than {VALUES_MAX} values")]
    TooMany,
}

mod marker {
    pub(super) const NUMBER: u8 = 0x00;
    pub(super) const BOOLEAN: u8 = 0x01;
    pub(super) const STRING: u8 = 0x02;
    pub(super) const OBJECT: u8 = 0x03;
    pub(super) const NULL: u8 = 0x05;
    pub(super) const UNDEFINED: u8 = 0x06;
    pub(super) const REFERENCE: u8 = 0x07;
    pub(super) const ECMA_ARRAY: u8 = 0x08;
    pub(super) const OBJECT_END: u8 = 0x09;
    pub(super) const STRICT_ARRAY: u8 = 0x0a;
    pub(super) const DATE: u8 = 0x0b;
    pub(super) const LONG_STRING: u8 = 0x0c;
    pub(super) const UNSUPPORTED: u8 = 0x0d;
    pub(super) const XML_DOCUMENT: u8 = 0x0f;
    pub(super) const TYPED_OBJECT: u8 = 0x10;
}

/// Reads values until the bytes end, as a command or data message holds them.
pub fn decode_all(bytes: &[u8]) -> Result<Vec<Value>, Error> {
    let mut reader = Reader {
        all: bytes,
        rest: bytes,
        values: 0,
    };
    let mut values = Vec::new();
    while !reader.rest.is_empty() {
        values.push(reader.value(0)?);
    }
    Ok(values)
}

/// Appends `value`.
pub fn encode(out: &mut BytesMut, value: &Value) {
    match value {
        Value::Number(number) => {
            out.put_u8(marker::NUMBER);
            out.put_f64(*number);
        }
        Value::Boolean(flag) => {
            out.put_u8(marker::BOOLEAN);
            out.put_u8(u8::from(*flag));
        }
        Value::String(text) => encode_string(out, text),
        Value::Object(properties) => {
            out.put_u8(marker::OBJECT);
            encode_properties(out, properties);
        }
        Value::EcmaArray(properties) => {
            out.put_u8(marker::ECMA_ARRAY);
            out.put_u32(u32::try_from(properties.len()).unwrap_or(u32::MAX));
            encode_properties(out, properties);
        }
        Value::StrictArray(values) => {
            out.put_u8(marker::STRICT_ARRAY);
            out.put_u32(u32::try_from(values.len()).unwrap_or(u32::MAX));
            for value in values {
                encode(out, value);
            }
        }
        Value::Null => out.put_u8(marker::NULL),
    }
}

fn encode_string(out: &mut BytesMut, text: &str) {
    if let Ok(length) = u16::try_from(text.len()) {
        out.put_u8(marker::STRING);
        out.put_u16(length);
    } else {
        out.put_u8(marker::LONG_STRING);
        out.put_u32(u32::try_from(text.len()).expect("our own texts are below 4 GB"));
    }
    out.put_slice(text.as_bytes());
}

fn encode_properties(out: &mut BytesMut, properties: &[(String, Value)]) {
    for (name, value) in properties {
        out.put_u16(u16::try_from(name.len()).expect("our own property names are short"));
        out.put_slice(name.as_bytes());
        encode(out, value);
    }
    out.put_slice(&[0, 0, marker::OBJECT_END]);
}

// === impl Value ===

impl Value {
    /// The number, if it is one.
    #[must_use]
    pub fn as_number(&self) -> Option<f64> {
        match self {
            Self::Number(number) => Some(*number),
            _ => None,
        }
    }

    /// The text, if it is one.
    #[must_use]
    pub fn as_str(&self) -> Option<&str> {
        match self {
            Self::String(text) => Some(text),
            _ => None,
        }
    }

    /// The properties of an object or associative array; none for any other value.
    #[must_use]
    pub fn properties(&self) -> &[(String, Self)] {
        match self {
            Self::Object(properties) | Self::EcmaArray(properties) => properties,
            _ => &[],
        }
    }

    /// The first property called `name`.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&Self> {
        let found = self.properties().iter().find(|(key, _)| key == name);
        found.map(|(_, value)| value)
    }
}

impl From<f64> for Value {
    fn from(number: f64) -> Self {
        Self::Number(number)
    }
}

impl From<bool> for Value {
    fn from(flag: bool) -> Self {
        Self::Boolean(flag)
    }
}

impl From<&str> for Value {
    fn from(text: &str) -> Self {
        Self::String(text.to_owned())
    }
}

// === impl Reader ===

struct Reader<'a> {
    all: &'a [u8],
    rest: &'a [u8],
    values: usize,
}

impl Reader<'_> {
    fn value(&mut self, depth: usize) -> Result<Value, Error> {
        if depth > DEPTH_MAX {
            return Err(Error::TooDeep);
        }
        self.values += 1;
        if self.values > VALUES_MAX {
            return Err(Error::TooMany);
        }
        Ok(match self.u8()? {
            marker::NUMBER => Value::Number(self.f64()?),
            marker::BOOLEAN => Value::Boolean(self.u8()? != 0),
            marker::STRING => Value::String(self.short_string()?),
            marker::LONG_STRING | marker::XML_DOCUMENT => {
                let length = self.u32()?;
                Value::String(self.text(length as usize)?)
            }
            marker::OBJECT => Value::Object(self.properties(depth)?),
            marker::TYPED_OBJECT => {
                self.short_string()?;
                Value::Object(self.properties(depth)?)
            }
            marker::ECMA_ARRAY => {
                // 2.10: the count is a hint, and encoders write 0 or a wrong one; the end marker
                // decides.
                self.u32()?;
                Value::EcmaArray(self.properties(depth)?)
            }
            marker::STRICT_ARRAY => {
                let count = self.u32()?;
                let mut values = Vec::new();
                for _ in 0..count {
                    values.push(self.value(depth + 1)?);
                }
                Value::StrictArray(values)
            }
            marker::DATE => {
                let milliseconds = self.f64()?;
                // 2.13: the time zone is reserved and ignored.
                self.take(2)?;
                Value::Number(milliseconds)
            }
            marker::REFERENCE => {
                self.take(2)?;
                Value::Null
            }
            marker::NULL | marker::UNDEFINED | marker::UNSUPPORTED => Value::Null,
            marker => return Err(Error::Marker { marker }),
        })
    }

    /// Properties up to the end marker. Bytes that end between two properties end the list too:
    /// some encoders leave the marker of the last array out.
    fn properties(&mut self, depth: usize) -> Result<Vec<(String, Value)>, Error> {
        let mut properties = Vec::new();
        loop {
            if self.rest.is_empty() {
                return Ok(properties);
            }
            let name = self.short_string()?;
            if name.is_empty() && self.rest.first() == Some(&marker::OBJECT_END) {
                self.take(1)?;
                return Ok(properties);
            }
            properties.push((name, self.value(depth + 1)?));
        }
    }

    fn short_string(&mut self) -> Result<String, Error> {
        let length = self.array::<2>().map(u16::from_be_bytes)?;
        self.text(usize::from(length))
    }

    fn text(&mut self, length: usize) -> Result<String, Error> {
        Ok(String::from_utf8_lossy(self.take(length)?).into_owned())
    }

    fn u8(&mut self) -> Result<u8, Error> {
        self.array::<1>().map(|[byte]| byte)
    }

    fn u32(&mut self) -> Result<u32, Error> {
        self.array().map(u32::from_be_bytes)
    }

    fn f64(&mut self) -> Result<f64, Error> {
        self.array().map(f64::from_be_bytes)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], Error> {
        let bytes = self.take(N)?;
        Ok(bytes.try_into().expect("take returns what was asked for"))
    }

    fn take(&mut self, length: usize) -> Result<&[u8], Error> {
        let truncated = Error::Truncated {
            bytes: self.all.len(),
        };
        let (taken, rest) = self.rest.split_at_checked(length).ok_or(truncated)?;
        self.rest = rest;
        Ok(taken)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bytes(value: &Value) -> BytesMut {
        let mut out = BytesMut::new();
        encode(&mut out, value);
        out
    }

    #[test]
    fn values_survive_a_round_trip() {
        let values = [
            Value::Number(-1.5),
            Value::Boolean(true),
            Value::from("connect"),
            Value::String("x".repeat(70_000)),
            Value::Object(vec![
                ("app".into(), "live".into()),
                ("n".into(), 1.0.into()),
            ]),
            Value::EcmaArray(vec![("width".into(), 1280.0.into())]),
            Value::StrictArray(vec![Value::Null, "hvc1".into()]),
            Value::Null,
        ];
        for value in values {
            assert_eq!(decode_all(&bytes(&value)), Ok(vec![value]));
        }
    }

    #[test]
    fn rare_types_are_read() {
        let check = |input: &[u8], expect: Value| {
            assert_eq!(decode_all(input), Ok(vec![expect]), "{input:02x?}");
        };
        check(&[0x0b, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0], Value::Number(0.0));
        check(&[0x06], Value::Null);
        check(&[0x07, 0, 1], Value::Null);
        check(&[0x10, 0, 1, b'T', 0, 0, 9], Value::Object(vec![]));
        check(&[0x02, 0, 2, 0xd6, 0xb1], Value::from("\u{5b1}"));
        check(&[0x02, 0, 1, 0xff], Value::from("\u{fffd}"));
        // An array that counts nothing, and one without its end marker.
        let one = Value::EcmaArray(vec![("a".into(), Value::Null)]);
        check(&[8, 0, 0, 0, 0, 0, 1, b'a', 5, 0, 0, 9], one.clone());
        check(&[8, 0, 0, 0, 1, 0, 1, b'a', 5], one);
    }

    #[test]
    fn hostile_values_are_errors() {
        let check = |input: &[u8], expect: Error| {
            assert_eq!(decode_all(input), Err(expect));
        };
        check(&[0x00, 1], Error::Truncated { bytes: 2 });
        check(
            &[0x0c, 0xff, 0xff, 0xff, 0xff],
            Error::Truncated { bytes: 5 },
        );
        check(
            &[0x0a, 0xff, 0xff, 0xff, 0xff],
            Error::Truncated { bytes: 5 },
        );
        check(&[0x11], Error::Marker { marker: 0x11 });
        check(&[0x09], Error::Marker { marker: 0x09 });
        check(&[0x0a, 0, 0, 0, 1].repeat(1000), Error::TooDeep);
        check(&[3, 0, 1, b'a'].repeat(1000), Error::TooDeep);
        check(&[5; 2000], Error::TooMany);
        let mut nulls = vec![0x0a, 0xff, 0xff, 0xff, 0xff];
        nulls.extend([5; 2000]);
        check(&nulls, Error::TooMany);
    }
}
