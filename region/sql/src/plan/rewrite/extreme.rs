//! W4: `min` and `max` by an index.
use super::{and, is_plain, uses_outer};
use crate::plan::access::Comparison;
use crate::plan::condition::{plain_column, steer};
use crate::typed::{Body, Expr, ExprKind, From, Query, RelationSource, SortTarget, Subquery, SubqueryKind, Target};
use trivet_types::{Datum, oid};

/// `SELECT min(a), max(b) FROM t WHERE ...` as subqueries of one row each.
pub(super) fn first_and_last(query: &Query) -> Option<Query> {
    let Body::Select { from, filter, grouping: Some(grouping) } = &query.body else { return None };
    let ([From::Relation(0)], [relation]) = (from.as_slice(), query.relations.as_slice()) else { return None };
    let RelationSource::Table(table) = &relation.source else { return None };
    let plain = grouping.keys.is_empty()
        && grouping.sets.is_none()
        && grouping.groupings.is_empty()
        && grouping.having.is_none()
        && !grouping.aggregates.is_empty()
        && query.windows.is_empty()
        && query.locks.is_empty()
        && filter.as_ref().is_none_or(|filter| is_plain(filter) && !uses_outer(filter));
    let outside = query.targets.iter().any(|target| uses_outer(&target.expr) || !is_plain(&target.expr));
    if !plain || outside {
        return None;
    }
    // Columns that the conditions fix; any other condition could leave the index searching for long.
    let mut terms = Vec::new();
    filter.iter().for_each(|filter| crate::plan::compile::conjuncts(filter.clone(), &mut terms));
    let fixes = |term: &Expr| match steer(term, 0) {
        Some((column, Comparison::Equal, _)) => Some(column),
        _ => None,
    };
    let equal: Option<Vec<usize>> = terms.iter().map(fixes).collect();
    let equal = equal?;
    let mut values = Vec::with_capacity(grouping.aggregates.len());
    for aggregate in &grouping.aggregates {
        let descending = match aggregate.procedure.name {
            "min" => false,
            "max" => true,
            _ => return None,
        };
        let [argument] = aggregate.arguments.as_slice() else { return None };
        let column = plain_column(argument, 0)?;
        let indexed = table.indexes.iter().any(|index| {
            let fixed = index.keys.iter().take_while(|key| key.column != column && equal.contains(&key.column)).count();
            index.is_plain() && index.keys.get(fixed).is_some_and(|key| key.column == column)
        });
        if !indexed || aggregate.filter.is_some() || !aggregate.order_by.is_empty() {
            return None;
        }
        let there = ExprKind::IsNull { operand: Box::new(argument.clone()), negated: true };
        let there = Expr { kind: there, type_oid: oid::BOOL, modifier: -1, place: argument.place };
        let filter = Some(match filter {
            None => there,
            Some(filter) => and(vec![filter.clone(), there]),
        });
        // An index is in the order of the column itself.
        let ExprKind::Column { .. } = argument.kind else { return None };
        let target =
            Target { name: aggregate.procedure.name.to_owned(), expr: argument.clone(), hidden: false, origin: None };
        let inner = Query {
            relations: query.relations.clone(),
            body: Body::Select { from: from.clone(), filter, grouping: None },
            targets: vec![target],
            distinct: None,
            sort: vec![SortTarget { target: 0, descending, nulls_first: descending }],
            limit: Some(Expr::constant(Datum::Int8(1), oid::INT8)),
            offset: None,
            with_ties: false,
            locks: vec![],
            windows: vec![],
            row_ids: vec![],
        };
        let subquery = Subquery { query: inner, kind: SubqueryKind::Scalar, shared: None };
        values.push(Expr {
            kind: ExprKind::Subquery(Box::new(subquery)),
            type_oid: aggregate.type_oid,
            modifier: -1,
            place: argument.place,
        });
    }
    let mut query = query.clone();
    for target in &mut query.targets {
        take_values(&mut target.expr, &values);
    }
    query.relations.clear();
    query.body = Body::Select { from: vec![], filter: None, grouping: None };
    Some(query)
}

fn take_values(expr: &mut Expr, values: &[Expr]) {
    if let ExprKind::Aggregate(at) = expr.kind {
        let type_oid = expr.type_oid;
        *expr = values[at].clone();
        expr.type_oid = type_oid;
        return;
    }
    expr.children_mut().into_iter().for_each(|child| take_values(child, values));
}
