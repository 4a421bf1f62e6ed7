//! Transactions above the log: snapshots, buffers, row locks, certification, the pending index, applying.
//! `docs/transactions.md` holds the rules T1 to T24 that code and tests cite.
mod api;

pub use api::*;
