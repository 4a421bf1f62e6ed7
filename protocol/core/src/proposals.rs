//! Proposals of this region that have no outcome yet (the origin's side), and what a leader answered to which (its side).
//!
//! An id means the same bytes for ever, and gets exactly one outcome here:
//!
//! - T4: a rejection is believed only if it is of the term of the latest send, and if no copy sent in an earlier term can
//!   still get into the log: there was none, or an entry of that term or a later one is committed, below which every
//!   log is the same from then on.
//! - T4: a leader decides on an id once in a term. It remembers what it decided until the origin says that it has the
//!   outcome (`lowest`).
//! - T9: *not sent* is said only of a proposal that was neither sent nor appended here.
use crate::io::*;
use crate::message::*;
use crate::types::*;
use bytes::Bytes;
use std::collections::{BTreeMap, BTreeSet};

#[derive(Debug, Default)]
pub(crate) struct Proposals {
    /// By sequence: all are of this region and boot.
    open: BTreeMap<u64, Open>,
    /// Those to offer to the present leader.
    unsent: BTreeSet<u64>,
    /// Every sequence below was declared resolved to a leader.
    announced: u64,
    /// One past the highest sequence seen.
    next: u64,
    rejection_believed_at_once: bool,
}

#[derive(Debug)]
struct Open {
    proposal: Proposal,
    opened_at: Nanos,
    /// Term of the latest send or local offer, and when that was.
    sent: Option<(Term, Nanos)>,
    /// Sent in more terms than one.
    many_terms: bool,
    /// The leader had no room, or was none.
    bounced: bool,
    in_log: Option<Index>,
    /// Rejected in that term, not yet believed.
    rejected: Option<(Term, Bytes)>,
}

impl Proposals {
    pub fn new(sabotage: &Sabotage) -> Proposals {
        Proposals { rejection_believed_at_once: sabotage.rejection_believed_at_once, ..Proposals::default() }
    }

    pub fn is_empty(&self) -> bool {
        self.open.is_empty()
    }

    /// Takes a proposal in; false if its sequence was declared resolved already, so that no leader would look at it.
    /// A second copy of an open proposal changes nothing.
    pub fn open(&mut self, proposal: Proposal, now: Nanos) -> bool {
        let sequence = proposal.id.sequence;
        if sequence < self.announced {
            return false;
        }
        self.next = self.next.max(sequence.saturating_add(1));
        if let std::collections::btree_map::Entry::Vacant(vacant) = self.open.entry(sequence) {
            vacant.insert(Open {
                proposal,
                opened_at: now,
                sent: None,
                many_terms: false,
                bounced: false,
                in_log: None,
                rejected: None,
            });
            self.unsent.insert(sequence);
        }
        true
    }

    pub fn get(&self, sequence: u64) -> Option<&Proposal> {
        self.open.get(&sequence).map(|open| &open.proposal)
    }

    /// There is a new leader, or none: everything that is not in the log is to be offered again.
    pub fn offer_all(&mut self) {
        self.unsent =
            self.open.iter().filter(|(_, open)| open.in_log.is_none()).map(|(sequence, _)| *sequence).collect();
    }

    /// The next proposal to offer in `term`. It counts as sent from here on.
    pub fn next_to_send(&mut self, term: Term, now: Nanos) -> Option<&Proposal> {
        loop {
            let sequence = self.unsent.pop_first()?;
            let Some(open) = self.open.get_mut(&sequence) else { continue };
            if open.in_log.is_some() {
                continue;
            }
            open.many_terms |= open.sent.is_some_and(|(before, _)| before != term);
            open.sent = Some((term, now));
            open.bounced = false;
            open.rejected = None;
            return self.open.get(&sequence).map(|open| &open.proposal);
        }
    }

    pub fn has_unsent(&self) -> bool {
        !self.unsent.is_empty()
    }

    /// Everything below is resolved; said to a leader, who forgets.
    pub fn announce_lowest(&mut self) -> u64 {
        let lowest = self.open.first_key_value().map_or(self.next, |(sequence, _)| *sequence);
        self.announced = self.announced.max(lowest);
        self.announced
    }

    /// An entry with one of our ids is in the log at `index`.
    pub fn appeared(&mut self, sequence: u64, index: Index) {
        if let Some(open) = self.open.get_mut(&sequence) {
            open.in_log = Some(index);
            open.rejected = None;
            self.unsent.remove(&sequence);
        }
    }

    /// The log was cut to `last`.
    pub fn cut(&mut self, last: Index) {
        for (sequence, open) in &mut self.open {
            if open.in_log.is_some_and(|index| index > last) {
                open.in_log = None;
                self.unsent.insert(*sequence);
            }
        }
    }

    /// The proposal is in the log for good: forgets it. False if it was not open.
    pub fn close(&mut self, sequence: u64) -> bool {
        self.unsent.remove(&sequence);
        self.open.remove(&sequence).is_some()
    }

    /// A leader of `term` refused it; `commit_term` is the term of the last committed entry here. True if it is believed,
    /// and so over.
    pub fn rejected(&mut self, sequence: u64, term: Term, reason: &Bytes, commit_term: Term) -> bool {
        let Some(open) = self.open.get_mut(&sequence) else { return false };
        if open.in_log.is_some() || open.sent.is_none_or(|(sent, _)| sent != term) {
            return false;
        }
        if !open.many_terms || commit_term >= term || self.rejection_believed_at_once {
            return self.close(sequence);
        }
        open.rejected = Some((term, reason.clone()));
        false
    }

    /// An entry of `commit_term` is committed: rejections that waited for it are believed now.
    pub fn believe_rejections(&mut self, commit_term: Term) -> Vec<(ProposalId, Bytes)> {
        let ready = |open: &Open| open.rejected.as_ref().is_some_and(|(term, _)| *term <= commit_term);
        let sequences: Vec<u64> = self
            .open
            .iter()
            .filter(|(_, open)| open.in_log.is_none() && ready(open))
            .map(|(sequence, _)| *sequence)
            .collect();
        let take = |sequence: u64| {
            self.unsent.remove(&sequence);
            let open = self.open.remove(&sequence)?;
            Some((open.proposal.id, open.rejected?.1))
        };
        sequences.into_iter().filter_map(take).collect()
    }

    /// A leader had no room for it, or was none: offered again with the next `resend`.
    pub fn bounced(&mut self, sequence: u64) {
        if let Some(open) = self.open.get_mut(&sequence) {
            open.bounced = true;
        }
    }

    /// Offers again what bounced, and what has waited for `after` without being seen in the log.
    pub fn resend(&mut self, now: Nanos, after: Nanos) {
        for (sequence, open) in &self.open {
            let late = open.sent.is_some_and(|(_, at)| now.saturating_sub(at) >= after);
            if open.in_log.is_none() && open.rejected.is_none() && (open.bounced || late) {
                self.unsent.insert(*sequence);
            }
        }
    }

    /// Ends what has waited since before `limit`, counted from no earlier than `unserved_since`.
    pub fn give_up(&mut self, now: Nanos, unserved_since: Nanos, patience: Nanos) -> Vec<(ProposalId, Outcome)> {
        let over = |open: &Open| now.saturating_sub(open.opened_at.max(unserved_since)) >= patience;
        let sequences: Vec<u64> =
            self.open.iter().filter(|(_, open)| over(open)).map(|(sequence, _)| *sequence).collect();
        sequences.into_iter().filter_map(|sequence| self.abandon(sequence)).collect()
    }

    /// Ends one without a verdict.
    pub fn abandon(&mut self, sequence: u64) -> Option<(ProposalId, Outcome)> {
        self.unsent.remove(&sequence);
        let open = self.open.remove(&sequence)?;
        let outcome = match open.sent.is_none() && open.in_log.is_none() {
            true => Outcome::NotSent,
            false => Outcome::Unknown,
        };
        Some((open.proposal.id, outcome))
    }
}

/// A leader's memory of what it answered, for one origin, in its term.
#[derive(Debug)]
pub(crate) struct Intake {
    pub region: NodeId,
    boot: Boot,
    lowest: u64,
    taken: BTreeMap<u64, VerdictMessage>,
    id_taken_twice: bool,
}

#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Admission {
    /// The origin has its outcome: a late copy.
    Late,
    /// Decided before.
    Known(VerdictMessage),
    New,
}

impl Intake {
    pub fn new(region: NodeId, sabotage: &Sabotage) -> Intake {
        Intake { region, boot: Boot(0), lowest: 0, taken: BTreeMap::new(), id_taken_twice: sabotage.id_taken_twice }
    }

    /// The origin's `boot` says that everything below `lowest` is resolved.
    pub fn settle(&mut self, boot: Boot, lowest: u64) {
        if boot > self.boot {
            *self = Intake {
                region: self.region,
                boot,
                lowest: 0,
                taken: BTreeMap::new(),
                id_taken_twice: self.id_taken_twice,
            };
        }
        if boot == self.boot && lowest > self.lowest {
            self.lowest = lowest;
            self.taken = self.taken.split_off(&lowest);
        }
    }

    pub fn admit(&self, boot: Boot, sequence: u64) -> Admission {
        if self.id_taken_twice {
            return Admission::New;
        }
        if boot != self.boot || sequence < self.lowest {
            return Admission::Late;
        }
        match self.taken.get(&sequence) {
            Some(verdict) => Admission::Known(verdict.clone()),
            None => Admission::New,
        }
    }

    pub fn decided(&mut self, sequence: u64, verdict: VerdictMessage) {
        self.taken.insert(sequence, verdict);
    }
}

#[cfg(test)]
#[path = "proposals_test.rs"]
mod tests;
