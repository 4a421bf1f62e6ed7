//! Joins: all with all (`nested`), by hash (`hash`), of two sorted inputs (`merge`).
//!
//! The left side is the one whose rows are gone through. Of the kinds, LEFT and FULL give left rows that match nothing, RIGHT
//! and FULL right ones; SEMI gives each left row that matches something, once and alone, ANTI each that matches nothing.
mod hash;
mod merge;
mod nested;

pub(crate) use hash::HashJoin;
pub(crate) use merge::MergeJoin;
pub(crate) use nested::NestedLoop;

use super::{Context, Row};
use crate::parser::tree::JoinKind;
use crate::plan::Compiled;
use std::collections::VecDeque;
use trivet_types::{Datum, Oid, PgResult};

/// Output that has not been asked for yet.
#[derive(Default)]
struct Pending {
    rows: VecDeque<Row>,
}

impl Pending {
    fn take(&mut self, wanted: usize) -> Vec<Row> {
        let count = wanted.min(self.rows.len());
        self.rows.drain(..count).collect()
    }

    /// A left row is done with: what it gives for having matched nothing, or (SEMI) anything.
    fn finish_left(&mut self, kind: JoinKind, left: Row, any: bool, right_width: usize) {
        match (kind, any) {
            (JoinKind::Left | JoinKind::Full, false) => {
                let mut row = left;
                row.resize(row.len() + right_width, Datum::Null);
                self.rows.push_back(row);
            }
            (JoinKind::Semi, true) | (JoinKind::Anti, false) => self.rows.push_back(left),
            _ => {}
        }
    }

    /// A right row that matched nothing.
    fn push_right(&mut self, left_width: usize, right: &[Datum]) {
        let mut row = Vec::with_capacity(left_width + right.len());
        row.resize(left_width, Datum::Null);
        row.extend_from_slice(right);
        self.rows.push_back(row);
    }
}

/// One match decides, and only the left row is given.
fn is_half(kind: JoinKind) -> bool {
    matches!(kind, JoinKind::Semi | JoinKind::Anti)
}

/// Right rows that match nothing are given, too.
fn keeps_right(kind: JoinKind) -> bool {
    matches!(kind, JoinKind::Right | JoinKind::Full)
}

fn keeps_left(kind: JoinKind) -> bool {
    matches!(kind, JoinKind::Left | JoinKind::Full | JoinKind::Anti)
}

fn joined(left: &[Datum], right: &[Datum]) -> Row {
    let mut row = Vec::with_capacity(left.len() + right.len());
    row.extend_from_slice(left);
    row.extend_from_slice(right);
    row
}

/// The key of a row; `None` if a part is NULL: it equals nothing.
fn keys_of(keys: &[(Compiled, Oid)], context: &Context<'_>, row: &[Datum]) -> PgResult<Option<Row>> {
    let mut values = Vec::with_capacity(keys.len());
    for (key, _) in keys {
        let value = key.eval(context.eval(), row)?;
        if value.is_null() {
            return Ok(None);
        }
        values.push(value);
    }
    Ok(Some(values))
}
