//! An engine without a database: each statement is a little script of what an engine may do to its client.
//!
//! | statement | does |
//! | --- | --- |
//! | `select 1, 'a', null, $1` | one row; integers are int4, the rest text |
//! | `rows N [W]` | N rows of a number and W bytes, with `flow` after each |
//! | `begin`, `commit`, `rollback` | transaction status |
//! | `error CODE text`, `fatal CODE text` | fails |
//! | `panic`, `panic in row` | breaks |
//! | `notice text`, `set NAME VALUE` | NoticeResponse, ParameterStatus |
//! | `wait` | waits for the token, as on a lock |
//! | `limit MS` | the same under a statement time limit |
//! | `spin` | works without a pause, asking `flow` |
//! | `stubborn` | waits, and ignores the token |
//! | `copy in`, `copy in binary`, `copy in broken` | COPY FROM STDIN; the last fails after the first piece |
//! | `copy out N` | COPY TO STDOUT of N pieces |
//! | `retry`, `retry late` | rewinds output that nobody saw; output that was seen |
//! | `doom` | the next Sync fails |
//! | `idle MS`, `idle in transaction MS` | time limits for silence |
//! | `listen`, `notify TEXT` | notifications |
use async_trait::async_trait;
use bytes::{BufMut, BytesMut};
use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;
use tokio::sync::broadcast;
use trivet_gateway::{
    Client, Column, Engine, Executed, Format, IdleLimits, Parameter, Session, Startup, StatementDescription,
    TransactionStatus,
};
use trivet_types::{PgError, PgResult, Severity, SqlState, sqlstate};

const INT4: u32 = 23;
const TEXT: u32 = 25;

pub struct Toy {
    pub seen: Arc<Seen>,
    notices: broadcast::Sender<String>,
}

/// What tests ask about.
#[derive(Default)]
pub struct Seen {
    pub waiting: AtomicUsize,
    pub terminated: AtomicUsize,
    pub dropped: AtomicUsize,
    pub copied_bytes: AtomicUsize,
    pub rows_written: AtomicUsize,
}

impl Default for Toy {
    fn default() -> Toy {
        Toy { seen: Arc::default(), notices: broadcast::channel(64).0 }
    }
}

#[async_trait]
impl Engine for Toy {
    async fn connect(&self, startup: Startup) -> PgResult<Box<dyn Session>> {
        match startup.database.as_str() {
            "missing" => {
                let message = format!("database \"{}\" does not exist", startup.database);
                return Err(PgError::new(sqlstate::INVALID_CATALOG_NAME, message));
            }
            "broken" => panic!("the engine broke while connecting"),
            "never" => std::future::pending().await,
            _ => {}
        }
        Ok(Box::new(ToySession {
            startup,
            seen: self.seen.clone(),
            notices: self.notices.clone(),
            listening: None,
            status: TransactionStatus::Idle,
            statements: HashMap::new(),
            portals: HashMap::new(),
            doomed: false,
            limits: IdleLimits::default(),
        }))
    }
}

struct Portal {
    sql: String,
    parameters: Vec<Parameter>,
    formats: Vec<Format>,
    /// Rows already returned by `rows N`.
    done: usize,
}

struct ToySession {
    startup: Startup,
    seen: Arc<Seen>,
    notices: broadcast::Sender<String>,
    listening: Option<broadcast::Receiver<String>>,
    status: TransactionStatus,
    statements: HashMap<String, (String, Vec<u32>)>,
    portals: HashMap<String, Portal>,
    doomed: bool,
    limits: IdleLimits,
}

impl Drop for ToySession {
    fn drop(&mut self) {
        self.seen.dropped.fetch_add(1, Ordering::SeqCst);
    }
}

fn column(name: &str, type_oid: u32) -> Column {
    let type_len = if type_oid == INT4 { 4 } else { -1 };
    Column { name: name.to_owned(), table_oid: 0, attribute: 0, type_oid, type_len, type_modifier: -1 }
}

/// `code rest of the text`
fn coded(arguments: &str) -> (SqlState, &str) {
    let (code, message) = arguments.split_once(' ').unwrap_or((arguments, "as asked"));
    let code = code.as_bytes().try_into().map_or(sqlstate::INTERNAL_ERROR, SqlState);
    (code, message)
}

fn items(list: &str) -> impl Iterator<Item = &str> {
    list.split(',').map(str::trim)
}

fn format_of(formats: &[Format], index: usize) -> Format {
    formats.get(index).or(formats.first()).copied().unwrap_or(Format::Text)
}

impl ToySession {
    fn columns(&self, sql: &str, types: &[u32]) -> Option<Vec<Column>> {
        let (word, rest) = sql.split_once(' ').unwrap_or((sql, ""));
        match word {
            "select" => Some(
                items(rest)
                    .map(|item| {
                        let number = item.strip_prefix('$').and_then(|number| number.parse::<usize>().ok());
                        let type_oid = match number {
                            Some(number) => {
                                types.get(number.wrapping_sub(1)).copied().filter(|oid| *oid != 0).unwrap_or(TEXT)
                            }
                            None if item.parse::<i32>().is_ok() => INT4,
                            None => TEXT,
                        };
                        column("?column?", type_oid)
                    })
                    .collect(),
            ),
            "rows" => Some(vec![column("n", INT4), column("filler", TEXT)]),
            _ => None,
        }
    }

    fn select(&self, list: &str, parameters: &[Parameter], formats: &[Format], client: &mut dyn Client) {
        let count = items(list).count();
        client.data_row(count, &mut |body| {
            for (index, item) in items(list).enumerate() {
                let parameter = item.strip_prefix('$').and_then(|number| number.parse::<usize>().ok());
                if let Some(number) = parameter {
                    match parameters.get(number.wrapping_sub(1)).and_then(|parameter| parameter.value.as_ref()) {
                        Some(value) => put(body, value),
                        None => body.put_i32(-1),
                    }
                } else if item == "null" {
                    body.put_i32(-1);
                } else if let (Ok(number), Format::Binary) = (item.parse::<i32>(), format_of(formats, index)) {
                    put(body, &number.to_be_bytes());
                } else {
                    put(body, item.trim_matches('\'').as_bytes());
                }
            }
        });
        client.command_complete("SELECT 1");
    }

    /// One statement. `portal`: parameters, formats, rows done before, the most to return now (0: all).
    async fn run(
        &mut self,
        sql: &str,
        portal: Option<(&[Parameter], &[Format], usize, usize)>,
        client: &mut dyn Client,
    ) -> PgResult<Executed> {
        let sql = sql.trim();
        let (word, rest) = sql.split_once(' ').unwrap_or((sql, ""));
        if self.status == TransactionStatus::Failed
            && !matches!(word.to_ascii_lowercase().as_str(), "commit" | "rollback")
        {
            return Err(PgError::new(
                sqlstate::IN_FAILED_SQL_TRANSACTION,
                "current transaction is aborted, commands ignored until end of transaction block",
            ));
        }
        let (parameters, formats, done, max_rows) = portal.unwrap_or((&[], &[], 0, 0));
        if portal.is_none()
            && let Some(columns) = self.columns(sql, &[])
        {
            client.row_description(&columns, &[]);
        }
        let token = self.startup.cancel.clone();
        if word == "select" {
            self.select(rest, parameters, formats, client);
            return Ok(Executed::Complete);
        }
        match (word.to_ascii_lowercase().as_str(), rest) {
            ("", _) => client.empty_query(),
            ("rows", arguments) => {
                let mut numbers = arguments.split(' ').map(|number| number.parse::<usize>().unwrap_or(0));
                let (count, width) = (numbers.next().unwrap_or(0), numbers.next().unwrap_or(1));
                let filler = vec![b'x'; width];
                let end = if max_rows == 0 { count } else { count.min(done.saturating_add(max_rows)) }.max(done);
                for number in done..end {
                    client.data_row(2, &mut |body| {
                        match format_of(formats, 0) {
                            Format::Text => put(body, number.to_string().as_bytes()),
                            Format::Binary => put(body, &(number as i32).to_be_bytes()),
                        }
                        put(body, &filler);
                    });
                    self.seen.rows_written.fetch_add(1, Ordering::SeqCst);
                    client.flow().await?;
                }
                if end < count {
                    client.portal_suspended();
                    return Ok(Executed::Suspended);
                }
                client.command_complete(&format!("SELECT {}", end - done));
            }
            ("begin" | "start", _) => {
                self.status = TransactionStatus::InBlock;
                client.command_complete("BEGIN");
            }
            ("commit" | "rollback", _) => {
                let tag = if word.eq_ignore_ascii_case("rollback") || self.status == TransactionStatus::Failed {
                    "ROLLBACK"
                } else {
                    "COMMIT"
                };
                self.status = TransactionStatus::Idle;
                self.portals.clear();
                client.command_complete(tag);
            }
            ("error", arguments) => {
                let (code, message) = coded(arguments);
                return Err(PgError::new(code, message).detail("As asked.").hint("Do not ask."));
            }
            ("fatal", arguments) => {
                let (code, message) = coded(arguments);
                return Err(PgError::fatal(code, message));
            }
            ("panic", "in row") => client.data_row(1, &mut |body| {
                body.put_i32(5);
                panic!("the engine broke inside a row");
            }),
            ("panic", _) => panic!("the engine broke"),
            ("notice", text) => {
                let notice = PgError::new(sqlstate::SUCCESSFUL_COMPLETION, text).severity(Severity::Notice);
                client.notice(&notice);
                client.command_complete("NOTICE");
            }
            ("set", arguments) => {
                let (name, value) = arguments.split_once(' ').unwrap_or((arguments, ""));
                client.parameter_status(name, value);
                client.command_complete("SET");
            }
            ("wait", _) => {
                self.seen.waiting.fetch_add(1, Ordering::SeqCst);
                token.cancelled().await;
                return Err(token.error());
            }
            ("limit", milliseconds) => {
                client.limit_statement(Some(Duration::from_millis(milliseconds.parse().unwrap_or(1))));
                token.cancelled().await;
                return Err(token.error());
            }
            ("spin", _) => {
                self.seen.waiting.fetch_add(1, Ordering::SeqCst);
                loop {
                    client.flow().await?;
                }
            }
            ("stubborn", _) => {
                self.seen.waiting.fetch_add(1, Ordering::SeqCst);
                std::future::pending::<()>().await;
            }
            ("copy", "in broken") => {
                client.copy_in_start(Format::Text, 1).await?;
                client.copy_in_data().await?;
                return Err(PgError::new(sqlstate::BAD_COPY_FILE_FORMAT, "extra data after last expected column"));
            }
            ("copy", kind) if kind.starts_with("in") => {
                let format = if kind == "in binary" { Format::Binary } else { Format::Text };
                client.copy_in_start(format, 2).await?;
                let mut lines = 0;
                while let Some(data) = client.copy_in_data().await? {
                    self.seen.copied_bytes.fetch_add(data.len(), Ordering::SeqCst);
                    lines += data.iter().filter(|byte| **byte == b'\n').count();
                }
                client.command_complete(&format!("COPY {lines}"));
            }
            ("copy", kind) => {
                let count = kind.trim_start_matches("out ").parse().unwrap_or(1);
                client.copy_out_start(Format::Text, 1);
                for number in 0..count {
                    client.copy_out_data(format!("line {number}\n").as_bytes());
                    client.flow().await?;
                }
                client.copy_out_end();
                client.command_complete(&format!("COPY {count}"));
            }
            ("retry", "late") => {
                let mark = client.mark();
                for _ in 0..100 {
                    client.data_row(1, &mut |body| put(body, &[b'x'; 4096]));
                    client.flow().await?;
                }
                if client.unsent_since(mark) || client.rewind(mark) {
                    return Err(PgError::internal("output of 400 kB was not sent"));
                }
                return Err(PgError::new(sqlstate::SERIALIZATION_FAILURE, "the client has seen rows already"));
            }
            ("retry", _) => {
                let mark = client.mark();
                client.row_description(&[column("try", TEXT)], &[]);
                client.data_row(1, &mut |body| put(body, b"first"));
                client.notice(&PgError::new(sqlstate::SUCCESSFUL_COMPLETION, "first try"));
                if !client.unsent_since(mark) || !client.rewind(mark) {
                    return Err(PgError::internal("output was sent before it had to be"));
                }
                client.row_description(&[column("try", TEXT)], &[]);
                client.data_row(1, &mut |body| put(body, b"second"));
                client.command_complete("SELECT 1");
            }
            ("doom", _) => {
                self.doomed = true;
                client.command_complete("DOOM");
            }
            ("idle", arguments) => {
                let number = |text: &str| text.parse().ok().map(Duration::from_millis);
                match arguments.strip_prefix("in transaction ") {
                    Some(milliseconds) => self.limits.in_transaction = number(milliseconds),
                    None => self.limits.session = number(arguments),
                }
                client.command_complete("SET");
            }
            ("listen", _) => {
                self.listening = Some(self.notices.subscribe());
                client.command_complete("LISTEN");
            }
            ("notify", text) => {
                let _ = self.notices.send(text.to_owned());
                client.command_complete("NOTIFY");
            }
            _ => {
                let message = format!("syntax error at or near \"{word}\"");
                return Err(PgError::new(sqlstate::SYNTAX_ERROR, message).position(1));
            }
        }
        Ok(Executed::Complete)
    }
}

fn put(body: &mut BytesMut, value: &[u8]) {
    body.put_i32(value.len() as i32);
    body.put_slice(value);
}

#[async_trait]
impl Session for ToySession {
    fn transaction_status(&self) -> TransactionStatus {
        self.status
    }

    fn initial_parameters(&self) -> Vec<(String, String)> {
        let pair = |name: &str, value: &str| (name.to_owned(), value.to_owned());
        let mut parameters = vec![
            pair("server_version", "15.0 (Toy)"),
            pair("server_encoding", "UTF8"),
            pair("client_encoding", "UTF8"),
            pair("DateStyle", "ISO, MDY"),
            pair("integer_datetimes", "on"),
            pair("standard_conforming_strings", "on"),
        ];
        parameters.extend(self.startup.parameters.iter().filter(|(name, _)| name == "application_name").cloned());
        parameters
    }

    async fn simple_query(&mut self, sql: &str, client: &mut dyn Client) -> PgResult<()> {
        self.statements.remove("");
        let statements: Vec<&str> = sql.split(';').map(str::trim).collect();
        let last = statements.len() - 1;
        for (index, statement) in statements.iter().enumerate() {
            if statement.is_empty() && (index > 0 || last > 0) {
                continue;
            }
            self.run(statement, None, client).await?;
        }
        Ok(())
    }

    async fn parse(&mut self, name: &str, sql: &str, parameter_types: &[u32]) -> PgResult<()> {
        if sql.starts_with("selec ") {
            return Err(PgError::new(sqlstate::SYNTAX_ERROR, "syntax error at or near \"selec\"").position(1));
        }
        if !name.is_empty() && self.statements.contains_key(name) {
            let message = format!("prepared statement \"{name}\" already exists");
            return Err(PgError::new(sqlstate::DUPLICATE_PREPARED_STATEMENT, message));
        }
        let highest = sql
            .split('$')
            .skip(1)
            .filter_map(|tail| tail.split(|c: char| !c.is_ascii_digit()).next()?.parse::<usize>().ok())
            .max()
            .unwrap_or(0);
        let mut types = parameter_types.to_vec();
        types.resize(highest.max(types.len()), TEXT);
        self.statements.insert(name.to_owned(), (sql.to_owned(), types));
        Ok(())
    }

    async fn describe_statement(&mut self, name: &str) -> PgResult<StatementDescription> {
        let (sql, types) = self.statement(name)?;
        Ok(StatementDescription { columns: self.columns(&sql, &types), parameter_types: types })
    }

    async fn bind(
        &mut self,
        portal: &str,
        statement: &str,
        parameters: Vec<Parameter>,
        result_formats: &[Format],
    ) -> PgResult<()> {
        let (sql, types) = self.statement(statement)?;
        if parameters.len() != types.len() {
            let message = format!(
                "bind message supplies {} parameters, but prepared statement \"{statement}\" requires {}",
                parameters.len(),
                types.len()
            );
            return Err(PgError::new(sqlstate::PROTOCOL_VIOLATION, message));
        }
        let formats = result_formats.to_vec();
        self.portals.insert(portal.to_owned(), Portal { sql, parameters, formats, done: 0 });
        Ok(())
    }

    async fn describe_portal(&mut self, portal: &str) -> PgResult<Option<(Vec<Column>, Vec<Format>)>> {
        let Some(Portal { sql, formats, .. }) = self.portals.get(portal) else { return Err(no_portal(portal)) };
        Ok(self.columns(sql, &[]).map(|columns| (columns, formats.clone())))
    }

    async fn execute(&mut self, portal: &str, max_rows: u32, client: &mut dyn Client) -> PgResult<Executed> {
        let Some(Portal { sql, parameters, formats, done }) = self.portals.remove(portal) else {
            return Err(no_portal(portal));
        };
        let executed = self.run(&sql, Some((&parameters, &formats, done, max_rows as usize)), client).await?;
        let done = done.saturating_add(max_rows as usize);
        self.portals.insert(portal.to_owned(), Portal { sql, parameters, formats, done });
        Ok(executed)
    }

    async fn close_statement(&mut self, name: &str) -> PgResult<()> {
        self.statements.remove(name);
        Ok(())
    }

    async fn close_portal(&mut self, name: &str) -> PgResult<()> {
        self.portals.remove(name);
        Ok(())
    }

    async fn sync(&mut self, _client: &mut dyn Client) -> PgResult<()> {
        if self.status == TransactionStatus::Idle {
            self.portals.clear();
        }
        if std::mem::take(&mut self.doomed) {
            return Err(PgError::new(sqlstate::SERIALIZATION_FAILURE, "could not serialize access at commit"));
        }
        Ok(())
    }

    fn error_sent(&mut self) {
        self.doomed = false;
        if self.status == TransactionStatus::InBlock {
            self.status = TransactionStatus::Failed;
        }
    }

    async fn terminate(&mut self) {
        self.seen.terminated.fetch_add(1, Ordering::SeqCst);
    }

    fn idle_limits(&self) -> IdleLimits {
        self.limits
    }

    fn listening(&self) -> bool {
        self.listening.is_some()
    }

    async fn idle(&mut self, client: &mut dyn Client) -> PgResult<()> {
        let Some(notices) = &mut self.listening else { return Ok(()) };
        match notices.recv().await {
            Ok(text) if text == "end" => Err(PgError::fatal(sqlstate::CRASH_SHUTDOWN, "listening ended")),
            Ok(text) => {
                client.notification(7, "news", &text);
                Ok(())
            }
            Err(_) => Err(PgError::internal("too many notifications")),
        }
    }
}

impl ToySession {
    fn statement(&self, name: &str) -> PgResult<(String, Vec<u32>)> {
        self.statements.get(name).cloned().ok_or_else(|| {
            let message = if name.is_empty() {
                "unnamed prepared statement does not exist".to_owned()
            } else {
                format!("prepared statement \"{name}\" does not exist")
            };
            PgError::new(sqlstate::INVALID_SQL_STATEMENT_NAME, message)
        })
    }
}

fn no_portal(name: &str) -> Box<PgError> {
    PgError::new(sqlstate::INVALID_CURSOR_NAME, format!("portal \"{name}\" does not exist"))
}
