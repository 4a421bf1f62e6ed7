//! The `tun` backend: a network namespace for each place, a TUN device in each, and this process between them.
//!
//! ```text
//!   namespace A: 10.83.0.1 on trivet0 --read--> [ A's thread: lane by destination, link model, delay queue ] --write--> trivet0 of B
//! ```
//!
//! Every IPv4 packet passes the same model as in the relays, so UDP, TCP, QUIC and ping are delayed alike, and the
//! kernels' own TCP meets the distance: handshakes, slow start, retransmissions. A place's thread reads what the place
//! sends, asks the model, and hands it on when it is due.
//!
//! Left out: IPv6 (switched off in the namespaces); packets that find the device's queue full are dropped by the kernel
//! and counted nowhere; and a packet costs two system calls, some microseconds.
use crate::backend::{Backend, BackendKind};
use crate::clock::Clock;
use crate::config::Config;
use crate::control::{Change, ControlError, LinkStatus, PlaceStatus, RouteStatus};
use crate::model::{Fate, Nanos};
use crate::relay::{Bell, Delays, Pool, spawn_punctual, wait};
use crate::settings::{Direction, Way};
use crate::space::{Entry, Space, SpaceError, run};
use crate::table::{Links, SharedLink};
use rustix::event::{PollFd, PollFlags};
use std::collections::HashMap;
use std::io;
use std::net::Ipv4Addr;
use std::sync::Arc;
use std::thread::JoinHandle;
use tappers::{Interface, Tun};

const DEVICE: &str = "trivet0";
const MTU: usize = 1500;
/// Packets that may wait in the kernel until a place's thread reads them.
const DEVICE_QUEUE: usize = 10_000;
/// Bytes in flight from one place; what finds no room is dropped, as a router would.
const IN_FLIGHT_MAX: usize = 256 << 20;
/// Packets taken from the device, and packets delivered, before the other gets its turn.
const TURN: usize = 256;

#[derive(Debug)]
pub(crate) struct TunNetwork {
    shared: Arc<TunShared>,
    bells: Vec<Arc<Bell>>,
    threads: Vec<JoinHandle<()>>,
    _entries: Vec<Entry>,
}

#[derive(Debug)]
struct TunShared {
    links: Links,
    spaces: Vec<Arc<Space>>,
}

impl TunNetwork {
    pub fn open(config: &Config) -> Result<TunNetwork, SpaceError> {
        let clock = Clock::start();
        let links = Links::new(config.seed, &config.links);
        let spaces: Vec<Arc<Space>> = Space::create_all(config)?.into_iter().map(Arc::new).collect();
        let devices: Vec<Arc<Device>> =
            spaces.iter().map(|space| Ok(Arc::new(Device::create(space)?))).collect::<Result<_, SpaceError>>()?;
        let entries = Entry::open_all(&config.entries, &spaces)?;
        let mut network = TunNetwork {
            shared: Arc::new(TunShared { links, spaces }),
            bells: Vec::new(),
            threads: Vec::new(),
            _entries: entries,
        };
        for (space, device) in network.shared.spaces.iter().zip(&devices) {
            let bell = Arc::new(Bell::new().map_err(SpaceError::Thread)?);
            network.bells.push(bell.clone());
            let forwarder = Forwarder {
                clock,
                bell,
                device: device.clone(),
                lanes: lanes_from(space, config, &network.shared, &devices),
                in_flight: Delays::new(),
                in_flight_bytes: 0,
                pool: Pool::default(),
            };
            let thread = spawn_punctual(format!("tun-{}", space.name), move || forwarder.run());
            network.threads.push(thread.map_err(SpaceError::Thread)?);
        }
        Ok(network)
    }

    pub fn backend(&self) -> Arc<dyn Backend> {
        self.shared.clone()
    }
}

impl Drop for TunNetwork {
    fn drop(&mut self) {
        for bell in &self.bells {
            bell.stop();
        }
        for thread in self.threads.drain(..) {
            if thread.join().is_err() {
                tracing::error!("a place's thread had panicked");
            }
        }
    }
}

impl Backend for TunShared {
    fn kind(&self) -> BackendKind {
        BackendKind::Tun
    }

    fn change(&self, link: &str, direction: Direction, change: &Change) -> Result<(), ControlError> {
        self.links.named(link)?.change(direction, change);
        Ok(())
    }

    fn show(&self) -> Result<Vec<LinkStatus>, ControlError> {
        Ok(self.links.status(self.kind()))
    }

    fn routes(&self) -> Vec<RouteStatus> {
        Vec::new()
    }

    fn places(&self) -> Vec<PlaceStatus> {
        self.spaces.iter().map(|space| space.status()).collect()
    }
}

/// The device of one place.
struct Device(Tun);

impl Device {
    fn create(space: &Space) -> Result<Device, SpaceError> {
        space.within(|| {
            let name = Interface::new(DEVICE).map_err(SpaceError::Tun)?;
            let mut tun = Tun::new_named(name).map_err(SpaceError::Tun)?;
            tun.set_nonblocking(true).map_err(SpaceError::Tun)?;
            run("ip", &format!("addr add {}/24 dev {DEVICE}", space.address))?;
            run("ip", &format!("link set {DEVICE} mtu {MTU} txqueuelen {DEVICE_QUEUE} up"))?;
            Ok(Device(tun))
        })
    }
}

/// Where a packet goes.
#[derive(Clone)]
struct Lane {
    link: Arc<SharedLink>,
    way: Way,
    to: Arc<Device>,
}

fn lanes_from(from: &Space, config: &Config, shared: &TunShared, devices: &[Arc<Device>]) -> HashMap<Ipv4Addr, Lane> {
    let mut lanes = HashMap::new();
    for link in &config.links {
        let (near, far) = link.ends().expect("checked: a link has two ends");
        let (other, way) = match from.name.as_str() {
            name if name == near => (far, Way::Forward),
            name if name == far => (near, Way::Backward),
            _ => continue,
        };
        let place = shared.spaces.iter().position(|space| space.name == other).expect("checked: an end is a place");
        let link = shared.links.named(&link.name).expect("made from the same configuration").clone();
        lanes.insert(shared.spaces[place].address, Lane { link, way, to: devices[place].clone() });
    }
    lanes
}

struct Packet {
    bytes: Vec<u8>,
    lane: Lane,
}

/// One place's sending side.
struct Forwarder {
    clock: Clock,
    bell: Arc<Bell>,
    device: Arc<Device>,
    lanes: HashMap<Ipv4Addr, Lane>,
    in_flight: Delays<Packet>,
    in_flight_bytes: usize,
    pool: Pool,
}

impl Forwarder {
    fn run(mut self) {
        while !self.bell.is_stopping() {
            let delivered_all = self.deliver();
            let took_all = self.take();
            if delivered_all && took_all {
                let mut fds = [PollFd::new(&self.bell, PollFlags::IN), PollFd::new(&self.device.0, PollFlags::IN)];
                wait(&mut fds, self.clock.now(), self.in_flight.next_at());
            }
        }
    }

    /// Reads what the place sends; false if there may be more.
    fn take(&mut self) -> bool {
        let mut buffer = [0; MTU];
        for _ in 0..TURN {
            match self.device.0.recv(&mut buffer) {
                Ok(len) => self.offer(&buffer[..len]),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return true,
                Err(error) => {
                    tracing::warn!(%error, "a TUN device does not read");
                    return true;
                }
            }
        }
        false
    }

    fn offer(&mut self, bytes: &[u8]) {
        // Broadcasts and what is for nobody here go nowhere.
        let Some(lane) = destination(bytes).and_then(|address| self.lanes.get(&address)).cloned() else { return };
        let fate = {
            let mut link = lane.link.lock();
            let fate = link.offer(self.clock.now(), bytes.len(), lane.way);
            if !matches!(fate, Fate::Drop(_)) && self.in_flight_bytes >= IN_FLIGHT_MAX {
                link.overflowed(lane.way, 1);
                return;
            }
            fate
        };
        match fate {
            Fate::Drop(_) => {}
            Fate::Deliver { at } => self.push(at, bytes, lane),
            Fate::DeliverTwice { at, again_at } => {
                self.push(at, bytes, lane.clone());
                self.push(again_at, bytes, lane);
            }
        }
    }

    fn push(&mut self, at: Nanos, bytes: &[u8], lane: Lane) {
        self.in_flight_bytes += bytes.len();
        self.in_flight.push(at, Packet { bytes: self.pool.copy_of(bytes), lane });
    }

    /// Hands on what is due; false if there may be more.
    fn deliver(&mut self) -> bool {
        for _ in 0..TURN {
            let now = self.clock.now();
            let Some((at, Packet { bytes, lane })) = self.in_flight.pop_due(now) else { return true };
            self.in_flight_bytes -= bytes.len();
            match lane.to.0.send(&bytes) {
                Ok(_) => lane.link.lock().delivered(lane.way, 1, at, now),
                // The kernel has no memory for it, or the device goes away.
                Err(_) => lane.link.lock().overflowed(lane.way, 1),
            }
            self.pool.give_back(bytes);
        }
        false
    }
}

/// Of an IPv4 packet.
fn destination(packet: &[u8]) -> Option<Ipv4Addr> {
    let address: [u8; 4] = packet.get(16..20)?.try_into().ok()?;
    (packet[0] >> 4 == 4).then(|| address.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn destinations_of_packets() {
        let mut packet = [0; 28];
        packet[0] = 0x45;
        packet[16..20].copy_from_slice(&[10, 83, 0, 2]);
        assert_eq!(destination(&packet), Some(Ipv4Addr::new(10, 83, 0, 2)));
        assert_eq!(destination(&packet[..19]), None);
        packet[0] = 0x60;
        assert_eq!(destination(&packet), None);
        assert_eq!(destination(&[]), None);
    }
}
