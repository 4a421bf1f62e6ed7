//! Changes that give the rows that are there other values: ALTER COLUMN ... TYPE, ADD COLUMN with a value for each row. The rows
//! are written anew under another storage id, with their ids, and the indexes with them.
use super::Definer;
use super::alter::column_at;
use super::columns::{least_volatility, print_over, refuse_subqueries};
use super::index::ROWS_A_STEP;
use crate::analyze::{Analyzer, ParameterTypes, Relations, ResolvedType, assign, resolve_type};
use crate::catalog::Table;
use crate::execute::{DefaultValue, stored_row};
use crate::layout::{after, encode_row, index_range, row_id_of, row_key, table_range};
use crate::parser::tree::{self, ColumnConstraintKind, ColumnDefinition, Name, TypeName};
use crate::plan::{Compiled, TableRules};
use crate::typed::ExprKind;
use bytes::BytesMut;
use std::sync::Arc;
use trivet_txn::{Action, WriteKind};
use trivet_types::registry::Volatility;
use trivet_types::{Datum, PgError, PgResult, display_name, oid, sqlstate};

/// The new value of one column.
enum NewValue {
    /// Over the old row.
    Of(Compiled),
    /// Anew for each row: `nextval`, `random`.
    Each(DefaultValue),
    /// By the table's own rules.
    Generated,
}

impl Definer<'_> {
    /// What the rows that are there have in a new column: one value for all, if the default gives one, else a value for each.
    pub(super) async fn fill_new_column(
        &mut self,
        table: &mut Table,
        at: usize,
        definition: &ColumnDefinition,
    ) -> PgResult<()> {
        let empty = self.transaction.scan(&table_range(table.storage), false, 1).await?.is_empty();
        let column = table.columns[at].clone();
        if column.generated.is_some() {
            return if empty { Ok(()) } else { self.rewrite(table, at, NewValue::Generated).await };
        }
        let given = definition.constraints.iter().find_map(|constraint| match &constraint.kind {
            ColumnConstraintKind::Default(value) => Some(value),
            _ => None,
        });
        if let Some(value) = given.filter(|_| table.domain_of(at).is_none()) {
            let Some(typed) = self.typed_default(&column, value).await? else { return Ok(()) };
            if least_volatility(&typed) != Volatility::Volatile {
                let datum = match &typed.kind {
                    ExprKind::Constant(datum) => datum.clone(),
                    _ => crate::plan::plan_expr(&typed)?.evaluate_alone(self.environment)?,
                };
                if !datum.is_null() {
                    let mut encoded = BytesMut::new();
                    encode_row(&[datum], &mut encoded);
                    table.columns[at].missing = Some(encoded.to_vec());
                }
                return Ok(());
            }
        } else if column.identity.is_none() && column.default.is_none() && table.domain_of(at).is_none() {
            return Ok(());
        }
        if empty {
            return Ok(());
        }
        let shared = Arc::new(table.clone());
        let each = DefaultValue::of(&shared, at, self.environment)?;
        self.rewrite(table, at, NewValue::Each(each)).await
    }

    pub(super) async fn set_type(
        &mut self,
        table: &mut Table,
        name: &Name,
        data_type: &TypeName,
        using: Option<&tree::Expr>,
    ) -> PgResult<()> {
        let at = column_at(table, name)?;
        let ResolvedType { type_oid, modifier, domain } = resolve_type(data_type, self.environment)?;
        super::columns::refuse_pseudo_type(&name.text, type_oid, self.environment)?;
        self.share_type(domain.as_ref().map_or(type_oid, |domain| domain.oid)).await?;
        let column = table.columns[at].clone();
        if column.generated.is_some() && using.is_some() {
            let message = "cannot specify USING when altering type of generated column";
            return Err(PgError::new(sqlstate::INVALID_COLUMN_DEFINITION, message)
                .detail(format!("Column \"{}\" is a generated column.", column.name)));
        }
        // Between integers a key refers to what it did.
        let is_integer = |type_oid| matches!(type_oid, oid::INT2 | oid::INT4 | oid::INT8);
        let integers = using.is_none() && is_integer(column.type_oid) && is_integer(type_oid);
        self.refuse_dependents(table, at, integers).await?;
        let old = Arc::new(table.clone());
        let relations = Relations::new();
        let mut analyzer = Analyzer::new(&relations, self.environment, ParameterTypes::default());
        let shown = match &domain {
            Some(domain) => display_name(domain.oid, -1),
            None => display_name(type_oid, modifier),
        };
        let value = match using {
            Some(using) => {
                let typed = analyzer.over_row(&old, using, "transform expressions")?;
                refuse_subqueries(&typed, "transform expression")?;
                typed
            }
            None => analyzer.column_of(&old, at),
        };
        let converted = assign(&mut analyzer, value, type_oid, modifier, &column.name).map_err(|error| {
            if error.code != sqlstate::DATATYPE_MISMATCH {
                return error;
            }
            let (message, hint) = match using {
                Some(_) => (
                    format!(
                        "result of USING clause for column \"{}\" cannot be cast automatically to type {shown}",
                        column.name
                    ),
                    "You might need to add an explicit cast.".to_owned(),
                ),
                None => (
                    format!("column \"{}\" cannot be cast automatically to type {shown}", column.name),
                    format!("You might need to specify \"USING {}::{shown}\".", column.name),
                ),
            };
            PgError::new(sqlstate::DATATYPE_MISMATCH, message).hint(hint)
        })?;
        let converted = match &domain {
            Some(domain) => analyzer.to_domain(converted, domain)?,
            None => converted,
        };
        let default = match &column.default {
            None => None,
            Some(text) => {
                let stored = analyzer.stored_default(text)?;
                let cannot = || {
                    let message =
                        format!("default for column \"{}\" cannot be cast automatically to type {shown}", column.name);
                    PgError::new(sqlstate::DATATYPE_MISMATCH, message)
                };
                let literal = matches!(stored.kind, ExprKind::Constant(_));
                let typed = assign(&mut analyzer, stored, type_oid, modifier, &column.name).map_err(|_| cannot())?;
                // A conversion is made anew for each use; a constant takes the new type if its own was all it had.
                Some(if literal && text.contains("::") { print_over(&typed, &old) } else { text.clone() })
            }
        };
        let same_bytes = {
            let stored_as_before = matches!(&converted.kind, ExprKind::Column { column, .. } if *column == at)
                || matches!(&converted.kind, ExprKind::Relabel(inner) if matches!(inner.kind, ExprKind::Column { .. }));
            stored_as_before && using.is_none()
        };
        table.columns[at].type_oid = type_oid;
        table.columns[at].modifier = modifier;
        table.columns[at].default = default;
        table.set_domain(at, domain.map(|domain| domain.oid));
        self.renew_references(table, at).await?;
        if same_bytes && !self.changes_order(&old, at, type_oid) {
            return Ok(());
        }
        let compiled = crate::plan::plan_row_expr(&converted)?;
        self.rewrite_from(&old, table, at, NewValue::Of(compiled)).await
    }

    /// PostgreSQL makes foreign keys of the column anew, so that they come after the others.
    async fn renew_references(&mut self, table: &mut Table, at: usize) -> PgResult<()> {
        let keys: Vec<_> = table.foreign_keys.iter().filter(|key| key.columns.contains(&at)).cloned().collect();
        for key in keys {
            let renewed = (table.oid, key.oid);
            let again = |references: &mut Vec<_>| {
                references.retain(|reference| *reference != renewed);
                references.push(renewed);
            };
            if key.table == table.oid {
                again(&mut table.referenced_by);
            } else if let Some(parent) = self.locked_table(key.table).await? {
                let mut parent = Table::clone(&parent);
                again(&mut parent.referenced_by);
                self.store(parent);
            }
        }
        Ok(())
    }

    /// Is an index over the column encoded in another way under the new type?
    fn changes_order(&self, old: &Table, at: usize, type_oid: trivet_types::Oid) -> bool {
        old.columns[at].type_oid != type_oid
            && old.indexes.iter().any(|index| index.keys.iter().any(|key| key.column == at))
    }

    /// 0A000 if a view or a generated column reads the column.
    async fn refuse_dependents(&mut self, table: &Table, at: usize, integers: bool) -> PgResult<()> {
        let snapshot = self.snapshot().await?;
        for other in &snapshot.tables {
            let Some(view) = other.view() else { continue };
            let uses = view.references.iter().any(|used| used.relation == table.oid && used.used.contains(&at));
            if uses {
                let message = "cannot alter type of a column used by a view or rule";
                return Err(PgError::new(sqlstate::FEATURE_NOT_SUPPORTED, message).detail(format!(
                    "rule _RETURN on view {} depends on column \"{}\"",
                    other.name, table.columns[at].name
                )));
            }
        }
        let name = &table.columns[at].name;
        for column in &table.columns {
            if column.generated.as_deref().is_some_and(|text| super::depend::mentions_column(text, name)) {
                let message = "cannot alter type of a column used by a generated column";
                return Err(PgError::new(sqlstate::FEATURE_NOT_SUPPORTED, message)
                    .detail(format!("Column \"{name}\" is used by generated column \"{}\".", column.name)));
            }
        }
        let refers =
            |other: &Table| other.foreign_keys.iter().any(|key| key.table == table.oid && key.referred.contains(&at));
        let key = table.foreign_keys.iter().any(|key| key.columns.contains(&at))
            || refers(table)
            || snapshot.tables.iter().any(|other| other.oid != table.oid && refers(other));
        if key && !integers {
            return Err(PgError::unsupported(
                "ALTER COLUMN ... TYPE of a foreign key's column to other than an integer",
            ));
        }
        Ok(())
    }

    async fn rewrite(&mut self, table: &mut Table, at: usize, value: NewValue) -> PgResult<()> {
        let old = Arc::new(table.clone());
        self.rewrite_from(&old, table, at, value).await
    }

    /// Every row of `old` becomes one of `table`, under new storage, with another value in the column `at`.
    async fn rewrite_from(&mut self, old: &Arc<Table>, table: &mut Table, at: usize, value: NewValue) -> PgResult<()> {
        table.storage = self.new_storage(table.oid);
        table.columns[at].missing = None;
        for index in &mut table.indexes {
            index.storage = self.new_storage(index.oid);
        }
        let shared = Arc::new(table.clone());
        let rules = TableRules::of(&shared, self.environment)?;
        let mut range = table_range(old.storage);
        self.transaction.guard_range(range.clone());
        let environment = self.environment;
        loop {
            let rows = self.transaction.scan(&range, false, ROWS_A_STEP).await?;
            for row in &rows {
                let damaged = || PgError::new(sqlstate::DATA_CORRUPTED, "a row's key is damaged");
                let id = row_id_of(&row.key).ok_or_else(damaged)?;
                let mut values = stored_row(old, &row.value)?;
                values.resize(table.columns.len(), Datum::Null);
                let new = match &value {
                    NewValue::Of(compiled) => Some(compiled.evaluate_row(environment, &values)?),
                    NewValue::Each(default) => {
                        Some(default.next(self.sequences, self.database, &mut *self.transaction, environment).await?)
                    }
                    NewValue::Generated => None,
                };
                if let Some(new) = new {
                    values[at] = new;
                }
                rules.generate(environment, &mut values)?;
                let entries = rules.entries(&shared, environment, &values, id)?;
                for (index, entry) in shared.indexes.iter().zip(entries) {
                    let Some(entry) = entry else { continue };
                    if !entry.exclusive {
                        self.transaction.put(entry.key, bytes::Bytes::new(), WriteKind::NoKeyUpdate);
                        continue;
                    }
                    if self.transaction.get(&entry.key).await?.is_some() {
                        return Err(super::index::duplicate(&shared, index, &values));
                    }
                    let id = bytes::Bytes::copy_from_slice(&id.0.to_be_bytes());
                    self.transaction.put(entry.key, id, WriteKind::NoKeyUpdate);
                }
                let mut encoded = BytesMut::with_capacity(64);
                encode_row(&values, &mut encoded);
                self.transaction.put(row_key(table.storage, id), encoded.freeze(), WriteKind::NoKeyUpdate);
            }
            match rows.last() {
                Some(last) if rows.len() == ROWS_A_STEP => range.start = after(&last.key),
                _ => break,
            }
            self.transaction.spill().await?;
        }
        self.transaction.action(Action::DropRange { range: table_range(old.storage) });
        for index in &old.indexes {
            self.transaction.action(Action::DropRange { range: index_range(index.storage) });
        }
        // The checks still have to hold, over the new values.
        for check in 0..table.checks.len() {
            self.check_rows_against(table, check).await?;
        }
        Ok(())
    }
}
