//! The bodies of functions and operators, by subject. `registry` lists which is which.
//!
//! A body gets its arguments evaluated, and not NULL if it is listed as strict. An argument of another
//! representation than the listed types have is our own mistake and ends in XX000, not in a panic.
pub mod acl;
pub mod aggregate;
pub mod array;
pub mod bits;
pub mod bytes;
pub mod calendar;
pub mod cast;
pub mod compare;
pub mod datetime;
pub mod digest;
pub mod enums;
pub mod float;
pub mod formatting;
pub mod integer;
pub mod internal;
pub mod json;
pub mod keywords;
pub mod normalization;
pub mod numeric;
pub mod ordered;
pub mod pattern;
pub mod regexp;
pub mod room;
pub mod set;
pub mod statistics;
pub mod string;
pub mod system;
pub mod timetz;
pub mod trigonometry;

use crate::environment::Environment;
use crate::error::{PgError, PgResult};
use crate::numeric::Numeric;
use crate::{Array, Datum, Interval, Text};

/// A scalar function's body.
/// The functions that only make sense over a window; the executor knows what each one does.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum WindowFunction {
    RowNumber,
    Rank,
    DenseRank,
    PercentRank,
    CumeDist,
    Ntile,
    Lag,
    Lead,
    FirstValue,
    LastValue,
    NthValue,
}

pub type Function = fn(&dyn Environment, &[Datum]) -> PgResult<Datum>;
/// What a set-returning function yields, lazily.
pub type Rows = Box<dyn Iterator<Item = PgResult<Datum>> + Send>;
pub type SetFunction = fn(&dyn Environment, &[Datum]) -> PgResult<Rows>;

fn wrong(datum: Option<&Datum>) -> Box<PgError> {
    PgError::internal(format!("a function got an argument that its signature does not allow: {datum:?}"))
}

macro_rules! accessors {
    ($($name:ident: $type:ty = $pattern:pat => $value:expr;)*) => {
        $(pub(crate) fn $name(arguments: &[Datum], at: usize) -> PgResult<$type> {
            match arguments.get(at) {
                Some($pattern) => Ok($value),
                other => Err(wrong(other)),
            }
        })*
    };
}
accessors! {
    boolean: bool = Datum::Bool(value) => *value;
    date: i32 = Datum::Date(value) => *value;
    time: i64 = Datum::Time(value) => *value;
    timestamp: i64 = Datum::Timestamp(value) => *value;
    interval: Interval = Datum::Interval(value) => *value;
    bytea: ::bytes::Bytes = Datum::Bytea(value) => value.clone();
}

pub(crate) fn int(arguments: &[Datum], at: usize) -> PgResult<i64> {
    arguments.get(at).and_then(Datum::as_i64).ok_or_else(|| wrong(arguments.get(at)))
}

pub(crate) fn double(arguments: &[Datum], at: usize) -> PgResult<f64> {
    match arguments.get(at) {
        Some(Datum::Float8(value)) => Ok(*value),
        Some(Datum::Float4(value)) => Ok(f64::from(*value)),
        other => Err(wrong(other)),
    }
}

pub(crate) fn text(arguments: &[Datum], at: usize) -> PgResult<&Text> {
    match arguments.get(at) {
        Some(Datum::Text(value)) => Ok(value),
        other => Err(wrong(other)),
    }
}

pub(crate) fn number(arguments: &[Datum], at: usize) -> PgResult<&Numeric> {
    match arguments.get(at) {
        Some(Datum::Numeric(value)) => Ok(value),
        other => Err(wrong(other)),
    }
}

/// Arguments of which the last may be a list that stands for many (`VARIADIC`), each shown by `show`.
pub(crate) fn spread(a: &[Datum], show: impl Fn(crate::Oid, &Datum) -> Datum) -> std::borrow::Cow<'_, [Datum]> {
    match a.split_last() {
        Some((Datum::Array(list), before)) => {
            let shown = list.values.iter().map(|value| match value {
                Datum::Null => Datum::Null,
                value => show(list.element, value),
            });
            before.iter().cloned().chain(shown).collect::<Vec<_>>().into()
        }
        _ => a.into(),
    }
}
/// As texts, for functions that show their arguments.
pub(crate) fn spread_texts<'a>(environment: &dyn Environment, a: &'a [Datum]) -> std::borrow::Cow<'a, [Datum]> {
    spread(a, |oid, value| crate::text::output(oid, value, environment).map_or(Datum::Null, Datum::Text))
}

pub(crate) fn array_at(arguments: &[Datum], at: usize) -> PgResult<&Array> {
    match arguments.get(at) {
        Some(Datum::Array(value)) => Ok(value),
        other => Err(wrong(other)),
    }
}
