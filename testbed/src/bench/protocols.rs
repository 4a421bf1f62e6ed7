//! A link's round trip as different protocols see it: where places have networks of their own, all of them cross it.
//!
//! ping and pgwire go from the near place to the far one, pipelined, so that a long way costs no more time to measure.
//! QUIC is what the nodes' own connection has measured, smoothed: after a change it takes some seconds to come near, and
//! only what it says from then on is taken.
use super::net::PLAN;
use crate::place::{Lane, Link, Place};
use crate::sql;
use crate::testbed::Testbed;
use crate::within::Inside;
use anyhow::{Context, Result};
use serde::Serialize;
use socket2::{Domain, Protocol, Socket, Type};
use std::io::{self, Read};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::time::{Duration, Instant};
use tokio_postgres::NoTls;

const QUIC_SETTLES_WITHIN: Duration = Duration::from_secs(20);
const QUIC_NEAR: Duration = Duration::from_millis(1);
const QUIC_LOOKS: usize = 9;
const LOOK_EVERY: Duration = Duration::from_millis(100);
const WITHIN: Duration = Duration::from_secs(20);

/// Medians; none where nothing of this kind crosses the link.
#[derive(Clone, Debug, Serialize)]
pub struct RoundTrips {
    pub link: String,
    /// Delays of both ways, and half of their jitters.
    pub asked_us: u64,
    pub udp_us: Option<u64>,
    pub ping_us: Option<u64>,
    pub pgwire_us: Option<u64>,
    pub quic_us: Option<u64>,
}

pub async fn measure(testbed: &Testbed, link: Link, asked: Duration, udp: Option<Duration>) -> Result<RoundTrips> {
    let Lane { from, to } = link.forward();
    let micros = |time: Option<Duration>| time.map(|time| time.as_micros() as u64);
    let (near, far) = (testbed.inside(from)?, testbed.inside(to)?);
    let (ping, pgwire) = match near {
        Inside::Host => (None, None),
        Inside::Own { .. } => (
            ping(near.clone(), far.address()).await?,
            if to.is_region() { pgwire(testbed, &near, to).await? } else { None },
        ),
    };
    Ok(RoundTrips {
        link: link.name(),
        asked_us: asked.as_micros() as u64,
        udp_us: micros(udp),
        ping_us: micros(ping),
        pgwire_us: micros(pgwire),
        quic_us: micros(quic(testbed, link.forward(), asked).await?),
    })
}

fn median(mut times: Vec<Duration>) -> Option<Duration> {
    times.sort_unstable();
    times.get(times.len() / 2).copied()
}

/// As the sender's node says: the middle of some looks, once it has come near what was asked for, or after a bound.
async fn quic(testbed: &Testbed, lane: Lane, asked: Duration) -> Result<Option<Duration>> {
    let begun = Instant::now();
    let mut looks = Vec::new();
    while looks.len() < QUIC_LOOKS {
        let status = testbed.status(lane.from).await?;
        let rtt =
            status.peer(lane.to).and_then(|peer| peer.rtt_ms).map(|rtt| Duration::from_secs_f64(rtt.max(0.0) / 1e3));
        let Some(rtt) = rtt else { return Ok(None) };
        let is_near = rtt.abs_diff(asked) < QUIC_NEAR || begun.elapsed() > QUIC_SETTLES_WITHIN;
        if is_near || !looks.is_empty() {
            looks.push(rtt);
        }
        tokio::time::sleep(LOOK_EVERY).await;
    }
    Ok(median(looks))
}

/// Statements of a client in the near place, to the region in the far one.
async fn pgwire(testbed: &Testbed, near: &Inside, region: Place) -> Result<Option<Duration>> {
    let mut endpoint = testbed.endpoints()?[&region];
    endpoint.address.set_ip(testbed.inside(region)?.address().into());
    let stream = near.run(|| TcpStream::connect_timeout(&endpoint.address, WITHIN));
    let stream = stream.with_context(|| format!("cannot connect to region {region} at {}", endpoint.address))?;
    stream.set_nonblocking(true)?;
    stream.set_nodelay(true)?;
    let stream = tokio::net::TcpStream::from_std(stream)?;
    let config = sql::config(endpoint, WITHIN);
    let connecting = tokio::time::timeout(WITHIN, config.connect_raw(stream, NoTls)).await;
    let (client, connection) = connecting.context("the region does not answer")??;
    let driver = tokio::spawn(connection);
    let one = async |number: u64| -> Result<Duration> {
        tokio::time::sleep(PLAN.interval * u32::try_from(number).unwrap_or(u32::MAX)).await;
        let begun = Instant::now();
        client.simple_query("SELECT 1").await?;
        Ok(begun.elapsed())
    };
    let all = tokio::time::timeout(WITHIN, futures::future::try_join_all((0..PLAN.probes).map(one))).await;
    driver.abort();
    Ok(median(all.context("the region does not answer")??))
}

/// ICMP echo requests, answered by the far place's kernel.
async fn ping(near: Inside, to: Ipv4Addr) -> Result<Option<Duration>> {
    let pinging = tokio::task::spawn_blocking(move || -> io::Result<Vec<Duration>> {
        let socket = near.run(|| Socket::new(Domain::IPV4, Type::RAW, Some(Protocol::ICMPV4)))?;
        socket.connect(&SocketAddr::from((to, 0)).into())?;
        socket.set_read_timeout(Some(Duration::from_secs(2)))?;
        let identifier: u16 = rand::random();
        let origin = Instant::now();
        std::thread::scope(|scope| {
            let receiver = scope.spawn(|| answers(&socket, identifier, origin));
            for sequence in 0..PLAN.probes as u16 {
                socket.send(&echo_request(identifier, sequence, origin.elapsed()))?;
                std::thread::sleep(PLAN.interval);
            }
            receiver.join().expect("the receiver only counts")
        })
    });
    Ok(median(pinging.await.context("the ping failed")?.context("the ping failed")?))
}

/// Until all are there, or two seconds pass without one.
fn answers(mut socket: &Socket, identifier: u16, origin: Instant) -> io::Result<Vec<Duration>> {
    let mut times = Vec::new();
    let mut buffer = [0; 128];
    while times.len() < PLAN.probes as usize {
        match socket.read(&mut buffer) {
            Ok(len) => {
                times.extend(sent_at(&buffer[..len], identifier).map(|sent| origin.elapsed().saturating_sub(sent)))
            }
            Err(error) if matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut) => break,
            Err(error) => return Err(error),
        }
    }
    Ok(times)
}

/// RFC 792: type 8, code 0, checksum, identifier, sequence, and our stamp.
fn echo_request(identifier: u16, sequence: u16, stamp: Duration) -> [u8; 16] {
    let mut packet = [0; 16];
    packet[0] = 8;
    packet[4..6].copy_from_slice(&identifier.to_be_bytes());
    packet[6..8].copy_from_slice(&sequence.to_be_bytes());
    packet[8..].copy_from_slice(&(stamp.as_nanos() as u64).to_be_bytes());
    let sum: u32 = packet.chunks(2).map(|pair| u32::from(u16::from_be_bytes([pair[0], pair[1]]))).sum();
    let folded = (sum & 0xffff) + (sum >> 16);
    let checksum = !(((folded & 0xffff) + (folded >> 16)) as u16);
    packet[2..4].copy_from_slice(&checksum.to_be_bytes());
    packet
}

/// The stamp of an answer to us (type 0), behind the IP header that a raw socket shows.
fn sent_at(packet: &[u8], identifier: u16) -> Option<Duration> {
    let header = usize::from(packet.first()? & 15) * 4;
    let answer = packet.get(header..header + 16)?;
    let is_ours = answer[0] == 0 && answer[4..6] == identifier.to_be_bytes();
    is_ours.then(|| Duration::from_nanos(u64::from_be_bytes(answer[8..16].try_into().expect("eight bytes"))))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_is_the_request_with_another_type() {
        let request = echo_request(0x1234, 7, Duration::from_micros(99));
        let sum: u32 = request.chunks(2).map(|pair| u32::from(u16::from_be_bytes([pair[0], pair[1]]))).sum();
        assert_eq!((sum & 0xffff) + (sum >> 16), 0xffff, "the checksum makes the sum all ones");
        let mut packet = vec![0x45; 20];
        packet.extend(request);
        assert_eq!(sent_at(&packet, 0x1234), None, "a request is no answer");
        packet[20] = 0;
        assert_eq!(sent_at(&packet, 0x1234), Some(Duration::from_micros(99)));
        assert_eq!(sent_at(&packet, 0x4321), None, "somebody else's");
        assert_eq!(sent_at(&packet[..30], 0x1234), None);
    }
}
