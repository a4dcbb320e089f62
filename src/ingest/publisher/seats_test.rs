use proptest::prelude::*;

use super::*;
use crate::ingest::publisher::Config;
use crate::ingest::publisher::studio::{Encoder, Read, Studio, backup_request, request};

/// A room with a primary and a backup encoder, whose clocks differ.
struct Duo {
    studio: Studio,
    primary: Encoder,
    backup: Encoder,
}

impl Duo {
    fn new(policy: ReturnToPrimary) -> Self {
        let config = Config {
            return_to_primary: policy,
            ..Config::default()
        };
        let mut studio = Studio::with(config, 30.0, 2.0, 48_000);
        studio.room.leave(studio.place, studio.now);
        let now = studio.now;
        let primary = Encoder::join(&mut studio.room, &request(None), 1000, now);
        let backup = Encoder::join(&mut studio.room, &backup_request(), 77_000, now);
        Self {
            studio,
            primary,
            backup,
        }
    }

    fn run(&mut self, seconds: u64) {
        for _ in 0..seconds * 30 {
            let Studio { room, now, .. } = &mut self.studio;
            room.poll(false, *now);
            self.backup.send(room, *now);
            self.primary.send(room, *now);
            let next_us = now.us + 33_333;
            self.studio.advance_to(next_us);
        }
    }

    fn on_air(&mut self) -> Vec<Role> {
        let status = self.studio.room.status(self.studio.now).unwrap();
        let on_air = status.publishers.iter().filter(|source| source.on_air);
        on_air.map(|source| source.seat).collect()
    }
}

/// The longest stretch without media, in milliseconds.
fn longest_gap_ms(groups: &[Read]) -> i64 {
    let media = groups
        .iter()
        .flat_map(|group| &group.frames)
        .filter(|frame| !frame.is_gap());
    let mut ends: Vec<(i64, i64)> = media.map(|frame| (frame.dts, frame.end_dts())).collect();
    ends.sort_unstable();
    let gaps = ends.windows(2).map(|pair| (pair[1].0 - pair[0].1) / 90);
    gaps.max().unwrap_or(0)
}

#[test]
fn backup_stands_by_and_takes_over_from_a_silent_primary() {
    let mut duo = Duo::new(ReturnToPrimary::Never);
    duo.run(7);
    assert_eq!(duo.on_air(), [Role::Primary]);
    duo.primary.muted = true;
    duo.run(6);
    assert_eq!(duo.on_air(), [Role::Backup]);
    let (video, audio) = duo.studio.check();
    for groups in [&video, &audio] {
        let last = &groups.last().unwrap().head;
        assert_eq!((last.discontinuities, last.init_id), (1, 1));
    }
    let gap_ms = longest_gap_ms(&video);
    assert!(
        (1000..=4000).contains(&gap_ms),
        "{gap_ms} ms without a picture"
    );
}

#[test]
fn lost_primary_costs_a_group_at_most() {
    let mut duo = Duo::new(ReturnToPrimary::Never);
    duo.run(7);
    let Studio { room, now, .. } = &mut duo.studio;
    room.leave(duo.primary.place, *now);
    duo.primary.muted = true;
    duo.run(4);
    assert_eq!(duo.on_air(), [Role::Backup]);
    let (video, _) = duo.studio.check();
    assert!(longest_gap_ms(&video) <= 2100, "a group is two seconds");
}

#[test]
fn air_goes_back_by_policy() {
    for (policy, after) in [
        (ReturnToPrimary::Never, Role::Backup),
        (ReturnToPrimary::Steady, Role::Primary),
    ] {
        let mut duo = Duo::new(policy);
        duo.run(3);
        duo.primary.muted = true;
        duo.run(5);
        duo.primary.muted = false;
        duo.run(5);
        assert_eq!(duo.on_air(), [Role::Backup], "{policy:?}");
        duo.run(10);
        assert_eq!(duo.on_air(), [after], "{policy:?}");
        let (video, _) = duo.studio.check();
        let switches = 1 + u32::from(after == Role::Primary);
        assert_eq!(video.last().unwrap().head.discontinuities, switches);
    }
}

#[test]
fn place_of_a_backup_is_its_own() {
    let mut duo = Duo::new(ReturnToPrimary::Never);
    let Studio { room, now, .. } = &mut duo.studio;
    let revoke = || tokio::sync::watch::channel(None).0;
    assert!(room.join(&backup_request(), revoke(), *now).is_err());
    room.leave(duo.backup.place, *now);
    assert!(room.join(&backup_request(), revoke(), *now).is_ok());
    assert!(room.join(&request(None), revoke(), *now).is_err());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    /// Whatever the two encoders do, groups are numbered in a row, time never goes back, no part
    /// is too long, and what follows a switch begins with a key frame.
    #[test]
    fn numbers_never_go_back(steps in prop::collection::vec((0..4_u8, 1..9_u64), 1..12)) {
        let mut duo = Duo::new(ReturnToPrimary::Steady);
        duo.run(3);
        for (what, seconds) in steps {
            match what {
                0 => duo.primary.muted = !duo.primary.muted,
                1 => duo.backup.muted = !duo.backup.muted,
                2 => {
                    let Studio { room, now, .. } = &mut duo.studio;
                    room.leave(duo.primary.place, *now);
                    duo.primary = Encoder::join(room, &request(None), 5, *now);
                }
                _ => {}
            }
            duo.run(seconds);
            prop_assert!(duo.on_air().len() <= 1);
        }
        duo.studio.check();
    }
}
