//! Strongly connected components of what one sees of a graph through a lens (Tarjan, SIAM J. Comput. 1, 1972), with a
//! stack of its own, since histories are longer than a thread's stack is deep.
//!
//! A lens lets some kinds of edges through. One that *separates* has two states for each node, so that no path takes two
//! rw edges in a row:
//!
//! ```text
//!   (T, began)      may leave by any edge                 ww, wr and time lead to (X, began)
//!   (T, committed)  may not leave by rw                   rw leads to (X, committed)
//! ```
//!
//! Snapshot isolation is exactly that no such cycle exists: ww, wr and time say that one committed before the other
//! began, rw that one began before the other committed, and every transaction begins before it commits.
use crate::graph::{Edge, Graph, Kind, Kinds, Node};

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Lens {
    pub(crate) kinds: Kinds,
    pub(crate) separates: bool,
}

/// A node, and whether it was reached at its commit.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub(crate) struct State {
    pub(crate) node: Node,
    pub(crate) committed: bool,
}

impl Lens {
    /// Where an edge leads from a state, if it can be taken.
    pub(crate) fn through(self, state: State, edge: &Edge) -> Option<State> {
        if !self.kinds.has(edge.kind) {
            return None;
        }
        if !self.separates {
            return Some(State { node: edge.to, committed: false });
        }
        match edge.kind {
            Kind::Rw => (!state.committed).then_some(State { node: edge.to, committed: true }),
            Kind::Pass => Some(State { node: edge.to, committed: state.committed }),
            Kind::Ww | Kind::Wr | Kind::Time => Some(State { node: edge.to, committed: false }),
        }
    }

    fn place(self, state: State) -> usize {
        if self.separates { state.node as usize * 2 + usize::from(state.committed) } else { state.node as usize }
    }

    fn state(self, place: usize) -> State {
        match self.separates {
            true => State { node: (place / 2) as Node, committed: place % 2 == 1 },
            false => State { node: place as Node, committed: false },
        }
    }
}

const UNSEEN: u32 = u32::MAX;

/// The nodes of each component of more than one state.
pub(crate) fn components(graph: &Graph, lens: Lens) -> Vec<Vec<Node>> {
    let count = graph.nodes() as usize * if lens.separates { 2 } else { 1 };
    let mut order = vec![UNSEEN; count];
    let mut low = vec![0u32; count];
    let mut on_stack = vec![false; count];
    let mut stack: Vec<usize> = Vec::new();
    // A state under way, and the next of its edges.
    let mut path: Vec<(usize, usize)> = Vec::new();
    let mut next = 0;
    let mut found = Vec::new();
    for root in 0..count {
        if order[root] != UNSEEN {
            continue;
        }
        path.push((root, 0));
        while let Some((place, edge)) = path.pop() {
            if edge == 0 && order[place] == UNSEEN {
                (order[place], low[place]) = (next, next);
                next += 1;
                stack.push(place);
                on_stack[place] = true;
            }
            let state = lens.state(place);
            let leaving = graph.leaving(state.node);
            let mut index = edge;
            let mut deeper = None;
            while let Some(edge) = leaving.get(index) {
                index += 1;
                let Some(to) = lens.through(state, edge).map(|state| lens.place(state)) else { continue };
                if order[to] == UNSEEN {
                    deeper = Some(to);
                    break;
                }
                if on_stack[to] {
                    low[place] = low[place].min(order[to]);
                }
            }
            if let Some(to) = deeper {
                path.push((place, index));
                path.push((to, 0));
                continue;
            }
            if low[place] == order[place] {
                let begun = stack.iter().rposition(|other| *other == place).expect("it is on the stack");
                let members = stack.split_off(begun);
                members.iter().for_each(|member| on_stack[*member] = false);
                if members.len() > 1 {
                    let mut nodes: Vec<Node> = members.into_iter().map(|member| lens.state(member).node).collect();
                    nodes.sort_unstable();
                    nodes.dedup();
                    found.push(nodes);
                }
            }
            if let Some((above, _)) = path.last() {
                low[*above] = low[*above].min(low[place]);
            }
        }
    }
    found.sort();
    found
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::graph::Builder;

    fn graph(edges: &[(Node, Node, Kind)]) -> Graph {
        let mut builder = Builder::new(6);
        for &(from, to, kind) in edges {
            builder.add(Edge { from, to, kind, key: 0, before: None, after: None });
        }
        builder.seal()
    }

    #[test]
    fn what_a_lens_shows() {
        use Kind::{Rw, Wr, Ww};
        let any = Lens { kinds: Kinds::ANY, separates: false };
        let separate = Lens { kinds: Kinds::ANY, separates: true };
        let none: Vec<Vec<Node>> = vec![];
        type Row<'a> = (&'a str, &'a [(Node, Node, Kind)], Lens, Vec<Vec<Node>>);
        let table: [Row<'_>; 6] = [
            ("a chain", &[(0, 1, Ww), (1, 2, Wr)], any, none.clone()),
            ("a ring", &[(0, 1, Ww), (1, 2, Wr), (2, 0, Rw)], any, vec![vec![0, 1, 2]]),
            ("the same ring, one rw", &[(0, 1, Ww), (1, 2, Wr), (2, 0, Rw)], separate, vec![vec![0, 1, 2]]),
            ("write skew", &[(0, 1, Rw), (1, 0, Rw)], separate, none),
            ("rw apart", &[(0, 1, Rw), (1, 2, Wr), (2, 3, Rw), (3, 0, Wr)], separate, vec![vec![0, 1, 2, 3]]),
            (
                "two rings",
                &[(0, 1, Ww), (1, 0, Ww), (1, 2, Ww), (3, 4, Ww), (4, 3, Ww)],
                any,
                vec![vec![0, 1], vec![3, 4]],
            ),
        ];
        for (name, edges, lens, expected) in table {
            assert_eq!(components(&graph(edges), lens), expected, "{name}");
        }
    }

    #[test]
    fn a_long_chain_does_not_end_the_stack() {
        let mut builder = Builder::new(300_000);
        for node in 0..299_999 {
            builder.add(Edge { from: node, to: node + 1, kind: Kind::Ww, key: 0, before: None, after: None });
        }
        builder.add(Edge { from: 299_999, to: 0, kind: Kind::Ww, key: 0, before: None, after: None });
        let found = components(&builder.seal(), Lens { kinds: Kinds::WW, separates: false });
        assert_eq!(found.iter().map(Vec::len).collect::<Vec<_>>(), [300_000]);
    }
}
