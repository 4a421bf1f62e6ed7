//! ISO text of dates, times, timestamps and intervals (`DateStyle = ISO`, `IntervalStyle = postgres`).
use super::*;
use std::fmt::Write;

fn write_civil(days: i64, out: &mut String) -> bool {
    let civil = civil_from_days(days);
    let before_christ = civil.year <= 0;
    let year = if before_christ { 1 - civil.year } else { civil.year };
    let _ = write!(out, "{year:04}-{:02}-{:02}", civil.month, civil.day);
    before_christ
}

pub(super) fn write_time(microseconds: i64, out: &mut String) {
    let seconds = microseconds / MICROSECONDS_PER_SECOND;
    let _ = write!(out, "{:02}:{:02}:{:02}", seconds / 3600, seconds / 60 % 60, seconds % 60);
    write_fraction(microseconds % MICROSECONDS_PER_SECOND, out);
}

pub(super) fn write_fraction(microseconds: i64, out: &mut String) {
    if microseconds != 0 {
        let digits = format!("{:06}", microseconds.abs());
        out.push('.');
        out.push_str(digits.trim_end_matches('0'));
    }
}

pub fn format_date(date: i32) -> String {
    match date {
        DATE_INFINITY => "infinity".to_string(),
        DATE_NEGATIVE_INFINITY => "-infinity".to_string(),
        _ => {
            let mut out = String::with_capacity(10);
            if write_civil(i64::from(date), &mut out) {
                out.push_str(" BC");
            }
            out
        }
    }
}

pub fn format_time(time: i64) -> String {
    let mut out = String::with_capacity(15);
    write_time(time, &mut out);
    out
}

pub fn format_timestamp(timestamp: i64) -> String {
    write_timestamp(timestamp, None)
}

pub fn format_timestamptz(timestamp: i64, zone: &TimeZone) -> String {
    write_timestamp(timestamp, Some(zone))
}

/// As XML Schema has it: `2024-01-02T03:04:05+00:00`.
pub fn format_timestamp_xsd(timestamp: i64, zone: Option<&TimeZone>) -> String {
    let mut out = write_timestamp(timestamp, zone).replacen(' ', "T", 1);
    if is_infinite_timestamp(timestamp) {
        return out;
    }
    if let Some(zone) = zone {
        // The offset has its minutes, always.
        let offset = zone::format_offset(zone.offset_at(timestamp));
        if offset.len() == 3 {
            let at = out.rfind(&offset).map_or(out.len(), |at| at + offset.len());
            out.insert_str(at, ":00");
        }
    }
    out
}

fn write_timestamp(timestamp: i64, zone: Option<&TimeZone>) -> String {
    match timestamp {
        TIMESTAMP_INFINITY => return "infinity".to_string(),
        TIMESTAMP_NEGATIVE_INFINITY => return "-infinity".to_string(),
        _ => {}
    }
    let local = zone.map_or(timestamp, |zone| zone.to_local(timestamp));
    let (days, time) = split_timestamp(local);
    let mut out = String::with_capacity(32);
    let before_christ = write_civil(days, &mut out);
    out.push(' ');
    write_time(time, &mut out);
    if let Some(zone) = zone {
        out.push_str(&zone::format_offset(zone.offset_at(timestamp)));
    }
    if before_christ {
        out.push_str(" BC");
    }
    out
}

/// `1 year 2 mons 3 days 04:05:06.7`; a part after a negative one shows its plus sign.
pub fn format_interval(interval: &Interval) -> String {
    let mut out = String::new();
    let mut negative_before = false;
    let mut part = |value: i64, unit: &str, out: &mut String| {
        if value == 0 {
            return;
        }
        if !out.is_empty() {
            out.push(' ');
        }
        let plus = if negative_before && value > 0 { "+" } else { "" };
        let plural = if value == 1 { "" } else { "s" };
        let _ = write!(out, "{plus}{value} {unit}{plural}");
        negative_before = value < 0;
    };
    part(i64::from(interval.months / 12), "year", &mut out);
    part(i64::from(interval.months % 12), "mon", &mut out);
    part(i64::from(interval.days), "day", &mut out);
    if interval.microseconds != 0 || out.is_empty() {
        if !out.is_empty() {
            out.push(' ');
        }
        if interval.microseconds < 0 {
            out.push('-');
        } else if negative_before {
            out.push('+');
        }
        let microseconds = interval.microseconds.unsigned_abs();
        let seconds = microseconds / 1_000_000;
        let _ = write!(out, "{:02}:{:02}:{:02}", seconds / 3600, seconds / 60 % 60, seconds % 60);
        write_fraction((microseconds % 1_000_000) as i64, &mut out);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn intervals_as_postgresql_prints_them() {
        let cases = [
            (Interval { months: 14, days: 3, microseconds: 14_706_700_000 }, "1 year 2 mons 3 days 04:05:06.7"),
            (Interval { months: 0, days: -1, microseconds: MICROSECONDS_PER_HOUR }, "-1 days +01:00:00"),
            (Interval::default(), "00:00:00"),
            (Interval { months: 0, days: 0, microseconds: -1 }, "-00:00:00.000001"),
            (Interval { months: 1, days: 0, microseconds: 0 }, "1 mon"),
        ];
        for (interval, expected) in cases {
            assert_eq!(format_interval(&interval), expected);
        }
    }

    #[test]
    fn dates_and_timestamps() {
        assert_eq!(format_date(0), "2000-01-01");
        assert_eq!(format_date(DATE_MIN as i32), "4714-11-24 BC");
        assert_eq!(format_timestamp(1_500_000), "2000-01-01 00:00:01.5");
        let zone = TimeZone::parse("+05:30").expect("an offset");
        assert_eq!(format_timestamptz(0, &zone), "2000-01-01 05:30:00+05:30");
    }
}
