//! The `trivet` command as a user runs it: real processes, real files, on free ports. What it needs beside itself is
//! built by `cargo build --workspace --bins`; without that each test fails and says so.
mod both_regions;
mod copies;
mod drills;
mod harness;
mod lifecycle;
mod networks;
mod orders;
