//! Rows without duplicates: by hash, or next to each other in sorted rows.
//!
//! The hash table gives each new row at once. When it has grown to its bound it takes no more: rows that it does not know are
//! dealt out to files by hash, and each file is then gone through in the same way, with a table of its own.
use super::memory::{Held, entry_bytes};
use super::spill::{OwnedReader, Partitions, SpillFile};
use super::{Arc, BATCH_ROWS, Context, Operator, Row};
use async_trait::async_trait;
use hashbrown::HashTable;
use std::hash::{BuildHasher, Hasher};
use trivet_types::{Datum, Oid, PgResult, hash_into, same};

/// Rows by the values of some columns, NULLs being equal.
pub(crate) struct RowTable {
    table: HashTable<usize>,
    pub rows: Vec<Row>,
    hasher: foldhash::fast::RandomState,
}

impl Default for RowTable {
    fn default() -> RowTable {
        RowTable { table: HashTable::new(), rows: Vec::new(), hasher: foldhash::fast::RandomState::default() }
    }
}

impl RowTable {
    /// The same for equal keys, as long as this table lives.
    pub fn hash(&self, key: &[Datum], types: &[Oid]) -> u64 {
        let mut hasher = self.hasher.build_hasher();
        key.iter().zip(types).for_each(|(value, type_oid)| hash_into(*type_oid, value, &mut hasher));
        hasher.finish()
    }

    pub fn find(&self, key: &[Datum], types: &[Oid]) -> Option<usize> {
        self.find_hashed(self.hash(key, types), key, types)
    }

    pub fn find_hashed(&self, hash: u64, key: &[Datum], types: &[Oid]) -> Option<usize> {
        self.table.find(hash, |at| same_row(&self.rows[*at], key, types)).copied()
    }

    /// The place of the key, and whether it is new.
    pub fn insert(&mut self, key: Row, types: &[Oid]) -> (usize, bool) {
        let hash = self.hash(&key, types);
        match self.find_hashed(hash, &key, types) {
            Some(at) => (at, false),
            None => (self.insert_new(hash, key, types), true),
        }
    }

    /// A key that is not there yet.
    pub fn insert_new(&mut self, hash: u64, key: Row, types: &[Oid]) -> usize {
        let at = self.rows.len();
        self.rows.push(key);
        let (rows, hasher) = (&self.rows, &self.hasher);
        self.table.insert_unique(hash, at, |at| {
            let mut state = hasher.build_hasher();
            rows[*at].iter().zip(types).for_each(|(value, type_oid)| hash_into(*type_oid, value, &mut state));
            state.finish()
        });
        at
    }

    /// Empty, and hashing as before.
    pub fn clear(&mut self) {
        self.table.clear();
        self.rows.clear();
    }
}

fn same_row(left: &[Datum], right: &[Datum], types: &[Oid]) -> bool {
    left.iter().zip(right).zip(types).all(|((left, right), type_oid)| same(*type_oid, left, right))
}

/// Depths at which a table still deals out: past 16^6 times its size only equal hashes are left.
pub(crate) const DEPTH_MAX: usize = 6;

/// A table of rows that were seen, and the files of those that it had no room for.
pub(crate) struct Seen {
    types: Vec<Oid>,
    table: RowTable,
    held: Option<Held>,
    depth: usize,
    partitions: Option<Partitions>,
    /// Files that are left, with the depth that deals out what they hold.
    files: Vec<(SpillFile, usize)>,
    reader: Option<OwnedReader>,
}

/// What became of a row.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Fate {
    New,
    Known,
    Later,
}

impl Seen {
    pub fn new(types: Vec<Oid>) -> Seen {
        let (table, files) = (RowTable::default(), Vec::new());
        Seen { types, table, held: None, depth: 0, partitions: None, files, reader: None }
    }

    async fn take(&mut self, context: &mut Context<'_>, key: Row, row: &Row) -> PgResult<Fate> {
        let hash = self.table.hash(&key, &self.types);
        if self.table.find_hashed(hash, &key, &self.types).is_some() {
            return Ok(Fate::Known);
        }
        if let Some(partitions) = &mut self.partitions {
            partitions.push(hash, row).await?;
            return Ok(Fate::Later);
        }
        let held = self.held.get_or_insert_with(|| context.memory.hold());
        if held.exceeds_hash() && self.depth < DEPTH_MAX {
            let mut partitions = Partitions::new(context.memory, self.depth);
            partitions.push(hash, row).await?;
            self.partitions = Some(partitions);
            return Ok(Fate::Later);
        }
        held.grow(entry_bytes(&key))?;
        self.table.insert_new(hash, key, &self.types);
        Ok(Fate::New)
    }

    /// Those of the rows that are new, and of which nothing has to be looked up in a file.
    pub async fn fresh(
        &mut self,
        context: &mut Context<'_>,
        rows: Vec<Row>,
        key_of: impl Fn(&Row) -> Row + Send,
    ) -> PgResult<Vec<Row>> {
        let mut kept = Vec::new();
        for row in rows {
            if self.take(context, key_of(&row), &row).await? == Fate::New {
                kept.push(row);
            }
        }
        Ok(kept)
    }

    /// After the last row: rows out of the files, to be given to `fresh`. None: the end.
    pub async fn later(&mut self, wanted: usize) -> PgResult<Vec<Row>> {
        loop {
            if let Some(reader) = &mut self.reader {
                let rows = reader.batch(wanted).await?;
                if !rows.is_empty() {
                    return Ok(rows);
                }
                self.reader = None;
            }
            if let Some(partitions) = self.partitions.take() {
                let depth = partitions.depth + 1;
                let files = partitions.into_files().into_iter().filter(|file| file.rows() > 0);
                self.files.extend(files.map(|file| (file, depth)));
            }
            let Some((file, depth)) = self.files.pop() else { return Ok(Vec::new()) };
            self.table.clear();
            if let Some(held) = &mut self.held {
                held.clear();
            }
            self.depth = depth;
            self.reader = Some(file.into_reader().await?);
        }
    }
}

pub(crate) struct Distinct {
    input: Box<dyn Operator>,
    columns: Arc<Vec<(usize, Oid)>>,
    seen: Seen,
    ended: bool,
}

impl Distinct {
    pub fn new(input: Box<dyn Operator>, columns: Arc<Vec<(usize, Oid)>>) -> Distinct {
        let types = columns.iter().map(|(_, type_oid)| *type_oid).collect();
        Distinct { input, columns, seen: Seen::new(types), ended: false }
    }
}

#[async_trait]
impl Operator for Distinct {
    async fn next(&mut self, context: &mut Context<'_>, wanted: usize) -> PgResult<Vec<Row>> {
        loop {
            let mut rows = Vec::new();
            if !self.ended {
                rows = self.input.next(context, wanted).await?;
                self.ended = rows.is_empty();
            }
            if self.ended {
                rows = self.seen.later(wanted.min(BATCH_ROWS)).await?;
                if rows.is_empty() {
                    return Ok(rows);
                }
            }
            let columns = Arc::clone(&self.columns);
            let key_of = move |row: &Row| columns.iter().map(|(column, _)| row[*column].clone()).collect();
            let kept = self.seen.fresh(context, rows, key_of).await?;
            if !kept.is_empty() {
                return Ok(kept);
            }
            tokio::task::yield_now().await;
        }
    }
}

/// The first of each run of rows that are equal in these columns: for sorted rows, whose order it keeps.
pub(crate) struct Unique {
    input: Box<dyn Operator>,
    columns: Arc<Vec<(usize, Oid)>>,
    last: Option<Row>,
}

impl Unique {
    pub fn new(input: Box<dyn Operator>, columns: Arc<Vec<(usize, Oid)>>) -> Unique {
        Unique { input, columns, last: None }
    }
}

#[async_trait]
impl Operator for Unique {
    async fn next(&mut self, context: &mut Context<'_>, wanted: usize) -> PgResult<Vec<Row>> {
        loop {
            let rows = self.input.next(context, wanted).await?;
            if rows.is_empty() {
                return Ok(rows);
            }
            let mut kept = Vec::new();
            for row in rows {
                let is_same = self.last.as_ref().is_some_and(|last| {
                    self.columns.iter().zip(last).all(|((column, type_oid), last)| same(*type_oid, &row[*column], last))
                });
                if !is_same {
                    self.last = Some(self.columns.iter().map(|(column, _)| row[*column].clone()).collect());
                    kept.push(row);
                }
            }
            if !kept.is_empty() {
                return Ok(kept);
            }
            tokio::task::yield_now().await;
        }
    }
}
