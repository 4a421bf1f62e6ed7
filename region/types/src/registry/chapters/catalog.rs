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
    p(3943, "acldefault", &[oid::CHAR, oid::OID], oid::ACLITEM_ARRAY, 0, F(system::default_acl)),
];
