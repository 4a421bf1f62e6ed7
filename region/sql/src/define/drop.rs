//! DROP, with what depends.
use super::Definer;
use super::depend::{self, Dependent, Object, closure, tell};
use crate::catalog::{CatalogSnapshot, Found, RelationKind, Table, builtin_schema, descriptor_key, schema_key};
use crate::layout::{index_range, table_range};
use crate::parser::tree::{ObjectKind, QualifiedName};
use trivet_txn::{Action, LockStrength};
use trivet_types::{Oid, PgError, PgResult, SqlState, sqlstate};

impl Definer<'_> {
    pub(super) async fn drop(
        &mut self,
        kind: ObjectKind,
        names: &[QualifiedName],
        if_exists: bool,
        cascade: bool,
    ) -> PgResult<String> {
        let mut roots = Vec::new();
        for name in names {
            let found = match kind {
                ObjectKind::Table | ObjectKind::View | ObjectKind::MaterializedView | ObjectKind::Sequence => {
                    self.relation_to_drop(kind, name).await?
                }
                ObjectKind::Index => self.index_to_drop(name).await?,
                ObjectKind::Schema => self.schema_to_drop(name).await?,
                ObjectKind::Role => {
                    if !self.drop_role(name).await? {
                        self.missing(kind, name, if_exists)?;
                    }
                    continue;
                }
                ObjectKind::Type | ObjectKind::Domain => self.type_to_drop(kind, name).await?,
                other => return Err(PgError::unsupported(format!("DROP {}", other.word().to_uppercase()))),
            };
            match found {
                Some(object) if !roots.contains(&object) => roots.push(object),
                Some(_) => {}
                None => self.missing(kind, name, if_exists)?,
            }
        }
        self.drop_objects(&roots, cascade).await?;
        Ok(format!("DROP {}", kind.word().to_uppercase()))
    }

    fn missing(&mut self, kind: ObjectKind, name: &QualifiedName, if_exists: bool) -> PgResult<()> {
        let word = if kind == ObjectKind::Domain { "type" } else { kind.word() };
        let message = format!("{word} \"{}\" does not exist", name.shown());
        if if_exists {
            self.skipping(message);
            return Ok(());
        }
        Err(PgError::new(missing_code(kind), message))
    }

    /// Removes objects with what depends on them, if CASCADE allows.
    pub(super) async fn drop_objects(&mut self, roots: &[Object], cascade: bool) -> PgResult<()> {
        if roots.is_empty() {
            return Ok(());
        }
        let snapshot = self.snapshot().await?;
        for root in roots {
            if let Object::Relation(oid) = root {
                let Some(table) = snapshot.table(*oid) else { continue };
                depend::refuse_internal(&snapshot, table, self.search_path)?;
            }
        }
        let dependents = closure(&snapshot, roots);
        self.notices.extend(tell(&snapshot, roots, &dependents, cascade, self.search_path)?);
        // Parts before wholes: a foreign key is taken off its tables while both are there.
        let mut all: Vec<Object> = dependents.iter().map(|Dependent { object, .. }| *object).collect();
        all.extend(roots);
        all.sort_by_key(|object| match object {
            Object::Constraint(table, oid) if is_foreign(&snapshot, *table, *oid) => 0,
            Object::Constraint(..) | Object::Index(..) | Object::Default(..) => 1,
            Object::Column(..) | Object::Attribute(..) => 2,
            Object::Relation(_) => 3,
            Object::Type(_) => 4,
            Object::Schema(_) => 5,
        });
        for object in all {
            self.remove(&snapshot, object).await?;
        }
        Ok(())
    }

    pub(super) async fn drop_owned_objects(
        &mut self,
        snapshot: &CatalogSnapshot,
        role: Oid,
        cascade: bool,
    ) -> PgResult<()> {
        let internal = |table: &Table| table.sequence().is_some_and(|sequence| sequence.owned_by.is_some());
        let tables = snapshot.tables.iter().filter(|table| table.owner == role && !internal(table));
        let mut roots: Vec<Object> = tables.map(|table| Object::Relation(table.oid)).collect();
        let types = snapshot.types.iter().filter(|found| found.owner == role);
        roots.extend(types.map(|found| Object::Type(found.definition.oid)));
        let domains = snapshot.domains.iter().filter(|found| found.owner == role);
        roots.extend(domains.map(|found| Object::Type(found.definition.oid)));
        let composites = snapshot.composites.iter().filter(|found| found.owner == role);
        roots.extend(composites.map(|found| Object::Type(found.oid)));
        let schemas = snapshot.schemas.iter().filter(|schema| schema.owner == role);
        roots.extend(schemas.map(|schema| Object::Schema(schema.oid)));
        for root in &roots {
            if let Object::Relation(oid) = root {
                self.locked_table(*oid).await?;
            }
        }
        self.drop_objects(&roots, cascade).await
    }

    async fn relation_to_drop(&mut self, kind: ObjectKind, name: &QualifiedName) -> PgResult<Option<Object>> {
        let wanted = match kind {
            ObjectKind::View => RelationKind::View,
            ObjectKind::MaterializedView => RelationKind::MaterializedView,
            ObjectKind::Sequence => RelationKind::Sequence,
            _ => RelationKind::Table,
        };
        let Some(found) = self.find(name).await? else {
            return Ok(None);
        };
        if let Found::Virtual(_) = found {
            return Err(super::system_catalog(name));
        }
        if found.kind() != wanted {
            return Err(depend::other_kind(name.last(), wanted, found.kind()));
        }
        let Some(table) = self.locked_table(found.oid()).await? else { return Ok(None) };
        self.check_owner(&table).await?;
        self.check_settled(&table, "DROP TABLE")?;
        Ok(Some(Object::Relation(table.oid)))
    }

    async fn index_to_drop(&mut self, name: &QualifiedName) -> PgResult<Option<Object>> {
        let (table, index) = match self.find(name).await? {
            None => return Ok(None),
            Some(Found::Index(table, index)) => (table.oid, index),
            Some(Found::Virtual(_)) => return Err(super::system_catalog(name)),
            Some(found) => return Err(depend::other_kind(name.last(), RelationKind::Index, found.kind())),
        };
        let Some(table) = self.locked_table(table).await? else { return Ok(None) };
        if !self.owns(table.owner).await? {
            return Err(super::access::denied(format!("must be owner of index {}", name.last())));
        }
        if let Some(constraint) = table.constraint_of(index) {
            let (constraint, table) = (&constraint.name, &table.name);
            let shown = name.last();
            return Err(PgError::new(
                sqlstate::DEPENDENT_OBJECTS_STILL_EXIST,
                format!("cannot drop index {shown} because constraint {constraint} on table {table} requires it"),
            )
            .hint(format!("You can drop constraint {constraint} on table {table} instead.")));
        }
        Ok(Some(Object::Index(table.oid, index)))
    }

    async fn schema_to_drop(&mut self, name: &QualifiedName) -> PgResult<Option<Object>> {
        let shown = name.last();
        if matches!(shown, "pg_catalog" | "information_schema" | "public") && builtin_schema(shown).is_some() {
            if shown == "public" {
                return Err(PgError::unsupported("dropping schema \"public\""));
            }
            let message = format!("cannot drop schema {shown} because it is required by the database system");
            return Err(PgError::new(sqlstate::DEPENDENT_OBJECTS_STILL_EXIST, message));
        }
        if self.catalog().schema(shown).await?.is_none() {
            return Ok(None);
        }
        let schema = self.locked_schema(shown, LockStrength::Update).await?;
        if !self.owns(schema.owner).await? {
            return Err(super::access::denied(format!("must be owner of schema {shown}")));
        }
        Ok(Some(Object::Schema(schema.oid)))
    }

    async fn remove(&mut self, snapshot: &CatalogSnapshot, object: Object) -> PgResult<()> {
        match object {
            Object::Schema(oid) => {
                let Some(name) = snapshot.schema_name(oid) else { return Ok(()) };
                self.locked_schema(name, LockStrength::Update).await?;
                self.free_oid(oid).await?;
                self.forget_schema(oid).await?;
                self.transaction.delete(schema_key(name));
                Ok(())
            }
            Object::Relation(oid) => self.remove_relation(oid).await,
            Object::Type(oid) => self.remove_type(oid).await,
            Object::Attribute(..) => Err(PgError::unsupported("dropping an attribute of a composite type")),
            Object::Column(of, at) => {
                let Some(mut table) = self.table_for_removal(of).await? else { return Ok(()) };
                drop_column(&mut table, at);
                self.store(table);
                Ok(())
            }
            Object::Default(of, at) => {
                let Some(mut table) = self.table_for_removal(of).await? else { return Ok(()) };
                table.columns[at].default = None;
                self.store(table);
                Ok(())
            }
            Object::Constraint(of, oid) => {
                let Some(mut table) = self.table_for_removal(of).await? else { return Ok(()) };
                self.remove_constraint(&mut table, oid).await?;
                self.store(table);
                Ok(())
            }
            Object::Index(of, oid) => {
                let Some(mut table) = self.table_for_removal(of).await? else { return Ok(()) };
                self.remove_index(&mut table, oid).await?;
                self.store(table);
                Ok(())
            }
        }
    }

    async fn table_for_removal(&mut self, oid: Oid) -> PgResult<Option<Table>> {
        Ok(self.locked_table(oid).await?.map(|table| Table::clone(&table)))
    }

    async fn remove_relation(&mut self, oid: Oid) -> PgResult<()> {
        let Some(mut table) = self.table_for_removal(oid).await? else { return Ok(()) };
        for key in std::mem::take(&mut table.foreign_keys) {
            self.forget_reference(&mut table, &key).await?;
        }
        self.free_name(table.schema, &table.name).await?;
        if table.row_type.is_valid() && !table.is_temporary() {
            self.free_oid(table.row_type).await?;
        }
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
        match table.kind() {
            RelationKind::Sequence => self.remove_sequence_state(oid).await?,
            RelationKind::Table | RelationKind::MaterializedView => {
                self.transaction.action(Action::DropRange { range: table_range(table.storage) })
            }
            _ => {}
        }
        self.transaction.delete(descriptor_key(oid));
        Ok(())
    }

    /// Takes a constraint out of the descriptor; the caller stores it.
    async fn remove_constraint(&mut self, table: &mut Table, oid: Oid) -> PgResult<()> {
        table.comments.retain(|comment| comment.object != oid);
        if let Some(at) = table.checks.iter().position(|check| check.oid == oid) {
            table.checks.remove(at);
            table.traits.retain(|(of, _)| *of != oid);
            return self.free_oid(oid).await;
        }
        if let Some(at) = table.foreign_keys.iter().position(|key| key.oid == oid) {
            let key = table.foreign_keys.remove(at);
            return self.forget_reference(table, &key).await;
        }
        let index = table.constraints.iter().find(|constraint| constraint.oid == oid).map(|found| found.index);
        match index {
            Some(index) => self.remove_index(table, index).await,
            None => Ok(()),
        }
    }

    /// Takes an index, with the constraint on it, out of the descriptor; the caller stores it.
    pub(super) async fn remove_index(&mut self, table: &mut Table, oid: Oid) -> PgResult<()> {
        let Some(at) = table.indexes.iter().position(|index| index.oid == oid) else { return Ok(()) };
        let index = table.indexes.remove(at);
        table.comments.retain(|comment| comment.object != oid);
        table.traits.retain(|(of, _)| *of != oid);
        if let Some(at) = table.constraints.iter().position(|constraint| constraint.index == oid) {
            let constraint = table.constraints.remove(at);
            self.free_oid(constraint.oid).await?;
        }
        self.free_name(table.schema, &index.name).await?;
        self.free_oid(oid).await?;
        self.transaction.action(Action::DropRange { range: index_range(index.storage) });
        Ok(())
    }

    /// ALTER TABLE ... DROP COLUMN and DROP CONSTRAINT go the same way. The descriptor is stored before, and read again after.
    pub(super) async fn drop_part(&mut self, table: &mut Table, part: Object, cascade: bool) -> PgResult<()> {
        self.store(table.clone());
        self.drop_objects(&[part], cascade).await?;
        let gone = || PgError::internal("a table is gone with one of its parts");
        *table = self.table_for_removal(table.oid).await?.ok_or_else(gone)?;
        Ok(())
    }
}

fn is_foreign(snapshot: &CatalogSnapshot, table: Oid, constraint: Oid) -> bool {
    snapshot.table(table).is_some_and(|table| table.foreign_key(constraint).is_some())
}

/// Its place in stored rows stays.
fn drop_column(table: &mut Table, at: usize) {
    let column = &mut table.columns[at];
    column.dropped = true;
    column.not_null = false;
    column.default = None;
    column.identity = None;
    column.generated = None;
    // PostgreSQL's own pattern, so that the name is free and no user has it.
    column.name = format!("........pg.dropped.{}........", at + 1);
    let number = i16::try_from(at + 1).unwrap_or(i16::MAX);
    table.comments.retain(|comment| comment.object.is_valid() || comment.column != number);
    table.set_domain(at, None);
}

fn missing_code(kind: ObjectKind) -> SqlState {
    match kind {
        ObjectKind::Schema => sqlstate::INVALID_SCHEMA_NAME,
        ObjectKind::Table | ObjectKind::View | ObjectKind::MaterializedView | ObjectKind::Sequence => {
            sqlstate::UNDEFINED_TABLE
        }
        _ => sqlstate::UNDEFINED_OBJECT,
    }
}
