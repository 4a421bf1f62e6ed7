//! Links between places, made slow and broken on purpose, on one machine.
//!
//! ```text
//!   settings, profile, script     what is asked: delay, jitter, loss, rate, cut; by name; over time
//!   model                         pure: (now, packet, way) -> deliver at, or drop; seeded
//!   table                         the named links and what they measured, shared by all routes
//!   backend, relay                what moves the bytes; user-space UDP and TCP relays on loopback (no root)
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
mod handle;
pub mod model;
pub mod probe;
pub mod profile;
pub mod relay;
pub mod script;
pub mod settings;
mod table;

pub use client::ControlClient;
pub use config::{Config, LinkConfig, OnCut, RouteConfig, Transport};
pub use control::{Change, ControlError, LaneStatus, Lateness, LinkStatus, Request, Response, RouteStatus};
pub use daemon::Daemon;
pub use handle::Control;
pub use profile::Profile;
pub use relay::Relay;
pub use script::Script;
pub use settings::{Chance, Direction, LinkSettings, Way};
