//! What a proposal's payload says. One record is one log entry; `docs/formats/records.md` draws the bytes.
//!
//! ```text
//!  +------+---------+------+------------------------------+------------+
//!  | 0x54 | version | kind | body, by kind                | crc32c     |
//!  +------+---------+------+------------------------------+------------+
//! ```
//!
//! Invariants that decoding checks, so that nobody behind it has to
//! - R1: keys are strictly ascending: each once.
//! - R2: ranges are not empty.
//! - R3: every position named is in the record's position table, which the certifier looks at once.
//! - R4: the same record always has the same bytes, and all bytes are accounted for.
use crate::api::{Action, LockStrength, WriteKind};
use crate::bytes::{Reader, put_bytes, put_varint};
use bytes::Bytes;
use trivet_log::{Boot, Index, NodeId, Position, Term};
use trivet_storage::KeyRange;

const MAGIC: u8 = 0x54;
const VERSION: u8 = 1;
const CRC_LENGTH: usize = 4;

/// The certification rule that this build knows. A horizon record names the one in force, so that a new rule is
/// switched on at one place of the log (T5).
pub const RULES_VERSION: u64 = 1;

#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RecordError {
    #[error("record ends too early")]
    Truncated,
    #[error("record is of version {0}, this build knows version {VERSION}")]
    Version(u8),
    #[error("record's checksum does not match")]
    Checksum,
    #[error("record is malformed: {0}")]
    Malformed(&'static str),
}

/// Names a transaction: where and in which boot it began, and a counter.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct TransactionId {
    pub region: NodeId,
    pub boot: Boot,
    pub sequence: u64,
}

impl std::fmt::Display for TransactionId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}.{}.{}", self.region.0, self.boot.0, self.sequence)
    }
}

/// What a transaction does with one key.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Access {
    Put {
        value: Bytes,
        kind: WriteKind,
    },
    /// A tombstone; of UPDATE strength.
    Delete,
    /// Locked and not written.
    Guard(LockStrength),
    /// Only in parts and finals: what an earlier part says of this key was rolled back.
    Void,
}

/// How an access is remembered by the certifier: its strength, and whether it wrote.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Hash)]
pub struct Mark {
    pub strength: LockStrength,
    pub writes: bool,
}

impl Access {
    pub fn mark(&self) -> Option<Mark> {
        match self {
            Access::Put { kind: WriteKind::NoKeyUpdate, .. } => {
                Some(Mark { strength: LockStrength::NoKeyUpdate, writes: true })
            }
            Access::Put { kind: WriteKind::Update, .. } | Access::Delete => {
                Some(Mark { strength: LockStrength::Update, writes: true })
            }
            Access::Guard(strength) => Some(Mark { strength: *strength, writes: false }),
            Access::Void => None,
        }
    }
}

/// A key with what was done and what that relied on (T1, T2): no writer after `read_at`, no conflicting guard after
/// `lock_at`, and no writer of UPDATE strength after `key_at`.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct KeyAccess {
    pub key: Bytes,
    pub access: Access,
    pub read_at: Position,
    pub lock_at: Position,
    /// `None`: as `read_at`. Older if the key was first locked FOR KEY SHARE and then, on a newer version, more strongly.
    pub key_at: Option<Position>,
}

/// No key of `range` was written after `read_at`.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct RangeGuard {
    pub range: KeyRange,
    pub read_at: Position,
}

/// `key` was not written after `read_at`.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct KeyGuard {
    pub key: Bytes,
    pub read_at: Position,
}

/// A whole transaction; or the end of a large one, whose writes lie in `parts` earlier records.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct CommitRecord {
    pub transaction: TransactionId,
    pub snapshot: Position,
    /// The origin will not ask again for the fate of ids below this one of its boot (T4).
    pub low_water: u64,
    /// 0: everything is here. Else parts 0..parts of `transaction` come first, in order, later ones overriding.
    pub parts: u32,
    pub keys: Vec<KeyAccess>,
    /// Schema keys of the tables that it touched (T19).
    pub schema_guards: Vec<KeyGuard>,
    /// Keys that it read, and has neither locked nor written (T18).
    pub reads: Vec<KeyGuard>,
    pub ranges: Vec<RangeGuard>,
    pub actions: Vec<Action>,
}

/// A piece of a large transaction (T8): kept, without effect, until the final or the end of the origin's boot.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct PartRecord {
    pub transaction: TransactionId,
    pub low_water: u64,
    pub number: u32,
    /// Where its keys lie: at most [`PART_RANGES_MAX`] ranges that cover all of them.
    pub ranges: Vec<KeyRange>,
    pub keys: Vec<KeyAccess>,
}

pub const PART_RANGES_MAX: usize = 8;

#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Record {
    Commit(CommitRecord),
    Part(PartRecord),
    /// The parts of this transaction will get no final.
    Abandon {
        transaction: TransactionId,
        low_water: u64,
    },
    /// Positions below `horizon` are refused from here on (T5, T12).
    Horizon {
        horizon: Position,
        low_water: u64,
        rules: u64,
    },
}

mod kind {
    pub const COMMIT: u8 = 1;
    pub const FINAL: u8 = 2;
    pub const PART: u8 = 3;
    pub const ABANDON: u8 = 4;
    pub const HORIZON: u8 = 5;
}

mod tag {
    pub const PUT_NO_KEY_UPDATE: u8 = 0;
    pub const PUT_UPDATE: u8 = 1;
    pub const DELETE: u8 = 2;
    pub const VOID: u8 = 3;
    /// Plus the strength, 0 to 3.
    pub const GUARD: u8 = 4;
    pub const GUARD_LAST: u8 = 7;
    /// Added: `read_at` and `lock_at` are both entry 0 of the position table.
    pub const AT_FIRST: u8 = 0x80;
    /// Added: there is a `key_at`.
    pub const KEY_AT: u8 = 0x40;
}

const STRENGTHS: [LockStrength; 4] =
    [LockStrength::KeyShare, LockStrength::Share, LockStrength::NoKeyUpdate, LockStrength::Update];

impl Record {
    pub fn low_water(&self) -> u64 {
        match self {
            Record::Commit(record) => record.low_water,
            Record::Part(part) => part.low_water,
            Record::Abandon { low_water, .. } | Record::Horizon { low_water, .. } => *low_water,
        }
    }

    pub fn encode(&self) -> Bytes {
        let mut out = Vec::with_capacity(self.size_hint());
        out.extend_from_slice(&[MAGIC, VERSION]);
        match self {
            Record::Commit(record) => {
                out.push(if record.parts == 0 { kind::COMMIT } else { kind::FINAL });
                encode_commit(&mut out, record);
            }
            Record::Part(part) => {
                out.push(kind::PART);
                encode_part(&mut out, part);
            }
            Record::Abandon { transaction, low_water } => {
                out.push(kind::ABANDON);
                put_transaction(&mut out, *transaction);
                put_varint(&mut out, *low_water);
            }
            Record::Horizon { horizon, low_water, rules } => {
                out.push(kind::HORIZON);
                put_position(&mut out, *horizon);
                put_varint(&mut out, *low_water);
                put_varint(&mut out, *rules);
            }
        }
        let crc = crc32fast::hash(&out);
        out.extend_from_slice(&crc.to_le_bytes());
        Bytes::from(out)
    }

    /// Never panics, whatever the bytes. Keys and values share `bytes`' buffer.
    pub fn decode(bytes: &Bytes) -> Result<Record, RecordError> {
        let body_end = bytes.len().checked_sub(CRC_LENGTH).ok_or(RecordError::Truncated)?;
        let (body, crc) = bytes.split_at(body_end);
        if crc32fast::hash(body).to_le_bytes() != crc {
            return Err(RecordError::Checksum);
        }
        let mut reader = Reader::new(bytes.slice(..body_end));
        if reader.byte()? != MAGIC {
            return Err(RecordError::Malformed("it does not begin with the magic byte"));
        }
        let version = reader.byte()?;
        if version != VERSION {
            return Err(RecordError::Version(version));
        }
        let record = match reader.byte()? {
            kind::COMMIT => Record::Commit(decode_commit(&mut reader, false)?),
            kind::FINAL => Record::Commit(decode_commit(&mut reader, true)?),
            kind::PART => Record::Part(decode_part(&mut reader)?),
            kind::ABANDON => {
                Record::Abandon { transaction: read_transaction(&mut reader)?, low_water: reader.varint()? }
            }
            kind::HORIZON => Record::Horizon {
                horizon: read_position(&mut reader)?,
                low_water: reader.varint()?,
                rules: reader.varint()?,
            },
            _ => return Err(RecordError::Malformed("its kind is unknown")),
        };
        reader.end()?;
        Ok(record)
    }

    fn size_hint(&self) -> usize {
        let keys = match self {
            Record::Commit(record) => &record.keys,
            Record::Part(part) => &part.keys,
            _ => return 64,
        };
        let size =
            |k: &KeyAccess| k.key.len() + 8 + if let Access::Put { value, .. } = &k.access { value.len() } else { 0 };
        128 + keys.iter().map(size).sum::<usize>()
    }
}

/// Distinct positions of a record, each written once (R3).
struct PositionTable {
    positions: Vec<Position>,
}

impl PositionTable {
    fn of(first: Option<Position>, keys: &[KeyAccess], others: impl Iterator<Item = Position>) -> PositionTable {
        let mut table = PositionTable { positions: first.into_iter().collect() };
        for key in keys {
            table.add(key.read_at);
            table.add(key.lock_at);
            key.key_at.into_iter().for_each(|position| table.add(position));
        }
        others.for_each(|position| table.add(position));
        table
    }
    fn add(&mut self, position: Position) {
        // Nearly always one of the newest few; a record with thousands of distinct positions pays once.
        if !self.positions.iter().rev().take(16).any(|p| *p == position) && !self.positions.contains(&position) {
            self.positions.push(position);
        }
    }
    fn index(&self, position: Position) -> u64 {
        self.positions.iter().position(|p| *p == position).expect("every position was added above") as u64
    }
    fn write(&self, out: &mut Vec<u8>) {
        put_varint(out, self.positions.len() as u64);
        for position in &self.positions {
            put_position(out, *position);
        }
    }
    fn read(reader: &mut Reader) -> Result<PositionTable, RecordError> {
        let count = reader.count(2)?;
        let positions = (0..count).map(|_| read_position(reader)).collect::<Result<Vec<_>, _>>()?;
        Ok(PositionTable { positions })
    }
    fn at(&self, index: u64) -> Result<Position, RecordError> {
        let found = usize::try_from(index).ok().and_then(|index| self.positions.get(index));
        found.copied().ok_or(RecordError::Malformed("it names a position that is not in its table"))
    }
}

fn encode_commit(out: &mut Vec<u8>, record: &CommitRecord) {
    put_transaction(out, record.transaction);
    put_varint(out, record.low_water);
    if record.parts > 0 {
        put_varint(out, u64::from(record.parts));
    }
    let guards = record.schema_guards.iter().chain(&record.reads);
    let others = guards.map(|guard| guard.read_at).chain(record.ranges.iter().map(|range| range.read_at));
    let table = PositionTable::of(Some(record.snapshot), &record.keys, others);
    table.write(out);
    put_keys(out, &table, &record.keys);
    for guards in [&record.schema_guards, &record.reads] {
        put_varint(out, guards.len() as u64);
        for guard in guards {
            put_bytes(out, &guard.key);
            put_varint(out, table.index(guard.read_at));
        }
    }
    put_varint(out, record.ranges.len() as u64);
    for guard in &record.ranges {
        put_range(out, &guard.range);
        put_varint(out, table.index(guard.read_at));
    }
    put_varint(out, record.actions.len() as u64);
    for action in &record.actions {
        match action {
            Action::FillIndex { table, index, spec } => {
                out.push(1);
                put_range(out, table);
                put_range(out, index);
                put_bytes(out, spec);
            }
            Action::DropRange { range } => {
                out.push(2);
                put_range(out, range);
            }
        }
    }
}

fn decode_commit(reader: &mut Reader, is_final: bool) -> Result<CommitRecord, RecordError> {
    let transaction = read_transaction(reader)?;
    let low_water = reader.varint()?;
    let parts = if is_final { read_u32(reader)? } else { 0 };
    if is_final && parts == 0 {
        return Err(RecordError::Malformed("a final without parts"));
    }
    let table = PositionTable::read(reader)?;
    let snapshot = table.at(0)?;
    let keys = read_keys(reader, &table, is_final)?;
    let schema_guards = read_guards(reader, &table)?;
    let reads = read_guards(reader, &table)?;
    let count = reader.count(3)?;
    let mut ranges = Vec::with_capacity(count);
    for _ in 0..count {
        ranges.push(RangeGuard { range: read_range(reader)?, read_at: table.at(reader.varint()?)? });
    }
    let count = reader.count(3)?;
    let mut actions = Vec::with_capacity(count);
    for _ in 0..count {
        actions.push(match reader.byte()? {
            1 => Action::FillIndex { table: read_range(reader)?, index: read_range(reader)?, spec: reader.bytes()? },
            2 => Action::DropRange { range: read_range(reader)? },
            _ => return Err(RecordError::Malformed("an action's kind is unknown")),
        });
    }
    Ok(CommitRecord { transaction, snapshot, low_water, parts, keys, schema_guards, reads, ranges, actions })
}

fn read_guards(reader: &mut Reader, table: &PositionTable) -> Result<Vec<KeyGuard>, RecordError> {
    let count = reader.count(2)?;
    let mut guards = Vec::with_capacity(count);
    for _ in 0..count {
        guards.push(KeyGuard { key: reader.bytes()?, read_at: table.at(reader.varint()?)? });
    }
    Ok(guards)
}

fn encode_part(out: &mut Vec<u8>, part: &PartRecord) {
    put_transaction(out, part.transaction);
    put_varint(out, part.low_water);
    put_varint(out, u64::from(part.number));
    put_varint(out, part.ranges.len() as u64);
    for range in &part.ranges {
        put_range(out, range);
    }
    let table = PositionTable::of(None, &part.keys, std::iter::empty());
    table.write(out);
    put_keys(out, &table, &part.keys);
}

fn decode_part(reader: &mut Reader) -> Result<PartRecord, RecordError> {
    let transaction = read_transaction(reader)?;
    let low_water = reader.varint()?;
    let number = read_u32(reader)?;
    let ranges = read_part_ranges(reader)?;
    let table = PositionTable::read(reader)?;
    let keys = read_keys(reader, &table, true)?;
    Ok(PartRecord { transaction, low_water, number, ranges, keys })
}

fn read_part_ranges(reader: &mut Reader) -> Result<Vec<KeyRange>, RecordError> {
    let count = reader.count(2)?;
    if count > PART_RANGES_MAX {
        return Err(RecordError::Malformed("a part has too many ranges"));
    }
    (0..count).map(|_| read_range(reader)).collect()
}

fn put_keys(out: &mut Vec<u8>, table: &PositionTable, keys: &[KeyAccess]) {
    put_varint(out, keys.len() as u64);
    for KeyAccess { key, access, read_at, lock_at, key_at } in keys {
        put_bytes(out, key);
        let tag = match access {
            Access::Put { kind: WriteKind::NoKeyUpdate, .. } => tag::PUT_NO_KEY_UPDATE,
            Access::Put { kind: WriteKind::Update, .. } => tag::PUT_UPDATE,
            Access::Delete => tag::DELETE,
            Access::Void => tag::VOID,
            Access::Guard(strength) => tag::GUARD + *strength as u8,
        };
        let tag = tag | if key_at.is_some() { tag::KEY_AT } else { 0 };
        let (read_at, lock_at) = (table.index(*read_at), table.index(*lock_at));
        if (read_at, lock_at) == (0, 0) {
            out.push(tag | tag::AT_FIRST);
        } else {
            out.push(tag);
            put_varint(out, read_at);
            put_varint(out, lock_at);
        }
        if let Some(key_at) = key_at {
            put_varint(out, table.index(*key_at));
        }
        if let Access::Put { value, .. } = access {
            put_bytes(out, value);
        }
    }
}

fn read_keys(reader: &mut Reader, table: &PositionTable, of_large: bool) -> Result<Vec<KeyAccess>, RecordError> {
    let count = reader.count(2)?;
    let mut keys: Vec<KeyAccess> = Vec::with_capacity(count);
    for _ in 0..count {
        let key = reader.bytes()?;
        if keys.last().is_some_and(|last| last.key >= key) {
            return Err(RecordError::Malformed("its keys are not ascending"));
        }
        let tag = reader.byte()?;
        let (read_at, lock_at) = if tag & tag::AT_FIRST != 0 {
            (table.at(0)?, table.at(0)?)
        } else {
            let (read_at, lock_at) = (reader.varint()?, reader.varint()?);
            if (read_at, lock_at) == (0, 0) {
                return Err(RecordError::Malformed("a key spells out what a flag says"));
            }
            (table.at(read_at)?, table.at(lock_at)?)
        };
        let key_at = if tag & tag::KEY_AT != 0 { Some(table.at(reader.varint()?)?) } else { None };
        let access = match tag & !(tag::AT_FIRST | tag::KEY_AT) {
            tag::PUT_NO_KEY_UPDATE => Access::Put { value: reader.bytes()?, kind: WriteKind::NoKeyUpdate },
            tag::PUT_UPDATE => Access::Put { value: reader.bytes()?, kind: WriteKind::Update },
            tag::DELETE => Access::Delete,
            tag::VOID if of_large => Access::Void,
            guard @ tag::GUARD..=tag::GUARD_LAST => Access::Guard(STRENGTHS[usize::from(guard - tag::GUARD)]),
            _ => return Err(RecordError::Malformed("a key's tag is unknown")),
        };
        keys.push(KeyAccess { key, access, read_at, lock_at, key_at });
    }
    Ok(keys)
}

fn put_transaction(out: &mut Vec<u8>, id: TransactionId) {
    out.push(id.region.0);
    put_varint(out, id.boot.0);
    put_varint(out, id.sequence);
}

fn read_transaction(reader: &mut Reader) -> Result<TransactionId, RecordError> {
    Ok(TransactionId { region: NodeId(reader.byte()?), boot: Boot(reader.varint()?), sequence: reader.varint()? })
}

fn put_position(out: &mut Vec<u8>, position: Position) {
    put_varint(out, position.term.0);
    put_varint(out, position.index.0);
}

fn read_position(reader: &mut Reader) -> Result<Position, RecordError> {
    Ok(Position { term: Term(reader.varint()?), index: Index(reader.varint()?) })
}

fn read_u32(reader: &mut Reader) -> Result<u32, RecordError> {
    u32::try_from(reader.varint()?).map_err(|_| RecordError::Malformed("a number has more than 32 bits"))
}

pub(crate) fn put_range(out: &mut Vec<u8>, range: &KeyRange) {
    put_bytes(out, &range.start);
    put_bytes(out, &range.end);
}

pub(crate) fn read_range(reader: &mut Reader) -> Result<KeyRange, RecordError> {
    let range = KeyRange { start: reader.bytes()?, end: reader.bytes()? };
    if !range.end.is_empty() && range.start >= range.end {
        return Err(RecordError::Malformed("a range is empty"));
    }
    Ok(range)
}

/// The ranges that a stored part carries, without decoding its keys. `bytes` were decoded once before they were stored.
pub(crate) fn part_ranges(bytes: &Bytes) -> Result<Vec<KeyRange>, RecordError> {
    let body_end = bytes.len().checked_sub(CRC_LENGTH).ok_or(RecordError::Truncated)?;
    let mut reader = Reader::new(bytes.slice(..body_end));
    let head = [reader.byte()?, reader.byte()?, reader.byte()?];
    if head != [MAGIC, VERSION, kind::PART] {
        return Err(RecordError::Malformed("it is not a part"));
    }
    read_transaction(&mut reader)?;
    reader.varint()?;
    read_u32(&mut reader)?;
    read_part_ranges(&mut reader)
}

/// At most [`PART_RANGES_MAX`] ranges that cover ascending `keys`, cut where neighbours have least in common.
pub(crate) fn covering_ranges(keys: &[KeyAccess]) -> Vec<KeyRange> {
    let (Some(first), Some(last)) = (keys.first(), keys.last()) else { return Vec::new() };
    let common = |a: &[u8], b: &[u8]| a.iter().zip(b).take_while(|(x, y)| x == y).count();
    let widest = common(&first.key, &last.key);
    let mut cuts: Vec<(usize, usize)> =
        keys.windows(2).enumerate().map(|(i, pair)| (common(&pair[0].key, &pair[1].key), i + 1)).collect();
    // Neighbours that share more than the whole part does and a table's prefix are not worth a cut.
    cuts.retain(|(shared, _)| *shared <= widest + 4);
    cuts.sort_unstable();
    cuts.truncate(PART_RANGES_MAX - 1);
    let mut starts: Vec<usize> = std::iter::once(0).chain(cuts.into_iter().map(|(_, at)| at)).collect();
    starts.sort_unstable();
    let ends = starts.iter().skip(1).copied().chain(std::iter::once(keys.len()));
    starts
        .iter()
        .zip(ends)
        .map(|(start, end)| KeyRange { start: keys[*start].key.clone(), end: after(&keys[end - 1].key) })
        .collect()
}

/// The least key above `key`.
pub(crate) fn after(key: &[u8]) -> Bytes {
    let mut next = Vec::with_capacity(key.len() + 1);
    next.extend_from_slice(key);
    next.push(0);
    Bytes::from(next)
}

#[cfg(test)]
mod tests;
