//! Floating point arithmetic, with PostgreSQL's range errors.
use super::*;
use crate::error::{SqlState, sqlstate};
use crate::numeric::division_by_zero;

fn overflow() -> Box<PgError> {
    PgError::new(sqlstate::NUMERIC_VALUE_OUT_OF_RANGE, "value out of range: overflow")
}
fn underflow() -> Box<PgError> {
    PgError::new(sqlstate::NUMERIC_VALUE_OUT_OF_RANGE, "value out of range: underflow")
}

/// A result that is infinite though no operand was.
pub(crate) fn checked8(result: f64, operands_infinite: bool) -> PgResult<Datum> {
    if result.is_infinite() && !operands_infinite { Err(overflow()) } else { Ok(Datum::Float8(result)) }
}
fn checked4(result: f32, operands_infinite: bool) -> PgResult<Datum> {
    if result.is_infinite() && !operands_infinite { Err(overflow()) } else { Ok(Datum::Float4(result)) }
}

macro_rules! arithmetic {
    ($($eight:ident $four:ident: $operator:tt, $divides:expr, $scales:expr;)*) => {
        $(
            pub fn $eight(_: &dyn Environment, a: &[Datum]) -> PgResult<Datum> {
                let (left, right) = (double(a, 0)?, double(a, 1)?);
                if $divides && right == 0.0 && !left.is_nan() {
                    return Err(division_by_zero());
                }
                let result = left $operator right;
                let right_infinite = $divides && right.is_infinite();
                if $scales && result == 0.0 && left != 0.0 && (right != 0.0 && !right_infinite) {
                    return Err(underflow());
                }
                checked8(result, left.is_infinite() || right.is_infinite())
            }
            pub fn $four(_: &dyn Environment, a: &[Datum]) -> PgResult<Datum> {
                let (left, right) = (double(a, 0)? as f32, double(a, 1)? as f32);
                if $divides && right == 0.0 && !left.is_nan() {
                    return Err(division_by_zero());
                }
                let result = left $operator right;
                let right_infinite = $divides && right.is_infinite();
                if $scales && result == 0.0 && left != 0.0 && (right != 0.0 && !right_infinite) {
                    return Err(underflow());
                }
                checked4(result, left.is_infinite() || right.is_infinite())
            }
        )*
    };
}
arithmetic! {
    float8_add float4_add: +, false, false;
    float8_subtract float4_subtract: -, false, false;
    float8_multiply float4_multiply: *, false, true;
    float8_divide float4_divide: /, true, true;
}

pub fn negate(_: &dyn Environment, a: &[Datum]) -> PgResult<Datum> {
    match a.first() {
        Some(Datum::Float4(value)) => Ok(Datum::Float4(-value)),
        _ => Ok(Datum::Float8(-double(a, 0)?)),
    }
}
pub fn absolute(_: &dyn Environment, a: &[Datum]) -> PgResult<Datum> {
    match a.first() {
        Some(Datum::Float4(value)) => Ok(Datum::Float4(value.abs())),
        _ => Ok(Datum::Float8(double(a, 0)?.abs())),
    }
}

macro_rules! unary {
    ($($name:ident = $body:expr;)*) => {
        $(pub fn $name(_: &dyn Environment, a: &[Datum]) -> PgResult<Datum> {
            let value = double(a, 0)?;
            let body: fn(f64) -> f64 = $body;
            checked8(body(value), value.is_infinite())
        })*
    };
}
unary! {
    round = f64::round_ties_even;
    truncate = f64::trunc;
    ceiling = f64::ceil;
    floor = f64::floor;
    sign = |value| if value > 0.0 { 1.0 } else if value < 0.0 { -1.0 } else { value };
    exponential = f64::exp;
    sine = f64::sin;
    cosine = f64::cos;
    tangent = f64::tan;
    arc_tangent = f64::atan;
    degrees = f64::to_degrees;
    radians = f64::to_radians;
    cube_root = f64::cbrt;
    hyperbolic_sine = f64::sinh;
    hyperbolic_cosine = f64::cosh;
    hyperbolic_tangent = f64::tanh;
    cotangent = |value| 1.0 / value.tan();
}

fn domain(code: &[u8; 5], message: &str) -> Box<PgError> {
    PgError::new(SqlState(*code), message)
}

pub fn square_root(_: &dyn Environment, a: &[Datum]) -> PgResult<Datum> {
    let value = double(a, 0)?;
    if value < 0.0 {
        return Err(domain(b"2201F", "cannot take square root of a negative number"));
    }
    Ok(Datum::Float8(value.sqrt()))
}

fn logarithm_operand(value: f64) -> PgResult<f64> {
    if value == 0.0 {
        return Err(domain(b"2201E", "cannot take logarithm of zero"));
    }
    if value < 0.0 {
        return Err(domain(b"2201E", "cannot take logarithm of a negative number"));
    }
    Ok(value)
}
pub fn natural_logarithm(_: &dyn Environment, a: &[Datum]) -> PgResult<Datum> {
    Ok(Datum::Float8(logarithm_operand(double(a, 0)?)?.ln()))
}
pub fn decimal_logarithm(_: &dyn Environment, a: &[Datum]) -> PgResult<Datum> {
    Ok(Datum::Float8(logarithm_operand(double(a, 0)?)?.log10()))
}

pub fn power(_: &dyn Environment, a: &[Datum]) -> PgResult<Datum> {
    let (base, exponent) = (double(a, 0)?, double(a, 1)?);
    if base == 0.0 && exponent < 0.0 {
        return Err(domain(b"2201F", "zero raised to a negative power is undefined"));
    }
    if base < 0.0 && exponent.is_finite() && exponent.fract() != 0.0 {
        return Err(domain(b"2201F", "a negative number raised to a non-integer power yields a complex result"));
    }
    checked8(base.powf(exponent), base.is_infinite() || exponent.is_infinite())
}

pub fn pi(_: &dyn Environment, _: &[Datum]) -> PgResult<Datum> {
    Ok(Datum::Float8(std::f64::consts::PI))
}

fn unit_interval(value: f64) -> PgResult<f64> {
    if value.abs() > 1.0 {
        return Err(PgError::new(sqlstate::NUMERIC_VALUE_OUT_OF_RANGE, "input is out of range"));
    }
    Ok(value)
}
pub fn arc_sine(_: &dyn Environment, a: &[Datum]) -> PgResult<Datum> {
    Ok(Datum::Float8(unit_interval(double(a, 0)?)?.asin()))
}
pub fn arc_cosine(_: &dyn Environment, a: &[Datum]) -> PgResult<Datum> {
    Ok(Datum::Float8(unit_interval(double(a, 0)?)?.acos()))
}
pub fn arc_tangent_of_quotient(_: &dyn Environment, a: &[Datum]) -> PgResult<Datum> {
    Ok(Datum::Float8(double(a, 0)?.atan2(double(a, 1)?)))
}
