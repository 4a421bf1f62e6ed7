//! The keys of one large transaction, as 64-bit fingerprints with what was done to each.
//!
//! A million keys take about 20 MB here. Fingerprints are part of the certification rule: every region computes the
//! same ones, so two keys that collide conflict in every region alike, and the only harm is a rejection too many.
//! The map is cut into shards, so that growing one never holds up a step for long.
use crate::api::LockStrength;
use crate::record::Mark;
use hashbrown::HashMap;
use std::hash::{BuildHasherDefault, Hasher};
use trivet_storage::KeyRange;

/// A key's fingerprint. Fixed for ever: changing it is a change of the rules (T5).
pub fn fingerprint(key: &[u8]) -> u64 {
    const A: u64 = 0x9e37_79b9_7f4a_7c15;
    const B: u64 = 0xd6e8_feb8_6659_fd93;
    fn fold(a: u64, b: u64) -> u64 {
        let product = u128::from(a) * u128::from(b);
        (product as u64) ^ ((product >> 64) as u64)
    }
    let mut state = A ^ (key.len() as u64);
    let mut chunks = key.chunks_exact(8);
    for chunk in &mut chunks {
        let word = u64::from_le_bytes(chunk.try_into().expect("chunks of 8"));
        state = fold(state ^ word, B);
    }
    let rest = chunks.remainder();
    if !rest.is_empty() {
        let mut word = [0; 8];
        word[..rest.len()].copy_from_slice(rest);
        state = fold(state ^ u64::from_le_bytes(word), B);
    }
    fold(state ^ A, B ^ A)
}

/// Fingerprints are hashes already.
#[derive(Default, Clone)]
pub(crate) struct Identity(u64);
impl Hasher for Identity {
    fn finish(&self) -> u64 {
        self.0
    }
    fn write(&mut self, _: &[u8]) {
        unreachable!("only u64 keys are hashed");
    }
    fn write_u64(&mut self, value: u64) {
        self.0 = value;
    }
}
pub(crate) type FingerprintMap<V> = HashMap<u64, V, BuildHasherDefault<Identity>>;

/// A set of marks: one bit for each strength, as a guard (low four) or as a write (high four).
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub(crate) struct Marks(u8);

pub(crate) const STRENGTHS: [LockStrength; 4] =
    [LockStrength::KeyShare, LockStrength::Share, LockStrength::NoKeyUpdate, LockStrength::Update];

impl Mark {
    /// 0 to 7.
    pub(crate) fn slot(self) -> u8 {
        self.strength as u8 + if self.writes { 4 } else { 0 }
    }
    pub(crate) fn of_slot(slot: u8) -> Mark {
        Mark { strength: STRENGTHS[usize::from(slot & 3)], writes: slot & 4 != 0 }
    }
}

impl Marks {
    pub(crate) fn add(&mut self, mark: Mark) {
        self.0 |= 1 << mark.slot();
    }
    pub(crate) fn iter(self) -> impl Iterator<Item = Mark> {
        (0..8).filter(move |slot| self.0 & (1 << slot) != 0).map(Mark::of_slot)
    }
    pub(crate) fn writes(self) -> bool {
        self.0 & 0xf0 != 0
    }
    /// Anything here that a mark conflicts with by the matrix.
    pub(crate) fn conflicts_with(self, strength: LockStrength) -> bool {
        self.iter().any(|mark| mark.strength.conflicts_with(strength))
    }
}

const SHARDS: usize = 256;

#[derive(Clone, Debug)]
pub struct KeySet {
    shards: Vec<FingerprintMap<Marks>>,
    ranges: Vec<KeyRange>,
    count: usize,
}

impl Default for KeySet {
    fn default() -> Self {
        KeySet { shards: vec![FingerprintMap::default(); SHARDS], ranges: Vec::new(), count: 0 }
    }
}

impl KeySet {
    pub(crate) fn add_range(&mut self, range: &KeyRange) {
        // Parts of one load often continue where the last one ended: keep few ranges, not one a part.
        if let Some(near) = self.ranges.iter_mut().find(|known| touches(known, range)) {
            near.start = near.start.clone().min(range.start.clone());
            if near.end.is_empty() || range.end.is_empty() {
                near.end.clear();
            } else {
                near.end = near.end.clone().max(range.end.clone());
            }
            return;
        }
        self.ranges.push(range.clone());
    }

    pub(crate) fn add(&mut self, fingerprint: u64, mark: Mark) {
        let entry = self.shards[shard(fingerprint)].entry(fingerprint).or_insert_with(|| {
            self.count += 1;
            Marks::default()
        });
        entry.add(mark);
    }

    pub(crate) fn marks(&self, fingerprint: u64) -> Marks {
        self.shards[shard(fingerprint)].get(&fingerprint).copied().unwrap_or_default()
    }

    /// Whether it writes this key.
    pub(crate) fn writes(&self, key: &[u8]) -> bool {
        self.marks(fingerprint(key)).writes()
    }

    pub(crate) fn ranges(&self) -> &[KeyRange] {
        &self.ranges
    }

    pub(crate) fn overlaps(&self, range: &KeyRange) -> bool {
        self.ranges.iter().any(|own| overlap(own, range))
    }

    pub fn count(&self) -> usize {
        self.count
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = (u64, Marks)> + '_ {
        self.shards.iter().flat_map(|shard| shard.iter().map(|(fingerprint, marks)| (*fingerprint, *marks)))
    }
}

fn shard(fingerprint: u64) -> usize {
    // The map's own buckets use the low and the top bits.
    (fingerprint >> 24) as usize % SHARDS
}

pub(crate) fn overlap(a: &KeyRange, b: &KeyRange) -> bool {
    (a.end.is_empty() || b.start < a.end) && (b.end.is_empty() || a.start < b.end)
}

fn touches(a: &KeyRange, b: &KeyRange) -> bool {
    overlap(a, b) || a.end == b.start || b.end == a.start
}
