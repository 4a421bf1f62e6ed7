//! EXPLAIN: a plan as text, in PostgreSQL's shapes, without costs.
use super::access::Access;
use super::node::*;
use crate::parser::tree::{JoinKind, SetOperation};

/// One line a node, indented as `EXPLAIN (COSTS OFF)` does.
pub fn explain(plan: &Plan) -> Vec<String> {
    let mut lines = Vec::new();
    node(&plan.root, 0, &mut lines);
    lines
}

fn line(depth: usize, text: String, lines: &mut Vec<String>) {
    if depth == 0 {
        lines.push(text);
    } else {
        lines.push(format!("{}->  {text}", " ".repeat(depth * 6 - 4)));
    }
}

fn detail(depth: usize, text: String, lines: &mut Vec<String>) {
    lines.push(format!("{}{text}", " ".repeat(depth * 6 + 2)));
}

fn join_name(prefix: &str, kind: JoinKind) -> String {
    match kind {
        JoinKind::Left => format!("{prefix} Left Join"),
        JoinKind::Right => format!("{prefix} Right Join"),
        JoinKind::Full => format!("{prefix} Full Join"),
        JoinKind::Inner | JoinKind::Cross if prefix == "Nested Loop" => prefix.to_string(),
        JoinKind::Inner | JoinKind::Cross => format!("{prefix} Join"),
    }
}

fn node(plan: &Node, depth: usize, lines: &mut Vec<String>) {
    let below =
        |inputs: &[&Node], lines: &mut Vec<String>| inputs.iter().for_each(|input| node(input, depth + 1, lines));
    match plan {
        Node::Values { rows, .. } if rows.len() == 1 => line(depth, "Result".to_string(), lines),
        Node::Values { .. } => line(depth, "Values Scan".to_string(), lines),
        Node::Scan(scan) => {
            let table = &scan.table.name;
            match &scan.access {
                Access::Full => line(depth, format!("Seq Scan on {table}"), lines),
                Access::Index { name, .. } => line(depth, format!("Index Scan using {name} on {table}"), lines),
            }
            if scan.filter.is_some() {
                detail(depth, "Filter: ...".to_string(), lines);
            }
        }
        Node::Virtual { table, .. } => line(depth, format!("Seq Scan on {}", table.name), lines),
        Node::Function { procedure, .. } => line(depth, format!("Function Scan on {}", procedure.name), lines),
        Node::Functions { .. } => line(depth, "Function Scan".to_string(), lines),
        Node::Common { slot } => line(depth, format!("CTE Scan {}", slot + 1), lines),
        Node::Working { slot } => line(depth, format!("WorkTable Scan {}", slot + 1), lines),
        Node::Recursive { base, step, .. } => {
            line(depth, "Recursive Union".to_string(), lines);
            below(&[base, step], lines);
        }
        Node::Window { input, .. } => {
            line(depth, "WindowAgg".to_string(), lines);
            below(&[input], lines);
        }
        // These have no node of their own in PostgreSQL's plans.
        Node::Project { input, .. } | Node::Cut { input, .. } => node(input, depth, lines),
        Node::Filter { input, .. } => {
            node(input, depth, lines);
            detail(depth, "Filter: ...".to_string(), lines);
        }
        Node::ProjectSet { input, .. } => {
            line(depth, "ProjectSet".to_string(), lines);
            below(&[input], lines);
        }
        Node::NestedLoop { kind, left, right, .. } => {
            line(depth, join_name("Nested Loop", *kind), lines);
            below(&[left, right], lines);
        }
        Node::HashJoin { kind, left, right, .. } => {
            line(depth, join_name("Hash", *kind), lines);
            below(&[left, right], lines);
        }
        Node::Apply { input, subplans } => {
            node(input, depth, lines);
            for (at, subplan) in subplans.iter().enumerate() {
                detail(depth, format!("SubPlan {}", at + 1), lines);
                node(&subplan.root, depth + 1, lines);
            }
        }
        Node::Aggregate { input, keys, .. } => {
            let name = if keys.is_empty() { "Aggregate" } else { "HashAggregate" };
            line(depth, name.to_string(), lines);
            below(&[input], lines);
        }
        Node::Sort { input, .. } => {
            line(depth, "Sort".to_string(), lines);
            below(&[input], lines);
        }
        Node::Distinct { input, .. } => {
            line(depth, "HashAggregate".to_string(), lines);
            below(&[input], lines);
        }
        Node::Limit { input, .. } => {
            line(depth, "Limit".to_string(), lines);
            below(&[input], lines);
        }
        Node::Set { operation, left, right, all, .. } => {
            let name = match (operation, all) {
                (SetOperation::Union, true) => "Append",
                (SetOperation::Union, false) => "HashAggregate",
                (SetOperation::Intersect, _) => "HashSetOp Intersect",
                (SetOperation::Except, _) => "HashSetOp Except",
            };
            line(depth, name.to_string(), lines);
            below(&[left, right], lines);
        }
        Node::Lock { input, .. } => {
            line(depth, "LockRows".to_string(), lines);
            below(&[input], lines);
        }
        Node::Insert { input, insert } => {
            line(depth, format!("Insert on {}", insert.table.name), lines);
            below(&[input], lines);
        }
        Node::Update { input, update } => {
            line(depth, format!("Update on {}", update.table.name), lines);
            below(&[input], lines);
        }
        Node::Delete { input, delete } => {
            line(depth, format!("Delete on {}", delete.table.name), lines);
            below(&[input], lines);
        }
    }
}
