//! Values that replace each other. A read tells which write it saw, and nothing of the order of writes; that is inferred:
//!
//! ```text
//!   the state before all writes comes before every version
//!   T1 read x1 and wrote x2                                    x1 < x2
//!   T1 left the key at x1 and ended before T2 began, which     x1 < x2      (under the strict levels)
//!   found it at x2, or wrote x2
//! ```
//!
//! Only the nearest in time are compared; what is further away follows. If time orders the versions of a key in a circle,
//! then somebody read something stale: that is told in these words, and time says no more about that key.
use crate::anomaly::Name;
use crate::check::Ground;
use crate::components::{Lens, components};
use crate::event::{Action, Seen};
use crate::graph::{Builder, Edge, Graph, Kind, Kinds, Version};
use crate::transaction::{Fate, Number, seconds};
use std::collections::{BTreeMap, HashMap, VecDeque};

/// What one transaction did to one key.
#[derive(Clone, Copy, Debug)]
struct Touch {
    number: Number,
    /// What others had written, if it looked before it wrote. The inner none: nothing was there.
    found: Option<Option<i64>>,
    /// Its last write.
    left: Option<i64>,
}

impl Touch {
    fn enters(&self) -> Option<i64> {
        self.found.unwrap_or(self.left)
    }
    fn leaves(&self) -> Option<i64> {
        self.left.or(self.found.flatten())
    }
}

#[derive(Default)]
struct Register {
    touches: Vec<Touch>,
    /// Every write, also those that the writer replaced itself.
    writes: Vec<(Number, i64)>,
}

pub(crate) fn infer(ground: &mut Ground<'_>) {
    let mut registers: Vec<Register> = Vec::new();
    registers.resize_with(ground.keys.len(), Register::default);
    let transactions = ground.transactions;
    for (transaction, number) in transactions.iter().zip((0..).map(Number)) {
        let mut touched: BTreeMap<u32, Touch> = BTreeMap::new();
        for operation in &transaction.operations {
            let key = ground.key(&operation.key);
            let touch = touched.entry(key).or_insert(Touch { number, found: None, left: None });
            match &operation.action {
                Action::Write(value) => {
                    registers[key as usize].writes.push((number, *value));
                    touch.left = Some(*value);
                }
                Action::Append(_) | Action::Read(Seen::List(_)) => unreachable!("the workload is registers"),
                Action::Read(_) if transaction.fate != Fate::Committed => {}
                Action::Read(seen) => {
                    let value = match seen {
                        Seen::Value(value) => Some(*value),
                        _ => None,
                    };
                    let expected = touch.left.map(Some).or(touch.found);
                    match expected {
                        None => touch.found = Some(value),
                        Some(expected) if expected == value => {}
                        Some(expected) => {
                            let why = format!(
                                "{number} read key {} as {}, and should have read {}",
                                operation.key,
                                told(value),
                                told(expected)
                            );
                            ground.report(Name::Internal, vec![number], vec![why]);
                        }
                    }
                }
            }
        }
        for (key, touch) in touched {
            registers[key as usize].touches.push(touch);
        }
    }
    for register in &registers {
        recover(ground, register);
    }
    for (key, register) in (0..).zip(&mut registers) {
        register.touches.retain(|touch| ground.fate(touch.number) == Fate::Committed);
        infer_key(ground, key, register);
    }
}

fn told(value: Option<i64>) -> String {
    value.map_or("nil".into(), |value| value.to_string())
}

/// Whoever was seen did happen (C2).
fn recover(ground: &mut Ground<'_>, register: &Register) {
    let unknown = register.writes.iter().filter(|(number, _)| ground.fate(*number) == Fate::Unknown);
    let unknown: HashMap<i64, Number> = unknown.map(|(number, value)| (*value, *number)).collect();
    for value in register.touches.iter().filter_map(|touch| touch.found.flatten()) {
        if let Some(number) = unknown.get(&value) {
            ground.happened(*number);
        }
    }
}

fn infer_key(ground: &mut Ground<'_>, key: u32, register: &Register) {
    let name = ground.keys[key as usize].clone();
    let mut writer_of: HashMap<i64, Number> = HashMap::with_capacity(register.writes.len());
    for (number, value) in &register.writes {
        if let Some(other) = writer_of.insert(*value, *number) {
            let why = format!(
                "{other} and {number} both wrote {value} to key {name}: values must be used once, or nothing can be inferred"
            );
            return ground.report(Name::Duplicate, vec![other, *number], vec![why]);
        }
    }
    let left: HashMap<Number, i64> =
        register.touches.iter().filter_map(|touch| Some((touch.number, touch.left?))).collect();
    for touch in &register.touches {
        let Some(Some(value)) = touch.found else { continue };
        let reader = touch.number;
        match writer_of.get(&value) {
            None => {
                let why = format!("{reader} read key {name} as {value}, which nobody wrote");
                ground.report(Name::Invented, vec![reader], vec![why]);
            }
            Some(writer) if ground.fate(*writer) == Fate::Aborted => {
                let why =
                    format!("{reader} read key {name} as {value}, which {writer} wrote; but {writer} was aborted");
                ground.report(Name::G1a, vec![reader, *writer], vec![why]);
            }
            Some(writer) if *writer != reader && left.get(writer) != Some(&value) => {
                let last = told(left.get(writer).copied());
                let why = format!(
                    "{reader} read key {name} as {value}, which is not the last that {writer} wrote: that was {last}"
                );
                ground.report(Name::G1b, vec![reader, *writer], vec![why]);
            }
            Some(_) => {}
        }
    }
    lost_updates(ground, key, register);
    edges(ground, key, register, &left);
}

/// Two who read the same and replaced it both.
fn lost_updates(ground: &mut Ground<'_>, key: u32, register: &Register) {
    let mut updaters: BTreeMap<Option<i64>, Vec<(Number, i64)>> = BTreeMap::new();
    for touch in &register.touches {
        if let (Some(found), Some(left)) = (touch.found, touch.left) {
            updaters.entry(found).or_default().push((touch.number, left));
        }
    }
    for (found, updaters) in updaters.into_iter().filter(|(_, updaters)| updaters.len() > 1) {
        let wrote: BTreeMap<Number, i64> = updaters.iter().copied().collect();
        let numbers: Vec<Number> = wrote.keys().copied().collect();
        ground.lost_update(key, &told(found), &numbers, |number| format!("wrote {}", wrote[&number]));
    }
}

/// A version by its place; the first is the state before all writes.
type Place = u32;

/// x < y, because one ended before the other began.
struct InTime {
    before: Place,
    after: Place,
    earlier: Touch,
    later: Touch,
}

fn edges(ground: &mut Ground<'_>, key: u32, register: &Register, left: &HashMap<Number, i64>) {
    let mut values: Vec<Option<i64>> = vec![None];
    values.extend(register.touches.iter().filter_map(|touch| touch.left).map(Some));
    let place_of: HashMap<Option<i64>, Place> = values.iter().copied().zip(0..).collect();
    let mut writers: Vec<Option<Number>> = vec![None; values.len()];
    for (number, value) in left {
        writers[place_of[&Some(*value)] as usize] = Some(*number);
    }
    let mut readers: Vec<Vec<Number>> = vec![Vec::new(); values.len()];
    let mut followers: Vec<Vec<Place>> = vec![Vec::new(); values.len()];
    for touch in &register.touches {
        // What nobody live wrote has been told already.
        let found = touch.found.and_then(|found| place_of.get(&found).copied());
        let Some(found) = found else { continue };
        readers[found as usize].push(touch.number);
        if let Some(writer) = writers[found as usize] {
            let value = values[found as usize];
            let edge = Edge { from: writer.0, to: touch.number.0, kind: Kind::Wr, key, before: value, after: value };
            ground.graph.add(edge);
        }
        if let Some(left) = touch.left {
            followers[found as usize].push(place_of[&Some(left)]);
        }
    }
    if !readers[0].is_empty() {
        followers[0] = (1..values.len() as Place).collect();
    }
    if ground.level.is_strict() {
        let in_time = in_time(ground, &register.touches, &place_of);
        match circle(&in_time, values.len()) {
            None => in_time.iter().for_each(|one| followers[one.before as usize].push(one.after)),
            Some(circle) => stale(ground, key, &circle, &values),
        }
    }
    for (place, mut after) in followers.into_iter().enumerate() {
        after.sort_unstable();
        after.dedup();
        let follower = |after: Place| Some((writers[after as usize]?, values[after as usize]?));
        let followers: Vec<(Number, i64)> = after.into_iter().filter_map(follower).collect();
        if !followers.is_empty() {
            let (value, writer, readers) = (values[place], writers[place], &readers[place]);
            ground.graph.follow(&Version { key, value, writer, readers, followers: &followers });
        }
    }
}

/// Each touch compared with those that ended before it began and after which no other began and ended before it.
fn in_time(ground: &Ground<'_>, touches: &[Touch], place_of: &HashMap<Option<i64>, Place>) -> Vec<InTime> {
    let begun = |touch: &Touch| ground.transactions[touch.number.place()].begun.place;
    let ended = |touch: &Touch| ground.transactions[touch.number.place()].ended.map(|ended| ended.place);
    // Transactions come in the order of their beginnings.
    let mut by_end: Vec<(u32, &Touch)> = touches.iter().filter_map(|touch| Some((ended(touch)?, touch))).collect();
    by_end.sort_by_key(|(ended, _)| *ended);
    let mut ends = by_end.into_iter().peekable();
    let mut frontier: Vec<(u32, &Touch)> = Vec::new();
    let mut found = BTreeMap::new();
    for later in touches {
        while let Some((end, touch)) = ends.next_if(|(end, _)| *end < begun(later)) {
            frontier.retain(|(other, _)| *other >= begun(touch));
            frontier.push((end, touch));
        }
        for (_, earlier) in &frontier {
            let places = (place_of.get(&earlier.leaves()), place_of.get(&later.enters()));
            if let (Some(before), Some(after)) = places
                && before != after
            {
                found.entry((*before, *after)).or_insert((**earlier, *later));
            }
        }
    }
    found.into_iter().map(|((before, after), (earlier, later))| InTime { before, after, earlier, later }).collect()
}

/// The shortest circle of versions, if there is one.
fn circle(in_time: &[InTime], versions: usize) -> Option<Vec<&InTime>> {
    let mut builder = Builder::new(versions);
    let mut leaving: Vec<Vec<usize>> = vec![Vec::new(); versions];
    for (index, one) in in_time.iter().enumerate() {
        builder.add(Edge { from: one.before, to: one.after, kind: Kind::Ww, key: 0, before: None, after: None });
        leaving[one.before as usize].push(index);
    }
    let graph: Graph = builder.seal();
    let found = components(&graph, Lens { kinds: Kinds::WW, separates: false });
    let start = *found.first()?.first()?;
    let mut came: Vec<Option<usize>> = vec![None; versions];
    let mut queue = VecDeque::from([start]);
    while let Some(place) = queue.pop_front() {
        for &index in &leaving[place as usize] {
            let to = in_time[index].after;
            if came[to as usize].is_none() {
                came[to as usize] = Some(index);
                queue.push_back(to);
            }
        }
    }
    let mut path = Vec::new();
    let mut place = start;
    loop {
        let index = came[place as usize].expect("a component leads back to where one began");
        path.push(&in_time[index]);
        place = in_time[index].before;
        if place == start {
            path.reverse();
            return Some(path);
        }
    }
}

fn stale(ground: &mut Ground<'_>, key: u32, circle: &[&InTime], values: &[Option<i64>]) {
    let name = ground.keys[key as usize].clone();
    let did = |touch: &Touch, value: Option<i64>| match touch.left == value && touch.left.is_some() {
        true => format!("wrote key {name} to {}", told(value)),
        false => format!("read key {name} as {}", told(value)),
    };
    let mut numbers = Vec::new();
    let mut lines = Vec::new();
    for InTime { before, after, earlier, later } in circle {
        let ended = ground.transactions[earlier.number.place()].ended.expect("what is earlier has ended").time;
        let begun = ground.transactions[later.number.place()].begun.time;
        let (before, after) = (values[*before as usize], values[*after as usize]);
        lines.push(format!(
            "{} {} and ended at {}, before {} began at {}, which {}: so {} came before {}",
            earlier.number,
            did(earlier, before),
            seconds(ended),
            later.number,
            seconds(begun),
            did(later, after),
            told(before),
            told(after),
        ));
        numbers.extend([earlier.number, later.number]);
    }
    lines.push(format!("so {} came before itself", told(values[circle[0].before as usize])));
    numbers.sort();
    numbers.dedup();
    ground.report(Name::StaleRead, numbers, lines);
}
