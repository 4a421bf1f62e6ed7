//! Frames on a stream: a preface that names the class, then `length, crc, bytes` again and again.
//!
//! The decoder is pure: bytes go in as they arrive, whole frames come out. It keeps at most one frame, and never
//! more than the bytes it was given plus one growth step (N3).
use bytes::{BufMut, Bytes, BytesMut};
use trivet_log::Class;

pub(crate) const VERSION: u16 = 2;
const PREFACE_MAGIC: &[u8; 4] = b"TRVS";
pub(crate) const PREFACE_LENGTH: usize = 8;
pub(crate) const HEADER_LENGTH: usize = 8;

/// The first allocation for a frame, whatever length it claims.
const FIRST_GROWTH: usize = 64 << 10;

#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum FrameError {
    #[error("a stream does not begin as one of ours")]
    Preface,
    #[error("a stream has version {0}, this node speaks {VERSION}")]
    Version(u16),
    #[error("a stream has the unknown class {0}")]
    Class(u8),
    #[error("a frame of {length} bytes is longer than the {max} allowed")]
    TooLong { length: usize, max: usize },
    #[error("an empty frame")]
    Empty,
    #[error("a frame's checksum is wrong")]
    Checksum,
    #[error("a compressed block does not hold what it says")]
    Compressed,
}

pub(crate) const CLASSES: [Class; 4] = [Class::Urgent, Class::Append, Class::Proposal, Class::Bulk];

/// A class's place in arrays and its number on the wire.
pub(crate) fn class_number(class: Class) -> usize {
    match class {
        Class::Urgent => 0,
        Class::Append => 1,
        Class::Proposal => 2,
        Class::Bulk => 3,
    }
}

pub(crate) fn class_name(class: Class) -> &'static str {
    match class {
        Class::Urgent => "urgent",
        Class::Append => "append",
        Class::Proposal => "proposal",
        Class::Bulk => "bulk",
    }
}

/// Higher goes first. Verdicts and proposals before appends: they are small, and somebody waits for each.
pub(crate) fn class_priority(class: Class) -> i32 {
    match class {
        Class::Urgent => 3,
        Class::Proposal => 2,
        Class::Append => 1,
        Class::Bulk => 0,
    }
}

pub(crate) fn preface(class: Class) -> [u8; PREFACE_LENGTH] {
    let mut bytes = [0; PREFACE_LENGTH];
    bytes[..4].copy_from_slice(PREFACE_MAGIC);
    bytes[4..6].copy_from_slice(&VERSION.to_le_bytes());
    bytes[6] = class_number(class) as u8;
    bytes
}

pub(crate) fn read_preface(bytes: &[u8; PREFACE_LENGTH]) -> Result<Class, FrameError> {
    if &bytes[..4] != PREFACE_MAGIC {
        return Err(FrameError::Preface);
    }
    let version = u16::from_le_bytes([bytes[4], bytes[5]]);
    if version != VERSION {
        return Err(FrameError::Version(version));
    }
    if bytes[7] != 0 {
        return Err(FrameError::Preface);
    }
    CLASSES.get(usize::from(bytes[6])).copied().ok_or(FrameError::Class(bytes[6]))
}

/// The caller has checked that the frame is not empty and not too long.
pub(crate) fn header(frame: &[u8]) -> [u8; HEADER_LENGTH] {
    let length = u32::try_from(frame.len()).expect("frame_max fits u32, checked at start");
    let mut bytes = [0; HEADER_LENGTH];
    bytes[..4].copy_from_slice(&length.to_le_bytes());
    bytes[4..].copy_from_slice(&crc32fast::hash(frame).to_le_bytes());
    bytes
}

/// Reads frames from one stream. After an error it must not be used again.
pub(crate) struct FrameDecoder {
    frame_max: usize,
    header: [u8; HEADER_LENGTH],
    /// Bytes of the header that are there; at `HEADER_LENGTH` the body follows.
    header_filled: usize,
    body_length: usize,
    body: BytesMut,
}

impl FrameDecoder {
    pub(crate) fn new(frame_max: usize) -> FrameDecoder {
        FrameDecoder { frame_max, header: [0; HEADER_LENGTH], header_filled: 0, body_length: 0, body: BytesMut::new() }
    }

    /// Takes from `input` up to the end of the next frame. `None`: all of `input` was taken, and more is needed.
    pub(crate) fn next(&mut self, input: &mut &[u8]) -> Result<Option<Bytes>, FrameError> {
        if self.header_filled < HEADER_LENGTH {
            let take = input.len().min(HEADER_LENGTH - self.header_filled);
            self.header[self.header_filled..self.header_filled + take].copy_from_slice(&input[..take]);
            *input = &input[take..];
            self.header_filled += take;
            if self.header_filled < HEADER_LENGTH {
                return Ok(None);
            }
            self.begin_body()?;
        }
        let take = input.len().min(self.body_length - self.body.len());
        self.body.put_slice(&input[..take]);
        *input = &input[take..];
        if self.body.len() < self.body_length {
            return Ok(None);
        }
        let frame = std::mem::take(&mut self.body).freeze();
        self.header_filled = 0;
        let [_, _, _, _, crc @ ..] = self.header;
        if crc32fast::hash(&frame) != u32::from_le_bytes(crc) {
            return Err(FrameError::Checksum);
        }
        Ok(Some(frame))
    }

    fn begin_body(&mut self) -> Result<(), FrameError> {
        let [length @ .., _, _, _, _] = self.header;
        let length = usize::try_from(u32::from_le_bytes(length)).unwrap_or(usize::MAX);
        if length == 0 {
            return Err(FrameError::Empty);
        }
        if length > self.frame_max {
            return Err(FrameError::TooLong { length, max: self.frame_max });
        }
        self.body_length = length;
        self.body = BytesMut::with_capacity(length.min(FIRST_GROWTH));
        Ok(())
    }
}

/// The bytes in pieces, cut at these places modulo their number.
#[cfg(test)]
pub(crate) fn cut<'b>(bytes: &'b [u8], cuts: &[usize]) -> Vec<&'b [u8]> {
    let mut cuts: Vec<usize> = cuts.iter().map(|cut| cut % (bytes.len() + 1)).chain([0, bytes.len()]).collect();
    cuts.sort_unstable();
    cuts.windows(2).map(|ends| &bytes[ends[0]..ends[1]]).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn encode(frames: &[Vec<u8>]) -> Vec<u8> {
        frames.iter().flat_map(|frame| [&header(frame)[..], frame].concat()).collect()
    }

    fn decode(bytes: &[u8], cuts: &[usize], frame_max: usize) -> Result<Vec<Vec<u8>>, FrameError> {
        let mut decoder = FrameDecoder::new(frame_max);
        let mut frames = Vec::new();
        for mut piece in cut(bytes, cuts) {
            while let Some(frame) = decoder.next(&mut piece)? {
                frames.push(frame.to_vec());
            }
            assert!(piece.is_empty(), "the decoder left bytes behind");
        }
        Ok(frames)
    }

    proptest! {
        #[test]
        fn frames_survive_any_cut(
            frames in prop::collection::vec(prop::collection::vec(any::<u8>(), 1..200), 0..20),
            cuts in prop::collection::vec(any::<usize>(), 0..20),
        ) {
            prop_assert_eq!(decode(&encode(&frames), &cuts, 200).expect("our own frames are right"), frames);
        }

        #[test]
        fn garbage_is_an_error_or_an_unfinished_frame(
            bytes in prop::collection::vec(any::<u8>(), 0..2000),
            cuts in prop::collection::vec(any::<usize>(), 0..5),
        ) {
            if let Ok(frames) = decode(&bytes, &cuts, 1000) {
                prop_assert!(frames.iter().all(|frame| frame.len() <= 1000));
            }
        }

        #[test]
        fn one_wrong_bit_is_noticed(frame in prop::collection::vec(any::<u8>(), 1..100), at in any::<usize>(), bit in 0..8u8) {
            let mut bytes = encode(std::slice::from_ref(&frame));
            let at = at % bytes.len();
            bytes[at] ^= 1 << bit;
            // A wrong length may ask for more bytes; a frame must never come out changed.
            prop_assert_ne!(decode(&bytes, &[], 100), Ok(vec![frame]));
        }
    }

    #[test]
    fn each_wrong_frame_has_its_error() {
        let table: [(&str, Vec<u8>, FrameError); 3] = [
            ("empty", vec![0; 8], FrameError::Empty),
            ("too long", [&11u32.to_le_bytes()[..], &[0; 4]].concat(), FrameError::TooLong { length: 11, max: 10 }),
            ("checksum", [&1u32.to_le_bytes()[..], &[0; 4], &[7]].concat(), FrameError::Checksum),
        ];
        for (name, bytes, error) in table {
            assert_eq!(decode(&bytes, &[], 10), Err(error), "{name}");
        }
    }

    #[test]
    fn a_claimed_length_is_not_allocated() {
        let mut decoder = FrameDecoder::new(1 << 30);
        let claim = [&(1u32 << 30).to_le_bytes()[..], &[0; 4], b"x"].concat();
        assert_eq!(decoder.next(&mut &claim[..]), Ok(None));
        assert!(decoder.body.capacity() <= 2 * FIRST_GROWTH, "{} bytes allocated on a claim", decoder.body.capacity());
    }

    #[test]
    fn prefaces() {
        for class in CLASSES {
            assert_eq!(read_preface(&preface(class)), Ok(class));
        }
        assert_eq!(read_preface(b"HTTP/1.1"), Err(FrameError::Preface));
        assert_eq!(read_preface(b"TRVS\x01\0\0\0"), Err(FrameError::Version(1)));
        assert_eq!(read_preface(b"TRVS\x02\0\x04\0"), Err(FrameError::Class(4)));
        assert_eq!(read_preface(b"TRVS\x02\0\0\x01"), Err(FrameError::Preface));
    }
}
