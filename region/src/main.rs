//! `trivet-region`: one region of a cluster. Storage, log, transactions, SQL and the gateway, put together; nothing else lives here.
use clap::Parser;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;
use tokio::signal::unix::{SignalKind, signal};
use trivet_node::logging::LogControl;
use trivet_node::notify;

// RocksDB and the SQL session allocate many small pieces, and free them on other threads.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

mod access;
mod applying;
mod config;
mod digest;
mod log;
mod region;
mod tls;

/// One region of a Trivet cluster: a PostgreSQL endpoint, a full copy of the data, a vote.
#[derive(Parser, Debug)]
#[command(version)]
struct Arguments {
    /// The configuration file (TOML). docs/configuration.md describes it.
    #[arg(long, value_name = "FILE")]
    config: PathBuf,
    /// In place of node.data_dir.
    #[arg(long, value_name = "DIR")]
    data_dir: Option<PathBuf>,
    /// In place of sql.listen.
    #[arg(long, value_name = "ADDRESS")]
    listen_sql: Option<SocketAddr>,
    /// In place of listen.quic.
    #[arg(long, value_name = "ADDRESS")]
    listen_quic: Option<SocketAddr>,
    /// In place of listen.http.
    #[arg(long, value_name = "ADDRESS")]
    listen_http: Option<SocketAddr>,
    /// What to log: error, warn, info, debug, or tracing's directives.
    #[arg(long, env = "TRIVET_LOG", default_value = "info", value_name = "LEVEL")]
    log: String,
    /// Check the configuration and end.
    #[arg(long)]
    check: bool,
}

/// Deep expressions recurse; the parser bounds how deep.
const WORKER_STACK_BYTES: usize = 8 << 20;

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let log = match trivet_node::logging::install(&arguments.log) {
        Ok(log) => log,
        Err(error) => {
            eprintln!("--log: {error}");
            return ExitCode::FAILURE;
        }
    };
    // One provider, chosen before anything speaks TLS.
    if rustls::crypto::ring::default_provider().install_default().is_err() {
        tracing::error!("another TLS provider was installed first");
        return ExitCode::FAILURE;
    }
    let result = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .thread_name("session")
        .thread_stack_size(WORKER_STACK_BYTES)
        .build()
        .map_err(anyhow::Error::from)
        .and_then(|runtime| runtime.block_on(run(arguments, log)));
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            tracing::error!("{error:#}");
            ExitCode::FAILURE
        }
    }
}

async fn run(arguments: Arguments, log: LogControl) -> anyhow::Result<()> {
    let mut config = region::read_config(&arguments.config)?;
    let common = &mut config.common;
    common.node.data_dir = arguments.data_dir.unwrap_or(common.node.data_dir.clone());
    common.listen.quic = arguments.listen_quic.unwrap_or(common.listen.quic);
    common.listen.http = arguments.listen_http.unwrap_or(common.listen.http);
    config.extra.sql.listen = arguments.listen_sql.unwrap_or(config.extra.sql.listen);
    if arguments.check {
        tracing::info!("{} is a good configuration", arguments.config.display());
        return Ok(());
    }
    // Before anything starts, so that a signal during the start is not lost.
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut hangup = signal(SignalKind::hangup())?;
    let region = region::Region::start(config, log).await?;
    notify::ready();
    loop {
        tokio::select! {
            _ = terminate.recv() => break tracing::info!("asked to stop"),
            _ = interrupt.recv() => break tracing::info!("interrupted, stopping"),
            _ = hangup.recv() => region.reload().await,
        }
    }
    notify::stopping();
    region.stop().await;
    Ok(())
}
