//! What the core thread, the applier and the sessions of one region share.
//!
//! ```text
//!   core thread --RegionMachine--+                 +-- Applier -- store
//!                                +-- RegionState --+
//!   sessions -----Database-------+                 +-- maintenance (horizon records)
//! ```
//!
//! Nothing here is held over IO or an await.
use crate::api::Observer;
use crate::history::History;
use crate::locks::LockTable;
use crate::log::Log;
use crate::pending::PendingIndex;
use crate::record::TransactionId;
use crate::snapshots::Snapshots;
use bytes::Bytes;
use futures::future::BoxFuture;
use parking_lot::{Mutex, RwLock};
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use trivet_log::{Boot, Index, NodeId, Outcome, Position, Proposal, ProposalId};
use trivet_storage::{Batch, KeyRange};

/// `PendingIndex`, `Snapshots` and `LockTable` are their own; the rest is small.
pub struct RegionState {
    pub region: NodeId,
    pub pending: PendingIndex,
    pub snapshots: Arc<Snapshots>,
    pub locks: Arc<LockTable>,
    pub history: Arc<History>,
    pub(crate) ids: ProposalIds,
    /// Keys of which it is told whether anybody wrote one lately: the catalog.
    watched: OnceLock<KeyRange>,
    /// The newest received entry that wrote one of them.
    watched_write: AtomicU64,
    observers: RwLock<Vec<Arc<dyn Observer>>>,
    applied: AtomicU64,
    /// The index of the newest horizon record whose state is in the store: the journal keeps what is above.
    stored_state: AtomicU64,
    /// Lowest version that background work still writes at or reads; `u64::MAX` for none (T12: fills).
    background_floor: AtomicU64,
    halted: OnceLock<String>,
    pub(crate) mismatches: Mutex<BTreeMap<Index, String>>,
    /// States to be stored with the horizon record at their index.
    pub(crate) states: Mutex<VecDeque<(Index, Bytes)>>,
    horizon: Mutex<HorizonView>,
}

/// What a background task needs to know to propose a horizon.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct HorizonView {
    pub leading: bool,
    /// The horizon to propose: below everything that anybody still needs.
    pub target: Position,
    pub in_force: Position,
    /// Where the newest horizon record of the log lies.
    pub said_at: Index,
    pub commit: Index,
}

impl HorizonView {
    /// Something was committed since the last record.
    pub fn is_useful(&self) -> bool {
        self.leading && self.commit > self.said_at && self.target.index >= self.in_force.index
    }
}

impl RegionState {
    pub fn new(region: NodeId, boot: Boot) -> Arc<RegionState> {
        Arc::new(RegionState {
            region,
            pending: PendingIndex::default(),
            snapshots: Arc::default(),
            locks: Arc::default(),
            history: Arc::default(),
            ids: ProposalIds::new(region, boot),
            watched: OnceLock::new(),
            watched_write: AtomicU64::new(0),
            observers: RwLock::default(),
            applied: AtomicU64::new(0),
            stored_state: AtomicU64::new(0),
            background_floor: AtomicU64::new(u64::MAX),
            halted: OnceLock::new(),
            mismatches: Mutex::default(),
            states: Mutex::default(),
            horizon: Mutex::default(),
        })
    }

    /// What the store has, gates aside.
    pub fn applied(&self) -> Index {
        Index(self.applied.load(Ordering::Acquire))
    }

    /// The store has everything up to here, gates aside: wake readers, release locks.
    pub(crate) fn set_applied(&self, index: Index) {
        self.applied.store(index.0, Ordering::Release);
        self.pending.applied(index);
        self.locks.applied(index);
    }

    pub fn stored_state(&self) -> Index {
        Index(self.stored_state.load(Ordering::Acquire))
    }
    pub(crate) fn set_stored_state(&self, index: Index) {
        self.stored_state.store(index.0, Ordering::Release);
    }
    pub fn background_floor(&self) -> Index {
        Index(self.background_floor.load(Ordering::Acquire))
    }
    pub(crate) fn set_background_floor(&self, index: Index) {
        self.background_floor.store(index.0, Ordering::Release);
    }

    /// Serving and applying have stopped for good, because regions disagree (T5). Log and vote stay up.
    pub fn halted(&self) -> Option<&str> {
        self.halted.get().map(String::as_str)
    }
    pub(crate) fn halt(&self, reason: String) {
        // The first reason is the one to look at.
        let _ = self.halted.set(reason);
    }

    /// Once, before the node starts.
    pub fn watch(&self, keys: Option<KeyRange>) {
        if let Some(keys) = keys {
            assert!(self.watched.set(keys).is_ok(), "one range is watched");
        }
    }

    pub(crate) fn watched(&self) -> Option<&KeyRange> {
        self.watched.get()
    }

    /// Before the entry can be part of anybody's snapshot.
    pub(crate) fn note_watched_write(&self, at: Index) {
        self.watched_write.fetch_max(at.0, Ordering::AcqRel);
    }

    pub(crate) fn watched_write(&self) -> Index {
        Index(self.watched_write.load(Ordering::Acquire))
    }

    pub(crate) fn observe(&self, observer: Arc<dyn Observer>) {
        self.observers.write().push(observer);
    }

    /// The store is about to get these.
    pub(crate) fn note_writes(&self, batch: &Batch) {
        self.observers.read().iter().for_each(|observer| observer.written(&batch.writes));
    }

    pub fn horizon_view(&self) -> HorizonView {
        *self.horizon.lock()
    }
    pub(crate) fn set_horizon_view(&self, view: HorizonView) {
        *self.horizon.lock() = view;
    }
}

/// Ids of this boot, and which of them wait for their fate (T4).
pub(crate) struct ProposalIds {
    region: NodeId,
    boot: Boot,
    transactions: AtomicU64,
    inner: Mutex<Ids>,
}

struct Ids {
    next: u64,
    in_flight: BTreeSet<u64>,
}

impl ProposalIds {
    fn new(region: NodeId, boot: Boot) -> ProposalIds {
        let inner = Mutex::new(Ids { next: 1, in_flight: BTreeSet::new() });
        ProposalIds { region, boot, transactions: AtomicU64::new(1), inner }
    }

    pub(crate) fn transaction(&self) -> TransactionId {
        let sequence = self.transactions.fetch_add(1, Ordering::Relaxed);
        TransactionId { region: self.region, boot: self.boot, sequence }
    }

    /// Below this, every fate of this boot is known here.
    pub(crate) fn low_water(&self) -> u64 {
        let ids = self.inner.lock();
        ids.in_flight.first().copied().unwrap_or(ids.next)
    }

    /// Hands a proposal to the log under a new id. Ids reach the log in their order: a lower one that came after
    /// its mark had passed would be taken for one that is settled.
    pub(crate) fn propose(
        &self,
        log: &dyn Log,
        snapshot: Position,
        payload: Bytes,
    ) -> (ProposalId, BoxFuture<'static, Outcome>) {
        let mut ids = self.inner.lock();
        let id = ProposalId { region: self.region, boot: self.boot, sequence: ids.next };
        ids.next += 1;
        ids.in_flight.insert(id.sequence);
        (id, log.propose(Proposal { id, snapshot, payload }))
    }

    pub(crate) fn settle(&self, id: ProposalId) {
        self.inner.lock().in_flight.remove(&id.sequence);
    }
}
