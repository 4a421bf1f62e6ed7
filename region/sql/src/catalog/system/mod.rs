//! `pg_catalog` and `information_schema`: virtual tables, computed from the registry and the catalog when they are read.
mod activity;
mod definition;
mod domains;
mod information;
mod more_tables;
mod operator_class;
mod reader;
mod relations;
mod roles;
mod rows;
mod statistics;
mod tables;
mod type_rows;
mod usage;

pub use definition::{constraint_definition, index_definition};
pub use operator_class::pattern_class;
pub use reader::Reader;
pub use rows::{SessionFacts, rows_of};

use std::collections::HashMap;
use std::sync::LazyLock;
use trivet_types::Oid;

#[derive(Debug)]
pub struct VirtualColumn {
    pub name: &'static str,
    pub type_oid: Oid,
    pub not_null: bool,
}

impl VirtualColumn {
    /// `information_schema.yes_or_no` is a varchar(3).
    pub fn modifier(&self) -> i32 {
        const YES_OR_NO: &[&str] =
            &["cycle_option", "enforced", "identity_cycle", "initially_deferred", "nulls_distinct", "with_hierarchy"];
        let named = self.name.starts_with("is_") && self.name != "is_generated";
        let is_flag = self.type_oid == trivet_types::oid::VARCHAR && (named || YES_OR_NO.contains(&self.name));
        if is_flag { 3 + 4 } else { -1 }
    }
}

#[derive(Debug)]
pub struct VirtualTable {
    pub oid: Oid,
    pub schema: Oid,
    pub name: &'static str,
    pub view: bool,
    pub columns: &'static [VirtualColumn],
}

/// All that there are.
pub fn all() -> impl Iterator<Item = &'static VirtualTable> {
    tables::TABLES.iter().chain(more_tables::MORE_TABLES)
}

static BY_NAME: LazyLock<HashMap<(Oid, &'static str), &'static VirtualTable>> =
    LazyLock::new(|| all().map(|table| ((table.schema, table.name), table)).collect());
static BY_OID: LazyLock<HashMap<Oid, &'static VirtualTable>> =
    LazyLock::new(|| all().map(|table| (table.oid, table)).collect());

pub fn virtual_table(schema: Oid, name: &str) -> Option<&'static VirtualTable> {
    BY_NAME.get(&(schema, name)).copied()
}
pub fn virtual_table_by_oid(oid: Oid) -> Option<&'static VirtualTable> {
    BY_OID.get(&oid).copied()
}
