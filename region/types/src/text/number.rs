//! Numbers as text.
use super::{invalid_syntax, out_of_range};
use crate::error::{PgError, PgResult, sqlstate};
use std::fmt::Write;

/// Decimal digits with a sign and blanks around.
pub fn parse_integer<T: TryFrom<i64>>(text: &str, type_name: &str) -> PgResult<T> {
    let trimmed = text.trim_matches(|ch: char| ch.is_ascii_whitespace() || ch == '\u{b}');
    let digits = trimmed.strip_prefix(['-', '+']).unwrap_or(trimmed);
    if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(invalid_syntax(type_name, text));
    }
    let value: i64 = trimmed.parse().map_err(|_| out_of_range(type_name, text))?;
    T::try_from(value).map_err(|_| out_of_range(type_name, text))
}

fn float_words(text: &str) -> Option<f64> {
    match text.to_ascii_lowercase().as_str() {
        "nan" => Some(f64::NAN),
        "infinity" | "+infinity" | "inf" | "+inf" => Some(f64::INFINITY),
        "-infinity" | "-inf" => Some(f64::NEG_INFINITY),
        _ => None,
    }
}

/// Only decimal spellings: Rust's own words for infinities are read above.
fn is_decimal(text: &str) -> bool {
    text.bytes().any(|byte| byte.is_ascii_digit())
        && text.bytes().all(|byte| byte.is_ascii_digit() || matches!(byte, b'+' | b'-' | b'.' | b'e' | b'E'))
}

fn float_range(text: &str, type_name: &str) -> Box<PgError> {
    let code = sqlstate::NUMERIC_VALUE_OUT_OF_RANGE;
    PgError::new(code, format!("\"{text}\" is out of range for type {type_name}"))
}

fn has_nonzero_digit(text: &str) -> bool {
    let mantissa = text.split(['e', 'E']).next().unwrap_or(text);
    mantissa.bytes().any(|byte| (b'1'..=b'9').contains(&byte))
}

pub fn parse_float8(text: &str, type_name: &str) -> PgResult<f64> {
    let trimmed = text.trim_matches(|ch: char| ch.is_ascii_whitespace());
    if let Some(value) = float_words(trimmed) {
        return Ok(value);
    }
    if !is_decimal(trimmed) {
        return Err(invalid_syntax(type_name, text));
    }
    let value: f64 = trimmed.parse().map_err(|_| invalid_syntax(type_name, text))?;
    if value.is_infinite() || (value == 0.0 && has_nonzero_digit(trimmed)) {
        return Err(float_range(trimmed, type_name));
    }
    Ok(value)
}

pub fn parse_float4(text: &str) -> PgResult<f32> {
    let trimmed = text.trim_matches(|ch: char| ch.is_ascii_whitespace());
    if let Some(value) = float_words(trimmed) {
        return Ok(value as f32);
    }
    if !is_decimal(trimmed) {
        return Err(invalid_syntax("real", text));
    }
    let value: f32 = trimmed.parse().map_err(|_| invalid_syntax("real", text))?;
    if value.is_infinite() || (value == 0.0 && has_nonzero_digit(trimmed)) {
        return Err(float_range(trimmed, "real"));
    }
    Ok(value)
}

/// Shortest text that reads back the same; scientific below 1e-4 and from 1e15.
pub fn format_float8(value: f64, extra_float_digits: i32) -> String {
    if extra_float_digits > 0 {
        format_float(value, &format!("{value:e}"), 15)
    } else {
        let digits = (15 + extra_float_digits).clamp(1, 17) as usize;
        let shown = format!("{:.*e}", digits - 1, value);
        format_float(value, &trim_mantissa(&shown), digits as i32)
    }
}

/// As `format_float8`, scientific from 1e6.
pub fn format_float4(value: f32, extra_float_digits: i32) -> String {
    if extra_float_digits > 0 {
        format_float(f64::from(value), &format!("{value:e}"), 6)
    } else {
        let digits = (6 + extra_float_digits).clamp(1, 9) as usize;
        let shown = format!("{:.*e}", digits - 1, value);
        format_float(f64::from(value), &trim_mantissa(&shown), digits as i32)
    }
}

fn trim_mantissa(scientific: &str) -> String {
    match scientific.split_once('e') {
        Some((mantissa, exponent)) if mantissa.contains('.') => {
            format!("{}e{exponent}", mantissa.trim_end_matches('0').trim_end_matches('.'))
        }
        _ => scientific.to_string(),
    }
}

/// `scientific` is Rust's `d.ddde-x` of the value.
fn format_float(value: f64, scientific: &str, fixed_limit: i32) -> String {
    if value.is_nan() {
        return "NaN".to_string();
    }
    if value.is_infinite() {
        return if value > 0.0 { "Infinity" } else { "-Infinity" }.to_string();
    }
    let (mantissa, exponent) = scientific.split_once('e').expect("Rust's scientific form has an exponent");
    let exponent: i32 = exponent.parse().expect("Rust's exponent is an integer");
    let (sign, mantissa) = match mantissa.strip_prefix('-') {
        Some(rest) => ("-", rest),
        None => ("", mantissa),
    };
    let digits: String = mantissa.chars().filter(char::is_ascii_digit).collect();
    let mut out = String::from(sign);
    if exponent < -4 || exponent >= fixed_limit {
        let exponent_sign = if exponent < 0 { '-' } else { '+' };
        let _ = write!(out, "{mantissa}e{exponent_sign}{:02}", exponent.abs());
    } else if exponent < 0 {
        let zeros = "0".repeat((-exponent - 1) as usize);
        let _ = write!(out, "0.{zeros}{digits}");
    } else {
        let whole = exponent as usize + 1;
        if digits.len() > whole {
            let _ = write!(out, "{}.{}", &digits[..whole], &digits[whole..]);
        } else {
            let _ = write!(out, "{digits}{}", "0".repeat(whole - digits.len()));
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn floats_as_postgresql_prints_them() {
        let cases = [
            (0.0, "0"),
            (-0.0, "-0"),
            (1.0, "1"),
            (100.5, "100.5"),
            (1e14, "100000000000000"),
            (1e15, "1e+15"),
            (1.5e-5, "1.5e-05"),
            (0.0001, "0.0001"),
            (1.0 / 3.0, "0.3333333333333333"),
            (1e300, "1e+300"),
        ];
        for (value, expected) in cases {
            assert_eq!(format_float8(value, 1), expected);
        }
        assert_eq!(format_float8(1.0 / 3.0, 0), "0.333333333333333");
        assert_eq!(format_float4(1e6, 1), "1e+06");
        assert_eq!(format_float4(0.1, 1), "0.1");
    }
}
