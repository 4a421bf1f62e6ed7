//! Rows of `pg_proc`: sizes, and what there is little to say about here.
use super::super::procedures::{NULLS, STABLE, VOLATILE, p};
use crate::functions::{acl, calendar, cast, system};
use crate::oid;
use crate::registry::{Body, Procedure};
use Body::{Scalar as F, Set as S};

#[rustfmt::skip]
pub static PROCEDURES: &[Procedure] = &[
    p(1269, "pg_column_size", &[oid::ANY], oid::INT4, STABLE, F(calendar::column_size)),
    p(3334, "pg_size_bytes", &[oid::TEXT], oid::INT8, 0, F(calendar::size_bytes)),
    // Ours: the oid of an integer's bits.
    p(9003, "trivet_oid", &[oid::INT4], oid::OID, 0, F(cast::to_oid)),
    p(2325, "pg_relation_size", &[oid::REGCLASS], oid::INT8, VOLATILE, F(system::relation_size)),
    p(3166, "pg_size_pretty", &[oid::NUMERIC], oid::TEXT, 0, F(system::numeric_size_pretty)),
    p(3494, "to_regproc", &[oid::TEXT], oid::REGPROC, STABLE, F(system::to_regproc)),
    p(3479, "to_regprocedure", &[oid::TEXT], oid::REGPROCEDURE, STABLE, F(system::to_regprocedure)),
    p(3492, "to_regoper", &[oid::TEXT], oid::REGOPER, STABLE, F(system::to_regoper)),
    p(3476, "to_regoperator", &[oid::TEXT], oid::REGOPERATOR, STABLE, F(system::to_regoperator)),
    p(3298, "row_security_active", &[oid::OID], oid::BOOL, STABLE, F(system::always_false)),
    p(3299, "row_security_active", &[oid::TEXT], oid::BOOL, STABLE, F(system::always_false)),
    p(315, "pg_jit_available", &[], oid::BOOL, VOLATILE, F(system::always_false)),
    p(2319, "pg_encoding_max_length", &[oid::INT4], oid::INT4, 0, F(system::encoding_width)),
    p(2561, "pg_blocking_pids", &[oid::INT4], oid::INT4_ARRAY, VOLATILE, F(system::no_processes)),
    p(3376, "pg_safe_snapshot_blocking_pids", &[oid::INT4], oid::INT4_ARRAY, VOLATILE, F(system::no_processes)),
    p(3800, "pg_current_logfile", &[], oid::TEXT, NULLS | VOLATILE, F(system::always_null)),
    p(3801, "pg_current_logfile", &[oid::TEXT], oid::TEXT, NULLS | VOLATILE, F(system::always_null)),
    p(3830, "pg_last_xact_replay_timestamp", &[], oid::TIMESTAMPTZ, VOLATILE, F(system::always_null)),
    p(3035, "pg_listening_channels", &[], oid::TEXT, STABLE, S(system::no_rows)),
    p(1689, "aclexplode", &[oid::ACLITEM_ARRAY], oid::RECORD, STABLE, S(acl::explode)),
    p(1181, "age", &[oid::XID], oid::INT4, STABLE, F(system::transaction_age)),
    p(3939, "mxid_age", &[oid::XID], oid::INT4, STABLE, F(system::transaction_age)),
    p(3348, "txid_current_if_assigned", &[], oid::INT8, STABLE, F(system::transaction_id_if_assigned)),
    p(5060, "pg_current_xact_id_if_assigned", &[], oid::XID8, STABLE, F(system::transaction_id_if_assigned)),
    p(1845, "to_ascii", &[oid::TEXT], oid::TEXT, 0, F(system::to_ascii)),
    p(3415, "pg_get_statisticsobjdef", &[oid::OID], oid::TEXT, STABLE, F(system::always_null)),
    p(6120, "pg_get_replica_identity_index", &[oid::REGCLASS], oid::REGCLASS, STABLE, F(system::always_null)),
    p(3454, "pg_filenode_relation", &[oid::OID, oid::OID], oid::REGCLASS, STABLE, F(system::always_null)),
    p(6197, "pg_get_function_sqlbody", &[oid::OID], oid::TEXT, STABLE, F(system::always_null)),
    p(3808, "pg_get_function_arg_default", &[oid::OID, oid::INT4], oid::TEXT, STABLE, F(system::always_null)),
    p(2121, "pg_column_compression", &[oid::ANY], oid::TEXT, STABLE, F(system::always_null)),
    p(3448, "pg_collation_actual_version", &[oid::OID], oid::TEXT, VOLATILE, F(system::always_null)),
    p(6249, "pg_database_collation_actual_version", &[oid::OID], oid::TEXT, VOLATILE, F(system::always_null)),
];
