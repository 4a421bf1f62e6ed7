//! What the gateway asks of the engine. The gateway knows the protocol and no SQL; the engine knows SQL and no protocol.
//!
//! What the gateway has checked before a call: texts are UTF-8 without NUL, a Bind has as many format codes as PostgreSQL
//! asks for (none, one, or one a parameter) and text parameters are UTF-8. What is left to the engine, since it takes the
//! statement to know: the number of parameters (08P01 `bind message supplies 1 parameters, but prepared statement "s"
//! requires 2`), the number of result formats, names in use (42P05, 42P03) and names that are not there (26000, 34000).
//! `result_formats` is as sent: empty = all text, one = for all columns, else one a column.
//!
//! An error of severity FATAL or PANIC ends the connection after it was sent. After a panic inside a call the session is
//! dropped without `terminate`, so `Drop` must release what it holds.
use crate::cancel::CancelToken;
use async_trait::async_trait;
use bytes::{Bytes, BytesMut};
use std::time::Duration;
use trivet_types::{PgError, PgResult};

/// Who connects, after authentication.
#[derive(Clone, Debug)]
pub struct Startup {
    pub user: String,
    pub database: String,
    /// Every other start-up parameter, as sent (`application_name`, `client_encoding`, `options` ...).
    pub parameters: Vec<(String, String)>,
    pub process_id: i32,
    pub peer: Option<std::net::SocketAddr>,
    pub cancel: CancelToken,
}

/// A result or parameter column, as RowDescription shows it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Column {
    pub name: String,
    pub table_oid: u32,
    pub attribute: i16,
    pub type_oid: u32,
    pub type_len: i16,
    pub type_modifier: i32,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Format {
    Text,
    Binary,
}

/// ReadyForQuery's letter.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum TransactionStatus {
    Idle,
    InBlock,
    Failed,
}

/// Where the engine writes what the client gets. Everything is buffered; nothing is sent before `flow`
/// or the end of the message, so that a statement that was not shown can be run again (T16).
#[async_trait]
pub trait Client: Send {
    fn row_description(&mut self, columns: &[Column], formats: &[Format]);
    /// Append one DataRow: `fields` calls back with the buffer and writes each field as i32 length + bytes (-1 = NULL).
    /// The buffer is the connection's own write buffer; no allocation per row.
    fn data_row(&mut self, field_count: usize, fields: &mut dyn FnMut(&mut BytesMut));
    fn command_complete(&mut self, tag: &str);
    fn empty_query(&mut self);
    fn portal_suspended(&mut self);
    fn notice(&mut self, notice: &PgError);
    fn parameter_status(&mut self, name: &str, value: &str);
    /// Call between row batches: sends when the buffer is large, waits for the client to read, fails with 57014 when cancelled.
    async fn flow(&mut self) -> PgResult<()>;
    /// A place in the output to go back to.
    fn mark(&self) -> OutputMark;
    /// Forget everything written since the mark; false if some of it was sent already.
    fn rewind(&mut self, mark: OutputMark) -> bool;
    /// True if nothing after the mark has been sent.
    fn unsent_since(&self, mark: OutputMark) -> bool;
    /// Send CopyInResponse and flush it.
    async fn copy_in_start(&mut self, format: Format, column_count: usize) -> PgResult<()>;
    /// Next CopyData; `None` after CopyDone; an error after CopyFail or a lost client.
    async fn copy_in_data(&mut self) -> PgResult<Option<Bytes>>;
    fn copy_out_start(&mut self, format: Format, column_count: usize);
    fn copy_out_data(&mut self, data: &[u8]);
    fn copy_out_end(&mut self);
    /// A NotificationResponse, for LISTEN.
    fn notification(&mut self, _process_id: i32, _channel: &str, _payload: &str) {}
    /// The running statement begins now and may take this long; `None`: as long as it likes. Past it the token is raised
    /// with [`CancelReason::StatementTimeout`](crate::CancelReason). Ends with the message, or with the next call.
    fn limit_statement(&mut self, _limit: Option<Duration>) {}
}

/// How long a client may say nothing. `None`: for ever.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct IdleLimits {
    /// `idle_session_timeout`: outside a transaction block; ends with 57P05.
    pub session: Option<Duration>,
    /// `idle_in_transaction_session_timeout`: inside one; ends with 25P03.
    pub in_transaction: Option<Duration>,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct OutputMark(pub u64);

/// What Parse and Describe need to know of a prepared statement.
#[derive(Clone, Debug)]
pub struct StatementDescription {
    pub parameter_types: Vec<u32>,
    /// `None`: the statement returns no rows.
    pub columns: Option<Vec<Column>>,
}

/// A bound parameter, as sent.
#[derive(Clone, Debug)]
pub struct Parameter {
    pub format: Format,
    pub value: Option<Bytes>,
}

/// What Execute did.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Executed {
    /// CommandComplete (or EmptyQueryResponse) was written.
    Complete,
    /// `max_rows` reached; PortalSuspended was written.
    Suspended,
}

/// One connection's engine side. Called by one task, one call at a time; any call may be dropped at an await point
/// when the client is gone. Statement and portal names live here, since SQL's PREPARE and DECLARE share them.
#[async_trait]
pub trait Session: Send {
    fn transaction_status(&self) -> TransactionStatus;
    /// Parameters to report after authentication (server_version, client_encoding ...), in order.
    fn initial_parameters(&self) -> Vec<(String, String)>;
    /// A simple Query: any number of statements. Writes their results; an error stops the rest (the caller sends it).
    async fn simple_query(&mut self, sql: &str, client: &mut dyn Client) -> PgResult<()>;
    async fn parse(&mut self, name: &str, sql: &str, parameter_types: &[u32]) -> PgResult<()>;
    async fn describe_statement(&mut self, name: &str) -> PgResult<StatementDescription>;
    async fn bind(
        &mut self,
        portal: &str,
        statement: &str,
        parameters: Vec<Parameter>,
        result_formats: &[Format],
    ) -> PgResult<()>;
    /// `None`: returns no rows.
    async fn describe_portal(&mut self, portal: &str) -> PgResult<Option<(Vec<Column>, Vec<Format>)>>;
    /// `max_rows` 0: all.
    async fn execute(&mut self, portal: &str, max_rows: u32, client: &mut dyn Client) -> PgResult<Executed>;
    /// Closing what is not there is no error.
    async fn close_statement(&mut self, name: &str) -> PgResult<()>;
    async fn close_portal(&mut self, name: &str) -> PgResult<()>;
    /// End of a pipeline: commit the implicit transaction, if one is open. An error is sent before ReadyForQuery.
    async fn sync(&mut self, client: &mut dyn Client) -> PgResult<()>;
    /// An error was sent: a block becomes failed, an implicit transaction rolls back.
    fn error_sent(&mut self);
    /// The client is gone: roll back.
    async fn terminate(&mut self);
    /// Asked whenever the connection goes idle.
    fn idle_limits(&self) -> IdleLimits {
        IdleLimits::default()
    }
    /// True while `idle` has something to wait for (LISTEN).
    fn listening(&self) -> bool {
        false
    }
    /// Awaited between messages while `listening`: wait, write (notifications, parameter changes), return to have it sent.
    /// Dropped when a message arrives, so: no await between taking something and writing it. An error is sent, and ends
    /// the connection if it is FATAL.
    async fn idle(&mut self, _client: &mut dyn Client) -> PgResult<()> {
        std::future::pending().await
    }
}

#[async_trait]
pub trait Engine: Send + Sync + 'static {
    /// 3D000 for a database that is not there, 53300 when full; connecting works without a lease.
    async fn connect(&self, startup: Startup) -> PgResult<Box<dyn Session>>;
}
