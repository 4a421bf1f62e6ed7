//! UNION, INTERSECT and EXCEPT.
//!
//! The latter two keep a table of rows: how often each is on the right, and whether it was given. When the table has grown to
//! its bound, rows that it does not know are dealt out to files, those of the left side and those of the right side to files
//! of their own, and each pair of files is then gone through in the same way.
use super::distinct::{DEPTH_MAX, RowTable, Seen};
use super::memory::{Held, entry_bytes};
use super::spill::{OwnedReader, Partitions, SpillFile};
use super::{Arc, BATCH_ROWS, Context, Operator, Row};
use crate::parser::tree::SetOperation;
use crate::planted::{self, Bug};
use async_trait::async_trait;
use trivet_types::{Oid, PgResult};

/// Rows of one side: of an operator, or out of a file.
enum Source {
    Operator(Box<dyn Operator>),
    File(OwnedReader),
}

impl Source {
    async fn next(&mut self, context: &mut Context<'_>, wanted: usize) -> PgResult<Vec<Row>> {
        match self {
            Source::Operator(operator) => operator.next(context, wanted).await,
            Source::File(reader) => reader.batch(wanted).await,
        }
    }
}

/// One pass: all rows of the right side, then all of the left.
struct Pass {
    left: Source,
    right: Source,
    right_ended: bool,
    depth: usize,
    later: Option<(Partitions, Partitions)>,
}

#[derive(Clone, Copy, Default)]
struct Entry {
    /// How often it is on the right and has not been used up (ALL).
    count: usize,
    given: bool,
}

pub(crate) struct SetOperator {
    operation: SetOperation,
    all: bool,
    types: Arc<Vec<Oid>>,
    /// UNION's rows.
    seen: Seen,
    left_ended: bool,
    ended: bool,
    pass: Option<Pass>,
    passes: Vec<(SpillFile, SpillFile, usize)>,
    table: RowTable,
    entries: Vec<Entry>,
    held: Option<Held>,
}

impl SetOperator {
    pub fn new(
        operation: SetOperation,
        all: bool,
        left: Box<dyn Operator>,
        right: Box<dyn Operator>,
        types: Arc<Vec<Oid>>,
    ) -> SetOperator {
        let (left, right) = (Source::Operator(left), Source::Operator(right));
        SetOperator {
            operation,
            all,
            seen: Seen::new(types.to_vec()),
            types,
            left_ended: false,
            ended: false,
            pass: Some(Pass { left, right, right_ended: false, depth: 0, later: None }),
            passes: Vec::new(),
            table: RowTable::default(),
            entries: Vec::new(),
            held: None,
        }
    }

    async fn union(&mut self, context: &mut Context<'_>, wanted: usize) -> PgResult<Vec<Row>> {
        loop {
            let mut rows = Vec::new();
            if let (false, Some(pass)) = (self.ended, &mut self.pass) {
                let input = if self.left_ended { &mut pass.right } else { &mut pass.left };
                rows = input.next(context, wanted).await?;
                if rows.is_empty() {
                    self.ended = self.left_ended;
                    self.left_ended = true;
                    continue;
                }
                if self.all {
                    return Ok(rows);
                }
            }
            if self.ended {
                rows = self.seen.later(wanted.min(BATCH_ROWS)).await?;
                if rows.is_empty() {
                    return Ok(rows);
                }
            }
            let fresh = self.seen.fresh(context, rows, Row::clone).await?;
            if !fresh.is_empty() {
                return Ok(fresh);
            }
            tokio::task::yield_now().await;
        }
    }

    /// The row's entry, made if need be and there is room; `None`: the row went to a file.
    async fn entry(&mut self, context: &mut Context<'_>, row: &Row, is_left: bool) -> PgResult<Option<usize>> {
        let hash = self.table.hash(row, &self.types);
        if let Some(at) = self.table.find_hashed(hash, row, &self.types) {
            return Ok(Some(at));
        }
        let held = self.held.get_or_insert_with(|| context.memory.hold());
        let Some(pass) = &mut self.pass else { return Ok(None) };
        if pass.later.is_none() && held.exceeds_hash() && pass.depth < DEPTH_MAX {
            let partitions = || Partitions::new(context.memory, pass.depth);
            pass.later = Some((partitions(), partitions()));
        }
        if let Some((left, right)) = &mut pass.later {
            let side = if is_left { left } else { right };
            side.push(hash, row).await?;
            return Ok(None);
        }
        held.grow(entry_bytes(row) + std::mem::size_of::<Entry>())?;
        self.entries.push(Entry::default());
        Ok(Some(self.table.insert_new(hash, row.clone(), &self.types)))
    }

    /// Is the left row, with this entry, part of the result?
    fn gives(&mut self, at: usize) -> bool {
        let entry = &mut self.entries[at];
        let there = entry.count > 0;
        let counts = !(planted::on(Bug::ExceptAllCounts) && self.operation == SetOperation::Except);
        if self.all && there && counts {
            entry.count -= 1;
        }
        let keep = there == (self.operation == SetOperation::Intersect);
        let first = !entry.given;
        entry.given |= keep;
        keep && (self.all || first)
    }

    async fn counted(&mut self, context: &mut Context<'_>, wanted: usize) -> PgResult<Vec<Row>> {
        loop {
            tokio::task::yield_now().await;
            let Some(pass) = &mut self.pass else {
                let Some((left, right, depth)) = self.passes.pop() else { return Ok(Vec::new()) };
                self.table.clear();
                self.entries.clear();
                if let Some(held) = &mut self.held {
                    held.clear();
                }
                let left = Source::File(left.into_reader().await?);
                let right = Source::File(right.into_reader().await?);
                self.pass = Some(Pass { left, right, right_ended: false, depth, later: None });
                continue;
            };
            if !pass.right_ended {
                let rows = pass.right.next(context, BATCH_ROWS).await?;
                pass.right_ended = rows.is_empty();
                for row in rows {
                    if let Some(at) = self.entry(context, &row, false).await? {
                        self.entries[at].count += 1;
                    }
                }
                continue;
            }
            let rows = pass.left.next(context, wanted.min(BATCH_ROWS)).await?;
            if rows.is_empty() {
                let depth = pass.depth + 1;
                if let Some((left, right)) = self.pass.take().and_then(|pass| pass.later) {
                    let pairs = left.into_files().into_iter().zip(right.into_files());
                    let pairs = pairs.filter(|(left, _)| left.rows() > 0);
                    self.passes.extend(pairs.map(|(left, right)| (left, right, depth)));
                }
                continue;
            }
            let mut kept = Vec::new();
            for row in rows {
                if let Some(at) = self.entry(context, &row, true).await? {
                    if self.gives(at) {
                        kept.push(row);
                    }
                }
            }
            if !kept.is_empty() {
                return Ok(kept);
            }
        }
    }
}

#[async_trait]
impl Operator for SetOperator {
    async fn next(&mut self, context: &mut Context<'_>, wanted: usize) -> PgResult<Vec<Row>> {
        match self.operation {
            SetOperation::Union => self.union(context, wanted).await,
            SetOperation::Intersect | SetOperation::Except => self.counted(context, wanted).await,
        }
    }
}
