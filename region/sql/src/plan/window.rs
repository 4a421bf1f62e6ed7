//! Window functions: one node for each partitioning and order, over the grouped rows.
use super::compile::Layout;
use super::node::*;
use super::planner::Planner;
use crate::analyze::{FRAME_ROW, same_expr};
use crate::typed::{self, Body, Expr, Query, WindowCall, WindowSpec};
use std::sync::Arc;
use trivet_types::registry::{Body as ProcedureBody, Procedure};
use trivet_types::{PgResult, oid};

/// Are the rows where the first argument is NULL none of the aggregate's business?
pub(super) fn skips_null(procedure: &Procedure, star: bool) -> bool {
    !star && !procedure.takes_nulls() && !procedure.is_ordered_set()
}

impl Planner {
    pub(super) fn windows(&mut self, node: Node, mut layout: Layout, query: &Query) -> PgResult<(Node, Layout)> {
        let calls = query.windows.as_slice();
        layout.windows = vec![None; calls.len()];
        let mut left = in_turn(query);
        let mut node = node;
        while let Some(first) = left.first().copied() {
            let (same, rest): (Vec<usize>, Vec<usize>) =
                left.iter().partition(|at| **at == first || same_window(&calls[**at].window, &calls[first].window));
            left = rest;
            let spec = &calls[first].window;
            let exprs: Vec<&Expr> = spec.partition.iter().chain(spec.order.iter().map(|(expr, _, _)| expr)).collect();
            let (beneath, compiled) = self.compile_over(node, &mut layout, &exprs)?;
            node = beneath;
            let mut compiled = compiled.into_iter();
            let partition = spec.partition.iter().zip(compiled.by_ref()).map(|(expr, compiled)| SortKey {
                expr: compiled,
                type_oid: expr.type_oid,
                descending: false,
                nulls_first: false,
            });
            let partition = partition.collect();
            let order = spec.order.iter().zip(compiled).map(|((expr, descending, nulls_first), compiled)| SortKey {
                expr: compiled,
                type_oid: expr.type_oid,
                descending: *descending,
                nulls_first: *nulls_first,
            });
            let order = order.collect();
            let mut planned = Vec::with_capacity(same.len());
            for at in &same {
                let call = &calls[*at];
                let exprs: Vec<&Expr> = call.arguments.iter().chain(&call.filter).collect();
                let (beneath, mut compiled) = self.compile_over(node, &mut layout, &exprs)?;
                node = beneath;
                let filter = call.filter.as_ref().and_then(|_| compiled.pop());
                planned.push(WindowCallNode {
                    procedure: call.procedure,
                    arguments: compiled,
                    argument_types: call.argument_types.clone(),
                    filter,
                    skips_null: matches!(call.procedure.body, ProcedureBody::Aggregate(_))
                        && skips_null(call.procedure, call.star),
                    frame: self.frame(&call.window)?,
                });
            }
            for (number, at) in same.iter().enumerate() {
                layout.windows[*at] = Some(layout.width + number);
            }
            layout.width += same.len();
            let window = Arc::new(WindowNode { partition, order, calls: planned });
            node = Node::Window { input: Box::new(node), window };
        }
        Ok((node, layout))
    }

    fn frame(&mut self, spec: &WindowSpec) -> PgResult<FrameNode> {
        let ordering = spec.order.first().map_or(oid::INT8, |(expr, _, _)| expr.type_oid);
        let mut bound = |bound: &typed::FrameBound| -> PgResult<FrameBoundNode> {
            let mut offset = |offset: &typed::FrameOffset| -> PgResult<FrameOffsetNode> {
                let pair = Layout::of_relation(FRAME_ROW, 2);
                let moves = match &offset.moves {
                    None => None,
                    Some((minus, plus)) => Some((self.compile_plain(minus, &pair)?, self.compile_plain(plus, &pair)?)),
                };
                let moved_type = offset.moves.as_ref().map_or(ordering, |(minus, _)| minus.type_oid);
                Ok(FrameOffsetNode { value: self.compile_plain(&offset.value, &Layout::default())?, moves, moved_type })
            };
            Ok(match bound {
                typed::FrameBound::UnboundedPreceding => FrameBoundNode::UnboundedPreceding,
                typed::FrameBound::Preceding(value) => FrameBoundNode::Preceding(offset(value)?),
                typed::FrameBound::CurrentRow => FrameBoundNode::CurrentRow,
                typed::FrameBound::Following(value) => FrameBoundNode::Following(offset(value)?),
                typed::FrameBound::UnboundedFollowing => FrameBoundNode::UnboundedFollowing,
            })
        };
        let (start, end) = (bound(&spec.frame.start)?, bound(&spec.frame.end)?);
        Ok(FrameNode { unit: spec.frame.unit, start, end, exclude: spec.frame.exclude })
    }
}

/// PostgreSQL's order of windows, which rows without ORDER BY are left in: the last is that whose keys a query names first.
fn in_turn(query: &Query) -> Vec<usize> {
    let mut named: Vec<&Expr> = query.sort.iter().map(|key| &query.targets[key.target].expr).collect();
    if let Body::Select { grouping: Some(grouping), .. } = &query.body {
        named.extend(&grouping.keys);
    }
    for call in &query.windows {
        for expr in call.window.order.iter().map(|(expr, _, _)| expr).chain(&call.window.partition) {
            if !named.iter().any(|known| same_expr(known, expr)) {
                named.push(expr);
            }
        }
    }
    let place = |expr: &Expr| named.iter().position(|known| same_expr(known, expr)).unwrap_or(named.len());
    let keys = |call: &WindowCall| -> Vec<(usize, bool, bool)> {
        let mut keys: Vec<_> = call.window.partition.iter().map(|expr| (place(expr), false, false)).collect();
        for (expr, descending, nulls_first) in &call.window.order {
            if !keys.iter().any(|(known, ..)| *known == place(expr)) {
                keys.push((place(expr), *descending, *nulls_first));
            }
        }
        keys
    };
    let mut all: Vec<usize> = (0..query.windows.len()).collect();
    let keys: Vec<_> = query.windows.iter().map(keys).collect();
    all.sort_by(|left, right| {
        let (left, right) = (&keys[*left], &keys[*right]);
        let differing = left.iter().zip(right).find(|(left, right)| left != right);
        differing.map_or(right.len().cmp(&left.len()), |(left, right)| right.cmp(left))
    });
    all
}

/// The same rows in the same order; frames may differ. A subquery is like no other, not even like itself.
fn same_window(left: &WindowSpec, right: &WindowSpec) -> bool {
    left.partition.len() == right.partition.len()
        && left.order.len() == right.order.len()
        && left.partition.iter().zip(&right.partition).all(|(left, right)| same_expr(left, right))
        && left
            .order
            .iter()
            .zip(&right.order)
            .all(|(left, right)| same_expr(&left.0, &right.0) && (left.1, left.2) == (right.1, right.2))
}
