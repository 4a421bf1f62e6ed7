//! The ids of the rows that a cursor's rows are made of, behind its columns: what WHERE CURRENT OF goes by.
use crate::parser::tree::Place;
use crate::typed::{Body, Expr, ExprKind, From, Query, RelationSource, Statement, Target};
use trivet_types::oid;

/// Lets a query show them, if it is one of the two kinds that PostgreSQL takes: it locks rows, of those tables that it locks; else it
/// reads one table.
pub fn show_row_ids(statement: &mut Statement) {
    match statement {
        Statement::Query(query) => extend(query),
        Statement::With(_, statement) => show_row_ids(statement),
        _ => {}
    }
}

fn extend(query: &mut Query) {
    let Body::Select { from, grouping: None, .. } = &query.body else { return };
    if query.distinct.is_some() || !query.windows.is_empty() {
        return;
    }
    let shown: Vec<usize> = match (query.locks.as_slice(), from.as_slice()) {
        ([], [From::Relation(only)]) => vec![*only],
        (locks, _) => locks.iter().map(|lock| lock.relation).collect(),
    };
    let first_hidden = query.targets.iter().position(|target| target.hidden).unwrap_or(query.targets.len());
    let mut targets = Vec::with_capacity(shown.len());
    for relation in shown {
        let Some(RelationSource::Table(table)) = query.relations.get(relation).map(|found| &found.source) else {
            continue;
        };
        // The id stands behind the columns.
        let kind = ExprKind::Column { up: 0, relation, column: table.columns.len() };
        let expr = Expr { kind, type_oid: oid::INT8, modifier: -1, place: Place::default() };
        targets.push(Target { name: String::new(), expr, hidden: false, origin: None });
        query.row_ids.push(table.oid);
    }
    let count = targets.len();
    query.sort.iter_mut().filter(|key| key.target >= first_hidden).for_each(|key| key.target += count);
    query.targets.splice(first_hidden..first_hidden, targets);
}
