//! A database in memory of a few dozen lines, sound or with one rule broken, and random histories of it.
use rand::seq::IndexedRandom;
use rand::{Rng, RngExt, SeedableRng, rngs::StdRng};
use std::collections::{BTreeMap, BTreeSet};
use trivet_history::{Action, Event, History, Level, MicroOperation, Name, Process, Seen, Type, check};

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Rules {
    /// Reads at the snapshot of the beginning, first committer wins.
    Snapshot,
    /// And nobody may have written what it read.
    Serializable,
    // What follows is broken.
    /// Reads at whatever is committed then; who commits does not look who else wrote.
    NoConflicts,
    /// Snapshots that nobody certifies.
    SnapshotsUnchecked,
    /// Now and then a snapshot from before the last commits.
    OldSnapshots,
    /// What is not committed yet is read.
    DirtyReads,
    /// Now and then a read misses what was committed last to a key, whatever else it sees.
    LaggingKeys,
    /// Now and then a commit is acknowledged and forgotten.
    Forgets,
    /// An abort that leaves its writes behind.
    LeakyAborts,
}

impl Rules {
    pub const ALL: [Rules; 9] = [
        Rules::Snapshot,
        Rules::Serializable,
        Rules::NoConflicts,
        Rules::SnapshotsUnchecked,
        Rules::OldSnapshots,
        Rules::DirtyReads,
        Rules::LaggingKeys,
        Rules::Forgets,
        Rules::LeakyAborts,
    ];
}

#[derive(Clone, Debug)]
pub struct Engine {
    rules: Rules,
    /// Writes in the order of their commits.
    log: Vec<(i64, i64)>,
    /// How long the log was after each commit.
    commits: Vec<usize>,
    /// Of transactions under way, for dirty reads.
    dirty: Vec<(u64, i64, i64)>,
}

#[derive(Debug)]
struct Under {
    process: u64,
    snapshot: usize,
    left: Vec<MicroOperation>,
    done: Vec<MicroOperation>,
    own: Vec<(i64, i64)>,
    read: BTreeSet<i64>,
}

impl Engine {
    pub fn new(rules: Rules) -> Engine {
        Engine { rules, log: Vec::new(), commits: Vec::new(), dirty: Vec::new() }
    }

    fn begin(&self, random: &mut impl Rng) -> usize {
        let back =
            if self.rules == Rules::OldSnapshots && random.random_bool(0.2) { random.random_range(0..4) } else { 0 };
        if back == 0 {
            return self.log.len();
        }
        self.commits.iter().rev().nth(back).copied().unwrap_or(0)
    }

    fn read(&self, under: &Under, key: i64, random: &mut impl Rng) -> Vec<i64> {
        let until = match self.rules {
            Rules::NoConflicts | Rules::DirtyReads => self.log.len(),
            _ => under.snapshot,
        };
        let of = |list: &[(i64, i64)]| {
            list.iter().filter(|(other, _)| *other == key).map(|(_, value)| *value).collect::<Vec<_>>()
        };
        let mut list = of(&self.log[..until]);
        if self.rules == Rules::LaggingKeys && random.random_bool(0.1) {
            list.pop();
        }
        if self.rules == Rules::DirtyReads {
            let others = self.dirty.iter().filter(|(process, other, _)| *process != under.process && *other == key);
            list.extend(others.map(|(_, _, value)| *value));
        }
        list.extend(of(&under.own));
        list
    }

    /// Whether it committed.
    fn commit(&mut self, under: &Under, random: &mut impl Rng) -> bool {
        let since = &self.log[under.snapshot.min(self.log.len())..];
        let written = |keys: &dyn Fn(i64) -> bool| since.iter().any(|(key, _)| keys(*key));
        let own = |key| under.own.iter().any(|(other, _)| *other == key);
        let refused = match self.rules {
            Rules::NoConflicts | Rules::SnapshotsUnchecked | Rules::DirtyReads => false,
            Rules::Serializable => written(&own) || written(&|key| under.read.contains(&key)),
            _ => written(&own),
        };
        self.dirty.retain(|(process, _, _)| *process != under.process);
        let forgotten = self.rules == Rules::Forgets && random.random_bool(0.1);
        if (refused && self.rules != Rules::LeakyAborts) || forgotten {
            return !refused;
        }
        self.log.extend(&under.own);
        self.commits.push(self.log.len());
        !refused
    }
}

/// `count` transactions, up to `clients` at a time, each of up to four reads and appends.
pub fn random_history(mut engine: Engine, random: &mut impl Rng, count: usize, clients: u64, keys: i64) -> History {
    let mut events = Vec::new();
    let mut value = 0;
    let mut under: BTreeMap<u64, Under> = BTreeMap::new();
    let mut begun = 0;
    let mut time = 0;
    while begun < count || !under.is_empty() {
        time += 1;
        let process = random.random_range(0..clients);
        let mut push = |kind, process: u64, value: &[MicroOperation]| {
            let process = Process::Client(process);
            events.push(Event { kind, process, time: time * 1000, value: value.to_vec(), region: None, note: None });
        };
        let Some(one) = under.get_mut(&process) else {
            if begun == count {
                continue;
            }
            begun += 1;
            let operations = (0..random.random_range(1..=4)).map(|_| {
                value += 1;
                let action = *[None, Some(value)].choose(random).expect("two");
                let key = random.random_range(0..keys);
                MicroOperation { key: key.into(), action: action.map_or(Action::Read(Seen::Nil), Action::Append) }
            });
            let left: Vec<MicroOperation> = operations.collect();
            push(Type::Invoke, process, &left);
            let snapshot = engine.begin(random);
            let left = left.into_iter().rev().collect();
            under.insert(process, Under { process, snapshot, left, done: vec![], own: vec![], read: BTreeSet::new() });
            continue;
        };
        if let Some(mut operation) = one.left.pop() {
            let trivet_history::Key::Number(key) = operation.key else { unreachable!("keys are numbers") };
            match operation.action {
                Action::Append(value) => {
                    one.own.push((key, value));
                    engine.dirty.push((process, key, value));
                }
                _ => {
                    one.read.insert(key);
                    let list = engine.read(one, key, random);
                    operation.action = Action::Read(Seen::List(list));
                }
            }
            one.done.push(operation);
            continue;
        }
        let one = under.remove(&process).expect("it was there");
        let kind = if engine.commit(&one, random) { Type::Ok } else { Type::Fail };
        push(kind, process, &one.done);
    }
    History { events }
}

/// The same, of which each list tells only its last element.
pub fn as_registers(history: &History) -> History {
    let mut history = history.clone();
    for operation in history.events.iter_mut().flat_map(|event| &mut event.value) {
        operation.action = match &operation.action {
            Action::Append(value) => Action::Write(*value),
            Action::Read(Seen::List(list)) => Action::Read(list.last().map_or(Seen::Nil, |value| Seen::Value(*value))),
            other => other.clone(),
        };
    }
    history
}

fn seeded(rules: Rules, seed: u64) -> History {
    random_history(Engine::new(rules), &mut StdRng::seed_from_u64(seed), 300, 8, 12)
}

#[test]
fn sound_engines_are_clean() {
    for seed in 0..60 {
        for (rules, level) in
            [(Rules::Snapshot, Level::StrictSnapshotIsolation), (Rules::Serializable, Level::StrictSerializability)]
        {
            let history = seeded(rules, seed);
            let verdict = check(&history, level).expect("lists only");
            assert!(verdict.is_clean(), "{rules:?} {seed}: {verdict}");
            assert!(verdict.committed > 100, "{rules:?} {seed}: {verdict}");
            let verdict = check(&as_registers(&history), level).expect("registers only");
            assert!(verdict.is_clean(), "{rules:?} {seed}, registers: {verdict}");
        }
    }
}

#[test]
fn each_broken_rule_is_found_and_named() {
    use Name::{G1a, G1b, G1c, GSingle, LostUpdate, StaleRead, WriteSkew};
    let table: [(Rules, Level, &[Name]); 8] = [
        (Rules::Snapshot, Level::Serializability, &[WriteSkew]),
        (Rules::NoConflicts, Level::SnapshotIsolation, &[LostUpdate, GSingle]),
        (Rules::SnapshotsUnchecked, Level::SnapshotIsolation, &[LostUpdate]),
        (Rules::OldSnapshots, Level::StrictSnapshotIsolation, &[StaleRead]),
        (Rules::DirtyReads, Level::SnapshotIsolation, &[G1b, G1c]),
        (Rules::LaggingKeys, Level::SnapshotIsolation, &[GSingle]),
        (Rules::Forgets, Level::StrictSnapshotIsolation, &[GSingle]),
        (Rules::LeakyAborts, Level::SnapshotIsolation, &[G1a]),
    ];
    for (rules, level, names) in table {
        let mut missed = 0;
        let mut found = BTreeSet::new();
        for seed in 0..20 {
            let verdict = check(&seeded(rules, seed), level).expect("lists only");
            missed += usize::from(verdict.is_clean());
            found.extend(verdict.anomalies.iter().map(|anomaly| anomaly.name));
        }
        assert!(missed <= 1, "{rules:?} passed with {missed} of 20 seeds");
        assert!(names.iter().all(|name| found.contains(name)), "{rules:?}: {found:?}");
    }
}

/// With the order in time; without it little is known of the order of values.
#[test]
fn each_broken_rule_is_found_in_registers_too() {
    for rules in Rules::ALL.into_iter().filter(|rules| !matches!(rules, Rules::Snapshot | Rules::Serializable)) {
        let found = (0..20).filter(|seed| {
            let history = as_registers(&seeded(rules, *seed));
            !check(&history, Level::StrictSnapshotIsolation).expect("registers only").is_clean()
        });
        let found = found.count();
        assert!(found >= 19, "{rules:?} passed with {} of 20 seeds", 20 - found);
    }
}

/// An engine that only loses the order in time is sound without it.
#[test]
fn old_snapshots_alone_break_only_the_strict_levels() {
    let broken = (0..20).filter(|seed| {
        let history = seeded(Rules::OldSnapshots, *seed);
        let verdict = check(&history, Level::SnapshotIsolation).expect("lists only");
        !verdict.is_clean()
    });
    assert_eq!(broken.count(), 0);
}
