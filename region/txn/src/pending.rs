//! Keys that somebody is writing: in the log and not yet in the store, or still being written to it in the background.
//!
//! A reader at snapshot `s` may use the store for a key only if no entry at or below `s` that writes the key is here.
//! Otherwise it waits for that entry to be applied or truncated; entries above `s` never hold it up, so it waits at
//! most once for what was there when it began.
//!
//! ```text
//!   core thread    received(e) ---> insert          truncated(c) ---> drop above c, wake
//!   applier                          store.apply(e) ---> applied(e) ---> drop, wake
//!   reader         look here ---> nothing at or below s ---> then open the store   (T10: never the other way round)
//! ```
//!
//! Invariants
//! - P1: an entry's keys are here before any acknowledgement of it can leave (T7), and until the store has it.
//! - P2: nothing here reads a disk or waits for anything while the mutex is held.
//!
//! A *gate* stands for work that goes on after its entry counts as applied: the writes of a large transaction, the
//! filling of an index. It is passed by readers below its version and waited for by all others.
use crate::keyset::{KeySet, overlap};
use bytes::Bytes;
use parking_lot::Mutex;
use smallvec::{SmallVec, smallvec};
use std::collections::{BTreeMap, VecDeque};
use std::ops::Bound;
use std::sync::Arc;
use tokio::sync::oneshot;
use trivet_log::Index;
use trivet_storage::KeyRange;

#[derive(Default)]
pub struct PendingIndex {
    inner: Mutex<Inner>,
}

#[derive(Default)]
struct Inner {
    /// Writers of each key, ascending.
    points: BTreeMap<Bytes, SmallVec<[Index; 2]>>,
    entries: VecDeque<PendingEntry>,
    /// Large transactions whose final is in the log and not yet applied; at most a few.
    large: Vec<(Index, Arc<KeySet>)>,
    gates: Vec<Gate>,
    waiters: BTreeMap<Index, Vec<oneshot::Sender<()>>>,
}

struct PendingEntry {
    index: Index,
    keys: Box<[Bytes]>,
}

struct Gate {
    version: Index,
    ranges: Vec<KeyRange>,
    /// The exact keys, if they are known.
    keys: Option<Arc<KeySet>>,
}

/// What a reader is about to look at.
#[derive(Clone, Copy, Debug)]
pub enum Wanted<'a> {
    Key(&'a [u8]),
    Keys(&'a [Bytes]),
    Range(&'a KeyRange),
}

impl PendingIndex {
    /// P1. `keys` are those that the entry writes.
    pub fn insert(&self, index: Index, keys: impl ExactSizeIterator<Item = Bytes>, large: Option<Arc<KeySet>>) {
        let keys: Box<[Bytes]> = keys.collect();
        let mut inner = self.inner.lock();
        for key in &keys {
            match inner.points.get_mut(key) {
                Some(writers) => writers.push(index),
                // A copy: a slice of the record would keep the whole record alive.
                None => drop(inner.points.insert(Bytes::copy_from_slice(key), smallvec![index])),
            }
        }
        if let Some(large) = large {
            inner.large.push((index, large));
        }
        if !keys.is_empty() {
            inner.entries.push_back(PendingEntry { index, keys });
        }
    }

    /// The store has everything up to `index`, except what gates stand for.
    pub fn applied(&self, index: Index) {
        let mut inner = self.inner.lock();
        while inner.entries.front().is_some_and(|entry| entry.index <= index) {
            let entry = inner.entries.pop_front().expect("just looked at");
            inner.remove(&entry);
        }
        inner.large.retain(|(at, _)| *at > index);
        let Inner { waiters, gates, .. } = &mut *inner;
        let still_above = waiters.split_off(&Index(index.0 + 1));
        let reached = std::mem::replace(waiters, still_above);
        for (at, woken) in reached {
            if gates.iter().any(|gate| gate.version == at) {
                waiters.insert(at, woken);
            } else {
                wake(woken);
            }
        }
    }

    /// Every entry above `last` is gone.
    pub fn truncated(&self, last: Index) {
        let mut inner = self.inner.lock();
        while inner.entries.back().is_some_and(|entry| entry.index > last) {
            let entry = inner.entries.pop_back().expect("just looked at");
            inner.remove(&entry);
        }
        inner.large.retain(|(at, _)| *at <= last);
        inner.waiters.split_off(&Index(last.0 + 1)).into_values().for_each(wake);
    }

    /// Before `applied(version)`: work that outlives it.
    pub fn open_gate(&self, version: Index, ranges: Vec<KeyRange>, keys: Option<Arc<KeySet>>) {
        self.inner.lock().gates.push(Gate { version, ranges, keys });
    }

    /// One piece of work at `version` is done.
    pub fn close_gate(&self, version: Index) {
        let mut inner = self.inner.lock();
        if let Some(at) = inner.gates.iter().position(|gate| gate.version == version) {
            inner.gates.remove(at);
        }
        if !inner.gates.iter().any(|gate| gate.version == version) {
            inner.waiters.remove(&version).into_iter().for_each(wake);
        }
    }

    /// The key set of a large transaction that has not been applied yet, to be its gate's.
    pub fn large(&self, index: Index) -> Option<Arc<KeySet>> {
        self.inner.lock().large.iter().find(|(at, _)| *at == index).map(|(_, keys)| keys.clone())
    }

    /// `None`: the store has all that `snapshot` may see of this. Else wait, and ask again.
    pub fn blocker(&self, wanted: Wanted<'_>, snapshot: Index) -> Option<oneshot::Receiver<()>> {
        let mut inner = self.inner.lock();
        let at = match wanted {
            Wanted::Key(key) => inner.writer_of(key, snapshot),
            Wanted::Keys(keys) => keys.iter().filter_map(|key| inner.writer_of(key, snapshot)).max(),
            Wanted::Range(range) => inner.writer_in(range, snapshot),
        }?;
        let (sender, receiver) = oneshot::channel();
        let waiting = inner.waiters.entry(at).or_default();
        waiting.retain(|waiter| !waiter.is_closed());
        waiting.push(sender);
        Some(receiver)
    }

    /// Entries with keys that are not in the store yet.
    pub fn depth(&self) -> usize {
        self.inner.lock().entries.len()
    }
}

impl Inner {
    /// The newest entry at or below `snapshot` that writes this key and is not in the store.
    fn writer_of(&self, key: &[u8], snapshot: Index) -> Option<Index> {
        let point = self.points.get(key).and_then(|writers| newest(writers, snapshot));
        if self.large.is_empty() && self.gates.is_empty() {
            return point;
        }
        let large = self.large.iter().filter(|(at, keys)| *at <= snapshot && keys.writes(key)).map(|(at, _)| *at);
        let gates = self.gates.iter().filter(|gate| gate.version <= snapshot && gate.holds_key(key)).map(|g| g.version);
        point.into_iter().chain(large).chain(gates).max()
    }

    fn writer_in(&self, range: &KeyRange, snapshot: Index) -> Option<Index> {
        let above = if range.end.is_empty() { Bound::Unbounded } else { Bound::Excluded(&range.end[..]) };
        let empty = !range.end.is_empty() && range.start >= range.end;
        let points = (!empty).then(|| self.points.range::<[u8], _>((Bound::Included(&range.start[..]), above)));
        let points = points.into_iter().flatten().filter_map(|(_, writers)| newest(writers, snapshot));
        let large = self.large.iter().filter(|(at, keys)| *at <= snapshot && keys.overlaps(range)).map(|(at, _)| *at);
        let gates =
            self.gates.iter().filter(|gate| gate.version <= snapshot && gate.holds_range(range)).map(|g| g.version);
        points.chain(large).chain(gates).max()
    }

    fn remove(&mut self, entry: &PendingEntry) {
        for key in &entry.keys {
            if let Some(writers) = self.points.get_mut(key) {
                writers.retain(|at| *at != entry.index);
                if writers.is_empty() {
                    self.points.remove(key);
                }
            }
        }
    }
}

impl Gate {
    fn holds_key(&self, key: &[u8]) -> bool {
        self.ranges.iter().any(|range| range.contains(key)) && self.keys.as_ref().is_none_or(|keys| keys.writes(key))
    }
    fn holds_range(&self, wanted: &KeyRange) -> bool {
        self.ranges.iter().any(|range| overlap(range, wanted))
    }
}

fn newest(writers: &[Index], snapshot: Index) -> Option<Index> {
    writers.iter().rev().find(|at| **at <= snapshot).copied()
}

fn wake(waiters: Vec<oneshot::Sender<()>>) {
    for waiter in waiters {
        // One that is gone has been dropped, or was told already.
        let _ = waiter.send(());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(name: &'static str) -> Bytes {
        Bytes::from_static(name.as_bytes())
    }
    fn range(start: &'static str, end: &'static str) -> KeyRange {
        KeyRange { start: key(start), end: key(end) }
    }
    fn insert(pending: &PendingIndex, index: u64, keys: &[&'static str]) {
        pending.insert(Index(index), keys.iter().map(|k| key(k)), None);
    }
    fn is_woken(waiter: &mut oneshot::Receiver<()>) -> bool {
        waiter.try_recv().is_ok()
    }

    #[test]
    fn a_reader_waits_only_for_its_keys_at_or_below_its_snapshot() {
        let pending = PendingIndex::default();
        insert(&pending, 5, &["b", "d"]);
        insert(&pending, 7, &["b"]);
        assert!(pending.blocker(Wanted::Key(b"a"), Index(9)).is_none());
        assert!(pending.blocker(Wanted::Key(b"b"), Index(4)).is_none(), "below");
        assert!(pending.blocker(Wanted::Range(&range("c", "d")), Index(9)).is_none(), "ends before d");
        let mut at_5 = pending.blocker(Wanted::Key(b"b"), Index(6)).expect("5 writes b");
        let mut at_7 = pending.blocker(Wanted::Range(&range("a", "")), Index(9)).expect("7 writes b");
        pending.applied(Index(5));
        assert!(is_woken(&mut at_5) && !is_woken(&mut at_7));
        assert!(pending.blocker(Wanted::Key(b"b"), Index(6)).is_none());
        pending.truncated(Index(6));
        assert!(is_woken(&mut at_7), "truncated");
        assert_eq!(pending.depth(), 0);
        assert!(pending.inner.lock().points.is_empty() && pending.inner.lock().waiters.is_empty());
    }

    #[test]
    fn a_gate_holds_readers_at_or_above_its_version_until_it_closes() {
        let pending = PendingIndex::default();
        insert(&pending, 3, &["catalog"]);
        pending.open_gate(Index(3), vec![range("i", "j")], None);
        let mut waiting = pending.blocker(Wanted::Key(b"i/1"), Index(3)).expect("the index is being filled");
        assert!(pending.blocker(Wanted::Key(b"i/1"), Index(2)).is_none(), "a snapshot from before the index");
        pending.applied(Index(3));
        assert!(!is_woken(&mut waiting), "applied, and still being filled");
        assert!(pending.blocker(Wanted::Key(b"catalog"), Index(3)).is_none());
        pending.close_gate(Index(3));
        assert!(is_woken(&mut waiting));
        assert!(pending.blocker(Wanted::Range(&range("a", "z")), Index(9)).is_none());
    }

    #[test]
    fn a_large_transaction_holds_its_keys_exactly_and_its_ranges_as_a_whole() {
        let pending = PendingIndex::default();
        let mut keys = KeySet::default();
        keys.add_range(&range("m", "n"));
        let mark = crate::record::Mark { strength: crate::api::LockStrength::Update, writes: true };
        keys.add(crate::keyset::fingerprint(b"m1"), mark);
        pending.insert(Index(4), std::iter::empty(), Some(Arc::new(keys)));
        assert!(pending.blocker(Wanted::Key(b"m1"), Index(4)).is_some());
        assert!(pending.blocker(Wanted::Key(b"m2"), Index(4)).is_none());
        assert!(pending.blocker(Wanted::Range(&range("m2", "m3")), Index(4)).is_some());
        pending.truncated(Index(3));
        assert!(pending.blocker(Wanted::Key(b"m1"), Index(4)).is_none());
    }
}
