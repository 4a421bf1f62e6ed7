//! What the links were asked to do, and what they do: each way by datagrams, and there and back by what else crosses
//! them: ping, a client's statements, and what the nodes' own QUIC measures.
//!
//! A sweep sets the links to several distances, one after the other, and puts them back as they were; it fails if a
//! median is further than [`TOLERANCE`] from what was asked for.
use super::protocols::{self, RoundTrips};
use crate::distances;
use crate::place::Link;
use crate::probe::{self, Plan};
use crate::signals::StopSignals;
use crate::terminal::{Progress, Tone, cell, duration, table};
use crate::testbed::Testbed;
use anyhow::{Context, Result};
use hdrhistogram::Histogram;
use serde::Serialize;
use std::time::Duration;
use trivet_netem::settings::LinkSettings;
use trivet_netem::{Change, ControlClient, Direction, Distances, LinkStatus, Way};

pub(super) const PLAN: Plan = Plan { probes: 300, interval: Duration::from_millis(3) };
const TOLERANCE: Duration = Duration::from_millis(2);
/// Round trips between all places, then distances of real ones.
const SWEPT: [&str; 7] = ["10ms", "60ms", "150ms", "us", "eu", "us-eu", "us-asia"];

#[derive(Debug, Serialize)]
pub struct Net {
    pub backend: &'static str,
    pub links: LinkResults,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub sweep: Vec<Swept>,
}

/// At one distance of a sweep.
#[derive(Debug, Serialize)]
pub struct Swept {
    pub distances: String,
    pub links: LinkResults,
}

#[derive(Debug, Serialize)]
pub struct LinkResults {
    pub lanes: Vec<LaneResult>,
    pub round_trips: Vec<RoundTrips>,
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

pub async fn run(testbed: &Testbed, sweep: bool, progress: &Progress, signals: &mut StopSignals) -> Result<Net> {
    let backend = testbed.state()?.net.name();
    progress.step("bench: the links");
    let links = signals.unless_heard(measure(testbed)).await?;
    let sweep = if sweep { swept(testbed, progress, signals).await? } else { Vec::new() };
    Ok(Net { backend, links, sweep })
}

/// All links at once.
async fn measure(testbed: &Testbed) -> Result<LinkResults> {
    let state = testbed.state()?;
    let network = testbed.network()?;
    let shown = network.show()?;
    let one = async |link: Link| -> Result<([LaneResult; 2], RoundTrips)> {
        let status = shown.iter().find(|status| status.name == link.name());
        let status = status.with_context(|| format!("netem knows no link {link}"))?;
        let measured = probe::measure(&state, link, PLAN).await?;
        let lanes = [(Way::Forward, &measured.forward), (Way::Backward, &measured.backward)];
        let lost = measured.sent - measured.round_trip.len();
        let lanes = lanes.map(|(way, histogram)| {
            let lane = link.lanes()[usize::from(way == Way::Backward)];
            LaneResult::new(lane.to_string(), &status.lane(way).settings, histogram, lost, measured.sent)
        });
        let asked = expected(&status.forward.settings) + expected(&status.backward.settings);
        Ok((lanes, protocols::measure(testbed, link, asked, measured.rtt()).await?))
    };
    let all = futures::future::try_join_all(Link::ALL.map(one)).await?;
    let (lanes, round_trips): (Vec<_>, Vec<_>) = all.into_iter().unzip();
    Ok(LinkResults { lanes: lanes.into_iter().flatten().collect(), round_trips })
}

/// Jitter adds half of itself in the middle.
fn expected(settings: &LinkSettings) -> Duration {
    settings.delay + settings.jitter / 2
}

async fn swept(testbed: &Testbed, progress: &Progress, signals: &mut StopSignals) -> Result<Vec<Swept>> {
    let network = testbed.network()?;
    let before = network.show()?;
    let mut all = Vec::new();
    let result = async {
        for name in SWEPT {
            progress.step(format!("bench: the links at {name}"));
            set(&network, &distances::parse(name).expect("a test reads every one"))?;
            let links = signals.unless_heard(measure(testbed)).await?;
            all.push(Swept { distances: name.into(), links });
        }
        Ok(())
    };
    let result: Result<()> = result.await;
    put_back(&network, &before).context("the links could not be put back: `trivet net restore` does")?;
    result.map(|()| all)
}

fn set(network: &ControlClient, distances: &Distances) -> Result<()> {
    for (link, profile) in distances.links() {
        network.change(link, Direction::Forward, Change::Set(profile.forward.clone()))?;
        network.change(link, Direction::Backward, Change::Set(profile.backward.clone()))?;
    }
    Ok(())
}

fn put_back(network: &ControlClient, before: &[LinkStatus]) -> Result<()> {
    for link in before {
        network.change(&link.name, Direction::Forward, Change::Set(link.forward.settings.clone()))?;
        network.change(&link.name, Direction::Backward, Change::Set(link.backward.settings.clone()))?;
    }
    Ok(())
}

impl LaneResult {
    fn new(lane: String, asked: &LinkSettings, measured: &Histogram<u64>, lost: u64, sent: u64) -> LaneResult {
        LaneResult {
            lane,
            asked_us: asked.delay.as_micros() as u64,
            jitter_us: asked.jitter.as_micros() as u64,
            min_us: measured.min(),
            p50_us: measured.value_at_quantile(0.5),
            p99_us: measured.value_at_quantile(0.99),
            max_us: measured.max(),
            lost,
            sent,
        }
    }

    /// How far the median is from the middle of what was asked for.
    fn off(&self) -> Duration {
        Duration::from_micros(self.p50_us.abs_diff(self.asked_us + self.jitter_us / 2))
    }
}

impl LinkResults {
    /// The furthest that a median is from what was asked for, by what was measured.
    fn off(&self) -> Vec<(&'static str, Option<Duration>)> {
        let protocol = |name, of: fn(&RoundTrips) -> Option<u64>| {
            let off = |trips: &RoundTrips| Some(Duration::from_micros(of(trips)?.abs_diff(trips.asked_us)));
            (name, self.round_trips.iter().filter_map(off).max())
        };
        vec![
            ("one way", self.lanes.iter().map(LaneResult::off).max()),
            ("UDP", protocol("", |trips| trips.udp_us).1),
            protocol("ping", |trips| trips.ping_us),
            protocol("pgwire", |trips| trips.pgwire_us),
            protocol("QUIC", |trips| trips.quic_us),
        ]
    }
}

impl Net {
    /// A sweep in which a median was too far from what was asked for.
    pub fn is_off(&self) -> bool {
        self.sweep.iter().flat_map(|swept| swept.links.off()).any(|(_, off)| off.is_some_and(|off| off > TOLERANCE))
    }

    pub fn render(&self) -> String {
        let mut out = table(&["one way", "asked", "jitter", "min", "p50", "p99", "max", "lost (round trip)"]);
        let time = |micros| cell(Tone::Plain, duration(Duration::from_micros(micros)));
        for lane in &self.links.lanes {
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
        let mut trips = table(&["there and back, p50", "asked", "UDP", "ping", "pgwire", "QUIC"]);
        for trip in &self.links.round_trips {
            let told = |micros: Option<u64>| micros.map_or(cell(Tone::Faint, "-"), time);
            trips.add_row(vec![
                cell(Tone::Plain, &trip.link),
                time(trip.asked_us),
                told(trip.udp_us),
                told(trip.ping_us),
                told(trip.pgwire_us),
                told(trip.quic_us),
            ]);
        }
        let note = match self.backend {
            "relay" => "relays carry only what nodes say to each other: ping and clients cross no link\n",
            _ => "",
        };
        format!("network {}\n{out}\n{trips}\n{note}{}", self.backend, self.render_sweep())
    }

    fn render_sweep(&self) -> String {
        if self.sweep.is_empty() {
            return String::new();
        }
        let mut out = table(&["furthest from asked", "one way", "UDP", "ping", "pgwire", "QUIC"]);
        for swept in &self.sweep {
            let mut row = vec![cell(Tone::Plain, &swept.distances)];
            row.extend(swept.links.off().into_iter().map(|(_, off)| match off {
                Some(off) if off > TOLERANCE => cell(Tone::Bad, duration(off)),
                Some(off) => cell(Tone::Good, duration(off)),
                None => cell(Tone::Faint, "-"),
            }));
            out.add_row(row);
        }
        let verdict = if self.is_off() { "NOT all" } else { "all" };
        format!("{out}\nmedians of {} probes: {verdict} within {} of asked\n", PLAN.probes, duration(TOLERANCE))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn results(p50_us: u64, quic_us: Option<u64>) -> LinkResults {
        let lane = LaneResult {
            lane: "A-B".into(),
            asked_us: 30_000,
            jitter_us: 1_000,
            min_us: 30_000,
            p50_us,
            p99_us: p50_us,
            max_us: p50_us,
            lost: 0,
            sent: 300,
        };
        let trips = RoundTrips {
            link: "A-B".into(),
            asked_us: 61_000,
            udp_us: Some(61_100),
            ping_us: None,
            pgwire_us: None,
            quic_us,
        };
        LinkResults { lanes: vec![lane], round_trips: vec![trips] }
    }

    #[test]
    fn a_median_that_is_off_is_noticed_whatever_measured_it() {
        let table = [
            (results(30_600, None), false),
            (results(32_600, None), true),
            (results(28_400, None), true),
            (results(30_600, Some(62_900)), false),
            (results(30_600, Some(63_100)), true),
        ];
        for (links, is_off) in table {
            let told = format!("{links:?}");
            let swept = Swept { distances: "60ms".into(), links };
            let net = Net { backend: "tun", links: results(0, None), sweep: vec![swept] };
            assert_eq!(net.is_off(), is_off, "{told}");
            assert!(net.render().contains(if is_off { "NOT all within 2.0 ms" } else { ": all within 2.0 ms" }));
        }
    }
}
