//! A look for a row that was acknowledged before the look began must find it, whoever was told and wherever one looks.
use super::{Broken, Violation};
use crate::history::{Kind, Moment, Operation};
use crate::place::Place;
use std::collections::HashMap;

pub fn check(history: &[Operation]) -> Vec<Violation> {
    let mut told: HashMap<i64, (Moment, Place)> = HashMap::new();
    for operation in history {
        if let (Kind::Insert { id }, true) = (&operation.kind, operation.is_done()) {
            told.insert(*id, (operation.ended, operation.region));
        }
    }
    let mut violations = Vec::new();
    for operation in history {
        let Kind::Look { id, found: false } = operation.kind else { continue };
        let Some(&(when, place)) = told.get(&id) else { continue };
        if operation.is_done() && when < operation.begun {
            violations.push(Violation::new(
                Broken::Stale,
                format!(
                    "region {} did not find row {id} in a read that began {:.1} ms after region {place} had acknowledged it",
                    operation.region,
                    operation.begun.since(when).as_secs_f64() * 1e3,
                ),
            ));
        }
    }
    violations
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::history::{Code, Outcome};

    fn at(region: Place, kind: Kind, begun: u64, ended: u64, outcome: Outcome) -> Operation {
        Operation { region, kind, begun: Moment(begun), ended: Moment(ended), outcome }
    }

    #[test]
    fn a_miss_counts_only_after_the_acknowledgement() {
        let refused = Outcome::NotDone(Code::of("57P03"));
        let table = [
            ("found", 60, true, Outcome::Done, 0),
            ("missed, began after", 60, false, Outcome::Done, 1),
            ("missed, began at the same moment", 50, false, Outcome::Done, 0),
            ("missed, began before", 40, false, Outcome::Done, 0),
            ("refused", 60, false, refused, 0),
        ];
        for (name, begun, found, outcome, expected) in table {
            let history = [
                at(Place::A, Kind::Insert { id: 7 }, 10, 50, Outcome::Done),
                at(Place::B, Kind::Look { id: 7, found }, begun, begun + 5, outcome),
            ];
            assert_eq!(check(&history).len(), expected, "{name}");
        }
    }
}
