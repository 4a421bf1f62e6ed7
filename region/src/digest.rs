//! `GET /digest?index=N`: a hash of all live keys at log index N, from this region's own store, for comparing regions.
use axum::extract::{Query, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::{Json, Router, routing::get};
use bytes::Bytes;
use serde::Deserialize;
use std::sync::Arc;
use std::time::{Duration, Instant};
use trivet_storage::{KeyRange, Store};
use trivet_txn::RegionState;

const WAIT: Duration = Duration::from_secs(30);
const POLL: Duration = Duration::from_millis(5);

#[derive(Clone)]
pub struct DigestSource {
    pub store: Arc<dyn Store>,
    pub state: Arc<RegionState>,
}

#[derive(Deserialize)]
struct At {
    index: u64,
}

pub fn routes(source: DigestSource) -> Router {
    Router::new().route("/digest", get(digest)).with_state(source)
}

async fn digest(State(source): State<DigestSource>, Query(At { index }): Query<At>) -> Response {
    let deadline = Instant::now() + WAIT;
    // Background work (a large transaction's rows, an index) belongs to the entry that it came with.
    while source.state.applied().0 < index || source.state.background_floor().0 <= index {
        if Instant::now() > deadline || source.state.halted().is_some() {
            let reason = format!("entry {index} is not applied here\n");
            return (StatusCode::SERVICE_UNAVAILABLE, reason).into_response();
        }
        tokio::time::sleep(POLL).await;
    }
    // Holds the collector back while the rows are read.
    let hashed = tokio::task::spawn_blocking(move || {
        let everything = KeyRange { start: Bytes::new(), end: Bytes::new() };
        trivet_storage::digest(&*source.store, &everything, index)
    })
    .await;
    match hashed {
        Ok(Ok(digest)) => Json(serde_json::json!({
            "index": index,
            "digest": format!("{:032x}", digest.hash),
            "keys": digest.rows,
        }))
        .into_response(),
        Ok(Err(error)) => (StatusCode::INTERNAL_SERVER_ERROR, format!("{error}\n")).into_response(),
        Err(error) => (StatusCode::INTERNAL_SERVER_ERROR, format!("{error}\n")).into_response(),
    }
}
