//! What a region believes of its tables' contents: how many rows, and of each column how many distinct values, how many NULLs,
//! which values are the commonest, how the others spread.
//!
//! Statistics are hints: wrong ones make a plan slow and never an answer wrong. So they are each region's own, in its memory,
//! from a sample that it read itself: nothing goes through the log, a refresh commits nothing and conflicts with nothing, and
//! a region that restarts begins without and finds out again. ANALYZE refreshes those of the region that it is sent to.
//!
//! - S1: what is kept names the storage that it was read from: a table that was emptied or written anew has none.
//! - S2: `epoch` rises with every change, so that a plan is looked at again only if something changed at all; it is made anew
//!   only if a table of its own did.
mod collect;

pub use collect::{Collector, SAMPLE_ROWS};

use crate::layout::StorageId;
use parking_lot::{Mutex, RwLock};
use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};
use trivet_types::{Datum, Oid, compare};

/// `autovacuum_analyze_threshold` and `autovacuum_analyze_scale_factor`.
const CHANGES_MIN: f64 = 50.0;
const CHANGES_FRACTION: f64 = 0.1;
/// `autovacuum_naptime`.
const INTERVAL_MIN: Duration = Duration::from_secs(60);

/// One column, as `pg_stats` shows it.
#[derive(Clone, Debug, PartialEq)]
pub struct ColumnStatistics {
    pub null_fraction: f64,
    /// Average bytes of a value that is not NULL.
    pub width: f64,
    /// As `n_distinct`: a number of values, or, negated, a fraction of the rows.
    pub distinct: f64,
    /// Values with the fraction of all rows that have them, commonest first.
    pub common: Vec<(Datum, f64)>,
    /// Bounds of ranges that hold equally many of the other values.
    pub histogram: Vec<Datum>,
}

impl ColumnStatistics {
    /// How many values there are among so many rows.
    pub fn distinct_of(&self, rows: f64) -> f64 {
        let count = if self.distinct < 0.0 { -self.distinct * rows } else { self.distinct };
        count.clamp(1.0, rows.max(1.0))
    }

    /// The fraction of rows that the histogram speaks for.
    fn uncommon(&self) -> f64 {
        let common: f64 = self.common.iter().map(|(_, fraction)| fraction).sum();
        (1.0 - self.null_fraction - common).max(0.0)
    }

    /// The fraction of rows that are equal to a value; `None`: to some value that is not known yet.
    pub fn equal(&self, type_oid: Oid, value: Option<&Datum>, rows: f64) -> f64 {
        let distinct = self.distinct_of(rows);
        let Some(value) = value else { return ((1.0 - self.null_fraction) / distinct).min(1.0) };
        let known = self.common.iter().find(|(common, _)| compare(type_oid, common, value).is_eq());
        if let Some((_, fraction)) = known {
            return *fraction;
        }
        let others = (distinct - self.common.len() as f64).max(1.0);
        (self.uncommon() / others).min(1.0)
    }

    /// The fraction of rows that are below a value.
    pub fn below(&self, type_oid: Oid, value: &Datum) -> f64 {
        let is_below = |other: &Datum| compare(type_oid, other, value).is_lt();
        let common: f64 = self.common.iter().filter(|(common, _)| is_below(common)).map(|(_, fraction)| fraction).sum();
        let within = match self.histogram.len() {
            0 | 1 => 0.5,
            count => {
                let at = self.histogram.partition_point(is_below);
                match at {
                    0 => 0.0,
                    _ if at == count => 1.0,
                    _ => {
                        let share = position(&self.histogram[at - 1], &self.histogram[at], value);
                        ((at - 1) as f64 + share) / (count - 1) as f64
                    }
                }
            }
        };
        (common + within * self.uncommon()).clamp(0.0, 1.0)
    }
}

/// How far a value is on its way from one bound to the next; a half where values are no numbers.
fn position(low: &Datum, high: &Datum, value: &Datum) -> f64 {
    let number = |datum: &Datum| match datum {
        Datum::Float4(value) => Some(f64::from(*value)),
        Datum::Float8(value) => Some(*value),
        Datum::Date(value) => Some(f64::from(*value)),
        Datum::Timestamp(value) | Datum::Time(value) => Some(*value as f64),
        datum => datum.as_i64().map(|value| value as f64),
    };
    match (number(low), number(high), number(value)) {
        (Some(low), Some(high), Some(value)) if high > low => ((value - low) / (high - low)).clamp(0.0, 1.0),
        _ => 0.5,
    }
}

#[derive(Clone, Debug, PartialEq)]
pub struct TableStatistics {
    /// What was read (S1).
    pub storage: StorageId,
    pub rows: f64,
    /// Average bytes of a stored row.
    pub width: f64,
    /// By the column's place in the table; `None`: not looked at.
    pub columns: Vec<Option<ColumnStatistics>>,
}

/// All that a region knows.
#[derive(Debug, Default)]
pub struct Statistics {
    tables: RwLock<HashMap<Oid, Known>>,
    epoch: AtomicU64,
    /// Rows changed here since a table was last read.
    changes: Mutex<HashMap<Oid, u64>>,
    automatic: bool,
    /// Tables that are being read.
    running: Mutex<HashSet<Oid>>,
}

#[derive(Clone, Debug)]
struct Known {
    table: Arc<TableStatistics>,
    /// The epoch that it came with, or that of what it hardly differs from.
    since: u64,
    at: Instant,
}

impl Statistics {
    pub fn new(automatic: bool) -> Statistics {
        Statistics { automatic, ..Statistics::default() }
    }

    pub fn epoch(&self) -> u64 {
        self.epoch.load(Ordering::Acquire)
    }

    /// Of a table that is stored there.
    pub fn table(&self, table: Oid, storage: StorageId) -> Option<Arc<TableStatistics>> {
        let tables = self.tables.read();
        tables.get(&table).filter(|known| known.table.storage == storage).map(|known| Arc::clone(&known.table))
    }

    /// All of them, for the catalog.
    pub fn all(&self) -> HashMap<Oid, Arc<TableStatistics>> {
        self.tables.read().iter().map(|(oid, known)| (*oid, Arc::clone(&known.table))).collect()
    }

    /// What was read of a table. Plans are made anew only if that is worth it: it was asked for, or much has changed.
    pub fn put(&self, table: Oid, statistics: TableStatistics, asked_for: bool) {
        let mut tables = self.tables.write();
        let known = tables.get(&table).filter(|known| {
            let (old, new) = (known.table.rows.max(1.0), statistics.rows.max(1.0));
            !asked_for && known.table.storage == statistics.storage && old <= 2.0 * new && new <= 2.0 * old
        });
        let since = match known {
            Some(known) => known.since,
            None => self.epoch.fetch_add(1, Ordering::AcqRel) + 1,
        };
        tables.insert(table, Known { table: Arc::new(statistics), since, at: Instant::now() });
        drop(tables);
        self.changes.lock().remove(&table);
    }

    /// Did anything change of these tables since the epoch?
    pub fn changed_since(&self, epoch: u64, tables: &[Oid]) -> bool {
        if self.epoch() == epoch {
            return false;
        }
        let known = self.tables.read();
        tables.iter().any(|table| known.get(table).is_some_and(|known| known.since > epoch))
    }

    /// A statement changed so many rows. Is it time to read the table? Once a minute at most, unless it has grown out of all
    /// proportion.
    pub fn note_changes(&self, table: Oid, rows: u64) -> bool {
        if !self.automatic || rows == 0 {
            return false;
        }
        let known = self.tables.read().get(&table).map(|known| (known.table.rows, known.at));
        let mut changes = self.changes.lock();
        let count = changes.entry(table).or_default();
        *count += rows;
        let count = *count as f64;
        let Some((known, at)) = known else { return count > CHANGES_MIN };
        let many = count > CHANGES_MIN + CHANGES_FRACTION * known;
        many && (at.elapsed() >= INTERVAL_MIN || count > 10.0 * known + 1000.0)
    }

    /// A table without statistics is being planned for. Is it time to read it?
    pub fn is_wanted(&self, table: Oid) -> bool {
        self.automatic && !self.tables.read().contains_key(&table)
    }

    /// One reader at a time for each table.
    pub fn begin(self: &Arc<Self>, table: Oid) -> Option<Reading> {
        self.running.lock().insert(table).then(|| Reading { statistics: Arc::clone(self), table })
    }
}

/// A table is being read.
#[derive(Debug)]
pub struct Reading {
    statistics: Arc<Statistics>,
    table: Oid,
}

impl Drop for Reading {
    fn drop(&mut self) {
        self.statistics.running.lock().remove(&self.table);
    }
}
