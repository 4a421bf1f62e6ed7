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
//! - S3: what is read ages: the rows that were added since (`growth`) are added to those that were found, so a table that was
//!   empty when it was read is not taken for empty when it has been filled.
mod collect;
mod expected;
mod growth;

pub use collect::{Collector, SAMPLE_ROWS};
pub use expected::{Expected, Written};
pub use growth::Counts;

use crate::catalog::{Column, Table};
use crate::layout::{StorageId, table_range};
use parking_lot::{Mutex, RwLock};
use std::collections::{HashMap, HashSet};
use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock, Weak};
use std::time::{Duration, Instant};
use trivet_txn::{Database, Observer};
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
#[derive(Default)]
pub struct Statistics {
    tables: RwLock<HashMap<Oid, Known>>,
    epoch: AtomicU64,
    growth: growth::Growth,
    automatic: bool,
    /// Tables that are being read.
    running: Mutex<HashSet<Oid>>,
    /// Where tables are that nobody has read yet.
    stored: OnceLock<Weak<dyn Database>>,
}

#[derive(Clone, Debug)]
struct Known {
    table: Arc<TableStatistics>,
    /// What had been written when it was read.
    counts: Counts,
    /// The epoch that it came with, or that of what it hardly differs from.
    since: u64,
    at: Instant,
}

/// How many rows of a table a plan was made for.
#[derive(Clone, Debug)]
pub struct Believed {
    pub table: Arc<Table>,
    pub rows: f64,
}

impl fmt::Debug for Statistics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Statistics").field("epoch", &self.epoch).finish_non_exhaustive()
    }
}

impl Statistics {
    pub fn new(automatic: bool) -> Statistics {
        Statistics { automatic, ..Statistics::default() }
    }

    /// The statistics of what a database holds, which tells what is written to it from now on.
    pub fn of(database: &Arc<dyn Database>, automatic: bool) -> Arc<Statistics> {
        let statistics = Arc::new(Statistics::new(automatic));
        let _ = statistics.stored.set(Arc::downgrade(database));
        database.observe(Arc::clone(&statistics) as Arc<dyn Observer>);
        statistics
    }

    pub fn epoch(&self) -> u64 {
        self.epoch.load(Ordering::Acquire)
    }

    fn move_on(&self) -> u64 {
        self.epoch.fetch_add(1, Ordering::AcqRel) + 1
    }

    /// Of a table that is stored there.
    pub fn table(&self, table: Oid, storage: StorageId) -> Option<Arc<TableStatistics>> {
        let tables = self.tables.read();
        tables.get(&table).filter(|known| known.table.storage == storage).map(|known| Arc::clone(&known.table))
    }

    /// What has been written of a table.
    pub fn counts(&self, storage: StorageId) -> Counts {
        self.growth.counts(storage)
    }

    /// The rows that a table has by now (S3). Of one that nobody has read: those that were added since anybody counts, or as many
    /// as fit into its files, if those are more.
    pub fn rows(&self, table: &Table, counts: Counts) -> f64 {
        let known = {
            let tables = self.tables.read();
            let known = tables.get(&table.oid).filter(|known| known.table.storage == table.storage);
            known.map(|known| known.table.rows + counts.growth_since(&known.counts))
        };
        let unread = || {
            let database = self.stored.get().and_then(Weak::upgrade);
            let bytes = database.map_or(0, |database| database.stored_bytes(&table_range(table.storage)));
            counts.growth_since(&Counts::default()).max(bytes as f64 / row_bytes(table))
        };
        known.unwrap_or_else(unread).max(0.0)
    }

    /// All of them, for the catalog.
    pub fn all(&self) -> HashMap<Oid, Arc<TableStatistics>> {
        self.tables.read().iter().map(|(oid, known)| (*oid, Arc::clone(&known.table))).collect()
    }

    /// What was read of a table, when so much of it had been written. Plans are made anew only if that is worth it: it was asked
    /// for, or much has changed.
    pub fn put(&self, table: Oid, statistics: TableStatistics, counts: Counts, asked_for: bool) {
        let mut tables = self.tables.write();
        let known = tables.get(&table).filter(|known| {
            let (old, new) = (known.table.rows.max(1.0), statistics.rows.max(1.0));
            !asked_for && known.table.storage == statistics.storage && old <= 2.0 * new && new <= 2.0 * old
        });
        let since = match known {
            Some(known) => known.since,
            None => self.move_on(),
        };
        tables.insert(table, Known { table: Arc::new(statistics), counts, since, at: Instant::now() });
    }

    /// Has a table been read since the epoch, or does it have other numbers of rows than was believed?
    pub fn changed_since(&self, epoch: u64, believed: &[Believed], expected: &Expected) -> bool {
        believed.iter().any(|believed| {
            let read = self.tables.read().get(&believed.table.oid).is_some_and(|known| known.since > epoch);
            let counts = expected.counts(believed.table.storage, self);
            read || out_of_proportion(believed.rows, self.rows(&believed.table, counts))
        })
    }

    /// Is it time to read a table, so much of it having been written? If it never was; and once a minute at most if it was,
    /// unless it has grown out of all proportion.
    pub fn is_wanted(&self, table: &Table, counts: Counts) -> bool {
        // A session's own tables are read by nobody else.
        if !self.automatic || table.is_temporary() {
            return false;
        }
        let tables = self.tables.read();
        let known = tables.get(&table.oid).filter(|known| known.table.storage == table.storage);
        let Some(known) = known else { return true };
        let changed = counts.changed.saturating_sub(known.counts.changed) as f64;
        let many = changed > CHANGES_MIN + CHANGES_FRACTION * known.table.rows;
        let grown = known.table.rows + counts.growth_since(&known.counts);
        many && (known.at.elapsed() >= INTERVAL_MIN || out_of_proportion(known.table.rows, grown))
    }

    /// One reader at a time for each table.
    pub fn begin(self: &Arc<Self>, table: Oid) -> Option<Reading> {
        self.running.lock().insert(table).then(|| Reading { statistics: Arc::clone(self), table })
    }
}

/// What a row of a table takes in a file, compressed, if nobody has seen one.
fn row_bytes(table: &Table) -> f64 {
    const KEY_BYTES: f64 = 16.0;
    let width = |type_oid: Oid| trivet_types::type_info(type_oid).map_or(-1, |info| info.length);
    let bytes =
        |(_, column): (usize, &Column)| if width(column.type_oid) > 0 { width(column.type_oid) as f64 } else { 16.0 };
    KEY_BYTES + table.live_columns().map(bytes).sum::<f64>()
}

/// A plan for so many rows is none for so many.
fn out_of_proportion(believed: f64, rows: f64) -> bool {
    rows > 4.0 * believed + 1000.0 || believed > 10.0 * rows + 1000.0
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
