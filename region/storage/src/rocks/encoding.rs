//! Keys and values as RocksDB holds them.
//!
//! A key goes in groups of eight bytes, each followed by a marker: ff if a further group follows, else f7 + the number
//! of bytes that count in this one (0 to 7; the rest are zeros). Order is kept: groups compare first, and of
//! two keys with equal groups the shorter has the smaller marker. No encoded key is a prefix of another, for the marker
//! that ends one differs from the one that goes on. Nine bytes for eight costs less than escaping zeros, of which ordered
//! integers are full, and its speed does not depend on the bytes.
//!
//! Versions follow inverted and big-endian, so that newer ones come first.
use crate::{StoreError, Version};
use bytes::Bytes;

const GROUP: usize = 8;
/// Markers: `LAST` + bytes that count.
const LAST: u8 = 0xf7;
const MORE: u8 = 0xff;
pub(crate) const VERSION: usize = 8;

const TOMBSTONE: u8 = 0;
const VALUE: u8 = 1;

/// Appends the encoded key, without a version.
pub(crate) fn push_key(key: &[u8], out: &mut Vec<u8>) {
    out.reserve((key.len() / GROUP + 1) * (GROUP + 1) + VERSION);
    let mut groups = key.chunks_exact(GROUP);
    for group in &mut groups {
        out.extend_from_slice(group);
        out.push(MORE);
    }
    let rest = groups.remainder();
    let mut group = [0; GROUP];
    group[..rest.len()].copy_from_slice(rest);
    out.extend_from_slice(&group);
    out.push(LAST + rest.len() as u8);
}

pub(crate) fn encoded(key: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    push_key(key, &mut out);
    out
}

pub(crate) fn push_version(version: Version, out: &mut Vec<u8>) {
    out.extend_from_slice(&(!version).to_be_bytes());
}

/// Encoded key and version of a stored key.
pub(crate) fn split(stored: &[u8]) -> Result<(&[u8], Version), StoreError> {
    match stored.split_last_chunk::<VERSION>() {
        Some((key, version)) if !key.is_empty() => Ok((key, !u64::from_be_bytes(*version))),
        _ => Err(StoreError::Damaged(format!("a stored key of {} bytes", stored.len()))),
    }
}

/// For the bloom filter: what all versions of a key have in common.
pub(crate) fn prefix(stored: &[u8]) -> &[u8] {
    &stored[..stored.len().saturating_sub(VERSION)]
}

pub(crate) fn decode_key(encoded: &[u8]) -> Result<Bytes, StoreError> {
    let damaged = || StoreError::Damaged(format!("an encoded key of {} bytes is not one", encoded.len()));
    let mut key = Vec::with_capacity(encoded.len());
    let mut groups = encoded.chunks_exact(GROUP + 1);
    if !groups.remainder().is_empty() {
        return Err(damaged());
    }
    let last = groups.next_back().ok_or_else(damaged)?;
    for group in groups {
        if group[GROUP] != MORE {
            return Err(damaged());
        }
        key.extend_from_slice(&group[..GROUP]);
    }
    let count = usize::from(last[GROUP].wrapping_sub(LAST));
    if count >= GROUP || last[count..GROUP].iter().any(|&byte| byte != 0) {
        return Err(damaged());
    }
    key.extend_from_slice(&last[..count]);
    Ok(key.into())
}

pub(crate) fn push_value(value: Option<&[u8]>, out: &mut Vec<u8>) {
    match value {
        Some(value) => {
            out.reserve(value.len() + 1);
            out.push(VALUE);
            out.extend_from_slice(value);
        }
        None => out.push(TOMBSTONE),
    }
}

pub(crate) fn is_tombstone(stored: &[u8]) -> bool {
    stored == [TOMBSTONE]
}

pub(crate) fn decode_value(stored: &[u8]) -> Result<Option<Bytes>, StoreError> {
    match stored {
        [TOMBSTONE] => Ok(None),
        [VALUE, value @ ..] => Ok(Some(Bytes::copy_from_slice(value))),
        _ => Err(StoreError::Damaged(format!("a stored value of {} bytes without its tag", stored.len()))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn versioned(key: &[u8], version: Version) -> Vec<u8> {
        let mut out = encoded(key);
        push_version(version, &mut out);
        out
    }

    fn key() -> impl Strategy<Value = Vec<u8>> {
        // Zeros, the markers' neighbours, and shared beginnings are where order could break.
        prop::collection::vec(prop_oneof![Just(0u8), Just(1), Just(0xf6), Just(0xf7), Just(0xff), any::<u8>()], 0..20)
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 2000, failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn order_is_kept_and_keys_come_back(a in key(), b in key(), v: u64, w: u64) {
            let (x, y) = (encoded(&a), encoded(&b));
            prop_assert_eq!(x.cmp(&y), a.cmp(&b));
            prop_assert_eq!(decode_key(&x).expect("it was encoded"), a.clone());
            prop_assert!(a == b || !x.starts_with(&y));
            let order = a.cmp(&b).then(w.cmp(&v));
            prop_assert_eq!(versioned(&a, v).cmp(&versioned(&b, w)), order, "keys, then newer first");
            let stored = versioned(&a, v);
            prop_assert_eq!(split(&stored).expect("it was put together"), (&x[..], v));
            prop_assert_eq!(prefix(&stored), &x[..]);
        }

        #[test]
        fn foreign_bytes_do_not_panic(bytes in key()) {
            let _ = (split(&bytes), prefix(&bytes), decode_value(&bytes));
            if let Ok(key) = decode_key(&bytes) {
                prop_assert_eq!(encoded(&key), bytes);
            }
        }
    }

    #[test]
    fn drawn() {
        let show = |key: &[u8]| encoded(key).iter().map(|byte| format!("{byte:02x}")).collect::<String>();
        assert_eq!(show(b""), "0000000000000000f7");
        assert_eq!(show(b"a"), "6100000000000000f8");
        assert_eq!(show(b"12345678"), "3132333435363738ff0000000000000000f7");
        assert_eq!(decode_value(b"\x01").expect("an empty value"), Some(Bytes::new()));
        assert_eq!(decode_value(b"\x00").expect("a tombstone"), None);
        assert!(decode_value(b"").is_err() && decode_value(b"\x00x").is_err() && decode_value(b"\x02").is_err());
    }
}
