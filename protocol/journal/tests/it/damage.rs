//! Rot, told from tears; and bytes that were never a journal.
use crate::common::*;
use proptest::prelude::*;
use std::sync::Arc;
use trivet_files::{Files, MemoryFiles};
use trivet_journal::{Journal, JournalError, Start};
use trivet_log::{Index, Persist, Position};

const FIRST: &str = "segment-0000000000000001";

/// Nine entries in three batches in one segment, then more in others. Returns the log's last index.
fn some_journal(files: &MemoryFiles, batches: u64) -> u64 {
    let (mut journal, _) = open(files);
    for batch in 0..batches {
        write(&mut journal, &entries(1, batch * 3 + 1..=batch * 3 + 3, 150));
    }
    batches * 3
}

/// Where the frames of a segment end.
fn used(files: &MemoryFiles, name: &str) -> usize {
    let bytes = files.read(name).expect("memory reads").expect("the segment is there");
    bytes.iter().rposition(|&byte| byte != 0).expect("it holds something") + 1
}

#[test]
fn any_flipped_bit_below_the_mark_is_rot_and_stays_known() {
    let made = MemoryFiles::new();
    let last = some_journal(&made, 3);
    for at in 96..used(&made, FIRST) {
        let files = made.fork();
        files.edit(FIRST, |bytes| bytes[at] ^= 1 << (at % 8)).expect("there");
        let (mut journal, recovered) = open(&files);
        let good = recovered.last.index.0;
        assert!(good < last, "byte {at} is not covered");
        assert_eq!(recovered.rotten_up_to, Some(Index(last)), "byte {at}");
        assert!(recovered.entries.iter().all(|found| *found == entry(1, found.index().0, 150)), "byte {at}");
        assert!(files.list().unwrap().iter().any(|name| name.starts_with("rotten-")), "the evidence is kept");
        // It stays known over restarts, until the log has grown beyond.
        assert_eq!(open(&files).1.rotten_up_to, Some(Index(last)));
        let (_, recovered) = {
            drop(journal);
            open(&files)
        };
        assert_eq!(recovered.last.index.0, good);
        journal = open(&files).0;
        write(&mut journal, &entries(2, good + 1..=last, 10));
        assert_eq!(journal.rotten_up_to(), Some(Index(last)));
        write(&mut journal, &entries(2, last + 1..=last + 1, 10));
        assert_eq!(journal.rotten_up_to(), None);
        assert_eq!(open(&files).1.rotten_up_to, None);
    }
}

/// Without the mark (it is never synced), batches behind the damage still tell; the last batch cannot.
#[test]
fn without_the_mark_later_batches_show_rot_and_the_last_one_passes_for_a_tear() {
    let made = MemoryFiles::new();
    let last = some_journal(&made, 3);
    made.remove("mark").expect("there");
    let end = used(&made, FIRST);
    let (mut rotten, mut torn) = (0, 0);
    for at in (96..end).step_by(5) {
        let files = made.fork();
        files.edit(FIRST, |bytes| bytes[at] ^= 0x40).expect("there");
        let (_, recovered) = open(&files);
        match recovered.rotten_up_to {
            Some(index) => {
                assert!(recovered.last.index.0 < 6, "byte {at}: {}", show(&recovered));
                assert_eq!(index, Index(last));
                rotten += 1;
            }
            None => {
                assert!(recovered.last.index.0 >= 6, "byte {at}: acknowledged entries vanished silently");
                torn += 1;
            }
        }
    }
    assert!(rotten > 10 && torn > 5, "{rotten} {torn}");
}

#[test]
fn rot_in_an_earlier_segment_takes_the_later_ones_out() {
    let made = MemoryFiles::new();
    let last = some_journal(&made, 20);
    made.remove("mark").expect("there");
    let names: Vec<String> = made.list().unwrap().into_iter().filter(|name| name.starts_with("segment")).collect();
    assert!(names.len() >= 3);
    for (victim, name) in names[..names.len() - 1].iter().enumerate() {
        for how in ["a frame", "the end", "the file"] {
            if how == "the file" && victim == 0 {
                continue;
            }
            let files = made.fork();
            match how {
                "a frame" => files.edit(name, |bytes| bytes[1000] ^= 1).expect("there"),
                "the end" => {
                    let end = used(&files, name);
                    files.edit(name, |bytes| bytes[end - 100..].fill(0)).expect("there");
                }
                _ => files.remove(name).expect("there"),
            }
            let (mut journal, recovered) = open(&files);
            assert_eq!(recovered.rotten_up_to, Some(Index(last)), "{how} of {name}");
            let good = recovered.last.index.0;
            assert!(good < last);
            write(&mut journal, &entries(2, good + 1..=last + 5, 150));
            let (_, recovered) = open(&files);
            assert_eq!((recovered.last, recovered.rotten_up_to), (Position::new(2, last + 5), None), "{how} of {name}");
        }
    }
}

#[test]
fn a_lost_cut_does_not_bring_replaced_entries_back_unnoticed() {
    let files = MemoryFiles::new();
    let (mut journal, _) = open(&files);
    write(&mut journal, &entries(1, 1..=5, 50));
    let at = used(&files, FIRST).next_multiple_of(8);
    write(&mut journal, &Persist { truncate: Some(Position::new(1, 3)), ..entries(2, 4..=4, 50) });
    files.edit(FIRST, |bytes| bytes[at + 20] ^= 1).expect("there");
    let (_, recovered) = open(&files);
    assert_eq!(show(&recovered), "0.0..1.5 [1.1] 1.1 1.2 1.3 1.4 1.5 rotten up to 5");
}

/// A write that went astray in time: the frame verifies, but it belongs to another course of events.
#[test]
fn a_good_frame_that_does_not_follow_is_refused() {
    let files = MemoryFiles::new();
    write(&mut open(&files).0, &entries(1, 1..=3, 50));
    let start = used(&files, FIRST).next_multiple_of(8);
    let other = files.fork();
    let second = |files: &MemoryFiles, term| {
        let (mut journal, _) = open(files);
        write(&mut journal, &entries(term, 4..=4, 50));
        let between = used(files, FIRST).next_multiple_of(8);
        write(&mut journal, &entries(2, 5..=5, 50));
        between
    };
    let between = second(&files, 1);
    assert_eq!(second(&other, 2), between);
    let foreign = other.read(FIRST).unwrap().unwrap()[between..].to_vec();
    assert!(between > start);
    files.edit(FIRST, |bytes| bytes[between..].copy_from_slice(&foreign)).expect("there");
    let (_, recovered) = open(&files);
    assert_eq!((recovered.last, recovered.rotten_up_to), (Position::new(1, 4), Some(Index(5))));
}

#[test]
fn garbage_in_the_preallocated_space_is_a_tear() {
    let files = MemoryFiles::new();
    let last = some_journal(&files, 3);
    let end = used(&files, FIRST);
    files.edit(FIRST, |bytes| bytes[end + 100..end + 700].fill(0xa5)).expect("there");
    let (mut journal, recovered) = open(&files);
    assert_eq!((recovered.last.index, recovered.rotten_up_to), (Index(last), None));
    write(&mut journal, &entries(1, last + 1..=last + 2, 150));
    assert_eq!(open(&files).1.last.index, Index(last + 2));
}

#[test]
fn a_segment_whose_creation_was_cut_short_is_removed() {
    for content in [&[][..], &[0; 4096], b"TRVTJRNL\x01\0\0\0 half a header"] {
        let files = MemoryFiles::new();
        let last = some_journal(&files, 2);
        files.create("segment-0000000000000002").unwrap().write_at(0, content).unwrap();
        let (mut journal, recovered) = open(&files);
        assert_eq!((recovered.last.index, recovered.rotten_up_to), (Index(last), None));
        write(&mut journal, &entries(1, last + 1..=last + 40, 150));
        assert_eq!(open(&files).1.last.index, Index(last + 40));
    }
}

#[test]
fn what_cannot_be_repaired_is_refused_by_name() {
    let made = MemoryFiles::new();
    some_journal(&made, 3);
    let refused = |change: &dyn Fn(&MemoryFiles)| {
        let files = made.fork();
        change(&files);
        Journal::open(Arc::new(files), config(), Index(0)).err().map(|error| error.to_string()).unwrap_or_default()
    };
    let told = [
        refused(&|files| files.edit("state", |bytes| bytes[50] ^= 1).unwrap()),
        refused(&|files| files.edit("state", |bytes| bytes[8] = 9).unwrap()),
        refused(&|files| files.remove("state").unwrap()),
        refused(&|files| files.remove(FIRST).unwrap()),
        refused(&|files| files.edit(FIRST, |bytes| bytes[20] ^= 1).unwrap()),
    ];
    assert_eq!(
        told.join("\n"),
        "\
memory: state is damaged: its checksum is wrong, so this node's votes are lost; it must come back under a new id
memory: state was written by a newer release (format 9)
memory: segment-0000000000000001 is damaged: a log without the state that belongs to it
memory: segment-0000000000000001 is damaged: the node's state is here, but its log is not
memory: segment-0000000000000001 is damaged: the oldest segment's header does not verify"
    );
}

#[test]
fn a_reader_never_returns_damaged_bytes() {
    let files = MemoryFiles::new();
    let last = some_journal(&files, 3);
    let (journal, _) = open(&files);
    files.edit(FIRST, |bytes| bytes[700] ^= 4).expect("there");
    assert!(matches!(journal.read(Index(1), Index(last), usize::MAX), Err(JournalError::Damaged { .. })));
    assert_eq!(journal.read(Index(1), Index(1), usize::MAX).expect("before the damage"), [entry(1, 1, 150)]);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, failure_persistence: None, ..ProptestConfig::default() })]

    /// Whatever lies in the files, opening answers; and if it opens, the log works.
    #[test]
    fn random_bytes_never_panic(
        segment in prop::collection::vec(any::<u8>(), 0..3000),
        edits in prop::collection::vec((0..12_000usize, any::<u8>()), 0..30),
        replace_whole in 0..6usize,
    ) {
        let files = MemoryFiles::new();
        let last = some_journal(&files, 12);
        let names = files.list().unwrap();
        match replace_whole {
            0 => files.edit(FIRST, |bytes| *bytes = segment.clone()).unwrap(),
            1 => files.edit("segment-0000000000000002", |bytes| *bytes = segment.clone()).unwrap(),
            2 => files.edit("state", |bytes| *bytes = segment.clone()).unwrap(),
            3 => files.edit("mark", |bytes| *bytes = segment.clone()).unwrap(),
            _ => {}
        }
        for (at, byte) in edits {
            let name = &names[at % names.len()];
            files.edit(name, |bytes| if let Some(found) = bytes.get_mut(at / names.len()) { *found = byte }).unwrap();
        }
        let config = trivet_journal::JournalConfig { start: Start::Again, ..config() };
        if let Ok((mut journal, recovered)) = Journal::open(Arc::new(files.clone()), config, Index(0)) {
            prop_assert!(recovered.last.index.0 <= last);
            prop_assert!(recovered.entries.iter().all(|found| *found == entry(1, found.index().0, 150)), "nothing corrupt is accepted");
            let next = recovered.last.index.0 + 1;
            write(&mut journal, &entries(2, next..=next, 10));
            prop_assert_eq!(open(&files).1.last, Position::new(2, next));
        }
    }
}
