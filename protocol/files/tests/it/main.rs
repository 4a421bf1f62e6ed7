//! The same expectations for every implementation, then what is particular to each.
mod suite;
mod volatile;

use std::sync::Arc;
use trivet_files::{Fault, FaultKind, FaultyFiles, Files, FilesError, MemoryFiles, Operation, OsFiles};

#[test]
fn a_directory_belongs_to_one_process_at_a_time() {
    let directory = tempfile::tempdir().expect("a temporary directory can be made");
    let path = directory.path().join("new/deep");
    let first = OsFiles::open(&path).expect("the directory is made on the way");
    match OsFiles::open(&path) {
        Err(FilesError::InUse { path: shown }) => assert_eq!(shown, path.display().to_string()),
        other => panic!("a second owner got {other:?}"),
    }
    drop(first);
    OsFiles::open(&path).expect("the lock goes with its owner");
}

#[test]
fn faults_hit_the_operation_that_was_named() {
    let memory = MemoryFiles::new();
    let files = FaultyFiles::over(Arc::new(memory.clone()));
    let file = files.create("a").expect("no fault yet");
    files.inject(Fault { operation: Operation::Write, nth: 2, times: 1, kind: FaultKind::DiskFull });
    file.write_at(0, b"one").expect("the first write is spared");
    let error = file.write_at(3, b"twos").expect_err("the second is not");
    assert!(error.is_disk_full() && !error.is_final(), "{error}");
    assert_eq!(memory.read("a").unwrap().unwrap(), b"onetw", "half of the failed write is there");
    file.write_at(3, b"two").expect("one fault, once");

    files.inject(Fault { operation: Operation::Sync, nth: 1, times: 1, kind: FaultKind::DiskFull });
    let error = file.sync_data().expect_err("the sync fails");
    assert!(error.is_final() && !error.is_disk_full(), "a failed sync is final, whatever its cause: {error}");

    files.set_room(4);
    file.preallocate(10).expect("four bytes more are there");
    assert!(file.write_at(10, b"x").expect_err("and no fifth").is_disk_full());
    files.heal();
    file.write_at(10, b"x").expect("healed");
    assert_eq!(files.count(Operation::Write), 5);
}
