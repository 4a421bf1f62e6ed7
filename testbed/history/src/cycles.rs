//! The anomalies that are cycles, by the kinds of their edges.
//!
//! ```text
//!   name              one of   others                                   no two rw in a row
//!   G0                ww       ww
//!   G1c               wr       ww wr
//!   G-single          rw       ww wr
//!   long fork         rw       ww wr rw                                 yes
//!   G2-item           rw       ww wr rw
//!   real time         ww wr    ww wr time
//!   stale read        rw       ww wr time
//!   real time         rw       ww wr rw time                            yes
//!   G2-item, in time  rw       ww wr rw time
//! ```
//!
//! Each row looks at the strongly connected components of its own kinds, and reports one short cycle for each, unless a
//! row above has told of something within it. A level excludes only some rows; the others are not looked at.
use crate::anomaly::{Anomaly, Name};
use crate::check::{Level, legend};
use crate::components::{Lens, State, components};
use crate::event::Key;
use crate::graph::{Edge, Graph, Kind, Kinds, Node};
use crate::transaction::{Number, Transaction, seconds};
use std::collections::{HashMap, HashSet, VecDeque};

struct Row {
    name: Name,
    one_of: Kinds,
    others: Lens,
}

const fn row(name: Name, one_of: &[Kind], kinds: Kinds, separates: bool) -> Row {
    Row { name, one_of: Kinds::of(one_of), others: Lens { kinds, separates } }
}

const ROWS: [Row; 9] = [
    row(Name::G0, &[Kind::Ww], Kinds::WW, false),
    row(Name::G1c, &[Kind::Wr], Kinds::DIRECT, false),
    row(Name::GSingle, &[Kind::Rw], Kinds::DIRECT, false),
    row(Name::LongFork, &[Kind::Rw], Kinds::ANY, true),
    row(Name::WriteSkew, &[Kind::Rw], Kinds::ANY, false),
    row(Name::RealTime, &[Kind::Ww, Kind::Wr], Kinds::DIRECT_OR_TIME, false),
    row(Name::StaleRead, &[Kind::Rw], Kinds::DIRECT_OR_TIME, false),
    row(Name::RealTime, &[Kind::Rw], Kinds::ANY_OR_TIME, true),
    row(Name::WriteSkewInTime, &[Kind::Rw], Kinds::ANY_OR_TIME, false),
];

impl Row {
    /// In whose components its cycles lie. A cycle with one rw has no two in a row, so separating loses none; and a sound
    /// history under snapshot isolation has no component at all then, however much write skew it has (C3).
    fn components(&self) -> Lens {
        match self.name {
            Name::GSingle => Lens { kinds: Kinds::ANY, separates: true },
            Name::StaleRead => Lens { kinds: Kinds::ANY_OR_TIME, separates: true },
            _ => self.others,
        }
    }
}

/// States that a row may visit in search of its shortest cycles; then the best so far will do.
const VISITS_MAX: usize = 20_000_000;
/// Of one row.
const CYCLES_KEPT: usize = 20;

pub(crate) fn find(
    graph: &Graph,
    transactions: &[Transaction],
    keys: &[Key],
    level: Level,
    anomalies: &mut Vec<Anomaly>,
) {
    let mut known: Option<(Lens, Vec<Vec<Node>>)> = None;
    for row in ROWS.iter().filter(|row| row.name.is_excluded_by(level)) {
        let lens = row.components();
        let found = match known.take() {
            Some((before, found)) if before == lens => found,
            _ => components(graph, lens),
        };
        let mut visits = VISITS_MAX;
        let mut kept = 0;
        for component in &found {
            let within: HashSet<Node> = component.iter().copied().collect();
            let told = |anomaly: &Anomaly| {
                anomaly.transactions.len() > 1 && anomaly.transactions.iter().all(|number| within.contains(&number.0))
            };
            if kept == CYCLES_KEPT || anomalies.iter().any(told) {
                continue;
            }
            if let Some(steps) = shortest(graph, row, component, &within, &mut visits) {
                kept += 1;
                anomalies.push(tell(row.name, &steps, transactions, keys));
            }
        }
        known = Some((lens, found));
    }
}

/// How many steps it takes to a state, and how one comes there.
type Came = HashMap<State, (usize, Option<(State, Edge)>)>;

/// From transaction to transaction: the edge that left the one, and the one that reached the other.
type Step = (Edge, Edge);

fn shortest(
    graph: &Graph,
    row: &Row,
    component: &[Node],
    within: &HashSet<Node>,
    visits: &mut usize,
) -> Option<Vec<Step>> {
    let mut best: Option<Vec<Step>> = None;
    for &node in component.iter().filter(|node| graph.is_transaction(**node)) {
        let wanted = |edge: &&Edge| edge.kind != Kind::Pass && row.one_of.has(edge.kind) && within.contains(&edge.to);
        for edge in graph.leaving(node).iter().filter(wanted) {
            let bound = best.as_ref().map_or(usize::MAX, Vec::len);
            if bound == 2 || *visits == 0 {
                return best;
            }
            if let Some(path) = back(graph, row.others, edge, within, bound, visits) {
                best = Some(path);
            }
        }
    }
    best
}

/// The shortest way on from `first` back to where it began, if that takes fewer steps than `bound`. Nodes between
/// transactions cost nothing, so this is a search with two ends of the queue.
fn back(
    graph: &Graph,
    lens: Lens,
    first: &Edge,
    within: &HashSet<Node>,
    bound: usize,
    visits: &mut usize,
) -> Option<Vec<Step>> {
    let begun = State { node: first.to, committed: lens.separates && first.kind == Kind::Rw };
    let cost = |node: Node| usize::from(graph.is_transaction(node));
    let mut came: Came = Came::from([(begun, (cost(begun.node), None))]);
    let mut queue = VecDeque::from([(begun, cost(begun.node))]);
    while let Some((state, steps)) = queue.pop_front() {
        if came[&state].0 < steps {
            continue;
        }
        if steps >= bound || *visits == 0 {
            return None;
        }
        if state.node == first.from && !state.committed {
            return Some(path(graph, first, state, &came));
        }
        *visits -= 1;
        for edge in graph.leaving(state.node) {
            let Some(to) = lens.through(state, edge).filter(|to| within.contains(&to.node)) else { continue };
            let total = steps + cost(to.node);
            if came.get(&to).is_none_or(|(known, _)| total < *known) {
                came.insert(to, (total, Some((state, *edge))));
                if total == steps {
                    queue.push_front((to, total));
                } else {
                    queue.push_back((to, total));
                }
            }
        }
    }
    None
}

fn path(graph: &Graph, first: &Edge, end: State, came: &Came) -> Vec<Step> {
    let mut edges = Vec::new();
    let mut state = end;
    while let Some((before, edge)) = came[&state].1 {
        edges.push(edge);
        state = before;
    }
    edges.push(*first);
    edges.reverse();
    let mut steps = Vec::new();
    let mut left = None;
    for edge in edges {
        let leaving = *left.get_or_insert(edge);
        if graph.is_transaction(edge.to) {
            steps.push((leaving, edge));
            left = None;
        }
    }
    steps
}

fn tell(name: Name, steps: &[Step], transactions: &[Transaction], keys: &[Key]) -> Anomaly {
    let mut why: Vec<String> = Vec::new();
    for (leaving, reaching) in steps {
        let (one, other) = (Number(leaving.from), Number(reaching.to));
        let key = || &keys[leaving.key as usize];
        let value = |value: Option<i64>| value.map_or("nothing".to_owned(), |value| value.to_string());
        let (before, after) = (value(leaving.before), value(reaching.after));
        let line = match leaving.kind {
            Kind::Ww => format!("{one} wrote {before} to key {}, and {other} wrote {after} after it", key()),
            Kind::Wr => format!("{one} wrote {before} to key {}, which {other} read", key()),
            Kind::Rw if leaving.before.is_none() => {
                format!("{one} read key {} before anything was there, and {other} wrote {after}", key())
            }
            Kind::Rw => format!("{one} read key {} at {before}, and {other} wrote {after} after that", key()),
            Kind::Time => {
                let ended = transactions[one.place()].ended.expect("only what has ended comes before others in time");
                let begun = transactions[other.place()].begun;
                format!("{one} ended at {}, before {other} began at {}", seconds(ended.time), seconds(begun.time))
            }
            Kind::Pass => unreachable!("a pass leaves no transaction"),
        };
        let kind = match leaving.kind {
            Kind::Ww => "ww",
            Kind::Wr => "wr",
            Kind::Rw => "rw",
            Kind::Time => "time",
            Kind::Pass => "",
        };
        why.push(format!("{kind:<4} {line}"));
    }
    let mut numbers: Vec<Number> = steps.iter().map(|(leaving, _)| Number(leaving.from)).collect();
    why.push(format!("so {} came before itself", numbers[0]));
    why.extend(legend(transactions, &numbers));
    numbers.sort();
    numbers.dedup();
    Anomaly { name, transactions: numbers, why }
}
