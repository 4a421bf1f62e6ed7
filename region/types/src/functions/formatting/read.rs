//! Dates and times by a template: `to_date`, `to_timestamp`.
//!
//! A blank or separator in the template matches at most one in the text, blanks before and after a field do not count,
//! and a number takes its full width only if another number follows at once.
use super::clock::{DAYS, Field, Key, MONTHS, ROMAN_MONTHS, key};
use super::*;
use crate::datetime::*;
use crate::error::sqlstate;

/// What a text said, as far as it did.
#[derive(Default)]
struct Said {
    year: Option<i64>,
    /// Digits that the template gave the year.
    year_digits: usize,
    century: Option<i64>,
    before_christ: bool,
    month: Option<i64>,
    day: Option<i64>,
    day_of_year: Option<i64>,
    day_of_week: Option<i64>,
    week: Option<i64>,
    week_of_month: Option<i64>,
    julian: Option<i64>,
    iso: bool,
    hour: Option<i64>,
    half_day_clock: bool,
    afternoon: bool,
    minute: Option<i64>,
    second: Option<i64>,
    second_of_day: Option<i64>,
    microseconds: i64,
    zone_sign: Option<i64>,
    zone_hour: i64,
    zone_minute: i64,
}

fn format_error(message: String) -> Box<PgError> {
    PgError::new(sqlstate::INVALID_DATETIME_FORMAT, message)
}

fn is_separator(ch: char) -> bool {
    ch.is_ascii_punctuation()
}

struct Reader<'a> {
    rest: &'a str,
    whole: &'a str,
    said: Said,
    /// Weeks of ISO 8601, or the months of Gregory: not both.
    by_week: Option<bool>,
}

impl<'a> Reader<'a> {
    fn skip_blanks(&mut self) -> i64 {
        let trimmed = self.rest.trim_start_matches(|ch: char| ch.is_ascii_whitespace());
        let skipped = self.rest.len() - trimmed.len();
        self.rest = trimmed;
        skipped as i64
    }

    fn skip(&mut self) {
        self.rest = self.rest.chars().next().map_or("", |ch| &self.rest[ch.len_utf8()..]);
    }

    fn previous(&self) -> Option<char> {
        self.whole[..self.whole.len() - self.rest.len()].chars().next_back()
    }

    /// A number of at most `width` digits; its value and how many characters it took.
    fn number(&mut self, key: &Key, width: usize, free: bool) -> PgResult<(i64, usize)> {
        self.skip_blanks();
        let copy: String = self.rest.chars().take(width).collect();
        let limit = if free { self.rest.len() } else { copy.len() };
        let source = &self.rest[..limit];
        if !free && copy.chars().count() < width {
            return Err(format_error(format!("source string too short for \"{}\" formatting field", key.name))
                .detail(format!("Field requires {width} characters, but only {} remain.", copy.chars().count()))
                .hint("If your source string is not fixed-width, try using the \"FM\" modifier."));
        }
        let sign = usize::from(source.starts_with(['-', '+']));
        let digits = source[sign..].bytes().take_while(u8::is_ascii_digit).count();
        let used = if digits == 0 { 0 } else { sign + digits };
        if !free && used > 0 && used < width {
            return Err(format_error(format!("invalid value \"{copy}\" for \"{}\"", key.name))
                .detail(format!("Field requires {width} characters, but only {used} could be parsed."))
                .hint("If your source string is not fixed-width, try using the \"FM\" modifier."));
        }
        if used == 0 {
            return Err(format_error(format!("invalid value \"{copy}\" for \"{}\"", key.name))
                .detail("Value must be an integer."));
        }
        let value = source[..used].parse::<i32>().map_err(|_| {
            let message = format!("value for \"{}\" in source string is out of range", key.name);
            PgError::new(sqlstate::DATETIME_FIELD_OVERFLOW, message)
                .detail("Value must be in the range -2147483648 to 2147483647.")
        })?;
        self.rest = &self.rest[used..];
        Ok((i64::from(value), used))
    }

    /// One of these words, by its first `length` letters (0: all of them).
    fn word(&mut self, key: &Key, words: &[&str], length: usize) -> PgResult<usize> {
        for (at, word) in words.iter().enumerate() {
            let word = if length == 0 { word } else { &word[..length] };
            if self.rest.get(..word.len()).is_some_and(|start| start.eq_ignore_ascii_case(word)) {
                self.rest = &self.rest[word.len()..];
                return Ok(at);
            }
        }
        let shown: String = self.rest.chars().take_while(|ch| !ch.is_ascii_whitespace()).collect();
        Err(format_error(format!("invalid value \"{shown}\" for \"{}\"", key.name))
            .detail("The given value did not match any of the allowed values for this field."))
    }

    fn field(&mut self, key: &Key, free: bool, extra: i64) -> PgResult<()> {
        let conflicting = || {
            format_error(format!("conflicting values for \"{}\" field in formatting string", key.name))
                .detail("This value contradicts a previous setting for the same field type.")
        };
        let settle = |slot: &mut Option<i64>, value: i64| match slot {
            Some(before) if *before != value => Err(conflicting()),
            _ => {
                *slot = Some(value);
                Ok(())
            }
        };
        let by_week = match key.field {
            Field::IsoDayOfYear | Field::IsoDayOfWeek | Field::IsoWeek | Field::IsoYear(_) => Some(true),
            Field::DayOfYear | Field::Day | Field::DayOfWeek | Field::Month | Field::MonthName(_) => Some(false),
            Field::MonthShort(_) | Field::Roman(_) | Field::WeekOfYear | Field::WeekOfMonth => Some(false),
            Field::YearWithComma | Field::Year(_) => Some(false),
            _ => None,
        };
        if by_week.is_some() && self.by_week.is_some_and(|before| Some(before) != by_week) {
            return Err(format_error("invalid combination of date conventions".to_string())
                .hint("Do not mix Gregorian and ISO week date conventions in a formatting template."));
        }
        self.by_week = by_week.or(self.by_week);
        match key.field {
            Field::Exact | Field::Quarter => {
                if key.field == Field::Quarter {
                    self.number(key, 1, free)?;
                }
            }
            Field::HalfDay { dots, .. } => {
                let words = if dots { ["a.m.", "p.m."] } else { ["am", "pm"] };
                self.said.afternoon = self.word(key, &words, 0)? == 1;
                self.said.half_day_clock = true;
            }
            Field::Era { dots, .. } => {
                let words = if dots { ["a.d.", "b.c."] } else { ["ad", "bc"] };
                self.said.before_christ = self.word(key, &words, 0)? == 1;
            }
            Field::Hour12 => {
                let (value, _) = self.number(key, 2, free)?;
                settle(&mut self.said.hour, value)?;
                self.said.half_day_clock = true;
            }
            Field::Hour24 => {
                let (value, _) = self.number(key, 2, free)?;
                settle(&mut self.said.hour, value)?;
            }
            Field::Minute => {
                let (value, _) = self.number(key, 2, free)?;
                settle(&mut self.said.minute, value)?;
            }
            Field::Second => {
                let (value, _) = self.number(key, 2, free)?;
                settle(&mut self.said.second, value)?;
            }
            Field::SecondOfDay => {
                let (value, _) = self.number(key, 5, free)?;
                settle(&mut self.said.second_of_day, value)?;
            }
            Field::Millisecond | Field::Microsecond | Field::Fraction(_) => {
                let width = match key.field {
                    Field::Millisecond => 3,
                    Field::Fraction(count) => count as usize,
                    _ => 6,
                };
                let (value, used) = self.number(key, width, free)?;
                // `5` after a point is five tenths.
                self.said.microseconds += value * 10i64.pow(6 - used.min(6) as u32);
            }
            Field::MonthName(_) => {
                let at = self.word(key, &MONTHS, 0)?;
                settle(&mut self.said.month, at as i64 + 1)?;
            }
            Field::MonthShort(_) => {
                let at = self.word(key, &MONTHS, 3)?;
                settle(&mut self.said.month, at as i64 + 1)?;
            }
            Field::Roman(_) => {
                // The longest name first: VIII before V.
                let mut order: Vec<usize> = (0..12).collect();
                order.sort_by_key(|at| std::cmp::Reverse(ROMAN_MONTHS[*at].len()));
                let words: Vec<&str> = order.iter().map(|at| ROMAN_MONTHS[*at]).collect();
                let at = self.word(key, &words, 0)?;
                settle(&mut self.said.month, order[at] as i64 + 1)?;
            }
            Field::Month => {
                let (value, _) = self.number(key, 2, free)?;
                settle(&mut self.said.month, value)?;
            }
            Field::DayName(_) => {
                let at = self.word(key, &DAYS, 0)?;
                settle(&mut self.said.day_of_week, at as i64)?;
            }
            Field::DayShort(_) => {
                let at = self.word(key, &DAYS, 3)?;
                settle(&mut self.said.day_of_week, at as i64)?;
            }
            Field::DayOfYear | Field::IsoDayOfYear => {
                let (value, _) = self.number(key, 3, free)?;
                settle(&mut self.said.day_of_year, value)?;
                self.said.iso |= key.field == Field::IsoDayOfYear;
            }
            Field::Day => {
                let (value, _) = self.number(key, 2, free)?;
                settle(&mut self.said.day, value)?;
            }
            Field::DayOfWeek => {
                let (value, _) = self.number(key, 1, free)?;
                settle(&mut self.said.day_of_week, value - 1)?;
            }
            Field::IsoDayOfWeek => {
                let (value, _) = self.number(key, 1, free)?;
                settle(&mut self.said.day_of_week, value % 7)?;
                self.said.iso = true;
            }
            Field::WeekOfYear | Field::IsoWeek => {
                let (value, _) = self.number(key, 2, free)?;
                settle(&mut self.said.week, value)?;
                self.said.iso |= key.field == Field::IsoWeek;
            }
            Field::WeekOfMonth => {
                let (value, _) = self.number(key, 1, free)?;
                settle(&mut self.said.week_of_month, value)?;
            }
            Field::Century => {
                let (value, _) = self.number(key, 2, free)?;
                settle(&mut self.said.century, value)?;
            }
            Field::YearWithComma => {
                let (thousands, _) = self.number(key, 10, true)?;
                if self.rest.starts_with(',') {
                    self.skip();
                }
                let (rest, _) = self.number(key, 3, false)?;
                settle(&mut self.said.year, thousands * 1000 + rest)?;
                self.said.year_digits = 4;
            }
            Field::Year(width) | Field::IsoYear(width) => {
                let (value, used) = self.number(key, width, free)?;
                let year = if width < 4 && used < 4 { expanded_year(value) } else { value };
                settle(&mut self.said.year, year)?;
                self.said.year_digits = width;
                self.said.iso |= matches!(key.field, Field::IsoYear(_));
            }
            Field::Julian => {
                let (value, _) = self.number(key, 10, true)?;
                settle(&mut self.said.julian, value)?;
            }
            Field::ZoneHour => {
                let sign = match self.rest.chars().next() {
                    Some(ch @ ('+' | '-' | ' ')) => {
                        self.skip();
                        if ch == '-' { -1 } else { 1 }
                    }
                    _ if extra > 0 && self.previous() == Some('-') => -1,
                    _ => 1,
                };
                self.said.zone_sign = Some(sign);
                self.said.zone_hour = self.number(key, 2, free)?.0;
            }
            Field::ZoneMinute => {
                self.said.zone_sign.get_or_insert(1);
                self.said.zone_minute = self.number(key, 2, free)?.0;
            }
            Field::Zone(_) | Field::Offset => {
                let message = format!("formatting field \"{}\" is only supported in to_char", key.name);
                return Err(PgError::new(sqlstate::FEATURE_NOT_SUPPORTED, message));
            }
        }
        Ok(())
    }
}

/// The year nearest to 2020 that ends so.
fn expanded_year(year: i64) -> i64 {
    match year {
        0..=69 => year + 2000,
        70..=99 => year + 1900,
        100..=519 => year + 2000,
        520..=999 => year + 1000,
        _ => year,
    }
}

/// True if a number in this node may be of any length: no digit follows at once.
fn is_free(nodes: &[Node<Key>], at: usize, key: &Key) -> bool {
    key.fill
        || key.ordinal.is_some()
        || match nodes.get(at + 1) {
            None => true,
            Some(Node::Key(next)) => !next.field.is_digits(),
            Some(Node::Literal(ch)) => !ch.is_ascii_digit(),
        }
}

fn read<'a>(value: &'a str, template: &str) -> PgResult<Reader<'a>> {
    let nodes = nodes(template, key);
    let mut reader = Reader { rest: value, whole: value, said: Said::default(), by_week: None };
    let mut exact = false;
    // How many blanks more were skipped than the template has.
    let mut extra = 0;
    for (at, node) in nodes.iter().enumerate() {
        if reader.rest.is_empty() {
            break;
        }
        let is_exact = matches!(node, Node::Key(Key { field: Field::Exact, .. }));
        if !exact && !is_exact && (matches!(node, Node::Key(_)) || at == 0) {
            extra += reader.skip_blanks();
        }
        match node {
            Node::Literal(ch) if ch.is_ascii_whitespace() || is_separator(*ch) => {
                if exact {
                    reader.skip();
                } else {
                    extra -= 1;
                    if reader.rest.starts_with(|next: char| next.is_ascii_whitespace() || is_separator(next)) {
                        reader.skip();
                        extra += 1;
                    }
                }
            }
            Node::Literal(_) => {
                if !exact && extra > 0 {
                    extra -= 1;
                } else {
                    reader.skip();
                }
            }
            Node::Key(key) => {
                exact |= is_exact;
                reader.field(key, is_free(&nodes, at, key), extra)?;
                if let Some(length) = key.ordinal.map(|_| 2) {
                    // The ending of `1st` is not looked at.
                    reader.rest = reader.rest.get(length..).unwrap_or("");
                }
                if !exact {
                    extra = reader.skip_blanks();
                }
            }
        }
    }
    Ok(reader)
}

impl Said {
    /// The calendar's day and the microsecond in it.
    fn moment(&self, text: &str) -> PgResult<(i64, i64)> {
        let out_of_range = || {
            let message = format!("date/time field value out of range: \"{text}\"");
            PgError::new(sqlstate::DATETIME_FIELD_OVERFLOW, message)
        };
        let (mut hour, mut minute, mut second) =
            (self.hour.unwrap_or(0), self.minute.unwrap_or(0), self.second.unwrap_or(0));
        if let Some(seconds) = self.second_of_day {
            (hour, minute, second) = (seconds / 3600, seconds / 60 % 60, seconds % 60);
        }
        if self.half_day_clock {
            if !(1..=12).contains(&hour) {
                return Err(format_error(format!("hour \"{hour}\" is invalid for the 12-hour clock"))
                    .hint("Use the 24-hour clock, or give an hour between 1 and 12."));
            }
            if self.afternoon && hour < 12 {
                hour += 12;
            } else if !self.afternoon && hour == 12 {
                hour = 0;
            }
        }
        let year = self.calendar_year();
        let (mut month, mut day) = (self.month.unwrap_or(1), self.day.unwrap_or(1));
        if let Some(week) = self.week_of_month {
            day = (week - 1) * 7 + 1;
        }
        let mut ordinal_day = self.day_of_year;
        let mut days = self.julian.map(|julian| julian - EPOCH_JULIAN);
        if let Some(week) = self.week {
            if self.iso {
                let monday = first_iso_monday(year) + (week - 1) * 7;
                let weekday = self.day_of_week.map_or(0, |day| (day + 6) % 7);
                days = Some(monday + weekday);
            } else {
                ordinal_day = Some((week - 1) * 7 + 1);
            }
        }
        if let (Some(ordinal), true) = (ordinal_day, month <= 1 || day <= 1) {
            if self.year.is_none() && !self.before_christ {
                return Err(format_error("cannot calculate day of year without year information".to_string()));
            }
            let first = if self.iso { first_iso_monday(year) } else { days_from_civil(year, 1, 1) };
            let civil = civil_from_days(first + ordinal - 1);
            let length = if is_leap_year(year) { 366 } else { 365 };
            if !self.iso && !(1..=length).contains(&ordinal) {
                return Err(out_of_range());
            }
            (month, day) = (i64::from(civil.month), i64::from(civil.day));
            days = Some(first + ordinal - 1);
        }
        let valid_day = (1..=12).contains(&month) && day >= 1 && day <= i64::from(days_in_month(year, month as u32));
        let valid_time =
            (0..24).contains(&hour) && (0..60).contains(&minute) && (0..60).contains(&second) && self.microseconds >= 0;
        if !(valid_day || days.is_some()) || !valid_time {
            return Err(out_of_range());
        }
        let days = days.unwrap_or_else(|| days_from_civil(year, month as u32, day as u32));
        let time = hour * MICROSECONDS_PER_HOUR + minute * MICROSECONDS_PER_MINUTE + second * MICROSECONDS_PER_SECOND;
        Ok((days, time + self.microseconds))
    }

    /// Year 0 is 1 BC.
    fn calendar_year(&self) -> i64 {
        match (self.year, self.century) {
            (Some(year), Some(century)) if self.year_digits <= 2 => {
                let century = if self.before_christ { -century } else { century };
                let in_century = year % 100;
                match (century >= 0, in_century) {
                    (true, 0) => century * 100,
                    (true, year) => (century - 1) * 100 + year,
                    (false, year) => (century + 1) * 100 - year + 1,
                }
            }
            (Some(year), _) => {
                let year = if self.before_christ { -year } else { year };
                if year < 0 { year + 1 } else { year }
            }
            (None, Some(century)) => {
                let century = if self.before_christ { -century } else { century };
                if century >= 0 { (century - 1) * 100 + 1 } else { century * 100 + 1 }
            }
            (None, None) => 0,
        }
    }
}

fn first_iso_monday(year: i64) -> i64 {
    let fourth = days_from_civil(year, 1, 4);
    fourth - (fourth + 5).rem_euclid(7)
}

pub fn to_date(_: &dyn Environment, a: &[Datum]) -> PgResult<Datum> {
    let value = text(a, 0)?;
    let reader = read(value, text(a, 1)?)?;
    let (days, _) = reader.said.moment(value)?;
    checked_date(days)
        .map(Datum::Date)
        .map_err(|_| PgError::new(sqlstate::DATETIME_FIELD_OVERFLOW, format!("date out of range: \"{value}\"")))
}

pub fn to_timestamp(environment: &dyn Environment, a: &[Datum]) -> PgResult<Datum> {
    let value = text(a, 0)?;
    let reader = read(value, text(a, 1)?)?;
    let (days, time) = reader.said.moment(value)?;
    let local = checked_timestamp(i128::from(days) * i128::from(MICROSECONDS_PER_DAY) + i128::from(time))?;
    let utc = match reader.said.zone_sign {
        Some(sign) => {
            let seconds = sign * (reader.said.zone_hour * 3600 + reader.said.zone_minute * 60);
            i128::from(local) - i128::from(seconds) * i128::from(MICROSECONDS_PER_SECOND)
        }
        None => i128::from(environment.format().time_zone.to_utc(local)),
    };
    checked_timestamp(utc).map(Datum::Timestamp)
}
