//! From a typed statement to a plan.
use super::compile::{Compilation, Layout, Request, apply, conjunction};
use super::cost::PlanSettings;
use super::expr::Compiled;
use super::guess::known_number;
use super::node::*;
use super::notes::{NamesOf, Notes};
use super::rewrite::rewritten;
use super::visit::{visit_columns, visit_query};
use super::window::skips_null;
use crate::catalog::Table;
use crate::planted::{self, Bug};
use crate::statistics::{Believed, Expected, Statistics};
use crate::typed::{self, Body, DistinctOn, Expr, ExprKind, Query, RelationSource, Statement, Target};
use std::cell::RefCell;
use std::sync::Arc;
use trivet_types::registry::Body as ProcedureBody;
use trivet_types::{Datum, Oid, PgError, PgResult};

/// Queries within queries, WITH included: as many as run on a thread's usual stack, by a wide margin.
const NESTING_MAX: usize = 80;

#[derive(Default)]
pub struct Planner {
    /// Requests to each query being planned, innermost last.
    pub(super) levels: Vec<Vec<Request>>,
    pub(super) outer_count: usize,
    pub(super) needs_catalog: bool,
    tables: Vec<Oid>,
    /// Rows of the tables that the plan is made for.
    believed: RefCell<Vec<Believed>>,
    expected: Expected,
    /// How deep queries have stood in queries.
    pub(super) deepest: usize,
    /// The statement's common table expressions, and what became of them.
    pub(super) common_bodies: Vec<typed::Common>,
    pub(super) common_slots: Vec<Option<usize>>,
    pub(super) commons: Vec<CommonPlan>,
    pub(super) settings: PlanSettings,
    pub(super) statistics: Arc<Statistics>,
    /// For EXPLAIN: keep notes.
    pub(super) explains: bool,
    pub(super) notes: Notes,
    /// The names of the queries around, innermost last.
    pub(super) names: Vec<NamesOf>,
    /// How many rows the query at hand is asked for, as far as is known.
    pub(super) wanted_rows: f64,
    /// What the only table of the query at hand should give its rows in the order of, and whether it does.
    pub(super) wanted_order: Option<Vec<(usize, bool)>>,
    pub(super) is_ordered: bool,
    /// Per query being planned: which columns of which relation anybody reads.
    pub(super) needed: Vec<Vec<Vec<bool>>>,
    /// A call that moves a sequence.
    pub(super) advances: Option<&'static str>,
    /// What is compiled has no place for slots.
    pub(super) plain: bool,
    pub(super) reads_beside_writes: bool,
    /// The next table that is read is that of WHERE CURRENT OF.
    pub(super) is_current: bool,
    /// Calls of set-returning functions whose values are in slots of the row at hand.
    pub(super) set_slots: Vec<(Expr, usize)>,
}

/// What a plan is made by, besides its statement.
#[derive(Clone, Debug, Default)]
pub struct Planning {
    pub settings: PlanSettings,
    pub statistics: Arc<Statistics>,
    /// Rows of the session that asks.
    pub expected: Expected,
    /// Keep what EXPLAIN shows.
    pub explains: bool,
}

/// Plan a statement.
pub fn plan_statement(statement: Statement, related: Arc<super::RelatedTables>, planning: &Planning) -> PgResult<Plan> {
    let mut planner = Planner {
        settings: planning.settings,
        statistics: Arc::clone(&planning.statistics),
        expected: planning.expected.clone(),
        explains: planning.explains,
        ..Planner::new()
    };
    let statement = match statement {
        Statement::With(commons, statement) => {
            planner.take_commons(commons)?;
            *statement
        }
        statement => statement,
    };
    let statement = &statement;
    let (mut row_ids, mut current_of) = (Vec::new(), None);
    let (root, columns, returns_rows, command, writes) = match statement {
        Statement::Query(query) => {
            let root = planner.subquery(query)?;
            let mut columns = result_columns(query.visible_targets());
            for (at, column) in columns.iter_mut().enumerate() {
                column.domain = query.domain_of_column(at);
            }
            columns.truncate(columns.len() - query.row_ids.len());
            row_ids.clone_from(&query.row_ids);
            (root, columns, true, Command::Select, !query.locks.is_empty())
        }
        Statement::Insert(insert) => {
            let root = planner.insert(insert)?;
            let columns = insert.returning.as_ref().map(|targets| result_columns(targets.iter()));
            (root, columns.clone().unwrap_or_default(), columns.is_some(), Command::Insert, true)
        }
        Statement::Update(update) => {
            current_of.clone_from(&update.current_of);
            let root = planner.update(update)?;
            let columns = update.returning.as_ref().map(|targets| result_columns(targets.iter()));
            (root, columns.clone().unwrap_or_default(), columns.is_some(), Command::Update, true)
        }
        Statement::Delete(delete) => {
            current_of.clone_from(&delete.current_of);
            let root = planner.delete(delete)?;
            let columns = delete.returning.as_ref().map(|targets| result_columns(targets.iter()));
            (root, columns.clone().unwrap_or_default(), columns.is_some(), Command::Delete, true)
        }
        Statement::Merge(merge) => (planner.merge(merge)?, Vec::new(), false, Command::Merge, true),
        Statement::With(..) => return Err(PgError::internal("WITH stands outside of a statement")),
    };
    if super::depth::is_too_deep(&root, &planner.commons) {
        return Err(crate::parser::too_deep());
    }
    // reg* columns show names.
    for column in &columns {
        planner.note_conversion(column.type_oid, column.type_oid);
    }
    Ok(Plan {
        root,
        columns,
        returns_rows,
        command,
        outer_count: planner.outer_count,
        needs_catalog: planner.needs_catalog,
        writes: writes || planner.commons.iter().any(|common| common.modifies),
        tables: planner.tables,
        believed: planner.believed.into_inner(),
        related,
        advances: planner.advances,
        reads_beside_writes: planner.reads_beside_writes || planner.commons.iter().any(|common| common.modifies),
        commons: planner.commons,
        row_ids,
        current_of,
        notes: planner.notes,
        settings: planner.settings,
    })
}

/// An expression without a row: a default, an argument of EXECUTE.
pub fn plan_expr(expr: &Expr) -> PgResult<Compiled> {
    let mut planner = Planner::new();
    planner.levels.push(Vec::new());
    planner.compile_plain(expr, &Layout::default())
}

/// An expression over one table's row, as `Compiled::evaluate_row` takes it.
pub fn plan_row_expr(expr: &Expr) -> PgResult<Compiled> {
    let mut planner = Planner::new();
    planner.levels.push(Vec::new());
    planner.compile_plain(expr, &Layout::of_relation(0, usize::MAX / 2))
}

/// A default, with the calls of sequences whose values are its row.
pub fn plan_default(expr: &Expr) -> PgResult<(Compiled, Vec<Subplan>)> {
    let mut planner = Planner::new();
    planner.levels.push(Vec::new());
    planner.plain = true;
    let mut compilation = Compilation::default();
    let compiled = planner.compile(expr, &Layout::default(), &mut compilation)?;
    let only_sequences = |subplan: &Subplan| matches!(subplan.kind, SubplanKind::Sequence { .. });
    if !compilation.subplans.iter().all(only_sequences) {
        return Err(PgError::unsupported("a subquery in this place"));
    }
    Ok((compiled, compilation.subplans))
}

pub(super) fn plan_rules(rules: &typed::TableRules) -> PgResult<super::TableRules> {
    let mut planner = Planner::new();
    planner.levels.push(Vec::new());
    planner.rules(rules)
}

/// CHECKs over a table's row.
pub fn plan_checks(checks: &[(String, Expr)]) -> PgResult<Vec<CheckExpr>> {
    let mut planner = Planner::new();
    planner.levels.push(Vec::new());
    planner.checks(checks)
}

fn result_columns<'t>(targets: impl Iterator<Item = &'t Target>) -> Vec<ResultColumn> {
    let column = |target: &Target| ResultColumn {
        name: target.name.clone(),
        type_oid: target.expr.type_oid,
        modifier: target.expr.modifier,
        origin: target.origin,
        domain: None,
    };
    targets.map(column).collect()
}

impl Planner {
    fn new() -> Planner {
        Planner::default()
    }

    pub(super) fn note_table(&mut self, table: &Arc<Table>) {
        self.believed_rows(table);
        if !self.tables.contains(&table.oid) {
            self.tables.push(table.oid);
        }
    }

    /// The rows of a table, asked for once a plan.
    pub(super) fn believed_rows(&self, table: &Arc<Table>) -> f64 {
        let known = self.believed.borrow().iter().find(|known| known.table.oid == table.oid).map(|known| known.rows);
        known.unwrap_or_else(|| {
            let counts = self.expected.counts(table.storage, &self.statistics);
            let rows = self.statistics.rows(table, counts);
            self.believed.borrow_mut().push(Believed { table: Arc::clone(table), rows });
            rows
        })
    }

    pub(super) fn needed_columns(&self, relation: usize, count: usize) -> Vec<bool> {
        self.needed.last().and_then(|needed| needed.get(relation)).cloned().unwrap_or_else(|| vec![true; count])
    }

    pub(super) fn note_needed(&mut self, query: &Query, more: &[&Expr]) {
        let mut needed: Vec<Vec<bool>> =
            query.relations.iter().map(|relation| vec![false; relation.columns.len()]).collect();
        let mut visit = |relation: usize, column: usize| {
            if let Some(needed) = needed.get_mut(relation).and_then(|columns| columns.get_mut(column)) {
                *needed = true;
            }
        };
        visit_query(query, 0, &mut visit);
        more.iter().for_each(|expr| visit_columns(expr, 0, &mut visit));
        self.needed.push(needed);
    }

    /// Something stands so many queries deeper than what is planned: it will run within all of them. 54001 if that is too deep.
    pub(super) fn note_nesting(&mut self, more: usize) -> PgResult<()> {
        self.deepest = self.deepest.max(self.levels.len() + more);
        if self.deepest > NESTING_MAX { Err(crate::parser::too_deep()) } else { Ok(()) }
    }

    /// A query, one level in. Its rows are its visible targets.
    pub(super) fn subquery(&mut self, query: &Query) -> PgResult<Node> {
        self.note_nesting(1)?;
        let query = &*rewritten(query);
        self.levels.push(Vec::new());
        // Another row is at hand in there.
        let set_slots = std::mem::take(&mut self.set_slots);
        self.note_needed(query, &[]);
        self.enter_names(query);
        let result = self.query(query);
        self.set_slots = set_slots;
        self.leave_names();
        self.needed.pop();
        let left = self.levels.pop().expect("pushed above");
        let node = result?;
        if !left.is_empty() {
            return Err(PgError::internal("a subquery asked for a column that nobody gave"));
        }
        Ok(node)
    }

    fn query(&mut self, query: &Query) -> PgResult<Node> {
        match &query.body {
            Body::Select { from, filter, grouping } => {
                self.wanted_order = index_order(query, !self.settings.sort);
                self.wanted_rows = wanted_rows(query);
                self.is_ordered = false;
                let mut part = self.from_where(&query.relations, from, filter.as_ref())?;
                self.wanted_order = None;
                let is_ordered = std::mem::take(&mut self.is_ordered);
                if let Some(grouping) = grouping {
                    let rows = self.group_rows(&query.relations, &grouping.keys, part.side.rows);
                    (part.node, part.layout) = self.grouping(part.node, part.layout, grouping, rows)?;
                }
                if !query.windows.is_empty() {
                    (part.node, part.layout) = self.windows(part.node, part.layout, query)?;
                }
                if !query.locks.is_empty() {
                    return self.locked_select(query, part.node, part.layout, filter.as_ref(), is_ordered);
                }
                self.select_list(query, part.node, part.layout, is_ordered)
            }
            Body::Values(rows) => {
                let node = self.value_rows(query, rows)?;
                self.order_and_limit(query, node, false)
            }
            Body::Set { operation, all, .. } => {
                let types = Arc::new(query.targets.iter().map(|target| target.expr.type_oid).collect());
                let mut nodes = Vec::new();
                for operand in operands(query) {
                    nodes.push(self.subquery(operand)?);
                }
                let node = balanced(nodes, |left, right| Node::Set {
                    operation: *operation,
                    all: *all,
                    left: Box::new(left),
                    right: Box::new(right),
                    types: Arc::clone(&types),
                });
                let node = node.ok_or_else(|| PgError::internal("a set operation without operands"))?;
                self.order_and_limit(query, node, false)
            }
        }
    }

    /// VALUES. A row with a subquery, or with a sequence's next value, is a query of its own: they run one after the other.
    fn value_rows(&mut self, query: &Query, rows: &[Vec<Expr>]) -> PgResult<Node> {
        let width = query.targets.len();
        let mut parts: Vec<Node> = Vec::new();
        let mut plain: Vec<Vec<Compiled>> = Vec::new();
        for row in rows {
            let mut compilation = Compilation::default();
            let layout = Layout::default();
            let compiled = row.iter().map(|expr| self.compile(expr, &layout, &mut compilation));
            let compiled = compiled.collect::<PgResult<Vec<_>>>()?;
            if compilation.subplans.is_empty() {
                plain.push(compiled);
                continue;
            }
            if !plain.is_empty() {
                parts.push(Node::Values { rows: Arc::new(std::mem::take(&mut plain)), width });
            }
            let one = Node::Values { rows: Arc::new(vec![vec![]]), width: 0 };
            let input = apply(one, &mut Layout::default(), compilation);
            parts.push(Node::Project { input: Box::new(input), exprs: Arc::new(compiled) });
        }
        if !plain.is_empty() || parts.is_empty() {
            parts.push(Node::Values { rows: Arc::new(plain), width });
        }
        let types: Arc<Vec<Oid>> = Arc::new(query.targets.iter().map(|target| target.expr.type_oid).collect());
        let node = balanced(parts, |left, right| Node::Set {
            operation: crate::parser::tree::SetOperation::Union,
            all: true,
            left: Box::new(left),
            right: Box::new(right),
            types: Arc::clone(&types),
        });
        node.ok_or_else(|| PgError::internal("VALUES without rows"))
    }

    fn grouping(
        &mut self,
        node: Node,
        mut layout: Layout,
        grouping: &typed::Grouping,
        rows: f64,
    ) -> PgResult<(Node, Layout)> {
        let sets = self.set_slots.len();
        let shown: Vec<&Expr> = grouping.keys.iter().collect();
        let node = self.set_levels(node, &mut layout, &shown)?;
        let grouped = self.grouping_over(node, layout, grouping, rows);
        self.set_slots.truncate(sets);
        grouped
    }

    fn grouping_over(
        &mut self,
        node: Node,
        mut layout: Layout,
        grouping: &typed::Grouping,
        rows: f64,
    ) -> PgResult<(Node, Layout)> {
        let mut compilation = Compilation::default();
        let mut keys = Vec::with_capacity(grouping.keys.len());
        for key in &grouping.keys {
            keys.push((self.compile(key, &layout, &mut compilation)?, key.type_oid));
        }
        let mut calls = Vec::with_capacity(grouping.aggregates.len());
        for aggregate in &grouping.aggregates {
            calls.push(self.aggregate(aggregate, &layout, &mut compilation)?);
        }
        let input = apply(node, &mut layout, compilation);
        let mut grouped = Layout::grouped(keys.len(), calls.len(), grouping.groupings.len());
        grouped.lateral = layout.lateral;
        let all: Vec<usize> = (0..keys.len()).collect();
        let sets = match &grouping.sets {
            None if grouping.groupings.is_empty() => None,
            sets => {
                let sets = sets.as_deref().unwrap_or(std::slice::from_ref(&all));
                let of = |set: &Vec<usize>| all.iter().map(|key| set.contains(key)).collect();
                let (sets, groupings) = (sets.iter().map(of).collect(), grouping.groupings.clone());
                Some(Arc::new(GroupingSets { sets, groupings }))
            }
        };
        let keys = Arc::new(keys);
        self.note(&keys, |note| note.rows = Some(rows));
        if !grouping.keys.is_empty() {
            let shown: Vec<&Expr> = grouping.keys.iter().collect();
            self.note_list(&keys, "Group Key", &shown);
        }
        let mut node = Node::Aggregate { input: Box::new(input), keys, calls: Arc::new(calls), sets };
        let ignored = grouping.keys.is_empty() && planted::on(Bug::HavingWithoutGroups);
        if let Some(having) = grouping.having.as_ref().filter(|_| !ignored) {
            let (beneath, mut compiled) = self.compile_over(node, &mut grouped, &[having])?;
            let predicate = Arc::new(compiled.remove(0));
            self.note_having(&predicate, having, rows);
            node = Node::Filter { input: Box::new(beneath), predicate };
        }
        Ok((node, grouped))
    }

    fn aggregate(
        &mut self,
        aggregate: &typed::Aggregate,
        layout: &Layout,
        compilation: &mut Compilation,
    ) -> PgResult<AggregateCall> {
        let arguments = aggregate.arguments.iter().map(|argument| self.compile(argument, layout, compilation));
        let arguments = arguments.collect::<PgResult<Vec<_>>>()?;
        let filter = match &aggregate.filter {
            Some(filter) => Some(self.compile(filter, layout, compilation)?),
            None => None,
        };
        let mut order_by = Vec::with_capacity(aggregate.order_by.len());
        for (expr, descending, nulls_first) in &aggregate.order_by {
            let (descending, nulls_first) = (*descending, *nulls_first);
            let compiled = self.compile(expr, layout, compilation)?;
            order_by.push(SortKey { expr: compiled, type_oid: expr.type_oid, descending, nulls_first });
        }
        Ok(AggregateCall {
            procedure: aggregate.procedure,
            arguments,
            argument_types: aggregate.argument_types.clone(),
            distinct: aggregate.distinct,
            filter,
            order_by,
            skips_null: skips_null(aggregate.procedure, aggregate.star),
        })
    }

    /// Targets, then DISTINCT, ORDER BY, LIMIT; at last only what is visible.
    fn select_list(&mut self, query: &Query, node: Node, mut layout: Layout, is_ordered: bool) -> PgResult<Node> {
        let exprs: Vec<&Expr> = query.targets.iter().map(|target| &target.expr).collect();
        let has_set = |expr: &Expr| {
            expr.any(&mut |part| matches!(&part.kind, ExprKind::Call { procedure, .. } if procedure.returns_set()))
        };
        let node = if super::sets::has_nested(&exprs) {
            self.nested_sets(node, &mut layout, &exprs)?
        } else if exprs.iter().any(|expr| has_set(expr)) {
            self.project_set(node, &mut layout, &exprs)?
        } else {
            let (beneath, compiled) = self.compile_over(node, &mut layout, &exprs)?;
            Node::Project { input: Box::new(beneath), exprs: Arc::new(compiled) }
        };
        self.order_and_limit(query, node, is_ordered)
    }

    /// One call of ROWS FROM.
    pub(super) fn set_target(&mut self, call: &Expr, layout: &Layout) -> PgResult<SetTarget> {
        match &call.kind {
            ExprKind::Call { procedure, arguments } if matches!(procedure.body, ProcedureBody::Set(_)) => {
                let arguments = arguments.iter().map(|argument| self.compile_plain(argument, layout));
                Ok(SetTarget::Set { procedure, arguments: arguments.collect::<PgResult<_>>()? })
            }
            _ => Ok(SetTarget::Plain(self.compile_plain(call, layout)?)),
        }
    }

    /// Set-returning functions that are targets, beside others that are none.
    fn project_set(&mut self, node: Node, layout: &mut Layout, exprs: &[&Expr]) -> PgResult<Node> {
        let mut compilation = Compilation::default();
        let mut targets = Vec::with_capacity(exprs.len());
        for expr in exprs {
            let mut called = *expr;
            // Another name for the same values is as good.
            while let ExprKind::Relabel(operand) = &called.kind {
                called = operand;
            }
            match &called.kind {
                ExprKind::Call { procedure, arguments } if matches!(procedure.body, ProcedureBody::Set(_)) => {
                    self.note_procedure(procedure);
                    let arguments = arguments.iter().map(|argument| self.compile(argument, layout, &mut compilation));
                    targets.push(SetTarget::Set { procedure, arguments: arguments.collect::<PgResult<_>>()? });
                }
                _ => targets.push(SetTarget::Plain(self.compile(expr, layout, &mut compilation)?)),
            }
        }
        let input = apply(node, layout, compilation);
        Ok(Node::ProjectSet { input: Box::new(input), exprs: Arc::new(targets) })
    }

    /// Over rows that are the targets.
    fn order_and_limit(&mut self, query: &Query, mut node: Node, is_ordered: bool) -> PgResult<Node> {
        let type_of = |target: usize| query.targets[target].expr.type_oid;
        let sort_keys = || {
            let key = |key: &typed::SortTarget| SortKey {
                expr: Compiled::Slot(key.target),
                type_oid: type_of(key.target),
                descending: key.descending,
                nulls_first: key.nulls_first,
            };
            Arc::new(query.sort.iter().map(key).collect::<Vec<_>>())
        };
        let (limit, offset, subplans) = self.limits(query)?;
        let sort_keys = sort_keys();
        if !query.sort.is_empty() {
            self.note_sort(&sort_keys, query);
        }
        let sort_keys = || Arc::clone(&sort_keys);
        match &query.distinct {
            Some(DistinctOn::All) => {
                let columns =
                    (0..query.targets.len()).filter(|at| !query.targets[*at].hidden).map(|at| (at, type_of(at)));
                let columns = Arc::new(columns.collect());
                let shown: Vec<&Expr> = query.visible_targets().map(|target| &target.expr).collect();
                self.note_list(&columns, "Group Key", &shown);
                node = Node::Distinct { input: Box::new(node), columns };
                if !query.sort.is_empty() {
                    node = Node::Sort { input: Box::new(node), keys: sort_keys(), limit: None };
                }
            }
            Some(DistinctOn::Targets(on)) => {
                if !query.sort.is_empty() {
                    node = Node::Sort { input: Box::new(node), keys: sort_keys(), limit: None };
                }
                let (input, columns) = (Box::new(node), on.iter().map(|at| (*at, type_of(*at))));
                let columns = Arc::new(columns.collect());
                // What it is distinct on comes first in the order: equal rows stand together.
                let sorted = !query.sort.is_empty();
                node = if sorted { Node::Unique { input, columns } } else { Node::Distinct { input, columns } };
            }
            None if !query.sort.is_empty() && !is_ordered => {
                // With a plain LIMIT only the first rows need to be kept.
                let plain = offset.is_none() && !query.with_ties && subplans.is_empty();
                let top = if plain { limit.clone() } else { None };
                node = Node::Sort { input: Box::new(node), keys: sort_keys(), limit: top };
            }
            None => {}
        }
        if limit.is_some() || offset.is_some() {
            let ties = query.with_ties.then(sort_keys);
            node = Node::Limit { input: Box::new(node), limit, offset, ties, subplans };
        }
        Ok(cut(node, &query.targets))
    }

    /// LIMIT and OFFSET, and the subqueries that they need.
    #[allow(clippy::type_complexity)]
    fn limits(&mut self, query: &Query) -> PgResult<(Option<Arc<Compiled>>, Option<Arc<Compiled>>, Arc<Vec<Subplan>>)> {
        let mut compilation = Compilation::default();
        let mut compiled = |expr: &Option<Expr>| -> PgResult<Option<Arc<Compiled>>> {
            match expr {
                None => Ok(None),
                Some(expr) => Ok(Some(Arc::new(self.compile(expr, &Layout::default(), &mut compilation)?))),
            }
        };
        let (limit, offset) = (compiled(&query.limit)?, compiled(&query.offset)?);
        Ok((limit, offset, Arc::new(compilation.subplans)))
    }

    /// With row locks the order is: sort, lock, project, limit. Only rows that are returned are locked.
    fn locked_select(
        &mut self,
        query: &Query,
        node: Node,
        mut layout: Layout,
        filter: Option<&Expr>,
        is_ordered: bool,
    ) -> PgResult<Node> {
        let mut locks = Vec::with_capacity(query.locks.len());
        for lock in &query.locks {
            let RelationSource::Table(table) = &query.relations[lock.relation].source else {
                return Err(PgError::internal("only tables are locked"));
            };
            let offset =
                layout.offset(lock.relation).ok_or_else(|| PgError::internal("a locked table has no place"))?;
            locks.push(LockNode { table: Arc::clone(table), offset, strength: lock.strength, wait: lock.wait });
        }
        let recheck = self.recheck(filter, query, &layout)?;
        let mut node = node;
        if !query.sort.is_empty() && !is_ordered {
            let exprs: Vec<&Expr> = query.sort.iter().map(|key| &query.targets[key.target].expr).collect();
            let (beneath, compiled) = self.compile_over(node, &mut layout, &exprs)?;
            let keys = query.sort.iter().zip(compiled).map(|(key, expr)| SortKey {
                expr,
                type_oid: query.targets[key.target].expr.type_oid,
                descending: key.descending,
                nulls_first: key.nulls_first,
            });
            node = Node::Sort { input: Box::new(beneath), keys: Arc::new(keys.collect()), limit: None };
        }
        node = Node::Lock { input: Box::new(node), locks: Arc::new(locks), recheck: recheck.map(Arc::new) };
        let exprs: Vec<&Expr> = query.targets.iter().map(|target| &target.expr).collect();
        let (beneath, compiled) = self.compile_over(node, &mut layout, &exprs)?;
        node = Node::Project { input: Box::new(beneath), exprs: Arc::new(compiled) };
        let (limit, offset, subplans) = self.limits(query)?;
        if limit.is_some() || offset.is_some() {
            let key = |key: &typed::SortTarget| SortKey {
                expr: Compiled::Slot(key.target),
                type_oid: query.targets[key.target].expr.type_oid,
                descending: key.descending,
                nulls_first: key.nulls_first,
            };
            let ties = query.with_ties.then(|| Arc::new(query.sort.iter().map(key).collect()));
            node = Node::Limit { input: Box::new(node), limit, offset, ties, subplans };
        }
        Ok(cut(node, &query.targets))
    }

    /// All conditions of a query in one, over its whole row: to look at a newer version of a row again. Conditions with
    /// subqueries keep the answer that they had.
    fn recheck(&mut self, filter: Option<&Expr>, query: &Query, layout: &Layout) -> PgResult<Option<Compiled>> {
        let mut terms = Vec::new();
        if let Some(filter) = filter {
            super::compile::conjuncts(filter.clone(), &mut terms);
        }
        if let Body::Select { from, .. } = &query.body {
            from.iter().for_each(|part| inner_conditions(part, &mut terms));
        }
        terms.retain(|term| !term.any(&mut |part| matches!(part.kind, ExprKind::Subquery(_))));
        let compiled = terms.iter().map(|term| self.compile_plain(term, layout)).collect::<PgResult<Vec<_>>>()?;
        Ok(conjunction(compiled))
    }

    fn checks(&mut self, checks: &[(String, Expr)]) -> PgResult<Vec<CheckExpr>> {
        let mut compiled = Vec::with_capacity(checks.len());
        for (name, expr) in checks {
            let columns = Layout::of_relation(0, usize::MAX / 2);
            compiled.push(CheckExpr { name: name.clone(), expr: self.compile_plain(expr, &columns)? });
        }
        Ok(compiled)
    }

    pub(super) fn rules(&mut self, rules: &typed::TableRules) -> PgResult<super::TableRules> {
        let row = Layout::of_relation(0, usize::MAX / 2);
        let mut compiled = super::TableRules { checks: self.checks(&rules.checks)?, ..super::TableRules::default() };
        for (column, value) in &rules.generated {
            compiled.generated.push((*column, self.compile_plain(value, &row)?));
        }
        for rule in &rules.indexes {
            let mut keys = Vec::with_capacity(rule.keys.len());
            for key in &rule.keys {
                keys.push(key.as_ref().map(|key| self.compile_plain(key, &row)).transpose()?);
            }
            let filter = rule.filter.as_ref().map(|filter| self.compile_plain(filter, &row)).transpose()?;
            compiled.indexes.push(super::CompiledIndex { index: rule.index, keys, filter });
        }
        Ok(compiled)
    }

    pub(super) fn insert(&mut self, insert: &typed::Insert) -> PgResult<Node> {
        self.note_table(&insert.table);
        let source = self.subquery(&insert.source)?;
        self.levels.push(Vec::new());
        let width = insert.source.visible_targets().count();
        let mut layout = Layout::of_relation(0, width);
        let exprs: Vec<&Expr> = insert.values.iter().filter_map(typed::InsertValue::expr).collect();
        let (source, compiled) = self.compile_over(source, &mut layout, &exprs)?;
        let mut compiled = compiled.into_iter();
        let mut values = Vec::with_capacity(insert.values.len());
        for value in &insert.values {
            values.push(match value {
                typed::InsertValue::Null => Compiled::Constant(Datum::Null),
                typed::InsertValue::Expr(_) => compiled.next().expect("one for each expression"),
            });
        }
        let row = Layout::of_relation(0, insert.table.columns.len() + 1);
        let conflict = match &insert.on_conflict {
            None => None,
            Some(conflict) => {
                let both = row.joined(&Layout::of_relation(1, insert.table.columns.len() + 1));
                let update = match &conflict.update {
                    None => None,
                    Some(update) => {
                        let mut compilation = Compilation::default();
                        let mut assignments = Vec::with_capacity(update.assignments.len());
                        for (column, expr) in &update.assignments {
                            assignments.push((*column, self.compile(expr, &both, &mut compilation)?));
                        }
                        let filter = match &update.filter {
                            Some(filter) => Some(self.compile(filter, &both, &mut compilation)?),
                            None => None,
                        };
                        self.reads_beside_writes |= !compilation.subplans.is_empty();
                        Some(ConflictUpdateNode { assignments, filter, subplans: Arc::new(compilation.subplans) })
                    }
                };
                Some(ConflictNode { indexes: conflict.indexes.clone(), update })
            }
        };
        let rules = self.rules(&insert.rules)?;
        let table = Arc::clone(&insert.table);
        let build = |returning| {
            let node = InsertNode { table, values, rules, conflict, returning };
            Node::Insert { input: Box::new(source), insert: Arc::new(node) }
        };
        // Behind the row's id: whether ON CONFLICT updated it.
        let shown = Layout::of_relation(0, insert.table.columns.len() + 2);
        let node = self.returning(&insert.returning, shown, build)?;
        self.levels.pop();
        Ok(node)
    }

    /// A change with its RETURNING. What it returns of subqueries is computed above it, over the whole row.
    fn returning(
        &mut self,
        returning: &Option<Vec<Target>>,
        mut layout: Layout,
        build: impl FnOnce(Option<Vec<Compiled>>) -> Node,
    ) -> PgResult<Node> {
        let Some(targets) = returning else { return Ok(build(None)) };
        let has_subquery = |expr: &Expr| expr.any(&mut |part| matches!(part.kind, ExprKind::Subquery(_)));
        if !targets.iter().any(|target| has_subquery(&target.expr)) {
            let compiled = targets.iter().map(|target| self.compile_plain(&target.expr, &layout));
            return Ok(build(Some(compiled.collect::<PgResult<_>>()?)));
        }
        self.reads_beside_writes = true;
        let node = build(Some((0..layout.width).map(Compiled::Slot).collect()));
        let exprs: Vec<&Expr> = targets.iter().map(|target| &target.expr).collect();
        let (beneath, compiled) = self.compile_over(node, &mut layout, &exprs)?;
        Ok(Node::Project { input: Box::new(beneath), exprs: Arc::new(compiled) })
    }

    pub(super) fn update(&mut self, update: &typed::Update) -> PgResult<Node> {
        self.note_table(&update.table);
        let assigned = update.assignments.iter().map(|(_, expr)| expr);
        let returned = update.returning.iter().flatten().map(|target| &target.expr);
        let (query, mut exprs) = rewritten_with(&update.query, assigned.chain(returned));
        let returned = exprs.split_off(update.assignments.len());
        let assignments = update.assignments.iter().map(|(column, _)| *column).zip(exprs).collect();
        let returning = update.returning.as_ref().map(|targets| with_exprs(targets, returned));
        let update = &typed::Update { assignments, returning, ..update.clone() };
        self.levels.push(Vec::new());
        let mut more: Vec<&Expr> = update.assignments.iter().map(|(_, expr)| expr).collect();
        more.extend(update.returning.iter().flatten().map(|target| &target.expr));
        self.note_needed(&query, &more);
        self.enter_names(&query);
        let result = self.update_node(update, &query);
        self.leave_names();
        self.needed.pop();
        self.levels.pop();
        result
    }

    fn update_node(&mut self, update: &typed::Update, query: &Query) -> PgResult<Node> {
        let Body::Select { from, filter, .. } = &query.body else {
            return Err(PgError::internal("UPDATE reads like a SELECT"));
        };
        self.is_current = update.current_of.is_some();
        let part = self.from_where(&query.relations, from, filter.as_ref())?;
        let (node, mut layout) = (part.node, part.layout);
        let offset = layout.offset(0).ok_or_else(|| PgError::internal("the updated table has no place"))?;
        let recheck = self.recheck(filter.as_ref(), query, &layout)?;
        let exprs: Vec<&Expr> = update.assignments.iter().map(|(_, expr)| expr).collect();
        let (node, compiled) = self.compile_over(node, &mut layout, &exprs)?;
        let assignments: Vec<(usize, Compiled)> =
            update.assignments.iter().map(|(column, _)| *column).zip(compiled).collect();
        let generated = update.rules.generated.iter().map(|(column, _)| *column);
        let changes_key = assignments
            .iter()
            .map(|(column, _)| *column)
            .chain(generated)
            .any(|column| update.table.is_in_unique_index(column));
        let rules = self.rules(&update.rules)?;
        let (table, joined) = (Arc::clone(&update.table), update.query.relations.len() > 1);
        self.returning(&update.returning, layout, |returning| {
            let update = UpdateNode { table, offset, assignments, rules, recheck, returning, changes_key, joined };
            Node::Update { input: Box::new(node), update: Arc::new(update) }
        })
    }

    pub(super) fn delete(&mut self, delete: &typed::Delete) -> PgResult<Node> {
        self.note_table(&delete.table);
        let returned = delete.returning.iter().flatten().map(|target| &target.expr);
        let (query, exprs) = rewritten_with(&delete.query, returned);
        let returning = delete.returning.as_ref().map(|targets| with_exprs(targets, exprs));
        let delete = &typed::Delete { returning, ..delete.clone() };
        self.levels.push(Vec::new());
        let more: Vec<&Expr> = delete.returning.iter().flatten().map(|target| &target.expr).collect();
        self.note_needed(&query, &more);
        self.enter_names(&query);
        let result = self.delete_node(delete, &query);
        self.leave_names();
        self.needed.pop();
        self.levels.pop();
        result
    }

    fn delete_node(&mut self, delete: &typed::Delete, query: &Query) -> PgResult<Node> {
        let Body::Select { from, filter, .. } = &query.body else {
            return Err(PgError::internal("DELETE reads like a SELECT"));
        };
        self.is_current = delete.current_of.is_some();
        let part = self.from_where(&query.relations, from, filter.as_ref())?;
        let layout = part.layout;
        let offset = layout.offset(0).ok_or_else(|| PgError::internal("the table has no place"))?;
        let recheck = self.recheck(filter.as_ref(), query, &layout)?;
        let rules = self.rules(&delete.rules)?;
        let (table, joined) = (Arc::clone(&delete.table), delete.query.relations.len() > 1);
        self.returning(&delete.returning, layout, |returning| {
            let delete = DeleteNode { table, offset, rules, recheck, returning, joined };
            Node::Delete { input: Box::new(part.node), delete: Arc::new(delete) }
        })
    }
}

/// Nodes joined in pairs, pairs in pairs, in their order, so that a thousand are ten levels.
fn balanced(mut nodes: Vec<Node>, join: impl Fn(Node, Node) -> Node) -> Option<Node> {
    while nodes.len() > 1 {
        let mut paired = Vec::with_capacity(nodes.len().div_ceil(2));
        let mut left = nodes.into_iter();
        while let Some(first) = left.next() {
            paired.push(match left.next() {
                None => first,
                Some(second) => join(first, second),
            });
        }
        nodes = paired;
    }
    nodes.pop()
}

/// What a set operation is of: of a chain of one kind of UNION, all its parts, for they may be joined in any grouping.
fn operands(query: &Query) -> Vec<&Query> {
    let Body::Set { operation, all, .. } = &query.body else { return vec![query] };
    let is_union = *operation == crate::parser::tree::SetOperation::Union;
    let types = |query: &Query| query.visible_targets().map(|target| target.expr.type_oid).collect::<Vec<_>>();
    let whole = types(query);
    let mut found = Vec::new();
    let mut at = query;
    loop {
        let plain = at.distinct.is_none() && at.sort.is_empty() && at.limit.is_none() && at.offset.is_none();
        match &at.body {
            Body::Set { operation: own, all: own_all, left, right }
                if std::ptr::eq(at, query)
                    || (is_union && plain && own == operation && own_all == all && types(at) == whole) =>
            {
                found.push(&**right);
                at = left;
            }
            _ => break,
        }
    }
    found.push(at);
    found.reverse();
    found
}

/// A query rewritten together with expressions over its rows: what rewriting moves, moves for them as well.
pub(super) fn rewritten_with<'e>(query: &Query, exprs: impl Iterator<Item = &'e Expr>) -> (Query, Vec<Expr>) {
    let mut query = query.clone();
    let target = |expr: &Expr| Target { name: String::new(), expr: expr.clone(), hidden: false, origin: None };
    query.targets = exprs.map(target).collect();
    let mut query = rewritten(&query).into_owned();
    let exprs = std::mem::take(&mut query.targets).into_iter().map(|target| target.expr).collect();
    (query, exprs)
}

fn with_exprs(targets: &[Target], exprs: Vec<Expr>) -> Vec<Target> {
    targets.iter().zip(exprs).map(|(target, expr)| Target { expr, ..target.clone() }).collect()
}

/// The order that an index may give a query: plain columns of its only table, for as many rows as a LIMIT asks for.
pub(super) fn index_order(query: &Query, even_without_limit: bool) -> Option<Vec<(usize, bool)>> {
    let Body::Select { from, grouping: None, .. } = &query.body else { return None };
    let [typed::From::Relation(only)] = from.as_slice() else { return None };
    let sets = |expr: &Expr| {
        expr.any(&mut |part| matches!(&part.kind, ExprKind::Call { procedure, .. } if procedure.returns_set()))
    };
    if (query.limit.is_none() && !even_without_limit)
        || query.sort.is_empty()
        || query.distinct.is_some()
        || !query.windows.is_empty()
        || query.targets.iter().any(|target| sets(&target.expr))
    {
        return None;
    }
    let column = |key: &typed::SortTarget| match query.targets[key.target].expr.kind {
        ExprKind::Column { up: 0, relation, column } if relation == *only && key.nulls_first == key.descending => {
            Some((column, key.descending))
        }
        _ => None,
    };
    query.sort.iter().map(column).collect()
}

/// How many rows a query's LIMIT asks for; a hundred, if that is not known yet.
fn wanted_rows(query: &Query) -> f64 {
    let number = |expr: &Option<Expr>| expr.as_ref().and_then(known_number);
    match (&query.limit, number(&query.limit)) {
        (None, _) => f64::INFINITY,
        (Some(_), Some(limit)) => limit.saturating_add(number(&query.offset).unwrap_or(0)).max(1) as f64,
        (Some(_), None) => 100.0,
    }
}

/// Drop the columns that were only there to sort by: they are the last.
fn cut(node: Node, targets: &[Target]) -> Node {
    let visible = targets.iter().filter(|target| !target.hidden).count();
    if visible == targets.len() {
        return node;
    }
    debug_assert!(targets[..visible].iter().all(|target| !target.hidden), "hidden targets come last");
    Node::Cut { input: Box::new(node), width: visible }
}

fn inner_conditions(from: &typed::From, out: &mut Vec<Expr>) {
    use crate::parser::tree::JoinKind;
    if let typed::From::Join { kind: JoinKind::Inner | JoinKind::Cross, left, right, condition } = from {
        condition.iter().for_each(|condition| super::compile::conjuncts(condition.clone(), out));
        inner_conditions(left, out);
        inner_conditions(right, out);
    }
}
