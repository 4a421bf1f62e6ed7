//! CREATE TABLE, CREATE SCHEMA, COMMENT.
use super::columns::{check_names, key_column};
use super::{Definer, NewIndex, already_exists, derived_name};
use crate::analyze::{Analyzer, ParameterTypes, Relations, print_expr};
use crate::catalog::{
    Check, ConstraintKind, INFORMATION_SCHEMA, IndexKey, PG_CATALOG, RelationKind, Schema, Table, builtin_schema,
    encode_schema, schema_key,
};
use crate::parser::tree::{
    self, ColumnConstraintKind, CreateTable, Name, ObjectKind, QualifiedName, TableConstraint, TableConstraintKind,
};
use crate::typed;
use std::sync::Arc;
use trivet_txn::WriteKind;
use trivet_types::functions::string::quote_identifier;
use trivet_types::{PgError, PgResult, sqlstate};

impl Definer<'_> {
    pub(super) async fn create_table(&mut self, create: &CreateTable) -> PgResult<()> {
        let name = create.name.last();
        let (schema, schema_name) = self.catalog().creation_schema(create.name.schema()).await?;
        if schema == PG_CATALOG || schema == INFORMATION_SCHEMA {
            let message = format!("permission denied to create \"{schema_name}.{name}\"");
            return Err(PgError::new(sqlstate::INSUFFICIENT_PRIVILEGE, message)
                .detail("System catalog modifications are currently disallowed."));
        }
        let oid = self.new_oid().await?;
        if !self.claim_name(schema, name, RelationKind::Table, oid, oid).await? {
            if create.if_not_exists {
                self.notice(sqlstate::DUPLICATE_TABLE, format!("relation \"{name}\" already exists, skipping"));
                return Ok(());
            }
            return Err(already_exists(name));
        }
        check_options(&create.options)?;
        let columns = create.columns.iter().map(|column| self.column(column)).collect::<PgResult<Vec<_>>>()?;
        check_names(&columns)?;
        let mut table = Table {
            stamp: 0,
            oid,
            schema,
            schema_name,
            name: name.to_owned(),
            row_type: self.new_oid().await?,
            storage: self.new_storage(),
            columns,
            indexes: vec![],
            constraints: vec![],
            checks: vec![],
            options: create.options.clone(),
            row_estimate: -1.0,
            comment: None,
        };
        // Primary keys first, as PostgreSQL creates them.
        let mut constraints = constraints_of(create);
        constraints.sort_by_key(|constraint| !matches!(constraint.kind, TableConstraintKind::PrimaryKey(_)));
        for constraint in &constraints {
            self.add_constraint(&mut table, constraint).await?;
        }
        self.store(table);
        Ok(())
    }

    /// Adds a constraint to the descriptor; returns the index that enforces it, if one does.
    pub(super) async fn add_constraint(
        &mut self,
        table: &mut Table,
        constraint: &TableConstraint,
    ) -> PgResult<Option<crate::catalog::Index>> {
        let (columns, kind) = match &constraint.kind {
            TableConstraintKind::PrimaryKey(columns) => (columns, ConstraintKind::PrimaryKey),
            TableConstraintKind::Unique(columns) => (columns, ConstraintKind::Unique),
            TableConstraintKind::Check(expr) => {
                self.add_check(table, constraint.name.as_ref(), expr).await?;
                return Ok(None);
            }
            TableConstraintKind::ForeignKey { .. } => return Err(PgError::unsupported("FOREIGN KEY")),
        };
        let primary = kind == ConstraintKind::PrimaryKey;
        if primary && table.primary_key().is_some() {
            let message = format!("multiple primary keys for table \"{}\" are not allowed", table.name);
            return Err(PgError::new(sqlstate::INVALID_TABLE_DEFINITION, message));
        }
        let keys = self.constraint_keys(table, columns, primary)?;
        let column_names: Vec<&str> = columns.iter().map(|column| column.text.as_str()).collect();
        let default_name = if primary {
            derived_name(&table.name, &[], "pkey")
        } else {
            derived_name(&table.name, &column_names, "key")
        };
        let new = NewIndex { name: constraint.name.clone(), default_name, unique: true, keys, constraint: Some(kind) };
        self.add_index(table, new).await.map(Some)
    }

    fn constraint_keys(&self, table: &Table, columns: &[Name], primary: bool) -> PgResult<Vec<IndexKey>> {
        let mut keys: Vec<IndexKey> = Vec::with_capacity(columns.len());
        for name in columns {
            let column = key_column(table, name)?;
            if keys.iter().any(|key| key.column == column) {
                let kind = if primary { "primary key" } else { "unique" };
                let message = format!("column \"{}\" appears twice in {kind} constraint", name.text);
                return Err(PgError::new(sqlstate::DUPLICATE_COLUMN, message));
            }
            keys.push(IndexKey { column, descending: false, nulls_first: false });
        }
        Ok(keys)
    }

    async fn add_check(&mut self, table: &mut Table, name: Option<&Name>, expr: &tree::Expr) -> PgResult<()> {
        let relations = Relations::new();
        let shared = Arc::new(table.clone());
        let typed = Analyzer::new(&relations, self.environment, ParameterTypes::default()).over_table(&shared, expr)?;
        let mut wanted = match name {
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
                derived_name(&table.name, &used, "check")
            }
        };
        let taken = |wanted: &str, table: &Table| {
            table.checks.iter().any(|check| check.name == wanted)
                || table.constraints.iter().any(|constraint| constraint.name == wanted)
        };
        if name.is_some() && taken(&wanted, table) {
            let message = format!("constraint \"{wanted}\" for relation \"{}\" already exists", table.name);
            return Err(PgError::new(sqlstate::DUPLICATE_OBJECT, message));
        }
        let base = wanted.clone();
        let mut number = 0;
        while taken(&wanted, table) {
            number += 1;
            wanted = format!("{base}{number}");
        }
        let check = Check {
            oid: self.new_oid().await?,
            name: wanted,
            expression: print_expr(&typed, &|_, column| quote_identifier(&shared.columns[column].name)),
        };
        table.checks.push(check);
        Ok(())
    }

    pub(super) async fn create_schema(&mut self, name: &Name, if_not_exists: bool) -> PgResult<()> {
        if name.text.starts_with("pg_") && builtin_schema(&name.text).is_none() {
            let message = format!("unacceptable schema name \"{}\"", name.text);
            return Err(PgError::new(sqlstate::RESERVED_NAME, message)
                .detail("The prefix \"pg_\" is reserved for system schemas."));
        }
        let key = schema_key(&name.text);
        let taken = builtin_schema(&name.text).is_some() || self.transaction.lock_for_insert(&key).await?.is_some();
        if taken {
            if if_not_exists {
                self.notice(sqlstate::DUPLICATE_SCHEMA, format!("schema \"{}\" already exists, skipping", name.text));
                return Ok(());
            }
            return Err(PgError::new(sqlstate::DUPLICATE_SCHEMA, format!("schema \"{}\" already exists", name.text)));
        }
        let schema = Schema { oid: self.new_oid().await?, name: name.text.clone() };
        self.transaction.put(key, encode_schema(self.stamp(), &schema), WriteKind::Update);
        Ok(())
    }

    pub(super) async fn comment(
        &mut self,
        kind: ObjectKind,
        name: &QualifiedName,
        text: Option<String>,
    ) -> PgResult<()> {
        if kind != ObjectKind::Table {
            return Err(PgError::unsupported(format!("COMMENT ON {}", kind.word().to_uppercase())));
        }
        let mut table = self.table_to_change(name).await?;
        table.comment = text.filter(|text| !text.is_empty());
        self.store(table);
        Ok(())
    }
}

/// The table's constraints with those of its columns.
fn constraints_of(create: &CreateTable) -> Vec<TableConstraint> {
    let of_columns = create.columns.iter().flat_map(|column| {
        column.constraints.iter().filter_map(|constraint| {
            let kind = match &constraint.kind {
                ColumnConstraintKind::PrimaryKey => TableConstraintKind::PrimaryKey(vec![column.name.clone()]),
                ColumnConstraintKind::Unique => TableConstraintKind::Unique(vec![column.name.clone()]),
                ColumnConstraintKind::Check(expr) => TableConstraintKind::Check(expr.clone()),
                _ => return None,
            };
            Some(TableConstraint { name: constraint.name.clone(), kind })
        })
    });
    of_columns.chain(create.constraints.iter().cloned()).collect()
}

/// Storage parameters that PostgreSQL knows; they are kept and shown, and change nothing here.
fn check_options(options: &[(String, String)]) -> PgResult<()> {
    for (name, value) in options {
        match name.as_str() {
            "fillfactor" => {
                let percent: i64 = value.trim_matches('\'').parse().map_err(|_| {
                    let message = format!("invalid value for integer option \"fillfactor\": {value}");
                    PgError::new(sqlstate::INVALID_PARAMETER_VALUE, message)
                })?;
                if !(10..=100).contains(&percent) {
                    let message = format!("value {percent} out of bounds for option \"fillfactor\"");
                    return Err(PgError::new(sqlstate::INVALID_PARAMETER_VALUE, message)
                        .detail("Valid values are between \"10\" and \"100\"."));
                }
            }
            "parallel_workers" | "toast_tuple_target" | "user_catalog_table" => {}
            name if name.starts_with("autovacuum_") || name.starts_with("toast.autovacuum_") => {}
            _ => {
                let message = format!("unrecognized parameter \"{name}\"");
                return Err(PgError::new(sqlstate::INVALID_PARAMETER_VALUE, message));
            }
        }
    }
    Ok(())
}
