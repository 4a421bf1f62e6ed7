//! Drills: prepare, inject a fault under load, confirm that it took hold, recover, confirm that it is gone, check
//! everything, clean up. `docs/drills.md` says what each does and what is asked of the database meanwhile.
//!
//! ```text
//!   catalogue   the drills by name: which fault, and what each region must do meanwhile
//!   fault       inject, confirm, recover
//!   run         the phases of one drill
//!   measure     how long each region was away, from the recorded history
//!   rolling     no fault: every node restarted in order, one after the other
//!   report      the result, as a table with a timeline and as JSON
//! ```
//!
//! A drill touches only tables that it made under a random name, and ends only processes that the testbed started.
mod catalogue;
mod fault;
mod measure;
mod report;
pub mod rolling;
mod run;

pub use catalogue::{Drill, Plan, Side};
pub use report::{DrillReport, render, render_summary};
pub use run::{Settings, run};
