//! The first words on a connection: who dials whom, in which cluster, with which version. The certificates have
//! said the same already; this catches a wrong roster or an old binary with a clear sentence, and its answer tells
//! the dialler that its certificate was accepted (in TLS 1.3 a client cannot know that by itself).
use crate::roster::{ROSTER_LENGTH, Roster};
use trivet_log::{ClusterId, NodeId};

const VERSION: u16 = 2;
const HELLO_MAGIC: &[u8; 8] = b"TRVTHELO";
const WELCOME_MAGIC: &[u8; 8] = b"TRVTWELC";
pub(crate) const HELLO_LENGTH: usize = 36 + ROSTER_LENGTH;
pub(crate) const WELCOME_LENGTH: usize = 20;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Hello {
    pub(crate) from: NodeId,
    pub(crate) to: NodeId,
    pub(crate) cluster: ClusterId,
    /// Who takes part, as the dialler was told.
    pub(crate) roster: Roster,
    /// Largest frame that the dialler will send.
    pub(crate) frame_max: u32,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Welcome {
    /// Largest frame that the acceptor will read.
    pub(crate) frame_max: u32,
}

#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum HelloError {
    #[error("the connection does not begin as one of ours")]
    Magic,
    #[error("the other side speaks version {0}, this node speaks {VERSION}")]
    Version(u16),
    #[error("the first words have a wrong checksum")]
    Checksum,
}

impl Hello {
    pub(crate) fn encode(&self) -> [u8; HELLO_LENGTH] {
        let mut bytes = [0; HELLO_LENGTH];
        bytes[..8].copy_from_slice(HELLO_MAGIC);
        bytes[8..10].copy_from_slice(&VERSION.to_le_bytes());
        bytes[10] = self.from.0;
        bytes[11] = self.to.0;
        bytes[12..16].copy_from_slice(&self.frame_max.to_le_bytes());
        bytes[16..32].copy_from_slice(&self.cluster.0.to_le_bytes());
        bytes[32..32 + ROSTER_LENGTH].copy_from_slice(&self.roster.0);
        seal(&mut bytes);
        bytes
    }

    pub(crate) fn decode(bytes: &[u8; HELLO_LENGTH]) -> Result<Hello, HelloError> {
        check(bytes, HELLO_MAGIC)?;
        Ok(Hello {
            from: NodeId(bytes[10]),
            to: NodeId(bytes[11]),
            frame_max: u32::from_le_bytes(part(bytes, 12)),
            cluster: ClusterId(u128::from_le_bytes(part(bytes, 16))),
            roster: Roster(part(bytes, 32)),
        })
    }
}

impl Welcome {
    pub(crate) fn encode(&self) -> [u8; WELCOME_LENGTH] {
        let mut bytes = [0; WELCOME_LENGTH];
        bytes[..8].copy_from_slice(WELCOME_MAGIC);
        bytes[8..10].copy_from_slice(&VERSION.to_le_bytes());
        bytes[12..16].copy_from_slice(&self.frame_max.to_le_bytes());
        seal(&mut bytes);
        bytes
    }

    pub(crate) fn decode(bytes: &[u8; WELCOME_LENGTH]) -> Result<Welcome, HelloError> {
        check(bytes, WELCOME_MAGIC)?;
        Ok(Welcome { frame_max: u32::from_le_bytes(part(bytes, 12)) })
    }
}

fn part<const N: usize>(bytes: &[u8], at: usize) -> [u8; N] {
    bytes[at..at + N].try_into().expect("a slice of N bytes")
}

/// Writes the checksum of all before it into the last four bytes.
fn seal(bytes: &mut [u8]) {
    let end = bytes.len() - 4;
    let crc = crc32fast::hash(&bytes[..end]);
    bytes[end..].copy_from_slice(&crc.to_le_bytes());
}

fn check(bytes: &[u8], magic: &[u8; 8]) -> Result<(), HelloError> {
    if &bytes[..8] != magic {
        return Err(HelloError::Magic);
    }
    // Of another version, the checksum may lie elsewhere.
    match u16::from_le_bytes(part(bytes, 8)) {
        VERSION => {}
        other => return Err(HelloError::Version(other)),
    }
    let end = bytes.len() - 4;
    if crc32fast::hash(&bytes[..end]) != u32::from_le_bytes(part(bytes, end)) {
        return Err(HelloError::Checksum);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    const HELLO: Hello = Hello {
        from: NodeId(1),
        to: NodeId(2),
        cluster: ClusterId(0xfeed),
        roster: Roster([1, 1, 2, 1, 3, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]),
        frame_max: 9,
    };

    #[test]
    fn there_and_back() {
        assert_eq!(Hello::decode(&HELLO.encode()), Ok(HELLO));
        let welcome = Welcome { frame_max: 77 };
        assert_eq!(Welcome::decode(&welcome.encode()), Ok(welcome));
    }

    #[test]
    fn every_wrong_byte_is_noticed() {
        for at in 0..HELLO_LENGTH {
            let mut bytes = HELLO.encode();
            bytes[at] ^= 0x40;
            assert!(Hello::decode(&bytes).is_err(), "byte {at}");
        }
    }

    #[test]
    fn another_version_is_named() {
        let mut bytes = HELLO.encode();
        bytes[8] = 9;
        seal(&mut bytes);
        assert_eq!(Hello::decode(&bytes), Err(HelloError::Version(9)));
    }
}
