//! Who may expose what. The two rules on which everything rests, as functions of a state.
use crate::rules::{Rule, Rules};
use crate::state::*;

/// The indexes above its commit that the leader may expose. **Commit rule**: the entry is of its term, and there is a
/// majority, each member durable, such that every region which a member is bound to is durable as well.
pub fn leader_exposes(state: &State, leader: usize, rules: Rules) -> impl DoubleEndedIterator<Item = u8> {
    let Node { log, term, .. } = state.nodes[leader];
    let lowest = state.term_of(leader).commit + 1;
    (lowest..=log.len())
        .filter(move |&index| !rules.hold(Rule::OwnTermCommit) || log.at(index) == term)
        .filter(move |&index| has_quorum(state, leader, index, rules))
}

/// Some two of the three will do.
fn has_quorum(state: &State, leader: usize, index: u8, rules: Rules) -> bool {
    [[A, B], [A, W], [B, W]].into_iter().any(|quorum| {
        let [first, second] = quorum.map(|node| durable_under(state, leader, node, index, rules));
        (0..MASKS as Mask).filter(|mask| first & 1 << mask != 0).any(|one| {
            (0..MASKS as Mask)
                .filter(|mask| second & 1 << mask != 0)
                .any(|two| gate_is_open(state, leader, quorum, index, one | two, rules))
        })
    })
}

/// The masks under which a node is known to be durable at `index`: bit m for mask m.
fn durable_under(state: &State, leader: usize, node: usize, index: u8, rules: Rules) -> u8 {
    if node == leader {
        // Its own disk, and its own promises as of now.
        let mask = if rules.hold(Rule::OwnPromisesGate) { state.mask(leader) } else { 0 };
        return if state.nodes[leader].durable >= index { 1 << mask } else { 0 };
    }
    let acked = &state.term_of(leader).acked[node];
    let masks = (0..MASKS).filter(|&mask| acked[mask] >= index).fold(0, |masks, mask| masks | 1 << mask);
    if node == W && masks != 0 && !rules.hold(Rule::WitnessPromisesGate) { 1 } else { masks }
}

/// Every region that is relied on has the entry: as a member, as the leader (in memory; a crash ends its leases), or
/// durably.
fn gate_is_open(state: &State, leader: usize, quorum: [usize; 2], index: u8, mask: Mask, rules: Rules) -> bool {
    let term = state.term_of(leader);
    let has_it = |region: usize| {
        quorum.contains(&region)
            || region == leader
            || term.durable(region) >= index
            || (!rules.hold(Rule::GateCountsDurable) && term.received[region] >= index)
    };
    !rules.hold(Rule::GateVisibility) || REGIONS.into_iter().filter(|region| mask & 1 << region != 0).all(has_it)
}

/// The indexes that a following region knows to be committed. **Inference**: in its own term, matched, on its own disk
/// and on the leader's. The two of them hold every region that could hold a promise, so masks need no look.
pub fn follower_infers(state: &State, region: usize, rules: Rules) -> impl DoubleEndedIterator<Item = u8> {
    let Node { role, term, heard, log, durable, .. } = state.nodes[region];
    let said = state.term_of(region);
    let mut highest = 0;
    if role == Role::Follower && heard {
        let leader = usize::from(said.leader.expect("a follower has heard a leader"));
        highest = state.matched(region);
        if rules.hold(Rule::InferOwnDurable) {
            highest = highest.min(durable);
        }
        if rules.hold(Rule::InferLeaderDurable) {
            highest = highest.min(said.durable(leader));
        }
    }
    (1..=highest).filter(move |&index| !rules.hold(Rule::InferOwnTerm) || log.at(index) == term)
}
