//! W7: outer joins that are inner ones.
use crate::parser::tree::JoinKind;
use crate::typed::{Expr, ExprKind, From};
use std::collections::BTreeSet;

pub(super) fn has_outer_join(from: &From) -> bool {
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
pub(super) fn rejects_null(term: &Expr, out: &mut BTreeSet<usize>) {
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

pub(super) fn reduce(from: &mut From, rejected: &BTreeSet<usize>) {
    let From::Join { kind, left, right, .. } = from else { return };
    let rejects = |part: &From| {
        let mut members = BTreeSet::new();
        crate::plan::visit::members(part, &mut members);
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
