//! MERGE: the source joined with the target, and for each pair, or row of the source without one, the first clause that fits.
use super::Analyzer;
use super::query::empty_query;
use super::scope::Scope;
use super::updatable::{Changed, Verb};
use crate::catalog::Found;
use crate::parser::tree::{self, JoinKind};
use crate::typed::{Body, Expr, From, InsertValue, Merge, MergeAction, MergeClause, Query};
use std::sync::Arc;
use trivet_types::{PgError, PgResult, sqlstate};

impl Analyzer<'_> {
    pub(super) fn merge(&mut self, merge: &tree::Merge) -> PgResult<Merge> {
        self.under_with(&merge.with, |analyzer| analyzer.merge_into(merge))
    }

    fn merge_into(&mut self, merge: &tree::Merge) -> PgResult<Merge> {
        let name = merge.table.last();
        if let Found::View(_) = self.found(&merge.table)? {
            let message = format!("cannot execute MERGE on relation \"{name}\"");
            return Err(PgError::new(sqlstate::FEATURE_NOT_SUPPORTED, message)
                .detail("This operation is not supported for views."));
        }
        let unconditional = |matched: bool| {
            let of_kind: Vec<bool> = merge
                .clauses
                .iter()
                .filter(|clause| clause.matched == matched)
                .map(|clause| clause.condition.is_none())
                .collect();
            of_kind.iter().rev().skip(1).any(|unconditional| *unconditional)
        };
        if unconditional(true) || unconditional(false) {
            let message = "unreachable WHEN clause specified after unconditional WHEN clause";
            return Err(PgError::new(sqlstate::SYNTAX_ERROR, message));
        }
        let changed = self.changed(&merge.table, Verb::Update)?;
        let alias = merge.alias.as_ref().map_or(changed.seen.name.as_str(), |alias| &alias.text).to_string();
        self.scopes.push(Scope { no_aggregates: Some("MERGE WHEN conditions"), ..Scope::default() });
        changed.enter(self.scope(), &alias);
        let result = self.merge_here(&changed, &alias, merge);
        self.scopes.pop();
        let (query, clauses) = result?;
        let rules = self.rules(&changed.table)?;
        Ok(Merge { table: Arc::clone(&changed.table), query, clauses, rules })
    }

    fn merge_here(
        &mut self,
        changed: &Changed,
        alias: &str,
        merge: &tree::Merge,
    ) -> PgResult<(Query, Vec<MergeClause>)> {
        let (target_columns, target_tables) = (self.scope().columns.len(), self.scope().tables.len());
        let twice = |error: Box<PgError>| {
            if error.code != sqlstate::DUPLICATE_ALIAS || !error.message.contains(&format!("\"{alias}\"")) {
                return error;
            }
            PgError::new(error.code, format!("name \"{alias}\" specified more than once"))
                .detail("The name is used both as MERGE target table and data source.")
        };
        let source = self.from_list(&merge.source).map_err(twice)?;
        let condition =
            self.without_aggregates("JOIN conditions", |analyzer| analyzer.condition(&merge.condition, "JOIN/ON"))?;
        let mut clauses = Vec::with_capacity(merge.clauses.len());
        for clause in &merge.clauses {
            let analyzed = if clause.matched {
                self.merge_clause(changed, clause)
            } else {
                // The target's columns are not there to be named.
                let hidden: Vec<_> = self.scope().columns.drain(..target_columns).collect();
                let shown = |scope: &mut Scope, shown: bool| {
                    scope.tables[..target_tables].iter_mut().for_each(|table| table.lateral = shown);
                };
                shown(self.scope(), false);
                let analyzed = self.merge_clause(changed, clause);
                shown(self.scope(), true);
                self.scope().columns.splice(0..0, hidden);
                analyzed
            };
            clauses.push(analyzed?);
        }
        let inserts = clauses.iter().any(|clause| !clause.matched);
        let source = source.into_iter().reduce(|left, right| From::Join {
            kind: JoinKind::Cross,
            left: Box::new(left),
            right: Box::new(right),
            condition: None,
        });
        let source = source.ok_or_else(|| PgError::internal("MERGE without a source"))?;
        let from = From::Join {
            kind: if inserts { JoinKind::Left } else { JoinKind::Inner },
            left: Box::new(source),
            right: Box::new(From::Relation(0)),
            condition: Some(condition),
        };
        let mut query = empty_query(vec![]);
        query.relations = std::mem::take(&mut self.scope().relations);
        query.body = Body::Select { from: vec![from], filter: None, grouping: None };
        Ok((query, clauses))
    }

    fn merge_clause(&mut self, changed: &Changed, clause: &tree::MergeClause) -> PgResult<MergeClause> {
        let condition = clause.condition.as_ref().map(|condition| self.condition(condition, "WHEN")).transpose()?;
        let table = &changed.table;
        let action = match &clause.action {
            tree::MergeAction::Nothing => MergeAction::Nothing,
            tree::MergeAction::Delete => MergeAction::Delete,
            tree::MergeAction::Update(assignments) => MergeAction::Update(self.assignments(table, assignments)?),
            tree::MergeAction::Insert { columns, overriding_system, values } => {
                let positions = self.insert_columns(changed, columns)?;
                let overriding = std::mem::replace(&mut self.overriding, overriding_system.is_some());
                let given = match values {
                    None => Ok(vec![]),
                    Some(values) => self.insert_row(table, &positions, columns, values.len(), values),
                };
                self.overriding = overriding;
                let mut given: Vec<Option<Expr>> = given?.into_iter().map(Some).collect();
                let mut row = Vec::with_capacity(table.columns.len());
                for (position, column) in table.columns.iter().enumerate() {
                    let from = positions.iter().position(|target| *target == position);
                    let value = from.and_then(|from| given.get_mut(from)).and_then(Option::take);
                    row.push(match value {
                        _ if column.dropped || column.generated.is_some() => InsertValue::Null,
                        Some(value) => InsertValue::Expr(self.to_column(table, position, value)?),
                        None => InsertValue::Expr(self.default_of(table, position)?),
                    });
                }
                MergeAction::Insert(row)
            }
        };
        Ok(MergeClause { matched: clause.matched, condition, action })
    }
}

impl MergeClause {
    /// Everything that it computes, in one order.
    pub fn exprs(&self) -> Vec<&Expr> {
        let mut all: Vec<&Expr> = self.condition.iter().collect();
        match &self.action {
            MergeAction::Nothing | MergeAction::Delete => {}
            MergeAction::Update(assignments) => all.extend(assignments.iter().map(|(_, value)| value)),
            MergeAction::Insert(values) => all.extend(values.iter().filter_map(InsertValue::expr)),
        }
        all
    }
}
