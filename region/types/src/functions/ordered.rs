//! Ordered-set aggregates: `mode`, `percentile_cont`, `percentile_disc`.
//!
//! The executor hands over each row's arguments, the direct ones first and the sorted one last, in the order that
//! WITHIN GROUP asks for. A NULL to be sorted does not count.
use super::aggregate::Accumulator;
use super::*;
use crate::error::sqlstate;
use crate::oid::{self, Oid};
use crate::same;

struct Mode {
    type_oid: Oid,
    /// The best so far, and the run that goes on.
    best: (Datum, u64),
    run: (Datum, u64),
}
impl Accumulator for Mode {
    fn add(&mut self, _: &dyn Environment, a: &[Datum]) -> PgResult<()> {
        let Some(value) = a.last().filter(|value| !value.is_null()) else { return Ok(()) };
        if self.run.1 > 0 && same(self.type_oid, &self.run.0, value) {
            self.run.1 += 1;
        } else {
            self.run = (value.clone(), 1);
        }
        if self.run.1 > self.best.1 {
            self.best = self.run.clone();
        }
        Ok(())
    }
    fn finish(&mut self) -> PgResult<Datum> {
        Ok(std::mem::take(&mut self.best.0))
    }
}
pub fn mode(types: &[Oid]) -> Box<dyn Accumulator> {
    let type_oid = types.last().copied().unwrap_or(oid::TEXT);
    Box::new(Mode { type_oid, best: (Datum::Null, 0), run: (Datum::Null, 0) })
}

struct Percentile {
    type_oid: Oid,
    continuous: bool,
    wanted: Datum,
    values: Vec<Datum>,
}

impl Percentile {
    fn at(&self, fraction: f64) -> PgResult<Datum> {
        if !(0.0..=1.0).contains(&fraction) {
            let message = format!("percentile value {fraction} is not between 0 and 1");
            return Err(PgError::new(sqlstate::NUMERIC_VALUE_OUT_OF_RANGE, message));
        }
        let Some(last) = self.values.len().checked_sub(1) else { return Ok(Datum::Null) };
        if !self.continuous {
            let row = (fraction * self.values.len() as f64).ceil() as usize;
            return Ok(self.values[row.saturating_sub(1).min(last)].clone());
        }
        let place = fraction * last as f64;
        let (low, high) = (&self.values[place.floor() as usize], &self.values[(place.ceil() as usize).min(last)]);
        let share = place - place.floor();
        match (low, high) {
            (Datum::Interval(low), Datum::Interval(high)) => {
                let negated = crate::datetime::negate_interval(low)?;
                let step = super::datetime::scale_interval(&super::datetime::sum_intervals(*high, negated)?, share)?;
                super::datetime::sum_intervals(*low, step).map(Datum::Interval)
            }
            _ => {
                let pair = [low.clone(), high.clone()];
                let (low, high) = (double(&pair, 0)?, double(&pair, 1)?);
                Ok(Datum::Float8(low + share * (high - low)))
            }
        }
    }
}
impl Accumulator for Percentile {
    fn add(&mut self, _: &dyn Environment, a: &[Datum]) -> PgResult<()> {
        self.wanted = a.first().cloned().unwrap_or_default();
        self.values.extend(a.last().filter(|value| !value.is_null()).cloned());
        Ok(())
    }
    fn finish(&mut self) -> PgResult<Datum> {
        match &self.wanted {
            Datum::Float8(fraction) => self.at(*fraction),
            Datum::Array(fractions) if !self.values.is_empty() => {
                let found = fractions.values.iter().map(|fraction| match fraction {
                    Datum::Float8(fraction) => self.at(*fraction),
                    _ => Ok(Datum::Null),
                });
                let values = found.collect::<PgResult<_>>()?;
                Ok(Datum::array(Array { element: self.type_oid, dimensions: fractions.dimensions.clone(), values }))
            }
            _ => Ok(Datum::Null),
        }
    }
}
fn percentile(types: &[Oid], continuous: bool) -> Box<dyn Accumulator> {
    let type_oid = types.last().copied().unwrap_or(oid::FLOAT8);
    Box::new(Percentile { type_oid, continuous, wanted: Datum::Null, values: Vec::new() })
}
pub fn percentile_continuous(types: &[Oid]) -> Box<dyn Accumulator> {
    percentile(types, true)
}
pub fn percentile_discrete(types: &[Oid]) -> Box<dyn Accumulator> {
    percentile(types, false)
}

/// What needs the order of rows itself: the executor computes it.
struct Hypothetical;
impl Accumulator for Hypothetical {
    fn add(&mut self, _: &dyn Environment, _: &[Datum]) -> PgResult<()> {
        Ok(())
    }
    fn finish(&mut self) -> PgResult<Datum> {
        Err(PgError::internal("a hypothetical row is placed by whoever has the order"))
    }
}
pub fn hypothetical(_: &[Oid]) -> Box<dyn Accumulator> {
    Box::new(Hypothetical)
}
