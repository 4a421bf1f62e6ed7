//! The words of control: what a link can be told, what it answers, and the lines that carry both.
//!
//! [`Change`] is the one vocabulary: the in-process [`crate::Control`], the [`crate::ControlClient`], the daemon and a
//! fault script all speak it. On the wire a request is one line of JSON, answered by one line of JSON, in order:
//!
//! ```text
//!   -> {"op":"change","link":"A-B","direction":"both","change":{"delay":"30ms"}}
//!   <- {"ok":true}
//!   -> {"op":"change","link":"A-X","direction":"both","change":"cut"}
//!   <- {"error":"there is no link \"A-X\" (known: A-B, A-W, B-W)"}
//! ```
use crate::settings::{Chance, Direction, LinkSettings, Way, duration_text, format_duration};
use serde::{Deserialize, Serialize};
use std::fmt;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

/// Something that happens to a link.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Change {
    /// Become a black hole.
    Cut,
    /// No longer cut; everything else stays as it was set.
    Heal,
    #[serde(with = "duration_text")]
    Delay(Duration),
    #[serde(with = "duration_text")]
    Jitter(Duration),
    Reorder(bool),
    Loss(Chance),
    Duplicate(Chance),
    /// Bytes a second; none is unlimited.
    Rate(Option<u64>),
    /// Replace all settings.
    Set(LinkSettings),
    /// Back to the settings that the link started with.
    Restore,
}

impl Change {
    /// The settings after this change to `current`, on a link that started with `initial`.
    pub fn apply(&self, current: &LinkSettings, initial: &LinkSettings) -> LinkSettings {
        let mut settings = current.clone();
        match self {
            Change::Cut => settings.cut = true,
            Change::Heal => settings.cut = false,
            Change::Delay(delay) => settings.delay = *delay,
            Change::Jitter(jitter) => settings.jitter = *jitter,
            Change::Reorder(reorder) => settings.reorder = *reorder,
            Change::Loss(loss) => settings.loss = *loss,
            Change::Duplicate(duplicate) => settings.duplicate = *duplicate,
            Change::Rate(rate) => settings.rate = *rate,
            Change::Set(all) => settings = all.clone(),
            Change::Restore => settings = initial.clone(),
        }
        settings
    }
}

impl fmt::Display for Change {
    /// In the words of a fault script; a change of all settings has none there.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Change::Cut => f.write_str("cut"),
            Change::Heal => f.write_str("heal"),
            Change::Delay(delay) => write!(f, "delay {}", format_duration(*delay)),
            Change::Jitter(jitter) => write!(f, "jitter {}", format_duration(*jitter)),
            Change::Reorder(reorder) => write!(f, "reorder {}", if *reorder { "on" } else { "off" }),
            Change::Loss(loss) => write!(f, "loss {loss}"),
            Change::Duplicate(chance) => write!(f, "duplicate {chance}"),
            Change::Rate(None) => f.write_str("rate unlimited"),
            Change::Rate(Some(rate)) => write!(f, "rate {rate}"),
            Change::Set(_) => f.write_str("set"),
            Change::Restore => f.write_str("restore"),
        }
    }
}

/// A line to the daemon.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(tag = "op", rename_all = "lowercase")]
pub enum Request {
    Change {
        link: String,
        direction: Direction,
        change: Change,
    },
    Show,
    Routes,
    /// The places that have a network of their own
    Places,
    /// Run a fault script from now on; an earlier one stops where it is.
    Play {
        script: String,
    },
    /// End the daemon, once answered.
    Stop,
}

/// The daemon's line back.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Response {
    Ok(bool),
    Links(Vec<LinkStatus>),
    Routes(Vec<RouteStatus>),
    Places(Vec<PlaceStatus>),
    Error(String),
}

/// A link as it is: settings and what was measured, both directions.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct LinkStatus {
    pub name: String,
    /// Which backend moves its bytes: "relay", "tun" or "tc".
    pub backend: String,
    pub forward: LaneStatus,
    pub backward: LaneStatus,
}

impl LinkStatus {
    pub fn lane(&self, way: Way) -> &LaneStatus {
        match way {
            Way::Forward => &self.forward,
            Way::Backward => &self.backward,
        }
    }
}

/// One direction of a link. Counters run from the daemon's start.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct LaneStatus {
    pub settings: LinkSettings,
    /// Packets (UDP) and chunks (TCP) that came to this end of the lane.
    pub packets: u64,
    pub bytes: u64,
    /// Handed on at the far end, duplicates included.
    pub delivered: u64,
    /// Lost to a cut.
    pub dropped_by_cut: u64,
    /// Lost to the loss chance.
    pub dropped_by_loss: u64,
    /// Lost to a full queue of a limited rate, to the relay's own memory bound, or refused by the receiver's socket.
    pub dropped_by_overflow: u64,
    pub duplicated: u64,
    /// How much later than asked packets were handed on. The `tc` backend does not know, and says zero.
    pub late: Lateness,
}

impl LaneStatus {
    pub fn dropped(&self) -> u64 {
        self.dropped_by_cut + self.dropped_by_loss + self.dropped_by_overflow
    }
}

/// Measured minus asked. Never negative: nothing is delivered early.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct Lateness {
    #[serde(with = "duration_text")]
    pub p50: Duration,
    #[serde(with = "duration_text")]
    pub p99: Duration,
    #[serde(with = "duration_text")]
    pub max: Duration,
}

/// A listening address and where its bytes go.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct RouteStatus {
    pub link: String,
    /// The direction of what the listener's clients send; answers travel the other way.
    pub way: Way,
    /// "udp" or "tcp".
    pub transport: String,
    /// With the real port, where 0 was asked.
    pub listen: SocketAddr,
    pub target: SocketAddr,
    /// Client addresses (UDP) or connections (TCP) that are alive now.
    pub flows: usize,
}

/// A place with a network of its own.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct PlaceStatus {
    pub name: String,
    /// Where the other places reach it.
    pub address: Ipv4Addr,
    /// To enter it by, with `nsenter --net=` or [`crate::enter_path`], while the daemon lives.
    pub namespace: PathBuf,
}

/// Why a control call failed.
#[derive(Debug, thiserror::Error)]
pub enum ControlError {
    #[error("there is no link \"{name}\" (known: {known})")]
    UnknownLink { name: String, known: String },
    #[error("cannot reach the netem daemon at {address}")]
    Connect { address: SocketAddr, source: io::Error },
    #[error("the connection to the netem daemon broke")]
    Io(#[from] io::Error),
    #[error("the netem daemon closed the control connection")]
    Closed,
    #[error("the netem daemon answered with something else: {0}")]
    Unexpected(String),
    /// The daemon understood, and said no.
    #[error("{0}")]
    Refused(String),
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_read_as_documented() {
        let table = [
            (
                r#"{"op":"change","link":"A-B","direction":"both","change":{"delay":"30ms"}}"#,
                Request::Change {
                    link: "A-B".into(),
                    direction: Direction::Both,
                    change: Change::Delay(Duration::from_millis(30)),
                },
            ),
            (
                r#"{"op":"change","link":"A-B","direction":"forward","change":"cut"}"#,
                Request::Change { link: "A-B".into(), direction: Direction::Forward, change: Change::Cut },
            ),
            (
                r#"{"op":"change","link":"A-W","direction":"backward","change":{"loss":0.01}}"#,
                Request::Change {
                    link: "A-W".into(),
                    direction: Direction::Backward,
                    change: Change::Loss(Chance::percent(1.0).expect("in range")),
                },
            ),
            (r#"{"op":"show"}"#, Request::Show),
            (r#"{"op":"stop"}"#, Request::Stop),
        ];
        for (line, request) in table {
            assert_eq!(serde_json::from_str::<Request>(line).expect(line), request);
            assert_eq!(serde_json::to_string(&request).expect("requests serialise"), line);
        }
    }

    #[test]
    fn heal_keeps_the_delay_and_restore_goes_back_to_the_start() {
        let initial = LinkSettings::delayed(Duration::from_millis(30));
        let slower = Change::Delay(Duration::from_millis(90)).apply(&initial, &initial);
        let cut = Change::Cut.apply(&slower, &initial);
        assert!(cut.cut);
        assert_eq!(Change::Heal.apply(&cut, &initial), slower);
        assert_eq!(Change::Restore.apply(&cut, &initial), initial);
    }
}
