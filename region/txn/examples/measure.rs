//! What the core thread's part of a commit costs, and a transaction of a million rows.
//!
//! `cargo run --profile bench -p trivet-txn --example measure -- [rows]`. Numbers of one run are in the log of the
//! change that touched this last.
#![allow(clippy::print_stdout)]
use bytes::Bytes;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};
use trivet_log::{Boot, Entry, EntryBody, Index, Machine, NodeId, Now, Position, Proposal, ProposalId, Term, Verdict};
use trivet_storage::{KeyRange, MemoryStore, Row};
use trivet_txn::*;

struct NoIndexes;

impl IndexBuilder for NoIndexes {
    fn entries(&self, _: &[u8], _: &Row, _: &mut Vec<(Bytes, Bytes)>) -> Result<(), String> {
        Err("no index here".into())
    }
}

fn at(index: u64) -> Position {
    Position { term: Term(1), index: Index(index) }
}

fn main() {
    small_records();
    let rows = std::env::args().nth(1).map_or(1_000_000, |rows| rows.parse().expect("a number of rows"));
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().expect("threads");
    runtime.block_on(large_transaction(rows));
}

/// `certify` and `received` of records with four keys, as a leader's core calls them.
fn small_records() {
    const RECORDS: u64 = 100_000;
    let state = RegionState::new(NodeId(1), Boot(1));
    let mut machine = RegionMachine::new(state.clone(), Rules::ALL, Position::default(), None, Index(0));
    machine.received(&Entry { position: at(1), body: EntryBody::NoOp });
    machine.leading(Now::default(), Term(1), true);
    let (mut certify, mut receive, mut settle) = (Duration::ZERO, Duration::ZERO, Duration::ZERO);
    for n in 0..RECORDS {
        let index = n + 2;
        let read_at = at(index.saturating_sub(1000).max(1));
        let keys = (0..4u64).map(|k| KeyAccess {
            key: Bytes::from(format!("table/{:012}/{k}", n * 7919 % 1_000_003)),
            access: Access::Put { value: Bytes::from_static(&[7; 60]), kind: WriteKind::NoKeyUpdate },
            read_at,
            lock_at: read_at,
            key_at: None,
        });
        let id = ProposalId { region: NodeId(1), boot: Boot(1), sequence: n + 1 };
        let record = Record::Commit(CommitRecord {
            transaction: TransactionId { region: id.region, boot: id.boot, sequence: n },
            snapshot: read_at,
            low_water: n.saturating_sub(1000).max(1),
            parts: 0,
            keys: keys.collect(),
            schema_guards: vec![KeyGuard { key: Bytes::from_static(b"schema/table"), read_at }],
            reads: vec![],
            ranges: vec![],
            actions: vec![],
        });
        let proposal = Proposal { id, snapshot: read_at, payload: record.encode() };
        let now = Now { boottime: n * 1000, wall: n * 1000 };
        let started = Instant::now();
        let verdict = machine.certify(now, at(index), &proposal);
        let certified = Instant::now();
        let Verdict::Append { header } = verdict else { panic!("no two records touch one key: {verdict:?}") };
        machine.received(&Entry { position: at(index), body: EntryBody::Record { header, proposal } });
        let received = Instant::now();
        // A thousand are in flight.
        if index > 1000 {
            machine.committed(at(index - 1000));
            state.pending.applied(Index(index - 1000));
        }
        settle += received.elapsed();
        certify += certified - started;
        receive += received - certified;
    }
    let each = |total: Duration| total.as_nanos() as u64 / RECORDS;
    println!(
        "a record of 4 keys: certify {} ns, received {} ns, commit and resolve {} ns",
        each(certify),
        each(receive),
        each(settle)
    );
}

/// One transaction of many rows of 100 bytes, and what others feel meanwhile.
async fn large_transaction(rows: u64) {
    let store = Arc::new(MemoryStore::new());
    let (database, _log) = LocalLog::open(store, Arc::new(NoIndexes), Duration::from_micros(200), Options::default())
        .expect("a new store");
    let stop = Arc::new(AtomicBool::new(false));
    let others = tokio::spawn(small_commits(database.clone(), stop.clone()));
    let started = Instant::now();
    let mut transaction = database.begin(Isolation::ReadCommitted, false);
    transaction.statement().await.expect("a lease");
    let first = database.row_ids(rows);
    for n in 0..rows {
        let key = [b"table/", &(first + n).to_be_bytes()[..]].concat();
        transaction.put(Bytes::from(key), Bytes::from(vec![b'x'; 100]), WriteKind::NoKeyUpdate);
        if n % 1000 == 0 {
            transaction.spill().await.expect("a log");
        }
    }
    let (written, memory) = (started.elapsed(), resident_megabytes());
    transaction.commit().await.expect("nobody conflicts");
    let committed = started.elapsed();
    let mut reader = database.begin(Isolation::ReadCommitted, true);
    let found = reader.scan(&KeyRange::prefix("table/"), true, 1).await.expect("a lease");
    assert_eq!(found.len(), 1, "the rows are there");
    println!(
        "{rows} rows: written after {written:?} with {memory} MB resident, committed after {committed:?}, readable after {:?}",
        started.elapsed()
    );
    stop.store(true, Ordering::Relaxed);
    let mut waits = others.await.expect("no panic");
    waits.sort_unstable();
    let of = |permille: usize| waits[(waits.len() - 1) * permille / 1000];
    println!(
        "{} small commits meanwhile: median {:?}, 99 % {:?}, longest {:?}",
        waits.len(),
        of(500),
        of(990),
        of(1000)
    );
}

async fn small_commits(database: Arc<RegionDatabase>, stop: Arc<AtomicBool>) -> Vec<Duration> {
    let mut waits = Vec::new();
    while !stop.load(Ordering::Relaxed) {
        let started = Instant::now();
        let mut transaction = database.begin(Isolation::ReadCommitted, false);
        transaction.lock(b"counter", LockStrength::NoKeyUpdate, LockWait::Wait).await.expect("free");
        transaction.put(Bytes::from_static(b"counter"), Bytes::from_static(b"1"), WriteKind::NoKeyUpdate);
        transaction.commit().await.expect("nobody conflicts");
        waits.push(started.elapsed());
    }
    waits
}

fn resident_megabytes() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    line.and_then(|line| line.split_whitespace().next()?.parse::<u64>().ok()).unwrap_or(0) >> 10
}
