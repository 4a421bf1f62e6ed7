//! The journal itself: open, apply, sync, prune.
use crate::frame::{self, Context, Kind};
use crate::mark::{Mark, MarkFile, Place};
use crate::reader::{JournalReader, Readable};
use crate::recovery::{self, Recovery, Rest};
use crate::segment::{self, Segment, SegmentHeader, name_of};
use crate::shape::Shape;
use crate::state::{Identity, State};
use crate::{JournalError, Result};
use bytes::BytesMut;
use parking_lot::RwLock;
use std::collections::VecDeque;
use std::sync::Arc;
use trivet_files::{Files, FilesError};
use trivet_log::{Boot, Entry, HardState, Index, Persist, Position, Recovered, encode_entry};

/// Frames are handed to the system in pieces of about this size.
const WRITE_BYTES: usize = 1 << 20;

/// Whether the directory should hold this node's past (J5).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Start {
    /// The node's first start: the directory must not hold a journal that was started before.
    First,
    /// The node has a past: the directory must hold it.
    Again,
    /// Either. For tests and throw-away clusters: a node that lost its disk would forget its votes.
    Any,
}

#[derive(Clone, Debug)]
pub struct JournalConfig {
    pub identity: Identity,
    pub start: Start,
    /// Bytes that a segment reserves. Pruning drops whole segments. An entry that is larger gets one of its own size.
    pub segment_bytes: u64,
}

impl JournalConfig {
    pub fn new(identity: Identity, start: Start) -> JournalConfig {
        JournalConfig { identity, start, segment_bytes: 64 << 20 }
    }
}

/// Driven by one thread. After an error that `is_final`, every call fails and the process must stop.
pub struct Journal {
    files: Arc<dyn Files>,
    config: JournalConfig,
    /// As durable.
    state: State,
    hard: HardState,
    mark: MarkFile,
    segments: VecDeque<Segment>,
    /// Length of the last segment's file.
    capacity: u64,
    /// The log as durable.
    tail: Tail,
    /// The log as applied: durable and pending.
    shape: Shape,
    pending: Vec<Pending>,
    pending_bytes: usize,
    readable: Arc<RwLock<Readable>>,
    failed: bool,
}

/// The end of the log, and the log's shape there.
#[derive(Clone)]
struct Tail {
    shape: Shape,
    offset: u64,
    link: u32,
}

/// A frame that waits for the next sync.
struct Pending {
    kind: Kind,
    position: Position,
    body: BytesMut,
}

/// A frame that is written and waits for the end of the sync.
struct Written {
    kind: Kind,
    index: Index,
    offset: u64,
    size: u64,
    /// It left the log empty: a base beyond the end, or of another history.
    emptied: bool,
}

impl Journal {
    /// Opens the node's journal, or makes it. `Recovered::entries` are those above `replay_from`; its `applied` and
    /// `seed` are left for the caller. The boot number is raised and durable on return (J4).
    pub fn open(files: Arc<dyn Files>, config: JournalConfig, replay_from: Index) -> Result<(Journal, Recovered)> {
        let mut state = find_or_format(&*files, &config)?;
        let (mut mark, known) = MarkFile::open(&*files, config.identity)?;
        let sequences = recovery::segments_in(&*files)?;
        if sequences.is_empty() {
            return Err(JournalError::Damaged {
                location: files.location(),
                name: name_of(1),
                what: "the node's state is here, but its log is not".to_string(),
            });
        }
        let mut found = recovery::scan(&*files, config.identity, &sequences, known, replay_from)?;
        state.boot = Boot(state.boot.0 + 1);
        if let Rest::Rotten { up_to } = found.rest {
            tracing::error!(
                location = files.location(),
                good_up_to = found.shape.last.index.0,
                rotten_up_to = up_to.0,
                "the log is damaged where it was durable: this node neither votes nor acknowledges until it is repaired"
            );
            state.rotten_up_to = state.rotten_up_to.max(Some(up_to));
        }
        // First the memory of the rot, then the repair that would hide it.
        state.write(&*files)?;
        clear_rest(&*files, &found, &sequences)?;
        let last = found.segments.last().expect("a scan accepts at least the oldest segment");
        let capacity = last.file.length()?.max(found.offset);
        let tail = Tail { shape: found.shape.clone(), offset: found.offset, link: found.link };
        mark.write(&tail.mark(last.sequence))?;
        mark.sync()?;

        let recovered = Recovered {
            boot: state.boot,
            term: state.hard.term,
            voted_for: state.hard.voted_for,
            base: found.shape.base,
            entries: std::mem::take(&mut found.entries),
            term_starts: found.shape.term_starts.clone(),
            last: found.shape.last,
            rotten_up_to: state.rotten_up_to,
            ..Recovered::default()
        };
        let readable = Readable { layout: found.layout, base: found.shape.base, last: found.shape.last };
        let journal = Journal {
            files,
            config,
            state,
            hard: state.hard,
            mark,
            segments: found.segments.into(),
            capacity,
            shape: tail.shape.clone(),
            tail,
            pending: Vec::new(),
            pending_bytes: 0,
            readable: Arc::new(RwLock::new(readable)),
            failed: false,
        };
        Ok((journal, recovered))
    }

    /// Takes one persist in its order: hard state, cut, entries, base. Nothing is durable before `sync`.
    pub fn apply(&mut self, persist: &Persist) -> Result<()> {
        self.alive()?;
        if let Some(hard) = persist.hard_state {
            assert!(hard.term >= self.hard.term, "the term went back from {:?} to {:?}", self.hard.term, hard.term);
            self.hard = hard;
        }
        if let Some(to) = persist.truncate {
            self.cut(to);
        }
        for entry in &persist.entries {
            self.append(entry);
        }
        if let Some(base) = persist.base {
            self.rebase(base);
        }
        Ok(())
    }

    fn cut(&mut self, to: Position) {
        let base = self.shape.base;
        assert!(to.index >= base.index, "cut to {to} below the base {base}");
        if to.index >= self.shape.last.index {
            return;
        }
        let held = self.shape.term_at(to.index);
        assert!(held == Some(to.term), "cut to {to}, but the entry there is of term {held:?}");
        self.shape.cut(to);
        self.wait(Kind::Cut, to, BytesMut::new());
    }

    fn append(&mut self, entry: &Entry) {
        let last = self.shape.last;
        assert!(self.shape.fits(entry.position), "entry {} appended after {last}", entry.position);
        self.shape.append(entry.position);
        let mut body = BytesMut::with_capacity(entry.weight());
        encode_entry(entry, &mut body);
        self.wait(Kind::Entry, entry.position, body);
    }

    fn rebase(&mut self, to: Position) {
        if to.index > self.shape.base.index {
            self.shape.rebase(to);
            self.wait(Kind::Base, to, BytesMut::new());
        }
    }

    fn wait(&mut self, kind: Kind, position: Position, body: BytesMut) {
        self.pending_bytes += frame::size_of(body.len());
        self.pending.push(Pending { kind, position, body });
    }

    /// Makes everything applied durable: one fdatasync, unless a segment fills up or the hard state moved. After
    /// `is_disk_full` nothing is lost, nothing was promised, and the call may be repeated.
    pub fn sync(&mut self) -> Result<Position> {
        self.alive()?;
        let result = self.sync_all();
        if let Err(error) = &result {
            self.failed = error.is_final();
        }
        result
    }

    fn sync_all(&mut self) -> Result<Position> {
        if self.hard != self.state.hard {
            let state = State { hard: self.hard, ..self.state };
            state.write(&*self.files)?;
            self.state = state;
        }
        while !self.pending.is_empty() {
            if !self.fits(&self.pending[0]) {
                self.begin_segment()?;
            }
            self.write_to_segment()?;
        }
        // J3: the first durable entry beyond the rot was sent by a leader whose log matched ours up to it.
        if let Some(rotten) = self.state.rotten_up_to
            && self.tail.shape.last.index > rotten
        {
            let state = State { rotten_up_to: None, ..self.state };
            state.write(&*self.files)?;
            self.state = state;
            tracing::info!(location = self.files.location(), up_to = rotten.0, "the log is repaired");
        }
        Ok(self.tail.shape.last)
    }

    /// Whether the frame finds room after the tail.
    fn fits(&self, pending: &Pending) -> bool {
        self.tail.offset + frame::size_of(pending.body.len()) as u64 <= self.capacity
    }

    /// Writes and syncs as many pending frames as the last segment takes (at least one).
    fn write_to_segment(&mut self) -> Result<()> {
        let segment = self.segments.back().expect("a journal has a segment").clone();
        let synced = self.tail.offset;
        let mut tail = self.tail.clone();
        let mut written = Vec::new();
        let mut buffer = Vec::with_capacity(self.pending_bytes.min(WRITE_BYTES + WRITE_BYTES / 4));
        let mut buffer_offset = tail.offset;
        for pending in &self.pending {
            let size = frame::size_of(pending.body.len()) as u64;
            if tail.offset + size > self.capacity {
                break;
            }
            let context = Context { salt: segment.salt, link: tail.link, synced };
            tail.link = frame::encode(&mut buffer, context, pending.kind, pending.position, &pending.body);
            let (kind, index, offset) = (pending.kind, pending.position.index, tail.offset);
            tail.take(kind, pending.position, size);
            let emptied = tail.shape.last == tail.shape.base;
            written.push(Written { kind, index, offset, size, emptied });
            if buffer.len() >= WRITE_BYTES {
                segment.file.write_at(buffer_offset, &buffer)?;
                buffer_offset = tail.offset;
                buffer.clear();
            }
        }
        if !buffer.is_empty() {
            segment.file.write_at(buffer_offset, &buffer)?;
        }
        segment.file.sync_data()?;
        self.tail = tail;
        for pending in self.pending.drain(..written.len()) {
            self.pending_bytes -= frame::size_of(pending.body.len());
        }
        let rebased = written.iter().any(|frame| frame.kind == Kind::Base);
        self.publish(&segment, &written);
        self.mark.write(&self.tail.mark(segment.sequence))?;
        if rebased { self.drop_dead_segments(Index(0)) } else { Ok(()) }
    }

    /// Readers see what is durable.
    fn publish(&self, segment: &Segment, written: &[Written]) {
        let mut readable = self.readable.write();
        for frame in written {
            match frame.kind {
                Kind::Entry => readable.layout.append(segment, frame.index, frame.offset, frame.size),
                _ if frame.emptied => readable.layout.clear(),
                Kind::Cut => readable.layout.cut(frame.index),
                Kind::Base => readable.layout.rebase(frame.index),
            }
        }
        readable.base = self.tail.shape.base;
        readable.last = self.tail.shape.last;
    }

    /// The tail is durable, so the next segment may say what came before it.
    fn begin_segment(&mut self) -> Result<()> {
        let header = SegmentHeader {
            identity: self.config.identity,
            sequence: self.segments.back().expect("a journal has a segment").sequence + 1,
            link: self.tail.link,
            boot: self.state.boot,
            last: self.tail.shape.last,
        };
        let first = segment::HEADER + frame::size_of(self.pending.first().map_or(0, |pending| pending.body.len()));
        let length = self.config.segment_bytes.max(first as u64);
        let segment = segment::create(&*self.files, &header, length)?;
        self.segments.push_back(segment);
        self.capacity = length;
        self.tail.offset = segment::HEADER as u64;
        Ok(())
    }

    /// Drops what it can below `keep_from`: whole segments. Entries below the base are gone for readers too.
    pub fn prune(&mut self, keep_from: Index) -> Result<()> {
        self.alive()?;
        // What is pending may cut below what is durable; nobody prunes above a cut.
        let result = self.drop_dead_segments(keep_from.min(self.shape.last.index.next()));
        if let Err(error) = &result {
            self.failed = error.is_final();
        }
        result
    }

    /// Removes the oldest segments while nothing in them is both in the log and at or above `keep_from`.
    fn drop_dead_segments(&mut self, keep_from: Index) -> Result<()> {
        while self.segments.len() > 1 {
            let oldest = self.segments.front().expect("there are at least two").sequence;
            let last = self.readable.read().layout.last_in(oldest);
            if last.is_some_and(|last| last >= keep_from) {
                break;
            }
            if let Some(last) = last {
                let term = self.tail.shape.term_at(last).expect("a run lies between base and last");
                let base = Position { term, index: last };
                self.tail.shape.rebase(base);
                self.shape.rebase(base);
                let mut readable = self.readable.write();
                readable.layout.rebase(last);
                readable.base = base;
            }
            self.files.remove(&name_of(oldest))?;
            // One at a time, so that what a crash leaves is without gaps.
            self.files.sync_directory()?;
            self.segments.pop_front();
        }
        Ok(())
    }

    fn alive(&self) -> Result<()> {
        if self.failed { Err(JournalError::Failed) } else { Ok(()) }
    }

    /// See [`JournalReader::read`].
    pub fn read(&self, from: Index, to: Index, bytes_max: usize) -> Result<Vec<Entry>> {
        self.reader().read(from, to, bytes_max)
    }

    pub fn reader(&self) -> JournalReader {
        JournalReader { location: self.files.location(), readable: Arc::clone(&self.readable) }
    }

    /// Everything at or below is not here any more.
    pub fn base(&self) -> Position {
        self.shape.base
    }

    /// The last entry applied; durable after the next `sync`.
    pub fn last(&self) -> Position {
        self.shape.last
    }

    /// The last durable entry.
    pub fn durable(&self) -> Position {
        self.tail.shape.last
    }

    pub fn boot(&self) -> Boot {
        self.state.boot
    }

    pub fn rotten_up_to(&self) -> Option<Index> {
        self.state.rotten_up_to
    }

    /// Bytes that wait for the next `sync`, so that the driver can bound a group.
    pub fn pending_bytes(&self) -> usize {
        self.pending_bytes
    }

    /// Bytes that the segments take, roughly: for a budget and for `status`.
    pub fn stored_bytes(&self) -> u64 {
        (self.segments.len() as u64 - 1) * self.config.segment_bytes + self.tail.offset
    }
}

impl Tail {
    fn take(&mut self, kind: Kind, position: Position, size: u64) {
        match kind {
            Kind::Entry => self.shape.append(position),
            Kind::Cut => self.shape.cut(position),
            Kind::Base => self.shape.rebase(position),
        }
        self.offset += size;
    }

    fn mark(&self, sequence: u64) -> Mark {
        Mark { place: Place { sequence, offset: self.offset }, last: self.shape.last }
    }
}

/// The node's state, as J5 allows; formats a new directory. Boot is 0 if this is the first start.
fn find_or_format(files: &dyn Files, config: &JournalConfig) -> Result<State> {
    let identity = config.identity;
    let state = match State::read(files)? {
        Some(state) if state.identity != identity => {
            return Err(JournalError::Foreign {
                location: files.location(),
                found: state.identity,
                expected: identity,
            });
        }
        Some(state) if state.boot > Boot(0) => {
            if config.start == Start::First {
                let location = files.location();
                return Err(JournalError::AlreadyThere { location, found: state.identity, boot: state.boot });
            }
            return Ok(state);
        }
        // A first start that was interrupted: nothing was ever promised.
        Some(state) => state,
        None => {
            if config.start == Start::Again {
                return Err(JournalError::Missing { location: files.location(), expected: identity });
            }
            if let Some(sequence) = recovery::segments_in(files)?.first() {
                return Err(JournalError::Damaged {
                    location: files.location(),
                    name: name_of(*sequence),
                    what: "a log without the state that belongs to it".to_string(),
                });
            }
            let hard = HardState { term: Default::default(), voted_for: None };
            let state = State { identity, boot: Boot(0), hard, rotten_up_to: None };
            state.write(files)?;
            state
        }
    };
    let header = SegmentHeader { identity, sequence: 1, link: 0, boot: Boot(0), last: Position::default() };
    segment::create(files, &header, config.segment_bytes.max(segment::HEADER as u64))?;
    Ok(state)
}

/// Takes what follows the good prefix out of the way, so that the next frame is followed by zeros again. Rotten bytes are
/// kept aside for whoever investigates. A crash in between leaves a directory that is judged the same way again.
fn clear_rest(files: &dyn Files, found: &Recovery, sequences: &[u64]) -> Result<()> {
    if found.rest == Rest::Clean {
        return Ok(());
    }
    let last = found.segments.last().expect("a scan accepts at least the oldest segment");
    let length = last.file.length()?;
    let rotten = matches!(found.rest, Rest::Rotten { .. });
    if rotten && length > found.offset {
        let size = usize::try_from(length - found.offset).expect("a segment fits in memory");
        let mut bytes = vec![0; size];
        let count = last.file.read_at(found.offset, &mut bytes)?;
        files.replace(&format!("rotten-{:016}-{}", last.sequence, found.offset), &bytes[..count])?;
    }
    // From the end, so that what a crash leaves is without gaps.
    for &sequence in sequences.iter().rev().filter(|sequence| **sequence > last.sequence) {
        if rotten {
            files.rename(&name_of(sequence), &format!("rotten-{sequence:016}"))?;
        } else {
            files.remove(&name_of(sequence))?;
        }
        files.sync_directory()?;
    }
    tracing::warn!(
        location = files.location(),
        segment = last.sequence,
        offset = found.offset,
        rotten,
        "the log is cut after its last good frame"
    );
    last.file.set_length(found.offset)?;
    match last.file.preallocate(length) {
        Ok(()) => {}
        // Then the next frame asks for a new segment.
        Err(FilesError::DiskFull { .. }) => {}
        Err(error) => return Err(error.into()),
    }
    Ok(last.file.sync_data()?)
}
