//! Transactions above the log: snapshots, buffers, row locks, certification, the pending index, applying.
//! `docs/transactions.md` holds the rules T1 to T24 that code and tests cite.
//!
//! ```text
//!   api          what the SQL engine sees
//!   database, transaction, buffer, spill, reader, locks    a session's side
//!   log          what that needs of the log
//!   machine, certifier, pending, snapshots                 the core thread's side
//!   applier, stored                                        the store's side
//!   record, rejection, keyset                              what travels in the log
//!   local        all of it in one process, without a network
//! ```
mod api;
mod applier;
mod buffer;
mod bytes;
mod certifier;
mod database;
mod errors;
mod history;
mod keyset;
mod local;
mod locks;
mod log;
mod machine;
#[cfg(test)]
mod model;
mod pending;
mod reader;
mod reads;
mod record;
mod rejection;
mod rules;
mod snapshots;
mod spill;
mod state;
mod stored;
mod testing;
mod transaction;

pub use api::*;
pub use applier::{Applier, ApplyError, Slice, live_digest, stored_state};
pub use certifier::{Certifier, Decision};
pub use database::{Options, RegionDatabase};
pub use keyset::fingerprint;
pub use local::{LocalLog, local_database};
pub use log::Log;
pub use machine::{RegionMachine, decode_header};
pub use record::{
    Access, CommitRecord, KeyAccess, KeyGuard, Mark, PartRecord, RangeGuard, Record, RecordError, TransactionId,
};
pub use rejection::Rejection;
pub use rules::Rules;
pub use state::{HorizonView, RegionState};
pub use stored::StoredState;
#[doc(hidden)]
pub use testing::{LockGuard, SnapshotGuard, begin_snapshot, is_waiting, lock_row};
pub use transaction::OWN_VERSION;
