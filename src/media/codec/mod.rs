//! Codecs and their configuration records: what an initialization holds, before any container wraps
//! it.
//!
//! [`Config`] is what [`super::group::Head::init`] carries, encoded with [`Config::encode`]; `live`
//! and `relay` never look inside. [`VideoConfig::parse`] and [`AudioConfig::parse`] turn records
//! of encoders into one. Decodes no picture and no sound.
//!
//! Invariants: no input panics; every record is at most [`RECORD_BYTES_MAX`] bytes; the name is
//! what CODECS needs (RFC 6381).
//! Specs: ISO/IEC 14496-15 (avcC, hvcC), AV1 in ISOBMFF (av1C), ISO/IEC 14496-3
//! (AudioSpecificConfig), RFC 7845 (OpusHead), RFC 6716 (Opus packets).

mod aac;
mod av1;
pub mod avc;
mod bits;
mod config;
mod hevc;
pub mod opus;

use bytes::Bytes;

pub use config::{
    AudioCodec, AudioConfig, Config, DecodeError, RECORD_BYTES_MAX, VideoCodec, VideoConfig,
};

/// Why a record of an encoder is no configuration.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ParseError {
    /// Above [`RECORD_BYTES_MAX`].
    #[error("a configuration record of {bytes} bytes is above the limit of {RECORD_BYTES_MAX}")]
    TooLarge {
        /// Its bytes.
        bytes: usize,
    },
    /// The record ends early.
    #[error("the {record} record ends inside its {field}")]
    Truncated {
        /// Which record.
        record: &'static str,
        /// Which part of it.
        field: &'static str,
    },
    /// A value that the format does not allow, or that this version cannot carry.
    #[error("the {record} record has {field} {value}")]
    Unsupported {
        /// Which record.
        record: &'static str,
        /// Which field.
        field: &'static str,
        /// What it holds.
        value: u64,
    },
    /// The sequence parameter set cannot be read.
    #[error("the sequence parameter set cannot be read: {0}")]
    Sequence(String),
}

impl VideoConfig {
    /// Reads a decoder configuration record: the body of `avcC`, `hvcC` or `av1C`. The record is
    /// kept as it is, shared.
    pub fn parse(codec: VideoCodec, record: Bytes) -> Result<Self, ParseError> {
        check_size(&record)?;
        match codec {
            VideoCodec::H264 => avc::parse(record),
            VideoCodec::H265 => hevc::parse(record),
            VideoCodec::Av1 => av1::parse(record),
        }
    }
}

impl AudioConfig {
    /// Reads an AudioSpecificConfig (AAC) or an OpusHead, with or without its magic (Opus).
    pub fn parse(codec: AudioCodec, record: Bytes) -> Result<Self, ParseError> {
        check_size(&record)?;
        match codec {
            AudioCodec::Aac => aac::parse(record),
            AudioCodec::Opus => opus::parse(record),
        }
    }

    /// How many output samples one frame holds, `None` where each packet says it itself (Opus).
    #[must_use]
    pub fn frame_samples(&self) -> Option<u32> {
        match self.codec {
            AudioCodec::Aac => aac::frame_samples(&self.record),
            AudioCodec::Opus => None,
        }
    }
}

fn check_size(record: &Bytes) -> Result<(), ParseError> {
    match record.len() {
        bytes if bytes > RECORD_BYTES_MAX => Err(ParseError::TooLarge { bytes }),
        _ => Ok(()),
    }
}

#[cfg(test)]
#[path = "codec_test.rs"]
mod tests;
