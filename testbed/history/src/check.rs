//! A history and an isolation level go in, a verdict comes out.
use crate::anomaly::{Anomaly, Name};
use crate::event::{Action, History, Key, Seen, Workload};
use crate::graph::Builder;
use crate::transaction::{Fate, Number, Transaction, pair};
use crate::{append, cycles, register};
use std::collections::{BTreeMap, HashMap};
use std::fmt;

/// What is promised.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Level {
    SnapshotIsolation,
    /// And whoever begins after another one has ended sees what that wrote.
    StrictSnapshotIsolation,
    Serializability,
    StrictSerializability,
}

impl Level {
    pub const ALL: [Level; 4] = [
        Level::SnapshotIsolation,
        Level::StrictSnapshotIsolation,
        Level::Serializability,
        Level::StrictSerializability,
    ];

    pub fn words(self) -> &'static str {
        match self {
            Level::SnapshotIsolation => "snapshot isolation",
            Level::StrictSnapshotIsolation => "strict snapshot isolation",
            Level::Serializability => "serializability",
            Level::StrictSerializability => "strict serializability",
        }
    }

    /// As on a command line: "strict-snapshot-isolation".
    pub fn name(self) -> String {
        self.words().replace(' ', "-")
    }

    pub fn is_strict(self) -> bool {
        matches!(self, Level::StrictSnapshotIsolation | Level::StrictSerializability)
    }

    pub fn is_serializable(self) -> bool {
        matches!(self, Level::Serializability | Level::StrictSerializability)
    }
}

#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Verdict {
    pub level: Level,
    pub workload: Workload,
    pub committed: usize,
    pub aborted: usize,
    /// Without an answer and unseen.
    pub unknown: usize,
    /// Without an answer, but somebody saw what they wrote.
    pub recovered: usize,
    /// What the level excludes. One of each kind for each knot of transactions.
    pub anomalies: Vec<Anomaly>,
}

impl Verdict {
    pub fn is_clean(&self) -> bool {
        self.anomalies.is_empty()
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Verdict { level, committed, aborted, unknown, recovered, anomalies, .. } = self;
        let what = if anomalies.is_empty() { "clean under" } else { "BROKEN under" };
        write!(f, "{what} {}: {committed} committed, {aborted} aborted, ", level.words())?;
        write!(f, "{} without an answer, of which {recovered} were seen", unknown + recovered)?;
        anomalies.iter().try_for_each(|anomaly| write!(f, "\n{anomaly}"))
    }
}

/// Appends and registers in one history: the first event that does not fit the others.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error("event {0} does not fit: a history is of lists (:append) or of registers (:w), not of both")]
pub struct Mixed(pub usize);

/// All at once and alone: there is no state between calls.
pub fn check(history: &History, level: Level) -> Result<Verdict, Mixed> {
    let workload = history.workload();
    let fits = |action: &Action| match action {
        Action::Append(_) | Action::Read(Seen::List(_)) => workload == Workload::ListAppend,
        Action::Write(_) | Action::Read(Seen::Value(_)) => workload == Workload::Register,
        Action::Read(Seen::Nil) => true,
    };
    let odd = history.events.iter().position(|event| !event.value.iter().all(|operation| fits(&operation.action)));
    if let Some(odd) = odd {
        return Err(Mixed(odd));
    }
    let transactions = pair(history);
    let mut ground = Ground::new(&transactions, level);
    match workload {
        Workload::ListAppend => append::infer(&mut ground),
        Workload::Register => register::infer(&mut ground),
    }
    if level.is_strict() {
        ground.order_in_time();
    }
    let count = |fate| transactions.iter().filter(|transaction| transaction.fate == fate).count();
    let recovered = ground.happened.iter().filter(|happened| **happened).count();
    let Ground { graph, mut anomalies, keys, .. } = ground;
    cycles::find(&graph.seal(), &transactions, &keys, level, &mut anomalies);
    anomalies.sort_by_key(|anomaly| (anomaly.name, anomaly.transactions.clone()));
    Ok(Verdict {
        level,
        workload,
        committed: count(Fate::Committed),
        aborted: count(Fate::Aborted),
        unknown: count(Fate::Unknown) - recovered,
        recovered,
        anomalies,
    })
}

/// What both workloads infer from, and into.
pub(crate) struct Ground<'a> {
    pub(crate) transactions: &'a [Transaction],
    pub(crate) level: Level,
    pub(crate) keys: Vec<Key>,
    place_of_key: HashMap<&'a Key, u32>,
    happened: Vec<bool>,
    pub(crate) graph: Builder,
    anomalies: Vec<Anomaly>,
    told: BTreeMap<Name, usize>,
}

/// Of one kind; thousands say no more.
const ANOMALIES_KEPT: usize = 20;
const UPDATERS_TOLD: usize = 6;

impl<'a> Ground<'a> {
    fn new(transactions: &'a [Transaction], level: Level) -> Ground<'a> {
        let mut keys = Vec::new();
        let mut place_of_key = HashMap::new();
        for operation in transactions.iter().flat_map(|transaction| &transaction.operations) {
            place_of_key.entry(&operation.key).or_insert_with(|| {
                keys.push(operation.key.clone());
                keys.len() as u32 - 1
            });
        }
        Ground {
            transactions,
            level,
            keys,
            place_of_key,
            happened: vec![false; transactions.len()],
            graph: Builder::new(transactions.len()),
            anomalies: Vec::new(),
            told: BTreeMap::new(),
        }
    }

    pub(crate) fn key(&self, key: &Key) -> u32 {
        self.place_of_key[key]
    }

    pub(crate) fn fate(&self, number: Number) -> Fate {
        match self.transactions[number.place()].fate {
            Fate::Unknown if self.happened[number.place()] => Fate::Committed,
            fate => fate,
        }
    }

    pub(crate) fn happened(&mut self, number: Number) {
        self.happened[number.place()] = true;
    }

    pub(crate) fn report(&mut self, name: Name, transactions: Vec<Number>, mut why: Vec<String>) {
        let told = self.told.entry(name).or_default();
        *told += 1;
        if *told > ANOMALIES_KEPT {
            return;
        }
        why.extend(legend(self.transactions, &transactions));
        self.anomalies.push(Anomaly { name, transactions, why });
    }

    pub(crate) fn lost_update(&mut self, key: u32, seen: &str, updaters: &[Number], did: impl Fn(Number) -> String) {
        let key = &self.keys[key as usize];
        let mut parts: Vec<String> =
            updaters.iter().take(UPDATERS_TOLD).map(|number| format!("{number} {}", did(*number))).collect();
        if updaters.len() > UPDATERS_TOLD {
            parts.push(format!("{} more did the like", updaters.len() - UPDATERS_TOLD));
        }
        let why = format!("all of these read key {key} as {seen}, and then {}", parts.join(", "));
        self.report(Name::LostUpdate, updaters.iter().take(UPDATERS_TOLD).copied().collect(), vec![why]);
    }

    /// Whoever ended comes before whoever begins later (C3: by way of moments).
    fn order_in_time(&mut self) {
        let live =
            (0..self.transactions.len() as u32).map(Number).filter(|number| self.fate(*number) == Fate::Committed);
        let live: Vec<Number> = live.collect();
        let ended = |number: &Number| Some((self.transactions[number.place()].ended?.place, *number));
        let mut ends: Vec<(u32, Number)> = live.iter().filter_map(ended).collect();
        ends.sort_unstable();
        let mut ends = ends.into_iter().peekable();
        let mut moment = None;
        for later in live {
            let begun = self.transactions[later.place()].begun.place;
            let mut next = None;
            while let Some((_, earlier)) = ends.next_if(|(end, _)| *end < begun) {
                let node = *next.get_or_insert_with(|| self.graph.node());
                self.graph.time(earlier.0, node);
            }
            if let (Some(before), Some(node)) = (moment, next) {
                self.graph.pass(before, node);
            }
            moment = next.or(moment);
            if let Some(moment) = moment {
                self.graph.pass(moment, later.0);
            }
        }
    }
}

/// What the transactions of an anomaly did, a line each.
pub(crate) fn legend(transactions: &[Transaction], numbers: &[Number]) -> Vec<String> {
    let mut numbers = numbers.to_vec();
    numbers.sort();
    numbers.dedup();
    numbers.iter().map(|number| format!("  {number} {}", transactions[number.place()].words())).collect()
}
