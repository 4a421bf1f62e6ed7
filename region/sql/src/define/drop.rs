//! DROP TABLE, DROP INDEX, DROP SCHEMA.
use super::{Definer, wrong_kind};
use crate::catalog::{CatalogSnapshot, ConstraintKind, Found, Table, builtin_schema, descriptor_key, schema_key};
use crate::layout::{index_range, table_range};
use crate::parser::tree::{ObjectKind, QualifiedName};
use trivet_txn::{Action, LockStrength, LockWait};
use trivet_types::{Oid, PgError, PgResult, Severity, SqlState, sqlstate};

impl Definer<'_> {
    pub(super) async fn drop(
        &mut self,
        kind: ObjectKind,
        names: &[QualifiedName],
        if_exists: bool,
        cascade: bool,
    ) -> PgResult<String> {
        for name in names {
            let found = match kind {
                ObjectKind::Table => self.drop_table(name).await?,
                ObjectKind::Index => self.drop_index(name).await?,
                ObjectKind::Schema => self.drop_schema(name, cascade).await?,
                // There are none of these yet, so none is found.
                ObjectKind::View | ObjectKind::Sequence => false,
                other => return Err(PgError::unsupported(format!("DROP {}", other.word().to_uppercase()))),
            };
            if !found {
                let (word, shown) = (kind.word(), name.shown());
                if !if_exists {
                    return Err(PgError::new(missing_code(kind), format!("{word} \"{shown}\" does not exist")));
                }
                self.notice(sqlstate::SUCCESSFUL_COMPLETION, format!("{word} \"{shown}\" does not exist, skipping"));
            }
        }
        Ok(format!("DROP {}", kind.word().to_uppercase()))
    }

    async fn drop_table(&mut self, name: &QualifiedName) -> PgResult<bool> {
        match self.find(name).await? {
            None => Ok(false),
            Some(Found::Index(..)) => Err(wrong_kind(name, "a table").hint("Use DROP INDEX to remove an index.")),
            Some(Found::Virtual(table)) => Err(PgError::new(
                sqlstate::INSUFFICIENT_PRIVILEGE,
                format!("permission denied: \"{}\" is a system catalog", table.name),
            )),
            Some(Found::Table(table)) => self.remove_table(table.oid).await,
        }
    }

    async fn remove_table(&mut self, oid: Oid) -> PgResult<bool> {
        let Some(table) = self.locked_table(oid).await? else { return Ok(false) };
        self.free_name(table.schema, &table.name).await?;
        self.free_oid(table.row_type).await?;
        for check in &table.checks {
            self.free_oid(check.oid).await?;
        }
        for index in &table.indexes {
            self.free_name(table.schema, &index.name).await?;
            self.free_oid(index.oid).await?;
            self.transaction.action(Action::DropRange { range: index_range(index.storage) });
        }
        for constraint in &table.constraints {
            self.free_oid(constraint.oid).await?;
        }
        self.free_oid(table.oid).await?;
        self.transaction.action(Action::DropRange { range: table_range(table.storage) });
        self.transaction.delete(descriptor_key(oid));
        Ok(true)
    }

    async fn drop_index(&mut self, name: &QualifiedName) -> PgResult<bool> {
        let (table, index) = match self.find(name).await? {
            None => return Ok(false),
            Some(Found::Index(table, index)) => (table.oid, index),
            Some(_) => return Err(wrong_kind(name, "an index").hint("Use DROP TABLE to remove a table.")),
        };
        let Some(table) = self.locked_table(table).await? else { return Ok(false) };
        let mut table = Table::clone(&table);
        if let Some(constraint) = table.constraint_of(index) {
            let (constraint, table) = (&constraint.name, &table.name);
            let shown = name.last();
            return Err(PgError::new(
                sqlstate::DEPENDENT_OBJECTS_STILL_EXIST,
                format!("cannot drop index {shown} because constraint {constraint} on table {table} requires it"),
            )
            .hint(format!("You can drop constraint {constraint} on table {table} instead.")));
        }
        let found = self.remove_index(&mut table, index).await?;
        self.store(table);
        Ok(found)
    }

    /// Takes an index, with the constraint on it, out of the descriptor; the caller stores it.
    pub(super) async fn remove_index(&mut self, table: &mut Table, oid: Oid) -> PgResult<bool> {
        let Some(at) = table.indexes.iter().position(|index| index.oid == oid) else { return Ok(false) };
        let index = table.indexes.remove(at);
        if let Some(at) = table.constraints.iter().position(|constraint| constraint.index == oid) {
            let constraint = table.constraints.remove(at);
            debug_assert!(matches!(constraint.kind, ConstraintKind::PrimaryKey | ConstraintKind::Unique));
            self.free_oid(constraint.oid).await?;
        }
        self.free_name(table.schema, &index.name).await?;
        self.free_oid(oid).await?;
        self.transaction.action(Action::DropRange { range: index_range(index.storage) });
        Ok(true)
    }

    async fn drop_schema(&mut self, name: &QualifiedName, cascade: bool) -> PgResult<bool> {
        let shown = name.last();
        if builtin_schema(shown).is_some() {
            let message = format!("cannot drop schema {shown} because it is required by the database system");
            return Err(PgError::new(sqlstate::DEPENDENT_OBJECTS_STILL_EXIST, message));
        }
        let Some(oid) = self.catalog().schema(shown).await? else { return Ok(false) };
        let key = schema_key(shown);
        self.transaction.lock(&key, LockStrength::Update, LockWait::Wait).await?;
        let snapshot = CatalogSnapshot::load(&mut *self.transaction, self.cache).await?;
        let tables: Vec<_> = snapshot.tables.iter().filter(|table| table.schema == oid).cloned().collect();
        let lines = |word: &str, rest: &str| {
            let line = |table: &std::sync::Arc<Table>| format!("{word}table {}{rest}", named(table));
            tables.iter().map(line).collect::<Vec<_>>().join("\n")
        };
        if !tables.is_empty() && !cascade {
            let message = format!("cannot drop schema {shown} because other objects depend on it");
            return Err(PgError::new(sqlstate::DEPENDENT_OBJECTS_STILL_EXIST, message)
                .detail(lines("", &format!(" depends on schema {shown}")))
                .hint("Use DROP ... CASCADE to drop the dependent objects too."));
        }
        match tables.as_slice() {
            [] => {}
            [only] => self.notice(sqlstate::SUCCESSFUL_COMPLETION, format!("drop cascades to table {}", named(only))),
            many => {
                let message = format!("drop cascades to {} other objects", many.len());
                let notice = PgError::new(sqlstate::SUCCESSFUL_COMPLETION, message).severity(Severity::Notice);
                self.notices.push(notice.detail(lines("drop cascades to ", "")));
            }
        }
        for table in &tables {
            self.remove_table(table.oid).await?;
        }
        self.free_oid(oid).await?;
        self.transaction.delete(key);
        Ok(true)
    }
}

/// As messages name a table that the search path may not find.
fn named(table: &Table) -> String {
    if table.schema_name == "public" { table.name.clone() } else { format!("{}.{}", table.schema_name, table.name) }
}

fn missing_code(kind: ObjectKind) -> SqlState {
    match kind {
        ObjectKind::Schema => sqlstate::INVALID_SCHEMA_NAME,
        ObjectKind::Table | ObjectKind::View | ObjectKind::Sequence => sqlstate::UNDEFINED_TABLE,
        _ => sqlstate::UNDEFINED_OBJECT,
    }
}
