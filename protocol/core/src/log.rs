//! The log as this node knows it: where it begins and ends, which term each index has, and the newest entries themselves.
//!
//! ```text
//!   gone (pruned)      on disk only          in memory
//!  ---------------|------------------|------------------------|
//!               base              cached from               last
//!                                        commit  (within)
//! ```
//!
//! - L1: indexes are contiguous from `base`, terms never fall; so a list of the terms' first positions knows every term.
//! - L2: every entry that is not yet handed out for applying, or not yet durable, is in memory.
//! - L3: nothing at or below `base` is ever cut.
use crate::types::*;
use std::collections::VecDeque;

/// How many term starts a message carries at most: the newest. Older ones come in the next round.
const TERM_STARTS_MAX: usize = 64;

#[derive(Debug)]
pub(crate) struct Log {
    base: Position,
    /// The first position of each term above the base, after the base itself.
    starts: Vec<Position>,
    /// Contiguous, and ends at `last` if not empty.
    cache: VecDeque<Entry>,
    cache_weight: usize,
    last: Position,
}

impl Log {
    /// A log that holds `entries` in memory and more on disk, as `starts` tells. Fails with what is inconsistent.
    pub fn recover(
        base: Position,
        starts: &[Position],
        entries: Vec<Entry>,
        last: Position,
    ) -> Result<Log, &'static str> {
        let mut log = Log { base, starts: vec![base], cache: VecDeque::new(), cache_weight: 0, last: base };
        for start in starts.iter().filter(|start| start.index > base.index) {
            let before = *log.starts.last().expect("starts begins with the base");
            if start.term <= before.term || start.index <= before.index || start.index > last.index {
                return Err("the journal's terms are out of order");
            }
            log.starts.push(*start);
        }
        let first = entries.first().map_or(last.index.next(), Entry::index);
        if first <= base.index {
            return Err("the journal holds entries below its base");
        }
        if let Some(before) = log.starts.iter().rev().find(|start| start.index < first) {
            log.last = Position { term: before.term, index: first.previous() };
        }
        if log.starts.last().is_some_and(|start| start.index >= first) {
            // those starts are told by the entries themselves
            log.starts.retain(|start| start.index < first);
        }
        for entry in entries {
            if entry.index() != log.last.index.next() || entry.term() < log.last.term {
                return Err("the journal's entries are out of order");
            }
            log.push(entry);
        }
        if log.last != last {
            return Err("the journal's entries do not reach its end");
        }
        Ok(log)
    }

    pub fn base(&self) -> Position {
        self.base
    }

    pub fn last(&self) -> Position {
        self.last
    }

    pub fn term_at(&self, index: Index) -> Option<Term> {
        if index < self.base.index || index > self.last.index {
            return None;
        }
        let after = self.starts.partition_point(|start| start.index <= index);
        Some(self.starts[after - 1].term)
    }

    pub fn position_at(&self, index: Index) -> Option<Position> {
        self.term_at(index).map(|term| Position { term, index })
    }

    pub fn contains(&self, position: Position) -> bool {
        self.term_at(position.index) == Some(position.term)
    }

    pub fn push(&mut self, entry: Entry) {
        assert!(entry.index() == self.last.index.next(), "the log has a gap");
        assert!(entry.term() >= self.last.term, "terms fall along the log");
        if entry.term() > self.last.term || self.starts.is_empty() {
            self.starts.push(entry.position);
        }
        self.last = entry.position;
        self.cache_weight += entry.weight();
        self.cache.push_back(entry);
    }

    /// Drops every entry above `index`, which the caller knows to be at or above the base (L3).
    pub fn cut(&mut self, index: Index) -> Position {
        assert!(index >= self.base.index, "the log is cut below its base");
        let to = self.position_at(index).expect("a cut lies within the log");
        while self.cache.back().is_some_and(|entry| entry.index() > index) {
            let entry = self.cache.pop_back().expect("there is a last entry");
            self.cache_weight -= entry.weight();
        }
        let keep = self.starts.partition_point(|start| start.index <= index);
        self.starts.truncate(keep);
        self.last = to;
        to
    }

    /// Forgets everything at or below `base`. If the log does not hold `base` it becomes empty, beginning and ending there.
    pub fn rebase(&mut self, base: Position) {
        if !self.contains(base) {
            self.cache.clear();
            self.cache_weight = 0;
            self.starts = vec![base];
            self.last = base;
            self.base = base;
            return;
        }
        while self.cache.front().is_some_and(|entry| entry.index() <= base.index) {
            let entry = self.cache.pop_front().expect("there is a first entry");
            self.cache_weight -= entry.weight();
        }
        let gone = self.starts.partition_point(|start| start.index <= base.index);
        self.starts.splice(..gone, [base]);
        self.base = base;
    }

    /// Drops the oldest entries from memory until at most `weight_max` is left, keeping everything above `needed`.
    pub fn evict(&mut self, weight_max: usize, needed: Index) {
        while self.cache_weight > weight_max && self.cache.front().is_some_and(|entry| entry.index() <= needed) {
            let entry = self.cache.pop_front().expect("there is a first entry");
            self.cache_weight -= entry.weight();
        }
    }

    /// The first index that is in memory, or the one after the last.
    pub fn cached_from(&self) -> Index {
        self.cache.front().map_or(self.last.index.next(), Entry::index)
    }

    /// The entries above `after`, all in memory.
    pub fn cached_above(&self, after: Index) -> impl Iterator<Item = &Entry> {
        let first = self.cached_from();
        assert!(after.next() >= first, "entries are asked for that memory no longer holds");
        self.cache.iter().skip((after.next().0 - first.0) as usize)
    }

    /// The newest terms' first positions at or below `index`, the base's included, for a peer to find the match point.
    pub fn term_starts(&self, index: Index) -> Vec<Position> {
        let end = self.starts.partition_point(|start| start.index <= index);
        self.starts[end.saturating_sub(TERM_STARTS_MAX)..end].to_vec()
    }

    /// The last index at which this log and another agree, if `starts` (of the other, which ends at `last`) can tell.
    /// Two logs that agree on an index's term agree on everything up to it.
    pub fn match_point(&self, last: Position, starts: &[Position]) -> Option<Index> {
        // walk the other's terms from the newest; each is a run of indexes [start, end]
        let mut end = last.index;
        for start in starts.iter().rev() {
            if start.index > end {
                continue;
            }
            let mut index = end.min(self.last.index);
            // within the run, find the last index that has the run's term here
            while index >= start.index && index >= self.base.index {
                let own = self.term_at(index)?;
                if own == start.term {
                    return Some(index);
                }
                if own < start.term {
                    break;
                }
                // jump below the first position of that newer term
                let run = self.starts.partition_point(|own| own.index <= index);
                index = match self.starts[run - 1].index {
                    Index(0) => break,
                    first => first.previous(),
                };
            }
            end = start.index.previous();
        }
        None
    }
}

#[cfg(test)]
#[path = "log_test.rs"]
mod tests;
