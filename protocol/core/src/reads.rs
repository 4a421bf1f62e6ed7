//! Strong reads without a lease: ask the leader how far its log reaches, and wait until ours reaches as far.
//!
//! Numbers on the wire are of this boot, so that a reply to a former boot's question answers nothing. A reply is good
//! whatever the term: its giver held a valid lease after the question was asked.
use crate::types::*;
use std::collections::BTreeMap;

#[derive(Debug, Default)]
pub(crate) struct Reads {
    open: BTreeMap<u64, Open>,
    /// In the wire number, above the counter.
    boot: u64,
    counter: u64,
}

#[derive(Debug)]
struct Open {
    id: u64,
    opened_at: Nanos,
    /// When it was last sent; `None` if it is to be sent.
    asked_at: Option<Nanos>,
    position: Option<Position>,
}

impl Reads {
    pub fn new(boot: Boot) -> Reads {
        Reads { open: BTreeMap::new(), boot: boot.0 << 32, counter: 0 }
    }

    pub fn is_empty(&self) -> bool {
        self.open.is_empty()
    }

    pub fn open(&mut self, id: u64, now: Nanos) {
        self.counter += 1;
        let number = self.boot | (self.counter & 0xffff_ffff);
        self.open.insert(number, Open { id, opened_at: now, asked_at: None, position: None });
    }

    /// Marks the unasked ones as asked, and returns their numbers.
    pub fn ask_now(&mut self, now: Nanos) -> Vec<u64> {
        let mut numbers = Vec::new();
        for (number, open) in
            self.open.iter_mut().filter(|(_, open)| open.asked_at.is_none() && open.position.is_none())
        {
            open.asked_at = Some(now);
            numbers.push(*number);
        }
        numbers
    }

    /// Asks again what has had no answer for `after`.
    pub fn ask_again(&mut self, now: Nanos, after: Nanos) {
        for open in self.open.values_mut().filter(|open| open.position.is_none()) {
            if open.asked_at.is_some_and(|at| now.saturating_sub(at) >= after) {
                open.asked_at = None;
            }
        }
    }

    /// The leader's answer; `None`: it has no lease either. Returns the id that ends by it.
    pub fn answered(&mut self, number: u64, position: Option<Position>) -> Option<u64> {
        match position {
            None => self.open.remove(&number).map(|open| open.id),
            Some(position) => {
                if let Some(open) = self.open.get_mut(&number) {
                    open.position = Some(position);
                }
                None
            }
        }
    }

    /// Ends those whose position the log has reached; asks again those whose position is gone from it.
    pub fn reached(&mut self, has: impl Fn(Position) -> Reach) -> Vec<(u64, Position)> {
        let mut ready = Vec::new();
        self.open.retain(|_, open| match open.position {
            None => true,
            Some(position) => match has(position) {
                Reach::Here => {
                    ready.push((open.id, position));
                    false
                }
                Reach::NotYet => true,
                Reach::Other => {
                    open.position = None;
                    open.asked_at = None;
                    true
                }
            },
        });
        ready
    }

    /// Ends those that have waited for `patience`.
    pub fn give_up(&mut self, now: Nanos, patience: Nanos) -> Vec<u64> {
        let mut ended = Vec::new();
        self.open.retain(|_, open| {
            let over = now.saturating_sub(open.opened_at) >= patience;
            if over {
                ended.push(open.id);
            }
            !over
        });
        ended
    }

    /// Ends all.
    pub fn end_all(&mut self) -> Vec<u64> {
        std::mem::take(&mut self.open).into_values().map(|open| open.id).collect()
    }
}

/// Where a position lies, seen from a log.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Reach {
    Here,
    NotYet,
    /// Another entry is there.
    Other,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_read_is_asked_again_when_its_position_was_cut() {
        let mut reads = Reads::new(Boot(3));
        reads.open(77, 0);
        let number = reads.ask_now(0)[0];
        assert!(reads.ask_now(0).is_empty(), "asked once");
        assert_eq!(reads.answered(number, Some(Position::new(1, 5))), None);
        assert!(reads.reached(|_| Reach::NotYet).is_empty());
        assert!(reads.reached(|_| Reach::Other).is_empty());
        assert_eq!(reads.ask_now(9), [number]);
        reads.answered(number, Some(Position::new(2, 5)));
        assert_eq!(reads.reached(|_| Reach::Here), [(77, Position::new(2, 5))]);
        assert!(reads.is_empty());
    }

    #[test]
    fn a_reply_to_a_former_boots_question_answers_nothing() {
        let mut before = Reads::new(Boot(3));
        before.open(77, 0);
        let old = before.ask_now(0)[0];
        let mut after = Reads::new(Boot(4));
        after.open(78, 0);
        let new = after.ask_now(0)[0];
        assert_ne!(old, new);
        assert_eq!(after.answered(old, None), None);
        assert_eq!(after.answered(new, None), Some(78));
    }
}
