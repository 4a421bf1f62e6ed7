//! W2: conditions on a subquery or view move into it.
use super::{and, is_plain};
use crate::parser::tree::JoinKind;
use crate::typed::{Body, DistinctOn, Expr, ExprKind, From, Query, Relation, RelationSource, Target};
use std::collections::BTreeSet;
use trivet_types::Oid;

/// Move a condition into the one subquery in FROM that it is on; whether it did.
pub(super) fn push(relations: &mut [Relation], from: &[From], term: &Expr) -> bool {
    let mut used = BTreeSet::new();
    crate::plan::visit::used_relations(term, 0, &mut used);
    let (Some(only), 1) = (used.first().copied(), used.len()) else { return false };
    // A row that an outer join fills with NULLs does not come out of the subquery.
    let is_preserved = from.iter().any(|part| is_preserved(part, only));
    if !is_preserved || !is_plain(term) || relations[only].lateral {
        return false;
    }
    let types: Vec<Oid> = relations[only].columns.iter().map(|column| column.type_oid).collect();
    match &mut relations[only].source {
        RelationSource::Query(query) if accepts(query, term, only, &types) => {
            insert(query, only, term.clone());
            true
        }
        _ => false,
    }
}

/// Is the relation in this part, and are its rows never filled with NULLs?
fn is_preserved(from: &From, relation: usize) -> bool {
    match from {
        From::Relation(other) => *other == relation,
        From::Join { kind, left, right, .. } => match kind {
            JoinKind::Inner | JoinKind::Cross => is_preserved(left, relation) || is_preserved(right, relation),
            JoinKind::Left | JoinKind::Semi | JoinKind::Anti => is_preserved(left, relation),
            JoinKind::Right => is_preserved(right, relation),
            JoinKind::Full => false,
        },
    }
}

/// May a condition on the query's columns be tested within it?
fn accepts(query: &Query, term: &Expr, relation: usize, types: &[Oid]) -> bool {
    let ok = query.limit.is_none()
        && query.offset.is_none()
        && query.windows.is_empty()
        && query.locks.is_empty()
        && !matches!(query.distinct, Some(DistinctOn::Targets(_)));
    let targets: Vec<&Target> = query.visible_targets().collect();
    let mut columns = Vec::new();
    crate::plan::visit::visit_columns(term, 0, &mut |of, column| {
        if of == relation {
            columns.push(column);
        }
    });
    let same = |column: &usize| targets.get(*column).map(|target| target.expr.type_oid) == types.get(*column).copied();
    if !ok || !columns.iter().all(same) {
        return false;
    }
    match &query.body {
        Body::Values(_) => false,
        // Of EXCEPT and INTERSECT, too, the same rows pass on both sides.
        Body::Set { left, right, .. } => accepts(left, term, relation, types) && accepts(right, term, relation, types),
        Body::Select { grouping, .. } => {
            let computed = |column: &usize| &targets[*column].expr;
            // A set in any target multiplies rows, and a condition on another target would be tested before: no harm. A volatile
            // value must be the one that is shown.
            let plain = columns.iter().map(computed).all(is_plain);
            let keys_only = grouping.as_ref().is_none_or(|grouping| {
                grouping.sets.is_none()
                    && grouping.groupings.is_empty()
                    && !grouping.keys.is_empty()
                    && columns.iter().map(computed).all(|expr| {
                        !expr.any(&mut |part| {
                            matches!(part.kind, ExprKind::Aggregate(_) | ExprKind::Column { up: 0, .. })
                        })
                    })
            });
            let no_sets = !query.targets.iter().any(|target| {
                target
                    .expr
                    .any(&mut |part| matches!(&part.kind, ExprKind::Call { procedure, .. } if procedure.returns_set()))
            });
            plain && keys_only && no_sets
        }
    }
}

/// Test the condition within the query.
fn insert(query: &mut Query, relation: usize, term: Expr) {
    let values: Vec<Expr> = query.visible_targets().map(|target| target.expr.clone()).collect();
    match &mut query.body {
        Body::Set { left, right, .. } => {
            // Sides may have hidden targets of their own, but the visible ones correspond.
            insert(left, relation, push_one_deeper(term.clone()));
            insert(right, relation, push_one_deeper(term));
        }
        Body::Select { filter, grouping, .. } => {
            let mut term = term;
            let keys = grouping.as_ref().map(|grouping| grouping.keys.as_slice());
            replace(&mut term, relation, &values, keys);
            *filter = Some(match filter.take() {
                None => term,
                Some(filter) => and(vec![filter, term]),
            });
        }
        Body::Values(_) => {}
    }
}

/// A side of a set operation is a query further in: what the condition uses of rows further out is one more out. Its own
/// column references stay as they are until they are replaced.
fn push_one_deeper(mut term: Expr) -> Expr {
    fn deeper(expr: &mut Expr) {
        if let ExprKind::Column { up, .. } = &mut expr.kind {
            if *up > 0 {
                *up += 1;
            }
        }
        expr.children_mut().into_iter().for_each(deeper);
    }
    deeper(&mut term);
    term
}

/// Columns of the subquery become what they are computed from; all other columns are of rows further out now.
fn replace(expr: &mut Expr, relation: usize, values: &[Expr], keys: Option<&[Expr]>) {
    if let ExprKind::Column { up, relation: of, column } = &mut expr.kind {
        if *up == 0 && *of == relation {
            let mut value = values[*column].clone();
            if let Some(keys) = keys {
                ungroup(&mut value, keys);
            }
            *expr = value;
            return;
        }
        *up += 1;
        return;
    }
    expr.children_mut().into_iter().for_each(|child| replace(child, relation, values, keys));
}

/// Grouping keys become what they are computed from: WHERE is tested before rows are grouped.
fn ungroup(expr: &mut Expr, keys: &[Expr]) {
    if let ExprKind::GroupKey(at) = &expr.kind {
        *expr = keys[*at].clone();
        return;
    }
    expr.children_mut().into_iter().for_each(|child| ungroup(child, keys));
}
