//! Foreign keys while rows change.
//!
//! A row that refers is checked when it is written: the key is looked up where it is newest (T10) and the row found is locked KEY
//! SHARE, which stays as a guard, so that it cannot go in the other region either (T1). If nothing is found the check is put
//! off to the statement's end, when rows that it wrote later are there.
//!
//! What a row that goes, or whose key changes, leaves behind is looked for at the statement's end, at last received: whoever
//! referred to it held its lock, and the lock is ours now. Actions are such changes themselves, until nothing is left.
//!
//! Checks of deferred keys wait longer (`deferred`).
use super::deferred::{ConstraintModes, DeferredCheck, Twin};
use super::scan::entry_row_id;
use super::write::{check_row, delete_row, update_row};
use super::{Context, Row, stored_row};
use crate::catalog::{ForeignKey, ReferentialAction, Table};
use crate::layout::{
    RowId, after, encode_column, entry_key, index_prefix, prefix_end, row_id_of, row_key, table_range,
};
use crate::plan::{RelatedTable, RelatedTables};
use bytes::{Bytes, BytesMut};
use std::collections::{HashSet, VecDeque};
use std::sync::Arc;
use trivet_storage::KeyRange;
use trivet_txn::{Isolation, LockStrength, LockWait, Locked};
use trivet_types::{Datum, Environment, Oid, PgError, PgResult, oid, sqlstate, text};

const ROWS_A_STEP: usize = 512;
/// Checked references that a statement remembers.
const REMEMBERED_MAX: usize = 4096;

/// What a statement still owes its foreign keys.
#[derive(Default)]
pub(crate) struct ForeignWork {
    pub tables: Arc<RelatedTables>,
    left: VecDeque<Event>,
    checked: HashSet<(Oid, Bytes)>,
    /// Deferrable keys that this statement gave to a row.
    keyed: HashSet<Bytes>,
    modes: ConstraintModes,
    /// What waits for the transaction's end.
    pub deferred: Vec<DeferredCheck>,
}

enum Event {
    /// A row refers to nothing, as far as was seen.
    Refers { table: Oid, key: Oid, row: Row },
    /// A row went (`new` is `None`) or changed.
    Changed { table: Oid, old: Row, new: Option<Row> },
    /// A row has a key that another one has, as far as was seen.
    Twice(Twin),
}

impl ForeignWork {
    pub fn new(tables: Arc<RelatedTables>, modes: ConstraintModes) -> ForeignWork {
        ForeignWork { tables, modes, ..ForeignWork::default() }
    }
    /// Whether the statement surely gave this key to no row before.
    pub fn note_key(&mut self, key: &Bytes) -> bool {
        self.keyed.len() < REMEMBERED_MAX && self.keyed.insert(key.clone())
    }
    fn table(&self, oid: Oid) -> PgResult<Arc<RelatedTable>> {
        let found = self.tables.get(&oid).cloned();
        found.ok_or_else(|| PgError::internal("a table that a foreign key needs was not planned for"))
    }
}

/// A foreign key between its two tables.
pub(crate) struct Reference<'a> {
    pub child: &'a Table,
    pub key: &'a ForeignKey,
    pub parent: &'a Table,
}

impl Reference<'_> {
    /// The unique entry that a row refers to; `None`: it refers to nothing. 23503 for a MATCH FULL key that is half NULL.
    pub fn entry(&self, row: &[Datum]) -> PgResult<Option<Bytes>> {
        let nulls = self.key.columns.iter().filter(|column| row[**column].is_null()).count();
        if nulls > 0 {
            if self.key.full && nulls < self.key.columns.len() {
                let detail = "MATCH FULL does not allow mixing of null and nonnull key values.";
                return Err(self.refusal().detail(detail));
            }
            return Ok(None);
        }
        let index = self.parent.index(self.key.index);
        let index = index.ok_or_else(|| PgError::internal("a foreign key refers to an index that is not there"))?;
        let mut values = Vec::with_capacity(index.keys.len());
        for key in &index.keys {
            let at = self.key.referred.iter().position(|referred| *referred == key.column);
            let own = at.map(|at| self.key.columns[at]);
            let own = own.ok_or_else(|| PgError::internal("a foreign key does not cover its index"))?;
            let target = self.parent.columns[key.column].type_oid;
            match converted(&row[own], self.child.columns[own].type_oid, target) {
                Some(value) => values.push((target, value, key.descending)),
                // No value of the other type is equal to it.
                None => return Ok(Some(Bytes::new())),
            }
        }
        let columns = values.iter().map(|(type_oid, value, descending)| (*type_oid, value, *descending));
        Ok(Some(entry_key(index.storage, index.uniqueness(), columns, RowId(0)).key))
    }

    fn refusal(&self) -> Box<PgError> {
        let message = format!(
            "insert or update on table \"{}\" violates foreign key constraint \"{}\"",
            self.child.name, self.key.name
        );
        self.located(PgError::new(sqlstate::FOREIGN_KEY_VIOLATION, message))
    }

    fn located(&self, error: Box<PgError>) -> Box<PgError> {
        error.schema(self.child.schema_name.clone()).table(self.child.name.clone()).constraint(self.key.name.clone())
    }

    /// 23503: the row refers to what is not there.
    pub fn missing(&self, row: &[Datum], environment: &dyn Environment) -> Box<PgError> {
        let (names, values) = shown(self.child, &self.key.columns, row, environment);
        self.refusal().detail(format!("Key ({names})=({values}) is not present in table \"{}\".", self.parent.name))
    }

    /// 23503: others refer to the row.
    pub fn still_referenced(&self, old: &[Datum], environment: &dyn Environment) -> Box<PgError> {
        let message = format!(
            "update or delete on table \"{}\" violates foreign key constraint \"{}\" on table \"{}\"",
            self.parent.name, self.key.name, self.child.name
        );
        let (names, values) = shown(self.parent, &self.key.referred, old, environment);
        let detail = format!("Key ({names})=({values}) is still referenced from table \"{}\".", self.child.name);
        self.located(PgError::new(sqlstate::FOREIGN_KEY_VIOLATION, message)).detail(detail)
    }
}

fn shown(table: &Table, columns: &[usize], row: &[Datum], environment: &dyn Environment) -> (String, String) {
    let names: Vec<&str> = columns.iter().map(|column| table.columns[*column].name.as_str()).collect();
    let values = columns.iter().map(|column| {
        text::output(table.columns[*column].type_oid, &row[*column], environment)
            .map_or("null".to_string(), |text| text.to_string())
    });
    (names.join(", "), values.collect::<Vec<_>>().join(", "))
}

/// A value in another type that `=` compares it with; `None`: that type has no such value.
fn converted(value: &Datum, from: Oid, to: Oid) -> Option<Datum> {
    let is_text = |type_oid| matches!(type_oid, oid::TEXT | oid::VARCHAR | oid::NAME);
    if from == to || (is_text(from) && is_text(to)) {
        return Some(value.clone());
    }
    match (to, value.as_i64()) {
        (oid::INT2, Some(number)) => return i16::try_from(number).ok().map(Datum::Int2),
        (oid::INT4, Some(number)) => return i32::try_from(number).ok().map(Datum::Int4),
        (oid::INT8, Some(number)) => return Some(Datum::Int8(number)),
        _ => {}
    }
    let environment = trivet_types::NoEnvironment::default();
    let shown = text::output(from, value, &environment)?;
    text::input(to, -1, &shown, &environment).ok()
}

/// A row was written that may refer to others. `old`: what it was before.
pub(crate) async fn check_references(
    context: &mut Context<'_>,
    table: &Table,
    row: &[Datum],
    old: Option<&[Datum]>,
    id: RowId,
) -> PgResult<()> {
    for key in &table.foreign_keys {
        if let Some(old) = old {
            if key.columns.iter().all(|column| old[*column] == row[*column]) {
                continue;
            }
        }
        if is_satisfied(context, table, key, row).await? {
            continue;
        }
        if context.foreign.modes.defers(key) {
            context.foreign.deferred.push(DeferredCheck::Refers { table: table.oid, key: key.oid, row: id });
        } else {
            let event = Event::Refers { table: table.oid, key: key.oid, row: row.to_vec() };
            context.foreign.left.push_back(event);
        }
    }
    Ok(())
}

/// A row was written whose key another one has: of the constraint, which is deferrable, and deferred at first or not.
pub(crate) fn note_twin(context: &mut Context<'_>, table: &Table, constraint: Oid, deferred: bool, twin: Twin) {
    if context.foreign.modes.defers_now(constraint, deferred) {
        context.foreign.deferred.push(DeferredCheck::Twice { table: table.oid, key: constraint, twin });
    } else {
        context.foreign.left.push_back(Event::Twice(twin));
    }
}

/// A row went, or its columns changed; others may refer to it.
pub(crate) fn note_change(context: &mut Context<'_>, table: &Table, old: &[Datum], new: Option<&[Datum]>) {
    if table.referenced_by.is_empty() {
        return;
    }
    if let Some(new) = new {
        let in_key = |column: usize| {
            table.indexes.iter().any(|index| index.unique && index.keys.iter().any(|key| key.column == column))
        };
        if (0..old.len()).all(|column| old[column] == new[column] || !in_key(column)) {
            return;
        }
    }
    let event = Event::Changed { table: table.oid, old: old.to_vec(), new: new.map(<[Datum]>::to_vec) };
    context.foreign.left.push_back(event);
}

/// Is what the row refers to there? Then it is locked.
pub(super) async fn is_satisfied(
    context: &mut Context<'_>,
    child: &Table,
    key: &ForeignKey,
    row: &[Datum],
) -> PgResult<bool> {
    // A table that refers to itself was not loaded a second time.
    let related = if key.table == child.oid { None } else { Some(context.foreign.table(key.table)?) };
    let parent = related.as_ref().map_or(child, |related| &*related.table);
    let reference = Reference { child, key, parent };
    let Some(entry) = reference.entry(row)? else { return Ok(true) };
    let known = (key.oid, entry.clone());
    if context.foreign.checked.contains(&known) {
        return Ok(true);
    }
    // The row may be moving: a key that changed hands is looked up again.
    for _ in 0..3 {
        if entry.is_empty() {
            return Ok(false);
        }
        let Some(holder) = context.transaction.get_newest(&entry).await? else { return Ok(false) };
        let id = entry_row_id(&entry, &holder)?;
        let at = row_key(parent.storage, id);
        let locked = context.lock(&at, LockStrength::KeyShare, LockWait::Wait).await?;
        let (Locked::Unchanged(Some(value)) | Locked::Newer(Some(value))) = locked else { continue };
        let found = stored_row(parent, &value)?;
        let still = context.transaction.get_newest(&entry).await?.is_some_and(|now| now == holder);
        if still && !key.referred.iter().any(|column| found[*column].is_null()) {
            if context.foreign.checked.len() < REMEMBERED_MAX {
                context.foreign.checked.insert(known);
            }
            return Ok(true);
        }
    }
    Ok(false)
}

/// The end of a statement: everything that was put off, until nothing is left.
pub(crate) async fn settle(context: &mut Context<'_>) -> PgResult<()> {
    if context.foreign.left.is_empty() {
        return Ok(());
    }
    // What others committed until we had the locks is seen now.
    context.transaction.statement().await?;
    context.foreign.checked.clear();
    let mut steps = 0usize;
    while let Some(event) = context.foreign.left.pop_front() {
        match event {
            Event::Refers { table, key, row } => {
                let child = context.foreign.table(table)?;
                let Some(key) = child.table.foreign_key(key) else { continue };
                if !is_satisfied(context, &child.table, key, &row).await? {
                    let related = context.foreign.table(key.table)?;
                    let reference = Reference { child: &child.table, key, parent: &related.table };
                    return Err(reference.missing(&row, context.environment));
                }
            }
            Event::Twice(twin) => {
                if twin.remains(&mut *context.transaction).await? {
                    return Err(twin.error);
                }
            }
            Event::Changed { table, old, new } => changed(context, table, &old, new.as_deref()).await?,
        }
        steps += 1;
        if steps % 256 == 0 {
            context.transaction.spill().await?;
            tokio::task::yield_now().await;
        }
    }
    Ok(())
}

async fn changed(context: &mut Context<'_>, table: Oid, old: &[Datum], new: Option<&[Datum]>) -> PgResult<()> {
    let parent = context.foreign.table(table)?;
    for (child, key) in parent.table.referenced_by.clone() {
        let child = context.foreign.table(child)?;
        let Some(key) = child.table.foreign_key(key) else { continue };
        if key.referred.iter().any(|column| old[*column].is_null()) {
            continue;
        }
        if new.is_some_and(|new| key.referred.iter().all(|column| old[*column] == new[*column])) {
            continue;
        }
        let action = if new.is_some() { key.on_update } else { key.on_delete };
        let reference = Reference { child: &child.table, key, parent: &parent.table };
        if action == ReferentialAction::NoAction && context.foreign.modes.defers(key) {
            let gone = DeferredCheck::Gone { child: child.table.oid, key: key.oid, old: old.to_vec() };
            context.foreign.deferred.push(gone);
            continue;
        }
        if action == ReferentialAction::NoAction && key_is_back(context, &reference, old).await? {
            continue;
        }
        let rows = referring(
            context,
            &reference,
            old,
            matches!(action, ReferentialAction::NoAction | ReferentialAction::Restrict),
        )
        .await?;
        for (id, _) in rows {
            if matches!(action, ReferentialAction::NoAction | ReferentialAction::Restrict) {
                return Err(reference.still_referenced(old, context.environment));
            }
            act(context, &child, key, action, id, old, new, &parent.table).await?;
        }
        // The default may be the very key that goes.
        if action == ReferentialAction::SetDefault
            && !key_is_back(context, &reference, old).await?
            && !referring(context, &reference, old, true).await?.is_empty()
        {
            return Err(reference.still_referenced(old, context.environment));
        }
    }
    Ok(())
}

/// Another row has the key now.
pub(super) async fn key_is_back(context: &mut Context<'_>, reference: &Reference<'_>, old: &[Datum]) -> PgResult<bool> {
    let parent = reference.parent;
    let Some(index) = parent.index(reference.key.index) else { return Ok(false) };
    let columns = index.keys.iter().map(|key| (parent.columns[key.column].type_oid, &old[key.column], key.descending));
    let entry = entry_key(index.storage, index.uniqueness(), columns, RowId(0)).key;
    Ok(context.transaction.get_newest(&entry).await?.is_some())
}

/// One referring row, by the action.
#[allow(clippy::too_many_arguments)]
async fn act(
    context: &mut Context<'_>,
    child: &RelatedTable,
    key: &ForeignKey,
    action: ReferentialAction,
    id: RowId,
    old_parent: &[Datum],
    new_parent: Option<&[Datum]>,
    parent: &Table,
) -> PgResult<()> {
    let table = &*child.table;
    let locked = context.lock(&row_key(table.storage, id), LockStrength::Update, LockWait::Wait).await?;
    let (Locked::Unchanged(Some(value)) | Locked::Newer(Some(value))) = locked else { return Ok(()) };
    let old = stored_row(table, &value)?;
    let reference = Reference { child: table, key, parent };
    if !refers(&reference, &old, old_parent) {
        return Ok(());
    }
    if action == ReferentialAction::Cascade && new_parent.is_none() {
        let deleted = delete_row(context, table, &child.rules, &old, id).await;
        return deleted.map_err(|error| within(error, &delete_text(table, key)));
    }
    let mut new = old.clone();
    let mut set: Vec<usize> = key.columns.clone();
    match (action, new_parent) {
        (ReferentialAction::Cascade, Some(new_parent)) => {
            for (own, referred) in key.columns.iter().zip(&key.referred) {
                let (from, to) = (parent.columns[*referred].type_oid, table.columns[*own].type_oid);
                let out_of_range = || {
                    let message = format!("{} out of range", trivet_types::display_name(to, -1));
                    PgError::new(sqlstate::NUMERIC_VALUE_OUT_OF_RANGE, message)
                };
                new[*own] = converted(&new_parent[*referred], from, to).ok_or_else(out_of_range)?;
            }
        }
        (action, new_parent) => {
            if new_parent.is_none() && !key.set_columns.is_empty() {
                set.clone_from(&key.set_columns);
            }
            for column in &set {
                new[*column] = match action {
                    ReferentialAction::SetDefault => match child.defaults.iter().find(|(at, _)| at == column) {
                        Some((_, default)) => default.evaluate(context).await?,
                        None => Datum::Null,
                    },
                    _ => Datum::Null,
                };
            }
        }
    }
    let changes_key = set.iter().any(|column| table.is_in_unique_index(*column));
    let done = async {
        child.rules.generate(context.environment, &mut new)?;
        check_row(table, &child.rules.checks, &new, context)?;
        update_row(context, table, &child.rules, &old, &new, id, changes_key).await
    };
    done.await.map_err(|error| within(error, &update_text(table, key, &set, action)))
}

fn within(mut error: Box<PgError>, statement: &str) -> Box<PgError> {
    let line = format!("SQL statement \"{statement}\"");
    error.context = Some(match error.context.take() {
        Some(context) => format!("{context}\n{line}"),
        None => line,
    });
    error
}

fn qualified(table: &Table) -> String {
    let quoted = |name: &str| format!("\"{}\"", name.replace('"', "\"\""));
    format!("ONLY {}.{}", quoted(&table.schema_name), quoted(&table.name))
}

fn conditions(table: &Table, key: &ForeignKey, first: usize) -> String {
    let terms = key.columns.iter().enumerate().map(|(at, column)| {
        let name = table.columns[*column].name.replace('"', "\"\"");
        format!("${} OPERATOR(pg_catalog.=) \"{name}\"", first + at)
    });
    terms.collect::<Vec<_>>().join(" AND ")
}

/// The statements that PostgreSQL runs for an action, which it names in the context of errors.
fn delete_text(table: &Table, key: &ForeignKey) -> String {
    format!("DELETE FROM {} WHERE {}", qualified(table), conditions(table, key, 1))
}

fn update_text(table: &Table, key: &ForeignKey, set: &[usize], action: ReferentialAction) -> String {
    let cascades = action == ReferentialAction::Cascade;
    let assignments = set.iter().enumerate().map(|(at, column)| {
        let name = table.columns[*column].name.replace('"', "\"\"");
        match action {
            ReferentialAction::Cascade => format!("\"{name}\" = ${}", at + 1),
            ReferentialAction::SetDefault => format!("\"{name}\" = DEFAULT"),
            _ => format!("\"{name}\" = NULL"),
        }
    });
    let first = if cascades { set.len() + 1 } else { 1 };
    let assignments = assignments.collect::<Vec<_>>().join(", ");
    format!("UPDATE {} SET {assignments} WHERE {}", qualified(table), conditions(table, key, first))
}

/// Does a row of the child refer to the key that a parent's row has?
fn refers(reference: &Reference<'_>, child_row: &[Datum], parent_row: &[Datum]) -> bool {
    let pairs = reference.key.columns.iter().zip(&reference.key.referred);
    pairs.into_iter().all(|(own, referred)| {
        let (from, to) = (reference.parent.columns[*referred].type_oid, reference.child.columns[*own].type_oid);
        let Some(wanted) = converted(&parent_row[*referred], from, to) else { return false };
        let encoded = |value: &Datum| {
            let mut bytes = BytesMut::new();
            encode_column(to, value, false, &mut bytes);
            bytes
        };
        !child_row[*own].is_null() && encoded(&child_row[*own]) == encoded(&wanted)
    })
}

/// The rows that refer to a parent's row; one is enough if `any`. By an index whose first columns are the key's, if there is one.
pub(super) async fn referring(
    context: &mut Context<'_>,
    reference: &Reference<'_>,
    parent_row: &[Datum],
    any: bool,
) -> PgResult<Vec<(RowId, Row)>> {
    let (child, key) = (reference.child, reference.key);
    let count = key.columns.len();
    let index = child.indexes.iter().find(|index| {
        index.is_plain()
            && index.keys.len() >= count
            && index.keys[..count].iter().all(|found| key.columns.contains(&found.column))
    });
    let mut found = Vec::new();
    let mut range = match index {
        None => table_range(child.storage),
        Some(index) => {
            let mut prefix = index_prefix(index.storage, 32);
            for index_key in &index.keys[..count] {
                let at = key.columns.iter().position(|column| *column == index_key.column);
                let referred = key.referred[at.expect("the index was chosen for its columns")];
                let (from, to) =
                    (reference.parent.columns[referred].type_oid, child.columns[index_key.column].type_oid);
                let Some(value) = converted(&parent_row[referred], from, to) else { return Ok(found) };
                encode_column(to, &value, index_key.descending, &mut prefix);
            }
            let start = prefix.freeze();
            KeyRange { end: prefix_end(&start), start }
        }
    };
    if context.transaction.isolation() != Isolation::ReadCommitted {
        // The snapshot is older than the lock: what came between would not be seen.
        context.transaction.guard_range(range.clone());
    }
    loop {
        let rows = context.transaction.scan(&range, false, ROWS_A_STEP).await?;
        for row in &rows {
            let (id, value) = match index {
                None => (row_id_of(&row.key), Some(row.value.clone())),
                Some(_) => {
                    let id = entry_row_id(&row.key, &row.value)?;
                    (Some(id), context.transaction.get(&row_key(child.storage, id)).await?)
                }
            };
            let (Some(id), Some(value)) = (id, value) else { continue };
            let values = stored_row(child, &value)?;
            if refers(reference, &values, parent_row) {
                found.push((id, values));
                if any {
                    return Ok(found);
                }
            }
        }
        match rows.last() {
            Some(last) if rows.len() == ROWS_A_STEP => range.start = after(&last.key),
            _ => return Ok(found),
        }
    }
}
