//! The journal's thread: takes what the core wants durable, as much of it as is there, and makes one fsync of it. And the
//! loader's: reads back old entries, so that a region that was away does not make an fsync wait.
use crate::commands::{Command, CommandQueue};
use crate::failure::{Failure, panic_text};
use crate::measure::DiskMeasure;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread::JoinHandle;
use std::time::Instant;
use trivet_journal::{Journal, JournalError, JournalReader};
use trivet_log::{Entry, EntryBody, Index, Input, Persist, Ticket};

/// One group's bound, so that the first of a long queue does not wait for the last.
const GROUP_BYTES_MAX: usize = 8 << 20;

enum DiskRequest {
    Persist(Persist),
    Prune { keep_from: Index },
}

pub(crate) struct LoadRequest {
    pub(crate) ticket: Ticket,
    pub(crate) from: Index,
    pub(crate) to: Index,
    pub(crate) bytes_max: usize,
}

/// The core's end of both threads. Dropping it ends them, after everything that was asked for.
pub(crate) struct Disk {
    requests: Sender<DiskRequest>,
    loads: Sender<LoadRequest>,
    /// Bytes of entries that were asked to be durable and are not yet.
    unsynced: Arc<AtomicUsize>,
    threads: Vec<JoinHandle<()>>,
}

impl Disk {
    pub(crate) fn start(journal: Journal, commands: Arc<CommandQueue>) -> std::io::Result<Disk> {
        let (requests, from_core) = channel();
        let (loads, load_requests) = channel();
        let reader = journal.reader();
        let unsynced = Arc::new(AtomicUsize::new(0));
        let counter = unsynced.clone();
        let answers = commands.clone();
        let threads = vec![
            spawn("trivet-journal", commands, move |commands| write(journal, &from_core, &counter, commands))?,
            spawn("trivet-loader", answers, move |commands| load(&reader, &load_requests, commands))?,
        ];
        Ok(Disk { requests, loads, unsynced, threads })
    }

    // A thread that has failed takes nothing more. It has said so, and the node is about to end.

    pub(crate) fn persist(&self, persist: Persist) {
        self.unsynced.fetch_add(weight(&persist), Ordering::Relaxed);
        let _ = self.requests.send(DiskRequest::Persist(persist));
    }

    pub(crate) fn prune(&self, keep_from: Index) {
        let _ = self.requests.send(DiskRequest::Prune { keep_from });
    }

    pub(crate) fn load(&self, request: LoadRequest) {
        let _ = self.loads.send(request);
    }

    pub(crate) fn unsynced_bytes(&self) -> usize {
        self.unsynced.load(Ordering::Relaxed)
    }

    /// Waits until all that was asked for is done.
    pub(crate) fn finish(self) {
        let Disk { requests, loads, threads, .. } = self;
        drop((requests, loads));
        for thread in threads {
            let _ = thread.join(); // a panic was reported by the thread itself
        }
    }
}

/// Runs `body`; a panic or a failure in it ends the node.
fn spawn(
    name: &str,
    commands: Arc<CommandQueue>,
    body: impl FnOnce(&CommandQueue) -> Result<(), Failure> + Send + 'static,
) -> std::io::Result<JoinHandle<()>> {
    let what = name.to_owned();
    std::thread::Builder::new().name(name.to_owned()).spawn(move || {
        let outcome = catch_unwind(AssertUnwindSafe(|| body(&commands)));
        let failure = match outcome {
            Ok(Ok(())) => return,
            Ok(Err(failure)) => failure,
            Err(panic) => {
                Failure::Bug { message: format!("{what} panicked: {}", panic_text(&*panic)), dump: String::new() }
            }
        };
        let _ = commands.push(Command::Failed(failure));
    })
}

fn weight(persist: &Persist) -> usize {
    persist.entries.iter().map(Entry::weight).sum()
}

/// Of records, without what the log adds to them.
fn payload(persist: &Persist) -> usize {
    let payload = |entry: &Entry| match &entry.body {
        EntryBody::NoOp => 0,
        EntryBody::Record { proposal, .. } => proposal.payload.len(),
    };
    persist.entries.iter().map(payload).sum()
}

fn write(
    mut journal: Journal,
    requests: &Receiver<DiskRequest>,
    unsynced: &AtomicUsize,
    commands: &CommandQueue,
) -> Result<(), Failure> {
    let measure = DiskMeasure::new();
    while let Ok(first) = requests.recv() {
        let mut group = Group::default();
        group.take(&mut journal, first)?;
        while journal.pending_bytes() < GROUP_BYTES_MAX
            && let Ok(next) = requests.try_recv()
        {
            group.take(&mut journal, next)?;
        }
        if let Some(ticket) = group.last {
            let began = Instant::now();
            let bytes = journal.pending_bytes();
            journal.sync().map_err(|error| failure(&error))?;
            unsynced.fetch_sub(group.weight, Ordering::Relaxed);
            measure.synced(began.elapsed(), group.persists, bytes, group.payload);
            let _ = commands.push(Command::Input(Input::Persisted(ticket)));
        }
        if let Some(keep_from) = group.keep_from {
            journal.prune(keep_from).map_err(|error| failure(&error))?;
            measure.stored(journal.stored_bytes());
        }
    }
    Ok(())
}

/// What shares one fsync.
#[derive(Default)]
struct Group {
    last: Option<Ticket>,
    persists: usize,
    weight: usize,
    payload: usize,
    keep_from: Option<Index>,
}

impl Group {
    fn take(&mut self, journal: &mut Journal, request: DiskRequest) -> Result<(), Failure> {
        match request {
            DiskRequest::Persist(persist) => {
                journal.apply(&persist).map_err(|error| failure(&error))?;
                self.last = Some(persist.ticket);
                self.persists += 1;
                self.weight += weight(&persist);
                self.payload += payload(&persist);
            }
            DiskRequest::Prune { keep_from } => self.keep_from = self.keep_from.max(Some(keep_from)),
        }
        Ok(())
    }
}

fn load(reader: &JournalReader, requests: &Receiver<LoadRequest>, commands: &CommandQueue) -> Result<(), Failure> {
    while let Ok(LoadRequest { ticket, from, to, bytes_max }) = requests.recv() {
        let entries = match reader.read(from, to, bytes_max) {
            Ok(entries) => entries,
            // Pruned or cut since it was asked for: the core looks again at what it needs.
            Err(JournalError::Pruned { .. } | JournalError::Beyond { .. }) => Vec::new(),
            Err(error) => return Err(failure(&error)),
        };
        let _ = commands.push(Command::Input(Input::Loaded { ticket, entries }));
    }
    Ok(())
}

fn failure(error: &JournalError) -> Failure {
    if error.is_disk_full() { Failure::DiskFull(error.to_string()) } else { Failure::Disk(error.to_string()) }
}
