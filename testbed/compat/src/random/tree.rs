//! A generated statement as a tree of text and children, which is all that printing and shrinking need to know of SQL.
//!
//! A node has a *sort*: what may stand in its place. Shrinking replaces a node by a smaller one of the same sort or drops
//! what may be dropped, and lets both databases judge whether that still means something.
use std::fmt;

/// The types that columns and expressions have here.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Kind {
    /// int4 or int8.
    Int,
    Numeric,
    Text,
    Date,
    Timestamp,
    Bool,
    Json,
}

/// What may stand in a node's place.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Sort {
    Value(Kind),
    /// A SELECT, VALUES or set operation.
    Query,
    /// An item of FROM.
    From,
    /// Anything else, which nothing replaces.
    Other,
}

#[derive(Clone, Debug)]
pub enum Part {
    Text(String),
    One(Node),
    /// May be dropped, with what stands before it in the same part.
    Optional(Node),
    List {
        separator: &'static str,
        least: usize,
        items: Vec<Node>,
    },
    /// What a query selects.
    Columns(Vec<Node>),
    /// ORDER BY: ordinals with direction, all columns of the query before it, so that rows that tie are equal. A column goes
    /// from both or from none.
    Order(Vec<(usize, &'static str)>),
}

#[derive(Clone, Debug)]
pub struct Node {
    pub sort: Sort,
    pub parts: Vec<Part>,
}

impl Node {
    pub fn leaf(sort: Sort, text: impl Into<String>) -> Node {
        Node { sort, parts: vec![Part::Text(text.into())] }
    }

    pub fn other(parts: Vec<Part>) -> Node {
        Node { sort: Sort::Other, parts }
    }

    /// `template` with children in the place of `#`.
    pub fn of(sort: Sort, template: &str, children: Vec<Node>) -> Node {
        let mut parts = Vec::new();
        let mut children = children.into_iter();
        for (at, text) in template.split('#').enumerate() {
            if at > 0 {
                parts.push(Part::One(children.next().expect("a template has as many children as marks")));
            }
            if !text.is_empty() {
                parts.push(Part::Text(text.to_owned()));
            }
        }
        debug_assert!(children.next().is_none(), "a template has as many marks as children");
        Node { sort, parts }
    }

    /// Parts that are nodes, in order; items of lists included.
    pub fn children(&self) -> impl Iterator<Item = &Node> {
        self.parts.iter().flat_map(|part| match part {
            Part::Text(_) | Part::Order(_) => [].iter(),
            Part::One(node) | Part::Optional(node) => std::slice::from_ref(node).iter(),
            Part::List { items, .. } | Part::Columns(items) => items.iter(),
        })
    }

    /// All nodes below, near ones first, that could stand in this one's place.
    pub fn substitutes(&self) -> Vec<&Node> {
        let mut found = Vec::new();
        let mut layer: Vec<&Node> = self.children().collect();
        while !layer.is_empty() {
            found.extend(layer.iter().copied().filter(|node| node.sort == self.sort && self.sort != Sort::Other));
            layer = layer.iter().flat_map(|node| node.children()).collect();
        }
        found
    }
}

impl fmt::Display for Node {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for part in &self.parts {
            match part {
                Part::Text(text) => f.write_str(text)?,
                Part::One(node) | Part::Optional(node) => node.fmt(f)?,
                Part::List { separator, items, .. } => put_list(f, separator, items)?,
                Part::Columns(items) => put_list(f, ", ", items)?,
                Part::Order(ordinals) => {
                    let shown: Vec<String> =
                        ordinals.iter().map(|(ordinal, direction)| format!("{ordinal}{direction}")).collect();
                    f.write_str(&shown.join(", "))?;
                }
            }
        }
        Ok(())
    }
}

fn put_list(f: &mut fmt::Formatter<'_>, separator: &str, items: &[Node]) -> fmt::Result {
    for (at, item) in items.iter().enumerate() {
        if at > 0 {
            f.write_str(separator)?;
        }
        write!(f, "{item}")?;
    }
    Ok(())
}
