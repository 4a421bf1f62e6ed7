//! Drills: prepare, inject a fault under load, confirm that it took hold, recover, confirm that it is gone, check
//! everything, clean up. `docs/drills.md` says what each does and what is asked of the database meanwhile.
//!
//! ```text
//!   catalogue   the drills by name: which fault, and what each region must do meanwhile
//!   fault       inject, confirm, recover; disk: a file system that can be full
//!   run         the phases of one drill
//!   measure     how long each region was away, from the recorded history
//!   watch       who led and who had a lease, asked all the time; series: throughput and latency, by time
//!   rolling     no fault: every node restarted in order, one after the other
//!   report      the result, as a table with a timeline and as JSON; chart, page: as pictures; archive: as a folder
//! ```
//!
//! A drill touches only tables that it made under a random name, and ends only processes that the testbed started.
pub mod archive;
mod catalogue;
mod chart;
pub mod disk;
mod fault;
mod measure;
mod page;
mod report;
pub mod rolling;
mod run;
mod series;
mod watch;

pub use catalogue::{Drill, Plan, Side};
pub use report::{DrillReport, render, render_spreads, render_summary};
pub use run::{Recorded, Settings, run};
