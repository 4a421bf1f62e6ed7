//! What a session has prepared and declared, for `pg_prepared_statements` and `pg_cursors`.
use super::connection::SqlSession;
use trivet_types::{Array, Datum, oid};

/// Where a prepared statement comes from.
#[derive(Clone, Debug, Default)]
pub(super) struct Origin {
    pub text: String,
    /// By PREPARE; else by the protocol.
    pub from_sql: bool,
    pub at: i64,
}

impl SqlSession {
    /// Records that begin with the view that they belong to; `catalog::system` takes them apart.
    pub(super) fn inventory(&self) -> Vec<Datum> {
        let mut rows = Vec::new();
        for (name, prepared) in self.statements.iter().filter(|(name, _)| !name.is_empty()) {
            let types = prepared.parameter_types().iter().map(|type_oid| Datum::Oid(type_oid.0)).collect();
            rows.push(record([
                "pg_prepared_statements".into(),
                name.as_str().into(),
                prepared.origin.text.as_str().into(),
                Datum::Timestamp(prepared.origin.at),
                Datum::array(Array::from_values(oid::REGTYPE, types)),
                Datum::Bool(prepared.origin.from_sql),
                Datum::Int8(0),
                Datum::Int8(0),
            ]));
        }
        for (name, portal) in &self.portals {
            let Some(cursor) = &portal.cursor else { continue };
            rows.push(record([
                "pg_cursors".into(),
                name.as_str().into(),
                cursor.text.as_str().into(),
                Datum::Timestamp(cursor.declared_at),
                Datum::Bool(cursor.is_holdable()),
                Datum::Bool(cursor.scrolls),
                Datum::Bool(false),
            ]));
        }
        rows
    }
}

fn record<const N: usize>(fields: [Datum; N]) -> Datum {
    Datum::Record(fields.to_vec().into())
}
