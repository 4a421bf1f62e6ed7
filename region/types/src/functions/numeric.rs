//! `numeric` operators and functions.
use super::*;
use crate::error::sqlstate;

macro_rules! binary {
    ($($name:ident = $method:ident;)*) => {
        $(pub fn $name(_: &dyn Environment, a: &[Datum]) -> PgResult<Datum> {
            Ok(Datum::numeric(number(a, 0)?.$method(number(a, 1)?)?))
        })*
    };
}
binary! { add = add; subtract = subtract; multiply = multiply; divide = divide; modulo = remainder; }

macro_rules! unary {
    ($($name:ident = $method:ident;)*) => {
        $(pub fn $name(_: &dyn Environment, a: &[Datum]) -> PgResult<Datum> {
            Ok(Datum::numeric(number(a, 0)?.$method()))
        })*
    };
}
unary! { negate = negate; absolute = absolute; sign = sign; ceiling = ceiling; floor = floor; trim_scale = without_trailing_zeros; }

pub fn square_root(_: &dyn Environment, a: &[Datum]) -> PgResult<Datum> {
    Ok(Datum::numeric(number(a, 0)?.square_root()?))
}

/// `round(n)` and `round(n, digits)`
pub fn round(_: &dyn Environment, a: &[Datum]) -> PgResult<Datum> {
    let digits = if a.len() > 1 { int(a, 1)? } else { 0 };
    let rounded = number(a, 0)?.round(digits.clamp(-2000, 2000) as i32);
    Ok(Datum::numeric(rounded))
}
pub fn truncate(_: &dyn Environment, a: &[Datum]) -> PgResult<Datum> {
    let digits = if a.len() > 1 { int(a, 1)? } else { 0 };
    Ok(Datum::numeric(number(a, 0)?.truncate(digits.clamp(-2000, 2000) as i32)))
}

pub fn scale(_: &dyn Environment, a: &[Datum]) -> PgResult<Datum> {
    let value = number(a, 0)?;
    Ok(if value.parts().is_some() { Datum::Int4(value.scale() as i32) } else { Datum::Null })
}

/// `div(a, b)`: truncated quotient.
pub fn integer_quotient(_: &dyn Environment, a: &[Datum]) -> PgResult<Datum> {
    let (left, right) = (number(a, 0)?, number(a, 1)?);
    let remainder = left.remainder(right)?;
    Ok(Datum::numeric(left.subtract(&remainder)?.divide(right)?.round(0)))
}

pub fn power(_: &dyn Environment, a: &[Datum]) -> PgResult<Datum> {
    Ok(Datum::numeric(number(a, 0)?.power(number(a, 1)?)?))
}
pub fn exponential(_: &dyn Environment, a: &[Datum]) -> PgResult<Datum> {
    Ok(Datum::numeric(number(a, 0)?.exponential()?))
}
pub fn natural_logarithm(_: &dyn Environment, a: &[Datum]) -> PgResult<Datum> {
    Ok(Datum::numeric(number(a, 0)?.natural_logarithm()?))
}
/// `log(base, x)`
pub fn logarithm(_: &dyn Environment, a: &[Datum]) -> PgResult<Datum> {
    Ok(Datum::numeric(number(a, 1)?.logarithm(number(a, 0)?)?))
}
/// `log(x)`, `log10(x)`
pub fn decimal_logarithm(_: &dyn Environment, a: &[Datum]) -> PgResult<Datum> {
    Ok(Datum::numeric(number(a, 0)?.logarithm(&Numeric::from(10i64))?))
}

pub fn factorial(_: &dyn Environment, a: &[Datum]) -> PgResult<Datum> {
    let n = int(a, 0)?;
    if n < 0 {
        let code = sqlstate::NUMERIC_VALUE_OUT_OF_RANGE;
        return Err(PgError::new(code, "factorial of a negative number is undefined"));
    }
    if n > 32_177 {
        return Err(PgError::new(sqlstate::NUMERIC_VALUE_OUT_OF_RANGE, "value overflows numeric format"));
    }
    let product = (2..=n).fold(num_bigint::BigInt::from(1), |product, factor| product * factor);
    Ok(Datum::numeric(Numeric::new(product, 0)))
}
pub fn minimum_scale(_: &dyn Environment, a: &[Datum]) -> PgResult<Datum> {
    let value = number(a, 0)?;
    Ok(if value.parts().is_some() { Datum::Int4(value.without_trailing_zeros().scale() as i32) } else { Datum::Null })
}
