//! Set-returning functions. They yield lazily: `generate_series(1, 1000000000)` costs nothing until it is read.
use super::*;
use crate::datetime;
use crate::error::sqlstate;

fn zero_step() -> Box<PgError> {
    PgError::new(sqlstate::INVALID_PARAMETER_VALUE, "step size cannot equal zero")
}

fn series(start: i64, stop: i64, step: i64, make: fn(i64) -> Datum) -> PgResult<Rows> {
    if step == 0 {
        return Err(zero_step());
    }
    let mut next = Some(start);
    Ok(Box::new(std::iter::from_fn(move || {
        let current = next.filter(|value| if step > 0 { *value <= stop } else { *value >= stop })?;
        next = current.checked_add(step);
        Some(Ok(make(current)))
    })))
}

pub fn int4_series(_: &dyn Environment, a: &[Datum]) -> PgResult<Rows> {
    let step = if a.len() > 2 { int(a, 2)? } else { 1 };
    series(int(a, 0)?, int(a, 1)?, step, |value| Datum::Int4(value as i32))
}
pub fn int8_series(_: &dyn Environment, a: &[Datum]) -> PgResult<Rows> {
    let step = if a.len() > 2 { int(a, 2)? } else { 1 };
    series(int(a, 0)?, int(a, 1)?, step, Datum::Int8)
}

pub fn numeric_series(_: &dyn Environment, a: &[Datum]) -> PgResult<Rows> {
    let stop = number(a, 1)?.clone();
    let step = if a.len() > 2 { number(a, 2)?.clone() } else { Numeric::from(1i64) };
    let mut current = number(a, 0)?.clone();
    for (value, name) in [(&current, "start"), (&stop, "stop"), (&step, "step size")] {
        if value.parts().is_none() {
            let what = if value.is_nan() { "NaN" } else { "infinity" };
            return Err(PgError::new(sqlstate::INVALID_PARAMETER_VALUE, format!("{name} value cannot be {what}")));
        }
    }
    if step.is_zero() {
        return Err(zero_step());
    }
    let up = step > Numeric::zero();
    let mut done = false;
    Ok(Box::new(std::iter::from_fn(move || {
        if done || (if up { current > stop } else { current < stop }) {
            return None;
        }
        let value = current.clone();
        match current.add(&step) {
            Ok(next) => current = next,
            Err(_) => done = true,
        }
        Some(Ok(Datum::numeric(value)))
    })))
}

fn timestamps(a: &[Datum], advance: impl Fn(i64, &Interval) -> PgResult<i64> + Send + 'static) -> PgResult<Rows> {
    let (mut current, stop, step) = (timestamp(a, 0)?, timestamp(a, 1)?, interval(a, 2)?);
    let length = crate::interval_length(&step);
    if length == 0 {
        return Err(zero_step());
    }
    let mut failed = false;
    Ok(Box::new(std::iter::from_fn(move || {
        if failed || (if length > 0 { current > stop } else { current < stop }) {
            return None;
        }
        let value = current;
        match advance(current, &step) {
            Ok(next) => current = next,
            Err(error) => {
                failed = true;
                return Some(Err(error));
            }
        }
        Some(Ok(Datum::Timestamp(value)))
    })))
}
pub fn timestamp_series(_: &dyn Environment, a: &[Datum]) -> PgResult<Rows> {
    timestamps(a, datetime::add_interval)
}
pub fn timestamptz_series(environment: &dyn Environment, a: &[Datum]) -> PgResult<Rows> {
    let zone = environment.format().time_zone;
    timestamps(a, move |value, step| datetime::add_interval_in_zone(value, step, &zone))
}

pub fn unnest(_: &dyn Environment, a: &[Datum]) -> PgResult<Rows> {
    let values = array_at(a, 0)?.values.clone();
    Ok(Box::new(values.into_iter().map(Ok)))
}

/// `unnest(a, b, ...)` in FROM: rows as long as the longest array.
pub fn unnest_together(_: &dyn Environment, a: &[Datum]) -> PgResult<Rows> {
    let mut columns: Vec<_> = Vec::with_capacity(a.len());
    for at in 0..a.len() {
        let values = if a[at].is_null() { Vec::new() } else { array_at(a, at)?.values.clone() };
        columns.push(values.into_iter());
    }
    let longest = columns.iter().map(|column| column.len()).max().unwrap_or(0);
    Ok(Box::new((0..longest).map(move |_| {
        let fields: Vec<Datum> = columns.iter_mut().map(|column| column.next().unwrap_or_default()).collect();
        Ok(Datum::Record(fields.into()))
    })))
}

/// `generate_subscripts(array, dimension, reverse)`
pub fn subscripts_either_way(environment: &dyn Environment, a: &[Datum]) -> PgResult<Rows> {
    let forward = subscripts(environment, &a[..2])?;
    if !boolean(a, 2)? {
        return Ok(forward);
    }
    let mut all: Vec<PgResult<Datum>> = forward.collect();
    all.reverse();
    Ok(Box::new(all.into_iter()))
}

/// `generate_subscripts(array, dimension)`
pub fn subscripts(_: &dyn Environment, a: &[Datum]) -> PgResult<Rows> {
    let array = array_at(a, 0)?;
    let at = usize::try_from(int(a, 1)? - 1).ok();
    match at.and_then(|at| array.dimensions.get(at)) {
        Some(dimension) => {
            let (first, last) = (i64::from(dimension.lower), dimension.upper());
            Ok(Box::new((first..=last).map(|value| Ok(Datum::Int4(value as i32)))))
        }
        None => Ok(Box::new(std::iter::empty())),
    }
}

/// `_pg_expandarray(array)`: (element, position from 1).
pub fn expand_array(_: &dyn Environment, a: &[Datum]) -> PgResult<Rows> {
    let values = array_at(a, 0)?.values.clone();
    let pairs = values.into_iter().zip(1..).map(|(value, at)| Ok(Datum::Record(vec![value, Datum::Int4(at)].into())));
    Ok(Box::new(pairs))
}

/// `string_to_table(text, separator [, null text])`
pub fn split_text(environment: &dyn Environment, a: &[Datum]) -> PgResult<Rows> {
    match super::array::from_text(environment, a)? {
        Datum::Array(array) => Ok(Box::new(array.values.clone().into_iter().map(Ok))),
        _ => Ok(Box::new(std::iter::empty())),
    }
}
