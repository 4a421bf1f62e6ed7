//! Making a statement that differs small: one change after the other, kept if the difference is still of the same kind.
//!
//! What is dropped or replaced may make the statement meaningless; then both sides say so alike, and the change is not kept.
use super::data::{literals, type_name};
use super::tree::{Node, Part, Sort};

/// Where in the tree: the part, and the item in a list's part.
type Path = Vec<(usize, usize)>;

/// Every way to make the tree smaller by one step, great steps first.
pub fn candidates(root: &Node) -> Vec<Node> {
    let mut found = without_a_column(root);
    let mut paths = Vec::new();
    collect(root, &mut Vec::new(), &mut paths);
    // The nodes that stand highest have the most below them.
    paths.sort_by_key(Vec::len);
    for path in &paths {
        let node = at(root, path);
        for substitute in node.substitutes() {
            found.push(replaced(root, path, Some(substitute.clone())));
        }
        if is_droppable(root, path) {
            found.push(replaced(root, path, None));
        }
        if let Sort::Value(kind) = node.sort {
            let null = format!("null::{}", type_name(kind));
            let text = node.to_string();
            // Only to what is shorter or simpler in a fixed order, so that there is an end.
            let simple: Vec<String> =
                literals(kind).iter().take(2).map(|text| (*text).to_owned()).chain([null]).collect();
            if !simple.contains(&text) {
                found.extend(simple.into_iter().map(|text| replaced(root, path, Some(Node::leaf(node.sort, text)))));
            }
        }
    }
    found
}

/// One column less, in the query at the top, in all that it unites, and in its order.
fn without_a_column(root: &Node) -> Vec<Node> {
    let Some(width) = width(root).filter(|width| *width > 1) else { return Vec::new() };
    let less = (1..=width).map(|column| {
        let mut copy = root.clone();
        remove_column(&mut copy, column);
        copy
    });
    less.collect()
}

fn width(query: &Node) -> Option<usize> {
    query.parts.iter().rev().find_map(|part| match part {
        Part::Columns(items) => Some(items.len()),
        Part::One(node) if node.sort == Sort::Query => width(node),
        _ => None,
    })
}

/// Columns count from 1. Where the sides of a set operation no longer fit, the databases say so.
fn remove_column(query: &mut Node, column: usize) {
    let is_with = matches!(query.parts.first(), Some(Part::Text(text)) if text.starts_with("with "));
    let queries = query.parts.iter().filter(|part| matches!(part, Part::One(node) if node.sort == Sort::Query)).count();
    let mut passed = 0;
    for part in &mut query.parts {
        match part {
            Part::Columns(items) if items.len() >= column => drop(items.remove(column - 1)),
            Part::One(node) if node.sort == Sort::Query => {
                passed += 1;
                // Of WITH only the query that comes last.
                if !is_with || passed == queries {
                    remove_column(node, column);
                }
            }
            Part::Optional(clause) => {
                for part in &mut clause.parts {
                    if let Part::Order(ordinals) = part {
                        ordinals.retain(|(ordinal, _)| *ordinal != column);
                        let behind = ordinals.iter_mut().filter(|(ordinal, _)| *ordinal > column);
                        behind.for_each(|(ordinal, _)| *ordinal -= 1);
                    }
                }
            }
            _ => {}
        }
    }
}

fn collect(node: &Node, path: &mut Path, paths: &mut Vec<Path>) {
    for (part, content) in node.parts.iter().enumerate() {
        let children: &[Node] = match content {
            Part::Text(_) | Part::Order(_) => &[],
            Part::One(child) | Part::Optional(child) => std::slice::from_ref(child),
            Part::List { items, .. } | Part::Columns(items) => items,
        };
        for (item, child) in children.iter().enumerate() {
            path.push((part, item));
            paths.push(path.clone());
            collect(child, path, paths);
            path.pop();
        }
    }
}

fn at<'a>(root: &'a Node, path: &Path) -> &'a Node {
    path.iter().fold(root, |node, (part, item)| match &node.parts[*part] {
        Part::One(child) | Part::Optional(child) => child,
        Part::List { items, .. } | Part::Columns(items) => &items[*item],
        Part::Text(_) | Part::Order(_) => unreachable!("a path leads through nodes"),
    })
}

fn is_droppable(root: &Node, path: &Path) -> bool {
    let (last, parents) = path.split_last().expect("the root has no path");
    match &at(root, &parents.to_vec()).parts[last.0] {
        Part::Optional(_) => true,
        Part::List { items, least, .. } => items.len() > *least,
        Part::Columns(items) => items.len() > 1,
        Part::One(_) | Part::Text(_) | Part::Order(_) => false,
    }
}

/// The tree with another node at the path, or with none.
fn replaced(root: &Node, path: &[(usize, usize)], with: Option<Node>) -> Node {
    let mut copy = root.clone();
    let (last, parents) = path.split_last().expect("the root is not replaced");
    let mut node = &mut copy;
    for (part, item) in parents {
        node = match &mut node.parts[*part] {
            Part::One(child) | Part::Optional(child) => child,
            Part::List { items, .. } | Part::Columns(items) => &mut items[*item],
            Part::Text(_) | Part::Order(_) => unreachable!("a path leads through nodes"),
        };
    }
    match (&mut node.parts[last.0], with) {
        (Part::One(child) | Part::Optional(child), Some(with)) => *child = with,
        (Part::List { items, .. } | Part::Columns(items), Some(with)) => items[last.1] = with,
        (Part::List { items, .. } | Part::Columns(items), None) => drop(items.remove(last.1)),
        (part, None) => *part = Part::Text(String::new()),
        (Part::Text(_) | Part::Order(_), Some(_)) => unreachable!("a path leads to a node"),
    }
    copy
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::random::tree::Kind;

    /// Shrinks to what still contains a word.
    fn shrunk(mut node: Node, word: &str) -> String {
        let mut steps = 0;
        while let Some(smaller) = candidates(&node).into_iter().find(|candidate| {
            candidate.to_string().contains(word) && candidate.to_string().len() < node.to_string().len()
        }) {
            node = smaller;
            steps += 1;
            assert!(steps < 1000, "no end");
        }
        node.to_string()
    }

    #[test]
    fn a_large_statement_becomes_small() {
        let value = |text: &str| Node::leaf(Sort::Value(Kind::Int), text);
        let sum = Node::of(Sort::Value(Kind::Int), "(# + #)", vec![value("12345"), value("bug")]);
        let items =
            vec![Node::of(Sort::Other, "# as c1", vec![sum]), Node::of(Sort::Other, "# as c2", vec![value("77777")])];
        let node = Node {
            sort: Sort::Query,
            parts: vec![
                Part::Text("select ".into()),
                Part::Columns(items),
                Part::Optional(Node::of(Sort::Other, " where #", vec![value("long")])),
                Part::Optional(Node::other(vec![
                    Part::Text(" order by ".into()),
                    Part::Order(vec![(2, " desc"), (1, "")]),
                ])),
            ],
        };
        let texts: Vec<String> = candidates(&node).iter().map(Node::to_string).collect();
        assert!(texts.contains(&"select (12345 + bug) as c1 where long order by 1".to_owned()), "{texts:?}");
        assert_eq!(shrunk(node, "bug"), "select bug as c1");
    }
}
