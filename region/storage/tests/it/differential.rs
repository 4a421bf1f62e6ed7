//! The engines against each other, on random histories of overlapping keys.
use crate::engines::rocks;
use bytes::Bytes;
use proptest::prelude::*;
use trivet_storage::{Batch, KeyRange, MemoryStore, Store, digest};

#[derive(Clone, Debug)]
enum Step {
    Apply(Vec<(Vec<u8>, Option<Vec<u8>>)>),
    Local { ranges: Vec<(Vec<u8>, Vec<u8>)>, writes: Vec<(Vec<u8>, Option<Vec<u8>>)> },
    Scan { start: Vec<u8>, end: Vec<u8>, back: u64, reverse: bool, limit: usize },
    Get { key: Vec<u8>, back: u64 },
    Collect { horizon_back: u64, budget: usize },
    DropRange { start: Vec<u8>, end: Vec<u8> },
    Flush,
}

/// Few distinct keys, many of them beginnings of others.
fn key() -> impl Strategy<Value = Vec<u8>> {
    prop::collection::vec(prop_oneof![Just(0u8), Just(b'a'), Just(0xff)], 0..4)
}

fn value() -> impl Strategy<Value = Option<Vec<u8>>> {
    prop::option::weighted(0.7, prop::collection::vec(any::<u8>(), 0..4))
}

fn step() -> impl Strategy<Value = Step> {
    let writes = || prop::collection::vec((key(), value()), 0..5);
    prop_oneof![
        8 => writes().prop_map(Step::Apply),
        1 => (prop::collection::vec((key(), key()), 0..2), writes())
            .prop_map(|(ranges, writes)| Step::Local { ranges, writes }),
        4 => (key(), key(), 0..20u64, any::<bool>(), 0..8usize)
            .prop_map(|(start, end, back, reverse, limit)| Step::Scan { start, end, back, reverse, limit }),
        3 => (key(), 0..20u64).prop_map(|(key, back)| Step::Get { key, back }),
        2 => (0..20u64, 1..40usize).prop_map(|(horizon_back, budget)| Step::Collect { horizon_back, budget }),
        1 => (key(), key()).prop_map(|(start, end)| Step::DropRange { start, end }),
        1 => Just(Step::Flush),
    ]
}

fn writes(pairs: Vec<(Vec<u8>, Option<Vec<u8>>)>) -> impl Iterator<Item = (Bytes, Option<Bytes>)> {
    pairs.into_iter().map(|(key, value)| (key.into(), value.map(Bytes::from)))
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 60, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn engines_agree(steps in prop::collection::vec(step(), 1..80)) {
        let memory = MemoryStore::new();
        let (_directory, rocks) = rocks();
        let mut version = 0;
        for step in steps {
            match step {
                Step::Apply(pairs) => {
                    version += 1;
                    let writes = writes(pairs).map(|(key, value)| (key, version, value)).collect();
                    let batch = Batch { writes, applied: Some(version), ..Batch::default() };
                    memory.apply(batch.clone()).expect("applied");
                    rocks.apply(batch).expect("applied");
                }
                Step::Local { ranges, writes: pairs } => {
                    let local_ranges = ranges.into_iter().map(|(start, end)| KeyRange::new(start, end)).collect();
                    let batch = Batch { local: writes(pairs).collect(), local_ranges, ..Batch::default() };
                    memory.apply(batch.clone()).expect("applied");
                    rocks.apply(batch).expect("applied");
                    let all = |store: &dyn Store| store.local_scan(&KeyRange::all(), 100).expect("readable");
                    prop_assert_eq!(all(&memory), all(&rocks));
                }
                Step::Scan { start, end, back, reverse, limit } => {
                    let (range, at) = (KeyRange::new(start, end), version.saturating_sub(back));
                    let scan = |store: &dyn Store| store.scan(&range, at, reverse, limit).map_err(|error| error.to_string());
                    prop_assert_eq!(scan(&memory), scan(&rocks), "{:?} at {}", range, at);
                }
                Step::Get { key, back } => {
                    let at = version.saturating_sub(back);
                    let get = |store: &dyn Store| store.newest(&key, at).map_err(|error| error.to_string());
                    // What lies at or below the horizon as a tombstone is there in one engine until its pass comes by.
                    let live = |found: Result<Option<(u64, Option<Bytes>)>, String>| {
                        found.map(|found| found.filter(|(version, value)| value.is_some() || *version > memory.horizon()))
                    };
                    prop_assert_eq!(live(get(&memory)), live(get(&rocks)), "{:?} at {}", key, at);
                }
                Step::Collect { horizon_back, budget } => {
                    for store in [&memory as &dyn Store, &rocks] {
                        store.set_horizon(version.saturating_sub(horizon_back));
                        store.collect(budget).expect("collects");
                    }
                }
                Step::DropRange { start, end } => {
                    let range = KeyRange::new(start, end);
                    memory.drop_range(&range).expect("drops");
                    rocks.drop_range(&range).expect("drops");
                }
                Step::Flush => rocks.flush().expect("flushes"),
            }
        }
        // After a full pass both hold the same versions, and nothing visible has changed.
        let before: Vec<_> = (memory.horizon()..=version).map(|at| digest(&memory, &KeyRange::all(), at).expect("readable")).collect();
        for store in [&memory as &dyn Store, &rocks] {
            for _ in 0..2 {
                crate::engines::collect_all(store, 30);
            }
            let after: Vec<_> = (memory.horizon()..=version).map(|at| digest(store, &KeyRange::all(), at).expect("readable")).collect();
            prop_assert_eq!(&after, &before);
        }
    }
}
