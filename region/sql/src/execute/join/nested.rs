//! For each left row all right rows. The right side of a lateral join is built anew for each left row; any other is read once
//! and kept, on disk if it is large.
use super::{Pending, is_half, joined, keeps_right};
use crate::execute::spill::{RowReader, RowStore};
use crate::execute::subplan::Subqueries;
use crate::execute::{Arc, BATCH_ROWS, Context, Operator, Row};
use crate::parser::tree::JoinKind;
use crate::plan::{Compiled, Node, OuterSets};
use crate::planted::{self, Bug};
use async_trait::async_trait;
use trivet_types::PgResult;

pub(crate) struct NestedLoop {
    kind: JoinKind,
    left: Box<dyn Operator>,
    right: Arc<Node>,
    lateral: bool,
    condition: Option<Arc<Compiled>>,
    early: Option<Arc<Compiled>>,
    subqueries: Subqueries,
    sets: Arc<OuterSets>,
    left_width: usize,
    right_width: usize,
    left_rows: std::vec::IntoIter<Row>,
    kept: Option<RowStore>,
    /// FULL: which of the kept rows matched something.
    matched: Vec<bool>,
    current: Option<Current>,
    /// The kept rows that are left to be looked at for not having matched.
    unmatched: Option<(RowReader, usize)>,
    pending: Pending,
    left_ended: bool,
    ended: bool,
}

/// The left row at hand and how far it has got.
struct Current {
    left: Row,
    any: bool,
    right: Right,
    batch: std::vec::IntoIter<Row>,
    /// The kept row that comes next.
    number: usize,
}

enum Right {
    Kept(RowReader),
    Lateral(Box<dyn Operator>),
}

impl NestedLoop {
    pub fn new(node: &Node, left: Box<dyn Operator>) -> NestedLoop {
        let Node::NestedLoop {
            kind, right, condition, early, subplans, sets, lateral, left_width, right_width, ..
        } = node
        else {
            unreachable!("built of a nested loop")
        };
        NestedLoop {
            kind: *kind,
            left,
            right: Arc::clone(right),
            lateral: *lateral,
            condition: condition.clone(),
            early: early.clone(),
            subqueries: Subqueries::new(Arc::clone(subplans)),
            sets: Arc::clone(sets),
            left_width: *left_width,
            right_width: *right_width,
            left_rows: Vec::new().into_iter(),
            kept: None,
            matched: Vec::new(),
            current: None,
            unmatched: None,
            pending: Pending::default(),
            left_ended: false,
            ended: false,
        }
    }

    async fn keep_right(&mut self, context: &mut Context<'_>) -> PgResult<()> {
        if self.kept.is_none() {
            let mut right = context.build(&self.right);
            let rows = RowStore::gather(&mut *right, context).await?;
            if keeps_right(self.kind) {
                self.matched = vec![false; rows.len()];
            }
            self.kept = Some(rows);
        }
        Ok(())
    }

    async fn test(&mut self, context: &mut Context<'_>, row: &mut Row) -> PgResult<bool> {
        let Some(condition) = &self.condition else { return Ok(true) };
        if self.subqueries.is_empty() {
            return condition.test(context.eval(), row);
        }
        if let Some(early) = &self.early {
            if !early.test(context.eval(), row)? {
                return Ok(false);
            }
        }
        let width = row.len();
        self.subqueries.extend(context, row).await?;
        let passes = condition.test(context.eval(), row);
        row.truncate(width);
        passes
    }

    async fn begin(&mut self, context: &mut Context<'_>, left: Row) -> PgResult<Current> {
        let right = if self.lateral {
            for (parameter, slot) in self.sets.iter() {
                context.outer[*parameter] = left[*slot].clone();
            }
            Right::Lateral(context.build(&self.right))
        } else {
            self.keep_right(context).await?;
            Right::Kept(RowReader::default())
        };
        Ok(Current { left, any: false, right, batch: Vec::new().into_iter(), number: 0 })
    }

    /// Go on with the left row at hand until enough is pending, or it is done with.
    async fn match_current(&mut self, context: &mut Context<'_>, wanted: usize) -> PgResult<()> {
        let Some(mut current) = self.current.take() else { return Ok(()) };
        loop {
            if self.pending.rows.len() >= wanted {
                self.current = Some(current);
                return Ok(());
            }
            if current.any && is_half(self.kind) {
                break;
            }
            let Some(row) = current.batch.next() else {
                let rows = match &mut current.right {
                    Right::Lateral(operator) => operator.next(context, BATCH_ROWS).await?,
                    Right::Kept(reader) => {
                        let kept = self.kept.as_ref().expect("kept before the first left row");
                        reader.next(kept, BATCH_ROWS).await?
                    }
                };
                if rows.is_empty() {
                    break;
                }
                current.batch = rows.into_iter();
                if current.number > 0 {
                    tokio::task::yield_now().await;
                }
                continue;
            };
            let mut both = joined(&current.left, &row);
            if self.test(context, &mut both).await? {
                current.any = true;
                if let Some(matched) = self.matched.get_mut(current.number) {
                    *matched = true;
                }
                if !is_half(self.kind) {
                    self.pending.rows.push_back(both);
                }
            }
            current.number += 1;
        }
        let preserved = matches!(self.kind, JoinKind::Left | JoinKind::Full);
        let any = current.any || (preserved && planted::on(Bug::OuterJoinFilters));
        self.pending.finish_left(self.kind, current.left, any, self.right_width);
        Ok(())
    }

    /// FULL: right rows that matched nothing, once all left rows are through.
    async fn rest(&mut self, context: &mut Context<'_>) -> PgResult<()> {
        if !keeps_right(self.kind) {
            self.ended = true;
            return Ok(());
        }
        self.keep_right(context).await?;
        let kept = self.kept.as_ref().expect("kept above");
        let (reader, number) = self.unmatched.get_or_insert_with(|| (RowReader::default(), 0));
        let rows = reader.next(kept, BATCH_ROWS).await?;
        self.ended = rows.is_empty();
        for row in rows {
            if !self.matched[*number] {
                self.pending.push_right(self.left_width, &row);
            }
            *number += 1;
        }
        Ok(())
    }
}

#[async_trait]
impl Operator for NestedLoop {
    async fn next(&mut self, context: &mut Context<'_>, wanted: usize) -> PgResult<Vec<Row>> {
        while self.pending.rows.len() < wanted && !self.ended {
            if self.current.is_some() {
                self.match_current(context, wanted).await?;
            } else if let Some(left) = self.left_rows.next() {
                self.current = Some(self.begin(context, left).await?);
            } else if !self.left_ended {
                let rows = self.left.next(context, wanted).await?;
                self.left_ended = rows.is_empty();
                self.left_rows = rows.into_iter();
                tokio::task::yield_now().await;
            } else {
                self.rest(context).await?;
            }
        }
        Ok(self.pending.take(wanted))
    }
}
