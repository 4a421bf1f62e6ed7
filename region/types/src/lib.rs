//! PostgreSQL's errors, data types, operators, casts, functions and aggregates.
//!
//! One registry (`registry`) holds what resolves and also is `pg_type`, `pg_proc`, `pg_operator`, `pg_cast` and
//! `pg_aggregate`: a function that is listed can be called, and the other way round. Values are `Datum`s; their text
//! and binary forms are in `text` and `binary`; calendar and numeric arithmetic in `datetime` and `numeric`.
//!
//! **This crate reads no clock, holds no session state and waits for nothing**: what a function needs of its session
//! (time zone, clock, catalog) it asks of the `Environment` it is given.
mod are;
pub mod binary;
mod compare;
pub mod datetime;
mod datum;
mod environment;
mod error;
pub mod functions;
pub mod json;
pub mod modifier;
pub mod numeric;
pub mod oid;
mod random;
pub mod registry;
pub mod text;
mod types;
pub mod user;

pub use compare::*;
pub use datum::*;
pub use environment::*;
pub use error::*;
pub use oid::Oid;
pub use random::Random;
pub use types::*;
pub use user::{EnumType, EnumValue, UserTypes};
