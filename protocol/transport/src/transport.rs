//! Start, send, stop. The runtime, the endpoint and the tasks live on one thread of their own.
use crate::accept;
use crate::config::{Identity, Limits, Patience, TransportConfig};
use crate::congestion::SteadyConfig;
use crate::dial;
use crate::frame::class_number;
use crate::lanes::Sent;
use crate::link::{LinkStatus, Outgoing, Peer, Sink};
use crate::report::{Reporter, Trouble};
use crate::roster::Roster;
use crate::tls::{Tls, TlsError};
use bytes::Bytes;
use parking_lot::Mutex;
use quinn::{ClientConfig, Endpoint, EndpointConfig, IdleTimeout, ServerConfig, TokioRuntime, VarInt};
use std::collections::BTreeMap;
use std::io;
use std::net::{SocketAddr, UdpSocket};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;
use trivet_log::{Class, ClusterId, NodeId};

/// How long a clean stop waits for what was sent to arrive, and then for the peers to hear of the end.
const FLUSH: Duration = Duration::from_millis(500);
const FAREWELL: Duration = Duration::from_millis(100);
/// Asked of the kernel for the socket; it gives what its own limits allow.
const SOCKET_BUFFER: usize = 8 << 20;

#[derive(Debug, thiserror::Error)]
pub enum StartError {
    #[error("cannot listen on {address} (UDP): {cause}{}", bind_hint(cause))]
    Bind { address: SocketAddr, cause: io::Error },
    #[error(transparent)]
    Tls(#[from] TlsError),
    #[error("{0}")]
    Config(String),
    #[error("cannot start the transport's thread: {0}")]
    Thread(io::Error),
}

/// What to do about an address that cannot be listened on.
pub fn bind_hint(cause: &io::Error) -> &'static str {
    match cause.kind() {
        io::ErrorKind::AddrInUse => ". Another process listens there: does this node run already?",
        io::ErrorKind::AddrNotAvailable => ". This machine has no such address: compare with `ip address`",
        io::ErrorKind::PermissionDenied => ". Ports below 1024 are root's: choose another",
        _ => "",
    }
}

/// A running transport. Dropping it stops it.
pub struct Transport {
    shared: Arc<Shared>,
    local_address: SocketAddr,
    stop: watch::Sender<Stopping>,
    thread: Option<std::thread::JoinHandle<()>>,
    /// To the task that has the endpoint: what it answers new connections with.
    servers: mpsc::UnboundedSender<ServerConfig>,
}

/// What the tasks share.
pub(crate) struct Shared {
    pub(crate) me: NodeId,
    pub(crate) cluster: ClusterId,
    pub(crate) roster: Roster,
    pub(crate) limits: Limits,
    pub(crate) patience: Patience,
    pub(crate) peers: BTreeMap<NodeId, Arc<Peer>>,
    client: Mutex<ClientConfig>,
    quic: Arc<quinn::TransportConfig>,
    pub(crate) sink: Arc<dyn Sink>,
    pub(crate) reporter: Reporter,
    pub(crate) stopping: watch::Receiver<Stopping>,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Stopping {
    No,
    AfterFlush,
    AtOnce,
}

impl Shared {
    /// What the next dial is made with.
    pub(crate) fn client(&self) -> ClientConfig {
        self.client.lock().clone()
    }

    /// Spawns a task whose panic is told to the sink, where a plain one would end in silence.
    pub(crate) fn spawn(self: &Arc<Self>, task: impl Future<Output = ()> + Send + 'static) -> JoinHandle<()> {
        let shared = self.clone();
        let task = tokio::spawn(task);
        tokio::spawn(async move {
            if let Err(error) = task.await
                && error.is_panic()
            {
                let panic = error.into_panic();
                let text = panic.downcast_ref::<&str>().map(|text| (*text).to_owned());
                let text = text.or_else(|| panic.downcast_ref::<String>().cloned());
                shared.sink.broken(text.unwrap_or_else(|| "a panic without words".to_owned()));
            }
        })
    }
}

impl Transport {
    /// Binds, then dials every peer for ever. Returns at once; the sink hears of connections.
    /// Install the metrics recorder before: counters are looked up here.
    pub fn start(config: TransportConfig, sink: Arc<dyn Sink>) -> Result<Transport, StartError> {
        check(&config)?;
        let tls = Tls::new(config.me, config.cluster, &config.identity)?;
        let bind = |cause| StartError::Bind { address: config.listen, cause };
        let socket = UdpSocket::bind(config.listen).map_err(bind)?;
        enlarge_buffers(&socket);
        let local_address = socket.local_addr().map_err(bind)?;

        let quic = Arc::new(quic_config(&config.limits, &config.patience)?);
        let (client, server) = crypto(tls, &quic, &config.limits);

        let peers = config
            .peers
            .iter()
            .map(|address| (address.node, Arc::new(Peer::new(address, config.cluster, &config.limits))));
        let (stop, stopping) = watch::channel(Stopping::No);
        let shared = Arc::new(Shared {
            me: config.me,
            cluster: config.cluster,
            roster: config.roster,
            peers: peers.collect(),
            limits: config.limits,
            patience: config.patience,
            client: Mutex::new(client),
            quic,
            sink,
            reporter: Reporter::default(),
            stopping,
        });

        // The endpoint needs the runtime's reactor; making both here turns a failure into an error of `start`.
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(StartError::Thread)?;
        let endpoint = {
            let _inside = runtime.enter();
            Endpoint::new(EndpointConfig::default(), Some(server), socket, Arc::new(TokioRuntime))
                .map_err(|cause| StartError::Bind { address: local_address, cause })?
        };
        let (servers, replaced) = mpsc::unbounded_channel();
        let tasks = shared.clone();
        let thread = std::thread::Builder::new()
            .name("trivet-quic".to_owned())
            .spawn(move || runtime.block_on(run(tasks, endpoint, replaced)))
            .map_err(StartError::Thread)?;
        Ok(Transport { shared, local_address, stop, thread: Some(thread), servers })
    }

    /// Never waits. A frame that cannot be queued is dropped, counted and, where nobody expects it, logged.
    pub fn send(&self, to: NodeId, class: Class, frame: Bytes) -> Sent {
        let Some(peer) = self.shared.peers.get(&to) else { return Sent::NotConnected };
        let lanes = peer.outgoing.lock().as_ref().map(|outgoing| outgoing.lanes.clone());
        let size = frame.len();
        let sent = lanes.map_or(Sent::NotConnected, |lanes| lanes.push(class, frame));
        if sent != Sent::Queued {
            peer.dropped[class_number(class)].increment(1);
        }
        if sent == Sent::WrongSize {
            let line = format!("a {class:?} frame of {size} bytes for node {} is too large and was not sent", to.0);
            self.shared.reporter.warn(Trouble::Send, Some(to), line);
        }
        sent
    }

    /// Moves a peer to another address, from the next dial on.
    pub fn set_peer_address(&self, node: NodeId, address: &str) {
        if let Some(peer) = self.shared.peers.get(&node) {
            *peer.address.lock() = address.to_owned();
            peer.nudge.notify_one();
        }
    }

    pub fn local_address(&self) -> SocketAddr {
        self.local_address
    }

    /// For status pages; may outlive the transport.
    pub fn links(&self) -> Links {
        Links { peers: self.shared.peers.values().cloned().collect(), local_address: self.local_address }
    }

    /// Replaces its certificates; may outlive the transport.
    pub fn rotation(&self) -> Rotation {
        Rotation { shared: self.shared.clone(), servers: self.servers.clone() }
    }

    /// Lets what was sent arrive, closes every connection, and waits for the thread: within a second, whoever is away.
    pub fn stop(mut self) {
        self.shut_down(Stopping::AfterFlush);
    }

    fn shut_down(&mut self, how: Stopping) {
        self.stop
            .send_if_modified(|stopping| *stopping == Stopping::No && std::mem::replace(stopping, how) == Stopping::No);
        if let Some(thread) = self.thread.take()
            && thread.join().is_err()
        {
            tracing::error!("the transport's thread ended in a panic");
        }
    }
}

impl Drop for Transport {
    fn drop(&mut self) {
        self.shut_down(Stopping::AtOnce);
    }
}

/// Replaces the certificates of a running transport.
#[derive(Clone)]
pub struct Rotation {
    shared: Arc<Shared>,
    servers: mpsc::UnboundedSender<ServerConfig>,
}

impl Rotation {
    /// Connections made from now on, in either direction, use it; those that stand go on. On an error nothing changes.
    pub fn replace(&self, identity: &Identity) -> Result<(), TlsError> {
        let tls = Tls::new(self.shared.me, self.shared.cluster, identity)?;
        let (client, server) = crypto(tls, &self.shared.quic, &self.shared.limits);
        *self.shared.client.lock() = client;
        let _ = self.servers.send(server); // fails only after the end
        Ok(())
    }
}

/// The peers' connections, to look at.
#[derive(Clone)]
pub struct Links {
    peers: Vec<Arc<Peer>>,
    local_address: SocketAddr,
}

impl Links {
    /// By node.
    pub fn status(&self) -> Vec<LinkStatus> {
        self.peers.iter().map(|peer| status(peer)).collect()
    }

    /// What the transport is bound to.
    pub fn local_address(&self) -> SocketAddr {
        self.local_address
    }
}

fn status(peer: &Peer) -> LinkStatus {
    let outgoing = peer.outgoing.lock();
    let path = outgoing.as_ref().map(|outgoing| outgoing.connection.stats().path);
    LinkStatus {
        node: peer.node,
        address: peer.address.lock().clone(),
        connected: outgoing.is_some(),
        trouble: peer.trouble.lock().clone(),
        rtt_nanos: path.as_ref().map(|path| u64::try_from(path.rtt.as_nanos()).unwrap_or(u64::MAX)),
        connections_made: peer.connections_made.load(Ordering::Relaxed),
        lost_packets: path.as_ref().map_or(0, |path| path.lost_packets),
        congestion_window: path.as_ref().map_or(0, |path| path.cwnd),
        queued: outgoing.as_ref().map_or([0; 4], |outgoing| outgoing.lanes.queued()),
    }
}

async fn run(shared: Arc<Shared>, endpoint: Endpoint, mut replaced: mpsc::UnboundedReceiver<ServerConfig>) {
    for peer in shared.peers.values() {
        shared.spawn(dial::keep_connected(shared.clone(), endpoint.clone(), peer.clone()));
    }
    shared.spawn(accept::accept_all(shared.clone(), endpoint.clone()));
    let mut stopping = shared.stopping.clone();
    // An error means that the handle is gone: stop as well.
    let how = loop {
        tokio::select! {
            how = stopping.wait_for(|stopping| *stopping != Stopping::No) => {
                break how.map_or(Stopping::AtOnce, |how| *how);
            }
            Some(server) = replaced.recv() => endpoint.set_server_config(Some(server)),
        }
    };
    if how == Stopping::AfterFlush {
        let _ = tokio::time::timeout(FLUSH, flush(&shared)).await;
    }
    endpoint.close(VarInt::from_u32(0), b"this node stops");
    let _ = tokio::time::timeout(FAREWELL, endpoint.wait_idle()).await;
}

/// Takes the lanes away, and waits until the peers have acknowledged what was in them.
async fn flush(shared: &Shared) {
    let outgoing: Vec<_> = shared.peers.values().filter_map(|peer| peer.outgoing.lock().take()).collect();
    for Outgoing { lanes, writers, .. } in outgoing {
        drop(lanes);
        for writer in writers {
            let _ = writer.await; // it cannot panic, and if it did there is nothing to flush
        }
    }
}

fn check(config: &TransportConfig) -> Result<(), StartError> {
    let mut nodes: Vec<NodeId> = config.peers.iter().map(|peer| peer.node).collect();
    nodes.sort_unstable();
    nodes.dedup();
    if nodes.len() != config.peers.len() || nodes.contains(&config.me) {
        return Err(StartError::Config("the peers must be distinct nodes, without this one".to_owned()));
    }
    if u32::try_from(config.limits.frame_max).is_err() || config.limits.frame_max == 0 {
        return Err(StartError::Config("frame_max must be between 1 and 2^32 - 1 bytes".to_owned()));
    }
    Ok(())
}

fn crypto(tls: Tls, quic: &Arc<quinn::TransportConfig>, limits: &Limits) -> (ClientConfig, ServerConfig) {
    let mut client = ClientConfig::new(tls.client);
    client.transport_config(quic.clone());
    let mut server = ServerConfig::with_crypto(tls.server);
    server
        .transport_config(quic.clone())
        .max_incoming(limits.handshakes_max)
        .incoming_buffer_size(64 << 10)
        .incoming_buffer_size_total(1 << 20);
    (client, server)
}

fn quic_config(limits: &Limits, patience: &Patience) -> Result<quinn::TransportConfig, StartError> {
    let window = |bytes: u64, name: &str| {
        VarInt::from_u64(bytes).map_err(|_| StartError::Config(format!("{name} is too large")))
    };
    let idle = IdleTimeout::try_from(patience.idle_timeout)
        .map_err(|_| StartError::Config("idle_timeout is too long".to_owned()))?;
    // N4: whatever the other three streams hold, the fourth has room, on either side.
    let connection_window = limits.stream_window.saturating_mul(4);
    let mut quic = quinn::TransportConfig::default();
    quic.max_concurrent_uni_streams(VarInt::from_u32(4))
        .max_concurrent_bidi_streams(VarInt::from_u32(1))
        .stream_receive_window(window(limits.stream_window, "stream_window")?)
        .receive_window(window(connection_window, "stream_window")?)
        .send_window(connection_window)
        .keep_alive_interval(Some(patience.keep_alive))
        .max_idle_timeout(Some(idle))
        .initial_rtt(patience.initial_rtt)
        .datagram_receive_buffer_size(None)
        .congestion_controller_factory(Arc::new(SteadyConfig::new(patience.reserved_bytes_per_second)));
    Ok(quic)
}

/// The default of 200 kB is two milliseconds of a fast link. Best effort: the kernel caps it.
fn enlarge_buffers(socket: &UdpSocket) {
    let socket = socket2::SockRef::from(socket);
    let _ = socket.set_recv_buffer_size(SOCKET_BUFFER);
    let _ = socket.set_send_buffer_size(SOCKET_BUFFER);
}
