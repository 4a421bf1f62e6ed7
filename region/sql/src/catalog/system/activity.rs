//! `pg_stat_user_tables` and its kin: which tables and indexes there are. Nothing here counts what is done with them.
use super::VirtualTable;
use super::rows::row;
use super::statistics::row_count;
use crate::catalog::CatalogSnapshot;
use trivet_types::Datum;

pub(super) fn rows_of(table: &VirtualTable, catalog: &CatalogSnapshot) -> Option<Vec<Vec<Datum>>> {
    let (of_tables, of_indexes) = match table.name {
        "pg_stat_user_tables" | "pg_stat_all_tables" | "pg_statio_user_tables" | "pg_statio_all_tables" => {
            (true, false)
        }
        "pg_stat_user_indexes" | "pg_stat_all_indexes" | "pg_statio_user_indexes" | "pg_statio_all_indexes" => {
            (false, true)
        }
        _ => return None,
    };
    let mut rows = Vec::new();
    for of in catalog.tables.iter().filter(|of| of.has_rows()) {
        let common = [
            ("relid", of.oid.into()),
            ("schemaname", of.schema_name.as_str().into()),
            ("relname", of.name.as_str().into()),
        ];
        if of_tables {
            let mut values = common.to_vec();
            values.extend(zeros(table, of.indexes.is_empty()));
            if table.columns.iter().any(|column| column.name == "n_live_tup") {
                values.push(("n_live_tup", Datum::Int8(row_count(of, catalog).max(0.0) as i64)));
            }
            rows.push(row(table, &values));
        }
        for index in of.indexes.iter().filter(|_| of_indexes) {
            let mut values = common.to_vec();
            values.push(("indexrelid", index.oid.into()));
            values.push(("indexrelname", index.name.as_str().into()));
            values.extend(zeros(table, false));
            rows.push(row(table, &values));
        }
    }
    Some(rows)
}

/// Counters; those of indexes are NULL where there are none.
fn zeros(table: &VirtualTable, without_indexes: bool) -> Vec<(&'static str, Datum)> {
    let counts = |name: &str| {
        let of_indexes = name.starts_with("idx_") && without_indexes;
        name != "n_live_tup"
            && name.contains('_')
            && !name.starts_with("last_")
            && !name.starts_with("toast_")
            && !name.starts_with("tidx_")
            && !of_indexes
    };
    let counters = table.columns.iter().map(|column| column.name).filter(|name| counts(name));
    counters.map(|name| (name, Datum::Int8(0))).collect()
}
