//! A node: the pure log core with threads, timers, disk, network, metrics and HTTP around it.
//!
//! ```text
//!  sessions, applier                       peers
//!        |  propose, applied, read_index     |  frames
//!        v                                   v
//!     +--------- one queue of commands -------------+
//!     | core thread: step, step, step               |
//!     |   within each step, under the gate's lock:  |----> ReadGate <---- readers (never through the queue)
//!     |     machine and read view change together   |
//!     |   then the step's effects, in order         |
//!     +--+---------------+--------------+-----------+
//!        | Persist        | Load         | Send            Resolved, Apply, ReadReady
//!        v                v              v                        |
//!   journal thread   loader thread   transport (own thread)       v
//!   groups into one fsync                                  waiting sessions, applier
//! ```
//!
//! Invariants
//! - **D1** The read view that a step leaves is published before any message of that step leaves. Whoever hears of
//!   an entry from this node can no longer be answered here by a reader that does not see it.
//! - **D2** A reader's clock sample, its lease check and its snapshot are one critical section, which no step can enter;
//!   what a reader registers in it ([`ReadGate::begin_with`]) is seen by every later truncation.
//! - **D3** `Persisted` follows the fsync of everything up to it, never precedes it. An fsync that fails ends the process.
//! - **D4** The core thread never waits: not for the disk, the network, the applier or a session. Queues that it fills
//!   are unbounded but their content is bounded elsewhere: loads by the core's own windows, persists and applies by
//!   holding back what peers send (their permits), by the leader's bound on what is uncommitted, and by
//!   [`NodeHandle::apply_backlog`], which a region looks at before it proposes.
//! - **D5** Time for leases is CLOCK_BOOTTIME and nothing else. `Instant` stops while a machine sleeps; it is used here
//!   for metrics and for bounds on waiting only.
mod clock;
mod commands;
pub mod config;
mod disk;
mod driver;
mod failure;
mod gate;
mod handle;
mod health;
pub mod http;
pub mod logging;
mod measure;
pub mod notify;
pub mod prometheus;
pub mod rotation;
mod start;
mod storage;
mod wire;
mod work;

pub use clock::now;
pub use config::{ConfigError, ConfigFile, ExtraSections, NoExtra, NodeConfig};
pub use failure::{EXIT_DISK, EXIT_DISK_FULL, Failure};
pub use gate::{Begun, ReadGate};
pub use handle::{NodeHandle, NodeStatus};
pub use health::{Health, Serving};
pub use measure::certificate as tell_certificate;
pub use start::{Node, NodeOptions, Opened, StartError};
pub use work::{ApplyReceiver, Work};
