//! What moves the bytes, behind one trait.
//!
//! | backend | how | needs |
//! | --- | --- | --- |
//! | `relay` | user-space UDP and TCP relays on loopback | nothing |
//! | `tun` | network namespaces with a TUN device: every protocol, clients too | root, `/dev/net/tun` |
//! | `tc` | network namespaces, veth pairs and the kernel's `tc netem` | root, `sch_netem` |
//!
//! All keep two promises: a change holds for whatever is sent after the call returns, and nothing arrives earlier than
//! asked.
use crate::control::{Change, ControlError, LinkStatus, PlaceStatus, RouteStatus};
use crate::settings::{Direction, ParseSettingError};
use serde::{Deserialize, Serialize};
use std::fmt;
use std::str::FromStr;

pub trait Backend: Send + Sync + std::fmt::Debug {
    /// As `show` prints it.
    fn kind(&self) -> BackendKind;

    /// Holds for everything sent after it returns.
    fn change(&self, link: &str, direction: Direction, change: &Change) -> Result<(), ControlError>;

    fn show(&self) -> Result<Vec<LinkStatus>, ControlError>;

    fn routes(&self) -> Vec<RouteStatus>;

    /// Empty where places have no network of their own.
    fn places(&self) -> Vec<PlaceStatus>;
}

#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum BackendKind {
    #[default]
    Relay,
    Tun,
    Tc,
}

impl BackendKind {
    pub const ALL: [BackendKind; 3] = [BackendKind::Relay, BackendKind::Tun, BackendKind::Tc];

    pub fn name(self) -> &'static str {
        match self {
            BackendKind::Relay => "relay",
            BackendKind::Tun => "tun",
            BackendKind::Tc => "tc",
        }
    }

    /// Whether each place has a network namespace.
    pub fn has_places(self) -> bool {
        self != BackendKind::Relay
    }
}

impl fmt::Display for BackendKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for BackendKind {
    type Err = ParseSettingError;

    fn from_str(text: &str) -> Result<BackendKind, ParseSettingError> {
        let found = BackendKind::ALL.into_iter().find(|kind| kind.name() == text);
        found.ok_or_else(|| ParseSettingError::new("backend", text, "relay, tun or tc"))
    }
}
