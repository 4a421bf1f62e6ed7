//! CREATE TABLE, and the table that CREATE TABLE AS fills.
use super::Definer;
use super::columns::check_names;
use crate::catalog::{Column, ObjectClass, OnCommit, RelationKind, Table};
use crate::parser::tree::{
    ColumnConstraint, ColumnConstraintKind, CreateTable, QualifiedName, TableConstraint, TableConstraintKind,
};
use crate::plan::ResultColumn;
use trivet_types::{Oid, PgError, PgResult, sqlstate};

impl Definer<'_> {
    /// A relation without columns, keys or grants, that is not stored yet.
    pub(super) fn empty_table(
        &self,
        oid: Oid,
        (schema, schema_name): (Oid, String),
        name: String,
        owner: Oid,
        row_type: Oid,
    ) -> Table {
        let storage = self.new_storage(oid);
        Table::new(oid, (schema, schema_name), name, owner, row_type, storage)
    }

    /// A new relation's name and OIDs. `None`: there is one, and IF NOT EXISTS was said.
    pub(super) async fn new_relation(
        &mut self,
        name: &QualifiedName,
        kind: RelationKind,
        if_not_exists: bool,
    ) -> PgResult<Option<Table>> {
        let schema = self.creation_schema(name).await?;
        let oid = self.new_oid().await?;
        if !self.claim_name(schema.0, name.last(), kind, oid, oid).await? {
            if if_not_exists {
                let message = format!("relation \"{}\" already exists, skipping", name.last());
                self.notice(sqlstate::DUPLICATE_TABLE, message);
                self.free_oid(oid).await?;
                return Ok(None);
            }
            return Err(self.name_is_taken(schema.0, name.last()).await?);
        }
        let row_type = if self.temporary { self.cache.next_temporary_row() } else { self.new_oid().await? };
        let owner = self.current_role().await?.oid;
        let acl = self.new_acl(ObjectClass::of_relation(kind), owner, schema.0).await?;
        Ok(Some(Table { acl, ..self.empty_table(oid, schema, name.last().to_owned(), owner, row_type) }))
    }

    pub(super) async fn create_table(&mut self, create: &CreateTable) -> PgResult<()> {
        self.wants_temporary = create.temporary;
        let made = self.new_relation(&create.name, RelationKind::Table, create.if_not_exists).await;
        // Only here PostgreSQL says where a schema that it cannot use was named.
        let made = made.map_err(|error| match error.code {
            sqlstate::INVALID_SCHEMA_NAME => crate::analyze::at(create.name.place(), error),
            sqlstate::INVALID_TABLE_DEFINITION if create.temporary => crate::analyze::at(create.name.place(), error),
            sqlstate::INSUFFICIENT_PRIVILEGE if error.message.starts_with("permission denied for schema") => {
                crate::analyze::at(create.name.place(), error)
            }
            _ => error,
        });
        let Some(mut table) = made? else { return Ok(()) };
        check_options(&create.options)?;
        table.options.clone_from(&create.options);
        table.unlogged = create.unlogged;
        table.on_commit = self.on_commit_of(&table, create.on_commit)?;
        let mut likes = create.likes.iter().peekable();
        let mut numberings = Vec::new();
        let mut after = Vec::new();
        for at in 0..=create.columns.len() {
            while let Some((_, of, options)) = likes.next_if(|(before, ..)| *before == at) {
                after.push(self.like(&mut table, of, *options, &mut numberings).await?);
            }
            if let Some(definition) = create.columns.get(at) {
                let (column, domain, numbering) = self.column(create.name.last(), definition).await?;
                let position = table.columns.len();
                table.columns.push(column);
                table.set_domain(position, domain);
                numberings.extend(numbering.map(|numbering| (position, numbering)));
            }
        }
        check_names(&table.columns)?;
        for definition in &create.columns {
            let generated =
                |constraint: &ColumnConstraint| matches!(constraint.kind, ColumnConstraintKind::Generated(_));
            if definition.constraints.iter().any(generated) {
                // Known as generated to the others' expressions before its own is.
                let named = table.columns.iter_mut().find(|column| column.name == definition.name.text);
                named.into_iter().for_each(|column| column.generated = Some(String::new()));
            }
        }
        for definition in &create.columns {
            for constraint in &definition.constraints {
                let ColumnConstraintKind::Generated(value) = &constraint.kind else { continue };
                let named = table.column_named(&definition.name.text);
                let (at, _) = named.expect("the column was just added");
                let text = self.generation(&table, at, value).await?;
                table.columns[at].generated = Some(text);
            }
        }
        for (at, numbering) in numberings {
            self.number_column(&mut table, at, numbering).await?;
        }
        // Primary keys first, as PostgreSQL creates them, and references at last.
        let mut constraints = constraints_of(create);
        constraints.sort_by_key(|constraint| match constraint.kind {
            TableConstraintKind::PrimaryKey(_) => 0,
            TableConstraintKind::ForeignKey { .. } => 2,
            _ => 1,
        });
        for constraint in &constraints {
            let added = self.add_constraint(&mut table, constraint, true).await;
            added.map_err(|error| in_create_table(error, constraint))?;
        }
        for like in after {
            self.like_indexes(&mut table, like).await?;
        }
        self.store(table);
        Ok(())
    }

    fn on_commit_of(&self, table: &Table, wanted: Option<OnCommit>) -> PgResult<OnCommit> {
        if wanted.is_some() && !table.is_temporary() {
            let message = "ON COMMIT can only be used on temporary tables";
            return Err(PgError::new(sqlstate::INVALID_TABLE_DEFINITION, message));
        }
        Ok(wanted.unwrap_or(OnCommit::PreserveRows))
    }

    /// The table of CREATE TABLE AS, with these columns. `None`: there is one.
    pub async fn create_table_of(
        &mut self,
        name: &QualifiedName,
        columns: Vec<ResultColumn>,
        if_not_exists: bool,
        (temporary, on_commit): (bool, Option<OnCommit>),
    ) -> PgResult<Option<Oid>> {
        self.wants_temporary = temporary;
        let Some(mut table) = self.new_relation(name, RelationKind::Table, if_not_exists).await? else {
            return Ok(None);
        };
        for (at, ResultColumn { name, type_oid, modifier, domain, .. }) in columns.into_iter().enumerate() {
            super::columns::refuse_pseudo_type(&name, type_oid, self.environment)?;
            table.columns.push(plain_column(name, type_oid, modifier));
            if let Some(domain) = domain {
                self.share_type(domain).await?;
            }
            table.set_domain(at, domain);
        }
        check_names(&table.columns)?;
        table.on_commit = self.on_commit_of(&table, on_commit)?;
        let oid = table.oid;
        self.store(table);
        Ok(Some(oid))
    }
}

pub(super) fn plain_column(name: String, type_oid: Oid, modifier: i32) -> Column {
    Column {
        name,
        type_oid,
        modifier,
        not_null: false,
        default: None,
        identity: None,
        generated: None,
        dropped: false,
        missing: None,
        collation: None,
        acl: None,
    }
}

/// A constraint of a new table is wrong: PostgreSQL points at the whole of a key, and has other words for a name that is taken.
fn in_create_table(mut error: Box<PgError>, constraint: &TableConstraint) -> Box<PgError> {
    let is_key = matches!(constraint.kind, TableConstraintKind::PrimaryKey(_) | TableConstraintKind::Unique(..));
    match error.code {
        sqlstate::UNDEFINED_COLUMN | sqlstate::DUPLICATE_COLUMN | sqlstate::INVALID_TABLE_DEFINITION if is_key => {
            error.position = constraint.place.known();
        }
        sqlstate::DUPLICATE_OBJECT if matches!(constraint.kind, TableConstraintKind::Check(..)) => {
            if let Some(name) = &constraint.name {
                error.message = format!("check constraint \"{}\" already exists", name.text);
            }
        }
        _ => {}
    }
    error
}

/// A column's constraints that are the table's.
pub(super) fn constraints_of_column(
    column: &crate::parser::tree::ColumnDefinition,
) -> impl Iterator<Item = TableConstraint> + '_ {
    column.constraints.iter().filter_map(|constraint| {
        let kind = match &constraint.kind {
            ColumnConstraintKind::PrimaryKey => TableConstraintKind::PrimaryKey(vec![column.name.clone()]),
            ColumnConstraintKind::Unique(nulls_collide) => {
                TableConstraintKind::Unique(vec![column.name.clone()], *nulls_collide)
            }
            ColumnConstraintKind::Check(expr) => TableConstraintKind::Check(expr.clone(), false),
            ColumnConstraintKind::References(references) => TableConstraintKind::ForeignKey {
                columns: vec![column.name.clone()],
                references: references.clone(),
                not_valid: false,
            },
            _ => return None,
        };
        let (timing, no_inherit) = (constraint.timing, constraint.no_inherit);
        Some(TableConstraint { name: constraint.name.clone(), kind, place: constraint.place, timing, no_inherit })
    })
}

/// The table's constraints with those of its columns.
fn constraints_of(create: &CreateTable) -> Vec<TableConstraint> {
    create.columns.iter().flat_map(constraints_of_column).chain(create.constraints.iter().cloned()).collect()
}

/// Storage parameters that PostgreSQL knows; they are kept and shown, and change nothing here.
pub(super) fn check_options(options: &[(String, String)]) -> PgResult<()> {
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
