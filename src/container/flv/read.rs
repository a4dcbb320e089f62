//! Reads tag bodies, legacy and enhanced.
//!
//! Enhanced tags are read whatever was negotiated, since encoders send them unasked. Of several
//! tracks in one tag, the default one (number 0) is taken and the others are passed over.

use bytes::{Buf, Bytes};

use crate::coding::amf0::{self, Value};
use crate::container::flv::{audio, video};
use crate::media::codec::{AudioCodec, VideoCodec};

/// The most ModEx prefixes before the packet type; one is defined today.
const MOD_EX_MAX: usize = 8;
/// The most tracks that are looked through for the default one.
const TRACKS_MAX: usize = 64;

/// What one tag says. Records and payloads share the bytes that came in.
#[derive(Debug, Clone, PartialEq)]
pub enum Tag {
    /// A decoder configuration record: the body of `avcC`, `hvcC` or `av1C`.
    VideoConfig {
        /// Of which codec.
        codec: VideoCodec,
        /// As it came.
        record: Bytes,
    },
    /// A coded picture.
    Video {
        /// Of which codec.
        codec: VideoCodec,
        /// Marked as a key frame by the encoder.
        key: bool,
        /// Presentation time minus decode time, in milliseconds.
        composition_ms: i32,
        /// As MP4 stores it: length-prefixed NAL units, or OBUs.
        payload: Bytes,
    },
    /// No more pictures follow.
    VideoEnd,
    /// An AudioSpecificConfig or an OpusHead (RFC 7845, 5.1).
    AudioConfig {
        /// Of which codec.
        codec: AudioCodec,
        /// As it came.
        record: Bytes,
    },
    /// A coded audio frame.
    Audio {
        /// Of which codec.
        codec: AudioCodec,
        /// One raw AAC frame or one Opus packet.
        payload: Bytes,
    },
    /// The properties of `onMetaData`.
    Metadata(Vec<(String, Value)>),
    /// Well formed, and nothing for us: seek commands, other tracks, HDR hints, empty tags.
    Ignored,
}

/// Why a tag cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// The body ends inside its header.
    #[error("an FLV tag body ends after {bytes} bytes")]
    Truncated {
        /// How many there were.
        bytes: usize,
    },
    /// A codec that no broadcast carries.
    #[error("video codec {name} is not supported: use H.264, H.265 or AV1")]
    VideoCodec {
        /// The FourCC, or the legacy CodecID.
        name: String,
    },
    /// A codec that no broadcast carries.
    #[error("audio codec {name} is not supported: use AAC or Opus")]
    AudioCodec {
        /// The FourCC, or the legacy SoundFormat.
        name: String,
    },
    /// More prefixes than [`MOD_EX_MAX`].
    #[error("an FLV tag has more than {MOD_EX_MAX} ModEx prefixes")]
    TooManyPrefixes,
    /// Metadata that cannot be read.
    #[error("metadata: {0}")]
    Metadata(#[from] amf0::Error),
}

/// Reads the body of a video tag, which is also the payload of an RTMP video message.
///
/// Source: FLV 10.1, E.4.3; Enhanced RTMP v2, "ExVideoTagHeader" and "ExVideoTagBody".
pub fn video(body: Bytes) -> Result<Tag, Error> {
    if body.is_empty() {
        return Ok(Tag::Ignored);
    }
    let mut cursor = Cursor::new(body);
    let first = cursor.u8()?;
    let frame_type = first >> 4 & 0b111;
    if first & video::ENHANCED == 0 {
        return legacy_video(frame_type, first & 0x0f, cursor);
    }
    let mut packet = cursor.skip_mod_ex(first & 0x0f, video::MOD_EX)?;
    if packet == video::METADATA || frame_type == video::COMMAND {
        return Ok(Tag::Ignored);
    }
    let track = if packet == video::MULTITRACK {
        let next = cursor.u8()?;
        packet = next & 0x0f;
        cursor.default_track(next >> 4)?
    } else {
        Some((cursor.four_cc()?, cursor))
    };
    let Some((name, mut body)) = track else {
        return Ok(Tag::Ignored);
    };
    let Some(codec) = video::codec(name) else {
        let name = name.escape_ascii().to_string();
        return Err(Error::VideoCodec { name });
    };
    let key = is_key(frame_type);
    match packet {
        video::SEQUENCE_START => Ok(Tag::VideoConfig {
            codec,
            record: body.rest,
        }),
        video::CODED_FRAMES => {
            let composition_ms = match codec {
                VideoCodec::H264 | VideoCodec::H265 => body.i24()?,
                VideoCodec::Av1 => 0,
            };
            Ok(picture(codec, key, composition_ms, body.rest))
        }
        video::CODED_FRAMES_X => Ok(picture(codec, key, 0, body.rest)),
        video::SEQUENCE_END => Ok(Tag::VideoEnd),
        _ => Ok(Tag::Ignored),
    }
}

/// Reads the body of an audio tag.
///
/// Source: FLV 10.1, E.4.2; Enhanced RTMP v2, "ExAudioTagHeader" and "ExAudioTagBody".
pub fn audio(body: Bytes) -> Result<Tag, Error> {
    if body.is_empty() {
        return Ok(Tag::Ignored);
    }
    let mut cursor = Cursor::new(body);
    let first = cursor.u8()?;
    let format = first >> 4;
    if format == audio::LEGACY_AAC {
        let packet = cursor.u8()?;
        return Ok(sound(AudioCodec::Aac, packet, cursor.rest));
    }
    if format != audio::ENHANCED {
        let name = format!("number {format}");
        return Err(Error::AudioCodec { name });
    }
    let mut packet = cursor.skip_mod_ex(first & 0x0f, audio::MOD_EX)?;
    let track = if packet == audio::MULTITRACK {
        let next = cursor.u8()?;
        packet = next & 0x0f;
        cursor.default_track(next >> 4)?
    } else {
        Some((cursor.four_cc()?, cursor))
    };
    let Some((name, body)) = track else {
        return Ok(Tag::Ignored);
    };
    match audio::codec(name) {
        Some(codec) => Ok(sound(codec, packet, body.rest)),
        None => {
            let name = name.escape_ascii().to_string();
            Err(Error::AudioCodec { name })
        }
    }
}

/// Reads the body of a script data tag, which is also the payload of an RTMP data message with or
/// without its `@setDataFrame`. Events other than `onMetaData` are ignored.
///
/// Source: FLV 10.1, E.4.4 and E.5.
pub fn script(body: &[u8]) -> Result<Tag, Error> {
    let mut values = amf0::decode_all(body)?.into_iter().peekable();
    values.next_if(|value| value.as_str() == Some("@setDataFrame"));
    if values.next().as_ref().and_then(Value::as_str) != Some("onMetaData") {
        return Ok(Tag::Ignored);
    }
    Ok(match values.next() {
        Some(Value::Object(properties) | Value::EcmaArray(properties)) => Tag::Metadata(properties),
        _ => Tag::Ignored,
    })
}

fn legacy_video(frame_type: u8, codec: u8, mut cursor: Cursor) -> Result<Tag, Error> {
    if frame_type == video::COMMAND {
        return Ok(Tag::Ignored);
    }
    if codec != video::LEGACY_AVC {
        let name = format!("number {codec}");
        return Err(Error::VideoCodec { name });
    }
    let packet = cursor.u8()?;
    let composition_ms = cursor.i24()?;
    let codec = VideoCodec::H264;
    Ok(match packet {
        video::SEQUENCE_START => Tag::VideoConfig {
            codec,
            record: cursor.rest,
        },
        video::CODED_FRAMES => picture(codec, is_key(frame_type), composition_ms, cursor.rest),
        video::SEQUENCE_END => Tag::VideoEnd,
        _ => Tag::Ignored,
    })
}

fn is_key(frame_type: u8) -> bool {
    frame_type == video::KEY || frame_type == video::GENERATED_KEY
}

fn picture(codec: VideoCodec, key: bool, composition_ms: i32, payload: Bytes) -> Tag {
    if payload.is_empty() {
        return Tag::Ignored;
    }
    Tag::Video {
        codec,
        key,
        composition_ms,
        payload,
    }
}

fn sound(codec: AudioCodec, packet: u8, rest: Bytes) -> Tag {
    match packet {
        _ if rest.is_empty() => Tag::Ignored,
        audio::SEQUENCE_START => Tag::AudioConfig {
            codec,
            record: rest,
        },
        audio::CODED_FRAMES => Tag::Audio {
            codec,
            payload: rest,
        },
        _ => Tag::Ignored,
    }
}

// === impl Cursor ===

struct Cursor {
    rest: Bytes,
    bytes: usize,
}

impl Cursor {
    fn new(body: Bytes) -> Self {
        let bytes = body.len();
        Self { rest: body, bytes }
    }

    /// Passes over ModEx prefixes and returns the packet type behind them.
    ///
    /// Source: Enhanced RTMP v2, "ModEx": size - 1 in 8 bits or, after 255, in 16 bits; data; then
    /// the kind of ModEx and the next packet type in 4 bits each. All kinds are optional hints.
    fn skip_mod_ex(&mut self, mut packet: u8, mod_ex: u8) -> Result<u8, Error> {
        for _ in 0..=MOD_EX_MAX {
            if packet != mod_ex {
                return Ok(packet);
            }
            let mut size = usize::from(self.u8()?) + 1;
            if size == 256 {
                size = usize::from(u16::from_be_bytes(self.array()?)) + 1;
            }
            self.take(size)?;
            packet = self.u8()? & 0x0f;
        }
        Err(Error::TooManyPrefixes)
    }

    /// Finds track 0 in the body of a multitrack tag: its FourCC and its bytes.
    ///
    /// Source: Enhanced RTMP v2, "Multitrack".
    fn default_track(mut self, layout: u8) -> Result<Option<([u8; 4], Self)>, Error> {
        const ONE_TRACK: u8 = 0;
        const MANY_TRACKS_MANY_CODECS: u8 = 2;
        let shared_codec = match layout {
            MANY_TRACKS_MANY_CODECS => None,
            _ => Some(self.four_cc()?),
        };
        for _ in 0..TRACKS_MAX {
            if self.rest.is_empty() {
                break;
            }
            let codec = match shared_codec {
                Some(codec) => codec,
                None => self.four_cc()?,
            };
            let number = self.u8()?;
            let body = if layout == ONE_TRACK {
                std::mem::take(&mut self.rest)
            } else {
                let [a, b, c] = self.array()?;
                self.take(u32::from_be_bytes([0, a, b, c]) as usize)?
            };
            if number == 0 {
                return Ok(Some((codec, Self::new(body))));
            }
        }
        Ok(None)
    }

    fn four_cc(&mut self) -> Result<[u8; 4], Error> {
        self.array()
    }

    fn u8(&mut self) -> Result<u8, Error> {
        self.array().map(|[byte]: [u8; 1]| byte)
    }

    fn i24(&mut self) -> Result<i32, Error> {
        let [a, b, c] = self.array()?;
        Ok(i32::from_be_bytes([a, b, c, 0]) >> 8)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], Error> {
        let array = self.rest.first_chunk().copied();
        let array = array.ok_or(Error::Truncated { bytes: self.bytes })?;
        self.rest.advance(N);
        Ok(array)
    }

    fn take(&mut self, bytes: usize) -> Result<Bytes, Error> {
        if bytes > self.rest.len() {
            return Err(Error::Truncated { bytes: self.bytes });
        }
        Ok(self.rest.split_to(bytes))
    }
}

#[cfg(test)]
#[path = "read_test.rs"]
mod tests;
