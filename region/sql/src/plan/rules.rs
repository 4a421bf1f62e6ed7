//! What a table's rows must obey and have computed from them, compiled: CHECKs, generated columns, index keys and conditions.
use super::expr::{Compiled, EvalContext};
use super::node::CheckExpr;
use crate::analyze::{Analyzer, ParameterTypes, Relations};
use crate::catalog::{Index, Table};
use crate::layout::{EntryKey, RowId, entry_key};
use crate::typed::{Expr, ExprKind};
use std::sync::Arc;
use trivet_types::{Datum, Environment, PgResult};

#[derive(Debug, Default)]
pub struct TableRules {
    pub checks: Vec<CheckExpr>,
    /// (column, value), over the row without them.
    pub generated: Vec<(usize, Compiled)>,
    /// Of the indexes that are not over plain columns of all rows.
    pub indexes: Vec<CompiledIndex>,
}

#[derive(Debug)]
pub struct CompiledIndex {
    /// Its position among the table's.
    pub index: usize,
    /// `None`: the column itself.
    pub keys: Vec<Option<Compiled>>,
    pub filter: Option<Compiled>,
}

fn context(environment: &dyn Environment) -> EvalContext<'_> {
    EvalContext { environment, parameters: &[], outer: &[] }
}

impl Compiled {
    /// Over a table's row, without anything around.
    pub fn evaluate_row(&self, environment: &dyn Environment, row: &[Datum]) -> PgResult<Datum> {
        self.eval(context(environment), row)
    }
}

impl TableRules {
    pub fn of(table: &Arc<Table>, environment: &dyn Environment) -> PgResult<TableRules> {
        let relations = Relations::new();
        let mut analyzer = Analyzer::new(&relations, environment, ParameterTypes::default());
        super::planner::plan_rules(&analyzer.rules(table)?)
    }

    /// A condition on a table's rows alone: COPY's WHERE.
    pub fn condition(
        table: &Arc<Table>,
        condition: &crate::parser::tree::Expr,
        environment: &dyn Environment,
    ) -> PgResult<Compiled> {
        let relations = Relations::new();
        let mut analyzer = Analyzer::new(&relations, environment, ParameterTypes::none());
        let typed = analyzer.copy_condition(table, condition)?;
        let mut checks = super::planner::plan_checks(&[("where".to_owned(), typed)])?;
        checks
            .pop()
            .map(|check| check.expr)
            .ok_or_else(|| trivet_types::PgError::internal("a condition without a plan"))
    }

    /// What a value for a column passes by if the column is of a domain: over a row that has nothing but the value.
    pub fn domain(table: &Table, column: usize, environment: &dyn Environment) -> PgResult<Option<Compiled>> {
        if table.domain_of(column).is_none() {
            return Ok(None);
        }
        let relations = Relations::new();
        let mut analyzer = Analyzer::new(&relations, environment, ParameterTypes::none());
        let kind = ExprKind::Column { up: 0, relation: 0, column: 0 };
        let value = Expr { kind, ..Expr::constant(Datum::Null, table.columns[column].type_oid) };
        super::planner::plan_row_expr(&analyzer.to_column(table, column, value)?).map(Some)
    }

    /// Fills in the generated columns.
    pub fn generate(&self, environment: &dyn Environment, row: &mut [Datum]) -> PgResult<()> {
        for (column, value) in &self.generated {
            row[*column] = value.evaluate_row(environment, row)?;
        }
        Ok(())
    }

    /// The entry of a row in the index at a position; `None`: the index does not hold the row.
    pub fn entry(
        &self,
        table: &Table,
        position: usize,
        environment: &dyn Environment,
        row: &[Datum],
        id: RowId,
    ) -> PgResult<Option<EntryKey>> {
        let index = &table.indexes[position];
        match self.indexes.iter().find(|rule| rule.index == position) {
            None => {
                let columns =
                    index.keys.iter().map(|key| (table.columns[key.column].type_oid, &row[key.column], key.descending));
                Ok(Some(entry_key(index.storage, index.uniqueness(), columns, id)))
            }
            Some(rule) => rule.entry(table, index, environment, row, id),
        }
    }

    /// The entries of a row, for each index in turn.
    pub fn entries(
        &self,
        table: &Table,
        environment: &dyn Environment,
        row: &[Datum],
        id: RowId,
    ) -> PgResult<Vec<Option<EntryKey>>> {
        (0..table.indexes.len()).map(|position| self.entry(table, position, environment, row, id)).collect()
    }

    /// The values of an index's keys, for messages.
    pub fn key_values(
        &self,
        table: &Table,
        position: usize,
        environment: &dyn Environment,
        row: &[Datum],
    ) -> PgResult<Vec<Datum>> {
        let index = &table.indexes[position];
        let rule = self.indexes.iter().find(|rule| rule.index == position);
        let mut values = Vec::with_capacity(index.keys.len());
        for (at, key) in index.keys.iter().enumerate() {
            values.push(match rule.and_then(|rule| rule.keys[at].as_ref()) {
                Some(computed) => computed.evaluate_row(environment, row)?,
                None => row[key.column].clone(),
            });
        }
        Ok(values)
    }
}

impl CompiledIndex {
    fn entry(
        &self,
        table: &Table,
        index: &Index,
        environment: &dyn Environment,
        row: &[Datum],
        id: RowId,
    ) -> PgResult<Option<EntryKey>> {
        if let Some(filter) = &self.filter {
            if !filter.test(context(environment), row)? {
                return Ok(None);
            }
        }
        let mut values = Vec::with_capacity(index.keys.len());
        for (key, computed) in index.keys.iter().zip(&self.keys) {
            values.push(match computed {
                Some(computed) => computed.evaluate_row(environment, row)?,
                None => row[key.column].clone(),
            });
        }
        let columns = index.keys.iter().zip(&values).map(|(key, value)| (table.key_type(key), value, key.descending));
        Ok(Some(entry_key(index.storage, index.uniqueness(), columns, id)))
    }
}
