//! `json` and `jsonb`: the bodies. How the values are kept says `crate::json`.
//!
//! Functions that take `"any"` get each value as JSON text already: the analyzer wraps such an argument in a call of
//! `json_of`, which is told the argument's type.
mod access;
mod aggregate;
mod build;
mod edit;
mod path;
mod rows;

pub use access::*;
pub use aggregate::*;
pub use build::*;
pub use edit::*;
pub use path::*;
pub use rows::*;

use super::*;
use crate::error::sqlstate;
use crate::json::Json;
use crate::oid;

pub(crate) fn jsonb(a: &[Datum], at: usize) -> PgResult<Json> {
    Json::of_stored(text(a, at)?)
}

fn shown(json: &Json) -> Datum {
    Datum::text(json.to_string())
}

fn invalid(message: impl Into<String>) -> Box<PgError> {
    PgError::new(sqlstate::INVALID_PARAMETER_VALUE, message)
}

/// The texts of an array argument; NULL elements are `None`.
fn texts(a: &[Datum], at: usize) -> PgResult<Vec<Option<&str>>> {
    Ok(array_at(a, at)?.values.iter().map(Datum::as_str).collect())
}

/// A path of keys: one array of texts, or the variadic texts themselves.
fn path(a: &[Datum], at: usize) -> PgResult<Vec<Option<&str>>> {
    match a.get(at) {
        Some(Datum::Array(_)) => texts(a, at),
        _ => Ok(a[at.min(a.len())..].iter().map(Datum::as_str).collect()),
    }
}
