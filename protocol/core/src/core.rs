//! The state machine's outside: inputs in, effects out, one role at a time.
//!
//! A step is: timers that are due, then the input, then `flush`, which turns whatever changed into effects in a fixed
//! order (commit, proposals, appends, disk, acknowledgements, notices, applying, reads, heartbeats). Several inputs may
//! share a step ([`Core::step_all`]): then they share appends, disk requests and acknowledgements too, which is all the
//! batching there is.
//!
//! What may leave before what is on disk is decided in `node` (hard state) and by when `flush` acknowledges (entries).
use crate::candidate::{self, Candidate};
use crate::contact::Contact;
use crate::disk::Disk;
use crate::early::Early;
use crate::election;
use crate::follower;
use crate::io::*;
use crate::leader::Leader;
use crate::leases::Leases;
use crate::log::Log;
use crate::machine::Machine;
use crate::message::*;
use crate::node::{Effects, Node};
use crate::proposals::Proposals;
use crate::random::Random;
use crate::reads::Reads;
use crate::types::*;
use std::collections::VecDeque;

/// One node's part in the replicated log.
#[derive(Debug)]
pub struct Core {
    pub(crate) node: Node,
    pub(crate) role: Role,
}

#[derive(Debug)]
pub(crate) enum Role {
    /// `deadline`: when to stand for election, if no leader is heard; a witness never does.
    Follower {
        deadline: Nanos,
    },
    Candidate(Candidate),
    Leader(Leader),
}

impl Core {
    /// Starts from what the journal held. The machine hears of every entry that was recovered, then of what is committed
    /// (what it has applied itself; T6). A journal that contradicts itself, or the machine, is `Output::Fatal`.
    ///
    /// Panics if the roster is not two regions and a witness with this node among them: configuration is our own.
    pub fn new<M: Machine>(
        config: Config,
        recovered: Recovered,
        now: Now,
        machine: &mut M,
        out: &mut Vec<Output>,
    ) -> Core {
        let place = config.roster.iter().position(|(node, _)| *node == config.me).expect("the roster names this node");
        let count = |kind| config.roster.iter().filter(|(_, other)| *other == kind).count();
        assert!(
            count(NodeKind::Region) == 2 && count(NodeKind::Witness) == 1,
            "the roster is not two regions and a witness"
        );
        let kind = config.roster[place].1;
        let Recovered { boot, term, voted_for, base, entries, term_starts, last, applied, rotten_up_to, seed } =
            recovered;

        let mut broken = None;
        let log = Log::recover(base, &term_starts, entries.clone(), last).unwrap_or_else(|reason| {
            broken = Some(reason.to_string());
            Log::recover(base, &[], vec![], base).expect("an empty log is consistent")
        });
        let applied = if kind == NodeKind::Region { applied } else { base.index };
        let commit = log.position_at(applied).unwrap_or_else(|| {
            let ends = format!("applied {} lies outside the journal, {} to {}", applied.0, log.base(), log.last());
            broken.get_or_insert(ends);
            log.base()
        });
        if kind == NodeKind::Region && log.cached_from() > commit.index.next() {
            broken.get_or_insert(format!(
                "the journal gave no entries from {} on, which are not applied",
                commit.index.0 + 1
            ));
        }
        if log.last().term > term {
            broken.get_or_insert(format!("the journal's last entry {} is of a later term than {}", log.last(), term.0));
        }
        let contacts = config.roster.iter().enumerate().filter(|(_, (node, _))| *node != config.me);
        let contacts = contacts.map(|(place, (node, kind))| Contact::new(*node, *kind, place as u8)).collect();
        let healthy = broken.is_none();
        let uncommitted_weight = match healthy && kind == NodeKind::Region {
            true => log.cached_above(commit.index).map(Entry::weight).sum(),
            false => 0,
        };
        let mut node = Node {
            me: config.me,
            kind,
            place: place as u8,
            boot,
            now,
            random: Random::new(seed),
            term,
            voted_for,
            leader: None,
            leader_heard_at: Some(now.boottime),
            leader_stamp: (Boot(0), 0),
            disk: Disk::new(log.last().index, &config.sabotage),
            base_durable: log.base().index,
            commit,
            uncommitted_weight,
            apply_sent: commit.index,
            applied: commit.index,
            matched: Index(0),
            leader_durable: Index(0),
            leader_commit: Index(0),
            early: Early::default(),
            contacts,
            leases: Leases::new(&config, now.boottime),
            proposals: Proposals::new(&config.sabotage),
            reads: Reads::new(boot),
            held_back: VecDeque::new(),
            fetch_load: None,
            low_water: Index(0),
            ack_due: false,
            heartbeat_due: now.boottime,
            beat: true,
            rotten_up_to: rotten_up_to.filter(|_| !config.sabotage.rot_counts),
            whole_at: None,
            stopped: false,
            failed: false,
            unserved_since: Some(now.boottime),
            log,
            config,
        };
        let mut fx = Effects { machine, out };
        if let Some(broken) = broken {
            node.fatal(&mut fx, broken);
        } else {
            entries.iter().for_each(|entry| fx.machine.received(entry));
            fx.machine.committed(node.commit);
            node.low_water = fx.machine.low_water();
        }
        let role = Role::Follower { deadline: node.election_deadline() };
        Core { node, role }
    }

    /// Takes one input.
    pub fn step<M: Machine>(&mut self, now: Now, input: Input, machine: &mut M, out: &mut Vec<Output>) {
        self.step_all(now, [input], machine, out);
    }

    /// Takes several inputs that are there at once, and lets them share their effects.
    pub fn step_all<M: Machine>(
        &mut self,
        now: Now,
        inputs: impl IntoIterator<Item = Input>,
        machine: &mut M,
        out: &mut Vec<Output>,
    ) {
        let before = self.node.now.boottime;
        self.node.now = Now { boottime: now.boottime.max(before), wall: now.wall };
        let fx = &mut Effects { machine, out };
        if !self.node.failed {
            self.tick(fx);
        }
        for input in inputs {
            if self.node.failed {
                return;
            }
            self.handle(input, fx);
        }
        if !self.node.failed {
            self.flush(fx);
        }
    }

    /// Before this, `Input::Tick` would do nothing.
    pub fn next_deadline(&self) -> Nanos {
        let node = &self.node;
        if node.failed {
            return Nanos::MAX;
        }
        let role = match &self.role {
            Role::Follower { deadline } if node.may_stand() => *deadline,
            Role::Follower { .. } => Nanos::MAX,
            Role::Candidate(candidate) => candidate.deadline(),
            Role::Leader(leader) => leader.deadline(),
        };
        let lapses = [node.leases.next_lapse_held(), node.leases.next_lapse_made(node.clock())];
        lapses.into_iter().flatten().fold(role.min(node.heartbeat_due), Nanos::min)
    }

    /// What readers need. Publish it after each step, before the step's messages leave.
    pub fn read_view(&self) -> ReadView {
        let node = &self.node;
        let lease_until = match (node.stopped || node.failed, node.config.sabotage.lease_unchecked) {
            (true, _) => 0,
            (_, true) => Nanos::MAX,
            _ => node.leases.until(),
        };
        ReadView {
            last: node.log.last(),
            lease_until: if node.is_region() { lease_until } else { 0 },
            lease_epoch: node.leases.epoch(),
            commit: node.commit,
            term: node.term,
            leader: node.leader,
        }
    }

    pub fn status(&self) -> Status {
        let node = &self.node;
        let view = self.read_view();
        let leader = match &self.role {
            Role::Leader(leader) => Some(leader),
            _ => None,
        };
        let durable_of = |contact: &Contact| {
            leader
                .and_then(|leader| leader.peers.iter().find(|peer| peer.node == contact.node))
                .map_or(contact.settled, |peer| peer.durable)
        };
        Status {
            role: match (&self.role, node.kind) {
                (_, NodeKind::Witness) => "witness",
                (Role::Follower { .. }, _) => "follower",
                (Role::Candidate(_), _) => "candidate",
                (Role::Leader(_), _) => "leader",
            },
            term: node.term,
            leader: node.leader,
            last: node.log.last(),
            durable: node.disk.durable(),
            commit: node.commit.index,
            leader_commit: node.leader_commit,
            applied: node.applied,
            base: node.log.base(),
            lease_until: view.lease_until,
            lease_epoch: view.lease_epoch,
            promises_made: node.leases.made(),
            witness_engaged: leader.is_some_and(|leader| leader.engagement.is_engaged()),
            peers: node
                .contacts
                .iter()
                .map(|contact| PeerStatus {
                    node: contact.node,
                    durable: durable_of(contact),
                    heard_at: contact.heard_at.unwrap_or(0),
                    rtt: contact.round_trip,
                })
                .collect(),
        }
    }

    // ---- inputs

    fn handle<M: Machine>(&mut self, input: Input, fx: &mut Effects<'_, M>) {
        let node = &mut self.node;
        match input {
            Input::Tick => {}
            Input::Receive(message) => self.receive(message, fx),
            Input::Propose(proposal) => {
                let id = proposal.id;
                let ours = id.region == node.me && id.boot == node.boot && node.is_region();
                let fits = proposal.payload.len() <= node.config.payload_max;
                if !ours || !fits || node.stopped || !node.proposals.open(proposal, node.now.boottime) {
                    fx.out.push(Output::Resolved { id, outcome: Outcome::NotSent });
                }
            }
            Input::Persisted(ticket) => self.persisted(ticket, fx),
            Input::Loaded { ticket, entries } => {
                if node.fetch_load.as_ref().is_some_and(|load| load.ticket == ticket) {
                    election::on_fetch_loaded(node, fx, entries);
                } else if let Role::Leader(leader) = &mut self.role {
                    leader.on_loaded(node, fx, ticket, entries);
                }
            }
            Input::Applied(index) => node.applied = node.applied.max(index.min(node.apply_sent)),
            Input::ReadIndex { id } => {
                let last = node.log.last();
                if node.leases.valid(node.clock()) && !node.stopped {
                    fx.out.push(Output::ReadReady { id, position: Some(last) });
                } else if node.leader.is_none_or(|leader| leader == node.me) || node.stopped {
                    fx.out.push(Output::ReadReady { id, position: None });
                } else {
                    node.reads.open(id, node.now.boottime);
                }
            }
            Input::Connected(peer) => {
                let now = node.clock();
                if let Some(contact) = node.contact_mut(peer) {
                    contact.greet = true;
                }
                if node.leader == Some(peer) {
                    node.proposals.offer_all();
                    node.reads.ask_again(now, 0);
                }
                if let Role::Leader(leader) = &mut self.role
                    && let Some(peer) = leader.peer(peer)
                {
                    peer.silenced(now);
                }
            }
            Input::HandOver(to) => {
                if let Role::Leader(leader) = &mut self.role {
                    leader.start_hand_over(node, to);
                }
            }
            Input::Stop => self.stop(fx),
        }
    }

    fn persisted<M: Machine>(&mut self, ticket: Ticket, fx: &mut Effects<'_, M>) {
        let node = &mut self.node;
        let before = node.disk.durable();
        let base = node.disk.completed(ticket);
        if let Some(base) = base
            && base.index > node.base_durable
        {
            node.base_durable = base.index;
            fx.out.push(Output::Prune { keep_from: base.index.next() });
        }
        node.ack_due |= node.disk.durable() > before || base.is_some();
        node.release(ticket, fx.out);
    }

    fn stop<M: Machine>(&mut self, fx: &mut Effects<'_, M>) {
        let node = &mut self.node;
        if node.stopped {
            return;
        }
        node.stopped = true;
        node.leases.drop_held();
        for id in node.reads.end_all() {
            fx.out.push(Output::ReadReady { id, position: None });
        }
        let to: Vec<NodeId> = node.contacts.iter().map(|contact| contact.node).collect();
        if node.is_region() {
            to.iter().for_each(|to| node.send(*to, Body::LeaseRelease, fx.out));
        }
        if let Role::Leader(leader) = &mut self.role {
            let other =
                node.contacts.iter().find(|contact| contact.kind == NodeKind::Region).map(|contact| contact.node);
            leader.start_hand_over(node, other.expect("the roster has another region"));
        }
    }

    // ---- roles

    /// Follows, in a later term if one is given.
    pub(crate) fn follow<M: Machine>(&mut self, term: Option<Term>, fx: &mut Effects<'_, M>) {
        let node = &mut self.node;
        if matches!(self.role, Role::Leader(_)) {
            fx.event(Event::SteppedDown { term: node.term });
            fx.machine.leading(node.now, node.term, false);
            node.leader = None;
            node.proposals.offer_all();
        }
        if let Some(term) = term {
            node.enter_term(term);
        }
        if term.is_some() || !matches!(self.role, Role::Follower { .. }) {
            self.role = Role::Follower { deadline: node.election_deadline() };
        }
    }

    pub(crate) fn stand<M: Machine>(&mut self, fx: &mut Effects<'_, M>) {
        self.role = Role::Candidate(Candidate::stand(&mut self.node, fx));
    }

    pub(crate) fn proceed<M: Machine>(&mut self, progress: candidate::Progress, fx: &mut Effects<'_, M>) {
        match progress {
            candidate::Progress::Waiting => {}
            candidate::Progress::Elected => self.lead(fx),
            candidate::Progress::Abandoned => self.follow(None, fx),
        }
    }

    fn lead<M: Machine>(&mut self, fx: &mut Effects<'_, M>) {
        let witness_matched = match &self.role {
            Role::Candidate(candidate) => candidate.witness_matched(),
            _ => None,
        };
        self.role = Role::Leader(Leader::new(&mut self.node, witness_matched, fx));
    }

    // ---- time

    fn tick<M: Machine>(&mut self, fx: &mut Effects<'_, M>) {
        let node = &mut self.node;
        let now = node.clock();
        if now >= node.heartbeat_due {
            node.heartbeat_due = now + node.timing().heartbeat;
            node.beat = true;
            node.low_water = fx.machine.low_water();
            node.review_contacts(fx);
            node.review_waits(fx);
            node.prune(node.low_water, fx.out);
            if let Role::Leader(leader) = &mut self.role
                && !leader.beat(node, fx)
            {
                self.follow(None, fx);
            }
        }
        let node = &mut self.node;
        match &mut self.role {
            Role::Follower { deadline } if now >= *deadline => match node.may_stand() {
                true => {
                    node.leader = None;
                    self.role = Role::Candidate(Candidate::ask(node, fx));
                }
                false => *deadline = node.election_deadline(),
            },
            Role::Candidate(candidate) => {
                let progress = candidate.tick(node, fx);
                self.proceed(progress, fx);
            }
            _ => {}
        }
    }

    // ---- effects

    fn flush<M: Machine>(&mut self, fx: &mut Effects<'_, M>) {
        let node = &mut self.node;
        if let Role::Candidate(candidate) = &self.role
            && candidate.adopted(node, fx)
        {
            self.lead(fx);
        }
        let node = &mut self.node;
        let mut withheld = 0;
        match &mut self.role {
            Role::Leader(leader) => {
                leader.commit(node, fx);
                leader.offer_local(node, fx);
                node.persist(fx.out);
                leader.replicate(node, fx);
                leader.notify_durable(node, fx);
                leader.pursue_hand_over(node, fx);
                withheld = leader.withheld(node);
            }
            Role::Follower { .. } => {
                follower::review_rot(node, fx);
                follower::infer_commit(node, fx);
                node.offer_remote(fx.out);
                node.persist(fx.out);
                follower::acknowledge(node, fx);
            }
            Role::Candidate(standing) => {
                withheld = if standing.stands() { u8::MAX } else { 0 };
                node.persist(fx.out);
            }
        }
        if node.failed {
            return;
        }
        node.apply(fx.out);
        let now = node.clock();
        node.leases.update(&node.log, node.commit.index, now, fx.out);
        node.note_service(now);
        node.serve_reads(fx.out);
        node.send_heartbeats(matches!(self.role, Role::Leader(_)), withheld, fx.out);
    }
}
