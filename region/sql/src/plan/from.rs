//! FROM and WHERE: scans, and the joins that combine them.
use super::access::{Access, Comparison, Steering, choose, choose_ordered, estimate};
use super::compile::{Compilation, Layout, conjunction, conjuncts};
use super::expr::Compiled;
use super::node::{Node, ScanNode};
use super::planner::Planner;
use crate::analyze::window_exprs;
use crate::parser::tree::JoinKind;
use crate::typed::{Expr, ExprKind, From, Relation, RelationSource};
use std::collections::BTreeSet;
use std::sync::Arc;
use trivet_types::registry::{Procedure, Volatility, registry};
use trivet_types::{Datum, Oid, PgError, PgResult, oid};

/// A planned part of FROM.
pub struct Part {
    pub node: Node,
    pub layout: Layout,
    pub rows: f64,
}

/// Every column of the query `depth` levels out that an expression uses, its subqueries included.
pub fn visit_columns(expr: &Expr, depth: usize, visit: &mut dyn FnMut(usize, usize)) {
    match &expr.kind {
        ExprKind::Column { up, relation, column } if *up == depth => visit(*relation, *column),
        ExprKind::Subquery(subquery) => visit_query(&subquery.query, depth + 1, visit),
        _ => {}
    }
    expr.children().into_iter().for_each(|child| visit_columns(child, depth, visit));
}

/// Every column of the query `depth` levels out that a query uses.
pub fn visit_query(query: &crate::typed::Query, depth: usize, visit: &mut dyn FnMut(usize, usize)) {
    use crate::typed::Body;
    query.targets.iter().for_each(|target| visit_columns(&target.expr, depth, visit));
    query.limit.iter().chain(&query.offset).for_each(|expr| visit_columns(expr, depth, visit));
    query.windows.iter().flat_map(window_exprs).for_each(|expr| visit_columns(expr, depth, visit));
    match &query.body {
        Body::Select { from, filter, grouping } => {
            from.iter().for_each(|part| visit_from(part, depth, visit));
            filter.iter().for_each(|expr| visit_columns(expr, depth, visit));
            if let Some(grouping) = grouping {
                grouping.keys.iter().chain(&grouping.having).for_each(|expr| visit_columns(expr, depth, visit));
                for aggregate in &grouping.aggregates {
                    aggregate
                        .arguments
                        .iter()
                        .chain(&aggregate.filter)
                        .for_each(|expr| visit_columns(expr, depth, visit));
                    aggregate.order_by.iter().for_each(|(expr, _, _)| visit_columns(expr, depth, visit));
                }
            }
        }
        Body::Values(rows) => rows.iter().flatten().for_each(|expr| visit_columns(expr, depth, visit)),
        Body::Set { left, right, .. } => {
            visit_query(left, depth + 1, visit);
            visit_query(right, depth + 1, visit);
        }
    }
    for relation in &query.relations {
        match &relation.source {
            RelationSource::Query(inner) => visit_query(inner, depth + 1, visit),
            RelationSource::Function { arguments, .. } => {
                arguments.iter().for_each(|expr| visit_columns(expr, depth, visit));
            }
            RelationSource::Scalar { value, .. } => visit_columns(value, depth, visit),
            RelationSource::Functions { calls, .. } => {
                calls.iter().for_each(|(call, _)| visit_columns(call, depth, visit));
            }
            _ => {}
        }
    }
}

/// Every column of a stored relation that a query, or one within it, uses.
pub fn used_columns(query: &crate::typed::Query, visit: &mut dyn FnMut(trivet_types::Oid, usize)) {
    let mut used = Vec::new();
    visit_query(query, 0, &mut |relation, column| used.push((relation, column)));
    for (relation, column) in used {
        let source = query.relations.get(relation).map(|relation| &relation.source);
        match source {
            Some(RelationSource::Table(table)) => visit(table.oid, column),
            Some(RelationSource::Query(_)) => {
                if let Some(view) = query.relations[relation].view {
                    visit(view, column);
                }
            }
            _ => {}
        }
    }
    for relation in &query.relations {
        match &relation.source {
            // What a view reads is the view's affair.
            RelationSource::Query(inner) if relation.view.is_none() => used_columns(inner, visit),
            _ => {}
        }
    }
    if let crate::typed::Body::Set { left, right, .. } = &query.body {
        used_columns(left, visit);
        used_columns(right, visit);
    }
    for_each_expr(query, &mut |expr| {
        expr.any(&mut |part| {
            if let ExprKind::Subquery(subquery) = &part.kind {
                used_columns(&subquery.query, visit);
            }
            false
        });
    });
}

/// The queries in a query's expressions.
pub fn for_each_subquery(query: &crate::typed::Query, visit: &mut dyn FnMut(&crate::typed::Query)) {
    for_each_expr(query, &mut |expr| {
        expr.any(&mut |part| {
            if let ExprKind::Subquery(subquery) = &part.kind {
                visit(&subquery.query);
            }
            false
        });
    });
}

/// The expressions of a query's own clauses.
fn for_each_expr(query: &crate::typed::Query, visit: &mut dyn FnMut(&Expr)) {
    use crate::typed::Body;
    query.targets.iter().for_each(|target| visit(&target.expr));
    query.limit.iter().chain(&query.offset).for_each(&mut *visit);
    match &query.body {
        Body::Select { from, filter, grouping } => {
            from.iter().for_each(|part| for_each_condition(part, visit));
            filter.iter().for_each(&mut *visit);
            if let Some(grouping) = grouping {
                grouping.keys.iter().chain(&grouping.having).for_each(&mut *visit);
                for aggregate in &grouping.aggregates {
                    aggregate.arguments.iter().chain(&aggregate.filter).for_each(&mut *visit);
                }
            }
        }
        Body::Values(rows) => rows.iter().flatten().for_each(visit),
        Body::Set { .. } => {}
    }
}

fn for_each_condition(from: &From, visit: &mut dyn FnMut(&Expr)) {
    if let From::Join { left, right, condition, .. } = from {
        for_each_condition(left, visit);
        for_each_condition(right, visit);
        condition.iter().for_each(visit);
    }
}

fn visit_from(from: &From, depth: usize, visit: &mut dyn FnMut(usize, usize)) {
    if let From::Join { left, right, condition, .. } = from {
        visit_from(left, depth, visit);
        visit_from(right, depth, visit);
        condition.iter().for_each(|expr| visit_columns(expr, depth, visit));
    }
}

/// Relations of the current query that an expression uses.
fn used_relations(expr: &Expr, depth: usize, out: &mut BTreeSet<usize>) {
    visit_columns(expr, depth, &mut |relation, _| {
        out.insert(relation);
    });
}

fn query_relations(query: &crate::typed::Query, depth: usize, out: &mut BTreeSet<usize>) {
    visit_query(query, depth, &mut |relation, _| {
        out.insert(relation);
    });
}

fn from_relations(from: &From, depth: usize, out: &mut BTreeSet<usize>) {
    visit_from(from, depth, &mut |relation, _| {
        out.insert(relation);
    });
}

/// The relations that a part of FROM consists of.
fn members(from: &From, out: &mut BTreeSet<usize>) {
    match from {
        From::Relation(relation) => {
            out.insert(*relation);
        }
        From::Join { left, right, .. } => {
            members(left, out);
            members(right, out);
        }
    }
}

/// A condition with the relations it needs.
struct Condition {
    expr: Expr,
    needs: BTreeSet<usize>,
    has_subquery: bool,
}

impl Condition {
    fn new(expr: Expr) -> Condition {
        let mut needs = BTreeSet::new();
        used_relations(&expr, 0, &mut needs);
        let has_subquery = expr.any(&mut |part| matches!(part.kind, ExprKind::Subquery(_)));
        Condition { expr, needs, has_subquery }
    }
}

impl Planner {
    /// The join of all parts under the conditions; every condition is used.
    pub(super) fn from_where(
        &mut self,
        relations: &[Relation],
        from: &[From],
        filter: Option<&Expr>,
    ) -> PgResult<Part> {
        let mut terms = Vec::new();
        if let Some(filter) = filter {
            conjuncts(filter.clone(), &mut terms);
        }
        self.join_list(relations, from.iter().collect(), terms, &Layout::default())
    }

    /// Inner joins in any order, outer joins as units.
    fn join_list(
        &mut self,
        relations: &[Relation],
        from: Vec<&From>,
        mut terms: Vec<Expr>,
        beside: &Layout,
    ) -> PgResult<Part> {
        let mut items: Vec<&From> = Vec::new();
        let mut queue: Vec<&From> = from.into_iter().rev().collect();
        while let Some(item) = queue.pop() {
            match item {
                From::Join { kind: JoinKind::Inner | JoinKind::Cross, left, right, condition } => {
                    condition.iter().for_each(|condition| conjuncts(condition.clone(), &mut terms));
                    queue.push(right);
                    queue.push(left);
                }
                _ => items.push(item),
            }
        }
        let mut conditions: Vec<Condition> = terms.into_iter().map(Condition::new).collect();
        if items.is_empty() {
            let node = Node::Values { rows: Arc::new(vec![vec![]]), width: 0 };
            let mut part = Part { node, layout: Layout::empty(beside.lateral), rows: 1.0 };
            self.filter_rest(&mut part, conditions)?;
            return Ok(part);
        }
        let mut remaining: Vec<usize> = (0..items.len()).collect();
        let mut current: Option<Part> = None;
        let mut have: BTreeSet<usize> = BTreeSet::new();
        while !remaining.is_empty() {
            let choice = self.next_item(relations, &items, &remaining, &conditions, &have)?;
            let at = remaining.remove(choice);
            let mut added = BTreeSet::new();
            members(items[at], &mut added);
            let ready: BTreeSet<usize> = have.union(&added).copied().collect();
            let (now, later): (Vec<_>, Vec<_>) = conditions
                .into_iter()
                .partition(|condition| condition.needs.is_subset(&ready) && !condition.has_subquery);
            conditions = later;
            current = Some(match current {
                None => self.item(relations, items[at], now, beside)?,
                Some(left) => self.join_next(relations, left, items[at], &added, now)?,
            });
            have = ready;
        }
        let mut part = current.expect("there is at least one item");
        self.filter_rest(&mut part, conditions)?;
        Ok(part)
    }

    /// Which part to add next: the one that is looked up best from what is there.
    fn next_item(
        &mut self,
        relations: &[Relation],
        items: &[&From],
        remaining: &[usize],
        conditions: &[Condition],
        have: &BTreeSet<usize>,
    ) -> PgResult<usize> {
        let mut best: Option<(usize, f64)> = None;
        for (choice, at) in remaining.iter().enumerate() {
            let mut own = BTreeSet::new();
            members(items[*at], &mut own);
            let mut needs = BTreeSet::new();
            for relation in &own {
                lateral_needs(&relations[*relation], &mut needs);
            }
            if let From::Join { .. } = items[*at] {
                from_relations(items[*at], 0, &mut needs);
            }
            if !needs.iter().all(|relation| have.contains(relation) || own.contains(relation)) {
                continue;
            }
            let connected = conditions.iter().any(|condition| {
                condition.needs.iter().any(|relation| own.contains(relation))
                    && condition.needs.iter().any(|relation| have.contains(relation))
            });
            let mut cost = match items[*at] {
                From::Relation(relation) => {
                    let ready: BTreeSet<usize> = have.iter().chain(&own).copied().collect();
                    let usable = conditions
                        .iter()
                        .filter(|condition| condition.needs.is_subset(&ready) && !condition.has_subquery);
                    self.rough_rows(relations, *relation, &usable.map(|condition| &condition.expr).collect::<Vec<_>>())
                }
                _ => 1000.0,
            };
            if !have.is_empty() && !connected {
                cost *= 1000.0;
            }
            if best.is_none_or(|(_, other)| cost < other) {
                best = Some((choice, cost));
            }
        }
        best.map(|(choice, _)| choice)
            .ok_or_else(|| PgError::internal("the parts of FROM depend on each other in a circle"))
    }

    fn rough_rows(&mut self, relations: &[Relation], relation: usize, conditions: &[&Expr]) -> f64 {
        match &relations[relation].source {
            RelationSource::Table(table) => {
                let placeholder = |steering: (usize, Comparison, &Expr)| Steering {
                    column: steering.0,
                    comparison: steering.1,
                    value: Compiled::Constant(Datum::Null),
                };
                let steering: Vec<Steering> =
                    conditions.iter().filter_map(|condition| steer(condition, relation).map(placeholder)).collect();
                estimate(table, &choose(table, &steering))
            }
            RelationSource::Scalar { .. } => 1.0,
            RelationSource::Function { .. } | RelationSource::Functions { .. } => 100.0,
            RelationSource::Virtual(_) => 400.0,
            RelationSource::Query(_) | RelationSource::Common { .. } => 500.0,
        }
    }

    /// One part alone; `beside` says whether it may look at a row beside it.
    fn item(
        &mut self,
        relations: &[Relation],
        item: &From,
        conditions: Vec<Condition>,
        beside: &Layout,
    ) -> PgResult<Part> {
        match item {
            From::Relation(relation) => self.relation(relations, *relation, conditions, beside),
            From::Join { kind, left, right, condition } => {
                let mut part =
                    self.outer_join(relations, *kind, left, right, condition.as_ref(), &conditions, beside)?;
                // What was pushed down may stand here too: an outer join lets NULLs through.
                self.filter_rest(&mut part, conditions)?;
                Ok(part)
            }
        }
    }

    /// Left, right or full: the condition decides what matches, not what passes.
    #[allow(clippy::too_many_arguments)]
    fn outer_join(
        &mut self,
        relations: &[Relation],
        kind: JoinKind,
        left: &From,
        right: &From,
        condition: Option<&Expr>,
        above: &[Condition],
        beside: &Layout,
    ) -> PgResult<Part> {
        // RIGHT is LEFT with the sides exchanged; the layout keeps the written order's names, not places.
        let (kind, left, right) = match kind {
            JoinKind::Right => (JoinKind::Left, right, left),
            other => (other, left, right),
        };
        let (mut left_members, mut right_members) = (BTreeSet::new(), BTreeSet::new());
        members(left, &mut left_members);
        members(right, &mut right_members);
        // Conditions from above on the preserved side may be tested early.
        let pushed: Vec<Expr> = if kind == JoinKind::Left {
            let fits = |condition: &&Condition| condition.needs.is_subset(&left_members) && !condition.has_subquery;
            above.iter().filter(fits).map(|condition| condition.expr.clone()).collect()
        } else {
            Vec::new()
        };
        let left = self.join_list(relations, vec![left], pushed, beside)?;
        let mut terms = Vec::new();
        if let Some(condition) = condition {
            conjuncts(condition.clone(), &mut terms);
        }
        let conditions: Vec<Condition> = terms.into_iter().map(Condition::new).collect();
        // Conditions on the null-extended side alone choose what can match: test them in its scan.
        let (inner, matching): (Vec<_>, Vec<_>) = conditions.into_iter().partition(|condition| {
            kind == JoinKind::Left && !condition.has_subquery && condition.needs.is_subset(&right_members)
        });
        self.join_two(relations, kind, left, right, &right_members, inner, matching)
    }

    /// Add a part to an inner join.
    fn join_next(
        &mut self,
        relations: &[Relation],
        left: Part,
        item: &From,
        added: &BTreeSet<usize>,
        conditions: Vec<Condition>,
    ) -> PgResult<Part> {
        let (inner, matching): (Vec<_>, Vec<_>) =
            conditions.into_iter().partition(|condition| condition.needs.is_subset(added));
        self.join_two(relations, JoinKind::Inner, left, item, added, inner, matching)
    }

    /// Join by index lookup, by hash, or by comparing all with all.
    #[allow(clippy::too_many_arguments)]
    fn join_two(
        &mut self,
        relations: &[Relation],
        kind: JoinKind,
        left: Part,
        right: &From,
        right_members: &BTreeSet<usize>,
        inner: Vec<Condition>,
        matching: Vec<Condition>,
    ) -> PgResult<Part> {
        let mut needs = BTreeSet::new();
        right_members.iter().for_each(|relation| lateral_needs(&relations[*relation], &mut needs));
        let needs_left = needs.iter().any(|relation| !right_members.contains(relation) && left.layout.has(*relation));
        if needs_left && kind == JoinKind::Full {
            return Err(PgError::unsupported("FULL JOIN of a lateral relation"));
        }
        if matching.iter().any(|condition| condition.has_subquery) {
            return self.nested_loop(relations, kind, left, right, inner, matching, needs_left);
        }
        if let (From::Relation(relation), false) = (right, kind == JoinKind::Full) {
            if let RelationSource::Table(table) = &relations[*relation].source {
                let usable: Vec<&Expr> = inner.iter().chain(&matching).map(|condition| &condition.expr).collect();
                let placeholder = |found: (usize, Comparison, &Expr)| Steering {
                    column: found.0,
                    comparison: found.1,
                    value: Compiled::Constant(Datum::Null),
                };
                let steering: Vec<Steering> =
                    usable.iter().filter_map(|condition| steer(condition, *relation).map(placeholder)).collect();
                let from_left = matching.iter().any(|condition| {
                    steer(&condition.expr, *relation).is_some_and(|(_, comparison, _)| comparison == Comparison::Equal)
                });
                let access = choose(table, &steering);
                let looked_up = matches!(&access, Access::Index { probe, .. } if !probe.equal.is_empty());
                if looked_up && from_left && left.rows <= 200.0 {
                    return self.nested_loop(relations, kind, left, right, inner, matching, true);
                }
            }
        }
        if needs_left {
            return self.nested_loop(relations, kind, left, right, inner, matching, true);
        }
        let equalities =
            matching.iter().filter(|condition| self.hash_sides(condition, &left.layout, right_members).is_some());
        if equalities.count() > 0 {
            return self.hash_join(relations, kind, left, right, right_members, inner, matching);
        }
        self.nested_loop(relations, kind, left, right, inner, matching, false)
    }

    #[allow(clippy::too_many_arguments)]
    fn nested_loop(
        &mut self,
        relations: &[Relation],
        kind: JoinKind,
        left: Part,
        right: &From,
        inner: Vec<Condition>,
        matching: Vec<Condition>,
        lateral: bool,
    ) -> PgResult<Part> {
        let before = self.requests();
        // In a lateral join all conditions can go into the right side, which sees the left row.
        let (inside, outside): (Vec<_>, Vec<_>) = if lateral {
            inner.into_iter().chain(matching).partition(|condition| !condition.has_subquery)
        } else {
            (inner, matching)
        };
        let beside = Layout::empty(lateral || left.layout.lateral);
        let right = match right {
            From::Relation(_) => self.item(relations, right, inside, &beside)?,
            join => {
                let terms = inside.into_iter().map(|condition| condition.expr).collect();
                self.join_list(relations, vec![join], terms, &beside)?
            }
        };
        let sets = self.answer(&left.layout, before)?;
        let (left_width, right_width) = (left.layout.width, right.layout.width);
        let mut layout = left.layout.joined(&right.layout);
        layout.lateral = left.layout.lateral;
        let mut compilation = Compilation::default();
        let mut compiled = Vec::with_capacity(outside.len());
        for condition in &outside {
            compiled.push(self.compile(&condition.expr, &layout, &mut compilation)?);
        }
        let rows = (left.rows * right.rows / if outside.is_empty() { 1.0 } else { 10.0 }).max(1.0);
        let node = Node::NestedLoop {
            kind,
            left: Box::new(left.node),
            right: Arc::new(right.node),
            condition: conjunction(compiled).map(Arc::new),
            subplans: Arc::new(compilation.subplans),
            lateral: !sets.is_empty(),
            sets: Arc::new(sets),
            left_width,
            right_width,
        };
        Ok(Part { node, layout, rows })
    }

    /// The two sides of an equality that can be hashed, if it is one: (left side, right side).
    fn hash_sides<'e>(
        &self,
        condition: &'e Condition,
        left: &Layout,
        right: &BTreeSet<usize>,
    ) -> Option<(&'e Expr, &'e Expr)> {
        let ExprKind::Call { procedure, arguments } = &condition.expr.kind else { return None };
        let [a, b] = arguments.as_slice() else { return None };
        if !is_equality(procedure) || !hash_compatible(a.type_oid, b.type_oid) {
            return None;
        }
        let only = |expr: &Expr, test: &dyn Fn(usize) -> bool| {
            let mut used = BTreeSet::new();
            used_relations(expr, 0, &mut used);
            !used.is_empty() && used.iter().all(|relation| test(*relation))
        };
        let in_left = |relation: usize| left.has(relation);
        let in_right = |relation: usize| right.contains(&relation);
        if only(a, &in_left) && only(b, &in_right) {
            Some((a, b))
        } else if only(b, &in_left) && only(a, &in_right) {
            Some((b, a))
        } else {
            None
        }
    }

    #[allow(clippy::too_many_arguments)]
    fn hash_join(
        &mut self,
        relations: &[Relation],
        kind: JoinKind,
        left: Part,
        right: &From,
        right_members: &BTreeSet<usize>,
        inner: Vec<Condition>,
        matching: Vec<Condition>,
    ) -> PgResult<Part> {
        let beside = Layout::empty(left.layout.lateral);
        let right = match right {
            From::Relation(_) => self.item(relations, right, inner, &beside)?,
            join => {
                let terms = inner.into_iter().map(|condition| condition.expr).collect();
                self.join_list(relations, vec![join], terms, &beside)?
            }
        };
        let (mut left_keys, mut right_keys, mut rest) = (Vec::new(), Vec::new(), Vec::new());
        let mut layout = left.layout.joined(&right.layout);
        layout.lateral = left.layout.lateral;
        for condition in &matching {
            match self.hash_sides(condition, &left.layout, right_members) {
                Some((a, b)) => {
                    left_keys.push((self.compile_plain(a, &left.layout)?, a.type_oid));
                    right_keys.push((self.compile_plain(b, &right.layout)?, b.type_oid));
                }
                None => rest.push(self.compile_plain(&condition.expr, &layout)?),
            }
        }
        let rows = left.rows.max(right.rows);
        let node = Node::HashJoin {
            kind,
            left_width: left.layout.width,
            right_width: right.layout.width,
            left: Box::new(left.node),
            right: Box::new(right.node),
            left_keys: Arc::new(left_keys),
            right_keys: Arc::new(right_keys),
            condition: conjunction(rest).map(Arc::new),
        };
        Ok(Part { node, layout, rows })
    }

    /// What no join took: a filter on top, with its subqueries beneath.
    fn filter_rest(&mut self, part: &mut Part, conditions: Vec<Condition>) -> PgResult<()> {
        if conditions.is_empty() {
            return Ok(());
        }
        let node = std::mem::replace(&mut part.node, Node::Values { rows: Arc::new(vec![]), width: 0 });
        // Cheap tests first: those with subqueries wait for their own filter.
        let (plain, with_subquery): (Vec<_>, Vec<_>) =
            conditions.into_iter().partition(|condition| !condition.has_subquery);
        let mut node = node;
        for group in [plain, with_subquery] {
            if group.is_empty() {
                continue;
            }
            let exprs: Vec<&Expr> = group.iter().map(|condition| &condition.expr).collect();
            let (beneath, compiled) = self.compile_over(node, &mut part.layout, &exprs)?;
            let predicate = conjunction(compiled).expect("there is a condition");
            node = Node::Filter { input: Box::new(beneath), predicate: Arc::new(predicate) };
        }
        part.node = node;
        part.rows = (part.rows / 3.0).max(1.0);
        Ok(())
    }

    /// A relation by itself, under the conditions that need nothing else (or, beside a row, that row).
    fn relation(
        &mut self,
        relations: &[Relation],
        at: usize,
        conditions: Vec<Condition>,
        beside: &Layout,
    ) -> PgResult<Part> {
        let relation = &relations[at];
        let source_layout = |width: usize| {
            let mut layout = Layout::of_relation(at, width);
            layout.lateral = beside.lateral;
            layout
        };
        match &relation.source {
            RelationSource::Table(table) => {
                self.note_table(table.oid);
                let layout = source_layout(relation.columns.len() + 1);
                let value_layout = Layout::empty(beside.lateral);
                let mut steering = Vec::new();
                for condition in &conditions {
                    if let Some((column, comparison, value)) = steer(&condition.expr, at) {
                        let value = self.compile_plain(value, &value_layout)?;
                        steering.push(Steering { column, comparison, value });
                    }
                }
                let mut access = choose(table, &steering);
                if let Some(wanted) = self.wanted_order.take() {
                    if let Some(ordered) = choose_ordered(table, &steering, &wanted, &access) {
                        access = ordered;
                        self.is_ordered = true;
                    }
                }
                let rows = estimate(table, &access);
                let mut terms = Vec::with_capacity(conditions.len());
                let mut one_implied = false;
                for condition in &conditions {
                    if !one_implied && implied(&access, table, &condition.expr, at) {
                        one_implied = true;
                        continue;
                    }
                    terms.push(self.compile_plain(&condition.expr, &layout)?);
                }
                let needed = self.needed_columns(at, relation.columns.len());
                let decode = needed.iter().rposition(|needed| *needed).map_or(0, |last| last + 1);
                let filter = conjunction(terms);
                let scan = ScanNode { table: Arc::clone(table), access, filter, needed, decode };
                Ok(Part { node: Node::Scan(Arc::new(scan)), layout, rows })
            }
            RelationSource::Virtual(table) => {
                self.needs_catalog = true;
                let layout = source_layout(relation.columns.len());
                let terms = conditions.iter().map(|condition| self.compile_plain(&condition.expr, &layout));
                let terms = terms.collect::<PgResult<Vec<_>>>()?;
                let filter = conjunction(terms).map(Arc::new);
                Ok(Part { node: Node::Virtual { table, filter }, layout, rows: 400.0 })
            }
            source => {
                let (node, width, rows) = match source {
                    RelationSource::Query(query) => (self.subquery(query)?, relation.columns.len(), 500.0),
                    RelationSource::Common { id, working } => {
                        (self.common(*id, *working)?, relation.columns.len(), 500.0)
                    }
                    RelationSource::Functions { calls, ordinality } => {
                        let value_layout = Layout::empty(beside.lateral);
                        let mut compiled = Vec::with_capacity(calls.len());
                        for (call, width) in calls {
                            compiled.push((self.set_target(call, &value_layout)?, *width));
                        }
                        let node = Node::Functions { calls: Arc::new(compiled), ordinality: *ordinality };
                        (node, relation.columns.len(), 100.0)
                    }
                    RelationSource::Function { procedure, arguments, ordinality } => {
                        self.note_procedure(procedure);
                        let value_layout = Layout::empty(beside.lateral);
                        let arguments = arguments.iter().map(|argument| self.compile_plain(argument, &value_layout));
                        let arguments = Arc::new(arguments.collect::<PgResult<Vec<_>>>()?);
                        let width = relation.columns.len();
                        let ordinality = *ordinality;
                        (Node::Function { procedure, arguments, ordinality, width }, width, 100.0)
                    }
                    RelationSource::Scalar { value, ordinality } => {
                        let value_layout = Layout::empty(beside.lateral);
                        let mut row = vec![self.compile_plain(value, &value_layout)?];
                        if *ordinality {
                            row.push(Compiled::Constant(Datum::Int8(1)));
                        }
                        let width = row.len();
                        (Node::Values { rows: Arc::new(vec![row]), width }, width, 1.0)
                    }
                    RelationSource::Table(_) | RelationSource::Virtual(_) => {
                        return Err(PgError::internal("stored relations are planned above"));
                    }
                };
                let mut part = Part { node, layout: source_layout(width), rows };
                self.filter_rest(&mut part, conditions)?;
                Ok(part)
            }
        }
    }
}

/// Relations of the same query that a lateral relation looks at.
fn lateral_needs(relation: &Relation, out: &mut BTreeSet<usize>) {
    match &relation.source {
        RelationSource::Query(query) => query_relations(query, 1, out),
        RelationSource::Function { arguments, .. } => arguments.iter().for_each(|expr| used_relations(expr, 0, out)),
        RelationSource::Scalar { value, .. } => used_relations(value, 0, out),
        RelationSource::Functions { calls, .. } => calls.iter().for_each(|(call, _)| used_relations(call, 0, out)),
        _ => {}
    }
}

pub(super) fn is_equality(procedure: &Procedure) -> bool {
    registry().operators_named("=").iter().any(|operator| operator.procedure == procedure.oid)
}

/// Values of the two types are equal exactly if they hash and compare the same.
pub(super) fn hash_compatible(left: Oid, right: Oid) -> bool {
    let family = |type_oid: Oid| match type_oid {
        oid::INT2 | oid::INT4 | oid::INT8 | oid::OID | oid::REGCLASS | oid::REGTYPE | oid::REGPROC => 1,
        oid::TEXT | oid::VARCHAR | oid::NAME => 2,
        oid::FLOAT4 | oid::FLOAT8 => 3,
        _ => 0,
    };
    left == right || (family(left) != 0 && family(left) == family(right))
}

/// The column of this relation that an expression is, looking through changes of name.
fn plain_column(expr: &Expr, relation: usize) -> Option<usize> {
    match &expr.kind {
        ExprKind::Column { up: 0, relation: of, column } if *of == relation => Some(*column),
        ExprKind::Relabel(operand) => plain_column(operand, relation),
        _ => None,
    }
}

/// Can a value be computed before the relation's row is known, and once for all rows?
fn is_stable_value(expr: &Expr, relation: usize) -> bool {
    !expr.any(&mut |part| match &part.kind {
        ExprKind::Column { up: 0, relation: of, .. } => *of == relation,
        ExprKind::Subquery(_) | ExprKind::Aggregate(_) | ExprKind::GroupKey(_) => true,
        ExprKind::Call { procedure, .. } => procedure.volatility() == Volatility::Volatile || procedure.returns_set(),
        _ => false,
    })
}

/// `column op value` as something an index can use: (column, comparison, value).
fn steer(condition: &Expr, relation: usize) -> Option<(usize, Comparison, &Expr)> {
    match &condition.kind {
        ExprKind::Call { procedure, arguments } => {
            let [left, right] = arguments.as_slice() else { return None };
            let comparison = comparison_of(procedure)?;
            let (column, value, comparison) = match (plain_column(left, relation), plain_column(right, relation)) {
                (Some(column), _) if is_stable_value(right, relation) => (column, right, comparison),
                (_, Some(column)) if is_stable_value(left, relation) => (column, left, swapped(comparison)),
                _ => return None,
            };
            index_compatible(left.type_oid, right.type_oid).then_some((column, comparison, value))
        }
        ExprKind::Quantified { procedure, left, right, all: false } => {
            let column = plain_column(left, relation)?;
            let element = trivet_types::element_of(right.type_oid)?;
            let usable = comparison_of(procedure) == Some(Comparison::Equal)
                && is_stable_value(right, relation)
                && index_compatible(left.type_oid, element);
            usable.then_some((column, Comparison::AnyOf, right.as_ref()))
        }
        _ => None,
    }
}

/// Both sides have the column's representation, or integers of another width, which a probe converts.
fn index_compatible(left: Oid, right: Oid) -> bool {
    let integer = |type_oid| matches!(type_oid, oid::INT2 | oid::INT4 | oid::INT8);
    let text = |type_oid| matches!(type_oid, oid::TEXT | oid::VARCHAR | oid::NAME);
    left == right || (integer(left) && integer(right)) || (text(left) && text(right))
}

fn comparison_of(procedure: &Procedure) -> Option<Comparison> {
    let named =
        |name: &str| registry().operators_named(name).iter().any(|operator| operator.procedure == procedure.oid);
    if named("=") {
        Some(Comparison::Equal)
    } else if named("<") {
        Some(Comparison::Less)
    } else if named("<=") {
        Some(Comparison::LessOrEqual)
    } else if named(">") {
        Some(Comparison::Greater)
    } else if named(">=") {
        Some(Comparison::GreaterOrEqual)
    } else {
        None
    }
}

fn swapped(comparison: Comparison) -> Comparison {
    match comparison {
        Comparison::Less => Comparison::Greater,
        Comparison::LessOrEqual => Comparison::GreaterOrEqual,
        Comparison::Greater => Comparison::Less,
        Comparison::GreaterOrEqual => Comparison::LessOrEqual,
        other => other,
    }
}

/// A point lookup on one column finds only rows for which the condition that steers it holds: no need to test that again.
fn implied(access: &Access, table: &crate::catalog::Table, condition: &Expr, relation: usize) -> bool {
    let Access::Index { name, unique_point: true, probe, .. } = access else { return false };
    let Some((column, comparison, _)) = steer(condition, relation) else { return false };
    let [source] = probe.equal.as_slice() else { return false };
    let steers = comparison == if source.each { Comparison::AnyOf } else { Comparison::Equal };
    let index = table.indexes.iter().find(|index| index.name == *name);
    steers && index.is_some_and(|index| index.keys[0].column == column)
}
