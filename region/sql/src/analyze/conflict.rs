//! ON CONFLICT: which unique indexes arbitrate, and what is done.
use super::scope::Scope;
use super::updatable::Changed;
use super::{Analyzer, at, print_expr};
use crate::catalog::{IndexState, Table};
use crate::parser::tree::{self, ConflictAction, ConflictKey, ConflictTarget};
use crate::typed::{ConflictUpdate, Expr, ExprKind, OnConflict};
use trivet_types::functions::string::quote_identifier;
use trivet_types::{Oid, PgError, PgResult, sqlstate};

impl Analyzer<'_> {
    pub(super) fn on_conflict(
        &mut self,
        changed: &Changed,
        alias: &str,
        clause: &tree::OnConflict,
    ) -> PgResult<OnConflict> {
        let table = &changed.table;
        let mut indexes: Vec<Oid> = Vec::new();
        match &clause.target {
            None => {}
            Some(ConflictTarget::Keys(keys, predicate)) => {
                indexes = self.arbiters(changed, keys, predicate.as_ref(), clause.place)?;
                if indexes.is_empty() {
                    let message = "there is no unique or exclusion constraint matching the ON CONFLICT specification";
                    return Err(PgError::new(sqlstate::INVALID_COLUMN_REFERENCE, message));
                }
            }
            Some(ConflictTarget::Constraint(name)) => {
                let found = table.constraints.iter().find(|constraint| constraint.name == name.text);
                let found = found.ok_or_else(|| {
                    let message = format!("constraint \"{}\" for table \"{}\" does not exist", name.text, table.name);
                    PgError::new(sqlstate::UNDEFINED_OBJECT, message)
                })?;
                indexes.push(found.index);
            }
        }
        let ConflictAction::Update { assignments, filter } = &clause.action else {
            return Ok(OnConflict { indexes, update: None });
        };
        if clause.target.is_none() {
            let message = "ON CONFLICT DO UPDATE requires inference specification or constraint name";
            let error = PgError::new(sqlstate::SYNTAX_ERROR, message).hint("For example, ON CONFLICT (column_name).");
            return Err(at(clause.place, error));
        }
        let mut scope = Scope { no_aggregates: Some("UPDATE"), ..Scope::default() };
        changed.enter(&mut scope, alias);
        scope.add_table(&changed.seen, "excluded", None);
        self.scopes.push(scope);
        let analyzed = self.assignments(&changed.seen, assignments).and_then(|assignments| {
            let filter = filter.as_ref().map(|filter| self.condition(filter, "WHERE")).transpose()?;
            Ok(ConflictUpdate { assignments, filter })
        });
        self.scopes.pop();
        Ok(OnConflict { indexes, update: Some(analyzed?) })
    }

    /// The unique indexes over these columns and expressions, of all rows or of all that the condition holds for.
    fn arbiters(
        &mut self,
        changed: &Changed,
        keys: &[ConflictKey],
        predicate: Option<&tree::Expr>,
        place: tree::Place,
    ) -> PgResult<Vec<Oid>> {
        let (table, seen) = (&changed.table, &changed.seen);
        let (mut columns, mut expressions) = (Vec::new(), Vec::new());
        for key in keys {
            match key {
                ConflictKey::Column(name) => {
                    let undefined = |_| {
                        let message = format!("column \"{}\" does not exist", name.text);
                        let place = if place.known().is_some() { place } else { name.place };
                        at(place, PgError::new(sqlstate::UNDEFINED_COLUMN, message))
                    };
                    columns.push(self.column_position(seen, name).map_err(undefined)?);
                }
                ConflictKey::Expression(expr) => {
                    let typed = self.over_row(seen, expr, "index expressions")?;
                    match typed.kind {
                        ExprKind::Column { column, .. } => columns.push(column),
                        _ => expressions.push(print_over(&typed, table)),
                    }
                }
            }
        }
        let holds = match predicate {
            Some(predicate) => terms(self.over_table(seen, predicate)?, table),
            None => vec![],
        };
        let mut found = Vec::new();
        for index in table.indexes.iter().filter(|index| table.is_unique(index) && index.state == IndexState::Ready) {
            let own_columns = || index.keys.iter().filter(|key| key.expression.is_none()).map(|key| key.column);
            let own_expressions = || index.keys.iter().filter_map(|key| key.expression.as_ref()).map(|key| &key.text);
            let fits = own_columns().all(|column| columns.contains(&column))
                && columns.iter().all(|column| own_columns().any(|own| own == *column))
                && own_expressions().all(|text| expressions.contains(text))
                && expressions.iter().all(|text| own_expressions().any(|own| own == text));
            if !fits {
                continue;
            }
            let implied = match &index.filter {
                None => true,
                Some(filter) => {
                    let filter = self.stored_over(table, filter)?;
                    terms(filter, table).iter().all(|term| holds.contains(term))
                }
            };
            if implied {
                found.push(index.oid);
            }
        }
        Ok(found)
    }
}

/// What a condition over a table's row joins by AND, as text.
fn terms(condition: Expr, table: &Table) -> Vec<String> {
    match condition.kind {
        ExprKind::And(terms) => terms.iter().map(|term| print_over(term, table)).collect(),
        _ => vec![print_over(&condition, table)],
    }
}

/// As definitions keep it.
fn print_over(expr: &Expr, table: &Table) -> String {
    print_expr(expr, &|_, column| quote_identifier(&table.columns[column].name))
}
