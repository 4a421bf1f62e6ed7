//! What sqlparser cannot read is spelled otherwise before it, and understood again while its tree is converted.
//!
//! - `OVER (w ... EXCLUDE TIES)`: the exclusion goes into the name of the window that the specification starts from.
//! - `TABLE t`: becomes `SELECT * FROM t`.
//! - `ROWS FROM (f(), g())`: becomes a call of a function that no user can name.
use super::tree::FrameExclude;
use sqlparser::ast;
use sqlparser::keywords::Keyword;
use sqlparser::tokenizer::{Span, Token, TokenWithSpan, Word};

/// No identifier that a user writes starts like this: the tokenizer gives control characters no place in one unless quoted,
/// and PostgreSQL's clients do not quote them.
const MARK: char = '\u{1}';
pub(super) const ROWS_FROM: &str = "\u{1}rows from";

pub(super) fn for_library(mut tokens: Vec<TokenWithSpan>) -> Vec<TokenWithSpan> {
    let is = |token: Option<&TokenWithSpan>, word: &str| matches!(token.map(|token| &token.token), Some(Token::Word(found)) if found.quote_style.is_none() && found.value.eq_ignore_ascii_case(word));
    let mut at = 0;
    while at < tokens.len() {
        if is(tokens.get(at), "exclude") {
            let (exclusion, length) = match (tokens.get(at + 1), tokens.get(at + 2)) {
                (first, second) if is(first, "current") && is(second, "row") => ("current", 3),
                (first, second) if is(first, "no") && is(second, "others") => ("no", 3),
                (first, _) if is(first, "group") => ("group", 2),
                (first, _) if is(first, "ties") => ("ties", 2),
                _ => ("", 0),
            };
            if length > 0 && tokens.get(at + length).is_some_and(|token| token.token == Token::RParen) {
                tokens.drain(at..at + length);
                mark_window(&mut tokens, at, exclusion);
            }
        }
        if is(tokens.get(at), "rows") && is(tokens.get(at + 1), "from") {
            let span = tokens[at].span;
            tokens.splice(at..at + 2, [quoted(ROWS_FROM.to_owned(), span)]);
        }
        // `TABLE t`, where a query may begin.
        let begins = at == 0
            || matches!(tokens[at - 1].token, Token::LParen | Token::RParen)
            || ["union", "all", "intersect", "except", "distinct"].iter().any(|word| is(tokens.get(at - 1), word));
        let named = matches!(tokens.get(at + 1).map(|token| &token.token), Some(Token::Word(_)));
        if begins && named && is(tokens.get(at), "table") {
            let span = tokens[at].span;
            let star = [Token::make_keyword("SELECT"), Token::Mul, Token::make_keyword("FROM")];
            tokens.splice(at..at + 1, star.map(|token| TokenWithSpan::new(token, span)));
        }
        at += 1;
    }
    tokens
}

fn quoted(value: String, span: Span) -> TokenWithSpan {
    let word = Word { value, quote_style: Some('"'), keyword: Keyword::NoKeyword };
    TokenWithSpan::new(Token::Word(word), span)
}

/// Note the exclusion at the beginning of the specification that ends at `end`.
fn mark_window(tokens: &mut Vec<TokenWithSpan>, end: usize, exclusion: &str) {
    let mut depth = 0usize;
    let Some(open) = (0..end).rev().find(|at| match tokens[*at].token {
        Token::RParen => {
            depth += 1;
            false
        }
        Token::LParen if depth == 0 => true,
        Token::LParen => {
            depth -= 1;
            false
        }
        _ => false,
    }) else {
        return;
    };
    let begins = |word: &Word| {
        word.quote_style.is_none()
            && ["partition", "order", "rows", "range", "groups"].iter().any(|one| word.value.eq_ignore_ascii_case(one))
    };
    let span = tokens[open + 1].span;
    match &tokens[open + 1].token {
        Token::Word(word) if !begins(word) => {
            let base = if word.quote_style.is_some() { word.value.clone() } else { word.value.to_lowercase() };
            tokens[open + 1] = quoted(format!("{MARK}{exclusion}{MARK}{base}"), span);
        }
        _ => tokens.insert(open + 1, quoted(format!("{MARK}{exclusion}{MARK}"), span)),
    }
}

/// The exclusion that `for_library` noted, and the window's own name.
pub(super) fn split_exclusion(name: Option<ast::Ident>) -> (FrameExclude, Option<ast::Ident>) {
    let Some(mut name) = name else { return (FrameExclude::NoOthers, None) };
    let Some((exclusion, base)) = name.value.strip_prefix(MARK).and_then(|rest| rest.split_once(MARK)) else {
        return (FrameExclude::NoOthers, Some(name));
    };
    let exclude = match exclusion {
        "current" => FrameExclude::CurrentRow,
        "group" => FrameExclude::Group,
        "ties" => FrameExclude::Ties,
        _ => FrameExclude::NoOthers,
    };
    let base = base.to_owned();
    name.value = base;
    (exclude, Some(name).filter(|name| !name.value.is_empty()))
}
