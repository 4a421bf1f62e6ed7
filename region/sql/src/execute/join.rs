//! Joins.
use super::shape::RowTable;
use super::subplan::Subqueries;
use super::{Arc, BATCH_ROWS, Context, Operator, Row, build, gather};
use crate::parser::tree::JoinKind;
use crate::plan::{Compiled, Node, OuterSets};
use crate::planted::{self, Bug};
use async_trait::async_trait;
use trivet_types::{Datum, Oid, PgResult};

/// Output that has not been asked for yet; a left row may match many right ones.
#[derive(Default)]
struct Pending {
    rows: std::collections::VecDeque<Row>,
}

impl Pending {
    fn take(&mut self, wanted: usize) -> Vec<Row> {
        let count = wanted.min(self.rows.len());
        self.rows.drain(..count).collect()
    }
}

fn joined(left: &[Datum], right: &[Datum]) -> Row {
    let mut row = Vec::with_capacity(left.len() + right.len());
    row.extend_from_slice(left);
    row.extend_from_slice(right);
    row
}

fn with_nulls_right(left: &[Datum], width: usize) -> Row {
    let mut row = left.to_vec();
    row.resize(left.len() + width, Datum::Null);
    row
}

fn with_nulls_left(width: usize, right: &[Datum]) -> Row {
    let mut row = vec![Datum::Null; width];
    row.extend_from_slice(right);
    row
}

/// For each left row all right rows. The right side of a lateral join is built anew for each left row; any other is read
/// once and kept.
pub(crate) struct NestedLoop {
    kind: JoinKind,
    left: Box<dyn Operator>,
    right: Arc<Node>,
    lateral: bool,
    condition: Option<Arc<Compiled>>,
    subqueries: Subqueries,
    sets: Arc<OuterSets>,
    left_width: usize,
    right_width: usize,
    left_rows: std::vec::IntoIter<Row>,
    kept: Option<Vec<Row>>,
    matched: Vec<bool>,
    pending: Pending,
    left_ended: bool,
    ended: bool,
}

impl NestedLoop {
    pub fn new(node: &Node) -> NestedLoop {
        let Node::NestedLoop { kind, left, right, condition, subplans, sets, lateral, left_width, right_width } = node
        else {
            unreachable!("built of a nested loop")
        };
        NestedLoop {
            kind: *kind,
            left: build::operator(left),
            right: Arc::clone(right),
            lateral: *lateral,
            condition: condition.clone(),
            subqueries: Subqueries::new(Arc::clone(subplans)),
            sets: Arc::clone(sets),
            left_width: *left_width,
            right_width: *right_width,
            left_rows: Vec::new().into_iter(),
            kept: None,
            matched: Vec::new(),
            pending: Pending::default(),
            left_ended: false,
            ended: false,
        }
    }

    async fn keep_right(&mut self, context: &mut Context<'_>) -> PgResult<()> {
        if self.kept.is_none() {
            let rows = gather(&mut *build::operator(&self.right), context).await?;
            self.matched = vec![false; rows.len()];
            self.kept = Some(rows);
        }
        Ok(())
    }

    async fn test(&mut self, context: &mut Context<'_>, row: &mut Row) -> PgResult<bool> {
        let Some(condition) = &self.condition else { return Ok(true) };
        if self.subqueries.is_empty() {
            return condition.test(context.eval(), row);
        }
        let width = row.len();
        self.subqueries.extend(context, row).await?;
        let passes = condition.test(context.eval(), row);
        row.truncate(width);
        passes
    }

    async fn match_row(&mut self, context: &mut Context<'_>, left: &[Datum]) -> PgResult<()> {
        let mut any = false;
        if self.lateral {
            for (parameter, slot) in self.sets.iter() {
                context.outer[*parameter] = left[*slot].clone();
            }
            let mut right = build::operator(&self.right);
            loop {
                let rows = right.next(context, BATCH_ROWS).await?;
                if rows.is_empty() {
                    break;
                }
                for row in rows {
                    let mut both = joined(left, &row);
                    if self.test(context, &mut both).await? {
                        any = true;
                        self.pending.rows.push_back(both);
                    }
                }
            }
        } else {
            self.keep_right(context).await?;
            let kept = self.kept.take().expect("kept above");
            for (at, row) in kept.iter().enumerate() {
                context.breathe(1).await;
                let mut both = joined(left, row);
                if self.test(context, &mut both).await? {
                    any = true;
                    self.matched[at] = true;
                    self.pending.rows.push_back(both);
                }
            }
            self.kept = Some(kept);
        }
        any |= planted::on(Bug::OuterJoinFilters);
        if !any && matches!(self.kind, JoinKind::Left | JoinKind::Full) {
            self.pending.rows.push_back(with_nulls_right(left, self.right_width));
        }
        Ok(())
    }
}

#[async_trait]
impl Operator for NestedLoop {
    async fn next(&mut self, context: &mut Context<'_>, wanted: usize) -> PgResult<Vec<Row>> {
        while self.pending.rows.len() < wanted && !self.ended {
            if let Some(left) = self.left_rows.next() {
                self.match_row(context, &left).await?;
                continue;
            }
            if !self.left_ended {
                let rows = self.left.next(context, wanted).await?;
                self.left_ended = rows.is_empty();
                self.left_rows = rows.into_iter();
                tokio::task::yield_now().await;
                continue;
            }
            if self.kind == JoinKind::Full {
                self.keep_right(context).await?;
                let kept = self.kept.take().unwrap_or_default();
                for (row, matched) in kept.iter().zip(&self.matched) {
                    if !matched {
                        self.pending.rows.push_back(with_nulls_left(self.left_width, row));
                    }
                }
            }
            self.ended = true;
        }
        Ok(self.pending.take(wanted))
    }
}

pub(crate) struct HashJoin {
    kind: JoinKind,
    left: Box<dyn Operator>,
    right: Box<dyn Operator>,
    left_keys: Arc<Vec<(Compiled, Oid)>>,
    right_keys: Arc<Vec<(Compiled, Oid)>>,
    key_types: Vec<Oid>,
    condition: Option<Arc<Compiled>>,
    left_width: usize,
    right_width: usize,
    built: bool,
    keys: RowTable,
    /// Rows of each key.
    rows_of: Vec<Vec<usize>>,
    rows: Vec<Row>,
    matched: Vec<bool>,
    pending: Pending,
    ended: bool,
}

impl HashJoin {
    pub fn new(node: &Node) -> HashJoin {
        let Node::HashJoin { kind, left, right, left_keys, right_keys, condition, left_width, right_width } = node
        else {
            unreachable!("built of a hash join")
        };
        HashJoin {
            kind: *kind,
            left: build::operator(left),
            right: build::operator(right),
            key_types: left_keys.iter().map(|(_, type_oid)| *type_oid).collect(),
            left_keys: Arc::clone(left_keys),
            right_keys: Arc::clone(right_keys),
            condition: condition.clone(),
            left_width: *left_width,
            right_width: *right_width,
            built: false,
            keys: RowTable::default(),
            rows_of: Vec::new(),
            rows: Vec::new(),
            matched: Vec::new(),
            pending: Pending::default(),
            ended: false,
        }
    }

    async fn build(&mut self, context: &mut Context<'_>) -> PgResult<()> {
        for row in gather(&mut *self.right, context).await? {
            let at = self.rows.len();
            let key = keys_of(&self.right_keys, context, &row)?;
            self.rows.push(row);
            // A NULL equals nothing.
            let Some(key) = key else { continue };
            let (place, fresh) = self.keys.insert(key, &self.key_types);
            if fresh {
                self.rows_of.push(Vec::new());
            }
            self.rows_of[place].push(at);
        }
        self.matched = vec![false; self.rows.len()];
        self.built = true;
        Ok(())
    }

    fn probe(&mut self, context: &Context<'_>, left: &[Datum]) -> PgResult<()> {
        let mut any = false;
        let place = keys_of(&self.left_keys, context, left)?.and_then(|key| self.keys.find(&key, &self.key_types));
        if let Some(place) = place {
            for at in &self.rows_of[place] {
                let both = joined(left, &self.rows[*at]);
                let passes = match &self.condition {
                    Some(condition) => condition.test(context.eval(), &both)?,
                    None => true,
                };
                if passes {
                    any = true;
                    self.matched[*at] = true;
                    self.pending.rows.push_back(both);
                }
            }
        }
        any |= planted::on(Bug::OuterJoinFilters);
        if !any && matches!(self.kind, JoinKind::Left | JoinKind::Full) {
            self.pending.rows.push_back(with_nulls_right(left, self.right_width));
        }
        Ok(())
    }
}

/// The key of a row; `None` if a part is NULL.
fn keys_of(keys: &[(Compiled, Oid)], context: &Context<'_>, row: &[Datum]) -> PgResult<Option<Row>> {
    let mut values = Vec::with_capacity(keys.len());
    for (key, _) in keys {
        let value = key.eval(context.eval(), row)?;
        if value.is_null() {
            return Ok(None);
        }
        values.push(value);
    }
    Ok(Some(values))
}

#[async_trait]
impl Operator for HashJoin {
    async fn next(&mut self, context: &mut Context<'_>, wanted: usize) -> PgResult<Vec<Row>> {
        if !self.built {
            self.build(context).await?;
        }
        while self.pending.rows.len() < wanted && !self.ended {
            let rows = self.left.next(context, wanted).await?;
            if rows.is_empty() {
                if self.kind == JoinKind::Full {
                    for (row, matched) in self.rows.iter().zip(&self.matched) {
                        if !matched {
                            self.pending.rows.push_back(with_nulls_left(self.left_width, row));
                        }
                    }
                }
                self.ended = true;
                break;
            }
            for row in rows {
                self.probe(context, &row)?;
                context.breathe(1).await;
            }
        }
        Ok(self.pending.take(wanted))
    }
}
