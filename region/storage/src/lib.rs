//! Versioned key-value storage of one region: MVCC by log index over RocksDB, with an in-memory twin.
//!
//! A version is a log index. A key's value at snapshot `at` is that of its newest version at or below `at`.
//! Only committed entries come here (T6), each batch with the applied index inside it.
//!
//! * [`Store`] is what the layers above see; [`MemoryStore`] and [`RocksStore`] are two engines for it, and one suite of
//!   tests runs over both.
//! * [`Digest`] compares what two regions hold without sending it.
//!
//! The journal, not this, is what makes a commit durable: the store may lose what it has not flushed, and says so by
//! [`Store::flushed`]. It knows nothing of tables, types or transactions.
mod digest;
mod memory;
mod rocks;
mod store;

pub use digest::{Digest, DigestBuilder, digest, digest_without};
pub use memory::MemoryStore;
pub use rocks::{RocksOptions, RocksStore};
pub use store::*;
