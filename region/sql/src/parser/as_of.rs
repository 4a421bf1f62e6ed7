//! `AS OF SYSTEM TIME '...'`, which PostgreSQL does not have (T23): behind the FROM of a query or at its end, and among the modes
//! of BEGIN and SET TRANSACTION.
//!
//! The time is a string: `'-10s'`, an interval before now, or a timestamp, in UTC unless it says otherwise.
use super::cursor::{Cursor, word_is};
use super::error::Source;
use sqlparser::tokenizer::{Token, TokenWithSpan};
use trivet_types::datetime::{ParseContext, parse_interval, parse_timestamptz};
use trivet_types::{FormatSettings, PgError, PgResult, SqlState, sqlstate};

/// Microseconds between 1970 and 2000.
const POSTGRES_EPOCH: i64 = 946_684_800_000_000;
const MICROSECONDS_A_DAY: i64 = 86_400_000_000;

/// When, in microseconds.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum AsOf {
    Ago(i64),
    /// Since 1970.
    At(i64),
}

impl AsOf {
    /// Microseconds since 1970.
    pub fn resolve(self, now: i64) -> i64 {
        match self {
            AsOf::Ago(span) => now.saturating_sub(span),
            AsOf::At(time) => time,
        }
    }

    fn parse(text: &str) -> Option<AsOf> {
        let text = text.trim();
        if text.starts_with('-') {
            let span = parse_interval(text, -1, false).ok()?;
            let days = (i64::from(span.months) * 30 + i64::from(span.days)).checked_mul(MICROSECONDS_A_DAY)?;
            return days.checked_add(span.microseconds)?.checked_neg().map(AsOf::Ago);
        }
        let settings = FormatSettings::default();
        let time = parse_timestamptz(text, ParseContext { settings: &settings, now: 0 }).ok()?;
        time.checked_add(POSTGRES_EPOCH).map(AsOf::At)
    }
}

/// Behind AS OF SYSTEM TIME.
pub(super) fn time(rest: &mut Cursor<'_, '_>) -> PgResult<AsOf> {
    let _ = ["interval", "timestamp", "timestamptz"].iter().any(|word| rest.eat(word));
    let place = rest.peek(0).map(|token| rest.source.place_of(token.span)).unwrap_or_default();
    let located = |error: Box<PgError>| match place.known() {
        Some(place) => error.position(place),
        None => error,
    };
    if !rest.at_end() && !matches!(rest.peek(0).map(|token| &token.token), Some(Token::SingleQuotedString(_))) {
        return Err(located(PgError::unsupported("AS OF SYSTEM TIME with another expression than a string")));
    }
    let text = rest.string()?;
    AsOf::parse(&text).ok_or_else(|| {
        const INVALID_DATETIME: SqlState = sqlstate::INVALID_DATETIME_FORMAT;
        let message = format!("AS OF SYSTEM TIME: \"{text}\" is neither a timestamp nor a negative interval");
        located(PgError::new(INVALID_DATETIME, message))
    })
}

/// A query's tokens without its AS OF SYSTEM TIME, which stands outside of all parentheses.
pub(super) fn split(source: &Source<'_>, tokens: &[TokenWithSpan]) -> PgResult<Option<(Vec<TokenWithSpan>, AsOf)>> {
    let first = tokens.first();
    let is_query = ["select", "with", "table", "values"].iter().any(|word| word_is(first, word))
        || first.is_some_and(|token| token.token == Token::LParen);
    if !is_query {
        return Ok(None);
    }
    let mut depth = 0usize;
    for (at, token) in tokens.iter().enumerate() {
        match token.token {
            Token::LParen => depth += 1,
            Token::RParen => depth = depth.saturating_sub(1),
            _ => {}
        }
        if depth > 0 || !word_is(Some(token), "as") {
            continue;
        }
        let mut rest = Cursor { source, tokens, at };
        if rest.eat_words(&["as", "of", "system", "time"]) {
            let as_of = time(&mut rest)?;
            return Ok(Some(([&tokens[..at], rest.remaining()].concat(), as_of)));
        }
    }
    Ok(None)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_intervals_before_now_or_timestamps() {
        assert_eq!(AsOf::parse("-10s"), Some(AsOf::Ago(10_000_000)));
        assert_eq!(AsOf::parse("-1 day"), Some(AsOf::Ago(MICROSECONDS_A_DAY)));
        assert_eq!(AsOf::parse("2000-01-01 00:00:01+00"), Some(AsOf::At(POSTGRES_EPOCH + 1_000_000)));
        assert_eq!(AsOf::parse("2000-01-01 01:00:00"), Some(AsOf::At(POSTGRES_EPOCH + 3_600_000_000)));
        assert_eq!((AsOf::parse("10s"), AsOf::parse("-x"), AsOf::parse("")), (None, None, None));
        assert_eq!((AsOf::Ago(5).resolve(12), AsOf::At(5).resolve(12)), (7, 5));
    }
}
