//! Rows from outside the planner: COPY FROM.
use super::write::{check_row, insert_row};
use super::{ConstraintModes, Context, DefaultValue, DeferredCheck, ForeignWork, Row, foreign};
use crate::catalog::Table;
use crate::layout::RowId;
use crate::plan::{Compiled, RelatedTables, TableRules};
use crate::sequence::SessionSequences;
use std::sync::Arc;
use trivet_txn::{Database, Transaction};
use trivet_types::{Datum, Environment, PgResult};

/// Inserts rows that give some columns of a table; the others get their defaults.
pub struct RowInserter {
    table: Arc<Table>,
    /// For each column of the table: the place among the given values, or the default.
    sources: Vec<Source>,
    rules: TableRules,
    environment: Arc<dyn Environment>,
    database: Arc<dyn Database>,
    sequences: Arc<SessionSequences>,
    foreign: ForeignWork,
    failed_at: u64,
    /// Only rows that pass it are inserted.
    filter: Option<Compiled>,
    passed_over: u64,
}

enum Source {
    Given(usize),
    Default(DefaultValue),
    Null,
}

impl RowInserter {
    pub fn new(
        table: Arc<Table>,
        positions: &[usize],
        environment: Arc<dyn Environment>,
        database: Arc<dyn Database>,
        sequences: Arc<SessionSequences>,
        related: Arc<RelatedTables>,
        modes: ConstraintModes,
    ) -> PgResult<RowInserter> {
        let mut sources = Vec::with_capacity(table.columns.len());
        for (at, column) in table.columns.iter().enumerate() {
            sources.push(match positions.iter().position(|position| *position == at) {
                Some(given) => Source::Given(given),
                None if column.dropped || column.generated.is_some() => Source::Null,
                None if column.default.is_none() && column.identity.is_none() && table.domain_of(at).is_none() => {
                    Source::Null
                }
                None => Source::Default(DefaultValue::of(&table, at, &*environment)?),
            });
        }
        let rules = TableRules::of(&table, &*environment)?;
        let foreign = ForeignWork::new(related, modes);
        Ok(RowInserter {
            table,
            sources,
            rules,
            environment,
            database,
            sequences,
            foreign,
            failed_at: 0,
            filter: None,
            passed_over: 0,
        })
    }

    /// From here on, only rows that pass.
    pub fn filter(&mut self, condition: Compiled) {
        self.filter = Some(condition);
    }

    /// How many rows did not.
    pub fn passed_over(&self) -> u64 {
        self.passed_over
    }

    pub async fn insert(&mut self, rows: Vec<Vec<Datum>>, transaction: &mut dyn Transaction) -> PgResult<()> {
        let first = self.database.row_ids(rows.len() as u64);
        let (mut outer, mut affected) = (Vec::new(), 0);
        let (mut commons, mut touched) = (super::common::Commons::default(), None);
        let mut context = Context {
            transaction,
            database: &*self.database,
            environment: &*self.environment,
            catalog: None,
            parameters: &[],
            outer: &mut outer,
            affected: &mut affected,
            sequences: &self.sequences,
            foreign: &mut self.foreign,
            commons: &mut commons,
            touched: &mut touched,
            locks: &crate::advisory::LockRules::default(),
            since_breath: 0,
            memory: super::memory::unbounded(),
            watch: None,
        };
        for (at, (mut given, id)) in rows.into_iter().zip(first..).enumerate() {
            self.failed_at = at as u64;
            let mut row: Row = Vec::with_capacity(self.sources.len());
            for source in &self.sources {
                row.push(match source {
                    Source::Given(at) => std::mem::take(&mut given[*at]),
                    Source::Default(default) => default.evaluate(&mut context).await?,
                    Source::Null => Datum::Null,
                });
            }
            self.rules.generate(&*self.environment, &mut row)?;
            if let Some(filter) = &self.filter
                && !filter.evaluate_row(&*self.environment, &row)?.is_true()
            {
                self.passed_over += 1;
                continue;
            }
            check_row(&self.table, &self.rules.checks, &row, &context)?;
            insert_row(&mut context, &self.table, &self.rules, &row, RowId(id)).await?;
        }
        Ok(())
    }

    /// The end of the statement: what foreign keys put off.
    pub async fn finish(&mut self, transaction: &mut dyn Transaction) -> PgResult<()> {
        let (mut outer, mut affected) = (Vec::new(), 0);
        let mut context = Context {
            transaction,
            database: &*self.database,
            environment: &*self.environment,
            catalog: None,
            parameters: &[],
            outer: &mut outer,
            affected: &mut affected,
            sequences: &self.sequences,
            foreign: &mut self.foreign,
            commons: &mut super::common::Commons::default(),
            touched: &mut None,
            locks: &crate::advisory::LockRules::default(),
            since_breath: 0,
            memory: super::memory::unbounded(),
            watch: None,
        };
        foreign::settle(&mut context).await
    }

    /// Checks of foreign keys that wait for the transaction's end.
    pub(crate) fn take_deferred(&mut self) -> Vec<DeferredCheck> {
        std::mem::take(&mut self.foreign.deferred)
    }

    /// Which row of the last batch failed, from 0.
    pub fn failed_at(&self) -> u64 {
        self.failed_at
    }
}
