//! COPY between a table or query and the client.
use super::connection::SqlSession;
use super::environment::search_path;
use super::query::Portal;
use crate::analyze::undefined_table;
use crate::catalog::{Catalog, Found, Table};
use crate::copy::{CopyOptions, Fields, RowReader, write_header, write_row};
use crate::execute::RowInserter;
use crate::parser::Parsed;
use crate::parser::tree::{self, CopySource, Statement};
use std::sync::Arc;
use trivet_gateway::{Client, Format};
use trivet_types::{Datum, Environment, PgError, PgResult, sqlstate, text};

/// Rows that are inserted between two looks at the transaction's size.
const ROWS_A_BATCH: usize = 512;
/// Bytes of output that are handed over at a time.
const OUT_BYTES: usize = 64 << 10;
/// PostgreSQL shows no more of a value than this in an error's context.
const CONTEXT_CHARACTERS: usize = 100;

pub(super) async fn run(
    session: &mut SqlSession,
    copy: &tree::Copy,
    parsed: &Parsed,
    client: &mut dyn Client,
) -> PgResult<()> {
    let options = CopyOptions::parse(&copy.options)?;
    let rows = match &copy.source {
        CopySource::Table { name, columns } if copy.from_client => {
            from_client(session, name, columns, options, client).await?
        }
        source => to_client(session, source, &options, parsed, client).await?,
    };
    client.command_complete(&format!("COPY {rows}"));
    Ok(())
}

async fn find_table(session: &mut SqlSession, name: &tree::QualifiedName, direction: &str) -> PgResult<Arc<Table>> {
    let path = search_path(&session.settings, &session.current_user());
    let engine = Arc::clone(&session.engine);
    let active = session.open();
    active.transaction.statement().await?;
    let found =
        Catalog::new(&mut *active.transaction, &engine.descriptors, &path).relation(name.schema(), name.last()).await?;
    match found {
        Some(Found::Table(table)) => Ok(table),
        None => Err(undefined_table(name)),
        Some(Found::Index(..)) => {
            let message = format!("cannot copy {direction} index \"{}\"", name.last());
            Err(PgError::new(sqlstate::WRONG_OBJECT_TYPE, message))
        }
        Some(Found::View(_) | Found::Sequence(_)) => {
            let message = format!("cannot copy {direction} \"{}\", which is not a table", name.last());
            Err(PgError::new(sqlstate::WRONG_OBJECT_TYPE, message))
        }
        Some(Found::Virtual(_)) => Err(PgError::unsupported(format!("COPY {direction} a system catalog"))),
    }
}

/// Positions of the named columns, all live ones if none is named.
fn positions(table: &Table, columns: &[tree::Name]) -> PgResult<Vec<usize>> {
    if columns.is_empty() {
        let given = |(at, column): (usize, &crate::catalog::Column)| column.generated.is_none().then_some(at);
        return Ok(table.live_columns().filter_map(given).collect());
    }
    let mut found = Vec::with_capacity(columns.len());
    for name in columns {
        let Some((at, _)) = table.column_named(&name.text) else {
            let message = format!("column \"{}\" of relation \"{}\" does not exist", name.text, table.name);
            return Err(PgError::new(sqlstate::UNDEFINED_COLUMN, message));
        };
        if table.columns[at].generated.is_some() {
            let message = format!("column \"{}\" is a generated column", name.text);
            return Err(PgError::new(sqlstate::INVALID_COLUMN_REFERENCE, message)
                .detail("Generated columns cannot be used in COPY."));
        }
        if found.contains(&at) {
            let message = format!("column \"{}\" specified more than once", name.text);
            return Err(PgError::new(sqlstate::DUPLICATE_COLUMN, message));
        }
        found.push(at);
    }
    Ok(found)
}

async fn from_client(
    session: &mut SqlSession,
    name: &tree::QualifiedName,
    columns: &[tree::Name],
    options: CopyOptions,
    client: &mut dyn Client,
) -> PgResult<u64> {
    let table = find_table(session, name, "to").await?;
    session.check_table_access(&table, crate::catalog::Privileges::INSERT).await?;
    let positions = positions(&table, columns)?;
    if table.uses_user_types() {
        session.load_types().await?;
    }
    let session_environment = session.environment();
    let related = session.related_of(&table, crate::plan::RowChange::Insert, &session_environment).await?;
    let sequences = Arc::clone(&session.sequences);
    let environment: Arc<dyn Environment> = Arc::new(session_environment);
    let cancel = session.startup.cancel.clone();
    let database = Arc::clone(&session.engine.database);
    let active = session.open();
    active.check_writable("COPY FROM")?;
    active.used = true;
    // The rows are written under this schema, and refused under another (T19).
    active.transaction.guard_schema(crate::catalog::descriptor_key(table.oid));
    for related in related.keys() {
        active.transaction.guard_schema(crate::catalog::descriptor_key(*related));
    }
    let environment_of_rows = Arc::clone(&environment);
    let mut inserter =
        RowInserter::new(Arc::clone(&table), &positions, environment_of_rows, database, sequences, related)?;
    client.copy_in_start(Format::Text, positions.len()).await?;

    let mut reader = RowReader::new(options);
    let mut fields = Fields::default();
    let mut batch: Vec<Vec<Datum>> = Vec::with_capacity(ROWS_A_BATCH);
    let mut batch_began_at = 1;
    let mut rows = 0u64;
    let mut more = true;
    while more {
        match client.copy_in_data().await? {
            Some(data) => reader.push(&data),
            None => {
                reader.finish();
                more = false;
            }
        }
        loop {
            let found = reader.next_row(&mut fields).map_err(|error| in_line(error, &table, reader.line()))?;
            if found {
                if batch.is_empty() {
                    batch_began_at = reader.line();
                }
                batch.push(row(&table, &positions, &fields, &*environment, &reader)?);
                rows += 1;
            }
            if batch.len() == ROWS_A_BATCH || (!found && !more && !batch.is_empty()) {
                let work = async {
                    inserter.insert(std::mem::take(&mut batch), &mut *active.transaction).await?;
                    active.transaction.spill().await
                };
                SqlSession::cancellable(&cancel, work)
                    .await
                    .map_err(|error| in_line(error, &table, batch_began_at + inserter.failed_at()))?;
            }
            if !found {
                break;
            }
        }
    }
    SqlSession::cancellable(&cancel, inserter.finish(&mut *active.transaction)).await?;
    session.engine.note_changes(&table, rows);
    Ok(rows)
}

/// One row's values for the named columns, in their order.
fn row(
    table: &Table,
    positions: &[usize],
    fields: &Fields,
    environment: &dyn Environment,
    reader: &RowReader,
) -> PgResult<Vec<Datum>> {
    let line = reader.line();
    if fields.count() > positions.len() {
        let error = PgError::new(sqlstate::BAD_COPY_FILE_FORMAT, "extra data after last expected column");
        return Err(at_text(error, table, reader));
    }
    let mut values = Vec::with_capacity(positions.len());
    for (at, position) in positions.iter().enumerate() {
        let column = &table.columns[*position];
        if at >= fields.count() {
            let message = format!("missing data for column \"{}\"", column.name);
            return Err(at_text(PgError::new(sqlstate::BAD_COPY_FILE_FORMAT, message), table, reader));
        }
        values.push(match fields.field(at) {
            None => Datum::Null,
            Some(given) => text::input(column.type_oid, column.modifier, given, environment).map_err(|mut error| {
                let shown: String = given.chars().take(CONTEXT_CHARACTERS).collect();
                error.context = Some(format!("COPY {}, line {line}, column {}: \"{shown}\"", table.name, column.name));
                error
            })?,
        });
    }
    Ok(values)
}

/// With the line itself.
fn at_text(mut error: Box<PgError>, table: &Table, reader: &RowReader) -> Box<PgError> {
    let shown: String = reader.text().chars().take(CONTEXT_CHARACTERS).collect();
    error.context = Some(format!("COPY {}, line {}: \"{shown}\"", table.name, reader.line()));
    error
}

fn in_line(mut error: Box<PgError>, table: &Table, line: u64) -> Box<PgError> {
    if error.context.is_none() {
        error.context = Some(format!("COPY {}, line {line}", table.name));
    }
    error
}

async fn to_client(
    session: &mut SqlSession,
    source: &CopySource,
    options: &CopyOptions,
    parsed: &Parsed,
    client: &mut dyn Client,
) -> PgResult<u64> {
    let query = match source {
        CopySource::Query(query) => (**query).clone(),
        CopySource::Table { name, columns } => select_of(name, columns),
    };
    let parsed = Parsed { statement: Statement::Query(query), text: parsed.text.clone() };
    let prepared = session.prepare(&Arc::new(parsed), None).await?;
    let mut portal = Portal::new(Arc::new(prepared), Vec::new(), vec![]);
    let (names, types): (Vec<String>, Vec<_>) = portal
        .columns()
        .unwrap_or_default()
        .iter()
        .map(|column| (column.name.clone(), trivet_types::Oid(column.type_oid)))
        .unzip();
    let environment = session.environment();
    client.copy_out_start(Format::Text, names.len());
    let mut out = Vec::with_capacity(256);
    write_header(options, names.iter().map(String::as_str), &mut out);
    send(&mut out, client);
    let (mut rows, mut sent) = (0u64, 0usize);
    let mut shown: Vec<Option<String>> = Vec::with_capacity(types.len());
    while let Some(batch) = session.next_rows(&mut portal).await? {
        for row in batch {
            shown.clear();
            for (value, type_oid) in row.iter().zip(&types) {
                shown.push(if value.is_null() {
                    None
                } else {
                    let mut field = String::new();
                    text::write(*type_oid, value, &environment, &mut field);
                    Some(field)
                });
            }
            write_row(options, shown.iter().map(Option::as_deref), &mut out);
            rows += 1;
            sent += out.len();
            // A message holds one row: clients such as libpq hand out a message as a row.
            send(&mut out, client);
            if sent >= OUT_BYTES {
                sent = 0;
                client.flow().await?;
            }
        }
    }
    client.copy_out_end();
    Ok(rows)
}

fn send(out: &mut Vec<u8>, client: &mut dyn Client) {
    if !out.is_empty() {
        client.copy_out_data(out);
        out.clear();
    }
}

/// `SELECT a, b FROM ONLY t`, or `*`.
fn select_of(name: &tree::QualifiedName, columns: &[tree::Name]) -> tree::Query {
    let targets = if columns.is_empty() {
        vec![tree::Target::Star { of: None, place: name.place() }]
    } else {
        let column = |name: &tree::Name| tree::Target::Expr {
            expr: tree::Expr {
                kind: tree::ExprKind::Column(tree::QualifiedName { parts: vec![name.clone()] }),
                place: name.place,
            },
            alias: None,
        };
        columns.iter().map(column).collect()
    };
    tree::Query {
        with: None,
        body: tree::QueryBody::Select(Box::new(tree::Select {
            distinct: None,
            targets,
            from: vec![tree::TableExpr::Table { name: name.clone(), alias: tree::Alias::default(), only: true }],
            filter: None,
            group_by: vec![],
            having: None,
            windows: vec![],
        })),
        order_by: vec![],
        limit: None,
        offset: None,
        with_ties: false,
        locking: vec![],
    }
}
