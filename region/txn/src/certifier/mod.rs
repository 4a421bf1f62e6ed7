//! The certifier: decides, as a pure function of the log below, whether a record may join the log (T1 to T5).
//!
//! It keeps what every key saw since the horizon, exactly as the log says it:
//!
//! ```text
//!      horizon            commit               last
//!  -------+------------------+-------------------+----> log
//!  forgot |  stamps, settled | stamps, revocable |
//!         +------------------+-------------------+
//!   points:  fingerprint -> [stamp = (index, strength, wrote or guarded)], oldest first
//!   recent:  one per entry: what it stamped, so that truncation can take back exactly that
//!   large:   one key set per large transaction, open (parts only) or closed (final in the log)
//! ```
//!
//! A record conflicts with a stamp if the stamp is a write after the key's `read_at`, or a guard after its `lock_at`,
//! and the two strengths conflict in PostgreSQL's matrix.
//!
//! Invariants
//! - K1: the verdict on a record depends on nothing but the record and the entries below it in the log. (Two refusals
//!   may come from local knowledge, `SnapshotUnknown` and a horizon above commit; refusals are never in the log.)
//! - K2: `truncate(c)` leaves exactly the state that the entries up to c alone would have made.
//! - K3: what is at or below the committed horizon may be forgotten, since every position below it is refused.
//!
//! A large transaction is certified as it arrives: each part against everything before it, each later record against
//! the parts. The first conflict dooms it, and the final asks only whether it is doomed: a final of a million keys
//! costs what one of four keys does.
mod large;
mod origins;
mod positions;
mod range;
#[cfg(test)]
mod tests;

use crate::api::LockStrength;
use crate::keyset::{FingerprintMap, KeySet, fingerprint};
use crate::record::{CommitRecord, KeyAccess, Mark, PartRecord, Record, TransactionId};
use crate::rejection::Rejection;
use crate::rules::Rules;
use crate::stored::{StoredOrigin, StoredState};
use bytes::Bytes;
use large::{Abandoned, Closed, Open};
use origins::Origins;
use positions::Terms;
use smallvec::SmallVec;
use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use trivet_log::{Index, NodeId, Position, ProposalId};

/// How many entries below the horizon one step forgets: more than arrive, few enough not to be felt.
const FORGET_PER_STEP: usize = 512;

#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Decision {
    Append,
    Reject(Rejection),
    Duplicate(Position),
}

/// An entry in the log did something to a key. Packed: index in the upper 61 bits, [`Mark::slot`] in the lower 3.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Stamp(u64);

impl Stamp {
    fn new(index: Index, mark: Mark) -> Stamp {
        Stamp(index.0 << 3 | u64::from(mark.slot()))
    }
    fn index(self) -> Index {
        Index(self.0 >> 3)
    }
    fn mark(self) -> Mark {
        Mark::of_slot((self.0 & 7) as u8)
    }
}

type Stamps = SmallVec<[Stamp; 2]>;

/// What one entry left behind.
#[derive(Clone, Debug)]
struct Recent {
    id: Option<ProposalId>,
    stamps: Box<[(u64, Mark)]>,
    /// The keys that it wrote, one after the other, each with a length before it; for guarded ranges.
    keys: Box<[u8]>,
    effect: Effect,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Effect {
    Plain,
    Final(TransactionId),
    Abandon,
    Horizon,
}

#[derive(Clone, Debug)]
pub struct Certifier {
    rules: Rules,
    last: Position,
    commit: Index,
    /// Entries at or below are not in the map, though the horizon is lower: this node started lately (local).
    known_from: Index,
    terms: Terms,
    /// (entry that said it, horizon), ascending; the last is in force.
    horizons: Vec<(Index, Position)>,
    points: FingerprintMap<Stamps>,
    /// Index of `recent[0]`.
    recent_first: Index,
    recent: VecDeque<Recent>,
    open: BTreeMap<TransactionId, Open>,
    closed: VecDeque<Closed>,
    abandoned: Vec<Abandoned>,
    origins: Origins,
}

impl Certifier {
    /// A certifier for a log that is empty up to `base`, or of which nothing up to `base` is known.
    pub fn new(rules: Rules, base: Position) -> Certifier {
        Certifier {
            rules,
            last: base,
            commit: base.index,
            known_from: base.index,
            terms: Terms::new(base),
            horizons: vec![(base.index, Position::default())],
            points: FingerprintMap::default(),
            recent_first: Index(base.index.0 + 1),
            recent: VecDeque::new(),
            open: BTreeMap::new(),
            closed: VecDeque::new(),
            abandoned: Vec::new(),
            origins: Origins::default(),
        }
    }

    pub fn last(&self) -> Position {
        self.last
    }
    pub fn commit(&self) -> Index {
        self.commit
    }
    pub fn horizon(&self) -> Position {
        self.horizons.last().expect("never empty").1
    }
    /// Entries that the map still holds: what a bound on memory looks at.
    pub fn remembered(&self) -> usize {
        self.recent.len()
    }
    pub fn term_at(&self, index: Index) -> Option<Position> {
        self.terms.at(index, self.last)
    }
    /// The region whose record is at `index`, if that is remembered.
    pub fn region_at(&self, index: Index) -> Option<NodeId> {
        let offset = index.0.checked_sub(self.recent_first.0)?;
        self.recent.get(offset as usize)?.id.map(|id| id.region)
    }

    /// What a start knows besides the journal. `at` is applied, so it is at or below commit.
    pub fn restore(&mut self, stored: StoredState) {
        self.horizons = vec![(stored.at, stored.horizon)];
        self.origins.restore(stored.at, stored.origins);
    }

    /// The journal begins later than was thought: nothing below `first` is known. Only before the first entry.
    pub fn skip_to(&mut self, first: Position) {
        assert!(self.recent.is_empty(), "a hole in the log");
        let below = Index(first.index.0 - 1);
        let horizon = self.horizon();
        // The term just below is a guess, unless the horizon lies there; positions there are not believed.
        let (base, known_from) = match horizon.index == below {
            true => (horizon, below),
            false => (Position { term: first.term, index: below }, first.index),
        };
        self.last = base;
        self.commit = self.commit.max(base.index);
        self.known_from = known_from;
        self.terms = Terms::new(base);
        self.recent_first = first.index;
    }

    pub(crate) fn horizon_at(&self, at: Index) -> Position {
        self.horizons.iter().rev().find(|(said, _)| *said <= at).expect("the first is below everything").1
    }

    pub(crate) fn origins_at(&self, at: Index) -> Vec<StoredOrigin> {
        self.origins.as_of(at)
    }

    /// The leader's question: may this record be the next entry? Changes nothing.
    pub fn certify(&self, id: ProposalId, record: &Record) -> Decision {
        if self.rules.duplicates_found {
            if let Some(position) = self.origins.find(id) {
                return Decision::Duplicate(position);
            }
            if self.origins.is_stale(id) {
                return Decision::Reject(Rejection::Stale);
            }
        }
        match self.check(record) {
            Ok(()) => Decision::Append,
            Err(rejection) => Decision::Reject(rejection),
        }
    }

    /// The follower's question, before `append`: was the leader right to append this?
    pub fn recheck(&self, id: ProposalId, record: &Record) -> Result<(), Rejection> {
        match self.certify(id, record) {
            Decision::Append | Decision::Reject(Rejection::SnapshotUnknown { .. }) => Ok(()),
            // Parts below what this node knows cannot be checked here; `append` takes care.
            Decision::Reject(Rejection::PartsMissing) if self.known_from > Index(0) => Ok(()),
            Decision::Reject(rejection) => Err(rejection),
            Decision::Duplicate(_) => Err(Rejection::Stale),
        }
    }

    fn check(&self, record: &Record) -> Result<(), Rejection> {
        match record {
            Record::Commit(commit) => self.check_commit(commit),
            Record::Part(part) => self.check_part(part),
            Record::Abandon { .. } => Ok(()),
            Record::Horizon { horizon, .. } => self.check_horizon(*horizon),
        }
    }

    fn check_commit(&self, record: &CommitRecord) -> Result<(), Rejection> {
        let mut trusted = record.snapshot;
        self.check_position(record.snapshot)?;
        let mut believe = |position: Position| {
            if position != trusted {
                self.check_position(position)?;
                trusted = position;
            }
            Ok::<(), Rejection>(())
        };
        for key in &record.keys {
            believe(key.read_at)?;
            believe(key.lock_at)?;
            key.key_at.map_or(Ok(()), &mut believe)?;
            self.check_key(key)?;
        }
        for guard in &record.schema_guards {
            believe(guard.read_at)?;
            if let Some(at) = self.written_since(&guard.key, guard.read_at) {
                let (key, region) = (guard.key.clone(), self.region_of(at));
                return Err(Rejection::SchemaChanged { key, at, region });
            }
        }
        for guard in &record.reads {
            believe(guard.read_at)?;
            if let Some(at) = self.written_since(&guard.key, guard.read_at) {
                return Err(self.conflict_at(&guard.key, at));
            }
        }
        for guard in &record.ranges {
            believe(guard.read_at)?;
            self.check_range(&guard.range, guard.read_at)?;
        }
        if record.parts > 0 { self.check_final(record) } else { Ok(()) }
    }

    /// T3: the log still has this term at this index, and T5: the map reaches back to it.
    fn check_position(&self, position: Position) -> Result<(), Rejection> {
        if self.rules.terms_checked {
            if position.index > self.last.index {
                return Err(Rejection::SnapshotLost);
            }
            match self.terms.at(position.index, self.last) {
                Some(known) if known != position => return Err(Rejection::SnapshotLost),
                _ => {}
            }
        }
        let horizon = self.horizon().index;
        if position.index < horizon {
            return Err(Rejection::SnapshotTooOld { horizon });
        }
        if position.index < self.known_from {
            return Err(Rejection::SnapshotUnknown { known_from: self.known_from });
        }
        Ok(())
    }

    fn check_key(&self, key: &KeyAccess) -> Result<(), Rejection> {
        let Some(mark) = key.access.mark() else { return Ok(()) };
        match self.conflict(fingerprint(&key.key), mark, key) {
            None => Ok(()),
            Some(at) => Err(self.conflict_at(&key.key, at)),
        }
    }

    /// The first entry after `read_at` that wrote the key.
    fn written_since(&self, key: &[u8], read_at: Position) -> Option<Index> {
        let fingerprint = fingerprint(key);
        let written = self.points.get(&fingerprint).and_then(|stamps| {
            stamps.iter().find(|stamp| stamp.mark().writes && stamp.index() > read_at.index).map(|stamp| stamp.index())
        });
        let large = || self.closed.iter().find(|c| c.at > read_at.index && c.keys.marks(fingerprint).writes());
        written.or_else(|| large().map(|closed| closed.at))
    }

    /// The first entry that did to this key what conflicts with `mark` as `key` relies on it.
    fn conflict(&self, fingerprint: u64, mark: Mark, key: &KeyAccess) -> Option<Index> {
        let conflicts = |index: Index, theirs: Mark| {
            let relied_on = if theirs.writes { key.read_at } else { key.lock_at };
            let of_the_key = |key_at: Position| {
                theirs.writes && index > key_at.index && theirs.strength.conflicts_with(LockStrength::KeyShare)
            };
            (index > relied_on.index && theirs.strength.conflicts_with(mark.strength))
                || key.key_at.is_some_and(of_the_key)
        };
        if let Some(stamps) = self.points.get(&fingerprint)
            && let Some(stamp) = stamps.iter().find(|stamp| conflicts(stamp.index(), stamp.mark()))
        {
            return Some(stamp.index());
        }
        let oldest = key.read_at.index.min(key.lock_at.index).min(key.key_at.map_or(key.read_at, |at| at).index);
        let mut large = self.closed.iter().rev().take_while(|closed| closed.at > oldest);
        let hit = large.find(|closed| closed.keys.marks(fingerprint).iter().any(|theirs| conflicts(closed.at, theirs)));
        hit.map(|closed| closed.at)
    }

    fn conflict_at(&self, key: &Bytes, at: Index) -> Rejection {
        Rejection::Conflict { key: key.clone(), at, region: self.region_of(at) }
    }

    fn region_of(&self, at: Index) -> NodeId {
        self.region_at(at).unwrap_or(NodeId(u8::MAX))
    }

    fn check_horizon(&self, horizon: Position) -> Result<(), Rejection> {
        if horizon.index > self.last.index || horizon.index < self.horizon().index {
            return Err(Rejection::Horizon);
        }
        match self.terms.at(horizon.index, self.last) {
            Some(known) if known != horizon => Err(Rejection::Horizon),
            _ => Ok(()),
        }
    }

    /// A new leader's empty entry.
    pub fn append_no_op(&mut self, position: Position) {
        self.advance(position);
        self.recent.push_back(Recent { id: None, stamps: Box::default(), keys: Box::default(), effect: Effect::Plain });
    }

    /// Bytes that no build of this version wrote. They hold their place in the log and do nothing here.
    pub fn append_unreadable(&mut self, position: Position, id: ProposalId) {
        self.advance(position);
        self.origins.insert(id, position, 0);
        let recent = Recent { id: Some(id), stamps: Box::default(), keys: Box::default(), effect: Effect::Plain };
        self.recent.push_back(recent);
    }

    /// The record is in the log at `position`. Returns the key set of a large transaction that ends here.
    pub fn append(&mut self, position: Position, id: ProposalId, record: &Record) -> Option<Arc<KeySet>> {
        self.advance(position);
        self.origins.insert(id, position, record.low_water());
        let mut recent = Recent { id: Some(id), stamps: Box::default(), keys: Box::default(), effect: Effect::Plain };
        let mut ended = None;
        match record {
            Record::Commit(commit) => {
                recent.stamps = self.stamp(position.index, id.region, &commit.keys);
                recent.keys = range::concatenate(&commit.keys);
                if commit.parts > 0 {
                    recent.effect = Effect::Final(commit.transaction);
                    ended = Some(self.close(commit, position.index));
                }
            }
            Record::Part(part) => {
                self.add_part(part, position.index);
            }
            Record::Abandon { transaction, .. } => {
                recent.effect = Effect::Abandon;
                self.abandon(*transaction, position.index);
            }
            Record::Horizon { horizon, .. } => {
                recent.effect = Effect::Horizon;
                // After a start the stored one may be ahead of the journal's.
                if horizon.index > self.horizon().index {
                    self.horizons.push((position.index, *horizon));
                }
            }
        }
        self.recent.push_back(recent);
        ended
    }

    fn advance(&mut self, position: Position) {
        assert!(position.index.0 == self.last.index.0 + 1, "an entry was appended out of order");
        assert!(position.term >= self.last.term, "terms fall along the log");
        self.terms.append(position);
        self.last = position;
    }

    fn stamp(&mut self, index: Index, region: NodeId, keys: &[KeyAccess]) -> Box<[(u64, Mark)]> {
        let mut made = SmallVec::<[(u64, Mark); 8]>::new();
        for key in keys {
            let Some(mark) = key.access.mark() else { continue };
            if mark.writes || self.rules.guards_stamp {
                let fingerprint = fingerprint(&key.key);
                push(self.points.entry(fingerprint).or_default(), Stamp::new(index, mark), self.commit);
                made.push((fingerprint, mark));
            }
        }
        if !self.open.is_empty() {
            self.doom_open(&made, keys, index, region);
        }
        made.into_vec().into_boxed_slice()
    }

    /// Every entry above `last` is gone (K2).
    pub fn truncate(&mut self, last: Position) {
        assert!(last.index >= self.commit, "truncated below commit");
        while self.last.index > last.index {
            let index = self.last.index;
            let recent = self.recent.pop_back().expect("entries above commit are remembered");
            self.take_back(index, &recent);
            self.last = Position { index: Index(index.0 - 1), term: self.terms.truncate(Index(index.0 - 1)) };
        }
        self.last = last;
        self.rebuild_open(last.index);
    }

    fn take_back(&mut self, index: Index, recent: &Recent) {
        for (fingerprint, _) in &recent.stamps {
            if !self.rules.truncation_exact {
                self.points.remove(fingerprint);
            } else if let Some(stamps) = self.points.get_mut(fingerprint) {
                stamps.retain(|stamp| stamp.index() < index);
                if stamps.is_empty() {
                    self.points.remove(fingerprint);
                }
            }
        }
        if let Some(id) = recent.id {
            self.origins.remove(id, index);
        }
        match &recent.effect {
            Effect::Plain => {}
            Effect::Final(transaction) => self.reopen(*transaction, index),
            Effect::Abandon => self.take_back_abandon(index),
            Effect::Horizon => {
                if self.horizons.last().is_some_and(|(said, _)| *said == index) {
                    self.horizons.pop();
                }
            }
        }
    }

    /// Everything up to `index` is committed. Forgets a bounded amount of what the horizon allows (K3).
    pub fn commit_to(&mut self, index: Index) {
        if index > self.commit {
            self.commit = index.min(self.last.index);
            let settled = self.horizons.iter().take_while(|(at, _)| *at <= self.commit).count();
            self.horizons.drain(..settled.saturating_sub(1));
            self.settle_large();
            self.origins.commit(self.commit);
        }
        self.forget(FORGET_PER_STEP);
    }

    /// A hash of all that verdicts depend on: two certifiers with the same answer alike.
    #[cfg(test)]
    pub(crate) fn digest(&self) -> u64 {
        use std::hash::{DefaultHasher, Hash, Hasher};
        let mut hasher = DefaultHasher::new();
        (self.last, self.commit, &self.terms, &self.horizons, &self.origins).hash(&mut hasher);
        let point = |(key, stamps): (&u64, &Stamps)| {
            let mut hasher = DefaultHasher::new();
            (key, stamps.iter().map(|stamp| stamp.0).collect::<Vec<_>>()).hash(&mut hasher);
            hasher.finish()
        };
        // In no order: a sum.
        hasher.write_u64(self.points.iter().map(point).fold(0, u64::wrapping_add));
        hasher.finish()
    }

    fn forget(&mut self, mut budget: usize) {
        let (said_at, horizon) = self.horizons[0];
        if said_at > self.commit {
            return;
        }
        while budget > 0 && self.recent_first <= horizon.index && self.recent_first <= self.commit {
            let Some(recent) = self.recent.pop_front() else { break };
            for (fingerprint, _) in &recent.stamps {
                if self.points.get(fingerprint).is_some_and(|s| s.iter().all(|stamp| stamp.index() <= horizon.index)) {
                    self.points.remove(fingerprint);
                }
            }
            self.recent_first.0 += 1;
            budget -= 1;
        }
        while self.closed.front().is_some_and(|closed| closed.at <= horizon.index && closed.at <= self.commit) {
            self.closed.pop_front();
        }
        self.terms.forget_below(horizon.index.min(self.commit));
    }

    /// Open large transactions: their parts must stay in the journal's reach.
    pub fn first_open_part(&self) -> Option<Index> {
        self.open.values().filter_map(|open| open.first_part()).min()
    }

    pub fn open_transactions(&self) -> usize {
        self.open.len()
    }

    fn check_part(&self, part: &PartRecord) -> Result<(), Rejection> {
        // Its keys are checked by `add_part`: a conflict dooms the final, the part itself has no effect.
        let known = self.open.get(&part.transaction).is_some_and(|open| open.has_part(part.number));
        if known { Err(Rejection::PartsMissing) } else { Ok(()) }
    }
}

/// Append a stamp; of those that no truncation can reach, only the newest of each kind matters.
fn push(stamps: &mut Stamps, stamp: Stamp, commit: Index) {
    if stamps.len() >= 2 {
        let mut seen = 0u8;
        let mut kept: Stamps = SmallVec::new();
        for old in stamps.iter().rev() {
            let bit = 1u8 << old.mark().slot();
            if old.index() > commit || seen & bit == 0 {
                kept.push(*old);
            }
            if old.index() <= commit {
                seen |= bit;
            }
        }
        kept.reverse();
        *stamps = kept;
    }
    stamps.push(stamp);
}
