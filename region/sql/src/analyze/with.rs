//! WITH: common table expressions, recursive ones, data-modifying ones.
//!
//! Each becomes an entry of one list of the whole statement; where it is named stands a relation with its number.
use super::expr::visible_positions;
use super::query::{query_columns, rename};
use super::scope::CommonTable;
use super::{Analyzer, at};
use crate::parser::tree::{self, Place, QueryBody, SetOperation};
use crate::typed::{
    Body, Common, CommonBody, ExprKind, Query, Relation, RelationColumn, RelationSource, Statement, Target,
};
use std::sync::Arc;
use trivet_types::{PgError, PgResult, SqlState, display_name, sqlstate};

const INVALID_RECURSION: SqlState = SqlState(*b"42P19");

impl Analyzer<'_> {
    /// Put the tables of a WITH in sight; the caller takes them out of it.
    pub(super) fn with(&mut self, with: &Option<tree::With>) -> PgResult<()> {
        let Some(with) = with else { return Ok(()) };
        for (at_table, common) in with.tables.iter().enumerate() {
            if with.tables[..at_table].iter().any(|other| other.name.text == common.name.text) {
                let message = format!("WITH query name \"{}\" specified more than once", common.name.text);
                return Err(at(common.name.place, PgError::new(sqlstate::DUPLICATE_ALIAS, message)));
            }
        }
        let is_top = self.scopes.is_empty() && self.common_depth == 0;
        let pending = std::mem::take(&mut self.pending_with);
        let result = self.with_tables(with, is_top);
        self.pending_with = pending;
        result
    }

    fn with_tables(&mut self, with: &tree::With, is_top: bool) -> PgResult<()> {
        for (number, common) in with.tables.iter().enumerate() {
            self.pending_with = with.tables[number..].iter().map(|table| table.name.text.clone()).collect();
            let modifies = !matches!(common.statement.as_ref(), tree::Statement::Query(_));
            if modifies && !is_top {
                let message = "WITH clause containing a data-modifying statement must be at the top level";
                return Err(at(common.name.place, PgError::new(sqlstate::FEATURE_NOT_SUPPORTED, message)));
            }
            // Its inside sees earlier common tables, and no query around.
            let outer = std::mem::take(&mut self.scopes);
            self.common_depth += 1;
            let result = self.common_table(common, with.recursive);
            self.common_depth -= 1;
            self.scopes = outer;
            let table = result?;
            self.common.push(table);
        }
        Ok(())
    }

    /// 42P01 for a name that WITH defines too late.
    pub(super) fn with_item(&self, name: &tree::QualifiedName, error: Box<PgError>) -> Box<PgError> {
        if name.parts.len() != 1 || !self.pending_with.iter().any(|pending| pending == name.last()) {
            return error;
        }
        let name = name.last();
        error
            .detail(format!(
                "There is a WITH item named \"{name}\", but it cannot be referenced from this part of the query."
            ))
            .hint("Use WITH RECURSIVE, or re-order the WITH items to remove forward references.")
    }

    fn common_table(&mut self, common: &tree::CommonTable, recursive: bool) -> PgResult<CommonTable> {
        let (name, place) = (common.name.text.clone(), common.name.place);
        let table = |columns, id, returns| CommonTable { name: name.clone(), columns, id, working: false, returns };
        let statement = match common.statement.as_ref() {
            tree::Statement::Query(query) if recursive && mentions(query, &name) => {
                let (columns, id) = if common.search.is_some() || common.cycle.is_some() {
                    self.traversal(common, query)?
                } else {
                    self.recursive(common, query)?
                };
                return Ok(table(columns, id, true));
            }
            _ if common.search.is_some() || common.cycle.is_some() => {
                let place = common.search.as_ref().map(|search| search.place);
                let place = place.or(common.cycle.as_ref().map(|cycle| cycle.place)).unwrap_or_default();
                return Err(at(place, PgError::new(sqlstate::SYNTAX_ERROR, "WITH query is not recursive")));
            }
            tree::Statement::Query(query) => {
                let analyzed = self.query(query)?;
                let analyzed = self.settled(analyzed)?;
                let mut columns = query_columns(&analyzed);
                rename_with(&mut columns, &common.columns, &name, place)?;
                let id = self.add_common(common, CommonBody::Query(Arc::new(analyzed)));
                return Ok(table(columns, id, true));
            }
            other => self.statement_here(other)?,
        };
        let returning: Option<&[Target]> = match &statement {
            Statement::Insert(insert) => insert.returning.as_deref(),
            Statement::Update(update) => update.returning.as_deref(),
            Statement::Delete(delete) => delete.returning.as_deref(),
            _ => return Err(PgError::internal("WITH holds queries and data changes")),
        };
        let columns = returning.map(|targets| targets.iter().map(target_column).collect::<Vec<_>>());
        let returns = columns.is_some();
        let mut columns = columns.unwrap_or_default();
        rename_with(&mut columns, &common.columns, &name, place)?;
        let id = self.add_common(common, CommonBody::Statement(Box::new(statement)));
        Ok(table(columns, id, returns))
    }

    fn add_common(&mut self, common: &tree::CommonTable, body: CommonBody) -> usize {
        let id = self.common_base + self.commons.len();
        let (name, materialized) = (common.name.text.clone(), common.materialized);
        self.commons.push(Common { id, name, body, materialized, references: 0, of_view: false });
        id
    }

    /// A recursive table with SEARCH or CYCLE.
    fn traversal(&mut self, common: &tree::CommonTable, query: &tree::Query) -> PgResult<(Vec<RelationColumn>, usize)> {
        let QueryBody::SetOperation { operation: SetOperation::Union, left, right, .. } = &query.body else {
            return self.recursive(common, query);
        };
        if let [_, again, ..] = references_in(right, &common.name.text).as_slice() {
            return Err(more_than_once(&common.name.text, *again));
        }
        // Only for the names of its columns.
        let (outer, commons) = (self.common.len(), self.commons.len());
        self.with(&query.with)?;
        let base = self.set_operand(left);
        self.common.truncate(outer);
        self.commons.truncate(commons);
        let mut columns = query_columns(&base?);
        rename_with(&mut columns, &common.columns, &common.name.text, common.name.place)?;
        let names: Vec<tree::Name> =
            columns.into_iter().map(|column| tree::Name { text: column.name, place: Place::default() }).collect();
        let written = super::traversal::written_out(common, query, &names)?;
        let tree::Statement::Query(query) = &*written.statement else {
            return Err(PgError::internal("a recursive table is a query's"));
        };
        let (mut columns, id) = self.recursive(&written, query)?;
        let depth = columns.iter_mut().filter(|column| column.name == super::traversal::DEPTH);
        depth.for_each(|column| column.hidden = true);
        Ok((columns, id))
    }

    /// `base UNION [ALL] step`, where the step names the table.
    fn recursive(&mut self, common: &tree::CommonTable, query: &tree::Query) -> PgResult<(Vec<RelationColumn>, usize)> {
        let (name, place) = (&common.name.text, common.name.place);
        let wrong = |message: String| at(place, PgError::new(INVALID_RECURSION, message));
        let form = || {
            wrong(format!(
                "recursive query \"{name}\" does not have the form non-recursive-term UNION [ALL] recursive-term"
            ))
        };
        let QueryBody::SetOperation { operation: SetOperation::Union, all, left, right } = &query.body else {
            return Err(form());
        };
        let not_yet = |what: &str, place: Place| {
            let message = format!("{what} in a recursive query is not implemented");
            Err(at(place, PgError::new(sqlstate::FEATURE_NOT_SUPPORTED, message)))
        };
        if let Some(key) = query.order_by.first() {
            return not_yet("ORDER BY", key.expr.place);
        }
        if let Some(offset) = &query.offset {
            return not_yet("OFFSET", offset.place);
        }
        if let Some(limit) = &query.limit {
            return not_yet("LIMIT", limit.place);
        }
        if !query.locking.is_empty() {
            return not_yet("FOR UPDATE/SHARE", Place::default());
        }
        let outer_common = self.common.len();
        self.with(&query.with)?;
        if body_mentions(left, name) {
            let message =
                format!("recursive reference to query \"{name}\" must not appear within its non-recursive term");
            return Err(at(reference_in(left, name), PgError::new(INVALID_RECURSION, message)));
        }
        if let [_, again, ..] = references_in(right, name).as_slice() {
            return Err(more_than_once(name, *again));
        }
        check_step(right, name)?;
        let base = self.set_operand(left)?;
        let base = self.settled(base)?;
        let mut columns = query_columns(&base);
        rename_with(&mut columns, &common.columns, name, place)?;
        let id = self.add_common(common, CommonBody::Open);
        self.common.push(CommonTable {
            name: name.clone(),
            columns: columns.clone(),
            id,
            working: true,
            returns: true,
        });
        let step = self.set_operand(right);
        self.common.truncate(outer_common);
        let step = step?;
        refuse_aggregates(&step, id)?;
        let step = self.recursive_step(name, &columns, &base, step)?;
        self.commons[id - self.common_base].body = CommonBody::Recursive { base, step, all: *all };
        Ok((columns, id))
    }

    /// The step's columns have the base's types.
    fn recursive_step(
        &mut self,
        name: &str,
        columns: &[RelationColumn],
        base: &Query,
        mut step: Query,
    ) -> PgResult<Query> {
        let (left, right) = (visible_positions(base), visible_positions(&step));
        if left.len() != right.len() {
            let place = step.targets.first().map(|target| target.expr.place).unwrap_or_default();
            let message = "each UNION query must have the same number of columns";
            return Err(at(place, PgError::new(sqlstate::SYNTAX_ERROR, message)));
        }
        for (number, (l, r)) in left.into_iter().zip(right).enumerate() {
            let (first, second) = (&base.targets[l].expr, &step.targets[r].expr);
            let overall = super::common_type(&[first.type_oid, second.type_oid]).map_err(|(a, b, _)| {
                let message =
                    format!("UNION types {} and {} cannot be matched", display_name(a, -1), display_name(b, -1));
                at(second.place, PgError::new(sqlstate::DATATYPE_MISMATCH, message))
            })?;
            let modifier = if second.modifier == first.modifier && second.type_oid == first.type_oid {
                first.modifier
            } else {
                -1
            };
            if overall != columns[number].type_oid || modifier != columns[number].modifier {
                let message = format!(
                    "recursive query \"{name}\" column {} has type {} in non-recursive term but type {} overall",
                    number + 1,
                    display_name(first.type_oid, first.modifier),
                    display_name(overall, modifier)
                );
                return Err(at(first.place, PgError::new(sqlstate::DATATYPE_MISMATCH, message))
                    .hint("Cast the output of the non-recursive term to the correct type."));
            }
            self.convert_target(&mut step, r, overall)?;
        }
        Ok(step)
    }
}

/// 42P19 for a step that aggregates the rows of its own table.
fn refuse_aggregates(step: &Query, own: usize) -> PgResult<()> {
    let Body::Select { grouping: Some(grouping), .. } = &step.body else { return Ok(()) };
    let is_own = |relation: &Relation| matches!(relation.source, RelationSource::Common { id, .. } if id == own);
    if grouping.aggregates.is_empty() || !step.relations.iter().any(is_own) {
        return Ok(());
    }
    let mut place = Place::default();
    for target in &step.targets {
        target.expr.any(&mut |part| {
            let is_aggregate = matches!(part.kind, ExprKind::Aggregate(_));
            if is_aggregate {
                place = part.place;
            }
            is_aggregate
        });
    }
    let message = "aggregate functions are not allowed in a recursive query's recursive term";
    Err(at(place, PgError::new(INVALID_RECURSION, message)))
}

fn more_than_once(name: &str, place: Place) -> Box<PgError> {
    let message = format!("recursive reference to query \"{name}\" must not appear more than once");
    at(place, PgError::new(INVALID_RECURSION, message))
}

/// 42P19 for a step that names its table where an outer join may leave it out.
fn check_step(step: &QueryBody, name: &str) -> PgResult<()> {
    fn nullable(table: &tree::TableExpr, name: &str, may_be_missing: bool) -> Option<Place> {
        match table {
            tree::TableExpr::Table { name: named, .. } if named.parts.len() == 1 && named.last() == name => {
                may_be_missing.then(|| named.place())
            }
            tree::TableExpr::Join { kind, left, right, .. } => {
                use tree::JoinKind as J;
                let (l, r) = match kind {
                    J::Left => (may_be_missing, true),
                    J::Right => (true, may_be_missing),
                    J::Full => (true, true),
                    _ => (may_be_missing, may_be_missing),
                };
                nullable(left, name, l).or_else(|| nullable(right, name, r))
            }
            _ => None,
        }
    }
    let QueryBody::Select(select) = step else { return Ok(()) };
    match select.from.iter().find_map(|table| nullable(table, name, false)) {
        Some(place) => {
            let message = format!("recursive reference to query \"{name}\" must not appear within an outer join");
            Err(at(place, PgError::new(INVALID_RECURSION, message)))
        }
        None => Ok(()),
    }
}

fn target_column(target: &Target) -> RelationColumn {
    let (type_oid, modifier) = (target.expr.type_oid, target.expr.modifier);
    RelationColumn { name: target.name.clone(), type_oid, modifier, hidden: false }
}

/// Does the query name this table anywhere?
fn mentions(query: &tree::Query, name: &str) -> bool {
    let statement = tree::Statement::Query(query.clone());
    super::mentioned(&statement).relations.contains(&(None, name.to_string()))
}

fn body_mentions(body: &QueryBody, name: &str) -> bool {
    mentions(&tree::Query::of(body.clone()), name)
}

/// Where a table is named in a body's FROM.
fn reference_in(body: &QueryBody, name: &str) -> Place {
    fn in_table(table: &tree::TableExpr, name: &str) -> Option<Place> {
        match table {
            tree::TableExpr::Table { name: found, .. } => {
                (found.parts.len() == 1 && found.last() == name).then(|| found.place())
            }
            tree::TableExpr::Join { left, right, .. } => in_table(left, name).or_else(|| in_table(right, name)),
            _ => None,
        }
    }
    match body {
        QueryBody::Select(select) => select.from.iter().find_map(|table| in_table(table, name)).unwrap_or_default(),
        QueryBody::SetOperation { left, right, .. } => match reference_in(left, name) {
            place if place.known().is_some() => place,
            _ => reference_in(right, name),
        },
        _ => Place::default(),
    }
}

/// Every place where a table is named in the FROM of a SELECT, subqueries left out.
fn references_in(body: &QueryBody, name: &str) -> Vec<Place> {
    fn in_table(table: &tree::TableExpr, name: &str, found: &mut Vec<Place>) {
        match table {
            tree::TableExpr::Table { name: named, .. } if named.parts.len() == 1 && named.last() == name => {
                found.push(named.place());
            }
            tree::TableExpr::Join { left, right, .. } => {
                in_table(left, name, found);
                in_table(right, name, found);
            }
            _ => {}
        }
    }
    let mut found = Vec::new();
    if let QueryBody::Select(select) = body {
        select.from.iter().for_each(|table| in_table(table, name, &mut found));
    }
    found
}

fn rename_with(columns: &mut [RelationColumn], names: &[tree::Name], name: &str, place: Place) -> PgResult<()> {
    rename(columns, names, name).map_err(|mut error| {
        error.message = error.message.replacen("table", "WITH query", 1);
        at(place, error)
    })
}

/// Where WITH's table is named without being able to give rows.
pub(super) fn without_returning(name: &str, place: Place) -> Box<PgError> {
    let message = format!("WITH query \"{name}\" does not have a RETURNING clause");
    at(place, PgError::new(sqlstate::FEATURE_NOT_SUPPORTED, message))
}
