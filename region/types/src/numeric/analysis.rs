//! Exponential, logarithms and powers of `numeric`, to PostgreSQL's number of digits.
//!
//! Everything is fixed-point arithmetic on integers scaled by a power of ten, with guard digits: exp by halving the
//! argument until a Taylor series is short, ln by square roots until its series is short.
use super::{DISPLAY_SCALE_MAX, Finite, Numeric, QUOTIENT_SIGNIFICANT_DIGITS, overflow, power_of_ten};
use crate::error::{PgError, PgResult, SqlState};
use num_bigint::{BigInt, Sign};
use num_traits::{One, Signed, ToPrimitive, Zero};

const LOG10_E: f64 = std::f64::consts::LOG10_E;
/// Digits carried beyond those that are shown.
const GUARD_DIGITS: u32 = 12;
/// Decimal digits that a result may have before its point.
const EXPONENT_MAX: f64 = 6000.0;

fn invalid_logarithm(what: &str) -> Box<PgError> {
    PgError::new(SqlState(*b"2201E"), format!("cannot take logarithm of {what}"))
}

fn invalid_power(message: &str) -> Box<PgError> {
    PgError::new(SqlState(*b"2201F"), message)
}

fn clamp_scale(scale: i64) -> u32 {
    scale.clamp(0, DISPLAY_SCALE_MAX) as u32
}

/// A value times 10^scale, as an integer.
fn fixed(value: &Numeric, scale: u32) -> BigInt {
    match value.round(scale as i32) {
        Finite { unscaled, .. } => unscaled,
        _ => BigInt::zero(),
    }
}

fn unfixed(value: BigInt, scale: u32) -> Numeric {
    Finite { unscaled: value, scale }
}

/// e^x of fixed-point x.
fn exponential(x: &BigInt, scale: u32) -> BigInt {
    let one = power_of_ten(scale);
    // Below 2^-8 each term of the series gives more than two digits.
    let whole_bits = (x.abs() / &one).bits();
    let halvings = whole_bits as u32 + 8;
    // Squaring doubles relative errors: a bit is lost each time.
    let inner_scale = scale + halvings / 3 + 4;
    let inner_one = power_of_ten(inner_scale);
    let reduced = (x * power_of_ten(inner_scale - scale)) >> halvings;
    let mut sum = inner_one.clone();
    let mut term = inner_one.clone();
    let mut n = 1u32;
    loop {
        term = &term * &reduced / &inner_one / n;
        if term.is_zero() {
            break;
        }
        sum += &term;
        n += 1;
    }
    for _ in 0..halvings {
        sum = &sum * &sum / &inner_one;
    }
    sum / power_of_ten(inner_scale - scale)
}

/// ln x of fixed-point x above zero.
fn logarithm(x: &BigInt, scale: u32) -> BigInt {
    let inner_scale = scale + 8;
    let one = power_of_ten(inner_scale);
    let mut root = x * power_of_ten(inner_scale - scale);
    let mut doublings = 0u32;
    let tenth = &one / 16;
    while (&root - &one).abs() > tenth {
        root = (&root * &one).sqrt();
        doublings += 1;
    }
    // ln x = 2 artanh((x - 1) / (x + 1))
    let ratio = (&root - &one) * &one / (&root + &one);
    let square = &ratio * &ratio / &one;
    let mut term = ratio.clone();
    let mut sum = ratio;
    let mut n = 3u32;
    loop {
        term = &term * &square / &one;
        let part = &term / n;
        if part.is_zero() {
            break;
        }
        sum += part;
        n += 2;
    }
    (sum << (doublings + 1)) / power_of_ten(inner_scale - scale)
}

/// The decimal exponent of ln x, roughly.
fn logarithm_weight(value: &Numeric) -> i64 {
    let approximate = value.to_f64();
    if (0.9..=1.1).contains(&approximate) {
        let difference = value.subtract(&Numeric::from(1i64)).map(|difference| difference.to_f64().abs());
        return match difference {
            Ok(difference) if difference > 0.0 => difference.log10().floor() as i64,
            _ => 0,
        };
    }
    let logarithm = decimal_logarithm_of(value) / LOG10_E;
    if logarithm == 0.0 { 0 } else { logarithm.abs().log10().trunc() as i64 }
}

/// log10 of any size of number, as a float.
fn decimal_logarithm_of(value: &Numeric) -> f64 {
    let Some((_, digits, scale)) = value.parts() else { return f64::INFINITY };
    let leading: f64 = format!("0.{}", &digits[..digits.len().min(17)]).parse().unwrap_or(0.1);
    leading.log10() + digits.len() as f64 - f64::from(scale)
}

impl Numeric {
    pub fn exponential(&self) -> PgResult<Numeric> {
        let Finite { scale, .. } = self else {
            return Ok(if matches!(self, Numeric::NegativeInfinity) { Numeric::zero() } else { self.clone() });
        };
        let weight = self.to_f64() * LOG10_E;
        if self.to_f64() >= EXPONENT_MAX {
            return Err(overflow());
        }
        let shown =
            clamp_scale((QUOTIENT_SIGNIFICANT_DIGITS - weight.clamp(-2000.0, 2000.0) as i64).max(i64::from(*scale)));
        if self.to_f64() <= -EXPONENT_MAX {
            return Ok(Numeric::zero().round(shown as i32));
        }
        Ok(exponential_shown(self, weight, shown))
    }

    pub fn natural_logarithm(&self) -> PgResult<Numeric> {
        self.check_logarithm()?;
        let Finite { scale, .. } = self else { return Ok(self.clone()) };
        let shown = clamp_scale((QUOTIENT_SIGNIFICANT_DIGITS - logarithm_weight(self)).max(i64::from(*scale)));
        let working = shown + GUARD_DIGITS + self.leading_zeros();
        Ok(unfixed(logarithm(&fixed(self, working), working), working).round(shown as i32))
    }

    /// Logarithm of `self` to a base.
    pub fn logarithm(&self, base: &Numeric) -> PgResult<Numeric> {
        base.check_logarithm()?;
        self.check_logarithm()?;
        let (Finite { scale, .. }, Finite { scale: base_scale, .. }) = (self, base) else { return Ok(Numeric::NaN) };
        if *base == Numeric::from(1i64) {
            return Err(super::division_by_zero());
        }
        let weight = logarithm_weight(self) - logarithm_weight(base);
        let shown =
            clamp_scale((QUOTIENT_SIGNIFICANT_DIGITS - weight).max(i64::from(*scale)).max(i64::from(*base_scale)));
        let working = shown + GUARD_DIGITS + self.leading_zeros().max(base.leading_zeros()) + 8;
        let numerator = logarithm(&fixed(self, working), working);
        let denominator = logarithm(&fixed(base, working), working);
        if denominator.is_zero() {
            return Err(super::division_by_zero());
        }
        Ok(unfixed(numerator * power_of_ten(working) / denominator, working).round(shown as i32))
    }

    fn check_logarithm(&self) -> PgResult<()> {
        match self {
            Finite { unscaled, .. } if unscaled.is_zero() => Err(invalid_logarithm("zero")),
            Finite { unscaled, .. } if unscaled.sign() == Sign::Minus => Err(invalid_logarithm("a negative number")),
            Numeric::NegativeInfinity => Err(invalid_logarithm("a negative number")),
            _ => Ok(()),
        }
    }

    /// Zeros between the point and the first digit.
    fn leading_zeros(&self) -> u32 {
        match self.parts() {
            Some((_, digits, scale)) => scale.saturating_sub(digits.len() as u32),
            None => 0,
        }
    }

    pub fn power(&self, exponent: &Numeric) -> PgResult<Numeric> {
        let (Finite { unscaled, scale }, Finite { unscaled: exponent_digits, scale: exponent_scale }) =
            (self, exponent)
        else {
            return Ok(self.power_of_special(exponent));
        };
        if unscaled.is_zero() && exponent_digits.is_negative() {
            return Err(invalid_power("zero raised to a negative power is undefined"));
        }
        let whole = exponent.to_bigint().filter(|whole| Numeric::new(whole.clone(), 0) == *exponent);
        if let Some(whole) = whole.as_ref().and_then(ToPrimitive::to_i32) {
            return self.whole_power(whole, clamp_scale(QUOTIENT_SIGNIFICANT_DIGITS.max(i64::from(*scale))));
        }
        let least = QUOTIENT_SIGNIFICANT_DIGITS;
        if unscaled.is_zero() {
            return Ok(Numeric::zero().round(clamp_scale(least) as i32));
        }
        let negative = unscaled.is_negative();
        if negative && whole.is_none() {
            return Err(invalid_power("a negative number raised to a non-integer power yields a complex result"));
        }
        let base = self.absolute();
        let weight = decimal_logarithm_of(&base) * exponent.to_f64();
        if weight >= EXPONENT_MAX {
            return Err(overflow());
        }
        // Far below what can be shown. As PostgreSQL: all digits that there may be, and zeros.
        if weight <= -EXPONENT_MAX * LOG10_E {
            return Ok(Numeric::zero().round(clamp_scale(i64::MAX) as i32));
        }
        let bounded = weight.clamp(-2000.0, 2000.0) as i64;
        let shown = clamp_scale((least - bounded).max(i64::from(*scale)).max(i64::from(*exponent_scale)));
        let working =
            shown + GUARD_DIGITS + base.leading_zeros() + weight.abs() as u32 + exponent_digits.bits() as u32 / 3;
        let product = logarithm(&fixed(&base, working), working) * fixed(exponent, working) / power_of_ten(working);
        let result = unfixed(exponential(&product, working), working).round(shown as i32);
        let odd = whole.is_some_and(|whole| whole.bit(0));
        Ok(if negative && odd { result.negate() } else { result })
    }

    fn whole_power(&self, exponent: i32, shown: u32) -> PgResult<Numeric> {
        let weight = decimal_logarithm_of(&self.absolute()) * f64::from(exponent);
        if !self.is_zero() && weight >= 131_072.0 {
            return Err(overflow());
        }
        let one = Numeric::from(1i64);
        if self.is_zero() || weight < -f64::from(shown) - 2.0 {
            let value = if exponent == 0 { one } else { Numeric::zero() };
            return Ok(value.round(shown as i32));
        }
        // Enough digits that rounding at each step stays out of sight.
        let digits = (weight.abs() as i64 + i64::from(shown) + i64::from(GUARD_DIGITS) + 12).min(20_000);
        let mut product = one.clone();
        let mut square = self.clone();
        let mut rest = exponent.unsigned_abs();
        while rest > 0 {
            if rest & 1 == 1 {
                product = bounded(product.multiply(&square)?, digits);
            }
            rest >>= 1;
            if rest > 0 {
                square = bounded(square.multiply(&square)?, digits);
            }
        }
        if exponent < 0 {
            let Finite { unscaled, scale } = &product else { return Ok(product) };
            // So small that no scale shows it, whose reciprocal PostgreSQL still could.
            if unscaled.is_zero() {
                return Err(overflow());
            }
            let dividend = BigInt::one() * power_of_ten(scale + shown + 1);
            return Ok(unfixed(dividend / unscaled, shown + 1).round(shown as i32));
        }
        Ok(product.round(shown as i32))
    }

    /// With a NaN or an infinity on either side.
    fn power_of_special(&self, exponent: &Numeric) -> Numeric {
        let one = Numeric::from(1i64);
        if exponent.is_zero() || *self == one {
            return one;
        }
        let result = self.to_f64().powf(exponent.to_f64());
        if result.is_nan() {
            Numeric::NaN
        } else if result.is_infinite() {
            Numeric::PositiveInfinity
        } else {
            Numeric::from_f64(result, 15)
        }
    }
}

/// e^x shown with so many digits, where e^x is about 10^weight.
fn exponential_shown(x: &Numeric, weight: f64, shown: u32) -> Numeric {
    let working = shown + GUARD_DIGITS + weight.max(0.0) as u32 + 4;
    unfixed(exponential(&fixed(x, working), working), working).round(shown as i32)
}

/// Cut to so many significant digits.
fn bounded(value: Numeric, digits: i64) -> Numeric {
    let Some((_, shown, scale)) = value.parts() else { return value };
    let excess = shown.len() as i64 - digits;
    if excess <= 0 { value } else { value.truncate((i64::from(scale) - excess) as i32) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn n(text: &str) -> Numeric {
        Numeric::parse(text).expect("a number").expect("in range")
    }

    #[test]
    fn the_reciprocal_of_what_no_scale_shows_is_refused() {
        let error = n(&format!("-0.{}1", "0".repeat(306))).power(&n("-68")).expect_err("not divided by zero");
        assert_eq!(error.code, crate::sqlstate::NUMERIC_VALUE_OUT_OF_RANGE);
    }

    #[test]
    fn as_postgresql_prints_them() {
        let powers = [
            ("2.0", "3", "8.0000000000000000"),
            ("10.0", "20", "100000000000000000000.0000000000000000"),
            ("1.5", "-2", "0.4444444444444444"),
            ("0.1", "3", "0.0010000000000000"),
            ("2.5", "0.5", "1.5811388300841897"),
            ("1234.5", "1.5", "43374.715718088574"),
            ("2.0", "-0.5", "0.7071067811865475"),
            ("0.5", "100.5", "0.0000000000000000000000000000005578088954947358"),
            ("2.0", "0.5", "1.4142135623730950"),
        ];
        for (base, exponent, expected) in powers {
            assert_eq!(n(base).power(&n(exponent)).expect("defined").to_string(), expected, "{base} ^ {exponent}");
        }
        let exponentials = [
            ("0.0", "1.0000000000000000"),
            ("1.0", "2.7182818284590452"),
            ("100.0", "26881171418161354484126255515800135873611118.8"),
            ("-5.5", "0.004086771438464067"),
        ];
        for (x, expected) in exponentials {
            assert_eq!(n(x).exponential().expect("in range").to_string(), expected, "exp({x})");
        }
        let logarithms = [
            ("1.0", "0.0000000000000000"),
            ("2.0", "0.6931471805599453"),
            ("1e10", "23.025850929940457"),
            ("0.001", "-6.9077552789821371"),
            ("1.05", "0.048790164169432003"),
        ];
        for (x, expected) in logarithms {
            assert_eq!(n(x).natural_logarithm().expect("above zero").to_string(), expected, "ln({x})");
        }
        assert_eq!(n("8.0").logarithm(&n("2.0")).expect("defined").to_string(), "3.0000000000000000");
        assert_eq!(n("3.7").logarithm(&n("10")).expect("defined").to_string(), "0.5682017240669950");
    }
}
