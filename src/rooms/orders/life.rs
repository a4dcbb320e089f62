//! The life of an order: what each thing that happens makes of it. Pure.

use std::time::Duration;

use super::{Config, Decision, State};
use crate::ledger::Order;

/// The longest reason and the longest name that a merchant gives, in characters.
const TEXT_CHARACTERS_MAX: usize = 200;

/// What one attempt to reach the merchant came to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Outcome {
    /// He has decided.
    Decided(Decision),
    /// He has it, and decides later.
    Taken,
    /// He could not be reached, or asks to come back.
    Later {
        /// What happened; without anything of the order's.
        why: String,
        /// The least pause that he asks for.
        after: Option<Duration>,
    },
    /// He does not understand this order; another attempt would not help.
    Never {
        /// What happened; without anything of the order's.
        why: String,
    },
}

impl Outcome {
    /// The word that counts it.
    pub(super) const fn as_str(&self) -> &'static str {
        match self {
            Self::Decided(_) => "decided",
            Self::Taken => "taken",
            Self::Later { .. } => "later",
            Self::Never { .. } => "never",
        }
    }
}

/// `order` with an attempt under way that is given up for dead at `until`.
pub(super) fn claimed(order: &Order, until: i64) -> Order {
    let mut next = order.clone();
    next.attempts += 1;
    next.due = Some(until);
    next
}

/// `order` on its way to the merchant once more, as if for the first time.
pub(super) fn driven_again(order: &Order, now: i64) -> Order {
    let mut next = changed(order, State::Accepted, now);
    next.reason = None;
    next.attempts = 0;
    next.due = Some(now);
    next
}

/// `order` after a decision; none when it was decided before.
pub(super) fn decided(order: &Order, decision: &Decision, now: i64) -> Option<Order> {
    if order.state.is_final() {
        return None;
    }
    let short = |text: &Option<String>| {
        let text = text.as_ref()?;
        Some(text.chars().take(TEXT_CHARACTERS_MAX).collect())
    };
    let mut next = changed(order, decision.state, now);
    next.reason = short(&decision.reason);
    next.reference = short(&decision.reference);
    Some(next)
}

/// `order` after an attempt; none when that changes nothing. `random` (0 to 1) spreads the next
/// attempts of many orders over the whole pause.
pub(super) fn attempted(
    order: &Order,
    outcome: &Outcome,
    config: &Config,
    now: i64,
    random: f64,
) -> Option<Order> {
    match outcome {
        Outcome::Decided(decision) => decided(order, decision, now),
        _ if order.state != State::Accepted => None,
        Outcome::Taken => Some(changed(order, State::Forwarded, now)),
        Outcome::Never { why } => Some(left_to_the_operator(order, why, now)),
        Outcome::Later { why, .. } if order.attempts >= config.attempts_max => {
            Some(left_to_the_operator(order, why, now))
        }
        Outcome::Later { after, .. } => {
            let pause = pause_ms(config, order.attempts, random);
            let asked = after.map_or(0, |after| after.as_millis().min(u128::from(u64::MAX)));
            let asked = u64::try_from(asked)
                .unwrap_or(u64::MAX)
                .min(config.retry_max_ms);
            let mut next = order.clone();
            next.due = Some(now.saturating_add_unsigned(pause.max(asked)));
            Some(next)
        }
    }
}

/// Exponential back-off with full jitter.
fn pause_ms(config: &Config, attempts: u32, random: f64) -> u64 {
    let doublings = attempts.saturating_sub(1).min(32);
    let longest = config.retry_ms.saturating_mul(1 << doublings);
    let longest = longest.min(config.retry_max_ms);
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_precision_loss,
        clippy::cast_sign_loss,
        reason = "a share of some minutes"
    )]
    let pause = (longest as f64 * random.clamp(0.0, 1.0)) as u64;
    pause
}

fn left_to_the_operator(order: &Order, why: &str, now: i64) -> Order {
    let mut next = changed(order, State::Unknown, now);
    next.reason = Some(why.chars().take(TEXT_CHARACTERS_MAX).collect());
    next
}

fn changed(order: &Order, state: State, now: i64) -> Order {
    let mut next = order.clone();
    next.state = state;
    next.changed = now;
    next.due = None;
    next
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ledger::order::Id;
    use crate::media::RoomName;

    fn order() -> Order {
        let id = Id {
            room: RoomName::parse("sale").expect("a name"),
            key: "key-0001".into(),
        };
        claimed(&Order::accepted(id, "u_li".into(), 1000), 9000)
    }

    fn later(after: Option<u64>) -> Outcome {
        Outcome::Later {
            why: "HTTP 503".into(),
            after: after.map(Duration::from_secs),
        }
    }

    fn decision(state: State) -> Decision {
        Decision {
            state,
            reason: Some("sold out".into()),
            reference: None,
        }
    }

    #[test]
    fn first_decision_stands() {
        let confirmed = decided(&order(), &decision(State::Confirmed), 2000).expect("a change");
        assert_eq!(
            (confirmed.state, confirmed.changed, confirmed.due),
            (State::Confirmed, 2000, None)
        );
        assert_eq!(decided(&confirmed, &decision(State::Rejected), 3000), None);
        let late = Outcome::Decided(decision(State::Rejected));
        assert_eq!(
            attempted(&confirmed, &late, &Config::default(), 3000, 0.5),
            None
        );
        assert_eq!(
            attempted(&confirmed, &later(None), &Config::default(), 3000, 0.5),
            None
        );
    }

    #[test]
    fn late_decision_counts_even_when_the_operator_was_asked() {
        let never = Outcome::Never {
            why: "HTTP 400".into(),
        };
        let dead = attempted(&order(), &never, &Config::default(), 2000, 0.5).expect("a change");
        assert_eq!(
            (dead.state, dead.reason.as_deref()),
            (State::Unknown, Some("HTTP 400"))
        );
        let late = decided(&dead, &decision(State::Rejected), 3000).expect("a change");
        assert_eq!(
            (late.state, late.reason.as_deref()),
            (State::Rejected, Some("sold out"))
        );
    }

    #[test]
    fn pauses_double_up_to_the_longest_and_are_spread() {
        let config = Config::default();
        let longest = |attempts| pause_ms(&config, attempts, 1.0);
        assert_eq!([longest(1), longest(2), longest(3)], [500, 1000, 2000]);
        assert_eq!([longest(11), longest(100)], [300_000, 300_000]);
        assert_eq!(pause_ms(&config, 3, 0.25), 500);
        assert_eq!(pause_ms(&config, 3, 0.0), 0);
    }

    #[test]
    fn merchant_who_asks_for_time_gets_it_within_bounds() {
        let due = |after| {
            let next = attempted(&order(), &later(after), &Config::default(), 2000, 0.5);
            next.expect("a change").due.expect("an attempt to come")
        };
        assert_eq!(due(None), 2250);
        assert_eq!(due(Some(7)), 9000);
        assert_eq!(due(Some(86_400)), 302_000);
    }

    #[test]
    fn order_is_left_to_the_operator_after_the_last_attempt() {
        let config = Config {
            attempts_max: 2,
            ..Config::default()
        };
        let again = attempted(&order(), &later(None), &config, 2000, 0.5).expect("a change");
        assert_eq!(again.state, State::Accepted);
        let again = claimed(&again, 9000);
        let dead = attempted(&again, &later(None), &config, 3000, 0.5).expect("a change");
        assert_eq!((dead.state, dead.due), (State::Unknown, None));
        let driven = driven_again(&dead, 4000);
        assert_eq!(
            (driven.state, driven.attempts, driven.due),
            (State::Accepted, 0, Some(4000))
        );
    }
}
