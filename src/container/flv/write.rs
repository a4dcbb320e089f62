//! Writes FLV, for HTTP-FLV viewers and for RTMP publishers (an RTMP media message is a tag body).
//!
//! A written tag is three buffers: `head` (11-byte tag header and the codec's own header),
//! `payload` (the frame as it is stored, shared) and `tail` (the back pointer). All three in order
//! are a tag; a file is [`file_header`] and then tags.

use bytes::{BufMut, Bytes, BytesMut};

use crate::coding::amf0::{self, Value};
use crate::container::flv::{AUDIO, SCRIPT, TAG_HEADER_BYTES, VIDEO, audio, video};
use crate::media::codec::{AudioCodec, AudioConfig, VideoCodec, VideoConfig};

/// The most bytes of codec header before a payload.
const CODEC_HEADER_BYTES_MAX: usize = 8;
/// PreviousTagSize, E.3.
const BACK_POINTER_BYTES: usize = 4;

/// One tag, ready for a vectored write.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tag {
    /// Tag header (11 bytes), then the codec header (2 to 8 bytes, none in a script tag).
    pub head: Bytes,
    /// The frame, the configuration record or the metadata; shared, never copied.
    pub payload: Bytes,
    /// The back pointer over head and payload (4 bytes); shares the allocation of `head`.
    pub tail: Bytes,
}

impl Tag {
    /// Bytes in all.
    #[must_use]
    pub fn len(&self) -> usize {
        self.head.len() + self.payload.len() + self.tail.len()
    }

    /// False: a tag has a header.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The body alone, in two buffers: what an RTMP message carries.
    #[must_use]
    pub fn body(&self) -> [Bytes; 2] {
        [self.head.slice(TAG_HEADER_BYTES..), self.payload.clone()]
    }

    fn new(kind: u8, timestamp_ms: u32, codec_header: &[u8], payload: Bytes) -> Self {
        let body = u32::try_from(codec_header.len() + payload.len())
            .ok()
            .filter(|&bytes| bytes < 1 << 24)
            .expect("frames and records are below the 16 MiB of a tag");
        let head_bytes = TAG_HEADER_BYTES + codec_header.len();
        let mut out = BytesMut::with_capacity(head_bytes + BACK_POINTER_BYTES);
        let [upper, lower @ ..] = timestamp_ms.to_be_bytes();
        out.put_u8(kind);
        out.put_uint(u64::from(body), 3);
        out.put_slice(&lower);
        out.put_u8(upper);
        out.put_uint(0, 3); // StreamID, always 0
        out.put_slice(codec_header);
        let head_and_payload = body + TAG_HEADER_BYTES as u32;
        out.put_u32(head_and_payload);
        let mut head = out.freeze();
        let tail = head.split_off(head_bytes);
        Self {
            head,
            payload,
            tail,
        }
    }
}

/// The 9-byte file header and the first back pointer (which is 0): 13 bytes.
///
/// Source: FLV 10.1, E.2 and E.3.
#[must_use]
pub fn file_header(video: bool, audio: bool) -> Bytes {
    let flags = u8::from(audio) << 2 | u8::from(video);
    let header = [b'F', b'L', b'V', 1, flags, 0, 0, 0, 9, 0, 0, 0, 0];
    Bytes::copy_from_slice(&header)
}

/// A tag of one coded picture.
///
/// H.264 goes as a legacy AVC tag, H.265 and AV1 as enhanced ones. `composition_ms` is presentation
/// minus decode time, cut to 24 bits; AV1 has none.
#[must_use]
pub fn video_tag(
    codec: VideoCodec,
    key: bool,
    composition_ms: i32,
    timestamp_ms: u32,
    payload: Bytes,
) -> Tag {
    let frame_type = if key { video::KEY } else { video::INTER };
    let header = video_header(codec, frame_type, video::CODED_FRAMES, composition_ms);
    Tag::new(VIDEO, timestamp_ms, &header, payload)
}

/// A tag that carries the decoder configuration record.
#[must_use]
pub fn video_config_tag(config: &VideoConfig, timestamp_ms: u32) -> Tag {
    let header = video_header(config.codec, video::KEY, video::SEQUENCE_START, 0);
    Tag::new(VIDEO, timestamp_ms, &header, config.record.clone())
}

/// A tag of one coded audio frame.
///
/// AAC goes as a legacy tag, Opus as an enhanced one.
#[must_use]
pub fn audio_tag(codec: AudioCodec, timestamp_ms: u32, payload: Bytes) -> Tag {
    let header = audio_header(codec, audio::CODED_FRAMES);
    Tag::new(AUDIO, timestamp_ms, &header, payload)
}

/// A tag that carries the AudioSpecificConfig or the OpusHead, as the record holds it.
#[must_use]
pub fn audio_config_tag(config: &AudioConfig, timestamp_ms: u32) -> Tag {
    let header = audio_header(config.codec, audio::SEQUENCE_START);
    Tag::new(AUDIO, timestamp_ms, &header, config.record.clone())
}

/// The `onMetaData` tag, at time 0.
///
/// Source: FLV 10.1, E.5.
#[must_use]
pub fn metadata_tag(properties: &[(&str, Value)]) -> Tag {
    let owned = properties.iter();
    let owned = owned.map(|(name, value)| ((*name).to_owned(), value.clone()));
    let mut body = BytesMut::new();
    amf0::encode(&mut body, &"onMetaData".into());
    amf0::encode(&mut body, &Value::EcmaArray(owned.collect()));
    Tag::new(SCRIPT, 0, &[], body.freeze())
}

type CodecHeader = smallvec::SmallVec<[u8; CODEC_HEADER_BYTES_MAX]>;

/// The packet types that both layouts share are numbered alike (0 configuration, 1 frame), in the
/// legacy AVCPacketType as in the enhanced VideoPacketType.
fn video_header(codec: VideoCodec, frame_type: u8, packet: u8, composition_ms: i32) -> CodecHeader {
    let [_, composition @ ..] = composition_ms.clamp(-0x80_0000, 0x7f_ffff).to_be_bytes();
    let mut out = CodecHeader::new();
    match codec {
        VideoCodec::H264 => {
            out.extend([frame_type << 4 | video::LEGACY_AVC, packet]);
            out.extend(composition);
        }
        VideoCodec::H265 | VideoCodec::Av1 => {
            out.push(video::ENHANCED | frame_type << 4 | packet);
            out.extend(*video::four_cc(codec));
            // Only HEVC (and enhanced AVC) frames carry a composition time.
            if codec == VideoCodec::H265 && packet == video::CODED_FRAMES {
                out.extend(composition);
            }
        }
    }
    out
}

fn audio_header(codec: AudioCodec, packet: u8) -> CodecHeader {
    let mut out = CodecHeader::new();
    match codec {
        AudioCodec::Aac => out.extend([audio::LEGACY_AAC_FLAGS, packet]),
        AudioCodec::Opus => {
            out.push(audio::ENHANCED << 4 | packet);
            out.extend(*audio::four_cc(codec));
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hex(tag: &Tag) -> String {
        let all = [&tag.head[..], &tag.payload, &tag.tail].map(|buffer| {
            let digits = buffer.iter().map(|byte| format!("{byte:02x}"));
            digits.collect::<Vec<_>>().join(" ")
        });
        all.join(" | ")
    }

    #[test]
    fn tags_have_their_documented_bytes() {
        let payload = Bytes::from_static(&[0xaa, 0xbb]);
        let legacy = video_tag(VideoCodec::H264, true, -1, 0x0102_0304, payload.clone());
        assert_eq!(
            hex(&legacy),
            "09 00 00 07 02 03 04 01 00 00 00 17 01 ff ff ff | aa bb | 00 00 00 12"
        );
        let enhanced = video_tag(VideoCodec::H265, false, 40, 7, payload.clone());
        assert_eq!(
            hex(&enhanced),
            "09 00 00 0a 00 00 07 00 00 00 00 a1 68 76 63 31 00 00 28 | aa bb | 00 00 00 15"
        );
        let av1 = video_tag(VideoCodec::Av1, true, 0, 7, payload.clone());
        assert_eq!(
            hex(&av1),
            "09 00 00 07 00 00 07 00 00 00 00 91 61 76 30 31 | aa bb | 00 00 00 12"
        );
        let aac = audio_tag(AudioCodec::Aac, 0, payload.clone());
        assert_eq!(
            hex(&aac),
            "08 00 00 04 00 00 00 00 00 00 00 af 01 | aa bb | 00 00 00 0f"
        );
        let opus = audio_tag(AudioCodec::Opus, 0, payload);
        assert_eq!(
            hex(&opus),
            "08 00 00 07 00 00 00 00 00 00 00 91 4f 70 75 73 | aa bb | 00 00 00 12"
        );
    }

    #[test]
    fn file_header_names_its_tracks() {
        let header = file_header(true, false);
        assert_eq!(&header[..], b"FLV\x01\x01\0\0\0\x09\0\0\0\0");
        assert_eq!(file_header(true, true)[4], 5);
    }

    #[test]
    fn metadata_is_an_associative_array() {
        let tag = metadata_tag(&[("width", 1280.0.into()), ("encoder", "x".into())]);
        let values = amf0::decode_all(&tag.payload).unwrap();
        assert_eq!(values[0].as_str(), Some("onMetaData"));
        assert_eq!(values[1].get("width"), Some(&Value::Number(1280.0)));
        assert_eq!(tag.len(), 11 + tag.payload.len() + 4);
    }
}
