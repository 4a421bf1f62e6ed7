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
    Ok(dimension(a)?.map(|dimension| dimension.upper() as i32).into())
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
    only_flat(array, "searching for elements in")?;
    let lower = array.dimensions.first().map_or(1, |dimension| dimension.lower);
    let start = if a.len() > 2 { (int(a, 2)? - i64::from(lower)).max(0) as usize } else { 0 };
    let wanted = &a[1];
    let found = array.values.iter().enumerate().skip(start).find(|(_, value)| match (wanted, value) {
        (Datum::Null, value) => value.is_null(),
        (_, Datum::Null) => false,
        (wanted, value) => same(array.element, wanted, value),
    });
    Ok(found.map(|(at, _)| (at as i64 + i64::from(lower)) as i32).into())
}

fn only_flat(array: &Array, doing: &str) -> PgResult<()> {
    match array.dimensions.len() {
        0 | 1 => Ok(()),
        _ => Err(PgError::unsupported(format!("{doing} multidimensional arrays"))),
    }
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

/// An array whose subscripts are integers.
fn checked_bounds(array: Datum) -> PgResult<Datum> {
    if let Datum::Array(made) = &array {
        if let Some(wide) = made.dimensions.iter().find(|dimension| !dimension.in_bounds()) {
            let message = format!("array lower bound is too large: {}", wide.lower);
            return Err(PgError::new(sqlstate::PROGRAM_LIMIT_EXCEEDED, message));
        }
    }
    Ok(array)
}

/// A NULL array is an empty one; its element type is then that of the other argument's representation.
pub fn append(_: &dyn Environment, a: &[Datum]) -> PgResult<Datum> {
    let Some(Datum::Array(array)) = a.first() else {
        return Ok(Datum::array(Array::from_values(element_type(&a[1]), vec![a[1].clone()])));
    };
    one_dimension(array)?;
    let mut values = array.values.clone();
    values.push(a[1].clone());
    checked_bounds(with_values(array, values))
}
pub fn prepend(_: &dyn Environment, a: &[Datum]) -> PgResult<Datum> {
    let Some(Datum::Array(array)) = a.get(1) else {
        return Ok(Datum::array(Array::from_values(element_type(&a[0]), vec![a[0].clone()])));
    };
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
            joined(left, right)
        }
        (Some(array @ Datum::Array(_)), _) | (_, Some(array @ Datum::Array(_))) => Ok(array.clone()),
        _ => Ok(Datum::Null),
    }
}
/// Of equal dimensions one after the other; an array with one dimension less is one more element of the other.
fn joined(left: &Array, right: &Array) -> PgResult<Datum> {
    let incompatible = |detail: &str| {
        let code = crate::error::SqlState(*b"2202E");
        PgError::new(code, "cannot concatenate incompatible arrays").detail(detail)
    };
    let (l, r) = (&left.dimensions, &right.dimensions);
    let mut dimensions;
    if l.len() == r.len() {
        if l[1..].iter().zip(&r[1..]).any(|(a, b)| a.length != b.length) {
            return Err(incompatible("Arrays with differing element dimensions are not compatible for concatenation."));
        }
        dimensions = l.clone();
        dimensions[0].length += r[0].length;
    } else if l.len() == r.len() + 1 || l.len() + 1 == r.len() {
        let (outer, inner) = if l.len() > r.len() { (l, r) } else { (r, l) };
        if outer[1..].iter().zip(inner.iter()).any(|(a, b)| a.length != b.length) {
            return Err(incompatible("Arrays with differing dimensions are not compatible for concatenation."));
        }
        dimensions = outer.clone();
        dimensions[0].length += 1;
    } else {
        let detail = format!("Arrays of {} and {} dimensions are not compatible for concatenation.", l.len(), r.len());
        return Err(incompatible(&detail));
    }
    let values = left.values.iter().chain(&right.values).cloned().collect();
    checked_bounds(Datum::array(Array { element: left.element, dimensions, values }))
}

/// `[1:2][1:3]`
pub fn bounds_text(_: &dyn Environment, a: &[Datum]) -> PgResult<Datum> {
    let array = array_at(a, 0)?;
    if array.dimensions.is_empty() {
        return Ok(Datum::Null);
    }
    let shown = array.dimensions.iter().map(|d| format!("[{}:{}]", d.lower, d.upper()));
    Ok(Datum::text(shown.collect::<String>()))
}

/// `array_fill(value, lengths [, lower bounds])`; the element's type comes with the lengths, in a third place.
pub fn fill(environment: &dyn Environment, a: &[Datum]) -> PgResult<Datum> {
    let null = |message: &str| PgError::new(crate::error::SqlState(*b"22004"), message);
    let (Some(Datum::Array(lengths)), lowers) = (a.get(1), a.get(2)) else {
        return Err(null("dimension array or low bound array cannot be null"));
    };
    let nested = |given: &Datum| matches!(given, Datum::Array(array) if array.dimensions.len() > 1);
    if a[1..].iter().any(nested) {
        return Err(PgError::new(crate::error::SqlState(*b"2202E"), "wrong number of array subscripts")
            .detail("Dimension array must be one dimensional."));
    }
    let lowers = match lowers {
        None => vec![1; lengths.values.len()],
        Some(Datum::Array(lowers)) if lowers.values.len() == lengths.values.len() => {
            lowers.values.iter().map(|lower| lower.as_i64().unwrap_or(1) as i32).collect()
        }
        Some(Datum::Array(_)) => {
            let code = crate::error::SqlState(*b"2202E");
            return Err(PgError::new(code, "wrong number of array subscripts")
                .detail("Low bound array has different size than dimensions array."));
        }
        Some(_) => return Err(null("dimension array or low bound array cannot be null")),
    };
    if lengths.values.iter().any(Datum::is_null) {
        return Err(null("dimension values cannot be null"));
    }
    let mut total = 1usize;
    let mut dimensions = Vec::with_capacity(lowers.len());
    for (length, lower) in lengths.values.iter().zip(lowers) {
        let length = usize::try_from(length.as_i64().unwrap_or(0)).unwrap_or(0);
        total = total.saturating_mul(length);
        dimensions.push(crate::Dimension { length, lower });
    }
    if total > ELEMENTS_MAX {
        let message = format!("array size exceeds the maximum allowed ({ELEMENTS_MAX})");
        return Err(PgError::new(sqlstate::PROGRAM_LIMIT_EXCEEDED, message));
    }
    super::room::check(environment, total.saturating_mul(std::mem::size_of::<Datum>()))?;
    let element = element_type(&a[0]);
    if total == 0 || dimensions.is_empty() {
        return Ok(Datum::array(Array { element, dimensions: Vec::new(), values: Vec::new() }));
    }
    checked_bounds(Datum::array(Array { element, dimensions, values: vec![a[0].clone(); total] }))
}
/// Well below PostgreSQL's limit: elements take more room here.
const ELEMENTS_MAX: usize = 1 << 24;

/// The plainest type with this representation.
fn element_type(value: &Datum) -> crate::Oid {
    match value {
        Datum::Bool(_) => oid::BOOL,
        Datum::Char(_) => oid::CHAR,
        Datum::Int2(_) => oid::INT2,
        Datum::Int4(_) => oid::INT4,
        Datum::Int8(_) => oid::INT8,
        Datum::Oid(_) => oid::OID,
        Datum::Float4(_) => oid::FLOAT4,
        Datum::Float8(_) => oid::FLOAT8,
        Datum::Numeric(_) => oid::NUMERIC,
        Datum::Bytea(_) => oid::BYTEA,
        Datum::Date(_) => oid::DATE,
        Datum::Time(_) => oid::TIME,
        Datum::TimeTz(_) => oid::TIMETZ,
        Datum::Timestamp(_) => oid::TIMESTAMP,
        Datum::Interval(_) => oid::INTERVAL,
        Datum::Uuid(_) => oid::UUID,
        Datum::Enum(value) => value.type_oid,
        Datum::Record(_) => oid::RECORD,
        Datum::Text(_) | Datum::Array(_) | Datum::Null => oid::TEXT,
    }
}

/// `array[lower:upper, ...]`: what lies inside, counted from 1; empty where nothing does.
pub fn slice(array: &Array, bounds: &[(Option<i64>, Option<i64>)]) -> Array {
    let empty = || Array { element: array.element, dimensions: Vec::new(), values: Vec::new() };
    if bounds.len() > array.dimensions.len() {
        return empty();
    }
    let mut ranges = Vec::with_capacity(array.dimensions.len());
    for (at, dimension) in array.dimensions.iter().enumerate() {
        let (first, last) = (i64::from(dimension.lower), dimension.upper());
        let (lower, upper) = bounds.get(at).copied().unwrap_or((None, None));
        let (from, to) = (lower.unwrap_or(first).max(first), upper.unwrap_or(last).min(last));
        if from > to {
            return empty();
        }
        ranges.push(((from - first) as usize, (to - first) as usize));
    }
    let mut values = Vec::new();
    pick(array, &ranges, 0, 0, &mut values);
    let dimensions = ranges.iter().map(|(from, to)| crate::Dimension { length: to - from + 1, lower: 1 }).collect();
    Array { element: array.element, dimensions, values }
}
fn pick(array: &Array, ranges: &[(usize, usize)], depth: usize, base: usize, out: &mut Vec<Datum>) {
    let Some((from, to)) = ranges.get(depth).copied() else {
        out.extend(array.values.get(base).cloned());
        return;
    };
    for at in from..=to {
        pick(array, ranges, depth + 1, base * array.dimensions[depth].length + at, out);
    }
}

pub fn remove(_: &dyn Environment, a: &[Datum]) -> PgResult<Datum> {
    let Some(Datum::Array(array)) = a.first() else { return Ok(Datum::Null) };
    only_flat(array, "removing elements from")?;
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
    let mut out = String::new();
    let mut is_first = true;
    for value in &array.values {
        let shown = io::output(array.element, value, environment);
        let Some(shown) = shown.as_deref().or(null_text) else { continue };
        super::room::check(environment, out.len().saturating_add(separator.len() + shown.len()))?;
        if !std::mem::take(&mut is_first) {
            out.push_str(separator);
        }
        out.push_str(shown);
    }
    Ok(Datum::text(out))
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
    only_flat(array, "searching for elements in")?;
    let lower = array.dimensions.first().map_or(1, |dimension| dimension.lower);
    let wanted = &a[1];
    let matches =
        |value: &Datum| wanted.is_null() && value.is_null() || !value.is_null() && same(array.element, wanted, value);
    let numbered = array.values.iter().zip(i64::from(lower)..);
    let found = numbered.filter(|(value, _)| matches(value)).map(|(_, at)| Datum::Int4(at as i32));
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

/// The array to change (NULL is an empty one), the value, and the bounds; `None` if a bound that must be is NULL.
#[allow(clippy::type_complexity)]
fn assignment(a: &[Datum]) -> PgResult<(Array, &Datum, Vec<(Option<i32>, Option<i32>)>)> {
    let [array, value, Datum::Oid(element), bounds @ ..] = a else { return Err(wrong(a.first())) };
    let array = match array {
        Datum::Array(array) => (**array).clone(),
        _ => Array { element: crate::Oid(*element), dimensions: Vec::new(), values: Vec::new() },
    };
    let number = |datum: &Datum| datum.as_i64().and_then(|number| i32::try_from(number).ok());
    let pairs = bounds.chunks_exact(2).map(|pair| (number(&pair[0]), number(&pair[1])));
    Ok((array, value, pairs.collect()))
}

fn subscript_error(message: &str) -> Box<PgError> {
    PgError::new(crate::error::SqlState(*b"2202E"), message)
}

/// An array of one dimension, made to reach from `low` to `high`, with NULLs where nothing was.
fn stretch(array: &mut Array, low: i32, high: i32) -> PgResult<()> {
    let first = array.dimensions.first().map_or(low, |dimension| dimension.lower.min(low));
    let last = array.dimensions.first().map_or(i64::from(high), |dimension| dimension.upper().max(i64::from(high)));
    let length = last - i64::from(first) + 1;
    if length > ELEMENTS_MAX as i64 || last >= i64::from(i32::MAX) {
        let message = format!("array size exceeds the maximum allowed ({ELEMENTS_MAX})");
        return Err(PgError::new(crate::error::sqlstate::PROGRAM_LIMIT_EXCEEDED, message));
    }
    let before =
        array.dimensions.first().map_or(0, |dimension| (i64::from(dimension.lower) - i64::from(first)) as usize);
    array.values.splice(0..0, std::iter::repeat_n(Datum::Null, before));
    array.values.resize(length as usize, Datum::Null);
    array.dimensions = vec![crate::Dimension { length: length as usize, lower: first }];
    Ok(())
}

/// `SET a[1] = x`: an array of one dimension grows as far as need be.
pub fn set_element(_: &dyn Environment, a: &[Datum]) -> PgResult<Datum> {
    let (mut array, value, bounds) = assignment(a)?;
    let indexes = bounds.iter().map(|(low, _)| *low).collect::<Option<Vec<i32>>>();
    let Some(indexes) = indexes else {
        let message = "array subscript in assignment must not be null";
        return Err(PgError::new(crate::error::SqlState(*b"22004"), message));
    };
    if array.dimensions.is_empty() {
        array.dimensions = indexes.iter().map(|index| crate::Dimension { length: 1, lower: *index }).collect();
        array.values = vec![value.clone()];
        return Ok(Datum::array(array));
    }
    if array.dimensions.len() != indexes.len() {
        return Err(subscript_error("wrong number of array subscripts"));
    }
    if let [index] = indexes.as_slice() {
        stretch(&mut array, *index, *index)?;
    }
    let mut at = 0usize;
    for (dimension, index) in array.dimensions.iter().zip(&indexes) {
        let inside = usize::try_from(i64::from(*index) - i64::from(dimension.lower)).ok();
        let inside = inside.filter(|inside| *inside < dimension.length);
        at = at * dimension.length + inside.ok_or_else(|| subscript_error("array subscript out of range"))?;
    }
    array.values[at] = value.clone();
    Ok(Datum::array(array))
}

/// `SET a[2:3] = y`: the first values of the array that is assigned.
pub fn set_slice(_: &dyn Environment, a: &[Datum]) -> PgResult<Datum> {
    let (mut array, value, bounds) = assignment(a)?;
    let Datum::Array(source) = value else {
        return Ok(if array.dimensions.is_empty() { Datum::Null } else { Datum::array(array) });
    };
    if bounds.len() > 1 || array.dimensions.len() > 1 {
        return Err(PgError::unsupported("assigning to a slice of an array of several dimensions"));
    }
    let dimension = array.dimensions.first().copied();
    let Some((low, high)) = bounds.first().copied() else { return Ok(Datum::array(array)) };
    if dimension.is_none() && high.is_none() {
        return Err(subscript_error("array slice subscript must provide both boundaries")
            .detail("When assigning to a slice of an empty array value, slice boundaries must be fully specified."));
    }
    let low = low.or(dimension.map(|dimension| dimension.lower)).unwrap_or(1);
    let upper = dimension.and_then(|dimension| i32::try_from(dimension.upper()).ok());
    let high = high.or(upper).unwrap_or(low);
    if high < low {
        return if i64::from(low) > i64::from(high) + 1 || dimension.is_some() {
            Err(subscript_error("upper bound cannot be less than lower bound"))
        } else {
            Ok(Datum::array(array))
        };
    }
    let count = (i64::from(high) - i64::from(low) + 1) as usize;
    if source.values.len() < count {
        return Err(subscript_error("source array too small"));
    }
    stretch(&mut array, low, high)?;
    let first = (i64::from(low) - i64::from(array.dimensions[0].lower)) as usize;
    array.values[first..first + count].clone_from_slice(&source.values[..count]);
    Ok(Datum::array(array))
}
