//! The past as it was at a time (T23): which entry was the last one then, and what must not be collected for it.
//!
//! ```text
//!   stamps   10   12   15 | 19      times    13 -> the entry of 12
//!   entries   3    4    5 |  6               12 -> the entry of 12
//!                 applied |                  15 -> not known yet: another entry with that stamp may still come
//! ```
//!
//! Stamps grow along the log, so the last applied stamp closes all times below it: nothing that comes later can be older.
//!
//! Invariants
//! - P1: a time is answered only if it is below an applied entry's stamp, and at or above the oldest one kept.
//! - P2: the store's horizon never passes an entry that a reader of the past holds, nor the oldest one kept.
use parking_lot::Mutex;
use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;
use trivet_log::Index;

/// Entries that are remembered at most, however long the history should be.
const ENTRIES_MAX: usize = 1_000_000;

/// When entries were committed, as far back as versions are kept.
#[derive(Default)]
pub struct History {
    inner: Mutex<Timeline>,
}

#[derive(Default)]
struct Timeline {
    /// How long versions are kept for readers of the past.
    kept_for: Duration,
    /// (stamp in nanoseconds since 1970, entry), both growing.
    entries: VecDeque<(u64, Index)>,
    /// Entries that somebody reads at, and how many do.
    held: BTreeMap<Index, usize>,
}

/// Why there is no answer.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum NotThen {
    /// Collected, or from before this start.
    TooOld,
    /// No applied entry is as new as that.
    NotYet,
}

/// An entry that stays readable until this is dropped.
pub struct PastHold {
    history: Arc<History>,
    index: Index,
}

impl PastHold {
    pub fn index(&self) -> Index {
        self.index
    }
}

impl Drop for PastHold {
    fn drop(&mut self) {
        let mut timeline = self.history.inner.lock();
        if let Some(count) = timeline.held.get_mut(&self.index) {
            *count -= 1;
            if *count == 0 {
                timeline.held.remove(&self.index);
            }
        }
    }
}

impl History {
    /// From now on, versions of so long ago are kept.
    pub fn keep_for(&self, kept_for: Duration) {
        self.inner.lock().kept_for = kept_for;
    }

    pub fn kept_for(&self) -> Duration {
        self.inner.lock().kept_for
    }

    /// The store has this entry. Called in order.
    pub(crate) fn applied(&self, stamp: u64, index: Index) {
        let mut timeline = self.inner.lock();
        debug_assert!(timeline.entries.back().is_none_or(|(_, last)| *last < index), "entries are applied in order");
        // Of equal stamps the last entry counts.
        match timeline.entries.back_mut() {
            Some(last) if last.0 >= stamp => last.1 = index,
            _ => timeline.entries.push_back((stamp, index)),
        }
    }

    /// P2: how far the store may forget, if nobody else minds. The timeline forgets with it.
    pub(crate) fn limit(&self, horizon: Index) -> Index {
        let mut timeline = self.inner.lock();
        let held = timeline.held.first_key_value().map_or(horizon, |(index, _)| *index);
        let Some((newest, _)) = timeline.entries.back().copied() else { return horizon.min(held) };
        let oldest = newest.saturating_sub(u64::try_from(timeline.kept_for.as_nanos()).unwrap_or(u64::MAX));
        let surplus = timeline.entries.len().saturating_sub(ENTRIES_MAX);
        // The entry that was the last one at the oldest time that is kept.
        let at = timeline.entries.partition_point(|(stamp, _)| *stamp <= oldest).saturating_sub(1).max(surplus);
        let kept = timeline.entries[at].1;
        let limit = horizon.min(kept).min(held);
        // What is at or below the horizon is one state: the newest of it answers for it.
        let gone = timeline.entries.partition_point(|(_, index)| *index < limit);
        timeline.entries.drain(..gone);
        limit
    }

    /// The last entry that the store has, kept readable.
    pub(crate) fn hold_newest(self: &Arc<Self>, applied: impl Fn() -> Index) -> PastHold {
        let mut timeline = self.inner.lock();
        // Under the lock: what is applied now cannot be collected before it is held.
        let index = applied();
        *timeline.held.entry(index).or_default() += 1;
        PastHold { history: self.clone(), index }
    }

    /// The last entry at a time, kept readable. Nanoseconds since 1970.
    pub(crate) fn hold(self: &Arc<Self>, time: u64) -> Result<PastHold, NotThen> {
        let mut timeline = self.inner.lock();
        let (Some(first), Some(last)) = (timeline.entries.front(), timeline.entries.back()) else {
            return Err(NotThen::NotYet);
        };
        // Another entry of the same nanosecond may still come.
        if time >= last.0 {
            return Err(NotThen::NotYet);
        }
        if time < first.0 {
            return Err(NotThen::TooOld);
        }
        let at = timeline.entries.partition_point(|(stamp, _)| *stamp <= time) - 1;
        let index = timeline.entries[at].1;
        *timeline.held.entry(index).or_default() += 1;
        Ok(PastHold { history: self.clone(), index })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn history() -> Arc<History> {
        let history = Arc::new(History::default());
        history.keep_for(Duration::from_nanos(10));
        for (stamp, index) in [(10, 3), (12, 4), (15, 5), (19, 6)] {
            history.applied(stamp, Index(index));
        }
        history
    }

    fn at(history: &Arc<History>, time: u64) -> Result<u64, NotThen> {
        history.hold(time).map(|hold| hold.index().0)
    }

    #[test]
    fn a_time_is_its_last_entry() {
        let history = history();
        assert_eq!(at(&history, 9), Err(NotThen::TooOld));
        assert_eq!([10, 11, 12, 14, 15, 18].map(|time| at(&history, time)), [3, 3, 4, 4, 5, 5].map(Ok));
        assert_eq!(at(&history, 19), Err(NotThen::NotYet));
        assert_eq!(at(&Arc::default(), 0), Err(NotThen::NotYet));
    }

    #[test]
    fn what_is_kept_and_what_is_read_holds_the_horizon() {
        let history = history();
        assert_eq!(history.limit(Index(6)), Index(3), "all of it is within the history");
        history.applied(24, Index(9));
        let hold = history.hold(14).expect("it is there");
        assert_eq!(history.limit(Index(9)), Index(4), "14 was entry 4's time");
        history.applied(40, Index(12));
        assert_eq!(history.limit(Index(12)), Index(4), "somebody reads there");
        assert_eq!(at(&history, 13), Ok(4));
        drop(hold);
        assert_eq!(history.limit(Index(12)), Index(9), "at 30 the last entry was 9");
        assert_eq!(at(&history, 23), Err(NotThen::TooOld));
        assert_eq!(at(&history, 24), Ok(9));
        assert_eq!(history.limit(Index(5)), Index(5), "a lower horizon stays");
        history.keep_for(Duration::ZERO);
        assert_eq!(history.limit(Index(12)), Index(12));
    }
}
