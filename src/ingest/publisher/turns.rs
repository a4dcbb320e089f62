//! Whose turn it is: which of a seat's two encoders feeds the show (R3.7). Pure.
//!
//! Invariants: at most one is on air; who takes the air from a living show begins with something
//! that a decoder can start from, so the decision alone interrupts nothing.

use serde::{Deserialize, Serialize};

/// How long the encoder on air may be silent before the other goes on with its next key frame: the
/// decision is taken within two seconds of the last good frame.
const SILENT_US: i64 = 1_500_000;

/// How long a primary has to send without such a silence until it counts as steady.
const STEADY_US: i64 = 10_000_000;

/// The two places of a seat.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// A plain push.
    #[default]
    Primary,
    /// A push with `?backup=1`.
    Backup,
}

impl Role {
    /// Its name in logs and metrics.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Primary => "primary",
            Self::Backup => "backup",
        }
    }
}

/// When the primary encoder gets the air back from the backup.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ReturnToPrimary {
    /// When the backup fails.
    Never,
    /// Once it has sent for ten seconds without a break, at its next key frame.
    #[default]
    Steady,
}

/// What an access unit says of its encoder.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Beat {
    /// It lives, and a decoder can start here.
    Start,
    /// It lives.
    Life,
    /// Nothing: sound beside a picture goes on when the camera is dead.
    Beside,
}

/// What becomes of an access unit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Turn {
    /// It belongs to the show.
    OnAir,
    /// Its encoder comes on air with it.
    Begins,
    /// The other encoder is on air.
    Waits,
}

/// The two encoders of one seat.
#[derive(Debug, Default)]
pub(super) struct Turns {
    on_air: Option<Role>,
    primary: Heard,
    backup: Heard,
}

/// What is known of one encoder.
#[derive(Debug, Clone, Copy, Default)]
struct Heard {
    /// When it last gave a sign of life; `None`: it is not there.
    last_us: Option<i64>,
    /// Since when it has done so without a break.
    since_us: i64,
}

impl Heard {
    fn is_silent(self, now_us: i64) -> bool {
        self.last_us
            .is_none_or(|last_us| now_us - last_us > SILENT_US)
    }

    fn is_steady(self, now_us: i64) -> bool {
        !self.is_silent(now_us) && now_us - self.since_us >= STEADY_US
    }
}

impl Turns {
    /// Whose turn it is; `None` before the first access unit, and when that encoder has come anew.
    pub(super) fn on_air(&self) -> Option<Role> {
        self.on_air
    }

    /// An encoder takes its place.
    pub(super) fn came(&mut self, role: Role, now_us: i64) {
        *self.of(role) = Heard {
            last_us: Some(now_us),
            since_us: now_us,
        };
        // It goes on as another encoder, with a clock and a configuration of its own.
        if self.on_air == Some(role) {
            self.on_air = None;
        }
    }

    /// An encoder leaves its place.
    pub(super) fn left(&mut self, role: Role) {
        *self.of(role) = Heard::default();
    }

    /// Takes the air from whoever has it.
    pub(super) fn clear(&mut self) {
        self.on_air = None;
    }

    /// Notes a sign of life.
    pub(super) fn hear(&mut self, role: Role, beat: Beat, now_us: i64) {
        if beat == Beat::Beside {
            return;
        }
        let heard = self.of(role);
        if heard.is_silent(now_us) {
            heard.since_us = now_us;
        }
        heard.last_us = Some(now_us);
    }

    /// What becomes of an access unit that was [heard](Self::hear).
    pub(super) fn turn(
        &mut self,
        role: Role,
        beat: Beat,
        policy: ReturnToPrimary,
        now_us: i64,
    ) -> Turn {
        let begins = match self.on_air {
            Some(on_air) if on_air == role => return Turn::OnAir,
            // Nothing is interrupted; but a backup does not overtake a primary that is just coming.
            None => role == Role::Primary || self.primary.is_silent(now_us),
            Some(on_air) => {
                let returns = role == Role::Primary && policy == ReturnToPrimary::Steady;
                let free = self.of(on_air).is_silent(now_us);
                beat == Beat::Start && (free || returns && self.primary.is_steady(now_us))
            }
        };
        if !begins {
            return Turn::Waits;
        }
        self.on_air = Some(role);
        Turn::Begins
    }

    fn of(&mut self, role: Role) -> &mut Heard {
        match role {
            Role::Primary => &mut self.primary,
            Role::Backup => &mut self.backup,
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const S: i64 = 1_000_000;

    /// Frames of `role` at 25 per second with a key frame every second, over `seconds`.
    fn send(turns: &mut Turns, role: Role, from_us: i64, seconds: i64) -> Vec<(i64, Turn)> {
        let frames = (0..seconds * 25).map(|n| (n, from_us + n * 40_000));
        frames
            .map(|(n, now_us)| {
                let beat = if n % 25 == 0 { Beat::Start } else { Beat::Life };
                turns.hear(role, beat, now_us);
                let turn = turns.turn(role, beat, ReturnToPrimary::Steady, now_us);
                (now_us, turn)
            })
            .collect()
    }

    #[test]
    fn backup_waits_while_the_primary_sends() {
        let mut turns = Turns::default();
        turns.came(Role::Backup, 0);
        turns.came(Role::Primary, 0);
        for second in 0..5 {
            let backup = send(&mut turns, Role::Backup, second * S, 1);
            assert!(backup.iter().all(|(_, turn)| *turn == Turn::Waits));
            send(&mut turns, Role::Primary, second * S, 1);
        }
        assert_eq!(turns.on_air(), Some(Role::Primary));
    }

    #[test]
    fn backup_begins_at_a_key_frame_within_two_seconds_and_a_group() {
        let mut turns = Turns::default();
        turns.came(Role::Primary, 0);
        turns.came(Role::Backup, 0);
        send(&mut turns, Role::Primary, 0, 1);
        let backup = send(&mut turns, Role::Backup, S, 5);
        let begun = backup.iter().find(|(_, turn)| *turn == Turn::Begins);
        assert_eq!(begun.map(|(at_us, _)| *at_us), Some(3 * S));
    }

    #[test]
    fn lost_primary_is_replaced_at_the_next_key_frame() {
        let mut turns = Turns::default();
        turns.came(Role::Primary, 0);
        turns.came(Role::Backup, 0);
        send(&mut turns, Role::Primary, 0, 1);
        turns.left(Role::Primary);
        let backup = send(&mut turns, Role::Backup, S, 1);
        assert_eq!(backup[0].1, Turn::Begins);
    }

    #[test]
    fn steady_primary_gets_the_air_back() {
        let mut turns = Turns::default();
        turns.came(Role::Backup, 0);
        send(&mut turns, Role::Backup, 0, 1);
        assert_eq!(turns.on_air(), Some(Role::Backup));
        turns.came(Role::Primary, S);
        let mut begun = None;
        for second in 1..15 {
            send(&mut turns, Role::Backup, second * S, 1);
            let primary = send(&mut turns, Role::Primary, second * S, 1);
            let found = primary.into_iter().find(|(_, turn)| *turn == Turn::Begins);
            begun = begun.or(found);
        }
        assert_eq!(begun, Some((11 * S, Turn::Begins)));
    }

    #[test]
    fn sound_alone_does_not_keep_the_air() {
        let mut turns = Turns::default();
        turns.came(Role::Primary, 0);
        turns.came(Role::Backup, 0);
        send(&mut turns, Role::Primary, 0, 1);
        for n in 0..200 {
            turns.hear(Role::Primary, Beat::Beside, S + n * 20_000);
        }
        assert_eq!(send(&mut turns, Role::Backup, 5 * S, 1)[0].1, Turn::Begins);
    }

    #[derive(Debug, Clone)]
    enum Step {
        Came(Role),
        Left(Role),
        Unit(Role, Beat),
    }

    fn steps() -> impl Strategy<Value = Vec<(i64, Step)>> {
        let role = || prop_oneof![Just(Role::Primary), Just(Role::Backup)];
        let beat = prop_oneof![Just(Beat::Start), Just(Beat::Life), Just(Beat::Beside)];
        let step = prop_oneof![
            1 => role().prop_map(Step::Came),
            1 => role().prop_map(Step::Left),
            20 => (role(), beat).prop_map(|(role, beat)| Step::Unit(role, beat)),
        ];
        prop::collection::vec((0..2 * S, step), 1..200)
    }

    proptest! {
        #[test]
        fn the_air_changes_hands_by_the_rules(steps in steps(), steady: bool) {
            let policy = match steady {
                true => ReturnToPrimary::Steady,
                false => ReturnToPrimary::Never,
            };
            let mut turns = Turns::default();
            let mut now_us = 0;
            for (later_us, step) in steps {
                now_us += later_us;
                let (role, beat) = match step {
                    Step::Came(role) => {
                        turns.came(role, now_us);
                        continue;
                    }
                    Step::Left(role) => {
                        turns.left(role);
                        continue;
                    }
                    Step::Unit(role, beat) => (role, beat),
                };
                turns.hear(role, beat, now_us);
                let before = turns.on_air();
                let silent = before.map(|role| turns.of(role).is_silent(now_us));
                let turn = turns.turn(role, beat, policy, now_us);
                prop_assert_eq!(turn == Turn::Waits, turns.on_air() != Some(role));
                if let (Turn::Begins, Some(silent)) = (turn, silent) {
                    prop_assert!(beat == Beat::Start);
                    prop_assert!(silent || steady && role == Role::Primary);
                }
            }
        }
    }
}
