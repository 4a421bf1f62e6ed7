//! Identifiers, positions and entries. Newtypes, so that an index is never a term.
use bytes::Bytes;

/// A place in the roster. Never reused: a node that lost its disk comes back under a new id.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct NodeId(pub u8);

/// A cluster's identity, drawn at random when it is made. Messages and journals of another cluster are refused.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct ClusterId(pub u128);

/// An election's number; at most one leader each.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
pub struct Term(pub u64);

/// A place in the log, from 1. 0 is "before the first entry".
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
pub struct Index(pub u64);

/// Counts a node's starts; raised durably before the node says its first word.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
pub struct Boot(pub u64);

impl Index {
    /// The place after this one.
    pub fn next(self) -> Index {
        Index(self.0.saturating_add(1))
    }

    /// The place before this one; 0 stays 0.
    pub fn previous(self) -> Index {
        Index(self.0.saturating_sub(1))
    }
}

/// Nanoseconds of CLOCK_BOOTTIME of one node. Never compared between nodes.
pub type Nanos = u64;

/// The time of a step: the monotonic clock that leases use, and the wall clock that only stamps use.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Now {
    pub boottime: Nanos,
    /// Nanoseconds since 1970 of the wall clock; not trusted, not monotone.
    pub wall: u64,
}

/// An entry's identity. Ordered by (term, index), the order in which logs are compared (Raft section 5.4.1).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
pub struct Position {
    pub term: Term,
    pub index: Index,
}

impl Position {
    /// Before the first entry.
    pub const ZERO: Position = Position { term: Term(0), index: Index(0) };

    pub fn new(term: u64, index: u64) -> Position {
        Position { term: Term(term), index: Index(index) }
    }
}

/// Names one proposal for ever. The same id always means the same bytes.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct ProposalId {
    pub region: NodeId,
    pub boot: Boot,
    pub sequence: u64,
}

/// What a region asks the leader to append.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Proposal {
    pub id: ProposalId,
    /// The log position that the proposer read at. The machine's rule (T3) decides what it means.
    pub snapshot: Position,
    /// Opaque to the log; at most `Config::payload_max` bytes.
    pub payload: Bytes,
}

/// One entry of the log. `header` is what the leader's machine added when it certified (an HLC stamp and the like);
/// it lies outside the proposal, whose bytes never change.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Entry {
    pub position: Position,
    pub body: EntryBody,
}

#[derive(Clone, PartialEq, Eq, Debug)]
pub enum EntryBody {
    /// A new leader's first entry: commits what older terms left.
    NoOp,
    Record {
        header: Bytes,
        proposal: Proposal,
    },
}

impl Entry {
    pub fn index(&self) -> Index {
        self.position.index
    }

    pub fn term(&self) -> Term {
        self.position.term
    }

    /// The proposal that the entry carries, if it is a record.
    pub fn proposal(&self) -> Option<&Proposal> {
        match &self.body {
            EntryBody::NoOp => None,
            EntryBody::Record { proposal, .. } => Some(proposal),
        }
    }

    /// What the entry weighs in batches, caches and windows: its bytes and a flat charge for keeping it.
    pub fn weight(&self) -> usize {
        const FLAT: usize = 64;
        match &self.body {
            EntryBody::NoOp => FLAT,
            EntryBody::Record { header, proposal } => FLAT + header.len() + proposal.payload.len(),
        }
    }
}

/// What a node is for. Roles in the roster, not in an election.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum NodeKind {
    Region,
    Witness,
}

impl std::fmt::Display for NodeId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "n{}", self.0)
    }
}

impl std::fmt::Display for Position {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}.{}", self.term.0, self.index.0)
    }
}

impl std::fmt::Display for ProposalId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}/{}/{}", self.region, self.boot.0, self.sequence)
    }
}
