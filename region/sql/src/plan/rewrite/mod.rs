//! Other queries with the same answer, from which cheaper plans are made.
//!
//! - W1: `EXISTS (...)`, `NOT EXISTS (...)` and `x IN (...)` among WHERE's conditions become semi and anti joins. `NOT IN` does not:
//!   a NULL on either side makes it unknown, which no join says.
//! - W2: conditions on a subquery or view in FROM move into it, and into both sides of a UNION.
//! - W3: `a = 1 OR a = 2` is `a = ANY (ARRAY[1, 2])`, which an index answers.
//! - W4: `min` and `max` of an indexed column are the first and last entry of the index.
//! - W5: calls of immutable functions on constants are their values (`fold`).
//! - W6: a view or subquery that only filters and joins becomes part of the query around it.
//! - W7: an outer join whose NULLs no row with them would pass is an inner one.
//!
//! Each looks at the typed tree alone. What moves is neither volatile nor a set, nor would it be evaluated for rows that it was
//! not evaluated for before in a way that shows: an error that a condition can raise may come for other rows, as in PostgreSQL,
//! which promises no order of conditions.
mod extreme;
mod flatten;
mod fold;
mod half;
mod outer;
mod push;

use super::access::Comparison;
use super::condition::{comparison_of, is_stable_value};
use super::planner::index_order;
use crate::typed::{Body, Expr, ExprKind, From, Query, RelationSource};
use extreme::first_and_last;
use flatten::{flatten, may_flatten};
use fold::{fold_query, is_foldable};
use half::half_join;
use outer::{has_outer_join, reduce, rejects_null};
use push::push;
use std::borrow::Cow;
use std::collections::BTreeSet;
use trivet_types::registry::Volatility;
use trivet_types::{Array, Datum, oid};

/// The query as it is planned.
pub(in crate::plan) fn rewritten(query: &Query) -> Cow<'_, Query> {
    if !is_foldable(query) {
        return unfolded(query);
    }
    let mut folded = query.clone();
    fold_query(&mut folded);
    let rewritten = match unfolded(&folded) {
        Cow::Owned(rewritten) => Some(rewritten),
        Cow::Borrowed(_) => None,
    };
    Cow::Owned(rewritten.unwrap_or(folded))
}

fn unfolded(query: &Query) -> Cow<'_, Query> {
    if !may_flatten(query) {
        return unflattened(query);
    }
    let mut flat = query.clone();
    flatten(&mut flat);
    fold_query(&mut flat);
    let rewritten = match unflattened(&flat) {
        Cow::Owned(rewritten) => Some(rewritten),
        Cow::Borrowed(_) => None,
    };
    Cow::Owned(rewritten.unwrap_or(flat))
}

fn unflattened(query: &Query) -> Cow<'_, Query> {
    let Body::Select { from, filter, grouping } = &query.body else { return Cow::Borrowed(query) };
    if grouping.is_some() {
        if let Some(query) = first_and_last(query) {
            return Cow::Owned(query);
        }
    }
    let Some(filter) = filter else { return Cow::Borrowed(query) };
    // Rows that an index gives in the order of a LIMIT are few: what they are asked is asked of each.
    let joins = index_order(query, false).is_none() && !from.is_empty();
    let pushes = query.relations.iter().any(|relation| matches!(relation.source, RelationSource::Query(_)));
    let reduces = from.iter().any(has_outer_join);
    let changes = filter.any(&mut |part| match &part.kind {
        ExprKind::Subquery(_) => joins,
        ExprKind::Or(_) => true,
        _ => pushes,
    });
    if !changes && !reduces {
        return Cow::Borrowed(query);
    }
    let mut query = query.clone();
    let mut terms = Vec::new();
    let Body::Select { from, filter, .. } = &mut query.body else { return Cow::Owned(query) };
    if let Some(filter) = filter.take() {
        crate::plan::compile::conjuncts(filter, &mut terms);
    }
    let mut from = std::mem::take(from);
    if reduces {
        let mut rejected = BTreeSet::new();
        terms.iter().for_each(|term| rejects_null(term, &mut rejected));
        from.iter_mut().for_each(|part| reduce(part, &rejected));
    }
    let mut rest = Vec::with_capacity(terms.len());
    for term in terms {
        let term = match &term.kind {
            ExprKind::Or(_) => any_of(term),
            _ => term,
        };
        let term = if joins {
            match half_join(&mut query.relations, &mut from, term) {
                None => continue,
                Some(term) => term,
            }
        } else {
            term
        };
        if pushes && push(&mut query.relations, &from, &term) {
            continue;
        }
        rest.push(term);
    }
    if let Body::Select { from: place, filter, .. } = &mut query.body {
        *place = from;
        *filter = match rest.len() {
            0 => None,
            1 => rest.pop(),
            _ => Some(and(rest)),
        };
    }
    Cow::Owned(query)
}

fn and(terms: Vec<Expr>) -> Expr {
    Expr { kind: ExprKind::And(terms), type_oid: oid::BOOL, modifier: -1, place: Default::default() }
}

/// Neither volatile nor a set, and without a subquery.
fn is_plain(expr: &Expr) -> bool {
    !expr.any(&mut |part| match &part.kind {
        ExprKind::Call { procedure, .. } => procedure.volatility() == Volatility::Volatile || procedure.returns_set(),
        ExprKind::Subquery(_) => true,
        _ => false,
    })
}

/// Equalities of one column with values, as one comparison with an array of them.
fn any_of(term: Expr) -> Expr {
    let ExprKind::Or(terms) = &term.kind else { return term };
    let mut column: Option<(usize, usize, &'static trivet_types::registry::Procedure, &Expr)> = None;
    let mut values = Vec::with_capacity(terms.len());
    for part in terms {
        let ExprKind::Call { procedure, arguments } = &part.kind else { return term };
        let ([left, right], Some(Comparison::Equal)) = (arguments.as_slice(), comparison_of(procedure)) else {
            return term;
        };
        let ExprKind::Column { up: 0, relation, column: at } = left.kind else { return term };
        if !matches!(right.kind, ExprKind::Constant(_) | ExprKind::Parameter(_)) || !is_stable_value(right, relation) {
            return term;
        }
        match &column {
            None => column = Some((relation, at, procedure, left)),
            Some((of, other, same, _)) if *of == relation && *other == at && same.oid == procedure.oid => {}
            Some(_) => return term,
        }
        values.push(right.clone());
    }
    let Some((_, _, procedure, left)) = column else { return term };
    let element = values[0].type_oid;
    let (Some(array), true) = (trivet_types::array_of(element), values.iter().all(|value| value.type_oid == element))
    else {
        return term;
    };
    if trivet_types::is_array(element) {
        return term;
    }
    // Of constants it is one: made once, not for each row.
    let constants = values.iter().map(|value| match &value.kind {
        ExprKind::Constant(datum) => Some(datum.clone()),
        _ => None,
    });
    let right = match constants.collect::<Option<Vec<Datum>>>() {
        Some(constants) => ExprKind::Constant(Datum::array(Array::from_values(element, constants))),
        None => ExprKind::Array(values),
    };
    let right = Expr { kind: right, type_oid: array, modifier: -1, place: left.place };
    let kind = ExprKind::Quantified { procedure, left: Box::new(left.clone()), right: Box::new(right), all: false };
    Expr { kind, type_oid: oid::BOOL, modifier: -1, place: term.place }
}

/// Queries within queries that are looked into.
const DEPTH_MAX: usize = 8;

/// Does the query look at no row outside of it?
fn stands_alone(query: &Query) -> bool {
    let mut outside = false;
    for depth in 1..=DEPTH_MAX {
        crate::plan::visit::visit_query(query, depth, &mut |_, _| outside = true);
    }
    !outside
}

fn gather_conditions<'f>(from: &'f [From], out: &mut Vec<&'f Expr>) {
    for part in from {
        if let From::Join { left, right, condition, .. } = part {
            gather_conditions(std::slice::from_ref(left), out);
            gather_conditions(std::slice::from_ref(right), out);
            out.extend(condition);
        }
    }
}

fn uses_outer(expr: &Expr) -> bool {
    expr.any(&mut |part| matches!(part.kind, ExprKind::Column { up, .. } if up > 0))
}

fn renumber_from(from: &mut From, offset: usize) {
    match from {
        From::Relation(relation) => *relation += offset,
        From::Join { left, right, condition, .. } => {
            renumber_from(left, offset);
            renumber_from(right, offset);
            condition.iter_mut().for_each(|condition| pull_up(condition, offset));
        }
    }
}

/// An expression of a query one level in, as one of this query's.
fn pull_up(expr: &mut Expr, offset: usize) {
    if let ExprKind::Column { up, relation, .. } = &mut expr.kind {
        match up {
            0 => *relation += offset,
            _ => *up -= 1,
        }
    }
    expr.children_mut().into_iter().for_each(|child| pull_up(child, offset));
}

fn add_condition(place: &mut Option<Expr>, condition: Expr) {
    *place = Some(match place.take() {
        None => condition,
        Some(other) => and(vec![other, condition]),
    });
}
