//! Blocks on a stream: the frames that were ready together, compressed if that makes them shorter.
//!
//! Entries of one batch repeat each other (terms, regions, boots, tables, columns), and the ocean is what they cost most.
//! LZ4 takes a microsecond a kilobyte, which no round trip notices. Urgent frames are small and go without.
use crate::frame::{FrameDecoder, FrameError, HEADER_LENGTH};
use crate::lanes::GATHER_BYTES;
use bytes::{BufMut, Bytes, BytesMut};
use lz4_flex::block;
use trivet_log::Class;

/// Length as it stands on the stream, and length before it was compressed; 0: it was not.
const BLOCK_HEADER: usize = 8;
/// Shorter ones are not worth it.
const COMPRESS_MIN: usize = 200;
/// LZ4 makes at most so many bytes of one.
const EXPANSION_MAX: usize = 255;
/// The first allocation for a compressed block, whatever length it claims.
const FIRST_GROWTH: usize = 64 << 10;

pub(crate) fn has_blocks(class: Class) -> bool {
    class != Class::Urgent
}

/// What a writer gathers at most, decompressed.
fn block_max(frame_max: usize) -> usize {
    GATHER_BYTES + HEADER_LENGTH + frame_max
}

/// Makes one block of the pieces. Returns its bytes on the stream.
pub(crate) fn pack(pieces: &mut Vec<Bytes>) -> usize {
    let raw: usize = pieces.iter().map(Bytes::len).sum();
    if raw >= COMPRESS_MIN {
        let mut whole = Vec::new();
        let bytes: &[u8] = match &pieces[..] {
            [one] => one,
            several => {
                whole.reserve_exact(raw);
                several.iter().for_each(|piece| whole.extend_from_slice(piece));
                &whole
            }
        };
        let mut packed = vec![0; BLOCK_HEADER + block::get_maximum_output_size(raw)];
        let length = block::compress_into(bytes, &mut packed[BLOCK_HEADER..]).expect("it has room for the worst case");
        if length < raw - raw / 16 {
            packed.truncate(BLOCK_HEADER + length);
            packed[..BLOCK_HEADER].copy_from_slice(&header(length, raw));
            let total = packed.len();
            pieces.clear();
            pieces.push(packed.into());
            return total;
        }
    }
    pieces.insert(0, Bytes::copy_from_slice(&header(raw, 0)));
    BLOCK_HEADER + raw
}

fn header(stored: usize, raw: usize) -> [u8; BLOCK_HEADER] {
    let number = |length: usize| u32::try_from(length).expect("blocks are bounded, checked at start").to_le_bytes();
    let mut bytes = [0; BLOCK_HEADER];
    bytes[..4].copy_from_slice(&number(stored));
    bytes[4..].copy_from_slice(&number(raw));
    bytes
}

/// Reads frames from one stream, out of blocks if its class has them. After an error it must not be used again.
///
/// It keeps at most one compressed block, or what one holds; a claimed length is not allocated before the bytes are there.
pub(crate) struct StreamDecoder {
    frames: FrameDecoder,
    blocks: Option<Block>,
    block_max: usize,
}

/// Where in a block the stream is.
enum Block {
    Header {
        bytes: [u8; BLOCK_HEADER],
        filled: usize,
    },
    /// So many bytes of an uncompressed one are to come.
    Stored {
        left: usize,
    },
    Compressed {
        bytes: BytesMut,
        length: usize,
        raw: usize,
    },
    /// Decompressed, and read up to `at`.
    Raw {
        bytes: Vec<u8>,
        at: usize,
    },
}

impl Block {
    const BEGIN: Block = Block::Header { bytes: [0; BLOCK_HEADER], filled: 0 };
}

impl StreamDecoder {
    pub(crate) fn new(class: Class, frame_max: usize) -> StreamDecoder {
        let blocks = has_blocks(class).then_some(Block::BEGIN);
        StreamDecoder { frames: FrameDecoder::new(frame_max), blocks, block_max: block_max(frame_max) }
    }

    /// Takes from `input` up to the end of the next frame. `None`: all of `input` was taken, and more is needed.
    pub(crate) fn next(&mut self, input: &mut &[u8]) -> Result<Option<Bytes>, FrameError> {
        let Some(block) = &mut self.blocks else { return self.frames.next(input) };
        loop {
            let next = match block {
                Block::Header { bytes, filled } => {
                    let take = input.len().min(BLOCK_HEADER - *filled);
                    bytes[*filled..*filled + take].copy_from_slice(&input[..take]);
                    *input = &input[take..];
                    *filled += take;
                    if *filled < BLOCK_HEADER {
                        return Ok(None);
                    }
                    begin(*bytes, self.block_max)?
                }
                Block::Stored { left } => {
                    let offered = input.len().min(*left);
                    let mut piece = &input[..offered];
                    let frame = self.frames.next(&mut piece)?;
                    let taken = offered - piece.len();
                    *input = &input[taken..];
                    *left -= taken;
                    let ended = *left == 0;
                    if ended {
                        *block = Block::BEGIN;
                    }
                    if frame.is_some() || !ended {
                        return Ok(frame);
                    }
                    continue;
                }
                Block::Compressed { bytes, length, raw } => {
                    let take = input.len().min(*length - bytes.len());
                    bytes.put_slice(&input[..take]);
                    *input = &input[take..];
                    if bytes.len() < *length {
                        return Ok(None);
                    }
                    let mut whole = vec![0; *raw];
                    match block::decompress_into(bytes, &mut whole) {
                        Ok(length) if length == *raw => Block::Raw { bytes: whole, at: 0 },
                        _ => return Err(FrameError::Compressed),
                    }
                }
                Block::Raw { bytes, at } => {
                    let mut rest = &bytes[*at..];
                    let frame = self.frames.next(&mut rest)?;
                    *at = bytes.len() - rest.len();
                    if *at == bytes.len() {
                        *block = Block::BEGIN;
                    }
                    if frame.is_some() {
                        return Ok(frame);
                    }
                    continue;
                }
            };
            *block = next;
        }
    }
}

fn begin(bytes: [u8; BLOCK_HEADER], max: usize) -> Result<Block, FrameError> {
    let [a, b, c, d, raw @ ..] = bytes;
    let number = |bytes| usize::try_from(u32::from_le_bytes(bytes)).unwrap_or(usize::MAX);
    let (length, raw) = (number([a, b, c, d]), number(raw));
    let longer = length.max(raw);
    if longer > max {
        return Err(FrameError::TooLong { length: longer, max });
    }
    match (length, raw) {
        (0, _) => Err(FrameError::Empty),
        (_, 0) => Ok(Block::Stored { left: length }),
        _ if raw / EXPANSION_MAX > length => Err(FrameError::Compressed),
        _ => Ok(Block::Compressed { bytes: BytesMut::with_capacity(length.min(FIRST_GROWTH)), length, raw }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::frame;
    use proptest::prelude::*;

    const FRAME_MAX: usize = 4096;

    fn framed(frames: &[Vec<u8>]) -> Vec<Bytes> {
        frames.iter().map(|bytes| Bytes::from([&frame::header(bytes)[..], bytes].concat())).collect()
    }

    fn packed(blocks: &[Vec<Vec<u8>>]) -> Vec<u8> {
        let block = |frames: &Vec<Vec<u8>>| {
            let mut pieces = framed(frames);
            let told = pack(&mut pieces);
            let bytes: Vec<u8> = pieces.iter().flat_map(|piece| piece.to_vec()).collect();
            assert_eq!(bytes.len(), told);
            bytes
        };
        blocks.iter().flat_map(block).collect()
    }

    fn unpack(bytes: &[u8], cuts: &[usize]) -> Result<Vec<Vec<u8>>, FrameError> {
        let mut decoder = StreamDecoder::new(Class::Append, FRAME_MAX);
        let mut frames = Vec::new();
        for mut piece in frame::cut(bytes, cuts) {
            while let Some(frame) = decoder.next(&mut piece)? {
                frames.push(frame.to_vec());
            }
            assert!(piece.is_empty(), "the decoder left bytes behind");
        }
        Ok(frames)
    }

    /// Some compress, some do not.
    fn frames() -> impl Strategy<Value = Vec<Vec<Vec<u8>>>> {
        let noise = prop::collection::vec(any::<u8>(), 1..600);
        let even = (any::<u8>(), 1..2000_usize).prop_map(|(byte, length)| vec![byte; length]);
        prop::collection::vec(prop::collection::vec(prop_oneof![noise, even], 1..5), 0..6)
    }

    proptest! {
        #[test]
        fn frames_survive_blocks_and_any_cut(blocks in frames(), cuts in prop::collection::vec(any::<usize>(), 0..20)) {
            let all: Vec<Vec<u8>> = blocks.iter().flatten().cloned().collect();
            prop_assert_eq!(unpack(&packed(&blocks), &cuts).expect("our own blocks are right"), all);
        }

        #[test]
        fn garbage_is_an_error_or_unfinished(
            bytes in prop::collection::vec(any::<u8>(), 0..3000),
            cuts in prop::collection::vec(any::<usize>(), 0..5),
            claim in (0..3000_u32, 0..5000_u32),
        ) {
            let claimed = [&claim.0.to_le_bytes()[..], &claim.1.to_le_bytes(), &bytes].concat();
            for bytes in [&bytes, &claimed] {
                if let Ok(frames) = unpack(bytes, &cuts) {
                    prop_assert!(frames.iter().all(|frame| frame.len() <= FRAME_MAX));
                }
            }
        }

        #[test]
        fn a_wrong_bit_changes_no_frame(blocks in frames(), at in any::<usize>(), bit in 0..8_u8) {
            let mut bytes = packed(&blocks);
            prop_assume!(!bytes.is_empty());
            let at = at % bytes.len();
            bytes[at] ^= 1 << bit;
            let all: Vec<Vec<u8>> = blocks.iter().flatten().cloned().collect();
            // What comes out, until it is noticed, is what went in.
            if let Ok(frames) = unpack(&bytes, &[]) {
                prop_assert!(all.starts_with(&frames));
            }
        }
    }

    #[test]
    fn what_repeats_gets_shorter_and_noise_costs_a_header() {
        let mut pieces = framed(&[vec![7; 1000], vec![7; 1000]]);
        assert!(pack(&mut pieces) < 100);
        let mut state = 1_u32;
        let noise = std::iter::repeat_with(|| {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (state >> 24) as u8
        });
        let mut pieces = framed(&[noise.take(1000).collect()]);
        assert_eq!(pack(&mut pieces), 1000 + HEADER_LENGTH + BLOCK_HEADER);
    }

    #[test]
    fn each_wrong_block_has_its_error() {
        let max = block_max(FRAME_MAX);
        let block = |length: usize, raw: usize, rest: &[u8]| [&header(length, raw)[..], rest].concat();
        let table = [
            ("empty", block(0, 10, b""), FrameError::Empty),
            ("too long", block(max + 1, 0, b""), FrameError::TooLong { length: max + 1, max }),
            ("a bomb", block(100, max + 1, b""), FrameError::TooLong { length: max + 1, max }),
            ("a smaller bomb", block(10, 4000, b""), FrameError::Compressed),
            ("not LZ4", block(4, 100, &[0xff; 4]), FrameError::Compressed),
            ("another length", block(2, 100, &[0x10, b'a']), FrameError::Compressed),
        ];
        for (name, bytes, error) in table {
            assert_eq!(unpack(&bytes, &[]), Err(error), "{name}");
        }
    }
}
