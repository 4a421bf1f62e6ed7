//! W6: a view or subquery that only filters and joins goes into the query around it.
use super::{add_condition, gather_conditions, is_plain, pull_up, renumber_from, stands_alone, uses_outer};
use crate::parser::tree::JoinKind;
use crate::typed::{Body, Expr, ExprKind, From, Query, RelationSource, Target};

/// Only filters and joins: its rows are those of its FROM, and each column is one of theirs.
fn is_simple(query: &Query) -> bool {
    let Body::Select { from, filter, grouping: None } = &query.body else { return false };
    let whole = query.limit.is_none()
        && query.offset.is_none()
        && query.sort.is_empty()
        && query.windows.is_empty()
        && query.locks.is_empty()
        && query.distinct.is_none()
        && !from.is_empty();
    let column = |target: &Target| matches!(target.expr.kind, ExprKind::Column { up: 0, .. }) && !target.hidden;
    let mut conditions = Vec::new();
    gather_conditions(from, &mut conditions);
    whole
        && query.targets.iter().all(column)
        && filter.iter().chain(conditions).all(|expr| is_plain(expr) && !uses_outer(expr))
        && query.relations.iter().all(|relation| match &relation.source {
            RelationSource::Table(_) => true,
            RelationSource::Query(inner) => !relation.lateral && stands_alone(inner),
            _ => false,
        })
}

/// Does a relation in FROM go into the query?
fn flattens(query: &Query, relation: usize) -> bool {
    let of = &query.relations[relation];
    match &of.source {
        RelationSource::Query(inner) => {
            let same = |(target, column): (&Target, &crate::typed::RelationColumn)| {
                target.expr.type_oid == column.type_oid && target.expr.modifier == column.modifier
            };
            !of.lateral
                && is_simple(inner)
                && inner.targets.len() == of.columns.len()
                && inner.targets.iter().zip(&of.columns).all(same)
                && !query.locks.iter().any(|lock| lock.relation == relation)
                && matches!(&query.body, Body::Select { from, .. }
                    if !from.iter().any(|part| in_full_join(part, relation, false)))
        }
        _ => false,
    }
}

pub(super) fn may_flatten(query: &Query) -> bool {
    matches!(query.body, Body::Select { .. }) && (0..query.relations.len()).any(|relation| flattens(query, relation))
}

pub(super) fn flatten(query: &mut Query) {
    // What comes in may hold another one.
    let mut relation = 0;
    while relation < query.relations.len() && query.relations.len() < 64 {
        if flattens(query, relation) {
            flatten_one(query, relation);
        }
        relation += 1;
    }
}

fn flatten_one(query: &mut Query, relation: usize) {
    let offset = query.relations.len();
    let RelationSource::Query(inner) = &query.relations[relation].source else { return };
    let inner = (**inner).clone();
    let Body::Select { from: mut inside, filter, .. } = inner.body else { return };
    inside.iter_mut().for_each(|part| renumber_from(part, offset));
    let columns: Vec<(usize, usize)> = inner
        .targets
        .iter()
        .filter_map(|target| match target.expr.kind {
            ExprKind::Column { relation, column, .. } => Some((relation + offset, column)),
            _ => None,
        })
        .collect();
    let joined = inside.into_iter().reduce(|left, right| From::Join {
        kind: JoinKind::Cross,
        left: Box::new(left),
        right: Box::new(right),
        condition: None,
    });
    let Some(joined) = joined else { return };
    let filter = filter.map(|mut filter| {
        pull_up(&mut filter, offset);
        filter
    });
    let alias = query.relations[relation].alias.clone();
    let only = inner.relations.len() == 1;
    query.relations.extend(inner.relations.into_iter().map(|mut inner| {
        // EXPLAIN calls it what the query does.
        if only {
            inner.alias.clone_from(&alias);
        }
        inner
    }));
    if let Body::Select { from, filter: outer, .. } = &mut query.body {
        for part in from {
            if let Some(left) = put_in(part, relation, &joined, &filter) {
                add_condition(outer, left);
            }
        }
    }
    crate::plan::visit::columns_mut(query, 0, &mut |of, column| {
        if *of == relation {
            (*of, *column) = columns[*column];
        }
    });
}

/// Put a part in the place of a relation. Its condition stands where it decides the same: with the nearest join that it is an
/// inner or null-extended side of; on a preserved side it goes on outward, and is given back at last.
fn put_in(from: &mut From, relation: usize, joined: &From, filter: &Option<Expr>) -> Option<Expr> {
    match from {
        From::Relation(other) if *other == relation => {
            *from = joined.clone();
            filter.clone()
        }
        From::Relation(_) => None,
        From::Join { kind, left, right, condition } => {
            let (of_left, of_right) = (put_in(left, relation, joined, filter), put_in(right, relation, joined, filter));
            match kind {
                JoinKind::Inner | JoinKind::Cross => {
                    if let Some(filter) = of_left.or(of_right) {
                        *kind = JoinKind::Inner;
                        add_condition(condition, filter);
                    }
                    None
                }
                JoinKind::Right => {
                    of_left.into_iter().for_each(|filter| add_condition(condition, filter));
                    of_right
                }
                JoinKind::Left | JoinKind::Full | JoinKind::Semi | JoinKind::Anti => {
                    of_right.into_iter().for_each(|filter| add_condition(condition, filter));
                    of_left
                }
            }
        }
    }
}

/// Is the relation anywhere beneath a full join?
fn in_full_join(from: &From, relation: usize, beneath: bool) -> bool {
    match from {
        From::Relation(other) => beneath && *other == relation,
        From::Join { kind, left, right, .. } => {
            let beneath = beneath || *kind == JoinKind::Full;
            in_full_join(left, relation, beneath) || in_full_join(right, relation, beneath)
        }
    }
}
