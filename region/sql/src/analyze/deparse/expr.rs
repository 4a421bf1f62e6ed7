//! Expressions.
use super::Deparser;
use crate::analyze::print::{constant, grammar_word, operator_name};
use crate::analyze::same_expr;
use crate::parser::tree::{FrameExclude, FrameUnit};
use crate::typed::{Aggregate, Expr, ExprKind, Frame, FrameBound, Subquery, SubqueryKind, WindowCall};
use trivet_types::functions::string::quote_identifier;
use trivet_types::registry::{CastMethod, Procedure, registry};
use trivet_types::{Datum, Oid, display_name, oid};

/// What stands around an expression, as far as parentheses go; what has brackets of its own asks for none.
#[derive(Clone, Copy)]
pub(super) enum Parent<'e> {
    Operator(&'e str),
    And,
    Or,
    Not,
    Cast,
    Other,
}

/// What an expression looks like.
enum Shape<'e> {
    /// A name, a constant, a call: it needs no parentheses anywhere.
    Simple,
    /// A cast that shows as its operand does.
    Cast(&'e Expr),
    Operator(&'static str, &'e [Expr]),
    And,
    Or,
    Not,
    /// `IS NULL` and the like, subqueries.
    Test,
    /// `= ANY`
    Quantified,
}

fn cast_operand(expr: &Expr) -> Option<&Expr> {
    match &expr.kind {
        ExprKind::Convert(operand) | ExprKind::ConvertElements(operand) | ExprKind::Relabel(operand) => Some(operand),
        ExprKind::Fit { operand, .. } => Some(operand),
        _ => None,
    }
}

/// The operand of a cast that a function performs.
fn called_cast<'e>(procedure: &Procedure, arguments: &'e [Expr], expr: &Expr) -> Option<&'e Expr> {
    let [only] = arguments else { return None };
    let cast = registry().cast(only.type_oid, expr.type_oid)?;
    matches!(cast.method, CastMethod::Procedure(oid) if oid == procedure.oid).then_some(only)
}

fn shape(expr: &Expr) -> Shape<'_> {
    if grammar_word(expr).is_some() {
        return Shape::Simple;
    }
    if let Some(operand) = cast_operand(expr) {
        return Shape::Cast(operand);
    }
    match &expr.kind {
        ExprKind::Call { procedure, arguments } => {
            if called_cast(procedure, arguments, expr).is_some() {
                return Shape::Simple;
            }
            match operator_name(procedure) {
                Some(operator) if (1..=2).contains(&arguments.len()) => Shape::Operator(operator, arguments),
                _ => Shape::Simple,
            }
        }
        ExprKind::And(_) => Shape::And,
        ExprKind::Or(_) => Shape::Or,
        ExprKind::Not(_) => Shape::Not,
        ExprKind::IsNull { .. } | ExprKind::IsBoolean { .. } | ExprKind::Distinct { .. } | ExprKind::Subquery(_) => {
            Shape::Test
        }
        ExprKind::Quantified { .. } => Shape::Quantified,
        _ => Shape::Simple,
    }
}

/// Can it stand there without parentheses?
fn is_simple(expr: &Expr, parent: Parent<'_>, first: bool) -> bool {
    let tests = matches!(parent, Parent::And | Parent::Or | Parent::Not);
    match shape(expr) {
        Shape::Simple => true,
        Shape::Cast(operand) => is_simple(operand, Parent::Cast, true),
        Shape::Operator(operator, [_, _]) if matches!(parent, Parent::Operator(_)) => {
            let Parent::Operator(around) = parent else { return false };
            let (low, high) = (["+", "-"], ["*", "/", "%"]);
            let strength = |operator: &str| match operator {
                operator if low.contains(&operator) => Some(0),
                operator if high.contains(&operator) => Some(1),
                _ => None,
            };
            match (strength(operator), strength(around)) {
                (Some(own), Some(around)) => own > around || (own == around && first),
                _ => false,
            }
        }
        Shape::Operator(..) | Shape::Test => tests,
        Shape::And | Shape::Not => matches!(parent, Parent::And | Parent::Or),
        Shape::Or => matches!(parent, Parent::Or),
        Shape::Quantified => false,
    }
}

impl<'q> Deparser<'_, 'q> {
    /// An operand: in parentheses if it needs some there.
    fn operand(&mut self, expr: &'q Expr, parent: Parent<'_>, first: bool) -> Option<()> {
        if self.pretty && !is_simple(expr, parent, first) {
            return self.enclosed(|this| this.expr(expr));
        }
        self.expr(expr)
    }

    pub(super) fn expr(&mut self, expr: &'q Expr) -> Option<()> {
        if let Some(word) = grammar_word(expr) {
            self.push(&word);
            return Some(());
        }
        match &expr.kind {
            ExprKind::Constant(datum) => {
                let text = constant(datum, expr, self.environment);
                self.push(&text);
                Some(())
            }
            ExprKind::Column { up, relation, column } => self.column(*up, *relation, *column),
            ExprKind::GroupKey(index) => {
                let key = self.grouping()?.keys.get(*index)?;
                self.expr(key)
            }
            ExprKind::Aggregate(index) => {
                let aggregate = self.grouping()?.aggregates.get(*index)?;
                self.aggregate(aggregate)
            }
            ExprKind::Window(index) => {
                let window = self.levels.last()?.query.windows.get(*index)?;
                self.window(window)
            }
            ExprKind::Call { procedure, arguments } => self.call(procedure, arguments, expr),
            ExprKind::Convert(operand) | ExprKind::ConvertElements(operand) | ExprKind::Relabel(operand) => {
                self.cast(operand, expr)
            }
            // A constant's length is applied again where it is stored.
            ExprKind::Fit { operand, .. } if matches!(operand.kind, ExprKind::Constant(_)) => self.expr(operand),
            ExprKind::Fit { operand, .. } => match cast_operand(operand) {
                // One cast does both.
                Some(inner) if operand.type_oid == expr.type_oid => self.cast(inner, expr),
                _ => self.cast(operand, expr),
            },
            ExprKind::And(terms) => self.joined(terms, " AND ", Parent::And),
            ExprKind::Or(terms) => self.joined(terms, " OR ", Parent::Or),
            ExprKind::Not(operand) => self.wrapped(|this| {
                this.push("NOT ");
                this.operand(operand, Parent::Not, false)
            }),
            ExprKind::IsNull { operand, negated } => self.tested(operand, *negated, "NULL"),
            ExprKind::IsBoolean { operand, value, negated } => {
                self.tested(operand, *negated, if *value { "TRUE" } else { "FALSE" })
            }
            ExprKind::Distinct { left, right, negated } => self.wrapped(|this| {
                this.operand(left, Parent::Other, true)?;
                this.push(if *negated { " IS NOT DISTINCT FROM " } else { " IS DISTINCT FROM " });
                this.operand(right, Parent::Other, false)
            }),
            ExprKind::Case { branches, otherwise } => self.case(branches, otherwise.as_deref()),
            ExprKind::Coalesce(arguments) => self.named("COALESCE", arguments),
            ExprKind::Extreme { arguments, greatest } => {
                self.named(if *greatest { "GREATEST" } else { "LEAST" }, arguments)
            }
            ExprKind::Quantified { procedure, left, right, all } => {
                let operator = operator_name(procedure)?;
                self.wrapped(|this| {
                    this.operand(left, Parent::Other, true)?;
                    this.push(&format!(" {operator} {} (", if *all { "ALL" } else { "ANY" }));
                    this.operand(right, Parent::Other, false)?;
                    this.push(")");
                    Some(())
                })
            }
            ExprKind::Array(items) => {
                self.push("ARRAY[");
                self.separated(&items.iter().collect::<Vec<_>>(), |this, item| this.expr(item))?;
                self.push("]");
                // An empty one has no type of its own.
                if items.is_empty() {
                    self.push(&format!("::{}", display_name(expr.type_oid, -1)));
                }
                Some(())
            }
            ExprKind::Subscript { operand, indexes } => {
                if matches!(operand.kind, ExprKind::Column { .. }) {
                    self.expr(operand)?;
                } else {
                    self.enclosed(|this| this.expr(operand))?;
                }
                for index in indexes {
                    self.push("[");
                    self.expr(index)?;
                    self.push("]");
                }
                Some(())
            }
            ExprKind::Row(items) => self.named("ROW", items),
            ExprKind::Subquery(subquery) => self.subquery(subquery),
            _ => None,
        }
    }

    fn column(&mut self, up: usize, relation: usize, column: usize) -> Option<()> {
        if let Some(own) = self.own {
            let name = self.names.column(own, column)?;
            self.push(&quote_identifier(&name));
            return Some(());
        }
        let level = self.levels.get(self.levels.len().checked_sub(up + 1)?)?;
        let of = level.query.relations.get(relation)?;
        let name = self.column_name(of, column)?;
        let text = format!("{}.{}", quote_identifier(&of.alias), quote_identifier(&name));
        self.push(&text);
        Some(())
    }

    fn joined(&mut self, terms: &'q [Expr], word: &str, parent: Parent<'_>) -> Option<()> {
        self.wrapped(|this| {
            for (at, term) in terms.iter().enumerate() {
                if at > 0 {
                    this.push(word);
                }
                this.operand(term, parent, at == 0)?;
            }
            Some(())
        })
    }

    fn tested(&mut self, operand: &'q Expr, negated: bool, what: &str) -> Option<()> {
        self.wrapped(|this| {
            this.operand(operand, Parent::Other, true)?;
            this.push(&format!(" IS {}{what}", if negated { "NOT " } else { "" }));
            Some(())
        })
    }

    fn cast(&mut self, operand: &'q Expr, to: &Expr) -> Option<()> {
        match &operand.kind {
            ExprKind::Constant(Datum::Text(literal)) if operand.type_oid == oid::UNKNOWN => {
                self.push(&crate::analyze::print::literal_text(literal));
            }
            _ => self.wrapped(|this| this.operand(operand, Parent::Cast, true))?,
        }
        self.push(&format!("::{}", display_name(to.type_oid, to.modifier)));
        Some(())
    }

    fn named(&mut self, name: &str, arguments: &'q [Expr]) -> Option<()> {
        self.push(name);
        self.enclosed(|this| {
            this.separated(&arguments.iter().collect::<Vec<_>>(), |this, argument| this.expr(argument))
        })
    }

    fn call(&mut self, procedure: &'static Procedure, arguments: &'q [Expr], expr: &'q Expr) -> Option<()> {
        if let Some(operand) = called_cast(procedure, arguments, expr) {
            return self.cast(operand, expr);
        }
        match (operator_name(procedure), arguments) {
            (Some(operator), [left, right]) => {
                return self.wrapped(|this| {
                    this.operand(left, Parent::Operator(operator), true)?;
                    this.push(&format!(" {operator} "));
                    this.operand(right, Parent::Operator(operator), false)
                });
            }
            (Some(operator), [operand]) => {
                return self.wrapped(|this| {
                    this.push(&format!("{operator} "));
                    this.operand(operand, Parent::Operator(operator), false)
                });
            }
            _ => {}
        }
        match (procedure.name, arguments) {
            ("extract", [Expr { kind: ExprKind::Constant(Datum::Text(field)), .. }, of]) => {
                self.push(&format!("EXTRACT({field} FROM "));
                self.expr(of)?;
                self.push(")");
                Some(())
            }
            ("timezone", [zone, of]) => self.enclosed(|this| {
                this.operand(of, Parent::Other, true)?;
                this.push(" AT TIME ZONE ");
                this.operand(zone, Parent::Other, false)
            }),
            // Ours: no text of it reads back.
            (name, _) if name.starts_with("trivet_") || procedure.is_variadic() => None,
            (name, _) => self.named(&quote_identifier(name), arguments),
        }
    }

    fn case(&mut self, branches: &'q [(Expr, Expr)], otherwise: Option<&'q Expr>) -> Option<()> {
        // NULLIF is a CASE to whoever computes it.
        if let ([(when, then)], Some(otherwise)) = (branches, otherwise) {
            if let (ExprKind::Call { arguments, .. }, ExprKind::Constant(Datum::Null)) = (&when.kind, &then.kind) {
                if let [left, right] = arguments.as_slice() {
                    if same_expr(left, otherwise) {
                        self.push("NULLIF");
                        return self.enclosed(|this| {
                            this.expr(left)?;
                            this.push(", ");
                            this.expr(right)
                        });
                    }
                }
            }
        }
        self.line("CASE", 0, 4, 0);
        for (when, then) in branches {
            self.line("WHEN ", 0, 0, 0);
            self.expr(when)?;
            self.push(" THEN ");
            self.expr(then)?;
        }
        self.line("ELSE ", 0, 0, 0);
        match otherwise {
            Some(otherwise) => self.expr(otherwise)?,
            None => {
                let (_, then) = branches.first()?;
                self.push(&format!("NULL::{}", display_name(then.type_oid, -1)));
            }
        }
        self.line("END", -4, 0, 0);
        Some(())
    }

    fn sort_keys(&mut self, keys: &'q [(Expr, bool, bool)]) -> Option<()> {
        self.separated(&keys.iter().collect::<Vec<_>>(), |this, (expr, descending, nulls_first)| {
            this.expr(expr)?;
            this.direction(*descending, *nulls_first);
            Some(())
        })
    }

    pub(super) fn direction(&mut self, descending: bool, nulls_first: bool) {
        if descending {
            self.push(" DESC");
        }
        match (descending, nulls_first) {
            (true, false) => self.push(" NULLS LAST"),
            (false, true) => self.push(" NULLS FIRST"),
            _ => {}
        }
    }

    fn filter(&mut self, filter: &'q Option<Expr>) -> Option<()> {
        let Some(filter) = filter else { return Some(()) };
        self.push(" FILTER (WHERE ");
        self.expr(filter)?;
        self.push(")");
        Some(())
    }

    fn aggregate(&mut self, aggregate: &'q Aggregate) -> Option<()> {
        const ORDERED_SETS: &[&str] =
            &["percentile_cont", "percentile_disc", "mode", "rank", "dense_rank", "percent_rank", "cume_dist"];
        if ORDERED_SETS.contains(&aggregate.procedure.name) {
            return None;
        }
        self.push(&quote_identifier(aggregate.procedure.name));
        self.push("(");
        if aggregate.distinct {
            self.push("DISTINCT ");
        }
        if aggregate.star {
            self.push("*");
        } else {
            let arguments: Vec<&'q Expr> = aggregate.arguments.iter().collect();
            self.separated(&arguments, |this, argument| this.expr(argument))?;
        }
        if !aggregate.order_by.is_empty() {
            self.push(" ORDER BY ");
            self.sort_keys(&aggregate.order_by)?;
        }
        self.push(")");
        self.filter(&aggregate.filter)
    }

    fn window(&mut self, call: &'q WindowCall) -> Option<()> {
        self.push(&quote_identifier(call.procedure.name));
        self.push("(");
        if call.star {
            self.push("*");
        } else {
            let arguments: Vec<&'q Expr> = call.arguments.iter().collect();
            self.separated(&arguments, |this, argument| this.expr(argument))?;
        }
        self.push(")");
        self.filter(&call.filter)?;
        self.push(" OVER (");
        let mut separator = "";
        if !call.window.partition.is_empty() {
            self.push("PARTITION BY ");
            let keys: Vec<&'q Expr> = call.window.partition.iter().collect();
            self.separated(&keys, |this, key| this.expr(key))?;
            separator = " ";
        }
        if !call.window.order.is_empty() {
            self.push(&format!("{separator}ORDER BY "));
            self.sort_keys(&call.window.order)?;
            separator = " ";
        }
        self.frame(&call.window.frame, separator)?;
        self.push(")");
        Some(())
    }

    fn frame(&mut self, frame: &'q Frame, separator: &str) -> Option<()> {
        let is_default = matches!(
            (&frame.unit, &frame.start, &frame.end, &frame.exclude),
            (FrameUnit::Range, FrameBound::UnboundedPreceding, FrameBound::CurrentRow, FrameExclude::NoOthers)
        );
        if is_default {
            return Some(());
        }
        let unit = match frame.unit {
            FrameUnit::Rows => "ROWS",
            FrameUnit::Range => "RANGE",
            FrameUnit::Groups => "GROUPS",
        };
        self.push(&format!("{separator}{unit} BETWEEN "));
        self.bound(&frame.start)?;
        self.push(" AND ");
        self.bound(&frame.end)?;
        self.push(match frame.exclude {
            FrameExclude::NoOthers => "",
            FrameExclude::CurrentRow => " EXCLUDE CURRENT ROW",
            FrameExclude::Group => " EXCLUDE GROUP",
            FrameExclude::Ties => " EXCLUDE TIES",
        });
        Some(())
    }

    fn bound(&mut self, bound: &'q FrameBound) -> Option<()> {
        match bound {
            FrameBound::UnboundedPreceding => self.push("UNBOUNDED PRECEDING"),
            FrameBound::UnboundedFollowing => self.push("UNBOUNDED FOLLOWING"),
            FrameBound::CurrentRow => self.push("CURRENT ROW"),
            FrameBound::Preceding(offset) => {
                self.expr(without_cast(&offset.value))?;
                self.push(" PRECEDING");
            }
            FrameBound::Following(offset) => {
                self.expr(without_cast(&offset.value))?;
                self.push(" FOLLOWING");
            }
        }
        Some(())
    }

    fn subquery(&mut self, subquery: &'q Subquery) -> Option<()> {
        match &subquery.kind {
            SubqueryKind::Scalar => self.enclosed(|this| this.query(&subquery.query, None, false)),
            SubqueryKind::Array => {
                self.push("ARRAY");
                self.enclosed(|this| this.query(&subquery.query, None, false))
            }
            SubqueryKind::Exists => self.enclosed(|this| {
                this.push("EXISTS ");
                this.enclosed(|this| this.query(&subquery.query, None, false))
            }),
            SubqueryKind::Quantified { left, procedures, all, negate, .. } => {
                let ([left], [procedure]) = (left.as_slice(), procedures.as_slice()) else { return None };
                let operator = operator_name(procedure)?;
                if *negate {
                    self.push(if self.pretty { "NOT (" } else { "(NOT (" });
                } else {
                    self.push("(");
                }
                self.expr(left)?;
                match (operator, all) {
                    ("=", false) => self.push(" IN "),
                    (operator, false) => self.push(&format!(" {operator} ANY ")),
                    (operator, true) => self.push(&format!(" {operator} ALL ")),
                }
                self.enclosed(|this| this.query(&subquery.query, None, false))?;
                self.push(if *negate && !self.pretty { "))" } else { ")" });
                Some(())
            }
            SubqueryKind::Row => None,
        }
    }
}

/// A number as it was written, before it was made one of another size.
pub(super) fn without_cast(expr: &Expr) -> &Expr {
    let integer = |type_oid: Oid| matches!(type_oid, oid::INT2 | oid::INT4 | oid::INT8);
    match &expr.kind {
        ExprKind::Call { arguments, .. } if arguments.len() == 1 && integer(expr.type_oid) => &arguments[0],
        _ => expr,
    }
}
