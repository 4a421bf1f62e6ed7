//! A 128-bit hash of a sequence of rows: two regions that hold the same rows get the same digest.
//!
//! Two independent 64-bit lanes take the same words. A step of a lane (combine the word, multiply by an odd constant,
//! fold the high half down) is a permutation of its state, so rows that differ in one word can never collide, and
//! entropy is not lost along a long range. Key and value go in with their lengths, so that bytes cannot wander from one
//! field to the next. Order counts. This guards against damage and divergence, not against an adversary.
//!
//! The result is compared between regions and between releases: it may never change for the same rows.
use crate::store::{KeyRange, Store, StoreError, Version};
use std::fmt;

/// Rows of one page.
const PAGE: usize = 1024;

#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Digest {
    pub rows: u64,
    pub hash: u128,
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:032x} over {} rows", self.hash, self.rows)
    }
}

/// Takes rows one at a time, in key order.
#[derive(Clone, Debug)]
pub struct DigestBuilder {
    rows: u64,
    left: u64,
    right: u64,
}

impl Default for DigestBuilder {
    fn default() -> Self {
        // Fractional digits of pi: nothing up the sleeve.
        DigestBuilder { rows: 0, left: 0x243f_6a88_85a3_08d3, right: 0x1319_8a2e_0370_7344 }
    }
}

impl DigestBuilder {
    pub fn row(&mut self, key: &[u8], value: &[u8]) {
        self.rows += 1;
        self.bytes(key);
        self.bytes(value);
    }

    pub fn finish(mut self) -> Digest {
        self.word(self.rows);
        // A word that is not an input twice over: the last words reach every bit of the result.
        self.word(0xa409_3822_299f_31d0);
        Digest { rows: self.rows, hash: (u128::from(self.left) << 64) | u128::from(self.right) }
    }

    fn bytes(&mut self, bytes: &[u8]) {
        self.word(bytes.len() as u64);
        let mut chunks = bytes.chunks_exact(8);
        for chunk in &mut chunks {
            self.word(u64::from_le_bytes(chunk.try_into().expect("chunks are 8 bytes long")));
        }
        let rest = chunks.remainder();
        if !rest.is_empty() {
            let mut word = [0; 8];
            word[..rest.len()].copy_from_slice(rest);
            self.word(u64::from_le_bytes(word));
        }
    }

    fn word(&mut self, word: u64) {
        let left = (self.left ^ word).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        self.left = left ^ (left >> 29);
        let right = (self.right.wrapping_add(word)).rotate_left(25).wrapping_mul(0xd6e8_feb8_6659_fd93);
        self.right = right ^ (right >> 32);
    }
}

/// The digest of all live rows (key and value) of the range at a version, equal on every engine and in every region.
/// Reads in pages: it holds no lock, and memory for one page only. `SnapshotTooOld` if collection overtakes it.
pub fn digest(store: &dyn Store, range: &KeyRange, at: Version) -> Result<Digest, StoreError> {
    digest_without(store, range, Vec::new(), at)
}

/// As `digest`, as if the rows of `dropped` (ranges of any order, which may overlap) were gone already.
pub fn digest_without(
    store: &dyn Store,
    range: &KeyRange,
    mut dropped: Vec<KeyRange>,
    at: Version,
) -> Result<Digest, StoreError> {
    dropped.sort_by(|one, other| one.start.cmp(&other.start));
    let mut builder = DigestBuilder::default();
    let mut rest = range.clone();
    for gone in dropped.iter().filter(|gone| !gone.is_empty()) {
        if gone.start > rest.start {
            let end = if rest.end.is_empty() { gone.start.clone() } else { gone.start.clone().min(rest.end.clone()) };
            add(store, KeyRange { start: rest.start.clone(), end }, at, &mut builder)?;
        }
        if gone.end.is_empty() {
            return Ok(builder.finish());
        }
        rest.start = rest.start.max(gone.end.clone());
    }
    if !rest.is_empty() {
        add(store, rest, at, &mut builder)?;
    }
    Ok(builder.finish())
}

fn add(store: &dyn Store, range: KeyRange, at: Version, builder: &mut DigestBuilder) -> Result<(), StoreError> {
    let mut rest = range;
    loop {
        let rows = store.scan(&rest, at, false, PAGE)?;
        for row in &rows {
            builder.row(&row.key, &row.value);
        }
        match rows.last() {
            Some(last) if rows.len() == PAGE => rest = rest.after(&last.key),
            _ => return Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use bytes::Bytes;

    type RawRow<'a> = (&'a [u8], &'a [u8]);

    fn of(rows: &[RawRow<'_>]) -> Digest {
        let mut builder = DigestBuilder::default();
        for (key, value) in rows {
            builder.row(key, value);
        }
        builder.finish()
    }

    #[test]
    fn what_counts() {
        let base = of(&[(b"a", b"1"), (b"b", b"2")]);
        let cases: [(&str, &[RawRow<'_>]); 8] = [
            ("a value", &[(b"a", b"1"), (b"b", b"3")]),
            ("a key", &[(b"a", b"1"), (b"c", b"2")]),
            ("the order", &[(b"b", b"2"), (b"a", b"1")]),
            ("a row less", &[(b"a", b"1")]),
            ("a row more", &[(b"a", b"1"), (b"b", b"2"), (b"c", b"")]),
            ("where a field ends", &[(b"a1", b""), (b"b", b"2")]),
            ("a trailing zero", &[(b"a", b"1\0"), (b"b", b"2")]),
            ("nothing at all", &[]),
        ];
        for (what, rows) in cases {
            assert_ne!(base.hash, of(rows).hash, "{what} must count");
        }
        assert_eq!(base, of(&[(b"a", b"1"), (b"b", b"2")]));
    }

    /// The bytes of the first release: regions of different releases compare digests.
    #[test]
    fn never_changes() {
        assert_eq!(of(&[]).to_string(), EMPTY);
        assert_eq!(of(&[(b"key", b"a value of some length"), (b"", b"")]).to_string(), TWO);
    }
    const EMPTY: &str = "1e939a815fa3c3eb224da26f63487601 over 0 rows";
    const TWO: &str = "a994ff2bfb6573514131304d20b18fdf over 2 rows";

    #[test]
    fn dropped_ranges_do_not_count() {
        let store = crate::MemoryStore::new();
        let keys = ["a", "b", "c", "d", "e"];
        let writes = keys.map(|key| (Bytes::from_static(key.as_bytes()), 1, Some(Bytes::from_static(b"value"))));
        store.apply(crate::Batch { writes: writes.into(), applied: Some(1), ..Default::default() }).expect("in memory");
        let range = |start: &'static str, end: &'static str| KeyRange { start: start.into(), end: end.into() };
        let left =
            |dropped: Vec<KeyRange>| digest_without(&store, &KeyRange::all(), dropped, 1).expect("readable").rows;
        assert_eq!(left(vec![]), 5);
        assert_eq!(left(vec![range("b", "d")]), 3);
        assert_eq!(left(vec![range("d", ""), range("a", "b"), range("a", "c")]), 1);
        assert_eq!(left(vec![range("", "")]), 0);
        assert_eq!(left(vec![range("x", "y"), range("c", "c")]), 5);
    }
}
