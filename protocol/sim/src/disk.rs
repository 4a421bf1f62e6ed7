//! A node's disk: the real journal, over the file layer's disk that forgets what was not synced, in memory.
//!
//! ```text
//!   Journal -> FaultyFiles (a sync that fails, no room) -> VolatileFiles (loses, tears) -> MemoryFiles (rots)
//! ```
//! Beside it two images say what it must hold: what is durable for sure, and what was handed over. After a crash the journal
//! must come back as the durable image with a prefix, frame by frame, of what was on its way; whatever rotted must be said.
use crate::image::Image;
use crate::random::Random;
use std::collections::VecDeque;
use std::sync::Arc;
use trivet_files::{Fault, FaultKind, FaultyFiles, Files, MemoryFiles, Operation, VolatileFiles, VolatileOptions};
use trivet_journal::{Identity, Journal, JournalConfig, JournalError, JournalReader, Seed, Start};
use trivet_log::*;

/// Why the disk did not do what it was asked for.
#[derive(Clone, Debug)]
pub enum DiskError {
    /// Nothing is lost and nothing was promised; there is no room.
    Full,
    /// A sync failed: what is on disk is in doubt.
    Failed,
    /// A rule is broken.
    Broken(String),
}

impl DiskError {
    fn of(error: &JournalError) -> DiskError {
        match () {
            _ if error.is_disk_full() => DiskError::Full,
            _ if error.is_final() => DiskError::Failed,
            _ => DiskError::Broken(error.to_string()),
        }
    }
}

pub struct Disk {
    config: JournalConfig,
    memory: MemoryFiles,
    /// While the node runs.
    open: Option<Open>,
    /// On disk for sure.
    pub durable: Image,
    /// With everything that was handed over.
    pub handed: Image,
    pending: VecDeque<Persist>,
    /// How many of the pending requests the running fsync covers.
    syncing: usize,
    /// There is no room for a file to grow.
    pub is_full: bool,
    sync_fails: bool,
    /// What rot took, until it is repaired: the other nodes' copies must do.
    pub rotten: Vec<Position>,
    /// Until a leader has repaired it.
    pub is_rotten: bool,
    /// The whole disk was lost, and the node has not begun anew.
    pub is_lost: bool,
    /// What it had applied, until it is repaired.
    pub lost_applied: Index,
    /// Rot came since the last start.
    has_rotted: bool,
    /// At the last start there was more than what was durable for sure.
    pub has_survivors: bool,
}

struct Open {
    volatile: Arc<VolatileFiles>,
    faulty: FaultyFiles,
    journal: Journal,
    reader: JournalReader,
}

impl Disk {
    pub fn new(node: NodeId, segment_bytes: u64) -> Disk {
        let identity = Identity { cluster: ClusterId(0x51), node };
        Disk {
            config: JournalConfig { segment_bytes, ..JournalConfig::new(identity, Start::Any) },
            memory: MemoryFiles::new(),
            open: None,
            durable: Image::default(),
            handed: Image::default(),
            pending: VecDeque::new(),
            syncing: 0,
            is_full: false,
            sync_fails: false,
            rotten: Vec::new(),
            is_rotten: false,
            is_lost: false,
            lost_applied: Index(0),
            has_rotted: false,
            has_survivors: false,
        }
    }

    // ---- a start

    fn open_over(&self, memory: &MemoryFiles) -> Result<(Open, Recovered), DiskError> {
        let broken = |error: &dyn std::fmt::Display| DiskError::Broken(error.to_string());
        let volatile = VolatileFiles::open(Arc::new(memory.clone()), VolatileOptions::default());
        let volatile = Arc::new(volatile.map_err(|error| broken(&error))?);
        let faulty = FaultyFiles::over(volatile.clone() as Arc<dyn Files>);
        if self.is_full {
            faulty.set_room(0);
        }
        let (journal, recovered) = Journal::open(Arc::new(faulty.clone()), self.config.clone(), Index(0))
            .map_err(|error| DiskError::of(&error))?;
        let reader = journal.reader();
        Ok((Open { volatile, faulty, journal, reader }, recovered))
    }

    /// Opens the journal, and compares what it holds with what it must hold.
    pub fn start(&mut self) -> Result<Recovered, DiskError> {
        let (open, recovered) = self.open_over(&self.memory)?;
        let found = Image::recovered(&recovered);
        if !self.has_rotted {
            self.compare(&found, &recovered).map_err(DiskError::Broken)?;
        }
        self.has_rotted = false;
        self.has_survivors = found.last() > self.durable.last();
        self.open = Some(open);
        self.pending.clear();
        self.syncing = 0;
        self.durable = found.clone();
        self.handed = found;
        Ok(recovered)
    }

    /// The log is the durable one with a prefix of what was on its way, and so is the vote.
    fn compare(&self, found: &Image, recovered: &Recovered) -> Result<(), String> {
        let mut image = self.durable.clone();
        let mut same = found.same_log(&image);
        let mut votes = vec![(image.term, image.voted_for)];
        for request in &self.pending {
            image.write(request, |image| same |= found.same_log(image))?;
            votes.push((image.term, image.voted_for));
        }
        if !same {
            let (durable, handed) = (self.durable.last(), self.handed.last());
            return Err(format!("a journal came back with {}, had {durable} and perhaps up to {handed}", found.last()));
        }
        if !votes.contains(&(found.term, found.voted_for)) {
            return Err(format!("a journal came back with vote {:?} in {:?}", found.voted_for, found.term));
        }
        if found.boot <= self.durable.boot {
            return Err("a start did not raise the boot number".into());
        }
        match recovered.rotten_up_to {
            _ if self.is_rotten => Ok(()),
            None => Ok(()),
            Some(index) => Err(format!("a torn tail passes for rot up to {}", index.0)),
        }
    }

    // ---- writing

    pub fn hand_over(&mut self, request: Persist) -> Result<(), String> {
        self.handed.write(&request, |_| {})?;
        self.pending.push_back(request);
        Ok(())
    }

    /// Begins an fsync over all that is pending. False if one runs, or nothing is pending.
    pub fn start_sync(&mut self) -> bool {
        let starts = self.syncing == 0 && !self.pending.is_empty();
        if starts {
            self.syncing = self.pending.len();
        }
        starts
    }

    /// The running fsync is done: the requests that it covers are on disk.
    pub fn finish_sync(&mut self) -> Result<Vec<Persist>, DiskError> {
        let count = std::mem::take(&mut self.syncing);
        let Some(open) = &mut self.open else { return Ok(Vec::new()) };
        open.faulty.heal();
        if std::mem::take(&mut self.sync_fails) {
            open.faulty.inject(fault(1));
        }
        if self.is_full {
            open.faulty.set_room(0);
        }
        let result = (|| {
            for request in self.pending.iter().take(count) {
                open.journal.apply(request)?;
            }
            open.journal.sync()
        })();
        if let Err(error) = result {
            // what was applied is in the journal's memory, or on its way; nothing more follows
            return Err(DiskError::of(&error));
        }
        let done: Vec<Persist> = self.pending.drain(..count).collect();
        for request in &done {
            self.durable.write(request, |_| {}).map_err(DiskError::Broken)?;
        }
        if self.durable.last() != open.journal.durable() {
            let what = format!("the journal is durable to {}, not {}", open.journal.durable(), self.durable.last());
            return Err(DiskError::Broken(what));
        }
        if open.journal.rotten_up_to().is_none() {
            self.rotten.clear();
            self.is_rotten = false;
            self.lost_applied = Index(0);
        }
        Ok(done)
    }

    /// The next sync says that it failed.
    pub fn fail_next_sync(&mut self) {
        self.sync_fails = true;
    }

    /// There is room, and syncs work.
    pub fn heal(&mut self) {
        self.is_full = false;
        self.sync_fails = false;
    }

    /// Entries that the journal holds, as its reader gives them.
    pub fn load(&self, from: Index, to: Index, bytes_max: usize) -> Result<Vec<Entry>, String> {
        let open = self.open.as_ref().ok_or("a journal is read that is not open")?;
        let entries = open.reader.read(from, to, bytes_max).map_err(|error| error.to_string())?;
        match entries.iter().all(|entry| self.durable.entry(entry.index()) == Some(entry)) {
            true => Ok(entries),
            false => Err(format!("a journal reads {} to {} and gives other entries", from.0, to.0)),
        }
    }

    /// Forgets what is below `keep_from`.
    pub fn prune(&mut self, keep_from: Index, is_region: bool) -> Result<(), DiskError> {
        if let Some(open) = &mut self.open {
            open.journal.prune(keep_from).map_err(|error| DiskError::of(&error))?;
        }
        for image in [&mut self.durable, &mut self.handed] {
            if !is_region || keep_from <= image.base.index {
                continue;
            }
            let last = image.entry(keep_from.previous()).map(|entry| entry.position);
            image.rebase(last.ok_or_else(|| DiskError::Broken("a prune goes beyond the log".into()))?);
        }
        Ok(())
    }

    // ---- faults

    /// The power fails, perhaps in the middle of a sync: of what was not synced a part is there, torn and out of order.
    pub fn crash(&mut self, random: &mut Random) -> Result<(), String> {
        let Some(mut open) = self.open.take() else { return Ok(()) };
        if self.syncing > 0 && random.chance(700) {
            // a segment, the state, or a directory: any of the syncs may be the last
            open.faulty.heal();
            open.faulty.inject(fault(random.between(1, 3)));
            for request in self.pending.iter().take(self.syncing) {
                let _ = open.journal.apply(request);
            }
            let _ = open.journal.sync();
        }
        open.volatile.crash(random.draw()).map_err(|error| error.to_string())
    }

    /// While the node is down some bytes of its last segment change. Entries up to `keep` must stay. False
    /// if there was nothing to take, or the damage would not be one that a journal can come back from.
    pub fn rot(&mut self, random: &mut Random, keep: Index) -> Result<bool, String> {
        if self.open.is_some() || self.is_rotten || self.is_full {
            return Ok(false);
        }
        let Ok((_, before)) = self.open_over(&self.memory.fork()) else { return Ok(false) };
        let damaged = self.memory.fork();
        let names = damaged.list().map_err(|error| error.to_string())?;
        let segments: Vec<&String> = names.iter().filter(|name| name.starts_with("segment")).collect();
        let Some(name) = segments.last() else { return Ok(false) };
        let mut seed = random.clone();
        damaged
            .edit(name, |bytes| {
                let used = bytes.iter().rposition(|byte| *byte != 0).unwrap_or(0);
                let at = seed.below(used as u64 + 1) as usize;
                let until = (at + 16).min(bytes.len());
                bytes[at..until].iter_mut().for_each(|byte| *byte ^= 0x5a);
            })
            .map_err(|error| error.to_string())?;
        random.draw();
        let Ok((_, after)) = self.open_over(&damaged.fork()) else { return Ok(false) };
        let rotten = after.rotten_up_to.is_some();
        // what is lost may be a cut, and then entries are back that were gone
        let (before, after) = (Image::recovered(&before), Image::recovered(&after));
        let lost = |entry: &&Entry| after.entry(entry.index()) != Some(entry);
        let gone: Vec<Position> = before.entries.iter().filter(lost).map(|entry| entry.position).collect();
        let keeps = after.last().index >= keep && gone.iter().all(|position| position.index > keep);
        if gone.is_empty() || !rotten || !keeps {
            return Ok(false);
        }
        self.rotten = gone;
        self.is_rotten = true;
        self.has_rotted = true;
        self.memory = damaged;
        Ok(true)
    }
}

impl Disk {
    /// Nothing is left of it. What it had counts as a copy until the node has got it back, as after rot.
    pub fn lose(&mut self, applied: Index) {
        self.open = None;
        self.memory = MemoryFiles::new();
        self.rotten = self.durable.entries.iter().map(|entry| entry.position).collect();
        self.lost_applied = applied;
        (self.durable, self.handed) = (Image::default(), Image::default());
        self.pending.clear();
        self.syncing = 0;
        (self.is_rotten, self.is_lost) = (true, true);
    }

    /// A new disk, with a journal as a node begins with that lost its own.
    pub fn begin_anew(&mut self, seed: &Seed, boot: Boot, entries: &[Entry]) -> Result<(), String> {
        let memory = MemoryFiles::new();
        let mut journal = Journal::begin_anew(Arc::new(memory.clone()), self.config.clone(), seed)
            .map_err(|error| error.to_string())?;
        journal.add(entries).map_err(|error| error.to_string())?;
        journal.finish(boot).map_err(|error| error.to_string())?;
        self.memory = memory;
        self.durable = Image {
            boot,
            term: seed.term,
            voted_for: None,
            base: seed.base,
            entries: entries.iter().cloned().collect(),
        };
        self.handed = self.durable.clone();
        self.is_lost = false;
        Ok(())
    }
}

/// The `nth` sync from now on fails.
fn fault(nth: u64) -> Fault {
    Fault { operation: Operation::Sync, nth, times: 1, kind: FaultKind::Broken }
}
