//! `jsonb_path_exists` and its kin: paths on values.
use super::*;
use crate::error::SqlState;
use crate::json::path::{Found, Path, Query};

const NOT_SINGLE: SqlState = SqlState(*b"22038");

/// `function(target, path [, variables [, silent]])`; an error comes with what was found before it.
fn found(environment: &dyn Environment, a: &[Datum], always_silent: bool) -> PgResult<(Found, bool)> {
    let path = Path::of_stored(text(a, 1)?)?;
    let root = jsonb(a, 0)?;
    let variables = if a.len() > 2 { jsonb(a, 2)? } else { Json::Object(Vec::new()) };
    let silent = always_silent || a.len() > 3 && boolean(a, 3)?;
    let mut found = Query { path: &path, root: &root, variables: &variables, environment }.run()?;
    match found.error.take() {
        Some(error) if !silent => Err(error),
        error => Ok((Found { error, ..found }, silent)),
    }
}

fn exists(environment: &dyn Environment, a: &[Datum], always_silent: bool) -> PgResult<Datum> {
    let lenient = !Path::of_stored(text(a, 1)?)?.strict;
    let (found, _) = found(environment, a, true)?;
    let silent = always_silent || a.len() > 3 && boolean(a, 3)?;
    match found.error {
        // In lax mode the first thing found decides.
        Some(error) if !lenient || found.values.is_empty() => {
            if silent {
                Ok(Datum::Null)
            } else {
                Err(error)
            }
        }
        _ => Ok(Datum::Bool(!found.values.is_empty())),
    }
}
pub fn jsonb_path_exists(environment: &dyn Environment, a: &[Datum]) -> PgResult<Datum> {
    exists(environment, a, false)
}
/// `@?`
pub fn jsonb_path_finds(environment: &dyn Environment, a: &[Datum]) -> PgResult<Datum> {
    exists(environment, a, true)
}

fn matches(environment: &dyn Environment, a: &[Datum], always_silent: bool) -> PgResult<Datum> {
    let (found, silent) = found(environment, a, always_silent)?;
    match found.values.as_slice() {
        [Json::Bool(value)] if found.error.is_none() => Ok(Datum::Bool(*value)),
        [Json::Null] if found.error.is_none() => Ok(Datum::Null),
        _ if silent => Ok(Datum::Null),
        _ => Err(PgError::new(NOT_SINGLE, "single boolean result is expected")),
    }
}
pub fn jsonb_path_match(environment: &dyn Environment, a: &[Datum]) -> PgResult<Datum> {
    matches(environment, a, false)
}
/// `@@`
pub fn jsonb_path_holds(environment: &dyn Environment, a: &[Datum]) -> PgResult<Datum> {
    matches(environment, a, true)
}

pub fn jsonb_path_query(environment: &dyn Environment, a: &[Datum]) -> PgResult<Rows> {
    let values: Vec<Datum> = found(environment, a, false)?.0.values.iter().map(shown).collect();
    Ok(Box::new(values.into_iter().map(Ok)))
}
pub fn jsonb_path_query_array(environment: &dyn Environment, a: &[Datum]) -> PgResult<Datum> {
    Ok(shown(&Json::Array(found(environment, a, false)?.0.values)))
}
pub fn jsonb_path_query_first(environment: &dyn Environment, a: &[Datum]) -> PgResult<Datum> {
    Ok(found(environment, a, false)?.0.values.first().map_or(Datum::Null, shown))
}
