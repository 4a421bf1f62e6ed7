//! The log on disk: what a node has acknowledged is here, whatever happens to the process or the power.
//!
//! ```text
//!   Persist, Persist, Persist      apply: frames wait in memory
//!            |
//!          sync                    state file if term or vote moved -> frames -> one fdatasync -> mark
//!            |
//!   segment 7  [header|frame|frame|frame|....0000]   preallocated, append-only
//!   segment 8  [header|frame|frame|00000000000000]
//!   state      cluster, node, boot, term, vote, rot   replaced atomically, rarely
//!   mark       how far the last sync reached          written after each sync, itself never synced
//! ```
//! The bytes are drawn in `docs/formats/journal.md`. One thread drives a [`Journal`] and groups the persists that
//! arrive while it syncs; any thread may read what is durable by a [`JournalReader`].
//!
//! * **J1** Nothing is ever overwritten. Dropping a conflicting tail is a frame of its own, in the same batch as what
//!   replaces it, so that a crash leaves the log before or after, never a mixture.
//! * **J2** Each frame carries the link of all frames before it, so what is accepted at a start is a prefix of what was
//!   written. Each frame also says how far its segment was durable when it was written.
//! * **J3** *Torn or rotten.* What follows the last good frame is a torn tail, and is cut, unless it is known to have been
//!   durable: the mark lies beyond it, a later segment exists, or a good frame behind it says so (J2). Frames of one
//!   batch may reach the disk in any order, so a good frame behind a bad one is no proof by itself; a rule that took it
//!   for one would stop a cluster whose nodes all lost power under load. Known to have been durable and not readable
//!   is rot: `Recovered::rotten_up_to` is set, and stays set over restarts until a leader has sent an entry beyond it.
//! * **J4** A start raises the boot number durably before anything else of it can be seen.
//! * **J5** A directory belongs to one node of one cluster, and an expected one that is empty is an error, never a fresh
//!   start: that node may have voted and acknowledged.
//! * **J6** A failed sync is final; a full disk is not, and refuses before anything is promised.
//!
//! It leaves out: threads and timers (the driver's), what an entry means, and snapshots.
mod error;
mod frame;
mod journal;
mod layout;
mod mark;
mod reader;
mod recovery;
mod seed;
mod segment;
mod shape;
mod state;

pub use error::JournalError;
pub use journal::{Journal, JournalConfig, Start};
pub use reader::JournalReader;
pub use seed::{Seed, Seedling};
pub use state::Identity;

pub type Result<T> = std::result::Result<T, JournalError>;
