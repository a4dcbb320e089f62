//! The configuration of a track, and its bytes on the relay.

use bytes::{Buf, BufMut, Bytes, BytesMut};

/// The largest configuration record accepted, in bytes (SPS, PPS and VPS of real encoders stay
/// below 1 KB).
pub const RECORD_BYTES_MAX: usize = 16 * 1024;

/// The initialization of a track.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Config {
    /// Of a video track.
    Video(VideoConfig),
    /// Of an audio track.
    Audio(AudioConfig),
}

/// A video codec that may enter a broadcast.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum VideoCodec {
    /// AVC, ISO/IEC 14496-10.
    H264,
    /// HEVC, ISO/IEC 23008-2.
    H265,
    /// AV1.
    Av1,
}

/// An audio codec that may enter a broadcast.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum AudioCodec {
    /// AAC, ISO/IEC 14496-3.
    Aac,
    /// Opus, RFC 6716.
    Opus,
}

/// What a decoder and a playlist need to know of a video track.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VideoConfig {
    /// The codec.
    pub codec: VideoCodec,
    /// The decoder configuration record: the body of `avcC`, `hvcC` or `av1C`.
    pub record: Bytes,
    /// Coded picture width after cropping, in pixels.
    pub width: u32,
    /// Coded picture height after cropping, in pixels.
    pub height: u32,
    /// Frames per second times 1000, from the bitstream or the encoder's metadata; 0 = not known.
    pub frame_rate_milli: u32,
    /// The RFC 6381 name for CODECS, such as `avc1.64001f`; ASCII, at most 64 bytes.
    pub name: String,
}

/// What a decoder and a playlist need to know of an audio track.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AudioConfig {
    /// The codec.
    pub codec: AudioCodec,
    /// AudioSpecificConfig (AAC) or the OpusHead body as RFC 7845 section 5.1 has it (Opus).
    pub record: Bytes,
    /// Output samples per second.
    pub sample_rate: u32,
    /// Channels.
    pub channels: u8,
    /// The RFC 6381 name for CODECS, such as `mp4a.40.2` or `opus`; ASCII, at most 64 bytes.
    pub name: String,
}

/// Why bytes are no [`Config`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum DecodeError {
    /// The bytes end too early.
    #[error("a codec configuration ends after {bytes} bytes")]
    Truncated {
        /// How many there were.
        bytes: usize,
    },
    /// A codec number of a later version.
    #[error("codec number {0} is not known to this version")]
    UnknownCodec(u8),
    /// The codec's name is no short ASCII text.
    #[error("the codec name is no ASCII text of at most 64 bytes")]
    BadName,
}

impl Config {
    /// Encodes for the relay: codec number, name (length byte first), three 32-bit fields, then the
    /// record to the end.
    #[must_use]
    pub fn encode(&self) -> Bytes {
        let (number, name, fields, record) = match self {
            Self::Video(video) => {
                let number = match video.codec {
                    VideoCodec::H264 => 1,
                    VideoCodec::H265 => 2,
                    VideoCodec::Av1 => 3,
                };
                let fields = [video.width, video.height, video.frame_rate_milli];
                (number, &video.name, fields, &video.record)
            }
            Self::Audio(audio) => {
                let number = match audio.codec {
                    AudioCodec::Aac => 16,
                    AudioCodec::Opus => 17,
                };
                let fields = [audio.sample_rate, u32::from(audio.channels), 0];
                (number, &audio.name, fields, &audio.record)
            }
        };
        let mut out = BytesMut::with_capacity(14 + name.len() + record.len());
        out.put_u8(number);
        let length = u8::try_from(name.len()).expect("codec names are at most 64 bytes");
        out.put_u8(length);
        out.put_slice(name.as_bytes());
        for field in fields {
            out.put_u32(field);
        }
        out.put_slice(record);
        out.freeze()
    }

    /// The reverse of [`Self::encode`]; the record shares `bytes`.
    pub fn decode(mut bytes: Bytes) -> Result<Self, DecodeError> {
        let truncated = DecodeError::Truncated { bytes: bytes.len() };
        if bytes.remaining() < 2 {
            return Err(truncated);
        }
        let number = bytes.get_u8();
        let name_length = usize::from(bytes.get_u8());
        if bytes.remaining() < name_length + 12 {
            return Err(truncated);
        }
        let name = bytes.split_to(name_length);
        let name = match std::str::from_utf8(&name) {
            Ok(text) if text.is_ascii() && text.len() <= 64 => text.to_owned(),
            _ => return Err(DecodeError::BadName),
        };
        let fields = [bytes.get_u32(), bytes.get_u32(), bytes.get_u32()];
        let video = |codec| VideoConfig {
            codec,
            record: bytes.clone(),
            width: fields[0],
            height: fields[1],
            frame_rate_milli: fields[2],
            name: name.clone(),
        };
        let audio = |codec| AudioConfig {
            codec,
            record: bytes.clone(),
            sample_rate: fields[0],
            channels: u8::try_from(fields[1]).unwrap_or(u8::MAX),
            name: name.clone(),
        };
        Ok(match number {
            1 => Self::Video(video(VideoCodec::H264)),
            2 => Self::Video(video(VideoCodec::H265)),
            3 => Self::Video(video(VideoCodec::Av1)),
            16 => Self::Audio(audio(AudioCodec::Aac)),
            17 => Self::Audio(audio(AudioCodec::Opus)),
            other => return Err(DecodeError::UnknownCodec(other)),
        })
    }

    /// The RFC 6381 name.
    #[must_use]
    pub fn name(&self) -> &str {
        match self {
            Self::Video(video) => &video.name,
            Self::Audio(audio) => &audio.name,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn configurations_survive_the_relay() {
        let video = Config::Video(VideoConfig {
            codec: VideoCodec::H264,
            record: Bytes::from_static(&[1, 0x64, 0, 0x1f]),
            width: 1280,
            height: 720,
            frame_rate_milli: 29_970,
            name: "avc1.64001f".into(),
        });
        assert_eq!(Config::decode(video.encode()), Ok(video));
        let audio = Config::Audio(AudioConfig {
            codec: AudioCodec::Aac,
            record: Bytes::from_static(&[0x11, 0x90]),
            sample_rate: 48_000,
            channels: 2,
            name: "mp4a.40.2".into(),
        });
        assert_eq!(Config::decode(audio.encode()), Ok(audio));
    }

    #[test]
    fn damaged_configurations_are_errors() {
        assert_eq!(
            Config::decode(Bytes::new()),
            Err(DecodeError::Truncated { bytes: 0 })
        );
        assert_eq!(
            Config::decode(Bytes::from_static(&[
                9, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0
            ])),
            Err(DecodeError::UnknownCodec(9))
        );
        assert!(Config::decode(Bytes::from_static(&[1, 200, 1])).is_err());
    }
}
