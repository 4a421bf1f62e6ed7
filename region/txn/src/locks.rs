//! Row locks inside one region: PostgreSQL's four strengths, in order, with deadlocks found at once (T14).
//!
//! Locks make local writers queue where certification alone would make them abort; no correctness across regions
//! rests on them. A key's waiters stand in one queue. A request is granted when it conflicts with no other holder
//! and with no waiter before it, so nobody starves; a holder that wants more stands before those that hold nothing,
//! since they would wait for it anyway.
//!
//! Invariants
//! - L1: two owners never hold conflicting strengths of one key.
//! - L2: an owner waits for at most one key at a time, and a dropped wait leaves the queue as if it had never been.
//! - L3: the graph of who waits for whom has no cycle: the request that would close one fails with 40P01.
use crate::api::{LockStrength, LockWait};
use bytes::Bytes;
use foldhash::fast::FixedState;
use hashbrown::HashMap;
use parking_lot::Mutex;
use smallvec::SmallVec;
use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, OnceLock};
use tokio::sync::oneshot;
use trivet_log::{Index, NodeId};

#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct OwnerId(pub u64);

#[derive(Clone, PartialEq, Eq, Debug)]
pub enum LockError {
    /// NOWAIT, and it would have to wait.
    NotAvailable,
    /// SKIP LOCKED, and it would have to wait.
    Skipped,
    /// Who waits for whom, from the one that asked: (waiter, strength, key, blocked by).
    Deadlock(Vec<(OwnerId, LockStrength, Bytes, OwnerId)>),
}

/// A foreign commit wrote what this owner had locked: its own commit would be rejected.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Doom {
    pub key: Bytes,
    pub at: Index,
    pub region: NodeId,
}

#[derive(Default)]
pub struct LockTable {
    inner: Mutex<Table>,
}

#[derive(Default)]
struct Table {
    keys: HashMap<Bytes, KeyLock, FixedState>,
    owners: HashMap<OwnerId, Owner, FixedState>,
    next_owner: u64,
    next_ticket: u64,
    /// Owners whose commit is in the log, until it is applied.
    until_applied: BTreeMap<Index, Vec<Locks>>,
    applied: Index,
}

struct Owner {
    waits_for: Option<Bytes>,
    /// Its commit is on its way: too late to doom it.
    committing: bool,
    doom: Arc<OnceLock<Doom>>,
}

#[derive(Default)]
struct KeyLock {
    holders: SmallVec<[(OwnerId, LockStrength); 1]>,
    queue: VecDeque<Waiter>,
}

struct Waiter {
    owner: OwnerId,
    strength: LockStrength,
    ticket: u64,
    granted: oneshot::Sender<()>,
}

/// All locks of one transaction. Dropping it releases them.
pub struct Locks {
    table: Arc<LockTable>,
    owner: OwnerId,
    held: Vec<Bytes>,
    doom: Arc<OnceLock<Doom>>,
}

impl LockTable {
    pub fn owner(self: &Arc<Self>) -> Locks {
        let mut table = self.inner.lock();
        table.next_owner += 1;
        let owner = OwnerId(table.next_owner);
        let doom = Arc::new(OnceLock::new());
        table.owners.insert(owner, Owner { waits_for: None, committing: false, doom: doom.clone() });
        Locks { table: self.clone(), owner, held: Vec::new(), doom }
    }

    /// A foreign entry did this to the key: holders that conflict with it cannot commit any more.
    pub fn doom(&self, key: &[u8], strength: LockStrength, at: Index, region: NodeId) {
        let table = self.inner.lock();
        let Some(lock) = table.keys.get(key) else { return };
        for (owner, held) in &lock.holders {
            let owner = &table.owners[owner];
            if held.conflicts_with(strength) && !owner.committing {
                // Set already: the first reason stays.
                let _ = owner.doom.set(Doom { key: Bytes::copy_from_slice(key), at, region });
            }
        }
    }

    /// Keep these until the entry at `index` is applied (T14).
    pub fn release_when_applied(&self, index: Index, locks: Locks) {
        let mut table = self.inner.lock();
        if index > table.applied {
            table.until_applied.entry(index).or_default().push(locks);
        } else {
            drop(table);
            drop(locks);
        }
    }

    pub fn applied(&self, index: Index) {
        let mut table = self.inner.lock();
        table.applied = index;
        if table.until_applied.first_key_value().is_none_or(|(at, _)| *at > index) {
            return;
        }
        let above = table.until_applied.split_off(&Index(index.0 + 1));
        let released = std::mem::replace(&mut table.until_applied, above);
        drop(table);
        drop(released);
    }

    /// Keys that are locked or waited for.
    pub fn count(&self) -> usize {
        self.inner.lock().keys.len()
    }
}

impl Locks {
    pub fn id(&self) -> OwnerId {
        self.owner
    }

    pub fn doomed(&self) -> Option<&Doom> {
        self.doom.get()
    }

    /// The commit is on its way, or (`false`) came back rejected.
    pub fn set_committing(&self, committing: bool) {
        let mut table = self.table.inner.lock();
        table.owners.get_mut(&self.owner).expect("an owner lives as long as its locks").committing = committing;
    }

    /// Start anew with the same locks (a retry): what doomed the last attempt is settled.
    pub fn forgive(&mut self) {
        self.doom = Arc::new(OnceLock::new());
        let mut table = self.table.inner.lock();
        let owner = table.owners.get_mut(&self.owner).expect("an owner lives as long as its locks");
        (owner.doom, owner.committing) = (self.doom.clone(), false);
    }

    pub fn held(&self, key: &[u8]) -> Option<LockStrength> {
        self.table.inner.lock().held(key, self.owner)
    }

    /// Returns what was held before. Dropping the future takes the request back (L2).
    pub async fn acquire(
        &mut self,
        key: &[u8],
        strength: LockStrength,
        wait: LockWait,
    ) -> Result<Option<LockStrength>, LockError> {
        let (before, pending) = {
            let mut table = self.table.inner.lock();
            let before = table.held(key, self.owner);
            if before.is_some_and(|held| held >= strength) {
                return Ok(before);
            }
            (before, table.request(key, self.owner, strength, wait)?)
        };
        if let Some((ticket, granted)) = pending {
            let mut withdrawal = Withdrawal { locks: self, key, ticket, before, armed: true };
            granted.await.expect("a waiter stays queued until it is granted or withdraws");
            withdrawal.armed = false;
        }
        if before.is_none() {
            self.held.push(Bytes::copy_from_slice(key));
        }
        Ok(before)
    }

    /// Go back to what was held before (a savepoint's rollback).
    pub fn restore(&mut self, key: &[u8], before: Option<LockStrength>) {
        self.table.inner.lock().set(key, self.owner, before);
        if before.is_none() {
            if let Some(at) = self.held.iter().rposition(|held| held == key) {
                self.held.swap_remove(at);
            }
        }
    }

    pub fn count(&self) -> usize {
        self.held.len()
    }
}

impl Drop for Locks {
    fn drop(&mut self) {
        let mut table = self.table.inner.lock();
        for key in std::mem::take(&mut self.held) {
            table.set(&key, self.owner, None);
        }
        table.owners.remove(&self.owner);
    }
}

/// L2: takes a request back when its future is dropped, whether it was granted meanwhile or not.
struct Withdrawal<'a> {
    locks: &'a Locks,
    key: &'a [u8],
    ticket: u64,
    before: Option<LockStrength>,
    armed: bool,
}

impl Drop for Withdrawal<'_> {
    fn drop(&mut self) {
        if !self.armed {
            return;
        }
        let mut table = self.locks.table.inner.lock();
        let queued = table.keys.get_mut(self.key).and_then(|lock| {
            let at = lock.queue.iter().position(|waiter| waiter.ticket == self.ticket)?;
            lock.queue.remove(at)
        });
        if queued.is_some() {
            table.owners.get_mut(&self.locks.owner).expect("an owner lives as long as its locks").waits_for = None;
            table.grant(self.key);
        } else {
            table.set(self.key, self.locks.owner, self.before);
        }
    }
}

type Queued = Option<(u64, oneshot::Receiver<()>)>;

impl Table {
    fn held(&self, key: &[u8], owner: OwnerId) -> Option<LockStrength> {
        let lock = self.keys.get(key)?;
        lock.holders.iter().find(|(holder, _)| *holder == owner).map(|(_, strength)| *strength)
    }

    fn request(
        &mut self,
        key: &[u8],
        owner: OwnerId,
        strength: LockStrength,
        wait: LockWait,
    ) -> Result<Queued, LockError> {
        let Some(lock) = self.keys.get_mut(key) else {
            let mut lock = KeyLock::default();
            lock.holders.push((owner, strength));
            self.keys.insert(Bytes::copy_from_slice(key), lock);
            return Ok(None);
        };
        let place = lock.place(owner);
        if lock.blockers(owner, strength, place).next().is_none() {
            lock.hold(owner, strength);
            return Ok(None);
        }
        match wait {
            LockWait::NoWait => return Err(LockError::NotAvailable),
            LockWait::SkipLocked => return Err(LockError::Skipped),
            LockWait::Wait => {}
        }
        let (granted, receiver) = oneshot::channel();
        self.next_ticket += 1;
        let ticket = self.next_ticket;
        lock.queue.insert(place, Waiter { owner, strength, ticket, granted });
        let key = Bytes::copy_from_slice(key);
        self.owners.get_mut(&owner).expect("an owner lives as long as its locks").waits_for = Some(key.clone());
        if let Some(cycle) = self.cycle(owner) {
            let lock = self.keys.get_mut(&key).expect("queued above");
            lock.queue.retain(|waiter| waiter.ticket != ticket);
            self.owners.get_mut(&owner).expect("queued above").waits_for = None;
            // Nobody can have been granted because of this waiter: it only stood in the way.
            return Err(LockError::Deadlock(cycle));
        }
        Ok(Some((ticket, receiver)))
    }

    /// L3: a way through the waits-for graph from `owner` back to itself.
    fn cycle(&self, owner: OwnerId) -> Option<Vec<(OwnerId, LockStrength, Bytes, OwnerId)>> {
        let mut path = Vec::new();
        let mut visited = Vec::new();
        self.reaches(owner, owner, &mut path, &mut visited).then_some(path)
    }

    fn reaches(
        &self,
        from: OwnerId,
        target: OwnerId,
        path: &mut Vec<(OwnerId, LockStrength, Bytes, OwnerId)>,
        visited: &mut Vec<OwnerId>,
    ) -> bool {
        let Some(key) = &self.owners[&from].waits_for else { return false };
        let lock = &self.keys[key];
        let place = lock.queue.iter().position(|waiter| waiter.owner == from).expect("it waits for this key");
        let strength = lock.queue[place].strength;
        for blocker in lock.blockers(from, strength, place) {
            path.push((from, strength, key.clone(), blocker));
            if blocker == target {
                return true;
            }
            if !visited.contains(&blocker) {
                visited.push(blocker);
                if self.reaches(blocker, target, path, visited) {
                    return true;
                }
            }
            path.pop();
        }
        false
    }

    /// Set what an owner holds of a key, downwards, and let others in.
    fn set(&mut self, key: &[u8], owner: OwnerId, strength: Option<LockStrength>) {
        let Some(lock) = self.keys.get_mut(key) else { return };
        match strength {
            Some(strength) => {
                lock.holders.iter_mut().filter(|(holder, _)| *holder == owner).for_each(|h| h.1 = strength)
            }
            None => lock.holders.retain(|(holder, _)| *holder != owner),
        }
        self.grant(key);
    }

    fn grant(&mut self, key: &[u8]) {
        let Some(lock) = self.keys.get_mut(key) else { return };
        let mut place = 0;
        while place < lock.queue.len() {
            let Waiter { owner, strength, .. } = lock.queue[place];
            if lock.blockers(owner, strength, place).next().is_some() {
                place += 1;
                continue;
            }
            let waiter = lock.queue.remove(place).expect("place is within the queue");
            lock.hold(owner, strength);
            self.owners.get_mut(&owner).expect("a waiter is alive").waits_for = None;
            // If its future is being dropped, its withdrawal gives the lock back.
            let _ = waiter.granted.send(());
        }
        if lock.holders.is_empty() && lock.queue.is_empty() {
            self.keys.remove(key);
        }
    }
}

impl KeyLock {
    /// Where in the queue a new request stands: holders that want more stand first, in order.
    fn place(&self, owner: OwnerId) -> usize {
        let holds = |owner: OwnerId| self.holders.iter().any(|(holder, _)| *holder == owner);
        if holds(owner) { self.queue.iter().take_while(|waiter| holds(waiter.owner)).count() } else { self.queue.len() }
    }

    /// Whom a request at this place of the queue has to wait for.
    fn blockers(&self, owner: OwnerId, strength: LockStrength, place: usize) -> impl Iterator<Item = OwnerId> + '_ {
        let holders =
            self.holders.iter().filter(move |(h, held)| *h != owner && held.conflicts_with(strength)).map(|h| h.0);
        let ahead = self.queue.iter().take(place);
        holders.chain(ahead.filter(move |w| w.owner != owner && w.strength.conflicts_with(strength)).map(|w| w.owner))
    }

    fn hold(&mut self, owner: OwnerId, strength: LockStrength) {
        match self.holders.iter_mut().find(|(holder, _)| *holder == owner) {
            Some((_, held)) => *held = (*held).max(strength),
            None => self.holders.push((owner, strength)),
        }
    }
}

#[cfg(test)]
mod tests;
