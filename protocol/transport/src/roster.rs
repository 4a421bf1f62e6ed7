//! Who takes part, as one node was told, to be held against what another was told: a roster that was written by hand, and
//! has the witness for a region in one of the files, would make nodes count other majorities.
use trivet_log::{NodeId, NodeKind};

const NODES_MAX: usize = 8;
pub(crate) const ROSTER_LENGTH: usize = 2 * NODES_MAX;

/// Pairs of a node's id and 1 for a region or 2 for the witness, by id; zeros after the last.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Roster(pub(crate) [u8; ROSTER_LENGTH]);

impl Roster {
    /// At most eight nodes: more are a mistake of ours, since a configuration has three.
    pub fn of(nodes: impl IntoIterator<Item = (NodeId, NodeKind)>) -> Roster {
        let mut nodes: Vec<(NodeId, NodeKind)> = nodes.into_iter().collect();
        assert!(nodes.len() <= NODES_MAX, "a roster of more than {NODES_MAX} nodes");
        nodes.sort_by_key(|(node, _)| node.0);
        let mut bytes = [0; ROSTER_LENGTH];
        for (pair, (node, kind)) in bytes.chunks_exact_mut(2).zip(nodes) {
            pair[0] = node.0;
            pair[1] = match kind {
                NodeKind::Region => 1,
                NodeKind::Witness => 2,
            };
        }
        Roster(bytes)
    }

    fn nodes(&self) -> impl Iterator<Item = (u8, u8)> + '_ {
        self.0.chunks_exact(2).map(|pair| (pair[0], pair[1])).filter(|(_, kind)| *kind != 0)
    }

    fn kind_of(&self, node: u8) -> Option<u8> {
        self.nodes().find(|(other, _)| *other == node).map(|(_, kind)| kind)
    }

    /// What `theirs` has that this one has not, in words; `None`: they agree.
    pub(crate) fn difference(&self, theirs: &Roster) -> Option<String> {
        if self == theirs {
            return None;
        }
        for (node, here) in self.nodes() {
            match theirs.kind_of(node) {
                Some(there) if there == here => {}
                Some(there) => {
                    let (there, here) = (kind_name(there), kind_name(here));
                    return Some(format!("node {node} is a {there} in its roster, and a {here} in the one here"));
                }
                None => return Some(format!("node {node} is not in its roster, and is in the one here")),
            }
        }
        let other = theirs.nodes().find(|(node, _)| self.kind_of(*node).is_none());
        Some(match other {
            Some((node, _)) => format!("node {node} is in its roster, and is not in the one here"),
            None => "its roster differs from the one here".to_owned(),
        })
    }
}

fn kind_name(kind: u8) -> &'static str {
    match kind {
        1 => "region",
        2 => "witness",
        _ => "node of an unknown kind",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use NodeKind::{Region, Witness};

    fn roster(nodes: &[(u8, NodeKind)]) -> Roster {
        Roster::of(nodes.iter().map(|(node, kind)| (NodeId(*node), *kind)))
    }

    #[test]
    fn what_differs_is_named() {
        let here = roster(&[(1, Region), (2, Region), (3, Witness)]);
        let table = [
            (roster(&[(3, Witness), (2, Region), (1, Region)]), None),
            (
                roster(&[(1, Region), (2, Witness), (3, Region)]),
                Some("node 2 is a witness in its roster, and a region in the one here"),
            ),
            (roster(&[(1, Region), (2, Region)]), Some("node 3 is not in its roster, and is in the one here")),
            (
                roster(&[(1, Region), (2, Region), (3, Witness), (4, Witness)]),
                Some("node 4 is in its roster, and is not in the one here"),
            ),
            (
                Roster([1, 9, 2, 1, 3, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]),
                Some("node 1 is a node of an unknown kind in its roster, and a region in the one here"),
            ),
            (Roster([1, 1, 2, 1, 3, 2, 0, 0, 0, 0, 0, 0, 0, 0, 7, 0]), Some("its roster differs from the one here")),
        ];
        for (theirs, words) in table {
            assert_eq!(here.difference(&theirs).as_deref(), words);
        }
    }
}
