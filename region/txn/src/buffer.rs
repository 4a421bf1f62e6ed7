//! A transaction's own writes, locks and positions, with savepoints.
//!
//! One ordered map from key to what this transaction does with it, and an undo log that is written only while a
//! savepoint stands. A key's positions are numbers into a table, since a statement gives thousands of keys the same ones.
//!
//! Invariants
//! - B1 (T2): a key's positions are set once, by whatever touches it first; only a rollback to before that takes them
//!   back, and only a lock that grows from FOR KEY SHARE moves them (`grow`).
//! - B2: an entry is `shipped` if a part has said just this of the key, `ever_shipped` if a part has said anything of it.
//! - B3: while a view is held, `seen` and `seen_in` answer as they would have when it was taken.
use crate::api::{LockStrength, WriteKind};
use crate::record::{Access, KeyAccess};
use crate::snapshots::Snapshots;
use bytes::Bytes;
use std::collections::BTreeMap;
use std::ops::Bound;
use trivet_log::Position;
use trivet_storage::KeyRange;

/// Rough cost of an entry beside its bytes, for `buffered_bytes`.
const ENTRY_OVERHEAD: usize = 160;

#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum Write {
    Put(Bytes, WriteKind),
    Delete,
    /// Rolled back, after a part had shipped it.
    Void,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Positions {
    pub(crate) read_at: PositionId,
    pub(crate) lock_at: PositionId,
    /// As [`KeyAccess::key_at`].
    pub(crate) key_at: Option<PositionId>,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct PositionId(u32);

/// Of what was written before the first snapshot: that snapshot.
const FIRST: PositionId = PositionId(u32::MAX);

impl Positions {
    pub(crate) const FIRST: Positions = Positions::all(FIRST);

    pub(crate) const fn all(at: PositionId) -> Positions {
        Positions { read_at: at, lock_at: at, key_at: None }
    }
}

#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct BufferEntry {
    pub(crate) write: Option<Write>,
    pub(crate) lock: Option<LockStrength>,
    pub(crate) positions: Positions,
    shipped: bool,
    ever_shipped: bool,
}

enum Undo {
    /// The key was not in the buffer.
    Fresh(Bytes),
    Changed(Bytes, Box<BufferEntry>),
    /// The lock table held this much of it.
    Locked(Bytes, Option<LockStrength>),
}

#[derive(Default)]
pub(crate) struct Buffer {
    entries: BTreeMap<Bytes, BufferEntry>,
    /// Where the first snapshot was taken: what was written before it relied on nothing.
    first: (Position, u64),
    /// Each with the epoch in which it was in the log (T3).
    positions: Vec<(Position, u64)>,
    undo: Vec<Undo>,
    /// (id, length of the undo log then), ascending.
    savepoints: Vec<(u64, usize)>,
    next_savepoint: u64,
    bytes: usize,
    writes: usize,
    /// Keys with something that no part has said, in order of arrival, some of them twice or gone.
    unshipped: Vec<Bytes>,
    unshipped_bytes: usize,
    /// B3: what each key that changed since held when the view was taken; `None`: nothing of ours.
    view: Option<BTreeMap<Bytes, Option<Write>>>,
}

impl Buffer {
    /// From now on `seen` and `seen_in` do not change, until `release_view`.
    pub(crate) fn hold_view(&mut self) {
        self.view.get_or_insert_default();
    }

    pub(crate) fn holds_view(&self) -> bool {
        self.view.as_ref().is_some_and(|view| !view.is_empty())
    }

    pub(crate) fn release_view(&mut self) {
        self.view = None;
    }

    /// What a reader of this statement sees of the key: as `own`, or what the view holds of it.
    pub(crate) fn seen(&self, key: &[u8]) -> Option<Option<Bytes>> {
        match self.view.as_ref().and_then(|view| view.get(key)) {
            None => self.own(key),
            Some(held) => held.as_ref().and_then(written),
        }
    }

    /// What a reader of this statement sees of own writes in the range, in key order.
    pub(crate) fn seen_in(&self, range: &KeyRange) -> Vec<(&Bytes, Option<&Bytes>)> {
        let Some(view) = self.view.as_ref().filter(|view| !view.is_empty()) else {
            return self.writes_in(range).collect();
        };
        if !range.end.is_empty() && range.start >= range.end {
            return Vec::new();
        }
        let above = if range.end.is_empty() { Bound::Unbounded } else { Bound::Excluded(&range.end[..]) };
        let inside = view.range::<[u8], _>((Bound::Included(&range.start[..]), above));
        let held = inside.filter_map(|(key, write)| match write.as_ref()? {
            Write::Put(value, _) => Some((key, Some(value))),
            Write::Delete => Some((key, None)),
            Write::Void => None,
        });
        let mut seen: Vec<_> = self.writes_in(range).filter(|(key, _)| !view.contains_key(*key)).chain(held).collect();
        seen.sort_unstable_by_key(|(key, _)| *key);
        seen
    }

    /// A key that this transaction relies on.
    pub(crate) fn entry(&self, key: &[u8]) -> Option<&BufferEntry> {
        self.entries.get(key).filter(|entry| entry.write != Some(Write::Void))
    }

    /// What this transaction made of the key: `None` = nothing, `Some(None)` = deleted.
    pub(crate) fn own(&self, key: &[u8]) -> Option<Option<Bytes>> {
        written(self.entries.get(key)?.write.as_ref()?)
    }

    /// Own writes in the range, in key order.
    pub(crate) fn writes_in(&self, range: &KeyRange) -> impl DoubleEndedIterator<Item = (&Bytes, Option<&Bytes>)> {
        let above = if range.end.is_empty() { Bound::Unbounded } else { Bound::Excluded(&range.end[..]) };
        let empty = !range.end.is_empty() && range.start >= range.end;
        let found = (!empty).then(|| self.entries.range::<[u8], _>((Bound::Included(&range.start[..]), above)));
        found.into_iter().flatten().filter_map(|(key, entry)| match entry.write.as_ref()? {
            Write::Put(value, _) => Some((key, Some(value))),
            Write::Delete => Some((key, None)),
            Write::Void => None,
        })
    }

    pub(crate) fn position(&mut self, position: Position, epoch: u64) -> PositionId {
        let known = self.positions.iter().rev().take(4).position(|known| *known == (position, epoch));
        let id = match known {
            Some(back) => self.positions.len() - 1 - back,
            None => {
                self.positions.push((position, epoch));
                self.positions.len() - 1
            }
        };
        PositionId(u32::try_from(id).expect("fewer statements than 2^32"))
    }

    /// The first snapshot has been taken.
    pub(crate) fn begun(&mut self, position: Position, epoch: u64) {
        self.first = (position, epoch);
    }

    /// What a position is worth now (T3).
    pub(crate) fn current(&self, id: PositionId, snapshots: &Snapshots) -> Position {
        let (position, epoch) = if id == FIRST { self.first } else { self.positions[id.0 as usize] };
        snapshots.lowered(position, epoch)
    }

    /// Note a lock that the lock table has granted: `before` is what it held until then.
    pub(crate) fn note_lock(&mut self, key: &[u8], before: Option<LockStrength>) {
        if !self.savepoints.is_empty() {
            self.undo.push(Undo::Locked(Bytes::copy_from_slice(key), before));
        }
    }

    /// A key that was only locked FOR KEY SHARE is locked more strongly, on a newer version (T2): that it is still the
    /// same row stays relied on since the first lock.
    pub(crate) fn grow(&mut self, key: &[u8], strength: LockStrength, at: PositionId) {
        let before = self.entry(key).expect("the caller has looked").positions;
        let key_at = Some(before.key_at.unwrap_or(before.read_at));
        self.replace(Bytes::copy_from_slice(key), None, Some(strength), Positions { key_at, ..Positions::all(at) });
    }

    /// B1: the key is relied on from these positions on, unless it was already.
    pub(crate) fn lock(&mut self, key: &[u8], strength: LockStrength, positions: Positions) {
        match self.entry(key) {
            Some(entry) if entry.lock >= Some(strength) => {}
            Some(entry) => {
                let (write, positions) = (entry.write.clone(), entry.positions);
                self.replace(Bytes::copy_from_slice(key), write, Some(strength), positions);
            }
            None => self.replace(Bytes::copy_from_slice(key), None, Some(strength), positions),
        }
    }

    /// B1: `positions` are for a key that was not touched before.
    pub(crate) fn write(&mut self, key: Bytes, write: Write, positions: Positions) {
        let known = self.entry(&key);
        let write = match (write, known.and_then(|entry| entry.write.as_ref())) {
            // What was deleted or rewritten under a new key stays of UPDATE strength.
            (Write::Put(value, _), Some(Write::Delete | Write::Put(_, WriteKind::Update))) => {
                Write::Put(value, WriteKind::Update)
            }
            (write, _) => write,
        };
        let (lock, positions) = known.map_or((None, positions), |entry| (entry.lock, entry.positions));
        self.replace(key, Some(write), lock, positions);
    }

    fn replace(&mut self, key: Bytes, write: Option<Write>, lock: Option<LockStrength>, positions: Positions) {
        let before = self.entries.remove(&key);
        if let Some(before) = &before {
            self.forget(&key, before);
        }
        if let Some(view) = self.view.as_mut().filter(|view| !view.contains_key(&key)) {
            view.insert(key.clone(), before.as_ref().and_then(|before| before.write.clone()));
        }
        let ever_shipped = before.as_ref().is_some_and(|before| before.ever_shipped);
        self.insert(key.clone(), BufferEntry { write, lock, positions, shipped: false, ever_shipped });
        if !self.savepoints.is_empty() {
            self.undo.push(match before {
                None => Undo::Fresh(key),
                Some(before) => Undo::Changed(key, Box::new(before)),
            });
        }
    }

    fn insert(&mut self, key: Bytes, entry: BufferEntry) {
        let cost = cost(&key, &entry);
        self.bytes += cost;
        self.writes += usize::from(entry.writes());
        self.unshipped_bytes += cost;
        self.unshipped.push(key.clone());
        self.entries.insert(key, entry);
    }

    fn forget(&mut self, key: &Bytes, entry: &BufferEntry) {
        self.bytes -= cost(key, entry);
        self.writes -= usize::from(entry.writes());
    }

    pub(crate) fn savepoint(&mut self) -> u64 {
        self.next_savepoint += 1;
        self.savepoints.push((self.next_savepoint, self.undo.len()));
        self.next_savepoint
    }

    /// Forget a savepoint and all after it; what was done since stays.
    pub(crate) fn release(&mut self, id: u64) {
        self.savepoints.retain(|(known, _)| *known < id);
        if self.savepoints.is_empty() {
            self.undo.clear();
        }
    }

    /// Undo everything since the savepoint, which stays. Calls back for each lock to be given back.
    pub(crate) fn rollback_to(&mut self, id: u64, mut unlock: impl FnMut(&[u8], Option<LockStrength>)) {
        let Some(at) = self.savepoints.iter().position(|(known, _)| *known == id) else { return };
        let length = self.savepoints[at].1;
        self.savepoints.truncate(at + 1);
        self.view = None;
        while self.undo.len() > length {
            match self.undo.pop().expect("longer than the savepoint's") {
                Undo::Locked(key, before) => unlock(&key, before),
                Undo::Fresh(key) => {
                    let now = self.entries.remove(&key).expect("undone in reverse order");
                    self.forget(&key, &now);
                    if now.ever_shipped {
                        self.insert(key, BufferEntry { write: Some(Write::Void), lock: None, shipped: false, ..now });
                    }
                }
                Undo::Changed(key, before) => {
                    let now = self.entries.remove(&key).expect("undone in reverse order");
                    self.forget(&key, &now);
                    self.insert(key, BufferEntry { shipped: false, ever_shipped: now.ever_shipped, ..*before });
                }
            }
        }
    }

    pub(crate) fn bytes(&self) -> usize {
        self.bytes
    }
    /// Bytes that no part has taken along.
    pub(crate) fn unshipped_bytes(&self) -> usize {
        self.unshipped_bytes
    }
    pub(crate) fn has_writes(&self) -> bool {
        self.writes > 0
    }
    pub(crate) fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// Everything that no part has said, in key order.
    pub(crate) fn rest(&self, snapshots: &Snapshots) -> Vec<KeyAccess> {
        let unshipped = self.entries.iter().filter(|(_, entry)| !entry.shipped);
        unshipped.map(|(key, entry)| self.access(key, entry, snapshots)).collect()
    }

    /// Take about `bytes` of what no part has said, for the next part, in key order.
    pub(crate) fn ship(&mut self, bytes: usize, snapshots: &Snapshots) -> Vec<KeyAccess> {
        let mut taken = 0;
        let mut keys = Vec::new();
        let mut queue = std::mem::take(&mut self.unshipped).into_iter();
        while taken < bytes {
            let Some(key) = queue.next() else { break };
            let Some(entry) = self.entries.get_mut(&key) else { continue };
            if !entry.shipped {
                (entry.shipped, entry.ever_shipped) = (true, true);
                taken += cost(&key, entry);
                keys.push(key);
            }
        }
        self.unshipped = queue.collect();
        self.unshipped_bytes = if self.unshipped.is_empty() { 0 } else { self.unshipped_bytes.saturating_sub(taken) };
        keys.sort_unstable();
        keys.iter().map(|key| self.access(key, &self.entries[key], snapshots)).collect()
    }

    fn access(&self, key: &Bytes, entry: &BufferEntry, snapshots: &Snapshots) -> KeyAccess {
        let access = match (&entry.write, entry.lock) {
            (Some(Write::Put(value, kind)), lock) => {
                let strongest = lock == Some(LockStrength::Update);
                Access::Put { value: value.clone(), kind: if strongest { WriteKind::Update } else { *kind } }
            }
            (Some(Write::Delete), _) => Access::Delete,
            (None, Some(strength)) => Access::Guard(strength),
            (Some(Write::Void), _) | (None, None) => Access::Void,
        };
        let read_at = self.current(entry.positions.read_at, snapshots);
        let lock_at = self.current(entry.positions.lock_at, snapshots);
        let key_at = entry.positions.key_at.map(|id| self.current(id, snapshots));
        KeyAccess { key: key.clone(), access, read_at, lock_at, key_at }
    }
}

impl BufferEntry {
    fn writes(&self) -> bool {
        matches!(self.write, Some(Write::Put(..) | Write::Delete))
    }
}

fn written(write: &Write) -> Option<Option<Bytes>> {
    match write {
        Write::Put(value, _) => Some(Some(value.clone())),
        Write::Delete => Some(None),
        Write::Void => None,
    }
}

fn cost(key: &Bytes, entry: &BufferEntry) -> usize {
    let value = if let Some(Write::Put(value, _)) = &entry.write { value.len() } else { 0 };
    ENTRY_OVERHEAD + key.len() + value
}

#[cfg(test)]
mod tests;
