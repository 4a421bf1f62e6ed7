//! A UDP route: one listener, and one connected socket to the target for every client address (a flow).
//!
//! The kernel hands over and takes back *trains* (UDP GRO and GSO): datagrams of one size in one buffer, which is what
//! makes hundreds of megabytes a second possible with a system call or two per 64 KiB. The model sees every datagram
//! by itself; those that are to arrive at the same moment stay in one train.
//!
//! ```text
//!   client --> listener   [d1 d2 d3 d4] --offer each--> d1 d2 at t, d3 lost, d4 at u  -->  [d1 d2]@t [d4]@u
//! ```
//!
//! Left out: a client that changes its address keeps no flow; QUIC handles that as it handles a NAT.
use super::RouteContext;
use super::delays::Delays;
use super::pool::Pool;
use super::wait;
use crate::model::{Fate, Nanos};
use crate::settings::Way;
use crate::table::LinkState;
use quinn_udp::{BATCH_SIZE, EcnCodepoint, RecvMeta, Transmit, UdpSockRef, UdpSocketState};
use rustix::event::{PollFd, PollFlags};
use std::collections::{BTreeMap, HashMap};
use std::io::{self, IoSliceMut};
use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::sync::atomic::Ordering;

/// A flow without a packet for this long is forgotten. Longer than any idle timeout of the protocols above.
const FLOW_IDLE_MAX: Nanos = 120_000_000_000;
const SWEEP_EVERY: Nanos = 1_000_000_000;
/// Clients beyond this many replace the one that was silent longest.
const FLOWS_MAX: usize = 1_024;
/// Bytes of buffers in flight in one route; what finds no room is dropped, as a router would.
const IN_FLIGHT_MAX: usize = 64 << 20;
/// What the sockets ask the kernel for; it grants up to `rmem_max` and `wmem_max`.
const SOCKET_BUFFER: usize = 4 << 20;
/// Batches taken from one socket, and trains delivered, before the others get their turn.
const TURN_BATCHES: usize = 4;
const TURN_TRAINS: usize = 256;
/// The largest train that the kernel hands over.
const TRAIN_MAX: usize = 64 << 10;

type FlowId = u64;

pub(super) struct UdpRoute {
    context: RouteContext,
    listener: Socket,
    flows: BTreeMap<FlowId, Flow>,
    by_client: HashMap<SocketAddr, FlowId>,
    flows_made: u64,
    in_flight: Delays<Train>,
    in_flight_bytes: usize,
    pool: Pool,
    intake: Intake,
    /// Deliveries of this turn, counted under the link's lock at its end.
    delivered: Vec<Delivered>,
}

struct Flow {
    client: SocketAddr,
    /// The address that the client sends to, to answer from.
    local: Option<IpAddr>,
    socket: Socket,
    last_used: Nanos,
}

struct Socket {
    socket: UdpSocket,
    state: UdpSocketState,
}

/// Datagrams of `stride` bytes each, the last maybe shorter.
struct Train {
    flow: FlowId,
    way: Way,
    bytes: Vec<u8>,
    stride: usize,
    ecn: Option<EcnCodepoint>,
}

impl Train {
    fn packets(&self) -> u64 {
        self.bytes.len().div_ceil(self.stride.max(1)).max(1) as u64
    }
}

struct Delivered {
    way: Way,
    packets: u64,
    asked: Nanos,
    now: Nanos,
    taken: bool,
}

/// Where the kernel puts what it received.
struct Intake {
    bytes: Vec<u8>,
    metas: [RecvMeta; BATCH_SIZE],
}

impl UdpRoute {
    pub fn bind(context: RouteContext, listen: SocketAddr) -> io::Result<UdpRoute> {
        let listener = Socket::new(UdpSocket::bind(listen)?)?;
        Ok(UdpRoute {
            context,
            listener,
            flows: BTreeMap::new(),
            by_client: HashMap::new(),
            flows_made: 0,
            in_flight: Delays::new(),
            in_flight_bytes: 0,
            pool: Pool::default(),
            intake: Intake { bytes: vec![0; TRAIN_MAX * BATCH_SIZE], metas: [RecvMeta::default(); BATCH_SIZE] },
            delivered: Vec::new(),
        })
    }

    pub fn local_address(&self) -> io::Result<SocketAddr> {
        self.listener.socket.local_addr()
    }

    pub fn run(mut self) {
        let mut sweep_at = SWEEP_EVERY;
        let mut ready = Vec::new();
        while !self.context.bell.is_stopping() {
            self.deliver_due();
            self.wait(sweep_at, &mut ready);
            for source in ready.drain(..) {
                match source {
                    Source::Bell => self.context.bell.hush(),
                    Source::Listener => self.take_from_clients(),
                    Source::Flow(flow) => self.take_from_target(flow),
                }
            }
            let now = self.context.clock.now();
            if now >= sweep_at {
                sweep_at = now + SWEEP_EVERY;
                self.forget_idle(now);
            }
        }
    }

    fn wait(&self, sweep_at: Nanos, ready: &mut Vec<Source>) {
        let deadline = self.in_flight.next_at().map_or(sweep_at, |at| at.min(sweep_at));
        let mut fds = Vec::with_capacity(2 + self.flows.len());
        fds.push(PollFd::new(&self.context.bell, PollFlags::IN));
        fds.push(PollFd::new(&self.listener.socket, PollFlags::IN));
        fds.extend(self.flows.values().map(|flow| PollFd::new(&flow.socket.socket, PollFlags::IN)));
        wait(&mut fds, self.context.clock.now(), Some(deadline));
        let sources = [Source::Bell, Source::Listener].into_iter().chain(self.flows.keys().copied().map(Source::Flow));
        // Any event counts: an error is fetched by the next receive, and forgotten.
        ready.extend(sources.zip(&fds).filter(|(_, fd)| !fd.revents().is_empty()).map(|(source, _)| source));
    }

    fn deliver_due(&mut self) {
        for _ in 0..TURN_TRAINS {
            let now = self.context.clock.now();
            let Some((asked, train)) = self.in_flight.pop_due(now) else { break };
            // A flow that was forgotten meanwhile takes its packets with it.
            let taken = self.flows.get(&train.flow).is_some_and(|flow| {
                if train.way == self.context.way {
                    flow.socket.send(&train, self.context.target, None)
                } else {
                    self.listener.send(&train, flow.client, flow.local)
                }
            });
            self.delivered.push(Delivered { way: train.way, packets: train.packets(), asked, now, taken });
            self.in_flight_bytes -= train.bytes.capacity();
            self.pool.give_back(train.bytes);
        }
        if self.delivered.is_empty() {
            return;
        }
        let mut link = self.context.link.lock();
        for delivered in self.delivered.drain(..) {
            if delivered.taken {
                link.delivered(delivered.way, delivered.packets, delivered.asked, delivered.now);
            } else {
                link.overflowed(delivered.way, delivered.packets);
            }
        }
    }

    fn take_from_clients(&mut self) {
        for _ in 0..TURN_BATCHES {
            let count = self.intake.receive(&self.listener);
            if count == 0 {
                return;
            }
            let now = self.context.clock.now();
            for place in 0..count {
                let meta = self.intake.metas[place];
                match self.flow_of(meta.addr, meta.dst_ip, now) {
                    Ok(flow) => self.admit(place, flow, self.context.way, now),
                    Err(error) => {
                        tracing::warn!(%error, client = %meta.addr, "no socket for a new client, packet dropped");
                        self.context.link.lock().overflowed(self.context.way, 1);
                    }
                }
            }
        }
    }

    fn take_from_target(&mut self, id: FlowId) {
        for _ in 0..TURN_BATCHES {
            let now = self.context.clock.now();
            let Some(flow) = self.flows.get_mut(&id) else { return };
            let count = self.intake.receive(&flow.socket);
            if count == 0 {
                return;
            }
            flow.last_used = now;
            let now = self.context.clock.now();
            for place in 0..count {
                self.admit(place, id, self.context.way.reverse(), now);
            }
        }
    }

    /// Offers every datagram of a received train, and puts what will arrive in flight.
    fn admit(&mut self, place: usize, flow: FlowId, way: Way, now: Nanos) {
        let (data, meta) = self.intake.train(place);
        let stride = meta.stride.max(1);
        let mut link = self.context.link.lock();
        let mut boarding = Boarding {
            flow,
            way,
            data,
            stride,
            ecn: meta.ecn,
            run: None,
            pool: &mut self.pool,
            in_flight: &mut self.in_flight,
            in_flight_bytes: &mut self.in_flight_bytes,
        };
        let mut start = 0;
        loop {
            let end = data.len().min(start + stride);
            match link.offer(now, end - start, way) {
                Fate::Deliver { at } => boarding.board(start, end, at, &mut link),
                Fate::DeliverTwice { at, again_at } => {
                    boarding.board(start, end, at, &mut link);
                    boarding.depart(&mut link);
                    boarding.board(start, end, again_at, &mut link);
                    boarding.depart(&mut link);
                }
                Fate::Drop(_) => boarding.depart(&mut link),
            }
            start = end;
            if start >= data.len() {
                break;
            }
        }
        boarding.depart(&mut link);
    }

    fn flow_of(&mut self, client: SocketAddr, local: Option<IpAddr>, now: Nanos) -> io::Result<FlowId> {
        if let Some(&id) = self.by_client.get(&client) {
            self.flows.get_mut(&id).expect("every client's flow is there").last_used = now;
            return Ok(id);
        }
        if self.flows.len() >= FLOWS_MAX {
            let oldest = self.flows.iter().min_by_key(|(_, flow)| flow.last_used).map(|(&id, _)| id);
            self.forget(oldest.expect("a full table has a flow"));
        }
        let unspecified: SocketAddr = match self.context.target {
            SocketAddr::V4(_) => ([0, 0, 0, 0], 0).into(),
            SocketAddr::V6(_) => ([0; 16], 0).into(),
        };
        let socket = UdpSocket::bind(unspecified)?;
        socket.connect(self.context.target)?;
        let flow = Flow { client, local, socket: Socket::new(socket)?, last_used: now };
        let id = self.flows_made;
        self.flows_made += 1;
        self.flows.insert(id, flow);
        self.by_client.insert(client, id);
        self.context.flows.store(self.flows.len(), Ordering::Relaxed);
        Ok(id)
    }

    fn forget_idle(&mut self, now: Nanos) {
        let is_idle = |flow: &Flow| now.saturating_sub(flow.last_used) > FLOW_IDLE_MAX;
        let idle: Vec<FlowId> = self.flows.iter().filter(|(_, flow)| is_idle(flow)).map(|(&id, _)| id).collect();
        for id in idle {
            self.forget(id);
        }
    }

    fn forget(&mut self, id: FlowId) {
        if let Some(flow) = self.flows.remove(&id) {
            self.by_client.remove(&flow.client);
            self.context.flows.store(self.flows.len(), Ordering::Relaxed);
        }
    }
}

enum Source {
    Bell,
    Listener,
    Flow(FlowId),
}

/// Datagrams of one received train, on their way into trains by arrival time.
struct Boarding<'a> {
    flow: FlowId,
    way: Way,
    data: &'a [u8],
    stride: usize,
    ecn: Option<EcnCodepoint>,
    /// The train being filled: its bytes of `data`, and when it arrives.
    run: Option<(usize, usize, Nanos)>,
    pool: &'a mut Pool,
    in_flight: &'a mut Delays<Train>,
    in_flight_bytes: &'a mut usize,
}

impl Boarding<'_> {
    fn board(&mut self, start: usize, end: usize, at: Nanos, link: &mut LinkState) {
        match &mut self.run {
            Some((_, run_end, run_at)) if *run_end == start && *run_at == at => *run_end = end,
            _ => {
                self.depart(link);
                self.run = Some((start, end, at));
            }
        }
    }

    fn depart(&mut self, link: &mut LinkState) {
        let Some((start, end, at)) = self.run.take() else { return };
        let data = &self.data[start..end];
        if *self.in_flight_bytes >= IN_FLIGHT_MAX {
            link.overflowed(self.way, data.len().div_ceil(self.stride) as u64);
            return;
        }
        let bytes = self.pool.copy_of(data);
        *self.in_flight_bytes += bytes.capacity();
        let train = Train { flow: self.flow, way: self.way, bytes, stride: self.stride, ecn: self.ecn };
        self.in_flight.push(at, train);
    }
}

impl Intake {
    /// How many trains were there to take; 0 as well on any error, which the next one may not be.
    fn receive(&mut self, from: &Socket) -> usize {
        let mut slices: [IoSliceMut<'_>; BATCH_SIZE] = {
            let mut buffers = self.bytes.chunks_mut(TRAIN_MAX);
            std::array::from_fn(|_| IoSliceMut::new(buffers.next().expect("one buffer for each of a batch")))
        };
        from.state.recv(UdpSockRef::from(&from.socket), &mut slices, &mut self.metas).unwrap_or(0)
    }

    fn train(&self, place: usize) -> (&[u8], RecvMeta) {
        let meta = self.metas[place];
        let begin = place * TRAIN_MAX;
        (&self.bytes[begin..begin + meta.len], meta)
    }
}

impl Socket {
    fn new(socket: UdpSocket) -> io::Result<Socket> {
        let state = UdpSocketState::new(UdpSockRef::from(&socket))?;
        state.set_recv_buffer_size(UdpSockRef::from(&socket), SOCKET_BUFFER)?;
        state.set_send_buffer_size(UdpSockRef::from(&socket), SOCKET_BUFFER)?;
        Ok(Socket { socket, state })
    }

    /// Whether the kernel took it. What it does not take is lost, as on any network.
    fn send(&self, train: &Train, destination: SocketAddr, src_ip: Option<IpAddr>) -> bool {
        let whole = Transmit {
            destination,
            ecn: train.ecn,
            contents: &train.bytes,
            segment_size: (train.bytes.len() > train.stride).then_some(train.stride),
            src_ip,
        };
        if whole.segment_size.is_none() || self.state.max_gso_segments() as u64 >= train.packets() {
            match self.try_send(&whole) {
                Ok(()) => return true,
                Err(_) if whole.segment_size.is_none() => return false,
                // A path without segmentation: one by one.
                Err(_) => {}
            }
        }
        train.bytes.chunks(train.stride).fold(true, |taken, packet| {
            let single = Transmit { contents: packet, segment_size: None, ..whole.clone() };
            self.try_send(&single).is_ok() && taken
        })
    }

    fn try_send(&self, transmit: &Transmit<'_>) -> io::Result<()> {
        match self.state.try_send(UdpSockRef::from(&self.socket), transmit) {
            // The news that an earlier packet found nobody; it is told once, and this packet was not sent.
            Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => {
                self.state.try_send(UdpSockRef::from(&self.socket), transmit)
            }
            sent => sent,
        }
    }
}
