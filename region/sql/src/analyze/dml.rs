//! INSERT, UPDATE, DELETE.
use super::query::empty_query;
use super::scope::Scope;
use super::updatable::{Changed, Verb};
use super::{Analyzer, assign, at};
use crate::catalog::Table;
use crate::parser::tree::{self, InsertSource};
use crate::typed::{Body, Delete, Expr, ExprKind, From, Insert, InsertValue, Query, Target, Update};
use std::sync::Arc;
use trivet_types::user::is_row;
use trivet_types::{Datum, PgError, PgResult, display_name, oid, sqlstate};

const GENERATED_ALWAYS: trivet_types::SqlState = trivet_types::SqlState(*b"428C9");

impl Analyzer<'_> {
    pub(super) fn column_position(&self, table: &Table, name: &tree::Name) -> PgResult<usize> {
        table.column_named(&name.text).map(|(position, _)| position).ok_or_else(|| {
            let message = format!("column \"{}\" of relation \"{}\" does not exist", name.text, table.name);
            at(name.place, PgError::new(sqlstate::UNDEFINED_COLUMN, message))
        })
    }

    pub(super) fn insert(&mut self, insert: &tree::Insert) -> PgResult<Insert> {
        self.under_with(&insert.with, |analyzer| analyzer.insert_here(insert))
    }

    /// A statement with the tables of its WITH in sight.
    pub(super) fn under_with<T>(
        &mut self,
        with: &Option<tree::With>,
        work: impl FnOnce(&mut Self) -> PgResult<T>,
    ) -> PgResult<T> {
        let common = self.common.len();
        let result = self.with(with).and_then(|()| work(self));
        self.common.truncate(common);
        result
    }

    fn insert_here(&mut self, insert: &tree::Insert) -> PgResult<Insert> {
        let changed = self.changed(&insert.table, Verb::Insert)?;
        let (table, seen) = (Arc::clone(&changed.table), Arc::clone(&changed.seen));
        let columns = self.insert_columns(&changed, &insert.columns)?;
        self.overriding = insert.overriding_system.is_some();
        let (source, given) = match &insert.source {
            InsertSource::DefaultValues => {
                let mut query = empty_query(vec![]);
                query.body = Body::Values(vec![vec![]]);
                (query, 0)
            }
            InsertSource::Query(query) => self.insert_source(&seen, &columns, &insert.columns, query)?,
        };
        let given_columns = self.given_columns(&seen, &columns[..given], &source, insert)?;
        let mut values = Vec::with_capacity(table.columns.len());
        for (position, column) in table.columns.iter().enumerate() {
            let from = given_columns.iter().position(|target| *target == Some(position));
            values.push(match from {
                _ if column.dropped => InsertValue::Null,
                Some(from) => {
                    let source_column = &source.targets[super::expr::visible_positions(&source)[from]].expr;
                    let value = Expr {
                        kind: ExprKind::Column { up: 0, relation: 0, column: from },
                        type_oid: source_column.type_oid,
                        modifier: source_column.modifier,
                        place: source_column.place,
                    };
                    let value = assign(self, value, column.type_oid, column.modifier, &column.name)?;
                    InsertValue::Expr(self.to_column(&table, position, value)?)
                }
                None if column.generated.is_some() => InsertValue::Null,
                None => InsertValue::Expr(self.default_of(&table, position)?),
            });
        }
        let alias = insert.alias.as_ref().map_or(seen.name.as_str(), |alias| &alias.text).to_string();
        let on_conflict = match &insert.on_conflict {
            None => None,
            Some(clause) => Some(self.on_conflict(&changed, &alias, clause)?),
        };
        let returning = self.returning(&changed, &alias, &insert.returning)?;
        let rules = self.changed_rules(&changed)?;
        Ok(Insert { rules, table, source, values, on_conflict, returning, view: changed.view() })
    }

    fn changed_rules(&mut self, changed: &Changed) -> PgResult<crate::typed::TableRules> {
        let mut rules = self.rules(&changed.table)?;
        rules.checks.extend(changed.checks());
        Ok(rules)
    }

    pub(super) fn insert_columns(&self, changed: &Changed, names: &[tree::Name]) -> PgResult<Vec<usize>> {
        if names.is_empty() {
            return Ok(changed.insertable());
        }
        let mut columns: Vec<usize> = Vec::with_capacity(names.len());
        for name in names {
            changed.check_column(name, Verb::Insert)?;
            let position = self.column_position(&changed.seen, name)?;
            if columns.contains(&position) {
                let message = format!("column \"{}\" specified more than once", name.text);
                return Err(at(name.place, PgError::new(sqlstate::DUPLICATE_COLUMN, message)));
            }
            columns.push(position);
        }
        Ok(columns)
    }

    /// The rows to insert, and how many of the target columns they give.
    fn insert_source(
        &mut self,
        table: &Arc<Table>,
        columns: &[usize],
        names: &[tree::Name],
        query: &tree::Query,
    ) -> PgResult<(Query, usize)> {
        let plain =
            query.with.is_none() && query.order_by.is_empty() && query.limit.is_none() && query.offset.is_none();
        if let (tree::QueryBody::Values(rows), true) = (&query.body, plain) {
            return self.insert_values(table, columns, names, rows);
        }
        let mut source = self.query(query)?;
        let positions = super::expr::visible_positions(&source);
        let places: Vec<tree::Place> = positions.iter().map(|position| source.targets[*position].expr.place).collect();
        check_counts(&places, columns.len(), names)?;
        for (column, position) in columns.iter().zip(&positions) {
            // An untyped literal or parameter takes the column's type.
            let target = &source.targets[*position].expr;
            if target.type_oid == oid::UNKNOWN
                && matches!(source.body, Body::Select { .. })
                && source.distinct.is_none()
            {
                let column = &table.columns[*column];
                let expr = target.clone();
                source.targets[*position].expr = assign(self, expr, column.type_oid, column.modifier, &column.name)?;
            }
        }
        let source = self.settled(source)?;
        Ok((source, positions.len()))
    }

    fn insert_values(
        &mut self,
        table: &Arc<Table>,
        columns: &[usize],
        names: &[tree::Name],
        rows: &[Vec<tree::Expr>],
    ) -> PgResult<(Query, usize)> {
        let width = rows.first().map_or(0, Vec::len);
        self.scopes.push(Scope { no_aggregates: Some("VALUES"), ..Scope::default() });
        let mut result = Vec::with_capacity(rows.len());
        let mut outcome = Ok(());
        for row in rows {
            outcome = self.insert_row(table, columns, names, width, row).map(|row| result.push(row));
            if outcome.is_err() {
                break;
            }
        }
        self.scopes.pop();
        outcome?;
        let targets = columns[..width].iter().enumerate().map(|(at, column)| {
            let column = &table.columns[*column];
            Target {
                name: column.name.clone(),
                expr: Expr {
                    kind: ExprKind::Column { up: 0, relation: 0, column: at },
                    type_oid: column.type_oid,
                    modifier: column.modifier,
                    place: tree::Place::default(),
                },
                hidden: false,
                origin: None,
            }
        });
        let mut query = empty_query(targets.collect());
        query.body = Body::Values(result);
        Ok((query, width))
    }

    pub(super) fn insert_row(
        &mut self,
        table: &Arc<Table>,
        columns: &[usize],
        names: &[tree::Name],
        width: usize,
        row: &[tree::Expr],
    ) -> PgResult<Vec<Expr>> {
        if row.len() != width {
            let place = row.first().map(|expr| expr.place).unwrap_or_default();
            return Err(at(place, PgError::new(sqlstate::SYNTAX_ERROR, "VALUES lists must all be the same length")));
        }
        let places: Vec<tree::Place> = row.iter().map(|expr| expr.place).collect();
        check_counts(&places, columns.len(), names)?;
        let mut values = Vec::with_capacity(width);
        for (expr, position) in row.iter().zip(columns) {
            let column = &table.columns[*position];
            if matches!(expr.kind, tree::ExprKind::Default) {
                let value = match column.generated {
                    Some(_) => Expr::constant(Datum::Null, column.type_oid),
                    None => self.default_of(table, *position)?,
                };
                values.push(value);
                continue;
            }
            if let Some(error) = self.refuse_value(table, *position) {
                return Err(error);
            }
            let value = self.value_for(expr, column.type_oid)?;
            values.push(assign(self, value, column.type_oid, column.modifier, &column.name)?);
        }
        Ok(values)
    }

    /// Which columns the source's values really go to: OVERRIDING USER VALUE leaves identity columns to their sequences. 428C9
    /// for a value that only a sequence or an expression may give.
    fn given_columns(
        &mut self,
        table: &Arc<Table>,
        columns: &[usize],
        source: &Query,
        insert: &tree::Insert,
    ) -> PgResult<Vec<Option<usize>>> {
        let is_values = matches!(source.body, Body::Values(_));
        let mut given = Vec::with_capacity(columns.len());
        for column in columns {
            let identity = table.columns[*column].identity;
            // VALUES were looked at row by row, where DEFAULT may stand.
            if !is_values && (table.columns[*column].generated.is_some() || identity.is_some()) {
                if let Some(error) = self.refuse_value(table, *column) {
                    return Err(error);
                }
            }
            let left_out = identity.is_some() && insert.overriding_system == Some(false);
            given.push((!left_out).then_some(*column));
        }
        Ok(given)
    }

    fn refuse_value(&self, table: &Table, position: usize) -> Option<Box<PgError>> {
        let column = &table.columns[position];
        let refusal = |detail: String| {
            let message = format!("cannot insert a non-DEFAULT value into column \"{}\"", column.name);
            PgError::new(GENERATED_ALWAYS, message).detail(detail)
        };
        if column.generated.is_some() {
            return Some(refusal(format!("Column \"{}\" is a generated column.", column.name)));
        }
        let always = column.identity.is_some_and(|identity| identity.always) && !self.overriding;
        always.then(|| {
            let detail = format!("Column \"{}\" is an identity column defined as GENERATED ALWAYS.", column.name);
            refusal(detail).hint("Use OVERRIDING SYSTEM VALUE to override.")
        })
    }

    pub(super) fn assignments(
        &mut self,
        table: &Arc<Table>,
        assignments: &[tree::Assignment],
    ) -> PgResult<Vec<(usize, Expr)>> {
        let mut result: Vec<(usize, Expr)> = Vec::with_capacity(assignments.len());
        for assignment in assignments {
            let mismatch = || {
                let message = "number of columns does not match number of values";
                Err(at(assignment.value.place, PgError::new(sqlstate::SYNTAX_ERROR, message)))
            };
            let count = assignment.columns.len();
            let values: Vec<Assigned<'_>> = match (&assignment.value.kind, super::expr::row_items(&assignment.value)) {
                (tree::ExprKind::Subquery(query), _) if count > 1 => {
                    let columns = super::query::output_width(query);
                    if columns.is_some_and(|columns| columns != count) {
                        return mismatch();
                    }
                    let fields = self.row_subquery(query, count, assignment.value.place)?;
                    fields.into_iter().map(Assigned::Typed).collect()
                }
                (_, Some(items)) if count > 1 || assignment.is_row => {
                    if items.len() != count {
                        return mismatch();
                    }
                    items.into_iter().map(Assigned::Tree).collect()
                }
                _ if count == 1 => vec![Assigned::Tree(&assignment.value)],
                _ => {
                    let message = "source for a multiple-column UPDATE item must be a sub-SELECT or ROW() expression";
                    return Err(at(assignment.value.place, PgError::new(sqlstate::FEATURE_NOT_SUPPORTED, message)));
                }
            };
            for (name, value) in assignment.columns.iter().zip(values) {
                let position = self.column_position(table, name)?;
                if !assignment.path.is_empty() {
                    let value = self.assigned_part(table, position, assignment, &mut result)?;
                    let value = self.to_column(table, position, value)?;
                    result.push((position, value));
                    continue;
                }
                if result.iter().any(|(other, _)| *other == position) {
                    let message = format!("multiple assignments to same column \"{}\"", name.text);
                    return Err(PgError::new(sqlstate::SYNTAX_ERROR, message));
                }
                let column = &table.columns[position];
                let is_default = matches!(value, Assigned::Tree(tree::Expr { kind: tree::ExprKind::Default, .. }));
                if !is_default {
                    refuse_assignment(column)?;
                }
                let value = match value {
                    _ if is_default => match column.generated {
                        Some(_) => Expr::constant(Datum::Null, column.type_oid),
                        None => self.default_of(table, position)?,
                    },
                    Assigned::Tree(value) => {
                        let value = self.value_for(value, column.type_oid)?;
                        let value = assign(self, value, column.type_oid, column.modifier, &column.name)?;
                        self.to_column(table, position, value)?
                    }
                    Assigned::Typed(value) => {
                        let value = assign(self, value, column.type_oid, column.modifier, &column.name)?;
                        self.to_column(table, position, value)?
                    }
                };
                result.push((position, value));
            }
        }
        Ok(result)
    }

    /// `SET a[1] = x`, `SET a[2:3] = y`: the column's array with other values in it. What was assigned to it before is changed
    /// further.
    fn assigned_part(
        &mut self,
        table: &Arc<Table>,
        position: usize,
        assignment: &tree::Assignment,
        before: &mut Vec<(usize, Expr)>,
    ) -> PgResult<Expr> {
        let column = &table.columns[position];
        refuse_assignment(column)?;
        let place = assignment.columns[0].place;
        let fields = assignment.path.iter().map(|part| match part {
            tree::AssignedPart::Field(field) => Some(field),
            tree::AssignedPart::Subscript(_) => None,
        });
        if let (Some(fields), true) = (fields.collect::<Option<Vec<_>>>(), is_row(column.type_oid)) {
            let before_it = before.iter().position(|(other, _)| *other == position).map(|at| before.remove(at).1);
            let row = before_it.unwrap_or_else(|| self.column_of(table, position));
            return self.with_field(row, &column.name, &fields, &assignment.value, place);
        }
        let mut subscripts = Vec::with_capacity(assignment.path.len());
        for part in &assignment.path {
            match part {
                tree::AssignedPart::Subscript(subscript) => subscripts.push(subscript),
                tree::AssignedPart::Field(field) => {
                    let message = format!(
                        "cannot assign to field \"{}\" of column \"{}\" because its type {} is not a composite type",
                        field.text,
                        column.name,
                        display_name(column.type_oid, -1)
                    );
                    return Err(at(place, PgError::new(sqlstate::DATATYPE_MISMATCH, message)));
                }
            }
        }
        let array = match before.iter().position(|(other, _)| *other == position) {
            Some(at) => before.remove(at).1,
            None => self.column_of(table, position),
        };
        self.with_part(array, column, &subscripts, &assignment.value, place)
    }

    /// RETURNING, in the scope that is open or over the table alone.
    fn returning(&mut self, changed: &Changed, alias: &str, targets: &[tree::Target]) -> PgResult<Option<Vec<Target>>> {
        if targets.is_empty() {
            return Ok(None);
        }
        // Behind the columns stands the row's id.
        let xmax = Some(changed.table.columns.len() + 1);
        let mut scope = Scope { no_aggregates: Some("RETURNING"), xmax, ..Scope::default() };
        changed.enter(&mut scope, alias);
        self.scopes.push(scope);
        let result = self.returning_here(targets);
        self.scopes.pop();
        result.map(Some)
    }

    fn returning_here(&mut self, targets: &[tree::Target]) -> PgResult<Vec<Target>> {
        let mut targets = self.targets(targets)?;
        for target in &mut targets {
            target.expr = self.known(target.expr.clone())?;
        }
        Ok(targets)
    }

    pub(super) fn update(&mut self, update: &tree::Update) -> PgResult<Update> {
        self.under_with(&update.with, |analyzer| analyzer.update_table(update))
    }

    fn update_table(&mut self, update: &tree::Update) -> PgResult<Update> {
        let changed = self.changed(&update.table, Verb::Update)?;
        let table = Arc::clone(&changed.table);
        let alias = update.alias.as_ref().map_or(changed.seen.name.as_str(), |alias| &alias.text).to_string();
        self.scopes.push(Scope { no_aggregates: Some("UPDATE"), ..Scope::default() });
        changed.enter(self.scope(), &alias);
        let result = self.update_here(&changed, update);
        self.scopes.pop();
        let (query, assignments, returning) = result?;
        let rules = self.changed_rules(&changed)?;
        let current_of = current_of(&changed, &update.current_of)?;
        Ok(Update { rules, table, query, assignments, current_of, returning, view: changed.view() })
    }

    #[allow(clippy::type_complexity)]
    fn update_here(
        &mut self,
        changed: &Changed,
        update: &tree::Update,
    ) -> PgResult<(Query, Vec<(usize, Expr)>, Option<Vec<Target>>)> {
        let mut from = vec![From::Relation(0)];
        from.extend(self.from_list(&update.from)?);
        for name in update.assignments.iter().flat_map(|assignment| &assignment.columns) {
            changed.check_column(name, Verb::Update)?;
        }
        let assignments = self.assignments(&changed.seen, &update.assignments)?;
        let filter = update
            .filter
            .as_ref()
            .map(|filter| self.without_aggregates("WHERE", |analyzer| analyzer.condition(filter, "WHERE")));
        let filter = changed.with_condition(filter.transpose()?);
        let returning = if update.returning.is_empty() { None } else { Some(self.returning_here(&update.returning)?) };
        let mut query = empty_query(vec![]);
        query.relations = std::mem::take(&mut self.scope().relations);
        query.body = Body::Select { from, filter, grouping: None };
        Ok((query, assignments, returning))
    }

    pub(super) fn delete(&mut self, delete: &tree::Delete) -> PgResult<Delete> {
        self.under_with(&delete.with, |analyzer| analyzer.delete_from(delete))
    }

    fn delete_from(&mut self, delete: &tree::Delete) -> PgResult<Delete> {
        let changed = self.changed(&delete.table, Verb::Delete)?;
        let table = Arc::clone(&changed.table);
        let alias = delete.alias.as_ref().map_or(changed.seen.name.as_str(), |alias| &alias.text).to_string();
        self.scopes.push(Scope { no_aggregates: Some("DELETE"), ..Scope::default() });
        changed.enter(self.scope(), &alias);
        let result = self.delete_here(&changed, delete);
        self.scopes.pop();
        let (query, returning) = result?;
        let current_of = current_of(&changed, &delete.current_of)?;
        Ok(Delete { rules: self.rules(&table)?, table, query, current_of, returning, view: changed.view() })
    }

    fn delete_here(&mut self, changed: &Changed, delete: &tree::Delete) -> PgResult<(Query, Option<Vec<Target>>)> {
        let mut from = vec![From::Relation(0)];
        from.extend(self.from_list(&delete.using)?);
        let filter = delete
            .filter
            .as_ref()
            .map(|filter| self.without_aggregates("WHERE", |analyzer| analyzer.condition(filter, "WHERE")));
        let filter = changed.with_condition(filter.transpose()?);
        let returning = if delete.returning.is_empty() { None } else { Some(self.returning_here(&delete.returning)?) };
        let mut query = empty_query(vec![]);
        query.relations = std::mem::take(&mut self.scope().relations);
        query.body = Body::Select { from, filter, grouping: None };
        Ok((query, returning))
    }
}

/// The cursor of WHERE CURRENT OF.
fn current_of(changed: &Changed, cursor: &Option<tree::Name>) -> PgResult<Option<String>> {
    if cursor.is_some() && changed.view.is_some() {
        let message = "WHERE CURRENT OF on a view is not implemented";
        return Err(PgError::new(sqlstate::FEATURE_NOT_SUPPORTED, message));
    }
    Ok(cursor.as_ref().map(|cursor| cursor.text.clone()))
}

/// 428C9 for an UPDATE of what only a sequence or an expression may set.
fn refuse_assignment(column: &crate::catalog::Column) -> PgResult<()> {
    let detail = if column.generated.is_some() {
        format!("Column \"{}\" is a generated column.", column.name)
    } else if column.identity.is_some_and(|identity| identity.always) {
        format!("Column \"{}\" is an identity column defined as GENERATED ALWAYS.", column.name)
    } else {
        return Ok(());
    };
    let message = format!("column \"{}\" can only be updated to DEFAULT", column.name);
    Err(PgError::new(GENERATED_ALWAYS, message).detail(detail))
}

/// The value of a column in SET.
enum Assigned<'t> {
    Tree(&'t tree::Expr),
    Typed(Expr),
}

/// As many expressions as columns; without a column list fewer will do.
fn check_counts(places: &[tree::Place], columns: usize, names: &[tree::Name]) -> PgResult<()> {
    if places.len() > columns {
        let place = places[columns];
        let message = "INSERT has more expressions than target columns";
        return Err(at(place, PgError::new(sqlstate::SYNTAX_ERROR, message)));
    }
    if let Some(missing) = names.get(places.len()) {
        let message = "INSERT has more target columns than expressions";
        return Err(at(missing.place, PgError::new(sqlstate::SYNTAX_ERROR, message)));
    }
    Ok(())
}
