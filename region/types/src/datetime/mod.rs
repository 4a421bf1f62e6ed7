//! Dates and times: PostgreSQL's proleptic Gregorian calendar, microseconds, and time zones.
//!
//! Values count from 2000-01-01 (`EPOCH_UNIX_DAYS` after Unix's). A zone is a fixed offset or a name of the tz database;
//! local time becomes UTC by PostgreSQL's rules: a time that occurs twice is the one of standard time, one in a gap is
//! read with the offset before the gap. `parse` and `interval_text` read text, `format` writes ISO.
mod abbreviations;
mod decode;
mod fields;
mod format;
mod interval_text;
mod parse;
mod style;
mod words;
mod zone;

pub use format::*;
pub use interval_text::parse_interval;
pub use parse::*;
pub use style::{styled_date, styled_interval, styled_timestamp};
pub use zone::{TimeZone, format_offset};

use crate::datum::Interval;
use crate::error::{PgError, PgResult, sqlstate};

pub const MICROSECONDS_PER_DAY: i64 = 86_400_000_000;
pub const MICROSECONDS_PER_HOUR: i64 = 3_600_000_000;
pub const MICROSECONDS_PER_MINUTE: i64 = 60_000_000;
pub const MICROSECONDS_PER_SECOND: i64 = 1_000_000;
/// 2000-01-01 in days since 1970-01-01.
pub const EPOCH_UNIX_DAYS: i64 = 10_957;
/// 2000-01-01 as a Julian day.
pub const EPOCH_JULIAN: i64 = 2_451_545;
pub const DATE_INFINITY: i32 = i32::MAX;
pub const DATE_NEGATIVE_INFINITY: i32 = i32::MIN;
pub const TIMESTAMP_INFINITY: i64 = i64::MAX;
pub const TIMESTAMP_NEGATIVE_INFINITY: i64 = i64::MIN;
/// First and last valid microsecond: 4714-11-24 BC and 294276-12-31.
pub const TIMESTAMP_MIN: i64 = -211_813_488_000_000_000;
pub const TIMESTAMP_END: i64 = 9_223_371_331_200_000_000;
/// First valid day and the first one past the last.
pub const DATE_MIN: i64 = -2_451_545;
pub const DATE_END: i64 = 2_145_031_949;

/// A calendar day; year 0 is 1 BC.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Civil {
    pub year: i64,
    pub month: u32,
    pub day: u32,
}

/// Days since 2000-01-01 of a calendar day (which need not be valid in its month).
pub fn days_from_civil(year: i64, month: u32, day: u32) -> i64 {
    // Count years from March, so that the leap day is a year's last; 400 years are 146,097 days.
    let year = if month <= 2 { year - 1 } else { year };
    let era = year.div_euclid(400);
    let year_of_era = year.rem_euclid(400);
    let month_from_march = i64::from((month + 9) % 12);
    let day_of_year = (153 * month_from_march + 2) / 5 + i64::from(day) - 1;
    let day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
    era * 146_097 + day_of_era - 719_468 - EPOCH_UNIX_DAYS
}

pub fn civil_from_days(days: i64) -> Civil {
    let shifted = days + EPOCH_UNIX_DAYS + 719_468;
    let era = shifted.div_euclid(146_097);
    let day_of_era = shifted.rem_euclid(146_097);
    let year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_from_march = (5 * day_of_year + 2) / 153;
    let day = (day_of_year - (153 * month_from_march + 2) / 5 + 1) as u32;
    let month = if month_from_march < 10 { month_from_march + 3 } else { month_from_march - 9 } as u32;
    let year = year_of_era + era * 400 + i64::from(month <= 2);
    Civil { year, month, day }
}

pub fn is_leap_year(year: i64) -> bool {
    year.rem_euclid(4) == 0 && (year.rem_euclid(100) != 0 || year.rem_euclid(400) == 0)
}

pub fn days_in_month(year: i64, month: u32) -> u32 {
    match month {
        2 if is_leap_year(year) => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

/// 0 = Sunday.
pub fn day_of_week(days: i64) -> u32 {
    (days + 6).rem_euclid(7) as u32
}

/// ISO 8601 year and week.
pub fn iso_week(days: i64) -> (i64, u32) {
    let monday_based = (days + 5).rem_euclid(7);
    let thursday = days - monday_based + 3;
    let year = civil_from_days(thursday).year;
    let first = days_from_civil(year, 1, 1);
    (year, ((thursday - first) / 7 + 1) as u32)
}

pub fn is_infinite_date(date: i32) -> bool {
    date == DATE_INFINITY || date == DATE_NEGATIVE_INFINITY
}

pub fn is_infinite_timestamp(timestamp: i64) -> bool {
    timestamp == TIMESTAMP_INFINITY || timestamp == TIMESTAMP_NEGATIVE_INFINITY
}

pub fn timestamp_out_of_range() -> Box<PgError> {
    PgError::new(sqlstate::DATETIME_FIELD_OVERFLOW, "timestamp out of range")
}

pub fn date_out_of_range() -> Box<PgError> {
    PgError::new(sqlstate::DATETIME_FIELD_OVERFLOW, "date out of range")
}

pub fn interval_out_of_range() -> Box<PgError> {
    PgError::new(sqlstate::DATETIME_FIELD_OVERFLOW, "interval out of range")
}

/// A timestamp in range, or 22008.
pub fn checked_timestamp(microseconds: i128) -> PgResult<i64> {
    if (i128::from(TIMESTAMP_MIN)..i128::from(TIMESTAMP_END)).contains(&microseconds) {
        Ok(microseconds as i64)
    } else {
        Err(timestamp_out_of_range())
    }
}

pub fn checked_date(days: i64) -> PgResult<i32> {
    if (DATE_MIN..DATE_END).contains(&days) { Ok(days as i32) } else { Err(date_out_of_range()) }
}

/// The day and the microsecond in it.
pub fn split_timestamp(timestamp: i64) -> (i64, i64) {
    (timestamp.div_euclid(MICROSECONDS_PER_DAY), timestamp.rem_euclid(MICROSECONDS_PER_DAY))
}

/// Months first (clamped to the month's end), then days, then microseconds; all in the given wall time.
pub fn add_interval(timestamp: i64, interval: &Interval) -> PgResult<i64> {
    if is_infinite_timestamp(timestamp) {
        return Ok(timestamp);
    }
    let (mut days, time) = split_timestamp(timestamp);
    if interval.months != 0 {
        let civil = civil_from_days(days);
        let months = civil.year * 12 + i64::from(civil.month) - 1 + i64::from(interval.months);
        let (year, month) = (months.div_euclid(12), months.rem_euclid(12) as u32 + 1);
        days = days_from_civil(year, month, civil.day.min(days_in_month(year, month)));
    }
    days += i64::from(interval.days);
    let total =
        i128::from(days) * i128::from(MICROSECONDS_PER_DAY) + i128::from(time) + i128::from(interval.microseconds);
    checked_timestamp(total)
}

/// As `add_interval`, on a UTC timestamp whose months and days are those of a zone.
pub fn add_interval_in_zone(timestamp: i64, interval: &Interval, zone: &TimeZone) -> PgResult<i64> {
    if is_infinite_timestamp(timestamp) {
        return Ok(timestamp);
    }
    let mut result = timestamp;
    if interval.months != 0 || interval.days != 0 {
        let calendar = Interval { microseconds: 0, ..*interval };
        result = zone.to_utc(add_interval(zone.to_local(result), &calendar)?);
    }
    checked_timestamp(i128::from(result) + i128::from(interval.microseconds))
}

pub fn negate_interval(interval: &Interval) -> PgResult<Interval> {
    let negated = (interval.microseconds.checked_neg(), interval.days.checked_neg(), interval.months.checked_neg());
    match negated {
        (Some(microseconds), Some(days), Some(months)) => Ok(Interval { microseconds, days, months }),
        _ => Err(interval_out_of_range()),
    }
}

/// 24-hour chunks of the time part become days.
pub fn justify_hours(interval: &Interval) -> Interval {
    let whole = interval.microseconds / MICROSECONDS_PER_DAY;
    Interval {
        microseconds: interval.microseconds - whole * MICROSECONDS_PER_DAY,
        days: interval.days.saturating_add(whole as i32),
        months: interval.months,
    }
}

/// The difference of two timestamps, as PostgreSQL shows it: days and a time, no months.
pub fn subtract_timestamps(left: i64, right: i64) -> PgResult<Interval> {
    if is_infinite_timestamp(left) || is_infinite_timestamp(right) {
        return Err(PgError::new(sqlstate::DATETIME_FIELD_OVERFLOW, "cannot subtract infinite timestamps"));
    }
    let microseconds = left.checked_sub(right).ok_or_else(interval_out_of_range)?;
    Ok(justify_hours(&Interval { microseconds, days: 0, months: 0 }))
}

/// Round to a number of digits after the second's point.
pub fn round_microseconds(microseconds: i64, digits: i32) -> i64 {
    if !(0..6).contains(&digits) {
        return microseconds;
    }
    let unit = 10i64.pow(6 - digits as u32);
    let half = unit / 2;
    let rounded = if microseconds >= 0 { microseconds.saturating_add(half) } else { microseconds.saturating_sub(half) };
    rounded / unit * unit
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn days_and_calendar_days_agree() {
        let cases = [(2000, 1, 1, 0), (1970, 1, 1, -10_957), (1999, 12, 31, -1), (2000, 2, 29, 59), (2024, 3, 1, 8826)];
        for (year, month, day, days) in cases {
            assert_eq!(days_from_civil(year, month, day), days);
            assert_eq!(civil_from_days(days), Civil { year, month, day });
        }
        for days in (-3_000_000..3_000_000).step_by(997) {
            let civil = civil_from_days(days);
            assert_eq!(days_from_civil(civil.year, civil.month, civil.day), days);
        }
        assert_eq!(day_of_week(0), 6, "2000-01-01 was a Saturday");
        assert_eq!(iso_week(0), (1999, 52));
    }

    #[test]
    fn months_clamp_to_the_last_day() {
        let january_31 = days_from_civil(2024, 1, 31) * MICROSECONDS_PER_DAY;
        let month = Interval { months: 1, ..Interval::default() };
        let february_29 = days_from_civil(2024, 2, 29) * MICROSECONDS_PER_DAY;
        assert_eq!(add_interval(january_31, &month).expect("in range"), february_29);
    }
}
