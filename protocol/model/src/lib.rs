//! The log protocol as a model that a machine can search: every order of events, up to a bound.
//!
//! `docs/protocol.md` is the rule book. This crate says the same rules once more, as small as possible, and asks
//! stateright for a state in which an invariant fails. Then it takes the rules away, one at a time, and expects a
//! counterexample for each: a checker that cannot fail proves nothing.
//!
//! ```text
//!   log          a log is a row of terms
//!   rules        the rules that can be taken away
//!   state        nodes, promises, what was said in each term; what the world has seen
//!   commit       who may expose what: the commit rule and the follower's inference
//!   action       what may happen: elections, appends, disks, crashes, promises
//!   clients      a proposal that is retried, a read that waits
//!   settle       what happens by itself after each action; canonical form
//!   invariants   what must hold in every state, and what must be reached in some
//!   plan         the searches that are run by name
//!   search       stateright, bounds, results
//!   trace        a counterexample as a table
//! ```
//!
//! **How the network is modelled.** Nothing is ever taken out of the network: for each term the state keeps what its
//! leader has said (its longest log) and what it was told (acknowledgements). Any of it may be used at any time, again,
//! or never. So loss, delay, duplication, reordering and cuts in one direction are all there, without queues.
//!
//! **What is eager, and why nothing is lost.** Acknowledging, activating a promise, exposing, and leading once elected
//! happen as soon as they can. Each only adds to what was said, relied on or seen, and nothing is enabled by its absence.
//! So whatever a run does in which one of them comes later, the eager run can do as well; at every moment it has exposed
//! at least as much and holds at least the same leases, and an invariant that fails in the other fails in it. This is
//! what makes the space small enough for exhaustive searches in a test. [`Pace::Lazy`] makes each an action of its own;
//! a test compares the two, rule by rule.
//!
//! **How time is modelled.** It is not. A promise and its holder's reliance on it end together, at any moment, by
//! [`action::Action::Lapse`]. That the holder never outlives the promise is the timing lemma's business (it is a
//! property test beside the real core). Between the holder's end and the promise's the gate only holds back more,
//! which can hide a failure but not make one.
//!
//! Left out: more regions than two, membership changes, checkpoints, PreVote (which protects liveness only), and payloads.
#![forbid(unsafe_code)]

pub mod action;
pub mod clients;
mod commit;
pub mod invariants;
pub mod log;
pub mod plan;
pub mod rules;
pub mod search;
mod settle;
pub mod state;
pub mod trace;

pub use rules::{Rule, Rules};
pub use search::{Bounds, Finding, Report, Search};
pub use settle::Pace;
