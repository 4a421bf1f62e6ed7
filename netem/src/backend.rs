//! What moves the bytes, behind one trait.
//!
//! | backend | how | needs |
//! | --- | --- | --- |
//! | `relay` | user-space UDP and TCP relays on loopback | nothing |
//! | `tun` | network namespaces with a TUN device: every protocol, clients too | root |
//! | `tc` | network namespaces, veth pairs and the kernel's `tc netem` | root, `sch_netem` |
//!
//! Only `relay` is written. The others have to keep the same two promises: a change holds for whatever is sent after
//! the call returns, and nothing arrives earlier than asked.
use crate::control::{Change, ControlError, LinkStatus, RouteStatus};
use crate::settings::Direction;

pub trait Backend: Send + Sync + std::fmt::Debug {
    /// As `show` prints it.
    fn name(&self) -> &'static str;

    /// Holds for everything sent after it returns.
    fn change(&self, link: &str, direction: Direction, change: &Change) -> Result<(), ControlError>;

    fn show(&self) -> Vec<LinkStatus>;

    fn routes(&self) -> Vec<RouteStatus>;
}
