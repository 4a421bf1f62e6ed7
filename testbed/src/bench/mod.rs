//! Benches: what a commit and a strong read cost, beside the round trip that was measured in the same run.
//!
//! ```text
//!   commit   autocommit update of one row by its primary key, uniform over all rows, in both regions at once
//!   read     strong read of one row by its primary key in one region while the other one updates
//!   fresh    write in one region, and once that is acknowledged read in the other; both ways at once; none may be stale
//!   peer     point reads, updates and TPC-B beside PostgreSQL with a synchronous standby, in alternating rounds (asked for by name)
//!   log      bytes over the ocean for each byte committed, and the witness's processor and bandwidth (asked for by name)
//!   net      what the links were asked to do, and what they do
//! ```
//!
//! Clients are closed loops: each sends its next statement when it has the answer to the last. So throughput is clients
//! divided by latency, until something is full. A bench makes a table of its own and drops it.
mod commit;
mod fresh;
mod log;
mod net;
pub mod peer;
mod protocols;
mod read;
mod work;

use crate::place::{Link, Place};
use crate::probe::{self, Rtt};
use crate::signals::StopSignals;
use crate::sql;
use crate::sql::Endpoint;
use crate::terminal::Progress;
use crate::testbed::Testbed;
use anyhow::{Context, Result};
use clap::ValueEnum;
use serde::Serialize;
use std::time::Duration;

pub const ROWS: i32 = 100_000;
const ROWS_A_STATEMENT: i32 = 1000;
const LOADERS: usize = 4;
const PREPARE_WITHIN: Duration = Duration::from_secs(60);

#[derive(Clone, Copy, PartialEq, Eq, Debug, ValueEnum)]
pub enum Bench {
    /// One-row updates in both regions at once
    Commit,
    /// Strong reads of one row while the other region updates
    Read,
    /// Writes in one region, each read in the other as soon as it is acknowledged
    Fresh,
    /// The links, asked and measured
    Net,
    /// What the log moves over the ocean and to the witness, idle and under load
    Log,
    /// Beside PostgreSQL with a synchronous standby, on this machine, without distance
    Peer,
}

impl Bench {
    pub fn name(self) -> String {
        self.to_possible_value().expect("no bench is hidden").get_name().to_owned()
    }

    /// Those that run on one testbed.
    pub const ALL: [Bench; 4] = [Bench::Net, Bench::Commit, Bench::Read, Bench::Fresh];
}

#[derive(Clone, Copy, Debug)]
pub struct Settings {
    pub seconds: u64,
    pub clients: usize,
    pub rows: i32,
    /// Of `fresh`, each way.
    pub checks: u64,
    /// Of `net`: several distances.
    pub sweep: bool,
}

#[derive(Debug, Serialize)]
pub struct BenchReport {
    pub link_profile: String,
    pub rtt_before: Option<Rtt>,
    pub rtt_after: Option<Rtt>,
    pub clients: usize,
    pub seconds: u64,
    pub rows: i32,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub net: Option<net::Net>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub log: Option<log::Moved>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub commit: Option<commit::Commit>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub read: Option<read::Read>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub fresh: Option<fresh::Fresh>,
}

pub async fn run(
    benches: &[Bench],
    testbed: &Testbed,
    settings: Settings,
    progress: &Progress,
    signals: &mut StopSignals,
) -> Result<(BenchReport, String)> {
    let state = testbed.state()?;
    let measure_rtt = async || -> Result<Option<Rtt>> {
        Ok(Rtt::of(&probe::measure(&state, Link::ALL[0], probe::Plan::QUICK).await?))
    };
    progress.step("bench: the round trip");
    let mut report = BenchReport {
        link_profile: state.link_profile.clone(),
        rtt_before: measure_rtt().await?,
        rtt_after: None,
        clients: settings.clients,
        seconds: settings.seconds,
        rows: settings.rows,
        net: None,
        log: None,
        commit: None,
        read: None,
        fresh: None,
    };
    let rtt = report.rtt_before.map_or(Duration::ZERO, Rtt::median);
    let mut texts = Vec::new();
    for bench in benches {
        match bench {
            Bench::Net => {
                let net = net::run(testbed, settings.sweep, progress, signals).await?;
                texts.push(net.render());
                report.net = Some(net);
            }
            Bench::Log => {
                let moved = log::run(testbed, settings, progress, signals).await?;
                texts.push(moved.render());
                report.log = Some(moved);
            }
            Bench::Commit => {
                let commit = commit::run(testbed, settings, progress, signals).await?;
                texts.push(commit.render(rtt));
                report.commit = Some(commit);
            }
            Bench::Read => {
                let read = read::run(testbed, settings, progress, signals).await?;
                texts.push(read.render(rtt));
                report.read = Some(read);
            }
            Bench::Peer => unreachable!("it has a testbed of its own"),
            Bench::Fresh => {
                let fresh = fresh::run(testbed, settings, settings.checks, progress, signals).await?;
                texts.push(fresh.render(rtt));
                report.fresh = Some(fresh);
            }
        }
    }
    report.rtt_after = measure_rtt().await?;
    Ok((report, texts.join("\n")))
}

impl BenchReport {
    /// A sweep found a link that does not do what it was asked to.
    pub fn off(&self) -> bool {
        self.net.as_ref().is_some_and(net::Net::is_off)
    }

    /// A bench measures; only a stale read makes it fail.
    pub fn stale(&self) -> bool {
        self.fresh.as_ref().is_some_and(fresh::Fresh::is_stale)
    }
}

/// A table of `rows` rows, dropped at the end of the bench.
#[derive(Debug)]
struct BenchTable {
    name: String,
    address: Endpoint,
}

impl BenchTable {
    async fn create(
        testbed: &Testbed,
        rows: i32,
        progress: &Progress,
        signals: &mut StopSignals,
    ) -> Result<BenchTable> {
        let address = testbed.endpoints()?[&Place::A];
        let name = format!("trivet_bench_{:08x}", rand::random::<u32>());
        let text = format!("CREATE TABLE {name} (id integer PRIMARY KEY, value bigint NOT NULL)");
        sql::run(address, &text, PREPARE_WITHIN).await.context("the bench's table cannot be made")?;
        let table = BenchTable { name, address };
        match signals.unless_heard(table.fill(rows, progress)).await {
            Ok(()) => Ok(table),
            Err(error) => {
                table.drop().await?;
                Err(error)
            }
        }
    }

    async fn fill(&self, rows: i32, progress: &Progress) -> Result<()> {
        let firsts: Vec<i32> = (0..rows).step_by(ROWS_A_STATEMENT as usize).collect();
        let loaders = (0..LOADERS).map(async |loader| -> Result<()> {
            let session = sql::connect(self.address, PREPARE_WITHIN).await?;
            for first in firsts.iter().skip(loader).step_by(LOADERS) {
                if loader == 0 {
                    progress.step(format!("bench: filling a table, {first} of {rows} rows"));
                }
                let last = (first + ROWS_A_STATEMENT).min(rows);
                let values: Vec<String> = (*first..last).map(|id| format!("({id}, 0)")).collect();
                let text = format!("INSERT INTO {} (id, value) VALUES {}", self.name, values.join(", "));
                sql::within(PREPARE_WITHIN, session.client.batch_execute(&text)).await?;
            }
            Ok(())
        });
        let loaded = futures::future::join_all(loaders).await;
        loaded.into_iter().collect::<Result<()>>().context("the bench's table cannot be filled")
    }

    async fn drop(&self) -> Result<()> {
        sql::run(self.address, &format!("DROP TABLE IF EXISTS {}", self.name), PREPARE_WITHIN).await
    }
}
