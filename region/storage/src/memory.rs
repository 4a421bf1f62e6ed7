//! The in-memory twin of the storage engine: a map from key to its versions, for tests and the simulator.
//!
//! Same answers as the real engine, one lock, no C++. `flush` only remembers that it was called, unless the store was
//! made by [`MemoryStore::crashable`]: then it keeps a copy of everything, to which `crash` returns.
use crate::store::*;
use bytes::Bytes;
use parking_lot::RwLock;
use std::collections::BTreeMap;
use std::ops::Bound;

#[derive(Debug, Default)]
pub struct MemoryStore {
    state: RwLock<State>,
}

#[derive(Clone, Debug, Default)]
struct State {
    content: Content,
    /// What a crash returns to; `None` in a store that cannot crash.
    durable: Option<Box<Content>>,
    flushed: Version,
    /// Where the next slice of collection begins.
    cursor: Bytes,
}

#[derive(Clone, Debug, Default)]
struct Content {
    /// Versions ascend.
    data: BTreeMap<Bytes, Vec<(Version, Option<Bytes>)>>,
    local: BTreeMap<Bytes, Bytes>,
    applied: Version,
    horizon: Version,
}

impl MemoryStore {
    pub fn new() -> MemoryStore {
        MemoryStore::default()
    }

    /// A store that pays for a copy at each flush, and can lose what came after.
    pub fn crashable() -> MemoryStore {
        let state = State { durable: Some(Box::default()), ..State::default() };
        MemoryStore { state: RwLock::new(state) }
    }

    /// Back to the last flush, as a restart after a crash would find it.
    pub fn crash(&self) {
        let mut state = self.state.write();
        let durable = state.durable.as_ref().expect("only a crashable store is asked to crash");
        state.content = (**durable).clone();
        state.flushed = state.content.applied;
        state.cursor = Bytes::new();
    }

    /// About what keys and values take, of all versions.
    pub fn stored_bytes(&self) -> usize {
        let size = |value: &Option<Bytes>| size_of::<(Version, Option<Bytes>)>() + value.as_ref().map_or(0, Bytes::len);
        let state = self.state.read();
        let of_key = |(key, versions): (&Bytes, &Vec<(Version, Option<Bytes>)>)| {
            key.len() + versions.iter().map(|(_, value)| size(value)).sum::<usize>()
        };
        state.content.data.iter().map(of_key).sum()
    }

    /// How many versions are stored, tombstones included.
    pub fn version_count(&self) -> usize {
        self.state.read().content.data.values().map(Vec::len).sum()
    }
}

impl Content {
    fn check(&self, at: Version) -> Result<(), StoreError> {
        if at < self.horizon {
            return Err(StoreError::SnapshotTooOld { at, horizon: self.horizon });
        }
        Ok(())
    }
}

/// The newest version at or below `at`.
fn visible(versions: &[(Version, Option<Bytes>)], at: Version) -> Option<&(Version, Option<Bytes>)> {
    versions[..versions.partition_point(|(version, _)| *version <= at)].last()
}

/// `None` for a range that holds no key: `BTreeMap::range` does not take those.
fn bounds(range: &KeyRange) -> Option<(Bound<Bytes>, Bound<Bytes>)> {
    if range.is_empty() {
        return None;
    }
    let end = if range.end.is_empty() { Bound::Unbounded } else { Bound::Excluded(range.end.clone()) };
    Some((Bound::Included(range.start.clone()), end))
}

fn keys_of<V>(map: &BTreeMap<Bytes, V>, range: &KeyRange) -> Vec<Bytes> {
    bounds(range).map_or_else(Vec::new, |bounds| map.range(bounds).map(|(key, _)| key.clone()).collect())
}

impl Store for MemoryStore {
    fn newest(&self, key: &[u8], at: Version) -> Result<Option<(Version, Option<Bytes>)>, StoreError> {
        let state = self.state.read();
        state.content.check(at)?;
        Ok(state.content.data.get(key).and_then(|versions| visible(versions, at)).cloned())
    }

    fn scan(&self, range: &KeyRange, at: Version, reverse: bool, limit: usize) -> Result<Vec<Row>, StoreError> {
        let state = self.state.read();
        state.content.check(at)?;
        let Some(bounds) = bounds(range) else { return Ok(Vec::new()) };
        let live = |(key, versions): (&Bytes, &Vec<(Version, Option<Bytes>)>)| {
            let (version, value) = visible(versions, at)?;
            Some(Row { key: key.clone(), version: *version, value: value.clone()? })
        };
        let rows = state.content.data.range(bounds);
        Ok(if reverse {
            rows.rev().filter_map(live).take(limit).collect()
        } else {
            rows.filter_map(live).take(limit).collect()
        })
    }

    fn stored_bytes(&self, range: &KeyRange) -> u64 {
        let state = self.state.read();
        let Some(bounds) = bounds(range) else { return 0 };
        let size = |(key, versions): (&Bytes, &Vec<(Version, Option<Bytes>)>)| {
            key.len() + versions.iter().map(|(_, value)| 8 + value.as_ref().map_or(0, Bytes::len)).sum::<usize>()
        };
        state.content.data.range(bounds).map(size).sum::<usize>() as u64
    }

    fn apply(&self, batch: Batch) -> Result<(), StoreError> {
        let mut state = self.state.write();
        let content = &mut state.content;
        for (key, version, value) in batch.writes {
            let versions = content.data.entry(key).or_default();
            match versions.binary_search_by_key(&version, |(version, _)| *version) {
                Ok(at) => versions[at].1 = value,
                Err(at) => versions.insert(at, (version, value)),
            }
        }
        for range in &batch.local_ranges {
            for key in keys_of(&content.local, range) {
                content.local.remove(&key);
            }
        }
        for (key, value) in batch.local {
            match value {
                Some(value) => content.local.insert(key, value),
                None => content.local.remove(&key),
            };
        }
        if let Some(applied) = batch.applied {
            content.applied = applied;
        }
        Ok(())
    }

    fn applied(&self) -> Version {
        self.state.read().content.applied
    }

    fn flushed(&self) -> Version {
        self.state.read().flushed
    }

    fn flush(&self) -> Result<(), StoreError> {
        let mut guard = self.state.write();
        let state = &mut *guard;
        if let Some(durable) = &mut state.durable {
            **durable = state.content.clone();
        }
        state.flushed = state.content.applied;
        Ok(())
    }

    fn local(&self, key: &[u8]) -> Result<Option<Bytes>, StoreError> {
        Ok(self.state.read().content.local.get(key).cloned())
    }

    fn local_scan(&self, range: &KeyRange, limit: usize) -> Result<Vec<(Bytes, Bytes)>, StoreError> {
        let state = self.state.read();
        let Some(bounds) = bounds(range) else { return Ok(Vec::new()) };
        Ok(state.content.local.range(bounds).take(limit).map(|(key, value)| (key.clone(), value.clone())).collect())
    }

    fn set_horizon(&self, horizon: Version) {
        let content = &mut self.state.write().content;
        content.horizon = content.horizon.max(horizon);
    }

    fn horizon(&self) -> Version {
        self.state.read().content.horizon
    }

    fn collect(&self, budget: usize) -> Result<Collected, StoreError> {
        let mut guard = self.state.write();
        let state = &mut *guard;
        let horizon = state.content.horizon;
        let mut collected = Collected { pass_ended: true, ..Collected::default() };
        let mut emptied = Vec::new();
        let from = Bound::Included(std::mem::take(&mut state.cursor));
        for (key, versions) in state.content.data.range_mut::<Bytes, _>((from, Bound::Unbounded)) {
            if collected.examined >= budget.max(1) {
                state.cursor = key.clone();
                collected.pass_ended = false;
                break;
            }
            collected.examined += versions.len();
            let below = versions.partition_point(|(version, _)| *version <= horizon);
            let Some((_, newest)) = versions[..below].last() else { continue };
            // T11: what the newest one at or below the horizon hides goes; a tombstone there goes with it.
            let dropped = if newest.is_none() { below } else { below - 1 };
            versions.drain(..dropped);
            collected.dropped += dropped;
            if versions.is_empty() {
                emptied.push(key.clone());
            }
        }
        for key in emptied {
            state.content.data.remove(&key);
        }
        Ok(collected)
    }

    fn drop_range(&self, range: &KeyRange) -> Result<(), StoreError> {
        let content = &mut self.state.write().content;
        for key in keys_of(&content.data, range) {
            content.data.remove(&key);
        }
        Ok(())
    }
}
