//! Sequences over two regions (T22).
//!
//! A sequence's state is one row: the last value that was handed out as part of a block. A region takes a block by committing a
//! new state in a short transaction of its own, and only then hands out the block's values, from memory. So a value is given at
//! most once whatever fails, values of the two regions are not in the order of commits, and a restart leaves a gap. `setval` and
//! ALTER SEQUENCE write a new *epoch*, under a key of its own that block taking leaves alone: every `nextval` looks at the epoch at
//! last received and drops a block of an older one.
//!
//! A sequence that the open transaction itself made or altered has no committed state to take blocks of: then the state is
//! advanced within that transaction, value by value, and goes with it if it is rolled back.
mod block;
mod session;

pub use block::{BlockCache, SequenceState};
pub(crate) use block::{locked_state, put_state};
pub(crate) use session::put_epoch;
pub use session::{SessionSequences, next_value, set_value};
