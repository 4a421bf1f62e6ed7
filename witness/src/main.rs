//! The witness: the third vote. Wiring only; what it does is `trivet-node` without a state machine.
use anyhow::Context;
use clap::Parser;
use std::io::IsTerminal;
use std::net::SocketAddr;
use std::path::PathBuf;
use tokio::signal::unix::{SignalKind, signal};
use tracing_subscriber::EnvFilter;
use trivet_log::{Index, NoMachine, NodeKind};
use trivet_node::http::{self, HttpOptions};
use trivet_node::{ConfigFile, NoExtra, Node, NodeHandle, NodeOptions, prometheus};

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
}

fn main() -> anyhow::Result<()> {
    // Before anything can ask for TLS.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let arguments = Arguments::parse();
    let filter =
        EnvFilter::try_new(&arguments.log).with_context(|| format!("--log {:?} is no filter", arguments.log))?;
    let colours = std::io::stderr().is_terminal();
    tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).with_ansi(colours).init();
    match run(arguments) {
        Ok(()) => Ok(()),
        Err(error) => {
            tracing::error!("{error:#}");
            std::process::exit(1)
        }
    }
}

fn run(arguments: Arguments) -> anyhow::Result<()> {
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
    let metrics = prometheus::install().context("cannot install the metrics recorder")?;

    // Signals first: one that comes during the start still stops it cleanly.
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build()?;
    let (mut terminate, mut interrupt) = {
        let _inside = runtime.enter();
        (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?)
    };
    let node = start(config)?;
    runtime.block_on(async {
        let listen = node.config().listen.http;
        let http = http::serve(listen, node.clone(), HttpOptions::new(metrics), axum::Router::new()).await?;
        tracing::info!(quic = %node.quic_address(), %http, boot = node.boot().0, "the witness is up");
        tokio::select! {
            _ = terminate.recv() => tracing::info!("SIGTERM: stopping"),
            _ = interrupt.recv() => tracing::info!("SIGINT: stopping"),
        }
        node.stop_async().await;
        anyhow::Ok(())
    })?;
    tracing::info!("stopped");
    Ok(())
}

fn start(config: trivet_node::NodeConfig) -> anyhow::Result<NodeHandle> {
    // A witness has nothing to replay: what its window holds stays on disk until a candidate asks for it.
    let opened = Node::open(config, NodeOptions::default(), Index(u64::MAX))?;
    let (node, applier) = opened.start(NoMachine, Index(0))?;
    drop(applier);
    Ok(node)
}
