//! Every address of a testbed. Those of SQL and HTTP are on loopback; only the SQL ports are the user's choice.
//!
//! Where bytes go through relays, all are on loopback, and nodes reach each other through netem: for each of the six
//! lanes there is a relay address, which the sender's roster names in the place of the receiver's own. Where places have
//! networks of their own, nodes have addresses there; SQL and HTTP listen on the place's loopback device, and netem lets
//! the host in by the same ports of its own. Either way SQL and HTTP do not cross a link, so that an operator still
//! reaches a node that is cut off.
use crate::place::{Lane, Link, Place};
use anyhow::{Result, bail};
use rand::RngExt;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, HashSet};
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener, UdpSocket};
use trivet_netem::BackendKind;

/// Ports that the system gives to nobody by itself (`ip_local_port_range` begins at 32768 by default), so a port that
/// was found free is not taken by an outgoing connection before the node binds it.
const PORTS: std::ops::Range<u16> = 20_000..32_000;

#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Addresses {
    pub quic: BTreeMap<Place, SocketAddr>,
    pub http: BTreeMap<Place, SocketAddr>,
    pub sql: BTreeMap<Place, SocketAddr>,
    pub control: SocketAddr,
    /// "A-B": where A sends what is for B. Empty where places have networks of their own.
    pub relays: BTreeMap<String, SocketAddr>,
    /// Per link, a relay for measuring it and where that leads: `trivet` answers there while it measures. Empty likewise.
    pub probes: BTreeMap<String, (SocketAddr, SocketAddr)>,
}

impl Addresses {
    /// `sql`: the ports of A and B, or free ones.
    pub fn choose(sql: Option<[u16; 2]>, net: BackendKind) -> Result<Addresses> {
        let mut taken = HashSet::new();
        let mut free = || free_port(&mut taken).map(local);
        let mut every = |places: &[Place]| places.iter().map(|place| Ok((*place, free()?))).collect::<Result<_>>();
        let sql = match sql {
            Some(ports) => Place::REGIONS.into_iter().zip(ports.map(local)).collect(),
            None => every(&Place::REGIONS)?,
        };
        let (mut quic, http): (BTreeMap<Place, SocketAddr>, _) = (every(&Place::ALL)?, every(&Place::ALL)?);
        let links: &[Link] = if net.has_places() { &[] } else { &Link::ALL };
        if net.has_places() {
            quic.iter_mut().for_each(|(place, address)| address.set_ip(inside(*place).into()));
        }
        let lanes = links.iter().flat_map(|link| link.lanes());
        Ok(Addresses {
            sql,
            quic,
            http,
            relays: lanes.map(|lane| Ok((lane.to_string(), free()?))).collect::<Result<_>>()?,
            probes: links.iter().map(|link| Ok((link.name(), (free()?, free()?)))).collect::<Result<_>>()?,
            control: free()?,
        })
    }

    /// Where the node of one place reaches that of another.
    pub fn reached(&self, lane: Lane) -> SocketAddr {
        self.relays.get(&lane.to_string()).copied().unwrap_or(self.quic[&lane.to])
    }

    pub fn relay(&self, lane: Lane) -> SocketAddr {
        self.relays[&lane.to_string()]
    }

    /// Every SQL port can be bound now.
    pub fn check_sql_ports(&self) -> Result<()> {
        let mut seen = HashSet::new();
        for (place, address) in &self.sql {
            if !seen.insert(address.port()) {
                bail!("both regions were given port {}: they need one each", address.port());
            }
            if let Err(error) = TcpListener::bind(address) {
                bail!(
                    "port {} for region {place} cannot be used: {error}. Choose others with --ports, for example --ports {},{}",
                    address.port(),
                    address.port().saturating_add(1000),
                    address.port().saturating_add(1001),
                );
            }
        }
        Ok(())
    }
}

/// Of a place with a network of its own. Every testbed has the same: nobody outside sees them.
pub fn inside(place: Place) -> Ipv4Addr {
    Ipv4Addr::new(10, 83, 0, place.id())
}

fn local(port: u16) -> SocketAddr {
    SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), port)
}

/// A port that nobody has bound, neither for TCP nor for UDP, and that is not in `taken`.
fn free_port(taken: &mut HashSet<u16>) -> Result<u16> {
    for _ in 0..1000 {
        let port = rand::rng().random_range(PORTS);
        let address = local(port);
        if taken.contains(&port) || TcpListener::bind(address).is_err() || UdpSocket::bind(address).is_err() {
            continue;
        }
        taken.insert(port);
        return Ok(port);
    }
    bail!("found no free port in {}..{}", PORTS.start, PORTS.end)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_addresses_differ() {
        let addresses = Addresses::choose(None, BackendKind::Relay).expect("ports are free");
        let mut all: Vec<SocketAddr> = Vec::new();
        all.extend(addresses.quic.values().chain(addresses.http.values()).chain(addresses.sql.values()));
        all.extend(addresses.relays.values());
        all.extend(addresses.probes.values().flat_map(|(relay, echo)| [relay, echo]));
        all.push(addresses.control);
        let count = all.len();
        assert_eq!(count, 3 + 3 + 2 + 6 + 6 + 1);
        assert_eq!(all.into_iter().collect::<HashSet<_>>().len(), count);
    }

    #[test]
    fn places_with_networks_of_their_own_need_no_relays() {
        let addresses = Addresses::choose(None, BackendKind::Tun).expect("ports are free");
        let lane = Lane { from: Place::A, to: Place::B };
        assert_eq!(addresses.reached(lane), addresses.quic[&Place::B]);
        assert_eq!(addresses.reached(lane).ip().to_string(), "10.83.0.2");
        assert!(addresses.relays.is_empty() && addresses.probes.is_empty());
        assert!(addresses.http[&Place::W].ip().is_loopback());
    }

    #[test]
    fn a_port_in_use_is_named() {
        let holder = TcpListener::bind(local(0)).expect("a port");
        let port = holder.local_addr().expect("bound").port();
        let refused = Addresses::choose(Some([port, port - 1]), BackendKind::Relay).expect("chosen").check_sql_ports();
        let message = refused.expect_err("it is in use").to_string();
        assert!(message.contains(&format!("port {port} for region A")) && message.contains("--ports"), "{message}");
        let same = Addresses::choose(Some([port, port]), BackendKind::Relay).expect("chosen");
        drop(holder);
        assert!(same.check_sql_ports().is_err());
    }
}
