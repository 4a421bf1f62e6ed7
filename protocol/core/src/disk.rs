//! What was handed to the journal, and what is on disk for sure.
//!
//! Requests complete in the order in which they were made, later than they were made, and meanwhile the log may have been
//! cut and have grown again over the same indexes. So each request remembers how far the log *of that time* reached, and a
//! cut lowers that memory: a late completion can never vouch for an entry that took the place of the one it wrote.
//!
//! - D1: `durable` is never above an index whose present entry was part of a completed request.
//! - D2: a message that depends on a hard state leaves only after that state's request has completed (`barrier`).
use crate::io::*;
use crate::types::*;
use std::collections::VecDeque;

#[derive(Debug)]
pub(crate) struct Disk {
    /// Entries up to here are part of some request.
    issued: Index,
    durable: Index,
    /// To be part of the next request.
    cut: Option<Position>,
    hard_state: Option<HardState>,
    base: Option<Position>,
    outstanding: VecDeque<Outstanding>,
    next_ticket: u64,
    late_completion_counts: bool,
}

#[derive(Debug)]
struct Outstanding {
    ticket: Ticket,
    /// How far the log of that time reaches into the present log.
    last: Index,
    hard_state: bool,
    base: Option<Position>,
}

impl Disk {
    pub fn new(last: Index, sabotage: &Sabotage) -> Disk {
        Disk {
            issued: last,
            durable: last,
            cut: None,
            hard_state: None,
            base: None,
            outstanding: VecDeque::new(),
            next_ticket: 1,
            late_completion_counts: sabotage.late_completion_counts,
        }
    }

    pub fn durable(&self) -> Index {
        self.durable
    }

    pub fn issued(&self) -> Index {
        self.issued
    }

    pub fn ticket(&mut self) -> Ticket {
        let ticket = Ticket(self.next_ticket);
        self.next_ticket += 1;
        ticket
    }

    /// The next request carries this term and vote.
    pub fn set_hard_state(&mut self, hard_state: HardState) {
        self.hard_state = Some(hard_state);
    }

    /// The log ends at `to` now.
    pub fn cut(&mut self, to: Position) {
        if !self.late_completion_counts {
            for request in &mut self.outstanding {
                request.last = request.last.min(to.index);
            }
        }
        self.durable = self.durable.min(to.index);
        if self.issued > to.index {
            self.issued = to.index;
            self.cut = Some(to);
        }
    }

    /// The witness's log begins at `base` now. If it also *ends* there, everything handed over before is void.
    pub fn set_base(&mut self, base: Position, jumped: bool) {
        self.base = Some(base);
        if jumped {
            self.issued = base.index;
        }
    }

    /// Whether there is anything to write. `last` is where the log ends.
    pub fn dirty(&self, last: Index) -> bool {
        self.hard_state.is_some() || self.cut.is_some() || self.base.is_some() || self.issued < last
    }

    /// Turns what is to be written into a request; `entries` are those above `issued`, to the end of the log.
    pub fn request(&mut self, entries: Vec<Entry>, last: Index) -> Persist {
        let ticket = self.ticket();
        let persist = Persist {
            ticket,
            hard_state: self.hard_state.take(),
            truncate: self.cut.take(),
            entries,
            base: self.base.take(),
        };
        self.issued = last;
        self.outstanding.push_back(Outstanding {
            ticket,
            last,
            hard_state: persist.hard_state.is_some(),
            base: persist.base,
        });
        persist
    }

    /// Everything up to `ticket` is on disk. Returns the last base among it.
    pub fn completed(&mut self, ticket: Ticket) -> Option<Position> {
        let mut base = None;
        while let Some(request) = self.outstanding.front() {
            if request.ticket > ticket {
                break;
            }
            self.durable = self.durable.max(request.last);
            base = request.base.or(base);
            self.outstanding.pop_front();
        }
        base
    }

    /// The request that must complete before anything of the present term may be said, if one must (D2).
    pub fn barrier(&self) -> Option<Ticket> {
        if self.hard_state.is_some() {
            return Some(Ticket(self.next_ticket));
        }
        self.outstanding.iter().rev().find(|request| request.hard_state).map(|request| request.ticket)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn disk() -> Disk {
        Disk::new(Index(0), &Sabotage::default())
    }

    #[test]
    fn a_late_completion_never_vouches_for_a_replaced_entry() {
        let mut disk = disk();
        let first = disk.request(vec![], Index(10)).ticket;
        disk.cut(Position::new(1, 7));
        let second = disk.request(vec![], Index(10)).ticket;
        disk.completed(first);
        assert_eq!(disk.durable(), Index(7), "entries 8 to 10 are other entries now");
        disk.completed(second);
        assert_eq!(disk.durable(), Index(10));
    }

    #[test]
    fn a_cut_that_was_never_written_needs_no_request() {
        let mut disk = disk();
        assert!(disk.dirty(Index(3)));
        disk.cut(Position::new(1, 0));
        assert!(!disk.dirty(Index(0)));
    }

    #[test]
    fn completions_cover_everything_before_them() {
        let mut disk = disk();
        disk.request(vec![], Index(4));
        disk.request(vec![], Index(5));
        let third = disk.request(vec![], Index(6)).ticket;
        disk.completed(third);
        assert_eq!(disk.durable(), Index(6));
        disk.completed(third);
        assert_eq!(disk.durable(), Index(6));
    }

    #[test]
    fn nothing_is_said_before_the_hard_state_is_on_disk() {
        let mut disk = disk();
        assert_eq!(disk.barrier(), None);
        disk.set_hard_state(HardState { term: Term(2), voted_for: None });
        let barrier = disk.barrier();
        let ticket = disk.request(vec![], Index(0)).ticket;
        assert_eq!(barrier, Some(ticket));
        disk.request(vec![], Index(1));
        assert_eq!(disk.barrier(), Some(ticket));
        disk.completed(ticket);
        assert_eq!(disk.barrier(), None);
    }
}
