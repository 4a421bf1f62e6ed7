//! A session: one transaction of a program, with its positions and its buffer.
use super::program::{Program, Step};
use super::state::Node;
use crate::api::{LockStrength, WriteKind};
use crate::record::{Access, CommitRecord, KeyAccess, Record, TransactionId};
use crate::rules::Rules;
use bytes::Bytes;
use std::collections::BTreeMap;
use trivet_log::{Boot, NodeId, Position, ProposalId};

#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub(super) enum Phase {
    /// At this step of its program.
    Running(usize),
    /// Proposed; last sent in this term.
    Sent(u64),
    Acked,
    /// Surely not done.
    Failed,
}

#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub(super) struct Session {
    pub(super) phase: Phase,
    snapshot: Option<Position>,
    /// What each key was relied on at (T2).
    positions: BTreeMap<u8, Position>,
    guards: BTreeMap<u8, LockStrength>,
    buffer: BTreeMap<u8, Option<u8>>,
    read: Option<u8>,
    /// T4: sent in more terms than one.
    pub(super) many_terms: bool,
    pub(super) payload: Bytes,
}

pub(super) fn proposal_id(region: usize, session: usize) -> ProposalId {
    ProposalId { region: NodeId(region as u8 + 1), boot: Boot(1), sequence: session as u64 + 1 }
}

impl Session {
    pub(super) fn new() -> Session {
        Session {
            phase: Phase::Running(0),
            snapshot: None,
            positions: BTreeMap::new(),
            guards: BTreeMap::new(),
            buffer: BTreeMap::new(),
            read: None,
            many_terms: false,
            payload: Bytes::new(),
        }
    }

    /// Truncation lowers what is above it (T3).
    pub(super) fn lower(&mut self, last: Position) {
        if matches!(self.phase, Phase::Running(_)) {
            let lower = |position: &mut Position| {
                if position.index > last.index {
                    *position = last;
                }
            };
            self.positions.values_mut().for_each(lower);
            self.snapshot.iter_mut().for_each(lower);
        }
    }

    /// The oldest position that it still reads at or relies on.
    pub(super) fn oldest(&self) -> Option<Position> {
        self.snapshot.filter(|_| !matches!(self.phase, Phase::Acked | Phase::Failed))
    }

    /// One step and the local ones after it; `false` if it has to wait. At the end of the program the record is ready.
    pub(super) fn step(&mut self, number: usize, program: &Program, node: &Node, rules: Rules) -> bool {
        if !self.one_step(number, program, node, rules) {
            return false;
        }
        while let Phase::Running(at) = self.phase
            && program.steps.get(at).is_some_and(|step| step.is_local())
        {
            self.one_step(number, program, node, rules);
        }
        true
    }

    fn one_step(&mut self, number: usize, program: &Program, node: &Node, rules: Rules) -> bool {
        let Phase::Running(at) = self.phase else { return false };
        let last = node.last();
        if self.snapshot.is_none() {
            self.snapshot = Some(last);
        }
        match program.steps[at] {
            Step::LockAndRead(key) => {
                if !self.lock(key, node, rules) {
                    return false;
                }
            }
            Step::Guard(key, strength) => {
                if !self.lock(key, node, rules) {
                    return false;
                }
                self.guards.insert(key, strength);
            }
            Step::Read(key) => {
                if node.is_pending(key, last.index) {
                    return false;
                }
                self.read = self.buffer.get(&key).copied().unwrap_or_else(|| node.read(key, last.index));
            }
            Step::Increment(key) => self.write(key, Some(self.read.map_or(1, |value| value + 1))),
            Step::Set(key, value) => self.write(key, Some(value)),
            Step::Delete(key) => self.write(key, None),
            Step::Require(there) => {
                if self.read.is_some() != there {
                    self.phase = Phase::Failed;
                }
            }
        }
        if self.phase == Phase::Running(at) {
            self.phase = Phase::Running(at + 1);
            if at + 1 == program.steps.len() {
                self.payload = self.record(number, program.region).encode();
            }
        }
        true
    }

    /// Lock first, then read the newest resolved version (T14).
    fn lock(&mut self, key: u8, node: &Node, rules: Rules) -> bool {
        let last = node.last();
        if node.is_pending(key, last.index) {
            return false;
        }
        match self.positions.get(&key) {
            Some(position) if rules.positions_fixed => {
                if node.newest_version(key, last.index) > position.index {
                    self.phase = Phase::Failed;
                    return true;
                }
            }
            _ => drop(self.positions.insert(key, last)),
        }
        self.read = self.buffer.get(&key).copied().unwrap_or_else(|| node.read(key, last.index));
        true
    }

    fn write(&mut self, key: u8, value: Option<u8>) {
        self.positions.entry(key).or_insert(self.snapshot.expect("taken at the first step"));
        self.buffer.insert(key, value);
        self.read = value;
    }

    fn record(&self, number: usize, region: usize) -> Record {
        let access = |key: &u8| match (self.buffer.get(key), self.guards.get(key)) {
            (Some(Some(value)), _) => Access::Put { value: Bytes::from(vec![*value]), kind: WriteKind::NoKeyUpdate },
            (Some(None), _) => Access::Delete,
            (None, guard) => Access::Guard(guard.copied().unwrap_or(LockStrength::NoKeyUpdate)),
        };
        let keys = self.positions.iter().map(|(key, position)| KeyAccess {
            key: Bytes::from(vec![*key]),
            access: access(key),
            read_at: *position,
            lock_at: *position,
            key_at: None,
        });
        let id = proposal_id(region, number);
        Record::Commit(CommitRecord {
            transaction: TransactionId { region: id.region, boot: id.boot, sequence: id.sequence },
            snapshot: self.snapshot.expect("taken at the first step"),
            low_water: 1,
            parts: 0,
            keys: keys.collect(),
            schema_guards: vec![],
            reads: vec![],
            ranges: vec![],
            actions: vec![],
        })
    }
}
