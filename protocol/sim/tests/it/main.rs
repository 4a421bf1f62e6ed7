//! The real core under faults from seeds, with every rule in place and with each taken away.
mod latency;
mod mutations;
mod swarm;
mod transcripts;
mod traps;
