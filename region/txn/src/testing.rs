//! Handles for scripted tests on what sessions do inside: snapshots, row locks, waiting.
use crate::api::{LockStrength, LockWait};
use crate::locks::Locks;
use crate::pending::Wanted;
use crate::snapshots::Snapshot;
use crate::state::RegionState;
use futures::FutureExt;
use trivet_log::{Index, Position};

/// A live snapshot.
pub struct SnapshotGuard(Snapshot);

impl SnapshotGuard {
    /// Where it is now (T3).
    pub fn position(&self) -> Position {
        self.0.seen()
    }
}

/// As a session does with what the log published; `None` if that was too old.
pub fn begin_snapshot(state: &RegionState, last: Position) -> Option<SnapshotGuard> {
    state.snapshots.begin(last, state.snapshots.epoch()).ok().map(SnapshotGuard)
}

/// A row lock.
pub struct LockGuard(Locks);

impl LockGuard {
    /// The entry that makes its owner's commit fail.
    pub fn doomed_at(&self) -> Option<Index> {
        self.0.doomed().map(|doom| doom.at)
    }
}

/// A row lock, if it is free.
pub fn lock_row(state: &RegionState, key: &[u8], strength: LockStrength) -> Option<LockGuard> {
    let mut locks = state.locks.owner();
    let free = locks.acquire(key, strength, LockWait::NoWait).now_or_never().is_some_and(|result| result.is_ok());
    free.then_some(LockGuard(locks))
}

/// Whether a reader of the key at this snapshot has to wait.
pub fn is_waiting(state: &RegionState, key: &[u8], at: Index) -> bool {
    state.pending.blocker(Wanted::Key(key), at).is_some()
}
