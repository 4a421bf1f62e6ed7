//! A toy state machine: keys to which records append, certified first committer wins.
//!
//! A record names the keys that it writes; it conflicts if one of them was written after its snapshot. It also watches
//! its caller: every call that breaks the order written in [`Machine`] is noted as a violation.
use bytes::{BufMut, Bytes, BytesMut};
use std::collections::BTreeMap;
use trivet_log::*;

/// The most keys that there may be.
pub const KEYS: u8 = 64;

/// One entry of the log as the machine knows it.
#[derive(Clone, Debug, PartialEq)]
pub struct Item {
    pub position: Position,
    pub record: Option<Record>,
}

#[derive(Clone, Debug, PartialEq)]
pub struct Record {
    pub id: ProposalId,
    pub snapshot: Position,
    pub keys: Vec<u8>,
}

/// A payload that writes `keys`, padded so that it is worth not sending twice.
pub fn payload(keys: &[u8], padding: usize) -> Bytes {
    let mut bytes = BytesMut::with_capacity(1 + keys.len() + padding);
    bytes.put_u8(keys.len() as u8);
    bytes.put_slice(keys);
    bytes.put_bytes(b'.', padding);
    bytes.freeze()
}

fn keys_of(payload: &Bytes) -> Vec<u8> {
    let count = payload.first().copied().unwrap_or(0) as usize;
    payload[1..].iter().take(count).map(|key| key % KEYS).collect()
}

impl Item {
    fn of(entry: &Entry) -> Item {
        let record = entry.proposal().map(|proposal| Record {
            id: proposal.id,
            snapshot: proposal.snapshot,
            keys: keys_of(&proposal.payload),
        });
        Item { position: entry.position, record }
    }
}

#[derive(Clone, Debug)]
pub struct Store {
    /// The whole log from index 1: what is applied, and above it what is received.
    items: Vec<Item>,
    committed: Index,
    /// Writers of each key, in order.
    writers: [Vec<Index>; KEYS as usize],
    ids: BTreeMap<ProposalId, Position>,
    leading: bool,
    certified: Option<ProposalId>,
    /// The lowest index that the log was cut to since this was last taken: readers above it go down to it.
    pub cut_to: Option<Index>,
    pub violations: Vec<String>,
}

impl Default for Store {
    fn default() -> Self {
        Store {
            items: Vec::new(),
            committed: Index(0),
            writers: [const { Vec::new() }; KEYS as usize],
            ids: BTreeMap::new(),
            leading: false,
            certified: None,
            cut_to: None,
            violations: Vec::new(),
        }
    }
}

impl Store {
    /// What survives a crash: what was applied durably.
    pub fn recovered(items: &[Item]) -> Store {
        let mut store = Store::default();
        for item in items {
            store.push(item.clone());
        }
        store.committed = Index(items.len() as u64);
        store
    }

    pub fn items(&self) -> &[Item] {
        &self.items
    }

    pub fn last(&self) -> Position {
        self.items.last().map_or(Position::ZERO, |item| item.position)
    }

    pub fn committed(&self) -> Index {
        self.committed
    }

    pub fn contains(&self, position: Position) -> bool {
        position.index.0 == 0 || self.item(position.index).is_some_and(|item| item.position == position)
    }

    pub fn item(&self, index: Index) -> Option<&Item> {
        index.0.checked_sub(1).and_then(|at| self.items.get(at as usize))
    }

    /// The writers of `key` up to `snapshot`, if all of them are committed: what a read returns, or waits for.
    pub fn read(&self, key: u8, snapshot: Index) -> Option<Vec<Index>> {
        let writers = &self.writers[key as usize];
        let seen: Vec<Index> = writers.iter().copied().filter(|index| *index <= snapshot).collect();
        seen.last().is_none_or(|last| *last <= self.committed).then_some(seen)
    }

    /// The ids of the records at these places: what a client sees in a key.
    pub fn ids_at(&self, indexes: &[Index]) -> Vec<ProposalId> {
        let record = |index: &Index| self.item(*index).and_then(|item| item.record.as_ref()).map(|record| record.id);
        indexes.iter().filter_map(record).collect()
    }

    /// All of a key's writers.
    pub fn list(&self, key: u8) -> Vec<ProposalId> {
        self.ids_at(&self.writers[key as usize])
    }

    fn push(&mut self, item: Item) {
        if let Some(record) = &item.record {
            for key in &record.keys {
                self.writers[*key as usize].push(item.position.index);
            }
            if let Some(before) = self.ids.insert(record.id, item.position) {
                self.violations.push(format!("{} is in one log twice: {before} and {}", record.id, item.position));
            }
        }
        self.items.push(item);
    }

    fn conflict(&self, snapshot: Position, keys: &[u8]) -> Option<&'static str> {
        if !self.contains(snapshot) {
            return Some("the snapshot is gone");
        }
        let newer = |key: &u8| self.writers[*key as usize].last().is_some_and(|last| *last > snapshot.index);
        keys.iter().any(newer).then_some("conflict")
    }

    fn require(&mut self, holds: bool, broken: impl FnOnce() -> String) {
        if !holds {
            self.violations.push(broken());
        }
    }
}

impl Machine for Store {
    fn certify(&mut self, _now: Now, at: Position, proposal: &Proposal) -> Verdict {
        let next = Index(self.items.len() as u64 + 1);
        self.require(at.index == next, || format!("certified for {at}, next is {}", next.0));
        let leading = self.leading;
        self.require(leading, || "certified without leading".into());
        if let Some(position) = self.ids.get(&proposal.id) {
            return Verdict::Duplicate { position: *position };
        }
        // a verdict that the same proposal may not get at another index: a pure function of the log below, and no more
        let unlucky = (at.index.0 * 31 + proposal.id.sequence).is_multiple_of(9).then_some("unlucky");
        match self.conflict(proposal.snapshot, &keys_of(&proposal.payload)).or(unlucky) {
            Some(reason) => Verdict::Reject { reason: Bytes::from_static(reason.as_bytes()) },
            None => {
                self.certified = Some(proposal.id);
                Verdict::Append { header: Bytes::copy_from_slice(&at.index.0.to_le_bytes()) }
            }
        }
    }

    fn received(&mut self, entry: &Entry) {
        let item = Item::of(entry);
        if let Some(known) = self.item(entry.index()) {
            // at start the journal may repeat what is applied
            let same = *known == item;
            self.require(same && entry.index() <= self.committed, || {
                format!("{} was replaced without a cut", item.position)
            });
            return;
        }
        let next = Index(self.items.len() as u64 + 1);
        self.require(entry.index() == next, || format!("received {}, next is {}", item.position, next.0));
        if entry.index() != next {
            return;
        }
        let id = entry.proposal().map(|proposal| proposal.id);
        let certified = self.certified.take();
        self.require(certified.is_none() || certified == id, || format!("certified {certified:?}, received {id:?}"));
        if let Some(record) = &item.record {
            let conflict = self.conflict(record.snapshot, &record.keys);
            self.require(conflict.is_none(), || format!("{} is in the log but breaks the rule", item.position));
        }
        self.push(item);
    }

    fn truncated(&mut self, last: Position) {
        self.require(last.index >= self.committed, || format!("cut to {last} below what is committed"));
        while self.items.len() as u64 > last.index.0 {
            let item = self.items.pop().expect("there is a last item");
            if let Some(record) = item.record {
                for key in &record.keys {
                    self.writers[*key as usize].pop();
                }
                self.ids.remove(&record.id);
            }
        }
        self.cut_to = Some(self.cut_to.map_or(last.index, |before| before.min(last.index)));
        let fits = self.last() == last;
        self.require(fits, || format!("cut to {last}, which is not here"));
    }

    fn committed(&mut self, position: Position) {
        let here = self.contains(position) && position.index >= self.committed;
        self.require(here, || format!("told that {position} is committed, which is not so here"));
        self.committed = self.committed.max(position.index);
    }

    fn leading(&mut self, _now: Now, _term: Term, leads: bool) {
        self.leading = leads;
    }

    fn low_water(&self) -> Index {
        Index(self.committed.0.saturating_sub(3))
    }

    fn low_water_of_all(&mut self, _index: Index) {
        let leading = self.leading;
        self.require(leading, || "told the low water of all without leading".into());
    }
}

/// A region's machine, or a witness's none.
#[derive(Clone, Debug)]
#[allow(clippy::large_enum_variant)]
pub enum AnyMachine {
    Store(Store),
    None(NoMachine),
}

macro_rules! each {
    ($self:ident, $machine:ident => $call:expr) => {
        match $self {
            AnyMachine::Store($machine) => $call,
            AnyMachine::None($machine) => $call,
        }
    };
}

impl Machine for AnyMachine {
    fn certify(&mut self, now: Now, at: Position, proposal: &Proposal) -> Verdict {
        each!(self, machine => machine.certify(now, at, proposal))
    }
    fn received(&mut self, entry: &Entry) {
        each!(self, machine => machine.received(entry))
    }
    fn truncated(&mut self, last: Position) {
        each!(self, machine => machine.truncated(last))
    }
    fn committed(&mut self, position: Position) {
        each!(self, machine => machine.committed(position))
    }
    fn leading(&mut self, now: Now, term: Term, leads: bool) {
        each!(self, machine => machine.leading(now, term, leads))
    }
    fn low_water(&self) -> Index {
        each!(self, machine => machine.low_water())
    }
    fn low_water_of_all(&mut self, index: Index) {
        each!(self, machine => machine.low_water_of_all(index))
    }
}
