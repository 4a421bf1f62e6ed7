//! `U&'d\0061ta'` and `U&"d!0061ta" UESCAPE '!'`, which come here in pieces, become the strings and names that they stand for.
use super::error::Source;
use super::places;
use super::tree::Place;
use sqlparser::tokenizer::{Span, Token, TokenWithSpan, Word};
use trivet_types::text::unicode::{Mistake, unescape};
use trivet_types::{PgError, PgResult, sqlstate};

/// Characters of `U&'`.
const PREFIX_CHARACTERS: usize = 3;

pub(super) fn join(source: &Source<'_>, tokens: &mut Vec<TokenWithSpan>) -> PgResult<()> {
    if !tokens.windows(3).any(begins) {
        return Ok(());
    }
    // Anew, not in place: a text may be full of them.
    let mut joined = Vec::with_capacity(tokens.len());
    let mut at = 0;
    while at < tokens.len() {
        if !tokens.get(at..at + 3).is_some_and(begins) {
            joined.push(tokens[at].clone());
            at += 1;
            continue;
        }
        let (escape, length) = escape_of(source, &tokens[at + 3..])?;
        let read =
            |text: &str| unescape(text, escape, false).map_err(|found| told(source, tokens[at].span, text, found));
        let token = match &tokens[at + 2].token {
            Token::Word(word) => Token::Word(Word { value: read(&word.value)?, ..word.clone() }),
            Token::SingleQuotedString(text) => Token::SingleQuotedString(read(text)?),
            _ => return Err(PgError::internal("a Unicode string of another kind of token")),
        };
        let span = Span::new(tokens[at].span.start, tokens[at + 2 + length].span.end);
        joined.push(TokenWithSpan::new(token, span));
        at += 3 + length;
    }
    *tokens = joined;
    Ok(())
}

/// `U`, `&` and a quoted thing without blanks between.
fn begins(tokens: &[TokenWithSpan]) -> bool {
    let [letter, sign, quoted] = tokens else { return false };
    let is_quoted = match &quoted.token {
        Token::SingleQuotedString(_) => true,
        Token::Word(word) => word.quote_style.is_some(),
        _ => false,
    };
    is_quoted
        && sign.token == Token::Ampersand
        && places::is(letter, "u")
        && letter.span.end == sign.span.start
        && sign.span.end == quoted.span.start
}

/// The escape character that UESCAPE names, and how many tokens that takes.
fn escape_of(source: &Source<'_>, behind: &[TokenWithSpan]) -> PgResult<(char, usize)> {
    if !behind.first().is_some_and(|token| places::is(token, "uescape")) {
        return Ok(('\\', 0));
    }
    let fail = |message: &str, token: &TokenWithSpan| {
        let shown = source.slice(token.span.start, token.span.end);
        let error = PgError::new(sqlstate::SYNTAX_ERROR, format!("{message} at or near \"{shown}\""));
        placed(error, source.place_of(token.span))
    };
    let Some(given) = behind.get(1).filter(|token| token.token != Token::EOF) else {
        return Err(source.syntax_error(&TokenWithSpan::wrap(Token::EOF)));
    };
    let Token::SingleQuotedString(text) = &given.token else {
        return Err(fail("UESCAPE must be followed by a simple string literal", given));
    };
    let mut characters = text.chars();
    match (characters.next(), characters.next()) {
        (Some(escape), None)
            if escape.is_ascii()
                && !escape.is_ascii_hexdigit()
                && !escape.is_ascii_whitespace()
                && !matches!(escape, '+' | '\'' | '"') =>
        {
            Ok((escape, 2))
        }
        _ => Err(fail("invalid Unicode escape character", given)),
    }
}

fn told(source: &Source<'_>, literal: Span, text: &str, (byte, mistake): (usize, Mistake)) -> Box<PgError> {
    let syntax = |message: &str| PgError::new(sqlstate::SYNTAX_ERROR, message);
    let error = match mistake {
        Mistake::Escape => syntax("invalid Unicode escape").hint("Unicode escapes must be \\XXXX or \\+XXXXXX."),
        Mistake::Code(_) => syntax("invalid Unicode escape value"),
        Mistake::Pair => syntax("invalid Unicode surrogate pair"),
    };
    let before = text.get(..byte).unwrap_or(text).chars().count() + PREFIX_CHARACTERS;
    let Some(place) = source.place_of(literal).known() else { return error };
    error.position(place.saturating_add(u32::try_from(before).unwrap_or(0)))
}

fn placed(error: Box<PgError>, place: Place) -> Box<PgError> {
    match place.known() {
        Some(place) => error.position(place),
        None => error,
    }
}
