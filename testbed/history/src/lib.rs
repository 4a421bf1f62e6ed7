//! Histories of transactions: what clients asked and were told, written so that others can read it, and judged.
//!
//! ```text
//!   event          what a client did: invoke, then ok, fail or info; reads, appends and writes of keys
//!   edn, format    the same as text, in the form that Elle (jepsen-io/elle) reads: docs/formats/history.md
//!   transaction    an invocation with its completion
//!   append         lists that only grow: each read tells the whole order of what came before
//!   register       values that replace each other: the order is inferred, from reads before writes and from time
//!   graph          who must come before whom, and why
//!   components     strongly connected components of a graph, on demand
//!   cycles         the anomalies that are cycles, each by the kinds of its edges
//!   anomaly        their names, and words
//!   check          a history and an isolation level go in, a verdict comes out
//! ```
//!
//! After Adya, *Weak Consistency* (MIT, 1999), and Kingsbury and Alvaro, *Elle: Inferring Isolation Anomalies from
//! Experimental Observations* (VLDB 14, 2020). Nothing here knows a database, a clock or a network.
//!
//! Invariants
//! - **C1 Sound.** What is reported did happen: each edge follows from what was read and, under the strict levels, from
//!   who ended before whom began. What cannot be inferred is left out.
//! - **C2** An indeterminate transaction did happen if somebody saw a write of it, else nothing follows from it. It never
//!   ends, so nobody began after it.
//! - **C3** The work grows with the history and not with its square, as long as nothing is broken.
#![forbid(unsafe_code)]

mod anomaly;
mod append;
mod check;
mod components;
mod cycles;
mod edn;
mod event;
mod format;
mod graph;
mod register;
mod transaction;

pub use anomaly::{Anomaly, Name};
pub use check::{Level, Mixed, Verdict, check};
pub use event::{Action, Event, History, Key, MicroOperation, Process, Seen, Type, Workload};
pub use format::{FormatError, read, write};
pub use transaction::Number;
