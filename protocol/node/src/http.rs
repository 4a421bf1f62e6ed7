//! Health, metrics and status over HTTP/1.1, for load balancers, scrapers and people. No TLS and no passwords: the address
//! belongs inside. A region adds routes of its own.
//!
//! | route | answer |
//! | --- | --- |
//! | GET /health | 200 `serving`, else 503 and the word of [`Serving`] that fits; `/health?json` says why |
//! | GET /metrics | Prometheus text |
//! | GET /status | JSON, see [`status_json`] |
//! | GET /log, POST /log | what is logged; a POST's body is a new filter, as `--log` takes it; empty: as at the start |
//! | POST /handover | 202; hands the lead to the other region, or to `?to=ID`. 409 if this node does not lead |
use crate::handle::{NodeHandle, NodeStatus};
use crate::health::{Health, Serving};
use crate::logging::LogControl;
use axum::extract::{Query, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use serde::Deserialize;
use serde_json::{Map, Value, json};
use std::net::SocketAddr;
use std::sync::Arc;
use trivet_log::{Nanos, NodeId, NodeKind, PeerStatus};
use trivet_transport::LinkStatus;

/// What a binary plugs in.
#[derive(Clone)]
pub struct HttpOptions {
    /// The Prometheus text of now.
    pub metrics: Arc<dyn Fn() -> String + Send + Sync>,
    /// Beyond the node's own health: why the rest cannot go on, if it cannot.
    pub health: Arc<dyn Fn() -> Result<(), String> + Send + Sync>,
    /// More fields for `/status`, for example `sql_address`.
    pub status: Arc<dyn Fn() -> Map<String, Value> + Send + Sync>,
    /// Where the process's log is changed.
    pub log: Option<LogControl>,
}

impl HttpOptions {
    /// `metrics` is what [`crate::prometheus::install`] returned.
    pub fn new(metrics: Arc<dyn Fn() -> String + Send + Sync>) -> HttpOptions {
        HttpOptions { metrics, health: Arc::new(|| Ok(())), status: Arc::new(Map::new), log: None }
    }
}

#[derive(Debug, thiserror::Error)]
#[error("cannot listen on {address} (HTTP): {cause}{}", trivet_transport::bind_hint(cause))]
pub struct HttpError {
    address: SocketAddr,
    cause: std::io::Error,
}

/// Binds and serves until the runtime ends. Returns the bound address.
pub async fn serve(
    address: SocketAddr,
    node: NodeHandle,
    options: HttpOptions,
    more: Router,
) -> Result<SocketAddr, HttpError> {
    let error = |cause| HttpError { address, cause };
    let listener = tokio::net::TcpListener::bind(address).await.map_err(error)?;
    let bound = listener.local_addr().map_err(error)?;
    let router = router(node, options).merge(more);
    tokio::spawn(async move {
        if let Err(error) = axum::serve(listener, router).await {
            tracing::error!("the HTTP server ended: {error}");
        }
    });
    Ok(bound)
}

#[derive(Clone)]
struct Shared {
    node: NodeHandle,
    options: HttpOptions,
}

impl Shared {
    /// The node's, and that of what the binary has put around it.
    fn health(&self) -> Health {
        let health = self.node.health();
        match (self.options.health)() {
            Err(reason) if health.state != Serving::Failed => Health::of(Serving::Failed, reason),
            _ => health,
        }
    }
}

pub fn router(node: NodeHandle, options: HttpOptions) -> Router {
    Router::new()
        .route("/health", get(health))
        .route("/metrics", get(async |State(shared): State<Shared>| (shared.options.metrics)()))
        .route("/status", get(status))
        .route("/log", get(log).post(set_log))
        .route("/handover", post(hand_over))
        .with_state(Shared { node, options })
}

#[derive(Deserialize)]
struct HealthQuery {
    /// Present in any form: the answer is JSON.
    json: Option<String>,
}

async fn health(State(shared): State<Shared>, Query(query): Query<HealthQuery>) -> Response {
    let health = shared.health();
    let code = if health.serves() { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    match query.json {
        None => (code, format!("{}\n", health.state)).into_response(),
        Some(_) => {
            let status = shared.node.status();
            let leader = status.core.leader.map(|leader| shared.node.config().name_of(leader));
            let fields = json!({
                "node": status.name, "state": health.state, "reason": health.reason,
                "leads": status.leads, "leader": leader,
            });
            (code, Json(fields)).into_response()
        }
    }
}

async fn status(State(shared): State<Shared>) -> Json<Value> {
    let cluster = format!("{:032x}", shared.node.config().node.cluster_id.0);
    let mut fields = status_json(&shared.node.status(), &cluster, |node| shared.node.config().name_of(node));
    let health = shared.health();
    fields.insert("health".to_owned(), json!({"state": health.state, "reason": health.reason}));
    fields.insert("links".to_owned(), shared.node.links().iter().map(|link| link_json(&shared.node, link)).collect());
    fields.extend((shared.options.status)());
    Json(Value::Object(fields))
}

const NO_LOG: (StatusCode, &str) = (StatusCode::NOT_FOUND, "the log of this process cannot be changed\n");

async fn log(State(shared): State<Shared>) -> Response {
    match &shared.options.log {
        Some(log) => format!("{}\n", log.now()).into_response(),
        None => NO_LOG.into_response(),
    }
}

async fn set_log(State(shared): State<Shared>, filter: String) -> Response {
    match shared.options.log.as_ref().map(|log| log.set(&filter)) {
        Some(Ok(now)) => format!("{now}\n").into_response(),
        Some(Err(error)) => (StatusCode::BAD_REQUEST, format!("{error}\n")).into_response(),
        None => NO_LOG.into_response(),
    }
}

#[derive(Deserialize)]
struct HandOver {
    to: Option<u8>,
}

async fn hand_over(State(shared): State<Shared>, Query(query): Query<HandOver>) -> Response {
    if shared.node.status().leads {
        shared.node.hand_over(query.to.map(NodeId));
        (StatusCode::ACCEPTED, "handing over\n").into_response()
    } else {
        (StatusCode::CONFLICT, "this node does not lead\n").into_response()
    }
}

/// `{"node": "B", "address": "10.0.0.2:7001", "connected": true, "trouble": null, "rtt_ms": 60.1, "connections_made": 1,
/// "lost_packets": 0, "congestion_window": 960000}`, a peer each
fn link_json(node: &NodeHandle, link: &LinkStatus) -> Value {
    json!({
        "node": node.config().name_of(link.node),
        "address": link.address,
        "connected": link.connected,
        "trouble": link.trouble,
        "rtt_ms": link.rtt_nanos.map(millis),
        "connections_made": link.connections_made,
        "lost_packets": link.lost_packets,
        "congestion_window": link.congestion_window,
    })
}

fn millis(nanos: Nanos) -> f64 {
    (nanos as f64 / 1e4).round() / 100.0
}

/// ```json
/// {"node": "A", "id": 1, "kind": "region", "cluster": "<32 hex digits>", "boot": 3, "pid": 4711, "version": "0.1.0",
///  "role": "leader", "term": 2, "leader": "A", "leads": true,
///  "last": 120, "durable": 120, "commit": 119, "applied": 119, "base": 0,
///  "lease": {"valid": true, "remaining_ms": 903.1, "epoch": 1},
///  "promises": [{"node": "B", "remaining_ms": 950.0}],
///  "witness_engaged": false, "apply_backlog_bytes": 0, "failure": null,
///  "peers": [{"node": "B", "durable": 120, "heard_ms_ago": 12.5, "rtt_ms": 60.2}]}
/// ```
pub fn status_json(status: &NodeStatus, cluster: &str, name: impl Fn(NodeId) -> String) -> Map<String, Value> {
    let left = |until: Nanos| millis(until.saturating_sub(status.now));
    let kind = match status.kind {
        NodeKind::Region => "region",
        NodeKind::Witness => "witness",
    };
    let core = &status.core;
    let peer = |peer: &PeerStatus| {
        // 0: never heard.
        let heard = (peer.heard_at > 0).then(|| millis(status.now.saturating_sub(peer.heard_at)));
        json!({"node": name(peer.node), "durable": peer.durable.0, "heard_ms_ago": heard, "rtt_ms": millis(peer.rtt)})
    };
    let promise = |(node, until): &(NodeId, Nanos)| json!({"node": name(*node), "remaining_ms": left(*until)});
    let fields = json!({
        "node": status.name,
        "id": status.node.0,
        "kind": kind,
        "cluster": cluster,
        "boot": status.boot.0,
        "pid": std::process::id(),
        "version": env!("CARGO_PKG_VERSION"),
        "role": core.role,
        "term": core.term.0,
        "leader": core.leader.map(&name),
        "leads": status.leads,
        "last": core.last.index.0,
        "durable": core.durable.0,
        "commit": core.commit.0,
        "applied": core.applied.0,
        "base": core.base.index.0,
        "lease": {
            "valid": status.lease_left > 0,
            "remaining_ms": millis(status.lease_left),
            "epoch": core.lease_epoch,
        },
        "promises": core.promises_made.iter().map(promise).collect::<Vec<_>>(),
        "witness_engaged": core.witness_engaged,
        "apply_backlog_bytes": status.apply_backlog_bytes,
        "failure": status.failure,
        "peers": core.peers.iter().map(peer).collect::<Vec<_>>(),
    });
    match fields {
        Value::Object(fields) => fields,
        _ => unreachable!("an object literal"),
    }
}
