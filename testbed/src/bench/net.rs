//! What the links were asked to do, and what they do.
use crate::place::Link;
use crate::probe::{self, Plan};
use crate::terminal::{Progress, Tone, cell, duration, table};
use crate::testbed::Testbed;
use anyhow::{Context, Result};
use hdrhistogram::Histogram;
use serde::Serialize;
use std::time::Duration;
use trivet_netem::Way;

const PLAN: Plan = Plan { probes: 400, interval: Duration::from_millis(3) };

#[derive(Debug, Serialize)]
pub struct Net {
    pub lanes: Vec<LaneResult>,
}

#[derive(Debug, Serialize)]
pub struct LaneResult {
    pub lane: String,
    pub asked_us: u64,
    pub jitter_us: u64,
    pub min_us: u64,
    pub p50_us: u64,
    pub p99_us: u64,
    pub max_us: u64,
    /// Probes whose round trip failed, in either direction.
    pub lost: u64,
    pub sent: u64,
}

pub async fn run(testbed: &Testbed, progress: &Progress) -> Result<Net> {
    let state = testbed.state()?;
    let shown = testbed.network()?.show()?;
    let mut lanes = Vec::new();
    for link in Link::ALL {
        progress.step(format!("bench: the link {link}"));
        let measured = probe::measure(&state, link, PLAN).await?;
        let status = shown.iter().find(|status| status.name == link.name());
        let status = status.with_context(|| format!("netem knows no link {link}"))?;
        let [there, back] = link.lanes();
        for (lane, way, histogram) in
            [(there, Way::Forward, &measured.forward), (back, Way::Backward, &measured.backward)]
        {
            let asked = &status.lane(way).settings;
            let at = |quantile| Histogram::value_at_quantile(histogram, quantile);
            lanes.push(LaneResult {
                lane: lane.to_string(),
                asked_us: asked.delay.as_micros() as u64,
                jitter_us: asked.jitter.as_micros() as u64,
                min_us: histogram.min(),
                p50_us: at(0.5),
                p99_us: at(0.99),
                max_us: histogram.max(),
                lost: measured.sent - measured.round_trip.len(),
                sent: measured.sent,
            });
        }
    }
    Ok(Net { lanes })
}

impl Net {
    pub fn render(&self) -> String {
        let mut out = table(&["one way", "asked", "jitter", "min", "p50", "p99", "max", "lost (round trip)"]);
        let time = |micros| cell(Tone::Plain, duration(Duration::from_micros(micros)));
        for lane in &self.lanes {
            out.add_row(vec![
                cell(Tone::Plain, &lane.lane),
                time(lane.asked_us),
                time(lane.jitter_us),
                time(lane.min_us),
                time(lane.p50_us),
                time(lane.p99_us),
                time(lane.max_us),
                cell(Tone::Plain, format!("{} of {}", lane.lost, lane.sent)),
            ]);
        }
        format!("{out}\n")
    }
}
