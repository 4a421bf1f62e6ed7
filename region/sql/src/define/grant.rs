//! GRANT and REVOKE on objects and columns, and ALTER DEFAULT PRIVILEGES.
use super::access::denied;
use super::{Definer, wrong_kind};
use crate::catalog::{
    AclItem, DATABASE_NAME, DatabaseRow, DefaultPrivileges, Found, ObjectClass, PUBLIC_GRANTEE, Privileges,
    RelationKind, Table, builtin_schema_row, damaged, database_key, default_acl, encode_row, first_acl,
};
use crate::parser::tree::{DefaultGrant, Grant, GrantTarget, GrantedPrivilege, Name, QualifiedName, RoleName};
use trivet_txn::{LockStrength, LockWait, Locked, WriteKind};
use trivet_types::{Oid, PgError, PgResult, Severity, sqlstate};

/// One change of an ACL.
struct Change<'a> {
    revoke: bool,
    /// WITH GRANT OPTION, or GRANT OPTION FOR.
    option: bool,
    grantees: &'a [Oid],
}

impl Definer<'_> {
    async fn grantees(&mut self, roles: &[RoleName], option: bool, revoke: bool) -> PgResult<Vec<Oid>> {
        let mut grantees = Vec::with_capacity(roles.len());
        for role in roles {
            grantees.push(match role {
                RoleName::Public if option && !revoke => {
                    let message = "grant options can only be granted to roles";
                    return Err(PgError::new(sqlstate::INVALID_GRANT_OPERATION, message));
                }
                RoleName::Public => PUBLIC_GRANTEE,
                role => self.role_named(role).await?.oid,
            });
        }
        Ok(grantees)
    }

    pub(super) async fn grant(&mut self, grant: &Grant) -> PgResult<()> {
        let grantees = self.grantees(&grant.roles, grant.option, grant.revoke).await?;
        let change = Change { revoke: grant.revoke, option: grant.option, grantees: &grantees };
        match &grant.target {
            GrantTarget::Tables(names) | GrantTarget::Sequences(names) => {
                let sequences = matches!(grant.target, GrantTarget::Sequences(_));
                for name in names {
                    let oid = self.relation_to_grant(name, sequences).await?;
                    self.grant_on_relation(&grant.privileges, &change, oid).await?;
                }
            }
            _ if grant.privileges.iter().any(|one| !one.columns.is_empty()) => {
                let message = "column privileges are only valid for relations";
                return Err(PgError::new(sqlstate::INVALID_GRANT_OPERATION, message));
            }
            GrantTarget::AllTables(schemas) | GrantTarget::AllSequences(schemas) => {
                let sequences = matches!(grant.target, GrantTarget::AllSequences(_));
                for schema in schemas {
                    let missing = || super::schema::no_such_schema(&schema.text);
                    let schema = self.catalog().schema(&schema.text).await?.ok_or_else(missing)?;
                    let snapshot = self.snapshot().await?;
                    let inside = snapshot.tables.iter().filter(|table| {
                        table.schema == schema && (table.kind() == RelationKind::Sequence) == sequences
                    });
                    for oid in inside.map(|table| table.oid).collect::<Vec<_>>() {
                        self.grant_on_relation(&grant.privileges, &change, oid).await?;
                    }
                }
            }
            GrantTarget::Schemas(names) => {
                for name in names {
                    self.grant_on_schema(&grant.privileges, &change, name).await?;
                }
            }
            GrantTarget::Databases(names) => {
                for name in names {
                    self.check_database(name)?;
                    let mut database = self.locked_database().await?;
                    let mut acl = database.grants();
                    let wanted = wanted(&grant.privileges, Privileges::DATABASE, "database")?;
                    let what = format!("database {DATABASE_NAME}");
                    self.change_acl(&change, &mut acl, database.owner, wanted, &what).await?;
                    database.acl = Some(acl);
                    self.store_database(&database);
                }
            }
            GrantTarget::Types(names) => {
                for name in names {
                    let mut stored = self.type_to_grant(name).await?;
                    let wanted = wanted(&grant.privileges, Privileges::USAGE, "type")?;
                    let mut acl = stored.acl.clone().unwrap_or_else(|| first_acl(ObjectClass::Type, stored.owner));
                    let what = format!("type {}", stored.definition.name);
                    self.change_acl(&change, &mut acl, stored.owner, wanted, &what).await?;
                    stored.acl = Some(acl);
                    self.store_type(&stored);
                }
            }
        }
        Ok(())
    }

    async fn relation_to_grant(&mut self, name: &QualifiedName, sequences: bool) -> PgResult<Oid> {
        let found = self.find(name).await?.ok_or_else(|| crate::analyze::undefined_table(name))?;
        match &found {
            Found::Virtual(_) => Err(PgError::unsupported("privileges on system catalogs")),
            Found::Index(..) => {
                Err(PgError::new(sqlstate::WRONG_OBJECT_TYPE, format!("\"{}\" is an index", name.last())))
            }
            found if sequences && found.kind() != RelationKind::Sequence => {
                Err(wrong_kind(name, RelationKind::Sequence))
            }
            found => Ok(found.oid()),
        }
    }

    async fn grant_on_schema(
        &mut self,
        privileges: &[GrantedPrivilege],
        change: &Change<'_>,
        name: &Name,
    ) -> PgResult<()> {
        if self.catalog().schema(&name.text).await?.is_none() {
            return Err(super::schema::no_such_schema(&name.text));
        }
        let mut schema = self.locked_schema(&name.text, LockStrength::Update).await?;
        let wanted = wanted(privileges, Privileges::SCHEMA, "schema")?;
        let builtin = builtin_schema_row(&schema.name).and_then(|schema| schema.acl);
        let default = || builtin.unwrap_or_else(|| default_acl(schema.owner, Privileges::SCHEMA));
        let mut acl = schema.acl.clone().unwrap_or_else(default);
        let what = format!("schema {}", schema.name);
        self.change_acl(change, &mut acl, schema.owner, wanted, &what).await?;
        schema.acl = Some(acl);
        self.store_schema(&schema);
        Ok(())
    }

    async fn grant_on_relation(
        &mut self,
        privileges: &[GrantedPrivilege],
        change: &Change<'_>,
        oid: Oid,
    ) -> PgResult<()> {
        let Some(table) = self.locked_table(oid).await? else { return Ok(()) };
        let mut table = Table::clone(&table);
        let kind = table.kind();
        let (of_columns, of_whole): (Vec<_>, Vec<_>) =
            privileges.iter().cloned().partition(|privilege| !privilege.columns.is_empty());
        let all = Privileges::of_relation(kind);
        if !of_whole.is_empty() {
            let wanted = wanted(&of_whole, all, if kind == RelationKind::Sequence { "sequence" } else { "table" })?;
            let mut acl = table.acl.clone().unwrap_or_else(|| default_acl(table.owner, all));
            let what = format!("{} {}", kind.word(), table.name);
            self.change_acl(change, &mut acl, table.owner, wanted, &what).await?;
            if change.revoke {
                // What is revoked of the whole is revoked of its columns.
                let of_column = wanted.only(Privileges::COLUMN);
                for column in table.columns.iter_mut().filter(|column| column.acl.is_some()) {
                    let acl = column.acl.get_or_insert_default();
                    for grantee in change.grantees {
                        revoke(acl, *grantee, table.owner, of_column, change.option);
                    }
                    column.acl = column.acl.take().filter(|acl| !acl.is_empty());
                }
            }
            table.acl = Some(acl);
        }
        for privilege in of_columns {
            let wanted = wanted(std::slice::from_ref(&privilege), Privileges::COLUMN, "column")?;
            for name in &privilege.columns {
                let at = super::alter::column_at(&table, name)?;
                let mut acl = table.columns[at].acl.clone().unwrap_or_default();
                let what = format!("column {} of relation {}", name.text, table.name);
                self.change_acl(change, &mut acl, table.owner, wanted, &what).await?;
                table.columns[at].acl = Some(acl).filter(|acl| !acl.is_empty());
            }
        }
        self.store(table);
        Ok(())
    }

    async fn change_acl(
        &mut self,
        change: &Change<'_>,
        acl: &mut Vec<AclItem>,
        owner: Oid,
        wanted: Privileges,
        what: &str,
    ) -> PgResult<()> {
        let by = self.current_role().await?;
        let roles = self.roles().await?;
        // An owner's grants are his, whoever of his members makes them; others need the grant option.
        let (grantor, may) = if roles.has_privileges_of(by.oid, owner) {
            (owner, wanted)
        } else {
            let held =
                acl.iter().filter(|item| roles.has_privileges_of(by.oid, item.grantee) && item.grantee.is_valid());
            (by.oid, held.fold(Privileges::NONE, |all, item| all.with(item.grantable)).only(wanted))
        };
        if may != wanted {
            let held = roles.granted(by.oid, owner, acl, Privileges(u16::MAX));
            if may.is_empty() && held.is_empty() {
                return Err(denied(format!("permission denied for {what}")));
            }
            let name = what.split_once(' ').map_or(what, |(_, name)| name);
            let (quantity, code) =
                (if may.is_empty() { "no" } else { "not all" }, if change.revoke { b"01006" } else { b"01007" });
            let done = if change.revoke { "could be revoked" } else { "were granted" };
            let message = format!("{quantity} privileges {done} for \"{name}\"");
            self.notices.push(PgError::new(trivet_types::SqlState(*code), message).severity(Severity::Warning));
            if may.is_empty() {
                return Ok(());
            }
        }
        apply(change, acl, grantor, may);
        Ok(())
    }

    pub(super) fn check_database(&self, name: &Name) -> PgResult<()> {
        if name.text == DATABASE_NAME {
            return Ok(());
        }
        let message = format!("database \"{}\" does not exist", name.text);
        Err(PgError::new(sqlstate::INVALID_CATALOG_NAME, message))
    }

    pub(super) async fn locked_database(&mut self) -> PgResult<DatabaseRow> {
        let row = match self.transaction.lock(&database_key(), LockStrength::Update, LockWait::Wait).await? {
            Locked::Unchanged(row) | Locked::Newer(row) => row,
            Locked::Skipped => None,
        };
        DatabaseRow::decode(row.as_deref()).map_err(|error| damaged(&error))
    }

    pub(super) fn store_database(&mut self, database: &DatabaseRow) {
        self.transaction.put(database_key(), encode_row(self.stamp(), database), WriteKind::Update);
    }

    /// The database as it is.
    pub(super) async fn database_row(&mut self) -> PgResult<DatabaseRow> {
        let row = self.transaction.get(&database_key()).await?;
        DatabaseRow::decode(row.as_deref()).map_err(|error| damaged(&error))
    }

    /// 42501 unless the current role may do this with the database.
    pub(super) async fn may_in_database(&mut self, wanted: Privileges) -> PgResult<bool> {
        let role = self.current_role().await?;
        let database = self.database_row().await?;
        let roles = self.roles().await?;
        Ok(roles.granted(role.oid, database.owner, &database.grants(), wanted) == wanted)
    }

    pub(super) async fn comment_on_database(&mut self, name: &Name, text: Option<String>) -> PgResult<()> {
        self.check_database(name)?;
        let mut database = self.locked_database().await?;
        if !self.owns(database.owner).await? {
            return Err(denied(format!("must be owner of database {DATABASE_NAME}")));
        }
        database.comment = text;
        self.store_database(&database);
        Ok(())
    }

    /// ALTER DEFAULT PRIVILEGES
    pub(super) async fn grant_by_default(&mut self, grant: &DefaultGrant) -> PgResult<()> {
        let grantees = self.grantees(&grant.roles, grant.option, grant.revoke).await?;
        let change = Change { revoke: grant.revoke, option: grant.option, grantees: &grantees };
        let class = grant.class;
        if class == ObjectClass::Schema && !grant.schemas.is_empty() {
            let message = "cannot use IN SCHEMA clause when using GRANT/REVOKE ON SCHEMAS";
            return Err(PgError::new(sqlstate::INVALID_GRANT_OPERATION, message));
        }
        let wanted = wanted(&grant.privileges, class.privileges(), class.word())?;
        let mut owners = Vec::new();
        for owner in &grant.of {
            let owner = self.role_named(owner).await?;
            self.check_new_owner(&owner).await?;
            owners.push(owner.oid);
        }
        if owners.is_empty() {
            owners.push(self.current_role().await?.oid);
        }
        let mut schemas = Vec::new();
        for schema in &grant.schemas {
            let missing = || super::schema::no_such_schema(&schema.text);
            schemas.push(self.catalog().schema(&schema.text).await?.ok_or_else(missing)?);
        }
        if schemas.is_empty() {
            schemas.push(Oid(0));
        }
        let mut database = self.locked_database().await?;
        for owner in owners {
            for schema in &schemas {
                let same =
                    |entry: &DefaultPrivileges| entry.role == owner && entry.schema == *schema && entry.class == class;
                let everywhere = *schema == Oid(0);
                let first = || if everywhere { first_acl(class, owner) } else { Vec::new() };
                let (oid, mut acl) = match database.defaults.iter().position(same) {
                    Some(at) => {
                        let entry = database.defaults.remove(at);
                        (entry.oid, entry.acl)
                    }
                    None => (self.new_oid().await?, first()),
                };
                apply(&change, &mut acl, owner, wanted);
                let mut sorted = [acl.clone(), first()];
                sorted.iter_mut().for_each(|acl| acl.sort_by_key(|item| (item.grantee, item.grantor)));
                if sorted[0] == sorted[1] {
                    self.free_oid(oid).await?;
                } else {
                    database.defaults.push(DefaultPrivileges { oid, role: owner, schema: *schema, class, acl });
                }
            }
        }
        self.store_database(&database);
        Ok(())
    }

    /// What a new object has granted.
    pub(super) async fn new_acl(
        &mut self,
        class: ObjectClass,
        owner: Oid,
        schema: Oid,
    ) -> PgResult<Option<Vec<AclItem>>> {
        Ok(self.database_row().await?.of_new(class, owner, schema))
    }

    /// DROP OWNED: what the database and its defaults grant to a role, and the role's own defaults.
    pub(super) async fn forget_grantee(&mut self, role: Oid) -> PgResult<()> {
        let known = self.database_row().await?;
        let concerns = |entry: &DefaultPrivileges| entry.role == role || mentions(Some(&entry.acl), role);
        if !mentions(known.acl.as_deref(), role) && !known.defaults.iter().any(concerns) {
            return Ok(());
        }
        let mut database = self.locked_database().await?;
        let own = |item: &AclItem| item.grantee != role;
        database.acl.iter_mut().for_each(|acl| acl.retain(own));
        database.defaults.retain(|entry| entry.role != role);
        database.defaults.iter_mut().for_each(|entry| entry.acl.retain(own));
        self.store_database(&database);
        Ok(())
    }

    /// A schema that goes takes its defaults along.
    pub(super) async fn forget_schema(&mut self, schema: Oid) -> PgResult<()> {
        if !self.database_row().await?.defaults.iter().any(|entry| entry.schema == schema) {
            return Ok(());
        }
        let mut database = self.locked_database().await?;
        database.defaults.retain(|entry| entry.schema != schema);
        self.store_database(&database);
        Ok(())
    }
}

fn apply(change: &Change<'_>, acl: &mut Vec<AclItem>, grantor: Oid, privileges: Privileges) {
    for grantee in change.grantees {
        if change.revoke {
            revoke(acl, *grantee, grantor, privileges, change.option);
            continue;
        }
        let grantable = if change.option { privileges } else { Privileges::NONE };
        match acl.iter_mut().find(|item| item.grantee == *grantee && item.grantor == grantor) {
            Some(item) => {
                item.privileges = item.privileges.with(privileges);
                item.grantable = item.grantable.with(grantable);
            }
            None => acl.push(AclItem { grantee: *grantee, grantor, privileges, grantable }),
        }
    }
}

pub(super) fn mentions(acl: Option<&[AclItem]>, role: Oid) -> bool {
    acl.is_some_and(|acl| acl.iter().any(|item| item.grantee == role || item.grantor == role))
}

/// Does a table or a column of it name the role in what is granted?
pub(super) fn is_granted(table: &Table, role: Oid) -> bool {
    let of_columns = table.columns.iter().map(|column| column.acl.as_deref());
    of_columns.chain([table.acl.as_deref()]).any(|acl| mentions(acl, role))
}

/// What is granted to the role on the table and its columns is granted no longer.
pub(super) fn forget(table: &mut Table, role: Oid) {
    let of_columns = table.columns.iter_mut().filter_map(|column| column.acl.as_mut());
    of_columns.chain(table.acl.as_mut()).for_each(|acl| acl.retain(|item| item.grantee != role));
    for column in &mut table.columns {
        column.acl = column.acl.take().filter(|acl| !acl.is_empty());
    }
}

fn revoke(acl: &mut Vec<AclItem>, grantee: Oid, grantor: Oid, privileges: Privileges, only_option: bool) {
    for item in acl.iter_mut().filter(|item| item.grantee == grantee && item.grantor == grantor) {
        item.grantable = item.grantable.without(privileges);
        if !only_option {
            item.privileges = item.privileges.without(privileges);
        }
    }
    acl.retain(|item| !item.privileges.is_empty());
}

/// The privileges that a statement names, which the kind of object must have.
fn wanted(privileges: &[GrantedPrivilege], all: Privileges, kind: &str) -> PgResult<Privileges> {
    let mut wanted = Privileges::NONE;
    for word in privileges {
        let Some(word) = &word.word else { return Ok(all) };
        let Some(privilege) = Privileges::named(word) else {
            let message = format!("unrecognized privilege type \"{word}\"");
            return Err(PgError::new(sqlstate::SYNTAX_ERROR, message));
        };
        if !all.contains(privilege) {
            let shown = if word.eq_ignore_ascii_case("temp") { "TEMPORARY".to_owned() } else { word.to_uppercase() };
            let message = format!("invalid privilege type {shown} for {kind}");
            return Err(PgError::new(sqlstate::INVALID_GRANT_OPERATION, message));
        }
        wanted = wanted.with(privilege);
    }
    Ok(wanted)
}
