//! One proposal that its origin retries, and one strong read: what sessions wait for.
//!
//! The proposal is B's. It is sent in any number of terms; a copy that was sent in a term may come to that term's leader at any
//! time, also to one that is deposed and does not know it, more than once, or never. The leader's machine may take it or refuse it,
//! as it likes. The entry is named by the term and index at which a leader appended it, which is what log matching makes of
//! it everywhere else.
//!
//! The read begins at a region with a lease, at the last entry received, and ends once nothing at or below that is pending.
//! There is one key, which every entry writes.
use crate::invariants::{Coverage, Milestone};
use crate::rules::{Rule, Rules};
use crate::state::*;

/// Whose proposal it is.
const ORIGIN: usize = B;

#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
pub struct Clients {
    pub proposal: Proposal,
    pub read: Option<Read>,
    pub reads: u8,
    /// A read returned what was not exposed, or lacked what was exposed before it began.
    pub misread: bool,
}

#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
pub struct Proposal {
    pub fate: Fate,
    /// The term of the latest send; 0 before the first.
    pub latest: u8,
    /// It was sent in another term before.
    pub many: bool,
    /// A bit for each term: copies that may still arrive, leaders that have decided, and those that refused.
    pub copies: u8,
    pub decided: u8,
    pub refused: u8,
    /// By term: the index at which that term's leader appended it, or 0.
    pub placed: [u8; TERM_MAX as usize + 1],
}

#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
pub enum Fate {
    #[default]
    Open,
    /// The origin told its session: it is not in the log and never will be.
    Refused,
    /// The origin crashed: nobody waits.
    Lost,
}

#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Read {
    pub region: u8,
    /// The snapshot.
    pub at: u8,
    /// It had to wait.
    pub waited: bool,
}

#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Step {
    /// The origin sends its proposal to the leader of its term.
    Send,
    /// A copy arrives at the leader of a term, who appends it or refuses it.
    Take {
        term: u8,
    },
    Refuse {
        term: u8,
    },
    /// The origin believes a refusal of that term.
    Believe {
        term: u8,
    },
    Read {
        region: u8,
    },
    Answer,
}

fn bit(term: u8) -> u8 {
    1 << term
}

impl Proposal {
    /// Whether a log of a node holds it.
    fn is_in(&self, log: crate::log::Log) -> bool {
        (1..=TERM_MAX).any(|term| {
            let index = self.placed[usize::from(term)];
            index > 0 && log.at(index) == term
        })
    }

    /// How many times it is exposed.
    pub fn exposed(&self, seen: &Seen) -> usize {
        let is_seen = |term: &u8| {
            let index = self.placed[usize::from(*term)];
            index > 0 && seen.log.at(index) == *term
        };
        (1..=TERM_MAX).filter(is_seen).count()
    }
}

/// What clients and their proposal may do next. `log_max`: the longest log.
pub fn steps(state: &State, proposes: bool, reads_max: u8, log_max: u8, rules: Rules) -> Vec<Step> {
    let mut steps = Vec::new();
    let Clients { proposal, read, reads, .. } = &state.clients;
    if proposes {
        propose(state, proposal, log_max, rules, &mut steps);
    }
    match read {
        Some(Read { region, at, .. }) => {
            let log = state.nodes[usize::from(*region)].log;
            let is_resolved = state.seen.log.len() >= *at && state.seen.log.prefix(*at) == log.prefix(*at);
            if is_resolved || !rules.hold(Rule::ReadWaits) {
                steps.push(Step::Answer);
            }
        }
        None if *reads < reads_max => {
            let may = |region: &usize| state.has_lease(*region) && snapshot(state, *region, rules).is_some();
            steps.extend(REGIONS.into_iter().filter(may).map(|region| Step::Read { region: region as u8 }));
        }
        None => {}
    }
    steps
}

fn propose(state: &State, proposal: &Proposal, log_max: u8, rules: Rules, steps: &mut Vec<Step>) {
    let Node { term, log, heard, role, .. } = state.nodes[ORIGIN];
    let knows_leader = role == Role::Leader || (heard && role == Role::Follower);
    let is_new = proposal.copies & bit(term) == 0;
    if proposal.fate == Fate::Open && knows_leader && is_new && !proposal.is_in(log) {
        steps.push(Step::Send);
    }
    for term in (1..=TERM_MAX).filter(|term| proposal.copies & bit(*term) != 0) {
        let Some(leader) = state.live_leader(term) else { continue };
        let log = state.nodes[leader].log;
        let is_decided = proposal.decided & bit(term) != 0 && rules.hold(Rule::DecideOnce);
        let is_known = proposal.is_in(log) && (rules.hold(Rule::IdOnce) || proposal.placed[usize::from(term)] > 0);
        if is_decided || is_known {
            continue;
        }
        if log.len() < log_max {
            steps.push(Step::Take { term });
        }
        if proposal.refused & bit(term) == 0 {
            steps.push(Step::Refuse { term });
        }
    }
    for term in (1..=TERM_MAX).filter(|term| proposal.refused & bit(*term) != 0) {
        let of_latest = term == proposal.latest || !rules.hold(Rule::RefusalOfLatestTerm);
        if proposal.fate == Fate::Open && of_latest && !proposal.is_in(log) && may_believe(state, term, rules) {
            steps.push(Step::Believe { term });
        }
    }
}

/// No copy of an earlier term can still get into the log: there was none, or something of that term or a later one is
/// committed, below which every log is the same.
fn may_believe(state: &State, term: u8, rules: Rules) -> bool {
    let log = state.nodes[ORIGIN].log;
    let common = log.common(state.seen.log);
    let is_committed = (1..=common).any(|index| log.at(index) >= term);
    !state.clients.proposal.many || is_committed || !rules.hold(Rule::RefusalAwaitsCommit)
}

/// Where a read that begins now reads.
fn snapshot(state: &State, region: usize, rules: Rules) -> Option<u8> {
    let node = &state.nodes[region];
    let commit = state.term_of(region).commit;
    match node.role {
        Role::Leader if !rules.hold(Rule::ReadAtReceived) => Some(commit).filter(|commit| *commit > 0),
        _ => Some(node.log.len()),
    }
}

pub fn apply(state: &mut State, step: Step, rules: Rules, coverage: &Coverage) {
    let origin_term = state.nodes[ORIGIN].term;
    match step {
        Step::Send => {
            let proposal = &mut state.clients.proposal;
            proposal.many |= proposal.latest != 0 && proposal.latest != origin_term;
            proposal.latest = origin_term;
            proposal.copies |= bit(origin_term);
            if proposal.many {
                coverage.reach(Milestone::Retried);
            }
        }
        Step::Take { term } => {
            let leader = state.live_leader(term).expect("only a leader takes it");
            let node = &mut state.nodes[leader];
            node.log.push(term);
            state.terms[usize::from(term)].log = node.log;
            let index = node.log.len();
            let proposal = &mut state.clients.proposal;
            proposal.placed[usize::from(term)] = index;
            proposal.decided |= bit(term);
        }
        Step::Refuse { term } => {
            let proposal = &mut state.clients.proposal;
            proposal.refused |= bit(term);
            proposal.decided |= bit(term);
        }
        Step::Believe { .. } => {
            let proposal = &mut state.clients.proposal;
            proposal.fate = Fate::Refused;
            if proposal.many {
                coverage.reach(Milestone::RefusedAfterRetry);
            }
        }
        Step::Read { region } => {
            let at = snapshot(state, usize::from(region), rules).expect("it has a snapshot");
            let exposed = state.seen.log.len();
            state.clients.reads += 1;
            state.clients.misread |= at < exposed;
            state.clients.read = Some(Read { region, at, waited: at > exposed });
        }
        Step::Answer => {
            let Some(read) = state.clients.read.take() else { return };
            let log = state.nodes[usize::from(read.region)].log;
            state.clients.misread |= !state.seen.log.starts_with(log.prefix(read.at));
            if read.waited {
                coverage.reach(Milestone::ReadWaited);
            }
        }
    }
}

/// After any action: what a crash or a cut of a region's log means to who waits there.
pub fn follow(before: &State, state: &mut State, crashed: Option<u8>) {
    if let Some(read) = &mut state.clients.read {
        let region = usize::from(read.region);
        let same = before.nodes[region].log.common(state.nodes[region].log);
        if crashed == Some(read.region) {
            state.clients.read = None;
        } else if same < before.nodes[region].log.len() {
            read.at = read.at.min(same);
        }
    }
    let proposal = &mut state.clients.proposal;
    if crashed == Some(ORIGIN as u8) && proposal.fate == Fate::Open && proposal.latest > 0 {
        proposal.fate = Fate::Lost;
    }
}

/// Zeroes what nothing can depend on any more: copies that nobody takes, refusals that nobody reads.
pub fn canonicalize(state: &mut State, rules: Rules) {
    if state.clients == Clients::default() {
        return;
    }
    let live = (1..=TERM_MAX).filter(|term| state.live_leader(*term).is_some()).fold(0, |bits, term| bits | bit(term));
    let own = bit(state.nodes[ORIGIN].term);
    let proposal = &mut state.clients.proposal;
    proposal.copies &= live | own;
    proposal.decided &= live;
    if proposal.fate != Fate::Open {
        (proposal.refused, proposal.many) = (0, false);
    } else if rules.hold(Rule::RefusalOfLatestTerm) {
        // a leader may refuse again what it refused in its term, so that a live one's counts, too
        proposal.refused &= bit(proposal.latest) | live;
    }
}
