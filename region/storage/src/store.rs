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

#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    #[error("storage engine: {0}")]
    Engine(String),
    #[error("stored bytes are damaged: {0}")]
    Damaged(String),
}

/// One atomic application: all of it, and `applied`, or nothing.
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

pub trait Store: Send + Sync + 'static {
    /// Newest version at or below `at`: `None` = never written, `Some((version, None))` = tombstone.
    fn newest(&self, key: &[u8], at: Version) -> Result<Option<(Version, Option<Bytes>)>, StoreError>;
    /// Live rows of the range at `at`, in key order (descending if `reverse`), at most `limit` rows.
    /// Continue after the last key for more. Sees one consistent state per call.
    fn scan(&self, range: &KeyRange, at: Version, reverse: bool, limit: usize) -> Result<Vec<Row>, StoreError>;
    fn apply(&self, batch: Batch) -> Result<(), StoreError>;
    /// The applied index, as last written (volatile until `flushed` says so).
    fn applied(&self) -> Version;
    /// The applied index that survives a crash now. The journal must keep what lies above.
    fn flushed(&self) -> Version;
    /// Make everything applied durable.
    fn flush(&self) -> Result<(), StoreError>;
    fn local(&self, key: &[u8]) -> Result<Option<Bytes>, StoreError>;
    fn local_scan(&self, range: &KeyRange, limit: usize) -> Result<Vec<(Bytes, Bytes)>, StoreError>;
    /// Versions that nobody at or above `horizon` can see may be dropped from now on (T11).
    fn set_horizon(&self, horizon: Version);
    /// One bounded slice of collection work; returns how many versions were dropped and whether a full pass ended.
    fn collect(&self, budget: usize) -> Result<Collected, StoreError>;
    /// Drop all versions of a range for good (a dropped table below the horizon).
    fn drop_range(&self, range: &KeyRange) -> Result<(), StoreError>;
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Collected {
    pub examined: usize,
    pub dropped: usize,
    pub pass_ended: bool,
}
