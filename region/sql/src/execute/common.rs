//! Common table expressions that run once, and recursive ones.
//!
//! What is shared is an operator and the rows that it gave so far: whoever reads further than these asks it for more. So a
//! LIMIT over an endless recursion ends, and a data change is carried on where its readers left it (`finish_changes`).
use super::shape::RowTable;
use super::{Arc, BATCH_ROWS, Context, Operator, Row, build};
use crate::plan::{Node, Plan};
use async_trait::async_trait;
use trivet_types::{Oid, PgError, PgResult};

/// What the common table expressions of a running plan have come to.
#[derive(Default)]
pub(crate) struct Commons {
    tables: Vec<Common>,
    /// Per place: the rows of a recursion's last round.
    working: Vec<Arc<Vec<Row>>>,
}

struct Common {
    /// Away while it runs.
    operator: Option<Box<dyn Operator>>,
    rows: Vec<Row>,
    ended: bool,
    modifies: bool,
}

impl Commons {
    pub fn new(plan: &Plan) -> Commons {
        let common = |common: &crate::plan::CommonPlan| Common {
            operator: Some(build::operator(&common.root)),
            rows: Vec::new(),
            ended: false,
            modifies: common.modifies,
        };
        let tables: Vec<Common> = plan.commons.iter().map(common).collect();
        Commons { working: tables.iter().map(|_| Arc::default()).collect(), tables }
    }

    pub fn modify(&self) -> bool {
        self.tables.iter().any(|table| table.modifies)
    }
}

/// Ask the shared operator for more; whether there was more.
async fn advance(context: &mut Context<'_>, slot: usize, wanted: usize) -> PgResult<bool> {
    let table = &mut context.commons.tables[slot];
    if table.ended {
        return Ok(false);
    }
    let modifies = table.modifies;
    let mut operator = table.operator.take().ok_or_else(|| PgError::internal("a WITH query reads itself"))?;
    let affected = *context.affected;
    let rows = operator.next(context, wanted).await;
    if modifies {
        // The tag tells of the main statement only.
        *context.affected = affected;
    }
    let rows = rows?;
    let table = &mut context.commons.tables[slot];
    if rows.is_empty() {
        table.ended = true;
        return Ok(false);
    }
    table.operator = Some(operator);
    table.rows.extend(rows);
    Ok(true)
}

/// Run data changes in WITH to their ends, read or not.
pub(crate) async fn finish_changes(context: &mut Context<'_>) -> PgResult<()> {
    for slot in 0..context.commons.tables.len() {
        if context.commons.tables[slot].modifies {
            while advance(context, slot, BATCH_ROWS).await? {}
        }
    }
    Ok(())
}

pub(crate) struct CommonScan {
    pub slot: usize,
    pub at: usize,
}

#[async_trait]
impl Operator for CommonScan {
    async fn next(&mut self, context: &mut Context<'_>, wanted: usize) -> PgResult<Vec<Row>> {
        loop {
            let rows = &context.commons.tables[self.slot].rows;
            if self.at < rows.len() {
                let end = (self.at + wanted).min(rows.len());
                let batch = rows[self.at..end].to_vec();
                self.at = end;
                context.breathe(batch.len()).await;
                return Ok(batch);
            }
            if !advance(context, self.slot, wanted).await? {
                return Ok(Vec::new());
            }
        }
    }
}

pub(crate) struct WorkingScan {
    pub slot: usize,
    pub at: usize,
}

#[async_trait]
impl Operator for WorkingScan {
    async fn next(&mut self, context: &mut Context<'_>, wanted: usize) -> PgResult<Vec<Row>> {
        let rows = &context.commons.working[self.slot];
        let end = (self.at + wanted).min(rows.len());
        let batch = rows[self.at.min(end)..end].to_vec();
        self.at = end;
        Ok(batch)
    }
}

/// The base's rows, then round by round what the step makes of the last round's.
pub(crate) struct RecursiveOperator {
    slot: usize,
    step: Arc<Node>,
    types: Arc<Vec<Oid>>,
    /// UNION without ALL: what was there already is dropped.
    seen: Option<RowTable>,
    running: Box<dyn Operator>,
    found: Vec<Row>,
    ended: bool,
}

impl RecursiveOperator {
    pub fn new(slot: usize, base: &Node, step: &Arc<Node>, all: bool, types: &Arc<Vec<Oid>>) -> RecursiveOperator {
        RecursiveOperator {
            slot,
            step: Arc::clone(step),
            types: Arc::clone(types),
            seen: (!all).then(RowTable::default),
            running: build::operator(base),
            found: Vec::new(),
            ended: false,
        }
    }
}

#[async_trait]
impl Operator for RecursiveOperator {
    async fn next(&mut self, context: &mut Context<'_>, wanted: usize) -> PgResult<Vec<Row>> {
        while !self.ended {
            let mut rows = self.running.next(context, wanted).await?;
            if rows.is_empty() {
                tokio::task::yield_now().await;
                self.ended = self.found.is_empty();
                context.commons.working[self.slot] = Arc::new(std::mem::take(&mut self.found));
                self.running = build::operator(&self.step);
                continue;
            }
            if let Some(seen) = &mut self.seen {
                rows.retain(|row| seen.insert(row.clone(), &self.types).1);
            }
            self.found.extend(rows.iter().cloned());
            if !rows.is_empty() {
                return Ok(rows);
            }
        }
        Ok(Vec::new())
    }
}
