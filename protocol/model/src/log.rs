//! A log is a row of terms: two entries with the same index and term are the same entry (log matching).
use std::fmt;

/// The longest log of any search.
pub const LOG_MAX: u8 = 7;

/// Terms 1 to 15 at indexes 1 to 7, four bits each, lowest index in the lowest bits; the length in the highest.
/// Bits beyond the length are zero, so equal logs are equal words.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct Log(u32);

const LENGTH_AT: u32 = 28;
const TERMS_MASK: u32 = (1 << LENGTH_AT) - 1;

impl Log {
    pub fn of(terms: &[u8]) -> Log {
        let mut log = Log::default();
        for &term in terms {
            log.push(term);
        }
        log
    }

    pub fn len(self) -> u8 {
        (self.0 >> LENGTH_AT) as u8
    }

    pub fn is_empty(self) -> bool {
        self.len() == 0
    }

    /// The term at an index from 1; 0 before the first and beyond the last.
    pub fn at(self, index: u8) -> u8 {
        if index == 0 || index > LOG_MAX { 0 } else { ((self.0 >> (4 * (index - 1))) & 15) as u8 }
    }

    pub fn push(&mut self, term: u8) {
        let len = self.len();
        assert!(len < LOG_MAX && (1..16).contains(&term), "the entry does not fit");
        self.0 = (self.0 & TERMS_MASK) | u32::from(term) << (4 * len) | u32::from(len + 1) << LENGTH_AT;
    }

    /// The first `len` entries, or all if there are fewer.
    pub fn prefix(self, len: u8) -> Log {
        let len = len.min(self.len());
        Log((self.0 & ((1u32 << (4 * len)) - 1)) | u32::from(len) << LENGTH_AT)
    }

    /// (term, index) of the last entry: the order in which logs are newer.
    pub fn last(self) -> (u8, u8) {
        (self.at(self.len()), self.len())
    }

    /// How many entries are the same from the start.
    pub fn common(self, other: Log) -> u8 {
        let differ = (self.0 ^ other.0) & TERMS_MASK;
        let same = (differ.trailing_zeros() / 4).min(u32::from(LOG_MAX)) as u8;
        same.min(self.len()).min(other.len())
    }

    pub fn starts_with(self, other: Log) -> bool {
        self.common(other) == other.len()
    }
}

impl fmt::Display for Log {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for index in 1..=self.len() {
            write!(f, "{:x}", self.at(index))?;
        }
        Ok(())
    }
}

impl fmt::Debug for Log {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "[{self}]")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn behaves_as_a_vector(a in proptest::collection::vec(1..16u8, 0..8), b in proptest::collection::vec(1..4u8, 0..8), cut in 0..9u8) {
            let (log, other) = (Log::of(&a), Log::of(&b));
            prop_assert_eq!(usize::from(log.len()), a.len());
            for index in 0..=LOG_MAX {
                let expected = if index == 0 { None } else { a.get(usize::from(index) - 1) };
                prop_assert_eq!(log.at(index), expected.copied().unwrap_or(0));
            }
            prop_assert_eq!(log.prefix(cut), Log::of(&a[..a.len().min(cut.into())]));
            let common = a.iter().zip(&b).take_while(|(x, y)| x == y).count();
            prop_assert_eq!(usize::from(log.common(other)), common);
            prop_assert_eq!(log.starts_with(other), a.starts_with(&b));
            prop_assert!(log.starts_with(log.prefix(cut)));
        }
    }
}
