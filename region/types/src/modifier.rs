//! Type modifiers: `varchar(n)`, `char(n)`, `numeric(p,s)`, `timestamp(p)`.
//!
//! An assignment that does not fit is an error (unless only blanks are lost); an explicit cast cuts.
use crate::error::{PgError, PgResult, sqlstate};
use crate::{Array, Datum, Oid, Text, datetime, display_name, element_of, is_array, oid};

pub use interval::{FIELDS_ALL as INTERVAL_FIELDS_ALL, shown as interval_shown};

/// `interval year to month`, `interval second(2)`: a modifier has the fields that a value may have above its precision.
pub mod interval {
    use crate::{Interval, datetime};

    pub const YEAR: i32 = 1 << 2;
    pub const MONTH: i32 = 1 << 1;
    pub const DAY: i32 = 1 << 3;
    pub const HOUR: i32 = 1 << 10;
    pub const MINUTE: i32 = 1 << 11;
    pub const SECOND: i32 = 1 << 12;
    pub const FIELDS_ALL: i32 = 0x7fff;
    pub(super) const PRECISION: i32 = 0xffff;
    const NAMES: [(i32, &str); 6] =
        [(YEAR, "year"), (MONTH, "month"), (DAY, "day"), (HOUR, "hour"), (MINUTE, "minute"), (SECOND, "second")];

    fn fields(modifier: i32) -> i32 {
        modifier >> 16 & FIELDS_ALL
    }

    /// The smallest field that a value may have, by name; `None`: all may be there.
    pub(crate) fn last(modifier: i32) -> Option<&'static str> {
        let fields = fields(modifier);
        let mut named = NAMES.iter().rev().filter(|(field, _)| fields & field != 0);
        if modifier < 0 || fields == FIELDS_ALL { None } else { named.next().map(|(_, name)| *name) }
    }

    /// `interval minute to second`, where `03:04` has no hours.
    pub(crate) fn is_minute_to_second(modifier: i32) -> bool {
        modifier >= 0 && fields(modifier) == MINUTE | SECOND
    }

    /// The value without the fields that it may not have.
    pub fn fitted(modifier: i32, value: Interval) -> Interval {
        const HOUR_MICROSECONDS: i64 = 3_600_000_000;
        const MINUTE_MICROSECONDS: i64 = 60_000_000;
        let whole = |unit: i64| value.microseconds / unit * unit;
        let mut fitted = value;
        match last(modifier) {
            Some("year") => fitted = Interval { months: value.months / 12 * 12, days: 0, microseconds: 0 },
            Some("month") => fitted = Interval { days: 0, microseconds: 0, ..value },
            Some("day") => fitted.microseconds = 0,
            Some("hour") => fitted.microseconds = whole(HOUR_MICROSECONDS),
            Some("minute") => fitted.microseconds = whole(MINUTE_MICROSECONDS),
            _ => {}
        }
        if modifier & PRECISION != PRECISION {
            fitted.microseconds = datetime::round_microseconds(fitted.microseconds, modifier & PRECISION);
        }
        fitted
    }

    /// As `format_type` shows it.
    pub fn shown(modifier: i32) -> String {
        let digits = match modifier & PRECISION {
            PRECISION => String::new(),
            digits => format!("({digits})"),
        };
        let fields = fields(modifier);
        if fields == FIELDS_ALL {
            return format!("interval{digits}");
        }
        let named: Vec<&str> = NAMES.iter().filter(|(field, _)| fields & field != 0).map(|(_, name)| *name).collect();
        match named.as_slice() {
            [] => format!("interval{digits}"),
            [only] => format!("interval {only}{digits}"),
            [first, .., last] => format!("interval {first} to {last}{digits}"),
        }
    }
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Strictness {
    Assignment,
    Explicit,
}

/// PostgreSQL's header in the modifiers of lengths.
pub const LENGTH_HEADER: i32 = 4;

/// The modifier of `name(arguments)`, with PostgreSQL's limits.
pub fn parse(oid: Oid, arguments: &[i64]) -> PgResult<i32> {
    let bad = |message: String| PgError::new(sqlstate::INVALID_PARAMETER_VALUE, message);
    let Some(first) = arguments.first().copied() else { return Ok(-1) };
    let element = if is_array(oid) { element_of(oid).unwrap_or(oid) } else { oid };
    let one =
        |name: &str| if arguments.len() == 1 { Ok(()) } else { Err(bad(format!("invalid type modifier of {name}"))) };
    match element {
        oid::VARCHAR | oid::BPCHAR => {
            let name = if element == oid::VARCHAR { "varchar" } else { "char" };
            one(name)?;
            if first < 1 {
                return Err(bad(format!("length for type {name} must be at least 1")));
            }
            if first > 10_485_760 {
                return Err(bad(format!("length for type {name} cannot exceed 10485760")));
            }
            Ok(first as i32 + LENGTH_HEADER)
        }
        oid::BIT | oid::VARBIT => {
            let name = if element == oid::VARBIT { "varbit" } else { "bit" };
            one(name)?;
            if first < 1 {
                return Err(bad(format!("length for type {name} must be at least 1")));
            }
            if first > 83_886_080 {
                return Err(bad(format!("length for type {name} cannot exceed 83886080")));
            }
            Ok(first as i32)
        }
        oid::NUMERIC => {
            let scale = arguments.get(1).copied().unwrap_or(0);
            if !(1..=1000).contains(&first) {
                return Err(bad(format!("NUMERIC precision {first} must be between 1 and 1000")));
            }
            if !(-1000..=1000).contains(&scale) {
                return Err(bad(format!("NUMERIC scale {scale} must be between -1000 and 1000")));
            }
            if arguments.len() > 2 {
                return Err(bad("invalid NUMERIC type modifier".to_string()));
            }
            Ok(crate::numeric::make_modifier(first as i32, scale as i32))
        }
        oid::INTERVAL => {
            let digits = match arguments {
                [_] => interval::PRECISION,
                [_, digits] => (*digits).clamp(0, 6) as i32,
                _ => return Err(bad("invalid INTERVAL type modifier".to_string())),
            };
            Ok((first as i32 & interval::FIELDS_ALL) << 16 | digits)
        }
        oid::TIME | oid::TIMETZ | oid::TIMESTAMP | oid::TIMESTAMPTZ => {
            one("a time")?;
            Ok(first.clamp(0, 6) as i32)
        }
        _ => Err(PgError::new(
            sqlstate::SYNTAX_ERROR,
            format!(
                "type modifier is not allowed for type \"{}\"",
                crate::type_info(oid).map_or("?", |info| info.name)
            ),
        )),
    }
}

/// The value as the modifier has it.
pub fn apply(oid: Oid, modifier: i32, datum: Datum, strictness: Strictness) -> PgResult<Datum> {
    if modifier < 0 {
        return Ok(datum);
    }
    match (oid, &datum) {
        (oid::VARCHAR, Datum::Text(text)) => fit_text(oid, modifier, text, strictness),
        (oid::BPCHAR, Datum::Text(text)) => fit_text(oid, modifier, text, strictness),
        (oid::BIT | oid::VARBIT, Datum::Text(bits)) => fit_bits(oid, modifier as usize, bits, strictness),
        (oid::TIMETZ, Datum::TimeTz(value)) => {
            let microseconds = datetime::round_microseconds(value.microseconds, modifier);
            Ok(Datum::TimeTz(crate::TimeTz { microseconds, ..*value }))
        }
        (oid::NUMERIC, Datum::Numeric(value)) => Ok(Datum::numeric(value.apply_modifier(modifier)?)),
        (oid::TIMESTAMP | oid::TIMESTAMPTZ, Datum::Timestamp(value)) => {
            if datetime::is_infinite_timestamp(*value) {
                return Ok(datum);
            }
            Ok(Datum::Timestamp(datetime::round_microseconds(*value, modifier)))
        }
        (oid::INTERVAL, Datum::Interval(value)) => Ok(Datum::Interval(interval::fitted(modifier, *value))),
        (oid::TIME, Datum::Time(value)) => Ok(Datum::Time(datetime::round_microseconds(*value, modifier))),
        (_, Datum::Array(array)) if is_array(oid) => {
            let fitted = array.values.iter().map(|value| apply(array.element, modifier, value.clone(), strictness));
            Ok(Datum::array(Array {
                element: array.element,
                dimensions: array.dimensions.clone(),
                values: fitted.collect::<PgResult<_>>()?,
            }))
        }
        _ => Ok(datum),
    }
}

/// A `bit(n)` has n bits, a `bit varying(n)` no more.
fn fit_bits(oid: Oid, limit: usize, bits: &Text, strictness: Strictness) -> PgResult<Datum> {
    let length = bits.len();
    let fits = if oid == oid::BIT { length == limit } else { length <= limit };
    if fits {
        return Ok(Datum::Text(bits.clone()));
    }
    if strictness == Strictness::Assignment {
        let (code, message) = if oid == oid::BIT {
            let message = format!("bit string length {length} does not match type bit({limit})");
            (crate::error::SqlState(*b"22026"), message)
        } else {
            let message = format!("bit string too long for type bit varying({limit})");
            (sqlstate::STRING_DATA_RIGHT_TRUNCATION, message)
        };
        return Err(PgError::new(code, message));
    }
    let mut kept = bits[..length.min(limit)].to_owned();
    if oid == oid::BIT {
        kept.extend(std::iter::repeat_n('0', limit - kept.len()));
    }
    Ok(Datum::text(kept))
}

fn fit_text(oid: Oid, modifier: i32, text: &Text, strictness: Strictness) -> PgResult<Datum> {
    let limit = (modifier - LENGTH_HEADER).max(0) as usize;
    // Bytes bound characters: most values are settled without counting.
    let fits = text.len() <= limit || text.chars().count() <= limit;
    if fits {
        if oid != oid::BPCHAR {
            return Ok(Datum::Text(text.clone()));
        }
        let missing = limit - text.chars().count();
        if missing == 0 {
            return Ok(Datum::Text(text.clone()));
        }
        let mut padded = String::with_capacity(text.len() + missing);
        padded.push_str(text);
        padded.extend(std::iter::repeat_n(' ', missing));
        return Ok(Datum::text(padded));
    }
    let cut = text.char_indices().nth(limit).map_or(text.len(), |(at, _)| at);
    if strictness == Strictness::Assignment && text[cut..].bytes().any(|byte| byte != b' ') {
        let code = sqlstate::STRING_DATA_RIGHT_TRUNCATION;
        return Err(PgError::new(code, format!("value too long for type {}", display_name(oid, modifier))));
    }
    Ok(Datum::text(&text[..cut]))
}
