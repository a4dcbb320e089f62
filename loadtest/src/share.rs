//! Which part of a scenario one load machine carries.
//!
//! Actors and orders keep the numbers that they have on one machine, and each number belongs to one
//! machine: users, keys of orders, edges, arrivals and turns of all machines together are those of
//! a single one. Knows nothing of the wire.

use serde::{Deserialize, Serialize};

/// The most machines of one run.
pub const MACHINES_MAX: u32 = 64;

/// One machine's part.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Share {
    number: u32,
    of: u32,
    /// After so many actors the order of the machines moves on by one.
    round: u64,
}

impl Default for Share {
    fn default() -> Self {
        Self::new(0, 1, 1)
    }
}

impl Share {
    /// Part `number`, from 0, of `of`, on a fleet with so many edges.
    #[must_use]
    pub fn new(number: u32, of: u32, edges: usize) -> Self {
        let (of, edges) = (of.max(1), edges.max(1) as u64);
        // Actors go to the edges in turn. With a plain remainder, two machines would each meet but
        // every other one of four edges; a round after which both turns begin anew lets them move.
        let round = edges / divisor(edges, of.into()) * u64::from(of);
        Self { number, of, round }
    }

    /// True for what [`Self::new`] makes: others came over the wire.
    #[must_use]
    pub fn is_possible(&self) -> bool {
        let fits = (1..=MACHINES_MAX).contains(&self.of) && self.number < self.of;
        fits && self.round > 0 && self.round.is_multiple_of(self.of.into())
    }

    /// How many machines there are.
    #[must_use]
    pub fn machines(&self) -> u32 {
        self.of
    }

    /// True when actor or order `index` is this machine's.
    #[must_use]
    pub fn has(&self, index: u64) -> bool {
        let of = u64::from(self.of);
        (index % of + index / self.round % of) % of == u64::from(self.number)
    }

    /// Its numbers below `count`: of any two machines, one has at most one more.
    pub fn indices(self, count: u64) -> impl Iterator<Item = u64> + Send {
        (0..count).filter(move |index| self.has(*index))
    }

    /// Its part of a ceiling: whole actions a second, which add up to the whole ones of `rate`.
    #[must_use]
    pub fn ceiling(&self, rate: f64) -> f64 {
        if self.of == 1 {
            return rate;
        }
        let (of, number) = (f64::from(self.of), f64::from(self.number));
        let each = (rate / of).floor();
        let rest = (rate - each * of).floor();
        each + if number < rest { 1.0 } else { 0.0 }
    }
}

/// The greatest common divisor.
fn divisor(a: u64, b: u64) -> u64 {
    if b == 0 { a } else { divisor(b, a % b) }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    fn shares(of: u32, edges: usize) -> Vec<Share> {
        (0..of)
            .map(|number| Share::new(number, of, edges))
            .collect()
    }

    #[test]
    fn every_number_belongs_to_one_machine_and_remainders_are_spread() {
        for of in 1..=7 {
            for edges in 1..=6 {
                let shares = shares(of, edges);
                for count in [0, 1, 2, 5, 29, 100] {
                    let parts: Vec<usize> =
                        shares.iter().map(|s| s.indices(count).count()).collect();
                    let (least, most) = (parts.iter().min(), parts.iter().max());
                    assert_eq!(parts.iter().sum::<usize>() as u64, count);
                    assert!(
                        most.unwrap() - least.unwrap() <= 1,
                        "{of}, {edges}: {parts:?}"
                    );
                }
                for index in 0..200 {
                    assert_eq!(shares.iter().filter(|share| share.has(index)).count(), 1);
                }
            }
        }
    }

    #[test]
    fn each_machine_meets_all_edges() {
        for (of, edges) in [(2, 2), (2, 4), (3, 3), (4, 2), (3, 2)] {
            for share in shares(of, edges) {
                let met: BTreeSet<u64> = share.indices(200).map(|i| i % edges as u64).collect();
                assert_eq!(met.len(), edges, "{share:?}");
                assert!(share.is_possible());
            }
        }
    }

    #[test]
    fn ceilings_add_up_to_the_ceiling() {
        for (rate, parts) in [(500.0, [167.0, 167.0, 166.0]), (4.5, [2.0, 1.0, 1.0])] {
            let found: Vec<f64> = shares(3, 1).iter().map(|s| s.ceiling(rate)).collect();
            assert_eq!(found, parts);
        }
        assert_eq!(Share::default().ceiling(2.5), 2.5);
    }

    #[test]
    fn impossible_shares_are_told_apart() {
        let share = |number, of, round| Share { number, of, round };
        for wrong in [share(2, 2, 2), share(0, 0, 1), share(0, 65, 65)] {
            assert!(!wrong.is_possible(), "{wrong:?}");
        }
        assert!(!share(0, 2, 0).is_possible() && !share(0, 2, 3).is_possible());
    }
}
