//! The gateway as a whole: where it listens, how many it lets in, how it stops.
//!
//! Two gates bound what strangers can hold: `starting` (sockets that have not sent a StartupMessage; over it a socket is
//! just closed) and `slots` (sessions; over it 53300). A CancelRequest needs no slot, so a full server can be relieved.
//! An error from accept, out of file descriptors as a rule, is waited out: the listener never ends by one.
use crate::authentication::{Authenticator, Scram};
use crate::cancel::CancelTable;
use crate::connection::serve_client;
use crate::frame::LARGE_MAX;
use crate::meters::{Meters, Totals};
use crate::opening::Arrival;
use crate::session::Engine;
use crate::tls::GatewayTls;
use bytes::Bytes;
use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use tokio::net::{TcpListener, UnixListener};
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use trivet_types::PgError;

#[derive(Clone, Debug)]
pub enum ListenAddress {
    Tcp(SocketAddr),
    /// A socket file; one that nobody listens on any more is replaced.
    Unix(PathBuf),
}

#[derive(Clone, Debug)]
pub struct GatewayConfig {
    /// Nothing else is listened on.
    pub listen: Vec<ListenAddress>,
    pub tls: Option<GatewayTls>,
    /// Refuse TCP connections that did not ask for TLS.
    pub tls_required: bool,
    /// Sessions at a time.
    pub connections_max: usize,
    /// From accept to the end of authentication.
    pub startup_timeout: Duration,
    /// From which the salts of roles that are not there are made. The same at every start, so that such a role keeps its
    /// salt as others do; drawn at the start if there is none.
    pub decoy_secret: Option<Bytes>,
    /// Longest Query, Parse, Bind or CopyData; at most a gigabyte.
    pub message_bytes_max: usize,
    /// How long a fast shutdown waits for statements to notice, and a last error for its reader.
    pub shutdown_grace: Duration,
}

impl Default for GatewayConfig {
    fn default() -> GatewayConfig {
        GatewayConfig {
            listen: Vec::new(),
            tls: None,
            tls_required: false,
            connections_max: 100,
            startup_timeout: Duration::from_secs(60),
            decoy_secret: None,
            message_bytes_max: LARGE_MAX,
            shutdown_grace: Duration::from_secs(10),
        }
    }
}

#[derive(Debug, thiserror::Error)]
pub enum ListenError {
    #[error("cannot listen on {address:?}")]
    Bind {
        address: ListenAddress,
        #[source]
        cause: io::Error,
    },
    #[error("cannot prepare authentication: {0}")]
    Authentication(Box<PgError>),
}

/// What connections share.
pub(crate) struct Server {
    pub config: GatewayConfig,
    pub engine: Arc<dyn Engine>,
    pub authenticator: Arc<dyn Authenticator>,
    pub scram: Scram,
    pub cancels: Arc<CancelTable>,
    pub slots: Arc<Semaphore>,
    pub meters: Arc<Meters>,
    /// No new sessions.
    pub closing: CancellationToken,
    /// Sessions end at their next rest. Comes with `closing`.
    pub drain: CancellationToken,
    /// Sessions end as soon as they can. Implies `closing`.
    pub stop: CancellationToken,
    /// Sessions end where they stand.
    pub kill: CancellationToken,
}

/// Where a listener ended up, with the port that the system chose for port 0.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum BoundAddress {
    Tcp(SocketAddr),
    Unix(PathBuf),
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ShutdownMode {
    /// Let every client finish its session.
    Smart,
    /// Tell clients (57P01) as soon as they have their answer and no transaction is open; after this long, fast.
    Graceful(Duration),
    /// Cancel what runs, tell every client (57P01), close.
    Fast,
}

/// How a shutdown went.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Drained {
    /// Connections that did not end in time and were cut.
    pub cut: usize,
}

/// A gateway that runs until its shutdown. Dropping the handle changes nothing.
pub struct GatewayHandle {
    server: Arc<Server>,
    addresses: Vec<BoundAddress>,
    connections: TaskTracker,
    listeners: TaskTracker,
}

/// Listen, and serve until `shutdown` is cancelled (which is a fast shutdown) or the handle is told to stop.
pub async fn serve(
    config: GatewayConfig,
    engine: Arc<dyn Engine>,
    authenticator: Arc<dyn Authenticator>,
    shutdown: CancellationToken,
) -> Result<GatewayHandle, ListenError> {
    let scram = Scram::new(config.decoy_secret.clone()).map_err(ListenError::Authentication)?;
    let mut listeners = Vec::new();
    let mut addresses = Vec::new();
    for address in &config.listen {
        let failed = |cause| ListenError::Bind { address: address.clone(), cause };
        let listener = Listener::bind(address).await.map_err(failed)?;
        addresses.push(listener.address().map_err(failed)?);
        listeners.push(listener);
    }
    let stop = shutdown.child_token();
    let server = Arc::new(Server {
        slots: Arc::new(Semaphore::new(config.connections_max.min(Semaphore::MAX_PERMITS))),
        config,
        engine,
        authenticator,
        scram,
        cancels: Arc::default(),
        meters: Arc::new(Meters::new()),
        closing: stop.child_token(),
        drain: CancellationToken::new(),
        stop,
        kill: CancellationToken::new(),
    });
    let starting_max = (server.config.connections_max * 2 + 64).min(Semaphore::MAX_PERMITS);
    let starting = Arc::new(Semaphore::new(starting_max));
    let handle = GatewayHandle { server, addresses, connections: TaskTracker::new(), listeners: TaskTracker::new() };
    for listener in listeners {
        let (server, connections) = (handle.server.clone(), handle.connections.clone());
        handle.listeners.spawn(listen(server, listener, connections, starting.clone()));
    }
    handle.listeners.close();
    Ok(handle)
}

impl GatewayHandle {
    pub fn addresses(&self) -> &[BoundAddress] {
        &self.addresses
    }

    /// The first TCP address.
    pub fn local_addr(&self) -> Option<SocketAddr> {
        self.addresses.iter().find_map(|address| match address {
            BoundAddress::Tcp(address) => Some(*address),
            BoundAddress::Unix(_) => None,
        })
    }

    pub fn totals(&self) -> Totals {
        self.server.meters.totals()
    }

    /// Stop listening, end every session as `mode` says, return when all are gone. Smart waits for as long as clients
    /// stay; graceful, for as long as it says; fast, also after the others, at most for the grace time before connections are cut.
    pub async fn shutdown(&self, mode: ShutdownMode) -> Drained {
        self.connections.close();
        self.server.closing.cancel();
        match mode {
            ShutdownMode::Smart => {}
            ShutdownMode::Graceful(_) => self.server.drain.cancel(),
            ShutdownMode::Fast => self.server.stop.cancel(),
        }
        self.listeners.wait().await;
        let grace = async {
            if let ShutdownMode::Graceful(within) = mode {
                let _ = tokio::time::timeout(within, self.server.stop.cancelled()).await;
                self.server.stop.cancel();
            }
            self.server.stop.cancelled().await;
            tokio::time::sleep(self.server.config.shutdown_grace).await;
        };
        tokio::select! {
            biased;
            () = self.connections.wait() => return Drained { cut: 0 },
            () = grace => {}
        }
        let cut = self.connections.len();
        tracing::warn!(cut, "connections outlived the grace time and are cut");
        self.server.kill.cancel();
        self.connections.wait().await;
        Drained { cut }
    }
}

enum Listener {
    Tcp(TcpListener),
    Unix(UnixListener, PathBuf),
}

impl Listener {
    async fn bind(address: &ListenAddress) -> io::Result<Listener> {
        match address {
            ListenAddress::Tcp(address) => Ok(Listener::Tcp(TcpListener::bind(address).await?)),
            ListenAddress::Unix(path) => Ok(Listener::Unix(bind_unix(path)?, path.clone())),
        }
    }

    fn address(&self) -> io::Result<BoundAddress> {
        match self {
            Listener::Tcp(listener) => Ok(BoundAddress::Tcp(listener.local_addr()?)),
            Listener::Unix(_, path) => Ok(BoundAddress::Unix(path.clone())),
        }
    }

    async fn accept(&self) -> io::Result<Arrival> {
        match self {
            Listener::Tcp(listener) => {
                let (stream, peer) = listener.accept().await?;
                stream.set_nodelay(true)?;
                socket2::SockRef::from(&stream).set_keepalive(true)?;
                Ok(Arrival::Tcp(stream, peer))
            }
            Listener::Unix(listener, _) => Ok(Arrival::Unix(listener.accept().await?.0)),
        }
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        if let Listener::Unix(_, path) = self {
            let _ = std::fs::remove_file(path);
        }
    }
}

/// A file that a dead server left behind refuses connections, and only then is it replaced.
fn bind_unix(path: &Path) -> io::Result<UnixListener> {
    match UnixListener::bind(path) {
        Err(error) if error.kind() == io::ErrorKind::AddrInUse => match std::os::unix::net::UnixStream::connect(path) {
            Err(refused) if refused.kind() == io::ErrorKind::ConnectionRefused => {
                std::fs::remove_file(path)?;
                UnixListener::bind(path)
            }
            _ => Err(error),
        },
        bound => bound,
    }
}

async fn listen(server: Arc<Server>, listener: Listener, connections: TaskTracker, starting: Arc<Semaphore>) {
    let mut backoff = Backoff::default();
    loop {
        let accepted = tokio::select! {
            biased;
            () = server.closing.cancelled() => return,
            accepted = listener.accept() => accepted,
        };
        match accepted {
            Ok(arrival) => {
                backoff = Backoff::default();
                match starting.clone().try_acquire_owned() {
                    Ok(place) => {
                        server.meters.accepted.add(1);
                        connections.spawn(serve_client(server.clone(), arrival, place));
                    }
                    Err(_) => server.meters.refused.add(1),
                }
            }
            Err(error) if is_the_clients(&error) => tracing::debug!(%error, "a client left before it was accepted"),
            Err(error) => {
                server.meters.accept_errors.add(1);
                let pause = backoff.next();
                tracing::warn!(%error, ?pause, "cannot accept a connection");
                tokio::select! {
                    () = server.closing.cancelled() => return,
                    () = tokio::time::sleep(pause) => {}
                }
            }
        }
    }
}

/// Errors that belong to one client and say nothing about the next one.
fn is_the_clients(error: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionAborted, ConnectionReset, Interrupted, InvalidInput, NotConnected};
    matches!(error.kind(), ConnectionAborted | ConnectionReset | Interrupted | InvalidInput | NotConnected)
}

/// 5 ms, doubled up to a second.
struct Backoff(Duration);

impl Default for Backoff {
    fn default() -> Backoff {
        Backoff(Duration::from_millis(5))
    }
}

impl Backoff {
    const MAX: Duration = Duration::from_secs(1);

    fn next(&mut self) -> Duration {
        let pause = self.0;
        self.0 = (pause * 2).min(Backoff::MAX);
        pause
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn accept_errors_are_waited_out() {
        let mut backoff = Backoff::default();
        let pauses: Vec<u128> = (0..10).map(|_| backoff.next().as_millis()).collect();
        assert_eq!(pauses, [5, 10, 20, 40, 80, 160, 320, 640, 1000, 1000]);
        let emfile = io::Error::from_raw_os_error(24);
        assert!(!is_the_clients(&emfile));
        assert!(is_the_clients(&io::ErrorKind::ConnectionAborted.into()));
    }
}
