//! CREATE INDEX, and the check of the rows that are there already.
use super::columns::key_column;
use super::{Definer, NewIndex, derived_name};
use crate::catalog::{Found, Index, IndexKey, Table};
use crate::layout::{RowDecoder, after, index_range, table_range};
use crate::parser::tree::{CreateIndex, ExprKind, Name};
use bytes::Bytes;
use std::collections::HashSet;
use trivet_storage::Row;
use trivet_txn::{Action, WriteKind};
use trivet_types::{Datum, PgError, PgResult, sqlstate};

/// Rows that one step of a check reads.
const ROWS_A_STEP: usize = 2048;

impl Definer<'_> {
    pub(super) async fn create_index(&mut self, create: &CreateIndex) -> PgResult<()> {
        if create.concurrently {
            return Err(PgError::unsupported("CREATE INDEX CONCURRENTLY").hint("Plain CREATE INDEX blocks no reader."));
        }
        if create.filter.is_some() {
            return Err(PgError::unsupported("CREATE INDEX ... WHERE"));
        }
        if !create.include.is_empty() {
            return Err(PgError::unsupported("CREATE INDEX ... INCLUDE"));
        }
        let mut table = self.table_to_change(&create.table).await?;
        if let (Some(name), true) = (&create.name, create.if_not_exists) {
            let schema = table.schema_name.clone();
            let found: Option<Found> = self.catalog().relation(Some(&schema), &name.text).await?;
            if found.is_some() {
                let message = format!("relation \"{}\" already exists, skipping", name.text);
                self.notice(sqlstate::DUPLICATE_TABLE, message);
                return Ok(());
            }
        }
        let mut keys = Vec::with_capacity(create.keys.len());
        let mut names: Vec<&str> = Vec::with_capacity(create.keys.len());
        for key in &create.keys {
            let ExprKind::Column(column) = &key.expr.kind else {
                return Err(PgError::unsupported("an index on an expression"));
            };
            let name = Name { text: column.last().to_owned(), place: column.place() };
            let nulls_first = key.nulls_first.unwrap_or(key.descending);
            if nulls_first != key.descending {
                return Err(PgError::unsupported("NULLS FIRST and NULLS LAST other than the default in an index"));
            }
            let column_at = index_column(&table, &name)?;
            keys.push(IndexKey { column: column_at, descending: key.descending, nulls_first });
            names.push(column.last());
        }
        let default_name = derived_name(&table.name, &names, "idx");
        let new = NewIndex { name: create.name.clone(), default_name, unique: create.unique, keys, constraint: None };
        let index = self.add_index(&mut table, new).await?;
        self.build(&table, &index).await?;
        self.store(table);
        Ok(())
    }

    /// Checks the table's rows against the new index and has it filled in every region (module head).
    pub(super) async fn build(&mut self, table: &Table, index: &Index) -> PgResult<()> {
        if index.unique || index.primary {
            self.check_rows(table, index).await?;
        }
        let rows = table_range(table.storage);
        self.transaction.guard_range(rows.clone());
        if !self.last {
            // Statements of this transaction will look into the index before it is committed: it must be there.
            return self.write_entries(table, index).await;
        }
        let spec = table.index_spec(index).encoded();
        self.transaction.action(Action::FillIndex { table: rows, index: index_range(index.storage), spec });
        Ok(())
    }

    /// Every row's entry as a write of this transaction. The keys are new to the world, as the index is.
    async fn write_entries(&mut self, table: &Table, index: &Index) -> PgResult<()> {
        let spec = table.index_spec(index);
        let mut range = table_range(table.storage);
        loop {
            let rows = self.transaction.scan(&range, false, ROWS_A_STEP).await?;
            for row in &rows {
                let (key, value) = spec.entry(row)?;
                self.transaction.put(key, value, WriteKind::NoKeyUpdate);
            }
            match rows.last() {
                Some(last) if rows.len() == ROWS_A_STEP => range.start = after(&last.key),
                _ => return Ok(()),
            }
            self.transaction.spill().await?;
        }
    }

    /// 23502 for a NULL under a primary key, 23505 for two rows with one key. Memory: 16 bytes a row.
    async fn check_rows(&mut self, table: &Table, index: &Index) -> PgResult<()> {
        let spec = table.index_spec(index);
        let types: Vec<_> = spec.stored_types.clone();
        let mut fingerprints: Vec<u128> = Vec::new();
        let primary = index.primary;
        let not_null = |row: &Row| -> PgResult<()> {
            let values = row_values(row, &types, table)?;
            match index.keys.iter().find(|key| values[key.column].is_null()) {
                Some(key) => Err(contains_nulls(table, key.column)),
                None => Ok(()),
            }
        };
        self.each_row(table, |row| {
            if primary {
                not_null(row)?;
            }
            let (key, value) = spec.entry(row).map_err(|error| PgError::internal(error.to_string()))?;
            // An entry without a value holds the row id in its key (a NULL is in it) and collides with none.
            if !value.is_empty() {
                fingerprints.push(fingerprint(&key));
            }
            Ok(())
        })
        .await?;
        fingerprints.sort_unstable();
        let suspects: HashSet<u128> =
            fingerprints.windows(2).filter(|pair| pair[0] == pair[1]).map(|pair| pair[0]).collect();
        if suspects.is_empty() {
            return Ok(());
        }
        // Fingerprints may collide, keys tell.
        let mut seen: HashSet<Bytes> = HashSet::new();
        self.each_row(table, |row| {
            let (key, value) = spec.entry(row).map_err(|error| PgError::internal(error.to_string()))?;
            if !value.is_empty() && suspects.contains(&fingerprint(&key)) && !seen.insert(key) {
                let values = row_values(row, &types, table)?;
                return Err(duplicate(table, index, &values));
            }
            Ok(())
        })
        .await
    }

    pub(super) async fn each_row(
        &mut self,
        table: &Table,
        mut visit: impl FnMut(&Row) -> PgResult<()>,
    ) -> PgResult<()> {
        let mut range = table_range(table.storage);
        loop {
            let rows = self.transaction.scan(&range, false, ROWS_A_STEP).await?;
            rows.iter().try_for_each(&mut visit)?;
            match rows.last() {
                Some(last) if rows.len() == ROWS_A_STEP => range.start = after(&last.key),
                _ => return Ok(()),
            }
            tokio::task::yield_now().await;
        }
    }
}

fn index_column(table: &Table, name: &Name) -> PgResult<usize> {
    key_column(table, name).map_err(|mut error| {
        error.message = format!("column \"{}\" does not exist", name.text);
        error
    })
}

/// The stored columns of a row as far as `types` goes, with defaults for those it lacks.
pub(super) fn row_values(row: &Row, types: &[trivet_types::Oid], table: &Table) -> PgResult<Vec<Datum>> {
    let mut decoder = RowDecoder::new(&row.value)?;
    let stored = decoder.count();
    let mut values = Vec::with_capacity(types.len());
    for (at, type_oid) in types.iter().enumerate() {
        values.push(if at < stored { decoder.column(*type_oid)? } else { table.missing_value(at) });
    }
    Ok(values)
}

/// Two lanes of foldhash with fixed seeds: equal keys are equal, and unequal ones only seldom.
fn fingerprint(key: &[u8]) -> u128 {
    use std::hash::BuildHasher;
    let lane = |seed: u64| u128::from(foldhash::quality::FixedState::with_seed(seed).hash_one(key));
    lane(1) << 64 | lane(2)
}

pub(super) fn contains_nulls(table: &Table, column: usize) -> Box<PgError> {
    let column = &table.columns[column].name;
    let message = format!("column \"{column}\" of relation \"{}\" contains null values", table.name);
    let error = PgError::new(sqlstate::NOT_NULL_VIOLATION, message).schema(table.schema_name.clone());
    error.table(table.name.clone()).column(column.clone())
}

fn duplicate(table: &Table, index: &Index, values: &[Datum]) -> Box<PgError> {
    let names: Vec<&str> = index.keys.iter().map(|key| table.columns[key.column].name.as_str()).collect();
    let shown: Vec<String> = index
        .keys
        .iter()
        .map(|key| {
            let mut shown = String::new();
            let environment = trivet_types::NoEnvironment::default();
            trivet_types::text::write(
                table.columns[key.column].type_oid,
                &values[key.column],
                &environment,
                &mut shown,
            );
            shown
        })
        .collect();
    PgError::new(sqlstate::UNIQUE_VIOLATION, format!("could not create unique index \"{}\"", index.name))
        .detail(format!("Key ({})=({}) is duplicated.", names.join(", "), shown.join(", ")))
        .schema(table.schema_name.clone())
        .table(table.name.clone())
        .constraint(index.name.clone())
}
