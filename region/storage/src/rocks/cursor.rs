//! Walking the versions of keys, in either direction, to the one that a snapshot sees.
use super::encoding::{self, push_key, push_version, split};
use super::engine;
use super::open::Db;
use crate::{KeyRange, Row, StoreError, Version};
use bytes::Bytes;
use rocksdb::{ColumnFamily, DBRawIteratorWithThreadMode, ReadOptions};

/// Steps over this many versions before a seek: stepping is cheap, a hot key has thousands.
const STEPS_MAX: usize = 6;

pub(crate) type RawIterator<'a> = DBRawIteratorWithThreadMode<'a, Db>;

/// What a snapshot sees of a key.
#[derive(Default)]
pub(crate) struct Found {
    pub version: Option<(Version, Option<Bytes>)>,
    /// No newer version was there when it was looked for.
    pub is_newest: bool,
}

/// The newest version of one key at or below `at`.
pub(crate) fn newest(db: &Db, data: &ColumnFamily, key: &[u8], at: Version) -> Result<Found, StoreError> {
    let mut options = ReadOptions::default();
    // Ends with the key, so no bound is needed; and the filters say at once if there is no such key.
    options.set_prefix_same_as_start(true);
    let mut iterator = db.raw_iterator_cf_opt(data, options);
    let mut sought = encoding::encoded(key);
    let length = sought.len();
    // From the newest on: it is the one, unless the snapshot is old or somebody writes the key right now.
    push_version(Version::MAX, &mut sought);
    iterator.seek(&sought);
    let mut is_newest = true;
    loop {
        let Some((stored, value)) = item(&iterator)? else { return Ok(Found::default()) };
        let (found, version) = split(stored)?;
        if found != &sought[..length] {
            return Ok(Found::default());
        }
        if version <= at {
            return Ok(Found { version: Some((version, encoding::decode_value(value)?)), is_newest });
        }
        is_newest = false;
        sought.truncate(length);
        push_version(at, &mut sought);
        iterator.seek(&sought);
    }
}

/// Live rows of the range at `at`, at most `limit`.
pub(crate) fn scan(
    db: &Db,
    data: &ColumnFamily,
    range: &KeyRange,
    at: Version,
    reverse: bool,
    limit: usize,
) -> Result<Vec<Row>, StoreError> {
    if range.is_empty() || limit == 0 {
        return Ok(Vec::new());
    }
    let mut iterator = db.raw_iterator_cf_opt(data, bounds(range));
    if reverse {
        iterator.seek_to_last();
        descending(&mut iterator, at, limit)
    } else {
        iterator.seek_to_first();
        ascending(&mut iterator, at, limit)
    }
}

/// Read options that see exactly the versions of the range's keys.
pub(crate) fn bounds(range: &KeyRange) -> ReadOptions {
    let mut options = ReadOptions::default();
    options.set_total_order_seek(true);
    options.set_iterate_lower_bound(encoding::encoded(&range.start));
    if !range.end.is_empty() {
        options.set_iterate_upper_bound(encoding::encoded(&range.end));
    }
    options
}

/// A stored key and value.
type Item<'i> = (&'i [u8], &'i [u8]);

/// What the iterator is at, or `None` at the end.
pub(crate) fn item<'i>(iterator: &'i RawIterator<'_>) -> Result<Option<Item<'i>>, StoreError> {
    match iterator.item() {
        Some(item) => Ok(Some(item)),
        None => iterator.status().map(|()| None).map_err(engine),
    }
}

/// A key's versions come newest first: step to the first that is visible, then over the rest.
fn ascending(iterator: &mut RawIterator<'_>, at: Version, limit: usize) -> Result<Vec<Row>, StoreError> {
    let mut rows = Vec::new();
    let mut key = Vec::new();
    let mut steps = 0;
    let mut done = false;
    while let Some((stored, value)) = item(iterator)? {
        let (found, version) = split(stored)?;
        if found != key.as_slice() {
            key.clear();
            key.extend_from_slice(found);
            (steps, done) = (0, false);
        }
        if !done && version <= at {
            done = true;
            steps = 0;
            if let Some(value) = encoding::decode_value(value)? {
                rows.push(Row { key: encoding::decode_key(&key)?, version, value });
                if rows.len() == limit {
                    break;
                }
            }
        }
        steps += 1;
        if steps <= STEPS_MAX {
            iterator.next();
        } else {
            let length = key.len();
            // On to the visible version, or past the oldest one.
            push_version(if done { 0 } else { at }, &mut key);
            if done {
                key.push(0);
            }
            iterator.seek(&key);
            key.truncate(length);
        }
    }
    Ok(rows)
}

/// A key's versions come oldest first: the last one before they become too new is the visible one.
fn descending(iterator: &mut RawIterator<'_>, at: Version, limit: usize) -> Result<Vec<Row>, StoreError> {
    let mut rows = Vec::new();
    let mut key = Vec::new();
    while let Some((stored, _)) = item(iterator)? {
        key.clear();
        key.extend_from_slice(split(stored)?.0);
        let visible = newest_backwards(iterator, &mut key, at)?;
        if let Some((version, Some(value))) = visible {
            rows.push(Row { key: encoding::decode_key(&key)?, version, value });
            if rows.len() == limit {
                break;
            }
        }
    }
    Ok(rows)
}

/// From a key's oldest version: the visible one, if any; leaves the iterator at the key before. `key` is encoded.
fn newest_backwards(
    iterator: &mut RawIterator<'_>,
    key: &mut Vec<u8>,
    at: Version,
) -> Result<Option<(Version, Option<Bytes>)>, StoreError> {
    let mut candidate = None;
    for _ in 0..STEPS_MAX {
        let Some((stored, value)) = item(iterator)? else { return Ok(candidate) };
        let (found, version) = split(stored)?;
        if found != key.as_slice() {
            return Ok(candidate);
        }
        if version <= at {
            candidate = Some((version, encoding::decode_value(value)?));
        }
        iterator.prev();
    }
    // Many versions: straight to the visible one, then to the key before.
    let length = key.len();
    push_version(at, key);
    iterator.seek(&*key);
    key.truncate(length);
    let visible = match item(iterator)? {
        Some((stored, value)) if split(stored)?.0 == key.as_slice() => {
            Some((split(stored)?.1, encoding::decode_value(value)?))
        }
        _ => None,
    };
    // No stored key equals an encoded key without a version, so this is before all of them.
    iterator.seek_for_prev(&*key);
    Ok(visible)
}

/// The end of everything stored: a key just after the last one, or `None` if there is none.
pub(crate) fn after_last(db: &Db, data: &ColumnFamily) -> Result<Option<Vec<u8>>, StoreError> {
    let mut options = ReadOptions::default();
    options.set_total_order_seek(true);
    let mut iterator = db.raw_iterator_cf_opt(data, options);
    iterator.seek_to_last();
    Ok(item(&iterator)?.map(|(stored, _)| {
        let mut after = stored.to_vec();
        after.push(0);
        after
    }))
}

/// Encoded bounds of a range for deletes: start, and end if there is one.
pub(crate) fn encoded_range(range: &KeyRange) -> (Vec<u8>, Option<Vec<u8>>) {
    let mut start = Vec::new();
    push_key(&range.start, &mut start);
    let end = (!range.end.is_empty()).then(|| encoding::encoded(&range.end));
    (start, end)
}
