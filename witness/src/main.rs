//! The witness: the third vote. Wiring only; what it does is `trivet-node` without a state machine.
use anyhow::Context;
use clap::Parser;
use std::net::SocketAddr;
use std::path::PathBuf;
use tokio::signal::unix::{SignalKind, signal};
use trivet_log::{Index, NoMachine, NodeKind};
use trivet_node::http::{self, HttpOptions};
use trivet_node::logging::LogControl;
use trivet_node::{ConfigFile, NoExtra, Node, NodeHandle, NodeOptions, notify, prometheus};

/// Votes, makes promises, and keeps what a region that is away has not got. Stores no data when all are well.
#[derive(Parser)]
#[command(name = "trivet-witness", version)]
struct Arguments {
    /// The configuration file (TOML)
    #[arg(long, value_name = "FILE")]
    config: PathBuf,
    /// Instead of listen.quic
    #[arg(long, value_name = "ADDRESS")]
    listen_quic: Option<SocketAddr>,
    /// Instead of listen.http
    #[arg(long, value_name = "ADDRESS")]
    listen_http: Option<SocketAddr>,
    /// Instead of node.data_dir
    #[arg(long, value_name = "FOLDER")]
    data_dir: Option<PathBuf>,
    /// What to log: error, warn, info, debug, trace, or a filter such as `info,trivet_transport=debug`
    #[arg(long, value_name = "FILTER", env = "TRIVET_LOG", default_value = "info")]
    log: String,
    /// Check the configuration and end
    #[arg(long)]
    check: bool,
}

fn main() -> anyhow::Result<()> {
    // Before anything can ask for TLS.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let arguments = Arguments::parse();
    let log = trivet_node::logging::install(&arguments.log).context("--log")?;
    match run(arguments, log) {
        Ok(()) => Ok(()),
        Err(error) => {
            tracing::error!("{error:#}");
            std::process::exit(1)
        }
    }
}

fn run(arguments: Arguments, log: LogControl) -> anyhow::Result<()> {
    let mut config = ConfigFile::<NoExtra>::read(&arguments.config)?.common;
    if let Some(address) = arguments.listen_quic {
        config.listen.quic = address;
    }
    if let Some(address) = arguments.listen_http {
        config.listen.http = address;
    }
    if let Some(folder) = arguments.data_dir {
        config.node.data_dir = folder;
    }
    if config.kind() != NodeKind::Witness {
        anyhow::bail!("{}: node {} is a region, not a witness", arguments.config.display(), config.node.name);
    }
    if arguments.check {
        tracing::info!("{} is a good configuration", arguments.config.display());
        return Ok(());
    }
    let metrics = prometheus::install().context("cannot install the metrics recorder")?;

    // Signals first: one that comes during the start still stops it cleanly.
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build()?;
    let [mut terminate, mut interrupt, mut hangup] = {
        let _inside = runtime.enter();
        [signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?, signal(SignalKind::hangup())?]
    };
    let node = start(config)?;
    runtime.block_on(async {
        let listen = node.config().listen.http;
        let options = HttpOptions { log: Some(log), ..HttpOptions::new(metrics) };
        let http = http::serve(listen, node.clone(), options, axum::Router::new()).await?;
        tracing::info!(quic = %node.quic_address(), %http, boot = node.boot().0, "the witness is up");
        notify::ready();
        loop {
            tokio::select! {
                _ = terminate.recv() => break tracing::info!("SIGTERM: stopping"),
                _ = interrupt.recv() => break tracing::info!("SIGINT: stopping"),
                _ = hangup.recv() => reload(node.clone()).await,
            }
        }
        notify::stopping();
        node.stop_async().await;
        anyhow::Ok(())
    })?;
    tracing::info!("stopped");
    Ok(())
}

/// What came of it is logged where it is done.
async fn reload(node: NodeHandle) {
    let _ = tokio::task::spawn_blocking(move || node.reload_certificates()).await; // it cannot panic
}

fn start(config: trivet_node::NodeConfig) -> anyhow::Result<NodeHandle> {
    // A witness has nothing to replay: what its window holds stays on disk until a candidate asks for it.
    let opened = Node::open(config, NodeOptions::default(), Index(u64::MAX))?;
    let (node, applier) = opened.start(NoMachine, Index(0))?;
    drop(applier);
    Ok(node)
}
