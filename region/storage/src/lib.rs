//! Versioned key-value storage of one region: MVCC by log index over RocksDB, with an in-memory twin.
//!
//! A version is a log index. A key's value at snapshot `at` is that of its newest version at or below `at`.
//! Only committed entries come here (T6), each batch with the applied index inside it.
mod store;

pub use store::*;
