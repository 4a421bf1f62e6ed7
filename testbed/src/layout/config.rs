//! The configuration files that nodes and netem are started with.
use super::Directory;
use super::addresses::{Addresses, inside};
use super::certificates::{AUTHORITY, NODE_CERTIFICATE, NODE_KEY, SERVER_CERTIFICATE, SERVER_KEY};
use super::password::Password;
use crate::place::{Lane, Link, Place};
use crate::sql::USER;
use anyhow::{Context, Result};
use clap::ValueEnum;
use serde::{Deserialize, Serialize};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use trivet_netem::config::{
    Config as NetemConfig, EntryConfig, LinkConfig, OnCut, PlaceConfig, RouteConfig, Transport,
};
use trivet_netem::settings::Way;
use trivet_netem::{BackendKind, Distances};

/// How clients show who they are.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Auth {
    /// Whoever connects is believed: everything listens on loopback only
    #[default]
    Trust,
    /// A password, over TLS if the client likes
    Scram,
}

/// What only tests turn on.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct Testing {
    /// A killed process loses exactly what it had not synced, as a machine that loses power does.
    pub volatile_files: bool,
    /// Sabotage: say that things are on disk when they are not.
    pub skip_fsync: bool,
    /// Sabotage: serve reads without a lease.
    pub lease_unchecked: bool,
}

/// A rule that a private testbed's nodes are told to break, so that one sees a drill notice it.
#[derive(Clone, Copy, PartialEq, Eq, Debug, ValueEnum)]
pub enum Sabotage {
    SkipFsync,
    LeaseUnchecked,
}

impl Testing {
    pub fn sabotaged(mut self, sabotage: Option<Sabotage>) -> Testing {
        match sabotage {
            Some(Sabotage::SkipFsync) => self.skip_fsync = true,
            Some(Sabotage::LeaseUnchecked) => self.lease_unchecked = true,
            None => {}
        }
        self
    }
}

#[derive(Serialize)]
struct NodeFile {
    node: Node,
    roster: Vec<RosterEntry>,
    listen: Listen,
    tls: Tls,
    testing: Testing,
    #[serde(skip_serializing_if = "Option::is_none")]
    sql: Option<Sql>,
}

#[derive(Serialize)]
struct Node {
    name: String,
    id: u8,
    data_dir: PathBuf,
    cluster_id: String,
}

/// `address` is where *this* node reaches the other.
#[derive(Serialize)]
struct RosterEntry {
    name: String,
    id: u8,
    kind: String,
    address: String,
}

#[derive(Serialize)]
struct Listen {
    quic: String,
    http: String,
}

#[derive(Serialize)]
struct Tls {
    ca: PathBuf,
    certificate: PathBuf,
    key: PathBuf,
}

#[derive(Serialize)]
struct Sql {
    listen: String,
    auth: Auth,
    certificate: Option<PathBuf>,
    key: Option<PathBuf>,
    users: Vec<User>,
}

#[derive(Serialize)]
struct User {
    name: String,
    verifier: String,
}

impl Sql {
    /// With a password come certificates.
    fn new(listen: String, folder: &Path, password: Option<Password>) -> Sql {
        let users = password.map(|password| User { name: USER.into(), verifier: password.verifier() });
        Sql {
            listen,
            auth: if password.is_some() { Auth::Scram } else { Auth::Trust },
            certificate: password.map(|_| folder.join(SERVER_CERTIFICATE)),
            key: password.map(|_| folder.join(SERVER_KEY)),
            users: users.into_iter().collect(),
        }
    }
}

pub fn node_toml(
    place: Place,
    directory: &Directory,
    cluster: u128,
    addresses: &Addresses,
    testing: Testing,
    password: Option<Password>,
) -> String {
    let folder = directory.node(place);
    let reached_at = |other: Place| match other == place {
        true => addresses.quic[&place],
        false => addresses.reached(Lane { from: place, to: other }),
    };
    let file = NodeFile {
        node: Node {
            name: place.name().into(),
            id: place.id(),
            data_dir: directory.data(place),
            cluster_id: format!("{cluster:032x}"),
        },
        roster: Place::ALL
            .into_iter()
            .map(|other| RosterEntry {
                name: other.name().into(),
                id: other.id(),
                kind: other.kind().into(),
                address: reached_at(other).to_string(),
            })
            .collect(),
        listen: Listen { quic: addresses.quic[&place].to_string(), http: addresses.http[&place].to_string() },
        tls: Tls {
            ca: directory.root().join(AUTHORITY),
            certificate: folder.join(NODE_CERTIFICATE),
            key: folder.join(NODE_KEY),
        },
        testing,
        sql: addresses.sql.get(&place).map(|listen| Sql::new(listen.to_string(), &folder, password)),
    };
    toml::to_string(&file).expect("a node's configuration has only string keys")
}

pub fn netem_config(addresses: &Addresses, distances: &Distances, backend: BackendKind) -> NetemConfig {
    let links = Link::ALL.iter().map(|link| {
        let name = link.name();
        LinkConfig::new(&name, distances.of(&name).expect("distances are read for all links"))
    });
    let config =
        NetemConfig { seed: rand::random::<u32>().into(), backend, links: links.collect(), ..NetemConfig::default() };
    if backend.has_places() {
        let place = |place: Place| PlaceConfig { name: place.name().into(), address: inside(place) };
        return NetemConfig { places: Place::ALL.map(place).to_vec(), entries: entries(addresses), ..config };
    }
    NetemConfig { routes: routes(addresses), ..config }
}

/// The host reaches SQL and HTTP by its own ports; another place reaches SQL by the region's address.
fn entries(addresses: &Addresses) -> Vec<EntryConfig> {
    let entry = |place: Place, listen: SocketAddr, inside: bool, target: SocketAddr| EntryConfig {
        place: place.name().into(),
        listen,
        inside,
        target,
    };
    let host =
        addresses.sql.iter().chain(&addresses.http).map(|(place, address)| entry(*place, *address, false, *address));
    let places = addresses.sql.iter().map(|(place, address)| {
        let listen = SocketAddr::new(inside(*place).into(), address.port());
        entry(*place, listen, true, *address)
    });
    host.chain(places).collect()
}

fn routes(addresses: &Addresses) -> Vec<RouteConfig> {
    let mut routes = Vec::new();
    let mut route = |link: Link, way, listen, target| {
        let transport = Transport::Udp;
        routes.push(RouteConfig { link: link.name(), way, transport, listen, target, on_cut: OnCut::default() });
    };
    for link in Link::ALL {
        let (there, back) = (link.forward(), link.forward().reverse());
        route(link, Way::Forward, addresses.relay(there), addresses.quic[&there.to]);
        route(link, Way::Backward, addresses.relay(back), addresses.quic[&back.to]);
        let (relay, echo) = addresses.probes[&link.name()];
        route(link, Way::Forward, relay, echo);
    }
    routes
}

/// Writes all of them.
pub fn write(
    directory: &Directory,
    cluster: u128,
    addresses: &Addresses,
    network: (&Distances, BackendKind),
    testing: Testing,
    password: Option<Password>,
) -> Result<()> {
    let put = |path: PathBuf, text: String| {
        std::fs::write(&path, text).with_context(|| format!("cannot write {}", path.display()))
    };
    for place in Place::ALL {
        put(directory.config(place), node_toml(place, directory, cluster, addresses, testing, password))?;
    }
    put(directory.netem_config(), netem_config(addresses, network.0, network.1).to_toml())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::distances;

    fn sample() -> (Directory, Addresses) {
        let directory = Directory::at("/srv/testbed".as_ref()).expect("a path");
        (directory, Addresses::choose(None, BackendKind::Relay).expect("ports are free"))
    }

    #[test]
    fn a_node_reaches_itself_directly_and_the_others_through_relays() {
        let (directory, addresses) = sample();
        for place in Place::ALL {
            let text = node_toml(place, &directory, 0xabc, &addresses, Testing::default(), None);
            let file: toml::Table = toml::from_str(&text).expect("it reads");
            let roster = file["roster"].as_array().expect("a list");
            for (other, entry) in Place::ALL.into_iter().zip(roster) {
                assert_eq!(entry["name"].as_str(), Some(other.name()));
                assert_eq!(entry["id"].as_integer(), Some(other.id().into()));
                assert_eq!(entry["kind"].as_str(), Some(other.kind()));
                let expected = match other == place {
                    true => addresses.quic[&place],
                    false => addresses.relays[&format!("{place}-{other}")],
                };
                assert_eq!(entry["address"].as_str(), Some(expected.to_string().as_str()));
            }
            assert_eq!(file["node"]["cluster_id"].as_str(), Some("00000000000000000000000000000abc"));
            assert_eq!(file.contains_key("sql"), place.is_region(), "only regions speak SQL");
            assert_eq!(file["testing"]["skip_fsync"].as_bool(), Some(false));
        }
    }

    #[test]
    fn a_password_comes_with_certificates() {
        let (directory, addresses) = sample();
        let password = Some(Password::draw());
        let text = node_toml(Place::B, &directory, 1, &addresses, Testing::default(), password);
        let file: toml::Table = toml::from_str(&text).expect("it reads");
        assert_eq!(file["sql"]["auth"].as_str(), Some("scram"));
        assert_eq!(file["sql"]["certificate"].as_str(), Some("/srv/testbed/B/server.pem"));
        assert!(file["sql"]["users"][0]["verifier"].as_str().expect("text").starts_with("SCRAM-SHA-256$4096:"));
        assert!(!text.contains(password.expect("drawn").text()), "the password itself is not there");
    }

    #[test]
    fn sabotage_is_written_down() {
        let (directory, addresses) = sample();
        let testing = Testing { volatile_files: true, ..Testing::default() }.sabotaged(Some(Sabotage::SkipFsync));
        let text = node_toml(Place::A, &directory, 1, &addresses, testing, None);
        let file: toml::Table = toml::from_str(&text).expect("it reads");
        let read = |name: &str| file["testing"][name].as_bool();
        assert_eq!(read("volatile_files"), Some(true));
        assert_eq!(read("skip_fsync"), Some(true));
        assert_eq!(read("lease_unchecked"), Some(false));
    }

    #[test]
    fn every_lane_has_a_route_over_its_link() {
        let (_, addresses) = sample();
        let config = netem_config(&addresses, &distances::parse("us").expect("distances"), BackendKind::Relay);
        config.check().expect("consistent");
        for lane in Link::ALL.iter().flat_map(|link| link.lanes()) {
            let route = config.routes.iter().find(|route| route.listen == addresses.relay(lane)).expect("a route");
            assert_eq!(route.target, addresses.quic[&lane.to]);
            assert_eq!(route.link, lane.link().name());
            assert_eq!(trivet_netem::Direction::from(route.way), lane.direction());
        }
        let delays = config.links.iter().map(|link| link.forward.delay.as_micros());
        assert_eq!(delays.collect::<Vec<_>>(), [33_000, 6_500, 26_000]);
    }

    #[test]
    fn places_with_networks_of_their_own_have_entries() {
        let directory = Directory::at("/srv/testbed".as_ref()).expect("a path");
        let addresses = Addresses::choose(None, BackendKind::Tun).expect("ports are free");
        let config = netem_config(&addresses, &distances::default(), BackendKind::Tun);
        config.check().expect("consistent");
        // SQL and HTTP from the host, SQL from other places.
        assert_eq!(config.entries.len(), 2 + 3 + 2);
        let text = node_toml(Place::A, &directory, 1, &addresses, Testing::default(), None);
        let file: toml::Table = toml::from_str(&text).expect("it reads");
        let port = addresses.quic[&Place::B].port();
        assert_eq!(file["roster"][1]["address"].as_str(), Some(format!("10.83.0.2:{port}").as_str()));
        assert!(file["sql"]["listen"].as_str().expect("text").starts_with("127.0.0.1:"));
    }
}
