//! Reading intervals: PostgreSQL's words, SQL's `1-2 3 04:05:06`, and ISO 8601's `P1Y2M3DT4H5M6S`.
//!
//! Fields are read from the back, so that a unit is known before its value. Fractions of a unit go down to days and
//! microseconds, never up.
use super::decode::clock;
use super::fields::{Field, Kind, fields};
use super::words::{IntervalWord, Unit, interval_word};
use super::*;
use crate::modifier::interval as named;

const DAYS_PER_MONTH: f64 = 30.0;

/// The parts of an interval, each checked as it grows.
#[derive(Default, Debug)]
struct Sum {
    microseconds: i64,
    days: i32,
    months: i32,
    years: i32,
}

fn overflow<T>(value: Option<T>) -> Result<T, ParseError> {
    value.ok_or(ParseError::FieldRange)
}
fn small(value: i64) -> Result<i32, ParseError> {
    i32::try_from(value).map_err(|_| ParseError::FieldRange)
}

impl Sum {
    fn microseconds(&mut self, whole: i64, fraction: f64, scale: i64) -> Result<(), ParseError> {
        let value = overflow(whole.checked_mul(scale))?;
        self.microseconds = overflow(self.microseconds.checked_add(value))?;
        self.fraction_of_time(fraction, scale)
    }
    fn fraction_of_time(&mut self, fraction: f64, scale: i64) -> Result<(), ParseError> {
        let exact = fraction * scale as f64;
        let mut value = exact as i64;
        let rest = exact - value as f64;
        if rest > 0.5 {
            value += 1;
        } else if rest < -0.5 {
            value -= 1;
        }
        self.microseconds = overflow(self.microseconds.checked_add(value))?;
        Ok(())
    }
    fn days(&mut self, whole: i64, scale: i32) -> Result<(), ParseError> {
        let value = overflow(small(whole)?.checked_mul(scale))?;
        self.days = overflow(self.days.checked_add(value))?;
        Ok(())
    }
    fn fraction_of_days(&mut self, fraction: f64, scale: f64) -> Result<(), ParseError> {
        let exact = fraction * scale;
        let whole = exact as i32;
        self.days = overflow(self.days.checked_add(whole))?;
        self.fraction_of_time(exact - f64::from(whole), MICROSECONDS_PER_DAY)
    }
    fn months(&mut self, whole: i64) -> Result<(), ParseError> {
        self.months = overflow(self.months.checked_add(small(whole)?))?;
        Ok(())
    }
    fn years(&mut self, whole: i64, fraction: f64, scale: i32) -> Result<(), ParseError> {
        let value = overflow(small(whole)?.checked_mul(scale))?;
        self.years = overflow(self.years.checked_add(value))?;
        let months = (fraction * f64::from(scale) * 12.0).round_ties_even() as i32;
        self.months = overflow(self.months.checked_add(months))?;
        Ok(())
    }

    fn add(&mut self, whole: i64, fraction: f64, unit: Unit) -> Result<(), ParseError> {
        match unit {
            Unit::Microsecond => self.microseconds(whole, fraction, 1),
            Unit::Millisecond => self.microseconds(whole, fraction, 1000),
            Unit::Second => self.microseconds(whole, fraction, MICROSECONDS_PER_SECOND),
            Unit::Minute => self.microseconds(whole, fraction, MICROSECONDS_PER_MINUTE),
            Unit::Hour => self.microseconds(whole, fraction, MICROSECONDS_PER_HOUR),
            Unit::Day => {
                self.days(whole, 1)?;
                self.fraction_of_time(fraction, MICROSECONDS_PER_DAY)
            }
            Unit::Week => {
                self.days(whole, 7)?;
                self.fraction_of_days(fraction, 7.0)
            }
            Unit::Month => {
                self.months(whole)?;
                self.fraction_of_days(fraction, DAYS_PER_MONTH)
            }
            Unit::Year => self.years(whole, fraction, 1),
            Unit::Decade => self.years(whole, fraction, 10),
            Unit::Century => self.years(whole, fraction, 100),
            Unit::Millennium => self.years(whole, fraction, 1000),
            _ => Err(ParseError::Syntax),
        }
    }

    fn negate(&mut self) -> Result<(), ParseError> {
        self.microseconds = overflow(self.microseconds.checked_neg())?;
        self.days = overflow(self.days.checked_neg())?;
        self.months = overflow(self.months.checked_neg())?;
        self.years = overflow(self.years.checked_neg())?;
        Ok(())
    }

    fn finish(self) -> Result<Interval, ParseError> {
        let months = i64::from(self.years) * 12 + i64::from(self.months);
        let months = i32::try_from(months).map_err(|_| ParseError::OutOfRange)?;
        Ok(Interval { microseconds: self.microseconds, days: self.days, months })
    }
}

/// `modifier` says what a number without unit is; in `sql_standard` style a first sign is that of all fields.
pub fn parse_interval(text: &str, modifier: i32, sql_standard: bool) -> Result<Interval, ParseError> {
    let mut sum = Sum::default();
    let read = fields(text).and_then(|fields| by_fields(&fields, modifier, sql_standard, &mut sum));
    if read == Err(ParseError::Syntax) {
        sum = Sum::default();
        by_iso(text, &mut sum)?;
    } else {
        read?;
    }
    sum.finish()
}

/// The unit of a number at the end without one.
fn last_unit(modifier: i32) -> Unit {
    match named::last(modifier) {
        Some("year") => Unit::Year,
        Some("month") => Unit::Month,
        Some("day") => Unit::Day,
        Some("hour") => Unit::Hour,
        Some("minute") => Unit::Minute,
        _ => Unit::Second,
    }
}

/// Units that were given, as bits: none may be there twice.
fn bit(unit: Unit) -> u32 {
    1 << unit as u32
}
const ALL_SECONDS: u32 = 1 << Unit::Second as u32 | 1 << Unit::Millisecond as u32 | 1 << Unit::Microsecond as u32;
/// What a clock says.
const CLOCK: u32 = 1 << Unit::Hour as u32 | 1 << Unit::Minute as u32 | ALL_SECONDS;

fn by_fields(fields: &[Field], modifier: i32, sql_standard: bool, sum: &mut Sum) -> Result<(), ParseError> {
    let signed = |field: &Field| field.text.starts_with(['-', '+']);
    let all_negative = sql_standard
        && fields.first().is_some_and(|first| first.text.starts_with('-'))
        && !fields[1..].iter().any(signed);
    let mut seen = 0;
    let mut unit = None;
    let mut ago = false;
    for field in fields.iter().rev() {
        let text = field.text.as_str();
        let said = match field.kind {
            Kind::Time => {
                add_clock(sum, text, modifier, all_negative)?;
                unit = Some(Unit::Day);
                CLOCK
            }
            Kind::Signed if text.contains(':') => {
                add_clock(sum, &text[1..], modifier, all_negative || text.starts_with('-'))?;
                unit = Some(Unit::Day);
                CLOCK
            }
            Kind::Signed | Kind::Date | Kind::Number => {
                let (said, of) = add_number(sum, text, unit.unwrap_or_else(|| last_unit(modifier)), all_negative)?;
                unit = Some(if of == Unit::Hour { Unit::Day } else { of });
                said
            }
            Kind::Word | Kind::Special => match interval_word(text).ok_or(ParseError::Syntax)? {
                IntervalWord::Unit(named) => {
                    unit = Some(named);
                    0
                }
                IntervalWord::Ago => {
                    ago = true;
                    0
                }
            },
        };
        if said & seen != 0 {
            return Err(ParseError::Syntax);
        }
        seen |= said;
    }
    if seen == 0 {
        return Err(ParseError::Syntax);
    }
    if ago { sum.negate() } else { Ok(()) }
}

fn add_clock(sum: &mut Sum, text: &str, modifier: i32, negative: bool) -> Result<(), ParseError> {
    let (hour, minute, second, microseconds) = clock(text, named::is_minute_to_second(modifier))?;
    let seconds = overflow(hour.checked_mul(3600).and_then(|hours| hours.checked_add(minute * 60 + second)))?;
    let value =
        overflow(seconds.checked_mul(MICROSECONDS_PER_SECOND).and_then(|value| value.checked_add(microseconds)))?;
    sum.microseconds = overflow(sum.microseconds.checked_add(if negative { -value } else { value }))?;
    Ok(())
}

/// A number of units, or `1-2` years and months; what it said, and of which unit it was.
fn add_number(sum: &mut Sum, text: &str, unit: Unit, all_negative: bool) -> Result<(u32, Unit), ParseError> {
    let negative = text.starts_with('-');
    let digits = text.strip_prefix(['-', '+']).unwrap_or(text);
    let end = digits.find(|ch: char| !ch.is_ascii_digit()).unwrap_or(digits.len());
    let (whole_digits, rest) = digits.split_at(end);
    let signed = format!("{}{whole_digits}", if negative { "-" } else { "" });
    let mut whole = match whole_digits {
        "" => 0,
        _ => signed.parse::<i64>().map_err(|_| ParseError::FieldRange)?,
    };
    let mut fraction = 0.0;
    let mut unit = unit;
    if let Some(months) = rest.strip_prefix('-') {
        let end = months.find(|ch: char| !ch.is_ascii_digit()).unwrap_or(months.len());
        let count = months[..end].parse::<i64>().unwrap_or(0);
        if count >= 12 {
            return Err(ParseError::FieldRange);
        }
        if end < months.len() {
            return Err(ParseError::Syntax);
        }
        unit = Unit::Month;
        let count = if negative { -count } else { count };
        whole = overflow(whole.checked_mul(12).and_then(|years| years.checked_add(count)))?;
    } else if rest.starts_with('.') {
        fraction = fraction_of(rest)?;
        if negative {
            fraction = -fraction;
        }
    } else if !rest.is_empty() {
        return Err(ParseError::Syntax);
    }
    if all_negative {
        (whole, fraction) = (-whole.abs(), -fraction.abs());
    }
    sum.add(whole, fraction, unit)?;
    let said = if unit == Unit::Second && fraction != 0.0 { ALL_SECONDS } else { bit(unit) };
    Ok((said, unit))
}

fn fraction_of(text: &str) -> Result<f64, ParseError> {
    match text {
        "." => Ok(0.0),
        _ if text[1..].bytes().all(|byte| byte.is_ascii_digit()) => text.parse().map_err(|_| ParseError::Syntax),
        _ => Err(ParseError::Syntax),
    }
}

/// The number at the beginning, whole part and fraction, and what follows it.
fn iso_number(text: &str) -> Result<(i64, f64, &str), ParseError> {
    if !text.starts_with(|ch: char| ch.is_ascii_digit() || matches!(ch, '-' | '.')) {
        return Err(ParseError::Syntax);
    }
    let mut end = usize::from(text.starts_with('-'));
    end += text[end..].find(|ch: char| !ch.is_ascii_digit()).unwrap_or(text.len() - end);
    if text[end..].starts_with('.') {
        end += 1;
        end += text[end..].find(|ch: char| !ch.is_ascii_digit()).unwrap_or(text.len() - end);
    }
    let value: f64 = text[..end].parse().map_err(|_| ParseError::Syntax)?;
    if !(-1e15..=1e15).contains(&value) {
        return Err(ParseError::FieldRange);
    }
    Ok((value.trunc() as i64, value.fract(), &text[end..]))
}

fn digits_at(text: &str) -> usize {
    text.trim_start_matches('-').bytes().take_while(u8::is_ascii_digit).count()
}

fn by_iso(text: &str, sum: &mut Sum) -> Result<(), ParseError> {
    let mut rest = text.strip_prefix('P').filter(|rest| !rest.is_empty()).ok_or(ParseError::Syntax)?;
    let mut in_date = true;
    let mut seen = false;
    while !rest.is_empty() {
        if let Some(time) = rest.strip_prefix('T') {
            (in_date, seen, rest) = (false, false, time);
            continue;
        }
        let start = rest;
        let (whole, fraction, after) = iso_number(rest)?;
        let unit = after.chars().next();
        rest = after.get(unit.map_or(0, char::len_utf8)..).unwrap_or("");
        match (in_date, unit) {
            (true, Some('Y')) => sum.add(whole, fraction, Unit::Year)?,
            (true, Some('M')) => sum.add(whole, fraction, Unit::Month)?,
            (true, Some('W')) => sum.add(whole, fraction, Unit::Week)?,
            (true, Some('D')) => sum.add(whole, fraction, Unit::Day)?,
            (true, Some('T') | None) if digits_at(start) == 8 && !seen => {
                sum.years(whole / 10_000, 0.0, 1)?;
                sum.months(whole / 100 % 100)?;
                sum.days(whole % 100, 1)?;
                sum.fraction_of_time(fraction, MICROSECONDS_PER_DAY)?;
                (in_date, seen) = (false, false);
                continue;
            }
            (true, Some('T' | '-') | None) => {
                if seen {
                    return Err(ParseError::Syntax);
                }
                sum.add(whole, fraction, Unit::Year)?;
                if unit == Some('-') {
                    let (months, fraction, after) = iso_number(rest)?;
                    sum.add(months, fraction, Unit::Month)?;
                    rest = after;
                    if let Some(day) = rest.strip_prefix('-') {
                        let (days, fraction, after) = iso_number(day)?;
                        sum.add(days, fraction, Unit::Day)?;
                        rest = after;
                    }
                    match rest.strip_prefix('T') {
                        Some(time) => rest = time,
                        None if rest.is_empty() => return Ok(()),
                        None => return Err(ParseError::Syntax),
                    }
                }
                (in_date, seen) = (false, false);
                continue;
            }
            (false, Some('H')) => sum.add(whole, fraction, Unit::Hour)?,
            (false, Some('M')) => sum.add(whole, fraction, Unit::Minute)?,
            (false, Some('S')) => sum.add(whole, fraction, Unit::Second)?,
            (false, None) if digits_at(start) == 6 && !seen => {
                sum.add(whole / 10_000, 0.0, Unit::Hour)?;
                sum.add(whole / 100 % 100, 0.0, Unit::Minute)?;
                sum.add(whole % 100, fraction, Unit::Second)?;
                return Ok(());
            }
            (false, Some(':') | None) => {
                if seen {
                    return Err(ParseError::Syntax);
                }
                sum.add(whole, fraction, Unit::Hour)?;
                if unit.is_none() {
                    return Ok(());
                }
                let (minutes, fraction, after) = iso_number(rest)?;
                sum.add(minutes, fraction, Unit::Minute)?;
                let Some(second) = after.strip_prefix(':') else {
                    return if after.is_empty() { Ok(()) } else { Err(ParseError::Syntax) };
                };
                let (seconds, fraction, after) = iso_number(second)?;
                sum.add(seconds, fraction, Unit::Second)?;
                return if after.is_empty() { Ok(()) } else { Err(ParseError::Syntax) };
            }
            _ => return Err(ParseError::Syntax),
        }
        seen = true;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn intervals() {
        let cases = [
            ("1 day 02:03:04", "1 day 02:03:04"),
            ("1 year -2 mons", "10 mons"),
            ("P1Y2M3DT4H5M6S", "1 year 2 mons 3 days 04:05:06"),
            ("P0001-02-03T04:05:06", "1 year 2 mons 3 days 04:05:06"),
            ("P20240102", "2024 years 1 mon 2 days"),
            ("2 weeks ago", "-14 days"),
            ("1.5 days", "1 day 12:00:00"),
            ("90 minutes", "01:30:00"),
            ("-1 hour", "-01:00:00"),
            ("3d 4h", "3 days 04:00:00"),
            ("1-2 3 4:05:06", "1 year 2 mons 3 days 04:05:06"),
            ("10", "00:00:10"),
        ];
        for (text, expected) in cases {
            let value = parse_interval(text, -1, false).unwrap_or_else(|error| panic!("{text}: {error:?}"));
            assert_eq!(format_interval(&value), expected, "{text}");
        }
        for text in ["", "abc", "1 parsec", "1 2 3", "P", "1 day 1 day"] {
            assert!(parse_interval(text, -1, false).is_err(), "{text}");
        }
        let all = parse_interval("-1 1:00:00", -1, true).expect("a sign for all");
        assert_eq!(format_interval(&all), "-1 days -01:00:00");
    }
}
