//! `onMetaData` as encoders write it, to what a publisher may know.

use crate::coding::amf0::Value;
use crate::ingest::publisher::Metadata;

/// The longest encoder name that is kept, in characters.
const ENCODER_CHARACTERS_MAX: usize = 64;

/// Reads what is known and plausible; the rest is left out.
pub(super) fn read(properties: &[(String, Value)]) -> Metadata {
    let find = |name| {
        let found = properties.iter().find(|(key, _)| key == name);
        found.map(|(_, value)| value)
    };
    let number = |name| {
        let number = find(name).and_then(Value::as_number)?;
        (number > 0.0 && number < 1e6).then_some(number)
    };
    let whole = |name| number(name).map(|number| number.round() as u32);
    let encoder = find("encoder").and_then(Value::as_str);
    let visible = |text: &str| {
        let visible = text.chars().filter(|c| !c.is_control());
        visible.take(ENCODER_CHARACTERS_MAX).collect()
    };
    // An encoder that names the codec of one kind names that of the other, if there is one.
    let names_codecs = ["videocodecid", "audiocodecid"]
        .into_iter()
        .any(|name| find(name).is_some());
    let has = |flag, codec| match find(flag) {
        Some(Value::Boolean(said)) => Some(*said),
        _ => names_codecs.then_some(find(codec).is_some()),
    };
    Metadata {
        width: whole("width"),
        height: whole("height"),
        frame_rate: number("framerate"),
        video_bitrate_kbps: whole("videodatarate"),
        audio_bitrate_kbps: whole("audiodatarate"),
        encoder: encoder.map(visible),
        has_video: has("hasVideo", "videocodecid"),
        has_audio: has("hasAudio", "audiocodecid"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn properties(list: &[(&str, Value)]) -> Vec<(String, Value)> {
        let owned = list
            .iter()
            .map(|(name, value)| ((*name).to_owned(), value.clone()));
        owned.collect()
    }

    #[test]
    fn plausible_metadata_is_kept() {
        let metadata = read(&properties(&[
            ("width", 1280.0.into()),
            ("height", (-1.0).into()),
            ("framerate", 29.97.into()),
            ("videodatarate", f64::NAN.into()),
            ("audiodatarate", 128.4.into()),
            ("encoder", "obs\n".into()),
            ("audiocodecid", "Opus".into()),
        ]));
        let expect = Metadata {
            width: Some(1280),
            height: None,
            frame_rate: Some(29.97),
            video_bitrate_kbps: None,
            audio_bitrate_kbps: Some(128),
            encoder: Some("obs".into()),
            has_video: Some(false),
            has_audio: Some(true),
        };
        assert_eq!(metadata, expect);
        assert_eq!(read(&[]), Metadata::default());
        let said = read(&properties(&[("hasVideo", true.into())]));
        assert_eq!((said.has_video, said.has_audio), (Some(true), None));
    }
}
