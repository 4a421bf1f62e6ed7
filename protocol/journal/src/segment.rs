//! A segment file: its name, its header, its salt.
//!
//! ```text
//!    0  magic     8   "TRVTJRNL"
//!    8  version   u32 1
//!   12  crc       u32 of the other 88 bytes of the header
//!   16  cluster   u128
//!   32  node      u64
//!   40  sequence  u64 as in the name
//!   48  link      u64 of all frames in the segments before (the upper half is zero)
//!   56  boot      u64 of the process that made it
//!   64  term      u64 \ the last entry of the log when the segment was begun; everything at or below it
//!   72  index     u64 / is in earlier segments, or gone
//!   80  zeros     16
//!   96  frames
//! ```
use crate::frame::{u32_at, u64_at};
use crate::state::Identity;
use std::sync::Arc;
use trivet_files::{File, Files};
use trivet_log::{Boot, ClusterId, Index, NodeId, Position, Term};

pub(crate) const HEADER: usize = 96;
const MAGIC: &[u8; 8] = b"TRVTJRNL";
const VERSION: u32 = 1;

/// A segment that is open.
#[derive(Clone)]
pub(crate) struct Segment {
    pub sequence: u64,
    pub salt: u32,
    pub file: Arc<dyn File>,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct SegmentHeader {
    pub identity: Identity,
    pub sequence: u64,
    pub link: u32,
    pub boot: Boot,
    /// The last entry before the segment.
    pub last: Position,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum NoHeader {
    Bad,
    NewerFormat(u32),
}

pub(crate) fn name_of(sequence: u64) -> String {
    format!("segment-{sequence:016}")
}

pub(crate) fn sequence_of(name: &str) -> Option<u64> {
    let digits = name.strip_prefix("segment-")?;
    let sequence = digits.parse().ok()?;
    (name_of(sequence) == name).then_some(sequence)
}

/// Frames of another segment, node or cluster do not verify here.
pub(crate) fn salt_of(identity: Identity, sequence: u64) -> u32 {
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(&identity.cluster.0.to_le_bytes());
    hasher.update(&[identity.node.0]);
    hasher.update(&sequence.to_le_bytes());
    hasher.finalize()
}

impl SegmentHeader {
    fn checksum(bytes: &[u8]) -> u32 {
        let mut hasher = crc32fast::Hasher::new();
        hasher.update(&bytes[..12]);
        hasher.update(&bytes[16..HEADER]);
        hasher.finalize()
    }

    pub fn encode(&self) -> [u8; HEADER] {
        let mut bytes = [0; HEADER];
        bytes[..8].copy_from_slice(MAGIC);
        bytes[8..12].copy_from_slice(&VERSION.to_le_bytes());
        bytes[16..32].copy_from_slice(&self.identity.cluster.0.to_le_bytes());
        let words = [
            u64::from(self.identity.node.0),
            self.sequence,
            u64::from(self.link),
            self.boot.0,
            self.last.term.0,
            self.last.index.0,
        ];
        for (word, value) in words.into_iter().enumerate() {
            bytes[32 + 8 * word..40 + 8 * word].copy_from_slice(&value.to_le_bytes());
        }
        let crc = Self::checksum(&bytes);
        bytes[12..16].copy_from_slice(&crc.to_le_bytes());
        bytes
    }

    pub fn decode(bytes: &[u8]) -> Result<SegmentHeader, NoHeader> {
        let Some(bytes) = bytes.get(..HEADER) else { return Err(NoHeader::Bad) };
        if &bytes[..8] != MAGIC || u32_at(bytes, 12) != Self::checksum(bytes) {
            return Err(NoHeader::Bad);
        }
        let version = u32_at(bytes, 8);
        if version != VERSION {
            return Err(NoHeader::NewerFormat(version));
        }
        let cluster = u128::from_le_bytes(bytes[16..32].try_into().expect("sixteen bytes were cut out"));
        let (Ok(node), Ok(link)) = (u8::try_from(u64_at(bytes, 32)), u32::try_from(u64_at(bytes, 48))) else {
            return Err(NoHeader::Bad);
        };
        Ok(SegmentHeader {
            identity: Identity { cluster: ClusterId(cluster), node: NodeId(node) },
            sequence: u64_at(bytes, 40),
            link,
            boot: Boot(u64_at(bytes, 56)),
            last: Position { term: Term(u64_at(bytes, 64)), index: Index(u64_at(bytes, 72)) },
        })
    }
}

/// Makes a segment of `length` bytes, durable with its header and its name, or leaves nothing behind.
pub(crate) fn create(files: &dyn Files, header: &SegmentHeader, length: u64) -> trivet_files::Result<Segment> {
    let name = name_of(header.sequence);
    // An earlier try may have been stopped by a full disk, and its clean-up too.
    match files.remove(&name) {
        Ok(()) | Err(trivet_files::FilesError::NotFound { .. }) => {}
        Err(error) => return Err(error),
    }
    let file = files.create(&name)?;
    let prepared = file
        .preallocate(length)
        .and_then(|()| file.write_at(0, &header.encode()))
        .and_then(|()| file.sync_data())
        .and_then(|()| files.sync_directory());
    if let Err(error) = prepared {
        if !error.is_final() {
            // Best effort: the first error is the one to tell, and the next try removes what is left.
            let _ = files.remove(&name);
        }
        return Err(error);
    }
    Ok(Segment { sequence: header.sequence, salt: salt_of(header.identity, header.sequence), file })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headers_come_back_and_damage_is_seen() {
        let header = SegmentHeader {
            identity: Identity { cluster: ClusterId(77), node: NodeId(2) },
            sequence: 5,
            link: 0xdead_beef,
            boot: Boot(3),
            last: Position::new(4, 100),
        };
        let bytes = header.encode();
        assert_eq!(SegmentHeader::decode(&bytes), Ok(header));
        for at in 0..HEADER {
            let mut damaged = bytes;
            damaged[at] ^= 0x10;
            assert_eq!(SegmentHeader::decode(&damaged), Err(NoHeader::Bad), "byte {at} is not covered");
        }
        assert_eq!(SegmentHeader::decode(&bytes[..HEADER - 1]), Err(NoHeader::Bad));
    }

    #[test]
    fn names_sort_as_sequences_do() {
        assert_eq!(sequence_of(&name_of(12)), Some(12));
        assert!(name_of(9) < name_of(10));
        for other in ["segment-", "segment-12", "segment-000000000000000x", "mark", "segment-0000000000000012.draft"] {
            assert_eq!(sequence_of(other), None, "{other}");
        }
    }
}
