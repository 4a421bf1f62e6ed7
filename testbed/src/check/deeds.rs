//! The transactional workloads beside lists and registers: what was acknowledged holds at the end, in both regions, and
//! what was refused does not; and each workload's own invariant.
use super::{Broken, Violation, some_of};
use crate::history::{Code, Deed, Moment, Outcome, What};
use crate::load::{BULK, DeedContents, RING};
use crate::place::Place;
use serde::Serialize;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fmt::Display;

/// How often each kind of deed was done, refused, and left open.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize)]
pub struct Count {
    pub done: usize,
    pub not_done: usize,
    pub unknown: usize,
}

pub fn count(deeds: &[Deed]) -> BTreeMap<&'static str, Count> {
    let mut counts: BTreeMap<_, _> = What::KINDS.map(|kind| (kind, Count::default())).into();
    for deed in deeds {
        let count = counts.entry(deed.what.kind()).or_default();
        match deed.outcome {
            Outcome::Done => count.done += 1,
            Outcome::NotDone(_) => count.not_done += 1,
            Outcome::Unknown(_) => count.unknown += 1,
        }
    }
    counts
}

/// A workload that did nothing proves nothing.
pub fn idle(counts: &BTreeMap<&'static str, Count>) -> Option<Violation> {
    let idle: Vec<&str> = counts.iter().filter(|(_, count)| count.done == 0).map(|(kind, _)| *kind).collect();
    told(Broken::Drill, &idle, |count, some| format!("{count} kinds of deeds were never done: {some}"))
}

/// `found`: what each region holds at the end.
pub fn check(deeds: &[Deed], found: &BTreeMap<Place, DeedContents>) -> Vec<Violation> {
    let mut violations = ring(deeds, found);
    violations.extend(claims(deeds, found));
    violations.extend(family(deeds, found));
    violations.extend(draws(deeds));
    violations.extend(marks(deeds, found));
    violations.extend(batches(deeds, found));
    violations
}

/// All of a batch is there, or nothing of it.
fn batches(deeds: &[Deed], found: &BTreeMap<Place, DeedContents>) -> Vec<Violation> {
    let mut rows = Rows::default();
    let mut halves = Vec::new();
    for deed in deeds {
        match deed.what {
            What::Bulk { batch } => rows.add(batch, &deed.outcome, true),
            What::Weigh { batch, rows } if deed.outcome == Outcome::Done && rows != 0 && rows != BULK => {
                halves.push(format!("{rows} rows of batch {batch} in region {}", deed.region));
            }
            _ => {}
        }
    }
    for (region, contents) in found {
        let partial = contents.bulk.iter().filter(|(_, rows)| *rows != BULK);
        halves
            .extend(partial.map(|(batch, rows)| format!("{rows} rows of batch {batch} in region {region} at the end")));
    }
    let halves =
        told(Broken::Isolation, &halves, |count, some| format!("{count} times {BULK} rows were seen in part: {some}"));
    let mut violations: Vec<Violation> = halves.into_iter().collect();
    for (region, contents) in found {
        violations.extend(rows.compare("batches", *region, &contents.bulk.iter().map(|(batch, _)| *batch).collect()));
    }
    violations
}

/// All of `what`, in one violation, if there is any.
fn told<T: Display>(what: Broken, items: &[T], sentence: impl FnOnce(usize, String) -> String) -> Option<Violation> {
    (!items.is_empty()).then(|| Violation::new(what, sentence(items.len(), some_of(items))))
}

/// How many places one passes before one comes back to the first.
fn comes_round(pairs: &[(i32, i32)]) -> i32 {
    let next: HashMap<i32, i32> = pairs.iter().copied().collect();
    let (mut place, mut passed) = (0, 0);
    while let Some(to) = next.get(&place) {
        (place, passed) = (*to, passed + 1);
        if place == 0 || passed > RING {
            break;
        }
    }
    if place == 0 { passed } else { 0 }
}

fn is_whole(pairs: &[(i32, i32)]) -> bool {
    pairs.len() == RING as usize && comes_round(pairs) == RING
}

fn ring(deeds: &[Deed], found: &BTreeMap<Place, DeedContents>) -> Vec<Violation> {
    let broken: Vec<String> = done(deeds)
        .filter_map(|deed| match &deed.what {
            What::Walk(pairs) if !is_whole(pairs) => {
                Some(format!("in region {} at {:.3} s it was {pairs:?}", deed.region, deed.begun.seconds()))
            }
            _ => None,
        })
        .collect();
    let mut violations: Vec<Violation> =
        told(Broken::Isolation, &broken, |count, some| format!("{count} walks did not come round the ring: {some}"))
            .into_iter()
            .collect();
    for (region, contents) in found.iter().filter(|(_, contents)| !is_whole(&contents.ring)) {
        let evidence = format!("the ring in region {region} is broken at the end: {:?}", contents.ring);
        violations.push(Violation::new(Broken::Isolation, evidence));
    }
    violations
}

fn done(deeds: &[Deed]) -> impl Iterator<Item = &Deed> {
    deeds.iter().filter(|deed| deed.outcome == Outcome::Done)
}

/// Rows with ids that are used once: those that must be there, and those that must not, and why.
#[derive(Default)]
struct Rows {
    must: BTreeSet<i64>,
    must_not: BTreeMap<i64, String>,
}

impl Rows {
    fn add(&mut self, id: i64, outcome: &Outcome, done: bool) {
        match outcome {
            Outcome::Done if done => drop(self.must.insert(id)),
            Outcome::Done => drop(self.must_not.insert(id, "told that it may not".into())),
            Outcome::NotDone(Code(code)) => drop(self.must_not.insert(id, format!("told {code}"))),
            Outcome::Unknown(_) => {}
        }
    }

    fn compare(&self, what: &str, region: Place, there: &BTreeSet<i64>) -> Vec<Violation> {
        let lost: Vec<&i64> = self.must.difference(there).collect();
        let revived = self.must_not.iter().filter(|(id, _)| there.contains(id));
        let revived: Vec<String> = revived.map(|(id, why)| format!("{id} ({why})")).collect();
        let lost = told(Broken::Lost, &lost, |count, some| {
            format!("{count} acknowledged {what} are not in region {region}: {some}")
        });
        let revived = told(Broken::Revived, &revived, |count, some| {
            format!("{count} {what} that were refused are in region {region}: {some}")
        });
        lost.into_iter().chain(revived).collect()
    }
}

fn claims(deeds: &[Deed], found: &BTreeMap<Place, DeedContents>) -> Vec<Violation> {
    let mut rows = Rows::default();
    let mut winners: BTreeMap<i64, Vec<i64>> = BTreeMap::new();
    for deed in deeds {
        let What::Claim { id, name, won } = deed.what else { continue };
        rows.add(id, &deed.outcome, won);
        if won && deed.outcome == Outcome::Done {
            winners.entry(name).or_default().push(id);
        }
    }
    let twice = winners.iter().filter(|(_, ids)| ids.len() > 1);
    let twice: Vec<String> = twice.map(|(name, ids)| format!("{name} to {ids:?}")).collect();
    let mut violations: Vec<Violation> =
        told(Broken::Constraint, &twice, |count, some| format!("{count} unique names were given twice: {some}"))
            .into_iter()
            .collect();
    for (region, contents) in found {
        violations.extend(rows.compare("claims", *region, &contents.claims.iter().map(|(id, _)| *id).collect()));
        let mut names = BTreeSet::new();
        let again: Vec<i64> =
            contents.claims.iter().map(|(_, name)| *name).filter(|name| !names.insert(*name)).collect();
        violations.extend(told(Broken::Constraint, &again, |count, some| {
            format!("{count} unique names are twice in region {region}: {some}")
        }));
    }
    violations
}

fn family(deeds: &[Deed], found: &BTreeMap<Place, DeedContents>) -> Vec<Violation> {
    let (mut parents, mut children) = (Rows::default(), Rows::default());
    let (mut deleted, mut perhaps_deleted) = (BTreeSet::new(), BTreeSet::new());
    for deed in deeds {
        match (&deed.what, &deed.outcome) {
            (What::Parent { id }, outcome) => parents.add(*id, outcome, true),
            (What::Adopt { child, done, .. }, outcome) => children.add(*child, outcome, *done),
            (What::Orphan { parent, done: true }, Outcome::Done) => drop(deleted.insert(*parent)),
            (What::Orphan { parent, .. }, Outcome::Unknown(_)) => drop(perhaps_deleted.insert(*parent)),
            _ => {}
        }
    }
    parents.must.retain(|id| !deleted.contains(id) && !perhaps_deleted.contains(id));
    parents.must_not.extend(deleted.into_iter().map(|id| (id, "deleted".into())));
    let mut violations = Vec::new();
    for (region, contents) in found {
        let there: BTreeSet<i64> = contents.parents.iter().copied().collect();
        violations.extend(parents.compare("parents", *region, &there));
        violations.extend(children.compare(
            "children",
            *region,
            &contents.children.iter().map(|(id, _)| *id).collect(),
        ));
        let orphans = contents.children.iter().filter(|(_, parent)| !there.contains(parent));
        let orphans: Vec<String> = orphans.map(|(child, parent)| format!("{child} of {parent}")).collect();
        violations.extend(told(Broken::Constraint, &orphans, |count, some| {
            format!("{count} children have no parent in region {region}: {some}")
        }));
    }
    violations
}

fn draws(deeds: &[Deed]) -> Vec<Violation> {
    let mut given: HashMap<i64, Place> = HashMap::new();
    let mut twice = Vec::new();
    for deed in done(deeds) {
        let What::Draw { value } = deed.what else { continue };
        if let Some(other) = given.insert(value, deed.region) {
            twice.push(format!("{value} (in {other} and in {})", deed.region));
        }
    }
    let told = told(Broken::Constraint, &twice, |count, some| format!("a sequence gave {count} values twice: {some}"));
    told.into_iter().collect()
}

fn marks(deeds: &[Deed], found: &BTreeMap<Place, DeedContents>) -> Vec<Violation> {
    let mut rows = Rows::default();
    let mut acknowledged: HashMap<i64, Moment> = HashMap::new();
    let mut missed = Vec::new();
    for deed in deeds {
        if let What::Mark { id } = deed.what {
            rows.add(id, &deed.outcome, true);
            if deed.outcome == Outcome::Done {
                acknowledged.insert(id, deed.ended);
            }
        }
    }
    for deed in done(deeds) {
        let What::Find { id, found: false } = deed.what else { continue };
        if acknowledged.get(&id).is_some_and(|ended| *ended < deed.begun) {
            missed.push(format!("{id} in region {} at {:.3} s", deed.region, deed.begun.seconds()));
        }
    }
    let missed = told(Broken::Stale, &missed, |count, some| {
        format!("{count} looks while the table's definition changed did not find an acknowledged row: {some}")
    });
    let mut violations: Vec<Violation> = missed.into_iter().collect();
    for (region, contents) in found {
        let there = contents.wide.iter().copied().collect();
        violations.extend(rows.compare("rows of the table whose definition changed", *region, &there));
    }
    violations
}

#[cfg(test)]
mod tests {
    use super::*;

    fn deed(what: What, outcome: Outcome) -> Deed {
        Deed { process: 1, region: Place::A, what, begun: Moment(10), ended: Moment(20), outcome }
    }

    fn whole() -> Vec<(i32, i32)> {
        (0..RING).map(|id| (id, (id + 1) % RING)).collect()
    }

    fn broken(deeds: &[Deed], change: impl FnOnce(&mut DeedContents)) -> Vec<Broken> {
        let mut contents = DeedContents { ring: whole(), ..DeedContents::default() };
        change(&mut contents);
        check(deeds, &[(Place::B, contents)].into()).into_iter().map(|violation| violation.what).collect()
    }

    #[test]
    fn a_workload_that_did_nothing_is_told() {
        let all = [deed(What::Turn, Outcome::Done), deed(What::Walk(whole()), Outcome::NotDone(Code::of("57P03")))];
        let counts = count(&all);
        assert_eq!(counts["walk"], Count { not_done: 1, ..Count::default() });
        let told = idle(&counts).expect("most did nothing").evidence;
        assert!(told.starts_with("13 kinds of deeds were never done: adopt, bulk"), "{told}");
    }

    #[test]
    fn a_ring_is_whole_or_it_is_not() {
        assert_eq!(broken(&[deed(What::Walk(whole()), Outcome::Done)], |_| {}), []);
        let mut short = whole();
        short[0].1 = 2;
        assert_eq!(broken(&[deed(What::Walk(short.clone()), Outcome::Done)], |_| {}), [Broken::Isolation]);
        assert_eq!(broken(&[], |contents| contents.ring = short), [Broken::Isolation]);
        assert_eq!(broken(&[], |contents| contents.ring.truncate(3)), [Broken::Isolation]);
    }

    #[test]
    fn a_name_is_given_once() {
        let claim = |id, name, won| deed(What::Claim { id, name, won }, Outcome::Done);
        let row = |rows: &[(i64, i64)]| rows.to_vec();
        type Row = (&'static str, Vec<Deed>, Vec<(i64, i64)>, Vec<Broken>);
        let table: [Row; 5] = [
            ("won and lost", vec![claim(1, 7, true), claim(2, 7, false)], row(&[(1, 7)]), vec![]),
            (
                "given twice",
                vec![claim(1, 7, true), claim(2, 7, true)],
                row(&[(1, 7)]),
                vec![Broken::Constraint, Broken::Lost],
            ),
            ("there twice", vec![], row(&[(1, 7), (2, 7)]), vec![Broken::Constraint]),
            ("lost", vec![claim(1, 7, true)], row(&[]), vec![Broken::Lost]),
            ("refused and there", vec![claim(1, 7, false)], row(&[(1, 7)]), vec![Broken::Revived]),
        ];
        for (name, deeds, claims, expected) in table {
            assert_eq!(broken(&deeds, |contents| contents.claims = claims), expected, "{name}");
        }
    }

    #[test]
    fn no_child_is_without_its_parent() {
        let parent = deed(What::Parent { id: 1 }, Outcome::Done);
        let adopt = |child, done| deed(What::Adopt { child, parent: 1, done }, Outcome::Done);
        let remove = |outcome| deed(What::Orphan { parent: 1, done: true }, outcome);
        let unknown = || Outcome::Unknown(Code::of("40003"));
        let family = |parents: &[i64], children: &[(i64, i64)], deeds: &[Deed]| {
            broken(deeds, |contents| {
                (contents.parents, contents.children) = (parents.to_vec(), children.to_vec());
            })
        };
        assert_eq!(family(&[1], &[(5, 1)], &[parent.clone(), adopt(5, true), adopt(6, false)]), []);
        assert_eq!(family(&[], &[(5, 1)], &[parent.clone(), adopt(5, true), remove(unknown())]), [Broken::Constraint]);
        assert_eq!(family(&[], &[], &[parent.clone(), adopt(5, true)]), [Broken::Lost, Broken::Lost]);
        assert_eq!(family(&[1], &[], &[parent.clone(), remove(Outcome::Done)]), [Broken::Revived]);
        assert_eq!(family(&[], &[], &[parent, remove(unknown())]), []);
    }

    #[test]
    fn a_batch_is_there_or_not() {
        let bulk = |outcome| deed(What::Bulk { batch: 1 }, outcome);
        let weigh = |rows| deed(What::Weigh { batch: 1, rows }, Outcome::Done);
        let with = |rows: &[(i64, i64)]| rows.to_vec();
        let table: [(Vec<Deed>, Vec<(i64, i64)>, Vec<Broken>); 5] = [
            (vec![bulk(Outcome::Done), weigh(0), weigh(BULK)], with(&[(1, BULK)]), vec![]),
            (vec![bulk(Outcome::Done), weigh(3)], with(&[(1, BULK)]), vec![Broken::Isolation]),
            (vec![bulk(Outcome::Done)], with(&[(1, BULK - 1)]), vec![Broken::Isolation]),
            (vec![bulk(Outcome::Done)], with(&[]), vec![Broken::Lost]),
            (vec![bulk(Outcome::NotDone(Code::of("40001")))], with(&[(1, BULK)]), vec![Broken::Revived]),
        ];
        for (deeds, rows, expected) in table {
            assert_eq!(broken(&deeds, |contents| contents.bulk = rows), expected, "{deeds:?}");
        }
    }

    #[test]
    fn values_are_drawn_once_and_marks_are_found() {
        let draw = |value| deed(What::Draw { value }, Outcome::Done);
        assert_eq!(broken(&[draw(1), draw(2)], |_| {}), []);
        assert_eq!(broken(&[draw(1), draw(1)], |_| {}), [Broken::Constraint]);
        let mark = deed(What::Mark { id: 3 }, Outcome::Done);
        let find = |begun| Deed { begun: Moment(begun), ..deed(What::Find { id: 3, found: false }, Outcome::Done) };
        let there = |contents: &mut DeedContents| contents.wide.push(3);
        assert_eq!(broken(&[mark.clone(), find(20)], there), []);
        assert_eq!(broken(&[mark.clone(), find(21)], there), [Broken::Stale]);
        assert_eq!(broken(&[mark], |_| {}), [Broken::Lost]);
    }
}
