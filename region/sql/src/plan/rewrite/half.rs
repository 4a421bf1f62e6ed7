//! W1: `EXISTS` and `IN` as joins.
use super::{and, gather_conditions, is_plain, pull_up, renumber_from, stands_alone, uses_outer};
use crate::parser::tree::JoinKind;
use crate::plan::access::Comparison;
use crate::plan::condition::comparison_of;
use crate::typed::{Body, Expr, ExprKind, From, Query, Relation, RelationSource, RowOperator, SubqueryKind, Target};
use trivet_types::oid;

/// Add the join that a term stands for; the term, if it stands for none.
pub(super) fn half_join(relations: &mut Vec<Relation>, from: &mut Vec<From>, term: Expr) -> Option<Expr> {
    let (kind, subquery) = match &term.kind {
        ExprKind::Subquery(subquery) => (JoinKind::Semi, subquery),
        ExprKind::Not(operand) => match &operand.kind {
            ExprKind::Subquery(subquery) => (JoinKind::Anti, subquery),
            _ => return Some(term),
        },
        _ => return Some(term),
    };
    if subquery.shared.is_some() {
        return Some(term);
    }
    let joined = match (&subquery.kind, kind) {
        (SubqueryKind::Exists, _) => exists(relations, &subquery.query),
        (
            SubqueryKind::Quantified { left, procedures, row: RowOperator::All, all: false, negate: false },
            JoinKind::Semi,
        ) => member(relations, &subquery.query, left, procedures),
        _ => None,
    };
    let Some((right, condition)) = joined else { return Some(term) };
    // All of FROM so far is the left side.
    let left = std::mem::take(from).into_iter().reduce(|left, right| From::Join {
        kind: JoinKind::Cross,
        left: Box::new(left),
        right: Box::new(right),
        condition: None,
    })?;
    from.push(From::Join { kind, left: Box::new(left), right: Box::new(right), condition });
    None
}

/// `EXISTS (SELECT ... FROM b WHERE b.x = a.x)`: b's relations, numbered after ours, and the whole condition.
fn exists(relations: &mut Vec<Relation>, query: &Query) -> Option<(From, Option<Expr>)> {
    let Body::Select { from, filter, grouping: None } = &query.body else { return None };
    let simple = query.locks.is_empty()
        && query.windows.is_empty()
        && query.limit.is_none()
        && query.offset.is_none()
        && query.targets.iter().all(|target| is_plain(&target.expr))
        && !from.is_empty();
    // What is in FROM may look at nothing outside of it, and only conditions at the outer row, and at no row further out.
    let looks_out = query.relations.iter().any(|relation| match &relation.source {
        RelationSource::Table(_) | RelationSource::Virtual(_) => false,
        RelationSource::Query(inner) => relation.lateral || !stands_alone(inner),
        _ => true,
    });
    let mut conditions = Vec::new();
    gather_conditions(from, &mut conditions);
    let filter_is_plain = filter.as_ref().is_none_or(is_plain);
    let correlated = filter.as_ref().is_some_and(uses_outer);
    if !simple
        || looks_out
        || !filter_is_plain
        || !correlated
        || !conditions.iter().all(|expr| is_plain(expr) && !uses_outer(expr))
    {
        return None;
    }
    let offset = relations.len();
    let mut from = from.clone();
    from.iter_mut().for_each(|part| renumber_from(part, offset));
    relations.extend(query.relations.iter().cloned());
    let condition = filter.clone().map(|mut filter| {
        pull_up(&mut filter, offset);
        filter
    });
    let right = from.into_iter().reduce(|left, right| From::Join {
        kind: JoinKind::Cross,
        left: Box::new(left),
        right: Box::new(right),
        condition: None,
    })?;
    Some((right, condition))
}

/// `left IN (query)`, where the query looks at nothing outside: it becomes a relation.
fn member(
    relations: &mut Vec<Relation>,
    query: &Query,
    left: &[Expr],
    procedures: &[&'static trivet_types::registry::Procedure],
) -> Option<(From, Option<Expr>)> {
    let equal = procedures.iter().all(|procedure| comparison_of(procedure) == Some(Comparison::Equal));
    let targets: Vec<&Target> = query.visible_targets().collect();
    if !stands_alone(query)
        || !equal
        || targets.len() != left.len()
        || !left.iter().all(is_plain)
        || !query.locks.is_empty()
    {
        return None;
    }
    let at = relations.len();
    let column = |target: &&Target| crate::typed::RelationColumn {
        name: target.name.clone(),
        type_oid: target.expr.type_oid,
        modifier: target.expr.modifier,
        hidden: false,
    };
    let columns: Vec<_> = targets.iter().map(column).collect();
    let conditions: Vec<Expr> = left
        .iter()
        .zip(procedures)
        .enumerate()
        .map(|(number, (left, procedure))| {
            let right = Expr {
                kind: ExprKind::Column { up: 0, relation: at, column: number },
                type_oid: columns[number].type_oid,
                modifier: columns[number].modifier,
                place: left.place,
            };
            Expr {
                kind: ExprKind::Call { procedure, arguments: vec![left.clone(), right] },
                type_oid: oid::BOOL,
                modifier: -1,
                place: left.place,
            }
        })
        .collect();
    let source = RelationSource::Query(Box::new(query.clone()));
    relations.push(Relation {
        alias: "ANY_subquery".to_owned(),
        columns,
        source,
        lateral: false,
        view: None,
        row_type: None,
    });
    Some((From::Relation(at), Some(and(conditions))))
}
