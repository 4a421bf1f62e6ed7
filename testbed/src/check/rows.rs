//! What was acknowledged is there; what was refused is not; what is there was written.
use super::{Broken, Violation, some_of};
use crate::history::{Kind, Operation, Outcome};
use crate::place::Place;
use serde::Serialize;
use std::collections::{BTreeMap, BTreeSet};

/// How the inserts of a history ended.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize)]
pub struct Fates {
    pub acknowledged: usize,
    pub lost: usize,
    /// Without an answer, looked up at the end.
    pub unknown: usize,
    pub unknown_done: usize,
    pub refused: usize,
}

/// `found`: the ids in the table at the end, as each region tells it.
pub fn check(history: &[Operation], found: &BTreeMap<Place, BTreeSet<i64>>) -> (Fates, Vec<Violation>) {
    let mut fates = Fates::default();
    let mut acknowledged = BTreeMap::new();
    let mut refused = BTreeMap::new();
    let mut sent = BTreeSet::new();
    let mut unknown = BTreeSet::new();
    for operation in history {
        let Kind::Insert { id } = operation.kind else { continue };
        assert!(sent.insert(id), "an insert's id was used twice");
        match &operation.outcome {
            Outcome::Done => drop(acknowledged.insert(id, operation.region)),
            Outcome::NotDone(code) => drop(refused.insert(id, code)),
            Outcome::Unknown(_) => drop(unknown.insert(id)),
        }
    }
    let mut violations = Vec::new();
    let mut lost_anywhere = BTreeSet::new();
    for (region, ids) in found {
        let lost: Vec<i64> = acknowledged.keys().filter(|id| !ids.contains(id)).copied().collect();
        if !lost.is_empty() {
            let named: Vec<String> = lost.iter().map(|id| format!("{id} (told in {})", acknowledged[id])).collect();
            violations.push(Violation::new(
                Broken::Lost,
                format!("{} acknowledged rows are not in region {region}: {}", lost.len(), some_of(&named)),
            ));
            lost_anywhere.extend(lost);
        }
        let revived: Vec<String> = refused
            .iter()
            .filter(|(id, _)| ids.contains(id))
            .map(|(id, code)| format!("{id} (told {})", code.0))
            .collect();
        if !revived.is_empty() {
            let evidence =
                format!("{} rows that were refused are in region {region}: {}", revived.len(), some_of(&revived));
            violations.push(Violation::new(Broken::Revived, evidence));
        }
        let invented: Vec<i64> = ids.difference(&sent).copied().collect();
        if !invented.is_empty() {
            let evidence =
                format!("{} rows that nobody inserted are in region {region}: {}", invented.len(), some_of(&invented));
            violations.push(Violation::new(Broken::Invented, evidence));
        }
    }
    if let (Some(a), Some(b)) = (found.get(&Place::A), found.get(&Place::B)) {
        let differing: Vec<i64> = a.symmetric_difference(b).copied().collect();
        if !differing.is_empty() {
            let evidence = format!("{} rows are in one region only: {}", differing.len(), some_of(&differing));
            violations.push(Violation::new(Broken::Diverged, evidence));
        }
    }
    fates.acknowledged = acknowledged.len();
    fates.lost = lost_anywhere.len();
    fates.refused = refused.len();
    fates.unknown = unknown.len();
    fates.unknown_done = unknown.iter().filter(|id| found.values().any(|ids| ids.contains(id))).count();
    (fates, violations)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::history::{Code, Moment};

    fn insert(id: i64, outcome: Outcome) -> Operation {
        Operation { region: Place::A, kind: Kind::Insert { id }, begun: Moment(1), ended: Moment(2), outcome }
    }

    fn history() -> Vec<Operation> {
        vec![
            insert(1, Outcome::Done),
            insert(2, Outcome::Done),
            insert(3, Outcome::NotDone(Code::of("57P03"))),
            insert(4, Outcome::Unknown(Code::of("40003"))),
            insert(5, Outcome::Unknown(Code::of("connection"))),
        ]
    }

    fn broken(a: &[i64], b: &[i64]) -> Vec<Broken> {
        let found = [(Place::A, a), (Place::B, b)].map(|(place, ids)| (place, ids.iter().copied().collect()));
        check(&history(), &found.into()).1.into_iter().map(|violation| violation.what).collect()
    }

    #[test]
    fn only_what_is_unknown_may_go_either_way() {
        let table: [(&[i64], &[i64], &[Broken]); 6] = [
            (&[1, 2], &[1, 2], &[]),
            (&[1, 2, 4], &[1, 2, 4], &[]),
            (&[1], &[1], &[Broken::Lost, Broken::Lost]),
            (&[1, 2, 3], &[1, 2, 3], &[Broken::Revived, Broken::Revived]),
            (&[1, 2, 9], &[1, 2, 9], &[Broken::Invented, Broken::Invented]),
            (&[1, 2, 4], &[1, 2], &[Broken::Diverged]),
        ];
        for (a, b, expected) in table {
            assert_eq!(broken(a, b), expected, "{a:?} {b:?}");
        }
    }

    #[test]
    fn fates_are_counted() {
        let (fates, _) = check(&history(), &[(Place::A, BTreeSet::from([1, 4]))].into());
        assert_eq!(fates, Fates { acknowledged: 2, lost: 1, unknown: 2, unknown_done: 1, refused: 1 });
    }
}
