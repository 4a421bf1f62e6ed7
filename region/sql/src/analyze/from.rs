//! FROM: relations, joins, and which columns they show.
use super::query::{query_columns, rename};
use super::scope::{MERGED, ScopeColumn, ScopeTable, relation_columns, table_columns};
use super::{Analyzer, at, resolve_type_name};
use crate::catalog::Found;
use crate::parser::tree::{self, JoinCondition, JoinKind, Place, TableExpr};
use crate::typed::{Expr, ExprKind, From, Relation, RelationColumn, RelationSource};
use trivet_types::registry::{Body, registry};
use trivet_types::{Array, Datum, Environment, Oid, PgError, PgResult, oid, sqlstate};

/// A part of FROM with what it shows: qualified tables, and the columns that bare names and `*` find.
struct Part {
    from: From,
    tables: Vec<ScopeTable>,
    columns: Vec<ScopeColumn>,
}

impl Analyzer<'_> {
    /// The whole FROM clause; the scope then shows it.
    pub(super) fn from_list(&mut self, list: &[TableExpr]) -> PgResult<Vec<From>> {
        let mut result = Vec::with_capacity(list.len());
        for table in list {
            let part = self.part(table)?;
            self.show(&part)?;
            result.push(part.from);
        }
        Ok(result)
    }

    fn show(&mut self, part: &Part) -> PgResult<()> {
        for table in &part.tables {
            let twice =
                self.scope().tables.iter().any(|other| other.alias == table.alias && other.schema == table.schema);
            if twice {
                let message = format!("table name \"{}\" specified more than once", table.alias);
                return Err(PgError::new(sqlstate::DUPLICATE_ALIAS, message));
            }
        }
        let scope = self.scope();
        scope.tables.extend(part.tables.iter().cloned());
        scope.columns.extend(part.columns.iter().cloned());
        Ok(())
    }

    fn part(&mut self, table: &TableExpr) -> PgResult<Part> {
        self.deeper(|analyzer| match table {
            TableExpr::Table { name, alias, .. } => analyzer.table(name, alias),
            TableExpr::Query { query, alias, lateral } => {
                let analyzed = analyzer.beside(*lateral, |analyzer| analyzer.subquery(query))?;
                let analyzed = analyzer.settled(analyzed)?;
                let mut columns = query_columns(&analyzed);
                let Some(name) = &alias.name else {
                    let place = first_place(query);
                    return Err(at(place, PgError::new(sqlstate::SYNTAX_ERROR, "subquery in FROM must have an alias"))
                        .hint("For example, FROM (SELECT ...) [AS] foo."));
                };
                rename(&mut columns, &alias.columns, &name.text)?;
                let source = RelationSource::Query(Box::new(analyzed));
                analyzer.relation(
                    Relation {
                        alias: name.text.clone(),
                        columns,
                        source,
                        lateral: *lateral,
                        view: None,
                        row_type: None,
                    },
                    None,
                )
            }
            TableExpr::Function { call, place, alias, ordinality, .. } => {
                analyzer.function_table(call, *place, alias, *ordinality)
            }
            TableExpr::RowsFrom { calls, alias, ordinality, .. } => analyzer.rows_from(calls, alias, *ordinality),
            TableExpr::Join { kind, left, right, condition, alias } => {
                let mut part = analyzer.join(*kind, left, right, condition)?;
                if let Some(name) = &alias.name {
                    for (column, name) in part.columns.iter_mut().zip(&alias.columns) {
                        column.name = name.text.clone();
                    }
                    let columns = part.columns.clone();
                    part.tables = vec![ScopeTable {
                        alias: name.text.clone(),
                        schema: None,
                        original: None,
                        columns,
                        lateral: true,
                    }];
                }
                Ok(part)
            }
        })
    }

    /// A subquery in FROM sees its earlier siblings only if it is LATERAL.
    fn beside<T>(&mut self, lateral: bool, work: impl FnOnce(&mut Self) -> PgResult<T>) -> PgResult<T> {
        if lateral {
            return work(self);
        }
        let scope = self.scope();
        let columns = std::mem::take(&mut scope.columns);
        scope.tables.iter_mut().for_each(|table| table.lateral = false);
        let result = work(self);
        let scope = self.scope();
        scope.columns = columns;
        scope.tables.iter_mut().for_each(|table| table.lateral = true);
        result
    }

    fn relation(&mut self, relation: Relation, schema: Option<String>) -> PgResult<Part> {
        let scope = self.scope();
        let position = scope.relations.len();
        let columns = relation_columns(&relation, position);
        let original = match &relation.source {
            RelationSource::Table(table) => Some(table.name.clone()),
            RelationSource::Virtual(table) => Some(table.name.to_string()),
            _ => None,
        };
        let alias = relation.alias.clone();
        let table = ScopeTable { alias, schema, original, columns: columns.clone(), lateral: true };
        scope.relations.push(relation);
        Ok(Part { from: From::Relation(position), tables: vec![table], columns })
    }

    fn table(&mut self, name: &tree::QualifiedName, alias: &tree::Alias) -> PgResult<Part> {
        let shown = alias.name.as_ref().map_or(name.last(), |alias| &alias.text).to_string();
        if name.parts.len() == 1 {
            if let Some(common) = self.common.iter().rev().find(|common| common.name == name.last()) {
                if !common.returns {
                    return Err(super::with::without_returning(name.last(), name.place()));
                }
                let mut columns = common.columns.clone();
                let source = RelationSource::Common { id: common.id, working: common.working };
                self.commons[common.id - self.common_base].references += 1;
                rename(&mut columns, &alias.columns, &shown)?;
                return self.relation(
                    Relation { alias: shown, columns, source, lateral: false, view: None, row_type: None },
                    None,
                );
            }
        }
        let (mut view, mut row_type) = (None, None);
        let (mut columns, source, schema) = match self.found(name).map_err(|error| self.with_item(name, error))? {
            Found::View(found) => {
                view = Some(found.table.oid);
                row_type = Some(found.table.row_type);
                let (columns, source) = self.view(found)?;
                (columns, source, found.table.schema_name.clone())
            }
            Found::Sequence(table) => {
                let (columns, source) = super::view::sequence_relation(table)?;
                (columns, source, table.schema_name.clone())
            }
            Found::Table(table) => {
                row_type = Some(table.row_type);
                check_populated(table)?;
                (table_columns(table), RelationSource::Table(table.clone()), table.schema_name.clone())
            }
            Found::Virtual(table) => {
                let columns = table.columns.iter().map(|column| RelationColumn {
                    name: column.name.to_string(),
                    type_oid: column.type_oid,
                    modifier: column.modifier(),
                    hidden: false,
                });
                let schema =
                    if table.schema == crate::catalog::PG_CATALOG { "pg_catalog" } else { "information_schema" };
                (columns.collect(), RelationSource::Virtual(table), schema.to_string())
            }
            Found::Index(..) => {
                let message = format!("cannot open relation \"{}\"", name.last());
                return Err(at(name.place(), PgError::new(sqlstate::WRONG_OBJECT_TYPE, message))
                    .detail("This operation is not supported for indexes."));
            }
        };
        rename(&mut columns, &alias.columns, &shown)?;
        let schema = alias.name.is_none().then_some(schema);
        let row_type = row_type.filter(|claimed| claimed.is_valid());
        self.relation(Relation { alias: shown, columns, source, lateral: false, view, row_type }, schema)
    }

    fn function_table(
        &mut self,
        call: &tree::FunctionCall,
        place: Place,
        alias: &tree::Alias,
        ordinality: bool,
    ) -> PgResult<Part> {
        let before = self.scope().no_aggregates.replace("functions in FROM");
        let value = if call.name.last() == "unnest" && call.arguments.len() > 1 {
            self.unnest_together(call, place)
        } else {
            self.call(call, call.name.parts.last().map(|part| part.place).unwrap_or(place))
        };
        self.scope().no_aggregates = before;
        let value = value?;
        let name = call.name.last().to_string();
        let shown = alias.name.as_ref().map_or_else(|| name.clone(), |alias| alias.text.clone());
        let mut columns = function_columns(&value, &name, alias, self.environment)?;
        let is_subquery = &mut |part: &Expr| matches!(part.kind, ExprKind::Subquery(_));
        if value.any(is_subquery) {
            match &value.kind {
                _ if columns.len() == 1 && !ordinality => return self.call_as_query(call, place, alias, &shown),
                ExprKind::Call { arguments, .. } if arguments.len() == call.arguments.len() => {
                    let subqueries: Vec<bool> = arguments.iter().map(|argument| argument.any(is_subquery)).collect();
                    return self.call_beside_arguments(call, &subqueries, place, alias, ordinality, &shown);
                }
                _ => {}
            }
        }
        let value = json_record(value, &columns, alias, place)?;
        if ordinality {
            let column =
                RelationColumn { name: "ordinality".to_string(), type_oid: oid::INT8, modifier: -1, hidden: false };
            columns.push(column);
        }
        // A function of one column is named by the alias, unless columns are named.
        if alias.columns.is_empty() && alias.name.is_some() && columns.len() - usize::from(ordinality) == 1 {
            columns[0].name = shown.clone();
        }
        rename(&mut columns, &alias.columns, &shown)?;
        let source = match value.kind {
            ExprKind::Call { procedure, arguments } if procedure.returns_set() => {
                RelationSource::Function { procedure, arguments, ordinality }
            }
            kind => RelationSource::Scalar { value: Expr { kind, ..value }, ordinality },
        };
        self.relation(Relation { alias: shown, columns, source, lateral: true, view: None, row_type: None }, None)
    }

    /// A call of one column, with a subquery in its arguments: the only target of a query beside the others.
    fn call_as_query(
        &mut self,
        call: &tree::FunctionCall,
        place: Place,
        alias: &tree::Alias,
        shown: &str,
    ) -> PgResult<Part> {
        let name = tree::Name { text: shown.to_owned(), place };
        let expr = tree::Expr { kind: tree::ExprKind::Function(call.clone()), place };
        let query = tree::Query::of_targets(vec![tree::Target::Expr { expr, alias: Some(name.clone()) }], vec![]);
        let alias = tree::Alias { name: Some(name), ..alias.clone() };
        self.part(&TableExpr::Query { query: Box::new(query), alias, lateral: true })
    }

    /// A call of several columns: arguments with subqueries become columns of a row beside which the call stands.
    fn call_beside_arguments(
        &mut self,
        call: &tree::FunctionCall,
        subqueries: &[bool],
        place: Place,
        alias: &tree::Alias,
        ordinality: bool,
        shown: &str,
    ) -> PgResult<Part> {
        // Names that nobody can be meaning.
        const ROW: &str = "?arguments?";
        let named = |text: &str| tree::Name { text: text.to_owned(), place };
        let (mut call, mut targets) = (call.clone(), Vec::new());
        for (argument, _) in call.arguments.iter_mut().zip(subqueries).filter(|(_, is_one)| **is_one) {
            let name = named(&format!("?argument {}?", targets.len() + 1));
            let column = tree::QualifiedName { parts: vec![named(ROW), name.clone()] };
            let column = tree::Expr { kind: tree::ExprKind::Column(column), place: argument.value.place };
            let expr = std::mem::replace(&mut argument.value, column);
            targets.push(tree::Target::Expr { expr, alias: Some(name) });
        }
        let row = TableExpr::Query {
            query: Box::new(tree::Query::of_targets(targets, vec![])),
            alias: tree::Alias { name: Some(named(ROW)), ..tree::Alias::default() },
            lateral: false,
        };
        let inner = tree::Alias { name: Some(named(shown)), ..alias.clone() };
        let all = tree::Target::Star { of: Some(tree::QualifiedName { parts: vec![named(shown)] }), place };
        let function = TableExpr::Function { call, place, alias: inner, lateral: true, ordinality };
        let query = tree::Query::of_targets(vec![all], vec![row, function]);
        let alias = tree::Alias { name: Some(named(shown)), ..tree::Alias::default() };
        self.part(&TableExpr::Query { query: Box::new(query), alias, lateral: true })
    }

    /// `unnest(a, b, ...)`: side by side, the shorter ones filled with NULLs.
    fn unnest_together(&mut self, call: &tree::FunctionCall, place: Place) -> PgResult<Expr> {
        let mut arguments = Vec::with_capacity(call.arguments.len());
        for argument in &call.arguments {
            let array = self.expr(&argument.value)?;
            if !trivet_types::is_array(array.type_oid) {
                let shown = trivet_types::display_name(array.type_oid, -1);
                let message = format!("function unnest({shown}) does not exist");
                return Err(at(place, PgError::new(sqlstate::UNDEFINED_FUNCTION, message)).hint(
                    "No function matches the given name and argument types. You might need to add explicit type casts.",
                ));
            }
            arguments.push(array);
        }
        let procedure = registry().own("trivet_unnest");
        let procedure = procedure.ok_or_else(|| PgError::internal("the registry lacks trivet_unnest()"))?;
        Ok(super::expr::make(ExprKind::Call { procedure, arguments }, oid::RECORD, place))
    }

    fn rows_from(
        &mut self,
        list: &[(tree::FunctionCall, tree::Alias)],
        alias: &tree::Alias,
        ordinality: bool,
    ) -> PgResult<Part> {
        let mut columns = Vec::new();
        let mut calls = Vec::with_capacity(list.len());
        for (call, alias) in list {
            let before = self.scope().no_aggregates.replace("functions in FROM");
            let value = self.call(call, call.name.place());
            self.scope().no_aggregates = before;
            let value = value?;
            let own = function_columns(&value, call.name.last(), alias, self.environment)?;
            calls.push((value, own.len()));
            columns.extend(own);
        }
        if ordinality {
            let name = "ordinality".to_string();
            columns.push(RelationColumn { name, type_oid: oid::INT8, modifier: -1, hidden: false });
        }
        let first = list.first().map_or("", |(call, _)| call.name.last());
        let shown = alias.name.as_ref().map_or_else(|| first.to_string(), |alias| alias.text.clone());
        rename(&mut columns, &alias.columns, &shown)?;
        let source = RelationSource::Functions { calls, ordinality };
        self.relation(Relation { alias: shown, columns, source, lateral: true, view: None, row_type: None }, None)
    }

    fn join(
        &mut self,
        kind: JoinKind,
        left: &TableExpr,
        right: &TableExpr,
        condition: &JoinCondition,
    ) -> PgResult<Part> {
        let left = self.part(left)?;
        // The right side may look at the left one, if it is LATERAL.
        let (tables_before, columns_before) = (self.scope().tables.len(), self.scope().columns.len());
        self.show(&left)?;
        let right = self.part(right);
        let scope = self.scope();
        scope.tables.truncate(tables_before);
        scope.columns.truncate(columns_before);
        let right = right?;
        for table in &right.tables {
            if left.tables.iter().any(|other| other.alias == table.alias && other.schema == table.schema) {
                let message = format!("table name \"{}\" specified more than once", table.alias);
                return Err(PgError::new(sqlstate::DUPLICATE_ALIAS, message));
            }
        }
        let mut tables = left.tables.clone();
        tables.extend(right.tables.iter().cloned());
        let using = match condition {
            JoinCondition::Using(names, _) => Some(names.iter().map(|name| (name.text.clone(), name.place)).collect()),
            JoinCondition::Natural => {
                let shared =
                    left.columns.iter().filter(|column| right.columns.iter().any(|other| other.name == column.name));
                Some(shared.map(|column| (column.name.clone(), Place::default())).collect::<Vec<_>>())
            }
            _ => None,
        };
        let (columns, condition) = match (using, condition) {
            (Some(names), condition) => {
                let joined = self.using(kind, &left, &right, &names)?;
                if let JoinCondition::Using(_, Some(alias)) = condition {
                    if tables.iter().any(|table| table.alias == alias.text) {
                        let message = format!("table name \"{}\" specified more than once", alias.text);
                        return Err(PgError::new(sqlstate::DUPLICATE_ALIAS, message));
                    }
                    tables.push(ScopeTable {
                        alias: alias.text.clone(),
                        schema: Some(MERGED.to_owned()),
                        original: None,
                        columns: joined.0[..names.len()].to_vec(),
                        lateral: true,
                    });
                }
                joined
            }
            (None, condition) => {
                let columns: Vec<ScopeColumn> = left.columns.iter().chain(&right.columns).cloned().collect();
                let condition = match condition {
                    JoinCondition::On(expr) => Some(self.join_condition(expr, &tables, &columns)?),
                    _ => None,
                };
                (columns, condition)
            }
        };
        let scope = self.scope();
        // An aggregate without GROUP BY always has its row.
        let always = matches!(&condition, Some(Expr { kind: ExprKind::Constant(Datum::Bool(true)), .. }))
            && matches!(&right.from, From::Relation(at) if has_one_row(&scope.relations[*at]));
        if matches!(kind, JoinKind::Left | JoinKind::Full) && !(always && kind == JoinKind::Left) {
            relations_of(&right.from, &mut scope.nullable);
        }
        if matches!(kind, JoinKind::Right | JoinKind::Full) {
            relations_of(&left.from, &mut scope.nullable);
        }
        let from = From::Join { kind, left: Box::new(left.from), right: Box::new(right.from), condition };
        Ok(Part { from, tables, columns })
    }

    /// ON sees the two sides, and what is around the query.
    fn join_condition(&mut self, expr: &tree::Expr, tables: &[ScopeTable], columns: &[ScopeColumn]) -> PgResult<Expr> {
        let scope = self.scope();
        let outer_tables = std::mem::replace(&mut scope.tables, tables.to_vec());
        let outer_columns = std::mem::replace(&mut scope.columns, columns.to_vec());
        let result = self.without_aggregates("JOIN conditions", |analyzer| analyzer.condition(expr, "JOIN/ON"));
        let scope = self.scope();
        scope.tables = outer_tables;
        scope.columns = outer_columns;
        result
    }

    /// USING: the named columns are equal and shown once, first.
    fn using(
        &mut self,
        kind: JoinKind,
        left: &Part,
        right: &Part,
        names: &[(String, Place)],
    ) -> PgResult<(Vec<ScopeColumn>, Option<Expr>)> {
        let mut merged = Vec::with_capacity(names.len());
        let mut terms = Vec::with_capacity(names.len());
        for (name, place) in names {
            let find = |part: &Part, side: &str| -> PgResult<Expr> {
                let mut matches = part.columns.iter().filter(|column| column.name == *name);
                match (matches.next(), matches.next()) {
                    (Some(only), None) => Ok(only.expr.clone()),
                    (None, _) => {
                        let message =
                            format!("column \"{name}\" specified in USING clause does not exist in {side} table");
                        Err(PgError::new(sqlstate::UNDEFINED_COLUMN, message))
                    }
                    _ => {
                        let message = format!("common column name \"{name}\" appears more than once in {side} table");
                        Err(at(*place, PgError::new(sqlstate::AMBIGUOUS_COLUMN, message)))
                    }
                }
            };
            let (a, b) = (find(left, "left")?, find(right, "right")?);
            terms.push(self.operator("=", Some(a.clone()), b.clone(), *place)?);
            let expr = match kind {
                JoinKind::Right => b,
                JoinKind::Full => {
                    let (both, type_oid) = self.unify(vec![a, b], "JOIN/USING")?;
                    super::expr::make(ExprKind::Coalesce(both), type_oid, *place)
                }
                _ => a,
            };
            merged.push(ScopeColumn { name: name.clone(), expr });
        }
        let is_merged = |column: &&ScopeColumn| names.iter().any(|(name, _)| *name == column.name);
        let rest = left.columns.iter().chain(&right.columns).filter(|column| !is_merged(column)).cloned();
        let columns = merged.into_iter().chain(rest).collect();
        let condition = match terms.len() {
            0 => None,
            1 => terms.pop(),
            _ => Some(super::expr::make(ExprKind::And(terms), oid::BOOL, Place::default())),
        };
        Ok((columns, condition))
    }
}

/// Does a relation surely have a row?
fn has_one_row(relation: &Relation) -> bool {
    let RelationSource::Query(query) = &relation.source else { return false };
    let aggregated = match &query.body {
        crate::typed::Body::Select { grouping: Some(grouping), .. } => {
            grouping.keys.is_empty() && grouping.sets.is_none() && grouping.having.is_none()
        }
        crate::typed::Body::Select { from, filter, grouping: None } => from.is_empty() && filter.is_none(),
        _ => false,
    };
    aggregated && query.limit.is_none() && query.offset.is_none()
}

fn relations_of(from: &From, found: &mut Vec<usize>) {
    match from {
        From::Relation(relation) => found.push(*relation),
        From::Join { left, right, .. } => {
            relations_of(left, found);
            relations_of(right, found);
        }
    }
}

fn first_place(query: &tree::Query) -> Place {
    match &query.body {
        tree::QueryBody::Select(select) => match select.targets.first() {
            Some(tree::Target::Expr { expr, .. }) => expr.place,
            _ => Place::default(),
        },
        _ => Place::default(),
    }
}

/// `json_to_record(json) AS t(column type, ...)`: the column list goes to the function as arguments.
fn json_record(value: Expr, columns: &[RelationColumn], alias: &tree::Alias, place: Place) -> PgResult<Expr> {
    let defined = alias.types.iter().any(Option::is_some);
    let others = |value: Expr| match defined && value.type_oid != oid::RECORD {
        true => {
            let message = "a column definition list is only allowed for functions returning \"record\"";
            Err(at(place, PgError::new(sqlstate::SYNTAX_ERROR, message)))
        }
        false if defined => Err(at(place, PgError::unsupported("a column definition list for this function"))),
        false => Ok(value),
    };
    let ExprKind::Call { procedure, arguments } = &value.kind else { return others(value) };
    let many = match procedure.name {
        "json_to_record" | "jsonb_to_record" => false,
        "json_to_recordset" | "jsonb_to_recordset" => true,
        _ => return others(value),
    };
    if !defined {
        let message = "a column definition list is required for functions returning \"record\"";
        return Err(at(place, PgError::new(sqlstate::SYNTAX_ERROR, message)));
    }
    let own = registry().own("trivet_json_record");
    let procedure = own.ok_or_else(|| PgError::internal("the registry lacks trivet_json_record()"))?;
    let mut arguments = arguments.clone();
    arguments
        .extend(shape_arguments(columns.iter().map(|column| (column.name.as_str(), column.type_oid, column.modifier))));
    arguments.push(Expr::constant(Datum::Bool(many), oid::BOOL));
    Ok(Expr { kind: ExprKind::Call { procedure, arguments }, ..value })
}

/// What a row looks like, for the registry's own functions: names, types, modifiers.
pub(super) fn shape_arguments<'f>(fields: impl Iterator<Item = (&'f str, Oid, i32)>) -> [Expr; 3] {
    let (mut names, mut types, mut modifiers) = (Vec::new(), Vec::new(), Vec::new());
    for (name, type_oid, modifier) in fields {
        names.push(Datum::text(name));
        types.push(Datum::Oid(type_oid.0));
        modifiers.push(Datum::Int4(modifier));
    }
    let list = |element: Oid, array: Oid, values: Vec<Datum>| {
        Expr::constant(Datum::array(Array::from_values(element, values)), array)
    };
    [
        list(oid::TEXT, oid::TEXT_ARRAY, names),
        list(oid::OID, oid::OID_ARRAY, types),
        list(oid::INT4, oid::INT4_ARRAY, modifiers),
    ]
}

/// Columns of a function's result.
pub(super) fn function_columns(
    value: &Expr,
    name: &str,
    alias: &tree::Alias,
    environment: &dyn Environment,
) -> PgResult<Vec<RelationColumn>> {
    if alias.types.iter().any(Option::is_some) {
        let mut columns = Vec::with_capacity(alias.columns.len());
        for (name, type_name) in alias.columns.iter().zip(&alias.types) {
            let type_name =
                type_name.as_ref().ok_or_else(|| PgError::unsupported("a column definition without a type"))?;
            let (type_oid, modifier) = resolve_type_name(type_name, environment)?;
            columns.push(RelationColumn { name: name.text.clone(), type_oid, modifier, hidden: false });
        }
        return Ok(columns);
    }
    let column =
        |name: &str, type_oid: Oid| RelationColumn { name: name.to_string(), type_oid, modifier: -1, hidden: false };
    // The fields of a relation's row.
    if let Some(row) = environment.row_type(value.type_oid) {
        let fields = row.shape.names.iter().zip(&row.shape.types).zip(&row.modifiers);
        let column = |((name, type_oid), modifier): ((&String, &Oid), &i32)| RelationColumn {
            name: name.clone(),
            type_oid: *type_oid,
            modifier: *modifier,
            hidden: false,
        };
        return Ok(fields.map(column).collect());
    }
    if let ExprKind::Call { procedure, arguments } = &value.kind {
        let value_type = match procedure.name {
            "json_each" => Some(oid::JSON),
            "jsonb_each" => Some(oid::JSONB),
            "json_each_text" | "jsonb_each_text" => Some(oid::TEXT),
            _ => None,
        };
        if let Some(value_type) = value_type {
            return Ok(vec![column("key", oid::TEXT), column("value", value_type)]);
        }
        if procedure.name == "trivet_unnest" {
            let elements = arguments.iter().map(|array| trivet_types::element_of(array.type_oid).unwrap_or(oid::TEXT));
            return Ok(elements.map(|element| column("unnest", element)).collect());
        }
        // An output parameter named `value` names the column.
        if matches!(
            procedure.name,
            "json_array_elements" | "jsonb_array_elements" | "json_array_elements_text" | "jsonb_array_elements_text"
        ) {
            return Ok(vec![column("value", value.type_oid)]);
        }
        if procedure.name == "pg_options_to_table" {
            return Ok(vec![column("option_name", oid::TEXT), column("option_value", oid::TEXT)]);
        }
        let parameters: &[(&str, Oid)] = match procedure.name {
            "pg_get_keywords" => &[
                ("word", oid::TEXT),
                ("catcode", oid::CHAR),
                ("barelabel", oid::BOOL),
                ("catdesc", oid::TEXT),
                ("baredesc", oid::TEXT),
            ],
            "aclexplode" => &[
                ("grantor", oid::OID),
                ("grantee", oid::OID),
                ("privilege_type", oid::TEXT),
                ("is_grantable", oid::BOOL),
            ],
            "pg_sequence_parameters" => &[
                ("start_value", oid::INT8),
                ("minimum_value", oid::INT8),
                ("maximum_value", oid::INT8),
                ("increment", oid::INT8),
                ("cycle_option", oid::BOOL),
                ("cache_size", oid::INT8),
                ("data_type", oid::OID),
            ],
            _ => &[],
        };
        if !parameters.is_empty() {
            return Ok(parameters.iter().map(|(name, type_oid)| column(name, *type_oid)).collect());
        }
        if procedure.name == "_pg_expandarray" && matches!(procedure.body, Body::Set(_)) {
            let element =
                arguments.first().and_then(|array| trivet_types::element_of(array.type_oid)).unwrap_or(oid::TEXT);
            return Ok(vec![column("x", element), column("n", oid::INT4)]);
        }
    }
    Ok(vec![column(name, value.type_oid)])
}

/// 55000: a materialized view without rows yet.
fn check_populated(table: &crate::catalog::Table) -> PgResult<()> {
    if !matches!(table.body, crate::catalog::RelationBody::Materialized { populated: false, .. }) {
        return Ok(());
    }
    let message = format!("materialized view \"{}\" has not been populated", table.name);
    Err(PgError::new(sqlstate::OBJECT_NOT_IN_PREREQUISITE_STATE, message)
        .hint("Use the REFRESH MATERIALIZED VIEW command."))
}
