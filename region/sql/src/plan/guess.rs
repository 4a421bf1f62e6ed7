//! Values as far as they can be guessed while planning: for expectations alone, never for an answer.
//!
//! A literal of a type that is read as the session's settings say (`'2024-03-01'` for a timestamp), or `now() - interval '1 day'`,
//! is computed when the statement runs. Here the default settings and the time of planning do.
use crate::typed::{Expr, ExprKind};
use std::sync::LazyLock;
use std::time::{SystemTime, UNIX_EPOCH};
use trivet_types::registry::{Body, Volatility};
use trivet_types::{Datum, Environment, FormatSettings, PgError, PgResult, SystemCall, text};

/// Larger values are of no use to an expectation.
const BYTES_MAX: usize = 4096;

/// The value, if it can be told while planning.
pub(super) fn known_value(expr: &Expr) -> Option<Datum> {
    match &expr.kind {
        ExprKind::Constant(datum) => Some(datum.clone()),
        ExprKind::Relabel(operand) | ExprKind::Fit { operand, .. } => known_value(operand),
        ExprKind::Call { procedure, arguments } => {
            let Body::Scalar(function) = procedure.body else { return None };
            if procedure.volatility() == Volatility::Volatile {
                return None;
            }
            let values = arguments.iter().map(known_value).collect::<Option<Vec<Datum>>>()?;
            if procedure.is_strict() && values.iter().any(Datum::is_null) {
                return Some(Datum::Null);
            }
            function(&*GUESSES, &values).ok()
        }
        ExprKind::Convert(operand) => match known_value(operand)? {
            Datum::Text(literal) => text::input(expr.type_oid, -1, &literal, &*GUESSES).ok(),
            Datum::Null => Some(Datum::Null),
            _ => None,
        },
        _ => None,
    }
}

/// A number, if it can be told.
pub(super) fn known_number(expr: &Expr) -> Option<i64> {
    known_value(expr).as_ref().and_then(Datum::as_i64)
}

static GUESSES: LazyLock<Guesses> = LazyLock::new(Guesses::default);

#[derive(Default)]
struct Guesses(FormatSettings);

/// Microseconds from 1970 to 2000.
const POSTGRES_EPOCH: i64 = 946_684_800_000_000;

impl Environment for Guesses {
    fn format(&self) -> &FormatSettings {
        &self.0
    }
    fn transaction_time(&self) -> i64 {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_micros());
        i64::try_from(since).map_or(0, |since| since - POSTGRES_EPOCH)
    }
    fn statement_time(&self) -> i64 {
        self.transaction_time()
    }
    fn clock_time(&self) -> i64 {
        self.transaction_time()
    }
    fn random(&self) -> u64 {
        0
    }
    fn system(&self, call: SystemCall, _arguments: &[Datum]) -> PgResult<Datum> {
        Err(PgError::internal(format!("no session to ask for {call:?}")))
    }
    fn value_bytes_max(&self) -> usize {
        BYTES_MAX
    }
}
