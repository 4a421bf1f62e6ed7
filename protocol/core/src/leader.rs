//! Leading: deciding on proposals, bringing the log to the others, and committing.
//!
//! - R1: an append leaves while our own disk still writes; what it says of our disk is only what is on it.
//! - R2: a node that is not heard is sent nothing but heartbeats; one that is heard again is probed at once.
//! - R3: a leader that has had no answer from anyone for as long as an election takes gives up leading, since nobody
//!   else would start one while it is heard.
//! - R4: a region without a promise gets one only once it is near our log's end, since from then on every commit waits for
//!   it; or once it comes no nearer, since then only that wait lets it. One that acknowledges nothing has none.
use crate::codec::proposal_checksum;
use crate::commit::{Voter, committable};
use crate::contact::Contact;
use crate::ejection::{Change, Looks};
use crate::io::*;
use crate::machine::{Machine, Verdict};
use crate::message::*;
use crate::node::{Effects, Node};
use crate::progress::Progress;
use crate::proposals::{Admission, Intake};
use crate::types::*;
use crate::witness::Engagement;
use bytes::Bytes;

/// Most entries of one append.
const APPEND_ENTRIES_MAX: usize = 1024;
/// A region's report of what it still needs is good for this long.
const LOW_WATER_EXPIRES: Nanos = 10_000 * MILLISECOND;

#[derive(Debug)]
pub(crate) struct Leader {
    pub peers: Vec<Progress>,
    intake: Vec<Intake>,
    pub engagement: Engagement,
    since: Nanos,
    /// When to tell the regions about our disk, if no append has by then.
    durable_notice_due: Option<Nanos>,
    hand_over: Option<HandOver>,
}

/// How far a follower says that it is.
#[derive(Debug)]
pub(crate) struct Ack {
    pub received: Index,
    pub durable: Index,
    pub mask: u8,
    /// Its boot and token.
    pub said_at: (Boot, Nanos),
    /// The newest token of ours that it had seen, if this answers an append.
    pub answers: Option<Nanos>,
}

/// Why a follower did not take an append in.
#[derive(Debug)]
pub(crate) struct Reject {
    pub previous: Position,
    pub last: Position,
    pub term_starts: Vec<Position>,
    pub missing_payload: Option<ProposalId>,
}

#[derive(Debug)]
struct HandOver {
    to: NodeId,
    until: Nanos,
    asked: bool,
}

impl Leader {
    /// Takes the lead of the node's term. The log is complete already; the witness's equals it up to `witness_matched`, if that
    /// is known.
    pub fn new<M: Machine>(node: &mut Node, witness_matched: Option<Index>, fx: &mut Effects<'_, M>) -> Leader {
        let now = node.clock();
        let next = node.log.last().index.next();
        let sabotage = node.config.sabotage;
        fx.event(Event::BecameLeader { term: node.term });
        node.leader = Some(node.me);
        node.matched = node.log.last().index;
        fx.machine.leading(node.now, node.term, true);
        let position = Position { term: node.term, index: next };
        node.append(Entry { position, body: EntryBody::NoOp }, fx);
        node.proposals.offer_all();
        node.beat = true;
        let first = |contact: &Contact| match (contact.kind, witness_matched) {
            (NodeKind::Witness, Some(matched)) => matched.next(),
            _ => next,
        };
        Leader {
            peers: node
                .contacts
                .iter()
                .map(|contact| Progress::new(contact, first(contact), next.previous(), now))
                .collect(),
            intake: node.contacts.iter().map(|contact| Intake::new(contact.node, &sabotage)).collect(),
            engagement: Engagement::default(),
            since: now,
            durable_notice_due: None,
            hand_over: None,
        }
    }

    pub fn deadline(&self) -> Nanos {
        self.durable_notice_due.unwrap_or(Nanos::MAX)
    }

    pub fn peer(&mut self, node: NodeId) -> Option<&mut Progress> {
        self.peers.iter_mut().find(|peer| peer.node == node)
    }

    // ---- proposals

    fn has_room(&self, node: &Node) -> bool {
        self.hand_over.is_none() && !node.stopped && node.uncommitted_weight < node.config.uncommitted_bytes_max
    }

    /// Certifies, and appends if the machine agrees.
    fn decide<M: Machine>(&mut self, node: &mut Node, fx: &mut Effects<'_, M>, proposal: &Proposal) -> Verdict {
        let at = Position { term: node.term, index: node.log.last().index.next() };
        let verdict = fx.machine.certify(node.now, at, proposal);
        if let Verdict::Append { header } = &verdict {
            let body = EntryBody::Record { header: header.clone(), proposal: proposal.clone() };
            node.append(Entry { position: at, body }, fx);
        }
        verdict
    }

    /// Decides on this region's own proposals, while there is room.
    pub fn offer_local<M: Machine>(&mut self, node: &mut Node, fx: &mut Effects<'_, M>) {
        while self.has_room(node) {
            let Some(proposal) = node.proposals.next_to_send(node.term, node.now.boottime).cloned() else { return };
            let id = proposal.id;
            match self.decide(node, fx, &proposal) {
                Verdict::Append { .. } => {}
                Verdict::Reject { reason } => {
                    if node.proposals.rejected(id.sequence, node.term, &reason, node.commit.term) {
                        fx.out.push(Output::Resolved { id, outcome: Outcome::Rejected { reason } });
                    }
                }
                Verdict::Duplicate { position } => resolve_duplicate(node, fx, id, position),
            }
        }
    }

    /// Another region's proposals, sent in our term.
    pub fn on_propose<M: Machine>(
        &mut self,
        node: &mut Node,
        fx: &mut Effects<'_, M>,
        from: NodeId,
        boot: Boot,
        proposals: Vec<Proposal>,
        lowest: u64,
    ) {
        let Some(place) = self.intake.iter().position(|intake| intake.region == from) else { return };
        self.intake[place].settle(boot, lowest);
        for proposal in proposals {
            let id = proposal.id;
            if id.region != from || id.boot != boot || proposal.payload.len() > node.config.payload_max {
                fx.event(Event::Ignored { from, reason: "a proposal that is not its sender's, or too large" });
                continue;
            }
            let answer = match self.intake[place].admit(boot, id.sequence) {
                Admission::Late => continue,
                Admission::Known(verdict) => verdict,
                Admission::New if !self.has_room(node) => VerdictMessage::Bounced,
                Admission::New => {
                    let at = node.log.last().index.next();
                    let answer = match self.decide(node, fx, &proposal) {
                        Verdict::Append { .. } => {
                            let position = Position { term: node.term, index: at };
                            self.intake[place].decided(id.sequence, VerdictMessage::Duplicate { position });
                            continue; // the append tells
                        }
                        Verdict::Reject { reason } => VerdictMessage::Rejected { reason },
                        Verdict::Duplicate { position } => VerdictMessage::Duplicate { position },
                    };
                    self.intake[place].decided(id.sequence, answer.clone());
                    answer
                }
            };
            node.send(from, Body::Verdict { id, verdict: answer }, fx.out);
        }
    }

    // ---- replication

    /// An acknowledgement of our term, explicit or by heartbeat.
    pub fn on_ack<M: Machine>(&mut self, node: &mut Node, fx: &mut Effects<'_, M>, from: NodeId, ack: Ack) {
        let Ack { received, durable, mask, said_at: (boot, token), answers } = ack;
        if received > node.log.last().index || durable > received {
            fx.event(Event::Ignored { from, reason: "it acknowledges more than was sent" });
            return;
        }
        let now = node.clock();
        let Some(peer) = self.peer(from) else { return };
        peer.acknowledged(received, durable, answers, now);
        peer.masked(mask, boot, token);
    }

    pub fn on_reject<M: Machine>(&mut self, node: &mut Node, fx: &mut Effects<'_, M>, from: NodeId, reject: Reject) {
        let Reject { previous, last, term_starts, missing_payload } = reject;
        let now = node.clock();
        let end = node.log.last().index;
        let base = node.log.base().index;
        self.engagement.begin_at(node.log.base());
        let window = self.engagement.base().index;
        let Some(peer) = self.peers.iter_mut().find(|peer| peer.node == from) else { return };
        if missing_payload.is_some() {
            // everything before it was taken in
            if node.log.contains(previous) && previous.index >= peer.received {
                peer.full_until = end;
                peer.probe(previous.index.next(), now);
            }
            return;
        }
        if !peer.rejects(previous) {
            return;
        }
        if !term_starts.windows(2).all(|pair| pair[0].index < pair[1].index) {
            fx.event(Event::Ignored { from, reason: "its terms are out of order" });
            return;
        }
        let reported = Position { index: last.index.min(previous.index), ..last };
        let mut matched = match node.log.match_point(reported, &term_starts) {
            Some(matched) => matched,
            None => term_starts.first().map_or(Index(0), |start| start.index.previous()),
        };
        if peer.kind == NodeKind::Witness {
            matched = matched.max(window);
        }
        if matched < base {
            if !peer.too_far_behind {
                peer.too_far_behind = true;
                fx.event(Event::TooFarBehind { node: from });
            }
            matched = base;
        }
        peer.probe(matched.next(), now);
    }

    /// Sends whatever may leave, to whomever hears.
    pub fn replicate<M: Machine>(&mut self, node: &mut Node, fx: &mut Effects<'_, M>) {
        let now = node.clock();
        for peer in &mut self.peers {
            let Some(contact) = node.contact(peer.node) else { continue };
            peer.notice_boot(contact.boot, now);
            let boot = contact.boot;
            if contact.is_silent(node.timing(), now) {
                continue; // R2
            }
            if peer.kind == NodeKind::Witness {
                if !self.engagement.is_engaged() {
                    continue;
                }
                let base = self.engagement.base();
                if peer.received < base.index
                    && peer.is_probing()
                    && peer.may_send(node.log.last().index, usize::MAX / 16)
                {
                    node.send(peer.node, Body::Window { base }, fx.out);
                    if peer.next <= base.index {
                        peer.probe(base.index.next(), now);
                    }
                }
            }
            while peer.load.is_none() && peer.may_send(node.log.last().index, node.config.append_bytes_max) {
                let Some(previous) = node.log.position_at(peer.next.previous()) else {
                    // only a reject brings us here, and it is answered by one
                    break;
                };
                if peer.next < node.log.cached_from() {
                    if now >= peer.load_retry_at {
                        let ticket = node.disk.ticket();
                        peer.load = Some(ticket);
                        let to = node.log.cached_from().previous();
                        let bytes_max = node.config.append_bytes_max;
                        fx.out.push(Output::Load { ticket, from: peer.next, to, bytes_max });
                    }
                    break;
                }
                let entries = node.log.cached_above(previous.index);
                let (entries, bytes) = batch(peer, boot, entries, node.config.append_bytes_max);
                send_append(node, fx, peer, previous, entries, bytes);
            }
        }
    }

    /// The journal has read entries for a peer.
    pub fn on_loaded<M: Machine>(
        &mut self,
        node: &mut Node,
        fx: &mut Effects<'_, M>,
        ticket: Ticket,
        entries: Vec<Entry>,
    ) -> bool {
        let now = node.clock();
        let Some(peer) = self.peers.iter_mut().find(|peer| peer.load == Some(ticket)) else { return false };
        peer.load = None;
        let fits = entries.first().is_some_and(|entry| entry.index() == peer.next)
            && entries.iter().all(|entry| node.log.contains(entry.position));
        let (true, Some(previous)) = (fits, node.log.position_at(peer.next.previous())) else {
            peer.load_retry_at = now + node.timing().heartbeat;
            return true;
        };
        let boot = node.contact(peer.node).map_or(Boot(0), |contact| contact.boot);
        let (entries, bytes) = batch(peer, boot, entries.iter(), node.config.append_bytes_max);
        send_append(node, fx, peer, previous, entries, bytes);
        true
    }

    // ---- commit

    pub fn commit<M: Machine>(&mut self, node: &mut Node, fx: &mut Effects<'_, M>) {
        let sabotage = node.config.sabotage;
        let own = if sabotage.gate_ignores_masks || sabotage.gate_ignores_own_mask { 0 } else { u8::MAX };
        let others = if sabotage.gate_ignores_masks || sabotage.gate_ignores_other_masks { 0 } else { u8::MAX };
        let mut voters = [Voter { durable: Index(0), mask: 0, leads: false }; 8];
        voters[node.place as usize] =
            Voter { durable: node.disk.durable(), mask: own & node.leases.mask(node.clock()), leads: true };
        for peer in &self.peers {
            voters[peer.place as usize] = Voter { durable: peer.durable, mask: others & peer.mask, leads: false };
        }
        let upto = committable(&voters[..node.config.roster.len()]);
        if upto > node.commit.index && (node.log.term_at(upto) == Some(node.term) || sabotage.count_older_terms) {
            node.advance_commit(upto, fx);
        }
    }

    /// Tells the regions about our disk, unless an append is about to.
    pub fn notify_durable<M: Machine>(&mut self, node: &mut Node, fx: &mut Effects<'_, M>) {
        let now = node.clock();
        let durable = node.disk.durable();
        let untold = |peer: &&mut Progress| {
            peer.kind == NodeKind::Region
                && peer.told_durable < durable
                && node.contact(peer.node).is_some_and(|contact| !contact.is_silent(node.timing(), now))
        };
        let mut untold = self.peers.iter_mut().filter(untold).peekable();
        if untold.peek().is_none() {
            self.durable_notice_due = None;
            return;
        }
        let due = *self.durable_notice_due.get_or_insert(now + node.timing().durable_notice_delay);
        if now >= due {
            self.durable_notice_due = None;
            for peer in untold {
                peer.told_durable = durable;
                let mask = node.leases.mask(now);
                let body = Body::Durable { index: durable, commit: node.commit.index, mask };
                node.send_now(peer.node, body, fx.out);
            }
        }
    }

    // ---- once a heartbeat

    /// False if this node must give up leading (R3).
    pub fn beat<M: Machine>(&mut self, node: &mut Node, fx: &mut Effects<'_, M>) -> bool {
        let now = node.clock();
        let last = node.log.last().index;
        let answer_after = node.answer_after();
        for peer in &mut self.peers {
            let Some(contact) = node.contact(peer.node) else { continue };
            match contact.is_silent(node.timing(), now) {
                true => peer.silenced(now),
                false => peer.check_timeout(now, answer_after),
            }
            peer.mark(last, now);
            peer.told_durable = node.disk.durable(); // the heartbeat says it
        }
        self.review_engagement(node, fx);
        self.review_ejections(node, fx);
        self.spread_low_water(node, fx);
        if self.hand_over.as_ref().is_some_and(|hand_over| now >= hand_over.until) {
            self.hand_over = None;
        }
        let answered = node.contacts.iter().filter(|contact| {
            let alive = contact.echoed.unwrap_or(0).max(self.since);
            now.saturating_sub(alive) < node.timing().election_min
        });
        answered.count() as u32 + 1 >= node.majority()
    }

    /// Has the witness keep the log if a region may soon be without it (W2).
    pub fn review_engagement<M: Machine>(&mut self, node: &mut Node, fx: &mut Effects<'_, M>) {
        self.engagement.review(node, &mut self.peers, fx);
    }

    /// Goes on without a region that holds everybody up (`ejection`).
    fn review_ejections<M: Machine>(&mut self, node: &Node, fx: &mut Effects<'_, M>) {
        let now = node.clock();
        let timing = node.timing();
        let witnesses = || node.contacts.iter().filter(|contact| contact.kind == NodeKind::Witness);
        let witness_is_heard = witnesses().any(|witness| !witness.is_silent(timing, now));
        for peer in self.peers.iter_mut().filter(|peer| peer.kind == NodeKind::Region) {
            let Some(contact) = node.contact(peer.node) else { continue };
            let looks = Looks {
                is_promised: node.leases.is_promised(peer.node, contact.boot, now),
                is_silent: contact.is_silent(timing, now),
                stands_still: peer.stands_still(now, timing.eject_after.max(4 * contact.round_trip)),
                is_near: peer.is_near(now, contact.patience(timing)),
                witness_is_heard,
            };
            match peer.ejection.review(looks, now, timing) {
                Some(Change::Ejected) => fx.event(Event::RegionEjected { node: peer.node }),
                Some(Change::Readmitted) => fx.event(Event::RegionReadmitted { node: peer.node }),
                None => {}
            }
        }
    }

    fn spread_low_water<M: Machine>(&self, node: &mut Node, fx: &mut Effects<'_, M>) {
        let now = node.clock();
        let reports = node.contacts.iter().filter(|contact| contact.kind == NodeKind::Region).filter_map(|contact| {
            match contact.low_water_at {
                Some(at) if now.saturating_sub(at) < LOW_WATER_EXPIRES => Some(contact.low_water),
                // not heard yet: it may need anything
                None if now.saturating_sub(self.since) < LOW_WATER_EXPIRES => Some(Index(0)),
                _ => None,
            }
        });
        let lowest = reports.fold(node.low_water, Index::min);
        fx.machine.low_water_of_all(lowest);
    }

    /// The places of the regions that are promised nothing for now (R4).
    pub fn withheld(&mut self, node: &Node) -> u8 {
        let now = node.clock();
        let last = node.log.last().index;
        let timing = node.timing();
        let mut places = 0;
        for peer in self.peers.iter_mut().filter(|peer| peer.kind == NodeKind::Region) {
            let Some(contact) = node.contact(peer.node) else { continue };
            let window = 20 * timing.heartbeat + 8 * contact.round_trip;
            if peer.ejection.is_ejected() {
                peer.ends_approach();
                places |= 1 << peer.place;
                continue;
            }
            // what has acknowledged nothing for so long may be rotten, and then waits for an entry that waits for it
            if peer.durable == Index(0) && now.saturating_sub(self.since) >= window {
                places |= 1 << peer.place;
                continue;
            }
            if node.leases.is_promised(peer.node, contact.boot, now) || contact.is_silent(timing, now) {
                peer.ends_approach();
                continue;
            }
            if peer.is_approaching(last, now, contact.patience(timing), window) {
                places |= 1 << peer.place;
            }
        }
        places
    }

    // ---- handing over

    pub fn start_hand_over(&mut self, node: &Node, to: NodeId) {
        let region = node.contact(to).is_some_and(|contact| contact.kind == NodeKind::Region);
        if region {
            self.hand_over = Some(HandOver { to, until: node.clock() + node.timing().election_min, asked: false });
        }
    }

    /// Asks the region to stand as soon as it has everything on its disk.
    pub fn pursue_hand_over<M: Machine>(&mut self, node: &mut Node, fx: &mut Effects<'_, M>) {
        let Some(hand_over) = &mut self.hand_over else { return };
        let level = self.peers.iter().any(|peer| peer.node == hand_over.to && peer.durable == node.log.last().index);
        if level && !hand_over.asked {
            hand_over.asked = true;
            node.send(hand_over.to, Body::TimeoutNow, fx.out);
        }
    }
}

/// The entries of the next append, and their weight.
fn batch<'a>(
    peer: &Progress,
    boot: Boot,
    entries: impl Iterator<Item = &'a Entry>,
    bytes_max: usize,
) -> (Vec<AppendEntry>, usize) {
    let mut list = Vec::new();
    let mut bytes = 0;
    for entry in entries.take(APPEND_ENTRIES_MAX) {
        let weight = entry.weight();
        if !list.is_empty() && bytes + weight > bytes_max {
            break;
        }
        bytes += weight;
        list.push(as_append_entry(peer, boot, entry));
    }
    (list, bytes)
}

/// In full, or, if the receiver proposed it in its present boot, by reference.
fn as_append_entry(peer: &Progress, boot: Boot, entry: &Entry) -> AppendEntry {
    if let EntryBody::Record { header, proposal } = &entry.body
        && proposal.id.region == peer.node
        && proposal.id.boot == boot
        && entry.index() > peer.full_until
    {
        let header = Bytes::clone(header);
        return AppendEntry::Reference {
            position: entry.position,
            header,
            id: proposal.id,
            crc: proposal_checksum(proposal),
        };
    }
    AppendEntry::Full(entry.clone())
}

fn send_append<M: Machine>(
    node: &mut Node,
    fx: &mut Effects<'_, M>,
    peer: &mut Progress,
    previous: Position,
    entries: Vec<AppendEntry>,
    bytes: usize,
) {
    let last = Index(previous.index.0 + entries.len() as u64);
    let durable = node.disk.durable(); // R1
    let body = Body::Append { previous, entries, commit: node.commit.index, durable };
    peer.sent(last, bytes, node.clock());
    peer.told_durable = durable;
    node.send(peer.node, body, fx.out);
}

/// The id is in the log already: it ends when that position commits, which is perhaps now.
pub(crate) fn resolve_duplicate<M: Machine>(
    node: &mut Node,
    fx: &mut Effects<'_, M>,
    id: ProposalId,
    position: Position,
) {
    let committed =
        position.index <= node.commit.index && node.log.term_at(position.index).is_none_or(|t| t == position.term);
    if committed && node.proposals.close(id.sequence) {
        fx.out.push(Output::Resolved { id, outcome: Outcome::Committed(position) });
    }
}
