//! What a journal must hold: hard state, the log above a base. The oracle of the real journal, and what the checks look at.
use std::collections::VecDeque;
use trivet_log::*;

#[derive(Clone, Debug, Default)]
pub struct Image {
    pub boot: Boot,
    pub term: Term,
    pub voted_for: Option<NodeId>,
    pub base: Position,
    /// Contiguous above the base.
    pub entries: VecDeque<Entry>,
}

impl Image {
    /// What a journal says that it holds, asked for all of it.
    pub fn recovered(recovered: &Recovered) -> Image {
        Image {
            boot: recovered.boot,
            term: recovered.term,
            voted_for: recovered.voted_for,
            base: recovered.base,
            entries: recovered.entries.iter().cloned().collect(),
        }
    }

    pub fn last(&self) -> Position {
        self.entries.back().map_or(self.base, |entry| entry.position)
    }

    pub fn entry(&self, index: Index) -> Option<&Entry> {
        let at = index.0.checked_sub(self.base.index.0 + 1)?;
        self.entries.get(at as usize)
    }

    /// Whether both are one log, as far down as both reach.
    pub fn same_log(&self, other: &Image) -> bool {
        self.last() == other.last() && self.starts_with(other)
    }

    /// Whether this log goes on where the other ends, as far down as both reach.
    pub fn starts_with(&self, other: &Image) -> bool {
        let known = |position: Position| {
            position.index <= self.base.index || self.entry(position.index).is_some_and(|own| own.position == position)
        };
        let from = self.base.index.max(other.base.index);
        self.last().index >= other.last().index
            && known(other.last())
            && other
                .entries
                .iter()
                .rev()
                .take_while(|entry| entry.index() > from)
                .all(|entry| self.entry(entry.index()) == Some(entry))
    }

    fn cut(&mut self, last: Index) {
        while self.entries.back().is_some_and(|entry| entry.index() > last) {
            self.entries.pop_back();
        }
    }

    pub fn rebase(&mut self, base: Position) {
        let holds = self.entry(base.index).is_some_and(|entry| entry.position == base) || self.base == base;
        match holds {
            true => {
                while self.entries.front().is_some_and(|entry| entry.index() <= base.index) {
                    self.entries.pop_front();
                }
            }
            false => self.entries.clear(),
        }
        self.base = base;
    }

    /// Takes a request in, step by step, as a journal writes it; `after` sees the log after each step.
    pub fn write(&mut self, request: &Persist, mut after: impl FnMut(&Image)) -> Result<(), String> {
        if let Some(HardState { term, voted_for }) = request.hard_state {
            if term < self.term || (term == self.term && self.voted_for.is_some() && self.voted_for != voted_for) {
                return Err(format!(
                    "hard state goes from {:?} {:?} to {term:?} {voted_for:?}",
                    self.term, self.voted_for
                ));
            }
            (self.term, self.voted_for) = (term, voted_for);
        }
        if let Some(last) = request.truncate {
            if last.index < self.base.index {
                return Err(format!("cut to {last} below the base {}", self.base));
            }
            self.cut(last.index);
            if self.last() != last {
                return Err(format!("cut to {last}, but {} is there", self.last()));
            }
            after(self);
        }
        for entry in &request.entries {
            if entry.index() != self.last().index.next() || entry.term() < self.last().term {
                return Err(format!("{} is written after {}", entry.position, self.last()));
            }
            self.entries.push_back(entry.clone());
            after(self);
        }
        if let Some(base) = request.base {
            if base.index < self.base.index {
                return Err(format!("the base falls from {} to {base}", self.base));
            }
            self.rebase(base);
            after(self);
        }
        Ok(())
    }

    /// The first position of each term, from the base on.
    pub fn term_starts(&self) -> Vec<Position> {
        let mut starts = vec![self.base];
        for entry in &self.entries {
            if entry.term() > starts.last().expect("it begins with the base").term {
                starts.push(entry.position);
            }
        }
        starts
    }
}
