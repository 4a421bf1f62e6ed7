//! A server of one region in memory, for psql and pgbench by hand: `cargo run -p trivet-sql --example serve -- 127.0.0.1:5433`.
//! Nothing is kept.
use std::error::Error;
use std::net::SocketAddr;
use std::sync::Arc;
use tokio_util::sync::CancellationToken;
use trivet_gateway::{GatewayConfig, ListenAddress, Trust, serve};
use trivet_sql::{SharedEngine, SqlEngine, index_builder};
use trivet_storage::MemoryStore;

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let address = std::env::args().nth(1).unwrap_or_else(|| "127.0.0.1:5433".to_string());
    let address: SocketAddr = address.parse()?;
    let database = trivet_txn::local_database(Arc::new(MemoryStore::new()), index_builder());
    let engine = SqlEngine::new(database, "local");
    let config = GatewayConfig { listen: vec![ListenAddress::Tcp(address)], ..GatewayConfig::default() };
    let shutdown = CancellationToken::new();
    let handle = serve(config, Arc::new(SharedEngine(engine)), Arc::new(Trust), shutdown.clone()).await?;
    eprintln!("listening on {:?}", handle.addresses());
    tokio::signal::ctrl_c().await?;
    shutdown.cancel();
    Ok(())
}
