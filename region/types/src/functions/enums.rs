//! What enums can do besides being compared. The labels are the environment's.
use super::*;
use crate::{EnumType, EnumValue, oid};
use std::sync::Arc;

fn value(datum: &Datum) -> PgResult<Option<EnumValue>> {
    match datum {
        Datum::Null => Ok(None),
        Datum::Enum(value) => Ok(Some(*value)),
        other => Err(wrong(Some(other))),
    }
}

fn of(environment: &dyn Environment, type_oid: crate::Oid) -> PgResult<Arc<EnumType>> {
    let found = environment.user_types().find(type_oid);
    found.cloned().ok_or_else(|| PgError::internal("an enum that the statement did not load"))
}

/// The labels between two bounds; NULL is no bound. The last argument is the type's OID, which the analyzer appends.
fn labels(environment: &dyn Environment, a: &[Datum]) -> PgResult<(crate::Oid, Vec<Datum>)> {
    let Some((Datum::Oid(type_oid), bounds)) = a.split_last() else { return Err(wrong(a.last())) };
    let found = of(environment, crate::Oid(*type_oid))?;
    let (low, high) = match bounds {
        [low, high] => (value(low)?, value(high)?),
        _ => (None, None),
    };
    let within = |position: i64| {
        low.is_none_or(|low| low.position <= position) && high.is_none_or(|high| position <= high.position)
    };
    let kept = found.labels.iter().filter(|label| within(label.position));
    Ok((found.oid, kept.map(|label| Datum::Enum(found.value(label.position))).collect()))
}

fn empty(type_oid: crate::Oid) -> Box<PgError> {
    let message = format!("enum {} contains no values", crate::display_name(type_oid, -1));
    PgError::new(crate::error::sqlstate::OBJECT_NOT_IN_PREREQUISITE_STATE, message)
}

pub fn first(environment: &dyn Environment, a: &[Datum]) -> PgResult<Datum> {
    let (of, values) = labels(environment, a)?;
    values.first().cloned().ok_or_else(|| empty(of))
}
pub fn last(environment: &dyn Environment, a: &[Datum]) -> PgResult<Datum> {
    let (of, values) = labels(environment, a)?;
    values.last().cloned().ok_or_else(|| empty(of))
}
pub fn range(environment: &dyn Environment, a: &[Datum]) -> PgResult<Datum> {
    let (element, values) = labels(environment, a)?;
    Ok(Datum::array(Array::from_values(element, values)))
}
/// `enum_cmp`
pub fn order(_: &dyn Environment, a: &[Datum]) -> PgResult<Datum> {
    match a {
        [left, right] => Ok(Datum::Int4(crate::compare(oid::UNKNOWN, left, right) as i32)),
        _ => Err(wrong(None)),
    }
}
pub fn smaller(_: &dyn Environment, a: &[Datum]) -> PgResult<Datum> {
    extreme(a, std::cmp::Ordering::Less)
}
pub fn larger(_: &dyn Environment, a: &[Datum]) -> PgResult<Datum> {
    extreme(a, std::cmp::Ordering::Greater)
}
fn extreme(a: &[Datum], wanted: std::cmp::Ordering) -> PgResult<Datum> {
    match a {
        [left, right] if crate::compare(oid::UNKNOWN, left, right) == wanted => Ok(left.clone()),
        [_, right] => Ok(right.clone()),
        _ => Err(wrong(None)),
    }
}
