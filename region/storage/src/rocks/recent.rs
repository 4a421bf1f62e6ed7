//! The newest version of keys that are read often, decoded: a hit saves a RocksDB iterator, which costs ten times as much.
//!
//! - R1: an entry is the newest applied version of its key. Whoever applies a newer one changes the entry before the new
//!   version's index is published as applied (`applied`).
//! - R2: a reader that found a version puts it in only if nobody applied to the key's shard since before it looked
//!   (`Ticket`); else it could put back what `applied` has just changed.
//! - R3: a snapshot sees an entry that is not above it, for a version between the two would have changed the entry.
//! - R4: what is applied goes in unread only if no version above it was ever applied, so that it is its key's newest.
//!
//! What is written is soon read, so it goes in while there is room; reads push out what was not read. Tombstones and keys
//! that are not there are not kept: the filters answer those.
use crate::{KeyRange, Version};
use bytes::Bytes;
use parking_lot::Mutex;
use quick_cache::Weighter;
use quick_cache::sync::Cache;
use smallvec::SmallVec;
use std::hash::BuildHasher;
use std::sync::atomic::{AtomicU64, Ordering};

const SHARDS: usize = 64;
/// What an entry takes besides its value and a key that is not inline, about.
const ENTRY_OVERHEAD: u64 = 112;

/// Keys of rows, and most of index entries, are inline: a lookup misses the processor's caches once less.
type Key = SmallVec<[u8; 24]>;
type Entry = (Version, Bytes);

fn weight(key: &[u8], value: &[u8]) -> u64 {
    let key = if key.len() <= Key::default().inline_size() { 0 } else { key.len() };
    ENTRY_OVERHEAD + (key + value.len()) as u64
}

#[derive(Clone)]
struct Bytesize;

impl Weighter<Key, Entry> for Bytesize {
    fn weight(&self, key: &Key, entry: &Entry) -> u64 {
        weight(key, &entry.1)
    }
}

pub(crate) struct Recent {
    entries: Option<Cache<Key, Entry, Bytesize>>,
    hasher: foldhash::fast::RandomState,
    /// How often keys of the shard were applied. Held while an entry goes in or out.
    shards: [Mutex<u64>; SHARDS],
    /// The highest version that was ever applied. R4.
    highest: AtomicU64,
}

/// What a reader knew of the key's shard before it looked.
pub(crate) struct Ticket {
    shard: usize,
    applied: u64,
}

impl Recent {
    /// Of about so many bytes; 0 keeps nothing. The engine holds versions up to `highest`.
    pub(crate) fn new(bytes: usize, highest: Version) -> Recent {
        let entries = (bytes > 0).then(|| {
            let items = bytes / 192;
            Cache::with_weighter(items.max(16), bytes as u64, Bytesize)
        });
        let shards = std::array::from_fn(|_| Mutex::new(0));
        Recent { entries, hasher: foldhash::fast::RandomState::default(), shards, highest: AtomicU64::new(highest) }
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
            entries.insert(Key::from_slice(key), (version, value.clone()));
        }
    }

    /// The engine has these now; one caller at a time. R1.
    pub(crate) fn applied<'w>(&self, writes: impl Iterator<Item = (&'w [u8], Version, Option<&'w [u8]>)>) {
        let Some(entries) = &self.entries else { return };
        let mut highest = self.highest.load(Ordering::Relaxed);
        // The cache's shards fill unevenly: short of the whole, so that hardly anything is pushed out.
        let mut room = (entries.capacity() / 8 * 7).saturating_sub(entries.weight());
        for (key, version, value) in writes {
            let is_newest = version >= highest;
            highest = highest.max(version);
            let mut applied = self.shards[self.shard(key)].lock();
            *applied += 1;
            let known = entries.peek(key).map(|(known, _)| known);
            if known.is_some_and(|known| known > version) {
                continue;
            }
            let Some(value) = value else {
                entries.remove(key);
                continue;
            };
            if known.is_none() {
                let weight = weight(key, value);
                if !is_newest || room < weight {
                    continue;
                }
                room -= weight;
            }
            // Copies: a slice would keep the whole record that it came in.
            entries.insert(Key::from_slice(key), (version, Bytes::copy_from_slice(value)));
        }
        self.highest.store(highest, Ordering::Relaxed);
    }

    /// The engine has nothing of the range any more. R2: whoever looked before is told before anything is taken out.
    pub(crate) fn forget_range(&self, range: &KeyRange) {
        let Some(entries) = &self.entries else { return };
        self.shards.iter().for_each(|shard| *shard.lock() += 1);
        entries.retain(|key, _| !range.contains(key));
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

    type Write<'w> = (&'w [u8], Version, Option<&'w [u8]>);

    fn write<'w>(key: &'w [u8], version: Version, value: Option<&'w [u8]>) -> Write<'w> {
        (key, version, value)
    }

    #[test]
    fn a_snapshot_below_the_entry_looks_it_up() {
        let recent = Recent::new(1 << 20, 0);
        recent.keep(recent.ticket(b"a").expect("on"), b"a", 7, &value("seven"));
        assert_eq!(recent.get(b"a", 6), None);
        assert_eq!(recent.get(b"a", 7), Some((7, value("seven"))));
        recent.applied([write(b"a", 9, Some(b"nine"))].into_iter());
        assert_eq!(recent.get(b"a", 8), None);
        assert_eq!(recent.get(b"a", 9), Some((9, value("nine"))));
        recent.applied([write(b"a", 10, None)].into_iter());
        assert_eq!(recent.get(b"a", 11), None);
    }

    #[test]
    fn what_is_applied_is_kept_if_it_is_surely_the_newest_and_there_is_room() {
        let recent = Recent::new(64 << 10, 5);
        recent.applied(
            [write(b"old", 4, Some(b"4")), write(b"new", 5, Some(b"5")), write(b"late", 4, Some(b"4"))].into_iter(),
        );
        assert_eq!(recent.get(b"old", 9), None, "the engine may hold a newer one");
        assert_eq!(recent.get(b"late", 9), None);
        assert_eq!(recent.get(b"new", 9), Some((5, value("5"))));
        recent.applied([write(b"new", 3, Some(b"3")), write(b"new", 2, None)].into_iter());
        assert_eq!(recent.get(b"new", 9), Some((5, value("5"))), "older versions change nothing");
        recent.forget_range(&KeyRange::prefix("nevertheless"));
        assert!(recent.get(b"new", 9).is_some(), "another range");
        recent.applied([write(b"new", 6, Some(b"6")), write(b"new", 7, None)].into_iter());
        assert_eq!(recent.get(b"new", 9), None);

        let key = |number: u32| number.to_be_bytes();
        for number in 0..10_000 {
            recent.applied([write(&key(number), 8, Some(b"0123456789"))].into_iter());
        }
        let first = (0..100).filter(|&number| recent.get(&key(number), 8).is_some()).count();
        assert!(first >= 90, "{first} of the first hundred are there: writes push nothing out");
        assert!(recent.get(&key(9_999), 8).is_none());
    }

    #[test]
    fn what_was_read_before_a_newer_version_came_is_not_kept() {
        let recent = Recent::new(1 << 20, 0);
        for change in [
            |recent: &Recent| recent.applied([write(b"a", 8, None)].into_iter()),
            |recent: &Recent| recent.forget_range(&KeyRange::all()),
        ] {
            let ticket = recent.ticket(b"a").expect("on");
            change(&recent);
            recent.keep(ticket, b"a", 7, &value("old"));
            assert_eq!(recent.get(b"a", 9), None);
        }
    }

    #[test]
    fn it_stays_within_its_bytes_and_can_be_off() {
        let recent = Recent::new(64 << 10, 0);
        for number in 0..10_000_u32 {
            let key = number.to_be_bytes();
            recent.keep(recent.ticket(&key).expect("on"), &key, 1, &value("0123456789"));
        }
        let kept = (0..10_000_u32).filter(|number| recent.get(&number.to_be_bytes(), 1).is_some()).count();
        assert!((100..=540).contains(&kept), "{kept} entries of 122 bytes");
        let off = Recent::new(0, 0);
        assert!(off.ticket(b"a").is_none() && off.get(b"a", 1).is_none());
        off.applied([write(b"a", 1, Some(b"one"))].into_iter());
        off.forget_range(&KeyRange::all());
    }
}
