//! INSERT, UPDATE, DELETE.
use super::super::tree::*;
use super::{Converter, refuse};
use sqlparser::ast;
use trivet_types::{PgError, PgResult};

impl Converter<'_> {
    pub fn insert(&mut self, insert: ast::Insert, with: Option<With>) -> PgResult<Statement> {
        refuse! {
            insert.or.is_some() || insert.ignore || insert.overwrite || insert.replace_into || insert.by_name
                || insert.partitioned.is_some() || !insert.assignments.is_empty() || insert.priority.is_some()
                || insert.insert_alias.is_some() || insert.multi_table_insert_type.is_some() || insert.output.is_some()
                => "this form of INSERT";
        }
        let ast::TableObject::TableName(table) = insert.table else {
            return Err(PgError::unsupported("INSERT into something other than a table"));
        };
        let source = match insert.source {
            None => InsertSource::DefaultValues,
            Some(query) => InsertSource::Query(Box::new(self.query(*query)?)),
        };
        Ok(Statement::Insert(Insert {
            with,
            table: self.name(table)?,
            alias: insert.table_alias.map(|alias| self.identifier(alias.alias)),
            columns: insert
                .columns
                .into_iter()
                .map(|column| self.single_name(column, "column name"))
                .collect::<PgResult<_>>()?,
            source,
            overriding_system: insert.overriding.map(|word| matches!(word, ast::InsertOverriding::System)),
            on_conflict: insert.on.map(|on| self.on_conflict(on)).transpose()?,
            returning: self.targets(insert.returning.unwrap_or_default())?,
        }))
    }

    fn on_conflict(&mut self, on: ast::OnInsert) -> PgResult<OnConflict> {
        let ast::OnInsert::OnConflict(on) = on else {
            return Err(PgError::unsupported("ON DUPLICATE KEY UPDATE").hint("Use ON CONFLICT ... DO UPDATE."));
        };
        let target = match on.conflict_target {
            None => None,
            Some(ast::ConflictTarget::Columns { columns, predicate }) => {
                let keys = self.identifiers(columns).into_iter().map(|name| self.conflict_key(name));
                Some(ConflictTarget::Keys(keys.collect::<PgResult<_>>()?, self.optional(predicate)?))
            }
            Some(ast::ConflictTarget::OnConstraint(name)) => {
                Some(ConflictTarget::Constraint(self.single_name(name, "constraint name")?))
            }
        };
        let mut place = Place::default();
        if let Some(ConflictTarget::Keys(keys, _)) = &target {
            let first = keys.first().map(|key| match key {
                ConflictKey::Column(name) => name.place,
                ConflictKey::Expression(expr) => expr.place,
            });
            place = first.and_then(|first| self.source.parenthesis_before(first)).unwrap_or_default();
        }
        let action = match on.action {
            ast::OnConflictAction::DoNothing => ConflictAction::Nothing,
            ast::OnConflictAction::DoUpdate(update) => ConflictAction::Update {
                assignments: self.assignments(update.assignments)?,
                filter: self.optional(update.selection)?,
            },
        };
        if let (None, ConflictAction::Update { assignments, .. }) = (&target, &action) {
            let first = assignments.first().and_then(|assignment| assignment.columns.first());
            place = first.and_then(|name| self.source.on_conflict_before(name.place)).unwrap_or_default();
        }
        Ok(OnConflict { place, target, action })
    }

    fn conflict_key(&mut self, name: Name) -> PgResult<ConflictKey> {
        let Some((first, last)) = super::super::rewrite::marked_part(&name.text) else {
            return Ok(ConflictKey::Column(name));
        };
        let tokens = self.source.tokens.get(first..=last);
        let tokens = tokens.ok_or_else(|| PgError::internal("a key of ON CONFLICT has no tokens"))?;
        let expr = super::super::parse_part(self.source, tokens, |parser| parser.parse_expr())?;
        Ok(ConflictKey::Expression(self.expr(expr)?))
    }

    pub fn assignments(&mut self, assignments: Vec<ast::Assignment>) -> PgResult<Vec<Assignment>> {
        assignments.into_iter().map(|assignment| self.assignment(assignment)).collect()
    }

    fn assignment(&mut self, assignment: ast::Assignment) -> PgResult<Assignment> {
        let is_row = matches!(assignment.target, ast::AssignmentTarget::Tuple(_));
        let mut path = Vec::new();
        let names = match assignment.target {
            ast::AssignmentTarget::ColumnName(name) => vec![name],
            ast::AssignmentTarget::Tuple(names) => names,
        };
        let mut columns = Vec::with_capacity(names.len());
        for name in names {
            let name = self.name(name)?;
            if let Some((first, last)) = super::super::rewrite::marked_part(name.last()) {
                let Some(tokens) = self.source.tokens.get(first..=last) else {
                    return Err(PgError::internal("a part of a column has no tokens"));
                };
                let part = super::super::parse_part(self.source, tokens, |parser| parser.parse_expr())?;
                let ExprKind::Subscript { operand, subscripts } = self.expr(part)?.kind else {
                    return Err(PgError::unsupported("this part of a column as the target of SET"));
                };
                let ExprKind::Column(mut column) = operand.kind else {
                    return Err(PgError::unsupported("this part of a column as the target of SET"));
                };
                columns.push(column.parts.remove(0));
                path.extend(subscripts.into_iter().map(AssignedPart::Subscript));
                continue;
            }
            let mut parts = name.parts.into_iter();
            columns.extend(parts.next());
            path.extend(parts.map(AssignedPart::Field));
        }
        if columns.len() > 1 && !path.is_empty() {
            return Err(PgError::unsupported("a part of a column among several that are SET"));
        }
        Ok(Assignment { columns, path, is_row, value: self.expr(assignment.value)? })
    }

    pub fn update(&mut self, update: ast::Update, with: Option<With>) -> PgResult<Statement> {
        refuse! {
            update.or.is_some() || !update.order_by.is_empty() || update.limit.is_some() || update.output.is_some()
                || !update.table.joins.is_empty() => "this form of UPDATE";
        }
        let (table, alias) = self.target_table(update.table.relation, "UPDATE")?;
        Ok(Statement::Update(Update {
            with,
            table,
            alias,
            assignments: self.assignments(update.assignments)?,
            from: match update.from {
                None => vec![],
                Some(ast::UpdateTableFromKind::AfterSet(tables)) => self.from(tables)?,
                Some(ast::UpdateTableFromKind::BeforeSet(_)) => {
                    return Err(PgError::unsupported("UPDATE with FROM before SET"));
                }
            },
            filter: self.optional(update.selection)?,
            current_of: None,
            returning: self.targets(update.returning.unwrap_or_default())?,
        }))
    }

    pub fn delete(&mut self, delete: ast::Delete, with: Option<With>) -> PgResult<Statement> {
        refuse! {
            !delete.tables.is_empty() || !delete.order_by.is_empty() || delete.limit.is_some()
                || delete.output.is_some() => "this form of DELETE";
        }
        let mut from = match delete.from {
            ast::FromTable::WithFromKeyword(from) => from,
            ast::FromTable::WithoutKeyword(_) => return Err(PgError::unsupported("DELETE without FROM")),
        };
        let (Some(only), true) = (from.pop(), from.is_empty()) else {
            return Err(PgError::unsupported("DELETE from several tables"));
        };
        refuse! { !only.joins.is_empty() => "DELETE from a join"; }
        let (table, alias) = self.target_table(only.relation, "DELETE")?;
        Ok(Statement::Delete(Delete {
            with,
            table,
            alias,
            using: self.from(delete.using.unwrap_or_default())?,
            filter: self.optional(delete.selection)?,
            current_of: None,
            returning: self.targets(delete.returning.unwrap_or_default())?,
        }))
    }

    fn target_table(&mut self, factor: ast::TableFactor, word: &str) -> PgResult<(QualifiedName, Option<Name>)> {
        match factor {
            ast::TableFactor::Table { name, alias, args: None, .. } => {
                let alias = self.alias(alias)?;
                refuse! { !alias.columns.is_empty() => "column aliases here"; }
                Ok((self.name(name)?, alias.name))
            }
            _ => Err(PgError::unsupported(format!("{word} of something other than a table"))),
        }
    }
}
