//! Which index answers which conditions.
//!
//! A condition `column = value`, `column < value` ... with a value that does not depend on the table's row can steer an
//! index: equalities on its leading columns, then one range on the next. A unique index with all columns fixed is a
//! point lookup. The conditions stay in the filter unless the lookup implies them exactly, so a probe may be wide but
//! never narrow.
use super::expr::{Compiled, EvalContext};
use crate::catalog::{Index, Table};
use crate::layout::{StorageId, encode_column, index_prefix, prefix_end};
use bytes::Bytes;
use std::sync::Arc;
use trivet_storage::KeyRange;
use trivet_types::{Datum, Oid, PgResult, oid};

/// How a scan finds its rows.
#[derive(Clone, Debug)]
pub enum Access {
    Full,
    Index { storage: StorageId, name: String, probe: Probe, unique_point: bool, reverse: bool },
}

/// Equalities on leading columns, then maybe bounds on the next one.
#[derive(Clone, Debug, Default)]
pub struct Probe {
    pub equal: Vec<KeySource>,
    pub lower: Option<Bound>,
    pub upper: Option<Bound>,
    /// The column that the bounds are on: type and direction.
    pub range_column: Option<(Oid, bool)>,
}

#[derive(Clone, Debug)]
pub struct KeySource {
    pub value: Compiled,
    pub column_type: Oid,
    pub descending: bool,
    /// `= ANY (array)`: one probe for each element.
    pub each: bool,
}

#[derive(Clone, Debug)]
pub struct Bound {
    pub value: Compiled,
    pub inclusive: bool,
}

/// What a condition says of a column.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Comparison {
    Equal,
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
    AnyOf,
}

/// A condition of the form column-comparison-value.
#[derive(Clone, Debug)]
pub struct Steering {
    pub column: usize,
    pub comparison: Comparison,
    pub value: Compiled,
}

/// Probes beyond this many are not worth planning: the filter does it.
const PROBES_MAX: usize = 1000;

/// The best index for the conditions.
pub fn choose(table: &Table, steering: &[Steering]) -> Access {
    let mut best: Option<(u32, &Index, Probe)> = None;
    for index in table.indexes.iter().filter(|index| index.is_plain()) {
        let probe = probe_of(table, index, steering);
        let complete = probe.equal.len() == index.keys.len();
        let ranged = probe.lower.is_some() || probe.upper.is_some();
        if probe.equal.is_empty() && !ranged {
            continue;
        }
        let score = if complete && index.unique {
            1000
        } else {
            probe.equal.len() as u32 * 10
                + u32::from(ranged) * 5
                + u32::from(probe.lower.is_some() && probe.upper.is_some())
        };
        if best.as_ref().is_none_or(|(other, _, _)| score > *other) {
            best = Some((score, index, probe));
        }
    }
    match best {
        None => Access::Full,
        Some((_, index, probe)) => Access::Index {
            storage: index.storage,
            name: index.name.clone(),
            unique_point: index.unique && probe.equal.len() == index.keys.len(),
            probe,
            reverse: false,
        },
    }
}

/// An order that a query wants: columns, each with whether it descends, NULLs being where an index has them.
pub type WantedOrder = [(usize, bool)];

/// An index that gives the rows in the wanted order and answers the conditions no worse than `best` does.
pub fn choose_ordered(table: &Table, steering: &[Steering], wanted: &WantedOrder, best: &Access) -> Option<Access> {
    let fixed_by_best = match best {
        Access::Full => 0,
        Access::Index { unique_point: true, .. } => return None,
        Access::Index { probe, .. } => probe.equal.len(),
    };
    for index in table.indexes.iter().filter(|index| index.is_plain()) {
        let probe = probe_of(table, index, steering);
        if probe.equal.iter().any(|source| source.each) || probe.equal.len() < fixed_by_best {
            continue;
        }
        let fixed: Vec<usize> = index.keys[..probe.equal.len()].iter().map(|key| key.column).collect();
        let mut keys = index.keys[probe.equal.len()..].iter();
        let mut reverse = None;
        // What an equality fixes is in any order.
        let fits = wanted.iter().filter(|(column, _)| !fixed.contains(column)).all(|(column, descending)| {
            keys.next().is_some_and(|key| {
                key.column == *column
                    && *reverse.get_or_insert(key.descending != *descending) == (key.descending != *descending)
            })
        });
        if fits {
            let (storage, name) = (index.storage, index.name.clone());
            return Some(Access::Index {
                storage,
                name,
                probe,
                unique_point: false,
                reverse: reverse.unwrap_or(false),
            });
        }
    }
    None
}

fn probe_of(table: &Table, index: &Index, steering: &[Steering]) -> Probe {
    let mut probe = Probe::default();
    let mut has_each = false;
    for key in &index.keys {
        let column_type = table.columns[key.column].type_oid;
        let on_column = || steering.iter().filter(|steering| steering.column == key.column);
        let equal = on_column()
            .find(|steering| steering.comparison == Comparison::Equal)
            .or_else(|| on_column().find(|steering| steering.comparison == Comparison::AnyOf && !has_each));
        if let Some(equal) = equal {
            let each = equal.comparison == Comparison::AnyOf;
            has_each |= each;
            probe.equal.push(KeySource { value: equal.value.clone(), column_type, descending: key.descending, each });
            continue;
        }
        for steering in on_column() {
            let bound = |inclusive| Some(Bound { value: steering.value.clone(), inclusive });
            match steering.comparison {
                Comparison::Greater if probe.lower.is_none() => probe.lower = bound(false),
                Comparison::GreaterOrEqual if probe.lower.is_none() => probe.lower = bound(true),
                Comparison::Less if probe.upper.is_none() => probe.upper = bound(false),
                Comparison::LessOrEqual if probe.upper.is_none() => probe.upper = bound(true),
                _ => {}
            }
        }
        if probe.lower.is_some() || probe.upper.is_some() {
            probe.range_column = Some((column_type, key.descending));
        }
        break;
    }
    probe
}

/// A value as a column of another integer width would hold it.
enum Fitted {
    Value(Datum),
    /// Below or above everything that the column can hold.
    Below,
    Above,
}

fn fit(value: Datum, column_type: Oid) -> Fitted {
    let bounds = match column_type {
        oid::INT2 => (i64::from(i16::MIN), i64::from(i16::MAX)),
        oid::INT4 => (i64::from(i32::MIN), i64::from(i32::MAX)),
        oid::INT8 => (i64::MIN, i64::MAX),
        _ => return Fitted::Value(value),
    };
    match value.as_i64() {
        Some(number) if number < bounds.0 => Fitted::Below,
        Some(number) if number > bounds.1 => Fitted::Above,
        Some(number) => Fitted::Value(match column_type {
            oid::INT2 => Datum::Int2(number as i16),
            oid::INT4 => Datum::Int4(number as i32),
            _ => Datum::Int8(number),
        }),
        None => Fitted::Value(value),
    }
}

/// What a probe comes to at run time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Lookup {
    /// Keys of unique entries.
    Points(Vec<Bytes>),
    Ranges(Vec<KeyRange>),
}

/// Evaluate a probe. A NULL anywhere finds nothing.
pub fn lookup(storage: StorageId, probe: &Probe, unique_point: bool, context: EvalContext<'_>) -> PgResult<Lookup> {
    let mut prefixes = vec![index_prefix(storage, 32)];
    for source in &probe.equal {
        let value = source.value.eval(context, &[])?;
        let values: Vec<Datum> = match (&value, source.each) {
            (Datum::Array(array), true) => array.values.clone(),
            (_, true) => vec![],
            _ => vec![value],
        };
        let mut fitted: Vec<Datum> = Vec::with_capacity(values.len());
        for value in values {
            if value.is_null() {
                continue;
            }
            if let Fitted::Value(value) = fit(value, source.column_type) {
                fitted.push(value);
            }
        }
        if source.each {
            fitted.sort_by(|left, right| trivet_types::compare(source.column_type, left, right));
            fitted.dedup_by(|left, right| trivet_types::same(source.column_type, left, right));
        }
        if fitted.len() == 1 {
            for prefix in &mut prefixes {
                encode_column(source.column_type, &fitted[0], source.descending, prefix);
            }
            continue;
        }
        let mut next = Vec::with_capacity((prefixes.len() * fitted.len()).min(PROBES_MAX));
        for prefix in &prefixes {
            for value in &fitted {
                let mut longer = prefix.clone();
                encode_column(source.column_type, value, source.descending, &mut longer);
                next.push(longer);
            }
        }
        prefixes = next;
    }
    if unique_point {
        return Ok(Lookup::Points(prefixes.into_iter().map(|prefix| prefix.freeze()).collect()));
    }
    let mut ranges = Vec::with_capacity(prefixes.len());
    for prefix in prefixes {
        if let Some(range) = bounded(&prefix, probe, context)? {
            ranges.push(range);
        }
    }
    Ok(Lookup::Ranges(ranges))
}

/// The range of a prefix between the probe's bounds; `None` if it is empty.
fn bounded(prefix: &[u8], probe: &Probe, context: EvalContext<'_>) -> PgResult<Option<KeyRange>> {
    let whole = KeyRange { start: Bytes::copy_from_slice(prefix), end: prefix_end(prefix) };
    let Some((column_type, descending)) = probe.range_column else { return Ok(Some(whole)) };
    // Bounds exclude NULLs, which a comparison never finds.
    let null_start = {
        let mut key = bytes::BytesMut::from(prefix);
        encode_column(column_type, &Datum::Null, descending, &mut key);
        key.freeze()
    };
    let (mut start, mut end) =
        if descending { (prefix_end(&null_start), whole.end.clone()) } else { (whole.start.clone(), null_start) };
    for (bound, is_lower) in [(&probe.lower, true), (&probe.upper, false)] {
        let Some(bound) = bound else { continue };
        let value = bound.value.eval(context, &[])?;
        if value.is_null() {
            return Ok(None);
        }
        let value = match fit(value, column_type) {
            Fitted::Value(value) => value,
            Fitted::Below if is_lower => continue,
            Fitted::Above if !is_lower => continue,
            _ => return Ok(None),
        };
        let mut key = bytes::BytesMut::from(prefix);
        encode_column(column_type, &value, descending, &mut key);
        // In a descending column the greater values come first.
        let cuts_start = is_lower != descending;
        match (cuts_start, bound.inclusive) {
            (true, true) => start = key.freeze(),
            (true, false) => start = prefix_end(&key),
            (false, true) => end = prefix_end(&key),
            (false, false) => end = key.freeze(),
        }
    }
    Ok((start < end || end.is_empty()).then_some(KeyRange { start, end }))
}

/// Rough number of rows that an access yields, to order joins by.
pub fn estimate(table: &Arc<Table>, access: &Access) -> f64 {
    let all = if table.row_estimate >= 0.0 { f64::from(table.row_estimate).max(1.0) } else { 1000.0 };
    match access {
        Access::Full => all,
        Access::Index { unique_point: true, probe, .. } => {
            if probe.equal.iter().any(|source| source.each) {
                10.0
            } else {
                1.0
            }
        }
        Access::Index { probe, .. } if !probe.equal.is_empty() => (all / 100.0).clamp(2.0, 50.0),
        Access::Index { .. } => (all / 3.0).max(1.0),
    }
}
