//! Conditions: what they need, and which of them an index or a hash table can use.
use super::access::{Access, Comparison};
use super::visit::used_relations;
use crate::analyze::same_expr;
use crate::typed::{Expr, ExprKind};
use std::borrow::Cow;
use std::collections::BTreeSet;
use trivet_types::registry::{Procedure, Volatility, registry};
use trivet_types::{Datum, Oid, oid};

/// A condition with the relations it needs.
#[derive(Clone)]
pub(super) struct Condition {
    pub expr: Expr,
    pub needs: BTreeSet<usize>,
    pub has_subquery: bool,
}

impl Condition {
    pub fn new(expr: Expr) -> Condition {
        let mut needs = BTreeSet::new();
        used_relations(&expr, 0, &mut needs);
        let has_subquery = expr.any(&mut |part| matches!(part.kind, ExprKind::Subquery(_)));
        Condition { expr, needs, has_subquery }
    }
}

pub(super) fn is_equality(procedure: &Procedure) -> bool {
    registry().operators_named("=").iter().any(|operator| operator.procedure == procedure.oid)
}

/// Values of the two types are equal exactly if they hash and compare the same.
pub(super) fn hash_compatible(left: Oid, right: Oid) -> bool {
    let family = |type_oid: Oid| match type_oid {
        oid::INT2 | oid::INT4 | oid::INT8 | oid::OID | oid::REGCLASS | oid::REGTYPE | oid::REGPROC => 1,
        oid::TEXT | oid::VARCHAR | oid::NAME => 2,
        _ => 0,
    };
    left == right || (family(left) != 0 && family(left) == family(right))
}

/// The column of this relation that an expression is, looking through changes of name.
pub(super) fn plain_column(expr: &Expr, relation: usize) -> Option<usize> {
    match &expr.kind {
        ExprKind::Column { up: 0, relation: of, column } if *of == relation => Some(*column),
        ExprKind::Relabel(operand) => plain_column(operand, relation),
        _ => None,
    }
}

/// Can a value be computed before the relation's row is known, and once for all rows?
pub(super) fn is_stable_value(expr: &Expr, relation: usize) -> bool {
    !expr.any(&mut |part| match &part.kind {
        ExprKind::Column { up: 0, relation: of, .. } => *of == relation,
        ExprKind::Subquery(_) | ExprKind::Aggregate(_) | ExprKind::GroupKey(_) => true,
        ExprKind::Call { procedure, .. } => procedure.volatility() == Volatility::Volatile || procedure.returns_set(),
        _ => false,
    })
}

/// `column op value` as something an index can use: (column, comparison, value).
pub(super) fn steer(condition: &Expr, relation: usize) -> Option<(usize, Comparison, &Expr)> {
    match &condition.kind {
        ExprKind::Call { procedure, arguments } => {
            let [left, right] = arguments.as_slice() else { return None };
            let comparison = comparison_of(procedure)?;
            let (column, value, comparison) = match (plain_column(left, relation), plain_column(right, relation)) {
                (Some(column), _) if is_stable_value(right, relation) => (column, right, comparison),
                (_, Some(column)) if is_stable_value(left, relation) => (column, left, swapped(comparison)),
                _ => return None,
            };
            index_compatible(left.type_oid, right.type_oid).then_some((column, comparison, value))
        }
        ExprKind::Quantified { procedure, left, right, all: false } => {
            let column = plain_column(left, relation)?;
            let element = trivet_types::element_of(right.type_oid)?;
            let usable = comparison_of(procedure) == Some(Comparison::Equal)
                && is_stable_value(right, relation)
                && index_compatible(left.type_oid, element);
            usable.then_some((column, Comparison::AnyOf, right.as_ref()))
        }
        _ => None,
    }
}

/// What a condition says that an index can use.
pub(super) struct Steer<'e> {
    pub column: usize,
    pub comparison: Comparison,
    pub value: Cow<'e, Expr>,
}

/// As `steer`; LIKE with a constant beginning is a range.
pub(super) fn steers(condition: &Expr, relation: usize) -> Vec<Steer<'_>> {
    if let Some((column, comparison, value)) = steer(condition, relation) {
        return vec![Steer { column, comparison, value: Cow::Borrowed(value) }];
    }
    if let ExprKind::Or(terms) = &condition.kind {
        return common_bound(terms, relation).into_iter().collect();
    }
    let ExprKind::Call { procedure, arguments } = &condition.kind else { return vec![] };
    let ([left, right], "textlike" | "namelike") = (arguments.as_slice(), procedure.name) else { return vec![] };
    let (Some(column), ExprKind::Constant(Datum::Text(pattern))) = (plain_column(left, relation), &right.kind) else {
        return vec![];
    };
    let start = pattern.find(['%', '_', '\\']).map_or(&**pattern, |at| &pattern[..at]);
    let bound = |comparison, text: String| {
        let value = Cow::Owned(Expr::constant(Datum::text(text), left.type_oid));
        Steer { column, comparison, value }
    };
    let mut found = Vec::new();
    if !start.is_empty() {
        found.push(bound(Comparison::GreaterOrEqual, start.to_owned()));
        found.extend(successor(start).map(|end| bound(Comparison::Less, end)));
    }
    found
}

/// What each term of an OR says that an index can use; `None` if it is no OR, or a term says nothing.
pub(super) fn alternatives(condition: &Expr, relation: usize) -> Option<Vec<Vec<Steer<'_>>>> {
    let ExprKind::Or(terms) = &condition.kind else { return None };
    let said = terms.iter().map(|term| match &term.kind {
        ExprKind::And(parts) => parts.iter().flat_map(|part| steers(part, relation)).collect(),
        _ => steers(term, relation),
    });
    let said: Vec<Vec<Steer<'_>>> = said.collect();
    said.iter().all(|term| !term.is_empty()).then_some(said)
}

/// `(a, b) > (x, y)`, which is `a > x OR a = x AND b > y`: whatever passes has `a >= x`. So with any other terms that all say of one
/// column that it equals a value or lies on the same side of it.
fn common_bound(terms: &[Expr], relation: usize) -> Option<Steer<'_>> {
    let first = said_of(terms.first()?, relation);
    first.into_iter().find_map(|(column, comparison, value)| {
        let (strict, bound) = match comparison {
            Comparison::Less | Comparison::LessOrEqual => (Comparison::Less, Comparison::LessOrEqual),
            Comparison::Greater | Comparison::GreaterOrEqual => (Comparison::Greater, Comparison::GreaterOrEqual),
            Comparison::Equal | Comparison::AnyOf => return None,
        };
        let agrees = |term: &Expr| {
            said_of(term, relation).into_iter().any(|(other, comparison, same)| {
                let same_side = comparison == strict || comparison == bound || comparison == Comparison::Equal;
                other == column && same_side && same_expr(value, same)
            })
        };
        let all = terms[1..].iter().all(agrees);
        all.then_some(Steer { column, comparison: bound, value: Cow::Borrowed(value) })
    })
}

/// What a condition says of columns, and all of what it consists of.
fn said_of(condition: &Expr, relation: usize) -> Vec<(usize, Comparison, &Expr)> {
    match &condition.kind {
        ExprKind::And(terms) => terms.iter().flat_map(|term| said_of(term, relation)).collect(),
        _ => steer(condition, relation).into_iter().collect(),
    }
}

/// The least text that is greater than all that begin like this one, in the order of code points, which is that of bytes.
fn successor(start: &str) -> Option<String> {
    let mut characters: Vec<char> = start.chars().collect();
    while let Some(last) = characters.pop() {
        let next = if last == '\u{d7ff}' { Some('\u{e000}') } else { char::from_u32(u32::from(last) + 1) };
        if let Some(next) = next {
            characters.push(next);
            return Some(characters.into_iter().collect());
        }
    }
    None
}

/// Both sides have the column's representation, or integers of another width, which a probe converts.
fn index_compatible(left: Oid, right: Oid) -> bool {
    let integer = |type_oid| matches!(type_oid, oid::INT2 | oid::INT4 | oid::INT8);
    let text = |type_oid| matches!(type_oid, oid::TEXT | oid::VARCHAR | oid::NAME);
    left == right || (integer(left) && integer(right)) || (text(left) && text(right))
}

pub(super) fn comparison_of(procedure: &Procedure) -> Option<Comparison> {
    let named =
        |name: &str| registry().operators_named(name).iter().any(|operator| operator.procedure == procedure.oid);
    if named("=") {
        Some(Comparison::Equal)
    } else if named("<") {
        Some(Comparison::Less)
    } else if named("<=") {
        Some(Comparison::LessOrEqual)
    } else if named(">") {
        Some(Comparison::Greater)
    } else if named(">=") {
        Some(Comparison::GreaterOrEqual)
    } else {
        None
    }
}

fn swapped(comparison: Comparison) -> Comparison {
    match comparison {
        Comparison::Less => Comparison::Greater,
        Comparison::LessOrEqual => Comparison::GreaterOrEqual,
        Comparison::Greater => Comparison::Less,
        Comparison::GreaterOrEqual => Comparison::LessOrEqual,
        other => other,
    }
}

/// A point lookup on one column finds only rows for which the condition that steers it holds: no need to test that again.
pub(super) fn implied(access: &Access, table: &crate::catalog::Table, condition: &Expr, relation: usize) -> bool {
    let Access::Index { name, unique_point: true, probe, .. } = access else { return false };
    let Some((column, comparison, _)) = steer(condition, relation) else { return false };
    let [source] = probe.equal.as_slice() else { return false };
    let steers = comparison == if source.each { Comparison::AnyOf } else { Comparison::Equal };
    let index = table.indexes.iter().find(|index| index.name == *name);
    steers && index.is_some_and(|index| index.keys[0].column == column)
}

/// The two sides of an equality that can be hashed or sorted by, with the relations that each uses.
pub(super) fn equality_sides(condition: &Expr) -> Option<(&Expr, &Expr, BTreeSet<usize>, BTreeSet<usize>)> {
    let ExprKind::Call { procedure, arguments } = &condition.kind else { return None };
    let [left, right] = arguments.as_slice() else { return None };
    if !is_equality(procedure) || !hash_compatible(left.type_oid, right.type_oid) {
        return None;
    }
    let used = |expr: &Expr| {
        let mut used = BTreeSet::new();
        used_relations(expr, 0, &mut used);
        used
    };
    let (of_left, of_right) = (used(left), used(right));
    (!of_left.is_empty() && !of_right.is_empty()).then_some((left, right, of_left, of_right))
}
