//! The tables that the foreign keys of a change lead to, with what changing their rows takes.
use super::rules::TableRules;
use crate::catalog::{Catalog, ReferentialAction, Table};
use crate::execute::DefaultValue;
use futures::FutureExt;
use futures::future::BoxFuture;
use std::collections::HashMap;
use std::sync::Arc;
use trivet_types::{Environment, Oid, PgError, PgResult};

#[derive(Debug)]
pub struct RelatedTable {
    pub table: Arc<Table>,
    pub rules: TableRules,
    /// Of the columns of keys that are SET DEFAULT.
    pub defaults: Vec<(usize, DefaultValue)>,
}

pub type RelatedTables = HashMap<Oid, Arc<RelatedTable>>;

/// What a statement does to a table's rows.
#[derive(Clone, Debug)]
pub enum RowChange {
    Insert,
    /// These columns.
    Update(Vec<usize>),
    Delete,
}

/// Tables as they are found, before they are compiled.
pub struct Related<'c, 'a> {
    pub catalog: &'c mut Catalog<'a>,
    found: HashMap<Oid, Arc<Table>>,
    /// Changes that were followed already, by table.
    followed: Vec<(Oid, Option<Vec<usize>>)>,
}

impl<'c, 'a> Related<'c, 'a> {
    pub fn new(catalog: &'c mut Catalog<'a>) -> Related<'c, 'a> {
        Related { catalog, found: HashMap::new(), followed: Vec::new() }
    }

    async fn load(&mut self, oid: Oid) -> PgResult<Arc<Table>> {
        if let Some(table) = self.found.get(&oid) {
            return Ok(Arc::clone(table));
        }
        let missing = || PgError::internal("a foreign key names a table that is not there");
        let table = self.catalog.table(oid).await?.ok_or_else(missing)?;
        self.found.insert(oid, Arc::clone(&table));
        Ok(table)
    }

    /// Everything that a change of a table's rows may look at or change in turn.
    pub fn follow(&mut self, table: Arc<Table>, change: RowChange) -> BoxFuture<'_, PgResult<()>> {
        async move {
            if table.foreign_keys.is_empty() && table.referenced_by.is_empty() {
                return Ok(());
            }
            let columns = match &change {
                RowChange::Insert => None,
                RowChange::Update(columns) => Some(columns.clone()),
                RowChange::Delete => Some((0..table.columns.len()).collect()),
            };
            let known = (table.oid, columns.clone());
            if self.followed.contains(&known) {
                return Ok(());
            }
            self.followed.push(known);
            self.found.entry(table.oid).or_insert_with(|| Arc::clone(&table));
            let touches =
                |of: &[usize]| columns.as_ref().is_none_or(|columns| of.iter().any(|at| columns.contains(at)));
            if !matches!(change, RowChange::Delete) {
                for key in table.foreign_keys.iter().filter(|key| touches(&key.columns)) {
                    self.load(key.table).await?;
                }
            }
            if matches!(change, RowChange::Insert) {
                return Ok(());
            }
            for (child, key) in &table.referenced_by {
                let child = self.load(*child).await?;
                let Some(key) = child.foreign_key(*key) else { continue };
                if !touches(&key.referred) {
                    continue;
                }
                let deletes = matches!(change, RowChange::Delete);
                let action = if deletes { key.on_delete } else { key.on_update };
                let columns = key.columns.clone();
                match action {
                    ReferentialAction::NoAction | ReferentialAction::Restrict => {}
                    ReferentialAction::Cascade if deletes => self.follow(child, RowChange::Delete).await?,
                    _ => {
                        // A generated column may follow from the key's.
                        let generated = child.live_columns().filter(|(_, column)| column.generated.is_some());
                        let columns = columns.into_iter().chain(generated.map(|(at, _)| at)).collect();
                        self.follow(Arc::clone(&child), RowChange::Update(columns)).await?;
                    }
                }
            }
            Ok(())
        }
        .boxed()
    }

    pub fn use_user_types(&self) -> bool {
        self.found.values().any(|table| table.uses_user_types())
    }

    pub fn compiled(self, environment: &dyn Environment) -> PgResult<RelatedTables> {
        let mut related = RelatedTables::with_capacity(self.found.len());
        for (oid, table) in self.found {
            let mut defaults: Vec<(usize, DefaultValue)> = Vec::new();
            for key in &table.foreign_keys {
                let sets = [key.on_delete, key.on_update].contains(&ReferentialAction::SetDefault);
                for column in key.columns.iter().filter(|_| sets) {
                    if !defaults.iter().any(|(at, _)| at == column) {
                        defaults.push((*column, DefaultValue::of(&table, *column, environment)?));
                    }
                }
            }
            let rules = TableRules::of(&table, environment)?;
            related.insert(oid, Arc::new(RelatedTable { table, rules, defaults }));
        }
        Ok(related)
    }
}
