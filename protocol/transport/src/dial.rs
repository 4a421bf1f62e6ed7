//! Keeps one outgoing connection to one peer.
//!
//! A lost packet of a handshake is repeated after ever longer waits, so a single patient dial to a peer that was cut
//! off comes back long after the cut has healed. Here dials overlap instead: one starts every `redial_after`, each may
//! take `handshake_deadline`, the first that is welcomed wins. The same is done beside a connection that has gone
//! silent, for the same reason: its own probes are spaced ever wider. After a heal the peer is back within
//! `redial_after` and two round trips, whatever the cut's length.
use crate::frame::{CLASSES, class_number, class_priority, preface};
use crate::hello::{Hello, WELCOME_LENGTH, Welcome};
use crate::lanes::Lanes;
use crate::link::{LinkEvent, Outgoing, Peer};
use crate::report::Trouble;
use crate::transport::{Shared, Stopping};
use quinn::{Connection, ConnectionError, Endpoint, SendStream, VarInt};
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};
use tokio::task::JoinSet;

/// Less than half of `connections_per_peer_max`: after a heal all of them may be accepted at once, and the one that wins
/// must not be crowded out by those that lose.
const DIALS_AT_ONCE_MAX: usize = 16;
const RETIREMENT: Duration = Duration::from_secs(1);
/// After this long without a connection the peer is dialled less often.
const LONG_AWAY: Duration = Duration::from_secs(60);
const LOOK_EVERY: Duration = Duration::from_millis(50);

/// A welcomed connection with its streams open, in the order of [`CLASSES`].
struct Dialled {
    connection: Connection,
    streams: [SendStream; 4],
    /// What both sides agree to.
    frame_max: usize,
}

#[derive(Debug, thiserror::Error)]
enum DialError {
    #[error("its address cannot be looked up: {0}")]
    Resolve(std::io::Error),
    #[error("its address names no host")]
    NoAddress,
    #[error("{0}")]
    Connect(#[from] quinn::ConnectError),
    #[error("{0}")]
    Connection(String),
    #[error("{0}")]
    Hello(#[from] crate::hello::HelloError),
    #[error("no answer")]
    Deadline,
}

impl From<ConnectionError> for DialError {
    fn from(error: ConnectionError) -> DialError {
        DialError::Connection(explain(&error))
    }
}

/// The current connection, and when it last was heard.
struct Current {
    connection: Connection,
    datagrams: u64,
    heard: Instant,
}

impl Current {
    fn look(&mut self, now: Instant) {
        let datagrams = self.connection.stats().udp_rx.datagrams;
        if datagrams != self.datagrams {
            (self.datagrams, self.heard) = (datagrams, now);
        }
    }

    fn silent(&self, now: Instant, silent_after: Duration) -> bool {
        now.saturating_duration_since(self.heard) > silent_after.max(3 * self.connection.rtt())
    }
}

pub(crate) async fn keep_connected(shared: Arc<Shared>, endpoint: Endpoint, peer: Arc<Peer>) {
    let mut stopping = shared.stopping.clone();
    let mut current: Option<Current> = None;
    let mut dials: JoinSet<Result<Dialled, DialError>> = JoinSet::new();
    let mut last_dial: Option<Instant> = None;
    let mut away_since = Instant::now();
    let mut look = tokio::time::interval(LOOK_EVERY);
    look.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            _ = stopping.wait_for(|stopping| *stopping != Stopping::No) => return,
            Some(dialled) = dials.join_next() => match dialled {
                Ok(Ok(dialled)) => {
                    dials.abort_all();
                    let connection = install(&shared, &peer, dialled);
                    let datagrams = connection.stats().udp_rx.datagrams;
                    current = Some(Current { connection, datagrams, heard: Instant::now() });
                }
                Ok(Err(error)) => complain(&shared, &peer, &error),
                Err(_) => {} // aborted: another dial won
            },
            error = ended(&current) => {
                remove(&shared, &peer, &error);
                (current, away_since, last_dial) = (None, Instant::now(), None);
            }
            () = peer.nudge.notified() => {
                away_since = Instant::now();
                last_dial = last_dial.filter(|at| at.elapsed() < shared.patience.redial_after / 2);
            }
            _ = look.tick() => {}
        }
        let now = Instant::now();
        if let Some(current) = &mut current {
            current.look(now);
            if !current.silent(now, shared.patience.silent_after) {
                dials.abort_all();
                away_since = now;
                continue;
            }
        }
        let wait = match now.saturating_duration_since(away_since) < LONG_AWAY {
            true => shared.patience.redial_after,
            false => shared.patience.redial_after_long,
        };
        let due = last_dial.is_none_or(|at| now.saturating_duration_since(at) >= wait);
        if due && dials.len() < DIALS_AT_ONCE_MAX {
            last_dial = Some(now);
            dials.spawn(dial(shared.clone(), endpoint.clone(), peer.clone()));
        }
    }
}

/// Waits for the current connection's end; for ever if there is none.
async fn ended(current: &Option<Current>) -> ConnectionError {
    match current {
        Some(current) => current.connection.closed().await,
        None => std::future::pending().await,
    }
}

async fn dial(shared: Arc<Shared>, endpoint: Endpoint, peer: Arc<Peer>) -> Result<Dialled, DialError> {
    let deadline = shared.patience.handshake_deadline;
    match tokio::time::timeout(deadline, connect(&shared, &endpoint, &peer)).await {
        Ok(result) => result,
        Err(_) => Err(DialError::Deadline),
    }
}

async fn connect(shared: &Shared, endpoint: &Endpoint, peer: &Peer) -> Result<Dialled, DialError> {
    let address = peer.address.lock().clone();
    let address = resolve(&address).await?;
    // rustls checks the certificate's name against server_name: the peer is the node that we mean (N1).
    let connection = endpoint.connect_with(shared.client(), address, &peer.server_name)?.await?;
    match greet(shared, peer, &connection).await {
        Ok(dialled) => Ok(dialled),
        // If it was closed with a reason, that reason says more than the failure that we saw first.
        Err(error) => Err(connection.close_reason().map_or(error, DialError::from)),
    }
}

/// Exchanges first words, then opens one stream a class.
async fn greet(shared: &Shared, peer: &Peer, connection: &Connection) -> Result<Dialled, DialError> {
    let frame_max = u32::try_from(shared.limits.frame_max).expect("checked at start");
    let hello = Hello { from: shared.me, to: peer.node, cluster: shared.cluster, roster: shared.roster, frame_max };
    let (mut send, mut receive) = connection.open_bi().await?;
    let other = |error: &dyn std::fmt::Display| DialError::Connection(error.to_string());
    send.write_all(&hello.encode()).await.map_err(|error| other(&error))?;
    send.finish().map_err(|error| other(&error))?;
    let mut welcome = [0; WELCOME_LENGTH];
    receive.read_exact(&mut welcome).await.map_err(|error| other(&error))?;
    let welcome = Welcome::decode(&welcome)?;

    let mut streams = Vec::with_capacity(CLASSES.len());
    for class in CLASSES {
        let mut stream = connection.open_uni().await?;
        stream.set_priority(class_priority(class)).map_err(|error| other(&error))?;
        stream.write_all(&preface(class)).await.map_err(|error| other(&error))?;
        streams.push(stream);
    }
    Ok(Dialled {
        connection: connection.clone(),
        streams: streams.try_into().unwrap_or_else(|_| unreachable!("one stream a class")),
        frame_max: frame_max.min(welcome.frame_max) as usize,
    })
}

async fn resolve(address: &str) -> Result<SocketAddr, DialError> {
    if let Ok(address) = address.parse() {
        return Ok(address);
    }
    tokio::net::lookup_host(address).await.map_err(DialError::Resolve)?.next().ok_or(DialError::NoAddress)
}

/// Makes it the one that `send` uses, in place of an older one.
fn install(shared: &Arc<Shared>, peer: &Peer, dialled: Dialled) -> Connection {
    let Dialled { connection, streams, frame_max } = dialled;
    let (lanes, readers) = Lanes::open(&shared.limits, frame_max);
    let writers = CLASSES.into_iter().zip(streams).zip(readers).map(|((class, stream), reader)| {
        shared.spawn(reader.write_to(stream, peer.sent_bytes[class_number(class)].clone()))
    });
    let writers: Vec<_> = writers.collect();
    let writers = writers.try_into().unwrap_or_else(|_| unreachable!("one writer a class"));
    let outgoing = Outgoing { connection: connection.clone(), lanes: Arc::new(lanes), writers };
    let replaced = peer.outgoing.lock().replace(outgoing);
    if let Some(old) = replaced {
        tokio::spawn(retire(old));
    }
    *peer.trouble.lock() = None;
    peer.connections_made.fetch_add(1, Ordering::Relaxed);
    peer.connects.increment(1);
    tracing::info!(
        peer = peer.node.0,
        address = %connection.remote_address(),
        rtt_ms = connection.rtt().as_secs_f64() * 1e3,
        "connected"
    );
    shared.sink.event(LinkEvent::Connected(peer.node));
    connection
}

/// A connection that was silent may have been slow only: what it accepted may still arrive, for a while.
async fn retire(old: Outgoing) {
    let Outgoing { connection, lanes, writers } = old;
    drop(lanes);
    let all = async {
        for writer in writers {
            let _ = writer.await; // it cannot panic, and if it did there is nothing to wait for
        }
    };
    let _ = tokio::time::timeout(RETIREMENT, all).await;
    connection.close(VarInt::from_u32(0), b"replaced by a newer connection");
}

fn complain(shared: &Shared, peer: &Peer, error: &DialError) {
    let address = peer.address.lock().clone();
    shared.reporter.warn(
        Trouble::Dial,
        Some(peer.node),
        format_args!("no connection to node {} at {address}: {error}", peer.node.0),
    );
    *peer.trouble.lock() = Some(error.to_string());
}

fn remove(shared: &Shared, peer: &Peer, error: &ConnectionError) {
    *peer.outgoing.lock() = None;
    let reason = explain(error);
    shared.reporter.warn(
        Trouble::Dial,
        Some(peer.node),
        format_args!("the connection to node {} ended: {reason}", peer.node.0),
    );
    *peer.trouble.lock() = Some(reason);
    shared.sink.event(LinkEvent::Disconnected(peer.node));
}

/// The causes that an operator can act on, in their words.
pub(crate) fn explain(error: &ConnectionError) -> String {
    let text = error.to_string();
    // What this side found wrong with the other.
    let ours = [
        ("UnknownIssuer", "its certificate is not signed by this cluster's authority"),
        ("BadSignature", "its certificate is not signed by this cluster's authority"),
        ("not valid for name", "its certificate names another node or another cluster"),
        ("NotValidForName", "its certificate names another node or another cluster"),
        ("xpired", "its certificate has expired"),
        ("NotValidYet", "its certificate is not valid yet: compare the clocks"),
        ("not valid yet", "its certificate is not valid yet: compare the clocks"),
        ("no application protocol", "it does not speak this protocol"),
        ("NoCertificatesPresented", "it showed no certificate"),
    ];
    let known = |part: &str| text.contains(part);
    match error {
        ConnectionError::TimedOut => "nothing heard for too long".to_owned(),
        ConnectionError::ApplicationClosed(close) => {
            format!("it closed the connection: {}", String::from_utf8_lossy(&close.reason))
        }
        ConnectionError::ConnectionClosed(_) if known("ertificate") || known("UnknownCA") || known("DecryptError") => {
            format!("it does not accept this node's certificate ({text})")
        }
        ConnectionError::TransportError(_) => match ours.iter().find(|(part, _)| known(part)) {
            Some((_, sentence)) => format!("{sentence} ({text})"),
            None => text,
        },
        _ => text,
    }
}
