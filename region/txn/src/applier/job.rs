//! Background work of a committed entry: the writes of a large transaction, or an index to be filled.
//!
//! A slice is one batch that carries its progress, so a crash repeats at most nothing.
use super::{ApplyError, local};
use crate::api::IndexBuilder;
use crate::bytes::{Reader, put_bytes, put_varint};
use crate::keyset::KeySet;
use crate::record::{Access, Record, RecordError, TransactionId, after, part_ranges, put_range, read_range};
use crate::state::RegionState;
use bytes::Bytes;
use std::collections::{HashMap, VecDeque};
use trivet_log::{Boot, Index, NodeId};
use trivet_storage::{Batch, KeyRange, Store};

const VERSION: u8 = 1;
/// Rows that one slice of an index fill reads.
const FILL_ROWS: usize = 512;

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Job {
    pub(super) version: Index,
    pub(super) ordinal: u16,
    pub(super) work: Work,
    /// Of a large transaction, once it was looked for: keys about which only later parts count.
    voids: Option<Voids>,
}

type Voids = HashMap<Bytes, u32>;

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Work {
    /// Write parts `next..parts` as versions.
    Large { transaction: TransactionId, parts: u32, next: u32 },
    /// Index the rows of `table` from `next` on, as of the version.
    Fill { table: KeyRange, index: KeyRange, spec: Bytes, next: Bytes },
}

pub(super) fn load(store: &dyn Store) -> Result<VecDeque<Job>, ApplyError> {
    local::all(store, local::jobs_range())?
        .into_iter()
        .map(|(key, value)| Job::decode(&key, value).map_err(ApplyError::Bookkeeping))
        .collect()
}

impl Job {
    pub(super) fn new(version: Index, ordinal: u16, work: Work) -> Job {
        Job { version, ordinal, work, voids: None }
    }

    pub(super) fn key(&self) -> Bytes {
        local::versioned(b'j', self.version, self.ordinal)
    }

    pub(super) fn encode(&self) -> Bytes {
        let mut out = vec![VERSION];
        match &self.work {
            Work::Large { transaction, parts, next } => {
                out.extend_from_slice(&[1, transaction.region.0]);
                for number in [transaction.boot.0, transaction.sequence, u64::from(*parts), u64::from(*next)] {
                    put_varint(&mut out, number);
                }
            }
            Work::Fill { table, index, spec, next } => {
                out.push(2);
                put_range(&mut out, table);
                put_range(&mut out, index);
                put_bytes(&mut out, spec);
                put_bytes(&mut out, next);
            }
        }
        Bytes::from(out)
    }

    fn decode(key: &Bytes, value: Bytes) -> Result<Job, RecordError> {
        let (version, ordinal) =
            local::read_versioned(key).ok_or(RecordError::Malformed("a job's key is too short"))?;
        let mut reader = Reader::new(value);
        let format = reader.byte()?;
        if format != VERSION {
            return Err(RecordError::Version(format));
        }
        let small = |number: u64| u32::try_from(number).map_err(|_| RecordError::Malformed("too many parts"));
        let work = match reader.byte()? {
            1 => Work::Large {
                transaction: TransactionId {
                    region: NodeId(reader.byte()?),
                    boot: Boot(reader.varint()?),
                    sequence: reader.varint()?,
                },
                parts: small(reader.varint()?)?,
                next: small(reader.varint()?)?,
            },
            2 => Work::Fill {
                table: read_range(&mut reader)?,
                index: read_range(&mut reader)?,
                spec: reader.bytes()?,
                next: reader.bytes()?,
            },
            _ => return Err(RecordError::Malformed("a job's kind is unknown")),
        };
        reader.end()?;
        Ok(Job::new(version, ordinal, work))
    }

    /// Where its writes may lie.
    pub(super) fn gate_ranges(&self, store: &dyn Store) -> Result<Vec<KeyRange>, ApplyError> {
        match &self.work {
            Work::Fill { index, .. } => Ok(vec![index.clone()]),
            Work::Large { transaction, .. } => {
                let mut keys = KeySet::default();
                local::for_each(store, local::parts_of(*transaction), |part| {
                    let ranges = part_ranges(&part).map_err(ApplyError::Bookkeeping)?;
                    ranges.iter().for_each(|range| keys.add_range(range));
                    Ok(())
                })?;
                Ok(keys.ranges().to_vec())
            }
        }
    }

    /// The transaction whose parts it reads.
    pub(super) fn large(&self) -> Option<TransactionId> {
        match &self.work {
            Work::Large { transaction, .. } => Some(*transaction),
            Work::Fill { .. } => None,
        }
    }

    /// One atomic step; `true` when it was the last.
    pub(super) fn slice(
        &mut self,
        state: &RegionState,
        store: &dyn Store,
        builder: &dyn IndexBuilder,
    ) -> Result<bool, ApplyError> {
        let mut batch = Batch::default();
        let done = match &mut self.work {
            Work::Large { transaction, parts, next } => {
                if self.voids.is_none() {
                    self.voids = Some(voids(store, *transaction)?);
                }
                let voids = self.voids.as_ref().expect("looked for above");
                large_slice(store, *transaction, *next, voids, self.version, &mut batch)?;
                *next += 1;
                if next == parts {
                    batch.local_ranges.extend(local::transaction_ranges(*transaction));
                }
                next == parts
            }
            Work::Fill { table, spec, next, .. } => {
                fill_slice(store, builder, table, spec, next, self.version, &mut batch)?
            }
        };
        batch.local.push((self.key(), (!done).then(|| self.encode())));
        state.note_writes(&batch);
        store.apply(batch)?;
        Ok(done)
    }
}

fn large_slice(
    store: &dyn Store,
    transaction: TransactionId,
    number: u32,
    voids: &Voids,
    version: Index,
    batch: &mut Batch,
) -> Result<(), ApplyError> {
    let missing = ApplyError::PartMissing { transaction, number };
    let bytes = store.local(&local::part_key(transaction, number))?.ok_or(missing)?;
    let Ok(Record::Part(part)) = Record::decode(&bytes) else {
        return Err(ApplyError::Bookkeeping(RecordError::Malformed("a stored part is not one")));
    };
    for key in part.keys {
        if voids.get(&key.key).is_some_and(|last| *last > number) {
            continue;
        }
        match key.access {
            Access::Put { value, .. } => batch.writes.push((key.key, version.0, Some(value))),
            Access::Delete => batch.writes.push((key.key, version.0, None)),
            Access::Guard(_) | Access::Void => {}
        }
    }
    Ok(())
}

/// The keys of the final, and those of which a part took back what earlier ones said (a rollback to a savepoint).
fn voids(store: &dyn Store, transaction: TransactionId) -> Result<Voids, ApplyError> {
    let mut voids = HashMap::new();
    for (key, number) in local::all(store, local::voids_of(transaction))? {
        let number: [u8; 4] = number
            .as_ref()
            .try_into()
            .map_err(|_| ApplyError::Bookkeeping(RecordError::Malformed("a void's number is not 4 bytes")))?;
        voids.insert(local::voided_key(&key), u32::from_be_bytes(number));
    }
    Ok(voids)
}

fn fill_slice(
    store: &dyn Store,
    builder: &dyn IndexBuilder,
    table: &KeyRange,
    spec: &Bytes,
    next: &mut Bytes,
    version: Index,
    batch: &mut Batch,
) -> Result<bool, ApplyError> {
    let range = KeyRange { start: next.clone(), end: table.end.clone() };
    let rows = store.scan(&range, version.0, false, FILL_ROWS)?;
    let mut entries = Vec::with_capacity(rows.len());
    for row in &rows {
        builder.entries(spec, row, &mut entries).map_err(ApplyError::Fill)?;
    }
    batch.writes.extend(entries.into_iter().map(|(key, value)| (key, version.0, Some(value))));
    match rows.last() {
        Some(last) if rows.len() == FILL_ROWS => {
            *next = after(&last.key);
            Ok(!table.end.is_empty() && *next >= table.end)
        }
        _ => Ok(true),
    }
}
