//! What every `Files` does.
use std::sync::Arc;
use trivet_files::{Files, FilesError, MemoryFiles, OsFiles, VolatileFiles, VolatileOptions};

fn everywhere(check: impl Fn(&str, Arc<dyn Files>)) {
    let directory = tempfile::tempdir().expect("a temporary directory can be made");
    let os = |name: &str| -> Arc<dyn Files> { Arc::new(OsFiles::open(directory.path().join(name)).unwrap()) };
    let volatile =
        |below| -> Arc<dyn Files> { Arc::new(VolatileFiles::open(below, VolatileOptions::default()).unwrap()) };
    check("os", os("plain"));
    check("memory", Arc::new(MemoryFiles::new()));
    check("volatile over os", volatile(os("below")));
    check("volatile over memory", volatile(Arc::new(MemoryFiles::new())));
}

#[test]
fn bytes_are_where_they_were_put() {
    everywhere(|which, files| {
        let file = files.create("log").unwrap();
        assert_eq!(file.length().unwrap(), 0, "{which}");
        file.write_at(5000, b"far").unwrap();
        file.write_at(0, b"near").unwrap();
        assert_eq!(file.length().unwrap(), 5003, "{which}");
        let mut buffer = [1; 8];
        assert_eq!(file.read_at(0, &mut buffer).unwrap(), 8, "{which}");
        assert_eq!(&buffer, b"near\0\0\0\0", "{which}");
        assert_eq!(file.read_at(4998, &mut buffer).unwrap(), 5, "{which}: reads end with the file");
        assert_eq!(&buffer[..5], b"\0\0far", "{which}");
        assert_eq!(file.read_at(9999, &mut buffer).unwrap(), 0, "{which}");
    });
}

#[test]
fn reserved_and_cut_space_reads_as_zeros() {
    everywhere(|which, files| {
        let file = files.create("log").unwrap();
        file.preallocate(10_000).unwrap();
        file.preallocate(10).unwrap();
        assert_eq!(file.length().unwrap(), 10_000, "{which}: reserving never cuts");
        file.write_at(0, &[7; 10_000]).unwrap();
        file.set_length(4100).unwrap();
        file.sync_data().unwrap();
        file.set_length(9000).unwrap();
        let content = files.read("log").unwrap().unwrap();
        assert_eq!(content.len(), 9000, "{which}");
        assert!(content[..4100].iter().all(|&byte| byte == 7), "{which}");
        assert!(content[4100..].iter().all(|&byte| byte == 0), "{which}: what was cut stays cut");
    });
}

#[test]
fn names_come_and_go() {
    everywhere(|which, files| {
        files.create("b").unwrap().write_at(0, b"b").unwrap();
        let a = files.create("a").unwrap();
        a.write_at(0, b"a").unwrap();
        assert_eq!(files.list().unwrap(), ["a", "b"], "{which}");
        assert!(matches!(files.create("a"), Err(FilesError::AlreadyExists { .. })), "{which}");
        assert!(matches!(files.open("c"), Err(FilesError::NotFound { .. })), "{which}");
        assert!(matches!(files.remove("c"), Err(FilesError::NotFound { .. })), "{which}");
        assert!(matches!(files.rename("c", "d"), Err(FilesError::NotFound { .. })), "{which}");
        files.sync_directory().unwrap();
        files.rename("a", "b").unwrap();
        assert_eq!(files.list().unwrap(), ["b"], "{which}");
        assert_eq!(files.read("b").unwrap().unwrap(), b"a", "{which}");
        files.remove("b").unwrap();
        files.sync_directory().unwrap();
        assert!(files.list().unwrap().is_empty(), "{which}");
        let mut byte = [0];
        assert_eq!(a.read_at(0, &mut byte).unwrap(), 1, "{which}: an open file outlives its name");
        assert!(files.open("../a").is_err(), "{which}");
    });
}

#[test]
fn replacing_leaves_one_file_with_the_new_content() {
    everywhere(|which, files| {
        assert_eq!(files.read("state").unwrap(), None, "{which}");
        files.create("state.draft").unwrap().write_at(0, b"left by a crash").unwrap();
        for content in [&b"first"[..], b"2nd"] {
            files.replace("state", content).unwrap();
            assert_eq!(files.read("state").unwrap().unwrap(), content, "{which}");
        }
        assert_eq!(files.list().unwrap(), ["state"], "{which}");
    });
}
