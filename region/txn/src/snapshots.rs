//! Live snapshots of this region: they hold the horizon (T12), and truncation lowers them (T3).
//!
//! Two races decide the shape.
//! - A reader takes its position from what the core published, and then says that it lives. Between the two the core
//!   might report a low-water mark above it, or truncate it away. So a position below the mark that was last
//!   reported, or from before the last truncation, is refused: the reader begins again with a newer one.
//! - A reader checks the pending index at its snapshot, and then opens the store. Between the two the log might be
//!   truncated below the snapshot and grow again, with other entries at the same indexes. So every truncation raises
//!   `epoch` before the first new entry is appended, and a reader whose epoch moved reads again.
//!
//! Invariant S1: no reported low-water mark is above a snapshot that is alive or ever will be.
use parking_lot::Mutex;
use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use trivet_log::{Index, Position};

#[derive(Default)]
pub struct Snapshots {
    epoch: AtomicU64,
    registry: Mutex<Registry>,
}

#[derive(Default)]
struct Registry {
    /// S1: the highest mark ever reported.
    floor: Index,
    next_id: u64,
    live: HashMap<u64, Position, foldhash::fast::FixedState>,
    by_index: BTreeSet<(Index, u64)>,
    /// Where each truncation went; the epoch after the n-th is n.
    truncations: Vec<Position>,
}

/// The position is older than what was promised to others since it was published: ask for a newer one.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Behind;

/// The number of snapshots that are not registered.
const PAST: u64 = u64::MAX;

/// A position that may be read at until this is dropped.
pub struct Snapshot {
    id: u64,
    snapshots: Arc<Snapshots>,
    position: Position,
    epoch: u64,
}

impl Snapshots {
    /// Counts truncations.
    pub fn epoch(&self) -> u64 {
        self.epoch.load(Ordering::Acquire)
    }

    /// S1: the lowest live snapshot, or `otherwise` if that is lower.
    pub fn low_water(&self, otherwise: Index) -> Index {
        let mut registry = self.registry.lock();
        let lowest = registry.by_index.first().map_or(otherwise, |(index, _)| (*index).min(otherwise));
        registry.floor = registry.floor.max(lowest);
        lowest
    }

    /// Before any entry above `last` is appended again.
    pub fn truncated(&self, last: Position) {
        let mut registry = self.registry.lock();
        registry.truncations.push(last);
        let lowered = registry.by_index.split_off(&(Index(last.index.0 + 1), 0));
        for (_, id) in lowered {
            registry.by_index.insert((last.index, id));
            registry.live.insert(id, last);
        }
        self.epoch.fetch_add(1, Ordering::AcqRel);
    }

    /// T3: what `position`, known to be in the log at `epoch`, is worth now.
    pub fn lowered(&self, position: Position, epoch: u64) -> Position {
        if epoch == self.epoch() {
            return position;
        }
        let registry = self.registry.lock();
        let since = registry.truncations.iter().skip(epoch as usize);
        since.fold(position, |position, last| if position.index > last.index { *last } else { position })
    }

    /// Live from now on at `position`, which was the last received one at some time after `epoch` was taken.
    pub fn begin(self: &Arc<Self>, position: Position, epoch: u64) -> Result<Snapshot, Behind> {
        let mut registry = self.registry.lock();
        registry.admit(position, epoch)?;
        let id = registry.next_id;
        registry.next_id += 1;
        registry.live.insert(id, position);
        registry.by_index.insert((position.index, id));
        Ok(Snapshot { id, snapshots: self.clone(), position, epoch })
    }

    /// Of an applied entry that the history holds: neither lowered nor renewed, and nobody's low-water mark.
    pub fn past(self: &Arc<Self>, position: Position) -> Snapshot {
        Snapshot { id: PAST, snapshots: self.clone(), position, epoch: self.epoch() }
    }

    /// Live snapshots, for metrics.
    pub fn count(&self) -> usize {
        self.registry.lock().live.len()
    }
}

impl Registry {
    fn admit(&self, position: Position, epoch: u64) -> Result<(), Behind> {
        let truncated = self.truncations.len() as u64 != epoch;
        if truncated || position.index < self.floor { Err(Behind) } else { Ok(()) }
    }
}

impl Snapshot {
    /// Where to read now, and the epoch that this is true in.
    pub fn current(&mut self) -> (Position, u64) {
        let epoch = self.snapshots.epoch();
        if epoch != self.epoch {
            self.position = self.snapshots.lowered(self.position, self.epoch);
            self.epoch = epoch;
        }
        (self.position, self.epoch)
    }

    pub fn position(&mut self) -> Position {
        self.current().0
    }

    /// The position as of now, without taking note.
    pub fn seen(&self) -> Position {
        self.snapshots.lowered(self.position, self.epoch)
    }

    /// Move to a newer position, for the next statement; as `begin`. With `hold`, what was alive stays alive below it: the
    /// transaction has to be certified against everything since, however many statements later (T12).
    pub fn renew(&mut self, position: Position, epoch: u64, hold: bool) -> Result<(), Behind> {
        let mut registry = self.snapshots.registry.lock();
        registry.admit(position, epoch)?;
        let held = *registry.live.get(&self.id).expect("a snapshot is registered while it lives");
        if !hold && held != position {
            registry.live.insert(self.id, position);
            registry.by_index.remove(&(held.index, self.id));
            registry.by_index.insert((position.index, self.id));
        }
        (self.position, self.epoch) = (position, epoch);
        Ok(())
    }

    /// Read where `newer` does, and hold what was held.
    pub fn advance_to(&mut self, newer: Snapshot) {
        (self.position, self.epoch) = (newer.position, newer.epoch);
    }
}

impl Drop for Snapshot {
    fn drop(&mut self) {
        let mut registry = self.snapshots.registry.lock();
        if let Some(position) = registry.live.remove(&self.id) {
            registry.by_index.remove(&(position.index, self.id));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use trivet_log::Term;

    fn at(term: u64, index: u64) -> Position {
        Position { term: Term(term), index: Index(index) }
    }

    #[test]
    fn a_live_snapshot_holds_the_mark_and_a_reported_mark_refuses_older_ones() {
        let snapshots = Arc::new(Snapshots::default());
        let first = snapshots.begin(at(1, 10), 0).expect("nothing reported yet");
        let mut second = snapshots.begin(at(1, 12), 0).expect("nothing reported yet");
        assert_eq!(snapshots.low_water(Index(20)), Index(10));
        drop(first);
        assert_eq!(snapshots.low_water(Index(20)), Index(12));
        second.renew(at(1, 16), 0, true).expect("above the mark");
        assert_eq!((second.position(), snapshots.low_water(Index(20))), (at(1, 16), Index(12)));
        second.renew(at(1, 18), 0, false).expect("above the mark");
        assert_eq!(snapshots.low_water(Index(20)), Index(18));
        assert_eq!(snapshots.begin(at(1, 17), 0).err(), Some(Behind));
        drop(second);
        assert_eq!(snapshots.low_water(Index(20)), Index(20));
        assert_eq!(snapshots.count(), 0);
    }

    #[test]
    fn truncation_lowers_what_is_above_it() {
        let snapshots = Arc::new(Snapshots::default());
        let mut low = snapshots.begin(at(1, 10), 0).expect("nothing reported yet");
        let mut high = snapshots.begin(at(1, 15), 0).expect("nothing reported yet");
        let (_, epoch) = high.current();
        snapshots.truncated(at(1, 12));
        assert_eq!((low.position(), high.position()), (at(1, 10), at(1, 12)));
        assert_ne!(snapshots.epoch(), epoch);
        assert_eq!(snapshots.begin(at(1, 14), epoch).err(), Some(Behind), "published before the truncation");
        assert_eq!(snapshots.lowered(at(1, 14), epoch), at(1, 12));
        assert_eq!(snapshots.lowered(at(2, 14), snapshots.epoch()), at(2, 14));
        drop(low);
        assert_eq!(snapshots.low_water(Index(20)), Index(12));
    }
}
