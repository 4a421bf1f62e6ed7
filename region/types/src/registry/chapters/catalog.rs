//! Rows of `pg_proc`: what pg_dump and psql ask of the catalog beyond the manual's chapter on it.
use super::super::procedures::{STABLE, p};
use crate::functions::system;
use crate::oid;
use crate::registry::{Body, Procedure};
use Body::{Scalar as F, Set as S};

#[rustfmt::skip]
pub static PROCEDURES: &[Procedure] = &[
    p(2289, "pg_options_to_table", &[oid::TEXT_ARRAY], oid::RECORD, STABLE, S(system::no_rows)),
    p(3424, "pg_partition_root", &[oid::REGCLASS], oid::REGCLASS, 0, F(system::always_null)),
    p(3425, "pg_partition_ancestors", &[oid::REGCLASS], oid::REGCLASS, 0, S(system::no_rows)),
    p(3493, "to_regtype", &[oid::TEXT], oid::REGTYPE, STABLE, F(system::to_regtype)),
    p(4086, "to_regnamespace", &[oid::TEXT], oid::REGNAMESPACE, STABLE, F(system::to_regnamespace)),
    p(4093, "to_regrole", &[oid::TEXT], oid::REGROLE, STABLE, F(system::to_regrole)),
    p(3943, "acldefault", &[oid::CHAR, oid::OID], oid::ACLITEM_ARRAY, 0, F(system::default_acl)),
    // Ours: a name's subscript.
    p(9051, "trivet_name_character", &[oid::NAME, oid::INT4], oid::CHAR, 0, F(system::name_character)),
];
