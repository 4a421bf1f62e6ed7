//! What INSERT, UPDATE and DELETE change: a table, or the table under a view that does nothing but choose rows and columns of it.
//!
//! A change of such a view is one of its table, under the view's names: the columns that are in scope are the view's, each with
//! what it stands for, and the view's condition joins the statement's own.
use super::scope::{Scope, ScopeColumn};
use super::{Analyzer, ParameterTypes, at, undefined_table};
use crate::catalog::{CheckOption, Found, ResolvedView, Table, View};
use crate::parser::tree::{self, QueryBody, Statement, TableExpr};
use crate::typed::{Expr, ExprKind, RelationSource};
use std::sync::Arc;
use trivet_types::{PgError, PgResult, sqlstate};

/// What a statement changes.
pub(super) struct Changed {
    pub table: Arc<Table>,
    /// The table with the names that the statement may use.
    pub seen: Arc<Table>,
    pub view: Option<ChangedView>,
}

pub(super) struct ChangedView {
    pub view: Arc<Table>,
    /// Names and meanings of its columns, over the table as relation 0.
    columns: Vec<(String, Expr)>,
    condition: Option<Expr>,
    /// WITH CHECK OPTION: by the view's name, what new rows must satisfy.
    checks: Vec<(String, Expr)>,
}

/// A name that nobody can write, for a table's columns that a view does not show.
const HIDDEN: &str = "\u{1}hidden";
/// How a view's check among a table's is known.
pub const CHECK_OPTION: &str = "\u{1}view ";

#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Verb {
    Insert,
    Update,
    Delete,
}

impl Verb {
    fn refusal(self, view: &str, why: &str) -> Box<PgError> {
        let (doing, enabling, event) = match self {
            Verb::Insert => ("insert into", "inserting into", "INSERT"),
            Verb::Update => ("update", "updating", "UPDATE"),
            Verb::Delete => ("delete from", "deleting from", "DELETE"),
        };
        let code = sqlstate::OBJECT_NOT_IN_PREREQUISITE_STATE;
        PgError::new(code, format!("cannot {doing} view \"{view}\"")).detail(why).hint(format!(
            "To enable {enabling} the view, provide an INSTEAD OF {event} trigger or an unconditional ON {event} DO \
             INSTEAD rule."
        ))
    }
}

impl Changed {
    /// The columns that an INSERT without a list gives values to.
    pub fn insertable(&self) -> Vec<usize> {
        let Some(view) = &self.view else {
            return self.table.live_columns().map(|(position, _)| position).collect();
        };
        view.columns.iter().filter_map(|(_, expr)| column_of(expr)).collect()
    }

    /// 0A000 if a view's column of that name is computed.
    pub fn check_column(&self, name: &tree::Name, verb: Verb) -> PgResult<()> {
        let Some(view) = &self.view else { return Ok(()) };
        let computed = view.columns.iter().any(|(known, expr)| *known == name.text && column_of(expr).is_none());
        if !computed {
            return Ok(());
        }
        let doing = if verb == Verb::Insert { "insert into" } else { "update" };
        let message = format!("cannot {doing} column \"{}\" of view \"{}\"", name.text, view.view.name);
        Err(PgError::new(sqlstate::FEATURE_NOT_SUPPORTED, message)
            .detail("View columns that are not columns of their base relation are not updatable."))
    }

    /// What new rows must satisfy beyond what the table asks.
    pub fn checks(&self) -> Vec<(String, Expr)> {
        let checks = self.view.iter().flat_map(|view| &view.checks);
        let is_true = |(name, condition): &(String, Expr)| {
            let (type_oid, modifier, place) = (condition.type_oid, condition.modifier, condition.place);
            let operand = Box::new(condition.clone());
            let kind = ExprKind::IsBoolean { operand, value: true, negated: false };
            (format!("{CHECK_OPTION}{name}"), Expr { kind, type_oid, modifier, place })
        };
        checks.map(is_true).collect()
    }

    pub fn view(&self) -> Option<Arc<Table>> {
        self.view.as_ref().map(|view| Arc::clone(&view.view))
    }

    /// The statement's condition with the view's.
    pub fn with_condition(&self, filter: Option<Expr>) -> Option<Expr> {
        let own = self.view.as_ref().and_then(|view| view.condition.clone());
        match (own, filter) {
            (Some(own), Some(filter)) => {
                let (type_oid, modifier, place) = (own.type_oid, own.modifier, own.place);
                Some(Expr { kind: ExprKind::And(vec![own, filter]), type_oid, modifier, place })
            }
            (own, filter) => own.or(filter),
        }
    }

    /// Makes it the next relation of a scope, under the names that the statement uses.
    pub fn enter(&self, scope: &mut Scope, alias: &str) {
        let first = scope.columns.len();
        scope.add_target(&self.seen, alias);
        let Some(view) = &self.view else { return };
        let relation = scope.relations.len() - 1;
        scope.relations[relation].source = RelationSource::Table(Arc::clone(&self.table));
        scope.columns.truncate(first);
        let columns: Vec<ScopeColumn> = view
            .columns
            .iter()
            .map(|(name, expr)| ScopeColumn { name: name.clone(), expr: moved(expr, relation) })
            .collect();
        scope.columns.extend(columns.iter().cloned());
        if let Some(entry) = scope.tables.last_mut() {
            entry.columns = columns;
        }
    }
}

fn column_of(expr: &Expr) -> Option<usize> {
    match expr.kind {
        ExprKind::Column { up: 0, relation: 0, column } => Some(column),
        _ => None,
    }
}

/// The expression over another place in the scope.
fn moved(expr: &Expr, to: usize) -> Expr {
    fn shift(expr: &mut Expr, to: usize) {
        if let ExprKind::Column { up: 0, relation, .. } = &mut expr.kind {
            *relation = to;
        }
        expr.children_mut().into_iter().for_each(|child| shift(child, to));
    }
    let mut expr = expr.clone();
    if to > 0 {
        shift(&mut expr, to);
    }
    expr
}

/// Why a query cannot be changed through; `None`: it can, as far as its shape goes.
fn obstacle(query: &tree::Query) -> Option<&'static str> {
    let not = |what: &'static str| Some(what);
    if query.with.is_some() {
        return not("Views containing WITH are not automatically updatable.");
    }
    let QueryBody::Select(select) = &query.body else {
        return not(match query.body {
            QueryBody::SetOperation { .. } => {
                "Views containing UNION, INTERSECT, or EXCEPT are not automatically updatable."
            }
            _ => "Views that do not select from a single table or view are not automatically updatable.",
        });
    };
    if select.distinct.is_some() {
        return not("Views containing DISTINCT are not automatically updatable.");
    }
    if !select.group_by.is_empty() {
        return not("Views containing GROUP BY are not automatically updatable.");
    }
    if select.having.is_some() {
        return not("Views containing HAVING are not automatically updatable.");
    }
    if query.limit.is_some() || query.offset.is_some() {
        return not("Views containing LIMIT or OFFSET are not automatically updatable.");
    }
    if !matches!(select.from.as_slice(), [TableExpr::Table { alias, .. }] if alias.columns.is_empty()) {
        return not("Views that do not select from a single table or view are not automatically updatable.");
    }
    None
}

fn query_of(view: &View) -> Option<tree::Query> {
    let mut parsed = crate::parser::parse(&view.query).ok()?;
    match parsed.pop()?.statement {
        Statement::Query(query) => Some(query),
        _ => None,
    }
}

/// May rows be changed through a view, as far as its own text tells?
pub fn is_updatable(view: &View) -> bool {
    let calls_nothing = |query: &tree::Query| match &query.body {
        QueryBody::Select(select) => select.targets.iter().any(|target| match target {
            tree::Target::Star { .. } => true,
            tree::Target::Expr { expr, .. } => matches!(expr.kind, tree::ExprKind::Column(_)),
        }),
        _ => false,
    };
    query_of(view).is_some_and(|query| obstacle(&query).is_none() && calls_nothing(&query))
}

impl Analyzer<'_> {
    /// What a statement that names a relation changes.
    pub(super) fn changed(&mut self, name: &tree::QualifiedName, verb: Verb) -> PgResult<Changed> {
        match self.found(name)? {
            Found::Table(table) if table.is_table() => {
                Ok(Changed { table: Arc::clone(table), seen: Arc::clone(table), view: None })
            }
            Found::Table(table) => {
                let message = format!("cannot change materialized view \"{}\"", table.name);
                Err(PgError::new(sqlstate::WRONG_OBJECT_TYPE, message))
            }
            Found::Virtual(table) => {
                let message = format!("permission denied: \"{}\" is a system catalog", table.name);
                Err(PgError::new(sqlstate::INSUFFICIENT_PRIVILEGE, message))
            }
            Found::Index(..) => Err(at(name.place(), undefined_table(name))),
            Found::View(view) => self.through(view, verb),
            Found::Sequence(table) => {
                let message = format!("cannot change sequence \"{}\"", table.name);
                Err(PgError::new(sqlstate::WRONG_OBJECT_TYPE, message))
            }
        }
    }

    fn through(&mut self, view: &ResolvedView, verb: Verb) -> PgResult<Changed> {
        let name = &view.table.name;
        let refuse = |why: &str| Err(verb.refusal(name, why));
        let definition = view.table.view().ok_or_else(|| PgError::internal("a view has no query"))?;
        let query = query_of(definition).ok_or_else(|| PgError::internal("a view's query does not parse"))?;
        if let Some(why) = obstacle(&query) {
            return refuse(why);
        }
        let QueryBody::Select(select) = &query.body else { return refuse("It is no SELECT.") };
        let [TableExpr::Table { name: from, alias, .. }] = select.from.as_slice() else {
            return refuse("It reads several tables.");
        };
        let mut inner = Analyzer::new(&view.relations, self.environment, ParameterTypes::none());
        let base = match inner.found(from)? {
            Found::Table(seen) if seen.is_table() => {
                let table = view.bases.get(&seen.oid).unwrap_or(seen);
                Changed { table: Arc::clone(table), seen: Arc::clone(seen), view: None }
            }
            Found::View(below) => inner.through(below, verb)?,
            _ => {
                return refuse("Views that do not select from a single table or view are not automatically updatable.");
            }
        };
        let alias = alias.name.as_ref().map_or(from.last(), |alias| &alias.text);
        let mut scope = Scope::default();
        base.enter(&mut scope, alias);
        inner.scopes.push(scope);
        let targets = inner.targets(&select.targets)?;
        if !inner.scope().aggregates.is_empty() {
            return refuse("Views that return aggregate functions are not automatically updatable.");
        }
        if !inner.scope().windows.is_empty() {
            return refuse("Views that return window functions are not automatically updatable.");
        }
        let own = select.filter.as_ref().map(|filter| inner.condition(filter, "WHERE")).transpose()?;
        inner.scopes.pop();
        let mut columns = Vec::with_capacity(targets.len());
        for (column, target) in view.table.columns.iter().zip(targets) {
            if target.expr.any(&mut |part| is_set(part)) {
                return refuse("Views that return set-returning functions are not automatically updatable.");
            }
            // The second of two names for one column cannot be assigned to.
            let expr = target.expr;
            columns.push((column.name.clone(), expr));
        }
        if !columns.iter().any(|(_, expr)| column_of(expr).is_some()) {
            return refuse("Views that have no updatable columns are not automatically updatable.");
        }
        let mut checks = match (&base.view, definition.check_option) {
            (Some(below), None) => below.checks.clone(),
            (Some(below), Some(CheckOption::Local)) => below.checks.clone(),
            (Some(below), Some(CheckOption::Cascaded)) => {
                let mut all = below.checks.clone();
                all.extend(below.condition.clone().map(|condition| (name.clone(), condition)));
                all
            }
            (None, _) => Vec::new(),
        };
        if definition.check_option.is_some() {
            checks.extend(own.clone().map(|condition| (name.clone(), condition)));
        }
        let condition = base.with_condition(own);
        let mut seen = Table::clone(&base.table);
        seen.name.clone_from(name);
        for (at, column) in seen.columns.iter_mut().enumerate() {
            let shown = columns.iter().find(|(_, expr)| column_of(expr) == Some(at));
            column.name = shown.map_or_else(|| HIDDEN.to_owned(), |(name, _)| name.clone());
        }
        let view = ChangedView { view: Arc::clone(&view.table), columns, condition, checks };
        Ok(Changed { table: base.table, seen: Arc::new(seen), view: Some(view) })
    }
}

fn is_set(part: &Expr) -> bool {
    matches!(&part.kind, ExprKind::Call { procedure, .. } if procedure.returns_set())
}
