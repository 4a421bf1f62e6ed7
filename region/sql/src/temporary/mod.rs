//! Temporary tables: a session's own, in memory, gone with it.
//!
//! ```text
//!   session ── Layered transaction ──┬── main: the region's database, its log, both regions
//!                                    └── own:  a database of one node in memory, without a log that anyone else reads
//! ```
//! What a temporary relation consists of (descriptor, names, rows, index entries, a sequence's state) has keys that say so: OIDs
//! and storage ids of their own ranges. So the catalog, the planner and the executor work on them as on any other, and one
//! transaction holds both: it commits to the region first, and to the session's own database once that is done, which nobody
//! else writes and which therefore cannot refuse.
//!
//! Nothing of it reaches the log: no other session sees it, a restart forgets it, and a statement that only changes temporary
//! tables costs no round trip.
mod layered;

pub use layered::{LayeredDatabase, attach};

use crate::catalog::{AclItem, PUBLIC_GRANTEE, Privileges, Schema};
use crate::layout::{CATALOG_SPACE, INDEX_SPACE, StorageId, TABLE_SPACE};
use trivet_types::Oid;

/// OIDs of temporary relations and their parts, beyond all that are claimed (`types::user`).
const OBJECT: u32 = 1 << 28;
/// OIDs of the schemas that they are in: one a session.
const SCHEMA: u32 = 2 << 28;
const KIND: u32 = 0xf << 28;
/// Storage ids are row ids, whose highest bits are a node's number: no region has one above 31.
const STORAGE: u64 = 1 << 63;
/// What a session's temporary tables may take, old versions included.
pub const BYTES_MAX: usize = 512 << 20;

const PREFIX: &str = "pg_temp_";

/// The name that every session's own schema goes by.
pub const ALIAS: &str = "pg_temp";

/// A temporary relation, a part of one, or the schema of some.
pub fn is_temporary(oid: Oid) -> bool {
    matches!(oid.0 & KIND, OBJECT | SCHEMA)
}

pub fn object_oid(number: u32) -> Oid {
    Oid(OBJECT | number & !KIND)
}

/// The OID that a temporary relation's row type is made of: from the end of those that are claimed, where no region has come to.
pub fn row_claim(number: u32) -> Oid {
    const ROWS: u32 = 1 << 24;
    Oid(trivet_types::user::CLAIMED_OID_END - 1 - number % ROWS)
}

pub fn storage(id: u64) -> StorageId {
    StorageId(id | STORAGE)
}

/// The name of a session's schema, by its number.
pub fn schema_name(number: u32) -> String {
    format!("{PREFIX}{number}")
}

/// The OID of a schema for temporary tables, whoever's it is.
pub fn schema_oid(name: &str) -> Option<Oid> {
    let number: u32 = name.strip_prefix(PREFIX)?.parse().ok()?;
    (number & KIND == 0 && schema_name(number) == name).then_some(Oid(SCHEMA | number))
}

/// As the catalog shows it: everybody may use and fill it.
pub fn schema_row(name: &str) -> Option<Schema> {
    let oid = schema_oid(name)?;
    let all = AclItem {
        grantee: PUBLIC_GRANTEE,
        grantor: crate::catalog::POSTGRES_ROLE,
        privileges: Privileges::SCHEMA,
        grantable: Privileges::NONE,
    };
    let (name, owner) = (name.to_owned(), crate::catalog::POSTGRES_ROLE);
    Some(Schema { oid, name, owner, acl: Some(vec![all]), comment: None })
}

/// What follows the search path's first element, if that is a session's own schema, which nobody wrote there.
pub fn without_own(path: &[String]) -> &[String] {
    match path.first() {
        Some(first) if schema_oid(first).is_some() => &path[1..],
        _ => path,
    }
}

/// Is this key the session's own?
fn is_own(key: &[u8]) -> bool {
    match key {
        [TABLE_SPACE | INDEX_SPACE, first, ..] => first & 0x80 != 0,
        [CATALOG_SPACE, kind, oid, ..] => has_oid(*kind) && matches!(u32::from(*oid) << 24 & KIND, OBJECT | SCHEMA),
        _ => false,
    }
}

/// Kinds of catalog rows whose keys begin with an OID (`catalog::keys`); names of schemas and roles may begin with any byte.
fn has_oid(kind: u8) -> bool {
    matches!(kind, 1 | 2 | 4 | 6 | 7)
}

/// Where a range lies: in main, in own.
fn sides(start: &[u8], end: &[u8]) -> (bool, bool) {
    let own = is_own(start);
    let [CATALOG_SPACE, kind, ..] = start else { return (!own, own) };
    if own || !has_oid(*kind) {
        return (!own, own);
    }
    // Own keys follow all others of their kind.
    let first_own = [CATALOG_SPACE, *kind, (OBJECT >> 24) as u8];
    (true, end.is_empty() || end > &first_own[..])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::catalog::{descriptor_key, descriptor_range, name_key, role_key, schema_key, sequence_state_range};
    use crate::layout::{RowId, after, row_key, table_range};

    #[test]
    fn keys_say_whose_they_are() {
        let own = object_oid(7);
        let schema = schema_oid("pg_temp_3").expect("a schema's name");
        assert!(is_own(&descriptor_key(own)) && is_own(&name_key(schema, "t")));
        assert!(is_own(&row_key(storage(12), RowId(1))));
        assert!(!is_own(&descriptor_key(Oid(16384))) && !is_own(&name_key(Oid(2200), "t")));
        assert!(!is_own(&row_key(StorageId(12), RowId(1))));
        // A name may begin like an OID.
        assert!(!is_own(&schema_key("app")) && !is_own(&role_key("postgres")));
    }

    #[test]
    fn ranges_may_be_of_both() {
        let of = |range: &trivet_storage::KeyRange| sides(&range.start, &range.end);
        assert_eq!(of(&descriptor_range()), (true, true));
        assert_eq!(of(&sequence_state_range()), (true, true));
        let rest = trivet_storage::KeyRange { start: after(&descriptor_key(object_oid(7))), ..descriptor_range() };
        assert_eq!(of(&rest), (false, true));
        assert_eq!(of(&table_range(storage(5))), (false, true));
        assert_eq!(of(&table_range(StorageId(5))), (true, false));
    }

    #[test]
    fn schemas_are_named_by_number() {
        assert_eq!(schema_oid(&schema_name(12)), Some(Oid(SCHEMA | 12)));
        for name in ["pg_temp", "pg_temp_", "pg_temp_01", "pg_temp_x", "pg_temp_4294967295"] {
            assert_eq!(schema_oid(name), None, "{name}");
        }
    }
}
