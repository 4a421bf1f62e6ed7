//! Rows that a session has written and that nobody has counted yet: they are not committed, or not applied.
//!
//! A table's counter will reach at least what it was when the session wrote plus what it wrote, so that much may be expected at
//! once, and nothing is added twice.
use super::{Counts, Statistics};
use crate::catalog::Table;
use crate::layout::StorageId;
use std::sync::Arc;

/// Fewer rows make no difference to a plan.
const ROWS_MIN: u64 = 500;
const TABLES_MAX: usize = 64;

/// What a statement did to so many rows.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Written {
    Inserted,
    Deleted,
    /// Or either.
    Changed,
}

#[derive(Clone, Debug, Default)]
pub struct Expected {
    tables: Vec<(Arc<Table>, Counts, u64)>,
}

impl Expected {
    pub fn note(&mut self, table: &Arc<Table>, written: Written, rows: u64, statistics: &Statistics) {
        let now = statistics.counts(table.storage);
        let at = self.tables.iter().position(|(known, ..)| known.storage == table.storage).unwrap_or_else(|| {
            if self.tables.len() == TABLES_MAX {
                self.tables.remove(0);
            }
            self.tables.push((Arc::clone(table), now, 0));
            self.tables.len() - 1
        });
        let (_, counts, all) = &mut self.tables[at];
        *counts = counts.max(now);
        *all += rows;
        counts.changed += rows;
        match written {
            Written::Inserted => counts.inserted += rows,
            Written::Deleted => counts.deleted += rows,
            Written::Changed => {}
        }
    }

    /// What was noted by a transaction that is committed now.
    pub fn take(&mut self, committed: Expected) {
        for (table, counts, rows) in committed.tables.into_iter().filter(|(_, _, rows)| *rows >= ROWS_MIN) {
            if let Some((_, known, _)) = self.tables.iter_mut().find(|(known, ..)| known.storage == table.storage) {
                *known = known.max(counts);
                continue;
            }
            if self.tables.len() == TABLES_MAX {
                self.tables.remove(0);
            }
            self.tables.push((table, counts, rows));
        }
    }

    /// Forget what has been counted.
    pub fn settle(&mut self, statistics: &Statistics) {
        self.tables.retain(|(table, counts, _)| statistics.counts(table.storage).changed < counts.changed);
    }

    pub fn is_empty(&self) -> bool {
        self.tables.iter().all(|(_, _, rows)| *rows < ROWS_MIN)
    }

    pub fn tables(&self) -> impl Iterator<Item = (&Arc<Table>, Counts)> {
        self.tables.iter().map(|(table, counts, _)| (table, *counts))
    }

    /// What a table's counter has or will have.
    pub fn counts(&self, storage: StorageId, statistics: &Statistics) -> Counts {
        let counted = statistics.counts(storage);
        let expected = self.tables.iter().find(|(table, _, rows)| table.storage == storage && *rows >= ROWS_MIN);
        expected.map_or(counted, |(_, counts, _)| counts.max(counted))
    }
}
