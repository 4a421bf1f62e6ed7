//! Becoming leader.
//!
//! ```text
//!   no leader heard        pre-votes:         votes:                    the witness's log is newer:
//!  ----------------> asking ---------> voting ---------> leads, or  adopting ---------------------> leads
//!                    (no term yet)     (term + 1)                   (fetch, cut, append, fsync)
//! ```
//!
//! - C1: elected with the witness's vote alone, a candidate leads only once its log is as new as the witness's was and is
//!   on its own disk. If the witness's log changes meanwhile, the candidate gives up.
//! - C2: a candidate makes no promises.
use crate::io::*;
use crate::machine::Machine;
use crate::message::*;
use crate::node::{Effects, Node};
use crate::types::*;

#[derive(Debug)]
pub(crate) struct Candidate {
    stage: Stage,
    /// When this attempt is given up.
    deadline: Nanos,
    /// When those that have not answered are asked again.
    ask_again_at: Nanos,
    /// How far the log of the witness that voted for us equals ours, if that is known.
    witness_matched: Option<Index>,
}

#[derive(Debug)]
enum Stage {
    /// `granted`, `answered`: places in the roster. Replies count only if they echo a token from `since` on.
    Asking {
        since: Nanos,
        granted: u8,
    },
    Voting {
        granted: u8,
        answered: u8,
        witness: Option<Donor>,
    },
    Adopting(Adoption),
}

/// A witness that voted for us, and where its log stood.
#[derive(Debug)]
struct Donor {
    node: NodeId,
    last: Position,
    base: Position,
    term_starts: Vec<Position>,
}

#[derive(Debug)]
struct Adoption {
    donor: NodeId,
    target: Position,
    /// Our log equals the donor's up to here; what follows is asked for.
    have: Position,
    from: Index,
}

/// What a candidate's step led to.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Progress {
    Waiting,
    Elected,
    /// Follow again, and wait for another turn.
    Abandoned,
}

impl Candidate {
    /// Asks whether an election would succeed, before disturbing anyone.
    pub fn ask<M: Machine>(node: &mut Node, fx: &mut Effects<'_, M>) -> Candidate {
        fx.event(Event::Campaigning { term: Term(node.term.0 + 1) });
        let mut candidate = Candidate {
            stage: Stage::Asking { since: node.clock(), granted: 1 << node.place },
            deadline: Nanos::MAX,
            ask_again_at: 0,
            witness_matched: None,
        };
        candidate.tick(node, fx);
        candidate
    }

    /// Stands for the next term.
    pub fn stand<M: Machine>(node: &mut Node, fx: &mut Effects<'_, M>) -> Candidate {
        node.enter_term(Term(node.term.0 + 1));
        node.vote_for(node.me);
        let mut candidate = Candidate {
            stage: Stage::Voting { granted: 1 << node.place, answered: 0, witness: None },
            deadline: node.election_deadline(),
            ask_again_at: 0,
            witness_matched: None,
        };
        candidate.tick(node, fx);
        candidate
    }

    /// Promises nothing from the moment it stands (C2).
    pub fn stands(&self) -> bool {
        !matches!(self.stage, Stage::Asking { .. })
    }

    pub fn deadline(&self) -> Nanos {
        self.deadline.min(self.ask_again_at)
    }

    /// Where a leader's probe of the witness may begin.
    pub fn witness_matched(&self) -> Option<Index> {
        self.witness_matched
    }

    pub fn tick<M: Machine>(&mut self, node: &mut Node, fx: &mut Effects<'_, M>) -> Progress {
        let now = node.clock();
        if now >= self.deadline {
            return Progress::Abandoned;
        }
        if now < self.ask_again_at {
            return Progress::Waiting;
        }
        let last = node.log.last();
        let asked = |answered: u8| node.contacts.iter().filter(move |contact| answered & (1 << contact.place) == 0);
        match &self.stage {
            Stage::Asking { granted, .. } => {
                let to: Vec<NodeId> = asked(*granted).map(|contact| contact.node).collect();
                to.into_iter().for_each(|to| node.send(to, Body::PreVote { last }, fx.out));
                self.ask_again_at = now + node.timing().heartbeat;
            }
            Stage::Voting { answered, .. } => {
                let to: Vec<NodeId> = asked(*answered).map(|contact| contact.node).collect();
                to.into_iter().for_each(|to| node.send(to, Body::Vote { last }, fx.out));
                self.ask_again_at = now + node.timing().heartbeat;
            }
            Stage::Adopting(adoption) => {
                // while the last of it goes to disk there is nothing to ask for
                if adoption.have != adoption.target {
                    let body = Body::Fetch { from: adoption.have.index.next(), last: adoption.target };
                    node.send(adoption.donor, body, fx.out);
                }
                self.ask_again_at = now + node.answer_after();
            }
        }
        Progress::Waiting
    }

    /// True if a majority would vote for us now.
    pub fn on_pre_vote_reply(&mut self, node: &Node, from: NodeId, granted: bool, echo: Option<(Boot, Nanos)>) -> bool {
        let Stage::Asking { since, granted: places } = &mut self.stage else { return false };
        let current = echo.is_some_and(|(boot, token)| boot == node.boot && token >= *since);
        if let (true, Some(contact)) = (current, node.contact(from)) {
            match granted {
                true => *places |= 1 << contact.place,
                false => *places &= !(1 << contact.place),
            }
        }
        places.count_ones() >= node.majority()
    }

    pub fn on_vote_reply<M: Machine>(
        &mut self,
        node: &mut Node,
        fx: &mut Effects<'_, M>,
        from: NodeId,
        granted: bool,
        (last, base, term_starts): (Position, Position, Vec<Position>),
    ) -> Progress {
        let Stage::Voting { granted: places, answered, witness } = &mut self.stage else { return Progress::Waiting };
        let Some(contact) = node.contact(from) else { return Progress::Waiting };
        *answered |= 1 << contact.place;
        if !granted {
            return Progress::Waiting;
        }
        *places |= 1 << contact.place;
        if contact.kind == NodeKind::Witness {
            self.witness_matched = node.log.match_point(last, &term_starts);
            *witness = Some(Donor { node: from, last, base, term_starts });
        }
        if places.count_ones() < node.majority() {
            return Progress::Waiting;
        }
        let places = *places;
        match witness.take() {
            // the log of a region that votes is no newer than ours, so with enough of those the witness's does not matter
            Some(donor) if (places & !(1 << witness_place(node, donor.node))).count_ones() < node.majority() => {
                self.adopt(node, fx, donor)
            }
            _ => Progress::Elected,
        }
    }

    /// Elected with the witness's vote: its log, if newer, becomes ours.
    fn adopt<M: Machine>(&mut self, node: &mut Node, fx: &mut Effects<'_, M>, donor: Donor) -> Progress {
        if donor.last <= node.log.last() || node.config.sabotage.no_adoption {
            return Progress::Elected;
        }
        // everything up to the donor's base is on every region's disk, so on ours
        let matched =
            node.log.match_point(donor.last, &donor.term_starts).filter(|matched| *matched >= donor.base.index);
        let Some(have) = matched.and_then(|matched| node.log.position_at(matched)) else {
            fx.event(Event::AdoptionAbandoned { term: node.term });
            return Progress::Abandoned;
        };
        let adoption = Adoption { donor: donor.node, target: donor.last, have, from: have.index.next() };
        self.stage = Stage::Adopting(adoption);
        self.ask_again_at = 0;
        self.tick(node, fx)
    }

    pub fn on_fetch_reply<M: Machine>(
        &mut self,
        node: &mut Node,
        fx: &mut Effects<'_, M>,
        from: NodeId,
        previous: Position,
        entries: Vec<Entry>,
        (last, refused): (Position, bool),
    ) -> Progress {
        let Stage::Adopting(adoption) = &mut self.stage else { return Progress::Waiting };
        if from != adoption.donor {
            return Progress::Waiting;
        }
        if refused || last != adoption.target {
            fx.event(Event::AdoptionAbandoned { term: node.term });
            return Progress::Abandoned;
        }
        if previous != adoption.have {
            return Progress::Waiting; // a late copy
        }
        let mut before = previous;
        for entry in &entries {
            let position = entry.position;
            let follows = position.index == before.index.next() && position.term >= before.term;
            if !follows || position.index > last.index || position.term > last.term {
                fx.event(Event::Ignored { from, reason: "fetched entries are out of order" });
                return Progress::Waiting;
            }
            before = position;
        }
        if node.log.last().index > previous.index && !node.cut(previous.index, fx) {
            return Progress::Waiting;
        }
        for entry in entries {
            node.append(entry, fx);
        }
        adoption.have = before;
        self.witness_matched = Some(before.index);
        self.deadline = node.election_deadline();
        self.ask_again_at = 0;
        self.tick(node, fx)
    }

    /// Whether everything adopted is on our disk, so that we may lead (C1).
    pub fn adopted<M: Machine>(&self, node: &Node, fx: &mut Effects<'_, M>) -> bool {
        let Stage::Adopting(adoption) = &self.stage else { return false };
        let done = adoption.have == adoption.target && node.disk.durable() >= adoption.target.index;
        if done {
            fx.event(Event::AdoptedWitnessTail { from: adoption.from, to: adoption.target.index });
        }
        done
    }
}

fn witness_place(node: &Node, witness: NodeId) -> u8 {
    node.contact(witness).expect("the voter is in the roster").place
}
