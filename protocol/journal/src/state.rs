//! The hard state: whose journal this is, how often it was started, and what was promised in elections.
//!
//! A file of its own, replaced whole (`Files::replace`), so it is never torn: if it does not verify, it has rotted, and
//! the votes with it.
//!
//! ```text
//!    0  magic    8   "TRVTSTAT"
//!    8  version  u32 1
//!   12  crc      u32 of the other 68 bytes
//!   16  cluster  u128
//!   32  node     u64
//!   40  boot     u64
//!   48  term     u64
//!   56  vote     u64 0: none in this term; else the node's id + 1
//!   64  rot      u64 0: none; else the index up to which the log must be repaired
//!   72  end
//! ```
use crate::frame::{u32_at, u64_at};
use crate::{JournalError, Result};
use std::fmt;
use trivet_files::Files;
use trivet_log::{Boot, ClusterId, HardState, Index, NodeId, Term};

const NAME: &str = "state";
const MAGIC: &[u8; 8] = b"TRVTSTAT";
const VERSION: u32 = 1;
const LENGTH: usize = 72;

/// Whose journal it is.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Identity {
    pub cluster: ClusterId,
    pub node: NodeId,
}

impl fmt::Display for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "node {} of cluster {:032x}", self.node.0, self.cluster.0)
    }
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct State {
    pub identity: Identity,
    /// 0 while the directory is being prepared for its first start.
    pub boot: Boot,
    pub hard: HardState,
    pub rotten_up_to: Option<Index>,
}

impl State {
    fn checksum(bytes: &[u8]) -> u32 {
        let mut hasher = crc32fast::Hasher::new();
        hasher.update(&bytes[..12]);
        hasher.update(&bytes[16..LENGTH]);
        hasher.finalize()
    }

    fn encode(&self) -> [u8; LENGTH] {
        let mut bytes = [0; LENGTH];
        bytes[..8].copy_from_slice(MAGIC);
        bytes[8..12].copy_from_slice(&VERSION.to_le_bytes());
        bytes[16..32].copy_from_slice(&self.identity.cluster.0.to_le_bytes());
        let vote = self.hard.voted_for.map_or(0, |node| u64::from(node.0) + 1);
        let rot = self.rotten_up_to.map_or(0, |index| index.0);
        let words = [u64::from(self.identity.node.0), self.boot.0, self.hard.term.0, vote, rot];
        for (word, value) in words.into_iter().enumerate() {
            bytes[32 + 8 * word..40 + 8 * word].copy_from_slice(&value.to_le_bytes());
        }
        let crc = Self::checksum(&bytes);
        bytes[12..16].copy_from_slice(&crc.to_le_bytes());
        bytes
    }

    /// `Err(None)`: the bytes do not verify; `Err(Some(version))`: they are a newer release's.
    fn decode(bytes: &[u8]) -> std::result::Result<State, Option<u32>> {
        if bytes.len() < LENGTH || &bytes[..8] != MAGIC {
            return Err(None);
        }
        let version = u32_at(bytes, 8);
        if version > VERSION {
            return Err(Some(version));
        }
        if bytes.len() != LENGTH || u32_at(bytes, 12) != Self::checksum(bytes) {
            return Err(None);
        }
        let cluster = u128::from_le_bytes(bytes[16..32].try_into().expect("sixteen bytes were cut out"));
        let (Ok(node), Ok(vote)) = (u8::try_from(u64_at(bytes, 32)), u16::try_from(u64_at(bytes, 56))) else {
            return Err(None);
        };
        let voted_for = match vote.checked_sub(1) {
            None => None,
            Some(node) => Some(NodeId(u8::try_from(node).map_err(|_| None)?)),
        };
        Ok(State {
            identity: Identity { cluster: ClusterId(cluster), node: NodeId(node) },
            boot: Boot(u64_at(bytes, 40)),
            hard: HardState { term: Term(u64_at(bytes, 48)), voted_for },
            rotten_up_to: Some(Index(u64_at(bytes, 64))).filter(|index| index.0 > 0),
        })
    }

    pub fn read(files: &dyn Files) -> Result<Option<State>> {
        let Some(bytes) = files.read(NAME)? else { return Ok(None) };
        match State::decode(&bytes) {
            Ok(state) => Ok(Some(state)),
            Err(Some(version)) => {
                Err(JournalError::NewerFormat { location: files.location(), name: NAME.to_string(), version })
            }
            Err(None) => Err(JournalError::Damaged {
                location: files.location(),
                name: NAME.to_string(),
                what: "its checksum is wrong, so this node's votes are lost; it must come back under a new id"
                    .to_string(),
            }),
        }
    }

    /// Durable on return.
    pub fn write(&self, files: &dyn Files) -> Result<()> {
        Ok(files.replace(NAME, &self.encode())?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn states_come_back_and_damage_is_seen() {
        let identity = Identity { cluster: ClusterId(u128::MAX - 5), node: NodeId(255) };
        let votes = [None, Some(NodeId(0)), Some(NodeId(255))];
        for (voted_for, rotten_up_to) in votes.into_iter().flat_map(|vote| [(vote, None), (vote, Some(Index(9)))]) {
            let state = State { identity, boot: Boot(3), hard: HardState { term: Term(8), voted_for }, rotten_up_to };
            let bytes = state.encode();
            assert_eq!(State::decode(&bytes), Ok(state));
            for at in 0..LENGTH {
                let mut damaged = bytes;
                damaged[at] ^= 1;
                assert!(State::decode(&damaged).is_err(), "byte {at} is not covered");
            }
        }
    }
}
