//! Reading dates, times, timestamps and intervals.
//!
//! Text is cut into fields (numbers with their separators, words, signed offsets) which are then understood in order:
//! ISO and basic ISO dates, `DateStyle`'s order with slashes or dashes, month names, `12:34:56.7 PM`, offsets and zone
//! names, BC/AD, and the special words (`now`, `today`, `epoch`, `infinity` ...).
use super::*;
use crate::environment::{DateOrder, FormatSettings};

/// Why text is not a date or time; the caller knows the type's name.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ParseError {
    /// 22007
    Syntax,
    /// 22008, `date/time field value out of range`
    FieldRange,
    /// 22008, with a hint at DateStyle
    FieldRangeDateStyle,
    /// 22008, `date out of range`
    OutOfRange,
    /// 22023
    UnknownZone,
    /// 22009
    ZoneDisplacement,
}

/// What a text said.
#[derive(Clone, Copy, Debug, Default)]
struct Parsed {
    date: Option<Civil>,
    time: Option<i64>,
    zone: Option<TimeZone>,
    special: Option<Special>,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Special {
    Infinity,
    NegativeInfinity,
    Epoch,
    Now,
    Today,
    Tomorrow,
    Yesterday,
}

/// The clock and zone that `now` and local times need.
#[derive(Clone, Copy, Debug)]
pub struct ParseContext<'a> {
    pub settings: &'a FormatSettings,
    /// `now()`
    pub now: i64,
}

pub fn parse_date(text: &str, context: ParseContext<'_>) -> Result<i32, ParseError> {
    let parsed = parse(text, context.settings)?;
    if let Some(special) = parsed.special {
        return Ok(match special {
            Special::Infinity => DATE_INFINITY,
            Special::NegativeInfinity => DATE_NEGATIVE_INFINITY,
            _ => split_timestamp(special_local(special, context)).0 as i32,
        });
    }
    let civil = parsed.date.ok_or(ParseError::Syntax)?;
    let days = days_from_civil(civil.year, civil.month, civil.day);
    checked_date(days).map_err(|_| ParseError::OutOfRange)
}

pub fn parse_time(text: &str, context: ParseContext<'_>) -> Result<i64, ParseError> {
    let trimmed = text.trim();
    if matches!(trimmed.len(), 4 | 6) && trimmed.bytes().all(|byte| byte.is_ascii_digit()) {
        return parse_compact_clock(trimmed);
    }
    let parsed = parse(text, context.settings)?;
    match (parsed.special, parsed.time) {
        (Some(Special::Now), _) => Ok(split_timestamp(context.settings.time_zone.to_local(context.now)).1),
        (None, Some(time)) => Ok(time),
        _ => Err(ParseError::Syntax),
    }
}

/// A zone in the text is ignored, as the SQL standard has it.
pub fn parse_timestamp(text: &str, context: ParseContext<'_>) -> Result<i64, ParseError> {
    let parsed = parse(text, context.settings)?;
    match parsed.special {
        Some(Special::Infinity) => Ok(TIMESTAMP_INFINITY),
        Some(Special::NegativeInfinity) => Ok(TIMESTAMP_NEGATIVE_INFINITY),
        Some(special) => Ok(special_local(special, context)),
        None => local_timestamp(&parsed),
    }
}

pub fn parse_timestamptz(text: &str, context: ParseContext<'_>) -> Result<i64, ParseError> {
    let parsed = parse(text, context.settings)?;
    let zone = parsed.zone.unwrap_or(context.settings.time_zone);
    match parsed.special {
        Some(Special::Infinity) => Ok(TIMESTAMP_INFINITY),
        Some(Special::NegativeInfinity) => Ok(TIMESTAMP_NEGATIVE_INFINITY),
        Some(Special::Epoch) => Ok(special_local(Special::Epoch, context)),
        Some(Special::Now) => Ok(context.now),
        Some(special) => Ok(context.settings.time_zone.to_utc(special_local(special, context))),
        None => {
            checked_timestamp(i128::from(zone.to_utc(local_timestamp(&parsed)?))).map_err(|_| ParseError::OutOfRange)
        }
    }
}

fn local_timestamp(parsed: &Parsed) -> Result<i64, ParseError> {
    let civil = parsed.date.ok_or(ParseError::Syntax)?;
    let days = days_from_civil(civil.year, civil.month, civil.day);
    let total = i128::from(days) * i128::from(MICROSECONDS_PER_DAY) + i128::from(parsed.time.unwrap_or(0));
    checked_timestamp(total).map_err(|_| ParseError::OutOfRange)
}

fn special_local(special: Special, context: ParseContext<'_>) -> i64 {
    let local_now = context.settings.time_zone.to_local(context.now);
    let today = split_timestamp(local_now).0 * MICROSECONDS_PER_DAY;
    match special {
        Special::Epoch => -EPOCH_UNIX_DAYS * MICROSECONDS_PER_DAY,
        Special::Now => local_now,
        Special::Today => today,
        Special::Tomorrow => today + MICROSECONDS_PER_DAY,
        Special::Yesterday => today - MICROSECONDS_PER_DAY,
        Special::Infinity => TIMESTAMP_INFINITY,
        Special::NegativeInfinity => TIMESTAMP_NEGATIVE_INFINITY,
    }
}

/// A run of characters of one sort.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Field<'a> {
    /// Digits with `-`, `/`, `.` inside: a date or a number.
    Number(&'a str),
    /// Digits with `:`.
    Time(&'a str),
    Word(&'a str),
    /// `+05:30`, `-8`
    Offset(&'a str),
}

fn fields(text: &str) -> Result<Vec<Field<'_>>, ParseError> {
    let bytes = text.as_bytes();
    let mut at = 0;
    let mut fields = Vec::new();
    while at < bytes.len() {
        let start = at;
        let byte = bytes[at];
        let seen_time = fields.iter().any(|field| matches!(field, Field::Time(_)));
        if byte.is_ascii_whitespace() || byte == b',' {
            at += 1;
        } else if byte.is_ascii_digit() {
            while at < bytes.len() && (bytes[at].is_ascii_digit() || matches!(bytes[at], b':' | b'.' | b'/' | b'-')) {
                // A dash after a time starts its offset.
                if bytes[at] == b'-' && text[start..at].contains(':') {
                    break;
                }
                at += 1;
            }
            // `01-Jan-2024`: the word follows a dash.
            let piece = text[start..at].trim_end_matches(['-', '/', '.']);
            fields.push(if piece.contains(':') { Field::Time(piece) } else { Field::Number(piece) });
        } else if byte.is_ascii_alphabetic() {
            while at < bytes.len() && (bytes[at].is_ascii_alphabetic() || matches!(bytes[at], b'/' | b'_')) {
                at += 1;
            }
            fields.push(Field::Word(&text[start..at]));
        } else if (byte == b'+' || byte == b'-') && !fields.is_empty() {
            at += 1;
            if byte == b'-' && bytes.get(at).is_some_and(u8::is_ascii_alphabetic) {
                continue;
            }
            while at < bytes.len() && (bytes[at].is_ascii_digit() || bytes[at] == b':') {
                at += 1;
            }
            let after_word = matches!(fields.last(), Some(Field::Word(_))) && !seen_time;
            if after_word {
                // `Jan-2024`, `01-Jan-2024`, `Jan-01-2024`
                fields.push(Field::Number(&text[start + 1..at]));
                if bytes.get(at) == Some(&b'-') && bytes.get(at + 1).is_some_and(u8::is_ascii_digit) {
                    let year = at + 1;
                    at = year;
                    while bytes.get(at).is_some_and(u8::is_ascii_digit) {
                        at += 1;
                    }
                    fields.push(Field::Number(&text[year..at]));
                }
            } else {
                fields.push(Field::Offset(&text[start..at]));
            }
        } else if byte == b'-' && text[at..].eq_ignore_ascii_case("-infinity") {
            fields.push(Field::Word(&text[at..]));
            at = bytes.len();
        } else {
            return Err(ParseError::Syntax);
        }
    }
    Ok(fields)
}

fn month_number(word: &str) -> Option<u32> {
    const MONTHS: [&str; 12] = [
        "january",
        "february",
        "march",
        "april",
        "may",
        "june",
        "july",
        "august",
        "september",
        "october",
        "november",
        "december",
    ];
    let lower = word.to_ascii_lowercase();
    if lower == "sept" {
        return Some(9);
    }
    MONTHS.iter().position(|month| lower.len() >= 3 && (*month == lower || month[..3] == lower)).map(|at| at as u32 + 1)
}

fn is_day_name(word: &str) -> bool {
    let lower = word.to_ascii_lowercase();
    ["monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday"]
        .iter()
        .any(|day| *day == lower || day[..3] == lower)
}

fn parse(text: &str, settings: &FormatSettings) -> Result<Parsed, ParseError> {
    let mut parsed = Parsed::default();
    let mut month_by_name = None;
    let mut numbers: Vec<&str> = Vec::new();
    let mut before_christ = false;
    let mut half_day = None;
    let fields = fields(text)?;
    if fields.is_empty() {
        return Err(ParseError::Syntax);
    }
    for (at, field) in fields.iter().enumerate() {
        match *field {
            Field::Time(time) if parsed.time.is_none() => parsed.time = Some(parse_clock(time)?),
            Field::Time(_) => return Err(ParseError::Syntax),
            Field::Offset(offset) => {
                parsed.zone = Some(TimeZone::Fixed(zone::parse_offset(offset).ok_or(ParseError::ZoneDisplacement)?));
            }
            Field::Number(number) => {
                let separated = number.contains(['-', '/']) || number.matches('.').count() == 2;
                let after_t = at > 0 && matches!(fields[at - 1], Field::Word(word) if word.eq_ignore_ascii_case("t"));
                let after_j = at > 0 && matches!(fields[at - 1], Field::Word(word) if word.eq_ignore_ascii_case("j"));
                if after_j && parsed.date.is_none() {
                    let julian: i64 = number.parse().map_err(|_| ParseError::Syntax)?;
                    parsed.date = Some(civil_from_days(julian.min(i64::from(i32::MAX)) - EPOCH_JULIAN));
                } else if let (Some(civil), None) = (parse_ordinal_date(number), parsed.date) {
                    parsed.date = Some(civil);
                } else if separated && parsed.date.is_none() {
                    parsed.date = Some(parse_separated(number, settings.date_order)?);
                } else if after_t || (parsed.date.is_some() && parsed.time.is_none() && number.len() >= 6) {
                    parsed.time = Some(parse_compact_clock(number)?);
                } else if number.len() == 8 && parsed.date.is_none() && !number.contains('.') {
                    parsed.date = Some(parse_compact_date(number)?);
                } else {
                    numbers.push(number);
                }
            }
            Field::Word(word) => {
                let lower = word.to_ascii_lowercase();
                match lower.as_str() {
                    "t" | "j" => {}
                    "allballs" => (parsed.time, parsed.zone) = (Some(0), Some(TimeZone::UTC)),
                    "bc" => before_christ = true,
                    "ad" => {}
                    "am" => half_day = Some(false),
                    "pm" => half_day = Some(true),
                    "infinity" | "inf" => parsed.special = Some(Special::Infinity),
                    "-infinity" => parsed.special = Some(Special::NegativeInfinity),
                    "epoch" => parsed.special = Some(Special::Epoch),
                    "now" => parsed.special = Some(Special::Now),
                    "today" => parsed.special = Some(Special::Today),
                    "tomorrow" => parsed.special = Some(Special::Tomorrow),
                    "yesterday" => parsed.special = Some(Special::Yesterday),
                    _ => {
                        if let Some(month) = month_number(word) {
                            month_by_name = Some((month, numbers.len()));
                        } else if is_day_name(word) {
                        } else if let Some(zone) = TimeZone::parse(word) {
                            parsed.zone = Some(zone);
                        } else if at > 0 {
                            return Err(if word.contains('/') { ParseError::UnknownZone } else { ParseError::Syntax });
                        } else {
                            return Err(ParseError::Syntax);
                        }
                    }
                }
            }
        }
    }
    if let (Some((month, before)), None) = (month_by_name, parsed.date) {
        let [first, second] = numbers[..] else { return Err(ParseError::Syntax) };
        let number = |text: &str| text.parse::<i64>().map_err(|_| ParseError::Syntax);
        // `15 Jan 2024`, `Jan 15 2024`, `2024 Jan 15`
        let (year_text, day_text) = if before >= 1 && first.len() > 2 { (first, second) } else { (second, first) };
        let year = expand_year(number(year_text)?, year_text.len());
        parsed.date = Some(checked_civil(year, month, number(day_text)?)?);
        numbers.clear();
    }
    if !numbers.is_empty() {
        return Err(ParseError::Syntax);
    }
    if let (Some(pm), Some(time)) = (half_day, parsed.time) {
        let hour = time / MICROSECONDS_PER_HOUR;
        if hour > 12 {
            return Err(ParseError::FieldRange);
        }
        let base = time - hour * MICROSECONDS_PER_HOUR;
        parsed.time = Some(base + (hour % 12 + if pm { 12 } else { 0 }) * MICROSECONDS_PER_HOUR);
    }
    if let (true, Some(civil)) = (before_christ, parsed.date.as_mut()) {
        civil.year = 1 - civil.year;
    }
    Ok(parsed)
}

fn expand_year(year: i64, digits: usize) -> i64 {
    match (digits, year) {
        (0..=2, 0..=69) => year + 2000,
        (0..=2, _) => year + 1900,
        _ => year,
    }
}

fn checked_civil(year: i64, month: u32, day: i64) -> Result<Civil, ParseError> {
    if !(1..=12).contains(&month) || !(1..=31).contains(&day) {
        return Err(ParseError::FieldRangeDateStyle);
    }
    if year < 0 || day > i64::from(days_in_month(year, month)) {
        return Err(ParseError::FieldRange);
    }
    if year > 100_000_000 {
        return Err(ParseError::OutOfRange);
    }
    Ok(Civil { year, month, day: day as u32 })
}

/// `2024-01-31`, `1/31/2024`, `31.01.2024`
fn parse_separated(text: &str, order: DateOrder) -> Result<Civil, ParseError> {
    let parts: Vec<&str> = text.split(['-', '/', '.']).collect();
    let [first, second, third] = parts[..] else { return Err(ParseError::Syntax) };
    let number = |text: &str| text.parse::<i64>().map_err(|_| ParseError::Syntax);
    let (a, b, c) = (number(first)?, number(second)?, number(third)?);
    let month = |value: i64| u32::try_from(value).unwrap_or(0);
    if first.len() > 2 {
        return checked_civil(a, month(b), c);
    }
    match order {
        DateOrder::YearMonthDay => checked_civil(expand_year(a, first.len()), month(b), c),
        DateOrder::DayMonthYear => checked_civil(expand_year(c, third.len()), month(b), a),
        DateOrder::MonthDayYear => checked_civil(expand_year(c, third.len()), month(a), b),
    }
}

/// `2024.031`: a year and a day of it.
fn parse_ordinal_date(text: &str) -> Option<Civil> {
    let (year, day) = text.split_once('.')?;
    if year.len() != 4 || day.len() != 3 {
        return None;
    }
    let (year, day) = (year.parse::<i64>().ok()?, day.parse::<i64>().ok()?);
    let length = if is_leap_year(year) { 366 } else { 365 };
    (1..=length).contains(&day).then(|| civil_from_days(days_from_civil(year, 1, 1) + day - 1))
}

fn parse_compact_date(text: &str) -> Result<Civil, ParseError> {
    let number = |range: std::ops::Range<usize>| text[range].parse::<i64>().map_err(|_| ParseError::Syntax);
    checked_civil(number(0..4)?, number(4..6)? as u32, number(6..8)?)
}

/// `HHMM`, `HHMMSS`, `HHMMSS.ffffff`
fn parse_compact_clock(text: &str) -> Result<i64, ParseError> {
    let (digits, fraction) = text.split_once('.').unwrap_or((text, ""));
    let expanded = match digits.len() {
        2 => format!("{digits}:00"),
        4 => format!("{}:{}", &digits[..2], &digits[2..]),
        6 => format!("{}:{}:{}", &digits[..2], &digits[2..4], &digits[4..]),
        _ => return Err(ParseError::Syntax),
    };
    if fraction.is_empty() { parse_clock(&expanded) } else { parse_clock(&format!("{expanded}.{fraction}")) }
}

/// `12:34`, `12:34:56.789`
fn parse_clock(text: &str) -> Result<i64, ParseError> {
    let (clock, fraction) = text.split_once('.').unwrap_or((text, ""));
    let parts: Vec<&str> = clock.split(':').collect();
    let number = |text: &str| text.parse::<i64>().map_err(|_| ParseError::Syntax);
    let (hour, minute, second) = match parts[..] {
        [hour, minute] => (number(hour)?, number(minute)?, 0),
        [hour, minute, second] => (number(hour)?, number(minute)?, number(second)?),
        _ => return Err(ParseError::Syntax),
    };
    let microseconds = parse_fraction(fraction)?;
    let total = hour * MICROSECONDS_PER_HOUR
        + minute * MICROSECONDS_PER_MINUTE
        + second * MICROSECONDS_PER_SECOND
        + microseconds;
    if hour > 24 || minute > 59 || second > 60 || total > MICROSECONDS_PER_DAY {
        return Err(ParseError::FieldRange);
    }
    Ok(total)
}

/// Digits after a point, as microseconds, rounded.
fn parse_fraction(digits: &str) -> Result<i64, ParseError> {
    if digits.is_empty() {
        return Ok(0);
    }
    if !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(ParseError::Syntax);
    }
    let value: f64 = format!("0.{digits}").parse().map_err(|_| ParseError::Syntax)?;
    Ok((value * 1e6).round() as i64)
}

/// `1 day 02:03:04`, `1 year -2 mons`, `P1DT2H`, `2 weeks ago`; a bare number counts in seconds.
pub fn parse_interval(text: &str) -> Result<Interval, ParseError> {
    let trimmed = text.trim();
    if trimmed.is_empty() {
        return Err(ParseError::Syntax);
    }
    let iso = trimmed.strip_prefix('P').or_else(|| trimmed.strip_prefix('p'));
    let mut total = IntervalSum::default();
    match iso {
        Some(rest) if !rest.is_empty() => total.add_iso(rest)?,
        _ => total.add_verbose(trimmed)?,
    }
    total.finish()
}

#[derive(Default)]
struct IntervalSum {
    months: f64,
    days: f64,
    microseconds: i128,
}

impl IntervalSum {
    fn add(&mut self, value: f64, unit: &str) -> Result<(), ParseError> {
        const DAY: f64 = MICROSECONDS_PER_DAY as f64;
        let mut time = |microseconds: f64| self.microseconds += microseconds.round() as i128;
        match unit {
            "microsecond" | "us" | "usec" => time(value),
            "millisecond" | "ms" | "msec" => time(value * 1e3),
            "second" | "s" | "sec" => time(value * 1e6),
            "minute" | "m" | "min" => time(value * 6e7),
            "hour" | "h" | "hr" => time(value * 3.6e9),
            "day" | "d" => {
                time(value.fract() * DAY);
                self.days += value.trunc();
            }
            "week" | "w" => {
                let days = value * 7.0;
                time(days.fract() * DAY);
                self.days += days.trunc();
            }
            "month" | "mon" => {
                let days = value.fract() * 30.0;
                time(days.fract() * DAY);
                self.days += days.trunc();
                self.months += value.trunc();
            }
            "year" | "y" | "yr" => self.months += (value * 12.0).trunc(),
            "decade" | "dec" => self.months += value * 120.0,
            "century" | "c" | "cent" => self.months += value * 1200.0,
            "millennium" | "mil" => self.months += value * 12_000.0,
            _ => return Err(ParseError::Syntax),
        }
        Ok(())
    }

    fn add_iso(&mut self, text: &str) -> Result<(), ParseError> {
        if let Some((date, clock)) = text.split_once(['T', 't']).filter(|(date, _)| date.matches('-').count() == 2) {
            // `P0001-02-03T04:05:06`
            let units = ["year", "month", "day"];
            for (part, unit) in date.split('-').zip(units) {
                self.add(part.parse().map_err(|_| ParseError::Syntax)?, unit)?;
            }
            self.microseconds += i128::from(parse_interval_clock(clock)?);
            return Ok(());
        }
        let mut in_time = false;
        let mut number = String::new();
        for ch in text.chars() {
            match ch {
                'T' | 't' => in_time = true,
                '0'..='9' | '.' | '-' | '+' => number.push(ch),
                _ => {
                    let value: f64 = number.parse().map_err(|_| ParseError::Syntax)?;
                    number.clear();
                    let unit = match (ch.to_ascii_uppercase(), in_time) {
                        ('Y', false) => "year",
                        ('M', false) => "month",
                        ('W', false) => "week",
                        ('D', false) => "day",
                        ('H', true) => "hour",
                        ('M', true) => "minute",
                        ('S', true) => "second",
                        _ => return Err(ParseError::Syntax),
                    };
                    self.add(value, unit)?;
                }
            }
        }
        if number.is_empty() { Ok(()) } else { Err(ParseError::Syntax) }
    }

    fn add_verbose(&mut self, text: &str) -> Result<(), ParseError> {
        let spaced = text.trim_start_matches('@');
        let mut pending: Option<f64> = None;
        let mut ago = false;
        for word in split_interval_words(spaced) {
            if word.contains(':') {
                let (sign, clock) = match word.as_bytes()[0] {
                    b'-' => (-1, &word[1..]),
                    b'+' => (1, &word[1..]),
                    _ => (1, word),
                };
                // `1 02:03`: a bare number before a time counts days.
                if let Some(days) = pending.take() {
                    self.add(days, "day")?;
                }
                self.microseconds += i128::from(sign * parse_interval_clock(clock)?);
            } else if word.as_bytes()[0].is_ascii_alphabetic() {
                let lower = word.to_ascii_lowercase();
                if lower == "ago" {
                    ago = true;
                    continue;
                }
                let unit = match lower.as_str() {
                    "centuries" => "century",
                    "millennia" => "millennium",
                    "s" | "ms" | "us" => lower.as_str(),
                    other => other.strip_suffix('s').unwrap_or(other),
                };
                self.add(pending.take().ok_or(ParseError::Syntax)?, unit)?;
            } else if let Some((years, months)) = year_to_month(word) {
                self.add(years, "year")?;
                self.add(months, "month")?;
            } else {
                if pending.is_some() {
                    return Err(ParseError::Syntax);
                }
                pending = Some(word.parse().map_err(|_| ParseError::Syntax)?);
            }
        }
        if let Some(seconds) = pending {
            self.add(seconds, "second")?;
        }
        if ago {
            self.months = -self.months;
            self.days = -self.days;
            self.microseconds = -self.microseconds;
        }
        Ok(())
    }

    fn finish(self) -> Result<Interval, ParseError> {
        let fits = |value: f64| value.abs() <= f64::from(i32::MAX);
        if !fits(self.months) {
            return Err(ParseError::OutOfRange);
        }
        if !fits(self.days) {
            return Err(ParseError::FieldRange);
        }
        let microseconds = i64::try_from(self.microseconds).map_err(|_| ParseError::FieldRange)?;
        Ok(Interval { microseconds, days: self.days as i32, months: self.months as i32 })
    }
}

/// `1-2`: years and months of one sign.
fn year_to_month(word: &str) -> Option<(f64, f64)> {
    let (sign, digits) = match word.strip_prefix('-') {
        Some(rest) => (-1.0, rest),
        None => (1.0, word.strip_prefix('+').unwrap_or(word)),
    };
    let (years, months) = digits.split_once('-')?;
    let number = |text: &str| text.parse::<u32>().ok().map(f64::from);
    let (years, months) = (number(years)?, number(months).filter(|months| *months < 12.0)?);
    Some((sign * years, sign * months))
}

/// Words, with `3d` cut into `3` and `d`.
fn split_interval_words(text: &str) -> Vec<&str> {
    let mut words = Vec::new();
    for piece in text.split_whitespace() {
        let bytes = piece.as_bytes();
        let numeric = bytes[0].is_ascii_digit() || matches!(bytes[0], b'-' | b'+' | b'.');
        match piece.find(|ch: char| ch.is_ascii_alphabetic()) {
            Some(at) if numeric && at > 0 && !piece.contains(':') => words.extend([&piece[..at], &piece[at..]]),
            _ => words.push(piece),
        }
    }
    words
}

/// Hours may be any number in an interval.
fn parse_interval_clock(text: &str) -> Result<i64, ParseError> {
    let (clock, fraction) = text.split_once('.').unwrap_or((text, ""));
    let parts: Vec<&str> = clock.split(':').collect();
    let number = |text: &str| text.parse::<i64>().map_err(|_| ParseError::Syntax);
    let (hours, minutes, seconds) = match parts[..] {
        [hours, minutes] => (number(hours)?, number(minutes)?, 0),
        [hours, minutes, seconds] => (number(hours)?, number(minutes)?, number(seconds)?),
        _ => return Err(ParseError::Syntax),
    };
    if !(0..=59).contains(&minutes) || !(0..=60).contains(&seconds) || !(0..=2_562_047_788).contains(&hours) {
        return Err(ParseError::FieldRange);
    }
    Ok(hours * MICROSECONDS_PER_HOUR
        + minutes * MICROSECONDS_PER_MINUTE
        + seconds * MICROSECONDS_PER_SECOND
        + parse_fraction(fraction)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn context(settings: &FormatSettings) -> ParseContext<'_> {
        ParseContext { settings, now: 86_400_000_000 * 9000 + 1 }
    }

    #[test]
    fn timestamps_in_many_spellings() {
        let settings = FormatSettings::default();
        let cases = [
            ("2024-01-31", "2024-01-31 00:00:00"),
            ("2024-01-31 12:34:56.789", "2024-01-31 12:34:56.789"),
            ("2024-01-31T12:34", "2024-01-31 12:34:00"),
            ("20240131T123456", "2024-01-31 12:34:56"),
            ("1/31/2024 1:02 PM", "2024-01-31 13:02:00"),
            ("Jan 31, 2024", "2024-01-31 00:00:00"),
            ("31-Jan-2024 01:00", "2024-01-31 01:00:00"),
            ("0044-03-15 BC", "0044-03-15 00:00:00 BC"),
            ("epoch", "1970-01-01 00:00:00"),
            ("infinity", "infinity"),
            ("tomorrow", "2024-08-23 00:00:00"),
            ("Wed Jan 31 12:00:00 2024", "2024-01-31 12:00:00"),
        ];
        for (text, expected) in cases {
            let value = parse_timestamp(text, context(&settings)).unwrap_or_else(|error| panic!("{text}: {error:?}"));
            assert_eq!(format_timestamp(value), expected, "{text}");
        }
        let with_zone = [
            ("2024-01-31 12:00+02", "2024-01-31 10:00:00+00"),
            ("2024-01-31 12:00:00-03:30", "2024-01-31 15:30:00+00"),
            ("2024-01-31 12:00 Europe/Berlin", "2024-01-31 11:00:00+00"),
            ("2024-01-31T12:00:00Z", "2024-01-31 12:00:00+00"),
        ];
        for (text, expected) in with_zone {
            let value = parse_timestamptz(text, context(&settings)).unwrap_or_else(|error| panic!("{text}: {error:?}"));
            assert_eq!(format_timestamptz(value, &TimeZone::UTC), expected, "{text}");
        }
    }

    #[test]
    fn bad_dates_are_told_apart() {
        let settings = FormatSettings::default();
        let cases = [
            ("", ParseError::Syntax),
            ("garbage", ParseError::Syntax),
            ("2024-13-01", ParseError::FieldRangeDateStyle),
            ("2023-02-29", ParseError::FieldRange),
            ("13/13/2024", ParseError::FieldRangeDateStyle),
            ("2024-01-01 25:00", ParseError::FieldRange),
            ("2024-01-01 12:00 Mars/Base", ParseError::UnknownZone),
            ("\u{e9}", ParseError::Syntax),
        ];
        for (text, expected) in cases {
            assert_eq!(parse_timestamp(text, context(&settings)), Err(expected), "{text}");
        }
    }

    #[test]
    fn intervals() {
        let cases = [
            ("1 day 02:03:04", "1 day 02:03:04"),
            ("1 year -2 mons", "10 mons"),
            ("P1Y2M3DT4H5M6S", "1 year 2 mons 3 days 04:05:06"),
            ("2 weeks ago", "-14 days"),
            ("1.5 days", "1 day 12:00:00"),
            ("90 minutes", "01:30:00"),
            ("-1 hour", "-01:00:00"),
            ("3d 4h", "3 days 04:00:00"),
            ("10", "00:00:10"),
        ];
        for (text, expected) in cases {
            let value = parse_interval(text).unwrap_or_else(|error| panic!("{text}: {error:?}"));
            assert_eq!(format_interval(&value), expected, "{text}");
        }
        for text in ["", "abc", "1 parsec", "1 2 3"] {
            assert!(parse_interval(text).is_err(), "{text}");
        }
    }
}
