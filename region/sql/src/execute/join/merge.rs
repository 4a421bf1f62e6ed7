//! A join of two inputs that are sorted by their keys: both are gone through once, side by side.
//!
//! ```text
//!   left    1  3  3  5  NULL
//!   right   2  3  3  3  6        the right rows of one key are a group, kept while left rows of that key come
//! ```
//! A NULL sorts behind everything and equals nothing. The rows of one group are in memory: they are counted against the
//! statement's bound and do not go to disk.
use super::{Pending, is_half, joined, keeps_left, keeps_right, keys_of};
use crate::execute::memory::{Held, row_bytes};
use crate::execute::sort::compare_keys;
use crate::execute::{Arc, BATCH_ROWS, Context, Operator, Row};
use crate::parser::tree::JoinKind;
use crate::plan::{Compiled, Node, SortKey};
use crate::planted::{self, Bug};
use async_trait::async_trait;
use std::cmp::Ordering;
use trivet_types::{Datum, Oid, PgResult};

/// Rows one at a time.
struct Stream {
    operator: Box<dyn Operator>,
    batch: std::vec::IntoIter<Row>,
    ended: bool,
}

impl Stream {
    async fn next(&mut self, context: &mut Context<'_>) -> PgResult<Option<Row>> {
        if self.batch.len() == 0 && !self.ended {
            let rows = self.operator.next(context, BATCH_ROWS).await?;
            self.ended = rows.is_empty();
            self.batch = rows.into_iter();
            tokio::task::yield_now().await;
        }
        Ok(self.batch.next())
    }
}

pub(crate) struct MergeJoin {
    kind: JoinKind,
    left: Stream,
    right: Stream,
    left_keys: Arc<Vec<(Compiled, Oid)>>,
    right_keys: Arc<Vec<(Compiled, Oid)>>,
    order: Vec<SortKey>,
    condition: Option<Arc<Compiled>>,
    left_width: usize,
    right_width: usize,
    /// The right row that comes next, with its key.
    ahead: Option<(Vec<Datum>, Row)>,
    begun: bool,
    group_key: Option<Row>,
    group: Vec<(Row, bool)>,
    held: Option<Held>,
    /// The left row at hand, the group's row that comes next, whether it matched any.
    current: Option<(Row, usize, bool)>,
    pending: Pending,
    left_ended: bool,
    ended: bool,
}

impl MergeJoin {
    pub fn new(node: &Node, left: Box<dyn Operator>, right: Box<dyn Operator>) -> MergeJoin {
        let Node::MergeJoin { kind, left_keys, right_keys, condition, left_width, right_width, .. } = node else {
            unreachable!("built of a merge join")
        };
        let stream = |operator| Stream { operator, batch: Vec::new().into_iter(), ended: false };
        let order = left_keys.iter().enumerate().map(|(at, (_, type_oid))| SortKey {
            expr: Compiled::Slot(at),
            type_oid: *type_oid,
            descending: false,
            nulls_first: false,
        });
        MergeJoin {
            kind: *kind,
            left: stream(left),
            right: stream(right),
            order: order.collect(),
            left_keys: Arc::clone(left_keys),
            right_keys: Arc::clone(right_keys),
            condition: condition.clone(),
            left_width: *left_width,
            right_width: *right_width,
            ahead: None,
            begun: false,
            group_key: None,
            group: Vec::new(),
            held: None,
            current: None,
            pending: Pending::default(),
            left_ended: false,
            ended: false,
        }
    }

    async fn advance_right(&mut self, context: &mut Context<'_>) -> PgResult<()> {
        self.ahead = match self.right.next(context).await? {
            None => None,
            Some(row) => {
                let eval = context.eval();
                let key = self.right_keys.iter().map(|(key, _)| key.eval(eval, &row)).collect::<PgResult<Vec<_>>>()?;
                Some((key, row))
            }
        };
        Ok(())
    }

    fn drop_group(&mut self) {
        if keeps_right(self.kind) {
            for (row, matched) in &self.group {
                if !matched {
                    self.pending.push_right(self.left_width, row);
                }
            }
        }
        self.group.clear();
        self.group_key = None;
        if let Some(held) = &mut self.held {
            held.clear();
        }
    }

    /// Have the right rows of this key as the group.
    async fn seek(&mut self, context: &mut Context<'_>, key: &Row) -> PgResult<()> {
        if self.group_key.as_ref().is_some_and(|group| compare_keys(group, key, &self.order).is_eq()) {
            return Ok(());
        }
        self.drop_group();
        while let Some((right, row)) = &self.ahead {
            match compare_keys(right, key, &self.order) {
                Ordering::Less => {
                    if keeps_right(self.kind) {
                        self.pending.push_right(self.left_width, row);
                    }
                    self.advance_right(context).await?;
                }
                Ordering::Equal => {
                    let Some((_, row)) = self.ahead.take() else { break };
                    self.held.get_or_insert_with(|| context.memory.hold()).grow(row_bytes(&row))?;
                    self.group.push((row, false));
                    self.advance_right(context).await?;
                }
                Ordering::Greater => break,
            }
        }
        self.group_key = Some(key.clone());
        Ok(())
    }

    /// Go on with the left row at hand.
    fn go_on(&mut self, context: &Context<'_>, wanted: usize) -> PgResult<()> {
        let Some((left, mut at, mut any)) = self.current.take() else { return Ok(()) };
        while at < self.group.len() && !(any && is_half(self.kind)) {
            if self.pending.rows.len() >= wanted {
                self.current = Some((left, at, any));
                return Ok(());
            }
            let (right, matched) = &mut self.group[at];
            at += 1;
            let both = joined(&left, right);
            let passes = match &self.condition {
                Some(condition) => condition.test(context.eval(), &both)?,
                None => true,
            };
            if passes {
                any = true;
                *matched = true;
                if !is_half(self.kind) {
                    self.pending.rows.push_back(both);
                }
            }
        }
        let preserved = matches!(self.kind, JoinKind::Left | JoinKind::Full);
        any |= preserved && planted::on(Bug::OuterJoinFilters);
        self.pending.finish_left(self.kind, left, any, self.right_width);
        Ok(())
    }

    async fn step(&mut self, context: &mut Context<'_>, wanted: usize) -> PgResult<()> {
        if !self.begun {
            self.begun = true;
            self.advance_right(context).await?;
        }
        if self.current.is_some() {
            return self.go_on(context, wanted);
        }
        // Once the right side has ended, only a join that gives lone left rows goes on.
        let nothing = self.ahead.is_none() && self.group.is_empty() && !keeps_left(self.kind);
        if !self.left_ended && !nothing {
            let Some(left) = self.left.next(context).await? else {
                self.left_ended = true;
                return Ok(());
            };
            match keys_of(&self.left_keys, context, &left)? {
                Some(key) => {
                    self.seek(context, &key).await?;
                    self.current = Some((left, 0, false));
                }
                None => self.pending.finish_left(self.kind, left, false, self.right_width),
            }
            return Ok(());
        }
        self.drop_group();
        if let (true, Some((_, row))) = (keeps_right(self.kind), self.ahead.take()) {
            self.pending.push_right(self.left_width, &row);
            return self.advance_right(context).await;
        }
        self.ended = true;
        Ok(())
    }
}

#[async_trait]
impl Operator for MergeJoin {
    async fn next(&mut self, context: &mut Context<'_>, wanted: usize) -> PgResult<Vec<Row>> {
        while self.pending.rows.len() < wanted && !self.ended {
            self.step(context, wanted).await?;
        }
        Ok(self.pending.take(wanted))
    }
}
