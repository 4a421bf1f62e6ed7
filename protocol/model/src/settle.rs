//! What happens by itself after each action, and the canonical form of a state.
//!
//! An eager search does all of it after each action: nodes acknowledge, holders activate, leaders and followers expose.
//! A lazy one makes each an action of its own, to check at small bounds what the crate's head argues: that being eager
//! loses no failure.
use crate::clients;
use crate::commit::{follower_infers, leader_exposes};
use crate::invariants::{Coverage, Milestone};
use crate::log::Log;
use crate::rules::{Rule, Rules};
use crate::state::*;

/// When what can only add is done.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
pub enum Pace {
    /// As soon as it can be.
    #[default]
    Eager,
    /// At any time, or never.
    Lazy,
}

/// Completes an action.
pub fn settle(state: &mut State, rules: Rules, pace: Pace, coverage: &Coverage) {
    if pace == Pace::Eager {
        for node in 0..NODES {
            acknowledge(state, node, rules);
        }
        for (from, to) in (0..NODES).flat_map(|from| REGIONS.map(|to| (from, to))) {
            if may_activate(state, from, to, rules) {
                activate(state, from, to, coverage);
            }
        }
        for region in REGIONS {
            if state.nodes[region].role == Role::Leader {
                let highest = leader_exposes(state, region, rules).next_back();
                highest.into_iter().for_each(|index| expose(state, region, index, coverage));
            }
        }
        for region in REGIONS {
            let highest = follower_infers(state, region, rules).next_back();
            highest.into_iter().for_each(|index| infer(state, region, index, coverage));
        }
    }
    offer_window(state, rules);
    canonicalize(state, rules);
}

/// A node tells the leader of its term how far it is durable, and whom it is bound to. A leader tells that it is
/// durable.
pub fn acknowledge(state: &mut State, node: usize, rules: Rules) {
    let Node { role, term, heard, durable, .. } = state.nodes[node];
    if role != Role::Leader && !heard {
        return;
    }
    let matched = state.matched(node);
    let index = if rules.hold(Rule::AckMatched) { durable.min(matched) } else { durable };
    let mask = if role == Role::Leader { 0 } else { state.mask(node) };
    let term = &mut state.terms[usize::from(term)];
    let acked = &mut term.acked[node][usize::from(mask)];
    *acked = index.max(*acked);
    if node != W && !rules.hold(Rule::GateCountsDurable) {
        term.received[node] = term.received[node].max(matched);
    }
}

/// A region may rely on a promise once its log holds the promiser's last entry.
pub fn may_activate(state: &State, from: usize, to: usize, rules: Rules) -> bool {
    match state.promises[from][to].claim {
        Claim::Pending { last } => !rules.hold(Rule::ActivateWithLast) || state.nodes[to].log.at(last.1) == last.0,
        _ => false,
    }
}

pub fn activate(state: &mut State, from: usize, to: usize, coverage: &Coverage) {
    let claim = &mut state.promises[from][to].claim;
    if let Claim::Pending { last } = *claim {
        *claim = Claim::Held { last };
    }
    if from == W {
        coverage.reach(Milestone::WitnessLease);
    }
    if state.crashes > 0 {
        coverage.reach(Milestone::LeaseAfterCrash);
    }
}

/// The leader exposes up to `index`.
pub fn expose(state: &mut State, leader: usize, index: u8, coverage: &Coverage) {
    let Node { log, term, .. } = state.nodes[leader];
    let said = &mut state.terms[usize::from(term)];
    said.commit = index;
    if index > state.seen.log.len() && said.durable(W) >= index && said.durable(other(leader)) < index {
        coverage.reach(Milestone::WithoutTheOtherRegion);
    }
    show(state, log, index, term, coverage);
}

/// A following region exposes up to `index`.
pub fn infer(state: &mut State, region: usize, index: u8, coverage: &Coverage) {
    let Node { log, term, .. } = state.nodes[region];
    if index > state.seen.log.len() {
        coverage.reach(Milestone::InferredFirst);
    }
    show(state, log, index, term, coverage);
}

/// The first `index` entries of `log` are exposed in `term`.
fn show(state: &mut State, log: Log, index: u8, term: u8, coverage: &Coverage) {
    let seen = &mut state.seen;
    let shown = log.prefix(index);
    if !shown.starts_with(seen.log.prefix(index)) {
        seen.torn = true;
        return;
    }
    for next in seen.log.len() + 1..=index {
        seen.log.push(log.at(next));
        seen.in_term.push(term);
    }
    if seen.log.len() >= 3 && REGIONS.into_iter().all(|region| state.has_lease(region)) {
        coverage.reach(Milestone::TwoLeases);
    }
}

/// A leader lets the witness forget what every region has durably and what is committed.
fn offer_window(state: &mut State, rules: Rules) {
    for leader in REGIONS {
        if state.nodes[leader].role != Role::Leader {
            continue;
        }
        let term = &mut state.terms[usize::from(state.nodes[leader].term)];
        let mut base = term.log.len();
        if rules.hold(Rule::WindowCommitted) {
            base = base.min(term.commit);
        }
        if rules.hold(Rule::WindowRegionsDurable) {
            base = base.min(term.durable(A)).min(term.durable(B));
        }
        term.window = term.window.max(base);
    }
}

/// Zeroes what nothing can depend on any more.
fn canonicalize(state: &mut State, rules: Rules) {
    for number in 1..=TERM_MAX {
        let live = state.live_leader(number);
        let nodes = state.nodes;
        let term = &mut state.terms[usize::from(number)];
        let is_candidate = |region: usize| nodes[region].role == Role::Candidate && nodes[region].term == number;
        term.elected &=
            REGIONS.into_iter().filter(|&region| is_candidate(region)).map(|region| 1 << region).sum::<Mask>();
        let Some(leader) = term.leader.map(usize::from) else {
            // A tail waits for its candidate.
            if !REGIONS.into_iter().any(is_candidate) {
                term.tail = None;
            }
            continue;
        };
        term.tail = None;
        let may_hear = |node: usize| node != leader && nodes[node].term <= number;
        match live {
            // Nobody counts acknowledgements for a leader that is gone. What it told may still arrive.
            None if (0..NODES).any(may_hear) => {
                let told = term.acked[leader][0];
                term.acked = [[0; MASKS]; NODES];
                term.acked[leader][0] = if may_hear(other(leader)) { told } else { 0 };
                term.received = [0; 2];
                term.commit = 0;
            }
            None => {
                *term = Term::default();
                continue;
            }
            Some(_) => {
                for node in 0..NODES {
                    undominated(
                        &mut term.acked[node],
                        if node == W { Forget::Up(term.commit) } else { Forget::Mask(term.commit) },
                    );
                }
            }
        }
        // A live leader offers it again as soon as it is of use.
        if nodes[W].term > number || nodes[W].base >= term.window {
            term.window = 0;
        }
    }
    clients::canonicalize(state, rules);
    for node in &mut state.nodes {
        let has_leader = state.terms[usize::from(node.term)].leader.is_some();
        if has_leader && rules.hold(Rule::VoteDurable) {
            node.voted = None;
        }
    }
    if rules.hold(Rule::BootInPromise) {
        for claim in state.promises.iter_mut().flatten().map(|promise| &mut promise.claim) {
            if let Claim::Held { last } = claim {
                *last = (0, 0);
            }
        }
    }
}

/// What an acknowledgement at or below the leader's commit is still good for.
#[derive(Clone, Copy)]
enum Forget {
    /// Nothing.
    Up(u8),
    /// The window: its mask no longer counts.
    Mask(u8),
}

/// An acknowledgement is of no use beside one as high that binds less.
fn undominated(acked: &mut [u8; MASKS], forget: Forget) {
    match forget {
        Forget::Up(commit) => acked.iter_mut().filter(|index| **index <= commit).for_each(|index| *index = 0),
        Forget::Mask(commit) => {
            for mask in 1..MASKS {
                if acked[mask] <= commit {
                    acked[0] = acked[0].max(acked[mask]);
                }
            }
        }
    }
    for mask in (1..MASKS).rev() {
        let binds_less = |less: &usize| *less != mask && less & mask == *less;
        if (0..MASKS).filter(binds_less).any(|less| acked[less] >= acked[mask]) {
            acked[mask] = 0;
        }
    }
}
