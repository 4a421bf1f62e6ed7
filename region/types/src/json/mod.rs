//! JSON values: `jsonb` as a normal form, `json` as text that was checked.
//!
//! Both are `Datum::Text`. A `json` is the text as it was given; a `jsonb` is the normal form's text: one blank after
//! `:` and `,`, keys ordered by length and then bytes, the last of equal keys kept, numbers as `numeric` shows them.
//! So output and storage cost nothing, and a function that looks inside parses first (`parse`). `write` turns any
//! other value into JSON.
//!
//! **Two `jsonb` texts may differ and yet be equal** (`1.0`, `1.00`): compare and hash through `Json`.
mod parse;
pub mod path;
mod write;

pub use parse::{Kind, Node, parse};
pub use write::{write_string, write_value};

use crate::error::{PgError, PgResult, sqlstate};
use crate::numeric::Numeric;
use std::cmp::Ordering;
use std::hash::{Hash, Hasher};

/// A `jsonb` value.
#[derive(Clone, Debug)]
pub enum Json {
    Null,
    Bool(bool),
    Number(Numeric),
    String(String),
    Array(Vec<Json>),
    /// Keys ordered by length, then bytes; each once.
    Object(Vec<(String, Json)>),
}

/// The order of keys in an object.
fn key_order(left: &str, right: &str) -> Ordering {
    left.len().cmp(&right.len()).then_with(|| left.as_bytes().cmp(right.as_bytes()))
}

impl Json {
    /// Text as a client writes it, with PostgreSQL's errors.
    pub fn parse(text: &str) -> PgResult<Json> {
        Json::from_node(parse(text, true)?)
    }

    /// The text of a stored value, which was checked when it was made.
    pub fn of_stored(text: &str) -> PgResult<Json> {
        Json::parse(text).map_err(|error| match error.code {
            // Functions can nest deeper than a text may.
            sqlstate::STATEMENT_TOO_COMPLEX => error,
            _ => PgError::new(sqlstate::DATA_CORRUPTED, "a stored jsonb value is damaged"),
        })
    }

    fn from_node(node: Node<'_>) -> PgResult<Json> {
        Ok(match node.kind {
            Kind::Null => Json::Null,
            Kind::Bool(value) => Json::Bool(value),
            Kind::Number => {
                let number = Numeric::parse(node.raw).ok_or_else(|| PgError::internal("a JSON number is a numeric"))?;
                Json::Number(number?)
            }
            Kind::String(text) => Json::String(text),
            Kind::Array(items) => Json::Array(items.into_iter().map(Json::from_node).collect::<PgResult<_>>()?),
            Kind::Object(pairs) => {
                let pairs = pairs.into_iter().map(|(key, value)| Ok((key, Json::from_node(value)?)));
                Json::object(pairs.collect::<PgResult<_>>()?)
            }
        })
    }

    /// An object of these pairs; of equal keys the last one counts.
    pub fn object(mut pairs: Vec<(String, Json)>) -> Json {
        // Stable, so that the later of two equal keys stays the later one.
        pairs.sort_by(|left, right| key_order(&left.0, &right.0));
        let mut kept: Vec<(String, Json)> = Vec::with_capacity(pairs.len());
        for pair in pairs {
            match kept.last_mut() {
                Some(last) if last.0 == pair.0 => *last = pair,
                _ => kept.push(pair),
            }
        }
        Json::Object(kept)
    }

    pub fn type_name(&self) -> &'static str {
        match self {
            Json::Null => "null",
            Json::Bool(_) => "boolean",
            Json::Number(_) => "number",
            Json::String(_) => "string",
            Json::Array(_) => "array",
            Json::Object(_) => "object",
        }
    }

    pub fn is_scalar(&self) -> bool {
        !matches!(self, Json::Array(_) | Json::Object(_))
    }

    pub fn field(&self, name: &str) -> Option<&Json> {
        match self {
            Json::Object(pairs) => pairs.binary_search_by(|(key, _)| key_order(key, name)).ok().map(|at| &pairs[at].1),
            _ => None,
        }
    }

    /// The n-th element; a negative number counts from the end.
    pub fn element(&self, index: i64) -> Option<&Json> {
        match self {
            Json::Array(items) => items.get(array_position(items.len(), index)?),
            _ => None,
        }
    }

    /// As `->>` shows it: a string without quotes, null as SQL's NULL.
    pub fn to_plain_text(&self) -> Option<String> {
        match self {
            Json::Null => None,
            Json::String(text) => Some(text.clone()),
            other => Some(other.to_string()),
        }
    }

    /// `jsonb_pretty`
    pub fn pretty(&self) -> String {
        let mut out = String::new();
        self.write_pretty(0, &mut out);
        out
    }

    fn write_pretty(&self, depth: usize, out: &mut String) {
        let indent = |depth: usize, out: &mut String| {
            out.push('\n');
            out.extend(std::iter::repeat_n("    ", depth));
        };
        match self {
            Json::Array(items) => {
                out.push('[');
                for (at, item) in items.iter().enumerate() {
                    if at > 0 {
                        out.push(',');
                    }
                    indent(depth + 1, out);
                    item.write_pretty(depth + 1, out);
                }
                indent(depth, out);
                out.push(']');
            }
            Json::Object(pairs) => {
                out.push('{');
                for (at, (key, value)) in pairs.iter().enumerate() {
                    if at > 0 {
                        out.push(',');
                    }
                    indent(depth + 1, out);
                    write_string(key, out);
                    out.push_str(": ");
                    value.write_pretty(depth + 1, out);
                }
                indent(depth, out);
                out.push('}');
            }
            scalar => scalar.write(out),
        }
    }

    fn write(&self, out: &mut String) {
        match self {
            Json::Null => out.push_str("null"),
            Json::Bool(value) => out.push_str(if *value { "true" } else { "false" }),
            Json::Number(value) => out.push_str(&value.to_string()),
            Json::String(text) => write_string(text, out),
            Json::Array(items) => {
                out.push('[');
                for (at, item) in items.iter().enumerate() {
                    if at > 0 {
                        out.push_str(", ");
                    }
                    item.write(out);
                }
                out.push(']');
            }
            Json::Object(pairs) => {
                out.push('{');
                for (at, (key, value)) in pairs.iter().enumerate() {
                    if at > 0 {
                        out.push_str(", ");
                    }
                    write_string(key, out);
                    out.push_str(": ");
                    value.write(out);
                }
                out.push('}');
            }
        }
    }

    fn rank(&self) -> u8 {
        match self {
            Json::Null => 0,
            Json::String(_) => 1,
            Json::Number(_) => 2,
            Json::Bool(_) => 3,
            Json::Array(_) => 4,
            Json::Object(_) => 5,
        }
    }

    /// Inside a container: by type, then by size, then part by part.
    fn compare_nested(&self, other: &Json) -> Ordering {
        match (self, other) {
            (Json::Bool(left), Json::Bool(right)) => left.cmp(right),
            (Json::Number(left), Json::Number(right)) => left.cmp(right),
            (Json::String(left), Json::String(right)) => left.as_bytes().cmp(right.as_bytes()),
            (Json::Array(left), Json::Array(right)) => left.len().cmp(&right.len()).then_with(|| {
                let orders = left.iter().zip(right).map(|(left, right)| left.compare_nested(right));
                orders.into_iter().find(|order| order.is_ne()).unwrap_or(Ordering::Equal)
            }),
            (Json::Object(left), Json::Object(right)) => left.len().cmp(&right.len()).then_with(|| {
                let orders = left.iter().zip(right).map(|(left, right)| {
                    left.0.as_bytes().cmp(right.0.as_bytes()).then_with(|| left.1.compare_nested(&right.1))
                });
                orders.into_iter().find(|order| order.is_ne()).unwrap_or(Ordering::Equal)
            }),
            _ => self.rank().cmp(&other.rank()),
        }
    }
}

/// Where an index leads in an array of this length.
pub fn array_position(length: usize, index: i64) -> Option<usize> {
    let at = if index < 0 { length as i64 + index } else { index };
    usize::try_from(at).ok().filter(|at| *at < length)
}

impl std::fmt::Display for Json {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let mut out = String::new();
        self.write(&mut out);
        f.write_str(&out)
    }
}

impl Ord for Json {
    /// btree's order of `jsonb`. An empty array on top is below everything: PostgreSQL's historical accident.
    fn cmp(&self, other: &Json) -> Ordering {
        match (self, other) {
            (Json::Array(items), scalar) if scalar.is_scalar() => {
                if items.is_empty() {
                    Ordering::Less
                } else {
                    Ordering::Greater
                }
            }
            (scalar, Json::Array(items)) if scalar.is_scalar() => {
                if items.is_empty() {
                    Ordering::Greater
                } else {
                    Ordering::Less
                }
            }
            _ => self.compare_nested(other),
        }
    }
}
impl PartialOrd for Json {
    fn partial_cmp(&self, other: &Json) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}
impl PartialEq for Json {
    fn eq(&self, other: &Json) -> bool {
        self.cmp(other).is_eq()
    }
}
impl Eq for Json {}
impl Hash for Json {
    fn hash<H: Hasher>(&self, state: &mut H) {
        state.write_u8(self.rank());
        match self {
            Json::Null => {}
            Json::Bool(value) => value.hash(state),
            Json::Number(value) => value.hash(state),
            Json::String(text) => text.hash(state),
            Json::Array(items) => items.iter().for_each(|item| item.hash(state)),
            Json::Object(pairs) => pairs.iter().for_each(|(key, value)| {
                key.hash(state);
                value.hash(state);
            }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn j(text: &str) -> Json {
        Json::parse(text).unwrap_or_else(|error| panic!("{text}: {error}"))
    }

    #[test]
    fn the_normal_form() {
        let cases = [
            ("{\"bb\":1,\"a\":2,\"a\" : 3}", "{\"a\": 3, \"bb\": 1}"),
            (" [1,2.50, 1e2 ,-0]", "[1, 2.50, 100, 0]"),
            ("\"a\\u00e9\\n\\/\"", "\"aé\\n/\""),
            ("{}", "{}"),
            ("[[],null,true]", "[[], null, true]"),
        ];
        for (text, expected) in cases {
            assert_eq!(j(text).to_string(), expected);
            assert_eq!(j(expected).to_string(), expected, "the normal form is its own");
        }
    }

    #[test]
    fn the_order_is_btrees() {
        let ordered = ["[]", "null", "\"a\"", "\"b\"", "1", "2", "false", "true", "[1]", "[1, 2]", "{}", "{\"a\": 1}"];
        for pair in ordered.windows(2) {
            assert!(j(pair[0]) < j(pair[1]), "{} < {}", pair[0], pair[1]);
        }
        assert_eq!(j("{\"a\": 1.0, \"b\": []}"), j("{\"b\": [], \"a\": 1}"));
    }
}
