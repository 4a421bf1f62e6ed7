//! What only an engine with files can do wrong: crashes, restarts, full disks.
use crate::engines::*;
use bytes::Bytes;
use proptest::prelude::*;
use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::Path;
use tempfile::TempDir;
use trivet_storage::{Batch, KeyRange, MemoryStore, RocksStore, Store, digest};

/// What a crash would leave now: the files as they are, without what is in memory. Taken again if a flush or a compaction
/// changed something meanwhile, for a crash sees one moment.
fn crash_image(from: &Path) -> TempDir {
    for _ in 0..1000 {
        let image = tempfile::tempdir().expect("a temporary directory can be made");
        let before = listing(from);
        let copied = before.keys().all(|name| std::fs::copy(from.join(name), image.path().join(name)).is_ok());
        if copied && listing(from) == before {
            return image;
        }
    }
    panic!("the store never stands still");
}

/// Names and lengths of the files that matter. A manifest only grows.
fn listing(directory: &Path) -> BTreeMap<OsString, u64> {
    let items = std::fs::read_dir(directory).expect("readable").map(|item| item.expect("readable"));
    let matters = |name: &OsString| !name.to_string_lossy().starts_with("LOG");
    // An obsolete file may go while we look.
    items
        .filter_map(|item| Some((item.file_name(), item.metadata().ok()?.len())))
        .filter(|(name, _)| matters(name))
        .collect()
}

fn reopen(image: &TempDir) -> RocksStore {
    RocksStore::open(image.path(), options()).expect("what a crash leaves opens")
}

#[test]
fn a_clean_restart_loses_nothing_and_a_crash_what_was_not_flushed() {
    let (directory, store) = rocks();
    put(&store, 1, &[("a", "1")]);
    store.flush().expect("flushes");
    put(&store, 2, &[("a", "2")]);
    store
        .apply(Batch { local: vec![(bytes("note"), Some(bytes("x")))], applied: Some(3), ..Batch::default() })
        .expect("applied");
    let image = crash_image(directory.path());
    let crashed = reopen(&image);
    assert_eq!((crashed.applied(), crashed.flushed(), all(&crashed, 9)), (1, 1, "a=1@1".to_string()));
    assert_eq!(crashed.local(b"note").expect("readable"), None);
    drop(store);
    let restarted = reopen(&directory);
    assert_eq!((restarted.applied(), restarted.flushed(), all(&restarted, 9)), (3, 3, "a=2@2".to_string()));
    assert_eq!(restarted.local(b"note").expect("readable"), Some(bytes("x")));
}

/// RocksDB flushes by itself when its buffers are full. At any moment what the files hold is the state after exactly the
/// batch that `flushed` promised, or a later one: data, local keys and applied index together.
#[test]
fn a_crash_leaves_the_state_after_some_batch() {
    let (directory, store) = rocks();
    let value = "v".repeat(2000);
    let mut seen = std::collections::BTreeSet::new();
    for version in 1..=1200u64 {
        let writes =
            (0..4).map(|at| (bytes(&format!("k{:03}", (version * 7 + at) % 100)), version, Some(bytes(&value))));
        let batch = Batch {
            writes: writes.collect(),
            local: vec![(bytes("twin"), Some(Bytes::from(version.to_string())))],
            applied: Some(version),
            ..Batch::default()
        };
        store.apply(batch).expect("applied");
        if version % 100 == 0 {
            let promised = store.flushed();
            let image = crash_image(directory.path());
            let crashed = reopen(&image);
            let applied = crashed.applied();
            assert!(applied >= promised && applied <= version, "{promised} promised, {applied} found");
            let twin =
                crashed.local(b"twin").expect("readable").map(|twin| String::from_utf8_lossy(&twin).into_owned());
            assert_eq!(twin, (applied > 0).then(|| applied.to_string()));
            let newest = crashed
                .scan(&KeyRange::all(), u64::MAX, false, 1000)
                .expect("readable")
                .iter()
                .map(|row| row.version)
                .max();
            assert_eq!(newest.unwrap_or(0), applied);
            seen.insert(promised);
        }
    }
    assert!(seen.len() > 3, "RocksDB should have flushed by itself: {seen:?}");
}

#[test]
fn the_horizon_survives_with_what_was_collected_under_it() {
    let (directory, store) = rocks();
    put(&store, 1, &[("a", "1")]);
    put(&store, 2, &[("a", "2")]);
    store.flush().expect("flushes");
    store.set_horizon(2);
    assert_eq!(collect_all(&store, 100), 1);
    let image = crash_image(directory.path());
    let before = reopen(&image);
    assert_eq!((before.horizon(), all(&before, 1).as_str()), (0, "a=1@1"), "neither is flushed");
    store.flush().expect("flushes");
    let image = crash_image(directory.path());
    let after = reopen(&image);
    assert_eq!(after.horizon(), 2, "both are");
    assert_eq!(all(&after, 1), "snapshot 1 is older than the horizon of collection, 2");
}

#[test]
fn a_checkpoint_is_a_store_of_its_own() {
    let (directory, store) = rocks();
    put(&store, 5, &[("a", "1")]);
    store.apply(Batch { local: vec![(bytes("note"), Some(bytes("x")))], ..Batch::default() }).expect("applied");
    let to = directory.path().join("checkpoint");
    assert_eq!(store.checkpoint(&to).expect("made"), 5);
    put(&store, 6, &[("a", "2")]);
    let copy = RocksStore::open(&to, options()).expect("opens");
    assert_eq!((copy.applied(), copy.flushed(), all(&copy, 9).as_str()), (5, 5, "a=1@5"));
    assert_eq!(copy.local(b"note").expect("readable"), Some(bytes("x")));
    assert!(store.checkpoint(&to).is_err(), "the place is taken");
}

#[test]
fn one_process_at_a_time() {
    let (directory, _store) = rocks();
    assert!(RocksStore::open(directory.path(), options()).is_err());
}

#[test]
fn readers_beside_the_collector_see_their_snapshot_or_are_refused() {
    let (_directory, store) = rocks();
    for version in 1..=50 {
        let keys: Vec<String> = (0..200).map(|at| format!("k{at:03}")).collect();
        put(&store, version, &keys.iter().map(|key| (key.as_str(), "v")).collect::<Vec<_>>());
    }
    let done = std::sync::atomic::AtomicBool::new(false);
    let (mut good, mut refused) = (0, 0);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            for horizon in 1..=50 {
                store.set_horizon(horizon);
                collect_all(&store, 500);
            }
            done.store(true, std::sync::atomic::Ordering::Release);
        });
        // Beside the collector; if that was so quick that each was refused, once more behind it.
        while !done.load(std::sync::atomic::Ordering::Acquire) || good == 0 {
            let at = store.horizon() + good % 3;
            match store.scan(&KeyRange::all(), at, good % 2 == 0, 1000) {
                Ok(rows) => {
                    let newest = at.min(50);
                    assert!(at == 0 || (rows.len() == 200 && rows.iter().all(|row| row.version == newest)));
                    good += 1;
                }
                Err(error) => {
                    assert!(error.to_string().starts_with("snapshot"), "{error}");
                    refused += 1;
                }
            }
        }
    });
    assert!(good > 0, "{refused} refused and none answered");
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 12, failure_persistence: None, ..ProptestConfig::default() })]

    /// Batches, flushes, collection, crashes and the replay after them, beside a twin that never crashes.
    #[test]
    fn replay_after_a_crash_ends_where_the_twin_is(steps in prop::collection::vec((0..10u8, 0..6u8), 1..60)) {
        let twin = MemoryStore::new();
        let mut directory = tempfile::tempdir().expect("a temporary directory can be made");
        let mut store = RocksStore::open(directory.path(), options()).expect("opens");
        let mut log: Vec<Batch> = Vec::new();
        for (kind, key) in steps {
            match kind {
                0 => store.flush().expect("flushes"),
                1 => {
                    let horizon = store.flushed();
                    store.set_horizon(horizon);
                    store.collect(20).expect("collects");
                }
                2 => {
                    let image = crash_image(directory.path());
                    store = reopen(&image);
                    directory = image;
                    for batch in &log[store.applied() as usize..] {
                        store.apply(batch.clone()).expect("applied");
                    }
                }
                _ => {
                    let version = log.len() as u64 + 1;
                    let value = (kind > 3).then(|| bytes(&format!("{version}")));
                    let batch = Batch {
                        writes: vec![(bytes(&format!("k{key}")), version, value)],
                        local: vec![(bytes("count"), Some(bytes(&format!("{version}"))))],
                        applied: Some(version),
                        ..Batch::default()
                    };
                    log.push(batch.clone());
                    store.apply(batch.clone()).expect("applied");
                    twin.apply(batch).expect("applied");
                }
            }
            let version = log.len() as u64;
            prop_assert_eq!(store.applied(), version);
            prop_assert_eq!(all(&store, version), all(&twin, version));
            prop_assert_eq!(store.local(b"count").expect("readable"), twin.local(b"count").expect("readable"));
        }
        let version = log.len() as u64;
        prop_assert_eq!(
            digest(&store, &KeyRange::all(), version).expect("readable"),
            digest(&twin, &KeyRange::all(), version).expect("readable")
        );
    }
}
