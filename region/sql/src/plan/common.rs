//! Common table expressions: put in where they are named, or planned once and shared.
//!
//! As in PostgreSQL, one that is named once and has no side effects is put in, unless WITH says MATERIALIZED; NOT MATERIALIZED
//! puts in any such. What is shared is planned when it is first met, so that those it names come before it.
use super::node::{CommonPlan, Node};
use super::planner::Planner;
use crate::typed::{Body, Common, CommonBody, Expr, ExprKind, Query, RelationSource, Statement};
use std::sync::Arc;
use trivet_types::registry::Volatility;
use trivet_types::{PgError, PgResult};

impl Planner {
    /// The statement's common table expressions. Data changes are planned at once: they run, named or not.
    pub(super) fn take_commons(&mut self, commons: Vec<Common>) -> PgResult<()> {
        self.common_slots = vec![None; commons.len()];
        self.common_bodies = commons;
        for id in 0..self.common_bodies.len() {
            if matches!(self.common_bodies[id].body, CommonBody::Statement(_)) {
                self.shared_common(id)?;
            }
        }
        Ok(())
    }

    /// Where one is named.
    pub(super) fn common(&mut self, id: usize, working: bool) -> PgResult<Node> {
        let common = self.common_bodies.get(id).ok_or_else(|| PgError::internal("a WITH query of no statement"))?;
        if working {
            let slot = self.common_slots[id].ok_or_else(|| PgError::internal("a step without its recursion"))?;
            return Ok(Node::Working { slot });
        }
        if let CommonBody::Query(query) = &common.body {
            let inline = common.materialized.map_or(common.references <= 1, |materialized| !materialized);
            if inline && !has_side_effects(query) {
                let query = Arc::clone(query);
                return self.subquery(&query);
            }
        }
        Ok(Node::Common { slot: self.shared_common(id)? })
    }

    fn shared_common(&mut self, id: usize) -> PgResult<usize> {
        if let Some(slot) = self.common_slots[id] {
            self.note_nesting(self.commons[slot].nesting)?;
            return Ok(slot);
        }
        let outer = std::mem::replace(&mut self.deepest, self.levels.len());
        let common = self.common_bodies[id].clone();
        let modifies = matches!(common.body, CommonBody::Statement(_));
        let recursive = matches!(common.body, CommonBody::Recursive { .. });
        // A recursive one is named by its own step: it needs its place first. Others get theirs after those they name.
        let reserved = recursive.then(|| self.add_common_plan(&common.name, false));
        if let Some(slot) = reserved {
            self.common_slots[id] = Some(slot);
        }
        let root = match &common.body {
            CommonBody::Query(query) => self.subquery(query)?,
            CommonBody::Statement(statement) => self.change(statement)?,
            CommonBody::Recursive { base, step, all } => {
                let slot = reserved.ok_or_else(|| PgError::internal("a recursion has a place"))?;
                let types = base.visible_targets().map(|target| target.expr.type_oid).collect();
                let base = Box::new(self.subquery(base)?);
                let step = Arc::new(self.subquery(step)?);
                Node::Recursive { slot, base, step, all: *all, types: Arc::new(types) }
            }
            CommonBody::Open => return Err(PgError::internal("a WITH query was left open")),
        };
        let slot = reserved.unwrap_or_else(|| self.add_common_plan(&common.name, modifies));
        self.commons[slot].nesting = self.deepest - self.levels.len();
        self.deepest = self.deepest.max(outer);
        self.commons[slot].root = root;
        self.common_slots[id] = Some(slot);
        Ok(slot)
    }

    fn add_common_plan(&mut self, name: &str, modifies: bool) -> usize {
        let root = Node::Values { rows: Arc::new(vec![]), width: 0 };
        self.commons.push(CommonPlan { name: name.to_string(), root, modifies, nesting: 1 });
        self.commons.len() - 1
    }

    fn change(&mut self, statement: &Statement) -> PgResult<Node> {
        match statement {
            Statement::Insert(insert) => self.insert(insert),
            Statement::Update(update) => self.update(update),
            Statement::Delete(delete) => self.delete(delete),
            Statement::Merge(merge) => self.merge(merge),
            Statement::Query(query) => self.subquery(query),
            Statement::With(..) => Err(PgError::internal("WITH stands outside of a statement")),
        }
    }
}

/// Row locks and volatile functions: such a query runs once, however often it is named.
fn has_side_effects(query: &Query) -> bool {
    let volatile = |expr: &Expr| {
        expr.any(&mut |part| match &part.kind {
            ExprKind::Call { procedure, .. } => procedure.volatility() == Volatility::Volatile,
            ExprKind::Subquery(subquery) => has_side_effects(&subquery.query),
            _ => false,
        })
    };
    let inner = |query: &Query| {
        query.relations.iter().any(|relation| match &relation.source {
            RelationSource::Query(query) => has_side_effects(query),
            RelationSource::Function { arguments, procedure, .. } => {
                procedure.volatility() == Volatility::Volatile || arguments.iter().any(volatile)
            }
            RelationSource::Functions { calls, .. } => calls.iter().any(|(call, _)| volatile(call)),
            RelationSource::Scalar { value, .. } => volatile(value),
            _ => false,
        })
    };
    !query.locks.is_empty()
        || query.targets.iter().any(|target| volatile(&target.expr))
        || inner(query)
        || match &query.body {
            Body::Select { filter, .. } => filter.as_ref().is_some_and(volatile),
            Body::Values(rows) => rows.iter().flatten().any(volatile),
            Body::Set { left, right, .. } => has_side_effects(left) || has_side_effects(right),
        }
}
