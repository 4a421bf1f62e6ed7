//! The result of a drill: what an operator asks, as JSON and as a picture.
use super::archive::{Line, Spread};
use super::measure::{Phases, RegionMeasure};
use super::run::{Played, Settings};
use super::series::{Series, series};
use super::watch::Band;
use super::{Plan, Side};
use crate::check::Violation;
use crate::check::deeds::Count;
use crate::check::rows::Fates;
use crate::check::transactions::Judged;
use crate::history::{Kind, Moment, Operation};
use crate::load::Stalls;
use crate::place::Place;
use crate::probe::Rtt;
use crate::status::Digest;
use crate::terminal::{Tone, cell, duration, sparkline, table, tint};
use serde::Serialize;
use std::collections::BTreeMap;
use std::fmt::Write;
use std::time::Duration;

/// Violations of one kind can be thousands (each stale read is one).
const VIOLATIONS_SHOWN: usize = 12;
const VIOLATIONS_KEPT: usize = 200;
const STALLS_WORTH_TELLING_MS: u64 = 100;
/// Characters of a timeline.
const WIDTH: u64 = 64;

/// Moments beside those of [`Phases`].
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Steps {
    pub injected: Moment,
    pub confirmed: Moment,
    /// All nodes hear each other, one leads, both regions have leases.
    pub well: Moment,
}

#[derive(Clone, Debug, Serialize)]
pub struct DrillReport {
    pub drill: String,
    pub title: String,
    pub passed: bool,
    pub seconds: f64,
    pub private_testbed: bool,
    pub link_profile: String,
    pub rtt: Option<Rtt>,
    pub fault: String,
    pub leader_before: Place,
    pub leader_after: Option<Place>,
    /// Microseconds since the load began.
    pub phases: Phases,
    pub steps: Steps,
    /// How long this machine stood still while the drill ran: the times may be longer by that.
    pub stalls: Stalls,
    pub regions: BTreeMap<Place, RegionMeasure>,
    pub rows: Fates,
    /// What all balances must sum to.
    pub sum: i64,
    pub digests: BTreeMap<Place, Digest>,
    pub operations: usize,
    pub violation_count: usize,
    pub violations: Vec<Violation>,
    pub timeline: Timeline,
    /// Transactions, and what is wrong with them.
    pub histories: Vec<Judged>,
    /// The workloads' deeds, by kind.
    pub deeds: BTreeMap<&'static str, Count>,
    /// Everything that was done to the database, and when.
    pub marks: Vec<(Moment, String)>,
    pub bands: Vec<Band>,
    pub series: Vec<Series>,
}

/// Successes a bucket.
#[derive(Clone, Debug, Serialize)]
pub struct Timeline {
    pub bucket_ms: u64,
    pub writes: BTreeMap<Place, Vec<u64>>,
    pub reads: BTreeMap<Place, Vec<u64>>,
    #[serde(skip)]
    marks: Vec<(Moment, String)>,
}

impl Timeline {
    fn of(history: &[Operation], phases: Phases, marks: &[(Moment, String)]) -> Timeline {
        let bucket_ms = (phases.end.0 / 1000).div_ceil(WIDTH).div_ceil(50).max(1) * 50;
        let count = (phases.end.0 / 1000 / bucket_ms) as usize + 1;
        let lane = |region: Place, is_kind: fn(&Kind) -> bool| {
            let mut buckets = vec![0; count];
            for operation in history {
                if operation.region == region
                    && operation.is_done()
                    && is_kind(&operation.kind)
                    && let Some(bucket) = buckets.get_mut((operation.ended.0 / 1000 / bucket_ms) as usize)
                {
                    *bucket += 1;
                }
            }
            (region, buckets)
        };
        Timeline {
            bucket_ms,
            writes: Place::REGIONS.into_iter().map(|region| lane(region, Kind::is_write)).collect(),
            reads: Place::REGIONS.into_iter().map(|region| lane(region, Kind::is_read)).collect(),
            marks: marks.to_vec(),
        }
    }

    fn render(&self) -> String {
        let mut text = String::new();
        for (name, lanes) in [("writes", &self.writes), ("reads ", &self.reads)] {
            let largest = lanes.values().flatten().copied().max().unwrap_or(0);
            for (region, buckets) in lanes {
                let rate = largest * 1000 / self.bucket_ms;
                let _ = writeln!(text, "  {region} {name} {}  peak {rate}/s", sparkline(buckets, largest));
            }
        }
        let mut marks = String::new();
        for (moment, name) in &self.marks {
            let at = (moment.0 / 1000 / self.bucket_ms) as usize;
            let used = marks.chars().count();
            // Two marks that nearly meet share one arrow.
            marks.push_str(&if at >= used { " ".repeat(at - used) + "^" } else { " then".into() });
            let _ = write!(marks, " {name} ");
        }
        let _ = write!(text, "           {}  ({} ms a character)", marks.trim_end(), self.bucket_ms);
        text
    }
}

impl DrillReport {
    pub fn new(
        plan: &Plan,
        link_profile: &str,
        rtt: Option<Rtt>,
        settings: &Settings,
        played: Played,
        took: Duration,
    ) -> DrillReport {
        let timeline = Timeline::of(&played.history, played.phases, &played.marks);
        let series = series(&played.history, played.phases.end);
        DrillReport {
            drill: plan.drill.name(),
            title: plan.title.clone(),
            passed: played.violations.is_empty(),
            seconds: took.as_secs_f64(),
            private_testbed: settings.private,
            link_profile: link_profile.to_owned(),
            rtt,
            fault: plan.fault.to_string(),
            leader_before: played.leaders.0,
            leader_after: played.leaders.1,
            phases: played.phases,
            steps: played.steps,
            stalls: played.stalls,
            regions: played.measured,
            rows: played.fates,
            sum: played.sum,
            digests: played.digests,
            operations: played.history.len(),
            violation_count: played.violations.len(),
            violations: played.violations.into_iter().take(VIOLATIONS_KEPT).collect(),
            timeline,
            histories: played.judged,
            deeds: played.deeds,
            marks: played.marks,
            bands: played.bands,
            series,
        }
    }
}

pub fn render(report: &DrillReport) -> String {
    let mut text = String::new();
    let verdict = if report.passed { tint(Tone::Good, "passed") } else { tint(Tone::Bad, "FAILED") };
    let rtt = report.rtt.map_or("unknown".into(), |rtt| duration(rtt.median()));
    let _ = writeln!(
        text,
        "{}  {verdict}  {}, round trip A-B {rtt}, took {:.1} s",
        report.drill, report.title, report.seconds
    );
    let _ = writeln!(text, "{}", report.timeline.render());
    let _ = writeln!(text, "{}", region_table(report));
    let _ = writeln!(text, "{}", rows_line(report));
    let _ = writeln!(text, "{}", histories_line(report));
    if report.stalls.total_ms > STALLS_WORTH_TELLING_MS {
        let Stalls { longest_ms, total_ms } = report.stalls;
        let told = format!(
            "this machine stood still for {longest_ms} ms at a time, {total_ms} ms in all; the bars allow for it"
        );
        let _ = writeln!(text, "{}", tint(Tone::Odd, &told));
    }
    let shown = report.violations.iter().take(VIOLATIONS_SHOWN);
    for violation in shown {
        let _ = writeln!(text, "  {} {violation}", tint(Tone::Bad, "x"));
    }
    if report.violation_count > VIOLATIONS_SHOWN {
        let _ = writeln!(text, "  and {} more", report.violation_count - VIOLATIONS_SHOWN);
    }
    text
}

fn region_table(report: &DrillReport) -> comfy_table::Table {
    let mut out =
        table(&["region", "meanwhile", "writes", "away", "back", "strong reads", "away", "back", "refuses", "errors"]);
    for (region, measured) in &report.regions {
        let away = |away: Duration| match measured.side {
            Side::Serves | Side::Free => cell(Tone::Plain, duration(away)),
            Side::Refuses | Side::Gone => cell(Tone::Faint, "-"),
        };
        let back = |back: Option<Duration>| match back {
            Some(back) => cell(Tone::Plain, duration(back)),
            None => cell(Tone::Bad, "never"),
        };
        let refuses = match measured.refusal.map(|refusal| refusal.first) {
            Some(Some(first)) => cell(Tone::Plain, format!("after {}", duration(first))),
            Some(None) => cell(Tone::Bad, "never"),
            None => cell(Tone::Faint, "-"),
        };
        let errors: Vec<String> = measured.errors.iter().map(|(code, count)| format!("{} {count}x", code.0)).collect();
        let leads = if *region == report.leader_before { " (led)" } else { "" };
        out.add_row(vec![
            cell(Tone::Plain, format!("{region}{leads}")),
            cell(Tone::Plain, measured.side.word()),
            cell(Tone::Plain, measured.writes.done),
            away(measured.writes.away),
            back(measured.writes.back),
            cell(Tone::Plain, measured.reads.done),
            away(measured.reads.away),
            back(measured.reads.back),
            refuses,
            cell(Tone::Plain, if errors.is_empty() { "none".into() } else { errors.join(", ") }),
        ]);
    }
    out
}

fn rows_line(report: &DrillReport) -> String {
    let rows = &report.rows;
    let digest = match (report.digests.get(&Place::A), report.digests.get(&Place::B)) {
        (Some(a), Some(b)) if a == b => format!("regions equal at log index {} ({} keys)", a.index, a.keys),
        (Some(_), Some(_)) => "regions DIFFER".into(),
        _ => "regions not compared".into(),
    };
    format!(
        "acknowledged {}, lost {}; unknown fate {}, of which {} turned out done; {digest}; leader {} -> {}",
        rows.acknowledged,
        rows.lost,
        rows.unknown,
        rows.unknown_done,
        report.leader_before,
        report.leader_after.map_or("none", Place::name),
    )
}

/// "append: 812 transactions clean under strict snapshot isolation; ..."
fn histories_line(report: &DrillReport) -> String {
    let told = report.histories.iter().map(|judged| {
        let Judged { workload, level, clean, committed, aborted, .. } = judged;
        match clean {
            true => format!(
                "{workload} {} under {level} ({committed} committed, {aborted} aborted)",
                tint(Tone::Good, "clean")
            ),
            false => format!("{workload} {} under {level}: {}", tint(Tone::Bad, "BROKEN"), judged.anomalies.len()),
        }
    });
    let deeds: Vec<String> = report.deeds.iter().map(|(kind, count)| format!("{kind} {}", count.done)).collect();
    format!("histories: {}\ndeeds done: {}", told.collect::<Vec<_>>().join("; "), deeds.join(", "))
}

/// One line a drill.
pub fn render_summary(lines: &[Line]) -> String {
    let mut out = table(&[
        "drill",
        "",
        "writes away",
        "reads away",
        "acknowledged",
        "lost",
        "unknown",
        "histories",
        "violations",
        "took",
    ]);
    for line in lines {
        let lost = if line.lost == 0 { Tone::Plain } else { Tone::Bad };
        out.add_row(vec![
            cell(Tone::Plain, &line.name),
            if line.passed { cell(Tone::Good, "passed") } else { cell(Tone::Bad, "FAILED") },
            cell(Tone::Plain, &line.writes_away),
            cell(Tone::Plain, &line.reads_away),
            cell(Tone::Plain, line.acknowledged),
            cell(lost, line.lost),
            cell(Tone::Plain, line.unknown),
            cell(Tone::Plain, &line.histories),
            cell(if line.passed { Tone::Plain } else { Tone::Bad }, line.violations),
            cell(Tone::Plain, format!("{:.1} s", line.seconds)),
        ]);
    }
    out.to_string()
}

/// One line a drill that was run several times; nothing if none was.
pub fn render_spreads(spreads: &[Spread]) -> Option<String> {
    let mut out = table(&[
        "drill",
        "times",
        "failed",
        "lost",
        "writes away: p50",
        "p95",
        "worst",
        "reads away: p50",
        "p95",
        "worst",
    ]);
    for spread in spreads {
        let bad = |count: usize| cell(if count == 0 { Tone::Plain } else { Tone::Bad }, count);
        let mut row = vec![
            cell(Tone::Plain, &spread.drill),
            cell(Tone::Plain, spread.times),
            bad(spread.failed),
            bad(spread.lost),
        ];
        row.extend(spread.times_told().into_iter().map(|text| cell(Tone::Plain, text)));
        out.add_row(row);
    }
    (!spreads.is_empty()).then(|| out.to_string())
}

impl Spread {
    /// Of writes, then of reads.
    pub fn times_told(&self) -> [String; 6] {
        let told = |times: Option<[f64; 3]>, index: usize| {
            times.map_or("-".to_owned(), |times| duration(Duration::from_secs_f64(times[index] / 1e3)))
        };
        [0, 1, 2, 3, 4, 5].map(|index| match index {
            0..3 => told(self.writes_away, index),
            _ => told(self.reads_away, index - 3),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::history::Outcome;

    fn marks(phases: Phases, fault: &str, recovery: &str) -> Vec<(Moment, String)> {
        vec![(phases.fault, fault.to_owned()), (phases.recovery, recovery.to_owned())]
    }

    #[test]
    fn a_timeline_shows_the_hole_and_what_made_it() {
        let history: Vec<Operation> = (0..6400u64)
            .step_by(20)
            .filter(|ms| !(2000..4000).contains(ms))
            .map(|ms| Operation {
                region: Place::A,
                kind: Kind::Transfer,
                begun: Moment(ms * 1000),
                ended: Moment(ms * 1000 + 10),
                outcome: Outcome::Done,
            })
            .collect();
        let phases = Phases { fault: Moment(2_000_000), recovery: Moment(4_000_000), end: Moment(6_400_000) };
        let timeline = Timeline::of(&history, phases, &marks(phases, "kill B", "start B"));
        assert_eq!(timeline.bucket_ms, 100);
        let text = timeline.render();
        let expected = [
            "  A writes ████████████████████····················████████████████████████·  peak 50/s",
            "  B writes ·································································  peak 50/s",
            "  A reads  ·································································  peak 0/s",
            "  B reads  ·································································  peak 0/s",
            "                               ^ kill B            ^ start B  (100 ms a character)",
        ];
        assert_eq!(text.lines().collect::<Vec<_>>(), expected, "\n{text}");
    }

    #[test]
    fn marks_that_meet_share_an_arrow() {
        let phases = Phases { fault: Moment(1_000_000), recovery: Moment(1_100_000), end: Moment(6_000_000) };
        let text = Timeline::of(&[], phases, &marks(phases, "kill A, B, W", "start A, B, W")).render();
        assert!(text.contains("^ kill A, B, W  then start A, B, W"), "{text}");
    }
}
