//! Arrays.
use super::*;
use crate::error::sqlstate;
use crate::{oid, same, text as io};
use std::sync::Arc;

fn dimension(a: &[Datum]) -> PgResult<Option<crate::Dimension>> {
    let array = array_at(a, 0)?;
    let number = int(a, 1)?;
    Ok(usize::try_from(number - 1).ok().and_then(|at| array.dimensions.get(at)).copied())
}
pub fn length(_: &dyn Environment, a: &[Datum]) -> PgResult<Datum> {
    Ok(dimension(a)?.map(|dimension| dimension.length as i32).into())
}
pub fn lower_bound(_: &dyn Environment, a: &[Datum]) -> PgResult<Datum> {
    Ok(dimension(a)?.map(|dimension| dimension.lower).into())
}
pub fn upper_bound(_: &dyn Environment, a: &[Datum]) -> PgResult<Datum> {
    Ok(dimension(a)?.map(|dimension| dimension.lower + dimension.length as i32 - 1).into())
}
pub fn dimensions(_: &dyn Environment, a: &[Datum]) -> PgResult<Datum> {
    let count = array_at(a, 0)?.dimensions.len() as i32;
    Ok(if count == 0 { Datum::Null } else { Datum::Int4(count) })
}
pub fn cardinality(_: &dyn Environment, a: &[Datum]) -> PgResult<Datum> {
    Ok(Datum::Int4(array_at(a, 0)?.values.len() as i32))
}

/// Not strict: a NULL may be looked for.
pub fn position(_: &dyn Environment, a: &[Datum]) -> PgResult<Datum> {
    if matches!(a.first(), Some(Datum::Null) | None) {
        return Ok(Datum::Null);
    }
    let array = array_at(a, 0)?;
    let lower = array.dimensions.first().map_or(1, |dimension| dimension.lower);
    let start = if a.len() > 2 { (int(a, 2)? - i64::from(lower)).max(0) as usize } else { 0 };
    let wanted = &a[1];
    let found = array.values.iter().enumerate().skip(start).find(|(_, value)| match (wanted, value) {
        (Datum::Null, value) => value.is_null(),
        (_, Datum::Null) => false,
        (wanted, value) => same(array.element, wanted, value),
    });
    Ok(found.map(|(at, _)| at as i32 + lower).into())
}

fn one_dimension(array: &Array) -> PgResult<()> {
    if array.dimensions.len() > 1 {
        return Err(PgError::new(sqlstate::DATA_EXCEPTION, "argument must be empty or one-dimensional array"));
    }
    Ok(())
}

fn with_values(array: &Array, values: Vec<Datum>) -> Datum {
    let lower = array.dimensions.first().map_or(1, |dimension| dimension.lower);
    Datum::array(Array::with_lower(array.element, values, lower))
}

/// The element type of a NULL array is not known here: the other argument tells its representation, the result stays NULL.
pub fn append(_: &dyn Environment, a: &[Datum]) -> PgResult<Datum> {
    let Some(Datum::Array(array)) = a.first() else { return Ok(Datum::Null) };
    one_dimension(array)?;
    let mut values = array.values.clone();
    values.push(a[1].clone());
    Ok(with_values(array, values))
}
pub fn prepend(_: &dyn Environment, a: &[Datum]) -> PgResult<Datum> {
    let Some(Datum::Array(array)) = a.get(1) else { return Ok(Datum::Null) };
    one_dimension(array)?;
    let values = std::iter::once(a[0].clone()).chain(array.values.iter().cloned()).collect();
    Ok(Datum::array(Array::from_values(array.element, values)))
}
pub fn concatenate(_: &dyn Environment, a: &[Datum]) -> PgResult<Datum> {
    match (a.first(), a.get(1)) {
        (Some(Datum::Array(left)), Some(Datum::Array(right))) => {
            if left.values.is_empty() {
                return Ok(Datum::Array(Arc::clone(right)));
            }
            if right.values.is_empty() {
                return Ok(Datum::Array(Arc::clone(left)));
            }
            one_dimension(left)?;
            one_dimension(right)?;
            Ok(with_values(left, left.values.iter().chain(&right.values).cloned().collect()))
        }
        (Some(array @ Datum::Array(_)), _) | (_, Some(array @ Datum::Array(_))) => Ok(array.clone()),
        _ => Ok(Datum::Null),
    }
}
pub fn remove(_: &dyn Environment, a: &[Datum]) -> PgResult<Datum> {
    let Some(Datum::Array(array)) = a.first() else { return Ok(Datum::Null) };
    one_dimension(array)?;
    let wanted = &a[1];
    let keep = |value: &&Datum| !(wanted.is_null() && value.is_null() || same(array.element, wanted, value));
    Ok(with_values(array, array.values.iter().filter(keep).cloned().collect()))
}

fn holds(array: &Array, value: &Datum) -> bool {
    !value.is_null() && array.values.iter().any(|other| !other.is_null() && same(array.element, other, value))
}
/// `@>`
pub fn contains(_: &dyn Environment, a: &[Datum]) -> PgResult<Datum> {
    let (left, right) = (array_at(a, 0)?, array_at(a, 1)?);
    Ok(Datum::Bool(right.values.iter().all(|value| holds(left, value))))
}
/// `<@`
pub fn contained(_: &dyn Environment, a: &[Datum]) -> PgResult<Datum> {
    let (left, right) = (array_at(a, 0)?, array_at(a, 1)?);
    Ok(Datum::Bool(left.values.iter().all(|value| holds(right, value))))
}
/// `&&`
pub fn overlaps(_: &dyn Environment, a: &[Datum]) -> PgResult<Datum> {
    let (left, right) = (array_at(a, 0)?, array_at(a, 1)?);
    Ok(Datum::Bool(left.values.iter().any(|value| holds(right, value))))
}

/// `array_to_string(array, separator [, null text])`
pub fn to_text(environment: &dyn Environment, a: &[Datum]) -> PgResult<Datum> {
    let (Some(Datum::Array(array)), Some(separator)) = (a.first(), a.get(1).and_then(Datum::as_str)) else {
        return Ok(Datum::Null);
    };
    let null_text = a.get(2).and_then(Datum::as_str);
    let shown = array.values.iter().filter_map(|value| match io::output(array.element, value, environment) {
        Some(text) => Some(text.to_string()),
        None => null_text.map(str::to_string),
    });
    Ok(Datum::text(shown.collect::<Vec<_>>().join(separator)))
}

/// `string_to_array(text, separator [, null text])`; a NULL separator cuts into characters.
pub fn from_text(_: &dyn Environment, a: &[Datum]) -> PgResult<Datum> {
    let Some(value) = a.first().and_then(Datum::as_str) else { return Ok(Datum::Null) };
    let null_text = a.get(2).and_then(Datum::as_str);
    let parts: Vec<String> = match a.get(1).and_then(Datum::as_str) {
        _ if value.is_empty() => Vec::new(),
        None => value.chars().map(String::from).collect(),
        Some("") => vec![value.to_string()],
        Some(separator) => value.split(separator).map(String::from).collect(),
    };
    let values = parts.into_iter().map(|part| if Some(part.as_str()) == null_text { Datum::Null } else { part.into() });
    Ok(Datum::array(Array::from_values(oid::TEXT, values.collect())))
}

pub fn positions(_: &dyn Environment, a: &[Datum]) -> PgResult<Datum> {
    let Some(Datum::Array(array)) = a.first() else { return Ok(Datum::Null) };
    let lower = array.dimensions.first().map_or(1, |dimension| dimension.lower);
    let wanted = &a[1];
    let matches =
        |value: &Datum| wanted.is_null() && value.is_null() || !value.is_null() && same(array.element, wanted, value);
    let found = array.values.iter().zip(lower..).filter(|(value, _)| matches(value)).map(|(_, at)| Datum::Int4(at));
    Ok(Datum::array(Array::from_values(oid::INT4, found.collect())))
}
pub fn replace(_: &dyn Environment, a: &[Datum]) -> PgResult<Datum> {
    let Some(Datum::Array(array)) = a.first() else { return Ok(Datum::Null) };
    let (from, to) = (&a[1], &a[2]);
    let matches =
        |value: &Datum| from.is_null() && value.is_null() || !value.is_null() && same(array.element, from, value);
    let values = array.values.iter().map(|value| if matches(value) { to.clone() } else { value.clone() }).collect();
    Ok(Datum::array(Array { element: array.element, dimensions: array.dimensions.clone(), values }))
}
pub fn trim(_: &dyn Environment, a: &[Datum]) -> PgResult<Datum> {
    let array = array_at(a, 0)?;
    one_dimension(array)?;
    let count = int(a, 1)?;
    let length = array.values.len() as i64;
    if !(0..=length).contains(&count) {
        let message = format!("number of elements to trim must be between 0 and {length}");
        return Err(PgError::new(crate::error::SqlState(*b"2202E"), message));
    }
    Ok(Datum::array(Array::from_values(array.element, array.values[..(length - count) as usize].to_vec())))
}
