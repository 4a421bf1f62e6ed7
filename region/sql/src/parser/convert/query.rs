//! SELECT, VALUES, WITH, set operations, FROM.
use super::super::places::{first_of_query, first_token};
use super::super::traversal;
use super::super::tree::*;
use super::{Converter, refuse};
use sqlparser::ast;
use trivet_txn::{LockStrength, LockWait};
use trivet_types::{PgError, PgResult};

impl Converter<'_> {
    /// A query, or a data-modifying statement under WITH, which the library wraps in one.
    pub fn query_statement(&mut self, query: ast::Query) -> PgResult<Statement> {
        match *query.body {
            ast::SetExpr::Insert(ast::Statement::Insert(insert)) => {
                let with = self.with(query.with)?;
                self.insert(insert, with)
            }
            ast::SetExpr::Update(ast::Statement::Update(update)) => {
                let with = self.with(query.with)?;
                self.update(update, with)
            }
            ast::SetExpr::Delete(ast::Statement::Delete(delete)) => {
                let with = self.with(query.with)?;
                self.delete(delete, with)
            }
            mut body => {
                let into = match &mut body {
                    ast::SetExpr::Select(select) => select.into.take(),
                    _ => None,
                };
                let query = self.query(ast::Query { body: Box::new(body), ..query })?;
                let Some(into) = into else { return Ok(Statement::Query(query)) };
                let parts = match into.targets.as_slice() {
                    [ast::Expr::Identifier(name)] => vec![self.identifier(name.clone())],
                    [ast::Expr::CompoundIdentifier(names)] => self.identifiers(names.clone()),
                    _ => return Err(PgError::unsupported("this form of SELECT INTO")),
                };
                Ok(Statement::CreateTableAs {
                    name: QualifiedName { parts },
                    columns: vec![],
                    query,
                    if_not_exists: false,
                    with_data: true,
                    temporary: into.temporary,
                    on_commit: None,
                })
            }
        }
    }

    pub fn query(&mut self, query: ast::Query) -> PgResult<Query> {
        self.deeper(|converter| converter.query_here(query))
    }

    fn query_here(&mut self, query: ast::Query) -> PgResult<Query> {
        refuse! {
            query.for_clause.is_some() => "FOR XML and FOR JSON";
            query.settings.is_some() || query.format_clause.is_some() => "SETTINGS and FORMAT";
            !query.pipe_operators.is_empty() => "pipe operators";
        }
        let (limit, offset) = self.limit(query.limit_clause)?;
        let (limit, with_ties) = self.fetch(limit, query.fetch)?;
        Ok(Query {
            with: self.with(query.with)?,
            body: self.body(*query.body)?,
            order_by: self.order_by(query.order_by)?,
            limit,
            offset,
            with_ties,
            locking: query.locks.into_iter().map(|lock| self.locking(lock)).collect::<PgResult<_>>()?,
        })
    }

    fn limit(&mut self, clause: Option<ast::LimitClause>) -> PgResult<(Option<Expr>, Option<Expr>)> {
        match clause {
            None => Ok((None, None)),
            Some(ast::LimitClause::LimitOffset { limit, offset, limit_by }) if limit_by.is_empty() => {
                Ok((self.optional(limit)?, self.optional(offset.map(|offset| offset.value))?))
            }
            Some(_) => Err(PgError::unsupported("this form of LIMIT").hint("Use separate LIMIT and OFFSET clauses.")),
        }
    }

    fn fetch(&mut self, limit: Option<Expr>, fetch: Option<ast::Fetch>) -> PgResult<(Option<Expr>, bool)> {
        let Some(fetch) = fetch else { return Ok((limit, false)) };
        refuse! { fetch.percent => "FETCH ... PERCENT"; }
        let one = || Expr { kind: ExprKind::Literal(Literal::Number("1".into())), place: Place::default() };
        Ok((Some(self.optional(fetch.quantity)?.unwrap_or_else(one)), fetch.with_ties))
    }

    pub fn with(&mut self, with: Option<ast::With>) -> PgResult<Option<With>> {
        let Some(with) = with else { return Ok(None) };
        let mut tables = Vec::with_capacity(with.cte_tables.len());
        for cte in with.cte_tables {
            let alias = self.alias(Some(cte.alias))?;
            let (search, cycle) = traversal::of_table(self.source, &cte.closing_paren_token.0);
            tables.push(CommonTable {
                search,
                cycle,
                name: alias.name.expect("a common table expression has a name"),
                columns: alias.columns,
                materialized: cte.materialized.map(|word| matches!(word, ast::CteAsMaterialized::Materialized)),
                statement: Box::new(self.deeper(|converter| converter.query_statement(*cte.query))?),
            });
        }
        Ok(Some(With { recursive: with.recursive, tables }))
    }

    fn body(&mut self, body: ast::SetExpr) -> PgResult<QueryBody> {
        self.deeper(|converter| converter.body_here(body))
    }

    fn body_here(&mut self, body: ast::SetExpr) -> PgResult<QueryBody> {
        Ok(match body {
            ast::SetExpr::Select(select) => QueryBody::Select(Box::new(self.select(*select)?)),
            ast::SetExpr::Query(query) => QueryBody::Query(Box::new(self.query(*query)?)),
            ast::SetExpr::Values(values) => {
                QueryBody::Values(values.rows.into_iter().map(|row| self.exprs(row.content)).collect::<PgResult<_>>()?)
            }
            ast::SetExpr::SetOperation { left, op, set_quantifier, right } => {
                let operation = match op {
                    ast::SetOperator::Union => SetOperation::Union,
                    ast::SetOperator::Intersect => SetOperation::Intersect,
                    ast::SetOperator::Except | ast::SetOperator::Minus => SetOperation::Except,
                };
                let all = match set_quantifier {
                    ast::SetQuantifier::All => true,
                    ast::SetQuantifier::Distinct | ast::SetQuantifier::None => false,
                    other => return Err(PgError::unsupported(format!("{other} in a set operation"))),
                };
                QueryBody::SetOperation {
                    operation,
                    all,
                    left: Box::new(self.body(*left)?),
                    right: Box::new(self.body(*right)?),
                }
            }
            ast::SetExpr::Table(table) => {
                let parts = [table.schema_name, table.table_name].into_iter().flatten();
                let name = QualifiedName { parts: parts.map(|part| self.identifier(part)).collect() };
                let targets = vec![Target::Star { of: None, place: name.place() }];
                let from = vec![TableExpr::Table { name, alias: Alias::default(), only: false }];
                QueryBody::Select(Box::new(Select::of(targets, from)))
            }
            _ => return Err(PgError::unsupported("a data-modifying statement here")),
        })
    }

    fn select(&mut self, select: ast::Select) -> PgResult<Select> {
        refuse! {
            select.into.is_some() => "SELECT INTO";
            select.top.is_some() => "TOP";
            select.qualify.is_some() => "QUALIFY";
            !select.lateral_views.is_empty() => "LATERAL VIEW";
            !select.connect_by.is_empty() => "CONNECT BY";
            select.exclude.is_some() => "EXCLUDE";
            select.prewhere.is_some() || select.value_table_mode.is_some() || select.select_modifiers.is_some()
                || !select.cluster_by.is_empty() || !select.distribute_by.is_empty() || !select.sort_by.is_empty()
                => "this form of SELECT";
        }
        Ok(Select {
            distinct: match select.distinct {
                None | Some(ast::Distinct::All) => None,
                Some(ast::Distinct::Distinct) => Some(Distinct::All),
                Some(ast::Distinct::On(keys)) => Some(Distinct::On(self.exprs(keys)?)),
            },
            targets: self.targets(select.projection)?,
            from: self.from(select.from)?,
            filter: self.optional(select.selection)?,
            group_distinct: grouped_distinct(&select.group_by),
            group_by: self.group_by(select.group_by)?,
            having: self.optional(select.having)?,
            windows: select
                .named_window
                .into_iter()
                .map(|window| self.named_window(window))
                .collect::<PgResult<_>>()?,
        })
    }

    pub fn targets(&mut self, items: Vec<ast::SelectItem>) -> PgResult<Vec<Target>> {
        items.into_iter().map(|item| self.target(item)).collect()
    }

    fn target(&mut self, item: ast::SelectItem) -> PgResult<Target> {
        Ok(match item {
            ast::SelectItem::UnnamedExpr(expr) => target_of(self.expr(expr)?, None),
            ast::SelectItem::ExprWithAlias { expr, alias } => {
                self.check_bare_label(&alias)?;
                let expr = self.expr(expr)?;
                target_of(expr, Some(self.identifier(alias)))
            }
            ast::SelectItem::Wildcard(options) => {
                let place = self.source.place_of(options.wildcard_token.0.span);
                plain_star(&options)?;
                Target::Star { of: None, place }
            }
            ast::SelectItem::QualifiedWildcard(ast::SelectItemQualifiedWildcardKind::ObjectName(name), options) => {
                plain_star(&options)?;
                let name = self.name(name)?;
                Target::Star { place: name.place(), of: Some(name) }
            }
            other => return Err(PgError::unsupported(format!("{other} in a select list"))),
        })
    }

    /// Some words name a column only behind AS.
    fn check_bare_label(&self, alias: &ast::Ident) -> PgResult<()> {
        const WANT_AS: &[&str] = &[
            "char",
            "character",
            "day",
            "filter",
            "hour",
            "isnull",
            "minute",
            "month",
            "notnull",
            "over",
            "overlaps",
            "precision",
            "second",
            "varying",
            "within",
            "without",
            "year",
        ];
        let wants = alias.quote_style.is_none() && WANT_AS.iter().any(|word| alias.value.eq_ignore_ascii_case(word));
        let Some(at) = self.source.token_at(alias.span.start).filter(|at| wants && *at > 0) else { return Ok(()) };
        match self.source.token(at) {
            Some(token) if !self.source.token_is(at - 1, "as") => Err(self.source.syntax_error(token)),
            _ => Ok(()),
        }
    }

    fn group_by(&mut self, group_by: ast::GroupByExpr) -> PgResult<Vec<GroupBy>> {
        let ast::GroupByExpr::Expressions(exprs, modifiers) = group_by else {
            return Err(PgError::unsupported("GROUP BY ALL"));
        };
        refuse! { !modifiers.is_empty() => "GROUP BY ... WITH"; }
        let mut grouped = Vec::with_capacity(exprs.len());
        for expr in exprs {
            if is_group_distinct(&expr) {
                continue;
            }
            grouped.push(match expr {
                ast::Expr::Rollup(sets) => GroupBy::Rollup(self.expr_lists(sets)?),
                ast::Expr::Cube(sets) => GroupBy::Cube(self.expr_lists(sets)?),
                ast::Expr::GroupingSets(sets) => GroupBy::Sets(self.expr_lists(sets)?),
                other => GroupBy::Expr(self.expr(other)?),
            });
        }
        Ok(grouped)
    }

    fn expr_lists(&mut self, lists: Vec<Vec<ast::Expr>>) -> PgResult<Vec<Vec<Expr>>> {
        lists.into_iter().map(|list| self.exprs(list)).collect()
    }

    fn order_by(&mut self, order_by: Option<ast::OrderBy>) -> PgResult<Vec<SortKey>> {
        match order_by {
            None => Ok(vec![]),
            Some(ast::OrderBy { kind: ast::OrderByKind::Expressions(keys), interpolate: None }) => self.sort_keys(keys),
            Some(_) => Err(PgError::unsupported("this form of ORDER BY")),
        }
    }

    pub fn sort_keys(&mut self, keys: Vec<ast::OrderByExpr>) -> PgResult<Vec<SortKey>> {
        keys.into_iter().map(|key| self.sort_key(key)).collect()
    }

    pub fn sort_key(&mut self, key: ast::OrderByExpr) -> PgResult<SortKey> {
        refuse! { key.with_fill.is_some() => "WITH FILL"; }
        let descending = match key.options.sort {
            None | Some(ast::OrderBySort::Asc) => false,
            Some(ast::OrderBySort::Desc) => true,
            Some(ast::OrderBySort::Using(operator)) => {
                let symbol = operator.to_string();
                let after = first_token(&key.expr).and_then(|first| self.source.token_at(first));
                let place = after.and_then(|after| {
                    let using = (after..self.source.tokens.len()).find(|at| self.source.token_is(*at, "using"))?;
                    Some(self.source.place_of_token(using + 1))
                });
                let message = format!("operator {symbol} is not a valid ordering operator");
                let error = PgError::new(trivet_types::sqlstate::WRONG_OBJECT_TYPE, message)
                    .hint("Ordering operators must be \"<\" or \">\" members of btree operator families.");
                return Err(match place.and_then(Place::known) {
                    Some(place) => error.position(place),
                    None => error,
                });
            }
        };
        Ok(SortKey { expr: self.expr(key.expr)?, descending, nulls_first: key.options.nulls_first })
    }

    fn locking(&mut self, lock: ast::LockClause) -> PgResult<Locking> {
        Ok(Locking {
            strength: self.lock_strengths.pop_front().unwrap_or(match lock.lock_type {
                ast::LockType::Share => LockStrength::Share,
                ast::LockType::Update => LockStrength::Update,
            }),
            of: lock.of.into_iter().map(|name| self.name(name)).collect::<PgResult<_>>()?,
            wait: match lock.nonblock {
                None => LockWait::Wait,
                Some(ast::NonBlock::Nowait) => LockWait::NoWait,
                Some(ast::NonBlock::SkipLocked) => LockWait::SkipLocked,
            },
        })
    }

    pub fn from(&mut self, tables: Vec<ast::TableWithJoins>) -> PgResult<Vec<TableExpr>> {
        tables.into_iter().map(|table| self.joined(table)).collect()
    }

    fn joined(&mut self, table: ast::TableWithJoins) -> PgResult<TableExpr> {
        let mut left = self.table_factor(table.relation)?;
        let joins = table.joins.len();
        if joins > super::DEPTH_MAX {
            return Err(super::too_deep());
        }
        for join in table.joins {
            left = self.join(left, join)?;
        }
        Ok(left)
    }

    fn join(&mut self, left: TableExpr, join: ast::Join) -> PgResult<TableExpr> {
        use ast::JoinOperator as J;
        let after = last_token(&join.relation).and_then(|last| self.source.token_at(last));
        let right = self.table_factor(join.relation)?;
        let (kind, constraint) = match join.join_operator {
            J::Join(constraint) | J::Inner(constraint) => (JoinKind::Inner, constraint),
            J::Left(constraint) | J::LeftOuter(constraint) => (JoinKind::Left, constraint),
            J::Right(constraint) | J::RightOuter(constraint) => (JoinKind::Right, constraint),
            J::FullOuter(constraint) => (JoinKind::Full, constraint),
            J::CrossJoin(constraint) => (JoinKind::Cross, constraint),
            _ => return Err(PgError::unsupported("this kind of join")),
        };
        let condition = match constraint {
            ast::JoinConstraint::None if kind != JoinKind::Cross => {
                return Err(match after.and_then(|after| self.source.token(after + 1)) {
                    Some(token) => self.source.syntax_error(token),
                    None => PgError::new(trivet_types::sqlstate::SYNTAX_ERROR, "syntax error at end of input"),
                });
            }
            ast::JoinConstraint::None => JoinCondition::None,
            ast::JoinConstraint::On(condition) => JoinCondition::On(self.boxed(condition)?),
            ast::JoinConstraint::Natural => JoinCondition::Natural,
            ast::JoinConstraint::Using(columns) => JoinCondition::Using(
                columns.into_iter().map(|column| self.single_name(column, "column name")).collect::<PgResult<_>>()?,
                None,
            ),
            ast::JoinConstraint::UsingAlias(columns, alias) => JoinCondition::Using(
                columns.into_iter().map(|column| self.single_name(column, "column name")).collect::<PgResult<_>>()?,
                Some(self.identifier(alias)),
            ),
        };
        Ok(TableExpr::Join { kind, left: Box::new(left), right: Box::new(right), condition, alias: Alias::default() })
    }

    fn table_factor(&mut self, factor: ast::TableFactor) -> PgResult<TableExpr> {
        self.deeper(|converter| converter.table_factor_here(factor))
    }

    fn table_factor_here(&mut self, factor: ast::TableFactor) -> PgResult<TableExpr> {
        use ast::TableFactor as T;
        Ok(match factor {
            T::Table { name, alias, args: None, sample, with_ordinality: false, inheritance, .. } => {
                if let Some(call) = self.value_as_table(&name) {
                    let (place, alias) = (call.name.place(), self.alias(alias)?);
                    return Ok(TableExpr::Function { call, place, alias, lateral: false, ordinality: false });
                }
                let (name, alias) = (self.name(name)?, self.alias(alias)?);
                let table = TableExpr::Table { name, alias, only: inheritance.is_some() };
                match sample {
                    None => table,
                    Some(
                        ast::TableSampleKind::BeforeTableAlias(sample) | ast::TableSampleKind::AfterTableAlias(sample),
                    ) => self.sampled(table, *sample)?,
                }
            }
            T::Table { name, alias, args: Some(args), with_ordinality, .. } => {
                self.table_function(name, args.args, alias, false, with_ordinality)?
            }
            T::Function { lateral, name, args, alias, with_ordinality } => {
                self.table_function(name, args, alias, lateral, with_ordinality)?
            }
            T::UNNEST { alias, array_exprs, with_offset: false, with_ordinality, .. } => {
                let name = ast::ObjectName::from(vec![ast::Ident::new("unnest")]);
                let args = array_exprs
                    .into_iter()
                    .map(|expr| ast::FunctionArg::Unnamed(ast::FunctionArgExpr::Expr(expr)))
                    .collect();
                self.table_function(name, args, alias, false, with_ordinality)?
            }
            T::Derived { lateral, subquery, alias, sample: None } => {
                if alias.is_none() {
                    let place = self.place_of_parenthesis(first_of_query(&subquery), &["select", "values", "with"]);
                    let (what, example) = match &*subquery.body {
                        ast::SetExpr::Values(_) => ("VALUES", "(VALUES ...)"),
                        _ => ("subquery", "(SELECT ...)"),
                    };
                    let message = format!("{what} in FROM must have an alias");
                    let error = PgError::new(trivet_types::sqlstate::SYNTAX_ERROR, message)
                        .hint(format!("For example, FROM {example} [AS] foo."));
                    return Err(match place.known() {
                        Some(place) => error.position(place),
                        None => error,
                    });
                }
                TableExpr::Query { query: Box::new(self.query(*subquery)?), alias: self.alias(alias)?, lateral }
            }
            T::NestedJoin { table_with_joins, alias } => {
                let outer = self.alias(alias)?;
                match self.joined(*table_with_joins)? {
                    TableExpr::Join { kind, left, right, condition, .. } => {
                        TableExpr::Join { kind, left, right, condition, alias: outer }
                    }
                    single => single,
                }
            }
            other => return Err(PgError::unsupported(format!("{other} in FROM"))),
        })
    }

    /// `FROM current_date`: a value as a table.
    fn value_as_table(&mut self, name: &ast::ObjectName) -> Option<FunctionCall> {
        const VALUES: &[&str] = &[
            "current_date",
            "current_time",
            "current_timestamp",
            "localtime",
            "localtimestamp",
            "current_role",
            "current_user",
            "session_user",
            "user",
            "current_catalog",
            "current_schema",
        ];
        let [ast::ObjectNamePart::Identifier(ident)] = name.0.as_slice() else { return None };
        if ident.quote_style.is_some() || !VALUES.contains(&ident.value.to_ascii_lowercase().as_str()) {
            return None;
        }
        let name = QualifiedName { parts: vec![self.identifier(ident.clone())] };
        Some(FunctionCall {
            name,
            arguments: vec![],
            star: false,
            distinct: false,
            variadic: false,
            order_by: vec![],
            filter: None,
            over: None,
            within_group: vec![],
        })
    }

    fn table_function(
        &mut self,
        name: ast::ObjectName,
        args: Vec<ast::FunctionArg>,
        alias: Option<ast::TableAlias>,
        lateral: bool,
        ordinality: bool,
    ) -> PgResult<TableExpr> {
        let name = self.name(name)?;
        if name.last() == super::super::rewrite::ROWS_FROM {
            return self.rows_from(name.place(), args, alias, ordinality);
        }
        let mut arguments = Vec::with_capacity(args.len());
        for arg in args {
            match self.argument(arg)? {
                Some(argument) => arguments.push(argument),
                None => return Err(PgError::unsupported("* as an argument of a function in FROM")),
            }
        }
        let place = name.place();
        let call = FunctionCall {
            name,
            arguments,
            star: false,
            distinct: false,
            variadic: false,
            order_by: vec![],
            filter: None,
            over: None,
            within_group: vec![],
        };
        Ok(TableExpr::Function { call, place, alias: self.alias(alias)?, lateral, ordinality })
    }

    fn rows_from(
        &mut self,
        place: Place,
        args: Vec<ast::FunctionArg>,
        alias: Option<ast::TableAlias>,
        ordinality: bool,
    ) -> PgResult<TableExpr> {
        let mut calls = Vec::with_capacity(args.len());
        for arg in args {
            match self.argument(arg)?.map(|argument| argument.value.kind) {
                Some(ExprKind::Function(call)) => calls.push((call, Alias::default())),
                _ => return Err(PgError::unsupported("something other than a function call in ROWS FROM")),
            }
        }
        Ok(TableExpr::RowsFrom { calls, place, alias: self.alias(alias)?, ordinality })
    }

    pub fn alias(&mut self, alias: Option<ast::TableAlias>) -> PgResult<Alias> {
        let Some(alias) = alias else { return Ok(Alias::default()) };
        let mut result = Alias { name: Some(self.identifier(alias.name)), columns: vec![], types: vec![] };
        for column in alias.columns {
            result.columns.push(self.identifier(column.name));
            result.types.push(column.data_type.map(|data_type| self.type_name(data_type)).transpose()?);
        }
        Ok(result)
    }

    fn named_window(&mut self, window: ast::NamedWindowDefinition) -> PgResult<(Name, WindowDefinition)> {
        let name = self.identifier(window.0);
        let definition = match window.1 {
            ast::NamedWindowExpr::NamedWindow(base) => {
                WindowDefinition { base: Some(self.identifier(base)), ..WindowDefinition::default() }
            }
            ast::NamedWindowExpr::WindowSpec(spec) => self.window(spec, name.place)?,
        };
        Ok((name, definition))
    }

    /// `call`: the place of the function that is called over it.
    pub fn window_type(&mut self, window: ast::WindowType, call: Place) -> PgResult<Window> {
        Ok(match window {
            ast::WindowType::NamedWindow(name) => Window::Named(self.identifier(name)),
            ast::WindowType::WindowSpec(spec) => Window::Defined(self.window(spec, call)?),
        })
    }

    fn window(&mut self, spec: ast::WindowSpec, behind: Place) -> PgResult<WindowDefinition> {
        let (exclude, base) = super::super::rewrite::split_exclusion(spec.window_name);
        let base = base.map(|name| self.identifier(name));
        Ok(WindowDefinition {
            partition_by: self.exprs(spec.partition_by)?,
            order_by: self.sort_keys(spec.order_by)?,
            frame: spec.window_frame.map(|frame| self.frame(frame, exclude)).transpose()?,
            base,
            places: self.source.window_behind(behind).unwrap_or_default(),
        })
    }

    fn frame(&mut self, frame: ast::WindowFrame, exclude: FrameExclude) -> PgResult<Frame> {
        Ok(Frame {
            unit: match frame.units {
                ast::WindowFrameUnits::Rows => FrameUnit::Rows,
                ast::WindowFrameUnits::Range => FrameUnit::Range,
                ast::WindowFrameUnits::Groups => FrameUnit::Groups,
            },
            start: self.frame_bound(frame.start_bound)?,
            end: match frame.end_bound {
                Some(bound) => self.frame_bound(bound)?,
                None => FrameBound::CurrentRow,
            },
            exclude,
        })
    }

    fn frame_bound(&mut self, bound: ast::WindowFrameBound) -> PgResult<FrameBound> {
        use ast::WindowFrameBound as B;
        Ok(match bound {
            B::CurrentRow => FrameBound::CurrentRow,
            B::Preceding(None) => FrameBound::UnboundedPreceding,
            B::Preceding(Some(offset)) => FrameBound::Preceding(self.frame_offset(*offset)?),
            B::Following(None) => FrameBound::UnboundedFollowing,
            B::Following(Some(offset)) => FrameBound::Following(self.frame_offset(*offset)?),
        })
    }

    /// The library reads a string here as an interval.
    fn frame_offset(&mut self, offset: ast::Expr) -> PgResult<Box<Expr>> {
        match offset {
            ast::Expr::Interval(ast::Interval { value, leading_field: None, last_field: None, .. }) => {
                self.boxed(*value)
            }
            offset => self.boxed(offset),
        }
    }
}

fn is_group_distinct(expr: &ast::Expr) -> bool {
    matches!(expr, ast::Expr::Identifier(name) if name.value == super::super::rewrite::GROUP_DISTINCT)
}

fn grouped_distinct(group_by: &ast::GroupByExpr) -> bool {
    matches!(group_by, ast::GroupByExpr::Expressions(exprs, _) if exprs.first().is_some_and(is_group_distinct))
}

/// `t.*` stands for columns; a label for all of them changes nothing.
fn target_of(expr: Expr, alias: Option<Name>) -> Target {
    match expr {
        Expr { kind: ExprKind::Star(of), place } => Target::Star { of: Some(of), place },
        expr => Target::Expr { expr, alias },
    }
}

/// The last name of a part of FROM: its alias, or the table's.
fn last_token(factor: &ast::TableFactor) -> Option<sqlparser::tokenizer::Location> {
    let alias = match factor {
        ast::TableFactor::Table { alias, .. }
        | ast::TableFactor::Derived { alias, .. }
        | ast::TableFactor::Function { alias, .. } => alias.as_ref(),
        _ => return None,
    };
    if let Some(alias) = alias {
        return alias.columns.is_empty().then_some(alias.name.span.start);
    }
    match factor {
        ast::TableFactor::Table { name, args: None, .. } => match name.0.last()? {
            ast::ObjectNamePart::Identifier(ident) => Some(ident.span.start),
            ast::ObjectNamePart::Function(_) => None,
        },
        _ => None,
    }
}

fn plain_star(options: &ast::WildcardAdditionalOptions) -> PgResult<()> {
    refuse! {
        options.opt_ilike.is_some() || options.opt_exclude.is_some() || options.opt_except.is_some()
            || options.opt_replace.is_some() || options.opt_rename.is_some() || options.opt_alias.is_some()
            => "* with options";
    }
    Ok(())
}
