//! Running plans: a tree of operators, each of which yields batches of rows.
//!
//! ```text
//!   Run ── next(transaction) ──> operator ── next ──> operator ... ──> scan ── get, scan ──> Transaction
//! ```
//! An operator holds its state and shares the plan's expressions. It is asked for at most so many rows, so that LIMIT
//! and row locks do no work that nobody wants. Between batches it yields, so that a cancel is heard.
//!
//! **Own writes.** A statement must not meet rows that it wrote itself. A row never moves, so a scan that goes forward over
//! a table can be updated behind its back; whatever else reads a table that the statement writes is read to its end first
//! (`change::Input`).
//!
//! **Memory.** Operators that keep rows count them (`memory`), and have ways to go on through files (`spill`).
mod aggregate;
mod build;
mod change;
mod common;
mod defaults;
mod deferred;
mod distinct;
mod foreign;
mod hypothetical;
mod inserter;
mod join;
mod lock;
mod memory;
mod merge;
mod rows;
mod scan;
mod set;
mod shape;
mod sort;
mod spill;
mod subplan;
mod watch;
mod window;
mod write;

pub use defaults::DefaultValue;
pub(crate) use deferred::{ConstraintModes, DeferredCheck, Surroundings, check_deferred};
pub(crate) use foreign::{ForeignWork, Reference};
pub use inserter::RowInserter;
pub use memory::Limits;
pub(crate) use scan::decode_all as stored_row;
pub(crate) use watch::{Found, Watch, Watched};
pub(crate) use write::shown_key;

use crate::advisory::LockRules;
use crate::catalog::CatalogSnapshot;
use crate::layout::{RowId, StorageId};
use crate::plan::{EvalContext, Plan};
use crate::sequence::SessionSequences;
use async_trait::async_trait;
use common::Commons;
use memory::StatementMemory;
use std::collections::HashSet;
use std::sync::Arc;
use trivet_txn::{Database, LockStrength, LockWait, Locked, Transaction};
use trivet_types::{Datum, Environment, PgResult};

pub type Row = Vec<Datum>;

/// Rows that an operator yields at a time, at most.
pub(crate) const BATCH_ROWS: usize = 1024;
/// Rows after which others are let in.
const BREATH_ROWS: usize = 8 * BATCH_ROWS;

/// What operators work with.
pub(crate) struct Context<'a> {
    pub transaction: &'a mut dyn Transaction,
    pub database: &'a dyn Database,
    pub environment: &'a dyn Environment,
    pub catalog: Option<&'a CatalogSnapshot>,
    pub parameters: &'a [Datum],
    /// Values that rows further out gave to subqueries and lateral joins.
    pub outer: &'a mut Vec<Datum>,
    /// Rows changed.
    pub affected: &'a mut u64,
    pub sequences: &'a SessionSequences,
    /// What is owed to foreign keys at the statement's end.
    pub foreign: &'a mut ForeignWork,
    pub commons: &'a mut Commons,
    pub locks: &'a LockRules,
    /// Rows since others were let in.
    pub since_breath: usize,
    /// Rows that this statement has changed, if parts of it may meet each other's: each is changed once.
    pub touched: &'a mut Option<HashSet<(StorageId, RowId)>>,
    pub memory: &'a Arc<StatementMemory>,
    /// EXPLAIN ANALYZE.
    pub watch: Option<&'a Arc<Watch>>,
}

impl Context<'_> {
    /// Lock a row, for as long as `lock_timeout` allows.
    pub async fn lock(&mut self, key: &[u8], strength: LockStrength, wait: LockWait) -> PgResult<Locked> {
        self.locks.within(self.transaction.lock(key, strength, wait)).await
    }

    pub async fn lock_for_insert(&mut self, key: &[u8]) -> PgResult<Option<bytes::Bytes>> {
        self.locks.within(self.transaction.lock_for_insert(key)).await
    }

    /// Called in loops that may go on for long without waiting: lets others in, and a cancel, now and then.
    pub async fn breathe(&mut self, rows: usize) {
        self.since_breath += rows;
        if self.since_breath >= BREATH_ROWS {
            self.since_breath = 0;
            tokio::task::yield_now().await;
        }
    }

    /// The operator of a node that runs within this statement.
    pub fn build(&self, node: &crate::plan::Node) -> Box<dyn Operator> {
        build::operator(node, self.watch)
    }

    /// Something worth knowing about a node, if somebody wants to.
    pub fn note(&self, what: Watched, change: impl FnOnce(&mut Found)) {
        if let Some(watch) = self.watch {
            watch.note(what, change);
        }
    }

    pub fn eval(&self) -> EvalContext<'_> {
        EvalContext { environment: self.environment, parameters: self.parameters, outer: self.outer }
    }
}

#[async_trait]
pub(crate) trait Operator: Send {
    /// The next rows, at most `wanted` (which is not 0); none: the end.
    async fn next(&mut self, context: &mut Context<'_>, wanted: usize) -> PgResult<Vec<Row>>;
}

/// All rows that are left, in memory: what they take is added to `held`.
pub(crate) async fn gather(
    operator: &mut dyn Operator,
    context: &mut Context<'_>,
    held: &mut memory::Held,
) -> PgResult<Vec<Row>> {
    let mut all = Vec::new();
    loop {
        let rows = operator.next(context, BATCH_ROWS).await?;
        if rows.is_empty() {
            return Ok(all);
        }
        held.grow(rows.iter().map(|row| memory::row_bytes(row)).sum())?;
        all.extend(rows);
        tokio::task::yield_now().await;
    }
}

/// A plan on its way through its rows.
pub struct Run {
    plan: Arc<Plan>,
    parameters: Arc<Vec<Datum>>,
    environment: Arc<dyn Environment>,
    catalog: Option<Arc<CatalogSnapshot>>,
    database: Arc<dyn Database>,
    sequences: Arc<SessionSequences>,
    foreign: ForeignWork,
    root: Box<dyn Operator>,
    outer: Vec<Datum>,
    affected: u64,
    commons: Commons,
    touched: Option<HashSet<(StorageId, RowId)>>,
    locks: LockRules,
    memory: Arc<StatementMemory>,
    watch: Option<Arc<Watch>>,
    begun: bool,
    ended: bool,
}

impl Run {
    pub fn new(
        plan: Arc<Plan>,
        parameters: Arc<Vec<Datum>>,
        environment: Arc<dyn Environment>,
        catalog: Option<Arc<CatalogSnapshot>>,
        database: Arc<dyn Database>,
        sequences: Arc<SessionSequences>,
        modes: ConstraintModes,
    ) -> Run {
        let root = build::operator(&plan.root, None);
        let outer = vec![Datum::Null; plan.outer_count];
        let foreign = ForeignWork::new(Arc::clone(&plan.related), modes);
        let commons = Commons::new(&plan, None);
        Run {
            plan,
            parameters,
            environment,
            catalog,
            database,
            sequences,
            foreign,
            root,
            outer,
            affected: 0,
            touched: commons.modify().then(HashSet::new),
            commons,
            locks: LockRules::default(),
            memory: Arc::clone(memory::unbounded()),
            watch: None,
            begun: false,
            ended: false,
        }
    }

    /// What the statement may take, and where its temporary files go. Before the first rows.
    pub fn limit_memory(&mut self, limits: Limits, folder: Arc<std::path::PathBuf>) {
        self.memory = Arc::new(StatementMemory::new(limits, folder));
    }

    /// Have every node watched. Before the first rows.
    pub(crate) fn watched(&mut self) -> Arc<Watch> {
        let watch = Arc::new(Watch::default());
        self.root = build::operator(&self.plan.root, Some(&watch));
        self.commons = Commons::new(&self.plan, Some(&watch));
        self.watch = Some(Arc::clone(&watch));
        watch
    }

    /// The next rows; `None` at the end. A change without RETURNING yields none and is done when this returns.
    pub async fn next(&mut self, transaction: &mut dyn Transaction) -> PgResult<Option<Vec<Row>>> {
        if self.ended {
            return Ok(None);
        }
        let mut context = Context {
            transaction,
            database: &*self.database,
            environment: &*self.environment,
            catalog: self.catalog.as_deref(),
            parameters: &self.parameters,
            outer: &mut self.outer,
            affected: &mut self.affected,
            sequences: &self.sequences,
            foreign: &mut self.foreign,
            commons: &mut self.commons,
            locks: &self.locks,
            since_breath: 0,
            touched: &mut self.touched,
            memory: &self.memory,
            watch: self.watch.as_ref(),
        };
        if !self.begun {
            self.begun = true;
            // All parts of the statement read what was there before it.
            if self.plan.reads_beside_writes {
                context.transaction.hold_view();
            }
        }
        let rows = self.root.next(&mut context, BATCH_ROWS).await?;
        if rows.is_empty() {
            common::finish_changes(&mut context).await?;
            context.transaction.release_view();
            foreign::settle(&mut context).await?;
            self.ended = true;
            return Ok(None);
        }
        // A short batch of a plan that cannot yield more spares the caller's next question nothing but a call.
        debug_assert!(self.plan.returns_rows, "only plans that return rows yield any");
        Ok(Some(rows))
    }

    pub fn set_locks(&mut self, rules: LockRules) {
        self.locks = rules;
    }

    /// Checks of foreign keys that wait for the transaction's end.
    pub(crate) fn take_deferred(&mut self) -> Vec<DeferredCheck> {
        std::mem::take(&mut self.foreign.deferred)
    }

    pub fn plan(&self) -> &Plan {
        &self.plan
    }

    /// Rows changed so far.
    pub fn affected(&self) -> u64 {
        self.affected
    }
}
