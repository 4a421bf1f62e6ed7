//! Writing one row: constraints, index entries, the row itself.
//!
//! A unique entry is locked before it is looked at, and looked at where it is newest (T10): two inserts of one value meet
//! on one key, here within the region and in certification between regions. Entries that hold their row's id are written
//! blindly: whoever else writes them writes the row, and meets there.
use super::deferred::{Twin, has_twin};
use super::foreign::{check_references, note_change, note_twin};
use super::{Context, Row};
use crate::catalog::{Index, Table};
use crate::layout::{EntryKey, RowId, encode_row, row_key};
use crate::plan::{CheckExpr, TableRules};
use bytes::{Bytes, BytesMut};
use trivet_txn::{LockStrength, LockWait, Locked, WriteKind};
use trivet_types::{Datum, Environment, PgError, PgResult, sqlstate, text};

/// PostgreSQL shows no more of a value in an error's detail.
const SHOWN_CHARACTERS: usize = 64;

/// `(1, abc, null)`: a row as errors show it.
fn shown_row(table: &Table, row: &[Datum], environment: &dyn Environment) -> String {
    let shown = table.live_columns().map(|(at, column)| match text::output(column.type_oid, &row[at], environment) {
        None => "null".to_string(),
        Some(value) if value.chars().count() > SHOWN_CHARACTERS => {
            value.chars().take(SHOWN_CHARACTERS).chain("...".chars()).collect()
        }
        Some(value) => value.to_string(),
    });
    format!("({})", shown.collect::<Vec<_>>().join(", "))
}

fn in_schema(error: Box<PgError>, table: &Table) -> Box<PgError> {
    error.schema(table.schema_name.clone()).table(table.name.clone())
}

/// 23502 and 23514.
pub(crate) fn check_row(table: &Table, checks: &[CheckExpr], row: &[Datum], context: &Context<'_>) -> PgResult<()> {
    for (at, column) in table.columns.iter().enumerate() {
        if column.not_null && !column.dropped && row[at].is_null() {
            let message = format!(
                "null value in column \"{}\" of relation \"{}\" violates not-null constraint",
                column.name, table.name
            );
            let detail = format!("Failing row contains {}.", shown_row(table, row, context.environment));
            let error = PgError::new(sqlstate::NOT_NULL_VIOLATION, message).detail(detail);
            return Err(in_schema(error, table).column(column.name.clone()));
        }
    }
    for check in checks {
        if check.expr.eval(context.eval(), row)? == Datum::Bool(false) {
            if let Some(view) = check.name.strip_prefix(crate::analyze::CHECK_OPTION) {
                let message = format!("new row violates check option for view \"{view}\"");
                let detail = format!("Failing row contains {}.", shown_row(table, row, context.environment));
                return Err(PgError::new(sqlstate::WITH_CHECK_OPTION_VIOLATION, message).detail(detail));
            }
            let message =
                format!("new row for relation \"{}\" violates check constraint \"{}\"", table.name, check.name);
            let detail = format!("Failing row contains {}.", shown_row(table, row, context.environment));
            let error = PgError::new(sqlstate::CHECK_VIOLATION, message).detail(detail);
            return Err(in_schema(error, table).constraint(check.name.clone()));
        }
    }
    Ok(())
}

/// Names and values of an index's keys in a row, for DETAIL.
pub(crate) fn shown_key(
    table: &Table,
    index: &Index,
    row: &[Datum],
    environment: &dyn Environment,
) -> (String, String) {
    let names: Vec<String> = index.keys.iter().map(|key| table.key_name(key)).collect();
    let computed = index.keys.iter().any(|key| key.expression.is_some());
    let values = if computed {
        let position = table.indexes.iter().position(|found| found.oid == index.oid);
        let rules = TableRules::of(&std::sync::Arc::new(table.clone()), environment);
        let values = position.zip(rules.ok()).map(|(at, rules)| rules.key_values(table, at, environment, row));
        values.and_then(Result::ok).unwrap_or_default()
    } else {
        index.keys.iter().map(|key| row[key.column].clone()).collect()
    };
    let shown = index.keys.iter().zip(&values).map(|(key, value)| {
        text::output(table.key_type(key), value, environment).map_or("null".to_string(), |text| text.to_string())
    });
    (names.join(", "), shown.collect::<Vec<_>>().join(", "))
}

/// 23505, with the key in DETAIL.
pub(crate) fn duplicate(table: &Table, index: &Index, row: &[Datum], environment: &dyn Environment) -> Box<PgError> {
    let (names, shown) = shown_key(table, index, row, environment);
    let message = format!("duplicate key value violates unique constraint \"{}\"", index.name);
    let error = PgError::new(sqlstate::UNIQUE_VIOLATION, message);
    in_schema(error.detail(format!("Key ({names})=({shown}) already exists.")), table).constraint(index.name.clone())
}

fn id_bytes(id: RowId) -> Bytes {
    Bytes::copy_from_slice(&id.0.to_be_bytes())
}

fn encoded(row: &[Datum]) -> Bytes {
    let mut out = BytesMut::with_capacity(64);
    encode_row(row, &mut out);
    out.freeze()
}

/// Write a new row that has been checked. Its unique entries must be free.
pub(crate) async fn insert_row(
    context: &mut Context<'_>,
    table: &Table,
    rules: &TableRules,
    row: &[Datum],
    id: RowId,
) -> PgResult<()> {
    for (position, index) in table.indexes.iter().enumerate() {
        if let Some(entry) = rules.entry(table, position, context.environment, row, id)? {
            put_entry(context, table, index, entry, row, id).await?;
        }
    }
    context.transaction.put(row_key(table.storage, id), encoded(row), WriteKind::NoKeyUpdate);
    if table.foreign_keys.is_empty() { Ok(()) } else { check_references(context, table, row, None, id).await }
}

async fn put_entry(
    context: &mut Context<'_>,
    table: &Table,
    index: &Index,
    entry: EntryKey,
    row: &[Datum],
    id: RowId,
) -> PgResult<()> {
    if let Some(deferred) = table.deferrable(index.oid) {
        return put_deferrable(context, table, index, deferred, entry, row).await;
    }
    if !entry.exclusive {
        context.transaction.put(entry.key, Bytes::new(), WriteKind::NoKeyUpdate);
        return Ok(());
    }
    if let Some(holder) = context.lock_for_insert(&entry.key).await? {
        if holder != id_bytes(id) {
            return Err(duplicate(table, index, row, context.environment));
        }
        return Ok(());
    }
    context.transaction.put(entry.key, id_bytes(id), WriteKind::NoKeyUpdate);
    Ok(())
}

/// An entry of a deferrable key (`deferred`).
async fn put_deferrable(
    context: &mut Context<'_>,
    table: &Table,
    index: &Index,
    deferred: bool,
    entry: EntryKey,
    row: &[Datum],
) -> PgResult<()> {
    let own = entry.key;
    context.transaction.put(own.clone(), Bytes::new(), WriteKind::NoKeyUpdate);
    if !index.nulls_collide && index.keys.iter().any(|key| row[key.column].is_null()) {
        return Ok(());
    }
    // The id is the key's last part.
    let prefix = own.slice(..own.len() - 8);
    let locked = context.lock(&prefix, LockStrength::Update, LockWait::Wait).await?;
    context.transaction.delete(prefix.clone());
    // Others committed one until the lock was ours, or this statement wrote one, which it may not see.
    let unseen = matches!(locked, Locked::Newer(_)) || !context.foreign.note_key(&prefix);
    if unseen || has_twin(&prefix, &own, &mut *context.transaction).await? {
        let error = duplicate(table, index, row, context.environment);
        let constraint = table.constraint_of(index.oid).map_or(index.oid, |constraint| constraint.oid);
        note_twin(context, table, constraint, deferred, Twin { index: index.oid, prefix, own, error });
    }
    Ok(())
}

/// While an index is filled, a unique entry may be another row's, or not be there yet.
async fn delete_entry(context: &mut Context<'_>, entry: EntryKey, id: RowId) -> PgResult<()> {
    if entry.exclusive {
        let locked = context.lock(&entry.key, LockStrength::Update, LockWait::Wait).await?;
        match locked {
            Locked::Unchanged(Some(holder)) | Locked::Newer(Some(holder)) if holder == id_bytes(id) => {}
            _ => return Ok(()),
        }
    }
    context.transaction.delete(entry.key);
    Ok(())
}

/// Replace a locked row by a checked one.
pub(crate) async fn update_row(
    context: &mut Context<'_>,
    table: &Table,
    rules: &TableRules,
    old: &[Datum],
    new: &Row,
    id: RowId,
    changes_key: bool,
) -> PgResult<()> {
    for (position, index) in table.indexes.iter().enumerate() {
        let before = rules.entry(table, position, context.environment, old, id)?;
        let after = rules.entry(table, position, context.environment, new, id)?;
        if before == after {
            continue;
        }
        // The new entry first: if it collides, the old one is still there for who looks.
        if let Some(after) = after {
            put_entry(context, table, index, after, new, id).await?;
        }
        if let Some(before) = before {
            delete_entry(context, before, id).await?;
        }
    }
    let kind = if changes_key { WriteKind::Update } else { WriteKind::NoKeyUpdate };
    context.transaction.put(row_key(table.storage, id), encoded(new), kind);
    note_change(context, table, old, Some(new));
    if table.foreign_keys.is_empty() { Ok(()) } else { check_references(context, table, new, Some(old), id).await }
}

/// Delete a locked row.
pub(crate) async fn delete_row(
    context: &mut Context<'_>,
    table: &Table,
    rules: &TableRules,
    old: &[Datum],
    id: RowId,
) -> PgResult<()> {
    for position in 0..table.indexes.len() {
        if let Some(entry) = rules.entry(table, position, context.environment, old, id)? {
            delete_entry(context, entry, id).await?;
        }
    }
    context.transaction.delete(row_key(table.storage, id));
    note_change(context, table, old, None);
    Ok(())
}
