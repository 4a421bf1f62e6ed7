//! Sessions: from a message of the client to statements that run in a transaction, and back.
//!
//! ```text
//!   engine        one a region: plans, descriptors, the database
//!   connection    one a client: the `Session` that the gateway calls
//!   block         the transaction it is in, and how it ends
//!   statement     what a statement that is not a query does
//!   query         plans, portals, rows
//!   copy          COPY
//!   explain       EXPLAIN; `analyze_tables`, ANALYZE
//!   environment   what functions may ask of a session; `inquiry`, of the catalog
//!   access        privileges, and the tables that foreign keys lead to
//!   temporary     temporary tables
//!   constraints   what is checked at the transaction's end
//! ```
//!
//! **Retries (T16).** A statement outside a block, or a simple Query of several, is a *unit*: its output is buffered, and if its
//! commit is refused with 40001 and nothing of it was sent, the output is taken back and the unit runs again with its row
//! locks kept (T14). What cannot be repeated (COPY FROM STDIN, anything that changes the session) is never in such a unit.
mod access;
mod analyze_tables;
mod block;
mod connection;
mod constraints;
mod copy;
mod create_as;
mod current_of;
mod cursor;
mod engine;
mod environment;
mod explain;
mod inquiry;
mod inventory;
mod materialized;
mod query;
mod statement;
mod table_lock;
mod temporary;

pub use engine::{EngineOptions, LoginRole, SharedEngine, SqlEngine, index_builder};
