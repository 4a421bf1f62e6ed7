//! From rows to statistics: a sample of bounded size, of which each row of the table is equally likely to be part.
use super::{ColumnStatistics, TableStatistics};
use crate::catalog::Table;
use trivet_types::{Array, Datum, compare};

/// PostgreSQL's 300 times `default_statistics_target`.
pub const SAMPLE_ROWS: usize = 30_000;
/// `default_statistics_target`: commonest values, and ranges of a histogram, at most.
const TARGET: usize = 100;
/// Longer values are no good as bounds and only fill the memory.
const VALUE_BYTES_MAX: usize = 1024;

pub struct Collector {
    wanted: Vec<bool>,
    sample: Vec<Vec<Datum>>,
    seen: u64,
    bytes: u64,
    random: u64,
}

impl Collector {
    /// For these columns, by place.
    pub fn new(wanted: Vec<bool>, seed: u64) -> Collector {
        Collector { wanted, sample: Vec::new(), seen: 0, bytes: 0, random: seed | 1 }
    }

    fn draw(&mut self, below: u64) -> u64 {
        // xorshift: a sample needs no better.
        self.random ^= self.random << 13;
        self.random ^= self.random >> 7;
        self.random ^= self.random << 17;
        self.random % below
    }

    /// One more row of the table, decoded only if it gets into the sample.
    pub fn add<E>(&mut self, bytes: usize, row: impl FnOnce() -> Result<Vec<Datum>, E>) -> Result<(), E> {
        self.seen += 1;
        self.bytes += bytes as u64;
        if self.sample.len() < SAMPLE_ROWS {
            let row = self.kept(row()?);
            self.sample.push(row);
            return Ok(());
        }
        let place = self.draw(self.seen) as usize;
        if place < SAMPLE_ROWS {
            self.sample[place] = self.kept(row()?);
        }
        Ok(())
    }

    /// What of a row is looked at, apart from the stored row that it was decoded from.
    fn kept(&self, row: Vec<Datum>) -> Vec<Datum> {
        let keep = |(at, value): (usize, Datum)| {
            if self.wanted.get(at) == Some(&true) { detached(value) } else { Datum::Null }
        };
        row.into_iter().enumerate().map(keep).collect()
    }

    pub fn finish(self, table: &Table) -> TableStatistics {
        let rows = self.seen as f64;
        let mut columns = Vec::with_capacity(table.columns.len());
        for (at, column) in table.columns.iter().enumerate() {
            let wanted = self.wanted.get(at).copied().unwrap_or(false) && !column.dropped && !self.sample.is_empty();
            columns.push(wanted.then(|| {
                let values = self.sample.iter().map(|row| row.get(at).cloned().unwrap_or_default()).collect();
                of_column(column.type_oid, values, rows)
            }));
        }
        let width = if self.seen == 0 { 0.0 } else { self.bytes as f64 / rows };
        TableStatistics { storage: table.storage, rows, width, columns }
    }
}

/// A value with bytes of its own, the beginning of a long one.
fn detached(value: Datum) -> Datum {
    match value {
        Datum::Text(text) => {
            let end = text.floor_char_boundary(VALUE_BYTES_MAX);
            Datum::text(&text[..end])
        }
        Datum::Bytea(bytes) => Datum::Bytea(bytes::Bytes::copy_from_slice(&bytes[..bytes.len().min(VALUE_BYTES_MAX)])),
        Datum::Array(array) => {
            let values = array.values.iter().take(TARGET).cloned().map(detached).collect::<Vec<_>>();
            Datum::array(Array::from_values(array.element, values))
        }
        value => value,
    }
}

fn of_column(type_oid: trivet_types::Oid, values: Vec<Datum>, rows: f64) -> ColumnStatistics {
    let sampled = values.len() as f64;
    let mut present: Vec<Datum> = values.into_iter().filter(|value| !value.is_null()).collect();
    let count = present.len() as f64;
    let null_fraction = 1.0 - count / sampled.max(1.0);
    let bytes: usize = present.iter().map(|value| value.memory() - std::mem::size_of::<Datum>()).sum();
    let fixed = trivet_types::type_info(type_oid).map(|info| f64::from(info.length)).filter(|length| *length > 0.0);
    let width = fixed.unwrap_or(if present.is_empty() { 0.0 } else { bytes as f64 / count });
    if present.is_empty() {
        return ColumnStatistics { null_fraction, width, distinct: 0.0, common: vec![], histogram: vec![] };
    }
    present.sort_unstable_by(|left, right| compare(type_oid, left, right));
    // Runs of equal values: (where it begins, how long it is).
    let mut runs: Vec<(usize, usize)> = Vec::new();
    for at in 0..present.len() {
        match runs.last_mut() {
            Some((start, length)) if compare(type_oid, &present[*start], &present[at]).is_eq() => *length += 1,
            _ => runs.push((at, 1)),
        }
    }
    let once = runs.iter().filter(|(_, length)| *length == 1).count() as f64;
    let different = runs.len() as f64;
    let estimate = if sampled >= rows || once == 0.0 {
        different
    } else if once == count {
        // No value came twice: most likely all are different.
        rows * (1.0 - null_fraction)
    } else {
        // Haas and Stokes, as PostgreSQL's `compute_scalar_stats`.
        let present_rows = rows * (1.0 - null_fraction);
        let denominator = (count - once) + once * count / present_rows;
        (count * different / denominator).clamp(different, present_rows)
    };
    // A number of values that grows with the table is told as a fraction of its rows.
    let distinct = if estimate > 0.1 * rows { -(estimate / rows).min(1.0) } else { estimate };
    let small = |value: &Datum| value.memory() <= VALUE_BYTES_MAX;
    let mut by_length: Vec<(usize, usize)> =
        runs.iter().filter(|(start, length)| *length > 1 && small(&present[*start])).copied().collect();
    by_length.sort_by(|left, right| right.1.cmp(&left.1).then(left.0.cmp(&right.0)));
    // All values if they are few and the sample has them all; else those that are clearly commoner than the average.
    let average = count / estimate.max(1.0);
    let complete = runs.len() <= TARGET && (sampled >= rows || once == 0.0);
    let mut common: Vec<(usize, usize)> = if complete {
        let mut all: Vec<(usize, usize)> = runs.iter().filter(|(start, _)| small(&present[*start])).copied().collect();
        all.sort_by(|left, right| right.1.cmp(&left.1).then(left.0.cmp(&right.0)));
        if all.iter().all(|(_, length)| *length == 1) { Vec::new() } else { all }
    } else {
        by_length.into_iter().take_while(|(_, length)| *length as f64 > 1.25 * average).collect()
    };
    common.truncate(TARGET);
    let is_common: std::collections::HashSet<usize> = common.iter().map(|(start, _)| *start).collect();
    let rest: Vec<usize> = runs
        .iter()
        .filter(|(start, _)| !is_common.contains(start))
        .flat_map(|(start, length)| std::iter::repeat_n(*start, *length))
        .collect();
    let mut histogram = Vec::new();
    if rest.first() != rest.last() {
        let bounds = TARGET.min(rest.len() - 1);
        histogram.extend((0..=bounds).map(|bound| present[rest[bound * (rest.len() - 1) / bounds]].clone()));
        histogram.dedup_by(|left, right| compare(type_oid, left, right).is_eq());
        if !histogram.iter().all(small) {
            histogram.clear();
        }
    }
    let common = common.into_iter().map(|(start, length)| (present[start].clone(), length as f64 / sampled)).collect();
    ColumnStatistics { null_fraction, width, distinct, common, histogram }
}

#[cfg(test)]
mod tests {
    use super::*;
    use trivet_types::oid;

    fn of(values: impl Iterator<Item = Option<i32>>, rows: f64) -> ColumnStatistics {
        of_column(oid::INT4, values.map(|value| value.map_or(Datum::Null, Datum::Int4)).collect(), rows)
    }

    #[test]
    fn a_key_has_as_many_values_as_rows() {
        let found = of((0..1000).map(Some), 1000.0);
        assert_eq!((found.null_fraction, found.distinct), (0.0, -1.0));
        assert!(found.common.is_empty());
        assert_eq!((found.histogram.first(), found.histogram.last()), (Some(&Datum::Int4(0)), Some(&Datum::Int4(999))));
        let quarter = found.below(oid::INT4, &Datum::Int4(250));
        assert!((quarter - 0.25).abs() < 0.02, "{quarter}");
        assert!((found.equal(oid::INT4, Some(&Datum::Int4(7)), 1000.0) - 0.001).abs() < 1e-6);
    }

    #[test]
    fn few_values_are_all_common() {
        let found = of((0..1000).map(|at| if at % 10 == 0 { None } else { Some(i32::from(at % 3 == 0)) }), 1000.0);
        assert!((found.null_fraction - 0.1).abs() < 1e-9);
        assert_eq!(found.distinct, 2.0);
        assert_eq!(found.common.len(), 2);
        assert!(found.histogram.is_empty());
        let rare = found.equal(oid::INT4, Some(&Datum::Int4(1)), 1000.0);
        assert!((rare - 0.3).abs() < 0.01, "{rare}");
    }

    #[test]
    fn what_comes_often_stands_out_of_the_rest() {
        let found = of((0..3000).map(|at| Some(if at % 2 == 0 { 7 } else { at })), 30_000.0);
        assert_eq!(found.common.first().map(|(value, _)| value.clone()), Some(Datum::Int4(7)));
        assert!((found.common[0].1 - 0.5).abs() < 0.01);
        assert!(found.distinct_of(30_000.0) > 1500.0, "{}", found.distinct);
    }

    #[test]
    fn no_values_are_no_trouble() {
        let found = of(std::iter::repeat_n(None, 10), 10.0);
        assert_eq!((found.null_fraction, found.common.len(), found.histogram.len()), (1.0, 0, 0));
        assert!(found.below(oid::INT4, &Datum::Int4(1)) <= 1.0);
    }
}
