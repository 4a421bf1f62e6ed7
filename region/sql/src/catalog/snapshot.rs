//! The whole catalog at one snapshot, in memory: for `pg_catalog`'s tables and functions.
use super::{
    DatabaseRow, DescriptorCache, Found, PG_CATALOG, RelationKind, ResolvedView, Roles, Schema, StoredComposite,
    StoredDomain, StoredType, Table, builtin_schema_row, composite_range, database_key, decode_row, decode_schema,
    descriptor_range, domain_range, reader, schema_range, sequence_state_range, system, type_range,
};
use crate::layout::after;
use crate::sequence::SequenceState;
use crate::statistics::TableStatistics;
use std::collections::HashMap;
use std::sync::Arc;
use trivet_storage::{KeyRange, Row};
use trivet_txn::Transaction;
use trivet_types::{Oid, PgResult, UserTypes};

const ROWS_A_SCAN: usize = 512;

#[derive(Debug, Default)]
pub struct CatalogSnapshot {
    pub schemas: Vec<Schema>,
    /// Tables, views and sequences.
    pub tables: Vec<Arc<Table>>,
    pub roles: Roles,
    pub database: DatabaseRow,
    /// Types that users made, also as statements see them.
    pub types: Vec<StoredType>,
    pub domains: Vec<StoredDomain>,
    pub composites: Vec<StoredComposite>,
    pub user_types: Arc<UserTypes>,
    /// Where sequences stand.
    pub sequences: HashMap<Oid, SequenceState>,
    /// What this region believes of tables' contents.
    pub statistics: HashMap<Oid, Arc<TableStatistics>>,
    by_oid: HashMap<Oid, usize>,
    /// Index OID to its table's position.
    indexes: HashMap<Oid, usize>,
}

impl CatalogSnapshot {
    pub async fn load(transaction: &mut dyn Transaction, cache: &DescriptorCache) -> PgResult<CatalogSnapshot> {
        let mut snapshot = CatalogSnapshot { roles: reader::load_roles(transaction).await?, ..Default::default() };
        let database = transaction.get(&database_key()).await?;
        snapshot.database = DatabaseRow::decode(database.as_deref()).map_err(|error| reader::damaged(&error))?;
        let builtin = ["pg_catalog", "public", "information_schema"];
        snapshot.schemas = builtin.iter().filter_map(|name| builtin_schema_row(name)).collect();
        for bytes in scan_all(transaction, schema_range()).await? {
            let schema = decode_schema(&bytes).map_err(|error| reader::damaged(&error))?;
            snapshot.schemas.retain(|builtin| builtin.oid != schema.oid);
            snapshot.schemas.push(schema);
        }
        let mut states = sequence_state_range();
        for row in scan_rows(transaction, &mut states).await? {
            let oid = row.key.get(2..6).and_then(|oid| oid.try_into().ok()).map(u32::from_be_bytes);
            let mut state = decode_row(&row.value).map_err(|error| reader::damaged(&error))?;
            let oid = Oid(oid.unwrap_or(0));
            cache.sequences.shown(oid, &mut state);
            snapshot.sequences.insert(oid, state);
        }
        for bytes in scan_all(transaction, type_range()).await? {
            snapshot.types.push(StoredType::decode(&bytes)?);
        }
        let enums = snapshot.types.iter().map(|found| Arc::new(found.definition.clone())).collect();
        for bytes in scan_all(transaction, domain_range()).await? {
            snapshot.domains.push(StoredDomain::decode(&bytes)?);
        }
        let domains = snapshot.domains.iter().map(|found| Arc::new(found.definition.clone())).collect();
        for bytes in scan_all(transaction, composite_range()).await? {
            snapshot.composites.push(StoredComposite::decode(&bytes)?);
        }
        let composites = snapshot.composites.iter().map(StoredComposite::seen).collect();
        snapshot.user_types = Arc::new(UserTypes { enums, domains, composites });
        for bytes in scan_all(transaction, descriptor_range()).await? {
            let table = cache.table(&bytes)?;
            if table.is_temporary() && snapshot.schema_name(table.schema).is_none() {
                snapshot.schemas.extend(builtin_schema_row(&table.schema_name));
            }
            let at = snapshot.tables.len();
            snapshot.by_oid.insert(table.oid, at);
            table.indexes.iter().for_each(|index| {
                snapshot.indexes.insert(index.oid, at);
            });
            snapshot.tables.push(table);
        }
        snapshot.statistics = cache.statistics.all();
        Ok(snapshot)
    }

    pub fn table(&self, oid: Oid) -> Option<&Arc<Table>> {
        self.by_oid.get(&oid).map(|at| &self.tables[*at])
    }
    /// The table that an index belongs to.
    pub fn table_of_index(&self, oid: Oid) -> Option<&Arc<Table>> {
        self.indexes.get(&oid).map(|at| &self.tables[*at])
    }
    /// A view with its relations, as its text names them.
    pub fn resolved_view(&self, oid: Oid) -> Option<ResolvedView> {
        let table = Arc::clone(self.table(oid)?);
        let (mut relations, mut bases) = (HashMap::new(), HashMap::new());
        for reference in &table.view()?.references {
            let found = match system::virtual_table_by_oid(reference.relation) {
                Some(table) => Found::Virtual(table),
                None => {
                    let of = self.table(reference.relation)?;
                    let seen = Arc::new(reader::as_seen(of, &reference.columns));
                    bases.insert(of.oid, Arc::clone(of));
                    match of.kind() {
                        RelationKind::View => {
                            let below = self.resolved_view(of.oid)?;
                            Found::View(Arc::new(ResolvedView { table: seen, ..below }))
                        }
                        RelationKind::Sequence => Found::Sequence(seen),
                        _ => Found::Table(seen),
                    }
                }
            };
            relations.insert((reference.schema.clone(), reference.name.clone()), found);
        }
        Some(ResolvedView { table, relations, bases })
    }

    pub fn schema_named(&self, name: &str) -> Option<Oid> {
        self.schemas.iter().find(|schema| schema.name == name).map(|schema| schema.oid)
    }
    pub fn schema_name(&self, oid: Oid) -> Option<&str> {
        self.schemas.iter().find(|schema| schema.oid == oid).map(|schema| schema.name.as_str())
    }

    /// Schema and name of a table, index or virtual table.
    pub fn relation_name(&self, oid: Oid) -> Option<(Oid, &str)> {
        if let Some(table) = self.table(oid) {
            return Some((table.schema, &table.name));
        }
        if let Some(table) = self.table_of_index(oid) {
            return table.index(oid).map(|index| (table.schema, index.name.as_str()));
        }
        system::virtual_table_by_oid(oid).map(|table| (table.schema, table.name))
    }

    /// A relation of one schema by name.
    pub fn relation_in(&self, schema: Oid, name: &str) -> Option<Oid> {
        if let Some(table) = system::virtual_table(schema, name) {
            return Some(table.oid);
        }
        self.tables.iter().filter(|table| table.schema == schema).find_map(|table| {
            if table.name == name {
                return Some(table.oid);
            }
            table.indexes.iter().find(|index| index.name == name).map(|index| index.oid)
        })
    }

    /// A relation by the search path, `pg_catalog` first unless the path names it.
    pub fn relation(&self, schema: Option<&str>, name: &str, path: &[String]) -> Option<Oid> {
        match schema {
            Some(schema) => self.relation_in(self.schema_named(schema)?, name),
            None => self.path_oids(path).into_iter().find_map(|schema| self.relation_in(schema, name)),
        }
    }

    pub fn path_oids(&self, path: &[String]) -> Vec<Oid> {
        let mut oids = Vec::with_capacity(path.len() + 1);
        let rest = crate::temporary::without_own(path);
        oids.extend(path[..path.len() - rest.len()].iter().filter_map(|schema| self.schema_named(schema)));
        let path = rest;
        if !path.iter().any(|schema| schema == "pg_catalog") {
            oids.push(PG_CATALOG);
        }
        oids.extend(path.iter().filter_map(|schema| self.schema_named(schema)));
        oids
    }

    /// Would the bare name find this relation?
    pub fn is_visible(&self, oid: Oid, path: &[String]) -> Option<bool> {
        let (_, name) = self.relation_name(oid)?;
        Some(self.relation(None, name, path) == Some(oid))
    }
}

pub(super) async fn scan_all(transaction: &mut dyn Transaction, mut range: KeyRange) -> PgResult<Vec<bytes::Bytes>> {
    Ok(scan_rows(transaction, &mut range).await?.into_iter().map(|row| row.value).collect())
}

async fn scan_rows(transaction: &mut dyn Transaction, range: &mut KeyRange) -> PgResult<Vec<Row>> {
    let mut all = Vec::new();
    loop {
        let rows = transaction.scan(range, false, ROWS_A_SCAN).await?;
        let Some(last) = rows.last() else { return Ok(all) };
        range.start = after(&last.key);
        let full = rows.len() == ROWS_A_SCAN;
        all.extend(rows);
        if !full {
            return Ok(all);
        }
    }
}
