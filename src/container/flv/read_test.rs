use super::*;
use crate::container::flv::write;
use crate::media::codec::{AudioConfig, VideoConfig};

const PAYLOAD: Bytes = Bytes::from_static(&[0, 0, 0, 1, 0x65]);

fn body(tag: &write::Tag) -> Bytes {
    tag.body().concat().into()
}

fn check_video(input: &[u8], expect: Result<Tag, Error>) {
    assert_eq!(video(Bytes::copy_from_slice(input)), expect, "{input:02x?}");
}

fn check_audio(input: &[u8], expect: Result<Tag, Error>) {
    assert_eq!(audio(Bytes::copy_from_slice(input)), expect, "{input:02x?}");
}

fn picture_of(codec: VideoCodec, key: bool, composition_ms: i32, payload: &[u8]) -> Tag {
    picture(codec, key, composition_ms, Bytes::copy_from_slice(payload))
}

#[test]
fn written_tags_are_read_back() {
    for codec in [VideoCodec::H264, VideoCodec::H265, VideoCodec::Av1] {
        let composition_ms = if codec == VideoCodec::Av1 { 0 } else { -40 };
        let tag = write::video_tag(codec, true, composition_ms, 9, PAYLOAD);
        let expect = picture_of(codec, true, composition_ms, &PAYLOAD);
        assert_eq!(video(body(&tag)), Ok(expect));
        let config = VideoConfig {
            codec,
            record: PAYLOAD,
            width: 0,
            height: 0,
            frame_rate_milli: 0,
            name: String::new(),
        };
        let expect = Tag::VideoConfig {
            codec,
            record: PAYLOAD,
        };
        assert_eq!(
            video(body(&write::video_config_tag(&config, 9))),
            Ok(expect)
        );
    }
    for codec in [AudioCodec::Aac, AudioCodec::Opus] {
        let tag = write::audio_tag(codec, 9, PAYLOAD);
        let expect = Tag::Audio {
            codec,
            payload: PAYLOAD,
        };
        assert_eq!(audio(body(&tag)), Ok(expect));
        let config = AudioConfig {
            codec,
            record: PAYLOAD,
            sample_rate: 0,
            channels: 0,
            name: String::new(),
        };
        let expect = Tag::AudioConfig {
            codec,
            record: PAYLOAD,
        };
        assert_eq!(
            audio(body(&write::audio_config_tag(&config, 9))),
            Ok(expect)
        );
    }
}

#[test]
fn payload_is_a_slice_of_the_message() {
    let message = body(&write::video_tag(VideoCodec::H264, true, 0, 0, PAYLOAD));
    let range = message.as_ptr_range();
    let Ok(Tag::Video { payload, .. }) = video(message.clone()) else {
        panic!("a picture");
    };
    assert!(range.contains(&payload.as_ptr()));
}

#[test]
fn legacy_video_is_read() {
    check_video(
        &[0x27, 1, 0, 0, 40, 9],
        Ok(picture_of(VideoCodec::H264, false, 40, &[9])),
    );
    check_video(&[0x17, 2, 0, 0, 0], Ok(Tag::VideoEnd));
    check_video(&[], Ok(Tag::Ignored));
    check_video(&[0x17, 1, 0, 0, 0], Ok(Tag::Ignored));
    check_video(&[0x57, 0], Ok(Tag::Ignored));
    check_video(&[0x17, 1, 0], Err(Error::Truncated { bytes: 3 }));
    let name = "number 2".into();
    check_video(&[0x22, 0, 0], Err(Error::VideoCodec { name }));
}

#[test]
fn enhanced_video_is_read() {
    use VideoCodec::{Av1, H264, H265};
    let h265 = |key, composition_ms| Ok(picture_of(H265, key, composition_ms, &[9]));
    check_video(b"\x91hvc1\xff\xff\xfe\x09", h265(true, -2));
    check_video(b"\xa3hvc1\x09", h265(false, 0));
    check_video(b"\x93avc1\x09", Ok(picture_of(H264, true, 0, &[9])));
    check_video(b"\x91av01\x09", Ok(picture_of(Av1, true, 0, &[9])));
    check_video(b"\x92hvc1", Ok(Tag::VideoEnd));
    check_video(b"\x94hvc1\x02\x00\x01x", Ok(Tag::Ignored));
    check_video(b"\xd1\x00", Ok(Tag::Ignored));
    check_video(b"\x91hv", Err(Error::Truncated { bytes: 3 }));
    let name = "vp09".into();
    check_video(b"\x91vp09\x09", Err(Error::VideoCodec { name }));
}

#[test]
fn default_track_of_a_multitrack_tag_is_taken() {
    let expect = || Ok(picture_of(VideoCodec::H265, true, 1, &[9]));
    // One track; many tracks of one codec; many tracks of many codecs.
    check_video(b"\x96\x01hvc1\x00\0\0\x01\x09", expect());
    check_video(
        b"\x96\x11hvc1\x01\0\0\x04\0\0\x02\x08\x00\0\0\x04\0\0\x01\x09",
        expect(),
    );
    check_video(
        b"\x96\x21vp09\x01\0\0\x02\x08\x08hvc1\x00\0\0\x04\0\0\x01\x09",
        expect(),
    );
    check_video(b"\x96\x01hvc1\x01\0\0\x01\x09", Ok(Tag::Ignored));
    check_video(
        b"\x96\x11hvc1\x00\xff\xff\xff",
        Err(Error::Truncated { bytes: 10 }),
    );
    let payload = Bytes::from_static(&[7]);
    let codec = AudioCodec::Opus;
    check_audio(b"\x95\x01Opus\x00\x07", Ok(Tag::Audio { codec, payload }));
}

#[test]
fn mod_ex_prefixes_are_passed_over() {
    let expect = || Ok(picture_of(VideoCodec::Av1, true, 0, &[9]));
    check_video(b"\x97\x02\0\0\x01\x01av01\x09", expect());
    let mut long = b"\x97\xff\x01\x2b".to_vec();
    long.extend([0; 300]);
    long.extend(b"\x11av01\x09");
    check_video(&long, expect());
    check_video(
        &[&[0x97][..], &[0, 0, 7].repeat(100)].concat(),
        Err(Error::TooManyPrefixes),
    );
    check_video(b"\x97\xff\xff\xff", Err(Error::Truncated { bytes: 4 }));
}

#[test]
fn audio_is_read() {
    let payload = || Bytes::from_static(&[9]);
    let aac = AudioCodec::Aac;
    let frame = |codec| {
        Ok(Tag::Audio {
            codec,
            payload: payload(),
        })
    };
    check_audio(&[0xaf, 1, 9], frame(aac));
    check_audio(b"\x91mp4a\x09", frame(aac));
    check_audio(b"\x91Opus\x09", frame(AudioCodec::Opus));
    check_audio(b"\x97\x02\0\0\x01\x01Opus\x09", frame(AudioCodec::Opus));
    check_audio(b"\x94Opus\x01\x02", Ok(Tag::Ignored));
    check_audio(&[0xaf, 0], Ok(Tag::Ignored));
    check_audio(&[], Ok(Tag::Ignored));
    let name = "number 2".into();
    check_audio(&[0x2f, 1], Err(Error::AudioCodec { name }));
    let name = "ac-3".into();
    check_audio(b"\x91ac-3\x09", Err(Error::AudioCodec { name }));
}

#[test]
fn metadata_is_read_with_and_without_its_prefix() {
    let tag = write::metadata_tag(&[("width", 1280.0.into())]);
    let expect = Tag::Metadata(vec![("width".into(), 1280.0.into())]);
    assert_eq!(script(&tag.payload), Ok(expect.clone()));
    let prefixed = [&b"\x02\x00\x0d@setDataFrame"[..], &tag.payload].concat();
    assert_eq!(script(&prefixed), Ok(expect));
    assert_eq!(script(b"\x02\x00\x01x"), Ok(Tag::Ignored));
    assert!(script(b"\x02\x00").is_err());
}
