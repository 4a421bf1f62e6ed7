//! What changes the shape of a stream of rows: filter, projection, limits.
use super::rows::call_set;
use super::sort::{compare_keys, key_of};
use super::subplan::Subqueries;
use super::watch::Watched;
use super::{Arc, BATCH_ROWS, Context, Operator, Row};
use crate::plan::{Compiled, SetTarget, SortKey, Subplan, row_count};
use async_trait::async_trait;
use trivet_types::{Datum, PgResult};

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
            let count = rows.len();
            let eval = context.eval();
            for row in rows {
                if self.predicate.test(eval, &row)? {
                    kept.push(row);
                }
            }
            let removed = (count - kept.len()) as u64;
            context.note(Watched::of(&self.predicate), |found| found.removed += removed);
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
