//! The generator behind `random()`: xoroshiro128**, seeded as PostgreSQL 15 does, so that `setseed` gives the same numbers.

/// A session's generator.
#[derive(Clone, Copy, Debug)]
pub struct Random {
    one: u64,
    other: u64,
}

impl Random {
    pub fn new(seed: u64) -> Random {
        let mut state = seed;
        let mut split_mix = || {
            state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
            let mixed = (state ^ state >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
            let mixed = (mixed ^ mixed >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
            mixed ^ mixed >> 31
        };
        Random { one: split_mix(), other: split_mix() }
    }

    /// `setseed`: a number between -1 and 1.
    pub fn of_fraction(seed: f64) -> Random {
        const SCALE: f64 = ((1_u64 << 52) - 1) as f64;
        Random::new((SCALE * seed) as i64 as u64)
    }

    pub fn number(&mut self) -> u64 {
        let first = self.one;
        let both = self.other ^ first;
        let number = first.wrapping_mul(5).rotate_left(7).wrapping_mul(9);
        self.one = first.rotate_left(24) ^ both ^ both << 16;
        self.other = both.rotate_left(37);
        number
    }

    /// From 0 to less than 1.
    pub fn fraction(&mut self) -> f64 {
        (self.number() >> 12) as f64 / (1_u64 << 52) as f64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As PostgreSQL 15 answers.
    #[test]
    fn numbers_are_postgresqls() {
        let mut random = Random::of_fraction(0.5);
        assert_eq!([random.fraction(), random.fraction()], [FIRST, SECOND]);
        let mut random = Random::of_fraction(-1.0);
        assert_eq!(random.fraction(), OTHER);
    }
    const FIRST: f64 = 0.9851677175347999;
    const SECOND: f64 = 0.825301858027981;
    const OTHER: f64 = 0.725656831544149;
}
