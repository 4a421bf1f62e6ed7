//! Sorting, in memory or through runs on disk.
//!
//! ```text
//!   rows ──> [ work_mem of them, sorted ] ──> run, run, run ... in one temporary file ──> merge ──> rows in order
//! ```
//! - With a limit only its rows can matter: what sorts behind them is dropped whenever twice as many are held, and a run is no
//!   longer than the limit.
//! - The sort is stable: equal rows come in the order in which they arrived, from memory and from runs alike.
//! - A merge reads at most `FAN_IN` runs at a time, a chunk of each; more runs are merged in rounds.
use super::memory::{Held, StatementMemory, row_bytes};
use super::spill::{SpillFile, SpillReader};
use super::watch::Watched;
use super::{Arc, BATCH_ROWS, Context, Operator, Row};
use crate::plan::{Compiled, EvalContext, SortKey, row_count};
use crate::planted::{self, Bug};
use async_trait::async_trait;
use std::cmp::Ordering;
use trivet_types::{Datum, PgResult, compare};

const FAN_IN: usize = 64;
const MERGE_CHUNK_BYTES: usize = 32 << 10;

pub(crate) fn key_of(keys: &[SortKey], eval: EvalContext<'_>, row: &[Datum]) -> PgResult<Vec<Datum>> {
    keys.iter().map(|key| key.expr.eval(eval, row)).collect()
}

/// Order of two rows' keys.
pub(crate) fn compare_keys(left: &[Datum], right: &[Datum], keys: &[SortKey]) -> Ordering {
    for ((left, right), key) in left.iter().zip(right).zip(keys) {
        let nulls_first = key.nulls_first != planted::on(Bug::NullsOrder);
        let order = match (left.is_null(), right.is_null()) {
            (true, true) => Ordering::Equal,
            (true, false) => {
                if nulls_first {
                    Ordering::Less
                } else {
                    Ordering::Greater
                }
            }
            (false, true) => {
                if nulls_first {
                    Ordering::Greater
                } else {
                    Ordering::Less
                }
            }
            (false, false) => {
                let order = compare(key.type_oid, left, right);
                if key.descending { order.reverse() } else { order }
            }
        };
        if order.is_ne() {
            return order;
        }
    }
    Ordering::Equal
}

/// A row with its key before it.
pub(crate) type Keyed = (Vec<Datum>, Row);

/// Takes rows in any order, then gives them in theirs.
pub(crate) struct Sorter {
    keys: Arc<Vec<SortKey>>,
    limit: Option<usize>,
    rows: Vec<Keyed>,
    held: Held,
    file: Option<SpillFile>,
    /// From where to where in the file, oldest first.
    runs: Vec<(u64, u64)>,
    /// Rows were dropped because of the limit.
    dropped: bool,
}

/// How a sort went, for EXPLAIN ANALYZE.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct SortFacts {
    pub method: &'static str,
    pub space: &'static str,
    pub kilobytes: usize,
}

impl Sorter {
    pub fn new(memory: &Arc<StatementMemory>, keys: Arc<Vec<SortKey>>, limit: Option<usize>) -> Sorter {
        let held = memory.hold();
        Sorter { keys, limit, rows: Vec::new(), held, file: None, runs: Vec::new(), dropped: false }
    }

    pub async fn push(&mut self, key: Vec<Datum>, row: Row) -> PgResult<()> {
        self.held.grow(row_bytes(&key) + row_bytes(&row))?;
        self.rows.push((key, row));
        if let Some(limit) = self.limit {
            if self.rows.len() > limit.saturating_mul(2).saturating_add(BATCH_ROWS) {
                self.cut(limit);
            }
        }
        if self.held.exceeds_work() && self.rows.len() > 1 {
            self.write_run().await?;
        }
        Ok(())
    }

    fn sort(&mut self) {
        let keys = &self.keys;
        self.rows.sort_by(|left, right| compare_keys(&left.0, &right.0, keys));
    }

    fn cut(&mut self, limit: usize) {
        self.sort();
        if self.rows.len() > limit {
            self.rows.truncate(limit);
            self.dropped = true;
            self.held.shrink_to(self.rows.iter().map(|(key, row)| row_bytes(key) + row_bytes(row)).sum());
        }
    }

    async fn write_run(&mut self) -> PgResult<()> {
        match self.limit {
            Some(limit) => self.cut(limit),
            None => self.sort(),
        }
        let file = self.file.get_or_insert_with(|| SpillFile::new(self.held.memory()));
        let from = file.position();
        for (mut key, row) in std::mem::take(&mut self.rows) {
            key.extend(row);
            file.push(&key).await?;
        }
        self.runs.push((from, file.position()));
        self.held.clear();
        Ok(())
    }

    /// No more rows come.
    pub async fn finish(mut self) -> PgResult<(Sorted, SortFacts)> {
        if self.runs.is_empty() {
            match self.limit {
                Some(limit) => self.cut(limit),
                None => self.sort(),
            }
            let method = if self.dropped { "top-N heapsort" } else { "quicksort" };
            let facts = SortFacts { method, space: "Memory", kilobytes: self.held.most().div_ceil(1024) };
            return Ok((Sorted::Memory { rows: self.rows.into_iter(), _held: self.held }, facts));
        }
        self.write_run().await?;
        let mut file = self.file.take().expect("a run is in a file");
        file.flush().await?;
        let kilobytes = (file.position() / 1024) as usize;
        let mut runs = std::mem::take(&mut self.runs);
        while runs.len() > FAN_IN {
            let mut next = SpillFile::new(self.held.memory());
            let mut merged = Vec::with_capacity(runs.len().div_ceil(FAN_IN));
            for group in runs.chunks(FAN_IN) {
                let from = next.position();
                let mut merge = Merge::begin(&file, group, &self.keys).await?;
                while let Some(row) = merge.next(&self.keys).await? {
                    next.push(&row).await?;
                }
                merged.push((from, next.position()));
                tokio::task::yield_now().await;
            }
            next.flush().await?;
            (file, runs) = (next, merged);
        }
        let merge = Merge::begin(&file, &runs, &self.keys).await?;
        let facts = SortFacts { method: "external merge", space: "Disk", kilobytes };
        Ok((Sorted::Merged { merge, keys: self.keys, left: self.limit, _file: file }, facts))
    }
}

/// Rows in order.
pub(crate) enum Sorted {
    Memory { rows: std::vec::IntoIter<Keyed>, _held: Held },
    Merged { merge: Merge, keys: Arc<Vec<SortKey>>, left: Option<usize>, _file: SpillFile },
}

impl Sorted {
    pub async fn next(&mut self) -> PgResult<Option<Keyed>> {
        match self {
            Sorted::Memory { rows, .. } => Ok(rows.next()),
            Sorted::Merged { left: Some(0), .. } => Ok(None),
            Sorted::Merged { merge, keys, left, .. } => {
                let Some(mut key) = merge.next(keys).await? else { return Ok(None) };
                if let Some(left) = left {
                    *left -= 1;
                }
                let row = key.split_off(keys.len());
                Ok(Some((key, row)))
            }
        }
    }

    pub async fn batch(&mut self, wanted: usize) -> PgResult<Vec<Row>> {
        let mut rows = Vec::with_capacity(wanted.min(BATCH_ROWS));
        while rows.len() < wanted {
            match self.next().await? {
                Some((_, row)) => rows.push(row),
                None => break,
            }
        }
        Ok(rows)
    }
}

/// The next row of each run, the least first: a heap whose order needs the keys, so it is kept by hand.
pub(crate) struct Merge {
    /// (row with its key before it, run)
    heads: Vec<(Row, usize)>,
    readers: Vec<SpillReader>,
}

impl Merge {
    async fn begin(file: &SpillFile, runs: &[(u64, u64)], keys: &[SortKey]) -> PgResult<Merge> {
        let mut merge = Merge { heads: Vec::with_capacity(runs.len()), readers: Vec::with_capacity(runs.len()) };
        for (at, (from, to)) in runs.iter().enumerate() {
            let mut reader = file.reader_with(*from, *to, MERGE_CHUNK_BYTES);
            if let Some(row) = reader.next().await? {
                merge.heads.push((row, at));
            }
            merge.readers.push(reader);
        }
        for at in (0..merge.heads.len() / 2).rev() {
            merge.sink(at, keys);
        }
        Ok(merge)
    }

    /// Equal rows: the older run's first, which keeps the sort stable.
    fn before(&self, left: usize, right: usize, keys: &[SortKey]) -> bool {
        let ((left, left_run), (right, right_run)) = (&self.heads[left], &self.heads[right]);
        compare_keys(left, right, keys).then(left_run.cmp(right_run)).is_lt()
    }

    fn sink(&mut self, mut at: usize, keys: &[SortKey]) {
        loop {
            let mut least = at;
            for child in [2 * at + 1, 2 * at + 2] {
                if child < self.heads.len() && self.before(child, least, keys) {
                    least = child;
                }
            }
            if least == at {
                return;
            }
            self.heads.swap(at, least);
            at = least;
        }
    }

    async fn next(&mut self, keys: &[SortKey]) -> PgResult<Option<Row>> {
        let Some((_, run)) = self.heads.first() else { return Ok(None) };
        let run = *run;
        let row = match self.readers[run].next().await? {
            Some(next) => std::mem::replace(&mut self.heads[0].0, next),
            None => self.heads.swap_remove(0).0,
        };
        self.sink(0, keys);
        Ok(Some(row))
    }
}

pub(crate) struct Sort {
    input: Box<dyn Operator>,
    keys: Arc<Vec<SortKey>>,
    limit: Option<Arc<Compiled>>,
    sorted: Option<Sorted>,
}

impl Sort {
    pub fn new(input: Box<dyn Operator>, keys: Arc<Vec<SortKey>>, limit: Option<Arc<Compiled>>) -> Sort {
        Sort { input, keys, limit, sorted: None }
    }

    async fn sort(&mut self, context: &mut Context<'_>) -> PgResult<Sorted> {
        let limit = match &self.limit {
            Some(limit) => row_count(limit, context.eval(), &[], "LIMIT")?,
            None => None,
        };
        let mut sorter = Sorter::new(context.memory, Arc::clone(&self.keys), limit);
        let mut count = 0;
        'batches: loop {
            let batch = self.input.next(context, BATCH_ROWS).await?;
            if batch.is_empty() {
                break;
            }
            for row in batch {
                if planted::on(Bug::LimitBeforeOrder) && limit == Some(count) {
                    break 'batches;
                }
                count += 1;
                let key = key_of(&self.keys, context.eval(), &row)?;
                sorter.push(key, row).await?;
            }
            tokio::task::yield_now().await;
        }
        let (sorted, facts) = sorter.finish().await?;
        context.note(Watched::of(&self.keys), |found| found.sort = Some(facts));
        Ok(sorted)
    }
}

#[async_trait]
impl Operator for Sort {
    async fn next(&mut self, context: &mut Context<'_>, wanted: usize) -> PgResult<Vec<Row>> {
        if self.sorted.is_none() {
            self.sorted = Some(self.sort(context).await?);
        }
        self.sorted.as_mut().expect("sorted above").batch(wanted).await
    }
}

#[cfg(test)]
mod tests {
    use super::super::memory::Limits;
    use super::*;
    use trivet_types::oid;

    async fn sorted(work_bytes: usize, limit: Option<usize>) -> (Vec<Row>, SortFacts) {
        let limits = Limits { work_bytes, ..Limits::default() };
        let memory = Arc::new(StatementMemory::new(limits, Arc::new(std::env::temp_dir())));
        let key = SortKey { expr: Compiled::Slot(0), type_oid: oid::INT4, descending: false, nulls_first: false };
        let mut sorter = Sorter::new(&memory, Arc::new(vec![key]), limit);
        for number in 0..3000i32 {
            let value = if number % 11 == 0 { Datum::Null } else { Datum::Int4(number * 7919 % 101) };
            sorter.push(vec![value.clone()], vec![value, Datum::Int4(number)]).await.expect("room");
        }
        let (mut sorted, facts) = sorter.finish().await.expect("room");
        (sorted.batch(usize::MAX).await.expect("rows"), facts)
    }

    #[tokio::test]
    async fn runs_on_disk_give_what_memory_gives() {
        let (expected, facts) = sorted(64 << 20, None).await;
        assert_eq!(expected.len(), 3000);
        assert_eq!(facts.method, "quicksort");
        // 100 runs and more: merged in rounds.
        for work_bytes in [1 << 10, 4 << 10, 64 << 10] {
            let (rows, facts) = sorted(work_bytes, None).await;
            assert_eq!(facts.method, "external merge");
            assert_eq!(rows, expected, "with {work_bytes} bytes");
        }
    }

    #[tokio::test]
    async fn a_limit_gives_the_first_rows() {
        let (all, _) = sorted(64 << 20, None).await;
        for limit in [0, 1, 10, 2999, 5000] {
            for work_bytes in [1 << 10, 64 << 20] {
                let (rows, _) = sorted(work_bytes, Some(limit)).await;
                assert_eq!(rows, all[..limit.min(3000)], "limit {limit} with {work_bytes} bytes");
            }
        }
    }
}
