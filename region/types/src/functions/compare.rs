//! Comparison operators. One body serves all types of one representation; `character(n)`, mixed floats and mixed
//! dates have their own.
use super::*;
use crate::{compare, compare_floats, oid};
use std::cmp::Ordering;

fn two(arguments: &[Datum]) -> PgResult<(&Datum, &Datum)> {
    match arguments {
        [left, right] => Ok((left, right)),
        _ => Err(wrong(None)),
    }
}

macro_rules! comparisons {
    ($order:ident: $($name:ident = $test:ident),*) => {
        $(pub fn $name(environment: &dyn Environment, arguments: &[Datum]) -> PgResult<Datum> {
            Ok(Datum::Bool($order(environment, arguments)?.$test()))
        })*
    };
}

fn plain(_: &dyn Environment, arguments: &[Datum]) -> PgResult<Ordering> {
    let (left, right) = two(arguments)?;
    Ok(compare(oid::UNKNOWN, left, right))
}
comparisons!(plain: eq = is_eq, ne = is_ne, lt = is_lt, le = is_le, gt = is_gt, ge = is_ge);

fn blank_padded(_: &dyn Environment, arguments: &[Datum]) -> PgResult<Ordering> {
    let (left, right) = two(arguments)?;
    Ok(compare(oid::BPCHAR, left, right))
}
comparisons!(blank_padded: bpchar_eq = is_eq, bpchar_ne = is_ne, bpchar_lt = is_lt, bpchar_le = is_le,
    bpchar_gt = is_gt, bpchar_ge = is_ge);

fn floats(_: &dyn Environment, arguments: &[Datum]) -> PgResult<Ordering> {
    Ok(compare_floats(double(arguments, 0)?, double(arguments, 1)?))
}
comparisons!(floats: float_eq = is_eq, float_ne = is_ne, float_lt = is_lt, float_le = is_le,
    float_gt = is_gt, float_ge = is_ge);

/// A date as local midnight.
fn as_timestamp(datum: &Datum) -> PgResult<i64> {
    match datum {
        Datum::Date(date) => Ok(super::cast::date_as_timestamp(*date)),
        Datum::Timestamp(timestamp) => Ok(*timestamp),
        other => Err(wrong(Some(other))),
    }
}

fn dates(_: &dyn Environment, arguments: &[Datum]) -> PgResult<Ordering> {
    let (left, right) = two(arguments)?;
    Ok(as_timestamp(left)?.cmp(&as_timestamp(right)?))
}
comparisons!(dates: date_eq = is_eq, date_ne = is_ne, date_lt = is_lt, date_le = is_le, date_gt = is_gt, date_ge = is_ge);

/// `timestamp` or `date` on the left, `timestamptz` on the right.
fn local_zoned(environment: &dyn Environment, arguments: &[Datum]) -> PgResult<Ordering> {
    let (left, right) = two(arguments)?;
    let left = environment.format().time_zone.to_utc(as_timestamp(left)?);
    Ok(left.cmp(&as_timestamp(right)?))
}
comparisons!(local_zoned: local_eq = is_eq, local_ne = is_ne, local_lt = is_lt, local_le = is_le,
    local_gt = is_gt, local_ge = is_ge);

/// `timestamptz` on the left.
fn zoned_local(environment: &dyn Environment, arguments: &[Datum]) -> PgResult<Ordering> {
    let (left, right) = two(arguments)?;
    let right = environment.format().time_zone.to_utc(as_timestamp(right)?);
    Ok(as_timestamp(left)?.cmp(&right))
}
comparisons!(zoned_local: zoned_eq = is_eq, zoned_ne = is_ne, zoned_lt = is_lt, zoned_le = is_le,
    zoned_gt = is_gt, zoned_ge = is_ge);
