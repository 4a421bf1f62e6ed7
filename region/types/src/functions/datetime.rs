//! Dates and times: arithmetic, fields, truncation.
use super::*;
use crate::datetime::*;
use crate::error::sqlstate;

pub fn now(environment: &dyn Environment, _: &[Datum]) -> PgResult<Datum> {
    Ok(Datum::Timestamp(environment.transaction_time()))
}
pub fn statement_timestamp(environment: &dyn Environment, _: &[Datum]) -> PgResult<Datum> {
    Ok(Datum::Timestamp(environment.statement_time()))
}
pub fn clock_timestamp(environment: &dyn Environment, _: &[Datum]) -> PgResult<Datum> {
    Ok(Datum::Timestamp(environment.clock_time()))
}
/// `CURRENT_DATE`
pub fn current_date(environment: &dyn Environment, _: &[Datum]) -> PgResult<Datum> {
    let local = environment.format().time_zone.to_local(environment.transaction_time());
    Ok(Datum::Date(split_timestamp(local).0 as i32))
}
/// `LOCALTIME`
pub fn local_time(environment: &dyn Environment, _: &[Datum]) -> PgResult<Datum> {
    let local = environment.format().time_zone.to_local(environment.transaction_time());
    Ok(Datum::Time(split_timestamp(local).1))
}
/// `LOCALTIMESTAMP`
pub fn local_timestamp(environment: &dyn Environment, _: &[Datum]) -> PgResult<Datum> {
    Ok(Datum::Timestamp(environment.format().time_zone.to_local(environment.transaction_time())))
}

pub fn date_plus_days(_: &dyn Environment, a: &[Datum]) -> PgResult<Datum> {
    shift_date(date(a, 0)?, int(a, 1)?)
}
pub fn days_plus_date(_: &dyn Environment, a: &[Datum]) -> PgResult<Datum> {
    shift_date(date(a, 1)?, int(a, 0)?)
}
pub fn date_minus_days(_: &dyn Environment, a: &[Datum]) -> PgResult<Datum> {
    shift_date(date(a, 0)?, -int(a, 1)?)
}
fn shift_date(date: i32, days: i64) -> PgResult<Datum> {
    if is_infinite_date(date) {
        return Ok(Datum::Date(date));
    }
    checked_date(i64::from(date) + days).map(Datum::Date)
}
pub fn date_minus_date(_: &dyn Environment, a: &[Datum]) -> PgResult<Datum> {
    let (left, right) = (date(a, 0)?, date(a, 1)?);
    if is_infinite_date(left) || is_infinite_date(right) {
        return Err(PgError::new(sqlstate::DATETIME_FIELD_OVERFLOW, "cannot subtract infinite dates"));
    }
    Ok(Datum::Int4(left - right))
}

fn local_of(datum: Option<&Datum>) -> PgResult<i64> {
    match datum {
        Some(Datum::Date(date)) => Ok(super::cast::date_as_timestamp(*date)),
        Some(Datum::Timestamp(timestamp)) => Ok(*timestamp),
        other => Err(wrong(other)),
    }
}

pub fn timestamp_plus_interval(_: &dyn Environment, a: &[Datum]) -> PgResult<Datum> {
    add_interval(local_of(a.first())?, &interval(a, 1)?).map(Datum::Timestamp)
}
pub fn interval_plus_timestamp(_: &dyn Environment, a: &[Datum]) -> PgResult<Datum> {
    add_interval(local_of(a.get(1))?, &interval(a, 0)?).map(Datum::Timestamp)
}
pub fn timestamp_minus_interval(_: &dyn Environment, a: &[Datum]) -> PgResult<Datum> {
    add_interval(local_of(a.first())?, &negate_interval(&interval(a, 1)?)?).map(Datum::Timestamp)
}
pub fn timestamptz_plus_interval(environment: &dyn Environment, a: &[Datum]) -> PgResult<Datum> {
    let zone = &environment.format().time_zone;
    add_interval_in_zone(timestamp(a, 0)?, &interval(a, 1)?, zone).map(Datum::Timestamp)
}
pub fn interval_plus_timestamptz(environment: &dyn Environment, a: &[Datum]) -> PgResult<Datum> {
    let zone = &environment.format().time_zone;
    add_interval_in_zone(timestamp(a, 1)?, &interval(a, 0)?, zone).map(Datum::Timestamp)
}
pub fn timestamptz_minus_interval(environment: &dyn Environment, a: &[Datum]) -> PgResult<Datum> {
    let zone = &environment.format().time_zone;
    add_interval_in_zone(timestamp(a, 0)?, &negate_interval(&interval(a, 1)?)?, zone).map(Datum::Timestamp)
}
pub fn timestamp_minus_timestamp(_: &dyn Environment, a: &[Datum]) -> PgResult<Datum> {
    subtract_timestamps(timestamp(a, 0)?, timestamp(a, 1)?).map(Datum::Interval)
}

pub fn interval_add(_: &dyn Environment, a: &[Datum]) -> PgResult<Datum> {
    sum_intervals(interval(a, 0)?, interval(a, 1)?).map(Datum::Interval)
}
pub fn interval_subtract(_: &dyn Environment, a: &[Datum]) -> PgResult<Datum> {
    sum_intervals(interval(a, 0)?, negate_interval(&interval(a, 1)?)?).map(Datum::Interval)
}
pub(crate) fn sum_intervals(left: Interval, right: Interval) -> PgResult<Interval> {
    let parts = (
        left.microseconds.checked_add(right.microseconds),
        left.days.checked_add(right.days),
        left.months.checked_add(right.months),
    );
    match parts {
        (Some(microseconds), Some(days), Some(months)) => Ok(Interval { microseconds, days, months }),
        _ => Err(interval_out_of_range()),
    }
}
pub fn interval_negate(_: &dyn Environment, a: &[Datum]) -> PgResult<Datum> {
    negate_interval(&interval(a, 0)?).map(Datum::Interval)
}

/// Each part scaled; fractions of months become days, fractions of days become time.
fn scaled(value: &Interval, scale: impl Fn(f64) -> f64) -> PgResult<Interval> {
    const DAY_SECONDS: f64 = 86_400.0;
    let micro = |value: f64| (value * 1e6).round_ties_even() / 1e6;
    let (months, days) = (scale(f64::from(value.months)), scale(f64::from(value.days)));
    let fits = |value: f64| value.abs() <= f64::from(i32::MAX);
    if !fits(months) || !fits(days) {
        return Err(interval_out_of_range());
    }
    let month_days = micro(months.fract() * 30.0);
    let mut rest = micro((days.fract() + month_days.fract()) * DAY_SECONDS);
    let mut whole_days = days.trunc();
    if rest.abs() >= DAY_SECONDS {
        whole_days += (rest / DAY_SECONDS).trunc();
        rest -= (rest / DAY_SECONDS).trunc() * DAY_SECONDS;
    }
    whole_days += month_days.trunc();
    let microseconds = (scale(value.microseconds as f64) + rest * 1e6).round_ties_even();
    if !fits(whole_days) || microseconds.abs() >= 9.2e18 {
        return Err(interval_out_of_range());
    }
    Ok(Interval { microseconds: microseconds as i64, days: whole_days as i32, months: months.trunc() as i32 })
}
pub(crate) fn scale_interval(value: &Interval, factor: f64) -> PgResult<Interval> {
    scaled(value, |part| part * factor)
}
pub(crate) fn divide_interval(value: &Interval, divisor: f64) -> PgResult<Interval> {
    scaled(value, |part| part / divisor)
}
pub fn interval_times(_: &dyn Environment, a: &[Datum]) -> PgResult<Datum> {
    scale_interval(&interval(a, 0)?, double(a, 1)?).map(Datum::Interval)
}
pub fn times_interval(_: &dyn Environment, a: &[Datum]) -> PgResult<Datum> {
    scale_interval(&interval(a, 1)?, double(a, 0)?).map(Datum::Interval)
}
pub fn interval_divide(_: &dyn Environment, a: &[Datum]) -> PgResult<Datum> {
    let divisor = double(a, 1)?;
    if divisor == 0.0 {
        return Err(crate::numeric::division_by_zero());
    }
    divide_interval(&interval(a, 0)?, divisor).map(Datum::Interval)
}
pub fn justify_hours_of(_: &dyn Environment, a: &[Datum]) -> PgResult<Datum> {
    Ok(Datum::Interval(justify_hours(&interval(a, 0)?)))
}

pub fn time_plus_interval(_: &dyn Environment, a: &[Datum]) -> PgResult<Datum> {
    let moved = i128::from(time(a, 0)?) + i128::from(interval(a, 1)?.microseconds);
    Ok(Datum::Time(moved.rem_euclid(i128::from(MICROSECONDS_PER_DAY)) as i64))
}
pub fn time_minus_interval(_: &dyn Environment, a: &[Datum]) -> PgResult<Datum> {
    let moved = i128::from(time(a, 0)?) - i128::from(interval(a, 1)?.microseconds);
    Ok(Datum::Time(moved.rem_euclid(i128::from(MICROSECONDS_PER_DAY)) as i64))
}
pub fn time_minus_time(_: &dyn Environment, a: &[Datum]) -> PgResult<Datum> {
    Ok(Datum::Interval(Interval { microseconds: time(a, 0)? - time(a, 1)?, days: 0, months: 0 }))
}
pub fn date_plus_time(_: &dyn Environment, a: &[Datum]) -> PgResult<Datum> {
    let total = i128::from(date(a, 0)?) * i128::from(MICROSECONDS_PER_DAY) + i128::from(time(a, 1)?);
    checked_timestamp(total).map(Datum::Timestamp)
}

/// `timezone(zone, timestamp)`: wall time there, as an instant.
pub fn timezone_of_timestamp(_: &dyn Environment, a: &[Datum]) -> PgResult<Datum> {
    Ok(Datum::Timestamp(named_zone(text(a, 0)?)?.to_utc(timestamp(a, 1)?)))
}
/// `timezone(zone, timestamptz)`: the instant, as wall time there.
pub fn timezone_of_timestamptz(_: &dyn Environment, a: &[Datum]) -> PgResult<Datum> {
    Ok(Datum::Timestamp(named_zone(text(a, 0)?)?.to_local(timestamp(a, 1)?)))
}
pub(super) fn named_zone(name: &str) -> PgResult<TimeZone> {
    TimeZone::named(name)
        .ok_or_else(|| PgError::new(sqlstate::INVALID_PARAMETER_VALUE, format!("time zone \"{name}\" not recognized")))
}

pub fn make_date(_: &dyn Environment, a: &[Datum]) -> PgResult<Datum> {
    let (year, month, day) = (int(a, 0)?, int(a, 1)?, int(a, 2)?);
    let bad = || {
        let message = format!("date field value out of range: {year}-{month:02}-{day:02}");
        PgError::new(sqlstate::DATETIME_FIELD_OVERFLOW, message)
    };
    let civil_year = if year < 0 { year + 1 } else { year };
    let valid = year != 0
        && (1..=12).contains(&month)
        && day >= 1
        && day <= i64::from(days_in_month(civil_year, month as u32))
        && civil_year.abs() < 6_000_000;
    if !valid {
        return Err(bad());
    }
    checked_date(days_from_civil(civil_year, month as u32, day as u32)).map(Datum::Date).map_err(|_| bad())
}

/// `to_timestamp(seconds since 1970)`
pub fn from_unix_seconds(_: &dyn Environment, a: &[Datum]) -> PgResult<Datum> {
    let seconds = double(a, 0)?;
    if seconds.is_infinite() {
        return Ok(Datum::Timestamp(if seconds > 0.0 { TIMESTAMP_INFINITY } else { TIMESTAMP_NEGATIVE_INFINITY }));
    }
    if seconds.is_nan() || seconds.abs() > 1e13 {
        return Err(timestamp_out_of_range());
    }
    let microseconds = ((seconds - EPOCH_UNIX_DAYS as f64 * 86_400.0) * 1e6).round_ties_even();
    checked_timestamp(microseconds as i128).map(Datum::Timestamp)
}

/// What `extract`, `date_part` and `date_trunc` name.
pub(super) fn unit_of(name: &str) -> String {
    let lower = name.to_ascii_lowercase();
    match lower.as_str() {
        "years" | "y" | "yr" => "year",
        "months" | "mon" | "mons" => "month",
        "days" | "d" => "day",
        "hours" | "h" | "hr" => "hour",
        "minutes" | "m" | "min" | "mins" => "minute",
        "seconds" | "s" | "sec" | "secs" => "second",
        "millisecond" | "ms" | "msec" => "milliseconds",
        "microsecond" | "us" | "usec" => "microseconds",
        "weeks" | "w" => "week",
        "quarters" | "qtr" => "quarter",
        "decades" => "decade",
        "centuries" | "c" | "cent" => "century",
        "millenniums" | "millennia" | "mil" => "millennium",
        _ => return lower,
    }
    .to_string()
}

fn unit_unknown(unit: &str, type_name: &str) -> Box<PgError> {
    PgError::new(sqlstate::INVALID_PARAMETER_VALUE, format!("unit \"{unit}\" not recognized for type {type_name}"))
}

/// A field's value.
#[derive(Clone, Copy, Debug)]
enum Field {
    Nothing,
    /// In millionths, so that fractions stay exact, and how many digits after the point it shows.
    Number(i128, u32),
    /// Of a moment that is infinite itself.
    Infinite {
        above: bool,
    },
    /// Days and the microsecond of the day, as a fraction of it.
    Julian {
        days: i64,
        time: i64,
    },
}

fn timestamp_field(unit: &str, local: i64, zone_offset: Option<i32>, type_name: &str) -> PgResult<Field> {
    if is_infinite_timestamp(local) {
        // What only grows goes to infinity with the moment.
        let grows = matches!(unit, "year" | "decade" | "century" | "millennium" | "julian" | "isoyear" | "epoch");
        if !grows {
            timestamp_field(unit, 0, zone_offset, type_name)?;
            return Ok(Field::Nothing);
        }
        return Ok(Field::Infinite { above: local > 0 });
    }
    let (days, time) = split_timestamp(local);
    let civil = civil_from_days(days);
    let display_year = if civil.year > 0 { civil.year } else { civil.year - 1 };
    let whole = |value: i64| Ok(Field::Number(i128::from(value) * 1_000_000, 0));
    match unit {
        "year" => whole(display_year),
        "month" => whole(i64::from(civil.month)),
        "day" => whole(i64::from(civil.day)),
        "hour" => whole(time / MICROSECONDS_PER_HOUR),
        "minute" => whole(time / MICROSECONDS_PER_MINUTE % 60),
        "second" => Ok(Field::Number(i128::from(time % MICROSECONDS_PER_MINUTE), 6)),
        "milliseconds" => Ok(Field::Number(i128::from(time % MICROSECONDS_PER_MINUTE) * 1000, 3)),
        "microseconds" => whole(time % MICROSECONDS_PER_MINUTE),
        "quarter" => whole(i64::from(civil.month - 1) / 3 + 1),
        "week" => whole(i64::from(iso_week(days).1)),
        "isoyear" => {
            let year = iso_week(days).0;
            whole(if year > 0 { year } else { year - 1 })
        }
        "decade" => whole(civil.year.div_euclid(10)),
        "century" => whole(if display_year > 0 { (display_year + 99) / 100 } else { -((99 - display_year) / 100) }),
        "millennium" => {
            whole(if display_year > 0 { (display_year + 999) / 1000 } else { -((999 - display_year) / 1000) })
        }
        "dow" => whole(i64::from(day_of_week(days))),
        "isodow" => whole(i64::from(match day_of_week(days) {
            0 => 7,
            day => day,
        })),
        "doy" => whole(days - days_from_civil(civil.year, 1, 1) + 1),
        "julian" => Ok(Field::Julian { days: days + EPOCH_JULIAN, time }),
        "epoch" => {
            let offset = i128::from(zone_offset.unwrap_or(0)) * 1_000_000;
            let unix = i128::from(local) + i128::from(EPOCH_UNIX_DAYS) * i128::from(MICROSECONDS_PER_DAY);
            Ok(Field::Number(unix - offset, 6))
        }
        "timezone" if zone_offset.is_some() => whole(i64::from(zone_offset.unwrap_or(0))),
        "timezone_hour" if zone_offset.is_some() => whole(i64::from(zone_offset.unwrap_or(0) / 3600)),
        "timezone_minute" if zone_offset.is_some() => whole(i64::from(zone_offset.unwrap_or(0) % 3600 / 60)),
        _ => Err(unit_unknown(unit, type_name)),
    }
}

fn interval_field(unit: &str, value: &Interval) -> PgResult<Field> {
    let whole = |value: i64| Ok(Field::Number(i128::from(value) * 1_000_000, 0));
    let time = value.microseconds;
    match unit {
        "year" => whole(i64::from(value.months / 12)),
        "month" => whole(i64::from(value.months % 12)),
        "day" => whole(i64::from(value.days)),
        "hour" => whole(time / MICROSECONDS_PER_HOUR),
        "minute" => whole(time / MICROSECONDS_PER_MINUTE % 60),
        "second" => Ok(Field::Number(i128::from(time % MICROSECONDS_PER_MINUTE), 6)),
        "milliseconds" => Ok(Field::Number(i128::from(time % MICROSECONDS_PER_MINUTE) * 1000, 3)),
        "microseconds" => whole(time % MICROSECONDS_PER_MINUTE),
        "quarter" => whole(i64::from(value.months % 12 / 3 + 1)),
        "decade" => whole(i64::from(value.months / 120)),
        "century" => whole(i64::from(value.months / 1200)),
        "millennium" => whole(i64::from(value.months / 12_000)),
        "epoch" => {
            // A year counts 365.25 days here, a month 30.
            let years = i128::from(value.months / 12) * 31_557_600;
            let months = i128::from(value.months % 12) * 30 * 86_400;
            let days = i128::from(value.days) * 86_400;
            Ok(Field::Number((years + months + days) * 1_000_000 + i128::from(time), 6))
        }
        _ => Err(unit_unknown(unit, "interval")),
    }
}

fn timetz_field(unit: &str, value: &crate::TimeTz) -> PgResult<Field> {
    const NAME: &str = "time with time zone";
    match unit {
        "epoch" => Ok(Field::Number(i128::from(value.greenwich()), 6)),
        "hour" | "minute" | "second" | "milliseconds" | "microseconds" | "timezone" | "timezone_hour"
        | "timezone_minute" => timestamp_field(unit, value.microseconds, Some(-value.west), NAME),
        _ => {
            timestamp_field(unit, value.microseconds, Some(-value.west), NAME)?;
            let message = format!("unit \"{unit}\" not supported for type {NAME}");
            Err(PgError::new(sqlstate::FEATURE_NOT_SUPPORTED, message))
        }
    }
}

fn field_of(environment: &dyn Environment, a: &[Datum], zoned: bool) -> PgResult<Field> {
    let unit = unit_of(text(a, 0)?);
    match a.get(1) {
        Some(Datum::Timestamp(value)) if zoned => {
            let zone = &environment.format().time_zone;
            let offset = zone.offset_at(*value);
            timestamp_field(&unit, zone.to_local(*value), Some(offset), "timestamp with time zone")
        }
        Some(Datum::Timestamp(value)) => timestamp_field(&unit, *value, None, "timestamp without time zone"),
        Some(Datum::Date(value)) => {
            if matches!(unit.as_str(), "hour" | "minute" | "second" | "milliseconds" | "microseconds") {
                let message = format!("unit \"{unit}\" not supported for type date");
                return Err(PgError::new(sqlstate::FEATURE_NOT_SUPPORTED, message));
            }
            // A day has no fractions.
            Ok(match timestamp_field(&unit, super::cast::date_as_timestamp(*value), None, "date")? {
                Field::Number(millionths, _) => Field::Number(millionths, 0),
                Field::Julian { days, .. } => Field::Number(i128::from(days) * 1_000_000, 0),
                other => other,
            })
        }
        Some(Datum::Time(value)) => match unit.as_str() {
            "epoch" => Ok(Field::Number(i128::from(*value), 6)),
            "hour" | "minute" | "second" | "milliseconds" | "microseconds" => {
                timestamp_field(&unit, *value, None, "time without time zone")
            }
            _ => {
                timestamp_field(&unit, *value, None, "time without time zone")?;
                let message = format!("unit \"{unit}\" not supported for type time without time zone");
                Err(PgError::new(sqlstate::FEATURE_NOT_SUPPORTED, message))
            }
        },
        Some(Datum::TimeTz(value)) => timetz_field(&unit, value),
        Some(Datum::Interval(value)) => interval_field(&unit, value),
        other => Err(wrong(other)),
    }
}

fn as_numeric(field: Field) -> PgResult<Datum> {
    Ok(match field {
        Field::Nothing => Datum::Null,
        Field::Number(millionths, digits) => Datum::numeric(Numeric::new(millionths, 6).truncate(digits as i32)),
        Field::Infinite { above: true } => Datum::numeric(Numeric::PositiveInfinity),
        Field::Infinite { above: false } => Datum::numeric(Numeric::NegativeInfinity),
        Field::Julian { days, time } => {
            let fraction = Numeric::from(time).divide(&Numeric::from(MICROSECONDS_PER_DAY))?;
            Datum::numeric(Numeric::from(days).add(&fraction)?)
        }
    })
}
fn as_double_field(field: Field) -> Datum {
    match field {
        Field::Nothing => Datum::Null,
        Field::Number(millionths, _) => Datum::Float8(millionths as f64 / 1e6),
        Field::Infinite { above: true } => Datum::Float8(f64::INFINITY),
        Field::Infinite { above: false } => Datum::Float8(f64::NEG_INFINITY),
        Field::Julian { days, time } => Datum::Float8(days as f64 + time as f64 / MICROSECONDS_PER_DAY as f64),
    }
}

pub fn extract(environment: &dyn Environment, a: &[Datum]) -> PgResult<Datum> {
    as_numeric(field_of(environment, a, false)?)
}
pub fn extract_zoned(environment: &dyn Environment, a: &[Datum]) -> PgResult<Datum> {
    as_numeric(field_of(environment, a, true)?)
}
pub fn date_part(environment: &dyn Environment, a: &[Datum]) -> PgResult<Datum> {
    field_of(environment, a, false).map(as_double_field)
}
pub fn date_part_zoned(environment: &dyn Environment, a: &[Datum]) -> PgResult<Datum> {
    field_of(environment, a, true).map(as_double_field)
}

fn truncate_local(unit: &str, local: i64, type_name: &str) -> PgResult<i64> {
    if is_infinite_timestamp(local) {
        return Ok(local);
    }
    let (days, time) = split_timestamp(local);
    let civil = civil_from_days(days);
    let midnight = days * MICROSECONDS_PER_DAY;
    let start = |year: i64, month: u32| days_from_civil(year, month, 1) * MICROSECONDS_PER_DAY;
    Ok(match unit {
        "microseconds" => local,
        "milliseconds" => midnight + time / 1000 * 1000,
        "second" => midnight + time / MICROSECONDS_PER_SECOND * MICROSECONDS_PER_SECOND,
        "minute" => midnight + time / MICROSECONDS_PER_MINUTE * MICROSECONDS_PER_MINUTE,
        "hour" => midnight + time / MICROSECONDS_PER_HOUR * MICROSECONDS_PER_HOUR,
        "day" => midnight,
        "week" => (days - (days + 5).rem_euclid(7)) * MICROSECONDS_PER_DAY,
        "month" => start(civil.year, civil.month),
        "quarter" => start(civil.year, (civil.month - 1) / 3 * 3 + 1),
        "year" => start(civil.year, 1),
        "decade" => start(civil.year.div_euclid(10) * 10, 1),
        "century" => start((civil.year - 1).div_euclid(100) * 100 + 1, 1),
        "millennium" => start((civil.year - 1).div_euclid(1000) * 1000 + 1, 1),
        _ => return Err(unit_unknown(unit, type_name)),
    })
}

pub fn truncate_timestamp(_: &dyn Environment, a: &[Datum]) -> PgResult<Datum> {
    let unit = unit_of(text(a, 0)?);
    truncate_local(&unit, timestamp(a, 1)?, "timestamp without time zone").map(Datum::Timestamp)
}
pub fn truncate_timestamptz(environment: &dyn Environment, a: &[Datum]) -> PgResult<Datum> {
    truncate_zoned(text(a, 0)?, timestamp(a, 1)?, &environment.format().time_zone)
}
pub(super) fn truncate_zoned(unit: &str, moment: i64, zone: &TimeZone) -> PgResult<Datum> {
    let local = truncate_local(&unit_of(unit), zone.to_local(moment), "timestamp with time zone")?;
    Ok(Datum::Timestamp(zone.to_utc(local)))
}

/// `age`: years, months and days by the calendar.
pub fn age(_: &dyn Environment, a: &[Datum]) -> PgResult<Datum> {
    let (later, earlier) = (timestamp(a, 0)?, timestamp(a, 1)?);
    if later < earlier {
        return negate_interval(&calendar_difference(earlier, later)).map(Datum::Interval);
    }
    Ok(Datum::Interval(calendar_difference(later, earlier)))
}
fn calendar_difference(later: i64, earlier: i64) -> Interval {
    let ((later_days, later_time), (earlier_days, earlier_time)) = (split_timestamp(later), split_timestamp(earlier));
    let (high, low) = (civil_from_days(later_days), civil_from_days(earlier_days));
    let mut months = (high.year - low.year) * 12 + i64::from(high.month) - i64::from(low.month);
    let mut days = i64::from(high.day) - i64::from(low.day);
    let mut microseconds = later_time - earlier_time;
    if microseconds < 0 {
        microseconds += MICROSECONDS_PER_DAY;
        days -= 1;
    }
    if days < 0 {
        days += i64::from(days_in_month(low.year, low.month));
        months -= 1;
    }
    Interval { microseconds, days: days as i32, months: months as i32 }
}

pub fn is_finite(_: &dyn Environment, a: &[Datum]) -> PgResult<Datum> {
    Ok(Datum::Bool(match a.first() {
        Some(Datum::Date(value)) => !is_infinite_date(*value),
        Some(Datum::Timestamp(value)) => !is_infinite_timestamp(*value),
        Some(Datum::Interval(_)) => true,
        other => return Err(wrong(other)),
    }))
}

/// 30-day chunks become months.
fn justified_days(value: Interval) -> Interval {
    let months = value.days / 30;
    Interval { days: value.days - months * 30, months: value.months.saturating_add(months), ..value }
}
pub fn justify_days(_: &dyn Environment, a: &[Datum]) -> PgResult<Datum> {
    Ok(Datum::Interval(justified_days(interval(a, 0)?)))
}
/// Both, with all parts of one sign.
pub fn justify_interval(_: &dyn Environment, a: &[Datum]) -> PgResult<Datum> {
    let mut value = justified_days(justify_hours(&interval(a, 0)?));
    if value.months > 0 && (value.days < 0 || (value.days == 0 && value.microseconds < 0)) {
        value.days += 30;
        value.months -= 1;
    } else if value.months < 0 && (value.days > 0 || (value.days == 0 && value.microseconds > 0)) {
        value.days -= 30;
        value.months += 1;
    }
    if value.days > 0 && value.microseconds < 0 {
        value.microseconds += MICROSECONDS_PER_DAY;
        value.days -= 1;
    } else if value.days < 0 && value.microseconds > 0 {
        value.microseconds -= MICROSECONDS_PER_DAY;
        value.days += 1;
    }
    Ok(Datum::Interval(value))
}

/// `age(timestamp)`: from today's midnight.
pub fn age_of_today(environment: &dyn Environment, a: &[Datum]) -> PgResult<Datum> {
    let local = environment.format().time_zone.to_local(environment.transaction_time());
    let midnight = split_timestamp(local).0 * MICROSECONDS_PER_DAY;
    age(environment, &[Datum::Timestamp(midnight), a[0].clone()])
}

pub fn make_timestamp(_: &dyn Environment, a: &[Datum]) -> PgResult<Datum> {
    let Datum::Date(day) = make_date(&crate::NoEnvironment::default(), &a[..3])? else { return Err(wrong(None)) };
    let clock = make_clock(int(a, 3)?, int(a, 4)?, double(a, 5)?)?;
    checked_timestamp(i128::from(day) * i128::from(MICROSECONDS_PER_DAY) + i128::from(clock)).map(Datum::Timestamp)
}
pub fn make_time(_: &dyn Environment, a: &[Datum]) -> PgResult<Datum> {
    make_clock(int(a, 0)?, int(a, 1)?, double(a, 2)?).map(Datum::Time)
}
/// As C's `%g` shows a number: six digits.
fn general(value: f64) -> String {
    if !value.is_finite() {
        return format!("{value}").to_ascii_lowercase();
    }
    let scientific = format!("{value:.5e}");
    let (digits, exponent) = scientific.split_once('e').expect("an exponent was asked for");
    let exponent: i32 = exponent.parse().expect("exponents are small");
    let shortened = |digits: &str| match digits.contains('.') {
        true => digits.trim_end_matches('0').trim_end_matches('.').to_owned(),
        false => digits.to_owned(),
    };
    if (-4..6).contains(&exponent) {
        return shortened(&format!("{value:.*}", usize::try_from(5 - exponent).unwrap_or(0)));
    }
    let sign = if exponent < 0 { '-' } else { '+' };
    format!("{}e{sign}{:02}", shortened(digits), exponent.abs())
}
fn make_clock(hour: i64, minute: i64, second: f64) -> PgResult<i64> {
    let valid = (0..=24).contains(&hour) && (0..60).contains(&minute) && (0.0..=60.0).contains(&second);
    let total = || hour * MICROSECONDS_PER_HOUR + minute * MICROSECONDS_PER_MINUTE + (second * 1e6).round() as i64;
    valid.then(total).filter(|total| *total <= MICROSECONDS_PER_DAY).ok_or_else(|| {
        let message = format!("time field value out of range: {hour}:{minute:02}:{:0>2}", general(second));
        PgError::new(sqlstate::DATETIME_FIELD_OVERFLOW, message)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn seconds_beyond_an_integer_are_refused() {
        for second in [60.1, 1e16, 1e308, f64::INFINITY, f64::NAN, -0.1] {
            let error = make_clock(25, 40, second).expect_err("no such time");
            assert_eq!(error.code, sqlstate::DATETIME_FIELD_OVERFLOW, "{second}");
            assert!(make_clock(0, 0, second).is_err(), "{second}");
        }
        assert_eq!(make_clock(24, 0, 0.0).ok(), Some(MICROSECONDS_PER_DAY));
    }
}
