//! ALTER TABLE.
use super::columns::check_names;
use super::index::{contains_nulls, row_values};
use super::{Definer, already_exists};
use crate::catalog::{Column, RelationKind, Table};
use crate::layout::{encode_row, table_range};
use crate::parser::tree::{
    AlterTable, ColumnConstraintKind, ColumnDefinition, Name, QualifiedName, TableConstraint, TableConstraintKind,
};
use crate::typed;
use bytes::BytesMut;
use trivet_types::{PgError, PgResult, sqlstate};

impl Definer<'_> {
    pub(super) async fn alter_table(
        &mut self,
        name: &QualifiedName,
        if_exists: bool,
        actions: &[AlterTable],
    ) -> PgResult<()> {
        if if_exists && self.find(name).await?.is_none() {
            let message = format!("relation \"{}\" does not exist, skipping", name.shown());
            self.notice(sqlstate::SUCCESSFUL_COMPLETION, message);
            return Ok(());
        }
        let mut table = self.table_to_change(name).await?;
        for action in actions {
            self.alter(&mut table, action).await?;
        }
        self.store(table);
        Ok(())
    }

    async fn alter(&mut self, table: &mut Table, action: &AlterTable) -> PgResult<()> {
        match action {
            AlterTable::AddConstraint(constraint) => self.alter_add_constraint(table, constraint).await,
            AlterTable::AddColumn { column, if_not_exists } => self.add_column(table, column, *if_not_exists).await,
            AlterTable::DropColumn { name, if_exists, cascade: _ } => self.drop_column(table, name, *if_exists).await,
            AlterTable::DropConstraint { name, if_exists, .. } => self.drop_constraint(table, name, *if_exists).await,
            AlterTable::RenameColumn { from, to } => rename_column(table, from, to),
            AlterTable::RenameTo(to) => self.rename(table, to).await,
            AlterTable::SetDefault { column, value } => {
                let at = column_at(table, column)?;
                let default = self.default(&table.columns[at].clone(), value)?;
                table.columns[at].default = default;
                Ok(())
            }
            AlterTable::DropDefault { column } => {
                let at = column_at(table, column)?;
                table.columns[at].default = None;
                Ok(())
            }
            AlterTable::SetNotNull { column } => self.set_not_null(table, column).await,
            AlterTable::DropNotNull { column } => drop_not_null(table, column),
            AlterTable::OwnerTo(owner) if owner.text == crate::catalog::ROLE_NAME => Ok(()),
            AlterTable::OwnerTo(owner) => {
                Err(PgError::new(sqlstate::UNDEFINED_OBJECT, format!("role \"{}\" does not exist", owner.text)))
            }
            AlterTable::SetType { .. } => Err(PgError::unsupported("ALTER COLUMN ... TYPE")),
        }
    }

    async fn alter_add_constraint(&mut self, table: &mut Table, constraint: &TableConstraint) -> PgResult<()> {
        if matches!(constraint.kind, TableConstraintKind::Check(_)) {
            return Err(PgError::unsupported("ALTER TABLE ... ADD CHECK"));
        }
        if let Some(index) = self.add_constraint(table, constraint).await? {
            self.build(table, &index).await?;
        }
        Ok(())
    }

    async fn add_column(
        &mut self,
        table: &mut Table,
        definition: &ColumnDefinition,
        if_not_exists: bool,
    ) -> PgResult<()> {
        if table.column_named(&definition.name.text).is_some() {
            let message = format!("column \"{}\" of relation \"{}\" already exists", definition.name.text, table.name);
            if if_not_exists {
                self.notice(sqlstate::DUPLICATE_COLUMN, format!("{message}, skipping"));
                return Ok(());
            }
            return Err(PgError::new(sqlstate::DUPLICATE_COLUMN, message));
        }
        for constraint in &definition.constraints {
            match constraint.kind {
                ColumnConstraintKind::PrimaryKey | ColumnConstraintKind::Unique | ColumnConstraintKind::Check(_) => {
                    return Err(PgError::unsupported("ADD COLUMN with a constraint")
                        .hint("Add the column first, then the constraint."));
                }
                _ => {}
            }
        }
        let mut column = self.column(definition)?;
        column.missing = self.constant_default(&column, definition)?;
        if column.not_null && column.missing.is_none() {
            self.refuse_rows(table, &column).await?;
        }
        table.columns.push(column);
        check_names(&table.columns)
    }

    /// What rows that are there already get: a default that is a constant, encoded.
    fn constant_default(&mut self, column: &Column, definition: &ColumnDefinition) -> PgResult<Option<Vec<u8>>> {
        let Some(value) = definition.constraints.iter().find_map(|constraint| match &constraint.kind {
            ColumnConstraintKind::Default(value) => Some(value),
            _ => None,
        }) else {
            return Ok(None);
        };
        let relations = crate::analyze::Relations::new();
        let mut analyzer =
            crate::analyze::Analyzer::new(&relations, self.environment, crate::analyze::ParameterTypes::default());
        let typed = analyzer.standalone(value, column.type_oid, column.modifier, &column.name)?;
        match typed.kind {
            typed::ExprKind::Constant(datum) if datum.is_null() => Ok(None),
            typed::ExprKind::Constant(datum) => {
                let mut encoded = BytesMut::new();
                encode_row(&[datum], &mut encoded);
                Ok(Some(encoded.to_vec()))
            }
            _ => Err(PgError::unsupported("ADD COLUMN with a default that is not a constant")),
        }
    }

    /// A new NOT NULL column without a default fits only an empty table.
    async fn refuse_rows(&mut self, table: &Table, column: &Column) -> PgResult<()> {
        let rows = table_range(table.storage);
        if !self.transaction.scan(&rows, false, 1).await?.is_empty() {
            let message = format!("column \"{}\" of relation \"{}\" contains null values", column.name, table.name);
            return Err(PgError::new(sqlstate::NOT_NULL_VIOLATION, message).table(table.name.clone()));
        }
        self.transaction.guard_range(rows);
        Ok(())
    }

    async fn drop_column(&mut self, table: &mut Table, name: &Name, if_exists: bool) -> PgResult<()> {
        let Some((at, _)) = table.column_named(&name.text) else {
            let message = format!("column \"{}\" of relation \"{}\" does not exist", name.text, table.name);
            if if_exists {
                self.notice(sqlstate::SUCCESSFUL_COMPLETION, format!("{message}, skipping"));
                return Ok(());
            }
            return Err(PgError::new(sqlstate::UNDEFINED_COLUMN, message));
        };
        let indexes: Vec<_> = table
            .indexes
            .iter()
            .filter(|index| index.keys.iter().any(|key| key.column == at))
            .map(|index| index.oid)
            .collect();
        for index in indexes {
            self.remove_index(table, index).await?;
        }
        if !table.checks.is_empty() {
            return Err(PgError::unsupported("DROP COLUMN of a table with CHECK constraints"));
        }
        let column = &mut table.columns[at];
        column.dropped = true;
        column.not_null = false;
        column.default = None;
        // PostgreSQL's own pattern, so that the name is free and no user has it.
        column.name = format!("........pg.dropped.{}........", at + 1);
        Ok(())
    }

    async fn drop_constraint(&mut self, table: &mut Table, name: &Name, if_exists: bool) -> PgResult<()> {
        if let Some(at) = table.checks.iter().position(|check| check.name == name.text) {
            let check = table.checks.remove(at);
            return self.free_oid(check.oid).await;
        }
        let constraint = table.constraints.iter().find(|constraint| constraint.name == name.text);
        if let Some(index) = constraint.map(|constraint| constraint.index) {
            self.remove_index(table, index).await?;
            return Ok(());
        }
        let message = format!("constraint \"{}\" of relation \"{}\" does not exist", name.text, table.name);
        if if_exists {
            self.notice(sqlstate::SUCCESSFUL_COMPLETION, format!("{message}, skipping"));
            return Ok(());
        }
        Err(PgError::new(sqlstate::UNDEFINED_OBJECT, message))
    }

    async fn rename(&mut self, table: &mut Table, to: &Name) -> PgResult<()> {
        if !self.claim_name(table.schema, &to.text, RelationKind::Table, table.oid, table.oid).await? {
            return Err(already_exists(&to.text));
        }
        self.free_name(table.schema, &table.name).await?;
        table.name.clone_from(&to.text);
        Ok(())
    }

    async fn set_not_null(&mut self, table: &mut Table, name: &Name) -> PgResult<()> {
        let at = column_at(table, name)?;
        let types: Vec<_> = table.columns[..=at].iter().map(|column| column.type_oid).collect();
        let seen = table.clone();
        self.each_row(&seen, |row| match row_values(row, &types, &seen)?[at].is_null() {
            true => Err(contains_nulls(&seen, at)),
            false => Ok(()),
        })
        .await?;
        self.transaction.guard_range(table_range(table.storage));
        table.columns[at].not_null = true;
        Ok(())
    }
}

fn column_at(table: &Table, name: &Name) -> PgResult<usize> {
    table.column_named(&name.text).map(|(at, _)| at).ok_or_else(|| {
        let message = format!("column \"{}\" of relation \"{}\" does not exist", name.text, table.name);
        PgError::new(sqlstate::UNDEFINED_COLUMN, message)
    })
}

fn rename_column(table: &mut Table, from: &Name, to: &Name) -> PgResult<()> {
    let Some((at, _)) = table.column_named(&from.text) else {
        return Err(PgError::new(sqlstate::UNDEFINED_COLUMN, format!("column \"{}\" does not exist", from.text)));
    };
    if table.column_named(&to.text).is_some() {
        let message = format!("column \"{}\" of relation \"{}\" already exists", to.text, table.name);
        return Err(PgError::new(sqlstate::DUPLICATE_COLUMN, message));
    }
    if !table.checks.is_empty() {
        return Err(PgError::unsupported("RENAME COLUMN of a table with CHECK constraints"));
    }
    table.columns[at].name.clone_from(&to.text);
    Ok(())
}

fn drop_not_null(table: &mut Table, name: &Name) -> PgResult<()> {
    let at = column_at(table, name)?;
    if table.primary_key().is_some_and(|key| key.keys.iter().any(|key| key.column == at)) {
        let message = format!("column \"{}\" is in a primary key", name.text);
        return Err(PgError::new(sqlstate::INVALID_TABLE_DEFINITION, message));
    }
    table.columns[at].not_null = false;
    Ok(())
}
