//! GROUP BY: every column that is used outside an aggregate must be grouped by.
use super::query::named_target;
use super::{Analyzer, at};
use crate::parser::tree;
use crate::typed::{Expr, ExprKind, Grouping, Query, Relation, RelationSource, Target};
use trivet_types::{PgError, PgResult, sqlstate};

/// The same expression, wherever it was written.
pub(super) fn same_expr(left: &Expr, right: &Expr) -> bool {
    use ExprKind::*;
    if left.type_oid != right.type_oid || left.modifier != right.modifier {
        return false;
    }
    let same_head = match (&left.kind, &right.kind) {
        (Constant(a), Constant(b)) => a == b,
        (Parameter(a), Parameter(b)) | (Aggregate(a), Aggregate(b)) | (GroupKey(a), GroupKey(b)) => a == b,
        (Column { up, relation, column }, Column { up: u, relation: r, column: c }) => {
            (up, relation, column) == (u, r, c)
        }
        (Call { procedure, .. }, Call { procedure: other, .. }) => procedure.oid == other.oid,
        (Quantified { procedure, all, .. }, Quantified { procedure: other, all: other_all, .. }) => {
            procedure.oid == other.oid && all == other_all
        }
        (Fit { explicit, .. }, Fit { explicit: other, .. }) => explicit == other,
        (IsNull { negated, .. }, IsNull { negated: other, .. }) => negated == other,
        (Distinct { negated, .. }, Distinct { negated: other, .. }) => negated == other,
        (IsBoolean { value, negated, .. }, IsBoolean { value: v, negated: n, .. }) => (value, negated) == (v, n),
        (Extreme { greatest, .. }, Extreme { greatest: other, .. }) => greatest == other,
        (Case { branches, otherwise }, Case { branches: b, otherwise: o }) => {
            branches.len() == b.len() && otherwise.is_some() == o.is_some()
        }
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
    /// GROUP BY's expressions. A bare name is an input column first, an output name second.
    pub(super) fn group_keys(&mut self, groups: &[tree::GroupBy], targets: &mut [Target]) -> PgResult<Vec<Expr>> {
        let mut keys: Vec<Expr> = Vec::with_capacity(groups.len());
        for group in groups {
            let tree::GroupBy::Expr(expr) = group else {
                return Err(PgError::unsupported("GROUPING SETS, ROLLUP and CUBE"));
            };
            let key = self.group_key(expr, targets)?;
            if key.any(&mut |part| matches!(part.kind, ExprKind::Aggregate(_))) {
                let error = PgError::new(sqlstate::GROUPING_ERROR, "aggregate functions are not allowed in GROUP BY");
                return Err(at(expr.place, error));
            }
            if !keys.iter().any(|other| same_expr(other, &key)) {
                keys.push(key);
            }
        }
        Ok(keys)
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

    /// Rewrite targets and HAVING over the grouped row.
    pub(super) fn group(&mut self, grouping: &mut Grouping, targets: &mut [Target]) -> PgResult<()> {
        let relations = std::mem::take(&mut self.scope().relations);
        let mut keys = std::mem::take(&mut grouping.keys);
        add_dependent_columns(&mut keys, &relations);
        let mut result = Ok(());
        for expr in targets.iter_mut().map(|target| &mut target.expr).chain(&mut grouping.having) {
            if result.is_ok() {
                result = regroup(expr, &keys, &relations, 0);
            }
        }
        grouping.keys = keys;
        self.scope().relations = relations;
        result
    }
}

/// Columns of a table whose primary key is grouped by have one value a group: they may be used, so they become keys too.
fn add_dependent_columns(keys: &mut Vec<Expr>, relations: &[Relation]) {
    for (at, relation) in relations.iter().enumerate() {
        let RelationSource::Table(table) = &relation.source else { continue };
        let Some(primary) = table.primary_key() else { continue };
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

/// Replace grouping expressions by their keys; what is left of the grouped query's columns is an error.
fn regroup(expr: &mut Expr, keys: &[Expr], relations: &[Relation], depth: usize) -> PgResult<()> {
    if depth == 0 {
        if let Some(key) = keys.iter().position(|key| same_expr(key, expr)) {
            expr.kind = ExprKind::GroupKey(key);
            return Ok(());
        }
    }
    match &mut expr.kind {
        ExprKind::Aggregate(_) if depth == 0 => return Ok(()),
        ExprKind::Column { up, relation, column } if *up == depth => {
            let lowered = ExprKind::Column { up: 0, relation: *relation, column: *column };
            let found = keys.iter().position(|key| match (&key.kind, &lowered) {
                (ExprKind::Column { up: 0, relation: r, column: c }, ExprKind::Column { relation, column, .. }) => {
                    (r, c) == (relation, column)
                }
                _ => false,
            });
            if let Some(key) = found {
                // Seen from a subquery, the grouped row is relation 0 of the query around.
                expr.kind = ExprKind::Column { up: depth, relation: GROUPED_ROW, column: key };
                return Ok(());
            }
            let relation = &relations[*relation];
            let name = format!("{}.{}", relation.alias, relation.columns[*column].name);
            let message = if depth == 0 {
                format!("column \"{name}\" must appear in the GROUP BY clause or be used in an aggregate function")
            } else {
                format!("subquery uses ungrouped column \"{name}\" from outer query")
            };
            return Err(at(expr.place, PgError::new(sqlstate::GROUPING_ERROR, message)));
        }
        ExprKind::Subquery(subquery) => regroup_query(&mut subquery.query, keys, relations, depth + 1)?,
        _ => {}
    }
    for child in expr.children_mut() {
        regroup(child, keys, relations, depth)?;
    }
    Ok(())
}

/// The relation number that means the grouped row of a query, seen from its subqueries.
pub const GROUPED_ROW: usize = usize::MAX;

fn regroup_query(query: &mut Query, keys: &[Expr], relations: &[Relation], depth: usize) -> PgResult<()> {
    for expr in query_exprs(query) {
        regroup(expr, keys, relations, depth)?;
    }
    for inner in query_queries(query) {
        regroup_query(inner, keys, relations, depth + 1)?;
    }
    Ok(())
}

/// Every expression of a query itself.
fn query_exprs(query: &mut Query) -> Vec<&mut Expr> {
    let mut exprs: Vec<&mut Expr> = query.targets.iter_mut().map(|target| &mut target.expr).collect();
    exprs.extend(query.limit.as_mut());
    exprs.extend(query.offset.as_mut());
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
