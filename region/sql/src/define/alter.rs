//! ALTER TABLE, and what of it views, sequences and indexes have.
use super::columns::{check_names, print_over};
use super::constraint::constraint_exists;
use super::create::{check_options, constraints_of_column};
use super::depend::Object;
use super::foreign::alter_constraint;
use super::index::{contains_nulls, row_values};
use super::{Definer, already_exists};
use crate::analyze::{Analyzer, ParameterTypes, Relations};
use crate::catalog::{CheckOption, Found, Privileges, RelationBody, RelationKind, Table};
use crate::layout::table_range;
use crate::parser::tree::{
    AlterTable, ColumnConstraintKind, ColumnDefinition, Name, ObjectKind, QualifiedName, RoleName, SequenceOption,
    TableAction, TableConstraintKind,
};
use std::sync::Arc;
use trivet_types::{Oid, PgError, PgResult, oid, sqlstate};

impl Definer<'_> {
    pub(super) async fn alter_relation(
        &mut self,
        kind: ObjectKind,
        name: &QualifiedName,
        if_exists: bool,
        actions: &[AlterTable],
    ) -> PgResult<String> {
        let tag = format!("ALTER {}", kind.word().to_uppercase());
        let Some(found) = self.find(name).await? else {
            if if_exists {
                self.skipping(format!("relation \"{}\" does not exist", name.shown()));
                return Ok(tag);
            }
            return Err(undefined(name));
        };
        if let Found::Index(table, index) = &found {
            let (table, index) = (table.oid, *index);
            self.alter_index(kind, name, table, index, actions).await?;
            return Ok(tag);
        }
        // ALTER TABLE takes any relation for what any relation has.
        let common = |action: &AlterTable| {
            matches!(
                action,
                AlterTable::RenameTo(_) | AlterTable::OwnerTo(_) | AlterTable::Other(TableAction::SetSchema(_))
            )
        };
        let of_view = |action: &AlterTable| {
            common(action)
                || matches!(
                    action,
                    AlterTable::RenameColumn { .. } | AlterTable::SetDefault { .. } | AlterTable::DropDefault { .. }
                )
        };
        let any = match (kind, found.kind()) {
            (ObjectKind::Table, RelationKind::View) => actions.iter().all(of_view),
            (ObjectKind::Table, RelationKind::Sequence | RelationKind::MaterializedView) => actions.iter().all(common),
            _ => false,
        };
        let kind = match found.kind() {
            RelationKind::View if any => ObjectKind::View,
            RelationKind::Sequence if any => ObjectKind::Sequence,
            RelationKind::MaterializedView if any => ObjectKind::MaterializedView,
            _ => kind,
        };
        let mut table = self.relation_to_change(name, kind).await?;
        self.check_settled(&table, "ALTER TABLE")?;
        // A later action may look into an index that an earlier one makes.
        self.last &= actions.len() == 1;
        for action in actions {
            let done = self.alter(&mut table, action).await;
            // PostgreSQL looks at these expressions when their text is no longer at hand.
            let placeless = match action {
                AlterTable::SetDefault { .. } => true,
                AlterTable::AddConstraint(constraint) => matches!(constraint.kind, TableConstraintKind::Check(..)),
                _ => false,
            };
            done.map_err(|mut error| {
                if placeless {
                    error.position = None;
                }
                error
            })?;
        }
        self.store(table);
        Ok(tag)
    }

    async fn alter(&mut self, table: &mut Table, action: &AlterTable) -> PgResult<()> {
        match action {
            AlterTable::AddConstraint(constraint) => self.add_constraint(table, constraint, false).await,
            AlterTable::AddColumn { column, if_not_exists } => self.add_column(table, column, *if_not_exists).await,
            AlterTable::DropColumn { name, if_exists, cascade } => {
                let Some((at, _)) = table.column_named(&name.text) else {
                    return self.missing_part("column", table, name, *if_exists, sqlstate::UNDEFINED_COLUMN);
                };
                let part = Object::Column(table.oid, at);
                self.drop_part(table, part, *cascade).await
            }
            AlterTable::DropConstraint { name, if_exists, cascade } => {
                let named = [
                    table.checks.iter().find(|check| check.name == name.text).map(|check| check.oid),
                    table.constraints.iter().find(|found| found.name == name.text).map(|found| found.oid),
                    table.foreign_keys.iter().find(|key| key.name == name.text).map(|key| key.oid),
                ];
                let Some(oid) = named.into_iter().flatten().next() else {
                    return self.missing_part("constraint", table, name, *if_exists, sqlstate::UNDEFINED_OBJECT);
                };
                let part = Object::Constraint(table.oid, oid);
                self.drop_part(table, part, *cascade).await
            }
            AlterTable::RenameColumn { from, to } => self.rename_column(table, from, to),
            AlterTable::RenameTo(to) => self.rename(table, to).await,
            AlterTable::SetDefault { column, value } => {
                let at = column_at(table, column)?;
                refuse_default(table, at, "SET")?;
                let default = self.default(&table.columns[at].clone(), value).await?;
                table.columns[at].default = default;
                Ok(())
            }
            AlterTable::DropDefault { column } => {
                let at = column_at(table, column)?;
                refuse_default(table, at, "DROP")?;
                table.columns[at].default = None;
                Ok(())
            }
            AlterTable::SetNotNull { column } => {
                let at = column_at(table, column)?;
                self.require_not_null(table, at).await?;
                table.columns[at].not_null = true;
                Ok(())
            }
            AlterTable::DropNotNull { column } => drop_not_null(table, column),
            AlterTable::OwnerTo(owner) => self.change_owner_of(table, owner).await,
            AlterTable::SetType { column, data_type, using } => {
                self.set_type(table, column, data_type, using.as_ref()).await
            }
            AlterTable::Other(action) => self.other_action(table, action).await,
        }
    }

    async fn other_action(&mut self, table: &mut Table, action: &TableAction) -> PgResult<()> {
        match action {
            TableAction::RenameConstraint { from, to } => self.rename_constraint(table, from, to).await,
            TableAction::ValidateConstraint(name) => self.validate_constraint(table, name).await,
            TableAction::AlterConstraint { name, timing } => alter_constraint(table, name, *timing),
            TableAction::SetSchema(name) => self.set_schema(table, name).await,
            TableAction::SetOptions(options) if matches!(table.body, RelationBody::View(_)) => {
                options.iter().try_for_each(|(name, value)| set_view_option(table, name, Some(value)))
            }
            TableAction::ResetOptions(names) if matches!(table.body, RelationBody::View(_)) => {
                names.iter().try_for_each(|name| set_view_option(table, name, None))
            }
            TableAction::SetOptions(options) => {
                check_options(options)?;
                for (name, value) in options {
                    table.options.retain(|(other, _)| other != name);
                    table.options.push((name.clone(), value.clone()));
                }
                Ok(())
            }
            TableAction::ResetOptions(names) => {
                table.options.retain(|(name, _)| !names.contains(name));
                Ok(())
            }
            TableAction::AddIdentity { column, always, options } => {
                self.add_identity(table, column, *always, options).await
            }
            TableAction::SetIdentity { column, always, options } => {
                let at = column_at(table, column)?;
                let Some(mut identity) = table.columns[at].identity else { return Err(no_identity(table, column)) };
                identity.always = always.unwrap_or(identity.always);
                table.columns[at].identity = Some(identity);
                if !options.is_empty() {
                    let gone = || PgError::internal("an identity column without its sequence");
                    let sequence = self.locked_table(identity.sequence).await?.ok_or_else(gone)?;
                    self.change_sequence(Table::clone(&sequence), options).await?;
                }
                Ok(())
            }
            TableAction::DropIdentity { column, if_exists } => {
                let at = column_at(table, column)?;
                let Some(identity) = table.columns[at].identity.take() else {
                    if *if_exists {
                        let message = no_identity(table, column).message;
                        self.skipping(message);
                        return Ok(());
                    }
                    return Err(no_identity(table, column));
                };
                // No longer the column's own: now it may be dropped.
                if let Some(sequence) = self.locked_table(identity.sequence).await? {
                    let mut sequence = Table::clone(&sequence);
                    if let crate::catalog::RelationBody::Sequence(sequence) = &mut sequence.body {
                        sequence.owned_by = None;
                    }
                    self.store(sequence);
                    self.store(table.clone());
                    self.drop_objects(&[Object::Relation(identity.sequence)], false).await?;
                }
                Ok(())
            }
            TableAction::DropExpression { column, if_exists } => {
                let at = column_at(table, column)?;
                if table.columns[at].generated.take().is_none() {
                    let message = format!(
                        "column \"{}\" of relation \"{}\" is not a stored generated column",
                        column.text, table.name
                    );
                    if *if_exists {
                        self.skipping(message);
                        return Ok(());
                    }
                    return Err(PgError::new(sqlstate::OBJECT_NOT_IN_PREREQUISITE_STATE, message));
                }
                Ok(())
            }
            TableAction::Nothing { column } => match column {
                Some(column) => column_at(table, column).map(|_| ()),
                None => Ok(()),
            },
        }
    }

    fn missing_part(
        &mut self,
        what: &str,
        table: &Table,
        name: &Name,
        if_exists: bool,
        code: trivet_types::SqlState,
    ) -> PgResult<()> {
        let message = format!("{what} \"{}\" of relation \"{}\" does not exist", name.text, table.name);
        if if_exists {
            self.skipping(message);
            return Ok(());
        }
        Err(PgError::new(code, message))
    }

    async fn add_identity(
        &mut self,
        table: &mut Table,
        column: &Name,
        always: bool,
        options: &[SequenceOption],
    ) -> PgResult<()> {
        let at = column_at(table, column)?;
        let found = &table.columns[at];
        let shown = format!("column \"{}\" of relation \"{}\"", found.name, table.name);
        if !matches!(found.type_oid, oid::INT2 | oid::INT4 | oid::INT8) {
            let message = "identity column type must be smallint, integer, or bigint";
            return Err(PgError::new(sqlstate::INVALID_PARAMETER_VALUE, message));
        }
        let refusal = if !found.not_null {
            Some(format!("{shown} must be declared NOT NULL before identity can be added"))
        } else if found.identity.is_some() {
            Some(format!("{shown} is already an identity column"))
        } else if found.default.is_some() {
            Some(format!("{shown} already has a default value"))
        } else {
            None
        };
        if let Some(message) = refusal {
            return Err(PgError::new(sqlstate::OBJECT_NOT_IN_PREREQUISITE_STATE, message));
        }
        let numbering = super::columns::Numbering::Identity { always, options: options.to_vec() };
        self.number_column(table, at, numbering).await
    }

    async fn change_owner_of(&mut self, table: &mut Table, owner: &RoleName) -> PgResult<()> {
        let owner = self.role_named(owner).await?;
        if owner.oid == table.owner {
            return Ok(());
        }
        self.check_new_owner(&owner).await?;
        super::role::change_owner(table, owner.oid);
        for sequence in self.owned_sequences(table.oid).await? {
            let Some(sequence) = self.locked_table(sequence).await? else { continue };
            let mut sequence = Table::clone(&sequence);
            super::role::change_owner(&mut sequence, owner.oid);
            self.store(sequence);
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
        let table_name = table.name.clone();
        let (column, domain, numbering) = self.column(&table_name, definition).await?;
        let not_null = column.not_null;
        let at = table.columns.len();
        table.columns.push(column);
        table.set_domain(at, domain);
        check_names(&table.columns)?;
        let generated = definition.constraints.iter().find_map(|constraint| match &constraint.kind {
            ColumnConstraintKind::Generated(value) => Some(value),
            _ => None,
        });
        if let Some(value) = generated {
            let text = self.generation(table, at, value).await?;
            table.columns[at].generated = Some(text);
        }
        if let Some(numbering) = numbering {
            self.number_column(table, at, numbering).await?;
        }
        self.fill_new_column(table, at, definition).await?;
        if not_null && table.columns[at].missing.is_none() {
            self.require_not_null(table, at).await?;
        }
        for constraint in constraints_of_column(definition) {
            self.add_constraint(table, &constraint, false).await?;
        }
        Ok(())
    }

    async fn rename(&mut self, table: &mut Table, to: &Name) -> PgResult<()> {
        if !self.claim_name(table.schema, &to.text, table.kind(), table.oid, table.oid).await? {
            return Err(already_exists(&to.text));
        }
        self.free_name(table.schema, &table.name).await?;
        table.name.clone_from(&to.text);
        Ok(())
    }

    pub(super) async fn rename_index(&mut self, table: &mut Table, index: Oid, to: &str) -> PgResult<()> {
        if !self.claim_name(table.schema, to, RelationKind::Index, table.oid, index).await? {
            return Err(already_exists(to));
        }
        let Some(found) = table.indexes.iter_mut().find(|found| found.oid == index) else { return Ok(()) };
        let old = std::mem::replace(&mut found.name, to.to_owned());
        self.free_name(table.schema, &old).await?;
        // A constraint bears its index's name.
        for constraint in table.constraints.iter_mut().filter(|constraint| constraint.index == index) {
            to.clone_into(&mut constraint.name);
        }
        Ok(())
    }

    async fn rename_constraint(&mut self, table: &mut Table, from: &Name, to: &Name) -> PgResult<()> {
        if table.has_constraint(&to.text) {
            return Err(constraint_exists(table, &to.text));
        }
        let index = table.constraints.iter().find(|found| found.name == from.text).map(|found| found.index);
        if let Some(index) = index {
            return self.rename_index(table, index, &to.text).await;
        }
        if let Some(check) = table.checks.iter_mut().find(|check| check.name == from.text) {
            check.name.clone_from(&to.text);
            return Ok(());
        }
        if let Some(key) = table.foreign_keys.iter_mut().find(|key| key.name == from.text) {
            key.name.clone_from(&to.text);
            return Ok(());
        }
        let message = format!("constraint \"{}\" for table \"{}\" does not exist", from.text, table.name);
        Err(PgError::new(sqlstate::UNDEFINED_OBJECT, message))
    }

    /// Stored expressions name columns: they are read with the old name and written with the new one.
    fn rename_column(&mut self, table: &mut Table, from: &Name, to: &Name) -> PgResult<()> {
        let Some((at, _)) = table.column_named(&from.text) else {
            return Err(PgError::new(sqlstate::UNDEFINED_COLUMN, format!("column \"{}\" does not exist", from.text)));
        };
        if table.column_named(&to.text).is_some() {
            let message = format!("column \"{}\" of relation \"{}\" already exists", to.text, table.name);
            return Err(PgError::new(sqlstate::DUPLICATE_COLUMN, message));
        }
        let old = Arc::new(table.clone());
        table.columns[at].name.clone_from(&to.text);
        let renamed = table.clone();
        let environment = self.environment;
        let again = |text: &str| -> PgResult<String> {
            let relations = Relations::new();
            let mut analyzer = Analyzer::new(&relations, environment, ParameterTypes::default());
            Ok(print_over(&analyzer.stored_over(&old, text)?, &renamed))
        };
        for check in &mut table.checks {
            check.expression = again(&check.expression)?;
        }
        for text in table.columns.iter_mut().filter_map(|column| column.generated.as_mut()) {
            *text = again(text)?;
        }
        for index in &mut table.indexes {
            for expression in index.keys.iter_mut().filter_map(|key| key.expression.as_mut()) {
                expression.text = again(&expression.text)?;
            }
            if let Some(filter) = &mut index.filter {
                *filter = again(filter)?;
            }
        }
        Ok(())
    }

    /// No NULL may be in the column, now and until the commit.
    pub(super) async fn require_not_null(&mut self, table: &Table, at: usize) -> PgResult<()> {
        let types: Vec<_> = table.columns[..=at].iter().map(|column| column.type_oid).collect();
        self.each_row(table, |row| match row_values(row, &types, table)?[at].is_null() {
            true => Err(contains_nulls(table, at)),
            false => Ok(()),
        })
        .await?;
        self.transaction.guard_range(table_range(table.storage));
        Ok(())
    }

    async fn alter_index(
        &mut self,
        kind: ObjectKind,
        name: &QualifiedName,
        table: Oid,
        index: Oid,
        actions: &[AlterTable],
    ) -> PgResult<()> {
        let Some(table) = self.locked_table(table).await? else { return Err(undefined(name)) };
        self.check_owner(&table).await?;
        let mut table = Table::clone(&table);
        for action in actions {
            match action {
                AlterTable::RenameTo(to) => self.rename_index(&mut table, index, &to.text).await?,
                AlterTable::Other(
                    TableAction::SetOptions(_) | TableAction::ResetOptions(_) | TableAction::Nothing { .. },
                ) if kind == ObjectKind::Index => {}
                _ if kind == ObjectKind::Table => {
                    let message = format!("\"{}\" is not a table", name.last());
                    return Err(PgError::new(sqlstate::WRONG_OBJECT_TYPE, message));
                }
                _ => return Err(PgError::unsupported("this form of ALTER INDEX")),
            }
        }
        self.store(table);
        Ok(())
    }

    /// TRUNCATE's privilege.
    pub(super) async fn check_truncate(&mut self, table: &Table) -> PgResult<()> {
        self.check_table(table, Privileges::TRUNCATE).await
    }
}

fn undefined(name: &QualifiedName) -> Box<PgError> {
    crate::analyze::undefined_table(name)
}

pub(super) fn column_at(table: &Table, name: &Name) -> PgResult<usize> {
    table.column_named(&name.text).map(|(at, _)| at).ok_or_else(|| {
        let message = format!("column \"{}\" of relation \"{}\" does not exist", name.text, table.name);
        PgError::new(sqlstate::UNDEFINED_COLUMN, message)
    })
}

fn no_identity(table: &Table, column: &Name) -> Box<PgError> {
    let message = format!("column \"{}\" of relation \"{}\" is not an identity column", column.text, table.name);
    PgError::new(sqlstate::OBJECT_NOT_IN_PREREQUISITE_STATE, message)
}

fn refuse_default(table: &Table, at: usize, verb: &str) -> PgResult<()> {
    let column = &table.columns[at];
    if column.identity.is_some() {
        let message = format!("column \"{}\" of relation \"{}\" is an identity column", column.name, table.name);
        let error = PgError::new(sqlstate::SYNTAX_ERROR, message);
        return Err(match verb {
            "DROP" => error.hint("Use ALTER TABLE ... ALTER COLUMN ... DROP IDENTITY instead."),
            _ => error,
        });
    }
    if column.generated.is_some() {
        let message = format!("column \"{}\" of relation \"{}\" is a generated column", column.name, table.name);
        let error = PgError::new(sqlstate::SYNTAX_ERROR, message);
        return Err(match verb {
            "DROP" => error.hint("Use ALTER TABLE ... ALTER COLUMN ... DROP EXPRESSION instead."),
            _ => error,
        });
    }
    Ok(())
}

fn drop_not_null(table: &mut Table, name: &Name) -> PgResult<()> {
    let at = column_at(table, name)?;
    if table.columns[at].identity.is_some() {
        let message = format!("column \"{}\" of relation \"{}\" is an identity column", name.text, table.name);
        return Err(PgError::new(sqlstate::SYNTAX_ERROR, message));
    }
    if table.primary_key().is_some_and(|key| key.keys.iter().any(|key| key.column == at)) {
        let message = format!("column \"{}\" is in a primary key", name.text);
        return Err(PgError::new(sqlstate::INVALID_TABLE_DEFINITION, message));
    }
    table.columns[at].not_null = false;
    Ok(())
}

/// ALTER VIEW ... SET (check_option = local).
fn set_view_option(table: &mut Table, name: &str, value: Option<&String>) -> PgResult<()> {
    let RelationBody::View(view) = &mut table.body else { return Ok(()) };
    match (name, value.map(String::as_str)) {
        ("check_option", None) => view.check_option = None,
        ("check_option", Some("local")) => view.check_option = Some(CheckOption::Local),
        ("check_option", Some("cascaded")) => view.check_option = Some(CheckOption::Cascaded),
        ("check_option", Some(value)) => {
            let message = format!("invalid value for enum option \"check_option\": {value}");
            return Err(PgError::new(sqlstate::INVALID_PARAMETER_VALUE, message)
                .detail("Valid values are \"local\" and \"cascaded\"."));
        }
        ("security_barrier" | "security_invoker", _) => {
            return Err(PgError::unsupported(format!("the view option {name}")));
        }
        _ => {
            let message = format!("unrecognized parameter \"{name}\"");
            return Err(PgError::new(sqlstate::INVALID_PARAMETER_VALUE, message));
        }
    }
    Ok(())
}
