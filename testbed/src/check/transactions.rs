//! Transactions over lists and registers, judged by trivet-history, and written as it writes them.
//!
//! Lists run under REPEATABLE READ, which is promised to be strict snapshot isolation; registers under SERIALIZABLE,
//! which is promised to be strict. Events are ordered by the clock that all clients share; what it does not tell apart
//! counts as beside each other.
use super::{Broken, Violation};
use crate::history::{Deed, Moment, Outcome, What};
use serde::Serialize;
use std::sync::Arc;
use trivet_history::{Event, History, Level, MicroOperation, Name, Process, Type, Verdict};

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Workload {
    Lists,
    Cells,
}

impl Workload {
    pub const ALL: [Workload; 2] = [Workload::Lists, Workload::Cells];

    pub fn name(self) -> &'static str {
        match self {
            Workload::Lists => "append",
            Workload::Cells => "register",
        }
    }

    pub fn level(self) -> Level {
        match self {
            Workload::Lists => Level::StrictSnapshotIsolation,
            Workload::Cells => Level::StrictSerializability,
        }
    }

    fn operations(self, what: &What) -> Option<&[MicroOperation]> {
        match (self, what) {
            (Workload::Lists, What::Lists(operations)) | (Workload::Cells, What::Cells(operations)) => Some(operations),
            _ => None,
        }
    }
}

/// For the report.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct Judged {
    pub workload: &'static str,
    pub level: &'static str,
    pub clean: bool,
    pub committed: usize,
    pub aborted: usize,
    pub unknown: usize,
    /// Without an answer, but seen.
    pub recovered: usize,
    pub anomalies: Vec<String>,
}

impl Judged {
    fn new(workload: Workload, verdict: &Verdict) -> Judged {
        Judged {
            workload: workload.name(),
            level: verdict.level.words(),
            clean: verdict.is_clean(),
            committed: verdict.committed,
            aborted: verdict.aborted,
            unknown: verdict.unknown,
            recovered: verdict.recovered,
            anomalies: verdict.anomalies.iter().map(|anomaly| anomaly.to_string()).collect(),
        }
    }
}

/// `faults`: what was done to the database, and when.
pub fn history(workload: Workload, deeds: &[Deed], faults: &[(Moment, String)]) -> History {
    // Beginnings before ends, within a microsecond.
    let mut events: Vec<((Moment, bool), Event)> = Vec::with_capacity(deeds.len() * 2);
    for deed in deeds {
        let Some(told) = workload.operations(&deed.what) else { continue };
        let asked: Vec<MicroOperation> = told.iter().map(unread).collect();
        let event = |kind, moment: Moment, value: Vec<MicroOperation>| Event {
            kind,
            process: Process::Client(deed.process),
            time: moment.0 * 1000,
            value,
            region: Some(deed.region.name().into()),
            note: deed_note(kind, &deed.outcome),
        };
        let (kind, value) = match deed.outcome {
            Outcome::Done => (Type::Ok, told.to_vec()),
            Outcome::NotDone(_) => (Type::Fail, asked.clone()),
            Outcome::Unknown(_) => (Type::Info, asked.clone()),
        };
        events.push(((deed.begun, false), event(Type::Invoke, deed.begun, asked)));
        events.push(((deed.ended, true), event(kind, deed.ended, value)));
    }
    for (moment, what) in faults {
        let (process, time, note) = (Process::Nemesis, moment.0 * 1000, Some(what.as_str().into()));
        let event = Event { kind: Type::Info, process, time, value: Vec::new(), region: None, note };
        events.push(((*moment, true), event));
    }
    events.sort_by_key(|(order, _)| *order);
    History { events: events.into_iter().map(|(_, event)| event).collect() }
}

fn deed_note(kind: Type, outcome: &Outcome) -> Option<Arc<str>> {
    match outcome {
        Outcome::NotDone(code) | Outcome::Unknown(code) if kind != Type::Invoke => Some(code.0.as_str().into()),
        _ => None,
    }
}

fn unread(operation: &MicroOperation) -> MicroOperation {
    use trivet_history::{Action, Seen};
    let action = match &operation.action {
        Action::Read(_) => Action::Read(Seen::Nil),
        other => other.clone(),
    };
    MicroOperation { key: operation.key.clone(), action }
}

pub fn check(workload: Workload, history: &History) -> (Judged, Vec<Violation>) {
    let verdict = trivet_history::check(history, workload.level()).expect("a workload has one kind of operations");
    let told = |name: Name| match name {
        Name::StaleRead | Name::RealTime => Broken::Stale,
        Name::Invented => Broken::Invented,
        Name::G1a => Broken::Revived,
        _ => Broken::Isolation,
    };
    let evidence = |text: &str| format!("{} transactions, {}: {text}", workload.name(), verdict.level.words());
    let violations = verdict.anomalies.iter();
    let violations = violations.map(|anomaly| Violation::new(told(anomaly.name), evidence(&anomaly.to_string())));
    (Judged::new(workload, &verdict), violations.collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::history::Code;
    use crate::place::Place;
    use trivet_history::{Action, Seen};

    fn append(key: i64, value: i64) -> MicroOperation {
        MicroOperation { key: key.into(), action: Action::Append(value) }
    }

    fn read(key: i64, list: &[i64]) -> MicroOperation {
        MicroOperation { key: key.into(), action: Action::Read(Seen::List(list.to_vec())) }
    }

    fn deed(process: u64, begun: u64, ended: u64, operations: Vec<MicroOperation>, outcome: Outcome) -> Deed {
        let (region, what) = (Place::B, What::Lists(operations));
        Deed { process, region, what, begun: Moment(begun), ended: Moment(ended), outcome }
    }

    #[test]
    fn a_stale_read_is_told_and_a_concurrent_one_is_not() {
        for (begun, clean) in [(20, true), (21, false)] {
            let deeds = [
                deed(1, 10, 20, vec![append(5, 1)], Outcome::Done),
                deed(2, begun, 30, vec![read(5, &[])], Outcome::Done),
            ];
            let (judged, violations) = check(Workload::Lists, &history(Workload::Lists, &deeds, &[]));
            assert_eq!((judged.clean, violations.is_empty()), (clean, clean), "{violations:?}");
        }
    }

    #[test]
    fn what_is_written_has_the_faults_and_the_fates() {
        let deeds = [
            deed(1, 10, 20, vec![append(5, 1), read(5, &[1])], Outcome::Unknown(Code::of("40003"))),
            deed(2, 11, 13, vec![append(5, 2)], Outcome::NotDone(Code::of("40001"))),
        ];
        let text = trivet_history::write(&history(Workload::Lists, &deeds, &[(Moment(12), "kill A".into())]));
        let expected = [
            r#"{:index 0, :time 10000, :type :invoke, :process 1, :f :txn, :value [[:append 5 1] [:r 5 nil]], :region "B"}"#,
            r#"{:index 1, :time 11000, :type :invoke, :process 2, :f :txn, :value [[:append 5 2]], :region "B"}"#,
            r#"{:index 2, :time 12000, :type :info, :process :nemesis, :f :fault, :value nil, :error "kill A"}"#,
            r#"{:index 3, :time 13000, :type :fail, :process 2, :f :txn, :value [[:append 5 2]], :region "B", :error "40001"}"#,
            r#"{:index 4, :time 20000, :type :info, :process 1, :f :txn, :value [[:append 5 1] [:r 5 nil]], :region "B", :error "40003"}"#,
        ];
        assert_eq!(text.lines().collect::<Vec<_>>(), expected);
    }
}
