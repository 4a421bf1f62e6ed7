//! Nodes to test with, and a sink that can be waited on.
use bytes::Bytes;
use parking_lot::{Condvar, Mutex};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};
use trivet_log::{Class, ClusterId, NodeId, NodeKind};
use trivet_transport::certificates::{Authority, Certificate, make_ca, make_node_certificate};
use trivet_transport::{
    Identity, Limits, LinkEvent, Patience, PeerAddress, Received, Refused, Roster, Sink, Transport, TransportConfig,
};

pub const CLUSTER: ClusterId = ClusterId(0xabcdef);
pub const ONE: NodeId = NodeId(1);
pub const TWO: NodeId = NodeId(2);
const BOUND: Duration = Duration::from_secs(20);

/// Everything that arrived, in order. Frames that begin with `!` are refused, those with `?` make it panic.
#[derive(Default)]
pub struct Inbox {
    state: Mutex<Arrived>,
    changed: Condvar,
}

#[derive(Default)]
pub struct Arrived {
    pub frames: Vec<(NodeId, Class, Bytes)>,
    pub events: Vec<LinkEvent>,
    pub broken: Vec<String>,
    /// Keep what arrives, permits and all, as a node that is stuck would.
    pub hoard: Option<Vec<Received>>,
}

impl Arrived {
    pub fn count(&self, class: Class) -> usize {
        self.frames.iter().filter(|(_, other, _)| *other == class).count()
    }
}

impl Inbox {
    /// Waits until `found` finds something, and returns it. Panics with `what` after a bound.
    pub fn wait<T>(&self, what: &str, mut found: impl FnMut(&mut Arrived) -> Option<T>) -> T {
        let deadline = Instant::now() + BOUND;
        let mut state = self.state.lock();
        loop {
            if let Some(found) = found(&mut state) {
                return found;
            }
            let waited = self.changed.wait_until(&mut state, deadline);
            assert!(!waited.timed_out(), "timed out waiting for {what}; events: {:?}", state.events);
        }
    }

    pub fn wait_event(&self, event: LinkEvent, times: usize) {
        self.wait(&format!("{event:?} x {times}"), |state| {
            (state.events.iter().filter(|other| **other == event).count() >= times).then_some(())
        });
    }

    pub fn wait_frames(&self, count: usize) -> Vec<(NodeId, Class, Bytes)> {
        self.wait(&format!("{count} frames"), |state| {
            (state.frames.len() >= count).then(|| std::mem::take(&mut state.frames))
        })
    }

    pub fn look<T>(&self, look: impl FnOnce(&mut Arrived) -> T) -> T {
        look(&mut self.state.lock())
    }
}

impl Sink for Inbox {
    fn received(&self, received: Received) -> Result<(), Refused> {
        if received.frame.first() == Some(&b'!') {
            return Err(Refused("a frame that means nothing".to_owned()));
        }
        assert!(!received.frame.starts_with(b"?"), "told to panic");
        let mut state = self.state.lock();
        state.frames.push((received.from, received.class, received.frame.clone()));
        if let Some(hoard) = &mut state.hoard {
            hoard.push(received);
        }
        self.changed.notify_all();
        Ok(())
    }

    fn broken(&self, panic: String) {
        self.state.lock().broken.push(panic);
        self.changed.notify_all();
    }

    fn event(&self, event: LinkEvent) {
        self.state.lock().events.push(event);
        self.changed.notify_all();
    }
}

pub struct Node {
    pub transport: Transport,
    pub inbox: Arc<Inbox>,
}

/// What a node is made from; change it before `start`.
pub struct Plan {
    pub me: NodeId,
    pub cluster: ClusterId,
    pub listen: SocketAddr,
    pub peer: NodeId,
    pub peer_address: String,
    pub limits: Limits,
    pub patience: Patience,
    pub authority_pem: String,
    pub certificate: Certificate,
}

pub fn loopback() -> SocketAddr {
    SocketAddr::from(([127, 0, 0, 1], 0))
}

/// Nobody listens there, and nobody will.
const NOWHERE: &str = "127.0.0.1:9";

impl Plan {
    pub fn new(authority: &Authority, me: NodeId, peer: NodeId) -> Plan {
        Plan {
            me,
            cluster: authority.cluster,
            listen: loopback(),
            peer,
            peer_address: NOWHERE.to_owned(),
            limits: Limits::default(),
            patience: Patience::default(),
            authority_pem: authority.certificate_pem.clone(),
            certificate: make_node_certificate(authority, me).expect("signed"),
        }
    }

    pub fn start(self) -> Node {
        let inbox = Arc::new(Inbox::default());
        let identity = Identity::from_pem(
            self.authority_pem.as_bytes(),
            self.certificate.certificate_pem.as_bytes(),
            self.certificate.key_pem.as_bytes(),
        );
        let config = TransportConfig {
            me: self.me,
            cluster: self.cluster,
            roster: Roster::of([(self.me, NodeKind::Region), (self.peer, NodeKind::Region)]),
            listen: self.listen,
            peers: vec![PeerAddress { node: self.peer, address: self.peer_address }],
            identity: identity.expect("our own certificates"),
            limits: self.limits,
            patience: self.patience,
        };
        let transport = Transport::start(config, inbox.clone()).expect("a free port");
        Node { transport, inbox }
    }
}

impl Node {
    /// Waits until the transport gives this as what keeps it from its peer.
    pub fn wait_trouble(&self, part: &str) {
        let deadline = Instant::now() + BOUND;
        loop {
            let trouble = self.transport.links().status()[0].trouble.clone();
            if trouble.as_ref().is_some_and(|trouble| trouble.contains(part)) {
                return;
            }
            assert!(Instant::now() < deadline, "timed out waiting for the trouble {part:?}, it is {trouble:?}");
            std::thread::park_timeout(Duration::from_millis(5));
        }
    }

    pub fn address(&self) -> String {
        self.transport.local_address().to_string()
    }
}

pub fn authority() -> Authority {
    make_ca(CLUSTER).expect("an authority")
}

/// Introduces two started nodes and waits until both directions stand.
pub fn introduce(one: &Node, two: &Node) {
    one.transport.set_peer_address(TWO, &two.address());
    two.transport.set_peer_address(ONE, &one.address());
    one.inbox.wait_event(LinkEvent::Connected(TWO), 1);
    two.inbox.wait_event(LinkEvent::Connected(ONE), 1);
}

pub fn pair() -> (Node, Node) {
    pair_with(Limits::default())
}

pub fn pair_with(limits: Limits) -> (Node, Node) {
    let authority = authority();
    let [one, two] = [(ONE, TWO), (TWO, ONE)].map(|(me, peer)| {
        let mut plan = Plan::new(&authority, me, peer);
        plan.limits = limits.clone();
        plan.start()
    });
    introduce(&one, &two);
    (one, two)
}
