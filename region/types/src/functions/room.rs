//! How large a value may become. Asked before it is made, by functions whose result may be much larger than what they are given:
//! a few bytes of SQL could otherwise take all memory at once.
use crate::environment::Environment;
use crate::error::{PgError, PgResult, sqlstate};

/// PostgreSQL's largest value, less its header.
pub const BYTES_MAX: usize = 0x3fff_ffff;

pub(super) fn too_long() -> Box<PgError> {
    PgError::new(sqlstate::PROGRAM_LIMIT_EXCEEDED, "requested length too large")
}

/// 53200 if a value of so many bytes is more than the statement may hold.
pub(super) fn check(environment: &dyn Environment, bytes: usize) -> PgResult<()> {
    let limit = environment.value_bytes_max();
    if bytes <= limit {
        return Ok(());
    }
    let kilobytes = |bytes: usize| bytes.div_ceil(1024);
    Err(PgError::new(sqlstate::OUT_OF_MEMORY, "out of memory").detail(format!(
        "A value of {} kB is more than the {} kB that the statement may hold.",
        kilobytes(bytes),
        kilobytes(limit)
    )))
}

/// `count` times so many bytes, with 54000 beyond what any value may have.
pub(super) fn check_repeated(environment: &dyn Environment, bytes: usize, count: usize) -> PgResult<()> {
    match bytes.checked_mul(count) {
        Some(total) if total <= BYTES_MAX => check(environment, total),
        _ => Err(too_long()),
    }
}
