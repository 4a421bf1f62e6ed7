//! Going through typed trees: which columns and relations they use.
use crate::analyze::{window_exprs, window_exprs_mut};
use crate::typed::{Expr, ExprKind, From, Relation, RelationSource};
use std::collections::BTreeSet;

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
pub(super) fn for_each_expr(query: &crate::typed::Query, visit: &mut dyn FnMut(&Expr)) {
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
pub(super) fn used_relations(expr: &Expr, depth: usize, out: &mut BTreeSet<usize>) {
    visit_columns(expr, depth, &mut |relation, _| {
        out.insert(relation);
    });
}

pub(super) fn query_relations(query: &crate::typed::Query, depth: usize, out: &mut BTreeSet<usize>) {
    visit_query(query, depth, &mut |relation, _| {
        out.insert(relation);
    });
}

pub(super) fn from_relations(from: &From, depth: usize, out: &mut BTreeSet<usize>) {
    visit_from(from, depth, &mut |relation, _| {
        out.insert(relation);
    });
}

/// The relations that a part of FROM consists of.
pub(super) fn members(from: &From, out: &mut BTreeSet<usize>) {
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

/// Relations of the same query that a lateral relation looks at.
pub(super) fn lateral_needs(relation: &Relation, out: &mut BTreeSet<usize>) {
    match &relation.source {
        RelationSource::Query(query) => query_relations(query, 1, out),
        RelationSource::Function { arguments, .. } => arguments.iter().for_each(|expr| used_relations(expr, 0, out)),
        RelationSource::Scalar { value, .. } => used_relations(value, 0, out),
        RelationSource::Functions { calls, .. } => calls.iter().for_each(|(call, _)| used_relations(call, 0, out)),
        _ => {}
    }
}

/// As `visit_query`, of the query's own columns, which may be changed.
pub(super) fn columns_mut(
    query: &mut crate::typed::Query,
    depth: usize,
    change: &mut dyn FnMut(&mut usize, &mut usize),
) {
    use crate::typed::Body;
    let mut exprs: Vec<&mut Expr> = query.targets.iter_mut().map(|target| &mut target.expr).collect();
    exprs.extend(query.limit.iter_mut().chain(&mut query.offset));
    exprs.extend(query.windows.iter_mut().flat_map(window_exprs_mut));
    match &mut query.body {
        Body::Select { from, filter, grouping } => {
            from.iter_mut().for_each(|part| conditions_mut(part, &mut exprs));
            exprs.extend(filter);
            if let Some(grouping) = grouping {
                exprs.extend(grouping.keys.iter_mut().chain(&mut grouping.having));
                for aggregate in &mut grouping.aggregates {
                    exprs.extend(aggregate.arguments.iter_mut().chain(&mut aggregate.filter));
                    exprs.extend(aggregate.order_by.iter_mut().map(|(expr, _, _)| expr));
                }
            }
        }
        Body::Values(rows) => exprs.extend(rows.iter_mut().flatten()),
        Body::Set { left, right, .. } => {
            columns_mut(left, depth + 1, change);
            columns_mut(right, depth + 1, change);
        }
    }
    for relation in &mut query.relations {
        match &mut relation.source {
            RelationSource::Query(inner) => columns_mut(inner, depth + 1, change),
            RelationSource::Function { arguments, .. } => exprs.extend(arguments),
            RelationSource::Scalar { value, .. } => exprs.push(value),
            RelationSource::Functions { calls, .. } => exprs.extend(calls.iter_mut().map(|(call, _)| call)),
            RelationSource::Table(_) | RelationSource::Virtual(_) | RelationSource::Common { .. } => {}
        }
    }
    exprs.into_iter().for_each(|expr| expr_columns_mut(expr, depth, change));
}

fn conditions_mut<'f>(from: &'f mut From, out: &mut Vec<&'f mut Expr>) {
    if let From::Join { left, right, condition, .. } = from {
        conditions_mut(left, out);
        conditions_mut(right, out);
        out.extend(condition);
    }
}

fn expr_columns_mut(expr: &mut Expr, depth: usize, change: &mut dyn FnMut(&mut usize, &mut usize)) {
    match &mut expr.kind {
        ExprKind::Column { up, relation, column } if *up == depth => change(relation, column),
        ExprKind::Subquery(subquery) => columns_mut(&mut subquery.query, depth + 1, change),
        _ => {}
    }
    expr.children_mut().into_iter().for_each(|child| expr_columns_mut(child, depth, change));
}
