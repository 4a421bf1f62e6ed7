use super::*;
use crate::execute::memory::Limits;

fn memory(work_bytes: usize, temporary_bytes: Option<u64>) -> Arc<StatementMemory> {
    let limits = Limits { work_bytes, temporary_bytes, ..Limits::default() };
    Arc::new(StatementMemory::new(limits, Arc::new(std::env::temp_dir())))
}

fn row(number: i32) -> Row {
    vec![Datum::Int4(number), Datum::text(format!("row {number} {}", "x".repeat(number as usize % 50)))]
}

#[tokio::test]
async fn a_store_gives_the_same_rows_from_memory_and_from_its_file() {
    let memory = memory(4096, None);
    let mut store = RowStore::new(&memory);
    let mut early = RowReader::default();
    for number in 0..10 {
        store.push(row(number)).await.expect("room");
    }
    assert_eq!(early.next(&store, 4).await.expect("rows"), (0..4).map(row).collect::<Vec<_>>());
    for number in 10..5000 {
        store.push(row(number)).await.expect("room");
    }
    store.finish().await.expect("a disk");
    assert!(store.is_spilled(), "it went to its file");
    // A reader that began in memory goes on in the file, and others begin anew.
    assert_eq!(early.next(&store, 4).await.expect("rows"), (4..8).map(row).collect::<Vec<_>>());
    let mut late = RowReader::default();
    assert_eq!(late.next(&store, usize::MAX).await.expect("rows"), (0..5000).map(row).collect::<Vec<_>>());
    store.push(row(5000)).await.expect("room");
    store.finish().await.expect("a disk");
    assert_eq!(late.next(&store, 10).await.expect("rows"), vec![row(5000)]);
    assert_eq!(store.len(), 5001);
}

#[tokio::test]
async fn a_row_may_be_larger_than_a_chunk() {
    let memory = memory(4096, None);
    let mut file = SpillFile::with_chunk(&memory, 1024);
    let large = vec![Datum::text("y".repeat(5000))];
    for _ in 0..3 {
        file.push(&large).await.expect("room");
        file.push(&row(1)).await.expect("room");
    }
    let mut reader = file.into_reader().await.expect("a disk");
    let rows = reader.batch(100).await.expect("rows");
    assert_eq!(rows, [large.clone(), row(1), large.clone(), row(1), large, row(1)]);
}

#[tokio::test]
async fn the_bound_of_temporary_files_holds_and_is_given_back() {
    let memory = memory(0, Some(300 << 10));
    let mut file = SpillFile::new(&memory);
    let large = vec![Datum::text("y".repeat(200 << 10))];
    let mut failure = None;
    for _ in 0..4 {
        if let Err(error) = file.push(&large).await {
            failure = Some(error);
            break;
        }
    }
    assert_eq!(failure.expect("above the bound").code.as_str(), "53400");
    drop(file);
    memory.take_temporary(300 << 10).expect("what the file had is free");
}

#[test]
fn each_depth_deals_out_what_one_partition_holds() {
    for depth in 0..4 {
        let mut filled = [0usize; PARTITIONS];
        let of_first = (0..200_000u64)
            .map(|number| {
                number.wrapping_mul(0x2545_f491_4f6c_dd1d).rotate_left(17).wrapping_mul(0x9e6c_63d0_876a_7a1d)
            })
            .filter(|hash| depth == 0 || partition_of(*hash, depth - 1) == 3);
        of_first.for_each(|hash| filled[partition_of(hash, depth)] += 1);
        assert!(filled.iter().all(|count| *count > 0), "depth {depth}: {filled:?}");
    }
}
