//! What EXPLAIN shows of a plan besides its nodes: expressions as text, expected rows and costs.
//!
//! Only a plan that is made for EXPLAIN keeps them. A note belongs to a part of a node that only this node has, behind an
//! `Arc`, and is found by that part's place in memory, which does not change when nodes move into each other.
use super::access::{Access, Comparison};
use super::condition::{alternatives, steer, steers};
use super::node::{Plan, ScanNode};
use super::planner::Planner;
use super::search::Side;
use crate::analyze::print_names;
use crate::typed::{Expr, ExprKind, Query, Relation};
use std::collections::HashMap;
use std::sync::Arc;
use trivet_types::functions::string::quote_identifier;
use trivet_types::registry::registry;

/// A part of a node.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct PartOf(usize);

impl PartOf {
    pub fn new<T: ?Sized>(part: &Arc<T>) -> PartOf {
        PartOf(Arc::as_ptr(part).cast::<u8>() as usize)
    }
}

#[derive(Clone, Debug, Default)]
pub struct Note {
    /// Rows and width that are expected; `None`: as its input.
    pub rows: Option<f64>,
    pub width: Option<f64>,
    pub cost: Option<f64>,
    /// What the query calls a relation.
    pub alias: Option<String>,
    /// Labelled lines: `Filter`, `Hash Cond`, `Sort Key`.
    pub lines: Vec<(&'static str, String)>,
    /// Of a scan by several indexes: their names and conditions.
    pub branches: Vec<(String, String)>,
}

pub type Notes = HashMap<PartOf, Note>;

/// The names of a query's relations and their columns.
#[derive(Clone, Debug)]
pub(super) struct NamesOf {
    relations: Vec<(String, Vec<String>)>,
    group_keys: Vec<Expr>,
    aggregates: Vec<String>,
}

impl Plan {
    pub fn note<T: ?Sized>(&self, part: &Arc<T>) -> Option<&Note> {
        self.notes.get(&PartOf::new(part))
    }
}

impl Planner {
    pub(super) fn enter_names(&mut self, query: &Query) {
        if !self.explains {
            return;
        }
        let names = |relation: &Relation| {
            (relation.alias.clone(), relation.columns.iter().map(|column| column.name.clone()).collect())
        };
        let relations = query.relations.iter().map(names).collect();
        self.names.push(NamesOf { relations, group_keys: Vec::new(), aggregates: Vec::new() });
        if let crate::typed::Body::Select { grouping: Some(grouping), .. } = &query.body {
            let call = |aggregate: &crate::typed::Aggregate| {
                let arguments: Vec<String> = aggregate.arguments.iter().map(|argument| self.text(argument)).collect();
                let arguments = if aggregate.star { "*".to_owned() } else { arguments.join(", ") };
                let distinct = if aggregate.distinct { "DISTINCT " } else { "" };
                format!("{}({distinct}{arguments})", quote_identifier(aggregate.procedure.name))
            };
            let aggregates = grouping.aggregates.iter().map(call).collect();
            if let Some(names) = self.names.last_mut() {
                names.group_keys.clone_from(&grouping.keys);
                names.aggregates = aggregates;
            }
        }
    }

    pub(super) fn leave_names(&mut self) {
        if self.explains {
            self.names.pop();
        }
    }

    /// An expression as EXPLAIN shows it. Columns are qualified if the statement has more than one relation.
    pub(super) fn text(&self, expr: &Expr) -> String {
        let qualified = self.names.iter().map(|names| names.relations.len()).sum::<usize>() > 1;
        let column = |up: usize, relation: usize, column: usize| {
            let names = self.names.len().checked_sub(1 + up).and_then(|at| self.names.get(at));
            let Some((alias, columns)) = names.and_then(|names| names.relations.get(relation)) else {
                return "?column?".to_owned();
            };
            let column = columns.get(column).map_or_else(|| "ctid".to_owned(), |name| quote_identifier(name));
            if qualified { format!("{}.{column}", quote_identifier(alias)) } else { column }
        };
        let last = self.names.last();
        let key = |at: usize| last.and_then(|names| names.group_keys.get(at)).map(|key| self.text(key));
        let aggregate = |at: usize| last.and_then(|names| names.aggregates.get(at).cloned());
        print_names(expr, &column, &key, &aggregate)
    }

    fn list(&self, exprs: &[&Expr]) -> String {
        exprs.iter().map(|expr| self.text(expr)).collect::<Vec<_>>().join(", ")
    }

    fn conjunction_text(&self, exprs: &[&Expr]) -> String {
        let terms: Vec<String> = exprs.iter().map(|expr| self.text(expr)).collect();
        match terms.as_slice() {
            [only] => only.clone(),
            _ => format!("({})", terms.join(" AND ")),
        }
    }

    pub(super) fn note<T: ?Sized>(&mut self, part: &Arc<T>, change: impl FnOnce(&mut Note)) {
        if self.explains {
            change(self.notes.entry(PartOf::new(part)).or_default());
        }
    }

    fn note_side<T: ?Sized>(&mut self, part: &Arc<T>, side: Side) {
        self.note(part, |note| {
            (note.rows, note.width, note.cost) = (Some(side.rows), Some(side.width), Some(side.cost));
        });
    }

    pub(super) fn note_scan(
        &mut self,
        scan: &Arc<ScanNode>,
        relation: &Relation,
        at: usize,
        conditions: &[&Expr],
        side: Side,
    ) {
        if !self.explains {
            return;
        }
        self.note_side(scan, side);
        if let Access::Any(branches) = &scan.access {
            return self.note_branches(scan, branches, relation, at, conditions);
        }
        let mut steering: Vec<&Expr> = Vec::new();
        if let Access::Index { .. } = &scan.access {
            let columns = probed_columns(&scan.access, scan);
            let steers_here = |expr: &&&Expr| steers(expr, at).iter().any(|steer| columns.contains(&steer.column));
            steering = conditions.iter().filter(steers_here).copied().collect();
        }
        let rest: Vec<&Expr> = conditions
            .iter()
            .filter(|expr| !steering.iter().any(|other| std::ptr::eq(*other, **expr)))
            .copied()
            .collect();
        // LIKE steers by a range, and is tested as well.
        let mut range: Vec<Expr> = Vec::new();
        for expr in steering.iter().filter(|expr| steer(expr, at).is_none()) {
            let ExprKind::Call { arguments, .. } = &expr.kind else { continue };
            for found in steers(expr, at) {
                let name = if found.comparison == Comparison::GreaterOrEqual { ">=" } else { "<" };
                let type_oid = found.value.type_oid;
                let operators = registry().operators_named(name);
                let operator =
                    operators.iter().find(|operator| operator.left == type_oid && operator.right == type_oid);
                let procedure = operator.and_then(|operator| registry().procedure(operator.procedure));
                if let (Some(procedure), Some(column)) = (procedure, arguments.first()) {
                    let arguments = vec![column.clone(), found.value.into_owned()];
                    range.push(Expr { kind: ExprKind::Call { procedure, arguments }, ..(*expr).clone() });
                }
            }
        }
        let (ranged, mut exact): (Vec<&Expr>, Vec<&Expr>) =
            steering.iter().copied().partition(|expr| steer(expr, at).is_none());
        exact.extend(&range);
        let tested: Vec<&Expr> = rest.into_iter().chain(ranged).collect();
        let mut lines = Vec::new();
        if !exact.is_empty() {
            lines.push(("Index Cond", self.conjunction_text(&exact)));
        }
        if !tested.is_empty() {
            lines.push(("Filter", self.conjunction_text(&tested)));
        }
        let alias = relation.alias.clone();
        self.note(scan, |note| {
            note.alias = Some(alias);
            note.lines.extend(lines);
        });
    }

    fn note_branches(
        &mut self,
        scan: &Arc<ScanNode>,
        branches: &[Access],
        relation: &Relation,
        at: usize,
        conditions: &[&Expr],
    ) {
        let fits = |expr: &&&Expr| {
            alternatives(expr, at).is_some_and(|terms| {
                terms.len() == branches.len()
                    && terms.iter().zip(branches).all(|(term, branch)| {
                        let columns = probed_columns(branch, scan);
                        term.iter().any(|steer| columns.contains(&steer.column))
                    })
            })
        };
        let either = conditions.iter().find(fits).copied();
        let rest: Vec<&Expr> = conditions
            .iter()
            .filter(|expr| !either.is_some_and(|either| std::ptr::eq(either, **expr)))
            .copied()
            .collect();
        let mut lines = Vec::new();
        lines.extend(either.map(|either| ("Recheck Cond", self.text(either))));
        if !rest.is_empty() {
            lines.push(("Filter", self.conjunction_text(&rest)));
        }
        let terms: &[Expr] = match either.map(|either| &either.kind) {
            Some(ExprKind::Or(terms)) => terms,
            _ => &[],
        };
        let named = branches.iter().enumerate().filter_map(|(branch, access)| {
            let Access::Index { name, .. } = access else { return None };
            let columns = probed_columns(access, scan);
            let parts = match terms.get(branch).map(|term| &term.kind) {
                Some(ExprKind::And(parts)) => parts.as_slice(),
                _ => terms.get(branch).map(std::slice::from_ref).unwrap_or_default(),
            };
            let probed = |part: &&Expr| steers(part, at).iter().any(|steer| columns.contains(&steer.column));
            let probed: Vec<&Expr> = parts.iter().filter(probed).collect();
            Some((name.clone(), self.conjunction_text(&probed)))
        });
        let named = named.collect();
        let alias = relation.alias.clone();
        self.note(scan, |note| {
            note.alias = Some(alias);
            note.lines.extend(lines);
            note.branches = named;
        });
    }

    pub(super) fn note_join<T: ?Sized>(&mut self, part: &Arc<T>, side: Side, keys: &[&Expr], rest: &[&Expr]) {
        if !self.explains {
            return;
        }
        self.note_side(part, side);
        let mut lines = Vec::new();
        if !keys.is_empty() {
            lines.push(("Cond", self.conjunction_text(keys)));
        }
        if !rest.is_empty() {
            lines.push(("Join Filter", self.conjunction_text(rest)));
        }
        self.note(part, |note| note.lines.extend(lines));
    }

    pub(super) fn note_filter<T: ?Sized>(&mut self, part: &Arc<T>, side: Side, conditions: &[&Expr]) {
        if !self.explains {
            return;
        }
        self.note_side(part, side);
        let text = self.conjunction_text(conditions);
        self.note(part, |note| note.lines.push(("Filter", text)));
    }

    pub(super) fn note_having<T: ?Sized>(&mut self, part: &Arc<T>, having: &Expr, groups: f64) {
        if !self.explains {
            return;
        }
        let text = self.conjunction_text(&[having]);
        self.note(part, |note| {
            note.rows = Some((groups / 3.0).max(1.0));
            note.lines.push(("Filter", text));
        });
    }

    pub(super) fn note_sort<T: ?Sized>(&mut self, part: &Arc<T>, query: &Query) {
        if !self.explains {
            return;
        }
        let key = |key: &crate::typed::SortTarget| {
            let text = self.text(&query.targets[key.target].expr);
            let nulls = match (key.descending, key.nulls_first) {
                (false, true) => " NULLS FIRST",
                (true, false) => " NULLS LAST",
                _ => "",
            };
            format!("{text}{}{nulls}", if key.descending { " DESC" } else { "" })
        };
        let text = query.sort.iter().map(key).collect::<Vec<_>>().join(", ");
        self.note(part, |note| note.lines.push(("Sort Key", text)));
    }

    pub(super) fn note_list<T: ?Sized>(&mut self, part: &Arc<T>, label: &'static str, exprs: &[&Expr]) {
        if !self.explains {
            return;
        }
        let text = self.list(exprs);
        self.note(part, |note| note.lines.push((label, text)));
    }
}

/// The columns that an index scan's probe says something of.
fn probed_columns(access: &Access, scan: &ScanNode) -> Vec<usize> {
    let Access::Index { name, probe, .. } = access else { return Vec::new() };
    let keys = scan.table.indexes.iter().find(|index| index.name == *name).map(|index| index.keys.as_slice());
    let used = probe.equal.len() + usize::from(probe.range_column.is_some());
    keys.unwrap_or_default().iter().take(used).map(|key| key.column).collect()
}
