//! Making JSON of SQL values.
use super::*;
use crate::Oid;
use crate::json::{Kind, parse, write_string, write_value};

/// `json_of(value, type)`: not PostgreSQL's; the analyzer calls it for arguments of any type.
pub fn json_of(environment: &dyn Environment, a: &[Datum]) -> PgResult<Datum> {
    let mut out = String::new();
    write_value(Oid(int(a, 1)? as u32), &a[0], false, environment, &mut out);
    Ok(Datum::text(out))
}
/// `to_json`: the argument is JSON text already.
pub fn to_json(_: &dyn Environment, a: &[Datum]) -> PgResult<Datum> {
    Ok(a[0].clone())
}
pub fn to_jsonb(_: &dyn Environment, a: &[Datum]) -> PgResult<Datum> {
    Ok(shown(&Json::parse(text(a, 0)?)?))
}

fn pretty(a: &[Datum]) -> PgResult<bool> {
    if a.len() > 1 { boolean(a, 1) } else { Ok(false) }
}
pub fn row_to_json(environment: &dyn Environment, a: &[Datum]) -> PgResult<Datum> {
    let mut out = String::new();
    write_value(oid::RECORD, &a[0], pretty(a)?, environment, &mut out);
    Ok(Datum::text(out))
}
pub fn array_to_json(environment: &dyn Environment, a: &[Datum]) -> PgResult<Datum> {
    let type_oid = crate::array_of(array_at(a, 0)?.element).unwrap_or(oid::TEXT_ARRAY);
    let mut out = String::new();
    write_value(type_oid, &a[0], pretty(a)?, environment, &mut out);
    Ok(Datum::text(out))
}

/// The elements of a list that stands for many arguments are not JSON yet.
fn spread_json<'a>(environment: &dyn Environment, a: &'a [Datum]) -> std::borrow::Cow<'a, [Datum]> {
    spread(a, |oid, value| {
        let mut out = String::new();
        write_value(oid, value, false, environment, &mut out);
        Datum::text(out)
    })
}

fn or_null(value: &Datum) -> &str {
    value.as_str().unwrap_or("null")
}

pub fn json_build_array(environment: &dyn Environment, a: &[Datum]) -> PgResult<Datum> {
    let a = &*spread_json(environment, a);
    let parts: Vec<&str> = a.iter().map(or_null).collect();
    Ok(Datum::text(format!("[{}]", parts.join(", "))))
}
pub fn jsonb_build_array(environment: &dyn Environment, a: &[Datum]) -> PgResult<Datum> {
    let a = &*spread_json(environment, a);
    let items = a.iter().map(|value| Json::parse(or_null(value))).collect::<PgResult<_>>()?;
    Ok(shown(&Json::Array(items)))
}

/// The key that a JSON text names: a scalar's plain text.
pub(super) fn key_of(json: &str) -> PgResult<String> {
    let node = parse(json, true)?;
    match node.kind {
        Kind::String(text) => Ok(text),
        Kind::Array(_) | Kind::Object(_) => Err(invalid("key value must be scalar, not array, composite, or json")),
        _ => Ok(node.raw.to_string()),
    }
}

fn alternating(a: &[Datum], function: &str, null_key: impl Fn(usize) -> Box<PgError>) -> PgResult<Vec<String>> {
    if !a.len().is_multiple_of(2) {
        return Err(invalid("argument list must have even number of elements")
            .hint(format!("The arguments of {function}() must consist of alternating keys and values.")));
    }
    let keys = a.iter().step_by(2).enumerate().map(|(at, key)| match key.as_str() {
        Some(key) => key_of(key),
        None => Err(null_key(2 * at + 1)),
    });
    keys.collect()
}

pub fn json_build_object(environment: &dyn Environment, a: &[Datum]) -> PgResult<Datum> {
    let a = &*spread_json(environment, a);
    let null_key = |at| invalid(format!("argument {at} cannot be null")).hint("Object keys should be text.");
    let keys = alternating(a, "json_build_object", null_key)?;
    let mut out = String::from("{");
    for (at, (key, value)) in keys.iter().zip(a.iter().skip(1).step_by(2)).enumerate() {
        if at > 0 {
            out.push_str(", ");
        }
        write_string(key, &mut out);
        out.push_str(" : ");
        out.push_str(or_null(value));
    }
    out.push('}');
    Ok(Datum::text(out))
}
pub fn jsonb_build_object(environment: &dyn Environment, a: &[Datum]) -> PgResult<Datum> {
    let a = &*spread_json(environment, a);
    let null_key = |at| invalid(format!("argument {at}: key must not be null"));
    let keys = alternating(a, "jsonb_build_object", null_key)?;
    let values = a.iter().skip(1).step_by(2).map(|value| Json::parse(or_null(value)));
    let pairs = keys.into_iter().zip(values).map(|(key, value)| Ok((key, value?))).collect::<PgResult<_>>()?;
    Ok(shown(&Json::object(pairs)))
}

/// The pairs of `json_object(text[])`, `json_object(keys, values)`.
fn text_pairs(a: &[Datum]) -> PgResult<Vec<(String, Option<String>)>> {
    let subscript = |message: &str| PgError::new(crate::error::SqlState(*b"2202E"), message);
    let owned = |value: &Datum| value.as_str().map(str::to_string);
    let key = |value: &Datum| {
        owned(value)
            .ok_or_else(|| PgError::new(crate::error::SqlState(*b"22004"), "null value not allowed for object key"))
    };
    let first = array_at(a, 0)?;
    if a.len() > 1 {
        let second = array_at(a, 1)?;
        if first.dimensions.len() > 1 || second.dimensions.len() > 1 {
            return Err(subscript("wrong number of array subscripts"));
        }
        if first.values.len() != second.values.len() {
            return Err(subscript("mismatched array dimensions"));
        }
        return first.values.iter().zip(&second.values).map(|(name, value)| Ok((key(name)?, owned(value)))).collect();
    }
    match first.dimensions.as_slice() {
        [] => return Ok(Vec::new()),
        [only] if only.length % 2 != 0 => return Err(subscript("array must have even number of elements")),
        [_] => {}
        [_, pair] if pair.length != 2 => return Err(subscript("array must have two columns")),
        [_, _] => {}
        _ => return Err(subscript("wrong number of array subscripts")),
    }
    first.values.chunks(2).map(|pair| Ok((key(&pair[0])?, owned(&pair[1])))).collect()
}

pub fn json_object(_: &dyn Environment, a: &[Datum]) -> PgResult<Datum> {
    let mut out = String::from("{");
    for (at, (key, value)) in text_pairs(a)?.iter().enumerate() {
        if at > 0 {
            out.push_str(", ");
        }
        write_string(key, &mut out);
        out.push_str(" : ");
        match value {
            Some(value) => write_string(value, &mut out),
            None => out.push_str("null"),
        }
    }
    out.push('}');
    Ok(Datum::text(out))
}
pub fn jsonb_object(_: &dyn Environment, a: &[Datum]) -> PgResult<Datum> {
    let pairs = text_pairs(a)?.into_iter().map(|(key, value)| (key, value.map_or(Json::Null, Json::String)));
    Ok(shown(&Json::object(pairs.collect())))
}
