//! Entries, persists and directories for the tests.
use bytes::Bytes;
use std::sync::Arc;
use trivet_files::{Files, MemoryFiles};
use trivet_journal::{Identity, Journal, JournalConfig, Start};
use trivet_log::{
    Boot, ClusterId, Entry, EntryBody, HardState, Index, NodeId, Persist, Position, Proposal, ProposalId, Recovered,
    Term, Ticket,
};

pub const ME: Identity = Identity { cluster: ClusterId(0xc1), node: NodeId(2) };
pub const SEGMENT: u64 = 4096;

pub fn config() -> JournalConfig {
    JournalConfig { segment_bytes: SEGMENT, ..JournalConfig::new(ME, Start::Any) }
}

pub fn open_in(files: Arc<dyn Files>) -> (Journal, Recovered) {
    Journal::open(files, config(), Index(0)).expect("the journal opens")
}

pub fn open(files: &MemoryFiles) -> (Journal, Recovered) {
    open_in(Arc::new(files.clone()))
}

/// A record whose payload is `size` bytes, all different from those of any other index, term and size.
pub fn entry(term: u64, index: u64, size: usize) -> Entry {
    let fill = (index as u8).wrapping_mul(31) ^ (term as u8).wrapping_mul(7) ^ 0x55;
    let id = ProposalId { region: NodeId(1), boot: Boot(1), sequence: index };
    let payload = Bytes::from((0..size).map(|at| fill.wrapping_add(at as u8)).collect::<Vec<u8>>());
    let proposal = Proposal { id, snapshot: Position::ZERO, payload };
    let body = EntryBody::Record { header: Bytes::from_static(b"stamp"), proposal };
    Entry { position: Position::new(term, index), body }
}

pub fn persist() -> Persist {
    Persist { ticket: Ticket(0), hard_state: None, truncate: None, entries: Vec::new(), base: None }
}

pub fn entries(term: u64, indexes: std::ops::RangeInclusive<u64>, size: usize) -> Persist {
    Persist { entries: indexes.map(|index| entry(term, index, size)).collect(), ..persist() }
}

pub fn cut(term: u64, index: u64) -> Persist {
    Persist { truncate: Some(Position::new(term, index)), ..persist() }
}

pub fn base(term: u64, index: u64) -> Persist {
    Persist { base: Some(Position::new(term, index)), ..persist() }
}

pub fn vote(term: u64, node: Option<u8>) -> Persist {
    Persist { hard_state: Some(HardState { term: Term(term), voted_for: node.map(NodeId) }), ..persist() }
}

pub fn write(journal: &mut Journal, persist: &Persist) {
    journal.apply(persist).expect("the journal is alive");
    journal.sync().expect("the disk works");
}

/// `base..last [term starts] entries`, entries as term.index.
pub fn show(recovered: &Recovered) -> String {
    let list = |positions: &mut dyn Iterator<Item = Position>| {
        positions.map(|position| position.to_string()).collect::<Vec<_>>().join(" ")
    };
    let starts = list(&mut recovered.term_starts.iter().copied());
    let entries = list(&mut recovered.entries.iter().map(|entry| entry.position));
    let rot = recovered.rotten_up_to.map_or(String::new(), |index| format!(" rotten up to {}", index.0));
    let Recovered { base, last, .. } = recovered;
    format!("{base}..{last} [{starts}] {entries}{rot}")
}
