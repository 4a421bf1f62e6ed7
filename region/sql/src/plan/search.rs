//! In which order relations are joined, and how.
//!
//! What is searched for is a row of joins: begin with one part of FROM, join the next one to it, and so on. Up to
//! `EXHAUSTIVE_MAX` parts the cheapest way to each subset is found from those to its subsets; beyond that the cheapest next
//! part is taken each time. Nothing is built here: the search compares expectations, and the chosen steps are then planned.
//!
//! The rows of a joined subset are the product of its parts' rows and of the fractions that its conditions let through, so
//! they do not depend on the order.
use super::access::{Access, Comparison, Steering, choose};
use super::condition::{Condition, Steer, alternatives, equality_sides, steers};
use super::cost::{self, PlanSettings};
use super::expr::Compiled;
use super::guess::{known_number, known_value};
use super::planner::Planner;
use super::selectivity::{default_width, elements};
use super::visit::{from_relations, lateral_needs, members};
use crate::parser::tree::{JoinKind, SetOperation};
use crate::typed::{Body, DistinctOn, Expr, From, Query, Relation, RelationSource};
use std::collections::BTreeSet;
use trivet_types::{Datum, PgError, PgResult};

const EXHAUSTIVE_MAX: usize = 8;
/// A side of a join by equalities is not trusted to have fewer rows.
const UNSURE_ROWS: f64 = 100.0;

/// What is expected of one side of a join.
#[derive(Clone, Copy, Debug)]
pub(super) struct Side {
    pub rows: f64,
    pub cost: f64,
    pub width: f64,
}

/// How two sides are joined; the right one is what is added.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Method {
    /// For each left row, look the right ones up by an index (or run what depends on the left row).
    Lookup,
    /// All with all.
    Nested,
    /// The table is of the right side.
    Hash,
    /// The table is of the left side.
    HashLeft,
    Merge,
}

/// One step: which part comes next, and how.
#[derive(Clone, Copy, Debug)]
pub(super) struct Step {
    pub item: usize,
    pub method: Method,
}

/// What the search knows of a part of FROM.
struct Item<'f> {
    from: &'f From,
    members: BTreeSet<usize>,
    /// Parts that must come before it.
    after: u64,
    side: Side,
    is_lateral: bool,
}

/// What the search knows of a condition.
struct Edge<'c> {
    expr: &'c Expr,
    /// The parts that it needs.
    parts: u64,
    fraction: f64,
    /// An equality: the parts of its two sides.
    sides: Option<(u64, u64)>,
}

impl Planner {
    /// Expectations of a value that an index is asked for.
    pub(super) fn steering(column: usize, comparison: Comparison, value: &Expr, compiled: Compiled) -> Steering {
        let known = known_value(value);
        let elements = if comparison == Comparison::AnyOf { elements(value) } else { 1.0 };
        Steering { column, comparison, value: compiled, known, elements }
    }

    fn expected(said: Vec<Steer<'_>>) -> Vec<Steering> {
        let steering = |steer: Steer<'_>| {
            Planner::steering(steer.column, steer.comparison, &steer.value, Compiled::Constant(Datum::Null))
        };
        said.into_iter().map(steering).collect()
    }

    fn expected_steering(condition: &Expr, relation: usize) -> Vec<Steering> {
        Planner::expected(steers(condition, relation))
    }

    /// A part of FROM by itself, under its own conditions.
    pub(super) fn item_side(&self, relations: &[Relation], item: &From, conditions: &[&Expr]) -> Side {
        match item {
            From::Relation(relation) => self.relation_side(relations, *relation, conditions),
            From::Join { kind, left, right, condition } => {
                let (left, right) =
                    (self.item_side(relations, left, conditions), self.item_side(relations, right, &[]));
                let fraction = condition.as_ref().map_or(1.0, |condition| self.selectivity(relations, condition));
                let product = left.rows * right.rows * fraction;
                let rows = match kind {
                    JoinKind::Inner | JoinKind::Cross => product,
                    JoinKind::Left => product.max(left.rows),
                    JoinKind::Right => product.max(right.rows),
                    JoinKind::Full => product.max(left.rows + right.rows),
                    JoinKind::Semi | JoinKind::Anti => left.rows / 2.0,
                };
                let cost = left.cost + right.cost + self.settings.hash_cost(left.rows, right.rows, right.width) + rows;
                Side { rows: rows.max(1.0), cost, width: left.width + right.width }
            }
        }
    }

    fn relation_side(&self, relations: &[Relation], relation: usize, conditions: &[&Expr]) -> Side {
        let of = &relations[relation];
        let width: f64 = of.columns.iter().map(|column| default_width(column.type_oid)).sum();
        let fraction: f64 = conditions.iter().map(|condition| self.selectivity(relations, condition)).product();
        let side = |rows: f64, cost: f64| Side { rows: (rows * fraction).max(1.0), cost, width };
        match &of.source {
            RelationSource::Table(table) => {
                let view = self.view(table);
                let steering: Vec<Steering> =
                    conditions.iter().flat_map(|condition| Planner::expected_steering(condition, relation)).collect();
                let either = conditions.iter().filter_map(|condition| alternatives(condition, relation));
                let either: Vec<Vec<Vec<Steering>>> =
                    either.map(|terms| terms.into_iter().map(Planner::expected).collect()).collect();
                let chosen = choose(&view, &steering, &either, &self.settings);
                let needed = self.needed_columns(relation, of.columns.len());
                let rows = (view.rows() * fraction).clamp(1.0, chosen.rows.max(1.0));
                Side { rows, cost: chosen.cost, width: view.width(&needed) + 8.0 }
            }
            RelationSource::Scalar { .. } => side(1.0, cost::ROW),
            RelationSource::Function { procedure, arguments, .. } => {
                let rows = function_rows(procedure.name, arguments);
                side(rows, rows)
            }
            RelationSource::Functions { .. } => side(100.0, 100.0),
            RelationSource::Virtual(_) => side(400.0, 2000.0),
            RelationSource::Query(query) => {
                let inner = self.query_side(query, 0);
                side(inner.rows, inner.cost)
            }
            RelationSource::Common { .. } => side(500.0, 1000.0),
        }
    }

    /// A subquery that is not planned yet.
    pub(super) fn query_side(&self, query: &Query, depth: usize) -> Side {
        let width: f64 = query.visible_targets().map(|target| default_width(target.expr.type_oid)).sum();
        if depth > 16 {
            return Side { rows: 500.0, cost: 1000.0, width };
        }
        let (mut rows, mut cost) = match &query.body {
            Body::Values(rows) => (rows.len() as f64, rows.len() as f64),
            Body::Set { operation, left, right, .. } => {
                let (left, right) = (self.query_side(left, depth + 1), self.query_side(right, depth + 1));
                let rows = match operation {
                    SetOperation::Union => left.rows + right.rows,
                    SetOperation::Intersect => left.rows.min(right.rows),
                    SetOperation::Except => left.rows,
                };
                (rows, left.cost + right.cost + rows)
            }
            Body::Select { from, filter, grouping } => {
                let (mut rows, mut cost) = (1.0, 0.0);
                let mut terms = Vec::new();
                filter.iter().for_each(|filter| super::compile::conjuncts(filter.clone(), &mut terms));
                for item in from {
                    let mut own = BTreeSet::new();
                    members(item, &mut own);
                    let conditions: Vec<Condition> = terms.iter().cloned().map(Condition::new).collect();
                    let fits = |condition: &&Condition| {
                        !condition.needs.is_empty() && condition.needs.is_subset(&own) && !condition.has_subquery
                    };
                    let conditions: Vec<&Expr> =
                        conditions.iter().filter(fits).map(|condition| &condition.expr).collect();
                    let side = self.item_side(&query.relations, item, &conditions);
                    (rows, cost) = (rows * side.rows, cost + side.cost);
                    terms.retain(|term| {
                        let condition = Condition::new(term.clone());
                        !fits(&&condition)
                    });
                }
                rows *= terms.iter().map(|term| self.selectivity(&query.relations, term)).product::<f64>();
                cost += rows;
                if let Some(grouping) = grouping {
                    rows = self.group_rows(&query.relations, &grouping.keys, rows);
                    cost += rows;
                }
                (rows, cost)
            }
        };
        if let Some(DistinctOn::All | DistinctOn::Targets(_)) = &query.distinct {
            cost += rows;
        }
        let known = |limit: &Option<Expr>| limit.as_ref().and_then(known_number);
        if let Some(limit) = known(&query.limit) {
            rows = rows.min(limit.max(0) as f64);
        }
        rows = rows.max(1.0);
        cost += rows;
        Side { rows, cost, width }
    }

    /// How many groups so many rows make.
    pub(super) fn group_rows(&self, relations: &[Relation], keys: &[Expr], rows: f64) -> f64 {
        let groups: f64 = keys.iter().map(|key| self.distinct_values(relations, key, rows)).product();
        groups.clamp(1.0, rows.max(1.0))
    }

    /// The steps that join all items.
    pub(super) fn join_order(
        &self,
        relations: &[Relation],
        items: &[&From],
        conditions: &[Condition],
    ) -> PgResult<Vec<Step>> {
        let mut known: Vec<Item<'_>> = Vec::with_capacity(items.len());
        for item in items {
            let mut own = BTreeSet::new();
            members(item, &mut own);
            let fits = |condition: &&Condition| condition.needs.is_subset(&own) && !condition.has_subquery;
            let own_conditions: Vec<&Expr> = conditions.iter().filter(fits).map(|condition| &condition.expr).collect();
            let side = self.item_side(relations, item, &own_conditions);
            known.push(Item { from: item, members: own, after: 0, side, is_lateral: false });
        }
        let part_of = |known: &[Item<'_>], relation: usize| {
            known.iter().position(|item| item.members.contains(&relation)).map_or(0, |at| 1u64 << at.min(63))
        };
        for at in 0..known.len() {
            let mut needs = BTreeSet::new();
            known[at].members.iter().for_each(|relation| lateral_needs(&relations[*relation], &mut needs));
            if let From::Join { .. } = known[at].from {
                from_relations(known[at].from, 0, &mut needs);
            }
            let after = needs.iter().fold(0, |parts, relation| parts | part_of(&known, *relation));
            known[at].after = after & !(1u64 << at.min(63));
            known[at].is_lateral = known[at].after != 0;
        }
        if items.len() == 1 {
            return Ok(vec![Step { item: 0, method: Method::Nested }]);
        }
        if items.len() > 63 {
            // More than the bits of a word: in the written order, each as it comes.
            let method = |item: &Item<'_>| if item.is_lateral { Method::Lookup } else { Method::Hash };
            return Ok(known.iter().enumerate().map(|(at, item)| Step { item: at, method: method(item) }).collect());
        }
        let parts = |relations: &BTreeSet<usize>| relations.iter().fold(0, |parts, at| parts | part_of(&known, *at));
        // A condition on a row beside all of these is nobody's here.
        let here = |condition: &&Condition| {
            !condition.has_subquery && condition.needs.iter().all(|relation| part_of(&known, *relation) != 0)
        };
        let mut edges: Vec<Edge<'_>> = Vec::with_capacity(conditions.len());
        for condition in conditions.iter().filter(here) {
            let sides = equality_sides(&condition.expr).map(|(_, _, left, right)| (parts(&left), parts(&right)));
            let fraction = self.selectivity(relations, &condition.expr);
            edges.push(Edge { expr: &condition.expr, parts: parts(&condition.needs), fraction, sides });
        }
        edges.retain(|edge| edge.parts.count_ones() > 1);
        if items.len() <= EXHAUSTIVE_MAX {
            self.exhaustive(relations, &known, conditions, &edges)
        } else {
            self.greedy(relations, &known, conditions, &edges)
        }
    }

    fn rows_of(items: &[Item<'_>], edges: &[Edge<'_>], subset: u64) -> f64 {
        let product: f64 =
            items.iter().enumerate().filter(|(at, _)| subset & 1 << at != 0).map(|(_, i)| i.side.rows).product();
        let fractions: f64 = edges.iter().filter(|edge| edge.parts & !subset == 0).map(|edge| edge.fraction).product();
        (product * fractions).max(1.0)
    }

    #[allow(clippy::too_many_arguments)]
    fn step_cost(
        &self,
        relations: &[Relation],
        items: &[Item<'_>],
        conditions: &[Condition],
        edges: &[Edge<'_>],
        have: u64,
        left: Side,
        at: usize,
    ) -> (Method, Side) {
        let item = &items[at];
        let added = 1u64 << at;
        let ready = |edge: &&Edge<'_>| edge.parts & !(have | added) == 0 && edge.parts & added != 0;
        let hashable = edges.iter().filter(ready).any(|edge| {
            edge.sides.is_some_and(|(a, b)| (a & !have == 0 && b == added) || (b & !have == 0 && a == added))
        });
        let rows = Planner::rows_of(items, edges, have | added);
        let usable: Vec<&Expr> = edges.iter().filter(ready).map(|edge| edge.expr).collect();
        let own =
            conditions.iter().filter(|condition| condition.needs.is_subset(&item.members) && !condition.has_subquery);
        let own: Vec<&Expr> = own.map(|condition| &condition.expr).collect();
        let (method, cost) = self.method(
            relations,
            JoinKind::Inner,
            left,
            item.from,
            item.side,
            &own,
            &usable,
            rows,
            Possible { hashable, is_lateral: item.after & have != 0, has_subquery: false },
        );
        (method, Side { rows, cost, width: left.width + item.side.width })
    }

    fn exhaustive(
        &self,
        relations: &[Relation],
        items: &[Item<'_>],
        conditions: &[Condition],
        edges: &[Edge<'_>],
    ) -> PgResult<Vec<Step>> {
        let all = (1usize << items.len()) - 1;
        // Per subset: what the cheapest way to it comes to, and its last step.
        let mut best: Vec<Option<(Side, Step)>> = vec![None; all + 1];
        for (at, item) in items.iter().enumerate().filter(|(_, item)| item.after == 0) {
            best[1 << at] = Some((item.side, Step { item: at, method: Method::Nested }));
        }
        for subset in 1..all {
            let Some((left, _)) = best[subset] else { continue };
            for (at, item) in items.iter().enumerate() {
                let have = subset as u64;
                if have & 1 << at != 0 || item.after & !have != 0 {
                    continue;
                }
                let (method, side) = self.step_cost(relations, items, conditions, edges, have, left, at);
                let slot = &mut best[subset | 1 << at];
                if slot.as_ref().is_none_or(|(other, _)| side.cost < other.cost) {
                    *slot = Some((side, Step { item: at, method }));
                }
            }
        }
        let mut steps = Vec::with_capacity(items.len());
        let mut subset = all;
        while subset != 0 {
            let Some((_, step)) = best[subset] else { return Err(circle()) };
            steps.push(step);
            subset &= !(1 << step.item);
        }
        steps.reverse();
        Ok(steps)
    }

    fn greedy(
        &self,
        relations: &[Relation],
        items: &[Item<'_>],
        conditions: &[Condition],
        edges: &[Edge<'_>],
    ) -> PgResult<Vec<Step>> {
        let first = items.iter().enumerate().filter(|(_, item)| item.after == 0);
        let (first, item) =
            first.min_by(|left, right| left.1.side.rows.total_cmp(&right.1.side.rows)).ok_or_else(circle)?;
        let mut steps = vec![Step { item: first, method: Method::Nested }];
        let (mut have, mut left) = (1u64 << first, item.side);
        while steps.len() < items.len() {
            let mut best: Option<(f64, usize, Method, Side)> = None;
            for (at, item) in items.iter().enumerate() {
                if have & 1 << at != 0 || item.after & !have != 0 {
                    continue;
                }
                let (method, side) = self.step_cost(relations, items, conditions, edges, have, left, at);
                // Fewer rows are worth more than a cheap step.
                let price = side.cost + side.rows * cost::SCAN_ROW;
                if best.as_ref().is_none_or(|(other, ..)| price < *other) {
                    best = Some((price, at, method, side));
                }
            }
            let (_, at, method, side) = best.ok_or_else(circle)?;
            steps.push(Step { item: at, method });
            have |= 1 << at;
            left = side;
        }
        Ok(steps)
    }

    /// The cheapest way to join two sides, and what both and the join come to.
    #[allow(clippy::too_many_arguments)]
    pub(super) fn method(
        &self,
        relations: &[Relation],
        kind: JoinKind,
        left: Side,
        item: &From,
        right: Side,
        own: &[&Expr],
        joining: &[&Expr],
        rows: f64,
        possible: Possible,
    ) -> (Method, f64) {
        let settings = &self.settings;
        let looped = PlanSettings::penalty(settings.nested_loop);
        if possible.is_lateral {
            return (Method::Lookup, left.cost + left.rows * (cost::START + right.cost) + rows + looped);
        }
        // Where a table serves, all with all is for what is known to be small: sizes are guesses, and there a wrong one costs most.
        let least = if possible.hashable { UNSURE_ROWS } else { 1.0 };
        let pairs = left.rows.max(least) * right.rows.max(least);
        let spills = right.rows * right.width > settings.work_bytes as f64;
        let all_with_all = pairs * if spills { cost::SPILL_ROW } else { 0.6 * cost::ROW };
        let mut best = (Method::Nested, left.cost + right.cost + all_with_all + rows + looped);
        if possible.has_subquery {
            return best;
        }
        let mut offer = |method: Method, cost: f64| {
            if cost < best.1 {
                best = (method, cost);
            }
        };
        if possible.hashable {
            let both = left.cost + right.cost + rows;
            offer(Method::Hash, both + settings.hash_cost(left.rows, right.rows, right.width));
            if matches!(kind, JoinKind::Inner | JoinKind::Cross | JoinKind::Left) {
                // A little more, so that equals stay in the written order.
                let cost = settings.hash_cost(right.rows, left.rows, left.width) * 1.01;
                offer(Method::HashLeft, both + cost);
            }
            let sorts = settings.sort_cost(left.rows, left.width) + settings.sort_cost(right.rows, right.width);
            let merge = sorts + left.rows + right.rows + PlanSettings::penalty(settings.merge_join);
            offer(Method::Merge, both + merge);
        }
        if let (From::Relation(relation), false) = (item, kind == JoinKind::Full) {
            if let Some((lookup, entries)) = self.lookup_cost(relations, *relation, own, joining) {
                let entries = if matches!(kind, JoinKind::Semi | JoinKind::Anti) { entries.min(1.0) } else { entries };
                let each = cost::START + lookup + entries * cost::ROW;
                offer(Method::Lookup, left.cost + left.rows * each + rows + looped);
            }
        }
        best
    }

    /// What looking one left row's matches up by an index costs, and how many entries it meets.
    pub(super) fn lookup_cost(
        &self,
        relations: &[Relation],
        relation: usize,
        own: &[&Expr],
        joining: &[&Expr],
    ) -> Option<(f64, f64)> {
        let RelationSource::Table(table) = &relations[relation].source else { return None };
        let of = |conditions: &[&Expr]| -> Vec<Steering> {
            conditions.iter().flat_map(|condition| Planner::expected_steering(condition, relation)).collect()
        };
        let joins = of(joining);
        if !joins.iter().any(|steering| steering.comparison == Comparison::Equal) {
            return None;
        }
        let mut steering = joins.clone();
        steering.extend(of(own));
        let chosen = choose(&self.view(table), &steering, &[], &self.settings);
        let Access::Index { name, probe, .. } = &chosen.access else { return None };
        let index = table.indexes.iter().find(|index| index.name == *name)?;
        let steers = index.keys[..probe.equal.len()].iter().any(|key| {
            joins.iter().any(|steering| steering.column == key.column && steering.comparison == Comparison::Equal)
        });
        steers.then_some((chosen.cost, chosen.rows))
    }
}

/// What is possible between two sides.
#[derive(Clone, Copy, Debug)]
pub(super) struct Possible {
    /// An equality of the one side and the other.
    pub hashable: bool,
    /// The right side depends on the left row.
    pub is_lateral: bool,
    /// A condition of an outer join has a subquery.
    pub has_subquery: bool,
}

fn circle() -> Box<PgError> {
    PgError::internal("the parts of FROM depend on each other in a circle")
}

fn function_rows(name: &str, arguments: &[Expr]) -> f64 {
    let number = |at: usize| arguments.get(at).and_then(known_number);
    match (name, number(0), number(1)) {
        ("generate_series", Some(first), Some(last)) => {
            let step = number(2).filter(|step| *step != 0).unwrap_or(1);
            ((last.saturating_sub(first)) as f64 / step as f64 + 1.0).max(1.0)
        }
        _ => 100.0,
    }
}
