//! `rank(x) WITHIN GROUP (ORDER BY a)` and its kin: where a row would stand among those of a group.
use super::sort::compare_keys;
use crate::plan::AggregateCall;
use std::cmp::Ordering;
use trivet_types::{Datum, PgError, PgResult};

/// `ordered`: sort keys and arguments of the group's rows, in order; the arguments are the same for all of them.
pub(super) fn place(call: &AggregateCall, ordered: &[(Vec<Datum>, Vec<Datum>)]) -> PgResult<Datum> {
    let keys = &call.order_by;
    let count = ordered.len() as f64;
    // Without rows it is the only one.
    let wanted = ordered.first().map(|(_, arguments)| arguments.as_slice()).unwrap_or_default();
    let before = ordered.partition_point(|(key, _)| compare_keys(key, wanted, keys) == Ordering::Less);
    let through = ordered.partition_point(|(key, _)| compare_keys(key, wanted, keys) != Ordering::Greater);
    let distinct = || {
        let pairs = ordered[..before].windows(2).filter(|pair| compare_keys(&pair[0].0, &pair[1].0, keys).is_ne());
        pairs.count() + usize::from(before > 0)
    };
    let whole = |number: usize| Datum::Int8(i64::try_from(number).unwrap_or(i64::MAX));
    Ok(match call.procedure.name {
        "rank" => whole(before + 1),
        "dense_rank" => whole(distinct() + 1),
        "percent_rank" if ordered.is_empty() => Datum::Float8(0.0),
        "percent_rank" => Datum::Float8(before as f64 / count),
        "cume_dist" => Datum::Float8((through + 1) as f64 / (count + 1.0)),
        other => return Err(PgError::internal(format!("{other} places no hypothetical row"))),
    })
}
