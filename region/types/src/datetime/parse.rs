//! Reading dates, times and timestamps. Text is cut into fields (`fields`) that are then understood in order (`decode`).
use super::decode::{Decoded, decode, decode_time};
use super::*;
use crate::TimeTz;
use crate::environment::FormatSettings;

/// Why text is not a date or time; the caller knows the type's name.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum ParseError {
    /// 22007
    Syntax,
    /// 22008, `date/time field value out of range`
    FieldRange,
    /// 22008, with a hint at DateStyle
    FieldRangeDateStyle,
    /// 22008, `date out of range`
    OutOfRange,
    /// 22023, with the zone's name
    UnknownZone(String),
    /// 22009
    ZoneDisplacement,
}

/// The clock and zone that `now` and local times need.
#[derive(Clone, Copy, Debug)]
pub struct ParseContext<'a> {
    pub settings: &'a FormatSettings,
    /// `now()`
    pub now: i64,
}

pub fn parse_date(text: &str, context: ParseContext<'_>) -> Result<i32, ParseError> {
    match decode(text, context)? {
        Decoded::Infinity => Ok(DATE_INFINITY),
        Decoded::NegativeInfinity => Ok(DATE_NEGATIVE_INFINITY),
        Decoded::Epoch => Ok(-EPOCH_UNIX_DAYS as i32),
        Decoded::Local { civil, .. } => {
            let days = days_from_civil(civil.year, civil.month, civil.day);
            checked_date(days).map_err(|_| ParseError::OutOfRange)
        }
    }
}

pub fn parse_time(text: &str, context: ParseContext<'_>) -> Result<i64, ParseError> {
    decode_time(text, context).map(|decoded| decoded.microseconds)
}

/// A time without zone is meant in the session's; one with a zone's name, on the date beside it.
pub fn parse_timetz(text: &str, context: ParseContext<'_>) -> Result<TimeTz, ParseError> {
    let decoded = decode_time(text, context)?;
    let zone = decoded.zone.unwrap_or(context.settings.time_zone);
    let days = match decoded.date {
        Some(civil) => days_from_civil(civil.year, civil.month, civil.day),
        None => split_timestamp(zone.to_local(context.now)).0,
    };
    let local = days.saturating_mul(MICROSECONDS_PER_DAY).saturating_add(decoded.microseconds);
    let east = local.saturating_sub(zone.to_utc(local)) / MICROSECONDS_PER_SECOND;
    Ok(TimeTz { microseconds: decoded.microseconds, west: -(east as i32) })
}

/// A zone in the text is ignored, as the SQL standard has it.
pub fn parse_timestamp(text: &str, context: ParseContext<'_>) -> Result<i64, ParseError> {
    match decode(text, context)? {
        Decoded::Infinity => Ok(TIMESTAMP_INFINITY),
        Decoded::NegativeInfinity => Ok(TIMESTAMP_NEGATIVE_INFINITY),
        Decoded::Epoch => Ok(-EPOCH_UNIX_DAYS * MICROSECONDS_PER_DAY),
        Decoded::Local { civil, microseconds, .. } => local_timestamp(civil, microseconds),
    }
}

pub fn parse_timestamptz(text: &str, context: ParseContext<'_>) -> Result<i64, ParseError> {
    match decode(text, context)? {
        Decoded::Infinity => Ok(TIMESTAMP_INFINITY),
        Decoded::NegativeInfinity => Ok(TIMESTAMP_NEGATIVE_INFINITY),
        Decoded::Epoch => Ok(-EPOCH_UNIX_DAYS * MICROSECONDS_PER_DAY),
        Decoded::Local { civil, microseconds, zone } => {
            let zone = zone.unwrap_or(context.settings.time_zone);
            let utc = zone.to_utc(local_timestamp(civil, microseconds)?);
            checked_timestamp(i128::from(utc)).map_err(|_| ParseError::OutOfRange)
        }
    }
}

fn local_timestamp(civil: Civil, microseconds: i64) -> Result<i64, ParseError> {
    let days = days_from_civil(civil.year, civil.month, civil.day);
    let total = i128::from(days) * i128::from(MICROSECONDS_PER_DAY) + i128::from(microseconds);
    checked_timestamp(total).map_err(|_| ParseError::OutOfRange)
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
            ("tomorrow 10:00", "2024-08-23 10:00:00"),
            ("Wed Jan 31 12:00:00 2024", "2024-01-31 12:00:00"),
            ("y2024m01d31", "2024-01-31 00:00:00"),
            ("J2451187", "1999-01-08 00:00:00"),
            ("2024.031", "2024-01-31 00:00:00"),
            ("99-Jan-08", "1999-01-08 00:00:00"),
        ];
        for (text, expected) in cases {
            if text == "99-Jan-08" {
                // Only where years come first.
                assert_eq!(parse_timestamp(text, context(&settings)), Err(ParseError::FieldRangeDateStyle));
                continue;
            }
            let value = parse_timestamp(text, context(&settings)).unwrap_or_else(|error| panic!("{text}: {error:?}"));
            assert_eq!(format_timestamp(value), expected, "{text}");
        }
        let with_zone = [
            ("2024-01-31 12:00+02", "2024-01-31 10:00:00+00"),
            ("2024-01-31 12:00:00-03:30", "2024-01-31 15:30:00+00"),
            ("2024-01-31 12:00 Europe/Berlin", "2024-01-31 11:00:00+00"),
            ("2024-01-31T12:00:00Z", "2024-01-31 12:00:00+00"),
            ("2024-01-31 120000-08", "2024-01-31 20:00:00+00"),
            ("2024-01-31 12:00 PST", "2024-01-31 20:00:00+00"),
            ("2024-01-31 12:00 MET DST", "2024-01-31 10:00:00+00"),
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
            ("0000-01-01", ParseError::FieldRange),
            ("2024-01-01 12:00+99", ParseError::ZoneDisplacement),
            ("2024-01-01 12:00 Mars/Base", ParseError::UnknownZone("mars/base".to_string())),
            ("\u{e9}", ParseError::Syntax),
        ];
        for (text, expected) in cases {
            assert_eq!(parse_timestamp(text, context(&settings)), Err(expected), "{text}");
        }
    }

    #[test]
    fn times_with_their_zones() {
        let settings = FormatSettings::default();
        let shown = |text: &str| {
            let value = parse_timetz(text, context(&settings)).unwrap_or_else(|error| panic!("{text}: {error:?}"));
            format!("{}{}", format_time(value.microseconds), format_offset(-value.west))
        };
        assert_eq!(shown("04:05:06.789-8"), "04:05:06.789-08");
        assert_eq!(shown("040506+0730"), "04:05:06+07:30");
        assert_eq!(shown("2003-04-12 04:05:06 America/New_York"), "04:05:06-04");
        assert_eq!(shown("4:05 PM PST"), "16:05:00-08");
        assert_eq!(parse_timetz("04:05 America/New_York", context(&settings)), Err(ParseError::Syntax));
    }
}
