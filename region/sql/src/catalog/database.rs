//! The one database: who may what with it, and what is granted on objects that are yet to be made.
use super::{AclItem, DescriptorError, POSTGRES_ROLE, PUBLIC_GRANTEE, Privileges, RelationKind, Role, decode_row};
use crate::catalog::privilege::default_acl;
use serde::{Deserialize, Serialize};
use trivet_types::Oid;

/// Stored once something of it was changed.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct DatabaseRow {
    pub owner: Oid,
    /// `None`: what is granted by default.
    pub acl: Option<Vec<AclItem>>,
    pub comment: Option<String>,
    /// ALTER DEFAULT PRIVILEGES
    pub defaults: Vec<DefaultPrivileges>,
    /// Rows that were stored before there were any end before this.
    pub settings: Vec<DatabaseSettings>,
}

/// What settings are for whoever connects: by ALTER DATABASE, ALTER ROLE ... IN DATABASE and ALTER ROLE ALL. Those of one role in any
/// database are in its own row.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct DatabaseSettings {
    /// 0: of all.
    pub role: Oid,
    /// In this database, not in any.
    pub here: bool,
    pub values: Vec<(String, String)>,
}

impl Default for DatabaseRow {
    fn default() -> DatabaseRow {
        let comment = Some("default administrative connection database".to_owned());
        DatabaseRow { owner: POSTGRES_ROLE, acl: None, comment, defaults: Vec::new(), settings: Vec::new() }
    }
}

impl DatabaseRow {
    pub fn decode(bytes: Option<&[u8]>) -> Result<DatabaseRow, DescriptorError> {
        // An older row lacks its last list: an empty one is a zero, which a newer row does not read.
        let whole = |bytes: &[u8]| decode_row(&[bytes, &[0]].concat());
        bytes.map_or_else(|| Ok(DatabaseRow::default()), whole)
    }

    /// What a role's settings are at first, its own included: later ones win.
    pub fn settings_of(&self, role: &Role) -> Vec<(String, String)> {
        let stored = |of: Oid, here: bool| {
            let found = self.settings.iter().filter(move |entry| entry.role == of && entry.here == here);
            found.flat_map(|entry| entry.values.iter().cloned())
        };
        let all = stored(Oid(0), false).chain(stored(Oid(0), true));
        all.chain(role.settings.iter().cloned()).chain(stored(role.oid, true)).collect()
    }

    /// The grants that hold.
    pub fn grants(&self) -> Vec<AclItem> {
        self.acl.clone().unwrap_or_else(|| first_acl(ObjectClass::Database, self.owner))
    }

    /// What an object of this class has granted when its owner makes it in this schema; `None`: what is granted by default.
    pub fn of_new(&self, class: ObjectClass, owner: Oid, schema: Oid) -> Option<Vec<AclItem>> {
        let of = |schema: Oid| {
            let same =
                |entry: &&DefaultPrivileges| entry.role == owner && entry.class == class && entry.schema == schema;
            self.defaults.iter().find(same).map(|entry| &entry.acl)
        };
        let (everywhere, here) = (of(Oid(0)), of(schema).filter(|_| schema.is_valid()));
        if everywhere.is_none() && here.is_none() {
            return None;
        }
        let default = first_acl(class, owner);
        let mut acl = everywhere.cloned().unwrap_or_else(|| default.clone());
        for item in here.into_iter().flatten() {
            add(&mut acl, *item);
        }
        sort(&mut acl);
        let mut first = default;
        sort(&mut first);
        (acl != first).then_some(acl)
    }
}

/// What a role's new objects of a class have granted, in a schema or anywhere.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct DefaultPrivileges {
    pub oid: Oid,
    pub role: Oid,
    /// 0: in any.
    pub schema: Oid,
    pub class: ObjectClass,
    pub acl: Vec<AclItem>,
}

/// What privileges are granted on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum ObjectClass {
    Relation,
    Sequence,
    Function,
    Type,
    Schema,
    Database,
}

impl ObjectClass {
    pub fn of_relation(kind: RelationKind) -> ObjectClass {
        match kind {
            RelationKind::Sequence => ObjectClass::Sequence,
            _ => ObjectClass::Relation,
        }
    }
    /// `defaclobjtype`
    pub fn letter(self) -> char {
        match self {
            ObjectClass::Relation => 'r',
            ObjectClass::Sequence => 'S',
            ObjectClass::Function => 'f',
            ObjectClass::Type => 'T',
            ObjectClass::Schema => 'n',
            ObjectClass::Database => 'd',
        }
    }
    pub fn word(self) -> &'static str {
        match self {
            ObjectClass::Relation => "relation",
            ObjectClass::Sequence => "sequence",
            ObjectClass::Function => "function",
            ObjectClass::Type => "type",
            ObjectClass::Schema => "schema",
            ObjectClass::Database => "database",
        }
    }
    /// All that there is to grant.
    pub fn privileges(self) -> Privileges {
        match self {
            ObjectClass::Relation => Privileges::of_relation(RelationKind::Table),
            ObjectClass::Sequence => Privileges::of_relation(RelationKind::Sequence),
            ObjectClass::Function => Privileges::EXECUTE,
            ObjectClass::Type => Privileges::USAGE,
            ObjectClass::Schema => Privileges::SCHEMA,
            ObjectClass::Database => Privileges::DATABASE,
        }
    }
}

/// What is granted on an object while nobody has granted or revoked anything.
pub fn first_acl(class: ObjectClass, owner: Oid) -> Vec<AclItem> {
    let everyone = match class {
        ObjectClass::Function => Privileges::EXECUTE,
        ObjectClass::Type => Privileges::USAGE,
        ObjectClass::Database => Privileges::TEMPORARY.with(Privileges::CONNECT),
        _ => Privileges::NONE,
    };
    let mut acl = Vec::new();
    if !everyone.is_empty() {
        acl.push(AclItem {
            grantee: PUBLIC_GRANTEE,
            grantor: owner,
            privileges: everyone,
            grantable: Privileges::NONE,
        });
    }
    acl.extend(default_acl(owner, class.privileges()));
    acl
}

fn add(acl: &mut Vec<AclItem>, item: AclItem) {
    match acl.iter_mut().find(|held| held.grantee == item.grantee && held.grantor == item.grantor) {
        Some(held) => {
            held.privileges = held.privileges.with(item.privileges);
            held.grantable = held.grantable.with(item.grantable);
        }
        None => acl.push(item),
    }
}

fn sort(acl: &mut [AclItem]) {
    acl.sort_by_key(|item| (item.grantee, item.grantor, item.privileges.0));
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::catalog::encode_row;

    #[test]
    fn an_older_row_has_no_settings() {
        let row = encode_row(1, &DatabaseRow::default());
        for missing in 0..=1 {
            let decoded = DatabaseRow::decode(Some(&row[..row.len() - missing])).expect("it is read");
            assert_eq!(decoded, DatabaseRow::default());
        }
    }

    #[test]
    fn the_narrower_setting_wins() {
        let mut role = Role::new(Oid(20_000), "r");
        role.settings = vec![("work_mem".into(), "of the role".into())];
        let of =
            |role, here, value: &str| DatabaseSettings { role, here, values: vec![("work_mem".into(), value.into())] };
        let settings =
            vec![of(role.oid, true, "both"), of(Oid(0), true, "of the database"), of(Oid(0), false, "of all")];
        let row = DatabaseRow { settings, ..DatabaseRow::default() };
        let values: Vec<String> = row.settings_of(&role).into_iter().map(|(_, value)| value).collect();
        assert_eq!(values, ["of all", "of the database", "of the role", "both"]);
    }
}
