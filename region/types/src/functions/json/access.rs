//! Looking inside: `-> ->> #> #>> @> <@ ? ?| ?&`, types, lengths, casts to SQL's scalars.
use super::*;
use crate::functions::integer::{int2, int4, int8};
use crate::json::{Kind, Node, array_position, parse};

/// What a step into a `json` text finds: its raw text, or its plain text.
fn node_result(node: Option<&Node<'_>>, plain: bool) -> Datum {
    let Some(node) = node else { return Datum::Null };
    match &node.kind {
        Kind::Null if plain => Datum::Null,
        Kind::String(value) if plain => Datum::text(value.as_str()),
        _ => Datum::text(node.raw),
    }
}

fn json_result(json: Option<&Json>, plain: bool) -> Datum {
    match json {
        None => Datum::Null,
        Some(json) if plain => json.to_plain_text().into(),
        Some(json) => shown(json),
    }
}

/// Of equal keys the last one counts.
fn node_field<'n, 'a>(node: &'n Node<'a>, name: &str) -> Option<&'n Node<'a>> {
    match &node.kind {
        Kind::Object(pairs) => pairs.iter().rev().find(|(key, _)| key == name).map(|(_, value)| value),
        _ => None,
    }
}

fn node_element<'n, 'a>(node: &'n Node<'a>, index: i64) -> Option<&'n Node<'a>> {
    match &node.kind {
        Kind::Array(items) => items.get(array_position(items.len(), index)?),
        _ => None,
    }
}

/// A scalar on top is the one element of an array: PostgreSQL's storage shows through.
fn element_or_scalar(json: &Json, index: i64) -> Option<&Json> {
    if json.is_scalar() { Some(json).filter(|_| matches!(index, 0 | -1)) } else { json.element(index) }
}

macro_rules! steps {
    ($($name:ident = $binary:expr, $by_name:expr, $plain:expr;)*) => {
        $(pub fn $name(_: &dyn Environment, a: &[Datum]) -> PgResult<Datum> {
            if $binary {
                let json = jsonb(a, 0)?;
                let found = if $by_name { json.field(text(a, 1)?) } else { element_or_scalar(&json, int(a, 1)?) };
                return Ok(json_result(found, $plain));
            }
            let node = parse(text(a, 0)?, true)?;
            let found = if $by_name { node_field(&node, text(a, 1)?) } else { node_element(&node, int(a, 1)?) };
            Ok(node_result(found, $plain))
        })*
    };
}
steps! {
    json_field = false, true, false;
    json_field_text = false, true, true;
    json_element = false, false, false;
    json_element_text = false, false, true;
    jsonb_field = true, true, false;
    jsonb_field_text = true, true, true;
    jsonb_element = true, false, false;
    jsonb_element_text = true, false, true;
}

/// A path's step as an array index.
pub(super) fn index_of(step: &str) -> Option<i64> {
    let trimmed = step.trim_start();
    trimmed.parse::<i32>().ok().map(i64::from)
}

fn json_at_path(a: &[Datum], plain: bool) -> PgResult<Datum> {
    let root = parse(text(a, 0)?, true)?;
    let mut node = &root;
    for step in path(a, 1)? {
        let Some(step) = step else { return Ok(Datum::Null) };
        let next = match &node.kind {
            Kind::Array(_) => index_of(step).and_then(|index| node_element(node, index)),
            _ => node_field(node, step),
        };
        match next {
            Some(next) => node = next,
            None => return Ok(Datum::Null),
        }
    }
    Ok(node_result(Some(node), plain))
}

fn jsonb_at_path(a: &[Datum], plain: bool) -> PgResult<Datum> {
    let root = jsonb(a, 0)?;
    let mut json = &root;
    for step in path(a, 1)? {
        let Some(step) = step else { return Ok(Datum::Null) };
        let next = match json {
            Json::Array(_) => index_of(step).and_then(|index| json.element(index)),
            _ => json.field(step),
        };
        match next {
            Some(next) => json = next,
            None => return Ok(Datum::Null),
        }
    }
    Ok(json_result(Some(json), plain))
}

pub fn json_path(_: &dyn Environment, a: &[Datum]) -> PgResult<Datum> {
    json_at_path(a, false)
}
pub fn json_path_text(_: &dyn Environment, a: &[Datum]) -> PgResult<Datum> {
    json_at_path(a, true)
}
pub fn jsonb_path(_: &dyn Environment, a: &[Datum]) -> PgResult<Datum> {
    jsonb_at_path(a, false)
}
pub fn jsonb_path_text(_: &dyn Environment, a: &[Datum]) -> PgResult<Datum> {
    jsonb_at_path(a, true)
}

/// `jsonb[subscript]`: an index of an array, else a key.
pub fn jsonb_subscript(environment: &dyn Environment, a: &[Datum]) -> PgResult<Datum> {
    jsonb_path(environment, a)
}

fn deep_contains(whole: &Json, part: &Json) -> bool {
    match (whole, part) {
        (Json::Object(_), Json::Object(pairs)) => {
            pairs.iter().all(|(key, value)| whole.field(key).is_some_and(|found| deep_contains(found, value)))
        }
        (Json::Array(items), Json::Array(wanted)) => {
            wanted.iter().all(|value| items.iter().any(|item| deep_contains(item, value)))
        }
        (whole, part) => whole.is_scalar() && part.is_scalar() && whole == part,
    }
}

fn contains(whole: &Json, part: &Json) -> bool {
    match (whole, part) {
        // On top an array contains a scalar that is its element.
        (Json::Array(items), part) if part.is_scalar() => items.iter().any(|item| deep_contains(item, part)),
        _ => deep_contains(whole, part),
    }
}
/// `@>`
pub fn jsonb_contains(_: &dyn Environment, a: &[Datum]) -> PgResult<Datum> {
    Ok(Datum::Bool(contains(&jsonb(a, 0)?, &jsonb(a, 1)?)))
}
/// `<@`
pub fn jsonb_contained(_: &dyn Environment, a: &[Datum]) -> PgResult<Datum> {
    Ok(Datum::Bool(contains(&jsonb(a, 1)?, &jsonb(a, 0)?)))
}

fn has_key(json: &Json, key: &str) -> bool {
    match json {
        Json::Object(_) => json.field(key).is_some(),
        Json::Array(items) => items.iter().any(|item| matches!(item, Json::String(text) if text == key)),
        Json::String(text) => text == key,
        _ => false,
    }
}
/// `?`
pub fn jsonb_exists(_: &dyn Environment, a: &[Datum]) -> PgResult<Datum> {
    Ok(Datum::Bool(has_key(&jsonb(a, 0)?, text(a, 1)?)))
}
/// `?|`
pub fn jsonb_exists_any(_: &dyn Environment, a: &[Datum]) -> PgResult<Datum> {
    let json = jsonb(a, 0)?;
    Ok(Datum::Bool(texts(a, 1)?.into_iter().flatten().any(|key| has_key(&json, key))))
}
/// `?&`
pub fn jsonb_exists_all(_: &dyn Environment, a: &[Datum]) -> PgResult<Datum> {
    let json = jsonb(a, 0)?;
    Ok(Datum::Bool(texts(a, 1)?.into_iter().flatten().all(|key| has_key(&json, key))))
}

pub fn jsonb_type(_: &dyn Environment, a: &[Datum]) -> PgResult<Datum> {
    Ok(Datum::text(jsonb(a, 0)?.type_name()))
}
pub fn json_type(_: &dyn Environment, a: &[Datum]) -> PgResult<Datum> {
    Ok(Datum::text(match parse(text(a, 0)?, false)?.kind {
        Kind::Null => "null",
        Kind::Bool(_) => "boolean",
        Kind::Number => "number",
        Kind::String(_) => "string",
        Kind::Array(_) => "array",
        Kind::Object(_) => "object",
    }))
}

fn length_error(is_object: bool) -> Box<PgError> {
    invalid(if is_object { "cannot get array length of a non-array" } else { "cannot get array length of a scalar" })
}
pub fn jsonb_array_length(_: &dyn Environment, a: &[Datum]) -> PgResult<Datum> {
    match jsonb(a, 0)? {
        Json::Array(items) => Ok(Datum::Int4(items.len() as i32)),
        other => Err(length_error(!other.is_scalar())),
    }
}
pub fn json_array_length(_: &dyn Environment, a: &[Datum]) -> PgResult<Datum> {
    match parse(text(a, 0)?, false)?.kind {
        Kind::Array(items) => Ok(Datum::Int4(items.len() as i32)),
        kind => Err(length_error(matches!(kind, Kind::Object(_)))),
    }
}

pub fn jsonb_pretty(_: &dyn Environment, a: &[Datum]) -> PgResult<Datum> {
    Ok(Datum::text(jsonb(a, 0)?.pretty()))
}

macro_rules! comparisons {
    ($($name:ident = $test:ident;)*) => {
        $(pub fn $name(_: &dyn Environment, a: &[Datum]) -> PgResult<Datum> {
            Ok(Datum::Bool(crate::compare(oid::JSONB, &a[0], &a[1]).$test()))
        })*
    };
}
comparisons! {
    jsonb_eq = is_eq;
    jsonb_ne = is_ne;
    jsonb_lt = is_lt;
    jsonb_le = is_le;
    jsonb_gt = is_gt;
    jsonb_ge = is_ge;
}

fn cannot_cast(json: &Json, target: &str) -> Box<PgError> {
    let what = match json {
        Json::Number(_) => "numeric",
        other => other.type_name(),
    };
    invalid(format!("cannot cast jsonb {what} to type {target}"))
}
fn number_of(a: &[Datum], target: &str) -> PgResult<Datum> {
    match jsonb(a, 0)? {
        Json::Number(value) => Ok(Datum::numeric(value)),
        other => Err(cannot_cast(&other, target)),
    }
}
pub fn jsonb_to_bool(_: &dyn Environment, a: &[Datum]) -> PgResult<Datum> {
    match jsonb(a, 0)? {
        Json::Bool(value) => Ok(Datum::Bool(value)),
        other => Err(cannot_cast(&other, "boolean")),
    }
}
pub fn jsonb_to_numeric(_: &dyn Environment, a: &[Datum]) -> PgResult<Datum> {
    number_of(a, "numeric")
}
fn jsonb_to_whole(a: &[Datum], target: &str) -> PgResult<Option<i64>> {
    match number_of(a, target)? {
        Datum::Numeric(value) => Ok(value.to_i64()),
        other => Err(wrong(Some(&other))),
    }
}
pub fn jsonb_to_int2(_: &dyn Environment, a: &[Datum]) -> PgResult<Datum> {
    int2(jsonb_to_whole(a, "smallint")?)
}
pub fn jsonb_to_int4(_: &dyn Environment, a: &[Datum]) -> PgResult<Datum> {
    int4(jsonb_to_whole(a, "integer")?)
}
pub fn jsonb_to_int8(_: &dyn Environment, a: &[Datum]) -> PgResult<Datum> {
    int8(jsonb_to_whole(a, "bigint")?)
}
pub fn jsonb_to_float4(environment: &dyn Environment, a: &[Datum]) -> PgResult<Datum> {
    crate::functions::cast::to_float4(environment, &[number_of(a, "real")?])
}
pub fn jsonb_to_float8(environment: &dyn Environment, a: &[Datum]) -> PgResult<Datum> {
    crate::functions::cast::to_float8(environment, &[number_of(a, "double precision")?])
}
