//! Frames between the nodes of one cluster, over QUIC.
//!
//! One connection a direction: each node dials every other and sends on what it dialled, so that a sender alone
//! decides when to dial again, and nobody has to agree on which of two connections is the one.
//!
//! ```text
//!   node 1                                            node 2
//!     send(2, Urgent, frame)
//!       lane --> stream, priority 3 \
//!     send(2, Proposal, frame)       \
//!       lane --> stream, priority 2   +== connection ==> one reader a stream --> Sink::received
//!     send(2, Append, frame)         /                   (order kept within a class)
//!       lane --> stream, priority 1 /
//!     send(2, Bulk, frame)         /
//!       lane --> stream, priority 0
//! ```
//!
//! Invariants
//! - **N1** A frame reaches the sink only over a connection whose certificate names its sender in this cluster.
//! - **N2** Frames of one class from one peer keep their order within a connection; a new connection starts empty,
//!   and [`LinkEvent::Connected`] says that everything before may be lost, or late. Nothing is ever delivered twice.
//! - **N3** Memory is bounded: lanes by bytes (a full lane drops the frame and says so), streams by windows, frames
//!   that wait for the sink by permits, blocks by what a writer gathers, handshakes by count. What a peer claims is never
//!   allocated ahead of its bytes, but for what LZ4 can make of them.
//! - **N4** An urgent frame never waits for another class: own lane, own stream, own permits, highest priority; the
//!   connection's windows are larger than the sum of what the other three streams may hold.
//! - **N5** Bytes from the network never panic: a wrong frame closes its connection, with a counted, logged reason.
//!
//! The transport has a thread and a small runtime of its own: no load elsewhere delays a lease. It knows nothing of
//! what frames mean; `docs/formats/transport.md` draws the bytes around them. 0-RTT data and session tickets are off:
//! they could be replayed, and each connection shall prove both certificates anew. [`Rotation`] replaces the certificates
//! of a running transport: connections that stand go on, new ones show and believe what is new.
mod accept;
mod blocks;
pub mod certificates;
mod config;
mod congestion;
mod dial;
mod frame;
mod hello;
pub mod inspect;
mod lanes;
mod link;
mod report;
mod roster;
mod tls;
mod transport;

pub use config::{Identity, Limits, Patience, PeerAddress, TransportConfig};
pub use lanes::Sent;
pub use link::{LinkEvent, LinkStatus, Received, Refused, Sink};
pub use roster::Roster;
pub use tls::{TlsError, check_dates, check_key_mode, node_name};
pub use transport::{Links, Rotation, StartError, Transport, bind_hint};
