//! What must hold in every state, and what a search must have met to mean anything.
use crate::clients::Fate;
use crate::log::Log;
use crate::state::*;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

/// The invariants of `docs/protocol.md` that a state shows.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Invariant {
    /// At most one leader in a term: Raft's election safety, under all the others.
    OneLeader,
    /// I1: exposed prefixes agree, in all regions and for ever.
    ExposedAgrees,
    /// I2: the leader of a term has every entry that was exposed in an earlier one.
    LeaderComplete,
    /// I3: a region with a lease has received everything that is exposed anywhere.
    LeaseComplete,
    /// I4: everything exposed is durable, with payload, on two nodes.
    TwoCopies,
    /// I6: the witness never has to cut below its base.
    WindowStays,
    /// A proposal is exposed at most once, and not at all if its origin said so (T4).
    ProposedOnce,
    /// I5: a strong read returns what was exposed before it began, or something newer, and only what is exposed.
    ReadsExposed,
}

impl Invariant {
    pub const ALL: [Invariant; 8] = [
        Invariant::OneLeader,
        Invariant::ExposedAgrees,
        Invariant::LeaderComplete,
        Invariant::LeaseComplete,
        Invariant::TwoCopies,
        Invariant::WindowStays,
        Invariant::ProposedOnce,
        Invariant::ReadsExposed,
    ];

    pub fn name(self) -> &'static str {
        match self {
            Invariant::OneLeader => "one leader in a term",
            Invariant::ExposedAgrees => "I1 exposed prefixes agree",
            Invariant::LeaderComplete => "I2 leaders are complete",
            Invariant::LeaseComplete => "I3 a lease has everything exposed",
            Invariant::TwoCopies => "I4 two durable copies",
            Invariant::WindowStays => "I6 the witness never cuts below its base",
            Invariant::ProposedOnce => "T4 a proposal is exposed once, a refused one never",
            Invariant::ReadsExposed => "I5 a read is exposed and not stale",
        }
    }

    pub fn holds(self, state: &State) -> bool {
        let seen = state.seen.log;
        match self {
            Invariant::OneLeader => !state.seen.rivals,
            Invariant::ExposedAgrees => !state.seen.torn,
            Invariant::LeaderComplete => state.terms.iter().zip(0u8..).all(|(term, number)| {
                term.leader.is_none()
                    || (1..=seen.len())
                        .all(|index| state.seen.in_term.at(index) >= number || term.log.at(index) == seen.at(index))
            }),
            Invariant::LeaseComplete => {
                REGIONS.into_iter().all(|region| !state.has_lease(region) || state.nodes[region].log.starts_with(seen))
            }
            Invariant::TwoCopies => (1..=seen.len()).all(|index| copies(state, index) >= 2),
            Invariant::WindowStays => !state.seen.cut_below_base,
            Invariant::ProposedOnce => {
                let proposal = &state.clients.proposal;
                proposal.exposed(&state.seen) <= usize::from(proposal.fate != Fate::Refused)
            }
            Invariant::ReadsExposed => !state.clients.misread,
        }
    }

    /// The first that a state breaks.
    pub fn broken_by(state: &State) -> Option<Invariant> {
        Invariant::ALL.into_iter().find(|invariant| !invariant.holds(state))
    }
}

/// Nodes on whose disks an exposed entry lies with its payload.
fn copies(state: &State, index: u8) -> usize {
    let has = |log: Log, durable: u8| durable >= index && log.common(state.seen.log) >= index;
    let regions =
        REGIONS.into_iter().filter(|&region| has(state.nodes[region].log, state.nodes[region].durable)).count();
    let Node { log, durable, base, .. } = state.nodes[W];
    regions + usize::from(base < index && has(log, durable))
}

/// What a search must have met; otherwise its bounds are too small for its result to mean anything.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Milestone {
    /// A candidate adopted the witness's tail.
    AdoptedTail,
    /// A follower inferred a commit that no leader had made.
    InferredFirst,
    /// A leader committed with the witness, without the other region.
    WithoutTheOtherRegion,
    /// The witness's window moved.
    WindowMoved,
    /// Both regions held leases after three entries were exposed.
    TwoLeases,
    /// A lease was held on the witness's promise.
    WitnessLease,
    /// A promise activated after a crash.
    LeaseAfterCrash,
    /// The proposal was sent in a second term.
    Retried,
    /// It was refused for good after that.
    RefusedAfterRetry,
    /// A read waited for what was pending.
    ReadWaited,
}

impl Milestone {
    /// Of searches with proposals and reads.
    pub const OF_CLIENTS: [Milestone; 3] = [Milestone::Retried, Milestone::RefusedAfterRetry, Milestone::ReadWaited];

    /// Of the others.
    pub const ALL: [Milestone; 7] = [
        Milestone::AdoptedTail,
        Milestone::InferredFirst,
        Milestone::WithoutTheOtherRegion,
        Milestone::WindowMoved,
        Milestone::TwoLeases,
        Milestone::WitnessLease,
        Milestone::LeaseAfterCrash,
    ];
}

impl fmt::Display for Milestone {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Milestone::AdoptedTail => "a candidate adopted the witness's tail",
            Milestone::InferredFirst => "a follower inferred before any leader committed",
            Milestone::WithoutTheOtherRegion => "a leader committed with the witness alone",
            Milestone::WindowMoved => "the witness's window moved",
            Milestone::TwoLeases => "two leases with three entries exposed",
            Milestone::WitnessLease => "a lease on the witness's promise",
            Milestone::LeaseAfterCrash => "a promise activated after a crash",
            Milestone::Retried => "a proposal was sent in a second term",
            Milestone::RefusedAfterRetry => "a proposal was refused after that",
            Milestone::ReadWaited => "a read waited for what was pending",
        })
    }
}

/// The milestones that a search has met. Beside the states, not in them: in them it would split every state that was
/// reached by a remarkable way from the same state reached by another.
#[derive(Clone, Debug, Default)]
pub struct Coverage(Arc<AtomicU32>);

impl Coverage {
    pub fn reach(&self, milestone: Milestone) {
        let bit = 1 << milestone as u32;
        // A read first: after a moment every milestone is old news, and a write would bounce between caches.
        if self.0.load(Ordering::Relaxed) & bit == 0 {
            self.0.fetch_or(bit, Ordering::Relaxed);
        }
    }

    pub fn reached(&self) -> Vec<Milestone> {
        let bits = self.0.load(Ordering::Relaxed);
        let all = Milestone::ALL.into_iter().chain(Milestone::OF_CLIENTS);
        all.filter(|&milestone| bits & 1 << milestone as u32 != 0).collect()
    }
}
