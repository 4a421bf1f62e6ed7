//! What changes the shape of a stream of rows: filter, projection, order, distinctness, limits, set operations.
use super::rows::call_set;
use super::subplan::Subqueries;
use super::{Arc, BATCH_ROWS, Context, Operator, Row, gather};
use crate::parser::tree::SetOperation;
use crate::plan::{Compiled, EvalContext, SetTarget, SortKey, Subplan, row_count};
use crate::planted::{self, Bug};
use async_trait::async_trait;
use hashbrown::HashTable;
use std::cmp::Ordering;
use std::hash::{BuildHasher, Hasher};
use trivet_types::{Datum, Oid, PgResult, compare, hash_into, same};

pub(crate) struct Filter {
    pub input: Box<dyn Operator>,
    pub predicate: Arc<Compiled>,
}

#[async_trait]
impl Operator for Filter {
    async fn next(&mut self, context: &mut Context<'_>, wanted: usize) -> PgResult<Vec<Row>> {
        loop {
            let rows = self.input.next(context, wanted).await?;
            if rows.is_empty() {
                return Ok(rows);
            }
            let mut kept = Vec::with_capacity(rows.len());
            let eval = context.eval();
            for row in rows {
                if self.predicate.test(eval, &row)? {
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

pub(crate) struct Project {
    pub input: Box<dyn Operator>,
    pub exprs: Arc<Vec<Compiled>>,
}

#[async_trait]
impl Operator for Project {
    async fn next(&mut self, context: &mut Context<'_>, wanted: usize) -> PgResult<Vec<Row>> {
        let rows = self.input.next(context, wanted).await?;
        let eval = context.eval();
        rows.iter().map(|row| self.exprs.iter().map(|expr| expr.eval(eval, row)).collect()).collect()
    }
}

/// Each input row yields as many rows as its longest set; shorter ones are filled with NULL.
pub(crate) struct ProjectSet {
    input: Box<dyn Operator>,
    exprs: Arc<Vec<SetTarget>>,
    pending: std::vec::IntoIter<Row>,
    current: Option<(Row, Vec<Option<trivet_types::functions::Rows>>)>,
}

impl ProjectSet {
    pub fn new(input: Box<dyn Operator>, exprs: Arc<Vec<SetTarget>>) -> ProjectSet {
        ProjectSet { input, exprs, pending: Vec::new().into_iter(), current: None }
    }

    fn open(&self, row: Row, context: &Context<'_>) -> PgResult<(Row, Vec<Option<trivet_types::functions::Rows>>)> {
        let eval = context.eval();
        let mut sets = Vec::with_capacity(self.exprs.len());
        for target in self.exprs.iter() {
            sets.push(match target {
                SetTarget::Plain(_) => None,
                SetTarget::Set { procedure, arguments } => {
                    let values =
                        arguments.iter().map(|argument| argument.eval(eval, &row)).collect::<PgResult<Vec<_>>>()?;
                    Some(call_set(procedure, &values, context)?)
                }
            });
        }
        Ok((row, sets))
    }
}

#[async_trait]
impl Operator for ProjectSet {
    async fn next(&mut self, context: &mut Context<'_>, wanted: usize) -> PgResult<Vec<Row>> {
        let mut out = Vec::with_capacity(wanted.min(BATCH_ROWS));
        while out.len() < wanted {
            let Some((row, sets)) = &mut self.current else {
                match self.pending.next() {
                    Some(row) => self.current = Some(self.open(row, context)?),
                    None => {
                        let rows = self.input.next(context, BATCH_ROWS).await?;
                        if rows.is_empty() {
                            break;
                        }
                        self.pending = rows.into_iter();
                    }
                }
                continue;
            };
            let mut values = Vec::with_capacity(sets.len());
            let mut any = false;
            for set in sets.iter_mut() {
                values.push(match set.as_mut().map(Iterator::next) {
                    Some(Some(value)) => {
                        any = true;
                        Some(value?)
                    }
                    Some(None) => Some(Datum::Null),
                    None => None,
                });
            }
            if !any {
                self.current = None;
                continue;
            }
            let eval = context.eval();
            let mut result = Vec::with_capacity(values.len());
            for (value, target) in values.into_iter().zip(self.exprs.iter()) {
                result.push(match (value, target) {
                    (Some(value), _) => value,
                    (None, SetTarget::Plain(expr)) => expr.eval(eval, row)?,
                    (None, SetTarget::Set { .. }) => Datum::Null,
                });
            }
            out.push(result);
        }
        context.breathe(out.len()).await;
        Ok(out)
    }
}

pub(crate) struct Cut {
    pub input: Box<dyn Operator>,
    pub width: usize,
}

#[async_trait]
impl Operator for Cut {
    async fn next(&mut self, context: &mut Context<'_>, wanted: usize) -> PgResult<Vec<Row>> {
        let mut rows = self.input.next(context, wanted).await?;
        rows.iter_mut().for_each(|row| row.truncate(self.width));
        Ok(rows)
    }
}

pub(crate) struct Limit {
    input: Box<dyn Operator>,
    limit: Option<Arc<Compiled>>,
    offset: Option<Arc<Compiled>>,
    /// Rows to pass over and rows to let through, once they are known.
    left: Option<(usize, usize)>,
    ties: Option<Arc<Vec<SortKey>>>,
    /// WITH TIES: the key of the last row that was let through.
    last: Option<Vec<Datum>>,
    subqueries: Subqueries,
}

impl Limit {
    pub fn new(
        input: Box<dyn Operator>,
        limit: Option<Arc<Compiled>>,
        offset: Option<Arc<Compiled>>,
        ties: Option<Arc<Vec<SortKey>>>,
        subplans: Arc<Vec<Subplan>>,
    ) -> Limit {
        Limit { input, limit, offset, left: None, ties, last: None, subqueries: Subqueries::new(subplans) }
    }

    /// The rows after the limit that equal its last one.
    async fn tied(&mut self, context: &mut Context<'_>, wanted: usize) -> PgResult<Vec<Row>> {
        let (Some(keys), Some(last)) = (&self.ties, &self.last) else { return Ok(Vec::new()) };
        let mut rows = self.input.next(context, wanted).await?;
        let eval = context.eval();
        let mut kept = 0;
        for row in &rows {
            if compare_keys(&key_of(keys, eval, row)?, last, keys).is_ne() {
                break;
            }
            kept += 1;
        }
        if kept < rows.len() {
            rows.truncate(kept);
            self.last = None;
        }
        Ok(rows)
    }
}

#[async_trait]
impl Operator for Limit {
    async fn next(&mut self, context: &mut Context<'_>, wanted: usize) -> PgResult<Vec<Row>> {
        if self.left.is_none() {
            let mut values = Row::new();
            self.subqueries.extend(context, &mut values).await?;
            let count = |expr: &Option<Arc<Compiled>>, what| match expr {
                Some(expr) => row_count(expr, context.eval(), &values, what),
                None => Ok(None),
            };
            let offset = count(&self.offset, "OFFSET")?.unwrap_or(0);
            let limit = count(&self.limit, "LIMIT")?.unwrap_or(usize::MAX);
            self.left = Some((offset, limit));
        }
        let (skip, pass) = self.left.as_mut().expect("set above");
        while *pass > 0 {
            let ask = wanted.min((*pass).saturating_add(*skip));
            let mut rows = self.input.next(context, ask).await?;
            if rows.is_empty() {
                *pass = 0;
                break;
            }
            let skipped = (*skip).min(rows.len());
            rows.drain(..skipped);
            *skip -= skipped;
            if rows.len() > *pass {
                rows.truncate(*pass);
            }
            *pass -= rows.len();
            if let (0, Some(keys), Some(row)) = (*pass, &self.ties, rows.last()) {
                self.last = Some(key_of(keys, context.eval(), row)?);
            }
            if !rows.is_empty() {
                return Ok(rows);
            }
        }
        self.tied(context, wanted).await
    }
}

fn key_of(keys: &[SortKey], eval: EvalContext<'_>, row: &[Datum]) -> PgResult<Vec<Datum>> {
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

pub(crate) struct Sort {
    input: Box<dyn Operator>,
    keys: Arc<Vec<SortKey>>,
    limit: Option<Arc<Compiled>>,
    sorted: Option<std::vec::IntoIter<(Vec<Datum>, Row)>>,
}

impl Sort {
    pub fn new(input: Box<dyn Operator>, keys: Arc<Vec<SortKey>>, limit: Option<Arc<Compiled>>) -> Sort {
        Sort { input, keys, limit, sorted: None }
    }

    async fn sort(&mut self, context: &mut Context<'_>) -> PgResult<()> {
        let limit = match &self.limit {
            Some(limit) => row_count(limit, context.eval(), &[], "LIMIT")?,
            None => None,
        };
        let mut rows: Vec<(Vec<Datum>, Row)> = Vec::new();
        loop {
            let batch = self.input.next(context, BATCH_ROWS).await?;
            if batch.is_empty() {
                break;
            }
            let eval = context.eval();
            for row in batch {
                if planted::on(Bug::LimitBeforeOrder) && limit == Some(rows.len()) {
                    break;
                }
                let key = self.keys.iter().map(|key| key.expr.eval(eval, &row)).collect::<PgResult<Vec<_>>>()?;
                rows.push((key, row));
            }
            // With a LIMIT only its rows can matter.
            if let Some(limit) = limit {
                if rows.len() > limit.saturating_mul(2).saturating_add(BATCH_ROWS) {
                    rows.sort_by(|left, right| compare_keys(&left.0, &right.0, &self.keys));
                    rows.truncate(limit);
                }
            }
            tokio::task::yield_now().await;
        }
        rows.sort_by(|left, right| compare_keys(&left.0, &right.0, &self.keys));
        self.sorted = Some(rows.into_iter());
        Ok(())
    }
}

#[async_trait]
impl Operator for Sort {
    async fn next(&mut self, context: &mut Context<'_>, wanted: usize) -> PgResult<Vec<Row>> {
        if self.sorted.is_none() {
            self.sort(context).await?;
        }
        let sorted = self.sorted.as_mut().expect("sorted above");
        Ok(sorted.by_ref().take(wanted).map(|(_, row)| row).collect())
    }
}

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
    fn hash(&self, key: &[Datum], types: &[Oid]) -> u64 {
        let mut hasher = self.hasher.build_hasher();
        key.iter().zip(types).for_each(|(value, type_oid)| hash_into(*type_oid, value, &mut hasher));
        hasher.finish()
    }

    pub fn find(&self, key: &[Datum], types: &[Oid]) -> Option<usize> {
        let hash = self.hash(key, types);
        self.table.find(hash, |at| same_row(&self.rows[*at], key, types)).copied()
    }

    /// The place of the key, and whether it is new.
    pub fn insert(&mut self, key: Row, types: &[Oid]) -> (usize, bool) {
        let hash = self.hash(&key, types);
        if let Some(at) = self.table.find(hash, |at| same_row(&self.rows[*at], &key, types)) {
            return (*at, false);
        }
        let at = self.rows.len();
        self.rows.push(key);
        let (rows, hasher) = (&self.rows, &self.hasher);
        self.table.insert_unique(hash, at, |at| {
            let mut state = hasher.build_hasher();
            rows[*at].iter().zip(types).for_each(|(value, type_oid)| hash_into(*type_oid, value, &mut state));
            state.finish()
        });
        (at, true)
    }
}

fn same_row(left: &[Datum], right: &[Datum], types: &[Oid]) -> bool {
    left.iter().zip(right).zip(types).all(|((left, right), type_oid)| same(*type_oid, left, right))
}

pub(crate) struct Distinct {
    input: Box<dyn Operator>,
    columns: Arc<Vec<(usize, Oid)>>,
    types: Vec<Oid>,
    seen: RowTable,
}

impl Distinct {
    pub fn new(input: Box<dyn Operator>, columns: Arc<Vec<(usize, Oid)>>) -> Distinct {
        let types = columns.iter().map(|(_, type_oid)| *type_oid).collect();
        Distinct { input, columns, types, seen: RowTable::default() }
    }
}

#[async_trait]
impl Operator for Distinct {
    async fn next(&mut self, context: &mut Context<'_>, wanted: usize) -> PgResult<Vec<Row>> {
        loop {
            let rows = self.input.next(context, wanted).await?;
            if rows.is_empty() {
                return Ok(rows);
            }
            let mut kept = Vec::new();
            for row in rows {
                let key = self.columns.iter().map(|(column, _)| row[*column].clone()).collect();
                if self.seen.insert(key, &self.types).1 {
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

pub(crate) struct SetOperator {
    operation: SetOperation,
    all: bool,
    left: Box<dyn Operator>,
    right: Box<dyn Operator>,
    types: Arc<Vec<Oid>>,
    left_ended: bool,
    seen: RowTable,
    result: Option<std::vec::IntoIter<Row>>,
}

impl SetOperator {
    pub fn new(
        operation: SetOperation,
        all: bool,
        left: Box<dyn Operator>,
        right: Box<dyn Operator>,
        types: Arc<Vec<Oid>>,
    ) -> SetOperator {
        SetOperator { operation, all, left, right, types, left_ended: false, seen: RowTable::default(), result: None }
    }

    async fn union(&mut self, context: &mut Context<'_>, wanted: usize) -> PgResult<Vec<Row>> {
        loop {
            let input = if self.left_ended { &mut self.right } else { &mut self.left };
            let rows = input.next(context, wanted).await?;
            if rows.is_empty() {
                if self.left_ended {
                    return Ok(rows);
                }
                self.left_ended = true;
                continue;
            }
            if self.all {
                return Ok(rows);
            }
            let mut fresh = rows;
            fresh.retain(|row| self.seen.insert(row.clone(), &self.types).1);
            if !fresh.is_empty() {
                return Ok(fresh);
            }
        }
    }

    /// INTERSECT and EXCEPT count how often each row is on the right.
    async fn counted(&mut self, context: &mut Context<'_>) -> PgResult<Vec<Row>> {
        let mut counts: Vec<usize> = Vec::new();
        for row in gather(&mut *self.right, context).await? {
            let (at, fresh) = self.seen.insert(row, &self.types);
            if fresh {
                counts.push(0);
            }
            counts[at] += 1;
        }
        let mut emitted = RowTable::default();
        let mut result = Vec::new();
        for row in gather(&mut *self.left, context).await? {
            let found = self.seen.find(&row, &self.types);
            let there = found.is_some_and(|at| counts[at] > 0);
            if self.all && !(planted::on(Bug::ExceptAllCounts) && self.operation == SetOperation::Except) {
                if let Some(at) = found.filter(|_| there) {
                    counts[at] -= 1;
                }
            }
            let keep = there == (self.operation == SetOperation::Intersect);
            if keep && (self.all || emitted.insert(row.clone(), &self.types).1) {
                result.push(row);
            }
        }
        Ok(result)
    }
}

#[async_trait]
impl Operator for SetOperator {
    async fn next(&mut self, context: &mut Context<'_>, wanted: usize) -> PgResult<Vec<Row>> {
        if self.operation == SetOperation::Union {
            return self.union(context, wanted).await;
        }
        if self.result.is_none() {
            self.result = Some(self.counted(context).await?.into_iter());
        }
        Ok(self.result.as_mut().expect("computed above").by_ref().take(wanted).collect())
    }
}
