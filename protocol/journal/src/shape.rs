//! What the log looks like from outside: where it begins and ends, and where each term starts.
use trivet_log::{Index, Position, Term};

#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub(crate) struct Shape {
    /// Everything at or below is not here.
    pub base: Position,
    pub last: Position,
    /// The first position of each term from `base` on, the base's own first (unless the log begins at 1).
    pub term_starts: Vec<Position>,
}

impl Shape {
    /// Nothing but a base.
    pub fn at(base: Position) -> Shape {
        let term_starts = if base.index.0 > 0 { vec![base] } else { Vec::new() };
        Shape { base, last: base, term_starts }
    }

    /// Whether this may be the next entry.
    pub fn fits(&self, position: Position) -> bool {
        position.index == self.last.index.next() && position.term >= self.last.term && position.term > Term(0)
    }

    pub fn append(&mut self, position: Position) {
        if self.term_starts.last().is_none_or(|start| start.term < position.term) {
            self.term_starts.push(position);
        }
        self.last = position;
    }

    /// Drops every entry above `to`. Below the base nothing is left to say but where the log ended.
    pub fn cut(&mut self, to: Position) {
        if to.index < self.base.index {
            *self = Shape::at(to);
            return;
        }
        self.term_starts.retain(|start| start.index <= to.index);
        self.last = to;
    }

    /// Forgets everything at or below `to`; a gap is allowed, and entries of another history go too.
    pub fn rebase(&mut self, to: Position) {
        if to.index <= self.base.index {
            return;
        }
        if self.term_at(to.index) != Some(to.term) {
            *self = Shape::at(to);
            return;
        }
        self.base = to;
        self.term_starts.retain(|start| start.index > to.index);
        self.term_starts.insert(0, to);
    }

    /// The term of the entry at `index`, the base's included.
    pub fn term_at(&self, index: Index) -> Option<Term> {
        if index < self.base.index || index > self.last.index {
            return None;
        }
        let after = self.term_starts.partition_point(|start| start.index <= index);
        Some(after.checked_sub(1).map_or(Term(0), |at| self.term_starts[at].term))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn show(shape: &Shape) -> String {
        let starts: Vec<String> = shape.term_starts.iter().map(Position::to_string).collect();
        format!("{}..{} [{}]", shape.base, shape.last, starts.join(" "))
    }

    #[test]
    fn a_log_through_its_life() {
        let mut shape = Shape::default();
        let mut told = String::new();
        let mut tell = |what: &str, shape: &Shape| told += &format!("{what}: {}\n", show(shape));
        tell("empty", &shape);
        for (term, index) in [(1, 1), (1, 2), (3, 3), (3, 4), (4, 5)] {
            assert!(shape.fits(Position::new(term, index)));
            shape.append(Position::new(term, index));
        }
        tell("five entries", &shape);
        assert!(!shape.fits(Position::new(4, 7)) && !shape.fits(Position::new(3, 6)));
        shape.cut(Position::new(3, 4));
        tell("cut to 4", &shape);
        shape.rebase(Position::new(1, 2));
        tell("base 2", &shape);
        shape.rebase(Position::new(1, 1));
        tell("base 1, late", &shape);
        shape.rebase(Position::new(3, 4));
        tell("base 4", &shape);
        shape.rebase(Position::new(5, 9));
        tell("base 9, a gap", &shape);
        shape.append(Position::new(5, 10));
        shape.append(Position::new(5, 11));
        tell("two more", &shape);
        shape.rebase(Position::new(6, 10));
        tell("base 10 of another history", &shape);
        assert_eq!(
            told,
            "\
empty: 0.0..0.0 []
five entries: 0.0..4.5 [1.1 3.3 4.5]
cut to 4: 0.0..3.4 [1.1 3.3]
base 2: 1.2..3.4 [1.2 3.3]
base 1, late: 1.2..3.4 [1.2 3.3]
base 4: 3.4..3.4 [3.4]
base 9, a gap: 5.9..5.9 [5.9]
two more: 5.9..5.11 [5.9]
base 10 of another history: 6.10..6.10 [6.10]
"
        );
    }
}
