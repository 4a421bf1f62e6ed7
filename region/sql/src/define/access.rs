//! May the current role do this? 42501 with PostgreSQL's words.
use super::Definer;
use crate::catalog::{Privileges, Role, Schema, Table, default_acl};
use crate::parser::tree::RoleName;
use trivet_types::{Oid, PgError, PgResult, sqlstate};

pub(super) fn denied(message: String) -> Box<PgError> {
    PgError::new(sqlstate::INSUFFICIENT_PRIVILEGE, message)
}

pub(super) fn no_such_role(name: &str) -> Box<PgError> {
    PgError::new(sqlstate::UNDEFINED_OBJECT, format!("role \"{name}\" does not exist"))
}

impl Definer<'_> {
    pub(super) async fn current_role(&mut self) -> PgResult<Role> {
        let roles = self.roles().await?;
        roles.named(self.user).cloned().ok_or_else(|| no_such_role(self.user))
    }

    pub(super) async fn is_superuser(&mut self) -> PgResult<bool> {
        Ok(self.current_role().await?.superuser)
    }

    /// The role that a statement names.
    pub(super) async fn role_named(&mut self, name: &RoleName) -> PgResult<Role> {
        let roles = self.roles().await?;
        let name = match name {
            RoleName::Named(name) => name.text.as_str(),
            RoleName::CurrentUser => self.user,
            RoleName::SessionUser => self.session_user,
            RoleName::Public => "public",
        };
        roles.named(name).cloned().ok_or_else(|| no_such_role(name))
    }

    /// Has the current role the privileges of the owner?
    pub(super) async fn owns(&mut self, owner: Oid) -> PgResult<bool> {
        let role = self.current_role().await?;
        Ok(self.roles().await?.has_privileges_of(role.oid, owner))
    }

    pub(super) async fn check_owner(&mut self, table: &Table) -> PgResult<()> {
        if self.owns(table.owner).await? {
            return Ok(());
        }
        Err(denied(format!("must be owner of {} {}", table.kind().word(), table.name)))
    }

    /// An owner's change: the current role must be a member of the new one.
    pub(super) async fn check_new_owner(&mut self, new: &Role) -> PgResult<()> {
        let role = self.current_role().await?;
        if self.roles().await?.is_member(role.oid, new.oid) {
            return Ok(());
        }
        Err(denied(format!("must be member of role \"{}\"", new.name)))
    }

    pub(super) async fn check_schema(&mut self, schema: &Schema, wanted: Privileges) -> PgResult<()> {
        let role = self.current_role().await?;
        let default;
        let acl = match &schema.acl {
            Some(acl) => acl,
            None => {
                default = default_acl(schema.owner, Privileges::SCHEMA);
                &default
            }
        };
        if self.roles().await?.granted(role.oid, schema.owner, acl, wanted) == wanted {
            return Ok(());
        }
        Err(denied(format!("permission denied for schema {}", schema.name)))
    }

    pub(super) async fn check_table(&mut self, table: &Table, wanted: Privileges) -> PgResult<()> {
        let role = self.current_role().await?;
        let default;
        let acl = match &table.acl {
            Some(acl) => acl,
            None => {
                default = default_acl(table.owner, Privileges::of_relation(table.kind()));
                &default
            }
        };
        if self.roles().await?.granted(role.oid, table.owner, acl, wanted) == wanted {
            return Ok(());
        }
        Err(denied(format!("permission denied for {} {}", table.kind().word(), table.name)))
    }
}
