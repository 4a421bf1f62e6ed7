//! What can be wrong with a history, by name.
use crate::check::Level;
use crate::transaction::Number;
use std::fmt;

/// Adya's names where there is one, else Elle's.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Name {
    /// A transaction does not read its own writes, or reads a key twice and differently.
    Internal,
    /// A value was read that nobody wrote.
    Invented,
    /// One value is in a list twice, or was written twice.
    Duplicate,
    /// Two reads of a list of which neither begins the other.
    IncompatibleOrder,
    /// A write of an aborted transaction was read.
    G1a,
    /// A version was read that its writer replaced itself.
    G1b,
    /// A cycle of ww: writes of two transactions lie between each other.
    G0,
    /// A cycle of ww and wr: each read what the other wrote, or followed it.
    G1c,
    /// Two transactions read one version, and both replaced it.
    LostUpdate,
    /// A cycle with one rw: half of a transaction was seen.
    GSingle,
    /// A cycle with several rw, no two in a row: two readers saw two writers in different orders.
    LongFork,
    /// A read that began after a write had ended did not see it.
    StaleRead,
    /// A cycle that needs the order in time and is no stale read.
    RealTime,
    /// A cycle with two rw in a row: each missed what the other wrote. Snapshot isolation has it.
    WriteSkew,
    /// The same, with the order in time. Strict snapshot isolation has it.
    WriteSkewInTime,
}

impl Name {
    pub fn words(self) -> &'static str {
        match self {
            Name::Internal => "internal inconsistency",
            Name::Invented => "invented value",
            Name::Duplicate => "duplicate",
            Name::IncompatibleOrder => "incompatible order",
            Name::G1a => "G1a (aborted read)",
            Name::G1b => "G1b (intermediate read)",
            Name::G0 => "G0 (dirty write)",
            Name::G1c => "G1c (circular information flow)",
            Name::LostUpdate => "lost update",
            Name::GSingle => "G-single (read skew)",
            Name::LongFork => "long fork",
            Name::StaleRead => "stale read",
            Name::RealTime => "real-time violation",
            Name::WriteSkew => "G2-item (write skew)",
            Name::WriteSkewInTime => "G2-item in real time (write skew)",
        }
    }

    /// Whether an isolation level excludes it.
    pub fn is_excluded_by(self, level: Level) -> bool {
        match self {
            Name::WriteSkew => level.is_serializable(),
            Name::StaleRead | Name::RealTime => level.is_strict(),
            Name::WriteSkewInTime => level == Level::StrictSerializability,
            _ => true,
        }
    }
}

#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Anomaly {
    pub name: Name,
    /// Those that it takes.
    pub transactions: Vec<Number>,
    /// Why, a sentence a line.
    pub why: Vec<String>,
}

impl fmt::Display for Anomaly {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.name.words())?;
        self.why.iter().try_for_each(|line| write!(f, "\n  {line}"))
    }
}
