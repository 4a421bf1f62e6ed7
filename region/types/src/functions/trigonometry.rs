//! Trigonometry in degrees, with exact answers at the angles that have them; inverse hyperbolic functions; histograms.
use super::*;
use crate::compare_floats;
use crate::error::{SqlState, sqlstate};

fn out_of_range() -> Box<PgError> {
    PgError::new(sqlstate::NUMERIC_VALUE_OUT_OF_RANGE, "input is out of range")
}

/// sin of 0 to 30 degrees, exact at 30.
fn sine_to_30(x: f64) -> f64 {
    let half = 30f64.to_radians().sin();
    x.to_radians().sin() / half / 2.0
}
/// cos of 0 to 60 degrees, exact at 60.
fn cosine_to_60(x: f64) -> f64 {
    let half = 1.0 - 60f64.to_radians().cos();
    1.0 - (1.0 - x.to_radians().cos()) / half / 2.0
}
fn sine_to_90(x: f64) -> f64 {
    if x <= 30.0 { sine_to_30(x) } else { cosine_to_60(90.0 - x) }
}
fn cosine_to_90(x: f64) -> f64 {
    if x <= 60.0 { cosine_to_60(x) } else { sine_to_30(90.0 - x) }
}

fn sine(x: f64) -> f64 {
    let mut x = x % 360.0;
    let mut sign = 1.0;
    if x < 0.0 {
        (x, sign) = (-x, -sign);
    }
    if x > 180.0 {
        (x, sign) = (360.0 - x, -sign);
    }
    if x > 90.0 {
        x = 180.0 - x;
    }
    sign * sine_to_90(x)
}
fn cosine(x: f64) -> f64 {
    let mut x = (x % 360.0).abs();
    let mut sign = 1.0;
    if x > 180.0 {
        x = 360.0 - x;
    }
    if x > 90.0 {
        (x, sign) = (180.0 - x, -sign);
    }
    sign * cosine_to_90(x)
}
/// (angle from 0 to 90, sign) for tangents, which repeat every half turn.
fn folded(x: f64) -> (f64, f64) {
    let mut x = x % 360.0;
    let mut sign = 1.0;
    if x < 0.0 {
        (x, sign) = (-x, -sign);
    }
    if x > 180.0 {
        (x, sign) = (360.0 - x, -sign);
    }
    if x > 90.0 {
        (x, sign) = (180.0 - x, -sign);
    }
    (x, sign)
}
fn tangent(x: f64) -> f64 {
    let (x, sign) = folded(x);
    let one = sine_to_90(45.0) / cosine_to_90(45.0);
    let result = sign * (sine_to_90(x) / cosine_to_90(x) / one);
    if result == 0.0 { 0.0 } else { result }
}
fn cotangent(x: f64) -> f64 {
    let (x, sign) = folded(x);
    let one = cosine_to_90(45.0) / sine_to_90(45.0);
    let result = sign * (cosine_to_90(x) / sine_to_90(x) / one);
    if result == 0.0 { 0.0 } else { result }
}
fn arc_sine_to_90(x: f64) -> f64 {
    if x <= 0.5 { x.asin() / 0.5f64.asin() * 30.0 } else { 90.0 - x.acos() / 0.5f64.acos() * 60.0 }
}
fn arc_cosine_to_90(x: f64) -> f64 {
    if x <= 0.5 { 90.0 - x.asin() / 0.5f64.asin() * 30.0 } else { x.acos() / 0.5f64.acos() * 60.0 }
}

macro_rules! in_degrees {
    ($($name:ident = $body:expr;)*) => {
        $(pub fn $name(_: &dyn Environment, a: &[Datum]) -> PgResult<Datum> {
            let x = double(a, 0)?;
            if x.is_nan() {
                return Ok(Datum::Float8(x));
            }
            if x.is_infinite() {
                return Err(out_of_range());
            }
            let body: fn(f64) -> f64 = $body;
            Ok(Datum::Float8(body(x)))
        })*
    };
}
in_degrees! { sine_degrees = sine; cosine_degrees = cosine; tangent_degrees = tangent; cotangent_degrees = cotangent; }

fn unit(x: f64) -> PgResult<f64> {
    if x.abs() > 1.0 { Err(out_of_range()) } else { Ok(x) }
}
pub fn arc_sine_degrees(_: &dyn Environment, a: &[Datum]) -> PgResult<Datum> {
    let x = unit(double(a, 0)?)?;
    Ok(Datum::Float8(if x >= 0.0 { arc_sine_to_90(x) } else { -arc_sine_to_90(-x) }))
}
pub fn arc_cosine_degrees(_: &dyn Environment, a: &[Datum]) -> PgResult<Datum> {
    let x = unit(double(a, 0)?)?;
    Ok(Datum::Float8(if x >= 0.0 { arc_cosine_to_90(x) } else { 90.0 + arc_sine_to_90(-x) }))
}
pub fn arc_tangent_degrees(_: &dyn Environment, a: &[Datum]) -> PgResult<Datum> {
    Ok(Datum::Float8(double(a, 0)?.atan() / 1f64.atan() * 45.0))
}
pub fn arc_tangent_of_quotient_degrees(_: &dyn Environment, a: &[Datum]) -> PgResult<Datum> {
    Ok(Datum::Float8(double(a, 0)?.atan2(double(a, 1)?) / 1f64.atan() * 45.0))
}

pub fn inverse_hyperbolic_sine(_: &dyn Environment, a: &[Datum]) -> PgResult<Datum> {
    Ok(Datum::Float8(double(a, 0)?.asinh()))
}
pub fn inverse_hyperbolic_cosine(_: &dyn Environment, a: &[Datum]) -> PgResult<Datum> {
    let x = double(a, 0)?;
    if x < 1.0 { Err(out_of_range()) } else { Ok(Datum::Float8(x.acosh())) }
}
pub fn inverse_hyperbolic_tangent(_: &dyn Environment, a: &[Datum]) -> PgResult<Datum> {
    Ok(Datum::Float8(unit(double(a, 0)?)?.atanh()))
}

fn bad_histogram(message: &str) -> Box<PgError> {
    PgError::new(SqlState(*b"2201G"), message)
}

/// `width_bucket(operand, low, high, count)`: the count is an integer.
fn bucket_count(a: &[Datum]) -> PgResult<i64> {
    let count = int(a, 3)?;
    if count <= 0 { Err(bad_histogram("count must be greater than zero")) } else { Ok(count) }
}
pub fn width_bucket_float(_: &dyn Environment, a: &[Datum]) -> PgResult<Datum> {
    let (operand, low, high) = (double(a, 0)?, double(a, 1)?, double(a, 2)?);
    let count = bucket_count(a)?;
    if operand.is_nan() || low.is_nan() || high.is_nan() {
        return Err(bad_histogram("operand, lower bound, and upper bound cannot be NaN"));
    }
    if low.is_infinite() || high.is_infinite() {
        return Err(bad_histogram("lower and upper bounds must be finite"));
    }
    let (rising, share) = match compare_floats(low, high) {
        std::cmp::Ordering::Equal => return Err(bad_histogram("lower bound cannot equal upper bound")),
        std::cmp::Ordering::Less => (true, (operand - low) / (high - low)),
        std::cmp::Ordering::Greater => (false, (low - operand) / (low - high)),
    };
    let before = if rising { operand < low } else { operand > low };
    let after = if rising { operand >= high } else { operand <= high };
    super::integer::int4(Some(if before {
        0
    } else if after {
        count + 1
    } else {
        ((count as f64 * share) as i64).min(count - 1) + 1
    }))
}
pub fn width_bucket_numeric(_: &dyn Environment, a: &[Datum]) -> PgResult<Datum> {
    let (operand, low, high) = (number(a, 0)?, number(a, 1)?, number(a, 2)?);
    let count = bucket_count(a)?;
    if operand.is_nan() || low.is_nan() || high.is_nan() {
        return Err(bad_histogram("operand, lower bound, and upper bound cannot be NaN"));
    }
    if low.parts().is_none() || high.parts().is_none() {
        return Err(bad_histogram("lower and upper bounds must be finite"));
    }
    let rising = match low.cmp(high) {
        std::cmp::Ordering::Equal => return Err(bad_histogram("lower bound cannot equal upper bound")),
        order => order.is_lt(),
    };
    let before = if rising { operand < low } else { operand > low };
    let after = if rising { operand >= high } else { operand <= high };
    let bucket = if before {
        Numeric::zero()
    } else if after {
        Numeric::from(count + 1)
    } else {
        let part = operand.subtract(low)?.absolute().multiply(&Numeric::from(count))?;
        part.divide(&high.subtract(low)?.absolute())?.floor().add(&Numeric::from(1i64))?
    };
    super::integer::int4(bucket.to_i64())
}
/// `width_bucket(operand, thresholds)`: how many thresholds are not above the operand.
pub fn width_bucket_array(_: &dyn Environment, a: &[Datum]) -> PgResult<Datum> {
    let thresholds = array_at(a, 1)?;
    if thresholds.dimensions.len() > 1 {
        return Err(PgError::new(SqlState(*b"2202E"), "thresholds must be one-dimensional array"));
    }
    if thresholds.values.iter().any(Datum::is_null) {
        let code = SqlState(*b"22004");
        return Err(PgError::new(code, "thresholds array must not contain NULLs"));
    }
    let not_above = |threshold: &Datum| crate::compare(thresholds.element, threshold, &a[0]).is_le();
    Ok(Datum::Int4(thresholds.values.partition_point(not_above) as i32))
}

/// `setseed`
pub fn set_seed(environment: &dyn Environment, a: &[Datum]) -> PgResult<Datum> {
    let seed = double(a, 0)?;
    if !(-1.0..=1.0).contains(&seed) {
        let message = format!("setseed parameter {seed} is out of allowed range [-1,1]");
        return Err(PgError::new(sqlstate::INVALID_PARAMETER_VALUE, message));
    }
    environment.seed(seed);
    Ok(Datum::text(""))
}

fn whole_units(a: &[Datum]) -> PgResult<Option<(num_bigint::BigInt, num_bigint::BigInt, u32)>> {
    let (left, right) = (number(a, 0)?, number(a, 1)?);
    let (Numeric::Finite { .. }, Numeric::Finite { .. }) = (left, right) else { return Ok(None) };
    let scale = left.scale().max(right.scale());
    let unscaled = |value: &Numeric| match value.round(scale as i32) {
        Numeric::Finite { unscaled, .. } => unscaled,
        _ => num_bigint::BigInt::default(),
    };
    Ok(Some((unscaled(left), unscaled(right), scale)))
}
fn common_divisor(left: &num_bigint::BigInt, right: &num_bigint::BigInt) -> num_bigint::BigInt {
    use num_traits::{Signed, Zero};
    let (mut a, mut b) = (left.abs(), right.abs());
    while !b.is_zero() {
        (a, b) = (b.clone(), a % b);
    }
    a
}
pub fn numeric_gcd(_: &dyn Environment, a: &[Datum]) -> PgResult<Datum> {
    Ok(Datum::numeric(match whole_units(a)? {
        Some((left, right, scale)) => Numeric::new(common_divisor(&left, &right), scale),
        None => Numeric::NaN,
    }))
}
pub fn numeric_lcm(_: &dyn Environment, a: &[Datum]) -> PgResult<Datum> {
    use num_traits::{Signed, Zero};
    Ok(Datum::numeric(match whole_units(a)? {
        Some((left, right, scale)) if left.is_zero() || right.is_zero() => Numeric::new(0, scale),
        Some((left, right, scale)) => {
            let divisor = common_divisor(&left, &right);
            Numeric::new((left / divisor * right).abs(), scale)
        }
        None => Numeric::NaN,
    }))
}
