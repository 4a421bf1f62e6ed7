//! What a SERIALIZABLE transaction has read (T18): points and ranges, certified unwritten until its commit.
//!
//! A transaction whose reads still hold at its place in the log might as well have run there, alone; one that writes
//! nothing might as well have run at its snapshot. So the log's order is a serial order.
use crate::record::{KeyGuard, RangeGuard, after};
use bytes::Bytes;
use std::collections::BTreeMap;
use trivet_log::Position;
use trivet_storage::KeyRange;

/// Past these, neighbours are taken together: a refusal too many rather than a record too large.
const POINTS_MAX: usize = 4096;
const RANGES_MAX: usize = 256;

type At = (Position, u64);

#[derive(Default)]
pub(crate) struct Reads {
    points: BTreeMap<Bytes, At>,
    /// By start: (end, position); not overlapping if they have one position.
    ranges: BTreeMap<Bytes, (Bytes, At)>,
}

impl Reads {
    /// The first read of a key counts.
    pub(crate) fn point(&mut self, key: &[u8], at: At) {
        if !self.points.contains_key(key) {
            self.points.insert(Bytes::copy_from_slice(key), at);
            if self.points.len() > POINTS_MAX {
                self.coalesce_points();
            }
        }
    }

    pub(crate) fn range(&mut self, range: &KeyRange, at: At) {
        let (mut start, mut end, mut at) = (range.start.clone(), range.end.clone(), at);
        // Scans come in steps, each where the last one ended: grow what touches.
        while let Some((near, (near_end, near_at))) = self.touching(&start, &end) {
            self.ranges.remove(&near);
            start = start.min(near);
            end = if end.is_empty() || near_end.is_empty() { Bytes::new() } else { end.max(near_end) };
            at = if near_at.0.index < at.0.index { near_at } else { at };
        }
        self.ranges.insert(start, (end, at));
        if self.ranges.len() > RANGES_MAX {
            self.coalesce_ranges();
        }
    }

    fn touching(&self, start: &Bytes, end: &Bytes) -> Option<(Bytes, (Bytes, At))> {
        let found = if end.is_empty() {
            self.ranges.range(start.clone()..).next()
        } else {
            self.ranges.range(start.clone()..=end.clone()).next()
        };
        let before = || {
            let (near, value) = self.ranges.range(..start.clone()).next_back()?;
            (value.0.is_empty() || value.0 >= *start).then_some((near, value))
        };
        found.or_else(before).map(|(near, value)| (near.clone(), value.clone()))
    }

    fn coalesce_points(&mut self) {
        let points: Vec<(Bytes, At)> = std::mem::take(&mut self.points).into_iter().collect();
        for group in points.chunks(points.len().div_ceil(RANGES_MAX / 4)) {
            let oldest = group.iter().map(|(_, at)| *at).min_by_key(|at| at.0.index).expect("chunks are not empty");
            let (first, last) = (&group[0].0, &group[group.len() - 1].0);
            self.range(&KeyRange { start: first.clone(), end: after(last) }, oldest);
        }
    }

    fn coalesce_ranges(&mut self) {
        let ranges: Vec<_> = std::mem::take(&mut self.ranges).into_iter().collect();
        for pair in ranges.chunks(2) {
            let (start, (first_end, first_at)) = &pair[0];
            let (_, (end, at)) = &pair[pair.len() - 1];
            let end = if first_end.is_empty() { first_end } else { end };
            let at = if first_at.0.index < at.0.index { first_at } else { at };
            self.ranges.insert(start.clone(), (end.clone(), *at));
        }
    }

    /// For the record; `current` says what a position is worth now (T3).
    pub(crate) fn guards(&self, current: impl Fn(At) -> Position) -> (Vec<KeyGuard>, Vec<RangeGuard>) {
        let points = self.points.iter().map(|(key, at)| KeyGuard { key: key.clone(), read_at: current(*at) });
        let ranges = self.ranges.iter().map(|(start, (end, at))| RangeGuard {
            range: KeyRange { start: start.clone(), end: end.clone() },
            read_at: current(*at),
        });
        (points.collect(), ranges.collect())
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.points.is_empty() && self.ranges.is_empty()
    }

    pub(crate) fn clear(&mut self) {
        *self = Reads::default();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use trivet_log::{Index, Term};

    fn at(index: u64) -> At {
        (Position { term: Term(1), index: Index(index) }, 0)
    }

    proptest! {
        /// Whatever is taken together, everything that was read stays guarded at least since it was read.
        #[test]
        fn all_that_was_read_is_guarded(reads in prop::collection::vec((0..60u8, 0..5u8, any::<bool>(), 1..9u64), 1..80)) {
            let mut kept = Reads::default();
            for (start, length, point, index) in &reads {
                if *point {
                    kept.point(&[*start], at(*index));
                } else if *length == 4 {
                    kept.range(&KeyRange::new(vec![*start], vec![]), at(*index));
                } else {
                    kept.range(&KeyRange::new(vec![*start], vec![*start + length + 1]), at(*index));
                }
            }
            let (points, ranges) = kept.guards(|at| at.0);
            for (start, length, point, index) in reads {
                for key in start..start + if point { 1 } else { length + 1 } {
                    let by_point = points.iter().any(|guard| *guard.key == [key]);
                    let by_range = ranges.iter().any(|guard| guard.range.contains(&[key]) && guard.read_at.index.0 <= index);
                    let guarded = if point { by_point } else { by_range };
                    prop_assert!(guarded);
                }
            }
        }
    }

    #[test]
    fn many_reads_become_few_guards() {
        let mut kept = Reads::default();
        for key in 0..10_000u32 {
            kept.point(&(key * 2).to_be_bytes(), at(5));
            kept.range(&KeyRange::new((key * 4).to_be_bytes().to_vec(), (key * 4 + 1).to_be_bytes().to_vec()), at(5));
        }
        let (points, ranges) = kept.guards(|at| at.0);
        assert!(points.len() <= POINTS_MAX && ranges.len() <= RANGES_MAX);
        let guarded = |key: u32| {
            let bytes = key.to_be_bytes();
            points.iter().any(|guard| *guard.key == bytes) || ranges.iter().any(|guard| guard.range.contains(&bytes))
        };
        assert!((0..10_000).all(|key| guarded(key * 2) && guarded(key * 4)));
    }
}
