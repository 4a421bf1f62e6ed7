//! A load's own tables: made before, read out at the end, dropped after. Their names carry a random part, so they meet
//! nobody's data.
use super::deeds::DeedTables;
use crate::place::Place;
use crate::sql::Endpoint;
use crate::sql::{self, Failure, connect, within};
use anyhow::{Context, Result};
use std::collections::BTreeSet;
use std::time::Duration;

pub const REGISTERS: i32 = 8;
pub const ACCOUNTS: i32 = 16;
pub const OPENING_BALANCE: i32 = 1000;

/// What the server calls a table that is not there.
pub const UNDEFINED_TABLE: &str = "42P01";

const PREPARE_WITHIN: Duration = Duration::from_secs(30);

#[derive(Clone, Debug)]
pub struct Tables {
    pub rows: String,
    pub registers: String,
    pub accounts: String,
    pub deeds: DeedTables,
}

/// What a region holds at the end.
#[derive(Clone, Debug, Default)]
pub struct Contents {
    pub rows: BTreeSet<i64>,
    pub registers: Vec<(i32, i64)>,
    pub balance: i64,
}

impl Tables {
    pub fn named_at_random() -> Tables {
        let name = format!("trivet_drill_{:08x}", rand::random::<u32>());
        Tables {
            rows: format!("{name}_rows"),
            registers: format!("{name}_registers"),
            accounts: format!("{name}_accounts"),
            deeds: DeedTables::named(&name),
        }
    }

    pub async fn create(&self, address: Endpoint) -> Result<()> {
        let Tables { rows, registers, accounts, deeds } = self;
        let list =
            |count: i32, value: i32| (0..count).map(|id| format!("({id}, {value})")).collect::<Vec<_>>().join(", ");
        for statement in [
            format!("CREATE TABLE {rows} (id bigint PRIMARY KEY, region text NOT NULL)"),
            format!("CREATE TABLE {registers} (id integer PRIMARY KEY, value bigint NOT NULL)"),
            format!("CREATE TABLE {accounts} (id integer PRIMARY KEY, balance integer NOT NULL)"),
            format!("INSERT INTO {registers} (id, value) VALUES {}", list(REGISTERS, 0)),
            format!("INSERT INTO {accounts} (id, balance) VALUES {}", list(ACCOUNTS, OPENING_BALANCE)),
        ] {
            sql::run(address, &statement, PREPARE_WITHIN).await.context("the drill's tables cannot be made")?;
        }
        for statement in deeds.definitions() {
            sql::run(address, &statement, PREPARE_WITHIN).await.context("the drill's tables cannot be made")?;
        }
        Ok(())
    }

    /// Each table by itself, so that one that is missing does not keep the others.
    pub async fn drop(&self, address: Endpoint) -> Result<()> {
        for table in [&self.rows, &self.registers, &self.accounts] {
            sql::run(address, &format!("DROP TABLE IF EXISTS {table}"), PREPARE_WITHIN).await?;
        }
        for statement in self.deeds.drops() {
            sql::run(address, &statement, PREPARE_WITHIN).await?;
        }
        Ok(())
    }

    /// Reads everything through one region. A table that is lost holds nothing.
    pub async fn contents(&self, region: Place, address: Endpoint, bound: Duration) -> Result<Contents> {
        let read = async {
            let session = connect(address, bound).await?;
            let client = &session.client;
            let rows = within(bound, client.query_typed(&format!("SELECT id FROM {}", self.rows), &[])).await?;
            let registers =
                within(bound, client.query_typed(&format!("SELECT id, value FROM {}", self.registers), &[])).await?;
            let accounts =
                within(bound, client.query_typed(&format!("SELECT id, balance FROM {}", self.accounts), &[])).await?;
            Ok::<_, Failure>(Contents {
                rows: rows.iter().map(|row| row.get::<_, i64>(0)).collect(),
                registers: registers.iter().map(|row| (row.get(0), row.get(1))).collect(),
                balance: accounts.iter().map(|row| i64::from(row.get::<_, i32>(1))).sum(),
            })
        };
        match read.await {
            Err(failure) if failure.code.0 == UNDEFINED_TABLE => Ok(Contents::default()),
            other => other.with_context(|| format!("region {region} cannot be read at the end")),
        }
    }
}
