//! What clients are told (T9): a definite error only for what surely did not happen.
use crate::history::NotThen;
use crate::locks::{Doom, LockError, OwnerId};
use crate::rejection::Rejection;
use bytes::Bytes;
use std::fmt::Write;
use std::time::Duration;
use trivet_log::{Index, NodeId};
use trivet_storage::StoreError;
use trivet_types::{PgError, sqlstate};

const CONCURRENT_UPDATE: &str = "could not serialize access due to concurrent update";

/// Turns bytes into what a person knows: `public.accounts (id)=(7)`.
pub type DescribeKey = dyn Fn(&[u8]) -> Option<String> + Send + Sync;

pub(crate) struct Names<'a> {
    pub(crate) describe_key: &'a DescribeKey,
    pub(crate) regions: &'a [(NodeId, String)],
}

impl Names<'_> {
    pub(crate) fn key(&self, key: &[u8]) -> String {
        (self.describe_key)(key).unwrap_or_else(|| hex(key))
    }
    pub(crate) fn region(&self, region: NodeId) -> String {
        match self.regions.iter().find(|(id, _)| *id == region) {
            Some((_, name)) => format!("region {name}"),
            None => format!("region {}", region.0),
        }
    }
}

fn hex(key: &[u8]) -> String {
    let mut out = String::from("\\x");
    for byte in key {
        write!(out, "{byte:02x}").expect("writing to a string does not fail");
    }
    out
}

pub(crate) fn no_lease() -> Box<PgError> {
    PgError::new(sqlstate::CANNOT_CONNECT_NOW, "this region cannot read strongly now")
        .detail("It holds no valid read lease and reached no leader in time.")
        .hint("Retry, or connect to the other region.")
}

pub(crate) fn halted(reason: &str) -> Box<PgError> {
    PgError::new(sqlstate::CANNOT_CONNECT_NOW, "this region has stopped serving").detail(format!("{reason}."))
}

pub(crate) fn not_sent() -> Box<PgError> {
    PgError::new(sqlstate::CANNOT_CONNECT_NOW, "the transaction was not committed: no leader is reachable")
        .detail("Nothing was sent, so nothing was done.")
        .hint("Retry the transaction.")
}

pub(crate) fn unknown(token: impl std::fmt::Display) -> Box<PgError> {
    PgError::new(sqlstate::STATEMENT_COMPLETION_UNKNOWN, "the transaction's outcome is not known")
        .detail(format!("Proposal {token} was sent, and no answer came in time. It may have been committed."))
        .hint("Read back what the transaction wrote before you retry it.")
}

/// PostgreSQL's words for a row that fits no page; ours has to fit a record.
pub(crate) fn too_large(size: usize, max: usize) -> Box<PgError> {
    PgError::new(sqlstate::PROGRAM_LIMIT_EXCEEDED, format!("row is too big: size {size}, maximum size {max}"))
        .detail("A row, or all that a transaction guards, has to fit one record of the log.")
}

pub(crate) fn storage(error: StoreError) -> Box<PgError> {
    match error {
        StoreError::Damaged(_) => PgError::new(sqlstate::DATA_CORRUPTED, error.to_string()),
        StoreError::DiskFull(_) => PgError::new(sqlstate::DISK_FULL, error.to_string()),
        StoreError::SnapshotTooOld { .. } => PgError::new(sqlstate::SNAPSHOT_TOO_OLD, error.to_string()),
        StoreError::Engine(_) | StoreError::InUse { .. } => PgError::new(sqlstate::IO_ERROR, error.to_string()),
    }
}

/// 22023: no answer for that time.
pub(crate) fn not_then(why: NotThen, kept_for: Duration) -> Box<PgError> {
    match why {
        NotThen::TooOld => {
            PgError::new(sqlstate::INVALID_PARAMETER_VALUE, "AS OF SYSTEM TIME: the time is too long ago").detail(
                format!(
                    "This region keeps what was there for {} s, and nothing of before its start.",
                    kept_for.as_secs()
                ),
            )
        }
        NotThen::NotYet => {
            PgError::new(sqlstate::INVALID_PARAMETER_VALUE, "AS OF SYSTEM TIME: cannot specify timestamp in the future")
        }
    }
}

/// 25006 for a transaction that reads the past.
pub(crate) fn only_reads() -> Box<PgError> {
    PgError::new(sqlstate::READ_ONLY_SQL_TRANSACTION, "a transaction that reads the past cannot write or lock")
}

pub(crate) fn concurrent_update(names: &Names<'_>, key: &[u8], at: Index, region: Option<NodeId>) -> Box<PgError> {
    let by = region.map_or_else(String::new, |region| format!(" by {}", names.region(region)));
    PgError::new(sqlstate::SERIALIZATION_FAILURE, CONCURRENT_UPDATE)
        .detail(format!("Key {} was written or locked{by}, at log index {}.", names.key(key), at.0))
        .hint("Retry the transaction.")
}

pub(crate) fn doomed(names: &Names<'_>, doom: &Doom) -> Box<PgError> {
    concurrent_update(names, &doom.key, doom.at, Some(doom.region))
}

pub(crate) fn rejected(names: &Names<'_>, rejection: Option<Rejection>, token: impl std::fmt::Display) -> Box<PgError> {
    let serialization = |detail: String| {
        PgError::new(sqlstate::SERIALIZATION_FAILURE, CONCURRENT_UPDATE).detail(detail).hint("Retry the transaction.")
    };
    match rejection {
        Some(Rejection::Conflict { key, at, region }) => concurrent_update(names, &key, at, Some(region)),
        Some(Rejection::SchemaChanged { key, at, region }) => serialization(format!(
            "The definition {} was changed by {}, at log index {}.",
            names.key(&key),
            names.region(region),
            at.0
        )),
        Some(Rejection::SnapshotLost) => serialization("Its snapshot was lost in a change of leader.".into()),
        Some(Rejection::SnapshotTooOld { horizon }) => serialization(format!(
            "Its snapshot is older than log index {}, the oldest that is still checked.",
            horizon.0
        )),
        Some(Rejection::SnapshotUnknown { known_from }) => serialization(format!(
            "Its snapshot is older than log index {}, from where this leader knows the log.",
            known_from.0
        )),
        // It may have been committed before its id was forgotten.
        Some(Rejection::Stale) => unknown(token),
        Some(Rejection::PartsMissing) => {
            serialization("A part of the transaction was lost in a change of leader.".into())
        }
        Some(Rejection::Horizon | Rejection::Malformed) | None => {
            PgError::internal("the sequencer refused a record as malformed")
        }
    }
}

/// PostgreSQL's words; its numbers are of processes, ours of transactions.
pub(crate) fn lock_error(names: &Names<'_>, error: LockError) -> Box<PgError> {
    match error {
        LockError::NotAvailable | LockError::Skipped => {
            PgError::new(sqlstate::LOCK_NOT_AVAILABLE, "could not obtain lock on row in relation")
        }
        LockError::Deadlock(cycle) => {
            let line = |(waiter, strength, key, blocker): &(OwnerId, crate::api::LockStrength, Bytes, OwnerId)| {
                let (clause, key) = (strength.clause(), names.key(key));
                format!("Transaction {} waits for {clause} on {key}; blocked by transaction {}.", waiter.0, blocker.0)
            };
            let lines: Vec<String> = cycle.iter().map(line).collect();
            PgError::new(sqlstate::DEADLOCK_DETECTED, "deadlock detected")
                .detail(lines.join("\n"))
                .hint("See server log for query details.")
        }
    }
}
