//! Puts a node together.
use crate::clock;
use crate::commands::CommandQueue;
use crate::config::NodeConfig;
use crate::disk::Disk;
use crate::driver::Driver;
use crate::failure::{Failure, panic_text};
use crate::gate::ReadGate;
use crate::handle::{NodeHandle, OnFailure, Parts, Shared};
use crate::measure::{self, CoreMeasure};
use crate::rotation::{FileWatch, Reload};
use crate::storage::{self, OpenError};
use crate::wire::Inbound;
use crate::work::{ApplyReceiver, apply_queue};
use parking_lot::{Condvar, Mutex};
use std::hash::{BuildHasher, Hasher, RandomState};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use tokio::sync::watch;
use trivet_files::Files;
use trivet_journal::Journal;
use trivet_log::{Boot, Config, Core, Index, Machine, NodeKind, Output, Position, Recovered, Sabotage, Status};
use trivet_transport::inspect::Day;
use trivet_transport::{
    Identity, Limits, Patience, PeerAddress, Roster, Rotation, StartError as TransportError, TlsError, Transport,
    TransportConfig,
};

#[derive(Debug, thiserror::Error)]
pub enum StartError {
    #[error(transparent)]
    Open(#[from] OpenError),
    #[error(transparent)]
    Tls(#[from] TlsError),
    #[error(transparent)]
    Transport(#[from] TransportError),
    /// T6: the store holds what the log does not. The disk of the log was lost, or replaced by an older copy.
    #[error(
        "the state is applied up to entry {}, but the log ends at {}: this node must come back under a new id",
        applied.0, last.0
    )]
    Ahead { applied: Index, last: Index },
    #[error(
        "the state is applied up to entry {} and needs the log from there, but the log begins after {}: \
         this node must come back from a checkpoint", applied.0, base.0
    )]
    Pruned { applied: Index, base: Index },
    #[error("cannot start a thread: {0}")]
    Thread(std::io::Error),
}

/// What only tests and drills choose. Processes take the default.
#[derive(Default)]
pub struct NodeOptions {
    /// In place of the files of the data directory.
    pub files: Option<Arc<dyn Files>>,
    /// In place of ending the process.
    pub on_failure: Option<OnFailure>,
    pub patience: Option<Patience>,
}

/// Starts nodes.
pub struct Node;

/// A node whose journal is open: its boot is known, nothing was said yet.
pub struct Opened {
    config: NodeConfig,
    options: NodeOptions,
    identity: Identity,
    certificates: FileWatch,
    journal: Journal,
    recovered: Recovered,
}

impl Node {
    /// `machine` has applied and durably stored everything up to `applied` (T6). It is shown every entry above
    /// `replay_from` (not above `applied`) by `received` before it is told that the log is committed up to `applied`.
    pub fn start<M: Machine + Send + 'static>(
        config: NodeConfig,
        machine: M,
        replay_from: Index,
        applied: Index,
    ) -> Result<(NodeHandle, ApplyReceiver), StartError> {
        Node::open(config, NodeOptions::default(), replay_from)?.start(machine, applied)
    }

    /// The first half of `start`, for a machine that wants to know the boot.
    pub fn open(config: NodeConfig, options: NodeOptions, replay_from: Index) -> Result<Opened, StartError> {
        warn_of_testing(&config);
        // What can be wrong with the configuration is found before the data directory is touched.
        let certificates = FileWatch::new([&config.tls.ca, &config.tls.certificate, &config.tls.key].map(Clone::clone));
        let identity = Identity::read(&config.tls.ca, &config.tls.certificate, &config.tls.key)?;
        let files = match &options.files {
            Some(files) => files.clone(),
            None => storage::open_files(&config)?,
        };
        let (journal, recovered) = storage::open_journal(&config, files, replay_from)?;
        Ok(Opened { config, options, identity, certificates, journal, recovered })
    }
}

impl Opened {
    pub fn boot(&self) -> Boot {
        self.recovered.boot
    }

    /// Everything at or below is not in the log on disk.
    pub fn base(&self) -> Position {
        self.recovered.base
    }

    /// The last entry of the log on disk.
    pub fn last(&self) -> Position {
        self.recovered.last
    }

    pub fn start<M: Machine + Send + 'static>(
        self,
        mut machine: M,
        applied: Index,
    ) -> Result<(NodeHandle, ApplyReceiver), StartError> {
        let Opened { config, mut options, identity, certificates, journal, mut recovered } = self;
        let (base, last) = (recovered.base.index, recovered.last.index);
        if config.kind() == NodeKind::Region {
            if applied > last {
                return Err(StartError::Ahead { applied, last });
            }
            if applied < base {
                return Err(StartError::Pruned { applied, base });
            }
        }
        recovered.applied = applied;
        recovered.seed = RandomState::new().build_hasher().finish();
        let boot = recovered.boot;
        tracing::info!(
            node = config.node.name, boot = boot.0, term = recovered.term.0, last = %recovered.last, base = %recovered.base,
            applied = applied.0, "the log is open"
        );

        let commands = Arc::new(CommandQueue::default());
        let data_dir = config.node.data_dir.clone();
        let end_process: OnFailure = Box::new(move |failure: &Failure| failure.end_process(&data_dir));
        let (apply, applier, backlog) = apply_queue();
        let shared = Arc::new(Shared {
            me: config.node.id,
            gate: ReadGate::new(config.testing.lease_unchecked),
            status: Mutex::new(Status::default()),
            views: watch::Sender::default(),
            commits: watch::Sender::default(),
            backlog,
            leaving: AtomicBool::new(false),
            failure: Mutex::new(None),
            failed: Condvar::new(),
            on_failure: options.on_failure.take().unwrap_or(end_process),
        });

        let expiry = identity.expiry()?;
        let sink = Inbound { me: config.node.id, commands: commands.clone() };
        let transport = Transport::start(
            transport_config(&config, options.patience.take().unwrap_or_default(), identity),
            Arc::new(sink),
        )?;
        let links = transport.links();
        let reload =
            watch_certificates(certificates, &config, expiry, transport.rotation()).map_err(StartError::Thread)?;

        let mut started = Vec::new();
        let core_config = core_config(&config);
        let promise_held = core_config.timing.held_for(core_config.timing.promise);
        let mut core = None;
        shared.gate.step(|| {
            let core = core.insert(Core::new(core_config, recovered, clock::now(), &mut machine, &mut started));
            core.read_view()
        });
        let core = core.expect("made inside the step");

        let driver = Driver {
            core,
            machine,
            commands: commands.clone(),
            shared: shared.clone(),
            transport,
            disk: Disk::start(journal, commands.clone()).map_err(StartError::Thread)?,
            apply,
            apply_backlog_max: config.limits.apply_backlog_bytes,
            heartbeat: config.timing().heartbeat,
            promise_held,
            measure: CoreMeasure::new(config.roster.iter().map(|entry| entry.id).filter(|id| *id != config.node.id)),
        };
        let thread = spawn_driver(driver, started, shared.clone()).map_err(StartError::Thread)?;
        Ok((NodeHandle::new(Parts { commands, shared, config, boot, links, reload, thread }), applier))
    }
}

/// Certificates are replaced without a restart.
fn watch_certificates(
    watch: FileWatch,
    config: &NodeConfig,
    expiry: [Day; 2],
    rotation: Rotation,
) -> std::io::Result<Reload> {
    let tell = |[node, authority]: [Day; 2]| {
        measure::certificate("node", node);
        measure::certificate("authority", authority);
        node.min(authority)
    };
    let tls = config.tls.clone();
    watch.spawn("the certificate of [tls]", tell(expiry), move || {
        let identity = Identity::read(&tls.ca, &tls.certificate, &tls.key).map_err(|error| error.to_string())?;
        rotation.replace(&identity).map_err(|error| error.to_string())?;
        identity.expiry().map(tell).map_err(|error| error.to_string())
    })
}

fn spawn_driver<M: Machine + Send + 'static>(
    driver: Driver<M>,
    started: Vec<Output>,
    shared: Arc<Shared>,
) -> std::io::Result<std::thread::JoinHandle<()>> {
    std::thread::Builder::new().name("trivet-core".to_owned()).spawn(move || {
        if let Err(panic) = catch_unwind(AssertUnwindSafe(|| driver.run(started))) {
            let message = format!("the core's thread panicked at its end: {}", panic_text(&*panic));
            shared.fail(Failure::Bug { message, dump: String::new() });
        }
    })
}

fn core_config(config: &NodeConfig) -> Config {
    let mut roster: Vec<_> = config.roster.iter().map(|entry| (entry.id, entry.kind)).collect();
    roster.sort_unstable_by_key(|(id, _)| *id);
    Config {
        me: config.node.id,
        roster,
        timing: config.timing(),
        payload_max: config.limits.payload_bytes,
        append_bytes_max: config.limits.append_bytes,
        uncommitted_bytes_max: config.limits.uncommitted_bytes,
        cache_bytes_max: config.limits.cache_bytes,
        sabotage: Sabotage { lease_unchecked: config.testing.lease_unchecked, ..Sabotage::default() },
    }
}

fn transport_config(config: &NodeConfig, patience: Patience, identity: Identity) -> TransportConfig {
    let frame_max = config.limits.frame_max();
    let peers = config.roster.iter().filter(|entry| entry.id != config.node.id);
    TransportConfig {
        me: config.node.id,
        cluster: config.node.cluster_id,
        roster: Roster::of(config.roster.iter().map(|entry| (entry.id, entry.kind))),
        listen: config.listen.quic,
        peers: peers.map(|entry| PeerAddress { node: entry.id, address: entry.address.clone() }).collect(),
        identity,
        limits: Limits {
            frame_max,
            stream_window: config.limits.stream_window_bytes,
            // A frame being acted upon and one behind it, at least.
            inbound_other: config.limits.inbound_bytes.max(2 * frame_max),
            ..Limits::default()
        },
        patience: Patience { reserved_bytes_per_second: config.limits.link_bytes_per_second, ..patience },
    }
}

fn warn_of_testing(config: &NodeConfig) {
    let testing = config.testing;
    let switches = [
        (testing.volatile_files, "volatile_files: what is not synced is lost when the process ends"),
        (testing.skip_fsync, "skip_fsync: what is said to be on disk is not, acknowledged commits WILL be lost"),
        (testing.lease_unchecked, "lease_unchecked: reads are served without a lease and MAY BE STALE"),
    ];
    for (_, what) in switches.into_iter().filter(|(on, _)| *on) {
        tracing::warn!("TESTING SWITCH IS ON, {what}. Never use this with data that matters.");
    }
}
