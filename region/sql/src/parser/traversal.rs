//! SEARCH and CYCLE behind a common table, which the library does not know: it reads the text without them, and they are read by
//! hand where the table ends.
use super::convert::Converter;
use super::cursor::Cursor;
use super::error::Source;
use super::tree::{CycleClause, Place, SearchClause};
use sqlparser::tokenizer::{Token, TokenWithSpan};
use trivet_types::PgResult;

pub(super) type Clauses = (Option<SearchClause>, Option<CycleClause>);

/// The clauses that stand here; moves behind them.
fn clauses(rest: &mut Cursor<'_, '_>) -> PgResult<Clauses> {
    let place = |rest: &Cursor<'_, '_>| rest.peek(0).map_or(Place(0), |token| rest.source.place_of(token.span));
    let (mut search, mut cycle) = (None, None);
    if rest.is("search") {
        let place = place(rest);
        rest.at += 1;
        let breadth = rest.eat("breadth");
        if !breadth {
            rest.expect("depth")?;
        }
        rest.expect("first")?;
        rest.expect("by")?;
        let by = rest.names()?;
        rest.expect("set")?;
        search = Some(SearchClause { place, breadth, by, sequence: rest.name()? });
    }
    if rest.is("cycle") {
        let place = place(rest);
        rest.at += 1;
        let columns = rest.names()?;
        rest.expect("set")?;
        let mark = rest.name()?;
        let mut values = None;
        if rest.eat("to") {
            let value = rest.library(|parser| parser.parse_expr())?;
            rest.expect("default")?;
            let otherwise = rest.library(|parser| parser.parse_expr())?;
            let mut converter = Converter::new(rest.source);
            values = Some(Box::new((converter.expr(value)?, converter.expr(otherwise)?)));
        }
        rest.expect("using")?;
        cycle = Some(CycleClause { place, columns, mark, values, path: rest.name()? });
    }
    Ok((search, cycle))
}

/// Those behind the parenthesis at this place of the tokens, and how many tokens they are.
fn behind(source: &Source<'_>, tokens: &[TokenWithSpan], at: usize) -> Option<(Clauses, usize)> {
    let mut rest = Cursor { source, tokens, at: at + 1 };
    if tokens[at].token != Token::RParen || !(rest.is("search") || rest.is("cycle")) {
        return None;
    }
    let found = clauses(&mut rest).ok()?;
    Some((found, rest.at - at - 1))
}

/// The clauses behind the common table that ends in this token.
pub(super) fn of_table(source: &Source<'_>, end: &TokenWithSpan) -> Clauses {
    let tokens = source.tokens;
    let at = tokens.iter().position(|token| token.span == end.span);
    at.and_then(|at| behind(source, tokens, at)).map_or((None, None), |(found, _)| found)
}

/// The tokens without them.
pub(super) fn left_out(source: &Source<'_>, tokens: Vec<TokenWithSpan>) -> Vec<TokenWithSpan> {
    let is_one = |token: &TokenWithSpan| super::places::is(token, "search") || super::places::is(token, "cycle");
    if !tokens.iter().any(is_one) {
        return tokens;
    }
    let mut kept = Vec::with_capacity(tokens.len());
    let mut at = 0;
    while at < tokens.len() {
        kept.push(tokens[at].clone());
        at += 1 + behind(source, &tokens, at).map_or(0, |(_, count)| count);
    }
    kept
}
