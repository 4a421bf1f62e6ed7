//! Who must come before whom, and why.
//!
//! ```text
//!   ww    replaced its version, or followed it          T1 wrote x1, T2 wrote the next, x2
//!   wr    read its version                              T1 wrote x1, T2 read it
//!   rw    overwrote what it read                        T1 read x1, T2 wrote the next, x2
//!   time  began after it had ended                      under the strict levels
//! ```
//!
//! Some nodes are no transactions. If many read a version that many may have followed, all of the former lead to a node
//! *after the version*, and that to all of the latter. If many ended before many began, the former lead to a *moment*,
//! moments to later ones, and those to whoever began then. So the edges grow with the history and not with its square
//! (C3). Edges that leave such a node are passes: they say nothing of their own.
use crate::transaction::Number;

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Kind {
    Ww,
    Wr,
    Rw,
    Time,
    Pass,
}

/// A set of kinds.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Kinds(u8);

impl Kinds {
    pub(crate) const WW: Kinds = Kinds::of(&[Kind::Ww]);
    pub(crate) const DIRECT: Kinds = Kinds::of(&[Kind::Ww, Kind::Wr]);
    pub(crate) const ANY: Kinds = Kinds::of(&[Kind::Ww, Kind::Wr, Kind::Rw]);
    pub(crate) const DIRECT_OR_TIME: Kinds = Kinds::of(&[Kind::Ww, Kind::Wr, Kind::Time]);
    pub(crate) const ANY_OR_TIME: Kinds = Kinds::of(&[Kind::Ww, Kind::Wr, Kind::Rw, Kind::Time]);

    pub(crate) const fn of(kinds: &[Kind]) -> Kinds {
        // Passes go with whatever led to them.
        let mut bits = 1 << Kind::Pass as u8;
        let mut index = 0;
        while index < kinds.len() {
            bits |= 1 << kinds[index] as u8;
            index += 1;
        }
        Kinds(bits)
    }

    pub(crate) fn has(self, kind: Kind) -> bool {
        self.0 & (1 << kind as u8) != 0
    }
}

/// A transaction, by its number, or a node between transactions.
pub(crate) type Node = u32;

#[derive(Clone, Copy, Debug)]
pub(crate) struct Edge {
    pub(crate) from: Node,
    pub(crate) to: Node,
    pub(crate) kind: Kind,
    /// By its place among the keys.
    pub(crate) key: u32,
    /// What the one read or wrote; none is the state before all writes.
    pub(crate) before: Option<i64>,
    /// What the other one read or wrote.
    pub(crate) after: Option<i64>,
}

/// Those who wrote and read one version of a key, and those who came after it.
pub(crate) struct Version<'a> {
    pub(crate) key: u32,
    pub(crate) value: Option<i64>,
    pub(crate) writer: Option<Number>,
    pub(crate) readers: &'a [Number],
    /// Who wrote a later version, and what.
    pub(crate) followers: &'a [(Number, i64)],
}

/// Grows, then is [sealed](Builder::seal).
pub(crate) struct Builder {
    transactions: u32,
    nodes: u32,
    edges: Vec<Edge>,
}

/// Beyond this many edges a node between pays off.
const EDGES_DIRECT: usize = 32;

impl Builder {
    pub(crate) fn new(transactions: usize) -> Builder {
        let transactions = u32::try_from(transactions).expect("fewer than 4 billion transactions");
        Builder { transactions, nodes: transactions, edges: Vec::new() }
    }

    pub(crate) fn node(&mut self) -> Node {
        self.nodes += 1;
        self.nodes - 1
    }

    pub(crate) fn add(&mut self, edge: Edge) {
        if edge.from != edge.to {
            self.edges.push(edge);
        }
    }

    pub(crate) fn pass(&mut self, from: Node, to: Node) {
        self.add(Edge { from, to, kind: Kind::Pass, key: 0, before: None, after: None });
    }

    pub(crate) fn time(&mut self, from: Node, to: Node) {
        self.add(Edge { from, to, kind: Kind::Time, key: 0, before: None, after: None });
    }

    /// The writer and the readers of a version came before those who followed it.
    pub(crate) fn follow(&mut self, version: &Version<'_>) {
        let Version { key, value, writer, readers, followers } = version;
        let sources = || {
            let writer = writer.iter().map(|writer| (*writer, Kind::Ww));
            writer.chain(readers.iter().map(|reader| (*reader, Kind::Rw)))
        };
        let edge =
            |from: Number, kind, to: Node, after| Edge { from: from.0, to, kind, key: *key, before: *value, after };
        let count = readers.len() + usize::from(writer.is_some());
        if count * followers.len() <= EDGES_DIRECT.max(count + followers.len()) {
            for (source, kind) in sources() {
                followers.iter().for_each(|(to, after)| self.add(edge(source, kind, to.0, Some(*after))));
            }
            return;
        }
        let after = self.node();
        let mut own: Vec<Number> = followers.iter().map(|(follower, _)| *follower).collect();
        own.sort();
        for (source, kind) in sources() {
            // Who follows what it read itself would come before itself by way of the node.
            if own.binary_search(&source).is_ok() {
                followers.iter().for_each(|(to, after)| self.add(edge(source, kind, to.0, Some(*after))));
            } else {
                self.add(edge(source, kind, after, None));
            }
        }
        for (to, value) in *followers {
            self.add(Edge { from: after, to: to.0, kind: Kind::Pass, key: *key, before: None, after: Some(*value) });
        }
    }

    pub(crate) fn seal(self) -> Graph {
        let Builder { transactions, nodes, mut edges } = self;
        edges.sort_by_key(|edge| edge.from);
        let mut starts = vec![0u32; nodes as usize + 1];
        for edge in &edges {
            starts[edge.from as usize + 1] += 1;
        }
        for node in 0..nodes as usize {
            starts[node + 1] += starts[node];
        }
        Graph { transactions, edges, starts }
    }
}

/// Edges in the order of where they begin.
pub(crate) struct Graph {
    transactions: u32,
    edges: Vec<Edge>,
    starts: Vec<u32>,
}

impl Graph {
    pub(crate) fn nodes(&self) -> u32 {
        self.starts.len() as u32 - 1
    }

    pub(crate) fn is_transaction(&self, node: Node) -> bool {
        node < self.transactions
    }

    pub(crate) fn leaving(&self, node: Node) -> &[Edge] {
        &self.edges[self.starts[node as usize] as usize..self.starts[node as usize + 1] as usize]
    }
}
