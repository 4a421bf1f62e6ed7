//! Plans: how a typed statement is carried out. Immutable, shared by all sessions that run the same text.
//!
//! A plan is a tree of nodes; each yields rows of a fixed width. Rows are concatenations: a table's columns and its
//! row id, then the next relation's. The planner places every column; expressions are compiled once, to slots.
//!
//! ```text
//!   typed query ── rewrite ──> typed query ── search ──> steps ── from, planner, compile ──> nodes
//!                                  selectivity, cost, access: what each way would come to
//! ```
//! - `rewrite` makes other queries of a query, with the same answer; `search` chooses the order of joins and how each is done;
//!   `access` the way to a table's rows. They compare expectations (`cost`, `selectivity`) and build nothing.
//! - A subquery in an expression that no rewriting took becomes an `Apply` beneath it: its value is one more slot of the row.
//!   What it uses of the row around travels in outer parameters.
//! - Estimates choose between plans of one answer: a wrong one costs time only.
//! - `explain` shows a plan; what it shows besides the nodes is kept in `notes`, and only for it.
mod access;
mod common;
mod compile;
mod condition;
mod cost;
mod depth;
mod domain;
mod explain;
mod expr;
mod from;
mod guess;
mod membership;
mod merge;
mod node;
mod notes;
mod planner;
mod related;
mod rewrite;
mod rules;
mod search;
mod selectivity;
mod sets;
mod visit;
mod window;

pub use access::{Access, Bound, KeySource, Lookup, Probe, lookup};
pub use cost::{Estimate, PlanSettings};
pub use domain::CompiledDomain;
pub use explain::ExplainOptions;
pub(crate) use explain::explain;
pub use expr::{Compiled, EvalContext, nested_array, quantified, row_count};
pub use node::*;
pub use planner::{Planning, plan_checks, plan_default, plan_expr, plan_row_expr, plan_statement};
pub use related::{Related, RelatedTable, RelatedTables, RowChange};
pub use rules::{CompiledIndex, TableRules};
pub use visit::{for_each_subquery, used_columns};
