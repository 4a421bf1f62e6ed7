//! GROUP BY: every column that is used outside an aggregate must be grouped by.
use super::query::named_target;
use super::{Analyzer, at};
use crate::parser::tree;
use crate::typed::{Expr, ExprKind, Grouping, Query, Relation, RelationSource, Target, WindowCall};
use trivet_types::{PgError, PgResult, sqlstate};

/// The same expression, wherever it was written.
pub fn same_expr(left: &Expr, right: &Expr) -> bool {
    use ExprKind::*;
    if left.type_oid != right.type_oid || left.modifier != right.modifier {
        return false;
    }
    let same_head = match (&left.kind, &right.kind) {
        (Constant(a), Constant(b)) => a == b,
        (Parameter(a), Parameter(b)) | (Aggregate(a), Aggregate(b)) | (GroupKey(a), GroupKey(b)) => a == b,
        (Window(a), Window(b)) | (GroupingValue(a), GroupingValue(b)) => a == b,
        (Field { field, .. }, Field { field: other, .. }) => field == other,
        (Column { up, relation, column }, Column { up: u, relation: r, column: c }) => {
            (up, relation, column) == (u, r, c)
        }
        (Call { procedure, .. }, Call { procedure: other, .. }) => procedure.oid == other.oid,
        (Quantified { procedure, all, .. }, Quantified { procedure: other, all: other_all, .. }) => {
            procedure.oid == other.oid && all == other_all
        }
        (Fit { explicit, .. }, Fit { explicit: other, .. }) => explicit == other,
        (Domain { rules, .. }, Domain { rules: other, .. }) => rules.domain == other.domain,
        (IsNull { negated, .. }, IsNull { negated: other, .. }) => negated == other,
        (Distinct { negated, .. }, Distinct { negated: other, .. }) => negated == other,
        (IsBoolean { value, negated, .. }, IsBoolean { value: v, negated: n, .. }) => (value, negated) == (v, n),
        (Extreme { greatest, .. }, Extreme { greatest: other, .. }) => greatest == other,
        (Case { branches, otherwise }, Case { branches: b, otherwise: o }) => {
            branches.len() == b.len() && otherwise.is_some() == o.is_some()
        }
        (Subquery(a), Subquery(b)) => super::same::same_subquery(a, b),
        (Subquery(_), _) | (_, Subquery(_)) => false,
        (a, b) => std::mem::discriminant(a) == std::mem::discriminant(b),
    };
    if !same_head {
        return false;
    }
    let (a, b) = (left.children(), right.children());
    a.len() == b.len() && a.into_iter().zip(b).all(|(a, b)| same_expr(a, b))
}

impl Analyzer<'_> {
    /// GROUP BY's expressions, and the grouping sets over them if it is not just a list. A bare name is an input column
    /// first, an output name second.
    #[allow(clippy::type_complexity)]
    pub(super) fn group_keys(
        &mut self,
        groups: &[tree::GroupBy],
        targets: &mut [Target],
    ) -> PgResult<(Vec<Expr>, Option<Vec<Vec<usize>>>)> {
        let mut keys: Vec<Expr> = Vec::with_capacity(groups.len());
        // The sets are the product of what each item stands for.
        let mut sets: Vec<Vec<usize>> = vec![Vec::new()];
        let mut plain = true;
        for group in groups {
            let choices = match group {
                tree::GroupBy::Expr(tree::Expr { kind: tree::ExprKind::Row(items), .. }) => {
                    plain &= !items.is_empty();
                    vec![self.group_list(items, targets, &mut keys)?]
                }
                tree::GroupBy::Expr(expr) => vec![vec![self.add_key(expr, targets, &mut keys)?]],
                tree::GroupBy::Rollup(lists) => {
                    plain = false;
                    let lists = self.group_lists(lists, targets, &mut keys)?;
                    rollup(&lists)
                }
                tree::GroupBy::Cube(lists) => {
                    plain = false;
                    let lists = self.group_lists(lists, targets, &mut keys)?;
                    cube(&lists)?
                }
                tree::GroupBy::Sets(lists) => {
                    plain = false;
                    self.grouping_sets(lists, targets, &mut keys)?
                }
            };
            if sets.len().saturating_mul(choices.len()) > GROUPING_SETS_MAX {
                return Err(PgError::new(
                    sqlstate::STATEMENT_TOO_COMPLEX,
                    "too many grouping sets present (maximum 4096)",
                ));
            }
            sets = sets
                .iter()
                .flat_map(|set| choices.iter().map(move |choice| set.iter().chain(choice).copied().collect()))
                .collect();
        }
        Ok((keys, (!plain).then_some(sets)))
    }

    /// The place of a key, which is added if it is new.
    fn add_key(&mut self, expr: &tree::Expr, targets: &mut [Target], keys: &mut Vec<Expr>) -> PgResult<usize> {
        let key = self.group_key(expr, targets)?;
        if key.any(&mut |part| matches!(part.kind, ExprKind::Aggregate(_))) {
            let error = PgError::new(sqlstate::GROUPING_ERROR, "aggregate functions are not allowed in GROUP BY");
            return Err(at(expr.place, error));
        }
        if key.any(&mut |part| matches!(part.kind, ExprKind::Window(_))) {
            let message = "window functions are not allowed in GROUP BY";
            return Err(at(expr.place, PgError::new(super::window::WINDOWING_ERROR, message)));
        }
        super::sortable::check_equality(key.type_oid, expr.leftmost())?;
        Ok(keys.iter().position(|other| same_expr(other, &key)).unwrap_or_else(|| {
            keys.push(key);
            keys.len() - 1
        }))
    }

    fn group_list(
        &mut self,
        list: &[tree::Expr],
        targets: &mut [Target],
        keys: &mut Vec<Expr>,
    ) -> PgResult<Vec<usize>> {
        list.iter().map(|expr| self.add_key(expr, targets, keys)).collect()
    }

    fn group_lists(
        &mut self,
        lists: &[Vec<tree::Expr>],
        targets: &mut [Target],
        keys: &mut Vec<Expr>,
    ) -> PgResult<Vec<Vec<usize>>> {
        lists.iter().map(|list| self.group_list(list, targets, keys)).collect()
    }

    /// The sets of GROUPING SETS, in which ROLLUP and CUBE may stand: the library reads these as calls.
    fn grouping_sets(
        &mut self,
        lists: &[Vec<tree::Expr>],
        targets: &mut [Target],
        keys: &mut Vec<Expr>,
    ) -> PgResult<Vec<Vec<usize>>> {
        let mut sets = Vec::with_capacity(lists.len());
        for list in lists {
            let inner = match list.as_slice() {
                [tree::Expr { kind: tree::ExprKind::Function(call), .. }]
                    if call.name.parts.len() == 1 && matches!(call.name.last(), "rollup" | "cube") =>
                {
                    let lists: Vec<Vec<tree::Expr>> = call
                        .arguments
                        .iter()
                        .map(|argument| match &argument.value.kind {
                            tree::ExprKind::Row(items) => items.clone(),
                            _ => vec![argument.value.clone()],
                        })
                        .collect();
                    let lists = self.group_lists(&lists, targets, keys)?;
                    if call.name.last() == "rollup" { rollup(&lists) } else { cube(&lists)? }
                }
                list => vec![self.group_list(list, targets, keys)?],
            };
            sets.extend(inner);
        }
        Ok(sets)
    }

    fn group_key(&mut self, expr: &tree::Expr, targets: &mut [Target]) -> PgResult<Expr> {
        let is_position = !matches!(expr.kind, tree::ExprKind::Column(_));
        let by_position = if is_position { named_target(expr, targets, "GROUP BY", false)? } else { None };
        let target = match by_position {
            Some(position) => Some(position),
            None => match self.without_aggregates("GROUP BY", |analyzer| analyzer.expr(expr)) {
                Ok(key) => return self.known(key),
                Err(error) if error.code == sqlstate::UNDEFINED_COLUMN => {
                    Some(named_target(expr, targets, "GROUP BY", true)?.ok_or(error)?)
                }
                Err(error) => return Err(error),
            },
        };
        let target = &mut targets[target.expect("found above")];
        target.expr = self.known(target.expr.clone())?;
        Ok(target.expr.clone())
    }

    /// Rewrite targets, HAVING and windows over the grouped row.
    pub(super) fn group(
        &mut self,
        grouping: &mut Grouping,
        targets: &mut [Target],
        windows: &mut [WindowCall],
    ) -> PgResult<()> {
        let relations = std::mem::take(&mut self.scope().relations);
        let mut keys = std::mem::take(&mut grouping.keys);
        if grouping.sets.is_none() {
            add_dependent_columns(&mut keys, &relations);
        }
        let mut result = Ok(());
        let windows = windows.iter_mut().flat_map(super::window::window_exprs_mut);
        let exprs = targets.iter_mut().map(|target| &mut target.expr).chain(&mut grouping.having).chain(windows);
        let mut regrouping = Regrouping { keys: &keys, relations: &relations, groupings: &mut grouping.groupings };
        for expr in exprs {
            if result.is_ok() {
                result = regrouping.expr(expr, 0);
            }
        }
        grouping.keys = keys;
        self.scope().relations = relations;
        result
    }
}

/// PostgreSQL's limit.
const GROUPING_SETS_MAX: usize = 4096;

/// `ROLLUP (a, b)`: (a, b), (a), ().
fn rollup(lists: &[Vec<usize>]) -> Vec<Vec<usize>> {
    (0..=lists.len()).rev().map(|count| lists[..count].concat()).collect()
}

/// `CUBE (a, b)`: (a, b), (a), (b), ().
fn cube(lists: &[Vec<usize>]) -> PgResult<Vec<Vec<usize>>> {
    if lists.len() > 12 {
        return Err(PgError::new(sqlstate::TOO_MANY_COLUMNS, "CUBE is limited to 12 elements"));
    }
    let count = lists.len();
    let holds = |mask: usize, at: usize| mask & (1 << (count - 1 - at)) != 0;
    let set = |mask: usize| {
        lists.iter().enumerate().filter(|(at, _)| holds(mask, *at)).flat_map(|(_, list)| list.clone()).collect()
    };
    Ok((0..1usize << count).rev().map(set).collect())
}

/// Columns of a table whose primary key is grouped by have one value a group: they may be used, so they become keys too.
fn add_dependent_columns(keys: &mut Vec<Expr>, relations: &[Relation]) {
    for (at, relation) in relations.iter().enumerate() {
        let RelationSource::Table(table) = &relation.source else { continue };
        let Some(primary) = table.primary_key().filter(|key| table.deferrable(key.oid).is_none()) else { continue };
        let grouped = |position: usize| {
            keys.iter().any(|key| {
                matches!(key.kind, ExprKind::Column { up: 0, relation, column } if relation == at && column == position)
            })
        };
        if !primary.keys.iter().all(|key| grouped(key.column)) {
            continue;
        }
        let missing: Vec<usize> = (0..relation.columns.len())
            .filter(|position| !relation.columns[*position].hidden && !grouped(*position))
            .collect();
        for position in missing {
            let column = &relation.columns[position];
            keys.push(Expr {
                kind: ExprKind::Column { up: 0, relation: at, column: position },
                type_oid: column.type_oid,
                modifier: column.modifier,
                place: tree::Place::default(),
            });
        }
    }
}

/// Replaces grouping expressions by their keys; what is left of the grouped query's columns is an error.
struct Regrouping<'g> {
    keys: &'g [Expr],
    relations: &'g [Relation],
    /// The keys of each `GROUPING (...)` found so far.
    groupings: &'g mut Vec<Vec<usize>>,
}

impl Regrouping<'_> {
    fn expr(&mut self, expr: &mut Expr, depth: usize) -> PgResult<()> {
        if depth == 0 {
            if let Some(key) = self.keys.iter().position(|key| same_expr(key, expr)) {
                expr.kind = ExprKind::GroupKey(key);
                return Ok(());
            }
        }
        match &mut expr.kind {
            ExprKind::Aggregate(_) if depth == 0 => return Ok(()),
            ExprKind::Grouping(arguments) if depth == 0 => {
                let mut found = Vec::with_capacity(arguments.len());
                for argument in arguments {
                    let key = self.keys.iter().position(|key| same_expr(key, argument)).ok_or_else(|| {
                        let message =
                            "arguments to GROUPING must be grouping expressions of the associated query level";
                        at(argument.place, PgError::new(sqlstate::GROUPING_ERROR, message))
                    })?;
                    found.push(key);
                }
                let known = self.groupings.iter().position(|keys| *keys == found);
                expr.kind = ExprKind::GroupingValue(known.unwrap_or_else(|| {
                    self.groupings.push(found);
                    self.groupings.len() - 1
                }));
                return Ok(());
            }
            ExprKind::Column { up, relation, column } if *up == depth && *relation < self.relations.len() => {
                let (relation, column) = (*relation, *column);
                let found = self.keys.iter().position(|key| {
                    matches!(key.kind, ExprKind::Column { up: 0, relation: r, column: c } if (r, c) == (relation, column))
                });
                if let Some(key) = found {
                    // Seen from a subquery, the grouped row is relation 0 of the query around.
                    expr.kind = ExprKind::Column { up: depth, relation: GROUPED_ROW, column: key };
                    return Ok(());
                }
                let relation = &self.relations[relation];
                let name = format!("{}.{}", relation.alias, relation.columns[column].name);
                let message = if depth == 0 {
                    format!("column \"{name}\" must appear in the GROUP BY clause or be used in an aggregate function")
                } else {
                    format!("subquery uses ungrouped column \"{name}\" from outer query")
                };
                return Err(at(expr.place, PgError::new(sqlstate::GROUPING_ERROR, message)));
            }
            ExprKind::Subquery(subquery) => self.query(&mut subquery.query, depth + 1)?,
            _ => {}
        }
        for child in expr.children_mut() {
            self.expr(child, depth)?;
        }
        Ok(())
    }

    fn query(&mut self, query: &mut Query, depth: usize) -> PgResult<()> {
        for expr in query_exprs(query) {
            self.expr(expr, depth)?;
        }
        for inner in query_queries(query) {
            self.query(inner, depth + 1)?;
        }
        Ok(())
    }
}

/// The relation number that means the grouped row of a query, seen from its subqueries.
pub const GROUPED_ROW: usize = usize::MAX;

/// Every expression of a query itself.
fn query_exprs(query: &mut Query) -> Vec<&mut Expr> {
    let mut exprs: Vec<&mut Expr> = query.targets.iter_mut().map(|target| &mut target.expr).collect();
    exprs.extend(query.limit.as_mut());
    exprs.extend(query.offset.as_mut());
    exprs.extend(query.windows.iter_mut().flat_map(super::window::window_exprs_mut));
    match &mut query.body {
        crate::typed::Body::Select { from, filter, grouping } => {
            from.iter_mut().for_each(|part| from_exprs(part, &mut exprs));
            exprs.extend(filter.as_mut());
            if let Some(grouping) = grouping {
                exprs.extend(grouping.keys.iter_mut());
                exprs.extend(grouping.having.as_mut());
                for aggregate in &mut grouping.aggregates {
                    exprs.extend(aggregate.arguments.iter_mut());
                    exprs.extend(aggregate.filter.as_mut());
                    exprs.extend(aggregate.order_by.iter_mut().map(|(expr, _, _)| expr));
                }
            }
        }
        crate::typed::Body::Values(rows) => exprs.extend(rows.iter_mut().flatten()),
        crate::typed::Body::Set { .. } => {}
    }
    for relation in &mut query.relations {
        match &mut relation.source {
            RelationSource::Function { arguments, .. } => exprs.extend(arguments.iter_mut()),
            RelationSource::Scalar { value, .. } => exprs.push(value),
            RelationSource::Functions { calls, .. } => exprs.extend(calls.iter_mut().map(|(call, _)| call)),
            _ => {}
        }
    }
    exprs
}

fn from_exprs<'q>(from: &'q mut crate::typed::From, exprs: &mut Vec<&'q mut Expr>) {
    if let crate::typed::From::Join { left, right, condition, .. } = from {
        from_exprs(left, exprs);
        from_exprs(right, exprs);
        exprs.extend(condition.as_mut());
    }
}

/// Queries inside a query, whose columns are a level further out from there.
fn query_queries(query: &mut Query) -> Vec<&mut Query> {
    let mut queries: Vec<&mut Query> = Vec::new();
    if let crate::typed::Body::Set { left, right, .. } = &mut query.body {
        queries.push(left.as_mut());
        queries.push(right.as_mut());
    }
    for relation in &mut query.relations {
        if let RelationSource::Query(inner) = &mut relation.source {
            queries.push(inner.as_mut());
        }
    }
    queries
}
