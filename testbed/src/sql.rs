//! Talking to a region as a client does, and telling what an error means for the fate of a write.
use crate::history::{Code, Outcome};
use crate::layout::Directory;
use crate::layout::password::Password;
use anyhow::{Context, Result};
use std::net::SocketAddr;
use std::time::Duration;
use tokio::task::JoinHandle;
use tokio_postgres::{Client, Config, NoTls};

/// User and database of a testbed's endpoints.
pub const USER: &str = "postgres";
pub const DATABASE: &str = "postgres";

/// Where a region speaks SQL, and what it asks for.
#[derive(Clone, Copy, Debug)]
pub struct Endpoint {
    pub address: SocketAddr,
    pub password: Option<Password>,
}

impl std::fmt::Display for Endpoint {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.address.fmt(f)
    }
}

impl Endpoint {
    /// How `psql` and most drivers are told where to connect; all that is needed, so with the password.
    pub fn connection_string(&self, directory: &Directory) -> String {
        let Endpoint { address, password } = self;
        match password {
            None => format!("postgresql://{USER}@{address}/{DATABASE}"),
            Some(password) => format!(
                "postgresql://{USER}:{}@{address}/{DATABASE}?sslmode=verify-full&sslrootcert={}",
                password.text(),
                directory.authority().display()
            ),
        }
    }
}

/// A connection, closed when it is dropped.
#[derive(Debug)]
pub struct Session {
    pub client: Client,
    driver: JoinHandle<()>,
}

impl Drop for Session {
    fn drop(&mut self) {
        self.driver.abort();
    }
}

/// What the client knows when a statement did not answer as hoped.
#[derive(Debug)]
pub struct Failure {
    pub code: Code,
    pub message: String,
    /// The statement may have had an effect.
    pub unknown: bool,
    /// The connection is of no more use.
    pub broken: bool,
}

impl Failure {
    pub fn timeout() -> Failure {
        Failure { code: Code::of("timeout"), message: "no answer in time".into(), unknown: true, broken: true }
    }

    pub fn outcome(&self) -> Outcome {
        if self.unknown { Outcome::Unknown(self.code.clone()) } else { Outcome::NotDone(self.code.clone()) }
    }
}

impl std::fmt::Display for Failure {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} ({})", self.message, self.code.0)
    }
}
impl std::error::Error for Failure {}

impl From<tokio_postgres::Error> for Failure {
    fn from(error: tokio_postgres::Error) -> Failure {
        match error.as_db_error() {
            Some(said) => Failure {
                code: Code::of(said.code().code()),
                message: said.message().to_owned(),
                unknown: leaves_fate_unknown(said.code().code()),
                broken: matches!(said.severity(), "FATAL" | "PANIC") || error.is_closed(),
            },
            None => Failure { code: Code::of("connection"), message: error.to_string(), unknown: true, broken: true },
        }
    }
}

/// The codes that do not say whether the statement's commit happened: 40003 and 08007 by their definition, a server
/// that stops, an internal error, a connection error. Every other code says that it did not.
pub fn leaves_fate_unknown(code: &str) -> bool {
    matches!(code, "40003" | "57P01" | "57P02" | "57P05") || code.starts_with("08") || code.starts_with("XX")
}

pub fn config(endpoint: Endpoint, bound: Duration) -> Config {
    let mut config = Config::new();
    if let Some(password) = endpoint.password {
        config.password(password.text());
    }
    config
        .host(endpoint.address.ip().to_string())
        .port(endpoint.address.port())
        .user(USER)
        .dbname(DATABASE)
        .application_name("trivet")
        .connect_timeout(bound);
    config
}

/// Connects, all of it within `bound`.
pub async fn connect(endpoint: Endpoint, bound: Duration) -> Result<Session, Failure> {
    let config = config(endpoint, bound);
    match tokio::time::timeout(bound, config.connect(NoTls)).await {
        Ok(Ok((client, connection))) => {
            let driver = tokio::spawn(async move {
                // The client hears of every error too.
                let _ = connection.await;
            });
            Ok(Session { client, driver })
        }
        Ok(Err(error)) => Err(error.into()),
        Err(_) => Err(Failure::timeout()),
    }
}

/// Waits for `answer` at most `bound`.
pub async fn within<T>(
    bound: Duration,
    answer: impl Future<Output = Result<T, tokio_postgres::Error>>,
) -> Result<T, Failure> {
    match tokio::time::timeout(bound, answer).await {
        Ok(answer) => answer.map_err(Failure::from),
        Err(_) => Err(Failure::timeout()),
    }
}

/// Connects anew and runs statements that return nothing, for preparing and cleaning up.
pub async fn run(endpoint: Endpoint, statements: &str, bound: Duration) -> Result<()> {
    let session = connect(endpoint, bound).await.with_context(|| format!("cannot connect to {endpoint}"))?;
    within(bound, session.client.batch_execute(statements))
        .await
        .with_context(|| format!("'{}' failed", statements.chars().take(100).collect::<String>()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_and_the_fate_of_a_commit() {
        for unknown in ["40003", "08007", "08006", "57P01", "57P02", "XX000"] {
            assert!(leaves_fate_unknown(unknown), "{unknown}");
        }
        for not_done in ["40001", "40P01", "57P03", "23505", "57014", "42P01", "53100"] {
            assert!(!leaves_fate_unknown(not_done), "{not_done}");
        }
    }
}
