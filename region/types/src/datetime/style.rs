//! What `DateStyle` and `IntervalStyle` make of dates, timestamps and intervals: PostgreSQL's `EncodeDateTime` and
//! `EncodeInterval`. ISO and `postgres` are the usual ones, and are in `format`.
use super::format::{write_fraction, write_time};
use super::*;
use crate::environment::{DateOrder, DateStyle, FormatSettings, IntervalStyle};
use std::fmt::Write;

const DAYS: [&str; 7] = ["Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"];
const MONTHS: [&str; 12] = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];

/// Year as it is shown, and whether that is before Christ.
fn shown_year(civil: &Civil) -> (i64, bool) {
    if civil.year <= 0 { (1 - civil.year, true) } else { (civil.year, false) }
}

/// Day and month in the order of the setting, then the year.
fn write_civil(days: i64, settings: &FormatSettings, out: &mut String) -> bool {
    let civil = civil_from_days(days);
    let (year, before_christ) = shown_year(&civil);
    let (month, day) = (civil.month, civil.day);
    let day_first = settings.date_order == DateOrder::DayMonthYear;
    let _ = match settings.date_style {
        DateStyle::Iso => write!(out, "{year:04}-{month:02}-{day:02}"),
        DateStyle::German => write!(out, "{day:02}.{month:02}.{year:04}"),
        DateStyle::Sql if day_first => write!(out, "{day:02}/{month:02}/{year:04}"),
        DateStyle::Sql => write!(out, "{month:02}/{day:02}/{year:04}"),
        DateStyle::Postgres if day_first => write!(out, "{day:02}-{month:02}-{year:04}"),
        DateStyle::Postgres => write!(out, "{month:02}-{day:02}-{year:04}"),
    };
    before_christ
}

pub fn styled_date(date: i32, settings: &FormatSettings) -> String {
    if settings.date_style == DateStyle::Iso || matches!(date, DATE_INFINITY | DATE_NEGATIVE_INFINITY) {
        return format_date(date);
    }
    let mut out = String::with_capacity(13);
    if write_civil(i64::from(date), settings, &mut out) {
        out.push_str(" BC");
    }
    out
}

pub fn styled_timestamp(timestamp: i64, zoned: bool, settings: &FormatSettings) -> String {
    let zone = zoned.then_some(&settings.time_zone);
    if settings.date_style == DateStyle::Iso || is_infinite_timestamp(timestamp) {
        return match zone {
            Some(zone) => format_timestamptz(timestamp, zone),
            None => format_timestamp(timestamp),
        };
    }
    let (days, time) = split_timestamp(zone.map_or(timestamp, |zone| zone.to_local(timestamp)));
    let mut out = String::with_capacity(40);
    let before_christ = if settings.date_style == DateStyle::Postgres {
        let civil = civil_from_days(days);
        let (year, before_christ) = shown_year(&civil);
        let (weekday, month) = (DAYS[day_of_week(days) as usize % 7], MONTHS[(civil.month as usize + 11) % 12]);
        let _ = match settings.date_order {
            DateOrder::DayMonthYear => write!(out, "{weekday} {:02} {month} ", civil.day),
            _ => write!(out, "{weekday} {month} {:02} ", civil.day),
        };
        write_time(time, &mut out);
        let _ = write!(out, " {year:04}");
        before_christ
    } else {
        let before_christ = write_civil(days, settings, &mut out);
        out.push(' ');
        write_time(time, &mut out);
        before_christ
    };
    if let Some(zone) = zone {
        let _ = write!(out, " {}", zone.abbreviation_at(timestamp));
    }
    if before_christ {
        out.push_str(" BC");
    }
    out
}

pub fn styled_interval(interval: &Interval, settings: &FormatSettings) -> String {
    match settings.interval_style {
        IntervalStyle::Postgres => format_interval(interval),
        IntervalStyle::PostgresVerbose => verbose(interval),
        IntervalStyle::SqlStandard => sql_standard(interval),
        IntervalStyle::Iso8601 => iso_8601(interval),
    }
}

/// An interval's fields, each with its sign.
struct Fields {
    years: i64,
    months: i64,
    days: i64,
    hours: i64,
    minutes: i64,
    seconds: i64,
    microseconds: i64,
}

impl Fields {
    fn of(interval: &Interval) -> Fields {
        let seconds = interval.microseconds / MICROSECONDS_PER_SECOND;
        Fields {
            years: i64::from(interval.months / 12),
            months: i64::from(interval.months % 12),
            days: i64::from(interval.days),
            hours: seconds / 3600,
            minutes: seconds / 60 % 60,
            seconds: seconds % 60,
            microseconds: interval.microseconds % MICROSECONDS_PER_SECOND,
        }
    }

    fn all(&self) -> [i64; 7] {
        [self.years, self.months, self.days, self.hours, self.minutes, self.seconds, self.microseconds]
    }
}

/// `@ 1 year 2 mons -3 days ago`: the first part is shown as positive, and `ago` turns all of them.
fn verbose(interval: &Interval) -> String {
    let fields = Fields::of(interval);
    let mut out = String::from("@");
    let (mut is_zero, mut is_before) = (true, false);
    let parts = [
        (fields.years, "year"),
        (fields.months, "mon"),
        (fields.days, "day"),
        (fields.hours, "hour"),
        (fields.minutes, "min"),
    ];
    for (value, unit) in parts.into_iter().filter(|(value, _)| *value != 0) {
        if is_zero {
            is_before = value < 0;
        }
        let value = if is_before { -value } else { value };
        let _ = write!(out, " {value} {unit}{}", if value == 1 { "" } else { "s" });
        is_zero = false;
    }
    let (seconds, fraction) = (fields.seconds, fields.microseconds);
    if seconds != 0 || fraction != 0 {
        out.push(' ');
        if seconds < 0 || fraction < 0 {
            if is_zero {
                is_before = true;
            } else if !is_before {
                out.push('-');
            }
        } else if is_before {
            out.push('-');
        }
        let _ = write!(out, "{}", seconds.abs());
        write_fraction(fraction, &mut out);
        out.push_str(if seconds.abs() != 1 || fraction != 0 { " secs" } else { " sec" });
        is_zero = false;
    }
    if is_zero {
        out.push_str(" 0");
    }
    if is_before {
        out.push_str(" ago");
    }
    out
}

/// The standard's two kinds, year-month and day-time, where the value is one of them; else all of it, each part signed.
fn sql_standard(interval: &Interval) -> String {
    let mut fields = Fields::of(interval);
    let (negative, positive) =
        (fields.all().iter().any(|value| *value < 0), fields.all().iter().any(|value| *value > 0));
    let year_month = fields.years != 0 || fields.months != 0;
    let day_time = fields.all()[2..].iter().any(|value| *value != 0);
    if !negative && !positive {
        return "0".to_owned();
    }
    let mut out = String::new();
    let clock = |fields: &Fields, out: &mut String| {
        let _ = write!(out, "{}:{:02}:{:02}", fields.hours.abs(), fields.minutes.abs(), fields.seconds.abs());
        write_fraction(fields.microseconds, out);
    };
    if (negative && positive) || (year_month && day_time) {
        let sign = |negative: bool| if negative { '-' } else { '+' };
        let _ = write!(
            out,
            "{}{}-{} {}{} {}",
            sign(fields.years < 0 || fields.months < 0),
            fields.years.abs(),
            fields.months.abs(),
            sign(fields.days < 0),
            fields.days.abs(),
            sign(interval.microseconds < 0)
        );
        clock(&fields, &mut out);
        return out;
    }
    if negative {
        out.push('-');
        (fields.years, fields.months, fields.days) = (-fields.years, -fields.months, -fields.days);
    }
    if year_month {
        let _ = write!(out, "{}-{}", fields.years, fields.months);
    } else {
        if fields.days != 0 {
            let _ = write!(out, "{} ", fields.days);
        }
        clock(&fields, &mut out);
    }
    out
}

/// `P1Y2M3DT4H5M6.7S`
fn iso_8601(interval: &Interval) -> String {
    let fields = Fields::of(interval);
    if fields.all().iter().all(|value| *value == 0) {
        return "PT0S".to_owned();
    }
    let mut out = String::from("P");
    let part = |value: i64, unit: char, out: &mut String| {
        if value != 0 {
            let _ = write!(out, "{value}{unit}");
        }
    };
    part(fields.years, 'Y', &mut out);
    part(fields.months, 'M', &mut out);
    part(fields.days, 'D', &mut out);
    if interval.microseconds != 0 {
        out.push('T');
        part(fields.hours, 'H', &mut out);
        part(fields.minutes, 'M', &mut out);
        if fields.seconds != 0 || fields.microseconds != 0 {
            if fields.seconds < 0 || fields.microseconds < 0 {
                out.push('-');
            }
            let _ = write!(out, "{}", fields.seconds.abs());
            write_fraction(fields.microseconds, &mut out);
            out.push('S');
        }
    }
    out
}
