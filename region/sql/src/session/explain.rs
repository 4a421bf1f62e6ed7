//! EXPLAIN: the plan of a statement, and with ANALYZE how it did.
//!
//! Only ANALYZE runs the statement, with everything that it changes.
use super::connection::SqlSession;
use super::query::Portal;
use super::statement::{text_column, text_row};
use crate::parser::Parsed;
use crate::parser::tree::{Declare, Statement};
use crate::plan::{ExplainOptions, explain};
use std::sync::Arc;
use std::time::Instant;
use trivet_gateway::{Client, Format};
use trivet_types::{Datum, PgError, PgResult, SqlState, oid, sqlstate};

const INVALID_VALUE: SqlState = sqlstate::INVALID_PARAMETER_VALUE;

/// The options as they were given, checked as PostgreSQL does.
fn options(analyze: bool, verbose: bool, given: &[(String, String)]) -> PgResult<ExplainOptions> {
    let mut options = ExplainOptions { analyze, verbose, ..ExplainOptions::default() };
    let (mut timing, mut summary, mut buffers, mut wal) = (None, None, false, false);
    for (name, value) in given {
        let on = || match value.to_ascii_lowercase().as_str() {
            "" | "true" | "on" | "1" => Ok(true),
            "false" | "off" | "0" => Ok(false),
            _ => Err(PgError::new(sqlstate::SYNTAX_ERROR, format!("{name} requires a Boolean value"))),
        };
        match name.as_str() {
            "costs" => options.costs = on()?,
            "timing" => timing = Some(on()?),
            "summary" => summary = Some(on()?),
            "buffers" => buffers = on()?,
            "wal" => wal = on()?,
            "settings" => {
                on()?;
            }
            "format" => match value.to_ascii_lowercase().as_str() {
                "text" => options.json = false,
                "json" => options.json = true,
                "xml" | "yaml" => return Err(PgError::unsupported(format!("EXPLAIN (FORMAT {value})"))),
                _ => {
                    let message = format!("unrecognized value for EXPLAIN option \"format\": \"{value}\"");
                    return Err(PgError::new(INVALID_VALUE, message));
                }
            },
            _ => return Err(PgError::new(sqlstate::SYNTAX_ERROR, format!("unrecognized EXPLAIN option \"{name}\""))),
        }
    }
    let _ = buffers;
    if wal && !analyze {
        return Err(PgError::new(INVALID_VALUE, "EXPLAIN option WAL requires ANALYZE"));
    }
    if timing == Some(true) && !analyze {
        return Err(PgError::new(INVALID_VALUE, "EXPLAIN option TIMING requires ANALYZE"));
    }
    options.timing = timing.unwrap_or(analyze);
    options.summary = summary.unwrap_or(analyze);
    Ok(options)
}

/// A statement without parameters, under a text of its own.
fn explained(statement: &Statement) -> (Arc<Parsed>, Option<Vec<u32>>, Vec<Datum>) {
    (Arc::new(Parsed::new(statement.clone(), format!("{statement:?}"))), None, Vec::new())
}

impl SqlSession {
    pub(super) async fn explain(
        &mut self,
        statement: &Statement,
        (analyze, verbose): (bool, bool),
        given: &[(String, String)],
        client: &mut dyn Client,
    ) -> PgResult<()> {
        let options = options(analyze, verbose, given)?;
        let (parsed, given_types, values) = match statement {
            Statement::Execute { name, arguments } => {
                let executed = self.prepared(&name.text)?;
                let values = self.evaluate_arguments(&name.text, &executed, arguments)?;
                let (parsed, given_types) =
                    executed.source().ok_or_else(|| PgError::unsupported("EXPLAIN EXECUTE of an empty statement"))?;
                (parsed, given_types, values)
            }
            // The plan is the query's.
            Statement::CreateTableAs { query, .. } if !analyze => explained(&Statement::Query(query.clone())),
            Statement::CreateMaterialized { query, .. } | Statement::Declare(Declare { query, .. }) if !analyze => {
                explained(&Statement::Query((**query).clone()))
            }
            statement => explained(statement),
        };
        let began = Instant::now();
        let (prepared, plan) = self.prepare_explained(&parsed, given_types.as_deref()).await?;
        let planning_ms = began.elapsed().as_secs_f64() * 1000.0;
        let began = Instant::now();
        let mut watch = None;
        if analyze {
            let mut portal = Portal::new(prepared, values, vec![]);
            watch = Some(self.begin_watched(&mut portal).await?);
            while self.next_rows(&mut portal).await?.is_some() {}
        }
        let execution_ms = began.elapsed().as_secs_f64() * 1000.0;
        let lines = explain(&plan, &options, watch.as_deref(), planning_ms, execution_ms);
        if self.describes_rows {
            let mut column = text_column("QUERY PLAN");
            if options.json {
                column.type_oid = oid::JSON.0;
            }
            client.row_description(&[column], &[Format::Text]);
        }
        for line in lines {
            text_row(client, &[line]);
        }
        client.command_complete("EXPLAIN");
        Ok(())
    }
}
