//! More of dates and times: intervals of parts, zones by offset, bins, overlaps.
use super::*;
use crate::datetime::*;
use crate::error::sqlstate;

/// `make_interval(years, months, weeks, days, hours, minutes, seconds)`
pub fn make_interval(_: &dyn Environment, a: &[Datum]) -> PgResult<Datum> {
    let fail = || PgError::new(sqlstate::DATETIME_FIELD_OVERFLOW, "interval out of range");
    let seconds = double(a, 6)?;
    if !seconds.is_finite() {
        return Err(fail());
    }
    let months = int(a, 0)? * 12 + int(a, 1)?;
    let days = int(a, 2)? * 7 + int(a, 3)?;
    let microseconds = i128::from(int(a, 4)?) * i128::from(MICROSECONDS_PER_HOUR)
        + i128::from(int(a, 5)?) * i128::from(MICROSECONDS_PER_MINUTE)
        + (seconds * MICROSECONDS_PER_SECOND as f64).round_ties_even() as i128;
    match (i32::try_from(months), i32::try_from(days), i64::try_from(microseconds)) {
        (Ok(months), Ok(days), Ok(microseconds)) => Ok(Datum::Interval(Interval { microseconds, days, months })),
        _ => Err(fail()),
    }
}

/// `make_timestamptz(year, month, day, hour, minute, second [, zone])`
pub fn make_timestamptz(environment: &dyn Environment, a: &[Datum]) -> PgResult<Datum> {
    let Datum::Timestamp(local) = super::datetime::make_timestamp(environment, &a[..6])? else {
        return Err(wrong(None));
    };
    let zone = if a.len() > 6 { super::datetime::named_zone(text(a, 6)?)? } else { environment.format().time_zone };
    checked_timestamp(i128::from(zone.to_utc(local))).map(Datum::Timestamp)
}

pub(super) fn offset_zone(a: &[Datum]) -> PgResult<TimeZone> {
    let offset = interval(a, 0)?;
    if offset.months != 0 || offset.days != 0 {
        let message = format!("interval time zone \"{}\" must not include months or days", format_interval(&offset));
        return Err(PgError::new(sqlstate::INVALID_PARAMETER_VALUE, message));
    }
    Ok(TimeZone::Fixed((offset.microseconds / MICROSECONDS_PER_SECOND) as i32))
}
/// `timezone(interval, timestamp)`
pub fn offset_of_timestamp(_: &dyn Environment, a: &[Datum]) -> PgResult<Datum> {
    Ok(Datum::Timestamp(offset_zone(a)?.to_utc(timestamp(a, 1)?)))
}
/// `timezone(interval, timestamptz)`
pub fn offset_of_timestamptz(_: &dyn Environment, a: &[Datum]) -> PgResult<Datum> {
    Ok(Datum::Timestamp(offset_zone(a)?.to_local(timestamp(a, 1)?)))
}

/// `date_trunc(unit, timestamptz, zone)`
pub fn truncate_in_zone(_: &dyn Environment, a: &[Datum]) -> PgResult<Datum> {
    let zone = super::datetime::named_zone(text(a, 2)?)?;
    super::datetime::truncate_zoned(text(a, 0)?, timestamp(a, 1)?, &zone)
}

/// `date_trunc(unit, interval)`
pub fn truncate_interval(_: &dyn Environment, a: &[Datum]) -> PgResult<Datum> {
    let given = text(a, 0)?;
    let unit = super::datetime::unit_of(given);
    let value = interval(a, 1)?;
    let down = |value: i64, step: i64| value / step * step;
    let months = |step: i32| Interval { months: value.months / step * step, days: 0, microseconds: 0 };
    let time = |step: i64| Interval { microseconds: down(value.microseconds, step), ..value };
    Ok(Datum::Interval(match unit.as_str() {
        "microseconds" => value,
        "milliseconds" => time(1000),
        "second" => time(MICROSECONDS_PER_SECOND),
        "minute" => time(MICROSECONDS_PER_MINUTE),
        "hour" => time(MICROSECONDS_PER_HOUR),
        "day" => Interval { microseconds: 0, ..value },
        "month" => months(1),
        "quarter" => months(3),
        "year" => months(12),
        "decade" => months(120),
        "century" => months(1200),
        "millennium" => months(12_000),
        "week" => {
            let message = "unit \"week\" not supported for type interval";
            return Err(
                PgError::new(sqlstate::FEATURE_NOT_SUPPORTED, message).detail("Months usually have fractional weeks.")
            );
        }
        _ => {
            let message = format!("unit \"{}\" not recognized for type interval", given.to_lowercase());
            return Err(PgError::new(sqlstate::INVALID_PARAMETER_VALUE, message));
        }
    }))
}

/// `date_bin(stride, moment, origin)`
pub fn bin(_: &dyn Environment, a: &[Datum]) -> PgResult<Datum> {
    let (stride, moment, origin) = (interval(a, 0)?, timestamp(a, 1)?, timestamp(a, 2)?);
    if is_infinite_timestamp(moment) {
        return Ok(Datum::Timestamp(moment));
    }
    if is_infinite_timestamp(origin) {
        return Err(PgError::new(sqlstate::DATETIME_FIELD_OVERFLOW, "origin out of range"));
    }
    if stride.months != 0 {
        let message = "timestamps cannot be binned into intervals containing months or years";
        return Err(PgError::new(sqlstate::FEATURE_NOT_SUPPORTED, message));
    }
    let step = i128::from(stride.days) * i128::from(MICROSECONDS_PER_DAY) + i128::from(stride.microseconds);
    if step <= 0 {
        return Err(PgError::new(sqlstate::DATETIME_FIELD_OVERFLOW, "stride must be greater than zero"));
    }
    let since = i128::from(moment) - i128::from(origin);
    checked_timestamp(i128::from(origin) + since.div_euclid(step) * step).map(Datum::Timestamp)
}

pub fn date_and_time_in_zone(environment: &dyn Environment, a: &[Datum]) -> PgResult<Datum> {
    match super::datetime::date_plus_time(environment, a)? {
        Datum::Timestamp(local) => Ok(Datum::Timestamp(environment.format().time_zone.to_utc(local))),
        other => Ok(other),
    }
}
pub fn time_plus_date(environment: &dyn Environment, a: &[Datum]) -> PgResult<Datum> {
    super::datetime::date_plus_time(environment, &[a[1].clone(), a[0].clone()])
}
pub fn interval_plus_time(environment: &dyn Environment, a: &[Datum]) -> PgResult<Datum> {
    super::datetime::time_plus_interval(environment, &[a[1].clone(), a[0].clone()])
}

/// `Mon Jan 01 12:34:56.123456 2024 UTC`
pub fn time_of_day(environment: &dyn Environment, _: &[Datum]) -> PgResult<Datum> {
    let moment = [Datum::Timestamp(environment.clock_time()), Datum::text("Dy Mon DD HH24:MI:SS.US YYYY TZ")];
    super::formatting::timestamptz_to_char(environment, &moment)
}

/// The end of a period that is given by its end or its length.
type EndOf = fn(&dyn Environment, &Datum, &Datum) -> PgResult<Datum>;

/// SQL's OVERLAPS: periods are half open, and a moment is inside at its own instant. NULLs as far as they decide.
fn overlaps(environment: &dyn Environment, a: &[Datum], first_end: EndOf, second_end: EndOf) -> PgResult<Datum> {
    let period = |start: &Datum, end: &Datum, end_of: EndOf| -> PgResult<(Datum, Datum)> {
        let end = if start.is_null() || end.is_null() {
            if start.is_null() { end.clone() } else { Datum::Null }
        } else {
            end_of(environment, start, end)?
        };
        // The earlier first; one that is known before one that is not.
        let swap = start.is_null() || (!end.is_null() && crate::compare(crate::oid::TIMESTAMP, start, &end).is_gt());
        Ok(if swap { (end, start.clone()) } else { (start.clone(), end) })
    };
    let (first_start, first_end) = period(&a[0], &a[1], first_end)?;
    let (second_start, second_end) = period(&a[2], &a[3], second_end)?;
    if first_start.is_null() || second_start.is_null() {
        return Ok(Datum::Null);
    }
    let order = |left: &Datum, right: &Datum| crate::compare(crate::oid::TIMESTAMP, left, right);
    let (later_start, other_end, own_end) = match order(&first_start, &second_start) {
        std::cmp::Ordering::Greater => (first_start, second_end, first_end),
        std::cmp::Ordering::Less => (second_start, first_end, second_end),
        std::cmp::Ordering::Equal => {
            return Ok(if first_end.is_null() || second_end.is_null() { Datum::Null } else { Datum::Bool(true) });
        }
    };
    if other_end.is_null() {
        return Ok(Datum::Null);
    }
    if order(&later_start, &other_end).is_lt() {
        return Ok(Datum::Bool(true));
    }
    Ok(if own_end.is_null() { Datum::Null } else { Datum::Bool(false) })
}
fn end_itself(_: &dyn Environment, _: &Datum, end: &Datum) -> PgResult<Datum> {
    Ok(end.clone())
}
fn end_after(environment: &dyn Environment, start: &Datum, length: &Datum) -> PgResult<Datum> {
    let pair = [start.clone(), length.clone()];
    match start {
        Datum::Time(_) => super::datetime::time_plus_interval(environment, &pair),
        _ => super::datetime::timestamp_plus_interval(environment, &pair),
    }
}
fn end_after_zoned(environment: &dyn Environment, start: &Datum, length: &Datum) -> PgResult<Datum> {
    super::datetime::timestamptz_plus_interval(environment, &[start.clone(), length.clone()])
}
macro_rules! overlapping {
    ($($name:ident = $first:ident, $second:ident;)*) => {
        $(pub fn $name(environment: &dyn Environment, a: &[Datum]) -> PgResult<Datum> {
            overlaps(environment, a, $first, $second)
        })*
    };
}
overlapping! {
    overlaps_ends = end_itself, end_itself;
    overlaps_lengths = end_after, end_after;
    overlaps_end_length = end_itself, end_after;
    overlaps_length_end = end_after, end_itself;
    overlaps_zoned_lengths = end_after_zoned, end_after_zoned;
    overlaps_zoned_end_length = end_itself, end_after_zoned;
    overlaps_zoned_length_end = end_after_zoned, end_itself;
}

/// `pg_column_size`: as PostgreSQL stores the value, headers of short values being one byte.
pub fn column_size(_: &dyn Environment, a: &[Datum]) -> PgResult<Datum> {
    let variable = |bytes: usize| if bytes <= 126 { bytes + 1 } else { bytes + 4 };
    Ok(Datum::Int4(match a.first() {
        None | Some(Datum::Null) => return Ok(Datum::Null),
        Some(Datum::Bool(_) | Datum::Char(_)) => 1,
        Some(Datum::Int2(_)) => 2,
        Some(Datum::Int4(_) | Datum::Float4(_) | Datum::Date(_) | Datum::Oid(_)) => 4,
        Some(Datum::Int8(_) | Datum::Float8(_) | Datum::Time(_) | Datum::Timestamp(_)) => 8,
        Some(Datum::Interval(_) | Datum::Uuid(_)) => 16,
        Some(Datum::Text(value)) => variable(value.len()) as i32,
        Some(Datum::Bytea(value)) => variable(value.len()) as i32,
        Some(other) => other.memory() as i32,
    }))
}

const SIZE_UNITS: [(&str, i64); 6] =
    [("bytes", 1), ("kB", 1 << 10), ("MB", 1 << 20), ("GB", 1 << 30), ("TB", 1 << 40), ("PB", 1 << 50)];

/// `pg_size_bytes('10 GB')`
pub fn size_bytes(_: &dyn Environment, a: &[Datum]) -> PgResult<Datum> {
    let given = text(a, 0)?;
    let trimmed = given.trim();
    let split = trimmed
        .char_indices()
        .find(|(at, ch)| !(ch.is_ascii_digit() || *ch == '.' || (*at == 0 && matches!(ch, '-' | '+'))))
        .map_or(trimmed.len(), |(at, _)| at);
    let invalid = || PgError::new(sqlstate::INVALID_PARAMETER_VALUE, format!("invalid size: \"{given}\""));
    let number = Numeric::parse(&trimmed[..split]).ok_or_else(invalid)??;
    let unit = trimmed[split..].trim();
    let known = SIZE_UNITS.iter().find(|(name, _)| unit.eq_ignore_ascii_case(name));
    let factor = match (unit, known) {
        ("", _) => 1,
        (_, Some((_, factor))) => *factor,
        _ => {
            return Err(invalid()
                .detail(format!("Invalid size unit: \"{unit}\"."))
                .hint("Valid units are \"bytes\", \"kB\", \"MB\", \"GB\", \"TB\", and \"PB\"."));
        }
    };
    super::integer::int8(number.multiply(&Numeric::from(factor))?.to_i64())
}
