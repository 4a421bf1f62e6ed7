//! Three nodes with their folders, certificates and configurations; started, stopped and killed one by one.
use crate::toy::{Store, Toy, apply};
use bytes::Bytes;
use parking_lot::Mutex;
use std::net::UdpSocket;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};
use trivet_files::{FaultyFiles, MemoryFiles};
use trivet_log::{ClusterId, Index, NoMachine, NodeId, Outcome, Position, Proposal, ProposalId};
use trivet_node::{ConfigFile, Failure, NoExtra, Node, NodeConfig, NodeHandle, NodeOptions, StartError};
use trivet_transport::certificates::{Authority, make_ca, make_node_certificate};

pub const A: usize = 0;
pub const B: usize = 1;
pub const W: usize = 2;
const NAMES: [&str; 3] = ["A", "B", "W"];
const CLUSTER: ClusterId = ClusterId(0xc0ffee);
const BOUND: Duration = Duration::from_secs(30);

/// A quarter of the defaults.
const TIMING: &str = "heartbeat_ms = 15\npromise_ms = 300\nelection_min_ms = 350\nelection_max_ms = 500\n\
                      engage_after_ms = 100\npropose_give_up_ms = 600\n";

pub struct Cluster {
    folder: tempfile::TempDir,
    pub authority: Authority,
    ports: [u16; 3],
    pub nodes: [Option<Running>; 3],
    pub stores: [Arc<Store>; 3],
    /// In place of files in the folder, with faults on demand; kept over restarts.
    pub files: [Option<FaultyFiles>; 3],
    /// More lines of TOML for each node.
    pub extra: [String; 3],
    payloads: AtomicU64,
}

pub struct Running {
    pub handle: NodeHandle,
    applier: Option<JoinHandle<()>>,
    sequence: AtomicU64,
    pub failures: Arc<Mutex<Vec<Failure>>>,
}

/// Waits until `found` finds something; panics with `what` after a bound.
pub fn wait<T>(what: &str, mut found: impl FnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + BOUND;
    loop {
        if let Some(found) = found() {
            return found;
        }
        assert!(Instant::now() < deadline, "timed out waiting for {what}");
        std::thread::park_timeout(Duration::from_millis(2));
    }
}

impl Cluster {
    /// Nothing runs yet.
    pub fn new() -> Cluster {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let authority = make_ca(CLUSTER).expect("an authority");
        // Held together, so that they differ; free again when this returns.
        let sockets = [(); 3].map(|()| UdpSocket::bind("127.0.0.1:0").expect("a free port"));
        let ports = sockets.map(|socket| socket.local_addr().expect("bound").port());
        let cluster = Cluster {
            folder,
            authority,
            ports,
            nodes: [None, None, None],
            stores: Default::default(),
            files: [None, None, None],
            extra: Default::default(),
            payloads: AtomicU64::new(0),
        };
        for place in [A, B, W] {
            std::fs::create_dir(cluster.home(place)).expect("writable");
            cluster.certify(place, &cluster.authority);
        }
        cluster
    }

    /// All run.
    pub fn start() -> Cluster {
        let mut cluster = Cluster::new();
        for place in [A, B, W] {
            cluster.up(place);
        }
        cluster
    }

    pub fn home(&self, place: usize) -> PathBuf {
        self.folder.path().join(NAMES[place])
    }

    /// Gives a node a certificate of this authority. It believes this one and the cluster's.
    pub fn certify(&self, place: usize, authority: &Authority) {
        self.certify_believing(place, authority, &[&self.authority, authority]);
    }

    pub fn certify_believing(&self, place: usize, signer: &Authority, believed: &[&Authority]) {
        let certificate = make_node_certificate(signer, id(place)).expect("signed");
        let home = self.home(place);
        let believed: String = believed.iter().map(|authority| authority.certificate_pem.as_str()).collect();
        std::fs::write(home.join("ca.pem"), believed).expect("writable");
        certificate.replace(&home.join("node.pem"), &home.join("node.key")).expect("written");
    }

    /// Memory in place of a disk, with faults on demand.
    pub fn use_faulty_files(&mut self, place: usize) -> FaultyFiles {
        let files = FaultyFiles::over(Arc::new(MemoryFiles::new()));
        self.files[place] = Some(files.clone());
        files
    }

    pub fn config(&self, place: usize) -> NodeConfig {
        let roster: String = [A, B, W]
            .map(|other| {
                let kind = if other == W { "witness" } else { "region" };
                format!(
                    "[[roster]]\nname = \"{}\"\nid = {}\nkind = \"{kind}\"\naddress = \"127.0.0.1:{}\"\n",
                    NAMES[other],
                    id(other).0,
                    self.ports[other]
                )
            })
            .concat();
        let text = format!(
            "[node]\nname = \"{}\"\nid = {}\ndata_dir = \"data\"\ncluster_id = \"{:032x}\"\n{roster}\
             [listen]\nquic = \"127.0.0.1:{}\"\nhttp = \"127.0.0.1:0\"\n\
             [tls]\nca = \"ca.pem\"\ncertificate = \"node.pem\"\nkey = \"node.key\"\n\
             [timing]\n{TIMING}\n{}",
            NAMES[place],
            id(place).0,
            CLUSTER.0,
            self.ports[place],
            self.extra[place]
        );
        let path = self.home(place).join("node.toml");
        std::fs::write(&path, text).expect("writable");
        ConfigFile::<NoExtra>::read(&path).expect("our own configuration").common
    }

    pub fn try_up(&mut self, place: usize) -> Result<(), StartError> {
        let failures: Arc<Mutex<Vec<Failure>>> = Arc::default();
        let kept = failures.clone();
        let options = NodeOptions {
            files: self.files[place].clone().map(|files| Arc::new(files) as _),
            on_failure: Some(Box::new(move |failure| kept.lock().push(failure.clone()))),
            patience: None,
        };
        let config = self.config(place);
        let (handle, applier) = if place == W {
            (Node::open(config, options, Index(u64::MAX))?.start(NoMachine, Index(0))?.0, None)
        } else {
            let store = self.stores[place].clone();
            let opened = Node::open(config, options, Index(0))?;
            let (handle, work) = opened.start(Toy::default(), store.applied())?;
            let applier = apply(handle.clone(), work, store);
            (handle, Some(applier))
        };
        self.nodes[place] = Some(Running { handle, applier, sequence: AtomicU64::new(0), failures });
        Ok(())
    }

    pub fn up(&mut self, place: usize) {
        self.try_up(place).unwrap_or_else(|error| panic!("{} does not start: {error}", NAMES[place]));
    }

    pub fn stop(&mut self, place: usize) {
        let running = self.nodes[place].take().expect("it runs");
        running.handle.stop();
        running.finish();
    }

    /// As near to kill -9 as one process can do.
    pub fn kill(&mut self, place: usize) {
        let running = self.nodes[place].take().expect("it runs");
        running.handle.abandon();
        running.finish();
    }

    pub fn handle(&self, place: usize) -> &NodeHandle {
        &self.nodes[place].as_ref().expect("it runs").handle
    }

    /// Waits for a region that leads and has a lease.
    pub fn leader(&self) -> usize {
        wait("a leader", || {
            [A, B].into_iter().find(|place| {
                self.nodes[*place]
                    .as_ref()
                    .is_some_and(|node| node.handle.status().leads && node.handle.read_begin().is_some())
            })
        })
    }

    pub fn other(&self, place: usize) -> usize {
        if place == A { B } else { A }
    }

    pub fn propose_bytes(&self, place: usize, payload: Bytes) -> Outcome {
        self.propose_later(place, payload).blocking_recv().unwrap_or(Outcome::Unknown)
    }

    pub fn propose_later(&self, place: usize, payload: Bytes) -> tokio::sync::oneshot::Receiver<Outcome> {
        let node = self.nodes[place].as_ref().expect("it runs");
        let id = ProposalId {
            region: id(place),
            boot: node.handle.boot(),
            sequence: node.sequence.fetch_add(1, Ordering::Relaxed) + 1,
        };
        let proposal = Proposal { id, snapshot: Position::ZERO, payload };
        node.handle.propose(proposal)
    }

    /// Writes something new through this region, again and again until it is committed. Returns what.
    pub fn write(&self, place: usize) -> Bytes {
        wait("a commit", || {
            let payload = Bytes::from(format!("payload {}", self.payloads.fetch_add(1, Ordering::Relaxed)));
            match self.propose_bytes(place, payload.clone()) {
                Outcome::Committed(_) => Some(payload),
                Outcome::Rejected { reason } => panic!("rejected: {reason:?}"),
                Outcome::NotSent | Outcome::Unknown => None,
            }
        })
    }

    /// Waits until both regions have applied the same, each of `written` once, and returns how much that is.
    pub fn converge(&self, written: &[Bytes]) -> usize {
        let target = self.handle(self.leader()).gate().view().last.index;
        for place in [A, B] {
            wait("both regions to apply the same", || (self.stores[place].applied() >= target).then_some(()));
        }
        for payload in written {
            for place in [A, B] {
                assert_eq!(self.stores[place].count(payload), 1, "{payload:?} in {}", NAMES[place]);
            }
        }
        let [a, b] = [A, B].map(|place| {
            let payloads = self.stores[place].payloads.lock();
            payloads.iter().filter(|(index, _)| *index <= target).cloned().collect::<Vec<_>>()
        });
        assert_eq!(a, b, "the regions applied different entries");
        a.len()
    }
}

impl Running {
    fn finish(self) {
        drop(self.handle);
        if let Some(applier) = self.applier {
            applier.join().expect("the applier has no complaint");
        }
    }
}

pub fn id(place: usize) -> NodeId {
    NodeId(place as u8 + 1)
}
