//! One frame: a checksummed step of the log, linked to all steps before it.
//!
//! ```text
//!    0  crc     u32   of everything from `link` to the end of the body, begun with the segment's salt
//!    4  link    u32   stands for all frames before this one
//!    8  length  u32   of the body
//!   12  kind    u8    1 entry, 2 cut, 3 base; three zero bytes
//!   16  synced  u64   this much of the segment was durable when the frame was written
//!   24  term    u64   \ the entry's position; for a cut the last that stays; for a base the new base
//!   32  index   u64   /
//!   40  body          the entry's own encoding; zeros up to a multiple of 8
//! ```
use trivet_log::{Index, Position, Term};

pub(crate) const HEADER: usize = 40;
pub(crate) const ALIGNMENT: usize = 8;

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Kind {
    Entry = 1,
    Cut = 2,
    Base = 3,
}

#[derive(Debug)]
pub(crate) struct Frame<'a> {
    pub kind: Kind,
    pub position: Position,
    pub link: u32,
    pub synced: u64,
    pub body: &'a [u8],
    /// Bytes it takes, padding included.
    pub size: usize,
    crc: u32,
}

impl Frame<'_> {
    /// What the next frame's link must be.
    pub fn next_link(&self) -> u32 {
        chain(self.link, self.crc)
    }
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum NoFrame {
    /// The bytes end before the frame does; it needs this many.
    Short(usize),
    Bad,
}

pub(crate) fn size_of(body_length: usize) -> usize {
    (HEADER + body_length).next_multiple_of(ALIGNMENT)
}

fn chain(link: u32, crc: u32) -> u32 {
    let mut bytes = [0; 8];
    bytes[..4].copy_from_slice(&link.to_le_bytes());
    bytes[4..].copy_from_slice(&crc.to_le_bytes());
    crc32fast::hash(&bytes)
}

fn checksum(salt: u32, bytes: &[u8]) -> u32 {
    let mut hasher = crc32fast::Hasher::new_with_initial(salt);
    hasher.update(bytes);
    hasher.finalize()
}

/// What a frame is written with besides its content.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Context {
    pub salt: u32,
    pub link: u32,
    pub synced: u64,
}

/// Appends a frame to `out` and returns the link for the next one.
pub(crate) fn encode(out: &mut Vec<u8>, context: Context, kind: Kind, position: Position, body: &[u8]) -> u32 {
    let start = out.len();
    let length = u32::try_from(body.len()).expect("an entry is bounded by the largest payload, far below 4 GiB");
    out.extend_from_slice(&[0; 4]);
    out.extend_from_slice(&context.link.to_le_bytes());
    out.extend_from_slice(&length.to_le_bytes());
    out.extend_from_slice(&[kind as u8, 0, 0, 0]);
    out.extend_from_slice(&context.synced.to_le_bytes());
    out.extend_from_slice(&position.term.0.to_le_bytes());
    out.extend_from_slice(&position.index.0.to_le_bytes());
    out.extend_from_slice(body);
    let crc = checksum(context.salt, &out[start + 4..]);
    out[start..start + 4].copy_from_slice(&crc.to_le_bytes());
    out.resize(start + size_of(body.len()), 0);
    chain(context.link, crc)
}

pub(crate) fn u32_at(bytes: &[u8], at: usize) -> u32 {
    u32::from_le_bytes(bytes[at..at + 4].try_into().expect("four bytes were cut out"))
}

pub(crate) fn u64_at(bytes: &[u8], at: usize) -> u64 {
    u64::from_le_bytes(bytes[at..at + 8].try_into().expect("eight bytes were cut out"))
}

/// The frame at the start of `bytes`, if there is an intact one. The link is for the caller to compare.
pub(crate) fn parse(bytes: &[u8], salt: u32) -> Result<Frame<'_>, NoFrame> {
    if bytes.len() < HEADER {
        return Err(NoFrame::Short(HEADER));
    }
    let kind = match bytes[12..16] {
        [1, 0, 0, 0] => Kind::Entry,
        [2, 0, 0, 0] => Kind::Cut,
        [3, 0, 0, 0] => Kind::Base,
        _ => return Err(NoFrame::Bad),
    };
    let length = u32_at(bytes, 8) as usize;
    let size = size_of(length);
    if bytes.len() < size {
        return Err(NoFrame::Short(size));
    }
    let crc = u32_at(bytes, 0);
    if crc != checksum(salt, &bytes[4..HEADER + length]) || bytes[HEADER + length..size].iter().any(|&pad| pad != 0) {
        return Err(NoFrame::Bad);
    }
    Ok(Frame {
        kind,
        position: Position { term: Term(u64_at(bytes, 24)), index: Index(u64_at(bytes, 32)) },
        link: u32_at(bytes, 4),
        synced: u64_at(bytes, 16),
        body: &bytes[HEADER..HEADER + length],
        size,
        crc,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frame(body: &[u8]) -> Vec<u8> {
        let mut out = Vec::new();
        let context = Context { salt: 7, link: 0x0102_0304, synced: 96 };
        encode(&mut out, context, Kind::Entry, Position::new(3, 9), body);
        out
    }

    #[test]
    fn what_goes_in_comes_out() {
        for body in [&b""[..], b"x", b"12345678", &[0; 1000]] {
            let bytes = frame(body);
            assert_eq!(bytes.len() % ALIGNMENT, 0);
            let parsed = parse(&bytes, 7).expect("an intact frame is accepted");
            assert_eq!((parsed.kind, parsed.position, parsed.body), (Kind::Entry, Position::new(3, 9), body));
            assert_eq!((parsed.link, parsed.synced, parsed.size), (0x0102_0304, 96, bytes.len()));
        }
    }

    #[test]
    fn any_flipped_bit_any_cut_and_any_other_segment_is_refused() {
        let bytes = frame(b"a body");
        for bit in 0..bytes.len() * 8 {
            let mut damaged = bytes.clone();
            damaged[bit / 8] ^= 1 << (bit % 8);
            assert!(parse(&damaged, 7).is_err(), "bit {bit} is not covered");
        }
        for length in 0..bytes.len() {
            assert!(matches!(parse(&bytes[..length], 7), Err(NoFrame::Short(_))), "cut to {length}");
        }
        assert_eq!(parse(&bytes, 8).err(), Some(NoFrame::Bad));
        assert_eq!(parse(&[0; 64], 0).err(), Some(NoFrame::Bad), "preallocated zeros are no frame");
    }
}
