//! Queries.
use super::expr::without_cast;
use super::{Deparser, INDENT_STEP, Level};
use crate::parser::tree::{JoinKind, SetOperation};
use crate::typed::{
    Body, Common, CommonBody, DistinctOn, Expr, ExprKind, From, Grouping, Query, Relation, RelationSource, Target,
};
use trivet_types::functions::string::quote_identifier;
use trivet_types::{Datum, oid};

impl<'q> Deparser<'_, 'q> {
    pub(super) fn grouping(&self) -> Option<&'q Grouping> {
        match &self.levels.last()?.query.body {
            Body::Select { grouping, .. } => grouping.as_ref(),
            _ => None,
        }
    }

    /// What a column of a relation is called now.
    pub(super) fn column_name(&self, of: &Relation, column: usize) -> Option<String> {
        match (&of.source, of.view) {
            (RelationSource::Table(table), _) => self.names.column(table.oid, column),
            (RelationSource::Query(_), Some(view)) => self.names.column(view, column),
            _ => of.columns.get(column).map(|column| column.name.clone()),
        }
    }

    /// `columns`: what the outermost query's columns are called by. `with`: it has the statement's WITH.
    pub(super) fn query(&mut self, query: &'q Query, columns: Option<&[String]>, with: bool) -> Option<()> {
        let outside = self.indent;
        let own: &'q [Common] = if with { self.commons } else { &[] };
        self.common_tables(own)?;
        self.levels.push(Level { query });
        let done = self.body(query, columns);
        self.levels.pop();
        self.indent = outside;
        done
    }

    fn common_tables(&mut self, commons: &'q [Common]) -> Option<()> {
        let own: Vec<&'q Common> = commons.iter().filter(|common| !common.of_view).collect();
        if own.is_empty() {
            return Some(());
        }
        let recursive = own.iter().any(|common| matches!(common.body, CommonBody::Recursive { .. }));
        self.indent += INDENT_STEP;
        self.push(" ");
        self.push(if recursive { "WITH RECURSIVE " } else { "WITH " });
        for (at, common) in own.iter().enumerate() {
            if at > 0 {
                self.push(", ");
            }
            self.push(&quote_identifier(&common.name));
            self.push(match common.materialized {
                None => " AS (",
                Some(true) => " AS MATERIALIZED (",
                Some(false) => " AS NOT MATERIALIZED (",
            });
            self.line("", 0, 0, 0);
            match &common.body {
                CommonBody::Query(query) => self.query(query, None, false)?,
                // Its columns' names are in a list that is not kept.
                _ => return None,
            }
            self.line("", 0, 0, 0);
            self.push(")");
        }
        self.indent -= INDENT_STEP;
        self.line("", 0, 0, 0);
        Some(())
    }

    fn body(&mut self, query: &'q Query, columns: Option<&[String]>) -> Option<()> {
        if !query.locks.is_empty() || query.with_ties {
            return None;
        }
        let is_set = matches!(query.body, Body::Set { .. });
        match &query.body {
            Body::Select { from, filter, grouping } => {
                self.select(query, from, filter.as_ref(), grouping.as_ref(), columns)?;
            }
            Body::Set { operation, all, left, right } => {
                self.set_operation((*operation, *all), left, right, columns)?
            }
            Body::Values(rows) => self.values(rows)?,
        }
        if !query.sort.is_empty() {
            self.line(" ORDER BY ", -INDENT_STEP, INDENT_STEP, 1);
            for (at, key) in query.sort.iter().enumerate() {
                if at > 0 {
                    self.push(", ");
                }
                if is_set {
                    self.push(&(key.target + 1).to_string());
                } else {
                    let expr = &query.targets.get(key.target)?.expr;
                    self.sort_or_group(expr)?;
                }
                self.direction(key.descending, key.nulls_first);
            }
        }
        if let Some(offset) = &query.offset {
            self.line(" OFFSET ", -INDENT_STEP, INDENT_STEP, 0);
            self.expr(without_cast(offset))?;
        }
        if let Some(limit) = &query.limit {
            self.line(" LIMIT ", -INDENT_STEP, INDENT_STEP, 0);
            if matches!(limit.kind, ExprKind::Constant(Datum::Null)) {
                self.push("ALL");
            } else {
                self.limit(limit)?;
            }
        }
        Some(())
    }

    fn limit(&mut self, limit: &'q Expr) -> Option<()> {
        match &limit.kind {
            ExprKind::Constant(Datum::Int8(number)) => {
                self.push(&number.to_string());
                Some(())
            }
            _ => self.expr(without_cast(limit)),
        }
    }

    /// A key of ORDER BY or GROUP BY: what is not a plain column is put in parentheses, lest it be read as something else.
    fn sort_or_group(&mut self, expr: &'q Expr) -> Option<()> {
        let resolved = match &expr.kind {
            ExprKind::GroupKey(index) => self.grouping()?.keys.get(*index)?,
            _ => expr,
        };
        let is_column = matches!(resolved.kind, ExprKind::Column { .. } | ExprKind::Constant(_));
        let is_call = matches!(
            resolved.kind,
            ExprKind::Call { .. } | ExprKind::Aggregate(_) | ExprKind::Window(_) | ExprKind::Coalesce(_)
        );
        let operator = matches!(&resolved.kind, ExprKind::Call { procedure, arguments }
            if crate::analyze::print::operator_name(procedure).is_some() && arguments.len() <= 2);
        if !is_column && (self.pretty || (is_call && !operator)) {
            return self.enclosed(|this| this.expr(resolved));
        }
        self.expr(resolved)
    }

    fn select(
        &mut self,
        query: &'q Query,
        from: &'q [From],
        filter: Option<&'q Expr>,
        grouping: Option<&'q Grouping>,
        columns: Option<&[String]>,
    ) -> Option<()> {
        self.indent += INDENT_STEP;
        self.push(" SELECT");
        match &query.distinct {
            None => {}
            Some(DistinctOn::All) => self.push(" DISTINCT"),
            Some(DistinctOn::Targets(targets)) => {
                self.push(" DISTINCT ON (");
                for (at, target) in targets.iter().enumerate() {
                    if at > 0 {
                        self.push(", ");
                    }
                    let expr = &query.targets.get(*target)?.expr;
                    self.sort_or_group(expr)?;
                }
                self.push(")");
            }
        }
        self.targets(query, columns)?;
        for (at, item) in from.iter().enumerate() {
            if at == 0 {
                self.line(" FROM ", -INDENT_STEP, INDENT_STEP, 2);
            } else {
                self.push(", ");
                self.line("", -INDENT_STEP, INDENT_STEP, 4);
            }
            self.from_item(item)?;
        }
        if let Some(filter) = filter {
            self.line(" WHERE ", -INDENT_STEP, INDENT_STEP, 1);
            self.expr(filter)?;
        }
        let Some(grouping) = grouping else { return Some(()) };
        if grouping.sets.is_some() {
            return None;
        }
        for (at, key) in grouping.keys[..grouping.written].iter().enumerate() {
            if at == 0 {
                self.line(" GROUP BY ", -INDENT_STEP, INDENT_STEP, 1);
            } else {
                self.push(", ");
            }
            self.sort_or_group(key)?;
        }
        if let Some(having) = &grouping.having {
            self.line(" HAVING ", -INDENT_STEP, INDENT_STEP, 0);
            self.expr(having)?;
        }
        Some(())
    }

    /// One to a line, but for the first.
    fn targets(&mut self, query: &'q Query, columns: Option<&[String]>) -> Option<()> {
        let mut several_lines = false;
        let visible: Vec<&'q Target> = query.targets.iter().filter(|target| !target.hidden).collect();
        for (at, target) in visible.into_iter().enumerate() {
            self.push(if at == 0 { " " } else { ", " });
            let before = std::mem::take(&mut self.out);
            self.expr(&target.expr)?;
            let shown = match &target.expr.kind {
                ExprKind::Column { up: 0, relation, column } => {
                    let of = query.relations.get(*relation)?;
                    self.column_name(of, *column)
                }
                ExprKind::GroupKey(index) => match &self.grouping()?.keys.get(*index)?.kind {
                    ExprKind::Column { up: 0, relation, column } => {
                        let of = query.relations.get(*relation)?;
                        self.column_name(of, *column)
                    }
                    _ => None,
                },
                _ => None,
            };
            let name = columns.and_then(|columns| columns.get(at)).unwrap_or(&target.name);
            if shown.as_deref().unwrap_or("?column?") != name {
                self.push(&format!(" AS {}", quote_identifier(name)));
            }
            let item = std::mem::replace(&mut self.out, before);
            // What begins a line itself begins it here.
            if item.starts_with('\n') {
                let kept = self.out.trim_end_matches(' ').len();
                self.out.truncate(kept);
            } else if at > 0 {
                self.line("", -INDENT_STEP, INDENT_STEP, 4);
            }
            several_lines |= item.contains('\n');
            self.push(&item);
        }
        let _ = several_lines;
        Some(())
    }

    fn from_item(&mut self, item: &'q From) -> Option<()> {
        let (kind, left, right, condition) = match item {
            From::Relation(at) => return self.relation(*at),
            From::Join { kind, left, right, condition } => (*kind, left, right, condition),
        };
        let right_joins = matches!(**right, From::Join { .. });
        self.wrapped(|this| {
            this.from_item(left)?;
            let word = match (kind, condition) {
                (JoinKind::Inner, Some(_)) => " JOIN ",
                (JoinKind::Inner | JoinKind::Cross, _) => " CROSS JOIN ",
                (JoinKind::Left, _) => " LEFT JOIN ",
                (JoinKind::Right, _) => " RIGHT JOIN ",
                (JoinKind::Full, _) => " FULL JOIN ",
                (JoinKind::Semi | JoinKind::Anti, _) => return None,
            };
            this.line(word, -INDENT_STEP, INDENT_STEP, 4);
            if this.pretty && right_joins {
                this.enclosed(|this| this.from_item(right))?;
            } else {
                this.from_item(right)?;
            }
            match condition {
                Some(condition) => {
                    this.push(" ON ");
                    this.wrapped(|this| this.expr(condition))
                }
                None if matches!(kind, JoinKind::Inner | JoinKind::Cross) => Some(()),
                None => {
                    this.push(" ON TRUE");
                    Some(())
                }
            }
        })
    }

    fn relation(&mut self, at: usize) -> Option<()> {
        let relation = self.levels.last()?.query.relations.get(at)?;
        let alias = quote_identifier(&relation.alias);
        let named = |name: &str| name == alias || name.ends_with(&format!(".{alias}"));
        match (&relation.source, relation.view) {
            (RelationSource::Table(table), _) => {
                let name = self.names.relation(table.oid)?;
                self.push(&name);
                if !named(&name) {
                    self.push(&format!(" {alias}"));
                }
                Some(())
            }
            (RelationSource::Virtual(table), _) => {
                let name = self.names.relation(table.oid)?;
                self.push(&name);
                if !named(&name) {
                    self.push(&format!(" {alias}"));
                }
                Some(())
            }
            (RelationSource::Query(_), Some(view)) => {
                let name = self.names.relation(view)?;
                self.push(&name);
                if !named(&name) {
                    self.push(&format!(" {alias}"));
                }
                Some(())
            }
            (RelationSource::Query(query), None) => {
                if relation.lateral {
                    self.push("LATERAL ");
                }
                self.enclosed(|this| this.query(query, None, false))?;
                self.push(&format!(" {alias}"));
                // A list of column names that says more than the query does.
                let visible = query.targets.iter().filter(|target| !target.hidden).map(|target| &target.name);
                let names = relation.columns.iter().map(|column| &column.name);
                if visible.eq(names) { Some(()) } else { self.column_list(relation) }
            }
            (RelationSource::Common { id, .. }, _) => {
                let common = self.commons.iter().find(|common| common.id == *id)?;
                let name = quote_identifier(&common.name);
                self.push(&name);
                if name != alias {
                    self.push(&format!(" {alias}"));
                }
                Some(())
            }
            (RelationSource::Function { procedure, arguments, ordinality }, _) => {
                if procedure.result == oid::RECORD {
                    return None;
                }
                if relation.lateral {
                    self.push("LATERAL ");
                }
                self.push(&quote_identifier(procedure.name));
                let arguments: Vec<&'q Expr> = arguments.iter().collect();
                self.enclosed(|this| this.separated(&arguments, |this, argument| this.expr(argument)))?;
                if *ordinality {
                    self.push(" WITH ORDINALITY");
                }
                self.push(&format!(" {alias}"));
                self.column_list(relation)
            }
            _ => None,
        }
    }

    fn column_list(&mut self, relation: &'q Relation) -> Option<()> {
        let names: Vec<String> =
            relation.columns.iter().map(|column| quote_identifier(&column.name).to_string()).collect();
        self.push(&format!("({})", names.join(", ")));
        Some(())
    }

    fn values(&mut self, rows: &'q [Vec<Expr>]) -> Option<()> {
        self.indent += INDENT_STEP;
        self.push(" VALUES ");
        for (at, row) in rows.iter().enumerate() {
            if at > 0 {
                self.push(", ");
            }
            let row: Vec<&'q Expr> = row.iter().collect();
            self.enclosed(|this| {
                for (at, value) in row.iter().enumerate() {
                    if at > 0 {
                        this.push(",");
                    }
                    this.expr(value)?;
                }
                Some(())
            })?;
        }
        Some(())
    }

    fn set_operation(
        &mut self,
        (operation, all): (SetOperation, bool),
        left: &'q Query,
        right: &'q Query,
        columns: Option<&[String]>,
    ) -> Option<()> {
        let plain = |query: &Query| query.sort.is_empty() && query.limit.is_none() && query.offset.is_none();
        let same = matches!(&left.body, Body::Set { operation: own, all: own_all, .. }
            if *own == operation && *own_all == all && plain(left));
        let left_set = matches!(left.body, Body::Set { .. });
        self.part(left, (left_set && !same) || !plain(left), left_set, columns)?;
        self.line("", 0, 0, 0);
        self.push(match operation {
            SetOperation::Union => "UNION ",
            SetOperation::Intersect => "INTERSECT ",
            SetOperation::Except => "EXCEPT ",
        });
        if all {
            self.push("ALL ");
        }
        let right_set = matches!(right.body, Body::Set { .. });
        let enclosed = right_set || !plain(right);
        if !enclosed {
            self.line("", 0, 0, 0);
        }
        self.part(right, enclosed, right_set, None)
    }

    fn part(&mut self, query: &'q Query, enclosed: bool, is_set: bool, columns: Option<&[String]>) -> Option<()> {
        if !enclosed {
            return self.query(query, columns, false);
        }
        self.push("(");
        let step = if is_set { INDENT_STEP } else { 0 };
        if is_set {
            self.line("", step, 0, 0);
        }
        self.query(query, columns, false)?;
        if is_set {
            self.line("", -step, 0, 0);
        }
        self.push(")");
        Some(())
    }
}
