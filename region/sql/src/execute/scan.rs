//! Reading a table: whole, by an index's range, by unique keys.
use super::memory::Held;
use super::watch::Watched;
use super::{Arc, BATCH_ROWS, Context, Operator, Row};
use crate::catalog::Table;
use crate::layout::{ROW_KEY_BYTES, RowDecoder, RowId, after, row_id_of, row_key, table_range};
use crate::plan::{Access, Lookup, ScanNode, lookup};
use async_trait::async_trait;
use bytes::Bytes;
use trivet_storage::KeyRange;
use trivet_types::{Datum, PgError, PgResult, sqlstate};

/// The first batch of a scan is small: many scans are asked for one row.
const FIRST_BATCH_ROWS: usize = 64;

pub(crate) struct ScanOperator {
    scan: Arc<ScanNode>,
    state: State,
    batch: usize,
}

enum State {
    Start,
    Table(KeyRange),
    /// Unique keys that are left, last first.
    Points(Vec<Bytes>),
    /// Index ranges that are left, last first.
    Ranges(Vec<KeyRange>),
    /// What several indexes have to be asked for.
    Indexes(Vec<Lookup>),
    /// Rows that are left, which are counted while they are kept.
    Rows {
        ids: std::vec::IntoIter<RowId>,
        _held: Held,
    },
    End,
}

impl ScanOperator {
    pub fn new(scan: Arc<ScanNode>) -> ScanOperator {
        ScanOperator { scan, state: State::Start, batch: FIRST_BATCH_ROWS }
    }

    fn start(&self, context: &Context<'_>) -> PgResult<State> {
        Ok(match &self.scan.access {
            Access::Full => State::Table(table_range(self.scan.table.storage)),
            Access::Current => {
                let id = match context.parameters.last() {
                    Some(Datum::Int8(id)) => RowId(*id as u64),
                    _ => return Err(PgError::internal("nobody says which row a cursor stands on")),
                };
                State::Rows { ids: vec![id].into_iter(), _held: context.memory.hold() }
            }
            Access::Any(branches) => {
                let lookups = branches.iter().filter_map(|branch| match branch {
                    Access::Index { storage, probe, unique_point, .. } => {
                        Some(lookup(*storage, probe, *unique_point, context.eval()))
                    }
                    Access::Full | Access::Any(_) | Access::Current => None,
                });
                State::Indexes(lookups.collect::<PgResult<_>>()?)
            }
            Access::Index { storage, probe, unique_point, .. } => {
                match lookup(*storage, probe, *unique_point, context.eval())? {
                    Lookup::Points(mut points) => {
                        points.reverse();
                        State::Points(points)
                    }
                    Lookup::Ranges(mut ranges) => {
                        ranges.reverse();
                        State::Ranges(ranges)
                    }
                }
            }
        })
    }

    /// One stored row, if the filter lets it pass.
    fn pass(&self, context: &Context<'_>, row_id: RowId, value: &Bytes, out: &mut Vec<Row>) -> PgResult<()> {
        let row = decode(&self.scan, row_id, value)?;
        match &self.scan.filter {
            Some(filter) if !filter.test(context.eval(), &row)? => {
                context.note(Watched::of(&self.scan), |found| found.removed += 1);
            }
            _ => out.push(row),
        }
        Ok(())
    }

    /// The ids of all rows that any of the lookups finds, in their order, each once.
    async fn found(&self, context: &mut Context<'_>, lookups: Vec<Lookup>) -> PgResult<State> {
        let mut held = context.memory.hold();
        let mut ids: Vec<RowId> = Vec::new();
        for lookup in lookups {
            match lookup {
                Lookup::Points(points) => {
                    for points in points.chunks(BATCH_ROWS) {
                        let found = context.transaction.get_many(points).await?;
                        ids.append(&mut pointed_at(points, found)?);
                    }
                }
                Lookup::Ranges(ranges) => {
                    for mut range in ranges {
                        loop {
                            let entries = context.transaction.scan(&range, false, BATCH_ROWS).await?;
                            held.grow(entries.len() * std::mem::size_of::<RowId>())?;
                            for entry in &entries {
                                ids.push(entry_row_id(&entry.key, &entry.value)?);
                            }
                            context.breathe(entries.len()).await;
                            match entries.last() {
                                Some(last) if entries.len() == BATCH_ROWS => range.start = after(&last.key),
                                _ => break,
                            }
                        }
                    }
                }
            }
        }
        ids.sort_unstable();
        ids.dedup();
        Ok(State::Rows { ids: ids.into_iter(), _held: held })
    }

    /// Rows by their ids, in the ids' order.
    async fn fetch(&self, context: &mut Context<'_>, ids: &[RowId], out: &mut Vec<Row>) -> PgResult<()> {
        let storage = self.scan.table.storage;
        if let [id] = ids {
            if let Some(value) = context.transaction.get(&row_key(storage, *id)).await? {
                self.pass(context, *id, &value, out)?;
            }
            return Ok(());
        }
        let keys: Vec<Bytes> = ids.iter().map(|id| row_key(storage, *id)).collect();
        let values = context.transaction.get_many(&keys).await?;
        for (id, value) in ids.iter().zip(values) {
            if let Some(value) = value {
                self.pass(context, *id, &value, out)?;
            }
        }
        Ok(())
    }
}

/// Decode the columns that somebody needs; the others are NULL. The row id comes last.
pub(crate) fn decode(scan: &ScanNode, row_id: RowId, value: &Bytes) -> PgResult<Row> {
    let columns = &scan.table.columns;
    let mut row = Vec::with_capacity(columns.len() + 1);
    let mut decoder = RowDecoder::new(value)?;
    let stored = decoder.count();
    for (at, column) in columns[..scan.decode].iter().enumerate() {
        if at >= stored {
            row.push(scan.table.missing_value(at));
        } else if scan.needed[at] {
            row.push(decoder.column(column.type_oid)?);
        } else {
            decoder.skip(column.type_oid)?;
            row.push(Datum::Null);
        }
    }
    row.resize(columns.len(), Datum::Null);
    row.push(Datum::Int8(row_id.0 as i64));
    Ok(row)
}

/// Decode all columns, without the row id.
pub(crate) fn decode_all(table: &Table, value: &Bytes) -> PgResult<Row> {
    let mut row = Vec::with_capacity(table.columns.len() + 1);
    let mut decoder = RowDecoder::new(value)?;
    let stored = decoder.count();
    for (at, column) in table.columns.iter().enumerate() {
        row.push(if at >= stored { table.missing_value(at) } else { decoder.column(column.type_oid)? });
    }
    Ok(row)
}

/// The row id in an index entry: its value, or the end of its key.
pub(crate) fn entry_row_id(key: &[u8], value: &[u8]) -> PgResult<RowId> {
    let bytes = if value.is_empty() { key.len().checked_sub(8).map(|at| &key[at..]) } else { Some(value) };
    let id = bytes.and_then(|bytes| Some(RowId(u64::from_be_bytes(bytes.try_into().ok()?))));
    id.ok_or_else(|| PgError::new(sqlstate::DATA_CORRUPTED, "an index entry names no row"))
}

/// The ids of the rows whose unique entries were found.
fn pointed_at(keys: &[Bytes], found: Vec<Option<Bytes>>) -> PgResult<Vec<RowId>> {
    let there = keys.iter().zip(found).filter_map(|(key, value)| Some((key, value?)));
    there.map(|(key, value)| entry_row_id(key, &value)).collect()
}

#[async_trait]
impl Operator for ScanOperator {
    async fn next(&mut self, context: &mut Context<'_>, wanted: usize) -> PgResult<Vec<Row>> {
        if matches!(self.state, State::Start) {
            self.state = self.start(context)?;
        }
        let mut out = Vec::new();
        while out.is_empty() {
            // With a filter more rows are read than are wanted, but not many at first.
            let limit = if self.scan.filter.is_none() { self.batch.min(wanted) } else { self.batch };
            let limit = limit.min(wanted.max(FIRST_BATCH_ROWS));
            match &mut self.state {
                State::Start => unreachable!("started above"),
                State::End => return Ok(out),
                State::Indexes(lookups) => {
                    let lookups = std::mem::take(lookups);
                    self.state = self.found(context, lookups).await?;
                    continue;
                }
                State::Rows { ids, .. } => {
                    let ids: Vec<RowId> = ids.by_ref().take(limit).collect();
                    if ids.is_empty() {
                        self.state = State::End;
                        continue;
                    }
                    self.fetch(context, &ids, &mut out).await?;
                }
                State::Table(range) => {
                    let rows = context.transaction.scan(range, false, limit).await?;
                    let next = match rows.last() {
                        Some(last) if rows.len() == limit => {
                            State::Table(KeyRange { start: after(&last.key), end: range.end.clone() })
                        }
                        _ => State::End,
                    };
                    for row in &rows {
                        debug_assert_eq!(row.key.len(), ROW_KEY_BYTES, "a table's range holds row keys");
                        let damaged = || PgError::new(sqlstate::DATA_CORRUPTED, "a row's key is damaged");
                        let id = row_id_of(&row.key).ok_or_else(damaged)?;
                        self.pass(context, id, &row.value, &mut out)?;
                    }
                    self.state = next;
                }
                State::Points(points) => {
                    let Some(point) = points.pop() else {
                        self.state = State::End;
                        continue;
                    };
                    if points.is_empty() {
                        if let Some(value) = context.transaction.get(&point).await? {
                            let id = entry_row_id(&point, &value)?;
                            self.fetch(context, &[id], &mut out).await?;
                        }
                        self.state = State::End;
                        return Ok(out);
                    }
                    let count = limit.min(points.len() + 1).max(1);
                    let mut keys = vec![point];
                    while keys.len() < count {
                        let Some(next) = points.pop() else { break };
                        keys.push(next);
                    }
                    let found = context.transaction.get_many(&keys).await?;
                    let ids = pointed_at(&keys, found)?;
                    self.fetch(context, &ids, &mut out).await?;
                }
                State::Ranges(ranges) => {
                    let Some(range) = ranges.pop() else {
                        self.state = State::End;
                        continue;
                    };
                    let reverse = matches!(self.scan.access, Access::Index { reverse: true, .. });
                    let entries = context.transaction.scan(&range, reverse, limit).await?;
                    if let Some(last) = entries.last().filter(|_| entries.len() == limit) {
                        ranges.push(if reverse {
                            KeyRange { start: range.start, end: last.key.clone() }
                        } else {
                            KeyRange { start: after(&last.key), end: range.end }
                        });
                    }
                    let mut ids = Vec::with_capacity(entries.len());
                    for entry in &entries {
                        ids.push(entry_row_id(&entry.key, &entry.value)?);
                    }
                    self.fetch(context, &ids, &mut out).await?;
                }
            }
            self.batch = (self.batch * 4).min(BATCH_ROWS);
            if out.is_empty() {
                tokio::task::yield_now().await;
            }
        }
        Ok(out)
    }
}
