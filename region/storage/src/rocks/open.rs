//! How RocksDB is set up, and what is checked before a directory is used.
use super::encoding;
use super::engine;
use crate::StoreError;
use rocksdb::{
    BlockBasedOptions, Cache, ColumnFamilyDescriptor, DBCompressionType, DBWithThreadMode, LogLevel, Options,
    SingleThreaded, SliceTransform,
};
use std::path::Path;

pub(crate) type Db = DBWithThreadMode<SingleThreaded>;

pub(crate) const DATA: &str = "data";
pub(crate) const LOCAL: &str = "local";

/// Defaults suit a laptop with two cores. Nothing here changes what is stored.
#[derive(Clone, Debug)]
pub struct RocksOptions {
    /// Decompressed blocks. Index and filter blocks, about 2 bytes a key, come on top.
    pub cache_bytes: usize,
    /// The newest versions of rows and index entries that are read one by one; 0: none.
    pub row_cache_bytes: usize,
    /// Size of a memtable; up to three of them wait to be flushed before writes are slowed down.
    pub write_buffer_bytes: usize,
    /// Threads for flushes and compactions.
    pub background_jobs: i32,
    /// Files held open; -1 for all.
    pub open_files_max: i32,
}

impl Default for RocksOptions {
    fn default() -> Self {
        RocksOptions {
            cache_bytes: 128 << 20,
            row_cache_bytes: 64 << 20,
            write_buffer_bytes: 32 << 20,
            background_jobs: 2,
            open_files_max: 512,
        }
    }
}

pub(crate) fn open(path: &Path, options: &RocksOptions) -> Result<Db, StoreError> {
    let cache = Cache::new_hyper_clock_cache(options.cache_bytes, 0);
    // RocksDB insists on a default family, and goes on after a full disk only when there is room for the largest buffer.
    let mut unused = Options::default();
    unused.set_write_buffer_size(64 << 10);
    let families = [
        ColumnFamilyDescriptor::new("default", unused),
        ColumnFamilyDescriptor::new(DATA, data_options(options, &cache)),
        ColumnFamilyDescriptor::new(LOCAL, local_options(options, &cache)),
    ];
    Db::open_cf_descriptors(&database_options(options), path, families).map_err(|error| match is_locked(&error) {
        true => StoreError::InUse { path: path.display().to_string() },
        false => engine(error),
    })
}

/// RocksDB tells it in words only.
fn is_locked(error: &rocksdb::Error) -> bool {
    let text: &str = error.as_ref();
    text.contains("While lock file") || text.contains("lock hold by current process")
}

fn database_options(options: &RocksOptions) -> Options {
    let mut all = Options::default();
    all.create_if_missing(true);
    all.create_missing_column_families(true);
    all.set_atomic_flush(true); // S1
    all.set_max_background_jobs(options.background_jobs);
    all.set_max_open_files(options.open_files_max);
    // Flushes and compactions reach the disk in small steps, not in one that the journal's fsync waits behind.
    all.set_bytes_per_sync(1 << 20);
    all.set_log_level(LogLevel::Warn);
    all.set_keep_log_file_num(4);
    all.set_max_log_file_size(4 << 20);
    all.set_stats_dump_period_sec(0);
    all
}

fn blocks(cache: &Cache) -> BlockBasedOptions {
    let mut blocks = BlockBasedOptions::default();
    blocks.set_block_cache(cache);
    blocks.set_block_size(8 << 10);
    blocks.set_format_version(6);
    // Index and filter blocks stay with their open files: looking them up in the cache would double a point read.
    blocks.set_cache_index_and_filter_blocks(false);
    blocks
}

fn data_options(options: &RocksOptions, cache: &Cache) -> Options {
    let mut data = Options::default();
    data.set_write_buffer_size(options.write_buffer_bytes);
    data.set_max_write_buffer_number(4);
    data.set_compression_type(DBCompressionType::Lz4);
    data.set_level_compaction_dynamic_level_bytes(true);
    // A probe for a key that is not there (every unique insert makes one) ends at the filter.
    data.set_prefix_extractor(SliceTransform::create(
        "trivet.key",
        encoding::prefix,
        Some(|stored| stored.len() > encoding::VERSION),
    ));
    data.set_memtable_prefix_bloom_ratio(0.05);
    let mut blocks = blocks(cache);
    blocks.set_bloom_filter(10.0, false);
    blocks.set_whole_key_filtering(false);
    data.set_block_based_table_factory(&blocks);
    data
}

fn local_options(options: &RocksOptions, cache: &Cache) -> Options {
    let mut local = Options::default();
    local.set_write_buffer_size(options.write_buffer_bytes);
    local.set_max_write_buffer_number(4);
    local.set_compression_type(DBCompressionType::Lz4);
    local.set_level_compaction_dynamic_level_bytes(true);
    let mut blocks = blocks(cache);
    blocks.set_bloom_filter(10.0, false);
    local.set_block_based_table_factory(&blocks);
    local
}
