//! What waits for somebody else: proposals for a leader, reads for its answer, everybody for news of the others.
use crate::io::*;
use crate::machine::Machine;
use crate::message::*;
use crate::node::{Effects, Node};
use crate::reads::Reach;
use crate::types::*;

impl Node {
    /// Whether this node may stand for election: regions only, with a whole log.
    pub fn may_stand(&self) -> bool {
        self.is_region() && self.rotten_up_to.is_none() && !self.stopped
    }

    pub fn review_contacts<M: Machine>(&mut self, fx: &mut Effects<'_, M>) {
        let now = self.clock();
        let timing = *self.timing();
        for contact in &mut self.contacts {
            let silent = contact.is_silent(&timing, now);
            if silent != contact.silent {
                contact.silent = silent;
                fx.event(match silent {
                    true => Event::PeerSilent { node: contact.node },
                    false => Event::PeerBack { node: contact.node },
                });
            }
        }
    }

    /// Sends again what has had no answer, and ends what has waited for too long without anyone who could answer.
    pub fn review_waits<M: Machine>(&mut self, fx: &mut Effects<'_, M>) {
        let now = self.clock();
        let (after, patience) = (self.answer_after(), self.timing().propose_give_up);
        if !self.proposals.is_empty() {
            self.proposals.resend(now, after);
            if let Some(since) = self.unserved_since {
                for (id, outcome) in self.proposals.give_up(now, since, patience) {
                    fx.out.push(Output::Resolved { id, outcome });
                }
            }
        }
        if !self.reads.is_empty() {
            self.reads.ask_again(now, after);
            // Who has waited in vain for that long already does not make the next one wait again.
            let cut_off = self.leader_is_silent()
                && self.unserved_since.is_some_and(|since| now.saturating_sub(since) >= patience);
            for id in self.reads.give_up(now, if cut_off { 0 } else { patience }) {
                fx.out.push(Output::ReadReady { id, position: None });
            }
        }
    }

    fn leader_is_silent(&self) -> bool {
        match self.leader {
            None => true,
            Some(leader) => self.contact(leader).is_some_and(|contact| contact.silent),
        }
    }

    /// Remembers since when nobody could answer a proposal.
    pub fn note_service(&mut self, now: Nanos) {
        let served = self.leader.is_some() && self.leases.valid(now);
        match served {
            true => self.unserved_since = None,
            false => _ = self.unserved_since.get_or_insert(now),
        }
    }

    /// Sends this region's proposals to the leader.
    pub fn offer_remote(&mut self, out: &mut Vec<Output>) {
        let Some(leader) = self.leader.filter(|leader| *leader != self.me) else { return };
        while self.proposals.has_unsent() {
            let mut proposals = Vec::new();
            let mut bytes = 0;
            while bytes < self.config.append_bytes_max {
                let Some(proposal) = self.proposals.next_to_send(self.term, self.now.boottime) else { break };
                bytes += proposal.payload.len() + 64;
                proposals.push(proposal.clone());
            }
            if !proposals.is_empty() {
                let lowest = self.proposals.announce_lowest();
                self.send(leader, Body::Propose { proposals, lowest }, out);
            }
        }
    }

    /// Asks the leader for those that wait without a position, and ends those whose position the log has reached.
    pub fn serve_reads(&mut self, out: &mut Vec<Output>) {
        if self.reads.is_empty() {
            return;
        }
        let (commit, log) = (self.commit.index, &self.log);
        let ready = self.reads.reached(|position| match position.index <= commit || log.contains(position) {
            true => Reach::Here,
            false if position.index > log.last().index => Reach::NotYet,
            false => Reach::Other,
        });
        for (id, position) in ready {
            out.push(Output::ReadReady { id, position: Some(position) });
        }
        if let Some(leader) = self.leader.filter(|leader| *leader != self.me) {
            for id in self.reads.ask_now(self.now.boottime) {
                self.send(leader, Body::ReadIndex { id }, out);
            }
        }
    }
}
