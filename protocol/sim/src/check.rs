//! What must hold after every step, whatever the faults. The names I1 to I6 are those of `docs/protocol.md`.
use crate::image::Image;
use crate::store::{Item, Store};
use std::collections::{BTreeMap, BTreeSet};
use trivet_log::*;

/// A rule that was broken, and how.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Violation {
    pub rule: &'static str,
    pub what: String,
}

impl std::fmt::Display for Violation {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}: {}", self.rule, self.what)
    }
}

fn broken<T>(rule: &'static str, what: String) -> Result<T, Violation> {
    Err(Violation { rule, what })
}

/// One node as the checks see it.
pub struct Seen<'a> {
    pub place: usize,
    pub term: Term,
    pub store: Option<&'a Store>,
    pub view: ReadView,
}

/// A node's disk; a region's applied state is on disk too.
pub struct OnDisk<'a> {
    pub image: &'a Image,
    pub applied: Index,
    /// What it had, and rot took.
    pub rotten: &'a [Position],
}

impl OnDisk<'_> {
    fn has(&self, position: Position) -> bool {
        position.index <= self.applied
            || self.image.entry(position.index).is_some_and(|entry| entry.position == position)
            || self.rotten.contains(&position)
    }
}

#[derive(Debug, Default)]
pub struct Checker {
    /// The exposed prefix: what any node ever held to be committed. Entry i is at i - 1, with the term of who exposed it.
    exposed: Vec<(Item, Term)>,
    /// By place: how far its commit was looked at.
    looked: [Index; 3],
    committed_ids: BTreeMap<ProposalId, Position>,
    /// Ids whose proposers were told that they are not in the log.
    refused: BTreeSet<ProposalId>,
    /// Who led each term, and its log's positions when it began.
    leaders: BTreeMap<Term, (usize, Vec<Position>)>,
    writers: BTreeMap<u8, Index>,
}

impl Checker {
    pub fn exposed(&self) -> Index {
        Index(self.exposed.len() as u64)
    }

    pub fn exposed_item(&self, index: Index) -> Option<&Item> {
        index.0.checked_sub(1).and_then(|at| self.exposed.get(at as usize)).map(|(item, _)| item)
    }

    pub fn is_exposed(&self, id: &ProposalId) -> bool {
        self.committed_ids.contains_key(id)
    }

    /// A node began anew: its commit counts again from where its applied state is.
    pub fn restarted(&mut self, place: usize) {
        self.looked[place] = Index(0);
    }

    /// After a step of `node`: what it newly holds to be committed.
    pub fn commits(&mut self, node: &Seen<'_>, disks: &[OnDisk<'_>]) -> Result<(), Violation> {
        let commit = node.view.commit;
        let Some(store) = node.store else {
            // the witness: its log has gaps, so only the last position can be compared
            return match self.exposed_item(commit.index) {
                Some(item) if item.position != commit => {
                    broken("I1", format!("the witness has {commit} committed, exposed is {}", item.position))
                }
                None if commit.index.0 > 0 => broken("I1", format!("the witness alone has {commit} committed")),
                _ => Ok(()),
            };
        };
        while self.looked[node.place] < commit.index {
            let index = self.looked[node.place].next();
            let Some(item) = store.item(index) else {
                return broken("I1", format!("node {} committed {} and has it not", node.place, index.0));
            };
            match self.exposed_item(index) {
                Some(known) if known != item => {
                    return broken(
                        "I1",
                        format!("at {}: node {} exposes {item:?}, exposed is {known:?}", index.0, node.place),
                    );
                }
                Some(_) => {}
                None => self.expose(item.clone(), node.term, disks)?,
            }
            self.looked[node.place] = index;
        }
        Ok(())
    }

    fn expose(&mut self, item: Item, term: Term, disks: &[OnDisk<'_>]) -> Result<(), Violation> {
        let position = item.position;
        self.copies(position, disks)?;
        for (later, (leader, log)) in self.leaders.range(Term(term.0 + 1)..) {
            if log.get(position.index.0 as usize - 1) != Some(&position) {
                return broken(
                    "I2",
                    format!(
                        "{position}, exposed in term {}, was not in the log of node {leader}, leader of {}",
                        term.0, later.0
                    ),
                );
            }
        }
        if let Some(record) = &item.record {
            if let Some(before) = self.committed_ids.insert(record.id, position) {
                return broken("once", format!("{} is committed at {before} and at {position}", record.id));
            }
            if self.refused.contains(&record.id) {
                return broken("refused", format!("{} is committed at {position}, but was refused", record.id));
            }
            let at = record.snapshot;
            if at.index.0 > 0 && self.exposed_item(at.index).is_none_or(|item| item.position != at) {
                return broken("snapshot", format!("{} read at {at}, which is not in the log", record.id));
            }
            for key in &record.keys {
                if self.writers.get(key).is_some_and(|last| *last > at.index) {
                    return broken("conflict", format!("{} at {position} overwrites what it had not read", record.id));
                }
                self.writers.insert(*key, position.index);
            }
        }
        self.exposed.push((item, term));
        Ok(())
    }

    /// I4: two durable copies with payload.
    fn copies(&self, position: Position, disks: &[OnDisk<'_>]) -> Result<(), Violation> {
        let copies = disks.iter().filter(|disk| disk.has(position)).count();
        match copies {
            2.. => Ok(()),
            _ => broken("I4", format!("{position} is exposed with {copies} durable copies")),
        }
    }

    /// I4 for everything; after disks lost something.
    pub fn all_copies(&self, disks: &[OnDisk<'_>]) -> Result<(), Violation> {
        // everything applied by both regions has its copies
        let settled = disks.iter().filter(|disk| disk.applied.0 > 0).map(|disk| disk.applied).min();
        let settled = if disks.iter().filter(|disk| disk.applied.0 > 0).count() < 2 { None } else { settled };
        let from = settled.map_or(0, |index| index.0 as usize);
        self.exposed.iter().skip(from).try_for_each(|(item, _)| self.copies(item.position, disks))
    }

    /// I3: a valid lease's holder has everything that is exposed.
    pub fn lease(&self, node: &Seen<'_>, clock: Nanos) -> Result<(), Violation> {
        let (Some(store), Some((last, _))) = (node.store, self.exposed.last()) else { return Ok(()) };
        if clock < node.view.lease_until && !store.contains(last.position) {
            return broken(
                "I3",
                format!(
                    "node {} has a lease until {}, ends at {}, exposed is {}",
                    node.place,
                    node.view.lease_until,
                    store.last(),
                    last.position
                ),
            );
        }
        Ok(())
    }

    /// I2, and one leader a term.
    pub fn leads(&mut self, place: usize, term: Term, store: &Store) -> Result<(), Violation> {
        let log: Vec<Position> = store.items().iter().map(|item| item.position).collect();
        for (item, exposed_in) in &self.exposed {
            let at = item.position.index.0 as usize - 1;
            if *exposed_in < term && log.get(at) != Some(&item.position) {
                return broken("I2", format!("node {place} leads {} without {}", term.0, item.position));
            }
        }
        if let Some((other, _)) = self.leaders.insert(term, (place, log)) {
            return broken("one leader", format!("nodes {other} and {place} lead {}", term.0));
        }
        Ok(())
    }

    pub fn resolved(&mut self, id: ProposalId, outcome: &Outcome) -> Result<(), Violation> {
        match outcome {
            Outcome::Committed(position) => match self.committed_ids.get(&id) {
                Some(known) if known == position => Ok(()),
                known => broken("acked", format!("{id} is acknowledged at {position}, exposed at {known:?}")),
            },
            Outcome::Rejected { .. } | Outcome::NotSent => {
                self.refused.insert(id);
                match self.committed_ids.get(&id) {
                    None => Ok(()),
                    Some(position) => broken("refused", format!("{id} is refused, but committed at {position}")),
                }
            }
            Outcome::Unknown => Ok(()),
        }
    }

    /// I5: a read that began when `floor` was exposed returns `seen`, having read at `snapshot`.
    pub fn read(&self, key: u8, floor: Index, snapshot: Index, seen: &[Index]) -> Result<(), Violation> {
        let wrote = |index: Index| {
            self.exposed_item(index)
                .and_then(|item| item.record.as_ref())
                .is_some_and(|record| record.keys.contains(&key))
        };
        let expected: Vec<Index> =
            (1..=self.exposed().0.min(snapshot.0)).map(Index).filter(|index| wrote(*index)).collect();
        if expected != seen {
            // under a wrong lease the snapshot may lie in a tail that others have replaced
            return broken(
                if expected.starts_with(seen) { "I5 stale" } else { "I5" },
                format!("a read of {key} at {} returns {seen:?}, exposed is {expected:?}", snapshot.0),
            );
        }
        let missed = (snapshot.0 + 1..=floor.0).map(Index).find(|index| wrote(*index));
        match missed {
            None => Ok(()),
            Some(index) => {
                broken("I5 stale", format!("a read of {key} at {} misses {}, exposed before", snapshot.0, index.0))
            }
        }
    }
}
