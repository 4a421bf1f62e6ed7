//! Links between places, made slow and broken on purpose, on one machine.
//!
//! ```text
//!   settings, profile, script     what is asked: delay, jitter, loss, rate, cut; by name; over time
//!   distances, faults             the same as files that people write
//!   model                         pure: (now, packet, way) -> deliver at, or drop; seeded
//!   table                         the named links and what they measured, shared by all routes
//!   backend, network              what moves the bytes, and one that runs
//!   relay                         user-space UDP and TCP relays on loopback (no root)
//!   space, tun, tc                network namespaces, with a TUN device each, or with the kernel's netem between them
//!   control, handle               the one control vocabulary, and the handle that speaks it in-process
//!   config, daemon, client        the same as a process, and as JSON lines over TCP
//!   probe                         asked against measured
//! ```
//!
//! **This crate knows bytes and links; no message type, no node, no database.** Nothing in `model` reads a clock.
//! The invariant that every backend keeps and every test checks: *nothing is delivered earlier than asked*.
#![forbid(unsafe_code)]

pub mod backend;
pub mod client;
mod clock;
pub mod config;
pub mod control;
pub mod daemon;
mod distances;
pub mod faults;
mod file;
mod handle;
pub mod model;
mod network;
pub mod probe;
pub mod profile;
pub mod relay;
pub mod script;
pub mod settings;
mod space;
mod table;
mod tc;
mod tun;

pub use backend::BackendKind;
pub use client::ControlClient;
pub use config::{Config, EntryConfig, LinkConfig, OnCut, PlaceConfig, RouteConfig, Transport};
pub use control::{
    Change, ControlError, LaneStatus, Lateness, LinkStatus, PlaceStatus, Request, Response, RouteStatus,
};
pub use daemon::Daemon;
pub use distances::Distances;
pub use faults::Faults;
pub use file::FileError;
pub use handle::Control;
pub use network::{Choice, Chosen, Network, NetworkError, try_out};
pub use profile::Profile;
pub use relay::Relay;
pub use script::Script;
pub use settings::{Chance, Direction, LinkSettings, Way};
pub use space::{enter_path, within_path};
