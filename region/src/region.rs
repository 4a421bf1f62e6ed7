//! Putting a region together, and taking it apart again.
//!
//! Order of start, each step needing the one before: the store (what is applied), the journal (which boot is this), the shared
//! state and the machine (replays the journal above the horizon), the applier, the node (talks), the database, SQL, the
//! gateway (listens). The stop: leadership, then clients, then leases, then the store.
use crate::access::CatalogLogins;
use crate::config::RegionSections;
use crate::digest::{self, DigestSource};
use crate::log::NodeLog;
use crate::tls::ClientTls;
use anyhow::{Context, bail};
use bytes::Bytes;
use std::path::Path;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};
use tokio_util::sync::CancellationToken;
use trivet_gateway::{
    BoundAddress, Gatekeeper, GatewayConfig, GatewayHandle, ListenAddress, ListenError, LoginSources, ShutdownMode,
};
use trivet_log::Index;
use trivet_node::config::ConfigFile;
use trivet_node::http::{self, HttpOptions};
use trivet_node::logging::LogControl;
use trivet_node::{Node, NodeHandle, NodeOptions, prometheus};
use trivet_sql::{EngineOptions, SharedEngine, SqlEngine};
use trivet_storage::{RocksOptions, RocksStore, Store, StoreError};
use trivet_txn::{Applier, RegionDatabase, RegionMachine, RegionState, Rules, stored_state};

pub type Config = ConfigFile<RegionSections>;

const LOCK_RELEASE_EVERY: Duration = Duration::from_secs(1);
const HORIZON_EVERY: Duration = Duration::from_secs(1);

/// A process that was killed holds its lock until its last thread is gone, which a supervisor may not wait for.
const FORMER_PROCESS_ENDS_WITHIN: Duration = Duration::from_secs(5);

async fn open_store(path: &Path, options: RocksOptions) -> Result<RocksStore, StoreError> {
    let begun = Instant::now();
    loop {
        match RocksStore::open(path, options.clone()) {
            Err(StoreError::InUse { .. }) if begun.elapsed() < FORMER_PROCESS_ENDS_WITHIN => {
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
            opened => return opened,
        }
    }
}

pub fn read_config(path: &Path) -> anyhow::Result<Config> {
    let mut config = Config::read(path)?;
    config.extra.sql.resolve_paths(path.parent().unwrap_or(Path::new("")));
    if let Err(message) = config.extra.sql.check() {
        bail!("{}: {message}", path.display());
    }
    Ok(config)
}

pub struct Region {
    node: NodeHandle,
    gateway: GatewayHandle,
    store: Arc<dyn Store>,
    background: CancellationToken,
    applier: JoinHandle<()>,
    tls: Option<ClientTls>,
    stop_grace: Duration,
}

impl Region {
    pub async fn start(config: Config, logging: LogControl) -> anyhow::Result<Region> {
        let metrics = prometheus::install().context("cannot install the metrics recorder")?;
        let Config { common, extra } = config;
        // What can be wrong with the configuration is found before data is touched.
        let tls = crate::tls::start(&extra.sql)?;

        let state_dir = common.node.data_dir.join("state");
        let options = RocksOptions {
            cache_bytes: extra.storage.cache_mb << 20,
            row_cache_bytes: extra.storage.row_cache_mb << 20,
            write_buffer_bytes: extra.storage.write_buffer_mb << 20,
            ..RocksOptions::default()
        };
        let store: Arc<dyn Store> = Arc::new(
            open_store(&state_dir, options)
                .await
                .with_context(|| format!("cannot open the store {}", state_dir.display()))?,
        );
        let applied = Index(store.applied());
        let stored = stored_state(&*store)?;
        let replay_from = stored.as_ref().map_or(Index(0), |stored| stored.horizon.index).min(applied);
        let opened = Node::open(common.clone(), NodeOptions::default(), replay_from)?;

        let state = RegionState::new(common.node.id, opened.boot());
        let builder = trivet_sql::index_builder();
        state.watch(builder.watched());
        let machine = RegionMachine::new(state.clone(), Rules::ALL, opened.base(), stored, applied);
        let applier = Applier::open(state.clone(), store.clone(), builder.clone())?;
        let quic = common.listen.quic;
        let (node, work) =
            opened.start(machine, applied).with_context(|| format!("cannot start the node on {quic}"))?;
        let applier = crate::applying::spawn(applier, store.clone(), work, node.clone())
            .context("cannot start the applier's thread")?;

        let log = Arc::new(NodeLog::new(node.clone()));
        let regions = common.roster.iter().map(|entry| (entry.id, entry.name.clone())).collect();
        let options = trivet_txn::Options {
            regions,
            history: Duration::from_secs(extra.sql.history_s),
            ..trivet_txn::Options::default()
        };
        let database = RegionDatabase::new(log, state.clone(), store.clone(), builder, options);
        let background = CancellationToken::new();
        spawn_horizon(database.clone(), background.clone());

        let temporary = extra.storage.temporary_dir.clone().unwrap_or_else(|| common.node.data_dir.join("tmp"));
        let options = EngineOptions { temporary_folder: Some(temporary.clone()), automatic_statistics: true };
        let engine = SqlEngine::with_options(database.clone(), common.node.name.clone(), options)
            .with_context(|| format!("cannot use the folder for temporary files {}", temporary.display()))?;
        spawn_lock_release(engine.clone(), background.clone());
        let gateway = listen(&extra, &common.tls.key, &tls, engine, background.clone()).await?;
        let sql_address = gateway
            .addresses()
            .iter()
            .find_map(|address| match address {
                BoundAddress::Tcp(address) => Some(*address),
                BoundAddress::Unix(_) => None,
            })
            .context("the gateway listens nowhere")?;

        let mut options = HttpOptions::new(metrics);
        options.log = Some(logging);
        let halted = state.clone();
        options.health = Arc::new(move || halted.halted().map_or(Ok(()), |reason| Err(reason.to_owned())));
        options.status = Arc::new(move || {
            let mut fields = serde_json::Map::new();
            fields.insert("sql_address".into(), sql_address.to_string().into());
            fields
        });
        let source = DigestSource::new(store.clone(), state, database);
        let http_address = http::serve(common.listen.http, node.clone(), options, digest::routes(source)).await?;
        tracing::info!(sql = %sql_address, http = %http_address, quic = %node.quic_address(), "region {} is up", common.node.name);
        let stop_grace = Duration::from_secs(extra.sql.stop_grace_s);
        Ok(Region { node, gateway, store, background, applier, tls, stop_grace })
    }

    /// Reads the files of certificates again. What came of it is logged where it is done.
    pub async fn reload(&self) {
        let (node, clients) = (self.node.clone(), self.tls.as_ref().map(|tls| tls.reload.clone()));
        let read = move || {
            let _ = node.reload_certificates();
            let _ = clients.map(|clients| clients.now());
        };
        let _ = tokio::task::spawn_blocking(read).await; // it cannot panic
    }

    /// The lead is handed over while clients are served; then each is told, when it has its answer; then leases are released,
    /// and the store is flushed.
    pub async fn stop(self) {
        self.node.leave_async().await;
        let drained = self.gateway.shutdown(ShutdownMode::Graceful(self.stop_grace)).await;
        if drained.cut > 0 {
            tracing::warn!("{} connections did not end in time and were cut", drained.cut);
        }
        self.background.cancel();
        self.node.stop_async().await;
        let (store, applier) = (self.store, self.applier);
        let ended = tokio::task::spawn_blocking(move || {
            // The node has dropped its end of the queue, so the applier ends once it has emptied it.
            if applier.join().is_err() {
                tracing::error!("the applier panicked");
            }
            store.flush()
        })
        .await;
        match ended {
            Ok(Ok(())) => tracing::info!("stopped"),
            Ok(Err(error)) => tracing::error!("the store was not flushed, the journal has the rest: {error}"),
            Err(error) => tracing::error!("{error}"),
        }
    }
}

/// Says a horizon about once a second while this region leads, so that certification can forget.
fn spawn_horizon(database: Arc<RegionDatabase>, ended: CancellationToken) {
    tokio::spawn(async move {
        let mut every = tokio::time::interval(HORIZON_EVERY);
        every.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                () = ended.cancelled() => return,
                _ = every.tick() => database.propose_horizon().await,
            }
        }
    });
}

/// Advisory locks of this region's earlier boots are nobody's: given back as soon as the region can write.
fn spawn_lock_release(engine: Arc<SqlEngine>, ended: CancellationToken) {
    tokio::spawn(async move {
        let mut every = tokio::time::interval(LOCK_RELEASE_EVERY);
        loop {
            tokio::select! {
                () = ended.cancelled() => return,
                _ = every.tick() => {}
            }
            if engine.release_old_locks().await.is_ok() {
                return;
            }
        }
    });
}

async fn listen(
    sections: &RegionSections,
    node_key: &Path,
    tls: &Option<ClientTls>,
    engine: Arc<SqlEngine>,
    ended: CancellationToken,
) -> anyhow::Result<GatewayHandle> {
    let sql = &sections.sql;
    if sql.trusts_strangers() {
        tracing::warn!("a rule in sql.hba trusts whoever connects from another machine");
    }
    let rules = sql.rules().map_err(anyhow::Error::msg)?;
    let fixed = sql.fixed_logins().map_err(anyhow::Error::msg)?;
    let logins = LoginSources(vec![Arc::new(fixed), Arc::new(CatalogLogins::new(engine.clone()))]);
    let read = |path: &Path| std::fs::read(path).with_context(|| format!("cannot read {}", path.display()));
    let socket = sql.socket.iter().cloned().map(ListenAddress::Unix);
    let config = GatewayConfig {
        listen: std::iter::once(ListenAddress::Tcp(sql.listen)).chain(socket).collect(),
        tls: tls.as_ref().map(|tls| tls.gateway.clone()),
        tls_required: sql.tls_required,
        connections_max: sql.connections_max,
        startup_timeout: Duration::from_secs(sql.authentication_timeout_s),
        // A secret that stays over restarts.
        decoy_secret: Some(Bytes::from(read(node_key)?)),
        ..GatewayConfig::default()
    };
    let gatekeeper = Gatekeeper::new(rules, Arc::new(logins));
    trivet_gateway::serve(config, Arc::new(SharedEngine(engine)), Arc::new(gatekeeper), ended).await.map_err(|error| {
        let hint = match &error {
            ListenError::Bind { cause, .. } => trivet_transport::bind_hint(cause),
            ListenError::Authentication(_) => "",
        };
        let message = format!("sql.listen = \"{}\"{}", sql.listen, hint.replacen(". ", ": ", 1));
        anyhow::Error::new(error).context(message)
    })
}
