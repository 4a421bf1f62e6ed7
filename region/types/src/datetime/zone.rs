//! Time zones: a fixed offset or a name of the tz database.
use super::abbreviations::ABBREVIATIONS;
use super::{EPOCH_UNIX_DAYS, MICROSECONDS_PER_SECOND};
use chrono::{Offset, TimeZone as _};
use chrono_tz::{OffsetName, Tz};
use std::collections::HashMap;
use std::sync::LazyLock;

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum TimeZone {
    /// Seconds east of Greenwich.
    Fixed(i32),
    Named(Tz),
}

/// Zone names in lower case.
static ZONES: LazyLock<HashMap<String, Tz>> =
    LazyLock::new(|| chrono_tz::TZ_VARIANTS.iter().map(|tz| (tz.name().to_ascii_lowercase(), *tz)).collect());

/// Years that chrono's tables answer for; beyond them the nearest answer stands.
const UNIX_SECONDS_LIMIT: i64 = 8_000_000_000_000;

fn unix_seconds(timestamp: i64) -> i64 {
    let seconds = timestamp.div_euclid(MICROSECONDS_PER_SECOND) + EPOCH_UNIX_DAYS * 86_400;
    seconds.clamp(-UNIX_SECONDS_LIMIT, UNIX_SECONDS_LIMIT)
}

impl TimeZone {
    pub const UTC: TimeZone = TimeZone::Fixed(0);

    /// `UTC`, `Europe/Berlin`, `+05:30` (ISO: east is positive), `-8`.
    pub fn parse(name: &str) -> Option<TimeZone> {
        let trimmed = name.trim();
        match trimmed.to_ascii_uppercase().as_str() {
            "UTC" | "GMT" | "Z" | "ZULU" | "UCT" => return Some(TimeZone::UTC),
            _ => {}
        }
        if let Some(seconds) = parse_offset(trimmed) {
            return Some(TimeZone::Fixed(seconds));
        }
        if let Some((seconds, _)) = abbreviation_offset(trimmed) {
            return Some(TimeZone::Fixed(seconds));
        }
        TimeZone::of_text(trimmed)
    }

    /// A name of the tz database, or POSIX's form of one, as it stands in the text of a time.
    pub(super) fn of_text(name: &str) -> Option<TimeZone> {
        let known = ZONES.get(&name.to_ascii_lowercase()).copied().map(TimeZone::Named);
        known.or_else(|| posix_offset(name).map(TimeZone::Fixed))
    }

    /// The same offset at all times.
    pub(super) fn is_fixed(&self) -> bool {
        const HALF_YEAR: i64 = 182 * 86_400 * MICROSECONDS_PER_SECOND;
        let offset = self.offset_at(0);
        matches!(self, TimeZone::Fixed(_)) || (-200..200).all(|step| self.offset_at(step * HALF_YEAR) == offset)
    }

    /// A zone as AT TIME ZONE and functions name it: digits count as in POSIX, west of Greenwich.
    pub fn named(name: &str) -> Option<TimeZone> {
        match TimeZone::parse(name)? {
            TimeZone::Fixed(seconds) if parse_offset(name.trim()).is_some() => Some(TimeZone::Fixed(-seconds)),
            zone => Some(zone),
        }
    }

    /// A zone as SET names it: a plain number is hours east, other digits count as in POSIX.
    pub fn of_setting(value: &str) -> Option<TimeZone> {
        match value.trim().parse::<f64>() {
            Ok(hours) if hours.is_finite() && hours.abs() <= 168.0 => Some(TimeZone::Fixed((hours * 3600.0) as i32)),
            Ok(_) => None,
            Err(_) => TimeZone::named(value),
        }
    }

    /// What `name` or SHOW gave back: also `<-07>+07`.
    pub fn of_shown(value: &str) -> Option<TimeZone> {
        let posix = value.strip_prefix('<').and_then(|rest| rest.split_once('>')).map(|(_, offset)| offset);
        match posix {
            Some(offset) => parse_offset(offset).map(|seconds| TimeZone::Fixed(-seconds)),
            None => TimeZone::of_setting(value),
        }
    }

    pub fn name(&self) -> String {
        match self {
            TimeZone::Fixed(0) => "UTC".to_string(),
            TimeZone::Fixed(seconds) => format!("<{0}>{1}", format_offset(*seconds), format_offset(-*seconds)),
            TimeZone::Named(tz) => tz.name().to_string(),
        }
    }

    /// Seconds east at a UTC timestamp.
    pub fn offset_at(&self, timestamp: i64) -> i32 {
        match self {
            TimeZone::Fixed(seconds) => *seconds,
            TimeZone::Named(tz) => match chrono::DateTime::from_timestamp(unix_seconds(timestamp), 0) {
                Some(utc) => tz.offset_from_utc_datetime(&utc.naive_utc()).fix().local_minus_utc(),
                None => 0,
            },
        }
    }

    /// Abbreviation at a UTC timestamp (`CEST`), where the zone has one.
    pub fn abbreviation_at(&self, timestamp: i64) -> String {
        match self {
            TimeZone::Fixed(0) => "UTC".to_string(),
            TimeZone::Fixed(seconds) => format_offset(*seconds),
            TimeZone::Named(tz) => chrono::DateTime::from_timestamp(unix_seconds(timestamp), 0)
                .and_then(|utc| tz.offset_from_utc_datetime(&utc.naive_utc()).abbreviation().map(str::to_string))
                .unwrap_or_default(),
        }
    }

    pub fn to_local(&self, utc: i64) -> i64 {
        if super::is_infinite_timestamp(utc) {
            return utc;
        }
        utc.saturating_add(i64::from(self.offset_at(utc)) * MICROSECONDS_PER_SECOND)
    }

    /// Wall time to UTC. Twice there: standard time, the later instant. In a gap: the offset before it.
    pub fn to_utc(&self, local: i64) -> i64 {
        if super::is_infinite_timestamp(local) {
            return local;
        }
        let offset = match self {
            TimeZone::Fixed(seconds) => i64::from(*seconds),
            TimeZone::Named(_) => {
                let day = 86_400 * MICROSECONDS_PER_SECOND;
                let before = i64::from(self.offset_at(local.saturating_sub(day)));
                let after = i64::from(self.offset_at(local.saturating_add(day)));
                let fits = |offset: i64| {
                    let utc = local.saturating_sub(offset * MICROSECONDS_PER_SECOND);
                    i64::from(self.offset_at(utc)) == offset
                };
                match (fits(before), fits(after)) {
                    (true, true) => before.min(after),
                    (false, true) => after,
                    _ => before,
                }
            }
        };
        local.saturating_sub(offset * MICROSECONDS_PER_SECOND)
    }
}

/// `+05`, `-03:30`, `+0530`, `+05:30:15`: seconds east.
pub fn parse_offset(text: &str) -> Option<i32> {
    let sign = match text.as_bytes().first()? {
        b'+' => 1,
        b'-' => -1,
        _ => return None,
    };
    let rest = &text[1..];
    let parts: Vec<&str> = rest.split(':').collect();
    let number = |part: &str| {
        (!part.is_empty() && part.len() <= 2 && part.bytes().all(|b| b.is_ascii_digit()))
            .then(|| part.parse::<i32>().ok())
            .flatten()
    };
    let (hours, minutes, seconds) = match parts.as_slice() {
        [all] if (3..=4).contains(&all.len()) && all.is_ascii() => {
            let (hours, minutes) = all.split_at(all.len() - 2);
            (number(hours)?, number(minutes)?, 0)
        }
        [hours] => (number(hours)?, 0, 0),
        [hours, minutes] => (number(hours)?, number(minutes)?, 0),
        [hours, minutes, seconds] => (number(hours)?, number(minutes)?, number(seconds)?),
        _ => return None,
    };
    if hours > 15 || minutes > 59 || seconds > 59 {
        return None;
    }
    Some(sign * (hours * 3600 + minutes * 60 + seconds))
}

/// What an abbreviation stands for: seconds east, and whether it is summer time.
pub(super) fn abbreviation_offset(name: &str) -> Option<(i32, bool)> {
    let lower = name.to_ascii_lowercase();
    let at = ABBREVIATIONS.binary_search_by(|(known, ..)| (*known).cmp(lower.as_str())).ok()?;
    let (_, east, summer) = ABBREVIATIONS[at];
    Some((east, summer))
}

/// `FOO+3`, `<ABC>-2:30`: a name of one's own and hours west.
fn posix_offset(text: &str) -> Option<i32> {
    let named = match text.strip_prefix('<') {
        Some(quoted) => quoted.split_once('>')?.1,
        None => text.trim_start_matches(|ch: char| ch.is_ascii_alphabetic()),
    };
    let name_length = text.len() - named.len();
    if name_length < 3 || named.is_empty() {
        return None;
    }
    // Hours, perhaps minutes and seconds behind colons; nothing runs together.
    let (sign, digits) = match named.strip_prefix('-') {
        Some(digits) => (1, digits),
        None => (-1, named.strip_prefix('+').unwrap_or(named)),
    };
    let mut parts = digits.split(':').map(|part| part.parse::<i32>().ok());
    let hours = parts.next()??;
    let (minutes, seconds) = (parts.next().unwrap_or(Some(0))?, parts.next().unwrap_or(Some(0))?);
    let fits = (0..=167).contains(&hours) && (0..60).contains(&minutes) && (0..60).contains(&seconds);
    (fits && parts.next().is_none()).then(|| sign * ((hours * 60 + minutes) * 60 + seconds))
}

/// `+02`, `+05:30`, `-00:01:15`.
pub fn format_offset(seconds: i32) -> String {
    let sign = if seconds < 0 { '-' } else { '+' };
    let absolute = seconds.unsigned_abs();
    let (hours, minutes, rest) = (absolute / 3600, absolute / 60 % 60, absolute % 60);
    match (minutes, rest) {
        (0, 0) => format!("{sign}{hours:02}"),
        (_, 0) => format!("{sign}{hours:02}:{minutes:02}"),
        _ => format!("{sign}{hours:02}:{minutes:02}:{rest:02}"),
    }
}

#[cfg(test)]
mod tests {
    use super::super::{MICROSECONDS_PER_DAY, MICROSECONDS_PER_HOUR, days_from_civil};
    use super::*;

    #[test]
    fn local_times_become_utc() {
        let berlin = TimeZone::parse("europe/berlin").expect("a zone");
        let summer = days_from_civil(2024, 7, 1) * MICROSECONDS_PER_DAY;
        assert_eq!(berlin.to_utc(summer), summer - 2 * MICROSECONDS_PER_HOUR);
        // 02:30 on 2024-10-27 occurs twice: standard time counts.
        let twice = days_from_civil(2024, 10, 27) * MICROSECONDS_PER_DAY + 5 * MICROSECONDS_PER_HOUR / 2;
        assert_eq!(berlin.to_utc(twice), twice - MICROSECONDS_PER_HOUR);
        // 02:30 on 2024-03-31 does not occur: read with the offset before.
        let gap = days_from_civil(2024, 3, 31) * MICROSECONDS_PER_DAY + 5 * MICROSECONDS_PER_HOUR / 2;
        assert_eq!(berlin.to_utc(gap), gap - MICROSECONDS_PER_HOUR);
    }

    #[test]
    fn offsets() {
        let cases = [("+05", 18000), ("-0330", -12600), ("+05:30", 19800), ("-8", -28800)];
        for (text, seconds) in cases {
            assert_eq!(parse_offset(text), Some(seconds));
        }
        assert_eq!(parse_offset("+99"), None);
        assert_eq!(format_offset(-12600), "-03:30");
    }
}
