//! Constraints: keys, checks, and what they find in the rows that are there. Foreign keys are in `foreign`.
use super::columns::{key_column, print_over, refuse_subqueries};
use super::{Definer, NewIndex, derived_name};
use crate::analyze::{Analyzer, ParameterTypes, Relations};
use crate::catalog::{Check, Constraint, ConstraintKind, Index, IndexKey, Table, Trait};
use crate::parser::tree::{self, Name, TableConstraint, TableConstraintKind};
use crate::typed;
use std::sync::Arc;
use trivet_types::{PgError, PgResult, sqlstate};

impl Definer<'_> {
    /// Adds a constraint to the descriptor, and looks at the rows that are there unless the table is `new`.
    pub(super) async fn add_constraint(
        &mut self,
        table: &mut Table,
        constraint: &TableConstraint,
        new: bool,
    ) -> PgResult<()> {
        let name = constraint.name.as_ref();
        let deferrable = constraint.timing.deferrable.then_some(constraint.timing.deferred);
        let index = match &constraint.kind {
            TableConstraintKind::PrimaryKey(columns) => {
                self.add_key(table, name, columns, ConstraintKind::PrimaryKey, false, deferrable).await?
            }
            TableConstraintKind::Unique(columns, nulls_collide) => {
                self.add_key(table, name, columns, ConstraintKind::Unique, *nulls_collide, deferrable).await?
            }
            TableConstraintKind::UsingIndex { .. } if deferrable.is_some() => {
                return Err(PgError::unsupported("a DEFERRABLE constraint USING INDEX"));
            }
            TableConstraintKind::UsingIndex { index, primary } => {
                return self.constraint_on_index(table, name, index, *primary).await;
            }
            TableConstraintKind::Check(expr, not_valid) => {
                let at = self.add_check(table, name, expr).await?;
                table.checks[at].validated = new || !not_valid;
                if constraint.no_inherit {
                    table.traits.push((table.checks[at].oid, Trait::NoInherit));
                }
                return if new || *not_valid { Ok(()) } else { self.check_rows_against(table, at).await };
            }
            TableConstraintKind::ForeignKey { columns, references, not_valid } => {
                return self.add_foreign_key(table, name, columns, references, *not_valid, new).await;
            }
        };
        if new { Ok(()) } else { self.build(table, &index).await }
    }

    async fn add_key(
        &mut self,
        table: &mut Table,
        name: Option<&Name>,
        columns: &[Name],
        kind: ConstraintKind,
        nulls_collide: bool,
        deferrable: Option<bool>,
    ) -> PgResult<Index> {
        let primary = kind == ConstraintKind::PrimaryKey;
        if primary && table.primary_key().is_some() {
            let message = format!("multiple primary keys for table \"{}\" are not allowed", table.name);
            return Err(PgError::new(sqlstate::INVALID_TABLE_DEFINITION, message));
        }
        // An index's name is taken before a constraint's.
        let is_index = |name: &&Name| table.indexes.iter().any(|index| index.name == name.text);
        if let Some(name) = name.filter(is_index) {
            return Err(super::already_exists(&name.text));
        }
        self.check_constraint_name(table, name)?;
        let keys = constraint_keys(table, columns, primary)?;
        let column_names: Vec<&str> = columns.iter().map(|column| column.text.as_str()).collect();
        let default_name = if primary {
            derived_name(&table.name, &[], "pkey")
        } else {
            derived_name(&table.name, &column_names, "key")
        };
        let new = NewIndex {
            name: name.cloned(),
            default_name,
            unique: deferrable.is_none(),
            deferrable,
            nulls_collide,
            keys,
            constraint: Some(kind),
            ..NewIndex::default()
        };
        self.add_index(table, new).await
    }

    fn check_constraint_name(&self, table: &Table, name: Option<&Name>) -> PgResult<()> {
        match name {
            Some(name) if table.has_constraint(&name.text) => Err(constraint_exists(table, &name.text)),
            _ => Ok(()),
        }
    }

    /// `ADD CONSTRAINT ... UNIQUE USING INDEX`
    async fn constraint_on_index(
        &mut self,
        table: &mut Table,
        name: Option<&Name>,
        index: &Name,
        primary: bool,
    ) -> PgResult<()> {
        let Some(at) = table.indexes.iter().position(|found| found.name == index.text) else {
            return Err(PgError::new(sqlstate::UNDEFINED_OBJECT, format!("index \"{}\" does not exist", index.text)));
        };
        if table.constraint_of(table.indexes[at].oid).is_some() {
            let message = format!("index \"{}\" is already associated with a constraint", index.text);
            return Err(PgError::new(sqlstate::OBJECT_NOT_IN_PREREQUISITE_STATE, message));
        }
        if !table.indexes[at].unique {
            let message = format!("\"{}\" is not a unique index", index.text);
            return Err(PgError::new(sqlstate::WRONG_OBJECT_TYPE, message)
                .detail("Cannot create a primary key or unique constraint using such an index."));
        }
        if !table.indexes[at].is_plain() {
            let message = format!("index \"{}\" contains expressions", index.text);
            return Err(PgError::new(sqlstate::WRONG_OBJECT_TYPE, message)
                .detail("Cannot create a primary key or unique constraint using such an index."));
        }
        if primary && table.primary_key().is_some() {
            let message = format!("multiple primary keys for table \"{}\" are not allowed", table.name);
            return Err(PgError::new(sqlstate::INVALID_TABLE_DEFINITION, message));
        }
        if primary {
            for key in table.indexes[at].keys.clone() {
                self.require_not_null(table, key.column).await?;
                table.columns[key.column].not_null = true;
            }
        }
        let oid = table.indexes[at].oid;
        if let Some(name) = name.filter(|name| name.text != index.text) {
            self.check_constraint_name(table, Some(name))?;
            self.rename_index(table, oid, &name.text).await?;
            let message = format!(
                "ALTER TABLE / ADD CONSTRAINT USING INDEX will rename index \"{}\" to \"{}\"",
                index.text, name.text
            );
            self.notice(sqlstate::SUCCESSFUL_COMPLETION, message);
        }
        table.indexes[at].primary = primary;
        let kind = if primary { ConstraintKind::PrimaryKey } else { ConstraintKind::Unique };
        let constraint =
            Constraint { oid: self.new_oid().await?, name: table.indexes[at].name.clone(), kind, index: oid };
        table.constraints.push(constraint);
        Ok(())
    }

    /// A check's place among the table's.
    async fn add_check(&mut self, table: &mut Table, name: Option<&Name>, expr: &tree::Expr) -> PgResult<usize> {
        let relations = Relations::new();
        let shared = Arc::new(table.clone());
        let typed = Analyzer::new(&relations, self.environment, ParameterTypes::default()).over_table(&shared, expr)?;
        refuse_subqueries(&typed, "check constraint")?;
        self.check_constraint_name(table, name)?;
        let wanted = match name {
            Some(name) => name.text.clone(),
            None => {
                let mut used: Vec<&str> = Vec::new();
                typed.any(&mut |part| {
                    if let typed::ExprKind::Column { column, .. } = part.kind {
                        let name = shared.columns[column].name.as_str();
                        if !used.contains(&name) {
                            used.push(name);
                        }
                    }
                    false
                });
                // A check of one column bears its name.
                if used.len() > 1 {
                    used.clear();
                }
                free_constraint_name(table, derived_name(&table.name, &used, "check"))
            }
        };
        let check = Check {
            oid: self.new_oid().await?,
            name: wanted,
            expression: print_over(&typed, &shared),
            validated: true,
        };
        table.checks.push(check);
        Ok(table.checks.len() - 1)
    }

    /// 23514 if a row that is there violates a check.
    pub(super) async fn check_rows_against(&mut self, table: &Table, at: usize) -> PgResult<()> {
        let shared = Arc::new(table.clone());
        let check = &table.checks[at];
        let relations = Relations::new();
        let mut analyzer = Analyzer::new(&relations, self.environment, ParameterTypes::default());
        let expr = analyzer.check(&shared, check)?;
        let compiled = crate::plan::plan_checks(&[(check.name.clone(), expr)])?;
        let environment = self.environment;
        self.each_row(table, |row| {
            let values = crate::execute::stored_row(&shared, &row.value)?;
            if compiled[0].expr.evaluate_row(environment, &values)? == trivet_types::Datum::Bool(false) {
                let message = format!(
                    "check constraint \"{}\" of relation \"{}\" is violated by some row",
                    check.name, table.name
                );
                return Err(PgError::new(sqlstate::CHECK_VIOLATION, message)
                    .schema(table.schema_name.clone())
                    .table(table.name.clone())
                    .constraint(check.name.clone()));
            }
            Ok(())
        })
        .await?;
        self.transaction.guard_range(crate::layout::table_range(table.storage));
        Ok(())
    }
}

pub(super) fn constraint_exists(table: &Table, name: &str) -> Box<PgError> {
    let message = format!("constraint \"{name}\" for relation \"{}\" already exists", table.name);
    PgError::new(sqlstate::DUPLICATE_OBJECT, message)
}

/// The first of `base`, `base1` ... that no constraint of the table has.
pub(super) fn free_constraint_name(table: &Table, base: String) -> String {
    let mut number = 0;
    let mut name = base.clone();
    while table.has_constraint(&name) {
        number += 1;
        name = format!("{base}{number}");
    }
    name
}

fn constraint_keys(table: &Table, columns: &[Name], primary: bool) -> PgResult<Vec<IndexKey>> {
    let mut keys: Vec<IndexKey> = Vec::with_capacity(columns.len());
    for name in columns {
        let column = key_column(table, name)?;
        if keys.iter().any(|key| key.column == column) {
            let kind = if primary { "primary key" } else { "unique" };
            let message = format!("column \"{}\" appears twice in {kind} constraint", name.text);
            let error = PgError::new(sqlstate::DUPLICATE_COLUMN, message);
            return Err(match name.place.known() {
                Some(place) => error.position(place),
                None => error,
            });
        }
        keys.push(IndexKey::column(column));
    }
    Ok(keys)
}
