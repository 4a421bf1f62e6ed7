//! FROM and WHERE: scans, and the joins that combine them, in the order and by the methods that `search` found.
use super::access::{Access, Chosen, Steering, choose, choose_ordered, ordered_cost};
use super::compile::{Compilation, Layout, conjunction, conjuncts};
use super::condition::{Condition, Steer, alternatives, equality_sides, implied, steers};
use super::cost;
use super::expr::Compiled;
use super::node::{Node, ScanNode, SortKey};
use super::planner::Planner;
use super::search::{Method, Possible, Side};
use super::selectivity::TableView;
use super::visit::{lateral_needs, members};
use crate::parser::tree::JoinKind;
use crate::typed::{Expr, ExprKind, From, Relation, RelationSource};
use std::collections::BTreeSet;
use std::sync::Arc;
use trivet_types::{Datum, Oid, PgError, PgResult};

/// A planned part of FROM.
pub struct Part {
    pub node: Node,
    pub layout: Layout,
    pub(super) side: Side,
}

/// What is joined to a planned left side.
#[derive(Clone)]
struct Join<'f> {
    kind: JoinKind,
    right: &'f From,
    /// The right side's relations.
    members: &'f BTreeSet<usize>,
    /// Conditions on the right side alone.
    inner: Vec<Condition>,
    /// Conditions on both.
    matching: Vec<Condition>,
}

/// A semi or anti join gives the left row alone.
fn half(kind: JoinKind, left: Layout, both: Layout) -> Layout {
    if matches!(kind, JoinKind::Semi | JoinKind::Anti) { left } else { both }
}

/// The two sides of an equality of a left and a right row, if it is one: (left side, right side).
fn hash_sides<'e>(condition: &'e Condition, left: &Layout, right: &BTreeSet<usize>) -> Option<(&'e Expr, &'e Expr)> {
    let (a, b, of_a, of_b) = equality_sides(&condition.expr)?;
    let in_left = |used: &BTreeSet<usize>| used.iter().all(|relation| left.has(*relation));
    let in_right = |used: &BTreeSet<usize>| used.iter().all(|relation| right.contains(relation));
    if in_left(&of_a) && in_right(&of_b) {
        Some((a, b))
    } else if in_left(&of_b) && in_right(&of_a) {
        Some((b, a))
    } else {
        None
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
            let side = Side { rows: 1.0, cost: 1.0, width: 0.0 };
            let mut part = Part { node, layout: Layout::empty(beside.lateral), side };
            self.filter_rest(relations, &mut part, conditions)?;
            return Ok(part);
        }
        let steps = self.join_order(relations, &items, &conditions)?;
        let mut current: Option<Part> = None;
        let mut have: BTreeSet<usize> = BTreeSet::new();
        for step in steps {
            let item = items[step.item];
            let mut added = BTreeSet::new();
            members(item, &mut added);
            let ready: BTreeSet<usize> = have.union(&added).copied().collect();
            let (now, later): (Vec<_>, Vec<_>) = conditions
                .into_iter()
                .partition(|condition| condition.needs.is_subset(&ready) && !condition.has_subquery);
            conditions = later;
            current = Some(match current {
                None => self.item(relations, item, now, beside)?,
                Some(left) => {
                    let (inner, matching): (Vec<_>, Vec<_>) =
                        now.into_iter().partition(|condition| condition.needs.is_subset(&added));
                    let join = Join { kind: JoinKind::Inner, right: item, members: &added, inner, matching };
                    self.join_two(relations, left, join, Some(step.method))?
                }
            });
            have = ready;
        }
        let mut part = current.expect("there is at least one item");
        self.filter_rest(relations, &mut part, conditions)?;
        Ok(part)
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
                self.outer_join(relations, *kind, left, right, condition.as_ref(), conditions, beside)
            }
        }
    }

    /// Left, right, full, semi or anti: the condition decides what matches, not what passes.
    #[allow(clippy::too_many_arguments)]
    fn outer_join(
        &mut self,
        relations: &[Relation],
        kind: JoinKind,
        left: &From,
        right: &From,
        condition: Option<&Expr>,
        above: Vec<Condition>,
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
        // Conditions from above on the preserved side are tested early: a row that fails them is in no joined row that passes.
        let (pushed, above): (Vec<_>, Vec<_>) = above.into_iter().partition(|condition| {
            kind != JoinKind::Full && condition.needs.is_subset(&left_members) && !condition.has_subquery
        });
        let mut terms = Vec::new();
        if let Some(condition) = condition {
            conjuncts(condition.clone(), &mut terms);
        }
        let conditions: Vec<Condition> = terms.into_iter().map(Condition::new).collect();
        // Conditions on the null-extended side alone choose what can match: test them in its scan.
        let (inner, matching): (Vec<_>, Vec<_>) = conditions.into_iter().partition(|condition| {
            kind != JoinKind::Full && !condition.has_subquery && condition.needs.is_subset(&right_members)
        });
        let join = Join { kind, right, members: &right_members, inner, matching };
        let looked_up = match kind {
            JoinKind::Semi if !beside.lateral => self.semi_by_lookup(relations, left, &pushed, &join, beside)?,
            _ => None,
        };
        let mut part = match looked_up {
            Some(part) => part,
            None => {
                let pushed = pushed.into_iter().map(|condition| condition.expr).collect();
                let left = self.join_list(relations, vec![left], pushed, beside)?;
                self.join_two(relations, left, join, None)?
            }
        };
        // The others wait: an outer join lets NULLs through.
        self.filter_rest(relations, &mut part, above)?;
        Ok(part)
    }

    /// Join by index lookup, by hash, by merging, or by comparing all with all: as was chosen, or as costs least.
    fn join_two(
        &mut self,
        relations: &[Relation],
        left: Part,
        join: Join<'_>,
        method: Option<Method>,
    ) -> PgResult<Part> {
        let mut needs = BTreeSet::new();
        join.members.iter().for_each(|relation| lateral_needs(&relations[*relation], &mut needs));
        let needs_left = needs.iter().any(|relation| !join.members.contains(relation) && left.layout.has(*relation));
        if needs_left && join.kind == JoinKind::Full {
            return Err(PgError::unsupported("FULL JOIN of a lateral relation"));
        }
        let has_subquery = join.matching.iter().any(|condition| condition.has_subquery);
        let hashable =
            join.matching.iter().any(|condition| hash_sides(condition, &left.layout, join.members).is_some());
        let of_columns =
            |condition: &Condition| condition.expr.any(&mut |part| matches!(part.kind, ExprKind::Column { up: 0, .. }));
        if join.kind == JoinKind::Full && !hashable && join.matching.iter().any(of_columns) {
            let message = "FULL JOIN is only supported with merge-joinable or hash-joinable join conditions";
            return Err(PgError::new(trivet_types::sqlstate::FEATURE_NOT_SUPPORTED, message));
        }
        let method = match method {
            _ if has_subquery => Method::Nested,
            _ if needs_left => Method::Lookup,
            Some(Method::Hash | Method::HashLeft | Method::Merge) if !hashable => Method::Nested,
            Some(method) => method,
            None => {
                let of = |conditions: &'_ [Condition]| -> Vec<Expr> {
                    conditions.iter().map(|condition| condition.expr.clone()).collect()
                };
                let (own, joining) = (of(&join.inner), of(&join.matching));
                let (own, joining): (Vec<&Expr>, Vec<&Expr>) = (own.iter().collect(), joining.iter().collect());
                let right = self.item_side(relations, join.right, &own);
                let rows = self.joined_rows(relations, join.kind, left.side, right, &join.matching);
                let possible = Possible { hashable, is_lateral: false, has_subquery };
                self.method(relations, join.kind, left.side, join.right, right, &own, &joining, rows, possible).0
            }
        };
        match method {
            Method::Lookup => self.nested_loop(relations, left, join, !has_subquery),
            Method::Nested => self.nested_loop(relations, left, join, needs_left),
            Method::Hash | Method::HashLeft | Method::Merge => self.keyed_join(relations, left, join, method),
        }
    }

    /// A semi join of a table, by looking it up for each different row of the right side, if that is cheaper than going through
    /// the table. Each left row comes once: it has one key, and each key comes once.
    fn semi_by_lookup(
        &mut self,
        relations: &[Relation],
        left: &From,
        own: &[Condition],
        join: &Join<'_>,
        beside: &Layout,
    ) -> PgResult<Option<Part>> {
        let From::Relation(table) = left else { return Ok(None) };
        let here = BTreeSet::from([*table]);
        let mut keys: Vec<Expr> = Vec::with_capacity(join.matching.len());
        for condition in &join.matching {
            let Some((a, b, of_a, of_b)) = equality_sides(&condition.expr) else { return Ok(None) };
            if of_a == here && of_b.is_subset(join.members) {
                keys.push(b.clone());
            } else if of_b == here && of_a.is_subset(join.members) {
                keys.push(a.clone());
            } else {
                return Ok(None);
            }
        }
        let exprs = |conditions: &[Condition]| -> Vec<Expr> {
            conditions.iter().map(|condition| condition.expr.clone()).collect()
        };
        let (own_exprs, joining, inner) = (exprs(own), exprs(&join.matching), exprs(&join.inner));
        let (own_exprs, joining): (Vec<&Expr>, Vec<&Expr>) = (own_exprs.iter().collect(), joining.iter().collect());
        let Some((lookup, entries)) = self.lookup_cost(relations, *table, &own_exprs, &joining) else {
            return Ok(None);
        };
        let right = self.item_side(relations, join.right, &inner.iter().collect::<Vec<_>>());
        let left_side = self.item_side(relations, left, &own_exprs);
        let settings = self.settings;
        let different = self.group_rows(relations, &keys, right.rows);
        let each = cost::START + lookup + entries * cost::ROW;
        let looked_up = right.cost
            + right.rows * cost::HASH_ROW
            + different * each
            + cost::PlanSettings::penalty(settings.nested_loop);
        let hashed = left_side.cost + right.cost + settings.hash_cost(left_side.rows, right.rows, right.width);
        if keys.is_empty() || looked_up >= hashed {
            return Ok(None);
        }
        let mut part = self.alone(relations, join.right, join.inner.clone(), beside)?;
        let width = part.layout.width;
        let mut compiled: Vec<Compiled> = (0..width).map(Compiled::Slot).collect();
        for key in &keys {
            compiled.push(self.compile_plain(key, &part.layout)?);
        }
        let columns = keys.iter().enumerate().map(|(at, key)| (width + at, key.type_oid)).collect();
        let node = Node::Project { input: Box::new(part.node), exprs: Arc::new(compiled) };
        let columns = Arc::new(columns);
        self.note_list(&columns, "Group Key", &keys.iter().collect::<Vec<_>>());
        part.node = Node::Distinct { input: Box::new(node), columns };
        part.layout.width += keys.len();
        part.side = Side { rows: different, cost: right.cost + right.rows * cost::HASH_ROW, ..part.side };
        let next = Join {
            kind: JoinKind::Inner,
            right: left,
            members: &here,
            inner: own.to_vec(),
            matching: join.matching.clone(),
        };
        self.nested_loop(relations, part, next, true).map(Some)
    }

    fn joined_rows(
        &self,
        relations: &[Relation],
        kind: JoinKind,
        left: Side,
        right: Side,
        matching: &[Condition],
    ) -> f64 {
        let fraction: f64 = matching.iter().map(|condition| self.selectivity(relations, &condition.expr)).product();
        let product = left.rows * right.rows * fraction;
        let rows = match kind {
            JoinKind::Inner | JoinKind::Cross => product,
            JoinKind::Left => product.max(left.rows),
            JoinKind::Right => product.max(right.rows),
            JoinKind::Full => product.max(left.rows).max(right.rows),
            JoinKind::Semi => product.min(left.rows),
            JoinKind::Anti => (left.rows - product).max(left.rows / 10.0),
        };
        rows.max(1.0)
    }

    fn nested_loop(&mut self, relations: &[Relation], left: Part, join: Join<'_>, lateral: bool) -> PgResult<Part> {
        let before = self.requests();
        let kind = join.kind;
        // In a lateral join all conditions can go into the right side, which sees the left row.
        let (inside, outside): (Vec<_>, Vec<_>) = if lateral {
            join.inner.into_iter().chain(join.matching).partition(|condition| !condition.has_subquery)
        } else {
            (join.inner, join.matching)
        };
        let beside = Layout::empty(lateral || left.layout.lateral);
        let right = self.alone(relations, join.right, inside, &beside)?;
        let sets = self.answer(&left.layout, before)?;
        let (left_width, right_width) = (left.layout.width, right.layout.width);
        let mut layout = left.layout.joined(&right.layout);
        layout.lateral = left.layout.lateral;
        let mut compilation = Compilation::default();
        let mut compiled = Vec::with_capacity(outside.len());
        let mut early = Vec::new();
        for condition in &outside {
            let expr = self.compile(&condition.expr, &layout, &mut compilation)?;
            if !condition.has_subquery {
                early.push(expr.clone());
            }
            compiled.push(expr);
        }
        let early = if compilation.subplans.is_empty() { None } else { conjunction(early).map(Arc::new) };
        let is_lateral = !sets.is_empty();
        let rows = if lateral {
            match kind {
                JoinKind::Semi | JoinKind::Anti => left.side.rows / 2.0,
                _ => left.side.rows * right.side.rows,
            }
        } else {
            self.joined_rows(relations, kind, left.side, right.side, &outside)
        };
        let rows = rows.max(if kind == JoinKind::Left { left.side.rows } else { 1.0 });
        let once = if is_lateral { left.side.rows * (cost::START + right.side.cost) } else { right.side.cost };
        let pairs = if is_lateral { 0.0 } else { left.side.rows * right.side.rows * 0.6 };
        let side = Side { rows, cost: left.side.cost + once + pairs + rows, width: left.side.width + right.side.width };
        let sets = Arc::new(sets);
        let listed: Vec<&Expr> = outside.iter().map(|condition| &condition.expr).collect();
        self.note_join(&sets, side, &[], &listed);
        let node = Node::NestedLoop {
            kind,
            left: Box::new(left.node),
            right: Arc::new(right.node),
            condition: conjunction(compiled).map(Arc::new),
            early,
            subplans: Arc::new(compilation.subplans),
            lateral: is_lateral,
            sets,
            left_width,
            right_width,
        };
        Ok(Part { node, layout: half(kind, left.layout, layout), side })
    }

    /// A side of a join by itself, under conditions of its own.
    fn alone(
        &mut self,
        relations: &[Relation],
        from: &From,
        conditions: Vec<Condition>,
        beside: &Layout,
    ) -> PgResult<Part> {
        match from {
            From::Relation(_) => self.item(relations, from, conditions, beside),
            join => {
                let terms = conditions.into_iter().map(|condition| condition.expr).collect();
                self.join_list(relations, vec![join], terms, beside)
            }
        }
    }

    /// A join by equalities: by hash of one side or the other, or of both sides sorted.
    fn keyed_join(&mut self, relations: &[Relation], left: Part, join: Join<'_>, method: Method) -> PgResult<Part> {
        let beside = Layout::empty(left.layout.lateral);
        let right = self.alone(relations, join.right, join.inner, &beside)?;
        let rows = self.joined_rows(relations, join.kind, left.side, right.side, &join.matching);
        // The table is of the right side: to have it of the left one, the sides change places.
        let swaps =
            method == Method::HashLeft && matches!(join.kind, JoinKind::Inner | JoinKind::Cross | JoinKind::Left);
        let lateral = left.layout.lateral;
        let mut sided = Vec::new();
        let mut rest_conditions = Vec::new();
        for condition in &join.matching {
            match hash_sides(condition, &left.layout, join.members) {
                Some((a, b)) => sided.push((condition, a, b)),
                None => rest_conditions.push(&condition.expr),
            }
        }
        let (mut left_keys, mut right_keys) = (Vec::new(), Vec::new());
        for (_, a, b) in &sided {
            left_keys.push((self.compile_plain(a, &left.layout)?, a.type_oid));
            right_keys.push((self.compile_plain(b, &right.layout)?, b.type_oid));
        }
        let (kind, left, right) = match (swaps, join.kind) {
            (false, kind) => (kind, left, right),
            (true, JoinKind::Left) => (JoinKind::Right, right, left),
            (true, kind) => (kind, right, left),
        };
        if swaps {
            std::mem::swap(&mut left_keys, &mut right_keys);
        }
        let mut layout = left.layout.joined(&right.layout);
        layout.lateral = lateral;
        let mut rest = Vec::new();
        for condition in &rest_conditions {
            rest.push(self.compile_plain(condition, &layout)?);
        }
        let (left_width, right_width) = (left.layout.width, right.layout.width);
        let (left_keys, right_keys) = (Arc::new(left_keys), Arc::new(right_keys));
        let condition = conjunction(rest).map(Arc::new);
        let settings = self.settings;
        let work = match method {
            Method::Merge => {
                settings.sort_cost(left.side.rows, left.side.width)
                    + settings.sort_cost(right.side.rows, right.side.width)
                    + left.side.rows
                    + right.side.rows
            }
            _ => settings.hash_cost(left.side.rows, right.side.rows, right.side.width),
        };
        let cost = left.side.cost + right.side.cost + work + rows;
        let side = Side { rows, cost, width: left.side.width + right.side.width };
        // Shown with the side that is gone through first.
        let shown = |(condition, a, b): &(&Condition, &Expr, &Expr)| {
            let mut expr = condition.expr.clone();
            if let ExprKind::Call { arguments, .. } = &mut expr.kind {
                let (first, second) = if swaps { (*b, *a) } else { (*a, *b) };
                *arguments = vec![first.clone(), second.clone()];
            }
            expr
        };
        let shown: Vec<Expr> = if self.explains { sided.iter().map(shown).collect() } else { Vec::new() };
        let equalities: Vec<&Expr> = shown.iter().collect();
        self.note_join(&left_keys, side, &equalities, &rest_conditions);
        let (left_layout, left_node, right_node) = (left.layout, Box::new(left.node), Box::new(right.node));
        let node = if method == Method::Merge {
            let left_exprs: Vec<&Expr> = sided.iter().map(|(_, a, _)| *a).collect();
            let right_exprs: Vec<&Expr> = sided.iter().map(|(_, _, b)| *b).collect();
            Node::MergeJoin {
                kind,
                left: Box::new(self.sorted_by(*left_node, &left_keys, &left_exprs)),
                right: Box::new(self.sorted_by(*right_node, &right_keys, &right_exprs)),
                left_keys,
                right_keys,
                condition,
                left_width,
                right_width,
            }
        } else {
            let (left, right) = (left_node, right_node);
            Node::HashJoin { kind, left, right, left_keys, right_keys, condition, left_width, right_width }
        };
        Ok(Part { node, layout: half(kind, left_layout, layout), side })
    }

    fn sorted_by(&mut self, node: Node, keys: &[(Compiled, Oid)], shown: &[&Expr]) -> Node {
        let key = |(expr, type_oid): &(Compiled, Oid)| SortKey {
            expr: expr.clone(),
            type_oid: *type_oid,
            descending: false,
            nulls_first: false,
        };
        let keys = Arc::new(keys.iter().map(key).collect());
        self.note_list(&keys, "Sort Key", shown);
        Node::Sort { input: Box::new(node), keys, limit: None }
    }

    /// What no join took: a filter on top, with its subqueries beneath.
    fn filter_rest(&mut self, relations: &[Relation], part: &mut Part, conditions: Vec<Condition>) -> PgResult<()> {
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
            let predicate = Arc::new(conjunction(compiled).expect("there is a condition"));
            let fraction: f64 = exprs.iter().map(|expr| self.selectivity(relations, expr)).product();
            part.side.cost += part.side.rows;
            part.side.rows = (part.side.rows * fraction).max(1.0);
            self.note_filter(&predicate, part.side, &exprs);
            node = Node::Filter { input: Box::new(beneath), predicate };
        }
        part.node = node;
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
                self.note_table(table);
                let layout = source_layout(relation.columns.len() + 1);
                let value_layout = Layout::empty(beside.lateral);
                let mut compiled = |said: Vec<Steer<'_>>| -> PgResult<Vec<Steering>> {
                    let compiled = said.into_iter().map(|steer| {
                        let value = self.compile_plain(&steer.value, &value_layout)?;
                        Ok(Planner::steering(steer.column, steer.comparison, &steer.value, value))
                    });
                    compiled.collect()
                };
                let (mut steering, mut either) = (Vec::new(), Vec::new());
                for condition in &conditions {
                    steering.extend(compiled(steers(&condition.expr, at))?);
                    if let Some(terms) = alternatives(&condition.expr, at) {
                        either.push(terms.into_iter().map(&mut compiled).collect::<PgResult<Vec<_>>>()?);
                    }
                }
                let view = self.view(table);
                let mut chosen = choose(&view, &steering, &either, &self.settings);
                let exprs: Vec<&Expr> = conditions.iter().map(|condition| &condition.expr).collect();
                let fraction: f64 = exprs.iter().map(|expr| self.selectivity(relations, expr)).product();
                let rows = (view.rows() * fraction).clamp(1.0, chosen.rows.max(1.0));
                if let Some(wanted) = self.wanted_order.take() {
                    if let Some(ordered) = self.ordered_access(&view, &steering, &wanted, &chosen, rows) {
                        chosen = ordered;
                        self.is_ordered = true;
                    }
                }
                if std::mem::take(&mut self.is_current) {
                    chosen = Chosen { access: Access::Current, rows: 1.0, cost: cost::SEEK };
                }
                let (access, cost) = (chosen.access, chosen.cost);
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
                let width = view.width(&needed) + 8.0;
                let scan = Arc::new(ScanNode { table: Arc::clone(table), access, filter, needed, decode });
                self.note_scan(&scan, relation, at, &exprs, Side { rows, cost, width });
                Ok(Part { node: Node::Scan(scan), layout, side: Side { rows, cost, width } })
            }
            RelationSource::Virtual(table) => {
                self.needs_catalog = true;
                let layout = source_layout(relation.columns.len());
                let terms = conditions.iter().map(|condition| self.compile_plain(&condition.expr, &layout));
                let terms = terms.collect::<PgResult<Vec<_>>>()?;
                let filter = conjunction(terms).map(Arc::new);
                let side = Side { rows: 400.0, cost: 2000.0, width: 8.0 * relation.columns.len() as f64 };
                Ok(Part { node: Node::Virtual { table, filter }, layout, side })
            }
            source => {
                let (node, width, rows) = match source {
                    RelationSource::Query(query) => {
                        let side = self.query_side(query, 0);
                        (self.subquery(query)?, relation.columns.len(), side.rows)
                    }
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
                let side = Side {
                    rows,
                    cost: self.item_side(relations, &From::Relation(at), &[]).cost,
                    width: 8.0 * width as f64,
                };
                let mut part = Part { node, layout: source_layout(width), side };
                self.filter_rest(relations, &mut part, conditions)?;
                Ok(part)
            }
        }
    }

    /// An index that gives the rows in the order that the query wants, if that is cheaper than sorting what was chosen.
    fn ordered_access(
        &self,
        view: &TableView,
        steering: &[Steering],
        wanted: &[(usize, bool)],
        chosen: &Chosen,
        rows: f64,
    ) -> Option<Chosen> {
        let access = choose_ordered(&view.table, steering, wanted, &chosen.access)?;
        let ordered = ordered_cost(view, &access, steering, &self.settings)?;
        if view.statistics.is_some() {
            let share = (self.wanted_rows / rows).min(1.0);
            let sorted = chosen.cost + self.settings.sort_cost(rows, 64.0);
            if sorted < ordered.cost * share {
                return None;
            }
        }
        Some(Chosen { access, ..ordered })
    }
}
