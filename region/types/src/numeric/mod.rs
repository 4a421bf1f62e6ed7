//! `numeric`: decimal numbers of any size, with PostgreSQL's display scales (manual, section 8.1.2).
//!
//! A finite value is `unscaled / 10^scale`; `scale` is the display scale, which arithmetic carries as PostgreSQL does:
//! sums take the larger, products the sum, quotients at least 16 significant digits. NaN equals itself and is greater
//! than everything; equality and hash ignore the scale (1.0 = 1.00).
mod analysis;

use crate::error::{PgError, PgResult, sqlstate};
use num_bigint::{BigInt, Sign};
use num_traits::{Signed, ToPrimitive, Zero};
use std::cmp::Ordering;
use std::fmt;
use std::hash::{Hash, Hasher};

/// Digits after the point that a value may have.
pub const SCALE_MAX: u32 = 16383;
/// Digits before the point that a value may have.
pub const INTEGER_DIGITS_MAX: u64 = 131_072;
const QUOTIENT_SIGNIFICANT_DIGITS: i64 = 16;
const DISPLAY_SCALE_MAX: i64 = 1000;

#[derive(Clone, Debug)]
pub enum Numeric {
    Finite { unscaled: BigInt, scale: u32 },
    NaN,
    PositiveInfinity,
    NegativeInfinity,
}
use Numeric::*;

fn power_of_ten(exponent: u32) -> BigInt {
    BigInt::from(10u32).pow(exponent)
}

fn overflow() -> Box<PgError> {
    PgError::new(sqlstate::NUMERIC_VALUE_OUT_OF_RANGE, "value overflows numeric format")
}

/// Divide, rounding half away from zero.
fn divide_rounded(dividend: &BigInt, divisor: &BigInt) -> BigInt {
    let quotient = dividend / divisor;
    let remainder = dividend % divisor;
    if remainder.abs() * 2u32 >= divisor.abs() {
        let away = if (dividend.sign() == Sign::Minus) == (divisor.sign() == Sign::Minus) { 1 } else { -1 };
        quotient + away
    } else {
        quotient
    }
}

impl Numeric {
    pub fn zero() -> Numeric {
        Numeric::from(0i64)
    }

    pub fn new(unscaled: impl Into<BigInt>, scale: u32) -> Numeric {
        Finite { unscaled: unscaled.into(), scale }
    }

    /// Text without surrounding blanks; `None` if it is not a number.
    pub fn parse(text: &str) -> Option<PgResult<Numeric>> {
        match text.to_ascii_lowercase().as_str() {
            "nan" => return Some(Ok(NaN)),
            "infinity" | "+infinity" | "inf" | "+inf" => return Some(Ok(PositiveInfinity)),
            "-infinity" | "-inf" => return Some(Ok(NegativeInfinity)),
            _ => {}
        }
        let (negative, rest) = match text.as_bytes().first()? {
            b'-' => (true, &text[1..]),
            b'+' => (false, &text[1..]),
            _ => (false, text),
        };
        let (mantissa, exponent) = match rest.find(['e', 'E']) {
            Some(at) => (&rest[..at], rest[at + 1..].parse::<i32>().ok()?),
            None => (rest, 0),
        };
        let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
        let digits_only = |part: &str| part.bytes().all(|byte| byte.is_ascii_digit());
        if (whole.is_empty() && fraction.is_empty()) || !digits_only(whole) || !digits_only(fraction) {
            return None;
        }
        let scale = fraction.len() as i64 - i64::from(exponent);
        let magnitude = whole.len() as i64 + i64::from(exponent);
        if scale > i64::from(SCALE_MAX) + 100_000 || magnitude > INTEGER_DIGITS_MAX as i64 {
            return Some(Err(overflow()));
        }
        let digits = format!("{whole}{fraction}");
        let mut unscaled = BigInt::parse_bytes(digits.as_bytes(), 10)?;
        if negative {
            unscaled = -unscaled;
        }
        let value = if scale < 0 {
            Finite { unscaled: unscaled * power_of_ten((-scale) as u32), scale: 0 }
        } else {
            Finite { unscaled, scale: scale as u32 }
        };
        Some(Ok(if scale > i64::from(SCALE_MAX) { value.round(SCALE_MAX as i32) } else { value }))
    }

    pub fn is_nan(&self) -> bool {
        matches!(self, NaN)
    }

    pub fn is_zero(&self) -> bool {
        matches!(self, Finite { unscaled, .. } if unscaled.is_zero())
    }

    pub fn scale(&self) -> u32 {
        match self {
            Finite { scale, .. } => *scale,
            _ => 0,
        }
    }

    pub fn memory(&self) -> usize {
        std::mem::size_of::<Numeric>()
            + match self {
                Finite { unscaled, .. } => unscaled.bits() as usize / 8,
                _ => 0,
            }
    }

    /// Both as integers of one scale.
    fn aligned(left: &BigInt, left_scale: u32, right: &BigInt, right_scale: u32) -> (BigInt, BigInt, u32) {
        match left_scale.cmp(&right_scale) {
            Ordering::Equal => (left.clone(), right.clone(), left_scale),
            Ordering::Less => (left * power_of_ten(right_scale - left_scale), right.clone(), right_scale),
            Ordering::Greater => (left.clone(), right * power_of_ten(left_scale - right_scale), left_scale),
        }
    }

    /// -1, 0 or 1; NaN has none.
    fn signum(&self) -> i32 {
        match self {
            Finite { unscaled, .. } => match unscaled.sign() {
                Sign::Minus => -1,
                Sign::NoSign => 0,
                Sign::Plus => 1,
            },
            PositiveInfinity => 1,
            NegativeInfinity => -1,
            NaN => 0,
        }
    }

    fn infinity(sign: i32) -> Numeric {
        match sign {
            0 => NaN,
            sign if sign > 0 => PositiveInfinity,
            _ => NegativeInfinity,
        }
    }

    pub fn negate(&self) -> Numeric {
        match self {
            Finite { unscaled, scale } => Finite { unscaled: -unscaled, scale: *scale },
            NaN => NaN,
            PositiveInfinity => NegativeInfinity,
            NegativeInfinity => PositiveInfinity,
        }
    }

    pub fn absolute(&self) -> Numeric {
        if self.signum() < 0 { self.negate() } else { self.clone() }
    }

    pub fn sign(&self) -> Numeric {
        if self.is_nan() { NaN } else { Numeric::from(i64::from(self.signum())) }
    }

    pub fn add(&self, other: &Numeric) -> PgResult<Numeric> {
        match (self, other) {
            (Finite { unscaled: a, scale: s }, Finite { unscaled: b, scale: t }) => {
                let (a, b, scale) = Numeric::aligned(a, *s, b, *t);
                Finite { unscaled: a + b, scale }.checked()
            }
            (NaN, _) | (_, NaN) => Ok(NaN),
            (PositiveInfinity, NegativeInfinity) | (NegativeInfinity, PositiveInfinity) => Ok(NaN),
            (PositiveInfinity | NegativeInfinity, _) => Ok(self.clone()),
            (_, _) => Ok(other.clone()),
        }
    }

    pub fn subtract(&self, other: &Numeric) -> PgResult<Numeric> {
        self.add(&other.negate())
    }

    pub fn multiply(&self, other: &Numeric) -> PgResult<Numeric> {
        match (self, other) {
            (Finite { unscaled: a, scale: s }, Finite { unscaled: b, scale: t }) => {
                let product = Finite { unscaled: a * b, scale: s + t };
                let product = if s + t > SCALE_MAX { product.round(SCALE_MAX as i32) } else { product };
                product.checked()
            }
            (NaN, _) | (_, NaN) => Ok(NaN),
            _ => Ok(Numeric::infinity(self.signum() * other.signum())),
        }
    }

    /// The position of the first base-10000 digit and its value, as PostgreSQL's scale rule needs them.
    fn leading_digit(unscaled: &BigInt, scale: u32) -> (i64, u32) {
        if unscaled.is_zero() {
            return (0, 0);
        }
        let digits = unscaled.magnitude().to_string();
        let exponent = digits.len() as i64 - i64::from(scale) - 1;
        let weight = exponent.div_euclid(4);
        let count = (exponent - 4 * weight + 1) as usize;
        let mut leading = 0;
        for at in 0..count {
            leading = leading * 10 + digits.as_bytes().get(at).map_or(0, |digit| u32::from(digit - b'0'));
        }
        (weight, leading)
    }

    /// The display scale of a quotient.
    fn quotient_scale(a: &BigInt, s: u32, b: &BigInt, t: u32) -> u32 {
        let (left_weight, left_digit) = Numeric::leading_digit(a, s);
        let (right_weight, right_digit) = Numeric::leading_digit(b, t);
        let mut weight = left_weight - right_weight;
        if left_digit <= right_digit {
            weight -= 1;
        }
        let wanted = QUOTIENT_SIGNIFICANT_DIGITS - weight * 4;
        wanted.max(i64::from(s)).max(i64::from(t)).clamp(0, DISPLAY_SCALE_MAX) as u32
    }

    pub fn divide(&self, other: &Numeric) -> PgResult<Numeric> {
        match (self, other) {
            (NaN, _) | (_, NaN) => Ok(NaN),
            (_, Finite { unscaled, .. }) if unscaled.is_zero() => Err(division_by_zero()),
            (Finite { unscaled: a, scale: s }, Finite { unscaled: b, scale: t }) => {
                let scale = Numeric::quotient_scale(a, *s, b, *t);
                // a/10^s / (b/10^t) at `scale` digits = a * 10^(scale + t - s) / b
                let shift = i64::from(scale) + i64::from(*t) - i64::from(*s);
                let unscaled = if shift >= 0 {
                    divide_rounded(&(a * power_of_ten(shift as u32)), b)
                } else {
                    divide_rounded(a, &(b * power_of_ten((-shift) as u32)))
                };
                Finite { unscaled, scale }.checked()
            }
            (PositiveInfinity | NegativeInfinity, PositiveInfinity | NegativeInfinity) => Ok(NaN),
            (PositiveInfinity | NegativeInfinity, _) => Ok(Numeric::infinity(self.signum() * other.signum())),
            (_, _) => Ok(Numeric::zero()),
        }
    }

    pub fn remainder(&self, other: &Numeric) -> PgResult<Numeric> {
        match (self, other) {
            (NaN, _) | (_, NaN) => Ok(NaN),
            (_, Finite { unscaled, .. }) if unscaled.is_zero() => Err(division_by_zero()),
            (Finite { unscaled: a, scale: s }, Finite { unscaled: b, scale: t }) => {
                let (a, b, scale) = Numeric::aligned(a, *s, b, *t);
                Ok(Finite { unscaled: a % b, scale })
            }
            (PositiveInfinity | NegativeInfinity, _) => Ok(NaN),
            (_, _) => Ok(self.clone()),
        }
    }

    /// Round half away from zero to `scale` digits after the point; a negative one rounds before it.
    pub fn round(&self, scale: i32) -> Numeric {
        self.rescaled(scale, divide_rounded)
    }

    pub fn truncate(&self, scale: i32) -> Numeric {
        self.rescaled(scale, |dividend, divisor| dividend / divisor)
    }

    fn rescaled(&self, target: i32, divide: impl Fn(&BigInt, &BigInt) -> BigInt) -> Numeric {
        let Finite { unscaled, scale } = self else { return self.clone() };
        let target = target.clamp(-(INTEGER_DIGITS_MAX as i32), SCALE_MAX as i32);
        let drop = i64::from(*scale) - i64::from(target);
        if drop <= 0 {
            return Finite { unscaled: unscaled * power_of_ten((-drop) as u32), scale: target as u32 };
        }
        let kept = divide(unscaled, &power_of_ten(drop as u32));
        if target >= 0 {
            Finite { unscaled: kept, scale: target as u32 }
        } else {
            Finite { unscaled: kept * power_of_ten((-target) as u32), scale: 0 }
        }
    }

    pub fn floor(&self) -> Numeric {
        self.rescaled(0, |dividend, divisor| {
            let quotient = dividend / divisor;
            if dividend.is_negative() && !(dividend % divisor).is_zero() { quotient - 1 } else { quotient }
        })
    }

    pub fn ceiling(&self) -> Numeric {
        self.negate().floor().negate()
    }

    /// Square root with PostgreSQL's scale: at least 16 significant digits.
    pub fn square_root(&self) -> PgResult<Numeric> {
        match self {
            NaN | PositiveInfinity => Ok(self.clone()),
            _ if self.signum() < 0 => {
                Err(PgError::new(crate::error::SqlState(*b"2201F"), "cannot take square root of a negative number"))
            }
            Finite { unscaled, scale } => {
                let (weight, _) = Numeric::leading_digit(unscaled, *scale);
                let exponent = (weight + 1) * 2 - 1;
                let wanted =
                    (QUOTIENT_SIGNIFICANT_DIGITS - exponent).max(i64::from(*scale)).clamp(0, DISPLAY_SCALE_MAX);
                Ok(self.square_root_to(wanted as u32))
            }
            NegativeInfinity => Ok(NaN),
        }
    }

    /// Square root of a number that is not negative, with so many digits after the point.
    pub fn square_root_to(&self, digits: u32) -> Numeric {
        let Finite { unscaled, scale } = self else { return self.clone() };
        let guard = digits + 1;
        let shift = 2 * i64::from(guard) - i64::from(*scale);
        let scaled =
            if shift >= 0 { unscaled * power_of_ten(shift as u32) } else { unscaled / power_of_ten((-shift) as u32) };
        Finite { unscaled: scaled.sqrt(), scale: guard }.round(digits as i32)
    }

    fn checked(self) -> PgResult<Numeric> {
        if let Finite { unscaled, scale } = &self {
            // 3.32 bits a digit: an exact count is needed only near the limit.
            let digits = unscaled.bits() * 30103 / 100_000;
            if digits > INTEGER_DIGITS_MAX + u64::from(*scale) {
                return Err(overflow());
            }
        }
        Ok(self)
    }

    /// Rounded to an integer; `None` if it is not finite.
    pub fn to_bigint(&self) -> Option<BigInt> {
        match self.round(0) {
            Finite { unscaled, .. } => Some(unscaled),
            _ => None,
        }
    }

    pub fn to_i64(&self) -> Option<i64> {
        self.to_bigint()?.to_i64()
    }

    pub fn to_f64(&self) -> f64 {
        match self {
            Finite { .. } => self.to_string().parse().expect("a decimal number"),
            NaN => f64::NAN,
            PositiveInfinity => f64::INFINITY,
            NegativeInfinity => f64::NEG_INFINITY,
        }
    }

    /// With as many significant digits as the float surely carries.
    pub fn from_f64(value: f64, significant_digits: usize) -> Numeric {
        if value.is_nan() {
            return NaN;
        }
        if value.is_infinite() {
            return Numeric::infinity(if value > 0.0 { 1 } else { -1 });
        }
        let text = format!("{:.*e}", significant_digits - 1, value);
        let parsed = Numeric::parse(&text).expect("a formatted float").expect("within numeric's range");
        parsed.without_trailing_zeros()
    }

    /// Fewest digits after the point.
    pub fn without_trailing_zeros(&self) -> Numeric {
        let Finite { unscaled, scale } = self else { return self.clone() };
        let (mut unscaled, mut scale) = (unscaled.clone(), *scale);
        let ten = BigInt::from(10);
        while scale > 0 && (&unscaled % &ten).is_zero() {
            unscaled /= &ten;
            scale -= 1;
        }
        Finite { unscaled, scale }
    }

    /// The decimal digits of the magnitude, without leading zeros, and the scale: for binary and key encodings.
    pub fn parts(&self) -> Option<(Sign, String, u32)> {
        match self {
            Finite { unscaled, scale } => Some((unscaled.sign(), unscaled.magnitude().to_string(), *scale)),
            _ => None,
        }
    }

    /// `numeric(precision, scale)`.
    pub fn apply_modifier(&self, modifier: i32) -> PgResult<Numeric> {
        if modifier < 4 || self.is_nan() {
            return Ok(self.clone());
        }
        let (precision, scale) = split_modifier(modifier);
        let fail = |detail: String| {
            Err(PgError::new(sqlstate::NUMERIC_VALUE_OUT_OF_RANGE, "numeric field overflow").detail(detail))
        };
        if matches!(self, PositiveInfinity | NegativeInfinity) {
            return fail(format!("A field with precision {precision}, scale {scale} cannot hold an infinite value."));
        }
        let rounded = self.round(scale);
        let Finite { unscaled, .. } = rounded.round(scale.max(0)) else { return Ok(rounded) };
        let limit = precision - scale;
        let over = unscaled.magnitude() >= power_of_ten((limit + scale.max(0)).max(0) as u32).magnitude();
        if over && !unscaled.is_zero() {
            let bound = if limit == 0 { "1".to_string() } else { format!("10^{limit}") };
            return fail(format!(
                "A field with precision {precision}, scale {scale} must round to an absolute value less than {bound}."
            ));
        }
        Ok(rounded)
    }
}

/// Precision and scale of a type modifier of 4 or more.
pub fn split_modifier(modifier: i32) -> (i32, i32) {
    let packed = modifier - 4;
    let scale = ((packed & 0x7ff) ^ 1024) - 1024;
    ((packed >> 16) & 0xffff, scale)
}

pub fn make_modifier(precision: i32, scale: i32) -> i32 {
    ((precision << 16) | (scale & 0x7ff)) + 4
}

pub fn division_by_zero() -> Box<PgError> {
    PgError::new(sqlstate::DIVISION_BY_ZERO, "division by zero")
}

impl From<i64> for Numeric {
    fn from(value: i64) -> Numeric {
        Finite { unscaled: BigInt::from(value), scale: 0 }
    }
}
impl From<i128> for Numeric {
    fn from(value: i128) -> Numeric {
        Finite { unscaled: BigInt::from(value), scale: 0 }
    }
}

impl fmt::Display for Numeric {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            NaN => f.write_str("NaN"),
            PositiveInfinity => f.write_str("Infinity"),
            NegativeInfinity => f.write_str("-Infinity"),
            Finite { unscaled, scale } => {
                let digits = unscaled.magnitude().to_string();
                if unscaled.sign() == Sign::Minus {
                    f.write_str("-")?;
                }
                let scale = *scale as usize;
                if scale == 0 {
                    return f.write_str(&digits);
                }
                if digits.len() > scale {
                    let (whole, fraction) = digits.split_at(digits.len() - scale);
                    write!(f, "{whole}.{fraction}")
                } else {
                    write!(f, "0.{digits:0>scale$}")
                }
            }
        }
    }
}

impl Ord for Numeric {
    fn cmp(&self, other: &Numeric) -> Ordering {
        match (self, other) {
            (Finite { unscaled: a, scale: s }, Finite { unscaled: b, scale: t }) => {
                if s == t {
                    return a.cmp(b);
                }
                let (a, b, _) = Numeric::aligned(a, *s, b, *t);
                a.cmp(&b)
            }
            _ => {
                let rank = |numeric: &Numeric| match numeric {
                    NegativeInfinity => 0,
                    Finite { .. } => 1,
                    PositiveInfinity => 2,
                    NaN => 3,
                };
                rank(self).cmp(&rank(other))
            }
        }
    }
}
impl PartialOrd for Numeric {
    fn partial_cmp(&self, other: &Numeric) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}
impl PartialEq for Numeric {
    fn eq(&self, other: &Numeric) -> bool {
        self.cmp(other).is_eq()
    }
}
impl Eq for Numeric {}
impl Hash for Numeric {
    fn hash<H: Hasher>(&self, state: &mut H) {
        match self.without_trailing_zeros() {
            Finite { unscaled, scale } => {
                unscaled.hash(state);
                scale.hash(state);
            }
            NaN => state.write_u8(1),
            PositiveInfinity => state.write_u8(2),
            NegativeInfinity => state.write_u8(3),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn n(text: &str) -> Numeric {
        Numeric::parse(text).expect("a number").expect("in range")
    }

    #[test]
    fn arithmetic_as_postgresql_prints_it() {
        let cases = [
            ("1", "/", "3", "0.33333333333333333333"),
            ("10", "/", "4", "2.5000000000000000"),
            ("1000000", "/", "7", "142857.142857142857"),
            ("0.5", "/", "3", "0.16666666666666666667"),
            ("-7", "/", "2", "-3.5000000000000000"),
            ("1.10", "+", "2.2", "3.30"),
            ("1.10", "-", "1.1", "0.00"),
            ("1.10", "*", "1.1", "1.210"),
            ("7.5", "%", "2", "1.5"),
            ("-7", "%", "3", "-1"),
        ];
        for (left, operator, right, expected) in cases {
            let (left, right) = (n(left), n(right));
            let result = match operator {
                "+" => left.add(&right),
                "-" => left.subtract(&right),
                "*" => left.multiply(&right),
                "/" => left.divide(&right),
                _ => left.remainder(&right),
            };
            assert_eq!(result.expect("defined").to_string(), expected, "{left} {operator} {right}");
        }
    }

    #[test]
    fn text_and_rounding() {
        let cases =
            [("1e3", "1000"), ("1.5e-3", "0.0015"), (".5", "0.5"), ("-0.0", "0.0"), ("NaN", "NaN"), ("+7.", "7")];
        for (text, expected) in cases {
            assert_eq!(n(text).to_string(), expected, "{text}");
        }
        assert_eq!(n("2.5").round(0).to_string(), "3");
        assert_eq!(n("-2.5").round(0).to_string(), "-3");
        assert_eq!(n("1234").round(-2).to_string(), "1200");
        assert_eq!(n("-1.2").floor().to_string(), "-2");
        assert_eq!(n("2").square_root().expect("positive").to_string(), "1.414213562373095");
        assert!(Numeric::parse("1.2.3").is_none() && Numeric::parse("").is_none() && Numeric::parse("e5").is_none());
        assert_eq!(n("1.0"), n("1.000"));
        assert_eq!(Numeric::from_f64(0.1, 15).to_string(), "0.1");
    }

    #[test]
    fn modifiers_bound_values() {
        let modifier = make_modifier(3, 2);
        assert_eq!(split_modifier(modifier), (3, 2));
        assert_eq!(n("1.239").apply_modifier(modifier).expect("fits").to_string(), "1.24");
        let error = n("10").apply_modifier(modifier).expect_err("too large");
        assert_eq!(
            error.detail.as_deref(),
            Some("A field with precision 3, scale 2 must round to an absolute value less than 10^1.")
        );
    }
}
