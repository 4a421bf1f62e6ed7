//! CREATE, ALTER, DROP ROLE; GRANT and REVOKE.
use super::access::{denied, no_such_role};
use super::{Definer, wrong_kind};
use crate::catalog::{
    AclItem, CatalogSnapshot, Found, Membership, POSTGRES_ROLE, PUBLIC_GRANTEE, Privileges, RelationKind, Role, Table,
    builtin_schema_row, claim_key, damaged, decode_row, default_acl, encode_row, role_key, roles_stamp_key,
};
use crate::parser::tree::{Grant, GrantRole, GrantTarget, Name, QualifiedName, RoleName, RoleOption};
use trivet_gateway::ScramVerifier;
use trivet_txn::{LockStrength, LockWait, Locked, WriteKind};
use trivet_types::{Datum, Oid, PgError, PgResult, Severity, oid, sqlstate, text};

const DEPENDENT: trivet_types::SqlState = sqlstate::DEPENDENT_OBJECTS_STILL_EXIST;

impl Definer<'_> {
    /// A role's newest row, locked.
    pub(super) async fn locked_role(&mut self, name: &str) -> PgResult<Option<Role>> {
        let stored = match self.transaction.lock(&role_key(name), LockStrength::Update, LockWait::Wait).await? {
            Locked::Unchanged(Some(bytes)) | Locked::Newer(Some(bytes)) => {
                Some(decode_row(&bytes).map_err(|error| damaged(&error))?)
            }
            _ => self.roles().await?.named(name).filter(|role| role.oid == POSTGRES_ROLE).cloned(),
        };
        Ok(stored)
    }

    pub(super) fn store_role(&mut self, role: &Role) {
        self.transaction.put(role_key(&role.name), encode_row(self.stamp(), role), WriteKind::Update);
        self.roles_changed();
    }

    /// Plans of those who are no superusers are made anew.
    fn roles_changed(&mut self) {
        let stamp = self.stamp();
        self.transaction.put(roles_stamp_key(), encode_row(stamp, &()), WriteKind::NoKeyUpdate);
        self.roles = None;
    }

    async fn may_create_roles(&mut self) -> PgResult<bool> {
        let role = self.current_role().await?;
        Ok(role.superuser || role.create_role)
    }

    pub(super) async fn create_role(&mut self, name: &Name, user: bool, options: &[RoleOption]) -> PgResult<()> {
        if !self.may_create_roles().await? {
            return Err(denied("permission denied to create role".into()));
        }
        check_role_name(name)?;
        let key = role_key(&name.text);
        let roles = self.roles().await?;
        if roles.named(&name.text).is_some() || self.transaction.lock_for_insert(&key).await?.is_some() {
            return Err(PgError::new(sqlstate::DUPLICATE_OBJECT, format!("role \"{}\" already exists", name.text)));
        }
        let mut role = Role::new(self.new_oid().await?, name.text.clone());
        role.login = user;
        let grantor = self.current_role().await?;
        for option in options {
            match option {
                RoleOption::InRole(groups) => {
                    for group in groups {
                        let group = self.role_named(group).await?;
                        role.member_of.push(Membership { role: group.oid, grantor: grantor.oid, admin: false });
                    }
                }
                RoleOption::Members(members, admin) => {
                    for member in members {
                        let member = self.role_named(member).await?;
                        let Some(mut member) = self.locked_role(&member.name).await? else { continue };
                        member.member_of.push(Membership { role: role.oid, grantor: grantor.oid, admin: *admin });
                        self.store_role(&member);
                    }
                }
                other => self.apply_option(&mut role, other, &grantor)?,
            }
        }
        self.store_role(&role);
        Ok(())
    }

    fn apply_option(&mut self, role: &mut Role, option: &RoleOption, by: &Role) -> PgResult<()> {
        use RoleOption as O;
        let only_superusers = |on: bool, what: &str| {
            if on && !by.superuser { Err(denied(format!("must be superuser to {what}"))) } else { Ok(()) }
        };
        match option {
            O::Superuser(on) => {
                only_superusers(*on != role.superuser, "alter superuser roles or change superuser attribute")?;
                if !on && role.oid == POSTGRES_ROLE {
                    let message = "permission denied to alter role";
                    return Err(PgError::new(sqlstate::FEATURE_NOT_SUPPORTED, message)
                        .detail("The bootstrap user must have the SUPERUSER attribute."));
                }
                role.superuser = *on;
            }
            O::Inherit(on) => role.inherit = *on,
            O::CreateRole(on) => role.create_role = *on,
            O::CreateDatabase(on) => role.create_database = *on,
            O::Login(on) => role.login = *on,
            O::Replication(on) => {
                only_superusers(*on != role.replication, "alter replication roles or change replication attribute")?;
                role.replication = *on;
            }
            O::BypassRowSecurity(on) => {
                only_superusers(*on != role.bypass_row_security, "change bypassrls attribute")?;
                role.bypass_row_security = *on;
            }
            O::ConnectionLimit(limit) => {
                let limit = i32::try_from(*limit).ok().filter(|limit| *limit >= -1).ok_or_else(|| {
                    PgError::new(sqlstate::INVALID_PARAMETER_VALUE, format!("invalid connection limit: {limit}"))
                })?;
                role.connection_limit = limit;
            }
            O::Password(password) => {
                role.secret = match password.as_deref() {
                    None => None,
                    Some("") => {
                        self.notice(
                            sqlstate::SUCCESSFUL_COMPLETION,
                            "empty string is not a valid password, clearing password".into(),
                        );
                        None
                    }
                    // What looks like a stored secret is one.
                    Some(given) if given.parse::<ScramVerifier>().is_ok() => Some(given.to_owned()),
                    Some(given) => Some(ScramVerifier::from_password(given)?.to_string()),
                };
            }
            O::ValidUntil(until) => {
                role.valid_until = match text::input(oid::TIMESTAMPTZ, -1, until, self.environment)? {
                    Datum::Timestamp(i64::MAX) => Some(i64::MAX),
                    Datum::Timestamp(until) => Some(until),
                    _ => None,
                };
            }
            O::InRole(_) | O::Members(..) => {
                return Err(PgError::new(sqlstate::SYNTAX_ERROR, "memberships are changed with GRANT and REVOKE"));
            }
        }
        Ok(())
    }

    pub(super) async fn alter_role(&mut self, role: &RoleName, options: &[RoleOption]) -> PgResult<()> {
        let by = self.current_role().await?;
        let named = self.role_named(role).await?;
        let Some(mut role) = self.locked_role(&named.name).await? else { return Err(no_such_role(&named.name)) };
        let only_password = options.iter().all(|option| matches!(option, RoleOption::Password(_)));
        if role.superuser && !by.superuser {
            return Err(denied("must be superuser to alter superuser roles or change superuser attribute".into()));
        }
        if !by.superuser && !by.create_role && !(by.oid == role.oid && only_password) {
            return Err(denied("permission denied".into()));
        }
        for option in options {
            if let RoleOption::Members(members, _) = option {
                // ALTER ROLE ... ROLE, as PostgreSQL once had it: to be a member.
                for member in members {
                    self.add_member(&role, member, false, &by).await?;
                }
                continue;
            }
            self.apply_option(&mut role, option, &by)?;
        }
        self.store_role(&role);
        Ok(())
    }

    pub(super) async fn rename_role(&mut self, from: &Name, to: &Name) -> PgResult<()> {
        if !self.may_create_roles().await? {
            return Err(denied("permission denied to rename role".into()));
        }
        let Some(mut role) = self.locked_role(&from.text).await? else { return Err(no_such_role(&from.text)) };
        if role.name == self.session_user {
            return Err(PgError::new(sqlstate::FEATURE_NOT_SUPPORTED, "session user cannot be renamed"));
        }
        if role.oid == POSTGRES_ROLE {
            return Err(PgError::unsupported("renaming the first role"));
        }
        check_role_name(to)?;
        let key = role_key(&to.text);
        if self.roles().await?.named(&to.text).is_some() || self.transaction.lock_for_insert(&key).await?.is_some() {
            return Err(PgError::new(sqlstate::DUPLICATE_OBJECT, format!("role \"{}\" already exists", to.text)));
        }
        self.transaction.delete(role_key(&from.text));
        role.name.clone_from(&to.text);
        self.store_role(&role);
        Ok(())
    }

    pub(super) async fn set_role_setting(
        &mut self,
        role: &RoleName,
        setting: Option<&str>,
        value: Option<&str>,
    ) -> PgResult<()> {
        let by = self.current_role().await?;
        let named = self.role_named(role).await?;
        let Some(mut role) = self.locked_role(&named.name).await? else { return Err(no_such_role(&named.name)) };
        if !by.superuser && !by.create_role && by.oid != role.oid {
            return Err(denied("permission denied".into()));
        }
        match (setting, value) {
            (None, _) => role.settings.clear(),
            (Some(setting), value) => {
                role.settings.retain(|(name, _)| name != setting);
                role.settings.extend(value.map(|value| (setting.to_owned(), value.to_owned())));
            }
        }
        self.store_role(&role);
        Ok(())
    }

    /// `false`: there is none.
    pub(super) async fn drop_role(&mut self, name: &QualifiedName) -> PgResult<bool> {
        if !self.may_create_roles().await? {
            return Err(denied("permission denied to drop role".into()));
        }
        let Some(role) = self.locked_role(name.last()).await? else { return Ok(false) };
        if role.name == self.user {
            return Err(PgError::new(sqlstate::OBJECT_IN_USE, "current user cannot be dropped"));
        }
        if role.name == self.session_user {
            return Err(PgError::new(sqlstate::OBJECT_IN_USE, "session user cannot be dropped"));
        }
        if role.superuser && !self.is_superuser().await? {
            return Err(denied("must be superuser to drop superusers".into()));
        }
        if role.oid == POSTGRES_ROLE {
            let message = format!("cannot drop role {} because it is required by the database system", role.name);
            return Err(PgError::new(DEPENDENT, message));
        }
        let snapshot = self.snapshot().await?;
        let lines = what_depends_on_role(&snapshot, role.oid, self.search_path);
        if !lines.is_empty() {
            let message = format!("role \"{}\" cannot be dropped because some objects depend on it", role.name);
            return Err(PgError::new(DEPENDENT, message).detail(lines.join("\n")));
        }
        for member in snapshot.roles.iter() {
            if member.member_of.iter().any(|held| held.role == role.oid) {
                let Some(mut member) = self.locked_role(&member.name).await? else { continue };
                member.member_of.retain(|held| held.role != role.oid);
                self.store_role(&member);
            }
        }
        self.transaction.delete(role_key(&role.name));
        self.roles_changed();
        let key = claim_key(role.oid);
        self.transaction.lock(&key, LockStrength::Update, LockWait::Wait).await?;
        self.transaction.delete(key);
        Ok(true)
    }

    pub(super) async fn grant_role(&mut self, grant: &GrantRole) -> PgResult<()> {
        let by = self.current_role().await?;
        for group in &grant.roles {
            let group = self.role_named(&RoleName::Named(group.clone())).await?;
            let may = by.superuser
                || (by.create_role && !group.superuser)
                || self.roles().await?.administers(by.oid, group.oid);
            if !may {
                return Err(denied(format!("must have admin option on role \"{}\"", group.name)));
            }
            for member in &grant.members {
                if grant.revoke {
                    self.remove_member(&group, member, grant.admin).await?;
                } else {
                    self.add_member(&group, member, grant.admin, &by).await?;
                }
            }
        }
        Ok(())
    }

    async fn add_member(&mut self, group: &Role, member: &RoleName, admin: bool, by: &Role) -> PgResult<()> {
        let member = self.role_named(member).await?;
        if self.roles().await?.is_member_strictly(group.oid, member.oid) {
            let message = format!("role \"{}\" is a member of role \"{}\"", group.name, member.name);
            return Err(PgError::new(sqlstate::INVALID_GRANT_OPERATION, message));
        }
        let Some(mut member) = self.locked_role(&member.name).await? else { return Err(no_such_role(&member.name)) };
        match member.member_of.iter_mut().find(|held| held.role == group.oid) {
            Some(held) if held.admin || !admin => {
                let message = format!("role \"{}\" is already a member of role \"{}\"", member.name, group.name);
                self.notice(sqlstate::SUCCESSFUL_COMPLETION, message);
                return Ok(());
            }
            Some(held) => held.admin = true,
            None => member.member_of.push(Membership { role: group.oid, grantor: by.oid, admin }),
        }
        self.store_role(&member);
        Ok(())
    }

    async fn remove_member(&mut self, group: &Role, member: &RoleName, only_admin: bool) -> PgResult<()> {
        let member = self.role_named(member).await?;
        let Some(mut member) = self.locked_role(&member.name).await? else { return Err(no_such_role(&member.name)) };
        let Some(held) = member.member_of.iter_mut().find(|held| held.role == group.oid) else {
            let message = format!("role \"{}\" is not a member of role \"{}\"", member.name, group.name);
            self.notices.push(PgError::new(sqlstate::WARNING, message).severity(Severity::Warning));
            return Ok(());
        };
        if only_admin {
            held.admin = false;
        } else {
            member.member_of.retain(|held| held.role != group.oid);
        }
        self.store_role(&member);
        Ok(())
    }

    pub(super) async fn grant(&mut self, grant: &Grant) -> PgResult<()> {
        let mut grantees = Vec::with_capacity(grant.roles.len());
        for role in &grant.roles {
            grantees.push(match role {
                RoleName::Public if grant.option && !grant.revoke => {
                    let message = "grant options can only be granted to roles";
                    return Err(PgError::new(sqlstate::INVALID_GRANT_OPERATION, message));
                }
                RoleName::Public => PUBLIC_GRANTEE,
                role => self.role_named(role).await?.oid,
            });
        }
        match &grant.target {
            GrantTarget::Tables(names) | GrantTarget::Sequences(names) => {
                let sequences = matches!(grant.target, GrantTarget::Sequences(_));
                for name in names {
                    let found = self.find(name).await?.ok_or_else(|| crate::analyze::undefined_table(name))?;
                    let oid = match &found {
                        Found::Virtual(_) => return Err(PgError::unsupported("privileges on system catalogs")),
                        Found::Index(..) => return Err(wrong_kind_of_grant(name)),
                        found if sequences && found.kind() != RelationKind::Sequence => {
                            return Err(wrong_kind(name, RelationKind::Sequence));
                        }
                        found => found.oid(),
                    };
                    self.grant_on_relation(grant, oid, &grantees).await?;
                }
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
                        self.grant_on_relation(grant, oid, &grantees).await?;
                    }
                }
            }
            GrantTarget::Schemas(names) => {
                for name in names {
                    if self.catalog().schema(&name.text).await?.is_none() {
                        return Err(super::schema::no_such_schema(&name.text));
                    }
                    let mut schema = self.locked_schema(&name.text, LockStrength::Update).await?;
                    let wanted = wanted(grant, Privileges::SCHEMA, "schema")?;
                    let builtin = builtin_schema_row(&schema.name).and_then(|schema| schema.acl);
                    let default = || builtin.unwrap_or_else(|| default_acl(schema.owner, Privileges::SCHEMA));
                    let mut acl = schema.acl.clone().unwrap_or_else(default);
                    let what = format!("schema {}", schema.name);
                    self.change_acl(grant, &mut acl, schema.owner, wanted, &grantees, &what).await?;
                    schema.acl = Some(acl);
                    self.store_schema(&schema);
                }
            }
            GrantTarget::Databases(names) => {
                if let Some(name) = names.iter().find(|name| name.text != crate::catalog::DATABASE_NAME) {
                    let message = format!("database \"{}\" does not exist", name.text);
                    return Err(PgError::new(sqlstate::INVALID_CATALOG_NAME, message));
                }
                wanted(grant, Privileges::DATABASE, "database")?;
                return Err(PgError::unsupported("privileges on a database"));
            }
            GrantTarget::Types(_) => return Err(PgError::unsupported("privileges on types")),
        }
        Ok(())
    }

    async fn grant_on_relation(&mut self, grant: &Grant, oid: Oid, grantees: &[Oid]) -> PgResult<()> {
        let Some(table) = self.locked_table(oid).await? else { return Ok(()) };
        let mut table = Table::clone(&table);
        let kind = table.kind();
        let all = Privileges::of_relation(kind);
        let wanted = wanted(grant, all, if kind == RelationKind::Sequence { "sequence" } else { "table" })?;
        let mut acl = table.acl.clone().unwrap_or_else(|| default_acl(table.owner, all));
        let what = format!("{} {}", kind.word(), table.name);
        self.change_acl(grant, &mut acl, table.owner, wanted, grantees, &what).await?;
        table.acl = Some(acl);
        self.store(table);
        Ok(())
    }

    async fn change_acl(
        &mut self,
        grant: &Grant,
        acl: &mut Vec<AclItem>,
        owner: Oid,
        wanted: Privileges,
        grantees: &[Oid],
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
                (if may.is_empty() { "no" } else { "not all" }, if grant.revoke { b"01006" } else { b"01007" });
            let done = if grant.revoke { "could be revoked" } else { "were granted" };
            let message = format!("{quantity} privileges {done} for \"{name}\"");
            self.notices.push(PgError::new(trivet_types::SqlState(*code), message).severity(Severity::Warning));
            if may.is_empty() {
                return Ok(());
            }
        }
        for grantee in grantees {
            if grant.revoke {
                revoke(acl, *grantee, grantor, may, grant.option);
                continue;
            }
            let grantable = if grant.option { may } else { Privileges::NONE };
            match acl.iter_mut().find(|item| item.grantee == *grantee && item.grantor == grantor) {
                Some(item) => {
                    item.privileges = item.privileges.with(may);
                    item.grantable = item.grantable.with(grantable);
                }
                None => acl.push(AclItem { grantee: *grantee, grantor, privileges: may, grantable }),
            }
        }
        Ok(())
    }

    pub(super) async fn reassign_owned(&mut self, roles: &[RoleName], to: &RoleName) -> PgResult<()> {
        let to = self.role_named(to).await?;
        self.check_new_owner(&to).await?;
        for role in roles {
            let role = self.role_named(role).await?;
            self.check_new_owner(&role).await?;
            let snapshot = self.snapshot().await?;
            for table in snapshot.tables.iter().filter(|table| table.owner == role.oid) {
                let Some(table) = self.locked_table(table.oid).await? else { continue };
                let mut table = Table::clone(&table);
                change_owner(&mut table, to.oid);
                self.store(table);
            }
            for schema in snapshot.schemas.iter().filter(|schema| schema.owner == role.oid) {
                let mut schema = self.locked_schema(&schema.name, LockStrength::Update).await?;
                schema.owner = to.oid;
                self.store_schema(&schema);
            }
        }
        Ok(())
    }

    pub(super) async fn drop_owned(&mut self, roles: &[RoleName], cascade: bool) -> PgResult<()> {
        for role in roles {
            let role = self.role_named(role).await?;
            self.check_new_owner(&role).await?;
            if role.oid == POSTGRES_ROLE {
                let message = format!(
                    "cannot drop objects owned by role {} because they are required by the database system",
                    role.name
                );
                return Err(PgError::new(DEPENDENT, message));
            }
            let snapshot = self.snapshot().await?;
            self.drop_owned_objects(&snapshot, role.oid, cascade).await?;
            for table in snapshot.tables.iter().filter(|table| mentions(table.acl.as_deref(), role.oid)) {
                let Some(table) = self.locked_table(table.oid).await? else { continue };
                let mut table = Table::clone(&table);
                table.acl.iter_mut().for_each(|acl| acl.retain(|item| item.grantee != role.oid));
                self.store(table);
            }
            for schema in snapshot.schemas.iter().filter(|schema| mentions(schema.acl.as_deref(), role.oid)) {
                let mut schema = self.locked_schema(&schema.name, LockStrength::Update).await?;
                schema.acl.iter_mut().for_each(|acl| acl.retain(|item| item.grantee != role.oid));
                self.store_schema(&schema);
            }
        }
        Ok(())
    }
}

/// With an owner go the grants that name him.
pub(super) fn change_owner(table: &mut Table, to: Oid) {
    for item in table.acl.iter_mut().flatten() {
        if item.grantee == table.owner {
            item.grantee = to;
        }
        if item.grantor == table.owner {
            item.grantor = to;
        }
    }
    table.owner = to;
}

fn mentions(acl: Option<&[AclItem]>, role: Oid) -> bool {
    acl.is_some_and(|acl| acl.iter().any(|item| item.grantee == role || item.grantor == role))
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

fn wrong_kind_of_grant(name: &QualifiedName) -> Box<PgError> {
    PgError::new(sqlstate::WRONG_OBJECT_TYPE, format!("\"{}\" is an index", name.last()))
}

/// The privileges that a statement names, which the kind of object must have.
fn wanted(grant: &Grant, all: Privileges, kind: &str) -> PgResult<Privileges> {
    let Some(words) = &grant.privileges else { return Ok(all) };
    let mut wanted = Privileges::NONE;
    for word in words {
        let Some(privilege) = Privileges::named(word) else {
            let message = format!("unrecognized privilege type \"{word}\"");
            return Err(PgError::new(sqlstate::SYNTAX_ERROR, message));
        };
        if !all.contains(privilege) {
            let message = format!("invalid privilege type {} for {kind}", word.to_uppercase());
            return Err(PgError::new(sqlstate::INVALID_GRANT_OPERATION, message));
        }
        wanted = wanted.with(privilege);
    }
    Ok(wanted)
}

fn check_role_name(name: &Name) -> PgResult<()> {
    if name.text.starts_with("pg_") {
        return Err(PgError::new(sqlstate::RESERVED_NAME, format!("role name \"{}\" is reserved", name.text))
            .detail("Role names starting with \"pg_\" are reserved."));
    }
    if matches!(name.text.as_str(), "public" | "none") {
        let error = PgError::new(sqlstate::RESERVED_NAME, format!("role name \"{}\" is reserved", name.text));
        return Err(match name.place.known() {
            Some(place) => error.position(place),
            None => error,
        });
    }
    Ok(())
}

/// DETAIL lines of what keeps a role.
fn what_depends_on_role(snapshot: &CatalogSnapshot, role: Oid, path: &[String]) -> Vec<String> {
    let mut lines = Vec::new();
    for schema in &snapshot.schemas {
        if schema.owner == role {
            lines.push(format!("owner of schema {}", schema.name));
        } else if mentions(schema.acl.as_deref(), role) {
            lines.push(format!("privileges for schema {}", schema.name));
        }
    }
    for table in &snapshot.tables {
        let shown = super::depend::relation_shown(snapshot, table, path);
        if table.owner == role {
            lines.push(format!("owner of {shown}"));
        } else if mentions(table.acl.as_deref(), role) {
            lines.push(format!("privileges for {shown}"));
        }
    }
    lines
}
