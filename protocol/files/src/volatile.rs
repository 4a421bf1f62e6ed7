//! Test mode: a disk with a cache that dies with the process.
//!
//! ```text
//!   write_at, set_length  ->  pages in memory      -- sync_data -->       the file below
//!   create, rename, remove -> names in memory      -- sync_directory -->  the directory below
//! ```
//! Reads see the memory first. A process that is killed (`kill -9`, or a dropped `VolatileFiles`) leaves below exactly
//! what was synced (D1, read as strictly as possible): a test that loses an acknowledged commit has found a
//! missing sync. A file whose creation is not synced has a hidden name below, and is swept away at the next start.
//!
//! [`VolatileFiles::crash`] is the lenient disk: it lets a random part of what was not synced through first, torn
//! by sectors and out of order, as a kernel that was writing back would have.
//!
//! `skip_sync` is a lying disk: syncs succeed and do nothing. Drills use it to show that they would notice.
use crate::{File, Files, FilesError, Operation, Result, check_name};
use parking_lot::Mutex;
use std::collections::BTreeMap;
use std::io;
use std::sync::Arc;

const PAGE: usize = 4096;
/// What a disk writes whole.
const SECTOR: usize = 512;
/// Names below of files whose creation is not durable.
const HIDDEN: &str = "unlinked~";

#[derive(Clone, Copy, Debug, Default)]
pub struct VolatileOptions {
    /// Syncs do nothing: everything since the start is lost at a kill.
    pub skip_sync: bool,
    /// Sync the files below too. Off, a kill of the process is survived but not a loss of power.
    pub sync_below: bool,
}

pub struct VolatileFiles {
    shared: Arc<Shared>,
}

struct Shared {
    below: Arc<dyn Files>,
    options: VolatileOptions,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    /// The directory as its user sees it.
    names: BTreeMap<String, Arc<Cache>>,
    /// What the directory below has not been told, in order.
    untold: Vec<Change>,
    hidden_count: u64,
    crashed: bool,
    /// Crash in the next sync, with this seed.
    doom: Option<u64>,
}

/// A file below and what is newer than it.
struct Cache {
    below: Arc<dyn File>,
    content: Mutex<Content>,
}

struct Content {
    length: u64,
    /// Newer pages, by page number.
    pages: BTreeMap<u64, Box<[u8; PAGE]>>,
    /// The smallest length since the last sync: what lies beyond it below is stale and must be cut first.
    low_length: u64,
    /// Reserve up to here below.
    reserve: u64,
}

#[derive(Clone)]
enum Change {
    /// The hidden file takes its name.
    Create {
        hidden: String,
        name: String,
    },
    Rename {
        from: String,
        to: String,
    },
    Remove {
        name: String,
    },
}

impl VolatileFiles {
    /// Over a directory that nobody else changes meanwhile.
    pub fn open(below: Arc<dyn Files>, options: VolatileOptions) -> Result<VolatileFiles> {
        let mut state = State::default();
        for name in below.list()? {
            if name.starts_with(HIDDEN) {
                below.remove(&name)?;
            } else {
                let file = Cache::new(below.open(&name)?)?;
                state.names.insert(name, Arc::new(file));
            }
        }
        Ok(VolatileFiles { shared: Arc::new(Shared { below, options, state: Mutex::new(state) }) })
    }

    /// Loses power: a random part of what is not synced reaches the files below, torn by sectors, and every later
    /// call on this value or its files fails. The same seed keeps the same part.
    pub fn crash(&self, seed: u64) -> Result<()> {
        self.shared.crash(&mut self.shared.state.lock(), seed)
    }

    /// As `crash`, in the middle of the next sync of a file or of the directory.
    pub fn crash_at_next_sync(&self, seed: u64) {
        self.shared.state.lock().doom = Some(seed);
    }

    /// How much is written and not synced, in bytes of pages.
    pub fn unsynced_bytes(&self) -> usize {
        let state = self.shared.state.lock();
        state.names.values().map(|file| file.content.lock().pages.len() * PAGE).sum()
    }
}

impl Change {
    fn tell(&self, below: &dyn Files) -> Result<()> {
        match self {
            Change::Create { hidden, name } => below.rename(hidden, name),
            Change::Rename { from, to } => below.rename(from, to),
            Change::Remove { name } => below.remove(name),
        }
    }
}

impl Shared {
    fn crash(&self, state: &mut State, seed: u64) -> Result<()> {
        state.crashed = true;
        let mut dice = Dice(seed);
        // Names go in order, as file systems journal them, and stop anywhere.
        let told = dice.below(state.untold.len() as u64 + 1) as usize;
        let untold = std::mem::take(&mut state.untold);
        for file in state.names.values() {
            file.leak(&mut dice)?;
        }
        for change in &untold[..told] {
            change.tell(&*self.below)?;
        }
        Ok(())
    }

    /// At the start of every sync.
    fn meet_doom(&self) -> Result<()> {
        let mut state = self.state.lock();
        if let Some(seed) = state.doom.take() {
            self.crash(&mut state, seed)?;
        }
        self.alive(&state)
    }

    fn alive(&self, state: &State) -> Result<()> {
        if state.crashed {
            let cause = io::Error::other("this disk has crashed");
            return Err(FilesError::Io { operation: Operation::Open, path: self.below.location(), cause });
        }
        Ok(())
    }

    fn missing(&self, name: &str) -> FilesError {
        FilesError::NotFound { path: format!("{}/{name}", self.below.location()) }
    }

    fn handle(self: &Arc<Self>, file: &Arc<Cache>) -> Arc<dyn File> {
        Arc::new(Handle { shared: Arc::clone(self), file: Arc::clone(file) })
    }
}

impl Files for VolatileFiles {
    fn location(&self) -> String {
        self.shared.below.location()
    }

    fn list(&self) -> Result<Vec<String>> {
        let state = self.shared.state.lock();
        self.shared.alive(&state)?;
        Ok(state.names.keys().cloned().collect())
    }

    fn open(&self, name: &str) -> Result<Arc<dyn File>> {
        let state = self.shared.state.lock();
        self.shared.alive(&state)?;
        match state.names.get(name) {
            Some(file) => Ok(self.shared.handle(file)),
            None => Err(self.shared.missing(name)),
        }
    }

    fn create(&self, name: &str) -> Result<Arc<dyn File>> {
        check_name(name)?;
        let mut state = self.shared.state.lock();
        self.shared.alive(&state)?;
        if state.names.contains_key(name) {
            return Err(FilesError::AlreadyExists { path: format!("{}/{name}", self.shared.below.location()) });
        }
        state.hidden_count += 1;
        let hidden = format!("{HIDDEN}{}", state.hidden_count);
        let file = Arc::new(Cache::new(self.shared.below.create(&hidden)?)?);
        state.names.insert(name.to_string(), Arc::clone(&file));
        state.untold.push(Change::Create { hidden, name: name.to_string() });
        Ok(self.shared.handle(&file))
    }

    fn rename(&self, from: &str, to: &str) -> Result<()> {
        check_name(to)?;
        let mut state = self.shared.state.lock();
        self.shared.alive(&state)?;
        let file = state.names.remove(from).ok_or_else(|| self.shared.missing(from))?;
        state.names.insert(to.to_string(), file);
        state.untold.push(Change::Rename { from: from.to_string(), to: to.to_string() });
        Ok(())
    }

    fn remove(&self, name: &str) -> Result<()> {
        let mut state = self.shared.state.lock();
        self.shared.alive(&state)?;
        if state.names.remove(name).is_none() {
            return Err(self.shared.missing(name));
        }
        state.untold.push(Change::Remove { name: name.to_string() });
        Ok(())
    }

    fn sync_directory(&self) -> Result<()> {
        self.shared.meet_doom()?;
        let mut state = self.shared.state.lock();
        if self.shared.options.skip_sync {
            return Ok(());
        }
        for change in std::mem::take(&mut state.untold) {
            change.tell(&*self.shared.below)?;
        }
        if self.shared.options.sync_below { self.shared.below.sync_directory() } else { Ok(()) }
    }
}

struct Handle {
    shared: Arc<Shared>,
    file: Arc<Cache>,
}

impl Handle {
    fn alive(&self) -> Result<()> {
        self.shared.alive(&self.shared.state.lock())
    }
}

impl Cache {
    fn new(below: Arc<dyn File>) -> Result<Cache> {
        let length = below.length()?;
        let content = Content { length, pages: BTreeMap::new(), low_length: length, reserve: 0 };
        Ok(Cache { below, content: Mutex::new(content) })
    }

    /// The page as a reader sees it: from memory, else from below as far as that is not cut.
    fn page(&self, content: &Content, number: u64) -> Result<Box<[u8; PAGE]>> {
        if let Some(page) = content.pages.get(&number) {
            return Ok(page.clone());
        }
        let mut page = Box::new([0; PAGE]);
        let start = number * PAGE as u64;
        let valid = content.low_length.saturating_sub(start).min(PAGE as u64) as usize;
        self.below.read_at(start, &mut page[..valid])?;
        Ok(page)
    }

    /// Brings the file below up to date, page by page as `keep` (page number, sector) allows.
    fn write_back(&self, content: &mut Content, mut keep: impl FnMut(u64, usize) -> bool) -> Result<()> {
        if content.low_length < self.below.length()? {
            self.below.set_length(content.low_length)?;
        }
        if content.reserve > 0 {
            self.below.preallocate(content.reserve.min(content.length))?;
        }
        for (&number, page) in &content.pages {
            for sector in 0..PAGE / SECTOR {
                let start = number * PAGE as u64 + (sector * SECTOR) as u64;
                let length = content.length.saturating_sub(start).min(SECTOR as u64) as usize;
                if length > 0 && keep(number, sector) {
                    self.below.write_at(start, &page[sector * SECTOR..sector * SECTOR + length])?;
                }
            }
        }
        if self.below.length()? < content.length {
            self.below.set_length(content.length)?;
        }
        Ok(())
    }

    /// A crash lets part of the cache through.
    fn leak(&self, dice: &mut Dice) -> Result<()> {
        let mut content = self.content.lock();
        // Mostly nothing or everything, for those are the cases that bugs hide between; sometimes each sector by itself.
        match dice.below(4) {
            0 => Ok(()),
            1 => self.write_back(&mut content, |_, _| true),
            _ => self.write_back(&mut content, |_, _| dice.below(2) == 0),
        }
    }
}

impl File for Handle {
    fn length(&self) -> Result<u64> {
        self.alive()?;
        Ok(self.file.content.lock().length)
    }

    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> Result<usize> {
        self.alive()?;
        let content = self.file.content.lock();
        let count = content.length.saturating_sub(offset).min(buffer.len() as u64) as usize;
        let mut done = 0;
        while done < count {
            let at = offset + done as u64;
            let page = self.file.page(&content, at / PAGE as u64)?;
            let inside = (at % PAGE as u64) as usize;
            let part = (PAGE - inside).min(count - done);
            buffer[done..done + part].copy_from_slice(&page[inside..inside + part]);
            done += part;
        }
        Ok(count)
    }

    fn write_at(&self, offset: u64, bytes: &[u8]) -> Result<()> {
        self.alive()?;
        let mut content = self.file.content.lock();
        let mut done = 0;
        while done < bytes.len() {
            let at = offset + done as u64;
            let number = at / PAGE as u64;
            let mut page = self.file.page(&content, number)?;
            let inside = (at % PAGE as u64) as usize;
            let part = (PAGE - inside).min(bytes.len() - done);
            page[inside..inside + part].copy_from_slice(&bytes[done..done + part]);
            content.pages.insert(number, page);
            done += part;
        }
        content.length = content.length.max(offset + bytes.len() as u64);
        Ok(())
    }

    fn preallocate(&self, length: u64) -> Result<()> {
        self.alive()?;
        let mut content = self.file.content.lock();
        content.length = content.length.max(length);
        content.reserve = content.reserve.max(length);
        Ok(())
    }

    fn set_length(&self, length: u64) -> Result<()> {
        self.alive()?;
        let mut content = self.file.content.lock();
        content.pages.retain(|&number, _| number * (PAGE as u64) < length);
        // The last page is zero beyond the end, should the file grow again.
        if let Some(page) = content.pages.get_mut(&(length / PAGE as u64)) {
            page[(length % PAGE as u64) as usize..].fill(0);
        }
        content.length = length;
        content.low_length = content.low_length.min(length);
        content.reserve = content.reserve.min(length);
        Ok(())
    }

    fn sync_data(&self) -> Result<()> {
        self.shared.meet_doom()?;
        if self.shared.options.skip_sync {
            return Ok(());
        }
        let mut content = self.file.content.lock();
        self.file.write_back(&mut content, |_, _| true)?;
        content.pages.clear();
        content.low_length = content.length;
        content.reserve = 0;
        if self.shared.options.sync_below { self.file.below.sync_data() } else { Ok(()) }
    }
}

/// SplitMix64: enough to choose what a crash keeps, and the same everywhere.
struct Dice(u64);

impl Dice {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut word = self.0;
        word = (word ^ (word >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        word = (word ^ (word >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (word ^ (word >> 31)) % bound
    }
}
