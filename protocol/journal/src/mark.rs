//! The durable mark: how far the last sync reached, so that rot below it cannot pass for a torn tail (J3).
//!
//! Written after each sync and never synced itself: it costs a copy into the page cache, survives the death of the
//! process, and after a loss of power says too little, never too much. Two slots take turns, so that a torn write
//! spoils only the newer.
//!
//! ```text
//!   slots at 0 and 512:
//!    0  magic     8   "TRVTMARK"
//!    8  version   u32 1
//!   12  crc       u32 of the other 56 bytes, begun with the salt of segment 0
//!   16  count     u64 of marks written; the higher one counts, and its parity is its slot
//!   24  sequence  u64 \ everything before this place is durable
//!   32  offset    u64 /
//!   40  term      u64 \ the log's last entry there
//!   48  index     u64 /
//!   56  zeros     8
//! ```
use crate::frame::{u32_at, u64_at};
use crate::segment::salt_of;
use crate::state::Identity;
use std::sync::Arc;
use trivet_files::{File, Files, FilesError, Result};
use trivet_log::{Index, Position, Term};

const NAME: &str = "mark";
const MAGIC: &[u8; 8] = b"TRVTMARK";
const VERSION: u32 = 1;
const LENGTH: usize = 64;
const SLOT: u64 = 512;

/// A place in the sequence of segments.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Default)]
pub(crate) struct Place {
    pub sequence: u64,
    pub offset: u64,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(crate) struct Mark {
    pub place: Place,
    pub last: Position,
}

pub(crate) struct MarkFile {
    file: Arc<dyn File>,
    salt: u32,
    count: u64,
}

impl MarkFile {
    /// The file, made if missing, and the newest mark in it, if one verifies.
    pub fn open(files: &dyn Files, identity: Identity) -> Result<(MarkFile, Option<Mark>)> {
        let file = match files.open(NAME) {
            Ok(file) => file,
            Err(FilesError::NotFound { .. }) => {
                let file = files.create(NAME)?;
                file.preallocate(2 * SLOT)?;
                file.sync_data()?;
                files.sync_directory()?;
                file
            }
            Err(error) => return Err(error),
        };
        let salt = salt_of(identity, 0);
        let mut newest: Option<(u64, Mark)> = None;
        for slot in 0..2 {
            let mut bytes = [0; LENGTH];
            if file.read_at(slot * SLOT, &mut bytes)? == LENGTH
                && let Some((count, mark)) = decode(&bytes, salt)
                && newest.is_none_or(|(other, _)| other < count)
            {
                newest = Some((count, mark));
            }
        }
        let count = newest.map_or(0, |(count, _)| count);
        Ok((MarkFile { file, salt, count }, newest.map(|(_, mark)| mark)))
    }

    pub fn write(&mut self, mark: &Mark) -> Result<()> {
        self.count += 1;
        self.file.write_at((self.count % 2) * SLOT, &encode(self.count, mark, self.salt))
    }

    /// Only at a start: an old mark must not come back from before a repair.
    pub fn sync(&self) -> Result<()> {
        self.file.sync_data()
    }
}

fn checksum(bytes: &[u8; LENGTH], salt: u32) -> u32 {
    let mut hasher = crc32fast::Hasher::new_with_initial(salt);
    hasher.update(&bytes[..12]);
    hasher.update(&bytes[16..]);
    hasher.finalize()
}

fn encode(count: u64, mark: &Mark, salt: u32) -> [u8; LENGTH] {
    let mut bytes = [0; LENGTH];
    bytes[..8].copy_from_slice(MAGIC);
    bytes[8..12].copy_from_slice(&VERSION.to_le_bytes());
    let words = [count, mark.place.sequence, mark.place.offset, mark.last.term.0, mark.last.index.0];
    for (word, value) in words.into_iter().enumerate() {
        bytes[16 + 8 * word..24 + 8 * word].copy_from_slice(&value.to_le_bytes());
    }
    let crc = checksum(&bytes, salt);
    bytes[12..16].copy_from_slice(&crc.to_le_bytes());
    bytes
}

fn decode(bytes: &[u8; LENGTH], salt: u32) -> Option<(u64, Mark)> {
    if &bytes[..8] != MAGIC || u32_at(bytes, 8) != VERSION || u32_at(bytes, 12) != checksum(bytes, salt) {
        return None;
    }
    let mark = Mark {
        place: Place { sequence: u64_at(bytes, 24), offset: u64_at(bytes, 32) },
        last: Position { term: Term(u64_at(bytes, 40)), index: Index(u64_at(bytes, 48)) },
    };
    Some((u64_at(bytes, 16), mark))
}

#[cfg(test)]
mod tests {
    use super::*;
    use trivet_files::MemoryFiles;
    use trivet_log::{ClusterId, NodeId};

    #[test]
    fn the_newer_slot_counts_and_a_torn_one_does_not() {
        let identity = Identity { cluster: ClusterId(1), node: NodeId(1) };
        let files = MemoryFiles::new();
        let (mut file, none) = MarkFile::open(&files, identity).expect("memory opens");
        assert_eq!(none, None);
        let mark = |offset| Mark { place: Place { sequence: 1, offset }, last: Position::new(1, offset) };
        for offset in 1..=3 {
            file.write(&mark(offset)).expect("memory takes it");
            assert_eq!(MarkFile::open(&files, identity).expect("memory opens").1, Some(mark(offset)));
        }
        files.edit("mark", |bytes| bytes[512 + 40] ^= 1).expect("the file is there");
        assert_eq!(MarkFile::open(&files, identity).expect("memory opens").1, Some(mark(2)));
        let other = Identity { cluster: ClusterId(2), node: NodeId(1) };
        assert_eq!(MarkFile::open(&files, other).expect("memory opens").1, None);
    }
}
