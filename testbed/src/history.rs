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

/// Shared by all clients.
#[derive(Clone, Debug)]
pub struct History {
    origin: Instant,
    operations: Arc<Mutex<Vec<Operation>>>,
}

impl History {
    pub fn begin() -> History {
        History { origin: Instant::now(), operations: Arc::default() }
    }

    pub fn now(&self) -> Moment {
        Moment(self.origin.elapsed().as_micros() as u64)
    }

    pub fn record(&self, operation: Operation) {
        self.operations.lock().push(operation);
    }

    /// Looks at what is recorded so far.
    pub fn with<T>(&self, look: impl FnOnce(&[Operation]) -> T) -> T {
        look(&self.operations.lock())
    }

    pub fn snapshot(&self) -> Vec<Operation> {
        self.operations.lock().clone()
    }
}
