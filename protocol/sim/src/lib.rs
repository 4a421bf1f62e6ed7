//! The replicated log under faults: the real core, the real messages and journals as bytes, everything else simulated, on
//! one thread, from a seed.
//!
//! ```text
//!   clients: writes, strong reads           history    what they saw, judged at the end
//!      |
//!   Core + Store (a toy machine)            check      I1 to I6 after every step
//!      |                 |
//!   Journal            codec
//!      |                 |
//!   disk               network              world      one queue of events in the order of time
//! ```
//!
//! A swarm (`swarm::run_all` with a [`swarm::Plan`]) runs seeds, each with its own mix of faults:
//!
//! | | |
//! | --- | --- |
//! | links | loss, delay, copies, another order, cuts of one direction or both, flapping, swizzled clogging |
//! | nodes | crashes in the middle of a step's effects, pauses after any step, clean stops, hand-overs, long absence |
//! | disks | what was not synced lost or torn, slow syncs, failed ones, rot, no room; in one profile a region's disk is lost |
//! | clocks | any rate within the bound; in one profile far beyond, and jumps: then only leases and strong reads may be wrong, and that is counted |
//!
//! Then all faults end, and within ten seconds every node must agree and both regions serve. A seed that fails says how to
//! replay it. [`swarm::planted`] plants seven bugs and counts the seeds that notice. [`measure`] runs single faults under load
//! and says how long what was unavailable. All of it is the same for the same seed, wherever it runs.
//!
//! Left out: transactions and MVCC of the region (a toy machine stands for them), the transport (messages are lost and
//! reordered here as no transport of ours would), rot that the journal cannot tell from a torn tail or that takes what is
//! applied, a witness's disk that is lost, and both regions' at a time.
#![forbid(unsafe_code)]
pub mod check;
mod clients;
mod describe;
pub mod disk;
mod effects;
mod faults;
pub mod history;
pub mod image;
pub mod measure;
pub mod mutation;
pub mod network;
pub mod random;
mod rejoin;
pub mod store;
pub mod swarm;
pub mod world;
