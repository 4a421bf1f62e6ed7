//! A gateway without a database behind it: what the protocol alone costs, and a target for hostile clients.
//!
//! `cargo run --example toy_server -- 127.0.0.1:5440`
#[path = "../tests/it/toy.rs"]
mod toy;

use std::sync::Arc;
use tokio_util::sync::CancellationToken;
use trivet_gateway::{GatewayConfig, ListenAddress, ShutdownMode, Trust, serve};

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let address = std::env::args().nth(1).unwrap_or_else(|| "127.0.0.1:5440".to_owned());
    let config = GatewayConfig { listen: vec![ListenAddress::Tcp(address.parse()?)], ..GatewayConfig::default() };
    let engine = Arc::new(toy::Toy::default());
    let handle = serve(config, engine, Arc::new(Trust), CancellationToken::new()).await?;
    tokio::signal::ctrl_c().await?;
    handle.shutdown(ShutdownMode::Fast).await;
    Ok(())
}
