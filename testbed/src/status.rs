//! What a node says about itself over HTTP, and what the testbed knows about it from outside.
use crate::http;
use crate::place::Place;
use crate::process::Condition;
use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};
use std::net::SocketAddr;
use std::time::Duration;

/// `/status`. Fields that a node does not know are left out, so all have defaults.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct NodeStatus {
    pub node: String,
    pub id: u8,
    pub kind: String,
    pub role: String,
    pub boot: u64,
    pub pid: i32,
    pub term: u64,
    #[serde(deserialize_with = "name_or_id")]
    pub leader: Option<String>,
    pub last: u64,
    pub durable: u64,
    pub commit: u64,
    pub applied: u64,
    pub base: u64,
    pub lease: Lease,
    pub witness_engaged: bool,
    pub peers: Vec<Peer>,
    pub apply_backlog_bytes: u64,
    pub health: Health,
    pub links: Vec<Link>,
}

/// In one word, and why.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Health {
    pub state: String,
    pub reason: String,
}

/// The connection to a peer, as this node made it.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Link {
    pub node: String,
    pub address: String,
    pub connected: bool,
    pub trouble: Option<String>,
    pub rtt_ms: Option<f64>,
}

#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Lease {
    pub valid: bool,
    pub remaining_ms: f64,
    pub epoch: u64,
}

#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Peer {
    #[serde(deserialize_with = "name_or_id")]
    pub node: Option<String>,
    pub durable: u64,
    pub heard_ms_ago: Option<f64>,
    pub rtt_ms: Option<f64>,
}

impl NodeStatus {
    pub fn leader(&self) -> Option<Place> {
        self.leader.as_deref().and_then(Place::of_name)
    }

    pub fn is_leader(&self) -> bool {
        self.role == "leader"
    }

    pub fn peer_named(&self, name: &str) -> Option<&Peer> {
        self.peers.iter().find(|peer| peer.node.as_deref() == Some(name))
    }

    pub fn peer(&self, place: Place) -> Option<&Peer> {
        self.peer_named(place.name())
    }

    pub fn has_lost(&self, place: Place) -> bool {
        self.has_lost_node(place.name())
    }

    /// Longer ago than any node would let pass on a link that works.
    pub fn has_lost_node(&self, name: &str) -> bool {
        const SILENT_MS: f64 = 400.0;
        self.peer_named(name).is_none_or(|peer| peer.heard_ms_ago.is_none_or(|ago| ago > SILENT_MS))
    }
}

pub async fn fetch(address: SocketAddr, bound: Duration) -> Result<NodeStatus> {
    let body = http::get(address, "/status", bound).await?;
    serde_json::from_slice(&body).with_context(|| format!("the status of {address} does not read"))
}

/// A digest of all live rows at one place of the log.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Digest {
    pub index: u64,
    #[serde(deserialize_with = "text_of_anything")]
    pub digest: String,
    pub keys: u64,
}

/// From `index` on, the node can be asked for digests, until it was asked for one or a minute has passed.
#[derive(Clone, Copy, Debug, Deserialize)]
pub struct Held {
    pub hold: u64,
    pub index: u64,
}

pub async fn hold_digest(address: SocketAddr, bound: Duration) -> Result<Held> {
    let body = http::post(address, "/digest/hold", bound).await?;
    serde_json::from_slice(&body).with_context(|| format!("the answer of {address} does not read"))
}

/// Waits until the node has applied up to `index`.
pub async fn fetch_digest(address: SocketAddr, held: Held, index: u64, bound: Duration) -> Result<Digest> {
    let body = http::get(address, &format!("/digest?index={index}&hold={}", held.hold), bound).await?;
    serde_json::from_slice(&body).with_context(|| format!("the digest of {address} does not read"))
}

/// A node from outside and from inside.
#[derive(Clone, Debug, Serialize)]
pub struct NodeView {
    pub place: Place,
    pub pid: Option<i32>,
    pub condition: &'static str,
    /// None if it does not answer.
    pub status: Option<NodeStatus>,
}

pub fn condition_word(condition: Condition) -> &'static str {
    match condition {
        Condition::Running => "running",
        Condition::Paused => "paused",
        Condition::Gone => "gone",
    }
}

/// A node in JSON is a name or an id.
fn name_or_id<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Option<String>, D::Error> {
    let value = Option::<serde_json::Value>::deserialize(deserializer)?;
    Ok(value.and_then(|value| match value {
        serde_json::Value::String(name) => Some(name),
        serde_json::Value::Number(id) => Place::ALL
            .into_iter()
            .find(|place| Some(u64::from(place.id())) == id.as_u64())
            .map(|place| place.name().into()),
        _ => None,
    }))
}

fn text_of_anything<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<String, D::Error> {
    Ok(match serde_json::Value::deserialize(deserializer)? {
        serde_json::Value::String(text) => text,
        other => other.to_string(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_status_reads_with_names_or_ids_and_missing_fields() {
        let text = r#"{"node":"A","role":"leader","term":3,"leader":1,"last":17,"lease":{"valid":true,"remaining_ms":800,"epoch":2},
            "peers":[{"node":"B","durable":16,"heard_ms_ago":20,"rtt_ms":60.5},{"node":3,"heard_ms_ago":900}],"more":1}"#;
        let status: NodeStatus = serde_json::from_str(text).expect("it reads");
        assert_eq!(status.leader(), Some(Place::A));
        assert!(!status.has_lost(Place::B));
        assert!(status.has_lost(Place::W));
        let nobody: NodeStatus = serde_json::from_str(r#"{"leader":null}"#).expect("it reads");
        assert_eq!(nobody.leader(), None);
        assert!(nobody.has_lost(Place::B));
    }
}
