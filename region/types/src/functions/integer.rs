//! Integers: arithmetic that reports overflow, bits.
use super::*;
use crate::error::sqlstate;
use crate::numeric::division_by_zero;

fn out_of_range(name: &str) -> Box<PgError> {
    PgError::new(sqlstate::NUMERIC_VALUE_OUT_OF_RANGE, format!("{name} out of range"))
}

pub(crate) fn int2(value: Option<i64>) -> PgResult<Datum> {
    value.and_then(|value| i16::try_from(value).ok()).map(Datum::Int2).ok_or_else(|| out_of_range("smallint"))
}
pub(crate) fn int4(value: Option<i64>) -> PgResult<Datum> {
    value.and_then(|value| i32::try_from(value).ok()).map(Datum::Int4).ok_or_else(|| out_of_range("integer"))
}
pub(crate) fn int8(value: Option<i64>) -> PgResult<Datum> {
    value.map(Datum::Int8).ok_or_else(|| out_of_range("bigint"))
}

macro_rules! arithmetic {
    ($($width:ident: $add:ident $subtract:ident $multiply:ident $divide:ident $modulo:ident $negate:ident $absolute:ident;)*) => {
        $(
            pub fn $add(_: &dyn Environment, a: &[Datum]) -> PgResult<Datum> {
                $width(int(a, 0)?.checked_add(int(a, 1)?))
            }
            pub fn $subtract(_: &dyn Environment, a: &[Datum]) -> PgResult<Datum> {
                $width(int(a, 0)?.checked_sub(int(a, 1)?))
            }
            pub fn $multiply(_: &dyn Environment, a: &[Datum]) -> PgResult<Datum> {
                $width(int(a, 0)?.checked_mul(int(a, 1)?))
            }
            pub fn $divide(_: &dyn Environment, a: &[Datum]) -> PgResult<Datum> {
                let divisor = int(a, 1)?;
                if divisor == 0 {
                    return Err(division_by_zero());
                }
                $width(int(a, 0)?.checked_div(divisor))
            }
            pub fn $modulo(_: &dyn Environment, a: &[Datum]) -> PgResult<Datum> {
                let divisor = int(a, 1)?;
                if divisor == 0 {
                    return Err(division_by_zero());
                }
                $width(Some(int(a, 0)?.wrapping_rem(divisor)))
            }
            pub fn $negate(_: &dyn Environment, a: &[Datum]) -> PgResult<Datum> {
                $width(int(a, 0)?.checked_neg())
            }
            pub fn $absolute(_: &dyn Environment, a: &[Datum]) -> PgResult<Datum> {
                $width(int(a, 0)?.checked_abs())
            }
        )*
    };
}
arithmetic! {
    int2: int2_add int2_subtract int2_multiply int2_divide int2_modulo int2_negate int2_absolute;
    int4: int4_add int4_subtract int4_multiply int4_divide int4_modulo int4_negate int4_absolute;
    int8: int8_add int8_subtract int8_multiply int8_divide int8_modulo int8_negate int8_absolute;
}

// Small integers are shifted as int4, as C does it.
macro_rules! bits {
    ($($variant:ident $type:ty, $wide:ty: $and:ident $or:ident $xor:ident $not:ident $left:ident $right:ident;)*) => {
        $(
            pub fn $and(_: &dyn Environment, a: &[Datum]) -> PgResult<Datum> {
                Ok(Datum::$variant((int(a, 0)? & int(a, 1)?) as $type))
            }
            pub fn $or(_: &dyn Environment, a: &[Datum]) -> PgResult<Datum> {
                Ok(Datum::$variant((int(a, 0)? | int(a, 1)?) as $type))
            }
            pub fn $xor(_: &dyn Environment, a: &[Datum]) -> PgResult<Datum> {
                Ok(Datum::$variant((int(a, 0)? ^ int(a, 1)?) as $type))
            }
            pub fn $not(_: &dyn Environment, a: &[Datum]) -> PgResult<Datum> {
                Ok(Datum::$variant(!int(a, 0)? as $type))
            }
            pub fn $left(_: &dyn Environment, a: &[Datum]) -> PgResult<Datum> {
                Ok(Datum::$variant((int(a, 0)? as $wide).wrapping_shl(int(a, 1)? as u32) as $type))
            }
            pub fn $right(_: &dyn Environment, a: &[Datum]) -> PgResult<Datum> {
                Ok(Datum::$variant((int(a, 0)? as $wide).wrapping_shr(int(a, 1)? as u32) as $type))
            }
        )*
    };
}
bits! {
    Int2 i16, i32: int2_and int2_or int2_xor int2_not int2_shift_left int2_shift_right;
    Int4 i32, i32: int4_and int4_or int4_xor int4_not int4_shift_left int4_shift_right;
    Int8 i64, i64: int8_and int8_or int8_xor int8_not int8_shift_left int8_shift_right;
}

/// Unary plus of any type.
pub fn identity(_: &dyn Environment, arguments: &[Datum]) -> PgResult<Datum> {
    Ok(arguments.first().cloned().unwrap_or_default())
}

fn greatest_common_divisor(left: i64, right: i64) -> u64 {
    let (mut a, mut b) = (left.unsigned_abs(), right.unsigned_abs());
    while b != 0 {
        (a, b) = (b, a % b);
    }
    a
}

pub fn int4_gcd(_: &dyn Environment, a: &[Datum]) -> PgResult<Datum> {
    int4(i64::try_from(greatest_common_divisor(int(a, 0)?, int(a, 1)?)).ok())
}
pub fn int8_gcd(_: &dyn Environment, a: &[Datum]) -> PgResult<Datum> {
    int8(i64::try_from(greatest_common_divisor(int(a, 0)?, int(a, 1)?)).ok())
}

fn least_common_multiple(left: i64, right: i64) -> Option<i64> {
    if left == 0 || right == 0 {
        return Some(0);
    }
    let divisor = greatest_common_divisor(left, right);
    let multiple = u128::from(left.unsigned_abs() / divisor) * u128::from(right.unsigned_abs());
    i64::try_from(multiple).ok()
}
pub fn int4_lcm(_: &dyn Environment, a: &[Datum]) -> PgResult<Datum> {
    int4(least_common_multiple(int(a, 0)?, int(a, 1)?))
}
pub fn int8_lcm(_: &dyn Environment, a: &[Datum]) -> PgResult<Datum> {
    int8(least_common_multiple(int(a, 0)?, int(a, 1)?))
}

pub fn to_hex(_: &dyn Environment, a: &[Datum]) -> PgResult<Datum> {
    Ok(match a.first() {
        Some(Datum::Int4(value)) => Datum::text(format!("{value:x}")),
        _ => Datum::text(format!("{:x}", int(a, 0)?)),
    })
}

pub fn random(environment: &dyn Environment, _: &[Datum]) -> PgResult<Datum> {
    Ok(Datum::Float8(environment.fraction()))
}
