//! Roles, and what is granted to whom.
use super::{POSTGRES_ROLE, ROLE_NAME, RelationKind};
use serde::{Deserialize, Serialize};
use trivet_types::Oid;
use trivet_types::functions::string::quote_identifier;

/// A role's row of `pg_authid`, with its memberships.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Role {
    pub oid: Oid,
    pub name: String,
    pub superuser: bool,
    pub inherit: bool,
    pub create_role: bool,
    pub create_database: bool,
    pub login: bool,
    pub replication: bool,
    pub bypass_row_security: bool,
    /// Negative: none.
    pub connection_limit: i32,
    /// `SCRAM-SHA-256$...`
    pub secret: Option<String>,
    /// Microseconds since 2000-01-01 UTC.
    pub valid_until: Option<i64>,
    pub member_of: Vec<Membership>,
    /// `ALTER ROLE ... SET`
    pub settings: Vec<(String, String)>,
    pub comment: Option<String>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Membership {
    pub role: Oid,
    pub grantor: Oid,
    pub admin: bool,
}

impl Role {
    pub fn new(oid: Oid, name: impl Into<String>) -> Role {
        Role {
            oid,
            name: name.into(),
            superuser: false,
            inherit: true,
            create_role: false,
            create_database: false,
            login: false,
            replication: false,
            bypass_row_security: false,
            connection_limit: -1,
            secret: None,
            valid_until: None,
            member_of: Vec::new(),
            settings: Vec::new(),
            comment: None,
        }
    }

    /// The role that every cluster begins with, unless it was altered.
    pub fn first() -> Role {
        Role {
            superuser: true,
            create_role: true,
            create_database: true,
            login: true,
            replication: true,
            bypass_row_security: true,
            ..Role::new(POSTGRES_ROLE, ROLE_NAME)
        }
    }
}

/// Whoever owns the database.
pub const DATABASE_OWNER_ROLE: Oid = Oid(6171);
const READ_ALL_DATA: Oid = Oid(6181);
const WRITE_ALL_DATA: Oid = Oid(6182);

/// PostgreSQL 15's predefined roles. Those that are about files, statistics and settings are there to be granted.
fn predefined() -> impl Iterator<Item = Role> {
    const ROLES: &[(u32, &str, &[u32])] = &[
        (3373, "pg_monitor", &[3374, 3375, 3377]),
        (3374, "pg_read_all_settings", &[]),
        (3375, "pg_read_all_stats", &[]),
        (3377, "pg_stat_scan_tables", &[]),
        (4200, "pg_signal_backend", &[]),
        (4544, "pg_checkpoint", &[]),
        (4569, "pg_read_server_files", &[]),
        (4570, "pg_write_server_files", &[]),
        (4571, "pg_execute_server_program", &[]),
        (6171, "pg_database_owner", &[]),
        (6181, "pg_read_all_data", &[]),
        (6182, "pg_write_all_data", &[]),
    ];
    ROLES.iter().map(|(oid, name, of)| {
        let held = |role: &u32| Membership { role: Oid(*role), grantor: POSTGRES_ROLE, admin: false };
        Role { member_of: of.iter().map(held).collect(), ..Role::new(Oid(*oid), *name) }
    })
}

/// All roles: stored ones, the first, and those that are always there.
#[derive(Clone, Debug)]
pub struct Roles {
    all: Vec<Role>,
}

impl Default for Roles {
    fn default() -> Roles {
        Roles::new(Vec::new())
    }
}

impl Roles {
    pub fn new(mut all: Vec<Role>) -> Roles {
        for role in std::iter::once(Role::first()).chain(predefined()) {
            if !all.iter().any(|other| other.oid == role.oid) {
                all.push(role);
            }
        }
        all.sort_by_key(|role| role.oid);
        Roles { all }
    }
    pub fn iter(&self) -> impl Iterator<Item = &Role> {
        self.all.iter()
    }
    pub fn named(&self, name: &str) -> Option<&Role> {
        self.all.iter().find(|role| role.name == name)
    }
    pub fn get(&self, oid: Oid) -> Option<&Role> {
        self.all.iter().find(|role| role.oid == oid)
    }
    pub fn name(&self, oid: Oid) -> Option<&str> {
        self.get(oid).map(|role| role.name.as_str())
    }
    pub fn is_superuser(&self, oid: Oid) -> bool {
        self.get(oid).is_some_and(|role| role.superuser)
    }

    /// The role and all that it is a member of, directly or not; only through roles that inherit, if so asked.
    fn reachable(&self, oid: Oid, inheriting: bool) -> Vec<Oid> {
        let mut found = vec![oid];
        if oid == POSTGRES_ROLE {
            found.push(DATABASE_OWNER_ROLE);
        }
        let mut at = 0;
        while at < found.len() {
            if let Some(role) = self.get(found[at]) {
                if !inheriting || role.inherit {
                    for membership in &role.member_of {
                        if !found.contains(&membership.role) {
                            found.push(membership.role);
                        }
                    }
                }
            }
            at += 1;
        }
        found
    }
    /// May `oid` become `target` (SET ROLE)?
    pub fn is_member(&self, oid: Oid, target: Oid) -> bool {
        self.is_superuser(oid) || self.reachable(oid, false).contains(&target)
    }
    /// Is it a member by itself, being a superuser or not? A role is one of itself.
    pub fn is_member_strictly(&self, oid: Oid, target: Oid) -> bool {
        self.reachable(oid, false).contains(&target)
    }
    /// Has `oid` the privileges of `target` without becoming it?
    pub fn has_privileges_of(&self, oid: Oid, target: Oid) -> bool {
        self.is_superuser(oid) || self.reachable(oid, true).contains(&target)
    }
    /// May `oid` hand out membership in `target`?
    pub fn administers(&self, oid: Oid, target: Oid) -> bool {
        let held = |role: Oid| {
            self.get(role).is_some_and(|role| role.member_of.iter().any(|held| held.role == target && held.admin))
        };
        self.is_superuser(oid) || self.reachable(oid, true).into_iter().any(held)
    }
    /// What an owner or an ACL gives a role: all privileges, of those asked for, that it has.
    pub fn granted(&self, role: Oid, owner: Oid, acl: &[AclItem], wanted: Privileges) -> Privileges {
        if self.is_superuser(role) {
            return wanted;
        }
        let mine = self.reachable(role, true);
        let mut granted = Privileges::NONE;
        if mine.contains(&READ_ALL_DATA) {
            granted = granted.with(Privileges::SELECT);
        }
        if mine.contains(&WRITE_ALL_DATA) {
            granted = granted.with(Privileges::INSERT).with(Privileges::UPDATE).with(Privileges::DELETE);
        }
        // Schemas are asked for nothing else; of sequences it would be more than reading.
        if wanted == Privileges::USAGE && (mine.contains(&READ_ALL_DATA) || mine.contains(&WRITE_ALL_DATA)) {
            granted = granted.with(Privileges::USAGE);
        }
        if mine.contains(&owner) {
            // An owner may take privileges from himself, but what no ACL says he has.
            granted = granted.with(owner_privileges(acl, owner));
        }
        for item in acl {
            if item.grantee == PUBLIC_GRANTEE || mine.contains(&item.grantee) {
                granted = granted.with(item.privileges);
            }
        }
        granted.only(wanted)
    }
}

fn owner_privileges(acl: &[AclItem], owner: Oid) -> Privileges {
    let own = acl.iter().filter(|item| item.grantee == owner);
    own.fold(Privileges::NONE, |all, item| all.with(item.privileges))
}

/// Everyone.
pub const PUBLIC_GRANTEE: Oid = Oid(0);

/// A set of privileges, as bits in PostgreSQL's order.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default, Serialize, Deserialize)]
pub struct Privileges(pub u16);

impl Privileges {
    pub const NONE: Privileges = Privileges(0);
    pub const INSERT: Privileges = Privileges(1);
    pub const SELECT: Privileges = Privileges(2);
    pub const UPDATE: Privileges = Privileges(4);
    pub const DELETE: Privileges = Privileges(8);
    pub const TRUNCATE: Privileges = Privileges(16);
    pub const REFERENCES: Privileges = Privileges(32);
    pub const TRIGGER: Privileges = Privileges(64);
    pub const EXECUTE: Privileges = Privileges(128);
    pub const USAGE: Privileges = Privileges(256);
    pub const CREATE: Privileges = Privileges(512);
    pub const TEMPORARY: Privileges = Privileges(1024);
    pub const CONNECT: Privileges = Privileges(2048);

    /// (privilege, word, letter of an ACL item) in the order in which PostgreSQL shows them.
    pub const ALL: [(Privileges, &'static str, char); 12] = [
        (Privileges::INSERT, "INSERT", 'a'),
        (Privileges::SELECT, "SELECT", 'r'),
        (Privileges::UPDATE, "UPDATE", 'w'),
        (Privileges::DELETE, "DELETE", 'd'),
        (Privileges::TRUNCATE, "TRUNCATE", 'D'),
        (Privileges::REFERENCES, "REFERENCES", 'x'),
        (Privileges::TRIGGER, "TRIGGER", 't'),
        (Privileges::EXECUTE, "EXECUTE", 'X'),
        (Privileges::USAGE, "USAGE", 'U'),
        (Privileges::CREATE, "CREATE", 'C'),
        (Privileges::TEMPORARY, "TEMPORARY", 'T'),
        (Privileges::CONNECT, "CONNECT", 'c'),
    ];

    pub const fn with(self, other: Privileges) -> Privileges {
        Privileges(self.0 | other.0)
    }
    pub const fn without(self, other: Privileges) -> Privileges {
        Privileges(self.0 & !other.0)
    }
    pub const fn only(self, other: Privileges) -> Privileges {
        Privileges(self.0 & other.0)
    }
    pub fn is_empty(self) -> bool {
        self.0 == 0
    }
    pub fn contains(self, other: Privileges) -> bool {
        self.0 & other.0 == other.0
    }
    pub fn named(word: &str) -> Option<Privileges> {
        if word.eq_ignore_ascii_case("temp") {
            return Some(Privileges::TEMPORARY);
        }
        Privileges::ALL.iter().find(|(_, name, _)| name.eq_ignore_ascii_case(word)).map(|(privilege, _, _)| *privilege)
    }
    pub fn words(self) -> impl Iterator<Item = (Privileges, &'static str)> {
        let held = Privileges::ALL.into_iter().filter(move |(privilege, _, _)| self.contains(*privilege));
        held.map(|(privilege, word, _)| (privilege, word))
    }

    /// All that there is to grant on a kind of object.
    pub fn of_relation(kind: RelationKind) -> Privileges {
        match kind {
            RelationKind::Sequence => Privileges::SELECT.with(Privileges::UPDATE).with(Privileges::USAGE),
            _ => Privileges(127),
        }
    }
    pub const COLUMN: Privileges = Privileges(1 | 2 | 4 | 32);
    pub const SCHEMA: Privileges = Privileges(256 | 512);
    pub const DATABASE: Privileges = Privileges(512 | 1024 | 2048);
}

/// One grant.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct AclItem {
    /// 0: PUBLIC.
    pub grantee: Oid,
    pub grantor: Oid,
    pub privileges: Privileges,
    /// WITH GRANT OPTION.
    pub grantable: Privileges,
}

impl AclItem {
    /// `ann=r*w/postgres`
    pub fn shown(&self, roles: &Roles) -> String {
        let name = |oid: Oid| match roles.name(oid) {
            Some(name) => quote_identifier(name),
            None => oid.to_string(),
        };
        let grantee = if self.grantee == PUBLIC_GRANTEE { String::new() } else { name(self.grantee) };
        let mut letters = String::new();
        for (privilege, _, letter) in Privileges::ALL {
            if self.privileges.contains(privilege) {
                letters.push(letter);
                if self.grantable.contains(privilege) {
                    letters.push('*');
                }
            }
        }
        format!("{grantee}={letters}/{}", name(self.grantor))
    }
}

/// What holds while nothing was granted or revoked: everything to the owner.
pub fn default_acl(owner: Oid, all: Privileges) -> Vec<AclItem> {
    vec![AclItem { grantee: owner, grantor: owner, privileges: all, grantable: Privileges::NONE }]
}
