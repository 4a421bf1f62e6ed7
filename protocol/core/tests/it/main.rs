//! The core by hand: one node, whose peers, disk and clock are the test.
mod elections;
mod fuzz;
mod leases;
mod log;
mod proposals;
mod puppet;
