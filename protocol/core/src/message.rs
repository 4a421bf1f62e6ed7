//! What nodes say to each other. `docs/formats/wire.md` draws the bytes; `codec` reads and writes them.
use crate::types::*;
use bytes::Bytes;

/// Every message carries this.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Message {
    pub from: NodeId,
    pub to: NodeId,
    pub term: Term,
    pub boot: Boot,
    /// Sender's clock when the message left; the receiver echoes the newest it saw.
    pub token: Nanos,
    /// The receiver's own (boot, token), as last seen by the sender.
    pub echo: Option<(Boot, Nanos)>,
    /// How long ago, by the sender's clock, it saw that token. For measuring the round trip only, never for leases.
    pub echo_age: Nanos,
    /// A promise to the receiver, if one is made or renewed with this message.
    pub promise: Option<Promise>,
    /// The lowest index that the sender's machine still needs (open snapshots, unresolved proposals); regions only.
    pub low_water: Index,
    pub body: Body,
}

/// "No index that I help to commit is exposed before you have it durably", for `length` from the echoed token on.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Promise {
    pub length: Nanos,
    /// The promiser's last entry: the holder activates only once its own log contains it.
    pub last: Position,
    /// The holder's boot and token that the promise answers.
    pub boot: Boot,
    pub token: Nanos,
}

/// An appended entry on its way: in full, or by reference to the receiver's own proposal.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum AppendEntry {
    Full(Entry),
    Reference { position: Position, header: Bytes, id: ProposalId, crc: u32 },
}

#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Body {
    /// The envelope, and the facts that lapse if not repeated.
    Heartbeat(Heartbeat),
    /// `lowest`: every proposal of the sender's boot with a smaller sequence is resolved and is never sent again, so
    /// the leader forgets what it answered to those, and ignores late copies.
    Propose {
        proposals: Vec<Proposal>,
        lowest: u64,
    },
    Verdict {
        id: ProposalId,
        verdict: VerdictMessage,
    },
    Append {
        previous: Position,
        entries: Vec<AppendEntry>,
        commit: Index,
        durable: Index,
    },
    AppendAck {
        durable: Index,
        received: Index,
        mask: u8,
    },
    AppendReject {
        previous: Position,
        last: Position,
        durable: Index,
        term_starts: Vec<Position>,
        missing_payload: Option<ProposalId>,
    },
    Durable {
        index: Index,
        commit: Index,
        mask: u8,
    },
    Window {
        base: Position,
    },
    ReadIndex {
        id: u64,
    },
    ReadIndexReply {
        id: u64,
        position: Option<Position>,
    },
    PreVote {
        last: Position,
    },
    PreVoteReply {
        granted: bool,
    },
    Vote {
        last: Position,
    },
    VoteReply {
        granted: bool,
        last: Position,
        base: Position,
        term_starts: Vec<Position>,
    },
    Fetch {
        from: Index,
        last: Position,
    },
    FetchReply {
        previous: Position,
        entries: Vec<Entry>,
        last: Position,
        refused: bool,
    },
    TimeoutNow,
    LeaseRelease,
}

/// Where the sender's log stands. A follower's `received` and `durable` count only what it knows to match the log of
/// the term's leader, so a leader reads a heartbeat as an acknowledgement.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Heartbeat {
    /// The sender leads the message's term.
    pub leads: bool,
    pub received: Index,
    pub durable: Index,
    pub commit: Index,
    /// The sender never asks for entries up to here again, in any term: committed, durable and applied with it (a region),
    /// or at or below its base (the witness).
    pub settled: Index,
    /// The regions to which the sender has an unexpired promise now, a bit for each place in the roster.
    pub mask: u8,
}

#[derive(Clone, PartialEq, Eq, Debug)]
pub enum VerdictMessage {
    /// The leader's machine refused; believed only for the term of the proposer's latest send (T4).
    Rejected { reason: Bytes },
    /// Already in the log.
    Duplicate { position: Position },
    /// Not leader, wrong term, or no room: nothing was appended in this term.
    Bounced,
}

/// How the transport queues a message: lease traffic never waits behind bulk.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Class {
    /// Heartbeats, acks, votes, durable notices: small and first.
    Urgent,
    /// Appends, in order, one stream a direction.
    Append,
    /// Proposals and verdicts, in order.
    Proposal,
    /// Catch-up and fetched tails.
    Bulk,
}

impl Body {
    pub fn class(&self) -> Class {
        match self {
            // a window start must not be overtaken by the entries above it
            Body::Append { .. } | Body::Window { .. } => Class::Append,
            Body::Propose { .. } | Body::Verdict { .. } => Class::Proposal,
            Body::FetchReply { .. } => Class::Bulk,
            _ => Class::Urgent,
        }
    }
}
