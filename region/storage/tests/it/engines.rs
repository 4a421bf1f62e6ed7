//! The engines under test, and shorthand.
use bytes::Bytes;
use tempfile::TempDir;
use trivet_storage::{Batch, KeyRange, MemoryStore, RocksOptions, RocksStore, Store, Version};

/// Small enough that flushes and compactions happen in a test.
pub fn options() -> RocksOptions {
    RocksOptions { cache_bytes: 1 << 20, write_buffer_bytes: 256 << 10, ..RocksOptions::default() }
}

/// The directory comes first, so that it goes last: the store is flushed into it when it is closed.
pub fn rocks() -> (TempDir, RocksStore) {
    let directory = tempfile::tempdir().expect("a temporary directory can be made");
    let store = RocksStore::open(directory.path(), options()).expect("an empty directory opens");
    (directory, store)
}

/// Runs the check on every engine.
pub fn everywhere(check: impl Fn(&str, &dyn Store)) {
    check("memory", &MemoryStore::new());
    let (_directory, store) = rocks();
    check("rocks", &store);
}

pub fn bytes(text: &str) -> Bytes {
    Bytes::copy_from_slice(text.as_bytes())
}

pub fn range(start: &str, end: &str) -> KeyRange {
    KeyRange::new(bytes(start), bytes(end))
}

/// Writes at one version; an empty value is a tombstone.
pub fn put(store: &dyn Store, version: Version, writes: &[(&str, &str)]) {
    let write = |(key, value): &(&str, &str)| (bytes(key), version, (!value.is_empty()).then(|| bytes(value)));
    let batch = Batch { writes: writes.iter().map(write).collect(), applied: Some(version), ..Batch::default() };
    store.apply(batch).expect("the engine takes a batch");
}

/// `key=value@version ...` of what a scan returns.
pub fn show(store: &dyn Store, range: &KeyRange, at: Version, reverse: bool, limit: usize) -> String {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    match store.scan(range, at, reverse, limit) {
        Ok(rows) => rows
            .iter()
            .map(|row| format!("{}={}@{}", text(&row.key), text(&row.value), row.version))
            .collect::<Vec<_>>()
            .join(" "),
        Err(error) => error.to_string(),
    }
}

pub fn all(store: &dyn Store, at: Version) -> String {
    show(store, &KeyRange::all(), at, false, 1000)
}

/// Collects until a full pass has ended, from wherever the last slice stopped.
pub fn collect_all(store: &dyn Store, budget: usize) -> usize {
    let mut dropped = 0;
    for _ in 0..100_000 {
        let slice = store.collect(budget).expect("the engine collects");
        dropped += slice.dropped;
        if slice.pass_ended {
            return dropped;
        }
    }
    panic!("collection makes no progress");
}
