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
        |(key, value)| Datum::Record(Record::with_shape(vec![Datum::text(String::from(key)), value], shape.clone()));
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
