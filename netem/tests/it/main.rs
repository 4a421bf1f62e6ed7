//! Real sockets through real relays.
//!
//! Delays are asserted from below only: nothing may be early, however busy the machine. That lateness is small is
//! measured by `trivet-netem probe`, not asserted here, except where a bound of seconds shows that something happened.
mod daemon;
mod spaces;
mod tcp;
mod udp;

use std::net::{Ipv4Addr, SocketAddr};
use std::time::{Duration, Instant};
use trivet_netem::{Config, LinkConfig, LinkSettings, OnCut, Relay, RouteConfig, Transport, Way};

/// Far longer than anything should take.
const PATIENCE: Duration = Duration::from_secs(20);

fn any_port() -> SocketAddr {
    (Ipv4Addr::LOCALHOST, 0).into()
}

fn milliseconds(count: u64) -> Duration {
    Duration::from_millis(count)
}

/// One link "A-B" with the same settings both ways, and one route from A to `target`.
fn config(transport: Transport, settings: LinkSettings, target: SocketAddr) -> Config {
    Config {
        seed: 1,
        links: vec![LinkConfig { name: "A-B".to_owned(), forward: settings.clone(), backward: settings }],
        routes: vec![RouteConfig {
            link: "A-B".to_owned(),
            way: Way::Forward,
            transport,
            listen: any_port(),
            target,
            on_cut: OnCut::Hold,
        }],
        ..Config::default()
    }
}

fn relay(transport: Transport, settings: LinkSettings, target: SocketAddr) -> (Relay, SocketAddr) {
    let relay = Relay::open(&config(transport, settings, target)).expect("loopback ports are free");
    let listen = relay.listen_address(0);
    (relay, listen)
}

/// Waits until `holds`, or panics after a bound.
fn eventually(what: &str, mut holds: impl FnMut() -> bool) {
    let begun = Instant::now();
    while !holds() {
        assert!(begun.elapsed() < PATIENCE, "{what} did not happen");
        std::thread::yield_now();
    }
}
