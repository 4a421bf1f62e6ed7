//! What the certifier cannot learn again from a journal that has been pruned: kept in the store with each horizon record.
//!
//! A function of the log up to the record at `at`: the horizon in force, the outcome windows, and the highest stamp.
use crate::bytes::{Reader, put_varint};
use crate::certifier::Certifier;
use crate::record::RecordError;
use bytes::Bytes;
use trivet_clock::HlcTimestamp;
use trivet_log::{Boot, Index, NodeId, Position, Term};

const VERSION: u8 = 1;
const CRC_LENGTH: usize = 4;

#[derive(Clone, PartialEq, Eq, Debug)]
pub struct StoredState {
    pub at: Index,
    pub horizon: Position,
    pub stamp: HlcTimestamp,
    pub origins: Vec<StoredOrigin>,
}

#[derive(Clone, PartialEq, Eq, Debug)]
pub struct StoredOrigin {
    pub region: NodeId,
    pub boot: Boot,
    pub low_water: u64,
    pub outcomes: Vec<(u64, Position)>,
}

impl StoredState {
    pub fn encode(&self) -> Bytes {
        let mut out = vec![VERSION];
        put_varint(&mut out, self.at.0);
        put_position(&mut out, self.horizon);
        out.extend_from_slice(&self.stamp.to_bytes());
        put_varint(&mut out, self.origins.len() as u64);
        for origin in &self.origins {
            out.push(origin.region.0);
            put_varint(&mut out, origin.boot.0);
            put_varint(&mut out, origin.low_water);
            put_varint(&mut out, origin.outcomes.len() as u64);
            for (sequence, position) in &origin.outcomes {
                put_varint(&mut out, *sequence);
                put_position(&mut out, *position);
            }
        }
        let crc = crc32fast::hash(&out);
        out.extend_from_slice(&crc.to_le_bytes());
        Bytes::from(out)
    }

    pub fn decode(bytes: &Bytes) -> Result<StoredState, RecordError> {
        let body_end = bytes.len().checked_sub(CRC_LENGTH).ok_or(RecordError::Truncated)?;
        if crc32fast::hash(&bytes[..body_end]).to_le_bytes() != bytes[body_end..] {
            return Err(RecordError::Checksum);
        }
        let mut reader = Reader::new(bytes.slice(..body_end));
        let version = reader.byte()?;
        if version != VERSION {
            return Err(RecordError::Version(version));
        }
        let (at, horizon) = (Index(reader.varint()?), read_position(&mut reader)?);
        let stamp = reader.take(HlcTimestamp::LENGTH)?;
        let stamp = HlcTimestamp::from_bytes(&stamp).map_err(|_| RecordError::Malformed("a stamp is out of bounds"))?;
        let count = reader.count(4)?;
        let mut origins = Vec::with_capacity(count);
        for _ in 0..count {
            let (region, boot, low_water) = (NodeId(reader.byte()?), Boot(reader.varint()?), reader.varint()?);
            let count = reader.count(3)?;
            let mut outcomes = Vec::with_capacity(count);
            for _ in 0..count {
                outcomes.push((reader.varint()?, read_position(&mut reader)?));
            }
            origins.push(StoredOrigin { region, boot, low_water, outcomes });
        }
        reader.end()?;
        Ok(StoredState { at, horizon, stamp, origins })
    }
}

impl Certifier {
    /// The state at the horizon record at `at`, which is committed.
    pub fn stored_state(&self, at: Index, stamp: HlcTimestamp) -> StoredState {
        StoredState { at, horizon: self.horizon_at(at), stamp, origins: self.origins_at(at) }
    }
}

fn put_position(out: &mut Vec<u8>, position: Position) {
    put_varint(out, position.term.0);
    put_varint(out, position.index.0);
}

fn read_position(reader: &mut Reader) -> Result<Position, RecordError> {
    Ok(Position { term: Term(reader.varint()?), index: Index(reader.varint()?) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_state_survives_the_trip_and_damage_is_noticed() {
        let position = |term, index| Position { term: Term(term), index: Index(index) };
        let origin =
            StoredOrigin { region: NodeId(1), boot: Boot(3), low_water: 70, outcomes: vec![(71, position(2, 900))] };
        let stamp = HlcTimestamp { physical: 1_700_000_000_000_000_000, logical: 4 };
        let state = StoredState { at: Index(1000), horizon: position(2, 800), stamp, origins: vec![origin] };
        let bytes = state.encode();
        assert_eq!(StoredState::decode(&bytes), Ok(state));
        for damaged in 0..bytes.len() {
            let mut copy = bytes.to_vec();
            copy[damaged] ^= 0x10;
            assert!(StoredState::decode(&Bytes::from(copy)).is_err());
        }
    }
}
