//! Guarded ranges: look through what was written since, entry by entry, newest first.
use super::Certifier;
use crate::record::KeyAccess;
use crate::rejection::Rejection;
use bytes::Bytes;
use trivet_log::{Index, Position};
use trivet_storage::KeyRange;

/// The written keys, each after its length (u16 little-endian; longer keys as 65535 and their first 65535 bytes).
pub(super) fn concatenate(keys: &[KeyAccess]) -> Box<[u8]> {
    let written = || keys.iter().filter(|key| key.access.mark().is_some_and(|mark| mark.writes));
    let mut out = Vec::with_capacity(written().map(|key| key.key.len() + 2).sum());
    for key in written() {
        let length = u16::try_from(key.key.len()).unwrap_or(u16::MAX);
        out.extend_from_slice(&length.to_le_bytes());
        out.extend_from_slice(&key.key[..usize::from(length)]);
    }
    out.into_boxed_slice()
}

fn keys(mut bytes: &[u8]) -> impl Iterator<Item = &[u8]> {
    std::iter::from_fn(move || {
        let (length, rest) = bytes.split_first_chunk::<2>()?;
        let (key, rest) = rest.split_at(usize::from(u16::from_le_bytes(*length)));
        bytes = rest;
        Some(key)
    })
}

impl Certifier {
    pub(super) fn check_range(&self, range: &KeyRange, read_at: Position) -> Result<(), Rejection> {
        let written_at = |offset: usize| Index(self.recent_first.0 + offset as u64);
        for (offset, recent) in self.recent.iter().enumerate().rev() {
            if written_at(offset) <= read_at.index {
                break;
            }
            if let Some(key) = keys(&recent.keys).find(|key| range.contains(key)) {
                return Err(self.conflict_at(&Bytes::copy_from_slice(key), written_at(offset)));
            }
        }
        // A large transaction's keys are not at hand, only where they lie: a refusal too many is possible.
        match self.closed.iter().find(|closed| closed.at > read_at.index && closed.keys.overlaps(range)) {
            None => Ok(()),
            Some(closed) => Err(self.conflict_at(&range.start, closed.at)),
        }
    }
}
