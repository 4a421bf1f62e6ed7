//! Takes committed entries to the store, in order, and does in the background what may take long.
//!
//! Small entries share atomic batches; each batch carries the applied index. Two kinds of work outlive their entry: the
//! writes of a large transaction, whose parts lie in the store's local area, and the filling of an index. Both are
//! *jobs*: noted in the same batch as their entry, done in slices at the entry's version, one after the other in log
//! order, started again where they were after a crash, and hidden behind a gate of the pending index meanwhile. So
//! nothing behind a large transaction waits for it, except readers of its keys.
//!
//! Invariants
//! - A1: only committed entries come here, each once, in order (T6). The node's journal replays what the store lost.
//! - A2: the store's horizon stays at or below the version of every unfinished job, so that nothing collects a
//!   tombstone whose older version a job is still going to write.
//! - A3: an entry about which regions disagree is not applied, nor anything after it (T5).
//!
//! Local keys (all numbers big-endian):
//!
//! ```text
//!  s                                             stored state of the certifier
//!  p region(1) boot(8) sequence(8) number(4)     a part's record
//!  v region(1) boot(8) sequence(8) key           parts below this number say nothing of this key
//!  j version(8) ordinal(2)                       unfinished job
//!  d version(8) ordinal(2)                       range to drop once the horizon is there
//! ```
mod job;
mod local;

use crate::api::{Action, IndexBuilder};
use crate::machine::decode_header;
use crate::record::{Access, CommitRecord, PartRecord, Record, RecordError, TransactionId};
use crate::state::RegionState;
use crate::stored::StoredState;
use bytes::Bytes;
use job::{Job, Work};
use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::{Duration, Instant};
use trivet_clock::HlcTimestamp;
use trivet_log::{Boot, Entry, EntryBody, Index, NodeId, ProposalId};
use trivet_storage::{Batch, Digest, KeyRange, Store, StoreError};

/// A batch is handed to the store once it is this large.
const BATCH_BYTES_MAX: usize = 1 << 20;
/// Versions that one slice of collection looks at.
const COLLECT_BUDGET: usize = 2_000;
/// How long `tidy` collects before entries get their turn again.
const COLLECT_FOR: Duration = Duration::from_millis(10);

#[derive(Debug, thiserror::Error)]
pub enum ApplyError {
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error("regions disagree about {0}")]
    Mismatch(String),
    #[error("entry {index} was committed and cannot be read: {error}")]
    Record { index: u64, error: RecordError },
    #[error("stored bookkeeping is damaged: {0}")]
    Bookkeeping(RecordError),
    #[error("entry {index} came after {applied}")]
    OutOfOrder { index: u64, applied: u64 },
    #[error("part {number} of transaction {transaction} is not in the store")]
    PartMissing { transaction: TransactionId, number: u32 },
    #[error("an index cannot be filled: {0}")]
    Fill(String),
}

/// What a slice of background work found.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Slice {
    /// There is more to do at once.
    More,
    Idle,
}

pub struct Applier {
    state: Arc<RegionState>,
    store: Arc<dyn Store>,
    builder: Arc<dyn IndexBuilder>,
    applied: Index,
    jobs: VecDeque<Job>,
    drops: BTreeMap<(Index, u16), KeyRange>,
    boots: BTreeMap<NodeId, Boot>,
    /// Horizon records whose state is applied and not known to be on disk.
    states_unflushed: VecDeque<Index>,
    horizon: Index,
    collecting: bool,
    newest_stamp: HlcTimestamp,
}

/// The certifier's part of what the store remembers: give it to `RegionMachine::new`.
pub fn stored_state(store: &dyn Store) -> Result<Option<StoredState>, ApplyError> {
    match store.local(local::STATE)? {
        None => Ok(None),
        Some(bytes) => StoredState::decode(&bytes).map(Some).map_err(ApplyError::Bookkeeping),
    }
}

/// The digest of all live rows at an applied index: ranges whose drop is committed there do not count, whether or not
/// this region has got round to it.
pub fn live_digest(store: &dyn Store, at: Index) -> Result<Digest, ApplyError> {
    let dropped = local::load_drops(store)?.into_iter().filter(|((version, _), _)| *version <= at);
    let dropped = dropped.map(|(_, range)| range).collect();
    Ok(trivet_storage::digest_without(store, &KeyRange::all(), dropped, at.0)?)
}

impl Applier {
    /// Before anything is served: unfinished work of before the start gets its gates back.
    pub fn open(
        state: Arc<RegionState>,
        store: Arc<dyn Store>,
        builder: Arc<dyn IndexBuilder>,
    ) -> Result<Applier, ApplyError> {
        let applied = Index(store.applied());
        let jobs = job::load(&*store)?;
        for job in &jobs {
            let ranges = job.gate_ranges(&*store)?;
            state.pending.open_gate(job.version, ranges, None);
        }
        let drops = local::load_drops(&*store)?;
        let stored = stored_state(&*store)?;
        let newest_stamp = stored.as_ref().map_or(HlcTimestamp::default(), |stored| stored.stamp);
        let mut applier = Applier {
            state,
            store,
            builder,
            applied,
            jobs,
            drops,
            boots: BTreeMap::new(),
            states_unflushed: VecDeque::new(),
            horizon: Index(0),
            collecting: true,
            newest_stamp,
        };
        for origin in stored.into_iter().flat_map(|stored| stored.origins) {
            applier.note_boot(origin.region, origin.boot);
        }
        applier.publish_floor();
        applier.state.set_applied(applied);
        Ok(applier)
    }

    pub fn applied(&self) -> Index {
        self.applied
    }

    /// The commit timestamp of the newest applied record.
    pub fn newest_stamp(&self) -> HlcTimestamp {
        self.newest_stamp
    }

    /// What a restart would not ask for again: for `Input::Applied`.
    pub fn durable(&mut self) -> Index {
        let flushed = Index(self.store.flushed());
        while self.states_unflushed.front().is_some_and(|at| *at <= flushed) {
            let at = self.states_unflushed.pop_front().expect("just looked at");
            self.state.set_stored_state(at);
        }
        flushed
    }

    /// Everything that is applied, to disk.
    pub fn flush(&mut self) -> Result<(), ApplyError> {
        Ok(self.store.flush()?)
    }

    /// Apply committed entries. Ones that the store has already are passed over (a replay after a restart).
    pub fn apply(&mut self, entries: &[Entry]) -> Result<(), ApplyError> {
        let mut building = Building::default();
        let mut result = Ok(());
        for entry in entries {
            let index = entry.position.index;
            if index <= self.applied.max(building.applied) {
                continue;
            }
            result = self.take(entry, &mut building);
            if result.is_err() {
                break;
            }
            if building.bytes >= BATCH_BYTES_MAX {
                self.write(std::mem::take(&mut building))?;
            }
        }
        self.write(building)?;
        if let Err(error) = &result {
            self.state.halt(error.to_string());
            tracing::error!(%error, "applying has stopped; the log goes on without this region's data");
        }
        result
    }

    fn take(&mut self, entry: &Entry, building: &mut Building) -> Result<(), ApplyError> {
        let index = entry.position.index;
        let before = self.applied.max(building.applied);
        if index.0 != before.0 + 1 {
            return Err(ApplyError::OutOfOrder { index: index.0, applied: before.0 });
        }
        if let Some(text) = self.state.mismatches.lock().get(&index) {
            return Err(ApplyError::Mismatch(text.clone()));
        }
        if let EntryBody::Record { header, proposal } = &entry.body {
            let unreadable = |error| ApplyError::Record { index: index.0, error };
            let record = Record::decode(&proposal.payload).map_err(unreadable)?;
            let stamp = decode_header(header).ok_or(unreadable(RecordError::Malformed("its header cannot be read")))?;
            self.newest_stamp = self.newest_stamp.max(stamp);
            building.stamps.push((stamp.physical, index));
            if self.note_boot(proposal.id.region, proposal.id.boot) {
                let unfinished = self.jobs.iter().chain(&building.jobs).filter_map(Job::large);
                let older = local::older_boots(proposal.id.region, proposal.id.boot, unfinished);
                building.batch.local_ranges.extend(older);
            }
            match record {
                Record::Commit(commit) => self.take_commit(index, proposal.id, commit, building),
                Record::Part(part) => take_part(part, proposal.payload.clone(), building),
                Record::Abandon { transaction, .. } => {
                    building.batch.local_ranges.extend(local::transaction_ranges(transaction));
                }
                Record::Horizon { .. } => self.take_horizon(index, building),
            }
        }
        building.applied = index;
        Ok(())
    }

    fn take_commit(&mut self, index: Index, id: ProposalId, commit: CommitRecord, building: &mut Building) {
        let foreign = id.region != self.state.region;
        let mut jobs = Vec::new();
        if commit.parts > 0 {
            jobs.push(Work::Large { transaction: commit.transaction, parts: commit.parts, next: 0 });
        }
        for key in commit.keys {
            if commit.parts > 0 {
                // What the final says of a key overrides all parts.
                building
                    .batch
                    .local
                    .push((local::void_key(commit.transaction, &key.key), Some(local::void_after(u32::MAX))));
            }
            let Some(mark) = key.access.mark() else { continue };
            if foreign {
                self.state.locks.doom(&key.key, mark.strength, index, id.region);
            }
            let value = match key.access {
                Access::Put { value, .. } => Some(value),
                Access::Delete => None,
                Access::Guard(_) | Access::Void => continue,
            };
            building.bytes += key.key.len() + value.as_ref().map_or(0, Bytes::len) + 16;
            building.batch.writes.push((key.key, index.0, value));
        }
        for (ordinal, action) in commit.actions.into_iter().enumerate() {
            match action {
                Action::FillIndex { table, index, spec } => {
                    jobs.push(Work::Fill { next: table.start.clone(), table, index, spec })
                }
                Action::DropRange { range } => {
                    let ordinal = ordinal as u16;
                    building.batch.local.push((local::drop_key(index, ordinal), Some(local::encode_drop(&range))));
                    building.drops.push(((index, ordinal), range));
                }
            }
        }
        for (ordinal, work) in jobs.into_iter().enumerate() {
            let job = Job::new(index, ordinal as u16, work);
            building.batch.local.push((job.key(), Some(job.encode())));
            building.jobs.push(job);
        }
    }

    fn take_horizon(&mut self, index: Index, building: &mut Building) {
        let mut states = self.state.states.lock();
        while states.front().is_some_and(|(at, _)| *at < index) {
            states.pop_front();
        }
        if states.front().is_some_and(|(at, _)| *at == index) {
            let (_, state) = states.pop_front().expect("just looked at");
            building.batch.local.push((Bytes::from_static(local::STATE), Some(state)));
            building.states.push(index);
        }
    }

    fn write(&mut self, building: Building) -> Result<(), ApplyError> {
        if building.applied <= self.applied {
            return Ok(());
        }
        let Building { mut batch, applied, jobs, drops, states, stamps, .. } = building;
        batch.applied = Some(applied.0);
        // Gates first: from `set_applied` on nothing else keeps readers from what the jobs have yet to write.
        for job in &jobs {
            let (ranges, keys) = match &job.work {
                Work::Fill { index, .. } => (vec![index.clone()], None),
                Work::Large { .. } => match self.state.pending.large(job.version) {
                    Some(keys) => (keys.ranges().to_vec(), Some(keys)),
                    // Its parts were below what this start knows of the log.
                    None => (job.gate_ranges(&*self.store)?, None),
                },
            };
            self.state.pending.open_gate(job.version, ranges, keys);
        }
        self.jobs.extend(jobs);
        self.publish_floor();
        self.state.note_writes(&batch);
        self.store.apply(batch)?;
        self.applied = applied;
        self.drops.extend(drops);
        self.states_unflushed.extend(states);
        stamps.into_iter().for_each(|(stamp, index)| self.state.history.applied(stamp, index));
        self.state.set_applied(applied);
        Ok(())
    }

    /// A newer boot of a region ends the parts of its older ones (T8), but for those whose final is committed and whose
    /// job has yet to read them: they go when it ends.
    fn note_boot(&mut self, region: NodeId, boot: Boot) -> bool {
        let known = self.boots.get(&region).copied();
        if known.is_some_and(|known| known >= boot) {
            return false;
        }
        self.boots.insert(region, boot);
        true
    }

    fn publish_floor(&self) {
        // A2, and T12: the log's horizon need not wait for jobs, but the journal and this store do.
        self.state.set_background_floor(self.jobs.front().map_or(Index(u64::MAX), |job| job.version));
    }

    /// Whether background work is waiting.
    pub fn pending(&self) -> Slice {
        if self.jobs.is_empty() { Slice::Idle } else { Slice::More }
    }

    /// One bounded slice of a job.
    pub fn work(&mut self) -> Result<Slice, ApplyError> {
        let Some(mut job) = self.jobs.pop_front() else { return Ok(Slice::Idle) };
        match job.slice(&self.state, &*self.store, &*self.builder) {
            Ok(true) => {
                self.publish_floor();
                self.state.pending.close_gate(job.version);
            }
            Ok(false) => self.jobs.push_front(job),
            Err(error) => {
                self.jobs.push_front(job);
                self.state.halt(error.to_string());
                tracing::error!(%error, "background work has stopped, and its readers wait for it");
                return Err(error);
            }
        }
        Ok(self.pending())
    }

    /// Raise the store's horizon as far as this region's readers allow, drop what is dead, collect for a moment.
    pub fn tidy(&mut self) -> Result<Slice, ApplyError> {
        let horizon = self.state.snapshots.low_water(self.applied.min(self.state.background_floor()));
        let horizon = self.state.history.limit(horizon);
        if horizon > self.horizon {
            self.horizon = horizon;
            self.collecting = true;
            self.store.set_horizon(horizon.0);
        }
        while let Some(entry) = self.drops.first_entry() {
            let (version, ordinal) = *entry.key();
            if version > self.horizon {
                break;
            }
            self.store.drop_range(entry.get())?;
            entry.remove();
            let local = vec![(local::drop_key(version, ordinal), None)];
            self.store.apply(Batch { local, ..Batch::default() })?;
        }
        let started = Instant::now();
        while self.collecting && started.elapsed() < COLLECT_FOR {
            let collected = self.store.collect(COLLECT_BUDGET)?;
            self.collecting = !collected.pass_ended;
            metrics::counter!("trivet_versions_dropped").increment(collected.dropped as u64);
        }
        Ok(if self.collecting { Slice::More } else { Slice::Idle })
    }
}

/// A batch in the making, and what follows once it is in the store.
#[derive(Default)]
struct Building {
    batch: Batch,
    bytes: usize,
    applied: Index,
    jobs: Vec<Job>,
    drops: Vec<((Index, u16), KeyRange)>,
    states: Vec<Index>,
    /// When the batch's entries were committed.
    stamps: Vec<(u64, Index)>,
}

fn take_part(part: PartRecord, payload: Bytes, building: &mut Building) {
    building.bytes += payload.len();
    for key in part.keys.iter().filter(|key| key.access == Access::Void) {
        building.batch.local.push((local::void_key(part.transaction, &key.key), Some(local::void_after(part.number))));
    }
    building.batch.local.push((local::part_key(part.transaction, part.number), Some(payload)));
}
