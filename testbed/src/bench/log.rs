//! What the log moves: bytes over the ocean for each byte that is committed, and what the witness has to do for it.
//!
//! Two looks at the same testbed: while nothing is written, and while clients in both regions commit records of about 300
//! bytes as fast as they can. What crossed the links is counted where it enters them, so QUIC, acknowledgements, heartbeats
//! and leases are in it; IP's and UDP's own headers are not.
use super::Settings;
use super::work::{Samples, Statement, Work, run as run_work};
use crate::http;
use crate::metrics::Metrics;
use crate::place::{Link, Place};
use crate::process::Used;
use crate::signals::StopSignals;
use crate::sql;
use crate::terminal::{Progress, Tone, cell, table};
use crate::testbed::Testbed;
use anyhow::{Context, Result};
use serde::Serialize;
use std::collections::BTreeMap;
use std::time::{Duration, Instant};

/// With a key, a number and what the log says of itself, records of about 300 bytes.
const FILLER: usize = 215;
const WITHIN: Duration = Duration::from_secs(60);
const METRICS_WITHIN: Duration = Duration::from_secs(5);
/// The log's own counters are told once a second or so.
const SETTLE: Duration = Duration::from_millis(1500);

#[derive(Debug, Serialize)]
pub struct Moved {
    pub phases: Vec<Phase>,
}

#[derive(Debug, Serialize)]
pub struct Phase {
    pub name: &'static str,
    pub seconds: f64,
    pub commits: u64,
    /// Of records, as region A's disk got them.
    pub committed_bytes: f64,
    /// Both ways between A and B.
    pub ocean_bytes: u64,
    /// Both ways between the witness and either region.
    pub witness_bytes: u64,
    /// Of one processor, and resident bytes at the end.
    pub nodes: BTreeMap<Place, Node>,
}

#[derive(Clone, Copy, Debug, Serialize)]
pub struct Node {
    pub processor: f64,
    pub resident_bytes: u64,
}

/// Counters at one moment.
struct Look {
    at: Instant,
    payload: f64,
    ocean: u64,
    witness: u64,
    used: BTreeMap<Place, Used>,
}

async fn look(testbed: &Testbed) -> Result<Look> {
    let address = testbed.state()?.addresses.http[&Place::A];
    let text = http::get(address, "/metrics", METRICS_WITHIN).await.context("region A does not tell its metrics")?;
    let metrics = Metrics::parse(&String::from_utf8_lossy(&text));
    let links = testbed.network()?.show()?;
    let crossed = |to_witness: bool| -> u64 {
        let wanted = Link::ALL.into_iter().filter(|link| (link.forward().to == Place::W) == to_witness);
        let names: Vec<String> = wanted.map(Link::name).collect();
        let fits = links.iter().filter(|link| names.contains(&link.name));
        fits.map(|link| link.forward.bytes + link.backward.bytes).sum()
    };
    let mut used = BTreeMap::new();
    for place in Place::ALL {
        let process = testbed.process(place)?.with_context(|| format!("{place} does not run"))?;
        used.insert(place, process.used().with_context(|| format!("{place} is gone"))?);
    }
    Ok(Look {
        at: Instant::now(),
        payload: metrics.total("trivet_journal_payload_bytes_total"),
        ocean: crossed(false),
        witness: crossed(true),
        used,
    })
}

pub async fn run(
    testbed: &Testbed,
    settings: Settings,
    progress: &Progress,
    signals: &mut StopSignals,
) -> Result<Moved> {
    let endpoints = testbed.endpoints()?;
    let name = format!("trivet_bench_{:08x}", rand::random::<u32>());
    let text =
        format!("CREATE TABLE {name} (id uuid PRIMARY KEY DEFAULT gen_random_uuid(), number integer, filler text)");
    sql::run(endpoints[&Place::A], &text, WITHIN).await.context("the bench's table cannot be made")?;
    let measured = signals.unless_heard(phases(testbed, settings, &name, progress)).await;
    sql::run(endpoints[&Place::A], &format!("DROP TABLE IF EXISTS {name}"), WITHIN).await?;
    Ok(Moved { phases: measured? })
}

async fn phases(testbed: &Testbed, settings: Settings, name: &str, progress: &Progress) -> Result<Vec<Phase>> {
    progress.step(format!("bench: the log while nothing is written, {} s", settings.seconds));
    tokio::time::sleep(SETTLE).await;
    let before = look(testbed).await?;
    tokio::time::sleep(Duration::from_secs(settings.seconds)).await;
    let quiet = between("nothing is written", &before, &look(testbed).await?, 0);

    progress.step(format!("bench: the log while both regions write, {} s", settings.seconds));
    let works: Vec<Work> = testbed
        .endpoints()?
        .values()
        .map(|address| Work {
            address: *address,
            clients: settings.clients,
            statement: Statement::Insert { filler: FILLER },
            table: name.to_owned(),
            ids: 0..i32::MAX,
        })
        .collect();
    let before = look(testbed).await?;
    let samples = run_work(&works, settings.seconds).await?;
    tokio::time::sleep(SETTLE).await;
    let commits = samples.iter().map(Samples::count).sum();
    let busy = between("both regions write", &before, &look(testbed).await?, commits);
    Ok(vec![quiet, busy])
}

fn between(name: &'static str, before: &Look, after: &Look, commits: u64) -> Phase {
    let seconds = (after.at - before.at).as_secs_f64();
    let node = |place: &Place| {
        let (from, to) = (before.used[place], after.used[place]);
        let processor = to.processor.saturating_sub(from.processor).as_secs_f64() / seconds;
        (*place, Node { processor, resident_bytes: to.resident_bytes })
    };
    Phase {
        name,
        seconds,
        commits,
        committed_bytes: after.payload - before.payload,
        ocean_bytes: after.ocean.saturating_sub(before.ocean),
        witness_bytes: after.witness.saturating_sub(before.witness),
        nodes: Place::ALL.iter().map(node).collect(),
    }
}

impl Phase {
    fn per_second(&self, bytes: f64) -> f64 {
        bytes / self.seconds
    }
}

impl Moved {
    pub fn render(&self) -> String {
        let mut moved = table(&[
            "the log while",
            "commits",
            "committed",
            "over A-B",
            "over A-B per byte committed",
            "to and from W",
            "W's processor",
        ]);
        let mut memory = table(&["resident memory", "A", "B", "W"]);
        for phase in &self.phases {
            let ratio = match phase.commits {
                0 => "-".to_owned(),
                _ => format!("{:.2}", phase.ocean_bytes as f64 / phase.committed_bytes),
            };
            moved.add_row(vec![
                cell(Tone::Plain, phase.name),
                cell(Tone::Plain, phase.commits),
                cell(Tone::Plain, kilobytes(phase.per_second(phase.committed_bytes))),
                cell(Tone::Plain, kilobytes(phase.per_second(phase.ocean_bytes as f64))),
                cell(Tone::Plain, ratio),
                cell(Tone::Plain, kilobytes(phase.per_second(phase.witness_bytes as f64))),
                cell(Tone::Plain, format!("{:.2} %", phase.nodes[&Place::W].processor * 100.0)),
            ]);
            let resident = |place| cell(Tone::Plain, format!("{} MB", phase.nodes[&place].resident_bytes >> 20));
            memory.add_row(vec![
                cell(Tone::Plain, phase.name),
                resident(Place::A),
                resident(Place::B),
                resident(Place::W),
            ]);
        }
        format!("{moved}\n{memory}")
    }
}

fn kilobytes(bytes: f64) -> String {
    format!("{:.1} kB/s", bytes / 1000.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seen(at: Instant, payload: f64, ocean: u64, processor_ms: u64) -> Look {
        let used = Used { processor: Duration::from_millis(processor_ms), resident_bytes: 7 << 20 };
        let used = Place::ALL.iter().map(|place| (*place, used)).collect();
        Look { at, payload, ocean, witness: ocean / 100, used }
    }

    #[test]
    fn counters_become_rates() {
        let start = Instant::now();
        let before = seen(start, 1e6, 10_000, 500);
        let after = seen(start + Duration::from_secs(10), 2e6, 1_110_000, 600);
        let phase = between("both regions write", &before, &after, 3000);
        assert_eq!((phase.committed_bytes, phase.ocean_bytes, phase.witness_bytes), (1e6, 1_100_000, 11_000));
        assert!((phase.nodes[&Place::W].processor - 0.01).abs() < 1e-9);
        let text = Moved { phases: vec![phase] }.render();
        for told in ["1.10", "1.00 %", "1.1 kB/s", "110.0 kB/s", "7 MB"] {
            assert!(text.contains(told), "{told} is missing in\n{text}");
        }
    }
}
