//! How tables grow, by what this region's store is given: its own sessions' writes and the other region's alike.
//!
//! An update and an insert look the same in the log, but row ids do not: they are handed out in rising order, one line of them for
//! each start of each region, and never again. So a row is new if its id is, and of each line it is enough to remember the
//! newest few ids: transactions overtake each other by little. An id that comes later than that counts as an update.
//!
//! Counters begin with the process, and a table's go when too many others were written since: they are guesses about which
//! nobody but the planner asks.
use super::Statistics;
use crate::layout::{ROW_KEY_BYTES, StorageId, TABLE_SPACE};
use bytes::Bytes;
use parking_lot::Mutex;
use std::collections::{BTreeSet, HashMap};
use trivet_txn::Observer;

/// Tables that are counted; half of them are forgotten when there are more.
const TABLES_MAX: usize = 4096;
/// Ids of a line that are remembered.
const NEWEST_IDS: usize = 256;
/// A row id is a line (which region, which start of it) and a number of this many bits.
const NUMBER_BITS: u32 = 40;

/// What was written of a table since it is counted.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Counts {
    pub inserted: u64,
    pub deleted: u64,
    /// All writes of rows, these included.
    pub changed: u64,
}

impl Counts {
    pub fn max(self, other: Counts) -> Counts {
        Counts {
            inserted: self.inserted.max(other.inserted),
            deleted: self.deleted.max(other.deleted),
            changed: self.changed.max(other.changed),
        }
    }

    /// Rows more (or less) than at an earlier count.
    pub fn growth_since(&self, earlier: &Counts) -> f64 {
        let inserted = self.inserted.saturating_sub(earlier.inserted);
        let deleted = self.deleted.saturating_sub(earlier.deleted);
        inserted as f64 - deleted as f64
    }
}

#[derive(Debug, Default)]
pub(super) struct Growth {
    tables: Mutex<HashMap<StorageId, Grown>>,
}

#[derive(Debug, Default)]
struct Grown {
    counts: Counts,
    /// Plans are looked at again when so much has changed.
    mark: u64,
    lines: HashMap<u64, Line>,
    /// The version of the newest write, to forget the oldest.
    newest: u64,
}

/// The newest ids of one start of one region.
#[derive(Debug, Default)]
struct Line {
    newest: BTreeSet<u64>,
    /// Ids up to here are known or forgotten.
    floor: u64,
}

impl Line {
    fn is_new(&mut self, id: u64) -> bool {
        if id <= self.floor || !self.newest.insert(id) {
            return false;
        }
        if self.newest.len() > NEWEST_IDS {
            self.floor = self.newest.pop_first().expect("there are many");
        }
        true
    }
}

impl Growth {
    pub fn counts(&self, storage: StorageId) -> Counts {
        self.tables.lock().get(&storage).map_or(Counts::default(), |grown| grown.counts)
    }

    /// Whether some table has changed by so much that its plans should be looked at again.
    fn note(&self, writes: &[(Bytes, u64, Option<Bytes>)]) -> bool {
        let mut is_much = false;
        let mut tables = self.tables.lock();
        for (key, version, value) in writes {
            let Some((storage, id)) = row_of(key) else { continue };
            let grown = tables.entry(storage).or_default();
            grown.newest = *version;
            grown.counts.changed += 1;
            if value.is_none() {
                grown.counts.deleted += 1;
            } else if grown.lines.entry(id >> NUMBER_BITS).or_default().is_new(id) {
                grown.counts.inserted += 1;
            }
            if grown.counts.changed > grown.mark {
                grown.mark = grown.counts.changed + grown.counts.changed / 4 + super::CHANGES_MIN as u64;
                is_much = true;
            }
        }
        if tables.len() > TABLES_MAX {
            let mut ages: Vec<u64> = tables.values().map(|grown| grown.newest).collect();
            let (_, middle, _) = ages.select_nth_unstable(TABLES_MAX / 2);
            let middle = *middle;
            tables.retain(|_, grown| grown.newest > middle);
        }
        is_much
    }
}

fn row_of(key: &[u8]) -> Option<(StorageId, u64)> {
    if key.len() != ROW_KEY_BYTES || key[0] != TABLE_SPACE {
        return None;
    }
    let number = |bytes: &[u8]| u64::from_be_bytes(bytes.try_into().expect("eight bytes"));
    Some((StorageId(number(&key[1..9])), number(&key[9..])))
}

impl Observer for Statistics {
    fn written(&self, writes: &[(Bytes, u64, Option<Bytes>)]) {
        if self.growth.note(writes) {
            self.move_on();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::layout::{RowId, row_key};

    const TABLE: StorageId = StorageId(7);

    fn write(ids: impl IntoIterator<Item = u64>, is_there: bool) -> Vec<(Bytes, u64, Option<Bytes>)> {
        ids.into_iter().map(|id| (row_key(TABLE, RowId(id)), 1, is_there.then(Bytes::new))).collect()
    }

    #[test]
    fn new_rows_are_told_from_changed_ones() {
        let statistics = Statistics::default();
        let counts = |statistics: &Statistics| {
            let counts = statistics.counts(TABLE);
            (counts.inserted, counts.deleted, counts.changed)
        };
        statistics.written(&write(1..=1000, true));
        assert_eq!(counts(&statistics), (1000, 0, 1000));
        // Changed: the oldest, and the newest.
        statistics.written(&write([1, 2, 3, 999, 1000], true));
        assert_eq!(counts(&statistics), (1000, 0, 1005));
        // Of two transactions at once the later ids may come first.
        statistics.written(&write((1101..=1200).chain(1001..=1100), true));
        assert_eq!(counts(&statistics), (1200, 0, 1205));
        // The other region's line begins elsewhere.
        let line = 1 << 58;
        statistics.written(&write(line + 1..=line + 50, true));
        statistics.written(&write(1201..=1250, true));
        assert_eq!(counts(&statistics), (1300, 0, 1305));
        statistics.written(&write(1..=100, false));
        assert_eq!(counts(&statistics), (1300, 100, 1405));
        // What is no row of a table does not count.
        statistics.written(&[(Bytes::from_static(b"\x03 an entry of an index"), 1, Some(Bytes::new()))]);
        assert_eq!(counts(&statistics), (1300, 100, 1405));
    }

    #[test]
    fn plans_are_looked_at_again_ever_more_rarely() {
        let statistics = Statistics::default();
        let mut epochs = BTreeSet::new();
        for id in 1..=100_000 {
            statistics.written(&write([id], true));
            epochs.insert(statistics.epoch());
        }
        assert!((10..60).contains(&epochs.len()), "{}", epochs.len());
    }

    #[test]
    fn tables_that_nobody_writes_are_forgotten() {
        let growth = Growth::default();
        for table in 0..3 * TABLES_MAX as u64 {
            growth.note(&[(row_key(StorageId(table), RowId(1)), table, Some(Bytes::new()))]);
        }
        let kept = growth.tables.lock().len();
        assert!(kept <= TABLES_MAX && kept >= TABLES_MAX / 2, "{kept}");
        assert_eq!(growth.counts(StorageId(3 * TABLES_MAX as u64 - 1)).inserted, 1);
    }
}
