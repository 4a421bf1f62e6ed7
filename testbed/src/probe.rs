//! Measures a link of the running testbed: datagrams over it, answered by this process at the far end.
//!
//! ```text
//!   sender --sent--> link --(A to B)--> echo --turned--> link --(B to A)--> sender: received
//! ```
//!
//! Where bytes go through relays, the link has one for this; where places have networks of their own, the sender is in
//! one and the echo in the other.
//!
//! All stamps are of one clock, so each direction is measured by itself.
use crate::place::{Lane, Link};
use crate::state::State;
use crate::within::Inside;
use anyhow::{Context, Result, bail};
use hdrhistogram::Histogram;
use serde::Serialize;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::net::UdpSocket;
use trivet_netem::ControlClient;

const LEN: usize = 24;

#[derive(Clone, Copy, Debug)]
pub struct Plan {
    pub probes: u64,
    pub interval: Duration,
}

impl Plan {
    /// Enough to know a round trip.
    pub const QUICK: Plan = Plan { probes: 25, interval: Duration::from_millis(8) };
}

/// Microseconds that probes took.
#[derive(Clone, Debug)]
pub struct Measured {
    pub forward: Histogram<u64>,
    pub backward: Histogram<u64>,
    pub round_trip: Histogram<u64>,
    pub sent: u64,
}

impl Measured {
    /// The median round trip, if anything came back.
    pub fn rtt(&self) -> Option<Duration> {
        (!self.round_trip.is_empty()).then(|| Duration::from_micros(self.round_trip.value_at_quantile(0.5)))
    }
}

/// Round trips between the regions in the middle and at the edges: what every result is compared with.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Rtt {
    pub median_us: u64,
    pub p99_us: u64,
}

impl Rtt {
    pub fn of(measured: &Measured) -> Option<Rtt> {
        measured
            .rtt()
            .map(|rtt| Rtt { median_us: rtt.as_micros() as u64, p99_us: measured.round_trip.value_at_quantile(0.99) })
    }

    pub fn median(self) -> Duration {
        Duration::from_micros(self.median_us)
    }
}

pub async fn measure(state: &State, link: Link, plan: Plan) -> Result<Measured> {
    let measured = async {
        match state.addresses.probes.get(&link.name()) {
            Some((relay, echo)) => measure_through(*relay, *echo, plan).await,
            None => {
                let (sender, echo) = inside(state, link)?;
                measure_between(sender, echo, plan).await
            }
        }
    };
    measured.await.with_context(|| format!("cannot measure the link {link}"))
}

/// A socket at each end of the link, the first connected to the second.
fn inside(state: &State, link: Link) -> Result<(UdpSocket, UdpSocket)> {
    let network = ControlClient::connect(state.addresses.control)?;
    let Lane { from, to } = link.forward();
    let bound = |place| -> Result<std::net::UdpSocket> {
        let inside = Inside::of(place, &network)?;
        let socket = inside
            .run(|| std::net::UdpSocket::bind((inside.address(), 0)))
            .with_context(|| format!("no socket in the network of {place}"))?;
        socket.set_nonblocking(true)?;
        Ok(socket)
    };
    let (sender, echo) = (bound(from)?, bound(to)?);
    sender.connect(echo.local_addr()?)?;
    Ok((UdpSocket::from_std(sender)?, UdpSocket::from_std(echo)?))
}

async fn measure_through(relay: SocketAddr, echo: SocketAddr, plan: Plan) -> Result<Measured> {
    // One measurement at a time has the address; another one waits for it.
    let echo = bind_within(echo, Duration::from_secs(10)).await?;
    let sender = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).await.context("no socket to send from")?;
    sender.connect(relay).await.context("the relay is not there")?;
    measure_between(sender, echo, plan).await
}

async fn measure_between(sender: UdpSocket, echo: UdpSocket, plan: Plan) -> Result<Measured> {
    let sender = Arc::new(sender);
    let origin = Instant::now();
    let micros = move || origin.elapsed().as_micros() as u64;
    let series: u64 = rand::random();
    let turning = tokio::spawn(async move {
        let mut buffer = [0; LEN];
        loop {
            if let Ok((LEN, from)) = echo.recv_from(&mut buffer).await {
                buffer[16..].copy_from_slice(&micros().to_le_bytes());
                let _ = echo.send_to(&buffer, from).await;
            }
        }
    });
    let receiver = sender.clone();
    let receiving = async move {
        let histogram = || Histogram::<u64>::new_with_max(120_000_000, 3).expect("the bounds are in order");
        let mut measured =
            Measured { forward: histogram(), backward: histogram(), round_trip: histogram(), sent: plan.probes };
        let mut buffer = [0; LEN];
        let stamp = |buffer: &[u8; LEN], at: usize| {
            u64::from_le_bytes(buffer[at..at + 8].try_into().expect("eight bytes of twenty-four"))
        };
        while measured.round_trip.len() < plan.probes {
            match tokio::time::timeout(plan.interval + Duration::from_secs(2), receiver.recv(&mut buffer)).await {
                Ok(Ok(LEN)) if stamp(&buffer, 0) == series => {
                    let (sent, turned, now) = (stamp(&buffer, 8), stamp(&buffer, 16), micros());
                    measured.forward.saturating_record(turned.saturating_sub(sent));
                    measured.backward.saturating_record(now.saturating_sub(turned));
                    measured.round_trip.saturating_record(now.saturating_sub(sent));
                }
                Ok(_) => {}
                // The rest is lost.
                Err(_) => break,
            }
        }
        measured
    };
    let sending = async {
        let mut buffer = [0; LEN];
        buffer[..8].copy_from_slice(&series.to_le_bytes());
        for _ in 0..plan.probes {
            buffer[8..16].copy_from_slice(&micros().to_le_bytes());
            // A lost probe is counted as such.
            let _ = sender.send(&buffer).await;
            tokio::time::sleep(plan.interval).await;
        }
    };
    let (measured, ()) = tokio::join!(receiving, sending);
    turning.abort();
    Ok(measured)
}

async fn bind_within(address: SocketAddr, bound: Duration) -> Result<UdpSocket> {
    let begun = Instant::now();
    loop {
        match UdpSocket::bind(address).await {
            Ok(socket) => return Ok(socket),
            Err(_) if begun.elapsed() < bound => tokio::time::sleep(Duration::from_millis(50)).await,
            Err(error) => bail!("the probe's address {address} is in use: {error}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_direct_path_is_measured_and_a_dead_one_has_no_round_trip() {
        let free = || async {
            let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).await.expect("a port");
            socket.local_addr().expect("bound")
        };
        let echo = free().await;
        let plan = Plan { probes: 5, interval: Duration::from_millis(1) };
        let measured = measure_through(echo, echo, plan).await.expect("measured");
        assert!(measured.rtt().expect("a round trip") < Duration::from_secs(1));
        assert_eq!(measured.forward.len(), 5);
        let nobody = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).await.expect("a port");
        let lost = measure_through(nobody.local_addr().expect("bound"), free().await, plan).await.expect("measured");
        assert_eq!(lost.rtt(), None);
    }
}
