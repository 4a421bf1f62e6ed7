//! Text forms of values: what literals, COPY and the text protocol carry.
//!
//! `input` reads a value of a type, with PostgreSQL's errors; `output` writes one. `reg*` types are names of catalog
//! objects and go through the `Environment`.
mod array;
mod bits;
mod number;
mod record;
mod string;
pub mod unicode;

pub use array::{array_from_text, quote_array_element};
pub use bits::bits_from_literal;
pub use number::{format_float4, format_float8, parse_float4, parse_float8, parse_integer};
pub use string::{IDENTIFIER_BYTES_MAX, bytea_from_text, format_bytea, truncate_identifier};

use crate::datetime::{self, ParseContext, ParseError};
use crate::environment::{Environment, IntervalStyle, SystemCall};
use crate::error::{PgError, PgResult, sqlstate};
use crate::numeric::Numeric;
use crate::{Datum, Oid, Text, display_name, is_array, modifier, oid, user};
use std::fmt::Write;

/// `invalid input syntax for type integer: "abc"`
pub fn invalid_syntax(type_name: &str, text: &str) -> Box<PgError> {
    let code = sqlstate::INVALID_TEXT_REPRESENTATION;
    PgError::new(code, format!("invalid input syntax for type {type_name}: \"{text}\""))
}

fn out_of_range(type_name: &str, text: &str) -> Box<PgError> {
    let code = sqlstate::NUMERIC_VALUE_OUT_OF_RANGE;
    PgError::new(code, format!("value \"{text}\" is out of range for type {type_name}"))
}

fn datetime_error(error: ParseError, type_name: &str, text: &str) -> Box<PgError> {
    let field = || {
        let (code, what) = match type_name {
            "interval" => (crate::error::SqlState(*b"22015"), "interval"),
            _ => (sqlstate::DATETIME_FIELD_OVERFLOW, "date/time"),
        };
        PgError::new(code, format!("{what} field value out of range: \"{text}\""))
    };
    match error {
        ParseError::Syntax => {
            let code = sqlstate::INVALID_DATETIME_FORMAT;
            PgError::new(code, format!("invalid input syntax for type {type_name}: \"{text}\""))
        }
        ParseError::OutOfRange if type_name == "interval" => {
            PgError::new(sqlstate::DATETIME_FIELD_OVERFLOW, "interval out of range")
        }
        ParseError::OutOfRange => {
            let what = if type_name == "date" { "date" } else { "timestamp" };
            PgError::new(sqlstate::DATETIME_FIELD_OVERFLOW, format!("{what} out of range: \"{text}\""))
        }
        ParseError::FieldRange => field(),
        ParseError::FieldRangeDateStyle => field().hint("Perhaps you need a different \"datestyle\" setting."),
        ParseError::UnknownZone(zone) => {
            PgError::new(sqlstate::INVALID_PARAMETER_VALUE, format!("time zone \"{zone}\" not recognized"))
        }
        ParseError::ZoneDisplacement => {
            PgError::new(crate::error::SqlState(*b"22009"), format!("time zone displacement out of range: \"{text}\""))
        }
    }
}

/// Read a value. `type_modifier` is applied as an implicit cast would (too long is an error).
pub fn input(oid: Oid, type_modifier: i32, text: &str, environment: &dyn Environment) -> PgResult<Datum> {
    let datum = input_plain(oid, type_modifier, text, environment)?;
    modifier::apply(oid, type_modifier, datum, modifier::Strictness::Assignment)
}

fn input_plain(oid: Oid, type_modifier: i32, text: &str, environment: &dyn Environment) -> PgResult<Datum> {
    let settings = environment.format();
    let dates = || ParseContext { settings, now: environment.transaction_time() };
    let fail = |name: &'static str| move |error| datetime_error(error, name, text);
    Ok(match oid {
        oid::TEXT | oid::VARCHAR | oid::BPCHAR | oid::UNKNOWN | oid::CSTRING | oid::REFCURSOR => Datum::text(text),
        oid::INT4 => Datum::Int4(parse_integer(text, "integer")?),
        oid::INT8 => Datum::Int8(parse_integer(text, "bigint")?),
        oid::INT2 => Datum::Int2(parse_integer(text, "smallint")?),
        oid::BOOL => Datum::Bool(parse_bool(text).ok_or_else(|| invalid_syntax("boolean", text))?),
        oid::FLOAT8 => Datum::Float8(parse_float8(text, "double precision")?),
        oid::FLOAT4 => Datum::Float4(number::parse_float4(text)?),
        oid::NUMERIC => match Numeric::parse(text.trim_matches(|ch: char| ch.is_ascii_whitespace())) {
            Some(value) => Datum::numeric(value?),
            None => return Err(invalid_syntax("numeric", text)),
        },
        oid::NAME => Datum::text(string::truncate_identifier(text)),
        oid::CHAR => Datum::Char(string::parse_char(text)),
        oid::BYTEA => Datum::Bytea(bytea_from_text(text)?),
        oid::DATE => Datum::Date(datetime::parse_date(text, dates()).map_err(fail("date"))?),
        oid::TIME => Datum::Time(datetime::parse_time(text, dates()).map_err(fail("time"))?),
        oid::TIMETZ => Datum::TimeTz(datetime::parse_timetz(text, dates()).map_err(fail("time with time zone"))?),
        oid::BIT | oid::VARBIT => Datum::text(bits::bits_from_text(text)?),
        oid::TIMESTAMP => Datum::Timestamp(datetime::parse_timestamp(text, dates()).map_err(fail("timestamp"))?),
        oid::TIMESTAMPTZ => {
            Datum::Timestamp(datetime::parse_timestamptz(text, dates()).map_err(fail("timestamp with time zone"))?)
        }
        oid::INTERVAL => {
            let by_standard = settings.interval_style == IntervalStyle::SqlStandard;
            Datum::Interval(datetime::parse_interval(text, type_modifier, by_standard).map_err(fail("interval"))?)
        }
        oid::OID | oid::XID | oid::CID => Datum::Oid(parse_oid(text, &display_name(oid, -1))?),
        oid::XID8 => Datum::Int8(parse_integer(text, "xid8")?),
        oid::UUID => Datum::Uuid(string::parse_uuid(text).ok_or_else(|| invalid_syntax("uuid", text))?),
        oid::REGCLASS
        | oid::REGTYPE
        | oid::REGPROC
        | oid::REGNAMESPACE
        | oid::REGROLE
        | oid::REGPROCEDURE
        | oid::REGOPER
        | oid::REGOPERATOR => {
            let trimmed = text.trim();
            let operator = matches!(oid, oid::REGOPER | oid::REGOPERATOR);
            if trimmed == if operator { "0" } else { "-" } {
                Datum::Oid(0)
            } else if trimmed.bytes().all(|byte| byte.is_ascii_digit()) && !trimmed.is_empty() {
                Datum::Oid(parse_oid(trimmed, "oid")?)
            } else if oid == oid::REGTYPE {
                let missing = || PgError::new(sqlstate::UNDEFINED_OBJECT, format!("type \"{trimmed}\" does not exist"));
                Datum::Oid(named_type(trimmed, environment).ok_or_else(missing)?.0)
            } else if matches!(oid, oid::REGPROC | oid::REGPROCEDURE) {
                Datum::Oid(named_procedure(trimmed, environment)?.0)
            } else if operator {
                Datum::Oid(named_operator(trimmed, oid == oid::REGOPERATOR, environment)?.0)
            } else {
                environment.system(SystemCall::RegclassIn, &[Datum::text(trimmed), Datum::Oid(oid.0)])?
            }
        }
        oid::JSON => {
            crate::json::parse(text, false)?;
            Datum::text(text)
        }
        oid::JSONB => Datum::text(crate::json::Json::parse(text)?.to_string()),
        oid::JSONPATH => Datum::text(crate::json::path::Path::parse(text)?.to_string()),
        oid::INT2VECTOR | oid::OIDVECTOR => vector_from_text(oid, text, environment)?,
        oid::VOID => Datum::Null,
        _ if user::is_enum(oid) => {
            let types = environment.user_types();
            let named = || types.find(oid).and_then(|found| Some(found.value(found.position(text)?)));
            // A stored expression has marks for labels.
            let marked = || user::marked_label(text).filter(|value| types.label(*value).is_some());
            let code = sqlstate::INVALID_TEXT_REPRESENTATION;
            let invalid =
                || PgError::new(code, format!("invalid input value for enum {}: \"{text}\"", display_name(oid, -1)));
            Datum::Enum(named().or_else(marked).ok_or_else(invalid)?)
        }
        _ if user::is_row(oid) => record::row_from_text(oid, text, environment)?,
        _ if is_array(oid) => Datum::array(array_from_text(oid, type_modifier, text, environment)?),
        _ => {
            let name = display_name(oid, -1);
            return Err(PgError::new(sqlstate::FEATURE_NOT_SUPPORTED, format!("cannot accept a value of type {name}")));
        }
    })
}

/// `t`, `yes`, `on`, `1` and any unambiguous beginning.
pub fn parse_bool(text: &str) -> Option<bool> {
    let word = text.trim_matches(|ch: char| ch.is_ascii_whitespace()).to_ascii_lowercase();
    if word.is_empty() {
        return None;
    }
    match word.as_str() {
        "1" | "on" => Some(true),
        "0" | "off" | "of" => Some(false),
        _ if "true".starts_with(&word) || "yes".starts_with(&word) => Some(true),
        _ if "false".starts_with(&word) || "no".starts_with(&word) => Some(false),
        _ => None,
    }
}

fn parse_oid(text: &str, type_name: &str) -> PgResult<u32> {
    let trimmed = text.trim();
    let value: i64 = trimmed.parse().map_err(|_| {
        if !trimmed.is_empty() && trimmed.bytes().all(|byte| byte.is_ascii_digit()) {
            out_of_range(type_name, text)
        } else {
            invalid_syntax(type_name, text)
        }
    })?;
    u32::try_from(value)
        .or_else(|_| i32::try_from(value).map(|value| value as u32))
        .map_err(|_| out_of_range(type_name, text))
}

/// A type by SQL's or the internal name, with `[]` and a length or precision, which is ignored.
fn named_type(name: &str, environment: &dyn Environment) -> Option<Oid> {
    let (name, array) = match name.strip_suffix("[]") {
        Some(element) => (element, true),
        None => (name, false),
    };
    let name = name.strip_prefix("pg_catalog.").unwrap_or(name);
    let plain = match (name.find('('), name.find(')')) {
        (Some(open), Some(close)) if open < close => format!("{}{}", name[..open].trim_end(), &name[close + 1..]),
        _ => name.to_string(),
    };
    let unquoted = match plain.strip_prefix('"').and_then(|inner| inner.strip_suffix('"')) {
        Some(inner) => inner.to_string(),
        None => match plain.to_ascii_lowercase().as_str() {
            // The word without quotes is SQL's type.
            "char" => "bpchar".to_string(),
            lower => crate::canonical_name(lower).to_string(),
        },
    };
    let found = match crate::type_by_name(&unquoted) {
        Some(info) => info.oid,
        None => {
            let parts: Vec<String> = plain.split('.').map(folded).collect();
            match parts.as_slice() {
                [name] => environment.type_named(None, name)?,
                [schema, name] => environment.type_named(Some(schema), name)?,
                _ => return None,
            }
        }
    };
    if array { crate::array_of(found) } else { Some(found) }
}

/// A part of a name: quoted as it is, else in lower case.
fn folded(part: &str) -> String {
    match part.trim().strip_prefix('"').and_then(|inner| inner.strip_suffix('"')) {
        Some(inner) => inner.replace("\"\"", "\""),
        None => part.trim().to_ascii_lowercase(),
    }
}

/// A function by name, or by name and argument types.
fn named_procedure(text: &str, environment: &dyn Environment) -> PgResult<Oid> {
    let missing = || PgError::new(sqlstate::UNDEFINED_FUNCTION, format!("function \"{text}\" does not exist"));
    let (name, arguments) = match text.split_once('(') {
        Some((name, rest)) => (name, Some(rest.trim_end_matches(')'))),
        None => (text, None),
    };
    let name = name.trim().strip_prefix("pg_catalog.").unwrap_or(name.trim()).to_ascii_lowercase();
    let candidates = crate::registry::registry().procedures_named(&name);
    match arguments {
        Some(arguments) => {
            let words = arguments.split(',').map(str::trim).filter(|word| !word.is_empty());
            let types =
                words.map(|word| named_type(word, environment)).collect::<Option<Vec<_>>>().ok_or_else(missing)?;
            candidates.iter().find(|candidate| candidate.arguments == types).map(|found| found.oid).ok_or_else(missing)
        }
        None => match candidates {
            [] => Err(missing()),
            [only] => Ok(only.oid),
            _ => {
                let message = format!("more than one function named \"{name}\"");
                Err(PgError::new(sqlstate::AMBIGUOUS_FUNCTION, message))
            }
        },
    }
}

/// An operator by name, or by name and operand types, of which a prefix operator's first is NONE.
fn named_operator(text: &str, typed: bool, environment: &dyn Environment) -> PgResult<Oid> {
    let missing = || PgError::new(sqlstate::UNDEFINED_FUNCTION, format!("operator does not exist: {text}"));
    let plain = text.strip_prefix("pg_catalog.").unwrap_or(text);
    let operators = |name: &str| crate::registry::registry().operators_named(name);
    if !typed {
        return match operators(plain) {
            [] => Err(missing()),
            [only] => Ok(only.oid),
            _ => Err(PgError::new(sqlstate::AMBIGUOUS_FUNCTION, format!("more than one operator named {text}"))),
        };
    }
    let code = sqlstate::INVALID_TEXT_REPRESENTATION;
    let (name, rest) = plain.split_once('(').ok_or_else(|| PgError::new(code, "expected a left parenthesis"))?;
    let types = rest.strip_suffix(')').ok_or_else(|| PgError::new(code, "expected a right parenthesis"))?;
    let operand = |word: &str| match word.trim() {
        none if none.eq_ignore_ascii_case("none") => Some(Oid::INVALID),
        named => named_type(named, environment),
    };
    let operands = types.split(',').map(operand).collect::<Option<Vec<_>>>().ok_or_else(missing)?;
    let [left, right] = operands[..] else {
        return Err(PgError::new(sqlstate::UNDEFINED_PARAMETER, "missing argument")
            .hint("Use NONE to denote the missing argument of a unary operator."));
    };
    let found = operators(name.trim()).iter().find(|operator| operator.left == left && operator.right == right);
    found.map(|operator| operator.oid).ok_or_else(missing)
}

/// As `regoper` and `regoperator` show one.
fn operator_text(oid: Oid, typed: bool) -> Option<String> {
    let operator = crate::registry::registry().operator(oid)?;
    if !typed {
        let alone = crate::registry::registry().operators_named(operator.name).len() == 1;
        return Some(if alone { operator.name.to_string() } else { format!("pg_catalog.{}", operator.name) });
    }
    let operand = |oid: Oid| if oid.is_valid() { display_name(oid, -1) } else { "NONE".to_string() };
    Some(format!("{}({},{})", operator.name, operand(operator.left), operand(operator.right)))
}

/// `1 2 3`
fn vector_from_text(oid: Oid, text: &str, environment: &dyn Environment) -> PgResult<Datum> {
    let element = if oid == oid::INT2VECTOR { oid::INT2 } else { oid::OID };
    let values = text.split_ascii_whitespace().map(|part| input(element, -1, part, environment));
    Ok(Datum::array(crate::Array::with_lower(element, values.collect::<PgResult<_>>()?, 0)))
}

/// A value as a string; `None` for NULL.
pub fn output(oid: Oid, datum: &Datum, environment: &dyn Environment) -> Option<Text> {
    match datum {
        Datum::Null => None,
        Datum::Text(text) => Some(text.clone()),
        _ => {
            let mut out = String::new();
            write(oid, datum, environment, &mut out);
            Some(out.into())
        }
    }
}

/// Append a value's text. NULL writes nothing.
pub fn write(oid: Oid, datum: &Datum, environment: &dyn Environment, out: &mut String) {
    match datum {
        Datum::Null => {}
        Datum::Bool(value) => out.push(if *value { 't' } else { 'f' }),
        Datum::Char(value) => string::write_char(*value, out),
        Datum::Int2(value) => push_integer(i64::from(*value), out),
        Datum::Int4(value) => push_integer(i64::from(*value), out),
        Datum::Int8(value) => push_integer(*value, out),
        Datum::Oid(value) => match oid {
            oid::OID | oid::XID | oid::CID => push_integer(i64::from(*value), out),
            _ => write_reg(oid, *value, environment, out),
        },
        Datum::Float4(value) => out.push_str(&format_float4(*value, environment.format().extra_float_digits)),
        Datum::Float8(value) => out.push_str(&format_float8(*value, environment.format().extra_float_digits)),
        Datum::Numeric(value) => {
            let _ = write!(out, "{value}");
        }
        Datum::Text(value) => out.push_str(value),
        Datum::Bytea(value) => out.push_str(&format_bytea(value, environment.format().bytea_escape)),
        Datum::Date(value) => out.push_str(&datetime::styled_date(*value, environment.format())),
        Datum::Time(value) => out.push_str(&datetime::format_time(*value)),
        Datum::TimeTz(value) => {
            out.push_str(&datetime::format_time(value.microseconds));
            out.push_str(&datetime::format_offset(-value.west));
        }
        Datum::Timestamp(value) if oid == oid::TIMESTAMPTZ => {
            out.push_str(&datetime::styled_timestamp(*value, true, environment.format()));
        }
        Datum::Timestamp(value) => out.push_str(&datetime::styled_timestamp(*value, false, environment.format())),
        Datum::Interval(value) => out.push_str(&datetime::styled_interval(value, environment.format())),
        Datum::Uuid(value) => string::write_uuid(value, out),
        Datum::Enum(value) => out.push_str(&user::label_text(*value, environment.user_types())),
        Datum::Array(value) if matches!(oid, oid::INT2VECTOR | oid::OIDVECTOR) => {
            for (at, element) in value.values.iter().enumerate() {
                if at > 0 {
                    out.push(' ');
                }
                write(value.element, element, environment, out);
            }
        }
        Datum::Array(value) => array::write_array(value, environment, out),
        Datum::Record(values) => array::write_record(values, environment, out),
    }
}

/// Decimal digits without the formatting machinery: the commonest output there is.
pub fn push_integer(value: i64, out: &mut String) {
    let mut buffer = [0u8; 20];
    out.push_str(integer_text(value, &mut buffer));
}

/// Digits of a number, in the given buffer.
pub fn integer_text(value: i64, buffer: &mut [u8; 20]) -> &str {
    let mut at = buffer.len();
    let mut magnitude = value.unsigned_abs();
    loop {
        at -= 1;
        buffer[at] = b'0' + (magnitude % 10) as u8;
        magnitude /= 10;
        if magnitude == 0 {
            break;
        }
    }
    if value < 0 {
        at -= 1;
        buffer[at] = b'-';
    }
    std::str::from_utf8(&buffer[at..]).expect("digits are ASCII")
}

fn write_reg(oid: Oid, value: u32, environment: &dyn Environment, out: &mut String) {
    if value == 0 {
        out.push(if matches!(oid, oid::REGOPER | oid::REGOPERATOR) { '0' } else { '-' });
        return;
    }
    let name = match oid {
        oid::REGOPER | oid::REGOPERATOR => operator_text(Oid(value), oid == oid::REGOPERATOR),
        oid::REGTYPE => crate::type_info(Oid(value)).map(|_| environment.spelled(&display_name(Oid(value), -1))),
        oid::REGPROC => crate::registry::registry().procedure(Oid(value)).map(|procedure| {
            let alone = crate::registry::registry().procedures_named(procedure.name).len() == 1;
            format!("{}{}", if alone { "" } else { "pg_catalog." }, procedure.name)
        }),
        oid::REGPROCEDURE => crate::registry::registry().procedure(Oid(value)).map(|procedure| {
            let types: Vec<String> = procedure.arguments.iter().map(|argument| display_name(*argument, -1)).collect();
            format!("{}({})", procedure.name, types.join(","))
        }),
        _ => {
            let call = match oid {
                oid::REGROLE => SystemCall::RegroleOut,
                oid::REGNAMESPACE => SystemCall::RegnamespaceOut,
                _ => SystemCall::RegclassOut,
            };
            match environment.system(call, &[Datum::Oid(value)]) {
                Ok(Datum::Text(name)) => Some(name.to_string()),
                _ => None,
            }
        }
    };
    match name {
        Some(name) => out.push_str(&name),
        None => push_integer(i64::from(value), out),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::NoEnvironment;

    #[test]
    fn values_survive_text() {
        let cases = [
            (oid::INT4, " 42 ", "42"),
            (oid::INT8, "-9223372036854775808", "-9223372036854775808"),
            (oid::BOOL, "YES", "t"),
            (oid::FLOAT8, "1e15", "1e+15"),
            (oid::FLOAT8, "0.1", "0.1"),
            (oid::FLOAT8, "-inf", "-Infinity"),
            (oid::FLOAT4, "3.1415927", "3.1415927"),
            (oid::NUMERIC, " 1.50 ", "1.50"),
            (oid::BYTEA, "\\x00ff", "\\x00ff"),
            (oid::BYTEA, "a\\\\b\\001", "\\x615c6201"),
            (oid::CHAR, "ab", "a"),
            (oid::UUID, "{A0EEBC99-9C0B4EF8-BB6D-6BB9BD380A11}", "a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11"),
            (oid::TEXT_ARRAY, "{a,\"b c\",NULL,\"\\\"\"}", "{a,\"b c\",NULL,\"\\\"\"}"),
            (oid::INT4_ARRAY, "[2:3]={1,2}", "[2:3]={1,2}"),
            (oid::INT4_ARRAY, "{{1,2},{3,4}}", "{{1,2},{3,4}}"),
            (oid::INT2VECTOR, "1 2", "1 2"),
            (oid::INTERVAL, "1 day", "1 day"),
        ];
        let environment = NoEnvironment::default();
        for (oid, text, expected) in cases {
            let datum = input(oid, -1, text, &environment).unwrap_or_else(|error| panic!("{text}: {error}"));
            assert_eq!(output(oid, &datum, &environment).as_deref(), Some(expected), "{text}");
        }
    }

    #[test]
    fn errors_are_postgresqls() {
        let cases = [
            (oid::INT4, "abc", "22P02", "invalid input syntax for type integer: \"abc\""),
            (oid::INT4, "99999999999", "22003", "value \"99999999999\" is out of range for type integer"),
            (oid::INT2, "40000", "22003", "value \"40000\" is out of range for type smallint"),
            (oid::BOOL, "maybe", "22P02", "invalid input syntax for type boolean: \"maybe\""),
            (oid::FLOAT8, "1e999", "22003", "\"1e999\" is out of range for type double precision"),
            (oid::NUMERIC, "x", "22P02", "invalid input syntax for type numeric: \"x\""),
            (oid::DATE, "2024-02-30", "22008", "date/time field value out of range: \"2024-02-30\""),
            (oid::TIMESTAMP, "x", "22007", "invalid input syntax for type timestamp: \"x\""),
            (oid::INT4_ARRAY, "{1", "22P02", "malformed array literal: \"{1\""),
        ];
        for (oid, text, code, message) in cases {
            let error = input(oid, -1, text, &NoEnvironment::default()).expect_err(text);
            assert_eq!((error.code.as_str(), error.message.as_str()), (code, message));
        }
        let too_long = input(oid::VARCHAR, 4 + 2, "abc", &NoEnvironment::default()).expect_err("too long");
        assert_eq!(too_long.message, "value too long for type character varying(2)");
    }
}
