//! JSON as rows: elements, pairs, keys, records with a column list.
use super::*;
use crate::Oid;
use crate::datum::{Record, RecordShape};
use crate::json::{Kind, Node, parse};
use std::sync::Arc;

fn rows(values: Vec<Datum>) -> PgResult<Rows> {
    Ok(Box::new(values.into_iter().map(Ok)))
}

fn node_text(node: &Node<'_>) -> Datum {
    match &node.kind {
        Kind::Null => Datum::Null,
        Kind::String(text) => Datum::text(text.as_str()),
        _ => Datum::text(node.raw),
    }
}

fn json_items(a: &[Datum], function: &str, show: fn(&Node<'_>) -> Datum) -> PgResult<Rows> {
    match parse(text(a, 0)?, true)?.kind {
        Kind::Array(items) => rows(items.iter().map(show).collect()),
        Kind::Object(_) => Err(invalid(format!("cannot call {function} on a non-array"))),
        _ => Err(invalid(format!("cannot call {function} on a scalar"))),
    }
}
pub fn json_elements(_: &dyn Environment, a: &[Datum]) -> PgResult<Rows> {
    json_items(a, "json_array_elements", |node| Datum::text(node.raw))
}
pub fn json_elements_text(_: &dyn Environment, a: &[Datum]) -> PgResult<Rows> {
    json_items(a, "json_array_elements_text", node_text)
}

fn jsonb_items(a: &[Datum], show: fn(&Json) -> Datum) -> PgResult<Rows> {
    match jsonb(a, 0)? {
        Json::Array(items) => rows(items.iter().map(show).collect()),
        Json::Object(_) => Err(invalid("cannot extract elements from an object")),
        _ => Err(invalid("cannot extract elements from a scalar")),
    }
}
pub fn jsonb_elements(_: &dyn Environment, a: &[Datum]) -> PgResult<Rows> {
    jsonb_items(a, shown)
}
pub fn jsonb_elements_text(_: &dyn Environment, a: &[Datum]) -> PgResult<Rows> {
    jsonb_items(a, |json| json.to_plain_text().into())
}

/// Rows of (key, value).
fn pair_rows(pairs: Vec<(String, Datum)>, value_type: Oid) -> PgResult<Rows> {
    let names = vec!["key".to_string(), "value".to_string()];
    let shape = Arc::new(RecordShape { names, types: vec![oid::TEXT, value_type] });
    let record =
        |(key, value): (String, Datum)| Datum::Record(Record::with_shape(vec![Datum::text(key), value], shape.clone()));
    rows(pairs.into_iter().map(record).collect())
}

fn json_pairs(a: &[Datum], value_type: Oid, show: fn(&Node<'_>) -> Datum) -> PgResult<Rows> {
    match parse(text(a, 0)?, true)?.kind {
        Kind::Object(pairs) => pair_rows(pairs.into_iter().map(|(key, node)| (key, show(&node))).collect(), value_type),
        Kind::Array(_) => Err(invalid("cannot deconstruct an array as an object")),
        _ => Err(invalid("cannot deconstruct a scalar")),
    }
}
pub fn json_each(_: &dyn Environment, a: &[Datum]) -> PgResult<Rows> {
    json_pairs(a, oid::JSON, |node| Datum::text(node.raw))
}
pub fn json_each_text(_: &dyn Environment, a: &[Datum]) -> PgResult<Rows> {
    json_pairs(a, oid::TEXT, node_text)
}

fn jsonb_pairs(a: &[Datum], function: &str, value_type: Oid, show: fn(&Json) -> Datum) -> PgResult<Rows> {
    match jsonb(a, 0)? {
        Json::Object(pairs) => pair_rows(pairs.into_iter().map(|(key, json)| (key, show(&json))).collect(), value_type),
        _ => Err(invalid(format!("cannot call {function} on a non-object"))),
    }
}
pub fn jsonb_each(_: &dyn Environment, a: &[Datum]) -> PgResult<Rows> {
    jsonb_pairs(a, "jsonb_each", oid::JSONB, shown)
}
pub fn jsonb_each_text(_: &dyn Environment, a: &[Datum]) -> PgResult<Rows> {
    jsonb_pairs(a, "jsonb_each_text", oid::TEXT, |json| json.to_plain_text().into())
}

fn no_keys(function: &str, is_array: bool) -> Box<PgError> {
    invalid(format!("cannot call {function} on {}", if is_array { "an array" } else { "a scalar" }))
}
pub fn json_keys(_: &dyn Environment, a: &[Datum]) -> PgResult<Rows> {
    match parse(text(a, 0)?, true)?.kind {
        Kind::Object(pairs) => rows(pairs.into_iter().map(|(key, _)| Datum::text(key)).collect()),
        kind => Err(no_keys("json_object_keys", matches!(kind, Kind::Array(_)))),
    }
}
pub fn jsonb_keys(_: &dyn Environment, a: &[Datum]) -> PgResult<Rows> {
    match jsonb(a, 0)? {
        Json::Object(pairs) => rows(pairs.into_iter().map(|(key, _)| Datum::text(key)).collect()),
        json => Err(no_keys("jsonb_object_keys", matches!(json, Json::Array(_)))),
    }
}

/// Rows that JSON objects are read as.
struct Populated {
    shape: Arc<RecordShape>,
    modifiers: Vec<i32>,
    /// What a field is that an object says nothing of.
    base: Option<Record>,
}

impl Populated {
    /// From arrays of names, types and modifiers, and an array with the row to begin with.
    fn of(a: &[Datum], base: Option<&Datum>) -> PgResult<Populated> {
        let names = texts(a, 1)?.into_iter().flatten().map(str::to_string).collect();
        let types = array_at(a, 2)?.values.iter().map(|value| Oid(value.as_i64().unwrap_or(0) as u32)).collect();
        let modifiers = array_at(a, 3)?.values.iter().map(|value| value.as_i64().unwrap_or(-1) as i32).collect();
        let base = match base {
            Some(Datum::Array(base)) => match base.values.first() {
                Some(Datum::Record(base)) => Some(base.clone()),
                _ => None,
            },
            _ => None,
        };
        Ok(Populated { shape: Arc::new(RecordShape { names, types }), modifiers, base })
    }

    fn row(&self, node: &Node<'_>, environment: &dyn Environment) -> PgResult<Datum> {
        let Kind::Object(pairs) = &node.kind else {
            return Err(match node.kind {
                Kind::Array(_) => invalid("cannot call populate_composite on an array"),
                _ => invalid("cannot call populate_composite on a scalar"),
            });
        };
        let fields = self.shape.names.iter().enumerate().map(|(at, name)| {
            let found = pairs.iter().rev().find(|(key, _)| key == name).map(|(_, value)| value);
            let given = |base: &Record| base.get(at).cloned().unwrap_or_default();
            match found {
                Some(value) => field_value(value, self.shape.types[at], self.modifiers[at], environment),
                None => Ok(self.base.as_ref().map(given).unwrap_or_default()),
            }
        });
        Ok(Datum::Record(Record::with_shape(fields.collect::<PgResult<_>>()?, self.shape.clone())))
    }
}

/// `trivet_json_populate(json, names, types, modifiers, array of the base)`: not PostgreSQL's; what `json_populate_record` becomes.
pub fn json_populated(environment: &dyn Environment, a: &[Datum]) -> PgResult<Datum> {
    Populated::of(a, a.get(4))?.row(&parse(text(a, 0)?, true)?, environment)
}

/// `trivet_json_record(json, names, types, modifiers, many[, array of the base])`: not PostgreSQL's; what `json_to_record` and its
/// kin with a column list become.
pub fn json_records(environment: &dyn Environment, a: &[Datum]) -> PgResult<Rows> {
    let populated = Populated::of(a, a.get(5))?;
    let record = |node: &Node<'_>| populated.row(node, environment);
    let root = parse(text(a, 0)?, true)?;
    if !boolean(a, 4)? {
        return rows(vec![record(&root)?]);
    }
    match &root.kind {
        Kind::Array(items) => rows(items.iter().map(record).collect::<PgResult<_>>()?),
        Kind::Object(_) => Err(invalid("cannot call json_to_recordset on an object")),
        _ => Err(invalid("cannot call json_to_recordset on a scalar")),
    }
}

/// A JSON value as one of an SQL type: JSON types take it as it is, arrays element by element, others its text.
fn field_value(node: &Node<'_>, type_oid: Oid, modifier: i32, environment: &dyn Environment) -> PgResult<Datum> {
    match (&node.kind, type_oid) {
        (Kind::Null, _) => Ok(Datum::Null),
        (_, oid::JSON) => Ok(Datum::text(node.raw)),
        (_, oid::JSONB) => Ok(shown(&Json::parse(node.raw)?)),
        (Kind::Array(_), _) if crate::is_array(type_oid) => {
            let element = crate::element_of(type_oid).unwrap_or(oid::TEXT);
            let mut dimensions = Vec::new();
            let mut values = Vec::new();
            array_items(node, 0, element, modifier, environment, &mut dimensions, &mut values)?;
            if values.is_empty() {
                dimensions.clear();
            }
            Ok(Datum::array(Array { element, dimensions, values }))
        }
        (Kind::String(text), _) => crate::text::input(type_oid, modifier, text, environment),
        _ => crate::text::input(type_oid, modifier, node.raw, environment),
    }
}

fn array_items(
    node: &Node<'_>,
    depth: usize,
    element: Oid,
    modifier: i32,
    environment: &dyn Environment,
    dimensions: &mut Vec<crate::Dimension>,
    values: &mut Vec<Datum>,
) -> PgResult<()> {
    let malformed = || {
        PgError::new(sqlstate::INVALID_TEXT_REPRESENTATION, "malformed JSON array")
            .detail("Multidimensional arrays must have sub-arrays with matching dimensions.")
    };
    let Kind::Array(items) = &node.kind else { return Err(malformed()) };
    match dimensions.get(depth) {
        None => dimensions.push(crate::Dimension { length: items.len(), lower: 1 }),
        Some(dimension) if dimension.length == items.len() => {}
        Some(_) => return Err(malformed()),
    }
    for item in items {
        match item.kind {
            Kind::Array(_) if !matches!(element, oid::JSON | oid::JSONB) => {
                array_items(item, depth + 1, element, modifier, environment, dimensions, values)?;
            }
            _ if dimensions.len() > depth + 1 => return Err(malformed()),
            _ => values.push(field_value(item, element, modifier, environment)?),
        }
    }
    Ok(())
}

/// `json_to_record` outside of FROM, where nothing says what the columns are.
pub fn needs_columns(_: &dyn Environment, _: &[Datum]) -> PgResult<Rows> {
    Err(PgError::new(
        sqlstate::FEATURE_NOT_SUPPORTED,
        "function returning record called in context that cannot accept type record",
    ))
}
