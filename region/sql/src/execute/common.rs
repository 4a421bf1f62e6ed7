//! Common table expressions that run once, and recursive ones.
//!
//! What is shared is an operator and the rows that it gave so far: whoever reads further than these asks it for more. So a
//! LIMIT over an endless recursion ends, and a data change is carried on where its readers left it (`finish_changes`).
//! Shared rows go to disk when they are many; those of a recursion's round stay in memory and count against the statement.
use super::distinct::RowTable;
use super::memory::{Held, entry_bytes, row_bytes};
use super::spill::{RowReader, RowStore};
use super::watch::Watch;
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
    /// Made with the first rows.
    rows: Option<RowStore>,
    ended: bool,
    modifies: bool,
}

impl Commons {
    pub fn new(plan: &Plan, watch: Option<&Arc<Watch>>) -> Commons {
        let common = |common: &crate::plan::CommonPlan| Common {
            operator: Some(build::operator(&common.root, watch)),
            rows: None,
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
    let store = table.rows.get_or_insert_with(|| RowStore::new(context.memory));
    store.extend(rows).await?;
    store.finish().await?;
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
    slot: usize,
    reader: RowReader,
}

impl CommonScan {
    pub fn new(slot: usize) -> CommonScan {
        CommonScan { slot, reader: RowReader::default() }
    }
}

#[async_trait]
impl Operator for CommonScan {
    async fn next(&mut self, context: &mut Context<'_>, wanted: usize) -> PgResult<Vec<Row>> {
        loop {
            if let Some(rows) = &context.commons.tables[self.slot].rows {
                let batch = self.reader.next(rows, wanted).await?;
                if !batch.is_empty() {
                    context.breathe(batch.len()).await;
                    return Ok(batch);
                }
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
    /// The rows of two rounds.
    held: Option<Held>,
    held_seen: Option<Held>,
    ended: bool,
}

impl RecursiveOperator {
    pub fn new(
        slot: usize,
        base: Box<dyn Operator>,
        step: &Arc<Node>,
        all: bool,
        types: &Arc<Vec<Oid>>,
    ) -> RecursiveOperator {
        RecursiveOperator {
            slot,
            step: Arc::clone(step),
            types: Arc::clone(types),
            seen: (!all).then(RowTable::default),
            running: base,
            found: Vec::new(),
            held: None,
            held_seen: None,
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
                if let Some(held) = &mut self.held {
                    held.shrink_to(self.found.iter().map(|row| row_bytes(row)).sum());
                }
                self.ended = self.found.is_empty();
                context.commons.working[self.slot] = Arc::new(std::mem::take(&mut self.found));
                self.running = context.build(&self.step);
                continue;
            }
            if let Some(seen) = &mut self.seen {
                rows.retain(|row| seen.insert(row.clone(), &self.types).1);
                let held = self.held_seen.get_or_insert_with(|| context.memory.hold());
                held.grow(rows.iter().map(|row| entry_bytes(row)).sum())?;
            }
            let held = self.held.get_or_insert_with(|| context.memory.hold());
            held.grow(rows.iter().map(|row| row_bytes(row)).sum())?;
            self.found.extend(rows.iter().cloned());
            if !rows.is_empty() {
                return Ok(rows);
            }
        }
        Ok(Vec::new())
    }
}
