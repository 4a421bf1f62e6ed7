//! Queries: SELECT, VALUES, set operations, WITH, and what comes after them (ORDER BY, LIMIT, FOR UPDATE).
use super::expr::visible_positions;
use super::scope::Scope;
use super::sortable::{check_equality, check_order};
use super::{Analyzer, at};
use crate::parser::tree::{self, Place, QueryBody};
use crate::typed::{
    Body, CommonBody, DistinctOn, Expr, ExprKind, Grouping, Query, RelationColumn, RelationSource, RowLock, SortTarget,
    Target,
};
use trivet_txn::LockStrength;
use trivet_types::registry::CastContext;
use trivet_types::{Datum, Oid, PgError, PgResult, display_name, oid, sqlstate};

/// PostgreSQL's limit of a target list.
const TARGETS_MAX: usize = 1664;

impl Analyzer<'_> {
    /// A query at the level of the current scopes: sees nothing of a query around it but what is pushed already.
    pub fn query(&mut self, query: &tree::Query) -> PgResult<Query> {
        self.deeper(|analyzer| {
            let common = analyzer.common.len();
            let result = analyzer.with(&query.with).and_then(|()| analyzer.query_body(query));
            analyzer.common.truncate(common);
            result
        })
    }

    /// A query inside an expression or FROM: what is around it is one level out.
    pub(super) fn subquery(&mut self, query: &tree::Query) -> PgResult<Query> {
        let query = self.query(query)?;
        self.settled(query)
    }

    fn query_body(&mut self, query: &tree::Query) -> PgResult<Query> {
        // Every query is one level of scopes, whatever its body.
        let plain = match &query.body {
            QueryBody::Select(select) => return self.select(select, query),
            QueryBody::Query(inner) if !has_own_clauses(inner) => Some(self.query(inner)?),
            _ => None,
        };
        self.scopes.push(Scope { no_aggregates: Some("VALUES"), ..Scope::default() });
        let result = self.other_body(query, plain);
        self.scopes.pop();
        result
    }

    fn other_body(&mut self, query: &tree::Query, plain: Option<Query>) -> PgResult<Query> {
        let mut result = match (plain, &query.body) {
            (Some(plain), _) => plain,
            (None, QueryBody::Values(rows)) => self.values(rows)?,
            (None, QueryBody::SetOperation { operation, all, left, right }) => {
                let left = self.set_operand(left)?;
                let right = self.set_operand(right)?;
                self.set_operation(*operation, *all, left, right)?
            }
            (None, QueryBody::Query(inner)) => self.wrapped(inner)?,
            (None, QueryBody::Select(_)) => return Err(PgError::internal("SELECT has its own way")),
        };
        self.sort_by_output(&mut result, &query.order_by)?;
        self.limit(&mut result, query)?;
        if !query.locking.is_empty() {
            let strength = strength_word(query.locking[0].strength);
            let message = match query.body {
                QueryBody::Values(_) => format!("FOR {strength} cannot be applied to VALUES"),
                _ => format!("FOR {strength} is not allowed with UNION/INTERSECT/EXCEPT"),
            };
            return Err(PgError::new(sqlstate::FEATURE_NOT_SUPPORTED, message));
        }
        Ok(result)
    }

    pub(super) fn set_operand(&mut self, body: &QueryBody) -> PgResult<Query> {
        self.query(&tree::Query::of(body.clone()))
    }

    /// `(SELECT ... ORDER BY ... LIMIT ...)` with more after it: the inner query keeps its own.
    fn wrapped(&mut self, inner: &tree::Query) -> PgResult<Query> {
        let inner = self.query(inner)?;
        let inner = self.settled(inner)?;
        let columns = query_columns(&inner);
        let relation = crate::typed::Relation {
            alias: "unnamed_subquery".to_string(),
            columns: columns.clone(),
            source: RelationSource::Query(Box::new(inner)),
            lateral: false,
            view: None,
            row_type: None,
        };
        let targets = columns.iter().enumerate().map(|(position, column)| Target {
            name: column.name.clone(),
            expr: Expr {
                kind: ExprKind::Column { up: 0, relation: 0, column: position },
                type_oid: column.type_oid,
                modifier: column.modifier,
                place: Place::default(),
            },
            hidden: false,
            origin: None,
        });
        let mut query = empty_query(targets.collect());
        query.relations.push(relation);
        query.body = Body::Select { from: vec![crate::typed::From::Relation(0)], filter: None, grouping: None };
        Ok(query)
    }

    fn values(&mut self, rows: &[Vec<tree::Expr>]) -> PgResult<Query> {
        let width = rows.first().map_or(0, Vec::len);
        let (columns, rows) = self.value_rows(rows, width)?;
        let targets = columns.into_iter().enumerate().map(|(at, (type_oid, modifier))| Target {
            name: format!("column{}", at + 1),
            expr: Expr {
                kind: ExprKind::Column { up: 0, relation: 0, column: at },
                type_oid,
                modifier,
                place: Place::default(),
            },
            hidden: false,
            origin: None,
        });
        let mut query = empty_query(targets.collect());
        query.body = Body::Values(rows);
        Ok(query)
    }

    #[allow(clippy::type_complexity)]
    fn value_rows(&mut self, rows: &[Vec<tree::Expr>], width: usize) -> PgResult<(Vec<(Oid, i32)>, Vec<Vec<Expr>>)> {
        let mut columns: Vec<Vec<Expr>> = (0..width).map(|_| Vec::with_capacity(rows.len())).collect();
        for row in rows {
            if row.len() != width {
                let place = row.first().map(|expr| expr.place).unwrap_or_default();
                return Err(at(
                    place,
                    PgError::new(sqlstate::SYNTAX_ERROR, "VALUES lists must all be the same length"),
                ));
            }
            for (column, expr) in columns.iter_mut().zip(row) {
                column.push(self.expr(expr)?);
            }
        }
        let mut types = Vec::with_capacity(width);
        let mut result: Vec<Vec<Expr>> = rows.iter().map(|_| Vec::with_capacity(width)).collect();
        for column in columns {
            // A single row keeps its literals open: an INSERT gives them their types.
            if rows.len() == 1 {
                let expr = column.into_iter().next().expect("one row");
                types.push((expr.type_oid, expr.modifier));
                result[0].push(expr);
                continue;
            }
            let (unified, type_oid) = match column.iter().all(|expr| expr.type_oid == oid::UNKNOWN) {
                true => (column, oid::UNKNOWN),
                false => self.unify(column, "VALUES")?,
            };
            types.push((type_oid, super::expr::common_modifier(unified.iter())));
            for (row, expr) in result.iter_mut().zip(unified) {
                row.push(expr);
            }
        }
        Ok((types, result))
    }

    fn set_operation(
        &mut self,
        operation: tree::SetOperation,
        all: bool,
        mut left: Query,
        mut right: Query,
    ) -> PgResult<Query> {
        let word = match operation {
            tree::SetOperation::Union => "UNION",
            tree::SetOperation::Intersect => "INTERSECT",
            tree::SetOperation::Except => "EXCEPT",
        };
        let (left_positions, right_positions) = (visible_positions(&left), visible_positions(&right));
        if left_positions.len() != right_positions.len() {
            let message = format!("each {word} query must have the same number of columns");
            let place = right.targets.first().map(|target| target.expr.place).unwrap_or_default();
            return Err(at(place, PgError::new(sqlstate::SYNTAX_ERROR, message)));
        }
        let mut targets = Vec::with_capacity(left_positions.len());
        for (column, (l, r)) in left_positions.into_iter().zip(right_positions).enumerate() {
            let types = [left.targets[l].expr.type_oid, right.targets[r].expr.type_oid];
            let common = super::common_type(&types).map_err(|(a, b, _)| {
                let message =
                    format!("{word} types {} and {} cannot be matched", display_name(a, -1), display_name(b, -1));
                at(right.targets[r].expr.place, PgError::new(sqlstate::DATATYPE_MISMATCH, message))
            })?;
            if !all || operation != tree::SetOperation::Union {
                check_equality(common, left.targets[l].expr.place)?;
            }
            self.convert_target(&mut left, l, common)?;
            self.convert_target(&mut right, r, common)?;
            let (a, b) = (&left.targets[l].expr, &right.targets[r].expr);
            let modifier = if a.modifier == b.modifier { a.modifier } else { -1 };
            targets.push(Target {
                name: left.targets[l].name.clone(),
                expr: Expr {
                    kind: ExprKind::Column { up: 0, relation: 0, column },
                    type_oid: common,
                    modifier,
                    place: Place::default(),
                },
                hidden: false,
                origin: None,
            });
        }
        let mut query = empty_query(targets);
        query.body = Body::Set { operation, all, left: Box::new(left), right: Box::new(right) };
        Ok(query)
    }

    /// Give one output column of a query another type.
    pub(super) fn convert_target(&mut self, query: &mut Query, position: usize, target: Oid) -> PgResult<()> {
        if query.targets[position].expr.type_oid == target {
            return Ok(());
        }
        match &mut query.body {
            // What these show is a column of their operands or rows: convert there.
            Body::Values(rows) => {
                for row in rows.iter_mut() {
                    let expr = std::mem::replace(&mut row[position], Expr::constant(Datum::Null, target));
                    row[position] = self.implicit(expr, target, "VALUES")?;
                }
                query.targets[position].expr.type_oid = target;
            }
            Body::Set { left, right, .. } => {
                for operand in [left, right] {
                    let inner = visible_positions(operand)[position];
                    self.convert_target(operand, inner, target)?;
                }
                query.targets[position].expr.type_oid = target;
            }
            Body::Select { .. } => {
                let expr = query.targets[position].expr.clone();
                query.targets[position].expr = self.implicit(expr, target, "query column")?;
            }
        }
        Ok(())
    }

    /// Output columns that are still untyped literals become text.
    pub fn settled(&mut self, mut query: Query) -> PgResult<Query> {
        for position in 0..query.targets.len() {
            if query.targets[position].expr.type_oid == oid::UNKNOWN {
                self.convert_target(&mut query, position, oid::TEXT)?;
            }
        }
        Ok(query)
    }

    fn select(&mut self, select: &tree::Select, query: &tree::Query) -> PgResult<Query> {
        self.scopes.push(Scope::default());
        let result = self.select_in_scope(select, query);
        self.scopes.pop();
        result
    }

    fn select_in_scope(&mut self, select: &tree::Select, query: &tree::Query) -> PgResult<Query> {
        let from = self.from_list(&select.from)?;
        let filter = match &select.filter {
            Some(filter) => Some(self.without_aggregates("WHERE", |analyzer| analyzer.condition(filter, "WHERE"))?),
            None => None,
        };
        self.named_windows(&select.windows)?;
        let mut targets = self.targets(&select.targets)?;
        let (mut keys, mut sets) = self.group_keys(&select.group_by, &mut targets)?;
        if let Some(sets) = sets.as_mut().filter(|_| select.group_distinct) {
            let mut seen = std::collections::BTreeSet::new();
            sets.retain(|set| seen.insert(set.iter().copied().collect::<std::collections::BTreeSet<usize>>()));
        }
        let having = match &select.having {
            Some(having) => {
                self.scope().no_windows = Some("HAVING");
                let having = self.condition(having, "HAVING");
                self.scope().no_windows = None;
                Some(having?)
            }
            None => None,
        };
        let sort = self.sort_keys(&query.order_by, &mut targets)?;
        let distinct = self.distinct(&select.distinct, &mut targets, &sort)?;
        for target in &mut targets {
            if target.expr.type_oid == oid::UNKNOWN && !matches!(target.expr.kind, ExprKind::Constant(_)) {
                target.expr = self.known(target.expr.clone())?;
            }
        }
        let aggregates = std::mem::take(&mut self.scope().aggregates);
        let has_aggregates = !aggregates.is_empty();
        let grouped =
            !aggregates.is_empty() || !select.group_by.is_empty() || having.is_some() || self.scope().has_grouping_call;
        let mut windows = std::mem::take(&mut self.scope().windows);
        let has_windows = !windows.is_empty();
        let mut grouping = None;
        if grouped {
            let keys = std::mem::take(&mut keys);
            let mut group = Grouping { written: keys.len(), keys, aggregates, having, sets, groupings: Vec::new() };
            self.group(&mut group, &mut targets, &mut windows)?;
            grouping = Some(group);
        }
        let mut relations = std::mem::take(&mut self.scope().relations);
        let refused = if select.distinct.is_some() {
            Some("DISTINCT clause")
        } else if !select.group_by.is_empty() {
            Some("GROUP BY clause")
        } else if select.having.is_some() {
            Some("HAVING clause")
        } else if has_aggregates {
            Some("aggregate functions")
        } else if has_windows {
            Some("window functions")
        } else {
            None
        };
        let locks = self.locks(&query.locking, &mut relations, refused)?;
        let mut result = empty_query(targets);
        result.relations = relations;
        result.body = Body::Select { from, filter, grouping };
        result.distinct = distinct;
        result.sort = sort;
        result.locks = locks;
        result.windows = windows;
        self.limit(&mut result, query)?;
        Ok(result)
    }

    pub(super) fn without_aggregates<T>(
        &mut self,
        clause: &'static str,
        work: impl FnOnce(&mut Self) -> PgResult<T>,
    ) -> PgResult<T> {
        let before = self.scope().no_aggregates.replace(clause);
        let result = work(self);
        self.scope().no_aggregates = before;
        result
    }

    /// The select list, `*` expanded.
    pub(super) fn targets(&mut self, targets: &[tree::Target]) -> PgResult<Vec<Target>> {
        let mut result = Vec::with_capacity(targets.len());
        for target in targets {
            match target {
                tree::Target::Expr { expr: tree::Expr { kind: tree::ExprKind::AllFields(row), place }, .. } => {
                    let row = self.row_operand(row)?;
                    for (name, expr) in self.all_fields(row, *place)? {
                        let target = self.target(name, expr);
                        result.push(target);
                    }
                }
                tree::Target::Expr { expr, alias } => {
                    let analyzed = self.expr(expr)?;
                    let name = alias.as_ref().map_or_else(|| output_name(expr).0, |alias| alias.text.clone());
                    result.push(self.target(name, analyzed));
                }
                tree::Target::Star { of, place } => self.star(of.as_ref(), *place, &mut result)?,
            }
        }
        if result.len() > TARGETS_MAX {
            let message = format!("target lists can have at most {TARGETS_MAX} entries");
            return Err(PgError::new(sqlstate::TOO_MANY_COLUMNS, message));
        }
        Ok(result)
    }

    fn target(&mut self, name: String, expr: Expr) -> Target {
        let origin = self.origin(&expr);
        Target { name, expr, hidden: false, origin }
    }

    /// The table and attribute number that a plain column shows.
    fn origin(&self, expr: &Expr) -> Option<(Oid, i16)> {
        let ExprKind::Column { up: 0, relation, column } = expr.kind else { return None };
        let relation = self.scopes.last()?.relations.get(relation)?;
        let number = i16::try_from(column + 1).ok()?;
        match &relation.source {
            RelationSource::Table(table) => Some((table.oid, number)),
            RelationSource::Virtual(table) => Some((table.oid, number)),
            RelationSource::Query(query) => query.visible_targets().nth(column)?.origin,
            RelationSource::Common { id, .. } => match &self.commons.get(id.checked_sub(self.common_base)?)?.body {
                CommonBody::Query(query) => query.visible_targets().nth(column)?.origin,
                CommonBody::Recursive { .. } | CommonBody::Statement(_) | CommonBody::Open => None,
            },
            _ => None,
        }
    }

    fn star(&mut self, of: Option<&tree::QualifiedName>, place: Place, result: &mut Vec<Target>) -> PgResult<()> {
        let columns = match of {
            None => {
                let scope = self.scope();
                if scope.tables.is_empty() {
                    let error = PgError::new(sqlstate::SYNTAX_ERROR, "SELECT * with no tables specified is not valid");
                    return Err(at(place, error));
                }
                scope.columns.clone()
            }
            Some(name) => {
                let mut found = None;
                for (levels, scope) in self.scopes.iter().rev().enumerate() {
                    let qualifies = |table: &&super::scope::ScopeTable| {
                        table.alias == name.last()
                            && name.schema().is_none_or(|schema| table.schema.as_deref() == Some(schema))
                    };
                    if let Some(table) = scope.tables.iter().find(qualifies) {
                        let raised = table.columns.iter().map(|column| super::scope::ScopeColumn {
                            name: column.name.clone(),
                            expr: super::scope::raised(&column.expr, levels),
                        });
                        found = Some(raised.collect::<Vec<_>>());
                        break;
                    }
                }
                found.ok_or_else(|| at(name.place(), super::scope::missing_entry(&self.scopes, name.last())))?
            }
        };
        for column in columns {
            let expr = Expr { place, ..column.expr };
            let target = self.target(column.name, expr);
            result.push(target);
        }
        Ok(())
    }

    fn distinct(
        &mut self,
        distinct: &Option<tree::Distinct>,
        targets: &mut Vec<Target>,
        sort: &[SortTarget],
    ) -> PgResult<Option<DistinctOn>> {
        match distinct {
            None => Ok(None),
            Some(tree::Distinct::All) => {
                if let Some(hidden) = sort.iter().find(|key| targets[key.target].hidden) {
                    let message = "for SELECT DISTINCT, ORDER BY expressions must appear in select list";
                    let place = targets[hidden.target].expr.place;
                    return Err(at(place, PgError::new(sqlstate::INVALID_COLUMN_REFERENCE, message)));
                }
                for target in targets.iter().filter(|target| !target.hidden) {
                    check_equality(target.expr.type_oid, target.expr.place)?;
                }
                Ok(Some(DistinctOn::All))
            }
            Some(tree::Distinct::On(exprs)) => {
                let mut on = Vec::with_capacity(exprs.len());
                for expr in exprs {
                    let key = tree::SortKey { expr: expr.clone(), descending: false, nulls_first: None };
                    let target = self.sort_target(&key, targets, "DISTINCT ON")?;
                    check_equality(targets[target].expr.type_oid, expr.leftmost())?;
                    on.push(target);
                }
                let leading = sort.iter().take(on.len()).all(|key| on.contains(&key.target));
                if !leading {
                    let message = "SELECT DISTINCT ON expressions must match initial ORDER BY expressions";
                    let place = exprs.first().map(|expr| expr.place).unwrap_or_default();
                    return Err(at(place, PgError::new(sqlstate::INVALID_COLUMN_REFERENCE, message)));
                }
                Ok(Some(DistinctOn::Targets(on)))
            }
        }
    }

    fn sort_keys(&mut self, keys: &[tree::SortKey], targets: &mut Vec<Target>) -> PgResult<Vec<SortTarget>> {
        let mut sort: Vec<SortTarget> = Vec::with_capacity(keys.len());
        for key in keys {
            let target = self.sort_target(key, targets, "ORDER BY")?;
            if sort.iter().any(|other| other.target == target) {
                continue;
            }
            check_order(targets[target].expr.type_oid, key.expr.leftmost())?;
            let nulls_first = key.nulls_first.unwrap_or(key.descending);
            sort.push(SortTarget { target, descending: key.descending, nulls_first });
        }
        Ok(sort)
    }

    /// The target that a sort key means: by position, by output name, or as an expression, added if it is new.
    pub(super) fn sort_target(
        &mut self,
        key: &tree::SortKey,
        targets: &mut Vec<Target>,
        clause: &str,
    ) -> PgResult<usize> {
        if let Some(position) = named_target(&key.expr, targets, clause, true)? {
            return Ok(position);
        }
        let expr = self.expr(&key.expr)?;
        let expr = self.known(expr)?;
        if let Some(position) = targets.iter().position(|target| super::group::same_expr(&target.expr, &expr)) {
            return Ok(position);
        }
        targets.push(Target { name: "?column?".to_string(), expr, hidden: true, origin: None });
        Ok(targets.len() - 1)
    }

    /// ORDER BY of a set operation or VALUES: only output columns.
    fn sort_by_output(&mut self, query: &mut Query, keys: &[tree::SortKey]) -> PgResult<()> {
        for key in keys {
            let found = named_target(&key.expr, &query.targets, "ORDER BY", true)?;
            let Some(target) = found else {
                let error = match &key.expr.kind {
                    tree::ExprKind::Column(name) => {
                        let message = format!("column \"{}\" does not exist", name.shown());
                        let error = PgError::new(sqlstate::UNDEFINED_COLUMN, message);
                        match operand_with(query, name.last(), &mut 0) {
                            Some(number) => {
                                error.hint(super::suggest::elsewhere(name.last(), &format!("*SELECT* {number}")))
                            }
                            None => error,
                        }
                    }
                    _ => {
                        PgError::new(sqlstate::FEATURE_NOT_SUPPORTED, "invalid UNION/INTERSECT/EXCEPT ORDER BY clause")
                            .detail("Only result column names can be used, not expressions or functions.")
                            .hint("Add the expression/function to every SELECT, or move the UNION into a FROM clause.")
                    }
                };
                return Err(at(key.expr.leftmost(), error));
            };
            check_order(query.targets[target].expr.type_oid, key.expr.leftmost())?;
            let nulls_first = key.nulls_first.unwrap_or(key.descending);
            query.sort.push(SortTarget { target, descending: key.descending, nulls_first });
        }
        Ok(())
    }

    fn limit(&mut self, result: &mut Query, query: &tree::Query) -> PgResult<()> {
        if query.with_ties && query.order_by.is_empty() {
            let message = "WITH TIES cannot be specified without ORDER BY clause";
            return Err(PgError::new(sqlstate::SYNTAX_ERROR, message));
        }
        if query.with_ties && query.locking.iter().any(|lock| lock.wait == trivet_txn::LockWait::SkipLocked) {
            let message = "SKIP LOCKED and WITH TIES options cannot be used together";
            return Err(PgError::new(sqlstate::FEATURE_NOT_SUPPORTED, message));
        }
        result.with_ties = query.with_ties;
        if query.limit.is_some() {
            result.limit = self.row_count(query.limit.as_ref(), "LIMIT")?;
        }
        if query.offset.is_some() {
            result.offset = self.row_count(query.offset.as_ref(), "OFFSET")?;
        }
        Ok(())
    }

    fn row_count(&mut self, expr: Option<&tree::Expr>, clause: &'static str) -> PgResult<Option<Expr>> {
        let Some(expr) = expr else { return Ok(None) };
        let analyzed = self.without_aggregates(clause, |analyzer| analyzer.expr(expr))?;
        if analyzed.any(&mut |part| matches!(part.kind, ExprKind::Column { up: 0, .. })) {
            let message = format!("argument of {clause} must not contain variables");
            return Err(at(analyzed.place, PgError::new(sqlstate::INVALID_COLUMN_REFERENCE, message)));
        }
        let place = analyzed.place;
        let source = analyzed.type_oid;
        let converted = self.coerce(analyzed, oid::INT8, -1, CastContext::Assignment)?;
        converted.map(Some).ok_or_else(|| {
            let message = format!("argument of {clause} must be type bigint, not type {}", display_name(source, -1));
            at(place, PgError::new(sqlstate::DATATYPE_MISMATCH, message))
        })
    }

    fn locks(
        &mut self,
        locking: &[tree::Locking],
        relations: &mut [crate::typed::Relation],
        refused: Option<&str>,
    ) -> PgResult<Vec<RowLock>> {
        let mut locks: Vec<RowLock> = Vec::new();
        for clause in locking {
            if let Some(what) = refused {
                let strength = strength_word(clause.strength);
                let message = format!("FOR {strength} is not allowed with {what}");
                return Err(PgError::new(sqlstate::FEATURE_NOT_SUPPORTED, message));
            }
            let outer = self.scope().nullable.clone();
            let missing = |relation: usize, place: Place| {
                let message = "FOR UPDATE cannot be applied to the nullable side of an outer join"
                    .replace("UPDATE", strength_word(clause.strength));
                let error = PgError::new(sqlstate::FEATURE_NOT_SUPPORTED, message);
                if outer.contains(&relation) { Err(at(place, error)) } else { Ok(()) }
            };
            if clause.of.is_empty() {
                for (number, relation) in relations.iter().enumerate() {
                    if matches!(relation.source, RelationSource::Table(_) | RelationSource::Query(_)) {
                        missing(number, Place::default())?;
                    }
                }
                (0..relations.len()).try_for_each(|at| lock_relation(relations, at, clause, false, &mut locks))?;
            }
            for name in &clause.of {
                let found = relations.iter().position(|relation| relation.alias == name.last());
                let Some(found) = found else {
                    let message = format!(
                        "relation \"{}\" in FOR {} clause not found in FROM clause",
                        name.shown(),
                        strength_word(clause.strength)
                    );
                    return Err(at(name.place(), PgError::new(sqlstate::UNDEFINED_TABLE, message)));
                };
                missing(found, Place::default())?;
                lock_relation(relations, found, clause, true, &mut locks)?;
            }
        }
        Ok(locks)
    }
}

fn strength_word(strength: LockStrength) -> &'static str {
    match strength {
        LockStrength::KeyShare => "KEY SHARE",
        LockStrength::Share => "SHARE",
        LockStrength::NoKeyUpdate => "NO KEY UPDATE",
        LockStrength::Update => "UPDATE",
    }
}

/// Lock one relation of a query; a subquery hands the lock on to its own. `named`: by OF.
fn lock_relation(
    relations: &mut [crate::typed::Relation],
    at_relation: usize,
    clause: &tree::Locking,
    named: bool,
    locks: &mut Vec<RowLock>,
) -> PgResult<()> {
    let refuse = |what: &str| {
        let message = format!("FOR {} cannot be applied to {what}", strength_word(clause.strength));
        let place = clause.of.first().map(tree::QualifiedName::place).unwrap_or_default();
        Err(at(place, PgError::new(sqlstate::FEATURE_NOT_SUPPORTED, message)))
    };
    match &mut relations[at_relation].source {
        RelationSource::Table(_) => match locks.iter_mut().find(|lock| lock.relation == at_relation) {
            Some(lock) => lock.strength = lock.strength.max(clause.strength),
            None => locks.push(RowLock { relation: at_relation, strength: clause.strength, wait: clause.wait }),
        },
        RelationSource::Query(query) => lock_query(query, clause)?,
        RelationSource::Common { .. } if named => return refuse("a WITH query"),
        RelationSource::Function { .. } | RelationSource::Functions { .. } | RelationSource::Scalar { .. } if named => {
            return refuse("a function");
        }
        _ => {}
    }
    Ok(())
}

/// FOR UPDATE of a subquery locks the rows of its tables.
fn lock_query(query: &mut Query, clause: &tree::Locking) -> PgResult<()> {
    let Body::Select { grouping, .. } = &query.body else {
        return Err(PgError::unsupported("FOR UPDATE of a subquery that is a set operation or VALUES"));
    };
    let refused = match grouping {
        _ if query.distinct.is_some() => Some("DISTINCT clause"),
        Some(grouping) if !grouping.keys.is_empty() => Some("GROUP BY clause"),
        Some(grouping) if grouping.having.is_some() => Some("HAVING clause"),
        Some(_) => Some("aggregate functions"),
        None if !query.windows.is_empty() => Some("window functions"),
        None => None,
    };
    if let Some(what) = refused {
        let message = format!("FOR {} is not allowed with {what}", strength_word(clause.strength));
        return Err(PgError::new(sqlstate::FEATURE_NOT_SUPPORTED, message));
    }
    let inner = tree::Locking { of: Vec::new(), ..clause.clone() };
    let (relations, locks) = (&mut query.relations, &mut query.locks);
    (0..relations.len()).try_for_each(|at| lock_relation(relations, at, &inner, false, locks))
}

/// A target by its position (`ORDER BY 2`) or, if that is allowed, by its output name.
pub(super) fn named_target(
    expr: &tree::Expr,
    targets: &[Target],
    clause: &str,
    by_name: bool,
) -> PgResult<Option<usize>> {
    let visible = || targets.iter().enumerate().filter(|(_, target)| !target.hidden);
    match &expr.kind {
        tree::ExprKind::Literal(tree::Literal::Number(digits)) => {
            // A number beyond an integer's is none for PostgreSQL's grammar.
            let position = digits.parse::<i32>().ok().filter(|position| *position > i32::MIN);
            let Some(position) = position else {
                let error = PgError::new(sqlstate::SYNTAX_ERROR, format!("non-integer constant in {clause}"));
                return Err(at(expr.place, error));
            };
            let found = usize::try_from(position - 1).ok().and_then(|position| visible().nth(position));
            found.map(|(at, _)| Some(at)).ok_or_else(|| {
                let message = format!("{clause} position {position} is not in select list");
                at(expr.place, PgError::new(sqlstate::INVALID_COLUMN_REFERENCE, message))
            })
        }
        tree::ExprKind::Literal(_) => {
            let error = PgError::new(sqlstate::SYNTAX_ERROR, format!("non-integer constant in {clause}"));
            Err(at(expr.place, error))
        }
        tree::ExprKind::Column(name) if by_name && name.parts.len() == 1 => {
            let mut matches = visible().filter(|(_, target)| target.name == name.last());
            let Some((first, target)) = matches.next() else { return Ok(None) };
            if matches.any(|(_, other)| !super::group::same_expr(&other.expr, &target.expr)) {
                let message = format!("{clause} \"{}\" is ambiguous", name.last());
                return Err(at(expr.place, PgError::new(sqlstate::AMBIGUOUS_COLUMN, message)));
            }
            Ok(Some(first))
        }
        _ => Ok(None),
    }
}

pub(super) fn empty_query(targets: Vec<Target>) -> Query {
    Query {
        relations: Vec::new(),
        body: Body::Select { from: Vec::new(), filter: None, grouping: None },
        targets,
        distinct: None,
        sort: Vec::new(),
        limit: None,
        offset: None,
        with_ties: false,
        locks: Vec::new(),
        windows: Vec::new(),
        row_ids: Vec::new(),
    }
}

/// A query's output as a relation's columns.
pub(super) fn query_columns(query: &Query) -> Vec<RelationColumn> {
    let column = |target: &Target| RelationColumn {
        name: target.name.clone(),
        type_oid: target.expr.type_oid,
        modifier: target.expr.modifier,
        hidden: false,
    };
    query.visible_targets().map(column).collect()
}

/// `AS t (a, b)`
pub(super) fn rename(columns: &mut [RelationColumn], names: &[tree::Name], table: &str) -> PgResult<()> {
    let visible = columns.iter().filter(|column| !column.hidden).count();
    if names.len() > visible {
        let message =
            format!("table \"{table}\" has {visible} columns available but {} columns specified", names.len());
        return Err(PgError::new(sqlstate::INVALID_COLUMN_REFERENCE, message));
    }
    for (column, name) in columns.iter_mut().filter(|column| !column.hidden).zip(names) {
        column.name = name.text.clone();
    }
    Ok(())
}

/// What an expression's column is called when nobody says (PostgreSQL's `FigureColname`), and how sure that is.
pub(super) fn output_name(expr: &tree::Expr) -> (String, u8) {
    use tree::ExprKind as K;
    let named = |name: &str, strength| (name.to_string(), strength);
    match &expr.kind {
        K::Column(name) | K::Star(name) => named(name.last(), 2),
        K::Field { field, .. } => named(&field.text, 2),
        K::Subscript { operand, .. } | K::Collate { operand, .. } => output_name(operand),
        K::Function(call) => match call.name.last() {
            "btrim" | "ltrim" | "rtrim" | "timezone" | "extract" | "position" | "substring" | "overlay" => {
                named(call.name.last(), 2)
            }
            name => named(name, 2),
        },
        K::Cast { operand, to } => match output_name(operand) {
            (name, 2) => (name, 2),
            _ => (to.name.clone(), 1),
        },
        K::Case { otherwise, .. } => match otherwise.as_deref().map(output_name) {
            Some((name, 2)) => (name, 2),
            _ => named("case", 1),
        },
        K::Array(_) | K::ArrayQuery(_) => named("array", 2),
        K::Row(_) => named("row", 2),
        K::Exists(_) => named("exists", 2),
        K::Subquery(query) => match leftmost(&query.body).and_then(|select| select.targets.first()) {
            Some(tree::Target::Expr { alias: Some(alias), .. }) => named(&alias.text, 2),
            // Whatever the subquery calls its column, that is its name.
            Some(tree::Target::Expr { expr, alias: None }) => (output_name(expr).0, 2),
            Some(tree::Target::Star { .. }) => named("?column?", 0),
            None => named("column1", 2),
        },
        _ => named("?column?", 0),
    }
}

/// Which operand of a set operation, counted from the left, has a column of this name.
fn operand_with(query: &Query, column: &str, counted: &mut usize) -> Option<usize> {
    if let Body::Set { left, right, .. } = &query.body {
        return operand_with(left, column, counted).or_else(|| operand_with(right, column, counted));
    }
    *counted += 1;
    query.visible_targets().any(|target| target.name == column).then_some(*counted)
}

/// The SELECT that names a query's columns.
fn leftmost(body: &QueryBody) -> Option<&tree::Select> {
    match body {
        QueryBody::Select(select) => Some(select),
        QueryBody::SetOperation { left, .. } => leftmost(left),
        QueryBody::Query(query) => leftmost(&query.body),
        QueryBody::Values(_) => None,
    }
}

/// Must the query be kept apart from what follows it?
fn has_own_clauses(query: &tree::Query) -> bool {
    !query.order_by.is_empty() || query.limit.is_some() || query.offset.is_some() || !query.locking.is_empty()
}

/// How many columns a query surely has; `None` if that takes more than a look.
pub(super) fn output_width(query: &tree::Query) -> Option<usize> {
    match &query.body {
        QueryBody::Select(select) if !select.targets.iter().any(|one| matches!(one, tree::Target::Star { .. })) => {
            Some(select.targets.len())
        }
        QueryBody::Values(rows) => rows.first().map(Vec::len),
        _ => None,
    }
}
