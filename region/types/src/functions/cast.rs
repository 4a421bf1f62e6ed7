//! Conversions between types: what `pg_cast` lists with a function.
use super::integer::{int2, int4, int8};
use super::*;
use crate::datetime::{self as dt, MICROSECONDS_PER_DAY};
use crate::error::sqlstate;
use crate::{oid, trim_blanks};

pub fn to_int2(_: &dyn Environment, a: &[Datum]) -> PgResult<Datum> {
    int2(whole(a, "smallint")?)
}
pub fn to_int4(_: &dyn Environment, a: &[Datum]) -> PgResult<Datum> {
    int4(whole(a, "integer")?)
}
pub fn to_int8(_: &dyn Environment, a: &[Datum]) -> PgResult<Datum> {
    int8(whole(a, "bigint")?)
}

/// Any number as an integer: floats to even, numeric half away from zero.
fn whole(arguments: &[Datum], target: &str) -> PgResult<Option<i64>> {
    match arguments.first() {
        Some(Datum::Float4(_) | Datum::Float8(_)) => {
            let rounded = double(arguments, 0)?.round_ties_even();
            let fits = (-9_223_372_036_854_775_808.0..9_223_372_036_854_775_808.0).contains(&rounded);
            Ok(fits.then_some(rounded as i64))
        }
        Some(Datum::Numeric(value)) => {
            if value.parts().is_none() {
                let what = if value.is_nan() { "NaN" } else { "infinity" };
                return Err(PgError::new(
                    sqlstate::FEATURE_NOT_SUPPORTED,
                    format!("cannot convert {what} to {target}"),
                ));
            }
            Ok(value.to_i64())
        }
        Some(Datum::Bool(value)) => Ok(Some(i64::from(*value))),
        Some(Datum::Char(value)) => Ok(Some(i64::from(*value as i8))),
        _ => int(arguments, 0).map(Some),
    }
}

pub fn to_bool(_: &dyn Environment, a: &[Datum]) -> PgResult<Datum> {
    Ok(Datum::Bool(int(a, 0)? != 0))
}

pub fn to_oid(_: &dyn Environment, a: &[Datum]) -> PgResult<Datum> {
    let value = int(a, 0)?;
    match a.first() {
        Some(Datum::Int8(_)) => u32::try_from(value)
            .map(Datum::Oid)
            .map_err(|_| PgError::new(sqlstate::NUMERIC_VALUE_OUT_OF_RANGE, "OID out of range")),
        _ => Ok(Datum::Oid(value as u32)),
    }
}

pub fn to_float8(_: &dyn Environment, a: &[Datum]) -> PgResult<Datum> {
    Ok(Datum::Float8(as_double(a)?))
}
pub fn to_float4(_: &dyn Environment, a: &[Datum]) -> PgResult<Datum> {
    if let Some(Datum::Numeric(value)) = a.first() {
        return crate::text::parse_float4(&value.to_string()).map(Datum::Float4);
    }
    let value = as_double(a)?;
    let narrowed = value as f32;
    let range = |which| PgError::new(sqlstate::NUMERIC_VALUE_OUT_OF_RANGE, format!("value out of range: {which}"));
    if narrowed.is_infinite() && !value.is_infinite() {
        return Err(range("overflow"));
    }
    if narrowed == 0.0 && value != 0.0 {
        return Err(range("underflow"));
    }
    Ok(Datum::Float4(narrowed))
}

fn as_double(arguments: &[Datum]) -> PgResult<f64> {
    match arguments.first() {
        Some(Datum::Float4(_) | Datum::Float8(_)) => double(arguments, 0),
        Some(Datum::Numeric(value)) => crate::text::parse_float8(&value.to_string(), "double precision"),
        _ => Ok(int(arguments, 0)? as f64),
    }
}

pub fn to_numeric(_: &dyn Environment, a: &[Datum]) -> PgResult<Datum> {
    Ok(Datum::numeric(match a.first() {
        Some(Datum::Float4(value)) => Numeric::from_f64(f64::from(*value), 6),
        Some(Datum::Float8(value)) => Numeric::from_f64(*value, 15),
        _ => Numeric::from(int(a, 0)?),
    }))
}

pub fn bool_to_text(_: &dyn Environment, a: &[Datum]) -> PgResult<Datum> {
    Ok(Datum::text(Text::from_static(if boolean(a, 0)? { "true" } else { "false" })))
}

/// `character(n)` to text: the padding goes.
pub fn bpchar_to_text(_: &dyn Environment, a: &[Datum]) -> PgResult<Datum> {
    let value = text(a, 0)?;
    let trimmed = trim_blanks(value);
    if trimmed.len() == value.len() { Ok(Datum::Text(value.clone())) } else { Ok(Datum::text(trimmed)) }
}
pub fn text_to_name(_: &dyn Environment, a: &[Datum]) -> PgResult<Datum> {
    Ok(Datum::text(crate::text::truncate_identifier(text(a, 0)?)))
}
pub fn char_to_text(_: &dyn Environment, a: &[Datum]) -> PgResult<Datum> {
    match a.first() {
        Some(Datum::Char(0)) => Ok(Datum::text("")),
        Some(Datum::Char(value)) => Ok(Datum::text(char::from(*value).to_string())),
        other => Err(wrong(other)),
    }
}
pub fn text_to_char(_: &dyn Environment, a: &[Datum]) -> PgResult<Datum> {
    Ok(Datum::Char(text(a, 0)?.bytes().next().unwrap_or(0)))
}
pub fn int4_to_char(_: &dyn Environment, a: &[Datum]) -> PgResult<Datum> {
    i8::try_from(int(a, 0)?)
        .map(|value| Datum::Char(value as u8))
        .map_err(|_| PgError::new(sqlstate::NUMERIC_VALUE_OUT_OF_RANGE, "\"char\" out of range"))
}

pub fn text_to_regclass(environment: &dyn Environment, a: &[Datum]) -> PgResult<Datum> {
    crate::text::input(oid::REGCLASS, -1, text(a, 0)?, environment)
}

pub(crate) fn date_as_timestamp(date: i32) -> i64 {
    match date {
        dt::DATE_INFINITY => dt::TIMESTAMP_INFINITY,
        dt::DATE_NEGATIVE_INFINITY => dt::TIMESTAMP_NEGATIVE_INFINITY,
        _ => i64::from(date).saturating_mul(MICROSECONDS_PER_DAY),
    }
}

fn checked_midnight(date: i32) -> PgResult<i64> {
    if dt::is_infinite_date(date) {
        return Ok(date_as_timestamp(date));
    }
    dt::checked_timestamp(i128::from(date) * i128::from(MICROSECONDS_PER_DAY))
        .map_err(|_| PgError::new(sqlstate::DATETIME_FIELD_OVERFLOW, "date out of range for timestamp"))
}

pub fn date_to_timestamp(_: &dyn Environment, a: &[Datum]) -> PgResult<Datum> {
    Ok(Datum::Timestamp(checked_midnight(date(a, 0)?)?))
}
pub fn date_to_timestamptz(environment: &dyn Environment, a: &[Datum]) -> PgResult<Datum> {
    Ok(Datum::Timestamp(environment.format().time_zone.to_utc(checked_midnight(date(a, 0)?)?)))
}
pub fn timestamp_to_timestamptz(environment: &dyn Environment, a: &[Datum]) -> PgResult<Datum> {
    Ok(Datum::Timestamp(environment.format().time_zone.to_utc(timestamp(a, 0)?)))
}
pub fn timestamptz_to_timestamp(environment: &dyn Environment, a: &[Datum]) -> PgResult<Datum> {
    Ok(Datum::Timestamp(environment.format().time_zone.to_local(timestamp(a, 0)?)))
}

fn day_of(timestamp: i64) -> Datum {
    Datum::Date(match timestamp {
        dt::TIMESTAMP_INFINITY => dt::DATE_INFINITY,
        dt::TIMESTAMP_NEGATIVE_INFINITY => dt::DATE_NEGATIVE_INFINITY,
        _ => dt::split_timestamp(timestamp).0 as i32,
    })
}
pub fn timestamp_to_date(_: &dyn Environment, a: &[Datum]) -> PgResult<Datum> {
    Ok(day_of(timestamp(a, 0)?))
}
pub fn timestamptz_to_date(environment: &dyn Environment, a: &[Datum]) -> PgResult<Datum> {
    Ok(day_of(environment.format().time_zone.to_local(timestamp(a, 0)?)))
}
pub fn timestamp_to_time(_: &dyn Environment, a: &[Datum]) -> PgResult<Datum> {
    let value = timestamp(a, 0)?;
    Ok(if dt::is_infinite_timestamp(value) { Datum::Null } else { Datum::Time(dt::split_timestamp(value).1) })
}
pub fn timestamptz_to_time(environment: &dyn Environment, a: &[Datum]) -> PgResult<Datum> {
    let value = timestamp(a, 0)?;
    if dt::is_infinite_timestamp(value) {
        return Ok(Datum::Null);
    }
    Ok(Datum::Time(dt::split_timestamp(environment.format().time_zone.to_local(value)).1))
}
pub fn time_to_interval(_: &dyn Environment, a: &[Datum]) -> PgResult<Datum> {
    Ok(Datum::Interval(Interval { microseconds: time(a, 0)?, days: 0, months: 0 }))
}
pub fn interval_to_time(_: &dyn Environment, a: &[Datum]) -> PgResult<Datum> {
    Ok(Datum::Time(interval(a, 0)?.microseconds.rem_euclid(MICROSECONDS_PER_DAY)))
}
