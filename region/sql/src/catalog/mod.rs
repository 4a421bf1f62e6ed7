//! The catalog: what schemas, tables, columns and indexes there are.
//!
//! A table is one descriptor, a versioned row of the key space; names point at descriptors. Everything is read at a
//! statement's snapshot through the transaction (so DDL is transactional, and a reader at an old snapshot sees the old
//! schema), and what a plan relied on is remembered as (key, stamp) pairs that are checked before the plan runs again.
//! Stamps never repeat, so a rolled back change can not be mistaken for a later one.
//!
//! The built-in database, schemas and role are not stored: an empty store is a working cluster.
mod composite;
mod database;
mod descriptor;
mod domain;
mod keys;
mod privilege;
mod reader;
mod snapshot;
pub mod system;
mod user_type;

pub use composite::{Attribute, StoredComposite};
pub use database::{DatabaseRow, DatabaseSettings, DefaultPrivileges, ObjectClass, first_acl};
pub use descriptor::{
    Check, CheckOption, Column, Comment, Constraint, ConstraintKind, DescriptorError, ForeignKey, Identity, Index,
    IndexExpression, IndexKey, IndexState, OnCommit, ReferentialAction, RelationBody, Schema, Sequence, Table, Trait,
    View, ViewReference, decode_name, decode_row, decode_schema, decode_table, encode_name, encode_row, encode_schema,
    encode_table, stamp_of,
};
pub use domain::StoredDomain;
pub use keys::{
    claim_key, claim_range, composite_key, composite_range, database_key, descriptor_key, descriptor_range, domain_key,
    domain_range, name_key, role_key, role_range, roles_stamp_key, schema_key, schema_range, sequence_epoch_key,
    sequence_state_key, sequence_state_range, type_key, type_range, types_stamp_key,
};
pub use privilege::{AclItem, DATABASE_OWNER_ROLE, Membership, PUBLIC_GRANTEE, Privileges, Role, Roles, default_acl};
pub(crate) use reader::damaged;
pub use reader::{
    Catalog, Dependency, DescriptorCache, Found, MATERIALIZED_QUERY, MATERIALIZED_ROWS, Relied, ResolvedView,
    find_role, load_roles,
};
pub use snapshot::CatalogSnapshot;
pub use user_type::StoredType;

use trivet_types::Oid;

pub const PG_CATALOG: Oid = Oid(11);
pub const PUBLIC: Oid = Oid(2200);
pub const INFORMATION_SCHEMA: Oid = Oid(13207);
/// The one role.
pub const POSTGRES_ROLE: Oid = Oid(10);
/// The one database.
pub const POSTGRES_DATABASE: Oid = Oid(5);
pub const DATABASE_NAME: &str = "postgres";
pub const ROLE_NAME: &str = "postgres";
pub const BTREE: Oid = Oid(403);
pub const HASH: Oid = Oid(405);
pub const HEAP: Oid = Oid(2);

/// Schemas that are there without being stored.
pub fn builtin_schema(name: &str) -> Option<Oid> {
    match name {
        "pg_catalog" => Some(PG_CATALOG),
        "public" => Some(PUBLIC),
        "information_schema" => Some(INFORMATION_SCHEMA),
        _ => crate::temporary::schema_oid(name),
    }
}

/// What kind of thing a relation name stands for.
#[derive(Clone, Copy, PartialEq, Eq, Debug, serde::Serialize, serde::Deserialize)]
pub enum RelationKind {
    Table,
    Index,
    View,
    MaterializedView,
    Sequence,
    /// A name of a type that no relation has.
    Type,
}

impl RelationKind {
    /// As messages call it.
    pub fn word(self) -> &'static str {
        match self {
            RelationKind::Table => "table",
            RelationKind::Index => "index",
            RelationKind::View => "view",
            RelationKind::MaterializedView => "materialized view",
            RelationKind::Sequence => "sequence",
            RelationKind::Type => "type",
        }
    }
}

/// Schemas that are there without being stored, with their owner's grants.
pub fn builtin_schema_row(name: &str) -> Option<Schema> {
    let oid = builtin_schema(name)?;
    if crate::temporary::is_temporary(oid) {
        return crate::temporary::schema_row(name);
    }
    let owner = if oid == PUBLIC { DATABASE_OWNER_ROLE } else { POSTGRES_ROLE };
    let everyone =
        |privileges| AclItem { grantee: PUBLIC_GRANTEE, grantor: owner, privileges, grantable: Privileges::NONE };
    let mut acl = default_acl(owner, Privileges::SCHEMA);
    acl.push(everyone(Privileges::USAGE));
    let comment = match oid {
        PUBLIC => Some("standard public schema"),
        PG_CATALOG => Some("system catalog schema"),
        _ => None,
    };
    Some(Schema { oid, name: name.to_owned(), owner, acl: Some(acl), comment: comment.map(str::to_owned) })
}
