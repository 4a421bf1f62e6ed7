//! The trait that both engines implement, and the types that cross it.
use bytes::Bytes;

/// A log index, as a version.
pub type Version = u64;

/// Half-open: `start <= key < end`. An empty `end` means "to the last key".
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct KeyRange {
    pub start: Bytes,
    pub end: Bytes,
}

impl KeyRange {
    pub fn new(start: impl Into<Bytes>, end: impl Into<Bytes>) -> KeyRange {
        KeyRange { start: start.into(), end: end.into() }
    }

    /// Every key.
    pub fn all() -> KeyRange {
        KeyRange { start: Bytes::new(), end: Bytes::new() }
    }

    /// Every key that begins with `prefix`.
    pub fn prefix(prefix: impl Into<Bytes>) -> KeyRange {
        let start = prefix.into();
        let kept = start.iter().rposition(|&byte| byte != 0xff).map_or(0, |at| at + 1);
        let mut end = start[..kept].to_vec();
        if let Some(last) = end.last_mut() {
            *last += 1;
        }
        KeyRange { start, end: end.into() }
    }

    pub fn contains(&self, key: &[u8]) -> bool {
        *self.start <= *key && (self.end.is_empty() || *key < *self.end)
    }

    pub fn is_empty(&self) -> bool {
        !self.end.is_empty() && self.start >= self.end
    }

    /// The same range from just after `key` on.
    pub fn after(&self, key: &[u8]) -> KeyRange {
        let mut start = Vec::with_capacity(key.len() + 1);
        start.extend_from_slice(key);
        start.push(0);
        KeyRange { start: start.into(), end: self.end.clone() }
    }

    /// The same range up to, without, `key`: what is left of a descending scan. An empty key has nothing below it.
    pub fn before(&self, key: &[u8]) -> KeyRange {
        if key.is_empty() {
            return KeyRange { start: Bytes::from_static(b"\0"), end: Bytes::from_static(b"\0") };
        }
        KeyRange { start: self.start.clone(), end: Bytes::copy_from_slice(key) }
    }
}

#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    #[error("storage engine: {0}")]
    Engine(String),
    /// No room: nothing of the refused call is there. Reads still work; writes do again once there is room.
    #[error("storage: no space left on the device: {0}")]
    DiskFull(String),
    #[error("{path} is in use by another process")]
    InUse { path: String },
    #[error("stored bytes are damaged: {0}")]
    Damaged(String),
    /// Versions that this snapshot needs may have been collected already.
    #[error("snapshot {at} is older than the horizon of collection, {horizon}")]
    SnapshotTooOld { at: Version, horizon: Version },
}

/// One atomic application: all of it, and `applied`, or nothing. `local_ranges` are dropped first, then `local` is
/// written in order, so a batch may drop a range and put new keys into it. The same (key, version) again overwrites.
#[derive(Clone, Debug, Default)]
pub struct Batch {
    /// (key, version, value or tombstone). Keys need not be in order.
    pub writes: Vec<(Bytes, Version, Option<Bytes>)>,
    /// Unversioned keys of the region's own bookkeeping (parts, fills, horizon ...), kept apart from data.
    pub local: Vec<(Bytes, Option<Bytes>)>,
    /// Unversioned ranges to drop.
    pub local_ranges: Vec<KeyRange>,
    pub applied: Option<Version>,
}

/// One live row of a scan.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Row {
    pub key: Bytes,
    pub version: Version,
    pub value: Bytes,
}

/// Snapshots below the horizon are refused with `SnapshotTooOld` by `newest` and `scan`, so that collection can
/// never turn into a silent wrong answer. Writes may not go below the horizon. One thread applies at a time.
pub trait Store: Send + Sync + 'static {
    /// Newest version at or below `at`: `None` = never written, `Some((version, None))` = tombstone.
    fn newest(&self, key: &[u8], at: Version) -> Result<Option<(Version, Option<Bytes>)>, StoreError>;
    /// Live rows of the range at `at`, in key order (descending if `reverse`), at most `limit` rows.
    /// Continue after the last key for more. Sees one consistent state per call.
    fn scan(&self, range: &KeyRange, at: Version, reverse: bool, limit: usize) -> Result<Vec<Row>, StoreError>;
    fn apply(&self, batch: Batch) -> Result<(), StoreError>;
    /// About how many bytes of the range lie in files, compressed: a hint, for nothing but guesses. What is in memory yet may
    /// be missing.
    fn stored_bytes(&self, range: &KeyRange) -> u64;
    /// The applied index, as last written (volatile until `flushed` says so).
    fn applied(&self) -> Version;
    /// The applied index that survives a crash now. The journal must keep what lies above.
    fn flushed(&self) -> Version;
    /// Make everything applied durable.
    fn flush(&self) -> Result<(), StoreError>;
    fn local(&self, key: &[u8]) -> Result<Option<Bytes>, StoreError>;
    fn local_scan(&self, range: &KeyRange, limit: usize) -> Result<Vec<(Bytes, Bytes)>, StoreError>;
    /// Versions that nobody at or above `horizon` can see may be dropped from now on (T11). Never moves back.
    fn set_horizon(&self, horizon: Version);
    /// The horizon as set, or as it was when the surviving state was written if that is higher.
    fn horizon(&self) -> Version;
    /// One bounded slice of collection work, about `budget` versions; returns how many were dropped and whether a
    /// full pass ended.
    fn collect(&self, budget: usize) -> Result<Collected, StoreError>;
    /// Drop all versions of a range for good (a dropped table below the horizon). As volatile as `apply`: it is durable
    /// once a later batch is, so forget about the range only in a batch that is applied after this returned.
    fn drop_range(&self, range: &KeyRange) -> Result<(), StoreError>;
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Collected {
    pub examined: usize,
    pub dropped: usize,
    pub pass_ended: bool,
}
