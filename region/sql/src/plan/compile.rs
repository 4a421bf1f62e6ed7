//! Typed expressions to compiled ones: every column finds its slot, or becomes a request to a row further out.
use super::domain::CompiledDomain;
use super::expr::{Compiled, ElementWay};
use super::membership::Membership;
use super::node::{Node, Subplan, SubplanKind};
use super::planner::Planner;
use crate::analyze::GROUPED_ROW;
use crate::planted::{self, Bug};
use crate::typed::{Expr, ExprKind, SubqueryKind};
use std::collections::HashMap;
use std::sync::Arc;
use trivet_types::modifier::Strictness;
use trivet_types::registry::{Body, CastContext, Coercion, coercion};
use trivet_types::{Datum, Oid, PgError, PgResult, RecordShape, element_of, oid};

/// Where the columns of the current query's relations are in a row.
#[derive(Clone, Debug, Default)]
pub struct Layout {
    /// Relation to the slot of its first column.
    offsets: HashMap<usize, usize>,
    pub width: usize,
    /// After grouping: keys first, then this many aggregates.
    pub grouped_keys: Option<usize>,
    /// After grouping: where the values of `GROUPING (...)` begin.
    groupings_at: usize,
    /// The slots of window function calls.
    pub windows: Vec<Option<usize>>,
    /// Columns of relations that are not here come from the row beside (a lateral join).
    pub lateral: bool,
}

impl Layout {
    pub fn of_relation(relation: usize, width: usize) -> Layout {
        Layout { offsets: HashMap::from([(relation, 0)]), width, ..Layout::default() }
    }
    pub fn grouped(keys: usize, aggregates: usize, groupings: usize) -> Layout {
        let groupings_at = keys + aggregates;
        Layout { width: groupings_at + groupings, grouped_keys: Some(keys), groupings_at, ..Layout::default() }
    }
    /// No columns of its own; if `lateral`, those of a row beside it are in reach.
    pub fn empty(lateral: bool) -> Layout {
        Layout { lateral, ..Layout::default() }
    }
    /// This row with another one after it.
    pub fn joined(&self, right: &Layout) -> Layout {
        let mut joined = self.clone();
        joined.offsets.extend(right.offsets.iter().map(|(relation, offset)| (*relation, offset + self.width)));
        joined.width += right.width;
        joined
    }
    pub fn offset(&self, relation: usize) -> Option<usize> {
        self.offsets.get(&relation).copied()
    }
    pub fn has(&self, relation: usize) -> bool {
        self.offsets.contains_key(&relation)
    }
    pub fn slot(&self, relation: usize, column: usize) -> Option<usize> {
        if relation == GROUPED_ROW {
            return self.grouped_keys.map(|_| column);
        }
        self.offset(relation).map(|offset| offset + column)
    }
}

/// A column of a row further out that something inside needs.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Request {
    pub relation: usize,
    pub column: usize,
    pub parameter: usize,
}

/// Expressions compiled together, with the subqueries that they need beneath them.
#[derive(Default)]
pub struct Compilation {
    pub subplans: Vec<Subplan>,
    /// Slots of the subqueries that several expressions share.
    shared: HashMap<usize, usize>,
}

impl Compilation {
    /// What came since `first` runs only where the guards are true. They are evaluated twice, so they have to be steady.
    fn guard(&mut self, first: usize, steady: bool, guards: impl FnOnce() -> Vec<Compiled>) {
        if !steady || first == self.subplans.len() {
            return;
        }
        let guards = guards();
        for subplan in self.subplans[first..].iter_mut().filter(|subplan| !subplan.shared) {
            // The outer ones, which come later, decide whether the inner ones are looked at.
            subplan.guards.splice(0..0, guards.iter().cloned());
        }
    }
}

/// The same whenever it is evaluated for one row.
fn is_steady(expr: &Expr) -> bool {
    let changes = |part: &Expr| match &part.kind {
        ExprKind::Call { procedure, .. } => {
            procedure.volatility() == trivet_types::registry::Volatility::Volatile
                && moves_sequence(procedure).is_none()
        }
        _ => false,
    };
    !expr.any(&mut |part| changes(part))
}

fn is_not(operand: Compiled, value: bool) -> Compiled {
    Compiled::IsBoolean { operand: Box::new(operand), value, negated: true }
}

impl Planner {
    /// Ask level `up` (0 = the current query's own row beside) for a column.
    fn request(&mut self, up: usize, relation: usize, column: usize) -> PgResult<usize> {
        let level = self.levels.len().checked_sub(1 + up).ok_or_else(|| PgError::internal("a column of no query"))?;
        let requests = &mut self.levels[level];
        if let Some(known) = requests.iter().find(|request| request.relation == relation && request.column == column) {
            return Ok(known.parameter);
        }
        let parameter = self.outer_count;
        self.outer_count += 1;
        self.levels[level].push(Request { relation, column, parameter });
        Ok(parameter)
    }

    /// What was asked of the current level, answered from a row of this layout.
    pub(super) fn answer(&mut self, layout: &Layout, from: usize) -> PgResult<Vec<(usize, usize)>> {
        let level = self.levels.last_mut().expect("planning happens inside a query");
        let requests: Vec<Request> = level.drain(from.min(level.len())..).collect();
        let mut sets = Vec::with_capacity(requests.len());
        for request in requests {
            match layout.slot(request.relation, request.column) {
                Some(slot) => sets.push((request.parameter, slot)),
                // Not here, then from beside this row: pass it on.
                None if layout.lateral => {
                    self.levels.last_mut().expect("planning happens inside a query").push(request);
                }
                None => return Err(PgError::internal("a subquery uses a column that is not in reach")),
            }
        }
        Ok(sets)
    }

    pub(super) fn requests(&self) -> usize {
        self.levels.last().map_or(0, Vec::len)
    }

    /// Compile where no subquery may be (keys of probes, lateral arguments).
    pub(super) fn compile_plain(&mut self, expr: &Expr, layout: &Layout) -> PgResult<Compiled> {
        let mut compilation = Compilation::default();
        let around = std::mem::replace(&mut self.plain, true);
        let compiled = self.compile(expr, layout, &mut compilation);
        self.plain = around;
        match compiled {
            Ok(_) if !compilation.subplans.is_empty() => Err(PgError::unsupported("a subquery in this place")),
            compiled => compiled,
        }
    }

    /// Compile expressions over a node's rows; subqueries are put beneath, as further slots.
    pub(super) fn compile_over(
        &mut self,
        node: Node,
        layout: &mut Layout,
        exprs: &[&Expr],
    ) -> PgResult<(Node, Vec<Compiled>)> {
        let mut compilation = Compilation::default();
        let compiled =
            exprs.iter().map(|expr| self.compile(expr, layout, &mut compilation)).collect::<PgResult<Vec<_>>>()?;
        Ok((apply(node, layout, compilation), compiled))
    }

    pub(super) fn compile(
        &mut self,
        expr: &Expr,
        layout: &Layout,
        compilation: &mut Compilation,
    ) -> PgResult<Compiled> {
        let mut boxed = |planner: &mut Self, expr: &Expr| planner.compile(expr, layout, compilation).map(Box::new);
        Ok(match &expr.kind {
            ExprKind::Constant(datum) => Compiled::Constant(datum.clone()),
            ExprKind::Parameter(index) => Compiled::Parameter(*index),
            ExprKind::Column { up: 0, relation, column } => match layout.slot(*relation, *column) {
                Some(slot) => Compiled::Slot(slot),
                None if layout.lateral => Compiled::Outer(self.request(0, *relation, *column)?),
                None => return Err(PgError::internal("a column has no place in the row")),
            },
            ExprKind::Column { up, relation, column } => Compiled::Outer(self.request(*up, *relation, *column)?),
            ExprKind::GroupKey(index) => Compiled::Slot(*index),
            ExprKind::Aggregate(index) => {
                let keys =
                    layout.grouped_keys.ok_or_else(|| PgError::internal("an aggregate outside of a grouped row"))?;
                Compiled::Slot(keys + index)
            }
            ExprKind::Window(index) => {
                let slot = layout.windows.get(*index).copied().flatten();
                Compiled::Slot(slot.ok_or_else(|| PgError::internal("a window function outside of its row"))?)
            }
            ExprKind::GroupingValue(index) => Compiled::Slot(layout.groupings_at + index),
            ExprKind::Grouping(_) => {
                let message = "arguments to GROUPING must be grouping expressions of the associated query level";
                return Err(PgError::new(trivet_types::sqlstate::GROUPING_ERROR, message));
            }
            ExprKind::Field { operand, field } => Compiled::Field { operand: boxed(self, operand)?, field: *field },
            ExprKind::Call { procedure, arguments } => {
                let Body::Scalar(mut function) = procedure.body else {
                    if let Some(slot) = self.set_slot(expr) {
                        return Ok(Compiled::Slot(slot));
                    }
                    return Err(PgError::unsupported("a set-returning function in this place"));
                };
                if planted::on(Bug::DivisionRounds) && procedure.name == "int4div" {
                    function = planted::int4_divide_rounding_down;
                }
                self.note_procedure(procedure);
                let arguments = self.compile_all(arguments, layout, compilation)?;
                if let Some(call) = crate::advisory::AdvisoryCall::of(procedure) {
                    let slot = layout.width + compilation.subplans.len();
                    let kind = SubplanKind::Advisory { call, arguments };
                    compilation.subplans.push(Subplan::of_call(kind));
                    return Ok(Compiled::Slot(slot));
                }
                if let ("pg_sleep" | "pg_sleep_for" | "pg_sleep_until", [argument]) =
                    (procedure.name, arguments.as_slice())
                {
                    let slot = layout.width + compilation.subplans.len();
                    let kind = SubplanKind::Sleep { argument: argument.clone() };
                    compilation.subplans.push(Subplan::of_call(kind));
                    return Ok(Compiled::Slot(slot));
                }
                if matches!(procedure.name, "currval" | "lastval") && !self.plain {
                    let slot = layout.width + compilation.subplans.len();
                    compilation.subplans.push(Subplan::of_call(SubplanKind::Current { function, arguments }));
                    return Ok(Compiled::Slot(slot));
                }
                if let Some(sets) = moves_sequence(procedure) {
                    self.advances = Some(if sets { "setval()" } else { "nextval()" });
                    let slot = layout.width + compilation.subplans.len();
                    let kind = SubplanKind::Sequence { sets, arguments };
                    compilation.subplans.push(Subplan::of_call(kind));
                    return Ok(Compiled::Slot(slot));
                }
                Compiled::Call { function, strict: procedure.is_strict(), arguments }
            }
            ExprKind::Convert(operand) => {
                self.note_conversion(operand.type_oid, expr.type_oid);
                Compiled::Convert { source: operand.type_oid, target: expr.type_oid, operand: boxed(self, operand)? }
            }
            ExprKind::ConvertElements(operand) => {
                let (source, target) = (
                    element_of(operand.type_oid).ok_or_else(|| PgError::internal("not an array"))?,
                    element_of(expr.type_oid).ok_or_else(|| PgError::internal("not an array"))?,
                );
                self.note_conversion(source, target);
                let way = match coercion(source, target, CastContext::Explicit) {
                    Some(Coercion::Procedure(procedure)) => match procedure.body {
                        Body::Scalar(function) => ElementWay::Function(function),
                        _ => ElementWay::Text,
                    },
                    Some(Coercion::Relabel) => ElementWay::Keep,
                    _ => ElementWay::Text,
                };
                Compiled::ConvertElements { operand: boxed(self, operand)?, source, target, way }
            }
            ExprKind::Relabel(operand) => return self.compile(operand, layout, compilation),
            ExprKind::Domain { operand, rules } => {
                Compiled::Domain { operand: boxed(self, operand)?, domain: Arc::new(CompiledDomain::of(rules)?) }
            }
            ExprKind::Fit { operand, explicit } => Compiled::Fit {
                operand: boxed(self, operand)?,
                target: expr.type_oid,
                modifier: expr.modifier,
                strictness: if *explicit { Strictness::Explicit } else { Strictness::Assignment },
            },
            ExprKind::And(terms) => {
                Compiled::And(self.in_turn(terms, layout, compilation, |before| is_not(Compiled::And(before), false))?)
            }
            ExprKind::Or(terms) => {
                Compiled::Or(self.in_turn(terms, layout, compilation, |before| is_not(Compiled::Or(before), true))?)
            }
            ExprKind::Not(operand) => Compiled::Not(boxed(self, operand)?),
            ExprKind::IsNull { operand, negated } => {
                Compiled::IsNull { operand: boxed(self, operand)?, negated: *negated }
            }
            ExprKind::IsBoolean { operand, value, negated } => {
                Compiled::IsBoolean { operand: boxed(self, operand)?, value: *value, negated: *negated }
            }
            ExprKind::Distinct { left, right, negated } => Compiled::Distinct {
                type_oid: left.type_oid,
                left: boxed(self, left)?,
                right: boxed(self, right)?,
                negated: *negated,
            },
            ExprKind::Case { branches, otherwise } => {
                let mut compiled: Vec<(Compiled, Compiled)> = Vec::with_capacity(branches.len());
                let mut steady = true;
                let none_before = |compiled: &[(Compiled, Compiled)]| {
                    let before: Vec<Compiled> = compiled.iter().map(|(when, _)| when.clone()).collect();
                    if before.is_empty() { vec![] } else { vec![is_not(Compiled::Or(before), true)] }
                };
                for (when, then) in branches {
                    let first = compilation.subplans.len();
                    let when_compiled = self.compile(when, layout, compilation)?;
                    compilation.guard(first, steady, || none_before(&compiled));
                    steady &= is_steady(when);
                    let second = compilation.subplans.len();
                    let then = self.compile(then, layout, compilation)?;
                    compilation.guard(second, steady, || {
                        let mut guards = none_before(&compiled);
                        guards.push(when_compiled.clone());
                        guards
                    });
                    compiled.push((when_compiled, then));
                }
                let first = compilation.subplans.len();
                let otherwise = match otherwise {
                    Some(otherwise) => Some(Box::new(self.compile(otherwise, layout, compilation)?)),
                    None => None,
                };
                compilation.guard(first, steady, || none_before(&compiled));
                Compiled::Case { branches: compiled, otherwise }
            }
            ExprKind::Coalesce(arguments) => {
                let is_null = |operand: Compiled| Compiled::IsNull { operand: Box::new(operand), negated: false };
                Compiled::Coalesce(self.in_turn(arguments, layout, compilation, |before| {
                    Compiled::And(before.into_iter().map(is_null).collect())
                })?)
            }
            ExprKind::Extreme { arguments, greatest } => Compiled::Extreme {
                arguments: self.compile_all(arguments, layout, compilation)?,
                type_oid: expr.type_oid,
                greatest: *greatest,
            },
            ExprKind::Quantified { procedure, left, right, all } => {
                let Body::Scalar(function) = procedure.body else {
                    return Err(PgError::internal("an operator that is no scalar function"));
                };
                let membership = membership(procedure, *all);
                let (left, right) = (boxed(self, left)?, boxed(self, right)?);
                Compiled::Quantified { function, left, right, all: *all, membership }
            }
            ExprKind::Array(items) => Compiled::Array {
                nested: items.first().is_some_and(|item| item.type_oid == expr.type_oid),
                element: element_of(expr.type_oid).unwrap_or(oid::TEXT),
                items: self.compile_all(items, layout, compilation)?,
            },
            ExprKind::Subscript { operand, indexes } => Compiled::Subscript {
                operand: boxed(self, operand)?,
                indexes: self.compile_all(indexes, layout, compilation)?,
            },
            ExprKind::Slice { operand, bounds } => {
                let operand = boxed(self, operand)?;
                let mut compiled = Vec::with_capacity(bounds.len());
                for (lower, upper) in bounds {
                    let mut bound = |expr: &Option<Expr>| {
                        expr.as_ref().map(|expr| self.compile(expr, layout, compilation)).transpose()
                    };
                    compiled.push((bound(lower)?, bound(upper)?));
                }
                Compiled::Slice { operand, bounds: compiled }
            }
            ExprKind::Row(items) => {
                let names = (1..=items.len()).map(|at| format!("f{at}")).collect();
                let shape = record_shape(names, items);
                Compiled::Row { items: self.compile_all(items, layout, compilation)?, shape, nullable: false }
            }
            ExprKind::NamedRow { names, items, nullable } => {
                let shape = record_shape(names.to_vec(), items);
                Compiled::Row { items: self.compile_all(items, layout, compilation)?, shape, nullable: *nullable }
            }
            ExprKind::Subquery(subquery) => {
                if let Some(slot) = subquery.shared.and_then(|shared| compilation.shared.get(&shared)) {
                    return Ok(Compiled::Slot(*slot));
                }
                let kind = match &subquery.kind {
                    SubqueryKind::Scalar => SubplanKind::Scalar,
                    SubqueryKind::Row => SubplanKind::Row(subquery.query.visible_targets().count()),
                    SubqueryKind::Exists => SubplanKind::Exists,
                    SubqueryKind::Array => SubplanKind::Array(element_of(expr.type_oid).unwrap_or(oid::TEXT)),
                    SubqueryKind::Quantified { left, procedures, row, all, negate } => SubplanKind::Quantified {
                        left: self.compile_all(left, layout, compilation)?,
                        procedures: procedures.clone(),
                        row: *row,
                        hashed: hashed_types(procedures, *all),
                        all: *all,
                        negate: *negate,
                    },
                };
                let slot = layout.width + compilation.subplans.len();
                let before = self.requests();
                let all_before: usize = self.levels.iter().map(Vec::len).sum();
                let root = Arc::new(self.subquery(&subquery.query)?);
                let all_after: usize = self.levels.iter().map(Vec::len).sum();
                let sets = self.answer(layout, before)?;
                if let Some(shared) = subquery.shared {
                    compilation.shared.insert(shared, slot);
                }
                let (constant, shared) = (all_before == all_after, subquery.shared.is_some());
                compilation.subplans.push(Subplan { root, kind, sets, constant, guards: Vec::new(), shared });
                Compiled::Slot(slot)
            }
        })
    }

    fn compile_all(
        &mut self,
        exprs: &[Expr],
        layout: &Layout,
        compilation: &mut Compilation,
    ) -> PgResult<Vec<Compiled>> {
        exprs.iter().map(|expr| self.compile(expr, layout, compilation)).collect()
    }

    /// Expressions of which a later one is looked at only if `guard`, over those before it, is true.
    fn in_turn(
        &mut self,
        exprs: &[Expr],
        layout: &Layout,
        compilation: &mut Compilation,
        guard: impl Fn(Vec<Compiled>) -> Compiled,
    ) -> PgResult<Vec<Compiled>> {
        let mut compiled: Vec<Compiled> = Vec::with_capacity(exprs.len());
        let mut steady = true;
        for expr in exprs {
            let first = compilation.subplans.len();
            let next = self.compile(expr, layout, compilation)?;
            compilation.guard(first, steady && !compiled.is_empty(), || vec![guard(compiled.clone())]);
            steady &= is_steady(expr);
            compiled.push(next);
        }
        Ok(compiled)
    }

    /// Catalog functions and `reg*` types need the catalog in memory.
    pub(super) fn note_procedure(&mut self, procedure: &trivet_types::registry::Procedure) {
        const CATALOG_FUNCTIONS: &[&str] = &[
            "pg_table_is_visible",
            "pg_get_indexdef",
            "pg_get_constraintdef",
            "pg_get_expr",
            "obj_description",
            "col_description",
            "to_regclass",
            "pg_relation_size",
            "pg_total_relation_size",
            "pg_table_size",
            "current_schema",
            "current_schemas",
            "currval",
            "trivet_sequence_state",
            "pg_get_viewdef",
            "pg_get_serial_sequence",
            "pg_sequence_last_value",
            "pg_get_userbyid",
            "shobj_description",
            "has_table_privilege",
            "has_sequence_privilege",
            "has_schema_privilege",
            "has_any_column_privilege",
            "has_column_privilege",
            "pg_has_role",
            "pg_type_is_visible",
            "format_type",
            "to_regtype",
            "pg_get_ruledef",
            "acldefault",
            "aclexplode",
            "to_regnamespace",
            "to_regrole",
            "pg_sequence_parameters",
            "has_database_privilege",
            "pg_relation_is_updatable",
            "pg_column_is_updatable",
            "pg_indexes_size",
            "regclass",
        ];
        if CATALOG_FUNCTIONS.contains(&procedure.name) {
            self.needs_catalog = true;
        }
    }

    pub(super) fn note_conversion(&mut self, source: Oid, target: Oid) {
        let named = |type_oid| {
            matches!(type_oid, oid::REGCLASS | oid::REGNAMESPACE | oid::REGROLE | oid::REGTYPE | oid::REGCLASS_ARRAY)
        };
        if named(source) || named(target) {
            self.needs_catalog = true;
        }
    }
}

fn record_shape(names: Vec<String>, items: &[Expr]) -> Arc<RecordShape> {
    Arc::new(RecordShape { names, types: items.iter().map(|item| item.type_oid).collect() })
}

/// `nextval` (false) and `setval` (true) wait for others, which no plain function can.
fn moves_sequence(procedure: &trivet_types::registry::Procedure) -> Option<bool> {
    match procedure.name {
        "nextval" => Some(false),
        "setval" => Some(true),
        _ => None,
    }
}

/// The types of `= ANY (subquery)` if a hash table answers it.
fn hashed_types(procedures: &[&'static trivet_types::registry::Procedure], all: bool) -> Option<Vec<Oid>> {
    let hashable = |procedure: &&trivet_types::registry::Procedure| match procedure.arguments {
        [left, right]
            if super::condition::is_equality(procedure) && super::condition::hash_compatible(*left, *right) =>
        {
            (!trivet_types::is_pseudo(*left)).then_some(*left)
        }
        _ => None,
    };
    if all { None } else { procedures.iter().map(hashable).collect() }
}

/// A hash table for `= ANY (array)` and `<> ALL (array)`.
fn membership(procedure: &trivet_types::registry::Procedure, all: bool) -> Option<Membership> {
    let operators = trivet_types::registry::registry().operators_named(if all { "<>" } else { "=" });
    let [left, right] = procedure.arguments else { return None };
    let is_one = operators.iter().any(|operator| operator.procedure == procedure.oid);
    let hashable = super::condition::hash_compatible(*left, *right) && !trivet_types::is_pseudo(*left);
    (is_one && hashable).then(|| Membership::new(*left, all))
}

/// Put subqueries beneath whatever uses their slots.
pub(super) fn apply(node: Node, layout: &mut Layout, compilation: Compilation) -> Node {
    if compilation.subplans.is_empty() {
        return node;
    }
    layout.width += compilation.subplans.len();
    Node::Apply { input: Box::new(node), subplans: Arc::new(compilation.subplans) }
}

/// AND's terms as a list.
pub(super) fn conjuncts(expr: Expr, out: &mut Vec<Expr>) {
    match expr.kind {
        ExprKind::And(terms) => terms.into_iter().for_each(|term| conjuncts(term, out)),
        ExprKind::Constant(Datum::Bool(true)) => {}
        _ => out.push(expr),
    }
}

/// Several conditions as one.
pub(super) fn conjunction(mut terms: Vec<Compiled>) -> Option<Compiled> {
    match terms.len() {
        0 => None,
        1 => terms.pop(),
        _ => Some(Compiled::And(terms)),
    }
}
