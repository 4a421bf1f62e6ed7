//! CREATE SCHEMA, ALTER SCHEMA, COMMENT.
use super::Definer;
use super::access::{denied, no_such_role};
use crate::catalog::{
    Comment, Found, ObjectClass, PG_CATALOG, Privileges, RelationKind, Schema, Table, builtin_schema,
    builtin_schema_row, decode_schema, encode_schema, schema_key,
};
use crate::parser::tree::{Name, ObjectKind, QualifiedName, RoleName, SchemaChange};
use crate::temporary;
use trivet_txn::{LockStrength, LockWait, Locked, WriteKind};
use trivet_types::{Oid, PgError, PgResult, sqlstate};

pub(super) fn no_such_schema(name: &str) -> Box<PgError> {
    PgError::new(sqlstate::INVALID_SCHEMA_NAME, format!("schema \"{name}\" does not exist"))
}

impl Definer<'_> {
    /// Where a new object goes, which must not be dropped meanwhile: OID and name. 42501 for the schemas that are built in.
    pub(super) async fn creation_schema(&mut self, name: &QualifiedName) -> PgResult<(Oid, String)> {
        let own = self.search_path.first().and_then(|own| Some((temporary::schema_oid(own)?, own.clone())));
        let invalid = |message: &str| Err(PgError::new(sqlstate::INVALID_TABLE_DEFINITION, message));
        if self.wants_temporary {
            if name.schema().is_some_and(|schema| schema != temporary::ALIAS && temporary::schema_oid(schema).is_none())
            {
                return invalid("cannot create temporary relation in non-temporary schema");
            }
            self.temporary = true;
            if !self.may_in_database(Privileges::TEMPORARY).await? {
                let database = crate::catalog::DATABASE_NAME;
                let message = format!("permission denied to create temporary tables in database \"{database}\"");
                return Err(denied(message));
            }
            return own.ok_or_else(|| PgError::internal("a session without a schema for temporary tables"));
        }
        let (oid, schema) = self.catalog().creation_schema(name.schema()).await?;
        if temporary::is_temporary(oid) {
            if own.is_none_or(|(own, _)| own != oid) {
                return invalid("cannot create relations in temporary schemas of other sessions");
            }
            self.temporary = true;
            return Ok((oid, schema));
        }
        if oid == PG_CATALOG || oid == crate::catalog::INFORMATION_SCHEMA {
            let message = format!("permission denied to create \"{schema}.{}\"", name.last());
            return Err(denied(message).detail("System catalog modifications are currently disallowed."));
        }
        let row = self.shared_schema(&schema).await?;
        self.check_schema(&row, Privileges::CREATE).await?;
        Ok((oid, schema))
    }

    /// A schema's row, guarded against being dropped.
    pub(super) async fn shared_schema(&mut self, name: &str) -> PgResult<Schema> {
        if builtin_schema(name).is_some() {
            return self.catalog().schema_row(name).await?.ok_or_else(|| no_such_schema(name));
        }
        self.locked_schema(name, LockStrength::KeyShare).await
    }

    pub(super) async fn locked_schema(&mut self, name: &str, strength: LockStrength) -> PgResult<Schema> {
        match self.transaction.lock(&schema_key(name), strength, LockWait::Wait).await? {
            Locked::Unchanged(Some(bytes)) | Locked::Newer(Some(bytes)) => {
                decode_schema(&bytes).map_err(|error| crate::catalog::damaged(&error))
            }
            _ => builtin_schema_row(name).ok_or_else(|| no_such_schema(name)),
        }
    }

    pub(super) fn store_schema(&mut self, schema: &Schema) {
        self.transaction.put(schema_key(&schema.name), encode_schema(self.stamp(), schema), WriteKind::Update);
    }

    /// The name of what was made.
    pub(super) async fn create_schema(
        &mut self,
        name: Option<&Name>,
        if_not_exists: bool,
        owner: Option<&RoleName>,
    ) -> PgResult<Option<String>> {
        let owner = match owner {
            Some(owner) => self.role_named(owner).await?,
            None => self.current_role().await?,
        };
        let name = name.map_or(owner.name.clone(), |name| name.text.clone());
        if !self.may_in_database(Privileges::CREATE).await? {
            return Err(denied(format!("permission denied for database {}", crate::catalog::DATABASE_NAME)));
        }
        check_schema_name(&name)?;
        let key = schema_key(&name);
        let taken = builtin_schema(&name).is_some() || self.transaction.lock_for_insert(&key).await?.is_some();
        if taken {
            let message = format!("schema \"{name}\" already exists");
            if if_not_exists {
                self.notice(sqlstate::DUPLICATE_SCHEMA, format!("{message}, skipping"));
                return Ok(None);
            }
            return Err(PgError::new(sqlstate::DUPLICATE_SCHEMA, message));
        }
        let acl = self.new_acl(ObjectClass::Schema, owner.oid, Oid(0)).await?;
        let schema = Schema { oid: self.new_oid().await?, name: name.clone(), owner: owner.oid, acl, comment: None };
        self.store_schema(&schema);
        Ok(Some(name))
    }

    pub(super) async fn alter_schema(&mut self, name: &Name, change: &SchemaChange) -> PgResult<()> {
        if self.catalog().schema(&name.text).await?.is_none() {
            return Err(no_such_schema(&name.text));
        }
        let mut schema = self.locked_schema(&name.text, LockStrength::Update).await?;
        if !self.owns(schema.owner).await? {
            return Err(denied(format!("must be owner of schema {}", schema.name)));
        }
        match change {
            SchemaChange::Owner(owner) => {
                let owner = self.role_named(owner).await?;
                self.check_new_owner(&owner).await?;
                schema.owner = owner.oid;
                self.store_schema(&schema);
            }
            SchemaChange::Rename(to) => {
                if builtin_schema(&name.text).is_some() {
                    return Err(PgError::unsupported(format!("renaming schema \"{}\"", name.text)));
                }
                check_schema_name(&to.text)?;
                let key = schema_key(&to.text);
                if builtin_schema(&to.text).is_some() || self.transaction.lock_for_insert(&key).await?.is_some() {
                    let message = format!("schema \"{}\" already exists", to.text);
                    return Err(PgError::new(sqlstate::DUPLICATE_SCHEMA, message));
                }
                self.transaction.delete(schema_key(&name.text));
                schema.name.clone_from(&to.text);
                self.store_schema(&schema);
                self.types_move(schema.oid, &to.text).await?;
                self.domains_move(schema.oid, &to.text).await?;
                self.composites_move(schema.oid, &to.text).await?;
                // Descriptors carry their schema's name.
                let snapshot = self.snapshot().await?;
                let inside: Vec<Oid> =
                    snapshot.tables.iter().filter(|table| table.schema == schema.oid).map(|table| table.oid).collect();
                for oid in inside {
                    let Some(table) = self.locked_table(oid).await? else { continue };
                    let mut table = Table::clone(&table);
                    table.schema_name.clone_from(&to.text);
                    self.store(table);
                }
            }
        }
        Ok(())
    }

    pub(super) async fn comment(
        &mut self,
        kind: ObjectKind,
        name: &QualifiedName,
        text: Option<String>,
    ) -> PgResult<()> {
        match kind {
            ObjectKind::Table | ObjectKind::View | ObjectKind::MaterializedView | ObjectKind::Sequence => {
                let mut table = self.relation_to_change(name, kind).await?;
                set_comment(&mut table, Oid(0), 0, text);
                self.store(table);
                Ok(())
            }
            ObjectKind::Column => self.comment_on_column(name, text).await,
            ObjectKind::Index => {
                let (table, index) = match self.find(name).await? {
                    None => return Err(crate::analyze::undefined_table(name)),
                    Some(Found::Index(table, index)) => (table.oid, index),
                    Some(_) => return Err(super::wrong_kind(name, RelationKind::Index)),
                };
                let Some(table) = self.locked_table(table).await? else { return Ok(()) };
                self.check_owner(&table).await?;
                let mut table = Table::clone(&table);
                set_comment(&mut table, index, 0, text);
                self.store(table);
                Ok(())
            }
            ObjectKind::Schema => {
                if self.catalog().schema(name.last()).await?.is_none() {
                    return Err(no_such_schema(name.last()));
                }
                let mut schema = self.locked_schema(name.last(), LockStrength::Update).await?;
                if !self.owns(schema.owner).await? {
                    return Err(denied(format!("must be owner of schema {}", schema.name)));
                }
                schema.comment = text;
                self.store_schema(&schema);
                Ok(())
            }
            ObjectKind::Type => self.comment_on_type(name, text).await,
            ObjectKind::Domain => self.comment_on_domain(name, text).await,
            ObjectKind::Role => {
                let mut role = self.locked_role(name.last()).await?.ok_or_else(|| no_such_role(name.last()))?;
                role.comment = text;
                self.store_role(&role);
                Ok(())
            }
            other => Err(PgError::unsupported(format!("COMMENT ON {}", other.word().to_uppercase()))),
        }
    }

    async fn comment_on_column(&mut self, name: &QualifiedName, text: Option<String>) -> PgResult<()> {
        let Some((column, of)) = name.parts.split_last().filter(|(_, of)| !of.is_empty()) else {
            return Err(PgError::new(sqlstate::SYNTAX_ERROR, "column name must be qualified"));
        };
        let of = QualifiedName { parts: of.to_vec() };
        let kind = match self.find(&of).await? {
            Some(Found::View(_)) => ObjectKind::View,
            Some(found) if found.kind() == RelationKind::MaterializedView => ObjectKind::MaterializedView,
            _ => ObjectKind::Table,
        };
        let mut table = self.relation_to_change(&of, kind).await?;
        let Some((at, _)) = table.column_named(&column.text) else {
            let message = format!("column \"{}\" of relation \"{}\" does not exist", column.text, table.name);
            return Err(PgError::new(sqlstate::UNDEFINED_COLUMN, message));
        };
        let number = i16::try_from(at + 1).unwrap_or(i16::MAX);
        set_comment(&mut table, Oid(0), number, text);
        self.store(table);
        Ok(())
    }

    pub(super) async fn comment_on_constraint(
        &mut self,
        constraint: &Name,
        table: &QualifiedName,
        text: Option<String>,
    ) -> PgResult<()> {
        let mut table = self.table_to_change(table).await?;
        let named = [
            table.checks.iter().find(|check| check.name == constraint.text).map(|check| check.oid),
            table.constraints.iter().find(|found| found.name == constraint.text).map(|found| found.oid),
            table.foreign_keys.iter().find(|key| key.name == constraint.text).map(|key| key.oid),
        ];
        let Some(oid) = named.into_iter().flatten().next() else {
            let message = format!("constraint \"{}\" for table \"{}\" does not exist", constraint.text, table.name);
            return Err(PgError::new(sqlstate::UNDEFINED_OBJECT, message));
        };
        set_comment(&mut table, oid, 0, text);
        self.store(table);
        Ok(())
    }

    /// SET SCHEMA: the relation and its indexes move, with what it owns.
    pub(super) async fn set_schema(&mut self, table: &mut Table, to: &Name) -> PgResult<()> {
        let Some(schema) = self.catalog().schema(&to.text).await? else { return Err(no_such_schema(&to.text)) };
        if temporary::is_temporary(schema) || table.is_temporary() {
            let message = "cannot move objects into or out of temporary schemas";
            return Err(PgError::new(sqlstate::FEATURE_NOT_SUPPORTED, message));
        }
        let row = self.shared_schema(&to.text).await?;
        self.check_schema(&row, Privileges::CREATE).await?;
        if schema == table.schema {
            return Ok(());
        }
        let taken = |name: &str| {
            let message = format!("relation \"{name}\" already exists in schema \"{}\"", to.text);
            PgError::new(sqlstate::DUPLICATE_TABLE, message)
        };
        if !self.claim_name(schema, &table.name, table.kind(), table.oid, table.oid).await? {
            return Err(taken(&table.name));
        }
        self.free_name(table.schema, &table.name).await?;
        for index in &table.indexes {
            if !self.claim_name(schema, &index.name, RelationKind::Index, table.oid, index.oid).await? {
                return Err(taken(&index.name));
            }
            self.free_name(table.schema, &index.name).await?;
        }
        table.schema = schema;
        table.schema_name.clone_from(&to.text);
        for owned in self.owned_sequences(table.oid).await? {
            let Some(sequence) = self.locked_table(owned).await? else { continue };
            let mut sequence = Table::clone(&sequence);
            Box::pin(self.set_schema(&mut sequence, to)).await?;
            self.store(sequence);
        }
        Ok(())
    }

    /// Sequences that belong to a table's columns.
    pub(super) async fn owned_sequences(&mut self, table: Oid) -> PgResult<Vec<Oid>> {
        let snapshot = self.snapshot().await?;
        let owned = snapshot.tables.iter().filter(|found| {
            found.sequence().is_some_and(|sequence| sequence.owned_by.is_some_and(|(owner, _, _)| owner == table))
        });
        Ok(owned.map(|sequence| sequence.oid).collect())
    }
}

pub(super) fn set_comment(table: &mut Table, object: Oid, column: i16, text: Option<String>) {
    table.comments.retain(|comment| comment.object != object || comment.column != column);
    if let Some(text) = text {
        table.comments.push(Comment { object, column, text });
    }
}

fn check_schema_name(name: &str) -> PgResult<()> {
    if name.starts_with("pg_") && builtin_schema(name).is_none() {
        let message = format!("unacceptable schema name \"{name}\"");
        return Err(
            PgError::new(sqlstate::RESERVED_NAME, message).detail("The prefix \"pg_\" is reserved for system schemas.")
        );
    }
    Ok(())
}
