//! Bugs that tests put in, to see that the comparison with PostgreSQL finds them. Only in builds with the feature
//! `planted-bugs`, which nothing but this crate's own tests asks for; in any other build [`on`] is a constant `false`.
//!
//! The switch belongs to a thread, so that a test with a runtime of its own plants a bug in its own server and in no other.

use trivet_types::{Datum, Environment, PgError, PgResult, sqlstate};

/// A mistake that someone could make.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Bug {
    /// `x NOT IN (subquery)` is true where a NULL makes it unknown.
    NotInNull,
    /// The condition of an outer join filters rows of the outer side.
    OuterJoinFilters,
    /// HAVING is not looked at where there is no GROUP BY.
    HavingWithoutGroups,
    /// LIMIT counts rows before ORDER BY sorts them.
    LimitBeforeOrder,
    /// Integer division rounds down instead of towards zero.
    DivisionRounds,
    /// CASE evaluates every branch.
    EagerCase,
    /// NULLS FIRST and NULLS LAST are taken for each other.
    NullsOrder,
    /// `count(DISTINCT x)` counts duplicates.
    DistinctIgnored,
    /// EXCEPT ALL takes away every duplicate.
    ExceptAllCounts,
    /// BETWEEN leaves out its upper bound.
    BetweenExclusive,
}

impl Bug {
    pub const ALL: [Bug; 10] = [
        Bug::NotInNull,
        Bug::OuterJoinFilters,
        Bug::HavingWithoutGroups,
        Bug::LimitBeforeOrder,
        Bug::DivisionRounds,
        Bug::EagerCase,
        Bug::NullsOrder,
        Bug::DistinctIgnored,
        Bug::ExceptAllCounts,
        Bug::BetweenExclusive,
    ];
}

#[cfg(not(feature = "planted-bugs"))]
#[inline(always)]
pub(crate) const fn on(_bug: Bug) -> bool {
    false
}

#[cfg(feature = "planted-bugs")]
mod switch {
    use super::Bug;
    use std::cell::Cell;

    thread_local! {
        static PLANTED: Cell<Option<Bug>> = const { Cell::new(None) };
    }

    pub(crate) fn on(bug: Bug) -> bool {
        PLANTED.get() == Some(bug)
    }

    /// From now on, for what runs on this thread.
    pub fn plant(bug: Option<Bug>) {
        PLANTED.set(bug);
    }
}
#[cfg(feature = "planted-bugs")]
pub(crate) use switch::on;
#[cfg(feature = "planted-bugs")]
pub use switch::plant;

/// What integer division becomes with [`Bug::DivisionRounds`].
pub(crate) fn int4_divide_rounding_down(_: &dyn Environment, arguments: &[Datum]) -> PgResult<Datum> {
    match (&arguments[0], &arguments[1]) {
        (Datum::Int4(left), Datum::Int4(right)) if *right != 0 => {
            let quotient = left.wrapping_div(*right);
            let down = left.wrapping_rem(*right) != 0 && (*left < 0) != (*right < 0);
            Ok(Datum::Int4(if down { quotient - 1 } else { quotient }))
        }
        _ => Err(PgError::new(sqlstate::DIVISION_BY_ZERO, "division by zero")),
    }
}
