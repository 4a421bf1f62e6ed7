//! Why the sequencer refused a record: travels to the proposer as the verdict's reason.
use crate::bytes::{Reader, put_bytes, put_varint};
use crate::record::RecordError;
use bytes::Bytes;
use trivet_log::{Index, NodeId};

#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Rejection {
    /// Entry `at`, of `region`, did to `key` what the record relied on nobody doing.
    Conflict {
        key: Bytes,
        at: Index,
        region: NodeId,
    },
    /// The same, for a schema key (T19): plan again.
    SchemaChanged {
        key: Bytes,
        at: Index,
        region: NodeId,
    },
    /// A position that it relied on was truncated away, or is not there yet (T3).
    SnapshotLost,
    /// A position that it relied on is below the horizon (T5).
    SnapshotTooOld {
        horizon: Index,
    },
    /// The sequencer started lately and does not know the log that far down.
    SnapshotUnknown {
        known_from: Index,
    },
    /// The origin has said that it will not ask for this id again: it may well be in the log (T4).
    Stale,
    /// A final came without all of its parts, or a part twice.
    PartsMissing,
    /// A horizon that is above commit or below the one in force.
    Horizon,
    Malformed,
}

/// For logs; clients are told by `errors`.
impl std::fmt::Display for Rejection {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Rejection::Conflict { at, region, .. } => {
                write!(f, "it conflicts with entry {} of region {}", at.0, region.0)
            }
            Rejection::SchemaChanged { at, region, .. } => {
                write!(f, "entry {} of region {} changed a definition that it relies on", at.0, region.0)
            }
            Rejection::SnapshotLost => f.write_str("it relies on an entry that is not in the log"),
            Rejection::SnapshotTooOld { horizon } => write!(f, "it relies on entries below the horizon {}", horizon.0),
            Rejection::SnapshotUnknown { known_from } => {
                write!(f, "it relies on entries below {}, which are not known here", known_from.0)
            }
            Rejection::Stale => f.write_str("its id was settled before"),
            Rejection::PartsMissing => f.write_str("its parts are not complete"),
            Rejection::Horizon => f.write_str("its horizon is out of place"),
            Rejection::Malformed => f.write_str("it cannot be read"),
        }
    }
}

impl Rejection {
    pub fn encode(&self) -> Bytes {
        let mut out = vec![1];
        let mut keyed = |kind: u8, key: &Bytes, at: &Index, region: &NodeId| {
            out.push(kind);
            put_bytes(&mut out, key);
            put_varint(&mut out, at.0);
            out.push(region.0);
        };
        match self {
            Rejection::Conflict { key, at, region } => keyed(1, key, at, region),
            Rejection::SchemaChanged { key, at, region } => keyed(2, key, at, region),
            Rejection::SnapshotLost => out.push(3),
            Rejection::SnapshotTooOld { horizon } => {
                out.push(4);
                put_varint(&mut out, horizon.0);
            }
            Rejection::SnapshotUnknown { known_from } => {
                out.push(5);
                put_varint(&mut out, known_from.0);
            }
            Rejection::Stale => out.push(6),
            Rejection::PartsMissing => out.push(7),
            Rejection::Horizon => out.push(8),
            Rejection::Malformed => out.push(9),
        }
        Bytes::from(out)
    }

    /// `None` for bytes of another version or of a witness: a rejection all the same.
    pub fn decode(bytes: &Bytes) -> Option<Rejection> {
        Rejection::read(&mut Reader::new(bytes.clone())).ok().flatten()
    }

    fn read(reader: &mut Reader) -> Result<Option<Rejection>, RecordError> {
        if reader.byte()? != 1 {
            return Ok(None);
        }
        let kind = reader.byte()?;
        Ok(Some(match kind {
            1 | 2 => {
                let (key, at, region) = (reader.bytes()?, Index(reader.varint()?), NodeId(reader.byte()?));
                if kind == 1 {
                    Rejection::Conflict { key, at, region }
                } else {
                    Rejection::SchemaChanged { key, at, region }
                }
            }
            3 => Rejection::SnapshotLost,
            4 => Rejection::SnapshotTooOld { horizon: Index(reader.varint()?) },
            5 => Rejection::SnapshotUnknown { known_from: Index(reader.varint()?) },
            6 => Rejection::Stale,
            7 => Rejection::PartsMissing,
            8 => Rejection::Horizon,
            9 => Rejection::Malformed,
            _ => return Ok(None),
        }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_reason_survives_the_trip() {
        let (key, at, region) = (Bytes::from_static(b"k"), Index(300), NodeId(2));
        for reason in [
            Rejection::Conflict { key: key.clone(), at, region },
            Rejection::SchemaChanged { key, at, region },
            Rejection::SnapshotLost,
            Rejection::SnapshotTooOld { horizon: at },
            Rejection::SnapshotUnknown { known_from: at },
            Rejection::Stale,
            Rejection::PartsMissing,
            Rejection::Horizon,
            Rejection::Malformed,
        ] {
            let bytes = reason.encode();
            assert_eq!(Rejection::decode(&bytes), Some(reason));
            for cut in 0..bytes.len() {
                // No panic, whatever is cut off.
                let _ = Rejection::decode(&bytes.slice(..cut));
            }
        }
        assert_eq!(Rejection::decode(&Bytes::from_static(b"a witness does not lead")), None);
    }
}
