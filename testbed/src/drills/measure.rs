//! How long each region was away, how it refused, when it was back: arithmetic over a recorded history.
//!
//! ```text
//!          fault           recovery              end
//!   --ok-ok--|-------ok-ok-ok--|------ok-ok-ok----|
//!            |<-away->|        |<back>|
//! ```
//!
//! *Away* is the longest time within the fault in which no operation of that kind was answered with success, counted
//! from the fault at the earliest. *Back* is from the recovery to the first success of an operation that began after it.
use crate::check::{Broken, Violation};
use crate::drills::Side;
use crate::history::{Code, Kind, Moment, Operation};
use crate::place::Place;
use serde::Serialize;
use std::collections::BTreeMap;
use std::time::Duration;

/// The project's bars, each longer by the time that the machine itself stood still.
pub const AWAY_AT_MOST: Duration = Duration::from_secs(4);
pub const REFUSES_WITHIN: Duration = Duration::from_secs(2);
pub const BACK_WITHIN: Duration = Duration::from_secs(15);

/// When things happened, on the history's clock.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Phases {
    pub fault: Moment,
    pub recovery: Moment,
    pub end: Moment,
}

#[derive(Clone, Debug, Serialize)]
pub struct RegionMeasure {
    pub side: Side,
    pub writes: Service,
    pub reads: Service,
    pub errors: BTreeMap<Code, usize>,
    /// Connections that were made, and that failed, while the fault lasted.
    pub connects: (usize, usize),
    /// Of a region that must refuse.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub refusal: Option<Refusal>,
}

#[derive(Clone, Copy, Debug, Serialize)]
pub struct Service {
    pub done: usize,
    #[serde(serialize_with = "milliseconds")]
    pub away: Duration,
    /// The longest time without a success after it was back, until the end.
    #[serde(serialize_with = "milliseconds")]
    pub away_again: Duration,
    /// None: it did not come back.
    #[serde(serialize_with = "maybe_milliseconds")]
    pub back: Option<Duration>,
}

#[derive(Clone, Copy, Debug, Serialize)]
pub struct Refusal {
    /// From the fault to the first refusal.
    #[serde(serialize_with = "maybe_milliseconds")]
    pub first: Option<Duration>,
    /// The longest that anybody waited for an answer, counted from the fault at the earliest.
    #[serde(serialize_with = "milliseconds")]
    pub slowest_answer: Duration,
    /// From the fault to the last success while it lasted.
    #[serde(serialize_with = "maybe_milliseconds")]
    pub last_success: Option<Duration>,
}

fn milliseconds<S: serde::Serializer>(duration: &Duration, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_f64(duration.as_micros() as f64 / 1e3)
}

fn maybe_milliseconds<S: serde::Serializer>(duration: &Option<Duration>, serializer: S) -> Result<S::Ok, S::Error> {
    match duration {
        Some(duration) => milliseconds(duration, serializer),
        None => serializer.serialize_none(),
    }
}

/// `stalled`: how long this machine stood still meanwhile.
pub fn measure(
    history: &[Operation],
    phases: Phases,
    sides: &BTreeMap<Place, Side>,
    stalled: Duration,
) -> (BTreeMap<Place, RegionMeasure>, Vec<Violation>) {
    let mut violations = Vec::new();
    let regions = sides.iter().map(|(&region, &side)| {
        let own: Vec<&Operation> = history.iter().filter(|operation| operation.region == region).collect();
        let measured = measure_region(&own, phases, side);
        judge(region, &measured, stalled, &mut violations);
        (region, measured)
    });
    (regions.collect(), violations)
}

/// Where the plan leaves open which region serves, one of them must, taken together.
pub fn nobody_serves(history: &[Operation], phases: Phases, stalled: Duration) -> Vec<Violation> {
    let kinds = [("writes", Kind::is_write as fn(&Kind) -> bool), ("strong reads", Kind::is_read)];
    let away = |is_kind: fn(&Kind) -> bool| {
        let done = history.iter().filter(|operation| operation.is_done() && is_kind(&operation.kind));
        let mut successes: Vec<Moment> = done.map(|operation| operation.ended).collect();
        successes.sort();
        longest_gap(&successes, phases.fault, phases.recovery)
    };
    let gaps = kinds.map(|(name, is_kind)| (name, away(is_kind)));
    let long = gaps.into_iter().filter(|(_, away)| *away > AWAY_AT_MOST + stalled);
    long.map(|(name, away)| {
        Violation::new(Broken::Unavailable, format!("{name} were away in both regions for {} ms", away.as_millis()))
    })
    .collect()
}

fn measure_region(own: &[&Operation], phases: Phases, side: Side) -> RegionMeasure {
    let mut errors = BTreeMap::new();
    for code in own.iter().filter(|operation| operation.kind != Kind::Connect).filter_map(|operation| operation.code())
    {
        *errors.entry(code.clone()).or_default() += 1;
    }
    let during = |operation: &&&Operation| {
        operation.kind == Kind::Connect && operation.begun >= phases.fault && operation.ended <= phases.recovery
    };
    let connected = own.iter().filter(during).filter(|operation| operation.is_done()).count();
    RegionMeasure {
        side,
        writes: service(own, phases, Kind::is_write),
        reads: service(own, phases, Kind::is_read),
        errors,
        connects: (connected, own.iter().filter(during).count() - connected),
        refusal: (side == Side::Refuses).then(|| refusal(own, phases)),
    }
}

fn service(own: &[&Operation], phases: Phases, kind: fn(&Kind) -> bool) -> Service {
    let done: Vec<&&Operation> = own.iter().filter(|operation| kind(&operation.kind) && operation.is_done()).collect();
    let mut successes: Vec<Moment> = done.iter().map(|operation| operation.ended).collect();
    successes.sort();
    let back =
        done.iter().filter(|operation| operation.begun >= phases.recovery).map(|operation| operation.ended).min();
    Service {
        done: done.len(),
        away: longest_gap(&successes, phases.fault, phases.recovery),
        away_again: back.map_or(Duration::ZERO, |back| longest_gap(&successes, back, phases.end)),
        back: back.map(|moment| moment.since(phases.recovery)),
    }
}

/// The longest time within [from, to] without a success. `successes` is sorted.
fn longest_gap(successes: &[Moment], from: Moment, to: Moment) -> Duration {
    let within = successes.iter().copied().filter(|moment| (from..=to).contains(moment));
    let mut longest = Duration::ZERO;
    let mut before = from;
    for moment in within.chain([to]) {
        longest = longest.max(moment.since(before));
        before = moment;
    }
    longest
}

fn refusal(own: &[&Operation], phases: Phases) -> Refusal {
    let asked = || own.iter().filter(|operation| operation.kind.is_write() || operation.kind.is_read());
    let during = || asked().filter(|operation| operation.ended >= phases.fault && operation.begun < phases.recovery);
    let first = during()
        .filter(|operation| operation.code().is_some_and(Code::is_refusal))
        .map(|operation| operation.ended)
        .min();
    // What began shortly before the recovery may rightly be answered by it.
    let judged = during().filter(|operation| operation.begun.plus(REFUSES_WITHIN) <= phases.recovery);
    let slowest = judged.map(|operation| operation.ended.since(operation.begun.max(phases.fault))).max();
    let last = during()
        .filter(|operation| operation.is_done() && operation.ended < phases.recovery)
        .map(|operation| operation.ended)
        .max();
    Refusal {
        first: first.map(|moment| moment.since(phases.fault)),
        slowest_answer: slowest.unwrap_or_default(),
        last_success: last.map(|moment| moment.since(phases.fault)),
    }
}

fn judge(region: Place, measured: &RegionMeasure, stalled: Duration, violations: &mut Vec<Violation>) {
    let [away_at_most, refuses_within, back_within] =
        [AWAY_AT_MOST, REFUSES_WITHIN, BACK_WITHIN].map(|bar| bar + stalled);
    let mut broken = |what, evidence: String| violations.push(Violation::new(what, evidence));
    let milliseconds = |duration: Duration| format!("{} ms", duration.as_millis());
    for (name, service) in [("writes", measured.writes), ("strong reads", measured.reads)] {
        if measured.side == Side::Serves && service.away > away_at_most {
            let away = milliseconds(service.away);
            broken(Broken::Unavailable, format!("{name} in region {region} were away for {away}"));
        }
        if service.away_again > away_at_most {
            let away = milliseconds(service.away_again);
            broken(
                Broken::Unavailable,
                format!("{name} in region {region} went away again, for {away}, after the recovery"),
            );
        }
        match service.back {
            None => broken(Broken::Unavailable, format!("{name} in region {region} did not come back")),
            Some(back) if back > back_within => broken(
                Broken::Unavailable,
                format!("{name} in region {region} came back only {} after the recovery", milliseconds(back)),
            ),
            Some(_) => {}
        }
    }
    let Some(refusal) = measured.refusal else { return };
    match refusal.first {
        None => broken(Broken::Served, format!("region {region} was cut off and never refused")),
        Some(first) if first > refuses_within => broken(
            Broken::Unavailable,
            format!("region {region} was cut off and refused only after {}", milliseconds(first)),
        ),
        Some(_) => {}
    }
    if refusal.slowest_answer > refuses_within {
        let slowest = milliseconds(refusal.slowest_answer);
        broken(Broken::Unavailable, format!("region {region} was cut off and let a client wait for {slowest}"));
    }
    if let Some(last) = refusal.last_success.filter(|last| *last > refuses_within) {
        let last = milliseconds(last);
        broken(Broken::Served, format!("region {region} was cut off and still answered with success after {last}"));
    }
    match measured.connects {
        (0, 0) => broken(Broken::Drill, format!("nobody tried to connect to region {region} while it was cut off")),
        (_, 0) => {}
        (_, failed) => {
            broken(Broken::Unavailable, format!("region {region} was cut off and turned {failed} connections away"))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::history::Outcome;

    const PHASES: Phases = Phases { fault: Moment(10_000_000), recovery: Moment(20_000_000), end: Moment(25_000_000) };

    fn at(kind: Kind, begun_ms: u64, ended_ms: u64, outcome: Outcome) -> Operation {
        Operation { region: Place::A, kind, begun: Moment(begun_ms * 1000), ended: Moment(ended_ms * 1000), outcome }
    }

    fn refused() -> Outcome {
        Outcome::NotDone(Code::of("57P03"))
    }

    /// Writes and reads that succeed each 100 ms in [from, to).
    fn serving(from_ms: u64, to_ms: u64) -> Vec<Operation> {
        let read = Kind::Read { key: 1, value: Some(0) };
        (from_ms..to_ms)
            .step_by(100)
            .flat_map(|ms| [Kind::Transfer, read.clone()].map(|kind| at(kind, ms, ms + 50, Outcome::Done)))
            .collect()
    }

    fn judged(side: Side, history: &[Operation]) -> (RegionMeasure, Vec<String>) {
        let (mut regions, violations) = measure(history, PHASES, &[(Place::A, side)].into(), Duration::ZERO);
        let measured = regions.remove(&Place::A).expect("region A");
        (measured, violations.into_iter().map(|violation| violation.evidence).collect())
    }

    #[test]
    fn gaps_are_counted_from_the_fault_to_the_recovery() {
        let moments = [5, 9, 12, 13, 18].map(|second| Moment(second * 1_000_000));
        let table = [(10, 20, 5), (0, 30, 12), (13, 14, 1), (19, 20, 1), (10, 12, 2)];
        for (from, to, seconds) in table {
            let gap = longest_gap(&moments, Moment(from * 1_000_000), Moment(to * 1_000_000));
            assert_eq!(gap, Duration::from_secs(seconds), "{from}..{to}");
        }
    }

    #[test]
    fn an_outage_within_the_bar_passes_and_a_longer_one_does_not() {
        for (back_ms, violations) in [(13_000, 0), (14_500, 2)] {
            let history = [serving(9_000, 10_000), serving(back_ms, 25_000)].concat();
            let (measured, found) = judged(Side::Serves, &history);
            assert_eq!(found.len(), violations, "{found:?}");
            assert_eq!(measured.writes.away, Duration::from_millis(back_ms + 50 - 10_000));
            assert_eq!(measured.reads.back, Some(Duration::from_millis(50)));
        }
    }

    #[test]
    fn one_of_both_will_do_where_the_plan_leaves_it_open() {
        let elsewhere = |from_ms, to_ms| {
            let own = serving(from_ms, to_ms).into_iter();
            own.map(|operation| Operation { region: Place::B, ..operation }).collect::<Vec<_>>()
        };
        let table =
            [("in turns", elsewhere(15_000, 25_000), 0), ("neither, for five seconds", elsewhere(18_000, 25_000), 2)];
        for (name, other, expected) in table {
            let history = [serving(9_000, 13_000), other].concat();
            let found = nobody_serves(&history, PHASES, Duration::ZERO);
            assert_eq!(found.len(), expected, "{name}: {found:?}");
        }
    }

    #[test]
    fn a_machine_that_stood_still_is_allowed_for() {
        let history = [serving(9_000, 10_000), serving(14_500, 25_000)].concat();
        for (stalled_ms, violations) in [(0, 2), (300, 2), (600, 0)] {
            let sides = [(Place::A, Side::Serves)].into();
            let (_, found) = measure(&history, PHASES, &sides, Duration::from_millis(stalled_ms));
            assert_eq!(found.len(), violations, "{stalled_ms}");
        }
    }

    #[test]
    fn a_region_that_stays_away_is_reported() {
        let (measured, found) = judged(Side::Gone, &serving(9_000, 10_000));
        assert_eq!(measured.writes.back, None);
        assert_eq!(found.len(), 2, "{found:?}");
    }

    #[test]
    fn refusing_means_soon_clearly_and_with_the_door_open() {
        let connect = |outcome| at(Kind::Connect, 13_000, 13_001, outcome);
        let good = [
            serving(9_000, 10_800),
            vec![at(Kind::Transfer, 9_990, 11_600, Outcome::Unknown(Code::of("40003")))],
            vec![at(Kind::Transfer, 12_000, 12_001, refused()), connect(Outcome::Done)],
            serving(20_000, 25_000),
        ]
        .concat();
        let (measured, found) = judged(Side::Refuses, &good);
        assert_eq!(found, Vec::<String>::new());
        let refusal = measured.refusal.expect("it must refuse");
        assert_eq!(refusal.first, Some(Duration::from_millis(1_600)));
        assert_eq!(refusal.slowest_answer, Duration::from_millis(1_600));
        assert_eq!(refusal.last_success, Some(Duration::from_millis(750)));
        assert_eq!(measured.errors, [(Code::of("40003"), 1), (Code::of("57P03"), 1)].into());

        let table = [
            ("served too long", serving(10_800, 13_000), "still answered with success"),
            ("let a client hang", vec![at(Kind::Transfer, 12_000, 16_000, refused())], "let a client wait for 4000 ms"),
            ("closed the door", vec![connect(refused())], "turned 1 connections away"),
        ];
        for (name, more, evidence) in table {
            let (_, found) = judged(Side::Refuses, &[good.clone(), more].concat());
            assert!(found.len() == 1 && found[0].contains(evidence), "{name}: {found:?}");
        }
    }

    #[test]
    fn what_begins_just_before_the_recovery_may_be_answered_by_it() {
        let history = [
            serving(9_000, 10_100),
            vec![at(Kind::Transfer, 10_000, 11_000, refused()), at(Kind::Connect, 13_000, 13_001, Outcome::Done)],
            vec![at(Kind::Transfer, 19_000, 22_000, Outcome::Done)],
            serving(20_000, 25_000),
        ]
        .concat();
        assert_eq!(judged(Side::Refuses, &history).1, Vec::<String>::new());
    }
}
