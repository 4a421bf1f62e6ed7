//! What a rolling restart cost, as a table and as JSON.
use super::PAUSE_AT_MOST;
use super::client::Done;
use crate::history::Moment;
use crate::load::Stalls;
use crate::place::Place;
use crate::probe::Rtt;
use crate::terminal::{Tone, cell, duration, table, tint};
use serde::Serialize;
use std::collections::BTreeMap;
use std::time::Duration;

const FAILURES_KEPT: usize = 20;

#[derive(Clone, Debug, Serialize)]
pub struct RollingReport {
    pub passed: bool,
    pub seconds: f64,
    pub link_profile: String,
    pub rtt: Option<Rtt>,
    pub clients: usize,
    pub restarts: Vec<Restarted>,
    pub totals: Totals,
    pub violations: Vec<String>,
}

/// One node, stopped and started. Times are milliseconds.
#[derive(Clone, Debug, Serialize)]
pub struct Restarted {
    pub node: Place,
    pub led: bool,
    /// From SIGTERM until the process was gone, and from then until all was well.
    pub stop_ms: f64,
    pub start_ms: f64,
    pub stalls: Stalls,
    /// By the region that the clients are at home in.
    pub clients: BTreeMap<Place, Felt>,
    #[serde(skip)]
    within: (Moment, Moment),
}

/// What clients of one region felt of it.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Felt {
    pub statements: usize,
    pub away: usize,
    pub failed: usize,
    /// The longest time without a success.
    pub writes_pause_ms: f64,
    pub reads_pause_ms: f64,
    pub slowest_write_ms: f64,
    pub slowest_read_ms: f64,
}

#[derive(Clone, Debug, Serialize)]
pub struct Totals {
    pub statements: usize,
    pub away: usize,
    pub failed: usize,
    /// How often each.
    pub failures: BTreeMap<String, usize>,
    /// Rows that are not as they were acknowledged.
    pub wrong: Vec<String>,
}

fn milliseconds(duration: Duration) -> f64 {
    (duration.as_secs_f64() * 1e4).round() / 10.0
}

impl Restarted {
    pub fn new(node: Place, led: bool, [asked, gone, well, end]: [Moment; 4], stalls: Stalls) -> Restarted {
        Restarted {
            node,
            led,
            stop_ms: milliseconds(gone.since(asked)),
            start_ms: milliseconds(well.since(gone)),
            stalls,
            clients: BTreeMap::new(),
            within: (asked, end),
        }
    }

    pub fn judged(mut self, done: &[Done]) -> Restarted {
        let felt = |home| (home, Felt::of(done.iter().filter(|one| one.home == home), self.within));
        self.clients = Place::REGIONS.into_iter().map(felt).collect();
        self
    }
}

impl Felt {
    fn of<'a>(own: impl Iterator<Item = &'a Done>, (from, to): (Moment, Moment)) -> Felt {
        let own: Vec<&Done> = own.filter(|one| one.ended >= from && one.ended <= to).collect();
        let successes =
            |write: bool| own.iter().filter(move |one| one.failure.is_none() && one.role.is_write() == write);
        let pause = |write: bool| milliseconds(longest_gap(successes(write).map(|one| one.ended).collect(), from, to));
        let slowest = |write: bool| {
            milliseconds(successes(write).map(|one| one.ended.since(one.begun)).max().unwrap_or_default())
        };
        Felt {
            statements: own.len(),
            away: own.iter().filter(|one| one.away).count(),
            failed: own.iter().filter(|one| one.failure.is_some()).count(),
            writes_pause_ms: pause(true),
            reads_pause_ms: pause(false),
            slowest_write_ms: slowest(true),
            slowest_read_ms: slowest(false),
        }
    }
}

fn longest_gap(mut ends: Vec<Moment>, from: Moment, to: Moment) -> Duration {
    ends.sort();
    let mut before = from;
    let mut longest = Duration::ZERO;
    for end in ends.into_iter().chain([to]) {
        longest = longest.max(end.since(before));
        before = end;
    }
    longest
}

impl Totals {
    pub fn of(done: &[Done], wrong: Vec<String>) -> Totals {
        let mut failures = BTreeMap::new();
        for failure in done.iter().filter_map(|one| one.failure.as_ref()) {
            if failures.len() < FAILURES_KEPT || failures.contains_key(failure) {
                *failures.entry(failure.clone()).or_default() += 1;
            }
        }
        Totals {
            statements: done.len(),
            away: done.iter().filter(|one| one.away).count(),
            failed: done.iter().filter(|one| one.failure.is_some()).count(),
            failures,
            wrong,
        }
    }
}

/// `expected`: the value of each row that was acknowledged.
pub fn differences(place: Place, expected: &BTreeMap<i64, i64>, found: &BTreeMap<i64, i64>) -> Vec<String> {
    let lost = expected.iter().filter(|(id, value)| found.get(id) != Some(value)).map(|(id, value)| {
        let there = found.get(id).map_or("not there".to_owned(), i64::to_string);
        format!("region {place}: row {id} is {there}, its client left it at {value}")
    });
    let more = found.keys().filter(|id| !expected.contains_key(id));
    lost.chain(more.map(|id| format!("region {place}: row {id} was acknowledged to nobody")))
        .take(FAILURES_KEPT)
        .collect()
}

impl RollingReport {
    pub fn new(
        profile: &str,
        rtt: Option<Rtt>,
        clients: usize,
        restarts: Vec<Restarted>,
        totals: Totals,
        took: Duration,
    ) -> RollingReport {
        let mut violations: Vec<String> =
            totals.failures.iter().map(|(failure, count)| format!("{count} statements failed: {failure}")).collect();
        violations.extend(totals.wrong.iter().cloned());
        for restarted in &restarts {
            violations.extend(judge(restarted));
        }
        let link_profile = profile.to_owned();
        let seconds = took.as_secs_f64();
        RollingReport {
            passed: violations.is_empty(),
            seconds,
            link_profile,
            rtt,
            clients,
            restarts,
            totals,
            violations,
        }
    }
}

fn judge(restarted: &Restarted) -> Vec<String> {
    let bar = milliseconds(PAUSE_AT_MOST) + restarted.stalls.total_ms as f64;
    let mut found = Vec::new();
    for (home, felt) in &restarted.clients {
        if *home == restarted.node {
            continue;
        }
        for (what, pause) in [("writes", felt.writes_pause_ms), ("reads", felt.reads_pause_ms)] {
            if pause > bar {
                found.push(format!(
                    "{what} in region {home} paused for {pause} ms while {} was restarted",
                    restarted.node
                ));
            }
        }
        if felt.away > 0 {
            found.push(format!(
                "{} clients of region {home} were sent away while {} was restarted",
                felt.away, restarted.node
            ));
        }
    }
    found
}

pub fn render(report: &RollingReport) -> String {
    let verdict = match report.passed {
        true => tint(Tone::Good, "passed"),
        false => tint(Tone::Bad, "FAILED"),
    };
    let rtt = report.rtt.map_or("unknown".to_owned(), |rtt| duration(rtt.median()));
    let mut text =
        format!("rolling-restart  {verdict}  {} clients in each region, round trip A-B {rtt}\n", report.clients);
    let mut out = table(&[
        "restarted",
        "stop",
        "start",
        "clients of",
        "statements",
        "away",
        "failed",
        "writes pause",
        "reads pause",
        "slowest write",
        "slowest read",
    ]);
    for restarted in &report.restarts {
        for (home, felt) in &restarted.clients {
            let ms = |value: f64| cell(Tone::Plain, format!("{value:.0} ms"));
            let own = *home == restarted.node;
            let bar = milliseconds(PAUSE_AT_MOST);
            let pause =
                |value: f64| cell(if own || value <= bar { Tone::Plain } else { Tone::Bad }, format!("{value:.0} ms"));
            out.add_row(vec![
                cell(Tone::Plain, format!("{}{}", restarted.node, if restarted.led { ", led" } else { "" })),
                ms(restarted.stop_ms),
                ms(restarted.start_ms),
                cell(Tone::Plain, home),
                cell(Tone::Plain, felt.statements),
                cell(Tone::Plain, felt.away),
                cell(if felt.failed > 0 { Tone::Bad } else { Tone::Plain }, felt.failed),
                pause(felt.writes_pause_ms),
                pause(felt.reads_pause_ms),
                ms(felt.slowest_write_ms),
                ms(felt.slowest_read_ms),
            ]);
        }
    }
    text += &out.to_string();
    let Totals { statements, away, failed, .. } = report.totals;
    text += &format!("\n  {statements} statements, {away} were answered by the other region, {failed} failed");
    let stalled: u64 = report.restarts.iter().map(|restarted| restarted.stalls.total_ms).sum();
    if stalled > 100 {
        text += &format!("\n  this machine stood still for {stalled} ms meanwhile, which is allowed for");
    }
    for violation in &report.violations {
        text += &format!("\n  {}", tint(Tone::Bad, violation));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::drills::rolling::client::Role;

    fn done(home: Place, role: Role, begun: u64, ended: u64) -> Done {
        let at = |ms: u64| Moment(ms * 1000);
        Done { home, role, id: 1, begun: at(begun), ended: at(ended), away: false, failure: None }
    }

    fn restarted(done: &[Done], stalled: u64) -> Restarted {
        let moments = [1000, 1500, 1800, 2000].map(|ms| Moment(ms * 1000));
        let stalls = Stalls { longest_ms: stalled, total_ms: stalled };
        Restarted::new(Place::A, true, moments, stalls).judged(done)
    }

    #[test]
    fn a_pause_of_the_other_region_is_what_is_judged() {
        let serving = |home, role, from: u64, to: u64| {
            (from..to).step_by(50).map(move |ms| done(home, role, ms, ms + 40)).collect::<Vec<_>>()
        };
        let mut all = serving(Place::B, Role::Read, 900, 2100);
        all.extend(serving(Place::B, Role::Insert, 900, 1000));
        all.extend(serving(Place::B, Role::Insert, 1380, 2100));
        let found = judge(&restarted(&all, 0));
        assert_eq!(found, ["writes in region B paused for 420 ms while A was restarted"]);
        assert_eq!(judge(&restarted(&all, 150)), Vec::<String>::new(), "the machine stood still");
    }

    #[test]
    fn a_row_that_is_not_as_it_was_left_is_told() {
        let rows = |pairs: &[(i64, i64)]| pairs.iter().copied().collect::<BTreeMap<_, _>>();
        let found = differences(Place::B, &rows(&[(1, 0), (2, 5), (3, 1)]), &rows(&[(1, 0), (2, 6), (4, 0)]));
        assert_eq!(
            found,
            [
                "region B: row 2 is 6, its client left it at 5",
                "region B: row 3 is not there, its client left it at 1",
                "region B: row 4 was acknowledged to nobody",
            ]
        );
    }
}
