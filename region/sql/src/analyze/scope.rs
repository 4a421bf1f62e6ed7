//! What names mean inside one query.
use super::at;
use super::suggest::with_suggestion;
use super::window::NamedWindow;
use crate::catalog::Table;
use crate::parser::tree::{Place, QualifiedName};
use crate::typed::{Aggregate, Expr, ExprKind, Relation, RelationColumn, RelationSource, WindowCall};
use std::sync::Arc;
use trivet_types::{PgError, PgResult, sqlstate};

/// A column as FROM shows it: one of a relation, or one that USING merged.
#[derive(Clone, Debug)]
pub struct ScopeColumn {
    pub name: String,
    pub expr: Expr,
}

/// Something that qualifies columns.
#[derive(Clone, Debug)]
pub struct ScopeTable {
    pub alias: String,
    pub schema: Option<String>,
    /// The name behind the alias, for hints.
    pub original: Option<String>,
    pub columns: Vec<ScopeColumn>,
    /// May be used from here: false while a sibling without LATERAL is analyzed.
    pub lateral: bool,
}

/// Where the columns that USING names have an alias: a schema that no user can write.
pub const MERGED: &str = "\u{1}using";

#[derive(Clone, Debug)]
pub struct CommonTable {
    pub name: String,
    pub columns: Vec<RelationColumn>,
    pub id: usize,
    /// Named inside its own recursive step: the rows of the last round.
    pub working: bool,
    /// False for a data change without RETURNING.
    pub returns: bool,
}

#[derive(Default)]
pub struct Scope {
    pub relations: Vec<Relation>,
    /// What qualified names find.
    pub tables: Vec<ScopeTable>,
    /// What unqualified names and `*` find.
    pub columns: Vec<ScopeColumn>,
    pub aggregates: Vec<Aggregate>,
    /// Why an aggregate may not stand here, as a message's end; `None`: it may.
    pub no_aggregates: Option<&'static str>,
    pub inside_aggregate: bool,
    pub windows: Vec<WindowCall>,
    pub named_windows: Vec<NamedWindow>,
    /// Why a window function may not stand here although an aggregate may.
    pub no_windows: Option<&'static str>,
    pub inside_window: bool,
    pub inside_window_definition: bool,
    /// `GROUPING (...)` is a reason to group.
    pub has_grouping_call: bool,
    /// Relations of which an outer join may show no row.
    pub nullable: Vec<usize>,
    /// What INSERT returns has `xmax`, in this column of its table: 0 for a row that it inserted and did not update.
    pub xmax: Option<usize>,
}

impl Scope {
    /// Only one table, without a query around it.
    pub fn over_table(table: &Arc<Table>) -> Scope {
        let mut scope = Scope { no_aggregates: Some("check constraints"), ..Scope::default() };
        scope.add_table(table, &table.name, Some(&table.schema_name));
        scope
    }

    /// Add a stored table as the next relation and make its columns visible.
    pub fn add_table(&mut self, table: &Arc<Table>, alias: &str, schema: Option<&str>) -> usize {
        let relation = Relation {
            alias: alias.to_string(),
            columns: table_columns(table),
            source: RelationSource::Table(Arc::clone(table)),
            lateral: false,
            view: None,
            row_type: Some(table.row_type).filter(|claimed| claimed.is_valid()),
        };
        let added = self.add_relation(relation, schema);
        if let Some(entry) = self.tables.last_mut().filter(|_| alias != "excluded") {
            entry.original = Some(table.name.clone());
        }
        added
    }

    /// The table that a statement changes; an alias hides its name.
    pub fn add_target(&mut self, table: &Arc<Table>, alias: &str) {
        self.add_table(table, alias, (alias == table.name).then_some(&*table.schema_name));
        if alias != table.name {
            if let Some(added) = self.tables.last_mut() {
                added.original = Some(table.name.clone());
            }
        }
    }

    pub fn add_relation(&mut self, relation: Relation, schema: Option<&str>) -> usize {
        let at = self.relations.len();
        let columns = relation_columns(&relation, at);
        self.tables.push(ScopeTable {
            alias: relation.alias.clone(),
            schema: schema.map(str::to_string),
            original: None,
            columns: columns.clone(),
            lateral: true,
        });
        self.columns.extend(columns);
        self.relations.push(relation);
        at
    }
}

pub fn table_columns(table: &Table) -> Vec<RelationColumn> {
    let column = |column: &crate::catalog::Column| RelationColumn {
        name: column.name.clone(),
        type_oid: column.type_oid,
        modifier: column.modifier,
        hidden: column.dropped,
    };
    table.columns.iter().map(column).collect()
}

/// References to a relation's visible columns.
pub fn relation_columns(relation: &Relation, at: usize) -> Vec<ScopeColumn> {
    let visible = relation.columns.iter().enumerate().filter(|(_, column)| !column.hidden);
    visible
        .map(|(position, column)| ScopeColumn {
            name: column.name.clone(),
            expr: Expr {
                kind: ExprKind::Column { up: 0, relation: at, column: position },
                type_oid: column.type_oid,
                modifier: column.modifier,
                place: Place::default(),
            },
        })
        .collect()
}

/// The same column, seen from a query that lies `levels` deeper.
pub fn raised(expr: &Expr, levels: usize) -> Expr {
    let mut expr = expr.clone();
    raise(&mut expr, levels);
    expr
}

fn raise(expr: &mut Expr, levels: usize) {
    if let ExprKind::Column { up, .. } = &mut expr.kind {
        *up += levels;
    }
    expr.children_mut().into_iter().for_each(|child| raise(child, levels));
}

/// Find a column by name in the scopes, innermost first.
pub fn find_column(scopes: &[Scope], name: &QualifiedName) -> PgResult<Expr> {
    let place = name.place();
    let fail = |error: Box<PgError>| Err(at(place, error));
    let column = name.last();
    let located = |expr: &Expr, levels: usize| Expr { place, ..raised(expr, levels) };
    if name.parts.len() == 1 {
        for (levels, scope) in scopes.iter().rev().enumerate() {
            let mut matches = scope.columns.iter().filter(|candidate| candidate.name == column);
            match (matches.next(), matches.next()) {
                (Some(only), None) => return Ok(located(&only.expr, levels)),
                (Some(_), Some(_)) => {
                    let message = format!("column reference \"{column}\" is ambiguous");
                    return fail(PgError::new(sqlstate::AMBIGUOUS_COLUMN, message));
                }
                _ => {}
            }
        }
        if let (Some(xmax), "xmax") = (scopes.last().and_then(|scope| scope.xmax), column) {
            return Ok(located(&xmax_column(xmax), 0));
        }
        if column == "tableoid" {
            let only = scopes.last().filter(|scope| scope.tables.len() == 1);
            if let Some(oid) = only.and_then(|scope| table_oid(scope, &scope.tables[0])) {
                return Ok(Expr { place, ..Expr::constant(oid.into(), trivet_types::oid::OID) });
            }
        }
        let error = PgError::new(sqlstate::UNDEFINED_COLUMN, format!("column \"{column}\" does not exist"));
        return fail(with_suggestion(error, scopes, name));
    }
    if let [database, _, _, _] = name.parts.as_slice()
        && database.text != crate::catalog::DATABASE_NAME
    {
        let message = format!("cross-database references are not implemented: {}", name.shown());
        return fail(PgError::new(sqlstate::FEATURE_NOT_SUPPORTED, message));
    }
    let table = &name.parts[name.parts.len() - 2].text;
    let schema = name.parts.len().checked_sub(3).map(|at| name.parts[at].text.as_str());
    for (levels, scope) in scopes.iter().rev().enumerate() {
        let qualifies = |candidate: &&ScopeTable| {
            candidate.alias == *table && schema.is_none_or(|schema| candidate.schema.as_deref() == Some(schema))
        };
        let Some(found) = scope.tables.iter().find(qualifies) else { continue };
        if !found.lateral {
            let message = format!("invalid reference to FROM-clause entry for table \"{table}\"");
            let hint = format!(
                "There is an entry for table \"{table}\", but it cannot be referenced from this part of the query."
            );
            return fail(PgError::new(sqlstate::UNDEFINED_TABLE, message).hint(hint));
        }
        return match found.columns.iter().find(|candidate| candidate.name == column) {
            Some(candidate) => Ok(located(&candidate.expr, levels)),
            None if column == "xmax" && scope.xmax.is_some() => {
                Ok(located(&xmax_column(scope.xmax.unwrap_or_default()), levels))
            }
            None if column == "tableoid" && table_oid(scope, found).is_some() => {
                let oid = table_oid(scope, found).expect("checked");
                Ok(Expr { place, ..Expr::constant(oid.into(), trivet_types::oid::OID) })
            }
            None => {
                let message = format!("column {table}.{column} does not exist");
                fail(with_suggestion(PgError::new(sqlstate::UNDEFINED_COLUMN, message), scopes, name))
            }
        };
    }
    // It is there, but under another schema.
    if schema.is_some() && scopes.iter().any(|scope| scope.tables.iter().any(|other| other.alias == *table)) {
        let message = format!("invalid reference to FROM-clause entry for table \"{table}\"");
        let hint = format!(
            "There is an entry for table \"{table}\", but it cannot be referenced from this part of the query."
        );
        return fail(PgError::new(sqlstate::UNDEFINED_TABLE, message).hint(hint));
    }
    fail(missing_entry(scopes, table))
}

fn xmax_column(column: usize) -> Expr {
    Expr {
        kind: ExprKind::Column { up: 0, relation: 0, column },
        type_oid: trivet_types::oid::XID,
        modifier: -1,
        place: Place::default(),
    }
}

/// The stored or virtual table that a qualifier stands for.
fn table_oid(scope: &Scope, table: &ScopeTable) -> Option<trivet_types::Oid> {
    let ExprKind::Column { up: 0, relation, .. } = table.columns.first()?.expr.kind else { return None };
    match &scope.relations.get(relation)?.source {
        RelationSource::Table(table) => Some(table.oid),
        RelationSource::Virtual(table) => Some(table.oid),
        _ => None,
    }
}

/// 42P01, with a hint if an alias hides the table.
pub fn missing_entry(scopes: &[Scope], table: &str) -> Box<PgError> {
    let mut tables = scopes.iter().rev().flat_map(|scope| &scope.tables);
    let hidden = tables.find(|candidate| candidate.original.as_deref() == Some(table));
    match hidden {
        Some(candidate) => {
            let message = format!("invalid reference to FROM-clause entry for table \"{table}\"");
            let hint = format!("Perhaps you meant to reference the table alias \"{}\".", candidate.alias);
            PgError::new(sqlstate::UNDEFINED_TABLE, message).hint(hint)
        }
        None => PgError::new(sqlstate::UNDEFINED_TABLE, format!("missing FROM-clause entry for table \"{table}\"")),
    }
}
