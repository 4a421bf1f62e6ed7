//! What sqlparser cannot read is spelled otherwise before it, and understood again while its tree is converted.
//!
//! - `OVER (w ... EXCLUDE TIES)`: the exclusion goes into the name of the window that the specification starts from.
//! - `TABLE t`: becomes `SELECT * FROM t`.
//! - `BETWEEN SYMMETRIC`, `LIKE ALL (...)`, `ORDER BY a USING >`: become `BETWEEN`, `LIKE ANY (...)`, `ORDER BY a DESC`; which they were
//!   the text's tokens tell.
//! - `SET a[1] = x`, `ON CONFLICT (lower(a))`: the target becomes a name that says which tokens it was.
//! - `f(VARIADIC a)`: becomes an argument by a name that no user can write.
//! - `(VALUES (1))` as a value: becomes a SELECT from these rows, which is taken off again.
//! - `GROUP BY ALL a`, `GROUP BY DISTINCT a`: ALL goes, DISTINCT becomes a first key by a name that no user can write.
//! - `a == b`, which is no other name of `=` here: becomes `a OPERATOR(==) b`.
//! - `t.*`: the asterisk becomes a name that no user can write, so that it may stand in any expression.
//! - `SUBSTRING(a SIMILAR b ESCAPE c)`: becomes `SUBSTRING(a, b, c)`; `substr(...)` becomes a call of the quoted name.
//! - `interval(2) '1.666 s'`: becomes `'1.666 s'::interval(2)`; `ROLLUP((SELECT ...))` gets a second pair of parentheses.
//! - `COLLATION FOR (a)`: becomes `pg_collation_for(a)`.
//! - `ROWS FROM (f(), g())`: becomes a call of a function that no user can name.
use super::error::Source;
use super::tree::FrameExclude;
use sqlparser::ast;
use sqlparser::keywords::Keyword;
use sqlparser::tokenizer::{Span, Token, TokenWithSpan, Word};

/// No identifier that a user writes starts like this: the tokenizer gives control characters no place in one unless quoted,
/// and PostgreSQL's clients do not quote them.
const MARK: char = '\u{1}';
/// The name of an argument that is the list of those that repeat.
pub(super) const VARIADIC: &str = "\u{1}variadic";
/// The alias of rows that stand for a value.
pub(super) const VALUES: &str = "\u{1}values";
/// The last part of `t.*` and `(row).*`.
pub(super) const STAR: &str = "\u{1}*";
/// The key that says GROUP BY DISTINCT.
pub(super) const GROUP_DISTINCT: &str = "\u{1}distinct";
pub(super) const ROWS_FROM: &str = "\u{1}rows from";

pub(super) fn for_library(source: &Source<'_>, mut tokens: Vec<TokenWithSpan>) -> Vec<TokenWithSpan> {
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
        if is(tokens.get(at), "between")
            && (is(tokens.get(at + 1), "symmetric") || is(tokens.get(at + 1), "asymmetric"))
        {
            tokens.remove(at + 1);
        }
        let opens = |at: usize| tokens.get(at).is_some_and(|token| token.token == Token::LParen);
        if (is(tokens.get(at), "like") || is(tokens.get(at), "ilike"))
            && (is(tokens.get(at + 1), "all") || is(tokens.get(at + 1), "some"))
            && opens(at + 2)
        {
            tokens[at + 1].token = Token::make_keyword("ANY");
        }
        if is(tokens.get(at), "using") {
            match tokens.get(at + 1).map(|token| &token.token) {
                Some(Token::Lt) => drop(tokens.drain(at..at + 2)),
                Some(Token::Gt) => {
                    tokens[at].token = Token::make_keyword("DESC");
                    tokens.remove(at + 1);
                }
                _ => {}
            }
        }
        if is(tokens.get(at), "values") {
            wrap_values(&mut tokens, at);
        }
        if is(tokens.get(at), "variadic") && at > 0 && matches!(tokens[at - 1].token, Token::LParen | Token::Comma) {
            let span = tokens[at].span;
            let arrow = TokenWithSpan::new(Token::RArrow, span);
            tokens.splice(at..at + 1, [quoted(VARIADIC.to_owned(), span), arrow]);
        }
        if is(tokens.get(at), "set") {
            mark_parts(source, &mut tokens, at + 1);
        }
        if is(tokens.get(at), "group") && is(tokens.get(at + 1), "by") {
            if is(tokens.get(at + 2), "all") {
                tokens.remove(at + 2);
            } else if is(tokens.get(at + 2), "distinct") {
                let span = tokens[at + 2].span;
                let comma = TokenWithSpan::new(Token::Comma, span);
                tokens.splice(at + 2..at + 3, [quoted(GROUP_DISTINCT.to_owned(), span), comma]);
            }
        }
        // `=<` is one operator, which there is not.
        if let [TokenWithSpan { token: Token::Eq, span }, TokenWithSpan { token: Token::Lt, span: next }, ..] =
            &tokens[at.min(tokens.len())..]
            && span.end == next.start
        {
            let span = Span::new(span.start, next.end);
            let joined = TokenWithSpan::new(Token::CustomBinaryOperator("=<".to_owned()), span);
            tokens.splice(at..at + 2, [joined]);
        }
        let is_unknown = |token: &TokenWithSpan| {
            token.token == Token::DoubleEq || token.token == Token::CustomBinaryOperator("=<".to_owned())
        };
        if tokens.get(at).is_some_and(is_unknown) {
            let span = tokens[at].span;
            let made = |token: Token| TokenWithSpan::new(token, span);
            let operator = [Token::make_keyword("OPERATOR"), Token::LParen].map(made);
            tokens.splice(at..at, operator);
            at += 2;
            tokens.insert(at + 1, TokenWithSpan::new(Token::RParen, span));
        }
        let is_star = tokens.get(at).is_some_and(|token| token.token == Token::Mul);
        if at > 0 && is_star && tokens[at - 1].token == Token::Period {
            tokens[at] = quoted(STAR.to_owned(), tokens[at].span);
        }
        if is(tokens.get(at), "collation")
            && is(tokens.get(at + 1), "for")
            && tokens.get(at + 2).is_some_and(|token| token.token == Token::LParen)
        {
            let span = tokens[at].span;
            tokens.splice(at..at + 2, [quoted("pg_collation_for".to_owned(), span)]);
        }
        // The library takes `substr` for the standard's SUBSTRING.
        if is(tokens.get(at), "substr") && tokens.get(at + 1).is_some_and(|token| token.token == Token::LParen) {
            tokens[at] = quoted("substr".to_owned(), tokens[at].span);
        }
        if is(tokens.get(at), "substring") && is_plain_call(&tokens, at + 1, &is) {
            tokens[at] = quoted("substring".to_owned(), tokens[at].span);
        }
        if is(tokens.get(at), "interval") {
            cast_interval(&mut tokens, at);
        }
        if is(tokens.get(at), "rollup") || is(tokens.get(at), "cube") {
            wrap_keys(&mut tokens, at + 1, &is);
        }
        if is(tokens.get(at), "substring") {
            spread_similar(&mut tokens, at + 1, &is);
        }
        let opens = |token: Option<&TokenWithSpan>| token.is_some_and(|token| token.token == Token::LParen);
        if is(tokens.get(at), "on") && is(tokens.get(at + 1), "conflict") && opens(tokens.get(at + 2)) {
            mark_conflict_keys(source, &mut tokens, at + 3);
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

/// `(VALUES (1))` as a value, which the library takes for a call: becomes `(SELECT * FROM (VALUES (1)) AS "...")`.
fn wrap_values(tokens: &mut Vec<TokenWithSpan>, at: usize) {
    let is_paren = |at: usize| tokens.get(at).is_some_and(|token| token.token == Token::LParen);
    let Some(before) = at.checked_sub(2).filter(|_| is_paren(at - 1) && is_paren(at + 1)) else { return };
    const WORDS: &[&str] = &["select", "distinct", "when", "then", "else", "and", "or", "not", "where", "by", "having"];
    let stands_for_value = match &tokens[before].token {
        Token::Word(word) => {
            word.quote_style.is_none() && WORDS.iter().any(|wanted| word.value.eq_ignore_ascii_case(wanted))
        }
        Token::RParen | Token::RBracket => false,
        _ => true,
    };
    if !stands_for_value {
        return;
    }
    // Nothing but rows up to the parenthesis that closes it.
    let mut depth = 0usize;
    let mut end = at + 1;
    loop {
        match tokens.get(end).map(|token| &token.token) {
            None => return,
            Some(Token::LParen) => depth += 1,
            Some(Token::RParen) if depth == 0 => break,
            Some(Token::RParen) => depth -= 1,
            Some(Token::Comma) => {}
            Some(_) if depth == 0 => return,
            Some(_) => {}
        }
        end += 1;
    }
    let span = tokens[at].span;
    let made = |token: Token| TokenWithSpan::new(token, span);
    tokens.splice(end..end, [made(Token::RParen), made(Token::make_keyword("AS")), quoted(VALUES.to_owned(), span)]);
    let head = [Token::make_keyword("SELECT"), Token::Mul, Token::make_keyword("FROM"), Token::LParen].map(made);
    tokens.splice(at..at, head);
}

/// `substring(a, b)`, without the words of the standard's syntax, calls the function that the search path says.
fn is_plain_call(tokens: &[TokenWithSpan], open: usize, is: &dyn Fn(Option<&TokenWithSpan>, &str) -> bool) -> bool {
    let mut depth = 0usize;
    for at in open..tokens.len() {
        match tokens[at].token {
            Token::LParen => depth += 1,
            Token::RParen if depth <= 1 => return depth == 1,
            Token::RParen => depth -= 1,
            _ if depth == 0 => return false,
            _ if depth == 1 && ["from", "for", "similar"].iter().any(|word| is(tokens.get(at), word)) => return false,
            _ => {}
        }
    }
    false
}

/// `interval(2) '1.666 s'`, whose digits the library passes over: becomes `'1.666 s'::interval(2)`.
fn cast_interval(tokens: &mut Vec<TokenWithSpan>, at: usize) {
    let [word, open, digits, close, text, ..] = &tokens[at..] else { return };
    if open.token == Token::LParen
        && matches!(digits.token, Token::Number(..))
        && close.token == Token::RParen
        && matches!(text.token, Token::SingleQuotedString(_) | Token::EscapedStringLiteral(_))
    {
        let colons = TokenWithSpan::new(Token::DoubleColon, word.span);
        let spelled = [text, &colons, word, open, digits, close].map(TokenWithSpan::clone);
        tokens.splice(at..at + 5, spelled);
    }
}

/// `ROLLUP((SELECT ...))`: a key that is a query gets parentheses of its own, for the library takes the first for a list's.
fn wrap_keys(tokens: &mut Vec<TokenWithSpan>, open: usize, is: &dyn Fn(Option<&TokenWithSpan>, &str) -> bool) {
    let is_open = |token: Option<&TokenWithSpan>| token.is_some_and(|token| token.token == Token::LParen);
    if !is_open(tokens.get(open)) {
        return;
    }
    let (mut depth, mut at, mut wrapped_at) = (0usize, open, None);
    while at < tokens.len() {
        match tokens[at].token {
            Token::LParen => {
                depth += 1;
                let queries = ["select", "values", "with"].iter().any(|word| is(tokens.get(at + 1), word));
                if depth == 2 && wrapped_at.is_none() && queries {
                    tokens.insert(at, tokens[at].clone());
                    wrapped_at = Some(depth);
                    at += 1;
                }
            }
            Token::RParen => {
                if wrapped_at == Some(depth) {
                    tokens.insert(at, tokens[at].clone());
                    wrapped_at = None;
                    at += 1;
                }
                depth = depth.saturating_sub(1);
                if depth == 0 {
                    return;
                }
            }
            _ => {}
        }
        at += 1;
    }
}

/// `SUBSTRING(text SIMILAR pattern ESCAPE escape)` has its three parts between commas.
fn spread_similar(tokens: &mut [TokenWithSpan], open: usize, is: &dyn Fn(Option<&TokenWithSpan>, &str) -> bool) {
    let mut depth = 0usize;
    let mut similar = false;
    for at in open..tokens.len() {
        match tokens[at].token {
            Token::LParen => depth += 1,
            Token::RParen if depth <= 1 => return,
            Token::RParen => depth -= 1,
            _ if depth == 0 => return,
            _ if depth == 1 && is(tokens.get(at), "similar") && !is(tokens.get(at + 1), "to") => {
                similar = true;
                tokens[at].token = Token::Comma;
            }
            _ if depth == 1 && similar && is(tokens.get(at), "escape") => tokens[at].token = Token::Comma,
            _ => {}
        }
    }
}

/// The targets of SET that are parts of columns, from `at` on up to the end of the list.
fn mark_parts(source: &Source<'_>, tokens: &mut Vec<TokenWithSpan>, mut at: usize) {
    let mut depth = 0usize;
    let mut begins = true;
    while at < tokens.len() {
        match &tokens[at].token {
            Token::LParen | Token::LBracket => depth += 1,
            Token::RParen | Token::RBracket if depth == 0 => return,
            Token::RParen | Token::RBracket => depth -= 1,
            Token::Word(word)
                if depth == 0
                    && word.quote_style.is_none()
                    && ["where", "from", "returning"].iter().any(|end| word.value.eq_ignore_ascii_case(end)) =>
            {
                return;
            }
            Token::Word(_) if begins && depth == 0 => {
                if let Some(end) = part_end(tokens, at) {
                    let first = source.token_at(tokens[at].span.start);
                    let last = source.token_at(tokens[end].span.start);
                    if let (Some(first), Some(last)) = (first, last) {
                        let span = tokens[at].span;
                        tokens.splice(at..=end, [quoted(format!("{MARK}part{MARK}{first}{MARK}{last}"), span)]);
                    }
                }
            }
            _ => {}
        }
        begins = depth == 0 && tokens[at].token == Token::Comma;
        at += 1;
    }
}

/// The keys of ON CONFLICT that are more than a column's name, from `at` on up to the parenthesis that ends them.
fn mark_conflict_keys(source: &Source<'_>, tokens: &mut Vec<TokenWithSpan>, mut at: usize) {
    loop {
        let (start, mut depth) = (at, 0usize);
        let ended = loop {
            match tokens.get(at).map(|token| &token.token) {
                None | Some(Token::EOF) => return,
                Some(Token::LParen | Token::LBracket) => depth += 1,
                Some(Token::RParen) if depth == 0 => break true,
                Some(Token::RParen | Token::RBracket) => depth = depth.saturating_sub(1),
                Some(Token::Comma) if depth == 0 => break false,
                Some(_) => {}
            }
            at += 1;
        };
        if at > start + 1 {
            let (first, last) = (tokens[start].span, tokens[at - 1].span);
            let places = source.token_at(first.start).zip(source.token_at(last.start));
            if let Some((from, to)) = places {
                tokens.splice(start..at, [quoted(format!("{MARK}part{MARK}{from}{MARK}{to}"), first)]);
                at = start + 1;
            }
        }
        if ended {
            return;
        }
        at += 1;
    }
}

/// The last token of `a[1][2]`, if that is what begins here and `=` follows.
fn part_end(tokens: &[TokenWithSpan], start: usize) -> Option<usize> {
    if tokens.get(start + 1)?.token != Token::LBracket {
        return None;
    }
    let mut depth = 0usize;
    for at in start + 1..tokens.len() {
        match tokens[at].token {
            Token::LBracket | Token::LParen => depth += 1,
            Token::RBracket | Token::RParen => depth = depth.checked_sub(1)?,
            _ => {}
        }
        if depth == 0 {
            match tokens.get(at + 1).map(|token| &token.token) {
                Some(Token::LBracket) => {}
                Some(Token::Eq) => return Some(at),
                _ => return None,
            }
        }
    }
    None
}

/// The tokens of the text that a marked target was.
pub(super) fn marked_part(name: &str) -> Option<(usize, usize)> {
    let (first, last) = name.strip_prefix(MARK)?.strip_prefix("part")?.strip_prefix(MARK)?.split_once(MARK)?;
    Some((first.parse().ok()?, last.parse().ok()?))
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
