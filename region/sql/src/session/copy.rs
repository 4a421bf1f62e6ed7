//! COPY between a table or query and the client.
use super::connection::SqlSession;
use super::environment::search_path;
use super::query::Portal;
use crate::catalog::{Catalog, Found, Table};
use crate::copy::{
    BinaryReader, CopyFormat, CopyOptions, Fields, RowReader, write_binary_end, write_binary_header, write_header,
    write_row,
};
use crate::execute::RowInserter;
use crate::parser::Parsed;
use crate::parser::tree::{self, CopySource, Statement};
use crate::plan::Compiled;
use crate::statistics::Written;
use std::sync::Arc;
use trivet_gateway::{Client, Format};
use trivet_types::{Datum, Environment, PgError, PgResult, modifier, sqlstate, text};

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
    let options = CopyOptions::parse(&copy.options, copy.from_client)?;
    let rows = match &copy.source {
        CopySource::Table { name, columns } if copy.from_client => {
            from_client(session, (name, columns), copy.filter.as_ref(), options, client).await?
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
    let mut catalog = Catalog::new(&mut *active.transaction, &engine.descriptors, &path);
    let found = catalog.relation(name.schema(), name.last()).await?;
    match found {
        Some(Found::Table(table)) => Ok(table),
        None => Err(super::table_lock::no_such_table(&mut catalog, name).await?),
        Some(Found::Index(..)) => {
            let message = format!("cannot copy {direction} index \"{}\"", name.last());
            Err(PgError::new(sqlstate::WRONG_OBJECT_TYPE, message))
        }
        Some(found @ (Found::View(_) | Found::Sequence(_))) => {
            let is_view = matches!(found, Found::View(_));
            let message =
                format!("cannot copy {direction} {} \"{}\"", if is_view { "view" } else { "sequence" }, name.last());
            let error = PgError::new(sqlstate::WRONG_OBJECT_TYPE, message);
            Err(match (is_view, direction) {
                (true, "from") => error.hint("Try the COPY (SELECT ...) TO variant."),
                (true, _) => error.hint("To enable copying to a view, provide an INSTEAD OF INSERT trigger."),
                _ => error,
            })
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
    (name, columns): (&tree::QualifiedName, &[tree::Name]),
    filter: Option<&tree::Expr>,
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
    let rules = session.lock_rules();
    let engine = Arc::clone(&session.engine);
    let database = Arc::clone(&session.database);
    let active = session.open();
    active.check_writable("COPY FROM")?;
    active.used = true;
    // The rows are written under this schema, and refused under another (T19).
    active.transaction.guard_schema(crate::catalog::descriptor_key(table.oid));
    let held = super::table_lock::hold(&mut *active.transaction, table.oid, super::table_lock::CHANGES);
    SqlSession::cancellable(&cancel, rules.within(held)).await?;
    for related in related.keys() {
        active.transaction.guard_schema(crate::catalog::descriptor_key(*related));
    }
    let columns: Vec<String> = positions.iter().map(|at| table.columns[*at].name.clone()).collect();
    let forced = Forced {
        not_null: options.force_not_null.among(&columns, Some(&table.name))?,
        null: options.force_null.among(&columns, Some(&table.name))?,
        shown: options.null.clone(),
    };
    let environment_of_rows = Arc::clone(&environment);
    let modes = active.deferred.modes.clone();
    let mut inserter =
        RowInserter::new(Arc::clone(&table), &positions, environment_of_rows, database, sequences, related, modes)?;
    if let Some(filter) = filter {
        inserter.filter(crate::plan::TableRules::condition(&table, filter, &*environment)?);
    }
    let domains = positions.iter().map(|at| crate::plan::TableRules::domain(&table, *at, &*environment));
    let target = Target { table: &table, positions: &positions, domains: domains.collect::<PgResult<_>>()? };
    let binary = options.format == CopyFormat::Binary;
    client.copy_in_start(if binary { Format::Binary } else { Format::Text }, positions.len()).await?;

    let mut reader = if binary {
        Reader::Binary(BinaryReader::default())
    } else {
        Reader::Text { rows: RowReader::new(options), fields: Fields::default(), forced }
    };
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
            let row = reader.next_row(&target, &*environment);
            let row = row.map_err(|error| in_line(error, &table, reader.line()))?;
            let found = row.is_some();
            if let Some(row) = row {
                if batch.is_empty() {
                    batch_began_at = reader.line();
                }
                batch.push(row);
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
    active.deferred.checks.append(&mut inserter.take_deferred());
    let rows = rows - inserter.passed_over();
    active.written.note(&table, Written::Inserted, rows, &engine.statistics);
    Ok(rows)
}

/// FORCE_NULL and FORCE_NOT_NULL, by column.
struct Forced {
    not_null: Vec<bool>,
    null: Vec<bool>,
    /// What stands for NULL.
    shown: String,
}

enum Reader {
    Text { rows: RowReader, fields: Fields, forced: Forced },
    Binary(BinaryReader),
}

impl Reader {
    fn push(&mut self, data: &[u8]) {
        match self {
            Reader::Text { rows, .. } => rows.push(data),
            Reader::Binary(rows) => rows.push(data),
        }
    }
    fn finish(&mut self) {
        match self {
            Reader::Text { rows, .. } => rows.finish(),
            Reader::Binary(rows) => rows.finish(),
        }
    }
    fn line(&self) -> u64 {
        match self {
            Reader::Text { rows, .. } => rows.line(),
            Reader::Binary(rows) => rows.line(),
        }
    }

    /// One row's values for the named columns, in their order.
    fn next_row(&mut self, target: &Target<'_>, environment: &dyn Environment) -> PgResult<Option<Vec<Datum>>> {
        let (table, positions) = (target.table, target.positions);
        match self {
            Reader::Text { rows, fields, forced } => {
                if !rows.next_row(fields)? {
                    return Ok(None);
                }
                if rows.take_header() {
                    check_header(table, positions, fields, &forced.shown)
                        .map_err(|error| at_text(error, table, rows))?;
                    if !rows.next_row(fields)? {
                        return Ok(None);
                    }
                }
                text_row(target, fields, forced, environment, rows).map(Some)
            }
            Reader::Binary(rows) => match rows.next_row(positions.len())? {
                Some(fields) => binary_row(target, fields, environment, rows.line()).map(Some),
                None => Ok(None),
            },
        }
    }
}

/// Where the rows of a COPY go.
struct Target<'a> {
    table: &'a Table,
    positions: &'a [usize],
    /// Of each column, what its domain asks.
    domains: Vec<Option<Compiled>>,
}

impl Target<'_> {
    fn checked(&self, at: usize, value: Datum, environment: &dyn Environment) -> PgResult<Datum> {
        match &self.domains[at] {
            Some(domain) => domain.evaluate_row(environment, &[value]),
            None => Ok(value),
        }
    }
}

fn binary_row(
    target: &Target<'_>,
    fields: Vec<Option<bytes::Bytes>>,
    environment: &dyn Environment,
    line: u64,
) -> PgResult<Vec<Datum>> {
    let (table, positions) = (target.table, target.positions);
    let mut values = Vec::with_capacity(positions.len());
    for (at, (position, field)) in positions.iter().zip(fields).enumerate() {
        let column = &table.columns[*position];
        let read = |given| {
            let value = trivet_types::binary::input(column.type_oid, given, environment)?;
            modifier::apply(column.type_oid, column.modifier, value, modifier::Strictness::Assignment)
        };
        let value = field.map_or(Ok(Datum::Null), read).and_then(|value| target.checked(at, value, environment));
        values.push(value.map_err(|mut error| {
            error.context = Some(format!("COPY {}, line {line}, column {}", table.name, column.name));
            error
        })?);
    }
    Ok(values)
}

fn text_row(
    target: &Target<'_>,
    fields: &Fields,
    forced: &Forced,
    environment: &dyn Environment,
    reader: &RowReader,
) -> PgResult<Vec<Datum>> {
    let (table, positions) = (target.table, target.positions);
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
        let field = match fields.field(at) {
            None if forced.not_null[at] => Some(forced.shown.as_str()),
            Some(given) if forced.null[at] && given == forced.shown => None,
            field => field,
        };
        values.push(match field {
            None => target.checked(at, Datum::Null, environment).map_err(|mut error| {
                error.context = Some(format!("COPY {}, line {line}, column {}: null input", table.name, column.name));
                error
            })?,
            Some(given) => {
                let read = text::input(column.type_oid, column.modifier, given, environment);
                read.and_then(|value| target.checked(at, value, environment))
            }
            .map_err(|mut error| {
                let shown: String = given.chars().take(CONTEXT_CHARACTERS).collect();
                error.context = Some(format!("COPY {}, line {line}, column {}: \"{shown}\"", table.name, column.name));
                error
            })?,
        });
    }
    Ok(values)
}

/// 22P04 if the header line does not name the columns.
fn check_header(table: &Table, positions: &[usize], fields: &Fields, null: &str) -> PgResult<()> {
    let wrong = |message: String| Err(PgError::new(sqlstate::BAD_COPY_FILE_FORMAT, message));
    if fields.count() != positions.len() {
        let (got, expected) = (fields.count(), positions.len());
        return wrong(format!("wrong number of fields in header line: got {got}, expected {expected}"));
    }
    for (at, position) in positions.iter().enumerate() {
        let (number, expected) = (at + 1, &table.columns[*position].name);
        let mismatch = format!("column name mismatch in header line field {number}: got");
        match fields.field(at) {
            Some(name) if name == expected => {}
            Some(name) => return wrong(format!("{mismatch} \"{name}\", expected \"{expected}\"")),
            None => return wrong(format!("{mismatch} null value (\"{null}\"), expected \"{expected}\"")),
        }
    }
    Ok(())
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
    let mut relation = None;
    let statement = match source {
        CopySource::Query(query) => Statement::Query((**query).clone()),
        CopySource::Change(statement) => (**statement).clone(),
        CopySource::Table { name, columns } => {
            let table = find_table(session, name, "from").await?;
            // Named here, since the errors of a query would have positions.
            let positions = positions(&table, columns)?;
            let columns = positions.iter().map(|at| table.columns[*at].name.as_str());
            relation = Some(table.name.clone());
            Statement::Query(select_of(name, columns))
        }
    };
    let parsed = Parsed::new(statement, parsed.text.clone());
    let prepared = session.prepare(&Arc::new(parsed), None).await?;
    let mut portal = Portal::new(Arc::new(prepared), Vec::new(), vec![]);
    let Some(columns) = portal.columns() else {
        return Err(PgError::new(sqlstate::FEATURE_NOT_SUPPORTED, "COPY query must have a RETURNING clause"));
    };
    let (names, types): (Vec<String>, Vec<_>) =
        columns.iter().map(|column| (column.name.clone(), trivet_types::Oid(column.type_oid))).unzip();
    let quoted = options.force_quote.among(&names, relation.as_deref())?;
    let environment = session.environment();
    let binary = options.format == CopyFormat::Binary;
    client.copy_out_start(if binary { Format::Binary } else { Format::Text }, names.len());
    let mut out = Output { options, types, quoted, text: Vec::with_capacity(256), binary: bytes::BytesMut::new() };
    if binary {
        write_binary_header(&mut out.binary);
    } else {
        write_header(options, names.iter().map(String::as_str), &mut out.text);
        send(&mut out.text, client);
    }
    let writes = portal.writes();
    let (mut rows, mut sent) = (0u64, 0usize);
    while let Some(batch) = session.next_rows(&mut portal).await? {
        for row in batch {
            rows += 1;
            // A message holds one row: clients such as libpq hand out a message as a row.
            sent += out.send_row(&row, &environment, client);
            // Rows of a statement that writes wait for the verdict (T16).
            if sent >= OUT_BYTES && !writes {
                sent = 0;
                client.flow().await?;
            }
        }
    }
    if binary {
        write_binary_end(&mut out.binary);
        client.copy_out_data(&out.binary);
    }
    client.copy_out_end();
    Ok(rows)
}

struct Output<'o> {
    options: &'o CopyOptions,
    types: Vec<trivet_types::Oid>,
    quoted: Vec<bool>,
    text: Vec<u8>,
    binary: bytes::BytesMut,
}

impl Output<'_> {
    /// Hand a row over; how many bytes that were.
    fn send_row(&mut self, row: &[Datum], environment: &dyn Environment, client: &mut dyn Client) -> usize {
        if self.options.format == CopyFormat::Binary {
            return self.send_binary(row, environment, client);
        }
        let show = |(value, type_oid): (&Datum, &trivet_types::Oid)| {
            (!value.is_null()).then(|| {
                let mut field = String::new();
                text::write(*type_oid, value, environment, &mut field);
                field
            })
        };
        let shown: Vec<Option<String>> = row.iter().zip(&self.types).map(show).collect();
        write_row(self.options, shown.iter().map(Option::as_deref), &self.quoted, &mut self.text);
        let length = self.text.len();
        send(&mut self.text, client);
        length
    }

    fn send_binary(&mut self, row: &[Datum], environment: &dyn Environment, client: &mut dyn Client) -> usize {
        use bytes::BufMut;
        self.binary.put_i16(i16::try_from(row.len()).unwrap_or(i16::MAX));
        for (value, type_oid) in row.iter().zip(&self.types) {
            let start = self.binary.len();
            self.binary.put_i32(-1);
            if !value.is_null() {
                trivet_types::binary::output(*type_oid, value, environment, &mut self.binary);
                let length = i32::try_from(self.binary.len() - start - 4).unwrap_or(i32::MAX);
                self.binary[start..start + 4].copy_from_slice(&length.to_be_bytes());
            }
        }
        let length = self.binary.len();
        client.copy_out_data(&self.binary);
        self.binary.clear();
        length
    }
}

fn send(out: &mut Vec<u8>, client: &mut dyn Client) {
    if !out.is_empty() {
        client.copy_out_data(out);
        out.clear();
    }
}

/// `SELECT a, b FROM ONLY t`
fn select_of<'c>(name: &tree::QualifiedName, columns: impl Iterator<Item = &'c str>) -> tree::Query {
    let place = tree::Place::default();
    let column = |name: &str| tree::Target::Expr {
        expr: tree::Expr {
            kind: tree::ExprKind::Column(tree::QualifiedName {
                parts: vec![tree::Name { text: name.to_owned(), place }],
            }),
            place,
        },
        alias: None,
    };
    let targets = columns.map(column).collect();
    let from = tree::TableExpr::Table { name: name.clone(), alias: tree::Alias::default(), only: true };
    tree::Query::of_targets(targets, vec![from])
}
