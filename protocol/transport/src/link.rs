//! What the transport tells the node above it, and what it knows of each peer.
use crate::config::{Limits, PeerAddress};
use crate::frame::{CLASSES, class_name, class_number};
use crate::lanes::Lanes;
use crate::tls::node_name;
use bytes::Bytes;
use metrics::Counter;
use parking_lot::Mutex;
use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore};
use tokio::task::JoinHandle;
use trivet_log::{Class, ClusterId, NodeId};

/// A frame from a peer. Its share of the inbound budget is held until it is dropped: keep it until the frame was
/// acted upon, so that a slow node slows its peers instead of filling its memory.
#[derive(Debug)]
pub struct Received {
    pub from: NodeId,
    pub class: Class,
    pub frame: Bytes,
    pub(crate) _permit: OwnedSemaphorePermit,
}

/// The sink could not make sense of a frame: its connection is closed with this reason.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refused(pub String);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LinkEvent {
    /// A new outgoing connection stands. Whatever was sent before may be lost.
    Connected(NodeId),
    /// The outgoing connection ended; frames to this peer are dropped until it is `Connected` again.
    Disconnected(NodeId),
}

/// Where frames and events go. Called on the transport's only thread: hand over and return.
pub trait Sink: Send + Sync + 'static {
    fn received(&self, received: Received) -> Result<(), Refused>;
    fn event(&self, event: LinkEvent);
    /// A task of the transport panicked: our mistake, and a peer may be deaf or mute from now on. End the process.
    fn broken(&self, panic: String);
}

/// For status pages.
#[derive(Clone, Debug)]
pub struct LinkStatus {
    pub node: NodeId,
    pub address: String,
    pub connected: bool,
    /// Why the last dial failed or the last connection ended; none while connected.
    pub trouble: Option<String>,
    /// Nanoseconds, smoothed, of the outgoing connection.
    pub rtt_nanos: Option<u64>,
    pub connections_made: u64,
    pub lost_packets: u64,
    pub congestion_window: u64,
    /// Bytes that wait in the lanes: urgent, append, proposal, bulk.
    pub queued: [usize; 4],
}

/// One peer, as all tasks share it.
pub(crate) struct Peer {
    pub(crate) node: NodeId,
    pub(crate) server_name: String,
    pub(crate) address: Mutex<String>,
    /// The outgoing connection and its lanes, while there is one.
    pub(crate) outgoing: Mutex<Option<Outgoing>>,
    pub(crate) trouble: Mutex<Option<String>>,
    /// "This peer is alive or has moved: dial now."
    pub(crate) nudge: Notify,
    pub(crate) connections_made: AtomicU64,
    /// Connections that the peer made, oldest first.
    pub(crate) incoming: Mutex<VecDeque<quinn::Connection>>,
    inbound: [Arc<Semaphore>; 4],
    inbound_max: [u32; 4],
    pub(crate) sent_bytes: [Counter; 4],
    pub(crate) received_bytes: [Counter; 4],
    pub(crate) dropped: [Counter; 4],
    pub(crate) connects: Counter,
}

pub(crate) struct Outgoing {
    pub(crate) connection: quinn::Connection,
    pub(crate) lanes: Arc<Lanes>,
    /// One a class. Each ends with its connection, or when the lanes are dropped and all of theirs has arrived.
    pub(crate) writers: [JoinHandle<()>; 4],
}

/// Budgets are counted in KiB, so that they fit the semaphore's numbers.
const PERMIT_BYTES: usize = 1024;

impl Peer {
    pub(crate) fn new(address: &PeerAddress, cluster: ClusterId, limits: &Limits) -> Peer {
        let node = address.node;
        let inbound_max = CLASSES.map(|class| {
            let permits = (limits.inbound(class) / PERMIT_BYTES).clamp(1, u32::MAX as usize >> 3);
            u32::try_from(permits).expect("clamped")
        });
        let counters = |name: &'static str| {
            CLASSES.map(|class| metrics::counter!(name, "peer" => node.0.to_string(), "class" => class_name(class)))
        };
        Peer {
            node,
            server_name: node_name(node, cluster),
            address: Mutex::new(address.address.clone()),
            outgoing: Mutex::new(None),
            trouble: Mutex::new(None),
            nudge: Notify::new(),
            connections_made: AtomicU64::new(0),
            incoming: Mutex::new(VecDeque::new()),
            inbound: inbound_max.map(|permits| Arc::new(Semaphore::new(permits as usize))),
            inbound_max,
            sent_bytes: counters("trivet_transport_sent_bytes_total"),
            received_bytes: counters("trivet_transport_received_bytes_total"),
            dropped: counters("trivet_transport_dropped_frames_total"),
            connects: metrics::counter!("trivet_transport_connects_total", "peer" => node.0.to_string()),
        }
    }

    /// Waits until the sink has room for a frame of this size.
    pub(crate) async fn admit(&self, class: Class, size: usize) -> OwnedSemaphorePermit {
        let class = class_number(class);
        let wanted = u32::try_from(size / PERMIT_BYTES + 1).unwrap_or(u32::MAX).min(self.inbound_max[class]);
        self.inbound[class].clone().acquire_many_owned(wanted).await.expect("the semaphore is never closed")
    }
}
