//! When a leader goes on without a region that is there, but slow, and when it takes it back.
//!
//! A promise to a region makes every commit wait for it. One that stands still must not hold everybody up for ever, and one
//! that comes and goes must not do so every time.
//!
//! ```text
//!             nothing new on its disk for eject_after, though something is owed
//!             its promise ran out while it was silent, for the second time in a while
//!           +------------------------------------------------------------------+
//!           |                                                                  v
//!       admitted                                                            ejected: no promise; acknowledgements count
//!           ^                                                                  |
//!           +------------------------------------------------------------------+
//!                          near the log's end for readmit_after without a break
//! ```
//!
//! - J1: nobody is ejected without a witness that can take its place, since nothing would be won.
//! - J2: what is not promised can wait for ever, so ejecting is always safe; the promise that is out binds until it ends.
use crate::io::Timing;
use crate::types::Nanos;

#[derive(Debug, Default)]
pub(crate) struct Ejection {
    ejected: bool,
    level_since: Option<Nanos>,
    was_promised: bool,
    lapsed_at: Option<Nanos>,
}

/// What a leader sees of a region.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Looks {
    pub is_promised: bool,
    pub is_silent: bool,
    /// Something is owed, and nothing new has come for `eject_after`.
    pub stands_still: bool,
    pub is_near: bool,
    pub witness_is_heard: bool,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Change {
    Ejected,
    Readmitted,
}

impl Ejection {
    pub fn is_ejected(&self) -> bool {
        self.ejected
    }

    /// Looks at the region again; called at least once a heartbeat.
    pub fn review(&mut self, looks: Looks, now: Nanos, timing: &Timing) -> Option<Change> {
        let lapsed = self.was_promised && !looks.is_promised && looks.is_silent;
        self.was_promised = looks.is_promised;
        if self.ejected {
            return self.readmit(looks, now, timing);
        }
        let again = lapsed && self.lapsed_at.is_some_and(|at| now.saturating_sub(at) < 2 * timing.readmit_after);
        if lapsed {
            self.lapsed_at = Some(now);
        }
        let holds_up = looks.is_promised && looks.stands_still && !looks.is_silent;
        if looks.witness_is_heard && (holds_up || again) {
            self.ejected = true;
            self.level_since = None;
            return Some(Change::Ejected);
        }
        None
    }

    fn readmit(&mut self, looks: Looks, now: Nanos, timing: &Timing) -> Option<Change> {
        if looks.is_silent || !looks.is_near {
            self.level_since = None;
            return None;
        }
        let since = *self.level_since.get_or_insert(now);
        if now.saturating_sub(since) < timing.readmit_after {
            return None;
        }
        self.ejected = false;
        Some(Change::Readmitted)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: Nanos = 1_000_000;

    /// One letter every 500 ms: `.` well, `x` stands still, `s` silent with a promise that still holds, `S` silent and it ran out,
    /// `b` behind without a promise. Returns when what changed.
    fn story(looks: &str, witness_is_heard: bool) -> Vec<(usize, Change)> {
        let mut ejection = Ejection::default();
        let mut changes = Vec::new();
        for (n, letter) in looks.chars().enumerate() {
            let looks = Looks {
                is_promised: matches!(letter, '.' | 'x' | 's'),
                is_silent: matches!(letter, 's' | 'S'),
                stands_still: letter == 'x',
                is_near: letter == '.',
                witness_is_heard,
            };
            let timing = Timing { readmit_after: 2000 * MS, ..Timing::default() };
            changes.extend(ejection.review(looks, n as Nanos * 500 * MS, &timing).map(|change| (n, change)));
        }
        changes
    }

    #[test]
    fn who_stands_still_is_ejected_and_comes_back_after_a_while() {
        use Change::*;
        assert_eq!(story("..x..b...b.....", true), [(2, Ejected), (14, Readmitted)], "a break begins the wait anew");
        assert_eq!(story("..x...........", false), [], "there is nobody else");
        assert_eq!(story("..sSSb..........", true), [], "lost once, and back");
        assert_eq!(story("..sSb..sSb......", true), [(8, Ejected), (14, Readmitted)], "it comes and goes");
        assert_eq!(story("..sSb.........sSb", true), [], "but not often");
    }
}
