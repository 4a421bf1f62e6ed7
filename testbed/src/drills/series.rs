//! Throughput and latency by time, from the recorded history. What counts is when an answer came.
use crate::history::{Kind, Moment, Operation};
use crate::place::Place;
use serde::Serialize;

/// Of one region and one kind, a value a bucket.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct Series {
    pub region: Place,
    pub writes: bool,
    pub bucket_ms: u64,
    /// Successes a second.
    pub rate: Vec<f64>,
    /// Milliseconds; none where nothing succeeded.
    pub p50: Vec<Option<f64>>,
    pub p99: Vec<Option<f64>>,
    /// Errors a second.
    pub errors: Vec<f64>,
}

const BUCKET_MS: u64 = 200;

pub fn series(history: &[Operation], end: Moment) -> Vec<Series> {
    let kinds = [(true, Kind::is_write as fn(&Kind) -> bool), (false, Kind::is_read)];
    let all = Place::REGIONS.into_iter().flat_map(|region| kinds.map(|(writes, is_kind)| (region, writes, is_kind)));
    all.map(|(region, writes, is_kind)| {
        let count = (end.0 / 1000 / BUCKET_MS) as usize + 1;
        let mut waits: Vec<Vec<f64>> = vec![Vec::new(); count];
        let mut errors = vec![0.0; count];
        let per_second = 1000.0 / BUCKET_MS as f64;
        for operation in history.iter().filter(|operation| operation.region == region && is_kind(&operation.kind)) {
            let bucket = (operation.ended.0 / 1000 / BUCKET_MS) as usize;
            if bucket >= count {
                continue;
            }
            match operation.is_done() {
                true => waits[bucket].push(operation.ended.since(operation.begun).as_secs_f64() * 1e3),
                false => errors[bucket] += per_second,
            }
        }
        waits.iter_mut().for_each(|waits| waits.sort_by(f64::total_cmp));
        Series {
            region,
            writes,
            bucket_ms: BUCKET_MS,
            rate: waits.iter().map(|waits| waits.len() as f64 * per_second).collect(),
            p50: waits.iter().map(|waits| quantile(waits, 0.5)).collect(),
            p99: waits.iter().map(|waits| quantile(waits, 0.99)).collect(),
            errors,
        }
    })
    .collect()
}

/// Of sorted values.
fn quantile(sorted: &[f64], share: f64) -> Option<f64> {
    let last = sorted.len().checked_sub(1)?;
    sorted.get((last as f64 * share).round() as usize).copied()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::history::{Code, Outcome};

    #[test]
    fn answers_count_when_they_come() {
        let at = |begun_ms: u64, ended_ms: u64, outcome| Operation {
            region: Place::B,
            kind: Kind::Transfer,
            begun: Moment(begun_ms * 1000),
            ended: Moment(ended_ms * 1000),
            outcome,
        };
        let history = [
            at(0, 50, Outcome::Done),
            at(0, 70, Outcome::Done),
            at(0, 90, Outcome::Done),
            at(100, 450, Outcome::NotDone(Code::of("57P03"))),
        ];
        let all = series(&history, Moment(500_000));
        let found = all.iter().find(|one| one.region == Place::B && one.writes).expect("it is there");
        assert_eq!(found.rate, [15.0, 0.0, 0.0]);
        assert_eq!(found.errors, [0.0, 0.0, 5.0]);
        assert_eq!(found.p50, [Some(70.0), None, None]);
        assert_eq!(found.p99, [Some(90.0), None, None]);
    }
}
