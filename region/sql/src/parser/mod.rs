//! SQL text to [`tree`]: sqlparser's grammar behind [`dialect`], converted at once; [`utility`] reads by hand the statements that
//! the library cannot. The parser knows no catalog.
//!
//! Bounds, so that no text can exhaust the stack: nesting is limited while parsing, left-deep operator chains while converting
//! (AND and OR chains are flattened instead), and a long text is parsed on a thread with room for the library's own recursion.
mod adjacent;
mod as_of;
mod convert;
mod cursor;
mod define;
pub mod definition;
mod dialect;
mod error;
mod keywords;
mod lexical;
mod merge;
mod place;
mod places;
mod rewrite;
mod roles;
mod table;
mod table_definition;
mod traversal;
pub mod tree;
mod unicode;
mod utility;

use adjacent::Misplaced;
pub use as_of::AsOf;
use error::Source;
pub(crate) use error::too_deep;
use sqlparser::keywords::Keyword;
use sqlparser::parser::Parser;
use sqlparser::tokenizer::{Token, TokenWithSpan, Tokenizer, Whitespace};
use std::collections::VecDeque;
use tree::Statement;
use trivet_txn::LockStrength;
use trivet_types::{PgError, PgResult, sqlstate};

const DIALECT: dialect::TrivetDialect = dialect::TrivetDialect::new();
/// Nesting of parentheses, subqueries, CASE ...
const NESTING_MAX: usize = 120;
/// Above this many tokens the library's recursion (also when it drops its tree) gets a stack of its own.
const TOKENS_ON_THIS_STACK: usize = 250;
const LONG_TEXT_STACK_BYTES: usize = 512 << 20;

/// One statement of a query text.
#[derive(Clone, PartialEq, Debug)]
pub struct Parsed {
    pub statement: Statement,
    /// Its text, without the semicolon.
    pub text: String,
    /// A query of the past.
    pub as_of: Option<AsOf>,
    /// A cursor's: its rows come with the ids of those that they were made of.
    pub for_cursor: bool,
}

impl Parsed {
    pub fn new(statement: Statement, text: impl Into<String>) -> Parsed {
        Parsed { statement, text: text.into(), as_of: None, for_cursor: false }
    }
}

/// All statements of a query text; none for an empty one. 42601 with a position, 0A000 with a name, 54001 for nesting.
pub fn parse(sql: &str) -> PgResult<Vec<Parsed>> {
    let source = Source::new(sql);
    if let Some((start, error)) = lexical::mistake(&source) {
        // What is wrong before it is told first.
        return match parse(&sql[..start]) {
            Err(earlier) if earlier.message != "syntax error at end of input" => Err(earlier),
            _ => Err(error),
        };
    }
    let tokens = tokenize(&source)?;
    let source = source.with_tokens(&tokens);
    let tokens = tokens.clone();
    if tokens.len() <= TOKENS_ON_THIS_STACK {
        return parse_tokens(&source, tokens);
    }
    std::thread::scope(|scope| {
        std::thread::Builder::new()
            .name("parse".into())
            .stack_size(LONG_TEXT_STACK_BYTES)
            .spawn_scoped(scope, || parse_tokens(&source, tokens))
            .map_err(|error| PgError::new(sqlstate::OUT_OF_MEMORY, format!("could not parse a long query: {error}")))?
            .join()
            .unwrap_or_else(|_| Err(PgError::internal("the parser failed")))
    })
}

fn tokenize(source: &Source<'_>) -> PgResult<Vec<TokenWithSpan>> {
    let mut tokens = Vec::new();
    Tokenizer::new(&DIALECT, source.text)
        .tokenize_with_location_into_buf(&mut tokens)
        .map_err(|error| source.tokenizer_error(&error))?;
    join_strings(&mut tokens);
    tokens.retain(|token| !matches!(token.token, Token::Whitespace(_)));
    unicode::join(source, &mut tokens)?;
    spell_out_isnull(&mut tokens);
    Ok(tokens)
}

/// A string constant goes on in the next one, if that stands on a later line.
fn join_strings(tokens: &mut Vec<TokenWithSpan>) {
    let mut at = 0;
    while at < tokens.len() {
        let is_string = matches!(tokens[at].token, Token::SingleQuotedString(_) | Token::EscapedStringLiteral(_));
        if is_string {
            let blanks =
                tokens[at + 1..].iter().take_while(|token| matches!(token.token, Token::Whitespace(_))).count();
            let (next, line) = (at + 1 + blanks, tokens[at].span.end.line);
            if let Some(TokenWithSpan { token: Token::SingleQuotedString(more), span }) = tokens.get(next).cloned() {
                let commented = tokens[at + 1..next]
                    .iter()
                    .any(|token| matches!(&token.token, Token::Whitespace(Whitespace::MultiLineComment(_))));
                if span.start.line > line && !commented {
                    tokens[at].span.end = span.end;
                    if let Token::SingleQuotedString(text) | Token::EscapedStringLiteral(text) = &mut tokens[at].token {
                        text.push_str(&more);
                    }
                    tokens.drain(at + 1..=next);
                    continue;
                }
            }
        }
        at += 1;
    }
}

/// `a ISNULL`, which the library reads as a column called a under the name "isnull", becomes `a IS NULL`.
fn spell_out_isnull(tokens: &mut Vec<TokenWithSpan>) {
    let is_isnull = |token: &TokenWithSpan| matches!(&token.token, Token::Word(word) if word.quote_style.is_none() && word.value.eq_ignore_ascii_case("isnull"));
    if !tokens.iter().any(is_isnull) {
        return;
    }
    let mut given = std::mem::take(tokens).into_iter().peekable();
    while let Some(token) = given.next() {
        if is_isnull(&token) && given.peek().is_none_or(|next| next.token != Token::LParen) {
            tokens.extend(["IS", "NULL"].map(|word| TokenWithSpan::new(Token::make_keyword(word), token.span)));
        } else {
            tokens.push(token);
        }
    }
}

fn parse_tokens(source: &Source<'_>, tokens: Vec<TokenWithSpan>) -> PgResult<Vec<Parsed>> {
    let mut statements = Vec::new();
    let ends_statement = |token: &TokenWithSpan| matches!(token.token, Token::SemiColon | Token::EOF);
    for tokens in tokens.split_inclusive(ends_statement) {
        let (tokens, end) = match tokens.split_last() {
            Some((end, before)) if ends_statement(end) => (before, Some(end)),
            _ => (tokens, None),
        };
        if let (Some(first), Some(last)) = (tokens.first(), tokens.last()) {
            let text = source.slice(first.span.start, last.span.end).to_owned();
            let split = as_of::split(source, tokens)?;
            let as_of = split.as_ref().map(|(_, as_of)| *as_of);
            let tokens = split.as_ref().map_or(tokens, |(kept, _)| kept.as_slice());
            let statement = parse_one(source, tokens).map_err(|error| match end {
                // The statement ends too early: PostgreSQL points at what ends it.
                Some(end) if error.message == "syntax error at end of input" => source.syntax_error(end),
                _ => error,
            })?;
            statements.push(Parsed { as_of, ..Parsed::new(statement, text) });
        }
    }
    Ok(statements)
}

/// The words that begin a statement of PostgreSQL's which nothing here reads: refused by name.
const UNREAD_STATEMENTS: &[&str] = &["call", "cluster", "do", "import", "load", "security"];
/// The words that begin a statement which the library reads. Anything else is a syntax error at its first token.
const LIBRARY_STATEMENTS: &[&str] = &[
    "alter", "comment", "create", "delete", "drop", "grant", "insert", "merge", "revoke", "select", "table",
    "truncate", "update", "values", "with",
];

fn parse_one(source: &Source<'_>, tokens: &[TokenWithSpan]) -> PgResult<Statement> {
    let begins_as = |words: &[&str]| match &tokens[0].token {
        Token::Word(word) if word.quote_style.is_none() => words.iter().any(|one| word.value.eq_ignore_ascii_case(one)),
        _ => false,
    };
    if begins_as(UNREAD_STATEMENTS) {
        return Err(PgError::unsupported(tokens[0].token.to_string().to_ascii_uppercase()));
    }
    // The library takes DELETE without FROM.
    if let (true, Some(second)) = (begins_as(&["delete"]), tokens.get(1).filter(|second| !places::is(second, "from"))) {
        return Err(source.syntax_error(second));
    }
    match utility::parse(source, tokens)? {
        None if !begins_as(LIBRARY_STATEMENTS) && tokens[0].token != Token::LParen => {
            Err(source.syntax_error(&tokens[0]))
        }
        Some(statement) => Ok(statement),
        None => parse_with_library(source, tokens),
    }
}

/// MERGE, perhaps behind a WITH.
fn read_merge(source: &Source<'_>, tokens: &[TokenWithSpan]) -> PgResult<Option<Statement>> {
    if places::is(&tokens[0], "merge") {
        let mut rest = cursor::Cursor { source, tokens, at: 1 };
        return merge::merge(&mut rest, None).map(Some);
    }
    if !places::is(&tokens[0], "with") {
        return Ok(None);
    }
    let mut depth = 0usize;
    let starts = |(_, token): &(usize, &TokenWithSpan)| {
        match token.token {
            Token::LParen => depth += 1,
            Token::RParen => depth = depth.saturating_sub(1),
            _ => {}
        }
        depth == 0 && places::is(token, "merge")
    };
    let Some((at, _)) = tokens.iter().enumerate().find(starts) else { return Ok(None) };
    if !tokens.get(at + 1).is_some_and(|next| places::is(next, "into")) {
        return Ok(None);
    }
    // The list of WITH is read as a query's.
    let mut query = tokens[..at].to_vec();
    query.extend(["SELECT", "NULL"].map(|word| TokenWithSpan::new(Token::make_keyword(word), tokens[at].span)));
    let with = parse_query(source, &query)?.with;
    let mut rest = cursor::Cursor { source, tokens, at: at + 1 };
    merge::merge(&mut rest, with).map(Some)
}

fn parse_with_library(source: &Source<'_>, tokens: &[TokenWithSpan]) -> PgResult<Statement> {
    if let Some(statement) = read_merge(source, tokens)? {
        return Ok(statement);
    }
    if let Some(statement) = read_current_of(source, tokens)? {
        return Ok(statement);
    }
    let misplaced = adjacent::misplaced(tokens);
    let parsed = read_with_library(source, tokens);
    first_mistake(source, tokens, misplaced, parsed)
}

/// An UPDATE or DELETE with `WHERE CURRENT OF cursor`, which the library does not know: it reads the rest.
fn read_current_of(source: &Source<'_>, tokens: &[TokenWithSpan]) -> PgResult<Option<Statement>> {
    let is = |at: usize, word: &str| tokens.get(at).is_some_and(|token| places::is(token, word));
    let mut depth = 0usize;
    let found = tokens.iter().enumerate().find(|(at, token)| {
        match token.token {
            Token::LParen => depth += 1,
            Token::RParen => depth = depth.saturating_sub(1),
            _ => {}
        }
        depth == 0 && is(*at, "where") && is(at + 1, "current") && is(at + 2, "of")
    });
    let Some((at, _)) = found else { return Ok(None) };
    let mut cursor = cursor::Cursor { source, tokens, at: at + 3 };
    let name = cursor.name()?;
    if !cursor.at_end() && !cursor.is("returning") {
        return Err(cursor.error());
    }
    let rest: Vec<TokenWithSpan> = tokens[..at].iter().chain(cursor.remaining()).cloned().collect();
    let mut statement = parse_with_library(source, &rest)?;
    let others = match &mut statement {
        Statement::Update(update) => {
            update.current_of = Some(name);
            !update.from.is_empty()
        }
        Statement::Delete(delete) => {
            delete.current_of = Some(name);
            !delete.using.is_empty()
        }
        _ => return Err(source.syntax_error(&tokens[at + 2])),
    };
    if others {
        return Err(PgError::unsupported("WHERE CURRENT OF beside other tables"));
    }
    Ok(Some(statement))
}

/// What was read, or the first mistake: the library's, or a token that cannot stand where it does.
fn first_mistake<T>(
    source: &Source<'_>,
    tokens: &[TokenWithSpan],
    misplaced: Option<Misplaced>,
    parsed: PgResult<T>,
) -> PgResult<T> {
    let Some(misplaced) = misplaced else {
        return parsed.map_err(|error| limit_with_comma(source, tokens, &error).unwrap_or(error));
    };
    let token = match misplaced {
        Misplaced::Token(at) => tokens.get(at),
        Misplaced::End | Misplaced::PerhapsEnd => None,
    };
    let wrong = match token.or_else(|| source.behind(tokens)) {
        Some(token) => source.syntax_error(token),
        None => source.syntax_error(&TokenWithSpan::wrap(Token::EOF)),
    };
    match parsed {
        Ok(parsed) if misplaced == Misplaced::PerhapsEnd => Ok(parsed),
        Err(error) if token.is_none() && error.code != sqlstate::SYNTAX_ERROR => Err(error),
        Err(error) if token.is_some() && error.code == sqlstate::SYNTAX_ERROR && error.position < wrong.position => {
            let named = |token: &TokenWithSpan| source.place_of(token.span).known() == error.position;
            match tokens.iter().position(named) {
                Some(at) if adjacent::is_doubtful(tokens, at) => Err(wrong),
                _ => Err(error),
            }
        }
        _ => Err(wrong),
    }
}

/// `LIMIT 5, 10`, which other databases have.
fn limit_with_comma(source: &Source<'_>, tokens: &[TokenWithSpan], error: &PgError) -> Option<Box<PgError>> {
    let at = tokens.iter().position(|token| source.place_of(token.span).known() == error.position)?;
    let limit = at.checked_sub(2).map(|limit| &tokens[limit])?;
    if tokens[at].token != Token::Comma || !places::is(limit, "limit") || error.code != sqlstate::SYNTAX_ERROR {
        return None;
    }
    let error = PgError::new(sqlstate::SYNTAX_ERROR, "LIMIT #,# syntax is not supported");
    let error = error.hint("Use separate LIMIT and OFFSET clauses.");
    Some(source.place_of(limit.span).known().map_or(error.clone(), |place| error.position(place)))
}

fn read_with_library(source: &Source<'_>, tokens: &[TokenWithSpan]) -> PgResult<Statement> {
    let (tokens, lock_strengths) = weaken_locks(tokens);
    let tokens = traversal::left_out(source, tokens);
    let tokens = rewrite::for_library(source, tokens);
    let mut parser = Parser::new(&DIALECT).with_recursion_limit(NESTING_MAX).with_tokens_with_locations(tokens);
    let statement = parser.parse_statement().map_err(|error| source.parser_error(&error, parser.peek_token_ref()))?;
    let next = parser.peek_token_ref();
    if next.token != Token::EOF {
        return Err(source.syntax_error(next));
    }
    let mut converter = convert::Converter::new(source);
    converter.lock_strengths = lock_strengths;
    converter.statement(statement)
}

/// `FOR NO KEY UPDATE` and `FOR KEY SHARE`, which the library does not know, become `FOR UPDATE` and `FOR SHARE`; what they
/// were is remembered, with the others, in the order of the text.
fn weaken_locks(tokens: &[TokenWithSpan]) -> (Vec<TokenWithSpan>, VecDeque<LockStrength>) {
    let word = |at: usize| match tokens.get(at).map(|token| &token.token) {
        Some(Token::Word(word)) if word.quote_style.is_none() => word.value.to_ascii_lowercase(),
        _ => String::new(),
    };
    let mut kept = Vec::with_capacity(tokens.len());
    let mut strengths = VecDeque::new();
    let mut at = 0;
    while at < tokens.len() {
        kept.push(tokens[at].clone());
        let is_for = matches!(&tokens[at].token, Token::Word(word) if word.keyword == Keyword::FOR);
        at += 1;
        if !is_for {
            continue;
        }
        let (skipped, strength) = match (word(at).as_str(), word(at + 1).as_str(), word(at + 2).as_str()) {
            ("no", "key", "update") => (2, LockStrength::NoKeyUpdate),
            ("key", "share", _) => (1, LockStrength::KeyShare),
            ("update", _, _) => (0, LockStrength::Update),
            ("share", _, _) => (0, LockStrength::Share),
            _ => continue,
        };
        at += skipped;
        strengths.push_back(strength);
    }
    (kept, strengths)
}

/// A part of a statement, for the hand-written parser: `parse` runs on the library's parser over `tokens`, which must use all of them.
fn parse_part<T>(
    source: &Source<'_>,
    tokens: &[TokenWithSpan],
    parse: impl FnOnce(&mut Parser<'_>) -> Result<T, sqlparser::parser::ParserError>,
) -> PgResult<T> {
    let rewritten = rewrite::for_library(source, tokens.to_vec());
    let mut parser = Parser::new(&DIALECT).with_recursion_limit(NESTING_MAX).with_tokens_with_locations(rewritten);
    // Where the part ends, its statement goes on.
    let located = |next: &TokenWithSpan| match source.behind(tokens).filter(|_| next.token == Token::EOF) {
        Some(behind) => behind.clone(),
        None => next.clone(),
    };
    let part = parse(&mut parser).map_err(|error| source.parser_error(&error, &located(parser.peek_token_ref())))?;
    match parser.peek_token_ref() {
        next if next.token == Token::EOF => Ok(part),
        next => Err(source.syntax_error(next)),
    }
}

/// A query within a statement that is read by hand.
fn parse_query(source: &Source<'_>, tokens: &[TokenWithSpan]) -> PgResult<tree::Query> {
    let misplaced = adjacent::misplaced(tokens);
    let (weakened, lock_strengths) = weaken_locks(tokens);
    let weakened = traversal::left_out(source, weakened);
    let parsed = parse_part(source, &weakened, |parser| parser.parse_query()).and_then(|query| {
        let mut converter = convert::Converter::new(source);
        converter.lock_strengths = lock_strengths;
        converter.query(*query)
    });
    first_mistake(source, tokens, misplaced, parsed)
}

/// A part of a statement that begins with `tokens` and ends where the library's parser ends: the part, and how many tokens it took.
fn parse_prefix<T>(
    source: &Source<'_>,
    tokens: &[TokenWithSpan],
    parse: impl FnOnce(&mut Parser<'_>) -> Result<T, sqlparser::parser::ParserError>,
) -> PgResult<(T, usize)> {
    let mut parser =
        Parser::new(&DIALECT).with_recursion_limit(NESTING_MAX).with_tokens_with_locations(tokens.to_vec());
    let part = parse(&mut parser).map_err(|error| source.parser_error(&error, parser.peek_token_ref()))?;
    Ok((part, parser.index().min(tokens.len())))
}

#[cfg(test)]
mod tests;
