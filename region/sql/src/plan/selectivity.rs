//! How many rows pass a condition, by what is known of the columns in it.
//!
//! Where nothing is known the guesses are PostgreSQL's, or smaller: a table that nobody has looked at had better be large.
use super::access::Comparison;
use super::condition::{comparison_of, plain_column, steer};
use super::guess::known_value;
use super::planner::Planner;
use crate::catalog::Table;
use crate::statistics::{ColumnStatistics, TableStatistics};
use crate::typed::{Expr, ExprKind, Relation, RelationSource};
use std::sync::Arc;
use trivet_types::{Datum, Oid};

/// Rows of a table that nobody has looked at.
pub(super) const UNKNOWN_ROWS: f64 = 1000.0;
/// The fraction of rows that equal a value.
pub(super) const EQUAL: f64 = 0.01;
pub(super) const RANGE: f64 = 0.1;
const OTHER: f64 = 1.0 / 3.0;
const LIKE: f64 = 0.02;
/// Elements of an array that is not known yet.
pub(super) const ELEMENTS: f64 = 10.0;

/// A table with what is known of it.
#[derive(Clone)]
pub struct TableView {
    pub table: Arc<Table>,
    pub statistics: Option<Arc<TableStatistics>>,
    rows: f64,
}

impl TableView {
    pub fn rows(&self) -> f64 {
        self.rows
    }

    pub fn column(&self, column: usize) -> Option<&ColumnStatistics> {
        self.statistics.as_ref()?.columns.get(column)?.as_ref()
    }

    fn type_of(&self, column: usize) -> Oid {
        self.table.columns[column].type_oid
    }

    /// Bytes of a row of these columns.
    pub fn width(&self, needed: &[bool]) -> f64 {
        let columns = self.table.columns.iter().enumerate().filter(|(at, _)| needed.get(*at).copied().unwrap_or(false));
        columns
            .map(|(at, column)| self.column(at).map_or_else(|| default_width(column.type_oid), |known| known.width))
            .sum()
    }

    fn is_unique(&self, column: usize) -> bool {
        self.table
            .indexes
            .iter()
            .any(|index| index.unique && index.is_plain() && index.keys.len() == 1 && index.keys[0].column == column)
    }

    /// The number of values in a column.
    pub fn distinct(&self, column: usize) -> f64 {
        let rows = self.rows();
        match self.column(column) {
            Some(known) => known.distinct_of(rows),
            None if self.is_unique(column) => rows,
            None => (rows / 5.0).max(1.0),
        }
    }

    pub fn equal(&self, column: usize, value: Option<&Datum>) -> f64 {
        match self.column(column) {
            Some(known) => known.equal(self.type_of(column), value, self.rows()),
            None if self.is_unique(column) => 1.0 / self.rows(),
            None => EQUAL,
        }
    }

    /// The fraction of rows between two bounds, either of which may be missing (`None`) or not known yet.
    pub fn between(&self, column: usize, lower: Option<Option<&Datum>>, upper: Option<Option<&Datum>>) -> f64 {
        let both = lower.is_some() && upper.is_some();
        let Some(known) = self.column(column) else { return if both { RANGE / 4.0 } else { RANGE } };
        let type_oid = self.type_of(column);
        let present = 1.0 - known.null_fraction;
        match (lower, upper) {
            (Some(None), Some(None)) => 0.005,
            (Some(None), _) | (_, Some(None)) => present * OTHER,
            (lower, upper) => {
                let low = lower.flatten().map_or(0.0, |value| known.below(type_oid, value));
                let high = upper.flatten().map_or(present, |value| known.below(type_oid, value));
                (high - low).clamp(1.0 / self.rows().max(1.0), 1.0)
            }
        }
    }
}

pub(super) fn default_width(type_oid: Oid) -> f64 {
    match trivet_types::type_info(type_oid).map_or(-1, |info| info.length) {
        length if length > 0 => f64::from(length),
        _ => 32.0,
    }
}

/// How many elements an array has, as far as is known.
pub(super) fn elements(expr: &Expr) -> f64 {
    match &expr.kind {
        ExprKind::Array(items) => items.len() as f64,
        _ => match known_value(expr) {
            Some(Datum::Array(array)) => array.values.len() as f64,
            _ => ELEMENTS,
        },
    }
}

impl Planner {
    pub(super) fn view(&self, table: &Arc<Table>) -> TableView {
        let statistics = self.statistics.table(table.oid, table.storage);
        let rows = self.believed_rows(table);
        // Nobody knows how much was written before anybody counted.
        let least = if statistics.is_some() { 1.0 } else { UNKNOWN_ROWS };
        TableView { table: Arc::clone(table), statistics, rows: rows.max(least) }
    }

    fn view_of(&self, relations: &[Relation], relation: usize) -> Option<TableView> {
        match &relations.get(relation)?.source {
            RelationSource::Table(table) => Some(self.view(table)),
            _ => None,
        }
    }

    /// A column of this query's tables.
    fn column_of(&self, relations: &[Relation], expr: &Expr) -> Option<(TableView, usize)> {
        match &expr.kind {
            ExprKind::Column { up: 0, relation, column } => {
                let view = self.view_of(relations, *relation)?;
                (*column < view.table.columns.len()).then_some((view, *column))
            }
            ExprKind::Relabel(operand) => self.column_of(relations, operand),
            _ => None,
        }
    }

    /// The number of values of an expression among so many rows.
    pub(super) fn distinct_values(&self, relations: &[Relation], expr: &Expr, rows: f64) -> f64 {
        match self.column_of(relations, expr) {
            Some((view, column)) => view.distinct(column).min(rows),
            None if known_value(expr).is_some() => 1.0,
            None if expr.type_oid == trivet_types::oid::BOOL => 2.0,
            None => (rows / 5.0).max(1.0),
        }
    }

    /// The fraction of rows (of a product of relations) that pass.
    pub(super) fn selectivity(&self, relations: &[Relation], expr: &Expr) -> f64 {
        let part = |expr: &Expr| self.selectivity(relations, expr);
        let fraction = match &expr.kind {
            ExprKind::Constant(Datum::Bool(true)) => 1.0,
            ExprKind::Constant(_) => 0.0,
            ExprKind::And(terms) => terms.iter().map(part).product(),
            ExprKind::Or(terms) => 1.0 - terms.iter().map(|term| 1.0 - part(term)).product::<f64>(),
            ExprKind::Not(operand) => 1.0 - part(operand),
            ExprKind::IsNull { operand, negated } => {
                let known = self.column_of(relations, operand);
                let nulls = known.and_then(|(view, column)| view.column(column).map(|known| known.null_fraction));
                let nulls = nulls.unwrap_or(0.01);
                if *negated { 1.0 - nulls } else { nulls }
            }
            ExprKind::IsBoolean { negated, .. } => {
                if *negated {
                    0.6
                } else {
                    0.5
                }
            }
            ExprKind::Column { .. } if expr.type_oid == trivet_types::oid::BOOL => {
                match self.column_of(relations, expr) {
                    Some((view, column)) => view.equal(column, Some(&Datum::Bool(true))),
                    None => 0.5,
                }
            }
            ExprKind::Subquery(_) => 0.5,
            ExprKind::Call { procedure, arguments } => {
                let joins = matches!(arguments.as_slice(), [left, right]
                    if self.column_of(relations, left).is_some() && self.column_of(relations, right).is_some());
                match comparison_of(procedure) {
                    Some(Comparison::Equal) if joins => self.join_selectivity(relations, arguments),
                    Some(_) => self.comparison(relations, expr),
                    None if matches!(procedure.name, "textlike" | "texticlike" | "textregexeq" | "bpcharlike") => LIKE,
                    None if procedure.name.ends_with("ne") => 0.99,
                    None => OTHER,
                }
            }
            ExprKind::Quantified { all: false, .. } => self.comparison(relations, expr),
            _ => OTHER,
        };
        fraction.clamp(1.0e-9, 1.0)
    }

    fn join_selectivity(&self, relations: &[Relation], arguments: &[Expr]) -> f64 {
        let distinct = |expr: &Expr| {
            self.column_of(relations, expr).map_or(UNKNOWN_ROWS / 5.0, |(view, column)| view.distinct(column))
        };
        1.0 / arguments.iter().map(distinct).fold(1.0, f64::max)
    }

    /// A column against a value.
    fn comparison(&self, relations: &[Relation], expr: &Expr) -> f64 {
        let mut used = std::collections::BTreeSet::new();
        super::visit::used_relations(expr, 0, &mut used);
        for relation in used {
            let Some((column, comparison, value)) = steer(expr, relation) else { continue };
            let Some(view) = self.view_of(relations, relation) else { break };
            if column >= view.table.columns.len() {
                break;
            }
            let known = known_value(value);
            let known = known.as_ref();
            return match comparison {
                Comparison::Equal => view.equal(column, known),
                Comparison::AnyOf => (elements(value) * view.equal(column, None)).min(1.0),
                Comparison::Less | Comparison::LessOrEqual => view.between(column, None, Some(known)),
                Comparison::Greater | Comparison::GreaterOrEqual => view.between(column, Some(known), None),
            };
        }
        match &expr.kind {
            ExprKind::Call { procedure, .. } if comparison_of(procedure) == Some(Comparison::Equal) => 0.05,
            ExprKind::Quantified { left, .. } if plain_column(left, usize::MAX).is_none() => 0.1,
            _ => OTHER,
        }
    }
}
