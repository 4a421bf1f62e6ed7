//! The engine behind the trait.
use super::open::{DATA, Db, LOCAL, RocksOptions, open};
use super::recent::Recent;
use super::{collect, cursor, encoding, engine};
use crate::{Batch, Collected, KeyRange, Row, Store, StoreError, Version};
use bytes::Bytes;
use parking_lot::Mutex;
use rocksdb::checkpoint::Checkpoint;
use rocksdb::{ColumnFamily, FlushOptions, ReadOptions, ReadTier, WriteBatch, WriteOptions};
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};

/// First byte of a key in the local family.
const OWN: u8 = 0;
const REGIONS: u8 = 1;

const APPLIED: &[u8] = &[OWN, b'a', b'p', b'p', b'l', b'i', b'e', b'd'];
const HORIZON: &[u8] = &[OWN, b'h', b'o', b'r', b'i', b'z', b'o', b'n'];
const FORMAT: &[u8] = &[OWN, b'f', b'o', b'r', b'm', b'a', b't'];
const FORMAT_VERSION: u64 = 1;

/// A local range with at most so many keys is deleted key by key: range tombstones slow every read down.
const POINT_DELETES_MAX: usize = 1000;

pub struct RocksStore {
    db: Db,
    recent: Recent,
    applied: AtomicU64,
    /// What `flushed` last found; it never goes back.
    flushed: AtomicU64,
    horizon: AtomicU64,
    /// Encoded key where the next slice of collection begins. Held for the slice: one collector at a time.
    collecting: Mutex<Vec<u8>>,
    /// Held while a batch is made and written: ranges are looked up in what is there.
    applying: Mutex<()>,
}

impl RocksStore {
    /// Opens the store, or makes it. RocksDB holds a lock on the directory.
    pub fn open(path: &Path, options: RocksOptions) -> Result<RocksStore, StoreError> {
        let db = open(path, &options)?;
        let mut store = RocksStore {
            db,
            recent: Recent::new(0, 0),
            applied: AtomicU64::new(0),
            flushed: AtomicU64::new(0),
            horizon: AtomicU64::new(0),
            collecting: Mutex::new(Vec::new()),
            applying: Mutex::new(()),
        };
        store.check_format()?;
        let applied = store.own(APPLIED, ReadTier::All)?.unwrap_or(0);
        store.recent = Recent::new(options.row_cache_bytes, applied);
        store.applied.store(applied, Ordering::Release);
        // Nothing is in memory yet.
        store.flushed.store(applied, Ordering::Release);
        store.horizon.store(store.own(HORIZON, ReadTier::All)?.unwrap_or(0), Ordering::Release);
        Ok(store)
    }

    fn check_format(&self) -> Result<(), StoreError> {
        match self.own(FORMAT, ReadTier::All)? {
            Some(FORMAT_VERSION) => Ok(()),
            Some(version) => {
                Err(StoreError::Damaged(format!("the store has format {version}, this release knows {FORMAT_VERSION}")))
            }
            None => {
                let mut batch = WriteBatch::default();
                batch.put_cf(self.family(LOCAL), FORMAT, FORMAT_VERSION.to_be_bytes());
                self.write(batch)
            }
        }
    }

    fn family(&self, name: &str) -> &ColumnFamily {
        self.db.cf_handle(name).expect("both families are made when the store is opened")
    }

    /// A number of the engine's own.
    fn own(&self, key: &[u8], tier: ReadTier) -> Result<Option<u64>, StoreError> {
        let mut options = ReadOptions::default();
        options.set_read_tier(tier);
        let Some(value) = self.db.get_pinned_cf_opt(self.family(LOCAL), key, &options).map_err(engine)? else {
            return Ok(None);
        };
        let bytes: [u8; 8] = value.as_ref().try_into().map_err(|_| {
            StoreError::Damaged(format!("{:?} holds {} bytes", String::from_utf8_lossy(&key[1..]), value.len()))
        })?;
        Ok(Some(u64::from_be_bytes(bytes)))
    }

    fn write(&self, batch: WriteBatch) -> Result<(), StoreError> {
        let mut options = WriteOptions::default();
        options.disable_wal(true); // S2
        self.db.write_opt(batch, &options).map_err(engine)
    }

    /// S5: after the rows are there.
    fn check(&self, at: Version) -> Result<(), StoreError> {
        let horizon = self.horizon.load(Ordering::Acquire);
        if at < horizon { Err(StoreError::SnapshotTooOld { at, horizon }) } else { Ok(()) }
    }

    fn drop_local_range(&self, batch: &mut WriteBatch, range: &KeyRange) -> Result<(), StoreError> {
        let local = self.family(LOCAL);
        let keys = self.local_keys(range, POINT_DELETES_MAX + 1)?;
        if keys.len() <= POINT_DELETES_MAX {
            keys.iter().for_each(|key| batch.delete_cf(local, key));
            return Ok(());
        }
        let (start, end) = local_bounds(range);
        batch.delete_range_cf(local, start, end);
        Ok(())
    }

    /// Stored keys of a local range.
    fn local_keys(&self, range: &KeyRange, limit: usize) -> Result<Vec<Vec<u8>>, StoreError> {
        let mut keys = Vec::new();
        self.walk_local(range, limit, |key, _| keys.push(key.to_vec()))?;
        Ok(keys)
    }

    fn walk_local(&self, range: &KeyRange, limit: usize, mut take: impl FnMut(&[u8], &[u8])) -> Result<(), StoreError> {
        if range.is_empty() {
            return Ok(());
        }
        let (start, end) = local_bounds(range);
        let mut options = ReadOptions::default();
        options.set_iterate_lower_bound(start);
        options.set_iterate_upper_bound(end);
        let mut iterator = self.db.raw_iterator_cf_opt(self.family(LOCAL), options);
        iterator.seek_to_first();
        let mut count = 0;
        while count < limit
            && let Some((key, value)) = cursor::item(&iterator)?
        {
            take(key, value);
            count += 1;
            iterator.next();
        }
        Ok(())
    }

    /// A copy of everything applied so far, flushed, of hard links where the file system has them. `to` must not be there.
    /// Returns the applied index in the copy, or one below it.
    pub fn checkpoint(&self, to: &Path) -> Result<Version, StoreError> {
        let applied = self.applied();
        Checkpoint::new(&self.db).and_then(|checkpoint| checkpoint.create_checkpoint(to)).map_err(engine)?;
        Ok(applied)
    }

    /// Bytes of data on disk, by RocksDB's estimate; for `status` and metrics.
    pub fn data_bytes(&self) -> u64 {
        let size = self.db.property_int_value_cf(self.family(DATA), "rocksdb.total-sst-files-size");
        size.ok().flatten().unwrap_or(0)
    }
}

impl Store for RocksStore {
    fn newest(&self, key: &[u8], at: Version) -> Result<Option<(Version, Option<Bytes>)>, StoreError> {
        if let Some((version, value)) = self.recent.get(key, at) {
            self.check(at)?;
            return Ok(Some((version, Some(value))));
        }
        let ticket = self.recent.ticket(key);
        let found = cursor::newest(&self.db, self.family(DATA), key, at)?;
        self.check(at)?;
        if let (Some(ticket), true, Some((version, Some(value)))) = (ticket, found.is_newest, &found.version) {
            self.recent.keep(ticket, key, *version, value);
        }
        Ok(found.version)
    }

    fn scan(&self, range: &KeyRange, at: Version, reverse: bool, limit: usize) -> Result<Vec<Row>, StoreError> {
        let rows = cursor::scan(&self.db, self.family(DATA), range, at, reverse, limit)?;
        self.check(at)?;
        Ok(rows)
    }

    fn apply(&self, batch: Batch) -> Result<(), StoreError> {
        let _applying = self.applying.lock();
        let (data, local) = (self.family(DATA), self.family(LOCAL));
        let size = batch.writes.iter().map(|(key, _, value)| key.len() * 2 + value.as_ref().map_or(0, Bytes::len) + 32);
        let mut out = WriteBatch::with_capacity_bytes(size.sum::<usize>() + 64);
        let (mut stored, mut tagged) = (Vec::new(), Vec::new());
        for (key, version, value) in &batch.writes {
            stored.clear();
            encoding::push_key(key, &mut stored);
            encoding::push_version(*version, &mut stored);
            tagged.clear();
            encoding::push_value(value.as_deref(), &mut tagged);
            out.put_cf(data, &stored, &tagged);
        }
        for range in &batch.local_ranges {
            self.drop_local_range(&mut out, range)?;
        }
        for (key, value) in &batch.local {
            match value {
                Some(value) => out.put_cf(local, regions_key(key), value),
                None => out.delete_cf(local, regions_key(key)),
            }
        }
        if let Some(applied) = batch.applied {
            out.put_cf(local, APPLIED, applied.to_be_bytes()); // S1
        }
        self.write(out)?;
        self.recent.applied(batch.writes.iter().map(|(key, version, value)| (&**key, *version, value.as_deref())));
        if let Some(applied) = batch.applied {
            self.applied.store(applied, Ordering::Release);
        }
        Ok(())
    }

    fn stored_bytes(&self, range: &KeyRange) -> u64 {
        if range.is_empty() {
            return 0;
        }
        let start = encoding::encoded(&range.start);
        // Above all keys but those that begin with as many ff.
        let end = if range.end.is_empty() { vec![0xff; 64] } else { encoding::encoded(&range.end) };
        let ranges = [rocksdb::Range::new(&start, &end)];
        self.db.get_approximate_sizes_cf(self.family(DATA), &ranges).first().copied().unwrap_or(0)
    }

    fn applied(&self) -> Version {
        self.applied.load(Ordering::Acquire)
    }

    fn flushed(&self) -> Version {
        match self.own(APPLIED, ReadTier::Persisted) {
            Ok(found) => {
                let found = found.unwrap_or(0);
                self.flushed.fetch_max(found, Ordering::AcqRel).max(found)
            }
            Err(error) => {
                tracing::warn!(%error, "cannot read how far the store is flushed; the last answer stands");
                self.flushed.load(Ordering::Acquire)
            }
        }
    }

    fn flush(&self) -> Result<(), StoreError> {
        let mut options = FlushOptions::default();
        options.set_wait(true);
        self.db.flush_cfs_opt(&[self.family(DATA), self.family(LOCAL)], &options).map_err(engine)
    }

    fn local(&self, key: &[u8]) -> Result<Option<Bytes>, StoreError> {
        let value = self.db.get_pinned_cf(self.family(LOCAL), regions_key(key)).map_err(engine)?;
        Ok(value.map(|value| Bytes::copy_from_slice(&value)))
    }

    fn local_scan(&self, range: &KeyRange, limit: usize) -> Result<Vec<(Bytes, Bytes)>, StoreError> {
        let mut rows = Vec::new();
        self.walk_local(range, limit, |key, value| {
            rows.push((Bytes::copy_from_slice(&key[1..]), Bytes::copy_from_slice(value)));
        })?;
        Ok(rows)
    }

    fn set_horizon(&self, horizon: Version) {
        self.horizon.fetch_max(horizon, Ordering::AcqRel);
    }

    fn horizon(&self) -> Version {
        self.horizon.load(Ordering::Acquire)
    }

    fn collect(&self, budget: usize) -> Result<Collected, StoreError> {
        let mut next = self.collecting.lock();
        let horizon = self.horizon();
        let data = self.family(DATA);
        let mut options = ReadOptions::default();
        options.set_total_order_seek(true);
        options.fill_cache(false);
        let mut iterator = self.db.raw_iterator_cf_opt(data, options);
        iterator.seek(&*next);
        let slice = collect::slice(&mut iterator, horizon, budget)?;
        if !slice.doomed.is_empty() {
            let mut batch = WriteBatch::default();
            slice.doomed.iter().for_each(|stored| batch.delete_cf(data, stored));
            batch.put_cf(self.family(LOCAL), HORIZON, horizon.to_be_bytes());
            self.write(batch)?;
            metrics::counter!("trivet_storage_collected_versions_total").increment(slice.doomed.len() as u64);
        }
        *next = slice.next;
        Ok(slice.collected)
    }

    fn drop_range(&self, range: &KeyRange) -> Result<(), StoreError> {
        if range.is_empty() {
            return Ok(());
        }
        let data = self.family(DATA);
        let (start, end) = cursor::encoded_range(range);
        let end = match end {
            Some(end) => end,
            None => match cursor::after_last(&self.db, data)? {
                Some(end) if start < end => end,
                _ => return Ok(()),
            },
        };
        let mut batch = WriteBatch::default();
        batch.delete_range_cf(data, start.as_slice(), end.as_slice());
        self.write(batch)?;
        self.recent.forget_range(range);
        // Whole files go at once, instead of when compaction comes by; what they held is dead either way.
        self.db.delete_file_in_range_cf(data, start.as_slice(), end.as_slice()).map_err(engine)
    }
}

fn regions_key(key: &[u8]) -> Vec<u8> {
    let mut stored = Vec::with_capacity(key.len() + 1);
    stored.push(REGIONS);
    stored.extend_from_slice(key);
    stored
}

fn local_bounds(range: &KeyRange) -> (Vec<u8>, Vec<u8>) {
    let end = if range.end.is_empty() { vec![REGIONS + 1] } else { regions_key(&range.end) };
    (regions_key(&range.start), end)
}
