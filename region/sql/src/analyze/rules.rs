//! Expressions that a table carries: defaults, CHECKs, generated columns, keys and conditions of indexes.
use super::scope::Scope;
use super::{Analyzer, assign};
use crate::catalog::{Check, Table};
use crate::parser::tree;
use crate::typed::{Expr, ExprKind, IndexRule, TableRules};
use std::sync::Arc;
use trivet_types::registry::registry;
use trivet_types::user::DomainType;
use trivet_types::{Datum, Oid, PgError, PgResult, oid, sqlstate};

/// `nextval(regclass)`
const NEXTVAL: Oid = Oid(1574);

impl Analyzer<'_> {
    /// The tree of a stored expression.
    pub(super) fn stored(&self, text: &str) -> PgResult<tree::Expr> {
        let parsed = crate::parser::parse(&format!("SELECT {text}"))?;
        let broken = || PgError::internal(format!("a stored expression is not one: {text}"));
        let Some(tree::Statement::Query(query)) = parsed.into_iter().next().map(|parsed| parsed.statement) else {
            return Err(broken());
        };
        let tree::QueryBody::Select(select) = query.body else { return Err(broken()) };
        match select.targets.into_iter().next() {
            Some(tree::Target::Expr { expr, .. }) => Ok(expr),
            _ => Err(broken()),
        }
    }

    /// A column's default, in its type.
    pub fn default_of(&mut self, table: &Table, at: usize) -> PgResult<Expr> {
        let column = &table.columns[at];
        if let Some(identity) = column.identity {
            let procedure = registry().procedure(NEXTVAL).ok_or_else(|| PgError::internal("there is no nextval"))?;
            let sequence = Expr::constant(Datum::Oid(identity.sequence.0), oid::REGCLASS);
            let call = ExprKind::Call { procedure, arguments: vec![sequence] };
            let next = Expr { kind: call, ..Expr::constant(Datum::Null, oid::INT8) };
            return assign(self, next, column.type_oid, column.modifier, &column.name);
        }
        let value = match (&column.default, table.domain_of(at)) {
            (Some(text), _) => {
                let expr = self.stored(text)?;
                self.standalone(&expr, column.type_oid, column.modifier, &column.name)?
            }
            (None, Some(domain)) => self.domain_default(domain)?,
            (None, None) => return Ok(Expr::constant(Datum::Null, column.type_oid)),
        };
        self.to_column(table, at, value)
    }

    /// A domain's condition, as it is stored.
    pub fn stored_condition(&mut self, domain: &DomainType, text: &str) -> PgResult<Expr> {
        let expr = self.stored(text)?;
        self.over_value(domain, &expr)
    }

    /// A stored default, as it is before it is the column's type.
    pub fn stored_default(&mut self, text: &str) -> PgResult<Expr> {
        let expr = self.stored(text)?;
        self.default_as_given(&expr)
    }

    /// A default as a statement gives it: no column is in sight.
    pub fn default_expr(&mut self, expr: &tree::Expr, type_oid: Oid, modifier: i32, column: &str) -> PgResult<Expr> {
        self.scopes.push(Scope { no_aggregates: Some("DEFAULT expressions"), ..Scope::default() });
        let typed = self.value_for(expr, type_oid).map_err(|mut error| {
            if error.code == sqlstate::UNDEFINED_COLUMN {
                error.code = sqlstate::FEATURE_NOT_SUPPORTED;
                error.message = "cannot use column reference in DEFAULT expression".into();
            }
            error
        });
        self.scopes.pop();
        let typed = typed?;
        let source = typed.type_oid;
        assign(self, typed, type_oid, modifier, column).map_err(|mut error| {
            if error.code == sqlstate::DATATYPE_MISMATCH && error.message.starts_with("column ") {
                let (target, source) =
                    (trivet_types::display_name(type_oid, -1), trivet_types::display_name(source, -1));
                error.message =
                    format!("column \"{column}\" is of type {target} but default expression is of type {source}");
                error.position = None;
            }
            error
        })
    }

    /// The same before it is the column's type.
    pub fn default_as_given(&mut self, expr: &tree::Expr) -> PgResult<Expr> {
        self.scopes.push(Scope { no_aggregates: Some("DEFAULT expressions"), ..Scope::default() });
        let typed = self.expr(expr);
        self.scopes.pop();
        typed
    }

    /// An expression over one table's row (relation 0). `what`: where it stands, for messages.
    pub fn over_row(&mut self, table: &Arc<Table>, expr: &tree::Expr, what: &'static str) -> PgResult<Expr> {
        let mut scope = Scope::over_table(table);
        scope.no_aggregates = Some(what);
        self.scopes.push(scope);
        let result = self.expr(expr).and_then(|expr| self.known(expr));
        self.scopes.pop();
        result
    }

    pub fn row_condition(&mut self, table: &Arc<Table>, expr: &tree::Expr, what: &'static str) -> PgResult<Expr> {
        let mut scope = Scope::over_table(table);
        scope.no_aggregates = Some(what);
        self.scopes.push(scope);
        let result = self.expr(expr).and_then(|expr| self.boolean(expr, "WHERE"));
        self.scopes.pop();
        result
    }

    /// A stored expression over a row.
    pub fn stored_over(&mut self, table: &Arc<Table>, text: &str) -> PgResult<Expr> {
        let expr = self.stored(text)?;
        self.over_row(table, &expr, "stored expressions")
    }

    pub fn column_of(&self, table: &Table, at: usize) -> Expr {
        let column = &table.columns[at];
        Expr {
            kind: ExprKind::Column { up: 0, relation: 0, column: at },
            type_oid: column.type_oid,
            modifier: column.modifier,
            place: tree::Place::default(),
        }
    }

    pub fn check(&mut self, table: &Arc<Table>, check: &Check) -> PgResult<Expr> {
        let expr = self.stored(&check.expression)?;
        self.over_table(table, &expr)
    }

    /// Everything that a row of the table has to obey and has computed from it.
    pub fn rules(&mut self, table: &Arc<Table>) -> PgResult<TableRules> {
        let mut rules = TableRules::default();
        for check in &table.checks {
            rules.checks.push((check.name.clone(), self.check(table, check)?));
        }
        for (at, column) in table.live_columns() {
            let Some(text) = &column.generated else { continue };
            let expr = self.stored_over(table, text)?;
            let expr = assign(self, expr, column.type_oid, column.modifier, &column.name)?;
            let expr = self.to_column(table, at, expr)?;
            rules.generated.push((at, expr));
        }
        for (at, index) in table.indexes.iter().enumerate() {
            if index.filter.is_none() && index.keys.iter().all(|key| key.expression.is_none()) {
                continue;
            }
            let mut keys = Vec::with_capacity(index.keys.len());
            for key in &index.keys {
                keys.push(match &key.expression {
                    Some(expression) => Some(self.stored_over(table, &expression.text)?),
                    None => None,
                });
            }
            let filter = match &index.filter {
                Some(filter) => Some(self.stored_over(table, filter)?),
                None => None,
            };
            rules.indexes.push(IndexRule { index: at, keys, filter });
        }
        Ok(rules)
    }
}
