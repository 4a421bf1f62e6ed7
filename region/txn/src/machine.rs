//! The state machine above the log, on the core thread: certifier, pending index and clock as one [`Machine`].
//!
//! It proposes nothing and reads no store. Per entry it decodes once, certifies or re-checks, stamps, and puts the
//! written keys into the pending index, all before the core lets any acknowledgement out (T7).
//!
//! Header of an entry, the sequencer's own words outside of the proposal:
//!
//! ```text
//!  +---------+-----------------+
//!  | version | HLC stamp, 12 B |
//!  +---------+-----------------+
//! ```
use crate::certifier::{Certifier, Decision};
use crate::record::{CommitRecord, Record, RecordError};
use crate::rejection::Rejection;
use crate::rules::Rules;
use crate::state::{HorizonView, RegionState};
use crate::stored::StoredState;
use bytes::Bytes;
use std::collections::VecDeque;
use std::sync::Arc;
use trivet_clock::{HlcClock, HlcTimestamp};
use trivet_log::{Entry, EntryBody, Index, Machine, Now, Position, Proposal, ProposalId, Term, Verdict};

const HEADER_VERSION: u8 = 1;
/// Entries that the certifier may remember before old snapshots are cut off.
const REMEMBERED_MAX: usize = 4_000_000;

pub struct RegionMachine {
    state: Arc<RegionState>,
    certifier: Certifier,
    clock: HlcClock,
    /// Entries up to here were applied before this start: they feed the map, and are not looked at again.
    preload_up_to: Index,
    /// What `certify` decoded, for the `received` that follows at once.
    certified: Option<(ProposalId, Record)>,
    last_stamp: Option<HlcTimestamp>,
    leading: bool,
    low_water_of_all: Index,
    horizons_uncommitted: VecDeque<Index>,
    horizon_said_at: Index,
}

impl RegionMachine {
    /// `base`: everything at or below is not in the journal. `stored` and `applied` are the store's, at this start.
    pub fn new(
        state: Arc<RegionState>,
        rules: Rules,
        base: Position,
        stored: Option<StoredState>,
        applied: Index,
    ) -> Self {
        let mut certifier = Certifier::new(rules, base);
        let mut clock = HlcClock::default();
        let mut horizon_said_at = Index(0);
        if let Some(stored) = stored {
            // A stored stamp was checked when it was read.
            let _ = clock.observe(stored.stamp);
            horizon_said_at = stored.at;
            certifier.restore(stored);
        }
        state.set_stored_state(horizon_said_at);
        RegionMachine {
            state,
            certifier,
            clock,
            preload_up_to: applied,
            certified: None,
            last_stamp: None,
            leading: false,
            low_water_of_all: Index(0),
            horizons_uncommitted: VecDeque::new(),
            horizon_said_at,
        }
    }

    pub fn certifier(&self) -> &Certifier {
        &self.certifier
    }

    fn received_record(&mut self, position: Position, header: &Bytes, proposal: &Proposal) {
        let certified = self.certified.take().filter(|(id, _)| *id == proposal.id);
        let preload = position.index <= self.preload_up_to;
        let trusted = certified.is_some() || preload;
        let record = match certified {
            Some((_, record)) => Ok(record),
            None => Record::decode(&proposal.payload),
        };
        let checked = self.check_header(header, trusted).and_then(|()| record.map_err(Mismatch::from));
        let record = match checked {
            Ok(record) => record,
            Err(mismatch) => {
                self.mismatch(position, &mismatch.0);
                self.certifier.append_unreadable(position, proposal.id);
                return;
            }
        };
        if !trusted {
            if let Err(rejection) = self.certifier.recheck(proposal.id, &record) {
                self.mismatch(position, &format!("this region would have refused it: {rejection}"));
            }
        }
        let large = self.certifier.append(position, proposal.id, &record);
        match &record {
            Record::Commit(commit) if !preload => {
                if let Some(watched) = self.state.watched() {
                    let large = large.as_ref().is_some_and(|keys| keys.overlaps(watched));
                    if large || written_keys(commit).any(|key| watched.contains(&key)) {
                        self.state.note_watched_write(position.index);
                    }
                }
                self.state.pending.insert(position.index, written_keys(commit), large);
            }
            Record::Horizon { .. } => self.horizons_uncommitted.push_back(position.index),
            _ => {}
        }
    }

    fn check_header(&mut self, header: &Bytes, trusted: bool) -> Result<(), Mismatch> {
        let stamp = decode_header(header).ok_or_else(|| Mismatch("its header cannot be read".into()))?;
        let grew = self.last_stamp.is_none_or(|last| last < stamp);
        self.last_stamp = Some(stamp);
        if !trusted && !grew {
            return Err(Mismatch("its stamp does not grow along the log".into()));
        }
        self.clock.observe(stamp).map_err(|error| Mismatch(error.to_string()))
    }

    /// Regions disagree. Only if the entry is committed does it matter: the applier will stop there.
    fn mismatch(&self, position: Position, what: &str) {
        if position.index > self.preload_up_to {
            let text = format!("entry {} of term {}: {what}", position.index.0, position.term.0);
            self.state.mismatches.lock().insert(position.index, text);
        }
    }

    fn publish_horizon(&self) {
        let commit = self.certifier.commit();
        let mut target = self.low_water_of_all.min(commit);
        if self.certifier.remembered() > REMEMBERED_MAX {
            // Memory is finite: transactions older than this will be refused.
            target = target.max(Index(commit.0.saturating_sub(REMEMBERED_MAX as u64 / 2)));
        }
        let in_force = self.certifier.horizon();
        let target = self.certifier.term_at(target).filter(|target| target.index > in_force.index).unwrap_or(in_force);
        let said_at = self.horizon_said_at;
        self.state.set_horizon_view(HorizonView { leading: self.leading, target, in_force, said_at, commit });
    }
}

struct Mismatch(String);

impl From<RecordError> for Mismatch {
    fn from(error: RecordError) -> Mismatch {
        Mismatch(error.to_string())
    }
}

impl Machine for RegionMachine {
    fn certify(&mut self, now: Now, at: Position, proposal: &Proposal) -> Verdict {
        let refuse = |rejection: Rejection| Verdict::Reject { reason: rejection.encode() };
        debug_assert_eq!(at.index.0, self.certifier.last().index.0 + 1, "certified for a place that is not next");
        let Ok(record) = Record::decode(&proposal.payload) else { return refuse(Rejection::Malformed) };
        if let Record::Horizon { horizon, .. } = &record {
            if horizon.index > self.certifier.commit() {
                return refuse(Rejection::Horizon);
            }
        }
        match self.certifier.certify(proposal.id, &record) {
            Decision::Append => {
                let stamp = self.clock.stamp(now.boottime, now.wall);
                self.certified = Some((proposal.id, record));
                Verdict::Append { header: encode_header(stamp) }
            }
            Decision::Reject(rejection) => refuse(rejection),
            Decision::Duplicate(position) => Verdict::Duplicate { position },
        }
    }

    fn received(&mut self, entry: &Entry) {
        let position = entry.position;
        if position.index <= self.certifier.last().index {
            assert!(position.index <= self.preload_up_to, "an entry was received twice without truncation");
            return;
        }
        if position.index.0 > self.certifier.last().index.0 + 1 {
            self.certifier.skip_to(position);
        }
        match &entry.body {
            EntryBody::NoOp => self.certifier.append_no_op(position),
            EntryBody::Record { header, proposal } => self.received_record(position, header, proposal),
        }
        if position.index <= self.preload_up_to {
            self.certifier.commit_to(position.index);
        }
    }

    fn truncated(&mut self, last: Position) {
        self.certified = None;
        self.last_stamp = None;
        // Readers first: after this, nobody reads above `last` without having begun again (S1, T3).
        self.state.snapshots.truncated(last);
        self.state.pending.truncated(last.index);
        self.state.mismatches.lock().retain(|index, _| *index <= last.index);
        self.horizons_uncommitted.retain(|index| *index <= last.index);
        self.certifier.truncate(last);
    }

    fn committed(&mut self, position: Position) {
        self.certifier.commit_to(position.index);
        let mut newest = None;
        while self.horizons_uncommitted.front().is_some_and(|at| *at <= position.index) {
            newest = self.horizons_uncommitted.pop_front();
        }
        if let Some(at) = newest {
            self.horizon_said_at = at;
            if at > self.preload_up_to {
                let stored = self.certifier.stored_state(at, self.clock.last());
                self.state.states.lock().push_back((at, stored.encode()));
            }
        }
        self.publish_horizon();
    }

    fn leading(&mut self, _now: Now, _term: Term, leads: bool) {
        self.leading = leads;
        self.low_water_of_all = Index(0);
        self.publish_horizon();
    }

    /// T12: live snapshots (those of unresolved proposals included), background work, and what the store can rebuild.
    fn low_water(&self) -> Index {
        let commit = self.certifier.commit().min(self.state.stored_state()).min(self.state.background_floor());
        self.state.snapshots.low_water(commit)
    }

    fn low_water_of_all(&mut self, index: Index) {
        self.low_water_of_all = index;
    }
}

/// Keys that a record itself writes; a large transaction's others are in its key set.
fn written_keys(commit: &CommitRecord) -> impl ExactSizeIterator<Item = Bytes> {
    let written = commit.keys.iter().filter(|key| key.access.mark().is_some_and(|mark| mark.writes));
    written.map(|key| key.key.clone()).collect::<Vec<_>>().into_iter()
}

fn encode_header(stamp: HlcTimestamp) -> Bytes {
    let mut out = Vec::with_capacity(1 + HlcTimestamp::LENGTH);
    out.push(HEADER_VERSION);
    out.extend_from_slice(&stamp.to_bytes());
    Bytes::from(out)
}

/// The commit timestamp of an entry; `None` if the bytes are not a header of this version.
pub fn decode_header(header: &[u8]) -> Option<HlcTimestamp> {
    let (version, stamp) = header.split_first()?;
    if *version == HEADER_VERSION { HlcTimestamp::from_bytes(stamp).ok() } else { None }
}
