//! Views that tools look at and that have little to show here: activity, privileges by role, what views and columns use.
use super::VirtualTable;
use super::tables::c;
use crate::catalog::{INFORMATION_SCHEMA, PG_CATALOG};
use trivet_types::oid::*;

#[rustfmt::skip]
pub static MORE_TABLES: &[VirtualTable] = &[
    VirtualTable { oid: Oid(12183), schema: PG_CATALOG, name: "pg_stat_all_indexes", view: true, columns: &[
        c("relid", OID, false), c("indexrelid", OID, false), c("schemaname", NAME, false), c("relname", NAME, false),
        c("indexrelname", NAME, false), c("idx_scan", INT8, false), c("idx_tup_read", INT8, false),
        c("idx_tup_fetch", INT8, false),
    ] },
    VirtualTable { oid: Oid(12188), schema: PG_CATALOG, name: "pg_stat_sys_indexes", view: true, columns: &[
        c("relid", OID, false), c("indexrelid", OID, false), c("schemaname", NAME, false), c("relname", NAME, false),
        c("indexrelname", NAME, false), c("idx_scan", INT8, false), c("idx_tup_read", INT8, false),
        c("idx_tup_fetch", INT8, false),
    ] },
    VirtualTable { oid: Oid(12192), schema: PG_CATALOG, name: "pg_stat_user_indexes", view: true, columns: &[
        c("relid", OID, false), c("indexrelid", OID, false), c("schemaname", NAME, false), c("relname", NAME, false),
        c("indexrelname", NAME, false), c("idx_scan", INT8, false), c("idx_tup_read", INT8, false),
        c("idx_tup_fetch", INT8, false),
    ] },
    VirtualTable { oid: Oid(12152), schema: PG_CATALOG, name: "pg_stat_sys_tables", view: true, columns: &[
        c("relid", OID, false), c("schemaname", NAME, false), c("relname", NAME, false), c("seq_scan", INT8, false),
        c("seq_tup_read", INT8, false), c("idx_scan", INT8, false), c("idx_tup_fetch", INT8, false),
        c("n_tup_ins", INT8, false), c("n_tup_upd", INT8, false), c("n_tup_del", INT8, false),
        c("n_tup_hot_upd", INT8, false), c("n_live_tup", INT8, false), c("n_dead_tup", INT8, false),
        c("n_mod_since_analyze", INT8, false), c("n_ins_since_vacuum", INT8, false),
        c("last_vacuum", TIMESTAMPTZ, false), c("last_autovacuum", TIMESTAMPTZ, false),
        c("last_analyze", TIMESTAMPTZ, false), c("last_autoanalyze", TIMESTAMPTZ, false),
        c("vacuum_count", INT8, false), c("autovacuum_count", INT8, false), c("analyze_count", INT8, false),
        c("autoanalyze_count", INT8, false),
    ] },
    VirtualTable { oid: Oid(12170), schema: PG_CATALOG, name: "pg_statio_all_tables", view: true, columns: &[
        c("relid", OID, false), c("schemaname", NAME, false), c("relname", NAME, false),
        c("heap_blks_read", INT8, false), c("heap_blks_hit", INT8, false), c("idx_blks_read", INT8, false),
        c("idx_blks_hit", INT8, false), c("toast_blks_read", INT8, false), c("toast_blks_hit", INT8, false),
        c("tidx_blks_read", INT8, false), c("tidx_blks_hit", INT8, false),
    ] },
    VirtualTable { oid: Oid(12175), schema: PG_CATALOG, name: "pg_statio_sys_tables", view: true, columns: &[
        c("relid", OID, false), c("schemaname", NAME, false), c("relname", NAME, false),
        c("heap_blks_read", INT8, false), c("heap_blks_hit", INT8, false), c("idx_blks_read", INT8, false),
        c("idx_blks_hit", INT8, false), c("toast_blks_read", INT8, false), c("toast_blks_hit", INT8, false),
        c("tidx_blks_read", INT8, false), c("tidx_blks_hit", INT8, false),
    ] },
    VirtualTable { oid: Oid(12179), schema: PG_CATALOG, name: "pg_statio_user_tables", view: true, columns: &[
        c("relid", OID, false), c("schemaname", NAME, false), c("relname", NAME, false),
        c("heap_blks_read", INT8, false), c("heap_blks_hit", INT8, false), c("idx_blks_read", INT8, false),
        c("idx_blks_hit", INT8, false), c("toast_blks_read", INT8, false), c("toast_blks_hit", INT8, false),
        c("tidx_blks_read", INT8, false), c("tidx_blks_hit", INT8, false),
    ] },
    VirtualTable { oid: Oid(12196), schema: PG_CATALOG, name: "pg_statio_all_indexes", view: true, columns: &[
        c("relid", OID, false), c("indexrelid", OID, false), c("schemaname", NAME, false), c("relname", NAME, false),
        c("indexrelname", NAME, false), c("idx_blks_read", INT8, false), c("idx_blks_hit", INT8, false),
    ] },
    VirtualTable { oid: Oid(12201), schema: PG_CATALOG, name: "pg_statio_sys_indexes", view: true, columns: &[
        c("relid", OID, false), c("indexrelid", OID, false), c("schemaname", NAME, false), c("relname", NAME, false),
        c("indexrelname", NAME, false), c("idx_blks_read", INT8, false), c("idx_blks_hit", INT8, false),
    ] },
    VirtualTable { oid: Oid(12205), schema: PG_CATALOG, name: "pg_statio_user_indexes", view: true, columns: &[
        c("relid", OID, false), c("indexrelid", OID, false), c("schemaname", NAME, false), c("relname", NAME, false),
        c("indexrelname", NAME, false), c("idx_blks_read", INT8, false), c("idx_blks_hit", INT8, false),
    ] },
    VirtualTable { oid: Oid(12209), schema: PG_CATALOG, name: "pg_statio_all_sequences", view: true, columns: &[
        c("relid", OID, false), c("schemaname", NAME, false), c("relname", NAME, false), c("blks_read", INT8, false),
        c("blks_hit", INT8, false),
    ] },
    VirtualTable { oid: Oid(12218), schema: PG_CATALOG, name: "pg_statio_user_sequences", view: true, columns: &[
        c("relid", OID, false), c("schemaname", NAME, false), c("relname", NAME, false), c("blks_read", INT8, false),
        c("blks_hit", INT8, false),
    ] },
    VirtualTable { oid: Oid(12275), schema: PG_CATALOG, name: "pg_stat_user_functions", view: true, columns: &[
        c("funcid", OID, false), c("schemaname", NAME, false), c("funcname", NAME, false), c("calls", INT8, false),
        c("total_time", FLOAT8, false), c("self_time", FLOAT8, false),
    ] },
    VirtualTable { oid: Oid(12147), schema: PG_CATALOG, name: "pg_stat_xact_all_tables", view: true, columns: &[
        c("relid", OID, false), c("schemaname", NAME, false), c("relname", NAME, false), c("seq_scan", INT8, false),
        c("seq_tup_read", INT8, false), c("idx_scan", INT8, false), c("idx_tup_fetch", INT8, false),
        c("n_tup_ins", INT8, false), c("n_tup_upd", INT8, false), c("n_tup_del", INT8, false),
        c("n_tup_hot_upd", INT8, false),
    ] },
    VirtualTable { oid: Oid(12166), schema: PG_CATALOG, name: "pg_stat_xact_user_tables", view: true, columns: &[
        c("relid", OID, false), c("schemaname", NAME, false), c("relname", NAME, false), c("seq_scan", INT8, false),
        c("seq_tup_read", INT8, false), c("idx_scan", INT8, false), c("idx_tup_fetch", INT8, false),
        c("n_tup_ins", INT8, false), c("n_tup_upd", INT8, false), c("n_tup_del", INT8, false),
        c("n_tup_hot_upd", INT8, false),
    ] },
    VirtualTable { oid: Oid(12289), schema: PG_CATALOG, name: "pg_stat_bgwriter", view: true, columns: &[
        c("checkpoints_timed", INT8, false), c("checkpoints_req", INT8, false),
        c("checkpoint_write_time", FLOAT8, false), c("checkpoint_sync_time", FLOAT8, false),
        c("buffers_checkpoint", INT8, false), c("buffers_clean", INT8, false), c("maxwritten_clean", INT8, false),
        c("buffers_backend", INT8, false), c("buffers_backend_fsync", INT8, false), c("buffers_alloc", INT8, false),
        c("stats_reset", TIMESTAMPTZ, false),
    ] },
    VirtualTable { oid: Oid(12249), schema: PG_CATALOG, name: "pg_stat_ssl", view: true, columns: &[
        c("pid", INT4, false), c("ssl", BOOL, false), c("version", TEXT, false), c("cipher", TEXT, false),
        c("bits", INT4, false), c("client_dn", TEXT, false), c("client_serial", NUMERIC, false),
        c("issuer_dn", TEXT, false),
    ] },
    VirtualTable { oid: Oid(12090), schema: PG_CATALOG, name: "pg_prepared_xacts", view: true, columns: &[
        c("transaction", XID, false), c("gid", TEXT, false), c("prepared", TIMESTAMPTZ, false), c("owner", NAME, false),
        c("database", NAME, false),
    ] },
    VirtualTable { oid: Oid(12122), schema: PG_CATALOG, name: "pg_timezone_abbrevs", view: true, columns: &[
        c("abbrev", TEXT, false), c("utc_offset", INTERVAL, false), c("is_dst", BOOL, false),
    ] },
    VirtualTable { oid: Oid(12130), schema: PG_CATALOG, name: "pg_config", view: true, columns: &[
        c("name", TEXT, false), c("setting", TEXT, false),
    ] },
    VirtualTable { oid: Oid(12110), schema: PG_CATALOG, name: "pg_file_settings", view: true, columns: &[
        c("sourcefile", TEXT, false), c("sourceline", INT4, false), c("seqno", INT4, false), c("name", TEXT, false),
        c("setting", TEXT, false), c("applied", BOOL, false), c("error", TEXT, false),
    ] },
    VirtualTable { oid: Oid(12114), schema: PG_CATALOG, name: "pg_hba_file_rules", view: true, columns: &[
        c("line_number", INT4, false), c("type", TEXT, false), c("database", TEXT_ARRAY, false),
        c("user_name", TEXT_ARRAY, false), c("address", TEXT, false), c("netmask", TEXT, false),
        c("auth_method", TEXT, false), c("options", TEXT_ARRAY, false), c("error", TEXT, false),
    ] },
    VirtualTable { oid: Oid(3592), schema: PG_CATALOG, name: "pg_shseclabel", view: false, columns: &[
        c("objoid", OID, true), c("classoid", OID, true), c("provider", TEXT, true), c("label", TEXT, true),
    ] },
    VirtualTable { oid: Oid(1418), schema: PG_CATALOG, name: "pg_user_mapping", view: false, columns: &[
        c("oid", OID, true), c("umuser", OID, true), c("umserver", OID, true), c("umoptions", TEXT_ARRAY, false),
    ] },
    VirtualTable { oid: Oid(6243), schema: PG_CATALOG, name: "pg_parameter_acl", view: false, columns: &[
        c("oid", OID, true), c("parname", TEXT, true), c("paracl", ACLITEM_ARRAY, false),
    ] },
    VirtualTable { oid: Oid(3603), schema: PG_CATALOG, name: "pg_ts_config_map", view: false, columns: &[
        c("mapcfg", OID, true), c("maptokentype", INT4, true), c("mapseqno", INT4, true), c("mapdict", OID, true),
    ] },
    VirtualTable { oid: Oid(2613), schema: PG_CATALOG, name: "pg_largeobject", view: false, columns: &[
        c("loid", OID, true), c("pageno", INT4, true), c("data", BYTEA, true),
    ] },
    VirtualTable { oid: Oid(6000), schema: PG_CATALOG, name: "pg_replication_origin", view: false, columns: &[
        c("roident", OID, true), c("roname", TEXT, true),
    ] },
    VirtualTable { oid: Oid(12085), schema: PG_CATALOG, name: "pg_available_extension_versions", view: true, columns: &[
        c("name", NAME, false), c("version", TEXT, false), c("installed", BOOL, false), c("superuser", BOOL, false),
        c("trusted", BOOL, false), c("relocatable", BOOL, false), c("schema", NAME, false),
        c("requires", NAME_ARRAY, false), c("comment", TEXT, false),
    ] },
    VirtualTable { oid: Oid(12302), schema: PG_CATALOG, name: "pg_stat_progress_vacuum", view: true, columns: &[
        c("pid", INT4, false), c("datid", OID, false), c("datname", NAME, false), c("relid", OID, false),
        c("phase", TEXT, false), c("heap_blks_total", INT8, false), c("heap_blks_scanned", INT8, false),
        c("heap_blks_vacuumed", INT8, false), c("index_vacuum_count", INT8, false), c("max_dead_tuples", INT8, false),
        c("num_dead_tuples", INT8, false),
    ] },
    VirtualTable { oid: Oid(12312), schema: PG_CATALOG, name: "pg_stat_progress_create_index", view: true, columns: &[
        c("pid", INT4, false), c("datid", OID, false), c("datname", NAME, false), c("relid", OID, false),
        c("index_relid", OID, false), c("command", TEXT, false), c("phase", TEXT, false),
        c("lockers_total", INT8, false), c("lockers_done", INT8, false), c("current_locker_pid", INT8, false),
        c("blocks_total", INT8, false), c("blocks_done", INT8, false), c("tuples_total", INT8, false),
        c("tuples_done", INT8, false), c("partitions_total", INT8, false), c("partitions_done", INT8, false),
    ] },
    VirtualTable { oid: Oid(12297), schema: PG_CATALOG, name: "pg_stat_progress_analyze", view: true, columns: &[
        c("pid", INT4, false), c("datid", OID, false), c("datname", NAME, false), c("relid", OID, false),
        c("phase", TEXT, false), c("sample_blks_total", INT8, false), c("sample_blks_scanned", INT8, false),
        c("ext_stats_total", INT8, false), c("ext_stats_computed", INT8, false), c("child_tables_total", INT8, false),
        c("child_tables_done", INT8, false), c("current_child_table_relid", OID, false),
    ] },
    VirtualTable { oid: Oid(13236), schema: INFORMATION_SCHEMA, name: "applicable_roles", view: true, columns: &[
        c("grantee", NAME, false), c("role_name", NAME, false), c("is_grantable", VARCHAR, false),
    ] },
    VirtualTable { oid: Oid(13241), schema: INFORMATION_SCHEMA, name: "administrable_role_authorizations", view: true, columns: &[
        c("grantee", NAME, false), c("role_name", NAME, false), c("is_grantable", VARCHAR, false),
    ] },
    VirtualTable { oid: Oid(13245), schema: INFORMATION_SCHEMA, name: "attributes", view: true, columns: &[
        c("udt_catalog", NAME, false), c("udt_schema", NAME, false), c("udt_name", NAME, false),
        c("attribute_name", NAME, false), c("ordinal_position", INT4, false), c("attribute_default", VARCHAR, false),
        c("is_nullable", VARCHAR, false), c("data_type", VARCHAR, false), c("character_maximum_length", INT4, false),
        c("character_octet_length", INT4, false), c("character_set_catalog", NAME, false),
        c("character_set_schema", NAME, false), c("character_set_name", NAME, false),
        c("collation_catalog", NAME, false), c("collation_schema", NAME, false), c("collation_name", NAME, false),
        c("numeric_precision", INT4, false), c("numeric_precision_radix", INT4, false), c("numeric_scale", INT4, false),
        c("datetime_precision", INT4, false), c("interval_type", VARCHAR, false), c("interval_precision", INT4, false),
        c("attribute_udt_catalog", NAME, false), c("attribute_udt_schema", NAME, false),
        c("attribute_udt_name", NAME, false), c("scope_catalog", NAME, false), c("scope_schema", NAME, false),
        c("scope_name", NAME, false), c("maximum_cardinality", INT4, false), c("dtd_identifier", NAME, false),
        c("is_derived_reference_attribute", VARCHAR, false),
    ] },
    VirtualTable { oid: Oid(13265), schema: INFORMATION_SCHEMA, name: "collations", view: true, columns: &[
        c("collation_catalog", NAME, false), c("collation_schema", NAME, false), c("collation_name", NAME, false),
        c("pad_attribute", VARCHAR, false),
    ] },
    VirtualTable { oid: Oid(13270), schema: INFORMATION_SCHEMA, name: "collation_character_set_applicability", view: true, columns: &[
        c("collation_catalog", NAME, false), c("collation_schema", NAME, false), c("collation_name", NAME, false),
        c("character_set_catalog", NAME, false), c("character_set_schema", NAME, false),
        c("character_set_name", NAME, false),
    ] },
    VirtualTable { oid: Oid(13280), schema: INFORMATION_SCHEMA, name: "column_domain_usage", view: true, columns: &[
        c("domain_catalog", NAME, false), c("domain_schema", NAME, false), c("domain_name", NAME, false),
        c("table_catalog", NAME, false), c("table_schema", NAME, false), c("table_name", NAME, false),
        c("column_name", NAME, false),
    ] },
    VirtualTable { oid: Oid(13290), schema: INFORMATION_SCHEMA, name: "column_udt_usage", view: true, columns: &[
        c("udt_catalog", NAME, false), c("udt_schema", NAME, false), c("udt_name", NAME, false),
        c("table_catalog", NAME, false), c("table_schema", NAME, false), c("table_name", NAME, false),
        c("column_name", NAME, false),
    ] },
    VirtualTable { oid: Oid(13305), schema: INFORMATION_SCHEMA, name: "constraint_table_usage", view: true, columns: &[
        c("table_catalog", NAME, false), c("table_schema", NAME, false), c("table_name", NAME, false),
        c("constraint_catalog", NAME, false), c("constraint_schema", NAME, false), c("constraint_name", NAME, false),
    ] },
    VirtualTable { oid: Oid(13310), schema: INFORMATION_SCHEMA, name: "domain_constraints", view: true, columns: &[
        c("constraint_catalog", NAME, false), c("constraint_schema", NAME, false), c("constraint_name", NAME, false),
        c("domain_catalog", NAME, false), c("domain_schema", NAME, false), c("domain_name", NAME, false),
        c("is_deferrable", VARCHAR, false), c("initially_deferred", VARCHAR, false),
    ] },
    VirtualTable { oid: Oid(13315), schema: INFORMATION_SCHEMA, name: "domain_udt_usage", view: true, columns: &[
        c("udt_catalog", NAME, false), c("udt_schema", NAME, false), c("udt_name", NAME, false),
        c("domain_catalog", NAME, false), c("domain_schema", NAME, false), c("domain_name", NAME, false),
    ] },
    VirtualTable { oid: Oid(13541), schema: INFORMATION_SCHEMA, name: "foreign_tables", view: true, columns: &[
        c("foreign_table_catalog", NAME, false), c("foreign_table_schema", NAME, false),
        c("foreign_table_name", NAME, false), c("foreign_server_catalog", NAME, false),
        c("foreign_server_name", NAME, false),
    ] },
    VirtualTable { oid: Oid(13528), schema: INFORMATION_SCHEMA, name: "foreign_servers", view: true, columns: &[
        c("foreign_server_catalog", NAME, false), c("foreign_server_name", NAME, false),
        c("foreign_data_wrapper_catalog", NAME, false), c("foreign_data_wrapper_name", NAME, false),
        c("foreign_server_type", VARCHAR, false), c("foreign_server_version", VARCHAR, false),
        c("authorization_identifier", NAME, false),
    ] },
    VirtualTable { oid: Oid(13421), schema: INFORMATION_SCHEMA, name: "role_table_grants", view: true, columns: &[
        c("grantor", NAME, false), c("grantee", NAME, false), c("table_catalog", NAME, false),
        c("table_schema", NAME, false), c("table_name", NAME, false), c("privilege_type", VARCHAR, false),
        c("is_grantable", VARCHAR, false), c("with_hierarchy", VARCHAR, false),
    ] },
    VirtualTable { oid: Oid(13344), schema: INFORMATION_SCHEMA, name: "role_column_grants", view: true, columns: &[
        c("grantor", NAME, false), c("grantee", NAME, false), c("table_catalog", NAME, false),
        c("table_schema", NAME, false), c("table_name", NAME, false), c("column_name", NAME, false),
        c("privilege_type", VARCHAR, false), c("is_grantable", VARCHAR, false),
    ] },
    VirtualTable { oid: Oid(13459), schema: INFORMATION_SCHEMA, name: "role_usage_grants", view: true, columns: &[
        c("grantor", NAME, false), c("grantee", NAME, false), c("object_catalog", NAME, false),
        c("object_schema", NAME, false), c("object_name", NAME, false), c("object_type", VARCHAR, false),
        c("privilege_type", VARCHAR, false), c("is_grantable", VARCHAR, false),
    ] },
    VirtualTable { oid: Oid(13454), schema: INFORMATION_SCHEMA, name: "usage_privileges", view: true, columns: &[
        c("grantor", NAME, false), c("grantee", NAME, false), c("object_catalog", NAME, false),
        c("object_schema", NAME, false), c("object_name", NAME, false), c("object_type", VARCHAR, false),
        c("privilege_type", VARCHAR, false), c("is_grantable", VARCHAR, false),
    ] },
    VirtualTable { oid: Oid(13353), schema: INFORMATION_SCHEMA, name: "routine_privileges", view: true, columns: &[
        c("grantor", NAME, false), c("grantee", NAME, false), c("specific_catalog", NAME, false),
        c("specific_schema", NAME, false), c("specific_name", NAME, false), c("routine_catalog", NAME, false),
        c("routine_schema", NAME, false), c("routine_name", NAME, false), c("privilege_type", VARCHAR, false),
        c("is_grantable", VARCHAR, false),
    ] },
    VirtualTable { oid: Oid(13445), schema: INFORMATION_SCHEMA, name: "udt_privileges", view: true, columns: &[
        c("grantor", NAME, false), c("grantee", NAME, false), c("udt_catalog", NAME, false),
        c("udt_schema", NAME, false), c("udt_name", NAME, false), c("privilege_type", VARCHAR, false),
        c("is_grantable", VARCHAR, false),
    ] },
    VirtualTable { oid: Oid(13463), schema: INFORMATION_SCHEMA, name: "user_defined_types", view: true, columns: &[
        c("user_defined_type_catalog", NAME, false), c("user_defined_type_schema", NAME, false),
        c("user_defined_type_name", NAME, false), c("user_defined_type_category", VARCHAR, false),
        c("is_instantiable", VARCHAR, false), c("is_final", VARCHAR, false), c("ordering_form", VARCHAR, false),
        c("ordering_category", VARCHAR, false), c("ordering_routine_catalog", NAME, false),
        c("ordering_routine_schema", NAME, false), c("ordering_routine_name", NAME, false),
        c("reference_type", VARCHAR, false), c("data_type", VARCHAR, false), c("character_maximum_length", INT4, false),
        c("character_octet_length", INT4, false), c("character_set_catalog", NAME, false),
        c("character_set_schema", NAME, false), c("character_set_name", NAME, false),
        c("collation_catalog", NAME, false), c("collation_schema", NAME, false), c("collation_name", NAME, false),
        c("numeric_precision", INT4, false), c("numeric_precision_radix", INT4, false), c("numeric_scale", INT4, false),
        c("datetime_precision", INT4, false), c("interval_type", VARCHAR, false), c("interval_precision", INT4, false),
        c("source_dtd_identifier", NAME, false), c("ref_dtd_identifier", NAME, false),
    ] },
    VirtualTable { oid: Oid(13478), schema: INFORMATION_SCHEMA, name: "view_table_usage", view: true, columns: &[
        c("view_catalog", NAME, false), c("view_schema", NAME, false), c("view_name", NAME, false),
        c("table_catalog", NAME, false), c("table_schema", NAME, false), c("table_name", NAME, false),
    ] },
    VirtualTable { oid: Oid(13468), schema: INFORMATION_SCHEMA, name: "view_column_usage", view: true, columns: &[
        c("view_catalog", NAME, false), c("view_schema", NAME, false), c("view_name", NAME, false),
        c("table_catalog", NAME, false), c("table_schema", NAME, false), c("table_name", NAME, false),
        c("column_name", NAME, false),
    ] },
    VirtualTable { oid: Oid(13473), schema: INFORMATION_SCHEMA, name: "view_routine_usage", view: true, columns: &[
        c("table_catalog", NAME, false), c("table_schema", NAME, false), c("table_name", NAME, false),
        c("specific_catalog", NAME, false), c("specific_schema", NAME, false), c("specific_name", NAME, false),
    ] },
    VirtualTable { oid: Oid(13488), schema: INFORMATION_SCHEMA, name: "data_type_privileges", view: true, columns: &[
        c("object_catalog", NAME, false), c("object_schema", NAME, false), c("object_name", NAME, false),
        c("object_type", VARCHAR, false), c("dtd_identifier", NAME, false),
    ] },
    VirtualTable { oid: Oid(13435), schema: INFORMATION_SCHEMA, name: "triggered_update_columns", view: true, columns: &[
        c("trigger_catalog", NAME, false), c("trigger_schema", NAME, false), c("trigger_name", NAME, false),
        c("event_object_catalog", NAME, false), c("event_object_schema", NAME, false),
        c("event_object_table", NAME, false), c("event_object_column", NAME, false),
    ] },
];
