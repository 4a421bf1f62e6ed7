//! Disks that are full or broken while the journal writes.
use crate::common::*;
use std::sync::Arc;
use trivet_files::{Fault, FaultKind, FaultyFiles, MemoryFiles, Operation};
use trivet_journal::{Journal, JournalError};
use trivet_log::{Index, Position};

fn faulty() -> (MemoryFiles, FaultyFiles, Journal) {
    let memory = MemoryFiles::new();
    let files = FaultyFiles::over(Arc::new(memory.clone()));
    let (mut journal, _) = open_in(Arc::new(files.clone()));
    write(&mut journal, &entries(1, 1..=3, 300));
    (memory, files, journal)
}

#[test]
fn a_full_disk_refuses_cleanly_and_the_journal_goes_on_when_there_is_room() {
    let (memory, files, mut journal) = faulty();
    files.set_room(2 * SEGMENT);
    let mut next = 4;
    // The space that is reserved is used up first.
    let error = loop {
        journal.apply(&entries(1, next..=next, 300)).expect("applying needs no disk");
        match journal.sync() {
            Ok(durable) => assert_eq!(durable, Position::new(1, next)),
            Err(error) => break error,
        }
        next += 1;
    };
    assert!(error.is_disk_full() && !error.is_final(), "{error}");
    assert!(next > 20, "two segments and the rest of the first hold more than {next}");
    assert_eq!(journal.durable(), Position::new(1, next - 1));
    assert!(journal.sync().expect_err("still full").is_disk_full());
    assert_eq!(journal.read(Index(1), Index(next), usize::MAX).expect("reads work").len() as u64, next - 1);
    // A restart now finds what was acknowledged.
    assert_eq!(open(&memory.fork()).1.last, Position::new(1, next - 1));
    files.heal();
    assert_eq!(journal.sync().expect("there is room again"), Position::new(1, next));
    let (_, recovered) = open(&memory);
    assert_eq!((recovered.last, recovered.rotten_up_to), (Position::new(1, next), None));
    assert_eq!(recovered.entries[next as usize - 1], entry(1, next, 300));
}

/// Every operation of a busy stretch fails once, by a full and by a broken disk. Afterwards: on from there, or refused;
/// and a restart finds everything acknowledged, and nothing that was never applied.
#[test]
fn any_single_fault_loses_nothing_acknowledged() {
    let operations = [
        Operation::Write,
        Operation::Sync,
        Operation::Create,
        Operation::Preallocate,
        Operation::Rename,
        Operation::Remove,
    ];
    let mut hits = 0;
    for operation in operations {
        for kind in [FaultKind::DiskFull, FaultKind::Broken] {
            for nth in 1.. {
                let (memory, files, mut journal) = faulty();
                let before = files.count(operation);
                files.inject(Fault { operation, nth, times: 1, kind });
                let acknowledged = busy(&mut journal);
                let hit = files.count(operation) - before >= nth;
                files.heal();
                let (_, recovered) = open(&memory);
                let what = format!("{kind:?} at {operation} {nth}: {}", show(&recovered));
                assert!(recovered.last.index.0 >= acknowledged, "{what}, but {acknowledged} was acknowledged");
                assert!(recovered.entries.iter().all(|found| *found == entry(1, found.index().0, 300)), "{what}");
                assert_eq!(recovered.rotten_up_to, None, "{what}");
                if !hit {
                    break;
                }
                hits += 1;
            }
        }
    }
    assert!(hits > 50, "only {hits} faults found something to hit");
}

/// Writes over several segments, with votes and pruning, giving each call a second try. Returns what was acknowledged.
fn busy(journal: &mut Journal) -> u64 {
    let mut acknowledged = 3;
    for index in 4..=40 {
        let mut persist = entries(1, index..=index, 300);
        if index % 10 == 0 {
            persist.hard_state = vote(index, Some(1)).hard_state;
        }
        if journal.apply(&persist).is_err() {
            break;
        }
        for _ in 0..2 {
            match journal.sync() {
                Ok(durable) => {
                    assert_eq!(durable.index.0, index);
                    acknowledged = index;
                    break;
                }
                Err(error) if error.is_final() => {
                    assert!(matches!(journal.sync(), Err(JournalError::Failed)), "a failed sync must stay failed");
                }
                Err(_) => {}
            }
        }
        if index % 15 == 0 {
            // A fault here costs space, nothing else.
            let _ = journal.prune(Index(index - 5));
        }
    }
    acknowledged
}

#[test]
fn a_full_disk_at_the_start_is_told_as_such() {
    let files = FaultyFiles::over(Arc::new(MemoryFiles::new()));
    files.set_room(100);
    let error = Journal::open(Arc::new(files.clone()), config(), Index(0)).err().expect("no room for a segment");
    assert!(error.is_disk_full(), "{error}");
    files.heal();
    open_in(Arc::new(files));
}
