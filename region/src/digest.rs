//! For comparing regions, each from its own store:
//!
//! - `POST /digest/hold`: `{"hold": H, "index": M}`; versions at M and later stay, for a minute at most;
//! - `GET /digest?index=N&hold=H`: a hash of all live keys at log index N, once N is applied here; ends the hold.
//!
//! Whoever compares asks all regions to hold, and then all of them for the largest M.
use axum::extract::{Query, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use parking_lot::Mutex;
use serde::Deserialize;
use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};
use trivet_log::Index;
use trivet_storage::Store;
use trivet_txn::{Database, Isolation, RegionState, Transaction};

const WAIT: Duration = Duration::from_secs(30);
const POLL: Duration = Duration::from_millis(5);
const HOLD: Duration = Duration::from_secs(60);
/// Each keeps dead rows from being collected.
const HOLDS_MAX: usize = 8;

#[derive(Clone)]
pub struct DigestSource {
    pub store: Arc<dyn Store>,
    pub state: Arc<RegionState>,
    pub database: Arc<dyn Database>,
    pub holds: Arc<Mutex<Holds>>,
}

#[derive(Default)]
pub struct Holds {
    begun: u64,
    live: HashMap<u64, Box<dyn Transaction>>,
}

impl DigestSource {
    pub fn new(store: Arc<dyn Store>, state: Arc<RegionState>, database: Arc<dyn Database>) -> DigestSource {
        DigestSource { store, state, database, holds: Arc::default() }
    }
}

#[derive(Deserialize)]
struct At {
    index: u64,
    hold: Option<u64>,
}

pub fn routes(source: DigestSource) -> Router {
    Router::new().route("/digest", get(digest)).route("/digest/hold", post(hold)).with_state(source)
}

/// A snapshot that lives for a while: what it sees is not collected.
async fn hold(State(source): State<DigestSource>) -> Response {
    let mut transaction = source.database.begin(Isolation::RepeatableRead, true);
    let index = match transaction.statement().await {
        Ok(snapshot) => snapshot.index,
        Err(error) => return (StatusCode::SERVICE_UNAVAILABLE, format!("{}\n", error.message)).into_response(),
    };
    let hold = {
        let mut holds = source.holds.lock();
        if holds.live.len() == HOLDS_MAX {
            let reason = format!("{HOLDS_MAX} comparisons are going on already\n");
            return (StatusCode::TOO_MANY_REQUESTS, reason).into_response();
        }
        holds.begun += 1;
        let hold = holds.begun;
        holds.live.insert(hold, transaction);
        hold
    };
    tokio::spawn(async move {
        tokio::time::sleep(HOLD).await;
        source.holds.lock().live.remove(&hold);
    });
    Json(serde_json::json!({ "hold": hold, "index": index })).into_response()
}

async fn digest(State(source): State<DigestSource>, Query(At { index, hold }): Query<At>) -> Response {
    let deadline = Instant::now() + WAIT;
    // Background work (a large transaction's rows, an index) belongs to the entry that it came with.
    while source.state.applied().0 < index || source.state.background_floor().0 <= index {
        if Instant::now() > deadline || source.state.halted().is_some() {
            let reason = format!("entry {index} is not applied here\n");
            return (StatusCode::SERVICE_UNAVAILABLE, reason).into_response();
        }
        tokio::time::sleep(POLL).await;
    }
    // Slow: it reads every row.
    let store = source.store.clone();
    let hashed = tokio::task::spawn_blocking(move || trivet_txn::live_digest(&*store, Index(index))).await;
    if let Some(hold) = hold {
        source.holds.lock().live.remove(&hold);
    }
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
