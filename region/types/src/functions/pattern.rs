//! LIKE and regular expressions.
//!
//! Regular expressions run on the `regex` crate: POSIX classes, alternation and quantifiers as in PostgreSQL's AREs, no
//! back-references and no look-around. Compiled ones are kept in a small cache per thread.
use super::*;
use regex::{Regex, RegexBuilder};
use std::cell::RefCell;
use std::collections::HashMap;

/// `%` any run, `_` any character, `escape` takes the next one as it is.
pub fn matches_like(value: &str, pattern: &str, escape: Option<char>, fold_case: bool) -> PgResult<bool> {
    if fold_case {
        return matches_like(&value.to_lowercase(), &pattern.to_lowercase(), escape, false);
    }
    let pattern = compile_like(pattern, escape)?;
    let value: Vec<char> = value.chars().collect();
    // Greedy with one point to go back to: the last `%`.
    let (mut at, mut next) = (0, 0);
    let mut retry: Option<(usize, usize)> = None;
    while at < value.len() {
        match pattern.get(next) {
            Some(Piece::AnyRun) => {
                retry = Some((at, next));
                next += 1;
            }
            Some(Piece::AnyOne) => {
                at += 1;
                next += 1;
            }
            Some(Piece::Exactly(ch)) if *ch == value[at] => {
                at += 1;
                next += 1;
            }
            _ => match retry {
                Some((from, run)) => {
                    retry = Some((from + 1, run));
                    at = from + 1;
                    next = run + 1;
                }
                None => return Ok(false),
            },
        }
    }
    Ok(pattern[next..].iter().all(|piece| matches!(piece, Piece::AnyRun)))
}

enum Piece {
    AnyRun,
    AnyOne,
    Exactly(char),
}

fn compile_like(pattern: &str, escape: Option<char>) -> PgResult<Vec<Piece>> {
    let mut pieces = Vec::with_capacity(pattern.len());
    let mut chars = pattern.chars();
    while let Some(ch) = chars.next() {
        pieces.push(match ch {
            ch if Some(ch) == escape => match chars.next() {
                Some(escaped) => Piece::Exactly(escaped),
                None => {
                    let code = crate::error::SqlState(*b"22025");
                    return Err(PgError::new(code, "LIKE pattern must not end with escape character"));
                }
            },
            '%' => Piece::AnyRun,
            '_' => Piece::AnyOne,
            ch => Piece::Exactly(ch),
        });
    }
    Ok(pieces)
}

/// The third argument, if there is one, is the escape character (empty: none).
fn like(a: &[Datum], fold_case: bool) -> PgResult<bool> {
    let escape = if a.len() > 2 { text(a, 2)?.chars().next() } else { Some('\\') };
    matches_like(text(a, 0)?, text(a, 1)?, escape, fold_case)
}

pub fn like_matches(_: &dyn Environment, a: &[Datum]) -> PgResult<Datum> {
    Ok(Datum::Bool(like(a, false)?))
}
pub fn like_differs(_: &dyn Environment, a: &[Datum]) -> PgResult<Datum> {
    Ok(Datum::Bool(!like(a, false)?))
}
pub fn ilike_matches(_: &dyn Environment, a: &[Datum]) -> PgResult<Datum> {
    Ok(Datum::Bool(like(a, true)?))
}
pub fn ilike_differs(_: &dyn Environment, a: &[Datum]) -> PgResult<Datum> {
    Ok(Datum::Bool(!like(a, true)?))
}

const CACHED_EXPRESSIONS_MAX: usize = 64;
/// Bytes that one compiled expression may take.
const EXPRESSION_BYTES_MAX: usize = 4 << 20;

thread_local! {
    static EXPRESSIONS: RefCell<HashMap<(String, bool), Regex>> = RefCell::new(HashMap::new());
}

/// Run `use_it` on the compiled expression.
fn with_expression<T>(pattern: &str, fold_case: bool, use_it: impl FnOnce(&Regex) -> T) -> PgResult<T> {
    EXPRESSIONS.with_borrow_mut(|cache| {
        let key = (pattern.to_string(), fold_case);
        if !cache.contains_key(&key) {
            let compiled = RegexBuilder::new(&translate(pattern))
                .case_insensitive(fold_case)
                .dot_matches_new_line(true)
                .size_limit(EXPRESSION_BYTES_MAX)
                .build()
                .map_err(|_| {
                    let code = crate::error::SqlState(*b"2201B");
                    PgError::new(code, format!("invalid regular expression: \"{pattern}\""))
                })?;
            if cache.len() >= CACHED_EXPRESSIONS_MAX {
                cache.clear();
            }
            cache.insert(key.clone(), compiled);
        }
        Ok(use_it(&cache[&key]))
    })
}

/// PostgreSQL's spellings that the crate has otherwise.
fn translate(pattern: &str) -> String {
    let pattern = pattern.strip_prefix("***:").unwrap_or(pattern);
    pattern.replace("\\m", "\\b").replace("\\M", "\\b").replace("\\y", "\\b").replace("\\Z", "\\z")
}

macro_rules! expressions {
    ($($name:ident = $fold:expr, $expected:expr;)*) => {
        $(pub fn $name(_: &dyn Environment, a: &[Datum]) -> PgResult<Datum> {
            let value = text(a, 0)?;
            let matched = with_expression(text(a, 1)?, $fold, |expression| expression.is_match(value))?;
            Ok(Datum::Bool(matched == $expected))
        })*
    };
}
expressions! {
    regex_matches = false, true;
    regex_differs = false, false;
    regex_imatches = true, true;
    regex_idiffers = true, false;
}

/// `substring(text from pattern)`: the first group, or the whole match.
pub fn regex_substring(_: &dyn Environment, a: &[Datum]) -> PgResult<Datum> {
    let value = text(a, 0)?;
    with_expression(text(a, 1)?, false, |expression| {
        let captures = expression.captures(value)?;
        let group = if captures.len() > 1 { captures.get(1) } else { captures.get(0) };
        group.map(|found| Datum::text(found.as_str()))
    })
    .map(Option::unwrap_or_default)
}

/// `regexp_replace(text, pattern, replacement [, flags])`
pub fn regex_replace(_: &dyn Environment, a: &[Datum]) -> PgResult<Datum> {
    let (value, pattern, replacement) = (text(a, 0)?, text(a, 1)?, text(a, 2)?);
    let flags = if a.len() > 3 { text(a, 3)?.as_str() } else { "" };
    let mut template = String::new();
    let mut chars = replacement.chars();
    while let Some(ch) = chars.next() {
        match ch {
            '$' => template.push_str("$$"),
            '\\' => match chars.next() {
                Some('&') => template.push_str("${0}"),
                Some(digit @ '1'..='9') => template.push_str(&format!("${{{digit}}}")),
                Some(other) => template.push(other),
                None => template.push('\\'),
            },
            _ => template.push(ch),
        }
    }
    with_expression(pattern, flags.contains('i'), |expression| {
        let limit = usize::from(!flags.contains('g'));
        Datum::text(expression.replacen(value, limit, template.as_str()).into_owned())
    })
}

/// `regexp_match(text, pattern [, flags])`: the groups of the first match.
pub fn regex_match(_: &dyn Environment, a: &[Datum]) -> PgResult<Datum> {
    let value = text(a, 0)?;
    let flags = if a.len() > 2 { text(a, 2)?.as_str() } else { "" };
    with_expression(text(a, 1)?, flags.contains('i'), |expression| {
        expression.captures(value).map(|found| groups(&found))
    })
    .map(Option::unwrap_or_default)
}

fn groups(found: &regex::Captures<'_>) -> Datum {
    let first = usize::from(found.len() > 1);
    let values = (first..found.len()).map(|at| found.get(at).map(|group| group.as_str()).into());
    Datum::array(Array::from_values(crate::oid::TEXT, values.collect()))
}

/// `regexp_matches(text, pattern [, flags])`: a row a match, all of them with the flag g.
pub fn regex_match_rows(_: &dyn Environment, a: &[Datum]) -> PgResult<Rows> {
    let value = text(a, 0)?;
    let flags = if a.len() > 2 { text(a, 2)?.as_str() } else { "" };
    let limit = if flags.contains('g') { usize::MAX } else { 1 };
    let rows: Vec<PgResult<Datum>> = with_expression(text(a, 1)?, flags.contains('i'), |expression| {
        expression.captures_iter(value).take(limit).map(|found| Ok(groups(&found))).collect()
    })?;
    Ok(Box::new(rows.into_iter()))
}

fn regex_split(a: &[Datum]) -> PgResult<Vec<Datum>> {
    let value = text(a, 0)?;
    let flags = if a.len() > 2 { text(a, 2)?.as_str() } else { "" };
    with_expression(text(a, 1)?, flags.contains('i'), |expression| expression.split(value).map(Datum::from).collect())
}
pub fn regex_split_array(_: &dyn Environment, a: &[Datum]) -> PgResult<Datum> {
    Ok(Datum::array(Array::from_values(crate::oid::TEXT, regex_split(a)?)))
}
pub fn regex_split_rows(_: &dyn Environment, a: &[Datum]) -> PgResult<Rows> {
    Ok(Box::new(regex_split(a)?.into_iter().map(Ok)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn like_patterns() {
        let cases = [
            ("abc", "abc", true),
            ("abc", "a%", true),
            ("abc", "_b_", true),
            ("abc", "%c%", true),
            ("abc", "b", false),
            ("a%c", "a\\%c", true),
            ("abc", "a\\%c", false),
            ("", "%", true),
            ("aaab", "%a%b", true),
            ("mississippi", "m%iss%ppi", true),
        ];
        for (value, pattern, expected) in cases {
            assert_eq!(
                matches_like(value, pattern, Some('\\'), false).expect("valid"),
                expected,
                "{value} like {pattern}"
            );
        }
        assert!(matches_like("a", "a\\", Some('\\'), false).is_err());
    }
}
