//! Which relations does a statement mention? Names of common table expressions among them do no harm.
use crate::parser::tree::*;
use std::collections::HashSet;
use trivet_types::{PgError, PgResult, canonical_name, sqlstate, type_by_name};

pub type RelationNames = HashSet<(Option<String>, String)>;

/// What a look at a statement tells before it is analyzed.
#[derive(Debug, Default)]
pub struct Mentioned {
    /// Every relation name, with its schema if it has one.
    pub relations: RelationNames,
    /// How deep its expressions and queries nest.
    pub depth: usize,
    /// Literals that are read as `regclass`, each with what it names and where it stands.
    pub constants: Vec<RegclassConstant>,
    /// A type is named that is not built in.
    pub user_types: bool,
}

#[derive(Clone, Debug)]
pub struct RegclassConstant {
    pub name: (Option<String>, String),
    pub text: String,
    pub place: Place,
}

impl Mentioned {
    /// 42P01 for a constant that names none of the relations that were found.
    pub fn check_constants(&self, found: &super::Relations) -> PgResult<()> {
        match self.constants.iter().find(|constant| !found.contains_key(&constant.name)) {
            None => Ok(()),
            Some(missing) => {
                let message = format!("relation \"{}\" does not exist", missing.text);
                Err(super::at(missing.place, PgError::new(sqlstate::UNDEFINED_TABLE, message)))
            }
        }
    }
}

pub fn mentioned(statement: &Statement) -> Mentioned {
    let mut names = Collector::default();
    names.statement(statement);
    names.found
}

/// The same of an expression alone.
pub fn mentioned_in(expr: &Expr) -> Mentioned {
    let mut names = Collector::default();
    names.expr(expr);
    names.found
}

pub fn mentioned_in_query(query: &Query) -> Mentioned {
    let mut names = Collector::default();
    names.query(query);
    names.found
}

/// The names in FROM that are not those of common table expressions, each with whether it has an alias.
pub fn named_tables(query: &Query) -> Vec<(QualifiedName, bool)> {
    let mut names = Collector { named: Some(Named::default()), ..Collector::default() };
    names.query(query);
    let Named { mut tables, commons } = names.named.unwrap_or_default();
    tables.retain(|(name, _)| name.schema().is_some() || !commons.contains(name.last()));
    tables
}

/// The relation that text names as `regclass` reads it: `t`, `s.t`, `"T"`. `None` for an OID and for what is no name.
pub fn regclass_name(text: &str) -> Option<(Option<String>, String)> {
    let mut parts: Vec<String> = Vec::new();
    let mut rest = text.trim();
    loop {
        let part = match rest.strip_prefix('"') {
            Some(quoted) => {
                let mut name = String::new();
                let mut characters = quoted.char_indices().peekable();
                let mut end = None;
                while let Some((at, character)) = characters.next() {
                    if character != '"' {
                        name.push(character);
                    } else if characters.next_if(|(_, next)| *next == '"').is_some() {
                        name.push('"');
                    } else {
                        end = Some(at + 1);
                        break;
                    }
                }
                rest = &quoted[end?..];
                name
            }
            None => {
                let end = rest.find(['.', '"']).unwrap_or(rest.len());
                let (name, after) = rest.split_at(end);
                rest = after;
                name.trim().to_lowercase()
            }
        };
        if part.is_empty() {
            return None;
        }
        parts.push(part);
        rest = rest.trim_start();
        match rest.strip_prefix('.') {
            Some(after) => rest = after.trim_start(),
            None if rest.is_empty() => break,
            None => return None,
        }
    }
    let name = parts.pop()?;
    if parts.len() > 1 || (parts.is_empty() && name.bytes().all(|byte| byte.is_ascii_digit())) {
        return None;
    }
    Some((parts.pop(), name))
}

/// Must the catalog say what a type's name means?
pub fn is_user_type_name(name: &TypeName) -> bool {
    let built_in = name.schema.as_deref().is_none_or(|schema| schema == "pg_catalog");
    !built_in || type_by_name(canonical_name(&name.name)).is_none()
}

#[derive(Default)]
struct Collector {
    found: Mentioned,
    depth: usize,
    /// Only if somebody asks.
    named: Option<Named>,
}

#[derive(Default)]
struct Named {
    tables: Vec<(QualifiedName, bool)>,
    commons: HashSet<String>,
}

impl Collector {
    fn name(&mut self, name: &QualifiedName) {
        self.found.relations.insert((name.schema().map(str::to_string), name.last().to_string()));
    }

    fn statement(&mut self, statement: &Statement) {
        match statement {
            Statement::Query(query) => self.query(query),
            Statement::Insert(insert) => {
                self.with(&insert.with);
                self.name(&insert.table);
                if let InsertSource::Query(query) = &insert.source {
                    self.query(query);
                }
                if let Some(OnConflict { action: ConflictAction::Update { assignments, filter }, .. }) =
                    &insert.on_conflict
                {
                    assignments.iter().for_each(|assignment| self.expr(&assignment.value));
                    self.exprs(filter);
                }
                self.targets(&insert.returning);
            }
            Statement::Update(update) => {
                self.with(&update.with);
                self.name(&update.table);
                update.assignments.iter().for_each(|assignment| self.expr(&assignment.value));
                update.from.iter().for_each(|table| self.table(table));
                self.exprs(&update.filter);
                self.targets(&update.returning);
            }
            Statement::Merge(merge) => {
                self.with(&merge.with);
                self.name(&merge.table);
                merge.source.iter().for_each(|table| self.table(table));
                self.expr(&merge.condition);
                for clause in &merge.clauses {
                    self.exprs(&clause.condition);
                    match &clause.action {
                        MergeAction::Update(assignments) => {
                            assignments.iter().for_each(|assignment| self.expr(&assignment.value));
                        }
                        MergeAction::Insert { values, .. } => self.exprs(values.iter().flatten()),
                        MergeAction::Nothing | MergeAction::Delete => {}
                    }
                }
            }
            Statement::Delete(delete) => {
                self.with(&delete.with);
                self.name(&delete.table);
                delete.using.iter().for_each(|table| self.table(table));
                self.exprs(&delete.filter);
                self.targets(&delete.returning);
            }
            Statement::CreateView { query, .. } | Statement::CreateMaterialized { query, .. } => self.query(query),
            Statement::Explain { statement, .. } | Statement::Prepare { statement, .. } => self.statement(statement),
            Statement::Copy(copy) => match &copy.source {
                CopySource::Table { name, .. } => self.name(name),
                CopySource::Query(query) => self.query(query),
                CopySource::Change(statement) => self.statement(statement),
            },
            Statement::CreateTableAs { query, .. } => self.query(query),
            Statement::Declare(Declare { query, .. }) => self.query(query),
            Statement::Execute { arguments, .. } => self.exprs(arguments),
            _ => {}
        }
    }

    fn with(&mut self, with: &Option<With>) {
        for common in with.iter().flat_map(|with| &with.tables) {
            self.statement(&common.statement);
            if let Some(named) = &mut self.named {
                named.commons.insert(common.name.text.clone());
            }
        }
    }

    fn query(&mut self, query: &Query) {
        self.with(&query.with);
        self.body(&query.body);
        query.order_by.iter().for_each(|key| self.expr(&key.expr));
        self.exprs(&query.limit);
        self.exprs(&query.offset);
    }

    fn deeper(&mut self, walk: impl FnOnce(&mut Self)) {
        self.depth += 1;
        self.found.depth = self.found.depth.max(self.depth);
        walk(self);
        self.depth -= 1;
    }

    fn body(&mut self, body: &QueryBody) {
        self.deeper(|names| names.body_here(body));
    }

    fn body_here(&mut self, body: &QueryBody) {
        match body {
            QueryBody::Select(select) => {
                self.targets(&select.targets);
                select.from.iter().for_each(|table| self.table(table));
                self.exprs(&select.filter);
                self.exprs(&select.having);
                select.windows.iter().for_each(|(_, window)| self.window(window));
                for group in &select.group_by {
                    match group {
                        GroupBy::Expr(expr) => self.expr(expr),
                        GroupBy::Rollup(sets) | GroupBy::Cube(sets) | GroupBy::Sets(sets) => {
                            sets.iter().for_each(|set| self.exprs(set));
                        }
                    }
                }
                if let Some(Distinct::On(exprs)) = &select.distinct {
                    self.exprs(exprs);
                }
            }
            QueryBody::Values(rows) => rows.iter().for_each(|row| self.exprs(row)),
            QueryBody::Query(query) => self.query(query),
            QueryBody::SetOperation { left, right, .. } => {
                self.body(left);
                self.body(right);
            }
        }
    }

    fn targets(&mut self, targets: &[Target]) {
        for target in targets {
            if let Target::Expr { expr, .. } = target {
                self.expr(expr);
            }
        }
    }

    fn table(&mut self, table: &TableExpr) {
        self.deeper(|names| names.table_here(table));
    }

    fn table_here(&mut self, table: &TableExpr) {
        match table {
            TableExpr::Table { name, alias, .. } => {
                self.name(name);
                if let Some(named) = &mut self.named {
                    named.tables.push((name.clone(), alias.name.is_some()));
                }
            }
            TableExpr::Query { query, .. } => self.query(query),
            TableExpr::Function { call, alias, .. } => {
                alias.types.iter().flatten().for_each(|name| self.type_name(name));
                self.call(call);
            }
            TableExpr::RowsFrom { calls, .. } => calls.iter().for_each(|(call, _)| self.call(call)),
            TableExpr::Join { left, right, condition, .. } => {
                self.table(left);
                self.table(right);
                if let JoinCondition::On(expr) = condition {
                    self.expr(expr);
                }
            }
        }
    }

    fn exprs<'e>(&mut self, exprs: impl IntoIterator<Item = &'e Expr>) {
        exprs.into_iter().for_each(|expr| self.expr(expr));
    }

    /// A literal that is read as `regclass`.
    fn regclass(&mut self, expr: &Expr) {
        if let ExprKind::Literal(Literal::String(text)) = &expr.kind {
            if let Some(name) = regclass_name(text) {
                self.found.relations.insert(name.clone());
                self.found.constants.push(RegclassConstant { name, text: text.clone(), place: expr.place });
            }
        }
    }

    fn type_name(&mut self, name: &TypeName) {
        if is_user_type_name(name) {
            self.found.user_types = true;
            // A relation's rows are of a type that is called as it is.
            self.found.relations.insert((name.schema.clone(), name.name.clone()));
        }
    }

    fn window(&mut self, window: &WindowDefinition) {
        self.exprs(&window.partition_by);
        window.order_by.iter().for_each(|key| self.expr(&key.expr));
    }

    fn call(&mut self, call: &FunctionCall) {
        if matches!(call.name.last(), "nextval" | "currval" | "setval") {
            call.arguments.iter().take(1).for_each(|argument| self.regclass(&argument.value));
        }
        call.arguments.iter().for_each(|argument| self.expr(&argument.value));
        call.order_by.iter().for_each(|key| self.expr(&key.expr));
        self.exprs(call.filter.as_deref());
        call.within_group.iter().for_each(|key| self.expr(&key.expr));
        if let Some(Window::Defined(window)) = &call.over {
            self.window(window);
        }
    }

    fn expr(&mut self, expr: &Expr) {
        self.deeper(|names| names.expr_here(expr));
    }

    fn expr_here(&mut self, expr: &Expr) {
        use ExprKind::*;
        match &expr.kind {
            Column(_) | Star(_) | Parameter(_) | Literal(_) | Default => {}
            AllFields(operand) => self.expr(operand),
            Unary { operand, .. } | Not(operand) | Collate { operand, .. } | Field { operand, .. } => {
                self.expr(operand);
            }
            Cast { operand, to } => {
                self.type_name(to);
                // A constant may name a user's type.
                if let (true, Literal(crate::parser::tree::Literal::String(text))) =
                    (to.name == "regtype", &operand.kind)
                {
                    self.found.user_types = true;
                    let element = text.trim().trim_end_matches("[]");
                    self.found.relations.extend(regclass_name(element));
                }
                if to.name == "regclass" && !to.array {
                    self.regclass(operand);
                }
                self.expr(operand);
            }
            Is { operand, .. } => self.expr(operand),
            Binary { left, right, .. } | DistinctFrom { left, right, .. } | Quantified { left, right, .. } => {
                self.expr(left);
                self.expr(right);
            }
            And(list) | Or(list) | Row(list) | Array(list) => self.exprs(list),
            InList { operand, list, .. } => {
                self.expr(operand);
                self.exprs(list);
            }
            InQuery { operand, query, .. } => {
                self.expr(operand);
                self.query(query);
            }
            Between { operand, low, high, .. } => {
                self.expr(operand);
                self.expr(low);
                self.expr(high);
            }
            Function(call) => self.call(call),
            Case { operand, branches, otherwise } => {
                self.exprs(operand.as_deref());
                branches.iter().for_each(|(when, then)| {
                    self.expr(when);
                    self.expr(then);
                });
                self.exprs(otherwise.as_deref());
            }
            Subquery(query) | Exists(query) | ArrayQuery(query) => self.query(query),
            Subscript { operand, subscripts } => {
                self.expr(operand);
                for subscript in subscripts {
                    match subscript {
                        crate::parser::tree::Subscript::Index(index) => self.expr(index),
                        crate::parser::tree::Subscript::Slice(low, high) => {
                            self.exprs(low);
                            self.exprs(high);
                        }
                    }
                }
            }
        }
    }
}
