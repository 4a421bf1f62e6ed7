//! Rows as values: a table's whole row, the fields of one, and what becomes one.
//!
//! A relation's row has the type that goes with the relation (`trivet_types::user`); any other row is a record, whose fields are
//! found by following it to where it was put together. On the side of an outer join that may be missing, a whole row is NULL
//! where all its columns are: which of the two it was, the row itself cannot tell.
use super::expr::make;
use super::scope::{MERGED, ScopeTable, find_column, missing_entry, raised};
use super::{Analyzer, at};
use crate::catalog::Found;
use crate::parser::tree::{self, Place, QualifiedName};
use crate::typed::{Body, CommonBody, Expr, ExprKind, Query, Relation, RelationSource, SubqueryKind};
use trivet_types::registry::CastContext;
use trivet_types::user::{is_row, row_of_claim};
use trivet_types::{Datum, Oid, PgError, PgResult, display_name, oid, sqlstate};

/// A field that a row is known to have.
#[derive(Clone, Debug)]
pub(super) struct FieldOf {
    pub name: String,
    pub type_oid: Oid,
    pub modifier: i32,
}

impl FieldOf {
    fn of(name: &str, expr: &Expr) -> FieldOf {
        FieldOf { name: name.to_owned(), type_oid: expr.type_oid, modifier: expr.modifier }
    }
}

/// How far records are followed.
const STEPS_MAX: usize = 40;

impl Analyzer<'_> {
    /// A name that is no column's but that of a table in FROM: its row.
    pub(super) fn row_of_table(&self, name: &QualifiedName) -> Option<Expr> {
        for (levels, scope) in self.scopes.iter().rev().enumerate() {
            let qualifies = |table: &&ScopeTable| {
                table.alias == name.last() && name.schema().is_none_or(|schema| table.schema.as_deref() == Some(schema))
            };
            if let Some(table) = scope.tables.iter().find(qualifies).filter(|table| table.lateral) {
                return Some(Expr {
                    place: name.place(),
                    ..raised(&whole_row(table, &scope.relations, &scope.nullable), levels)
                });
            }
        }
        None
    }

    /// `t.*` where one value is wanted.
    pub(super) fn star_as_value(&self, name: &QualifiedName) -> PgResult<Expr> {
        self.row_of_table(name).ok_or_else(|| at(name.place(), missing_entry(&self.scopes, name.last())))
    }

    /// Expressions in which `t.*` and `(row).*` stand for all their fields: those of ROW.
    pub(super) fn spread_rows(&mut self, exprs: &[tree::Expr]) -> PgResult<Vec<Expr>> {
        let mut result = Vec::with_capacity(exprs.len());
        for expr in exprs {
            match &expr.kind {
                tree::ExprKind::Star(name) => {
                    let row = self.star_as_value(name)?;
                    result.extend(self.all_fields(row, expr.place)?.into_iter().map(|(_, field)| field));
                }
                tree::ExprKind::AllFields(operand) => {
                    let row = self.row_operand(operand)?;
                    result.extend(self.all_fields(row, expr.place)?.into_iter().map(|(_, field)| field));
                }
                _ => result.push(self.expr(expr)?),
            }
        }
        Ok(result)
    }

    /// What a field is selected from. A bare name is a column first, a table second.
    pub(super) fn row_operand(&mut self, operand: &tree::Expr) -> PgResult<Expr> {
        match &operand.kind {
            tree::ExprKind::Star(name) => self.star_as_value(name),
            _ => self.expr(operand),
        }
    }

    /// `(row).*`: the fields by name.
    pub(super) fn all_fields(&mut self, row: Expr, place: Place) -> PgResult<Vec<(String, Expr)>> {
        let fields = self.fields_of(&row).ok_or_else(|| not_composite(&row, "*", place))?;
        Ok(fields
            .iter()
            .enumerate()
            .map(|(number, field)| (field.name.clone(), field_of(&row, number, field)))
            .collect())
    }

    pub(super) fn field(&mut self, operand: &tree::Expr, name: &str, place: Place) -> PgResult<Expr> {
        if let tree::ExprKind::Column(table) = &operand.kind
            && find_column(&self.scopes, table).is_err()
            && self.row_of_table(table).is_some()
        {
            // `(t).column` names a column as `t.column` does.
            let mut qualified = table.clone();
            qualified.parts.push(tree::Name { text: name.to_owned(), place });
            return find_column(&self.scopes, &qualified);
        }
        let row = self.row_operand(operand)?;
        let place = if row.place.known().is_some() { row.place } else { place };
        let Some(fields) = self.fields_of(&row) else { return Err(not_composite(&row, name, place)) };
        match fields.iter().position(|field| field.name == name) {
            Some(number) => Ok(field_of(&row, number, &fields[number])),
            None => {
                let message = if row.type_oid == oid::RECORD {
                    format!("could not identify column \"{name}\" in record data type")
                } else {
                    format!("column \"{name}\" not found in data type {}", display_name(row.type_oid, -1))
                };
                Err(at(place, PgError::new(sqlstate::UNDEFINED_COLUMN, message)))
            }
        }
    }

    /// A field of a row that may be called as a function: `name(t)`.
    pub(super) fn field_as_call(&self, name: &str, arguments: &[Expr]) -> Option<Expr> {
        let [row] = arguments else { return None };
        let fields = self.fields_of(row)?;
        let number = fields.iter().position(|field| field.name == name)?;
        Some(field_of(row, number, &fields[number]))
    }

    pub(super) fn fields_of(&self, row: &Expr) -> Option<Vec<FieldOf>> {
        let stack: Vec<&[Relation]> = self.scopes.iter().map(|scope| scope.relations.as_slice()).collect();
        self.fields_in(row, &stack, STEPS_MAX)
    }

    /// `queries`: the relations of the queries around the row, innermost last.
    fn fields_in(&self, row: &Expr, queries: &[&[Relation]], steps: usize) -> Option<Vec<FieldOf>> {
        let steps = steps.checked_sub(1)?;
        if is_row(row.type_oid) {
            let known = self.environment.row_type(row.type_oid)?;
            let fields = known.shape.names.iter().zip(&known.shape.types).zip(&known.modifiers);
            return Some(
                fields
                    .map(|((name, type_oid), modifier)| FieldOf {
                        name: name.clone(),
                        type_oid: *type_oid,
                        modifier: *modifier,
                    })
                    .collect(),
            );
        }
        if row.type_oid != oid::RECORD {
            return None;
        }
        match &row.kind {
            ExprKind::Row(items) => {
                Some(items.iter().enumerate().map(|(at, item)| FieldOf::of(&format!("f{}", at + 1), item)).collect())
            }
            ExprKind::NamedRow { names, items, .. } => {
                Some(names.iter().zip(items).map(|(name, item)| FieldOf::of(name, item)).collect())
            }
            ExprKind::Column { up, relation, column } => {
                let level = queries.len().checked_sub(up + 1)?;
                let around = &queries[..=level];
                match &queries[level].get(*relation)?.source {
                    RelationSource::Query(query) => self.fields_of_column(query, *column, around, steps),
                    RelationSource::Common { id, .. } => {
                        match &self.commons.get(id.checked_sub(self.common_base)?)?.body {
                            CommonBody::Query(query) => self.fields_of_column(query, *column, &[], steps),
                            CommonBody::Recursive { base, .. } => self.fields_of_column(base, *column, &[], steps),
                            CommonBody::Statement(_) | CommonBody::Open => None,
                        }
                    }
                    RelationSource::Scalar { value, .. } => self.fields_in(value, around, steps),
                    _ => None,
                }
            }
            ExprKind::Subquery(subquery) if matches!(subquery.kind, SubqueryKind::Scalar) => {
                self.fields_of_column(&subquery.query, 0, queries, steps)
            }
            ExprKind::Case { branches, otherwise } => {
                let first = branches.iter().map(|(_, then)| then).chain(otherwise.as_deref()).next()?;
                self.fields_in(first, queries, steps)
            }
            ExprKind::Coalesce(items) => self.fields_in(items.first()?, queries, steps),
            ExprKind::Extreme { arguments, .. } => self.fields_in(arguments.first()?, queries, steps),
            ExprKind::Relabel(operand) => self.fields_in(operand, queries, steps),
            ExprKind::Call { procedure, .. } => {
                let alias = tree::Alias::default();
                let columns = super::from::function_columns(row, procedure.name, &alias, self.environment).ok()?;
                let only_itself = matches!(columns.as_slice(), [only] if only.type_oid == oid::RECORD);
                let field = |column: crate::typed::RelationColumn| FieldOf {
                    name: column.name,
                    type_oid: column.type_oid,
                    modifier: column.modifier,
                };
                (!only_itself).then(|| columns.into_iter().map(field).collect())
            }
            _ => None,
        }
    }

    fn fields_of_column(
        &self,
        query: &Query,
        column: usize,
        around: &[&[Relation]],
        steps: usize,
    ) -> Option<Vec<FieldOf>> {
        if let Body::Set { left, .. } = &query.body {
            return self.fields_of_column(left, column, around, steps.checked_sub(1)?);
        }
        let target = query.visible_targets().nth(column)?;
        let mut queries = around.to_vec();
        queries.push(&query.relations);
        self.fields_in(&target.expr, &queries, steps)
    }

    /// `jsonb_populate_record (base, json)` and its kin: a row of the base's type, with what the JSON says of its fields.
    pub(super) fn populated(&mut self, call: &tree::FunctionCall, place: Place) -> PgResult<Option<Expr>> {
        const NAMES: &[&str] =
            &["json_populate_record", "jsonb_populate_record", "json_populate_recordset", "jsonb_populate_recordset"];
        let name = call.name.last();
        if !NAMES.contains(&name) || call.arguments.len() < 2 {
            return Ok(None);
        }
        let mut arguments = self.argument_exprs(call)?;
        let base = arguments.remove(0);
        if !is_row(base.type_oid) {
            if matches!(base.type_oid, oid::RECORD | oid::UNKNOWN) {
                return Ok(None);
            }
            let message = format!("first argument of {name} must be a row type");
            return Err(PgError::new(sqlstate::DATATYPE_MISMATCH, message));
        }
        let Some(fields) = self.fields_of(&base) else { return Ok(None) };
        let wanted = if name.starts_with("jsonb") { oid::JSONB } else { oid::JSON };
        let json = self.implicit(arguments.remove(0), wanted, name)?;
        let many = name.ends_with("recordset");
        let type_oid = base.type_oid;
        let array_oid = trivet_types::array_of(type_oid).ok_or_else(|| PgError::internal("a row without arrays"))?;
        let mut arguments = vec![json];
        arguments.extend(super::from::shape_arguments(
            fields.iter().map(|field| (field.name.as_str(), field.type_oid, field.modifier)),
        ));
        // In an array, so that a base that is NULL is none.
        let base = make(ExprKind::Array(vec![base]), array_oid, place);
        let in_from = self.scopes.last().is_some_and(|scope| scope.no_aggregates == Some("functions in FROM"));
        let own = if many || in_from {
            arguments.push(Expr::constant(many.into(), oid::BOOL));
            "trivet_json_record"
        } else {
            "trivet_json_populate"
        };
        arguments.push(base);
        let procedure = trivet_types::registry::registry().own(own);
        let procedure = procedure.ok_or_else(|| PgError::internal(format!("the registry lacks {own}()")))?;
        Ok(Some(make(ExprKind::Call { procedure, arguments }, type_oid, place)))
    }

    /// A row with another value in one of its fields: `SET c.field = value`, `SET c.field.of_it = value`.
    pub(super) fn with_field(
        &mut self,
        row: Expr,
        column: &str,
        path: &[&tree::Name],
        value: &tree::Expr,
        place: Place,
    ) -> PgResult<Expr> {
        let [name, deeper @ ..] = path else { return self.expr(value) };
        let type_oid = row.type_oid;
        let Some(fields) = self.fields_of(&row) else { return Err(not_composite(&row, &name.text, place)) };
        let Some(number) = fields.iter().position(|field| field.name == name.text) else {
            let message = format!(
                "cannot assign to field \"{}\" of column \"{column}\" because there is no such column in data type {}",
                name.text,
                display_name(type_oid, -1)
            );
            return Err(at(place, PgError::new(sqlstate::UNDEFINED_COLUMN, message)));
        };
        let value = match deeper {
            [] => self.expr(value)?,
            deeper => self.with_field(field_of(&row, number, &fields[number]), column, deeper, value, place)?,
        };
        let (source, wanted) = (value.type_oid, &fields[number]);
        let value =
            self.coerce(value, wanted.type_oid, wanted.modifier, CastContext::Assignment)?.ok_or_else(|| {
                let message = format!(
                    "subfield \"{}\" is of type {} but expression is of type {}",
                    name.text,
                    display_name(wanted.type_oid, -1),
                    display_name(source, -1)
                );
                let error = PgError::new(sqlstate::DATATYPE_MISMATCH, message);
                at(place, error.hint("You will need to rewrite or cast the expression."))
            })?;
        let mut items: Vec<Expr> = fields.iter().enumerate().map(|(at, field)| field_of(&row, at, field)).collect();
        items[number] = value;
        let names = fields.into_iter().map(|field| field.name).collect();
        Ok(make(ExprKind::NamedRow { names, items, nullable: false }, type_oid, place))
    }

    /// A row becomes a relation's row, field by field. `None`: no conversion is there.
    pub(super) fn to_row(&mut self, row: &Expr, target: Oid, context: CastContext) -> PgResult<Option<Expr>> {
        let items = match &row.kind {
            ExprKind::Row(items) | ExprKind::NamedRow { items, .. } if row.type_oid == oid::RECORD => items.clone(),
            _ => return Ok(None),
        };
        if context < CastContext::Assignment && matches!(row.kind, ExprKind::NamedRow { .. }) {
            return Ok(None);
        }
        let Some(known) = self.environment.row_type(target).cloned() else { return Ok(None) };
        let wrong = |detail: String| at(row.place, super::coerce::cannot_cast(row.type_oid, target)).detail(detail);
        if items.len() != known.shape.types.len() {
            let what = if items.len() < known.shape.types.len() { "few" } else { "many" };
            return Err(wrong(format!("Input has too {what} columns.")));
        }
        let mut converted = Vec::with_capacity(items.len());
        for (number, item) in items.into_iter().enumerate() {
            let (wanted, modifier) = (known.shape.types[number], known.modifiers[number]);
            let source = item.type_oid;
            let item = as_written(item);
            let item = self.coerce(item, wanted, modifier, context)?.ok_or_else(|| {
                wrong(format!(
                    "Cannot cast type {} to {} in column {}.",
                    display_name(source, -1),
                    display_name(wanted, -1),
                    number + 1
                ))
            })?;
            converted.push(item);
        }
        let names = known.shape.names.iter().cloned().collect();
        let kind = ExprKind::NamedRow { names, items: converted, nullable: false };
        Ok(Some(make(kind, target, row.place)))
    }
}

/// A constant that became text when its row was put together is what the row's type wants.
fn as_written(item: Expr) -> Expr {
    match &item.kind {
        ExprKind::Constant(Datum::Text(_)) if item.type_oid == oid::TEXT => Expr { type_oid: oid::UNKNOWN, ..item },
        _ => item,
    }
}

/// The row of a table in FROM.
fn whole_row(table: &ScopeTable, relations: &[Relation], nullable: &[usize]) -> Expr {
    let first = table.columns.first().map(|column| &column.expr);
    let relation = match first.map(|expr| &expr.kind) {
        Some(ExprKind::Column { up: 0, relation, .. }) => Some(*relation),
        _ => None,
    };
    let only = relation.filter(|_| table.schema.as_deref() != Some(MERGED)).filter(|relation| {
        let of_it = |expr: &Expr| matches!(expr.kind, ExprKind::Column { up: 0, relation: of, .. } if of == *relation);
        table.columns.iter().all(|column| of_it(&column.expr))
    });
    let source = only.and_then(|relation| relations.get(relation));
    // The row of a function that gives one value is that value.
    if let (Some(Relation { source: RelationSource::Function { procedure, ordinality: false, .. }, .. }), [column]) =
        (source, table.columns.as_slice())
        && procedure.result != oid::RECORD
    {
        return column.expr.clone();
    }
    if let (Some(Relation { source: RelationSource::Scalar { ordinality: false, .. }, .. }), [column]) =
        (source, table.columns.as_slice())
    {
        return column.expr.clone();
    }
    let type_oid = source.and_then(|relation| relation.row_type).map_or(oid::RECORD, row_of_claim);
    let names = table.columns.iter().map(|column| column.name.clone()).collect();
    let items = table.columns.iter().map(|column| column.expr.clone()).collect();
    let nullable = only.is_none_or(|relation| nullable.contains(&relation));
    make(ExprKind::NamedRow { names, items, nullable }, type_oid, Place::default())
}

/// A field of a row: of one that is put together here, what was put there.
fn field_of(row: &Expr, number: usize, field: &FieldOf) -> Expr {
    match &row.kind {
        ExprKind::Row(items) | ExprKind::NamedRow { items, .. } if number < items.len() => {
            Expr { place: row.place, ..items[number].clone() }
        }
        _ => Expr {
            kind: ExprKind::Field { operand: Box::new(row.clone()), field: number },
            type_oid: field.type_oid,
            modifier: field.modifier,
            place: row.place,
        },
    }
}

fn not_composite(row: &Expr, name: &str, place: Place) -> Box<PgError> {
    let shown = display_name(row.type_oid, -1);
    let error = if row.type_oid == oid::RECORD {
        let message = if name == "*" {
            "record type has not been registered".to_owned()
        } else {
            format!("could not identify column \"{name}\" in record data type")
        };
        PgError::new(if name == "*" { sqlstate::WRONG_OBJECT_TYPE } else { sqlstate::UNDEFINED_COLUMN }, message)
    } else if name == "*" {
        PgError::new(sqlstate::WRONG_OBJECT_TYPE, format!("type {shown} is not composite"))
    } else {
        let message = format!("column notation .{name} applied to type {shown}, which is not a composite type");
        PgError::new(sqlstate::WRONG_OBJECT_TYPE, message)
    };
    at(place, error)
}

/// The rows of all the relations that a statement names, also through views.
pub fn row_types(relations: &super::Relations) -> Vec<trivet_types::user::RowType> {
    let mut rows: Vec<trivet_types::user::RowType> = Vec::with_capacity(relations.len());
    let mut found: Vec<&Found> = relations.values().collect();
    while let Some(next) = found.pop() {
        let table = match next {
            Found::Table(table) | Found::Sequence(table) => table,
            Found::View(view) => {
                found.extend(view.relations.values());
                &view.table
            }
            Found::Index(..) | Found::Virtual(_) => continue,
        };
        let oid = row_of_claim(table.row_type);
        if table.row_type.is_valid() && rows.iter().all(|row| row.oid != oid) {
            rows.push(table.row());
        }
    }
    rows
}
