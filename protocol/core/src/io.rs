//! The core's inputs and effects, and what it is started with.
use crate::message::*;
use crate::types::*;
use bytes::Bytes;

pub(crate) const MILLISECOND: Nanos = 1_000_000;

/// Who is in the cluster and how long things take. Two regions and a witness.
#[derive(Clone, Debug)]
pub struct Config {
    pub me: NodeId,
    /// Every voter with its kind, in id order.
    pub roster: Vec<(NodeId, NodeKind)>,
    pub timing: Timing,
    /// Largest payload of one proposal, in bytes. Larger records travel as parts (T8).
    pub payload_max: usize,
    /// Largest sum of payloads of one `Append`.
    pub append_bytes_max: usize,
    /// A leader stops taking proposals while this many bytes are appended and not committed.
    pub uncommitted_bytes_max: usize,
    /// Entries kept in memory for followers below what all have; older ones come by `Output::Load`.
    pub cache_bytes_max: usize,
    /// For tests that must fail: what the core forgets to do. Empty in every real configuration.
    pub sabotage: Sabotage,
}

/// Each rule that can be taken away, so that a test shows that its absence is noticed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Sabotage {
    /// Leases are always thought valid.
    pub lease_unchecked: bool,
    /// A follower acknowledges what it has received, not what is on its disk.
    pub ack_before_fsync: bool,
    /// The commit rule looks at no promises.
    pub gate_ignores_masks: bool,
    /// The commit rule does not look at the leader's own promises.
    pub gate_ignores_own_mask: bool,
    /// The commit rule does not look at the others' promises, so not at those to a former leader.
    pub gate_ignores_other_masks: bool,
    /// A candidate leads without the witness's newer tail.
    pub no_adoption: bool,
    /// The witness answers a vote before its tail and its vote are on disk.
    pub witness_votes_unsynced: bool,
    /// A follower infers a commit from the leader's disk alone, not its own.
    pub infer_without_own_durable: bool,
    /// A follower infers a commit from its own disk alone, not the leader's.
    pub infer_without_leader_durable: bool,
    /// A node that starts does not assume that it had promised anything.
    pub promises_forgotten_at_restart: bool,
    /// The witness's base needs only the leader to have the entries, not every region.
    pub base_needs_only_leader: bool,
    /// A promise counts at once, whatever log its giver had.
    pub lease_without_log: bool,
    /// A leader exposes entries of older terms before one of its own is committed.
    pub count_older_terms: bool,
    /// A rejection is believed although an earlier leader may have appended the proposal (T4).
    pub rejection_believed_at_once: bool,
    /// A leader certifies a proposal again that it has answered in this term (T4).
    pub id_taken_twice: bool,
    /// A late fsync completion counts although the entry at its index was replaced since.
    pub late_completion_counts: bool,
    /// A region relies on promises while its log is rotten.
    pub rot_holds_leases: bool,
    /// A node whose log is rotten votes and acknowledges.
    pub rot_counts: bool,
    /// Any region says what one that lost its disk begins with, whether it leads or not (R1, R2).
    pub rejoin_from_anyone: bool,
}

#[derive(Clone, Copy, Debug)]
pub struct Timing {
    pub heartbeat: Nanos,
    /// Promise length D.
    pub promise: Nanos,
    /// Clock rate bound rho, in parts per thousand.
    pub drift_permille: u64,
    /// Elections start after a wait in [election_min, election_max] + 2 RTT without a leader.
    pub election_min: Nanos,
    pub election_max: Nanos,
    /// The witness is engaged when a region is silent for max(2 RTT, this).
    pub engage_after: Nanos,
    /// A region without durable progress for this long, though something is owed, is ejected.
    pub eject_after: Nanos,
    /// An ejected region must be near the log's end for this long before it is promised anything again.
    pub readmit_after: Nanos,
    /// A proposal without verdict for this long, while no lease or leader is there, is answered `Unknown`.
    pub propose_give_up: Nanos,
    /// How long a leader waits for another entry before it tells that it is durable.
    pub durable_notice_delay: Nanos,
}

impl Default for Timing {
    fn default() -> Self {
        Timing {
            heartbeat: 50 * MILLISECOND,
            promise: 1000 * MILLISECOND,
            drift_permille: 10,
            election_min: 1200 * MILLISECOND,
            election_max: 1600 * MILLISECOND,
            engage_after: 150 * MILLISECOND,
            eject_after: 500 * MILLISECOND,
            readmit_after: 10_000 * MILLISECOND,
            propose_give_up: 600 * MILLISECOND,
            durable_notice_delay: MILLISECOND / 10,
        }
    }
}

impl Timing {
    /// How long a holder relies on a promise of `length`, counted from its own token: less than the promiser keeps it, by
    /// twice the clock rate bound and a margin, so that the holder always stops first.
    pub fn held_for(&self, length: Nanos) -> Nanos {
        const MARGIN: Nanos = 5 * MILLISECOND;
        let scaled =
            length as u128 * (1000 - self.drift_permille.min(999)) as u128 / (1000 + self.drift_permille) as u128;
        (scaled as Nanos).saturating_sub(MARGIN)
    }
}

/// What the journal held when the node started.
#[derive(Clone, Debug, Default)]
pub struct Recovered {
    /// Already raised and fsynced for this start.
    pub boot: Boot,
    pub term: Term,
    pub voted_for: Option<NodeId>,
    /// Everything at or below `base` is not in the journal (pruned, or the witness's window start).
    pub base: Position,
    /// All entries above `base` that the journal keeps in memory's reach: at least those above `applied`.
    pub entries: Vec<Entry>,
    /// First position of each term in the journal from `base` on, in order, the base's own included.
    pub term_starts: Vec<Position>,
    pub last: Position,
    /// What the machine has applied durably; commit starts here (T6). `Index(0)` on the witness.
    pub applied: Index,
    /// Rot was found: do not vote or ack until a leader has repaired the log past this index.
    pub rotten_up_to: Option<Index>,
    /// A seed for election jitter, from the driver.
    pub seed: u64,
}

/// Identifies one request to the disk, to match its completion.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Ticket(pub u64);

#[derive(Debug)]
pub enum Input {
    /// Time passed; due timers fire. Every other input checks timers too.
    Tick,
    Receive(Message),
    /// A local session proposes. Answered by exactly one `Output::Resolved` with its id.
    Propose(Proposal),
    /// Everything up to and including this `Persist` is on disk.
    Persisted(Ticket),
    Loaded {
        ticket: Ticket,
        entries: Vec<Entry>,
    },
    /// The machine has applied and stored up to here (durably): a restart will not ask for it again.
    Applied(Index),
    /// Read by asking the leader, when no lease is valid. Answered by `Output::ReadReady`.
    ReadIndex {
        id: u64,
    },
    /// The transport made a new connection to this peer (both directions): resume from what is acknowledged.
    Connected(NodeId),
    /// Hand leadership to this region, if it is level.
    HandOver(NodeId),
    /// Clean stop: leases are released once serving has stopped.
    Stop,
}

/// The fate of a local proposal.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Outcome {
    /// In the log for good, here.
    Committed(Position),
    /// Believed rejection (T4): it is not in the log and never will be.
    Rejected { reason: Bytes },
    /// Never appended nor sent anywhere: safe to say "not done" (T9).
    NotSent,
    /// Sent, and nobody answered in time. It may be in the log or get there (T9).
    Unknown,
}

#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Output {
    /// Send; everything that the message relies on is durable already.
    Send(Message),
    /// Write in this order: hard state, cut, entries, base; then fsync, then `Input::Persisted`. Groups may share an fsync.
    Persist(Persist),
    /// Read entries `from..=to` (at most `bytes_max` of payload, at least one) from the journal.
    Load {
        ticket: Ticket,
        from: Index,
        to: Index,
        bytes_max: usize,
    },
    Resolved {
        id: ProposalId,
        outcome: Outcome,
    },
    /// Committed entries for the machine to apply, in order, each once.
    Apply {
        entries: Vec<Entry>,
    },
    ReadReady {
        id: u64,
        position: Option<Position>,
    },
    /// The journal may drop everything below `keep_from`.
    Prune {
        keep_from: Index,
    },
    /// For logs and metrics only.
    Event(Event),
    /// An invariant is broken: dump, and stop the process.
    Fatal(String),
}

#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Persist {
    pub ticket: Ticket,
    pub hard_state: Option<HardState>,
    /// Drop every entry above this one first.
    pub truncate: Option<Position>,
    pub entries: Vec<Entry>,
    /// The witness's window start: forget everything at or below, with a gap allowed.
    pub base: Option<Position>,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct HardState {
    pub term: Term,
    pub voted_for: Option<NodeId>,
}

#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Event {
    BecameLeader {
        term: Term,
    },
    SteppedDown {
        term: Term,
    },
    Campaigning {
        term: Term,
    },
    LeaseActivated {
        from: NodeId,
        epoch: u64,
    },
    LeaseLapsed {
        from: NodeId,
    },
    WitnessEngaged,
    WitnessReleased,
    /// An election was given up: the witness had moved on, or its tail does not fit.
    AdoptionAbandoned {
        term: Term,
    },
    AdoptedWitnessTail {
        from: Index,
        to: Index,
    },
    Truncated {
        to: Position,
    },
    PeerSilent {
        node: NodeId,
    },
    PeerBack {
        node: NodeId,
    },
    /// A region that stands still, or comes and goes, is promised nothing for a while: the others do not wait for it.
    RegionEjected {
        node: NodeId,
    },
    RegionReadmitted {
        node: NodeId,
    },
    /// This log no longer reaches back to where the peer's ends: it needs a checkpoint.
    TooFarBehind {
        node: NodeId,
    },
    /// A message that no correct node sends was dropped.
    Ignored {
        from: NodeId,
        reason: &'static str,
    },
    /// The log was rotten up to here and is whole again.
    Repaired {
        up_to: Index,
    },
}

/// What a reader needs, published by the core after each step, before any of the step's messages leaves.
/// Lease valid at clock sample `c` iff `c < lease_until` (and the process has not been told to stop).
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct ReadView {
    /// Snapshot of a strong read that begins now: the last received entry.
    pub last: Position,
    pub lease_until: Nanos,
    pub lease_epoch: u64,
    pub commit: Position,
    pub term: Term,
    pub leader: Option<NodeId>,
}

/// For `trivet status` and metrics.
#[derive(Clone, Debug, Default)]
pub struct Status {
    pub role: &'static str,
    pub term: Term,
    pub leader: Option<NodeId>,
    pub last: Position,
    pub durable: Index,
    pub commit: Index,
    /// What the leader of the term says that it has committed; 0 at the leader itself.
    pub leader_commit: Index,
    pub applied: Index,
    pub base: Position,
    pub lease_until: Nanos,
    pub lease_epoch: u64,
    pub promises_made: Vec<(NodeId, Nanos)>,
    pub witness_engaged: bool,
    /// Per peer: durable index acknowledged, time of the last message heard, measured round trip.
    pub peers: Vec<PeerStatus>,
}

#[derive(Clone, Copy, Debug)]
pub struct PeerStatus {
    pub node: NodeId,
    pub durable: Index,
    pub heard_at: Nanos,
    pub rtt: Nanos,
}
