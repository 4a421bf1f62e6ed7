//! SQL's order and equality of values of one type, as btree indexes, ORDER BY, DISTINCT and GROUP BY use them.
use crate::datum::{Array, Datum, Interval};
use crate::json::Json;
use crate::oid::{self, Oid};
use std::cmp::Ordering;
use std::hash::{Hash, Hasher};

/// Blanks at the end of a `character(n)` do not count.
pub fn trim_blanks(text: &str) -> &str {
    text.trim_end_matches(' ')
}

/// All NaNs are equal, and greater than everything else.
pub fn compare_floats(left: f64, right: f64) -> Ordering {
    match (left.is_nan(), right.is_nan()) {
        (true, true) => Ordering::Equal,
        (true, false) => Ordering::Greater,
        (false, true) => Ordering::Less,
        (false, false) => left.partial_cmp(&right).expect("neither is NaN"),
    }
}

/// Intervals compare by length, a month being 30 days and a day 24 hours.
pub fn interval_length(interval: &Interval) -> i128 {
    let days = i128::from(interval.months) * 30 + i128::from(interval.days);
    days * 86_400_000_000 + i128::from(interval.microseconds)
}

/// Order of two values that are not NULL, both of type `oid`. NULLs compare equal to each other and greater than the rest.
pub fn compare(oid: Oid, left: &Datum, right: &Datum) -> Ordering {
    use Datum::*;
    match (left, right) {
        (Null, Null) => Ordering::Equal,
        (Null, _) => Ordering::Greater,
        (_, Null) => Ordering::Less,
        (Int4(left), Int4(right)) => left.cmp(right),
        (Int8(left), Int8(right)) => left.cmp(right),
        (Int2(left), Int2(right)) => left.cmp(right),
        (Text(left), Text(right)) if oid == oid::BPCHAR => {
            trim_blanks(left).as_bytes().cmp(trim_blanks(right).as_bytes())
        }
        (Text(left), Text(right)) if oid == oid::JSONB => compare_jsonb(left, right),
        (Text(left), Text(right)) => left.as_bytes().cmp(right.as_bytes()),
        (Bool(left), Bool(right)) => left.cmp(right),
        (Char(left), Char(right)) => left.cmp(right),
        (Oid(left), Oid(right)) => left.cmp(right),
        (Float4(left), Float4(right)) => compare_floats(f64::from(*left), f64::from(*right)),
        (Float8(left), Float8(right)) => compare_floats(*left, *right),
        (Numeric(left), Numeric(right)) => left.cmp(right),
        (Bytea(left), Bytea(right)) => left.cmp(right),
        (Date(left), Date(right)) => left.cmp(right),
        (Time(left), Time(right)) => left.cmp(right),
        (TimeTz(left), TimeTz(right)) => left.order().cmp(&right.order()),
        (Timestamp(left), Timestamp(right)) => left.cmp(right),
        (Interval(left), Interval(right)) => interval_length(left).cmp(&interval_length(right)),
        (Uuid(left), Uuid(right)) => left.cmp(right),
        (Enum(left), Enum(right)) => left.position.cmp(&right.position),
        (Array(left), Array(right)) => compare_arrays(left, right),
        (Record(left), Record(right)) => {
            let mut pairs = left.iter().zip(right.iter()).enumerate();
            let first = pairs.find_map(|(at, (a, b))| Some(compare(left.field_type(at), a, b)).filter(|o| o.is_ne()));
            first.unwrap_or_else(|| left.len().cmp(&right.len()))
        }
        // Mixed integer widths, met when a caller compares across types.
        _ => match (left.as_i64(), right.as_i64()) {
            (Some(left), Some(right)) => left.cmp(&right),
            _ => rank(left).cmp(&rank(right)),
        },
    }
}

/// By value: two spellings of one number are equal.
fn compare_jsonb(left: &str, right: &str) -> Ordering {
    if left == right {
        return Ordering::Equal;
    }
    match (Json::of_stored(left), Json::of_stored(right)) {
        (Ok(left), Ok(right)) => left.cmp(&right),
        _ => left.cmp(right),
    }
}

/// Element by element, then by length, then by shape.
fn compare_arrays(left: &Array, right: &Array) -> Ordering {
    for (a, b) in left.values.iter().zip(&right.values) {
        let order = compare(left.element, a, b);
        if order.is_ne() {
            return order;
        }
    }
    left.values.len().cmp(&right.values.len()).then(left.dimensions.len().cmp(&right.dimensions.len()))
}

/// Only to stay total on values of different representation, which the typed tree does not produce.
fn rank(datum: &Datum) -> u8 {
    match datum {
        Datum::Null => 255,
        Datum::Bool(_) => 0,
        Datum::Char(_) => 1,
        Datum::Int2(_) | Datum::Int4(_) | Datum::Int8(_) | Datum::Oid(_) => 2,
        Datum::Float4(_) | Datum::Float8(_) => 3,
        Datum::Numeric(_) => 4,
        Datum::Text(_) => 5,
        Datum::Bytea(_) => 6,
        Datum::Date(_) => 7,
        Datum::Time(_) => 8,
        Datum::Timestamp(_) => 9,
        Datum::Interval(_) => 10,
        Datum::Uuid(_) => 11,
        Datum::Array(_) => 12,
        Datum::Record(_) => 13,
        Datum::Enum(_) => 14,
        Datum::TimeTz(_) => 15,
    }
}

/// Equality for grouping: NULLs are equal.
pub fn same(oid: Oid, left: &Datum, right: &Datum) -> bool {
    compare(oid, left, right).is_eq()
}

/// A hash that agrees with `same`.
pub fn hash_into<H: Hasher>(oid: Oid, datum: &Datum, state: &mut H) {
    match datum {
        Datum::Null => state.write_u8(0),
        Datum::Bool(value) => value.hash(state),
        Datum::Char(value) => value.hash(state),
        Datum::Int2(_) | Datum::Int4(_) | Datum::Int8(_) | Datum::Oid(_) => {
            state.write_i64(datum.as_i64().expect("an integer variant"));
        }
        Datum::Float4(value) => hash_float(f64::from(*value), state),
        Datum::Float8(value) => hash_float(*value, state),
        Datum::Numeric(value) => value.hash(state),
        Datum::Text(value) if oid == oid::BPCHAR => trim_blanks(value).hash(state),
        Datum::Text(value) if oid == oid::JSONB => match Json::of_stored(value) {
            Ok(json) => json.hash(state),
            Err(_) => value.as_str().hash(state),
        },
        Datum::Text(value) => value.as_str().hash(state),
        Datum::Bytea(value) => value.hash(state),
        Datum::Date(value) => value.hash(state),
        Datum::Time(value) | Datum::Timestamp(value) => value.hash(state),
        Datum::TimeTz(value) => value.order().hash(state),
        Datum::Interval(value) => interval_length(value).hash(state),
        Datum::Uuid(value) => value.hash(state),
        Datum::Enum(value) => value.position.hash(state),
        Datum::Array(array) => array.values.iter().for_each(|value| hash_into(array.element, value, state)),
        Datum::Record(record) => {
            record.iter().enumerate().for_each(|(at, value)| hash_into(record.field_type(at), value, state));
        }
    }
}

fn hash_float<H: Hasher>(value: f64, state: &mut H) {
    let canonical = if value.is_nan() {
        f64::NAN
    } else if value == 0.0 {
        0.0
    } else {
        value
    };
    state.write_u64(canonical.to_bits());
}
