//! Which term wrote which index: the log's term starts.
use trivet_log::{Index, Position, Term};

#[derive(Clone, Debug, Hash)]
pub(super) struct Terms {
    /// First known index of each term, ascending.
    starts: Vec<Position>,
}

impl Terms {
    pub(super) fn new(base: Position) -> Terms {
        Terms { starts: vec![base] }
    }

    /// The position at `index`, if it is known and not beyond `last`.
    pub(super) fn at(&self, index: Index, last: Position) -> Option<Position> {
        if index > last.index {
            return None;
        }
        let start = self.starts.iter().rev().find(|start| start.index <= index)?;
        Some(Position { term: start.term, index })
    }

    pub(super) fn append(&mut self, position: Position) {
        if self.starts.last().is_none_or(|start| start.term != position.term) {
            self.starts.push(position);
        }
    }

    /// Forget starts above `last`; returns the term of `last`.
    pub(super) fn truncate(&mut self, last: Index) -> Term {
        while self.starts.len() > 1 && self.starts.last().is_some_and(|start| start.index > last) {
            self.starts.pop();
        }
        self.starts.last().expect("the base stays").term
    }

    pub(super) fn forget_below(&mut self, index: Index) {
        let below = self.starts.iter().take_while(|start| start.index <= index).count();
        self.starts.drain(..below.saturating_sub(1));
    }
}
