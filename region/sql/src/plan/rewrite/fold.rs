//! W5: calls of immutable functions on constants, computed once while planning.
//!
//! A call that fails stays as it is: whether its error comes depends on whether a row gets that far.
use crate::plan::visit::for_each_expr;
use crate::typed::{Body, Expr, ExprKind, From, Query};
use trivet_types::registry::{Body as ProcedureBody, Procedure, Volatility};
use trivet_types::{Array, Datum, NoEnvironment, element_of};

/// Would `fold_query` change anything in the query's own clauses?
pub(super) fn is_foldable(query: &Query) -> bool {
    let mut found = false;
    for_each_expr(query, &mut |expr| found |= expr.any(&mut |part| is_folded(part)));
    found
}

pub(super) fn fold_query(query: &mut Query) {
    query.targets.iter_mut().for_each(|target| fold(&mut target.expr));
    if let Body::Select { from, filter, grouping } = &mut query.body {
        from.iter_mut().for_each(fold_from);
        filter.iter_mut().for_each(fold);
        if let Some(grouping) = grouping {
            grouping.having.iter_mut().for_each(fold);
            for aggregate in &mut grouping.aggregates {
                aggregate.arguments.iter_mut().chain(&mut aggregate.filter).for_each(fold);
            }
        }
    }
}

fn fold_from(from: &mut From) {
    if let From::Join { left, right, condition, .. } = from {
        fold_from(left);
        fold_from(right);
        condition.iter_mut().for_each(fold);
    }
}

fn fold(expr: &mut Expr) {
    expr.children_mut().into_iter().for_each(fold);
    let value = match &expr.kind {
        ExprKind::Call { procedure, arguments } if is_folded(expr) => call(procedure, arguments),
        ExprKind::Array(items) if is_folded(expr) => array(expr, items),
        _ => None,
    };
    if let Some(value) = value {
        expr.kind = ExprKind::Constant(value);
    }
}

fn constant(expr: &Expr) -> Option<&Datum> {
    match &expr.kind {
        ExprKind::Constant(datum) => Some(datum),
        _ => None,
    }
}

/// A call on constants, or an array of them.
fn is_folded(expr: &Expr) -> bool {
    match &expr.kind {
        ExprKind::Call { procedure, arguments } => {
            matches!(procedure.body, ProcedureBody::Scalar(_))
                && procedure.volatility() == Volatility::Immutable
                && !arguments.is_empty()
                && arguments.iter().all(|argument| constant(argument).is_some())
        }
        ExprKind::Array(items) => {
            let element = element_of(expr.type_oid);
            items.iter().all(|item| constant(item).is_some() && Some(item.type_oid) == element)
        }
        _ => false,
    }
}

fn array(expr: &Expr, items: &[Expr]) -> Option<Datum> {
    let element = element_of(expr.type_oid)?;
    let values = items.iter().map(|item| constant(item).cloned()).collect::<Option<Vec<Datum>>>()?;
    Some(Datum::array(Array::from_values(element, values)))
}

fn call(procedure: &Procedure, arguments: &[Expr]) -> Option<Datum> {
    let ProcedureBody::Scalar(function) = procedure.body else { return None };
    let values = arguments.iter().map(|argument| constant(argument).cloned()).collect::<Option<Vec<Datum>>>()?;
    if procedure.is_strict() && values.iter().any(Datum::is_null) {
        return Some(Datum::Null);
    }
    // Large results are better made where they are used.
    function(&NoEnvironment::default(), &values).ok().filter(|value| value.memory() <= 4096)
}
