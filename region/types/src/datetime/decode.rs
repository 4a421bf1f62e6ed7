//! Fields of a date or time, understood one after the other as PostgreSQL does: what a number is depends on what was there before it
//! and on `DateStyle`'s order.
use super::fields::{Field, Kind, fields};
use super::words::{Special, Unit, Word, date_word, word};
use super::*;
use crate::environment::DateOrder;

/// Parts that a text has said, as bits.
mod part {
    pub const YEAR: u32 = 1;
    pub const MONTH: u32 = 1 << 1;
    pub const DAY: u32 = 1 << 2;
    pub const HOUR: u32 = 1 << 3;
    pub const MINUTE: u32 = 1 << 4;
    pub const SECOND: u32 = 1 << 5;
    pub const ZONE: u32 = 1 << 6;
    pub const SUMMER: u32 = 1 << 7;
    pub const DAY_OF_YEAR: u32 = 1 << 8;
    pub const DAY_OF_WEEK: u32 = 1 << 9;
    pub const HALF_OF_DAY: u32 = 1 << 10;
    pub const ERA: u32 = 1 << 11;
    pub const SPECIAL: u32 = 1 << 12;
    pub const DATE: u32 = YEAR | MONTH | DAY;
    pub const TIME: u32 = HOUR | MINUTE | SECOND;
}

/// What a text means where it names a place on the line of time.
#[derive(Clone, PartialEq, Debug)]
pub(super) enum Decoded {
    Infinity,
    NegativeInfinity,
    Epoch,
    /// With the zone that it named, if it did.
    Local {
        civil: Civil,
        microseconds: i64,
        zone: Option<TimeZone>,
    },
}

/// A time of day, with its zone and date if it named them.
#[derive(Clone, PartialEq, Debug)]
pub(super) struct DecodedTime {
    pub microseconds: i64,
    pub zone: Option<TimeZone>,
    pub date: Option<Civil>,
}

#[derive(Debug)]
struct Decoder<'c> {
    context: ParseContext<'c>,
    /// Only a time is wanted; a date is accepted now and then.
    only_time: bool,
    seen: u32,
    year: i64,
    month: i64,
    day: i64,
    day_of_year: i64,
    hour: i64,
    minute: i64,
    second: i64,
    fraction: i64,
    offset_east: i32,
    named: Option<TimeZone>,
    two_digits: bool,
    julian: bool,
    text_month: bool,
    before_christ: bool,
    afternoon: Option<bool>,
    /// What the field behind a label is.
    label: Option<Unit>,
    special: Option<Special>,
}

/// The leading number, and what follows it.
fn number(text: &str) -> Result<(i64, &str), ParseError> {
    let signed = usize::from(text.starts_with(['-', '+']));
    let end = text[signed..].find(|ch: char| !ch.is_ascii_digit()).map_or(text.len(), |at| at + signed);
    if end == signed {
        return Err(ParseError::Syntax);
    }
    let value = text[..end].parse::<i64>().map_err(|_| ParseError::FieldRange)?;
    if i32::try_from(value).is_err() {
        return Err(ParseError::FieldRange);
    }
    Ok((value, &text[end..]))
}

/// `.789` in microseconds.
fn fraction(text: &str) -> Result<i64, ParseError> {
    let digits = text.strip_prefix('.').ok_or(ParseError::Syntax)?;
    if digits.is_empty() {
        return Ok(0);
    }
    if !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(ParseError::Syntax);
    }
    let value: f64 = text.parse().map_err(|_| ParseError::Syntax)?;
    Ok((value * 1e6).round_ties_even() as i64)
}

/// `+05:30`, `-0330`, `+5`: seconds east.
fn offset(text: &str) -> Result<i32, ParseError> {
    let sign = match text.as_bytes().first() {
        Some(b'+') => 1,
        Some(b'-') => -1,
        _ => return Err(ParseError::Syntax),
    };
    let whole = |text| match number(text) {
        Err(ParseError::FieldRange) => Err(ParseError::ZoneDisplacement),
        other => other,
    };
    let (mut hours, mut rest) = whole(&text[1..])?;
    let (mut minutes, mut seconds) = (0, 0);
    if let Some(after) = rest.strip_prefix(':') {
        (minutes, rest) = whole(after)?;
        if let Some(after) = rest.strip_prefix(':') {
            (seconds, rest) = whole(after)?;
        }
    } else if rest.is_empty() && text.len() > 3 {
        (hours, minutes) = (hours / 100, hours % 100);
    }
    let in_range = (0..=15).contains(&hours) && (0..60).contains(&minutes) && (0..60).contains(&seconds);
    if !in_range {
        return Err(ParseError::ZoneDisplacement);
    }
    if !rest.is_empty() {
        return Err(ParseError::Syntax);
    }
    Ok(sign * ((hours * 60 + minutes) * 60 + seconds) as i32)
}

/// Hours, minutes, seconds and microseconds of `12:34:56.7`; `34:56.7` has no hours.
pub(super) fn clock(text: &str, minutes_first: bool) -> Result<(i64, i64, i64, i64), ParseError> {
    let leading = |text: &str| {
        let end = text.find(|ch: char| !ch.is_ascii_digit()).unwrap_or(text.len());
        if end == 0 {
            return Ok((0, end));
        }
        text[..end].parse::<i64>().map(|value| (value, end)).map_err(|_| ParseError::FieldRange)
    };
    let (mut hour, end) = leading(text)?;
    let rest = text[end..].strip_prefix(':').ok_or(ParseError::Syntax)?;
    let (mut minute, end) = leading(rest)?;
    let rest = &rest[end..];
    let (mut second, mut microseconds) = (0, 0);
    match rest.as_bytes().first() {
        None if minutes_first => (hour, minute, second) = (0, hour, minute),
        None => {}
        Some(b'.') => {
            microseconds = fraction(rest)?;
            (hour, minute, second) = (0, hour, minute);
        }
        Some(b':') => {
            let (value, end) = leading(&rest[1..])?;
            second = value;
            if !rest[1 + end..].is_empty() {
                microseconds = fraction(&rest[1 + end..])?;
            }
        }
        Some(_) => return Err(ParseError::Syntax),
    }
    if minute > 59 || second > 60 || microseconds > MICROSECONDS_PER_SECOND {
        return Err(ParseError::FieldRange);
    }
    Ok((hour, minute, second, microseconds))
}

pub(super) fn decode(text: &str, context: ParseContext<'_>) -> Result<Decoded, ParseError> {
    let fields = fields(text)?;
    let mut decoder = Decoder::new(context, false);
    decoder.read(&fields)?;
    decoder.moment()
}

pub(super) fn decode_time(text: &str, context: ParseContext<'_>) -> Result<DecodedTime, ParseError> {
    let fields = fields(text)?;
    let mut decoder = Decoder::new(context, true);
    decoder.read(&fields)?;
    decoder.time_of_day()
}

impl<'c> Decoder<'c> {
    fn new(context: ParseContext<'c>, only_time: bool) -> Decoder<'c> {
        Decoder {
            context,
            only_time,
            seen: 0,
            year: 0,
            month: 0,
            day: 0,
            day_of_year: 0,
            hour: 0,
            minute: 0,
            second: 0,
            fraction: 0,
            offset_east: 0,
            named: None,
            two_digits: false,
            julian: false,
            text_month: false,
            before_christ: false,
            afternoon: None,
            label: None,
            special: None,
        }
    }

    /// Parts that count as said when a number is read: where only a time is wanted, the date does.
    fn assumed(&self) -> u32 {
        if self.only_time { self.seen | part::DATE } else { self.seen }
    }

    fn has(&self, parts: u32) -> bool {
        self.seen & parts == parts
    }

    fn read(&mut self, fields: &[Field]) -> Result<(), ParseError> {
        for at in 0..fields.len() {
            let said = self.field(fields, at)?;
            if said & self.seen != 0 {
                return Err(ParseError::Syntax);
            }
            self.seen |= said;
        }
        Ok(())
    }

    /// Understand one field; what it said.
    fn field(&mut self, fields: &[Field], at: usize) -> Result<u32, ParseError> {
        let Field { kind, text } = &fields[at];
        match kind {
            Kind::Date => self.date_field(fields, at),
            Kind::Time => {
                self.expect_iso_time()?;
                (self.hour, self.minute, self.second, self.fraction) = clock(text, false)?;
                if !self.only_time {
                    self.check_clock()?;
                }
                Ok(part::TIME)
            }
            Kind::Signed => {
                self.offset_east = offset(text)?;
                Ok(part::ZONE)
            }
            Kind::Number => match self.label.take() {
                Some(label) => self.labelled(label, text),
                None => self.number_field(fields, at),
            },
            Kind::Word | Kind::Special => self.word_field(fields, at),
        }
    }

    /// A label before a time can only be the ISO `T`.
    fn expect_iso_time(&mut self) -> Result<(), ParseError> {
        match self.label.take() {
            None | Some(Unit::Time) => Ok(()),
            Some(_) => Err(ParseError::Syntax),
        }
    }

    fn date_field(&mut self, fields: &[Field], at: usize) -> Result<u32, ParseError> {
        let text = &fields[at].text;
        if self.label == Some(Unit::Julian) && !self.only_time {
            self.label = None;
            let (day, zone) = number(text)?;
            self.julian_day(day)?;
            self.offset_east = offset(zone)?;
            return Ok(part::DATE | part::TIME | part::ZONE);
        }
        let early = at == 0 && fields.len() >= 2;
        let is_date = if self.only_time {
            early && (fields[fields.len() - 1].kind == Kind::Date || fields[1].kind == Kind::Time)
        } else {
            self.label.is_none() && !self.has(part::MONTH | part::DAY)
        };
        if is_date {
            return self.date(text);
        }
        if text.starts_with(|ch: char| ch.is_ascii_digit()) || self.label.is_some() {
            self.expect_iso_time()?;
            // `123456-08`
            let dash = text.find('-').filter(|_| !self.has(part::TIME)).ok_or(ParseError::Syntax)?;
            self.offset_east = offset(&text[dash..])?;
            return Ok(self.concatenated(&text[..dash], self.assumed())? | part::ZONE);
        }
        self.named = Some(TimeZone::of_text(text).ok_or_else(|| ParseError::UnknownZone(text.clone()))?);
        Ok(part::ZONE)
    }

    fn julian_day(&mut self, day: i64) -> Result<(), ParseError> {
        if day < 0 {
            return Err(ParseError::FieldRange);
        }
        let civil = civil_from_days(day - EPOCH_JULIAN);
        (self.year, self.month, self.day) = (civil.year, i64::from(civil.month), i64::from(civil.day));
        self.julian = true;
        Ok(())
    }

    /// `2024-01-31`, `31/Jan/2024`: months by name first, for they leave no doubt.
    fn date(&mut self, text: &str) -> Result<u32, ParseError> {
        let mut parts = Vec::new();
        let mut rest = text;
        while !rest.is_empty() {
            rest = rest.trim_start_matches(|ch: char| !ch.is_ascii_alphanumeric());
            if rest.is_empty() {
                return Err(ParseError::Syntax);
            }
            let digits = rest.starts_with(|ch: char| ch.is_ascii_digit());
            let same = |ch: char| if digits { ch.is_ascii_digit() } else { ch.is_ascii_alphabetic() };
            let end = rest.find(|ch| !same(ch)).unwrap_or(rest.len());
            parts.push(&rest[..end]);
            // One separator goes, whatever it is.
            rest = rest[end..].char_indices().nth(1).map_or("", |(at, _)| &rest[end + at..]);
        }
        let mut seen = self.seen;
        let mut said = 0;
        let mut take = |seen: &mut u32, parts: u32| {
            if *seen & parts != 0 {
                return Err(ParseError::Syntax);
            }
            *seen |= parts;
            said |= parts;
            Ok(())
        };
        self.text_month = false;
        for word in parts.iter().filter(|text| text.starts_with(|ch: char| ch.is_ascii_alphabetic())) {
            match date_word(word) {
                Some(Word::Ignored) => {}
                Some(Word::Month(month)) => {
                    self.month = month;
                    self.text_month = true;
                    take(&mut seen, part::MONTH)?;
                }
                _ => return Err(ParseError::Syntax),
            }
        }
        for text in parts.iter().filter(|text| text.starts_with(|ch: char| ch.is_ascii_digit())) {
            let parts = self.single(text, seen)?;
            take(&mut seen, parts)?;
        }
        if seen & !(part::DAY_OF_YEAR | part::ZONE) != part::DATE {
            return Err(ParseError::Syntax);
        }
        Ok(said)
    }

    fn labelled(&mut self, label: Unit, text: &str) -> Result<u32, ParseError> {
        let (value, rest) = number(text)?;
        match rest.as_bytes().first() {
            None => {}
            Some(b'.') if matches!(label, Unit::Julian | Unit::Time | Unit::Second) => {}
            Some(_) => return Err(ParseError::Syntax),
        }
        Ok(match label {
            Unit::Year => {
                self.year = value;
                part::YEAR
            }
            // Behind an hour it is minutes.
            Unit::Month if self.has(part::MONTH | part::HOUR) => {
                self.minute = value;
                part::MINUTE
            }
            Unit::Month => {
                self.month = value;
                part::MONTH
            }
            Unit::Day => {
                self.day = value;
                part::DAY
            }
            Unit::Hour => {
                self.hour = value;
                part::HOUR
            }
            Unit::Minute => {
                self.minute = value;
                part::MINUTE
            }
            Unit::Second => {
                self.second = value;
                if !rest.is_empty() {
                    self.fraction = fraction(rest)?;
                }
                part::SECOND
            }
            Unit::Julian => {
                self.julian_day(value)?;
                if rest.is_empty() {
                    return Ok(part::DATE);
                }
                let share: f64 = rest.parse().map_err(|_| ParseError::Syntax)?;
                let time = (share * MICROSECONDS_PER_DAY as f64) as i64;
                self.hour = time / MICROSECONDS_PER_HOUR;
                self.minute = time / MICROSECONDS_PER_MINUTE % 60;
                self.second = time / MICROSECONDS_PER_SECOND % 60;
                self.fraction = time % MICROSECONDS_PER_SECOND;
                part::DATE | part::TIME
            }
            Unit::Time => match self.concatenated(text, self.seen | part::DATE)? {
                part::TIME => part::TIME,
                _ => return Err(ParseError::Syntax),
            },
            _ => return Err(ParseError::Syntax),
        })
    }

    /// A number without a label.
    fn number_field(&mut self, fields: &[Field], at: usize) -> Result<u32, ParseError> {
        let text = &fields[at].text;
        let point = text.find('.');
        if self.only_time {
            return match point {
                Some(_) if at == 0 && fields.len() >= 2 && fields[fields.len() - 1].kind == Kind::Date => {
                    self.date(text)
                }
                Some(point) if point > 2 => self.concatenated(text, self.assumed()),
                Some(_) => Err(ParseError::Syntax),
                None if text.len() > 4 => self.concatenated(text, self.assumed()),
                None => {
                    self.text_month = false;
                    self.single(text, self.assumed())
                }
            };
        }
        match point {
            Some(_) if self.seen & part::DATE == 0 => self.date(text),
            Some(point) if point > 2 => self.concatenated(text, self.seen),
            _ if text.len() >= 6 && !(self.has(part::DATE) && self.has(part::TIME)) => {
                self.concatenated(text, self.seen)
            }
            _ => self.single(text, self.seen),
        }
    }

    /// Digits without separators: `20240131`, `040506.7`, `0405`.
    fn concatenated(&mut self, text: &str, seen: u32) -> Result<u32, ParseError> {
        let mut digits = text;
        if let Some(point) = text.find('.') {
            self.fraction = fraction(&text[point..])?;
            digits = &text[..point];
        } else if seen & part::DATE != part::DATE && digits.len() >= 6 {
            let (rest, day) = digits.split_at(digits.len() - 2);
            let (year, month) = rest.split_at(rest.len() - 2);
            (self.year, self.month, self.day) = (number(year)?.0, number(month)?.0, number(day)?.0);
            if year.len() == 2 {
                self.two_digits = true;
            }
            return Ok(part::DATE);
        }
        if seen & part::TIME == part::TIME || !matches!(digits.len(), 4 | 6) {
            return Err(ParseError::Syntax);
        }
        self.hour = number(&digits[..2])?.0;
        self.minute = number(&digits[2..4])?.0;
        self.second = if digits.len() == 6 { number(&digits[4..])?.0 } else { 0 };
        Ok(part::TIME)
    }

    /// A number that is one part of a date; which one depends on what was there before it.
    fn single(&mut self, text: &str, seen: u32) -> Result<u32, ParseError> {
        let (value, rest) = number(text)?;
        if rest.starts_with('.') {
            if text.len() - rest.len() > 2 {
                return self.concatenated(text, seen | part::DATE);
            }
            self.fraction = fraction(rest)?;
        } else if !rest.is_empty() {
            return Err(ParseError::Syntax);
        }
        let order = self.context.settings.date_order;
        let of_date = seen & part::DATE;
        if text.len() == 3 && of_date == part::YEAR && (1..=366).contains(&value) {
            self.day_of_year = value;
            return Ok(part::DAY_OF_YEAR | part::MONTH | part::DAY);
        }
        let year_like = text.len() >= 3 || order == DateOrder::YearMonthDay;
        const YEAR_AND_MONTH: u32 = part::YEAR | part::MONTH;
        const MONTH_AND_DAY: u32 = part::MONTH | part::DAY;
        let said = match of_date {
            0 if year_like => part::YEAR,
            0 if order == DateOrder::DayMonthYear => part::DAY,
            0 => part::MONTH,
            part::YEAR | part::DAY => part::MONTH,
            part::MONTH if self.text_month && year_like => part::YEAR,
            part::MONTH => part::DAY,
            YEAR_AND_MONTH if self.text_month && text.len() >= 3 && self.two_digits => {
                // What was taken for a year of two digits is the day.
                self.day = self.year;
                self.year = value;
                self.two_digits = false;
                return Ok(part::DAY);
            }
            YEAR_AND_MONTH => part::DAY,
            MONTH_AND_DAY => part::YEAR,
            part::DATE => return self.concatenated(text, seen),
            _ => return Err(ParseError::Syntax),
        };
        match said {
            part::YEAR => {
                self.year = value;
                self.two_digits = text.len() <= 2;
            }
            part::MONTH => self.month = value,
            _ => self.day = value,
        }
        Ok(said)
    }

    fn word_field(&mut self, fields: &[Field], at: usize) -> Result<u32, ParseError> {
        let text = &fields[at].text;
        let Some(word) = word(text) else {
            self.named = Some(TimeZone::of_text(text).ok_or(ParseError::Syntax)?);
            return Ok(part::ZONE);
        };
        Ok(match word {
            Word::Ignored => 0,
            Word::Special(special) => self.special_word(special)?,
            Word::Month(_) if self.only_time => return Err(ParseError::Syntax),
            Word::Month(month) => {
                // A number taken for the month was the day.
                let swap =
                    self.has(part::MONTH) && !self.text_month && !self.has(part::DAY) && (1..=31).contains(&self.month);
                let said = if swap { part::DAY } else { part::MONTH };
                if swap {
                    self.day = self.month;
                }
                self.text_month = true;
                self.month = month;
                said
            }
            Word::DayOfWeek if self.only_time => return Err(ParseError::Syntax),
            Word::DayOfWeek => part::DAY_OF_WEEK,
            Word::Afternoon(afternoon) => {
                self.afternoon = Some(afternoon);
                part::HALF_OF_DAY
            }
            Word::BeforeChrist(before) => {
                self.before_christ = before;
                part::ERA
            }
            Word::Unit(unit) => {
                self.label = Some(unit);
                0
            }
            Word::IsoTime => {
                let next = fields.get(at + 1).map(|field| field.kind);
                let fits = matches!(next, Some(Kind::Number | Kind::Time | Kind::Date));
                if !fits || !self.only_time && !self.has(part::DATE) {
                    return Err(ParseError::Syntax);
                }
                self.label = Some(Unit::Time);
                0
            }
            Word::Zone { east, summer } => {
                self.offset_east = east;
                if summer { part::ZONE | part::SUMMER } else { part::ZONE }
            }
            Word::Summer => {
                self.offset_east += 3600;
                part::SUMMER
            }
        })
    }

    fn special_word(&mut self, special: Special) -> Result<u32, ParseError> {
        let local = self.context.settings.time_zone.to_local(self.context.now);
        let days_from_now = match special {
            Special::Now => {
                let (days, time) = split_timestamp(local);
                self.set_date(days);
                self.hour = time / MICROSECONDS_PER_HOUR;
                self.minute = time / MICROSECONDS_PER_MINUTE % 60;
                self.second = time / MICROSECONDS_PER_SECOND % 60;
                self.fraction = time % MICROSECONDS_PER_SECOND;
                if self.only_time {
                    return Ok(part::TIME);
                }
                self.special = Some(Special::Now);
                return Ok(part::DATE | part::TIME | part::ZONE);
            }
            Special::Zulu => {
                (self.hour, self.minute, self.second, self.offset_east) = (0, 0, 0, 0);
                return Ok(part::TIME | part::ZONE);
            }
            _ if self.only_time => return Err(ParseError::Syntax),
            Special::Infinity | Special::NegativeInfinity | Special::Epoch => {
                self.special = Some(special);
                return Ok(part::DATE | part::TIME | part::ZONE | part::SPECIAL);
            }
            Special::Yesterday => -1,
            Special::Today => 0,
            Special::Tomorrow => 1,
        };
        self.set_date(split_timestamp(local).0 + days_from_now);
        Ok(part::DATE)
    }

    fn set_date(&mut self, days: i64) {
        let civil = civil_from_days(days);
        (self.year, self.month, self.day) = (civil.year, i64::from(civil.month), i64::from(civil.day));
    }

    fn microseconds(&self) -> i64 {
        ((self.hour * 60 + self.minute) * 60 + self.second) * MICROSECONDS_PER_SECOND + self.fraction
    }

    fn check_clock(&self) -> Result<(), ParseError> {
        let fits = (0..=24).contains(&self.hour)
            && (0..60).contains(&self.minute)
            && (0..=60).contains(&self.second)
            && self.microseconds() <= MICROSECONDS_PER_DAY;
        if fits { Ok(()) } else { Err(ParseError::FieldRange) }
    }

    /// Years of two digits, years before Christ, days of the year; then, is there such a date?
    fn check_date(&mut self) -> Result<(), ParseError> {
        if self.has(part::YEAR) && !self.julian {
            if self.before_christ {
                if self.year <= 0 {
                    return Err(ParseError::FieldRange);
                }
                self.year = 1 - self.year;
            } else if self.two_digits {
                self.year += match self.year {
                    0..=69 => 2000,
                    70..=99 => 1900,
                    _ => 0,
                };
            } else if self.year <= 0 && self.special.is_none() {
                return Err(ParseError::FieldRange);
            }
        }
        if self.has(part::DAY_OF_YEAR) {
            self.set_date(days_from_civil(self.year, 1, 1) + self.day_of_year - 1);
        }
        let month_is_wrong = self.has(part::MONTH) && !(1..=12).contains(&self.month);
        let day_is_wrong = self.has(part::DAY) && !(1..=31).contains(&self.day);
        if self.special.is_none() && (month_is_wrong || day_is_wrong) {
            return Err(ParseError::FieldRangeDateStyle);
        }
        let whole = self.has(part::DATE) && self.special.is_none();
        if whole && self.day > i64::from(days_in_month(self.year, self.month as u32)) {
            return Err(ParseError::FieldRange);
        }
        Ok(())
    }

    fn apply_half_of_day(&mut self) -> Result<(), ParseError> {
        let Some(afternoon) = self.afternoon else { return Ok(()) };
        if self.hour > 12 {
            return Err(ParseError::FieldRange);
        }
        self.hour = self.hour % 12 + if afternoon { 12 } else { 0 };
        Ok(())
    }

    /// The zone that was named, if there was one.
    fn zone(&self) -> Result<Option<TimeZone>, ParseError> {
        match self.named {
            Some(_) if self.seen & part::SUMMER != 0 => Err(ParseError::Syntax),
            Some(zone) => Ok(Some(zone)),
            None if self.has(part::ZONE) => Ok(Some(TimeZone::Fixed(self.offset_east))),
            None if self.seen & part::SUMMER != 0 => Err(ParseError::Syntax),
            None => Ok(None),
        }
    }

    fn civil(&self) -> Civil {
        Civil { year: self.year, month: self.month as u32, day: self.day as u32 }
    }

    fn moment(mut self) -> Result<Decoded, ParseError> {
        self.check_date()?;
        self.apply_half_of_day()?;
        match self.special {
            Some(Special::Infinity) => return Ok(Decoded::Infinity),
            Some(Special::NegativeInfinity) => return Ok(Decoded::NegativeInfinity),
            Some(Special::Epoch) => return Ok(Decoded::Epoch),
            _ => {}
        }
        if !self.has(part::DATE) {
            return Err(ParseError::Syntax);
        }
        let zone = match self.special {
            Some(Special::Now) => Some(self.context.settings.time_zone),
            _ => self.zone()?,
        };
        Ok(Decoded::Local { civil: self.civil(), microseconds: self.microseconds(), zone })
    }

    fn time_of_day(mut self) -> Result<DecodedTime, ParseError> {
        self.check_date()?;
        self.apply_half_of_day()?;
        self.check_clock()?;
        if !self.has(part::TIME) {
            return Err(ParseError::Syntax);
        }
        let zone = self.zone()?;
        let date = self.has(part::DATE).then(|| self.civil());
        if self.named.is_some_and(|zone| !zone.is_fixed()) && date.is_none() {
            return Err(ParseError::Syntax);
        }
        Ok(DecodedTime { microseconds: self.microseconds(), zone, date })
    }
}
