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
use super::access::Comparison;
use super::condition::{comparison_of, is_stable_value, plain_column, steer};
use super::fold::{fold_query, is_foldable};
use super::planner::index_order;
use crate::parser::tree::JoinKind;
use crate::typed::{
    Body, DistinctOn, Expr, ExprKind, From, Query, Relation, RelationSource, SortTarget, Subquery, SubqueryKind, Target,
};
use std::borrow::Cow;
use std::collections::BTreeSet;
use trivet_types::registry::Volatility;
use trivet_types::{Datum, Oid, oid};

/// The query as it is planned.
pub(super) fn rewritten(query: &Query) -> Cow<'_, Query> {
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
        super::compile::conjuncts(filter, &mut terms);
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

// --- W1

/// Add the join that a term stands for; the term, if it stands for none.
fn half_join(relations: &mut Vec<Relation>, from: &mut Vec<From>, term: Expr) -> Option<Expr> {
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
        (SubqueryKind::Quantified { left, procedures, all: false, negate: false }, JoinKind::Semi) => {
            member(relations, &subquery.query, left, procedures)
        }
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
    let correlated = filter.as_ref().is_some_and(|filter| uses_outer(filter));
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
    relations.push(Relation { alias: "ANY_subquery".to_owned(), columns, source, lateral: false, view: None });
    Some((From::Relation(at), Some(and(conditions))))
}

/// Queries within queries that are looked into.
const DEPTH_MAX: usize = 8;

/// Does the query look at no row outside of it?
fn stands_alone(query: &Query) -> bool {
    let mut outside = false;
    for depth in 1..=DEPTH_MAX {
        super::visit::visit_query(query, depth, &mut |_, _| outside = true);
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

// --- W2

/// Move a condition into the one subquery in FROM that it is on; whether it did.
fn push(relations: &mut [Relation], from: &[From], term: &Expr) -> bool {
    let mut used = BTreeSet::new();
    super::visit::used_relations(term, 0, &mut used);
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
    super::visit::visit_columns(term, 0, &mut |of, column| {
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

// --- W3

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
    let right = Expr { kind: ExprKind::Array(values), type_oid: array, modifier: -1, place: left.place };
    let kind = ExprKind::Quantified { procedure, left: Box::new(left.clone()), right: Box::new(right), all: false };
    Expr { kind, type_oid: oid::BOOL, modifier: -1, place: term.place }
}

// --- W4

/// `SELECT min(a), max(b) FROM t WHERE ...` as subqueries of one row each.
fn first_and_last(query: &Query) -> Option<Query> {
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
    filter.iter().for_each(|filter| super::compile::conjuncts(filter.clone(), &mut terms));
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

// --- W6

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

fn may_flatten(query: &Query) -> bool {
    matches!(query.body, Body::Select { .. }) && (0..query.relations.len()).any(|relation| flattens(query, relation))
}

fn flatten(query: &mut Query) {
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
    super::visit::columns_mut(query, 0, &mut |of, column| {
        if *of == relation {
            (*of, *column) = columns[*column];
        }
    });
}

fn add_condition(place: &mut Option<Expr>, condition: Expr) {
    *place = Some(match place.take() {
        None => condition,
        Some(other) => and(vec![other, condition]),
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

// --- W7

fn has_outer_join(from: &From) -> bool {
    match from {
        From::Relation(_) => false,
        From::Join { kind, left, right, .. } => {
            matches!(kind, JoinKind::Left | JoinKind::Right | JoinKind::Full)
                || has_outer_join(left)
                || has_outer_join(right)
        }
    }
}

/// Relations whose rows of NULLs the condition does not let pass.
fn rejects_null(term: &Expr, out: &mut BTreeSet<usize>) {
    match &term.kind {
        ExprKind::Call { .. } => null_if_null(term, out),
        ExprKind::IsNull { operand, negated: true } => null_if_null(operand, out),
        ExprKind::Quantified { procedure, left, all: false, .. } if procedure.is_strict() => null_if_null(left, out),
        _ => {}
    }
}

/// Relations whose columns make the expression NULL if they are.
fn null_if_null(expr: &Expr, out: &mut BTreeSet<usize>) {
    match &expr.kind {
        ExprKind::Column { up: 0, relation, .. } => {
            out.insert(*relation);
        }
        ExprKind::Call { procedure, arguments } if procedure.is_strict() && !procedure.returns_set() => {
            arguments.iter().for_each(|argument| null_if_null(argument, out));
        }
        ExprKind::Relabel(operand) | ExprKind::Convert(operand) | ExprKind::Fit { operand, .. } => {
            null_if_null(operand, out);
        }
        _ => {}
    }
}

fn reduce(from: &mut From, rejected: &BTreeSet<usize>) {
    let From::Join { kind, left, right, .. } = from else { return };
    let rejects = |part: &From| {
        let mut members = BTreeSet::new();
        super::visit::members(part, &mut members);
        members.iter().any(|member| rejected.contains(member))
    };
    *kind = match (*kind, rejects(left), rejects(right)) {
        (JoinKind::Left, _, true) | (JoinKind::Right, true, _) | (JoinKind::Full, true, true) => JoinKind::Inner,
        // Rows without a left one do not pass.
        (JoinKind::Full, true, false) => JoinKind::Left,
        (JoinKind::Full, false, true) => JoinKind::Right,
        (kind, ..) => kind,
    };
    reduce(left, rejected);
    reduce(right, rejected);
}
