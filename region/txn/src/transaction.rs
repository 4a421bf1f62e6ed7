//! One transaction of a region: a snapshot, a buffer, its row locks, and the record they end in.
use crate::api::*;
use crate::buffer::{Buffer, Positions, Write};
use crate::database::Region;
use crate::errors;
use crate::history::PastHold;
use crate::locks::{LockError, Locks};
use crate::reader::Newest;
use crate::reads::Reads;
use crate::record::{CommitRecord, KeyGuard, RangeGuard, Record, after};
use crate::rejection::Rejection;
use crate::snapshots::Snapshot as LiveSnapshot;
use crate::spill::Spill;
use async_trait::async_trait;
use bytes::Bytes;
use std::collections::BTreeMap;
use std::sync::Arc;
use tokio::sync::oneshot;
use trivet_log::{Outcome, Position, ProposalId, Term};
use trivet_storage::{KeyRange, Row};
use trivet_types::{PgError, PgResult, sqlstate};

/// Rows that one step of a merged scan asks the store for.
const SCAN_STEP: usize = 1 << 16;

/// The version that `scan` shows for own writes.
pub const OWN_VERSION: u64 = u64::MAX;

pub(crate) struct RegionTransaction {
    region: Arc<Region>,
    isolation: Isolation,
    read_only: bool,
    snapshot: Option<LiveSnapshot>,
    /// It reads the past, or what is stale: nothing may be written.
    past: Option<PastHold>,
    stale_allowed: bool,
    /// The past is what was applied when no lease was held.
    is_stale: bool,
    locks: Option<Locks>,
    buffer: Buffer,
    /// The newest position that this transaction has seen, with its epoch: what a write without lock relies on.
    latest: (Position, u64),
    ranges: Vec<(KeyRange, (Position, u64))>,
    /// SERIALIZABLE only.
    reads: Reads,
    schema_guards: BTreeMap<Bytes, (Position, u64)>,
    actions: Vec<Action>,
    /// Lengths of `ranges` and `actions` at each savepoint.
    marks: BTreeMap<u64, (usize, usize)>,
    spill: Spill,
}

impl RegionTransaction {
    pub(crate) fn new(region: Arc<Region>, isolation: Isolation, read_only: bool) -> RegionTransaction {
        RegionTransaction {
            region,
            isolation,
            read_only,
            snapshot: None,
            past: None,
            stale_allowed: false,
            is_stale: false,
            locks: None,
            buffer: Buffer::default(),
            latest: (Position::default(), 0),
            ranges: Vec::new(),
            reads: Reads::default(),
            schema_guards: BTreeMap::new(),
            actions: Vec::new(),
            marks: BTreeMap::new(),
            spill: Spill::default(),
        }
    }

    /// A commit of the other region has made ours impossible (T14).
    fn check_alive(&self) -> PgResult<()> {
        let Some(doom) = self.locks.as_ref().and_then(Locks::doomed) else { return Ok(()) };
        // The lock may have been granted when the entry was received and not applied: then it knows of it.
        let lock_at = self.buffer.entry(&doom.key).map(|entry| entry.positions.lock_at);
        let lock_at = lock_at.map(|id| self.buffer.current(id, &self.region.state.snapshots));
        match lock_at {
            Some(lock_at) if lock_at.index < doom.at => Err(errors::doomed(&self.region.names(), doom)),
            _ => Ok(()),
        }
    }

    fn enter_past(&mut self, hold: PastHold) {
        // Below commit: no truncation concerns it, whatever its term.
        let position = Position { index: hold.index(), term: Term(0) };
        self.snapshot = Some(self.region.state.snapshots.past(position));
        self.past = Some(hold);
    }

    fn live_position(&mut self) -> Position {
        self.snapshot.as_mut().expect("the past has a snapshot").position()
    }

    /// No lease, and its client would rather have old answers than none.
    fn reads_stale(&self) -> bool {
        let free = !self.has_guards() && self.locks.is_none();
        let keeps = self.snapshot.is_some() && self.isolation != Isolation::ReadCommitted;
        self.stale_allowed && free && !keeps && self.region.log.read_begin().is_none()
    }

    /// READ COMMITTED reads what is new as soon as it can again. Whether the past is behind it.
    fn leave_stale(&mut self) -> bool {
        let leaves = self.is_stale && self.isolation == Isolation::ReadCommitted;
        if leaves {
            (self.past, self.snapshot, self.is_stale) = (None, None, false);
        }
        leaves
    }

    async fn live_snapshot(&mut self) -> PgResult<&mut LiveSnapshot> {
        if self.snapshot.is_none() {
            self.statement().await?;
        }
        Ok(self.snapshot.as_mut().expect("a statement has a snapshot"))
    }

    /// Something will be certified from where an earlier statement read.
    fn has_guards(&self) -> bool {
        !self.buffer.is_empty()
            || self.spill.parts() > 0
            || !self.ranges.is_empty()
            || !self.reads.is_empty()
            || !self.schema_guards.is_empty()
    }

    fn note_latest(&mut self, position: Position, epoch: u64) {
        let current = self.region.state.snapshots.lowered(self.latest.0, self.latest.1);
        if position.index >= current.index {
            self.latest = (position, epoch);
        }
    }

    fn latest_positions(&mut self) -> Positions {
        if self.snapshot.is_none() {
            return Positions::FIRST;
        }
        let id = self.buffer.position(self.latest.0, self.latest.1);
        Positions::all(id)
    }

    /// Take the row lock. `Ok(false)`: SKIP LOCKED, and somebody has it.
    async fn acquire(&mut self, key: &[u8], strength: LockStrength, wait: LockWait) -> PgResult<bool> {
        self.check_alive()?;
        if self.past.is_some() {
            return Err(errors::only_reads());
        }
        let region = self.region.clone();
        let locks = self.locks.get_or_insert_with(|| region.state.locks.owner());
        match locks.acquire(key, strength, wait).await {
            Ok(before) => {
                if before < Some(strength) {
                    self.buffer.note_lock(key, before);
                }
                Ok(true)
            }
            Err(LockError::Skipped) => Ok(false),
            Err(error) => Err(errors::lock_error(&region.names(), error)),
        }
    }

    /// T2: a key that this transaction relies on already must not have moved since.
    fn check_unmoved(&self, key: &[u8], newest: &Newest) -> PgResult<()> {
        let Some(entry) = self.buffer.entry(key) else { return Ok(()) };
        let read_at = self.buffer.current(entry.positions.read_at, &self.region.state.snapshots);
        if newest.version > read_at.index { Err(self.moved(key, newest)) } else { Ok(()) }
    }

    fn moved(&self, key: &[u8], newest: &Newest) -> Box<PgError> {
        errors::concurrent_update(&self.region.names(), key, newest.version, None)
    }

    /// B1: rely on the key from where its newest version was read.
    fn rely(&mut self, key: &[u8], strength: LockStrength, newest: &Newest) {
        let id = self.buffer.position(newest.at, newest.epoch);
        self.buffer.lock(key, strength, Positions::all(id));
        self.note_latest(newest.at, newest.epoch);
    }

    /// The record of everything that no part has taken along.
    fn record(&mut self) -> CommitRecord {
        let snapshots = &self.region.state.snapshots;
        let lowered = |(position, epoch): (Position, u64)| snapshots.lowered(position, epoch);
        let snapshot = self.snapshot.as_mut().map_or(Position::default(), LiveSnapshot::position);
        let schema_guards = self.schema_guards.iter();
        let (reads, mut ranges) = self.reads.guards(lowered);
        let guarded = self.ranges.iter();
        ranges.extend(guarded.map(|(range, at)| RangeGuard { range: range.clone(), read_at: lowered(*at) }));
        CommitRecord {
            transaction: self.spill.transaction().unwrap_or_else(|| self.region.state.ids.transaction()),
            snapshot,
            low_water: self.region.state.ids.low_water(),
            parts: self.spill.parts(),
            keys: self.buffer.rest(snapshots),
            schema_guards: schema_guards
                .map(|(key, at)| KeyGuard { key: key.clone(), read_at: lowered(*at) })
                .collect(),
            reads,
            ranges,
            actions: std::mem::take(&mut self.actions),
        }
    }

    /// T18: what a SERIALIZABLE transaction reads has to stay unwritten until it commits.
    fn notes_reads(&self) -> bool {
        self.isolation == Isolation::Serializable && !self.read_only
    }

    fn note_read(&mut self, key: &[u8]) {
        if self.notes_reads() {
            let at = self.snapshot.as_mut().map_or(self.latest, LiveSnapshot::current);
            self.reads.point(key, at);
        }
    }

    fn note_scan(&mut self, range: &KeyRange, reverse: bool, limit: usize, rows: &[Row]) {
        if !self.notes_reads() {
            return;
        }
        let at = self.snapshot.as_mut().map_or(self.latest, LiveSnapshot::current);
        let seen = match rows.last() {
            Some(last) if rows.len() == limit && reverse => {
                KeyRange { start: last.key.clone(), end: range.end.clone() }
            }
            Some(last) if rows.len() == limit => KeyRange { start: range.start.clone(), end: after(&last.key) },
            _ => range.clone(),
        };
        if limit > 0 && !seen.is_empty() {
            self.reads.range(&seen, at);
        }
    }

    /// Rows of the store and own writes, in the order of the scan.
    async fn merged_scan(&mut self, range: &KeyRange, reverse: bool, limit: usize) -> PgResult<Vec<Row>> {
        let region = self.region.clone();
        if self.buffer.writes_in(range).next().is_none() && !self.buffer.holds_view() {
            return region.scan(self.live_snapshot().await?, range, reverse, limit).await;
        }
        let mut rows = Vec::new();
        let mut left = range.clone();
        while rows.len() < limit && !left.is_empty() {
            let step = (limit - rows.len()).min(SCAN_STEP);
            let stored = region.scan(self.live_snapshot().await?, &left, reverse, step).await?;
            // How far the store's answer reaches: own writes beyond come with the next step.
            let reached = if stored.len() < step { None } else { stored.last().map(|row| row.key.clone()) };
            let (covered, rest) = match &reached {
                None => (left.clone(), None),
                Some(key) if reverse => {
                    (KeyRange { start: key.clone(), end: left.end.clone() }, Some(left.before(key)))
                }
                Some(key) => (KeyRange { start: left.start.clone(), end: after(key) }, Some(left.after(key))),
            };
            merge(stored, &self.buffer, &covered, reverse, &mut rows);
            let Some(rest) = rest else { break };
            left = rest;
        }
        rows.truncate(limit);
        Ok(rows)
    }

    /// Propose, and see to the locks whatever becomes of the caller (T14): its future may be dropped, the proposal not.
    async fn resolve(&mut self, record: CommitRecord) -> PgResult<(ProposalId, Outcome, Option<Locks>)> {
        let read_at = record.snapshot;
        let payload = self.region.encode(&Record::Commit(record))?;
        self.region.log.room().await;
        let (sender, receiver) = oneshot::channel();
        let (region, locks, snapshot) = (self.region.clone(), self.locks.take(), self.snapshot.take());
        if let Some(locks) = &locks {
            locks.set_committing(true);
        }
        let (id, outcome) = region.propose(read_at, payload);
        tokio::spawn(async move {
            let outcome = outcome.await;
            let locks = match (&outcome, locks) {
                (Outcome::Committed(position), Some(locks)) => {
                    region.state.locks.release_when_applied(position.index, locks);
                    None
                }
                (_, locks) => locks,
            };
            // T12: until here its positions held the horizon.
            drop(snapshot);
            // Nobody may be waiting any more: then the locks are released here.
            let _ = sender.send((outcome, locks));
        });
        let (outcome, locks) = receiver.await.unwrap_or((Outcome::Unknown, None));
        Ok((id, outcome, locks))
    }

    fn reset(&mut self) {
        self.buffer = Buffer::default();
        self.ranges.clear();
        self.reads.clear();
        self.schema_guards.clear();
        self.actions.clear();
        self.marks.clear();
        self.snapshot = None;
        self.past = None;
    }
}

#[async_trait]
impl Transaction for RegionTransaction {
    fn isolation(&self) -> Isolation {
        self.isolation
    }

    fn set_isolation(&mut self, isolation: Isolation) -> PgResult<()> {
        if self.snapshot.is_some() && isolation != self.isolation {
            let message = "SET TRANSACTION ISOLATION LEVEL must be called before any query";
            return Err(PgError::new(sqlstate::ACTIVE_SQL_TRANSACTION, message));
        }
        self.isolation = isolation;
        Ok(())
    }

    fn hold_view(&mut self) {
        self.buffer.hold_view();
    }

    fn release_view(&mut self) {
        self.buffer.release_view();
    }

    async fn statement(&mut self) -> PgResult<Snapshot> {
        self.check_alive()?;
        self.buffer.release_view();
        if self.past.is_some() && !self.leave_stale() {
            let position = self.live_position();
            return Ok(Snapshot { index: position.index.0, term: position.term.0 });
        }
        if self.reads_stale() {
            let region = self.region.clone();
            let hold = region.state.history.hold_newest(|| region.state.applied());
            self.enter_past(hold);
            self.is_stale = true;
            let position = self.live_position();
            return Ok(Snapshot { index: position.index.0, term: position.term.0 });
        }
        if self.snapshot.is_none() || self.isolation == Isolation::ReadCommitted {
            let region = self.region.clone();
            let first = self.snapshot.is_none();
            let hold = self.has_guards();
            let renewed = match &mut self.snapshot {
                Some(snapshot) => {
                    let epoch = region.state.snapshots.epoch();
                    snapshot.renew(region.last_received().await?, epoch, hold).is_ok()
                }
                None => false,
            };
            if !renewed {
                let newer = region.begin_snapshot().await?;
                match &mut self.snapshot {
                    Some(snapshot) if hold => snapshot.advance_to(newer),
                    snapshot => *snapshot = Some(newer),
                }
            }
            let (position, epoch) = self.snapshot.as_mut().expect("begun above").current();
            self.note_latest(position, epoch);
            if first {
                self.buffer.begun(position, epoch);
            }
        }
        let position = self.snapshot.as_mut().expect("begun above").position();
        Ok(Snapshot { index: position.index.0, term: position.term.0 })
    }

    fn watch(&self) -> Option<Watch> {
        let watched = self.region.state.watched()?;
        if self.notes_reads() || self.buffer.writes_in(watched).next().is_some() {
            return None;
        }
        // Epoch first: a truncation after it makes the watch one that is never believed.
        let epoch = self.region.state.snapshots.epoch();
        Some(Watch { at: self.snapshot.as_ref()?.seen().index.0, epoch })
    }

    fn unchanged(&self, since: Watch) -> bool {
        // Entries at or below the snapshot were noted before it was taken; newer ones can only make this say no.
        self.watch().is_some_and(|now| {
            now.epoch == since.epoch && now.at >= since.at && self.region.state.watched_write().0 <= since.at
        })
    }

    async fn read_as_of(&mut self, time: i64) -> PgResult<()> {
        if self.has_guards() || self.locks.is_some() {
            let message = "AS OF SYSTEM TIME must be set before any change or lock";
            return Err(PgError::new(sqlstate::ACTIVE_SQL_TRANSACTION, message));
        }
        let hold = self.region.clone().hold_past(time).await?;
        self.enter_past(hold);
        self.is_stale = false;
        Ok(())
    }

    fn allow_stale(&mut self, allowed: bool) {
        self.stale_allowed = allowed;
    }

    fn snapshot(&self) -> Option<Snapshot> {
        self.snapshot.as_ref().map(|snapshot| {
            let position = snapshot.seen();
            Snapshot { index: position.index.0, term: position.term.0 }
        })
    }

    async fn get(&mut self, key: &[u8]) -> PgResult<Option<Bytes>> {
        if let Some(own) = self.buffer.seen(key) {
            return Ok(own);
        }
        let region = self.region.clone();
        let found = region.get(self.live_snapshot().await?, key).await?;
        self.note_read(key);
        Ok(found)
    }

    async fn get_many(&mut self, keys: &[Bytes]) -> PgResult<Vec<Option<Bytes>>> {
        let region = self.region.clone();
        let own: Vec<Option<Option<Bytes>>> = keys.iter().map(|key| self.buffer.seen(key)).collect();
        let unknown = keys.iter().zip(&own).filter(|(_, own)| own.is_none());
        let unknown: Vec<Bytes> = unknown.map(|(key, _)| key.clone()).collect();
        let found = region.get_many(self.live_snapshot().await?, &unknown).await?;
        unknown.iter().for_each(|key| self.note_read(key));
        let mut found = found.into_iter();
        Ok(own.into_iter().map(|own| own.unwrap_or_else(|| found.next().expect("one value for each key"))).collect())
    }

    async fn scan(&mut self, range: &KeyRange, reverse: bool, limit: usize) -> PgResult<Vec<Row>> {
        let rows = self.merged_scan(range, reverse, limit).await?;
        self.note_scan(range, reverse, limit, &rows);
        Ok(rows)
    }

    async fn get_newest(&mut self, key: &[u8]) -> PgResult<Option<Bytes>> {
        if let Some(own) = self.buffer.own(key) {
            return Ok(own);
        }
        self.live_snapshot().await?;
        let newest = self.region.newest(key).await?;
        if self.notes_reads() {
            self.reads.point(key, (newest.at, newest.epoch));
        }
        Ok(newest.value)
    }

    async fn lock(&mut self, key: &[u8], strength: LockStrength, wait: LockWait) -> PgResult<Locked> {
        let seen = self.live_snapshot().await?.position();
        if !self.acquire(key, strength, wait).await? {
            return Ok(Locked::Skipped);
        }
        let newest = self.region.newest(key).await?;
        let grows = strength > LockStrength::KeyShare
            && self.buffer.entry(key).is_some_and(|e| e.write.is_none() && e.lock == Some(LockStrength::KeyShare));
        if !grows {
            self.check_unmoved(key, &newest)?;
        }
        let known = self.buffer.entry(key).is_some() && !grows;
        let newer = !known && newest.version > seen.index;
        if newer && self.isolation != Isolation::ReadCommitted {
            return Err(self.moved(key, &newest));
        }
        if grows {
            let at = self.buffer.position(newest.at, newest.epoch);
            self.buffer.grow(key, strength, at);
            self.note_latest(newest.at, newest.epoch);
        } else {
            self.rely(key, strength, &newest);
        }
        let value = self.buffer.own(key).unwrap_or(newest.value);
        Ok(if newer { Locked::Newer(value) } else { Locked::Unchanged(value) })
    }

    async fn lock_here(&mut self, key: &[u8], strength: LockStrength, wait: LockWait) -> PgResult<bool> {
        self.acquire(key, strength, wait).await
    }

    async fn lock_for_insert(&mut self, key: &[u8]) -> PgResult<Option<Bytes>> {
        self.live_snapshot().await?;
        self.acquire(key, LockStrength::Update, LockWait::Wait).await?;
        let newest = self.region.newest(key).await?;
        self.check_unmoved(key, &newest)?;
        self.rely(key, LockStrength::Update, &newest);
        Ok(self.buffer.own(key).unwrap_or(newest.value))
    }

    fn put(&mut self, key: Bytes, value: Bytes, kind: WriteKind) {
        let positions = self.latest_positions();
        self.buffer.write(key, Write::Put(value, kind), positions);
    }

    fn delete(&mut self, key: Bytes) {
        let positions = self.latest_positions();
        self.buffer.write(key, Write::Delete, positions);
    }

    fn guard_range(&mut self, range: KeyRange) {
        let at = self.snapshot.as_mut().map_or(self.latest, LiveSnapshot::current);
        self.ranges.push((range, at));
    }

    fn guard_schema(&mut self, key: Bytes) {
        // T19: the oldest schema that anything was written under.
        let at = self.snapshot.as_mut().map_or(self.latest, LiveSnapshot::current);
        self.schema_guards.entry(key).or_insert(at);
    }

    fn action(&mut self, action: Action) {
        self.actions.push(action);
    }

    fn savepoint(&mut self) -> Savepoint {
        let id = self.buffer.savepoint();
        self.marks.insert(id, (self.ranges.len(), self.actions.len()));
        Savepoint(id)
    }

    fn release(&mut self, savepoint: Savepoint) {
        self.buffer.release(savepoint.0);
        self.marks.retain(|id, _| *id < savepoint.0);
    }

    fn rollback_to(&mut self, savepoint: Savepoint) {
        let Some((ranges, actions)) = self.marks.get(&savepoint.0).copied() else { return };
        self.marks.retain(|id, _| *id <= savepoint.0);
        self.ranges.truncate(ranges);
        self.actions.truncate(actions);
        let mut locks = self.locks.as_mut();
        self.buffer.rollback_to(savepoint.0, |key, before| {
            if let Some(locks) = &mut locks {
                locks.restore(key, before);
            }
        });
    }

    fn has_writes(&self) -> bool {
        self.buffer.has_writes() || !self.actions.is_empty()
    }

    fn buffered_bytes(&self) -> usize {
        self.buffer.bytes()
    }

    async fn spill(&mut self) -> PgResult<()> {
        let region = self.region.clone();
        if self.buffer.unshipped_bytes() >= region.options.commit_bytes_max {
            self.check_alive()?;
            let snapshot = self.live_snapshot().await?.position();
            self.spill.ship(&region, &mut self.buffer, snapshot, region.options.part_bytes).await?;
        }
        Ok(())
    }

    async fn commit(&mut self) -> PgResult<Committed> {
        if self.buffer.is_empty() && self.actions.is_empty() {
            self.rollback();
            return Ok(Committed { index: None });
        }
        if self.read_only && self.has_writes() {
            return Err(PgError::new(sqlstate::READ_ONLY_SQL_TRANSACTION, "cannot write in a read-only transaction"));
        }
        self.check_alive()?;
        if self.past.is_some() {
            return Err(errors::only_reads());
        }
        let region = self.region.clone();
        let snapshot = self.live_snapshot().await?.position();
        if self.spill.parts() > 0 || self.buffer.unshipped_bytes() > region.options.commit_bytes_max {
            self.spill.finish(&region, &mut self.buffer, snapshot, region.options.part_bytes).await?;
        }
        let wrote = self.has_writes();
        let record = self.record();
        let (id, outcome, locks) = self.resolve(record).await?;
        self.reset();
        self.spill.end(&region, matches!(outcome, Outcome::Rejected { .. } | Outcome::NotSent));
        match outcome {
            Outcome::Committed(position) => Ok(Committed { index: wrote.then_some(position.index.0) }),
            Outcome::Rejected { reason } => {
                // Kept for a retry by the same session (T14).
                self.locks = locks;
                if let Some(locks) = &mut self.locks {
                    locks.forgive();
                }
                Err(errors::rejected(&region.names(), Rejection::decode(&reason), name(id)))
            }
            Outcome::NotSent => Err(errors::not_sent()),
            Outcome::Unknown => Err(errors::unknown(name(id))),
        }
    }

    fn restart(&mut self) {
        self.reset();
        self.spill.end(&self.region, true);
        if let Some(locks) = &mut self.locks {
            locks.forgive();
        }
    }

    fn rollback(&mut self) {
        self.reset();
        self.spill.end(&self.region, true);
        self.locks = None;
    }
}

impl Drop for RegionTransaction {
    fn drop(&mut self) {
        self.spill.end(&self.region, true);
    }
}

fn name(id: ProposalId) -> String {
    format!("{}.{}.{}", id.region.0, id.boot.0, id.sequence)
}

/// Merge stored rows with own writes of `covered`, both in the order of the scan.
fn merge(stored: Vec<Row>, buffer: &Buffer, covered: &KeyRange, reverse: bool, out: &mut Vec<Row>) {
    let mut own = buffer.seen_in(covered);
    if reverse {
        own.reverse();
    }
    let mut own = own.into_iter().peekable();
    let mut stored = stored.into_iter().peekable();
    loop {
        let own_first = match (own.peek(), stored.peek()) {
            (None, None) => return,
            (Some(_), None) => true,
            (None, Some(_)) => false,
            (Some((key, _)), Some(row)) if **key == row.key => {
                // The own write hides the stored row.
                stored.next();
                true
            }
            (Some((key, _)), Some(row)) => (**key < row.key) != reverse,
        };
        if own_first {
            let (key, value) = own.next().expect("just peeked");
            out.extend(value.map(|value| Row { key: key.clone(), version: OWN_VERSION, value: value.clone() }));
        } else {
            out.extend(stored.next());
        }
    }
}
