//! A message from another node: who may say it, what its envelope tells, and whom it is for.
//!
//! In this order: is it from a node of the roster, for us, and of a kind that such nodes say; is it of the sender's newest
//! boot; does it bring a later term (then we follow); does it carry a promise; then the body. What only the leader of our
//! term may say is heard in our term alone; so is what only we, leading it, may be told.
use crate::core::{Core, Role};
use crate::election;
use crate::follower;
use crate::io::*;
use crate::leader::{self, Ack, Reject};
use crate::machine::Machine;
use crate::message::*;
use crate::node::{Effects, Node};
use crate::types::*;

/// A message whose term is this far ahead was not sent by a correct node.
const TERM_JUMP_MAX: u64 = 1 << 32;

impl Core {
    pub(crate) fn receive<M: Machine>(&mut self, message: Message, fx: &mut Effects<'_, M>) {
        let node = &mut self.node;
        let from = message.from;
        let ignored = |reason| Output::Event(Event::Ignored { from, reason });
        let now = node.now.boottime;
        let (me, boot, kind) = (node.me, node.boot, node.kind);
        if message.to != me {
            return fx.out.push(ignored("it is for somebody else"));
        }
        let Some(contact) = node.contact_mut(from) else {
            return fx.out.push(ignored("its sender is not in the roster"));
        };
        if !may_say(contact.kind, &message.body) || !may_hear(kind, &message.body) {
            return fx.out.push(ignored("a node of this kind does not say or hear this"));
        }
        if !contact.heard(&message, boot, now) {
            return;
        }
        let echo = message.echo.filter(|(echoed, _)| *echoed == boot).map(|(_, token)| token);
        if message.term > node.term {
            if message.term.0 - node.term.0 > TERM_JUMP_MAX {
                return fx.out.push(ignored("its term is absurd"));
            }
            self.follow(Some(message.term), fx);
        }
        let node = &mut self.node;
        if let Some(promise) = &message.promise
            && kind == NodeKind::Region
            && !node.stopped
            && (node.rotten_up_to.is_none() || node.config.sabotage.rot_holds_leases)
        {
            let timing = node.config.timing;
            node.leases.take(from, promise, boot, now, &timing);
        }
        let current = message.term == node.term;
        let stamp = (message.boot, message.token);
        match message.body {
            // from the leader of our term
            Body::Heartbeat(Heartbeat { leads: true, received, durable, commit, .. }) => {
                if current && self.hear_leader(from, stamp, fx) {
                    if echo.is_some() {
                        follower::leader_reaches(&mut self.node, received);
                    }
                    follower::leader_stands_at(&mut self.node, durable, commit);
                }
            }
            Body::Append { previous, entries, commit, durable } => {
                if current && self.hear_leader(from, stamp, fx) {
                    follower::leader_stands_at(&mut self.node, durable, commit);
                    follower::on_append(&mut self.node, fx, from, previous, entries);
                }
            }
            Body::Durable { index, commit, .. } => {
                if current && self.hear_leader(from, stamp, fx) {
                    follower::leader_stands_at(&mut self.node, index, commit);
                }
            }
            Body::Window { base } => {
                if current && self.hear_leader(from, stamp, fx) {
                    if base.term > self.node.term {
                        return fx.out.push(ignored("a base of a later term"));
                    }
                    follower::on_window(&mut self.node, base, fx);
                }
            }
            Body::TimeoutNow => {
                if current && self.node.leader == Some(from) && self.node.may_stand() {
                    self.stand(fx);
                }
            }
            // to the leader of our term
            Body::Heartbeat(Heartbeat { leads: false, received, durable, mask, .. }) => {
                if let (true, Role::Leader(leader)) = (current, &mut self.role) {
                    leader.on_ack(node, fx, from, Ack { received, durable, mask, said_at: stamp, answers: None });
                } else if current && node.leader == Some(from) && stamp > node.leader_stamp {
                    self.leader_gave_up();
                }
            }
            Body::AppendAck { durable, received, mask } => {
                if let (true, Role::Leader(leader)) = (current, &mut self.role) {
                    leader.on_ack(node, fx, from, Ack { received, durable, mask, said_at: stamp, answers: echo });
                }
            }
            Body::AppendReject { previous, last, term_starts, missing_payload, .. } => {
                if let (true, Role::Leader(leader)) = (current, &mut self.role) {
                    leader.on_reject(node, fx, from, Reject { previous, last, term_starts, missing_payload });
                }
            }
            Body::Propose { proposals, lowest } => match &mut self.role {
                Role::Leader(leader) if current => leader.on_propose(node, fx, from, message.boot, proposals, lowest),
                _ => {
                    // not leader, or sent in another term: nothing is appended (T4)
                    for proposal in proposals.iter().filter(|proposal| proposal.id.region == from) {
                        let body = Body::Verdict { id: proposal.id, verdict: VerdictMessage::Bounced };
                        node.send(from, body, fx.out);
                    }
                }
            },
            Body::Verdict { id, verdict } => {
                if id.region == me && id.boot == boot {
                    match verdict {
                        VerdictMessage::Rejected { reason } => {
                            if node.proposals.rejected(id.sequence, message.term, &reason, node.commit.term) {
                                fx.out.push(Output::Resolved { id, outcome: Outcome::Rejected { reason } });
                            }
                        }
                        VerdictMessage::Duplicate { position } => leader::resolve_duplicate(node, fx, id, position),
                        VerdictMessage::Bounced => node.proposals.bounced(id.sequence),
                    }
                }
            }
            Body::ReadIndex { id } => {
                let leads = matches!(self.role, Role::Leader(_)) && !node.stopped;
                let position = (leads && node.leases.valid(now)).then(|| node.log.last());
                node.send(from, Body::ReadIndexReply { id, position }, fx.out);
            }
            Body::ReadIndexReply { id, position } => {
                if let Some(id) = node.reads.answered(id, position) {
                    fx.out.push(Output::ReadReady { id, position: None });
                }
            }
            // elections
            Body::PreVote { last } => {
                let leads = matches!(self.role, Role::Leader(_));
                election::on_pre_vote(node, fx, from, last, leads);
            }
            Body::PreVoteReply { granted } => {
                if let (true, Role::Candidate(candidate)) = (current, &mut self.role)
                    && candidate.on_pre_vote_reply(node, from, granted, message.echo)
                {
                    self.stand(fx);
                }
            }
            Body::Vote { last } => {
                if !current {
                    node.send(from, refusal(node), fx.out);
                } else if election::on_vote(node, fx, from, last)
                    && let Role::Follower { deadline } = &mut self.role
                {
                    *deadline = node.election_deadline();
                }
            }
            Body::VoteReply { granted, last, base, term_starts } => {
                if let (true, Role::Candidate(candidate)) = (current, &mut self.role) {
                    let progress = candidate.on_vote_reply(node, fx, from, granted, (last, base, term_starts));
                    self.proceed(progress, fx);
                }
            }
            Body::Fetch { from: first, last } => match current {
                true => election::on_fetch(node, fx, from, first, last),
                false => {
                    let body = Body::FetchReply { previous: Position::ZERO, entries: vec![], last, refused: true };
                    node.send(from, body, fx.out);
                }
            },
            Body::FetchReply { previous, entries, last, refused } => {
                if let (true, Role::Candidate(candidate)) = (current, &mut self.role) {
                    let progress = candidate.on_fetch_reply(node, fx, from, previous, entries, (last, refused));
                    self.proceed(progress, fx);
                }
            }
            Body::LeaseRelease => {
                if node.leases.release(from, message.boot, echo.is_some(), now) {
                    node.ack_due = true;
                }
                if let Role::Leader(leader) = &mut self.role {
                    leader.review_engagement(node, fx);
                }
            }
        }
    }

    /// A message of our term from its leader. False if that cannot be; the node has failed then.
    fn hear_leader<M: Machine>(&mut self, from: NodeId, stamp: (Boot, Nanos), fx: &mut Effects<'_, M>) -> bool {
        let other = self.node.leader.filter(|leader| *leader != from);
        if let Some(other) = other {
            let broken = format!("two leaders in term {}: {other} and {from}", self.node.term.0);
            self.node.fatal(fx, broken);
            return false;
        }
        if !matches!(self.role, Role::Follower { .. }) {
            self.follow(None, fx);
        }
        if self.node.leader.is_none() {
            self.node.leader = Some(from);
            self.node.leader_stamp = stamp;
            self.node.proposals.offer_all();
            self.node.ack_due = true;
            // it can promise us something, and we it, from now on
            self.node.contact_mut(from).expect("the sender was looked up").greet = true;
        }
        self.node.leader_heard_at = Some(self.node.clock());
        self.node.leader_stamp = self.node.leader_stamp.max(stamp);
        self.role = Role::Follower { deadline: self.node.election_deadline() };
        true
    }

    /// The leader of our term says that it leads no more: it had no answers for too long, or it has started anew. There is
    /// nothing to wait for.
    fn leader_gave_up(&mut self) {
        let node = &mut self.node;
        node.leader = None;
        node.leader_heard_at = None;
        if let Role::Follower { deadline } = &mut self.role {
            *deadline = node.now.boottime;
        }
    }
}

fn refusal(node: &Node) -> Body {
    Body::VoteReply { granted: false, last: node.log.last(), base: Position::ZERO, term_starts: Vec::new() }
}

/// A witness never leads, proposes, reads, or stands.
fn may_say(kind: NodeKind, body: &Body) -> bool {
    kind == NodeKind::Region
        || match body {
            Body::Heartbeat(heartbeat) => !heartbeat.leads,
            Body::AppendAck { .. }
            | Body::AppendReject { .. }
            | Body::PreVoteReply { .. }
            | Body::VoteReply { .. }
            | Body::FetchReply { .. } => true,
            _ => false,
        }
}

/// A witness is told nothing but the log, its window, and who stands; a region no window.
fn may_hear(kind: NodeKind, body: &Body) -> bool {
    match kind {
        NodeKind::Region => !matches!(body, Body::Window { .. }),
        NodeKind::Witness => matches!(
            body,
            Body::Heartbeat(_)
                | Body::Append { .. }
                | Body::Window { .. }
                | Body::PreVote { .. }
                | Body::Vote { .. }
                | Body::Fetch { .. }
                | Body::LeaseRelease
        ),
    }
}
