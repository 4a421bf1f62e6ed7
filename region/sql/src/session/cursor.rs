//! Cursors: DECLARE, FETCH, MOVE.
//!
//! A cursor computes its rows when it is first asked, or when it is declared if it outlives its transaction, since the
//! transaction's snapshot moves on with the next statement. Then it is a place in a list:
//!
//! ```text
//!   at    0        1 .. n       n + 1
//!      before     on a row      behind
//! ```
use super::connection::SqlSession;
use super::query::Portal;
use super::statement::only_in_block;
use crate::execute::Row;
use crate::parser::Parsed;
use crate::parser::tree::{Declare, FetchCount, Name, Query, Statement};
use std::sync::Arc;
use trivet_gateway::{Client, Format};
use trivet_types::{PgError, PgResult, sqlstate};

/// When a cursor ends.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Holding {
    /// With its transaction.
    No,
    /// With its transaction if that is rolled back.
    IfCommitted,
    /// With its session.
    Yes,
}

pub(super) struct CursorState {
    /// All rows, once they are computed.
    pub rows: Option<Vec<Row>>,
    pub(super) at: usize,
    pub scrolls: bool,
    pub holding: Holding,
    /// The statement that declared it.
    pub text: String,
    pub declared_at: i64,
    /// How many savepoints there were: it goes when one of them is rolled back to.
    pub level: usize,
}

/// The rows to show, in that order: places in the list, from 0.
#[derive(Debug, PartialEq, Eq)]
enum Found {
    Forward(std::ops::Range<usize>),
    Backward(std::ops::Range<usize>),
}

impl CursorState {
    fn of_portal() -> CursorState {
        CursorState {
            rows: None,
            at: 0,
            scrolls: false,
            holding: Holding::No,
            text: String::new(),
            declared_at: 0,
            level: 0,
        }
    }

    pub fn is_holdable(&self) -> bool {
        self.holding != Holding::No
    }

    fn count(&self) -> usize {
        self.rows.as_ref().map_or(0, Vec::len)
    }

    fn forward(&mut self, wanted: usize) -> Found {
        let start = self.at.min(self.count());
        let end = start.saturating_add(wanted).min(self.count());
        // Whoever asks for more than there is, or stands behind the last row, ends behind it.
        self.at = if start.saturating_add(wanted) > self.count() { self.count() + 1 } else { end };
        Found::Forward(start..end)
    }

    fn backward(&mut self, wanted: usize) -> PgResult<Found> {
        self.check_scrolls()?;
        let end = self.at.saturating_sub(1);
        let start = end.saturating_sub(wanted);
        self.at = if wanted > end { 0 } else { start + 1 };
        Ok(Found::Backward(start..end))
    }

    /// Go to a row and show it.
    fn absolute(&mut self, row: usize) -> PgResult<Found> {
        if row < self.at || (row == self.at && row > 0) {
            self.check_scrolls()?;
        }
        if row == 0 {
            self.at = 0;
            return Ok(Found::Forward(0..0));
        }
        self.at = row.min(self.count() + 1);
        Ok(Found::Forward(if row <= self.count() { row - 1..row } else { 0..0 }))
    }

    fn check_scrolls(&self) -> PgResult<()> {
        if self.scrolls {
            return Ok(());
        }
        Err(PgError::new(sqlstate::OBJECT_NOT_IN_PREREQUISITE_STATE, "cursor can only scan forward")
            .hint("Declare it with SCROLL option to enable backward scan."))
    }

    fn find(&mut self, count: FetchCount, moves: bool) -> PgResult<Found> {
        let size = |rows: i64| usize::try_from(rows.unsigned_abs()).unwrap_or(usize::MAX);
        match count {
            FetchCount::All => Ok(self.forward(usize::MAX)),
            FetchCount::BackwardAll => self.backward(usize::MAX),
            // The current row again.
            FetchCount::Rows(0) | FetchCount::Relative(0) => {
                let on_row = (1..=self.count()).contains(&self.at);
                if on_row && !moves {
                    self.check_scrolls()?;
                }
                Ok(Found::Forward(if on_row { self.at - 1..self.at } else { 0..0 }))
            }
            FetchCount::Rows(rows) if rows > 0 => Ok(self.forward(size(rows))),
            FetchCount::Rows(rows) => self.backward(size(rows)),
            FetchCount::Absolute(row) if row >= 0 => self.absolute(size(row)),
            FetchCount::Absolute(row) => {
                let from_end = (self.count() + 1).saturating_sub(size(row));
                self.absolute(from_end)
            }
            FetchCount::Relative(rows) if rows > 0 => self.absolute(self.at.saturating_add(size(rows))),
            FetchCount::Relative(rows) => {
                self.check_scrolls()?;
                self.absolute(self.at.saturating_sub(size(rows)))
            }
        }
    }
}

impl SqlSession {
    pub(super) async fn declare(&mut self, declare: &Declare, parsed: &Parsed) -> PgResult<()> {
        let Declare { name, query, hold, scroll, binary } = declare;
        if !hold && !self.block.is_explicit() {
            return Err(only_in_block("DECLARE CURSOR"));
        }
        check_locks(query, *hold, *scroll)?;
        let changes = |common: &crate::parser::tree::CommonTable| !matches!(*common.statement, Statement::Query(_));
        if query.with.iter().flat_map(|with| &with.tables).any(changes) {
            let message = "DECLARE CURSOR must not contain data-modifying statements in WITH";
            return Err(PgError::new(sqlstate::FEATURE_NOT_SUPPORTED, message));
        }
        if self.portals.contains_key(&name.text) {
            return Err(PgError::new(sqlstate::DUPLICATE_CURSOR, format!("cursor \"{}\" already exists", name.text)));
        }
        let inner = Parsed::new(Statement::Query((**query).clone()), parsed.text.clone());
        let inner = Parsed { for_cursor: true, ..inner };
        let prepared = Arc::new(self.prepare(&Arc::new(inner), None).await?);
        let scrolls = scroll.unwrap_or_else(|| query.locking.is_empty() && prepared.scans_backward());
        let mut portal = Portal::new(prepared, Vec::new(), vec![if *binary { Format::Binary } else { Format::Text }]);
        let holding = if *hold { Holding::IfCommitted } else { Holding::No };
        let (text, declared_at) = (self.source_text(parsed).to_owned(), super::environment::clock_now());
        let level = self.block.active().map_or(0, |active| active.level());
        let mut state = CursorState { rows: None, at: 0, scrolls, holding, text, declared_at, level };
        if *hold {
            state.rows = Some(self.all_rows(&mut portal).await?);
        }
        portal.cursor = Some(state);
        self.portals.insert(name.text.clone(), portal);
        Ok(())
    }

    pub(super) async fn fetch(
        &mut self,
        name: &Name,
        count: FetchCount,
        moves: bool,
        client: &mut dyn Client,
    ) -> PgResult<()> {
        let missing =
            || PgError::new(sqlstate::INVALID_CURSOR_NAME, format!("cursor \"{}\" does not exist", name.text));
        let mut portal = self.portals.remove(&name.text).ok_or_else(missing)?;
        if !moves && self.describes_rows {
            self.show_row_description(&portal, client);
        }
        let fetched = self.fetch_rows(&mut portal, count, moves, client).await;
        self.portals.insert(name.text.clone(), portal);
        client.command_complete(&format!("{} {}", if moves { "MOVE" } else { "FETCH" }, fetched?));
        Ok(())
    }

    async fn fetch_rows(
        &mut self,
        portal: &mut Portal,
        count: FetchCount,
        moves: bool,
        client: &mut dyn Client,
    ) -> PgResult<usize> {
        // A portal that Bind made is a cursor, too.
        let mut state = portal.cursor.take().unwrap_or_else(CursorState::of_portal);
        if state.rows.is_none() {
            match self.all_rows(portal).await {
                Ok(rows) => state.rows = Some(rows),
                Err(error) => {
                    portal.cursor = Some(state);
                    return Err(error);
                }
            }
        }
        let found = state.find(count, moves);
        let shown = found.map(|found| {
            let rows = state.rows.as_deref().unwrap_or_default();
            let (range, back) = match found {
                Found::Forward(range) => (range, false),
                Found::Backward(range) => (range, true),
            };
            let count = range.len();
            if !moves {
                let mut places: Vec<usize> = range.collect();
                if back {
                    places.reverse();
                }
                self.show_rows(portal, places.iter().map(|place| &rows[*place]), client);
            }
            count
        });
        portal.cursor = Some(state);
        shown
    }
}

/// 0A000 for row locks under a cursor that outlives or repeats them.
fn check_locks(query: &Query, hold: bool, scroll: Option<bool>) -> PgResult<()> {
    let Some(lock) = query.locking.first() else { return Ok(()) };
    let strength = match lock.strength {
        trivet_txn::LockStrength::KeyShare => "FOR KEY SHARE",
        trivet_txn::LockStrength::Share => "FOR SHARE",
        trivet_txn::LockStrength::NoKeyUpdate => "FOR NO KEY UPDATE",
        trivet_txn::LockStrength::Update => "FOR UPDATE",
    };
    let refuse = |what: &str, detail: &str| {
        let message = format!("DECLARE {what} ... {strength} is not supported");
        Err(PgError::new(sqlstate::FEATURE_NOT_SUPPORTED, message).detail(detail))
    };
    if hold {
        return refuse("CURSOR WITH HOLD", "Holdable cursors must be READ ONLY.");
    }
    if scroll == Some(true) {
        return refuse("SCROLL CURSOR", "Scrollable cursors must be READ ONLY.");
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cursor(rows: usize) -> CursorState {
        let rows = (0..rows).map(|_| Row::new()).collect();
        CursorState { rows: Some(rows), scrolls: true, ..CursorState::of_portal() }
    }

    #[test]
    fn a_cursor_goes_as_postgresqls() {
        use FetchCount as F;
        let mut cursor = cursor(5);
        let mut find = |count| cursor.find(count, false).expect("it scrolls");
        assert_eq!(find(F::Rows(2)), Found::Forward(0..2));
        assert_eq!(find(F::Rows(0)), Found::Forward(1..2));
        assert_eq!(find(F::Rows(-1)), Found::Backward(0..1));
        assert_eq!(find(F::Rows(-1)), Found::Backward(0..0));
        assert_eq!(find(F::Rows(1)), Found::Forward(0..1));
        assert_eq!(find(F::All), Found::Forward(1..5));
        assert_eq!(find(F::Rows(1)), Found::Forward(5..5));
        assert_eq!(find(F::Rows(-2)), Found::Backward(3..5));
        assert_eq!(find(F::Absolute(2)), Found::Forward(1..2));
        assert_eq!(find(F::Relative(2)), Found::Forward(3..4));
        assert_eq!(find(F::Relative(-3)), Found::Forward(0..1));
        assert_eq!(find(F::Absolute(-1)), Found::Forward(4..5));
        assert_eq!(find(F::BackwardAll), Found::Backward(0..4));
        assert_eq!(find(F::Absolute(9)), Found::Forward(0..0));
        assert_eq!(find(F::Rows(-1)), Found::Backward(4..5));
    }
}
