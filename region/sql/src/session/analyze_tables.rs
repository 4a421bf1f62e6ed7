//! ANALYZE, and the refreshing of statistics behind the statements' backs.
//!
//! A table is read to its end, batch by batch, and a sample of its rows is kept (`statistics`). What is found stays in this
//! region's memory: there is nothing to commit and nobody to wait for.
use super::connection::SqlSession;
use super::engine::SqlEngine;
use super::environment::search_path;
use crate::catalog::{Catalog, CatalogSnapshot, Found, Table};
use crate::execute::stored_row;
use crate::layout::{after, table_range};
use crate::parser::tree::{AnalyzedTable, Name, QualifiedName};
use crate::statistics::{Believed, Collector, Counts, Expected, TableStatistics};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use trivet_gateway::Client;
use trivet_storage::KeyRange;
use trivet_txn::{Isolation, Transaction};
use trivet_types::{PgError, PgResult, Severity, sqlstate};

const ROWS_A_SCAN: usize = 1024;
/// Batches at one snapshot, where others may be had: a long one would hold back the collection of old versions.
const SCANS_A_SNAPSHOT: usize = 64;

/// Read a table.
async fn collect(
    transaction: &mut dyn Transaction,
    table: &Table,
    wanted: Vec<bool>,
    moves_on: bool,
) -> PgResult<TableStatistics> {
    let mut collector = Collector::new(wanted, u64::from(table.oid.0) ^ table.stamp);
    let mut range = table_range(table.storage);
    for scans in 1usize.. {
        let rows = transaction.scan(&range, false, ROWS_A_SCAN).await?;
        for row in &rows {
            collector.add(row.value.len(), || stored_row(table, &row.value))?;
        }
        match rows.last() {
            Some(last) if rows.len() == ROWS_A_SCAN => {
                range = KeyRange { start: after(&last.key), end: range.end };
            }
            _ => break,
        }
        if moves_on && scans % SCANS_A_SNAPSHOT == 0 {
            transaction.statement().await?;
        }
        tokio::task::yield_now().await;
    }
    Ok(collector.finish(table))
}

fn wanted(table: &Table, columns: &[Name]) -> PgResult<Vec<bool>> {
    if columns.is_empty() {
        return Ok(vec![true; table.columns.len()]);
    }
    let mut wanted = vec![false; table.columns.len()];
    for name in columns {
        let error = |code, what: &str| {
            let message = format!("column \"{}\" of relation \"{}\" {what}", name.text, table.name);
            Err(PgError::new(code, message))
        };
        match table.column_named(&name.text) {
            None => return error(sqlstate::UNDEFINED_COLUMN, "does not exist"),
            Some((at, _)) if wanted[at] => return error(sqlstate::DUPLICATE_COLUMN, "appears more than once"),
            Some((at, _)) => wanted[at] = true,
        }
    }
    Ok(wanted)
}

impl SqlSession {
    /// REINDEX has nothing to do: only what it names has to be there.
    pub(super) async fn check_reindex(&mut self, relation: Option<&QualifiedName>, index: bool) -> PgResult<()> {
        let Some(name) = relation else { return Ok(()) };
        let engine = Arc::clone(&self.engine);
        let path = search_path(&self.settings, &self.current_user());
        let active = self.open();
        active.transaction.statement().await?;
        let mut catalog = Catalog::new(&mut *active.transaction, &engine.descriptors, &path);
        let wrong =
            |what: &str| PgError::new(sqlstate::WRONG_OBJECT_TYPE, format!("\"{}\" is not {what}", name.last()));
        match catalog.relation(name.schema(), name.last()).await? {
            None => {
                let message = format!("relation \"{}\" does not exist", name.shown());
                Err(PgError::new(sqlstate::UNDEFINED_TABLE, message))
            }
            Some(Found::Index(..)) if index => Ok(()),
            Some(_) if index => Err(wrong("an index")),
            Some(Found::Table(_)) => Ok(()),
            Some(_) => Err(wrong("a table or materialized view")),
        }
    }

    /// The tables that are named, or all. Without `analyze`, only look whether they are there.
    pub(super) async fn analyze_tables(
        &mut self,
        tables: &[AnalyzedTable],
        analyze: bool,
        client: &mut dyn Client,
    ) -> PgResult<()> {
        let engine = Arc::clone(&self.engine);
        let path = search_path(&self.settings, &self.current_user());
        let cancel = self.startup.cancel.clone();
        let active = self.open();
        active.used = true;
        active.transaction.statement().await?;
        let mut found: Vec<(Arc<Table>, &[Name])> = Vec::new();
        if tables.is_empty() {
            let snapshot = CatalogSnapshot::load(&mut *active.transaction, &engine.descriptors).await?;
            found.extend(
                snapshot.tables.iter().filter(|table| table.has_rows()).map(|table| (Arc::clone(table), &[][..])),
            );
        }
        for table in tables {
            let mut catalog = Catalog::new(&mut *active.transaction, &engine.descriptors, &path);
            let relation = catalog.relation(table.name.schema(), table.name.last()).await?;
            let Some(relation) = relation else { return Err(crate::analyze::undefined_table(&table.name)) };
            match relation.table().filter(|table| table.has_rows()) {
                Some(relation) => found.push((Arc::clone(relation), &table.columns)),
                None if analyze => {
                    let message = format!(
                        "skipping \"{}\" --- cannot analyze non-tables or special system tables",
                        table.name.last()
                    );
                    client.notice(&PgError::new(sqlstate::SUCCESSFUL_COMPLETION, message).severity(Severity::Warning));
                }
                None => {}
            }
        }
        if !analyze {
            return Ok(());
        }
        for (table, columns) in found {
            let wanted = wanted(&table, columns)?;
            let partial = wanted.contains(&false);
            let counts = engine.statistics.counts(table.storage);
            let active = self.open();
            let work = collect(&mut *active.transaction, &table, wanted, false);
            let mut statistics = SqlSession::cancellable(&cancel, work).await?;
            if let (true, Some(known)) = (partial, engine.statistics.table(table.oid, table.storage)) {
                // Columns that were not asked for keep what was known of them.
                for (column, known) in statistics.columns.iter_mut().zip(&known.columns) {
                    if column.is_none() {
                        column.clone_from(known);
                    }
                }
            }
            engine.statistics.put(table.oid, statistics, counts, true);
        }
        Ok(())
    }
}

impl SqlEngine {
    /// Read a table and keep what is found, unless somebody is at it. Failing does no harm: there will be another time.
    pub(super) fn refresh_statistics(self: &Arc<Self>, table: Arc<Table>) {
        let Some(reading) = self.statistics.begin(table.oid) else { return };
        let engine = Arc::clone(self);
        tokio::spawn(async move {
            let counts = engine.statistics.counts(table.storage);
            let mut transaction = engine.database.begin(Isolation::ReadCommitted, true);
            let read = async {
                transaction.statement().await?;
                let wanted = vec![true; table.columns.len()];
                collect(&mut *transaction, &table, wanted, true).await
            };
            match read.await {
                Ok(statistics) => engine.statistics.put(table.oid, statistics, counts, false),
                Err(error) => tracing::debug!(table = %table.name, %error, "statistics were not refreshed"),
            }
            transaction.rollback();
            drop(reading);
        });
    }

    /// Read a table again, if what is known of it is too old for so much having been written.
    pub(super) fn refresh_if_wanted(self: &Arc<Self>, table: &Arc<Table>, counts: Counts) {
        if self.statistics.is_wanted(table, counts) {
            self.refresh_statistics(Arc::clone(table));
        }
    }

    /// Is a plan that was made, or looked at again, at that epoch still one for tables of their size?
    pub(super) fn still_believes(
        self: &Arc<Self>,
        epoch: &AtomicU64,
        believed: &[Believed],
        expected: &Expected,
    ) -> bool {
        let (then, now) = (epoch.load(Ordering::Relaxed), self.statistics.epoch());
        if then == now && expected.is_empty() {
            return true;
        }
        if self.statistics.changed_since(then, believed, expected) {
            return false;
        }
        for believed in believed {
            self.refresh_if_wanted(&believed.table, self.statistics.counts(believed.table.storage));
        }
        epoch.store(now, Ordering::Relaxed);
        true
    }
}

impl SqlSession {
    /// Rows that this session has written and that may not have been counted.
    pub(super) fn expected(&mut self) -> Expected {
        self.written.settle(&self.engine.statistics);
        let mut expected = self.written.clone();
        if let Some(active) = self.block.active() {
            expected.take(active.written.clone());
        }
        expected
    }

    /// A transaction that wrote this is committed.
    pub(super) fn note_committed(&mut self, written: Expected) {
        for (table, counts) in written.tables() {
            self.engine.refresh_if_wanted(table, counts);
        }
        self.written.take(written);
    }
}
