//! What a strong read costs in each region while the other one updates: rows that nobody writes, then all rows.
use super::work::{Samples, Statement, Work, run as run_work};
use super::{BenchTable, Settings};
use crate::place::Place;
use crate::signals::StopSignals;
use crate::terminal::{Progress, Tone, cell, duration, table};
use crate::testbed::Testbed;
use anyhow::Result;
use serde::Serialize;
use std::time::Duration;

#[derive(Debug, Serialize)]
pub struct Read {
    pub runs: Vec<Run>,
}

#[derive(Debug, Serialize)]
pub struct Run {
    pub reader: Place,
    /// The other region updates every row that is read, or none of them.
    pub rows_are_written: bool,
    pub reads: Samples,
    pub updates: Samples,
}

pub async fn run(
    testbed: &Testbed,
    settings: Settings,
    progress: &Progress,
    signals: &mut StopSignals,
) -> Result<Read> {
    let table = BenchTable::create(testbed, settings.rows, progress, signals).await?;
    let runs = signals.unless_heard(run_all(testbed, settings, &table, progress)).await;
    table.drop().await?;
    Ok(Read { runs: runs? })
}

async fn run_all(testbed: &Testbed, settings: Settings, table: &BenchTable, progress: &Progress) -> Result<Vec<Run>> {
    let endpoints = testbed.endpoints()?;
    let mut runs = Vec::new();
    for reader in Place::REGIONS {
        for rows_are_written in [false, true] {
            let what = if rows_are_written { "all rows" } else { "rows that nobody writes" };
            progress.step(format!("bench: strong reads of {what} in {reader}, {} s", settings.seconds));
            let middle = settings.rows / 2;
            let (read, written) = match rows_are_written {
                true => (0..settings.rows, 0..settings.rows),
                false => (middle..settings.rows, 0..middle),
            };
            let work = |region: Place, statement, ids| Work {
                address: endpoints[&region],
                clients: settings.clients,
                statement,
                table: table.name.clone(),
                ids,
            };
            let works = [work(reader, Statement::Read, read), work(reader.other_region(), Statement::Update, written)];
            let [reads, updates] = <[Samples; 2]>::try_from(run_work(&works, settings.seconds).await?)
                .expect("two groups of clients give two results");
            runs.push(Run { reader, rows_are_written, reads, updates });
        }
    }
    Ok(runs)
}

impl Read {
    pub fn render(&self, rtt: Duration) -> String {
        let mut out =
            table(&["strong read in", "rows", "per second", "p50", "p99", "max", "errors", "updates/s elsewhere"]);
        for run in &self.runs {
            out.add_row(vec![
                cell(Tone::Plain, run.reader),
                cell(Tone::Plain, if run.rows_are_written { "all, written meanwhile" } else { "nobody writes" }),
                cell(Tone::Plain, format!("{:.0}", run.reads.per_second())),
                cell(Tone::Plain, duration(run.reads.quantile(0.5))),
                cell(Tone::Plain, duration(run.reads.quantile(0.99))),
                cell(Tone::Plain, duration(run.reads.max())),
                cell(Tone::Plain, run.reads.errors()),
                cell(Tone::Plain, format!("{:.0}", run.updates.per_second())),
            ]);
        }
        format!("{out}\nmeasured round trip {}\n", duration(rtt))
    }
}
