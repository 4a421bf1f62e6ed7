//! SQL text of catalog objects, as `pg_get_indexdef` and its like give it.
use crate::catalog::{CatalogSnapshot, ConstraintKind, Index, Table};
use trivet_types::Oid;
use trivet_types::functions::string::quote_identifier;

fn key_columns(table: &Table, index: &Index, with_order: bool) -> String {
    let shown = index.keys.iter().map(|key| {
        let mut text = quote_identifier(&table.columns[key.column].name);
        if with_order && key.descending {
            text.push_str(" DESC");
        }
        if with_order && key.nulls_first != key.descending {
            text.push_str(if key.nulls_first { " NULLS FIRST" } else { " NULLS LAST" });
        }
        text
    });
    shown.collect::<Vec<_>>().join(", ")
}

/// `CREATE UNIQUE INDEX ...`; with a column number, only that key.
pub fn index_definition(catalog: &CatalogSnapshot, oid: Oid, column: i64) -> Option<String> {
    let table = catalog.table_of_index(oid)?;
    let index = table.index(oid)?;
    if column > 0 {
        let key = index.keys.get(column as usize - 1)?;
        return Some(quote_identifier(&table.columns[key.column].name));
    }
    let unique = if index.unique { "UNIQUE " } else { "" };
    Some(format!(
        "CREATE {unique}INDEX {} ON {}.{} USING btree ({})",
        quote_identifier(&index.name),
        quote_identifier(&table.schema_name),
        quote_identifier(&table.name),
        key_columns(table, index, true)
    ))
}

/// `PRIMARY KEY (a, b)`
pub fn constraint_definition(catalog: &CatalogSnapshot, oid: Oid) -> Option<String> {
    for table in &catalog.tables {
        if let Some(constraint) = table.constraints.iter().find(|constraint| constraint.oid == oid) {
            let index = table.index(constraint.index)?;
            let word = match constraint.kind {
                ConstraintKind::PrimaryKey => "PRIMARY KEY",
                ConstraintKind::Unique => "UNIQUE",
            };
            return Some(format!("{word} ({})", key_columns(table, index, false)));
        }
        if let Some(check) = table.checks.iter().find(|check| check.oid == oid) {
            return Some(format!("CHECK ({})", check.expression));
        }
    }
    None
}
