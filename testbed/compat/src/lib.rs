//! Compared with PostgreSQL: the same statements here and on a PostgreSQL 15 that is started for it, and every difference.
//!
//! ```text
//!   script      files of statements, with sessions          random      statements from a grammar and a seed, and shrinking
//!        \                                                 /
//!         run: the same to both sides, in step, over `wire` (what a client sees, byte for byte)
//!        /                    |                      \
//!   side: PostgreSQL    side: ours (any address)    recorded: what PostgreSQL said, where none is installed
//!        \                    |
//!         answer: two levels ---> ledger: known differences and why ---> report: a table and one figure
//! ```
//!
//! Two levels. *Same*: rows, column names and types, command tags, SQLSTATEs, the transaction's state after each statement.
//! *Identical*: also the words of errors and notices, detail, hint, position, context, names of what was violated, type
//! modifiers. Rows are compared in order only where the statement orders them.
//!
//! This crate is a client: it knows no engine, and is told addresses.
pub mod answer;
pub mod fuzz;
pub mod ledger;
pub mod random;
pub mod recorded;
pub mod reference;
pub mod report;
pub mod run;
pub mod script;
pub mod side;
pub mod wire;

pub use answer::{Agreement, Answer};
pub use ledger::Ledger;
pub use reference::Reference;
pub use run::{Comparison, Outcome, compare_file};
pub use script::Script;
pub use side::Side;
pub use wire::{Address, Connection, Target};
