//! WHERE CURRENT OF: which row of a table a cursor stands on.
//!
//! A cursor's rows carry the ids of the rows that they were made of ([`crate::analyze::show_row_ids`]). The id stays a row's own
//! through its changes, so a row that was changed since the cursor was opened is changed again, as in PostgreSQL.
use super::connection::SqlSession;
use super::cursor::CursorState;
use crate::catalog::Table;
use crate::layout::RowId;
use crate::plan::{Command, Plan};
use trivet_types::{Datum, PgError, PgResult, SqlState, sqlstate};

const INVALID_CURSOR_STATE: SqlState = SqlState(*b"24000");

impl SqlSession {
    /// The row that a change finds under a cursor. The order of the checks is PostgreSQL's (`execCurrentOf`).
    pub(super) fn current_row(&self, cursor: &str, change: &Plan) -> PgResult<RowId> {
        let refuse = |message: String| Err(PgError::new(INVALID_CURSOR_STATE, message));
        let Some((table, _)) = change.changed_table() else {
            return Err(PgError::internal("WHERE CURRENT OF in what changes no table"));
        };
        let Some(portal) = self.portals.get(cursor) else {
            return Err(PgError::new(sqlstate::INVALID_CURSOR_NAME, format!("cursor \"{cursor}\" does not exist")));
        };
        let plan = match portal.plan() {
            Some(plan) if plan.command == Command::Select => plan,
            _ => return refuse(format!("cursor \"{cursor}\" is not a SELECT query")),
        };
        let Some(state) = &portal.cursor else { return refuse(not_simple(cursor, table)) };
        if portal.is_held() {
            return refuse(format!("cursor \"{cursor}\" is held from a previous transaction"));
        }
        let mut ids = plan.row_ids.iter().enumerate().filter(|(_, shown)| **shown == table.oid);
        let position = match (plan.writes, ids.next(), ids.next()) {
            (true, Some(_), Some(_)) => {
                let message = "has multiple FOR UPDATE/SHARE references to table";
                return refuse(format!("cursor \"{cursor}\" {message} \"{}\"", table.name));
            }
            (true, Some((position, _)), None) => position,
            (true, None, _) => {
                let message = "does not have a FOR UPDATE/SHARE reference to table";
                return refuse(format!("cursor \"{cursor}\" {message} \"{}\"", table.name));
            }
            (false, Some((position, _)), _) if plan.root.is_plain_scan() => position,
            (false, ..) => return refuse(not_simple(cursor, table)),
        };
        let row = row_at(state);
        let id = row.and_then(|row| row.get(plan.columns.len() + position));
        match id {
            Some(Datum::Int8(id)) => Ok(RowId(*id as u64)),
            _ => refuse(format!("cursor \"{cursor}\" is not positioned on a row")),
        }
    }
}

fn not_simple(cursor: &str, table: &Table) -> String {
    format!("cursor \"{cursor}\" is not a simply updatable scan of table \"{}\"", table.name)
}

fn row_at(state: &CursorState) -> Option<&crate::execute::Row> {
    state.rows.as_ref()?.get(state.at.checked_sub(1)?)
}
