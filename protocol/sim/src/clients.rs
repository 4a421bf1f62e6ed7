//! Clients: they write keys through either region, and read them.
use crate::check::Violation;
use crate::history::Read;
use crate::store::{AnyMachine, payload};
use crate::world::*;
use trivet_log::*;

impl World {
    pub fn propose(&mut self, region: usize) -> Option<ProposalId> {
        let two = self.random.chance(300);
        let first = self.random.below(self.settings.keys as u64) as u8;
        let second = self.random.below(self.settings.keys as u64) as u8;
        let keys = if two && first != second { vec![first, second] } else { vec![first] };
        self.propose_keys(region, &keys)
    }

    pub fn propose_keys(&mut self, region: usize, keys: &[u8]) -> Option<ProposalId> {
        let node = &mut self.nodes[region];
        if node.core.is_none() || node.paused_until.is_some() {
            return None;
        }
        let AnyMachine::Store(store) = &node.machine else { return None };
        let boot = node.disk.durable.boot;
        let id = ProposalId { region: id_of(region), boot, sequence: node.sequence };
        node.sequence += 1;
        // mostly the newest snapshot, at times an older one
        let mut snapshot = store.last();
        if self.random.chance(100) {
            let back = self.random.below(4);
            let index = Index(snapshot.index.0.saturating_sub(back));
            snapshot = store.item(index).map_or(Position::ZERO, |item| item.position);
        }
        let padding = self.random.below(self.settings.payload as u64 * 2 + 1) as usize;
        let proposal = Proposal { id, snapshot, payload: payload(keys, padding) };
        let keys = keys.to_vec();
        self.operations.insert(id, Operation { region, began: self.time, ended: 0, fate: Fate::Open, keys });
        self.step(region, Input::Propose(proposal));
        Some(id)
    }

    pub(crate) fn resolved(&mut self, id: ProposalId, outcome: Outcome) {
        let result = self.checker.resolved(id, &outcome);
        self.fail(result);
        let fate = match outcome {
            Outcome::Committed(_) => Fate::Committed,
            Outcome::Rejected { .. } => Fate::Rejected,
            Outcome::NotSent => Fate::NotSent,
            Outcome::Unknown => Fate::Unknown,
        };
        self.counts.rejected += u64::from(fate == Fate::Rejected);
        self.counts.unknown += u64::from(fate == Fate::Unknown);
        let time = self.time;
        match self.operations.get_mut(&id) {
            Some(operation) if operation.fate == Fate::Open => {
                operation.fate = fate;
                operation.ended = time;
            }
            other => {
                let what = format!("{id} is resolved as {fate:?}, and was {other:?}");
                self.fail(Err(Violation { rule: "resolved once", what }));
            }
        }
    }

    pub fn fate(&self, id: &ProposalId) -> Option<Fate> {
        self.operations.get(id).map(|operation| operation.fate)
    }

    pub(crate) fn read(&mut self, region: usize) {
        let key = self.random.below(self.settings.keys as u64) as u8;
        let node = &mut self.nodes[region];
        let Some(core) = &node.core else { return };
        if node.paused_until.is_some() || node.stopped {
            return;
        }
        let view = core.read_view();
        let (floor, began) = (self.checker.exposed(), self.time);
        if node.clock.read(self.time) < view.lease_until {
            node.reads.push(OpenRead { key, floor, snapshot: view.last.index, began });
            self.finish_reads(region);
        } else {
            self.counts.reads_asked += 1;
            node.next_read += 1;
            let id = node.next_read;
            node.asked.insert(id, AskedRead { key, floor, began });
            self.step(region, Input::ReadIndex { id });
        }
    }

    pub(crate) fn read_ready(&mut self, region: usize, id: u64, position: Option<Position>) {
        let Some(asked) = self.nodes[region].asked.remove(&id) else {
            return self.fail(Err(Violation { rule: "reads", what: format!("read {id} is answered twice") }));
        };
        match position {
            Some(position) => {
                let AskedRead { key, floor, began } = asked;
                self.nodes[region].reads.push(OpenRead { key, floor, snapshot: position.index, began });
                self.finish_reads(region);
            }
            None => {
                let done = ReadDone { region, began: asked.began, ended: self.time, served: false };
                self.reads_done.push(done);
            }
        }
    }

    /// Ends the reads whose key no pending entry writes any more.
    pub(crate) fn finish_reads(&mut self, region: usize) {
        let node = &mut self.nodes[region];
        let AnyMachine::Store(store) = &mut node.machine else { return };
        if let Some(to) = store.cut_to.take() {
            node.reads.iter_mut().for_each(|read| read.snapshot = read.snapshot.min(to));
        }
        let mut results = Vec::new();
        let (time, checker) = (self.time, &self.checker);
        let (reads_done, history) = (&mut self.reads_done, &mut self.history);
        node.reads.retain(|read| match store.read(read.key, read.snapshot) {
            None => true,
            Some(seen) => {
                results.push(checker.read(read.key, read.floor, read.snapshot, &seen));
                reads_done.push(ReadDone { region, began: read.began, ended: time, served: true });
                history.push(Read { key: read.key, began: read.began, ended: time, seen: store.ids_at(&seen) });
                false
            }
        });
        self.counts.reads += results.len() as u64;
        for result in results {
            self.fail(result);
        }
    }
}
