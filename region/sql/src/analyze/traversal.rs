//! SEARCH and CYCLE of a recursive common table, written out as PostgreSQL does (`rewriteSearchCycle.c`): columns that the query
//! carries along.
//!
//! ```text
//!   SELECT l.*, initial values FROM (left) l UNION SELECT r.*, next values FROM (right, with the table's own of them) r
//! ```
//! The depth of a breadth-first search has a column of its own, which nothing outside finds.
use super::at;
use crate::parser::tree::{
    Alias, CommonTable, Expr, ExprKind, Literal, Name, Place, QualifiedName, Query, QueryBody, Select, Statement,
    TableExpr, Target,
};
use trivet_types::{PgError, PgResult, sqlstate};

/// A name that PostgreSQL, too, gives to what nobody names.
pub(super) const DEPTH: &str = "*DEPTH*";
const LEFT: &str = "*TLOCRN*";
const RIGHT: &str = "*TROCRN*";

fn expr(kind: ExprKind) -> Expr {
    Expr { kind, place: Place::default() }
}

fn name(text: &str) -> Name {
    Name { text: text.to_owned(), place: Place::default() }
}

fn column(table: &str, column: &str) -> Expr {
    expr(ExprKind::Column(QualifiedName { parts: vec![name(table), name(column)] }))
}

fn row(table: &str, columns: &[Name]) -> Expr {
    expr(ExprKind::Row(columns.iter().map(|of| column(table, &of.text)).collect()))
}

fn binary(operator: &str, left: Expr, right: Expr) -> Expr {
    expr(ExprKind::Binary { operator: operator.to_owned(), left: Box::new(left), right: Box::new(right) })
}

fn appended(list: Expr, item: Expr) -> Expr {
    binary("||", list, expr(ExprKind::Array(vec![item])))
}

fn bigint(digits: &str) -> Expr {
    let to = crate::parser::tree::TypeName {
        name: "int8".into(),
        schema: None,
        modifiers: vec![],
        array: false,
        place: Place::default(),
    };
    let operand = Box::new(expr(ExprKind::Literal(Literal::Number(digits.into()))));
    expr(ExprKind::Cast { operand, to })
}

/// `SELECT exprs FROM (body) AS alias (columns)`
fn over(body: QueryBody, alias: &str, columns: &[Name], exprs: Vec<Expr>) -> QueryBody {
    let alias = Alias { name: Some(name(alias)), columns: columns.to_vec(), types: vec![] };
    let from = TableExpr::Query { query: Box::new(Query::of(body)), alias, lateral: false };
    let targets = exprs.into_iter().map(|expr| Target::Expr { expr, alias: None }).collect();
    QueryBody::Select(Box::new(Select::of(targets, vec![from])))
}

/// Under which name a FROM has the table.
fn alias_of(table: &TableExpr, wanted: &str) -> Option<String> {
    match table {
        TableExpr::Table { name, alias, .. } if name.parts.len() == 1 && name.last() == wanted => {
            Some(alias.name.as_ref().map_or_else(|| wanted.to_owned(), |alias| alias.text.clone()))
        }
        TableExpr::Join { left, right, .. } => alias_of(left, wanted).or_else(|| alias_of(right, wanted)),
        _ => None,
    }
}

/// What is wrong with the clauses' columns.
fn check(common: &CommonTable, columns: &[Name]) -> PgResult<()> {
    let wrong = |place: Place, message: String| Err(at(place, PgError::new(sqlstate::SYNTAX_ERROR, message)));
    let has = |name: &Name| columns.iter().any(|column| column.text == name.text);
    let twice = |names: &[Name]| {
        names
            .iter()
            .enumerate()
            .find(|(at, name)| names[..*at].iter().any(|other| other.text == name.text))
            .map(|found| found.1.text.clone())
    };
    let taken = |what: &str, name: &Name| {
        format!("{what} column name \"{}\" already used in WITH query column list", name.text)
    };
    if let Some(search) = &common.search {
        if let Some(missing) = search.by.iter().find(|name| !has(name)) {
            return wrong(search.place, format!("search column \"{}\" not in WITH query column list", missing.text));
        }
        if let Some(name) = twice(&search.by) {
            return wrong(search.place, format!("search column \"{name}\" specified more than once"));
        }
        if has(&search.sequence) {
            return wrong(search.place, taken("search sequence", &search.sequence));
        }
    }
    let Some(cycle) = &common.cycle else { return Ok(()) };
    if let Some(missing) = cycle.columns.iter().find(|name| !has(name)) {
        return wrong(cycle.place, format!("cycle column \"{}\" not in WITH query column list", missing.text));
    }
    if let Some(name) = twice(&cycle.columns) {
        return wrong(cycle.place, format!("cycle column \"{name}\" specified more than once"));
    }
    if has(&cycle.mark) {
        return wrong(cycle.place, taken("cycle mark", &cycle.mark));
    }
    if has(&cycle.path) {
        return wrong(cycle.place, taken("cycle path", &cycle.path));
    }
    if cycle.mark.text == cycle.path.text {
        return wrong(cycle.place, "cycle mark column name and cycle path column name are the same".into());
    }
    if let Some(search) = &common.search {
        for (what, name) in [("cycle mark", &cycle.mark), ("cycle path", &cycle.path)] {
            if search.sequence.text == name.text {
                return wrong(search.place, format!("search sequence column name and {what} column name are the same"));
            }
        }
    }
    Ok(())
}

/// A recursive table without the clauses, of the columns that it has with them. `columns`: those of its query.
pub(super) fn written_out(common: &CommonTable, query: &Query, columns: &[Name]) -> PgResult<CommonTable> {
    check(common, columns)?;
    let QueryBody::SetOperation { operation, all, left, right } = &query.body else {
        return Err(PgError::internal("a recursive query is a UNION"));
    };
    let unsupported = |message: String| Err(PgError::new(sqlstate::FEATURE_NOT_SUPPORTED, message));
    let QueryBody::Select(right) = &**right else {
        return unsupported("with a SEARCH or CYCLE clause, the right side of the UNION must be a SELECT".into());
    };
    let Some(own) = right.from.iter().find_map(|table| alias_of(table, &common.name.text)) else {
        return unsupported(format!(
            "with a SEARCH or CYCLE clause, the recursive reference to WITH query \"{}\" must be at the top level of its \
             right-hand SELECT",
            common.name.text
        ));
    };
    let mut right = right.clone();
    // The new columns: name, first value, next value.
    let mut added: Vec<(String, Expr, Expr)> = Vec::new();
    if let Some(search) = &common.search {
        let sequence = search.sequence.text.as_str();
        if search.breadth {
            let ranked = |table: &str, depth: Expr| {
                let fields = search.by.iter().map(|of| column(table, &of.text));
                expr(ExprKind::Row(std::iter::once(depth).chain(fields).collect()))
            };
            let next = || binary("+", column(RIGHT, DEPTH), bigint("1"));
            added.push((sequence.to_owned(), ranked(LEFT, bigint("0")), ranked(RIGHT, next())));
            added.push((DEPTH.to_owned(), bigint("0"), next()));
        } else {
            let first = expr(ExprKind::Array(vec![row(LEFT, &search.by)]));
            let next = appended(column(RIGHT, sequence), row(RIGHT, &search.by));
            added.push((sequence.to_owned(), first, next));
        }
    }
    if let Some(cycle) = &common.cycle {
        let boolean = |value| expr(ExprKind::Literal(Literal::Boolean(value)));
        let values = cycle.values.clone();
        let (value, otherwise) = values.map_or_else(|| (boolean(true), boolean(false)), |both| *both);
        let path = cycle.path.text.as_str();
        let again = expr(ExprKind::Quantified {
            operator: "=".into(),
            left: Box::new(row(RIGHT, &cycle.columns)),
            right: Box::new(column(RIGHT, path)),
            all: false,
        });
        let branches = vec![(again, value.clone())];
        let mark = expr(ExprKind::Case { operand: None, branches, otherwise: Some(Box::new(otherwise.clone())) });
        // So that both values are of one type from the start.
        let never = vec![(boolean(false), value.clone())];
        let first = expr(ExprKind::Case { operand: None, branches: never, otherwise: Some(Box::new(otherwise)) });
        added.push((cycle.mark.text.clone(), first, mark));
        let first = expr(ExprKind::Array(vec![row(LEFT, &cycle.columns)]));
        added.push((path.to_owned(), first, appended(column(RIGHT, path), row(RIGHT, &cycle.columns))));
        // What closed a cycle is not followed.
        let goes_on = binary("<>", column(&own, &cycle.mark.text), value);
        right.filter = Some(match right.filter.take() {
            Some(filter) => expr(ExprKind::And(vec![filter, goes_on])),
            None => goes_on,
        });
    }
    let mut names: Vec<Name> = columns.to_vec();
    names.extend(added.iter().map(|(text, ..)| name(text)));
    for (text, ..) in &added {
        right.targets.push(Target::Expr { expr: column(&own, text), alias: None });
    }
    let all_of = |table: &str| columns.iter().map(|of| column(table, &of.text)).collect::<Vec<Expr>>();
    let (mut first, mut next) = (all_of(LEFT), all_of(RIGHT));
    for (_, initial, following) in added {
        first.push(initial);
        next.push(following);
    }
    let body = QueryBody::SetOperation {
        operation: *operation,
        all: *all,
        left: Box::new(over((**left).clone(), LEFT, columns, first)),
        right: Box::new(over(QueryBody::Select(right), RIGHT, &names, next)),
    };
    let statement = Box::new(Statement::Query(Query { body, ..query.clone() }));
    Ok(CommonTable { columns: names, statement, search: None, cycle: None, ..common.clone() })
}
