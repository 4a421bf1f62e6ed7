//! Asked against measured: probes through a relay of their own, over loopback.
//!
//! ```text
//!   sender --stamp--> relay --(forward)--> echo --stamp--> relay --(backward)--> receiver
//!            sent                         turned                                 received
//! ```
//!
//! All stamps are of one clock, so each way is measured by itself. What is measured contains the kernel's loopback and
//! the wake-ups of echo and receiver beside the relay's own lateness; it can be later than asked, never earlier.
mod throughput;

pub use throughput::{Load, Throughput, throughput};

use crate::clock::Clock;
use crate::config::{Config, LinkConfig, OnCut, RouteConfig, Transport};
use crate::model::Nanos;
use crate::profile::Profile;
use crate::relay::{OpenError, Relay};
use crate::settings::{Way, duration_text};
use hdrhistogram::Histogram;
use serde::Serialize;
use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

/// The least that carries two stamps.
const PROBE_LEN_MIN: usize = 16;
/// How often a waiting thread looks whether it should end.
const LOOK_EVERY: Duration = Duration::from_millis(20);

/// Beyond its delay, a probe that takes longer is not coming.
const LOST_AFTER: Duration = Duration::from_secs(5);

/// What to send.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Plan {
    pub probes: usize,
    /// Between two probes.
    pub interval: Duration,
    /// Bytes of each.
    pub len: usize,
}

impl Default for Plan {
    fn default() -> Plan {
        Plan { probes: 500, interval: Duration::from_millis(2), len: 200 }
    }
}

/// One way of one transport, asked and measured.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct Measurement {
    pub transport: Transport,
    pub way: Way,
    /// The delay that was asked for; jitter is not in it.
    #[serde(with = "duration_text")]
    pub asked: Duration,
    #[serde(with = "duration_text")]
    pub min: Duration,
    #[serde(with = "duration_text")]
    pub p50: Duration,
    #[serde(with = "duration_text")]
    pub p99: Duration,
    #[serde(with = "duration_text")]
    pub max: Duration,
    pub sent: u64,
    pub arrived: u64,
}

#[derive(Debug, thiserror::Error)]
pub enum ProbeError {
    #[error(transparent)]
    Open(#[from] OpenError),
    #[error("a probe's socket failed")]
    Io(#[from] io::Error),
}

/// Sends probes over UDP and TCP through a relay with this profile; both ways of both.
pub fn measure(profile: &Profile, plan: &Plan) -> Result<Vec<Measurement>, ProbeError> {
    let mut measurements = measure_udp(profile, plan)?;
    measurements.extend(measure_tcp(profile, plan)?);
    Ok(measurements)
}

/// A relay of one link and one route, with the address of its listener.
fn relay_to(profile: &Profile, transport: Transport, target: SocketAddr) -> Result<(Relay, SocketAddr), OpenError> {
    let relay = Relay::open(&Config {
        seed: 0,
        links: vec![LinkConfig::new("probe", profile)],
        routes: vec![RouteConfig {
            link: "probe".to_owned(),
            way: Way::Forward,
            transport,
            listen: any_port(),
            target,
            on_cut: OnCut::Hold,
        }],
        ..Config::default()
    })?;
    let listen = relay.listen_address(0);
    Ok((relay, listen))
}

fn any_port() -> SocketAddr {
    (Ipv4Addr::LOCALHOST, 0).into()
}

fn measure_udp(profile: &Profile, plan: &Plan) -> Result<Vec<Measurement>, ProbeError> {
    let echo = UdpSocket::bind(any_port())?;
    let (_relay, entry) = relay_to(profile, Transport::Udp, echo.local_addr()?)?;
    let client = UdpSocket::bind(any_port())?;
    client.connect(entry)?;
    for socket in [&echo, &client] {
        socket.set_read_timeout(Some(LOOK_EVERY))?;
    }
    let clock = Clock::start();
    let done = AtomicBool::new(false);
    let len = plan.len.max(PROBE_LEN_MIN);
    let tally = std::thread::scope(|scope| -> io::Result<Tally> {
        scope.spawn(|| {
            let mut buffer = vec![0; len];
            while !done.load(Ordering::Acquire) {
                // A timeout, or news of a lost packet: look again.
                let Ok((count, from)) = echo.recv_from(&mut buffer) else { continue };
                if count == len {
                    buffer[8..16].copy_from_slice(&clock.now().to_le_bytes());
                    let _ = echo.send_to(&buffer, from);
                }
            }
        });
        let receiver = scope.spawn(|| {
            let mut tally = Tally::new();
            let mut buffer = vec![0; len];
            let patience = Patience::new(profile, plan);
            while tally.arrived < plan.probes as u64 && !patience.is_over(&clock) {
                if client.recv(&mut buffer).is_ok_and(|count| count == len) {
                    tally.received(&buffer, clock.now());
                }
            }
            done.store(true, Ordering::Release);
            tally
        });
        let mut buffer = vec![0; len];
        for _ in 0..plan.probes {
            buffer[..8].copy_from_slice(&clock.now().to_le_bytes());
            client.send(&buffer)?;
            std::thread::sleep(plan.interval);
        }
        Ok(receiver.join().expect("the receiver only counts"))
    })?;
    Ok(tally.measurements(Transport::Udp, profile, plan))
}

fn measure_tcp(profile: &Profile, plan: &Plan) -> Result<Vec<Measurement>, ProbeError> {
    let listener = TcpListener::bind(any_port())?;
    let (_relay, entry) = relay_to(profile, Transport::Tcp, listener.local_addr()?)?;
    let client = TcpStream::connect(entry)?;
    client.set_nodelay(true)?;
    client.set_read_timeout(Some(LOST_AFTER + profile.forward.delay + profile.backward.delay))?;
    let clock = Clock::start();
    let len = plan.len.max(PROBE_LEN_MIN);
    let tally = std::thread::scope(|scope| -> io::Result<Tally> {
        scope.spawn(|| -> io::Result<()> {
            let (mut stream, _) = listener.accept()?;
            stream.set_nodelay(true)?;
            let mut buffer = vec![0; len];
            // Ends with the client's stream.
            while stream.read_exact(&mut buffer).is_ok() {
                buffer[8..16].copy_from_slice(&clock.now().to_le_bytes());
                stream.write_all(&buffer)?;
            }
            Ok(())
        });
        // The handshake is over when the first answer is here; the probes begin then.
        let mut buffer = vec![0; len];
        (&client).write_all(&buffer)?;
        (&client).read_exact(&mut buffer)?;
        let receiver = scope.spawn(|| {
            let mut tally = Tally::new();
            let mut buffer = vec![0; len];
            while tally.arrived < plan.probes as u64 && (&client).read_exact(&mut buffer).is_ok() {
                tally.received(&buffer, clock.now());
            }
            tally
        });
        for _ in 0..plan.probes {
            buffer[..8].copy_from_slice(&clock.now().to_le_bytes());
            (&client).write_all(&buffer)?;
            std::thread::sleep(plan.interval);
        }
        let tally = receiver.join().expect("the receiver only counts");
        client.shutdown(std::net::Shutdown::Both)?;
        Ok(tally)
    })?;
    Ok(tally.measurements(Transport::Tcp, profile, plan))
}

/// How long to wait for probes that may be lost.
struct Patience {
    until: Nanos,
}

impl Patience {
    fn new(profile: &Profile, plan: &Plan) -> Patience {
        let path = [&profile.forward, &profile.backward].map(|way| way.delay + way.jitter);
        // Sleeps between probes are longer than asked on a busy machine.
        let sending = plan.interval * u32::try_from(plan.probes).unwrap_or(u32::MAX) * 2;
        let total = sending + path[0] + path[1] + LOST_AFTER;
        Patience { until: u64::try_from(total.as_nanos()).unwrap_or(u64::MAX) }
    }

    fn is_over(&self, clock: &Clock) -> bool {
        clock.now() > self.until
    }
}

/// Nanoseconds that probes took, each way.
struct Tally {
    forward: Histogram<u64>,
    backward: Histogram<u64>,
    arrived: u64,
}

impl Tally {
    fn new() -> Tally {
        let histogram = || Histogram::new_with_max(60_000_000_000, 4).expect("the bounds are in order");
        Tally { forward: histogram(), backward: histogram(), arrived: 0 }
    }

    fn received(&mut self, probe: &[u8], now: Nanos) {
        let stamp = |at: usize| u64::from_le_bytes(probe[at..at + 8].try_into().expect("eight bytes"));
        let (sent, turned) = (stamp(0), stamp(8));
        self.forward.saturating_record(turned.saturating_sub(sent));
        self.backward.saturating_record(now.saturating_sub(turned));
        self.arrived += 1;
    }

    fn measurements(&self, transport: Transport, profile: &Profile, plan: &Plan) -> Vec<Measurement> {
        let one = |way, histogram: &Histogram<u64>, asked| Measurement {
            transport,
            way,
            asked,
            // The histogram's buckets round to four digits; its lower edge is not later than what was measured.
            min: Duration::from_nanos(histogram.min()),
            p50: Duration::from_nanos(histogram.value_at_quantile(0.5)),
            p99: Duration::from_nanos(histogram.value_at_quantile(0.99)),
            max: Duration::from_nanos(histogram.max()),
            sent: plan.probes as u64,
            arrived: self.arrived,
        };
        vec![
            one(Way::Forward, &self.forward, profile.forward.delay),
            one(Way::Backward, &self.backward, profile.backward.delay),
        ]
    }
}
