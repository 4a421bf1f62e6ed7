//! The `trivet` command as a user runs it: real processes, real files, on free ports. What it needs beside itself is
//! built by `cargo build --workspace --bins`; without that each test fails and says so.
mod addresses;
mod both_regions;
mod copies;
mod deploy;
mod drills;
mod harness;
mod lifecycle;
mod mistakes;
mod networks;
mod orders;
