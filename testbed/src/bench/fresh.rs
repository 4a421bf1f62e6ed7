//! Is a strong read strong? Each client updates a row of its own in one region and, once that is acknowledged, reads it at
//! once in the other one; half of the clients write in A, half in B.
use super::work::Samples;
use super::{BenchTable, Settings};
use crate::place::Place;
use crate::signals::StopSignals;
use crate::sql::{Endpoint, connect, within};
use crate::terminal::{Progress, Tone, cell, duration, table};
use crate::testbed::Testbed;
use anyhow::{Context, Result, bail};
use serde::Serialize;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

const ANSWER_WITHIN: Duration = Duration::from_secs(30);
/// A client whose every statement fails shall not spin.
const AFTER_FAILURE: Duration = Duration::from_millis(5);
/// So many failures in a row, and there is nothing to measure.
const FAILURES_MAX: u32 = 1000;

#[derive(Debug, Serialize)]
pub struct Fresh {
    pub ways: Vec<Way>,
}

#[derive(Debug, Serialize)]
pub struct Way {
    pub writer: Place,
    pub reader: Place,
    /// Reads that did not show what had been acknowledged before they began.
    pub stale: u64,
    pub first_stale: Option<String>,
    pub writes: Samples,
    pub reads: Samples,
}

pub async fn run(
    testbed: &Testbed,
    settings: Settings,
    checks: u64,
    progress: &Progress,
    signals: &mut StopSignals,
) -> Result<Fresh> {
    let rows = settings.clients as i32 * 2;
    let table = BenchTable::create(testbed, rows, progress, signals).await?;
    let measured = signals.unless_heard(both_ways(testbed, settings.clients, checks, &table.name, progress)).await;
    table.drop().await?;
    Ok(Fresh { ways: measured? })
}

async fn both_ways(
    testbed: &Testbed,
    clients: usize,
    checks: u64,
    table: &str,
    progress: &Progress,
) -> Result<Vec<Way>> {
    let endpoints = testbed.endpoints()?;
    let begun = Arc::new([AtomicU64::new(0), AtomicU64::new(0)]);
    let ways = Place::REGIONS.into_iter().enumerate().map(async |(way, writer)| -> Result<Way> {
        let reader = writer.other_region();
        let tasks: Vec<_> = (0..clients)
            .map(|client| {
                let id = (client * 2 + way) as i32;
                let client = Client {
                    writer: endpoints[&writer],
                    reader: endpoints[&reader],
                    table: table.to_owned(),
                    id,
                    way,
                    checks,
                };
                tokio::spawn(client.run(begun.clone()))
            })
            .collect();
        let mut all =
            Way { writer, reader, stale: 0, first_stale: None, writes: Samples::new(), reads: Samples::new() };
        for task in futures::future::join_all(tasks).await {
            let one = task.context("a client of the bench panicked")??;
            all.stale += one.stale;
            all.first_stale = all.first_stale.or(one.first_stale);
            all.writes.add(one.writes);
            all.reads.add(one.reads);
        }
        Ok(all)
    });
    let measuring = futures::future::join_all(ways);
    let telling = async {
        loop {
            let done: u64 = begun.iter().map(|begun| begun.load(Ordering::Relaxed).min(checks)).sum();
            progress.step(format!("bench: write in one region, read in the other, {done} of {}", checks * 2));
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
    };
    tokio::select! {
        ways = measuring => ways.into_iter().collect(),
        () = telling => unreachable!("it tells without end"),
    }
}

struct Client {
    writer: Endpoint,
    reader: Endpoint,
    table: String,
    id: i32,
    way: usize,
    checks: u64,
}

struct Seen {
    stale: u64,
    first_stale: Option<String>,
    writes: Samples,
    reads: Samples,
}

impl Client {
    async fn run(self, begun: Arc<[AtomicU64; 2]>) -> Result<Seen> {
        let writing = connect(self.writer, ANSWER_WITHIN).await.context("a client of the bench cannot connect")?;
        let reading = connect(self.reader, ANSWER_WITHIN).await.context("a client of the bench cannot connect")?;
        let update = format!("UPDATE {} SET value = $2 WHERE id = $1", self.table);
        let select = format!("SELECT value FROM {} WHERE id = $1", self.table);
        let update = within(ANSWER_WITHIN, writing.client.prepare(&update)).await?;
        let select = within(ANSWER_WITHIN, reading.client.prepare(&select)).await?;
        let mut seen = Seen { stale: 0, first_stale: None, writes: Samples::new(), reads: Samples::new() };
        let start = Instant::now();
        let mut value = 0i64;
        let mut failures = 0;
        // One take is one check: a failed statement is tried again.
        while begun[self.way].fetch_add(1, Ordering::Relaxed) < self.checks {
            loop {
                if failures > FAILURES_MAX {
                    bail!("{failures} statements in a row failed: {}", seen.writes.errors());
                }
                value += 1;
                let at = Instant::now();
                let written = within(ANSWER_WITHIN, writing.client.execute(&update, &[&self.id, &value])).await;
                if !seen.writes.take(at, written.map(drop))? {
                    failures += 1;
                    tokio::time::sleep(AFTER_FAILURE).await;
                    continue;
                }
                let at = Instant::now();
                let read = within(ANSWER_WITHIN, reading.client.query_one(&select, &[&self.id])).await;
                let shown = read.as_ref().ok().map(|row| row.get::<_, i64>(0));
                if !seen.reads.take(at, read.map(drop))? {
                    failures += 1;
                    tokio::time::sleep(AFTER_FAILURE).await;
                    continue;
                }
                failures = 0;
                if shown != Some(value) {
                    seen.stale += 1;
                    let text = format!("row {} was acknowledged as {value} and read as {shown:?}", self.id);
                    seen.first_stale.get_or_insert(text);
                }
                break;
            }
        }
        seen.writes.lasted(start.elapsed());
        seen.reads.lasted(start.elapsed());
        Ok(seen)
    }
}

impl Fresh {
    pub fn is_stale(&self) -> bool {
        self.ways.iter().any(|way| way.stale > 0)
    }

    pub fn render(&self, rtt: Duration) -> String {
        let heads = ["written in", "read in", "checks", "stale", "write p50", "read p50", "read p99", "errors"];
        let mut out = table(&heads);
        for way in &self.ways {
            let tone = if way.stale == 0 { Tone::Good } else { Tone::Bad };
            let errors = format!("writes {}; reads {}", way.writes.errors(), way.reads.errors());
            out.add_row(vec![
                cell(Tone::Plain, way.writer),
                cell(Tone::Plain, way.reader),
                cell(Tone::Plain, way.reads.count()),
                cell(tone, way.stale),
                cell(Tone::Plain, duration(way.writes.quantile(0.5))),
                cell(Tone::Plain, duration(way.reads.quantile(0.5))),
                cell(Tone::Plain, duration(way.reads.quantile(0.99))),
                cell(Tone::Plain, errors),
            ]);
        }
        let told: Vec<String> = self.ways.iter().filter_map(|way| way.first_stale.clone()).collect();
        format!("{out}\nmeasured round trip {}\n{}", duration(rtt), told.join("\n"))
    }
}
