//! The newest version of keys that are read often, decoded: a hit saves a RocksDB iterator, which costs ten times as much.
//!
//! - R1: an entry is the newest applied version of its key. Whoever applies a newer one takes the entry out before the new
//!   version's index is published as applied (`forget`).
//! - R2: a reader that found a version puts it in only if nobody applied to the key's shard since before it looked
//!   (`Ticket`); else it could put back what `forget` has just taken out.
//! - R3: a snapshot sees an entry that is not above it, for a version between the two would have taken the entry out.
//!
//! Tombstones and keys that are not there are not kept: the filters answer those.
use crate::Version;
use bytes::Bytes;
use parking_lot::Mutex;
use quick_cache::Weighter;
use quick_cache::sync::Cache;
use std::hash::BuildHasher;

const SHARDS: usize = 64;
/// What an entry takes besides its key and value, about.
const ENTRY_OVERHEAD: u64 = 120;

type Entry = (Version, Bytes);

#[derive(Clone)]
struct Bytesize;

impl Weighter<Bytes, Entry> for Bytesize {
    fn weight(&self, key: &Bytes, entry: &Entry) -> u64 {
        ENTRY_OVERHEAD + key.len() as u64 + entry.1.len() as u64
    }
}

pub(crate) struct Recent {
    entries: Option<Cache<Bytes, Entry, Bytesize>>,
    hasher: foldhash::fast::RandomState,
    /// How often keys of the shard were applied. Held while an entry goes in or out.
    shards: [Mutex<u64>; SHARDS],
}

/// What a reader knew of the key's shard before it looked.
pub(crate) struct Ticket {
    shard: usize,
    applied: u64,
}

impl Recent {
    /// Of about so many bytes; 0 keeps nothing.
    pub(crate) fn new(bytes: usize) -> Recent {
        let entries = (bytes > 0).then(|| {
            let items = bytes / 256;
            Cache::with_weighter(items.max(16), bytes as u64, Bytesize)
        });
        let shards = std::array::from_fn(|_| Mutex::new(0));
        Recent { entries, hasher: foldhash::fast::RandomState::default(), shards }
    }

    /// R3. `None`: it has to be looked up.
    pub(crate) fn get(&self, key: &[u8], at: Version) -> Option<(Version, Bytes)> {
        self.entries.as_ref()?.get(key).filter(|(version, _)| *version <= at)
    }

    pub(crate) fn ticket(&self, key: &[u8]) -> Option<Ticket> {
        self.entries.as_ref()?;
        let shard = self.shard(key);
        Some(Ticket { shard, applied: *self.shards[shard].lock() })
    }

    /// What was found to be the key's newest version since the ticket was drawn. R2.
    pub(crate) fn keep(&self, ticket: Ticket, key: &[u8], version: Version, value: &Bytes) {
        let Some(entries) = &self.entries else { return };
        let applied = self.shards[ticket.shard].lock();
        if *applied == ticket.applied {
            entries.insert(Bytes::copy_from_slice(key), (version, value.clone()));
        }
    }

    /// The key has a newer version in the engine. R1.
    pub(crate) fn forget(&self, key: &[u8]) {
        let Some(entries) = &self.entries else { return };
        let mut applied = self.shards[self.shard(key)].lock();
        *applied += 1;
        entries.remove(key);
    }

    /// Whole ranges are gone.
    pub(crate) fn forget_all(&self) {
        let Some(entries) = &self.entries else { return };
        let mut held: Vec<_> = self.shards.iter().map(|shard| shard.lock()).collect();
        held.iter_mut().for_each(|applied| **applied += 1);
        entries.clear();
    }

    fn shard(&self, key: &[u8]) -> usize {
        self.hasher.hash_one(key) as usize % SHARDS
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn value(text: &'static str) -> Bytes {
        Bytes::from_static(text.as_bytes())
    }

    #[test]
    fn a_snapshot_below_the_entry_looks_it_up() {
        let recent = Recent::new(1 << 20);
        recent.keep(recent.ticket(b"a").expect("on"), b"a", 7, &value("seven"));
        assert_eq!(recent.get(b"a", 6), None);
        assert_eq!(recent.get(b"a", 7), Some((7, value("seven"))));
        recent.forget(b"a");
        assert_eq!(recent.get(b"a", 9), None);
    }

    #[test]
    fn what_was_read_before_a_newer_version_came_is_not_kept() {
        let recent = Recent::new(1 << 20);
        for forget in [|recent: &Recent| recent.forget(b"a"), |recent: &Recent| recent.forget_all()] {
            let ticket = recent.ticket(b"a").expect("on");
            forget(&recent);
            recent.keep(ticket, b"a", 7, &value("old"));
            assert_eq!(recent.get(b"a", 9), None);
        }
    }

    #[test]
    fn it_stays_within_its_bytes_and_can_be_off() {
        let recent = Recent::new(64 << 10);
        for number in 0..10_000_u32 {
            let key = number.to_be_bytes();
            recent.keep(recent.ticket(&key).expect("on"), &key, 1, &value("0123456789"));
        }
        let kept = (0..10_000_u32).filter(|number| recent.get(&number.to_be_bytes(), 1).is_some()).count();
        assert!((100..=500).contains(&kept), "{kept} entries of 134 bytes");
        let off = Recent::new(0);
        assert!(off.ticket(b"a").is_none() && off.get(b"a", 1).is_none());
        off.forget(b"a");
        off.forget_all();
    }
}
