//! The replicated log: a pure state machine. See `docs/protocol.md`.
//!
//! Nothing here reads a clock, a file, a socket or a random source, and nothing waits: inputs are steps,
//! effects come out as one closed enum. The manifest names no crate that could do otherwise.
mod types;
mod message;
mod machine;
mod io;

pub use io::*;
pub use machine::*;
pub use message::*;
pub use types::*;
