//! Transfers move money and make none: every sum of all balances, at any time and in any region, is the first one.
use super::{Broken, Violation, some_of};
use crate::history::{Kind, Operation};
use crate::place::Place;
use std::collections::BTreeMap;

/// `found`: the sum at the end, as each region tells it.
pub fn check(history: &[Operation], expected: i64, found: &BTreeMap<Place, i64>) -> Vec<Violation> {
    let wrong: Vec<String> = history
        .iter()
        .filter(|operation| operation.is_done())
        .filter_map(|operation| match operation.kind {
            Kind::Sum { sum } if sum != expected => {
                Some(format!("{sum} in region {} at {:.3} s", operation.region, operation.begun.seconds()))
            }
            _ => None,
        })
        .collect();
    let mut violations = Vec::new();
    if !wrong.is_empty() {
        let evidence = format!("{} reads saw a sum other than {expected}: {}", wrong.len(), some_of(&wrong));
        violations.push(Violation::new(Broken::Unbalanced, evidence));
    }
    for (region, sum) in found {
        if *sum != expected {
            let evidence = format!("the balances in region {region} sum to {sum} at the end, not {expected}");
            violations.push(Violation::new(Broken::Unbalanced, evidence));
        }
    }
    violations
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::history::{Code, Moment, Outcome};

    #[test]
    fn any_other_sum_is_a_violation() {
        let sum = |sum, outcome| Operation {
            region: Place::B,
            kind: Kind::Sum { sum },
            begun: Moment(1),
            ended: Moment(2),
            outcome,
        };
        let good = sum(100, Outcome::Done);
        let refused = sum(0, Outcome::NotDone(Code::of("57P03")));
        let end = |a, b| BTreeMap::from([(Place::A, a), (Place::B, b)]);
        assert_eq!(check(&[good.clone(), refused], 100, &end(100, 100)), []);
        assert_eq!(check(&[good, sum(99, Outcome::Done)], 100, &end(100, 100)).len(), 1);
        assert_eq!(check(&[], 100, &end(100, 101)).len(), 1);
    }
}
