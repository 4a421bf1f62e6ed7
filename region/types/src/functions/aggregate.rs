//! Aggregates: one accumulator a group.
use super::*;
use crate::oid::{self, Oid};
use crate::{compare, compare_floats};
use std::cmp::Ordering;

/// Collects the values of one group. NULL arguments are not handed over unless the aggregate takes them.
pub trait Accumulator: Send {
    fn add(&mut self, environment: &dyn Environment, arguments: &[Datum]) -> PgResult<()>;
    fn finish(&mut self) -> PgResult<Datum>;
}

/// Makes an empty accumulator for arguments of the given types.
pub type NewAccumulator = fn(&[Oid]) -> Box<dyn Accumulator>;

struct Count(i64);
impl Accumulator for Count {
    fn add(&mut self, _: &dyn Environment, _: &[Datum]) -> PgResult<()> {
        self.0 += 1;
        Ok(())
    }
    fn finish(&mut self) -> PgResult<Datum> {
        Ok(Datum::Int8(self.0))
    }
}
pub fn count(_: &[Oid]) -> Box<dyn Accumulator> {
    Box::new(Count(0))
}

/// Sum and count of integers; 128 bits hold any sum of 2^64 values.
#[derive(Default)]
struct Integers {
    sum: i128,
    count: i64,
    finish: Option<fn(i128, i64) -> PgResult<Datum>>,
}
impl Accumulator for Integers {
    fn add(&mut self, _: &dyn Environment, a: &[Datum]) -> PgResult<()> {
        self.sum += i128::from(int(a, 0)?);
        self.count += 1;
        Ok(())
    }
    fn finish(&mut self) -> PgResult<Datum> {
        match self.finish {
            Some(finish) if self.count > 0 => finish(self.sum, self.count),
            _ => Ok(Datum::Null),
        }
    }
}
fn integers(finish: fn(i128, i64) -> PgResult<Datum>) -> Box<dyn Accumulator> {
    Box::new(Integers { finish: Some(finish), ..Integers::default() })
}
/// `sum(int2)`, `sum(int4)`: bigint.
pub fn sum_small(_: &[Oid]) -> Box<dyn Accumulator> {
    integers(|sum, _| super::integer::int8(i64::try_from(sum).ok()))
}
/// `sum(int8)`: numeric.
pub fn sum_large(_: &[Oid]) -> Box<dyn Accumulator> {
    integers(|sum, _| Ok(Datum::numeric(Numeric::from(sum))))
}
pub fn average_integer(_: &[Oid]) -> Box<dyn Accumulator> {
    integers(|sum, count| Ok(Datum::numeric(Numeric::from(sum).divide(&Numeric::from(count))?)))
}

struct Numerics {
    sum: Numeric,
    count: i64,
    average: bool,
}
impl Accumulator for Numerics {
    fn add(&mut self, _: &dyn Environment, a: &[Datum]) -> PgResult<()> {
        self.sum = self.sum.add(number(a, 0)?)?;
        self.count += 1;
        Ok(())
    }
    fn finish(&mut self) -> PgResult<Datum> {
        match (self.count, self.average) {
            (0, _) => Ok(Datum::Null),
            (_, false) => Ok(Datum::numeric(self.sum.clone())),
            (count, true) => Ok(Datum::numeric(self.sum.divide(&Numeric::from(count))?)),
        }
    }
}
pub fn sum_numeric(_: &[Oid]) -> Box<dyn Accumulator> {
    Box::new(Numerics { sum: Numeric::zero(), count: 0, average: false })
}
pub fn average_numeric(_: &[Oid]) -> Box<dyn Accumulator> {
    Box::new(Numerics { sum: Numeric::zero(), count: 0, average: true })
}

struct Floats {
    sum: f64,
    count: i64,
    average: bool,
    single: bool,
}
impl Accumulator for Floats {
    fn add(&mut self, _: &dyn Environment, a: &[Datum]) -> PgResult<()> {
        let value = double(a, 0)?;
        let sum =
            if self.single && !self.average { f64::from(self.sum as f32 + value as f32) } else { self.sum + value };
        super::float::checked8(sum, self.sum.is_infinite() || value.is_infinite())?;
        self.sum = sum;
        self.count += 1;
        Ok(())
    }
    fn finish(&mut self) -> PgResult<Datum> {
        match (self.count, self.average, self.single) {
            (0, _, _) => Ok(Datum::Null),
            (count, true, _) => Ok(Datum::Float8(self.sum / count as f64)),
            (_, false, true) => Ok(Datum::Float4(self.sum as f32)),
            (_, false, false) => Ok(Datum::Float8(self.sum)),
        }
    }
}
pub fn sum_float(types: &[Oid]) -> Box<dyn Accumulator> {
    Box::new(Floats { sum: 0.0, count: 0, average: false, single: types.first() == Some(&oid::FLOAT4) })
}
pub fn average_float(types: &[Oid]) -> Box<dyn Accumulator> {
    Box::new(Floats { sum: 0.0, count: 0, average: true, single: types.first() == Some(&oid::FLOAT4) })
}

struct Intervals {
    sum: Interval,
    count: i64,
    average: bool,
}
impl Accumulator for Intervals {
    fn add(&mut self, _: &dyn Environment, a: &[Datum]) -> PgResult<()> {
        self.sum = super::datetime::sum_intervals(self.sum, interval(a, 0)?)?;
        self.count += 1;
        Ok(())
    }
    fn finish(&mut self) -> PgResult<Datum> {
        match (self.count, self.average) {
            (0, _) => Ok(Datum::Null),
            (_, false) => Ok(Datum::Interval(self.sum)),
            (count, true) => super::datetime::divide_interval(&self.sum, count as f64).map(Datum::Interval),
        }
    }
}
pub fn sum_interval(_: &[Oid]) -> Box<dyn Accumulator> {
    Box::new(Intervals { sum: Interval::default(), count: 0, average: false })
}
pub fn average_interval(_: &[Oid]) -> Box<dyn Accumulator> {
    Box::new(Intervals { sum: Interval::default(), count: 0, average: true })
}

struct Extreme {
    type_oid: Oid,
    wanted: Ordering,
    best: Datum,
}
impl Accumulator for Extreme {
    fn add(&mut self, _: &dyn Environment, a: &[Datum]) -> PgResult<()> {
        let value = a.first().ok_or_else(|| wrong(None))?;
        if self.best.is_null() || compare(self.type_oid, value, &self.best) == self.wanted {
            self.best = value.clone();
        }
        Ok(())
    }
    fn finish(&mut self) -> PgResult<Datum> {
        Ok(std::mem::take(&mut self.best))
    }
}
pub fn minimum(types: &[Oid]) -> Box<dyn Accumulator> {
    let type_oid = types.first().copied().unwrap_or_default();
    Box::new(Extreme { type_oid, wanted: Ordering::Less, best: Datum::Null })
}
pub fn maximum(types: &[Oid]) -> Box<dyn Accumulator> {
    let type_oid = types.first().copied().unwrap_or_default();
    Box::new(Extreme { type_oid, wanted: Ordering::Greater, best: Datum::Null })
}

struct Booleans {
    result: Option<bool>,
    all: bool,
}
impl Accumulator for Booleans {
    fn add(&mut self, _: &dyn Environment, a: &[Datum]) -> PgResult<()> {
        let value = boolean(a, 0)?;
        self.result = Some(match self.result {
            None => value,
            Some(so_far) if self.all => so_far && value,
            Some(so_far) => so_far || value,
        });
        Ok(())
    }
    fn finish(&mut self) -> PgResult<Datum> {
        Ok(self.result.into())
    }
}
pub fn all_true(_: &[Oid]) -> Box<dyn Accumulator> {
    Box::new(Booleans { result: None, all: true })
}
pub fn any_true(_: &[Oid]) -> Box<dyn Accumulator> {
    Box::new(Booleans { result: None, all: false })
}

/// `string_agg(text, separator)`; the first separator is not used.
#[derive(Default)]
struct Strings(Option<String>);
impl Accumulator for Strings {
    fn add(&mut self, _: &dyn Environment, a: &[Datum]) -> PgResult<()> {
        let Some(value) = a.first().and_then(Datum::as_str) else { return Ok(()) };
        match &mut self.0 {
            None => self.0 = Some(value.to_string()),
            Some(text) => {
                text.push_str(a.get(1).and_then(Datum::as_str).unwrap_or(""));
                text.push_str(value);
            }
        }
        Ok(())
    }
    fn finish(&mut self) -> PgResult<Datum> {
        Ok(self.0.take().into())
    }
}
pub fn join_strings(_: &[Oid]) -> Box<dyn Accumulator> {
    Box::new(Strings::default())
}

struct Elements {
    element: Oid,
    values: Vec<Datum>,
}
impl Accumulator for Elements {
    fn add(&mut self, _: &dyn Environment, a: &[Datum]) -> PgResult<()> {
        self.values.push(a.first().cloned().unwrap_or_default());
        Ok(())
    }
    fn finish(&mut self) -> PgResult<Datum> {
        if self.values.is_empty() {
            return Ok(Datum::Null);
        }
        Ok(Datum::array(Array::from_values(self.element, std::mem::take(&mut self.values))))
    }
}
pub fn collect_array(types: &[Oid]) -> Box<dyn Accumulator> {
    Box::new(Elements { element: types.first().copied().unwrap_or(oid::TEXT), values: Vec::new() })
}

/// Variance by Youngs and Cramer's update, as PostgreSQL has it for floats.
struct Variance {
    count: f64,
    sum: f64,
    squares: f64,
    population: bool,
    root: bool,
}
impl Accumulator for Variance {
    fn add(&mut self, _: &dyn Environment, a: &[Datum]) -> PgResult<()> {
        let value = double(a, 0)?;
        self.count += 1.0;
        self.sum += value;
        if self.count > 1.0 {
            let deviation = value * self.count - self.sum;
            self.squares += deviation * deviation / (self.count * (self.count - 1.0));
        }
        Ok(())
    }
    fn finish(&mut self) -> PgResult<Datum> {
        let divisor = if self.population { self.count } else { self.count - 1.0 };
        if divisor <= 0.0 {
            return Ok(Datum::Null);
        }
        let variance = self.squares / divisor;
        debug_assert!(compare_floats(variance, 0.0).is_ge(), "a variance is not negative");
        Ok(Datum::Float8(if self.root { variance.sqrt() } else { variance }))
    }
}
fn variance(population: bool, root: bool) -> Box<dyn Accumulator> {
    Box::new(Variance { count: 0.0, sum: 0.0, squares: 0.0, population, root })
}
pub fn variance_sample(_: &[Oid]) -> Box<dyn Accumulator> {
    variance(false, false)
}
pub fn variance_population(_: &[Oid]) -> Box<dyn Accumulator> {
    variance(true, false)
}
pub fn deviation_sample(_: &[Oid]) -> Box<dyn Accumulator> {
    variance(false, true)
}
pub fn deviation_population(_: &[Oid]) -> Box<dyn Accumulator> {
    variance(true, true)
}
