//! How deep operators stand in operators when a plan runs: each is asked from within the one above it, on one stack.
use super::node::{CommonPlan, Node, Subplan};
use std::sync::Arc;

/// As many as run on a thread's usual stack of 2 MB, by a wide margin.
const OPERATORS_MAX: usize = 450;

pub(super) fn is_too_deep(root: &Node, commons: &[CommonPlan]) -> bool {
    let mut depths = Depths { commons, known: vec![None; commons.len()] };
    let deepest = (0..commons.len()).map(|slot| depths.of_common(slot)).max().unwrap_or(0);
    deepest.max(depths.of(root)) > OPERATORS_MAX
}

struct Depths<'p> {
    commons: &'p [CommonPlan],
    /// By slot; that of one that is being looked at is 0: only a recursion names itself, and its step does not run in itself.
    known: Vec<Option<usize>>,
}

impl Depths<'_> {
    fn of(&mut self, node: &Node) -> usize {
        let mut deepest = match node {
            Node::Common { slot } => self.of_common(*slot),
            Node::Apply { subplans, .. } | Node::NestedLoop { subplans, .. } | Node::Limit { subplans, .. } => {
                self.of_all(subplans)
            }
            Node::Insert { insert, .. } => {
                let update = insert.conflict.as_ref().and_then(|conflict| conflict.update.as_ref());
                update.map_or(0, |update| self.of_all(&update.subplans))
            }
            Node::Merge { merge, .. } => {
                let of = |clause: &super::MergeClauseNode| [Arc::clone(&clause.asks), Arc::clone(&clause.computes)];
                let all: Vec<_> = merge.clauses.iter().flat_map(of).collect();
                all.iter().map(|subplans| self.of_all(subplans)).max().unwrap_or(0)
            }
            _ => 0,
        };
        for input in node.inputs() {
            deepest = deepest.max(self.of(input));
        }
        deepest + 1
    }

    fn of_all(&mut self, subplans: &[Subplan]) -> usize {
        subplans.iter().map(|subplan| self.of(&subplan.root)).max().unwrap_or(0)
    }

    fn of_common(&mut self, slot: usize) -> usize {
        if let Some(known) = self.known[slot] {
            return known;
        }
        self.known[slot] = Some(0);
        let commons = self.commons;
        let depth = self.of(&commons[slot].root);
        self.known[slot] = Some(depth);
        depth
    }
}
