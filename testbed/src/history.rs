//! What the load's clients did and saw, on one clock.
//!
//! All clients of a drill live in one process, so one monotonic clock orders what they did: `one.ended < other.begun`
//! really means before, across regions. The checkers in [`crate::check`] read nothing else.
//!
//! Outcomes are what the client knows. [`Outcome::Unknown`] is a commit without an answer (the connection broke, or the
//! server said 40003): it may have happened, may happen later, or never. [`Outcome::NotDone`] is a promise by the server
//! that it did not happen and will not; the checkers hold it to that.
use crate::place::Place;
use parking_lot::Mutex;
use serde::Serialize;
use std::sync::Arc;
use std::time::{Duration, Instant};
use trivet_history::MicroOperation;

/// Microseconds since the history began.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default, Serialize)]
pub struct Moment(pub u64);

impl Moment {
    pub const NEVER: Moment = Moment(u64::MAX);

    pub fn since(self, earlier: Moment) -> Duration {
        Duration::from_micros(self.0.saturating_sub(earlier.0))
    }

    pub fn plus(self, duration: Duration) -> Moment {
        Moment(self.0.saturating_add(duration.as_micros() as u64))
    }

    pub fn seconds(self) -> f64 {
        self.0 as f64 / 1e6
    }
}

#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// A row with an id that is used once.
    Insert { id: i64 },
    /// A blind write of a value that is used once.
    Write { key: i32, value: i64 },
    /// An amount moves between two accounts, in one transaction.
    Transfer,
    /// `None`: there was no such row.
    Read { key: i32, value: Option<i64> },
    /// A look for a row whose insert had been acknowledged before this began.
    Look { id: i64, found: bool },
    /// All balances in one statement; their sum must never change.
    Sum { sum: i64 },
    /// A new connection, closed at once.
    Connect,
}

impl Kind {
    pub fn is_write(&self) -> bool {
        matches!(self, Kind::Insert { .. } | Kind::Write { .. } | Kind::Transfer)
    }

    pub fn is_read(&self) -> bool {
        matches!(self, Kind::Read { .. } | Kind::Look { .. } | Kind::Sum { .. })
    }
}

/// SQLSTATE, or a word for what has none: "connection", "timeout".
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize)]
pub struct Code(pub String);

impl Code {
    pub fn of(text: &str) -> Code {
        Code(text.to_owned())
    }

    /// The server refuses to serve for now.
    pub fn is_refusal(&self) -> bool {
        matches!(self.0.as_str(), "57P03" | "40003" | "08007")
    }
}

#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    Done,
    NotDone(Code),
    Unknown(Code),
}

#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct Operation {
    pub region: Place,
    pub kind: Kind,
    pub begun: Moment,
    /// When the client had the answer, or gave up.
    pub ended: Moment,
    pub outcome: Outcome,
}

impl Operation {
    pub fn is_done(&self) -> bool {
        self.outcome == Outcome::Done
    }

    pub fn code(&self) -> Option<&Code> {
        match &self.outcome {
            Outcome::Done => None,
            Outcome::NotDone(code) | Outcome::Unknown(code) => Some(code),
        }
    }
}

/// A piece of one of the transactional workloads ([`crate::load`]), each with a checker of its own.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Deed {
    /// One client has one deed under way, and after one of unknown fate goes on under a new number.
    pub process: u64,
    pub region: Place,
    pub what: What,
    pub begun: Moment,
    pub ended: Moment,
    pub outcome: Outcome,
}

#[derive(Clone, PartialEq, Eq, Debug)]
pub enum What {
    /// Appends to lists and reads of them, in one REPEATABLE READ transaction. Reads are filled in if it is done.
    Lists(Vec<MicroOperation>),
    /// Writes of registers and reads of them, in one SERIALIZABLE transaction.
    Cells(Vec<MicroOperation>),
    /// Three neighbours of the ring change places.
    Turn,
    /// The whole ring as (place, next place).
    Walk(Vec<(i32, i32)>),
    /// A row with a name that others want too. Not won: it was told that the name is taken.
    Claim { id: i64, name: i64, won: bool },
    /// A row that others refer to.
    Parent { id: i64 },
    /// A row that refers to a parent. Not done: it was told that there is no such parent.
    Adopt { child: i64, parent: i64, done: bool },
    /// Not done: it was told that there are children, or found nothing.
    Orphan { parent: i64, done: bool },
    /// A value of a sequence.
    Draw { value: i64 },
    /// A row of the table whose columns and indexes change.
    Mark { id: i64 },
    /// A look for such a row by what may be an index, after it was acknowledged.
    Find { id: i64, found: bool },
    /// A column or an index comes or goes.
    Define { statement: String },
    /// Many rows in one transaction, larger than what travels in one piece.
    Bulk { batch: i64 },
    /// How many rows of such a batch there are.
    Weigh { batch: i64, rows: i64 },
}

impl What {
    /// Of all workloads, so that one that did nothing is noticed.
    pub const KINDS: [&str; 14] = [
        "lists", "cells", "turn", "walk", "claim", "parent", "adopt", "orphan", "draw", "mark", "find", "define",
        "bulk", "weigh",
    ];

    pub fn kind(&self) -> &'static str {
        match self {
            What::Lists(_) => "lists",
            What::Cells(_) => "cells",
            What::Turn => "turn",
            What::Walk(_) => "walk",
            What::Claim { .. } => "claim",
            What::Parent { .. } => "parent",
            What::Adopt { .. } => "adopt",
            What::Orphan { .. } => "orphan",
            What::Draw { .. } => "draw",
            What::Mark { .. } => "mark",
            What::Find { .. } => "find",
            What::Define { .. } => "define",
            What::Bulk { .. } => "bulk",
            What::Weigh { .. } => "weigh",
        }
    }
}

/// Shared by all clients.
#[derive(Clone, Debug)]
pub struct History {
    origin: Instant,
    operations: Arc<Mutex<Vec<Operation>>>,
    deeds: Arc<Mutex<Vec<Deed>>>,
}

impl History {
    pub fn begin() -> History {
        History { origin: Instant::now(), operations: Arc::default(), deeds: Arc::default() }
    }

    pub fn now(&self) -> Moment {
        Moment(self.origin.elapsed().as_micros() as u64)
    }

    pub fn record(&self, operation: Operation) {
        self.operations.lock().push(operation);
    }

    pub fn record_deed(&self, deed: Deed) {
        self.deeds.lock().push(deed);
    }

    pub fn deeds(&self) -> Vec<Deed> {
        self.deeds.lock().clone()
    }

    /// Looks at what is recorded so far.
    pub fn with<T>(&self, look: impl FnOnce(&[Operation]) -> T) -> T {
        look(&self.operations.lock())
    }

    pub fn snapshot(&self) -> Vec<Operation> {
        self.operations.lock().clone()
    }
}
