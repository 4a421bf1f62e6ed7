//! What a node is whatever its role: its durable state, its log, whom it knows, what it owes to whom.
//!
//! Roles (`follower`, `candidate`, `leader`) borrow it. It alone changes term, vote, log and commit, so the invariants of
//! those are kept here:
//!
//! - N1: term never falls; one vote a term; both on disk before anything of that term is said.
//! - N2: the log is never cut below commit, nor below the base. Either would be a broken promise: the node stops.
//! - N3: commit never falls, and never passes what is known to match.
//! - N4: the machine hears of every entry as it enters and leaves, before any message tells of it.
use crate::contact::Contact;
use crate::disk::Disk;
use crate::early::Early;
use crate::io::*;
use crate::leases::Leases;
use crate::log::Log;
use crate::machine::Machine;
use crate::message::*;
use crate::proposals::Proposals;
use crate::random::Random;
use crate::reads::Reads;
use crate::types::*;
use std::collections::VecDeque;

/// Where effects go during a step.
pub(crate) struct Effects<'a, M> {
    pub machine: &'a mut M,
    pub out: &'a mut Vec<Output>,
}

impl<M> Effects<'_, M> {
    pub fn event(&mut self, event: Event) {
        self.out.push(Output::Event(event));
    }
}

#[derive(Debug)]
pub(crate) struct Node {
    pub config: Config,
    pub me: NodeId,
    pub kind: NodeKind,
    /// Our place in the roster.
    pub place: u8,
    pub boot: Boot,
    pub now: Now,
    pub random: Random,

    pub term: Term,
    pub voted_for: Option<NodeId>,
    /// Who leads `term`, as far as we know.
    pub leader: Option<NodeId>,
    /// When a leader was last heard; at first when we started, lest we help to depose one that we have yet to hear. `None`
    /// once it has given up.
    pub leader_heard_at: Option<Nanos>,
    /// Boot and token of its newest message as leader.
    pub leader_stamp: (Boot, Nanos),

    pub log: Log,
    pub disk: Disk,
    /// The base that is on disk (the witness's).
    pub base_durable: Index,
    pub commit: Position,
    /// Weight of the entries above commit; regions only.
    pub uncommitted_weight: usize,
    /// Handed out for applying up to here; regions only.
    pub apply_sent: Index,
    /// Applied and stored up to here, for good.
    pub applied: Index,

    /// Up to here our log is known to equal that of the leader of `term`.
    pub matched: Index,
    /// What the leader of `term` said of itself.
    pub leader_durable: Index,
    pub leader_commit: Index,
    /// Its appends that wait for what they follow.
    pub early: Early,

    pub contacts: Vec<Contact>,
    pub leases: Leases,
    pub proposals: Proposals,
    pub reads: Reads,
    pub held_back: VecDeque<HeldBack>,
    pub fetch_load: Option<FetchLoad>,
    /// The machine's, as of the last heartbeat.
    pub low_water: Index,
    /// An acknowledgement is due to the leader.
    pub ack_due: bool,
    pub heartbeat_due: Nanos,
    /// Heartbeats to all are due in this step.
    pub beat: bool,
    pub rotten_up_to: Option<Index>,
    /// Where the leader's log ended when it first heard of our present start: with that the log is whole again, too.
    pub whole_at: Option<Index>,
    pub stopped: bool,
    pub failed: bool,
    /// Since when a leader or a lease is missing.
    pub unserved_since: Option<Nanos>,
}

/// A message that waits for the hard state to be on disk.
#[derive(Debug)]
pub(crate) struct HeldBack {
    ticket: Ticket,
    term: Term,
    to: NodeId,
    body: Body,
}

/// A witness reads its tail back for a candidate.
#[derive(Debug)]
pub(crate) struct FetchLoad {
    pub ticket: Ticket,
    pub to: NodeId,
    pub previous: Position,
    pub last: Position,
    pub term: Term,
}

impl Node {
    pub fn timing(&self) -> &Timing {
        &self.config.timing
    }

    pub fn clock(&self) -> Nanos {
        self.now.boottime
    }

    pub fn is_region(&self) -> bool {
        self.kind == NodeKind::Region
    }

    pub fn majority(&self) -> u32 {
        self.config.roster.len() as u32 / 2 + 1
    }

    pub fn contact(&self, node: NodeId) -> Option<&Contact> {
        self.contacts.iter().find(|contact| contact.node == node)
    }

    pub fn contact_mut(&mut self, node: NodeId) -> Option<&mut Contact> {
        self.contacts.iter_mut().find(|contact| contact.node == node)
    }

    /// The longest round trip to any node, for waits that must outlast one.
    pub fn round_trip_max(&self) -> Nanos {
        self.contacts.iter().map(|contact| contact.round_trip).max().unwrap_or(0)
    }

    /// An answer that takes longer than this is lost.
    pub fn answer_after(&self) -> Nanos {
        2 * self.round_trip_max() + 3 * self.timing().heartbeat
    }

    pub fn election_deadline(&mut self) -> Nanos {
        let Timing { election_min, election_max, .. } = *self.timing();
        let spread = self.random.below(election_max.saturating_sub(election_min) + 1);
        self.clock() + election_min + spread + 2 * self.round_trip_max()
    }

    /// An invariant is broken: this node says and does nothing more.
    pub fn fatal<M>(&mut self, fx: &mut Effects<'_, M>, broken: String) {
        if !self.failed {
            self.failed = true;
            fx.out.push(Output::Fatal(broken));
        }
    }

    // ---- term and vote

    /// Enters a later term, without a vote in it (N1).
    pub fn enter_term(&mut self, term: Term) {
        assert!(term > self.term, "the term falls");
        self.term = term;
        self.voted_for = None;
        self.leader = None;
        self.matched = Index(0);
        self.leader_durable = Index(0);
        self.leader_commit = Index(0);
        self.early.clear();
        self.whole_at = None;
        self.ack_due = false;
        self.disk.set_hard_state(HardState { term, voted_for: None });
    }

    pub fn vote_for(&mut self, node: NodeId) {
        assert!(self.voted_for.is_none_or(|before| before == node), "voted twice in one term");
        if self.voted_for.is_none() {
            self.voted_for = Some(node);
            self.disk.set_hard_state(HardState { term: self.term, voted_for: Some(node) });
        }
    }

    // ---- log and commit

    /// Puts an entry at the log's end and shows it to the machine (N4).
    pub fn append<M: Machine>(&mut self, entry: Entry, fx: &mut Effects<'_, M>) {
        if self.is_region() {
            self.uncommitted_weight += entry.weight();
            if let Some(proposal) = entry.proposal()
                && proposal.id.region == self.me
                && proposal.id.boot == self.boot
            {
                self.proposals.appeared(proposal.id.sequence, entry.index());
            }
        }
        fx.machine.received(&entry);
        self.log.push(entry);
    }

    /// Drops every entry above `index`. False if that breaks N2; the node has failed then.
    pub fn cut<M: Machine>(&mut self, index: Index, fx: &mut Effects<'_, M>) -> bool {
        if index < self.commit.index {
            let broken = format!("log truncated to {} below commit {} in term {}", index.0, self.commit, self.term.0);
            self.fatal(fx, broken);
            return false;
        }
        if index < self.log.base().index {
            let broken = format!("log truncated to {} below its base {}", index.0, self.log.base());
            self.fatal(fx, broken);
            return false;
        }
        if self.is_region() {
            // nothing at or below commit is cut, so all of it is in memory and counted
            self.uncommitted_weight -= self.log.cached_above(index).map(Entry::weight).sum::<usize>();
        }
        let to = self.log.cut(index);
        self.disk.cut(to);
        self.matched = self.matched.min(index);
        self.proposals.cut(index);
        fx.machine.truncated(to);
        fx.event(Event::Truncated { to });
        true
    }

    /// Everything up to `index` is committed (N3).
    pub fn advance_commit<M: Machine>(&mut self, index: Index, fx: &mut Effects<'_, M>) {
        if index <= self.commit.index {
            return;
        }
        let Some(position) = self.log.position_at(index) else {
            self.fatal(fx, format!("commit {} lies beyond the log's end {}", index.0, self.log.last()));
            return;
        };
        let before = std::mem::replace(&mut self.commit, position);
        fx.machine.committed(position);
        if !self.is_region() {
            return;
        }
        for entry in self.log.cached_above(before.index).take((index.0 - before.index.0) as usize) {
            self.uncommitted_weight -= entry.weight();
            if let Some(proposal) = entry.proposal()
                && proposal.id.region == self.me
                && proposal.id.boot == self.boot
                && self.proposals.close(proposal.id.sequence)
            {
                fx.out.push(Output::Resolved { id: proposal.id, outcome: Outcome::Committed(entry.position) });
            }
        }
        if position.term > before.term {
            self.believe_rejections(fx.out);
        }
    }

    pub fn believe_rejections(&mut self, out: &mut Vec<Output>) {
        for (id, reason) in self.proposals.believe_rejections(self.commit.term) {
            out.push(Output::Resolved { id, outcome: Outcome::Rejected { reason } });
        }
    }

    /// How far we may vouch for, to the leader of this term: durable and matched. Nothing while there is rot.
    pub fn acknowledged(&self) -> Index {
        match self.rotten_up_to {
            Some(_) => Index(0),
            None => self.matched.min(self.disk.durable()),
        }
    }

    /// We never ask anyone for entries up to here again. What is applied is not the journal's alone: it may rot.
    pub fn settled(&self) -> Index {
        match self.kind {
            NodeKind::Region => self.commit.index.min(self.disk.durable()).min(self.applied),
            NodeKind::Witness => self.base_durable,
        }
    }

    // ---- what goes to the disk and to the machine

    /// Hands everything that is to be written to the journal.
    pub fn persist(&mut self, out: &mut Vec<Output>) {
        let last = self.log.last().index;
        if self.disk.dirty(last) {
            let entries = match self.disk.issued() < last {
                true => self.log.cached_above(self.disk.issued()).cloned().collect(),
                false => Vec::new(),
            };
            out.push(Output::Persist(self.disk.request(entries, last)));
        }
    }

    /// Hands out what is committed and durable here (T6).
    pub fn apply(&mut self, out: &mut Vec<Output>) {
        if !self.is_region() {
            let durable = self.disk.durable();
            self.log.evict(self.config.cache_bytes_max, durable);
            return;
        }
        let upto = self.commit.index.min(self.disk.durable());
        if upto > self.apply_sent {
            let count = (upto.0 - self.apply_sent.0) as usize;
            let entries = self.log.cached_above(self.apply_sent).take(count).cloned().collect();
            out.push(Output::Apply { entries });
            self.apply_sent = upto;
        }
        self.log.evict(self.config.cache_bytes_max, self.apply_sent);
    }

    /// Lets the journal drop what nobody can need again: not us, not the other region, not the witness, in any term.
    pub fn prune(&mut self, low_water: Index, out: &mut Vec<Output>) {
        if !self.is_region() {
            return;
        }
        let others = self.contacts.iter().map(|contact| contact.settled).min().unwrap_or(Index(0));
        let upto = self.applied.min(others).min(low_water.previous()).min(self.disk.durable());
        if upto > self.log.base().index
            && let Some(base) = self.log.position_at(upto)
        {
            self.log.rebase(base);
            out.push(Output::Prune { keep_from: upto.next() });
        }
    }

    // ---- messages

    fn envelope(&self, to: NodeId, body: Body) -> Message {
        let contact = self.contact(to).expect("messages go to nodes of the roster");
        let (echo, echo_age) = contact.echo(self.clock());
        Message {
            from: self.me,
            to,
            term: self.term,
            boot: self.boot,
            token: self.clock(),
            echo,
            echo_age,
            promise: None,
            low_water: self.low_water,
            body,
        }
    }

    /// Sends, or holds back until the hard state is on disk (D2).
    pub fn send(&mut self, to: NodeId, body: Body, out: &mut Vec<Output>) {
        match self.disk.barrier() {
            None => self.send_now(to, body, out),
            Some(ticket) => self.held_back.push_back(HeldBack { ticket, term: self.term, to, body }),
        }
    }

    /// Sends without a look at the disk: for what depends on nothing durable.
    pub fn send_now(&self, to: NodeId, body: Body, out: &mut Vec<Output>) {
        out.push(Output::Send(self.envelope(to, body)));
    }

    /// Sends what waited for `ticket`, but for what a later term has overtaken.
    pub fn release(&mut self, ticket: Ticket, out: &mut Vec<Output>) {
        while self.held_back.front().is_some_and(|held| held.ticket <= ticket) {
            let held = self.held_back.pop_front().expect("there is a first one");
            if held.term == self.term {
                self.send_now(held.to, held.body, out);
            }
        }
    }

    /// Heartbeats that are due, each with a promise if one may be made: to none of the regions in `withheld`.
    pub fn send_heartbeats(&mut self, leads: bool, withheld: u8, out: &mut Vec<Output>) {
        if self.disk.barrier().is_some() {
            return; // they stay due
        }
        let now = self.clock();
        for n in 0..self.contacts.len() {
            if !self.beat && !self.contacts[n].greet {
                continue;
            }
            self.contacts[n].greet = false;
            let to = self.contacts[n].node;
            let promise = self.promise(n, withheld);
            let (received, durable) = match leads {
                true => (self.log.last().index, self.disk.durable()),
                false => (self.matched, self.acknowledged()),
            };
            let body = Body::Heartbeat(Heartbeat {
                leads,
                received,
                durable,
                commit: self.commit.index,
                settled: self.settled(),
                // after the promise: it is already in force
                mask: self.leases.mask(now),
            });
            let mut message = self.envelope(to, body);
            message.promise = promise;
            out.push(Output::Send(message));
        }
        self.beat = false;
    }

    /// Promises that contact something, if the rules allow it now.
    fn promise(&mut self, n: usize, withheld: u8) -> Option<Promise> {
        let now = self.clock();
        let Timing { heartbeat, promise: length, .. } = *self.timing();
        let contact = &self.contacts[n];
        let token = (contact.boot, contact.token);
        let fresh = contact
            .token_echo
            .is_some_and(|echo| now.saturating_sub(echo) < (3 * heartbeat + 2 * contact.round_trip).min(length));
        let may = contact.kind == NodeKind::Region
            && fresh
            && contact.answered.is_none_or(|answered| token > answered)
            && (self.kind == NodeKind::Region || self.leader == Some(contact.node))
            && withheld & (1 << contact.place) == 0
            && self.rotten_up_to.is_none()
            && self.leases.may_promise(contact.node, contact.boot);
        if !may {
            return None;
        }
        let (node, boot, token) = (contact.node, contact.boot, contact.token);
        self.leases.make(node, boot, now + length);
        self.contacts[n].answered = Some((boot, token));
        Some(Promise { length, last: self.log.last(), boot, token })
    }
}
