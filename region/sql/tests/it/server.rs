//! A server of one region in memory, and clients of it.
use std::sync::Arc;
use tokio_postgres::{Client, Config, NoTls};
use tokio_util::sync::CancellationToken;
use trivet_gateway::{GatewayConfig, GatewayHandle, ListenAddress, Trust, serve};
use trivet_sql::{EngineOptions, SharedEngine, SqlEngine, index_builder};
use trivet_storage::MemoryStore;
use trivet_txn::Database;

pub struct Server {
    handle: GatewayHandle,
    shutdown: CancellationToken,
}

impl Server {
    pub async fn start() -> Server {
        Server::of(trivet_txn::local_database(Arc::new(MemoryStore::new()), index_builder()), "local").await
    }

    /// Over a database that others may use, too.
    pub async fn of(database: Arc<dyn Database>, region: &str) -> Server {
        Server::serving(SqlEngine::new(database, region)).await
    }

    /// In memory, with choices of its own.
    pub async fn with_options(options: EngineOptions) -> Server {
        let database = trivet_txn::local_database(Arc::new(MemoryStore::new()), index_builder());
        Server::serving(SqlEngine::with_options(database, "local", options).expect("a folder")).await
    }

    async fn serving(engine: Arc<SqlEngine>) -> Server {
        let address = "127.0.0.1:0".parse().expect("an address");
        let config = GatewayConfig { listen: vec![ListenAddress::Tcp(address)], ..GatewayConfig::default() };
        let shutdown = CancellationToken::new();
        let handle = serve(config, Arc::new(SharedEngine(engine)), Arc::new(Trust), shutdown.clone()).await;
        Server { handle: handle.expect("a loopback port"), shutdown }
    }

    pub fn config(&self) -> Config {
        let mut config = Config::new();
        config.host("127.0.0.1").port(self.handle.local_addr().expect("a TCP address").port());
        config.user("postgres").dbname("postgres");
        config
    }

    /// For the comparison with PostgreSQL.
    pub fn target(&self) -> trivet_compat::Target {
        trivet_compat::Target::new(trivet_compat::Address::Tcp(self.handle.local_addr().expect("a TCP address")))
    }

    pub async fn client(&self) -> Client {
        connect(&self.config()).await
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.shutdown.cancel();
    }
}

pub async fn connect(config: &Config) -> Client {
    let (client, connection) = config.connect(NoTls).await.expect("a server that listens");
    tokio::spawn(async move {
        // Ends with the client; what went wrong shows in the client's calls.
        let _ = connection.await;
    });
    client
}

/// Run one text as a simple Query and show everything that came back.
pub async fn outcome(client: &Client, sql: &str) -> String {
    use tokio_postgres::SimpleQueryMessage as M;
    let mut shown = String::new();
    match client.simple_query(sql).await {
        Ok(messages) => {
            for message in messages {
                match message {
                    M::RowDescription(columns) => {
                        let names: Vec<&str> = columns.iter().map(|column| column.name()).collect();
                        shown.push_str(&format!("[{}]\n", names.join("|")));
                    }
                    M::Row(row) => {
                        let fields: Vec<&str> = (0..row.len()).map(|at| row.get(at).unwrap_or("<null>")).collect();
                        shown.push_str(&format!("{}\n", fields.join("|")));
                    }
                    M::CommandComplete(count) => shown.push_str(&format!("({count})\n")),
                    _ => {}
                }
            }
        }
        Err(error) => shown.push_str(&describe(&error)),
    }
    shown
}

/// Every field of a server's error.
pub fn describe(error: &tokio_postgres::Error) -> String {
    use tokio_postgres::error::ErrorPosition;
    let Some(error) = error.as_db_error() else { return format!("client: {error}\n") };
    let mut shown = format!("{} {}: {}\n", error.severity(), error.code().code(), error.message());
    let position = error.position().map(|position| match position {
        ErrorPosition::Original(at) => at.to_string(),
        ErrorPosition::Internal { position, .. } => format!("internal {position}"),
    });
    let fields = [
        ("detail", error.detail().map(str::to_string)),
        ("hint", error.hint().map(str::to_string)),
        ("position", position),
        ("context", error.where_().map(str::to_string)),
        ("schema", error.schema().map(str::to_string)),
        ("table", error.table().map(str::to_string)),
        ("column", error.column().map(str::to_string)),
        ("constraint", error.constraint().map(str::to_string)),
    ];
    for (name, value) in fields {
        if let Some(value) = value {
            shown.push_str(&format!("  {name}: {value}\n"));
        }
    }
    shown
}
