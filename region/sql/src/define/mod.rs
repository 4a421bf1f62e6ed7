//! Running DDL: every statement is reads and writes of catalog rows within the client's transaction, so it rolls back with it.
//!
//! - A change of a table first locks the table's descriptor row (UPDATE strength, T14) and works on the newest version; every
//!   statement that relied on the old one is guarded by that row and is planned again, or refused, at its commit (T19).
//! - What comes to depend on an object (a view on a table, a default on a sequence) locks that object's row KEY SHARE, which stays
//!   as a guard (T1): it cannot be dropped meanwhile, in either region. DROP locks first and looks for dependents after.
//! - Names are rows, too: two regions that create the same name meet on one key (T1).
//! - OIDs are claimed rows. Each region counts upwards on its own, in steps that the other leaves out, and checks the row like any
//!   unique key, so no counter is shared (T22).
//! - CREATE INDEX outside a block goes by several transactions (`online`, T21), so that nobody waits for it.
//! - TRUNCATE and DROP leave a storage id behind. Any other index is filled by each region from its own rows, after this transaction has
//!   read all of them and guarded their range (`Action::FillIndex`). A transaction that may go on writes the entries itself, since
//!   its own statements will look for them.
mod access;
mod alter;
mod columns;
mod composite;
mod constraint;
mod create;
mod defaults;
mod depend;
mod domain;
mod drop;
mod foreign;
mod grant;
mod index;
mod like;
mod online;
mod rewrite;
mod role;
mod schema;
mod sequence;
mod temporary;
mod truncate;
mod types;
mod view;

pub(crate) use depend::{mentions_column, regclass_oids};
pub use online::Surroundings;

use crate::catalog::{
    Catalog, CatalogSnapshot, Constraint, ConstraintKind, DescriptorCache, Found, Index, IndexKey, IndexState,
    RelationKind, Roles, Table, Trait, claim_key, descriptor_key, descriptor_range, encode_name, encode_table,
    load_roles, name_key,
};
use crate::layout::StorageId;
use crate::parser::tree::{Definition, Name, ObjectKind, QualifiedName, Statement};
use crate::sequence::SessionSequences;
use bytes::Bytes;
use std::sync::Arc;
use trivet_txn::{Database, Isolation, LockStrength, LockWait, Locked, Transaction, WriteKind};
use trivet_types::{Environment, Oid, PgError, PgResult, Severity, SqlState, sqlstate};

/// Is this a statement that `run` takes?
pub fn is_definition(statement: &Statement) -> bool {
    matches!(
        statement,
        Statement::CreateTable(_)
            | Statement::CreateIndex(_)
            | Statement::CreateView { .. }
            | Statement::Definition(_)
            | Statement::AlterTable { .. }
            | Statement::Drop { .. }
            | Statement::Truncate { .. }
            | Statement::Comment { .. }
    )
}

/// What a definition needs of its session.
pub struct Definer<'a> {
    pub transaction: &'a mut dyn Transaction,
    pub database: &'a dyn Database,
    pub cache: &'a DescriptorCache,
    pub search_path: &'a [String],
    pub environment: &'a dyn Environment,
    pub sequences: &'a SessionSequences,
    /// The current role and the session's, by name.
    pub user: &'a str,
    pub session_user: &'a str,
    /// Tables whose rows have checks to come at this transaction's end.
    pub pending: &'a [Oid],
    /// Nothing follows in this transaction: what is built may be built by its commit.
    pub last: bool,
    pub notices: Vec<Box<PgError>>,
    /// New objects are the session's own.
    temporary: bool,
    /// The statement asks for something temporary.
    wants_temporary: bool,
    /// Loaded when first asked for.
    roles: Option<Arc<Roles>>,
}

/// Runs one definition and returns its command tag.
pub async fn run(definer: &mut Definer<'_>, statement: &Statement) -> PgResult<String> {
    let tag = match statement {
        Statement::CreateTable(create) => {
            definer.create_table(create).await?;
            "CREATE TABLE"
        }
        Statement::CreateIndex(create) => {
            definer.create_index(create).await?;
            "CREATE INDEX"
        }
        Statement::CreateView { name, columns, query, query_text, or_replace, temporary, check_option } => {
            definer.wants_temporary = *temporary;
            definer.create_view(name, columns, query, query_text, (*or_replace, *check_option)).await?;
            "CREATE VIEW"
        }
        Statement::AlterTable { kind, name, if_exists, actions } => {
            return definer.alter_relation(*kind, name, *if_exists, actions).await;
        }
        Statement::Drop { kind, names, if_exists, cascade } => {
            return definer.drop(*kind, names, *if_exists, *cascade).await;
        }
        Statement::Truncate { tables, restart_identity, cascade } => {
            definer.truncate(tables, *restart_identity, *cascade).await?;
            "TRUNCATE TABLE"
        }
        Statement::Comment { kind, name, text } => {
            definer.comment(*kind, name, text.clone().filter(|text| !text.is_empty())).await?;
            "COMMENT"
        }
        Statement::Definition(definition) => return run_definition(definer, definition).await,
        _ => return Err(PgError::internal("not a definition")),
    };
    Ok(tag.to_owned())
}

async fn run_definition(definer: &mut Definer<'_>, definition: &Definition) -> PgResult<String> {
    let tag = match definition {
        Definition::CreateSequence(create) => {
            definer.create_sequence(create).await?;
            "CREATE SEQUENCE"
        }
        Definition::AlterSequence { name, if_exists, options } => {
            definer.alter_sequence(name, *if_exists, options).await?;
            "ALTER SEQUENCE"
        }
        Definition::CreateSchema { name, if_not_exists, owner, elements } => {
            let made = definer.create_schema(name.as_ref(), *if_not_exists, owner.as_ref()).await?;
            if !elements.is_empty() {
                let path: Vec<String> = made.into_iter().chain(definer.search_path.iter().cloned()).collect();
                let mut inside = definer.within(&path);
                for element in elements {
                    Box::pin(run(&mut inside, element)).await?;
                }
                let notices = inside.notices;
                definer.notices.extend(notices);
            }
            "CREATE SCHEMA"
        }
        Definition::AlterSchema { name, change } => {
            definer.alter_schema(name, change).await?;
            "ALTER SCHEMA"
        }
        Definition::CreateEnum { name, labels } => {
            definer.create_enum(name, labels).await?;
            "CREATE TYPE"
        }
        Definition::AlterEnum { name, change } => {
            definer.alter_enum(name, change).await?;
            "ALTER TYPE"
        }
        Definition::CreateComposite { name, attributes } => {
            definer.create_composite(name, attributes).await.map_err(placeless)?;
            "CREATE TYPE"
        }
        Definition::CreateDomain(create) => {
            // PostgreSQL looks at its parts when their text is no longer at hand.
            definer.create_domain(create).await.map_err(placeless)?;
            "CREATE DOMAIN"
        }
        Definition::AlterDomain { name, change } => {
            definer.alter_domain(name, change).await.map_err(placeless)?;
            "ALTER DOMAIN"
        }
        Definition::CreateRole { name, user, options } => {
            definer.create_role(name, *user, options).await?;
            "CREATE ROLE"
        }
        Definition::AlterRole { role, options } => {
            definer.alter_role(role, options).await?;
            "ALTER ROLE"
        }
        Definition::RenameRole { from, to } => {
            definer.rename_role(from, to).await?;
            "ALTER ROLE"
        }
        Definition::SetFor { role, database, setting, value } => {
            let change = (setting.as_deref(), value.as_deref());
            match (role, database) {
                (Some(role), None) => definer.set_for_role(role, change).await?,
                _ => definer.set_in_database(role.as_ref(), database.as_ref(), change).await?,
            }
            if role.is_none() && database.is_some() { "ALTER DATABASE" } else { "ALTER ROLE" }
        }
        Definition::Grant(grant) => {
            definer.grant(grant).await?;
            if grant.revoke { "REVOKE" } else { "GRANT" }
        }
        Definition::DefaultGrant(grant) => {
            definer.grant_by_default(grant).await?;
            "ALTER DEFAULT PRIVILEGES"
        }
        Definition::CommentOnDatabase { name, text } => {
            definer.comment_on_database(name, text.clone().filter(|text| !text.is_empty())).await?;
            "COMMENT"
        }
        Definition::GrantRole(grant) => {
            definer.grant_role(grant).await?;
            if grant.revoke { "REVOKE ROLE" } else { "GRANT ROLE" }
        }
        Definition::CommentOnConstraint { constraint, table, text } => {
            definer.comment_on_constraint(constraint, table, text.clone().filter(|text| !text.is_empty())).await?;
            "COMMENT"
        }
        Definition::Owned { roles, reassign, cascade } => match reassign {
            Some(to) => {
                definer.reassign_owned(roles, to).await?;
                "REASSIGN OWNED"
            }
            None => {
                definer.drop_owned(roles, *cascade).await?;
                "DROP OWNED"
            }
        },
    };
    Ok(tag.to_owned())
}

fn placeless(mut error: Box<PgError>) -> Box<PgError> {
    error.position = None;
    error
}

const OID_TRIES: usize = 1024;

impl Definer<'_> {
    /// The same under another search path, with more to come.
    fn within<'b>(&'b mut self, search_path: &'b [String]) -> Definer<'b> {
        let around = Surroundings {
            database: self.database,
            cache: self.cache,
            search_path,
            environment: self.environment,
            sequences: self.sequences,
            user: self.user,
            session_user: self.session_user,
            pending: self.pending,
        };
        around.definer(&mut *self.transaction)
    }

    fn notice(&mut self, code: SqlState, message: String) {
        self.notices.push(PgError::new(code, message).severity(Severity::Notice));
    }

    fn skipping(&mut self, message: String) {
        self.notice(sqlstate::SUCCESSFUL_COMPLETION, format!("{message}, skipping"));
    }

    /// 55006: checks of the table's rows wait for the transaction's end, and would not find what they were made for.
    fn check_settled(&self, table: &Table, what: &str) -> PgResult<()> {
        if !self.pending.contains(&table.oid) {
            return Ok(());
        }
        let message = format!("cannot {what} \"{}\" because it has pending trigger events", table.name);
        Err(PgError::new(sqlstate::OBJECT_IN_USE, message))
    }

    fn stamp(&self) -> u64 {
        self.database.row_ids(1)
    }

    /// For a relation or an index.
    fn new_storage(&self, of: Oid) -> StorageId {
        let id = self.database.row_ids(1);
        if crate::temporary::is_temporary(of) { crate::temporary::storage(id) } else { StorageId(id) }
    }

    async fn new_oid(&mut self) -> PgResult<Oid> {
        if self.temporary {
            return Ok(self.cache.next_temporary_oid());
        }
        for _ in 0..OID_TRIES {
            let oid = self.cache.next_oid(&mut *self.transaction, self.database).await?;
            let key = claim_key(oid);
            if self.transaction.lock_for_insert(&key).await?.is_none() {
                self.transaction.put(key, Bytes::new(), WriteKind::Update);
                return Ok(oid);
            }
        }
        Err(PgError::new(sqlstate::PROGRAM_LIMIT_EXCEEDED, "no free OID was found"))
    }

    fn catalog(&mut self) -> Catalog<'_> {
        Catalog::new(&mut *self.transaction, self.cache, self.search_path)
    }

    async fn find(&mut self, name: &QualifiedName) -> PgResult<Option<Found>> {
        if name.parts.len() > 2 {
            let database = &name.parts[name.parts.len() - 3].text;
            if name.parts.len() > 3 || database != crate::catalog::DATABASE_NAME {
                let message = format!("cross-database references are not implemented: {}", name.shown());
                return Err(PgError::new(sqlstate::FEATURE_NOT_SUPPORTED, message));
            }
        }
        self.catalog().relation(name.schema(), name.last()).await
    }

    /// The whole catalog, read after what is to be changed was locked: so nothing that came to depend on it is missed.
    async fn snapshot(&mut self) -> PgResult<CatalogSnapshot> {
        self.transaction.statement().await?;
        if self.transaction.isolation() != Isolation::ReadCommitted {
            self.transaction.guard_range(descriptor_range());
        }
        CatalogSnapshot::load(&mut *self.transaction, self.cache).await
    }

    async fn roles(&mut self) -> PgResult<Arc<Roles>> {
        if self.roles.is_none() {
            self.roles = Some(Arc::new(load_roles(&mut *self.transaction).await?));
        }
        Ok(Arc::clone(self.roles.as_ref().expect("loaded above")))
    }

    /// Claims a name in a schema; `false` if a relation has it.
    async fn claim_name(
        &mut self,
        schema: Oid,
        name: &str,
        kind: RelationKind,
        table: Oid,
        own: Oid,
    ) -> PgResult<bool> {
        let key = name_key(schema, name);
        if self.transaction.lock_for_insert(&key).await?.is_some() {
            return Ok(false);
        }
        let value = encode_name(self.stamp(), kind, table, own);
        self.transaction.put(key, value, WriteKind::Update);
        Ok(true)
    }

    /// As PostgreSQL names what was not given a name: the first free of `base`, `base1`, `base2` ...
    async fn claim_free_name(
        &mut self,
        schema: Oid,
        base: &str,
        kind: RelationKind,
        table: Oid,
        own: Oid,
    ) -> PgResult<String> {
        for number in 0..10_000 {
            let name = if number == 0 { base.to_owned() } else { format!("{base}{number}") };
            if self.transaction.get(&name_key(schema, &name)).await?.is_none()
                && self.claim_name(schema, &name, kind, table, own).await?
            {
                return Ok(name);
            }
        }
        Err(PgError::new(sqlstate::DUPLICATE_OBJECT, format!("no free name like \"{base}\" was found")))
    }

    async fn free_name(&mut self, schema: Oid, name: &str) -> PgResult<()> {
        let key = name_key(schema, name);
        self.transaction.lock(&key, LockStrength::Update, LockWait::Wait).await?;
        self.transaction.delete(key);
        Ok(())
    }

    async fn free_oid(&mut self, oid: Oid) -> PgResult<()> {
        if crate::temporary::is_temporary(oid) {
            return Ok(());
        }
        let key = claim_key(oid);
        self.transaction.lock(&key, LockStrength::Update, LockWait::Wait).await?;
        self.transaction.delete(key);
        Ok(())
    }

    /// The newest version of a table, locked against every other definition; `None` if it is gone.
    async fn locked_table(&mut self, oid: Oid) -> PgResult<Option<Arc<Table>>> {
        self.lock_descriptor(oid, LockStrength::Update).await
    }

    /// The same for a relation that something comes to depend on.
    async fn shared_table(&mut self, oid: Oid) -> PgResult<Option<Arc<Table>>> {
        self.lock_descriptor(oid, LockStrength::KeyShare).await
    }

    async fn lock_descriptor(&mut self, oid: Oid, strength: LockStrength) -> PgResult<Option<Arc<Table>>> {
        // What a temporary relation comes to have is temporary.
        self.temporary |= strength == LockStrength::Update && crate::temporary::is_temporary(oid);
        let key = descriptor_key(oid);
        let newest = match self.transaction.lock(&key, strength, LockWait::Wait).await? {
            Locked::Unchanged(value) | Locked::Newer(value) => value,
            Locked::Skipped => None,
        };
        newest.map(|bytes| self.cache.table(&bytes)).transpose()
    }

    /// A table, view or sequence that a statement names, locked; 42P01, 42809, 42501.
    async fn relation_to_change(&mut self, name: &QualifiedName, kind: ObjectKind) -> PgResult<Table> {
        let undefined = || crate::analyze::undefined_table(name);
        let found = self.find(name).await?.ok_or_else(undefined)?;
        let wanted = match kind {
            ObjectKind::View => RelationKind::View,
            ObjectKind::MaterializedView => RelationKind::MaterializedView,
            ObjectKind::Sequence => RelationKind::Sequence,
            _ => RelationKind::Table,
        };
        let oid = match &found {
            Found::Virtual(_) => return Err(system_catalog(name)),
            found if found.kind() != wanted => return Err(wrong_kind(name, wanted)),
            found => found.oid(),
        };
        let table = self.locked_table(oid).await?.ok_or_else(undefined)?;
        self.check_owner(&table).await?;
        Ok(Table::clone(&table))
    }

    async fn table_to_change(&mut self, name: &QualifiedName) -> PgResult<Table> {
        self.relation_to_change(name, ObjectKind::Table).await
    }

    /// A table or materialized view, of which there may be indexes.
    async fn indexed_to_change(&mut self, name: &QualifiedName) -> PgResult<Table> {
        let found = self.find(name).await?;
        let materialized = found.is_some_and(|found| found.kind() == RelationKind::MaterializedView);
        let kind = if materialized { ObjectKind::MaterializedView } else { ObjectKind::Table };
        self.relation_to_change(name, kind).await
    }

    /// Stores a table's new version. Its descriptor is locked, or new.
    fn store(&mut self, mut table: Table) {
        table.stamp = self.stamp();
        self.transaction.put(descriptor_key(table.oid), encode_table(&table), WriteKind::Update);
    }

    /// A key constraint or index: the descriptor's parts, with names claimed. The entries are the caller's matter.
    async fn add_index(&mut self, table: &mut Table, new: NewIndex) -> PgResult<Index> {
        for key in &new.keys {
            let type_oid = table.key_type(key);
            if trivet_types::user::is_row(type_oid) || trivet_types::user::is_row_array(type_oid) {
                return Err(PgError::unsupported("an index on a composite type's values"));
            }
            if !crate::analyze::has_order(type_oid) {
                let shown = trivet_types::display_name(type_oid, -1);
                let message = format!("data type {shown} has no default operator class for access method \"btree\"");
                return Err(PgError::new(sqlstate::UNDEFINED_OBJECT, message).hint(
                    "You must specify an operator class for the index or define a default operator class for the data type.",
                ));
            }
        }
        let oid = self.new_oid().await?;
        let name = match new.name {
            Some(name) => {
                if !self.claim_name(table.schema, &name.text, RelationKind::Index, table.oid, oid).await? {
                    return Err(already_exists(&name.text));
                }
                name.text
            }
            None => {
                let (schema, of) = (table.schema, table.oid);
                self.claim_free_name(schema, &new.default_name, RelationKind::Index, of, oid).await?
            }
        };
        let primary = new.constraint == Some(ConstraintKind::PrimaryKey);
        if primary {
            for key in &new.keys {
                table.columns[key.column].not_null = true;
            }
        }
        let index = Index {
            oid,
            name,
            storage: self.new_storage(oid),
            unique: new.unique,
            nulls_collide: new.nulls_collide,
            primary,
            keys: new.keys,
            include: new.include,
            filter: new.filter,
            state: IndexState::Ready,
        };
        if let Some(kind) = new.constraint {
            let constraint = Constraint { oid: self.new_oid().await?, name: index.name.clone(), kind, index: oid };
            table.constraints.push(constraint);
        }
        table.traits.extend(new.deferrable.map(|deferred| (oid, Trait::Deferrable(deferred))));
        table.traits.extend(new.classes.into_iter().map(|(at, class)| (oid, Trait::Class(at, class))));
        table.traits.extend(new.hash.then_some((oid, Trait::Hash)));
        table.indexes.push(index.clone());
        Ok(index)
    }
}

/// An index to be.
#[derive(Default)]
struct NewIndex {
    name: Option<Name>,
    default_name: String,
    unique: bool,
    nulls_collide: bool,
    keys: Vec<IndexKey>,
    include: Vec<usize>,
    filter: Option<String>,
    constraint: Option<ConstraintKind>,
    /// Of a key constraint that is DEFERRABLE: whether it is INITIALLY DEFERRED.
    deferrable: Option<bool>,
    /// USING hash.
    hash: bool,
    /// Operator classes, by the key's place.
    classes: Vec<(u16, Oid)>,
}

fn already_exists(name: &str) -> Box<PgError> {
    PgError::new(sqlstate::DUPLICATE_TABLE, format!("relation \"{name}\" already exists"))
}

fn system_catalog(name: &QualifiedName) -> Box<PgError> {
    let message = format!("permission denied: \"{}\" is a system catalog", name.last());
    PgError::new(sqlstate::INSUFFICIENT_PRIVILEGE, message)
}

fn wrong_kind(name: &QualifiedName, wanted: RelationKind) -> Box<PgError> {
    let article = if wanted == RelationKind::Index { "an" } else { "a" };
    PgError::new(sqlstate::WRONG_OBJECT_TYPE, format!("\"{}\" is not {article} {}", name.last(), wanted.word()))
}

/// PostgreSQL's pattern for derived names, cut so that the whole fits 63 bytes: `table_column_suffix`.
fn derived_name(table: &str, columns: &[&str], suffix: &str) -> String {
    const BYTES_MAX: usize = 63;
    let middle = columns.join("_");
    let (mut table, mut middle) = (table.to_owned(), middle);
    let separators = 1 + usize::from(!middle.is_empty());
    while table.len() + middle.len() + suffix.len() + separators > BYTES_MAX {
        let longer = if table.len() >= middle.len() { &mut table } else { &mut middle };
        longer.pop();
    }
    if middle.is_empty() { format!("{table}_{suffix}") } else { format!("{table}_{middle}_{suffix}") }
}
