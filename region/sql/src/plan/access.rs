//! Which index answers which conditions.
//!
//! A condition `column = value`, `column < value` ... with a value that does not depend on the table's row can steer an
//! index: equalities on its leading columns, then one range on the next. A unique index with all columns fixed is a
//! point lookup. The conditions stay in the filter unless the lookup implies them exactly, so a probe may be wide but
//! never narrow.
use super::cost::{self, PlanSettings};
use super::expr::{Compiled, EvalContext};
use super::selectivity::TableView;
use crate::catalog::{Index, Table};
use crate::layout::{StorageId, encode_column, index_prefix, prefix_end};
use bytes::Bytes;
use trivet_storage::KeyRange;
use trivet_types::{Datum, Oid, PgResult, oid};

/// How a scan finds its rows.
#[derive(Clone, Debug)]
pub enum Access {
    Full,
    Index {
        storage: StorageId,
        name: String,
        probe: Probe,
        unique_point: bool,
        reverse: bool,
    },
    /// The row that a cursor stands on: its id is the last of the parameters.
    Current,
    /// Whatever any of these finds, each row once, in the order of the rows' ids. Each is an `Index`.
    Any(Vec<Access>),
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
    /// The value, if it is known while planning.
    pub known: Option<Datum>,
    /// ANY: how many elements are expected.
    pub elements: f64,
}

/// An access with what is expected of it.
#[derive(Clone, Debug)]
pub struct Chosen {
    pub access: Access,
    /// Rows that it comes across.
    pub rows: f64,
    pub cost: f64,
}

/// Probes beyond this many are not worth planning: the filter does it.
const PROBES_MAX: usize = 1000;

/// A scan is expected to come across no fewer rows.
const SCAN_ROWS_MIN: f64 = 300.0;

/// The cheapest way to the rows that the conditions leave. Each of `alternatives` is an OR's terms.
pub fn choose(
    view: &TableView,
    steering: &[Steering],
    alternatives: &[Vec<Vec<Steering>>],
    settings: &PlanSettings,
) -> Chosen {
    let rows = view.rows();
    // A small table may have grown since it was looked at.
    let scan = cost::SEEK + rows.max(SCAN_ROWS_MIN) * cost::SCAN_ROW + PlanSettings::penalty(settings.sequential_scan);
    // Nobody knows how large a table without statistics is: any index is better than all of it.
    let unknown = if view.statistics.is_some() { 0.0 } else { cost::DISABLED / 1000.0 };
    let mut best = choose_index(view, steering, settings);
    for terms in alternatives {
        let Some(any) = choose_any(view, steering, terms, settings) else { continue };
        // Without statistics one index is believed before several.
        if best.as_ref().is_none_or(|best| view.statistics.is_some() && any.cost < best.cost) {
            best = Some(any);
        }
    }
    match best {
        Some(chosen) if chosen.cost <= scan + unknown => chosen,
        _ => Chosen { access: Access::Full, rows, cost: scan },
    }
}

/// An index for each term of an OR; `None` if a term has none.
fn choose_any(
    view: &TableView,
    steering: &[Steering],
    terms: &[Vec<Steering>],
    settings: &PlanSettings,
) -> Option<Chosen> {
    let (mut found, mut entered, mut searches) = (Vec::with_capacity(terms.len()), 0.0, 0.0);
    for term in terms {
        let own: Vec<Steering> = term.iter().chain(steering).cloned().collect();
        let chosen = choose_index(view, &own, settings)?;
        entered += chosen.rows;
        // The rows are fetched once, after all entries are known.
        searches += chosen.cost - chosen.rows * cost::FETCH;
        found.push(chosen.access);
    }
    let rows = entered.min(view.rows()).max(1.0);
    Some(Chosen { access: Access::Any(found), rows, cost: searches + rows * cost::FETCH })
}

/// The cheapest index that the conditions can steer.
fn choose_index(view: &TableView, steering: &[Steering], settings: &PlanSettings) -> Option<Chosen> {
    let mut best: Option<(f64, u32, Chosen)> = None;
    for index in view.table.indexes.iter().filter(|index| index.is_plain()) {
        let probe = probe_of(&view.table, index, steering);
        let ranged = probe.lower.is_some() || probe.upper.is_some();
        if probe.equal.is_empty() && !ranged {
            continue;
        }
        let unique_point = index.unique && probe.equal.len() == index.keys.len();
        let fixed = probe.equal.len() as u32 * 10;
        let score = if unique_point {
            1000
        } else {
            fixed + u32::from(ranged) * 5 + u32::from(probe.lower.is_some() && probe.upper.is_some())
        };
        let chosen = expected(view, index, probe, unique_point, steering, settings);
        let is_better = best.as_ref().is_none_or(|(other, other_score, _)| match view.statistics {
            None => score > *other_score,
            Some(_) => chosen.cost < *other || (chosen.cost == *other && score > *other_score),
        });
        if is_better {
            best = Some((chosen.cost, score, chosen));
        }
    }
    best.map(|(_, _, chosen)| chosen)
}

/// What an index with a probe comes across, and what that costs.
fn expected(
    view: &TableView,
    index: &Index,
    probe: Probe,
    unique_point: bool,
    steering: &[Steering],
    settings: &PlanSettings,
) -> Chosen {
    let (mut rows, mut probes) = (view.rows(), 1.0);
    let steers = |column: usize, comparison: &[Comparison]| {
        steering.iter().find(|steering| steering.column == column && comparison.contains(&steering.comparison))
    };
    for (source, key) in probe.equal.iter().zip(&index.keys) {
        let wanted = if source.each { Comparison::AnyOf } else { Comparison::Equal };
        let steering = steers(key.column, &[wanted]);
        let known = steering.and_then(|steering| steering.known.as_ref()).filter(|_| !source.each);
        let count = if source.each { steering.map_or(1.0, |steering| steering.elements.max(1.0)) } else { 1.0 };
        probes *= count;
        rows *= (view.equal(key.column, known) * count).min(1.0);
    }
    if let (Some(_), Some(key)) = (probe.range_column, index.keys.get(probe.equal.len())) {
        let bound = |is_there: bool, comparisons: &[Comparison]| {
            is_there.then(|| steers(key.column, comparisons).and_then(|steering| steering.known.as_ref()))
        };
        let lower = bound(probe.lower.is_some(), &[Comparison::Greater, Comparison::GreaterOrEqual]);
        let upper = bound(probe.upper.is_some(), &[Comparison::Less, Comparison::LessOrEqual]);
        rows *= view.between(key.column, lower, upper);
    }
    if unique_point {
        rows = rows.min(probes);
    }
    let rows = rows.max(if unique_point { 0.5 } else { 1.0 });
    let entry = if unique_point { cost::FETCH } else { cost::SEEK };
    let cost = probes * entry + rows * (cost::ENTRY + cost::FETCH) + PlanSettings::penalty(settings.index_scan);
    let (storage, name) = (index.storage, index.name.clone());
    Chosen { access: Access::Index { storage, name, unique_point, probe, reverse: false }, rows, cost }
}

/// What reading all of an index in its order costs.
pub fn ordered_cost(
    view: &TableView,
    access: &Access,
    steering: &[Steering],
    settings: &PlanSettings,
) -> Option<Chosen> {
    let Access::Index { name, probe, .. } = access else { return None };
    let index = view.table.indexes.iter().find(|index| index.name == *name)?;
    Some(expected(view, index, probe.clone(), false, steering, settings))
}

/// An order that a query wants: columns, each with whether it descends, NULLs being where an index has them.
pub type WantedOrder = [(usize, bool)];

/// An index that gives the rows in the wanted order and answers the conditions no worse than `best` does.
pub fn choose_ordered(table: &Table, steering: &[Steering], wanted: &WantedOrder, best: &Access) -> Option<Access> {
    let fixed_by_best = match best {
        Access::Full | Access::Any(_) | Access::Current => 0,
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
