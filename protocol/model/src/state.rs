//! One state of the world: three nodes, their promises, what was said in each term, and what anyone has seen.
//!
//! Everything is small and fixed in size; a state is copied for each successor. Fields that no later event can depend
//! on are zeroed by `settle`, so that states that differ in nothing that matters are the same state.
use crate::clients::Clients;
use crate::log::Log;

pub const NODES: usize = 3;
/// Region A.
pub const A: usize = 0;
/// Region B.
pub const B: usize = 1;
/// The witness.
pub const W: usize = 2;
pub const REGIONS: [usize; 2] = [A, B];
pub const NAMES: [&str; NODES] = ["A", "B", "W"];
/// The highest term of any search.
pub const TERM_MAX: u8 = 5;

/// A set of regions: bit 0 for A, bit 1 for B.
pub type Mask = u8;
pub const MASKS: usize = 4;

#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
pub struct State {
    pub nodes: [Node; NODES],
    /// `promises[v][r]`: what node v promised region r.
    pub promises: [[Promise; 2]; NODES],
    /// By term; 0 is unused.
    pub terms: [Term; TERM_MAX as usize + 1],
    pub seen: Seen,
    pub clients: Clients,
    pub crashes: u8,
    pub grants: u8,
}

/// The other region.
pub fn other(region: usize) -> usize {
    1 - region
}

#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
pub enum Role {
    #[default]
    Follower,
    Candidate,
    Leader,
}

#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
pub struct Node {
    pub role: Role,
    pub term: u8,
    /// Whom it voted for in `term`; none as well once the term has a leader.
    pub voted: Option<u8>,
    /// It has heard the leader of `term`: its log is compared with the leader's from then on.
    pub heard: bool,
    /// Received. The witness's log names entries below its base, whose payload it lacks.
    pub log: Log,
    /// How much of `log` a crash leaves.
    pub durable: u8,
    /// The witness's window start.
    pub base: u8,
}

/// What a promiser and a holder make of one promise.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
pub struct Promise {
    /// The promiser's part: its acknowledgements name the region.
    pub binding: bool,
    pub claim: Claim,
}

/// The holder's part.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
pub enum Claim {
    #[default]
    None,
    /// On its way, or arrived and not yet relied on: `last` is the promiser's last entry, as (term, index).
    Pending { last: (u8, u8) },
    /// Relied on: strong reads are served. `last` is kept only where a removed rule can make it count again.
    Held { last: (u8, u8) },
}

/// What was said in a term. Nothing that was said is ever unsaid.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
pub struct Term {
    pub leader: Option<u8>,
    /// The leader's log: it was sent, and any part of it may arrive at any time.
    pub log: Log,
    /// `acked[v][mask]`: the highest index that v has acknowledged as durable while it was bound to the regions of
    /// `mask`. For the leader itself what it has told to be durable, under mask 0.
    pub acked: [[u8; MASKS]; NODES],
    /// What the regions said they had received; used only when the gate counts that.
    pub received: [u8; 2],
    /// The leader's own commit index.
    pub commit: u8,
    /// The highest window start that the leader has sent to the witness.
    pub window: u8,
    /// The witness has voted for a candidate with an older log: its own log then, to be fetched.
    pub tail: Option<Log>,
    /// Lazy only: the candidates that have their votes and do not lead yet.
    pub elected: Mask,
}

/// What anyone, anywhere, may have seen: the checker's memory, no node's.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
pub struct Seen {
    /// Everything exposed so far.
    pub log: Log,
    /// For each index of `log`, the term in which it was exposed.
    pub in_term: Log,
    /// Something was exposed that contradicts what was exposed before.
    pub torn: bool,
    /// A second leader was elected in one term.
    pub rivals: bool,
    /// The witness was made to cut what lies below its base, which it no longer has.
    pub cut_below_base: bool,
}

impl State {
    /// A leads term 1, one entry is everywhere and seen. With `leases`, the regions have promised each other.
    pub fn initial(leases: bool) -> State {
        let mut state = State::default();
        let log = Log::of(&[1]);
        for node in [A, B, W] {
            state.nodes[node] = Node { term: 1, heard: node != A, log, durable: 1, ..Node::default() };
        }
        state.nodes[A].role = Role::Leader;
        state.nodes[W].base = 1;
        state.terms[1] = Term { leader: Some(A as u8), log, commit: 1, window: 1, ..Term::default() };
        state.seen = Seen { log, in_term: log, ..Seen::default() };
        if leases {
            for region in REGIONS {
                state.promises[other(region)][region] =
                    Promise { binding: true, claim: Claim::Held { last: log.last() } };
            }
        }
        state
    }

    /// The leader of a term, if it still leads.
    pub fn live_leader(&self, term: u8) -> Option<usize> {
        let leader = usize::from(self.terms[usize::from(term)].leader?);
        let node = &self.nodes[leader];
        (node.role == Role::Leader && node.term == term).then_some(leader)
    }

    /// What was said in a node's own term.
    pub fn term_of(&self, node: usize) -> &Term {
        &self.terms[usize::from(self.nodes[node].term)]
    }

    /// How far a node's log is known to equal that of its term's leader.
    pub fn matched(&self, node: usize) -> u8 {
        match self.nodes[node] {
            Node { role: Role::Leader, log, .. } => log.len(),
            Node { heard: true, log, .. } => log.common(self.term_of(node).log),
            _ => 0,
        }
    }

    /// The regions that a node is bound to now.
    pub fn mask(&self, node: usize) -> Mask {
        REGIONS.iter().filter(|&&region| self.promises[node][region].binding).map(|region| 1 << region).sum()
    }

    /// A region may serve strong reads: itself and a promiser are a majority.
    pub fn has_lease(&self, region: usize) -> bool {
        (0..NODES).any(|node| matches!(self.promises[node][region].claim, Claim::Held { .. }))
    }
}

impl Term {
    /// How far a node is known to be durable, whatever it was bound to.
    pub fn durable(&self, node: usize) -> u8 {
        self.acked[node].into_iter().max().expect("four masks")
    }
}
