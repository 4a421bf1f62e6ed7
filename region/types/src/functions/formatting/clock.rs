//! Dates, times and intervals: `to_char(value, template)`.
use super::*;
use crate::datetime::*;
use crate::error::sqlstate;
use std::fmt::Write;

/// How a word is written.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Case {
    Upper,
    Title,
    Lower,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Field {
    Era {
        dots: bool,
        case: Case,
    },
    HalfDay {
        dots: bool,
        case: Case,
    },
    Century,
    DayName(Case),
    DayShort(Case),
    DayOfYear,
    Day,
    DayOfWeek,
    Fraction(u32),
    Exact,
    Hour24,
    Hour12,
    IsoDayOfYear,
    IsoDayOfWeek,
    IsoWeek,
    /// With so many digits.
    IsoYear(usize),
    Julian,
    Minute,
    Month,
    MonthName(Case),
    MonthShort(Case),
    Millisecond,
    Offset,
    Quarter,
    Roman(Case),
    SecondOfDay,
    Second,
    ZoneHour,
    ZoneMinute,
    Zone(Case),
    Microsecond,
    WeekOfYear,
    WeekOfMonth,
    YearWithComma,
    Year(usize),
}

impl Field {
    /// A number comes in its place.
    pub(super) fn is_digits(self) -> bool {
        !matches!(
            self,
            Field::Era { .. }
                | Field::HalfDay { .. }
                | Field::DayName(_)
                | Field::DayShort(_)
                | Field::MonthName(_)
                | Field::MonthShort(_)
                | Field::Exact
                | Field::Offset
                | Field::Roman(_)
                | Field::ZoneHour
                | Field::Zone(_)
        )
    }
}

/// A field with its modifiers.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Key {
    pub field: Field,
    /// As it is spelled in the template, for errors.
    pub name: &'static str,
    pub fill: bool,
    pub ordinal: Option<Case>,
}

const FIELDS: &[(&str, Field)] = {
    use Case::*;
    use Field::*;
    &[
        ("A.D.", Era { dots: true, case: Upper }),
        ("a.d.", Era { dots: true, case: Lower }),
        ("AD", Era { dots: false, case: Upper }),
        ("ad", Era { dots: false, case: Lower }),
        ("B.C.", Era { dots: true, case: Upper }),
        ("b.c.", Era { dots: true, case: Lower }),
        ("BC", Era { dots: false, case: Upper }),
        ("bc", Era { dots: false, case: Lower }),
        ("A.M.", HalfDay { dots: true, case: Upper }),
        ("a.m.", HalfDay { dots: true, case: Lower }),
        ("AM", HalfDay { dots: false, case: Upper }),
        ("am", HalfDay { dots: false, case: Lower }),
        ("P.M.", HalfDay { dots: true, case: Upper }),
        ("p.m.", HalfDay { dots: true, case: Lower }),
        ("PM", HalfDay { dots: false, case: Upper }),
        ("pm", HalfDay { dots: false, case: Lower }),
        ("DAY", DayName(Upper)),
        ("Day", DayName(Title)),
        ("day", DayName(Lower)),
        ("DY", DayShort(Upper)),
        ("Dy", DayShort(Title)),
        ("dy", DayShort(Lower)),
        ("MONTH", MonthName(Upper)),
        ("Month", MonthName(Title)),
        ("month", MonthName(Lower)),
        ("MON", MonthShort(Upper)),
        ("Mon", MonthShort(Title)),
        ("mon", MonthShort(Lower)),
        ("RM", Roman(Upper)),
        ("rm", Roman(Lower)),
        ("TZH", ZoneHour),
        ("TZM", ZoneMinute),
        ("TZ", Zone(Upper)),
        ("tzh", ZoneHour),
        ("tzm", ZoneMinute),
        ("tz", Zone(Lower)),
        ("Y,YYY", YearWithComma),
        ("YYYY", Year(4)),
        ("YYY", Year(3)),
        ("YY", Year(2)),
        ("Y", Year(1)),
        ("IYYY", IsoYear(4)),
        ("IYY", IsoYear(3)),
        ("IY", IsoYear(2)),
        ("IDDD", IsoDayOfYear),
        ("ID", IsoDayOfWeek),
        ("IW", IsoWeek),
        ("I", IsoYear(1)),
        ("DDD", DayOfYear),
        ("DD", Day),
        ("D", DayOfWeek),
        ("FF1", Fraction(1)),
        ("FF2", Fraction(2)),
        ("FF3", Fraction(3)),
        ("FF4", Fraction(4)),
        ("FF5", Fraction(5)),
        ("FF6", Fraction(6)),
        ("FX", Exact),
        ("HH24", Hour24),
        ("HH12", Hour12),
        ("HH", Hour12),
        ("CC", Century),
        ("J", Julian),
        ("MI", Minute),
        ("MM", Month),
        ("MS", Millisecond),
        ("OF", Offset),
        ("Q", Quarter),
        ("SSSSS", SecondOfDay),
        ("SSSS", SecondOfDay),
        ("SS", Second),
        ("US", Microsecond),
        ("WW", WeekOfYear),
        ("W", WeekOfMonth),
    ]
};

/// Upper-case spellings also stand for the lower-case ones, unless those are listed.
fn field_at(text: &str) -> Option<(Field, &'static str)> {
    let exact = FIELDS.iter().find(|(name, _)| text.starts_with(name));
    let found = exact.or_else(|| {
        FIELDS.iter().find(|(name, _)| {
            name.bytes().all(|byte| !byte.is_ascii_lowercase()) && text.starts_with(name.to_ascii_lowercase().as_str())
        })
    });
    found.map(|(name, field)| (*field, *name))
}

pub(super) fn key(text: &str) -> Option<(Key, usize)> {
    let mut rest = text;
    let mut fill = false;
    let mut localized = false;
    loop {
        let prefix = rest.get(..2).unwrap_or("");
        if prefix.eq_ignore_ascii_case("FM") {
            fill = true;
        } else if prefix == "TM" {
            localized = true;
        } else {
            break;
        }
        rest = &rest[2..];
    }
    let (field, name) = field_at(rest)?;
    // Names of the locale are not filled up.
    let is_name = matches!(field, Field::MonthName(_) | Field::MonthShort(_) | Field::DayName(_) | Field::DayShort(_));
    fill |= localized && is_name;
    rest = &rest[name.len()..];
    let ordinal = match rest.get(..2) {
        Some("TH") => Some(Case::Upper),
        Some("th") => Some(Case::Lower),
        _ => None,
    };
    if ordinal.is_some() || rest.get(..2).is_some_and(|suffix| suffix.eq_ignore_ascii_case("SP")) {
        rest = &rest[2..];
    }
    Some((Key { field, name, fill, ordinal }, text.len() - rest.len()))
}

pub(super) const MONTHS: [&str; 12] = [
    "January",
    "February",
    "March",
    "April",
    "May",
    "June",
    "July",
    "August",
    "September",
    "October",
    "November",
    "December",
];
pub(super) const DAYS: [&str; 7] = ["Sunday", "Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday"];
pub(super) const ROMAN_MONTHS: [&str; 12] = ["I", "II", "III", "IV", "V", "VI", "VII", "VIII", "IX", "X", "XI", "XII"];

fn in_case(word: &str, case: Case) -> String {
    match case {
        Case::Upper => word.to_ascii_uppercase(),
        Case::Title => word.to_string(),
        Case::Lower => word.to_ascii_lowercase(),
    }
}

/// What a template shows: a moment of the calendar, or an interval's parts.
struct Shown {
    year: i64,
    month: i64,
    day: i64,
    hour: i64,
    minute: i64,
    second: i64,
    microsecond: i64,
    /// Days since 2000-01-01; an interval has none.
    days: Option<i64>,
    /// Seconds east and abbreviation.
    zone: Option<(i32, String)>,
}

fn of_local(local: i64, zone: Option<(i32, String)>) -> Shown {
    let (days, time) = split_timestamp(local);
    let civil = civil_from_days(days);
    Shown {
        year: civil.year,
        month: i64::from(civil.month),
        day: i64::from(civil.day),
        hour: time / MICROSECONDS_PER_HOUR,
        minute: time / MICROSECONDS_PER_MINUTE % 60,
        second: time / MICROSECONDS_PER_SECOND % 60,
        microsecond: time % MICROSECONDS_PER_SECOND,
        days: Some(days),
        zone,
    }
}

fn of_interval(value: &Interval) -> Shown {
    let time = value.microseconds;
    Shown {
        year: i64::from(value.months / 12),
        month: i64::from(value.months % 12),
        day: i64::from(value.days),
        hour: time / MICROSECONDS_PER_HOUR,
        minute: time / MICROSECONDS_PER_MINUTE % 60,
        second: time / MICROSECONDS_PER_SECOND % 60,
        microsecond: time % MICROSECONDS_PER_SECOND,
        days: None,
        zone: None,
    }
}

fn for_moments_only() -> Box<PgError> {
    PgError::new(sqlstate::INVALID_DATETIME_FORMAT, "invalid format specification for an interval value")
        .hint("Intervals are not tied to specific calendar dates.")
}

impl Shown {
    fn calendar_days(&self) -> PgResult<i64> {
        self.days.ok_or_else(for_moments_only)
    }

    /// The year as people count: 1 BC is 1.
    fn year_of_era(&self, year: i64) -> i64 {
        if self.days.is_some() && year <= 0 { 1 - year } else { year }
    }

    fn number(value: i64, width: usize, fill: bool) -> String {
        if fill {
            value.to_string()
        } else if value < 0 {
            format!("-{:0width$}", -value)
        } else {
            format!("{value:0width$}")
        }
    }

    fn name(word: &str, case: Case, width: usize, fill: bool) -> String {
        let word = in_case(word, case);
        if fill { word } else { format!("{word:<width$}") }
    }

    fn day_of_year(&self) -> i64 {
        match self.days {
            Some(days) => days - days_from_civil(self.year, 1, 1) + 1,
            None => (self.year * 12 + self.month) * 30 + self.day,
        }
    }

    fn iso(&self) -> PgResult<(i64, i64, i64)> {
        let days = self.calendar_days()?;
        let (year, week) = iso_week(days);
        let monday_based = (days + 5).rem_euclid(7);
        Ok((year, i64::from(week), (i64::from(week) - 1) * 7 + monday_based + 1))
    }

    fn write(&self, key: Key, out: &mut String) -> PgResult<()> {
        let number = |value, width| Shown::number(value, width, key.fill);
        let mut digits = match key.field {
            Field::Exact => return Ok(()),
            Field::Era { dots, case } => {
                self.calendar_days()?;
                let word = if self.year <= 0 { "BC" } else { "AD" };
                let word = if dots { format!("{}.{}.", &word[..1], &word[1..]) } else { word.to_string() };
                out.push_str(&in_case(&word, case));
                return Ok(());
            }
            Field::HalfDay { dots, case } => {
                let word = if self.hour.rem_euclid(24) >= 12 { "PM" } else { "AM" };
                let word = if dots { format!("{}.{}.", &word[..1], &word[1..]) } else { word.to_string() };
                out.push_str(&in_case(&word, case));
                return Ok(());
            }
            Field::DayName(case) | Field::DayShort(case) => {
                let name = DAYS[day_of_week(self.calendar_days()?) as usize];
                let short = matches!(key.field, Field::DayShort(_));
                let name = if short { &name[..3] } else { name };
                out.push_str(&Shown::name(name, case, if short { 3 } else { 9 }, key.fill));
                return Ok(());
            }
            Field::MonthName(case) | Field::MonthShort(case) => {
                self.calendar_days()?;
                let name = MONTHS[(self.month - 1).clamp(0, 11) as usize];
                let short = matches!(key.field, Field::MonthShort(_));
                let name = if short { &name[..3] } else { name };
                out.push_str(&Shown::name(name, case, if short { 3 } else { 9 }, key.fill));
                return Ok(());
            }
            Field::Roman(case) => {
                // An interval of whole years shows XII.
                let month = if self.month == 0 { if self.year == 0 { return Ok(()) } else { 12 } } else { self.month };
                let at = if month < 0 { 12 + month } else { month - 1 };
                out.push_str(&Shown::name(ROMAN_MONTHS[at.clamp(0, 11) as usize], case, 4, key.fill));
                return Ok(());
            }
            Field::Zone(case) => {
                self.calendar_days()?;
                if let Some((_, abbreviation)) = &self.zone {
                    let shown = if case == Case::Lower { abbreviation.to_lowercase() } else { abbreviation.clone() };
                    out.push_str(&shown);
                }
                return Ok(());
            }
            Field::ZoneHour | Field::ZoneMinute | Field::Offset => {
                self.calendar_days()?;
                let seconds = self.zone.as_ref().map_or(0, |(seconds, _)| *seconds);
                let (hours, minutes) = (seconds.abs() / 3600, seconds.abs() / 60 % 60);
                let sign = if seconds < 0 { '-' } else { '+' };
                let _ = match key.field {
                    Field::ZoneHour => write!(out, "{sign}{hours:02}"),
                    Field::ZoneMinute => write!(out, "{minutes:02}"),
                    _ if minutes != 0 => write!(out, "{sign}{hours:02}:{minutes:02}"),
                    _ => write!(out, "{sign}{hours:02}"),
                };
                return Ok(());
            }
            Field::Hour12 => number(if self.hour % 12 == 0 { 12 } else { self.hour % 12 }, 2),
            Field::Hour24 => number(self.hour, 2),
            Field::Minute => number(self.minute, 2),
            Field::Second => number(self.second, 2),
            Field::Fraction(count) => {
                let value = self.microsecond / 10i64.pow(6 - count);
                format!("{value:0width$}", width = count as usize)
            }
            Field::Millisecond => format!("{:03}", self.microsecond / 1000),
            Field::Microsecond => format!("{:06}", self.microsecond),
            Field::SecondOfDay => (self.hour * 3600 + self.minute * 60 + self.second).to_string(),
            Field::Month => number(self.month, 2),
            Field::DayOfYear => number(self.day_of_year(), 3),
            Field::IsoDayOfYear => number(self.iso()?.2, 3),
            // The sign of an interval's days counts in the width.
            Field::Day if key.fill => self.day.to_string(),
            Field::Day => format!("{:02}", self.day),
            Field::DayOfWeek => (i64::from(day_of_week(self.calendar_days()?)) + 1).to_string(),
            Field::IsoDayOfWeek => match day_of_week(self.calendar_days()?) {
                0 => "7".to_string(),
                day => day.to_string(),
            },
            Field::WeekOfYear => number((self.day_of_year() - 1) / 7 + 1, 2),
            Field::IsoWeek => number(self.iso()?.1, 2),
            Field::WeekOfMonth => ((self.day - 1) / 7 + 1).to_string(),
            Field::Quarter => {
                if self.month == 0 {
                    return Ok(());
                }
                ((self.month - 1) / 3 + 1).to_string()
            }
            Field::Century => {
                let century = if self.days.is_none() {
                    self.year / 100
                } else if self.year > 0 {
                    (self.year - 1) / 100 + 1
                } else {
                    self.year / 100 - 1
                };
                if (-99..=99).contains(&century) { number(century, 2) } else { century.to_string() }
            }
            Field::YearWithComma => {
                let year = self.year_of_era(self.year);
                format!("{},{:03}", year / 1000, year % 1000)
            }
            Field::Year(width) | Field::IsoYear(width) => {
                let iso = matches!(key.field, Field::IsoYear(_));
                let year = self.year_of_era(if iso { self.iso()?.0 } else { self.year });
                let cut = if width == 4 { year } else { year % 10i64.pow(width as u32) };
                number(cut, width)
            }
            Field::Julian => (self.calendar_days()? + EPOCH_JULIAN).to_string(),
        };
        if let Some(case) = key.ordinal {
            let ending = ordinal(&digits);
            digits.push_str(&if case == Case::Upper { ending.to_uppercase() } else { ending.to_string() });
        }
        out.push_str(&digits);
        Ok(())
    }
}

fn fill_template(shown: &Shown, template: &str) -> PgResult<Datum> {
    let mut out = String::new();
    for node in nodes(template, key) {
        match node {
            Node::Key(key) => shown.write(key, &mut out)?,
            Node::Literal(ch) => out.push(ch),
        }
    }
    Ok(Datum::text(out))
}

pub fn timestamp_to_char(_: &dyn Environment, a: &[Datum]) -> PgResult<Datum> {
    let (value, template) = (timestamp(a, 0)?, text(a, 1)?);
    if template.is_empty() || is_infinite_timestamp(value) {
        return Ok(Datum::Null);
    }
    fill_template(&of_local(value, None), template)
}
pub fn timestamptz_to_char(environment: &dyn Environment, a: &[Datum]) -> PgResult<Datum> {
    let (value, template) = (timestamp(a, 0)?, text(a, 1)?);
    if template.is_empty() || is_infinite_timestamp(value) {
        return Ok(Datum::Null);
    }
    let zone = &environment.format().time_zone;
    let known = (zone.offset_at(value), zone.abbreviation_at(value));
    fill_template(&of_local(zone.to_local(value), Some(known)), template)
}
pub fn interval_to_char(_: &dyn Environment, a: &[Datum]) -> PgResult<Datum> {
    let (value, template) = (interval(a, 0)?, text(a, 1)?);
    if template.is_empty() {
        return Ok(Datum::Null);
    }
    fill_template(&of_interval(&value), template)
}
