//! What a killed process leaves behind.
use proptest::prelude::*;
use std::sync::Arc;
use trivet_files::{Files, MemoryFiles, OsFiles, VolatileFiles, VolatileOptions};

fn open(below: &MemoryFiles) -> VolatileFiles {
    VolatileFiles::open(Arc::new(below.clone()), VolatileOptions::default()).expect("memory opens")
}

#[test]
fn only_what_was_synced_survives_a_kill() {
    let below = MemoryFiles::new();
    let files = open(&below);
    let kept = files.create("kept").unwrap();
    kept.write_at(0, b"synced").unwrap();
    kept.sync_data().unwrap();
    files.sync_directory().unwrap();
    kept.write_at(0, b"SYNCED and more").unwrap();
    // Synced bytes under a name that is not.
    let nameless = files.create("nameless").unwrap();
    nameless.write_at(0, b"x").unwrap();
    nameless.sync_data().unwrap();
    // A name that is synced, over bytes that are not: the missing sync that `replace` must not forget.
    let empty = files.create("draft").unwrap();
    empty.write_at(0, b"x").unwrap();
    assert!(files.unsynced_bytes() > 0);
    assert_eq!(files.list().unwrap(), ["draft", "kept", "nameless"]);
    drop(files);

    let files = open(&below);
    assert_eq!(files.list().unwrap(), ["kept"]);
    assert_eq!(files.read("kept").unwrap().unwrap(), b"synced");
    assert_eq!(below.list().unwrap(), ["kept"], "nothing hidden is left over");

    let draft = files.create("draft").unwrap();
    draft.write_at(0, b"x").unwrap();
    files.rename("draft", "kept").unwrap();
    files.sync_directory().unwrap();
    drop(files);
    assert_eq!(open(&below).read("kept").unwrap().unwrap(), b"", "the name was synced, the bytes were not");
}

#[test]
fn a_removal_waits_for_the_directory() {
    let below = MemoryFiles::new();
    let files = open(&below);
    files.replace("a", b"1").unwrap();
    files.remove("a").unwrap();
    drop(files);
    let files = open(&below);
    assert_eq!(files.read("a").unwrap().unwrap(), b"1");
    files.remove("a").unwrap();
    files.sync_directory().unwrap();
    drop(files);
    assert!(open(&below).list().unwrap().is_empty());
}

#[test]
fn a_disk_that_skips_syncs_loses_what_it_acknowledged() {
    let directory = tempfile::tempdir().expect("a temporary directory can be made");
    let options = VolatileOptions { skip_sync: true, ..VolatileOptions::default() };
    let below = || Arc::new(OsFiles::open(directory.path()).expect("nobody else holds it"));
    let files = VolatileFiles::open(below(), options).unwrap();
    files.replace("a", b"1").unwrap();
    assert_eq!(files.read("a").unwrap().unwrap(), b"1");
    drop(files);
    assert!(VolatileFiles::open(below(), options).unwrap().list().unwrap().is_empty());
}

#[test]
fn after_a_crash_nothing_answers() {
    let below = MemoryFiles::new();
    let files = open(&below);
    let file = files.create("a").unwrap();
    files.crash(1).unwrap();
    assert!(file.write_at(0, b"x").is_err());
    assert!(file.sync_data().is_err());
    assert!(files.list().is_err());
}

#[derive(Clone, Debug)]
enum Step {
    Write { offset: u64, bytes: Vec<u8> },
    SetLength(u64),
    Preallocate(u64),
    Sync,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        6 => (0..20_000u64, prop::collection::vec(1..=255u8, 1..6000))
            .prop_map(|(offset, bytes)| Step::Write { offset, bytes }),
        1 => (0..20_000u64).prop_map(Step::SetLength),
        1 => (0..20_000u64).prop_map(Step::Preallocate),
        2 => Just(Step::Sync),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 150, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn reads_see_the_newest_and_kills_keep_the_synced(steps in prop::collection::vec(step(), 0..40)) {
        let below = MemoryFiles::new();
        let files = open(&below);
        let file = files.create("f").unwrap();
        files.sync_directory().unwrap();
        let (mut now, mut synced) = (Vec::new(), Vec::new());
        for step in steps {
            match step {
                Step::Write { offset, bytes } => {
                    file.write_at(offset, &bytes).unwrap();
                    let end = offset as usize + bytes.len();
                    now.resize(now.len().max(end), 0);
                    now[offset as usize..end].copy_from_slice(&bytes);
                }
                Step::SetLength(length) => {
                    file.set_length(length).unwrap();
                    now.resize(length as usize, 0);
                }
                Step::Preallocate(length) => {
                    file.preallocate(length).unwrap();
                    now.resize(now.len().max(length as usize), 0);
                }
                Step::Sync => {
                    file.sync_data().unwrap();
                    synced = now.clone();
                }
            }
            prop_assert!(files.read("f").unwrap().unwrap() == now, "a read missed a write");
            prop_assert!(below.read("f").unwrap().unwrap() == synced, "the file below is not what was synced");
        }
    }

    /// Whatever a crash lets through, each sector is either as it was synced or as it was last written, and the
    /// length is one of the lengths since.
    #[test]
    fn a_crash_mixes_old_and_new_by_sectors(
        old in prop::collection::vec(1..=255u8, 0..9000), new in prop::collection::vec(1..=255u8, 0..9000), seed: u64,
    ) {
        let below = MemoryFiles::new();
        let files = open(&below);
        let file = files.create("f").unwrap();
        files.sync_directory().unwrap();
        file.write_at(0, &old).unwrap();
        file.sync_data().unwrap();
        file.write_at(0, &new).unwrap();
        files.crash(seed).unwrap();
        let found = below.read("f").unwrap().unwrap();
        let mut after = old.clone();
        after.resize(old.len().max(new.len()), 0);
        after[..new.len()].copy_from_slice(&new);
        prop_assert!(found.len() == old.len() || found.len() == after.len());
        for at in (0..found.len()).step_by(512) {
            let part = |bytes: &[u8]| {
                let mut sector = bytes.get(at..bytes.len().min(at + 512)).unwrap_or_default().to_vec();
                sector.resize(512, 0);
                sector
            };
            prop_assert!(part(&found) == part(&old) || part(&found) == part(&after), "sector at {at} is neither");
        }
    }
}
