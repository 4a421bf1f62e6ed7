//! Rows from outside the planner: COPY FROM.
use super::write::{check_row, insert_row};
use super::{Context, Row};
use crate::analyze::{Analyzer, ParameterTypes, Relations};
use crate::catalog::Table;
use crate::layout::RowId;
use crate::plan::{CheckExpr, Compiled, plan_checks, plan_expr};
use std::sync::Arc;
use trivet_txn::{Database, Transaction};
use trivet_types::{Datum, Environment, PgResult};

/// Inserts rows that give some columns of a table; the others get their defaults.
pub struct RowInserter {
    table: Arc<Table>,
    /// For each column of the table: the place among the given values, or the default.
    sources: Vec<Source>,
    checks: Vec<CheckExpr>,
    environment: Arc<dyn Environment>,
    database: Arc<dyn Database>,
    failed_at: u64,
}

enum Source {
    Given(usize),
    Default(Compiled),
    Null,
}

impl RowInserter {
    pub fn new(
        table: Arc<Table>,
        positions: &[usize],
        environment: Arc<dyn Environment>,
        database: Arc<dyn Database>,
    ) -> PgResult<RowInserter> {
        let relations = Relations::new();
        let mut analyzer = Analyzer::new(&relations, &*environment, ParameterTypes::default());
        let mut sources = Vec::with_capacity(table.columns.len());
        for (at, column) in table.columns.iter().enumerate() {
            sources.push(match positions.iter().position(|position| *position == at) {
                Some(given) => Source::Given(given),
                None if column.dropped || column.default.is_none() => Source::Null,
                None => Source::Default(plan_expr(&analyzer.default_of(&table, at)?)?),
            });
        }
        let checks = plan_checks(&analyzer.checks(&table)?)?;
        Ok(RowInserter { table, sources, checks, environment, database, failed_at: 0 })
    }

    pub async fn insert(&mut self, rows: Vec<Vec<Datum>>, transaction: &mut dyn Transaction) -> PgResult<()> {
        let first = self.database.row_ids(rows.len() as u64);
        let (mut outer, mut affected) = (Vec::new(), 0);
        let mut context = Context {
            transaction,
            database: &*self.database,
            environment: &*self.environment,
            catalog: None,
            parameters: &[],
            outer: &mut outer,
            affected: &mut affected,
        };
        for (at, (mut given, id)) in rows.into_iter().zip(first..).enumerate() {
            self.failed_at = at as u64;
            let mut row: Row = Vec::with_capacity(self.sources.len());
            for source in &self.sources {
                row.push(match source {
                    Source::Given(at) => std::mem::take(&mut given[*at]),
                    Source::Default(default) => default.eval(context.eval(), &[])?,
                    Source::Null => Datum::Null,
                });
            }
            check_row(&self.table, &self.checks, &row, &context)?;
            insert_row(&mut context, &self.table, &row, RowId(id)).await?;
        }
        Ok(())
    }

    /// Which row of the last batch failed, from 0.
    pub fn failed_at(&self) -> u64 {
        self.failed_at
    }
}
