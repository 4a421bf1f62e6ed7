//! MERGE planned: the join, and each clause's expressions over its rows.
use super::Compiled;
use super::compile::{Compilation, Layout, conjunction, conjuncts};
use super::node::{MergeClauseNode, MergeNode, MergeWork, Node, Subplan};
use super::planner::{Planner, rewritten_with};
use crate::typed::{self, Body, Expr, ExprKind, From, InsertValue, MergeAction, Query};
use std::sync::Arc;
use trivet_types::{Datum, PgError, PgResult};

impl Planner {
    pub(super) fn merge(&mut self, merge: &typed::Merge) -> PgResult<Node> {
        self.note_table(&merge.table);
        let (query, exprs) = rewritten_with(&merge.query, merge.clauses.iter().flat_map(typed::MergeClause::exprs));
        self.levels.push(Vec::new());
        self.note_needed(&query, &exprs.iter().collect::<Vec<_>>());
        self.enter_names(&query);
        let result = self.merge_node(merge, &query, &exprs);
        self.leave_names();
        self.needed.pop();
        self.levels.pop();
        result
    }

    fn merge_node(&mut self, merge: &typed::Merge, query: &Query, exprs: &[Expr]) -> PgResult<Node> {
        let Body::Select { from, filter, .. } = &query.body else {
            return Err(PgError::internal("MERGE reads like a SELECT"));
        };
        let part = self.from_where(&query.relations, from, filter.as_ref())?;
        let layout = part.layout;
        let offset = layout.offset(0).ok_or_else(|| PgError::internal("the table has no place"))?;
        let mut terms = Vec::new();
        from.iter().for_each(|part| join_conditions(part, &mut terms));
        terms.retain(|term| !term.any(&mut |part| matches!(part.kind, ExprKind::Subquery(_))));
        let recheck = terms.iter().map(|term| self.compile_plain(term, &layout)).collect::<PgResult<Vec<_>>>()?;
        let mut exprs = exprs.iter();
        let mut clauses = Vec::with_capacity(merge.clauses.len());
        for clause in &merge.clauses {
            clauses.push(self.merge_clause(merge, clause, &mut exprs, &layout)?);
        }
        let rules = self.rules(&merge.rules)?;
        let table = Arc::clone(&merge.table);
        let node = MergeNode { table, offset, rules, recheck: conjunction(recheck), clauses };
        Ok(Node::Merge { input: Box::new(part.node), merge: Arc::new(node) })
    }

    fn merge_clause<'e>(
        &mut self,
        merge: &typed::Merge,
        clause: &typed::MergeClause,
        exprs: &mut impl Iterator<Item = &'e Expr>,
        layout: &Layout,
    ) -> PgResult<MergeClauseNode> {
        let mut next = |planner: &mut Self, compilation: &mut Compilation| {
            let expr = exprs.next().ok_or_else(|| PgError::internal("a clause of MERGE lost an expression"))?;
            planner.compile(expr, layout, compilation)
        };
        let mut asked = Compilation::default();
        let condition = match &clause.condition {
            Some(_) => Some(next(self, &mut asked)?),
            None => None,
        };
        let mut computed = Compilation::default();
        let work = match &clause.action {
            MergeAction::Nothing => MergeWork::Nothing,
            MergeAction::Delete => MergeWork::Delete,
            MergeAction::Update(assignments) => {
                let mut compiled = Vec::with_capacity(assignments.len());
                for (column, _) in assignments {
                    compiled.push((*column, next(self, &mut computed)?));
                }
                let generated = merge.rules.generated.iter().map(|(column, _)| *column);
                let changes_key = assignments
                    .iter()
                    .map(|(column, _)| *column)
                    .chain(generated)
                    .any(|column| merge.table.is_in_unique_index(column));
                MergeWork::Update { assignments: compiled, changes_key }
            }
            MergeAction::Insert(values) => {
                let mut compiled = Vec::with_capacity(values.len());
                for value in values {
                    compiled.push(match value {
                        InsertValue::Null => Compiled::Constant(Datum::Null),
                        InsertValue::Expr(_) => next(self, &mut computed)?,
                    });
                }
                MergeWork::Insert(compiled)
            }
        };
        self.reads_beside_writes |= !asked.subplans.is_empty() || !computed.subplans.is_empty();
        let shared = |subplans: Vec<Subplan>| Arc::new(subplans);
        Ok(MergeClauseNode {
            matched: clause.matched,
            condition,
            asks: shared(asked.subplans),
            work,
            computes: shared(computed.subplans),
        })
    }
}

/// What pairs of rows meet, on whichever kind of join.
fn join_conditions(from: &From, out: &mut Vec<Expr>) {
    if let From::Join { left, right, condition, .. } = from {
        if matches!(**right, From::Relation(0)) {
            condition.iter().for_each(|condition| conjuncts(condition.clone(), out));
        }
        join_conditions(left, out);
        join_conditions(right, out);
    }
}
