//! The load of a drill: clients in both regions that write and read all the time, and record what they saw.
//!
//! ```text
//!   role       what it does                                                checked by
//!   Insert     a row with an id that is used once                          check::rows
//!   Write      a value that is used once, into one of a few registers      check::register
//!   Transfer   an amount from one account to another, in one transaction   check::balance
//!   Read       a register                                                  check::register
//!   Look       a row that was acknowledged just before, mostly by the      check::visible
//!              other region
//!   Sum        all balances in one statement                               check::balance
//!   Connect    a new connection                                            drills::measure
//! ```
//!
//! Beside them the transactional workloads of [`deeds`] run, a few clients each.
//!
//! Invariants
//! - **L1** An id and a value are sent once: a client never repeats a statement. So a row that is there was written by
//!   the one statement that carried it.
//! - **L2** A client has one statement under way; it waits longer than any fault lasts, so that an answer that comes
//!   late (from a process that was paused, say) is recorded rather than missed.
//! - **L3** A read waits for a write in flight to its key, in a region that is cut off and does not notice for ever. So
//!   each kind of read has clients of its own, and a look is given up in the end: there must be somebody left to find
//!   a stale row. (The row that the other region acknowledged last is in flight here at the moment of a cut.)
mod client;
mod deeds;
mod pulse;
mod tables;

pub use deeds::{BULK, DeedContents, RING};
pub use pulse::{Pulse, Stalls};
pub use tables::{ACCOUNTS, OPENING_BALANCE, Tables, UNDEFINED_TABLE};

use crate::history::History;
use crate::place::Place;
use crate::sql::Endpoint;
use client::{Client, Role};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::time::Duration;
use tokio::task::JoinHandle;

/// How many clients of each kind run in each region.
#[derive(Clone, Copy, Debug)]
pub struct Mix {
    pub inserts: usize,
    pub writes: usize,
    pub transfers: usize,
    pub reads: usize,
    pub looks: usize,
    pub sums: usize,
}

impl Mix {
    /// The fewest clients that there can be.
    pub const CLIENTS_MIN: usize = 6;

    /// `clients` in each region, at least one of each kind.
    pub fn of(clients: usize) -> Mix {
        assert!(clients >= Mix::CLIENTS_MIN, "fewer clients than kinds");
        let sums = 1;
        let share = (clients - sums) / 5;
        let inserts = clients - sums - 4 * share;
        Mix { inserts, writes: share, transfers: share, reads: share, looks: share, sums }
    }

    fn roles(self) -> [(Role, usize); 7] {
        [
            (Role::Insert, self.inserts),
            (Role::Write, self.writes),
            (Role::Transfer, self.transfers),
            (Role::Read, self.reads),
            (Role::Look, self.looks),
            (Role::Sum, self.sums),
            (Role::Connect, 1),
        ]
    }
}

/// What all clients of a load share.
#[derive(Debug)]
struct Shared {
    tables: Tables,
    history: History,
    stop: AtomicBool,
    next_id: AtomicI64,
    next_value: AtomicI64,
    /// Per region, the id that it acknowledged last; 0 before the first.
    acknowledged: [AtomicI64; 2],
    counters: deeds::Counters,
}

impl Shared {
    fn acknowledged_in(&self, region: Place) -> &AtomicI64 {
        &self.acknowledged[usize::from(region == Place::B)]
    }
    fn stopped(&self) -> bool {
        self.stop.load(Ordering::Relaxed)
    }
}

#[derive(Debug)]
pub struct Load {
    shared: Arc<Shared>,
    clients: Vec<JoinHandle<()>>,
}

impl Load {
    pub fn start(tables: &Tables, endpoints: &BTreeMap<Place, Endpoint>, mix: Mix) -> Load {
        let shared = Arc::new(Shared {
            tables: tables.clone(),
            history: History::begin(),
            stop: AtomicBool::new(false),
            next_id: AtomicI64::new(1),
            next_value: AtomicI64::new(1),
            acknowledged: [AtomicI64::new(0), AtomicI64::new(0)],
            counters: deeds::Counters::new(),
        });
        shared.history.record_deed(deeds::beginning());
        let mut clients = Vec::new();
        for (&region, &address) in endpoints {
            for (role, count) in mix.roles() {
                for _ in 0..count {
                    clients.push(tokio::spawn(Client::new(region, address, role, shared.clone()).run()));
                }
            }
            for (craft, count) in deeds::Craft::ALL {
                for _ in 0..count {
                    clients.push(tokio::spawn(deeds::Worker::new(region, address, craft, shared.clone()).run()));
                }
            }
        }
        Load { shared, clients }
    }

    pub fn history(&self) -> &History {
        &self.shared.history
    }

    /// For whoever reads at the end.
    pub fn new_process(&self) -> u64 {
        self.shared.counters.process()
    }

    /// Lets every client finish what it has under way, at most `bound`.
    pub async fn stop(mut self, bound: Duration) -> History {
        self.shared.stop.store(true, Ordering::Relaxed);
        // Those that are late are ended as this is dropped.
        let _ = tokio::time::timeout(bound, futures::future::join_all(&mut self.clients)).await;
        self.shared.history.clone()
    }
}

impl Drop for Load {
    fn drop(&mut self) {
        self.shared.stop.store(true, Ordering::Relaxed);
        self.clients.iter().for_each(JoinHandle::abort);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mix_has_every_kind_and_the_number_asked() {
        for clients in Mix::CLIENTS_MIN..40 {
            let roles = Mix::of(clients).roles();
            assert!(roles.iter().all(|(_, count)| *count > 0), "{clients}");
            let total: usize = roles.iter().map(|(_, count)| count).sum();
            assert_eq!(total, clients + 1, "and one that connects");
        }
    }
}
