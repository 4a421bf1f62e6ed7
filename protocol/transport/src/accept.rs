//! Incoming connections: who is it, is it one of us, then its streams.
use crate::blocks::StreamDecoder;
use crate::dial::explain;
use crate::frame::{CLASSES, FrameError, PREFACE_LENGTH, class_name, class_number, read_preface};
use crate::hello::{HELLO_LENGTH, Hello, HelloError, Welcome};
use crate::link::{Peer, Received, Refused};
use crate::report::Trouble;
use crate::tls::named_node;
use crate::transport::Shared;
use quinn::{Connection, ConnectionError, Endpoint, Incoming, RecvStream, VarInt};
use std::sync::Arc;
use tokio::sync::Semaphore;

/// Application close codes, for those who read packet traces; the reason says the rest.
const CODE_REFUSED: VarInt = VarInt::from_u32(1);
const CODE_FRAME: VarInt = VarInt::from_u32(2);
const CODE_REPLACED: VarInt = VarInt::from_u32(3);

#[derive(Debug, thiserror::Error)]
enum KnockError {
    #[error("{}", explain(.0))]
    Connection(#[from] ConnectionError),
    #[error("no complete handshake in time")]
    Deadline,
    #[error("its certificate names no other node of this cluster: is it in the [[roster]] here, under that id?")]
    Stranger,
    #[error("{0}")]
    Hello(#[from] HelloError),
    #[error("its first words could not be read: {0}")]
    Read(String),
    #[error("it says that it is node {claimed}, and its certificate says node {certified}")]
    Claim { claimed: u8, certified: u8 },
    #[error("it wants node {wanted}, this is node {me}: check the addresses in the roster")]
    WrongDoor { wanted: u8, me: u8 },
    #[error("it belongs to cluster {0:032x}")]
    Cluster(u128),
    #[error("{0}: compare the [[roster]] in both configurations")]
    Roster(String),
}

/// Why a stream, and with it its connection, was closed.
#[derive(Debug, thiserror::Error)]
enum StreamError {
    #[error("{0}")]
    Frame(#[from] FrameError),
    #[error("{0}")]
    Refused(String),
    /// The connection ended, or the peer finished the stream: nobody's mistake.
    #[error("the stream ended")]
    Ended,
}

pub(crate) async fn accept_all(shared: Arc<Shared>, endpoint: Endpoint) {
    let max = shared.limits.handshakes_max;
    let free = Arc::new(Semaphore::new(max));
    while let Some(incoming) = endpoint.accept().await {
        if free.available_permits() <= max / 2 && !incoming.remote_address_validated() && incoming.may_retry() {
            // Busy, maybe flooded: only those who can hear us may take a place.
            let _ = incoming.retry();
            continue;
        }
        let Ok(place) = free.clone().try_acquire_owned() else {
            incoming.ignore();
            continue;
        };
        let spawner = shared.clone();
        let shared = shared.clone();
        spawner.spawn(async move {
            let from = incoming.remote_address();
            let deadline = shared.patience.handshake_deadline;
            let outcome = tokio::time::timeout(deadline, greet(&shared, incoming)).await;
            drop(place);
            let error = match outcome {
                Ok(Ok((peer, connection))) => return serve(shared, peer, connection).await,
                // A dialler gives up the slower of two dials: that is not news.
                Ok(Err(KnockError::Connection(ConnectionError::ApplicationClosed(_)))) => return,
                Ok(Err(error)) => error,
                Err(_) => KnockError::Deadline,
            };
            shared.reporter.warn(Trouble::Knock, None, format_args!("refused a connection from {from}: {error}"));
        });
    }
}

/// Handshake, name, first words. On an error the connection is closed with it as the reason.
async fn greet(shared: &Shared, incoming: Incoming) -> Result<(Arc<Peer>, Connection), KnockError> {
    let connection = incoming.accept()?.await?;
    match admit(shared, &connection).await {
        Ok(peer) => Ok((peer, connection)),
        Err(error) => {
            connection.close(CODE_REFUSED, error.to_string().as_bytes());
            Err(error)
        }
    }
}

async fn admit(shared: &Shared, connection: &Connection) -> Result<Arc<Peer>, KnockError> {
    let node = named_node(connection.peer_identity(), shared.peers.keys().copied(), shared.cluster);
    let peer = node.and_then(|node| shared.peers.get(&node)).ok_or(KnockError::Stranger)?;
    let (mut send, mut receive) = connection.accept_bi().await?;
    let mut hello = [0; HELLO_LENGTH];
    receive.read_exact(&mut hello).await.map_err(|error| KnockError::Read(error.to_string()))?;
    let hello = Hello::decode(&hello)?;
    if hello.cluster != shared.cluster {
        return Err(KnockError::Cluster(hello.cluster.0));
    }
    if hello.from != peer.node {
        return Err(KnockError::Claim { claimed: hello.from.0, certified: peer.node.0 });
    }
    if hello.to != shared.me {
        return Err(KnockError::WrongDoor { wanted: hello.to.0, me: shared.me.0 });
    }
    if let Some(difference) = shared.roster.difference(&hello.roster) {
        return Err(KnockError::Roster(difference));
    }
    let welcome = Welcome { frame_max: u32::try_from(shared.limits.frame_max).expect("checked at start") };
    send.write_all(&welcome.encode()).await.map_err(|error| KnockError::Read(error.to_string()))?;
    let _ = send.finish(); // fails only if the connection is gone, which the next step finds
    Ok(peer.clone())
}

/// Reads the peer's streams until the connection ends.
async fn serve(shared: Arc<Shared>, peer: Arc<Peer>, connection: Connection) {
    remember(&shared, &peer, &connection);
    // It reaches us: so we probably reach it.
    peer.nudge.notify_one();
    while let Ok(stream) = connection.accept_uni().await {
        let spawner = &shared;
        let (shared, peer, connection) = (shared.clone(), peer.clone(), connection.clone());
        spawner.spawn(async move {
            let Err(error) = read_stream(&shared, &peer, stream).await else { return };
            if connection.close_reason().is_some() || matches!(error, StreamError::Ended) {
                return;
            }
            connection.close(CODE_FRAME, error.to_string().as_bytes());
            shared.reporter.warn(
                Trouble::Frame,
                Some(peer.node),
                format_args!("closed the connection from node {}: {error}", peer.node.0),
            );
        });
    }
    peer.incoming.lock().retain(|other| other.stable_id() != connection.stable_id());
}

/// The dialler decides which of its connections lives; this only bounds how many a confused one may hold.
fn remember(shared: &Shared, peer: &Peer, connection: &Connection) {
    let mut incoming = peer.incoming.lock();
    incoming.push_back(connection.clone());
    while incoming.len() > shared.limits.connections_per_peer_max {
        if let Some(oldest) = incoming.pop_front() {
            oldest.close(CODE_REPLACED, b"too many connections from this node");
        }
    }
}

async fn read_stream(shared: &Shared, peer: &Peer, mut stream: RecvStream) -> Result<(), StreamError> {
    let mut preface = [0; PREFACE_LENGTH];
    stream.read_exact(&mut preface).await.map_err(|_| StreamError::Ended)?;
    let class = read_preface(&preface)?;
    tracing::trace!(peer = peer.node.0, class = class_name(class), "stream");
    let received_bytes = &peer.received_bytes[class_number(class)];
    debug_assert!(CLASSES.contains(&class));
    let mut decoder = StreamDecoder::new(class, shared.limits.frame_max);
    loop {
        let chunk = stream.read_chunk(usize::MAX, true).await.map_err(|_| StreamError::Ended)?;
        let Some(chunk) = chunk else { return Ok(()) };
        received_bytes.increment(chunk.bytes.len() as u64);
        let mut rest = &chunk.bytes[..];
        while let Some(frame) = decoder.next(&mut rest)? {
            let permit = peer.admit(class, frame.len()).await;
            let received = Received { from: peer.node, class, frame, _permit: permit };
            shared.sink.received(received).map_err(|Refused(reason)| StreamError::Refused(reason))?;
        }
    }
}
