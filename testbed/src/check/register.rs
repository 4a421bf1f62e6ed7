//! Linearizability of registers whose writes all carry different values.
//!
//! In general the question is NP-complete; with unique values a read names the write that it saw, and the answer takes
//! a sort (Gibbons and Korach, *Testing Shared Memories*, SIAM J. Comput. 26, 1997). A write and the reads of its value
//! form a *cluster*. The cluster's value must be the register's from the earliest end of an operation in it to the
//! latest beginning:
//!
//! ```text
//!   forward zone    some operation ended before another began:   |ended......begun|   the value was there in between
//!   backward zone   all overlap:                                 |begun......ended|   it was there at some point inside
//! ```
//!
//! A history is linearizable iff no read ended before its write began, no two forward zones overlap, and no backward
//! zone lies within a forward zone.
//!
//! A write without an answer may take effect at any time after it began, or never: it ends at [`Moment::NEVER`], and
//! counts only if somebody read its value. A refused write never has an effect: reading its value is a violation.
use super::{Broken, Violation};
use crate::history::{Kind, Moment, Operation, Outcome};
use crate::place::Place;
use std::collections::{BTreeMap, HashMap};

#[derive(Clone, Debug)]
struct Cluster {
    value: i64,
    written: Moment,
    writer: Option<Place>,
    /// The earliest end, and who it was.
    first_end: (Moment, Place),
    /// The latest beginning, and who it was.
    last_begin: (Moment, Place),
}

impl Cluster {
    fn is_forward(&self) -> bool {
        self.first_end.0 < self.last_begin.0
    }
    fn low(&self) -> Moment {
        self.first_end.0.min(self.last_begin.0)
    }
    fn high(&self) -> Moment {
        self.first_end.0.max(self.last_begin.0)
    }
}

/// `initial`: the value that each key had before the history began.
pub fn check(history: &[Operation], initial: i64) -> Vec<Violation> {
    let mut by_key: BTreeMap<i32, Vec<&Operation>> = BTreeMap::new();
    for operation in history {
        if let Kind::Write { key, .. } | Kind::Read { key, .. } = operation.kind {
            by_key.entry(key).or_default().push(operation);
        }
    }
    by_key.into_iter().flat_map(|(key, operations)| check_key(key, &operations, initial)).collect()
}

fn check_key(key: i32, operations: &[&Operation], initial: i64) -> Vec<Violation> {
    let mut violations = Vec::new();
    let mut clusters: HashMap<i64, Cluster> = HashMap::new();
    let mut refused = HashMap::new();
    let before_all = (Moment(0), Place::A);
    clusters.insert(
        initial,
        Cluster { value: initial, written: Moment(0), writer: None, first_end: before_all, last_begin: before_all },
    );
    let mut unseen_unknown: HashMap<i64, &Operation> = HashMap::new();
    for operation in operations {
        let Kind::Write { value, .. } = operation.kind else { continue };
        // Moments start at 1 here, so that the initial value comes before everything.
        let cluster = |ended: Moment| Cluster {
            value,
            written: later(operation.begun),
            writer: Some(operation.region),
            first_end: (ended, operation.region),
            last_begin: (later(operation.begun), operation.region),
        };
        match &operation.outcome {
            Outcome::Done => {
                let before = clusters.insert(value, cluster(later(operation.ended)));
                assert!(before.is_none(), "a register's value was written twice");
            }
            Outcome::Unknown(_) => drop(unseen_unknown.insert(value, operation)),
            Outcome::NotDone(code) => drop(refused.insert(value, code)),
        }
    }
    for operation in operations {
        let Kind::Read { value, .. } = operation.kind else { continue };
        if !operation.is_done() {
            continue;
        }
        let Some(value) = value else {
            violations.push(Violation::new(
                Broken::Lost,
                format!("key {key} was not there in region {} at {:.3} s", operation.region, operation.begun.seconds()),
            ));
            continue;
        };
        if let Some(write) = unseen_unknown.remove(&value) {
            // It did happen, at some time after it began.
            clusters.insert(
                value,
                Cluster {
                    value,
                    written: later(write.begun),
                    writer: Some(write.region),
                    first_end: (Moment::NEVER, write.region),
                    last_begin: (later(write.begun), write.region),
                },
            );
        }
        let Some(cluster) = clusters.get_mut(&value) else {
            let violation = match refused.get(&value) {
                Some(code) => Violation::new(
                    Broken::Revived,
                    format!("region {} read {value} of key {key}, whose write was told {}", operation.region, code.0),
                ),
                None => Violation::new(
                    Broken::Invented,
                    format!("region {} read {value} of key {key}, which nobody wrote", operation.region),
                ),
            };
            violations.push(violation);
            continue;
        };
        let (begun, ended) = (later(operation.begun), later(operation.ended));
        if ended < cluster.written {
            violations.push(Violation::new(
                Broken::Unordered,
                format!("region {} read {value} of key {key} before its write began", operation.region),
            ));
            continue;
        }
        cluster.first_end = cluster.first_end.min((ended, operation.region));
        cluster.last_begin = cluster.last_begin.max((begun, operation.region));
    }
    violations.extend(conflicts(key, clusters.into_values().collect()));
    violations
}

fn later(moment: Moment) -> Moment {
    Moment(moment.0.saturating_add(1))
}

/// Sorted sweeps over the zones.
fn conflicts(key: i32, clusters: Vec<Cluster>) -> Vec<Violation> {
    let (mut forward, backward): (Vec<Cluster>, Vec<Cluster>) = clusters.into_iter().partition(Cluster::is_forward);
    forward.sort_by_key(Cluster::low);
    let mut violations = Vec::new();
    for pair in forward.windows(2) {
        // Sorted by their low ends, so if any two overlap then two neighbours do.
        if pair[1].low() < pair[0].high() {
            violations.push(explain(key, &pair[0], &pair[1]));
        }
    }
    for inner in &backward {
        let after = forward.partition_point(|outer| outer.low() < inner.low());
        if let Some(outer) = after.checked_sub(1).map(|index| &forward[index])
            && inner.high() < outer.high()
        {
            violations.push(explain(key, outer, inner));
        }
    }
    violations
}

/// The usual story is a stale read: `older` was read although `newer` had been acknowledged before the read began.
fn explain(key: i32, one: &Cluster, other: &Cluster) -> Violation {
    let stale = [(one, other), (other, one)]
        .into_iter()
        .find(|(older, newer)| older.last_begin.0 > newer.first_end.0 && older.first_end.0 < newer.last_begin.0);
    match stale {
        Some((older, newer)) => {
            let since = older.last_begin.0.since(newer.first_end.0).as_secs_f64() * 1e3;
            let writer = newer.writer.map_or(String::new(), |place| format!(", written in region {place},"));
            Violation::new(
                Broken::Stale,
                format!(
                    "region {} read {} of key {key} in a read that began {since:.1} ms after region {} knew {}{writer} to be there",
                    older.last_begin.1, older.value, newer.first_end.1, newer.value,
                ),
            )
        }
        None => Violation::new(
            Broken::Unordered,
            format!("no order of the values {} and {} of key {key} explains what was read", one.value, other.value),
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::history::Code;
    use proptest::prelude::*;

    #[derive(Clone, Copy, Debug, PartialEq)]
    enum Fate {
        Done,
        Unknown,
        Refused,
    }

    fn outcome(fate: Fate) -> Outcome {
        match fate {
            Fate::Done => Outcome::Done,
            Fate::Unknown => Outcome::Unknown(Code::of("40003")),
            Fate::Refused => Outcome::NotDone(Code::of("40001")),
        }
    }

    fn write(value: i64, begun: u64, ended: u64, fate: Fate) -> Operation {
        let kind = Kind::Write { key: 1, value };
        Operation { region: Place::A, kind, begun: Moment(begun), ended: Moment(ended), outcome: outcome(fate) }
    }

    fn read(value: i64, begun: u64, ended: u64) -> Operation {
        let kind = Kind::Read { key: 1, value: Some(value) };
        Operation { region: Place::B, kind, begun: Moment(begun), ended: Moment(ended), outcome: Outcome::Done }
    }

    fn broken(history: &[Operation]) -> Vec<Broken> {
        check(history, 0).into_iter().map(|violation| violation.what).collect()
    }

    #[test]
    fn drawn_histories() {
        use Fate::*;
        let table: Vec<(&str, Vec<Operation>, Vec<Broken>)> = vec![
            ("nothing", vec![], vec![]),
            ("the initial value", vec![read(0, 1, 2)], vec![]),
            ("a write, then its read", vec![write(1, 1, 2, Done), read(1, 3, 4)], vec![]),
            ("a read beside the write sees either", vec![write(1, 1, 9, Done), read(0, 2, 3), read(1, 4, 5)], vec![]),
            ("an acknowledged write is not seen", vec![write(1, 1, 2, Done), read(0, 3, 4)], vec![Broken::Stale]),
            (
                "new, then old, beside the write",
                vec![write(1, 1, 9, Done), read(1, 2, 3), read(0, 4, 5)],
                vec![Broken::Stale],
            ),
            ("a lost write that nobody saw", vec![write(1, 1, 2, Unknown), read(0, 3, 4)], vec![]),
            (
                "without an answer, seen later",
                vec![write(1, 1, 2, Unknown), read(0, 3, 4), read(1, 5, 6), read(1, 50, 60)],
                vec![],
            ),
            (
                "without an answer, seen, gone again",
                vec![write(1, 1, 2, Unknown), read(1, 3, 4), read(0, 5, 6)],
                vec![Broken::Stale],
            ),
            ("a refused write is seen", vec![write(1, 1, 2, Refused), read(1, 3, 4)], vec![Broken::Revived]),
            ("a value from nowhere", vec![read(7, 3, 4)], vec![Broken::Invented]),
            ("from the future", vec![read(1, 1, 2), write(1, 3, 4, Done)], vec![Broken::Unordered]),
            (
                "one write hides another, which then shows",
                vec![write(1, 1, 2, Done), write(2, 3, 4, Done), read(1, 5, 6)],
                vec![Broken::Stale],
            ),
            (
                "two writes at once, two readers disagree",
                vec![write(1, 1, 10, Done), write(2, 1, 10, Done), read(1, 11, 12), read(2, 13, 14), read(1, 15, 16)],
                vec![Broken::Stale],
            ),
        ];
        for (name, history, expected) in table {
            assert_eq!(broken(&history), expected, "{name}");
        }
    }

    #[test]
    fn keys_are_registers_of_their_own() {
        let mut other_key = read(0, 3, 4);
        other_key.kind = Kind::Read { key: 2, value: Some(0) };
        assert_eq!(broken(&[write(1, 1, 2, Fate::Done), other_key]), []);
    }

    #[test]
    fn a_row_that_is_gone_is_lost() {
        let mut gone = read(0, 3, 4);
        gone.kind = Kind::Read { key: 1, value: None };
        assert_eq!(broken(&[gone]), [Broken::Lost]);
    }

    /// Wing and Gong: tries every order. The oracle for small histories.
    fn linearizable_by_trial(history: &[Operation]) -> bool {
        fn place(history: &[Operation], placed: u32, current: i64) -> bool {
            let left: Vec<usize> = (0..history.len()).filter(|index| placed & (1 << index) == 0).collect();
            let end = |operation: &Operation| match operation.outcome {
                Outcome::Unknown(_) => Moment::NEVER,
                _ => operation.ended,
            };
            // All that must be placed has been; what is left of unknown fate never happened.
            if left.iter().all(|index| matches!(history[*index].outcome, Outcome::Unknown(_))) {
                return true;
            }
            left.iter().any(|index| {
                let operation = &history[*index];
                // Nothing that ended before this began may come after it.
                if left.iter().any(|other| other != index && end(&history[*other]) < operation.begun) {
                    return false;
                }
                match operation.kind {
                    Kind::Write { value, .. } => place(history, placed | 1 << index, value),
                    Kind::Read { value, .. } => value == Some(current) && place(history, placed | 1 << index, current),
                    _ => unreachable!("a register's history has reads and writes"),
                }
            })
        }
        place(history, 0, 0)
    }

    fn small_history() -> impl Strategy<Value = Vec<Operation>> {
        let write_shape = (1u64..24, 0u64..12, prop::bool::weighted(0.25));
        let read_shape = (1u64..24, 0u64..12, 0i64..4);
        (prop::collection::vec(write_shape, 0..4), prop::collection::vec(read_shape, 0..5)).prop_map(
            |(writes, reads)| {
                let mut history = Vec::new();
                let count = writes.len() as i64;
                for (index, (begun, length, unknown)) in writes.into_iter().enumerate() {
                    let fate = if unknown { Fate::Unknown } else { Fate::Done };
                    history.push(write(index as i64 + 1, begun, begun + length, fate));
                }
                for (begun, length, value) in reads {
                    history.push(read(value.min(count), begun, begun + length));
                }
                history
            },
        )
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(20_000))]
        #[test]
        fn agrees_with_trying_every_order(history in small_history()) {
            prop_assert_eq!(check(&history, 0).is_empty(), linearizable_by_trial(&history));
        }
    }
}
