//! The replicated log: a pure state machine. `docs/protocol.md` is its rule book.
//!
//! Nothing here reads a clock, a file, a socket or a random source, and nothing waits: inputs are steps,
//! effects come out as one closed enum. The manifest names no crate that could do otherwise.
//!
//! | file | what it knows |
//! | --- | --- |
//! | `types`, `message`, `io`, `machine` | the outside: ids, what nodes say, inputs and effects, what sits on the log |
//! | `codec` | messages and entries as bytes |
//! | `core` | one step: timers, the input, then effects in a fixed order |
//! | `receive` | one message: who may say it, and whom it is for |
//! | `node` | what a node is in any role: term, vote, log, commit, whom it knows |
//! | `follower`, `candidate`, `leader` | the three roles |
//! | `early` | appends that came before what they follow |
//! | `ejection` | when a leader goes on without a slow region, and takes it back |
//! | `election` | whom a node votes for |
//! | `commit` | how far a leader may expose its log |
//! | `leases` | promises made and held |
//! | `witness` | when the witness keeps the log, and from where |
//! | `progress` | how far a leader has brought another node |
//! | `proposals`, `reads` | what this region's sessions wait for |
//! | `rejoin` | what a region begins with that lost its disk |
//! | `waits` | what is sent again, and what is given up |
//! | `contact` | another node's boot, clock readings, round trip |
//! | `log`, `disk` | the entries in memory; what of them is on disk for sure |
//! | `random` | jitter for elections |
//!
//! The driver's part of the bargain: call [`Core::step`] (or [`Core::step_all`] with everything that is there) with a time
//! taken after the inputs arrived; publish [`Core::read_view`] before the first of the step's messages leaves; carry out the
//! effects in their order, `Persist` requests one after the other; call again at [`Core::next_deadline`] at the latest; on
//! `Fatal`, stop.
#![forbid(unsafe_code)]
mod candidate;
pub mod codec;
mod commit;
mod contact;
mod core;
mod disk;
mod early;
mod ejection;
mod election;
mod follower;
mod io;
mod leader;
mod leases;
mod log;
mod machine;
mod message;
mod node;
mod progress;
mod proposals;
mod random;
mod reads;
mod receive;
mod rejoin;
mod types;
mod waits;
mod witness;

pub use self::core::Core;
pub use codec::{DecodeError, decode_entry, decode_message, encode_entry, encode_message};
pub use io::*;
pub use machine::*;
pub use message::*;
pub use rejoin::*;
pub use types::*;
