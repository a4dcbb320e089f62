//! Chance that is the same in each run: SplitMix64 (Steele, Lea and Flood 2014).

/// A sequence of numbers that its seed decides. Not for secrets.
#[derive(Debug, Clone)]
pub struct Dice(u64);

impl Dice {
    /// The sequence of `seed`.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// The next number.
    pub fn throw(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// Evenly from 0 up to, and without, 1.
    pub fn share(&mut self) -> f64 {
        (self.throw() >> 11) as f64 / (1_u64 << 53) as f64
    }

    /// True in `share` of all cases; 0 never, 1 always.
    pub fn falls(&mut self, share: f64) -> bool {
        self.share() < share
    }
}

/// A seed from a name and a number: FNV-1a.
#[must_use]
pub fn seed(name: &str, number: u64) -> u64 {
    let bytes = name.bytes().chain(number.to_le_bytes());
    bytes.fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_seed_falls_alike_and_another_does_not() {
        let falls = |seed| {
            let mut dice = Dice::new(seed);
            (0..64).map(|_| dice.falls(0.5)).collect::<Vec<_>>()
        };
        assert_eq!(falls(seed("a", 1)), falls(seed("a", 1)));
        assert_ne!(falls(seed("a", 1)), falls(seed("a", 2)));
        assert_ne!(falls(seed("a", 1)), falls(seed("b", 1)));
    }

    #[test]
    fn the_share_is_met_over_many_falls() {
        let mut dice = Dice::new(7);
        let fell = (0..100_000).filter(|_| dice.falls(0.03)).count();
        assert!((2800..3200).contains(&fell), "{fell}");
        assert!((0..1000).all(|_| dice.falls(1.0)) && (0..1000).all(|_| !dice.falls(0.0)));
    }
}
