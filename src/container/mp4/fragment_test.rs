//! The hand-written boxes, read back by `mp4-atom`.

use std::io::Cursor;

use mp4_atom::{Any, DecodeMaybe, Encode, Moof, Prft, ReferenceTime, Styp};
use proptest::prelude::*;

use super::*;

/// Decodes `[styp] [prft] moof` and checks that a lone `mdat` header is left.
fn decode(header: &[u8], payload_bytes: usize) -> (Option<Styp>, Option<Prft>, Moof) {
    let (boxes, mdat) = header.split_at(header.len() - 8);
    let mut expect = u32::try_from(payload_bytes + 8)
        .unwrap()
        .to_be_bytes()
        .to_vec();
    expect.extend(b"mdat");
    assert_eq!(mdat, expect);
    let mut input = Cursor::new(boxes);
    let (mut styp, mut prft, mut moof) = (None, None, None);
    while let Some(atom) = Any::decode_maybe(&mut input).unwrap() {
        match atom {
            Any::Styp(found) => styp = Some(found),
            Any::Prft(found) => prft = Some(found),
            Any::Moof(found) => moof = Some(found),
            other => panic!("{other:?}"),
        }
    }
    (styp, prft, moof.unwrap())
}

/// What a reader makes of the samples, defaults applied.
fn samples(moof: &Moof) -> Vec<Sample> {
    let traf = &moof.traf[0];
    let run = traf.trun[0].samples.iter();
    run.map(|entry| Sample {
        duration: entry
            .duration
            .or(traf.tfhd.default_sample_duration)
            .unwrap(),
        size: entry.size.unwrap(),
        key: entry.flags.or(traf.tfhd.default_sample_flags).unwrap() == FLAGS_KEY,
        composition: i32::try_from(entry.cts.unwrap_or(0)).unwrap(),
    })
    .collect()
}

fn sample(key: bool, composition: i32) -> Sample {
    Sample {
        duration: 3000,
        size: 100,
        key,
        composition,
    }
}

#[test]
fn a_segment_start_has_type_and_capture_time() {
    let fragment = Fragment {
        sequence: 9,
        dts: 1 << 33,
        starts_segment: true,
        reference: Some(Reference {
            wall_us: 1_794_398_400_500_000,
            pts: 42,
        }),
        samples: &[sample(true, 6000), sample(false, -3000)],
    };
    let (styp, prft, moof) = decode(&fragment.header(), 200);
    assert_eq!(styp.unwrap().major_brand.as_ref(), b"msdh");
    assert_eq!(
        prft.unwrap(),
        Prft {
            reference_track_id: TRACK_ID,
            ntp_timestamp: (1_794_398_400 + NTP_EPOCH_SECONDS) << 32 | 1 << 31,
            media_time: 42,
            utc_time_semantics: ReferenceTime::RealTime,
        }
    );
    assert_eq!(moof.mfhd.sequence_number, 9);
    let traf = &moof.traf[0];
    assert!(traf.tfhd.default_base_is_moof);
    assert_eq!(traf.tfdt.as_ref().unwrap().base_media_decode_time, 1 << 33);
    assert_eq!(samples(&moof), fragment.samples);
}

#[test]
fn data_offset_points_at_the_first_payload_byte() {
    let fragment = Fragment {
        sequence: 1,
        dts: 0,
        starts_segment: true,
        reference: None,
        samples: &[sample(true, 0)],
    };
    let header = fragment.header();
    let (styp, _, moof) = decode(&header, 100);
    let before_moof = {
        let mut bytes = Vec::new();
        styp.unwrap().encode(&mut bytes).unwrap();
        bytes.len()
    };
    let offset = moof.traf[0].trun[0].data_offset.unwrap();
    assert_eq!(before_moof + usize::try_from(offset).unwrap(), header.len());
}

#[test]
fn equal_samples_share_their_defaults() {
    let same = [sample(true, 0); 16];
    let fragment = Fragment {
        sequence: 1,
        dts: 0,
        starts_segment: false,
        reference: None,
        samples: &same,
    };
    let (_, _, moof) = decode(&fragment.header(), 1600);
    let first = moof.traf[0].trun[0].samples.get(0).unwrap();
    assert_eq!((first.duration, first.flags, first.cts), (None, None, None));
    assert_eq!(samples(&moof), same);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn any_samples_survive(
        raw in proptest::collection::vec(
            (0..1000_u32, 0..5000_u32, any::<bool>(), -9000..9000_i32), 1..40),
        dts in 0..u64::MAX / 2,
        sequence: u32,
    ) {
        let wanted: Vec<Sample> = raw
            .into_iter()
            .map(|(duration, size, key, composition)| Sample { duration, size, key, composition })
            .collect();
        let fragment =
            Fragment { sequence, dts, starts_segment: false, reference: None, samples: &wanted };
        let payload_bytes = wanted.iter().map(|sample| sample.size as usize).sum();
        let header = fragment.header();
        let (_, _, moof) = decode(&header, payload_bytes);
        prop_assert_eq!(samples(&moof), wanted);
        prop_assert_eq!(moof.mfhd.sequence_number, sequence);
        let mut theirs = Vec::new();
        moof.encode(&mut theirs).unwrap();
        prop_assert_eq!(theirs.len(), header.len() - 8, "the library writes as many bytes");
    }
}
