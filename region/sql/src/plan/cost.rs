//! What plans cost, as far as they are compared.
//!
//! The unit is the work of one row that goes through one operator's hands, in memory. A table's row is read from RocksDB, by a
//! scan that goes forward (cheap) or by its key (a search through the levels of the tree); an index lookup is one search for
//! where its range begins, then a step for each entry and a search for each row. Measured on one machine: a scan gives about a
//! million rows a second, searches by key in batches some 150,000.
use std::fmt;

/// One row of an operator's input: an expression or two.
pub const ROW: f64 = 1.0;
/// A row that a scan of a table comes across: read, decode, test.
pub const SCAN_ROW: f64 = 3.0;
/// Where a range begins: an iterator is made and searches.
pub const SEEK: f64 = 25.0;
/// An entry of an index.
pub const ENTRY: f64 = 2.0;
/// A row by its key.
pub const FETCH: f64 = 14.0;
/// Into a hash table; looking up in it.
pub const HASH_ROW: f64 = 2.0;
pub const PROBE_ROW: f64 = 1.5;
/// A comparison within a sort.
pub const COMPARE: f64 = 0.4;
/// A row that goes to disk and comes back.
pub const SPILL_ROW: f64 = 4.0;
/// A node that is built anew for each row of another.
pub const START: f64 = 10.0;
/// What a way of doing things costs that is switched off: taken only if there is no other.
pub const DISABLED: f64 = 1.0e12;

/// The settings that plans are made by.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct PlanSettings {
    pub sequential_scan: bool,
    pub index_scan: bool,
    pub nested_loop: bool,
    pub hash_join: bool,
    pub merge_join: bool,
    pub sort: bool,
    pub work_bytes: usize,
}

impl Default for PlanSettings {
    fn default() -> PlanSettings {
        PlanSettings {
            sequential_scan: true,
            index_scan: true,
            nested_loop: true,
            hash_join: true,
            merge_join: true,
            sort: true,
            work_bytes: 4 << 20,
        }
    }
}

impl PlanSettings {
    pub fn penalty(enabled: bool) -> f64 {
        if enabled { 0.0 } else { DISABLED }
    }

    /// Sorting rows of a width.
    pub fn sort_cost(&self, rows: f64, width: f64) -> f64 {
        let rows = rows.max(1.0);
        let spill = if rows * width > self.work_bytes as f64 { rows * SPILL_ROW } else { 0.0 };
        rows * (ROW + COMPARE * rows.log2().max(1.0)) + spill + PlanSettings::penalty(self.sort)
    }

    /// Looking up left rows in a table of right rows.
    pub fn hash_cost(&self, left: f64, right: f64, right_width: f64) -> f64 {
        let spills = right * right_width > 2.0 * self.work_bytes as f64;
        let spill = if spills { (left + right) * SPILL_ROW } else { 0.0 };
        right * HASH_ROW + left * PROBE_ROW + spill + PlanSettings::penalty(self.hash_join)
    }
}

/// What is believed of a node: rows, their width in bytes, and what it costs until its first row and until its last.
#[derive(Clone, Copy, PartialEq, Debug, Default)]
pub struct Estimate {
    pub rows: f64,
    pub width: f64,
    pub startup: f64,
    pub total: f64,
}

impl fmt::Display for Estimate {
    /// As EXPLAIN shows it. Our unit is about a hundredth of PostgreSQL's.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let shown = |cost: f64| cost.min(1.0e15) / 100.0;
        write!(
            f,
            "(cost={:.2}..{:.2} rows={:.0} width={:.0})",
            shown(self.startup),
            shown(self.total),
            self.rows.max(1.0).round(),
            self.width
        )
    }
}
