//! CREATE INDEX, and the check of the rows that are there already.
use super::columns::{key_column, least_volatility, print_over, refuse_subqueries};
use super::{Definer, NewIndex, derived_name};
use crate::analyze::{Analyzer, ParameterTypes, Relations};
use crate::catalog::{Found, Index, IndexExpression, IndexKey, Table};
use crate::layout::{RowDecoder, after, index_range, row_id_of, table_range};
use crate::parser::tree::{self, CreateIndex, ExprKind, Name};
use crate::plan::TableRules;
use bytes::Bytes;
use std::collections::HashSet;
use std::sync::Arc;
use trivet_storage::Row;
use trivet_txn::{Action, WriteKind};
use trivet_types::registry::Volatility;
use trivet_types::{Datum, PgError, PgResult, sqlstate};

/// Rows that one step of a check reads.
pub(super) const ROWS_A_STEP: usize = 2048;

impl Definer<'_> {
    pub(super) async fn create_index(&mut self, create: &CreateIndex) -> PgResult<()> {
        let mut table = self.indexed_to_change(&create.table).await?;
        if let (Some(name), true) = (&create.name, create.if_not_exists) {
            let schema = table.schema_name.clone();
            let found: Option<Found> = self.catalog().relation(Some(&schema), &name.text).await?;
            if found.is_some() {
                let message = format!("relation \"{}\" already exists, skipping", name.text);
                self.notice(sqlstate::DUPLICATE_TABLE, message);
                return Ok(());
            }
        }
        let new = self.index_of(&table, create)?;
        let index = self.add_index(&mut table, new).await?;
        self.build(&table, &index).await?;
        self.store(table);
        Ok(())
    }

    /// What a statement asks for, over the table's columns.
    pub(super) fn index_of(&self, table: &Table, create: &CreateIndex) -> PgResult<NewIndex> {
        const KEYS_MAX: usize = 32;
        if create.keys.len() + create.include.len() > KEYS_MAX {
            let message = format!("cannot use more than {KEYS_MAX} columns in an index");
            return Err(PgError::new(sqlstate::TOO_MANY_COLUMNS, message));
        }
        let shared = Arc::new(table.clone());
        // PostgreSQL looks at the condition first.
        let filter = match &create.filter {
            None => None,
            Some(filter) => {
                let relations = Relations::new();
                let mut analyzer = Analyzer::new(&relations, self.environment, ParameterTypes::default());
                let typed = analyzer.row_condition(&shared, filter, "index predicates")?;
                refuse_subqueries(&typed, "index predicate")?;
                if least_volatility(&typed) != Volatility::Immutable {
                    let message = "functions in index predicate must be marked IMMUTABLE";
                    return Err(PgError::new(sqlstate::INVALID_OBJECT_DEFINITION, message));
                }
                Some(print_over(&typed, table))
            }
        };
        let mut keys = Vec::with_capacity(create.keys.len());
        let mut names: Vec<String> = Vec::with_capacity(create.keys.len());
        for key in &create.keys {
            let nulls_first = key.nulls_first.unwrap_or(key.descending);
            let mut made = match &key.expr.kind {
                ExprKind::Column(column) => {
                    let name = Name { text: column.last().to_owned(), place: column.place() };
                    names.push(name.text.clone());
                    IndexKey::column(index_column(table, &name)?)
                }
                _ => {
                    let expression = self.index_expression(&shared, &key.expr)?;
                    names.push(expression.name.clone());
                    IndexKey { expression: Some(expression), ..IndexKey::column(IndexKey::NO_COLUMN) }
                }
            };
            made.descending = key.descending;
            made.nulls_first = nulls_first;
            keys.push(made);
        }
        let include = create.include.iter().map(|name| index_column(table, name)).collect::<PgResult<Vec<_>>>()?;
        names.extend(create.include.iter().map(|name| name.text.clone()));
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        let default_name = derived_name(&table.name, &names, "idx");
        let name = create.name.clone();
        let (unique, nulls_collide) = (create.unique, create.nulls_collide);
        let hash = create.method.as_deref() == Some("hash");
        if hash {
            check_hash(create)?;
        }
        let given = create
            .classes
            .iter()
            .filter_map(|(at, name)| Some((u16::try_from(*at).ok()?, crate::catalog::system::pattern_class(name)?)));
        let classes = given.collect();
        Ok(NewIndex {
            name,
            default_name,
            unique,
            nulls_collide,
            keys,
            include,
            filter,
            hash,
            classes,
            ..NewIndex::default()
        })
    }

    fn index_expression(&self, table: &Arc<Table>, expr: &tree::Expr) -> PgResult<IndexExpression> {
        let relations = Relations::new();
        let mut analyzer = Analyzer::new(&relations, self.environment, ParameterTypes::default());
        let typed = analyzer.over_row(table, expr, "index expressions")?;
        refuse_subqueries(&typed, "index expression")?;
        if least_volatility(&typed) != Volatility::Immutable {
            let message = "functions in index expression must be marked IMMUTABLE";
            return Err(PgError::new(sqlstate::INVALID_OBJECT_DEFINITION, message));
        }
        // PostgreSQL names an index's column after a function, if that is what the expression is.
        let name = match &expr.kind {
            ExprKind::Function(call) => call.name.last().to_owned(),
            ExprKind::Cast { to, .. } => trivet_types::canonical_name(&to.name).to_owned(),
            ExprKind::Case { .. } => "case".to_owned(),
            _ => "expr".to_owned(),
        };
        let text = print_over(&typed, table);
        Ok(IndexExpression { text, type_oid: typed.type_oid, name })
    }

    /// Checks the table's rows against the new index and has it filled in every region (module head).
    pub(super) async fn build(&mut self, table: &Table, index: &Index) -> PgResult<()> {
        let rows = table_range(table.storage);
        self.transaction.guard_range(rows.clone());
        if table.deferrable(index.oid).is_some() {
            self.check_rows(table, &Index { unique: true, ..index.clone() }).await?;
        }
        // Statements of this transaction will look into the index before it is committed: then it must be there. And what
        // is computed from a row is computed here, once.
        if !self.last || !index.is_plain() {
            return self.write_entries(table, index).await;
        }
        if index.unique || index.primary {
            self.check_rows(table, index).await?;
        }
        let spec = table.index_spec(index).encoded();
        self.transaction.action(Action::FillIndex { table: rows, index: index_range(index.storage), spec });
        Ok(())
    }

    /// Every row's entry as a write of this transaction. The keys are new to the world, as the index is.
    async fn write_entries(&mut self, table: &Table, index: &Index) -> PgResult<()> {
        let shared = Arc::new(table.clone());
        let rules = TableRules::of(&shared, self.environment)?;
        let position = table.indexes.iter().position(|found| found.oid == index.oid);
        let position = position.ok_or_else(|| PgError::internal("an index that its table does not have"))?;
        let environment = self.environment;
        let mut range = table_range(table.storage);
        loop {
            let rows = self.transaction.scan(&range, false, ROWS_A_STEP).await?;
            for row in &rows {
                let damaged = || PgError::new(sqlstate::DATA_CORRUPTED, "a row's key is damaged");
                let id = row_id_of(&row.key).ok_or_else(damaged)?;
                let values = crate::execute::stored_row(&shared, &row.value)?;
                if index.primary {
                    if let Some(key) = index.keys.iter().find(|key| values[key.column].is_null()) {
                        return Err(contains_nulls(table, key.column));
                    }
                }
                let Some(entry) = rules.entry(&shared, position, environment, &values, id)? else { continue };
                if !entry.exclusive {
                    self.transaction.put(entry.key, Bytes::new(), WriteKind::NoKeyUpdate);
                    continue;
                }
                if self.transaction.get(&entry.key).await?.is_some() {
                    return Err(duplicate(table, index, &values));
                }
                let id = Bytes::copy_from_slice(&id.0.to_be_bytes());
                self.transaction.put(entry.key, id, WriteKind::NoKeyUpdate);
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

/// What PostgreSQL's hash indexes cannot do.
fn check_hash(create: &CreateIndex) -> PgResult<()> {
    let lacks = match &create.keys[..] {
        _ if create.unique => "unique indexes",
        _ if !create.include.is_empty() => "included columns",
        [_, _, ..] => "multicolumn indexes",
        keys if keys.iter().any(|key| key.descending) => "ASC/DESC options",
        keys if keys.iter().any(|key| key.nulls_first.is_some()) => "NULLS FIRST/LAST options",
        _ => return Ok(()),
    };
    let message = format!("access method \"hash\" does not support {lacks}");
    Err(PgError::new(sqlstate::FEATURE_NOT_SUPPORTED, message))
}

fn index_column(table: &Table, name: &Name) -> PgResult<usize> {
    key_column(table, name).map_err(|mut error| {
        error.message = format!("column \"{}\" does not exist", name.text);
        error.position = None;
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

pub(super) fn duplicate(table: &Table, index: &Index, values: &[Datum]) -> Box<PgError> {
    let environment = trivet_types::NoEnvironment::default();
    let (names, shown) = crate::execute::shown_key(table, index, values, &environment);
    PgError::new(sqlstate::UNIQUE_VIOLATION, format!("could not create unique index \"{}\"", index.name))
        .detail(format!("Key ({names})=({shown}) is duplicated."))
        .schema(table.schema_name.clone())
        .table(table.name.clone())
        .constraint(index.name.clone())
}
