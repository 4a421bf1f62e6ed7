//! Adding a foreign key. Both tables' descriptors say it: the one that refers has the key, the other one that it is referred to.
use super::constraint::{constraint_exists, free_constraint_name};
use super::{Definer, derived_name};
use crate::catalog::{ForeignKey, Found, Index, Privileges, ReferentialAction, Table};
use crate::execute::{Reference, stored_row};
use crate::layout::table_range;
use crate::parser::tree::{Name, References, Timing};
use std::sync::Arc;
use trivet_types::registry::registry;
use trivet_types::{Oid, PgError, PgResult, SqlState, display_name, sqlstate};

const INVALID_FOREIGN_KEY: SqlState = SqlState(*b"42830");

impl Definer<'_> {
    pub(super) async fn add_foreign_key(
        &mut self,
        table: &mut Table,
        name: Option<&Name>,
        columns: &[Name],
        references: &References,
        not_valid: bool,
        new: bool,
    ) -> PgResult<()> {
        // A table that is being made cannot be looked up yet: it is known by its name.
        let named_so = references.table.last() == table.name
            && references.table.schema().is_none_or(|schema| schema == table.schema_name);
        let found = if new && named_so {
            Ok(None)
        } else {
            let found = self.find(&references.table).await?;
            found.map(Some).ok_or_else(|| crate::analyze::undefined_table(&references.table))
        };
        let found = found?;
        let itself = found.as_ref().is_none_or(|found| found.oid() == table.oid);
        let parent: Option<Table> = if itself {
            None
        } else {
            let parent = match found {
                Some(Found::Table(parent)) => parent.oid,
                _ => {
                    let message = format!("referenced relation \"{}\" is not a table", references.table.last());
                    return Err(PgError::new(sqlstate::WRONG_OBJECT_TYPE, message));
                }
            };
            let undefined = || crate::analyze::undefined_table(&references.table);
            let parent = self.locked_table(parent).await?.ok_or_else(undefined)?;
            self.check_table(&parent, Privileges::REFERENCES).await?;
            Some(Table::clone(&parent))
        };
        let other = parent.as_ref().unwrap_or(table);
        if other.is_temporary() != table.is_temporary() {
            let kind = if table.is_temporary() { "temporary" } else { "permanent" };
            let message = format!("constraints on {kind} tables may reference only {kind} tables");
            return Err(PgError::new(sqlstate::INVALID_TABLE_DEFINITION, message));
        }
        let child_columns = columns_of(table, columns)?;
        let (referred, index) = referred_columns(parent.as_ref().unwrap_or(table), &references.columns)?;
        if child_columns.len() != referred.len() {
            let message = "number of referencing and referenced columns for foreign key disagree";
            return Err(PgError::new(INVALID_FOREIGN_KEY, message));
        }
        let key_name = match name {
            Some(name) if table.has_constraint(&name.text) => return Err(constraint_exists(table, &name.text)),
            Some(name) => name.text.clone(),
            None => {
                let names: Vec<&str> = columns.iter().map(|name| name.text.as_str()).collect();
                free_constraint_name(table, derived_name(&table.name, &names, "fkey"))
            }
        };
        for (own, other) in child_columns.iter().zip(&referred) {
            let other = &parent.as_ref().unwrap_or(table).columns[*other];
            let own = &table.columns[*own];
            if registry().resolve_operator("=", other.type_oid, own.type_oid).is_err() {
                let message = format!("foreign key constraint \"{key_name}\" cannot be implemented");
                return Err(PgError::new(sqlstate::DATATYPE_MISMATCH, message).detail(format!(
                    "Key columns \"{}\" and \"{}\" are of incompatible types: {} and {}.",
                    own.name,
                    other.name,
                    display_name(own.type_oid, -1),
                    display_name(other.type_oid, -1)
                )));
            }
        }
        let set_columns = columns_of(table, &references.set_columns)?;
        if let Some(at) = set_columns.iter().position(|column| !child_columns.contains(column)) {
            let name = &table.columns[set_columns[at]].name;
            let message = format!("column \"{name}\" referenced in ON DELETE SET action must be part of foreign key");
            return Err(PgError::new(sqlstate::INVALID_COLUMN_REFERENCE, message));
        }
        refuse_generated(table, &child_columns, references)?;
        let key = ForeignKey {
            oid: self.new_oid().await?,
            name: key_name,
            columns: child_columns,
            table: parent.as_ref().map_or(table.oid, |parent| parent.oid),
            referred,
            index,
            on_update: references.on_update,
            on_delete: references.on_delete,
            set_columns,
            full: references.full,
            deferrable: references.timing.deferrable,
            deferred: references.timing.deferred,
            validated: !not_valid,
        };
        table.foreign_keys.push(key.clone());
        match parent {
            None => table.referenced_by.push((table.oid, key.oid)),
            Some(mut parent) => {
                parent.referenced_by.push((table.oid, key.oid));
                self.store(parent.clone());
                if !new && !not_valid {
                    self.validate_references(table, &key, &Arc::new(parent)).await?;
                }
                return Ok(());
            }
        }
        if !new && !not_valid {
            let parent = Arc::new(table.clone());
            self.validate_references(table, &key, &parent).await?;
        }
        Ok(())
    }

    /// 23503 if a row that is there refers to nothing. Both tables must be quiet until the commit.
    pub(super) async fn validate_references(
        &mut self,
        child: &Table,
        key: &ForeignKey,
        parent: &Arc<Table>,
    ) -> PgResult<()> {
        let shared = Arc::new(child.clone());
        let mut range = table_range(child.storage);
        loop {
            let rows = self.transaction.scan(&range, false, super::index::ROWS_A_STEP).await?;
            let mut values = Vec::with_capacity(rows.len());
            for row in &rows {
                values.push(stored_row(&shared, &row.value)?);
            }
            let reference = Reference { child: &shared, key, parent };
            for row in &values {
                let Some(entry) = reference.entry(row)? else { continue };
                if self.transaction.get(&entry).await?.is_none() {
                    return Err(reference.missing(row, self.environment));
                }
            }
            match rows.last() {
                Some(last) if rows.len() == super::index::ROWS_A_STEP => range.start = crate::layout::after(&last.key),
                _ => break,
            }
        }
        self.transaction.guard_range(table_range(child.storage));
        self.transaction.guard_range(table_range(parent.storage));
        Ok(())
    }

    /// VALIDATE CONSTRAINT
    pub(super) async fn validate_constraint(&mut self, table: &mut Table, name: &Name) -> PgResult<()> {
        let Some(at) = table.foreign_keys.iter().position(|key| key.name == name.text) else {
            if let Some(at) = table.checks.iter().position(|check| check.name == name.text) {
                if !table.checks[at].validated {
                    self.check_rows_against(table, at).await?;
                    table.checks[at].validated = true;
                }
                return Ok(());
            }
            let message = if table.has_constraint(&name.text) {
                let message = format!(
                    "constraint \"{}\" of relation \"{}\" is not a foreign key or check constraint",
                    name.text, table.name
                );
                return Err(PgError::new(sqlstate::WRONG_OBJECT_TYPE, message));
            } else {
                format!("constraint \"{}\" of relation \"{}\" does not exist", name.text, table.name)
            };
            return Err(PgError::new(sqlstate::UNDEFINED_OBJECT, message));
        };
        if table.foreign_keys[at].validated {
            return Ok(());
        }
        let key = table.foreign_keys[at].clone();
        let parent = if key.table == table.oid {
            Arc::new(table.clone())
        } else {
            let missing = || PgError::internal("a foreign key refers to no table");
            self.shared_table(key.table).await?.ok_or_else(missing)?
        };
        self.validate_references(table, &key, &parent).await?;
        table.foreign_keys[at].validated = true;
        Ok(())
    }

    /// A foreign key that is gone from its own table goes from the other's descriptor.
    pub(super) async fn forget_reference(&mut self, table: &mut Table, key: &ForeignKey) -> PgResult<()> {
        self.free_oid(key.oid).await?;
        if key.table == table.oid {
            table.referenced_by.retain(|(_, constraint)| *constraint != key.oid);
            return Ok(());
        }
        let Some(parent) = self.locked_table(key.table).await? else { return Ok(()) };
        let mut parent = Table::clone(&parent);
        parent.referenced_by.retain(|(_, constraint)| *constraint != key.oid);
        self.store(parent);
        Ok(())
    }
}

/// ALTER CONSTRAINT: when a foreign key is checked.
pub(super) fn alter_constraint(table: &mut Table, name: &Name, timing: Timing) -> PgResult<()> {
    let relation = table.name.clone();
    let is_there = table.has_constraint(&name.text);
    let Some(key) = table.foreign_keys.iter_mut().find(|key| key.name == name.text) else {
        return Err(if is_there {
            let message =
                format!("constraint \"{}\" of relation \"{relation}\" is not a foreign key constraint", name.text);
            PgError::new(sqlstate::WRONG_OBJECT_TYPE, message)
        } else {
            let message = format!("constraint \"{}\" of relation \"{relation}\" does not exist", name.text);
            PgError::new(sqlstate::UNDEFINED_OBJECT, message)
        });
    };
    key.deferrable = timing.deferrable;
    key.deferred = timing.deferred;
    Ok(())
}

fn columns_of(table: &Table, names: &[Name]) -> PgResult<Vec<usize>> {
    let mut columns = Vec::with_capacity(names.len());
    for name in names {
        let Some((at, _)) = table.column_named(&name.text) else {
            let message = format!("column \"{}\" referenced in foreign key constraint does not exist", name.text);
            return Err(PgError::new(sqlstate::UNDEFINED_COLUMN, message));
        };
        columns.push(at);
    }
    Ok(columns)
}

fn deferrable_target(what: &str, parent: &Table) -> Box<PgError> {
    let message = format!("cannot use a deferrable {what} for referenced table \"{}\"", parent.name);
    PgError::new(sqlstate::OBJECT_NOT_IN_PREREQUISITE_STATE, message)
}

/// The columns that are referred to, and the unique index over them: the primary key unless columns are named.
fn referred_columns(parent: &Table, names: &[Name]) -> PgResult<(Vec<usize>, Oid)> {
    if names.is_empty() {
        let Some(primary) = parent.primary_key() else {
            let message = format!("there is no primary key for referenced table \"{}\"", parent.name);
            return Err(PgError::new(sqlstate::UNDEFINED_OBJECT, message));
        };
        if parent.deferrable(primary.oid).is_some() {
            return Err(deferrable_target("primary key", parent));
        }
        return Ok((primary.keys.iter().map(|key| key.column).collect(), primary.oid));
    }
    let columns = columns_of(parent, names)?;
    let fits = |index: &&Index| index.unique && index.is_plain() && index.covers(&columns);
    let mut found = parent.indexes.iter().filter(fits);
    match found.next() {
        Some(index) => Ok((columns, index.oid)),
        None if parent.indexes.iter().any(|index| parent.deferrable(index.oid).is_some() && index.covers(&columns)) => {
            Err(deferrable_target("unique constraint", parent))
        }
        None => {
            let message =
                format!("there is no unique constraint matching given keys for referenced table \"{}\"", parent.name);
            Err(PgError::new(INVALID_FOREIGN_KEY, message))
        }
    }
}

/// A generated column can not be set by an action.
fn refuse_generated(table: &Table, columns: &[usize], references: &References) -> PgResult<()> {
    if !columns.iter().any(|column| table.columns[*column].generated.is_some()) {
        return Ok(());
    }
    let invalid = |clause: &str| {
        let message = format!("invalid ON {clause} action for foreign key constraint containing generated column");
        Err(PgError::new(sqlstate::SYNTAX_ERROR, message))
    };
    use ReferentialAction as A;
    match (references.on_update, references.on_delete) {
        (A::SetNull | A::SetDefault | A::Cascade, _) => invalid("UPDATE"),
        (_, A::SetNull | A::SetDefault) => invalid("DELETE"),
        _ => Ok(()),
    }
}
