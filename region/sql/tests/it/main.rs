//! The engine behind the gateway, over a database in memory, asked by a real client.
mod advisory;
mod binary;
mod compat;
mod concurrency;
mod conversation;
mod definitions;
mod limits;
mod memory;
mod past;
mod plans;
mod psql;
mod robustness;
mod server;
mod sizes;
mod transcripts;
