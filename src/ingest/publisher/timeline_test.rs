use proptest::prelude::*;

use super::*;

const MS: i64 = 1000;

/// Feeds video stamps that arrive `every_ms` apart.
fn video(timeline: &mut Timeline, stamps: &[u32], every_ms: i64) -> Vec<i64> {
    stamps
        .iter()
        .zip(0..)
        .map(|(stamp, n)| timeline.place(Medium::Video, *stamp, n * every_ms * MS).0)
        .collect()
}

#[test]
fn first_stamp_is_zero_wherever_the_clock_stands() {
    let mut timeline = Timeline::new();
    let placed = video(&mut timeline, &[1_000_000, 1_000_040, 1_000_080], 40);
    assert_eq!(placed, [0, 40, 80]);
}

#[test]
fn wrap_is_no_jump() {
    let mut timeline = Timeline::new();
    timeline.place(Medium::Video, u32::MAX - 19, 0);
    assert_eq!(
        timeline.place(Medium::Video, 20, 40 * MS),
        (40, Some(Repair::Wrap))
    );
    assert_eq!(timeline.place(Medium::Audio, 25, 45 * MS), (45, None));
}

#[test]
fn jump_ahead_goes_on_by_the_wall_clock() {
    let mut timeline = Timeline::new();
    timeline.place(Medium::Video, 0, 0);
    timeline.place(Medium::Audio, 10, 10 * MS);
    let jumped = timeline.place(Medium::Video, 3_600_000, 40 * MS);
    assert_eq!(jumped, (40, Some(Repair::Jump)));
    // Audio met the same jump: it keeps its offset from video.
    let audio = timeline.place(Medium::Audio, 3_600_010, 50 * MS);
    assert_eq!(audio, (50, None));
    assert_eq!(
        timeline.place(Medium::Video, 3_600_040, 80 * MS),
        (80, None)
    );
}

#[test]
fn late_frame_from_before_a_jump_keeps_its_place() {
    let mut timeline = Timeline::new();
    timeline.place(Medium::Video, 0, 0);
    timeline.place(Medium::Audio, 0, 0);
    timeline.place(Medium::Video, 3_600_000, 40 * MS);
    assert_eq!(timeline.place(Medium::Audio, 21, 41 * MS), (21, None));
    assert_eq!(
        timeline.place(Medium::Audio, 3_600_002, 42 * MS),
        (42, None)
    );
}

#[test]
fn step_back_goes_on_by_the_wall_clock() {
    let mut timeline = Timeline::new();
    timeline.place(Medium::Video, 60_000, 0);
    let back = timeline.place(Medium::Video, 0, 40 * MS);
    assert_eq!(back, (40, Some(Repair::Backward)));
}

#[test]
fn silence_that_both_clocks_saw_is_no_jump() {
    let mut timeline = Timeline::new();
    timeline.place(Medium::Video, 0, 0);
    assert_eq!(
        timeline.place(Medium::Video, 9_000, 9_000 * MS),
        (9_000, None)
    );
}

#[test]
fn start_offset_of_the_media_is_kept() {
    let mut timeline = Timeline::new();
    timeline.place(Medium::Video, 500, 0);
    assert_eq!(timeline.place(Medium::Audio, 420, MS), (-80, None));
    let mut timeline = Timeline::new();
    timeline.place(Medium::Audio, 0, 0);
    assert_eq!(timeline.place(Medium::Video, 1_200, MS), (1_200, None));
}

#[test]
fn drift_is_told_after_half_a_minute() {
    let mut timeline = Timeline::new();
    for n in 0..1000_i64 {
        // 40 ms of media every 39.996 ms: 100 ppm fast.
        let stamp = u32::try_from(n * 40).unwrap();
        timeline.place(Medium::Video, stamp, n * 39_996);
    }
    let ppm = timeline.drift_ppm().unwrap();
    assert!((90..=110).contains(&ppm), "{ppm}");
}

proptest! {
    /// Whatever an encoder sends, broadcast time stays near the wall clock's pace.
    #[test]
    fn no_stamp_moves_time_far(
        stamps in prop::collection::vec((any::<u32>(), any::<bool>()), 1..300),
    ) {
        let mut timeline = Timeline::new();
        let mut last = [None, None];
        for ((stamp, is_video), n) in stamps.into_iter().zip(0..) {
            let medium = if is_video { Medium::Video } else { Medium::Audio };
            let (ms, _) = timeline.place(medium, stamp, n * 20 * MS);
            let last = &mut last[usize::from(is_video)];
            if let Some(before) = *last {
                let step: i64 = ms - before;
                prop_assert!((-BACKWARD_MS..=JUMP_MS + 300 * 20).contains(&step));
            }
            *last = Some(ms);
        }
    }
}
