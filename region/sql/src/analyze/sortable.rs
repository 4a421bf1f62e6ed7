//! Which types have `=` and `<`: `json` and `jsonpath` have neither, and cannot be grouped by, sorted by or told apart.
use super::at;
use crate::parser::tree::Place;
use trivet_types::{Oid, PgError, PgResult, display_name, element_of, is_array, oid, sqlstate};

fn element(type_oid: Oid) -> Oid {
    if is_array(type_oid) { element_of(type_oid).unwrap_or(type_oid) } else { type_oid }
}

pub(crate) fn has_equality(type_oid: Oid) -> bool {
    !matches!(element(type_oid), oid::JSON | oid::JSONPATH)
}

pub(crate) fn has_order(type_oid: Oid) -> bool {
    has_equality(type_oid) && !matches!(element(type_oid), oid::XID | oid::CID | oid::ACLITEM)
}

pub(super) fn check_equality(type_oid: Oid, place: Place) -> PgResult<()> {
    if has_equality(type_oid) {
        return Ok(());
    }
    let message = format!("could not identify an equality operator for type {}", display_name(type_oid, -1));
    Err(at(place, PgError::new(sqlstate::UNDEFINED_FUNCTION, message)))
}

pub(super) fn check_order(type_oid: Oid, place: Place) -> PgResult<()> {
    if has_order(type_oid) {
        return Ok(());
    }
    let message = format!("could not identify an ordering operator for type {}", display_name(type_oid, -1));
    Err(at(place, PgError::new(sqlstate::UNDEFINED_FUNCTION, message))
        .hint("Use an explicit ordering operator or modify the query."))
}
