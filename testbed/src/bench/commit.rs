//! What a commit costs in each region while both commit.
use super::work::{Samples, Statement, Work, run as run_work};
use super::{BenchTable, Settings};
use crate::place::Place;
use crate::signals::StopSignals;
use crate::terminal::{Progress, Tone, cell, duration, table};
use crate::testbed::Testbed;
use anyhow::Result;
use serde::Serialize;
use std::collections::BTreeMap;
use std::time::Duration;

#[derive(Debug, Serialize)]
pub struct Commit {
    pub leader: Option<Place>,
    pub regions: BTreeMap<Place, Samples>,
}

pub async fn run(
    testbed: &Testbed,
    settings: Settings,
    progress: &Progress,
    signals: &mut StopSignals,
) -> Result<Commit> {
    let table = BenchTable::create(testbed, settings.rows, progress, signals).await?;
    progress.step(format!("bench: commits, {} s", settings.seconds));
    let endpoints = testbed.endpoints()?;
    let works: Vec<Work> = endpoints
        .values()
        .map(|address| Work {
            address: *address,
            clients: settings.clients,
            statement: Statement::Update,
            table: table.name.clone(),
            ids: 0..settings.rows,
        })
        .collect();
    let leader = testbed.leader().await;
    let measured = signals.unless_heard(run_work(&works, settings.seconds)).await;
    table.drop().await?;
    Ok(Commit { leader, regions: endpoints.into_keys().zip(measured?).collect() })
}

impl Commit {
    pub fn render(&self, rtt: Duration) -> String {
        let mut out = table(&["commit in", "per second", "p50", "of RTT", "p99", "of RTT", "max", "errors"]);
        let ratio = |latency: Duration| match rtt.is_zero() {
            true => "-".to_owned(),
            false => format!("{:.2}", latency.as_secs_f64() / rtt.as_secs_f64()),
        };
        for (region, samples) in &self.regions {
            let leads = if self.leader == Some(*region) { " (leads)" } else { "" };
            let (p50, p99) = (samples.quantile(0.5), samples.quantile(0.99));
            out.add_row(vec![
                cell(Tone::Plain, format!("{region}{leads}")),
                cell(Tone::Plain, format!("{:.0}", samples.per_second())),
                cell(Tone::Plain, duration(p50)),
                cell(Tone::Plain, ratio(p50)),
                cell(Tone::Plain, duration(p99)),
                cell(Tone::Plain, ratio(p99)),
                cell(Tone::Plain, duration(samples.max())),
                cell(Tone::Plain, samples.errors()),
            ]);
        }
        let total: f64 = self.regions.values().map(Samples::per_second).sum();
        format!("{out}\ncommits of both regions: {total:.0} per second; measured round trip {}\n", duration(rtt))
    }
}
