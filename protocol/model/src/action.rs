//! What may happen. Each action is one atomic step of one node, or time passing for one promise.
use crate::clients::{self, Step};
use crate::commit::{follower_infers, leader_exposes};
use crate::invariants::{Coverage, Milestone};
use crate::rules::{Rule, Rules};
use crate::search::Bounds;
use crate::settle::{self, Pace, may_activate, settle};
use crate::state::*;
use std::fmt;

#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Action {
    /// A leader gives up, for want of a majority or because it was told to: its log and its leases stay.
    StepDown { leader: u8 },
    /// A region gives up on the leader and asks for votes in the next term.
    Campaign { region: u8 },
    /// A node hears of a candidate and votes for it. Elected, it leads at once, or first fetches the witness's tail.
    Vote { voter: u8, candidate: u8 },
    /// A candidate that the witness elected has fetched its tail, and leads.
    Adopt { candidate: u8 },
    /// The leader appends an entry and sends it.
    Append { leader: u8 },
    /// A node's disk has all that it received.
    Persist { node: u8 },
    /// A node hears the leader of a term, and learns how far it matches.
    Hear { node: u8, term: u8 },
    /// A node receives the next entry that it lacks of a leader's log, and cuts what contradicts it.
    Receive { node: u8, term: u8 },
    /// The witness is told to begin its window at what the leader of a term has offered.
    Window { term: u8 },
    /// A node stops and starts: what was not durable is gone.
    Crash { node: u8 },
    /// A node promises a region, which may not be able to rely on it yet.
    Grant { from: u8, to: u8 },
    /// A promise runs out, and with it any reliance.
    Lapse { from: u8, to: u8 },
    /// Lazy only: a region relies on a promise no longer, which still binds.
    Release { from: u8, to: u8 },
    /// Lazy only: an elected candidate leads.
    Lead { candidate: u8 },
    /// Lazy only: a node acknowledges, or a leader says that it is durable.
    Acknowledge { node: u8 },
    /// Lazy only: a region begins to rely on a promise.
    Activate { from: u8, to: u8 },
    /// Lazy only: the leader exposes.
    Expose { leader: u8, index: u8 },
    /// Lazy only: a following region exposes.
    Infer { region: u8, index: u8 },
    /// Of the proposal or the read.
    Client(Step),
}

use Action::*;

/// Everything that may happen next.
pub fn enabled(state: &State, bounds: &Bounds, rules: Rules, actions: &mut Vec<Action>) {
    elections(state, bounds, rules, actions);
    for (node, number) in (0..NODES).zip(0u8..) {
        let Node { role, log, durable, .. } = state.nodes[node];
        if role == Role::Leader && log.len() < bounds.log {
            actions.push(Append { leader: number });
        }
        if durable < log.len() {
            actions.push(Persist { node: number });
        }
        if state.crashes < bounds.crashes {
            actions.push(Crash { node: number });
        }
        hearing(state, node, actions);
    }
    for term in state.nodes[W].term..=TERM_MAX {
        if state.terms[usize::from(term)].window > state.nodes[W].base {
            actions.push(Window { term });
        }
    }
    promises(state, bounds, rules, actions);
    if bounds.proposes || bounds.reads > 0 {
        actions.extend(clients::steps(state, bounds.proposes, bounds.reads, bounds.log, rules).into_iter().map(Client));
    }
    if bounds.pace == Pace::Lazy {
        deferred(state, rules, actions);
    }
}

/// What an eager search does by itself. An action that changes nothing is dropped by the search.
fn deferred(state: &State, rules: Rules, actions: &mut Vec<Action>) {
    for (node, number) in (0..NODES).zip(0u8..) {
        actions.push(Acknowledge { node: number });
        for to in REGIONS {
            if may_activate(state, node, to, rules) {
                actions.push(Activate { from: number, to: to as u8 });
            }
            if matches!(state.promises[node][to].claim, Claim::Held { .. }) {
                actions.push(Release { from: number, to: to as u8 });
            }
        }
    }
    for (region, number) in REGIONS.into_iter().zip(0u8..) {
        if state.nodes[region].role == Role::Leader {
            actions.extend(leader_exposes(state, region, rules).map(|index| Expose { leader: number, index }));
        }
        actions.extend(follower_infers(state, region, rules).map(|index| Infer { region: number, index }));
    }
}

fn elections(state: &State, bounds: &Bounds, rules: Rules, actions: &mut Vec<Action>) {
    for (candidate, number) in REGIONS.into_iter().zip(0u8..) {
        let Node { role, term, log, .. } = state.nodes[candidate];
        if role == Role::Leader {
            actions.push(StepDown { leader: number });
        } else if term < bounds.terms {
            actions.push(Campaign { region: number });
        }
        // A leader's first entry must fit the bound.
        if role != Role::Candidate || log.len() >= bounds.log {
            continue;
        }
        for (voter, voter_number) in (0..NODES).zip(0u8..) {
            if voter != candidate && votes_for(state, voter, candidate, rules) {
                actions.push(Vote { voter: voter_number, candidate: number });
            }
        }
        if state.terms[usize::from(term)].elected & 1 << candidate != 0 {
            actions.push(Lead { candidate: number });
        }
        if let Some(tail) = state.terms[usize::from(term)].tail {
            let donor = &state.nodes[W];
            let unchanged = donor.term == term && donor.log == tail;
            if (unchanged || !rules.hold(Rule::DonorUnchanged)) && donor.log.len() < bounds.log {
                actions.push(Adopt { candidate: number });
            }
        }
    }
}

fn votes_for(state: &State, voter: usize, candidate: usize, rules: Rules) -> bool {
    let asked = &state.nodes[candidate];
    let node = &state.nodes[voter];
    // Once a term has a leader, a majority has voted; who of it need not be remembered, if votes are never forgotten.
    let is_decided = rules.hold(Rule::VoteDurable) && state.term_of(voter).leader.is_some();
    let is_free = node.term < asked.term || (node.term == asked.term && node.voted.is_none() && !is_decided);
    let is_new_enough = voter == W || asked.log.last() >= node.log.last() || !rules.hold(Rule::UpToDateVote);
    is_free && is_new_enough
}

fn hearing(state: &State, node: usize, actions: &mut Vec<Action>) {
    let Node { term: own, heard, log, .. } = state.nodes[node];
    for term in own..=TERM_MAX {
        let said = &state.terms[usize::from(term)];
        if said.leader.is_none_or(|leader| usize::from(leader) == node) {
            continue;
        }
        if term > own || !heard {
            actions.push(Hear { node: node as u8, term });
        }
        if log.common(said.log) < said.log.len() {
            actions.push(Receive { node: node as u8, term });
        }
    }
}

fn promises(state: &State, bounds: &Bounds, rules: Rules, actions: &mut Vec<Action>) {
    for from in 0..NODES {
        for to in REGIONS {
            let promise = state.promises[from][to];
            let (from_number, to_number) = (from as u8, to as u8);
            // That a candidate promises nobody is not needed for safety, so here candidates may.
            let is_leader = state.term_of(W).leader == Some(to_number);
            let may = from != to && (from != W || is_leader || !rules.hold(Rule::WitnessPromisesLeader));
            if may && promise.claim == Claim::None && state.grants < bounds.grants {
                actions.push(Grant { from: from_number, to: to_number });
            }
            if promise != Promise::default() {
                actions.push(Lapse { from: from_number, to: to_number });
            }
        }
    }
}

/// The state after an action and everything that follows by itself.
pub fn apply(before: &State, action: Action, rules: Rules, pace: Pace, coverage: &Coverage) -> State {
    let mut state = *before;
    match action {
        StepDown { leader } => state.nodes[usize::from(leader)].role = Role::Follower,
        Campaign { region } => {
            let node = usize::from(region);
            let term = state.nodes[node].term + 1;
            enter(&mut state, node, term, rules);
            state.nodes[node].role = Role::Candidate;
            state.nodes[node].voted = Some(region);
        }
        Vote { voter, candidate } => {
            let (voter, candidate) = (usize::from(voter), usize::from(candidate));
            if vote(&mut state, voter, candidate, rules) {
                match pace {
                    Pace::Eager => lead(&mut state, candidate),
                    Pace::Lazy => state.terms[usize::from(state.nodes[candidate].term)].elected |= 1 << candidate,
                }
            }
        }
        Adopt { candidate } => adopt(&mut state, usize::from(candidate), rules, coverage),
        Append { leader } => append(&mut state, usize::from(leader)),
        Persist { node } => {
            let node = &mut state.nodes[usize::from(node)];
            node.durable = node.log.len();
        }
        Hear { node, term } => hear(&mut state, usize::from(node), term, rules),
        Receive { node, term } => receive(&mut state, usize::from(node), term, rules),
        Window { term } => window(&mut state, term, rules, coverage),
        Crash { node } => crash(&mut state, usize::from(node), rules),
        Grant { from, to } => {
            let last = state.nodes[usize::from(from)].log.last();
            state.promises[usize::from(from)][usize::from(to)] =
                Promise { binding: true, claim: Claim::Pending { last } };
            state.grants += 1;
        }
        Lapse { from, to } => state.promises[usize::from(from)][usize::from(to)] = Promise::default(),
        Release { from, to } => state.promises[usize::from(from)][usize::from(to)].claim = Claim::None,
        Lead { candidate } => lead(&mut state, usize::from(candidate)),
        Acknowledge { node } => settle::acknowledge(&mut state, usize::from(node), rules),
        Activate { from, to } => settle::activate(&mut state, usize::from(from), usize::from(to), coverage),
        Expose { leader, index } => settle::expose(&mut state, usize::from(leader), index, coverage),
        Infer { region, index } => settle::infer(&mut state, usize::from(region), index, coverage),
        Client(step) => clients::apply(&mut state, step, rules, coverage),
    }
    let crashed = match action {
        Crash { node } => Some(node),
        _ => None,
    };
    clients::follow(before, &mut state, crashed);
    settle(&mut state, rules, pace, coverage);
    state
}

/// A node learns of a term; a newer one makes it a follower that knows nothing of it yet.
fn enter(state: &mut State, node: usize, term: u8, rules: Rules) {
    let entering = &mut state.nodes[node];
    if entering.term < term {
        *entering = Node { role: Role::Follower, term, voted: None, heard: false, ..*entering };
        if !rules.hold(Rule::DeposedPromisesGate) {
            for promise in &mut state.promises[node] {
                promise.binding = false;
            }
        }
    }
}

/// Whether the candidate may lead at once: a vote and its own are a majority, unless the witness's tail comes first.
fn vote(state: &mut State, voter: usize, candidate: usize, rules: Rules) -> bool {
    let term = state.nodes[candidate].term;
    enter(state, voter, term, rules);
    let voting = &mut state.nodes[voter];
    voting.voted = Some(candidate as u8);
    if voter == W {
        if rules.hold(Rule::WitnessSyncsBeforeVote) {
            voting.durable = voting.log.len();
        }
        let tail = voting.log;
        if rules.hold(Rule::AdoptTail) && tail.last() > state.nodes[candidate].log.last() {
            state.terms[usize::from(term)].tail = Some(tail);
            return false;
        }
    }
    true
}

fn adopt(state: &mut State, candidate: usize, rules: Rules, coverage: &Coverage) {
    let tail = state.nodes[W].log;
    let node = &mut state.nodes[candidate];
    let kept = node.log.common(tail);
    node.log = tail;
    node.durable = if rules.hold(Rule::SyncBeforeLead) { tail.len() } else { node.durable.min(kept) };
    coverage.reach(Milestone::AdoptedTail);
    lead(state, candidate);
}

/// Elected: a no-op of its term goes into its log, which everyone may hear of from now on.
fn lead(state: &mut State, leader: usize) {
    let node = &mut state.nodes[leader];
    node.role = Role::Leader;
    node.log.push(node.term);
    let term = &mut state.terms[usize::from(node.term)];
    state.seen.rivals |= term.leader.is_some();
    term.leader = Some(leader as u8);
    term.log = node.log;
}

fn append(state: &mut State, leader: usize) {
    let node = &mut state.nodes[leader];
    node.log.push(node.term);
    state.terms[usize::from(node.term)].log = node.log;
}

fn hear(state: &mut State, node: usize, term: u8, rules: Rules) {
    enter(state, node, term, rules);
    let hearing = &mut state.nodes[node];
    hearing.role = Role::Follower;
    hearing.heard = true;
}

fn receive(state: &mut State, node: usize, term: u8, rules: Rules) {
    hear(state, node, term, rules);
    let sent = state.terms[usize::from(term)].log;
    let receiving = &mut state.nodes[node];
    let same = receiving.log.common(sent);
    state.seen.cut_below_base |= same < receiving.base;
    receiving.durable = receiving.durable.min(same);
    receiving.log = sent.prefix(same + 1);
}

/// The witness drops payload up to the base. If it has not got so far, it jumps, with a gap below.
fn window(state: &mut State, term: u8, rules: Rules, coverage: &Coverage) {
    hear(state, W, term, rules);
    let Term { log: sent, window: base, .. } = state.terms[usize::from(term)];
    let witness = &mut state.nodes[W];
    let same = witness.log.common(sent);
    state.seen.cut_below_base |= same < witness.base;
    if same < base {
        witness.log = sent.prefix(base);
        witness.durable = base;
    }
    witness.durable = witness.durable.max(base);
    witness.base = base;
    coverage.reach(Milestone::WindowMoved);
}

fn crash(state: &mut State, node: usize, rules: Rules) {
    state.crashes += 1;
    let stopped = &mut state.nodes[node];
    stopped.role = Role::Follower;
    stopped.heard = false;
    stopped.log = stopped.log.prefix(stopped.durable);
    if !rules.hold(Rule::VoteDurable) {
        stopped.voted = None;
    }
    // As a holder: a new boot begins with no leases, and a promise to the old boot is not its own.
    for promise in state.promises.iter_mut().filter_map(|promises| promises.get_mut(node)) {
        promise.claim = match promise.claim {
            Claim::Pending { last } | Claim::Held { last } if !rules.hold(Rule::BootInPromise) => {
                Claim::Pending { last }
            }
            _ => Claim::None,
        };
    }
    // As a promiser: it goes on as if bound, since it may have promised.
    if !rules.hold(Rule::PromiserRemembers) {
        for promise in &mut state.promises[node] {
            promise.binding = false;
        }
    }
}

impl fmt::Display for Action {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = |node: &u8| NAMES[usize::from(*node)];
        match self {
            StepDown { leader } => write!(f, "{} leads no more", name(leader)),
            Campaign { region } => write!(f, "{} asks for votes in its next term", name(region)),
            Vote { voter, candidate } => write!(f, "{} votes for {}", name(voter), name(candidate)),
            Adopt { candidate } => write!(f, "{} adopts W's tail and leads", name(candidate)),
            Append { leader } => write!(f, "{} appends an entry", name(leader)),
            Persist { node } => write!(f, "{}'s disk has its log", name(node)),
            Hear { node, term } => write!(f, "{} hears the leader of term {term}", name(node)),
            Receive { node, term } => write!(f, "{} receives an entry of term {term}'s leader", name(node)),
            Window { term } => write!(f, "W moves its window as term {term}'s leader said"),
            Crash { node } => write!(f, "{} crashes and restarts", name(node)),
            Grant { from, to } => write!(f, "{} promises {}", name(from), name(to)),
            Lapse { from, to } => write!(f, "{}'s promise to {} runs out", name(from), name(to)),
            Release { from, to } => write!(f, "{} relies on {}'s promise no more", name(to), name(from)),
            Lead { candidate } => write!(f, "{} leads", name(candidate)),
            Acknowledge { node } => write!(f, "{} acknowledges", name(node)),
            Activate { from, to } => write!(f, "{} relies on {}'s promise", name(to), name(from)),
            Expose { leader, index } => write!(f, "{} exposes up to {index}", name(leader)),
            Infer { region, index } => write!(f, "{} infers up to {index}", name(region)),
            Client(Step::Send) => write!(f, "B sends its proposal"),
            Client(Step::Take { term }) => write!(f, "term {term}'s leader appends the proposal"),
            Client(Step::Refuse { term }) => write!(f, "term {term}'s leader refuses the proposal"),
            Client(Step::Believe { term }) => write!(f, "B believes the refusal of term {term}"),
            Client(Step::Read { region }) => write!(f, "a read begins at {}", name(region)),
            Client(Step::Answer) => write!(f, "the read is answered"),
        }
    }
}

/// The initial state of a search, settled.
pub fn initial(bounds: &Bounds, rules: Rules, coverage: &Coverage) -> State {
    let mut state = State::initial(bounds.leases);
    settle(&mut state, rules, bounds.pace, coverage);
    state
}
