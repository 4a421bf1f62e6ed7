//! Views and sequences in FROM.
use super::query::{query_columns, rename};
use super::{Analyzer, with_room};
use crate::catalog::{ResolvedView, Table};
use crate::parser::tree;
use crate::typed::{Common, Expr, ExprKind, Query, RelationColumn, RelationSource};
use std::sync::Arc;
use trivet_types::registry::registry;
use trivet_types::{Datum, Environment, Oid, PgError, PgResult, oid};

/// `pg_sequence_last_value` with its flag: our own, as a row of what SELECT shows of a sequence.
pub const SEQUENCE_ROW: Oid = Oid(9050);

impl Analyzer<'_> {
    /// A view's query as a relation with the view's column names. It sees nothing of what is around it.
    pub(super) fn view(&mut self, view: &ResolvedView) -> PgResult<(Vec<RelationColumn>, RelationSource)> {
        let broken = || PgError::internal(format!("view {} has no query", view.table.name));
        let definition = view.table.view().ok_or_else(broken)?;
        let parsed = crate::parser::parse(&definition.query)?.into_iter().next().ok_or_else(broken)?;
        let tree::Statement::Query(query) = &parsed.statement else { return Err(broken()) };
        let depth = super::mentioned_in_query(query).depth;
        let environment = self.environment;
        let (common_base, next_shared) = (self.common_base + self.commons.len(), self.next_shared);
        let analyzed = with_room(depth, || {
            let mut inner =
                Analyzer::new(&view.relations, environment, super::ParameterTypes::none()).with_depth(depth);
            (inner.common_base, inner.next_shared) = (common_base, next_shared);
            let query = inner.query(query)?;
            let query = inner.settled(query)?;
            Ok((query, inner.commons, inner.next_shared))
        });
        // A place in the view's text is none in the statement's.
        let (mut analyzed, commons, next_shared) = analyzed.map_err(|mut error| {
            error.position = None;
            error
        })?;
        self.next_shared = next_shared;
        self.commons.extend(commons.into_iter().map(|common| Common { of_view: true, ..common }));
        let own: Vec<_> = view.table.live_columns().map(|(_, column)| column).collect();
        analyzed.targets.iter_mut().filter(|target| !target.hidden).for_each(|target| target.origin = None);
        let mut columns = query_columns(&analyzed);
        columns.truncate(own.len());
        let names: Vec<tree::Name> =
            own.iter().map(|column| tree::Name { text: column.name.clone(), place: tree::Place::default() }).collect();
        rename(&mut columns, &names, &view.table.name)?;
        Ok((columns, RelationSource::Query(Box::new(analyzed))))
    }
}

/// A view's query, and its WITH, as they are without a statement around them.
pub fn analyzed_view(view: &ResolvedView, environment: &dyn Environment) -> PgResult<(Query, Vec<Common>)> {
    let broken = || PgError::internal(format!("view {} has no query", view.table.name));
    let definition = view.table.view().ok_or_else(broken)?;
    let parsed = crate::parser::parse(&definition.query)?.into_iter().next().ok_or_else(broken)?;
    let tree::Statement::Query(query) = &parsed.statement else { return Err(broken()) };
    let depth = super::mentioned_in_query(query).depth;
    with_room(depth, || {
        let mut inner = Analyzer::new(&view.relations, environment, super::ParameterTypes::none()).with_depth(depth);
        let query = inner.query(query)?;
        let query = inner.settled(query)?;
        Ok((query, inner.commons))
    })
}

/// `SELECT last_value, log_cnt, is_called FROM sequence`
pub(super) fn sequence_relation(table: &Arc<Table>) -> PgResult<(Vec<RelationColumn>, RelationSource)> {
    let procedure = registry().procedure(SEQUENCE_ROW).ok_or_else(|| PgError::internal("sequences are not shown"))?;
    let column =
        |name: &str, type_oid: Oid| RelationColumn { name: name.to_owned(), type_oid, modifier: -1, hidden: false };
    let columns = vec![column("last_value", oid::INT8), column("log_cnt", oid::INT8), column("is_called", oid::BOOL)];
    let sequence = Expr::constant(Datum::Oid(table.oid.0), oid::OID);
    debug_assert!(matches!(sequence.kind, ExprKind::Constant(_)), "a sequence's OID is a constant");
    let source = RelationSource::Function { procedure, arguments: vec![sequence], ordinality: false };
    Ok((columns, source))
}
