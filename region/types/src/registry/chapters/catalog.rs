//! Rows of `pg_proc`: what pg_dump and psql ask of the catalog beyond the manual's chapter on it.
use super::super::procedures::{STABLE, VOLATILE, p};
use crate::functions::{datetime, keywords, system};
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
    p(817, "current_query", &[], oid::TEXT, VOLATILE, F(system::current_query)),
    p(1686, "pg_get_keywords", &[], oid::RECORD, STABLE, S(keywords::rows)),
    p(2168, "pg_database_size", &[oid::NAME], oid::INT8, VOLATILE, F(system::relation_size)),
    p(2324, "pg_database_size", &[oid::OID], oid::INT8, VOLATILE, F(system::relation_size)),
    p(2322, "pg_tablespace_size", &[oid::OID], oid::INT8, VOLATILE, F(system::relation_size)),
    p(2323, "pg_tablespace_size", &[oid::NAME], oid::INT8, VOLATILE, F(system::relation_size)),
    p(2999, "pg_relation_filenode", &[oid::REGCLASS], oid::OID, STABLE, F(system::always_null)),
    p(3034, "pg_relation_filepath", &[oid::REGCLASS], oid::TEXT, STABLE, F(system::always_null)),
    p(3078, "pg_sequence_parameters", &[oid::OID], oid::RECORD, STABLE, S(system::sequence_parameters)),
    // What it answers is known when it is analyzed.
    p(3162, "pg_collation_for", &[oid::ANY], oid::TEXT, STABLE, F(system::always_null)),
    p(3163, "pg_trigger_depth", &[], oid::INT4, STABLE, F(system::no_depth)),
    p(3842, "pg_relation_is_updatable", &[oid::REGCLASS, oid::BOOL], oid::INT4, STABLE, F(system::relation_is_updatable)),
    p(3843, "pg_column_is_updatable", &[oid::REGCLASS, oid::INT2, oid::BOOL], oid::BOOL, STABLE, F(system::column_is_updatable)),
    // Ours: what CURRENT_TIMESTAMP and its kin are made of, so that they are shown as they were written.
    p(9062, "trivet_current_timestamp", &[], oid::TIMESTAMPTZ, STABLE, F(datetime::now)),
    // Ours: a name's subscript.
    p(9051, "trivet_name_character", &[oid::NAME, oid::INT4], oid::CHAR, 0, F(system::name_character)),
];
