//! MERGE, read by hand: its parts are the library's to read, cut where the words USING, ON, WHEN and THEN stand.
use super::convert::Converter;
use super::cursor::{Cursor, word_is};
use super::tree::*;
use sqlparser::parser::Parser;
use sqlparser::tokenizer::{Token, TokenWithSpan};
use trivet_types::PgResult;

/// The places of a word outside of parentheses and CASE.
fn places_of(tokens: &[TokenWithSpan], word: &str) -> Vec<usize> {
    let (mut depth, mut cases, mut found) = (0usize, 0usize, Vec::new());
    for (at, token) in tokens.iter().enumerate() {
        match &token.token {
            Token::LParen | Token::LBracket => depth += 1,
            Token::RParen | Token::RBracket => depth = depth.saturating_sub(1),
            Token::Word(_) if depth > 0 => {}
            Token::Word(_) if word_is(Some(token), "case") => cases += 1,
            Token::Word(_) if cases > 0 && word_is(Some(token), "end") => cases -= 1,
            Token::Word(_) if cases == 0 && word_is(Some(token), word) => found.push(at),
            _ => {}
        }
    }
    found
}

/// Behind MERGE.
pub(super) fn merge(rest: &mut Cursor<'_, '_>, with: Option<With>) -> PgResult<Statement> {
    rest.expect("into")?;
    rest.eat("only");
    let table = rest.qualified_name()?;
    rest.eat_token(&Token::Mul);
    let alias = if rest.eat("as") || !rest.is("using") { Some(rest.name()?) } else { None };
    rest.expect("using")?;
    let remaining = rest.remaining();
    let clauses_at = places_of(remaining, "when").first().copied().unwrap_or(remaining.len());
    let head = &remaining[..clauses_at];
    let Some(on) = places_of(head, "on").last().copied() else {
        rest.at += head.len();
        return Err(rest.error());
    };
    let source = part(rest, &head[..on], |parser| parser.parse_table_and_joins())?;
    let source = Converter::new(rest.source).from(vec![source])?;
    let condition = rest.expr_of(&head[on + 1..])?;
    rest.at += clauses_at;
    let mut clauses = Vec::new();
    while rest.is("when") {
        clauses.push(clause(rest)?);
    }
    if clauses.is_empty() {
        return Err(rest.error());
    }
    rest.end()?;
    Ok(Statement::Merge(Box::new(Merge { with, table, alias, source, condition, clauses })))
}

fn part<T>(
    rest: &Cursor<'_, '_>,
    tokens: &[TokenWithSpan],
    parse: impl FnOnce(&mut Parser<'_>) -> Result<T, sqlparser::parser::ParserError>,
) -> PgResult<T> {
    if tokens.is_empty() {
        return Err(rest.error());
    }
    super::parse_part(rest.source, tokens, parse)
}

/// `WHEN [NOT] MATCHED [AND condition] THEN action`
fn clause(rest: &mut Cursor<'_, '_>) -> PgResult<MergeClause> {
    let place = rest.place();
    rest.expect("when")?;
    let matched = !rest.eat("not");
    rest.expect("matched")?;
    let mut condition = None;
    if rest.eat("and") {
        let remaining = rest.remaining();
        let end = places_of(remaining, "then").first().copied().unwrap_or(remaining.len());
        condition = Some(rest.expr_of(&remaining[..end])?);
        rest.at += end;
    }
    rest.expect("then")?;
    let action = if rest.eat("do") {
        rest.expect("nothing")?;
        MergeAction::Nothing
    } else if matched && rest.eat("delete") {
        MergeAction::Delete
    } else if matched && rest.eat("update") {
        rest.expect("set")?;
        let tokens = up_to_next(rest);
        let assignments = part(rest, tokens, |parser| parser.parse_comma_separated(Parser::parse_assignment))?;
        rest.at += tokens.len();
        MergeAction::Update(Converter::new(rest.source).assignments(assignments)?)
    } else if !matched && rest.eat("insert") {
        insert(rest)?
    } else {
        return Err(rest.error());
    };
    Ok(MergeClause { place, matched, condition, action })
}

/// The tokens before the next WHEN.
fn up_to_next<'t>(rest: &Cursor<'_, 't>) -> &'t [TokenWithSpan] {
    let remaining = rest.remaining();
    &remaining[..places_of(remaining, "when").first().copied().unwrap_or(remaining.len())]
}

fn insert(rest: &mut Cursor<'_, '_>) -> PgResult<MergeAction> {
    let columns = if rest.peek_is(&Token::LParen) { rest.name_list()? } else { vec![] };
    let mut overriding_system = None;
    if rest.eat("overriding") {
        overriding_system = Some(rest.is("system"));
        if !rest.eat("system") {
            rest.expect("user")?;
        }
        rest.expect("value")?;
    }
    if rest.eat_words(&["default", "values"]) {
        return Ok(MergeAction::Insert { columns, overriding_system, values: None });
    }
    rest.expect("values")?;
    let inside = rest.parenthesized()?;
    let values = part(rest, inside, |parser| parser.parse_comma_separated(Parser::parse_expr))?;
    let mut converter = Converter::new(rest.source);
    let values = values.into_iter().map(|value| converter.expr(value)).collect::<PgResult<_>>()?;
    Ok(MergeAction::Insert { columns, overriding_system, values: Some(values) })
}
