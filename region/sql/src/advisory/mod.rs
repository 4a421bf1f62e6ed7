//! Advisory locks, a transaction's and a session's (T17), the same in both regions.
//!
//! A number (or a pair) stands for two keys:
//!
//! ```text
//!   04 01 number   never written: transactions lock it as a row. Within a region they queue; between regions it is a guard of
//!                  the commit record, and of two that held it at a time the later one to commit fails with 40001
//!   04 02 number   the tickets of sessions that hold it: written and deleted by small transactions of their own
//! ```
//!
//! To get a session's lock, such a transaction locks both keys, looks who has tickets, and adds one; its record guards the first
//! key, so that whoever holds that in the other region cannot commit any more, or the other way round. A transaction's lock
//! looks at the tickets after it has the first key. Giving a ticket back touches the second key only, and waits for nobody.
//!
//! - Who has to wait for a ticket looks again every few milliseconds: the holder may be in the other region.
//! - A ticket names its region and boot. What an earlier boot of this region left is nobody's (`release_old`); tickets of a
//!   region that is away stay until it is back, since its sessions may still believe in them.
//! - Sessions of one region that wait for each other's tickets are told of the deadlock; a circle through both regions, or
//!   through row locks, ends with `lock_timeout` or a cancel.
mod session;
mod ticket;

pub use session::{LockRules, SessionLocks, Waits};
pub use ticket::release_old;

use crate::layout::LOCK_SPACE;
use bytes::{BufMut, Bytes, BytesMut};
use trivet_storage::KeyRange;
use trivet_types::registry::Procedure;

const GUARD: u8 = 1;
const TICKETS: u8 = 2;

/// What is locked: one number, or a pair.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum LockName {
    One(i64),
    Pair(i32, i32),
}

impl LockName {
    fn key(self, kind: u8) -> Bytes {
        let mut key = BytesMut::with_capacity(11);
        key.put_u8(LOCK_SPACE);
        key.put_u8(kind);
        match self {
            LockName::One(number) => {
                key.put_u8(1);
                key.put_i64(number);
            }
            LockName::Pair(first, second) => {
                key.put_u8(2);
                key.put_i32(first);
                key.put_i32(second);
            }
        }
        key.freeze()
    }
    pub fn guard(self) -> Bytes {
        self.key(GUARD)
    }
    pub fn tickets(self) -> Bytes {
        self.key(TICKETS)
    }
    /// As PostgreSQL's deadlock report has it: the database, the number's halves, and which of the two it is.
    fn shown(self) -> String {
        match self {
            LockName::One(number) => format!("[5,{},{},1]", (number >> 32) as u32, number as u32),
            LockName::Pair(first, second) => format!("[5,{},{},2]", first as u32, second as u32),
        }
    }
}

/// All tickets of all sessions.
fn all_tickets() -> KeyRange {
    KeyRange::prefix(vec![LOCK_SPACE, TICKETS])
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Verb {
    /// `pg_[try_]advisory_xact_lock`
    LockForTransaction {
        attempt: bool,
    },
    /// `pg_[try_]advisory_lock`
    LockForSession {
        attempt: bool,
    },
    Unlock,
    UnlockAll,
}

/// Which of the functions.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct AdvisoryCall {
    pub verb: Verb,
    pub shared: bool,
}

impl AdvisoryCall {
    pub fn of(procedure: &Procedure) -> Option<AdvisoryCall> {
        let name = procedure.name.strip_prefix("pg_")?;
        let (name, shared) = match name.strip_suffix("_shared") {
            Some(rest) => (rest, true),
            None => (name, false),
        };
        let verb = match name {
            "advisory_xact_lock" => Verb::LockForTransaction { attempt: false },
            "try_advisory_xact_lock" => Verb::LockForTransaction { attempt: true },
            "advisory_lock" => Verb::LockForSession { attempt: false },
            "try_advisory_lock" => Verb::LockForSession { attempt: true },
            "advisory_unlock" => Verb::Unlock,
            "advisory_unlock_all" => Verb::UnlockAll,
            _ => return None,
        };
        Some(AdvisoryCall { verb, shared })
    }
}

/// PostgreSQL's name of the lock's mode.
fn mode_name(shared: bool) -> &'static str {
    if shared { "ShareLock" } else { "ExclusiveLock" }
}
