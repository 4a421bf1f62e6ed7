//! Appends that arrived before what they follow.
//!
//! A link that changes the order of messages makes a gap of every few appends; each gap would cost a reject, a probe, and
//! the sending again of all that was on its way: an entry or two a round trip, in the end. To keep an append until
//! what it follows is here is nothing else than a network that brings it later, so it needs no argument of its own. It holds
//! within the term in which it was sent, as an append does.
use crate::message::AppendEntry;
use crate::types::*;
use std::collections::BTreeMap;

/// As many appends as may be on their way.
const APPENDS_MAX: usize = 128;

#[derive(Debug, Default)]
pub(crate) struct Early {
    /// By the index that they follow.
    held: BTreeMap<Index, (Position, Vec<AppendEntry>)>,
    bytes: usize,
}

impl Early {
    /// Keeps it if there is room: for `bytes_max`, or for one.
    pub fn keep(&mut self, previous: Position, entries: Vec<AppendEntry>, bytes_max: usize) {
        let weight = weight(&entries);
        if self.held.len() < APPENDS_MAX
            && (self.held.is_empty() || self.bytes + weight <= bytes_max)
            && !self.held.contains_key(&previous.index)
        {
            self.bytes += weight;
            self.held.insert(previous.index, (previous, entries));
        }
    }

    /// The first that follows something at or below `last`.
    pub fn next(&mut self, last: Index) -> Option<(Position, Vec<AppendEntry>)> {
        let first = self.held.first_entry().filter(|first| *first.key() <= last)?;
        let (previous, entries) = first.remove();
        self.bytes -= weight(&entries);
        Some((previous, entries))
    }

    /// The term is over.
    pub fn clear(&mut self) {
        self.held.clear();
        self.bytes = 0;
    }
}

fn weight(entries: &[AppendEntry]) -> usize {
    const FLAT: usize = 64;
    let of = |entry: &AppendEntry| match entry {
        AppendEntry::Full(entry) => entry.weight(),
        AppendEntry::Reference { header, .. } => FLAT + header.len(),
    };
    FLAT + entries.iter().map(of).sum::<usize>()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn appends_come_out_in_the_logs_order_once_the_gap_is_filled() {
        let mut early = Early::default();
        for index in [9, 7, 8, 7] {
            early.keep(Position::new(1, index), vec![], 1000);
        }
        assert!(early.next(Index(6)).is_none());
        let mut order = Vec::new();
        while let Some((previous, _)) = early.next(Index(8)) {
            order.push(previous.index.0);
        }
        assert_eq!(order, [7, 8]);
        assert_eq!(early.held.len(), 1);
        early.clear();
        assert!(early.held.is_empty() && early.bytes == 0);
    }

    #[test]
    fn what_is_kept_is_bounded() {
        let mut early = Early::default();
        for index in 1..10 {
            early.keep(Position::new(1, index), vec![], 150);
        }
        assert_eq!(early.held.len(), 2, "64 bytes each");
        let mut early = Early::default();
        for index in 1..1000 {
            early.keep(Position::new(1, index), vec![], usize::MAX);
        }
        assert_eq!(early.held.len(), APPENDS_MAX);
        assert_eq!(early.bytes, 64 * APPENDS_MAX);
    }
}
