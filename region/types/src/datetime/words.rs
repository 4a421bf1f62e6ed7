//! The words that dates, times and intervals are written with.
use super::zone::abbreviation_offset;

/// A field that a number may stand for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Unit {
    Microsecond,
    Millisecond,
    Second,
    Minute,
    Hour,
    Day,
    Week,
    Month,
    Quarter,
    Year,
    Decade,
    Century,
    Millennium,
    Julian,
    /// The ISO `T`.
    Time,
    DayOfWeek,
    DayOfYear,
    IsoDayOfWeek,
    IsoYear,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Special {
    Infinity,
    NegativeInfinity,
    Epoch,
    Now,
    Today,
    Tomorrow,
    Yesterday,
    /// `allballs`: midnight in Greenwich.
    Zulu,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Word {
    Ignored,
    Special(Special),
    Month(i64),
    DayOfWeek,
    Afternoon(bool),
    BeforeChrist(bool),
    Unit(Unit),
    /// `T`, ahead of a time.
    IsoTime,
    /// An offset's abbreviation, seconds east.
    Zone {
        east: i32,
        summer: bool,
    },
    /// `DST` behind a zone.
    Summer,
}

/// A word of a date or time, in lower case. Zones' abbreviations come first.
pub(super) fn word(text: &str) -> Option<Word> {
    match abbreviation_offset(text) {
        Some((east, summer)) => Some(Word::Zone { east, summer }),
        None => date_word(text),
    }
}

/// A word that is no zone.
pub(super) fn date_word(text: &str) -> Option<Word> {
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
    if let Some(at) = MONTHS.iter().position(|month| *month == text || month[..3] == *text) {
        return Some(Word::Month(at as i64 + 1));
    }
    Some(match text {
        "-infinity" => Word::Special(Special::NegativeInfinity),
        "infinity" => Word::Special(Special::Infinity),
        "epoch" => Word::Special(Special::Epoch),
        "now" => Word::Special(Special::Now),
        "today" => Word::Special(Special::Today),
        "tomorrow" => Word::Special(Special::Tomorrow),
        "yesterday" => Word::Special(Special::Yesterday),
        "allballs" => Word::Special(Special::Zulu),
        "sept" => Word::Month(9),
        "am" => Word::Afternoon(false),
        "pm" => Word::Afternoon(true),
        "ad" => Word::BeforeChrist(false),
        "bc" => Word::BeforeChrist(true),
        "at" | "on" => Word::Ignored,
        "dst" => Word::Summer,
        "t" => Word::IsoTime,
        "d" => Word::Unit(Unit::Day),
        "dow" => Word::Unit(Unit::DayOfWeek),
        "doy" => Word::Unit(Unit::DayOfYear),
        "h" => Word::Unit(Unit::Hour),
        "isodow" => Word::Unit(Unit::IsoDayOfWeek),
        "isoyear" => Word::Unit(Unit::IsoYear),
        "j" | "jd" | "julian" => Word::Unit(Unit::Julian),
        "m" => Word::Unit(Unit::Month),
        "mm" => Word::Unit(Unit::Minute),
        "s" => Word::Unit(Unit::Second),
        "y" => Word::Unit(Unit::Year),
        "mon" | "monday" | "tue" | "tues" | "tuesday" | "wed" | "weds" | "wednesday" | "thu" | "thur" | "thurs"
        | "thursday" | "fri" | "friday" | "sat" | "saturday" | "sun" | "sunday" => Word::DayOfWeek,
        _ => return None,
    })
}

/// A word of an interval, in lower case; only its first ten letters count.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum IntervalWord {
    Unit(Unit),
    Ago,
}

pub(super) fn interval_word(text: &str) -> Option<IntervalWord> {
    let unit = match text.get(..10).unwrap_or(text) {
        "ago" => return Some(IntervalWord::Ago),
        "us" | "usec" | "usecs" | "usecond" | "useconds" | "microsecon" => Unit::Microsecond,
        "ms" | "msec" | "msecs" | "msecond" | "mseconds" | "millisecon" => Unit::Millisecond,
        "s" | "sec" | "secs" | "second" | "seconds" => Unit::Second,
        "m" | "min" | "mins" | "minute" | "minutes" => Unit::Minute,
        "h" | "hr" | "hrs" | "hour" | "hours" => Unit::Hour,
        "d" | "day" | "days" => Unit::Day,
        "w" | "week" | "weeks" => Unit::Week,
        "mon" | "mons" | "month" | "months" => Unit::Month,
        "qtr" | "quarter" => Unit::Quarter,
        "y" | "yr" | "yrs" | "year" | "years" => Unit::Year,
        "dec" | "decs" | "decade" | "decades" => Unit::Decade,
        "c" | "cent" | "century" | "centuries" => Unit::Century,
        "mil" | "mils" | "millennia" | "millennium" => Unit::Millennium,
        _ => return None,
    };
    Some(IntervalWord::Unit(unit))
}
