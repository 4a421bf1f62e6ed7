//! A machine that accepts everything once, and an applier that keeps what it is given.
use bytes::Bytes;
use parking_lot::Mutex;
use std::collections::HashMap;
use std::sync::Arc;
use std::thread::JoinHandle;
use trivet_log::{Entry, EntryBody, Index, Machine, Now, Position, Proposal, ProposalId, Verdict};
use trivet_node::{ApplyReceiver, NodeHandle};

/// Payloads that begin so make the machine do what their name says.
pub const PANIC: &[u8] = b"panic:";
pub const REJECT: &[u8] = b"reject:";

/// Rejects duplicates, as a machine must; otherwise accepts.
#[derive(Default)]
pub struct Toy {
    seen: HashMap<ProposalId, Position>,
    log: Vec<(Position, Option<ProposalId>)>,
    committed: Position,
}

impl Machine for Toy {
    fn certify(&mut self, _now: Now, _at: Position, proposal: &Proposal) -> Verdict {
        assert!(!proposal.payload.starts_with(PANIC), "told to panic");
        if proposal.payload.starts_with(REJECT) {
            return Verdict::Reject { reason: Bytes::from_static(b"told to reject") };
        }
        match self.seen.get(&proposal.id) {
            Some(position) => Verdict::Duplicate { position: *position },
            None => Verdict::Append { header: Bytes::new() },
        }
    }

    fn received(&mut self, entry: &Entry) {
        let id = entry.proposal().map(|proposal| proposal.id);
        if let Some(id) = id {
            let before = self.seen.insert(id, entry.position);
            assert!(before.is_none(), "{id} entered the log twice");
        }
        self.log.push((entry.position, id));
    }

    fn truncated(&mut self, last: Position) {
        assert!(last >= self.committed, "truncated below commit");
        while let Some((position, id)) = self.log.last().copied()
            && position.index > last.index
        {
            id.map(|id| self.seen.remove(&id));
            self.log.pop();
        }
    }

    fn committed(&mut self, position: Position) {
        assert!(position >= self.committed, "commit went back");
        self.committed = position;
    }
}

/// What a region has applied: as durable as the test that holds it.
#[derive(Default)]
pub struct Store {
    pub payloads: Mutex<Vec<(Index, Bytes)>>,
    pub applied: Mutex<Index>,
}

impl Store {
    pub fn applied(&self) -> Index {
        *self.applied.lock()
    }

    pub fn contains(&self, payload: &[u8]) -> bool {
        self.payloads.lock().iter().any(|(_, other)| other == payload)
    }

    pub fn count(&self, payload: &[u8]) -> usize {
        self.payloads.lock().iter().filter(|(_, other)| other == payload).count()
    }
}

/// Applies until the node ends.
pub fn apply(node: NodeHandle, work: ApplyReceiver, store: Arc<Store>) -> JoinHandle<()> {
    std::thread::spawn(move || {
        while let Some(work) = work.receive() {
            let mut applied = store.applied.lock();
            for entry in &work.entries {
                assert_eq!(entry.index(), applied.next(), "entries are applied in order, each once");
                if let EntryBody::Record { proposal, .. } = &entry.body {
                    store.payloads.lock().push((entry.index(), proposal.payload.clone()));
                }
                *applied = entry.index();
            }
            node.applied(*applied);
        }
    })
}
