//! A database of one node without a network: the same machine, applier and sessions over a log in memory.
use crate::api::{Database, IndexBuilder};
use crate::applier::{Applier, ApplyError, Slice, stored_state};
use crate::database::{Options, RegionDatabase};
use crate::log::Log;
use crate::machine::RegionMachine;
use crate::rules::Rules;
use crate::state::RegionState;
use futures::FutureExt;
use futures::future::BoxFuture;
use parking_lot::Mutex;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};
use trivet_log::{Boot, Entry, EntryBody, Index, Machine, NodeId, Now, Outcome, Position, Proposal, Term, Verdict};
use trivet_storage::Store;

const REGION: NodeId = NodeId(1);

/// A database over a store alone: certified and committed in this process, at once.
///
/// # Panics
/// If the store's own bookkeeping is damaged.
pub fn local_database(store: Arc<dyn Store>, builder: Arc<dyn IndexBuilder>) -> Arc<dyn Database> {
    let (database, _) =
        LocalLog::open(store, builder, Duration::ZERO, Options::default()).expect("the store's bookkeeping is sound");
    database
}

/// A log of one node, which is committed as soon as it is written, or after a delay.
pub struct LocalLog {
    boot: Boot,
    delay: Duration,
    started: Instant,
    core: Arc<Mutex<Core>>,
    /// A region that is cut off, for tests.
    #[cfg(test)]
    without_lease: std::sync::atomic::AtomicBool,
}

struct Core {
    machine: RegionMachine,
    applier: Applier,
    last: Position,
    commit: Index,
    unapplied: Vec<Entry>,
}

impl LocalLog {
    /// A delay needs a Tokio runtime with a timer around `propose`.
    pub fn open(
        store: Arc<dyn Store>,
        builder: Arc<dyn IndexBuilder>,
        delay: Duration,
        options: Options,
    ) -> Result<(Arc<RegionDatabase>, Arc<LocalLog>), ApplyError> {
        let applied = Index(store.applied());
        // Each start is a term and a boot of its own: higher than all before, since the log grows with each.
        let boot = Boot(applied.0 & 0x3ffff);
        let term = Term(applied.0 + 1);
        let state = RegionState::new(REGION, boot);
        state.watch(builder.watched());
        let base = Position { term: Term(applied.0), index: applied };
        let stored = stored_state(&*store)?;
        let mut machine = RegionMachine::new(state.clone(), Rules::ALL, base, stored, applied);
        let mut applier = Applier::open(state.clone(), store.clone(), builder.clone())?;
        let first = Position { term, index: Index(applied.0 + 1) };
        let no_op = Entry { position: first, body: EntryBody::NoOp };
        machine.received(&no_op);
        machine.leading(Now::default(), term, true);
        machine.committed(first);
        applier.apply(std::slice::from_ref(&no_op))?;
        let core = Core { machine, applier, last: first, commit: first.index, unapplied: Vec::new() };
        let log = Arc::new(LocalLog {
            boot,
            delay,
            started: Instant::now(),
            core: Arc::new(Mutex::new(core)),
            #[cfg(test)]
            without_lease: Default::default(),
        });
        let database = RegionDatabase::new(log.clone(), state, store, builder, options);
        Ok((database, log))
    }

    fn now(&self) -> Now {
        let wall = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_nanos() as u64);
        Now { boottime: self.started.elapsed().as_nanos() as u64, wall }
    }
}

impl Core {
    fn append(&mut self, now: Now, proposal: Proposal) -> Result<Position, Outcome> {
        let at = Position { term: self.last.term, index: Index(self.last.index.0 + 1) };
        match self.machine.certify(now, at, &proposal) {
            Verdict::Append { header } => {
                let entry = Entry { position: at, body: EntryBody::Record { header, proposal } };
                self.machine.received(&entry);
                self.last = at;
                self.unapplied.push(entry);
                Ok(at)
            }
            Verdict::Reject { reason } => Err(Outcome::Rejected { reason }),
            Verdict::Duplicate { position } => Err(Outcome::Committed(position)),
        }
    }

    /// Everything up to `position` is committed: apply it. Whether there is background work to do.
    fn commit_to(&mut self, position: Position) -> Slice {
        if position.index <= self.commit {
            return Slice::Idle;
        }
        self.commit = position.index;
        self.machine.committed(position);
        let committed = self.unapplied.iter().take_while(|entry| entry.position.index <= position.index).count();
        let entries: Vec<Entry> = self.unapplied.drain(..committed).collect();
        // An error has halted the region's state, which is what every session sees.
        let _ = self.applier.apply(&entries);
        self.applier.pending()
    }

    /// As a node's applier thread and leader would, now and then.
    fn tidy(&mut self) {
        self.applier.durable();
        let low_water = self.machine.low_water();
        self.machine.low_water_of_all(low_water);
        // An error shows itself at the next application.
        let _ = self.applier.tidy();
    }
}

impl Log for LocalLog {
    fn region(&self) -> NodeId {
        REGION
    }
    fn boot(&self) -> Boot {
        self.boot
    }
    fn read_begin(&self) -> Option<Position> {
        #[cfg(test)]
        if self.without_lease.load(std::sync::atomic::Ordering::SeqCst) {
            return None;
        }
        Some(self.core.lock().last)
    }
    fn read_index(&self) -> BoxFuture<'static, Option<Position>> {
        std::future::ready(self.read_begin()).boxed()
    }
    fn propose(&self, proposal: Proposal) -> BoxFuture<'static, Outcome> {
        let appended = self.core.lock().append(self.now(), proposal);
        let (core, delay) = (self.core.clone(), self.delay);
        match appended {
            Err(outcome) => std::future::ready(outcome).boxed(),
            Ok(position) if delay.is_zero() => {
                let mut locked = core.lock();
                let slice = locked.commit_to(position);
                if position.index.0 % 1024 == 0 {
                    locked.tidy();
                }
                drop(locked);
                if slice == Slice::More {
                    work(core);
                }
                std::future::ready(Outcome::Committed(position)).boxed()
            }
            Ok(position) => {
                let committed = async move {
                    tokio::time::sleep(delay).await;
                    if core.lock().commit_to(position) == Slice::More {
                        work(core);
                    }
                    Outcome::Committed(position)
                };
                // Goes on though the proposer is gone.
                let task = tokio::spawn(committed);
                async move { task.await.unwrap_or(Outcome::Unknown) }.boxed()
            }
        }
    }
}

/// What a node's applier does between entries, in a thread of its own until it is done.
fn work(core: Arc<Mutex<Core>>) {
    let body = move || {
        while matches!(core.lock().applier.work(), Ok(Slice::More)) {
            std::thread::yield_now();
        }
    };
    // Without a thread the work waits for the next one; its readers wait with it.
    let _ = std::thread::Builder::new().name("local-work".into()).spawn(body);
}

#[cfg(test)]
mod past;
#[cfg(test)]
mod tests;
