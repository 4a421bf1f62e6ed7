//! CREATE, ALTER, DROP ROLE; membership; what a role owns.
use super::Definer;
use super::access::{denied, no_such_role};
use super::grant::mentions;
use crate::catalog::{
    CatalogSnapshot, Membership, POSTGRES_ROLE, Role, Table, claim_key, damaged, decode_row, encode_row, role_key,
    roles_stamp_key,
};
use crate::parser::tree::{GrantRole, Name, QualifiedName, RoleName, RoleOption};
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
            _ => self.roles().await?.named(name).filter(|role| role.oid.0 < Oid::FIRST_NORMAL).cloned(),
        };
        Ok(stored)
    }

    pub(super) fn store_role(&mut self, role: &Role) {
        self.transaction.put(role_key(&role.name), encode_row(self.stamp(), role), WriteKind::Update);
        self.roles_changed();
    }

    /// Plans of those who are no superusers are made anew.
    pub(super) fn roles_changed(&mut self) {
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
        if role.oid.0 < Oid::FIRST_NORMAL {
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
            for table in snapshot.tables.iter().filter(|table| super::grant::is_granted(table, role.oid)) {
                let Some(table) = self.locked_table(table.oid).await? else { continue };
                let mut table = Table::clone(&table);
                super::grant::forget(&mut table, role.oid);
                self.store(table);
            }
            self.forget_grantee(role.oid).await?;
            for stored in snapshot.types.iter().filter(|stored| mentions(stored.acl.as_deref(), role.oid)) {
                self.forget_on_type(stored.definition.oid, role.oid).await?;
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
    let of_columns = table.columns.iter_mut().filter_map(|column| column.acl.as_mut());
    for item in of_columns.chain(table.acl.as_mut()).flatten() {
        if item.grantee == table.owner {
            item.grantee = to;
        }
        if item.grantor == table.owner {
            item.grantor = to;
        }
    }
    table.owner = to;
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
        for (_, column) in table.live_columns().filter(|(_, column)| mentions(column.acl.as_deref(), role)) {
            lines.push(format!("privileges for column {} of {shown}", column.name));
        }
    }
    for stored in &snapshot.types {
        let name = &stored.definition.name;
        if stored.owner == role {
            lines.push(format!("owner of type {name}"));
        } else if mentions(stored.acl.as_deref(), role) {
            lines.push(format!("privileges for type {name}"));
        }
    }
    for stored in &snapshot.composites {
        if stored.owner == role {
            lines.push(format!("owner of type {}", stored.name));
        }
    }
    for stored in &snapshot.domains {
        if stored.owner == role {
            lines.push(format!("owner of type {}", stored.definition.name));
        }
    }
    if mentions(snapshot.database.acl.as_deref(), role) {
        lines.push(format!("privileges for database {}", crate::catalog::DATABASE_NAME));
    }
    for entry in &snapshot.database.defaults {
        let owner = snapshot.roles.name(entry.role).unwrap_or_default();
        let within = match snapshot.schema_name(entry.schema) {
            Some(schema) => format!(" in schema {schema}"),
            None => String::new(),
        };
        let shown = format!("on new {}s belonging to role {owner}{within}", entry.class.word());
        if entry.role == role {
            lines.push(format!("owner of default privileges {shown}"));
        } else if mentions(Some(&entry.acl), role) {
            lines.push(format!("privileges for default privileges {shown}"));
        }
    }
    lines
}
