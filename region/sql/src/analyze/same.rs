//! The same query, wherever it was written: what GROUP BY, DISTINCT ON and ORDER BY name may be a subquery, written twice.
//!
//! Column names do not count, for nothing in an expression uses them. Row locks make queries different.
use super::group::same_expr;
use crate::typed::{
    Aggregate, Body, DistinctOn, Expr, FrameBound, From, Grouping, Query, Relation, RelationSource, Subquery,
    SubqueryKind, WindowCall,
};

pub(super) fn same_subquery(left: &Subquery, right: &Subquery) -> bool {
    if left.shared.is_some() && left.shared == right.shared {
        return true;
    }
    let same_kind = match (&left.kind, &right.kind) {
        (
            SubqueryKind::Quantified { procedures, all, negate, row, .. },
            SubqueryKind::Quantified { procedures: p, all: a, negate: n, row: r, .. },
        ) => {
            let oids = procedures.iter().map(|procedure| procedure.oid);
            oids.eq(p.iter().map(|procedure| procedure.oid)) && (all, negate, row) == (a, n, r)
        }
        (a, b) => std::mem::discriminant(a) == std::mem::discriminant(b),
    };
    same_kind && same_query(&left.query, &right.query)
}

fn same_query(left: &Query, right: &Query) -> bool {
    let distinct = match (&left.distinct, &right.distinct) {
        (None, None) | (Some(DistinctOn::All), Some(DistinctOn::All)) => true,
        (Some(DistinctOn::Targets(a)), Some(DistinctOn::Targets(b))) => a == b,
        _ => false,
    };
    left.locks.is_empty()
        && right.locks.is_empty()
        && distinct
        && all(&left.windows, &right.windows, same_window)
        && left.sort == right.sort
        && left.with_ties == right.with_ties
        && all(&left.targets, &right.targets, |a, b| a.hidden == b.hidden && same_expr(&a.expr, &b.expr))
        && both(left.limit.as_ref(), right.limit.as_ref())
        && both(left.offset.as_ref(), right.offset.as_ref())
        && all(&left.relations, &right.relations, same_relation)
        && same_body(&left.body, &right.body)
}

fn same_body(left: &Body, right: &Body) -> bool {
    match (left, right) {
        (
            Body::Select { from, filter, grouping },
            Body::Select { from: other_from, filter: other_filter, grouping: other_grouping },
        ) => {
            let grouped = match (grouping, other_grouping) {
                (None, None) => true,
                (Some(a), Some(b)) => same_grouping(a, b),
                _ => false,
            };
            grouped && all(from, other_from, same_from) && both(filter.as_ref(), other_filter.as_ref())
        }
        (Body::Values(a), Body::Values(b)) => all(a, b, |a, b| all(a, b, same_expr)),
        (
            Body::Set { operation, all, left, right },
            Body::Set { operation: other, all: other_all, left: other_left, right: other_right },
        ) => (operation, all) == (other, other_all) && same_query(left, other_left) && same_query(right, other_right),
        _ => false,
    }
}

fn same_relation(left: &Relation, right: &Relation) -> bool {
    use RelationSource::*;
    match (&left.source, &right.source) {
        (Table(a), Table(b)) => a.oid == b.oid,
        (Virtual(a), Virtual(b)) => std::ptr::eq(*a, *b),
        (Query(a), Query(b)) => same_query(a, b),
        (
            Function { procedure, arguments, ordinality },
            Function { procedure: other, arguments: others, ordinality: o },
        ) => procedure.oid == other.oid && ordinality == o && all(arguments, others, same_expr),
        (Scalar { value, ordinality }, Scalar { value: other, ordinality: o }) => {
            ordinality == o && same_expr(value, other)
        }
        (Functions { calls, ordinality }, Functions { calls: others, ordinality: o }) => {
            ordinality == o && all(calls, others, |a, b| same_expr(&a.0, &b.0))
        }
        (Common { id, working }, Common { id: other, working: w }) => (id, working) == (other, w),
        _ => false,
    }
}

fn same_from(left: &From, right: &From) -> bool {
    match (left, right) {
        (From::Relation(a), From::Relation(b)) => a == b,
        (
            From::Join { kind, left, right, condition },
            From::Join { kind: other, left: other_left, right: other_right, condition: other_condition },
        ) => {
            kind == other
                && same_from(left, other_left)
                && same_from(right, other_right)
                && both(condition.as_ref(), other_condition.as_ref())
        }
        _ => false,
    }
}

fn same_grouping(left: &Grouping, right: &Grouping) -> bool {
    all(&left.keys, &right.keys, same_expr)
        && all(&left.aggregates, &right.aggregates, same_aggregate)
        && both(left.having.as_ref(), right.having.as_ref())
        && left.sets == right.sets
        && left.groupings == right.groupings
}

fn same_order(left: &(Expr, bool, bool), right: &(Expr, bool, bool)) -> bool {
    same_expr(&left.0, &right.0) && (left.1, left.2) == (right.1, right.2)
}

fn same_window(left: &WindowCall, right: &WindowCall) -> bool {
    let (a, b) = (&left.window, &right.window);
    left.procedure.oid == right.procedure.oid
        && left.star == right.star
        && all(&left.arguments, &right.arguments, same_expr)
        && both(left.filter.as_ref(), right.filter.as_ref())
        && all(&a.partition, &b.partition, same_expr)
        && all(&a.order, &b.order, same_order)
        && (a.frame.unit, a.frame.exclude) == (b.frame.unit, b.frame.exclude)
        && same_bound(&a.frame.start, &b.frame.start)
        && same_bound(&a.frame.end, &b.frame.end)
}

fn same_bound(left: &FrameBound, right: &FrameBound) -> bool {
    match (left, right) {
        (FrameBound::Preceding(a), FrameBound::Preceding(b)) | (FrameBound::Following(a), FrameBound::Following(b)) => {
            same_expr(&a.value, &b.value)
        }
        (a, b) => std::mem::discriminant(a) == std::mem::discriminant(b),
    }
}

fn same_aggregate(left: &Aggregate, right: &Aggregate) -> bool {
    left.procedure.oid == right.procedure.oid
        && (left.distinct, left.star) == (right.distinct, right.star)
        && all(&left.arguments, &right.arguments, same_expr)
        && both(left.filter.as_ref(), right.filter.as_ref())
        && all(&left.order_by, &right.order_by, same_order)
}

fn all<T>(left: &[T], right: &[T], same: impl Fn(&T, &T) -> bool) -> bool {
    left.len() == right.len() && left.iter().zip(right).all(|(a, b)| same(a, b))
}

fn both(left: Option<&Expr>, right: Option<&Expr>) -> bool {
    match (left, right) {
        (None, None) => true,
        (Some(a), Some(b)) => same_expr(a, b),
        _ => false,
    }
}
