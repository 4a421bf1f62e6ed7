//! A disk that is really full: a small file system in memory. Needs root to mount it; says so and passes otherwise.
use crate::engines::*;
use bytes::Bytes;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};
use tempfile::TempDir;
use trivet_storage::{Batch, RocksStore, Store, StoreError};

struct SmallDisk {
    directory: TempDir,
}

impl SmallDisk {
    fn mount(megabytes: u32) -> Option<SmallDisk> {
        let directory = tempfile::tempdir().expect("a temporary directory can be made");
        let options = format!("size={megabytes}m");
        match mount(&["-t", "tmpfs", "-o", &options, "tmpfs"], directory.path()) {
            Ok(()) => Some(SmallDisk { directory }),
            Err(reason) => {
                eprintln!("skipped: cannot mount a small file system: {reason}");
                None
            }
        }
    }

    fn resize(&self, megabytes: u32) {
        let options = format!("remount,size={megabytes}m");
        mount(&["-o", &options], self.directory.path()).expect("what was mounted can be mounted again");
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let unmounted = Command::new("umount").arg(self.directory.path()).status();
        assert!(
            unmounted.is_ok_and(|status| status.success()) || std::thread::panicking(),
            "the small disk stays mounted"
        );
    }
}

fn mount(arguments: &[&str], at: &Path) -> Result<(), String> {
    let output = Command::new("mount").args(arguments).arg(at).output().map_err(|error| error.to_string())?;
    if output.status.success() { Ok(()) } else { Err(String::from_utf8_lossy(&output.stderr).trim().to_string()) }
}

/// Bytes that do not compress.
fn noise(version: u64) -> Bytes {
    let mut word = version;
    let mut bytes = Vec::with_capacity(32 << 10);
    while bytes.len() < 32 << 10 {
        word = word.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        bytes.extend_from_slice(&word.to_be_bytes()[..4]);
    }
    bytes.into()
}

fn apply(store: &RocksStore, version: u64) -> Result<(), StoreError> {
    let writes = vec![(bytes(&format!("k{version:06}")), version, Some(noise(version)))];
    store.apply(Batch { writes, applied: Some(version), ..Batch::default() })
}

/// Applies until the disk refuses: at most what memory takes beyond it.
fn fill(store: &RocksStore) -> u64 {
    for version in 1..10_000 {
        let outcome = if version % 8 == 0 { store.flush() } else { Ok(()) }.and_then(|()| apply(store, version));
        match outcome {
            Ok(()) => {}
            Err(StoreError::DiskFull(_)) => return version - 1,
            Err(error) => panic!("a full disk should be told as such, not as: {error}"),
        }
    }
    panic!("the small disk never filled up");
}

fn intact(store: &RocksStore, up_to: u64) {
    for version in 1..=up_to {
        let key = format!("k{version:06}");
        let found = store.newest(key.as_bytes(), u64::MAX).expect("reads work on a full disk");
        assert_eq!(found, Some((version, Some(noise(version)))), "{key}");
    }
}

#[test]
fn a_full_disk_refuses_and_keeps_what_was_flushed() {
    let Some(disk) = SmallDisk::mount(8) else { return };
    let store = RocksStore::open(disk.directory.path(), options()).expect("there is room to begin with");
    let applied = fill(&store);
    let flushed = store.flushed();
    assert!(flushed > 50 && flushed <= applied, "{flushed} of {applied}");
    assert_eq!(store.applied(), applied, "what was refused is not applied");
    intact(&store, applied);
    drop(store);
    // What is left after a crash on a full disk is what was promised.
    disk.resize(64);
    let store = RocksStore::open(disk.directory.path(), options()).expect("opens when there is room");
    assert!(store.applied() >= flushed && store.applied() <= applied);
    intact(&store, store.applied());
}

#[test]
fn writes_work_again_when_there_is_room() {
    let Some(disk) = SmallDisk::mount(8) else { return };
    let store = RocksStore::open(disk.directory.path(), options()).expect("there is room to begin with");
    let applied = fill(&store);
    disk.resize(64);
    // RocksDB looks for room every few seconds and then goes on by itself.
    let begun = Instant::now();
    let mut outcome = apply(&store, applied + 1);
    while outcome.is_err() && begun.elapsed() < Duration::from_secs(30) {
        std::thread::sleep(Duration::from_millis(50));
        outcome = apply(&store, applied + 1);
    }
    outcome.expect("the store goes on when there is room");
    store.flush().expect("and flushes");
    assert_eq!(store.flushed(), applied + 1);
    intact(&store, applied + 1);
}
