//! Places that the library's tree does not have: found among the tokens of the text, from a name or constant whose place is known.
//! And where an expression begins, which is where PostgreSQL's errors point, not at the operator within.
use super::error::Source;
use super::tree::{Expr, ExprKind, Place};
use sqlparser::ast;
use sqlparser::tokenizer::{Location, Token, TokenWithSpan};

/// Tokens between an operand's first name and what stands before it: parentheses, signs, NOT.
const LOOKED_AT: usize = 24;

/// Is this token the unquoted word, or the symbol?
pub(super) fn is(token: &TokenWithSpan, wanted: &str) -> bool {
    match &token.token {
        Token::Word(word) => word.quote_style.is_none() && word.value.eq_ignore_ascii_case(wanted),
        Token::LParen => wanted == "(",
        Token::RParen => wanted == ")",
        Token::LBracket => wanted == "[",
        Token::DoubleColon => wanted == "::",
        Token::Mul => wanted == "*",
        other => wanted.starts_with(|first: char| !first.is_alphanumeric()) && other.to_string() == wanted,
    }
}

impl<'a> Source<'a> {
    /// The number of the token that begins here.
    pub fn token_at(&self, location: Location) -> Option<usize> {
        let key = |location: Location| (location.line, location.column);
        self.tokens.binary_search_by_key(&key(location), |token| key(token.span.start)).ok()
    }
    pub fn token(&self, at: usize) -> Option<&'a TokenWithSpan> {
        self.tokens.get(at)
    }
    pub fn token_is(&self, at: usize, wanted: &str) -> bool {
        self.token(at).is_some_and(|token| is(token, wanted))
    }
    pub fn place_of_token(&self, at: usize) -> Place {
        self.token(at).map_or(Place::default(), |token| self.place_of(token.span))
    }
    /// The nearest of these words or symbols before a token.
    pub fn token_before(&self, location: Location, wanted: &[&str]) -> Option<usize> {
        let at = self.token_at(location)?;
        let nearest = at.saturating_sub(LOOKED_AT)..at;
        nearest.rev().find(|at| wanted.iter().any(|wanted| self.token_is(*at, wanted)))
    }
}

/// The place of an expression's first name or literal. Not the library's own `span`, which recurses.
pub(super) fn first_token(mut expr: &ast::Expr) -> Option<Location> {
    use ast::Expr as E;
    loop {
        let span = match expr {
            E::BinaryOp { left, .. } | E::AnyOp { left, .. } | E::AllOp { left, .. } => {
                expr = left;
                continue;
            }
            E::Nested(inner)
            | E::UnaryOp { expr: inner, .. }
            | E::Cast { expr: inner, .. }
            | E::Collate { expr: inner, .. }
            | E::AtTimeZone { timestamp: inner, .. }
            | E::CompoundFieldAccess { root: inner, .. }
            | E::IsNull(inner)
            | E::IsNotNull(inner)
            | E::IsTrue(inner)
            | E::IsFalse(inner)
            | E::In { expr: inner, .. }
            | E::Between { expr: inner, .. }
            | E::Like { expr: inner, .. }
            | E::ILike { expr: inner, .. }
            | E::Trim { expr: inner, .. }
            | E::Substring { expr: inner, .. }
            | E::Ceil { expr: inner, .. }
            | E::Floor { expr: inner, .. }
            | E::Position { expr: inner, .. }
            | E::Overlay { expr: inner, .. }
            | E::IsNotTrue(inner)
            | E::IsNotFalse(inner)
            | E::IsUnknown(inner)
            | E::IsNotUnknown(inner)
            | E::IsDistinctFrom(inner, _)
            | E::IsNotDistinctFrom(inner, _)
            | E::SimilarTo { expr: inner, .. }
            | E::RLike { expr: inner, .. }
            | E::Extract { expr: inner, .. } => {
                expr = inner;
                continue;
            }
            E::Tuple(items) => {
                expr = items.first()?;
                continue;
            }
            E::Subquery(query) | E::Exists { subquery: query, .. } => return first_of_query(query),
            E::Identifier(ident) => ident.span,
            E::CompoundIdentifier(idents) => idents.first()?.span,
            E::Value(value) => value.span,
            E::TypedString(typed) => typed.value.span,
            E::Interval(interval) => {
                expr = &interval.value;
                continue;
            }
            E::Array(array) => {
                expr = array.elem.first()?;
                continue;
            }
            E::Case { operand, conditions, .. } => {
                expr = match operand {
                    Some(operand) => operand,
                    None => &conditions.first()?.condition,
                };
                continue;
            }
            E::Function(function) => match function.name.0.first()? {
                ast::ObjectNamePart::Identifier(ident) => ident.span,
                ast::ObjectNamePart::Function(_) => return None,
            },
            _ => return None,
        };
        return (span.start.line > 0).then_some(span.start);
    }
}

/// The first name or literal of a query's first column.
pub(super) fn first_of_query(query: &ast::Query) -> Option<Location> {
    let mut body = &*query.body;
    loop {
        match body {
            ast::SetExpr::Select(select) => {
                return match select.projection.first()? {
                    ast::SelectItem::UnnamedExpr(first) | ast::SelectItem::ExprWithAlias { expr: first, .. } => {
                        first_token(first)
                    }
                    ast::SelectItem::Wildcard(options) => Some(options.wildcard_token.0.span.start),
                    _ => None,
                };
            }
            ast::SetExpr::SetOperation { left, .. } => body = left,
            ast::SetExpr::Query(inner) => body = &inner.body,
            ast::SetExpr::Values(values) => return first_token(values.rows.first()?.content.first()?),
            _ => return None,
        }
    }
}

impl Expr {
    /// The place of its leftmost part that has one.
    pub fn leftmost(&self) -> Place {
        let mut leftmost = self.place;
        let mut here = self;
        // Down the left side: what stands in front of an operator.
        while let Some(left) = here.left() {
            here = left;
            if leftmost.known().is_none() || here.place.known().is_some_and(|place| place < leftmost.0) {
                leftmost = here.place;
            }
        }
        leftmost
    }

    fn left(&self) -> Option<&Expr> {
        match &self.kind {
            ExprKind::Binary { left, .. } | ExprKind::DistinctFrom { left, .. } | ExprKind::Quantified { left, .. } => {
                Some(left)
            }
            ExprKind::Is { operand, .. }
            | ExprKind::InList { operand, .. }
            | ExprKind::InQuery { operand, .. }
            | ExprKind::Between { operand, .. }
            | ExprKind::Cast { operand, .. }
            | ExprKind::Subscript { operand, .. }
            | ExprKind::Field { operand, .. }
            | ExprKind::AllFields(operand)
            | ExprKind::Collate { operand, .. } => Some(operand),
            ExprKind::And(terms) | ExprKind::Or(terms) => terms.first(),
            // AT TIME ZONE stands behind its value, which is its last argument.
            ExprKind::Function(call) if call.name.place().known().is_none() && call.name.last() == "timezone" => {
                call.arguments.last().map(|argument| &argument.value)
            }
            _ => None,
        }
    }
}
