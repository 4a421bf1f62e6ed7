//! The outcome window (T4): which proposals of whom are in the log, until their origin needs no answer any more.
//!
//! A region's ids grow with its boots and, within one, by a counter. Each record of a region says below which counter
//! its boot has settled everything; a newer boot in the log settles the older ones.
use crate::stored::StoredOrigin;
use std::collections::BTreeMap;
use trivet_log::{Boot, Index, NodeId, Position, ProposalId};

#[derive(Clone, Debug, Default, Hash)]
pub(super) struct Origins {
    boots: BTreeMap<(NodeId, Boot), OriginBoot>,
}

#[derive(Clone, Debug, Default, Hash)]
struct OriginBoot {
    outcomes: BTreeMap<u64, Position>,
    /// (entry that said it, low-water mark), ascending in both; the last is in force.
    low_water: Vec<(Index, u64)>,
}

impl Origins {
    pub(super) fn find(&self, id: ProposalId) -> Option<Position> {
        self.boots.get(&(id.region, id.boot))?.outcomes.get(&id.sequence).copied()
    }

    pub(super) fn is_stale(&self, id: ProposalId) -> bool {
        if self.newest_boot(id.region).is_some_and(|boot| boot > id.boot) {
            return true;
        }
        self.boots
            .get(&(id.region, id.boot))
            .and_then(|o| o.low_water.last())
            .is_some_and(|(_, low)| id.sequence < *low)
    }

    pub(super) fn newest_boot(&self, region: NodeId) -> Option<Boot> {
        self.boots.range((region, Boot(0))..=(region, Boot(u64::MAX))).next_back().map(|((_, boot), _)| *boot)
    }

    pub(super) fn insert(&mut self, id: ProposalId, position: Position, low_water: u64) {
        let origin = self.boots.entry((id.region, id.boot)).or_default();
        origin.outcomes.insert(id.sequence, position);
        if origin.low_water.last().is_none_or(|(_, low)| *low < low_water) {
            origin.low_water.push((position.index, low_water));
        }
    }

    /// The entry at `index` with this id was truncated.
    pub(super) fn remove(&mut self, id: ProposalId, index: Index) {
        let key = (id.region, id.boot);
        let Some(origin) = self.boots.get_mut(&key) else { return };
        if origin.outcomes.get(&id.sequence).is_some_and(|position| position.index == index) {
            origin.outcomes.remove(&id.sequence);
        }
        if origin.low_water.last().is_some_and(|(at, _)| *at == index) {
            origin.low_water.pop();
        }
        if origin.outcomes.is_empty() && origin.low_water.is_empty() {
            self.boots.remove(&key);
        }
    }

    /// What is said up to `commit` stays said: forget outcomes that nobody will ask for.
    pub(super) fn commit(&mut self, commit: Index) {
        for origin in self.boots.values_mut() {
            let settled = origin.low_water.iter().take_while(|(at, _)| *at <= commit).count();
            if settled > 0 {
                let low = origin.low_water[settled - 1].1;
                origin.low_water.drain(..settled - 1);
                if origin.outcomes.first_key_value().is_some_and(|(first, _)| *first < low) {
                    let kept = origin.outcomes.split_off(&low);
                    // Of what is above commit nothing is forgotten, whatever its number: truncation counts on it.
                    let old = std::mem::replace(&mut origin.outcomes, kept);
                    origin.outcomes.extend(old.into_iter().filter(|(_, position)| position.index > commit));
                }
            }
        }
        self.drop_older_boots(commit);
    }

    /// The newest boot of each region that has a committed entry.
    pub(super) fn committed_boots(&self, commit: Index) -> BTreeMap<NodeId, Boot> {
        let committed = |origin: &OriginBoot| {
            origin.outcomes.values().any(|p| p.index <= commit) || origin.low_water.iter().any(|(at, _)| *at <= commit)
        };
        let mut newest: BTreeMap<NodeId, Boot> = BTreeMap::new();
        for ((region, boot), origin) in &self.boots {
            if committed(origin) {
                newest.insert(*region, *boot);
            }
        }
        newest
    }

    fn drop_older_boots(&mut self, commit: Index) {
        if self.boots.len() < 2 {
            return;
        }
        let newest = self.committed_boots(commit);
        self.boots.retain(|(region, boot), origin| {
            newest.get(region).is_none_or(|new| boot >= new) || origin.outcomes.values().any(|p| p.index > commit)
        });
    }

    /// For the stored state: marks in force at `at`, outcomes at or below `at`.
    pub(super) fn as_of(&self, at: Index) -> Vec<StoredOrigin> {
        let mut all = Vec::new();
        for ((region, boot), origin) in &self.boots {
            let low = origin.low_water.iter().rev().find(|(said, _)| *said <= at).map_or(0, |(_, low)| *low);
            let outcomes: Vec<_> =
                origin.outcomes.iter().filter(|(_, p)| p.index <= at).map(|(sequence, p)| (*sequence, *p)).collect();
            all.push(StoredOrigin { region: *region, boot: *boot, low_water: low, outcomes });
        }
        all
    }

    pub(super) fn restore(&mut self, at: Index, state: Vec<StoredOrigin>) {
        for StoredOrigin { region, boot, low_water: low, outcomes } in state {
            let origin = self.boots.entry((region, boot)).or_default();
            origin.outcomes.extend(outcomes);
            if low > 0 {
                origin.low_water.push((at, low));
            }
        }
    }
}
