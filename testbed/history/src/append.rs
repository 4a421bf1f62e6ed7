//! Lists that only grow: a read of a key tells every append that came before it, in order, so the longest read of a key
//! tells the order of its versions, and every other read must be the beginning of it.
//!
//! ```text
//!   longest read of key 5   [1 2 3]        T1 appended 1, T2 2, T3 3;  T9 read [1 2], T4 appended 4
//!   ww                      T1 -> T2 -> T3 -> T4       (a committed append that nobody saw came after those that were)
//!   wr                      T2 -> T9
//!   rw                      T9 -> T3
//! ```
use crate::anomaly::Name;
use crate::check::Ground;
use crate::event::{Action, Seen};
use crate::graph::{Edge, Kind, Version};
use crate::transaction::{Fate, Number};
use std::collections::{BTreeMap, HashMap, HashSet};

/// A list that a committed transaction read, before anything of its own.
struct Read<'a> {
    reader: Number,
    /// With its own appends before it.
    whole: &'a [i64],
    /// Without them: what others wrote.
    foreign: usize,
}

#[derive(Default)]
struct Lists<'a> {
    reads: Vec<Read<'a>>,
    /// In order within a transaction.
    appends: Vec<(Number, i64)>,
}

/// What a transaction knows of a key.
#[derive(Default)]
struct Known<'a> {
    /// What it read last.
    seen: Option<&'a [i64]>,
    /// What it appended since.
    own: Vec<i64>,
    /// How much it appended in all.
    appended: usize,
}

pub(crate) fn infer(ground: &mut Ground<'_>) {
    let transactions = ground.transactions;
    let mut lists: Vec<Lists<'_>> = Vec::new();
    lists.resize_with(ground.keys.len(), Lists::default);
    for (transaction, number) in transactions.iter().zip((0..).map(Number)) {
        let mut known: BTreeMap<u32, Known<'_>> = BTreeMap::new();
        for operation in &transaction.operations {
            let key = ground.key(&operation.key);
            let Known { seen, own, appended } = known.entry(key).or_default();
            match &operation.action {
                Action::Append(value) => {
                    lists[key as usize].appends.push((number, *value));
                    own.push(*value);
                    *appended += 1;
                }
                Action::Write(_) | Action::Read(Seen::Value(_)) => unreachable!("the workload is list-append"),
                Action::Read(_) if transaction.fate != Fate::Committed => {}
                Action::Read(read) => {
                    let whole: &[i64] = match read {
                        Seen::List(list) => list,
                        _ => &[],
                    };
                    let agrees = match seen {
                        Some(before) => {
                            whole.len() == before.len() + own.len() && whole.starts_with(before) && whole.ends_with(own)
                        }
                        None => whole.ends_with(own),
                    };
                    if !agrees {
                        let expected = match seen {
                            Some(before) => Seen::List([*before, own.as_slice()].concat()).to_string(),
                            None => format!("a list that ends with its own {}", Seen::List(own.clone())),
                        };
                        let why = format!(
                            "{number} read key {} as {}, and should have read {expected}",
                            operation.key,
                            Seen::List(whole.to_vec())
                        );
                        ground.report(Name::Internal, vec![number], vec![why]);
                        continue;
                    }
                    let foreign = whole.len().saturating_sub(*appended);
                    lists[key as usize].reads.push(Read { reader: number, whole, foreign });
                    (*seen, *own) = (Some(whole), Vec::new());
                }
            }
        }
    }
    lists.iter().for_each(|list| recover(ground, list));
    for (key, list) in (0..).zip(&lists) {
        infer_key(ground, key, list);
    }
}

/// Whoever was seen did happen (C2).
fn recover(ground: &mut Ground<'_>, list: &Lists<'_>) {
    let unknown: HashMap<i64, Number> = list
        .appends
        .iter()
        .filter(|(number, _)| ground.fate(*number) == Fate::Unknown)
        .map(|(number, value)| (*value, *number))
        .collect();
    if unknown.is_empty() {
        return;
    }
    for read in &list.reads {
        for value in read.whole {
            if let Some(number) = unknown.get(value) {
                ground.happened(*number);
            }
        }
    }
}

fn infer_key(ground: &mut Ground<'_>, key: u32, list: &Lists<'_>) {
    let mut writer_of: HashMap<i64, Number> = HashMap::with_capacity(list.appends.len());
    let mut last_of: HashMap<Number, i64> = HashMap::new();
    let name = ground.keys[key as usize].clone();
    for (number, value) in &list.appends {
        if let Some(other) = writer_of.insert(*value, *number) {
            let why = format!(
                "{other} and {number} both appended {value} to key {name}: values must be used once, or nothing can be inferred"
            );
            return ground.report(Name::Duplicate, vec![other, *number], vec![why]);
        }
        last_of.insert(*number, *value);
    }
    let longest = list.reads.iter().max_by_key(|read| (read.whole.len(), std::cmp::Reverse(read.reader)));
    let order: &[i64] = longest.map_or(&[], |read| read.whole);
    let mut usable = true;
    let mut there = HashSet::new();
    for value in order {
        if !there.insert(*value) {
            let reader = longest.expect("it is not empty").reader;
            let why = format!("{reader} read key {name} as {}, with {value} twice", Seen::List(order.to_vec()));
            ground.report(Name::Duplicate, vec![reader], vec![why]);
            usable = false;
        }
    }
    if let Some(odd) = list.reads.iter().find(|read| !order.starts_with(read.whole)) {
        let long = longest.expect("it is not empty").reader;
        let why = format!(
            "{long} read key {name} as {}, {} as {}: neither begins the other",
            Seen::List(order.to_vec()),
            odd.reader,
            Seen::List(odd.whole.to_vec())
        );
        ground.report(Name::IncompatibleOrder, vec![long, odd.reader], vec![why]);
        usable = false;
    }
    let mut told = HashSet::new();
    for read in &list.reads {
        for value in read.whole {
            match writer_of.get(value) {
                None if told.insert(*value) => {
                    let why = format!("{} read {value} in key {name}, which nobody appended", read.reader);
                    ground.report(Name::Invented, vec![read.reader], vec![why]);
                }
                Some(writer) if ground.fate(*writer) == Fate::Aborted && told.insert(*value) => {
                    let why = format!(
                        "{} read {value} in key {name}, which {writer} appended; but {writer} was aborted",
                        read.reader
                    );
                    ground.report(Name::G1a, vec![read.reader, *writer], vec![why]);
                }
                _ => {}
            }
            // The rest was looked at in the longest read.
            if usable && !std::ptr::eq(read.whole, order) {
                break;
            }
        }
        let Some(last) = read.whole[..read.foreign].last() else { continue };
        if let Some(writer) = writer_of.get(last)
            && *writer != read.reader
            && last_of[writer] != *last
            && ground.fate(*writer) != Fate::Aborted
        {
            let why = format!(
                "{} read key {name} as {}, of which {last} is not the last that {writer} appended: {} came after it",
                read.reader,
                Seen::List(read.whole.to_vec()),
                last_of[writer]
            );
            ground.report(Name::G1b, vec![read.reader, *writer], vec![why]);
        }
    }
    if usable {
        lost_updates(ground, key, list, &last_of);
        edges(ground, key, list, order, &writer_of);
    }
}

/// Two who read the same and appended both.
fn lost_updates(ground: &mut Ground<'_>, key: u32, list: &Lists<'_>, last_of: &HashMap<Number, i64>) {
    let mut by_length: BTreeMap<usize, Vec<Number>> = BTreeMap::new();
    for read in &list.reads {
        // Before its own appends; only the first read of a transaction can be that.
        if read.foreign == read.whole.len() && last_of.contains_key(&read.reader) {
            let updaters = by_length.entry(read.whole.len()).or_default();
            if updaters.last() != Some(&read.reader) {
                updaters.push(read.reader);
            }
        }
    }
    // A transaction that read before and after its own append read two lengths: the second contains the first.
    for (length, updaters) in by_length.into_iter().filter(|(_, updaters)| updaters.len() > 1) {
        let read = list.reads.iter().find(|read| read.reader == updaters[0] && read.whole.len() == length);
        let seen = Seen::List(read.expect("it was just counted").whole.to_vec());
        ground.lost_update(key, &seen.to_string(), &updaters, |number| format!("appended {}", last_of[&number]));
    }
}

fn edges(ground: &mut Ground<'_>, key: u32, list: &Lists<'_>, order: &[i64], writer_of: &HashMap<i64, Number>) {
    let live = |ground: &Ground<'_>, value: &i64| {
        writer_of.get(value).copied().filter(|writer| ground.fate(*writer) == Fate::Committed)
    };
    let writers: Vec<Option<Number>> = order.iter().map(|value| live(ground, value)).collect();
    for place in 1..order.len() {
        if let (Some(one), Some(other)) = (writers[place - 1], writers[place]) {
            let (before, after) = (Some(order[place - 1]), Some(order[place]));
            ground.graph.add(Edge { from: one.0, to: other.0, kind: Kind::Ww, key, before, after });
        }
    }
    // Committed, and in no read: after all that were read.
    let seen: HashSet<i64> = order.iter().copied().collect();
    let unseen: Vec<(Number, i64)> = list
        .appends
        .iter()
        .filter(|(number, value)| !seen.contains(value) && ground.fate(*number) == Fate::Committed)
        .copied()
        .collect();
    let mut last_readers = Vec::new();
    for read in &list.reads {
        let last = read.foreign.checked_sub(1);
        let writer = last.and_then(|last| writers[last]);
        if let (Some(last), Some(writer)) = (last, writer) {
            let value = Some(order[last]);
            ground.graph.add(Edge {
                from: writer.0,
                to: read.reader.0,
                kind: Kind::Wr,
                key,
                before: value,
                after: value,
            });
        }
        let before = last.map(|last| order[last]);
        match writers.get(read.foreign) {
            // An intermediate read has been told as such.
            Some(Some(next)) if Some(*next) != writer => {
                let after = Some(order[read.foreign]);
                ground.graph.add(Edge { from: read.reader.0, to: next.0, kind: Kind::Rw, key, before, after });
            }
            Some(_) => {}
            None if last_readers.last() != Some(&read.reader) => last_readers.push(read.reader),
            None => {}
        }
    }
    if !unseen.is_empty() {
        let writer = writers.last().copied().flatten();
        // Whoever appended last and something unseen too has no order of its own here.
        let version = Version { key, value: order.last().copied(), writer, readers: &last_readers, followers: &unseen };
        ground.graph.follow(&version);
    }
}
