//! The gateway against clients: scripted, hostile, and real ones.
mod clients;
mod faults;
mod harness;
mod hostile;
mod lifecycle;
mod programs;
mod security;
mod toy;
mod transcripts;
mod wire;
