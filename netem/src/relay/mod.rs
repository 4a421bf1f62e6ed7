//! The `relay` backend: user-space relays on loopback. No root, any number of links, one OS thread a route.
//!
//! ```text
//!   client --> listener --+                                        +--> target
//!                         |   offer(now, len) -> at      due at    |
//!                         +-->  link model  -->  delay queue  -----+
//!   client <-- listener <-+      (shared)       (of this thread)   +<-- flow socket / far connection
//! ```
//!
//! A thread sleeps in `ppoll` with a nanosecond timeout until a socket is readable, the next packet is due, or its
//! bell rings (settings changed, or stop). A runtime's timer would round every hop up to a millisecond; this one is
//! late by a scheduler wake-up, some tens of microseconds on an idle machine, and never early: a packet leaves only
//! when the clock has passed its time.
//!
//! Left out: ICMP (a dead target is a black hole, as a dead host is), and fragments (loopback has none).
mod bell;
mod delays;
mod pool;
mod tcp;
mod udp;
mod wait;

pub(crate) use bell::Bell;
pub(crate) use delays::Delays;
pub(crate) use pool::Pool;
pub(crate) use tcp::TcpRoute;
pub(crate) use wait::wait;

use crate::backend::{Backend, BackendKind};
use crate::clock::Clock;
use crate::config::{Config, ConfigError, RouteConfig, Transport};
use crate::control::{Change, ControlError, LinkStatus, PlaceStatus, RouteStatus};
use crate::handle::Control;
use crate::settings::{Direction, Way};
use crate::table::{Links, SharedLink};
use std::io;
use std::net::SocketAddr;
use std::num::NonZeroU64;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread::JoinHandle;

/// How late the kernel may wake a route's thread, beyond what it needs. Its default is 50 us.
const TIMER_SLACK: NonZeroU64 = NonZeroU64::new(1_000).expect("not zero");

/// Running relays. Dropping it ends them; every connection through them breaks.
#[derive(Debug)]
pub struct Relay {
    shared: Arc<RelayShared>,
    control: Control,
    threads: Vec<JoinHandle<()>>,
}

/// What a route's thread and the control side both see.
#[derive(Debug)]
struct RelayShared {
    links: Links,
    routes: Vec<RouteShared>,
}

#[derive(Debug)]
struct RouteShared {
    config: RouteConfig,
    /// With the real port.
    listen: SocketAddr,
    bell: Arc<Bell>,
    flows: Arc<AtomicUsize>,
}

/// What every route's thread is given.
pub(crate) struct RouteContext {
    pub clock: Clock,
    pub link: Arc<SharedLink>,
    pub way: Way,
    pub target: SocketAddr,
    pub bell: Arc<Bell>,
    pub flows: Arc<AtomicUsize>,
}

/// Why the relays could not start.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    #[error(transparent)]
    Config(#[from] ConfigError),
    #[error("cannot listen on {transport} {address}")]
    Listen { transport: &'static str, address: SocketAddr, source: io::Error },
    #[error("cannot start the thread of a route")]
    Thread(#[source] io::Error),
    #[error("cannot make an eventfd")]
    Bell(#[source] io::Error),
}

impl Relay {
    /// Binds every listener, then starts; when it returns, every route takes packets.
    pub fn open(config: &Config) -> Result<Relay, OpenError> {
        config.check()?;
        let clock = Clock::start();
        let links = Links::new(config.seed, &config.links);
        let mut routes = Vec::new();
        let mut runs: Vec<(String, Box<dyn FnOnce() + Send>)> = Vec::new();
        for route in &config.routes {
            let listen_error =
                |source| OpenError::Listen { transport: route.transport.name(), address: route.listen, source };
            let link = links.named(&route.link).expect("checked: every route has its link").clone();
            let bell = Arc::new(Bell::new().map_err(OpenError::Bell)?);
            link.ring_on_change(bell.clone());
            let flows = Arc::new(AtomicUsize::new(0));
            let context = RouteContext {
                clock,
                link,
                way: route.way,
                target: route.target,
                bell: bell.clone(),
                flows: flows.clone(),
            };
            let (listen, run): (SocketAddr, Box<dyn FnOnce() + Send>) = match route.transport {
                Transport::Udp => {
                    let relay = udp::UdpRoute::bind(context, route.listen).map_err(listen_error)?;
                    (relay.local_address().map_err(listen_error)?, Box::new(move || relay.run()))
                }
                Transport::Tcp => {
                    let relay = tcp::TcpRoute::bind(context, route.listen, route.on_cut).map_err(listen_error)?;
                    (relay.local_address().map_err(listen_error)?, Box::new(move || relay.run()))
                }
            };
            // Linux keeps 15 bytes of a thread's name.
            let name = format!("netem-{}-{}", route.transport.name(), listen.port());
            routes.push(RouteShared { config: route.clone(), listen, bell, flows });
            runs.push((name, run));
        }
        let shared = Arc::new(RelayShared { links, routes });
        let mut relay = Relay { control: Control::new(shared.clone()), shared, threads: Vec::new() };
        for (name, run) in runs {
            relay.threads.push(spawn_punctual(name, run).map_err(OpenError::Thread)?);
        }
        Ok(relay)
    }

    pub fn control(&self) -> &Control {
        &self.control
    }

    /// Where the clients of the `place`th route of the configuration send.
    pub fn listen_address(&self, place: usize) -> SocketAddr {
        self.shared.routes[place].listen
    }
}

/// A thread that the kernel wakes when it asked for it.
pub(crate) fn spawn_punctual(name: String, run: impl FnOnce() + Send + 'static) -> io::Result<JoinHandle<()>> {
    std::thread::Builder::new().name(name).spawn(move || {
        if let Err(error) = rustix::thread::set_current_timer_slack(Some(TIMER_SLACK)) {
            tracing::warn!(%error, "wake-ups will be some 50 us later: no timer slack");
        }
        run();
    })
}

impl Drop for Relay {
    fn drop(&mut self) {
        self.control.stop_playing();
        for route in &self.shared.routes {
            route.bell.stop();
        }
        for thread in self.threads.drain(..) {
            if thread.join().is_err() {
                tracing::error!("a relay's thread had panicked");
            }
        }
    }
}

impl Backend for RelayShared {
    fn kind(&self) -> BackendKind {
        BackendKind::Relay
    }

    fn change(&self, link: &str, direction: Direction, change: &Change) -> Result<(), ControlError> {
        self.links.named(link)?.change(direction, change);
        Ok(())
    }

    fn show(&self) -> Result<Vec<LinkStatus>, ControlError> {
        Ok(self.links.status(self.kind()))
    }

    fn places(&self) -> Vec<PlaceStatus> {
        Vec::new()
    }

    fn routes(&self) -> Vec<RouteStatus> {
        let status = |route: &RouteShared| RouteStatus {
            link: route.config.link.clone(),
            way: route.config.way,
            transport: route.config.transport.name().to_owned(),
            listen: route.listen,
            target: route.config.target,
            flows: route.flows.load(Ordering::Relaxed),
        };
        self.routes.iter().map(status).collect()
    }
}
