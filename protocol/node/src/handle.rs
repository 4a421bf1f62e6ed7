//! What sessions, the applier and the status page hold of a running node.
use crate::clock;
use crate::commands::{Command, CommandQueue};
use crate::config::NodeConfig;
use crate::failure::Failure;
use crate::gate::{Begun, ReadGate};
use crate::health::{Health, Serving};
use crate::rotation::Reload;
use crate::work::Backlog;
use parking_lot::{Condvar, Mutex};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, mpsc};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};
use tokio::sync::{oneshot, watch};
use trivet_log::{Boot, Index, Input, Nanos, NodeId, NodeKind, Outcome, Position, Proposal, ReadView, Status};
use trivet_transport::inspect::Day;
use trivet_transport::{LinkStatus, Links};

/// How long a clean stop waits for another region to take over the lead.
const HAND_OVER_WAIT: Duration = Duration::from_millis(1500);

pub(crate) type OnFailure = Box<dyn Fn(&Failure) + Send + Sync>;

/// What the handle and the core's thread share.
pub(crate) struct Shared {
    pub(crate) me: NodeId,
    pub(crate) gate: ReadGate,
    pub(crate) status: Mutex<Status>,
    pub(crate) views: watch::Sender<ReadView>,
    pub(crate) commits: watch::Sender<Position>,
    pub(crate) backlog: Arc<Backlog>,
    /// A clean end has begun.
    pub(crate) leaving: AtomicBool,
    pub(crate) failure: Mutex<Option<Failure>>,
    pub(crate) failed: Condvar,
    pub(crate) on_failure: OnFailure,
}

impl Shared {
    pub(crate) fn fail(&self, failure: Failure) {
        self.gate.close();
        let first = {
            let mut kept = self.failure.lock();
            let first = kept.is_none();
            kept.get_or_insert_with(|| failure.clone());
            self.failed.notify_all();
            first
        };
        if first {
            (self.on_failure)(&failure);
        }
    }
}

/// Cheap to clone. The node lives until `stop`, or until the last handle is dropped.
#[derive(Clone)]
pub struct NodeHandle {
    inner: Arc<Inner>,
}

struct Inner {
    commands: Arc<CommandQueue>,
    shared: Arc<Shared>,
    config: NodeConfig,
    boot: Boot,
    links: Links,
    reload: Reload,
    thread: Mutex<Option<JoinHandle<()>>>,
}

/// What a handle is made of.
pub(crate) struct Parts {
    pub(crate) commands: Arc<CommandQueue>,
    pub(crate) shared: Arc<Shared>,
    pub(crate) config: NodeConfig,
    pub(crate) boot: Boot,
    pub(crate) links: Links,
    pub(crate) reload: Reload,
    pub(crate) thread: JoinHandle<()>,
}

/// A snapshot. Term, leader, last, commit, lease and clock are of now, the rest is at most some tens of milliseconds old.
#[derive(Clone, Debug)]
pub struct NodeStatus {
    pub node: NodeId,
    pub name: String,
    pub kind: NodeKind,
    pub boot: Boot,
    pub core: Status,
    pub leads: bool,
    /// CLOCK_BOOTTIME, to relate the clock readings in `core` to.
    pub now: Nanos,
    /// 0: no lease.
    pub lease_left: Nanos,
    pub apply_backlog_bytes: usize,
    pub failure: Option<String>,
}

impl NodeHandle {
    pub(crate) fn new(parts: Parts) -> NodeHandle {
        let Parts { commands, shared, config, boot, links, reload, thread } = parts;
        let thread = Mutex::new(Some(thread));
        NodeHandle { inner: Arc::new(Inner { commands, shared, config, boot, links, reload, thread }) }
    }

    /// Reads the files of `[tls]` again, now: connections from now on use what is in them. What cannot be used is an error,
    /// and what was in use stays in use. (A change is noticed without this too, a few seconds later.)
    pub fn reload_certificates(&self) -> Result<Day, String> {
        self.inner.reload.now()
    }

    pub fn id(&self) -> NodeId {
        self.inner.shared.me
    }

    /// Part of every proposal id; raised at each start.
    pub fn boot(&self) -> Boot {
        self.inner.boot
    }

    pub fn config(&self) -> &NodeConfig {
        &self.inner.config
    }

    /// Where the other nodes reach this one; tells the port if the configuration said 0.
    pub fn quic_address(&self) -> std::net::SocketAddr {
        self.inner.links.local_address()
    }

    // ---- reads

    /// Where strong reads begin.
    pub fn gate(&self) -> &ReadGate {
        &self.inner.shared.gate
    }

    /// See [`ReadGate::begin`].
    pub fn read_begin(&self) -> Option<Begun> {
        self.inner.shared.gate.begin()
    }

    /// For a region without a lease: asks the leader. `None`: no leader answered. The position may not be here yet; wait
    /// for `commits`, or for `views`, to reach it.
    pub async fn read_index(&self) -> Option<Position> {
        let (reply, answer) = oneshot::channel();
        let _ = self.inner.commands.push(Command::ReadIndex { reply });
        answer.await.unwrap_or(None)
    }

    /// Changes of the read view: snapshot, lease, leader, term.
    pub fn views(&self) -> watch::Receiver<ReadView> {
        self.inner.shared.views.subscribe()
    }

    /// How far the log is committed.
    pub fn commits(&self) -> watch::Receiver<Position> {
        self.inner.shared.commits.subscribe()
    }

    // ---- writes

    /// Asks for an entry. The receiver gets the outcome; an error from it means that the node ended first, and the
    /// outcome is unknown.
    pub fn propose(&self, proposal: Proposal) -> oneshot::Receiver<Outcome> {
        let (reply, outcome) = oneshot::channel();
        let command = Command::Propose { proposal, began: Instant::now(), reply };
        if let Err(command) = self.inner.commands.push(command)
            && let Command::Propose { reply, .. } = *command
        {
            let _ = reply.send(Outcome::NotSent); // the node has ended
        }
        outcome
    }

    /// The machine has applied and stored everything up to here, durably.
    pub fn applied(&self, index: Index) {
        let _ = self.inner.commands.push(Command::Input(Input::Applied(index)));
    }

    /// Bytes that are committed and not taken up by the applier. A region that proposes should wait while this is
    /// more than `limits.apply_backlog_bytes`.
    pub fn apply_backlog(&self) -> usize {
        self.inner.shared.backlog.bytes()
    }

    // ---- leadership and end

    /// Hands the lead to `to`, or to the other region, if it is level. Returns at once; watch `views`.
    pub fn hand_over(&self, to: Option<NodeId>) {
        if let Some(to) = to.or_else(|| self.other_region()) {
            let _ = self.inner.commands.push(Command::Input(Input::HandOver(to)));
        }
    }

    fn other_region(&self) -> Option<NodeId> {
        let other = |entry: &&crate::config::RosterEntry| entry.kind == NodeKind::Region && entry.id != self.id();
        self.inner.config.roster.iter().find(other).map(|entry| entry.id)
    }

    /// A clean end: hands the lead over if it has it, stops serving, releases leases, finishes the disk's work, and tells
    /// the peers. Takes up to two seconds. Idempotent; blocks.
    pub fn stop(&self) {
        self.leave();
        self.inner.end(|done| Command::Stop { done });
    }

    /// The end of a node whose state has no room to grow, though its journal may have: as `stop`, and then as if the journal's
    /// disk were full, since a region that leads and cannot apply keeps its readers waiting. Blocks.
    pub fn stop_for_room(&self, detail: String) {
        self.stop();
        self.inner.shared.fail(Failure::DiskFull(detail));
    }

    /// The first half of a clean end: hands the lead over if it has it. Serves on. Idempotent; blocks.
    pub fn leave(&self) {
        self.inner.shared.leaving.store(true, Ordering::Relaxed);
        if self.inner.shared.gate.view().leader == Some(self.id()) && self.other_region_is_heard() {
            let began = Instant::now();
            self.hand_over(None);
            let deadline = began + HAND_OVER_WAIT;
            let mine = || self.inner.shared.gate.view().leader.is_none_or(|leader| leader == self.id());
            while mine() && Instant::now() < deadline {
                std::thread::sleep(Duration::from_millis(2));
            }
            match mine() {
                false => tracing::info!("the lead was handed over within {:?}", began.elapsed()),
                true => tracing::warn!("the other region did not take the lead over within {HAND_OVER_WAIT:?}"),
            }
        }
    }

    /// As `leave`, from async code.
    pub async fn leave_async(&self) {
        let handle = self.clone();
        let _ = tokio::task::spawn_blocking(move || handle.leave()).await;
    }

    /// As `stop`, from async code.
    pub async fn stop_async(&self) {
        let handle = self.clone();
        let _ = tokio::task::spawn_blocking(move || handle.stop()).await;
    }

    /// Ends without a word to anybody, as near to a kill as threads can come. For tests.
    pub fn abandon(&self) {
        self.inner.end(|done| Command::Abandon { done });
    }

    fn other_region_is_heard(&self) -> bool {
        let status = self.inner.shared.status.lock();
        let now = clock::boottime();
        let heard = |node: NodeId| {
            let peer = status.peers.iter().find(|peer| peer.node == node);
            peer.is_some_and(|peer| now.saturating_sub(peer.heard_at) < self.inner.config.timing().promise)
        };
        self.other_region().is_some_and(heard)
    }

    /// Set once the node has ended because it could not go on.
    pub fn failure(&self) -> Option<Failure> {
        self.inner.shared.failure.lock().clone()
    }

    /// Waits for a failure, at most so long.
    pub fn wait_failure(&self, timeout: Duration) -> Option<Failure> {
        let deadline = Instant::now() + timeout;
        let mut failure = self.inner.shared.failure.lock();
        while failure.is_none() {
            if self.inner.shared.failed.wait_until(&mut failure, deadline).timed_out() {
                break;
            }
        }
        failure.clone()
    }

    // ---- status

    /// The connections to the peers, as the transport sees them.
    pub fn links(&self) -> Vec<LinkStatus> {
        self.inner.links.status()
    }

    pub fn status(&self) -> NodeStatus {
        let shared = &self.inner.shared;
        let mut core = shared.status.lock().clone();
        let view = shared.gate.view();
        (core.term, core.leader, core.last, core.commit) = (view.term, view.leader, view.last, view.commit.index);
        NodeStatus {
            node: shared.me,
            name: self.inner.config.node.name.clone(),
            kind: self.inner.config.kind(),
            boot: self.inner.boot,
            core,
            leads: view.leader == Some(shared.me),
            now: clock::boottime(),
            lease_left: shared.gate.lease_left(),
            apply_backlog_bytes: shared.backlog.bytes(),
            failure: self.failure().map(|failure| failure.to_string()),
        }
    }

    /// Whether the node serves now, and if not, why.
    pub fn health(&self) -> Health {
        let shared = &self.inner.shared;
        if let Some(failure) = self.failure() {
            return Health::of(Serving::Failed, failure.to_string());
        }
        if shared.gate.is_closed() || shared.leaving.load(Ordering::Relaxed) {
            return Health::of(Serving::Stopping, "this node is stopping");
        }
        let view = shared.gate.view();
        let Some(leader) = view.leader else { return Health::of(Serving::NoLeader, "no leader is known") };
        if self.inner.config.kind() == NodeKind::Witness || shared.gate.lease_left() > 0 {
            return Health::serving();
        }
        let behind = shared.status.lock().leader_commit.0.saturating_sub(view.commit.index.0);
        match behind {
            0 => Health::of(Serving::NoLease, "no read lease holds: too few of the other nodes are heard"),
            _ => {
                let leader = self.inner.config.name_of(leader);
                Health::of(Serving::CatchingUp, format!("{behind} entries that {leader} has committed are missing"))
            }
        }
    }
}

impl Inner {
    fn end(&self, command: impl FnOnce(mpsc::Sender<()>) -> Command) {
        let (done, wait) = mpsc::channel();
        if self.commands.push(command(done)).is_ok() {
            let _ = wait.recv(); // returns when the driver drops `done`, whichever way it ends
        }
        if let Some(thread) = self.thread.lock().take() {
            let _ = thread.join(); // a panic in it was reported by itself
        }
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        self.end(|done| Command::Stop { done });
    }
}
