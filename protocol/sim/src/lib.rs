//! The replicated log under faults: the real core, the real bytes, everything else simulated, on one thread, from a seed.
//!
//! [`swarm`] runs a seed's mix of faults and says whether a rule of `docs/protocol.md` was broken; a seed that fails is
//! replayed with `trivet-sim --seed N --verbose`. [`measure`] runs single faults under load and says how long what was
//! unavailable. Both are the same for the same seed, wherever they run.
#![forbid(unsafe_code)]
pub mod check;
mod clients;
mod describe;
pub mod disk;
mod effects;
pub mod measure;
pub mod mutation;
pub mod network;
pub mod random;
pub mod store;
pub mod swarm;
pub mod world;
