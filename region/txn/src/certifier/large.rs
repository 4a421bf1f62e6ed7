//! Large transactions: certified part by part, decided at the final (T8).
use super::Certifier;
use crate::keyset::{KeySet, fingerprint, overlap};
use crate::record::{CommitRecord, KeyAccess, Mark, PartRecord, TransactionId};
use crate::rejection::Rejection;
use std::sync::Arc;
use trivet_log::{Index, NodeId};
use trivet_storage::KeyRange;

/// Parts are in the log, the final is not.
#[derive(Clone, Debug, Default)]
pub(super) struct Open {
    parts: Vec<PartKeys>,
    keys: Arc<KeySet>,
    /// The first entry that made a conflict certain, and what the final will be told.
    doomed: Option<(Index, Rejection)>,
}

/// Given up by the entry at `at`: kept until that is committed.
#[derive(Clone, Debug)]
pub(super) struct Abandoned {
    at: Index,
    transaction: TransactionId,
    open: Open,
}

/// Enough of one part to build the key set again without a later one.
#[derive(Clone, Debug)]
struct PartKeys {
    at: Index,
    number: u32,
    ranges: Vec<KeyRange>,
    stamps: Box<[(u64, Mark)]>,
}

/// The final is in the log, at `at`.
#[derive(Clone, Debug)]
pub(super) struct Closed {
    pub(super) at: Index,
    pub(super) transaction: TransactionId,
    pub(super) keys: Arc<KeySet>,
    /// Everything that truncation of the final needs.
    open: Open,
}

impl Open {
    pub(super) fn part_count(&self) -> u32 {
        self.parts.len() as u32
    }
    pub(super) fn has_part(&self, number: u32) -> bool {
        self.parts.iter().any(|part| part.number == number)
    }
    /// Every number below `count`, each once, and no other.
    fn is_complete(&self, count: u32) -> bool {
        self.part_count() == count && self.parts.iter().all(|part| part.number < count)
    }
    pub(super) fn first_part(&self) -> Option<Index> {
        self.parts.first().map(|part| part.at)
    }
    fn doom(&mut self, at: Index, rejection: Rejection) {
        if self.doomed.is_none() {
            self.doomed = Some((at, rejection));
        }
    }
}

impl Certifier {
    /// The final's own question: are all parts here, and did nothing conflict with them?
    pub(super) fn check_final(&self, record: &CommitRecord) -> Result<(), Rejection> {
        match self.open.get(&record.transaction) {
            Some(open) if open.is_complete(record.parts) => match &open.doomed {
                None => Ok(()),
                Some((_, rejection)) => Err(rejection.clone()),
            },
            _ => Err(Rejection::PartsMissing),
        }
    }

    pub(super) fn add_part(&mut self, part: &PartRecord, at: Index) {
        let doomed = self.conflict_of_part(&part.keys);
        let open = self.open.entry(part.transaction).or_default();
        let stamps: Box<[(u64, Mark)]> =
            part.keys.iter().filter_map(|key| Some((fingerprint(&key.key), key.access.mark()?))).collect();
        let keys = Arc::make_mut(&mut open.keys);
        part.ranges.iter().for_each(|range| keys.add_range(range));
        stamps.iter().for_each(|(fingerprint, mark)| keys.add(*fingerprint, *mark));
        open.parts.push(PartKeys { at, number: part.number, ranges: part.ranges.clone(), stamps });
        if let Some(rejection) = doomed {
            open.doom(at, rejection);
        }
    }

    /// What everything below says to the keys of a part that arrives.
    fn conflict_of_part(&self, keys: &[KeyAccess]) -> Option<Rejection> {
        let mut trusted = None;
        for key in keys {
            for position in [key.read_at, key.lock_at].into_iter().chain(key.key_at) {
                if trusted != Some(position) {
                    if let Err(rejection) = self.check_position(position) {
                        return Some(rejection);
                    }
                    trusted = Some(position);
                }
            }
            if let Err(rejection) = self.check_key(key) {
                return Some(rejection);
            }
        }
        None
    }

    /// What an entry at `at` stamped, said to every large transaction that is still open.
    pub(super) fn doom_open(&mut self, stamps: &[(u64, Mark)], keys: &[KeyAccess], at: Index, region: NodeId) {
        for open in self.open.values_mut().filter(|open| open.doomed.is_none()) {
            let hit =
                stamps.iter().find(|(fingerprint, mark)| open.keys.marks(*fingerprint).conflicts_with(mark.strength));
            if let Some((hit, _)) = hit {
                let key =
                    keys.iter().find(|key| fingerprint(&key.key) == *hit).expect("stamped from these keys").key.clone();
                open.doom(at, Rejection::Conflict { key, at, region });
            }
        }
    }

    /// The final is in the log: its keys conflict with others from `at` on.
    pub(super) fn close(&mut self, record: &CommitRecord, at: Index) -> Arc<KeySet> {
        let open = self.open.remove(&record.transaction).unwrap_or_default();
        if !open.is_complete(record.parts) {
            // Parts of before this node's knowledge (`recheck` let it pass): nothing below can be judged here.
            self.known_from = self.known_from.max(at);
        }
        let keys = open.keys.clone();
        let region = record.transaction.region;
        for other in self.open.values_mut().filter(|other| other.doomed.is_none()) {
            if other.keys.ranges().iter().any(|range| keys.overlaps(range)) && intersects(&keys, &other.keys) {
                let key = keys.ranges().first().map(|range| range.start.clone()).unwrap_or_default();
                other.doom(at, Rejection::Conflict { key, at, region });
            }
        }
        self.closed.push_back(Closed { at, transaction: record.transaction, keys: keys.clone(), open });
        keys
    }

    /// The entry at `at` gives its parts up. Parts that still come begin anew, and will not get far.
    pub(super) fn abandon(&mut self, transaction: TransactionId, at: Index) {
        if let Some(open) = self.open.remove(&transaction) {
            self.abandoned.push(Abandoned { at, transaction, open });
        }
    }

    /// The abandon at `at` was truncated.
    pub(super) fn take_back_abandon(&mut self, at: Index) {
        if let Some(abandoned) = self.abandoned.pop_if(|abandoned| abandoned.at == at) {
            self.open.insert(abandoned.transaction, abandoned.open);
        }
    }

    /// The final at `at` was truncated.
    pub(super) fn reopen(&mut self, transaction: TransactionId, at: Index) {
        let closed = self.closed.pop_back().expect("a final in the log is closed");
        assert!(closed.at == at && closed.transaction == transaction, "finals are closed in log order");
        if closed.open.part_count() > 0 {
            self.open.insert(transaction, closed.open);
        }
    }

    /// Truncation to `last`: drop later parts and later dooms. A key set that lost a part is built again.
    pub(super) fn rebuild_open(&mut self, last: Index) {
        self.open.retain(|_, open| {
            let before = open.parts.len();
            open.parts.retain(|part| part.at <= last);
            if open.parts.len() < before {
                let mut keys = KeySet::default();
                for part in &open.parts {
                    part.ranges.iter().for_each(|range| keys.add_range(range));
                    part.stamps.iter().for_each(|(fingerprint, mark)| keys.add(*fingerprint, *mark));
                }
                open.keys = Arc::new(keys);
            }
            open.doomed = open.doomed.take().filter(|(at, _)| *at <= last);
            !open.parts.is_empty()
        });
    }

    /// Committed abandons and finals need no way back.
    pub(super) fn settle_large(&mut self) {
        let commit = self.commit;
        self.abandoned.retain(|abandoned| abandoned.at > commit);
        for closed in self.closed.iter_mut().filter(|closed| closed.at <= commit) {
            closed.open = Open::default();
        }
        if !self.open.is_empty() {
            // The origin has started anew: its parts get no final.
            let boots = self.origins.committed_boots(commit);
            self.open.retain(|id, _| boots.get(&id.region).is_none_or(|boot| id.boot >= *boot));
        }
    }
}

fn intersects(a: &KeySet, b: &KeySet) -> bool {
    let (small, large) = if a.count() < b.count() { (a, b) } else { (b, a) };
    debug_assert!(a.ranges().iter().any(|x| b.ranges().iter().any(|y| overlap(x, y))), "asked of sets that lie apart");
    small.iter().any(|(fingerprint, marks)| {
        let others = large.marks(fingerprint);
        marks.iter().any(|mark| others.conflicts_with(mark.strength))
    })
}
