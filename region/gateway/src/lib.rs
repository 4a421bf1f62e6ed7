//! PostgreSQL's wire protocol: connections, the simple and extended query conversation, COPY, cancel.
mod session;

pub use session::*;
