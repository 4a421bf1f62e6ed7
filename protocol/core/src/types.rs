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
    Record { header: Bytes, proposal: Proposal },
}

/// What a node is for. Roles in the roster, not in an election.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum NodeKind {
    Region,
    Witness,
}
