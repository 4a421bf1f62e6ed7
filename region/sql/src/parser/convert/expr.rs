//! Expressions.
use super::super::places::{first_of_query, first_token};
use super::super::rewrite::STAR;
use super::super::tree::*;
use super::{Converter, refuse};
use sqlparser::ast;
use trivet_types::{PgError, PgResult, sqlstate};

/// How far a chain of casts is followed.
const CAST_BYTES_MAX: usize = 200;

fn of(kind: ExprKind) -> Expr {
    Expr { kind, place: Place::default() }
}

fn string(text: impl Into<String>) -> Expr {
    of(ExprKind::Literal(Literal::String(text.into())))
}

impl Converter<'_> {
    pub fn expr(&mut self, expr: ast::Expr) -> PgResult<Expr> {
        self.deeper(|converter| converter.expr_here(expr))
    }

    pub fn boxed(&mut self, expr: ast::Expr) -> PgResult<Box<Expr>> {
        self.expr(expr).map(Box::new)
    }

    pub fn exprs(&mut self, exprs: Vec<ast::Expr>) -> PgResult<Vec<Expr>> {
        exprs.into_iter().map(|expr| self.expr(expr)).collect()
    }

    pub fn optional(&mut self, expr: Option<ast::Expr>) -> PgResult<Option<Expr>> {
        expr.map(|expr| self.expr(expr)).transpose()
    }

    fn expr_here(&mut self, expr: ast::Expr) -> PgResult<Expr> {
        use ast::Expr as E;
        let kind = match expr {
            // The one of its kind that the library takes for a column.
            E::Identifier(ident) if ident.quote_style.is_none() && ident.value.eq_ignore_ascii_case("current_role") => {
                let name = QualifiedName { parts: vec![self.identifier(ident)] };
                ExprKind::Function(FunctionCall {
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
            E::Identifier(ident) => return Ok(self.column(vec![ident])),
            E::CompoundIdentifier(idents) => return Ok(self.column(idents)),
            E::Value(value) => return self.value(value),
            E::Nested(inner) => return self.expr_here(*inner),
            E::UnaryOp { op: ast::UnaryOperator::Not, expr } => ExprKind::Not(self.boxed(*expr)?),
            E::UnaryOp { op, expr } => {
                let place = self.place_of_operator(&expr, &op.to_string());
                return Ok(Expr { kind: self.unary(op, *expr)?, place });
            }
            E::BinaryOp { left, op, right } => {
                let place = self.place_before(&right, &op);
                return Ok(Expr { kind: self.binary(*left, op, *right)?, place });
            }
            E::IsNull(operand) => self.is(*operand, IsTest::Null, false)?,
            E::IsNotNull(operand) => self.is(*operand, IsTest::Null, true)?,
            E::IsTrue(operand) => self.is(*operand, IsTest::True, false)?,
            E::IsNotTrue(operand) => self.is(*operand, IsTest::True, true)?,
            E::IsFalse(operand) => self.is(*operand, IsTest::False, false)?,
            E::IsNotFalse(operand) => self.is(*operand, IsTest::False, true)?,
            E::IsUnknown(operand) => self.is(*operand, IsTest::Unknown, false)?,
            E::IsNotUnknown(operand) => self.is(*operand, IsTest::Unknown, true)?,
            E::IsDistinctFrom(left, right) => {
                ExprKind::DistinctFrom { left: self.boxed(*left)?, right: self.boxed(*right)?, negated: false }
            }
            E::IsNotDistinctFrom(left, right) => {
                ExprKind::DistinctFrom { left: self.boxed(*left)?, right: self.boxed(*right)?, negated: true }
            }
            E::In { expr, target, negated, global: false } => {
                let first = match &target {
                    ast::InTarget::List(list) => list.first().and_then(first_token),
                    ast::InTarget::Subquery(query) => first_of_query(query),
                    _ => None,
                };
                let at = first.and_then(|first| self.source.token_before(first, &["in"]));
                let place = self.place_with_not(at, negated);
                return Ok(Expr { kind: self.in_target(*expr, target, negated)?, place });
            }
            E::Between { expr, negated, low, high } => {
                let between = first_token(&low).and_then(|low| self.source.token_before(low, &["between"]));
                let symmetric = self.says(between, "between", "symmetric")?;
                let place = self.place_with_not(between, negated);
                let kind = ExprKind::Between {
                    operand: self.boxed(*expr)?,
                    low: self.boxed(*low)?,
                    high: self.boxed(*high)?,
                    negated,
                    symmetric,
                };
                return Ok(Expr { kind, place });
            }
            E::Like { negated, any: true, expr, pattern, escape_char: None } => {
                let like = first_token(&pattern).and_then(|pattern| self.source.token_before(pattern, &["like"]));
                let place = self.place_with_not(like, negated);
                let all = self.says(like, "like", "all")?;
                let operator = if negated { "!~~" } else { "~~" }.to_owned();
                let (left, right) = (self.boxed(*expr)?, self.boxed(*pattern)?);
                return Ok(Expr { kind: ExprKind::Quantified { operator, left, right, all }, place });
            }
            E::ILike { negated, any: true, expr, pattern, escape_char: None } => {
                let like = first_token(&pattern).and_then(|pattern| self.source.token_before(pattern, &["ilike"]));
                let place = self.place_with_not(like, negated);
                let all = self.says(like, "ilike", "all")?;
                let operator = if negated { "!~~*" } else { "~~*" }.to_owned();
                let (left, right) = (self.boxed(*expr)?, self.boxed(*pattern)?);
                return Ok(Expr { kind: ExprKind::Quantified { operator, left, right, all }, place });
            }
            E::Like { negated, any: false, expr, pattern, escape_char } => {
                let like = first_token(&pattern).and_then(|pattern| self.source.token_before(pattern, &["like"]));
                let place = self.place_with_not(like, negated);
                let kind = self.like(if negated { "!~~" } else { "~~" }, *expr, *pattern, escape_char)?;
                return Ok(Expr { kind, place });
            }
            E::ILike { negated, any: false, expr, pattern, escape_char } => {
                let like = first_token(&pattern).and_then(|pattern| self.source.token_before(pattern, &["ilike"]));
                let place = self.place_with_not(like, negated);
                let kind = self.like(if negated { "!~~*" } else { "~~*" }, *expr, *pattern, escape_char)?;
                return Ok(Expr { kind, place });
            }
            E::SimilarTo { negated, expr, pattern, escape_char } => {
                let operand = self.boxed(*expr)?;
                let mut arguments = vec![self.expr(*pattern)?];
                if let Some(escape) = escape_char {
                    arguments.push(self.expr(*escape)?);
                }
                let pattern = of(built_in("similar_to_escape", arguments));
                let operator = if negated { "!~" } else { "~" }.to_owned();
                ExprKind::Binary { operator, left: operand, right: Box::new(pattern) }
            }
            E::AnyOp { left, compare_op, right, .. } => {
                let place = self.place_before(&right, &compare_op);
                return Ok(Expr { kind: self.quantified(*left, compare_op, *right, false)?, place });
            }
            E::AllOp { left, compare_op, right } => {
                let place = self.place_before(&right, &compare_op);
                return Ok(Expr { kind: self.quantified(*left, compare_op, *right, true)?, place });
            }
            E::Cast { kind: ast::CastKind::Cast | ast::CastKind::DoubleColon, expr, data_type, format: None } => {
                let place = self.place_of_cast(&expr);
                let mut to = self.type_name(data_type)?;
                if let (None, Some(colons)) = (to.place.known(), place.known()) {
                    // The type stands right behind `::`.
                    to.place = Place(colons + 2);
                }
                let kind = ExprKind::Cast { operand: self.boxed(*expr)?, to };
                return Ok(Expr { kind, place });
            }
            E::TypedString(typed) => self.typed_string(typed)?,
            E::Interval(interval) => self.interval(interval)?,
            E::AtTimeZone { timestamp, time_zone } => {
                let place = self.place_before_operand(&time_zone, &["zone", "time", "at"]);
                return Ok(Expr { kind: self.call("timezone", vec![*time_zone, *timestamp])?, place });
            }
            E::Extract { field, expr, .. } => {
                let place = self.place_before_operand(&expr, &["from", "", "(", "extract"]);
                let field = match field {
                    // As a name in quotes, too.
                    ast::DateTimeField::Custom(name) => string(name.value.to_ascii_lowercase()),
                    word => string(word.to_string().trim_matches('\'').to_ascii_lowercase()),
                };
                let value = self.expr(*expr)?;
                return Ok(Expr { kind: built_in("extract", vec![field, value]), place });
            }
            E::Ceil { expr, field: ast::CeilFloorKind::DateTimeField(ast::DateTimeField::NoDateTime) } => {
                self.call("ceil", vec![*expr])?
            }
            E::Floor { expr, field: ast::CeilFloorKind::DateTimeField(ast::DateTimeField::NoDateTime) } => {
                self.call("floor", vec![*expr])?
            }
            E::Position { expr, r#in } => {
                let place = self.place_before_operand(&expr, &["(", "position"]);
                return Ok(Expr { kind: self.call("position", vec![*r#in, *expr])?, place });
            }
            E::Substring { expr, substring_from, substring_for, shorthand, .. } => {
                // A column is called by the word that was used.
                let function = if shorthand { "substr" } else { "substring" };
                let place = self.place_before_operand(&expr, &["(", function]);
                return Ok(Expr { kind: self.substring(function, *expr, substring_from, substring_for)?, place });
            }
            E::Trim { trim_where, trim_what, expr, trim_characters } => {
                let side = trim_where.map_or("", |side| match side {
                    ast::TrimWhereField::Both => "both",
                    ast::TrimWhereField::Leading => "leading",
                    ast::TrimWhereField::Trailing => "trailing",
                });
                let words = if side.is_empty() { vec!["(", "trim"] } else { vec![side, "(", "trim"] };
                let place = self.place_before_operand(trim_what.as_deref().unwrap_or(&expr), &words);
                return Ok(Expr { kind: self.trim(trim_where, trim_what, *expr, trim_characters)?, place });
            }
            E::Overlay { expr, overlay_what, overlay_from, overlay_for } => {
                let place = self.place_before_operand(&expr, &["(", "overlay"]);
                let mut arguments = vec![*expr, *overlay_what, *overlay_from];
                arguments.extend(overlay_for.map(|boxed| *boxed));
                return Ok(Expr { kind: self.call("overlay", arguments)?, place });
            }
            E::Collate { expr, collation } => {
                let named = match collation.0.first() {
                    Some(ast::ObjectNamePart::Identifier(name)) => Some(name.span.start),
                    _ => None,
                };
                let word = named.and_then(|named| self.source.token_before(named, &["collate"]));
                let place = word.map(|word| self.source.place_of_token(word)).unwrap_or_default();
                let kind = ExprKind::Collate { operand: self.boxed(*expr)?, collation: self.name(collation)? };
                return Ok(Expr { kind, place });
            }
            E::Function(function) => {
                let call = self.function(function)?;
                let place = call.name.place();
                if call.name.parts.len() == 1 && call.name.last() == "row" && !call.star {
                    let items = call.arguments.into_iter().map(|argument| argument.value).collect();
                    return Ok(Expr { kind: ExprKind::Row(items), place });
                }
                return Ok(Expr { kind: ExprKind::Function(call), place });
            }
            E::Case { operand, conditions, else_result, .. } => ExprKind::Case {
                operand: operand.map(|operand| self.boxed(*operand)).transpose()?,
                branches: conditions
                    .into_iter()
                    .map(|when| Ok((self.expr(when.condition)?, self.expr(when.result)?)))
                    .collect::<PgResult<_>>()?,
                otherwise: else_result.map(|otherwise| self.boxed(*otherwise)).transpose()?,
            },
            E::Exists { subquery, negated } => {
                let exists = ExprKind::Exists(Box::new(self.query(*subquery)?));
                if negated { ExprKind::Not(Box::new(of(exists))) } else { exists }
            }
            E::Subquery(query) => {
                let first = first_of_query(&query);
                let place = self.place_of_parenthesis(first, &["select", "values", "with"]);
                let query = without_wrapping(self.query(*query)?);
                return Ok(Expr { kind: ExprKind::Subquery(Box::new(query)), place });
            }
            E::Tuple(values) => {
                let first = values.first().and_then(first_token);
                let open = first.and_then(|first| self.source.token_before(first, &["("]));
                let place = open.map(|open| self.source.place_of_token(open)).unwrap_or_default();
                return Ok(Expr { kind: ExprKind::Row(self.exprs(values)?), place });
            }
            E::Array(array) => {
                let first = array.elem.first().and_then(first_token);
                let word = match first {
                    Some(first) => self.source.token_before(first, &["array"]),
                    None => self.only_empty_array().filter(|_| array.elem.is_empty()),
                };
                let place = word.map(|word| self.source.place_of_token(word)).unwrap_or_default();
                return Ok(Expr { kind: ExprKind::Array(self.exprs(array.elem)?), place });
            }
            E::IsNormalized { expr, form, negated } => {
                let mut arguments = vec![self.expr(*expr)?];
                arguments.extend(form.map(|form| of(ExprKind::Literal(Literal::String(form.to_string())))));
                let tested = built_in("is_normalized", arguments);
                if negated { ExprKind::Not(Box::new(of(tested))) } else { tested }
            }
            E::CompoundFieldAccess { root, access_chain } => return self.access(*root, access_chain),
            other => return Err(PgError::unsupported(format!("the expression {}", shortened(&other.to_string())))),
        };
        Ok(of(kind))
    }

    /// Where an operator stands: the library gives the places of names and literals only, so look before its right operand.
    fn place_before(&self, right: &ast::Expr, operator: &ast::BinaryOperator) -> Place {
        if matches!(operator, ast::BinaryOperator::And | ast::BinaryOperator::Or) {
            return Place::default();
        }
        if let ast::BinaryOperator::PGCustomBinaryOperator(parts) = operator {
            let word = first_token(right).and_then(|right| self.source.token_before(right, &["operator"]));
            return match (word, parts.last()) {
                (Some(word), _) => self.source.place_of_token(word),
                (None, Some(symbol)) => self.place_of_operator(right, symbol),
                (None, None) => Place::default(),
            };
        }
        self.place_of_operator(right, &operator.to_string())
    }

    /// Of a word that NOT may stand before.
    fn place_with_not(&self, at: Option<usize>, negated: bool) -> Place {
        match at {
            Some(at) if negated && at > 0 && self.source.token_is(at - 1, "not") => self.source.place_of_token(at - 1),
            Some(at) => self.source.place_of_token(at),
            None => Place::default(),
        }
    }

    /// The parenthesis before a query, whose first column begins at `first`.
    pub(super) fn place_of_parenthesis(&self, first: Option<sqlparser::tokenizer::Location>, words: &[&str]) -> Place {
        let word = first.and_then(|first| self.source.token_before(first, words));
        let open = word.and_then(|word| word.checked_sub(1)).filter(|open| self.source.token_is(*open, "("));
        open.map(|open| self.source.place_of_token(open)).unwrap_or_default()
    }

    fn place_of_operator(&self, right: &ast::Expr, operator: &str) -> Place {
        const LOOKED_AT: usize = 64;
        let Some(start) = first_token(right) else { return Place::default() };
        let before = self.source.before(start, LOOKED_AT);
        match (before.rfind(operator), self.source.place(start).known()) {
            (Some(at), Some(place)) => Place(place.saturating_sub(before[at..].chars().count() as u32)),
            _ => Place::default(),
        }
    }

    /// Where `::` stands after a name or a literal, or after casts of one.
    fn place_of_cast(&self, operand: &ast::Expr) -> Place {
        let mut innermost = operand;
        let mut casts = 0;
        while let ast::Expr::Cast { kind: ast::CastKind::DoubleColon, expr, .. } = innermost {
            innermost = expr;
            casts += 1;
        }
        let end = match innermost {
            ast::Expr::Value(value) => value.span.end,
            ast::Expr::Identifier(ident) => ident.span.end,
            ast::Expr::TypedString(typed) => typed.value.span.end,
            // Behind the parenthesis or bracket that closes it.
            ast::Expr::Function(_) | ast::Expr::Array(_) | ast::Expr::Nested(_) if casts == 0 => {
                return self.place_behind_closing(innermost);
            }
            _ => return Place::default(),
        };
        let (Some(place), true) = (self.source.place(end).known(), casts > 0) else { return self.source.place(end) };
        let rest = self.source.after(end, CAST_BYTES_MAX);
        match rest.match_indices("::").nth(casts) {
            Some((at, _)) => Place(place + rest[..at].chars().count() as u32),
            None => Place::default(),
        }
    }

    /// `::` behind what ends with a parenthesis or bracket.
    fn place_behind_closing(&self, operand: &ast::Expr) -> Place {
        let Some(first) = first_token(operand).and_then(|first| self.source.token_at(first)) else {
            return Place::default();
        };
        let mut depth = 0usize;
        let start = first.saturating_sub(usize::from(!matches!(operand, ast::Expr::Function(_))));
        let start = match operand {
            ast::Expr::Array(_) => first.saturating_sub(1),
            _ => start,
        };
        for at in start..self.source.tokens.len() {
            if ["(", "["].iter().any(|open| self.source.token_is(at, open)) {
                depth += 1;
            } else if [")", "]"].iter().any(|close| self.source.tokens[at].token.to_string() == *close) {
                depth = depth.saturating_sub(1);
                if depth == 0 {
                    let colons = self.source.token_is(at + 1, "::");
                    return if colons { self.source.place_of_token(at + 1) } else { Place::default() };
                }
            }
        }
        Place::default()
    }

    fn column(&self, idents: Vec<ast::Ident>) -> Expr {
        let lone_keyword = match idents.as_slice() {
            [only] if only.quote_style.is_none() && only.value.eq_ignore_ascii_case("default") => true,
            _ => false,
        };
        let mut name = QualifiedName { parts: idents.into_iter().map(|ident| self.identifier(ident)).collect() };
        let place = name.place();
        if name.parts.len() > 1 && name.last() == STAR {
            name.parts.pop();
            return Expr { kind: ExprKind::Star(name), place };
        }
        let kind = if lone_keyword { ExprKind::Default } else { ExprKind::Column(name) };
        Expr { kind, place }
    }

    fn value(&mut self, value: ast::ValueWithSpan) -> PgResult<Expr> {
        use ast::Value as V;
        let place = self.source.place_of(value.span);
        let literal = match value.value {
            V::Number(digits, _) => Literal::Number(digits),
            V::SingleQuotedString(text)
            | V::EscapedStringLiteral(text)
            | V::UnicodeStringLiteral(text)
            | V::NationalStringLiteral(text) => Literal::String(text),
            V::DollarQuotedString(quoted) => Literal::String(quoted.value),
            V::SingleQuotedByteStringLiteral(digits) => Literal::BitString { hexadecimal: false, digits },
            V::HexStringLiteral(digits) => Literal::BitString { hexadecimal: true, digits },
            V::Boolean(value) => Literal::Boolean(value),
            V::Null => Literal::Null,
            V::Placeholder(text) => {
                let number = text.strip_prefix('$').and_then(|digits| digits.parse().ok()).filter(|number| *number > 0);
                let Some(number) = number else {
                    let error = PgError::new(sqlstate::UNDEFINED_PARAMETER, format!("there is no parameter {text}"));
                    return Err(match place.known() {
                        Some(at) => error.position(at),
                        None => error,
                    });
                };
                return Ok(Expr { kind: ExprKind::Parameter(number), place });
            }
            other => return Err(PgError::unsupported(format!("the literal {other}"))),
        };
        Ok(Expr { kind: ExprKind::Literal(literal), place })
    }

    fn unary(&mut self, operator: ast::UnaryOperator, operand: ast::Expr) -> PgResult<ExprKind> {
        let operand = self.expr(operand)?;
        // "-1" is a constant, as in PostgreSQL's grammar (doNegate): -2147483648 is an int4.
        if let (ast::UnaryOperator::Minus, ExprKind::Literal(Literal::Number(digits))) = (operator, &operand.kind) {
            let negated = match digits.strip_prefix('-') {
                Some(positive) => positive.to_owned(),
                None => format!("-{digits}"),
            };
            return Ok(ExprKind::Literal(Literal::Number(negated)));
        }
        Ok(ExprKind::Unary { operator: operator.to_string(), operand: Box::new(operand) })
    }

    fn binary(&mut self, left: ast::Expr, operator: ast::BinaryOperator, right: ast::Expr) -> PgResult<ExprKind> {
        use ast::BinaryOperator as B;
        match operator {
            B::And | B::Or => {
                let mut terms = Vec::new();
                self.chain(left, right, &operator, &mut terms)?;
                return Ok(if operator == B::And { ExprKind::And(terms) } else { ExprKind::Or(terms) });
            }
            B::Lt | B::Gt | B::LtEq | B::GtEq | B::Eq | B::NotEq => {
                if let ast::Expr::BinaryOp { op: B::Lt | B::Gt | B::LtEq | B::GtEq | B::Eq | B::NotEq, .. } = &left {
                    let error = PgError::new(sqlstate::SYNTAX_ERROR, format!("syntax error at or near \"{operator}\""));
                    return Err(match self.place_before(&right, &operator).known() {
                        Some(position) => error.position(position),
                        None => error,
                    });
                }
            }
            _ => {}
        }
        if let (B::Overlaps, ast::Expr::Tuple(first), ast::Expr::Tuple(second)) = (&operator, &left, &right) {
            let arguments = first.iter().chain(second).cloned().collect();
            return self.call("overlaps", arguments);
        }
        let operator = match operator {
            B::PGCustomBinaryOperator(parts) => parts.last().cloned().unwrap_or_default(),
            other => other.to_string(),
        };
        Ok(ExprKind::Binary { operator, left: self.boxed(left)?, right: self.boxed(right)? })
    }

    /// `a AND b AND c`, which the library nests to the left, as one flat list; without recursion.
    fn chain(
        &mut self,
        left: ast::Expr,
        right: ast::Expr,
        operator: &ast::BinaryOperator,
        terms: &mut Vec<Expr>,
    ) -> PgResult<()> {
        let mut reversed = vec![right];
        let mut rest = left;
        loop {
            match rest {
                ast::Expr::BinaryOp { left, op, right } if op == *operator => {
                    reversed.push(*right);
                    rest = *left;
                }
                first => {
                    reversed.push(first);
                    break;
                }
            }
        }
        for term in reversed.into_iter().rev() {
            terms.push(self.expr(term)?);
        }
        Ok(())
    }

    fn is(&mut self, operand: ast::Expr, test: IsTest, negated: bool) -> PgResult<ExprKind> {
        Ok(ExprKind::Is { operand: self.boxed(operand)?, test, negated })
    }

    fn in_target(&mut self, operand: ast::Expr, target: ast::InTarget, negated: bool) -> PgResult<ExprKind> {
        let operand = self.boxed(operand)?;
        Ok(match target {
            ast::InTarget::List(list) => ExprKind::InList { operand, list: self.exprs(list)?, negated },
            ast::InTarget::Subquery(query) => {
                ExprKind::InQuery { operand, query: Box::new(self.query(*query)?), negated }
            }
            _ => return Err(PgError::unsupported("IN without parentheses")),
        })
    }

    fn like(
        &mut self,
        operator: &str,
        operand: ast::Expr,
        pattern: ast::Expr,
        escape: Option<Box<ast::Expr>>,
    ) -> PgResult<ExprKind> {
        let left = self.boxed(operand)?;
        let pattern = self.expr(pattern)?;
        let right = match escape {
            None => pattern,
            Some(escape) => {
                let escape = self.expr(*escape)?;
                of(built_in("like_escape", vec![pattern, escape]))
            }
        };
        Ok(ExprKind::Binary { operator: operator.to_owned(), left, right: Box::new(right) })
    }

    fn quantified(
        &mut self,
        left: ast::Expr,
        operator: ast::BinaryOperator,
        right: ast::Expr,
        all: bool,
    ) -> PgResult<ExprKind> {
        Ok(ExprKind::Quantified {
            operator: operator.to_string(),
            left: self.boxed(left)?,
            right: self.boxed(right)?,
            all,
        })
    }

    fn typed_string(&mut self, typed: ast::TypedString) -> PgResult<ExprKind> {
        // A constant without a length keeps its own.
        let unbounded = matches!(
            typed.data_type,
            ast::DataType::Char(None) | ast::DataType::Character(None) | ast::DataType::Bit(None)
        );
        let operand = self.value(typed.value)?;
        let mut to = self.type_name(typed.data_type)?;
        if unbounded {
            to.modifiers.clear();
        }
        Ok(ExprKind::Cast { operand: Box::new(operand), to })
    }

    fn interval(&mut self, interval: ast::Interval) -> PgResult<ExprKind> {
        let operand = self.expr(*interval.value)?;
        let digits = interval.fractional_seconds_precision.or(interval.leading_precision);
        let names = [interval.leading_field, interval.last_field].map(|field| field.map(|field| field.to_string()));
        let modifiers = super::types::interval_modifiers(names[0].as_deref(), names[1].as_deref(), digits)?;
        let to = TypeName { name: "interval".into(), schema: None, modifiers, array: false, place: Place::default() };
        Ok(ExprKind::Cast { operand: Box::new(operand), to })
    }

    fn substring(
        &mut self,
        function: &str,
        text: ast::Expr,
        from: Option<Box<ast::Expr>>,
        length: Option<Box<ast::Expr>>,
    ) -> PgResult<ExprKind> {
        let text = self.expr(text)?;
        let from = match from {
            Some(from) => self.expr(*from)?,
            None => of(ExprKind::Literal(Literal::Number("1".into()))),
        };
        let mut arguments = vec![text, from];
        if let Some(length) = length {
            arguments.push(self.expr(*length)?);
        }
        Ok(built_in(function, arguments))
    }

    fn trim(
        &mut self,
        side: Option<ast::TrimWhereField>,
        what: Option<Box<ast::Expr>>,
        text: ast::Expr,
        characters: Option<Vec<ast::Expr>>,
    ) -> PgResult<ExprKind> {
        let function = match side {
            None | Some(ast::TrimWhereField::Both) => "btrim",
            Some(ast::TrimWhereField::Leading) => "ltrim",
            Some(ast::TrimWhereField::Trailing) => "rtrim",
        };
        let mut arguments = vec![text];
        arguments.extend(what.map(|boxed| *boxed));
        arguments.extend(characters.into_iter().flatten());
        self.call(function, arguments)
    }

    fn call(&mut self, function: &str, arguments: Vec<ast::Expr>) -> PgResult<ExprKind> {
        Ok(built_in(function, self.exprs(arguments)?))
    }

    fn access(&mut self, root: ast::Expr, chain: Vec<ast::AccessExpr>) -> PgResult<Expr> {
        let mut result = self.expr(root)?;
        for access in chain {
            result = match access {
                ast::AccessExpr::Dot(ast::Expr::Identifier(field)) if field.value == STAR => {
                    Expr { place: result.place, kind: ExprKind::AllFields(Box::new(result)) }
                }
                ast::AccessExpr::Dot(ast::Expr::Identifier(field)) => {
                    of(ExprKind::Field { operand: Box::new(result), field: self.identifier(field) })
                }
                ast::AccessExpr::Dot(other) => {
                    return Err(PgError::unsupported(format!("the field {}", shortened(&other.to_string()))));
                }
                ast::AccessExpr::Subscript(subscript) => {
                    let subscript = self.subscript(subscript)?;
                    match &mut result.kind {
                        ExprKind::Subscript { subscripts, .. } => {
                            subscripts.push(subscript);
                            result
                        }
                        _ => of(ExprKind::Subscript { operand: Box::new(result), subscripts: vec![subscript] }),
                    }
                }
            };
        }
        Ok(result)
    }

    fn subscript(&mut self, subscript: ast::Subscript) -> PgResult<Subscript> {
        Ok(match subscript {
            ast::Subscript::Index { index } => Subscript::Index(self.expr(index)?),
            ast::Subscript::Slice { lower_bound, upper_bound, stride: None } => {
                Subscript::Slice(self.optional(lower_bound)?, self.optional(upper_bound)?)
            }
            ast::Subscript::Slice { .. } => return Err(PgError::unsupported("an array slice with a stride")),
        })
    }

    pub fn function(&mut self, function: ast::Function) -> PgResult<FunctionCall> {
        refuse! {
            !matches!(function.parameters, ast::FunctionArguments::None) => "a function with two argument lists";
            function.null_treatment.is_some() => "RESPECT NULLS and IGNORE NULLS";
        }
        let name = self.name(function.name)?;
        let place = name.place();
        let mut call = FunctionCall {
            name,
            arguments: Vec::new(),
            star: false,
            distinct: false,
            variadic: false,
            order_by: Vec::new(),
            filter: function.filter.map(|filter| self.boxed(*filter)).transpose()?,
            over: function.over.map(|over| self.window_type(over, place)).transpose()?,
            within_group: self.sort_keys(function.within_group)?,
        };
        match function.args {
            ast::FunctionArguments::None => {}
            ast::FunctionArguments::Subquery(query) => {
                let query = Box::new(self.query(*query)?);
                if call.name.parts.len() == 1 && call.name.last() == "array" {
                    let value = of(ExprKind::ArrayQuery(query));
                    call.arguments.push(Argument { name: None, value });
                } else {
                    call.arguments.push(Argument { name: None, value: of(ExprKind::Subquery(query)) });
                }
            }
            ast::FunctionArguments::List(list) => self.arguments(list, &mut call)?,
        }
        self.read_normal_form(&mut call)?;
        Ok(call)
    }

    fn arguments(&mut self, list: ast::FunctionArgumentList, call: &mut FunctionCall) -> PgResult<()> {
        call.distinct = list.duplicate_treatment == Some(ast::DuplicateTreatment::Distinct);
        for clause in list.clauses {
            match clause {
                ast::FunctionArgumentClause::OrderBy(keys) => call.order_by = self.sort_keys(keys)?,
                other => return Err(PgError::unsupported(format!("{other} in a function call"))),
            }
        }
        for argument in list.args {
            match self.argument(argument)? {
                Some(mut argument) => {
                    if argument.name.as_deref() == Some(super::super::rewrite::VARIADIC) {
                        argument.name = None;
                        call.variadic = true;
                    }
                    call.arguments.push(argument);
                }
                None => call.star = true,
            }
        }
        self.check_arguments(call)
    }

    /// Calls that PostgreSQL's grammar does not have.
    fn check_arguments(&self, call: &FunctionCall) -> PgResult<()> {
        const VALUES: &[&str] =
            &["current_date", "current_role", "current_user", "session_user", "user", "current_catalog"];
        let [name] = call.name.parts.as_slice() else { return Ok(()) };
        let wrong = if call.star && call.distinct {
            Some("*")
        } else if call.arguments.is_empty() && !call.star && matches!(&*name.text, "coalesce" | "greatest" | "least") {
            Some(")")
        } else if VALUES.contains(&&*name.text) {
            Some("(")
        } else {
            None
        };
        let Some(wrong) = wrong else { return Ok(()) };
        let named = (0..self.source.tokens.len()).find(|at| self.source.place_of_token(*at) == name.place);
        let token = named.and_then(|named| (named..).take(4).find(|at| self.source.token_is(*at, wrong)));
        match token.and_then(|token| self.source.token(token)) {
            Some(token) if name.place.known().is_some() => Err(self.source.syntax_error(token)),
            _ => Ok(()),
        }
    }

    /// `None` is `*`.
    pub fn argument(&mut self, argument: ast::FunctionArg) -> PgResult<Option<Argument>> {
        let (name, value) = match argument {
            ast::FunctionArg::Unnamed(value) => (None, value),
            ast::FunctionArg::Named { name, arg, .. } => (Some(self.identifier(name).text), arg),
            ast::FunctionArg::ExprNamed { name: ast::Expr::Identifier(name), arg, .. } => {
                (Some(self.identifier(name).text), arg)
            }
            ast::FunctionArg::ExprNamed { .. } => {
                return Err(PgError::unsupported("an expression as an argument name"));
            }
        };
        match value {
            ast::FunctionArgExpr::Expr(value) => Ok(Some(Argument { name, value: self.expr(value)? })),
            ast::FunctionArgExpr::Wildcard => Ok(None),
            ast::FunctionArgExpr::QualifiedWildcard(name) => {
                let name = self.name(name)?;
                let value = Expr { place: name.place(), kind: ExprKind::Star(name) };
                Ok(Some(Argument { name: None, value }))
            }
            _ => Err(PgError::unsupported("a qualified * as an argument")),
        }
    }
}

/// The rows that were wrapped for the library.
fn without_wrapping(query: Query) -> Query {
    if let QueryBody::Select(select) = &query.body
        && let [TableExpr::Query { query: rows, alias, .. }] = select.from.as_slice()
        && alias.name.as_ref().is_some_and(|name| name.text == super::super::rewrite::VALUES)
    {
        return (**rows).clone();
    }
    query
}

/// A call of one of PostgreSQL's own functions, whatever the search path says.
pub(super) fn built_in(function: &str, arguments: Vec<Expr>) -> ExprKind {
    let part = |text: &str| Name { text: text.to_owned(), place: Place::default() };
    ExprKind::Function(FunctionCall {
        name: QualifiedName { parts: vec![part("pg_catalog"), part(function)] },
        arguments: arguments.into_iter().map(|value| Argument { name: None, value }).collect(),
        star: false,
        distinct: false,
        variadic: false,
        order_by: Vec::new(),
        filter: None,
        over: None,
        within_group: Vec::new(),
    })
}

fn shortened(text: &str) -> String {
    const SHOWN_CHARACTERS: usize = 40;
    if text.chars().count() <= SHOWN_CHARACTERS {
        format!("\"{text}\"")
    } else {
        format!("\"{} ...\"", text.chars().take(SHOWN_CHARACTERS).collect::<String>())
    }
}
