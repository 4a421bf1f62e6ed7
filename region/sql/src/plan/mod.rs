//! Plans: how a typed statement is carried out. Immutable, shared by all sessions that run the same text.
//!
//! A plan is a tree of nodes; each yields rows of a fixed width. Rows are concatenations: a table's columns and its
//! row id, then the next relation's. The planner places every column; expressions are compiled once, to slots.
//!
//! - Joins are ordered greedily: what is looked up by key first, then what connects to what is there.
//! - A scan takes the index whose columns the conditions fix best: all columns of a unique one is a point lookup.
//! - A subquery in an expression becomes an `Apply` beneath it: its value is one more slot of the row. What it uses of
//!   the row around travels in outer parameters.
mod access;
mod common;
mod compile;
mod condition;
mod cost;
mod explain;
mod expr;
mod fold;
mod from;
mod node;
mod notes;
mod planner;
mod related;
mod rewrite;
mod rules;
mod search;
mod selectivity;
mod visit;
mod window;

pub use access::{Access, Bound, KeySource, Lookup, Probe, lookup};
pub use cost::{Estimate, PlanSettings};
pub use explain::ExplainOptions;
pub(crate) use explain::explain;
pub use expr::{Compiled, EvalContext, nested_array, quantified, row_count};
pub use node::*;
pub use planner::{Planning, plan_checks, plan_default, plan_expr, plan_row_expr, plan_statement};
pub use related::{Related, RelatedTable, RelatedTables, RowChange};
pub use rules::{CompiledIndex, TableRules};
pub use visit::{for_each_subquery, used_columns};
