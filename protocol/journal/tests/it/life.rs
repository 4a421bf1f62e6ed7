//! A journal that nothing bad happens to.
use crate::common::*;
use std::sync::Arc;
use trivet_files::{Files, MemoryFiles, OsFiles};
use trivet_journal::{Identity, Journal, JournalConfig, JournalError, Start};
use trivet_log::{Boot, ClusterId, Index, NodeId, Persist, Position, Term};

/// Each step is made durable, the journal is opened again, and tells what it has.
#[test]
fn each_kind_of_persist_survives_a_restart() {
    let files = MemoryFiles::new();
    let steps: [(&str, Persist); 9] = [
        ("three entries of term 1", entries(1, 1..=3, 10)),
        ("a vote", vote(2, Some(1))),
        ("two of term 2", entries(2, 4..=5, 10)),
        ("cut to 4 and replaced", Persist { truncate: Some(Position::new(2, 4)), ..entries(3, 5..=6, 10) }),
        ("cut at the end: nothing", cut(3, 6)),
        ("base 2", base(1, 2)),
        ("base 5", base(3, 5)),
        ("base 20, a gap", base(4, 20)),
        ("and on", entries(4, 21..=22, 10)),
    ];
    let mut told = String::new();
    for (what, step) in steps {
        let (mut journal, _) = open(&files);
        write(&mut journal, &step);
        let (_, recovered) = open(&files);
        told += &format!("{what}: {}\n", show(&recovered));
    }
    assert_eq!(
        told,
        "\
three entries of term 1: 0.0..1.3 [1.1] 1.1 1.2 1.3
a vote: 0.0..1.3 [1.1] 1.1 1.2 1.3
two of term 2: 0.0..2.5 [1.1 2.4] 1.1 1.2 1.3 2.4 2.5
cut to 4 and replaced: 0.0..3.6 [1.1 2.4 3.5] 1.1 1.2 1.3 2.4 3.5 3.6
cut at the end: nothing: 0.0..3.6 [1.1 2.4 3.5] 1.1 1.2 1.3 2.4 3.5 3.6
base 2: 1.2..3.6 [1.2 2.4 3.5] 1.3 2.4 3.5 3.6
base 5: 3.5..3.6 [3.5] 3.6
base 20, a gap: 4.20..4.20 [4.20] \n\
and on: 4.20..4.22 [4.20] 4.21 4.22
"
    );
    let (journal, recovered) = open(&files);
    assert_eq!((recovered.term, recovered.voted_for), (Term(2), Some(NodeId(1))));
    assert_eq!((recovered.boot, journal.boot()), (Boot(19), Boot(19)), "each start raised it");
    assert_eq!(recovered.entries[0], entry(4, 21, 10), "bytes come back as they were");
}

#[test]
fn a_group_of_persists_is_one_sync() {
    use trivet_files::{FaultyFiles, Operation};
    let files = FaultyFiles::over(Arc::new(MemoryFiles::new()));
    let (mut journal, _) = open_in(Arc::new(files.clone()));
    let before = files.count(Operation::Sync);
    for index in 1..=20 {
        journal.apply(&entries(1, index..=index, 20)).expect("alive");
    }
    assert_eq!((journal.last(), journal.durable()), (Position::new(1, 20), Position::ZERO));
    assert!(journal.pending_bytes() > 20 * 20);
    assert_eq!(journal.sync().expect("the disk works"), Position::new(1, 20));
    assert_eq!(files.count(Operation::Sync) - before, 1);
    assert_eq!((journal.pending_bytes(), journal.durable()), (0, Position::new(1, 20)));
    journal.sync().expect("nothing to do");
    assert_eq!(files.count(Operation::Sync) - before, 1, "nothing new, no sync");
}

#[test]
fn reads_are_bounded_and_cross_segments_and_cuts() {
    let files = MemoryFiles::new();
    let (mut journal, _) = open(&files);
    write(&mut journal, &entries(1, 1..=60, 200));
    write(&mut journal, &cut(1, 40));
    write(&mut journal, &entries(2, 41..=90, 200));
    for reopened in [false, true] {
        let reader = if reopened { open(&files).0.reader() } else { journal.reader() };
        let read = |from, to, bytes_max| reader.read(Index(from), Index(to), bytes_max);
        let all = read(1, 90, usize::MAX).expect("all there");
        let want: Vec<_> =
            (1..=40).map(|index| entry(1, index, 200)).chain((41..=90).map(|index| entry(2, index, 200))).collect();
        assert!(all == want, "the log is not what was left of it");
        for from in 1..=90 {
            assert_eq!(read(from, 90, 1).expect("at least one"), &want[from as usize - 1..from as usize]);
        }
        let some = read(39, 90, 1000).expect("there");
        assert!(some.len() > 1 && some.len() <= 5 && some == want[38..38 + some.len()]);
        assert_eq!(read(39, 41, usize::MAX).expect("there"), &want[38..41]);
        assert_eq!(read(88, 1000, usize::MAX).expect("as far as there is"), &want[87..]);
        assert!(matches!(read(91, 91, 1), Err(JournalError::Beyond { .. })));
        assert!(matches!(read(0, 5, 1), Err(JournalError::Pruned { .. })));
    }
}

#[test]
fn only_entries_that_are_asked_for_are_recovered() {
    let files = MemoryFiles::new();
    write(&mut open(&files).0, &entries(1, 1..=50, 100));
    let (_, recovered) = Journal::open(Arc::new(files), config(), Index(47)).expect("opens");
    assert_eq!(show(&recovered), "0.0..1.50 [1.1] 1.48 1.49 1.50");
}

#[test]
fn pruning_drops_whole_segments_below() {
    let files = MemoryFiles::new();
    let (mut journal, _) = open(&files);
    let segments =
        |files: &MemoryFiles| files.list().unwrap().iter().filter(|name| name.starts_with("segment")).count();
    for index in 1..=100 {
        write(&mut journal, &entries(1 + index / 50, index..=index, 200));
    }
    let before = segments(&files);
    journal.prune(Index(1)).expect("nothing to drop");
    assert_eq!(segments(&files), before);
    journal.prune(Index(60)).expect("drops");
    assert!(segments(&files) < before / 2 + 1);
    let base = journal.base();
    assert!(base.index > Index(40) && base.index < Index(60), "{base}");
    assert!(matches!(journal.read(base.index, Index(100), 1), Err(JournalError::Pruned { .. })));
    assert_eq!(journal.read(base.index.next(), Index(100), 1).expect("there").len(), 1);
    let (mut journal, recovered) = open(&files);
    assert_eq!((recovered.base, recovered.last), (base, Position::new(3, 100)));
    assert_eq!(recovered.term_starts[0], base);
    journal.prune(Index(u64::MAX)).expect("drops");
    assert_eq!(segments(&files), 1, "the last one stays");
    write(&mut journal, &entries(3, 101..=101, 10));
    assert_eq!(open(&files).1.last, Position::new(3, 101));
}

#[test]
fn segments_whose_entries_were_all_replaced_go_too() {
    let files = MemoryFiles::new();
    let (mut journal, _) = open(&files);
    write(&mut journal, &entries(1, 1..=10, 100));
    write(&mut journal, &entries(1, 11..=60, 200));
    write(&mut journal, &Persist { truncate: Some(Position::new(1, 10)), ..entries(2, 11..=12, 3000) });
    journal.prune(Index(11)).expect("drops");
    let (journal, recovered) = open(&files);
    assert_eq!(show(&recovered), "1.10..2.12 [1.10 2.11] 2.11 2.12");
    assert!(journal.stored_bytes() < 3 * SEGMENT);
}

/// The witness: a base that moves on, now and then payload, no growth.
#[test]
fn a_moving_base_keeps_the_journal_small() {
    let files = MemoryFiles::new();
    let (mut journal, _) = open(&files);
    for round in 1..=500 {
        write(&mut journal, &base(1, round * 10));
        if round % 50 == 0 {
            write(&mut journal, &entries(1, round * 10 + 1..=round * 10 + 5, 300));
        }
    }
    assert!(files.list().unwrap().len() <= 4, "{:?}", files.list());
    let (_, recovered) = open(&files);
    assert_eq!(show(&recovered), "1.5000..1.5005 [1.5000] 1.5001 1.5002 1.5003 1.5004 1.5005");
}

/// A window start of another history than the window's content: what was held is stale.
#[test]
fn a_base_of_another_history_empties_the_log() {
    let files = MemoryFiles::new();
    let (mut journal, _) = open(&files);
    write(&mut journal, &entries(1, 1..=8, 10));
    journal.apply(&base(2, 7)).expect("alive");
    write(&mut journal, &entries(2, 8..=9, 10));
    assert_eq!(journal.read(Index(8), Index(9), usize::MAX).expect("there"), [entry(2, 8, 10), entry(2, 9, 10)]);
    assert_eq!(show(&open(&files).1), "2.7..2.9 [2.7] 2.8 2.9");
}

#[test]
fn an_entry_larger_than_a_segment_gets_its_own() {
    let files = MemoryFiles::new();
    let (mut journal, _) = open(&files);
    write(&mut journal, &Persist { entries: vec![entry(1, 1, 10), entry(1, 2, 50_000), entry(1, 3, 10)], ..persist() });
    assert_eq!(journal.read(Index(1), Index(3), usize::MAX).expect("there").len(), 3);
    let (_, recovered) = open(&files);
    assert_eq!(recovered.entries[1], entry(1, 2, 50_000));
    assert_eq!(recovered.last, Position::new(1, 3));
}

#[test]
fn a_directory_is_one_nodes_of_one_cluster() {
    let files = MemoryFiles::new();
    let open_as = |cluster, node, start| {
        let identity = Identity { cluster: ClusterId(cluster), node: NodeId(node) };
        Journal::open(Arc::new(files.clone()), JournalConfig::new(identity, start), Index(0))
            .map(|(_, found)| found.boot)
    };
    let error = |result: Result<Boot, JournalError>| result.expect_err("it must be refused").to_string();
    assert_eq!(
        error(open_as(1, 2, Start::Again)),
        "memory holds no journal, but node 2 of cluster 00000000000000000000000000000001 is expected to have one: a node \
         that lost its disk must come back under a new id"
    );
    assert_eq!(open_as(1, 2, Start::First).expect("the first start"), Boot(1));
    assert_eq!(open_as(1, 2, Start::Again).expect("the second"), Boot(2));
    assert_eq!(
        error(open_as(1, 2, Start::First)),
        "memory already holds the journal of node 2 of cluster 00000000000000000000000000000001, started 2 times"
    );
    for start in [Start::First, Start::Again, Start::Any] {
        assert_eq!(
            error(open_as(1, 3, start)),
            "memory belongs to node 2 of cluster 00000000000000000000000000000001, not to node 3 of cluster \
             00000000000000000000000000000001"
        );
        assert!(matches!(open_as(7, 2, start), Err(JournalError::Foreign { .. })));
    }
}

#[test]
fn real_files_do_the_same() {
    let directory = tempfile::tempdir().expect("a temporary directory can be made");
    let files = || Arc::new(OsFiles::open(directory.path().join("journal")).expect("nobody else holds it"));
    let (mut journal, _) = open_in(files());
    write(&mut journal, &vote(1, Some(2)));
    write(&mut journal, &entries(1, 1..=100, 100));
    write(&mut journal, &Persist { truncate: Some(Position::new(1, 70)), ..entries(2, 71..=80, 100) });
    journal.prune(Index(50)).expect("drops");
    assert_eq!(journal.read(Index(70), Index(71), usize::MAX).expect("there"), [entry(1, 70, 100), entry(2, 71, 100)]);
    drop(journal);
    let (_, recovered) = open_in(files());
    assert_eq!((recovered.last, recovered.term, recovered.rotten_up_to), (Position::new(2, 80), Term(1), None));
    assert!(recovered.base.index > Index(0) && recovered.base.index < Index(50));
    assert_eq!(recovered.entries.len() as u64, 80 - recovered.base.index.0);
}
