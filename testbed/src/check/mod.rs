//! Pure checkers: a recorded history and what was found at the end go in, violations come out.
//!
//! ```text
//!   rows           what was acknowledged is there, what was refused is not, in both regions
//!   visible        a look for a row that was acknowledged before the look began finds it
//!   register       each key behaves as one register that everybody shares (linearizability)
//!   balance        a sum that no transfer changes
//!   transactions   lists and registers, by isolation level (trivet-history)
//!   deeds          a ring, unique names, foreign keys, a sequence, a table whose definition changes
//! ```
//!
//! A checker that cannot fail is a bug: each file's tests feed it bad histories.
pub mod balance;
pub mod deeds;
pub mod register;
pub mod rows;
pub mod transactions;
pub mod visible;

use serde::Serialize;
use std::fmt;

/// A promise that was broken, with the evidence in words.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct Violation {
    pub what: Broken,
    pub evidence: String,
}

#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Broken {
    /// Something that was acknowledged is not there.
    Lost,
    /// Something is there whose client was told that it was not done.
    Revived,
    /// Something is there that nobody wrote.
    Invented,
    /// A strong read missed what had been acknowledged before it began.
    Stale,
    /// No order of the operations explains what was read.
    Unordered,
    /// A sum that transfers keep has changed.
    Unbalanced,
    /// Transactions saw what their isolation level excludes.
    Isolation,
    /// A unique, referential or sequence's promise was broken.
    Constraint,
    /// The regions differ.
    Diverged,
    /// Writes or reads stayed away for too long, or did not come back.
    Unavailable,
    /// A side that was cut off served, or did not refuse in time.
    Served,
    /// The drill itself could not do what it set out to do.
    Drill,
}

impl Broken {
    pub fn word(self) -> &'static str {
        match self {
            Broken::Lost => "lost",
            Broken::Revived => "revived",
            Broken::Invented => "invented",
            Broken::Stale => "stale read",
            Broken::Unordered => "not linearizable",
            Broken::Unbalanced => "unbalanced",
            Broken::Isolation => "isolation",
            Broken::Constraint => "constraint",
            Broken::Diverged => "diverged",
            Broken::Unavailable => "unavailable",
            Broken::Served => "served while cut off",
            Broken::Drill => "drill",
        }
    }
}

impl Violation {
    pub fn new(what: Broken, evidence: impl Into<String>) -> Violation {
        Violation { what, evidence: evidence.into() }
    }
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.what.word(), self.evidence)
    }
}

/// "1, 2, 3 and 7 more".
pub fn some_of<T: fmt::Display>(items: &[T]) -> String {
    const SHOWN: usize = 5;
    let shown = items.iter().take(SHOWN).map(T::to_string).collect::<Vec<_>>().join(", ");
    match items.len().saturating_sub(SHOWN) {
        0 => shown,
        more => format!("{shown} and {more} more"),
    }
}
