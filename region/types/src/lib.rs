//! PostgreSQL's errors, data types, operators, casts and functions: one registry, which is also the catalog.
mod error;

pub use error::*;
