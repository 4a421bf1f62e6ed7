//! How far a leader has brought one other node, in its term, and what is on its way to it.
//!
//! ```text
//!             a reject, a new boot, silence, no answer in time
//!            +--------------------------------------------+
//!            v                                            |
//!   Probe: one append at a time  --- acknowledged --->  Stream: several in flight
//! ```
use crate::contact::Contact;
use crate::ejection::Ejection;
use crate::io::Ticket;
use crate::types::*;
use std::collections::VecDeque;

/// How many appends may be on their way to one node.
const FLIGHTS_MAX: usize = 128;
/// How many times the largest append may be on its way, and that this is never less than a few ordinary entries: whoever
/// catches up by one entry a round trip may not catch up at all.
const FLIGHT_BYTES_FACTOR: usize = 8;
const FLIGHT_BYTES_MIN: usize = 64 << 10;
const BACKOFF_MAX: u32 = 3;
/// So many marks take a megabyte; beyond, every second one is dropped.
const MARKS_MAX: usize = 1 << 16;

#[derive(Debug)]
pub(crate) struct Progress {
    pub node: NodeId,
    pub place: u8,
    pub kind: NodeKind,
    /// The boot that all of the below is about, but for `durable`.
    boot: Boot,
    /// The next entry to send.
    pub next: Index,
    /// It holds our log up to here, in memory or on disk.
    pub received: Index,
    pub durable: Index,
    /// The regions it had promised something, in its newest message, and which message that was.
    pub mask: u8,
    mask_of: (Boot, Nanos),
    mode: Mode,
    flights: VecDeque<(Index, usize)>,
    flight_bytes: usize,
    /// Last sign of progress, or last probe.
    progress_at: Nanos,
    probed_at: Nanos,
    backoff: u32,
    /// Entries up to here go in full, even its own: it lacks a payload.
    pub full_until: Index,
    /// What we last told it about our disk.
    pub told_durable: Index,
    /// A read of our journal on its behalf.
    pub load: Option<Ticket>,
    pub load_retry_at: Nanos,
    pub too_far_behind: bool,
    /// Samples of where our log ended, to see since when it is behind.
    marks: VecDeque<(Index, Nanos)>,
    /// Where our log ended when we began to lead: what it held then is as old as can be.
    began_at: Index,
    approach: Option<Approach>,
    pub ejection: Ejection,
    /// When something new was last on its disk.
    durable_at: Nanos,
}

/// A region that is brought near, as it was when this was last looked at.
#[derive(Clone, Copy, Debug)]
struct Approach {
    at: Nanos,
    durable: Index,
    last: Index,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Mode {
    Probe { sent: bool },
    Stream,
}

impl Progress {
    /// `next`: where to begin sending; `began_at`: where our log ends.
    pub fn new(contact: &Contact, next: Index, began_at: Index, now: Nanos) -> Progress {
        Progress {
            node: contact.node,
            place: contact.place,
            kind: contact.kind,
            boot: contact.boot,
            next,
            received: Index(0),
            durable: Index(0),
            mask: 0,
            mask_of: (Boot(0), 0),
            mode: Mode::Probe { sent: false },
            flights: VecDeque::new(),
            flight_bytes: 0,
            progress_at: now,
            probed_at: now,
            backoff: 0,
            full_until: Index(0),
            told_durable: Index(0),
            load: None,
            load_retry_at: 0,
            too_far_behind: false,
            marks: VecDeque::new(),
            began_at,
            approach: None,
            ejection: Ejection::default(),
            durable_at: now,
        }
    }

    /// May an append leave now? An empty one only as a probe.
    pub fn may_send(&self, last: Index, append_bytes_max: usize) -> bool {
        match self.mode {
            Mode::Probe { sent } => !sent,
            Mode::Stream => {
                self.next <= last
                    && self.flights.len() < FLIGHTS_MAX
                    && self.flight_bytes < (FLIGHT_BYTES_FACTOR * append_bytes_max).max(FLIGHT_BYTES_MIN)
            }
        }
    }

    pub fn is_probing(&self) -> bool {
        matches!(self.mode, Mode::Probe { .. })
    }

    /// An append has left, its last entry at `last`.
    pub fn sent(&mut self, last: Index, bytes: usize, now: Nanos) {
        match &mut self.mode {
            Mode::Probe { sent } => {
                *sent = true;
                self.progress_at = now;
                self.probed_at = now;
            }
            Mode::Stream => {
                if self.flights.is_empty() {
                    self.progress_at = now;
                }
                self.flights.push_back((last, bytes));
                self.flight_bytes += bytes;
                self.next = last.next();
            }
        }
    }

    /// It says how far it is, in our term. `answers`: the message answers an append, and its sender had seen this token of
    /// ours.
    pub fn acknowledged(&mut self, received: Index, durable: Index, answers: Option<Nanos>, now: Nanos) {
        if durable > self.durable {
            self.durable = durable;
            self.durable_at = now;
        }
        if received > self.received {
            self.received = received;
            self.progress_at = now;
            self.backoff = 0;
            while self.flights.front().is_some_and(|(last, _)| *last <= received) {
                let (_, bytes) = self.flights.pop_front().expect("there is a first flight");
                self.flight_bytes -= bytes;
            }
            self.next = self.next.max(received.next());
        }
        while self.marks.front().is_some_and(|(index, _)| *index <= self.durable) {
            self.marks.pop_front();
        }
        // a probe is answered once what lies before it is known to match; an answer to what was sent before it is none
        let answered = answers.is_some_and(|token| token >= self.probed_at) && self.mode == Mode::Probe { sent: true };
        if answered && received >= self.next.previous() {
            self.mode = Mode::Stream;
            self.next = self.received.next();
            self.progress_at = now;
        }
    }

    /// Keeps the mask of its newest message.
    pub fn masked(&mut self, mask: u8, boot: Boot, token: Nanos) {
        if (boot, token) >= self.mask_of {
            self.mask_of = (boot, token);
            self.mask = mask;
        }
    }

    /// It does not hold the entry before `previous`'s successor. False if that is old news.
    pub fn rejects(&self, previous: Position) -> bool {
        let stale = previous.index <= self.received && self.received.0 > 0;
        match self.mode {
            Mode::Stream => !stale,
            Mode::Probe { sent } => !stale && sent && previous.index == self.next.previous(),
        }
    }

    /// Sends from `next` on, carefully.
    pub fn probe(&mut self, next: Index, now: Nanos) {
        self.mode = Mode::Probe { sent: false };
        self.next = next;
        self.flights.clear();
        self.flight_bytes = 0;
        self.load = None;
        self.progress_at = now;
    }

    /// It started anew: what was in its memory is gone, what was on its disk is not.
    pub fn notice_boot(&mut self, boot: Boot, now: Nanos) {
        if boot > self.boot {
            self.boot = boot;
            let next = if self.durable.0 > 0 { self.durable.next() } else { self.next };
            self.received = Index(0);
            self.backoff = 0;
            self.probe(next, now);
        }
    }

    /// Where to go on after a loss.
    fn resume_at(&self) -> Index {
        if self.received.0 > 0 { self.received.next() } else { self.next }
    }

    /// It is silent: nothing is on its way any more; it is probed when it is heard again.
    pub fn silenced(&mut self, now: Nanos) {
        self.backoff = 0;
        self.probe(self.resume_at(), now);
    }

    /// Resends what was not answered in time. Longer each time, so that a slow link is not flooded.
    pub fn check_timeout(&mut self, now: Nanos, answer_after: Nanos) {
        let waiting = match self.mode {
            Mode::Probe { sent } => sent,
            Mode::Stream => !self.flights.is_empty(),
        };
        if waiting && now.saturating_sub(self.progress_at) >= answer_after << self.backoff {
            self.probe(self.resume_at(), now);
            self.backoff = (self.backoff + 1).min(BACKOFF_MAX);
        }
    }

    /// Remembers that our log ended at `last` now; called once a heartbeat.
    pub fn mark(&mut self, last: Index, now: Nanos) {
        if last > self.durable && self.marks.back().is_none_or(|(index, _)| last > *index) {
            self.marks.push_back((last, now));
        }
        if self.marks.len() > MARKS_MAX {
            let mut nth = 0;
            self.marks.retain(|_| {
                nth += 1;
                nth % 2 == 1
            });
        }
    }

    /// Whether something that our log has had for `patience` is not on its disk.
    pub fn is_behind(&self, now: Nanos, patience: Nanos) -> bool {
        self.marks.front().is_some_and(|(_, at)| now.saturating_sub(*at) >= patience)
    }

    /// Whether it owes us something for so long, and nothing new has been on its disk for as long.
    pub fn stands_still(&self, now: Nanos, patience: Nanos) -> bool {
        self.is_behind(now, patience) && now.saturating_sub(self.durable_at) >= patience
    }

    /// Whether it has everything on its disk that our log has had for `patience`.
    pub fn is_near(&self, now: Nanos, patience: Nanos) -> bool {
        self.durable >= self.began_at && !self.is_behind(now, patience)
    }

    /// Whether its first promise is to wait: it is not near our log's end yet, and comes nearer, which it must show once in
    /// each `window`: by a tenth more than was written meanwhile.
    pub fn is_approaching(&mut self, last: Index, now: Nanos, patience: Nanos, window: Nanos) -> bool {
        if self.is_near(now, patience) {
            self.approach = None;
            return false;
        }
        let approach = self.approach.get_or_insert(Approach { at: now, durable: self.durable, last });
        if now.saturating_sub(approach.at) < window {
            return true;
        }
        let gained = self.durable.0.saturating_sub(approach.durable.0);
        let written = last.0.saturating_sub(approach.last.0);
        let gains = gained > written + written / 10;
        if gains {
            *approach = Approach { at: now, durable: self.durable, last };
        }
        gains
    }

    /// It has a promise, or is not there to get one.
    pub fn ends_approach(&mut self) {
        self.approach = None;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn progress(next: u64) -> Progress {
        Progress::new(&Contact::new(NodeId(2), NodeKind::Region, 1), Index(next), Index(next - 1), 0)
    }

    #[test]
    fn a_probe_goes_alone_until_it_is_answered() {
        let mut peer = progress(5);
        assert!(peer.may_send(Index(4), 100), "an empty probe");
        peer.sent(Index(7), 10, 0);
        assert!(!peer.may_send(Index(9), 100));
        peer.acknowledged(Index(7), Index(3), Some(1), 1);
        assert_eq!((peer.next, peer.received, peer.durable), (Index(8), Index(7), Index(3)));
        peer.sent(Index(8), 10, 1);
        peer.sent(Index(9), 10, 1);
        assert!(!peer.may_send(Index(9), 100), "nothing more to send");
        assert!(peer.may_send(Index(10), 100));
    }

    #[test]
    fn an_answer_to_something_older_is_no_answer_to_a_probe() {
        let mut peer = progress(5);
        peer.sent(Index(5), 10, 100);
        peer.acknowledged(Index(4), Index(4), Some(99), 101);
        assert!(peer.is_probing());
        peer.acknowledged(Index(5), Index(4), Some(100), 102);
        assert!(!peer.is_probing());
    }

    #[test]
    fn old_rejects_are_ignored() {
        let mut peer = progress(5);
        peer.sent(Index(5), 10, 0);
        assert!(peer.rejects(Position::new(1, 4)));
        assert!(!peer.rejects(Position::new(1, 9)), "not what was probed");
        peer.acknowledged(Index(5), Index(5), Some(1), 1);
        assert!(!peer.rejects(Position::new(1, 4)), "it has that by now");
        assert!(peer.rejects(Position::new(1, 7)));
    }

    #[test]
    fn a_new_boot_keeps_only_what_is_durable() {
        let mut peer = progress(5);
        peer.sent(Index(9), 10, 0);
        peer.acknowledged(Index(9), Index(6), Some(1), 1);
        peer.notice_boot(Boot(1), 2);
        assert_eq!((peer.next, peer.received, peer.durable), (Index(7), Index(0), Index(6)));
        assert!(peer.is_probing());
    }

    #[test]
    fn the_bytes_in_flight_are_bounded() {
        let mut peer = progress(1);
        peer.sent(Index(1), 1, 0);
        peer.acknowledged(Index(1), Index(1), Some(0), 0);
        let full = FLIGHT_BYTES_MIN;
        for n in 2..2 + FLIGHT_BYTES_FACTOR as u64 {
            assert!(peer.may_send(Index(99), full));
            peer.sent(Index(n), full, 0);
        }
        assert!(!peer.may_send(Index(99), full));
        peer.acknowledged(Index(3), Index(3), Some(1), 1);
        assert!(peer.may_send(Index(99), full));
    }

    #[test]
    fn entries_larger_than_an_append_go_more_than_one_a_round_trip() {
        let mut peer = progress(1);
        peer.sent(Index(1), 1, 0);
        peer.acknowledged(Index(1), Index(1), Some(0), 0);
        for n in 2..10 {
            assert!(peer.may_send(Index(99), 1), "{n}");
            peer.sent(Index(n), 100, 0);
        }
    }

    /// One line a window: what is durable, where the log ends, and whether the promise waits.
    fn approach(steps: &[(u64, u64)]) -> Vec<bool> {
        let mut peer = progress(1001);
        let mut waits = Vec::new();
        for (now, (durable, last)) in (0..).step_by(100).zip(steps) {
            peer.mark(Index(*last), now);
            peer.acknowledged(Index(*durable), Index(*durable), None, now);
            waits.push(peer.is_approaching(Index(*last), now, 150, 100));
        }
        waits
    }

    #[test]
    fn a_promise_waits_while_a_region_comes_nearer_and_no_longer() {
        assert_eq!(approach(&[(1, 1000), (500, 1010), (1000, 1020)]), [true, true, false], "near: 1010 is not old yet");
        assert_eq!(approach(&[(1, 1000), (111, 1100), (221, 1200)]), [true, false, false], "as fast as others write");
        assert_eq!(approach(&[(1, 1000), (112, 1100), (223, 1200)]), [true, true, true], "a tenth faster");
        assert_eq!(approach(&[(1, 1000), (1, 1000)]), [true, false], "it does not move");
        assert_eq!(approach(&[(1000, 1000)]), [false], "it was there all along");
    }

    #[test]
    fn marks_of_a_long_absence_stay_few() {
        let mut peer = progress(1);
        for n in 1..200_000 {
            peer.mark(Index(n), n);
        }
        assert!(peer.marks.len() <= MARKS_MAX);
        assert!(peer.is_behind(199_999, 199_000));
    }

    #[test]
    fn what_is_not_answered_is_sent_again_less_and_less_often() {
        let mut peer = progress(1);
        peer.sent(Index(1), 1, 0);
        peer.check_timeout(99, 100);
        assert!(!peer.may_send(Index(1), 100));
        peer.check_timeout(100, 100);
        assert!(peer.may_send(Index(1), 100));
        peer.sent(Index(1), 1, 100);
        peer.check_timeout(299, 100);
        assert!(!peer.may_send(Index(1), 100));
        peer.check_timeout(300, 100);
        assert!(peer.may_send(Index(1), 100));
    }
}
