//! `to_char` and its inverses (manual, section 9.8). A template is cut into nodes; numbers and dates have their own keys.
mod clock;
mod number;
mod read;

pub use clock::*;
pub use number::*;
pub use read::*;

use super::*;

/// A piece of a template.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Node<K> {
    Key(K),
    /// A character to be copied.
    Literal(char),
}

/// Cut a template at quotes and backslashes; `key` finds a keyword at the beginning of a text and says how long it is.
fn nodes<K>(template: &str, key: impl Fn(&str) -> Option<(K, usize)>) -> Vec<Node<K>> {
    let mut nodes = Vec::new();
    let mut rest = template;
    while let Some(ch) = rest.chars().next() {
        if let Some((found, length)) = key(rest) {
            nodes.push(Node::Key(found));
            rest = &rest[length..];
            continue;
        }
        rest = &rest[ch.len_utf8()..];
        match ch {
            '"' => {
                let mut chars = rest.chars();
                while let Some(quoted) = chars.next().filter(|quoted| *quoted != '"') {
                    let literal = if quoted == '\\' { chars.next().unwrap_or('\\') } else { quoted };
                    nodes.push(Node::Literal(literal));
                }
                rest = chars.as_str();
            }
            '\\' if rest.starts_with('"') => {
                nodes.push(Node::Literal('"'));
                rest = &rest[1..];
            }
            other => nodes.push(Node::Literal(other)),
        }
    }
    nodes
}

/// `st`, `nd`, `rd`, `th` of a number's digits.
fn ordinal(digits: &str) -> &'static str {
    let mut last = digits.bytes().rev().filter(u8::is_ascii_digit);
    match (last.next(), last.next()) {
        (_, Some(b'1')) => "th",
        (Some(b'1'), _) => "st",
        (Some(b'2'), _) => "nd",
        (Some(b'3'), _) => "rd",
        _ => "th",
    }
}
