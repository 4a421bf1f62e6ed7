//! One region end to end, over the store in memory.
use super::*;
use crate::api::{Action, Committed, Isolation, LockStrength, LockWait, Locked, Transaction, WriteKind};
use bytes::Bytes;
use trivet_storage::{KeyRange, MemoryStore, Row};
use trivet_types::{PgError, sqlstate};

/// Index entries `i/<value>/<key>` for rows `t/<key>`.
struct ByValue;

impl IndexBuilder for ByValue {
    fn entries(&self, _spec: &[u8], row: &Row, out: &mut Vec<(Bytes, Bytes)>) -> Result<(), String> {
        let key = [b"i/", &row.value[..], b"/", &row.key[..]].concat();
        out.push((Bytes::from(key), Bytes::new()));
        Ok(())
    }
    fn watched(&self) -> Option<KeyRange> {
        Some(KeyRange::prefix("catalog/"))
    }
    fn describe_key(&self, key: &[u8]) -> Option<String> {
        std::str::from_utf8(key).ok().map(str::to_owned)
    }
}

pub(super) struct Fixture {
    pub store: Arc<MemoryStore>,
    pub database: Arc<RegionDatabase>,
    pub log: Arc<LocalLog>,
}

pub(super) fn fixture(delay: Duration, options: Options) -> Fixture {
    let store = Arc::new(MemoryStore::new());
    let (database, log) = LocalLog::open(store.clone(), Arc::new(ByValue), delay, options).expect("a new store");
    Fixture { store, database, log }
}

fn plain() -> Fixture {
    fixture(Duration::ZERO, Options::default())
}

impl Fixture {
    pub fn begin(&self) -> Box<dyn Transaction> {
        self.database.begin(Isolation::ReadCommitted, false)
    }
    fn repeatable(&self) -> Box<dyn Transaction> {
        self.database.begin(Isolation::RepeatableRead, false)
    }
    pub async fn set(&self, key: &'static str, value: &'static str) -> u64 {
        let mut transaction = self.begin();
        transaction.lock(key.as_bytes(), LockStrength::NoKeyUpdate, LockWait::Wait).await.expect("nobody holds it");
        transaction.put(b(key), b(value), WriteKind::NoKeyUpdate);
        transaction.commit().await.expect("nobody conflicts").index.expect("it wrote")
    }
    /// A write to `k`, and the horizon moves up as far as it may.
    pub async fn time_passes(&self, value: &'static str) {
        self.set("k", value).await;
        self.log.core.lock().applier.flush().expect("in memory");
        self.log.core.lock().tidy();
        self.database.propose_horizon().await;
    }
    async fn read(&self, key: &'static str) -> Option<Bytes> {
        self.begin().get(key.as_bytes()).await.expect("a lease")
    }
    async fn rows(&self, start: &'static str, end: &'static str) -> Vec<(Bytes, Bytes)> {
        rows(&mut *self.begin(), start, end, false, usize::MAX).await
    }
}

async fn rows(
    transaction: &mut dyn Transaction,
    start: &'static str,
    end: &'static str,
    reverse: bool,
    limit: usize,
) -> Vec<(Bytes, Bytes)> {
    let rows = transaction.scan(&KeyRange::new(start, end), reverse, limit).await.expect("a lease");
    rows.into_iter().map(|row| (row.key, row.value)).collect()
}

pub(super) fn b(text: &'static str) -> Bytes {
    Bytes::from_static(text.as_bytes())
}

fn pair(key: &'static str, value: &'static str) -> (Bytes, Bytes) {
    (b(key), b(value))
}

async fn lock(transaction: &mut dyn Transaction, key: &str) -> trivet_types::PgResult<Locked> {
    transaction.lock(key.as_bytes(), LockStrength::NoKeyUpdate, LockWait::Wait).await
}

fn code(error: Result<impl std::fmt::Debug, Box<PgError>>) -> &'static str {
    let error = error.expect_err("should fail");
    [
        sqlstate::SERIALIZATION_FAILURE,
        sqlstate::DEADLOCK_DETECTED,
        sqlstate::LOCK_NOT_AVAILABLE,
        sqlstate::READ_ONLY_SQL_TRANSACTION,
    ]
    .into_iter()
    .find(|state| *state == error.code)
    .map_or("other", |state| match &state.0 {
        b"40001" => "40001",
        b"40P01" => "40P01",
        b"55P03" => "55P03",
        _ => "25006",
    })
}

#[tokio::test]
async fn own_writes_are_merged_into_scans_in_both_directions() {
    let f = plain();
    for key in ["t/a", "t/c", "t/e", "t/g"] {
        f.set(key, "old").await;
    }
    let mut t = f.begin();
    for key in ["t/b", "t/c", "t/h"] {
        t.put(b(key), b("new"), WriteKind::NoKeyUpdate);
    }
    t.delete(b("t/e"));
    let all = [pair("t/a", "old"), pair("t/b", "new"), pair("t/c", "new"), pair("t/g", "old"), pair("t/h", "new")];
    for limit in 1..=6 {
        let expected: Vec<_> = all.iter().take(limit).cloned().collect();
        assert_eq!(rows(&mut *t, "t/", "t0", false, limit).await, expected, "first {limit}");
        let expected: Vec<_> = all.iter().rev().take(limit).cloned().collect();
        assert_eq!(rows(&mut *t, "t/", "t0", true, limit).await, expected, "last {limit}");
    }
    assert_eq!(
        t.get_many(&[b("t/a"), b("t/e"), b("t/h")]).await.expect("a lease"),
        [Some(b("old")), None, Some(b("new"))]
    );
    assert_eq!(f.rows("t/", "t0").await.len(), 4, "nobody else sees it");
    t.commit().await.expect("nobody conflicts");
    assert_eq!(f.rows("t/", "t0").await, all);
}

#[tokio::test]
async fn savepoints_take_back_writes_positions_and_locks() {
    let f = plain();
    f.set("k", "1").await;
    let mut t = f.begin();
    t.put(b("x"), b("before"), WriteKind::NoKeyUpdate);
    let first = t.savepoint();
    lock(&mut *t, "k").await.expect("free");
    t.put(b("k"), b("2"), WriteKind::NoKeyUpdate);
    t.put(b("x"), b("after"), WriteKind::NoKeyUpdate);
    let second = t.savepoint();
    t.delete(b("x"));
    t.rollback_to(second);
    assert_eq!(t.get(b"x").await.expect("own"), Some(b("after")));
    t.rollback_to(first);
    assert_eq!(t.get(b"x").await.expect("own"), Some(b("before")));
    assert_eq!(t.get(b"k").await.expect("stored"), Some(b("1")));
    // The lock is free again, and a commit in between does not disturb: the position is gone, too (T2).
    f.set("k", "other").await;
    t.statement().await.expect("a lease");
    assert_eq!(lock(&mut *t, "k").await, Ok(Locked::Unchanged(Some(b("other")))));
    t.put(b("k"), b("mine"), WriteKind::NoKeyUpdate);
    t.release(first);
    t.commit().await.expect("nobody conflicts");
    assert_eq!((f.read("k").await, f.read("x").await), (Some(b("mine")), Some(b("before"))));
}

#[tokio::test]
async fn read_committed_re_evaluates_and_repeatable_read_fails() {
    let f = plain();
    f.set("k", "1").await;
    let (mut rc, mut rr) = (f.begin(), f.repeatable());
    rc.statement().await.expect("a lease");
    rr.statement().await.expect("a lease");
    f.set("k", "2").await;
    assert_eq!(rc.get(b"k").await.expect("a lease"), Some(b("1")), "the statement's snapshot");
    assert_eq!(lock(&mut *rc, "k").await, Ok(Locked::Newer(Some(b("2")))));
    rc.rollback();
    let failed = lock(&mut *rr, "k").await;
    assert_eq!(
        failed.as_ref().map_err(|e| e.message.as_str()),
        Err("could not serialize access due to concurrent update")
    );
    assert_eq!(failed.unwrap_err().detail.as_deref(), Some("Key k was written or locked, at log index 3."));
    assert_eq!(rr.get(b"k").await.expect("a lease"), Some(b("1")));
}

#[tokio::test]
async fn blind_writes_of_one_key_conflict_at_commit() {
    let f = plain();
    let (mut one, mut two) = (f.begin(), f.begin());
    one.statement().await.expect("a lease");
    two.statement().await.expect("a lease");
    one.put(b("k"), b("1"), WriteKind::NoKeyUpdate);
    two.put(b("k"), b("2"), WriteKind::NoKeyUpdate);
    one.commit().await.expect("first");
    let error = two.commit().await.expect_err("second");
    assert_eq!(error.code, sqlstate::SERIALIZATION_FAILURE);
    assert_eq!(error.detail.as_deref(), Some("Key k was written or locked by region 1, at log index 2."));
    two.restart();
    two.put(b("k"), b("2"), WriteKind::NoKeyUpdate);
    two.commit().await.expect("what is written before the first snapshot relied on nothing");
    assert_eq!(f.read("k").await, Some(b("2")));
}

#[tokio::test]
async fn guards_are_certified_against_writes_and_schema_changes() {
    let f = plain();
    f.set("parent", "p").await;
    f.set("schema", "1").await;
    // A child is inserted while its parent's key is kept; another region's delete is played by a blind one.
    let (mut child, mut delete) = (f.begin(), f.begin());
    delete.statement().await.expect("a lease");
    child.lock(b"parent", LockStrength::KeyShare, LockWait::Wait).await.expect("free");
    child.put(b("child"), b("c"), WriteKind::NoKeyUpdate);
    child.commit().await.expect("nobody conflicts");
    delete.delete(b("parent"));
    assert_eq!(code(delete.commit().await), "40001", "T1: the guard left a trace");
    let mut update = f.begin();
    update.statement().await.expect("a lease");
    let mut other = f.begin();
    other.lock(b"parent", LockStrength::KeyShare, LockWait::Wait).await.expect("free");
    other.put(b("child2"), b("c"), WriteKind::NoKeyUpdate);
    other.commit().await.expect("nobody conflicts");
    update.put(b("parent"), b("q"), WriteKind::NoKeyUpdate);
    update.commit().await.expect("a change of no key does not disturb children");

    let mut planned = f.begin();
    planned.statement().await.expect("a lease");
    planned.guard_schema(b("schema"));
    planned.put(b("row"), b("r"), WriteKind::NoKeyUpdate);
    f.set("schema", "2").await;
    let error = planned.commit().await.expect_err("the schema changed");
    assert_eq!(
        error.detail.as_deref().map(|detail| detail.starts_with("The definition schema was changed")),
        Some(true)
    );

    let mut ranged = f.begin();
    ranged.statement().await.expect("a lease");
    ranged.guard_range(KeyRange::new("t/", "t0"));
    ranged.put(b("row"), b("r"), WriteKind::NoKeyUpdate);
    f.set("u", "outside").await;
    f.set("t/inside", "1").await;
    assert_eq!(code(ranged.commit().await), "40001");
}

#[tokio::test]
async fn a_key_share_lock_grows_over_a_harmless_update() {
    let f = plain();
    f.set("parent", "1").await;
    let mut t = f.begin();
    t.statement().await.expect("a lease");
    t.lock(b"parent", LockStrength::KeyShare, LockWait::Wait).await.expect("free");
    t.put(b("child"), b("c"), WriteKind::NoKeyUpdate);
    f.set("parent", "2").await;
    t.statement().await.expect("a lease");
    assert_eq!(lock(&mut *t, "parent").await, Ok(Locked::Unchanged(Some(b("2")))));
    t.put(b("parent"), b("3"), WriteKind::NoKeyUpdate);
    t.commit().await.expect("as in PostgreSQL");
    assert_eq!(f.read("parent").await, Some(b("3")));
}

#[tokio::test]
async fn a_row_that_fits_no_record_is_refused() {
    let f = fixture(Duration::ZERO, Options { record_bytes_max: 8 << 10, ..small_parts() });
    let mut t = f.begin();
    t.put(b("k"), Bytes::from(vec![0; 9 << 10]), WriteKind::NoKeyUpdate);
    assert_eq!(t.commit().await.map_err(|error| error.code), Err(sqlstate::PROGRAM_LIMIT_EXCEEDED));
    t.rollback();
    t.put(b("k"), Bytes::from(vec![0; 3 << 10]), WriteKind::NoKeyUpdate);
    t.commit().await.expect("it fits");
}

#[tokio::test]
async fn local_locks_queue_until_the_holder_is_applied() {
    let f = Arc::new(fixture(Duration::from_millis(5), Options::default()));
    f.set("n", "0").await;
    let adders: Vec<_> = (0..8)
        .map(|_| {
            let f = f.clone();
            tokio::spawn(async move {
                for _ in 0..3 {
                    let mut t = f.begin();
                    t.statement().await.expect("a lease");
                    let found = match lock(&mut *t, "n").await.expect("no conflict within a region") {
                        Locked::Unchanged(value) | Locked::Newer(value) => value.expect("it is there"),
                        Locked::Skipped => panic!("not asked to skip"),
                    };
                    let n: u64 = std::str::from_utf8(&found).expect("digits").parse().expect("digits");
                    t.put(b("n"), Bytes::from((n + 1).to_string()), WriteKind::NoKeyUpdate);
                    t.commit().await.expect("locks keep local writers apart");
                }
            })
        })
        .collect();
    for adder in adders {
        adder.await.expect("no panic");
    }
    assert_eq!(f.read("n").await, Some(b("24")));
    assert_eq!(f.database.state().locks.count(), 0);
    assert_eq!(f.database.state().snapshots.count(), 0);
    assert_eq!(f.database.state().pending.depth(), 0);
}

#[tokio::test]
async fn deadlock_nowait_and_skip_locked() {
    let f = plain();
    let (mut one, mut two) = (f.begin(), f.begin());
    lock(&mut *one, "a").await.expect("free");
    lock(&mut *two, "b").await.expect("free");
    assert_eq!(two.lock(b"a", LockStrength::Update, LockWait::SkipLocked).await, Ok(Locked::Skipped));
    assert_eq!(code(two.lock(b"a", LockStrength::Update, LockWait::NoWait).await), "55P03");
    let waits = tokio::spawn(async move {
        let got = lock(&mut *one, "b").await;
        (one, got)
    });
    // The other's wait is in the queue once it blocks: until then a deadlock cannot be seen.
    let error = loop {
        tokio::task::yield_now().await;
        if f.database.state().locks.count() == 2 {
            let mut attempt = Box::pin(two.lock(b"a", LockStrength::NoKeyUpdate, LockWait::Wait));
            if let Some(result) = (&mut attempt).now_or_never() {
                break result.expect_err("a cycle");
            }
        }
    };
    assert_eq!((error.code, error.message.as_str()), (sqlstate::DEADLOCK_DETECTED, "deadlock detected"));
    assert!(
        error.detail.as_deref().is_some_and(|d| d.contains("waits for FOR NO KEY UPDATE on a; blocked by transaction"))
    );
    two.rollback();
    let (_one, got) = waits.await.expect("no panic");
    assert_eq!(got, Ok(Locked::Unchanged(None)));
}

#[tokio::test]
async fn a_commit_whose_caller_is_gone_goes_on() {
    let f = fixture(Duration::from_millis(5), Options::default());
    let mut t = f.begin();
    lock(&mut *t, "k").await.expect("free");
    t.put(b("k"), b("v"), WriteKind::NoKeyUpdate);
    let mut commit = Box::pin(t.commit());
    assert!((&mut commit).now_or_never().is_none());
    drop(commit);
    drop(t);
    let mut next = f.begin();
    // Waits for the lock, which stays with the proposal (T14), and then sees what it wrote.
    assert_eq!(lock(&mut *next, "k").await, Ok(Locked::Unchanged(Some(b("v")))));
}

#[tokio::test]
async fn readers_of_a_key_in_flight_wait_and_others_do_not() {
    let f = fixture(Duration::from_millis(20), Options::default());
    let mut t = f.begin();
    t.put(b("k"), b("v"), WriteKind::NoKeyUpdate);
    let mut commit = Box::pin(t.commit());
    assert!((&mut commit).now_or_never().is_none());
    let mut reader = f.begin();
    assert_eq!(reader.get(b"other").now_or_never(), Some(Ok(None)));
    assert!(Box::pin(reader.scan(&KeyRange::new("a", "z"), false, 9)).now_or_never().is_none());
    assert_eq!(reader.get(b"k").await, Ok(Some(b("v"))));
    assert_eq!(commit.await.expect("nobody conflicts"), Committed { index: Some(2) });
}

#[tokio::test]
async fn an_index_is_filled_from_the_rows_of_its_version() {
    let f = plain();
    for key in ["t/1", "t/2", "t/3"] {
        f.set(key, "red").await;
    }
    let mut t = f.begin();
    t.statement().await.expect("a lease");
    t.guard_range(KeyRange::prefix("t/"));
    t.put(b("catalog"), b("index on t"), WriteKind::NoKeyUpdate);
    t.action(Action::FillIndex { table: KeyRange::prefix("t/"), index: KeyRange::prefix("i/"), spec: Bytes::new() });
    t.commit().await.expect("nobody conflicts");
    let keys: Vec<Bytes> = f.rows("i/", "i0").await.into_iter().map(|(key, _)| key).collect();
    assert_eq!(keys, ["i/red/t/1", "i/red/t/2", "i/red/t/3"].map(b));
    assert_eq!(f.database.state().background_floor(), Index(u64::MAX));
    let mut t = f.begin();
    t.delete(b("catalog"));
    t.action(Action::DropRange { range: KeyRange::prefix("i/") });
    t.commit().await.expect("nobody conflicts");
    f.log.core.lock().tidy();
    assert_eq!(f.store.newest(b"i/red/t/1", f.store.applied()).expect("in memory"), None);
}

#[tokio::test]
async fn read_only_transactions_do_not_write_and_lock_only_ones_are_certified() {
    let f = plain();
    let mut t = f.database.begin(Isolation::ReadCommitted, true);
    t.put(b("k"), b("v"), WriteKind::NoKeyUpdate);
    assert_eq!(code(t.commit().await), "25006");
    let mut t = f.begin();
    t.lock(b"k", LockStrength::Update, LockWait::Wait).await.expect("free");
    let before = f.log.read_begin();
    assert_eq!(t.commit().await, Ok(Committed { index: None }));
    assert_ne!(f.log.read_begin(), before, "T1: it left a record");
    assert_eq!(f.begin().commit().await, Ok(Committed { index: None }));
}

fn small_parts() -> Options {
    Options { commit_bytes_max: 4 << 10, part_bytes: 2 << 10, parts_in_flight_max: 3, ..Options::default() }
}

fn row(n: usize) -> Bytes {
    Bytes::from(format!("t/{n:06}"))
}

#[tokio::test]
async fn a_large_transaction_travels_as_parts_and_is_one() {
    let f = fixture(Duration::from_millis(1), small_parts());
    let mut t = f.begin();
    t.statement().await.expect("a lease");
    for n in 0..200 {
        t.put(row(n), b("large"), WriteKind::Update);
        t.spill().await.expect("a log");
    }
    let savepoint = t.savepoint();
    for n in 100..400 {
        t.put(row(n), b("undone"), WriteKind::Update);
        t.spill().await.expect("a log");
    }
    t.rollback_to(savepoint);
    t.delete(row(0));
    assert_eq!(f.rows("t/", "t0").await, [], "parts have no effect");
    assert_eq!(t.get(&row(150)).await, Ok(Some(b("large"))));
    t.commit().await.expect("nobody conflicts");
    let found = f.rows("t/", "t0").await;
    assert_eq!(found.len(), 199);
    assert!(found.iter().all(|(_, value)| *value == "large"));
    for kind in [KeyRange::prefix("p"), KeyRange::prefix("v"), KeyRange::prefix("j")] {
        assert_eq!(f.store.local_scan(&kind, 9).expect("in memory"), [], "parts and jobs are dropped");
    }
}

#[tokio::test]
async fn a_large_transaction_is_refused_for_a_conflict_with_any_of_its_keys_and_for_no_other() {
    for (key, accepted) in [(150, false), (399, false), (400, true)] {
        let f = fixture(Duration::ZERO, small_parts());
        let mut t = f.begin();
        t.statement().await.expect("a lease");
        for n in 0..400 {
            t.put(row(n), b("large"), WriteKind::Update);
            t.spill().await.expect("a log");
            if n == 300 {
                let mut small = f.begin();
                small.put(row(key), b("small"), WriteKind::NoKeyUpdate);
                small.commit().await.expect("the large one is not in the log yet");
            }
        }
        let outcome = t.commit().await;
        assert_eq!(outcome.is_ok(), accepted, "conflict at {key}: {outcome:?}");
        let expected = if accepted { 401 } else { 1 };
        assert_eq!(f.rows("t/", "t0").await.len(), expected);
        if !accepted {
            assert_eq!(outcome.unwrap_err().code, sqlstate::SERIALIZATION_FAILURE);
            // The abandon is proposed by a task of its own.
            while !f.store.local_scan(&KeyRange::new("p", "q"), 9).expect("in memory").is_empty() {
                tokio::task::yield_now().await;
            }
        }
    }
}

#[tokio::test]
async fn a_small_commit_after_the_final_meets_the_large_keys() {
    let f = fixture(Duration::ZERO, small_parts());
    let mut late = f.begin();
    late.statement().await.expect("a lease");
    let mut t = f.begin();
    for n in 0..400 {
        t.put(row(n), b("large"), WriteKind::Update);
    }
    t.commit().await.expect("nobody conflicts");
    late.put(row(7), b("small"), WriteKind::NoKeyUpdate);
    assert_eq!(code(late.commit().await), "40001");
}

#[tokio::test]
async fn row_ids_differ_and_a_store_opens_again() {
    let f = plain();
    let ids = [f.database.row_ids(10), f.database.row_ids(1)];
    assert_eq!(ids[1], ids[0] + 10);
    let at = f.set("k", "v").await;
    let Fixture { store, database, log } = f;
    drop((database, log));
    let (again, _) = LocalLog::open(store, Arc::new(ByValue), Duration::ZERO, Options::default()).expect("sound");
    assert!(again.row_ids(1) > ids[1], "another boot");
    let mut t = again.begin(Isolation::ReadCommitted, false);
    assert_eq!(t.get(b"k").await, Ok(Some(b("v"))));
    assert!(t.snapshot().expect("begun").index > at);
}

#[tokio::test]
async fn the_horizon_follows_and_is_held_by_live_snapshots() {
    let f = plain();
    f.set("k", "1").await;
    let mut old = f.repeatable();
    old.statement().await.expect("a lease");
    let held = old.snapshot().expect("begun").index;
    for _ in 0..3 {
        f.time_passes("2").await;
    }
    assert_eq!(old.get(b"k").await, Ok(Some(b("1"))));
    assert!(f.database.state().horizon_view().in_force.index.0 <= held);
    drop(old);
    for _ in 0..3 {
        f.time_passes("3").await;
    }
    assert!(f.database.state().horizon_view().in_force.index.0 > held);
    assert!(f.log.core.lock().machine.certifier().remembered() < 8, "what is below is forgotten");
    assert!(f.store.horizon() > held);
}

#[tokio::test]
async fn a_block_of_many_statements_holds_the_horizon_from_its_first_write() {
    let f = plain();
    let mut block = f.begin();
    block.statement().await.expect("a lease");
    f.time_passes("1").await;
    block.statement().await.expect("a lease");
    lock(&mut *block, "mine").await.expect("free");
    block.put(b("mine"), b("written"), WriteKind::NoKeyUpdate);
    let held = block.snapshot().expect("begun").index;
    for _ in 0..3 {
        f.time_passes("2").await;
        // Each statement of READ COMMITTED reads at a newer place, and the write relies on the old one.
        block.statement().await.expect("a lease");
        assert!(f.database.state().horizon_view().in_force.index.0 <= held);
    }
    assert_eq!(block.get(b"k").await, Ok(Some(b("2"))));
    block.commit().await.expect("nothing that it relies on was forgotten");
    f.time_passes("3").await;
    f.time_passes("4").await;
    assert!(f.database.state().horizon_view().in_force.index.0 > held);
}

#[tokio::test]
async fn what_was_true_of_the_watched_keys_stays_so_until_somebody_writes_one() {
    let f = plain();
    f.set("catalog/t", "1").await;
    let mut reader = f.begin();
    reader.statement().await.expect("a lease");
    let watch = reader.watch().expect("it has written nothing");
    assert!(reader.unchanged(watch));
    let mut old = f.repeatable();
    old.statement().await.expect("a lease");

    f.set("k", "1").await;
    reader.statement().await.expect("a lease");
    assert!(reader.unchanged(watch), "another key");
    let newer = reader.watch().expect("it has written nothing");
    assert!(!old.unchanged(newer), "an older snapshot than the one at which it was found true");
    assert!(old.unchanged(watch));

    f.set("catalog/t", "2").await;
    reader.statement().await.expect("a lease");
    assert!(!reader.unchanged(watch) && !reader.unchanged(newer));
    let again = reader.watch().expect("it has written nothing");
    assert!(reader.unchanged(again));

    lock(&mut *reader, "catalog/u").await.expect("free");
    reader.put(b("catalog/u"), b("mine"), WriteKind::Update);
    assert!(reader.watch().is_none() && !reader.unchanged(again), "its own write is seen by nobody else");

    let mut serializable = f.database.begin(Isolation::Serializable, false);
    serializable.statement().await.expect("a lease");
    assert!(serializable.watch().is_none(), "its reads have to be noted");
    let mut truncated = f.begin();
    truncated.statement().await.expect("a lease");
    let before = truncated.watch().expect("it has written nothing");
    let last = f.log.core.lock().last;
    f.database.state().snapshots.truncated(last);
    assert!(!truncated.unchanged(before), "an index may mean another entry now");
}

#[tokio::test]
async fn serializable_refuses_write_skew_and_phantoms_and_repeatable_read_does_not() {
    for (isolation, refused) in [(Isolation::RepeatableRead, false), (Isolation::Serializable, true)] {
        let f = plain();
        f.set("on-call/a", "yes").await;
        f.set("on-call/b", "yes").await;
        // Each of two doctors sees the other on call, and goes home.
        let (mut one, mut two) = (f.database.begin(isolation, false), f.database.begin(isolation, false));
        for (t, own, other) in [(&mut one, "on-call/a", "on-call/b"), (&mut two, "on-call/b", "on-call/a")] {
            t.statement().await.expect("a lease");
            assert_eq!(t.get(other.as_bytes()).await, Ok(Some(b("yes"))));
            lock(&mut **t, own).await.expect("free");
            t.put(b(own), b("no"), WriteKind::NoKeyUpdate);
        }
        one.commit().await.expect("first");
        assert_eq!(two.commit().await.is_err(), refused, "write skew under {isolation:?}");

        // Each counts the bookings, finds none, and books.
        let (mut one, mut two) = (f.database.begin(isolation, false), f.database.begin(isolation, false));
        for (t, key) in [(&mut one, "booking/1"), (&mut two, "booking/2")] {
            t.statement().await.expect("a lease");
            assert_eq!(rows(&mut **t, "booking/", "booking0", false, 10).await, []);
            t.put(b(key), b("mine"), WriteKind::NoKeyUpdate);
        }
        one.commit().await.expect("first");
        let outcome = two.commit().await;
        assert_eq!(outcome.is_err(), refused, "phantom under {isolation:?}");

        // A reader has nothing to be refused for.
        let mut reader = f.database.begin(isolation, false);
        reader.get(b"on-call/a").await.expect("a lease");
        f.set("on-call/a", "again").await;
        assert_eq!(reader.commit().await, Ok(Committed { index: None }));
    }
}
