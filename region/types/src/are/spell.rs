//! A tree in the syntax of the `regex` crates, for the automata.
use super::parse::{Assertion, Node};
use super::set::CharSet;
use std::fmt::Write;

/// Nothing if there is something in it that no automaton can do.
pub fn spelled(node: &Node) -> Option<String> {
    let mut out = String::new();
    spell(node, &mut out).then_some(out)
}

fn spell(node: &Node, out: &mut String) -> bool {
    match node {
        Node::Set(set) => {
            spell_set(set, out);
            true
        }
        Node::Assert(Assertion::NoWordEdge) | Node::Look { .. } | Node::Back { .. } => false,
        Node::Assert(assertion) => {
            out.push_str(match assertion {
                Assertion::TextStart => "\\A",
                Assertion::TextEnd => "\\z",
                Assertion::LineStart => "(?m:^)",
                Assertion::LineEnd => "(?m:$)",
                Assertion::WordStart => "(?-u:\\b{start})",
                Assertion::WordEnd => "(?-u:\\b{end})",
                Assertion::WordEdge | Assertion::NoWordEdge => "(?-u:\\b)",
            });
            true
        }
        Node::Group { inside, .. } => held(inside, out),
        Node::Sequence(items) => items.iter().all(|item| match item {
            Node::Choice(_) => held(item, out),
            item => spell(item, out),
        }),
        Node::Choice(branches) => branches.iter().enumerate().all(|(at, branch)| {
            if at > 0 {
                out.push('|');
            }
            spell(branch, out)
        }),
        Node::Repeat { inside, least, most, .. } => {
            let spelled = held(inside, out);
            let _ = match (least, most) {
                (0, None) => write!(out, "*"),
                (1, None) => write!(out, "+"),
                (least, None) => write!(out, "{{{least},}}"),
                (least, Some(most)) => write!(out, "{{{least},{most}}}"),
            };
            spelled
        }
    }
}

fn held(node: &Node, out: &mut String) -> bool {
    out.push_str("(?:");
    let spelled = spell(node, out);
    out.push(')');
    spelled
}

fn spell_set(set: &CharSet, out: &mut String) {
    if set.ranges().is_empty() {
        // No character at all.
        out.push_str("[a&&b]");
        return;
    }
    out.push('[');
    for (low, high) in set.ranges() {
        let _ = write!(out, "\\x{{{:x}}}-\\x{{{:x}}}", *low as u32, *high as u32);
    }
    out.push(']');
}
