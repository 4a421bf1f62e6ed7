//! Reading what is durable, from any thread, while the journal's own thread writes.
//!
//! Segments are append-only and a deleted one stays readable while it is open (J1), so a reader looks up the place under
//! a short lock and reads without any.
use crate::frame::{self, Kind, NoFrame};
use crate::layout::{Layout, Spot};
use crate::segment::name_of;
use crate::{JournalError, Result};
use bytes::Bytes;
use parking_lot::RwLock;
use std::sync::Arc;
use trivet_log::{Entry, Index, Position, decode_entry};

/// Read ahead this much at a time.
const CHUNK: u64 = 128 * 1024;

/// What readers see: the log as far as it is durable.
#[derive(Default)]
pub(crate) struct Readable {
    pub layout: Layout,
    pub base: Position,
    pub last: Position,
}

/// Clones read the same journal.
#[derive(Clone)]
pub struct JournalReader {
    pub(crate) location: String,
    pub(crate) readable: Arc<RwLock<Readable>>,
}

impl JournalReader {
    /// The entries `from..=to`, fewer if they weigh more than `bytes_max` or the durable log ends, but at least one.
    pub fn read(&self, from: Index, to: Index, bytes_max: usize) -> Result<Vec<Entry>> {
        let mut entries = Vec::new();
        let mut weight = 0;
        let mut next = from;
        loop {
            let (spot, last) = {
                let readable = self.readable.read();
                if next <= readable.base.index {
                    return Err(JournalError::Pruned { from: next, base: readable.base.index });
                }
                let spot = readable.layout.find(next);
                match spot {
                    Some(spot) => (spot, readable.last.index),
                    None if entries.is_empty() => {
                        return Err(JournalError::Beyond { from: next, last: readable.last.index });
                    }
                    None => return Ok(entries),
                }
            };
            let stop = to.min(last).min(spot.last);
            self.read_run(&spot, next, stop, &mut |entry| {
                weight += entry.weight();
                let fits = entries.is_empty() || weight <= bytes_max;
                if fits {
                    next = entry.index().next();
                    entries.push(entry);
                }
                fits && weight < bytes_max
            })?;
            if weight >= bytes_max || next > to.min(last) {
                return Ok(entries);
            }
        }
    }

    /// Hands over the entries `from..=to` of one run until `take` has enough.
    fn read_run(&self, spot: &Spot, from: Index, to: Index, take: &mut dyn FnMut(Entry) -> bool) -> Result<()> {
        let damaged = |offset: u64| JournalError::Damaged {
            location: self.location.clone(),
            name: name_of(spot.segment.sequence),
            what: format!("no good frame at {offset}, where one was durable"),
        };
        let mut buffer: Vec<u8> = Vec::new();
        // The buffer holds the file from `offset` on; `at` bytes of it are used up.
        let (mut offset, mut at) = (spot.offset, 0);
        loop {
            match frame::parse(&buffer[at..], spot.segment.salt) {
                Ok(frame) => {
                    let index = frame.position.index;
                    if frame.kind != Kind::Entry || index > to {
                        return Err(damaged(offset + at as u64));
                    }
                    if index >= from {
                        let entry = decode(frame.position, frame.body).ok_or_else(|| damaged(offset + at as u64))?;
                        if !take(entry) || index == to {
                            return Ok(());
                        }
                    }
                    at += frame.size;
                }
                Err(NoFrame::Short(size)) => {
                    offset += at as u64;
                    at = 0;
                    let rest = spot.end.saturating_sub(offset);
                    if (size as u64) > rest {
                        return Err(damaged(offset));
                    }
                    let count = rest.min(CHUNK).max(size as u64);
                    buffer.resize(usize::try_from(count).expect("a frame fits in memory"), 0);
                    let read = spot.segment.file.read_at(offset, &mut buffer)?;
                    if read < size {
                        return Err(damaged(offset));
                    }
                    buffer.truncate(read);
                }
                Err(NoFrame::Bad) => return Err(damaged(offset + at as u64)),
            }
        }
    }
}

/// The entry of a frame; `None` if the body is not one, or not the one that the frame says.
pub(crate) fn decode(position: Position, body: &[u8]) -> Option<Entry> {
    let mut bytes = Bytes::copy_from_slice(body);
    let entry = decode_entry(&mut bytes).ok()?;
    (bytes.is_empty() && entry.position == position).then_some(entry)
}
