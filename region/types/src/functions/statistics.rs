//! Aggregates of statistics: exact variances, regression, bits.
use super::aggregate::Accumulator;
use super::*;
use crate::oid::Oid;

/// Variance of integers and `numeric`, exactly: from the count, the sum and the sum of squares.
struct ExactVariance {
    count: i64,
    sum: Numeric,
    squares: Numeric,
    population: bool,
    root: bool,
}
impl Accumulator for ExactVariance {
    fn add(&mut self, _: &dyn Environment, a: &[Datum]) -> PgResult<()> {
        let value = match a.first() {
            Some(Datum::Numeric(value)) => (**value).clone(),
            _ => Numeric::from(int(a, 0)?),
        };
        self.count += 1;
        self.squares = self.squares.add(&value.multiply(&value)?)?;
        self.sum = self.sum.add(&value)?;
        Ok(())
    }
    fn finish(&mut self) -> PgResult<Datum> {
        if self.count == 0 || (self.count == 1 && !self.population) {
            return Ok(Datum::Null);
        }
        if self.sum.parts().is_none() || self.squares.parts().is_none() {
            return Ok(Datum::numeric(Numeric::NaN));
        }
        let count = Numeric::from(self.count);
        let spread = count.multiply(&self.squares)?.subtract(&self.sum.multiply(&self.sum)?)?;
        if spread <= Numeric::zero() {
            return Ok(Datum::numeric(Numeric::zero()));
        }
        let others = if self.population { count.clone() } else { Numeric::from(self.count - 1) };
        let variance = spread.divide(&count.multiply(&others)?)?;
        if !self.root {
            return Ok(Datum::numeric(variance));
        }
        let scale = variance.scale();
        Ok(Datum::numeric(variance.square_root_to(scale)))
    }
}
fn exact(population: bool, root: bool) -> Box<dyn Accumulator> {
    Box::new(ExactVariance { count: 0, sum: Numeric::zero(), squares: Numeric::zero(), population, root })
}
pub fn exact_variance_sample(_: &[Oid]) -> Box<dyn Accumulator> {
    exact(false, false)
}
pub fn exact_variance_population(_: &[Oid]) -> Box<dyn Accumulator> {
    exact(true, false)
}
pub fn exact_deviation_sample(_: &[Oid]) -> Box<dyn Accumulator> {
    exact(false, true)
}
pub fn exact_deviation_population(_: &[Oid]) -> Box<dyn Accumulator> {
    exact(true, true)
}

/// Pairs (y, x), by Youngs and Cramer's update.
#[derive(Clone, Copy, Default)]
struct Moments {
    count: f64,
    x: f64,
    xx: f64,
    y: f64,
    yy: f64,
    xy: f64,
}
struct Regression {
    moments: Moments,
    result: fn(&Moments) -> Option<f64>,
    counts: bool,
}
impl Accumulator for Regression {
    fn add(&mut self, _: &dyn Environment, a: &[Datum]) -> PgResult<()> {
        if a.iter().any(Datum::is_null) {
            return Ok(());
        }
        let (y, x) = (double(a, 0)?, double(a, 1)?);
        let m = &mut self.moments;
        let before = m.count;
        m.count += 1.0;
        m.x += x;
        m.y += y;
        if before > 0.0 {
            let (from_x, from_y) = (x * m.count - m.x, y * m.count - m.y);
            let scale = 1.0 / (m.count * before);
            m.xx += from_x * from_x * scale;
            m.yy += from_y * from_y * scale;
            m.xy += from_x * from_y * scale;
        }
        Ok(())
    }
    fn finish(&mut self) -> PgResult<Datum> {
        if self.counts {
            return Ok(Datum::Int8(self.moments.count as i64));
        }
        Ok((self.result)(&self.moments).map_or(Datum::Null, Datum::Float8))
    }
}

macro_rules! regressions {
    ($($name:ident = $result:expr;)*) => {
        $(pub fn $name(_: &[Oid]) -> Box<dyn Accumulator> {
            let result: fn(&Moments) -> Option<f64> = $result;
            Box::new(Regression { moments: Moments::default(), result, counts: false })
        })*
    };
}
/// Of any pair at all.
fn some(m: &Moments, value: f64) -> Option<f64> {
    (m.count >= 1.0).then_some(value)
}
regressions! {
    regression_sxx = |m| some(m, m.xx);
    regression_syy = |m| some(m, m.yy);
    regression_sxy = |m| some(m, m.xy);
    regression_average_x = |m| some(m, m.x / m.count);
    regression_average_y = |m| some(m, m.y / m.count);
    covariance_population = |m| some(m, m.xy / m.count);
    covariance_sample = |m| (m.count >= 2.0).then(|| m.xy / (m.count - 1.0));
    correlation = |m| some(m, m.xy / (m.xx * m.yy).sqrt()).filter(|_| m.xx != 0.0 && m.yy != 0.0);
    regression_r2 = |m| some(m, if m.yy == 0.0 { 1.0 } else { m.xy * m.xy / (m.xx * m.yy) }).filter(|_| m.xx != 0.0);
    regression_slope = |m| some(m, m.xy / m.xx).filter(|_| m.xx != 0.0);
    regression_intercept = |m| some(m, (m.y - m.x * m.xy / m.xx) / m.count).filter(|_| m.xx != 0.0);
}
pub fn regression_count(_: &[Oid]) -> Box<dyn Accumulator> {
    Box::new(Regression { moments: Moments::default(), result: |_| None, counts: true })
}

struct Bits {
    value: Datum,
    combine: fn(i64, i64) -> i64,
}
impl Accumulator for Bits {
    fn add(&mut self, _: &dyn Environment, a: &[Datum]) -> PgResult<()> {
        let next = int(a, 0)?;
        let combined = self.value.as_i64().map_or(next, |so_far| (self.combine)(so_far, next));
        self.value = match a.first() {
            Some(Datum::Int2(_)) => Datum::Int2(combined as i16),
            Some(Datum::Int4(_)) => Datum::Int4(combined as i32),
            _ => Datum::Int8(combined),
        };
        Ok(())
    }
    fn finish(&mut self) -> PgResult<Datum> {
        Ok(std::mem::take(&mut self.value))
    }
}
pub fn bit_and(_: &[Oid]) -> Box<dyn Accumulator> {
    Box::new(Bits { value: Datum::Null, combine: |left, right| left & right })
}
pub fn bit_or(_: &[Oid]) -> Box<dyn Accumulator> {
    Box::new(Bits { value: Datum::Null, combine: |left, right| left | right })
}
pub fn bit_xor(_: &[Oid]) -> Box<dyn Accumulator> {
    Box::new(Bits { value: Datum::Null, combine: |left, right| left ^ right })
}

/// `array_agg` of arrays: one dimension more.
struct Arrays {
    element: Oid,
    shape: Option<Vec<crate::Dimension>>,
    count: usize,
    values: Vec<Datum>,
}
impl Accumulator for Arrays {
    fn add(&mut self, _: &dyn Environment, a: &[Datum]) -> PgResult<()> {
        let fail = |message: &str| PgError::new(crate::error::SqlState(*b"2202E"), message);
        let Some(Datum::Array(array)) = a.first() else {
            let code = crate::error::SqlState(*b"22004");
            return Err(PgError::new(code, "cannot accumulate null arrays"));
        };
        if array.dimensions.is_empty() {
            return Err(fail("cannot accumulate empty arrays"));
        }
        match &self.shape {
            None => self.shape = Some(array.dimensions.clone()),
            Some(shape) if *shape == array.dimensions => {}
            Some(_) => return Err(fail("cannot accumulate arrays of different dimensionality")),
        }
        self.element = array.element;
        self.count += 1;
        self.values.extend(array.values.iter().cloned());
        Ok(())
    }
    fn finish(&mut self) -> PgResult<Datum> {
        let Some(shape) = self.shape.take() else { return Ok(Datum::Null) };
        let mut dimensions = vec![crate::Dimension { length: self.count, lower: 1 }];
        dimensions.extend(shape);
        Ok(Datum::array(Array { element: self.element, dimensions, values: std::mem::take(&mut self.values) }))
    }
}
pub fn collect_arrays(_: &[Oid]) -> Box<dyn Accumulator> {
    Box::new(Arrays { element: crate::oid::TEXT, shape: None, count: 0, values: Vec::new() })
}

/// `string_agg(bytea, bytea)`
#[derive(Default)]
struct Bytes(Option<Vec<u8>>);
impl Accumulator for Bytes {
    fn add(&mut self, _: &dyn Environment, a: &[Datum]) -> PgResult<()> {
        let value = bytea(a, 0)?;
        match &mut self.0 {
            None => self.0 = Some(value.to_vec()),
            Some(joined) => {
                if let Some(Datum::Bytea(separator)) = a.get(1) {
                    joined.extend_from_slice(separator);
                }
                joined.extend_from_slice(&value);
            }
        }
        Ok(())
    }
    fn finish(&mut self) -> PgResult<Datum> {
        Ok(self.0.take().map_or(Datum::Null, |bytes| Datum::Bytea(bytes.into())))
    }
}
pub fn join_bytes(_: &[Oid]) -> Box<dyn Accumulator> {
    Box::new(Bytes::default())
}
