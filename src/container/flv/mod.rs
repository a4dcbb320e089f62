//! FLV tags: the bodies that RTMP publishers send, and the files that HTTP-FLV viewers read.
//!
//! Knows nothing of RTMP, HTTP or the codecs inside a configuration record. Payloads are shared
//! slices of what came in; nothing is copied.
//! Spec: Adobe FLV 10.1 Annex E ("legacy"), and Enhanced RTMP v2 (Veovera, 2026-01) for the
//! FourCC tags.

pub mod read;
pub mod write;

/// TagType of an audio tag (E.4.1).
const AUDIO: u8 = 8;
/// TagType of a video tag.
const VIDEO: u8 = 9;
/// TagType of a script data tag.
const SCRIPT: u8 = 18;
/// What stands before a tag's body (E.4.1).
const TAG_HEADER_BYTES: usize = 11;

/// Numbers of video tag bodies (E.4.3; Enhanced RTMP, "Enhanced Video").
mod video {
    use crate::media::codec::VideoCodec;

    // Frame types.
    pub(super) const KEY: u8 = 1;
    pub(super) const INTER: u8 = 2;
    pub(super) const GENERATED_KEY: u8 = 4;
    pub(super) const COMMAND: u8 = 5;

    /// CodecID.
    pub(super) const LEGACY_AVC: u8 = 7;
    /// isExVideoHeader: the top bit of the first byte.
    pub(super) const ENHANCED: u8 = 0x80;

    // Packet types; the first three are numbered alike in legacy AVC tags.
    pub(super) const SEQUENCE_START: u8 = 0;
    pub(super) const CODED_FRAMES: u8 = 1;
    pub(super) const SEQUENCE_END: u8 = 2;
    pub(super) const CODED_FRAMES_X: u8 = 3;
    pub(super) const METADATA: u8 = 4;
    pub(super) const MULTITRACK: u8 = 6;
    pub(super) const MOD_EX: u8 = 7;

    pub(super) fn codec(four_cc: [u8; 4]) -> Option<VideoCodec> {
        match &four_cc {
            b"avc1" => Some(VideoCodec::H264),
            b"hvc1" => Some(VideoCodec::H265),
            b"av01" => Some(VideoCodec::Av1),
            _ => None,
        }
    }

    pub(super) fn four_cc(codec: VideoCodec) -> &'static [u8; 4] {
        match codec {
            VideoCodec::H264 => b"avc1",
            VideoCodec::H265 => b"hvc1",
            VideoCodec::Av1 => b"av01",
        }
    }
}

/// Numbers of audio tag bodies (E.4.2; Enhanced RTMP, "Enhanced Audio").
mod audio {
    use crate::media::codec::AudioCodec;

    /// SoundFormat.
    pub(super) const LEGACY_AAC: u8 = 10;
    /// SoundFormat 10, and the rate, size and channels that AAC always states (E.4.2.1).
    pub(super) const LEGACY_AAC_FLAGS: u8 = 0xaf;
    /// SoundFormat of an enhanced tag.
    pub(super) const ENHANCED: u8 = 9;

    // Packet types; the first two are numbered alike in legacy AAC tags.
    pub(super) const SEQUENCE_START: u8 = 0;
    pub(super) const CODED_FRAMES: u8 = 1;
    pub(super) const MULTITRACK: u8 = 5;
    pub(super) const MOD_EX: u8 = 7;

    pub(super) fn codec(four_cc: [u8; 4]) -> Option<AudioCodec> {
        match &four_cc {
            b"mp4a" => Some(AudioCodec::Aac),
            b"Opus" => Some(AudioCodec::Opus),
            _ => None,
        }
    }

    pub(super) fn four_cc(codec: AudioCodec) -> &'static [u8; 4] {
        match codec {
            AudioCodec::Aac => b"mp4a",
            AudioCodec::Opus => b"Opus",
        }
    }
}
