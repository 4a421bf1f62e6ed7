//! Keys and values of the applier's bookkeeping in the store's local area.
use super::ApplyError;
use crate::bytes::Reader;
use crate::record::{RecordError, TransactionId, after, put_range, read_range};
use bytes::Bytes;
use std::collections::BTreeMap;
use trivet_log::{Boot, Index, NodeId};
use trivet_storage::{KeyRange, Store};

pub(super) const STATE: &[u8] = b"s";

fn transaction_prefix(kind: u8, transaction: TransactionId) -> Vec<u8> {
    let mut key = Vec::with_capacity(32);
    key.extend_from_slice(&[kind, transaction.region.0]);
    key.extend_from_slice(&transaction.boot.0.to_be_bytes());
    key.extend_from_slice(&transaction.sequence.to_be_bytes());
    key
}

pub(super) fn part_key(transaction: TransactionId, number: u32) -> Bytes {
    let mut key = transaction_prefix(b'p', transaction);
    key.extend_from_slice(&number.to_be_bytes());
    Bytes::from(key)
}

pub(super) fn void_key(transaction: TransactionId, key: &[u8]) -> Bytes {
    let mut local = transaction_prefix(b'v', transaction);
    local.extend_from_slice(key);
    Bytes::from(local)
}

pub(super) fn void_after(number: u32) -> Bytes {
    Bytes::copy_from_slice(&number.to_be_bytes())
}

/// The key of `void_key` without what comes before it.
pub(super) fn voided_key(local: &Bytes) -> Bytes {
    local.slice(local.len().min(18)..)
}

pub(super) fn voids_of(transaction: TransactionId) -> KeyRange {
    range_of(transaction_prefix(b'v', transaction))
}

pub(super) fn parts_of(transaction: TransactionId) -> KeyRange {
    range_of(transaction_prefix(b'p', transaction))
}

/// Everything kept for a transaction.
pub(super) fn transaction_ranges(transaction: TransactionId) -> [KeyRange; 2] {
    [parts_of(transaction), voids_of(transaction)]
}

/// Everything kept for transactions of earlier boots, but for the ones given.
pub(super) fn older_boots(region: NodeId, boot: Boot, kept: impl Iterator<Item = TransactionId>) -> Vec<KeyRange> {
    let mut kept: Vec<TransactionId> = kept.filter(|one| one.region == region && one.boot < boot).collect();
    kept.sort();
    let mut ranges = Vec::new();
    for kind in [b'p', b'v'] {
        let mut start = Bytes::copy_from_slice(&[kind, region.0]);
        for transaction in &kept {
            let own = range_of(transaction_prefix(kind, *transaction));
            ranges.push(KeyRange { start, end: own.start });
            start = own.end;
        }
        let mut end = vec![kind, region.0];
        end.extend_from_slice(&boot.0.to_be_bytes());
        ranges.push(KeyRange { start, end: Bytes::from(end) });
    }
    ranges
}

/// All keys with this prefix, which does not consist of 0xff alone.
fn range_of(prefix: Vec<u8>) -> KeyRange {
    let mut end = prefix.clone();
    while end.last() == Some(&0xff) {
        end.pop();
    }
    *end.last_mut().expect("begins with a letter") += 1;
    KeyRange { start: Bytes::from(prefix), end: Bytes::from(end) }
}

pub(super) fn drop_key(version: Index, ordinal: u16) -> Bytes {
    versioned(b'd', version, ordinal)
}

pub(super) fn versioned(kind: u8, version: Index, ordinal: u16) -> Bytes {
    let mut key = vec![kind];
    key.extend_from_slice(&version.0.to_be_bytes());
    key.extend_from_slice(&ordinal.to_be_bytes());
    Bytes::from(key)
}

pub(super) fn read_versioned(key: &[u8]) -> Option<(Index, u16)> {
    let (version, ordinal) = key.get(1..)?.split_first_chunk::<8>()?;
    let ordinal: [u8; 2] = ordinal.try_into().ok()?;
    Some((Index(u64::from_be_bytes(*version)), u16::from_be_bytes(ordinal)))
}

pub(super) fn encode_drop(range: &KeyRange) -> Bytes {
    let mut out = vec![1];
    put_range(&mut out, range);
    Bytes::from(out)
}

pub(super) fn load_drops(store: &dyn Store) -> Result<BTreeMap<(Index, u16), KeyRange>, ApplyError> {
    let mut drops = BTreeMap::new();
    for (key, value) in all(store, range_of(vec![b'd']))? {
        let at = read_versioned(&key).ok_or(ApplyError::Bookkeeping(RecordError::Malformed("a key is too short")))?;
        let mut reader = Reader::new(value);
        let version = reader.byte().map_err(ApplyError::Bookkeeping)?;
        if version != 1 {
            return Err(ApplyError::Bookkeeping(RecordError::Version(version)));
        }
        drops.insert(at, read_range(&mut reader).map_err(ApplyError::Bookkeeping)?);
    }
    Ok(drops)
}

pub(super) fn jobs_range() -> KeyRange {
    range_of(vec![b'j'])
}

/// Everything of a range; for ranges that hold little.
pub(super) fn all(store: &dyn Store, mut range: KeyRange) -> Result<Vec<(Bytes, Bytes)>, ApplyError> {
    const STEP: usize = 64;
    let mut found = Vec::new();
    loop {
        let step = store.local_scan(&range, STEP)?;
        let ended = step.len() < STEP;
        if let Some((last, _)) = step.last() {
            range.start = after(last);
        }
        found.extend(step);
        if ended {
            return Ok(found);
        }
    }
}

/// The values of a range, one small step at a time; for ranges that hold much.
pub(super) fn for_each(
    store: &dyn Store,
    mut range: KeyRange,
    mut each: impl FnMut(Bytes) -> Result<(), ApplyError>,
) -> Result<(), ApplyError> {
    loop {
        let step = store.local_scan(&range, 4)?;
        let Some((last, _)) = step.last() else { return Ok(()) };
        range.start = after(last);
        for (_, value) in step {
            each(value)?;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_newer_boot_spares_the_parts_that_a_job_has_yet_to_read() {
        let of =
            |region: u8, boot: u64, sequence: u64| TransactionId { region: NodeId(region), boot: Boot(boot), sequence };
        let kept = [of(1, 3, 9), of(1, 2, 7), of(2, 1, 1), of(1, 4, 1)];
        let ranges = older_boots(NodeId(1), Boot(4), kept.into_iter());
        let dropped = |transaction: TransactionId| {
            let keys = [part_key(transaction, 0), part_key(transaction, u32::MAX), void_key(transaction, b"key")];
            let inside = |key: &Bytes| ranges.iter().any(|range| range.start <= *key && *key < range.end);
            let count = keys.iter().filter(|key| inside(key)).count();
            assert!(count == 0 || count == keys.len(), "all of {transaction:?} or nothing");
            count > 0
        };
        let table = [
            (of(1, 2, 6), true),
            (of(1, 2, 7), false),
            (of(1, 2, 8), true),
            (of(1, 3, 8), true),
            (of(1, 3, 9), false),
            (of(1, 3, 10), true),
            (of(1, 4, 1), false),
            (of(1, 5, 1), false),
            (of(2, 1, 1), false),
        ];
        for (transaction, expected) in table {
            assert_eq!(dropped(transaction), expected, "{transaction:?}");
        }
    }
}
