//! The SQL engine: parser, analyzer, planner, executor, catalog, sessions.
//!
pub mod advisory;
pub mod analyze;
pub mod catalog;
pub mod copy;
pub mod define;
pub mod execute;
pub mod layout;
pub mod parser;
pub mod plan;
pub mod planted;
pub mod sequence;
pub mod session;
pub mod settings;
pub mod statistics;
pub mod temporary;
pub mod typed;

pub use session::{EngineOptions, LoginRole, SharedEngine, SqlEngine, index_builder};
