//! What a start finds: the longest good prefix of what was written, and what to think of the rest (J3).
//!
//! ```text
//!   segment 4 [h|f|f|f|f|f|f|f|000]      segment 5 [h|f|f|f|?|f|?|000000]
//!                                                           ^ the first bad place
//! ```
//! Nothing but zeros from there on, and the mark not beyond: the clean end. Otherwise the mark, a later segment, or a
//! good frame that was written when this place was durable already, show rot. Otherwise the last batch was torn.
use crate::frame::{self, Frame, Kind, NoFrame};
use crate::layout::Layout;
use crate::mark::{Mark, Place};
use crate::segment::{self, NoHeader, Segment, SegmentHeader, name_of, salt_of, sequence_of};
use crate::shape::Shape;
use crate::state::Identity;
use crate::{JournalError, Result, reader};
use trivet_files::Files;
use trivet_log::{Entry, Index};

/// The good prefix.
pub(crate) struct Recovery {
    pub shape: Shape,
    pub layout: Layout,
    pub segments: Vec<Segment>,
    /// The entries above what was asked for.
    pub entries: Vec<Entry>,
    /// Where the next frame goes, in the last of `segments`.
    pub offset: u64,
    pub link: u32,
    pub rest: Rest,
}

/// What lies behind the good prefix.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum Rest {
    Clean,
    Torn,
    /// `up_to`: an index that no entry lost here lies above, as far as can be told.
    Rotten {
        up_to: Index,
    },
}

/// Sequences of the segments that are there, ascending.
pub(crate) fn segments_in(files: &dyn Files) -> Result<Vec<u64>> {
    Ok(files.list()?.iter().filter_map(|name| sequence_of(name)).collect())
}

struct Scan<'a> {
    files: &'a dyn Files,
    identity: Identity,
    replay_from: Index,
    found: Recovery,
}

/// Reads everything and changes nothing. `sequences` is not empty.
pub(crate) fn scan(
    files: &dyn Files,
    identity: Identity,
    sequences: &[u64],
    mark: Option<Mark>,
    replay_from: Index,
) -> Result<Recovery> {
    let found = Recovery {
        shape: Shape::default(),
        layout: Layout::default(),
        segments: Vec::new(),
        entries: Vec::new(),
        offset: 0,
        link: 0,
        rest: Rest::Clean,
    };
    let mut scan = Scan { files, identity, replay_from, found };
    let (place, bytes) = scan.walk(sequences)?;
    scan.found.rest = scan.judge(place, &bytes, sequences, mark.unwrap_or_default())?;
    Ok(scan.found)
}

impl Scan<'_> {
    fn damaged(&self, sequence: u64, what: String) -> JournalError {
        JournalError::Damaged { location: self.files.location(), name: name_of(sequence), what }
    }

    /// Accepts frame after frame; returns the first place without one, with that segment's bytes.
    fn walk(&mut self, sequences: &[u64]) -> Result<(Place, Vec<u8>)> {
        let mut stop = (Place::default(), Vec::new());
        for (at, &sequence) in sequences.iter().enumerate() {
            if at > 0 && sequence != sequences[at - 1] + 1 {
                break;
            }
            let bytes = self.files.read(&name_of(sequence))?.unwrap_or_default();
            let Some(header) = self.header(sequence, &bytes)? else {
                if at == 0 {
                    return Err(self.damaged(sequence, "the oldest segment's header does not verify".to_string()));
                }
                break;
            };
            if at == 0 {
                self.found.shape = Shape::at(header.last);
                self.found.link = header.link;
            } else if header.link != self.found.link || header.last != self.found.shape.last {
                // The segment before has lost frames at its end.
                break;
            }
            let segment = Segment {
                sequence,
                salt: salt_of(self.identity, sequence),
                file: self.files.open(&name_of(sequence))?,
            };
            let offset = self.frames(&segment, &bytes)?;
            self.found.offset = offset as u64;
            self.found.segments.push(segment);
            stop = (Place { sequence, offset: offset as u64 }, bytes);
            if !zero(&stop.1[offset..]) {
                break;
            }
        }
        Ok(stop)
    }

    /// `None` if there is no header that verifies.
    fn header(&self, sequence: u64, bytes: &[u8]) -> Result<Option<SegmentHeader>> {
        let location = || self.files.location();
        match SegmentHeader::decode(bytes) {
            Ok(header) if header.identity != self.identity => {
                Err(JournalError::Foreign { location: location(), found: header.identity, expected: self.identity })
            }
            Ok(header) => Ok(Some(header).filter(|header| header.sequence == sequence)),
            Err(NoHeader::NewerFormat(version)) => {
                Err(JournalError::NewerFormat { location: location(), name: name_of(sequence), version })
            }
            Err(NoHeader::Bad) => Ok(None),
        }
    }

    /// Accepts the segment's frames; returns where they end.
    fn frames(&mut self, segment: &Segment, bytes: &[u8]) -> Result<usize> {
        let mut offset = segment::HEADER;
        while let Ok(frame) = frame::parse(&bytes[offset..], segment.salt) {
            if frame.link != self.found.link {
                break;
            }
            self.found.link = frame.next_link();
            self.accept(segment, offset as u64, &frame)?;
            offset += frame.size;
        }
        Ok(offset)
    }

    /// A linked frame is what some process of this node wrote; if it makes no sense, that process was wrong.
    fn accept(&mut self, segment: &Segment, offset: u64, frame: &Frame<'_>) -> Result<()> {
        let Recovery { shape, layout, entries, .. } = &mut self.found;
        let position = frame.position;
        match frame.kind {
            Kind::Entry => {
                let entry = reader::decode(position, frame.body).filter(|_| shape.fits(position));
                let Some(entry) = entry else {
                    let what =
                        format!("the frame at {offset} verifies, but holds no entry {position} after {}", shape.last);
                    return Err(self.damaged(segment.sequence, what));
                };
                shape.append(position);
                layout.append(segment, position.index, offset, frame.size as u64);
                if position.index > self.replay_from {
                    entries.push(entry);
                }
            }
            Kind::Cut => {
                shape.cut(position);
                layout.cut(position.index);
                while entries.last().is_some_and(|entry| entry.index() > position.index) {
                    entries.pop();
                }
            }
            Kind::Base => {
                shape.rebase(position);
                if shape.last == shape.base {
                    layout.clear();
                    entries.clear();
                } else {
                    layout.rebase(shape.base.index);
                    let keep = entries.partition_point(|entry| entry.index() <= shape.base.index);
                    entries.drain(..keep);
                }
            }
        }
        Ok(())
    }

    /// What follows the first place without a frame.
    fn judge(&self, place: Place, bytes: &[u8], sequences: &[u64], mark: Mark) -> Result<Rest> {
        let rest = &bytes[place.offset as usize..];
        let mut survivors = Survivors::default();
        survivors.look(rest, place.offset, salt_of(self.identity, place.sequence));
        let mut rotten = mark.place > place || survivors.synced_max > place.offset;
        for &sequence in sequences.iter().filter(|sequence| **sequence > place.sequence) {
            // A later segment is begun when all before is durable. One without header or frames was never finished.
            let bytes = self.files.read(&name_of(sequence))?.unwrap_or_default();
            let header = self.header(sequence, &bytes)?;
            let mut later = Survivors::default();
            later.look(&bytes, 0, salt_of(self.identity, sequence));
            rotten |= header.is_some() || later.count > 0;
            let before = header.map_or(Index(0), |header| header.last.index);
            survivors.index_max = survivors.index_max.max(later.index_max).max(before);
        }
        if rotten {
            let up_to = survivors.index_max.max(mark.last.index).max(self.found.shape.last.index);
            return Ok(Rest::Rotten { up_to });
        }
        let unfinished = sequences.last().is_some_and(|last| *last > place.sequence);
        Ok(if zero(rest) && !unfinished { Rest::Clean } else { Rest::Torn })
    }
}

/// Good frames behind a bad place.
#[derive(Default)]
struct Survivors {
    count: usize,
    index_max: Index,
    synced_max: u64,
}

impl Survivors {
    /// Looks at every aligned place. Bytes that a client chose could be made to look like frames that verify nowhere
    /// and cost a checksum each, so there is a bound; past it the rest counts as one good frame: rot, the safe side.
    fn look(&mut self, bytes: &[u8], start: u64, salt: u32) {
        let mut budget = 64 * (bytes.len() as u64 + 4096);
        let mut at = 0;
        while at + frame::HEADER <= bytes.len() {
            match frame::parse(&bytes[at..], salt) {
                Ok(frame) => {
                    self.count += 1;
                    self.synced_max = self.synced_max.max(frame.synced);
                    self.index_max = self.index_max.max(frame.position.index);
                    at += frame.size;
                    continue;
                }
                // Only what has the looks of a frame that fits was worth a checksum.
                Err(NoFrame::Bad) if matches!(bytes[at + 12..at + 16], [1..=3, 0, 0, 0]) => {
                    budget = budget.saturating_sub(u64::from(frame::u32_at(bytes, at + 8)));
                }
                Err(_) => {}
            }
            if budget == 0 {
                self.count += 1;
                self.synced_max = start + bytes.len() as u64;
                return;
            }
            at += frame::ALIGNMENT;
        }
    }
}

fn zero(bytes: &[u8]) -> bool {
    const ZEROS: [u8; 4096] = [0; 4096];
    bytes.chunks(ZEROS.len()).all(|chunk| chunk == &ZEROS[..chunk.len()])
}
