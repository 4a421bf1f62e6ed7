//! `pg_stats`: what this region believes of its tables' columns.
use super::VirtualTable;
use super::rows::row;
use crate::catalog::{CatalogSnapshot, Table};
use crate::statistics::{ColumnStatistics, TableStatistics};
use std::sync::Arc;
use trivet_types::{Array, Datum, NoEnvironment, Oid, oid, text};

pub(super) fn rows_of(table: &VirtualTable, catalog: &CatalogSnapshot) -> Option<Vec<Vec<Datum>>> {
    if table.name != "pg_stats" {
        return None;
    }
    let mut rows = Vec::new();
    for of in &catalog.tables {
        let Some(known) = known_of(of, catalog) else { continue };
        for (at, column) in of.live_columns() {
            if let Some(Some(statistics)) = known.columns.get(at) {
                rows.push(column_row(table, of, &column.name, column.type_oid, statistics));
            }
        }
    }
    Some(rows)
}

/// Of the table as it is stored now.
fn known_of<'c>(table: &Table, catalog: &'c CatalogSnapshot) -> Option<&'c Arc<TableStatistics>> {
    catalog.statistics.get(&table.oid).filter(|known| known.storage == table.storage)
}

/// `pg_class.reltuples`; -1: nobody has looked.
pub(super) fn row_count(table: &Table, catalog: &CatalogSnapshot) -> f32 {
    known_of(table, catalog).map_or(-1.0, |known| known.rows as f32)
}

fn shown(type_oid: Oid, values: impl Iterator<Item = Datum>) -> Datum {
    let environment = NoEnvironment::default();
    let shown: Vec<Datum> =
        values.map(|value| text::output(type_oid, &value, &environment).map_or(Datum::Null, Datum::Text)).collect();
    if shown.is_empty() { Datum::Null } else { Datum::array(Array::from_values(oid::TEXT, shown)) }
}

fn column_row(
    table: &VirtualTable,
    of: &Table,
    column: &str,
    type_oid: Oid,
    statistics: &ColumnStatistics,
) -> Vec<Datum> {
    let float = |value: f64| Datum::Float4(value as f32);
    let frequencies: Vec<Datum> = statistics.common.iter().map(|(_, fraction)| float(*fraction)).collect();
    let frequencies =
        if frequencies.is_empty() { Datum::Null } else { Datum::array(Array::from_values(oid::FLOAT4, frequencies)) };
    row(
        table,
        &[
            ("schemaname", of.schema_name.as_str().into()),
            ("tablename", of.name.as_str().into()),
            ("attname", column.into()),
            ("inherited", Datum::Bool(false)),
            ("null_frac", float(statistics.null_fraction)),
            ("avg_width", Datum::Int4(statistics.width.round() as i32)),
            ("n_distinct", float(statistics.distinct)),
            ("most_common_vals", shown(type_oid, statistics.common.iter().map(|(value, _)| value.clone()))),
            ("most_common_freqs", frequencies),
            ("histogram_bounds", shown(type_oid, statistics.histogram.iter().cloned())),
        ],
    )
}
