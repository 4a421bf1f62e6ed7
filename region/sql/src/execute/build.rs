//! From nodes to operators.
use super::aggregate::AggregateOperator;
use super::change::{DeleteOperator, InsertOperator, UpdateOperator};
use super::common::{CommonScan, RecursiveOperator, WorkingScan};
use super::distinct::{Distinct, Unique};
use super::join::{HashJoin, MergeJoin, NestedLoop};
use super::lock::LockOperator;
use super::merge::MergeOperator;
use super::rows::{FunctionOperator, FunctionsOperator, ValuesOperator, VirtualOperator};
use super::scan::ScanOperator;
use super::set::SetOperator;
use super::shape::{Cut, Filter, Limit, Project, ProjectSet};
use super::sort::Sort;
use super::subplan::ApplyOperator;
use super::watch::{Watch, Watched, WatchedOperator};
use super::window::WindowOperator;
use super::{Arc, Operator};
use crate::plan::Node;
use trivet_types::Oid;

/// The operator of a node, and those of its inputs; all of them watched, if somebody wants to know how they do.
pub(crate) fn operator(node: &Node, watch: Option<&Arc<Watch>>) -> Box<dyn Operator> {
    let inner = unwatched(node, watch);
    match watch {
        None => inner,
        Some(watch) => Box::new(WatchedOperator::new(inner, Watched::node(node), watch)),
    }
}

fn unwatched(node: &Node, watch: Option<&Arc<Watch>>) -> Box<dyn Operator> {
    let operator = |node: &Node| operator(node, watch);
    match node {
        Node::Values { rows, .. } => Box::new(ValuesOperator::new(Arc::clone(rows))),
        Node::Scan(scan) => Box::new(ScanOperator::new(Arc::clone(scan))),
        Node::Virtual { table, filter } => Box::new(VirtualOperator::new(table, filter.clone())),
        Node::Function { procedure, arguments, ordinality, width } => {
            Box::new(FunctionOperator::new(procedure, Arc::clone(arguments), *ordinality, *width))
        }
        Node::Functions { calls, ordinality } => Box::new(FunctionsOperator::new(Arc::clone(calls), *ordinality)),
        Node::Common { slot } => Box::new(CommonScan::new(*slot)),
        Node::Working { slot } => Box::new(WorkingScan { slot: *slot, at: 0 }),
        Node::Recursive { slot, base, step, all, types } => {
            Box::new(RecursiveOperator::new(*slot, operator(base), step, *all, types))
        }
        Node::Window { input, window } => Box::new(WindowOperator::new(operator(input), Arc::clone(window))),
        Node::Filter { input, predicate } => {
            Box::new(Filter { input: operator(input), predicate: Arc::clone(predicate) })
        }
        Node::Project { input, exprs } => Box::new(Project { input: operator(input), exprs: Arc::clone(exprs) }),
        Node::ProjectSet { input, exprs } => Box::new(ProjectSet::new(operator(input), Arc::clone(exprs))),
        Node::NestedLoop { left, .. } => Box::new(NestedLoop::new(node, operator(left))),
        Node::HashJoin { left, right, .. } => Box::new(HashJoin::new(node, operator(left), operator(right))),
        Node::MergeJoin { left, right, .. } => Box::new(MergeJoin::new(node, operator(left), operator(right))),
        Node::Apply { input, subplans } => Box::new(ApplyOperator::new(operator(input), Arc::clone(subplans))),
        Node::Aggregate { input, keys, calls, sets } => {
            Box::new(AggregateOperator::new(operator(input), Arc::clone(keys), Arc::clone(calls), sets.clone()))
        }
        Node::Sort { input, keys, limit } => Box::new(Sort::new(operator(input), Arc::clone(keys), limit.clone())),
        Node::Unique { input, columns } => Box::new(Unique::new(operator(input), Arc::clone(columns))),
        Node::Distinct { input, columns } => Box::new(Distinct::new(operator(input), Arc::clone(columns))),
        Node::Limit { input, limit, offset, ties, subplans } => {
            let subplans = Arc::clone(subplans);
            Box::new(Limit::new(operator(input), limit.clone(), offset.clone(), ties.clone(), subplans))
        }
        Node::Cut { input, width } => Box::new(Cut { input: operator(input), width: *width }),
        Node::Set { operation, all, left, right, types } => {
            Box::new(SetOperator::new(*operation, *all, operator(left), operator(right), Arc::clone(types)))
        }
        Node::Lock { input, locks, recheck } => Box::new(LockOperator {
            input: operator(input),
            locks: Arc::clone(locks),
            recheck: recheck.clone(),
            pending: std::collections::VecDeque::new(),
        }),
        Node::Insert { input, insert } => {
            let gathers = reads_table(input, insert.table.oid);
            Box::new(InsertOperator::new(operator(input), Arc::clone(insert), gathers))
        }
        Node::Update { input, update } => {
            let gathers = update.joined || !reads_forward(input);
            Box::new(UpdateOperator::new(operator(input), Arc::clone(update), gathers))
        }
        Node::Merge { input, merge } => Box::new(MergeOperator::new(operator(input), Arc::clone(merge))),
        Node::Delete { input, delete } => {
            let gathers = delete.joined || !reads_forward(input);
            Box::new(DeleteOperator::new(operator(input), Arc::clone(delete), gathers))
        }
    }
}

/// Does anything here read the table?
fn reads_table(node: &Node, table: Oid) -> bool {
    if let Node::Scan(scan) = node {
        return scan.table.oid == table;
    }
    // What a shared WITH query reads does not show here.
    if let Node::Common { .. } = node {
        return true;
    }
    if let Node::Apply { subplans, .. } = node {
        if subplans.iter().any(|subplan| reads_table(&subplan.root, table)) {
            return true;
        }
    }
    node.inputs().into_iter().any(|input| reads_table(input, table))
}

/// Only one scan, over the whole table in key order or by keys, and what filters it: safe to change behind.
fn reads_forward(node: &Node) -> bool {
    use crate::plan::Access;
    match node {
        Node::Scan(scan) => match &scan.access {
            Access::Full | Access::Current => true,
            Access::Index { unique_point, .. } => *unique_point,
            Access::Any(_) => false,
        },
        Node::Filter { input, .. } => reads_forward(input),
        _ => false,
    }
}
