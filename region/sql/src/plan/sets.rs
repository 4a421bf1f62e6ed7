//! Set-returning functions among the targets: `generate_series(1, 3) * 2`, `lower(unnest(a))`, `(jsonb_each(j)).key`.
//!
//! Those of one level of nesting run side by side, the shorter ones filled up with NULL, as PostgreSQL's do: a node for each level,
//! from the innermost, gives the rows of the level before with the calls' values behind them, which are slots to whoever needs them.
use super::Compiled;
use super::compile::{Compilation, Layout, apply};
use super::node::{Node, SetTarget};
use super::planner::Planner;
use crate::analyze::same_expr;
use crate::typed::{Expr, ExprKind};
use std::sync::Arc;
use trivet_types::PgResult;
use trivet_types::registry::Body;

fn is_set(expr: &Expr) -> bool {
    matches!(&expr.kind, ExprKind::Call { procedure, .. } if matches!(procedure.body, Body::Set(_)))
}

/// The calls in an expression, each with how deep calls stand in it; how deep they stand in the whole.
fn gather<'e>(expr: &'e Expr, calls: &mut Vec<(&'e Expr, usize)>) -> usize {
    let inside = expr.children().into_iter().map(|child| gather(child, calls)).max().unwrap_or(0);
    if !is_set(expr) {
        return inside;
    }
    if !calls.iter().any(|(known, _)| same_expr(known, expr)) {
        calls.push((expr, inside + 1));
    }
    inside + 1
}

/// Does a call stand within something that is computed from it?
pub(super) fn has_nested(exprs: &[&Expr]) -> bool {
    exprs.iter().any(|expr| {
        let mut called = *expr;
        while let ExprKind::Relabel(operand) = &called.kind {
            called = operand;
        }
        match is_set(called) {
            true => called.children().into_iter().any(|child| child.any(&mut is_set)),
            false => expr.any(&mut is_set),
        }
    })
}

impl Planner {
    /// The targets over rows that have the calls' values in slots.
    pub(super) fn nested_sets(&mut self, node: Node, layout: &mut Layout, exprs: &[&Expr]) -> PgResult<Node> {
        let before = self.set_slots.len();
        let compiled = self.set_levels(node, layout, exprs).and_then(|node| self.compile_over(node, layout, exprs));
        self.set_slots.truncate(before);
        let (beneath, compiled) = compiled?;
        Ok(Node::Project { input: Box::new(beneath), exprs: Arc::new(compiled) })
    }

    /// Rows with the values of the calls in these expressions behind them; `set_slots` says where, until the caller takes it back.
    pub(super) fn set_levels(&mut self, mut node: Node, layout: &mut Layout, exprs: &[&Expr]) -> PgResult<Node> {
        let mut calls = Vec::new();
        let deepest = exprs.iter().map(|expr| gather(expr, &mut calls)).max().unwrap_or(0);
        for level in 1..=deepest {
            let mut compilation = Compilation::default();
            let mut sets = Vec::new();
            let mut found = Vec::new();
            for (call, _) in calls.iter().filter(|(_, depth)| *depth == level) {
                let ExprKind::Call { procedure, arguments } = &call.kind else { continue };
                self.note_procedure(procedure);
                let arguments = arguments.iter().map(|argument| self.compile(argument, layout, &mut compilation));
                sets.push(SetTarget::Set { procedure, arguments: arguments.collect::<PgResult<_>>()? });
                found.push((*call).clone());
            }
            let input = apply(node, layout, compilation);
            let mut targets: Vec<SetTarget> =
                (0..layout.width).map(|slot| SetTarget::Plain(Compiled::Slot(slot))).collect();
            targets.extend(sets);
            node = Node::ProjectSet { input: Box::new(input), exprs: Arc::new(targets) };
            for call in found {
                self.set_slots.push((call, layout.width));
                layout.width += 1;
            }
        }
        Ok(node)
    }

    /// Where the value of a call is, if a node beneath made it.
    pub(super) fn set_slot(&self, call: &Expr) -> Option<usize> {
        self.set_slots.iter().rev().find(|(known, _)| same_expr(known, call)).map(|(_, slot)| *slot)
    }
}
